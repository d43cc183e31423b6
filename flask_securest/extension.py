"""``SecuREST``, which holds everything together: the userstore, the providers, and the Apis that it guards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from flask import Flask
from flask.views import View
from flask_restful import Api

from .accounts.sources import Accounts
from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authorization_providers.abstract import AbstractAuthorizationProvider
from .enforcement.attachment import attach, attach_to_app, require_api
from .enforcement.dispatching import judge_again
from .enforcement.guard import ApiGuard, Mode
from .enforcement.guarded_app import GuardedApp
from .enforcement.protecting import protect_class, protect_function
from .enforcement.responses import ErrorHandler
from .errors import ConfigurationError
from .inspection.census import Route, take_census
from .support.checks import require_callable, require_callable_with, require_list, require_type
from .support.suggestions import suggest
from .userstores.abstract import AbstractUserstore

_View = TypeVar("_View", bound=Callable[..., Any])


class SecuREST:
    """Guard every method of every Resource of an Api, or of an application.

    :param api: the Api to guard, more by :meth:`init_api`; or the application of which every Api is to be guarded, as
        by :meth:`init_app`
    :param app: the application: that of an ``Api()`` whose ``init_app`` has already run; without ``api``, the
        application of which every Api is to be guarded
    :param userstore: where the users are
    :param authentication_providers: whom to ask who the caller is, in this order
    :param authorization_provider: decides what verified callers may do, beyond what each rule requires
    :param realm: the protected realm in challenges (RFC 9110, section 11.5)
    :param mode: ``"enforce"``; or ``"report"`` to decide, log and signal as usual, and let every request go on
        nevertheless, in order to close a live open API without breaking it
    :param unguarded: Apis of a guarded application that are open on purpose
    :raises ConfigurationError: an argument of the wrong type or value, or an Api that cannot be guarded
    """

    _guard: ApiGuard
    _unguarded: list[Api]

    def __init__(
        self,
        api: Api | Flask | None = None,
        *,
        app: Flask | None = None,
        userstore: AbstractUserstore | None = None,
        authentication_providers: Iterable[AbstractAuthenticationProvider] = (),
        authorization_provider: AbstractAuthorizationProvider | None = None,
        realm: str = "api",
        mode: Mode = "enforce",
        unguarded: Iterable[Api] = (),
    ) -> None:
        if mode not in ("enforce", "report"):
            raise ConfigurationError(f'mode must be "enforce" or "report", not {mode!r}')
        if not isinstance(realm, str) or not realm.isascii() or not realm.isprintable():
            raise ConfigurationError(f"realm must be a string of printable ASCII characters, not {realm!r}")
        self._guard = ApiGuard(self, realm, mode)
        self._unguarded = require_list(unguarded, "unguarded")
        for each in self._unguarded:
            require_api(each, "each of unguarded")
        self.userstore = userstore
        self.authorization_provider = authorization_provider
        for provider in require_list(authentication_providers, "authentication_providers"):
            self.register_authentication_provider(provider)
        if isinstance(api, Flask):
            if app not in (None, api):
                raise ConfigurationError("SecuREST(app, app=...) names two applications: give one")
            self.init_app(api)
        elif api is not None:
            self.init_api(api, app)
        elif app is not None:
            self.init_app(app)

    def init_api(self, api: Api, app: Flask | None = None) -> None:
        """Guard an Api from now on, with what it has and what will be added to it.

        The same Api may be given again, which changes nothing; and several Apis may be.

        :param api: the Api
        :param app: its application, needed for an ``Api()`` whose ``init_app`` has already run
        :raises ConfigurationError: it cannot be guarded, or another SecuREST guards it
        """
        if self._unguarded and not self._guard.guards_apps:
            raise ConfigurationError(
                "unguarded=[...] makes exceptions from SecuREST(app) or init_app(app); an Api that is not given to any "
                "SecuREST is open anyway"
            )
        attach(api, self._guard, app)

    def init_app(self, app: Flask) -> None:
        """Guard every Api of an application from now on: those in Blueprints, and those that come later, too.

        An Api that another SecuREST object has been given by name, before or after, is guarded by that one.

        :param app: the application
        :raises ConfigurationError: another SecuREST guards it, or something is wrong with one of its views
        """
        attach_to_app(app, self._guard, self._unguarded)

    def protect(self, view: _View) -> _View:
        """Guard a plain view function, or a ``flask.views.View`` class, like a Resource.

        It is a decorator, which may stand above or below ``@app.route``. Its refusals are JSON. Subclasses of a
        protected class are protected.

        :param view: the view function, or the class
        :raises ConfigurationError: it is neither, or another SecuREST protects it
        """
        if isinstance(view, type) and issubclass(view, View):
            protect_class(self._guard, view)
            for app in list(self._guard.apps):
                GuardedApp.of(app).forget()
            return cast(_View, view)
        protection = protect_function(self._guard, view)
        for app in list(self._guard.apps):
            GuardedApp.of(app).take_function(view)
        return cast(_View, protection.wrapper)

    def judge(self, verb: str) -> None:
        """Judge the current request once more: for the Resource that is running, another verb, and its view arguments.

        Call it in a ``dispatch_request`` that picks the method of the Resource itself, before the method runs. What
        has been decided of the request was decided by ``request.method``. After it, ``current_user`` is who may do
        this.

        :param verb: the verb by whose rule to judge, for example ``"DELETE"``
        :raises werkzeug.exceptions.HTTPException: the refusal; let it pass
        :raises ConfigurationError: no view is running that this SecuREST guards, or ``verb`` is not a string
        :raises RuntimeError: there is no request
        """
        judge_again(self._guard, verb)

    def register_authentication_provider(
        self, provider: AbstractAuthenticationProvider, name: str | None = None
    ) -> None:
        """Append a provider to the default chain.

        :param provider: the provider
        :param name: how it is called here; by default ``provider.name``
        :raises ConfigurationError: no provider, or a name that is taken
        """
        require_type(provider, AbstractAuthenticationProvider, "an authentication provider")
        require_callable_with(provider, "authenticate", "request", "userstore")
        require_callable_with(provider, "challenge", "realm", "error")
        require_callable_with(provider, "find_user", "username", "issuer")
        self._guard.settings.accounts.register(provider.name if name is None else name, provider)
        self._guard.forget_policies()

    @property
    def authentication_providers(self) -> dict[str, AbstractAuthenticationProvider]:
        """Return the providers of the default chain by their names, in the order in which they are asked."""
        return dict(self._guard.settings.providers)

    @property
    def userstore(self) -> AbstractUserstore | None:
        """Return the userstore that the providers are given."""
        return self._guard.settings.userstore

    @userstore.setter
    def userstore(self, userstore: AbstractUserstore | None) -> None:
        if userstore is not None:
            require_type(userstore, AbstractUserstore, "userstore")
            require_callable_with(userstore, "get_user", "identifier")
        self._guard.settings.accounts.userstore = userstore
        self._guard.forget_policies()

    @property
    def accounts(self) -> Accounts[AbstractAuthenticationProvider]:
        """Return where the accounts of this API live: its userstore, and its providers."""
        return self._guard.settings.accounts

    @property
    def authorization_provider(self) -> AbstractAuthorizationProvider | None:
        """Return who decides what verified callers may do."""
        return self._guard.settings.authorization_provider

    @authorization_provider.setter
    def authorization_provider(self, provider: AbstractAuthorizationProvider | None) -> None:
        if provider is not None:
            require_type(provider, AbstractAuthorizationProvider, "authorization_provider")
            require_callable_with(provider, "authorize", "identity", "target")
        self._guard.settings.authorization_provider = provider
        self._guard.forget_policies()

    @property
    def realm(self) -> str:
        """Return the protected realm."""
        return self._guard.realm

    @property
    def mode(self) -> Mode:
        """Return whether verdicts are enforced, or only reported."""
        return self._guard.mode

    def error_handler(self, handler: ErrorHandler) -> ErrorHandler:
        """Register ``f(status, error)``, which words the refusals with 401, 403, 429 and 503.

        It returns what a Resource method may return; data without a status gets the refusal's own, and ``None`` leaves
        the refusal as it is. The Resource does not run, whatever is returned: an answer below 400, or an exception, is
        logged as an error, and the plain refusal is sent.

        :param handler: the function; it is returned unchanged, so this can be a decorator
        :raises ConfigurationError: it cannot be called with these two
        """
        require_callable(handler, "an error_handler", "status", "error", may_be_async=True)
        self._guard.error_handler = handler
        return handler

    def route_census(self) -> list[Route]:
        """Return what every guarded method asks for, and where that comes from, sorted by URL and verb."""
        return sorted(take_census(self._guard))

    def __setattr__(self, name: str, value: object) -> None:
        """Set what can be set, and refuse the rest: a misspelt ``authorization_provider`` would refuse nobody.

        :raises AttributeError: says what was meant
        """
        settable = [
            known
            for owner in type(self).__mro__
            for known, member in vars(owner).items()
            if isinstance(member, property) and member.fset is not None
        ]
        declared = {known for owner in type(self).__mro__ for known in vars(owner).get("__annotations__", ())}
        if name in settable or name in declared:
            object.__setattr__(self, name, value)
            return
        if name in ("error_handler", "protect", "judge", "route_census"):
            decorates = name in ("error_handler", "protect")
            meant = f"{name} is a method: @securest.{name}" if decorates else f"{name}() is a method"
        else:
            meant = suggest(name, settable)
        raise AttributeError(f"SecuREST has no attribute {name!r} that can be set; {meant}")

    def __repr__(self) -> str:
        """Return who is asked, and nothing that they know."""
        return f"<SecuREST {self.mode} {list(self._guard.settings.providers)}>"
