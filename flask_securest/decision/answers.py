"""Ask one provider who sent a request, once, and read what it answers: the table of :class:`Answer`.

A provider is asked once for each request and userstore, however many chains it stands in, and however many threads want
to know: a Kerberos ticket and a nonce of Digest are good once. What it has said is kept on the request object.
"""

from __future__ import annotations

import enum
from datetime import datetime, timezone
from threading import Condition, get_ident
from time import perf_counter

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..errors import AccountStatusError, AuthenticationError, BackendError, ExpiredCredentialsError
from ..identity import Identity, Origin
from ..support.logs import forget_frames
from ..userstores.abstract import AbstractUserstore
from .origins import read_identity


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
_BACKEND_DOWN = Answer.BACKEND_DOWN

#: On a request: what has been answered, by provider and userstore.
ANSWERS = "_flask_securest_answers"

#: For how long another thread of the same request waits for an answer, in seconds. Providers have time-outs of their
#: own; this ends what would wait for itself.
_MOST_SECONDS = 60

#: Which provider with which userstore: a string, for a dict finds it faster than a tuple.
Key = str

#: Told when a provider has answered for whom somebody waits. One for all: it is hardly ever needed, and a lock for each
#: question would cost every request.
_ANSWERED = Condition()
_WAITING: list[Key] = []


#: Whom a chain asks: the name; where its users live, if it does not say so itself; the provider; what its answer is
#: kept by; and the userstore that it is given.
Asked = tuple[str, Origin, AbstractAuthenticationProvider, Key, "AbstractUserstore | None"]

#: What a provider has said of a request: the answer; the error that it comes from; the caller, if it is VERIFIED; how
#: long it took, ``None`` where nobody wanted to know; and who was asked. The provider and the userstore are held by it,
#: so that their ``id`` is nobody else's meanwhile. It is a bare tuple, which costs a quarter to make.
Said = tuple[Answer, "Exception | None", "Identity | None", "float | None", Asked]

#: By provider and userstore: what has been said, or which thread is asking.
Answers = dict[Key, Said | int]


def ask(asked: Asked, request: Request, answers: Answers, timed: object) -> Said:
    """Return what a provider says of a request: ask it, unless that has been done, or is being done by another thread.

    :param asked: whom to ask
    :param request: the request
    :param answers: those that there are
    :param timed: whether to take down how long it takes
    """
    name, origin, provider, key, userstore = asked
    thread = get_ident()
    # As all that several threads may do at once: the first one wins. By identity, for this very thread may be asking
    # already, further up: its number is then equal, and another object.
    known = answers.setdefault(key, thread)
    if known is not thread:
        return _wait(asked, answers, known) if type(known) is int else known  # type: ignore[return-value]
    started = perf_counter() if timed else None
    identity = error = None
    answer = _BACKEND_DOWN  # for those who wait, if asking is broken off
    try:
        try:
            found = provider.authenticate(request, userstore)
            if found is not None:
                if type(found) is Identity and found.provider == name and found.origin == origin:
                    identity = found
                else:
                    identity = read_identity(found, name, provider, origin)
                # Looked at here and not in the providers, so that none of them can forget it.
                if not identity.user.active:
                    raise AccountStatusError("the account is not active")
                if identity.expires_at is not None and identity.expires_at <= datetime.now(timezone.utc):
                    raise ExpiredCredentialsError("the credentials have expired")
        except Exception as raised:
            error = raised
        # After the except block, for whoever calls us may be handling an error of its own.
        answer = _read_error(error) if error is not None else _NO_CREDENTIALS if identity is None else _VERIFIED
    finally:
        said = (answer, error, identity, started and perf_counter() - started, asked)
        answers[key] = said
        # Whoever waits counts itself first, and then looks whether it still has to.
        if _WAITING:
            with _ANSWERED:
                _ANSWERED.notify_all()
    return said


def _wait(asked: Asked, answers: Answers, thread: int) -> Said:
    """Return what a provider says, when another thread of the same request has asked."""
    _, _, provider, key, _ = asked
    name = type(provider).__name__
    if thread == get_ident():
        # It would wait for itself. The provider or its userstore has called a view that is guarded by it.
        bug = RuntimeError(f"{name} was asked about a request while it was being asked")
        return Answer.BUG, bug, None, None, asked
    _WAITING.append(key)
    try:
        with _ANSWERED:
            _ANSWERED.wait_for(lambda: type(answers.get(key)) is not int, timeout=_MOST_SECONDS)
    finally:
        _WAITING.remove(key)
    said = answers.get(key)
    if isinstance(said, tuple):
        return said
    down = BackendError(f"{name} has not answered for {_MOST_SECONDS} seconds")
    return Answer.BACKEND_DOWN, down, None, None, asked


def forget_unable(request: Request) -> None:
    """Let providers that could not tell be asked again: a back end was down, or a bug, such as ``g.db`` too early.

    Those whose credentials are good once are not asked again: they would see a replay.

    :param request: the request
    """
    answers: Answers = getattr(request, ANSWERS, {})
    for key, said in list(answers.items()):
        if not isinstance(said, tuple):
            continue
        answer, error, _, _, (_, _, provider, _, _) = said
        if answer in (Answer.BACKEND_DOWN, Answer.BUG) and not provider.one_time:
            del answers[key]
            if error is not None:
                forget_frames(error)


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
