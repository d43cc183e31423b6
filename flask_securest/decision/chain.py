"""Ask the providers of a chain in turn, until one of them knows the caller: the one place that authenticates.

What a provider may answer, and what follows from it, is the table of
:class:`~flask_securest.decision.answers.Answer`. A chain needs no application: it takes a request and returns an
:class:`Outcome`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from werkzeug.wrappers import Request

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..errors import ConfigurationError
from ..identity import Identity
from ..protocols.http.headers import environ_key
from ..support.checks import require_list
from ..userstores.abstract import AbstractUserstore
from .answers import ANSWERS, Answer, Answers, Asked, Said, ask
from .origins import origin_of, read_identity

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


#: Who was asked, by name, and what each has said.
Trail = list[tuple[str, Said]]

#: The fields of an :class:`Outcome` as a bare tuple, which costs a seventh to make: most often nobody reads it.
Found = tuple[Answer, Trail, Identity | None, AbstractAuthenticationProvider | None, Exception | None]


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
    trail: Trail = field(repr=False)
    identity: Identity | None
    provider: AbstractAuthenticationProvider | None
    error: Exception | None

    @property
    def attempts(self) -> list[Attempt]:
        """Return who was asked and what each has answered, in this order."""
        return [Attempt(name, answer, error, seconds) for name, (answer, error, _, seconds, _) in self.trail]


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
        self._asked: list[Asked] = [
            (name, origin_of(provider, name, userstore), provider, f"{id(provider)} {id(userstore)}", userstore)
            for name, provider in self.providers
        ]

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
        return Outcome(*self.find_caller(request, request.__dict__.setdefault(ANSWERS, {}), timed))

    def find_caller(self, request: Request, answers: Answers, timed: object) -> Found:
        """Do as :meth:`authenticate` does, on every request's way.

        :param request: the request
        :param answers: what providers have said of it
        :param timed: whether to take down how long each of them takes
        """
        trail: Trail = []
        for asked in self._asked:
            name, origin, provider, _, _ = asked
            said = ask(asked, request, answers, timed)
            answer, error, identity, _, _ = said
            trail.append((name, said))
            if identity is not None and answer is _VERIFIED:
                if identity.provider != name:  # another SecuREST object has asked it, by another name
                    identity = read_identity(identity, name, provider, origin)
                return _VERIFIED, trail, identity, provider, None
            if answer in _FINAL:
                return answer, trail, None, None, error
        return _sum_up(trail)


def _sum_up(trail: Trail) -> Found:
    """Return what it comes to if nobody had the final word."""
    for answer in _IN_THE_END:
        for _, said in trail:
            if said[0] is answer:
                return answer, trail, None, None, said[1]
    return _NO_CREDENTIALS, trail, None, None, None
