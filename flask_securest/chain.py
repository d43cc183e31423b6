"""Ask the providers of a chain in turn, until one of them knows the caller: the one place that authenticates.

What a provider may answer, and what follows from it, is the table of :class:`~flask_securest.answers.Answer`. A chain
needs no application: it takes a request and returns an :class:`Outcome`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from werkzeug.wrappers import Request

from .answers import ANSWERS, Answer, Answers, ask
from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authentication_providers.headers import environ_key
from .checks import require_list
from .errors import ConfigurationError
from .models import Identity
from .userstores.abstract import AbstractUserstore

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
        self._asked = [(name, provider, (id(provider), id(userstore))) for name, provider in self.providers]

    def has_credentials(self, request: Request) -> bool:
        """Return whether a request has any header in which credentials of this chain travel, be it a blank one.

        :param request: the request
        """
        return not self._environ_keys.isdisjoint(request.environ)

    def authenticate(self, request: Request, *, timed: object = False) -> Outcome:
        """Ask each provider in turn who sent ``request``.

        :param request: the request
        :param timed: whether to take down how long each of them takes
        """
        answers: Answers | None = getattr(request, ANSWERS, None)
        if answers is None:
            answers = request.__dict__.setdefault(ANSWERS, {})
        userstore = self.userstore
        trail: _Trail = []
        for name, provider, key in self._asked:
            answer, error, identity, seconds, _, _ = ask(name, provider, key, request, userstore, answers, timed=timed)
            trail.append((name, answer, error, seconds))
            if identity is not None and answer is _VERIFIED:
                if identity.provider != name:
                    identity = identity.vouched_by(name)
                return Outcome(_VERIFIED, trail, identity, provider)
            if answer in _FINAL:
                return Outcome(answer, trail, error=error)
        return _sum_up(trail)


def _sum_up(trail: _Trail) -> Outcome:
    """Return what it comes to if nobody had the final word."""
    for answer in _IN_THE_END:
        for _, said, error, _ in trail:
            if said is answer:
                return Outcome(answer, trail, error=error)
    return Outcome(_NO_CREDENTIALS, trail)
