"""Write and read signed tokens: ``payload.time.signature`` in unpadded base64url (RFC 4648, section 5).

They are made as itsdangerous makes them. The payload is JSON with ``sub``, the user's name; ``exp``, when it ends; and,
where there is more to say, ``scope``, a list of what the token is limited to; ``sid``, the session that it belongs to;
``pwd``, which changes with the user's password; and ``app``, true for an application, which is no user. ``time`` is
that of signing; both times are in seconds since 1970. The signature is HMAC-SHA256.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import struct
from typing import Any, NamedTuple

from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int
from itsdangerous.signer import SigningAlgorithm

from .errors import BadCredentialsError, ConfigurationError
from .logs import get_logger

_log = get_logger(__name__)

#: A secret key that is shorter can be guessed.
_FEW_BYTES = 16

# Base64 has several spellings for the same bytes, and its decoder passes over foreign characters: without this a token
# with a stray byte in its signature would verify, and get past any list of tokens that were revoked. The last character
# of a signature of 32 bytes carries four bits: only these sixteen are written by an encoder.
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


class _HmacSha256(SigningAlgorithm):
    """Sign with HMAC-SHA256 in one call, which takes half the time of itsdangerous' own."""

    def get_signature(self, secret: bytes, token: bytes) -> bytes:
        return hmac.digest(secret, token, "sha256")


class Claims(NamedTuple):
    """Hold what a token says."""

    username: str
    scopes: list[str] | None
    session_id: str | None
    password_mark: str | None
    is_app: bool
    signed_at: int
    expires_at: int


def make_signer(secret_keys: list[Any], salt: bytes) -> TimestampSigner:
    """Return a signer that signs with the last key, and verifies with all of them.

    :param secret_keys: the keys, the oldest first
    :param salt: keeps what is signed apart from whatever else is signed with the same secret key
    :raises ConfigurationError: an empty key, or one of the wrong type
    """
    encoded = [_encode_secret_key(key) for key in secret_keys]
    if len(encoded[-1]) < _FEW_BYTES:
        _log.warning("secret_key has %d bytes only: take 32 random ones (RFC 7518, section 3.2)", len(encoded[-1]))
    deriving = TimestampSigner(encoded, salt, key_derivation="hmac", digest_method=hashlib.sha256)
    # The derived keys never change: without this they would be made anew for every token.
    derived_keys = [deriving.derive_key(key) for key in encoded]
    return TimestampSigner(derived_keys, salt, key_derivation="none", algorithm=_HmacSha256())


def write_token(signer: TimestampSigner, claims: dict[str, Any]) -> bytes:
    """Return a signed token.

    :param signer: what it is signed with
    :param claims: what it says, by the names above
    """
    return signer.sign(base64_encode(json.dumps(claims, separators=(",", ":"))))


def read_token(signer: TimestampSigner, token: bytes) -> Claims:
    """Return what a token says, whether or not it has expired.

    :param signer: what it has to be signed with
    :param token: the token as it was sent
    :raises BadCredentialsError: it was not signed by us, or is not written as we write tokens
    """
    if not _TOKEN.fullmatch(token):
        raise BadCredentialsError("a token that is not written as we write tokens")
    signed, _, secret = token.rpartition(b".")  # of no use to a thief without the signature
    # Not unsign(), whose error keeps itself, and with it the request, in memory until the next garbage collection.
    if not signer.verify_signature(signed, secret):
        raise BadCredentialsError("a token that was not signed with our keys")
    payload, _, written = signed.rpartition(b".")
    try:
        claims = json.loads(base64_decode(payload))
        signed_at = bytes_to_int(base64_decode(written))
        named = (claims["sub"], claims.get("scope"), claims.get("sid"), claims.get("pwd"), claims.get("app") is True)
        read = Claims(*named, signed_at, claims["exp"])
    except (BadData, struct.error, ValueError, KeyError, TypeError, AttributeError):
        raise BadCredentialsError("a token of ours with a payload that is not ours") from None
    if (
        not isinstance(read.username, str)
        or not read.username
        or type(read.expires_at) is not int
        or not isinstance(read.scopes, (list, type(None)))  # of a string each letter would be a scope
    ):
        raise BadCredentialsError("a token of ours with a payload that is not ours")
    return read


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
