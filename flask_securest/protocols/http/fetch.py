"""Ask another server over HTTP, within limits: so much time in all, so many bytes, and nowhere else than asked.

``urllib`` limits the time of each *read* only, and follows redirects to wherever the answer says.
"""

from __future__ import annotations

import codecs
import contextlib
import http.client
import os
import ssl
import zlib
from collections.abc import Mapping
from email.message import Message
from time import monotonic
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult

from ...errors import BackendError, ConfigurationError
from ...support.checks import require_bool
from .proxy import Proxy
from .stream import BoundedSocket, FetchError, open_stream
from .tls import ClientCertificate, make_tls_context
from .urls import name_url, port_of, split_url

#: The longest time that may be given for one answer, in seconds.
MAX_TIMEOUT_SECONDS = 120

# For the status line and the headers, besides the body.
_MAX_HEAD_BYTES = 64 * 1024

# How many answers may come before the one that counts.
_MOST_INTERIM = 10

# What servers write that have encoded nothing: a charset, for example, is no encoding.
_NO_ENCODINGS = ("", "identity", "utf-8", "utf8")

_HEADERS = {"User-Agent": "flask_securest", "Accept": "application/json", "Connection": "close"}


class Fetched(NamedTuple):
    """Hold an answer of status 200."""

    body: bytes
    headers: Message


class FetchOptions(NamedTuple):
    """Hold how another server is asked.

    :param timeout: how long it may take in all, in seconds: from looking up the name to the last byte
    :param allow_http: go without TLS where the URL says so
    :param ca_file: a PEM file with the authorities that issue the server's certificate; ``None`` for the system's
    :param client_certificate: our own certificate, for a server that asks for one; ``None`` for none
    :param proxy: a proxy that leads there; ``None`` for none. Those of the environment are never used.
    """

    timeout: float
    allow_http: bool = False
    ca_file: str | os.PathLike[str] | None = None
    client_certificate: ClientCertificate | None = None
    proxy: Proxy | None = None

    def check(self) -> None:
        """Raise for options that cannot be.

        :raises ConfigurationError: says which
        """
        require_timeout(self.timeout)
        require_bool(self.allow_http, "allow_http")
        make_tls_context(self.ca_file, self.client_certificate)  # a file that cannot be read is told at once


