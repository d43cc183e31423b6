"""A to-do API: an API key for a machine, Basic for people, tokens for both, and one probe that is open to all.

Its users and keys are in a database. ``make demo`` makes some with ``flask securest ...``, and runs it.
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
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.passwords import OWASP_ARGON2ID, PasswordHasher
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

# SQLite is the embedded default; "postgresql://..." does the same for many machines.
DATABASE = os.environ.get("TODO_DATABASE", "sqlite:///todo.db")
users = SQLAlchemyUserstore(DATABASE)
keys = SQLAlchemyKeystore(DATABASE, prefix="todo")

passwords = PasswordAuthenticator(password_hasher=PasswordHasher(**OWASP_ARGON2ID))
# A random secret is one process's own: with several workers, or to survive a restart, set TOKEN_SECRET_KEY.
tokens = TokenAuthenticator(os.environ.get("TOKEN_SECRET_KEY") or secrets.token_bytes(32), expires_in_seconds=600)

logging.basicConfig(format="%(levelname)s %(message)s")
logging.getLogger("flask_securest").setLevel(logging.INFO)  # tells why a request was refused

app = Flask(__name__)
api = Api(app)
securest = SecuREST(
    api,
    userstore=users,
    authentication_providers=[HeaderApiKeyAuthenticator("X-API-Key", keystore=keys), passwords, tokens],
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
        issued = {
            "access_token": tokens.generate_auth_token(current_user),
            "token_type": "Bearer",
            "expires_in": tokens.expires_in_seconds,
        }
        # A cache that kept it would hand it to the next one who asks (RFC 6749, section 5.1).
        return issued, 200, {"Cache-Control": "no-store", "Pragma": "no-cache"}


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
  curl -H "X-API-Key: $(cat {key_file})" {url}/me     # a machine, by its key
  curl -u alice:wonderland {url}/me                   # a person, by name and password
  curl -u bob:builder -X DELETE {url}/todos/1         # 403: bob is no admin
  curl -u alice:wonderland -X DELETE {url}/todos/1    # alice is
  curl -u bob:builder -H 'Content-Type: application/json' -d '{{"task": "try it"}}' {url}/todos
  curl -u bob:builder -X POST {url}/tokens            # a token, for:
  curl -H 'Authorization: Bearer <access_token>' {url}/me

Which of its methods ask for what:
"""

if __name__ == "__main__":
    print(WHAT_TO_TRY.format(url=sys.argv[1], key_file=sys.argv[2]))
    print("Who may call what:")
    for route in securest.route_census():
        print(f"  {route.verb:6} {route.url:20} {route.access:8} {route.requirement or route.reason}")
    print("\nCtrl-C ends it.")
