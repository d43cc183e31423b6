"""An API with accounts of one name from everywhere. Only what this release and the one before both know is used."""

from flask import Flask
from flask_restful import Api, Resource

from flask_securest import SecuREST, User, current_identity, current_user
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.authentication_providers.abstract import AbstractAuthenticationProvider
from flask_securest.passwords import PasswordHasher
from flask_securest.token_resources import add_token_resources
from flask_securest.userstores import AbstractVerifyingUserstore, SimpleUserstore
from flask_securest.userstores.ldap import LDAPUserstore

NAME = "root"
MAIN = ["hashes", "no hashes", "LDAP", "no userstore"]
SECOND = ["hashes", "no hashes", "LDAP", "custom", "custom that can be found"]

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

# Of the passwords "main" and "second": every worker has to have the same ones.
_HASHES = {
    "main": "$argon2id$v=19$m=8,t=1,p=1$3ftfa22ttVbK+f+fU8qZsw$xvi2Z18YSOGhBAtC2yQLFPwPidrJIj5L4F5GknTaXR4",
    "second": "$argon2id$v=19$m=8,t=1,p=1$G+N8b20txXgvJYRQSskZAw$7RRS8u9kFPBFX7/I5daP10zIEXGaN6uqNIErAsupnR0",
}


class Verifying(AbstractVerifyingUserstore):
    """Know one account, without telling a hash."""

    def __init__(self, user, password):
        self.user = user
        self.password = password

    def get_user(self, identifier):
        return self.user if identifier == self.user.username else None

    def verify_password(self, username, password):
        return self.get_user(username) if password == self.password else None


class Badge(AbstractAuthenticationProvider):
    """Make up users of its own."""

    name = "second"
    credential_headers = ("X-Badge",)
    user = User(NAME, roles=["second"])

    def authenticate(self, request, userstore):
        return self.user if request.headers.get("X-Badge") == "second" else None


class FindableBadge(Badge):
    def find_user(self, username, issuer=None):
        return self.user if username == self.user.username else None


class Me(Resource):
    def get(self):
        return {
            "name": current_user.username,
            "roles": sorted(current_user.roles),
            "origin": getattr(current_identity, "origin", "?"),
            "app": current_identity.app_name,
        }


def make_users(kind, label, ldap):
    """Return a userstore in which root has the password and the role ``label``."""
    if kind == "hashes":
        return SimpleUserstore([User(NAME, _HASHES[label], roles=[label])])
    if kind == "no hashes":
        return Verifying(User(NAME, roles=[label]), label)
    if kind == "no userstore":
        return None
    places = ldap.pop("places")
    return LDAPUserstore(**ldap, base_dn=places[label], groups=None)


def make_app(main, second, store, keystore, ldap):
    """Return an application, and what issues its tokens.

    :param main: the kind of the API's userstore
    :param second: the kind of the provider's
    :param store: where sessions are kept, or ``None``
    :param keystore: the keystore
    :param ldap: the arguments of the directory, and where in it each has its people
    """
    tokens = TokenAuthenticator("a secret key of the tests, long enough", store=store)
    users = make_users(main, "main", dict(ldap))
    if second.startswith("custom"):
        provider = Badge() if second == "custom" else FindableBadge()
    else:
        own = make_users(second, "second", dict(ldap))
        provider = PasswordAuthenticator(userstore=own, password_hasher=FAST, name="second")
    first = [] if users is None else [PasswordAuthenticator(password_hasher=FAST)]
    app = Flask("namesakes")
    api = Api(app)
    chain = [HeaderApiKeyAuthenticator(keystore=keystore), *first, provider, tokens]
    securest = SecuREST(api, userstore=users, authentication_providers=chain)
    add_token_resources(api, securest, tokens)
    api.add_resource(Me, "/me")
    app.securest = securest
    return app, tokens
