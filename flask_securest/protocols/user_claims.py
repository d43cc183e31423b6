"""Which claims of a JWT say who its user is, and what the user may do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ..support.checks import require_callable, require_name, require_names
from .claims import ClaimMapping, call_username, read_name, read_roles, read_scopes

#: Where scopes are looked for if nobody says where. The last one is a guess: it may be of another shape.
SCOPE_CLAIMS = ("scope", "scp", "permissions")


class UserClaims(NamedTuple):
    """Hold which claims say who the user is, and what the user may do.

    :param username_claim: which one is the name
    :param username: a function of the claims that returns the name instead; ``None`` for none
    :param scope_claims: which ones have scopes
    :param guessed: of these, those that nobody has said to have scopes: what is no name in one of them gives none
    :param roles_claim: where the roles are; ``None`` for nowhere
    """

    username_claim: str
    username: Callable[[Mapping[str, Any]], Any] | None
    scope_claims: tuple[str, ...]
    guessed: tuple[str, ...]
    roles_claim: ClaimMapping | None

    def read_unverified_name(self, claims: Mapping[str, Any]) -> str:
        """Return the user's name; empty, where a function tells, which must see no claims that are not verified.

        :param claims: what an issuer says
        :raises BadCredentialsError: it is no name
        """
        return "" if self.username is not None else read_name(claims, self.username_claim)

    def call_username(self, claims: Mapping[str, Any]) -> str:
        """Return the user's name, by the function.

        :param claims: what an issuer says, verified
        :raises BadCredentialsError: nobody, or what is no name
        """
        return read_name(claims, self.username_claim) if self.username is None else call_username(self.username, claims)

    def read_scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return all scopes that the claims have.

        :param claims: what an issuer says
        :raises BadCredentialsError: a claim that should have some has what is no scope
        """
        return read_scopes(claims, self.scope_claims, self.guessed)

    def read_roles(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return the roles that the claims have; none, where they say nothing of roles.

        :param claims: what an issuer says, verified
        :raises BadCredentialsError: they are no names
        """
        return read_roles(claims, self.roles_claim)


def make_user_claims(
    username_claim: object, username: Any, scope_claims: str | Collection[str], roles_claim: Any
) -> UserClaims:
    """Return which claims say who the user is.

    :param username_claim: the name of a claim
    :param username: a function of the claims, or ``None``
    :param scope_claims: one name of a claim, or several
    :param roles_claim: the name of a claim, a dotted path, a function of the claims, or ``None``
    :raises ConfigurationError: an argument that is none of these
    """
    if username is not None:
        require_callable(username, "username", "claims")
    if roles_claim is not None and not callable(roles_claim):
        require_name(roles_claim, "roles_claim")
    return UserClaims(
        require_name(username_claim, "username_claim"),
        username,
        require_names(scope_claims, "scope_claims"),
        SCOPE_CLAIMS[2:] if scope_claims is SCOPE_CLAIMS else (),
        roles_claim,
    )
