"""Mechanisms that turn the credentials of a request into a verified caller."""

from typing import TYPE_CHECKING

from ..support.lazily import load_lazily
from .abstract import AbstractAuthenticationProvider

if TYPE_CHECKING:
    from .api_key import HeaderApiKeyAuthenticator
    from .password import PasswordAuthenticator
    from .token import TokenAuthenticator

__all__ = [
    "AbstractAuthenticationProvider",
    "HeaderApiKeyAuthenticator",
    "PasswordAuthenticator",
    "TokenAuthenticator",
]

__getattr__, __dir__ = load_lazily(
    __name__,
    {
        "AbstractAuthenticationProvider": "abstract",
        "HeaderApiKeyAuthenticator": "api_key",
        "PasswordAuthenticator": "password",
        "TokenAuthenticator": "token",
    },
)
