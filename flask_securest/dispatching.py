"""Prepare the classes of guarded views: judge the verb that runs, and await ``async def`` methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Request, current_app
from flask.views import MethodView, http_method_funcs
from flask_restful import Resource

from .current import current_request, get_in_force
from .guard import GuardedView
from .preflights import JUDGING_AGAIN, PREPARED, is_preflight
from .wrapper import call_guarded

#: These choose the method by what ``request.method`` is at the time.
_DISPATCHERS = (Resource.dispatch_request, MethodView.dispatch_request)

#: These belong to everybody, and are left as they are.
_OF_OTHERS = (Resource, MethodView)


def prepare_class(resource: type, *, is_bare: bool = False) -> None:
    """Prepare the class of a guarded view. Others that share it, or inherit from it, are no worse off.

    What is put on it passes on to what comes behind it in the MRO of whatever class an object is of: a mixin with a
    ``dispatch_request`` or with decorators of its own goes on having its say.

    :param resource: a Resource or View class
    :param is_bare: whether nothing stands between the guard of the view and its class, so that it need not judge again
    """
    if resource in _OF_OTHERS or _find_dispatcher(resource) not in _DISPATCHERS:
        return
    if not is_bare:
        if getattr(resource, "dispatch_request", None) not in JUDGING_AGAIN:
            resource.dispatch_request = _judging_again(resource)  # type: ignore[attr-defined]
        PREPARED.add(resource)
    if issubclass(resource, Resource):
        _make_coroutines_work(resource)


def _find_dispatcher(resource: type) -> object:
    """Return what dispatches the requests of a class, without what has been put on it or on its bases here."""
    found = (vars(owner).get("dispatch_request") for owner in resource.__mro__)
    return next((each for each in found if each is not None and each not in JUDGING_AGAIN), None)


def _judging_again(owner: Any) -> Callable[..., Any]:
    """Return a ``dispatch_request`` that judges once more, unless this class and this verb have been judged.

    It is the innermost place that all decorators lead to. One of the Api or of the class may change the method of the
    request after both guards: an anonymous GET of what is public must not become the administrators' DELETE. And one
    that hides which view it decorates must not open it (CWE-863).

    :param owner: the class that it is put on
    """

    @functools.wraps(owner.dispatch_request)
    def judging_again(self: Any, *args: Any, **kwargs: Any) -> Any:
        current = current_request()
        verdict: Any = get_in_force(current)
        dispatch_request = super(owner, self).dispatch_request
        if verdict is not None:
            target = verdict.policy.target
            if target.resource is type(self) and target.verb == current.method:
                return dispatch_request(*args, **kwargs)
        view = _find_view_to_judge(current, verdict, self)
        if view is None:
            return dispatch_request(*args, **kwargs)
        if current.method == "OPTIONS" and is_preflight(current, type(self)):
            # It has come this far, past all decorators. Even if this object has an options method, of which its class
            # knows nothing, that does not run.
            return current_app.make_default_options_response()
        return call_guarded(current, view, dispatch_request, args, kwargs)

    JUDGING_AGAIN.add(judging_again)
    return judging_again


def _find_view_to_judge(current: Request, verdict: Any, resource: Any) -> GuardedView | None:
    """Return the guarded view that an object's class is of; ``None`` where it need not be judged.

    :param current: the request
    :param verdict: the verdict in force, which is not on this very class and verb
    :param resource: the object, of a View class
    """
    if verdict is not None:
        view: GuardedView = verdict.policy.view
        if isinstance(view.resource, type) and isinstance(resource, view.resource):
            same = verdict.policy.target.resource is not object and verdict.policy.target.verb == current.method
            return None if same else view
    guarded_app = current_app.extensions.get("securest")
    return None if guarded_app is None else guarded_app.find_view_of_class(type(resource), current.endpoint)


def _make_coroutines_work(resource: Any) -> None:
    """Let ``async def`` methods of a Resource class be awaited.

    Flask awaits the views that it calls itself; Flask-RESTful calls the methods of a Resource, and would try to render
    the coroutine. ``method_decorators`` is its own place for this. Ours comes last, and leaves alone what another one
    has awaited already.
    """
    own = vars(resource).get("method_decorators", _Awaiting)
    if hasattr(type(own), "__get__") and own is not _Awaiting:
        return  # ours, or another descriptor
    if any(inspect.iscoroutinefunction(getattr(resource, verb, None)) for verb in http_method_funcs):
        resource.method_decorators = _Awaiting(resource, None if own is _Awaiting else own)


class _Awaiting:
    """Be the ``method_decorators`` of a class, with one more for its objects.

    Whoever reads them from the class, or appends to them there, has those that the application has written.

    :param owner: the class
    :param own: what it has in its own body; ``None`` if it has none
    """

    def __init__(self, owner: Any, own: Any) -> None:
        self._owner = owner
        self._own = own

    def __get__(self, instance: object | None, owner: type) -> Any:
        found: Any = self._own
        if found is None:
            behind: Any = super(self._owner, owner) if instance is None else super(self._owner, instance)
            found = behind.method_decorators
        if instance is None or not isinstance(found, Iterable):
            return found
        return _AwaitingByVerb(found) if isinstance(found, Mapping) else [*found, _awaiting]


class _AwaitingByVerb(dict[str, Any]):
    """Be a mapping of ``method_decorators`` with one more for each verb, HEAD included, which runs ``get``."""

    def get(self, verb: str, default: Any = ()) -> Any:
        """Return the decorators of a verb."""
        return [*super().get(verb, default), _awaiting]


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
