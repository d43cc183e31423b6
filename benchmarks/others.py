"""The jobs of the providers that no other library has: client certificates, introspection, Kerberos."""

from __future__ import annotations

import base64
import http.server
import json
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from jobs import Job, call, request, restful, securest

from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def certificate() -> Job:
    provider = ClientCertificateAuthenticator(attribute="CN")
    subject = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=alice,OU=People,O=Example"}
    return Job(securest(provider), request() | subject)


def introspection() -> Job:
    """Return the job of an opaque token that the issuer was asked about less than a minute ago."""

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the library calls it
            answer = json.dumps({"active": True, "token_type": "Bearer", "username": "alice", "scope": "read"}).encode()
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    provider = IntrospectionAuthenticator(url, client_id="api", client_secret="secret", allow_http=True)
    return Job(securest(provider), request(authorization="Bearer 2YotnFZFEjr1zCsicMWpAA"))


def other_jobs() -> dict[str, Callable[[], Job]]:
    """Return how to make each job, by its name."""
    return {
        "flask_securest: client certificate (subject)": certificate,
        "flask_securest: introspection (cached)": introspection,
    }


def report_kerberos() -> None:
    """Print what a Kerberos ticket costs over the unprotected request, with a real one, accepted again and again."""
    try:
        from servers.kdc import REALM, SERVICE, Kdc, make_token

        from flask_securest.authentication_providers.kerberos import KerberosAuthenticator

        with tempfile.TemporaryDirectory() as directory:
            kdc = Kdc(Path(directory))
            os.environ.update({**kdc.environ, "KRB5RCACHENAME": "none:"})
            kdc.admin("addprinc -pw alicepw alice", f"addprinc -randkey {SERVICE}", f"ktadd -k {kdc.keytab} {SERVICE}")
            with kdc.run():
                ticket = base64.b64encode(make_token(kdc.login("alice", "alicepw"))[0]).decode()
            provider = KerberosAuthenticator(principal=f"{SERVICE}@{REALM}", keytab=kdc.keytab)
            job = Job(securest(provider), request(authorization=f"Negotiate {ticket}"))
            unprotected = Job(restful()[0], request())
            over = []
            for _ in range(1000):
                times = []
                for each in (unprotected, job):
                    started = perf_counter()
                    call(each)
                    times.append(perf_counter() - started)
                over.append((times[1] - times[0]) * 1e6)
    except BaseException as error:  # skipping is what the tests do without the servers, and no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        print(f"\nKerberos could not be measured: {error}")
        return
    print(f"\n{'flask_securest: Kerberos ticket':40} {statistics.median(over):9.1f} µs over the unprotected request")
