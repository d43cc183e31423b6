"""A to-do API: an API key for a machine, Basic for people, tokens for both, and one probe that is open to all.

Run it with ``make demo``, or ``python examples/quickstart.py`` to see what to try.
"""

import logging
import os
import secrets
import sys

from flask import Flask
from flask_restful import Api, Resource, reqparse

from flask_securest import SecuREST, authenticators, current_identity, current_user, public, require
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.passwords import OWASP_ARGON2ID, PasswordHasher
from flask_securest.userstores import SimpleUserstore

# In real life the hashes come from your userstore, and the keys from your secrets. These are here to be tried.
hasher = PasswordHasher(**OWASP_ARGON2ID)
users = SimpleUserstore(
    {
        "users": [
            {"username": "alice", "password": hasher.hash("wonderland"), "groups": ["staff"]},
            {"username": "bob", "password": hasher.hash("builder")},
            {"username": "ci"},  # the machine: without it its tokens would be nobody's, see below
        ],
        "groups": [{"name": "staff", "roles": ["admin"]}],
    }
)
api_keys = HeaderApiKeyAuthenticator("X-API-Key")
api_keys.register_key(os.environ.get("CI_API_KEY", "demo-key-of-ci"), app_name="ci")
# A random secret is one process's own: with several workers, or to survive a restart, set TOKEN_SECRET_KEY.
tokens = TokenAuthenticator(os.environ.get("TOKEN_SECRET_KEY") or secrets.token_bytes(32), expires_in_seconds=600)

logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("flask_securest").setLevel(logging.INFO)  # tells why a request was refused

app = Flask(__name__)
api = Api(app)
securest = SecuREST(
    api,
    userstore=users,
    authentication_providers=[api_keys, PasswordAuthenticator(password_hasher=hasher), tokens],
)

todos = {1: {"task": "build an API", "by": "alice"}, 2: {"task": "close it", "by": "bob"}}
todo_parser = reqparse.RequestParser()
todo_parser.add_argument("task", required=True, location="json")


@api.resource("/todos")
class TodoList(Resource):
    def get(self):
        return todos

    def post(self):
        todo_id = max(todos, default=0) + 1
        todos[todo_id] = {"task": todo_parser.parse_args()["task"], "by": current_user.username}
        return {todo_id: todos[todo_id]}, 201


@api.resource("/todos/<int:todo_id>")
class Todo(Resource):
    def get(self, todo_id):
        return todos.get(todo_id) or ({"message": "there is no such to-do"}, 404)

    @require(roles="admin")
    def delete(self, todo_id):
        todos.pop(todo_id, None)
        return "", 204


@api.resource("/tokens")
class Tokens(Resource):
    @authenticators("api-key", "password")  # a token cannot be traded for another one
    def post(self):
        return {
            "access_token": tokens.generate_auth_token(current_user),
            "token_type": "Bearer",
            "expires_in": tokens.expires_in_seconds,
        }


@api.resource("/me")
class Me(Resource):
    def get(self):
        return {"username": current_user.username, "provider": current_identity.provider}


@api.resource("/health")
@public(reason="health probe of the load balancer")
class Health(Resource):
    def get(self):
        return {"status": "ok"}


WHAT_TO_TRY = """\
The API is at {url}. What to try:

  curl -i {url}/todos                                 # 401: nobody has said who it is
  curl {url}/health                                   # open: it says so itself
  curl -H 'X-API-Key: demo-key-of-ci' {url}/todos     # a machine, by its key
  curl -u alice:wonderland {url}/me                   # a person, by name and password
  curl -u bob:builder -X DELETE {url}/todos/1         # 403: bob is no admin
  curl -u alice:wonderland -X DELETE {url}/todos/1    # alice is
  curl -u bob:builder -H 'Content-Type: application/json' -d '{{"task": "try it"}}' {url}/todos
  curl -u bob:builder -X POST {url}/tokens            # a token, for:
  curl -H 'Authorization: Bearer <access_token>' {url}/me

Which of its methods ask for what:
"""

if __name__ == "__main__":
    print(WHAT_TO_TRY.format(url=sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"))
    for route in securest.route_census():
        print(f"  {route.verb:6} {route.url:20} {route.access:8} {route.requirement or route.reason}")
    print()
