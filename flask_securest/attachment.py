"""Put the guards around an Api, whenever and however it is set up.

What is guarded is looked for in ``app.view_functions`` after everything that may have added to them: attaching, a
later ``add_resource`` or ``init_app``, and the registration of a Blueprint. What the guards do on each request stands
in :mod:`flask_securest.gate`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from flask import Blueprint, Flask, current_app
from flask.blueprints import BlueprintSetupState
from flask.views import http_method_funcs
from flask_restful import Api

from .errors import ConfigurationError
from .gate import Guard, GuardedApp, GuardedView
from .rules import resolve_rule

_ATTACHMENT = "_flask_securest_attachment"  # on a guarded Api


class Attachment:
    """Guard one Api, in every application that it is or will be part of.

    :param api: the Api
    :param guard: whom to ask about its requests
    """

    def __init__(self, api: Api, guard: Guard) -> None:
        self.api = api
        self.guard = guard
        self.apps: list[GuardedApp] = []
        self._deferred_endpoints: set[str] = set()
        self._register_view = api._register_view
        self._init_app = api._init_app
        # On the instance, for the class has other instances.
        api._register_view = self._register_and_guard_view
        api._init_app = self._init_and_guard_app
        if api.blueprint is not None:
            self._guard_when_registered(api.blueprint)

    def _register_and_guard_view(self, app: Any, resource: type, *urls: Any, **kwargs: Any) -> None:
        """Do what ``Api._register_view`` does, and guard what came of it."""
        before = set(self.api.endpoints)
        self._register_view(app, resource, *urls, **kwargs)
        added = self.api.endpoints - before if urls else set()
        if self.api.blueprint is None:
            self.guard_app(app, added)
        elif self.api.blueprint_setup is not None:
            self.guard_app(self.api.blueprint_setup.app, added)
        else:
            self._guard_when_registered(self.api.blueprint)

    def _init_and_guard_app(self, app: Flask) -> None:
        """Do what ``Api._init_app`` does, and guard the application.

        A Blueprint's own views come later, see :meth:`_guard_when_registered`.
        """
        self._init_app(app)
        self.guard_app(app, self.api.endpoints if self.api.blueprint is None else ())

    def _guard_when_registered(self, blueprint: Blueprint) -> None:
        """See to it that what has been added to ``blueprint`` so far is guarded wherever it gets registered.

        What is added to a Blueprint reaches an application when the Blueprint is registered there, by functions that
        are called one after the other; ours has to come after them. (By hand, for ``blueprint.record`` refuses after
        the first registration, and there may be a second application.)
        """
        deferred = blueprint.deferred_functions
        if self._guard_registered in deferred:
            deferred.remove(self._guard_registered)
        deferred.append(self._guard_registered)
        self._deferred_endpoints = set(self.api.endpoints)

    def _guard_registered(self, state: BlueprintSetupState) -> None:
        app = cast(Flask, state.app)  # Flask declares the base class that it shares with Quart
        self.guard_app(app, self._deferred_endpoints)

    def guard_app(self, app: Flask, endpoints: Iterable[str]) -> None:
        """Guard views of this Api in ``app``.

        :param app: the application
        :param endpoints: which of them, by the names that the Api knows them by
        :raises ConfigurationError: one of them is not there, so that there may be an open view under another name; or
            the rules of one contradict each other
        """
        guarded_app = GuardedApp.of(app)
        guarded_app.add(self)
        if guarded_app not in self.apps:
            self.apps.append(guarded_app)
        for name in endpoints:
            endpoint = self._full_endpoint(name)
            view = guarded_app.guard(endpoint, self)
            if view is None:
                raise ConfigurationError(
                    f"the endpoint {endpoint!r} of the Api is not in the application {app.name!r}. Is it another "
                    "application that the Api belongs to (app=...)? Was the Resource added without a URL? Or has a "
                    "decorator of the Api changed the name of the view? Then it needs functools.wraps."
                )
            _make_coroutines_work(view.resource)
            for verb in getattr(view.resource, "methods", None) or ():
                resolve_rule(view.resource, verb)

    def views(self) -> Iterator[GuardedView]:
        """Yield the guarded views of this Api, in all its applications."""
        for app in self.apps:
            yield from app.views_of(self)

    def owns(self, endpoint: str) -> bool:
        """Return whether ``endpoint``, as an application knows it, is one of this Api's."""
        return any(self._full_endpoint(name) == endpoint for name in self.api.endpoints)

    def _full_endpoint(self, name: str) -> str:
        # Flask-RESTful registers views under the Blueprint's own name, even if it is nested, or was registered under
        # another one.
        return name if self.api.blueprint is None else f"{self.api.blueprint.name}.{name}"


def attach(api: Api, guard: Guard, app: Flask | None) -> Attachment:
    """Guard an Api.

    :param api: the Api
    :param guard: whom to ask about its requests
    :param app: the application, where the Api has kept no reference to it
    :raises ConfigurationError: it cannot be guarded, or another guard guards it
    """
    if not isinstance(api, Api):
        raise ConfigurationError(f"api must be a flask_restful.Api, not {api!r}")
    if not isinstance(app, (Flask, type(None))):
        raise ConfigurationError(f"app must be a Flask application, not {app!r}")
    attachment: Attachment | None = vars(api).get(_ATTACHMENT)
    if attachment is not None and attachment.guard is not guard:
        raise ConfigurationError("the Api is already guarded by another SecuREST object; one Api has one guard")
    apps = [known for known in (_find_app(api), app) if known is not None]
    if not apps and api.blueprint is None and api.endpoints:
        raise ConfigurationError(
            "the init_app of this Api has already run, and the Api has kept no reference to its application: "
            "say SecuREST(api, app=app) or securest.init_api(api, app=app)"
        )
    if attachment is None:
        attachment = Attachment(api, guard)
        setattr(api, _ATTACHMENT, attachment)
    for known in apps:
        attachment.guard_app(known, api.endpoints)
    return attachment


def _find_app(api: Api) -> Flask | None:
    """Return the application that ``api`` belongs to, as far as it remembers."""
    if api.blueprint_setup is not None:
        return api.blueprint_setup.app  # type: ignore[no-any-return]
    return api.app if isinstance(api.app, Flask) else None


def _make_coroutines_work(resource: Any) -> None:
    """Let ``async def`` methods of a Resource class be awaited.

    Flask awaits the views that it calls itself; Flask-RESTful calls the methods of a Resource, and would try to render
    the coroutine. ``method_decorators`` is its own place for this; another Api that shares the class can only gain.
    """
    verbs = [verb for verb in http_method_funcs if inspect.iscoroutinefunction(getattr(resource, verb, None))]
    if not verbs:
        return
    decorators = resource.method_decorators
    if not isinstance(decorators, Mapping):
        if _ensure_sync not in decorators:
            resource.method_decorators = [_ensure_sync, *decorators]
        return
    if "get" in verbs and getattr(resource, "head", None) is None:
        verbs.append("head")  # it runs get, with the decorators of head
    missing = [verb for verb in verbs if _ensure_sync not in decorators.get(verb, ())]
    added = {verb: [_ensure_sync, *decorators.get(verb, ())] for verb in missing}
    resource.method_decorators = {**decorators, **added}


def _ensure_sync(method: Callable[..., Any]) -> Callable[..., Any]:
    return current_app.ensure_sync(method)
