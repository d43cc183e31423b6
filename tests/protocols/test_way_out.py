"""The way out to issuers: odd servers, proxies, who this API says it is, files that change, processes that are forked."""

import base64
import gzip
import json
import os
import shutil
import ssl
import threading
import time
import zlib

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from helpers import SECRET_KEY, bearer, wait_until
from jwt_tokens import AUDIENCE, ISSUER, jwk, jwks, new_key, token
from servers.issuer import POSTING, SIGNING
from servers.process import free_port
from servers.scripted_http import make_certificate, raw_server, scripted_server, server_tls
from servers.tinyproxy import PASSWORD, USER, running_tinyproxy

from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.protocols.http.fetch import FetchOptions, fetch
from flask_securest.protocols.http.proxy import require_proxy
from flask_securest.protocols.http.tls import make_tls_context
from flask_securest.testing import make_request
from flask_securest.tokenstores import SimpleTokenstore

RSA = new_key("RSA")
KEYS = json.dumps(jwks(jwk(RSA, kid="one"))).encode()


def provider_for(url, **options):
    given = {"algorithms": ["RS256"], "issuer": ISSUER, "audience": AUDIENCE, "allow_http": True, "timeout": 5}
    return JWTAuthenticator(jwks_url=url, **{**given, **options})


def answer_to(provider, sent=None):
    request = make_request(bearer(token() if sent is None else sent))
    return Chain([("under-test", provider)], None).authenticate(request).answer


# Servers as they are


def accepts_jwk_sets(script):
    accepted = script.requests[-1][2].get("Accept", "*/*")
    return (200, {}, KEYS) if "application/jwk-set+json" in accepted else (406, {}, b"")


ODD = {
    "plain": ({}, KEYS),
    "a byte order mark": ({}, b"\xef\xbb\xbf" + KEYS),
    "an empty encoding": ({"Content-Encoding": ""}, KEYS),
    "an encoding that is a charset": ({"Content-Encoding": "UTF-8"}, KEYS),
    "identity": ({"Content-Encoding": "Identity"}, KEYS),
    "gzip that nobody asked for": ({"Content-Encoding": "gzip"}, gzip.compress(KEYS)),
    "gzip by its old name": ({"Content-Encoding": "X-GZIP"}, gzip.compress(KEYS)),
    "gzip of a byte order mark": ({"Content-Encoding": "gzip"}, gzip.compress(b"\xef\xbb\xbf" + KEYS)),
}


@pytest.mark.parametrize(("headers", "body"), ODD.values(), ids=list(ODD))
def test_an_odd_server_is_understood(headers, body):
    with scripted_server() as server:
        server.answers["/jwks"] = (200, headers, body)
        assert answer_to(provider_for(f"{server.url}/jwks")) is Answer.VERIFIED


def test_a_server_that_wants_sets_of_keys_to_be_accepted_gets_its_way():
    with scripted_server() as server:
        server.answers["/jwks"] = lambda: accepts_jwk_sets(server)
        assert answer_to(provider_for(f"{server.url}/jwks")) is Answer.VERIFIED


def test_discovery_may_be_as_odd():
    with scripted_server() as server:
        document = json.dumps({"issuer": server.url, "jwks_uri": f"{server.url}/jwks", "more": None}).encode()
        packed = gzip.compress(b"\xef\xbb\xbf" + document)
        server.answers["/.well-known/openid-configuration"] = (200, {"Content-Encoding": "gzip"}, packed)
        server.answers["/jwks"] = lambda: accepts_jwk_sets(server)
        options = {"issuer": server.url, "jwks_url": None, "discovery": True}
        given = {"algorithms": ["RS256"], "audience": AUDIENCE, "allow_http": True, **options}
        assert answer_to(JWTAuthenticator(**given), token(iss=server.url)) is Answer.VERIFIED


