"""How API keys are written: ``<prefix>_<id>_<secret><checksum>``, for example ``securest_2c9...Xq_7Gb...0aK4x1``.

The id (16 characters, 95 bits) is what a key is looked up by, and may be shown and logged. The secret (43 characters,
256 bits) is what proves it. The checksum (6 characters) is the CRC-32 of all before it: a typo is refused without a
look-up, and a secret scanner that has found something of this form can tell whether it is a key. All three are digits
and letters, so that a double click selects all of a key.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import NamedTuple

from ..errors import ConfigurationError

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _ID_BITS = 16, 95
_SECRET_LENGTH, _SECRET_BITS = 43, 256
_CHECKSUM_LENGTH = 6

#: The prefix of keys, unless another one is given.
DEFAULT_PREFIX = "securest"

_PREFIX = re.compile(r"[a-z][a-z0-9]{1,19}")
_KEY = re.compile(
    rb"([a-z][a-z0-9]{1,19})_([0-9A-Za-z]{%d})_[0-9A-Za-z]{%d}" % (_ID_LENGTH, _SECRET_LENGTH + _CHECKSUM_LENGTH)
)


class NewKey(NamedTuple):
    """Hold a key that has just been made. The text is what its bearer sends; nobody keeps it here."""

    id: str
    text: str
    digest: bytes


def require_prefix(prefix: str) -> str:
    """Return ``prefix`` if keys can begin with it.

    :param prefix: 2 to 20 lower-case letters and digits, the first one a letter
    :raises ConfigurationError: it is something else
    """
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f"the prefix of keys must be 2 to 20 lower-case letters and digits, the first a letter; it is {prefix!r}"
        )
    return prefix


def key_pattern(prefix: str = DEFAULT_PREFIX) -> str:
    r"""Return the regular expression that finds keys in a text, for secret scanners.

    :param prefix: the prefix of the keys

    >>> key_pattern("acme")
    '\\bacme_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}\\b'
    """
    secret = _SECRET_LENGTH + _CHECKSUM_LENGTH
    return rf"\b{require_prefix(prefix)}_[0-9A-Za-z]{{{_ID_LENGTH}}}_[0-9A-Za-z]{{{secret}}}\b"


def make_key(prefix: str = DEFAULT_PREFIX, key_id: str | None = None) -> NewKey:
    """Return a new key.

    :param prefix: what it begins with
    :param key_id: the id of the key whose new secret it is; ``None`` for a new id
    """
    if key_id is None:
        key_id = _encode(secrets.randbits(_ID_BITS), _ID_LENGTH)
    secret = f"{prefix}_{key_id}_{_encode(secrets.randbits(_SECRET_BITS), _SECRET_LENGTH)}".encode()
    api_key = secret + _checksum(secret)
    return NewKey(key_id, api_key.decode("ascii"), digest_of(api_key))


def find_key_id(api_key: bytes) -> str | None:
    """Return the id in a key, or ``None`` if it is not written as keys are, or has a typo.

    :param api_key: what a client has sent
    """
    match = _KEY.fullmatch(api_key)
    # No secret is compared here: everybody can work the checksum out.
    if match is None or _checksum(api_key[:-_CHECKSUM_LENGTH]) != api_key[-_CHECKSUM_LENGTH:]:
        return None
    return match[2].decode("ascii")


def digest_of(api_key: bytes) -> bytes:
    """Return the SHA-256 of a key, which is what a store keeps. 256 random bits need no slow hash, and no salt.

    :param api_key: the whole key
    """
    return hashlib.sha256(api_key).digest()


def _checksum(secret: bytes) -> bytes:
    return _encode(zlib.crc32(secret), _CHECKSUM_LENGTH).encode()


def _encode(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
