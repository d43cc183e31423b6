"""What the claims of a token from elsewhere say of its user: the name, scopes, roles.

The same for JWTs (RFC 7519) and for the answers of introspection (RFC 7662). A claim that is ``null`` was not said:
issuers write ``"groups": null`` for a user without groups. A refusal names the claim, and never its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ..errors import AuthenticationError, BackendError, BadCredentialsError

#: Where something is in the claims: the name of a claim, a dotted path such as ``realm_access.roles``, or a function.
ClaimMapping: TypeAlias = "str | Callable[[Mapping[str, Any]], Any]"

# As in names that come by HTTP Basic (RFC 7617, section 2).
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")


def call_username(username: Callable[[Mapping[str, Any]], Any], claims: Mapping[str, Any]) -> str:
    """Return the name of the user, by a function of the application.

    :param username: the function
    :param claims: what an issuer says, verified
    :raises BadCredentialsError: nobody, or what is no name
    """
    name = call_with_claims(username, claims, "username")
    if name is None:
        raise BadCredentialsError("a token of nobody, says the function username")
    return require_username(name, "of which what the function username returns")


def drop_nulls(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims that are not ``null``: whoever reads them need not tell ``null`` from absent.

    :param claims: what an issuer says, verified or not
    """
    if None in claims.values():
        return {name: value for name, value in claims.items() if value is not None}
    return claims


def find_claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return what a claim says; ``None`` where it says nothing.

    :param claims: what an issuer says
    :param path: the name of a claim, or a dotted path to a member of one
    :raises BadCredentialsError: the path leads through what has no members
    """
    # First as it stands: names of claims may have dots themselves, such as "https://example.com/roles".
    found: Any = claims
    for step in [path] if path in claims else path.split("."):
        if found is None:
            return None
        if not isinstance(found, Mapping):
            raise BadCredentialsError(f"a token whose {path!r} leads through what has no members")
        found = found.get(step)
    return found


def read_name(claims: Mapping[str, Any], claim: str) -> str:
    """Return the user's name.

    :param claims: what an issuer says
    :param claim: which one it is
    :raises BadCredentialsError: it is missing, empty, no string, or has control characters
    """
    return require_username(claims.get(claim), f"whose {claim!r}")


def require_username(name: object, whose: str) -> str:
    """Return a user's name that comes from a token.

    :param name: what is said
    :param whose: how the refusal calls it
    :raises BadCredentialsError: it is no string, empty, or has control characters
    """
    # A number is no name (RFC 7519, section 4.1.2): 7 and "7" would be one user to some stores, and two to others.
    if not isinstance(name, str) or not name.strip() or _CONTROL_CHARACTER.search(name):
        raise BadCredentialsError(f"a token {whose} is no name of a user")
    return name


def read_text(claims: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of some claims that is there, or ``None``.

    :param claims: what an issuer says
    :param names: which ones
    :raises BadCredentialsError: it is no string, or empty
    """
    for name in names:
        text = claims.get(name)
        if text is not None:
            if not isinstance(text, str) or not text:
                raise BadCredentialsError(f"a token whose {name!r} is no text, or empty")
            return text
    return None


def read_scopes(
    claims: Mapping[str, Any], names: Collection[str], guessed: Collection[str] = frozenset()
) -> frozenset[str]:
    """Return all scopes that the claims of these names have: a string of them (RFC 8693, section 4.2), or a list.

    :param claims: what an issuer says
    :param names: which ones
    :param guessed: of them, those that nobody has said to have scopes: what is no name in one of these gives none
    :raises BadCredentialsError: one of the others is neither
    """
    found: set[str] = set()
    for name in names:
        value = claims.get(name)
        if value is None:
            continue
        listed = value.split(" ") if isinstance(value, str) else value
        if name in guessed:
            listed = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
        found |= _read_names(listed, name)
    return frozenset(found)


def read_roles(claims: Mapping[str, Any], mapping: ClaimMapping | None) -> frozenset[str]:
    """Return the roles that the claims have; none, where they say nothing of roles.

    :param claims: what an issuer says
    :param mapping: where they are
    :raises BadCredentialsError: they are no names
    """
    if mapping is None:
        return frozenset()
    if isinstance(mapping, str):
        found, what = find_claim(claims, mapping), mapping
    else:
        found, what = call_with_claims(mapping, claims, "roles_claim"), "roles_claim(claims)"
        found = list(found) if isinstance(found, (set, frozenset, tuple)) else found
    if found is None:
        return frozenset()
    # One string is one role: unlike scopes, roles may have spaces.
    return frozenset(_read_names([found] if isinstance(found, str) else found, what))


def show_claims(claims: Any) -> Any:
    """Return claims as functions of the application get them: an answer is kept, and is not theirs to change.

    :param claims: what an issuer says, or what one claim says
    """
    return MappingProxyType(claims) if type(claims) is dict else claims


def call_with_claims(function: Callable[[Mapping[str, Any]], Any], claims: Mapping[str, Any], what: str) -> Any:
    """Return what a function of the application says of claims.

    It may refuse the token (:class:`~flask_securest.errors.AuthenticationError`), or say that it cannot tell now
    (:class:`~flask_securest.errors.BackendError`).

    :param function: the function
    :param claims: what an issuer says
    :param what: how the refusal calls the function
    :raises BadCredentialsError: it cannot read these claims
    """
    try:
        return function(show_claims(claims))
    except (AuthenticationError, BackendError):
        raise
    except Exception as error:
        # It is the token's fault, which comes from outside. The text of the error may quote the token.
        problem = type(error).__name__
    raise BadCredentialsError(f"a token whose claims {what} cannot read ({problem})")


def _read_names(names: Any, what: str) -> set[str]:
    if not isinstance(names, list):
        raise BadCredentialsError(f"a token whose {what!r} is no list of names")
    found = set()
    for name in names:
        if isinstance(name, str) and name.strip():
            found.add(name)
        elif name is not None and name != "":  # "", [""] and [null] are how some issuers write that there are none
            raise BadCredentialsError(f"a token whose {what!r} has what is no name")
    return found
