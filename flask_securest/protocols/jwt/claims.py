"""What the claims of a JWT say of its user: the name, scopes, roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from ...errors import BadCredentialsError

#: Where something is in the claims: the name of a claim, a dotted path such as ``realm_access.roles``, or a function.
ClaimMapping: TypeAlias = "str | Callable[[Mapping[str, Any]], Any]"

# As in names that come by HTTP Basic (RFC 7617, section 2).
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")


def read_name(claims: Mapping[str, Any], claim: str) -> str:
    """Return the user's name.

    :param claims: verified claims
    :param claim: which one it is
    :raises BadCredentialsError: it is missing, empty, no string, or has control characters
    """
    name = claims.get(claim)
    if not isinstance(name, str) or not name.strip() or _CONTROL_CHARACTER.search(name):
        raise BadCredentialsError("a JWT without a name of a user")
    return name


def read_text(claims: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of some claims that is there, or ``None``.

    :param claims: verified claims
    :param names: which ones
    :raises BadCredentialsError: it is no string, or empty
    """
    for name in names:
        if name in claims:
            text = claims[name]
            if not isinstance(text, str) or not text:
                raise BadCredentialsError("a JWT whose jti, azp or client_id is no string")
            return text
    return None


def read_scopes(claims: Mapping[str, Any], names: Collection[str]) -> frozenset[str]:
    """Return all scopes that the claims of these names have: a string of them (RFC 8693, section 4.2), or a list.

    :param claims: verified claims
    :param names: which ones
    :raises BadCredentialsError: one is neither
    """
    found: set[str] = set()
    for value in (claims[name] for name in names if name in claims):
        listed = [scope for scope in value.split(" ") if scope] if isinstance(value, str) else value
        found |= _read_names(listed, "scopes")
    return frozenset(found)


def read_roles(claims: Mapping[str, Any], mapping: ClaimMapping | None) -> frozenset[str]:
    """Return the roles that the claims have; none, where they say nothing of roles.

    :param claims: verified claims
    :param mapping: where they are
    :raises BadCredentialsError: they are no names
    """
    if mapping is None:
        return frozenset()
    if not isinstance(mapping, str):
        return _call(mapping, claims)
    # First as it stands: names of claims may have dots themselves, such as "https://example.com/roles".
    found: Any = claims
    for step in [mapping] if mapping in claims else mapping.split("."):
        if not isinstance(found, Mapping):
            raise BadCredentialsError("a JWT whose roles are not where they should be")
        if step not in found:
            return frozenset()
        found = found[step]
    return _read_roles(found)


def _call(mapping: Callable[[Mapping[str, Any]], Any], claims: Mapping[str, Any]) -> frozenset[str]:
    try:
        found = mapping(claims)
    except Exception as error:
        # It is the token's fault, which comes from outside. The text of the error may quote the token.
        problem = type(error).__name__
    else:
        return _read_roles(list(found) if isinstance(found, (set, frozenset, tuple)) else found)
    raise BadCredentialsError(f"a JWT whose claims roles_claim cannot read ({problem})")


def _read_roles(value: Any) -> frozenset[str]:
    # One string is one role: unlike scopes, roles may have spaces.
    return _read_names([value] if isinstance(value, str) else value, "roles")


def _read_names(names: Any, what: str) -> frozenset[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise BadCredentialsError(f"a JWT whose {what} are no names")
    return frozenset(names)
