"""Small real things that the tests are made of."""

import base64
import os
import re
import time
from datetime import datetime, timedelta, timezone
from types import FunctionType

from flask import Flask
from flask_restful import Api, Resource
from servers.redis import PATIENCE

from flask_securest import SecuREST, User, current_identity, current_user
from flask_securest.authentication_providers import (
    AbstractAuthenticationProvider,
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.passwords import PasswordHasher
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.redis import RedisTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import SimpleUserstore

#: As weak as argon2 goes, so that a test takes milliseconds.
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

KEY = "key-of-ci-7f6b0e0b"
SECRET_KEY = "a secret key of the tests, long enough"


def how_many(few, many):
    """Return how often something is tried: few times, and many by ``make test-long``, which sets AT_LENGTH."""
    return many if os.environ.get("AT_LENGTH") else few


def show(value):
    """Return what a parameter is called: the same in every run, so that the tests can be run in several processes."""
    # Sets, addresses, times, and keys that are made anew.
    shown = re.sub(r"{('[^':]*'(?:, '[^':]*')*)}", lambda names: str(sorted(names[1].split(", "))), repr(value))
    return re.sub(r" at 0x[0-9a-f]+|datetime\.datetime\(.*?\)|[\w-]{40,}", "", shown)[:60]


class Who(Resource):
    """Say who is calling, and count how often it was constructed and run."""

    constructed = 0
    ran = 0

    def __init__(self):
        type(self).constructed += 1

    def get(self):
        type(self).ran += 1
        return who()

    def post(self):
        type(self).ran += 1
        return who()


def who():
    return {
        "user": current_user.username if current_user else None,
        "provider": current_identity.provider if current_identity else None,
    }


def new_who(name="Who", base=Who, **members):
    """Return a fresh Resource class like Who."""
    return type(name, (base,), {"constructed": 0, "ran": 0, **members})


def make_userstore():
    return SimpleUserstore(
        [
            User("alice", FAST.hash("wonderland"), roles=["admin"]),
            User("bob", FAST.hash("builder"), roles=["author"]),
            User("mallory", FAST.hash("malice"), active=False),
            User("robot"),
        ]
    )


def api_key(header="X-API-Key", *, key=KEY, app_name="ci", **options):
    provider = HeaderApiKeyAuthenticator(header, **options)
    provider.register_key(key, app_name)
    return provider


def chain_of_three():
    return [api_key(), PasswordAuthenticator(password_hasher=FAST), TokenAuthenticator(SECRET_KEY)]


def secured(*resources, providers=None, api_options=(), **options):
    """Return an application with an Api whose resources are at /<class name>, guarded."""
    app = Flask("tests")
    api = Api(app, **dict(api_options))
    for resource in resources:
        api.add_resource(resource, f"/{resource.__name__.lower()}")
    options.setdefault("userstore", make_userstore())
    securest = SecuREST(api, authentication_providers=chain_of_three() if providers is None else providers, **options)
    return app, api, securest


def basic(username, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def with_key(key=KEY, header="X-API-Key"):
    return {header: key}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


ALICE = basic("alice", "wonderland")
BOB = basic("bob", "builder")


class Scripted(AbstractAuthenticationProvider):
    """Answer what it is told to, and count how often it is asked."""

    credential_headers = ("X-Scripted",)

    def __init__(self, answer=None, *, name="scripted", challenge=None):
        self.answer = answer
        self.name = name
        self.asked = 0
        self.challenge_value = challenge

    def authenticate(self, request, userstore):
        self.asked += 1
        answer = self.answer(request) if isinstance(self.answer, FunctionType) else self.answer
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        return answer

    def challenge(self, realm, error=None):
        return self.challenge_value


def in_whole_seconds(**length):
    """Return the time after so long (``hours=1``), in whole seconds, as stores keep it."""
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(**length)


def wait_until(condition, seconds=60):
    """Wait for what happens soon. How soon depends on who else uses the machine, so it is waited for patiently."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def make_tokenstore(kind, request, tmp_path, **options):
    """Return an empty store for sessions: in memory, in a file, or on the server of the module's fixture.

    :param kind: ``"memory"``, ``"SQLite"``, ``"PostgreSQL"`` or ``"Redis"``
    :param request: pytest's fixture
    :param tmp_path: for SQLite
    :param options: arguments of the one in Redis
    """
    if kind == "memory":
        return SimpleTokenstore()
    if kind == "SQLite":
        return SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db")
    if kind == "PostgreSQL":
        return SQLAlchemyTokenstore(request.getfixturevalue("postgresql_server").new_url())
    return RedisTokenstore(request.getfixturevalue("redis_server").new_url(), **{"timeout": PATIENCE, **options})
