"""Say what a Resource or one of its methods asks for, and find the rule of a (class, verb).

The decorators leave a :class:`_Statement` on what they decorate; :func:`resolve_rule` reads those along the MRO and
makes one :class:`Rule` of them. Two principles explain every line of it:

- *Silence is closed.* What nobody has said anything about is guarded by the default chain.
- *A subclass is never less protected than its base.* What closes (``require``, ``authenticators``) goes on holding in
  subclasses and in methods that override; what opens (``public``, ``optional``) holds only where it is written.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any, TypeVar
from weakref import WeakSet

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .errors import ConfigurationError
from .models import collect_names
from .requirement import NO_REQUIREMENT, Requirement

_T = TypeVar("_T", bound=Callable[..., Any])

# functools.wraps copies it along with the rest of __dict__, so a rule survives the decorators put around it.
_ATTRIBUTE = "__flask_securest__"


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


@dataclass(frozen=True, slots=True)
class _Statement:
    """Hold what the decorators on one object say together."""

    access: Access | None = None
    reason: str | None = None
    authenticators: tuple[Authenticator, ...] | None = None
    requirement: Requirement = NO_REQUIREMENT

    def closes(self) -> bool:
        return self.authenticators is not None or bool(self.requirement)


_SILENCE = _Statement()

#: The decorators that were made here, to find them where they have no effect.
_RULE_DECORATORS: WeakSet[Callable[..., Any]] = WeakSet()


def public(reason: str) -> Callable[[_T], _T]:
    """Open a Resource class or a method to everybody: the chain does not run, and ``current_user`` is false.

    :param reason: why; who lists the routes of the API will read it
    :raises ConfigurationError: no reason, or something else on the same object that closes it
    """
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigurationError(f'public needs a reason: @public(reason="health probe"), not {reason!r}')
    return _decorator(_Statement(access=Access.PUBLIC, reason=reason.strip()))


def optional(target: _T) -> _T:
    """Let a request without any credentials in as anonymous; credentials that are there must be good.

    It is used without parentheses. Credentials that are wrong, even a blank header, are a 401: whoever tries to be
    somebody must not be taken for nobody.

    :raises ConfigurationError: the target is no class or function, or is ``public`` as well
    """
    return _decorator(_Statement(access=Access.OPTIONAL))(target)


_RULE_DECORATORS.add(optional)


def authenticators(*providers: Authenticator | None, reason: str | None = None) -> Callable[[_T], _T]:
    """Ask these providers instead of the default chain, in this order.

    :param providers: registered names, provider objects, or :data:`USE_DEFAULT`; or ``None`` alone to bypass
        authentication, which is the same as :func:`public` and needs its ``reason``
    :raises ConfigurationError: no providers, one of a wrong type, or a ``reason`` where nothing is bypassed
    """
    if providers == (None,):
        return public(reason)  # type: ignore[arg-type]  # public says what is wrong with None
    if reason is not None:
        raise ConfigurationError("authenticators takes a reason only with None: @authenticators(None, reason=...)")
    if not providers:
        raise ConfigurationError("authenticators needs providers: an empty chain would be nobody's intention")
    for provider in providers:
        if not isinstance(provider, (str, AbstractAuthenticationProvider, UseDefault)) or provider == "":
            raise ConfigurationError(
                "authenticators takes names, provider objects and USE_DEFAULT, each as an argument of its own, "
                f"not {provider!r}"
            )
    return _decorator(_Statement(authenticators=providers))  # type: ignore[arg-type]  # None was refused just now


def require(
    *,
    roles: str | Iterable[str] | None = None,
    any_role: str | Iterable[str] | None = None,
    scopes: str | Iterable[str] | None = None,
    any_scope: str | Iterable[str] | None = None,
) -> Callable[[_T], _T]:
    """Ask for roles and scopes: a verified caller who has not got them gets 403, an anonymous one 401.

    Several ``require``, on a method, its class and their bases, must all be met.

    :param roles: one name, or all of several
    :param any_role: at least one of these
    :param scopes: one name, or all of several
    :param any_scope: at least one of these
    :raises ConfigurationError: nothing is asked for, an empty list, or something that is no name
    """
    groups = [_read_names(roles, "roles"), _read_names(any_role, "any_role")]
    groups += [_read_names(scopes, "scopes"), _read_names(any_scope, "any_scope")]
    if not any(groups):
        raise ConfigurationError("require() asks for nothing: give roles, any_role, scopes or any_scope")
    all_roles, one_role, all_scopes, one_scope = groups
    return _decorator(
        _Statement(
            requirement=Requirement(
                all_roles,
                frozenset({one_role} - {frozenset()}),
                all_scopes,
                frozenset({one_scope} - {frozenset()}),
            )
        )
    )


def _read_names(names: str | Iterable[str] | None, argument: str) -> frozenset[str]:
    if names is None:
        return frozenset()
    try:
        collected = collect_names([names] if isinstance(names, str) else names, what=f"require({argument}=...)")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from error
    if not collected:
        raise ConfigurationError(f"require({argument}=...) is empty: that would ask for nothing")
    return collected


def _decorator(statement: _Statement) -> Callable[[_T], _T]:
    def decorate(target: _T) -> _T:
        if isinstance(target, MethodType) or not callable(target):
            raise ConfigurationError(
                f"rules decorate a Resource class or a method in its body, not {target!r}; "
                "in method_decorators and Api(decorators=...) they would have no effect"
            )
        if not isinstance(target, type) and hasattr(target, "view_class"):
            raise ConfigurationError(
                f"rules decorate a Resource class or its methods, and {target!r} is a view function made from one: "
                "in Api(decorators=...) a rule would have no effect"
            )
        merged = _merge(_stated_on(target), statement, target)
        if merged.access is Access.PUBLIC and isinstance(target, type):
            _refuse_to_silence(target.__qualname__, map(_stated_on, target.__mro__[1:]))
        try:
            setattr(target, _ATTRIBUTE, merged)
        except (AttributeError, TypeError) as error:
            raise ConfigurationError(f"{target!r} cannot carry a rule: {error}") from error
        return target

    _RULE_DECORATORS.add(decorate)
    return decorate


def _merge(said: _Statement, more: _Statement, target: object) -> _Statement:
    """Return both statements as one.

    :raises ConfigurationError: they contradict each other
    """
    if said.access and more.access and said.access is not more.access:
        raise ConfigurationError(f"{_name(target)} cannot be both public and optional")
    if said.authenticators is not None and more.authenticators is not None:
        raise ConfigurationError(f"{_name(target)} has authenticators twice: write them as one")
    merged = replace(
        said,
        access=more.access or said.access,
        reason=more.reason or said.reason,
        authenticators=more.authenticators if said.authenticators is None else said.authenticators,
        requirement=said.requirement & more.requirement,
    )
    if merged.access is Access.PUBLIC and merged.closes():
        raise ConfigurationError(f"{_name(target)} cannot be public and have require or authenticators as well")
    return merged


def _stated_on(target: object) -> _Statement:
    """Return what is said on this object itself; a class does not say what its bases say."""
    target = getattr(target, "__func__", target)
    statement: _Statement = getattr(target, "__dict__", {}).get(_ATTRIBUTE, _SILENCE)
    return statement


def has_rule(target: object) -> bool:
    """Return whether a rule that closes is written on this very object."""
    return _stated_on(target).closes()


def find_method(resource: type, verb: str) -> str:
    """Return the name of the method that answers ``verb``, as Flask-RESTful finds it: HEAD falls back on ``get``."""
    name = verb.lower()
    return "get" if name == "head" and getattr(resource, "head", None) is None else name


def resolve_rule(resource: type, verb: str) -> Rule:
    """Return the rule of one verb of a Resource class.

    :param resource: the class, as it was added to the Api
    :param verb: the request's method; one for which the class has no method of its own goes by the class's rules
    :raises ConfigurationError: ``public`` and ``require`` contradict each other along the MRO, or a rule stands where
        it has no effect
    """
    _refuse_misplaced_rules(resource)
    name = find_method(resource, verb)
    on_class = [(owner, _stated_on(owner)) for owner in resource.__mro__]
    on_method = [(owner, _stated_on(vars(owner)[name])) for owner in resource.__mro__ if name in vars(owner)]
    owner, method = on_method[0] if on_method else (resource, _SILENCE)
    itself = _stated_on(resource)

    requirement = NO_REQUIREMENT
    for _, statement in on_class + on_method:
        requirement &= statement.requirement
    # The nearest counts: the method that runs, then the classes from here to the base, each after the methods
    # in it that were overridden.
    overridden = dict(on_method[1:])
    stated = [method, *(found for base, said in on_class for found in (overridden.get(base, _SILENCE), said))]
    chain = next((found.authenticators for found in stated if found.authenticators is not None), None)

    if method.access is not None:
        access, reason, source = method.access, method.reason, f"{owner.__qualname__}.{name}"
        # Within one class a public method of a class with require says so itself, right beside it.
        silenced = [said for base, said in on_class if base is not owner] + [said for _, said in on_method[1:]]
    elif itself.access is not None and not method.closes():
        access, reason, source = itself.access, itself.reason, f"{resource.__qualname__} (class)"
        silenced = [said for _, said in on_class + on_method]
    else:
        access, reason, source, silenced = Access.CLOSED, None, "default", []
    if access is Access.PUBLIC:
        _refuse_to_silence(f"{resource.__qualname__}.{name}", silenced)
    return Rule(access, chain, requirement if access is not Access.PUBLIC else NO_REQUIREMENT, reason, source)


def _refuse_to_silence(name: str, statements: Iterable[_Statement]) -> None:
    """Raise if what is public would silence a ``require`` written elsewhere along the MRO.

    :raises ConfigurationError: it would
    """
    for statement in statements:
        if statement.requirement:
            raise ConfigurationError(
                f"{name} is public, and another class of its MRO has a require, which public cannot take back: "
                f"{statement.requirement}"
            )


def _refuse_misplaced_rules(resource: type) -> None:
    """Raise if a rule stands among the ``method_decorators``, where it would change nothing.

    :raises ConfigurationError: one does
    """
    decorators = getattr(resource, "method_decorators", None) or ()
    lists = decorators.values() if isinstance(decorators, Mapping) else [decorators]
    if any(decorator in _RULE_DECORATORS for decorators in lists for decorator in decorators):
        raise ConfigurationError(
            f"{resource.__qualname__}.method_decorators has a rule, which has no effect there: decorate the class"
        )


def _name(target: object) -> str:
    return getattr(target, "__qualname__", repr(target))
