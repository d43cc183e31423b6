"""What a client gets, and that it is no more than it has."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..identity import Identity
from ..models import collect_names


class Tokens(NamedTuple):
    """Hold what a client gets: see RFC 6749, section 5.1."""

    access_token: str
    expires_in: int
    refresh_token: str | None
    scopes: frozenset[str] | None


def limit_to_caller(scopes: frozenset[str] | None, caller: Identity) -> frozenset[str] | None:
    """Return the scopes of a token that is issued while this caller is answered: it mints no more than it has.

    :param scopes: what the token would be limited to; ``None`` for no limit
    :param caller: who is asking
    :raises ValueError: it has not what was asked for, or its credentials are not to be traded for a token
    """
    if not caller.tradable:
        raise ValueError("the caller's credentials are good under conditions that a token would be without")
    if caller.scopes is None:
        return scopes
    return require_held(caller.scopes if scopes is None else scopes, caller.scopes, "the caller")


def require_held(scopes: Collection[str], held: Collection[str] | None, who: str) -> frozenset[str]:
    """Return ``scopes``, if they are among those that are held.

    :param scopes: what is asked for
    :param held: what there is; ``None`` for no limit
    :param who: how the error calls whoever has not
    :raises ValueError: one is not
    """
    wanted = collect_names(scopes, what="scopes")
    if held is not None and not wanted <= set(held):
        raise ValueError(f"{who} has not these scopes: {', '.join(sorted(wanted - set(held)))}")
    return wanted
