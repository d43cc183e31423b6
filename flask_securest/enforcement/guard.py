"""Turn what a ``SecuREST`` object has been told into a policy for each view and verb, and judge requests by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from logging import DEBUG
from typing import Any, Literal, cast
from weakref import WeakSet

from flask import Flask, Request, Response, after_this_request
from flask_restful import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from ..authorization_providers.abstract import Target
from ..current import ANONYMOUS, STATE, Caller
from ..decision.answers import ANSWERS, Answers
from ..decision.choosing import make_policy
from ..decision.policy import AnyPolicy, FixedPolicy
from ..decision.settings import Settings
from ..decision.verdict import Refusal, Verdict
from ..errors import AuthenticationError, AuthorizationError, BackendError, ConfigurationError
from ..rules.functions import ProtectedFunction, resolve_function_rule
from ..rules.resolution import Rule, resolve_rules
from ..signals import request_authenticated, request_refused, request_would_be_refused
from ..support.logs import forget_frames, get_logger
from .endpoints import find_verbs
from .kept import find_kept, keep
from .preflights import is_preflight, tells_more
from .reports import Reporter
from .responses import ErrorHandler, make_refusal

#: Which levels the log of successes is known to have or not to have. ``Logger.isEnabledFor``, which keeps it there and
#: empties it when a level is changed, is a call, and would be one on every request.
_LEVELS: dict[int, bool] = getattr(get_logger("flask_securest.enforcement.reports"), "_cache", {})

Mode = Literal["enforce", "report"]

#: What a view may raise, and with which status that is answered.
RAISED_IN_VIEWS = (AuthenticationError, AuthorizationError, BackendError)


class GuardedView:
    """Hold one guarded endpoint of an application.

    :param app: the application
    :param api: the Api; ``None`` for a view that no Api has registered
    :param guard: who guards it
    :param endpoint: the endpoint as the application knows it
    :param resource: the Resource or View class, or the function; ``None`` if it cannot be told
    :param fault: what is wrong with how it has been set up: every request is refused
    """

    __slots__ = ("__weakref__", "api", "app", "endpoint", "fault", "guard", "policies", "resource")

    def __init__(
        self,
        app: Flask,
        api: Api | None,
        guard: ApiGuard,
        endpoint: str,
        resource: type | ProtectedFunction | None,
        fault: str | None = None,
    ) -> None:
        self.app = app
        self.api = api
        self.guard = guard
        self.endpoint = endpoint
        self.resource = resource
        self.fault = fault
        #: How requests with each verb are decided, as far as that has been worked out yet.
        self.policies: dict[str, AnyPolicy] = {}
        guard.views.add(self)

    def hand_over(self, api: Api | None, guard: ApiGuard) -> None:
        """Let another guard guard it from now on.

        :param api: the Api
        :param guard: who guards it
        """
        self.guard.views.discard(self)
        guard.views.add(self)
        self.api, self.guard, self.policies = api, guard, {}

    def resolve_rule(self, verb: str) -> Rule:
        """Return the rule of a verb.

        :param verb: the request's method
        :raises ConfigurationError: it makes no sense, or cannot be told
        """
        return self.check_rules([verb])[0]

    def check_rules(self, verbs: Iterable[str]) -> list[Rule]:
        """Return the rules of several verbs, as :meth:`resolve_rule` does."""
        if self.fault is not None:
            raise ConfigurationError(self.fault)
        if self.resource is None:
            raise ConfigurationError(
                f"a decorator of the view {self.endpoint!r} hides which Resource it is: it needs functools.wraps"
            )
        if isinstance(self.resource, ProtectedFunction):
            return [resolve_function_rule(self.resource) for _ in verbs]
        return resolve_rules(self.resource, verbs, lambda: find_verbs(self.app, self.endpoint))


class ApiGuard:
    """Judge the requests to all views that one ``SecuREST`` object guards.

    :param sender: the ``SecuREST`` object, which signals are sent by
    :param realm: the protected realm
    :param mode: whether to enforce verdicts or only to report them
    """

    def __init__(self, sender: object, realm: str, mode: Mode) -> None:
        self.reporter = Reporter(sender)
        self.realm = realm
        self.mode = mode
        self.settings = Settings()
        self.error_handler: ErrorHandler | None = None
        #: Weakly, for an application that is thrown away must not be kept by what once guarded it.
        self.views: WeakSet[GuardedView] = WeakSet()
        self.apps: WeakSet[Flask] = WeakSet()
        #: The functions that ``securest.protect`` has been given.
        self.protections: WeakSet[Any] = WeakSet()
        #: Whether it guards whole applications, and not only Apis by name.
        self.guards_apps = False

    def judge(self, request: Request, view: GuardedView, arguments: Mapping[str, Any]) -> Verdict:
        """Return the verdict on a request for a view, its verb and these arguments: made once, and kept on the request.

        A verdict for one view is never used for another, nor one for some arguments for others: a public view that
        calls a closed one would lend it its own yes (CWE-863). It never raises.

        :param request: the request
        :param view: what it asks for
        :param arguments: the arguments of the view; they must not be changed any more
        """
        if request.method == "OPTIONS" and is_preflight(request, view.resource):
            return self._let_preflight_pass(request, view, arguments)
        verdict = self.decide(request, self.find_policy(view, request.method), arguments)
        keep(request, verdict, arguments)
        return verdict

    def find_policy(self, view: GuardedView, verb: str) -> AnyPolicy:
        """Return how requests for a view with this method are decided."""
        return view.policies.get(verb) or make_policy(view, verb, self.settings)

    def decide(self, request: Request, policy: AnyPolicy, arguments: Mapping[str, Any]) -> Verdict:
        """Return the verdict on a request, as :meth:`judge` does, for what is no preflight.

        A new one is not kept: what the gate gets from here is in force, or is the answer.

        :param request: the request
        :param policy: how it is decided
        :param arguments: the arguments of the view
        """
        if policy.verdict is not None:
            return policy.verdict
        answers: Answers = request.__dict__.setdefault(ANSWERS, {})
        verdict = find_kept(request, policy, arguments) if answers else None  # else nobody has been asked yet
        if verdict is not None:
            return verdict
        try:
            listened: Any = request_authenticated.receivers or request_refused.receivers
            verdict = policy.decide(request, arguments, answers, listened or request_would_be_refused.receivers)
            found = verdict.found
            identity = None if found is None else found[2]
            if identity is not None:
                if identity.replaced_at is not None or identity.response_headers:
                    self.reporter.tell_caller(request, identity, enforced=self._enforces)
                if (listened or _LEVELS.get(DEBUG, True)) and not isinstance(verdict, Refusal):
                    self.reporter.report_success(request, verdict)
        except Exception as error:
            # Whatever it was, it was not a yes.
            verdict = Refusal(policy, None, 500, error)
            verdict.arguments = arguments
        return verdict

    def _let_preflight_pass(self, request: Request, view: GuardedView, arguments: Mapping[str, Any]) -> Verdict:
        """Return that a CORS preflight goes on, and see to it that nothing but an empty answer comes of it."""

        def refuse_body(response: Response) -> Response:
            if not tells_more(response):
                return response
            verdict = self.decide(request, self.find_policy(view, request.method), arguments)
            refusal = self.refuse(request, view, verdict) if isinstance(verdict, Refusal) else None
            if refusal is None:
                return response
            response.close()
            return cast(Response, refusal)

        after_this_request(refuse_body)
        return FixedPolicy(view, Target(object, "OPTIONS", view.endpoint)).verdict

    def find_caller(self, request: Request, view: GuardedView) -> Caller:
        """Return who sent a request for a view, whatever it may do.

        :param request: the request
        :param view: what it asks for
        """
        policy = self.find_policy(view, request.method)
        if isinstance(policy, FixedPolicy):
            return ANONYMOUS
        answers: Answers = request.__dict__.setdefault(ANSWERS, {})
        _, _, identity, provider, _ = policy.chain.find_caller(request, answers, self.reporter.is_listened_to)
        return Caller(identity, provider)

    def refuse(self, request: Request, view: GuardedView, verdict: Refusal) -> WerkzeugResponse | None:
        """Return the response to a request that is refused; ``None`` if it goes on nevertheless. It never raises.

        :param request: the request
        :param view: what it asks for
        :param verdict: the verdict
        """
        is_news = self.reporter.report_refusal(request, verdict, refused=self._enforces)
        if not self._enforces:
            return None
        chain = verdict.policy.chain
        return make_refusal(verdict, request, view.api, chain, self.realm, self.error_handler, is_news=is_news)

    def refuse_after_all(
        self, request: Request, view: GuardedView, verdict: Verdict, error: Exception
    ) -> WerkzeugResponse:
        """Return the response to a request of which its view has found out that it cannot be answered.

        :param request: the request
        :param view: what it asks for
        :param verdict: the verdict by which it went on
        :param error: what the view has raised, one of :data:`RAISED_IN_VIEWS`
        """
        forget_frames(error)
        status = 503 if isinstance(error, BackendError) else 403 if isinstance(error, AuthorizationError) else 401
        refused = Refusal(verdict.policy, verdict.found, status, error)
        self.reporter.report_refusal(request, refused, refused=True)
        if getattr(request, STATE, None) is verdict:
            # It is as if the gate had said so: what runs later sees who was refused with 403, and nobody else.
            setattr(request, STATE, refused.caller if status == 403 else ANONYMOUS)
        chain = verdict.policy.chain or self.settings.find_default_chain()
        return make_refusal(refused, request, view.api, chain, self.realm, self.error_handler, is_news=True)

    def forget_policies(self) -> None:
        """Work out anew how requests are decided, for what they are decided by has changed."""
        # New dicts, not emptied ones, and the chains first: a request that is making a policy right now must put
        # neither that nor its chain, which know the former userstore, among the new ones.
        self.settings.forget_chains()
        for view in list(self.views):
            view.policies = {}

    @property
    def _enforces(self) -> bool:
        return self.mode != "report"
