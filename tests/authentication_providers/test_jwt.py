import subprocess
import sys
import time
from datetime import datetime, timezone

import jwt as pyjwt
import pytest
from helpers import (
    ALICE,
    BOB,
    SECRET_KEY,
    api_key,
    bearer,
    chain_of_three,
    make_userstore,
    new_who,
    secured,
    show,
    with_key,
)
from jwt_tokens import AUDIENCE, ISSUER, SECRET, b64, claims, join, jwk, jwks, key_for, new_key, pem, token
from servers.scripted_http import scripted_server

from flask_securest import User, current_identity, current_user, require
from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import ConfigurationError, ExpiredCredentialsError, MissingDependencyError
from flask_securest.protocols.jwt import policy as policy_module
from flask_securest.testing import AuthenticationProviderContract, ForbiddenUserstore, make_request
from flask_securest.userstores import AbstractUserstore, SimpleUserstore

RSA, P256 = new_key("RSA"), new_key("P-256")


def make(**options):
    if not {"key", "jwks", "jwks_url", "discovery"} & set(options):
        options["key"] = pem(RSA)
    given = {"algorithms": ["RS256"], "issuer": ISSUER, "audience": AUDIENCE, **options}
    return JWTAuthenticator(**given)


def ask(provider, sent, userstore=None):
    return Chain([("jwt", provider)], userstore).authenticate(make_request(bearer(sent)))


def identity_of(sent, userstore=None, **options):
    outcome = ask(make(**options), sent, userstore)
    assert outcome.answer is Answer.VERIFIED, outcome.error
    return outcome.identity


def refusal_of(sent, userstore=None, **options):
    outcome = ask(make(**options), sent, userstore)
    assert outcome.answer is Answer.WRONG_CREDENTIALS, outcome.error
    return str(outcome.error)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1_900_000_000

        @staticmethod
        def time():
            return Clock.now

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(Clock.now, tz)

    monkeypatch.setattr(policy_module, "time", Clock)
    monkeypatch.setattr("flask_securest.decision.answers.datetime", Frozen)
    return Clock


# The contract


class TestJWTAuthenticatorWithASharedSecret(AuthenticationProviderContract):
    SECRETS = (SECRET, b64(SECRET))
    ALGORITHM = "HS256"
    _store = make_userstore()

    def make_provider(self):
        return make(algorithms=[self.ALGORITHM], key=SECRET)

    def make_userstore(self):
        return self._store

    def good_headers(self, provider):
        return bearer(token(self.ALGORITHM))

    def wrong_headers(self, provider):
        good = token(self.ALGORITHM)
        head, payload, signature = good.split(".")
        values = ["Bearer", "Bearer ", "bearer x", "Bearer ..", f"Bearer {head}.{payload}", f"Bearer {head}.{payload}."]
        values += [f"Bearer {good}=", f"Bearer {good} x", f"Bearer {good}.", f"Bearer .{payload}.{signature}"]
        values += [f"Bearer {token(self.ALGORITHM, sub='nobody')}", f"Bearer {token(self.ALGORITHM, exp=1)}"]
        values += [f"Bearer {TokenAuthenticator(SECRET_KEY).generate_auth_token('alice')}", "Bearer " + "A" * 5000]
        for value in values:
            yield {"Authorization": value}


class TestJWTAuthenticatorWithAPublicKey(TestJWTAuthenticatorWithASharedSecret):
    ALGORITHM = "ES256"

    def make_provider(self):
        return make(algorithms=[self.ALGORITHM], key=pem(key_for(self.ALGORITHM)))


class TestJWTAuthenticatorWithAJWKSURL(TestJWTAuthenticatorWithASharedSecret):
    ALGORITHM = "RS256"

    @pytest.fixture(autouse=True)
    def _issuer(self):
        with scripted_server() as server:
            server.answer_json("/jwks", jwks(jwk(RSA, kid="one")))
            self.url = f"{server.url}/jwks"
            yield

    def make_provider(self):
        return make(jwks_url=self.url, allow_http=True)


class TestJWTAuthenticatorWithoutAUserstore(TestJWTAuthenticatorWithASharedSecret):
    def make_userstore(self):
        return None

    def wrong_headers(self, provider):
        yield {"Authorization": "Bearer x"}


