"""The table of sessions. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ..errors import BackendError
from ..identity import UNKNOWN_ORIGIN, Origin
from ..sql.upgraded import Upgraded
from .models import Session

#: The version of these tables. It is raised only with a change that the release before could not live with.
VERSION = 1

METADATA = sa.MetaData()

# Times are seconds since 1970: the same in every database, whatever it does with time zones.
_TIMES = ("created_at", "expires_at", "last_used_at", "refreshed_at")


def _make_table(name: str) -> sa.Table:
    return sa.Table(
        name,
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
        # Empty for the API's own accounts. What the release before adds gets the default.
        sa.Column("origin", sa.String(255), nullable=False, server_default=UNKNOWN_ORIGIN),
    )


#: The sessions of the API's own accounts, and of unknown ones.
_OWN = _make_table("securest_sessions")

#: Those of other accounts. The release before must not find, list or end them: it would take them for their namesakes'.
_ELSEWHERE = _make_table("securest_sessions_elsewhere")

#: Tokens of others that were revoked.
_REVOKED = sa.Table(
    "securest_revoked_tokens",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
)

#: The same as the release before has made it, without an origin.
_OF_BEFORE = [column for column in _OWN.c if column.name != "origin"]

# One statement, for each is a round trip.
_BY_ID = sa.union_all(*(sa.select(*table.c).where(table.c.id == sa.bindparam("id")) for table in (_OWN, _ELSEWHERE)))
_BY_ID_OF_BEFORE = sa.select(*_OF_BEFORE).where(_OWN.c.id == sa.bindparam("id"))


#: How databases tell the time, in seconds since 1970. SQLite has the clock of this machine.
_CLOCKS = {
    "postgresql": "SELECT floor(extract(epoch FROM clock_timestamp()))",
    "mysql": "SELECT unix_timestamp()",
    "mariadb": "SELECT unix_timestamp()",
}


class SessionTable:
    """Keep sessions in tables of our own. They may still be those of the release before: the columns tell."""

    metadata = METADATA
    version = VERSION

    def __init__(self) -> None:
        self._upgraded = Upgraded(_look)

    def find(self, connection: Connection, session_id: str) -> Session | None:
        """Return the session with this id: one indexed read."""
        if self._upgraded.seen(connection):
            return _first(session_id, connection.execute(_BY_ID, {"id": session_id}).all())
        found = _first(session_id, connection.execute(_BY_ID_OF_BEFORE, {"id": session_id}).all())
        if found is None and self._upgraded.seen(connection, again=True):
            # Another process has upgraded the tables since, and added a session.
            return self.find(connection, session_id)
        return found

    def find_all(self, connection: Connection, username: str, origin: Origin) -> list[Session]:
        """Return the sessions of an account, the oldest first."""
        upgraded = self._upgraded.seen(connection, again=True)
        if not upgraded and origin is not None:
            return []
        table = _OWN if origin is None else _ELSEWHERE
        query = sa.select(*(table.c if upgraded else _OF_BEFORE)).where(
            table.c.username == username, table.c.expires_at > _now(), *_of_origin(table, origin)
        )
        rows = connection.execute(query.order_by(table.c.created_at, table.c.id)).all()
        # Some databases take "A" for "a".
        names = {(username, origin), (username, UNKNOWN_ORIGIN if origin is None else origin)}
        return [session for session in map(_to_session, rows) if (session.username, session.origin) in names]

    def add(self, connection: Connection, session: Session) -> None:
        """Add a session, and throw away those that have expired."""
        upgraded = self._upgraded.seen(connection, again=True)
        table = _OWN if session.origin in (None, UNKNOWN_ORIGIN) else _ELSEWHERE
        row = _to_row(session)
        if not upgraded:
            if table is _ELSEWHERE:
                raise BackendError(
                    "the tables of the tokenstore are of a former release, which cannot keep sessions of accounts from "
                    "elsewhere: run flask securest init, as a user of the database who may change tables"
                )
            del row["origin"]
        connection.execute(table.delete().where(table.c.expires_at <= _now()))
        connection.execute(table.insert().values(**row))

    def refresh(self, connection: Connection, session_id: str, expected: bytes, new: bytes, at: datetime) -> bool:
        """Replace the refresh token, if it is still the one that is expected."""
        values = {"refresh_digest": new, "former_refresh_digest": expected, "refreshed_at": int(at.timestamp())}
        statements = (
            table.update().where(table.c.id == session_id, table.c.refresh_digest == expected).values(**values)
            for table in self._tables(connection)
        )
        return any(connection.execute(statement).rowcount == 1 for statement in statements)

    def now(self, connection: Connection) -> datetime:
        """Return the time by the clock of the database; of this machine, if the database does not tell."""
        query = _CLOCKS.get(connection.dialect.name)
        seconds = _now() if query is None else int(connection.scalars(sa.text(query)).one())
        return datetime.fromtimestamp(seconds, timezone.utc)

    def end(self, connection: Connection, session_id: str) -> bool:
        """End a session."""
        statements = (table.delete().where(table.c.id == session_id) for table in self._tables(connection))
        return any(connection.execute(statement).rowcount == 1 for statement in statements)

    def end_all(self, connection: Connection, username: str, origin: Origin) -> int:
        """End the sessions of an account."""
        if origin is not None and not self._upgraded.seen(connection, again=True):
            return 0
        table = _OWN if origin is None else _ELSEWHERE
        statement = table.delete().where(table.c.username == username, *_of_origin(table, origin))
        return connection.execute(statement).rowcount

    def find_origins(self, connection: Connection) -> list[str]:
        """Return the origins, other than the API's own, of whose accounts there are sessions."""
        if not self._upgraded.seen(connection, again=True):
            return []
        alive = _ELSEWHERE.c.expires_at > _now()
        return list(connection.scalars(sa.select(_ELSEWHERE.c.origin).where(alive).distinct().order_by("origin")))

    def end_origin(self, connection: Connection, origin: str) -> int:
        """End the sessions of all accounts of an origin."""
        if not self._upgraded.seen(connection, again=True):
            return 0
        return connection.execute(_ELSEWHERE.delete().where(_ELSEWHERE.c.origin == origin)).rowcount

    def record(self, connection: Connection, uses: Sequence[tuple[str, datetime]]) -> None:
        """Write down when sessions were last used, except of those that somebody else is just changing."""
        for table in self._tables(connection):
            free = _lock_free(connection, table, [session_id for session_id, _ in uses])
            values = [{"key": each, "at": int(used_at.timestamp())} for each, used_at in uses if each in free]
            if values:
                used = table.update().where(table.c.id == sa.bindparam("key"))
                connection.execute(used.values(last_used_at=sa.bindparam("at")), values)

    def revoke(self, connection: Connection, token_id: str, until: datetime) -> None:
        """Put a token of somebody else on the list, and throw away those that have ended by themselves."""
        connection.execute(_REVOKED.delete().where((_REVOKED.c.expires_at <= _now()) | (_REVOKED.c.id == token_id)))
        row = _REVOKED.insert().values(id=token_id, expires_at=int(until.timestamp()))
        # Somebody else may just have put it there.
        with contextlib.suppress(sa.exc.IntegrityError), connection.begin_nested():
            connection.execute(row)

    def is_revoked(self, connection: Connection, token_id: str) -> bool:
        """Return whether a token is on the list: one indexed read."""
        return connection.scalar(sa.select(_REVOKED.c.id).where(_REVOKED.c.id == token_id)) is not None

    def _tables(self, connection: Connection) -> list[sa.Table]:
        return [_OWN, _ELSEWHERE] if self._upgraded.seen(connection, again=True) else [_OWN]


