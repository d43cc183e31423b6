"""One connection to one LDAP server (RFC 4511), spoken by ldap3: encrypted, checked, and over in time.

TLS is Python's own, around ldap3's socket: ldap3 checks no certificate unless told to, and compares host names with a
function that Python has removed.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeVar

from ...errors import BackendError, MissingDependencyError
from .entries import BindAnswer, Entry, read_policy_error
from .servers import Server, UnreachableError

_T = TypeVar("_T")

_START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511, section 4.14
_PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
_PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105  # draft-behera-ldap-password-policy, section 6

#: Result codes of RFC 4511, appendix A.
SUCCESS, _SIZE_LIMIT_EXCEEDED, _BUSY, _UNAVAILABLE = 0, 4, 51, 52

#: How much of one answer is read, in bytes: the names and groups of a thousand users are about a megabyte.
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_PAGE_SIZE = 500


class _BoundedSocket:
    """Stand between ldap3 and a socket, and see to it that an answer comes in time, and ends.

    ldap3's own time-out starts again with every packet: a server that sends a byte a second would hold a thread for
    ever (CWE-400).
    """

    def __init__(self, stream: Any, deadline: float) -> None:
        self._stream = stream
        self.limit(deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def limit(self, deadline: float) -> None:
        self._deadline, self._left = deadline, _MAX_ANSWER_BYTES

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        self._arm()
        # Of a peer that has just gone, Python makes a socket without TLS, which would send everything as it is. Both
        # of these refuse it, the first without leaving a socket open.
        self._stream.getpeername()
        self._stream = context.wrap_socket(self._stream, server_hostname=host, do_handshake_on_connect=False)
        self._stream.do_handshake()

    def recv(self, size: int) -> bytes:
        self._arm()
        data: bytes = self._stream.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
        return data

    def sendall(self, credentials: bytes) -> None:
        self._arm()
        self._stream.sendall(credentials)

    def _arm(self) -> None:
        self._stream.settimeout(seconds_until(self._deadline))


class Session:
    """Hold one connection. It is bound once at most, and used by one thread.

    It is no local anywhere: a ``repr`` of ldap3's shows the password, and error trackers send those of all locals.

    :param server: where to
    :param address: the server's address, a number: ldap3 would look a name up outside of all time-outs
    :param deadline: when everything has to be over (``monotonic``)
    :param connect_seconds: how long this address is waited for
    :param tls: what is checked of the server's certificate
    """

    def __init__(
        self, server: Server, address: str, deadline: float, *, connect_seconds: float, tls: ssl.SSLContext
    ) -> None:
        self._ldap3 = ldap3 = import_ldap3()
        # A Server of ldap3 for each connection: it holds which address is open, and would do so for all threads alike.
        self._connection = ldap3.Connection(
            ldap3.Server(address, server.port, get_info=ldap3.NONE, connect_timeout=connect_seconds),
            auto_bind=ldap3.AUTO_BIND_NONE,
            # A referral would send the password to whatever server the answer names.
            auto_referrals=False,
            auto_escape=False,
            check_names=False,
            return_empty_attributes=False,
            receive_timeout=math.ceil(connect_seconds),
        )
        try:
            self._connection.open(read_server_info=False)
            # Otherwise the first request after a TLS handshake waits 40 ms for the server's delayed acknowledgement.
            self._connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = _BoundedSocket(self._connection.socket, deadline)
            self._connection.socket = self._stream
            if server.start_tls:
                self._connection.extended(_START_TLS)
                code, description = self._read_result("extendedResp")
                # Going on in the clear is what someone in the middle would like (CWE-757).
                if code != SUCCESS:
                    raise UnreachableError(f"StartTLS is answered with {description}")
            if server.encrypted:
                self._stream.encrypt(tls, server.host)
        except BaseException:
            self.close()
            raise

    def limit(self, deadline: float) -> None:
        """Wait for what is asked next until ``deadline`` (``monotonic``)."""
        self._stream.limit(deadline)

    def bind(self, dn: str, password: str) -> BindAnswer:
        """Return what the server says to this name and password."""
        # ldap3's bind would open a closed connection again, without TLS, and send the password in the clear.
        if self._connection.closed:
            raise UnreachableError("the connection is closed")
        self._connection.user, self._connection.authentication = dn, self._ldap3.SIMPLE
        # As bytes it is sent as it is. Of a string ldap3 leaves characters out: "\u00adx" would be the password "x".
        self._connection.password = password.encode()
        self._connection.bind(read_server_info=False, controls=[(_PASSWORD_POLICY, False, None)])
        code, _ = self._read_result("bindResponse")
        result = self._connection.result
        policy = (result.get("controls") or {}).get(_PASSWORD_POLICY)
        return BindAnswer(code, result["message"], read_policy_error(policy["value"] if policy else None))

    def search(
        self, base: str, search_filter: str, attributes: list[str], *, size_limit: int = 0, cookie: bytes | None = None
    ) -> tuple[list[Entry], bytes]:
        """Return entries; and the cookie of the next page, where one is asked for, or nothing after the last.

        :param cookie: empty for the first page; ``None`` for no pages
        """
        self._connection.search(
            base,
            search_filter,
            dereference_aliases=self._ldap3.DEREF_NEVER,
            attributes=attributes,
            size_limit=size_limit,
            paged_size=None if cookie is None else _PAGE_SIZE,
            paged_cookie=cookie or None,
        )
        code, description = self._read_result("searchResDone")
        if code != SUCCESS and not (code == _SIZE_LIMIT_EXCEEDED and size_limit):
            raise BackendError(f"a search in {base!r} is answered with {description}")
        control = (self._connection.result.get("controls") or {}).get(_PAGED_RESULTS)
        found = [_read_entry(each) for each in self._connection.response if each["type"] == "searchResEntry"]
        return found, control["value"]["cookie"] if control else b""

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        stream = self._connection.socket
        if stream is not None:
            with contextlib.suppress(Exception):
                self._connection.unbind()
            stream.close()

    def _read_result(self, expected: str) -> tuple[int, str]:
        """Return code and description of the answer. An answer to another question is none, nor is "later"."""
        result = self._connection.result
        if result["type"] != expected:
            raise UnreachableError(f"a {result['type']} in place of a {expected}")
        code, description = int(result["result"]), str(result["description"])
        if code in (_BUSY, _UNAVAILABLE):
            raise UnreachableError(f"it says {description}")
        return code, description


def in_session(server: Server, deadline: float, tls: ssl.SSLContext, work: Callable[[Session], _T]) -> _T:
    """Return what ``work`` returns, with a connection of its own.

    :raises UnreachableError: whatever the network, TLS or the server has done
    :raises BackendError: what ``work`` raises
    """
    try:
        with contextlib.closing(_open(server, deadline, tls)) as session:
            return work(session)
    except (UnreachableError, BackendError):
        raise
    except Exception as error:  # ldap3 takes an answer apart unchecked: bytes of a broken one raise anything
        problem = _describe(error)
    raise UnreachableError(problem)


def _open(server: Server, deadline: float, tls: ssl.SSLContext) -> Session:
    found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))[:4]
    while True:
        address = addresses.pop(0)
        # An address that swallows packets leaves time for the next one.
        seconds = seconds_until(deadline) / (len(addresses) + 1)
        try:
            return Session(server, address, deadline, connect_seconds=seconds, tls=tls)
        except Exception:
            if not addresses:
                raise


def seconds_until(deadline: float) -> float:
    """Return how long it is until ``deadline``.

    :raises TimeoutError: it is over
    """
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError("no answer in time")
    return seconds


def import_ldap3() -> Any:
    """Return the library.

    :raises MissingDependencyError: it is not installed
    """
    try:
        import ldap3  # type: ignore[import-untyped]
    except ImportError:
        raise MissingDependencyError("LDAPUserstore", "ldap") from None
    return ldap3


def _read_entry(answered: Mapping[str, Any]) -> Entry:
    attributes = {name.lower(): list(values or ()) for name, values in answered["raw_attributes"].items()}
    return Entry(bytes(answered["raw_dn"]).decode("utf-8"), attributes)


def _describe(error: Exception) -> str:
    """Return what happened. Errors of the network and of TLS say it; others might quote what was being sent."""
    said = str(error) if isinstance(error, (OSError, import_ldap3().core.exceptions.LDAPCommunicationError)) else ""
    text = f"{type(error).__name__}: {said}"[:300]
    return "".join(c if c.isprintable() else "?" for c in text)