class TestJWTAuthenticatorWithAHeaderOfItsOwn(TestJWTAuthenticatorWithASharedSecret):
    def make_provider(self):
        return make(algorithms=[self.ALGORITHM], key=SECRET, header="X-Assertion")

    def good_headers(self, provider):
        return {"X-Assertion": token(self.ALGORITHM)}

    def wrong_headers(self, provider):
        good = token(self.ALGORITHM)
        for value in ("x", f"Bearer {good}", good + "=", f"{good},{good}"):
            yield {"X-Assertion": value}


# What is good

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
ALGORITHMS += ["HS256", "HS384", "HS512"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_verifies_with_a_key_and_with_a_document(algorithm):
    key = key_for(algorithm)
    fixed = key if isinstance(key, str) else pem(key)
    sources = [{"key": fixed}, {"key": fixed.encode()}, {"key": jwk(key)}, {"jwks": jwks(jwk(key, kid="one"))}]
    for source in sources:
        assert identity_of(token(algorithm), algorithms=[algorithm], **source).user.username == "alice"
    stranger = "x" * 64 if isinstance(key, str) else key_for(algorithm, 9)
    assert "not signed" in refusal_of(token(algorithm, key=stranger), algorithms=[algorithm], key=fixed)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "HS256"])
def test_tokens_of_another_implementation_verify(algorithm):
    key = key_for(algorithm)
    sent = pyjwt.encode(claims(), key, algorithm, headers={"kid": "one", "typ": "at+jwt"})
    fixed = key if isinstance(key, str) else pem(key)
    assert identity_of(sent, algorithms=[algorithm], key=fixed).user.username == "alice"


#: RFC 7515, appendix A.1: the first JWT there was. Its key has 64 bytes; it expired in 2011.
RFC_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvb"
    "S9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_KEY = {
    "kty": "oct",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}


def test_the_token_of_rfc_7515_verifies(clock):
    clock.now = 1300819379
    options = {"algorithms": ["HS256"], "key": RFC_KEY, "issuer": "joe", "audience": None, "username_claim": "iss"}
    identity = identity_of(RFC_TOKEN, allow_any_audience=True, **options)
    assert identity.user.attributes["claims"]["http://example.com/is_root"] is True
    clock.now += 62
    assert isinstance(ask(make(allow_any_audience=True, **options), RFC_TOKEN).error, ExpiredCredentialsError)


# RFC 8725, point by point: the table in the documentation names these tests


def test_rfc_8725_3_1_the_algorithm_is_the_applications_choice_and_fits_the_key():
    assert "algorithm that is not allowed" in refusal_of(token("PS256"), algorithms=["RS256"])
    assert "algorithm that is not allowed" in refusal_of(token("HS256", key=pem(RSA)))
    limited = jwks(jwk(RSA, kid="one", alg="PS256"))
    assert "a key that the issuer has not" in refusal_of(token(), algorithms=["RS256", "PS256"], jwks=limited)
    with pytest.raises(ConfigurationError, match="must not mix"):
        make(algorithms=["RS256", "HS256"])


def test_rfc_8725_3_2_the_algorithm_none_and_unknown_ones_cannot_be_chosen():
    for algorithms in (["none"], ["RS256", "none"], ["RSA1_5"], []):
        with pytest.raises(ConfigurationError, match="algorithms must"):
            make(algorithms=algorithms)
    assert "not written as" in refusal_of(join({"alg": "none"}, claims(), signature=b""))
    assert "algorithm that is not allowed" in refusal_of(join({"alg": "none"}, claims()))


def test_rfc_8725_3_3_all_signatures_are_verified_and_nested_tokens_are_refused():
    assert "not signed" in refusal_of(token(key=new_key("RSA", 9)))
    assert "no JSON" in refusal_of(join({"alg": "RS256", "cty": "JWT"}, token()))
    assert "not written as" in refusal_of(f"{token()}.x.y")


def test_rfc_8725_3_4_a_key_that_is_no_point_of_its_curve_is_not_used():
    broken = {**jwk(P256), "y": jwk(P256)["x"]}
    with pytest.raises(ConfigurationError, match="it is broken"):
        make(algorithms=["ES256"], key=broken)
    with pytest.raises(ConfigurationError, match="no key"):
        make(algorithms=["ES256"], jwks=jwks(broken))


