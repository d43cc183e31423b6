"""A real OpenLDAP server, in a temporary directory, over ldap (with StartTLS) and ldaps."""

import datetime as dt
import ipaddress
import subprocess
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .process import find_program, free_port, running

SUFFIX = "dc=example,dc=test"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "adminpw-planted-51c0"
READER, READER_PASSWORD = f"cn=reader,{SUFFIX}", "readerpw-planted-77ab"

#: ldap3 2.9.1 imports two names that pyasn1 has renamed, once, where it is imported first.
LDAP3_WARNINGS = pytest.mark.filterwarnings(
    "ignore:tagMap is deprecated:DeprecationWarning", "ignore:typeMap is deprecated:DeprecationWarning"
)

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.159 NAME 'accountExpires' EQUALITY integerMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.662 NAME 'lockoutTime' EQUALITY integerMatch
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
moduleload argon2
moduleload retcode
pidfile {directory}/slapd.pid
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
TLSVerifyClient never
{options}
database mdb
maxsize 67108864
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {directory}/data
dbnosync
index objectClass,uid,member,cn eq
limits dn.exact="{reader}" size.soft=500 size.hard=500 size.prtotal=unlimited
overlay memberof
overlay refint
refint_attributes memberof member
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{suffix}"
ppolicy_use_lockout
overlay retcode
retcode-parent "ou=answers,{suffix}"
retcode-item "cn=busy" 51
retcode-item "cn=unavailable" 52
retcode-item "cn=other" 80
retcode-item "cn=referral" 10 "ref=ldap://127.0.0.1:9/"
access to attrs=userPassword by self write by anonymous auth by * none
access to * by dn.exact="{reader}" read by self read by anonymous auth by * none
"""

BASE = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: ou=policies,{SUFFIX}
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,{SUFFIX}
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdLockout: FALSE
pwdMustChange: TRUE

dn: cn=strict,ou=policies,{SUFFIX}
objectClass: pwdPolicy
objectClass: device
cn: strict
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdLockoutDuration: 2
pwdMustChange: TRUE
pwdMaxAge: 1000000

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}
"""


class Slapd:
    """Hold a server that can be started, stopped, and started again with what it has."""

    def __init__(self, directory, *, options="", host="127.0.0.1", expired=False):
        self.program = find_program("slapd", "slapd ldap-utils")
        self.directory = directory
        self.port, self.tls_port = free_port(), free_port()
        self.url, self.tls_url = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.tls_port}"
        self.ca_file = directory / "ca.pem"
        self.process = None
        (directory / "data").mkdir(parents=True)
        write_certificates(directory, host, expired=expired)
        (directory / "slapd.conf").write_text(
            _CONFIGURATION.format(
                directory=directory,
                options=options,
                suffix=SUFFIX,
                admin=ADMIN,
                password=ADMIN_PASSWORD,
                reader=READER,
            )
        )

    @contextmanager
    def run(self):
        command = [self.program, "-f", str(self.directory / "slapd.conf"), "-h", f"{self.url}/ {self.tls_url}/"]
        with running([*command, "-d", "none"], self.tls_port, self.directory / "slapd.log") as self.process:
            yield self

    def load(self, ldif):
        """Add entries, or change them (``changetype:``)."""
        command = [find_program("ldapmodify", "ldap-utils"), "-a", "-x", "-H", self.url]
        done = subprocess.run(
            [*command, "-D", ADMIN, "-w", ADMIN_PASSWORD], input=ldif, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def running_slapd(directory, **options):
    """Run a server that has nobody but its own accounts."""
    with Slapd(directory, **options).run() as server:
        server.load(BASE)
        yield server


def person(uid, password, *more):
    """Return the entry of a person."""
    lines = [f"dn: uid={uid},{PEOPLE}", "objectClass: inetOrgPerson", "objectClass: extensibleObject"]
    lines += [f"uid: {uid}", f"cn: {uid}", f"sn: {uid}"]
    lines += [f"mail: {uid}@example.test"] if uid.isascii() else []
    lines += [f"userPassword: {password}"] if password else []
    return "\n".join([*lines, *more]) + "\n\n"


def group(cn, *members, base=GROUPS):
    """Return the entry of a group."""
    lines = [f"dn: cn={cn},{base}", "objectClass: groupOfNames", f"cn: {cn}"]
    return "\n".join(lines + [f"member: {member}" for member in members]) + "\n\n"


def write_certificates(directory, host, *, expired=False):
    """Write an authority, and what it has issued for an address or a name."""
    now = dt.datetime.now(dt.timezone.utc)
    day = dt.timedelta(days=1)
    authority_key, authority_name = ec.generate_private_key(ec.SECP256R1()), _named(f"authority of {directory.name}")
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key(), now - 9 * day, now + 9 * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        name = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    end = now - day if expired else now + 9 * day
    certificate = (
        _certificate(_named("server"), authority_name, key.public_key(), now - 9 * day, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    for path, issued in (("ca.pem", authority), ("server.pem", certificate)):
        (directory / path).write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    (directory / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject, issuer, public_key, start, end):
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)


def _key_usage(**used):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})
