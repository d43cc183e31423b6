import json
from datetime import datetime, timedelta, timezone

import pytest
from helpers import ALICE, SECRET_KEY, bearer, make_userstore, new_who, secured, show
from itsdangerous.encoding import base64_encode

from flask_securest import User, current_identity, current_user
from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import ConfigurationError, ExpiredCredentialsError
from flask_securest.protocols.signed_tokens import Signer
from flask_securest.testing import make_request
from flask_securest.userstores import SimpleUserstore


def authenticate(provider, token, userstore=None):
    return Chain([("token", provider)], userstore).authenticate(make_request(bearer(token)))


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1_800_000_000

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(Clock.now, tz)

    monkeypatch.setattr(Signer, "get_timestamp", lambda self: Clock.now)
    monkeypatch.setattr("flask_securest.decision.answers.datetime", Frozen)
    return Clock


def test_a_token_is_good_for_its_user_until_it_expires(clock):
    provider = TokenAuthenticator(SECRET_KEY, expires_in_seconds=60)
    token = provider.generate_auth_token("alice")
    identity = authenticate(provider, token).identity
    assert identity.user == User("alice")
    assert identity.scopes is None
    assert identity.expires_at == datetime.fromtimestamp(clock.now, timezone.utc) + timedelta(seconds=60)
    clock.now += 59
    assert authenticate(provider, token).answer is Answer.VERIFIED
    clock.now += 1
    assert authenticate(provider, token).answer is Answer.WRONG_CREDENTIALS


def test_expired_is_told_apart_from_forged_for_the_log_alone(clock, caplog):
    provider = TokenAuthenticator(SECRET_KEY, expires_in_seconds=60)
    client = secured(new_who(), providers=[provider])[0].test_client()
    good, forged = provider.generate_auth_token("alice"), TokenAuthenticator("another").generate_auth_token("alice")
    clock.now += 61
    assert isinstance(authenticate(provider, good).error, ExpiredCredentialsError)
    assert not isinstance(authenticate(provider, forged).error, ExpiredCredentialsError)
    expired, wrong = client.get("/who", headers=bearer(good)), client.get("/who", headers=bearer(forged))
    assert (expired.status, expired.data, str(expired.headers)) == (wrong.status, wrong.data, str(wrong.headers))
    assert "'a token that has expired'" in caplog.text
    assert "'a token that was not signed with our keys'" in caplog.text


def test_a_token_from_the_future_is_refused(clock):
    provider = TokenAuthenticator(SECRET_KEY)
    token = provider.generate_auth_token("alice")
    clock.now -= 60
    assert authenticate(provider, token).answer is Answer.VERIFIED, "the clock of another machine may be ahead"
    clock.now -= 1
    assert authenticate(provider, token).answer is Answer.WRONG_CREDENTIALS


def test_the_newest_key_signs_and_the_former_ones_only_verify():
    """Two well-known extensions had it the other way round, and signed with the key that was being retired."""
    old, older, new = (TokenAuthenticator(key) for key in ("old", "older", "new"))
    rotated = TokenAuthenticator("new", fallback_secret_keys=["old", "older"])
    for former in (old, older, new):
        assert authenticate(rotated, former.generate_auth_token("alice")).answer is Answer.VERIFIED
    token = rotated.generate_auth_token("alice")
    assert authenticate(new, token).answer is Answer.VERIFIED
    for former in (old, older):
        assert authenticate(former, token).answer is Answer.WRONG_CREDENTIALS


def test_a_key_may_be_bytes():
    token = TokenAuthenticator(b"key").generate_auth_token("alice")
    assert authenticate(TokenAuthenticator("key"), token).answer is Answer.VERIFIED


def test_what_else_is_signed_with_the_same_key_is_no_token():
    from itsdangerous import URLSafeTimedSerializer

    foreign = URLSafeTimedSerializer(SECRET_KEY).dumps({"sub": "alice"})
    assert authenticate(TokenAuthenticator(SECRET_KEY), foreign).answer is Answer.WRONG_CREDENTIALS


PAYLOADS = ["", "not json", "[]", "{}", "null", "1", '{"sub":7,"exp":9999999999}', '{"sub":"","exp":9999999999}']
PAYLOADS += ['{"sub":"alice","exp":9999999999,"claims":{"a":' + "[" * 5000 + "]" * 5000 + "}}"]
ODD = ['"sid":["a"]', '"sid":"\\ud800"', '"key":[{},[],7]']
PAYLOADS += ['{"sub":"alice","exp":9999999999,' + odd + "}" for odd in ODD]
PAYLOADS += ['{"sub":"alice"}', '{"sub":"alice","exp":"9999999999"}', '{"sub":"alice","exp":true}', "\xff"]


@pytest.mark.parametrize("payload", [payload.encode("latin-1") for payload in PAYLOADS])
def test_a_payload_of_ours_that_is_none_is_wrong_and_no_bug(payload):
    provider = TokenAuthenticator(SECRET_KEY)
    token = provider._signers._own.sign(payload).decode()
    assert authenticate(provider, token).answer is Answer.WRONG_CREDENTIALS