def test_rfc_8725_3_5_keys_that_can_be_guessed_are_refused():
    for key in ("password", "x" * 31):
        with pytest.raises(ConfigurationError, match="must have 32 bytes"):
            make(algorithms=["HS256"], key=key)
    with pytest.raises(ConfigurationError, match="1024 bits"):
        make(key=pem(new_key("RSA", bits=1024)))


def test_rfc_8725_3_6_nothing_is_decompressed():
    import zlib

    packed = zlib.compress(b" " * 10_000_000)
    assert "UTF-8" in refusal_of(join({"alg": "RS256", "zip": "DEF"}, packed[:2000]))


def test_rfc_8725_3_7_json_is_utf_8():
    import json

    for encoding in ("utf-16", "utf-32", "latin-1"):
        payload = json.dumps(claims(name="ä"), ensure_ascii=False).encode(encoding)
        assert "a JWT with" in refusal_of(join({"alg": "RS256"}, payload))
    assert identity_of(token(sub="älice")).user.username == "älice"


def test_rfc_8725_3_8_issuer_and_subject_are_checked():
    assert "another issuer" in refusal_of(token(iss="https://other.example"))
    assert "another issuer" in refusal_of(token(iss=None))
    assert "not known" in refusal_of(token(sub="nobody"), make_userstore())
    # The keys of one issuer say nothing about the tokens of another one: each provider has its own.
    other = make(issuer="https://other.example", key=pem(new_key("RSA", 9)), name="other")
    chain = Chain([("jwt", make()), ("other", other)], None)
    for sent, expected in ((token(), "jwt"), (token(key=new_key("RSA", 9), iss="https://other.example"), "other")):
        assert chain.authenticate(make_request(bearer(sent))).identity.provider == expected
    crossed = token(key=RSA, iss="https://other.example")
    assert chain.authenticate(make_request(bearer(crossed))).answer is Answer.WRONG_CREDENTIALS


def test_rfc_8725_3_9_the_audience_is_checked():
    assert "another audience" in refusal_of(token(aud="urn:other"))
    assert "audience (aud)" in refusal_of(token(aud=None))
    assert identity_of(token(aud=["urn:other", AUDIENCE]))
    assert identity_of(token(), audience=["urn:former", AUDIENCE])


def test_rfc_8725_3_10_what_a_token_claims_is_not_trusted():
    """No address in it is asked, no key in it is used, and a key's name is only ever compared."""
    stranger = new_key("RSA", 9)
    with scripted_server() as server:
        server.answer_json("/jwks", jwks(jwk(stranger, kid="one")))
        addresses = {"jku": f"{server.url}/jwks", "x5u": f"{server.url}/x", "jwk": jwk(stranger), "x5c": ["MIIB"]}
        assert "not signed" in refusal_of(token(key=stranger, header=addresses))
        assert not server.counts
    for name in ("../../dev/null", "' OR 1=1 --", "http://127.0.0.1:9/", "\x00", ""):
        assert "a key that the issuer has not" in refusal_of(token(kid=name), jwks=jwks(jwk(RSA, kid="one")))


@pytest.mark.parametrize(
    ("sent", "by_default", "only_at_jwt"),
    [
        (None, True, False),
        ("JWT", True, False),
        ("jwt", True, False),
        ("at+jwt", True, True),
        ("AT+JWT", True, True),
        ("application/at+jwt", True, True),
        ("application/JWT", True, False),
        ("logout+jwt", False, False),
        ("application/logout+jwt", False, False),
        ("text/at+jwt", False, False),
        ("application/application/at+jwt", False, False),
        ("at+jwt ", False, False),
        ("secevent+jwt", False, False),
        ("", False, False),
    ],
)
def test_rfc_8725_3_11_the_type_of_a_token_is_looked_at(sent, by_default, only_at_jwt):
    typed = token(header={"typ": sent})
    for options, expected in (({}, by_default), ({"token_type": "at+jwt"}, only_at_jwt)):
        answer = ask(make(**options), typed).answer
        assert answer is (Answer.VERIFIED if expected else Answer.WRONG_CREDENTIALS)


def test_rfc_8725_3_12_tokens_of_another_kind_from_the_same_issuer_are_refused():
    id_token = token(aud="client-of-alice", header={"typ": "JWT"}, nonce="n")
    logout_token = token(
        header={"typ": "logout+jwt"}, events={"http://schemas.openid.net/event/backchannel-logout": {}}
    )
    for sent in (id_token, logout_token):
        refusal_of(sent)
    # An ID token for an API that is its own client looks like an access token, unless types are asked for.
    refusal_of(token(header={"typ": "JWT"}, nonce="n"), token_type="at+jwt")


