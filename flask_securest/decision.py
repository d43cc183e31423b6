"""Decide about one request: rule, chain, requirement, authorization, and nothing of HTTP but the status.

This is the policy decision point; in :mod:`flask_securest.gate` its verdicts are enforced.
"""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .authorization_providers.abstract import AbstractAuthorizationProvider, Decision, Target
from .chain import Answer, Chain, Outcome, status_of
from .current import ANONYMOUS, Caller
from .errors import AuthenticationError, AuthorizationError, BackendError
from .logs import message_of
from .models import Identity
from .requirement import NO_REQUIREMENT
from .rules import Access, Rule

#: With which status each answer of a chain is refused; those that are not here are bugs.
_STATUS_OF_ANSWER = {
    Answer.NO_CREDENTIALS: 401,
    Answer.WRONG_CREDENTIALS: 401,
    Answer.ACCOUNT_STATUS: 401,
    Answer.BACKEND_DOWN: 503,
}


@dataclass(slots=True, eq=False)
class Verdict:
    """Hold what has been decided about a request for one Resource.

    :param status: the status with which the request is refused; ``None``: it goes on
    :param target: the Resource, with the verb
    :param chain: who was to be asked; ``None`` where nobody was
    :param outcome: what the chain has found out; ``None`` where it did not run
    :param error: why it is refused
    :param insufficient_scope: whether credentials with more scopes would have been enough
    :param earlier: the verdict before this one on the same request
    """

    status: int | None
    target: Target
    chain: Chain | None = None
    outcome: Outcome | None = None
    error: Exception | None = None
    insufficient_scope: bool = False
    earlier: Verdict | None = None

    def find(self, target: Target) -> Verdict | None:
        """Return the one among this verdict and the earlier ones that is about ``target``, or ``None``."""
        verdict: Verdict | None = self
        while verdict is not None and verdict.target is not target:
            verdict = verdict.earlier
        return verdict

    @property
    def identity(self) -> Identity | None:
        """Return the verified caller, also of a request that is refused with 403."""
        return self.outcome.identity if self.outcome is not None else None

    @property
    def caller(self) -> Caller:
        """Return the verified caller with the provider that vouched for it."""
        outcome = self.outcome
        return ANONYMOUS if outcome is None else Caller(outcome.identity, outcome.provider)

    @property
    def own_words(self) -> HTTPException | None:
        """Return the refusal that a provider has worded itself.

        Not every ``HTTPException`` is one: a redirect, or one made around a Response of 200, is a bug.
        """
        refused = self.outcome is not None and self.outcome.answer is Answer.OWN_REFUSAL
        return self.error if refused and isinstance(self.error, HTTPException) else None

    @property
    def reason(self) -> str:
        """Return in one line, for the log, what each provider has said and why the request is refused.

        What the errors say is quoted, so that nothing in it can begin a line of its own (CWE-117).
        """
        parts = []
        for attempt in self.outcome.attempts if self.outcome is not None else ():
            said = f" {message_of(attempt.error)!r}" if attempt.error is not None else ""
            parts.append(f"{attempt.provider}: {attempt.answer.value}{said}")
        if self.error is not None and (self.outcome is None or self.identity is not None):
            parts.append(f"{type(self.error).__name__}: {message_of(self.error)!r}")
        return "; ".join(parts)


class ChainPolicy:
    """Decide requests with one verb for one endpoint by asking a chain.

    :param target: the endpoint, its Resource and the verb
    :param rule: what the method asks for
    :param chain: whom to ask
    :param authorization_provider: asked about verified callers, after the rule's own requirement
    """

    __slots__ = ("_authorization_provider", "_chain", "_rule", "target")

    def __init__(
        self, target: Target, rule: Rule, chain: Chain, authorization_provider: AbstractAuthorizationProvider | None
    ) -> None:
        self.target = target
        self._rule = rule
        self._chain = chain
        self._authorization_provider = authorization_provider

    def decide(self, request: Request, earlier: Verdict | None, timed: bool) -> Verdict:
        """Return the verdict on ``request``.

        :param request: the request
        :param earlier: the newest of the verdicts that there are on this very request. What the chain has found out
            for one of them holds for all: who sent a request does not depend on what it asks for. Whether it may go on
            does.
        :param timed: whether to take down how long each provider takes
        :raises Exception: a bug of an authorization provider, or a user whose attributes are not what they should be
        """
        chain = self._chain
        outcome = (earlier and self._find_outcome(earlier)) or chain.authenticate(request, timed=timed)
        identity = outcome.identity
        if identity is None:
            return self._decide_unknown(request, outcome)
        if self._rule.requirement is not NO_REQUIREMENT:
            decision = self._rule.requirement.decide(identity)
            if not decision:
                return self._forbid(outcome, decision)
        if self._authorization_provider is not None:
            return self._authorize(self._authorization_provider, identity, outcome)
        return Verdict(None, self.target, chain, outcome)

    def _find_outcome(self, earlier: Verdict) -> Outcome | None:
        verdict: Verdict | None = earlier
        while verdict is not None:
            if verdict.chain is self._chain and verdict.outcome is not None:
                return verdict.outcome
            verdict = verdict.earlier
        return None

    def _decide_unknown(self, request: Request, outcome: Outcome) -> Verdict:
        """Return the verdict on a request for which no provider has vouched."""
        verdict = Verdict(_STATUS_OF_ANSWER.get(outcome.answer, 500), self.target, self._chain, outcome, outcome.error)
        if outcome.answer is Answer.NO_CREDENTIALS:
            verdict.error = AuthenticationError("no credentials")
            # A blank header is an attempt too: who tries to be somebody must not be taken for nobody. And optional
            # never weakens require: an anonymous caller has no role.
            opened = self._rule.access is Access.OPTIONAL and not self._rule.requirement
            if opened and not self._chain.has_credentials(request):
                return Verdict(None, self.target, self._chain, outcome)
        elif verdict.own_words is not None:
            verdict.status = status_of(verdict.own_words)
        return verdict

    def _authorize(self, provider: AbstractAuthorizationProvider, identity: Identity, outcome: Outcome) -> Verdict:
        try:
            decision = provider.authorize(identity, self.target)
        except AuthorizationError as refused:
            return Verdict(403, self.target, self._chain, outcome, refused)
        except BackendError as down:
            return Verdict(503, self.target, self._chain, outcome, down)
        if not isinstance(decision, Decision):
            raise TypeError(
                f"{type(provider).__name__}.authorize must return a Decision, not {type(decision).__name__}"
            )
        return Verdict(None, self.target, self._chain, outcome) if decision else self._forbid(outcome, decision)

    def _forbid(self, outcome: Outcome, decision: Decision) -> Verdict:
        error = AuthorizationError(decision.reason)
        return Verdict(403, self.target, self._chain, outcome, error, decision.insufficient_scope)


#: How requests with one verb for one endpoint are decided: all alike, where nobody has to be asked (so it is with what
#: is public, and with what has been configured wrongly), or by asking a chain.
Policy = Verdict | ChainPolicy
