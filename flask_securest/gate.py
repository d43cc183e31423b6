"""Stand in front of every Resource, on each request: the policy enforcement point.

Each single place to hook into Flask and Flask-RESTful has a hole, so there are two guards over one verdict:

- a *gate*, the first function of ``app.before_request_funcs``, which knows a guarded endpoint by its name or by the
  mark on its view function. A cache or another decorator around a view, which would answer without calling it, comes
  after the gate.
- a *wrapper* around each view function, which is also there when a view function is called directly, or when the
  ``before_request_funcs`` have been cleared.

Whichever comes first asks for the verdict, the other sees the same one. Each alone keeps the Api closed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flask import Flask, Request, request
from flask_restful import Api, Resource
from werkzeug.wrappers import Response as WerkzeugResponse

from .current import IN_FORCE
from .decision import Policy, Verdict
from .errors import AuthorizationError, ConfigurationError
from .rules import has_rule

ViewFunction = Callable[..., Any]

_MARK = "__flask_securest_view__"  # on a guarded view function; functools.wraps copies it to whatever is put around

_current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


class Guard(Protocol):
    """Who decides about requests."""

    @property
    def enforces(self) -> bool:
        """Return whether a request that is refused stays out; if not, refusals are reported only."""

    def admit(self, request: Request, view: GuardedView) -> WerkzeugResponse | None:
        """Return the refusal of ``request``; or ``None`` if it goes on, with its verdict in force. It never raises.

        The verdict for a view and a verb is made once, and the same ever after.
        """

    def forbid(self, request: Request, view: GuardedView, error: AuthorizationError) -> WerkzeugResponse:
        """Return the refusal of a request whose view has said itself that the caller may not do this."""


class GuardedApi(Protocol):
    """What there is to know of an Api that is guarded."""

    api: Api
    guard: Guard

    def owns(self, endpoint: str) -> bool:
        """Return whether ``endpoint``, as an application knows it, is one of this Api's."""


class GuardedView:
    """Hold one guarded endpoint of an application.

    :param owner: the Api that it belongs to
    :param view: the view function, which tells the Resource class. If some decorator has lost it, the endpoint goes by
        the rules of a Resource of which nothing is said: closed.
    :param endpoint: the endpoint as the application knows it
    """

    __slots__ = ("api", "endpoint", "guard", "policies", "resource")

    def __init__(self, owner: GuardedApi, view: ViewFunction | None, endpoint: str) -> None:
        self.guard = owner.guard
        self.api = owner.api
        self.resource: type = getattr(view, "view_class", Resource)
        self.endpoint = endpoint
        #: How requests with each verb are decided, as far as the guard has worked it out yet.
        self.policies: dict[str, Policy] = {}

    def wrap(self, view: ViewFunction) -> ViewFunction:
        """Return ``view`` behind this guard."""

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            current = _current_request()
            in_force: Verdict | None = current.__dict__.get(IN_FORCE)
            if in_force is None or in_force.target.view is not self or in_force.target.verb != current.method:
                # It did not come through the gate, or another view is calling this one, or somebody has changed the
                # method of the request since.
                return self._admit_and_call(current, guarded, args, kwargs)
            try:
                return view(*args, **kwargs)
            except AuthorizationError as error:
                return self.guard.forbid(current, self, error)

        setattr(guarded, _MARK, self)
        return guarded

    def _admit_and_call(self, request: Request, guarded: ViewFunction, args: Any, kwargs: Any) -> Any:
        before = request.__dict__.get(IN_FORCE)
        refusal = self.guard.admit(request, self)
        if refusal is not None:
            return refusal
        try:
            return guarded(*args, **kwargs)
        finally:
            # A view that has called this one has its own caller again afterwards.
            request.__dict__[IN_FORCE] = before


class GuardedApp:
    """Hold the guarded views of one application, and the gate in front of them.

    It is ``app.extensions["securest"]``.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.apis: list[GuardedApi] = []
        self._views: dict[str, GuardedView] = {}
        # By endpoint, for which view function this has been found out, and what.
        self._known: dict[str, tuple[ViewFunction | None, GuardedView | None]] = {}
        # By hand, for app.before_request() appends, and may not be called any more after the first request.
        app.before_request_funcs.setdefault(None, []).insert(0, self._make_gate())

    @classmethod
    def of(cls, app: Flask) -> GuardedApp:
        """Return the one of this application."""
        guarded_app: GuardedApp | None = app.extensions.get("securest")
        if guarded_app is None:
            guarded_app = app.extensions["securest"] = cls(app)
        return guarded_app

    def add(self, api: GuardedApi) -> None:
        """Take the endpoints of another guarded Api into account."""
        if api not in self.apis:
            self.apis.append(api)
        self._known.clear()

    def guard(self, endpoint: str, api: GuardedApi) -> GuardedView | None:
        """Put the wrapper around a view function, unless it is there, and return what is guarded now.

        :returns: ``None`` if there is no such endpoint
        """
        view = self.app.view_functions.get(endpoint)
        if view is None:
            return None
        guarded_view = self._views.get(endpoint)
        if guarded_view is None:
            guarded_view = self._views[endpoint] = GuardedView(api, view, endpoint)
        if getattr(view, _MARK, None) is not guarded_view:
            self.app.view_functions[endpoint] = guarded_view.wrap(view)
        return guarded_view

    def views_of(self, api: GuardedApi) -> Iterator[GuardedView]:
        """Yield the guarded views of one of the Apis."""
        return (view for view in self._views.values() if view.api is api.api)

    def find_view(self, endpoint: str) -> GuardedView | None:
        """Return the guarded view behind an endpoint, or ``None`` if it is not guarded.

        :raises ConfigurationError: a plain view has a rule, and nobody who would enforce it
        """
        return self._find_view(endpoint)[1]

    def _find_view(self, endpoint: str) -> tuple[ViewFunction | None, GuardedView | None]:
        view = self.app.view_functions.get(endpoint)
        found: GuardedView | None = self._views.get(endpoint) or getattr(view, _MARK, None)
        if found is None:
            owner = next((api for api in self.apis if api.owns(endpoint)), None)
            if owner is not None:
                found = self._views[endpoint] = GuardedView(owner, view, endpoint)
            elif has_rule(view) and any(api.guard.enforces for api in self.apis):
                raise ConfigurationError(
                    f"the view {endpoint!r} has a rule and is no Resource of a guarded Api: nobody would enforce it"
                )
        self._known[endpoint] = view, found
        return view, found

    def _make_gate(self) -> Callable[[], WerkzeugResponse | None]:
        """Return the function that comes before everything else; a plain one, for Flask inspects it every time."""
        app, known, find_view = self.app, self._known, self._find_view

        def gate() -> WerkzeugResponse | None:
            current = _current_request()
            rule = current.url_rule
            if rule is None:
                return None  # 404, 405, or a redirect: nothing is going to be called
            endpoint = rule.endpoint
            found = known.get(endpoint)
            if found is None or found[0] is not app.view_functions.get(endpoint):
                found = find_view(endpoint)
            view = found[1]
            if view is None:
                return None
            if current.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
                return None  # Flask answers it itself; a CORS preflight carries no credentials
            return view.guard.admit(current, view)

        return gate
