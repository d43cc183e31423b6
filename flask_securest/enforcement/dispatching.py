"""Prepare the classes of guarded views: judge the verb that runs, and await ``async def`` methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Request, current_app
from flask.views import MethodView, http_method_funcs
from flask_restful import Resource
from werkzeug.exceptions import HTTPException

from ..current import current_request, get_in_force, put_in_force
from ..decision.verdict import Refusal
from ..errors import ConfigurationError
from .guard import ApiGuard, GuardedView
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
    if resource in _OF_OTHERS:
        return
    is_own = _find_dispatcher(resource) not in _DISPATCHERS
    if not is_bare and not is_own:
        if getattr(resource, "dispatch_request", None) not in JUDGING_AGAIN:
            resource.dispatch_request = _judging_again(resource)  # type: ignore[attr-defined]
        PREPARED.add(resource)
    if issubclass(resource, Resource):
        _decorate_methods(resource, is_judged=is_own)


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
        return _call_judged(self, super(owner, self).dispatch_request, args, kwargs)

    JUDGING_AGAIN.add(judging_again)
    return judging_again


def _call_judged(resource: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call what an object does, unless its class and the verb have to be judged first, and are refused.

    :param resource: the object, of a View class
    :param call: one of its methods
    :param args: its positional arguments
    :param kwargs: its other arguments
    """
    current = current_request()
    verdict: Any = get_in_force(current)
    if verdict is not None:
        target = verdict.policy.target
        if target.resource is type(resource) and target.verb == current.method:
            return call(*args, **kwargs)
    view = _find_view_to_judge(current, verdict, resource)
    if view is None:
        return call(*args, **kwargs)
    if current.method == "OPTIONS" and is_preflight(current, type(resource)):
        # It has come this far, past all decorators. Even if this object has an options method, of which its class
        # knows nothing, that does not run.
        return current_app.make_default_options_response()
    return call_guarded(current, view, call, args, kwargs)


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


def judge_again(guard: ApiGuard, verb: str) -> None:
    """Judge the view that is running for another verb, and put that verdict in force.

    :param guard: who must be guarding it
    :param verb: the verb
    :raises ConfigurationError: it is guarded by nobody, or by another, or ``verb`` is no verb
    :raises HTTPException: the refusal, as a response
    """
    if not isinstance(verb, str) or not verb:
        raise ConfigurationError(f'judge takes a verb, for example "DELETE", not {verb!r}')
    current = current_request()
    verdict: Any = get_in_force(current)
    if verdict is None or verdict.policy.view.guard is not guard:
        raise ConfigurationError(f"judge({verb!r}) is called where no view runs that this SecuREST guards")
    view: GuardedView = verdict.policy.view
    arguments = current.view_args or {} if verdict.arguments is None else verdict.arguments
    judged = guard.decide(current, guard.find_policy(view, verb.upper()), dict(arguments))
    refusal = guard.refuse(current, view, judged) if isinstance(judged, Refusal) else None
    if refusal is not None:
        raise HTTPException(response=refusal)
    put_in_force(current, judged)


def _decorate_methods(resource: Any, *, is_judged: bool) -> None:
    """Let ``async def`` methods of a Resource class be awaited, and judge the verb that runs where that is needed.

    Flask awaits the views that it calls itself; Flask-RESTful calls the methods of a Resource, and would try to render
    the coroutine. A ``dispatch_request`` of one's own may change the method of the request before it goes on to
    Flask-RESTful's: an anonymous GET of what is public must not become the administrators' DELETE (CWE-863).

    ``method_decorators`` is Flask-RESTful's own place for this. Ours come last, around all others.

    :param resource: the class
    :param is_judged: whether it has such a ``dispatch_request``
    """
    own = vars(resource).get("method_decorators", _MISSING)
    if isinstance(own, _MethodDecorators):
        return
    if is_judged or any(inspect.iscoroutinefunction(getattr(resource, verb, None)) for verb in http_method_funcs):
        resource.method_decorators = _MethodDecorators(resource, own, is_judged=is_judged)


_MISSING = object()


class _MethodDecorators:
    """Be the ``method_decorators`` of a class, with ours around them for its objects.

    Whoever reads them from the class, or appends to them there, has those that the application has written.

    :param owner: the class
    :param own: what it has in its own body; ``_MISSING`` if it has none
    :param is_judged: whether to judge the verb that runs
    """

    def __init__(self, owner: Any, own: Any, *, is_judged: bool) -> None:
        self._owner = owner
        self._own = own
        self._is_judged = is_judged

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is not None and "method_decorators" in vars(instance):
            found = vars(instance)["method_decorators"]
        elif self._own is _MISSING:
            behind: Any = super(self._owner, owner) if instance is None else super(self._owner, instance)
            found = behind.method_decorators
        else:
            found = self._own
            if hasattr(type(found), "__get__"):
                found = found.__get__(instance, owner)
        if instance is None or not isinstance(found, Iterable):
            return found
        ours: list[Callable[..., Any]] = [_awaiting]
        if self._is_judged:
            ours.append(functools.partial(_judging, instance))
        return _DecoratorsByVerb(found, ours) if isinstance(found, Mapping) else [*found, *ours]

    def __set__(self, instance: object, value: object) -> None:
        # What an object sets, in its __init__ or later, must not take the place of ours.
        vars(instance)["method_decorators"] = value

    def __delete__(self, instance: object) -> None:
        del vars(instance)["method_decorators"]


class _DecoratorsByVerb(dict[str, Any]):
    """Be a mapping of ``method_decorators`` with ours for each verb, HEAD included, which runs ``get``.

    :param found: the mapping
    :param ours: what comes around them
    """

    def __init__(self, found: Mapping[str, Any], ours: list[Callable[..., Any]]) -> None:
        super().__init__(found)
        self._ours = ours

    def get(self, verb: str, default: Any = ()) -> Any:
        """Return the decorators of a verb."""
        return [*super().get(verb, default), *self._ours]


def _judging(resource: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls ``method`` once the verb that runs has been judged."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _call_judged(resource, method, args, kwargs)

    return call


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
