"""A real nginx that ends TLS, asks for client certificates, and passes on what it has found out."""

import os
from contextlib import contextmanager

from .process import find_program, free_port, running

_CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    large_client_header_buffers 4 32k;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_client_certificate {authority};
        ssl_verify_client {verify};
        location / {{
            proxy_pass {backend};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
            proxy_set_header X-SSL-Client-DN $ssl_client_s_dn;
            proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
        }}
    }}
}}
"""


@contextmanager
def running_nginx(directory, backend, authority, *, verify="optional"):
    """Run nginx until the end of the block, and yield its port.

    :param directory: where its ``server.pem`` and ``server.key`` are
    :param backend: what it stands in front of, for example ``http://127.0.0.1:5000``
    :param authority: the file with the authorities of client certificates
    """
    port = free_port()
    configuration = directory / f"nginx-{port}.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            port=port,
            backend=backend,
            authority=authority,
            verify=verify,
            user="user root;" if os.getuid() == 0 else "",  # of a directory that nobody else may look into
        )
    )
    command = [find_program("nginx", "nginx"), "-p", str(directory), "-e", str(directory / "error.log")]
    with running([*command, "-c", str(configuration)], port, directory / "nginx.log"):
        yield port
