import contextlib
import socket
import ssl
import threading
import time

import pytest
from helpers import how_many, show
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.scripted_http import make_certificate, raw_server, scripted_server, server_tls
from servers.slapd import LDAP3_WARNINGS

from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.protocols.http import stream as http_stream
from flask_securest.protocols.http.fetch import FetchOptions, fetch, require_timeout
from flask_securest.protocols.http.tls import make_tls_context
from flask_securest.protocols.http.urls import require_url
from flask_securest.userstores.ldap import LDAPUserstore

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server():
    with scripted_server() as started:
        yield started


def get(url, **options):
    given = {"timeout": 5, "allow_http": True, **options}
    asked = {name: given.pop(name) for name in ("data", "headers") if name in given}
    return fetch(url, max_bytes=given.pop("max_bytes", 1000), options=FetchOptions(**given), **asked).body


def answered(raw, **options):
    """Return what is fetched from a server that sends these bytes, and then ends."""

    def converse(connection):
        connection.recv(65536)
        connection.sendall(raw)

    with raw_server(converse) as port:
        return get(f"http://127.0.0.1:{port}/", **options)


def refused(url, **options):
    with pytest.raises(BackendError) as caught:
        get(url, **options)
    assert caught.value.__context__ is None, "the context would quote what was sent"
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_get_returns_the_body(server):
    server.answers["/x?a=b"] = (200, {"Cache-Control": "max-age=60"}, b"hello")
    fetched = fetch(f"{server.url}/x?a=b", FetchOptions(5, allow_http=True), max_bytes=100)
    assert (fetched.body, fetched.headers["cache-control"]) == (b"hello", "max-age=60")
    method, path, headers, body = server.requests[0]
    assert (method, path, body) == ("GET", "/x?a=b", b"")
    assert headers["Host"] == server.url.removeprefix("http://")
    assert headers["Accept-Encoding"] == "identity"


def test_data_are_posted_with_the_headers_that_are_given(server):
    server.answers["/"] = (200, {}, b"ok")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic c3Zj"}
    assert get(server.url, data=b"token=x", headers=headers) == b"ok"
    method, path, sent, body = server.requests[0]
    assert (method, path, body) == ("POST", "/", b"token=x")
    assert headers.items() <= sent.items()


def test_a_host_is_looked_up_by_name(server):
    server.answers["/"] = (200, {}, b"ok")
    assert get(server.url.replace("127.0.0.1", "localhost")) == b"ok"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 400, 401, 404, 429, 500, 503])
def test_every_other_status_is_an_error_and_no_redirect_is_followed(server, status):
    server.answers["/"] = (status, {"Location": "/elsewhere"}, b"")
    server.answers["/elsewhere"] = (200, {}, b"stolen")
    assert f"status {status}" in refused(server.url)
    assert server.counts == {"/": 1}


def test_an_answer_of_just_the_size_is_taken_and_one_byte_more_is_not(server):
    server.answers["/"] = (200, {}, b"x" * 1000)
    assert len(get(server.url)) == 1000
    server.answers["/"] = (200, {}, b"x" * 1001)
    assert "more than 1000 bytes" in refused(server.url)


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Content-Length: 99999999999999\r\n\r\n" + b"x" * 2000,
        HEAD + b"\r\n" + b"x" * 300_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFF\r\n" + b"x" * 300_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000,
        HEAD + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60_000) for i in range(50)) + b"\r\n",
        HEAD + b"X: " + b"y" * 300_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
    ],
    ids=["length", "endless", "chunk", "chunks", "headers", "header", "continue"],
)
def test_an_answer_that_is_too_long_is_an_error_wherever_it_is(raw):
    with pytest.raises(BackendError):
        answered(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"garbage",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        HEAD + b"Content-Length: 10\r\n\r\nshort",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        HEAD + b"Content-Encoding: gzip\r\n\r\nhello",
        b"\xff" * 100,
    ],
    ids=show,
)
def test_an_answer_that_is_broken_or_cut_is_an_error(raw):
    with pytest.raises(BackendError):
        answered(raw)


