"""An API for callers who come with access tokens of Keycloak. The roles of the realm are the user's roles here.

In Keycloak, make a client for this API that nobody logs in with ("Client authentication" on, all flows off), and give
the clients that call it a client scope with an "Audience" mapper that names it: of itself, Keycloak says
``aud: account``. Then, with ``pip install "flask_securest[jwt]"``:

    export KEYCLOAK_URL=https://keycloak.example.com KEYCLOAK_REALM=staff KEYCLOAK_AUDIENCE=todo-api
    flask --app examples/keycloak.py run
"""

import os

from flask import Flask
from flask_restful import Api, Resource

from flask_securest import SecuREST, current_identity, current_user, public, require
from flask_securest.authentication_providers.jwt import JWTAuthenticator

URL = os.environ["KEYCLOAK_URL"]  # before Keycloak 17 it ends in /auth
REALM = os.environ["KEYCLOAK_REALM"]
# The audience must be no client that people log in with: the ID tokens of such a one have it as their audience, too.
AUDIENCE = os.environ["KEYCLOAK_AUDIENCE"]

keycloak = JWTAuthenticator(
    issuer=f"{URL.rstrip('/')}/realms/{REALM}",
    audience=AUDIENCE,
    algorithms=["RS256"],  # a realm's default; see "Keys" in its settings
    discovery=True,
    # "sub" never changes. "preferred_username" may be changed, and then be somebody else's.
    username_claim="sub",
    roles_claim="realm_access.roles",  # those of the client itself: f"resource_access.{AUDIENCE}.roles"
    name="keycloak",
)

app = Flask(__name__)
api = Api(app)
securest = SecuREST(api, authentication_providers=[keycloak])

todos = {1: {"task": "build an API"}, 2: {"task": "close it"}}


@api.resource("/todos")
class TodoList(Resource):
    def get(self):  # any token for this API
        return todos


@api.resource("/todos/<int:todo_id>")
class Todo(Resource):
    @require(roles="todo-admin")
    def delete(self, todo_id):
        todos.pop(todo_id, None)
        return "", 204


@api.resource("/me")
class Me(Resource):
    def get(self):
        return {
            "id": current_user.username,
            "name": current_user.attributes["claims"].get("preferred_username"),
            "client": current_identity.app_name,
            "roles": sorted(current_user.roles),
        }


@api.resource("/health")
@public(reason="health probe of the load balancer")
class Health(Resource):
    def get(self):
        return {"status": "ok"}
