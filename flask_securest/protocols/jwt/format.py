"""Read a signed JWT in the compact form (RFC 7515, section 3.1), of which nothing is trusted yet.

A token is ``header.claims.signature`` in base64url without padding, for example ``eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOi...``;
header and claims are JSON objects in UTF-8. It is read once, and here alone: where two readers differ, one of them
checks what the other one does not use. Of a signature by ECDSA (r, s) there is a second one, (r, n - s), which anybody
can write down: two texts may be one token. Compare tokens by ``jti``, and not by their text.
"""

from __future__ import annotations

import json
import math
import re
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from ...errors import BadCredentialsError
from ..claims import drop_nulls

# Three segments, none of them empty: an unsigned token (RFC 7519, section 6) has an empty third one.
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")

# Standard base64 in place of that of URLs; and what can be the last character of two or three: one without bits that
# stand for nothing.
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_LAST = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}

# The same, and unsigned ones besides.
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class UnverifiedToken(NamedTuple):
    """Hold what a token says of itself. Only after its signature has been verified is any of it true.

    The header is not to be written into: other tokens have the same one.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def parse_token(token: bytes) -> UnverifiedToken:
    """Return the parts of a token.

    :param token: what came from outside, as long as a header can be
    :raises BadCredentialsError: it is not written as a signed JWT is
    """
    # Five segments are an encrypted token, and other ones are no JWT.
    if not _TOKEN.fullmatch(token):
        raise BadCredentialsError("a token that is not written as a signed JWT is")
    header, claims, secret = token.translate(_FROM_URL).split(b".")  # of no use to a thief without the signature
    try:
        return UnverifiedToken(
            _parse_known_header(header) if len(header) <= _MOST_KNOWN else _parse_header(header),
            drop_nulls(parse_object(_decode_base64(claims))),
            token[: -len(secret) - 1],
            _decode_base64(secret),
        )
    except ValueError as error:
        problem = str(error)
    # Outside of the except block: the errors of the decoders quote the token.
    raise BadCredentialsError(f"a JWT with {problem}")


def _parse_header(header: bytes) -> dict[str, Any]:
    return parse_object(_decode_base64(header))


# All tokens of one key have the same header. What is kept of made-up ones is bounded: so many, and so long.
_parse_known_header = lru_cache(maxsize=128)(_parse_header)
_MOST_KNOWN = 512


def is_jwt(token: bytes) -> bool:
    """Return whether a token is written as a JWT: three parts, of which the first names an algorithm (RFC 7515, 4.1.1).

    :param token: what came from outside, as long as a header can be
    """
    parts = _COMPACT.fullmatch(token)
    try:
        return parts is not None and "alg" in parse_object(decode_base64url(parts[1]))
    except ValueError:
        return False


def decode_base64url(text: bytes) -> bytes:
    """Return what base64url (RFC 4648, section 5) without padding stands for.

    :param text: anything
    :raises ValueError: it has other characters than those of its alphabet, or is not how an encoder writes it
    """
    if not _BASE64URL.fullmatch(text):
        raise ValueError("base64url with other characters than its own")
    return _decode_base64(text.translate(_FROM_URL))


def _decode_base64(text: bytes) -> bytes:
    """Return what characters of the alphabet of standard base64 stand for. The decoder would pass over others.

    :raises ValueError: it is not how an encoder writes it. A decoder passes over bits that it does not need, so that
        ``QQ``, ``QR`` and fourteen more are the same to it (RFC 4648, section 3.5).
    """
    over = len(text) % 4
    if over == 1:
        raise ValueError("base64url that has been cut")
    if over and text[-1] not in _LAST[over]:
        raise ValueError("base64url with stray bits")
    return a2b_base64(text + b"==")


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object (RFC 8259) that ``data`` is, read strictly.

    ``json.loads`` would take UTF-16, ``NaN``, and two members of one name: of ``{"sub": "bob", "sub": "alice"}`` some
    readers see the first, and others the last.

    :param data: bytes from outside
    :raises ValueError: it is none; the message says why, in our own words
    """
    parsed = _parse(data, _DECODER)
    if b"\\u" in data:
        try:
            # Half a surrogate pair is no text: whatever writes it to a database or a log would fail, with a 500.
            json.dumps(parsed, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("JSON with half a surrogate pair") from None
    return parsed


def parse_key_document(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a document with keys (JWKS) is.

    What is wrong within one key spoils that one alone (RFC 7517, sections 4 and 5): an object with two members of one
    name is read as ``None``.

    :param data: bytes from outside
    :raises ValueError: it is none; the message says why, in our own words
    """
    return _parse(data, _KEY_DECODER)


def _parse(data: bytes, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        parsed, end = decoder.raw_decode(text) if text[:1] == "{" else (decoder.decode(text), len(text))
        if end != len(text):
            parsed = decoder.decode(text)  # white space behind it, or something else
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8") from None
    except _StrictnessError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        raise ValueError("what is no JSON") from None
    if not isinstance(parsed, dict):
        raise ValueError("JSON that is no object")
    return parsed


class _StrictnessError(Exception):
    """Say what is wrong with a text that other readers take for JSON."""


def _read_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _StrictnessError("JSON with two members of one name")
    return members


def _read_members_of_key(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    members = dict(pairs)
    return members if len(members) == len(pairs) else None


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _StrictnessError("JSON with a number that is too large")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise _StrictnessError("JSON with a number that is none")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_read_members, parse_float=_read_float, parse_constant=_refuse_constant, strict=True
)
_KEY_DECODER = json.JSONDecoder(object_pairs_hook=_read_members_of_key, parse_constant=_refuse_constant, strict=True)
