"""Ask the providers of a chain in turn, until one of them knows the caller: the one place that authenticates.

What a provider may answer, and what follows from it, is the table of :class:`Answer`. A chain needs no application:
it takes a request and returns an :class:`Outcome`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter
from typing import NamedTuple

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authentication_providers.headers import environ_key
from .checks import require_list
from .errors import (
    AccountStatusError,
    AuthenticationError,
    BackendError,
    ConfigurationError,
    ExpiredCredentialsError,
)
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

#: After these, nobody else is asked: another provider must not let in whom one has recognised and refused, and a bug
#: must not be passed over.
_FINAL = (Answer.ACCOUNT_STATUS, Answer.OWN_REFUSAL, Answer.BUG)

#: What the chain as a whole has found if nobody had the final word: the first of these that anybody has said. A back
#: end that is down comes first, for it may be the one that knows the caller: 503, never 401.
_IN_THE_END = (Answer.BACKEND_DOWN, Answer.WRONG_CREDENTIALS)


class Attempt(NamedTuple):
    """Hold what one provider has answered, why, and how long it took; ``None`` where nobody wanted to know."""

    provider: str
    answer: Answer
    error: Exception | None
    seconds: float | None


#: Attempts as bare tuples, which cost a quarter to make: most often nobody reads them.
_Trail = list[tuple[str, Answer, Exception | None, float | None]]


# Not frozen, for one is made for every request, and freezing would triple what that costs. Nobody changes it.
@dataclass(slots=True, eq=False)
class Outcome:
    """Hold what a chain has found out about one request.

    :param answer: what it comes to
    :param trail: who was asked and has said what; to be read as :attr:`attempts`
    :param identity: the caller, if ``answer`` is :attr:`Answer.VERIFIED`, and only then
    :param provider: the provider that vouched for it
    :param error: the error that ``answer`` comes from
    """

    answer: Answer
    trail: _Trail
    identity: Identity | None = None
    provider: AbstractAuthenticationProvider | None = None
    error: Exception | None = None

    @property
    def attempts(self) -> list[Attempt]:
        """Return who was asked and what each has answered, in this order."""
        return [Attempt(*entry) for entry in self.trail]


class Chain:
    """Hold providers under their names, in the order in which they are asked.

    :param providers: pairs of name and provider
    :raises ConfigurationError: nobody to ask, or a provider that cannot work with this userstore
    """

    def __init__(
        self,
        providers: Iterable[tuple[str, AbstractAuthenticationProvider]],
        userstore: AbstractUserstore | None,
    ) -> None:
        self.providers = tuple(providers)
        self.userstore = userstore
        if not self.providers:
            raise ConfigurationError(
                "there is no authentication provider to ask: SecuREST(api, authentication_providers=[...])"
            )
        headers = ["Authorization"]
        for name, provider in self.providers:
            provider.check_configuration(userstore)
            headers += require_list(provider.credential_headers, f"credential_headers of the provider {name!r}")
        self._environ_keys = frozenset(map(environ_key, headers))

    def has_credentials(self, request: Request) -> bool:
        """Return whether a request has any header in which credentials of this chain travel, be it a blank one.

        :param request: the request
        """
        return not self._environ_keys.isdisjoint(request.environ)

    def authenticate(self, request: Request, *, timed: bool = False) -> Outcome:
        """Ask each provider in turn who sent ``request``.

        :param request: the request
        :param timed: whether to take down how long each of them takes
        """
        trail: _Trail = []
        for name, provider in self.providers:
            started = perf_counter() if timed else None
            try:
                said = provider.authenticate(request, self.userstore)
                if said is None:
                    trail.append((name, _NO_CREDENTIALS, None, started and perf_counter() - started))
                    continue
                identity = said if type(said) is Identity and said.provider == name else _read_identity(said, name)
                # Looked at here and not in the providers, so that none of them can forget it.
                if not identity.user.active:
                    raise AccountStatusError("the account is not active")
                if identity.expires_at is not None and identity.expires_at <= datetime.now(timezone.utc):
                    raise ExpiredCredentialsError("the credentials have expired")
            except Exception as error:
                answer = _read_error(error)
                trail.append((name, answer, error, started and perf_counter() - started))
                if answer in _FINAL:
                    return Outcome(answer, trail, error=error)
            else:
                trail.append((name, _VERIFIED, None, started and perf_counter() - started))
                return Outcome(_VERIFIED, trail, identity, provider)
        return _sum_up(trail)


def _sum_up(trail: _Trail) -> Outcome:
    """Return what it comes to if nobody had the final word."""
    for answer in _IN_THE_END:
        for _, said, error, _ in trail:
            if said is answer:
                return Outcome(answer, trail, error=error)
    return Outcome(_NO_CREDENTIALS, trail)


def _read_identity(said: object, provider: str) -> Identity:
    """Return the identity that a provider has vouched for.

    :raises TypeError: what was said is no user
    """
    return said.vouched_by(provider) if isinstance(said, Identity) else Identity(require_user(said), provider)


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
