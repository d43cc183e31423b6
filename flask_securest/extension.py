"""``SecuREST``, which holds everything together: the userstore, the providers, and the Apis that it guards."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask
from flask_restful import Api

from .attachment import attach
from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authorization_providers.abstract import AbstractAuthorizationProvider
from .census import Route, take_census
from .checks import require_list, require_name, require_type
from .errors import ConfigurationError
from .guard import ApiGuard, Mode
from .responses import ErrorHandler
from .userstores.abstract import AbstractUserstore


class SecuREST:
    """Guard every method of every Resource of an Api.

    :param api: the Api to guard; more by :meth:`init_api`
    :param app: its application, needed for an ``Api()`` whose ``init_app`` has already run, and for nothing else
    :param userstore: where the users are
    :param authentication_providers: whom to ask who the caller is, in this order
    :param authorization_provider: decides what verified callers may do, beyond what each rule requires
    :param realm: the protected realm in challenges (RFC 9110, section 11.5)
    :param mode: ``"enforce"``; or ``"report"`` to decide, log and signal as usual, and let every request go on
        nevertheless, in order to close a live open API without breaking it
    :raises ConfigurationError: an argument of the wrong type or value, or an Api that cannot be guarded
    """

    def __init__(
        self,
        api: Api | None = None,
        *,
        app: Flask | None = None,
        userstore: AbstractUserstore | None = None,
        authentication_providers: Iterable[AbstractAuthenticationProvider] = (),
        authorization_provider: AbstractAuthorizationProvider | None = None,
        realm: str = "api",
        mode: Mode = "enforce",
    ) -> None:
        if mode not in ("enforce", "report"):
            raise ConfigurationError(f'mode must be "enforce" or "report", not {mode!r}')
        if not isinstance(realm, str) or not realm.isascii() or not realm.isprintable():
            raise ConfigurationError(f"realm must be a string of printable ASCII characters, not {realm!r}")
        self._guard = ApiGuard(self, realm, mode)
        self.userstore = userstore
        self.authorization_provider = authorization_provider
        for provider in require_list(authentication_providers, "authentication_providers"):
            self.register_authentication_provider(provider)
        if api is not None:
            self.init_api(api, app)
        elif app is not None:
            raise ConfigurationError("app is given without an api; the application-factory form is init_api(api, app)")

    def init_api(self, api: Api, app: Flask | None = None) -> None:
        """Guard an Api from now on, with what it has and what will be added to it.

        The same Api may be given again, which changes nothing; and several Apis may be.

        :param api: the Api
        :param app: its application, needed for an ``Api()`` whose ``init_app`` has already run
        :raises ConfigurationError: it cannot be guarded, or another SecuREST guards it
        """
        attach(api, self._guard, app)

    def register_authentication_provider(
        self, provider: AbstractAuthenticationProvider, name: str | None = None
    ) -> None:
        """Append a provider to the default chain.

        :param provider: the provider
        :param name: how it is called here; by default ``provider.name``
        :raises ConfigurationError: no provider, or a name that is taken
        """
        require_type(provider, AbstractAuthenticationProvider, "an authentication provider")
        name = require_name(provider.name if name is None else name, "the name of a provider")
        if name in self._guard.providers:
            raise ConfigurationError(f"there is a provider called {name!r} already: give this one another name=...")
        self._guard.providers[name] = provider
        self._guard.forget_policies()

    @property
    def authentication_providers(self) -> dict[str, AbstractAuthenticationProvider]:
        """Return the providers of the default chain by their names, in the order in which they are asked."""
        return dict(self._guard.providers)

    @property
    def userstore(self) -> AbstractUserstore | None:
        """Return the userstore that the providers are given."""
        return self._guard.userstore

    @userstore.setter
    def userstore(self, userstore: AbstractUserstore | None) -> None:
        if userstore is not None:
            require_type(userstore, AbstractUserstore, "userstore")
        self._guard.userstore = userstore
        self._guard.forget_policies()

    @property
    def authorization_provider(self) -> AbstractAuthorizationProvider | None:
        """Return who decides what verified callers may do."""
        return self._guard.authorization_provider

    @authorization_provider.setter
    def authorization_provider(self, provider: AbstractAuthorizationProvider | None) -> None:
        if provider is not None:
            require_type(provider, AbstractAuthorizationProvider, "authorization_provider")
        self._guard.authorization_provider = provider
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
        """Register ``f(status, error)``, which words the refusals with 401, 403 and 503.

        It returns what a Resource method may return; data without a status gets the refusal's own, and ``None`` leaves
        the refusal as it is. The Resource does not run, whatever is returned: an answer below 400, or an exception, is
        logged as an error, and the plain refusal is sent.

        :param handler: the function; it is returned unchanged, so this can be a decorator
        :raises ConfigurationError: it cannot be called
        """
        if not callable(handler):
            raise ConfigurationError(
                f"an error_handler must be a function f(status, error), not of type {type(handler).__name__}"
            )
        self._guard.error_handler = handler
        return handler

    def route_census(self) -> list[Route]:
        """Return what every guarded method asks for, and where that comes from, sorted by URL and verb."""
        return sorted(take_census(self._guard))

    def __repr__(self) -> str:
        """Return who is asked, and nothing that they know."""
        return f"<SecuREST {self.mode} {list(self._guard.providers)}>"
