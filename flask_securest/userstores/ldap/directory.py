"""The servers of one LDAP directory: which of them is asked, and what happens while one of them is down."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

from ...errors import BackendError, ConfigurationError
from ...protocols.http.tls import make_tls_context
from ...support.checks import require_list, require_name
from .entries import BindAnswer, Entry
from .servers import Server, UnreachableError
from .session import SUCCESS, Session, import_ldap3, in_session

_T = TypeVar("_T")


class Directory:
    """Ask the first server that answers, each question on a connection of its own.

    A server that has not answered is remembered as down for a while: meanwhile the others are asked first. While all
    are down, one caller at a time tries them; the others are told so at once, instead of waiting, one thread each.

    :param urls: ``ldaps://host`` or ``ldap://host:port``, one or several of the same contents, the preferred one first
    :param bind_dn: as whom is searched; ``None`` for nobody
    :param bind_password: its password
    :param start_tls: encrypt ``ldap://`` connections before anything is asked (RFC 4511, section 4.14)
    :param allow_plaintext: let passwords travel as they are
    :param ca_file: a PEM file with the authorities that issue the servers' certificates; ``None`` for the system's
    :param timeout_seconds: how long one server is waited for, from connecting to the answer
    :param total_seconds: how long all of them together are waited for
    :param down_seconds: how long a server is remembered as down
    :raises ConfigurationError: what cannot work, or would not be safe
    :raises MissingDependencyError: ldap3 is not installed
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        bind_dn: str | None,
        bind_password: str | None,
        start_tls: bool,
        allow_plaintext: bool,
        ca_file: str | None,
        timeout_seconds: float,
        total_seconds: float,
        down_seconds: float,
    ) -> None:
        import_ldap3()
        names = [require_name(url, "urls") for url in ([urls] if isinstance(urls, str) else require_list(urls, "urls"))]
        if not names:
            raise ConfigurationError("urls must name at least one server")
        self.urls = tuple(names)
        self._servers = [_read_url(url, start_tls=start_tls, allow_plaintext=allow_plaintext) for url in names]
        # A name without a password is an anonymous bind, which succeeds (RFC 4513, section 5.1.2).
        if bool(bind_dn) != bool(bind_password) or "" in (bind_dn, bind_password):
            raise ConfigurationError("bind_dn and bind_password belong together, and neither of them is empty")
        self._account = (bind_dn, bind_password) if bind_dn and bind_password else None
        self._timeout_seconds = require_seconds(timeout_seconds, "timeout_seconds")
        self._total_seconds = require_seconds(total_seconds, "total_seconds")
        self._down_seconds = require_seconds(down_seconds, "down_seconds")
        self._probe = threading.Lock()
        self._ca_file = ca_file
        self._make_tls_context()  # a file that cannot be read is told at once

    def _make_tls_context(self) -> ssl.SSLContext:
        """Return what asks for a certificate that one of the authorities has issued for this host or address.

        Whoever answers without one would be told the passwords (CWE-295, CWE-297).
        """
        return make_tls_context(self._ca_file, protocol=None)

    def bind(self, dn: str, password: str) -> BindAnswer:
        """Return what a server says to this name and password. Nothing else is asked on the connection.

        :param dn: the name of an entry, not empty
        :param password: what the client sent, not empty
        :raises BackendError: no server answers
        """
        # Either would make it an anonymous bind, which succeeds (RFC 4513, sections 5.1.1 and 5.1.2; CWE-287).
        if not dn or not password:
            raise BackendError("a bind needs a name and a password")
        return self._ask(lambda session: session.bind(dn, password))

    def search(self, base: str, search_filter: str, attributes: list[str], *, size_limit: int) -> list[Entry]:
        """Return entries below ``base``, of which there are ``size_limit`` at most, or more in all.

        :raises BackendError: no server answers, or not as it should
        """
        return self._ask_as_account(
            lambda session: session.search(base, search_filter, attributes, size_limit=size_limit)[0]
        )

    def search_all(
        self, base: str, search_filter: str, attributes: list[str], *, most: int, seconds: float | None = None
    ) -> list[Entry]:
        """Return all entries below ``base``, read in pages (RFC 2696).

        :param most: how many there may be
        :param seconds: how long it may take, instead of ``timeout_seconds``
        :raises BackendError: no server answers, or not as it should, or there are more than ``most``
        """

        def read_pages(session: Session) -> list[Entry]:
            if seconds is not None:
                session.limit(monotonic() + seconds)
            found, cookie = session.search(base, search_filter, attributes, cookie=b"")
            while cookie and len(found) <= most:
                page, cookie = session.search(base, search_filter, attributes, cookie=cookie)
                found += page
            if len(found) > most:
                raise BackendError(f"there are more than {most} entries in {base!r}")
            return found

        return self._ask_as_account(read_pages)

    def _ask_as_account(self, work: Callable[[Session], _T]) -> _T:
        def bind_and_work(session: Session) -> _T:
            if self._account is not None:
                answer = session.bind(*self._account)
                if answer.code != SUCCESS:
                    raise UnreachableError(f"bind_dn with bind_password is answered with the code {answer.code}")
            return work(session)

        return self._ask(bind_and_work)

    def _ask(self, work: Callable[[Session], _T]) -> _T:
        """Return what ``work`` returns with the first server that answers."""
        end = monotonic() + self._total_seconds
        up = [server for server in self._servers if server.down_until <= monotonic()]
        if up:
            return self._try(up + [server for server in self._servers if server not in up], end, work)
        if not self._probe.acquire(blocking=False):
            raise BackendError("no server of the directory has answered lately, and others are trying now")
        try:
            return self._try(self._servers, end, work)
        finally:
            self._probe.release()

    def _try(self, servers: list[Server], end: float, work: Callable[[Session], _T]) -> _T:
        failures = []
        for server in servers:
            now = monotonic()
            if now >= end:
                break
            try:
                answer = in_session(server, min(end, now + self._timeout_seconds), self._make_tls_context(), work)
            except UnreachableError as error:
                failures.append(f"{server.url}: {error}")
                server.down_until = monotonic() + self._down_seconds
            else:
                server.down_until = 0.0
                return answer
        raise BackendError("no server of the directory answers: " + "; ".join(failures))


def require_seconds(seconds: object, what: str) -> float:
    """Return a length of time.

    :raises ConfigurationError: it is none, or longer than a day
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 86_400:
        raise ConfigurationError(f"{what} must be a number of seconds above 0, at most 86400; it is {seconds!r}")
    return seconds


def _read_url(url: str, *, start_tls: bool, allow_plaintext: bool) -> Server:
    """Return how the server of a URL is reached.

    :raises ConfigurationError: it is none, or its passwords would travel as they are
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"urls: {url!r} is no URL: {error}") from None
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or more:
        raise ConfigurationError(f"urls: {url!r} must be written ldaps://host, ldaps://host:port or ldap://host")
    encrypted = parts.scheme == "ldaps" or start_tls
    if not encrypted and not allow_plaintext:
        raise ConfigurationError(
            f"urls: {url!r} would let passwords travel as they are: take ldaps://, or start_tls=True, or say "
            "allow_plaintext=True where nobody can listen"
        )
    return Server(
        url,
        parts.hostname,
        port or (636 if parts.scheme == "ldaps" else 389),
        start_tls=parts.scheme == "ldap" and start_tls,
        encrypted=encrypted,
    )
