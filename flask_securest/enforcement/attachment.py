"""Attach a guard to an Api, whenever and however it is set up, or to an application with all its Apis.

What the Api adds passes ``add_url_rule`` of its application, where :mod:`flask_securest.enforcement.guarded_app` looks
at it. What is attached here tells it which Api that is, and which applications there are to look at.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState
from flask_restful import Api

from ..errors import ConfigurationError
from ..support.checks import require_type
from .dispatching import prepare_class
from .endpoints import full_endpoint
from .guard import ApiGuard
from .guarded_app import GuardedApp
from .protecting import protect_output
from .tracing import API_MARK

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
    require_api(api, "api")
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
    for known in apps:
        GuardedApp.of(known).refuse_late_take_over(guard)
    if attachment is None:
        attachment = Attachment(api, guard)
        setattr(api, _ATTACHMENT, attachment)
    for known in apps:
        # The same pair twice changes nothing.
        if not GuardedApp.of(known).owners.knows(api):
            attachment.guard_app(known)


def _find_app(api: Api) -> Flask | None:
    """Return the application that ``api`` belongs to, as far as it remembers."""
    if api.blueprint_setup is not None:
        return api.blueprint_setup.app  # type: ignore[no-any-return]
    return api.app if isinstance(api.app, Flask) else None


def attach_to_app(app: Flask, guard: ApiGuard, unguarded: Iterable[Api]) -> None:
    """Guard every Api of an application that nobody guards by name, those to come included.

    :param app: the application
    :param guard: who guards them
    :param unguarded: Apis that are open on purpose
    :raises ConfigurationError: another guard does, or something is wrong with a view
    """
    require_type(app, Flask, "app")
    GuardedApp.of(app).add_all(guard, unguarded)


def require_api(api: object, what: str) -> None:
    """Raise if something is no Api.

    :param api: the argument
    :param what: how the error calls it
    :raises ConfigurationError: says what is wanted; with its module, for other libraries have an Api, too
    """
    if not isinstance(api, Api):
        found = api if isinstance(api, type) else type(api)
        name = f"{found.__module__}.{found.__qualname__}"
        raise ConfigurationError(
            f"{what} must be an Api object, of the class flask_restful.Api or a subclass; it is "
            f"{f'the class {name} itself' if isinstance(api, type) else f'of type {name}'}. Give the flask_restful.Api "
            "(find the line Api(app)), or the application to guard every Api of it: SecuREST(app)"
        )


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
            setattr(api, name, self._telling_what_is_added(getattr(api, name)))
        api._init_app = self._guarding_app(api._init_app)
        api.init_app = self._watching_blueprint(api.init_app)
        api.output = self._marking(api.output)
        if api.blueprint is not None:
            self._guard_when_registered(api.blueprint)

    def _telling_what_is_added(self, add: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does what ``add`` does, and tells the application meanwhile whose views come.

        :param add: ``Api.add_resource(resource, *urls, ...)``, or ``Api._register_view(app, resource, *urls, ...)``,
            which the other one calls, unless a subclass goes its own way
        """

        @functools.wraps(add)
        def add_and_tell(*args: Any, **kwargs: Any) -> Any:
            app = args[0] if args and isinstance(args[0], Flask) else _find_app(self.api)
            resource = next((each for each in args[:2] if isinstance(each, type)), None)
            if app is None:
                answer = add(*args, **kwargs)
            else:
                # The Api may have got into the application in a way of its own, past _init_app.
                guarded_app = GuardedApp.of(app)
                guarded_app.add(self.api, self.guard)
                with guarded_app.owners.additions.of(self.api, resource):
                    answer = add(*args, **kwargs)
            if resource is not None and (self.api.decorators or type(self.api) is not Api):
                prepare_class(resource)
            return answer

        return add_and_tell

    def _guarding_app(self, init_app: Callable[[Flask], Any]) -> Callable[[Flask], Any]:
        """Return what takes the place of ``Api._init_app``, which is called for Blueprints, too."""

        @functools.wraps(init_app)
        def init_and_guard(app: Flask) -> Any:
            guarded_app = GuardedApp.of(app)
            guarded_app.add(self.api, self.guard)
            with guarded_app.owners.additions.of(self.api, None):
                return init_app(app)

        return init_and_guard

    def _watching_blueprint(self, init_app: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of ``Api.init_app``, which may give the Api a Blueprint."""

        @functools.wraps(init_app)
        def init_and_watch(*args: Any, **kwargs: Any) -> Any:
            answer = init_app(*args, **kwargs)
            if self.api.blueprint is not None:
                self._guard_when_registered(self.api.blueprint)
            return answer

        return init_and_watch

    def _marking(self, output: Callable[..., Any]) -> Callable[..., Any]:
        """Return what takes the place of ``Api.output``: what comes of it is marked, and guarded, where it can be."""

        @functools.wraps(output)
        def output_and_mark(*args: Any, **kwargs: Any) -> Any:
            view = output(*args, **kwargs)
            with suppress(AttributeError):  # then it has to be found in another way, or is an error
                setattr(view, API_MARK, self.api)
            return protect_output(self.guard, view, self.api)

        return output_and_mark

    def _guard_when_registered(self, blueprint: Blueprint) -> None:
        """See to it that an application is guarded from the moment at which ``blueprint`` is registered there.

        What has been added to a Blueprint reaches an application by functions that are called one after the other; ours
        has to be the first. (By hand, for ``blueprint.record`` appends, and refuses after the first registration.)
        """
        if self._guard_registered not in blueprint.deferred_functions:
            blueprint.deferred_functions.insert(0, self._guard_registered)

    def _guard_registered(self, state: BlueprintSetupState) -> None:
        # Flask declares the base class that it shares with Quart.
        GuardedApp.of(cast(Flask, state.app)).add(self.api, self.guard)

    def guard_app(self, app: Flask) -> None:
        """Guard all views of this Api in an application.

        :param app: the application
        :raises ConfigurationError: one of them is not there, so that there may be an open view under another name; or
            the rules of one make no sense
        """
        GuardedApp.of(app).add(self.api, self.guard)
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
