"""Decide about one request: rule, chain, requirement, authorization, and nothing of HTTP but the status.

This is the policy decision point; in :mod:`flask_securest.enforcement.gate` its verdicts are enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from ..authorization_providers.abstract import AbstractAuthorizationProvider, Decision, Target
from ..errors import AuthenticationError, AuthorizationError, BackendError
from ..identity import Identity
from ..rules.resolution import Rule
from ..rules.statements import Access
from ..support.logs import forget_frames
from .answers import Answer, Answers, status_of
from .chain import Chain, Found
from .verdict import Policy, Refusal, Verdict, make_verdict

#: With which status each answer of a chain is refused; those that are not here are bugs.
_STATUS_OF_ANSWER = {
    Answer.WRONG_CREDENTIALS: 401,
    Answer.ACCOUNT_STATUS: 401,
    Answer.BACKEND_DOWN: 503,
}


class FixedPolicy(Policy):
    """Decide all requests alike: what is public, and what has been configured wrongly.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param error: what is wrong; ``None`` for what is public
    """

    __slots__ = ()

    verdict: Verdict

    def __init__(self, view: object, target: Target, error: Exception | None = None) -> None:
        super().__init__(view, target, None)
        self.verdict = make_verdict(self) if error is None else Refusal(self, None, 500, error)
        # An OPTIONS may be a preflight, of which nothing but an empty answer may come.
        self.opened = self.verdict if error is None and target.verb != "OPTIONS" else None


class ChainPolicy(Policy):
    """Decide by asking a chain.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param rule: what the method asks for
    :param chain: whom to ask
    :param authorization_provider: asked about verified callers, after the rule's own requirement
    """

    __slots__ = ("_asks_for_more", "_authorization_provider", "_requirement", "_rule")

    chain: Chain

    def __init__(
        self,
        view: object,
        target: Target,
        rule: Rule,
        chain: Chain,
        authorization_provider: AbstractAuthorizationProvider | None,
    ) -> None:
        super().__init__(view, target, chain)
        self._rule = rule
        self._requirement = rule.requirement
        self._authorization_provider = authorization_provider
        # Most methods ask for nothing but a caller: then there is nothing more to decide on each request.
        self._asks_for_more = bool(rule.requirement) or authorization_provider is not None

    def decide(self, request: Request, arguments: Mapping[str, Any], answers: Answers, timed: object) -> Verdict:
        """Return the verdict on a request.

        Who sent a request does not depend on what it asks for, and is found out once. Whether it may go on does.

        :param request: the request
        :param arguments: the arguments of the view
        :param answers: what providers have said of it
        :param timed: whether to take down how long each provider takes
        :raises Exception: a bug of an authorization provider, or a user whose attributes are not what they should be
        """
        found = self.chain.find_caller(request, answers, timed)
        identity = found[2]
        refusal: Verdict | None = None
        if identity is None:
            refusal = self._refuse_unknown(request, found)
        elif self._asks_for_more:
            refusal = self._refuse_known(identity, found)
        verdict = Verdict() if refusal is None else refusal
        verdict.policy = self
        verdict.found = found
        verdict.arguments = arguments
        return verdict

    def _refuse_unknown(self, request: Request, found: Found) -> Refusal | None:
        """Return the refusal of a request for which no provider has vouched; ``None`` if it goes on nevertheless."""
        answer, _, _, _, error = found
        if answer is Answer.NO_CREDENTIALS:
            # A blank header is an attempt too: who tries to be somebody must not be taken for nobody. And optional
            # never weakens require: an anonymous caller has no role.
            opened = self._rule.access is Access.OPTIONAL and not self._rule.requirement
            if opened and not self.chain.has_credentials(request):
                return None
            return Refusal(self, found, 401, AuthenticationError("no credentials"))
        if answer is Answer.OWN_REFUSAL and isinstance(error, HTTPException):
            return Refusal(self, found, status_of(error), error)
        return Refusal(self, found, _STATUS_OF_ANSWER.get(answer, 500), error)

    def _refuse_known(self, identity: Identity, found: Found) -> Refusal | None:
        """Return the refusal of a verified caller; ``None`` if it goes on."""
        decision = self._requirement.decide(identity)
        if decision and self._authorization_provider is not None:
            return self._ask_for_refusal(self._authorization_provider, identity, found)
        return None if decision else self._forbid(found, decision)

    def _ask_for_refusal(
        self, provider: AbstractAuthorizationProvider, identity: Identity, found: Found
    ) -> Refusal | None:
        refusal: AuthorizationError | BackendError
        try:
            decision = provider.authorize(identity, self.target)
        except (AuthorizationError, BackendError) as error:
            refusal = error
        else:
            if not isinstance(decision, Decision):
                raise TypeError(
                    f"{type(provider).__name__}.authorize must return a Decision, not {type(decision).__name__}"
                )
            return None if decision else self._forbid(found, decision)
        forget_frames(refusal)
        return Refusal(self, found, 403 if isinstance(refusal, AuthorizationError) else 503, refusal)

    def _forbid(self, found: Found, decision: Decision) -> Refusal:
        error = AuthorizationError(decision.reason)
        return Refusal(self, found, 403, error, insufficient_scope=decision.insufficient_scope)


AnyPolicy = FixedPolicy | ChainPolicy
