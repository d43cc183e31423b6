"""A certificate authority of the tests' own."""

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)

UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


class Authority:
    """Issue certificates, as files of a directory."""

    def __init__(self, directory, name="authority"):
        self.directory = directory
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        own = (
            self._build(self.name, self.key.public_key(), -9, 9)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True), critical=True)  # or Python 3.13 does not take it for one
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, file, *subject, names=(), days=(-1, 9)):
        """Write ``<file>.pem`` with its key in ``<file>.key``, and return the certificate.

        :param subject: pairs of attribute and value, from the least specific on; a tuple of pairs is one part of several
        :param names: alternative names
        :param days: from which day to which, from today
        """
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [part if isinstance(part[0], tuple) else (part,) for part in subject]
        name = x509.Name(
            [x509.RelativeDistinguishedName([x509.NameAttribute(*pair) for pair in part]) for part in parts]
        )
        builder = self._build(name, key.public_key(), *days).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        (self.directory / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
        key_bytes = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
        (self.directory / f"{file}.key").write_bytes(key_bytes)
        return certificate

    def issue_for_server(self, file):
        """Write a certificate for localhost."""
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.issue(file, (NameOID.COMMON_NAME, "server"), names=names)

    def _build(self, subject, public_key, start, end):
        now = dt.datetime.now(dt.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now + start * _DAY).not_valid_after(now + end * _DAY)


def _key_usage(**used):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})
