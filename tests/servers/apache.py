"""A real Apache that ends TLS, asks for client certificates, and passes on what it has found out."""

import grp
import os
import pwd
from contextlib import contextmanager
from pathlib import Path

from .process import find_program, free_port, running, skip

_MODULES = ["mpm_event", "authz_core", "ssl", "headers", "proxy", "proxy_http", "socache_shmcb"]

#: As docs/client_certificates.rst has it.
_CONFIGURATION = """
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache-{port}.pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/apache-error.log
Mutex pthread
Listen 127.0.0.1:{port}
{user}
SSLEngine on
SSLCertificateFile {directory}/server.pem
SSLCertificateKeyFile {directory}/server.key
SSLCACertificateFile {authority}
SSLVerifyClient {verify}
RequestHeader set   X-SSL-Client-Verify "%{{SSL_CLIENT_VERIFY}}s"
RequestHeader unset X-SSL-Client-DN
RequestHeader unset X-SSL-Client-Cert
RequestHeader set   X-SSL-Client-DN   "%{{SSL_CLIENT_S_DN}}s" "expr=%{{SSL_CLIENT_VERIFY}} == 'SUCCESS'"
RequestHeader set   X-SSL-Client-Cert "%{{SSL_CLIENT_CERT}}s" "expr=%{{SSL_CLIENT_VERIFY}} == 'SUCCESS'"
ProxyPass / http://127.0.0.1:{backend}/
"""


@contextmanager
def running_apache(directory, backend, authority, *, verify="optional"):
    """Run Apache until the end of the block, and yield its port.

    :param directory: where its ``server.pem`` and ``server.key`` are
    :param backend: the port of what it stands in front of
    :param authority: the file with the authorities of client certificates
    """
    program = find_program("apache2", "apache2")
    modules = Path("/usr/lib/apache2/modules")
    if not modules.is_dir():
        skip("apache2 is not installed (apache2): make servers")
    port = free_port()
    configuration = directory / f"apache-{port}.conf"
    loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in _MODULES)
    configuration.write_text(
        loaded
        + _CONFIGURATION.format(
            directory=directory, port=port, backend=backend, authority=authority, verify=verify, user=_user()
        )
    )
    command = [program, "-f", str(configuration), "-D", "FOREGROUND"]
    with running(command, port, directory / "apache.log"):
        yield port


def _user():
    if os.getuid() != 0:
        return ""
    return f"User {pwd.getpwnam('nobody').pw_name}\nGroup {grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name}"
