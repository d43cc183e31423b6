"""How a user's own code looks to mypy --strict: checked by ``make lint``, and never run."""

from collections.abc import Collection

from flask import Flask
from flask_restful import Api, Resource
from werkzeug.wrappers import Request

from flask_securest import (
    USE_DEFAULT,
    Identity,
    SecuREST,
    User,
    UserModel,
    authenticators,
    current_identity,
    current_user,
    optional,
    public,
    require,
)
from flask_securest.authentication_providers import (
    AbstractAuthenticationProvider,
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.authorization_providers import AbstractAuthorizationProvider, Decision, Target
from flask_securest.errors import BadCredentialsError
from flask_securest.passwords import OWASP_ARGON2ID, PasswordHasher
from flask_securest.userstores import AbstractUserstore, SimpleUserstore


class Row:
    """A row of somebody's ORM is a user, without inheriting anything."""

    username: str = "alice"
    password: str | None = None
    active: bool = True
    roles: Collection[str] = ()


class MyUserstore(AbstractUserstore):
    def get_user(self, identifier: str) -> UserModel | None:
        return Row() if identifier == "alice" else None


class MyProvider(AbstractAuthenticationProvider):
    name = "mine"
    credential_headers = ("X-Mine",)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> UserModel | Identity | None:
        ticket = request.headers.get("X-Mine")
        if ticket is None:
            return None
        if userstore is None or (user := userstore.get_user(ticket)) is None:
            raise BadCredentialsError("unknown")
        return Identity(user, scopes=["read"])

    def challenge(self, realm: str, error: str | None = None) -> str | None:
        return f'Mine realm="{realm}"'


class MyPolicy(AbstractAuthorizationProvider):
    def authorize(self, identity: Identity, target: Target) -> Decision:
        return Decision("admin" in identity.user.roles, reason=target.endpoint)


api = Api(Flask(__name__))
tokens = TokenAuthenticator(b"secret", fallback_secret_keys=["old"], header="X-Token")
securest = SecuREST(
    api,
    userstore=MyUserstore(),
    authentication_providers=[MyProvider(), HeaderApiKeyAuthenticator(), PasswordAuthenticator(), tokens],
    authorization_provider=MyPolicy(),
    mode="report",
)
securest.userstore = SimpleUserstore([User("alice", PasswordHasher(**OWASP_ARGON2ID).hash("x"), roles=["admin"])])


@securest.error_handler
def refuse(status: int, error: Exception) -> tuple[dict[str, str], int]:
    return {"error": type(error).__name__}, status


@require(roles="admin", any_scope=["read", "write"])
@optional
class Thing(Resource):  # type: ignore[misc]  # Flask-RESTful has no types
    @public(reason="documentation")
    def options(self) -> dict[str, str]:
        return {}

    @authenticators(USE_DEFAULT, MyProvider())
    def get(self) -> dict[str, str]:
        if not current_user or not current_identity:
            return {"name": "anonymous"}
        return {"name": current_user.username, "provider": current_identity.provider or ""}

    @authenticators(None, reason="bypass")
    def post(self) -> str:
        assert current_user
        return tokens.generate_auth_token(current_user, scopes={"read"})


answer: dict[str, str] = Thing().get()
