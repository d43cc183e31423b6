"""Users from a dict or from :class:`~flask_securest.User` objects, kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from ..checks import require_list
from ..errors import ConfigurationError
from ..models import User, UserModel, collect_names
from .abstract import AbstractUserstore

_USER_FIELDS = frozenset(field.name for field in fields(User))
_GROUP_FIELDS = frozenset({"name", "roles"})


class SimpleUserstore(AbstractUserstore):
    """Keep users in memory.

    A user has its own roles and those of all its groups.

    :param users: ``{"users": [...], "groups": [{"name": ..., "roles": [...]}]}`` with the arguments of
        :class:`~flask_securest.User` for each user, or an iterable of :class:`~flask_securest.User` objects
    :param groups: the groups, for an iterable of users
    :raises ConfigurationError: an entry that lacks a field, has one that is unknown, names an unknown group, or
        stands there twice; the message names the entry
    """

    def __init__(
        self, users: Mapping[str, Any] | Iterable[User | Mapping[str, Any]], *, groups: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        if isinstance(users, Mapping):
            if groups:
                raise ConfigurationError("groups stand in the mapping under 'groups', or in groups=, not in both")
            _require_fields(users, {"users", "groups"}, "users", "the mapping of SimpleUserstore")
            groups = users.get("groups") or ()
            users = users["users"]
        roles_of_groups = _read_groups(require_list(groups, "groups"))
        self._users: dict[str, User] = {}
        for position, entry in enumerate(require_list(users, "users")):
            user = _read_user(entry, position, roles_of_groups)
            if user.username in self._users:
                raise ConfigurationError(
                    f"user {user.username!r} stands there twice (the second time as users[{position}])"
                )
            self._users[user.username] = user

    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name."""
        return self._users.get(identifier)

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name."""
        yield from sorted(self._users.values(), key=lambda user: user.username)


def _read_groups(entries: list[Any]) -> dict[str, frozenset[str]]:
    groups: dict[str, frozenset[str]] = {}
    for position, entry in enumerate(entries):
        where = f"groups[{position}]"
        _require_fields(entry, _GROUP_FIELDS, "name", where)
        name = entry["name"]
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{where}: the name must be a string, not {name!r}")
        if name in groups:
            raise ConfigurationError(f"group {name!r} stands there twice (the second time as {where})")
        try:
            groups[name] = collect_names(entry.get("roles", ()), what="roles")
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"group {name!r} ({where}): {error}") from error
    return groups


def _read_user(entry: User | Mapping[str, Any], position: int, roles_of_groups: Mapping[str, frozenset[str]]) -> User:
    where = f"users[{position}]"
    if not isinstance(entry, User):
        # An unknown field may be a misspelt "active": ignoring it would leave a disabled account open.
        _require_fields(entry, _USER_FIELDS, "username", where)
        try:
            entry = User(**entry)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{where}: {error}") from error
    roles = set(entry.roles)
    for group in entry.groups:
        if group not in roles_of_groups:
            known = ", ".join(sorted(roles_of_groups)) or "none"
            raise ConfigurationError(
                f"user {entry.username!r} ({where}) is in the group {group!r}, which is not defined; groups: {known}"
            )
        roles |= roles_of_groups[group]
    return replace(entry, roles=roles)


def _require_fields(entry: Any, known: Iterable[str], required: str, where: str) -> None:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} must be a mapping, not {type(entry).__name__}")
    if required not in entry:
        raise ConfigurationError(f"{where} has no {required!r}")
    unknown = sorted(repr(name) for name in entry if name not in known)
    if unknown:
        raise ConfigurationError(f"{where} has fields that are not known: {', '.join(unknown)}; known: {sorted(known)}")
