"""Prepare the classes of guarded views: judge the verb that runs, and await ``async def`` methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Request, current_app, request
from flask.views import MethodView, http_method_funcs
from flask_restful import Resource

from .current import get_in_force
from .decision import Verdict
from .gate import call_guarded
from .preflights import JUDGES_AGAIN

#: These choose the method by what ``request.method`` is at the time.
_DISPATCHERS = (Resource.dispatch_request, MethodView.dispatch_request)

#: These belong to everybody, and are left as they are.
_OF_OTHERS = (Resource, MethodView)


def prepare_class(resource: type) -> None:
    """Prepare the class of a guarded view. Others that share it are no worse off.

    :param resource: a Resource or View class
    """
    original = getattr(resource, "dispatch_request", None)
    if original in _DISPATCHERS and resource not in _OF_OTHERS:
        resource.dispatch_request = _judging_again(original)  # type: ignore[attr-defined]
    if issubclass(resource, Resource) and hasattr(getattr(resource, "dispatch_request", None), JUDGES_AGAIN):
        _make_coroutines_work(resource)


def _judging_again(dispatch_request: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``dispatch_request`` that judges once more if the verb that runs is not the one that was judged.

    A decorator of the Api or of the class may change the method of the request after both guards: an anonymous GET of
    what is public must not become the administrators' DELETE (CWE-863).
    """

    @functools.wraps(dispatch_request)
    def judging_again(self: Any, *args: Any, **kwargs: Any) -> Any:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        verdict = get_in_force(current)
        if isinstance(verdict, Verdict) and verdict.policy.target.verb != current.method:
            view: Any = verdict.policy.view
            # What runs inside of a guarded view may be a class of somebody else.
            if isinstance(view.resource, type) and isinstance(self, view.resource):
                return call_guarded(current, view, functools.partial(dispatch_request, self), args, kwargs)
        return dispatch_request(self, *args, **kwargs)

    setattr(judging_again, JUDGES_AGAIN, True)
    return judging_again


def _make_coroutines_work(resource: Any) -> None:
    """Let ``async def`` methods of a Resource class be awaited.

    Flask awaits the views that it calls itself; Flask-RESTful calls the methods of a Resource, and would try to render
    the coroutine. ``method_decorators`` is its own place for this. Ours comes last, and leaves alone what another one
    has awaited already.
    """
    verbs = [verb for verb in http_method_funcs if inspect.iscoroutinefunction(getattr(resource, verb, None))]
    decorators = resource.method_decorators
    if not verbs or not isinstance(decorators, Iterable):
        return
    if not isinstance(decorators, Mapping):
        if _awaiting not in decorators:
            resource.method_decorators = [*decorators, _awaiting]
        return
    if "get" in verbs and getattr(resource, "head", None) is None:
        verbs.append("head")  # it runs get, with the decorators of head
    missing = [verb for verb in verbs if _awaiting not in decorators.get(verb, ())]
    added = {verb: [*decorators.get(verb, ()), _awaiting] for verb in missing}
    resource.method_decorators = {**decorators, **added}


def _awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls ``method`` and, if it answers with a coroutine, returns what that comes to."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = method(*args, **kwargs)
        if not inspect.iscoroutine(answer):
            return answer

        async def wait() -> Any:
            return await answer

        return current_app.ensure_sync(wait)()

    return call
