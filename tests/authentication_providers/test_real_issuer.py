"""JWTs of a real OpenID Connect issuer, whose keys are found by discovery."""

import json
import threading
import time

import jwt
import pytest
from helpers import api_key, bearer, new_who, secured, with_key
from servers.issuer import API, API_SECRET, CLIENT, OPAQUE, running_issuer

from flask_securest import User
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.testing import AuthenticationProviderContract, make_request
from flask_securest.userstores import SimpleUserstore

ALGORITHMS = ["RS256", "ES256", "EdDSA"]
DOCUMENTS = ("GET /.well-known/openid-configuration", "GET /jwks")


@pytest.fixture
def clock(monkeypatch):
    """The clock by which keys grow old, which can be put forward."""

    class Clock:
        passed = 0.0

    real = time.monotonic
    for module in ("protocols.jwt.jwks", "protocols.jwt.document"):
        monkeypatch.setattr(f"flask_securest.{module}.monotonic", lambda: real() + Clock.passed)
    return Clock


def of(issuer, **options):
    return JWTAuthenticator(
        **{
            "algorithms": ALGORITHMS,
            "issuer": issuer.url,
            "audience": [f"urn:api:{name}" for name in ALGORITHMS],
            "discovery": True,
            "token_type": "at+jwt",
            "allow_http": True,
            "timeout": 2,
            **options,
        }
    )


def resource(algorithm):
    return f"urn:api:{algorithm}"


def ask(provider, token, userstore=None):
    return Chain([("jwt", provider)], userstore).authenticate(make_request(bearer(token)))


def fetches(issuer):
    """Return how often the issuer was asked for its keys."""
    return issuer.requests().count("GET /jwks")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_machine_is_known_by_its_client_credentials(issuer, algorithm):
    outcome = ask(of(issuer), issuer.token(resource(algorithm), "read write"))
    assert outcome.answer is Answer.VERIFIED, outcome.error
    assert outcome.identity.user.username == CLIENT
    assert outcome.identity.scopes == {"read", "write"}
    assert outcome.identity.app_name == CLIENT
    assert outcome.identity.credential_id
    assert 600 < outcome.identity.expires_at.timestamp() - time.time() <= 661


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_person_is_known_by_name_with_the_roles_of_the_userstore(issuer, algorithm):
    provider = of(issuer, username_claim="username")
    token = issuer.token(resource(algorithm), username="alice")
    store = SimpleUserstore([User("alice", roles=["admin"])])
    assert ask(provider, token, store).identity.user.roles == {"admin"}
    assert ask(provider, token, SimpleUserstore([])).answer is Answer.WRONG_CREDENTIALS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_that_was_not_asked_for_is_refused(issuer, algorithm):
    others = [name for name in ALGORITHMS if name != algorithm]
    token = issuer.token(resource(algorithm))
    assert ask(of(issuer, algorithms=others), token).answer is Answer.WRONG_CREDENTIALS
    assert ask(of(issuer, algorithms=[algorithm]), token).answer is Answer.VERIFIED


def test_a_token_for_another_api_is_refused(issuer):
    provider = of(issuer, audience=resource("RS256"))
    assert ask(provider, issuer.token(resource("ES256"))).answer is Answer.WRONG_CREDENTIALS


def test_a_token_of_the_same_keys_that_is_no_access_token_is_refused(issuer):
    """An ID token, say, which the same issuer signs: RFC 8725, section 3.11."""
    private = next(key for key in issuer.private_keys() if key["alg"] == "RS256")
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": resource("RS256"), "sub": "alice", "iat": now, "exp": now + 600}
    for kind, expected in (("at+jwt", Answer.VERIFIED), ("JWT", Answer.WRONG_CREDENTIALS)):
        headers = {"kid": private["kid"], "typ": kind}
        token = jwt.encode(claims, jwt.PyJWK(private).key, algorithm="RS256", headers=headers)
        assert ask(of(issuer), token).answer is expected