BAD = {
    "deflate": ({"Content-Encoding": "deflate"}, zlib.compress(KEYS)),
    "brotli": ({"Content-Encoding": "br"}, KEYS),
    "gzip twice": ({"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(KEYS))),
    "gzip that is none": ({"Content-Encoding": "gzip"}, KEYS),
    "gzip that has been cut": ({"Content-Encoding": "gzip"}, gzip.compress(KEYS)[:-9]),
    "gzip that goes on": ({"Content-Encoding": "gzip"}, gzip.compress(KEYS) + b"x"),
    "a bomb": ({"Content-Encoding": "gzip"}, gzip.compress(b" " * 20_000_000, 9)),
    "a small bomb": ({"Content-Encoding": "gzip"}, gzip.compress(KEYS + b" " * 1_000_000)),
}


@pytest.mark.parametrize(("headers", "body"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_decoded_is_an_outage(headers, body):
    with scripted_server() as server:
        server.answers["/jwks"] = (200, headers, body)
        assert answer_to(provider_for(f"{server.url}/jwks")) is Answer.BACKEND_DOWN


def answering(*parts):
    def converse(connection):
        connection.recv(65_536)
        connection.sendall(b"".join(parts))

    return raw_server(converse)


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(KEYS), KEYS)
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        (EARLY, Answer.VERIFIED),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY * 3 + b"HTTP/1.1 102 Processing\r\n\r\n", Answer.VERIFIED),
        (EARLY * 9, Answer.VERIFIED),
        (EARLY * 10, Answer.BACKEND_DOWN),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Answer.BACKEND_DOWN),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer.BACKEND_DOWN),
    ],
)
def test_answers_that_announce_another_one_are_passed_over(before, answer):
    with answering(before, GOOD) as port:
        assert answer_to(provider_for(f"http://127.0.0.1:{port}/jwks")) is answer


# Proxies


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory):
    with running_tinyproxy(tmp_path_factory.mktemp("tinyproxy")) as (port, log):
        yield port, log


def proxy_url(port, password=PASSWORD):
    return f"http://{USER}:{password}@127.0.0.1:{port}"


@pytest.fixture
def secure(tmp_path):
    """A server with TLS, and its certificate."""
    certificate = make_certificate(tmp_path, "127.0.0.1", "localhost")
    with scripted_server(server_tls(tmp_path)) as server:
        server.answers["/jwks"] = (200, {}, KEYS)
        yield server, certificate


def test_through_a_real_proxy_tls_goes_end_to_end(tinyproxy, secure):
    (port, log), (server, certificate) = tinyproxy, secure
    server.answers["/seen-by-nobody"] = (200, {}, KEYS)
    provider = provider_for(f"{server.url}/seen-by-nobody", proxy=proxy_url(port), ca_file=certificate)
    assert answer_to(provider) is Answer.VERIFIED
    said = log.read_text()
    assert f"CONNECT {server.url.removeprefix('https://')} " in said
    assert "/seen-by-nobody" not in said  # it has seen whom, and not what


def test_without_tls_the_proxy_is_told_the_url(tinyproxy):
    port, log = tinyproxy
    with scripted_server() as server:
        server.answers["/jwks"] = (200, {}, KEYS)
        assert answer_to(provider_for(f"{server.url}/jwks", proxy=proxy_url(port))) is Answer.VERIFIED
        assert "Proxy-Authorization" not in server.requests[-1][2]
        assert f"GET {server.url}/jwks" in log.read_text()


def test_an_introspection_endpoint_is_asked_through_it(tinyproxy, secure):
    (port, _), (server, certificate) = tinyproxy, secure
    server.answer_json("/introspect", {"active": True, "token_type": "Bearer", "username": "alice"})
    provider = IntrospectionAuthenticator(
        f"{server.url}/introspect", client_id="a", client_secret="b", proxy=proxy_url(port), ca_file=certificate
    )
    assert answer_to(provider, "opaque") is Answer.VERIFIED


def test_a_certificate_is_checked_through_a_proxy_as_without(tinyproxy, secure, tmp_path):
    (port, _), (server, _) = tinyproxy, secure
    assert answer_to(provider_for(f"{server.url}/jwks", proxy=proxy_url(port))) is Answer.BACKEND_DOWN
    assert server.counts == {}


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_proxy_that_wants_another_password_is_an_outage(tinyproxy, secure, password, caplog):
    (port, _), (server, certificate) = tinyproxy, secure
    provider = provider_for(f"{server.url}/jwks", proxy=proxy_url(port, password), ca_file=certificate)
    assert answer_to(provider) is Answer.BACKEND_DOWN
    assert "the proxy answers with the status 40" in caplog.text
    assert server.counts == {}


