"""What a client gets, and that it is no more than it has."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ..identity import Identity
from ..models import collect_names

#: How deep the claims of a token may be.
_MOST_LEVELS = 16

#: How long the claims of a token may be, in characters of JSON: what else it says must find a place in a header, too.
_MOST_CLAIMS = 2048


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


def require_claims(claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what an application adds to a token, if JSON can say it.

    :param claims: names and values
    :raises TypeError: it is no mapping of names
    :raises ValueError: JSON cannot say it, or it is too much
    """
    if claims is None:
        return {}
    if not isinstance(claims, Mapping) or not all(isinstance(name, str) for name in claims):
        raise TypeError(f'claims must be a mapping such as {{"tenant": "acme"}}, not of type {type(claims).__name__}')
    try:
        written = json.dumps(dict(claims), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"claims must be what JSON can say: {error}") from None
    if _has_more_levels(claims, _MOST_LEVELS):
        # Whoever reads the token may be deep in calls, where JSON gives up sooner than here.
        raise ValueError(f"claims must have at most {_MOST_LEVELS} levels of lists and mappings")
    if len(written) > _MOST_CLAIMS:
        raise ValueError(f"claims of {len(written)} characters are too many for a header; at most {_MOST_CLAIMS}")
    read: Mapping[str, Any] = json.loads(written)
    return read


def _has_more_levels(value: object, levels: int) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return isinstance(value, (list, tuple)) and (
        levels == 0 or any(_has_more_levels(each, levels - 1) for each in value)
    )


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
