"""Every provider and every userstore of this package passes the contract that users run theirs through."""

import base64
import hmac
import re
from abc import abstractmethod
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest
from helpers import FAST, KEY, SECRET_KEY, api_key, basic, how_many, make_userstore, show
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_securest import User
from flask_securest.authentication_providers import (
    AbstractAuthenticationProvider,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.authentication_providers.headers import Token, format_challenge, read_header
from flask_securest.decision.chain import Answer
from flask_securest.errors import BadCredentialsError
from flask_securest.testing import AuthenticationProviderContract, UserstoreContract, make_request
from flask_securest.userstores import AbstractUserstore, SimpleUserstore


class TestHeaderApiKeyAuthenticator(AuthenticationProviderContract):
    USERNAME = "ci"
    SECRETS = (KEY,)

    def make_provider(self):
        return api_key()

    def good_headers(self, provider):
        return {"X-API-Key": KEY}

    def wrong_headers(self, provider):
        for key in ("wrong", KEY.upper(), KEY[:-1], KEY + "x", f"{KEY},{KEY}", "ключ", "\xff", "\x00", '"', "' OR 1=1"):
            yield {"X-API-Key": key.encode()}


class TestPasswordAuthenticator(AuthenticationProviderContract):
    SECRETS = ("wonderland",)
    _store = make_userstore()

    def make_provider(self):
        return PasswordAuthenticator(password_hasher=FAST)

    def make_userstore(self):
        return self._store

    def good_headers(self, provider):
        return basic("alice", "wonderland")

    def wrong_headers(self, provider):
        pairs = [("alice", "Wonderland"), ("Alice", "wonderland"), ("nobody", "wonderland"), ("bob", "wonderland")]
        pairs += [("alice", ""), ("", "wonderland"), ("", ""), ("alice\x00", "wonderland"), ("alice", "wonderland\x00")]
        pairs += [("alice", "wonder\nland"), ("alice\x7f", "wonderland"), ("alice\x85", "wonderland"), ("robot", "x")]
        for pair in pairs:
            yield basic(*pair)
        for value in ("Basic", "basic ", "Basic YWxpY2U", "Basic YWxpY2U=", "Basic !", "Basic YWxpY2U6d29uZGVybGFuZA"):
            yield {"Authorization": value}
        # Not UTF-8; base64url instead of base64; bits that no encoder sets; white space inside.
        for value in (b"Basic /zovIA==", b"Basic YWxpY2U6__8=", b"Basic YWxpY2U6d29uZGVybGFuZB==", b"Basic YWxp Y2U6"):
            yield {"Authorization": value}


class TestTokenAuthenticator(AuthenticationProviderContract):
    SECRETS = (SECRET_KEY,)
    _store = make_userstore()

    def make_provider(self):
        return TokenAuthenticator(SECRET_KEY)

    def make_userstore(self):
        return self._store

    def good_headers(self, provider):
        return {"Authorization": "Bearer " + provider.generate_auth_token("alice")}

    def wrong_headers(self, provider):
        payload, time, signature = provider.generate_auth_token("alice").split(".")
        other = TokenAuthenticator("another key").generate_auth_token("alice")
        values = ["Bearer", "Bearer ", "bearer x", "Bearer ..", f"Bearer {payload}", f"Bearer {payload}.{time}"]
        values += [f"Bearer {payload}.{time}.", f"Bearer .{time}.{signature}", f"Bearer {other}"]
        values += [f"Bearer {payload}.{time}.{signature}=", f"Bearer {payload}.{time}.{signature} x"]
        values += ["Bearer " + provider.generate_auth_token("nobody"), "Bearer " + "A" * 5000]
        for value in values:
            yield {"Authorization": value}


class TestHeaderApiKeyAuthenticatorWithAScheme(TestHeaderApiKeyAuthenticator):
    def make_provider(self):
        return api_key("Authorization", scheme="Token")

    def good_headers(self, provider):
        return {"Authorization": f"Token {KEY}"}

    def wrong_headers(self, provider):
        for headers in super().wrong_headers(provider):
            yield {"Authorization": b"Token " + headers["X-API-Key"]}
        yield from ({"Authorization": value} for value in ("Token", "Token ", "token x", f"Token {KEY} x"))


class TestTokenAuthenticatorWithAScheme(TestTokenAuthenticator):
    def make_provider(self):
        return TokenAuthenticator(SECRET_KEY, scheme="JWT")

    def good_headers(self, provider):
        return {"Authorization": "JWT " + provider.generate_auth_token("alice")}

    def wrong_headers(self, provider):
        for headers in super().wrong_headers(provider):
            yield {"Authorization": re.sub("^[Bb]earer", "JWT", headers["Authorization"])}


class TestTokenAuthenticatorWithAHeaderOfItsOwn(TestTokenAuthenticator):
    def make_provider(self):
        return TokenAuthenticator(SECRET_KEY, header="Authentication-Token")

    def good_headers(self, provider):
        return {"Authentication-Token": provider.generate_auth_token("alice")}

    def wrong_headers(self, provider):
        token = provider.generate_auth_token("alice")
        for value in ("x", f"Bearer {token}", token + "=", f"{token},{token}"):
            yield {"Authentication-Token": value}


class TestTokenAuthenticatorWithoutAUserstore(TestTokenAuthenticator):
    def make_userstore(self):
        return None

    def wrong_headers(self, provider):
        yield {"Authorization": "Bearer x"}


class Signed(AbstractAuthenticationProvider):
    """Credentials that travel in two headers."""

    credential_headers = ("X-User", "X-Signature")

    def __init__(self, key):
        self.key = key

    def authenticate(self, request, userstore):
        user, signature = (read_header(request, header) for header in self.credential_headers)
        if user is None or signature is None:
            return None
        if not self.compare(signature, hmac.digest(self.key, user, "sha256").hex().encode()):
            raise BadCredentialsError("a wrong signature")
        return User(user.decode())

    def compare(self, signature, expected):
        return hmac.compare_digest(signature, expected)


class TestAProviderOfOnesOwn(AuthenticationProviderContract):
    SECRETS = ("signing-key",)

    def make_provider(self):
        return Signed(b"signing-key")

    def good_headers(self, provider):
        return {"X-User": "alice", "X-Signature": hmac.digest(b"signing-key", b"alice", "sha256").hex()}

    def wrong_headers(self, provider):
        yield {"X-User": "alice", "X-Signature": "0"}
        yield {"X-User": "bob", "X-Signature": self.good_headers(provider)["X-Signature"]}


class _Elsewhere(AbstractAuthenticationProvider):
    """Credentials that travel in no header."""

    credential_headers = ()

    def __init__(self, token):
        self.token = token

    @abstractmethod
    def find(self, request):
        """Return what was sent, or None."""

    def authenticate(self, request, userstore):
        token = self.find(request)
        if not token:
            return None
        if not hmac.compare_digest(token, self.token):
            raise BadCredentialsError("a wrong token")
        return User("alice")


class InTheQueryString(_Elsewhere):
    """``GET /reports?token=...``, as a link in a mail has it."""

    def find(self, request):
        return request.args.get("token", "").encode()


class InThePath(_Elsewhere):
    """``GET /hooks/...``, as webhooks have it."""

    def find(self, request):
        found = re.fullmatch("/hooks/(.+)", request.environ["PATH_INFO"], re.DOTALL)
        return found and found[1].encode("latin-1")


class InTheBody(_Elsewhere):
    """``POST /login`` with ``token=...``, as a form has it."""

    def find(self, request):
        return request.form.get("token", "").encode()


class _ElsewhereContract(AuthenticationProviderContract):
    SECRETS = ("planted-token",)

    def good_headers(self, provider):
        return {"token": "planted-token"}

    def wrong_headers(self, provider):
        for token in ("x", "planted-toke", "planted-token\n", "PLANTED-TOKEN", b"\xff", "/", "%"):
            yield {"token": token}


class TestAProviderWithCredentialsInTheQueryString(_ElsewhereContract):
    def make_provider(self):
        return InTheQueryString(b"planted-token")

    def make_request(self, credentials):
        return make_request(path="/reports", query_string=urlencode(credentials))


class TestAProviderWithCredentialsInThePath(_ElsewhereContract):
    def make_provider(self):
        return InThePath(b"planted-token")

    def make_request(self, credentials):
        return make_request(path="/hooks/" + quote(credentials.get("token", ""), safe=""))


class TestAProviderWithCredentialsInTheBody(_ElsewhereContract):
    def make_provider(self):
        return InTheBody(b"planted-token")

    def make_request(self, credentials):
        return make_request(method="POST", path="/login", body=urlencode(credentials).encode())


def test_a_request_of_the_contract_is_what_a_server_would_make_of_it():
    request = make_request(
        {"X-Bytes": b"\xff"},
        method="PUT",
        path="/a%2Fb/%FF",
        query_string="c=%20d",
        body=b"{}",
        content_type="text/json",
    )
    assert (request.method, request.environ["PATH_INFO"]) == ("PUT", "/a/b/\xff")
    assert request.args["c"] == " d"
    assert request.get_data() == b"{}"
    assert (request.mimetype, request.content_length) == ("text/json", 2)
    assert request.environ["HTTP_X_BYTES"] == "\xff"
    assert request.environ["REQUEST_URI"] == "/a%2Fb/%FF?c=%20d"
    plain = make_request()
    assert (plain.method, plain.path, plain.get_data(), plain.content_length) == ("GET", "/", b"", 0)


class TestTheContractItself:
    """A provider with a hole does not pass."""

    def failures(self, of=TestAProviderOfOnesOwn, base=Signed, said=(), **members):
        provider = type("Holed", (base,), members)
        key = b"signing-key" if base is Signed else b"planted-token"
        under_test = type("UnderTest", (of,), {"make_provider": lambda self: provider(key), **dict(said)})()
        failed = []
        for name in dir(under_test):
            if name.startswith("test_"):
                try:
                    getattr(under_test, name)()
                except AssertionError:
                    failed.append(name)
        return failed

    def test_one_without_a_hole_passes(self):
        assert self.failures() == []

    def test_one_that_compares_text_does_not(self):
        compare = lambda self, a, b: hmac.compare_digest(a.decode("latin-1"), b.decode("latin-1"))  # noqa: E731
        assert "test_random_bytes_are_never_good" in self.failures(compare=compare)

    def test_one_that_does_not_care_for_case_does_not(self):
        failed = self.failures(compare=lambda self, a, b: a.lower() == b)
        assert "test_good_credentials_with_a_change_are_never_good" in failed

    def test_one_that_looks_at_the_beginning_alone_does_not(self):
        failed = self.failures(compare=lambda self, a, b: a[:8] == b[:8])
        assert "test_good_credentials_with_a_change_are_never_good" in failed

    def test_one_that_does_not_say_where_its_credentials_travel_does_not(self):
        def authenticate(self, request, userstore):
            self.credential_headers = ("X-User", "X-Signature")
            try:
                return Signed.authenticate(self, request, userstore)
            finally:
                self.credential_headers = ()

        failed = self.failures(authenticate=authenticate, credential_headers=())
        assert "test_its_headers_tell_a_request_with_credentials_from_one_without" in failed

    def test_one_that_quotes_what_was_sent_does_not(self):
        def authenticate(self, request, userstore):
            raise BadCredentialsError(f"{read_header(request, 'X-Signature')} is wrong")

        assert "test_what_was_sent_is_not_repeated_to_the_log" in self.failures(authenticate=authenticate)

    def test_one_that_shows_its_key_does_not(self):
        assert self.failures(__repr__=lambda self: f"Holed({self.key})") == ["test_no_secret_shows_in_a_repr"]

    def test_one_that_does_not_look_at_all_of_a_query_string_does_not(self):
        failed = self.failures(
            TestAProviderWithCredentialsInTheQueryString,
            InTheQueryString,
            find=lambda self, request: request.args.get("token", "").encode()[:13],
        )
        assert "test_good_credentials_with_a_change_are_never_good" in failed

    def test_one_that_asks_its_store_for_an_empty_token_does_not(self):
        def authenticate(self, request, userstore):
            return userstore.get_user(request.args["token"]) if "token" in request.args else None

        failed = self.failures(
            TestAProviderWithCredentialsInTheQueryString,
            InTheQueryString,
            said={"make_userstore": lambda self: SimpleUserstore([User("alice")])},
            authenticate=authenticate,
        )
        assert "test_credentials_that_are_empty_are_never_good_and_no_store_is_asked" in failed

    def test_one_whose_challenge_has_no_realm_does_not(self):
        for challenge in ("Scripted", ["Scripted"], ('Scripted realm="api"', "Other")):
            failed = self.failures(challenge=lambda self, realm, error=None, challenge=challenge: challenge)
            assert failed == ["test_a_challenge_quotes_its_realm"]

    def test_one_with_several_challenges_passes(self):
        def challenge(self, realm, error=None):
            return [format_challenge("Digest", realm=realm, algorithm=Token(name)) for name in ("SHA-256", "MD5")]

        assert self.failures(challenge=challenge) == []

    @pytest.mark.parametrize("challenge", [7, [7], [None], ["Digest x\r\n"], "é", [""], b"Digest"], ids=show)
    def test_one_whose_challenge_is_none_does_not(self, challenge):
        def say(self, realm, error=None):
            return challenge

        assert "test_a_challenge_takes_an_error" in self.failures(challenge=say)

    def test_one_with_a_realm_of_its_own_passes_with_a_reason_and_only_then(self):
        def challenge(self, realm, error=None):
            return 'Signed realm="its own"'

        assert self.failures(challenge=challenge) == ["test_a_challenge_quotes_its_realm"]
        assert self.failures(said={"REALM_IS_ITS_OWN": "it is in the hashes"}, challenge=challenge) == []
        for empty in ("", " "):
            failed = self.failures(said={"REALM_IS_ITS_OWN": empty}, challenge=challenge)
            assert "test_what_does_not_hold_for_it_has_a_reason" in failed

    def test_one_that_overlooks_bytes_passes_with_a_reason_and_only_then(self):
        overlooking = {"compare": lambda self, a, b: a.lower() == b}
        changes = "test_good_credentials_with_a_change_are_never_good"
        assert self.failures(**overlooking) == [changes]
        assert self.failures(said={"NOT_EVERY_BYTE_COUNTS": "hexadecimal digits have two cases"}, **overlooking) == []
        for empty in ("", " "):
            failed = self.failures(said={"NOT_EVERY_BYTE_COUNTS": empty}, **overlooking)
            assert "test_what_does_not_hold_for_it_has_a_reason" in failed

    def test_one_that_takes_a_change_for_somebody_else_does_not_whatever_the_reason(self):
        def authenticate(self, request, userstore):
            user = read_header(request, "X-User")
            return user and User(user.decode("latin-1"))

        failed = self.failures(said={"NOT_EVERY_BYTE_COUNTS": "a reason"}, authenticate=authenticate)
        assert "test_good_credentials_with_a_change_are_never_good" in failed

    def test_one_that_is_good_once_and_does_not_say_so_does_not(self):
        def authenticate(self, request, userstore):
            user = Signed.authenticate(self, request, userstore)
            seen = self.__dict__.setdefault("seen", set())
            if user is not None and user.username in seen:
                raise BadCredentialsError("a replay")
            return user and (seen.add(user.username) or user)

        class Fresh(TestAProviderOfOnesOwn):
            """With credentials that are new each time."""

            made = 0

            def good_headers(self, provider):
                self.made += 1
                user = f"alice{self.made}"
                return {"X-User": user, "X-Signature": hmac.digest(b"signing-key", user.encode(), "sha256").hex()}

            def authenticate(self, provider, headers, userstore=None):
                outcome = super().authenticate(provider, headers, userstore)
                if outcome.identity is not None and outcome.identity.user.username[5:].isdigit():
                    outcome.identity = replace(outcome.identity, user=User("alice"))
                return outcome

        once = "test_credentials_that_are_good_once_are_said_to_be"
        assert self.failures(Fresh, authenticate=authenticate) == [once]
        assert self.failures(Fresh, authenticate=authenticate, one_time=True) == []
        assert self.failures(one_time=True) == [once]

    def test_one_whose_account_is_what_was_sent_does_not(self):
        account = "test_the_account_that_is_tried_is_a_name_or_none_whatever_is_sent"
        for wrong in ("", b"alice", "signing-key"):
            assert account in self.failures(account_of=lambda self, request, wrong=wrong: wrong)

    def test_one_that_does_not_know_its_own_bearer_token_does_not(self):
        bearers = "test_bearer_tokens_of_its_own_are_taken_for_its_own"
        failed = self.failures(takes_bearer_token=lambda self, token: None)
        assert failed == [bearers]
        wrong = {"takes_bearer_token": lambda self, token: False}
        assert self.failures(TestTokenAuthenticator, TokenAuthenticator, **wrong) == [bearers]


SHIPPED = [
    TestHeaderApiKeyAuthenticator,
    TestPasswordAuthenticator,
    TestTokenAuthenticator,
    TestTokenAuthenticatorWithAHeaderOfItsOwn,
    TestTokenAuthenticatorWithoutAUserstore,
]


@pytest.mark.parametrize("contract", SHIPPED)
@settings(max_examples=how_many(60, 300), deadline=None)
@given(raw=st.binary(max_size=200), behind_scheme=st.booleans())
def test_raw_bytes_in_its_header_are_never_good_and_never_a_bug(contract, raw, behind_scheme):
    under_test = contract()
    provider = under_test.make_provider()
    for name, value in under_test.good_headers(provider).items():
        scheme = value.partition(" ")[0].encode() + b" " if " " in value and behind_scheme else b""
        outcome = under_test.authenticate(provider, {**under_test.good_headers(provider), name: scheme + raw})
        assert outcome.answer in (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS), outcome.error


@pytest.mark.parametrize("contract", SHIPPED)
@settings(max_examples=how_many(40, 200), deadline=None)
@given(text=st.text(max_size=50))
def test_text_that_no_server_would_pass_on_is_never_good_and_never_a_bug(contract, text):
    under_test = contract()
    provider = under_test.make_provider()
    for name in under_test.good_headers(provider):
        for value in (text, f"Basic {text}", f"Bearer {text}"):
            outcome = under_test.authenticate(provider, {**under_test.good_headers(provider), name: value})
            assert outcome.answer in (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS), outcome.error


@settings(max_examples=how_many(60, 300), deadline=None)
@given(pair=st.tuples(st.text(max_size=20), st.text(max_size=20)))
def test_any_name_and_password_in_proper_base64_is_never_good_and_never_a_bug(pair):
    under_test = TestPasswordAuthenticator()
    raw = ":".join(pair).encode("utf-8", "surrogatepass")
    headers = {"Authorization": b"Basic " + base64.b64encode(raw)}
    outcome = under_test.authenticate(under_test.make_provider(), headers)
    assert outcome.answer is Answer.WRONG_CREDENTIALS, outcome.error


class TestSimpleUserstore(UserstoreContract):
    def make_userstore(self):
        return SimpleUserstore([self.ALICE, self.BOB])


class TestSimpleUserstoreFromAMapping(UserstoreContract):
    def make_userstore(self):
        return SimpleUserstore(
            {
                "users": [
                    {"username": "alice", "password": self.ALICE.password, "roles": ["author"], "groups": ["ops"]},
                    {"username": "bob", "active": False},
                ],
                "groups": [{"name": "ops", "roles": ["admin"]}],
            }
        )


class TestAUserstoreOfOnesOwn(UserstoreContract):
    def make_userstore(self):
        users = {user.username: user for user in (self.ALICE, self.BOB)}

        class Mine(AbstractUserstore):
            def get_user(self, identifier):
                return users.get(identifier)

        return Mine()
