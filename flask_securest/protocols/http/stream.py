"""One connection to an HTTP server, within limits: so much time in all, and so many bytes.

The time-outs of sockets start again with every packet: a server that sends a byte a second, in its TLS handshake, its
headers or its body, would hold a thread for ever (CWE-400).
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Hashable
from functools import lru_cache
from time import monotonic
from typing import Any, cast

from ...errors import ConfigurationError

# How many addresses of one host are tried.
_MAX_ADDRESSES = 4

# Looking a name up cannot be interrupted: while the name server does not answer, these many threads wait for it, and
# no more (CWE-400).
_LOOKUPS = threading.BoundedSemaphore(16)


class FetchError(Exception):
    """Say what went wrong, in our own words. It never leaves :mod:`flask_securest.protocols.http.fetch`."""


class BoundedSocket(io.RawIOBase):
    """Stand between ``http.client`` and a socket, and see to it that everything is over in time, and ends.

    :param stream: the socket
    :param deadline: when everything has to be over (``monotonic``)
    :param most: how many bytes may be read
    """

    def __init__(self, stream: socket.socket, deadline: float, most: int) -> None:
        self._stream = stream
        self._deadline = deadline
        self._left = most

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS around the socket.

        :param context: what is checked of the server's certificate
        :param host: whose certificate it must be
        """
        self._arm()
        encrypted = context.wrap_socket(self._stream, server_hostname=host, do_handshake_on_connect=False)
        self._stream = encrypted
        encrypted.do_handshake()

    def readable(self) -> bool:
        """Return that it can be read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, and return how much."""
        self._arm()
        count = self._stream.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise FetchError("the answer is too long")
        return count

    def sendall(self, credentials: bytes) -> None:
        """Send what has credentials in it: of all of it, unlike of reading, the socket's time-out is the limit."""
        self._arm()
        self._stream.sendall(credentials)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what ``http.client`` reads from."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Close the socket."""
        super().close()
        self._stream.close()

    def _arm(self) -> None:
        self._stream.settimeout(_seconds_until(self._deadline))


def open_stream(host: str, port: int, tls: ssl.SSLContext | None, deadline: float, most: int) -> BoundedSocket:
    """Return a connection.

    :param host: a name or an address
    :param port: the port
    :param tls: what is checked of the server's certificate; ``None`` to go without TLS
    :param deadline: when everything has to be over (``monotonic``)
    :param most: how many bytes may be read
    :raises OSError: there is none to be had, or none in time
    :raises FetchError: the name cannot be looked up in time
    """
    addresses = _look_up(host, port, deadline)[:_MAX_ADDRESSES]
    while True:
        family, address = addresses.pop(0)
        stream = socket.socket(family, socket.SOCK_STREAM)
        bounded = BoundedSocket(stream, deadline, most)
        try:
            # An address that swallows packets leaves time for the next one.
            stream.settimeout(_seconds_until(deadline) / (len(addresses) + 1))
            stream.connect(address)
            # Otherwise a request in two packets waits 40 ms for the delayed acknowledgement of the first.
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                bounded.encrypt(tls, host)
        except BaseException as error:
            bounded.close()
            if not addresses or not isinstance(error, OSError):
                raise
        else:
            return bounded


def make_tls_context(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Return what is checked of a server's certificate: that an authority has issued it, for this host, for today.

    Whoever answers without one could make up keys, and would be told passwords (CWE-295, CWE-297).

    :param ca_file: a PEM file with the authorities, which is read once; ``None`` for the system's
    :raises ConfigurationError: it cannot be read
    """
    if ca_file is not None and not isinstance(ca_file, (str, os.PathLike)):
        raise ConfigurationError(f"ca_file must be the path of a PEM file, not of type {type(ca_file).__name__}")
    try:
        return _make_tls_context(ca_file if ca_file is None else os.fspath(ca_file))
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"ca_file: {ca_file!r} cannot be read as certificates in PEM: {problem}") from None


@lru_cache(maxsize=16)  # the system's authorities take 20 ms to read
def _make_tls_context(ca_file: Hashable) -> ssl.SSLContext:
    context = new_tls_context(cast(str | None, ca_file))
    context.set_alpn_protocols(["http/1.1"])
    return context


def new_tls_context(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Return a new context of a client, which asks for a certificate, and for TLS 1.2 or newer.

    :param ca_file: a PEM file with the authorities; ``None`` for the system's
    :raises OSError: it cannot be read
    """
    context = ssl.create_default_context(cafile=ca_file)
    # Python leaves the least version to OpenSSL's configuration, which may name none: whoever stands in between could
    # then talk both ends down to TLS 1.0, whose records can be read (CWE-757; RFC 8996). What asks for more stays.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


def _look_up(host: str, port: int, deadline: float) -> list[tuple[int, Any]]:
    """Return family and address of a host, in time: by another thread, for nothing else can be left waiting."""

    def look_up() -> list[tuple[int, Any]]:
        return [(each[0], each[4]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return look_up()  # nobody is asked for a number
    lookups = _LOOKUPS
    if not lookups.acquire(timeout=_seconds_until(deadline)):
        raise FetchError("too many names are being looked up already")
    found: list[tuple[int, Any]] = []
    problems: list[Exception] = []

    def run() -> None:
        try:
            found.extend(look_up())
        except Exception as error:  # an OSError, or a UnicodeError for what is no name
            problems.append(error)
        finally:
            lookups.release()

    thread = threading.Thread(target=run, name="flask_securest name look-up", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there can be no more threads
        lookups.release()
        raise
    thread.join(_seconds_until(deadline))
    if problems:
        raise problems[0]
    if not found:
        raise FetchError("its name cannot be looked up in time")
    return found


def _seconds_until(deadline: float) -> float:
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError("no answer in time")
    return seconds
