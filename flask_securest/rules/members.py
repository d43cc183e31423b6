"""Find what is said on a member of a class: on itself, and on the functions inside of it.

A rule that was written is in force, or is an error. What closes is found wherever it is. What opens counts only where
the member itself shows it: what a decorator hides may as well be another method (CWE-863).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from types import CellType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeGuard, cast

from ..errors import ConfigurationError
from .statements import SILENCE, Access, Statement, get_statement, instance_dict, merge
from .written import Written, find_written, is_opened_elsewhere

#: How many objects are looked at inside of one member. Beyond that, what cannot be told is an error or is closed.
_MOST_INSIDE = 256

#: The modules of the classes that every Resource inherits from.
_OF_EVERYBODY = ("builtins", "flask.views", "flask_restful")

_SIMPLE = (str, bytes, int, float, complex, bool, type(None), type, ModuleType)
_CONTAINERS = (list, tuple, set, frozenset, dict)
_NO_METHODS = (*_SIMPLE, *_CONTAINERS)

# Not the attributes, which a subclass may have made something else.
_PROPERTY_FGET: Any = cast(Any, property).fget.__get__
_PARTIAL_FUNC: Any = cast(Any, functools.partial).func.__get__
_PARTIAL_ARGS: Any = cast(Any, functools.partial).args.__get__


class Inside(NamedTuple):
    """Hold what is inside of a member.

    :param carrier: the object
    :param is_shown: whether the member shows it, as a property shows its function; not if a decorator hides it
    :param is_called: whether it is really there, and not only named by ``__wrapped__``
    """

    carrier: Any
    is_shown: bool
    is_called: bool


def read_member(owner: type, name: str) -> Statement:
    """Return what is said on a member of a class, in this class and not in its bases.

    :param owner: the class
    :param name: the name of the member, which it has
    :raises ConfigurationError: it is said twice and in different ways, or what opens is hidden
    """
    member = vars(owner)[name]
    if is_plain(member) and member.__dict__.get("__wrapped__") is None:
        said = get_statement(member)
        if said.access is None or (said.written_on is not None and said.written_on() is member):
            return said  # as most are
    label = f"{owner.__qualname__}.{name}"
    written = find_written(owner)
    insides = look_inside(member)
    said = SILENCE
    for each in insides:
        statement = get_statement(each.carrier)
        if statement is SILENCE:
            continue
        if statement.access is not None and not _opens(statement, each, owner, name, insides, written):
            if not each.is_shown and said.access is None and _is_written(each.carrier, written):
                raise ConfigurationError(
                    f"{label} is {statement.access.value} inside of a {type(member).__name__} that hides it: put the "
                    "rule on top, or give the decorator functools.wraps"
                )
            statement = replace(statement, access=None, reason=None)
        # What closes is in force wherever it is inside: whether the member calls it cannot be told.
        said = _add(said, statement, label)
    return said


def members_of(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of a class that may run, or have inside what runs.

    :param owner: the class; those of everybody have none with a rule
    """
    if is_of_everybody(owner):
        return
    for name, member in vars(owner).items():
        if name.startswith("__") or _is_a(member, _NO_METHODS):
            continue
        # Flask-RESTful puts a function of its own on each class, which has the Api inside.
        if name != "mediatypes" or getattr(member, "__module__", None) != "flask_restful":
            yield name, member


def is_of_everybody(owner: type) -> bool:
    """Return whether a class is one of those that every Resource inherits from.

    :param owner: the class
    """
    # What is run by exec() says that its module is builtins.
    module = sys.modules.get(owner.__module__) if owner.__module__ in _OF_EVERYBODY else None
    return module is not None and getattr(module, owner.__name__, None) is owner


def is_plain(member: object) -> TypeGuard[FunctionType]:
    """Return whether a member is a function with nothing inside.

    :param member: the member
    """
    if type(member) is not FunctionType:
        return False
    return member.__closure__ is None and member.__defaults__ is None and member.__kwdefaults__ is None


def look_inside(member: object) -> list[Inside]:
    """Return a member and what is inside of it, without running any of its code.

    :param member: the member
    """
    called = _reach(member, lambda each: [*_open_shown(each), *_open_hidden(each)])
    shown = {id(each) for each in _reach(member, lambda each: [*_open_shown(each), *_open_named(each)])}
    calling = {id(each) for each in called}
    # What an object runs when it is called, or what __wrapped__ names, comes last.
    named = [each for each in _reach(member, _open_all) if id(each) not in calling]
    return [Inside(each, id(each) in shown, id(each) in calling) for each in [*called, *named]]


