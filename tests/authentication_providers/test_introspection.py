"""Opaque tokens: against an endpoint that says what it is told to, and against a real issuer."""

import base64
import http.server
import json
import ssl
import threading
import time
import urllib.parse
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest
from flask_restful import Resource
from helpers import SECRET_KEY, bearer, how_many, new_who, secured, show, wait_until, who
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.issuer import API, API_SECRET, CLIENT, OPAQUE
from servers.slapd import write_certificates

from flask_securest import User, current_identity, require
from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BackendError, ConfigurationError, ExpiredCredentialsError
from flask_securest.identity import Identity
from flask_securest.protocols.introspection.answer import Answer as Introspected
from flask_securest.protocols.introspection.answer import Expected, Refusal, read_answer
from flask_securest.protocols.introspection.cache import IntrospectionCache
from flask_securest.testing import AuthenticationProviderContract, make_request
from flask_securest.testing.stores import run_in_threads
from flask_securest.userstores import SimpleUserstore

TOKEN = "2YotnFZFEjr1zCsicMWpAA-planted-44e1"
SECRET = "client-secret-planted-8a31:%+ é"
GOOD = {"active": True, "token_type": "Bearer", "username": "alice", "scope": "read write", "client_id": "billing"}


class Endpoint:
    """An introspection endpoint that says what it is told to."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.headers = []
        self.status = 200
        self.at_once = self.most_at_once = 0
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def say(self, token=TOKEN, /, **claims):
        self.answers[token] = json.dumps({name: value for name, value in claims.items() if value is not ...}).encode()

    def tell(self, handler):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode("ascii")
        (token,) = urllib.parse.parse_qs(body, strict_parsing=True)["token"]
        with self._lock:
            self.asked.append(body)
            self.headers.append(handler.headers)
        self.gate.wait(20)
        answer = self.answers.get(token, b'{"active": false}')
        with self._lock:
            self.at_once -= 1
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    @contextmanager
    def running(self, tls=None):
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint.tell(self)

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 100

            def handle_error(self, request, client_address):
                pass  # a client that has gone away

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/introspect?for=api"
        finally:
            self.gate.set()
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def endpoint():
    """One that knows one token."""
    endpoint = Endpoint()
    endpoint.say(**GOOD)
    with endpoint.running() as endpoint.url:
        yield endpoint


def make(url, **options):
    options = {"client_id": "api", "client_secret": SECRET, "allow_http": True, **options}
    return IntrospectionAuthenticator(url, **options)


def ask(provider, token=TOKEN, userstore=None):
    return Chain([("introspection", provider)], userstore).authenticate(make_request(bearer(token)))


@pytest.fixture
def clock(monkeypatch):
    """Both clocks, which go on only when they are moved."""

    class Clock:
        passed = 0.0

    real = time.time()

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(real + Clock.passed, tz)

    monkeypatch.setattr("flask_securest.protocols.introspection.cache.monotonic", lambda: 1000 + Clock.passed)
    for module in ("protocols.introspection.cache", "protocols.introspection.answer"):
        monkeypatch.setattr(f"flask_securest.{module}.time", lambda: real + Clock.passed)
    monkeypatch.setattr("flask_securest.decision.answers.datetime", Frozen)
    Clock.now = property(lambda self: real + self.passed)
    return Clock()


def move(clock, seconds):
    type(clock).passed += seconds


class TestWhatIsAskedAndAnswered:
    def test_the_issuer_is_asked_as_rfc_7662_says(self, endpoint):
        assert ask(make(endpoint.url, client_id="api:of us")).answer is Answer.VERIFIED
        assert urllib.parse.parse_qs(endpoint.asked[0]) == {"token": [TOKEN], "token_type_hint": ["access_token"]}
        headers = endpoint.headers[0]
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert headers["Accept"] == "application/json"
        scheme, _, credentials = headers["Authorization"].partition(" ")
        assert scheme == "Basic"
        # RFC 6749, section 2.3.1: both are encoded as in a form.
        parts = base64.b64decode(credentials).decode("ascii").split(":")
        assert [urllib.parse.unquote_plus(part) for part in parts] == ["api:of us", SECRET]

    def test_an_active_token_says_whose_it_is(self, endpoint):
        end = int(time.time()) + 600
        endpoint.say(**GOOD, exp=end, jti="token-7", sub="4711")
        identity = ask(make(endpoint.url)).identity
        assert identity.user == User("alice")
        assert identity.scopes == {"read", "write"}
        assert (identity.credential_id, identity.app_name) == ("token-7", "billing")
        assert identity.expires_at == datetime.fromtimestamp(end + 60, timezone.utc)

    @pytest.mark.parametrize(
        ("scope", "expected"),
        [
            (..., set()),
            (None, set()),
            ("", set()),
            ("read", {"read"}),
            (" a  b ", {"a", "b"}),
            (["a", "b"], {"a", "b"}),
        ],
    )
    def test_scopes_are_always_a_set(self, endpoint, scope, expected):
        endpoint.say(**GOOD | {"scope": scope})
        assert ask(make(endpoint.url)).identity.scopes == expected

    @pytest.mark.parametrize(
        ("claims", "said", "name"),
        [
            (("username", "sub"), {"username": "alice", "sub": "4711"}, "alice"),
            (("username", "sub"), {"sub": "4711"}, "4711"),
            (("username", "sub"), {"username": None, "sub": "4711"}, "4711"),
            ("sub", {"username": "alice", "sub": "4711"}, "4711"),
            (["email", "client_id"], {"username": "alice", "client_id": "billing"}, "billing"),
            (("username", "sub"), {"client_id": "alice"}, None),
            (("username", "sub"), {"username": "", "sub": "alice"}, None),
            (("username", "sub"), {"username": " "}, None),
            (("username", "sub"), {"username": "alice\n2026 WARNING root logged in"}, None),
            (("username", "sub"), {"username": "a" * 257}, None),
        ],
    )
    def test_the_name_is_the_first_claim_that_there_is(self, endpoint, claims, said, name):
        endpoint.say(active=True, token_type="Bearer", **said)
        outcome = ask(make(endpoint.url, username_claim=claims))
        assert outcome.answer is (Answer.WRONG_CREDENTIALS if name is None else Answer.VERIFIED)
        assert name is None or outcome.identity.user.username == name

    @pytest.mark.parametrize("active", ["true", 1, 1.0, [True], {"x": 1}, None, ..., "false", 0, "", []], ids=show)
    def test_active_must_be_exactly_true(self, endpoint, active):
        endpoint.say(**GOOD | {"active": active})
        assert ask(make(endpoint.url)).answer is Answer.BACKEND_DOWN

    def test_a_token_that_is_not_active_is_wrong_whatever_else_is_said(self, endpoint):
        endpoint.say(**GOOD | {"active": False})
        assert ask(make(endpoint.url)).answer is Answer.WRONG_CREDENTIALS

    @pytest.mark.parametrize(
        "said",
        [
            {"token_type": "refresh_token"},
            {"token_type": "Refresh"},
            {"token_type": "DPoP"},
            {"token_type": "N_A"},
            {"token_type": ""},
            {"token_type": ...},
            {"token_type": None},
            {"typ": "Refresh"},
            {"typ": "ID"},
            {"typ": "Offline"},
            {"token_use": "refresh_token"},
            {"token_use": "id"},
            {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
            {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
            {"cnf": {}},
        ],
        ids=show,
    )
    def test_what_is_no_bearer_access_token_is_wrong(self, endpoint, said):
        endpoint.say(**GOOD | said)
        assert ask(make(endpoint.url)).answer is Answer.WRONG_CREDENTIALS

    @pytest.mark.parametrize(
        "said",
        [{"token_type": "bearer"}, {"typ": "Bearer"}, {"typ": "at+jwt"}, {"token_use": "access_token"}],
        ids=show,
    )
    def test_what_is_one_is_good(self, endpoint, said):
        endpoint.say(**GOOD | said)
        assert ask(make(endpoint.url)).answer is Answer.VERIFIED

    def test_an_issuer_that_never_says_what_a_token_is_may_be_believed(self, endpoint):
        endpoint.say(**GOOD | {"token_type": ...})
        lax = make(endpoint.url, require_token_type=False)
        assert ask(lax).answer is Answer.VERIFIED
        endpoint.say("other", **GOOD | {"token_type": "refresh_token"})
        assert ask(lax, "other").answer is Answer.WRONG_CREDENTIALS

    @pytest.mark.parametrize(
        ("options", "said", "good"),
        [
            ({"audience": "urn:us"}, {"aud": "urn:us"}, True),
            ({"audience": "urn:us"}, {"aud": ["urn:them", "urn:us"]}, True),
            ({"audience": ["urn:us", "urn:old"]}, {"aud": "urn:old"}, True),
            ({"audience": "urn:us"}, {"aud": "urn:them"}, False),
            ({"audience": "urn:us"}, {"aud": "urn:us/"}, False),
            ({"audience": "urn:us"}, {"aud": "urn"}, False),
            ({"audience": "urn:us"}, {"aud": []}, False),
            ({"audience": "urn:us"}, {"aud": None}, False),
            ({"audience": "urn:us"}, {}, False),
            ({}, {"aud": "urn:them"}, True),
            ({"issuer": "https://us"}, {"iss": "https://us"}, True),
            ({"issuer": "https://us"}, {"iss": "https://us/"}, False),
            ({"issuer": "https://us"}, {"iss": "https://them"}, False),
            ({"issuer": "https://us"}, {}, False),
            ({}, {"iss": "https://them"}, True),
        ],
    )
    def test_a_token_must_be_for_us_and_from_the_issuer(self, endpoint, options, said, good):
        endpoint.say(**GOOD | said)
        expected = Answer.VERIFIED if good else Answer.WRONG_CREDENTIALS
        assert ask(make(endpoint.url, **options)).answer is expected

    def test_a_token_past_its_end_is_expired_whatever_the_issuer_says(self, endpoint, clock):
        for leeway in (0, 60):
            provider = make(endpoint.url, leeway=leeway)
            endpoint.say("over", **GOOD, exp=clock.now - leeway)
            assert isinstance(ask(provider, "over").error, ExpiredCredentialsError)
            expected = EXPECTED._replace(leeway=leeway)
            assert read_answer(endpoint.answers["over"], expected) == Refusal("a token that has expired", expired=True)
            endpoint.say("nearly", **GOOD, exp=clock.now - leeway + 1)
            assert ask(provider, "nearly").answer is Answer.VERIFIED

    def test_a_token_that_has_ended_by_our_clock_alone_is_asked_about_every_time(self, endpoint, clock):
        """The issuer's clock may be behind ours; it knows best when its token ends."""
        provider = make(endpoint.url)
        endpoint.say(**GOOD, exp=clock.now - 30)
        assert ask(provider).answer is Answer.VERIFIED
        endpoint.say(active=False)
        assert ask(provider).answer is Answer.WRONG_CREDENTIALS

    def test_a_token_of_the_last_day_of_the_year_9999_is_good(self, endpoint):
        endpoint.say(**GOOD, exp=253_402_300_799)
        assert ask(make(endpoint.url)).answer is Answer.VERIFIED

    def test_a_token_from_the_future_is_wrong_but_for_clocks_that_differ(self, endpoint, clock):
        endpoint.say("soon", **GOOD, nbf=clock.now + 59)
        endpoint.say("later", **GOOD, nbf=clock.now + 61)
        assert ask(make(endpoint.url), "soon").answer is Answer.VERIFIED
        assert ask(make(endpoint.url), "later").answer is Answer.WRONG_CREDENTIALS


