"""Tables for users, of our own. This module needs SQLAlchemy to be imported."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ...models import User, collect_names
from ...sql.upgraded import Upgraded
from ..marks import bind_mark, make_mark, read_bound_mark

#: The version of these tables; to be raised with a change, and a way from the one before.
VERSION = 1

METADATA = sa.MetaData()

_USERS = sa.Table(
    "securest_users",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("username", sa.String(255), nullable=False, unique=True),
    sa.Column("password", sa.String(1024)),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("email", sa.String(320)),
    sa.Column("attributes", sa.JSON, nullable=False),
    # What flask_securest.userstores.marks binds to a password. The tables of the release before have it not.
    sa.Column("mark", sa.String(40)),
    sqlite_autoincrement=True,  # no user gets the number of a former one
)
_GROUPS = sa.Table(
    "securest_groups",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sqlite_autoincrement=True,
)
_USER_ROLES = sa.Table(
    "securest_user_roles",
    METADATA,
    sa.Column("user_id", sa.ForeignKey(_USERS.c.id), primary_key=True),
    sa.Column("role", sa.String(255), primary_key=True),
)
_USER_GROUPS = sa.Table(
    "securest_user_groups",
    METADATA,
    sa.Column("user_id", sa.ForeignKey(_USERS.c.id), primary_key=True),
    sa.Column("group_id", sa.ForeignKey(_GROUPS.c.id), primary_key=True),
)
_GROUP_ROLES = sa.Table(
    "securest_group_roles",
    METADATA,
    sa.Column("group_id", sa.ForeignKey(_GROUPS.c.id), primary_key=True),
    sa.Column("role", sa.String(255), primary_key=True),
)

_NAME: sa.BindParameter[str] = sa.bindparam("username", type_=_USERS.c.username.type)
#: Of a user, in the order in which they are read.
_KNOWN = (_USERS.c.password, _USERS.c.active, _USERS.c.email, _USERS.c.attributes)
_NO_MARK = sa.null().label("mark")
_NOTHING = (sa.null(),) * (len(_KNOWN) + 1)


def _belongings(kind: str, name: sa.Column[str], *conditions: sa.ColumnElement[bool]) -> Any:
    return sa.select(sa.literal(kind), name, *_NOTHING).where(_USERS.c.username == _NAME, *conditions)


def _select_by_name(mark: sa.ColumnElement[Any]) -> Any:
    """Return the query for a user, with its own roles, its groups, and their roles, in one look-up.

    What belongs together is read together. Between two, one user could be removed, and another get its number: it would
    have the other's roles.
    """
    user = sa.select(sa.literal("user").label("kind"), _USERS.c.username.label("name"), *_KNOWN, mark)
    return sa.union_all(
        user.where(_USERS.c.username == _NAME),
        _belongings("role", _USER_ROLES.c.role, _USER_ROLES.c.user_id == _USERS.c.id),
        _belongings(
            "group", _GROUPS.c.name, _USER_GROUPS.c.user_id == _USERS.c.id, _GROUPS.c.id == _USER_GROUPS.c.group_id
        ),
        _belongings(
            *("role", _GROUP_ROLES.c.role),
            *(_USER_GROUPS.c.user_id == _USERS.c.id, _GROUP_ROLES.c.group_id == _USER_GROUPS.c.group_id),
        ),
    )


_BY_NAME = _select_by_name(_USERS.c.mark)
_BY_NAME_OF_BEFORE = _select_by_name(_NO_MARK)

_CHUNK = 500


class OwnTables:
    """Keep users in tables of our own."""

    metadata = METADATA
    version = VERSION

    def __init__(self) -> None:
        self._upgraded = Upgraded(_has_marks)

    def find(self, connection: Connection, username: str) -> User | None:
        """Return the user with this name."""
        query = _BY_NAME if self._upgraded.seen(connection) else _BY_NAME_OF_BEFORE
        rows = connection.execute(query, {"username": username}).all()
        users = [row for row in rows if row.kind == "user"]
        # Some databases take "ALICE" for "alice": who may then be two users here is one there.
        if len(users) != 1 or users[0].name != username:
            return None
        return _to_user(username, users[0], [(row.kind, row.name) for row in rows if row.kind != "user"])

    def find_all(self, connection: Connection) -> Iterator[User]:
        """Yield all users, sorted by name."""
        belongings: dict[str, list[Any]] = {}
        for kind, name, conditions in (
            ("role", _USER_ROLES.c.role, [_USER_ROLES.c.user_id == _USERS.c.id]),
            ("group", _GROUPS.c.name, [_USER_GROUPS.c.user_id == _USERS.c.id, _GROUPS.c.id == _USER_GROUPS.c.group_id]),
            (
                *("role", _GROUP_ROLES.c.role),
                [_USER_GROUPS.c.user_id == _USERS.c.id, _USER_GROUPS.c.group_id == _GROUP_ROLES.c.group_id],
            ),
        ):
            for username, belonging in connection.execute(sa.select(_USERS.c.username, name).where(*conditions)):
                belongings.setdefault(username, []).append((kind, belonging))
        mark = _USERS.c.mark if self._upgraded.seen(connection) else _NO_MARK
        query = sa.select(_USERS.c.username, *_KNOWN, mark)
        for row in sorted(connection.execute(query), key=lambda row: str(row.username)):
            yield _to_user(row.username, row, belongings.get(row.username, []))

    def add(self, connection: Connection, users: Iterable[User]) -> int:
        """Add users.

        :raises ValueError: a name that is taken or stands there twice, or a group that is not known
        """
        group_ids = {row.name: row.id for row in connection.execute(sa.select(_GROUPS))}
        added = 0
        rest = iter(users)
        while chunk := list(islice(rest, _CHUNK)):
            names = [user.username for user in chunk]
            twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
            taken = connection.scalars(sa.select(_USERS.c.username).where(_USERS.c.username.in_(names)))
            if refused := twice | set(taken):
                raise ValueError(f"there is a user {min(refused)!r} already")
            for user in chunk:
                if unknown := set(user.groups) - set(group_ids):
                    raise ValueError(f"user {user.username!r} is in the group {min(unknown)!r}, which is not known")
            has_marks = self._upgraded.seen(connection, again=True)
            connection.execute(_USERS.insert(), [_to_row(user, has_mark=has_marks) for user in chunk])
            ids = {
                row.username: row.id
                for row in connection.execute(
                    sa.select(_USERS.c.username, _USERS.c.id).where(_USERS.c.username.in_(names))
                )
            }
            roles = [{"user_id": ids[u.username], "role": role} for u in chunk for role in u.roles]
            groups = [{"user_id": ids[u.username], "group_id": group_ids[name]} for u in chunk for name in u.groups]
            if roles:
                connection.execute(_USER_ROLES.insert(), roles)
            if groups:
                connection.execute(_USER_GROUPS.insert(), groups)
            added += len(chunk)
        return added

    def change(self, connection: Connection, username: str, change: Callable[[User], dict[str, Any] | None]) -> bool:
        """Set columns of a user to what ``change`` says of it; to nothing, if that is ``None``."""
        user_id = self._lock(connection, username)
        known = None if user_id is None else self.find(connection, username)
        values = None if known is None else change(known)
        if not values:
            return False
        if not self._upgraded.seen(connection, again=True):
            values.pop("mark", None)
        return connection.execute(_USERS.update().where(_USERS.c.id == user_id).values(**values)).rowcount == 1

    def set_roles(self, connection: Connection, username: str, roles: Collection[str]) -> bool:
        """Set the roles that a user has directly."""
        user_id = self._lock(connection, username)
        if user_id is None:
            return False
        connection.execute(_USER_ROLES.delete().where(_USER_ROLES.c.user_id == user_id))
        if roles:
            connection.execute(_USER_ROLES.insert(), [{"user_id": user_id, "role": role} for role in sorted(roles)])
        return True

    def set_group(self, connection: Connection, name: str, roles: Collection[str]) -> None:
        """Set the roles of a group, which is added if it is not known."""
        query = sa.select(_GROUPS.c.id).where(_GROUPS.c.name == name)
        group_id = connection.scalar(query.with_for_update())
        if group_id is None:
            connection.execute(_GROUPS.insert().values(name=name))
            group_id = connection.scalar(query)
        connection.execute(_GROUP_ROLES.delete().where(_GROUP_ROLES.c.group_id == group_id))
        if roles:
            connection.execute(_GROUP_ROLES.insert(), [{"group_id": group_id, "role": role} for role in sorted(roles)])

    def remove(self, connection: Connection, username: str) -> bool:
        """Remove a user, with its roles and groups."""
        user_id = self._lock(connection, username)
        for table in (_USER_ROLES, _USER_GROUPS):
            connection.execute(table.delete().where(table.c.user_id == user_id))
        return connection.execute(_USERS.delete().where(_USERS.c.id == user_id)).rowcount == 1

    def _lock(self, connection: Connection, username: str) -> int | None:
        """Return the id of a user, whom nobody else changes until the end of this transaction."""
        query = sa.select(_USERS.c.id).where(_USERS.c.username == username)
        return connection.scalar(query.with_for_update())


def _has_marks(connection: Connection) -> bool:
    inspector = sa.inspect(connection)
    if not inspector.has_table(_USERS.name):
        return False
    return any(column["name"] == "mark" for column in inspector.get_columns(_USERS.name))


def _to_user(username: str, row: Any, belongings: Iterable[Any]) -> User:
    names: dict[str, set[str]] = {"role": set(), "group": set()}
    for kind, name in belongings:
        names[kind].add(name)
    return User(
        username,
        row.password,
        active=bool(row.active),
        roles=collect_names(names["role"], what="roles"),
        groups=collect_names(names["group"], what="groups"),
        email=row.email,
        attributes=row.attributes or {},
        mark=read_bound_mark(row.mark, row.password),
    )


def _to_row(user: User, *, has_mark: bool) -> dict[str, Any]:
    row = {
        "username": user.username,
        "password": user.password,
        "active": user.active,
        "email": user.email,
        "attributes": dict(user.attributes),
    }
    if has_mark:
        # Without a hash, the next one to get this name would have the tokens of the former one.
        row["mark"] = None if user.password else bind_mark(make_mark(), None)
    return row
