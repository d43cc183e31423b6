"""The verified caller of a request: :class:`Identity`. An account is an origin and a name, never a name alone."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final, Literal

from .models import UserModel, collect_names, require_aware, require_user


class Unset(enum.Enum):
    """Be the type of :data:`UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


#: Said of an origin that whoever comes next is to fill in. ``None`` says something else: the API's own userstore.
UNSET: Final = Unset.UNSET

#: The origin of what was made before there were origins: nobody knows it.
UNKNOWN_ORIGIN = "?"

#: ``None`` for an account of the API's userstore; else the name of the provider whose user it is, or ``name:issuer``.
Origin = str | None


class Claims(Mapping[str, Any]):
    """Hold claims, which cannot be written into: what is in them is handed out as tuples and as :class:`Claims`."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return _freeze(self._items[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def _freeze(value: Any) -> Any:
    # When it is asked for, and not before: most requests ask for one claim, or none.
    if isinstance(value, Mapping):
        return value if isinstance(value, Claims) else Claims(value)
    return tuple(map(_freeze, value)) if isinstance(value, (list, tuple)) else value


#: Of most credentials.
NO_CLAIMS = Claims({})


def require_origin(origin: object) -> Origin:
    """Return ``origin`` if it can be that of an account.

    :param origin: the argument
    :raises TypeError: it is neither a string nor ``None``
    :raises ValueError: it is empty, or ``"?"``
    """
    if not isinstance(origin, (str, type(None))):
        raise TypeError(f"origin must be the name of a provider, or None for the API's own, not {origin!r}")
    if origin in ("", UNKNOWN_ORIGIN):
        raise ValueError(f"origin must be the name of a provider, or None for the API's own, not {origin!r}")
    return origin


def _collect_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ``headers`` as pairs of name and value, without repeating what may be a secret.

    :raises TypeError: they are none
    :raises ValueError: one of them would split the response (CWE-113)
    """
    try:
        pairs = tuple((name, value) for name, value in headers)
    except (TypeError, ValueError):
        raise TypeError("response_headers must be pairs of name and value") from None
    for word in (word for pair in pairs for word in pair):
        if not isinstance(word, str):
            raise TypeError(f"response_headers must be pairs of strings, not of type {type(word).__name__}")
        if not word.isascii() or not word.isprintable():
            raise ValueError("response_headers have characters that no header has")
    return pairs


@dataclass(frozen=True, slots=True)
class Identity:
    """Hold a *verified* caller: who it is, who vouched for it, and what its credentials are limited to.

    :param user: the account
    :param provider: the name under which the provider that vouched is registered; the chain fills it in
    :param scopes: ``None`` for credentials that are not limited to scopes (a password); a collection, even an
        empty one, limits. Delegated credentials (tokens with scopes) always carry a collection.
    :param credential_id: which of the user's credentials it was, where they have ids
    :param app_name: the machine client that an API key belongs to
    :param expires_at: when the credentials end; an aware ``datetime``
    :param replaced_at: since when there are others in their place, with which they go on working until they end; the
        client is told so (RFC 9745, RFC 8594)
    :param response_headers: pairs of name and value that are added to the answer, for mechanisms in which the server
        proves to the client who it is (RFC 4559); absent from ``repr``
    :param origin: where the account lives: ``None`` for the API's userstore; the name under which the provider is
        registered, or ``name:issuer``, for a user of its own. The chain fills in what is :data:`UNSET`.
    :param claims: what the credentials say besides; read-only
    :param tradable: whether the credentials may be traded for a token; not if they are good under conditions that the
        token would be without, such as certain networks
    :raises TypeError: ``user`` is no user, ``scopes="read"``, a time that is no ``datetime``, headers or claims that
        are none, or an origin that is no string
    :raises ValueError: a time without a time zone, or an origin that is empty
    """

    user: UserModel
    provider: str | None = None
    scopes: Collection[str] | None = field(default=None, kw_only=True)
    credential_id: str | None = field(default=None, kw_only=True)
    app_name: str | None = field(default=None, kw_only=True)
    expires_at: datetime | None = field(default=None, kw_only=True)
    replaced_at: datetime | None = field(default=None, kw_only=True)
    response_headers: Collection[tuple[str, str]] = field(default=(), kw_only=True, repr=False)
    tradable: bool = field(default=True, kw_only=True)
    origin: str | Literal[Unset.UNSET] | None = field(default=UNSET, kw_only=True)
    claims: Mapping[str, Any] = field(default_factory=lambda: NO_CLAIMS, kw_only=True, repr=False, hash=False)

    def __post_init__(self) -> None:
        """Check what a provider has said: a mistake here would be a caller with the wrong rights."""
        require_user(self.user)
        if self.scopes is not None:
            object.__setattr__(self, "scopes", collect_names(self.scopes, what="scopes"))
        if self.expires_at is not None:
            require_aware(self.expires_at, "expires_at")
        if self.replaced_at is not None:
            require_aware(self.replaced_at, "replaced_at")
        if self.response_headers:
            object.__setattr__(self, "response_headers", _collect_headers(self.response_headers))
        if self.origin is not UNSET and self.origin is not None:
            require_origin(self.origin)
        if type(self.claims) is not Claims:
            if not isinstance(self.claims, Mapping):
                raise TypeError(f"claims must be a mapping, not of type {type(self.claims).__name__}")
            object.__setattr__(self, "claims", Claims(self.claims))

    def vouched_by(self, provider: str, origin: Origin) -> Identity:
        """Return this identity with the name of the provider that vouched for it, and with its origin.

        :param provider: the registered name
        :param origin: where the account lives
        """
        if type(self) is not Identity:
            return replace(self, provider=provider, origin=origin)
        # Everything else was checked when this one was made; replace() would take three times as long.
        copy = object.__new__(Identity)
        for name in _FIELDS:
            object.__setattr__(copy, name, getattr(self, name))
        object.__setattr__(copy, "provider", provider)
        object.__setattr__(copy, "origin", origin)
        return copy


#: The names of the fields of an :class:`Identity`.
_FIELDS = tuple(each.name for each in fields(Identity))
