"""API keys in an SQL database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from ..sql.stores import SQLStore
from ..support.uses import SECONDS_BETWEEN_WRITES
from .abstract import AbstractWritableKeystore
from .format import DEFAULT_PREFIX
from .models import ApiKey, KeyUse

if TYPE_CHECKING:
    from ..sql.databases import DatabaseSource

#: How many keys are taken from an iterable before a transaction begins.
_TAKEN_BEFORE = 10_000


class SQLAlchemyKeystore(SQLStore, AbstractWritableKeystore):
    """Keep API keys in an SQL database, by SQLAlchemy 2: SQLite for one machine, PostgreSQL for many.

    It has a table of its own, which :meth:`create_schema`, or the first write, makes. A look-up is one indexed read.

    :param database: a URL such as ``"sqlite:///keys.db"`` or ``"postgresql://..."``; or an engine; or a function that
        returns one (``lambda: db.engine``, for Flask-SQLAlchemy)
    :param prefix: what new keys begin with, so that scanners can recognise them as yours
    :param timeout: how long one look-up may wait, in seconds; an engine has its own
    :raises MissingDependencyError: SQLAlchemy, or the driver for this URL, is not installed
    :raises ConfigurationError: no database, a driver that is not installed, or SQLite in memory; or no prefix
    """

    _component = "keys"

    def __init__(self, database: DatabaseSource, *, prefix: str = DEFAULT_PREFIX, timeout: float = 5.0) -> None:
        super().__init__(prefix=prefix)
        self._open("SQLAlchemyKeystore", database, timeout)
        from .sqlalchemy_table import KeyTable

        self._tables: KeyTable = KeyTable()

    def get_key(self, key_id: str) -> ApiKey | None:
        """Return the key with this id."""
        return self._database.read(lambda connection: self._tables.find(connection, key_id))

    def list_keys(self) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first."""
        yield from self._database.read(lambda connection: list(self._tables.find_all(connection)), as_a_whole=False)

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of users who have keys."""
        yield from self._database.read(self._tables.find_origins)

    def add_keys(self, keys: Iterable[ApiKey]) -> int:
        """Add keys: all, or none of them.

        The first 10 000 are taken from an iterable before anything is written. What comes after them is taken while
        others wait for their turn to write (with SQLite; with PostgreSQL nobody waits): it should not take long.
        """
        rest = iter(keys)
        first = list(islice(rest, _TAKEN_BEFORE))
        whole = len(first) < _TAKEN_BEFORE
        return self._write(lambda connection: self._tables.add(connection, chain(first, rest)), repeatable=whole)

    def replace_key(self, key: ApiKey, *, expected: ApiKey) -> bool:
        """Replace a key, unless somebody else has changed it meanwhile."""
        return self._write(lambda connection: self._tables.replace(connection, key, expected))

    def record_uses(self, uses: Mapping[KeyUse, datetime]) -> None:
        """Write down when keys were last used."""
        self._record_uses(uses, seconds_between=SECONDS_BETWEEN_WRITES)