class TestUsers:
    @pytest.mark.parametrize(
        ("claim", "said", "roles"),
        [
            (None, {"roles": ["admin"]}, set()),
            ("roles", {"roles": ["admin", "author"]}, {"admin", "author"}),
            ("roles", {}, set()),
            ("realm_access.roles", {"realm_access": {"roles": ["admin"]}}, {"admin"}),
            (lambda said: [f"group:{name}" for name in said["groups"]], {"groups": ["ops"]}, {"group:ops"}),
            (lambda said: [f"group:{name}" for name in said["groups"]], {}, None),
            ("roles", {"roles": {"admin": False}}, None),
            ("roles", {"roles": ["", None]}, set()),
            ("roles", {"roles": None}, set()),
            ("realm_access.roles", {"realm_access": None}, set()),
            ("roles", {"roles": [" "]}, None),
            ("realm_access.roles", {"realm_access": "admin"}, None),
        ],
    )
    def test_roles_are_in_the_claim_that_is_named(self, endpoint, claim, said, roles):
        endpoint.say(**GOOD | said)
        provider = make(endpoint.url, roles_claim=claim)
        if roles is None:
            assert ask(provider).answer is Answer.WRONG_CREDENTIALS
        else:
            assert ask(provider).identity.user.roles == roles
        store = SimpleUserstore([User("alice", roles=["reader"])])
        assert roles is None or ask(provider, userstore=store).identity.user.roles == {"reader"}

    def test_the_user_of_a_token_is_the_stores_own_and_is_looked_up_on_every_use(self, endpoint):
        provider = make(endpoint.url)
        assert ask(provider, userstore=SimpleUserstore([User("alice", roles=["admin"])])).identity.user.roles == {
            "admin"
        }
        assert ask(provider, userstore=SimpleUserstore([])).answer is Answer.WRONG_CREDENTIALS
        disabled = SimpleUserstore([User("alice", active=False)])
        assert ask(provider, userstore=disabled).answer is Answer.ACCOUNT_STATUS
        assert len(endpoint.asked) == 1

    def test_a_token_has_no_more_scopes_than_its_user(self, endpoint):
        store = SimpleUserstore([User("alice", attributes={"scopes": ["read", "delete"]})])
        assert ask(make(endpoint.url), userstore=store).identity.scopes == {"read"}

    def test_scopes_are_required_as_of_any_token(self, endpoint):
        class Who(Resource):
            @require(scopes="write")
            def get(self):
                return who()

            @require(scopes="delete")
            def post(self):
                return who()

        client = secured(Who, providers=[make(endpoint.url)], userstore=None)[0].test_client()
        assert client.get("/who", headers=bearer(TOKEN)).json == {"user": "alice", "provider": "introspection"}
        refused = client.post("/who", headers=bearer(TOKEN))
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


