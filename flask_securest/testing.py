"""What every provider and every store has to pass: run your own through it.

Subclass a contract in your tests, say how yours is made, and let pytest collect it:

.. code-block:: python

    class TestMyUserstore(UserstoreContract):
        def make_userstore(self):
            return MyUserstore(users=[self.ALICE, self.BOB])

The providers and stores of this package pass the same ones. The tests are plain methods with plain asserts; a
failing one shows its values with ``pytest.register_assert_rewrite("flask_securest.testing")`` in your ``conftest.py``.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import ClassVar

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from .answers import Answer
from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authentication_providers.headers import environ_key
from .chain import Chain, Outcome
from .models import UserModel
from .testing_stores import KeystoreContract, UserstoreContract, WritableUserstoreContract, run_in_threads
from .testing_tokenstores import TokenstoreContract
from .userstores.abstract import AbstractUserstore

__all__ = [
    "AuthenticationProviderContract",
    "ForbiddenUserstore",
    "KeystoreContract",
    "TokenstoreContract",
    "UserstoreContract",
    "WritableUserstoreContract",
    "make_request",
]


def make_request(headers: Mapping[str, str | bytes] | None = None) -> Request:
    """Return a request with these headers.

    :param headers: by name; bytes arrive as a server passes them on (PEP 3333), so they can be any
    """
    environ = EnvironBuilder(path="/", input_stream=BytesIO()).get_environ()
    for name, value in (headers or {}).items():
        environ[environ_key(name)] = value.decode("latin-1") if isinstance(value, bytes) else value
    return Request(environ)


class ForbiddenUserstore(AbstractUserstore):
    """Fail when it is asked: for requests without credentials, about which no store may be asked."""

    def get_user(self, identifier: str) -> UserModel | None:
        """Fail."""
        raise AssertionError(f"the userstore was asked for {identifier!r}")


class AuthenticationProviderContract(ABC):
    """What every authentication provider has to do."""

    #: Whom :meth:`good_headers` belong to.
    USERNAME: ClassVar[str] = "alice"

    #: What must not show in a ``repr``: keys, passwords.
    SECRETS: ClassVar[tuple[str, ...]]

    @abstractmethod
    def make_provider(self) -> AbstractAuthenticationProvider:
        """Return the provider."""

    def make_userstore(self) -> AbstractUserstore | None:
        """Return the userstore that it is given, which knows :attr:`USERNAME`."""
        return None

    @abstractmethod
    def good_headers(self, provider: AbstractAuthenticationProvider) -> Mapping[str, str]:
        """Return headers with good credentials of :attr:`USERNAME`, freshly issued if need be."""

    @abstractmethod
    def wrong_headers(self, provider: AbstractAuthenticationProvider) -> Iterator[Mapping[str, str | bytes]]:
        """Yield headers with credentials of this mechanism that are wrong, each in another way."""

    def authenticate(
        self,
        provider: AbstractAuthenticationProvider,
        headers: Mapping[str, str | bytes],
        userstore: AbstractUserstore | None = None,
    ) -> Outcome:
        """Return what a chain of this provider alone finds out about a request with these headers."""
        return Chain([("under-test", provider)], userstore or self.make_userstore()).authenticate(make_request(headers))

    def test_it_has_a_name_and_says_where_its_credentials_travel(self) -> None:
        provider = self.make_provider()
        assert isinstance(provider, AbstractAuthenticationProvider)
        assert isinstance(provider.name, str)
        assert provider.name
        assert not isinstance(provider.credential_headers, str)
        for header in provider.credential_headers:
            assert environ_key(header)

    def test_its_headers_tell_a_request_with_credentials_from_one_without(self) -> None:
        provider = self.make_provider()
        chain = Chain([("under-test", provider)], self.make_userstore())
        assert chain.has_credentials(make_request(self.good_headers(provider))), "add them to credential_headers"
        assert not chain.has_credentials(make_request())

    def test_good_credentials_say_who_it_is(self) -> None:
        provider = self.make_provider()
        outcome = self.authenticate(provider, self.good_headers(provider))
        assert outcome.answer is Answer.VERIFIED, outcome.error
        assert outcome.identity is not None
        assert outcome.identity.user.username == self.USERNAME
        assert outcome.identity.provider == "under-test"
        assert outcome.provider is provider

    def test_a_request_without_credentials_gets_none_and_no_store_is_asked(self) -> None:
        provider = self.make_provider()
        blank: list[dict[str, str | bytes]] = [{}]
        blank += [{header: value} for header in provider.credential_headers for value in ("", " ", "\t  ")]
        for headers in blank:
            store = ForbiddenUserstore() if self.make_userstore() is not None else None
            outcome = self.authenticate(provider, headers, store)
            assert outcome.answer is Answer.NO_CREDENTIALS, (headers, outcome.error)

    def test_another_scheme_is_not_its_own(self) -> None:
        provider = self.make_provider()
        store = ForbiddenUserstore() if self.make_userstore() is not None else None
        outcome = self.authenticate(provider, {"Authorization": "Another YWxpY2U6c2VjcmV0"}, store)
        assert outcome.answer is Answer.NO_CREDENTIALS, outcome.error

    def test_wrong_credentials_are_wrong(self) -> None:
        provider = self.make_provider()
        for headers in self.wrong_headers(provider):
            outcome = self.authenticate(provider, headers)
            assert outcome.answer is Answer.WRONG_CREDENTIALS, (headers, outcome.error)

    def test_what_was_sent_is_not_repeated_to_the_log(self) -> None:
        provider = self.make_provider()
        planted = "planted-0b5f1c7e"
        for name in self.good_headers(provider):
            for sent in (planted, f"Basic {planted}", f"Bearer {planted}"):
                outcome = self.authenticate(provider, {**self.good_headers(provider), name: sent})
                assert planted not in str(outcome.error)

    def test_good_credentials_with_a_change_are_never_good(self) -> None:
        provider = self.make_provider()
        chance = random.Random(20)  # noqa: S311  # the same changes every time
        for name, value in self.good_headers(provider).items():
            good = value.encode("latin-1")
            scheme = good.partition(b" ")[0] + b" " if b" " in good else b""
            for change in _change(good[len(scheme) :], chance):
                self._assert_refused(provider, name, scheme + change)
            worse = [good + b"\x00", b"\xff" + good, good * 2, good + b"," + good, good + b", " + good]
            for changed in (*worse, scheme + good[len(scheme) :].swapcase()):
                self._assert_refused(provider, name, changed)

    def test_a_header_of_a_megabyte_is_refused(self) -> None:
        provider = self.make_provider()
        for name, value in self.good_headers(provider).items():
            self._assert_refused(provider, name, value.encode("latin-1") + b"A" * 1_000_000)

    def test_random_bytes_are_never_good(self) -> None:
        provider = self.make_provider()
        chance = random.Random(21)  # noqa: S311  # the same bytes every time
        for name, value in self.good_headers(provider).items():
            scheme = value.encode("latin-1").partition(b" ")[0] + b" " if " " in value else b""
            for length in range(200):
                self._assert_refused(provider, name, chance.randbytes(length))
                self._assert_refused(provider, name, scheme + chance.randbytes(length))

    def test_a_challenge_quotes_its_realm(self) -> None:
        challenge = self.make_provider().challenge('the "inner" circle\\')
        if challenge is None or challenge == "Negotiate":  # the one scheme that has no parameters (RFC 4559)
            return
        assert r'realm="the \"inner\" circle\\"' in challenge, challenge
        assert challenge.isascii()
        assert challenge.isprintable()

    def test_a_challenge_takes_an_error(self) -> None:
        provider = self.make_provider()
        for error in (None, "invalid_token", "insufficient_scope"):
            challenge = provider.challenge("api", error)
            assert challenge is None or challenge.split(" ", 1)[0].isalnum()

    def test_no_secret_shows_in_a_repr(self) -> None:
        provider = self.make_provider()
        outcome = self.authenticate(provider, self.good_headers(provider))
        assert self.SECRETS, "say what must not show"
        for shown in (repr(provider), repr(outcome), repr(outcome.attempts), repr(outcome.identity)):
            for secret in self.SECRETS:
                assert secret not in shown

    def test_several_threads_may_ask_at_once(self) -> None:
        provider = self.make_provider()
        wrong = next(iter(self.wrong_headers(provider)))
        answers: list[Answer] = []

        def ask() -> None:
            for _ in range(5):
                answers.append(self.authenticate(provider, self.good_headers(provider)).answer)
                answers.append(self.authenticate(provider, wrong).answer)

        run_in_threads(ask)
        assert answers.count(Answer.VERIFIED) == len(answers) / 2
        assert answers.count(Answer.WRONG_CREDENTIALS) == len(answers) / 2

    def _assert_refused(self, provider: AbstractAuthenticationProvider, name: str, value: bytes) -> None:
        outcome = self.authenticate(provider, {**self.good_headers(provider), name: value})
        refused = (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS)
        assert outcome.answer in refused, (name, value[:200], outcome.answer, outcome.error)


def _change(good: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield versions of ``good`` that are not the same."""
    for _ in range(30):
        at = chance.randrange(len(good))
        other = bytes([chance.choice([byte for byte in range(256) if byte != good[at]])])
        for changed in (good[:at] + other + good[at + 1 :], good[:at] + good[at + 1 :], good[:at] + other + good[at:]):
            if changed.strip(b" \t") != good:  # white space around a header's value is no part of it (RFC 9110, 5.5)
                yield changed