# Time


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_clocks_may_be_apart_by_the_leeway_and_no_more(clock, leeway):
    now, provider = clock.now, make(leeway=leeway)
    sent = token(iat=now, nbf=now, exp=now + 300)
    for skew, expected in (
        (-leeway - 1, Answer.WRONG_CREDENTIALS),
        (-leeway, Answer.VERIFIED),
        (0, Answer.VERIFIED),
        (299 + leeway, Answer.VERIFIED),
        (300 + leeway, Answer.WRONG_CREDENTIALS),
    ):
        clock.now = now + skew
        assert ask(provider, sent).answer is expected, skew


@pytest.mark.parametrize("skew", [-60, 60])
def test_a_clock_that_is_a_minute_off_is_tolerated_by_default(clock, skew):
    issued = clock.now
    clock.now += skew
    assert ask(make(), token(iat=issued, nbf=issued, exp=issued + 1)).answer is Answer.VERIFIED


def test_an_identity_ends_when_its_token_does_not_verify_any_more(clock):
    """With the leeway: the chain looks at it once more, and would not know of the leeway."""
    identity = ask(make(leeway=30), token(iat=clock.now, exp=clock.now + 300)).identity
    assert identity.expires_at == datetime.fromtimestamp(clock.now + 330, timezone.utc)


def test_expired_is_told_apart_from_forged_for_the_log_alone(caplog):
    client = secured(new_who(), providers=[make()], userstore=None)[0].test_client()
    expired = client.get("/who", headers=bearer(token(exp=int(time.time()) - 61)))
    forged = client.get("/who", headers=bearer(token(key=new_key("RSA", 9))))
    assert (expired.status, expired.data, str(expired.headers)) == (forged.status, forged.data, str(forged.headers))
    assert "a JWT that has expired" in caplog.text
    assert "a JWT that was not signed with the issuer's key" in caplog.text


def test_times_may_have_fractions():
    now = time.time()
    assert identity_of(token(iat=now - 0.5, nbf=now - 0.25, exp=now + 10.5))


# Who it is, and what it may do


def test_the_user_is_the_userstores_and_looked_up_on_every_use():
    identity = identity_of(token(roles=["root"]), make_userstore(), roles_claim="roles")
    assert identity.user.roles == {"admin"}
    assert identity.user.email is None
    assert ask(make(), token(), SimpleUserstore([User("alice", active=False)])).answer is Answer.ACCOUNT_STATUS
    assert "gone" in refusal_of(token(), SimpleUserstore([]))


def test_without_a_userstore_the_user_is_what_the_claims_say():
    identity = identity_of(token(realm_access={"roles": ["admin"]}, email="a@b.c"), roles_claim="realm_access.roles")
    assert identity.user == User("alice", roles=["admin"], attributes=identity.user.attributes)
    assert identity.user.attributes["claims"]["email"] == "a@b.c"
    assert "a@b.c" not in repr(identity)


def test_no_store_is_asked_for_a_token_that_is_not_good():
    for sent in (token(key=new_key("RSA", 9)), token(iss="x"), token(exp=1), "x"):
        assert ask(make(), sent, ForbiddenUserstore()).answer is Answer.WRONG_CREDENTIALS


def test_an_identity_says_which_token_it_was_and_which_client_sent_it():
    identity = identity_of(token(jti="id-1", azp="app-1", client_id="app-2"))
    assert (identity.credential_id, identity.app_name) == ("id-1", "app-1")
    assert identity_of(token(client_id="app-2")).app_name == "app-2"
    assert identity_of(token()).app_name is None
    assert identity_of(token()).credential_id is None


@pytest.mark.parametrize("claim", ["sub", "email", "preferred_username", "https://example.com/name"])
def test_any_claim_can_be_the_name(claim):
    assert identity_of(token(**{claim: "carol"}), username_claim=claim).user.username == "carol"
    assert "is no name" in refusal_of(token(**{claim: None}), username_claim=claim)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scope": None}, set()),
        ({"scope": ""}, set()),
        ({"scope": "read"}, {"read"}),
        ({"scope": " read  write "}, {"read", "write"}),
        ({"scope": ["read", "write"]}, {"read", "write"}),
        ({"scope": None, "scp": "read"}, {"read"}),
        ({"scope": None, "scp": ["read"]}, {"read"}),
        ({"scope": None, "permissions": ["read:todos"]}, {"read:todos"}),
        ({"scope": "openid", "permissions": ["read"], "scp": ["write"]}, {"openid", "read", "write"}),
        ({"scope": []}, set()),
    ],
    ids=show,
)
def test_a_token_always_has_a_set_of_scopes(changes, expected):
    assert identity_of(token(**changes)).scopes == expected


