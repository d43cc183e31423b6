"""The table of API keys. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ..errors import BackendError
from ..sql.upgraded import Upgraded
from .models import ApiKey, KeyUse

#: The version of these tables. It is raised only with a change that the release before could not live with.
VERSION = 1

METADATA = sa.MetaData()

# Times are seconds since 1970: the same in every database, whatever it does with time zones.
_TIMES = (
    *("created_at", "expires_at", "revoked_at", "last_used_at"),
    *("rotated_at", "sunset_at", "former_last_used_at"),
)


def _make_table(name: str, *more: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        name,
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
        *more,
    )


#: The keys of applications, and of the users of the API's userstore.
_OWN = _make_table("securest_keys")

#: Those of users who live elsewhere. The release before must not find them: it would let them in as their namesakes.
_ELSEWHERE = _make_table("securest_keys_elsewhere", sa.Column("owner_origin", sa.String(255), nullable=False))

_OWN_BY_ID = sa.select(*_OWN.c, sa.null().label("owner_origin")).where(_OWN.c.id == sa.bindparam("id"))
_ELSEWHERE_BY_ID = sa.select(*_ELSEWHERE.c).where(_ELSEWHERE.c.id == sa.bindparam("id"))
_BY_ID = sa.union_all(_OWN_BY_ID, _ELSEWHERE_BY_ID)  # one statement, for each is a round trip

_CHUNK = 2000


class KeyTable:
    """Keep keys in tables of our own. That of users from elsewhere may not be there yet."""

    metadata = METADATA
    version = VERSION

    def __init__(self) -> None:
        self._upgraded = Upgraded(lambda connection: sa.inspect(connection).has_table(_ELSEWHERE.name))

    def find(self, connection: Connection, key_id: str) -> ApiKey | None:
        """Return the key with this id: one indexed read."""
        query = _BY_ID if self._upgraded.seen(connection) else _OWN_BY_ID
        rows = connection.execute(query, {"id": key_id}).all()
        if not rows and query is _OWN_BY_ID and self._upgraded.seen(connection, again=True):
            rows = connection.execute(_ELSEWHERE_BY_ID, {"id": key_id}).all()
        # Some databases take "A" for "a".
        return next((_to_key(row) for row in rows if row.id == key_id), None)

    def find_all(self, connection: Connection) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first."""
        both = [
            connection.execute(sa.select(*table.c).order_by(table.c.created_at, table.c.id)).yield_per(_CHUNK)
            for table in self._tables(connection)
        ]
        yield from heapq.merge(*(map(_to_key, rows) for rows in both), key=lambda key: (key.created_at, key.id))

    def find_origins(self, connection: Connection) -> list[str]:
        """Return the origins, other than the API's own, of users who have keys."""
        if not self._upgraded.seen(connection, again=True):
            return []
        origin = _ELSEWHERE.c.owner_origin
        return list(connection.scalars(sa.select(origin).distinct().order_by(origin)))

    def add(self, connection: Connection, keys: Iterable[ApiKey]) -> int:
        """Add keys.

        :raises ValueError: an id that is taken
        :raises BackendError: there is no table for keys of users who live elsewhere
        """
        added = 0
        rest = iter(keys)
        while chunk := list(islice(rest, _CHUNK)):
            for table in (_OWN, _ELSEWHERE):
                rows = [_to_row(key) for key in chunk if _table_of(key) is table]
                if rows:
                    self._insert(connection, table, rows)
            added += len(chunk)
        return added

    def _insert(self, connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        if table is _ELSEWHERE and not self._upgraded.seen(connection, again=True):
            raise BackendError(
                "the tables of the keystore are of a former release, which cannot keep keys of users from elsewhere: "
                "run flask securest init, as a user of the database who may make tables"
            )
        try:
            connection.execute(table.insert(), rows)
        except sa.exc.IntegrityError:
            taken = True
        else:
            taken = False
        if taken:
            raise ValueError("one of the keys has an id that another key has already")

    def replace(self, connection: Connection, key: ApiKey, expected: ApiKey) -> bool:
        """Replace what is known of a key, if it is still what is expected."""
        table = _table_of(expected)
        if _table_of(key) is not table or table not in self._tables(connection):
            return False  # the owner of a key does not change
        # Nobody else changes it until the end of this transaction.
        query = sa.select(*table.c).where(table.c.id == sa.bindparam("id")).with_for_update()
        known = connection.execute(query, {"id": key.id}).first()
        # All of it is compared: a limit that was set meanwhile (networks, scopes, an end) must not be undone.
        if known is None or _without_uses(_to_key(known)) != _without_uses(expected):
            return False
        return connection.execute(table.update().where(table.c.id == key.id).values(**_without_uses(key))).rowcount == 1

    def record(self, connection: Connection, uses: Sequence[tuple[KeyUse, datetime]], seconds_between: float) -> None:
        """Write down when keys were last used, unless another process has done so just before, or is changing them."""
        for table in self._tables(connection):
            free = _lock_free(connection, table, [use.key_id for use, _ in uses])
            for former, column in ((False, table.c.last_used_at), (True, table.c.former_last_used_at)):
                values = [
                    {"key": use.key_id, "at": (at := int(used_at.timestamp())), "due": at - int(seconds_between)}
                    for use, used_at in uses
                    if use.former == former and use.key_id in free
                ]
                due = sa.or_(column.is_(None), column <= sa.bindparam("due"))
                if values:
                    statement = table.update().where(table.c.id == sa.bindparam("key"), due)
                    connection.execute(statement.values({column: sa.bindparam("at")}), values)

    def _tables(self, connection: Connection) -> list[sa.Table]:
        return [_OWN, _ELSEWHERE] if self._upgraded.seen(connection, again=True) else [_OWN]


def _table_of(key: ApiKey) -> sa.Table:
    return _OWN if key.owner_origin is None else _ELSEWHERE


def _lock_free(connection: Connection, table: sa.Table, ids: list[str]) -> set[str]:
    """Return which of the keys can be written without waiting for anybody."""
    if connection.dialect.name != "postgresql":
        return set(ids)
    query = sa.select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id)
    return set(connection.scalars(query.with_for_update(skip_locked=True)))


def _to_key(row: Row[Any]) -> ApiKey:
    times = {name: None if (at := getattr(row, name)) is None else _to_time(at) for name in _TIMES[1:]}
    return ApiKey(
        id=row.id,
        digest=bytes(row.digest),
        owner=row.owner,
        owner_origin=getattr(row, "owner_origin", None),
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
    elsewhere = {} if key.owner_origin is None else {"owner_origin": key.owner_origin}
    return {
        **elsewhere,
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
