"""Make engines of SQLAlchemy that wait for nothing longer than they may, and judge those of an application.

This module needs SQLAlchemy to be imported.
"""

from __future__ import annotations

import contextvars
import os
import time
import weakref
from collections.abc import Generator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool

from ..errors import ConfigurationError

#: Until when the look-up that runs now may wait, by ``time.monotonic()``; ``None`` for work that may take longer.
DEADLINE: contextvars.ContextVar[float | None] = contextvars.ContextVar("securest_deadline", default=None)

#: The server ends a statement that is slow by itself; only after these seconds more it is taken for dead.
_GRACE = 1.0

#: The drivers that take options for the server as libpq does.
_LIBPQ = ("psycopg", "psycopg2")

_ENGINES: weakref.WeakSet[Engine] = weakref.WeakSet()

#: The pools of the process that this one was forked from.
_OF_THE_PARENT: list[Pool] = []


def _close_files() -> None:
    # SQLite counts its locks in the process. A fork would take the count along and not the locks: its transactions and
    # those of others would run into each other (sqlite.org/howtocorrupt.html, 2.6).
    for engine in list(_ENGINES):
        if engine.dialect.name == "sqlite":
            engine.dispose()


def _forget_connections() -> None:
    # A connection that two processes write to after a fork would mix up their answers: one could get the other's user.
    for engine in list(_ENGINES):
        # Kept, for garbage collection would close them, at any moment, in the parent's name.
        _OF_THE_PARENT.append(engine.pool)
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_close_files, after_in_child=_forget_connections)


def make_engine(source: str | URL, timeout: float) -> Engine:
    """Return an engine that waits for nothing longer than ``timeout`` seconds.

    :param source: the URL of the database
    :param timeout: in seconds
    :raises ConfigurationError: no URL that SQLAlchemy can read, or SQLite in memory, which every thread has its own of;
        the error never quotes the URL, which may have a password
    :raises ModuleNotFoundError: psycopg is missing
    """
    driver, missing = "", None
    try:
        url = sa.make_url(source)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        driver = url.drivername
        engine = sa.create_engine(url, hide_parameters=True, **_options_for(url, timeout))
    except ImportError as error:
        missing = "psycopg" if driver == "postgresql+psycopg" else str(error.name)
    except (sa.exc.ArgumentError, ValueError, TypeError, AttributeError):
        pass
    else:
        if driver == "postgresql+psycopg":
            _bound_waits(engine, timeout)
        _ENGINES.add(engine)
        return require_shareable(engine)
    # Raised here, and not above, where it would carry along what SQLAlchemy has quoted: a part of the password.
    if missing is None:
        raise ConfigurationError(
            'a database URL must be written like "sqlite:///users.db" or "postgresql://user:password@host/database": '
            'a database that SQLAlchemy knows ("postgres" is none), options that its driver knows, and ":", "/", "?" '
            'and "@" in a password as "%3A", "%2F", "%3F" and "%40"'
        )
    if missing == "psycopg":
        raise ModuleNotFoundError("psycopg is not installed, or not with libpq", name="psycopg")
    raise ConfigurationError(f"the driver of the database URL is not installed: Python finds no module {missing!r}")


def require_shareable(engine: Engine) -> Engine:
    """Return ``engine``, one of the application, if it gives every look-up a connection that nobody else is using.

    With SQLite in memory there is one connection for all, or one for each thread: the end of our look-up would roll
    back a transaction that the application has just begun on it, and nobody would be told.

    :param engine: the engine
    :raises ConfigurationError: it does not
    """
    if isinstance(engine.pool, (StaticPool, SingletonThreadPool)):
        raise ConfigurationError(
            f"an engine with a {type(engine.pool).__name__}, as SQLite in memory has it, shares its connections with "
            "the application, whose transactions would be rolled back: give the path of a file"
        )
    return engine


def _options_for(url: URL, timeout: float) -> dict[str, Any]:
    """Return what ``create_engine`` is told besides the URL."""
    kind, _, driver = url.drivername.partition("+")  # as "postgresql+psycopg"
    if kind == "sqlite":
        # An SQLite in memory can have a name, too: sqlite:///file:name?mode=memory&uri=true
        if url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
            raise ConfigurationError("every connection has an SQLite in memory of its own: give the path of a file")
        return {"connect_args": {"timeout": timeout}}
    options: dict[str, Any] = {"pool_timeout": timeout}
    if kind == "postgresql" and driver in _LIBPQ:
        given = url.query.get("options", ())
        bounds = f"-c statement_timeout={round(timeout * 1000)} -c lock_timeout={round(timeout * 1000)}"
        # Behind those of the URL, and not instead of them: without its search_path it would be another tenant's tables.
        whole = " ".join([*([given] if isinstance(given, str) else given), bounds])
        options["connect_args"] = {"options": whole}
        if "connect_timeout" not in url.query:
            options["connect_args"]["connect_timeout"] = max(2, round(timeout))  # libpq knows no less than two
    return options


def _bound_waits(engine: Engine, timeout: float) -> None:
    """Let no connection of psycopg wait for ever: a server that is stopped, or whose network is gone, says nothing."""
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            ends = time.monotonic() + timeout
            deadline = DEADLINE.get()
            ends = ends if deadline is None else min(ends, deadline)
            return super().wait(bounded(gen, self, ends + _GRACE), *args, **kwargs)

    def bounded(generator: Any, connection: psycopg.Connection[Any], ends: float) -> Generator[Any, Any, Any]:
        waiting_for = next_or_result(generator, None)
        while waiting_for[0]:
            ready = yield waiting_for[1]
            if not ready and time.monotonic() > ends:
                connection.pgconn.finish()
                raise psycopg.OperationalError("no answer in time")
            waiting_for = next_or_result(generator, ready)
        return waiting_for[1]

    def next_or_result(generator: Any, ready: Any) -> tuple[bool, Any]:
        try:
            return True, generator.send(ready)
        except StopIteration as stopped:
            return False, stopped.value

    is_ours = "connect_timeout" not in engine.url.query  # and not the engine itself, which would never be freed

    @sa.event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, parameters: Any) -> Any:
        deadline = DEADLINE.get()
        if deadline is not None and is_ours:
            left = round(deadline - time.monotonic())  # some time may have passed in waiting for a place in the pool
            parameters = {**parameters, "connect_timeout": max(2, min(left, parameters["connect_timeout"]))}
        return BoundedConnection.connect(*args, **parameters)
