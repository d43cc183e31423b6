"""Say what a Resource or one of its methods asks for: ``public``, ``optional``, ``authenticators``, ``require``.

The decorators leave a :class:`~flask_securest.rules.statements.Statement` on what they decorate. What all statements
about a method come to, its own and those on its class and their bases, is found in
:mod:`flask_securest.rules.resolution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any, TypeVar, cast
from weakref import WeakSet

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..errors import ConfigurationError
from ..models import collect_names
from .requirement import Requirement
from .statements import (
    USE_DEFAULT,
    Access,
    Authenticator,
    Statement,
    UseDefault,
    copy_function,
    get_statement,
    merge,
    put_statement,
    refuse_late_rule,
    refuse_to_silence,
)
from .written import write_down

__all__ = ["USE_DEFAULT", "authenticators", "is_rule", "optional", "public", "require"]

_T = TypeVar("_T", bound=Callable[..., Any])

#: The decorators that were made here, to find them where they have no effect.
_DECORATORS: WeakSet[Callable[..., Any]] = WeakSet()


def public(reason: str) -> Callable[[_T], _T]:
    """Open a Resource class or a method to everybody: the chain does not run, and ``current_user`` is false.

    :param reason: why; who lists the routes of the API will read it
    :raises ConfigurationError: no reason, or something else on the same object that closes it
    """
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigurationError(f'public needs a reason: @public(reason="health probe"), not {reason!r}')
    return _make_decorator(Statement(access=Access.PUBLIC, reason=reason.strip()))


def optional(target: _T) -> _T:
    """Let a request without any credentials in as anonymous; credentials that are there must be good.

    It is used without parentheses. Credentials that are wrong, even a blank header, are a 401: whoever tries to be
    somebody must not be taken for nobody.

    :param target: the Resource class or the method
    :raises ConfigurationError: it is no class or function, or it is ``public`` as well
    """
    return _make_decorator(Statement(access=Access.OPTIONAL))(target)


_DECORATORS.add(optional)


def authenticators(*providers: Authenticator | None, reason: str | None = None) -> Callable[[_T], _T]:
    """Ask these providers instead of the default chain, in this order.

    :param providers: registered names, provider objects, or :data:`USE_DEFAULT`; or ``None`` alone to bypass
        authentication, which is the same as :func:`public` and needs its ``reason``
    :param reason: why nobody is asked
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
                "authenticators takes names, provider objects and USE_DEFAULT, each as an argument of its own; one is "
                f"of type {type(provider).__name__}"
            )
    return _make_decorator(Statement(authenticators=providers))  # type: ignore[arg-type]  # None was refused just now


def require(
    *names: object,
    roles: str | Iterable[str] | None = None,
    any_role: str | Iterable[str] | None = None,
    scopes: str | Iterable[str] | None = None,
    any_scope: str | Iterable[str] | None = None,
) -> Callable[[_T], _T]:
    """Ask for roles and scopes: a verified caller who has not got them gets 403, an anonymous one 401.

    Several ``require``, on a method, its class and their bases, must all be met.

    :param names: nothing: everything is given by keyword
    :param roles: one name, or all of several
    :param any_role: at least one of these
    :param scopes: one name, or all of several
    :param any_scope: at least one of these
    :raises TypeError: names are given without a keyword
    :raises ConfigurationError: nothing is asked for, an empty list, or something that is no name
    """
    if names:
        raise TypeError(
            "require takes names by keyword: require(roles=...) for roles that are all needed, any_role=... for one of "
            f"several, scopes=... and any_scope=... for scopes; it was given {', '.join(map(repr, names))}"
        )
    one_role, one_scope = _read_names(any_role, "any_role"), _read_names(any_scope, "any_scope")
    requirement = Requirement(
        roles=_read_names(roles, "roles"),
        any_role=frozenset({one_role} if one_role else ()),
        scopes=_read_names(scopes, "scopes"),
        any_scope=frozenset({one_scope} if one_scope else ()),
    )
    if not requirement:
        raise ConfigurationError("require() asks for nothing: give roles, any_role, scopes or any_scope")
    return _make_decorator(Statement(requirement=requirement))


def is_rule(decorator: object) -> bool:
    """Return whether this is one of the decorators that are made here.

    :param decorator: anything
    """
    return isinstance(decorator, FunctionType) and decorator in _DECORATORS


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


def _make_decorator(statement: Statement) -> Callable[[_T], _T]:
    def decorate(target: _T) -> _T:
        made_from_class = isinstance(getattr(target, "view_class", None), type)
        if isinstance(target, MethodType) or not callable(target) or made_from_class:
            raise ConfigurationError(
                f"rules decorate a Resource class or a method in its body, not {target!r}; on a view function, in "
                "method_decorators and in Api(decorators=...) a rule would have no effect"
            )
        if isinstance(target, staticmethod) and isinstance(target.__func__, FunctionType):
            # On its function: who borrows it, get = Other.get, has that alone.
            function = decorate(target.__func__)
            return target if function is target.__func__ else type(target)(function)
        said = get_statement(target)
        merged = merge(said, statement, getattr(target, "__qualname__", repr(target)))
        if isinstance(target, type) and merged.access is Access.PUBLIC:
            refuse_to_silence(target.__qualname__, map(get_statement, target.__mro__[1:]))
        decorated: Any = target
        if isinstance(target, FunctionType) and statement.access is not None:
            # What opens, opens a copy. A function that is borrowed from another class, get = public(...)(Other.get),
            # would open that one too. (What closes may well close it as well.)
            decorated = copy_function(target)
        else:
            refuse_late_rule(target, said, merged)
        written = put_statement(decorated, merged)
        if not isinstance(target, type):
            write_down(target, decorated, written, opens=statement.access is not None)
        return cast(_T, decorated)

    _DECORATORS.add(decorate)
    return decorate
