"""The table of sessions. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from .models import Session

#: The version of this table; to be raised with a change, and a way from the one before.
VERSION = 1

METADATA = sa.MetaData()

# Times are seconds since 1970: the same in every database, whatever it does with time zones.
_TIMES = ("created_at", "expires_at", "last_used_at", "refreshed_at")

_SESSIONS = sa.Table(
    "securest_sessions",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("username", sa.String(255), nullable=False, index=True),
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    sa.Column("client", sa.String(255), nullable=False),
    sa.Column("password_mark", sa.String(64)),
    sa.Column("refresh_digest", sa.LargeBinary(32)),
    sa.Column("former_refresh_digest", sa.LargeBinary(32)),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("last_used_at", sa.BigInteger),
    sa.Column("refreshed_at", sa.BigInteger),
)

_BY_ID = sa.select(_SESSIONS).where(_SESSIONS.c.id == sa.bindparam("id"))
_USED = _SESSIONS.update().where(_SESSIONS.c.id == sa.bindparam("key")).values(last_used_at=sa.bindparam("at"))


class SessionTable:
    """Keep sessions in a table of our own."""

    metadata = METADATA
    version = VERSION

    def find(self, connection: Connection, session_id: str) -> Session | None:
        """Return the session with this id: one indexed read."""
        row = connection.execute(_BY_ID, {"id": session_id}).first()
        # Some databases take "A" for "a".
        if row is None or row.id != session_id or row.expires_at <= _now():
            return None
        return _to_session(row)

    def find_all(self, connection: Connection, username: str) -> list[Session]:
        """Return the sessions of a user, the oldest first."""
        query = sa.select(_SESSIONS).where(_SESSIONS.c.username == username, _SESSIONS.c.expires_at > _now())
        rows = connection.execute(query.order_by(_SESSIONS.c.created_at, _SESSIONS.c.id)).all()
        return [_to_session(row) for row in rows if row.username == username]

    def add(self, connection: Connection, session: Session) -> None:
        """Add a session, and throw away those that have expired."""
        connection.execute(_SESSIONS.delete().where(_SESSIONS.c.expires_at <= _now()))
        connection.execute(_SESSIONS.insert().values(**_to_row(session)))

    def refresh(self, connection: Connection, session_id: str, expected: bytes, new: bytes, at: datetime) -> bool:
        """Replace the refresh token, if it is still the one that is expected."""
        statement = _SESSIONS.update().where(_SESSIONS.c.id == session_id, _SESSIONS.c.refresh_digest == expected)
        values = {"refresh_digest": new, "former_refresh_digest": expected, "refreshed_at": int(at.timestamp())}
        return connection.execute(statement.values(**values)).rowcount == 1

    def end(self, connection: Connection, session_id: str) -> bool:
        """End a session."""
        return connection.execute(_SESSIONS.delete().where(_SESSIONS.c.id == session_id)).rowcount == 1

    def end_all(self, connection: Connection, username: str) -> int:
        """End the sessions of a user."""
        return connection.execute(_SESSIONS.delete().where(_SESSIONS.c.username == username)).rowcount

    def record(self, connection: Connection, uses: Sequence[tuple[str, datetime]]) -> None:
        """Write down when sessions were last used, except of those that somebody else is just changing."""
        free = self._lock_free(connection, [session_id for session_id, _ in uses])
        values = [{"key": each, "at": int(used_at.timestamp())} for each, used_at in uses if each in free]
        if values:
            connection.execute(_USED, values)

    def _lock_free(self, connection: Connection, ids: list[str]) -> set[str]:
        """Return which of the sessions can be written without waiting for anybody."""
        if connection.dialect.name != "postgresql":
            return set(ids)
        query = sa.select(_SESSIONS.c.id).where(_SESSIONS.c.id.in_(ids)).order_by(_SESSIONS.c.id)
        return set(connection.scalars(query.with_for_update(skip_locked=True)))


def _now() -> int:
    return int(datetime.now(timezone.utc).timestamp())


def _to_session(row: Row[Any]) -> Session:
    times = {
        name: None if (at := getattr(row, name)) is None else datetime.fromtimestamp(at, timezone.utc)
        for name in _TIMES
    }
    return Session(
        id=row.id,
        username=row.username,
        scopes=None if row.scopes is None else frozenset(row.scopes),
        client=row.client,
        password_mark=row.password_mark,
        refresh_digest=None if row.refresh_digest is None else bytes(row.refresh_digest),
        former_refresh_digest=None if row.former_refresh_digest is None else bytes(row.former_refresh_digest),
        **times,  # type: ignore[arg-type]  # created_at and expires_at cannot be NULL
    )


def _to_row(session: Session) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(session, name) for name in _SESSIONS.c.keys()}  # noqa: SIM118
    row["scopes"] = None if session.scopes is None else sorted(session.scopes)
    return row | {name: None if row[name] is None else int(row[name].timestamp()) for name in _TIMES}