@pytest.mark.parametrize("allow_http", [False, True])
def test_nobody_is_asked_past_the_proxy(secure, allow_http):
    server, certificate = secure
    provider = provider_for(f"{server.url}/jwks", proxy=f"http://127.0.0.1:{free_port()}", ca_file=certificate)
    assert answer_to(provider) is Answer.BACKEND_DOWN
    assert server.counts == {}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + GOOD,
    ],
    ids=lambda said: repr(said[:40]),
)
def test_whatever_a_proxy_says_it_is_an_outage_and_never_keys(said, caplog):
    def converse(connection):
        connection.recv(65_536)
        connection.sendall(said)

    with raw_server(converse) as port:
        options = {"proxy": f"http://planted-user:planted-password@127.0.0.1:{port}", "timeout": 5}
        assert answer_to(provider_for("https://issuer.example/jwks", **options)) is Answer.BACKEND_DOWN
    assert "planted" not in caplog.text


def test_a_proxy_that_says_nothing_is_left_in_time():
    ended = threading.Event()

    def converse(connection):
        ended.wait(30)

    started = time.monotonic()
    with raw_server(converse) as port:
        options = FetchOptions(0.5, proxy=require_proxy(f"http://127.0.0.1:{port}"))
        with pytest.raises(BackendError, match="timed out"):
            fetch("https://issuer.example/", options, max_bytes=100)
        ended.set()
    assert time.monotonic() - started < 20


def test_proxies_of_the_environment_are_not_used(secure, monkeypatch):
    server, certificate = secure
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert answer_to(provider_for(f"{server.url}/jwks", ca_file=certificate)) is Answer.VERIFIED


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy.example:3128",
        "http://proxy.example",
        "http://:3128",
        "https://proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://planted:planted@proxy.example:0",
        "http://planted:planted@proxy.example:99999",
        "http://planted:planted@proxy.example:3128/path",
        "http://planted:planted@proxy.example:3128?x",
        "http://planted:planted@pr oxy.example:3128",
        "http://planted:planted@proxy.example\r\nX: y:3128",
        "http://planted:plantéd@proxy.example:3128",
        7,
        b"http://proxy.example:3128",
    ],
)
def test_what_is_no_proxy_is_told_at_once_and_no_password_is_repeated(proxy):
    with pytest.raises(ConfigurationError, match="proxy must be") as caught:
        provider_for("https://issuer.example/jwks", proxy=proxy)
    assert "planted" not in str(caught.value)


def test_its_password_shows_nowhere():
    proxy = require_proxy("http://planted:planted@proxy.example:3128")
    assert "planted" not in repr(proxy)
    for written, meant in (("planted:planted", b"planted:planted"), ("a%40b:%25%3A%20", b"a@b:%: "), ("a", b"a:")):
        proxy = require_proxy(f"http://{written}@proxy.example:3128")
        assert proxy.authorization == "Basic " + base64.b64encode(meant).decode()
    provider = provider_for("https://issuer.example/jwks", proxy="http://planted:planted@proxy.example:3128")
    assert "planted" not in repr(vars(provider))


# Who this API says it is


def pem_of(key):
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


WAYS = {
    "client_secret_post": {**POSTING, "client_auth": "client_secret_post"},
    "private_key_jwt": {"client_id": SIGNING, "client_key": True, "client_key_id": "of-the-api"},
    "private_key_jwt, for the issuer": {"client_id": SIGNING, "client_key": True, "client_assertion_audience": True},
}


@pytest.mark.parametrize("options", WAYS.values(), ids=list(WAYS))
def test_a_real_issuer_knows_the_api(issuer, options):
    if "client_key" in options:
        options = {**options, "client_key": pem_of(new_key("P-256", SIGNING))}
    if "client_assertion_audience" in options:
        options = {**options, "client_assertion_audience": issuer.url}
    url, sent = issuer.introspection_url, issuer.issue()["access_token"]
    provider = IntrospectionAuthenticator(url, allow_http=True, username_claim="client_id", cache_seconds=0, **options)
    for _ in range(2):  # each question is signed anew: a token for it is good once
        assert answer_to(provider, sent) is Answer.VERIFIED
    wrong = {"client_secret": "wrong"} if "client_secret" in options else {"client_key": pem_of(new_key("P-256", 7))}
    provider = IntrospectionAuthenticator(url, allow_http=True, **{**options, **wrong})
    assert answer_to(provider, sent) is Answer.BACKEND_DOWN


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "P-521", "Ed25519"])
def test_what_is_signed_is_as_rfc_7523_says(kind):
    key = new_key(kind)
    with scripted_server() as server:
        server.answer_json("/introspect", {"active": True, "token_type": "Bearer", "username": "alice"})
        url = f"{server.url}/introspect"
        provider = IntrospectionAuthenticator(
            url, client_id="api", client_key=pem_of(key), client_key_id="k1", allow_http=True, cache_seconds=0
        )
        for _ in range(2):
            assert answer_to(provider, "opaque") is Answer.VERIFIED
        from urllib.parse import parse_qs

        forms = [parse_qs(request[3].decode()) for request in server.requests]
    for form in forms:
        assert form["client_id"] == ["api"]
        assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
        (sent,) = form["client_assertion"]
        algorithms = ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
        said = jwt.decode(sent, key.public_key(), algorithms, audience=url, issuer="api")
        assert (said["sub"], said["exp"] - said["iat"]) == ("api", 60)
        assert jwt.get_unverified_header(sent)["kid"] == "k1"
    assert len({form["client_assertion"][0] for form in forms}) == 2
    assert all("Authorization" not in request[2] for request in server.requests)


