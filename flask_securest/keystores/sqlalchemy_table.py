"""The table of API keys. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from .models import ApiKey, KeyUse

#: The version of this table; to be raised with a change, and a way from the one before.
VERSION = 1

METADATA = sa.MetaData()

# Times are seconds since 1970: the same in every database, whatever it does with time zones.
_TIMES = (
    *("created_at", "expires_at", "revoked_at", "last_used_at"),
    *("rotated_at", "sunset_at", "former_last_used_at"),
)

_KEYS = sa.Table(
    "securest_keys",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("owner", sa.String(255), index=True),
    sa.Column("app_name", sa.String(255), index=True),
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    sa.Column("networks", sa.JSON, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("former_digest", sa.LargeBinary(32)),
    *(sa.Column(name, sa.BigInteger, nullable=name != "created_at") for name in _TIMES),
)

_BY_ID = sa.select(_KEYS).where(_KEYS.c.id == sa.bindparam("id"))

_CHUNK = 2000


class KeyTable:
    """Keep keys in a table of our own."""

    metadata = METADATA
    version = VERSION

    def find(self, connection: Connection, key_id: str) -> ApiKey | None:
        """Return the key with this id: one indexed read."""
        row = connection.execute(_BY_ID, {"id": key_id}).first()
        # Some databases take "A" for "a".
        return None if row is None or row.id != key_id else _to_key(row)

    def find_all(self, connection: Connection) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first."""
        for row in connection.execute(sa.select(_KEYS).order_by(_KEYS.c.created_at, _KEYS.c.id)).yield_per(_CHUNK):
            yield _to_key(row)

    def add(self, connection: Connection, keys: Iterable[ApiKey]) -> int:
        """Add keys.

        :raises ValueError: an id that is taken
        """
        added = 0
        rest = iter(keys)
        while chunk := list(islice(rest, _CHUNK)):
            try:
                connection.execute(_KEYS.insert(), [_to_row(key) for key in chunk])
            except sa.exc.IntegrityError:
                taken = True
            else:
                taken = False
            if taken:
                raise ValueError("one of the keys has an id that another key has already")
            added += len(chunk)
        return added

    def replace(self, connection: Connection, key: ApiKey, expected: ApiKey) -> bool:
        """Replace what is known of a key, if it is still what is expected."""
        # Nobody else changes it until the end of this transaction.
        known = connection.execute(_BY_ID.with_for_update(), {"id": key.id}).first()
        # All of it is compared: a limit that was set meanwhile (networks, scopes, an end) must not be undone.
        if known is None or _without_uses(_to_key(known)) != _without_uses(expected):
            return False
        return connection.execute(_KEYS.update().where(_KEYS.c.id == key.id).values(**_without_uses(key))).rowcount == 1

    def record(self, connection: Connection, uses: Sequence[tuple[KeyUse, datetime]], seconds_between: float) -> None:
        """Write down when keys were last used, unless another process has done so just before, or is changing them."""
        free = self._lock_free(connection, [use.key_id for use, _ in uses])
        for former, column in ((False, _KEYS.c.last_used_at), (True, _KEYS.c.former_last_used_at)):
            values = [
                {"key": use.key_id, "at": (at := int(used_at.timestamp())), "due": at - int(seconds_between)}
                for use, used_at in uses
                if use.former == former and use.key_id in free
            ]
            due = sa.or_(column.is_(None), column <= sa.bindparam("due"))
            if values:
                statement = _KEYS.update().where(_KEYS.c.id == sa.bindparam("key"), due)
                connection.execute(statement.values({column: sa.bindparam("at")}), values)

    def _lock_free(self, connection: Connection, ids: list[str]) -> set[str]:
        """Return which of the keys can be written without waiting for anybody."""
        if connection.dialect.name != "postgresql":
            return set(ids)
        query = sa.select(_KEYS.c.id).where(_KEYS.c.id.in_(ids)).order_by(_KEYS.c.id)
        return set(connection.scalars(query.with_for_update(skip_locked=True)))


def _to_key(row: Row[Any]) -> ApiKey:
    times = {name: None if (at := getattr(row, name)) is None else _to_time(at) for name in _TIMES[1:]}
    return ApiKey(
        id=row.id,
        digest=bytes(row.digest),
        owner=row.owner,
        app_name=row.app_name,
        scopes=None if row.scopes is None else frozenset(row.scopes),
        networks=tuple(row.networks),
        note=row.note,
        former_digest=None if row.former_digest is None else bytes(row.former_digest),
        created_at=_to_time(row.created_at),
        **times,
    )


def _to_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _to_row(key: ApiKey) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in _TIMES}
    return {
        "id": key.id,
        "digest": key.digest,
        "owner": key.owner,
        "app_name": key.app_name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "networks": list(key.networks),
        "note": key.note,
        "former_digest": key.former_digest,
        **{name: None if at is None else int(at.timestamp()) for name, at in times.items()},
    }


def _without_uses(key: ApiKey) -> dict[str, Any]:
    return {name: value for name, value in _to_row(key).items() if not name.endswith("last_used_at")}
