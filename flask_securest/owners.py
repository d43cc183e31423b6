"""Know whose each view of an application is: which Api, which class, which guard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask_restful import Api, Resource

from .gate import ViewFunction
from .guard import ApiGuard, GuardedView
from .protecting import PROTECTION_MARK, Protection
from .resolution import ProtectedFunction
from .tracing import Trace, trace
from .unenforced import find_unenforced_rule


class Owners:
    """Hold who guards what in one application.

    :param app: the application
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        #: Apis that have been given to a guard by name.
        self.apis: list[tuple[Api, ApiGuard]] = []
        #: Who guards all other Apis, if anybody does.
        self.guard: ApiGuard | None = None
        #: Those of them that are open on purpose.
        self.unguarded: list[Api] = []
        self._views: dict[str, GuardedView] = {}
        self._protected: dict[Protection, list[GuardedView]] = {}
        #: Resource classes with views that no Api has made: the endpoints of those.
        self._made_by_hand: dict[type, list[str]] = {}
        self._seen_by_hand: set[str] = set()
        #: The Apis that are adding a Resource just now, and which.
        self._adding: list[tuple[Api, type | None]] = []

    def guards(self) -> list[ApiGuard]:
        """Return who guards anything here, each once, in the order in which they came."""
        everybody = [*(guard for _, guard in self.apis), self.guard, *(p.guard for p in self._protected)]
        return list({id(guard): guard for guard in everybody if guard is not None}.values())

    def knows(self, api: Api) -> bool:
        """Return whether an Api has been given to a guard by name.

        :param api: the Api
        """
        return any(known is api for known, _ in self.apis)

    @contextmanager
    def adding(self, api: Api, resource: type | None) -> Iterator[None]:
        """Take Resources that get in meanwhile for those of an Api, if they do not tell otherwise.

        :param api: the Api
        :param resource: the Resource class that it adds, if that is known
        """
        self._adding.append((api, resource))
        try:
            yield
        finally:
            self._adding.pop()

    def find_protected_views(self, protection: Protection) -> list[GuardedView]:
        """Return what a protected function is in this application: at least one view.

        :param protection: the function
        """
        views = self._protected.get(protection)
        if views is None:
            name = protection.function.__name__
            made = GuardedView(self._app, None, protection.guard, name, _target_of(protection.wrapper, protection))
            views = self._protected.setdefault(protection, [made])
        return views

    def pop_made_by_hand(self, resource: object) -> list[str]:
        """Return the endpoints of views that were made by hand of a class, which an Api has by now; once.

        :param resource: the class
        """
        return self._made_by_hand.pop(resource, []) if isinstance(resource, type) else []

    def claim(self, endpoint: str, function: ViewFunction) -> GuardedView | None:
        """Return the guarded view that a function is, or ``None`` if it is nobody's.

        :param endpoint: the endpoint
        :param function: its view function as it was registered
        """
        found = trace(function)
        api = found.api or self._find_api_by_name(endpoint) or self._find_api_adding(endpoint, found)
        guards = self._find_guards(endpoint, api, found)
        earlier = self._views.get(endpoint)
        if not guards and found.view_class is None and earlier is not None and earlier.fault is None:
            # What has taken the place of a guarded view, and does not tell what it is, stays closed.
            api, guards = earlier.api, [earlier.guard]
        if not guards:
            return self._claim_made_by_hand(endpoint, found)
        fault = None
        if len(guards) > 1:
            fault = f"two SecuREST objects claim the endpoint {endpoint!r}: it must belong to one"
        resource = self._find_resource(endpoint, function, found, api)
        view = self._make_view(endpoint, api, guards[0], resource, fault)
        if found.protection is not None:
            views = self._protected.setdefault(found.protection, [])
            views[:] = [*(each for each in views if each.endpoint != endpoint), view]
        return view

    def _find_api_by_name(self, endpoint: str) -> Api | None:
        known = [*(api for api, _ in self.apis), *self.unguarded]
        return next((api for api in known if has_endpoint(api, endpoint)), None)

    def _find_api_adding(self, endpoint: str, found: Trace) -> Api | None:
        """Return the Api that is adding a Resource, if a view that does not tell is of that, or of another Resource."""
        if not self._adding or found.view_class is None or endpoint in self._seen_by_hand:
            return None  # plain views that a subclass of Api adds are left alone
        api, resource = self._adding[-1]
        return api if found.view_class is resource or issubclass(found.view_class, Resource) else None

    def _find_guards(self, endpoint: str, api: Api | None, found: Trace) -> list[ApiGuard]:
        """Return everybody who claims a view: one, unless something is wrong."""
        guards: list[ApiGuard | None] = [guard for known, guard in self.apis if known is api]
        is_resource = found.view_class is not None and issubclass(found.view_class, Resource)
        if not guards and (api is not None or is_resource) and not self._is_open_on_purpose(api):
            guards = [self.guard] if self.guard is not None else []
        if guards:
            guards += [guard for known, guard in self.apis if has_endpoint(known, endpoint)]
        guards += [getattr(found.protection, "guard", None), getattr(found.view_class, PROTECTION_MARK, None)]
        return list({id(guard): guard for guard in guards if guard is not None}.values())

    def _is_open_on_purpose(self, api: Api | None) -> bool:
        return any(known is api for known in self.unguarded) and not (api is not None and self.knows(api))

    def _find_resource(
        self, endpoint: str, function: ViewFunction, found: Trace, api: Api | None
    ) -> type | ProtectedFunction | None:
        """Return the class or function behind a view, or ``None`` if that cannot be told."""
        if found.view_class is not None:
            return found.view_class
        if found.protection is not None:
            return _target_of(function, found.protection)
        if self._adding and self._adding[-1][0] is api and self._adding[-1][1] is not None:
            return self._adding[-1][1]
        # Somebody has put something around the view that was here. If it is something else altogether, it must not
        # have the rule of that, which may be public (CWE-863).
        earlier = self._views.get(endpoint)
        return earlier.resource if earlier is not None and earlier.resource in found.inner else None

    def _make_view(
        self,
        endpoint: str,
        api: Api | None,
        guard: ApiGuard,
        resource: type | ProtectedFunction | None,
        fault: str | None,
    ) -> GuardedView:
        """Return the guarded view of an endpoint: the one that was there, if it is still the same."""
        view = self._views.get(endpoint)
        if view is None or view.fault != fault or not _is_same(view.resource, resource):
            view = self._views[endpoint] = GuardedView(self._app, api, guard, endpoint, resource, fault)
        elif view.api is not api or view.guard is not guard:
            view.hand_over(api, guard)
        guard.apps.add(self._app)
        return view

    def _claim_made_by_hand(self, endpoint: str, found: Trace) -> GuardedView | None:
        """Return a view that is always refused, if a Resource's view that no Api has made may be one of ours."""
        resource = found.view_class
        if found.api is not None or resource is None or not issubclass(resource, Resource):
            return None
        owner = next((guard for api, guard in self.apis if self._has_class(api, resource)), None)
        own_ways = next((pair for pair in self.apis if type(pair[0]) is not Api), None)
        if owner is not None:
            what = f"is made by hand of {resource.__qualname__}, which a guarded Api has, and no Api has registered it"
        elif own_ways is not None:
            owner = own_ways[1]
            what = (
                f"of {resource.__qualname__} comes from no Api that is known, and {type(own_ways[0]).__qualname__} may "
                "have added it in a way of its own"
            )
        else:
            self._made_by_hand.setdefault(resource, []).append(endpoint)
            self._seen_by_hand.add(endpoint)
            return None
        fault = (
            f"the view {endpoint!r} {what}: add it with api.add_resource, attach before it is added, decorate the "
            "class with securest.protect, or guard every Resource by SecuREST(app)"
        )
        return self._make_view(endpoint, None, owner, resource, fault)

    def _has_class(self, api: Api, resource: type) -> bool:
        """Return whether an Api has a Resource class: with a view here, or with one that is still to come."""
        views = self._views.values()
        return any(each is resource for each, *_ in api.resources) or any(
            view.api is api and view.resource is resource for view in views
        )

    def find_unenforced(self, endpoint: str, function: ViewFunction) -> GuardedView | None:
        """Return a view that is always refused, if one that nobody guards has a rule: its author believes otherwise.

        :param endpoint: the endpoint
        :param function: its view function
        """
        found = trace(function)
        fault = find_unenforced_rule(endpoint, function, found.view_class)
        guards = sorted(self.guards(), key=lambda guard: guard.mode == "report")
        if fault is None or not guards or self._is_open_on_purpose(found.api or self._find_api_by_name(endpoint)):
            return None
        return self._make_view(endpoint, None, guards[0], found.view_class, fault)


def has_endpoint(api: Api, endpoint: str) -> bool:
    """Return whether an endpoint of an application is one of an Api by its name.

    :param api: the Api
    :param endpoint: the endpoint, as the application knows it
    """
    if api.blueprint is None:
        return endpoint in api.endpoints
    prefix = f"{api.blueprint.name}."
    return endpoint.startswith(prefix) and endpoint[len(prefix) :] in api.endpoints


def full_endpoint(api: Api, name: str) -> str:
    """Return an endpoint of an Api as an application knows it.

    Flask-RESTful registers views under the Blueprint's own name, even if it is nested, or was registered under another
    one.

    :param api: the Api
    :param name: the endpoint as the Api knows it
    """
    return name if api.blueprint is None else f"{api.blueprint.name}.{name}"


def _target_of(function: Any, protection: Protection) -> type | ProtectedFunction:
    """Return what a protected view function is judged by: its class, or itself with all that carries rules of it."""
    view_class = getattr(protection.function, "view_class", None)
    if isinstance(view_class, type):
        return view_class
    return ProtectedFunction(protection.function, (function, protection.wrapper, protection.function))


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, ProtectedFunction) and isinstance(other, ProtectedFunction):
        return one.carriers == other.carriers
    return one is other
