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
from collections.abc import Callable
from typing import Any, Protocol

from flask import Flask, Request, request
from flask_restful import Api, Resource
from werkzeug.wrappers import Response as WerkzeugResponse

from .current import get_caller_of, set_caller
from .decision import Verdict
from .errors import AuthorizationError, ConfigurationError
from .rules import has_rule

ViewFunction = Callable[..., Any]

_MARK = "__flask_securest_view__"  # on a guarded view function; functools.wraps copies it to whatever is put around
_VERDICTS = "flask_securest.verdicts"  # on a request

_current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]


class Guard(Protocol):
    """Whom an attachment asks."""

    @property
    def enforces(self) -> bool:
        """Return whether a request that is refused stays out; if not, refusals are reported only."""

    def judge(self, request: Request, view: GuardedView) -> Verdict:
        """Return the verdict on this request for this view. It never raises."""

    def forbid(self, request: Request, view: GuardedView, error: AuthorizationError) -> Verdict:
        """Return the verdict on a request whose view has said itself that the caller may not do this."""

    def refuse(self, request: Request, view: GuardedView, verdict: Verdict) -> WerkzeugResponse:
        """Return the response to a request that is refused. It never raises."""


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

    __slots__ = ("api", "endpoint", "guard", "resource")

    def __init__(self, owner: GuardedApi, view: ViewFunction | None, endpoint: str) -> None:
        self.guard = owner.guard
        self.api = owner.api
        self.resource: type = getattr(view, "view_class", Resource)
        self.endpoint = endpoint

    def judge(self, request: Request) -> Verdict:
        """Return the verdict on ``request``: made when it is first asked for, and the same ever after.

        It is kept on the request object, under this view and the verb. A verdict for one Resource is never used for
        another: a public one that calls the view of a closed one would lend it its own yes.
        """
        verdicts: dict[tuple[GuardedView, str], Verdict] = request.__dict__.setdefault(_VERDICTS, {})
        key = (self, request.method)
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = verdicts[key] = self.guard.judge(request, self)
        return verdict

    def enter(self, request: Request) -> WerkzeugResponse | None:
        """Return the refusal of ``request``; or ``None`` if it goes on, and then ``current_user`` is its user."""
        verdict = self.judge(request)
        if verdict.status is not None and self.guard.enforces:
            return self.guard.refuse(request, self, verdict)
        set_caller(request, verdict.caller)
        return None

    def wrap(self, view: ViewFunction) -> ViewFunction:
        """Return ``view`` behind this guard."""

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            current = _current_request()
            before = get_caller_of(current)
            try:
                refusal = self.enter(current)
                return view(*args, **kwargs) if refusal is None else refusal
            except AuthorizationError as error:
                return self.guard.refuse(current, self, self.guard.forbid(current, self, error))
            finally:
                # A view that calls another view is its own caller again afterwards.
                set_caller(current, before)

        setattr(guarded, _MARK, self)
        return guarded


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

    def find_view(self, endpoint: str) -> GuardedView | None:
        """Return the guarded view behind an endpoint, or ``None`` if it is not guarded.

        :raises ConfigurationError: a plain view has a rule, and nobody who would enforce it
        """
        view = self.app.view_functions.get(endpoint)
        known_view, found = self._known.get(endpoint, (None, None))
        if known_view is view and view is not None:
            return found
        found = self._views.get(endpoint) or getattr(view, _MARK, None)
        if found is None:
            owner = next((api for api in self.apis if api.owns(endpoint)), None)
            if owner is not None:
                found = self._views[endpoint] = GuardedView(owner, view, endpoint)
            elif has_rule(view) and any(api.guard.enforces for api in self.apis):
                raise ConfigurationError(
                    f"the view {endpoint!r} has a rule and is no Resource of a guarded Api: nobody would enforce it"
                )
        self._known[endpoint] = view, found
        return found

    def _make_gate(self) -> Callable[[], WerkzeugResponse | None]:
        """Return the function that comes before everything else; a plain one, for Flask inspects it every time."""

        def gate() -> WerkzeugResponse | None:
            current = _current_request()
            rule = current.url_rule
            if rule is None:
                return None  # 404, 405, or a redirect: nothing is going to be called
            view = self.find_view(rule.endpoint)
            if view is None:
                return None
            if current.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
                return None  # Flask answers it itself; a CORS preflight carries no credentials
            return view.enter(current)

        return gate
