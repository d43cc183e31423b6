"""The examples for Auth0 and Keycloak run as they stand, with an issuer that answers like these, over TLS."""

import http.client
import http.server
import json
import os
import ssl
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from helpers import bearer
from servers.process import free_port, running
from servers.slapd import write_certificates

EXAMPLES = Path(__file__).parents[2] / "examples"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Publish discovery and keys of an issuer at a path of its own."""

    def __init__(self, port, path):
        self.url = f"https://127.0.0.1:{port}{path}"
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        below = path.rstrip("/")
        self.documents = {
            f"{below}/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"https://127.0.0.1:{port}{below}/keys",
            },
            f"{below}/keys": {"keys": [{**public, "kid": "key-1", "use": "sig", "alg": "RS256"}]},
        }

    @contextmanager
    def running(self, port, directory):
        documents = self.documents

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(documents[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        write_certificates(directory, "127.0.0.1")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(directory / "server.pem", directory / "server.key")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def sign(self, key=KEY, *, algorithm="RS256", typ="JWT", **claims):
        now = int(time.time())
        claims = {"iss": self.url, "iat": now, "exp": now + 600, "jti": "token-1", **claims}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "key-1", "typ": typ})


@contextmanager
def running_example(name, directory, path, make_environ):
    """Run an example with the command of its docstring; yield the issuer, and a function that asks it."""
    issuer_port, port = free_port(), free_port()
    issuer = Issuer(issuer_port, path)
    environ = os.environ | make_environ(issuer_port) | {"SSL_CERT_FILE": str(directory / "ca.pem")}
    command = [sys.executable, "-W", "error", "-m", "flask", "--app", str(EXAMPLES / name), "run", "--port", str(port)]

    def ask(method, path, token=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {} if token is None else bearer(token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text.strip() else None

    with issuer.running(issuer_port, directory), running(command, port, directory / "log", env=environ, cwd=directory):
        yield issuer, ask
    assert "Traceback" not in (directory / "log").read_text()


AUDIENCE = "https://todo.example.com"


@pytest.fixture(scope="module")
def auth0(tmp_path_factory):
    def make_environ(port):
        return {"AUTH0_DOMAIN": f"127.0.0.1:{port}", "AUTH0_AUDIENCE": AUDIENCE}

    with running_example("auth0.py", tmp_path_factory.mktemp("auth0"), "/", make_environ) as example:
        yield example


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory):
    def make_environ(port):
        url = f"https://127.0.0.1:{port}/"
        return {"KEYCLOAK_URL": url, "KEYCLOAK_REALM": "staff", "KEYCLOAK_AUDIENCE": "todo-api"}

    directory = tmp_path_factory.mktemp("keycloak")
    with running_example("keycloak.py", directory, "/realms/staff", make_environ) as example:
        yield example


class TestAuth0:
    def sign(self, issuer, *arguments, **claims):
        common = {
            "sub": "auth0|alice",
            "aud": [AUDIENCE, f"{issuer.url}userinfo"],
            "azp": "spa-client",
            "scope": "openid profile create:todos",
        }
        return issuer.sign(*arguments, **common | claims)

    def test_permissions_are_scopes_and_what_an_application_asked_for_is_not(self, auth0):
        issuer, ask = auth0
        token = self.sign(issuer, permissions=["read:todos"])
        assert ask("GET", "/todos", token)[0] == 200
        assert ask("POST", "/todos", token, {"task": "x"}) == (403, {"message": "Forbidden"})
        assert ask("GET", "/me", token) == (
            200,
            {"username": "auth0|alice", "client": "spa-client", "permissions": ["read:todos"]},
        )

    def test_a_machine_may_do_what_it_has_permission_for(self, auth0):
        issuer, ask = auth0
        token = self.sign(issuer, sub="m2m@clients", aud=AUDIENCE, permissions=["create:todos"], typ="at+jwt")
        status, created = ask("POST", "/todos", token, {"task": "try it"})
        assert status == 201
        assert list(created.values()) == [{"task": "try it", "by": "m2m@clients"}]

    def test_without_permissions_there_are_none(self, auth0):
        issuer, ask = auth0
        token = self.sign(issuer)
        assert ask("GET", "/me", token)[1]["permissions"] == []
        assert ask("GET", "/todos", token)[0] == 403

    def test_what_is_no_token_for_it_is_refused(self, auth0):
        issuer, ask = auth0
        wrong = {
            "of another API": self.sign(issuer, aud="https://another.example.com"),
            "an ID token": self.sign(issuer, aud="spa-client"),
            "without an audience": self.sign(issuer, aud=[]),
            "of another tenant": self.sign(issuer, iss="https://other.eu.auth0.com/"),
            "without the slash": self.sign(issuer, iss=issuer.url.rstrip("/")),
            "expired": self.sign(issuer, exp=int(time.time()) - 120),
            "forged": self.sign(issuer, OTHER_KEY),
            "of a shared secret": self.sign(issuer, "a secret of thirty-two bytes, or more", algorithm="HS256"),
            "garbage": "x",
        }
        for what, token in wrong.items():
            assert ask("GET", "/me", token) == (401, {"message": "Unauthorized User"}), what
        assert ask("GET", "/me")[0] == 401
        assert ask("GET", "/health") == (200, {"status": "ok"})


class TestKeycloak:
    def sign(self, issuer, *arguments, typ="JWT", **claims):
        common = {
            "sub": "5b9dbd0c-7c2c-4a3f-8fd1-6d1f0b6a6c11",
            "aud": ["todo-api", "account"],
            "azp": "spa",
            "preferred_username": "alice",
            "scope": "profile email",
            "realm_access": {"roles": ["offline_access", "todo-admin"]},
        }
        return issuer.sign(*arguments, typ=typ, **common | claims)

    def test_the_roles_of_the_realm_are_those_of_the_user(self, keycloak):
        issuer, ask = keycloak
        admin, other = self.sign(issuer), self.sign(issuer, realm_access={"roles": ["offline_access"]})
        assert ask("GET", "/me", admin) == (
            200,
            {
                "id": "5b9dbd0c-7c2c-4a3f-8fd1-6d1f0b6a6c11",
                "name": "alice",
                "client": "spa",
                "roles": ["offline_access", "todo-admin"],
            },
        )
        assert ask("GET", "/todos", other)[0] == 200
        assert ask("DELETE", "/todos/1", other) == (403, {"message": "Forbidden"})
        assert ask("DELETE", "/todos/1", admin)[0] == 204
        assert list(ask("GET", "/todos", admin)[1]) == ["2"]

    def test_a_machine_without_roles_has_none(self, keycloak):
        issuer, ask = keycloak
        claims = {"iss": issuer.url, "aud": "todo-api", "sub": "service", "exp": int(time.time()) + 60}
        token = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "key-1"})
        assert ask("GET", "/me", token) == (200, {"id": "service", "name": None, "client": None, "roles": []})
        assert ask("DELETE", "/todos/2", token)[0] == 403

    def test_what_is_no_token_for_it_is_refused(self, keycloak):
        issuer, ask = keycloak
        wrong = {
            "as Keycloak makes them of itself": self.sign(issuer, aud="account"),
            "of another realm": self.sign(issuer, iss=issuer.url.replace("staff", "customers")),
            "a log-out token": self.sign(issuer, typ="logout+jwt"),
            "expired": self.sign(issuer, exp=int(time.time()) - 120),
            "forged": self.sign(issuer, OTHER_KEY),
            "a refresh token": self.sign(
                issuer, "a secret that Keycloak keeps to itself, long enough for HS512" * 2, algorithm="HS512"
            ),
            "roles that are none": self.sign(issuer, realm_access={"roles": {"todo-admin": False}}),
        }
        for what, token in wrong.items():
            assert ask("DELETE", "/todos/2", token) == (401, {"message": "Unauthorized User"}), what
        assert ask("GET", "/me")[0] == 401
        assert ask("GET", "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize("name", ["auth0", "keycloak"])
def test_an_example_names_every_setting_that_it_reads_in_its_docstring(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    docstring, _, code = text.partition('"""\n\nimport')
    settings = {
        line.partition('os.environ["')[2].partition('"]')[0] for line in code.splitlines() if "environ[" in line
    }
    assert settings
    for setting in settings:
        assert f"{setting}=" in docstring
