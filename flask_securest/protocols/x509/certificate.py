"""What an X.509 certificate (RFC 5280) says of whose it is."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from ...errors import MissingDependencyError
from .subjects import write_subject

#: The kinds of alternative names that say who somebody is. UPN is the user principal name of Active Directory.
NAME_KINDS = ("email", "DNS", "URI", "UPN")

# A certificate, and those of authorities up to the root.
_MOST_IN_A_CHAIN = 10

_UPN = "1.3.6.1.4.1.311.20.2.3"


class Certificate(NamedTuple):
    """Hold what is known of a certificate.

    :param fingerprint: the SHA-256 of its DER, in lower-case hexadecimal digits
    :param not_before: since when it is good
    :param not_after: until when
    :param subject: its subject, as text (RFC 4514)
    :param issuer: that of the authority that has issued it
    :param names: its alternative names (RFC 5280, section 4.2.1.6), as pairs of one of :data:`NAME_KINDS` and the name
    """

    fingerprint: str
    not_before: datetime
    not_after: datetime
    subject: bytes
    issuer: bytes
    names: tuple[tuple[str, str], ...]


class CertificateReader:
    """Read certificates.

    :param feature: who needs it, for the error
    :raises MissingDependencyError: cryptography is not installed
    """

    def __init__(self, feature: str) -> None:
        try:
            from cryptography import x509
        except ImportError:
            raise MissingDependencyError(feature, "certificates") from None
        self._x509: Any = x509

    def read(self, chain: tuple[bytes, ...]) -> Certificate:
        """Return what a certificate says. Who has issued it is not looked at: the TLS server has done so.

        :param chain: the certificate in DER, and those of authorities that came with it: each has issued the one
            before. Of certificates that are not so, somebody else has sent one (CWE-348).
        :raises ValueError: it is none; the error does not quote it
        """
        if not chain:
            raise ValueError("a certificate that the TLS server has not passed on")
        if len(chain) > _MOST_IN_A_CHAIN:
            raise ValueError("a chain of too many certificates")
        read = [self._read(der) for der in chain]
        if any(read[at].issuer != read[at + 1].subject for at in range(len(read) - 1)):
            raise ValueError("several certificates that are no chain")
        return read[0]

    def _read(self, der: bytes) -> Certificate:
        try:
            certificate = self._x509.load_der_x509_certificate(der)
            return Certificate(
                hashlib.sha256(der).hexdigest(),
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
                write_subject(certificate.subject),
                write_subject(certificate.issuer),
                tuple(self._read_names(certificate)),
            )
        except Exception:  # noqa: S110  # the library has errors, and warnings, of many kinds for what is no certificate
            pass
        raise ValueError("a certificate that cannot be read")

    def _read_names(self, certificate: Any) -> list[tuple[str, str]]:
        x509 = self._x509
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return []
        kinds = {x509.RFC822Name: "email", x509.DNSName: "DNS", x509.UniformResourceIdentifier: "URI"}
        names = []
        for name in extension:
            if type(name) in kinds:
                names.append((kinds[type(name)], name.value))
            elif isinstance(name, x509.OtherName) and name.type_id.dotted_string == _UPN:
                names.append(("UPN", _read_utf8_string(name.value)))
        return names


def _read_utf8_string(der: bytes) -> str:
    """Return the text of a UTF8String (X.690) that is not longer than names are.

    :raises ValueError: it is none
    """
    if len(der) < 2 or der[0] != 0x0C or der[1] >= 0x80 or der[1] != len(der) - 2:
        raise ValueError("what is no UTF8String")
    return der[2:].decode()
