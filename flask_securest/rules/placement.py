"""Refuse rules that stand where they have no effect, and rules that have been lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import ConfigurationError
from .decorators import is_rule
from .members import Inside, is_plain, look_inside, members_of, read_member
from .statements import COPIED_FROM, SILENCE, get_statement, instance_dict
from .written import Written, find_written, iterate_owners, take_made

_VERBS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "trace", "connect"})

#: Methods that have lost a rule in the class where they are from, and what is to be said of it.
_LOST: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def refuse_misplaced_rules(resource: type, find_verbs: Callable[[], Iterable[str]]) -> None:
    """Raise if a rule stands where it would change nothing, and its author believes that it does.

    :param resource: the class
    :param find_verbs: returns the verbs that its URLs have besides those of the class
    :raises ConfigurationError: one does
    """
    found = getattr(resource, "method_decorators", None)
    lists = list(found.values()) if isinstance(found, Mapping) else [found]
    if any(is_rule(each) for decorators in lists if isinstance(decorators, Iterable) for each in decorators):
        raise ConfigurationError(
            f"{resource.__qualname__}.method_decorators has a rule, which has no effect there: decorate the class"
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
        _refuse_lost_of(owner, written)
    for owner in take_made():
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
    is_member = written.name in vars(owner)
    for name, found in insides.items():
        # functools.wraps(get) on delete copies what was written on get: it does not show that get still has it.
        if any(_carries(each, written, by_copy=name == written.name or not is_member) for each in found):
            read_member(owner, name)  # which says what is wrong, if what opens is hidden
            return
    if written.name is None:
        holder = "what was made of it"
    elif is_member:
        if read_member(owner, written.name).covers(written.statement):
            return  # what has replaced it asks for the same, such as the last one of several typing.overload
        replaced = vars(owner)[written.name]
        holder = "another function" if isinstance(replaced, FunctionType) else f"a {type(replaced).__name__}"
        if any(each.carrier is target for each in insides.get(written.name, ())):
            holder = "a function from which it has been cleared"
    elif target is None or _is_in_copy(owner, written):
        return  # it was deleted on purpose
    else:
        # Deleted, and alive: what calls it keeps it where nobody can look (CWE-863).
        holder = "something that keeps it elsewhere"
    lost = written.name or getattr(target, "__name__", "?")
    raise ConfigurationError(
        f"the rule on {owner.__qualname__}.{lost} is lost ({written.statement}): {holder} stands in its place and does "
        "not lead to it. Put the rule on top, or give the decorator that stands above it functools.wraps"
    )


def _carries(inside: Inside, written: Written, *, by_copy: bool) -> bool:
    """Return whether something inside of a member says what was written."""
    said = get_statement(inside.carrier)
    if inside.carrier is written.target:
        # A decorator may have cleared or overwritten its attributes: the function is there, and not its rule (CWE-863).
        # What another method merely names by __wrapped__ does not run there.
        return (inside.is_called or by_copy) and said.covers(written.statement)
    return by_copy and said is written.statement


def _is_in_copy(owner: type, written: Written) -> bool:
    """Return whether another class that was made of the same body has what was deleted here."""
    members = (each for copy in find_written(owner).other_owners(owner) for _, each in members_of(copy))
    return any(inside.carrier is written.target for each in members for inside in look_inside(each))