def fetch(
    url: str,
    options: FetchOptions,
    *,
    max_bytes: int,
    data: bytes | None = None,
    headers: Mapping[str, str] = {},
) -> Fetched:
    """Return what ``url`` answers. Redirects are not followed.

    :param url: where to; ``https`` only, unless the options allow ``http``
    :param options: how
    :param max_bytes: how long the body may be
    :param data: what is sent, by POST; ``None`` for a GET
    :param headers: what is sent besides
    :raises BackendError: anything else than a complete answer of status 200. Its message says what happened, and
        repeats nothing of what was sent or received.
    """
    secret, authorization = data, headers
    del data, headers  # error trackers send them by these names, and scrub them by those
    deadline = monotonic() + options.timeout
    problem = None
    try:
        parts = split_url(url, allow_http=options.allow_http)
        tls = make_tls_context(options.ca_file, options.client_certificate) if parts.scheme == "https" else None
        with contextlib.closing(_open(parts, tls, options.proxy, deadline, max_bytes)) as stream:
            return _ask(stream, parts, options.proxy, secret, authorization, max_bytes)
    except (FetchError, ConfigurationError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    except Exception as error:
        # Without its text: those of http.client quote the header or the line that they do not like, and a header may
        # be the password of this API.
        problem = type(error).__name__
    # Outside of the except block: the error's context would quote the same, and keep the request's data in memory.
    raise BackendError(_printable(f"{name_url(url)}: {problem}"))


def require_timeout(timeout: object, what: str = "timeout") -> float:
    """Return ``timeout`` if it is a number of seconds that :func:`fetch` takes.

    :param timeout: the argument
    :param what: how the error calls it
    :raises ConfigurationError: it is none
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        raise ConfigurationError(
            f"{what} must be a number of seconds above 0, at most {MAX_TIMEOUT_SECONDS}; it is {timeout!r}"
        )
    return timeout


def _ask(
    stream: BoundedSocket,
    parts: SplitResult,
    proxy: Proxy | None,
    secret: bytes | None,
    authorization: Mapping[str, str],
    max_bytes: int,
) -> Fetched:
    connection = http.client.HTTPConnection(cast(str, parts.hostname), port_of(parts))
    connection.default_port = 443 if parts.scheme == "https" else 80  # for the Host header
    connection.sock = cast(Any, stream)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authorization = {**_HEADERS, **authorization}
    if proxy is not None and parts.scheme == "http":
        # Without TLS the proxy is told the whole URL (RFC 9112, section 3.2.2).
        path = f"http://{parts.netloc}{path}"
        if proxy.authorization is not None:
            authorization["Proxy-Authorization"] = proxy.authorization
    connection.request("GET" if secret is None else "POST", path, secret, authorization)
    with contextlib.ExitStack() as opened:
        for _ in range(_MOST_INTERIM):
            # Not by connection.getresponse(), which closes what is still to be read where the server is to close it.
            response: Any = http.client.HTTPResponse(cast(Any, stream), method="GET" if secret is None else "POST")
            opened.enter_context(contextlib.closing(response))
            response.begin()
            # An answer that says that another one will come, such as 103 (RFC 9110, section 15.2). After 101 it would
            # come in another protocol.
            if not 100 <= response.status < 200 or response.status == 101:
                break
            response.fp = None  # what follows is the next one's to read
        if response.status != 200:
            raise FetchError(f"it answers with the status {response.status}")
        body = _read_body(response, max_bytes)
        decoded = _decode(body, response.headers.get("Content-Encoding", ""), max_bytes)
        # A byte order mark before JSON may be ignored (RFC 8259, section 8.1).
        return Fetched(decoded.removeprefix(codecs.BOM_UTF8), response.headers)


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    body = bytearray()
    # In pieces, and never as much as the answer says of itself: http.client would make room for it first.
    while piece := response.read(16_384):
        body += piece
        if len(body) > max_bytes:
            raise FetchError(f"the answer has more than {max_bytes} bytes")
    if response.length:
        raise FetchError("the answer has ended too early")
    return bytes(body)


def _decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its encoding. None was asked for; but a bucket of files serves what lies there.

    :raises FetchError: it cannot be decoded, or is too long then
    """
    if encoding.strip().lower() in _NO_ENCODINGS:
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise FetchError("it answers in an encoding that nobody has asked for")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        # One byte more than there may be, and no more: 1 MB of zeros is 1 KB that was packed (CWE-409).
        unpacked = unpacking.decompress(body, max_bytes + 1)
    except zlib.error:
        raise FetchError("it says that its answer is in gzip, and it is not") from None
    if len(unpacked) > max_bytes:
        raise FetchError(f"the answer has more than {max_bytes} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise FetchError("the answer has ended too early, or goes on behind its end")
    return unpacked


def _open(
    parts: SplitResult, tls: ssl.SSLContext | None, proxy: Proxy | None, deadline: float, max_bytes: int
) -> BoundedSocket:
    host, port, most = cast(str, parts.hostname), port_of(parts), max_bytes + _MAX_HEAD_BYTES
    if proxy is None:
        return open_stream(host, port, tls, deadline, most)
    stream = open_stream(proxy.host, proxy.port, None, deadline, most)
    try:
        if tls is not None:
            proxy.connect(stream, host, port)
            # End to end, with the certificate of the server that was asked for: the proxy reads and changes nothing.
            stream.encrypt(tls, host)
    except BaseException:
        stream.close()
        raise
    return stream


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:500]
