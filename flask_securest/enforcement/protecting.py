"""Guard plain view functions and View classes: ``@securest.protect``.

A function gets a mark, by which the gate knows it, and a guard around it, which is there even where the mark has been
lost. So the decorator may stand above or below ``@app.route``, and below decorators without ``functools.wraps``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any
from weakref import WeakSet

from flask import Flask, current_app, request_started
from flask.views import View
from flask_restful import Api

from ..current import current_request, get_in_force
from ..decision.choosing import same_arguments
from ..decision.verdict import Verdict
from ..errors import ConfigurationError
from ..rules.functions import ProtectedFunction
from ..rules.statements import PROTECTION_MARK
from .dispatching import prepare_class
from .guard import ApiGuard, GuardedView
from .wrapper import call_guarded, make_callable


class Protection:
    """Hold a protected function.

    :param guard: who guards it
    :param function: the function itself
    :param api: the Api whose ``output`` has made it, if one has
    """

    __slots__ = ("__weakref__", "api", "copies", "function", "guard", "registered", "wrapper")

    def __init__(self, guard: ApiGuard, function: Callable[..., Any], api: Api | None = None) -> None:
        self.guard = guard
        self.function = function
        self.api = api
        #: What ``public`` and ``optional`` have made of it, and which of all these have been registered.
        self.copies: list[Any] = []
        self.registered: list[Any] = []
        self.wrapper = _wrap(self)


def protect_function(guard: ApiGuard, function: Callable[..., Any]) -> Protection:
    """Mark a function, and return it with the guard around it.

    :param guard: who guards it
    :param function: a view function
    :raises ConfigurationError: it is none, or another guard guards it
    """
    if not isinstance(function, FunctionType):
        raise ConfigurationError(
            "protect decorates a view function or a flask.views.View class, not an object of type "
            f"{type(function).__name__}"
        )
    known: Protection | None = function.__dict__.get(PROTECTION_MARK)
    if known is not None and known.guard is not guard:
        raise ConfigurationError(f"{function.__qualname__} is already protected by another SecuREST object")
    # A decorator in between has copied the mark: what it returns needs a guard of its own.
    if known is not None and function in (known.function, known.wrapper):
        return known
    protection = Protection(guard, function)
    guard.protections.add(protection)
    _refuse_until_attached(guard)
    return protection


def protect_output(guard: ApiGuard, function: Callable[..., Any], api: Api) -> Callable[..., Any]:
    """Return what an Api's ``output`` has made, with a guard around it: no decorator can lead past that.

    :param guard: who guards the Api
    :param function: the view function
    :param api: the Api
    """
    return Protection(guard, function, api).wrapper if isinstance(function, FunctionType) else function


def protect_class(guard: ApiGuard, view_class: type[View]) -> None:
    """Mark a View class and its subclasses, and put a guard around each view function that it makes from now on.

    :param guard: who guards it
    :param view_class: the class
    :raises ConfigurationError: another guard guards it
    """
    known = getattr(view_class, PROTECTION_MARK, None)
    if known is not None and known is not guard:
        raise ConfigurationError(f"{view_class.__qualname__} is already protected by another SecuREST object")
    if PROTECTION_MARK in vars(view_class):
        return
    setattr(view_class, PROTECTION_MARK, guard)
    prepare_class(view_class)
    _guard_views_of(view_class, guard)
    own: Any = vars(view_class).get("__init_subclass__")

    def init_subclass(cls: Any, **kwargs: Any) -> None:
        behind: Any = super(view_class, cls) if own is None else None
        behind.__init_subclass__(**kwargs) if behind else own.__func__(cls, **kwargs)
        if "as_view" in vars(cls):
            _guard_views_of(cls, guard)  # it makes its view functions in a way of its own

    view_class.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment,arg-type]


def _guard_views_of(view_class: Any, guard: ApiGuard) -> None:
    """Put a guard around each view function that a class makes."""
    as_view: Any = view_class.as_view.__func__

    @functools.wraps(as_view)
    def as_protected_view(cls: type[View], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return protect_function(guard, as_view(cls, *args, **kwargs)).wrapper

    view_class.as_view = classmethod(as_protected_view)


#: Guards with protected functions, of which no application has heard yet.
_UNATTACHED: WeakSet[ApiGuard] = WeakSet()


def _refuse_until_attached(guard: ApiGuard) -> None:
    """Refuse a function that was protected above ``@app.route``, while nothing guards its application.

    What is registered then is the function itself, without the guard around it.
    """
    if not guard.apps:
        _UNATTACHED.add(guard)
        request_started.connect(_refuse_unattached)


def _refuse_unattached(sender: Flask, **extra: Any) -> None:
    for guard in list(_UNATTACHED):
        if guard.apps:
            _UNATTACHED.discard(guard)
    if not _UNATTACHED:
        request_started.disconnect(_refuse_unattached)  # so that it costs nothing from then on
    function = sender.view_functions.get(current_request().endpoint or "")
    protection = getattr(function, "__dict__", {}).get(PROTECTION_MARK)
    if isinstance(protection, Protection) and "securest" not in sender.extensions:
        raise _make_error(protection, sender)


def _make_error(protection: Protection, app: Flask) -> ConfigurationError:
    return ConfigurationError(
        f"{protection.function.__qualname__} is protected by a SecuREST object, and the application {app.name!r} is "
        "not attached to any: say securest.init_app(app), or securest.init_api(api)"
    )


def _wrap(protection: Protection) -> Callable[..., Any]:
    function = protection.function
    call = make_callable(function)
    setattr(function, PROTECTION_MARK, protection)

    @functools.wraps(function)
    def protected(*args: Any, **kwargs: Any) -> Any:
        current = current_request()
        own, registered = _find_views(protection)
        verdict = get_in_force(current)
        if (
            isinstance(verdict, Verdict)
            and (verdict.policy.view is own or verdict.policy.view in registered)
            and verdict.policy.target.verb == current.method
            and (verdict.arguments is None or (not args and same_arguments(verdict.arguments, kwargs)))
        ):
            return call(*args, **kwargs)  # the gate has let it in
        return call_guarded(current, own, call, args, kwargs)

    return protected


def _find_views(protection: Protection) -> tuple[GuardedView, list[GuardedView]]:
    """Return what a protected function is in the current application: by itself, and at its endpoints.

    :raises ConfigurationError: nothing guards that application
    """
    guarded_app = current_app.extensions.get("securest")
    if guarded_app is None:
        raise _make_error(protection, current_app)
    views: tuple[GuardedView, list[GuardedView]] = guarded_app.find_protected_views(protection)
    return views


#: What all guards of protected functions have in common, to tell them from what has been put around them.
_CODE_OF_GUARDS = next(c for c in _wrap.__code__.co_consts if getattr(c, "co_name", "") == "protected")


def is_protecting(function: object) -> bool:
    """Return whether this is the guard around a protected function, and not something around it.

    :param function: anything
    """
    return type(function) is FunctionType and function.__code__ is _CODE_OF_GUARDS


def unwrap(function: Any) -> Any:
    """Return a protected function without the guard around it; anything else as it is.

    :param function: a view function
    """
    while is_protecting(function):
        function = function.__wrapped__
    return function


def target_of(function: Any, protection: Protection) -> type | ProtectedFunction:
    """Return what a protected view function is judged by: its class, or itself with all that carries rules of it.

    :param function: the function as it was registered
    :param protection: what is known of it
    """
    view_class = getattr(protection.function, "view_class", None)
    if isinstance(view_class, type):
        return view_class
    return ProtectedFunction(protection.function, (function, protection.wrapper, protection.function), protection)


def is_same(one: object, other: object) -> bool:
    """Return whether two views are of the same class, or of the same function with the same rules.

    :param one: what a view is of
    :param other: what another one is of
    """
    if isinstance(one, ProtectedFunction) and isinstance(other, ProtectedFunction):
        return one.carriers == other.carriers
    return one is other
