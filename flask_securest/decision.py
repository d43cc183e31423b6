"""Decide about one request: rule, chain, requirement, authorization, and nothing of HTTP but the status.

This is the policy decision point; in :mod:`flask_securest.gate` its verdicts are enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .answers import Answer, status_of
from .authorization_providers.abstract import AbstractAuthorizationProvider, Decision, Target
from .chain import Chain, Outcome
from .current import ANONYMOUS, Caller
from .errors import AuthenticationError, AuthorizationError, BackendError
from .logs import forget_frames, message_of
from .models import Identity
from .resolution import Rule
from .rules import Access

#: With which status each answer of a chain is refused; those that are not here are bugs.
_STATUS_OF_ANSWER = {
    Answer.WRONG_CREDENTIALS: 401,
    Answer.ACCOUNT_STATUS: 401,
    Answer.BACKEND_DOWN: 503,
}


# Not frozen, for one is made for every request, and freezing would triple what that costs. Nobody changes it.
@dataclass(slots=True, eq=False)
class Verdict:
    """Hold what has been decided about a request for one Resource.

    :param policy: by which it was decided
    :param status: the status with which the request is refused; ``None``: it goes on
    :param outcome: what the chain has found out; ``None`` where it did not run
    :param error: why it is refused
    :param insufficient_scope: whether credentials with more scopes would have been enough
    :param arguments: the view arguments that it holds for; ``None``: for any
    :param is_reported: whether the refusal has been logged and signalled
    """

    policy: Policy
    status: int | None
    outcome: Outcome | None = None
    error: Exception | None = None
    insufficient_scope: bool = False
    arguments: Mapping[str, Any] | None = None
    is_reported: bool = False

    @property
    def target(self) -> Target:
        """Return the Resource, with the verb and the endpoint."""
        return self.policy.target

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
            said = f" {_quote(attempt.error)}" if attempt.error is not None else ""
            parts.append(f"{attempt.provider}: {attempt.answer.value}{said}{_name_account(attempt.error)}")
        if self.error is not None and (self.outcome is None or self.identity is not None):
            parts.append(f"{type(self.error).__name__}: {_quote(self.error)}")
        return "; ".join(parts)


#: The longest part of a name that is logged: it comes from outside.
_MOST_CHARACTERS = 64


def _name_account(error: BaseException | None) -> str:
    """Return which account was tried: whoever reads the log must see that one is being guessed at (CWE-778).

    The name is quoted, so that nothing in it can begin a line of its own (CWE-117).
    """
    account = getattr(error, "account", None)
    if not isinstance(account, str):
        return ""
    return f" for {account[:_MOST_CHARACTERS]!r}{'...' if len(account) > _MOST_CHARACTERS else ''}"


def _quote(error: BaseException) -> str:
    """Return the message of an error, and that of the error it was raised from."""
    cause = error.__cause__
    return repr(message_of(error)) + (f" (from {type(cause).__name__}: {message_of(cause)!r})" if cause else "")


class Policy:
    """Decide requests with one verb for one endpoint.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param chain: whom to ask; ``None`` where nobody has to be asked
    """

    __slots__ = ("chain", "target", "verdict", "view")

    def __init__(self, view: object, target: Target, chain: Chain | None) -> None:
        self.view = view
        self.target = target
        self.chain = chain
        #: The verdict on all requests, if it is the same.
        self.verdict: Verdict | None = None


class FixedPolicy(Policy):
    """Decide all requests alike: what is public, and what has been configured wrongly.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param error: what is wrong; ``None`` for what is public
    """

    __slots__ = ()

    def __init__(self, view: object, target: Target, error: Exception | None = None) -> None:
        super().__init__(view, target, None)
        self.verdict = Verdict(self, None if error is None else 500, error=error)


class ChainPolicy(Policy):
    """Decide by asking a chain.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param rule: what the method asks for
    :param chain: whom to ask
    :param authorization_provider: asked about verified callers, after the rule's own requirement
    """

    __slots__ = ("_authorization_provider", "_chain", "_requirement", "_rule")

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
        # Most methods ask for nothing but a caller: then there is nothing to decide on each request.
        self._requirement = rule.requirement or None
        self._chain = chain
        self._authorization_provider = authorization_provider

    def decide(self, request: Request, *, timed: object) -> Verdict:
        """Return the verdict on a request.

        Who sent a request does not depend on what it asks for, and is found out once. Whether it may go on does.

        :param request: the request
        :param timed: whether to take down how long each provider takes
        :raises Exception: a bug of an authorization provider, or a user whose attributes are not what they should be
        """
        outcome = self._chain.authenticate(request, timed=timed)
        identity = outcome.identity
        if identity is None:
            return self._decide_unknown(request, outcome)
        if self._requirement is not None:
            decision = self._requirement.decide(identity)
            if not decision:
                return self._forbid(outcome, decision)
        if self._authorization_provider is not None:
            return self._authorize(self._authorization_provider, identity, outcome)
        return Verdict(self, None, outcome)

    def ask(self, request: Request, *, timed: object) -> Caller:
        """Return who sent a request, whatever it may do.

        :param request: the request
        :param timed: whether to take down how long each provider takes
        """
        outcome = self._chain.authenticate(request, timed=timed)
        return Caller(outcome.identity, outcome.provider)

    def _decide_unknown(self, request: Request, outcome: Outcome) -> Verdict:
        """Return the verdict on a request for which no provider has vouched."""
        if outcome.answer is Answer.NO_CREDENTIALS:
            # A blank header is an attempt too: who tries to be somebody must not be taken for nobody. And optional
            # never weakens require: an anonymous caller has no role.
            opened = self._rule.access is Access.OPTIONAL and not self._rule.requirement
            if opened and not self._chain.has_credentials(request):
                return Verdict(self, None, outcome)
            return Verdict(self, 401, outcome, AuthenticationError("no credentials"))
        if outcome.answer is Answer.OWN_REFUSAL and isinstance(outcome.error, HTTPException):
            return Verdict(self, status_of(outcome.error), outcome, outcome.error)
        return Verdict(self, _STATUS_OF_ANSWER.get(outcome.answer, 500), outcome, outcome.error)

    def _authorize(self, provider: AbstractAuthorizationProvider, identity: Identity, outcome: Outcome) -> Verdict:
        refusal: AuthorizationError | BackendError
        try:
            decision = provider.authorize(identity, self.target)
        except (AuthorizationError, BackendError) as error:
            refusal = error
        else:
            return self._read_decision(provider, decision, outcome)
        forget_frames(refusal)
        return Verdict(self, 403 if isinstance(refusal, AuthorizationError) else 503, outcome, refusal)

    def _read_decision(self, provider: AbstractAuthorizationProvider, decision: Decision, outcome: Outcome) -> Verdict:
        if not isinstance(decision, Decision):
            raise TypeError(
                f"{type(provider).__name__}.authorize must return a Decision, not {type(decision).__name__}"
            )
        return Verdict(self, None, outcome) if decision else self._forbid(outcome, decision)

    def _forbid(self, outcome: Outcome, decision: Decision) -> Verdict:
        error = AuthorizationError(decision.reason)
        return Verdict(self, 403, outcome, error, insufficient_scope=decision.insufficient_scope)


AnyPolicy = FixedPolicy | ChainPolicy
