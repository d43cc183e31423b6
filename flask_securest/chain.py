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
from .errors import (
    AccountStatusError,
    AuthenticationError,
    BackendError,
    ConfigurationError,
    ExpiredCredentialsError,
)
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


#: After these, nobody else is asked: another provider must not let in whom one has recognised and refused, and a bug
#: must not be passed over.
_FINAL = frozenset({Answer.VERIFIED, Answer.ACCOUNT_STATUS, Answer.OWN_REFUSAL, Answer.BUG})

#: What the chain as a whole has found if nobody had the final word: the first of these that anybody has said. A back
#: end that is down comes first, for it may be the one that knows the caller: 503, never 401.
_IN_THE_END = (Answer.BACKEND_DOWN, Answer.WRONG_CREDENTIALS)


class Attempt(NamedTuple):
    """Hold what one provider has answered.

    ``error`` is why, ``started`` and ``ended`` are readings of :func:`time.perf_counter`. It is a tuple of what is at
    hand anyway, so that keeping it costs nothing that could be measured; whoever reads it does the arithmetic.
    """

    provider: str
    answer: Answer
    error: Exception | None
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """Return how long the provider took."""
        return self.ended - self.started


@dataclass(slots=True, eq=False)
class Outcome:
    """Hold what a chain has found out about one request.

    :param answer: what it comes to
    :param attempts: who was asked and has said what, in this order
    :param identity: the caller, if ``answer`` is :attr:`Answer.VERIFIED`, and only then
    :param provider: the provider that vouched for it
    :param error: the error that ``answer`` comes from
    """

    answer: Answer
    attempts: list[Attempt]
    identity: Identity | None = None
    provider: AbstractAuthenticationProvider | None = None
    error: Exception | None = None


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
            if isinstance(provider.credential_headers, str):
                raise ConfigurationError(
                    f"credential_headers of the provider {name!r} must be a tuple of header names, "
                    f"such as ({provider.credential_headers!r},), not a string"
                )
            headers += provider.credential_headers
        self._environ_keys = frozenset(map(environ_key, headers))

    def has_credentials(self, request: Request) -> bool:
        """Return whether ``request`` has any header in which credentials of this chain travel, be it a blank one."""
        return not self._environ_keys.isdisjoint(request.environ)

    def authenticate(self, request: Request) -> Outcome:
        """Ask each provider in turn who sent ``request``."""
        attempts: list[Attempt] = []
        for name, provider in self.providers:
            started = perf_counter()
            identity, error = None, None
            try:
                said = provider.authenticate(request, self.userstore)
                if said is None:
                    answer = Answer.NO_CREDENTIALS
                else:
                    identity = _require_valid(said, name)
                    answer = Answer.VERIFIED
            except Exception as raised:
                answer, error = _read(raised), raised
                if answer is not Answer.BUG:
                    # Nobody reads the traceback of an expected answer, and its frames would keep the request, with
                    # its credentials, in memory until the next garbage collection.
                    error = raised.with_traceback(None)
            attempts.append(Attempt(name, answer, error, started, perf_counter()))
            if answer in _FINAL:
                return Outcome(answer, attempts, identity, provider if identity is not None else None, error)
        for answer in _IN_THE_END:
            for attempt in attempts:
                if attempt.answer is answer:
                    return Outcome(answer, attempts, error=attempt.error)
        return Outcome(Answer.NO_CREDENTIALS, attempts)


def _require_valid(said: object, provider: str) -> Identity:
    """Return the identity that a provider has vouched for, if it may be used.

    This is looked at here and not in the providers, so that none of them can forget it.

    :raises TypeError: what was said is no user
    :raises AccountStatusError: the account is not active
    :raises ExpiredCredentialsError: the credentials are over
    """
    identity = said.vouched_by(provider) if isinstance(said, Identity) else Identity(require_user(said), provider)
    if not identity.user.active:
        raise AccountStatusError("the account is not active")
    if identity.expires_at is not None and identity.expires_at <= datetime.now(timezone.utc):
        raise ExpiredCredentialsError("the credentials have expired")
    return identity


def _read(error: Exception) -> Answer:
    """Return what an error of a provider means."""
    if isinstance(error, AccountStatusError):
        return Answer.ACCOUNT_STATUS
    if isinstance(error, AuthenticationError):
        return Answer.WRONG_CREDENTIALS
    if isinstance(error, BackendError):
        return Answer.BACKEND_DOWN
    if isinstance(error, HTTPException) and status_of(error) >= 400:
        return Answer.OWN_REFUSAL
    return Answer.BUG


def status_of(error: HTTPException) -> int:
    """Return the status with which Werkzeug answers ``error``.

    One that was made around a Response (``abort(Response("welcome"))``) has that one's, which may well be 200.
    """
    if error.response is not None:
        return error.response.status_code
    return error.code or 0