def test_another_issuer_is_not_believed_whoever_it_says_to_be(issuer, tmp_path):
    with running_issuer(tmp_path) as other:
        token = other.token(resource("ES256"))
        assert ask(of(other), token).answer is Answer.VERIFIED
        assert ask(of(issuer), token).answer is Answer.WRONG_CREDENTIALS
        private = next(key for key in other.private_keys() if key["alg"] == "ES256")
        claims = jwt.decode(token, options={"verify_signature": False}) | {"iss": issuer.url}
        theirs = next(key for key in issuer.private_keys() if key["alg"] == "ES256")
        for key_id in (private["kid"], theirs["kid"], None):
            headers = {"typ": "at+jwt"} | ({"kid": key_id} if key_id else {})
            forged = jwt.encode(claims, jwt.PyJWK(private).key, algorithm="ES256", headers=headers)
            assert ask(of(issuer), forged).answer is Answer.WRONG_CREDENTIALS


def test_the_keys_are_fetched_once_for_many_tokens(issuer):
    provider = of(issuer)
    before = issuer.requests()
    for algorithm in ALGORITHMS * 5:
        assert ask(provider, issuer.token(resource(algorithm))).answer is Answer.VERIFIED
    assert [line for line in issuer.requests()[len(before) :] if line in DOCUMENTS] == list(DOCUMENTS)


