"""Kerberos tickets, by HTTP Negotiate (RFC 4559): ``Authorization: Negotiate YIIC5QYGKwYBBQUCoIIC2TCC...``.

What follows the scheme is, in base64, the first token of a GSS-API negotiation, with a ticket in it. The answer has
``WWW-Authenticate: Negotiate oYG1MIGy...``, by which the server proves to the client who it is.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Mapping

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError
from ..identity import UNSET, Identity
from ..models import User
from ..protocols.kerberos import Acceptor
from ..support.checks import require_list, require_name
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

#: The longest token that is decoded, in characters. Tickets of Active Directory name the groups of their owner, and are
#: longer than other credentials: up to 48 000 bytes by default. But there must be an end (CWE-400).
MAX_TOKEN_CHARACTERS = 65_536

# A name and a realm. GSS-API writes a backslash before each "@" and "/" within one of them: alice\@HERE@THERE is
# somebody of the realm THERE.
_PRINCIPAL = re.compile(r"((?:[^\\@]|\\.)+)@((?:[^\\@]|\\.)+)", re.DOTALL)
_SERVICE = re.compile(r"[^\\/@\s]+/[^\\/@\s]+(?:@(?P<realm>[^\\/@\s]+))?|[^\\/@\s]+@[^\\/@\s]+")
_BINDINGS = re.compile(rb"[a-z0-9.-]+:.+", re.DOTALL)


class KerberosAuthenticator(AbstractAuthenticationProvider):
    """Know users by Kerberos tickets.

    The user is looked up in the userstore; an API without one lets in everybody of the realms.

    :param principal: the service that tickets are for: ``HTTP/host.example.org``, with ``@REALM`` where it is not the
        default realm of krb5.conf; or ``HTTP@host.example.org``, a host-based service of GSS-API
    :param keytab: the file with its keys; it may be replaced while the application runs
    :param realms: whose principals are let in; by default the realm that stands in ``principal``
    :param user_of_principal: the names of users by principals (``{"alice/admin@EXAMPLE.ORG": "root"}``), or a function
        that returns the name of a principal's user, or ``None``. By default ``alice@EXAMPLE.ORG`` is ``alice``, and
        principals with an instance (``alice/admin``, ``host/web1``) are nobody. With several realms and a userstore it
        must be given: two realms may both know an ``alice``
    :param channel_bindings: a function that returns what the token of this request must be bound to (RFC 5056), such as
        ``b"tls-server-end-point:..."`` (RFC 5929), so that it is good on no other connection; or ``None``
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an argument that cannot be used
    :raises MissingDependencyError: gssapi is not installed
    """

    one_time = True
    uses_api_userstore = True

    def __init__(
        self,
        *,
        principal: str,
        keytab: str | os.PathLike[str],
        realms: Iterable[str] | None = None,
        user_of_principal: Mapping[str, str] | Callable[[str], str | None] | None = None,
        channel_bindings: Callable[[Request], bytes | None] | None = None,
        name: str = "kerberos",
    ) -> None:
        self.name = require_name(name, "name of KerberosAuthenticator")
        service = _SERVICE.fullmatch(require_name(principal, "principal"))
        if service is None:
            raise ConfigurationError(
                'principal must be like "HTTP/host.example.org", "HTTP/host.example.org@EXAMPLE.ORG" or '
                f'"HTTP@host.example.org", not {principal!r}'
            )
        self.principal = principal
        self.realms = _read_realms(realms, service["realm"])
        self._names_realms = realms is not None
        self._user_of_principal = _read_mapping(user_of_principal, self.realms)
        if channel_bindings is not None and not callable(channel_bindings):
            raise ConfigurationError(
                f"channel_bindings must be a function, not of type {type(channel_bindings).__name__}"
            )
        self._channel_bindings = channel_bindings
        path = os.fspath(keytab) if isinstance(keytab, os.PathLike) else keytab
        if not isinstance(path, str) or not path or "\0" in path:
            raise ConfigurationError(f"keytab must be the path of a file; it is of type {type(keytab).__name__}")
        # Absolute, so that "MEMORY:" is a file that does not exist, and not a keytab of another kind. Not resolved: a
        # link may lead to another file one day.
        self.keytab = os.path.abspath(path)  # noqa: PTH100
        self._acceptor = Acceptor(principal, self.keytab)

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:
        """Raise where the keytab cannot be used, or where several realms vouch for the users of one userstore."""
        if userstore is not None and len(self.realms) > 1 and self._user_of_principal is None:
            # The alice of one realm would get the rights of the alice of another one (CWE-287).
            raise ConfigurationError(
                f"the provider {self.name!r} has several realms and a userstore, and each may know an alice: give "
                "KerberosAuthenticator(user_of_principal=...), which tells alice@ONE from alice@OTHER"
            )
        self._acceptor.check()

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the ticket was issued to."""
        token = _read_token(request)
        if token is None:
            return None
        accepted = self._acceptor.accept(token, self._find_bindings(request))
        username, realm = self._find_username(accepted.principal)
        user = User(username) if userstore is None else userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a ticket of somebody who is no user here")
        headers: tuple[tuple[str, str], ...] = ()
        if accepted.answer:
            headers = (("WWW-Authenticate", "Negotiate " + base64.b64encode(accepted.answer).decode("ascii")),)
        # Whoever lists realms may list another one tomorrow: its alice is somebody else.
        origin = f"{self.name}:{realm}" if self._names_realms and userstore is None else UNSET
        ends = accepted.expires_at
        return Identity(user, self.name, expires_at=ends, response_headers=headers, origin=origin)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return ``Negotiate``, which has no parameters (RFC 4559, section 4.1)."""
        return "Negotiate"

    def _find_bindings(self, request: Request) -> bytes | None:
        bindings = None if self._channel_bindings is None else self._channel_bindings(request)
        if bindings is not None and not (isinstance(bindings, bytes) and _BINDINGS.fullmatch(bindings)):
            raise TypeError('channel_bindings must return bytes such as b"tls-server-end-point:...", or None')
        return bindings

    def _find_username(self, principal: str) -> tuple[str, str]:
        """Return the name of the user that a principal is, and the principal's realm.

        :raises BadCredentialsError: nobody
        """
        parts = _PRINCIPAL.fullmatch(principal)
        # Kerberos vouches for everybody of every realm that ours trusts, and that trust may go a long way.
        if parts is None or parts[2] not in self.realms:
            raise BadCredentialsError("a ticket of somebody from another realm")
        if self._user_of_principal is not None:
            username = self._user_of_principal(principal)
        else:
            # alice/admin is another account than alice, and host/web1 is none of a person: nothing is cut off.
            username = parts[1] if parts[1].isprintable() and not re.search(r"[\\/]", parts[1]) else None
        if username is None:
            raise BadCredentialsError("a ticket of somebody who is nobody's user here")
        if not isinstance(username, str) or not username:
            raise TypeError("user_of_principal must return a name, not empty, or None")
        return username, parts[2]


def _read_token(request: Request) -> bytes | None:
    """Return the token in ``Authorization``, or ``None`` if that is missing, or for another scheme.

    :raises BadCredentialsError: there is none behind the scheme, or it is too long, or not base64
    """
    authorization: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if authorization is None:
        return None
    scheme, _, credentials = authorization.strip(" \t").partition(" ")
    if scheme.lower() != "negotiate":
        return None
    credentials = credentials.strip(" \t")
    if len(credentials) > MAX_TOKEN_CHARACTERS:
        raise BadCredentialsError(f"a token of {len(credentials)} characters")
    try:
        token = base64.b64decode(credentials, validate=True)
    except ValueError:
        raise BadCredentialsError("a token that is not base64") from None
    # Base64 has several spellings for the same bytes, of which one is right (RFC 4648, section 3.5).
    if not token or base64.b64encode(token).decode("ascii") != credentials:
        raise BadCredentialsError("an empty token, or one in base64 with stray bits")
    if token.startswith(b"NTLMSSP\0"):
        raise BadCredentialsError("a token of NTLM: the client has no ticket for this service")
    return token


def _read_realms(realms: Iterable[str] | None, realm_of_service: str | None) -> frozenset[str]:
    """Return the realms whose principals are let in.

    :raises ConfigurationError: nobody can tell which, or one of them is none
    """
    if realms is None:
        if realm_of_service is None:
            raise ConfigurationError('realms must say whose principals are let in: realms=["EXAMPLE.ORG"]')
        return frozenset([realm_of_service])
    found = [require_name(realm, "a realm") for realm in require_list(realms, "realms")]
    for realm in found:
        if re.search(r"[\\/@\s]", realm):
            raise ConfigurationError(f"a realm must be like EXAMPLE.ORG, not {realm!r}")
    if not found:
        raise ConfigurationError("realms must not be empty: nobody could be let in")
    return frozenset(found)


def _read_mapping(
    user_of_principal: Mapping[str, str] | Callable[[str], str | None] | None, realms: frozenset[str]
) -> Callable[[str], str | None] | None:
    """Return the function that finds a principal's user.

    :raises ConfigurationError: it is none; or a mapping has a principal that will never come, or no name for it
    """
    if user_of_principal is None or (callable(user_of_principal) and not isinstance(user_of_principal, Mapping)):
        return user_of_principal
    if not isinstance(user_of_principal, Mapping):
        raise ConfigurationError(
            f"user_of_principal must be a mapping or a function, not of type {type(user_of_principal).__name__}"
        )
    if not user_of_principal:
        raise ConfigurationError("user_of_principal must not be empty: nobody could get in")
    users = dict(user_of_principal)
    for principal, username in users.items():
        parts = _PRINCIPAL.fullmatch(require_name(principal, "a principal of user_of_principal"))
        if parts is None or parts[2] not in realms:
            raise ConfigurationError(
                f"user_of_principal has {principal!r}, which is of none of the realms {', '.join(sorted(realms))}"
            )
        require_name(username, f"the user of {principal!r} in user_of_principal")
    return users.get