def test_which_claims_have_scopes_can_be_chosen():
    sent = token(scope="read", permissions=["write"], mine="delete")
    assert identity_of(sent, scope_claims="permissions").scopes == {"write"}
    assert identity_of(sent, scope_claims=["scope", "mine"]).scopes == {"read", "delete"}


class Row:
    """A user as a row of an ORM has it."""

    username, password, active, roles = "alice", None, True, ()
    scopes = ("read",)


class Store(AbstractUserstore):
    def __init__(self, user):
        self.user = user

    def get_user(self, identifier):
        return self.user


def test_a_token_never_has_more_scopes_than_its_user():
    for user in (Row(), User("alice", attributes={"scopes": ["read", "more"]})):
        assert identity_of(token(scope="read write"), Store(user)).scopes == {"read"}
    assert identity_of(token(scope="read write"), Store(User("alice"))).scopes == {"read", "write"}
    assert identity_of(token(scope="read"), Store(User("alice", attributes={"scopes": []}))).scopes == set()


ROLES = {
    "realm_access": {"roles": ["admin", "Team Lead"], "empty": []},
    "https://example.com/roles": ["editor"],
    "role": "Team Lead",
    "a.b": ["dotted"],
    "a": {"b": ["nested"]},
}


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (None, set()),
        ("realm_access.roles", {"admin", "Team Lead"}),
        ("realm_access.empty", set()),
        ("realm_access.missing", set()),
        ("missing.roles", set()),
        ("https://example.com/roles", {"editor"}),
        ("https://example.com/other", set()),
        ("role", {"Team Lead"}),
        ("a.b", {"dotted"}),
        (lambda claims: claims["realm_access"]["roles"], {"admin", "Team Lead"}),
        (lambda claims: {"from", "a", "set"}, {"from", "a", "set"}),
        (lambda claims: (each for each in ()), None),
        (lambda claims: claims["missing"], None),
        (lambda claims: None, set()),
        (lambda claims: [7], None),
        (lambda claims: 1 / 0, None),
        ("realm_access", None),
        ("role.x", None),
        ("realm_access.roles.x", None),
    ],
)
def test_roles_are_found_where_they_are_said_to_be(mapping, expected):
    sent = token(**ROLES)
    if expected is None:
        said = refusal_of(sent, roles_claim=mapping)
        assert ("roles_claim" if callable(mapping) else mapping) in said
    else:
        assert identity_of(sent, roles_claim=mapping).user.roles == expected


def test_a_function_that_fails_is_told_without_quoting_the_token():
    told = refusal_of(token(planted="planted-9a"), roles_claim=lambda claims: claims["planted"].missing)
    assert "AttributeError" in told
    assert "planted" not in told


# In an application


def test_scopes_and_roles_of_a_token_meet_what_is_required():
    Who = new_who(
        get=require(scopes="read")(
            lambda self: {"user": current_user.username, "scopes": sorted(current_identity.scopes)}
        ),
        post=require(scopes="admin")(lambda self: {}),
        put=require(roles="admin")(lambda self: {}),
    )
    client = secured(Who, providers=[make(roles_claim="roles")], userstore=None)[0].test_client()
    sent = bearer(token(roles=["admin"]))
    assert client.get("/who", headers=sent).json == {"user": "alice", "scopes": ["read", "write"]}
    refused = client.post("/who", headers=sent)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert client.put("/who", headers=sent).status_code == 200
    assert client.put("/who", headers=bearer(token())).status_code == 403


