"""Find the one :class:`Rule` of a (class, verb) among all that is said along the MRO.

Two principles explain every line of it:

- *Silence is closed.* What nobody has said anything about is guarded by the default chain.
- *A subclass is never less protected than its base.* What closes (``require``, ``authenticators``) stays in force in
  subclasses and in methods that override; what opens (``public``, ``optional``) holds only where it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple

from .errors import ConfigurationError
from .members import is_plain, look_inside, members_of, read_member, refuse_lost_rules
from .requirement import NO_REQUIREMENT, Requirement
from .rules import is_rule
from .statements import SILENCE, Access, Authenticator, Statement, get_statement, refuse_to_silence

_VERBS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "trace", "connect"})


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


@dataclass(frozen=True, eq=False)
class ProtectedFunction:
    """Hold a plain view function that is guarded, and what its rules are written on.

    :param function: the function itself
    :param carriers: the function, the guard around it, and what was registered: a decorator above or below another
        leaves its statement on one of them
    :param protection: what ``securest.protect`` knows of it
    """

    function: Callable[..., Any]
    carriers: tuple[object, ...]
    protection: Any

    def refuse_lost_rules(self) -> None:
        """Raise if ``public`` or ``optional`` stands above ``@app.route``: what it has made is never called.

        :raises ConfigurationError: one does
        """
        if any(all(copy is not each for each in self.protection.registered) for copy in self.protection.copies):
            name = getattr(self.function, "__qualname__", repr(self.function))
            raise ConfigurationError(
                f"public or optional stands above @app.route of {name}: it is not in force, nor is what stands above "
                "it. Put them below"
            )


def resolve_function_rule(protected: ProtectedFunction) -> Rule:
    """Return the rule of a plain view function, which is the same for all verbs.

    :param protected: the function
    :raises ConfigurationError: what is said on it contradicts itself
    """
    name = getattr(protected.function, "__qualname__", repr(protected.function))
    access: Access | None = None
    reason, chain, requirement = None, None, NO_REQUIREMENT
    for statement in map(get_statement, protected.carriers):
        if statement.access not in (None, access) and access is not None:
            raise ConfigurationError(f"{name} cannot be both public and optional")
        if statement.authenticators not in (None, chain) and chain is not None:
            raise ConfigurationError(f"{name} has authenticators twice: write them as one")
        access, reason = access or statement.access, reason or statement.reason
        chain = statement.authenticators if chain is None else chain
        requirement &= statement.requirement
    if access is not Access.PUBLIC:
        return Rule(access or Access.CLOSED, chain, requirement, None, name if access else "default")
    if chain is not None or requirement:
        raise ConfigurationError(f"{name} cannot be public and have require or authenticators as well")
    return Rule(Access.PUBLIC, None, NO_REQUIREMENT, reason, name)


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
    refuse_misplaced_rules(resource, find_verbs)
    refuse_lost_rules(resource)
    on_classes = [_Said(owner, get_statement(owner)) for owner in resource.__mro__]
    on_methods = list(_find_methods(resource, verb))
    method = on_methods[0] if on_methods else _Said(resource, SILENCE)
    overridden = on_methods[1:]
    itself = on_classes[0]

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

    requirement = NO_REQUIREMENT
    for said in on_classes + on_methods:
        requirement &= said.statement.requirement
    chain = _find_chain(method, overridden, on_classes)
    if opened is None:
        return Rule(Access.CLOSED, chain, requirement, None, "default")
    if opened.access is Access.PUBLIC:
        return Rule(Access.PUBLIC, None, NO_REQUIREMENT, opened.reason, opened.source)
    return Rule(Access.OPTIONAL, chain, requirement, None, opened.source)


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


def _find_chain(method: _Said, overridden: list[_Said], on_classes: list[_Said]) -> tuple[Authenticator, ...] | None:
    """Return the nearest authenticators: of the method that runs; else of class after class, from here to the base.

    In each class what stands on the method that was overridden comes before what stands on the class itself:
    ``Base.get`` before ``Base``, and both behind ``Sub``.
    """
    if method.statement.authenticators is not None:
        return method.statement.authenticators
    for on_class in on_classes:
        for said in (*(each for each in overridden if each.owner is on_class.owner), on_class):
            if said.statement.authenticators is not None:
                return said.statement.authenticators
    return None


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
    may_be_none = not isinstance(_find_member(resource, "head"), (FunctionType, staticmethod, classmethod))
    for base in resource.__mro__ if may_be_none else resource.__mro__[1:]:
        # A head that is a property may come to None, and then get runs.
        if base is resource or not answers(base, "head"):
            yield from _find_members(base, "get")


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
