"""Turn what a ``SecuREST`` object has been told into a policy for each view and verb, and judge requests by it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal
from weakref import WeakSet

from blinker import NamedSignal
from flask import Flask, Request, Response, after_this_request
from flask_restful import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authorization_providers.abstract import AbstractAuthorizationProvider, Target
from .chain import Chain
from .decision import AnyPolicy, ChainPolicy, FixedPolicy, Verdict
from .errors import AuthorizationError, BackendError, ConfigurationError
from .logs import forget_frames, get_logger
from .models import Identity
from .resolution import Rule, resolve_rule
from .responses import ErrorHandler, add_identity_headers, make_refusal
from .rules import USE_DEFAULT, Access, Authenticator
from .signals import (
    replaced_credentials_used,
    request_authenticated,
    request_refused,
    request_would_be_refused,
)
from .userstores.abstract import AbstractUserstore

_log = get_logger(__name__)

_VERDICTS = "flask_securest.verdicts"  # on a request: its verdicts, by their policies

#: A view can be called with any method that a client makes up; what is kept for each must have an end (CWE-770).
_MOST_VERBS = 32

Mode = Literal["enforce", "report"]


class GuardedView:
    """Hold one guarded endpoint of an application.

    :param app: the application
    :param api: the Api
    :param guard: who guards it
    :param endpoint: the endpoint as the application knows it
    :param resource: the Resource class; ``None`` if it cannot be told
    """

    __slots__ = ("__weakref__", "api", "app", "endpoint", "guard", "policies", "resource")

    def __init__(self, app: Flask, api: Api, guard: ApiGuard, endpoint: str, resource: type | None) -> None:
        self.app = app
        self.api = api
        self.guard = guard
        self.endpoint = endpoint
        self.resource = resource
        #: How requests with each verb are decided, as far as that has been worked out yet.
        self.policies: dict[str, AnyPolicy] = {}
        guard.views.add(self)


class ApiGuard:
    """Judge the requests to all views that one ``SecuREST`` object guards.

    :param sender: the ``SecuREST`` object, which signals are sent by
    :param realm: the protected realm
    :param mode: whether to enforce verdicts or only to report them
    """

    def __init__(self, sender: object, realm: str, mode: Mode) -> None:
        self.sender = sender
        self.realm = realm
        self.mode = mode
        self.providers: dict[str, AbstractAuthenticationProvider] = {}
        self.userstore: AbstractUserstore | None = None
        self.authorization_provider: AbstractAuthorizationProvider | None = None
        self.error_handler: ErrorHandler | None = None
        #: Weakly, for an application that is thrown away must not be kept by what once guarded it.
        self.views: WeakSet[GuardedView] = WeakSet()
        self._chains: dict[tuple[tuple[str, int], ...], Chain] = {}

    def judge(self, request: Request, view: GuardedView) -> Verdict:
        """Return the verdict on a request for a view and its verb: made once, and the same ever after.

        It is kept on the request object. A verdict for one view is never used for another: a public one that calls a
        closed one would lend it its own yes. It never raises.

        :param request: the request
        :param view: what it asks for
        """
        policy = view.policies.get(request.method) or self._make_policy(view, request.method)
        if isinstance(policy, ChainPolicy):
            verdicts: dict[ChainPolicy, Verdict] | None = request.__dict__.get(_VERDICTS)
            if verdicts is None:
                verdicts = request.__dict__[_VERDICTS] = {}
                return self._decide(request, policy, verdicts)
            return verdicts.get(policy) or self._decide(request, policy, verdicts)
        if policy.verdict.status is not None:
            self._report(request, policy.verdict, refused=self._enforces)
        return policy.verdict

    def refuse(self, request: Request, view: GuardedView, verdict: Verdict) -> WerkzeugResponse | None:
        """Return the response to a request that is refused; ``None`` if it goes on nevertheless. It never raises.

        :param request: the request
        :param view: what it asks for
        :param verdict: the verdict, which refuses it
        """
        if not self._enforces:
            return None
        return make_refusal(verdict, request, view.api, self.realm, self.error_handler)

    def refuse_after_all(
        self, request: Request, view: GuardedView, verdict: Verdict, error: AuthorizationError | BackendError
    ) -> WerkzeugResponse:
        """Return the response to a request of which its view has found out that it cannot be answered.

        :param request: the request
        :param view: what it asks for
        :param verdict: the verdict by which it went on
        :param error: what the view has said: that the caller may not do this, or that a back end is down
        """
        forget_frames(error)
        refused = replace(verdict, status=403 if isinstance(error, AuthorizationError) else 503, error=error)
        self._report(request, refused, refused=True)
        return make_refusal(refused, request, view.api, self.realm, self.error_handler)

    def forget_policies(self) -> None:
        """Work out anew how requests are decided, for what they are decided by has changed."""
        # New dicts, not emptied ones, and the chains first: a request that is making a policy right now must put
        # neither that nor its chain, which know the former userstore, among the new ones.
        self._chains = {}
        for view in list(self.views):
            view.policies = {}

    def find_providers(self, rule: Rule) -> list[tuple[str, AbstractAuthenticationProvider]]:
        """Return whom a rule asks, under the names by which they are known here.

        :param rule: the rule
        :raises ConfigurationError: it names somebody who is not registered
        """
        found: list[tuple[str, AbstractAuthenticationProvider]] = []
        for authenticator in rule.authenticators or (USE_DEFAULT,):
            for name, provider in self._find_provider(authenticator):
                # By identity: equal providers may well have different secrets.
                if all(provider is not known for _, known in found):
                    found.append((name, provider))
        return found

    def _find_provider(self, authenticator: Authenticator) -> Iterable[tuple[str, AbstractAuthenticationProvider]]:
        if authenticator is USE_DEFAULT:
            return self.providers.items()
        for name, provider in self.providers.items():
            if provider is authenticator or name == authenticator:
                return [(name, provider)]
        if isinstance(authenticator, AbstractAuthenticationProvider):
            return [(authenticator.name, authenticator)]
        raise ConfigurationError(
            f"authenticators names the provider {authenticator!r}, which is not registered; registered: "
            f"{', '.join(self.providers) or 'none'}"
        )

    @property
    def _enforces(self) -> bool:
        return self.mode != "report"

    def _decide(self, request: Request, policy: ChainPolicy, verdicts: dict[ChainPolicy, Verdict]) -> Verdict:
        """Return a new verdict on a request, reported and kept. It never raises."""
        listened: Any = (
            request_authenticated.receivers or request_refused.receivers or request_would_be_refused.receivers
        )
        try:
            verdict = policy.decide(request, verdicts.values() if verdicts else (), timed=listened)
            outcome = verdict.outcome
            identity = None if outcome is None else outcome.identity
            if identity is not None and (identity.replaced_at is not None or identity.response_headers):
                self._tell_caller(request, identity)
            if listened and verdict.status is None and identity is not None:
                request_authenticated.send(self.sender, request=request, verdict=verdict)
        except Exception as error:
            # Whatever it was, it was not a yes.
            verdict = Verdict(policy, 500, error=error)
        verdicts[policy] = verdict
        if verdict.status is not None:
            self._report(request, verdict, refused=self._enforces)
        return verdict

    def _tell_caller(self, request: Request, identity: Identity) -> None:
        """Tell the client about its credentials, in the headers of the answer."""

        def add_headers(response: Response) -> Response:
            return add_identity_headers(response, identity)

        after_this_request(add_headers)
        if identity.replaced_at is not None:
            self._send(replaced_credentials_used, request=request, identity=identity)

    def _make_policy(self, view: GuardedView, verb: str) -> AnyPolicy:
        policies, chains, userstore = view.policies, self._chains, self.userstore
        target = Target(view.resource or object, verb, view.endpoint)
        policy: AnyPolicy
        try:
            policy = self._work_out(view, target, chains, userstore)
        except ConfigurationError as error:
            # Its traceback would keep the first request, with its credentials, for as long as the policy.
            forget_frames(error)
            policy = FixedPolicy(view, target, error)
        except Exception as error:
            # A provider that could not be asked whether it can work. Not kept: it may be able to the next time.
            return FixedPolicy(view, target, error)
        if len(policies) < _MOST_VERBS:
            policies[verb] = policy
        return policy

    def _work_out(
        self,
        view: GuardedView,
        target: Target,
        chains: dict[tuple[tuple[str, int], ...], Chain],
        userstore: AbstractUserstore | None,
    ) -> AnyPolicy:
        if view.resource is None:
            raise ConfigurationError(
                f"a decorator of the view {view.endpoint!r} hides which Resource it is: it needs functools.wraps"
            )
        rule = resolve_rule(view.resource, target.verb)
        if rule.access is Access.PUBLIC:
            return FixedPolicy(view, target)
        providers = self.find_providers(rule)
        key = tuple((name, id(provider)) for name, provider in providers)
        chain = chains.get(key)
        if chain is None:
            chain = chains[key] = Chain(providers, userstore)
        return ChainPolicy(view, target, rule, chain, self.authorization_provider)

    def _report(self, request: Request, verdict: Verdict, *, refused: bool) -> None:
        """Log and signal a refusal. It never raises."""
        bug = verdict.error if verdict.status == 500 and verdict.own_words is None else None
        level = logging.INFO if refused else logging.WARNING
        if verdict.status == 503:
            level = logging.WARNING
        elif bug is not None:
            level = logging.ERROR
        if _log.isEnabledFor(level):
            said, target = "refused" if refused else "would deny", verdict.target
            caller = f" for {verdict.identity.user.username!r}" if verdict.identity is not None else ""
            words = (said, target.verb, target.endpoint, caller, request.remote_addr, verdict.status, verdict.reason)
            _log.log(level, "%s %r on %r%s from %r (%d): %s", *words, exc_info=bug)
        self._send(request_refused if refused else request_would_be_refused, request=request, verdict=verdict)

    def _send(self, signal: NamedSignal, **what: Any) -> None:
        """Tell whoever listens. It never raises."""
        try:
            signal.send(self.sender, **what)
        except Exception:
            _log.exception("a receiver of the signal %r failed; the request is answered as decided", signal.name)
