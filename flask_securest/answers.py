"""Ask one provider who sent a request, once, and read what it answers: the table of :class:`Answer`.

A provider is asked once for each request and userstore, however many chains it stands in, and however many threads want
to know: a Kerberos ticket and a nonce of Digest are good once. What it has said is kept on the request object.
"""

from __future__ import annotations

import enum
from datetime import datetime, timezone
from threading import Lock, get_ident
from time import perf_counter

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .errors import AccountStatusError, AuthenticationError, BackendError, ExpiredCredentialsError
from .logs import forget_frames
from .models import Identity, require_user
from .userstores.abstract import AbstractUserstore


class Answer(enum.Enum):
    """What a provider has said, and what the chain does then."""

    VERIFIED = "verified"  # stops: the request goes on
    NO_CREDENTIALS = "no credentials"  # asks the next
    WRONG_CREDENTIALS = "wrong credentials"  # asks the next
    ACCOUNT_STATUS = "account may not be used"  # stops
    BACKEND_DOWN = "back end down"  # asks the next
    OWN_REFUSAL = "refused in its own words"  # stops
    BUG = "bug"  # stops


# On every request's way; looking an enum's member up costs more than the rest of a line.
_VERIFIED = Answer.VERIFIED
_NO_CREDENTIALS = Answer.NO_CREDENTIALS

#: On a request: what has been answered, by provider and userstore.
ANSWERS = "flask_securest.answers"

#: For how long another thread of the same request waits for an answer, in seconds. Providers have time-outs of their
#: own; this ends what would wait for itself.
_MOST_SECONDS = 60

Key = tuple[int, int]


class Asked:
    """Ask one provider about one request, and hold what it has said; until then, it is under way.

    :param provider: whom to ask; held, so that its ``id`` is nobody else's meanwhile
    :param userstore: what it is given; held likewise
    """

    __slots__ = ("answer", "error", "identity", "provider", "seconds", "thread", "under_way", "userstore")

    def __init__(self, provider: AbstractAuthenticationProvider, userstore: AbstractUserstore | None) -> None:
        self.provider = provider
        self.userstore = userstore
        self.answer = Answer.BACKEND_DOWN  # for those who wait, if asking is broken off
        self.error: Exception | None = None
        self.identity: Identity | None = None
        self.seconds: float | None = None
        self.thread = get_ident()
        self.under_way = Lock()
        self.under_way.acquire()

    def ask(self, name: str, request: Request, *, timed: bool) -> None:
        """Ask, and take down the answer.

        :param name: how the provider is called
        :param request: the request
        :param timed: whether to take down how long it takes
        """
        started = perf_counter() if timed else None
        error = None
        try:
            try:
                said = self.provider.authenticate(request, self.userstore)
                if said is None:
                    self.answer = _NO_CREDENTIALS
                else:
                    self.identity = _read_identity(said, name)
                    self.answer = _VERIFIED
            except Exception as raised:
                error = raised
            # After the except block, for whoever calls us may be handling an error of its own.
            if error is not None:
                self.answer, self.error = _read_error(error), error
            self.seconds = started and perf_counter() - started
        finally:
            self.under_way.release()

    def wait(self) -> tuple[Answer, Exception | None]:
        """Return the answer and its error, when another thread of the same request has asked."""
        name = type(self.provider).__name__
        if self.thread == get_ident():
            # It would wait for itself. The provider or its userstore has called a view that is guarded by it.
            return Answer.BUG, RuntimeError(f"{name} was asked about a request while it was being asked")
        if not self.under_way.acquire(timeout=_MOST_SECONDS):
            return Answer.BACKEND_DOWN, BackendError(f"{name} has not answered for {_MOST_SECONDS} seconds")
        self.under_way.release()
        return self.answer, self.error


def forget_unable(request: Request) -> None:
    """Let providers that could not tell be asked again: a back end was down, or a bug, such as ``g.db`` too early.

    Those whose credentials are good once are not asked again: they would see a replay.

    :param request: the request
    """
    answers: dict[Key, Asked] = request.__dict__.get(ANSWERS, {})
    for key, asked in list(answers.items()):
        if asked.answer in (Answer.BACKEND_DOWN, Answer.BUG) and not asked.provider.one_time:
            del answers[key]
            if asked.error is not None:
                forget_frames(asked.error)


def _read_identity(said: object, provider: str) -> Identity:
    """Return the identity that a provider has vouched for.

    Whether it may be used is looked at here and not in the providers, so that none of them can forget it.

    :raises TypeError: what was said is no user
    :raises AccountStatusError: the account is not active
    :raises ExpiredCredentialsError: the credentials have expired
    """
    if type(said) is Identity and said.provider == provider:
        identity = said
    else:
        identity = said.vouched_by(provider) if isinstance(said, Identity) else Identity(require_user(said), provider)
    if not identity.user.active:
        raise AccountStatusError("the account is not active")
    if identity.expires_at is not None and identity.expires_at <= datetime.now(timezone.utc):
        raise ExpiredCredentialsError("the credentials have expired")
    return identity


def _read_error(error: Exception) -> Answer:
    """Return what an error of a provider means."""
    if isinstance(error, AccountStatusError):
        answer = Answer.ACCOUNT_STATUS
    elif isinstance(error, AuthenticationError):
        answer = Answer.WRONG_CREDENTIALS
    elif isinstance(error, BackendError):
        answer = Answer.BACKEND_DOWN
    elif isinstance(error, HTTPException) and status_of(error) >= 400:
        answer = Answer.OWN_REFUSAL
    else:
        return Answer.BUG
    # It is expected: nobody reads its traceback.
    forget_frames(error)
    return answer


def status_of(error: HTTPException) -> int:
    """Return the status with which Werkzeug answers an ``HTTPException``.

    :param error: the exception. One that was made around a Response (``abort(Response("welcome"))``) has the status of
        that one, which may well be 200.
    """
    if error.response is not None:
        return error.response.status_code
    return error.code or 0