WRONG_TYPES = [
    {"username": 7},
    {"username": ["alice"]},
    {"username": {"name": "alice"}},
    {"sub": 7, "username": ...},
    {"scope": 7},
    {"scope": {"read": True}},
    {"scope": [7]},
    {"scope": [""]},
    {"scope": ["a b"]},
    {"scope": "read\nwrite"},
    {"scope": 'rea"d'},
    {"scope": "lesen\u00a0schreiben"},
    {"client_id": 7},
    {"jti": ["x"]},
    {"exp": "1795303971"},
    {"exp": True},
    {"exp": [1795303971]},
    {"exp": 10**30},
    {"exp": 10**400},
    {"exp": -1},
    {"nbf": "now"},
    {"token_type": 7},
    {"token_type": ["Bearer"]},
]

NO_OBJECTS = [
    b"",
    b"null",
    b"true",
    b"[]",
    b'"active"',
    b"{",
    b'{"active": true',
    b'{"active": tru}',
    b"{'active': true}",
    b"<html>sign in</html>",
    b"[" * 50_000,
    b'{"a":' * 9_000,
    b'{"active": false, "active": true, "token_type": "Bearer", "username": "alice"}',
    b'{"active": true, "token_type": "Bearer", "username": "bob", "username": "alice"}',
    b'{"active": true, "token_type": "Bearer", "username": "alice", "exp": NaN}',
    b'{"active": true, "token_type": "Bearer", "username": "alice", "exp": Infinity}',
    b'{"active": true, "token_type": "Bearer", "username": "alice", "exp": ' + b"9" * 5000 + b"}",
    b'{"active": true, "token_type": "Bearer", "username": "\xff"}',
    json.dumps(GOOD).encode("utf-16"),
    json.dumps(GOOD).encode("utf-32"),
]


