"""What every authentication provider has to pass. Import it from :mod:`flask_securest.testing`."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from werkzeug.wrappers import Request

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..decision.answers import Answer
from ..decision.chain import Chain, Outcome
from ..protocols.http.headers import environ_key, read_authorization
from ..userstores.abstract import AbstractUserstore
from .requests import ForbiddenUserstore, challenges_of, changes_of, make_request, sent_headers
from .stores import run_in_threads


class AuthenticationProviderContract(ABC):
    """What every authentication provider has to do.

    Credentials travel in headers, unless :meth:`make_request` puts them somewhere else.
    """

    #: Whom :meth:`good_headers` belong to.
    USERNAME: ClassVar[str] = "alice"

    #: What must not show in a ``repr``: keys, passwords.
    SECRETS: ClassVar[tuple[str, ...]]

    #: Why good credentials may be good with a change in them, where the mechanism does not authenticate every byte:
    #: ``"RFC 7616, section 3.4: unknown parameters are ignored"``. They must be the same user's all the same.
    NOT_EVERY_BYTE_COUNTS: ClassVar[str | None] = None

    #: Why a challenge does not have the realm that it is asked for: ``"it is part of the hashes that are stored"``.
    REALM_IS_ITS_OWN: ClassVar[str | None] = None

    @abstractmethod
    def make_provider(self) -> AbstractAuthenticationProvider:
        """Return the provider."""

    def make_userstore(self) -> AbstractUserstore | None:
        """Return the userstore that it is given, which knows :attr:`USERNAME`."""
        return None

    @abstractmethod
    def good_headers(self, provider: AbstractAuthenticationProvider) -> Mapping[str, str]:
        """Return headers with good credentials of :attr:`USERNAME`, freshly issued if need be.

        Where they are no headers, return what :meth:`make_request` is to put into the request, by names of your choice.
        """

    @abstractmethod
    def wrong_headers(self, provider: AbstractAuthenticationProvider) -> Iterator[Mapping[str, str | bytes]]:
        """Yield headers with credentials of this mechanism that are wrong, each in another way."""

    def make_request(self, credentials: Mapping[str, str | bytes]) -> Request:
        """Return a request with these credentials, which are headers by their names.

        Override it where they travel in the path, the query string or the body:

        .. code-block:: python

            def make_request(self, credentials):
                return make_request(path="/reports", query_string=urlencode(credentials))

        :param credentials: what :meth:`good_headers` or :meth:`wrong_headers` have given, or a part of it, or nothing
            at all, which is a request without; values may be changed, and may be any bytes then
        """
        return make_request(credentials)

    def authenticate(
        self,
        provider: AbstractAuthenticationProvider,
        headers: Mapping[str, str | bytes],
        userstore: AbstractUserstore | None = None,
    ) -> Outcome:
        """Return what a chain of this provider alone finds out about a request with these credentials."""
        chain = Chain([("under-test", provider)], userstore or self.make_userstore())
        return chain.authenticate(self.make_request(headers))

    def test_it_has_a_name_and_says_where_its_credentials_travel(self) -> None:
        provider = self.make_provider()
        assert isinstance(provider, AbstractAuthenticationProvider)
        assert isinstance(provider.name, str)
        assert provider.name
        assert not isinstance(provider.credential_headers, str)
        for header in provider.credential_headers:
            assert environ_key(header)

    def test_what_does_not_hold_for_it_has_a_reason(self) -> None:
        for reason in (self.NOT_EVERY_BYTE_COUNTS, self.REALM_IS_ITS_OWN):
            assert reason is None or (isinstance(reason, str) and reason.strip()), "say why, or None"

    def test_its_headers_tell_a_request_with_credentials_from_one_without(self) -> None:
        provider = self.make_provider()
        chain = Chain([("under-test", provider)], self.make_userstore())
        good, without = self.make_request(self.good_headers(provider)), self.make_request({})
        if sent_headers(good) - sent_headers(without):  # else they are elsewhere, and the provider itself has to say
            assert chain.has_credentials(good), "add them to credential_headers"
        assert not chain.has_credentials(without)

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
        store = ForbiddenUserstore() if self.make_userstore() is not None else None
        outcome = self.authenticate(provider, {}, store)
        assert outcome.answer is Answer.NO_CREDENTIALS, outcome.error
        for header in provider.credential_headers:
            for value in ("", " ", "\t  "):
                outcome = self._ask_with_headers(provider, {header: value})
                assert outcome.answer is Answer.NO_CREDENTIALS, (header, value, outcome.error)

    def test_credentials_that_are_empty_are_never_good_and_no_store_is_asked(self) -> None:
        provider = self.make_provider()
        store = ForbiddenUserstore() if self.make_userstore() is not None else None
        outcome = self.authenticate(provider, dict.fromkeys(self.good_headers(provider), ""), store)
        assert outcome.answer in _REFUSED, outcome.error

    def test_another_scheme_is_not_its_own(self) -> None:
        outcome = self._ask_with_headers(self.make_provider(), {"Authorization": "Another YWxpY2U6c2VjcmV0"})
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
            for change in changes_of(good[len(scheme) :], chance):
                self._assert_refused(provider, name, scheme + change, unless=self.NOT_EVERY_BYTE_COUNTS)
            worse = [good + b"\x00", b"\xff" + good, good * 2, good + b"," + good, good + b", " + good]
            for changed in (*worse, scheme + good[len(scheme) :].swapcase()):
                if changed != good:  # a number has no case
                    self._assert_refused(provider, name, changed, unless=self.NOT_EVERY_BYTE_COUNTS)

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
        for challenge in challenges_of(self.make_provider(), 'the "inner" circle\\'):
            if challenge != "Negotiate":  # the one scheme that has no parameters (RFC 4559)
                realm = 'realm="' if self.REALM_IS_ITS_OWN else r'realm="the \"inner\" circle\\"'
                assert realm in challenge, challenge

    def test_a_challenge_takes_an_error(self) -> None:
        for error in (None, "invalid_token", "insufficient_scope"):
            challenges_of(self.make_provider(), "api", error)

    def test_credentials_that_are_good_once_are_said_to_be(self) -> None:
        provider = self.make_provider()
        headers = self.good_headers(provider)
        answers = [self.authenticate(provider, headers).answer for _ in range(2)]
        assert answers == [Answer.VERIFIED, Answer.WRONG_CREDENTIALS if provider.one_time else Answer.VERIFIED]

    def test_the_account_that_is_tried_is_a_name_or_none_whatever_is_sent(self) -> None:
        provider = self.make_provider()
        assert provider.account_of(self.make_request({})) is None
        good = self.good_headers(provider)
        broken = [dict(good) | {name: b"\xff\x00"} for name in good]
        for credentials in (good, *self.wrong_headers(provider), *broken):
            account = provider.account_of(self.make_request(credentials))
            assert account is None or (isinstance(account, str) and account), "a name, or None"
            assert account not in self.SECRETS

    def test_bearer_tokens_of_its_own_are_taken_for_its_own(self) -> None:
        provider = self.make_provider()
        token = read_authorization(self.make_request(self.good_headers(provider)), "bearer")
        assert token is None or provider.takes_bearer_token(token) is True
        for other in (b"", b".", b"..", b"\xff", b"a.b.c", b"A" * 8192):
            assert isinstance(provider.takes_bearer_token(other), bool)

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

    def _assert_refused(
        self, provider: AbstractAuthenticationProvider, name: str, value: bytes, *, unless: str | None = None
    ) -> None:
        outcome = self.authenticate(provider, {**self.good_headers(provider), name: value})
        if unless and outcome.identity is not None:
            assert outcome.identity.user.username == self.USERNAME
        else:
            assert outcome.answer in _REFUSED, (name, value[:200], outcome.answer, outcome.error)

    def _ask_with_headers(
        self, provider: AbstractAuthenticationProvider, headers: Mapping[str, str | bytes]
    ) -> Outcome:
        """Return what is found out about a request with these headers, wherever the credentials travel."""
        store = ForbiddenUserstore() if self.make_userstore() is not None else None
        if type(self).make_request is AuthenticationProviderContract.make_request:
            return self.authenticate(provider, headers, store)
        return Chain([("under-test", provider)], store).authenticate(make_request(headers))


_REFUSED = (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS)
