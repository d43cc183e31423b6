"""What the header and the claims of a JWT must say to be one for this API (RFC 7519, RFC 8725).

All of it is cheap, and looked at *before* a key is looked for: a token of somebody else, or one that has expired, makes
nobody ask the issuer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ...errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ...support.checks import require_name, require_names
from .keys import name_algorithm, require_algorithms

#: How far the clocks of the issuer and of this machine may be apart at most, in seconds.
MAX_LEEWAY_SECONDS = 60

# Of a key's name: it is remembered for a while if nobody knows it.
_MAX_KEY_ID_LENGTH = 256

# The end of the year 9999.
_LAST_SECOND = 253_402_300_799


class HeaderPolicy(NamedTuple):
    """Hold what the header of a token must say.

    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`
    :param types: the ``typ`` that it may have, as :func:`normalise_type` returns it; ``None`` for none
    """

    algorithms: frozenset[str]
    types: frozenset[str | None]

    def check(self, header: Mapping[str, Any]) -> tuple[str, str | None]:
        """Return algorithm and name of the key.

        :param header: the header of a token, not verified
        :raises BadCredentialsError: it is not one of ours
        """
        algorithm = name_algorithm(header.get("alg"))
        # "none" is no name of ALGORITHMS, and cannot be chosen.
        if algorithm is None or algorithm not in self.algorithms:
            raise BadCredentialsError("a JWT with an algorithm that is not allowed")
        # Extensions that must be understood (RFC 7515, section 4.1.11), and payloads that are no base64url (RFC 7797):
        # none of them is understood here.
        if "crit" in header or "b64" in header:
            raise BadCredentialsError("a JWT with an extension (crit, b64) that is not understood")
        if (None if header.get("typ") is None else normalise_type(header["typ"])) not in self.types:
            # For example a log-out token, which the same issuer signs for the same audience (RFC 8725, section 3.11).
            raise BadCredentialsError("a JWT of another type (typ)")
        key_id = header.get("kid")
        if key_id is not None and (not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID_LENGTH):
            raise BadCredentialsError("a JWT whose kid is no name of a key")
        return algorithm, key_id


class ClaimsPolicy(NamedTuple):
    """Hold what the claims of a token must say.

    :param issuers: one of these is its ``iss``; ``None`` for any
    :param audiences: one of its ``aud``; ``None`` for any
    :param leeway: how far the issuer's clock may be ahead or behind, in seconds
    """

    issuers: frozenset[str] | None
    audiences: frozenset[str] | None
    leeway: float

    def check(self, claims: Mapping[str, Any]) -> tuple[str | None, datetime]:
        """Return which of the issuers a token is of, ``None`` where any will do, and when it ends.

        :param claims: the claims of a token, verified or not
        :raises ExpiredCredentialsError: it has ended
        :raises BadCredentialsError: it is not of this issuer, for this audience, for now
        """
        issuer = None if self.issuers is None else claims.get("iss")
        if self.issuers is not None and not (isinstance(issuer, str) and issuer in self.issuers):
            raise BadCredentialsError("a JWT of another issuer (iss)")
        audience = claims.get("aud")
        if self.audiences is not None and (
            audience not in self.audiences
            if isinstance(audience, str)
            else self.audiences.isdisjoint(_read_audiences(audience))
        ):
            raise BadCredentialsError("a JWT for another audience (aud)")
        now = time.time()
        expires = _read_time(claims, "exp")
        not_before = _read_time(claims, "nbf")
        issued = _read_time(claims, "iat")
        if expires is None:
            raise BadCredentialsError("a JWT that never ends (exp)")
        if max(not_before or 0, issued or 0) > now + self.leeway:
            raise BadCredentialsError("a JWT from the future (nbf, iat)")
        # The chain looks at this time once more: it has the leeway already.
        ends = min(expires + self.leeway, _LAST_SECOND)
        if ends <= now:
            raise ExpiredCredentialsError("a JWT that has expired")
        return issuer, datetime.fromtimestamp(ends, timezone.utc)


def normalise_type(value: object) -> str:
    """Return a ``typ`` as it is compared: without regard to case, and to ``application/`` (RFC 7515, section 4.1.9).

    :param value: what a header, or the application, says
    :raises BadCredentialsError: it is no string
    """
    if not isinstance(value, str):
        raise BadCredentialsError("a JWT whose type (typ) is no string")
    lowered = value.lower()
    return lowered.removeprefix("application/") if lowered.count("/") == 1 else lowered


def make_header_policy(algorithms: object, token_type: object) -> HeaderPolicy:
    """Return what headers must say.

    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`
    :param token_type: the one ``typ`` that is taken; ``None`` for those that an access token may have: none, ``JWT``,
        or ``at+jwt`` (RFC 9068)
    :raises ConfigurationError: an argument that is neither
    """
    types: list[str | None] = [None, "jwt", "at+jwt"]
    if token_type is not None:
        types = [normalise_type(require_name(token_type, "token_type"))]
    return HeaderPolicy(require_algorithms(algorithms), frozenset(types))


def make_claims_policy(
    issuers: tuple[str, ...] | None,
    audience: object,
    leeway: object,
    *,
    allow_any_issuer: object,
    allow_any_audience: object,
) -> ClaimsPolicy:
    """Return what claims must say.

    :param issuers: the issuers; ``None`` for any
    :param audience: one name of this API, or several
    :param leeway: in seconds
    :param allow_any_issuer: must be said where ``issuers`` is ``None``, and only there
    :param allow_any_audience: must be said where ``audience`` is ``None``, and only there
    :raises ConfigurationError: an argument that is none of these
    """
    for what, value, waived in (("issuer", issuers, allow_any_issuer), ("audience", audience, allow_any_audience)):
        # Silence must not be a waiver: an empty setting would let in the tokens of everybody (RFC 8725, 3.8, 3.9).
        if (value is None) is not waived:
            raise ConfigurationError(
                f"{what} must be given, or be None together with allow_any_{what}=True; it is {value!r}, with "
                f"allow_any_{what}={waived!r}"
            )
    if isinstance(leeway, bool) or not isinstance(leeway, (int, float)) or not 0 <= leeway <= MAX_LEEWAY_SECONDS:
        raise ConfigurationError(f"leeway must be from 0 to {MAX_LEEWAY_SECONDS} seconds, not {leeway!r}")
    return ClaimsPolicy(
        None if issuers is None else frozenset(issuers),
        None if audience is None else frozenset(require_names(audience, "audience")),
        leeway,
    )


def _read_audiences(audiences: object) -> list[str]:
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise BadCredentialsError("a JWT whose audience (aud) is no name and no list of names")
    return audiences


def _read_time(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time in seconds since 1970 (RFC 7519, section 2: a number, not necessarily a whole one)."""
    seconds = claims.get(name)
    if seconds is None:
        return None
    if type(seconds) not in (int, float) or not 0 <= seconds <= _LAST_SECOND:
        raise BadCredentialsError(f"a JWT whose {name} is no time")
    return float(seconds)