def test_a_good_token_with_a_stray_byte_is_not_that_token():
    """base64 decoders pass over foreign characters, and over bits that they do not need."""
    provider = TokenAuthenticator(SECRET_KEY)
    token = provider.generate_auth_token("alice")
    assert authenticate(provider, token).answer is Answer.VERIFIED
    stray = [token + tail for tail in ("=", "!", "\xff", "\n", " x", "\x00", "é", ",")]
    stray += [token[:-5] + char + token[-5:] for char in ("!", "=", "\n", "\xff", " ")]
    spare_bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray += [token[:-1] + char for char in spare_bits if char != token[-1]]
    for changed in stray:
        assert authenticate(provider, changed).answer is Answer.WRONG_CREDENTIALS, changed


def test_the_user_is_looked_up_again_on_every_use():
    provider = TokenAuthenticator(SECRET_KEY)
    token = provider.generate_auth_token("alice")
    app, _, securest = secured(new_who(), providers=[provider])
    assert app.test_client().get("/who", headers=bearer(token)).status_code == 200
    securest.userstore = SimpleUserstore([User("alice", active=False)])
    assert app.test_client().get("/who", headers=bearer(token)).status_code == 401
    securest.userstore = SimpleUserstore([])
    assert app.test_client().get("/who", headers=bearer(token)).status_code == 401


def test_the_user_of_a_token_is_the_stores_own():
    provider = TokenAuthenticator(SECRET_KEY)
    identity = authenticate(provider, provider.generate_auth_token("alice"), make_userstore()).identity
    assert identity.user.roles == {"admin"}


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [(None, None), ([], frozenset()), (["read", "write"], {"read", "write"}), ({"read"}, {"read"})],
)
def test_a_token_carries_its_scopes_and_none_is_no_limit(scopes, expected):
    provider = TokenAuthenticator(SECRET_KEY)
    assert authenticate(provider, provider.generate_auth_token("alice", scopes=scopes)).identity.scopes == expected


def test_scopes_that_are_a_string_are_a_type_error():
    with pytest.raises(TypeError):
        TokenAuthenticator(SECRET_KEY).generate_auth_token("alice", scopes="read")


def test_a_token_can_be_issued_to_a_user_a_name_or_the_current_user():
    provider = TokenAuthenticator(SECRET_KEY)
    tokens = [provider.generate_auth_token(User("alice")), provider.generate_auth_token("alice")]
    Who = new_who(post=lambda self: provider.generate_auth_token(current_user))
    from helpers import chain_of_three

    app, _, _ = secured(Who, providers=chain_of_three())
    tokens.append(app.test_client().post("/who", headers=ALICE).json)
    for token in tokens:
        assert authenticate(provider, token).identity.user.username == "alice"


@pytest.mark.parametrize("nobody", ["", None, current_user, object(), 7, True], ids=show)
def test_a_token_of_nobody_is_a_value_error(nobody):
    with pytest.raises(ValueError, match="a token must belong to somebody"):
        TokenAuthenticator(SECRET_KEY).generate_auth_token(nobody)


