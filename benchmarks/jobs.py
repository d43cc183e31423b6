"""The same jobs done by several libraries, each as a WSGI application and the environ of one request to it.

A job is named ``<library>: <what it does>``; its overhead is over ``<library's framework>: unprotected``.
"""

import base64
import io
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Flask
from flask_restful import Api, Resource

from flask_securest import SecuREST, User, public
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.userstores import SimpleUserstore

Environ = dict[str, Any]

KEY = "key-7f6b0e0b6d1c4f0e8a4c1f3e5b7d9a2c"
SECRET_KEY = "a secret key of the benchmarks, long enough"
MANY = (1, 1_000, 100_000)

#: The framework whose unprotected request a library's overhead is measured over; else it is one itself.
UNPROTECTED = dict.fromkeys(("flask_securest", "Flask-HTTPAuth", "Flask-JWT-Extended", "Authlib"), "Flask-RESTful")


def api_key(number: int) -> str:
    """Return the name of the job of knowing one of so many API keys."""
    return f"API key ({number:,} known)"


class Job(NamedTuple):
    """Hold a job: a WSGI application, a request to it, and the status that it is to be answered with."""

    app: Callable[..., Any]
    environ: Environ
    status: str = "200"


def request(**headers: str) -> Environ:
    """Return the environ of ``GET /resource`` as a server would pass it on."""
    environ: Environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/resource",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "benchmark",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return environ | {f"HTTP_{name.upper()}": value for name, value in headers.items()}


class Todo(Resource):
    """What is protected."""

    def get(self) -> dict[str, Any]:
        """Return a to-do."""
        return {"task": "measure", "done": False}


def restful(resource: type = Todo) -> tuple[Flask, Api]:
    """Return an application with one Resource."""
    app = Flask("benchmark")
    api = Api(app)
    api.add_resource(resource, "/resource")
    return app, api


def securest(*providers: Any, resource: type = Todo, userstore: Any = None) -> Flask:
    """Return an application with one Resource, guarded by flask_securest."""
    app, api = restful(resource)
    SecuREST(api, userstore=userstore, authentication_providers=providers)
    return app


def other_keys(number: int) -> list[str]:
    """Return so many keys that are not sent."""
    return [f"other-{index:032}" for index in range(number)]


def securest_api_key(number: int) -> Job:
    """Return the job of knowing one of so many API keys."""
    provider = HeaderApiKeyAuthenticator("X-API-Key")
    for key in [*other_keys(number - 1), KEY]:
        provider.register_key(key, "client")
    return Job(securest(provider), request(x_api_key=KEY))


def securest_jobs() -> dict[str, Callable[[], Job]]:
    """Return the jobs of flask_securest."""
    keys = HeaderApiKeyAuthenticator("X-API-Key")
    keys.register_key(KEY, "client")
    chain = [PasswordAuthenticator(), TokenAuthenticator(SECRET_KEY), keys]
    users = SimpleUserstore([User("alice")])
    opened = public(reason="to measure the guards alone")(type("Opened", (Todo,), {}))

    def by_token(userstore: Any) -> Job:
        tokens = TokenAuthenticator(SECRET_KEY)  # each serves one userstore
        environ = request(authorization=f"Bearer {tokens.generate_auth_token('alice')}")
        return Job(securest(tokens, userstore=userstore), environ)

    return {
        "guards alone (public)": lambda: Job(securest(keys, resource=opened), request()),
        **{api_key(number): partial(securest_api_key, number) for number in MANY},
        "token": lambda: by_token(None),
        "token, user looked up": lambda: by_token(users),
        "third of three": lambda: Job(securest(*chain, userstore=users), request(x_api_key=KEY)),
        "refusal": lambda: Job(securest(keys), request(), "401"),
    }


