"""The accepting side of GSS-API (RFC 2743) with Kerberos (RFC 4121), bare or in SPNEGO (RFC 4178).

Nothing here knows of HTTP: a token comes in, and who sent it comes out, with the token that is the answer to it.
"""

from __future__ import annotations

import errno
import os
import stat
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..errors import (
    AuthenticationError,
    BackendError,
    BadCredentialsError,
    ConfigurationError,
    ExpiredCredentialsError,
    MissingDependencyError,
)
from ..support.logs import get_logger

_log = get_logger(__name__)

_SPNEGO = "1.3.6.1.5.5.2"

#: What MIT Kerberos says first where the client is at fault. What it says then may quote the ticket.
_FAULTS_OF_CLIENTS: tuple[tuple[str, type[AuthenticationError], str], ...] = (
    ("Request is a replay", BadCredentialsError, "a token that has been shown before: a replay"),
    ("Ticket expired", ExpiredCredentialsError, "a ticket that has expired"),
    ("Ticket not yet valid", BadCredentialsError, "a ticket that is not yet valid"),
    ("Clock skew too great", BadCredentialsError, "a client whose clock is too far from ours"),
    ("Cannot find key", BadCredentialsError, "a ticket for a key that the keytab has not, or not any more"),
    ("No key table entry", BadCredentialsError, "a ticket for another service"),
    ("Cannot decrypt ticket", BadCredentialsError, "a ticket that our key does not open"),
    ("Decrypt integrity check", BadCredentialsError, "a ticket that our key does not open"),
)

#: What it says where this machine is: the replay cache cannot be written, or the keytab cannot be read.
_FAULTS_OF_OURS = tuple(
    os.strerror(code)
    for code in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE)
)


class Accepted(NamedTuple):
    """Hold what a token has said.

    :param principal: who sent it, as Kerberos writes it: ``alice@EXAMPLE.ORG``
    :param answer: the token that proves to the client who we are, if it wants to know
    :param expires_at: when the ticket ends, with the clock skew that Kerberos allows
    """

    principal: str
    answer: bytes | None
    expires_at: datetime | None


