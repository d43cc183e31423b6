"""Stand in front of every Resource, on each request: the policy enforcement point.

Each single place to hook into Flask and Flask-RESTful has a hole, so there are two guards over one verdict:

- a *gate*, the first function of ``app.before_request_funcs``, which knows a guarded endpoint by its name or by the
  mark on its view function. A cache or another decorator around a view, which would answer without calling it, comes
  after the gate.
- a *wrapper* around each view function, which is also there when a view function is called directly, or when the
  ``before_request_funcs`` have been cleared.

Whichever comes first asks for the verdict, the other sees the same one. Each alone keeps the Api closed. What happens
inside of a guarded view comes after both: a decorator of the Api, or a Resource with a ``dispatch_request`` of its own,
that changes the method of the request has to ask again itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, request
from flask_restful import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from .current import IN_FORCE, INNER_CALL
from .errors import AuthorizationError, BackendError, ConfigurationError
from .guard import ApiGuard, GuardedView
from .rules import get_statement

ViewFunction = Callable[..., Any]

_MARK = "__flask_securest_view__"  # on a guarded view function; functools.wraps copies it to whatever is put around

_current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


def wrap(function: ViewFunction, view: GuardedView) -> ViewFunction:
    """Return a view function that is behind its guard.

    :param function: the view function as it was registered
    :param view: which view it is
    """
    inner_call = INNER_CALL.get

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        current = _current_request()
        inner = inner_call()
        # As get_in_force() does, without the cost of a call on every request. Nobody else puts any in force.
        verdict: Any = inner[1] if inner is not None and inner[0] is current else current.__dict__.get(IN_FORCE)
        if verdict is None or verdict.policy.view is not view or verdict.policy.target.verb != current.method:
            # It did not come through the gate, or another view is calling this one, or somebody has changed the method
            # of the request since.
            return _judge_and_call(current, view, function, args, kwargs)
        try:
            return function(*args, **kwargs)
        except (AuthorizationError, BackendError) as error:
            return view.guard.refuse_after_all(current, view, verdict, error)

    setattr(guarded, _MARK, view)
    return guarded


def _judge_and_call(current: Request, view: GuardedView, function: ViewFunction, args: Any, kwargs: Any) -> Any:
    verdict = view.guard.judge(current, view)
    if verdict.status is not None:
        refusal = view.guard.refuse(current, view, verdict)
        if refusal is not None:
            return refusal
    token = INNER_CALL.set((current, verdict))
    try:
        return function(*args, **kwargs)
    except (AuthorizationError, BackendError) as error:
        return view.guard.refuse_after_all(current, view, verdict, error)
    finally:
        INNER_CALL.reset(token)


class GuardedApp:
    """Hold the guarded views of one application, and the gate in front of them.

    It is ``app.extensions["securest"]``.

    :param app: the application
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._apis: list[tuple[Api, ApiGuard]] = []
        self._views: dict[str, GuardedView] = {}
        # By endpoint, for which view function this has been found out, and what.
        self._known: dict[str, tuple[ViewFunction | None, GuardedView | None]] = {}
        # By hand, for app.before_request() appends, and may not be called any more after the first request.
        app.before_request_funcs.setdefault(None, []).insert(0, self._make_gate())

    @classmethod
    def of(cls, app: Flask) -> GuardedApp:
        """Return the one of an application.

        :param app: the application, or a proxy of it
        """
        app = getattr(app, "_get_current_object", lambda: app)()
        guarded_app: GuardedApp | None = app.extensions.get("securest")
        if guarded_app is None:
            guarded_app = app.extensions["securest"] = cls(app)
        return guarded_app

    def knows(self, api: Api) -> bool:
        """Return whether endpoints of this Api are taken into account.

        :param api: the Api
        """
        return any(known is api for known, _ in self._apis)

    def guards(self) -> list[ApiGuard]:
        """Return who guards the Apis of this application, each once, in the order in which they came."""
        return list({id(guard): guard for _, guard in self._apis}.values())

    def add(self, api: Api, guard: ApiGuard) -> None:
        """Take the endpoints of a guarded Api into account, those to come included.

        :param api: the Api
        :param guard: its guard
        """
        if not self.knows(api):
            self._apis.append((api, guard))
        self._known.clear()

    def guard_view(self, endpoint: str, api: Api, guard: ApiGuard, resource: type | None = None) -> GuardedView:
        """Put the wrapper around a view function, unless it is there.

        The same function may be registered under several endpoints: each of them gets a wrapper.

        :param endpoint: the endpoint, as the application knows it
        :param api: the Api that it belongs to
        :param guard: the guard of the Api
        :param resource: the Resource class behind it, where the view function does not tell
        :returns: what is guarded now
        """
        functions = self.app.view_functions
        function = functions[endpoint]
        resource = getattr(function, "view_class", resource)
        for name in [name for name, other in functions.items() if other is function]:
            view = self._views.get(name)
            if view is None or (resource is not None and view.resource is not resource):
                view = self._views[name] = GuardedView(self.app, api, guard, name, resource)
            if getattr(function, _MARK, None) is not view:
                functions[name] = wrap(function, view)
        self._known.clear()
        return self._views[endpoint]

    def find_view(self, endpoint: str) -> GuardedView | None:
        """Return the guarded view behind an endpoint, or ``None`` if it is not guarded.

        :param endpoint: the endpoint, as the application knows it
        """
        return self._look_up(endpoint)[1]

    def _look_up(self, endpoint: str) -> tuple[ViewFunction | None, GuardedView | None]:
        function = self.app.view_functions.get(endpoint)
        view: GuardedView | None = self._views.get(endpoint) or getattr(function, _MARK, None)
        if view is None:
            for api, guard in self._apis:
                if any(full_endpoint(api, name) == endpoint for name in api.endpoints):
                    resource = getattr(function, "view_class", None)
                    view = self._views[endpoint] = GuardedView(self.app, api, guard, endpoint, resource)
                    break
        self._known[endpoint] = function, view
        return function, view

    def _make_gate(self) -> Callable[[], WerkzeugResponse | None]:
        """Return the function that comes before everything else.

        It is no bound method, for Flask asks on every request whether it is a coroutine function, and finds the answer
        for a plain function soonest.
        """
        app, known, look_up = self.app, self._known, self._look_up

        def gate() -> WerkzeugResponse | None:
            current = _current_request()
            rule = current.url_rule
            if rule is None:
                return None  # 404, 405, or a redirect: nothing is going to be called
            endpoint = rule.endpoint
            found = known.get(endpoint)
            if found is None or found[0] is not app.view_functions.get(endpoint):
                found = look_up(endpoint)
            view = found[1]
            if view is None:
                self._refuse_plain_view_with_rule(found[0])
                return None
            if current.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
                return None  # Flask answers it itself; a CORS preflight carries no credentials
            verdict = view.guard.judge(current, view)
            if verdict.status is not None:
                refusal = view.guard.refuse(current, view, verdict)
                if refusal is not None:
                    return refusal
            current.__dict__[IN_FORCE] = verdict
            return None

        return gate

    def _refuse_plain_view_with_rule(self, function: ViewFunction | None) -> None:
        """Raise if a view that nobody guards has a rule: its author believes that somebody does.

        :raises ConfigurationError: it has one
        """
        if function is not None and get_statement(function).closes() and any(g.mode != "report" for _, g in self._apis):
            raise ConfigurationError(
                f"the view {function.__name__!r} has a rule, and is no Resource of a guarded Api: nobody enforces it"
            )


def full_endpoint(api: Api, name: str) -> str:
    """Return an endpoint of an Api as an application knows it.

    Flask-RESTful registers views under the Blueprint's own name, even if it is nested, or was registered under another
    one.

    :param api: the Api
    :param name: the endpoint as the Api knows it
    """
    return name if api.blueprint is None else f"{api.blueprint.name}.{name}"
