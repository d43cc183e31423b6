"""An API for callers who come with access tokens of Auth0. The permissions of a token are its scopes here.

In Auth0, make an API with an identifier of its own (its audience), let it sign with RS256, and switch on "Enable RBAC"
and "Add Permissions in the Access Token". Then, with ``pip install "flask_securest[jwt]"``:

    AUTH0_DOMAIN=example.eu.auth0.com AUTH0_AUDIENCE=https://todo.example.com flask --app examples/auth0.py run
"""

import os

from flask import Flask
from flask_restful import Api, Resource, reqparse

from flask_securest import SecuREST, current_identity, current_user, public, require
from flask_securest.authentication_providers.jwt import JWTAuthenticator

DOMAIN = os.environ["AUTH0_DOMAIN"]  # a tenant, or a domain of its own that the tenant has
AUDIENCE = os.environ["AUTH0_AUDIENCE"]  # the identifier of this API

auth0 = JWTAuthenticator(
    issuer=f"https://{DOMAIN}/",  # with the slash: that is how Auth0 calls itself
    audience=AUDIENCE,
    algorithms=["RS256"],
    discovery=True,
    # Permissions are what an administrator has given to the user, or to the machine. "scope" is what the application
    # has asked for: without RBAC, whatever it likes.
    scope_claims=["permissions"],
    name="auth0",
)

app = Flask(__name__)
api = Api(app)
securest = SecuREST(api, authentication_providers=[auth0])

todos = {1: {"task": "build an API", "by": "auth0|alice"}}
todo_parser = reqparse.RequestParser()
todo_parser.add_argument("task", required=True, location="json")


@api.resource("/todos")
class TodoList(Resource):
    @require(scopes="read:todos")
    def get(self):
        return todos

    @require(scopes="create:todos")
    def post(self):
        todo_id = max(todos) + 1
        todos[todo_id] = {"task": todo_parser.parse_args()["task"], "by": current_user.username}
        return {todo_id: todos[todo_id]}, 201


@api.resource("/me")
class Me(Resource):
    def get(self):  # any token for this API, whatever its permissions
        return {
            "username": current_user.username,  # "auth0|..." of a person, "...@clients" of a machine
            "client": current_identity.app_name,
            "permissions": sorted(current_identity.scopes),
        }


@api.resource("/health")
@public(reason="health probe of the load balancer")
class Health(Resource):
    def get(self):
        return {"status": "ok"}
