"""What an issuer says of a token (RFC 7662, section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import Any, NamedTuple

from ...errors import BackendError, BadCredentialsError
from ...support.checks import require_bool, require_callable, require_name, require_names, require_number
from ..claims import ClaimMapping, call_username, drop_nulls, read_roles
from ..jwt.format import parse_object
from ..token_rules import TokenRules

#: The end of the year 9999, beyond which no datetime goes.
LAST_SECOND = 253_402_300_799

#: How far the clocks of the issuer and of this machine may be apart at most, in seconds.
MAX_LEEWAY_SECONDS = 60

# What is longer is nobody's name, and would fill the memory.
_MAX_NAME_LENGTH = 256

# RFC 6749, section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class Expected(NamedTuple):
    """Hold what an answer must say.

    :param username_claims: where the user's name is looked for, in this order
    :param audience: whom the token may be for; ``None`` for whomever
    :param issuer: who must have issued it; ``None`` for whoever
    :param token_type: whether it must say that it is a bearer token
    :param roles_claim: where the user's roles are; ``None`` for nowhere
    :param leeway: how far the issuer's clock may be ahead or behind, in seconds
    :param rules: what else it must say
    :param username: a function of the answer that returns the user's name instead; ``None`` for none
    """

    username_claims: tuple[str, ...]
    audience: tuple[str, ...] | None
    issuer: str | None
    token_type: bool
    roles_claim: ClaimMapping | None
    leeway: float
    rules: TokenRules = TokenRules()
    username: Callable[[Mapping[str, Any]], Any] | None = None


def make_expected(
    username_claim: str | Iterable[str],
    username: Any,
    audience: str | Iterable[str] | None,
    issuer: object,
    require_token_type: object,
    roles_claim: Any,
    leeway: object,
    rules: TokenRules,
) -> Expected:
    """Return what an answer must say; see :class:`Expected`.

    :raises ConfigurationError: an argument that cannot be
    """
    if username is not None:
        require_callable(username, "username", "claims")
    return Expected(
        require_names(username_claim, "username_claim"),
        None if audience is None else require_names(audience, "audience"),
        None if issuer is None else require_name(issuer, "issuer"),
        require_bool(require_token_type, "require_token_type"),
        roles_claim if roles_claim is None or callable(roles_claim) else require_name(roles_claim, "roles_claim"),
        require_number(leeway, "leeway", MAX_LEEWAY_SECONDS),
        rules,
        username,
    )


class Answer(NamedTuple):
    """Hold what is known of a token that is good; ``ends_at`` in seconds since 1970."""

    username: str
    roles: frozenset[str]
    scopes: frozenset[str]
    token_id: str | None
    client_id: str | None
    ends_at: float | None
    claims: dict[str, Any]


class Refusal(NamedTuple):
    """Hold why a token is not good."""

    reason: str
    expired: bool = False


def read_answer(body: bytes, expected: Expected) -> Answer | Refusal:
    """Return what an answer says.

    :param body: the answer as it came
    :param expected: what it must say
    :raises BackendError: it is no answer to the question
    """
    said = _parse(body)
    active = said.get("active")
    if not isinstance(active, bool):
        # Not "true", nor 1: what is not what RFC 7662 asks for may mean anything.
        raise _malformed("active")
    if not active:
        return Refusal("a token that is not active, says its issuer")
    problem = _find_problem(said, expected)
    if problem is not None:
        return problem
    try:
        username = _find_username(said, expected)
        roles = read_roles(said, expected.roles_claim)
    except BadCredentialsError as error:
        return Refusal(str(error))
    names = (username, _read_text(said, "jti"), _read_text(said, "client_id"))
    if not all(name is None or _is_name(name) for name in names):
        return Refusal(f"a token of which the answer has an empty name, or one of over {_MAX_NAME_LENGTH} characters")
    return Answer(username, roles, _read_scopes(said), names[1], names[2], _read_time(said, "exp"), said)


def _find_username(said: dict[str, Any], expected: Expected) -> str:
    """Return the name of the user.

    :raises BadCredentialsError: nobody
    """
    if expected.username is not None:
        return call_username(expected.username, said)
    for claim in expected.username_claims:
        name = _read_text(said, claim)
        if name is not None:
            return name
    claims = ", ".join(map(repr, expected.username_claims))
    raise BadCredentialsError(f"a token of nobody: the answer has none of {claims}")


def _find_problem(said: dict[str, Any], expected: Expected) -> Refusal | None:
    """Return why a token is not good although it is active."""
    kind = _read_text(said, "token_type")
    if kind is None and expected.token_type:
        return Refusal("a token without a token_type: it may be a refresh token (require_token_type=False if not)")
    # A refresh token is worth more than an access token, and must not travel to APIs (RFC 6750, section 5.2).
    if kind is not None and kind.lower() != "bearer" and not expected.rules.names("token_type", kind):
        return Refusal("a token that is no bearer access token, says its issuer (token_type)")
    try:
        expected.rules.check(said)
    except BadCredentialsError as error:
        return Refusal(str(error))
    if expected.issuer is not None and _read_text(said, "iss") != expected.issuer:
        return Refusal("a token of another issuer, or of one that is not said")
    if expected.audience is not None and not _read_list(said, "aud") & set(expected.audience):
        return Refusal("a token for another audience, or for one that is not said")
    now = time()
    end, start = _read_time(said, "exp"), _read_time(said, "nbf")
    if end is not None and end + expected.leeway <= now:
        return Refusal("a token that has expired", expired=True)
    if start is not None and start > now + expected.leeway:
        return Refusal("a token from the future")
    return None


def _parse(body: bytes) -> dict[str, Any]:
    try:
        # A claim that is there twice means one thing to us and another one to whoever looks next.
        return drop_nulls(parse_object(body))
    except ValueError as error:
        problem = str(error)
    raise BackendError(f"the introspection endpoint answers with {problem}")


def _malformed(claim: str) -> BackendError:
    return BackendError(f"the answer of the introspection endpoint has something else in {claim!r} than RFC 7662 says")


def _read_text(said: dict[str, Any], claim: str) -> str | None:
    value = said.get(claim)
    if value is not None and not isinstance(value, str):
        raise _malformed(claim)
    return value


def _read_list(said: dict[str, Any], claim: str) -> frozenset[str]:
    value = said.get(claim)
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise _malformed(claim)
    return frozenset(listed)


def _read_scopes(said: dict[str, Any]) -> frozenset[str]:
    """Return the scopes. They are one string (RFC 7662, section 2.2); some issuers write a list."""
    value = said.get("scope")
    scopes = frozenset(value.split(" ")) - {""} if isinstance(value, str) else _read_list(said, "scope")
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise _malformed("scope")
    return scopes


def _read_time(said: dict[str, Any], claim: str) -> float | None:
    value = said.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LAST_SECOND:
        raise _malformed(claim)
    return value


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _MAX_NAME_LENGTH and text.isprintable() and not text.isspace()