def httpauth_jobs() -> dict[str, Callable[[], Job]]:
    """Return the jobs of Flask-HTTPAuth, as its documentation does them."""
    from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth, MultiAuth
    from itsdangerous import URLSafeTimedSerializer

    serializer = URLSafeTimedSerializer(SECRET_KEY)

    def by_key(number: int = 1) -> Any:
        auth = HTTPTokenAuth(header="X-API-Key")
        clients = dict.fromkeys([*other_keys(number - 1), KEY], "client")
        auth.verify_token(clients.get)
        return auth

    def by_token() -> Any:
        auth = HTTPTokenAuth("Bearer")
        auth.verify_token(lambda token: serializer.loads(token, max_age=600)["sub"])
        return auth

    def by_password() -> Any:
        auth = HTTPBasicAuth()
        auth.verify_password(lambda username, password: None)
        return auth

    def protected(auth: Any) -> Flask:
        return restful(type("Protected", (Todo,), {"method_decorators": [auth.login_required]}))[0]

    def api_key_of(number: int) -> Job:
        return Job(protected(by_key(number)), request(x_api_key=KEY))

    return {
        **{api_key(number): partial(api_key_of, number) for number in MANY},
        "token": lambda: Job(
            protected(by_token()), request(authorization=f"Bearer {serializer.dumps({'sub': 'alice'})}")
        ),
        "third of three": lambda: Job(
            protected(MultiAuth(by_password(), by_token(), by_key())), request(x_api_key=KEY)
        ),
        "refusal": lambda: Job(protected(by_key()), request(), "401"),
    }


def rebar_jobs() -> dict[str, Callable[[], Job]]:
    """Return the jobs of Flask-Rebar, which has handlers of its own instead of Resources."""
    from flask_rebar import HeaderApiKeyAuthenticator as RebarKeys
    from flask_rebar import Rebar, errors
    from flask_rebar.authenticators import Authenticator

    class Never(Authenticator):
        def authenticate(self) -> None:
            raise errors.Unauthorized

    def by_key(number: int = 1) -> Any:
        authenticator = RebarKeys(header="X-API-Key")
        for key in [*other_keys(number - 1), KEY]:
            authenticator.register_key(key=key, app_name="client")
        return authenticator

    def app_with(*authenticators: Any) -> Flask:
        app = Flask("benchmark")
        rebar = Rebar()
        registry = rebar.create_handler_registry(default_authenticators=list(authenticators))

        @registry.handles(rule="/resource", method="GET")
        def get_todo() -> dict[str, Any]:
            return {"task": "measure", "done": False}

        rebar.init_app(app)
        return app

    def api_key_of(number: int) -> Job:
        return Job(app_with(by_key(number)), request(x_api_key=KEY))

    return {
        "unprotected": lambda: Job(app_with(), request()),
        **{api_key(number): partial(api_key_of, number) for number in MANY},
        "third of three": lambda: Job(app_with(Never(), Never(), by_key()), request(x_api_key=KEY)),
        "refusal": lambda: Job(app_with(by_key()), request(), "401"),
    }


def all_jobs() -> dict[str, Callable[[], Job]]:
    """Return how to make each job, by its name."""
    jobs: dict[str, Callable[[], Job]] = {"Flask-RESTful: unprotected": lambda: Job(restful()[0], request())}
    for library, made in (
        ("flask_securest", securest_jobs()),
        ("Flask-HTTPAuth", httpauth_jobs()),
        ("Flask-Rebar", rebar_jobs()),
    ):
        jobs |= {f"{library}: {name}": make for name, make in made.items()}
    return jobs


def make_password_jobs() -> dict[str, Job]:
    """Return the jobs of refusing a name and a password, whose times must not tell why (argon2id as by default)."""
    provider = PasswordAuthenticator()
    hashed = provider.password_hasher.hash("right")
    users = SimpleUserstore([User("known", hashed), User("disabled", hashed, active=False)])
    app = securest(provider, userstore=users)

    def attempt(username: str, password: str) -> Job:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        return Job(app, request(authorization=f"Basic {credentials}"), "401")

    return {
        "wrong password": attempt("known", "wrong"),
        "unknown user": attempt("unknown", "right"),
        "disabled user, right password": attempt("disabled", "right"),
        "disabled user, wrong password": attempt("disabled", "wrong"),
    }


def call(job: Job) -> None:
    """Do a job once, as a server would."""
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        started.append(status)

    body = job.app(dict(job.environ), start_response)
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()
    if not started[0].startswith(job.status):
        raise RuntimeError(f"answered {started[0]}, not {job.status}")
