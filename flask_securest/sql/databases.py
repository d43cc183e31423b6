"""Reach SQL databases by SQLAlchemy: bounded waits, one kind of error, and a schema that is made once.

This module needs SQLAlchemy to be imported; the constructors of the stores that use it say so where it is missing.
"""

from __future__ import annotations

import contextlib
import random
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from ..errors import BackendError, ConfigurationError
from .engines import DEADLINE, make_engine, require_shareable

T = TypeVar("T")

#: A URL, an engine of the application, or a function that returns one (``lambda: db.engine``, for Flask-SQLAlchemy).
DatabaseSource = str | URL | Engine | Callable[[], Engine]

#: How long one look-up may wait: for a connection, for a lock, for an answer; in seconds.
DEFAULT_TIMEOUT = 5.0


#: How often a transaction is tried that the database ends for the sake of another one.
_MOST_TRIES = 4

_SCHEMA = sa.MetaData()

#: Which version of its tables each component has made.
_VERSIONS = sa.Table(
    "securest_schema",
    _SCHEMA,
    sa.Column("component", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)

#: Of PostgreSQL's advisory lock around making tables; any number that nobody else uses.
_SCHEMA_LOCK = 7_313_031_201


class Database:
    """Read and write a database, in bounded time.

    An engine of the application is used as it is: give it timeouts, too. So it is where PgBouncer stands in front of
    PostgreSQL, for it refuses the ``options`` by which the server learns how long a statement may take.

    :param source: a URL, an engine, or a function that returns an engine. What a URL of PostgreSQL has of ``options``
        and ``connect_timeout`` stays in force.
    :param timeout: how long one look-up may wait, in seconds; an engine of the application has its own
    :raises ConfigurationError: no URL that SQLAlchemy can read, or SQLite in memory, which every thread has its own of
    :raises ModuleNotFoundError: psycopg is missing
    """

    def __init__(self, source: DatabaseSource, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._timeout = timeout
        self._is_ours = isinstance(source, (str, URL))
        self._make_engine: Callable[[], Engine]
        if isinstance(source, (str, URL)):
            engine = make_engine(source, timeout)
            self._make_engine = lambda: engine
            weakref.finalize(self, engine.dispose)
        elif isinstance(source, Engine):
            require_shareable(source)
            self._make_engine = lambda: source
        elif callable(source):
            self._make_engine = lambda: require_shareable(source())
        else:
            raise ConfigurationError(
                "a database must be a URL, an engine of SQLAlchemy, or a function that returns one, not of type "
                f"{type(source).__name__}"
            )

    def read(self, work: Callable[[Connection], T], *, as_a_whole: bool = True) -> T:
        """Return what ``work`` finds out.

        A connection may have died in the pool, with a server that has been restarted since; then it is tried once more
        with a new one. Each statement sees what is committed by then.

        :param work: is given a connection, and may be called twice
        :param as_a_whole: whether all of it has ``timeout`` seconds; otherwise, for long lists, each statement
        :raises BackendError: the database is down, too slow, or has not these tables
        """
        started = time.monotonic()
        bounded = DEADLINE.set(started + self._timeout if as_a_whole else None)
        try:
            for last in (False, True):
                try:
                    with self._make_engine().connect() as connection:
                        if connection.dialect.name == "postgresql":
                            # Without a transaction, which would take two more round trips.
                            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                        return work(connection)
                except sa.exc.SQLAlchemyError as error:
                    failure = error
                # One that is silent is taken for dead, too: whoever waits would wait for twice as long.
                late = time.monotonic() - started > self._timeout / 10
                if last or late or not getattr(failure, "connection_invalidated", False):
                    break
        finally:
            DEADLINE.reset(bounded)
        # Raised here, and not above, where it would carry along what the database has quoted.
        raise _unavailable(failure)

    def write(self, work: Callable[[Connection], T], *, repeatable: bool = True) -> T:
        """Return what ``work`` says, which is in force as a whole or not at all.

        :param work: is given a connection with a transaction
        :param repeatable: whether it may be called twice: of two transactions that wait for each other the database
            ends one, which then is tried again
        :raises BackendError: the database is down, too slow, locked, or has not these tables
        """
        self.read(lambda connection: connection.execute(sa.select(1)))  # for the pool has no dead connections after it
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                with self._make_engine().begin() as connection:
                    if connection.dialect.name == "sqlite":
                        _begin_to_write(connection)
                    return work(connection)
            except sa.exc.SQLAlchemyError as error:
                failure = error
            if attempt == _MOST_TRIES or not repeatable or not _was_in_the_way(failure):
                break
            # The other one has to come first: who tries again at once may be in its way again.
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311  # no secret
        raise _unavailable(failure)

    def create_schema(self, tables: sa.MetaData, component: str, version: int) -> None:
        """Make the tables of a component, unless they are there.

        :param tables: the tables
        :param component: what they belong to
        :param version: the version of the tables
        :raises ConfigurationError: a newer release has made tables that this one does not know
        :raises BackendError: the database is down, or does not allow it
        """

        def create(connection: Connection) -> int:
            _lock_schema(connection)
            _SCHEMA.create_all(connection)
            found = connection.scalar(sa.select(_VERSIONS.c.version).where(_VERSIONS.c.component == component))
            if found is None:
                tables.create_all(connection)
                connection.execute(_VERSIONS.insert().values(component=component, version=version))
            return version if found is None else int(found)

        if self._is_ours and self._make_engine().dialect.name == "sqlite":
            # Readers are not held up by a writer then; it is kept in the file, which is why an application decides that
            # itself for an engine of its own. It takes the whole file, and does not wait for it: if that fails, another
            # process is just doing the same.
            with contextlib.suppress(BackendError):
                self.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode=WAL"))
        found = self.write(create)
        if found > version:
            raise ConfigurationError(
                f"the tables of {component} are of version {found}, which a newer release has made; "
                f"this one knows {version}"
            )

    def upgrade_schema(self, tables: sa.MetaData) -> None:
        """Add what tables of a former release have not: the columns tell, and each may be added at any time.

        The number of the version is not raised: the former release, which may run at the same time, refuses a higher
        one.

        :param tables: the tables
        :raises BackendError: the database is down, or does not allow it
        """

        def upgrade(connection: Connection) -> None:
            _lock_schema(connection)
            absent, columns = _missing(connection, tables)
            tables.create_all(connection, absent)
            for column in columns:
                added = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                table = connection.dialect.identifier_preparer.format_table(column.table)
                connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {added}"))

        if any(self.read(lambda connection: _missing(connection, tables))):
            self.write(upgrade)


def _lock_schema(connection: Connection) -> None:
    """Let other processes wait that start at the same moment, instead of failing half-way."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})


def _missing(connection: Connection, tables: sa.MetaData) -> tuple[list[sa.Table], list[sa.Column[Any]]]:
    """Return which tables and columns are not there yet."""
    inspector = sa.inspect(connection)
    absent = [table for table in tables.sorted_tables if not inspector.has_table(table.name)]
    columns: list[sa.Column[Any]] = []
    for table in tables.sorted_tables:
        if table not in absent:
            there = {column["name"] for column in inspector.get_columns(table.name)}
            columns += [column for column in table.columns if column.name not in there]
    return absent, columns


def _begin_to_write(connection: Connection) -> None:
    """Begin a transaction of SQLite that writes. Two that have both read first would wait for each other."""
    driver = connection.connection.dbapi_connection
    if getattr(driver, "in_transaction", False):
        # The application has its engine begin them itself (autocommit=False, or SQLAlchemy's recipe for savepoints):
        # this one has just begun, and there is nothing in it.
        connection.exec_driver_sql("ROLLBACK")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _was_in_the_way(error: Exception) -> bool:
    """Return whether the database has undone a transaction for the sake of another one: deadlock, serialization."""
    original = getattr(error, "orig", None)
    return (getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)) in ("40P01", "40001")


def _unavailable(error: Exception) -> BackendError:
    """Return what callers are told: which kind of error, and not what the database quotes."""
    original = getattr(error, "orig", None) or error
    # A code, as SQLITE_BUSY or 40P01, tells the developer more, and quotes nothing. (Python 3.10 has none of SQLite's.)
    code = getattr(original, "sqlite_errorname", None) or getattr(original, "sqlstate", None)
    kind = f"{type(original).__name__} {code}" if code else type(original).__name__
    hint = "; its tables have not been made yet: call create_schema() of the store" if _lacks_table(error) else ""
    return BackendError(f"the database cannot tell ({kind}{hint})")


def _lacks_table(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) == "42P01" or str(original).startswith("no such table")
