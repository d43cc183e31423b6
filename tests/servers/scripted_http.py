"""HTTP servers on loopback that answer what a test tells them to, and count: real sockets, no mocks."""

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length", 0))
        script = self.server.script
        script.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        script.counts[self.path] += 1
        if script.seconds:
            time.sleep(script.seconds)
        answer = script.answers.get(self.path, (404, {}, b"no such thing"))
        status, headers, body = answer() if callable(answer) else answer
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that does not wait for the answer


class ScriptedServer:
    """Answer GET and POST with ``answers[path]``: (status, headers, body), or a function that returns it."""

    def __init__(self, tls=None):
        self.answers, self.counts, self.requests, self.seconds = {}, Counter(), [], 0
        self._tls, self._port, self._server = tls, 0, None
        self.start()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    def answer_json(self, path, document, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (200, {"Content-Type": "application/json", **named}, json.dumps(document).encode())

    def start(self):
        """Start, and after :meth:`stop` again on the same port."""
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.script, self._port = self, self._server.server_port
        if self._tls:
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextlib.contextmanager
def scripted_server(tls=None):
    server = ScriptedServer(tls)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def raw_server(converse):
    """Yield the port of a server that calls ``converse(connection)`` for each connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=talk, args=[connection], daemon=True).start()

    def talk(connection):
        with connection, contextlib.suppress(OSError):
            converse(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            socket.create_connection(listening.getsockname(), timeout=1).close()
        thread.join(5)
        listening.close()


def make_certificate(directory, *names, days=1):
    """Write ``server.pem`` and ``server.key`` for these names, signed by itself; return the path of the first."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.timezone.utc)
    entries = []
    for each in names:
        try:
            entries.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            entries.append(x509.DNSName(each))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=abs(days) + 1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(entries), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.key").write_bytes(private)
    return directory / "server.pem"


def server_tls(directory):
    """Return what a server with the certificate of :func:`make_certificate` speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    return context
