"""Decide about one request: rule, chain, requirement, authorization, and nothing of HTTP but the status.

This is the policy decision point; in :mod:`flask_securest.gate` its verdicts are enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .answers import Answer, Answers, status_of
from .authorization_providers.abstract import AbstractAuthorizationProvider, Decision, Target
from .chain import Chain, Found, Outcome
from .current import ANONYMOUS, Caller, InForce
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


class Verdict(InForce):
    """Hold what has been decided about a request for one Resource: that it goes on, unless it is a :class:`Refusal`.

    One is made for every request, and an ``__init__`` would double what that costs: :func:`make_verdict` is for all
    others.
    """

    __slots__ = ("arguments", "found", "policy")

    #: By which it was decided.
    policy: Policy
    #: What the chain has found out, to be read as :attr:`outcome`; ``None`` where it did not run.
    found: Found | None
    #: The view arguments that it holds for; ``None``: for any.
    arguments: Mapping[str, Any] | None
    #: The status with which the request is refused; ``None``: it goes on.
    status: int | None = None
    #: Why it is refused.
    error: Exception | None = None
    #: Whether credentials with more scopes would have been enough.
    insufficient_scope: bool = False

    def __repr__(self) -> str:
        """Return it without what the chain has found out, which says who the caller is."""
        return f"<{type(self).__name__} {self.status or 'go on'}: {self.target}>"

    @property
    def outcome(self) -> Outcome | None:
        """Return what the chain has found out; ``None`` where it did not run."""
        return None if self.found is None else Outcome(*self.found)

    @property
    def target(self) -> Target:
        """Return the Resource, with the verb and the endpoint."""
        return self.policy.target

    @property
    def identity(self) -> Identity | None:
        """Return the verified caller, also of a request that is refused with 403."""
        return None if self.found is None else self.found[2]

    @property
    def caller(self) -> Caller:
        """Return the verified caller with the provider that vouched for it."""
        return ANONYMOUS if self.found is None else Caller(self.found[2], self.found[3])

    @property
    def own_words(self) -> HTTPException | None:
        """Return the refusal that a provider has worded itself.

        Not every ``HTTPException`` is one: a redirect, or one made around a Response of 200, is a bug.
        """
        refused = self.found is not None and self.found[0] is Answer.OWN_REFUSAL
        return self.error if refused and isinstance(self.error, HTTPException) else None

    @property
    def reason(self) -> str:
        """Return in one line, for the log, what each provider has said and why the request is refused.

        What the errors say is quoted, so that nothing in it can begin a line of its own (CWE-117).
        """
        parts = []
        outcome = self.outcome
        for attempt in outcome.attempts if outcome is not None else ():
            said = f" {_quote(attempt.error)}" if attempt.error is not None else ""
            parts.append(f"{attempt.provider}: {attempt.answer.value}{said}{_name_account(attempt.error)}")
        if self.error is not None and (outcome is None or outcome.identity is not None):
            parts.append(f"{type(self.error).__name__}: {_quote(self.error)}")
        return "; ".join(parts)


class Refusal(Verdict):
    """Hold that a request is refused.

    :param policy: by which it was decided
    :param found: what the chain has found out; ``None`` where it did not run
    :param status: the status of the refusal
    :param error: why
    :param insufficient_scope: whether credentials with more scopes would have been enough
    """

    __slots__ = ("error", "insufficient_scope", "is_reported", "status")

    def __init__(
        self,
        policy: Policy,
        found: Found | None,
        status: int,
        error: Exception | None,
        *,
        insufficient_scope: bool = False,
    ) -> None:
        self.policy = policy
        self.found = found
        self.arguments = None
        self.status = status
        self.error = error
        self.insufficient_scope = insufficient_scope
        #: Whether it has been logged and signalled.
        self.is_reported = False


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


def make_verdict(policy: Policy) -> Verdict:
    """Return that all requests go on.

    :param policy: by which it is decided
    """
    verdict = Verdict()
    verdict.policy = policy
    verdict.found = verdict.arguments = None
    return verdict


class Policy:
    """Decide requests with one verb for one endpoint.

    :param view: the guarded view, as an identity
    :param target: the endpoint, its Resource and the verb
    :param chain: whom to ask; ``None`` where nobody has to be asked
    """

    __slots__ = ("chain", "opened", "target", "verdict", "view")

    def __init__(self, view: object, target: Target, chain: Chain | None) -> None:
        self.view = view
        self.target = target
        self.chain = chain
        #: The verdict on all requests, if it is the same.
        self.verdict: Verdict | None = None
        #: The same, if they all go on, whatever they are.
        self.opened: Verdict | None = None


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
