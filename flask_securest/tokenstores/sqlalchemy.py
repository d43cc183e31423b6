"""Sessions in an SQL database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ..identity import Origin
from ..sql.stores import SQLStore
from .abstract import AbstractTokenstore
from .models import Session

if TYPE_CHECKING:
    from ..sql.databases import DatabaseSource


class SQLAlchemyTokenstore(SQLStore, AbstractTokenstore):
    """Keep sessions in an SQL database, by SQLAlchemy 2: SQLite for one machine, PostgreSQL for many.

    It has a table of its own, which :meth:`create_schema`, or the first write, makes.

    :param database: a URL such as ``"sqlite:///tokens.db"`` or ``"postgresql://..."``; or an engine; or a function that
        returns one (``lambda: db.engine``, for Flask-SQLAlchemy)
    :param timeout: how long one look-up may wait, in seconds; an engine has its own
    :raises MissingDependencyError: SQLAlchemy, or the driver for this URL, is not installed
    :raises ConfigurationError: no database, a driver that is not installed, or SQLite in memory
    """

    _component = "tokens"

    def __init__(self, database: DatabaseSource, *, timeout: float = 5.0) -> None:
        self._open("SQLAlchemyTokenstore", database, timeout)
        from .sqlalchemy_table import SessionTable

        self._tables: SessionTable = SessionTable()

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""
        return self._database.read(lambda connection: self._tables.find(connection, session_id))

    def add_session(self, session: Session) -> None:
        """Add a session."""
        self._write(lambda connection: self._tables.add(connection, session))

    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected."""
        return self._write(lambda each: self._tables.refresh(each, session_id, expected, refresh_digest, at))

    def now(self) -> datetime:
        """Return the time by the database's clock, where that is another machine's."""
        return self._database.read(self._tables.now)

    def end_session(self, session_id: str) -> bool:
        """End a session."""
        return self._write(lambda connection: self._tables.end(connection, session_id))

    def end_sessions(self, username: str, origin: Origin = None) -> int:
        """End all sessions of an account."""
        return self._write(lambda connection: self._tables.end_all(connection, username, origin))

    def list_sessions(self, username: str, origin: Origin = None) -> Iterator[Session]:
        """Yield the sessions of an account, the oldest first."""
        yield from self._database.read(lambda connection: self._tables.find_all(connection, username, origin))

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of whose accounts there are sessions."""
        yield from self._database.read(self._tables.find_origins)

    def end_origin(self, origin: str) -> int:
        """End all sessions of accounts of an origin."""
        return self._write(lambda connection: self._tables.end_origin(connection, origin))

    def revoke(self, token_id: str, until: datetime) -> None:
        """Put a token of somebody else on the list of revoked ones."""
        self._write(lambda connection: self._tables.revoke(connection, token_id, until))

    def is_revoked(self, token_id: str) -> bool:
        """Return whether a token is on the list of revoked ones."""
        return self._database.read(lambda connection: self._tables.is_revoked(connection, token_id))

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""
        self._record_uses(uses)
