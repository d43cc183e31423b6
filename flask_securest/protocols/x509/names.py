r"""Distinguished names as text (RFC 4514), such as TLS servers write the subjects of certificates.

They are taken apart, and never searched: ``CN=alice`` is not in ``CN=mallory,OU=CN\=alice``, nor in ``CN=alice2``.

>>> from flask_securest.protocols.x509.names import find_values, parse_dn
>>> dn = parse_dn(b"CN=alice+UID=7,OU=R\\2C D,O=Example")
>>> find_values(dn, "OU")
['R, D']
>>> dn == parse_dn(b"UID=7+CN=alice,OU=R\\, D,O=Example")
True
"""

from __future__ import annotations

import re

#: Its parts, from the most specific on; each is a set of pairs of type and value. Values are text, or bytes where they
#: were written as such (``1.2.3=#0C0161``), so that the text ``#0C0161`` is another value.
DistinguishedName = tuple[frozenset[tuple[str, str | bytes]], ...]

# A pair of "\" and a special character, or of "\" and two digits; or any other character that may stand for itself.
_ESCAPED = rb'\\(?:[ "#+,;<=>\\]|[0-9A-Fa-f]{2})'
_PLAIN = rb'[^\x00-\x1f\x7f"+,;<>\\]'
_PLAIN_AT_END = rb'[^\x00-\x20\x7f"+,;<>\\]'
_TYPE = rb"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+"
_PAIR = re.compile(
    rb"(%s)=(?:#((?:[0-9A-Fa-f]{2})+)|((?![ #])(?:(?:%s|%s)*(?:%s|%s))?))(?=[+,]|\Z)"
    % (_TYPE, _ESCAPED, _PLAIN, _ESCAPED, _PLAIN_AT_END)
)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)


def parse_dn(text: bytes) -> DistinguishedName:
    """Return the parts of a distinguished name.

    Types and values are compared exactly, with regard to case: servers write the same name always in the same way. What
    RFC 4514 does not allow is refused, also where older ones did: ``/CN=alice``, ``CN = alice``, ``CN="alice"``.

    :param text: the name, in UTF-8
    :raises ValueError: it is none; the error does not quote it
    """
    if not _is_utf8(text):
        raise ValueError("a distinguished name that is not UTF-8")
    parts: list[frozenset[tuple[str, str | bytes]]] = []
    part: set[tuple[str, str | bytes]] = set()
    at = 0
    while True:
        found = _PAIR.match(text, at)
        if found is None:
            raise ValueError("what is no distinguished name (RFC 4514)")
        kind, raw, value = found.groups()
        pair = (kind.decode("ascii"), _read_value(raw, value))
        if pair in part:
            raise ValueError("a distinguished name that has the same value twice in one part")
        part.add(pair)
        separator, at = text[found.end() : found.end() + 1], found.end() + 1
        if separator != b"+":
            parts.append(frozenset(part))
            part = set()
        if not separator:
            return tuple(parts)


def find_values(dn: DistinguishedName, kind: str) -> list[str | bytes]:
    """Return all values of a type of attribute.

    :param dn: the name
    :param kind: the type, for example ``CN``
    """
    return [value for part in dn for found, value in part if found == kind]


def _read_value(raw: bytes | None, value: bytes) -> str | bytes:
    if raw is not None:
        return bytes.fromhex(raw.decode("ascii"))
    unescaped = _ESCAPE.sub(_unescape, value)
    if not _is_utf8(unescaped):
        raise ValueError("a distinguished name that is not UTF-8")
    return unescaped.decode()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:  # which quotes the name, and must not be what another error was raised from
        return False
    return True


def _unescape(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return bytes.fromhex(escaped.decode("ascii")) if len(escaped) == 2 else escaped
