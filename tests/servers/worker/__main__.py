"""One worker of an application, of this release or of the one before: only what both of them know is used.

It is run as ``python worker PORT JSON``, with the release that it is to have on ``PYTHONPATH``.
"""

import json
import sys

from flask import Flask
from flask_restful import Api, Resource
from werkzeug.serving import make_server

from flask_securest import SecuREST, current_identity, current_user
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.passwords import PasswordHasher
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores.redis import RedisTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import SimpleUserstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Me(Resource):
    def get(self):
        return {"name": current_user.username, "roles": sorted(current_user.roles), "app": current_identity.app_name}


def make_app(said):
    """Return the application: users in a database, and others of the same names with a provider."""
    url = said["tokens"]
    store = RedisTokenstore(url) if url.startswith("redis") else SQLAlchemyTokenstore(url)
    tokens = TokenAuthenticator("a secret key of the tests, long enough", store=store)
    second = SimpleUserstore({"users": said["second"]})
    users = SQLAlchemyUserstore(said["users"])
    chain = [
        HeaderApiKeyAuthenticator(keystore=SQLAlchemyKeystore(said["users"])),
        PasswordAuthenticator(password_hasher=FAST),
        PasswordAuthenticator(userstore=second, password_hasher=FAST, name="second"),
        tokens,
    ]
    app = Flask("worker")
    api = Api(app)
    securest = SecuREST(api, userstore=users, authentication_providers=chain)
    add_token_resources(api, securest, tokens)
    api.add_resource(Me, "/me")
    return app


if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), make_app(json.loads(sys.argv[2])), threaded=True).serve_forever()
