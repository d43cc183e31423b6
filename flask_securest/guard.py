"""Turn what a ``SecuREST`` object has been told into a policy for each view and verb, and judge requests by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from logging import DEBUG
from typing import Any, Literal, cast
from uuid import UUID
from weakref import WeakSet

from flask import Flask, Request, Response, after_this_request
from flask_restful import Api
from werkzeug.wrappers import Response as WerkzeugResponse

from .answers import ANSWERS
from .authorization_providers.abstract import Target
from .current import ANONYMOUS, CALLER, IN_FORCE, Caller
from .decision import AnyPolicy, ChainPolicy, FixedPolicy, Verdict
from .errors import AuthenticationError, AuthorizationError, BackendError, ConfigurationError
from .logs import forget_frames, get_logger
from .policies import make_policy, same_arguments
from .preflights import is_preflight, tells_more
from .reports import Reporter
from .resolution import ProtectedFunction, Rule, resolve_function_rule, resolve_rule
from .responses import ErrorHandler, make_refusal
from .settings import Settings
from .signals import request_authenticated, request_refused, request_would_be_refused

_log = get_logger("flask_securest.reports")

_VERDICTS = "_flask_securest_verdicts"  # on a request: the verdicts on it

#: How many verdicts on inner calls are kept with a request: a batch may have as many as its client likes (CWE-770).
_MOST_VERDICTS = 32

#: Arguments of which a verdict may be kept: none of them refers to the request, which would not be freed.
_SIMPLE = frozenset({str, int, float, bool, UUID, type(None)})

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
        if self.fault is not None:
            raise ConfigurationError(self.fault)
        if self.resource is None:
            raise ConfigurationError(
                f"a decorator of the view {self.endpoint!r} hides which Resource it is: it needs functools.wraps"
            )
        if isinstance(self.resource, ProtectedFunction):
            return resolve_function_rule(self.resource)
        return resolve_rule(self.resource, verb)


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
        method = request.method
        if method == "OPTIONS" and is_preflight(request, view.resource):
            return self._let_preflight_pass(request, view, arguments)
        return self._judge(request, view, arguments)

    def judge_at_gate(self, request: Request, view: GuardedView, arguments: Mapping[str, Any]) -> Verdict:
        """Return the verdict of the gate, as :meth:`judge` does; most often it is the first one on a request.

        What comes of the first one is in force, or is the answer: it need not be kept.

        :param request: the request
        :param view: what it asks for
        :param arguments: the arguments of the view
        """
        method = request.method
        policy = view.policies.get(method)
        if policy is None or method == "OPTIONS":
            return self.judge(request, view, arguments)
        if policy.verdict is not None:
            return policy.verdict
        if getattr(request, ANSWERS, None) is not None:
            return self.judge(request, view, arguments)
        setattr(request, ANSWERS, {})
        verdict = self._decide(request, policy)  # type: ignore[arg-type]  # those without a verdict have a chain
        verdict.arguments = arguments
        return verdict

    def _judge(self, request: Request, view: GuardedView, arguments: Mapping[str, Any]) -> Verdict:
        policy = view.policies.get(request.method) or make_policy(view, request.method, self.settings)
        if not isinstance(policy, ChainPolicy):
            return cast(Verdict, policy.verdict)
        verdicts: list[Verdict] = request.__dict__.setdefault(_VERDICTS, [])
        in_force = getattr(request, IN_FORCE, None)
        for verdict in verdicts if in_force is None else [in_force, *verdicts]:
            if verdict.policy is policy and same_arguments(verdict.arguments, arguments):
                return verdict
        verdict = self._decide(request, policy)
        verdict.arguments = arguments
        if not arguments or (len(verdicts) < _MOST_VERDICTS and _SIMPLE.issuperset(map(type, arguments.values()))):
            verdicts.append(verdict)
        return verdict

    def _let_preflight_pass(self, request: Request, view: GuardedView, arguments: Mapping[str, Any]) -> Verdict:
        """Return that a CORS preflight goes on, and see to it that nothing but an empty answer comes of it."""

        def refuse_body(response: Response) -> Response:
            if not tells_more(response):
                return response
            verdict = self._judge(request, view, arguments)
            refusal = None if verdict.status is None else self.refuse(request, view, verdict)
            if refusal is None:
                return response
            response.close()
            return cast(Response, refusal)

        after_this_request(refuse_body)
        return cast(Verdict, FixedPolicy(view, Target(object, "OPTIONS", view.endpoint)).verdict)

    def find_caller(self, request: Request, view: GuardedView) -> Caller:
        """Return who sent a request for a view, whatever it may do.

        :param request: the request
        :param view: what it asks for
        """
        policy = view.policies.get(request.method) or make_policy(view, request.method, self.settings)
        if not isinstance(policy, ChainPolicy):
            return ANONYMOUS
        return policy.ask(request, timed=self.reporter.is_listened_to)

    def refuse(self, request: Request, view: GuardedView, verdict: Verdict) -> WerkzeugResponse | None:
        """Return the response to a request that is refused; ``None`` if it goes on nevertheless. It never raises.

        :param request: the request
        :param view: what it asks for
        :param verdict: the verdict, which refuses it
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
        refused = replace(verdict, status=status, error=error, is_reported=False)
        self.reporter.report_refusal(request, refused, refused=True)
        if getattr(request, IN_FORCE, None) is verdict:
            # It is as if the gate had said so: what runs later sees who was refused with 403, and nobody else.
            setattr(request, IN_FORCE, None)
            setattr(request, CALLER, refused.caller if status == 403 else ANONYMOUS)
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

    def _decide(self, request: Request, policy: ChainPolicy) -> Verdict:
        """Return a new verdict on a request. It never raises."""
        try:
            listened: Any = request_authenticated.receivers or request_refused.receivers
            verdict = policy.decide(request, timed=listened or request_would_be_refused.receivers)
            outcome = verdict.outcome
            identity = None if outcome is None else outcome.identity
            if identity is not None:
                if identity.replaced_at is not None or identity.response_headers:
                    self.reporter.tell_caller(request, identity, enforced=self._enforces)
                if verdict.status is None and (listened or _log.isEnabledFor(DEBUG)):
                    self.reporter.report_success(request, verdict)
        except Exception as error:
            # Whatever it was, it was not a yes.
            verdict = Verdict(policy, 500, error=error)
        return verdict
