"""Find the one :class:`Rule` of a (class, verb) among all that is said along the MRO.

Two principles explain every line of it:

- *Silence is closed.* What nobody has said anything about is guarded by the default chain.
- *A subclass is never less protected than its base.* What closes (``require``, ``authenticators``) stays in force in
  subclasses and in methods that override; what opens (``public``, ``optional``) holds only where it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from types import FunctionType
from typing import NamedTuple

from .members import read_member
from .placement import refuse_lost_rules, refuse_misplaced_rules
from .requirement import NO_REQUIREMENT, Requirement
from .statements import (
    SILENCE,
    Access,
    Authenticator,
    Statement,
    get_statement,
    refuse_to_silence,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Hold what one method of one Resource class asks for.

    :param access: who may come in without being authenticated
    :param authenticators: the chain; ``None`` for the default one
    :param requirement: what a verified caller must have
    :param reason: why it is public, in its author's words
    :param source: where ``access`` comes from, for example ``"Health (class)"``
    """

    access: Access
    authenticators: tuple[Authenticator, ...] | None
    requirement: Requirement
    reason: str | None
    source: str


_CLOSED = Rule(Access.CLOSED, None, NO_REQUIREMENT, None, "default")


class _Said(NamedTuple):
    """Hold a statement, and the class in whose body it stands."""

    owner: type
    statement: Statement


def resolve_rule(resource: type, verb: str, find_verbs: Callable[[], Iterable[str]] = tuple) -> Rule:
    """Return the rule of one verb of a Resource class.

    :param resource: the class, as it was added to the Api
    :param verb: the request's method; one for which the class has no method of its own goes by the class's rules
    :param find_verbs: returns the verbs that its URLs have besides those of the class
    :raises ConfigurationError: ``public`` contradicts what closes it elsewhere along the MRO, or a rule stands where it
        has no effect, or is lost
    """
    return resolve_rules(resource, [verb], find_verbs)[0]


def resolve_rules(resource: type, verbs: Iterable[str], find_verbs: Callable[[], Iterable[str]] = tuple) -> list[Rule]:
    """Return the rules of several verbs, as :func:`resolve_rule` does.

    :param resource: the class
    :param verbs: the verbs
    :param find_verbs: returns the verbs that its URLs have besides those of the class
    :raises ConfigurationError: something is wrong with one of them
    """
    refuse_misplaced_rules(resource, find_verbs)
    refuse_lost_rules(resource)
    said = ((owner, get_statement(owner)) for owner in resource.__mro__)
    on_classes = [_Said(owner, statement) for owner, statement in said if statement is not SILENCE]
    return [_resolve(resource, verb, on_classes) for verb in verbs]


def _resolve(resource: type, verb: str, on_classes: list[_Said]) -> Rule:
    on_methods = list(_find_methods(resource, verb))
    method = on_methods[0] if on_methods else _Said(resource, SILENCE)
    overridden = [said for said in on_methods[1:] if said.statement is not SILENCE]
    if method.statement is SILENCE and not overridden and not on_classes:
        return _CLOSED  # as most are
    itself = _Said(resource, get_statement(resource))
    if verb == "HEAD" and _head_may_be_none(resource):
        method = _close_unless_get_is_open(resource, method, on_classes)

    if method.statement.access is not None:
        # Within one class a public method of a class with require says so itself, right beside it.
        elsewhere = [said for said in on_classes if said.owner is not method.owner] + overridden
        opened = _open(method.statement, f"{method.owner.__qualname__}.{_name_method(resource, verb)}", elsewhere)
    elif itself.statement.access is not None and not method.statement.closes():
        opened = _open(itself.statement, f"{resource.__qualname__} (class)", on_classes + on_methods)
        if any(said.statement.authenticators is not None for said in overridden):
            opened = None  # as if the method had not been overridden: it would close itself
    else:
        opened = None

    requirement = method.statement.requirement
    for said in on_classes + overridden:
        requirement &= said.statement.requirement
    chain = _find_chain(resource, method, overridden, on_classes)
    if opened is None:
        return Rule(Access.CLOSED, chain, requirement, None, "default")
    if opened.access is Access.PUBLIC:
        return Rule(Access.PUBLIC, None, NO_REQUIREMENT, opened.reason, opened.source)
    return Rule(Access.OPTIONAL, chain, requirement, None, opened.source)


def _close_unless_get_is_open(resource: type, head: _Said, on_classes: list[_Said]) -> _Said:
    """Return what is said on a head that may come to None: what opens it does not open get, which runs then."""
    access = head.statement.access
    if access is None or _resolve(resource, "GET", on_classes).access is access:
        return head
    return _Said(head.owner, replace(head.statement, access=None, reason=None))


class _Opened(NamedTuple):
    access: Access
    reason: str | None
    source: str


def _open(statement: Statement, source: str, elsewhere: Iterable[_Said]) -> _Opened | None:
    """Return what a statement opens.

    :raises ConfigurationError: it is public, and would silence what closes it elsewhere
    """
    if statement.access is Access.PUBLIC:
        refuse_to_silence(source, (said.statement for said in elsewhere))
    return _Opened(statement.access, statement.reason, source) if statement.access is not None else None


def _find_chain(
    resource: type, method: _Said, overridden: list[_Said], on_classes: list[_Said]
) -> tuple[Authenticator, ...] | None:
    """Return the nearest authenticators: of the method that runs; else of class after class, from here to the base.

    In each class what stands on the method that was overridden comes before what stands on the class itself:
    ``Base.get`` before ``Base``, and both behind ``Sub``.
    """
    if method.statement.authenticators is not None:
        return method.statement.authenticators
    closing = [said for said in (*overridden, *on_classes) if said.statement.authenticators is not None]
    # The sort keeps the order within each class.
    closing.sort(key=lambda said: resource.__mro__.index(said.owner))
    return closing[0].statement.authenticators if closing else None


def _find_methods(resource: type, verb: str) -> Iterator[_Said]:
    """Yield what is said on the method that answers ``verb``, and on those that it overrides."""
    name = _name_method(resource, verb)
    yield from _find_members(resource, name)
    if verb != "HEAD":
        return
    # Whoever is refused at HEAD by a base is refused here: by its head, or by the get that it answers HEAD with.
    if name == "get":
        yield from _find_members(resource, "head")
        return
    for base in resource.__mro__:
        if _head_may_be_none(base) or (base is not resource and not answers(base, "head")):
            yield from _find_members(base, "get")


def _head_may_be_none(resource: type) -> bool:
    """Return whether a class has a head that may come to None, such as a property. Then Flask-RESTful runs get."""
    head = _find_member(resource, "head")
    is_descriptor = hasattr(type(head), "__get__")
    return is_descriptor and not isinstance(head, (FunctionType, staticmethod, classmethod))


def _find_members(resource: type, name: str) -> Iterator[_Said]:
    return (_Said(owner, read_member(owner, name)) for owner in resource.__mro__ if name in vars(owner))


def _find_member(resource: type, name: str) -> object:
    return next((vars(owner)[name] for owner in resource.__mro__ if name in vars(owner)), None)


def _name_method(resource: type, verb: str) -> str:
    """Return the name of the method that answers ``verb``, as Flask-RESTful finds it: HEAD falls back on ``get``."""
    name = verb.lower()
    return "get" if name == "head" and not answers(resource, "head") else name


def answers(resource: type, name: str) -> bool:
    """Return whether a Resource class has a method of this name.

    :param resource: the class
    :param name: the name, in lower case
    """
    return _find_member(resource, name) is not None
