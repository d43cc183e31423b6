"""Signed tokens of our own, as bearer tokens (RFC 6750): ``Authorization: Bearer eyJzdWIi...Zw.aR8x0Q.pV2...``.

A token is ``payload.time.signature`` in unpadded base64url (RFC 4648, section 5), made and checked by itsdangerous:
the payload is JSON with ``sub``, the user's name, and ``scope``, a list, if the token is limited to scopes; the time
is that of signing, in seconds since 1970; the signature is HMAC-SHA256.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, SignatureExpired, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm
from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ..models import Identity, User, UserModel, collect_names
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider
from .headers import environ_key, format_challenge, read_authorization, read_header

# Keeps a token of ours apart from whatever else is signed with the same secret key.
_SALT = b"flask_securest.authentication_providers.token"


# Base64 has several spellings for the same bytes, and its decoder passes over foreign characters: without this a token
# with a stray byte in its signature would verify, and get past any list of tokens that were revoked. The last character
# of a signature of 32 bytes carries four bits: only these sixteen are written by an encoder.
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


class _HmacSha256(SigningAlgorithm):
    """Sign with HMAC-SHA256 in one call, which takes half the time of itsdangerous' own."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class TokenAuthenticator(AbstractAuthenticationProvider):
    """Issue signed tokens, and know users by them.

    The user is looked up in the userstore on every use, so that a token ends with its user. An API without a
    userstore takes the name from the token.

    :param secret_key: what new tokens are signed with; long and random, the same in every process
    :param fallback_secret_keys: former keys, which only verify: tokens signed with them are good until they expire
    :param expires_in_seconds: how long a token is good for, in whole seconds
    :param header: a header that carries the bare token, instead of ``Authorization: Bearer``
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an empty key, or an argument of the wrong type
    """

    def __init__(
        self,
        secret_key: str | bytes,
        *,
        fallback_secret_keys: Iterable[str | bytes] = (),
        expires_in_seconds: int = 600,
        header: str | None = None,
        name: str = "token",
    ) -> None:
        if isinstance(expires_in_seconds, bool) or not isinstance(expires_in_seconds, int) or expires_in_seconds <= 0:
            raise ConfigurationError(f"expires_in_seconds must be a whole number above 0, not {expires_in_seconds!r}")
        if isinstance(fallback_secret_keys, (str, bytes)) or not isinstance(fallback_secret_keys, Iterable):
            raise ConfigurationError(
                f"fallback_secret_keys must be a list of keys, not of type {type(fallback_secret_keys).__name__}"
            )
        self.name = name
        self.header = header
        self.expires_in_seconds = expires_in_seconds
        self._environ_key = None if header is None else environ_key(header)
        if header is not None:
            self.credential_headers = (header,)
        # itsdangerous wants its keys oldest first, and signs with the last one. The other way round new tokens would
        # be signed with the very key that is being retired.
        self._signer = _make_signer([*reversed([*fallback_secret_keys]), secret_key])

    def generate_auth_token(self, user: UserModel | str, *, scopes: Collection[str] | None = None) -> str:
        """Return a new token.

        :param user: whose token it is; a user or a user name
        :param scopes: what the token is limited to; ``None`` for no limit
        :raises ValueError: nobody: an empty name, or an anonymous ``current_user``
        :raises TypeError: ``scopes="read"``
        """
        username = user if isinstance(user, str) else getattr(user, "username", None)
        if not isinstance(username, str) or not username:
            raise ValueError("a token must belong to somebody: user is empty, anonymous, or no user")
        claims: dict[str, Any] = {"sub": username}
        if scopes is not None:
            claims["scope"] = sorted(collect_names(scopes, what="scopes"))
        payload = base64_encode(json.dumps(claims, separators=(",", ":")))
        return self._signer.sign(payload).decode("ascii")

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        if self._environ_key is not None:
            token = read_header(request, self._environ_key)
        else:
            token = read_authorization(request, "bearer")
        if token is None:
            return None
        username, scopes, signed_at = self._verify(token)
        if userstore is None:
            user: UserModel | None = User(username)
        else:
            user = userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a token of a user that is gone")
        expires_at = signed_at + timedelta(seconds=self.expires_in_seconds)
        return Identity(user, self.name, scopes=scopes, expires_at=expires_at)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        if self.header is not None:
            return format_challenge("Token", realm=realm, header=self.header)
        return format_challenge("Bearer", realm=realm, error=error)

    def _verify(self, token: bytes) -> tuple[str, list[str] | None, datetime]:
        """Return what the token says: the user's name, the scopes, and when it was signed.

        :raises ExpiredCredentialsError: it is too old
        :raises BadCredentialsError: it was not signed by us, or is not written as we write tokens
        """
        if not _TOKEN.fullmatch(token):
            raise BadCredentialsError("a token that is not written as we write tokens")
        try:
            payload, signed_at = self._signer.unsign(token, max_age=self.expires_in_seconds, return_timestamp=True)
        except SignatureExpired:
            raise ExpiredCredentialsError("a token that has expired") from None
        except BadData:
            raise BadCredentialsError("a token that was not signed with our keys") from None
        try:
            claims = json.loads(base64_decode(payload))
            username, scopes = claims["sub"], claims.get("scope")
        except (BadData, ValueError, KeyError, TypeError):
            username, scopes = None, None
        if not isinstance(username, str) or not username:
            raise BadCredentialsError("a token of ours with a payload that is not ours")
        return username, scopes, signed_at


def _make_signer(secret_keys: list[Any]) -> TimestampSigner:
    """Return a signer that signs with the last key, and verifies with all of them."""
    for key in secret_keys:
        if not isinstance(key, (str, bytes)) or not key.strip():
            raise ConfigurationError(
                f"a secret key must be a string or bytes, not empty; one is of type {type(key).__name__}"
            )
    deriving = TimestampSigner(secret_keys, _SALT, key_derivation="hmac", digest_method=hashlib.sha256)
    # The derived keys never change: without this they would be made anew for every token.
    derived_keys = [deriving.derive_key(key) for key in deriving.secret_keys]
    return TimestampSigner(derived_keys, _SALT, key_derivation="none", algorithm=_HmacSha256())
