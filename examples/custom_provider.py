"""A mechanism of your own: one class with one method. Here a gateway signs the name of the user it has let in."""

import hmac

from flask_securest import User
from flask_securest.authentication_providers import AbstractAuthenticationProvider
from flask_securest.authentication_providers.headers import read_header
from flask_securest.errors import BadCredentialsError


class GatewayAuthenticator(AbstractAuthenticationProvider):
    name = "gateway"
    credential_headers = ("X-Gateway-User",)

    def __init__(self, shared_key):
        self.shared_key = shared_key

    def authenticate(self, request, userstore):
        value = read_header(request, "HTTP_X_GATEWAY_USER")  # b"alice:6c3a..." for example
        if value is None:
            return None  # no credentials of mine: the next provider is asked
        username, _, signature = value.rpartition(b":")
        expected = hmac.digest(self.shared_key, username, "sha256").hex().encode()
        if not username or not hmac.compare_digest(signature, expected):
            raise BadCredentialsError("a signature that is not the gateway's")
        return User(username.decode())
