"""``SecuREST``, which holds everything together: the userstore, the providers, and the Apis that it guards."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from flask import Flask, Request
from flask_restful import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from .attachment import Attachment, attach
from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authorization_providers.abstract import AbstractAuthorizationProvider, Target
from .census import Route, take_census
from .chain import Chain
from .current import IN_FORCE
from .decision import ChainPolicy, Policy, Verdict
from .errors import AuthorizationError, ConfigurationError
from .gate import GuardedView
from .logs import get_logger
from .responses import ErrorHandler, make_refusal
from .rules import USE_DEFAULT, Access, Authenticator, Rule, resolve_rule
from .signals import request_authenticated as _authenticated
from .signals import request_refused as _refused
from .signals import request_would_be_refused as _would_be_refused
from .userstores.abstract import AbstractUserstore

_log = get_logger(__name__)

_MOST_VERBS = 32

_NEWEST_VERDICT = "flask_securest.newest_verdict"  # on a request

Mode = Literal["enforce", "report"]


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
        if isinstance(authentication_providers, (str, bytes)) or not isinstance(authentication_providers, Iterable):
            raise ConfigurationError(
                f"authentication_providers must be a list of providers, not {authentication_providers!r}"
            )
        self.realm = realm
        self.mode = mode
        self._providers: dict[str, AbstractAuthenticationProvider] = {}
        self._attachments: list[Attachment] = []
        self._error_handler: ErrorHandler | None = None
        self.userstore = userstore
        self.authorization_provider = authorization_provider
        for provider in authentication_providers:
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
        attachment = attach(api, self, app)
        if attachment not in self._attachments:
            self._attachments.append(attachment)

    def register_authentication_provider(
        self, provider: AbstractAuthenticationProvider, name: str | None = None
    ) -> None:
        """Append a provider to the default chain.

        :param provider: the provider
        :param name: how it is called here; by default ``provider.name``
        :raises ConfigurationError: no provider, or a name that is taken
        """
        _require_type(provider, AbstractAuthenticationProvider, "an authentication provider")
        name = provider.name if name is None else name
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the name of a provider must be a string, not empty; it is {name!r}")
        if name in self._providers:
            raise ConfigurationError(f"there is a provider called {name!r} already: give this one another name=...")
        self._providers[name] = provider
        self._forget_policies()

    @property
    def authentication_providers(self) -> dict[str, AbstractAuthenticationProvider]:
        """Return the providers of the default chain by their names, in the order in which they are asked."""
        return dict(self._providers)

    @property
    def userstore(self) -> AbstractUserstore | None:
        """Return the userstore that the providers are given."""
        return self._userstore

    @userstore.setter
    def userstore(self, userstore: AbstractUserstore | None) -> None:
        if userstore is not None:
            _require_type(userstore, AbstractUserstore, "userstore")
        self._userstore = userstore
        self._forget_policies()

    @property
    def authorization_provider(self) -> AbstractAuthorizationProvider | None:
        """Return who decides what verified callers may do."""
        return self._authorization_provider

    @authorization_provider.setter
    def authorization_provider(self, provider: AbstractAuthorizationProvider | None) -> None:
        if provider is not None:
            _require_type(provider, AbstractAuthorizationProvider, "authorization_provider")
        self._authorization_provider = provider
        self._forget_policies()

    def error_handler(self, handler: ErrorHandler) -> ErrorHandler:
        """Register ``f(status, error)``, which words the refusals with 401, 403, 429 and 503.

        It returns what a Resource method may return; data without a status gets the refusal's own, and ``None`` leaves
        the refusal as it is. The Resource does not run, whatever is returned: an answer below 400, or an exception, is
        logged as an error, and the plain refusal is sent.

        :param handler: the function; it is returned unchanged, so this can be a decorator
        :raises ConfigurationError: it cannot be called
        """
        if not callable(handler):
            raise ConfigurationError(f"an error_handler must be a function f(status, error), not {handler!r}")
        self._error_handler = handler
        return handler

    def route_census(self) -> list[Route]:
        """Return what every guarded method asks for, and where that comes from, sorted by URL and verb."""
        return sorted(
            route
            for attachment in self._attachments
            for guarded_app in attachment.apps
            for route in take_census(guarded_app, self, tuple(self._providers))
        )

    # What a gate asks: see gate.Guard.

    @property
    def enforces(self) -> bool:
        """Return whether a request that is refused stays out."""
        return self.mode != "report"

    def admit(self, request: Request, view: GuardedView) -> WerkzeugResponse | None:
        """Return the refusal of ``request``; or ``None`` if it goes on, with its verdict in force. It never raises.

        A verdict is kept on the request object, for its view and verb. One for one Resource is never used for another:
        a public one that calls the view of a closed one would lend it its own yes.
        """
        known = request.__dict__
        policy = view.policies.get(request.method) or self._make_policy(view, request.method)
        if isinstance(policy, Verdict):
            verdict = policy
            if verdict.status is not None:
                self._report(request, verdict, refused=self.enforces)
        else:
            earlier: Verdict | None = known.get(_NEWEST_VERDICT)
            verdict = (earlier and earlier.find(policy.target)) or self._decide(request, policy, earlier)
        if verdict.status is not None and self.enforces:
            return make_refusal(verdict, request, view.api, self.realm, self._error_handler)
        known[IN_FORCE] = verdict
        return None

    def forbid(self, request: Request, view: GuardedView, error: AuthorizationError) -> WerkzeugResponse:
        """Return the refusal of a request whose view has said itself that the caller may not do this."""
        verdict: Verdict = replace(request.__dict__[IN_FORCE], status=403, error=error)
        self._report(request, verdict, refused=True)
        return make_refusal(verdict, request, view.api, self.realm, self._error_handler)

    def _decide(self, request: Request, policy: ChainPolicy, earlier: Verdict | None) -> Verdict:
        """Return a new verdict on ``request``, reported and kept. It never raises."""
        listened = bool(_authenticated.receivers or _refused.receivers or _would_be_refused.receivers)
        try:
            verdict = policy.decide(request, earlier, listened)
            if listened and verdict.status is None and verdict.identity is not None:
                _authenticated.send(self, request=request, verdict=verdict)
        except Exception as error:
            # Whatever it was, it was not a yes.
            verdict = Verdict(500, policy.target, error=error)
        verdict.earlier = earlier
        request.__dict__[_NEWEST_VERDICT] = verdict
        if verdict.status is not None:
            self._report(request, verdict, refused=self.enforces)
        return verdict

    def _make_policy(self, view: GuardedView, verb: str) -> Policy:
        policies = view.policies
        target = Target(view.resource, verb, view.endpoint, view)
        try:
            rule = resolve_rule(view.resource, verb)
            if rule.access is Access.PUBLIC:
                policy: Policy = Verdict(None, target)
            else:
                policy = ChainPolicy(target, rule, self._make_chain(rule), self._authorization_provider)
        except ConfigurationError as error:
            policy = Verdict(500, target, error=error)
        # A view can be called with any method that somebody makes up; what is kept must have an end.
        if len(policies) < _MOST_VERBS:
            policies[verb] = policy
        return policy

    def _make_chain(self, rule: Rule) -> Chain:
        providers: list[tuple[str, AbstractAuthenticationProvider]] = []
        for authenticator in rule.authenticators or (USE_DEFAULT,):
            for entry in self._find_providers(authenticator):
                if entry not in providers:
                    providers.append(entry)
        key = tuple(providers)
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = Chain(key, self._userstore)
        return chain

    def _find_providers(self, authenticator: Authenticator) -> list[tuple[str, AbstractAuthenticationProvider]]:
        if authenticator is USE_DEFAULT:
            return list(self._providers.items())
        if isinstance(authenticator, AbstractAuthenticationProvider):
            registered = (name for name, provider in self._providers.items() if provider is authenticator)
            return [(next(registered, authenticator.name), authenticator)]
        for name, provider in self._providers.items():
            if name == authenticator:
                return [(name, provider)]
        raise ConfigurationError(
            f"authenticators names the provider {authenticator!r}, which is not registered; registered: "
            f"{', '.join(self._providers) or 'none'}"
        )

    def _forget_policies(self) -> None:
        # New dicts, not emptied ones: a request that is making a policy right now must not put it among the new ones.
        for attachment in self._attachments:
            for view in attachment.views():
                view.policies = {}
        self._chains: dict[tuple[tuple[str, AbstractAuthenticationProvider], ...], Chain] = {}

    def _report(self, request: Request, verdict: Verdict, *, refused: bool) -> None:
        """Log and signal a refusal. It never raises."""
        bug = verdict.error if verdict.status == 500 and verdict.own_words is None else None
        level = logging.ERROR if bug else logging.WARNING if verdict.status == 503 or not refused else logging.INFO
        if _log.isEnabledFor(level):
            said, target = "refused" if refused else "would deny", verdict.target
            words = (said, target.verb, target.endpoint, verdict.status, verdict.reason)
            _log.log(level, "%s %r on %r (%d): %s", *words, exc_info=bug)
        signal = _refused if refused else _would_be_refused
        if signal.receivers:
            try:
                signal.send(self, request=request, verdict=verdict)
            except Exception:
                _log.exception("a receiver of the signal %r failed; the request is answered as decided", signal.name)


def _require_type(value: object, expected: type, what: str) -> None:
    if not isinstance(value, expected):
        hint = " (the class itself; an object of it is needed)" if isinstance(value, type) else ""
        raise ConfigurationError(f"{what} must be an {expected.__name__}, not {value!r}{hint}")