class TestAnEndpointThatDoesNotAnswerTheQuestion:
    @pytest.mark.parametrize("said", WRONG_TYPES, ids=lambda said: repr(said)[:60])
    def test_a_claim_of_the_wrong_type_is_a_back_end_that_is_down(self, endpoint, said):
        endpoint.say(**GOOD | said)
        outcome = ask(make(endpoint.url))
        assert outcome.answer is Answer.BACKEND_DOWN, outcome.error

    def test_a_byte_order_mark_is_ignored(self, endpoint):
        endpoint.answers[TOKEN] = b"\xef\xbb\xbf" + json.dumps(GOOD).encode()
        assert ask(make(endpoint.url)).answer is Answer.VERIFIED

    @pytest.mark.parametrize("body", NO_OBJECTS, ids=lambda body: ascii(body[:40]))
    def test_what_is_no_json_object_is_one(self, endpoint, body):
        endpoint.answers[TOKEN] = body
        outcome = ask(make(endpoint.url))
        assert outcome.answer is Answer.BACKEND_DOWN, outcome.error

    @pytest.mark.parametrize("status", [201, 204, 301, 302, 400, 401, 403, 404, 429, 500, 503])
    def test_any_other_status_than_200_is_one(self, endpoint, status, caplog):
        endpoint.status = status
        client = secured(new_who(), providers=[make(endpoint.url)], userstore=None)[0].test_client()
        answer = client.get("/who", headers=bearer(TOKEN))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "WWW-Authenticate" not in answer.headers
        assert f"status {status}" in caplog.text
        assert "planted" not in caplog.text

    def test_a_longer_answer_than_allowed_is_one(self, endpoint):
        endpoint.say(**GOOD, padding="x" * 2000)
        assert ask(make(endpoint.url, max_answer_bytes=1000)).answer is Answer.BACKEND_DOWN
        assert ask(make(endpoint.url, max_answer_bytes=3000)).answer is Answer.VERIFIED

    def test_one_that_is_down_or_hangs_is_a_503_in_time_and_recovers(self, endpoint):
        provider = make(endpoint.url, timeout=0.3)
        endpoint.gate.clear()
        started = time.monotonic()
        assert ask(provider).answer is Answer.BACKEND_DOWN
        assert time.monotonic() - started < 2
        endpoint.gate.set()
        assert ask(provider).answer is Answer.VERIFIED
        with Endpoint().running() as url:
            pass
        assert ask(make(url)).answer is Answer.BACKEND_DOWN

    def test_http_is_refused_unless_allowed(self, endpoint):
        with pytest.raises(ConfigurationError, match="https"):
            make(endpoint.url, allow_http=False)

    def test_the_certificate_is_checked(self, tmp_path):
        (tmp_path / "ours").mkdir()
        (tmp_path / "other").mkdir()
        for name in ("ours", "other"):
            write_certificates(tmp_path / name, "127.0.0.1")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "ours" / "server.pem", tmp_path / "ours" / "server.key")
        endpoint = Endpoint()
        endpoint.say(**GOOD)
        with endpoint.running(tls) as url:
            assert url.startswith("https:")
            assert ask(make(url, allow_http=False)).answer is Answer.BACKEND_DOWN
            other = str(tmp_path / "other" / "ca.pem")
            assert ask(make(url, allow_http=False, ca_file=other)).answer is Answer.BACKEND_DOWN
            assert endpoint.asked == []
            ours = str(tmp_path / "ours" / "ca.pem")
            assert ask(make(url, allow_http=False, ca_file=ours)).answer is Answer.VERIFIED


class TestTokensThatTheIssuerIsNotAskedAbout:
    @pytest.mark.parametrize(
        "token",
        ["", "a b", "a,b", "tök", "a%20b", 'a"b', "a&token=x", "a;b", "=", "a=b", "a\x00", "a\n", "(x)", "A" * 8193],
        ids=lambda token: ascii(token)[:20],
    )
    def test_what_no_bearer_token_can_be(self, endpoint, token):
        assert ask(make(endpoint.url), token).answer is Answer.WRONG_CREDENTIALS
        assert endpoint.asked == []

    def test_jwts_and_tokens_of_our_own_unless_it_is_wanted(self, endpoint):
        """They would be shown to somebody whom they are not meant for; and some issuers refuse to answer."""
        jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
        tokens = [jwt, f"{jwt}.x.y", TokenAuthenticator(SECRET_KEY).generate_auth_token("alice")]
        for token in tokens:
            assert ask(make(endpoint.url), token).answer is Answer.WRONG_CREDENTIALS
        assert endpoint.asked == []
        endpoint.say(jwt, **GOOD)
        assert ask(make(endpoint.url, introspect_jwts=True), jwt).answer is Answer.VERIFIED

    def test_an_opaque_token_may_have_points_and_end_in_padding(self, endpoint):
        for token in ("a.b.c", "s3.ey.x/+~_-==", "ey", "A" * 8192):
            endpoint.say(token, **GOOD)
            assert ask(make(endpoint.url), token).answer is Answer.VERIFIED


