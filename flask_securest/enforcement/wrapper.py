"""Put a guard around each view function: the second of the two, see :mod:`flask_securest.enforcement.gate`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from flask import Request, current_app

from ..current import INNER_CALL, current_request, get_context, get_in_force
from ..decision.choosing import same_arguments
from ..decision.verdict import Refusal
from .guard import RAISED_IN_VIEWS, GuardedView

ViewFunction = Callable[..., Any]

#: On a guarded view function: which view it is. ``functools.wraps`` copies it to whatever is put around.
VIEW_MARK = "__flask_securest_view__"

#: On the same: the view function as it was registered.
_REGISTERED = "__flask_securest_registered__"


def wrap(function: ViewFunction, view: GuardedView, registered: ViewFunction) -> ViewFunction:
    """Return a view function that is behind its guard.

    :param function: the view function
    :param view: which view it is
    :param registered: what was registered: the function, or that with another guard of ours around it
    """
    inner_call = INNER_CALL.get
    call = make_callable(function)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        # It has been judged if it came through the gate, and neither another view is calling this one, nor has somebody
        # changed the method of the request or the arguments of the view since.
        try:
            current = get_context().request
            inner = inner_call()
            # As get_in_force() does, without the cost of a call on every request. Nobody else puts any in force.
            verdict: Any = inner[1] if inner is not None and inner[0] is current else current._flask_securest_state
            policy, arguments = verdict.policy, verdict.arguments
            is_judged = (
                policy.view is view
                and policy.target.verb == current.method
                and (
                    arguments is None
                    or not (args or kwargs or arguments)
                    or (not args and same_arguments(arguments, kwargs))
                )
            )
        except (AttributeError, LookupError):
            is_judged = False  # there is no verdict: there is no gate, or no request
        if not is_judged:
            return call_guarded(current_request(), view, call, args, kwargs)
        try:
            return call(*args, **kwargs) if kwargs or args else call()
        except RAISED_IN_VIEWS as error:
            raised = error
        # The view may have been judged again, for another verb, by securest.judge().
        judged_again: Any = get_in_force(current)
        return view.guard.refuse_after_all(current, view, judged_again or verdict, raised)

    guarded.__dict__.pop("_is_coroutine_mark", None)  # inspect.markcoroutinefunction's; this one need not be awaited
    setattr(guarded, VIEW_MARK, view)
    setattr(guarded, _REGISTERED, registered)
    return guarded


def call_guarded(current: Request, view: GuardedView, call: ViewFunction, args: Any, kwargs: Any) -> Any:
    """Judge a call of a view function from within a request, and return what the view answers, or the refusal.

    :param current: the request
    :param view: the view
    :param call: its function
    :param args: its positional arguments
    :param kwargs: its other arguments
    """
    verdict = view.guard.judge(current, view, {**kwargs, "*": args} if args else kwargs)
    if isinstance(verdict, Refusal):
        refusal = view.guard.refuse(current, view, verdict)
        if refusal is not None:
            return refusal
    token = INNER_CALL.set((current, verdict))
    try:
        return call(*args, **kwargs)
    except RAISED_IN_VIEWS as error:
        raised = error
    finally:
        INNER_CALL.reset(token)
    return view.guard.refuse_after_all(current, view, verdict, raised)


def make_callable(function: ViewFunction) -> ViewFunction:
    """Return a function that can be called without waiting for it: Flask awaits only what it calls itself.

    :param function: a view function, which may be an ``async def``
    """
    if not inspect.iscoroutinefunction(function):
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(function)(*args, **kwargs)

    return call


#: What all wrappers have in common, to tell them from what has been put around them, which has their marks, too.
_CODE_OF_WRAPPERS = next(c for c in wrap.__code__.co_consts if getattr(c, "co_name", "") == "guarded")


def is_wrapper(function: object) -> bool:
    """Return whether this is what :func:`wrap` returns, and not something around it.

    :param function: anything
    """
    # By its type, too: a proxy has the code of what it stands for, which may be another one the next time.
    return type(function) is FunctionType and function.__code__ is _CODE_OF_WRAPPERS


def find_view_of(function: Any) -> GuardedView | None:
    """Return the view that a wrapper guards; ``None`` for what is none.

    :param function: anything
    """
    return getattr(function, VIEW_MARK, None) if is_wrapper(function) else None


def find_registered(function: Any) -> Any:
    """Return a view function as it was registered, before a wrapper was put around it.

    :param function: the view function
    """
    while is_wrapper(function):
        function = getattr(function, _REGISTERED)
    return function
