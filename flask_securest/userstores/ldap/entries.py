"""How entries of a directory are named (RFC 4514), asked for (RFC 4515), and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ...errors import ConfigurationError
from ...support.checks import require_name

#: A DN taken apart: each of its RDNs is one pair of attribute and value, or several.
Name = tuple[tuple[tuple[str, str], ...], ...]


class Entry(NamedTuple):
    """Hold an entry: its DN, and its attributes by their names in lower case."""

    dn: str
    attributes: Mapping[str, list[bytes]]


class BindAnswer(NamedTuple):
    """Hold what a server has said to a name and a password.

    :param code: the result code of RFC 4511, appendix A
    :param message: what the server says to it in words; it may be any text
    :param policy_error: the error in the response control of the password policy, if there was one
    """

    code: int
    message: str
    policy_error: int | None


_ATTRIBUTE_AND_VALUE = re.compile(
    r"([A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)=((?:[^\\,+;\"<>\x00]|\\[0-9A-Fa-f]{2}|\\[ \"#+,;<=>\\])*)([,+;]|$) *"
)


def escape_filter_value(value: str) -> str:
    """Return ``value`` as it stands in a filter, with every byte escaped that is no ASCII letter or digit.

    RFC 4515 wants fewer, but ldap3 strips white space off what is not escaped, and looks for signs in it: a name could
    be taken for another one, or for a pattern (CWE-90).

    :param value: any text that can be written in UTF-8
    """
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"\\{byte:02x}" for byte in value.encode()
    )


def parse_name(dn: str) -> Name | None:
    r"""Return a DN taken apart, or ``None`` if it is none.

    :param dn: the DN in its written form, for example ``CN=R\, D,DC=example,DC=com``
    """
    rdns: list[tuple[tuple[str, str], ...]] = []
    rdn: list[tuple[str, str]] = []
    position, end = 0, ","
    while end:
        found = _ATTRIBUTE_AND_VALUE.match(dn, position)
        if found is None:
            return None
        try:
            rdn.append((found[1].lower(), _unescape(found[2])))
        except UnicodeDecodeError:
            return None
        position, end = found.end(), found[3]
        if end != "+":
            rdns.append(tuple(rdn))
            rdn = []
    return tuple(rdns)


def require_dn(dn: object, what: str) -> str:
    """Return a DN of the configuration.

    :raises ConfigurationError: it is none
    """
    text = require_name(dn, what)
    if parse_name(text) is None:
        raise ConfigurationError(f"{what}: {dn!r} is no DN such as ou=people,dc=example,dc=com (RFC 4514)")
    return text


def require_filter(template: object, what: str, *fields: str) -> str:
    """Return ``template`` if it can be a filter, and has one of the fields.

    :raises ConfigurationError: it cannot, or has none
    """
    text = require_name(template, what)
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    if depth or not text.startswith("(") or not text.endswith(")") or not any(field in text for field in fields):
        raise ConfigurationError(
            f"{what}: {text!r} must be a filter in parentheses (RFC 4515) with {' or '.join(fields)}"
        )
    return text


def normalize(name: Name) -> Name:
    """Return a name in the form in which equal ones are equal, as directories compare them."""
    return tuple(
        tuple(sorted((attribute, " ".join(value.casefold().split())) for attribute, value in rdn)) for rdn in name
    )


def common_name(name: Name) -> str | None:
    """Return the ``cn`` that a name begins with, or ``None`` if it begins with something else."""
    return next((value for attribute, value in name[0] if attribute == "cn" and value.strip()), None)


def read_texts(attributes: Mapping[str, list[bytes]], attribute: str) -> list[str]:
    """Return the values of an attribute that are text."""
    decoded = (value.decode("utf-8", "surrogateescape") for value in attributes.get(attribute.lower(), ()))
    return [text for text in decoded if not any("\ud800" <= c <= "\udfff" for c in text)]


def read_policy_error(value: bytes | None) -> int | None:
    """Return the error of a password policy response, or ``None``.

    It is ``SEQUENCE { warning [0] CHOICE ... OPTIONAL, error [1] ENUMERATED OPTIONAL }`` (draft-behera-ldap-password-
    policy, section 6.2), of a few bytes.

    :param value: the value of the control
    :raises ValueError: it is something else
    """
    if not value:
        return None
    if value[0] != 0x30 or value[1:2] != bytes([len(value) - 2]):
        raise ValueError("a password policy response that is none")
    position = 2
    while position + 1 < len(value):
        tag, length = value[position], value[position + 1]
        if tag == 0x81:
            return int.from_bytes(value[position + 2 : position + 2 + length], "big")
        position += 2 + length
    return None


def _unescape(value: str) -> str:
    return re.sub(
        rb"\\([0-9A-Fa-f]{2}|.)",
        lambda found: bytes.fromhex(found[1].decode()) if len(found[1]) == 2 else found[1],
        value.encode("utf-8", "surrogatepass"),
    ).decode("utf-8")


_MAX_NAME_BYTES = 256


def can_be_a_name(text: str) -> bool:
    """Return whether a directory need be asked for ``text``.

    Not for control characters, half surrogate pairs and a megabyte; nor for white space at the ends, which directories
    overlook.
    """
    return can_be_sent(text, _MAX_NAME_BYTES) and text.isprintable() and text != "" and text == text.strip()


def can_be_sent(text: str, most: int) -> bool:
    """Return whether ``text`` can be written in UTF-8, in so many bytes."""
    try:
        return len(text) <= most and len(text.encode()) <= most
    except UnicodeEncodeError:
        return False


_ATTRIBUTE = re.compile("[A-Za-z][A-Za-z0-9-]*")
_HASHES = ("userpassword", "unicodepwd", "authpassword")


def require_attribute(attribute: object, what: str) -> str:
    """Return the name of an attribute that may be read; a password's hash is never read."""
    name = require_name(attribute, what)
    if not _ATTRIBUTE.fullmatch(name) or name.lower() in _HASHES:
        raise ConfigurationError(f"{what}: {name!r} is no attribute that may be read")
    return name
