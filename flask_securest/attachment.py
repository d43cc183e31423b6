"""Put the guards around an Api, whenever and however it is set up.

What is guarded is looked for in ``app.view_functions`` after everything that may have added to them: attaching, a
later ``add_resource`` or ``init_app``, and the registration of a Blueprint. What the guards do on each request stands
in :mod:`flask_securest.gate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from flask import Blueprint, Flask, current_app
from flask.blueprints import BlueprintSetupState
from flask.views import http_method_funcs
from flask_restful import Api, Resource

from .checks import require_type
from .errors import ConfigurationError
from .gate import GuardedApp, full_endpoint
from .guard import ApiGuard, GuardedView
from .resolution import resolve_rule

_ATTACHMENT = "__flask_securest_attachment__"  # on a guarded Api


def attach(api: Api, guard: ApiGuard, app: Flask | None) -> None:
    """Guard an Api.

    An Api remembers only the last of the applications that it belongs to: with several, attach before the second, or
    name each.

    :param api: the Api
    :param guard: who guards it
    :param app: the application, where the Api has kept no reference to it
    :raises ConfigurationError: it cannot be guarded, or another guard guards it
    """
    require_type(api, Api, "api")
    if app is not None:
        require_type(app, Flask, "app")
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
        # The same pair twice changes nothing.
        if not GuardedApp.of(known).knows(api):
            attachment.guard_app(known)


def _find_app(api: Api) -> Flask | None:
    """Return the application that ``api`` belongs to, as far as it remembers."""
    if api.blueprint_setup is not None:
        return api.blueprint_setup.app  # type: ignore[no-any-return]
    return api.app if isinstance(api.app, Flask) else None


class Attachment:
    """Guard one Api, in every application that it is or will be part of.

    :param api: the Api
    :param guard: who guards it
    """

    def __init__(self, api: Api, guard: ApiGuard) -> None:
        self.api = api
        self.guard = guard
        # On this Api alone: the class has others, which must stay as they are.
        for name in ("add_resource", "_register_view"):
            setattr(api, name, self._guarding_what_is_added(getattr(api, name)))
        self._init_app = api._init_app
        api._init_app = self._init_and_guard_app
        if api.blueprint is not None:
            self._guard_when_registered(api.blueprint)

    def _guarding_what_is_added(self, add: Callable[..., None]) -> Callable[..., None]:
        """Return a function that does what ``add`` does, and guards what came of it.

        :param add: ``Api.add_resource(resource, *urls, ...)``, or ``Api._register_view(app, resource, *urls, ...)``,
            which the other one calls, unless a subclass goes its own way
        """

        @functools.wraps(add)
        def add_and_guard(*args: Any, **kwargs: Any) -> None:
            app = args[0] if args and isinstance(args[0], Flask) else _find_app(self.api)
            resource = next((each for each in args[:2] if isinstance(each, type)), None)
            with self._guarding_new_views(app, resource):
                add(*args, **kwargs)
            if self.api.blueprint is not None and self.api.blueprint_setup is None:
                self._guard_when_registered(self.api.blueprint)

        return add_and_guard

    def _init_and_guard_app(self, app: Flask) -> None:
        """Do what ``Api._init_app`` does, and guard the application.

        A Blueprint's own views come later, see :meth:`_guard_when_registered`.
        """
        with self._guarding_new_views(app, None):
            self._init_app(app)

    @contextmanager
    def _guarding_new_views(self, app: Flask | None, resource: type | None) -> Iterator[None]:
        """Guard every view function that gets into ``app`` meanwhile, under whatever name, and be it half-done."""
        if app is None:
            yield
            return
        guarded_app = GuardedApp.of(app)
        guarded_app.add(self.api, self.guard)
        before = dict(app.view_functions)
        try:
            yield
        finally:
            new = [name for name, function in app.view_functions.items() if before.get(name) is not function]
            views = [guarded_app.guard_view(endpoint, self.api, self.guard, resource) for endpoint in new]
        for view in views:
            _check(view)

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

    def _guard_registered(self, state: BlueprintSetupState) -> None:
        self.guard_app(cast(Flask, state.app))  # Flask declares the base class that it shares with Quart

    def guard_app(self, app: Flask) -> None:
        """Guard all views of this Api in an application.

        :param app: the application
        :raises ConfigurationError: one of them is not there, so that there may be an open view under another name; or
            the rules of one make no sense
        """
        guarded_app = GuardedApp.of(app)
        guarded_app.add(self.api, self.guard)
        if self.api.blueprint is not None and self.api.blueprint not in app.blueprints.values():
            return  # its views come when it is registered
        for name in list(self.api.endpoints):
            endpoint = full_endpoint(self.api, name)
            if endpoint not in app.view_functions:
                raise ConfigurationError(
                    f"the endpoint {endpoint!r} of the Api is not in the application {app.name!r}. Is it another "
                    "application that the Api belongs to (app=...)? Was the Resource added without a URL? Or has a "
                    "decorator of the Api changed the name of the view? Then it needs functools.wraps."
                )
            _check(guarded_app.guard_view(endpoint, self.api, self.guard))


def _check(view: GuardedView) -> None:
    """Raise if a view could only ever be refused, and prepare its class.

    :raises ConfigurationError: its Resource cannot be told, or its rules make no sense
    """
    if view.resource is None:
        raise ConfigurationError(
            f"a decorator of the view {view.endpoint!r} hides which Resource it is: it needs functools.wraps"
        )
    _make_coroutines_work(view.resource)
    for verb in getattr(view.resource, "methods", None) or ():
        resolve_rule(view.resource, verb)


def _make_coroutines_work(resource: Any) -> None:
    """Let ``async def`` methods of a Resource class be awaited.

    Flask awaits the views that it calls itself; Flask-RESTful calls the methods of a Resource, and would try to render
    the coroutine. ``method_decorators`` is its own place for this. Ours comes last, and leaves alone what another one
    has awaited already.
    """
    if getattr(resource, "dispatch_request", None) is not Resource.dispatch_request:
        return  # it calls its methods itself
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