class Acceptor:
    """Accept tokens for one service.

    :param principal: the service: ``HTTP/host.example.org``, with or without ``@REALM``; or ``HTTP@host.example.org``
    :param keytab: the file with its keys; it is noticed when it is replaced
    :raises MissingDependencyError: gssapi is not installed
    """

    def __init__(self, principal: str, keytab: str) -> None:
        self.keytab = keytab
        self._principal = principal
        self._gssapi = _import_gssapi()
        self._loaded: tuple[tuple[int, ...], Any] | None = None

    def check(self) -> None:
        """Raise where no token could ever be accepted, or where every local user could add keys.

        :raises ConfigurationError: the keytab cannot be read, has no key of the service, or anybody can write it
        """
        try:
            self._find_credentials()
            mode = os.stat(self.keytab).st_mode  # noqa: PTH116
        except (BackendError, OSError) as error:
            raise ConfigurationError(str(error)) from None
        if mode & stat.S_IWOTH:
            raise ConfigurationError(f"every local user can write the keytab {self.keytab!r}: chmod o-w")
        if mode & stat.S_IROTH:
            _log.warning("every local user can read the keytab %r, and make tickets for anybody with it", self.keytab)
        if os.environ.get("KRB5RCACHENAME", "").startswith("none:") or os.environ.get("KRB5RCACHETYPE") == "none":
            _log.warning("KRB5RCACHENAME turns the replay cache off: who reads a token on its way can use it again")

    def accept(self, token: bytes, bindings: bytes | None = None) -> Accepted:
        """Return what a token says.

        :param token: the first token of a client; a negotiation that needs another one is refused
        :param bindings: what the token must be bound to (RFC 5056); ``None`` for nothing
        :raises BadCredentialsError: it is no token, or none that lets anybody in here
        :raises ExpiredCredentialsError: its ticket has expired
        :raises BackendError: the keytab or the replay cache cannot be used
        """
        gssapi, credentials = self._gssapi, self._find_credentials()
        channel = None if bindings is None else gssapi.raw.ChannelBindings(application_data=bindings)
        try:
            # Not SecurityContext.step(), which puts errors off: for a replay it returns a token, and raises where the
            # context is looked at for the first time, and only there.
            done = gssapi.raw.accept_sec_context(token, credentials, channel_bindings=channel)
            # The name of a context that is not complete is not there, and not None either.
            name = None if done.more_steps else gssapi.raw.display_name(done.initiator_name, name_type=False).name
            principal = None if name is None else name.decode()
        except UnicodeError:
            raise BadCredentialsError("a ticket with a name that is no text") from None
        except gssapi.exceptions.GSSError as error:
            raise self._explain(error) from None
        flags = gssapi.RequirementFlag
        if principal is None:
            raise BadCredentialsError("a negotiation of several steps: the client has offered no ticket at once")
        if done.mech != gssapi.MechType.kerberos or flags.anonymity in done.flags:
            raise BadCredentialsError("a mechanism other than Kerberos, or an anonymous ticket")
        # The library passes over a token without bindings, which is what a relay in the middle would get hold of.
        if bindings is not None and flags.channel_bound not in done.flags:
            raise BadCredentialsError("a token that is not bound to this connection")
        end = None if done.lifetime is None else datetime.now(timezone.utc) + timedelta(seconds=done.lifetime)
        # done may have credentials that the client delegates. They are not kept: they go with it.
        return Accepted(principal, done.token, end)

    def _explain(self, error: Any) -> AuthenticationError | BackendError:
        """Return what an error of the library means, in words of ours, for its own may quote the ticket."""
        if isinstance(error, self._gssapi.exceptions.BadChannelBindingsError):
            return BadCredentialsError("a token that is bound to another connection")
        said = self._read_status(error)
        for beginning, kind, words in _FAULTS_OF_CLIENTS:
            if said.startswith(beginning):
                return kind(words)
        for beginning in _FAULTS_OF_OURS:
            if said.startswith(beginning):
                return BackendError(f"the replay cache (KRB5RCACHENAME) or the keytab cannot be used: {beginning}")
        return BadCredentialsError(f"no token of Kerberos that could be read ({type(error).__name__})")

    def _read_status(self, error: Any) -> str:
        """Return what the mechanism has said; its numbers are others in each process."""
        try:
            return " ".join(error.get_all_statuses(error.min_code, False))
        except (self._gssapi.exceptions.GSSError, UnicodeError):
            return ""

    def _find_credentials(self) -> Any:
        """Return the credentials of the service, made anew where the keytab is another one.

        Without a lock: two threads that come at once both make them, which takes less time than one token does.

        :raises BackendError: the keytab cannot be read, or has no key of the service
        """
        try:
            found = os.stat(self.keytab)  # noqa: PTH116  # a Path would be made anew for each request
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else "no path"
            raise BackendError(f"the keytab {self.keytab!r} cannot be read: {words}") from None
        seen = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
        loaded = self._loaded
        if loaded is None or loaded[0] != seen:
            loaded = self._loaded = (seen, self._acquire())
        return loaded[1]

    def _acquire(self) -> Any:
        gssapi = self._gssapi
        kerberos = gssapi.MechType.kerberos
        kind = gssapi.NameType.kerberos_principal if "/" in self._principal else gssapi.NameType.hostbased_service
        options = {"usage": "accept", "store": {"keytab": f"FILE:{self.keytab}"}}
        try:
            # With a name: without one, tickets for every service of the keytab would be good here.
            options["name"] = gssapi.Name(self._principal, kind)
            # By itself first, for SPNEGO does not say why it has no credentials.
            gssapi.Credentials(mechs=[kerberos], **options)
            credentials = gssapi.Credentials(mechs=[gssapi.OID.from_int_seq(_SPNEGO), kerberos], **options)
            # Other mechanisms that happen to be installed (NTLM) would let in whom their own lists know.
            gssapi.raw.set_neg_mechs(credentials, [kerberos])
        except gssapi.exceptions.GSSError as error:
            words = self._read_status(error) or type(error).__name__
            raise BackendError(f"the keytab {self.keytab!r} cannot be used for {self._principal!r}: {words}") from None
        return credentials


def _import_gssapi() -> Any:
    """Return the library.

    :raises MissingDependencyError: it is not installed, or the one in C that it needs
    """
    try:
        import gssapi  # type: ignore[import-not-found,unused-ignore]
    except (ImportError, OSError):
        raise MissingDependencyError("KerberosAuthenticator", "kerberos") from None
    return gssapi
