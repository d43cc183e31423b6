"""Know whose each view of an application is: which Api, which class, which guard."""

from __future__ import annotations

from flask import Flask
from flask_restful import Api

from ..rules.functions import ProtectedFunction
from ..rules.statements import PROTECTION_MARK
from .additions import Additions
from .dispatching import prepare_class
from .endpoints import has_endpoint
from .guard import ApiGuard, GuardedView
from .protecting import Protection, is_same, target_of
from .tracing import Trace, identity_of, trace
from .unenforced import find_lost_protection, find_unenforced_rule
from .wrapper import ViewFunction


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
        self._protected: dict[Protection, GuardedView] = {}
        self._registered: dict[Protection, list[GuardedView]] = {}
        self._classes: dict[type, GuardedView] = {}
        #: Resource classes with views that no Api has made: the endpoints of those.
        self._made_by_hand: dict[type, list[str]] = {}
        self._seen_by_hand: set[str] = set()
        self.additions = Additions()

    def guards(self) -> list[ApiGuard]:
        """Return who guards anything here, each once, in the order in which they came."""
        everybody = [*(guard for _, guard in self.apis), self.guard, *(p.guard for p in self._registered)]
        return list({id(guard): guard for guard in everybody if guard is not None}.values())

    def knows(self, api: Api) -> bool:
        """Return whether an Api has been given to a guard by name.

        :param api: the Api
        """
        return any(known is api for known, _ in self.apis)

    def find_protected_views(self, protection: Protection) -> tuple[GuardedView, list[GuardedView]]:
        """Return what a protected function is in this application: by itself, and at its endpoints.

        By itself it is judged where it is called in another way: never by the rule of one of its endpoints.

        :param protection: the function
        """
        own = self._protected.get(protection)
        if own is None:
            name, resource = protection.function.__name__, target_of(protection.wrapper, protection)
            own = GuardedView(self._app, protection.api, protection.guard, name, resource)
            if isinstance(resource, type):
                prepare_class(resource)
            own = self._protected.setdefault(protection, own)
        return own, self._registered.setdefault(protection, [])

    def find_view_of_class(self, resource: type) -> GuardedView | None:
        """Return a guarded view of a class.

        :param resource: the class
        """
        views = [*self._views.values(), *self._protected.values(), *self._classes.values()]
        found = next((view for view in views if view.resource is resource), None)
        guard: ApiGuard | None = getattr(resource, PROTECTION_MARK, None)
        if found is None and guard is not None:
            # A subclass of a protected class makes its view functions in a way of its own.
            found = self._classes[resource] = GuardedView(self._app, None, guard, resource.__name__, resource)
        return found

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
        fault = None
        if not guards and found.is_cut and self.guards():
            guards, fault = self.guards(), f"the view {endpoint!r} calls more functions than can be looked at"
        if not guards:
            return self._claim_made_by_hand(endpoint, found)
        if len(guards) > 1 and fault is None:
            fault = f"two SecuREST objects claim the endpoint {endpoint!r}: it must belong to one"
        if api is None and len({id(each) for each in found.apis}) == 1:
            api = found.apis[0]
        resource = self._find_resource(endpoint, function, found, api)
        if found.has_lost_rule and isinstance(resource, type):
            # One in decorators = [...], or in Api(decorators=...), that comes by way of a helper (CWE-863).
            fault = f"a decorator of the view {endpoint!r} puts a rule on it, with no effect: decorate the class"
        view = self._make_view(endpoint, api, _choose_guard(guards), resource, fault)
        for protection in (found.protection, *found.outputs):
            if protection is not None:
                views = self._registered.setdefault(protection, [])
                views[:] = [*(each for each in views if each.endpoint != endpoint), view]
                protection.registered.append(function)
        return view

    def _find_api_by_name(self, endpoint: str) -> Api | None:
        known = [*(api for api, _ in self.apis), *self.unguarded]
        return next((api for api in known if has_endpoint(api, endpoint)), None)

    def _find_api_adding(self, endpoint: str, found: Trace) -> Api | None:
        """Return the Api that is adding a Resource, if a view that does not tell is of that, or of another Resource."""
        return None if endpoint in self._seen_by_hand else self.additions.find_api(found.view_class)

    def _find_guards(self, endpoint: str, api: Api | None, found: Trace) -> list[ApiGuard]:
        """Return everybody who claims a view: one, unless something is wrong."""
        if api is not None:
            guards = [self._find_guard(api)]
        else:
            # That it calls what an Api has made may be a reason to guard it, and never one not to.
            guards = [self._find_guard(each) for each in found.apis]
            if found.resource_class is not None:
                guards.append(self.guard)
        if any(guards):
            guards += [guard for known, guard in self.apis if has_endpoint(known, endpoint)]
        guards += [getattr(found.protection, "guard", None), getattr(found.view_class, PROTECTION_MARK, None)]
        return list({id(guard): guard for guard in guards if guard is not None}.values())

    def _find_guard(self, api: Api) -> ApiGuard | None:
        by_name = next((guard for known, guard in self.apis if known is api), None)
        return by_name or (None if self._is_open_on_purpose(api) else self.guard)

    def is_settled(self, view: GuardedView | None, api: Api | None) -> bool:
        """Return whether a view remains whose it is when an Api is given to a guard.

        :param view: what is known of it
        :param api: the Api
        """
        if api is None or view is None or view.fault is not None or view.api is None or view.api is api:
            return False
        return self.knows(view.api) and not has_endpoint(api, view.endpoint)

    def _is_open_on_purpose(self, api: Api | None) -> bool:
        return any(known is api for known in self.unguarded) and not (api is not None and self.knows(api))

    def _find_resource(
        self, endpoint: str, function: ViewFunction, found: Trace, api: Api | None
    ) -> type | ProtectedFunction | None:
        """Return the class or function behind a view, or ``None`` if that cannot be told."""
        if found.view_class is not None:
            return found.view_class
        if found.protection is not None:
            return target_of(function, found.protection)
        added = self.additions.find_resource(api)
        if added is not None and (not found.inner or added in found.inner):
            return added
        # Somebody has put something around the view that was here. If it is something else, or calls something else,
        # too, it must not have the rule of that, which may be public (CWE-863).
        earlier = self._views.get(endpoint)
        if earlier is None or not found.inner:
            return None
        known = identity_of(earlier.resource)
        return earlier.resource if all(each is known for each in found.inner) else None

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
        if view is None or view.fault != fault or not is_same(view.resource, resource):
            view = self._views[endpoint] = GuardedView(self._app, api, guard, endpoint, resource, fault)
        elif view.api is not api or view.guard is not guard:
            view.hand_over(api, guard)
        guard.apps.add(self._app)
        return view

    def _claim_made_by_hand(self, endpoint: str, found: Trace) -> GuardedView | None:
        """Return a view that is always refused, if a Resource's view that no Api has made may be one of ours."""
        resource = found.resource_class
        if found.api is not None or resource is None:
            return None
        owners = [guard for api, guard in self.apis if self._has_class(api, resource)]
        own_ways = [(api, guard) for api, guard in self.apis if type(api) is not Api]
        if owners:
            what = f"is made by hand of {resource.__qualname__}, which a guarded Api has, and no Api has registered it"
        elif own_ways:
            owners = [guard for _, guard in own_ways]
            what = (
                f"of {resource.__qualname__} comes from no Api that is known, and "
                f"{type(own_ways[0][0]).__qualname__} may have added it in a way of its own"
            )
        else:
            self._made_by_hand.setdefault(resource, []).append(endpoint)
            self._seen_by_hand.add(endpoint)
            return None
        fault = (
            f"the view {endpoint!r} {what}: add it with api.add_resource, attach before it is added, decorate the "
            "class with securest.protect, or guard every Resource by SecuREST(app)"
        )
        return self._make_view(endpoint, None, _choose_guard(owners), resource, fault)

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
        if not self.guards() or self._is_open_on_purpose(found.api or self._find_api_by_name(endpoint)):
            return None
        fault = find_unenforced_rule(endpoint, function, found.view_class)
        fault = fault or find_lost_protection(function, self.guards())
        if fault is None:
            return None
        return self._make_view(endpoint, None, _choose_guard(self.guards()), found.view_class, fault)


def _choose_guard(guards: list[ApiGuard]) -> ApiGuard:
    """Return who answers for a view that several claim: one that enforces, so that it is closed."""
    return min(guards, key=lambda guard: guard.mode == "report")