def test_a_header_of_its_own_carries_the_bare_token_and_nothing_else_does():
    provider = TokenAuthenticator(SECRET_KEY, header="Authentication-Token")
    client = secured(new_who(), providers=[provider])[0].test_client()
    token = provider.generate_auth_token("alice")
    assert client.get("/who", headers={"Authentication-Token": token}).json["user"] == "alice"
    refused = client.get("/who", headers=bearer(token))
    assert refused.status_code == 401
    assert refused.headers.getlist("WWW-Authenticate") == ['Token realm="api", header="Authentication-Token"']
    assert client.get("/who", headers={"Authentication-Token": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_regard_to_case(scheme):
    provider = TokenAuthenticator(SECRET_KEY)
    client = secured(new_who(), providers=[provider])[0].test_client()
    token = provider.generate_auth_token("alice")
    assert client.get("/who", headers={"Authorization": f"{scheme} {token}"}).status_code == 200


def test_a_token_in_the_url_is_no_credential():
    """It would end up in logs and in the Referer of the next request."""
    provider = TokenAuthenticator(SECRET_KEY)
    client = secured(new_who(), providers=[provider])[0].test_client()
    token = provider.generate_auth_token("alice")
    assert client.get(f"/who?auth_token={token}&access_token={token}&token={token}").status_code == 401


def test_a_token_does_not_tell_its_key_and_no_secret_key_of_the_application_is_needed():
    provider = TokenAuthenticator(SECRET_KEY)
    app, _, _ = secured(new_who(), providers=[provider])
    assert app.secret_key is None
    assert current_identity._get_current_object() is None
    assert SECRET_KEY not in repr(vars(provider))


@pytest.mark.parametrize(
    "arguments",
    [
        {"secret_key": ""},
        {"secret_key": b""},
        {"secret_key": "  "},
        {"secret_key": None},
        {"secret_key": 7},
        {"secret_key": ["a", "b"]},
        {"fallback_secret_keys": "old"},
        {"fallback_secret_keys": b"old"},
        {"fallback_secret_keys": [""]},
        {"fallback_secret_keys": [None]},
        {"fallback_secret_keys": 7},
        {"fallback_secret_keys": {"old": "key"}},
        {"secret_key": "half a surrogate pair \ud800"},
        {"name": ""},
        {"name": None},
        {"name": "a\nb"},
        {"expires_in_seconds": 10**12},
        {"expires_in_seconds": 0},
        {"expires_in_seconds": -1},
        {"expires_in_seconds": 1.5},
        {"expires_in_seconds": True},
        {"expires_in_seconds": "600"},
        {"expires_in_seconds": None},
        {"header": ""},
        {"header": "Not A Header"},
    ],
    ids=show,
)
def test_an_argument_that_cannot_be_is_told_at_once_and_no_key_is_repeated(arguments):
    with pytest.raises(ConfigurationError) as caught:
        TokenAuthenticator(**{"secret_key": SECRET_KEY, **arguments})
    assert SECRET_KEY not in str(caught.value)


def test_a_longer_lifetime_that_is_configured_later_revives_no_token(clock):
    token = TokenAuthenticator(SECRET_KEY, expires_in_seconds=60).generate_auth_token("alice")
    clock.now += 61
    later = TokenAuthenticator(SECRET_KEY, expires_in_seconds=3600)
    assert isinstance(authenticate(later, token).error, ExpiredCredentialsError)


def test_a_shorter_lifetime_that_is_configured_later_holds_for_former_tokens_too(clock):
    token = TokenAuthenticator(SECRET_KEY, expires_in_seconds=3600).generate_auth_token("alice")
    clock.now += 61
    later = TokenAuthenticator(SECRET_KEY, expires_in_seconds=60)
    assert isinstance(authenticate(later, token).error, ExpiredCredentialsError)


def test_a_token_that_no_header_could_carry_is_not_issued():
    with pytest.raises(ValueError, match="give it fewer scopes"):
        TokenAuthenticator(SECRET_KEY).generate_auth_token("alice", scopes=[f"scope-{i}" for i in range(1000)])


def test_a_secret_key_that_can_be_guessed_is_told_in_the_log(caplog):
    TokenAuthenticator(SECRET_KEY, fallback_secret_keys=["old"])
    assert caplog.records == []
    TokenAuthenticator("changeme")
    assert "secret_key has 8 bytes only" in caplog.text
    assert "changeme" not in caplog.text


def test_a_lifetime_of_a_century_works():
    provider = TokenAuthenticator(SECRET_KEY, expires_in_seconds=100 * 366 * 24 * 3600)
    assert authenticate(provider, provider.generate_auth_token("alice")).answer is Answer.VERIFIED


def jwt_of(header, *more):
    parts = [header if isinstance(header, bytes) else json.dumps(header).encode(), b'{"sub": "alice"}', b"s" * 32]
    return b".".join([base64_encode(part) for part in parts] + list(more))


class TestWhichBearerTokensAreOurs:
    """By their form alone: whoever sends the application's own JWT has not sent an invalid token of ours."""

    def test_one_that_we_have_signed_is_whether_or_not_it_is_good(self):
        provider = TokenAuthenticator(SECRET_KEY)
        for key in (SECRET_KEY, "another key of the tests, long enough"):
            for token in (TokenAuthenticator(key).generate_auth_token(name) for name in ("alice", "x", "é" * 50)):
                assert provider.takes_bearer_token(token.encode())
                # Cut, as by a copy that has lost its end; or with something more.
                for broken in (token[:-1], token[:-20], token + "x", token + "=", token.swapcase()):
                    assert provider.takes_bearer_token(broken.encode())

    @pytest.mark.parametrize(
        "token",
        [
            jwt_of({"alg": "HS256", "typ": "JWT"}),  # whose signature is as long as ours
            jwt_of({"typ": "JWT", "alg": "RS256", "kid": "1"}),
            jwt_of({"alg": "none"}),
        ],
        ids=show,
    )
    def test_a_jwt_is_not(self, token):
        assert not TokenAuthenticator(SECRET_KEY).takes_bearer_token(token)

    @pytest.mark.parametrize(
        "token", [b"2YotnFZFEjr1zCsicMWpAA", b"a.b.c.d", b"x", b"\xff.\xff.\xff", b"A" * 8192], ids=show
    )
    def test_what_else_is_sent_may_be(self, token):
        assert TokenAuthenticator(SECRET_KEY).takes_bearer_token(token)

    @pytest.mark.parametrize("header", [b'["alg"]', b'{"al', b"\xff", b'{"sub": "alg"}', b"[" * 4000], ids=show)
    def test_what_only_looks_like_a_jwt_may_be(self, header):
        assert TokenAuthenticator(SECRET_KEY).takes_bearer_token(jwt_of(header))

    def test_none_is_where_tokens_have_a_header_of_their_own(self):
        provider = TokenAuthenticator(SECRET_KEY, header="X-Token")
        assert not provider.takes_bearer_token(provider.generate_auth_token("alice").encode())