def _reach(member: object, open_: Callable[[Any], Iterable[Any]]) -> list[Any]:
    found = [member]
    seen = {id(member)}
    for each in found:  # which grows meanwhile
        for inside in open_(each):
            # A class is nobody's method.
            if id(inside) not in seen and len(found) < _MOST_INSIDE and not _is_a(inside, _SIMPLE):
                seen.add(id(inside))
                found.append(inside)
    return found


def _open_shown(each: Any) -> list[Any]:
    """Return what a known descriptor shows."""
    if _is_a(each, property):
        return [_PROPERTY_FGET(each)]
    if _is_a(each, (staticmethod, classmethod, MethodType)):
        return [each.__func__]
    if _is_a(each, functools.partial):
        return [_PARTIAL_FUNC(each)]
    if _is_a(each, (functools.partialmethod, functools.cached_property, functools.singledispatchmethod)):
        return [instance_dict(each).get("func")]
    return []


def _open_hidden(each: Any) -> list[Any]:
    """Return what a function or an object has for itself."""
    if _is_a(each, FunctionType):
        cells = [content for cell in each.__closure__ or () for content in _read_cell(cell)]
        return [*cells, *(each.__defaults__ or ()), *(each.__kwdefaults__ or {}).values()]
    if type(each) in _CONTAINERS:  # and not one of the application's own, which may do anything when it is read
        return list(islice(each.values() if type(each) is dict else each, _MOST_INSIDE))
    if _is_a(each, functools.partial):
        return list(_PARTIAL_ARGS(each))
    if not (callable(each) or hasattr(type(each), "__get__")):
        return []
    attributes = [value for name, value in instance_dict(each).items() if name != "__wrapped__"]
    # Not what an application has in its dicts, such as the views of others.
    return [value for value in (*_read_slots(each), *attributes) if callable(value) or hasattr(type(value), "__get__")]


def _open_named(each: Any) -> list[Any]:
    """Return what an object names as what it stands for, and what it runs when it is called."""
    named = [instance_dict(each).get("__wrapped__")]
    if not _is_a(each, FunctionType):
        named.append(_find_call(each))
    return named


def _open_all(each: Any) -> list[Any]:
    return [*_open_shown(each), *_open_hidden(each), *_open_named(each)]


def _is_a(each: object, types: Any) -> bool:
    # Not by isinstance(), which asks a proxy of an application whom it stands for.
    return issubclass(type(each), types)


def _find_call(each: object) -> FunctionType | None:
    found = next((vars(owner)["__call__"] for owner in type(each).__mro__ if "__call__" in vars(owner)), None)
    return found if isinstance(found, FunctionType) else None


def _read_slots(each: object) -> list[Any]:
    values = []
    for owner in type(each).__mro__:
        for slot in vars(owner).values() if "__slots__" in vars(owner) else ():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):  # it is empty
                    values.append(slot.__get__(each))
    return values


def _read_cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []  # it is empty yet


def _opens(
    statement: Statement, inside: Inside, owner: type, name: str, insides: list[Inside], written: list[Written]
) -> bool:
    """Return whether what opens was written for this very member, and not copied from another one.

    ``functools.wraps(get)`` on ``delete`` copies what is said on ``get``: it must not open ``delete`` (CWE-863).
    """
    if not inside.is_shown:
        return False
    carrier = None if statement.written_on is None else statement.written_on()
    if carrier is vars(owner)[name]:
        # A function was copied to be opened. Another object may be that of the class that it was borrowed from.
        return type(carrier) is FunctionType or not is_opened_elsewhere(carrier, owner)
    # A decorator with functools.wraps has it inside, and calls it.
    if any(each.carrier is carrier and each.is_called for each in insides):
        return True
    own = next((each for each in written if each.target is carrier), None)
    return own is not None and own.name is not None and vars(owner).get(own.name) is vars(owner)[name]


def _is_written(carrier: object, written: list[Written]) -> bool:
    return any(each.target is carrier for each in written)


def _add(said: Statement, more: Statement, label: str) -> Statement:
    """Return both as one: the outer one names the chain."""
    if said.authenticators is not None:
        more = replace(more, authenticators=None)
    if said.access is Access.PUBLIC and more.closes():
        raise ConfigurationError(f"{label} cannot be public and have require or authenticators as well")
    return merge(said, more, label)