class TestTheCache:
    def test_a_token_is_asked_about_once_a_minute(self, endpoint, clock):
        provider = make(endpoint.url)
        for _ in range(3):
            assert ask(provider).answer is Answer.VERIFIED
        move(clock, 59.9)
        assert ask(provider).answer is Answer.VERIFIED
        assert len(endpoint.asked) == 1
        move(clock, 0.2)
        assert ask(provider).answer is Answer.VERIFIED
        assert len(endpoint.asked) == 2

    def test_a_revoked_token_ends_within_cache_seconds(self, endpoint, clock):
        provider = make(endpoint.url, cache_seconds=5)
        assert ask(provider).answer is Answer.VERIFIED
        endpoint.say(active=False)
        move(clock, 5)
        assert ask(provider).answer is Answer.WRONG_CREDENTIALS
        assert ask(provider).answer is Answer.WRONG_CREDENTIALS
        assert len(endpoint.asked) == 2

    def test_without_a_cache_it_ends_at_once(self, endpoint):
        provider = make(endpoint.url, cache_seconds=0)
        assert ask(provider).answer is Answer.VERIFIED
        endpoint.say(active=False)
        assert ask(provider).answer is Answer.WRONG_CREDENTIALS

    def test_an_answer_is_as_old_as_its_question(self, endpoint, clock):
        """A token that is revoked while the answer is on its way would otherwise work longer than it may."""
        provider = make(endpoint.url, cache_seconds=5)
        endpoint.gate.clear()
        thread = threading.Thread(target=ask, args=(provider,))
        thread.start()
        wait_until(lambda: endpoint.asked)
        move(clock, 4)
        endpoint.gate.set()
        thread.join()
        move(clock, 1)
        ask(provider)
        assert len(endpoint.asked) == 2

    def test_nothing_is_believed_beyond_the_tokens_own_end(self, endpoint, clock):
        provider = make(endpoint.url)
        endpoint.say(**GOOD, exp=clock.now + 10)
        assert ask(provider).answer is Answer.VERIFIED
        move(clock, 9)
        assert ask(provider).answer is Answer.VERIFIED
        assert len(endpoint.asked) == 1
        move(clock, 1.1)
        endpoint.say(active=False)
        assert ask(provider).answer is Answer.WRONG_CREDENTIALS
        assert len(endpoint.asked) == 2

    def test_a_token_that_is_not_active_is_believed_to_be_so_for_a_shorter_time(self, endpoint, clock):
        provider = make(endpoint.url)
        for _ in range(3):
            assert ask(provider, "unknown").answer is Answer.WRONG_CREDENTIALS
        move(clock, 9.9)
        assert ask(provider, "unknown").answer is Answer.WRONG_CREDENTIALS
        assert len(endpoint.asked) == 1
        endpoint.say("unknown", **GOOD)
        move(clock, 0.2)
        assert ask(provider, "unknown").answer is Answer.VERIFIED

    def test_tokens_that_are_made_up_neither_fill_the_memory_nor_drive_out_the_good_ones(self, endpoint):
        provider = make(endpoint.url, cache_entries=20)
        assert ask(provider).answer is Answer.VERIFIED
        for number in range(100):
            assert ask(provider, f"made-up-{number}").answer is Answer.WRONG_CREDENTIALS
        assert len(provider._answers._refused) == 20
        asked = len(endpoint.asked)
        assert ask(provider).answer is Answer.VERIFIED
        assert len(endpoint.asked) == asked
        for number in range(100):
            endpoint.say(f"good-{number}", **GOOD)
            assert ask(provider, f"good-{number}").answer is Answer.VERIFIED
        assert len(provider._answers._good) == 20
        assert provider._answers._flights == {}

    def test_it_is_full_of_digests_that_differ_from_process_to_process(self, endpoint):
        first, second = make(endpoint.url), make(endpoint.url)
        for provider in (first, second):
            ask(provider)
            ask(provider, "made-up-planted")
        assert TOKEN not in repr(vars(first._answers))
        assert "planted" not in repr(vars(first._answers))
        assert not set(first._answers._good) & set(second._answers._good)

    def test_what_the_endpoint_failed_to_say_is_not_kept(self, endpoint):
        provider = make(endpoint.url)
        endpoint.status = 500
        assert ask(provider).answer is Answer.BACKEND_DOWN
        endpoint.status = 200
        assert ask(provider).answer is Answer.VERIFIED


def ask_in_threads(provider, tokens):
    """Ask about all tokens at once; return the threads and the list that the answers go to."""
    answers = []
    threads = [threading.Thread(target=lambda t=token: answers.append(ask(provider, t))) for token in tokens]
    for thread in threads:
        thread.start()
    return threads, answers


