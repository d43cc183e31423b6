"""Users in a class that the application has mapped. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ...errors import BackendError, ConfigurationError
from ...models import User
from ..marks import read_bound_mark

_FIELDS = ("username", "password", "active", "roles", "groups", "email", "scopes", "mark")
_NEEDED = ("username", "password")


class MappedClass:
    """Read and write users as rows of a mapped class.

    :param model: the class
    :param columns: by our names, the names of its attributes, or functions of a row
    :raises ConfigurationError: no mapped class, or attributes that it has not
    """

    metadata = None
    version = 0

    def __init__(self, model: type, columns: Mapping[str, str | Callable[[Any], Any]]) -> None:
        mapper: Any = sa.inspect(model, raiseerr=False)
        if mapper is None or not getattr(mapper, "is_mapper", False):
            raise ConfigurationError(f"model must be a class that SQLAlchemy has mapped, not {model!r}")
        if unknown := set(columns) - set(_FIELDS):
            raise ConfigurationError(f"columns has {sorted(unknown)}, which are not known; known: {list(_FIELDS)}")
        self._model = model
        self._mapper = mapper
        self._columns: dict[str, str | Callable[[Any], Any]] = {}
        for field in _FIELDS:
            column = columns.get(field, field)
            if field == "mark" and field not in columns:
                continue  # what has this name may be the application's, and would be written to
            if callable(column) or hasattr(model, column):
                self._columns[field] = column
            elif field in columns or field in _NEEDED:
                raise ConfigurationError(
                    f"{model.__name__} has no attribute {column!r} for {field!r}: columns={{{field!r}: ...}}"
                )
        if callable(self._columns.get("mark")):
            raise ConfigurationError("columns: mark must be a column, for it is written to")
        if callable(self._columns["username"]) or self._columns["username"] not in mapper.columns:
            raise ConfigurationError("columns: the username must be a column, for users are looked up by it")

    def find(self, connection: Connection, username: str) -> User | None:
        """Return the user with this name."""
        with Session(connection) as session:
            query: Any = sa.select(self._model).where(self._attribute("username") == username).limit(2)
            # Some databases take "ALICE" for "alice": who may then be two users here is one there.
            rows = [row for row in session.scalars(query).unique() if self._read(row, "username") == username]
            if len(rows) > 1:
                raise BackendError(f"there are several users of the same name in {self._model.__name__}")
            return self._to_user(rows[0]) if rows else None

    def find_all(self, connection: Connection) -> Iterator[User]:
        """Yield all users, sorted by name."""
        with Session(connection) as session:
            rows: Any = session.scalars(sa.select(self._model)).unique()
            yield from sorted(map(self._to_user, rows), key=lambda user: user.username)

    def add(self, connection: Connection, users: Iterable[User]) -> int:
        """Add users.

        :raises ValueError: a name that is taken or stands there twice
        :raises ConfigurationError: a user has something that there is no column for
        """
        added = 0
        with Session(connection) as session:
            for user in users:
                if self.find(connection, user.username) is not None:
                    raise ValueError(f"there is a user {user.username!r} already")
                session.add(self._model(**self._to_values(user)))
                session.flush()
                added += 1
        return added

    def change(self, connection: Connection, username: str, change: Callable[[User], dict[str, Any] | None]) -> bool:
        """Set columns of a user to what ``change`` says of it; to nothing, if that is ``None``."""
        query: Any = sa.select(self._attribute("username")).where(self._attribute("username") == username)
        connection.execute(query.with_for_update())  # nobody else changes it until the end of this transaction
        known = self.find(connection, username)
        values = None if known is None else change(known)
        if not values:
            return False
        if "mark" not in self._columns:
            values.pop("mark", None)
        changed = {self._writable(field): value for field, value in values.items()}
        statement = sa.update(self._model).where(self._attribute("username") == username).values(**changed)
        return connection.execute(statement).rowcount == 1

    def set_roles(self, connection: Connection, username: str, roles: Collection[str]) -> bool:
        """Set the roles, where they are a list in a column."""
        return self.change(connection, username, lambda known: {"roles": sorted(roles)})

    def set_group(self, connection: Connection, name: str, roles: Collection[str]) -> None:
        """Say that groups are the application's business."""
        raise ConfigurationError(f"the groups of {self._model.__name__} are the application's: set them there")

    def remove(self, connection: Connection, username: str) -> bool:
        """Remove a user, with what its relationships cascade to."""
        with Session(connection) as session:
            query: Any = sa.select(self._model).where(self._attribute("username") == username)
            rows = session.scalars(query).unique().all()
            for row in rows:
                session.delete(row)
            session.flush()
            return bool(rows)

    def _attribute(self, field: str) -> Any:
        return getattr(self._model, self._writable(field))

    def _writable(self, field: str) -> str:
        """Return the name of the column of a field.

        :raises ConfigurationError: there is none
        """
        column = self._columns.get(field)
        if not isinstance(column, str) or column not in self._mapper.columns:
            raise ConfigurationError(f"{self._model.__name__} has no column that {field!r} could be written to")
        return column

    def _read(self, row: Any, field: str, default: Any = None) -> Any:
        column = self._columns.get(field)
        if column is None:
            return default
        return column(row) if callable(column) else getattr(row, column)

    def _to_user(self, row: Any) -> User:
        active = self._read(row, "active", True)
        scopes = self._read(row, "scopes")
        stored = self._read(row, "password")
        return User(
            self._read(row, "username"),
            stored,
            # What is 1 or NULL in the database. Anything else is left as it is, and refused: "false" is true.
            active=bool(active) if isinstance(active, (int, type(None))) else active,
            roles=_names(self._read(row, "roles", ())),
            groups=_names(self._read(row, "groups", ())),
            email=self._read(row, "email"),
            attributes={} if scopes is None else {"scopes": _names(scopes)},
            mark=read_bound_mark(self._read(row, "mark"), stored),
        )

    def _to_values(self, user: User) -> dict[str, Any]:
        values: dict[str, Any] = {self._writable("username"): user.username}
        optional = {
            "password": user.password,
            "email": user.email,
            "roles": sorted(user.roles) or None,
            "groups": sorted(user.groups) or None,
        }
        for field, value in optional.items():
            if value is not None:
                values[self._writable(field)] = value
        if "active" in self._columns or not user.active:
            values[self._writable("active")] = user.active
        return values


def _names(values: Any) -> Any:
    """Return names, or the names of objects that have one."""
    if values is None:
        return ()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        return values  # User says what is wrong with it
    return [value if isinstance(value, str) else getattr(value, "name", value) for value in values]
