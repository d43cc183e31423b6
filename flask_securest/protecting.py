"""Guard plain view functions and View classes: ``@securest.protect``.

A function gets a mark, by which the gate knows it, and a guard around it, which is there even where the mark has been
lost. So the decorator may stand above or below ``@app.route``, and below decorators without ``functools.wraps``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from flask import Request, current_app, request
from flask.views import View

from .current import get_in_force
from .decision import Verdict
from .errors import ConfigurationError
from .gate import call_guarded, make_callable
from .guard import ApiGuard, GuardedView

#: On a protected function, and on the guard around it: its :class:`Protection`. On a protected class: its guard.
PROTECTION_MARK = "__flask_securest_protection__"


class Protection:
    """Hold a protected function.

    :param guard: who guards it
    :param function: the function itself
    """

    __slots__ = ("function", "guard", "wrapper")

    def __init__(self, guard: ApiGuard, function: Callable[..., Any]) -> None:
        self.guard = guard
        self.function = function
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
    return known if known is not None and function in (known.function, known.wrapper) else Protection(guard, function)


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
    as_view: Any = view_class.as_view.__func__  # type: ignore[attr-defined]  # it is a class method

    @functools.wraps(as_view)
    def as_protected_view(cls: type[View], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return protect_function(guard, as_view(cls, *args, **kwargs)).wrapper

    view_class.as_view = classmethod(as_protected_view)  # type: ignore[assignment]


def _wrap(protection: Protection) -> Callable[..., Any]:
    function = protection.function
    call = make_callable(function)
    setattr(function, PROTECTION_MARK, protection)

    @functools.wraps(function)
    def protected(*args: Any, **kwargs: Any) -> Any:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        views = _find_views(protection)
        verdict = get_in_force(current)
        if (
            isinstance(verdict, Verdict)
            and any(verdict.policy.view is view for view in views)
            and verdict.policy.target.verb == current.method
            and (verdict.arguments is None or (not args and verdict.arguments == kwargs))
        ):
            return call(*args, **kwargs)  # the gate has let it in
        return call_guarded(current, views[0], call, args, kwargs)

    return protected


def _find_views(protection: Protection) -> list[GuardedView]:
    """Return what a protected function is in the current application.

    :raises ConfigurationError: nothing guards that application
    """
    guarded_app = current_app.extensions.get("securest")
    if guarded_app is None:
        raise ConfigurationError(
            f"{protection.function.__qualname__} is protected by a SecuREST object, and the application "
            f"{current_app.name!r} is not attached to any: say securest.init_app(app), or securest.init_api(api)"
        )
    views: list[GuardedView] = guarded_app.owners.find_protected_views(protection)
    return views


#: What all guards of protected functions have in common, to tell them from what has been put around them.
_CODE_OF_GUARDS = next(c for c in _wrap.__code__.co_consts if getattr(c, "co_name", "") == "protected")


def is_protecting(function: object) -> bool:
    """Return whether this is the guard around a protected function, and not something around it.

    :param function: anything
    """
    return getattr(function, "__code__", None) is _CODE_OF_GUARDS


def unwrap(function: Any) -> Any:
    """Return a protected function without the guard around it; anything else as it is.

    :param function: a view function
    """
    while is_protecting(function):
        function = function.__wrapped__
    return function