class TestManyAtOnce:
    def test_one_thread_asks_for_all(self, endpoint):
        provider = make(endpoint.url)
        endpoint.gate.clear()
        threads, answers = ask_in_threads(provider, [TOKEN] * 20)
        wait_until(lambda: endpoint.asked)
        time.sleep(0.05)
        endpoint.gate.set()
        for thread in threads:
            thread.join()
        assert [outcome.answer for outcome in answers] == [Answer.VERIFIED] * 20
        assert len(endpoint.asked) == 1

    def test_and_fails_for_all(self, endpoint):
        provider = make(endpoint.url)
        endpoint.gate.clear()
        endpoint.status = 500
        threads, answers = ask_in_threads(provider, [TOKEN] * 20)
        wait_until(lambda: endpoint.asked)
        time.sleep(0.2)
        endpoint.gate.set()
        for thread in threads:
            thread.join()
        assert {outcome.answer for outcome in answers} == {Answer.BACKEND_DOWN}
        assert {str(outcome.error).rpartition(": ")[2] for outcome in answers} == {"it answers with the status 500"}
        assert len(endpoint.asked) == 1
        endpoint.status = 200
        assert ask(provider).answer is Answer.VERIFIED

    def test_without_a_cache_nobody_waits_for_an_older_answer(self, endpoint):
        provider = make(endpoint.url, cache_seconds=0, negative_cache_seconds=0)
        endpoint.gate.clear()
        threads, answers = ask_in_threads(provider, [TOKEN] * 4)
        wait_until(lambda: len(endpoint.asked) == 4)
        endpoint.gate.set()
        for thread in threads:
            thread.join()
        assert len(answers) == 4

    def test_an_answer_that_was_overtaken_is_not_kept(self, clock):
        """It may be from before the token was revoked, and its thread, say, was held up."""
        cache = IntrospectionCache(5, 60, 10, patience=5)
        held_up, asked = threading.Event(), threading.Event()
        good = Introspected("alice", frozenset(), frozenset(), None, None, None, {})
        revoked = Refusal("revoked")

        def ask_slowly(known):
            asked.set()
            held_up.wait(10)
            return revoked

        slow = threading.Thread(target=cache.get, args=(b"key", ask_slowly))
        slow.start()
        asked.wait(10)
        move(clock, 6)
        assert cache.get(b"key", lambda known: good) == good
        held_up.set()
        slow.join()
        assert cache.get(b"key", lambda known: revoked) == good
        assert cache._flights == {}

    def test_a_thread_that_never_comes_back_is_not_waited_for_again(self, clock):
        cache = IntrospectionCache(60, 60, 10, patience=0.1)
        gone = threading.Event()
        lost = threading.Thread(target=cache.get, args=(b"key", lambda known: gone.wait(10) and Refusal("late")))
        lost.start()
        wait_until(lambda: cache._flights)
        with pytest.raises(BackendError):
            cache.get(b"key", lambda known: Refusal("not asked"))
        move(clock, 0.2)
        assert cache.get(b"key", lambda known: Refusal("asked")).reason == "asked"
        gone.set()
        lost.join()

    def test_tokens_that_are_made_up_do_not_flood_the_issuer(self, endpoint):
        provider = make(endpoint.url)
        endpoint.gate.clear()
        threads, answers = ask_in_threads(provider, [f"made-up-{number}" for number in range(40)])
        wait_until(lambda: endpoint.at_once == 6)
        time.sleep(0.1)
        assert endpoint.at_once == 6
        endpoint.gate.set()
        for thread in threads:
            thread.join()
        assert [outcome.answer for outcome in answers] == [Answer.WRONG_CREDENTIALS] * 40
        assert endpoint.most_at_once == 6

    def test_an_issuer_that_hangs_does_not_hang_every_thread(self, endpoint):
        """Each request would otherwise keep a worker for the whole timeout: a few clients could stop the API."""
        provider = make(endpoint.url, timeout=3)
        endpoint.gate.clear()
        assert ask(provider).answer is Answer.BACKEND_DOWN
        started = time.monotonic()
        threads, answers = ask_in_threads(provider, [f"some-{number}" for number in range(20)])
        wait_until(lambda: len(answers) >= 19)
        assert time.monotonic() - started < 2.9
        for thread in threads:
            thread.join()
        assert {outcome.answer for outcome in answers} == {Answer.BACKEND_DOWN}
        assert len(endpoint.asked) == 2
        endpoint.gate.set()
        assert ask(provider).answer is Answer.VERIFIED
        run_in_threads(lambda: ask(provider, f"other-{threading.get_ident()}"))

    def test_a_waiting_thread_gives_up_in_time(self, endpoint):
        provider = make(endpoint.url, timeout=0.2)
        endpoint.gate.clear()
        started = time.monotonic()
        threads, answers = ask_in_threads(provider, [TOKEN] * 5 + [f"x{number}" for number in range(20)])
        for thread in threads:
            thread.join()
        assert time.monotonic() - started < 3
        assert {outcome.answer for outcome in answers} == {Answer.BACKEND_DOWN}

    def test_a_bug_while_asking_keeps_nobody_waiting(self, endpoint, monkeypatch):
        provider = make(endpoint.url)
        monkeypatch.setattr(provider._endpoint, "ask", lambda token, known: 1 / 0)
        assert ask(provider).answer is Answer.BUG
        monkeypatch.undo()
        assert ask(provider).answer is Answer.VERIFIED