@pytest.mark.parametrize("own_tokens_first", [True, False])
def test_tokens_of_our_own_and_of_an_issuer_go_through_one_chain(own_tokens_first):
    own = TokenAuthenticator(SECRET_KEY)
    with scripted_server() as server:
        server.answer_json("/jwks", jwks(jwk(RSA, kid="one")))
        both = [own, make(jwks_url=f"{server.url}/jwks", allow_http=True)]
        providers = [api_key(), *chain_of_three()[1:2], *(both if own_tokens_first else reversed(both))]
        users = make_userstore()
        client = secured(new_who(), providers=providers, userstore=users)[0].test_client()
        mine = own.generate_auth_token("bob")
        assert client.get("/who", headers=bearer(mine)).json == {"user": "bob", "provider": "token"}
        assert not server.counts, "a token of our own makes nobody ask the issuer"
        assert client.get("/who", headers=bearer(token())).json == {"user": "alice", "provider": "jwt"}
        assert client.get("/who", headers=ALICE).json == {"user": "alice", "provider": "password"}
        assert client.get("/who", headers={**BOB, **with_key()}).json == {"user": "ci", "provider": "api-key"}
        refused = client.get("/who", headers=bearer("x"))
        assert refused.status_code == 401
        assert refused.headers.getlist("WWW-Authenticate") == [
            'ApiKey realm="api", header="X-API-Key"',
            'Basic realm="api", charset="UTF-8"',
            'Bearer realm="api", error="invalid_token"',
        ]
        server.stop()
        # While nobody can be asked, those whom another provider knows get in.
        fresh = [make(jwks_url=f"{server.url}/jwks", allow_http=True), *chain_of_three()]
        client = secured(new_who(), providers=fresh, userstore=users)[0].test_client()
        assert client.get("/who", headers={**bearer(token()), **with_key()}).json["user"] == "ci"
        down = client.get("/who", headers=bearer(token()))
        assert down.status_code == 503
        assert int(down.headers["Retry-After"]) >= 1
        assert client.get("/who", headers=bearer(mine)).json["user"] == "bob"


def test_a_token_in_the_url_is_no_credential():
    client = secured(new_who(), providers=[make()], userstore=None)[0].test_client()
    assert client.get(f"/who?access_token={token()}&token={token()}").status_code == 401


def test_the_realm_of_a_header_of_its_own_says_so():
    client = secured(new_who(), providers=[make(header="X-Assertion")], userstore=None)[0].test_client()
    refused = client.get("/who", headers=bearer(token()))
    assert refused.headers.getlist("WWW-Authenticate") == ['Token realm="api", header="X-Assertion"']
    assert client.get("/who", headers={"X-Assertion": token()}).json["user"] == "alice"


def test_a_restart_and_a_second_process_change_nothing():
    """Nothing is kept that another process would need: the same token is good in both."""
    code = """
import sys
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.testing import make_request
provider = JWTAuthenticator(algorithms=["RS256"], issuer=sys.argv[1], audience=sys.argv[2], key=sys.argv[3])
print(provider.authenticate(make_request({"Authorization": "Bearer " + sys.argv[4]}), None).user.username)
"""
    sent = token()
    command = [sys.executable, "-W", "error", "-c", code, ISSUER, AUDIENCE, pem(RSA), sent]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("alice", "")
    assert identity_of(sent).user.username == "alice"


# Arguments


def test_issuer_and_audience_must_be_given():
    with pytest.raises(TypeError):
        JWTAuthenticator(algorithms=["RS256"], audience=AUDIENCE, key=pem(RSA))
    with pytest.raises(TypeError):
        JWTAuthenticator(algorithms=["RS256"], issuer=ISSUER, key=pem(RSA))