def test_a_certificate_says_who_asks(tmp_path):
    server_file = make_certificate(tmp_path, "127.0.0.1")
    (tmp_path / "client").mkdir()
    client_file = make_certificate(tmp_path / "client", "api")
    context = server_tls(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client_file)
    with scripted_server(context) as server:
        server.answer_json("/introspect", {"active": True, "token_type": "Bearer", "username": "alice"})
        server.answers["/jwks"] = (200, {}, KEYS)
        pair = (client_file, tmp_path / "client" / "server.key")
        options = {"ca_file": server_file, "client_certificate": pair}
        provider = IntrospectionAuthenticator(f"{server.url}/introspect", client_id="api", **options)
        assert answer_to(provider, "opaque") is Answer.VERIFIED
        assert server.requests[-1][3] == b"token=opaque&token_type_hint=access_token&client_id=api"
        assert answer_to(provider_for(f"{server.url}/jwks", **options)) is Answer.VERIFIED
        assert answer_to(provider_for(f"{server.url}/jwks", ca_file=server_file)) is Answer.BACKEND_DOWN


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "needs client_secret"),
        ({"client_auth": "none"}, "client_auth must be one of"),
        ({"client_auth": "private_key_jwt"}, "needs client_key"),
        ({"client_auth": "tls_client_auth"}, "needs client_certificate"),
        ({"client_auth": "client_secret_post"}, "needs client_secret"),
        ({"client_secret": "planted", "client_key": "planted"}, "client_secret is not for"),
        (
            {"client_secret": "planted", "client_auth": "private_key_jwt", "client_key": "planted"},
            "client_secret is not",
        ),
        ({"client_secret": "planted", "client_key_id": "k"}, "need client_key"),
        ({"client_secret": "planted", "client_assertion_audience": "k"}, "need client_key"),
        ({"client_secret": ""}, "client_secret must be a string, not empty"),
        ({"client_secret": "planted\ud800"}, "half a surrogate pair"),
        ({"client_key": "planted"}, "client_key must be a private key"),
        ({"client_key": 7}, "client_key must be a private key"),
        ({"client_key": "-----BEGIN PRIVATE KEY-----\nplanted\n"}, "client_key must be a private key"),
        ({"client_secret": "planted", "client_certificate": "/nonexistent"}, "cannot be read"),
        ({"client_secret": "planted", "client_certificate": 7}, "client_certificate must be the path"),
        ({"client_secret": "planted", "client_certificate": (None, "x")}, "client_certificate must be the path"),
        ({"client_secret": "planted", "client_certificate": ("a", "b", "c")}, "client_certificate must be the path"),
    ],
)
def test_what_does_not_go_together_is_told_at_once_and_no_secret_is_repeated(options, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        IntrospectionAuthenticator("https://issuer.example/", client_id="api", **options)
    assert "planted" not in str(caught.value)


def test_no_secret_shows_anywhere():
    for options in ({"client_secret": "planted"}, {"client_secret": "planted", "client_auth": "client_secret_post"}):
        provider = IntrospectionAuthenticator("https://issuer.example/", client_id="api", **options)
        assert "planted" not in repr(vars(provider)) + repr(vars(provider._endpoint))


# Files that change


def test_authorities_are_read_again_when_their_file_changes(tmp_path, caplog):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        make_certificate(tmp_path / name, "127.0.0.1")
    trusted = tmp_path / "authorities.pem"
    shutil.copy(tmp_path / "one" / "server.pem", trusted)
    with scripted_server(server_tls(tmp_path / "two")) as server:
        server.answers["/jwks"] = (200, {}, KEYS)
        options = FetchOptions(5, ca_file=trusted)
        with pytest.raises(BackendError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(f"{server.url}/jwks", options, max_bytes=10_000)
        shutil.copy(tmp_path / "two" / "server.pem", tmp_path / "new.pem")
        (tmp_path / "new.pem").replace(trusted)
        for _ in range(2):
            assert fetch(f"{server.url}/jwks", options, max_bytes=10_000).body == KEYS
        trusted.write_text("half a file")  # as while it is being written
        for _ in range(2):
            assert fetch(f"{server.url}/jwks", options, max_bytes=10_000).body == KEYS
        assert caplog.text.count("what was read before goes on being used") == 1
        trusted.unlink()
        assert fetch(f"{server.url}/jwks", options, max_bytes=10_000).body == KEYS


def test_as_long_as_they_do_not_they_are_read_once(tmp_path):
    certificate = make_certificate(tmp_path, "127.0.0.1")
    assert make_tls_context(certificate) is make_tls_context(str(certificate))
    assert make_tls_context(None) is make_tls_context(None)


# Processes that are forked


def test_a_child_that_is_forked_while_its_parent_fetches_keys_does_not_wait_for_it():
    with scripted_server() as server:
        gate = threading.Event()
        first = iter([True])

        def answer():
            if next(first, False):
                gate.wait(60)
            return 200, {}, KEYS

        server.answers["/jwks"] = answer
        provider = provider_for(f"{server.url}/jwks", timeout=60)
        (keys,) = provider._keys.values()
        thread = threading.Thread(target=answer_to, args=[provider])
        thread.start()
        wait_until(lambda: server.counts["/jwks"] == 1)
        sent = token()
        with keys._lock:  # as if another thread were just looking
            pid = os.fork()
        if pid == 0:
            answered = Answer.BUG
            try:
                answered = answer_to(provider, sent)
            finally:
                os._exit(0 if answered is Answer.VERIFIED else 1)
        started = time.monotonic()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert time.monotonic() - started < 55  # it did not wait for a fetch of 60 seconds that never lands
        gate.set()
        thread.join()


# Strangers


def test_a_flood_of_strangers_keeps_out_nobody_who_was_known_before():
    with scripted_server() as server:
        held, gate = threading.Semaphore(0), threading.Event()

        def answer():
            _, _, _, body = server.requests[-1]
            if b"token=made-up" in body:
                held.release()
                gate.wait(60)
                return 200, {}, b'{"active": false}'
            return 200, {}, json.dumps({"active": True, "token_type": "Bearer", "username": "alice"}).encode()

        server.answers["/introspect"] = answer
        provider = IntrospectionAuthenticator(
            f"{server.url}/introspect", client_id="a", client_secret="b", allow_http=True, timeout=60, cache_seconds=0
        )
        assert answer_to(provider, "opaque") is Answer.VERIFIED
        flood = [threading.Thread(target=answer_to, args=[provider, f"made-up-{each}"]) for each in range(40)]
        for thread in flood:
            thread.start()
        for _ in range(6):
            assert held.acquire(timeout=60)
        assert answer_to(provider, "opaque") is Answer.VERIFIED
        assert not held.acquire(timeout=0.1)  # of the strangers, no seventh is asked about meanwhile
        gate.set()
        for thread in flood:
            thread.join()


@pytest.mark.parametrize("introspect_jwts", [False, True])
def test_tokens_of_our_own_are_shown_to_no_foreign_endpoint(introspect_jwts):
    own = TokenAuthenticator(SECRET_KEY, store=SimpleTokenstore())
    issued = own.issue_tokens("alice")
    with scripted_server() as server:
        server.answer_json("/introspect", {"active": True, "token_type": "Bearer", "username": "mallory"})
        provider = IntrospectionAuthenticator(
            f"{server.url}/introspect",
            client_id="a",
            client_secret="b",
            allow_http=True,
            introspect_jwts=introspect_jwts,
        )
        for sent in (issued.access_token, issued.refresh_token):
            assert answer_to(provider, sent) is Answer.WRONG_CREDENTIALS
            assert not provider.takes_bearer_token(sent.encode())
        assert server.counts == {}
        assert (answer_to(provider, token()) is Answer.VERIFIED) is introspect_jwts
