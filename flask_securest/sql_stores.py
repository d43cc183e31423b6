"""Open the database of a store, which says what is missing. Nothing optional is needed to import this module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import MissingDependencyError

if TYPE_CHECKING:
    from .databases import Database, DatabaseSource


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