EXPECTED = Expected(("username", "sub"), None, None, True, "roles", 60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = ["active", "token_type", "typ", "token_use", "cnf", "iss", "aud", "exp", "nbf", "username", "sub", "jti"]
CLAIMS += ["client_id", "scope", "roles"]


@settings(max_examples=how_many(80, 400), deadline=None)
@given(said=st.dictionaries(st.sampled_from(CLAIMS), JSON))
def test_whatever_is_said_is_an_answer_a_refusal_or_a_back_end_that_is_down(said):
    for claims in (said, GOOD | said, GOOD | said | {"active": True}):
        try:
            answer = read_answer(json.dumps(claims).encode("utf-8", "surrogatepass"), EXPECTED)
        except BackendError:
            continue
        if isinstance(answer, Refusal):
            continue
        assert claims["active"] is True
        # What goes through can be made an identity: nothing the issuer says is a 500.
        user = User(answer.username, roles=answer.roles)
        ends_at = None if answer.ends_at is None else datetime.fromtimestamp(answer.ends_at, timezone.utc)
        Identity(user, scopes=answer.scopes, expires_at=ends_at)


@settings(max_examples=how_many(100, 500), deadline=None)
@given(body=st.binary(max_size=200))
def test_whatever_bytes_are_said_are_never_a_yes_and_never_a_bug(body):
    try:
        answer = read_answer(body, EXPECTED)
    except BackendError:
        return
    assert not isinstance(answer, Introspected)


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": None},
        {"url": ""},
        {"url": "issuer"},
        {"url": "ftp://issuer/x"},
        {"url": "https://user:planted-secret@issuer/x"},
        {"client_id": ""},
        {"client_id": None},
        {"client_id": "\ud800"},
        {"client_secret": ""},
        {"client_secret": None},
        {"client_secret": b"planted-secret"},
        {"client_secret": "planted-secret \ud800"},
        {"username_claim": ()},
        {"username_claim": ""},
        {"username_claim": None},
        {"username_claim": [7]},
        {"username_claim": {"username": "sub"}},
        {"audience": ""},
        {"audience": []},
        {"audience": [None]},
        {"audience": 7},
        {"issuer": ""},
        {"issuer": 7},
        {"roles_claim": ""},
        {"roles_claim": ["roles"]},
        {"leeway": 61},
        {"leeway": None},
        {"cache_seconds": 61},
        {"cache_seconds": -1},
        {"cache_seconds": True},
        {"cache_seconds": "60"},
        {"cache_seconds": float("nan")},
        {"negative_cache_seconds": 61},
        {"negative_cache_seconds": None},
        {"cache_entries": 0},
        {"cache_entries": 1.5},
        {"cache_entries": True},
        {"timeout": 0},
        {"timeout": None},
        {"timeout": float("inf")},
        {"timeout": True},
        {"max_answer_bytes": 0},
        {"max_answer_bytes": None},
        {"ca_file": "/nowhere/ca.pem"},
        {"allow_http": "false"},
        {"allow_http": None},
        {"require_token_type": "no"},
        {"introspect_jwts": 0},
        {"name": ""},
        {"name": "a\nb"},
    ],
    ids=lambda arguments: ascii(arguments)[:50],
)
def test_an_argument_that_cannot_be_is_told_at_once_and_no_secret_is_repeated(arguments):
    given = {"url": "https://issuer/introspect", "client_id": "api", "client_secret": SECRET, **arguments}
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionAuthenticator(given.pop("url"), **given)
    assert "planted" not in str(caught.value)
    assert caught.value.__context__ is None or "planted" not in repr(caught.value.__context__)
    assert next(iter(arguments)) in str(caught.value)


def test_its_secret_shows_nowhere(endpoint):
    provider = make(endpoint.url)
    ask(provider)
    encoded = base64.b64encode(f"api:{urllib.parse.quote_plus(SECRET)}".encode()).decode()
    for shown in (repr(provider), str(vars(provider))):
        assert SECRET not in shown
        assert encoded not in shown
        assert "planted" not in shown


def test_a_jwt_is_no_token_of_its_own_unless_the_issuer_is_asked_about_them():
    sent = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
    assert not make("http://localhost/").takes_bearer_token(sent)
    assert make("http://localhost/", introspect_jwts=True).takes_bearer_token(sent)
    assert make("http://localhost/").takes_bearer_token(TOKEN.encode())


