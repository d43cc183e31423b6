"""What is known of a session, which is everything but its tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from ..identity import Origin
from ..models import collect_names, require_aware


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Hold one log-in: the access tokens issued for it, and the family of its refresh tokens. It cannot be changed.

    :param id: what it is looked up by; 16 digits and letters
    :param username: whose it is
    :param origin: where the account lives: ``None`` for the API's userstore, else a provider's name; ``"?"`` for a
        session from before there were origins
    :param scopes: what its tokens are limited to; ``None`` for no limit
    :param client: what the client calls itself, for the user to recognise
    :param created_at: when it began; all times are aware
    :param expires_at: when it ends, however often it is refreshed
    :param last_used_at: when a token of it was last used, to a minute
    :param password_mark: a digest of the stored password hash that the user had; ``None`` where there was none
    :param refresh_digest: the SHA-256 of the refresh token that is good now; ``None`` where there is none
    :param former_refresh_digest: the SHA-256 of the one before
    :param refreshed_at: when that was replaced
    :raises TypeError: ``scopes="read"``, or a time that is no ``datetime``
    :raises ValueError: a time without a time zone
    """

    id: str
    username: str
    origin: Origin = None
    scopes: Collection[str] | None = None
    client: str = ""
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    password_mark: str | None = field(default=None, repr=False)
    refresh_digest: bytes | None = field(default=None, repr=False)
    former_refresh_digest: bytes | None = field(default=None, repr=False)
    refreshed_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check every argument, and make the scopes unchangeable."""
        if self.scopes is not None:
            object.__setattr__(self, "scopes", collect_names(self.scopes, what="scopes"))
        for name in ("created_at", "expires_at", "last_used_at", "refreshed_at"):
            time = getattr(self, name)
            if time is not None:
                require_aware(time, f"{name} of the session {self.id!r}")