@settings(max_examples=how_many(30, 60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([b"", HEAD, HEAD + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"]), st.binary(max_size=200)
)
def test_whatever_comes_is_a_body_or_a_backend_error(start, rest):
    with contextlib.suppress(BackendError):
        assert isinstance(answered(start + rest), bytes)


def drip(*, before=b"", piece=b"x"):
    def converse(connection):
        if before:
            connection.recv(65536)
            connection.sendall(before)
        while True:
            time.sleep(0.05)
            connection.sendall(piece)

    return converse


def hang(connection):
    time.sleep(5)


@pytest.mark.parametrize(
    "converse",
    [
        hang,
        drip(),
        drip(before=b"HTTP/1.1 200 O"),
        drip(before=HEAD + b"X: "),
        drip(before=HEAD + b"\r\n"),
        drip(before=HEAD + b"Content-Length: 900\r\n\r\n"),
        drip(before=HEAD + b"Transfer-Encoding: chunked\r\n\r\n", piece=b"1\r\nx\r\n"),
        drip(before=b"HTTP/1.1 100 Continue\r\n\r\n", piece=b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "any", "status", "header", "body", "length", "chunks", "continue"],
)
def test_a_slow_drip_ends_in_time(converse):
    """The time-out of a socket, which starts again with every byte, would let it go on for a minute."""
    with raw_server(converse) as port:
        started = time.monotonic()
        assert "TimeoutError" in refused(f"http://127.0.0.1:{port}/", timeout=0.4)
        assert time.monotonic() - started < 4.5


@pytest.mark.parametrize(
    "converse",
    [hang, drip(piece=b"\x16"), drip(before=b"\x16\x03\x03\x40\x00", piece=b"\x00")],
    ids=["silence", "drip", "record"],
)
def test_a_tls_handshake_that_does_not_end_ends_in_time(converse):
    with raw_server(converse) as port:
        started = time.monotonic()
        refused(f"https://127.0.0.1:{port}/", timeout=0.4)
        assert time.monotonic() - started < 4.5


def test_a_server_that_does_not_read_what_is_sent_is_left_in_time():
    with raw_server(hang) as port:
        started = time.monotonic()
        refused(f"http://127.0.0.1:{port}/", timeout=0.4, data=b"x" * 20_000_000)
        assert time.monotonic() - started < 4.5


def test_a_server_that_reads_what_is_sent_slowly_is_left_in_time(tmp_path):
    certificate = make_certificate(tmp_path, "127.0.0.1")

    def read_slowly(connection):
        with server_tls(tmp_path).wrap_socket(connection, server_side=True) as encrypted:
            while encrypted.recv(65536):
                time.sleep(0.05)

    with raw_server(read_slowly) as port:
        started = time.monotonic()
        refused(f"https://127.0.0.1:{port}/", timeout=0.6, data=b"x" * 20_000_000, ca_file=str(certificate))
        assert time.monotonic() - started < 4.5


def test_a_name_server_that_does_not_answer_is_left_in_time_and_holds_few_threads(monkeypatch):
    asked, answer = [], threading.Event()

    def hanging(host, *arguments, **options):
        asked.append(host)
        answer.wait(20)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(http_stream._LOOKUPS, "slots", threading.BoundedSemaphore(3))
    try:
        for _ in range(5):
            started = time.monotonic()
            refused("https://slow.example/", timeout=0.2)
            assert time.monotonic() - started < 10
        assert len(asked) == 3
    finally:
        answer.set()


def test_a_server_that_is_not_there_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "ConnectionRefusedError" in refused(f"http://127.0.0.1:{port}/")
    assert "gaierror" in refused("https://nowhere.invalid/")


def test_another_address_of_the_host_is_tried(server, monkeypatch):
    server.answers["/"] = (200, {}, b"ok")
    port = int(server.url.rpartition(":")[2])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.1{i}", port)) for i in (1, 2, "")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found[:1] + found[2:])
    assert get(f"http://two.example:{port}/") == b"ok"


def test_an_address_that_swallows_packets_leaves_time_for_the_next_one(server, monkeypatch):
    server.answers["/"] = (200, {}, b"ok")
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):  # nobody accepts them, and the queue is full
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        ports = [full.getsockname()[1], int(server.url.rpartition(":")[2])]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
        started = time.monotonic()
        assert get("http://two.example/", timeout=1) == b"ok"
        assert time.monotonic() - started > 0.4, "the first one has answered"


def test_a_certificate_is_checked(tmp_path):
    certificate = make_certificate(tmp_path, "127.0.0.1")
    with scripted_server(server_tls(tmp_path)) as server:
        server.answers["/"] = (200, {}, b"ok")
        assert get(server.url, ca_file=str(certificate), allow_http=False) == b"ok"
        assert get(server.url, ca_file=certificate, allow_http=False) == b"ok"
        assert "CERTIFICATE_VERIFY_FAILED" in refused(server.url)
        assert "CERTIFICATE_VERIFY_FAILED" in refused(
            server.url.replace("127.0.0.1", "localhost"), ca_file=str(certificate)
        )


def test_a_certificate_that_is_over_is_refused(tmp_path):
    certificate = make_certificate(tmp_path, "127.0.0.1", days=-1)
    with scripted_server(server_tls(tmp_path)) as server:
        assert "expired" in refused(server.url, ca_file=str(certificate))


def test_a_server_that_speaks_no_tls_is_an_error(server):
    assert "SSL" in refused(server.url.replace("http:", "https:"))


URLS = ["", "x", "/path", "ftp://host/", "file:///etc/passwd", "https://", "https:///path", "https://a b/"]
URLS += ["https://host/\r\nX: y", "https://host/\n", " https://host/", "https://user:pw@host/", "https://host/#part"]
URLS += [
    "https://host:99999/",
    "https://host:0/",
    "https://host:x/",
    "https://[::1/",
    "https://hôst/",
    "https://host/ä",
]
URLS += ["gopher://host/", "HTTP", "http:host", "https://host/\x00", "https://host/\x7f", "javascript:alert(1)"]


@pytest.mark.parametrize("url", URLS, ids=show)
def test_what_is_no_url_to_ask_is_refused_before_anybody_is_asked(url):
    with pytest.raises(ConfigurationError, match="jwks_url cannot be"):
        require_url(url, "jwks_url", allow_http=True)
    refused(url)


def test_http_is_refused_unless_it_is_allowed(server):
    server.answers["/"] = (200, {}, b"ok")
    assert "it must be https" in refused(server.url, allow_http=False)
    assert server.requests == []
    with pytest.raises(ConfigurationError, match="must be https"):
        require_url("http://host/", "jwks_url")
    for url in ("https://host", "https://host:8443/path?query", "https://[::1]/", "HTTPS://host/"):
        assert require_url(url, "jwks_url") == url


@pytest.mark.parametrize("url", [None, 7, b"https://host/", ["https://host/"]], ids=show)
def test_a_url_that_is_no_string_is_told(url):
    with pytest.raises(ConfigurationError, match="must be a string, not of type"):
        require_url(url, "jwks_url")


@pytest.mark.parametrize("timeout", [0, -1, 121, True, None, "5", float("nan"), float("inf")], ids=show)
def test_a_timeout_that_cannot_be_is_told(timeout):
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds above 0"):
        require_timeout(timeout)
    assert require_timeout(0.5) == 0.5


def test_a_ca_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    for ca_file in (str(tmp_path / "missing.pem"), tmp_path / "empty.pem", tmp_path, "a\x00b", 7, ["x"]):
        with pytest.raises(ConfigurationError, match="ca_file"):
            make_tls_context(ca_file)
        assert "ca_file" in refused("https://127.0.0.1:1/", ca_file=ca_file)


def test_a_tls_context_checks_everything():
    context = make_tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@LDAP3_WARNINGS
@pytest.mark.parametrize(
    ("configured", "least"),
    [("MINIMUM_SUPPORTED", "TLSv1_2"), ("TLSv1_2", "TLSv1_2"), ("TLSv1_3", "TLSv1_3")],
)
def test_tls_is_1_2_or_newer_whatever_openssl_is_configured_for(tmp_path, monkeypatch, configured, least):
    """Debian's Python leaves it to OpenSSL's configuration; of others, two ends could be talked down to TLS 1.0."""
    certificate = make_certificate(tmp_path, "127.0.0.1")
    make = ssl.create_default_context

    def make_as_configured(**options):
        context = make(**options)
        context.minimum_version = ssl.TLSVersion[configured]
        return context

    monkeypatch.setattr(ssl, "create_default_context", make_as_configured)
    users = LDAPUserstore("ldaps://localhost", base_dn="dc=test", ca_file=str(certificate))
    for context in (make_tls_context(certificate), users._directory._make_tls_context()):
        assert context.minimum_version is ssl.TLSVersion[least]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_no_secret_is_in_an_error(server):
    planted = "planted-5e1f"
    secrets = {"headers": {"Authorization": f"Basic {planted}\n"}, "data": planted.encode()}
    assert planted not in refused(f"{server.url}/?secret={planted}", **secrets)
    assert planted not in refused(f"http://user:{planted}@127.0.0.1/", **secrets)
    assert planted not in refused(f"{server.url}/", headers={"X": planted}, data=planted.encode())
    assert planted not in refused(server.url, headers={f"{planted} :": "x"})
    assert planted not in refused(server.url, headers={"X": f"{planted} \u20ac"})


def test_what_a_server_says_forges_no_line_of_a_log(server):
    server.answers["/"] = (404, {}, b"\nforged")
    for text in (refused(server.url), refused("https://host/\nforged")):
        assert "\n" not in text


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1/")
    server.answers["/"] = (200, {}, b"ok")
    assert get(server.url) == b"ok"


def test_no_thread_and_no_socket_is_left_behind(server):
    server.answers["/"] = (200, {}, b"ok")
    before = threading.active_count()
    for _ in range(20):
        get(server.url.replace("127.0.0.1", "localhost"))
    time.sleep(0.2)
    assert threading.active_count() <= before + 1
