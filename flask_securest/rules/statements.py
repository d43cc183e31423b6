"""What the decorators say of one object: a :class:`Statement`, and where it is kept."""

from __future__ import annotations

import contextlib
import enum
import functools
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType, GetSetDescriptorType
from typing import Any

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..errors import ConfigurationError
from .requirement import NO_REQUIREMENT, Requirement

# functools.wraps copies it along with the rest of __dict__, so a rule survives the decorators put around it.
_ATTRIBUTE = "__flask_securest_rule__"

#: On what ``securest.protect`` guards; and on a copy of a function that carries a rule: the function.
PROTECTION_MARK = "__flask_securest_protection__"
COPIED_FROM = "__flask_securest_copied_from__"


class UseDefault(enum.Enum):
    """Be the type of :data:`USE_DEFAULT`."""

    USE_DEFAULT = "USE_DEFAULT"


#: In :func:`authenticators`: all providers of the default chain, at this place.
USE_DEFAULT = UseDefault.USE_DEFAULT

#: One entry of :func:`authenticators`.
Authenticator = str | AbstractAuthenticationProvider | UseDefault


class Access(enum.Enum):
    """Who may come in without being authenticated."""

    CLOSED = "closed"  # nobody
    OPTIONAL = "optional"  # whoever sends no credentials
    PUBLIC = "public"  # everybody; the chain does not run


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold what the decorators on one object say together; ``None`` where they are silent.

    :param access: what ``public`` and ``optional`` say
    :param reason: why it is public
    :param authenticators: the chain
    :param requirement: what all ``require`` ask for
    :param written_on: returns the object that it is written on, or ``None`` if that is gone; ``functools.wraps`` copies
        the statement to others
    """

    access: Access | None = None
    reason: str | None = None
    authenticators: tuple[Authenticator, ...] | None = None
    requirement: Requirement = NO_REQUIREMENT
    written_on: Callable[[], Any] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """Return it in the words of the decorators."""
        said = [self.access.value] if self.access is not None else []
        said += [f"authenticators {self.authenticators}"] if self.authenticators is not None else []
        return " and ".join([*said, *([f"require {self.requirement}"] if self.requirement else [])])

    def closes(self) -> bool:
        """Return whether it asks for something of the caller."""
        return self.authenticators is not None or bool(self.requirement)

    def covers(self, other: Statement) -> bool:
        """Return whether this says all that another one says, and maybe more.

        :param other: the other one
        """
        return (
            other.access in (None, self.access)
            and other.authenticators in (None, self.authenticators)
            and self.requirement & other.requirement == self.requirement
        )


SILENCE = Statement()

#: Classes and functions by whose rules requests have been decided.
_IN_FORCE: weakref.WeakSet[Any] = weakref.WeakSet()


def put_in_force(target: object) -> None:
    """Take note that requests are decided by what is said on an object now.

    :param target: a class, or a function
    """
    with contextlib.suppress(TypeError):  # what cannot be referred to weakly, or cannot be hashed
        _IN_FORCE.add(target)


def refuse_late_rule(target: object, said: Statement, merged: Statement) -> None:
    """Raise if a rule comes when requests have been decided without it: it would not be in force.

    :param target: what it is put on
    :param said: what is said there
    :param merged: what would be said there
    :raises ConfigurationError: it says more than what holds already
    """
    try:
        is_late = target in _IN_FORCE
    except TypeError:
        return
    if is_late and merged != said:
        raise ConfigurationError(
            f"requests to {getattr(target, '__qualname__', target)!r} have been answered already, and what is said on "
            f"it now would not be in force ({merged}): put rules on when the class is made"
        )


def get_statement(target: object) -> Statement:
    """Return what is said on this object itself; a class does not say what its bases say.

    :param target: a class, a function, or a descriptor
    """
    said: Statement | None = instance_dict(target).get(_ATTRIBUTE)
    return SILENCE if said is None else said


def instance_dict(target: object) -> Mapping[str, Any]:
    """Return the attributes of an object itself, without running any of its code.

    :param target: anything; a proxy has none
    """
    if type(target) is FunctionType or issubclass(type(target), type):
        return target.__dict__
    for owner in type(target).__mro__:
        found = vars(owner).get("__dict__")
        if found is not None:
            # Of a proxy it is something else, which would ask whom it stands for.
            attributes: Mapping[str, Any] = found.__get__(target) if type(found) is GetSetDescriptorType else {}
            return attributes
    return {}


def _same(target: object) -> object:
    return target


def put_statement(target: object, statement: Statement) -> Statement:
    """Leave a statement on an object, and return it.

    :param target: the object
    :param statement: what is said on it from now on
    :raises ConfigurationError: the object cannot carry it
    """
    written_on: Callable[[], Any]
    try:
        written_on = weakref.ref(target)
    except TypeError:  # such as a staticmethod
        written_on = functools.partial(_same, target)
    written = replace(statement, written_on=written_on)
    try:
        setattr(target, _ATTRIBUTE, written)
    except (AttributeError, TypeError) as error:
        raise ConfigurationError(f"{target!r} cannot carry a rule: {error}") from error
    return written


def refuse_to_silence(name: str, statements: Iterable[Statement]) -> None:
    """Raise if what is public would silence something that closes it, written elsewhere along the MRO.

    :param name: what is public
    :param statements: those from elsewhere
    :raises ConfigurationError: it would
    """
    for statement in statements:
        if statement.closes():
            what = str(statement.requirement) or f"authenticators {statement.authenticators}"
            raise ConfigurationError(
                f"{name} is public, and another class of its MRO has a require or authenticators, which public cannot "
                f"take back: {what}"
            )


def copy_function(function: FunctionType) -> FunctionType:
    """Return a copy of a function, which knows what it is a copy of.

    :param function: the function
    """
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__dict__.update(function.__dict__)
    for name in ("__module__", "__qualname__", "__doc__", "__annotations__"):
        setattr(copy, name, getattr(function, name))
    setattr(copy, COPIED_FROM, function)
    protection = function.__dict__.get(PROTECTION_MARK)
    if protection is not None:
        protection.copies.append(copy)
    return copy


def merge(said: Statement, more: Statement, name: str) -> Statement:
    """Return both statements as one.

    :param said: what is said on an object
    :param more: what is said on it besides
    :param name: how the error calls the object
    :raises ConfigurationError: they contradict each other
    """
    if said.access and more.access and said.access is not more.access:
        raise ConfigurationError(f"{name} cannot be both public and optional")
    if said.authenticators is not None and more.authenticators is not None:
        raise ConfigurationError(f"{name} has authenticators twice: write them as one")
    merged = replace(
        said,
        access=more.access or said.access,
        reason=more.reason or said.reason,
        authenticators=more.authenticators if said.authenticators is None else said.authenticators,
        requirement=said.requirement & more.requirement,
    )
    if merged.access is Access.PUBLIC and merged.closes():
        raise ConfigurationError(f"{name} cannot be public and have require or authenticators as well")
    return merged
