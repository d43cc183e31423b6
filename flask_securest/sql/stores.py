"""What stores in SQL databases have in common. Nothing optional is needed to import this module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..errors import BackendError, MissingDependencyError
from ..support.logs import get_logger, message_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .databases import Database, DatabaseSource

_log = get_logger(__name__)

T = TypeVar("T")

#: Of how many the last use is written down in one transaction, which keeps them for itself as long.
_RECORDED_AT_ONCE = 100


class SQLStore:
    """Open the database of a store, and make its tables once, before the first write."""

    #: What the tables are called in the table of versions.
    _component: ClassVar[str]

    # Set by the constructor of the subclass, from a module that needs SQLAlchemy to be imported.
    _tables: Any

    def _open(self, feature: str, source: DatabaseSource, timeout: float) -> None:
        self._has_schema = False
        self._database = open_database(feature, source, timeout=timeout)

    @property
    def has_own_tables(self) -> bool:
        """Return whether its tables are ours, and not the application's."""
        return self._tables.metadata is not None

    def create_schema(self) -> None:
        """Make the tables, unless they are there, and add what those of a former release have not.

        Those of an application are the application's business.

        :raises ConfigurationError: a newer release has made tables that this one does not know
        :raises BackendError: the database is down, or does not allow it
        """
        if self._tables.metadata is not None:
            self._database.create_schema(self._tables.metadata, self._component, self._tables.version)
            self._database.upgrade_schema(self._tables.metadata)
        self._has_schema = True

    def _write(self, work: Callable[[Connection], T], *, repeatable: bool = True) -> T:
        if not self._has_schema:
            self._prepare()
        return self._database.write(work, repeatable=repeatable)

    def _prepare(self) -> None:
        """Make the tables, or upgrade them if this user of the database may: those of a former release will do."""
        if self._tables.metadata is not None:
            self._database.create_schema(self._tables.metadata, self._component, self._tables.version)
            try:
                self._database.upgrade_schema(self._tables.metadata)
            except BackendError as error:
                _log.warning(
                    "the tables of %s are those of a former release, and this user of the database cannot change them "
                    "(%s): run flask securest init as one who can",
                    self._component,
                    message_of(error),
                )
        self._has_schema = True

    def _record_uses(self, uses: Mapping[Any, datetime], **options: Any) -> None:
        """Write down when credentials were last used.

        A few at a time, and in the same order everywhere: whoever revokes one of them does not wait for long, and no
        two processes wait for each other.
        """
        due = sorted(uses.items())
        for start in range(0, len(due), _RECORDED_AT_ONCE):
            self._write(partial(self._tables.record, uses=due[start : start + _RECORDED_AT_ONCE], **options))


def open_database(feature: str, source: DatabaseSource, *, timeout: float) -> Database:
    """Return the database of a store.

    :param feature: the store's class, for the error
    :param source: a URL, an engine, or a function that returns an engine
    :param timeout: how long one look-up may wait, in seconds; an engine of the application has its own
    :raises MissingDependencyError: SQLAlchemy or psycopg is not installed
    :raises ConfigurationError: no URL that SQLAlchemy can read, a driver that is not installed, or SQLite in memory
    """
    try:
        from .databases import Database

        return Database(source, timeout=timeout)
    except ModuleNotFoundError as error:
        extra = "postgresql" if error.name == "psycopg" else "sqlalchemy"
    raise MissingDependencyError(feature, extra)
