"""Decide about one request: rule, chain, requirement, authorization, and nothing of HTTP but the status.

This is the policy decision point; :mod:`flask_securest.attachment` is where its verdicts are enforced.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .authorization_providers.abstract import AbstractAuthorizationProvider, Decision, Target
from .chain import Answer, Chain, Outcome, status_of
from .current import ANONYMOUS, Caller
from .errors import AuthenticationError, AuthorizationError, BackendError
from .models import Identity
from .rules import Access, Rule

#: With which status each answer of a chain is refused; those that are not here are bugs.
_STATUS_OF_ANSWER = {
    Answer.NO_CREDENTIALS: 401,
    Answer.WRONG_CREDENTIALS: 401,
    Answer.ACCOUNT_STATUS: 401,
    Answer.BACKEND_DOWN: 503,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold the rule of one method of one Resource, with the chain it names made ready.

    :param rule: what the method asks for
    :param chain: whom to ask; ``None`` if the rule is public
    """

    rule: Rule
    chain: Chain | None


@dataclass(slots=True, eq=False)
class Verdict:
    """Hold what has been decided about one request for one Resource.

    :param status: the status with which the request is refused; ``None``: it goes on
    :param policy: the policy it was decided by; ``None`` where there was none to be found
    :param outcome: what the chain has found out; ``None`` where it did not run
    :param error: why it is refused
    :param insufficient_scope: whether credentials with more scopes would have been enough
    """

    status: int | None
    policy: Policy | None = None
    outcome: Outcome | None = None
    error: Exception | None = None
    insufficient_scope: bool = False

    @property
    def identity(self) -> Identity | None:
        """Return the verified caller, also of a request that is refused with 403."""
        return self.outcome.identity if self.outcome is not None else None

    @property
    def own_words(self) -> HTTPException | None:
        """Return the refusal that a provider has worded itself.

        Not every ``HTTPException`` is one: a redirect, or one made around a Response of 200, is a bug.
        """
        refused = self.outcome is not None and self.outcome.answer is Answer.OWN_REFUSAL
        return self.error if refused and isinstance(self.error, HTTPException) else None

    @property
    def caller(self) -> Caller:
        """Return the verified caller with the provider that vouched for it."""
        outcome = self.outcome
        return ANONYMOUS if outcome is None else Caller(outcome.identity, outcome.provider)

    @property
    def reason(self) -> str:
        """Return in one line, for the log, what each provider has said and why the request is refused.

        What the errors say is quoted, so that nothing in it can begin a line of its own (CWE-117).
        """
        parts = []
        for attempt in self.outcome.attempts if self.outcome is not None else ():
            said = f" {str(attempt.error)!r}" if attempt.error is not None else ""
            parts.append(f"{attempt.provider}: {attempt.answer.value}{said}")
        if self.error is not None and (self.outcome is None or self.identity is not None):
            parts.append(f"{type(self.error).__name__}: {str(self.error)!r}")
        return "; ".join(parts)


def decide(
    policy: Policy,
    request: Request,
    target: Target,
    authorization_provider: AbstractAuthorizationProvider | None,
    outcomes: MutableMapping[Chain, Outcome],
) -> Verdict:
    """Return whether ``request`` may go on to ``target``.

    :param policy: the target's policy
    :param request: the request
    :param target: the Resource, verb and endpoint that are asked for
    :param authorization_provider: asked about verified callers, after the rule's own requirement
    :param outcomes: what chains have found out about this very request; may be shared between its decisions, for who
        sent a request does not depend on what it asks for
    """
    if policy.chain is None:
        return Verdict(None, policy)
    outcome = outcomes.get(policy.chain)
    if outcome is None:
        outcome = outcomes[policy.chain] = policy.chain.authenticate(request)
    identity = outcome.identity
    if identity is None:
        return _decide_unknown(policy, policy.chain, request, outcome)
    decision = policy.rule.requirement.decide(identity)
    if decision and authorization_provider is not None:
        try:
            decision = authorization_provider.authorize(identity, target)
        except AuthorizationError as refused:
            return Verdict(403, policy, outcome, refused)
        except BackendError as down:
            return Verdict(503, policy, outcome, down)
        if not isinstance(decision, Decision):
            raise TypeError(
                f"{type(authorization_provider).__name__}.authorize must return a Decision, not {type(decision).__name__}"
            )
    if decision:
        return Verdict(None, policy, outcome)
    return Verdict(403, policy, outcome, AuthorizationError(decision.reason), decision.insufficient_scope)


def _decide_unknown(policy: Policy, chain: Chain, request: Request, outcome: Outcome) -> Verdict:
    """Return the verdict on a request for which no provider has vouched."""
    if outcome.answer is Answer.NO_CREDENTIALS:
        # A blank header is an attempt too: who tries to be somebody must not be taken for nobody. And optional never
        # weakens require: an anonymous caller has no role.
        if policy.rule.access is Access.OPTIONAL and not policy.rule.requirement and not chain.has_credentials(request):
            return Verdict(None, policy, outcome)
        return Verdict(401, policy, outcome, AuthenticationError("no credentials"))
    verdict = Verdict(_STATUS_OF_ANSWER.get(outcome.answer, 500), policy, outcome, outcome.error)
    if verdict.own_words is not None:
        verdict.status = status_of(verdict.own_words)
    return verdict
