"""API keys in an SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from ..sql_stores import open_database
from ..uses import SECONDS_BETWEEN_WRITES
from .abstract import AbstractWritableKeystore
from .format import DEFAULT_PREFIX
from .models import ApiKey, KeyUse

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from ..databases import DatabaseSource

T = TypeVar("T")

#: How many keys are taken from an iterable before a transaction begins.
_TAKEN_BEFORE = 10_000

#: Of how many keys the last use is written down in one transaction, which keeps them for itself as long.
_RECORDED_AT_ONCE = 100


class SQLAlchemyKeystore(AbstractWritableKeystore):
    """Keep API keys in an SQL database, by SQLAlchemy 2: SQLite for one machine, PostgreSQL for many.

    It has a table of its own, which :meth:`create_schema`, or the first write, makes. A look-up is one indexed read.

    :param database: a URL such as ``"sqlite:///keys.db"`` or ``"postgresql://..."``; or an engine; or a function that
        returns one (``lambda: db.engine``, for Flask-SQLAlchemy)
    :param prefix: what new keys begin with, so that scanners can recognise them as yours
    :param timeout: how long one look-up may wait, in seconds; an engine has its own
    :raises MissingDependencyError: SQLAlchemy, or the driver for this URL, is not installed
    :raises ConfigurationError: no database, a driver that is not installed, or SQLite in memory; or no prefix
    """

    def __init__(self, database: DatabaseSource, *, prefix: str = DEFAULT_PREFIX, timeout: float = 5.0) -> None:
        super().__init__(prefix=prefix)
        self._has_schema = False
        self._database = open_database("SQLAlchemyKeystore", database, timeout=timeout)
        from .sqlalchemy_table import KeyTable

        self._table = KeyTable()

    def create_schema(self) -> None:
        """Make the table, unless it is there.

        :raises ConfigurationError: a newer release has made a table that this one does not know
        :raises BackendError: the database is down, or does not allow it
        """
        self._database.create_schema(self._table.metadata, "keys", self._table.version)
        self._has_schema = True

    def get_key(self, key_id: str) -> ApiKey | None:
        """Return the key with this id."""
        return self._database.read(lambda connection: self._table.find(connection, key_id))

    def list_keys(self) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first."""
        yield from self._database.read(lambda connection: list(self._table.find_all(connection)), as_a_whole=False)

    def add_keys(self, keys: Iterable[ApiKey]) -> int:
        """Add keys: all, or none of them.

        The first 10 000 are taken from an iterable before anything is written. What comes after them is taken while
        others wait for their turn to write (with SQLite; with PostgreSQL nobody waits): it should not take long.
        """
        rest = iter(keys)
        first = list(islice(rest, _TAKEN_BEFORE))
        whole = len(first) < _TAKEN_BEFORE
        return self._write(lambda connection: self._table.add(connection, chain(first, rest)), repeatable=whole)

    def replace_key(self, key: ApiKey, *, expected: ApiKey) -> bool:
        """Replace a key, unless somebody else has changed it meanwhile."""
        return self._write(lambda connection: self._table.replace(connection, key, expected))

    def record_uses(self, uses: Mapping[KeyUse, datetime]) -> None:
        """Write down when keys were last used."""
        # A few at a time, and in the same order everywhere: whoever revokes a key does not wait for long, and no two
        # processes wait for each other.
        due = sorted(uses.items())
        for start in range(0, len(due), _RECORDED_AT_ONCE):
            chunk = due[start : start + _RECORDED_AT_ONCE]
            self._write(partial(self._table.record, uses=chunk, seconds_between=SECONDS_BETWEEN_WRITES))

    def _write(self, work: Callable[[Connection], T], *, repeatable: bool = True) -> T:
        if not self._has_schema:
            self.create_schema()
        return self._database.write(work, repeatable=repeatable)