def test_issuer_and_audience_can_be_waived_in_so_many_words():
    sent = token(iss="https://other.example", aud=None)
    assert identity_of(sent, issuer=None, allow_any_issuer=True, audience=None, allow_any_audience=True)
    assert "audience" in refusal_of(sent, issuer=None, allow_any_issuer=True)
    assert "issuer" in refusal_of(sent, audience=None, allow_any_audience=True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"issuer": None}, "issuer must be given, or be None together with allow_any_issuer=True"),
        ({"issuer": ""}, "issuer must be a printable string"),
        ({"issuer": 7}, "issuer must be"),
        ({"issuer": []}, "issuer and tenants must not be empty"),
        ({"issuer": [ISSUER, ISSUER]}, "must name each issuer once"),
        ({"issuer": [7]}, "an issuer of issuer must be"),
        ({"allow_any_issuer": True}, "issuer must be given, or be None together"),
        ({"issuer": None, "allow_any_issuer": "yes"}, "issuer must be given, or be None together"),
        ({"audience": None}, "audience must be given, or be None together with allow_any_audience=True"),
        ({"audience": ""}, "audience must be a printable string"),
        ({"audience": []}, "audience must not be empty"),
        ({"audience": [""]}, "audience must be a printable string"),
        ({"audience": [None]}, "audience must be a printable string"),
        ({"audience": {AUDIENCE: 1}}, "audience must be a list"),
        ({"allow_any_audience": True}, "audience must be given, or be None together"),
        ({"algorithms": "RS256"}, "algorithms must be a list"),
        ({"key": None}, "exactly one of key, jwks, jwks_url and discovery must be given, not none of them"),
        ({"jwks": jwks(jwk(RSA))}, "exactly one of .* not key and jwks"),
        ({"jwks_url": "https://issuer.example/jwks"}, "exactly one of .* not key and jwks_url"),
        ({"discovery": True}, "exactly one of .* not key and discovery"),
        ({"key": None, "discovery": "yes"}, "discovery must be True or False"),
        ({"key": None, "discovery": True, "issuer": "joe"}, "issuer cannot be 'joe'"),
        ({"key": None, "discovery": True, "issuer": None, "allow_any_issuer": True}, "issuer must be a string"),
        ({"key": None, "discovery": True, "algorithms": ["HS256"]}, "a secret that is published is none"),
        ({"key": None, "jwks_url": "https://x/", "algorithms": ["HS256"]}, "a secret that is published is none"),
        ({"key": None, "jwks_url": ""}, "jwks_url cannot be ''"),
        ({"key": None, "jwks_url": "http://x/"}, "it must be https"),
        ({"key": None, "jwks_url": "https://x/", "timeout": 0}, "timeout must be"),
        ({"key": None, "jwks_url": "https://x/", "ca_file": "/nowhere.pem"}, "ca_file"),
        ({"key": None, "jwks_url": "https://x/", "stale_seconds": -1}, "stale_seconds must be"),
        ({"key": None, "jwks_url": "https://x/", "stale_seconds": 10**9}, "stale_seconds must be"),
        ({"key": None, "jwks_url": "https://x/", "stale_seconds": "day"}, "stale_seconds must be"),
        ({"leeway": -1}, "leeway must be from 0 to 60 seconds, not -1"),
        ({"leeway": 61}, "leeway must be"),
        ({"leeway": True}, "leeway must be"),
        ({"leeway": None}, "leeway must be"),
        ({"leeway": float("nan")}, "leeway must be"),
        ({"token_type": ""}, "token_type must be"),
        ({"token_type": 7}, "token_type must be"),
        ({"username_claim": ""}, "username_claim must be"),
        ({"username_claim": None}, "username_claim must be"),
        ({"scope_claims": []}, "scope_claims must not be empty"),
        ({"scope_claims": None}, "scope_claims must be a list"),
        ({"scope_claims": [7]}, "scope_claims must be"),
        ({"roles_claim": ""}, "roles_claim must be"),
        ({"roles_claim": 7}, "roles_claim must be"),
        ({"header": ""}, "a header must be named"),
        ({"header": "Not A Header"}, "a header must be named"),
        ({"name": ""}, "name of JWTAuthenticator"),
        ({"name": "a\nb"}, "name of JWTAuthenticator"),
    ],
    ids=show,
)
def test_an_argument_that_cannot_be_is_told_at_once(arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        JWTAuthenticator(
            **{"algorithms": ["RS256"], "issuer": ISSUER, "audience": AUDIENCE, "key": pem(RSA), **arguments}
        )


def test_no_secret_shows_in_a_repr_or_an_error():
    provider = make(algorithms=["HS256"], key=SECRET)
    assert SECRET not in repr(vars(provider))
    assert b64(SECRET) not in repr(vars(provider))
    with pytest.raises(ConfigurationError) as caught:
        make(algorithms=["HS512"], key=SECRET[:40])
    assert SECRET[:40] not in str(caught.value)


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_its_libraries_the_constructor_tells_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match=r"flask_securest\[jwt\]"):
        make(key=pem(RSA))


class TestWhichBearerTokensMayBeJWTs:
    @pytest.mark.parametrize("sent", ["", "x", "a.b.c", "e30.e30.e30", token() + ".x"])
    def test_any_may(self, sent):
        assert make().takes_bearer_token(sent.encode())

    def test_none_is_where_tokens_have_a_header_of_their_own(self):
        assert not make(header="X-Token").takes_bearer_token(token().encode())