def test_and_once_for_many_threads(issuer):
    provider, token = of(issuer), issuer.token(resource("RS256"))
    before, answers = fetches(issuer), []
    threads = [threading.Thread(target=lambda: answers.append(ask(provider, token).answer)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Answer.VERIFIED] * 20
    assert fetches(issuer) == before + 1


def test_new_keys_are_found_at_the_first_token_that_is_signed_with_them(issuer):
    provider = of(issuer)
    former = issuer.token(resource("ES256"))
    assert ask(provider, former).answer is Answer.VERIFIED
    issuer.rotate_keys()
    for algorithm in ALGORITHMS:
        assert ask(provider, issuer.token(resource(algorithm))).answer is Answer.VERIFIED
    assert ask(provider, former).answer is Answer.WRONG_CREDENTIALS, "its key was withdrawn"


def test_a_storm_of_unknown_keys_costs_the_issuer_two_questions_at_most(issuer):
    provider = of(issuer)
    token = issuer.token(resource("RS256"))
    assert ask(provider, token).answer is Answer.VERIFIED
    before = fetches(issuer)
    private = next(key for key in issuer.private_keys() if key["alg"] == "ES256")
    key = jwt.PyJWK(private).key
    claims = jwt.decode(issuer.token(resource("ES256")), options={"verify_signature": False})
    for number in range(300):
        forged = jwt.encode(claims, key, algorithm="ES256", headers={"typ": "at+jwt", "kid": f"made-up-{number}"})
        assert ask(provider, forged).answer is Answer.WRONG_CREDENTIALS
    assert fetches(issuer) - before <= 2
    assert ask(provider, token).answer is Answer.VERIFIED


class TestAnOutage:
    @pytest.fixture(autouse=True)
    def _start_again(self, issuer):
        yield
        issuer.stop()
        issuer.start()

    def test_it_does_not_stop_an_api_that_knows_the_keys(self, issuer, clock):
        provider = of(issuer)
        tokens = [issuer.token(resource(algorithm)) for algorithm in ALGORITHMS]
        for token in tokens:
            assert ask(provider, token).answer is Answer.VERIFIED
        issuer.stop()
        # Long after the keys should have been fetched anew; the tokens themselves are still good.
        for hours in (0, 1, 12, 23):
            clock.passed = hours * 3600
            for token in tokens:
                assert ask(provider, token).answer is Answer.VERIFIED, hours

    def test_but_not_for_ever(self, issuer, clock):
        provider = of(issuer, stale_seconds=3600)
        token = issuer.token(resource("RS256"))
        assert ask(provider, token).answer is Answer.VERIFIED
        issuer.stop()
        clock.passed = 3 * 3600
        assert ask(provider, token).answer is Answer.BACKEND_DOWN
        issuer.start()
        clock.passed += 60
        assert ask(provider, token).answer is Answer.VERIFIED

    def test_an_api_that_knows_no_keys_answers_503_and_recovers_without_a_restart(self, issuer, clock):
        app, _, _ = secured(new_who(), providers=[of(issuer), api_key()], userstore=None)
        client = app.test_client()
        token = issuer.token(resource("EdDSA"))
        issuer.stop()
        for _ in range(3):
            refused = client.get("/who", headers=bearer(token))
            assert refused.status_code == 503
            assert float(refused.headers["Retry-After"]) >= 1
            assert "WWW-Authenticate" not in refused.headers
        assert client.get("/who", headers=with_key()).json["provider"] == "api-key", "others go on"
        issuer.start()
        clock.passed = float(refused.headers["Retry-After"])
        assert client.get("/who", headers=bearer(token)).json == {"user": CLIENT, "provider": "jwt"}

    def test_a_key_that_is_new_while_the_issuer_is_down_is_a_503_and_not_a_401(self, issuer, clock):
        provider = of(issuer)
        assert ask(provider, issuer.token(resource("ES256"))).answer is Answer.VERIFIED
        issuer.rotate_keys()
        token = issuer.token(resource("ES256"))
        issuer.stop()
        assert ask(provider, token).answer is Answer.BACKEND_DOWN
        issuer.start()
        clock.passed = 60
        assert ask(provider, token).answer is Answer.VERIFIED

    def test_one_that_hangs_is_a_503_in_time(self, issuer, clock):
        provider = of(issuer, timeout=0.5)
        token = issuer.token(resource("RS256"))
        with issuer.frozen():
            started = time.monotonic()
            for _ in range(5):
                assert ask(provider, token).answer is Answer.BACKEND_DOWN
            assert time.monotonic() - started < 3
        clock.passed = 60
        assert ask(provider, token).answer is Answer.VERIFIED


def test_jwts_and_opaque_tokens_of_one_issuer_work_in_one_chain(issuer):
    opaque = IntrospectionAuthenticator(
        issuer.introspection_url,
        client_id=API,
        client_secret=API_SECRET,
        audience=OPAQUE,
        issuer=issuer.url,
        allow_http=True,
    )
    providers = [api_key(), of(issuer, username_claim="username"), opaque]
    client = secured(new_who(), providers=providers, userstore=None)[0].test_client()
    asked = issuer.introspections()
    for algorithm in ALGORITHMS:
        token = issuer.token(resource(algorithm), username="alice")
        assert client.get("/who", headers=bearer(token)).json == {"user": "alice", "provider": "jwt"}
        for wrong in (token[:-3], f"{token[:-3]}AAA"):
            assert client.get("/who", headers=bearer(wrong)).status_code == 401
    assert issuer.introspections() == asked, "a JWT is shown to nobody"
    token = issuer.token(username="bob")
    assert client.get("/who", headers=bearer(token)).json == {"user": "bob", "provider": "introspection"}
    refused = client.get("/who", headers=bearer(token[:-1]))
    assert refused.status_code == 401
    challenges = refused.headers.getlist("WWW-Authenticate")
    assert [challenge.partition(" ")[0] for challenge in challenges] == ["ApiKey", "Bearer"]


class TestContract(AuthenticationProviderContract):
    USERNAME = CLIENT
    SECRETS = (API_SECRET, "eyJ")

    @pytest.fixture(autouse=True)
    def _issuer(self, issuer):
        self.issuer = issuer
        self.token = issuer.token(resource("ES256"))

    def make_provider(self):
        return of(self.issuer)

    def good_headers(self, provider):
        return bearer(self.token)

    def wrong_headers(self, provider):
        head, claims, signature = self.token.split(".")
        yield bearer(f"{head}.{claims}.")
        yield bearer(f"{head}.{claims}")
        yield bearer(f"{head}.{claims}.{signature[::-1]}")
        yield bearer(self.issuer.token())
        yield bearer(json.dumps({"sub": CLIENT}))
