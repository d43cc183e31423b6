"""Tokens of other issuers that were revoked before their time: a list of them, in a tokenstore."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any

from ..errors import BadCredentialsError
from ..support.checks import require_type
from .abstract import AbstractTokenstore

# By how much a provider may go on believing a token beyond its end: the clocks of the issuer and of the API differ.
_LEEWAY_SECONDS = 120

# The end of the year 9999, beyond which no datetime goes.
_LAST_SECOND = 253_402_300_799


class RevokedTokens:
    """Know which tokens of other issuers were revoked, by issuer (``iss``) and id (``jti``).

    Give it as ``revoked`` to :class:`~flask_securest.authentication_providers.jwt.JWTAuthenticator` or
    :class:`~flask_securest.authentication_providers.introspection.IntrospectionAuthenticator`. A token without an id is
    refused, for it could not be revoked; while the store cannot tell, all tokens are (503).

    :param store: where the list is
    :raises ConfigurationError: it is no tokenstore
    """

    def __init__(self, store: AbstractTokenstore) -> None:
        require_type(store, AbstractTokenstore, "store of RevokedTokens")
        self.store = store

    def __call__(self, claims: Mapping[str, Any]) -> bool:
        """Return whether a token was revoked.

        :param claims: what it says, verified
        :raises BadCredentialsError: it has no id
        :raises BackendError: the store cannot tell now
        """
        token_id = _find_id(claims)
        if token_id is None:
            raise BadCredentialsError("a token without an id (jti), which could not be revoked")
        return self.store.is_revoked(token_id)

    def revoke(self, claims: Mapping[str, Any]) -> None:
        """Revoke a token: from now on it is refused in every process.

        :param claims: what it says: ``current_identity.claims``, or ``{"iss": ..., "jti": ...}``. Without ``exp`` it
            stays on the list for ever.
        :raises ValueError: they have no id, or an end that is no time
        :raises BackendError: the store cannot be written now
        """
        token_id, end = _find_id(claims), claims.get("exp", _LAST_SECOND)
        if token_id is None:
            raise ValueError("claims must have a jti, a string: a token without one cannot be revoked")
        if isinstance(end, bool) or not isinstance(end, (int, float)) or not 0 <= end <= _LAST_SECOND:
            raise ValueError("exp of claims must be a time in seconds since 1970")
        until = min(end + _LEEWAY_SECONDS, _LAST_SECOND)
        self.store.revoke(token_id, datetime.fromtimestamp(until, timezone.utc))


def _find_id(claims: Mapping[str, Any]) -> str | None:
    """Return what stands for a token; ``None`` where it has no id."""
    token_id, issuer = claims.get("jti"), claims.get("iss")
    if not isinstance(token_id, str) or not token_id:
        return None
    # The id is unique with its issuer only (RFC 7519, section 4.1.7). The length keeps the two apart.
    issuer = issuer if isinstance(issuer, str) else ""
    return sha256(f"{len(issuer)}:{issuer}{token_id}".encode("utf-8", "surrogatepass")).hexdigest()
