"""Sessions in an SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..sql_stores import open_database
from .abstract import AbstractTokenstore
from .models import Session

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..databases import DatabaseSource

T = TypeVar("T")

#: Of how many sessions the last use is written down in one transaction, which keeps them for itself as long.
_RECORDED_AT_ONCE = 100


class SQLAlchemyTokenstore(AbstractTokenstore):
    """Keep sessions in an SQL database, by SQLAlchemy 2: SQLite for one machine, PostgreSQL for many.

    It has a table of its own, which :meth:`create_schema`, or the first write, makes.

    :param database: a URL such as ``"sqlite:///tokens.db"`` or ``"postgresql://..."``; or an engine; or a function that
        returns one (``lambda: db.engine``, for Flask-SQLAlchemy)
    :param timeout: how long one look-up may wait, in seconds; an engine has its own
    :raises MissingDependencyError: SQLAlchemy, or the driver for this URL, is not installed
    :raises ConfigurationError: no database, a driver that is not installed, or SQLite in memory
    """

    def __init__(self, database: DatabaseSource, *, timeout: float = 5.0) -> None:
        self._has_schema = False
        self._database = open_database("SQLAlchemyTokenstore", database, timeout=timeout)
        from .sqlalchemy_table import SessionTable

        self._table = SessionTable()

    def create_schema(self) -> None:
        """Make the table, unless it is there.

        :raises ConfigurationError: a newer release has made a table that this one does not know
        :raises BackendError: the database is down, or does not allow it
        """
        self._database.create_schema(self._table.metadata, "tokens", self._table.version)
        self._has_schema = True

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""
        return self._database.read(lambda connection: self._table.find(connection, session_id))

    def add_session(self, session: Session) -> None:
        """Add a session."""
        self._write(lambda connection: self._table.add(connection, session))

    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected."""
        return self._write(lambda each: self._table.refresh(each, session_id, expected, refresh_digest, at))

    def end_session(self, session_id: str) -> bool:
        """End a session."""
        return self._write(lambda connection: self._table.end(connection, session_id))

    def end_sessions(self, username: str) -> int:
        """End all sessions of a user."""
        return self._write(lambda connection: self._table.end_all(connection, username))

    def list_sessions(self, username: str) -> Iterator[Session]:
        """Yield the sessions of a user, the oldest first."""
        yield from self._database.read(lambda connection: self._table.find_all(connection, username))

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""
        # A few at a time, and in the same order everywhere: whoever logs out does not wait for long, and no two
        # processes wait for each other.
        due = sorted(uses.items())
        for start in range(0, len(due), _RECORDED_AT_ONCE):
            self._write(partial(self._table.record, uses=due[start : start + _RECORDED_AT_ONCE]))

    def _write(self, work: Callable[[Connection], T]) -> T:
        if not self._has_schema:
            self.create_schema()
        return self._database.write(work)