class TestContract(AuthenticationProviderContract):
    SECRETS = (TOKEN, SECRET, "planted")

    @pytest.fixture(autouse=True)
    def _endpoint(self, endpoint):
        self.endpoint = endpoint

    def make_provider(self):
        return make(self.endpoint.url)

    def good_headers(self, provider):
        return bearer(TOKEN)

    def wrong_headers(self, provider):
        for token in ("x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), TOKEN + "=", f"{TOKEN},{TOKEN}"):
            yield bearer(token)
        yield {"Authorization": "Bearer"}
        yield {"Authorization": "bearer "}
        yield {"Authorization": b"Bearer \xff"}


class TestContractWithAUserstore(TestContract):
    def make_userstore(self):
        return SimpleUserstore([User("alice")])


def of(issuer, **options):
    options = {"client_id": API, "client_secret": API_SECRET, "audience": OPAQUE, "issuer": issuer.url, **options}
    return make(issuer.introspection_url, **options)


class TestARealIssuer:
    def test_a_person_is_known_by_an_opaque_token(self, issuer):
        outcome = ask(of(issuer), issuer.token(username="alice", scope="read write"))
        assert outcome.answer is Answer.VERIFIED, outcome.error
        assert outcome.identity.user == User("alice")
        assert outcome.identity.scopes == {"read", "write"}
        assert outcome.identity.app_name == CLIENT
        assert 600 < outcome.identity.expires_at.timestamp() - time.time() <= 660

    def test_a_machine_is_known_by_its_client_id_where_that_is_wanted(self, issuer):
        token = issuer.token()
        assert ask(of(issuer), token).answer is Answer.WRONG_CREDENTIALS
        outcome = ask(of(issuer, username_claim=("username", "client_id")), token)
        assert outcome.identity.user == User(CLIENT)
        assert outcome.identity.scopes == {"read"}

    def test_a_refresh_token_is_no_access_token(self, issuer):
        """This issuer says of one that it is active, whose it is, and not that it is a refresh token."""
        refresh = issuer.issue(username="alice")["refresh_token"]
        assert ask(of(issuer, audience=None), refresh).answer is Answer.WRONG_CREDENTIALS
        lax = of(issuer, audience=None, require_token_type=False)
        assert ask(lax, refresh).answer is Answer.VERIFIED, "this is what require_token_type is there for"

    def test_a_token_for_another_api_is_refused(self, issuer):
        token = issuer.token("urn:api:another", username="alice")
        assert ask(of(issuer), token).answer is Answer.WRONG_CREDENTIALS
        assert ask(of(issuer, audience="urn:api:another"), token).answer is Answer.VERIFIED

    def test_the_wrong_name_or_secret_of_our_own_is_a_503_and_said_in_the_log(self, issuer, caplog):
        wrong = of(issuer, client_secret="wrong-planted")
        client = secured(new_who(), providers=[wrong], userstore=None)[0].test_client()
        assert client.get("/who", headers=bearer(issuer.token(username="alice"))).status_code == 503
        assert "status 401" in caplog.text
        assert "planted" not in caplog.text

    def test_a_jwt_is_not_shown_to_it(self, issuer):
        """It answers such a question with a 400, which would be a 503 for whoever sends us one."""
        asked = issuer.introspections()
        assert ask(of(issuer), issuer.token("urn:api:RS256")).answer is Answer.WRONG_CREDENTIALS
        assert issuer.introspections() == asked

    def test_a_revoked_token_ends_within_cache_seconds(self, issuer):
        cached, uncached = of(issuer, cache_seconds=1), of(issuer, cache_seconds=0)
        token = issuer.token(username="alice")
        assert ask(cached, token).answer is Answer.VERIFIED
        assert ask(uncached, token).answer is Answer.VERIFIED
        issuer.revoke(token)
        assert ask(uncached, token).answer is Answer.WRONG_CREDENTIALS
        time.sleep(1.01)
        assert ask(cached, token).answer is Answer.WRONG_CREDENTIALS

    def test_an_api_asks_once_for_many_requests(self, issuer):
        client = secured(new_who(), providers=[of(issuer)], userstore=None)[0].test_client()
        token = issuer.token(username="alice")
        asked = issuer.introspections()
        for _ in range(20):
            assert client.get("/who", headers=bearer(token)).json == {"user": "alice", "provider": "introspection"}
            assert not current_identity
        assert issuer.introspections() == asked + 1

    def test_an_outage_is_a_503_but_for_what_is_known_and_it_recovers_by_itself(self, issuer):
        app, _, _ = secured(new_who(), providers=[of(issuer)], userstore=None)
        client = app.test_client()
        known, unknown = issuer.token(username="alice"), issuer.token(username="bob")
        assert client.get("/who", headers=bearer(known)).status_code == 200
        issuer.stop()
        try:
            assert client.get("/who", headers=bearer(known)).status_code == 200
            refused = client.get("/who", headers=bearer(unknown))
            assert refused.status_code == 503
            assert "WWW-Authenticate" not in refused.headers
        finally:
            issuer.start()
        assert client.get("/who", headers=bearer(unknown)).json["user"] == "bob"

    def test_one_that_hangs_is_a_503_in_time_and_it_recovers_by_itself(self, issuer):
        provider = of(issuer, timeout=0.5)
        token = issuer.token(username="alice")
        with issuer.frozen():
            started = time.monotonic()
            for _ in range(3):
                assert ask(provider, token).answer is Answer.BACKEND_DOWN
            assert time.monotonic() - started < 5
        assert ask(provider, token).answer is Answer.VERIFIED


class TestContractOfARealIssuer(AuthenticationProviderContract):
    SECRETS = (API_SECRET, "planted")

    @pytest.fixture(autouse=True)
    def _issuer(self, issuer):
        self.issuer = issuer
        self.token = issuer.token(username="alice")

    def make_provider(self):
        return of(self.issuer)

    def good_headers(self, provider):
        return bearer(self.token)

    def wrong_headers(self, provider):
        revoked = self.issuer.token(username="alice")
        self.issuer.revoke(revoked)
        for token in ("x", self.token[:-1], self.token.swapcase(), revoked, self.issuer.token(), "__proto__"):
            yield bearer(token)
