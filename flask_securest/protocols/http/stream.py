"""One connection to an HTTP server, within limits: so much time in all, and so many bytes.

The time-outs of sockets start again with every packet: a server that sends a byte a second, in its TLS handshake, its
headers or its body, would hold a thread for ever (CWE-400).
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import socket
import ssl
import threading
from time import monotonic
from typing import Any

from ...support.forks import SharedByThreads

# How many addresses of one host are tried.
_MAX_ADDRESSES = 4

# Looking a name up cannot be interrupted: while the name server does not answer, these many threads wait for it, and
# no more (CWE-400).
_MOST_LOOKUPS = 16


class _Lookups(SharedByThreads):
    """Count the threads that look a name up."""

    def begin_anew(self) -> None:
        """Count from none: those of a parent process are not here."""
        self.slots = threading.BoundedSemaphore(_MOST_LOOKUPS)


_LOOKUPS = _Lookups()


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
        self._reader: io.BufferedReader | None = None

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
        """Return what ``http.client`` reads from: the same for each answer, of which there may be several (1xx)."""
        if self._reader is None:
            self._reader = io.BufferedReader(self)
        return self._reader

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


def _look_up(host: str, port: int, deadline: float) -> list[tuple[int, Any]]:
    """Return family and address of a host, in time: by another thread, for nothing else can be left waiting."""

    def look_up() -> list[tuple[int, Any]]:
        return [(each[0], each[4]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]

    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return look_up()  # nobody is asked for a number
    lookups = _LOOKUPS.slots
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
