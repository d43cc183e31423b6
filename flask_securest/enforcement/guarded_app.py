"""Know which views of an application are guarded, and by whom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from flask_restful import Api, Resource

from ..errors import ConfigurationError
from .dispatching import prepare_class
from .gate import Gate, Known
from .guard import ApiGuard, GuardedView
from .owners import Owners
from .protecting import Protection, unwrap
from .tracing import is_bare
from .unenforced import find_unenforced_rule
from .wrapper import ViewFunction, find_registered, find_view_of, wrap


class GuardedApp:
    """Hold the guarded views of one application, and the gate in front of them.

    It is ``app.extensions["securest"]``. On the application *instance* it puts the gate around ``preprocess_request``,
    and looks at each view that passes ``add_url_rule``, which those of Blueprints do, too. View functions that come in
    another way are found by the gate.

    :param app: the application
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.owners = Owners(app)
        self._known: dict[str, Known] = {}
        self._gate = Gate(app, self._known, self._look_up)
        app.preprocess_request = self._gate.preprocess_request  # type: ignore[method-assign]
        app.add_url_rule = self._guard_what_is_added(app.add_url_rule)  # type: ignore[method-assign]

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

    def add(self, api: Api, guard: ApiGuard) -> None:
        """Guard the views of an Api, those to come included.

        :param api: the Api
        :param guard: its guard
        :raises ConfigurationError: it comes too late, or something is wrong with one of its views
        """
        if self.owners.knows(api):
            return
        self.refuse_late_take_over(guard)
        self.owners.apis.append((api, guard))
        guard.apps.add(self.app)
        self.take_all(api)

    def refuse_late_take_over(self, guard: ApiGuard) -> None:
        """Raise if a guard would take an Api from the one of the whole application while that answers requests.

        :param guard: who would
        :raises ConfigurationError: it would
        """
        if self.owners.guard not in (None, guard) and self.app._got_first_request:
            raise ConfigurationError(
                f"the application {self.app.name!r} is guarded as a whole, and has answered requests already: give "
                "an Api to another SecuREST object while the application is set up"
            )

    def add_all(self, guard: ApiGuard, unguarded: Iterable[Api]) -> None:
        """Guard every Resource of the application that nobody guards by name.

        :param guard: by whom
        :param unguarded: Apis that are open on purpose
        :raises ConfigurationError: somebody does already, or something is wrong with a view
        """
        if self.owners.guard not in (None, guard):
            raise ConfigurationError(
                f"another SecuREST object guards the application {self.app.name!r} already: give one of them its Apis "
                "by name, SecuREST(api)"
            )
        self.owners.guard = guard
        guard.guards_apps = True
        self.owners.unguarded = list(unguarded)
        guard.apps.add(self.app)
        self.take_all()

    def take_all(self, api: Api | None = None) -> None:
        """Guard what is there.

        :param api: the Api that has come; ``None`` if everything may be guarded by somebody else now
        :raises ConfigurationError: something is wrong with one of the views; all others are guarded nevertheless
        """
        settled = (
            []
            if api is None
            else [name for name, known in self._known.items() if self.owners.is_settled(known.view, api)]
        )
        endpoints = self.app.view_functions.keys() - settled
        for endpoint in endpoints & self._known.keys():
            del self._known[endpoint]
        errors = [self._try_to_take(endpoint) for endpoint in self.app.view_functions if endpoint in endpoints]
        for error in filter(None, errors):
            raise error

    def take(self, endpoint: str) -> None:
        """Guard a view, if it is one of ours.

        :param endpoint: the endpoint
        :raises ConfigurationError: something is wrong with it, for which it answers 500 from now on
        """
        self._known.pop(endpoint, None)
        function = self.app.view_functions.get(endpoint)
        if function is None:
            return
        registered = find_registered(function)
        view = self.owners.claim(endpoint, registered)
        if view is None:
            self._refuse_unenforced(endpoint, registered)
            return
        if find_view_of(function) is not view:
            function = self.app.view_functions[endpoint] = wrap(unwrap(registered), view, registered)
        self._known[endpoint] = Known(function, view)
        try:
            check(view, is_bare=is_bare(unwrap(registered)))
        except ConfigurationError:
            if view.guard.mode != "report":  # there, it is reported with each request
                raise
        for made_by_hand in self.owners.pop_made_by_hand(view.resource):
            self.take(made_by_hand)

    def _try_to_take(self, endpoint: str) -> ConfigurationError | None:
        """Guard a view, and return what is wrong with it."""
        try:
            self.take(endpoint)
        except ConfigurationError as error:
            return error
        return None

    def take_function(self, function: ViewFunction) -> None:
        """Guard a function that has been protected after it was registered.

        :param function: the function
        """
        for endpoint, registered in list(self.app.view_functions.items()):
            if registered is function:
                self.take(endpoint)

    def find_view(self, endpoint: str) -> GuardedView | None:
        """Return the guarded view behind an endpoint, or ``None`` if it is not guarded.

        :param endpoint: the endpoint, as the application knows it
        """
        return self._look_up(endpoint).view

    def find_view_of_class(self, resource: type, endpoint: str | None) -> GuardedView | None:
        """Return a guarded view of a class that runs without having been judged, or ``None`` if it may.

        It may where the endpoint that is asked for is another Api's, which nobody guards, and of this very class.

        :param resource: the class
        :param endpoint: the endpoint
        """
        if endpoint is not None:
            known = self._look_up(endpoint)
            if known.view is None and getattr(known.function, "view_class", None) is resource:
                return None
        return self.owners.find_view_of_class(resource)

    def find_protected_views(self, protection: Protection) -> tuple[GuardedView, list[GuardedView]]:
        """Return what a protected function is in this application: by itself, and at its endpoints.

        :param protection: the function
        """
        return self.owners.find_protected_views(protection)

    def forget(self) -> None:
        """Look at each view again when it is asked for, for more may be guarded by now."""
        self._known.clear()

    def _guard_what_is_added(self, add_url_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of ``app.add_url_rule(rule, endpoint=None, view_func=None, ...)``."""

        @functools.wraps(add_url_rule)
        def add_and_guard(*args: Any, **kwargs: Any) -> Any:
            endpoint = args[1] if len(args) > 1 else kwargs.get("endpoint")
            view_func = args[2] if len(args) > 2 else kwargs.get("view_func")
            name = getattr(view_func, "__name__", None) if endpoint is None else endpoint
            known = self.app.view_functions.get(name or "")
            if view_func is not None and unwrap(find_registered(known)) is unwrap(view_func):
                # A second URL. What is registered by now is another function, which Flask would not take.
                args, kwargs = (*args[:2], *([known] if len(args) > 2 else []), *args[3:]), {**kwargs}
                if len(args) < 3:
                    kwargs["view_func"] = known
            answer = add_url_rule(*args, **kwargs)
            if name is not None:
                self.take(name)
            return answer

        return add_and_guard

    def _look_up(self, endpoint: str) -> Known:
        """Find out whose view an endpoint is now, for the gate. What comes in another way gets its guard here."""
        self._try_to_take(endpoint)  # if something is wrong, the policy of the view says so, with a 500
        function = self.app.view_functions.get(endpoint)
        view = find_view_of(function)
        if view is None and function is not None:
            view = self.owners.find_unenforced(endpoint, function)
        self._known[endpoint] = found = Known(function, view)
        return found

    def _refuse_unenforced(self, endpoint: str, function: ViewFunction) -> None:
        """Raise at set-up if a View class has a rule and no guard. What else has one may still get a guard.

        :raises ConfigurationError: it has
        """
        view_class = getattr(function, "view_class", None)
        if isinstance(view_class, type) and not issubclass(view_class, Resource):
            fault = find_unenforced_rule(endpoint, function, view_class)
            if fault is not None and any(guard.mode != "report" for guard in self.owners.guards()):
                raise ConfigurationError(fault)


def check(view: GuardedView, *, is_bare: bool) -> None:
    """Raise if a view could only ever be refused, and prepare its class.

    :param view: the view
    :param is_bare: whether its function has no decorators
    :raises ConfigurationError: its Resource cannot be told, or its rules make no sense
    """
    resource = view.resource
    if isinstance(resource, type):
        prepare_class(resource, is_bare=is_bare)
    view.check_rules(getattr(resource, "methods", None) or ("GET",))
