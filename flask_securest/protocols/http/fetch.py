"""Ask another server over HTTP, within limits: so much time in all, so many bytes, and nowhere else than asked.

``urllib`` limits the time of each *read* only, and follows redirects to wherever the answer says.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
from collections.abc import Mapping
from email.message import Message
from time import monotonic
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from ...errors import BackendError, ConfigurationError
from .stream import BoundedSocket, FetchError, make_tls_context, open_stream

#: The longest time that may be given for one answer, in seconds.
MAX_TIMEOUT_SECONDS = 120

# For the status line and the headers, besides the body.
_MAX_HEAD_BYTES = 64 * 1024

_HEADERS = {"User-Agent": "flask_securest", "Accept": "application/json", "Connection": "close"}


class Fetched(NamedTuple):
    """Hold an answer of status 200."""

    body: bytes
    headers: Message


def fetch(
    url: str,
    *,
    timeout: float,
    max_bytes: int,
    data: bytes | None = None,
    headers: Mapping[str, str] = {},
    allow_http: bool = False,
    ca_file: str | os.PathLike[str] | None = None,
) -> bytes:
    """Return the body of what ``url`` answers.

    Redirects are not followed, and proxies of the environment are not used.

    :param url: where to; ``https`` only, unless ``allow_http``
    :param timeout: how long it may take in all, in seconds: from looking up the name to the last byte
    :param max_bytes: how long the body may be
    :param data: what is sent, by POST; ``None`` for a GET
    :param headers: what is sent besides
    :param allow_http: go without TLS where the URL says so
    :param ca_file: a PEM file with the authorities that issue the server's certificate; ``None`` for the system's
    :raises BackendError: anything else than a complete answer of status 200. Its message says what happened, and
        repeats nothing of what was sent or received.
    """
    secret, authorization = data, headers
    del data, headers  # error trackers send them by these names, and scrub them by those
    return fetch_with_headers(
        url,
        timeout=timeout,
        max_bytes=max_bytes,
        data=secret,
        headers=authorization,
        allow_http=allow_http,
        ca_file=ca_file,
    ).body


def fetch_with_headers(
    url: str,
    *,
    timeout: float,
    max_bytes: int,
    data: bytes | None = None,
    headers: Mapping[str, str] = {},
    allow_http: bool = False,
    ca_file: str | os.PathLike[str] | None = None,
) -> Fetched:
    """Return what ``url`` answers, with its headers. Arguments and errors are those of :func:`fetch`."""
    secret, authorization = data, headers
    del data, headers  # as above
    deadline = monotonic() + timeout
    problem = None
    try:
        parts = _split(url, allow_http=allow_http)
        tls = make_tls_context(ca_file) if parts.scheme == "https" else None
        with contextlib.closing(_open(parts, tls, deadline, max_bytes)) as stream:
            return _ask(stream, parts, secret, authorization, max_bytes)
    except (FetchError, ConfigurationError) as error:
        problem = str(error)
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    except Exception as error:
        # Without its text: those of http.client quote the header or the line that they do not like, and a header may
        # be the password of this API.
        problem = type(error).__name__
    # Outside of the except block: the error's context would quote the same, and keep the request's data in memory.
    raise BackendError(_printable(f"{_name_of(url)}: {problem}"))


def require_url(url: object, what: str, *, allow_http: bool = False) -> str:
    """Return ``url`` if :func:`fetch` can ask it.

    :param url: the argument
    :param what: how the error calls it
    :param allow_http: whether it may do without TLS
    :raises ConfigurationError: it cannot
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{what} must be a string, not of type {type(url).__name__}")
    try:
        _split(url, allow_http=allow_http)
    except FetchError as error:
        raise ConfigurationError(f"{what} cannot be {_name_of(url)!r}: {error}") from None
    return url


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
    stream: BoundedSocket, parts: SplitResult, secret: bytes | None, authorization: Mapping[str, str], max_bytes: int
) -> Fetched:
    connection = http.client.HTTPConnection(cast(str, parts.hostname), parts.port or _default_port(parts))
    connection.default_port = _default_port(parts)  # for the Host header
    connection.sock = cast(Any, stream)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    method = "GET" if secret is None else "POST"
    connection.request(method, path, secret, {**_HEADERS, **authorization})
    # Not by connection.getresponse(), which closes what is still to be read where the server is to close it.
    with contextlib.closing(http.client.HTTPResponse(cast(Any, stream), method=method)) as response:
        response.begin()
        if response.status != 200:
            raise FetchError(f"it answers with the status {response.status}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchError("it answers in an encoding that nobody has asked for")
        return Fetched(_read_body(response, max_bytes), response.headers)


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


def _split(url: str, *, allow_http: bool) -> SplitResult:
    """Return the parts of a URL.

    :raises FetchError: it is none, or one that must not be asked
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchError("it is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or port == 0:
        raise FetchError("it is no URL")
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or "#" in url:
        raise FetchError("it must be written https://host/path, without a user and a fragment")
    if parts.scheme == "http" and not allow_http:
        raise FetchError("it must be https: whoever listens could change the answer")
    return parts


def _open(parts: SplitResult, tls: ssl.SSLContext | None, deadline: float, max_bytes: int) -> BoundedSocket:
    port = parts.port or _default_port(parts)
    return open_stream(cast(str, parts.hostname), port, tls, deadline, max_bytes + _MAX_HEAD_BYTES)


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _name_of(url: object) -> str:
    """Return a URL without its query and user, which may be secret."""
    return str(url).partition("?")[0].rpartition("@")[2][:200]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:500]
