"""A mechanism of your own: one class with one method. Here a gateway signs the name of whom it has let in, and when."""

import hmac
import time

from flask_securest import User
from flask_securest.authentication_providers import AbstractAuthenticationProvider
from flask_securest.authentication_providers.headers import read_header
from flask_securest.errors import BadCredentialsError, ExpiredCredentialsError


class GatewayAuthenticator(AbstractAuthenticationProvider):
    name = "gateway"
    credential_headers = ("X-Gateway-User",)

    def __init__(self, shared_key):
        self.shared_key = shared_key

    def authenticate(self, request, userstore):
        value = read_header(request, "X-Gateway-User")  # b"alice:1795262400:6c3a..." for example
        if value is None:
            return None  # no credentials of mine: the next provider is asked
        signed, _, signature = value.rpartition(b":")
        expected = hmac.digest(self.shared_key, signed, "sha256").hex().encode()
        if not hmac.compare_digest(signature, expected):
            raise BadCredentialsError("a signature that is not the gateway's")
        username, _, signed_at = signed.decode().rpartition(":")
        if abs(time.time() - int(signed_at)) > 60:
            raise ExpiredCredentialsError("what the gateway has signed some time ago")
        return User(username)
