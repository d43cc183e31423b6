"""Mechanisms that turn the credentials of a request into a verified caller."""

from .abstract import AbstractAuthenticationProvider
from .api_key import HeaderApiKeyAuthenticator
from .password import PasswordAuthenticator
from .token import TokenAuthenticator

__all__ = [
    "AbstractAuthenticationProvider",
    "HeaderApiKeyAuthenticator",
    "PasswordAuthenticator",
    "TokenAuthenticator",
]
