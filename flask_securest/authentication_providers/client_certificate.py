"""Certificates of TLS clients, which the server in front has verified: ``X-SSL-Client-Verify: SUCCESS``.

What the server has found out travels in the WSGI environ (``SSL_CLIENT_VERIFY``, ``SSL_CLIENT_S_DN`` and
``SSL_CLIENT_CERT``: mod_ssl with mod_wsgi, or ``uwsgi_param``), which no client can write; or in headers of a proxy
(``X-SSL-Client-DN: CN=alice,O=Example``), which anybody can send who reaches the application past the proxy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Literal

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError
from ..identity import Identity
from ..models import User
from ..protocols.http.headers import environ_key, to_bytes
from ..protocols.x509.certificate import NAME_KINDS, Certificate, CertificateReader
from ..protocols.x509.names import DistinguishedName, find_values, parse_dn
from ..protocols.x509.proxies import ProxyHeaders
from ..support.checks import require_name, require_type
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

__all__ = ["ClientCertificateAuthenticator", "ProxyHeaders"]

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+")
_FINGERPRINT = re.compile("[0-9a-f]{64}")


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
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an argument that cannot be used
    :raises MissingDependencyError: cryptography is not installed, for anything but subjects
    """

    uses_api_userstore = True

    def __init__(
        self,
        *,
        source: Literal["environ"] | ProxyHeaders = "environ",
        by: Literal["subject", "san", "fingerprint"] = "subject",
        attribute: str | None = None,
        user_of_certificate: Mapping[str, str] | Callable[[str], str | None] | None = None,
        name: str = "client-certificate",
    ) -> None:
        self.name = require_name(name, "name of ClientCertificateAuthenticator")
        _check_arguments(by, attribute, user_of_certificate)
        self.by = by
        self.attribute = attribute
        self._find_user = _read_users(by, attribute, user_of_certificate)
        self._reader = None if by == "subject" else CertificateReader(f"ClientCertificateAuthenticator(by={by!r})")
        self._proxy: ProxyHeaders | None = None
        self.credential_headers = ()
        verify, subject, certificate = "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_CERT"
        if source != "environ":
            require_type(source, ProxyHeaders, 'source must be "environ", or it')
            self._proxy = source
            # Not the one that says whether there is a certificate: a proxy sends NONE with every request without.
            self.credential_headers = (source.subject if by == "subject" else source.certificate,)
            verify, subject, certificate = map(environ_key, (source.verify, source.subject, source.certificate))
        self._verify_key = verify
        self._detail_key = subject if by == "subject" else certificate
        self._keys = (verify, subject, certificate)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the certificate belongs to."""
        detail = self._read_detail(request.environ)
        if detail is None:
            return None
        certificate = None
        if self._reader is None:
            username = self._find_by_subject(detail)
        else:
            certificate = _read_certificate(self._reader, detail)
            username = self._find_by_certificate(certificate)
        if username is None:
            raise BadCredentialsError("a certificate that belongs to nobody here")
        if not isinstance(username, str) or not username:
            raise TypeError("user_of_certificate must return a name, not empty, or None")
        user = User(username) if userstore is None else userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a certificate of somebody who is no user here")
        if certificate is None:
            return Identity(user, self.name)
        return Identity(user, self.name, credential_id=certificate.fingerprint, expires_at=certificate.not_after)

    def _read_detail(self, environ: Mapping[str, Any]) -> bytes | None:
        """Return the subject or the certificate, whichever is asked for, of a certificate that was verified.

        :returns: ``None`` for a client without a certificate
        :raises BadCredentialsError: it was not verified, or it is not the proxy that says so
        """
        told = {key: str(environ.get(key, "")).strip(" \t") for key in self._keys}
        if not any(told.values()):
            return None
        if self._proxy is not None and not self._proxy.trusts(environ):
            # Whoever gets past the proxy can send what the proxy sends (CWE-290). It is not taken for an anonymous
            # request either: who tries to be somebody must not be taken for nobody.
            raise BadCredentialsError("headers of a proxy, from an address that is none of trusted_proxies")
        verified = told.pop(self._verify_key)
        if verified == "NONE" and not any(told.values()):
            return None
        # Exactly: a header that is there twice arrives as "NONE,SUCCESS", and nginx says "FAILED:..." (CWE-348).
        if verified != "SUCCESS":
            raise BadCredentialsError("a certificate that the TLS server has not verified")
        detail = to_bytes(told[self._detail_key])
        if detail is None:
            raise BadCredentialsError(f"a certificate without its {'subject' if self._reader is None else 'PEM'}")
        return detail

    def _find_by_subject(self, subject: bytes) -> str | None:
        try:
            dn = parse_dn(subject)
        except ValueError as error:
            raise BadCredentialsError(str(error)) from None
        if self.attribute is None:
            return self._find_user(dn, subject.decode())
        values = find_values(dn, self.attribute)
        # Exactly one: of two, nobody can tell which the authority has looked at; and two subjects in a doubled header
        # are one that begins with what the client has sent.
        if len(values) != 1 or not isinstance(values[0], str) or not _is_name(values[0]):
            raise BadCredentialsError(f"a subject without {self.attribute}, or with several")
        return self._find_user(values[0], values[0])

    def _find_by_certificate(self, certificate: Certificate) -> str | None:
        # The TLS server has looked at the dates, but a session that is resumed may outlive them. not_after becomes the
        # end of the identity, which the chain looks at.
        if datetime.now(timezone.utc) < certificate.not_before:
            raise BadCredentialsError("a certificate that is not yet valid")
        if self.attribute is None:
            return self._find_user(certificate.fingerprint, certificate.fingerprint)
        names = {name for kind, name in certificate.names if kind == self.attribute and _is_name(name)}
        users = {self._find_user(name, name) for name in names} - {None}
        if len(users) > 1:
            raise BadCredentialsError(f"a certificate with the {self.attribute} names of several users")
        return users.pop() if users else None


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _read_certificate(reader: CertificateReader, text: bytes) -> Certificate:
    try:
        return reader.read(text)
    except ValueError as error:
        raise BadCredentialsError(str(error)) from None


def _check_arguments(by: object, attribute: object, user_of_certificate: object) -> None:
    """Raise for arguments that cannot be used together.

    :raises ConfigurationError: says which
    """
    if by not in ("subject", "san", "fingerprint"):
        raise ConfigurationError(f'by must be "subject", "san" or "fingerprint", not {by!r}')
    if not (user_of_certificate is None or isinstance(user_of_certificate, Mapping) or callable(user_of_certificate)):
        raise ConfigurationError(
            f"user_of_certificate must be a mapping or a function, not of type {type(user_of_certificate).__name__}"
        )
    if attribute is None and user_of_certificate is None:
        raise ConfigurationError(f"by={by!r} needs user_of_certificate, which says whose certificates they are")
    if by == "san" and attribute not in NAME_KINDS:
        raise ConfigurationError(f"by='san' needs attribute, one of {', '.join(NAME_KINDS)}; it is {attribute!r}")
    if by == "fingerprint" and attribute is not None:
        raise ConfigurationError("by='fingerprint' needs no attribute")
    if attribute is not None and not (isinstance(attribute, str) and _ATTRIBUTE.fullmatch(attribute)):
        raise ConfigurationError(f'attribute must be like "CN", not {attribute!r}')


def _read_users(
    by: str, attribute: str | None, user_of_certificate: Mapping[str, str] | Callable[[str], str | None] | None
) -> Callable[[Any, str], str | None]:
    """Return the function that finds a user by what is compared, or by its text.

    :raises ConfigurationError: a mapping has a key that will never be found, or no name for it
    """
    if user_of_certificate is None:
        return lambda key, text: text
    if not isinstance(user_of_certificate, Mapping):
        function = user_of_certificate
        return lambda key, text: function(text)
    users: dict[str | DistinguishedName, str] = {}
    for text, username in user_of_certificate.items():
        require_name(text, "a key of user_of_certificate")
        require_name(username, f"the user of {text!r} in user_of_certificate")
        key: str | DistinguishedName = text
        if by == "fingerprint":
            key = text.replace(":", "").lower()
            if not _FINGERPRINT.fullmatch(key):
                raise ConfigurationError(f"user_of_certificate has {text!r}, which is no SHA-256 in hexadecimal digits")
        elif attribute is None:
            try:
                key = parse_dn(text.encode())
            except ValueError:
                raise ConfigurationError(f"user_of_certificate has {text!r}, which is no subject (RFC 4514)") from None
        if users.setdefault(key, username) != username:
            raise ConfigurationError(f"user_of_certificate has {text!r} for several users")
    return lambda key, text: users.get(key)
