"""The way out of a network that lets nothing out but through a proxy: CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ...errors import ConfigurationError
from .stream import BoundedSocket, FetchError

# What a proxy says before the connection is there. More is none of its business.
_MOST_HEAD_BYTES = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")


@dataclass(frozen=True)
class Proxy:
    """Hold where a proxy is, and how this API is called there.

    :param host: its name or address
    :param port: its port
    :param authorization: what ``Proxy-Authorization`` is; ``None`` for none
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def connect(self, stream: BoundedSocket, host: str, port: int) -> None:
        """Ask the proxy for a connection. After it, what is read and written is the other server's.

        :param stream: the connection to the proxy
        :param host: whom to connect to
        :param port: at which port
        :raises FetchError: the proxy does not want to, or talks nonsense
        """
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        status = _STATUS.match(_read_head(stream))
        if status is None:
            raise FetchError("the proxy answers with what is no HTTP")
        if not status[1].startswith(b"2"):
            raise FetchError(f"the proxy answers with the status {status[1].decode('ascii')}")


def _read_head(stream: BoundedSocket) -> bytes:
    """Return what stands before the first empty line, and read no byte further: what follows is TLS."""
    head, piece = bytearray(), bytearray(1)
    while not head.endswith((b"\r\n\r\n", b"\n\n")):
        if not stream.readinto(piece):
            raise FetchError("the proxy has closed the connection")
        head += piece
        if len(head) > _MOST_HEAD_BYTES:
            raise FetchError("the answer of the proxy is too long")
    return bytes(head)


def require_proxy(proxy: object) -> Proxy | None:
    """Return the proxy that an argument names.

    :param proxy: for example ``"http://user:password@proxy.example:3128"``; ``None`` for none
    :raises ConfigurationError: it is none; the message does not show the password
    """
    if proxy is None:
        return None
    if not isinstance(proxy, str):
        raise ConfigurationError(f"proxy must be a string, not of type {type(proxy).__name__}")
    found = None
    try:
        parts = urlsplit(proxy)
        whole = parts.scheme == "http" and parts.path in ("", "/") and not parts.query and not parts.fragment
        if whole and parts.hostname and parts.port and proxy.isascii() and proxy.isprintable() and " " not in proxy:
            found = Proxy(parts.hostname, parts.port, _encode_user(parts.username, parts.password))
    except ValueError:
        pass
    if found is None:
        # Outside of the except block, and without the value: it may have a password.
        raise ConfigurationError('proxy must be written like "http://user:password@proxy.example:3128", with a port')
    return found


def _encode_user(username: str | None, password: str | None) -> str | None:
    if username is None:
        return None
    secret = f"{unquote(username)}:{unquote(password or '')}"
    return "Basic " + b64encode(secret.encode()).decode("ascii")
