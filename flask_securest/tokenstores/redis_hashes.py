"""How sessions are written in Redis: the names of keys, and the hashes behind them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from ..identity import UNKNOWN_ORIGIN, Origin
from .models import Session

_TIMES = ("created_at", "expires_at", "last_used_at", "refreshed_at")
_DIGESTS = ("refresh_digest", "former_refresh_digest")


class KeySpace(NamedTuple):
    """Name the keys of sessions in Redis.

    :param prefix: what all of them begin with
    """

    prefix: str

    @property
    def lists(self) -> str:
        """Return what the keys of lists begin with."""
        return f"{self.prefix}sessions:"

    def of(self, session_id: str) -> str:
        """Return the key of a session."""
        return f"{self.prefix}session:{session_id}"

    def list_of(self, username: str, origin: Origin) -> bytes:
        """Return the key of the list of an account's sessions."""
        if origin is None or origin == UNKNOWN_ORIGIN:
            return f"{self.lists}{username}".encode("utf-8", "surrogatepass")
        # With its length in front: no other origin and name are written in the same way.
        where = origin.encode("utf-8", "surrogatepass")
        return b"%b%d:%b:%b" % (self.lists.encode(), len(where), where, username.encode("utf-8", "surrogatepass"))

    def origin_of(self, list_key: bytes) -> str:
        """Return the origin of an account by the key of the list of its sessions.

        :param list_key: a key that :meth:`list_of` has made for an account from elsewhere
        """
        length, _, rest = list_key[len(self.lists.encode()) :].partition(b":")
        return rest[: int(length)].decode("utf-8", "surrogatepass")


def escape_glob(text: str) -> str:
    """Return a text as it is written in a pattern of Redis, where it stands for itself.

    :param text: the text
    """
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)


def to_hash(session: Session) -> dict[str, str]:
    """Return a session as a hash.

    :param session: the session
    """
    values: dict[str, str | None] = {
        "username": session.username,
        "origin": None if session.origin == UNKNOWN_ORIGIN else session.origin or "",
        "scopes": None if session.scopes is None else json.dumps(sorted(session.scopes)),
        "client": session.client,
        "password_mark": session.password_mark,
    }
    for name in _TIMES:
        at = getattr(session, name)
        values[name] = None if at is None else str(int(at.timestamp()))
    for name in _DIGESTS:
        digest = getattr(session, name)
        values[name] = None if digest is None else digest.hex()
    return {name: value for name, value in values.items() if value is not None}


def to_session(session_id: str, stored: Mapping[bytes, bytes]) -> Session | None:
    """Return the session in a hash; ``None`` if there is none, or it has ended.

    :param session_id: its id
    :param stored: the hash
    """
    values = {name.decode(): value.decode() for name, value in stored.items()}
    if not values:
        return None
    scopes = values.get("scopes")
    times = {name: datetime.fromtimestamp(int(values[name]), timezone.utc) for name in _TIMES if name in values}
    session = Session(
        id=session_id,
        username=values["username"],
        origin=values.get("origin", UNKNOWN_ORIGIN) or None,
        scopes=None if scopes is None else json.loads(scopes),
        client=values.get("client", ""),
        password_mark=values.get("password_mark"),
        **times,  # type: ignore[arg-type]
        **{name: bytes.fromhex(values[name]) for name in _DIGESTS if name in values},  # type: ignore[arg-type]
    )
    return session if session.expires_at > datetime.now(timezone.utc) else None
