"""A real OpenID Connect issuer: JWTs, opaque tokens, introspection, revocation, and keys that can be rotated."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

from jwt_tokens import jwk, jwks, new_key

from .process import find_program, free_port, running, skip

ROOT = Path(__file__).parents[2]

#: Who gets tokens; and the API, which asks what they are.
CLIENT, CLIENT_SECRET = "svc", "svc-secret-planted-90c2"
API, API_SECRET = "api:of the tests+", "api-secret-planted-1d7e:%+&="

#: The API under two other names: one that sends its secret in the form, and one that signs who it is.
POSTING = {"client_id": "posting", "client_secret": "post-secret-planted-7a:%+&="}
SIGNING = "signing"

#: What opaque tokens are for; JWTs are for ``urn:api:RS256``, ``urn:api:ES256`` and ``urn:api:EdDSA``.
OPAQUE = "urn:api:opaque"


class Issuer:
    """Hold an issuer that can be stopped, started again where it was, and given new keys."""

    def __init__(self, directory, modules, *, seconds=600):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.introspection_url = f"{self.url}/token/introspection"
        self._keys, self._log, self._config = directory / "keys.json", directory / "log", directory / "config.json"
        clients = [(CLIENT, CLIENT_SECRET), (API, API_SECRET)]
        config = {
            "port": self.port,
            "modules": modules,
            "keys": str(self._keys),
            "storage": str(directory / "storage.json"),
            "seconds": seconds,
            "clients": [{"client_id": name, "client_secret": secret} for name, secret in clients]
            + [
                {**POSTING, "token_endpoint_auth_method": "client_secret_post"},
                {
                    "client_id": SIGNING,
                    "token_endpoint_auth_method": "private_key_jwt",
                    "token_endpoint_auth_signing_alg": "ES256",
                    "jwks": jwks(jwk(new_key("P-256", SIGNING), kid="of-the-api", use="sig", alg="ES256")),
                },
            ],
        }
        self._config.write_text(json.dumps(config))
        self._running = None

    def start(self):
        script = Path(__file__).with_suffix("") / "issuer.mjs"
        command = [find_program("node", "nodejs"), str(script), str(self._config)]
        # SIGKILL: it has nothing to say goodbye to, and would wait for its open connections.
        self._running = running(command, self.port, self._log, stop=signal.SIGKILL)
        self.process = self._running.__enter__()

    def stop(self):
        if self._running is not None:
            running, self._running = self._running, None
            running.__exit__(None, None, None)

    @contextmanager
    def frozen(self):
        """Take connections, and answer nothing."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def rotate_keys(self):
        """Start again with other keys, on the same port."""
        self.stop()
        self._keys.unlink()
        self.start()

    def private_keys(self):
        """Return the private keys, as JWKs."""
        return json.loads(self._keys.read_text())["keys"]

    def requests(self):
        """Return what was asked so far: method and path of each request."""
        return [line for line in self._log.read_text().splitlines() if line.startswith(("GET /", "POST /"))]

    def introspections(self):
        """Return how many tokens it was asked about."""
        return self.requests().count("POST /token/introspection")

    def issue(self, resource=OPAQUE, scope="read", username=None):
        """Return the answer with a new token: of the client itself, or, where a name is given, of a person."""
        form = {"resource": resource, "scope": scope}
        if username is None:
            form |= {"grant_type": "client_credentials"}
        else:
            form |= {"grant_type": "password", "username": username}
        return json.loads(self._post("/token", form))

    def token(self, resource=OPAQUE, scope="read", username=None):
        return self.issue(resource, scope, username)["access_token"]

    def revoke(self, token):
        self._post("/token/revocation", {"token": token})

    def _post(self, path, form):
        request = urllib.request.Request(f"{self.url}{path}", urllib.parse.urlencode(form).encode())
        request.add_header("Authorization", "Basic " + b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def _pid(self):
        return self.process.pid


def find_modules():
    """Return where the issuer's packages are, installing them if need be; without them skip the test, saying so."""
    find_program("node", "nodejs")
    find_program("npm", "npm")
    done = subprocess.run(
        [ROOT / ".ci" / "install-issuer"], stdout=subprocess.PIPE, text=True, timeout=300, check=False
    )
    if done.returncode != 0 or not done.stdout:
        skip("the OpenID Connect issuer is not installed (npm): make servers")
    return done.stdout.strip()


@contextmanager
def running_issuer(directory, **options):
    """Run an issuer until the end of the block."""
    issuer = Issuer(directory, find_modules(), **options)
    issuer.start()
    try:
        yield issuer
    finally:
        issuer.stop()
