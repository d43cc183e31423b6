"""Users as a mapping: the form in which a dict, a YAML file and a JSON file give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from ..errors import ConfigurationError
from ..models import User, collect_names
from ..support.checks import require_list

_USER_FIELDS = frozenset(field.name for field in fields(User))
_GROUP_FIELDS = frozenset({"name", "roles"})


def read_users(
    users: Mapping[str, Any] | Iterable[User | Mapping[str, Any]],
    groups: Iterable[Mapping[str, Any]] = (),
    *,
    where: str = "the mapping",
) -> dict[str, User]:
    """Return users by their names. Each has its own roles and those of all its groups.

    :param users: ``{"users": [...], "groups": [{"name": ..., "roles": [...]}]}`` with the arguments of
        :class:`~flask_securest.User` for each user, or an iterable of :class:`~flask_securest.User` objects
    :param groups: the groups, for an iterable of users
    :param where: how the errors call the mapping
    :raises ConfigurationError: an entry that lacks a field, has one that is unknown, names an unknown group, or
        stands there twice; the message names the entry
    """
    if isinstance(users, Mapping):
        if groups:
            raise ConfigurationError("groups stand in the mapping under 'groups', or in groups=, not in both")
        _require_fields(users, {"users", "groups"}, "users", where)
        groups = users.get("groups") or ()
        users = users["users"]
    roles_of_groups = _read_groups(require_list(groups, "groups"))
    found: dict[str, User] = {}
    for position, entry in enumerate(require_list(users, "users")):
        user = _read_user(entry, position, roles_of_groups)
        if user.username in found:
            raise ConfigurationError(
                f"user {user.username!r} stands there twice (the second time as users[{position}])"
            )
        found[user.username] = user
    return found


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
