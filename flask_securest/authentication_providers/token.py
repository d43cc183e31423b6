"""Signed tokens of our own, as bearer tokens (RFC 6750): ``Authorization: Bearer eyJzdWIi...Zw.aR8x0Q.pV2...``.

A token is ``payload.time.signature`` in unpadded base64url (RFC 4648, section 5), as itsdangerous makes it: the payload
is JSON with ``sub``, the user's name, ``exp``, when it ends, and ``scope``, a list, if the token is limited to scopes;
``time`` is that of signing; both times are in seconds since 1970. The signature is HMAC-SHA256.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import struct
from collections.abc import Collection, Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int
from itsdangerous.signer import SigningAlgorithm
from werkzeug.wrappers import Request

from ..checks import require_list, require_name
from ..errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ..logs import get_logger
from ..models import Identity, User, UserModel, collect_names
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider
from .headers import MAX_CREDENTIALS_BYTES, environ_key, format_challenge, read_authorization, read_header

_log = get_logger(__name__)

#: A secret key that is shorter can be guessed.
_FEW_BYTES = 16

#: A century: what is meant to be for ever.
_MOST_SECONDS = 100 * 366 * 24 * 3600

#: How far the clock of the process that signed may be ahead of ours.
_MOST_SECONDS_AHEAD = 60

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

    A token is good wherever its secret key is: give each kind of token (and each userstore) a key of its own.

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
        if isinstance(expires_in_seconds, bool) or not isinstance(expires_in_seconds, int):
            raise ConfigurationError(f"expires_in_seconds must be a whole number, not {expires_in_seconds!r}")
        if not 0 < expires_in_seconds <= _MOST_SECONDS:
            raise ConfigurationError(f"expires_in_seconds must be from 1 to {_MOST_SECONDS}, not {expires_in_seconds}")
        self.name = require_name(name, "name of TokenAuthenticator")
        self.header = header
        self.expires_in_seconds = expires_in_seconds
        if header is not None:
            environ_key(header)
            self.credential_headers = (header,)
        # itsdangerous wants its keys oldest first, and signs with the last one. The other way round new tokens would
        # be signed with the very key that is being retired.
        fallbacks = require_list(fallback_secret_keys, "fallback_secret_keys")
        self._signer = _make_signer([*reversed(fallbacks), secret_key])

    def generate_auth_token(self, user: UserModel | str, *, scopes: Collection[str] | None = None) -> str:
        """Return a new token.

        :param user: whose token it is; a user or a user name
        :param scopes: what the token is limited to; ``None`` for no limit
        :raises ValueError: nobody: an empty name, or an anonymous ``current_user``; or more scopes than a header holds
        :raises TypeError: ``scopes="read"``
        """
        username = user if isinstance(user, str) else getattr(user, "username", None)
        if not isinstance(username, str) or not username:
            raise ValueError("a token must belong to somebody: user is empty, anonymous, or no user")
        claims: dict[str, Any] = {"sub": username, "exp": self._signer.get_timestamp() + self.expires_in_seconds}
        if scopes is not None:
            claims["scope"] = sorted(collect_names(scopes, what="scopes"))
        token = self._signer.sign(base64_encode(json.dumps(claims, separators=(",", ":"))))
        if len(token) > MAX_CREDENTIALS_BYTES:
            raise ValueError(f"a token of {len(token)} bytes is longer than any header: give it fewer scopes")
        return token.decode("ascii")

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        own = self.header
        token = read_authorization(request, "bearer") if own is None else read_header(request, own)
        if token is None:
            return None
        claims = self._verify(token)
        if userstore is None:
            user: UserModel | None = User(claims.username)
        else:
            user = userstore.get_user(claims.username)
        if user is None:
            raise BadCredentialsError("a token of a user that is gone")
        expires_at = datetime.fromtimestamp(claims.expires_at, timezone.utc)
        return Identity(user, self.name, scopes=claims.scopes, expires_at=expires_at)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        if self.header is not None:
            return format_challenge("Token", realm=realm, header=self.header)
        return format_challenge("Bearer", realm=realm, error=error)

    def _verify(self, token: bytes) -> _Claims:
        """Return what the token says.

        :raises ExpiredCredentialsError: it is too old
        :raises BadCredentialsError: it was not signed by us, or is not written as we write tokens
        """
        if not _TOKEN.fullmatch(token):
            raise BadCredentialsError("a token that is not written as we write tokens")
        signed, _, signature = token.rpartition(b".")
        # Not unsign(), whose error keeps itself, and with it the request, in memory until the next garbage collection.
        if not self._signer.verify_signature(signed, signature):
            raise BadCredentialsError("a token that was not signed with our keys")
        claims = _read(signed)
        now = self._signer.get_timestamp()
        if claims.signed_at > now + _MOST_SECONDS_AHEAD:
            raise BadCredentialsError("a token from the future")
        # A shorter lifetime that is configured since holds for former tokens too; a longer one revives none.
        expires_at = min(claims.expires_at, claims.signed_at + self.expires_in_seconds)
        if expires_at <= now:
            raise ExpiredCredentialsError("a token that has expired")
        return claims._replace(expires_at=expires_at)


class _Claims(NamedTuple):
    username: str
    scopes: list[str] | None
    signed_at: int
    expires_at: int


def _read(signed: bytes) -> _Claims:
    """Return what has been signed.

    :raises BadCredentialsError: it is signed with our keys, but not what we write
    """
    payload, _, written = signed.rpartition(b".")
    try:
        claims = json.loads(base64_decode(payload))
        read = _Claims(claims["sub"], claims.get("scope"), bytes_to_int(base64_decode(written)), claims["exp"])
    except (BadData, struct.error, ValueError, KeyError, TypeError):
        raise BadCredentialsError("a token of ours with a payload that is not ours") from None
    if not isinstance(read.username, str) or not read.username or type(read.expires_at) is not int:
        raise BadCredentialsError("a token of ours with a payload that is not ours")
    return read


def _make_signer(secret_keys: list[Any]) -> TimestampSigner:
    """Return a signer that signs with the last key, and verifies with all of them."""
    encoded = [_encode_secret_key(key) for key in secret_keys]
    if len(encoded[-1]) < _FEW_BYTES:
        _log.warning("secret_key has %d bytes only: take 32 random ones (RFC 7518, section 3.2)", len(encoded[-1]))
    deriving = TimestampSigner(encoded, _SALT, key_derivation="hmac", digest_method=hashlib.sha256)
    # The derived keys never change: without this they would be made anew for every token.
    derived_keys = [deriving.derive_key(key) for key in encoded]
    return TimestampSigner(derived_keys, _SALT, key_derivation="none", algorithm=_HmacSha256())


def _encode_secret_key(key: Any) -> bytes:
    if not isinstance(key, (str, bytes)) or not key.strip():
        raise ConfigurationError(
            f"a secret key must be a string or bytes, not empty; one is of type {type(key).__name__}"
        )
    if isinstance(key, bytes):
        return key
    # Whoever reads a traceback sees the errors that came before, too: the one of the codec would show the key.
    with contextlib.suppress(UnicodeEncodeError):
        return key.encode()
    raise ConfigurationError("a secret key has half a surrogate pair, which is no text")
