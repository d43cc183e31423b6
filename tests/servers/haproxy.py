"""A real HAProxy that ends TLS, asks for client certificates, and passes on what it has found out."""

from contextlib import contextmanager

from .process import find_program, free_port, running

_CONFIGURATION = """
global
    maxconn 100
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 20s
    timeout client 20s
    timeout server 20s
frontend front
    bind 127.0.0.1:{port} ssl crt {directory}/server-and-key.pem ca-file {authority} verify optional {more}
    http-request set-header X-SSL-Client-Verify %[ssl_c_verify]
    http-request del-header X-SSL-Client-Cert
    http-request set-header X-SSL-Client-Cert %[ssl_c_der,base64] if {{ ssl_c_used }}
    default_backend back
backend back
    server application 127.0.0.1:{backend}
"""


@contextmanager
def running_haproxy(directory, backend, authority, *, more=""):
    """Run HAProxy until the end of the block, and yield its port.

    :param directory: where its ``server.pem`` and ``server.key`` are
    :param backend: the port of what it stands in front of
    :param authority: the file with the authorities of client certificates
    :param more: what else is said where it listens
    """
    port = free_port()
    both = (directory / "server.pem").read_text() + (directory / "server.key").read_text()
    (directory / "server-and-key.pem").write_text(both)
    configuration = directory / f"haproxy-{port}.cfg"
    configuration.write_text(
        _CONFIGURATION.format(directory=directory, port=port, backend=backend, authority=authority, more=more)
    )
    command = [find_program("haproxy", "haproxy"), "-db", "-f", str(configuration)]
    with running(command, port, directory / "haproxy.log"):
        yield port
