"""Write the subject of a certificate as TLS servers do (RFC 4514), with OpenSSL's names of attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

#: The names that OpenSSL has for the types of attributes that occur in subjects. What is not here is written by its
#: number, and its value as bytes.
_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}

_SPECIAL = re.compile(r'([",+;<>\\])')
_CONTROL = re.compile("[\x00-\x1f\x7f]")

_SEQUENCE, _SET = 0x30, 0x31


def write_subject(name: Any) -> bytes:
    """Return a name as text, in UTF-8, from the most specific part on.

    :param name: the name, of the library cryptography
    :raises ValueError: it cannot be written
    """
    parts = []
    for part, values in zip(name.rdns, _split_name(name.public_bytes()), strict=True):
        pairs = [_write_pair(each, value) for each, value in zip(part, values, strict=True)]
        parts.append("+".join(pairs))
    return ",".join(reversed(parts)).encode()


def _write_pair(attribute: Any, encoded: bytes) -> str:
    number = attribute.oid.dotted_string
    kind = _NAMES.get(number)
    if kind is None or not isinstance(attribute.value, str):
        return f"{kind or number}=#{encoded.hex().upper()}"
    text = _SPECIAL.sub(r"\\\1", attribute.value)
    text = _CONTROL.sub(lambda found: f"\\{ord(found[0]):02X}", text)
    if text[:1] in ("#", " "):
        text = "\\" + text
    if text[-1:] == " " and len(attribute.value) > 1:
        text = text[:-1] + "\\ "
    return f"{kind}={text}"


def _split_name(encoded: bytes) -> Iterator[list[bytes]]:
    """Yield, of each part of a name in DER, the values of its attributes, in DER, in the order in which they stand."""
    for part in _read_all(_content(encoded, _SEQUENCE)):
        yield [list(_read_all(_content(pair, _SEQUENCE)))[1] for pair in _read_all(_content(part, _SET))]


def _content(encoded: bytes, tag: int) -> bytes:
    if encoded[0] != tag:
        raise ValueError("what is no name")
    _, start = _measure(encoded)
    return encoded[start:]


def _read_all(content: bytes) -> Iterator[bytes]:
    while content:
        length, start = _measure(content)
        yield content[: start + length]
        content = content[start + length :]


def _measure(encoded: bytes) -> tuple[int, int]:
    """Return the length of the first element, and where it begins (X.690, section 8.1.3)."""
    length = encoded[1]
    if length < 0x80:
        return length, 2
    count = length & 0x7F
    return int.from_bytes(encoded[2 : 2 + count], "big"), 2 + count
