"""What is known of an API key, which is everything but the key."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from ..identity import Origin, require_origin
from ..models import collect_names, require_aware


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Hold what is known of a key, which is everything but the key. It cannot be changed.

    :param id: what it is looked up by
    :param digest: the SHA-256 of the whole key
    :param owner: the user of the userstore whose key it is; or
    :param owner_origin: where that user lives: ``None`` for the API's userstore, else the name of a provider
    :param app_name: the application whose key it is, which is no user of the userstore
    :param scopes: what the key is limited to; ``None`` for no limit
    :param networks: from where it may be used, such as ``"10.0.0.0/8"``; empty for everywhere
    :param note: what it is for, in words
    :param created_at: when it was issued; all times are aware
    :param expires_at: when it ends; ``None`` for never
    :param revoked_at: since when it is good for nothing
    :param last_used_at: when it was last used, to a minute
    :param former_digest: the SHA-256 of the key as it was before it was rotated
    :param rotated_at: when that was
    :param sunset_at: until when the former one works
    :param former_last_used_at: when the former one was last used, to a minute
    :raises TypeError: ``scopes="read"``, or a time that is no ``datetime``
    :raises ValueError: neither owner nor application, or both; what is no network; a time without a time zone; text
        that databases cannot keep (a NUL, or half of a pair of surrogates)
    """

    id: str
    digest: bytes = field(repr=False)
    owner: str | None = None
    owner_origin: Origin = None
    app_name: str | None = None
    scopes: Collection[str] | None = None
    networks: Collection[str] = ()
    note: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    former_digest: bytes | None = field(default=None, repr=False)
    rotated_at: datetime | None = None
    sunset_at: datetime | None = None
    former_last_used_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check every argument, and make the collections unchangeable."""
        if bool(self.owner) == bool(self.app_name):
            raise ValueError("a key belongs to an owner (a user) or to an app_name (an application), to one of them")
        require_origin(self.owner_origin)
        if self.owner is None and self.owner_origin is not None:
            raise ValueError("owner_origin says where an owner lives, and there is no owner")
        if self.scopes is not None:
            object.__setattr__(self, "scopes", collect_names(self.scopes, what="scopes"))
        if self.networks:
            networks = sorted(collect_names(self.networks, what="networks"))
            object.__setattr__(self, "networks", tuple(str(ipaddress.ip_network(network)) for network in networks))
        for text in (self.owner, self.owner_origin, self.app_name, self.note, *(self.scopes or ())):
            if text and _UNSTORABLE.search(text):
                raise ValueError(f"what the key {self.id!r} has must be text without NUL and lone surrogates")
        for name in _TIMES:
            time = getattr(self, name)
            if time is not None:
                require_aware(time, f"{name} of the key {self.id!r}")

    def allows_address(self, address: str | None) -> bool:
        """Return whether the key may be used from an address.

        :param address: the address of the client; what is none is allowed only where every address is
        """
        if not self.networks:
            return True
        try:
            client = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        # A server that listens on both kinds of addresses sees 10.1.2.3 as ::ffff:10.1.2.3.
        client = getattr(client, "ipv4_mapped", None) or client
        return any(client in ipaddress.ip_network(network) for network in self.networks)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TIMES = (
    *("created_at", "expires_at", "revoked_at", "last_used_at"),
    *("rotated_at", "sunset_at", "former_last_used_at"),
)


class IssuedKey(NamedTuple):
    """Hold a key that has just been issued. ``text`` is what its bearer sends: it is shown once, and kept nowhere."""

    text: str
    key: ApiKey

    def __repr__(self) -> str:
        """Return everything but the key itself."""
        return f"IssuedKey({self.key!r})"


class KeyUse(NamedTuple):
    """Hold which key was used, and whether it was its former secret."""

    key_id: str
    former: bool
