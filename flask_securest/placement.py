"""Refuse rules that stand where they have no effect, and rules that have been lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from .errors import ConfigurationError
from .members import Inside, is_plain, look_inside, members_of, read_member
from .rules import is_rule
from .statements import COPIED_FROM, SILENCE, get_statement, instance_dict, says_all
from .written import Written, find_written, iterate_owners, take_made

_VERBS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "trace", "connect"})

#: The classes of which no rule is lost.
_CHECKED: WeakSet[type] = WeakSet()

#: Methods that have lost a rule in the class where they are from, and what is to be said of it.
_LOST: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def refuse_misplaced_rules(resource: type, find_verbs: Callable[[], Iterable[str]]) -> None:
    """Raise if a rule stands where it would change nothing, and its author believes that it does.

    :param resource: the class
    :param find_verbs: returns the verbs that its URLs have besides those of the class
    :raises ConfigurationError: one does
    """
    for place in ("decorators", "method_decorators"):
        found = getattr(resource, place, None)
        lists = list(found.values()) if isinstance(found, Mapping) else [found]
        if any(is_rule(each) for decorators in lists if isinstance(decorators, Iterable) for each in decorators):
            raise ConfigurationError(
                f"{resource.__qualname__}.{place} has a rule, which has no effect there: decorate the class"
            )
    verbs = _VERBS | {verb.lower() for verb in getattr(resource, "methods", None) or ()}
    misplaced = list(_find_misplaced(resource, verbs))
    if misplaced:
        verbs |= {verb.lower() for verb in find_verbs()}
    answering: set[int] | None = None
    for name, carriers in misplaced:
        if answering is None:
            answering = {id(each) for each in _find_answering(resource, verbs)}
        if name not in verbs and not carriers <= answering:
            raise ConfigurationError(
                f"{resource.__qualname__}.{name} has a rule and answers no verb: decorate the method that does, or the "
                "class"
            )


def _find_misplaced(resource: type, verbs: frozenset[str]) -> Iterator[tuple[str, set[int]]]:
    """Yield the members with other names that have a rule, and what carries it."""
    for owner in resource.__mro__:
        for name, member in members_of(owner):
            if name in verbs or (is_plain(member) and not member.__dict__):
                continue
            carriers = {id(each.carrier) for each in look_inside(member) if get_statement(each.carrier) is not SILENCE}
            if carriers:
                yield name, carriers


def _find_answering(resource: type, verbs: frozenset[str]) -> Iterator[object]:
    for owner in resource.__mro__:
        for name, member in members_of(owner):
            if name in verbs:
                yield from (each.carrier for each in look_inside(member))


def refuse_lost_rules(resource: type) -> None:
    """Raise if a rule was written in the body of a class, or of one of its bases, and cannot be found there.

    :param resource: the class
    :raises ConfigurationError: says which method has lost it, and by what; or that a method was borrowed which had
    """
    for owner, written in iterate_owners(resource):
        if owner not in _CHECKED:
            _refuse_lost_of(owner, written)
            _CHECKED.add(owner)
    for owner in take_made():
        if owner not in _CHECKED:
            _mark_what_has_lost(owner)
    if _LOST:
        _refuse_borrowed(resource)


def _refuse_lost_of(owner: type, written: list[Written]) -> None:
    insides = {name: look_inside(member) for name, member in members_of(owner)}
    for each in written:
        _refuse_if_lost(owner, each, insides)


def _mark_what_has_lost(owner: type) -> None:
    """Take note of the methods of a class that have lost a rule: another class may borrow them, get = Other.get."""
    insides = {name: look_inside(member) for name, member in members_of(owner)}
    for each in find_written(owner):
        fault = _find_fault(owner, each, insides)
        for name, found in insides.items() if fault is not None else ():
            # Which one it was is known of what the body defines; else it may be any that was made elsewhere.
            qualname = getattr(found[0].carrier, "__qualname__", "")
            if name == each.name or (each.name is None and not qualname.startswith(f"{owner.__qualname__}.")):
                with suppress(TypeError):  # what cannot be referred to weakly, or cannot be hashed
                    _LOST[found[0].carrier] = str(fault)


def _find_fault(owner: type, written: Written, insides: dict[str, list[Inside]]) -> ConfigurationError | None:
    try:
        _refuse_if_lost(owner, written, insides)
    except ConfigurationError as error:
        return error
    return None


def _refuse_borrowed(resource: type) -> None:
    for owner in resource.__mro__:
        for name, member in members_of(owner):
            for inside in look_inside(member):
                carrier = instance_dict(inside.carrier).get(COPIED_FROM, inside.carrier)
                with suppress(TypeError):
                    if carrier in _LOST:
                        raise ConfigurationError(f"{owner.__qualname__}.{name} is borrowed, and {_LOST[carrier]}")


def _refuse_if_lost(owner: type, written: Written, insides: dict[str, list[Inside]]) -> None:
    target = written.target
    for name, found in insides.items():
        for each in found:
            said = get_statement(each.carrier)
            # A decorator may have kept the function and cleared or replaced its attributes: then it says less.
            if said is written.statement or (each.carrier is target and says_all(said, written.statement)):
                read_member(owner, name)  # which says what is wrong, if what opens is hidden
                return
    if target is None and (written.name is None or written.name not in vars(owner)):
        return  # it was deleted on purpose
    if written.name is not None and written.name not in vars(owner):
        # Deleted, too, and another class has a copy; unless something that cannot be looked into may have it.
        if not any(_is_opaque(found) for found in insides.values()):
            return
        holder = "a member that cannot be looked into"
    else:
        replaced = None if written.name is None else vars(owner)[written.name]
        holder = "another function" if isinstance(replaced, FunctionType) else f"a {type(replaced).__name__}"
        if written.name is None:
            holder = "what was made of it"
    lost = written.name or getattr(target, "__name__", "?")
    raise ConfigurationError(
        f"the rule on {owner.__qualname__}.{lost} is lost ({written.statement}): {holder} stands in its place and does "
        "not lead to it. Put the rule on top, or give the decorator that stands above it functools.wraps"
    )


def _is_opaque(found: list[Inside]) -> bool:
    """Return whether a member may run something that cannot be seen."""
    return callable(found[0].carrier) and not any(type(each.carrier) is FunctionType for each in found)
