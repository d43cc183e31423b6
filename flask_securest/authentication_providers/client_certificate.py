"""Certificates of TLS clients, which the server in front has verified: ``X-SSL-Client-Verify: SUCCESS``.

What the server has found out travels in the WSGI environ (``SSL_CLIENT_VERIFY``, ``SSL_CLIENT_S_DN`` and
``SSL_CLIENT_CERT``: mod_ssl with mod_wsgi, or ``uwsgi_param``), which no client can write; or in headers of a proxy
(``X-SSL-Client-DN: CN=alice,O=Example``), which anybody can send who reaches the application past the proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError
from ..identity import UNSET, Identity
from ..models import User
from ..protocols.x509.certificate import Certificate, CertificateReader
from ..protocols.x509.formats import Presented, read_verified
from ..protocols.x509.names import find_values, parse_dn
from ..protocols.x509.owners import check_arguments, read_issuers, read_users
from ..protocols.x509.proxies import ProxyHeaders
from ..support.checks import require_name, require_type
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

__all__ = ["ClientCertificateAuthenticator", "ProxyHeaders"]

#: Where a TLS server within the process tells of a certificate.
_ENVIRON = {"verify": "SSL_CLIENT_VERIFY", "subject": "SSL_CLIENT_S_DN", "certificate": "SSL_CLIENT_CERT"}


class ClientCertificateAuthenticator(AbstractAuthenticationProvider):
    """Know users by the certificates of their TLS clients.

    Which authorities may issue certificates is the TLS server's business: name none there that issues to strangers.
    The user is looked up in the userstore; an API without one takes the name as it is.

    :param source: where the TLS server tells of certificates: ``"environ"``, or :class:`ProxyHeaders`
    :param by: what of a certificate says whose it is: its ``"subject"``, an alternative name (``"san"``), or its
        ``"fingerprint"``, the SHA-256 of its DER
    :param attribute: by subject, the one attribute to look at, for example ``"CN"``, instead of the whole; it must be
        there exactly once. By alternative name, its kind: ``"email"``, ``"DNS"``, ``"URI"`` or ``"UPN"``
    :param user_of_certificate: the names of users by subjects, attributes or fingerprints
        (``{"CN=alice,O=Example": "alice"}``), or a function that returns the name of the user, or ``None``. With an
        ``attribute`` it may be left out: then its value is the name
    :param issuers: the subjects of the authorities whose certificates are taken, of those that the TLS server trusts;
        ``None`` for all. A function ``user_of_certificate`` gets the issuer as a second argument then; a user without a
        userstore has the origin ``name:issuer``, for subjects are unique with their issuer only
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an argument that cannot be used
    :raises MissingDependencyError: cryptography is not installed, for anything but subjects that the TLS server writes
    """

    uses_api_userstore = True

    def __init__(
        self,
        *,
        source: Literal["environ"] | ProxyHeaders = "environ",
        by: Literal["subject", "san", "fingerprint"] = "subject",
        attribute: str | None = None,
        user_of_certificate: Mapping[str, str] | Callable[..., str | None] | None = None,
        issuers: Iterable[str] | None = None,
        name: str = "client-certificate",
    ) -> None:
        self.name = require_name(name, "name of ClientCertificateAuthenticator")
        check_arguments(by, attribute, user_of_certificate)
        self.by = by
        self.attribute = attribute
        self._issuers = read_issuers(issuers)
        self._tells_issuers = issuers is None or by == "fingerprint" or callable(user_of_certificate)
        self._find_user = read_users(by, attribute, user_of_certificate, with_issuer=issuers is not None)
        self._proxy: ProxyHeaders | None = None
        self.credential_headers = ()
        if source != "environ":
            require_type(source, ProxyHeaders, 'source must be "environ", or it')
            self._proxy = source
            self.credential_headers = source.credential_headers
        # The environ is written by the TLS server alone; a header, by whoever gets one past the proxy.
        self._by_written_subject = by == "subject" and (self._proxy is None or self._proxy.single_header)
        needs_certificate = not self._by_written_subject or issuers is not None
        self._reader = CertificateReader("ClientCertificateAuthenticator") if needs_certificate else None

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:
        """Raise where several authorities vouch for the users of one userstore, and nobody says which user is meant."""
        if userstore is not None and len(self._issuers) > 1 and not self._tells_issuers:
            # The CN=alice of one authority would get the rights of the CN=alice of another one (CWE-287).
            raise ConfigurationError(
                f"the provider {self.name!r} has several issuers and a userstore, and each may know an alice: give "
                "user_of_certificate as a function (name, issuer), or by='fingerprint'"
            )

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the certificate belongs to."""
        try:
            presented = self._read(request.environ)
            if presented is None:
                return None
            certificate = None if self._reader is None else self._reader.read(presented.chain)
            issuer = self._require_issuer(certificate)
            if self.by == "subject":
                subject = presented.subject if self._by_written_subject or certificate is None else certificate.subject
                username = self._find_by_subject(subject, issuer)
            else:
                username = None if certificate is None else self._find_by_certificate(certificate, issuer)
        except ValueError as error:
            problem = str(error)
        else:
            return self._make_identity(username, certificate, issuer, userstore)
        raise BadCredentialsError(problem)

    def _make_identity(
        self, username: object, certificate: Certificate | None, issuer: str | None, userstore: AbstractUserstore | None
    ) -> Identity:
        if username is None:
            raise BadCredentialsError("a certificate that belongs to nobody here")
        if not isinstance(username, str) or not username:
            raise TypeError("user_of_certificate must return a name, not empty, or None")
        user = User(username) if userstore is None else userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a certificate of somebody who is no user here")
        if certificate is None:
            return Identity(user, self.name)
        # The TLS server has looked at the dates, but a session that is resumed may outlive them. not_after becomes the
        # end of the identity, which the chain looks at.
        if datetime.now(timezone.utc) < certificate.not_before:
            raise BadCredentialsError("a certificate that is not yet valid")
        return Identity(
            user,
            self.name,
            credential_id=certificate.fingerprint,
            expires_at=certificate.not_after,
            origin=UNSET if issuer is None or userstore is not None else f"{self.name}:{issuer}",
        )

    def _read(self, environ: Mapping[str, Any]) -> Presented | None:
        """Return what is told of a certificate that was verified; ``None`` for a client without one.

        :raises BadCredentialsError: it is not the proxy that tells
        :raises ValueError: it was not verified, or cannot be read
        """
        if self._proxy is not None:
            return self._proxy.read(environ)
        told = {what: str(environ.get(key, "")).strip(" \t") for what, key in _ENVIRON.items()}
        return read_verified(told) if any(told.values()) else None

    def _require_issuer(self, certificate: Certificate | None) -> str | None:
        """Return who has issued a certificate; ``None`` where nobody wants to know.

        :raises ValueError: none of those whose certificates are taken
        """
        if not self._issuers or certificate is None:
            return None
        found = self._issuers.get(parse_dn(certificate.issuer))
        if found is None:
            raise ValueError("a certificate of an authority that is none of issuers")
        return found

    def _find_by_subject(self, subject: bytes, issuer: str | None) -> str | None:
        if not subject:
            raise ValueError("a certificate without its subject")
        dn = parse_dn(subject)
        if self.attribute is None:
            return self._find_user(dn, subject.decode(), issuer)
        values = find_values(dn, self.attribute)
        # Exactly one: of two, nobody can tell which the authority has looked at; and two subjects in a doubled header
        # are one that begins with what the client has sent.
        if len(values) != 1 or not isinstance(values[0], str) or not _is_name(values[0]):
            raise ValueError(f"a subject without {self.attribute}, or with several")
        return self._find_user(values[0], values[0], issuer)

    def _find_by_certificate(self, certificate: Certificate, issuer: str | None) -> str | None:
        if self.attribute is None:
            return self._find_user(certificate.fingerprint, certificate.fingerprint, issuer)
        names = {name for kind, name in certificate.names if kind == self.attribute and _is_name(name)}
        users = {self._find_user(name, name, issuer) for name in names} - {None}
        if len(users) > 1:
            raise ValueError(f"a certificate with the {self.attribute} names of several users")
        return users.pop() if users else None


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()
