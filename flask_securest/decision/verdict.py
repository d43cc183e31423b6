"""Hold what has been decided about a request, and say it in one line for the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import HTTPException

from ..authorization_providers.abstract import Target
from ..current import ANONYMOUS, Caller, InForce
from ..identity import Identity
from ..support.logs import message_of
from .answers import Answer
from .chain import Chain, Found, Outcome


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
