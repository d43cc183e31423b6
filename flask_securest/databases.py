"""Reach SQL databases by SQLAlchemy: bounded waits, one kind of error, and a schema that is made once.

This module needs SQLAlchemy to be imported; the constructors of the stores that use it say so where it is missing.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from .errors import BackendError, ConfigurationError
from .logs import get_logger

_log = get_logger(__name__)

T = TypeVar("T")

#: A URL, an engine of the application, or a function that returns one (``lambda: db.engine``, for Flask-SQLAlchemy).
DatabaseSource = str | URL | Engine | Callable[[], Engine]

#: How long one look-up may wait: for a connection, for a lock, for an answer; in seconds.
DEFAULT_TIMEOUT = 5.0

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

    :param source: a URL, an engine, or a function that returns an engine
    :param timeout: how long one look-up may wait, in seconds; an engine of the application has its own
    :raises ConfigurationError: no URL that SQLAlchemy can read, or SQLite in memory, which every thread has its own of
    """

    def __init__(self, source: DatabaseSource, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._make_engine: Callable[[], Engine]
        if isinstance(source, (str, URL)):
            engine = _create_engine(source, timeout)
            self._make_engine = lambda: engine
            weakref.finalize(self, engine.dispose)
        elif isinstance(source, Engine):
            self._make_engine = lambda: source
        elif callable(source):
            self._make_engine = source
        else:
            raise ConfigurationError(
                "a database must be a URL, an engine of SQLAlchemy, or a function that returns one, not of type "
                f"{type(source).__name__}"
            )

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` finds out.

        A connection may have died in the pool, with a server that has been restarted since; then it is tried once more
        with a new one. Each statement sees what is committed by then.

        :param work: is given a connection, and may be called twice
        :raises BackendError: the database is down, too slow, or has not these tables
        """
        for last in (False, True):
            try:
                with self._make_engine().connect() as connection:
                    if connection.dialect.name == "postgresql":
                        # Without a transaction, which would take two more round trips.
                        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                    return work(connection)
            except sa.exc.SQLAlchemyError as error:
                failure = error
            if last or not getattr(failure, "connection_invalidated", False):
                break
        # Raised here, and not above, where it would carry along what the database has quoted.
        raise _unavailable(failure)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` says, which is in force as a whole or not at all.

        :param work: is given a connection with a transaction
        :raises BackendError: the database is down, too slow, locked, or has not these tables
        """
        self.read(lambda connection: connection.execute(sa.select(1)))  # for the pool has no dead connections after it
        try:
            with self._make_engine().begin() as connection:
                if connection.dialect.name == "sqlite":
                    # Without it two writers that have both read would wait for each other.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                return work(connection)
        except sa.exc.SQLAlchemyError as error:
            failure = error
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
            if connection.dialect.name == "postgresql":
                # Of two processes that start at once one waits, instead of failing half-way.
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            _SCHEMA.create_all(connection)
            found = connection.scalar(sa.select(_VERSIONS.c.version).where(_VERSIONS.c.component == component))
            if found is None:
                tables.create_all(connection)
                connection.execute(_VERSIONS.insert().values(component=component, version=version))
            return version if found is None else int(found)

        if self._make_engine().dialect.name == "sqlite":
            # Readers are not held up by a writer then; it is kept in the file. It takes the file for itself, and does
            # not wait for it: if that fails, another process is just doing the same.
            with contextlib.suppress(BackendError):
                self.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode=WAL"))
        found = self.write(create)
        if found > version:
            raise ConfigurationError(
                f"the tables of {component} are of version {found}, which a newer release has made; "
                f"this one knows {version}"
            )


def _unavailable(error: Exception) -> BackendError:
    """Return what callers are told: which kind of error, and not what the database quotes."""
    kind = type(getattr(error, "orig", None) or error).__name__
    hint = "; have its tables been made (create_schema)?" if _lacks_table(error) else ""
    return BackendError(f"the database cannot tell ({kind}{hint})")


def _lacks_table(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) == "42P01" or str(original).startswith("no such table")


def _create_engine(source: str | URL, timeout: float) -> Engine:
    """Return an engine that waits for nothing longer than ``timeout`` seconds."""
    try:
        url = sa.make_url(source)
    except sa.exc.ArgumentError:
        url = None
    if url is None:
        # Not shown: it may have a password.
        raise ConfigurationError('a database URL must be written like "sqlite:///users.db" or "postgresql://..."')
    kind = url.get_backend_name()
    options: dict[str, Any] = {"hide_parameters": True}
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigurationError("every connection has an SQLite in memory of its own: give the path of a file")
        options["connect_args"] = {"timeout": timeout}
    else:
        options["pool_timeout"] = timeout
    if kind == "postgresql":
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        options["connect_args"] = {
            "connect_timeout": max(2, round(timeout)),  # libpq knows no less than two
            "options": f"-c statement_timeout={round(timeout * 1000)} -c lock_timeout={round(timeout * 1000)}",
        }
    engine = sa.create_engine(url, **options)
    if url.drivername == "postgresql+psycopg":
        _bound_waits(engine, timeout)
    # A connection that two processes write to after a fork would mix up their answers: one could get the other's user.
    reference = weakref.ref(engine)

    def forget_connections() -> None:
        if (engine := reference()) is not None:
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=forget_connections)
    return engine


def _bound_waits(engine: Engine, timeout: float) -> None:
    """Let no connection of psycopg wait for ever: a server that is stopped, or whose network is gone, says nothing."""
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            # The server ends a statement that is slow by itself, a little earlier.
            return super().wait(bounded(gen, self, time.monotonic() + timeout + 1), *args, **kwargs)

    def bounded(generator: Any, connection: psycopg.Connection[Any], deadline: float) -> Generator[Any, Any, Any]:
        waiting_for = next_or_result(generator, None)
        while waiting_for[0]:
            ready = yield waiting_for[1]
            if not ready and time.monotonic() > deadline:
                connection.pgconn.finish()
                raise psycopg.OperationalError("no answer in time")
            waiting_for = next_or_result(generator, ready)
        return waiting_for[1]

    def next_or_result(generator: Any, ready: Any) -> tuple[bool, Any]:
        try:
            return True, generator.send(ready)
        except StopIteration as stopped:
            return False, stopped.value

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, parameters: Any) -> Any:
        return BoundedConnection.connect(*args, **parameters)
