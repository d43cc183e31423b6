"""Check arguments, and say what is wrong with them without repeating what they hold: it may be a secret."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError

#: A century: what is meant to be for ever.
MOST_SECONDS = 100 * 366 * 24 * 3600


def require_type(value: object, expected: type, what: str) -> None:
    """Raise if ``value`` is not an object of the class ``expected``.

    :param value: the argument
    :param expected: the class
    :param what: how the error calls the argument
    :raises ConfigurationError: it is not
    """
    if isinstance(value, expected):
        return
    article = "an" if expected.__name__[0] in "AEIOU" else "a"
    found = f"the class {value.__name__} itself" if isinstance(value, type) else f"of type {type(value).__name__}"
    raise ConfigurationError(f"{what} must be {article} {expected.__name__} object; it is {found}")


def require_callable_with(target: object, method: str, *parameters: str) -> None:
    """Raise if a method of somebody else cannot be called as it is going to be: each request would be a 500.

    :param target: the object
    :param method: the name of the method
    :param parameters: what it is going to be called with, in this order
    :raises ConfigurationError: it cannot be, or would have to be awaited
    """
    require_callable(getattr(target, method, None), f"{type(target).__name__}.{method}", *parameters)


def require_callable(function: Any, what: str, *parameters: str, may_be_async: bool = False) -> None:
    """Raise if a function cannot be called as it is going to be.

    :param function: the function
    :param what: how the error calls it
    :param parameters: what it is going to be called with, in this order
    :param may_be_async: whether it may be an ``async def``
    :raises ConfigurationError: it cannot be
    """
    called = f"({', '.join(parameters)})"
    if not callable(function):
        raise ConfigurationError(f"{what} must be a function {called}, not of type {type(function).__name__}")
    if not may_be_async and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise ConfigurationError(f"{what}{called} must not be async: it is called, and not awaited")
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        raise ConfigurationError(f"{what} must take {called}: {error}") from None
    except ValueError:
        return  # written in C: it does not tell


def require_list(values: Any, what: str) -> list[Any]:
    """Return ``values`` as a list.

    A single string would be taken apart into its letters, and a mapping into its keys.

    :param values: any other iterable
    :param what: how the error calls the argument
    :raises ConfigurationError: it is none
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{what} must be a list, not of type {type(values).__name__}")
    return list(values)


def require_name(name: object, what: str) -> str:
    """Return ``name`` if it is a printable string, not empty.

    :param name: the argument
    :param what: how the error calls it
    :raises ConfigurationError: it is not
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        shown = repr(name) if isinstance(name, str) else f"of type {type(name).__name__}"
        raise ConfigurationError(f"{what} must be a printable string, not empty; it is {shown}")
    return name


def require_names(names: object, what: str) -> tuple[str, ...]:
    """Return one name, or several, as a tuple.

    :param names: the argument
    :param what: how the error calls it
    :raises ConfigurationError: it is neither, or empty
    """
    listed = [names] if isinstance(names, str) else require_list(names, what)
    if not listed:
        raise ConfigurationError(f"{what} must not be empty")
    return tuple(require_name(name, what) for name in listed)


def require_bool(value: object, what: str) -> bool:
    """Return ``value`` if it is ``True`` or ``False``: what is merely true may be ``"no"``.

    :param value: the argument
    :param what: how the error calls it
    :raises ConfigurationError: it is not
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{what} must be True or False, not {value!r}")
    return value


def require_number(value: object, what: str, most: float) -> float:
    """Return ``value`` if it is a number of seconds from 0 on.

    :param value: the argument
    :param what: how the error calls it
    :param most: the most that it may be
    :raises ConfigurationError: it is not
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise ConfigurationError(f"{what} must be a number of seconds from 0 to {most}, not {value!r}")
    return value


def require_seconds(seconds: object, what: str) -> int:
    """Return ``seconds`` if it is a whole number from 1 to a century.

    :param seconds: the argument
    :param what: how the error calls it
    :raises ConfigurationError: it is not
    """
    return require_whole(seconds, what, 1, MOST_SECONDS)


def require_whole(value: object, what: str, least: int, most: int) -> int:
    """Return ``value`` if it is a whole number within limits.

    :param value: the argument
    :param what: how the error calls it
    :param least: the least that it may be
    :param most: the most that it may be
    :raises ConfigurationError: it is not
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{what} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ConfigurationError(f"{what} must be from {least} to {most}, not {value}")
    return value
