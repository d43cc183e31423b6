"""Users in an SQL database: in tables of our own, or in those that the application has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...models import User, collect_names
from ...sql.stores import SQLStore
from ..abstract import AbstractWritableUserstore
from ..marks import bind_mark, make_mark, mark_of, refuses_unmarked

if TYPE_CHECKING:
    from ...sql.databases import DatabaseSource

#: The longest name, in characters, that the tables take.
_LONGEST_NAME = 255

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class SQLAlchemyUserstore(SQLStore, AbstractWritableUserstore):
    """Keep users in an SQL database, by SQLAlchemy 2: SQLite for one machine, PostgreSQL for many.

    Without a ``model`` it has tables of its own, which :meth:`create_schema`, or the first write, makes. With one, a
    class that the application has mapped, it reads and writes that.

    :param database: a URL such as ``"sqlite:///users.db"`` or ``"postgresql://..."``; or an engine; or a function that
        returns one (``lambda: db.engine``, for Flask-SQLAlchemy)
    :param model: a mapped class whose rows are the users
    :param columns: which of its attributes are ``username``, ``password``, ``active``, ``roles``, ``groups`` and
        ``email``: names, or functions of a row for what is only read. What is left out has the same name, if there is
        one. Roles and groups may be lists of names, or of objects with a ``name``. ``mark``, which has to be named, is
        a column for text of 40 characters, may be NULL, and is ours: without it, a hash that is renewed ends the user's
        tokens, and those from before the user was disabled go on when it is enabled.
    :param timeout: how long one look-up may wait, in seconds; an engine has its own
    :raises MissingDependencyError: SQLAlchemy, or the driver for this URL, is not installed
    :raises ConfigurationError: no database, a driver that is not installed, SQLite in memory, or columns that the model
        has not
    """

    _component = "users"

    def __init__(
        self,
        database: DatabaseSource,
        *,
        model: type | None = None,
        columns: Mapping[str, str | Callable[[Any], Any]] | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._open("SQLAlchemyUserstore", database, timeout)
        from .mapped import MappedClass
        from .tables import OwnTables

        self._tables: OwnTables | MappedClass = OwnTables() if model is None else MappedClass(model, columns or {})

    def get_user(self, identifier: str) -> User | None:
        """Return the user with this name."""
        if not _can_be_name(identifier):
            return None
        return self._database.read(lambda connection: self._tables.find(connection, identifier))

    def list_users(self) -> Iterator[User]:
        """Yield all users, sorted by name."""
        yield from self._database.read(lambda connection: list(self._tables.find_all(connection)), as_a_whole=False)

    def add_users(self, users: Iterable[User]) -> int:
        """Add users: all, or none of them."""
        # All at first: others would wait for what takes its time to come out of an iterator.
        known = [_require_storable(user) for user in users]
        return self._write(lambda connection: self._tables.add(connection, known))

    def set_password(self, username: str, password_hash: str | None, *, expected: str | None = None) -> bool:
        """Set the hash of a user's password."""
        _require_text(password_hash or "", "the hash of a password")

        def change(known: User) -> dict[str, Any] | None:
            if expected is not None and known.password != expected:
                return None
            if password_hash and not refuses_unmarked(known):
                return {"password": password_hash, "mark": None}  # it comes from the hash again
            mark = make_mark(of_disabled=refuses_unmarked(known))
            return {"password": password_hash, "mark": bind_mark(mark, password_hash)}

        return self._change(username, change)

    def renew_password_hash(self, username: str, password_hash: str, *, expected: str) -> bool:
        """Replace an outdated hash by another one of the same password. Tokens of the user go on."""
        _require_text(password_hash, "the hash of a password")

        def change(known: User) -> dict[str, Any] | None:
            if known.password != expected:
                return None
            return {"password": password_hash, "mark": bind_mark(mark_of(known) or make_mark(), password_hash)}

        return self._change(username, change)

    def set_active(self, username: str, active: bool) -> bool:
        """Enable or disable a user. Tokens from before it was disabled stay ended."""

        def change(known: User) -> dict[str, Any]:
            ended = {} if active else {"mark": bind_mark(make_mark(of_disabled=True), known.password)}
            return {"active": bool(active), **ended}

        return self._change(username, change)

    def set_roles(self, username: str, roles: Collection[str]) -> bool:
        """Set the roles that a user has directly, not through groups."""
        names = _require_names(roles, "roles")
        if not _can_be_name(username):
            return False
        return self._write(lambda connection: self._tables.set_roles(connection, username, names))

    def set_group(self, name: str, roles: Collection[str]) -> None:
        """Set the roles of a group, which is added if it is not known.

        :param name: the group
        :param roles: the names of the roles that its members have
        :raises ConfigurationError: with a ``model``, groups are the application's business
        :raises BackendError: the database cannot be written now
        """
        (group,) = _require_names([name], "group")
        names = _require_names(roles, "roles")
        self._write(lambda connection: self._tables.set_group(connection, group, names))

    def remove_user(self, username: str) -> bool:
        """Remove a user.

        API keys and tokens of a user that is gone are refused; those of a former one are good again if somebody gets
        the same name. Disable instead of removing, or revoke the keys.
        """
        if not _can_be_name(username):
            return False
        return self._write(lambda connection: self._tables.remove(connection, username))

    def _change(self, username: str, change: Callable[[User], dict[str, Any] | None]) -> bool:
        if not _can_be_name(username):
            return False
        return self._write(lambda connection: self._tables.change(connection, username, change))


def _can_be_name(name: str) -> bool:
    """Return whether the tables can have this name. What comes from outside may be text that databases refuse."""
    return 0 < len(name) <= _LONGEST_NAME and "\x00" not in name and name.isprintable()


def _require_storable(user: User) -> User:
    """Return ``user`` if databases can keep all that is known of it, and find it again by its name.

    :raises ValueError: they cannot
    """
    if not isinstance(user, User) or not _can_be_name(user.username):
        name = getattr(user, "username", user)
        raise ValueError(f"a user name must be 1 to {_LONGEST_NAME} printable characters; it is {str(name)[:40]!r}")
    whose = f"of the user {user.username!r}"
    _require_text(user.password or "", f"the hash of the password {whose}")
    _require_text(user.email or "", f"the email {whose}")
    for name in (*user.roles, *user.groups):
        _require_text(name, f"a role or group {whose}")
    try:
        # NaN is in no JSON; Python would write it.
        json.dumps(dict(user.attributes), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        wrong = type(error).__name__
    else:
        return user
    raise ValueError(f"the attributes {whose} must be what JSON can hold ({wrong})")


def _require_names(names: Collection[str], what: str) -> frozenset[str]:
    collected = collect_names(names, what=what)
    for name in collected:
        _require_text(name, what)
    return collected


def _require_text(text: str, what: str) -> None:
    """Raise if ``text`` is none that databases can keep. It is not shown: it may be a hash.

    :raises ValueError: it has a NUL, or half of a pair of surrogates
    """
    if _UNSTORABLE.search(text):
        raise ValueError(f"{what} must be text without NUL and lone surrogates")