def _look(connection: Connection) -> bool:
    inspector = sa.inspect(connection)
    if not inspector.has_table(_ELSEWHERE.name):
        return False
    return any(column["name"] == "origin" for column in inspector.get_columns(_OWN.name))


def _of_origin(table: sa.Table, origin: Origin) -> list[sa.ColumnElement[bool]]:
    return [] if table is _OWN else [table.c.origin == origin]


def _lock_free(connection: Connection, table: sa.Table, ids: list[str]) -> set[str]:
    """Return which of the sessions can be written without waiting for anybody."""
    if connection.dialect.name != "postgresql":
        return set(ids)
    query = sa.select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id)
    return set(connection.scalars(query.with_for_update(skip_locked=True)))


def _first(session_id: str, rows: Sequence[Row[Any]]) -> Session | None:
    # Some databases take "A" for "a".
    return next((_to_session(row) for row in rows if row.id == session_id and row.expires_at > _now()), None)


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
        origin=getattr(row, "origin", UNKNOWN_ORIGIN) or None,
        scopes=None if row.scopes is None else frozenset(row.scopes),
        client=row.client,
        password_mark=row.password_mark,
        refresh_digest=None if row.refresh_digest is None else bytes(row.refresh_digest),
        former_refresh_digest=None if row.former_refresh_digest is None else bytes(row.former_refresh_digest),
        **times,  # type: ignore[arg-type]  # created_at and expires_at cannot be NULL
    )


def _to_row(session: Session) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(session, name) for name in _OWN.c.keys()}  # noqa: SIM118
    row["origin"] = session.origin or ""
    row["scopes"] = None if session.scopes is None else sorted(session.scopes)
    return row | {name: None if row[name] is None else int(row[name].timestamp()) for name in _TIMES}
