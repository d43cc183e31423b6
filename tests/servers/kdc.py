"""A real MIT Kerberos KDC of two realms, in a temporary directory."""

import base64
import os
import struct
import subprocess
from contextlib import contextmanager

from .process import find_program, free_port, running

REALM, OTHER_REALM = "EXAMPLE.TEST", "OTHER.TEST"
SERVICE = "HTTP/localhost"
_PACKAGES = "krb5-kdc krb5-admin-server krb5-user"

_KRB5_CONF = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    kdc_timesync = 1
    forwardable = true
    clockskew = {clock_skew}
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
    {other_realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
[capaths]
    {other_realm} = {{
        {realm} = .
    }}
"""

_REALM_OF_KDC_CONF = """
    {realm} = {{
        database_name = {directory}/{realm}
        key_stash_file = {directory}/stash.{realm}
        acl_file = {directory}/acl
        max_renewable_life = 7d
    }}
"""


class Kdc:
    """Hold a KDC that can be started, stopped, and started again with what it has."""

    def __init__(self, directory):
        self.program = find_program("krb5kdc", _PACKAGES)
        self.directory = directory
        self.port = free_port()
        self.keytab = directory / "http.keytab"
        (directory / "acl").touch()
        self.write_configuration("krb5.conf")
        realms = "".join(_REALM_OF_KDC_CONF.format(realm=r, directory=directory) for r in (REALM, OTHER_REALM))
        (directory / "kdc.conf").write_text(
            f"[kdcdefaults]\n    kdc_listen = 127.0.0.1:{self.port}\n    kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n{realms}\n[logging]\n    kdc = FILE:{directory}/kdc.log\n"
        )
        for realm in (REALM, OTHER_REALM):
            self._run([find_program("kdb5_util", _PACKAGES), "create", "-s", "-r", realm, "-P", f"master-of-{realm}"])

    def write_configuration(self, name, *, clock_skew=300):
        """Write a krb5.conf, and return its path."""
        path = self.directory / name
        path.write_text(_KRB5_CONF.format(realm=REALM, other_realm=OTHER_REALM, port=self.port, clock_skew=clock_skew))
        return str(path)

    @property
    def environ(self):
        """Return the environment in which Kerberos programs know this KDC."""
        return {"KRB5_CONFIG": str(self.directory / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf")}

    @contextmanager
    def run(self):
        command = [self.program, "-n", "-r", REALM, "-r", OTHER_REALM]
        with running(command, self.port, self.directory / "krb5kdc.log", env=self._environ()):
            yield self

    def admin(self, *queries, realm=REALM):
        """Ask kadmin.local for this, one after the other."""
        for query in queries:
            # On stdin, or of several queries, it does not tell in its status that one has failed.
            done = self._run([find_program("kadmin.local", _PACKAGES), "-r", realm, "-q", query])
            assert not any(word in done.stderr for word in ("while", "failed", "Invalid")), (query, done.stderr)

    def login(self, principal, password, *options):
        """Get a ticket, and return the credentials cache that it is in."""
        cache = self.directory / f"cc-{principal.replace('/', '-')}{''.join(options)}"
        command = [find_program("kinit", _PACKAGES), *options, principal]
        self._run(command, input=f"{password}\n", env=self._environ(KRB5CCNAME=f"FILE:{cache}"))
        return cache

    def _run(self, command, *, env=None, **options):
        options = {"capture_output": True, "text": True, "errors": "replace", "check": True, "timeout": 30, **options}
        try:
            return subprocess.run(command, env=env or self._environ(), **options)
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"{command}: {error.stdout}{error.stderr}") from None

    def _environ(self, **more):
        return {**os.environ, **self.environ, **more}


def set_clock_of_cache(cache, seconds):
    """Let whoever uses a credentials cache think that the KDC's clock is ahead by that much.

    A cache of version 4 keeps that offset in its header: tag 1, 8 bytes, seconds and microseconds.
    """
    content = cache.read_bytes()
    assert content[:2] == b"\x05\x04"
    (length,) = struct.unpack(">H", content[2:4])
    header = struct.pack(">HHii", 1, 8, seconds, 0)
    skewed = cache.with_name(f"{cache.name}{seconds:+d}")
    skewed.write_bytes(content[:2] + struct.pack(">H", len(header)) + header + content[4 + length :])
    return skewed


def make_token(cache, service=f"{SERVICE}@{REALM}", *, spnego=True, **options):
    """Return a first token of a client, and the context that verifies the answer."""
    import gssapi

    mech = gssapi.OID.from_int_seq("1.3.6.1.5.5.2") if spnego else gssapi.MechType.kerberos
    credentials = gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{cache}"})
    context = gssapi.SecurityContext(
        name=gssapi.Name(service, gssapi.NameType.kerberos_principal),
        creds=credentials,
        mech=mech,
        usage="initiate",
        flags=options.pop("flags", gssapi.RequirementFlag.mutual_authentication),
        **options,
    )
    return context.step(), context


def negotiate(token):
    return {"Authorization": "Negotiate " + base64.b64encode(token).decode()}
