"""Users from a dict or from :class:`~flask_securest.User` objects, kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..models import User, UserModel
from .abstract import AbstractUserstore
from .mapping import read_users


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
        self._users = read_users(users, groups, where="the mapping of SimpleUserstore")

    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name."""
        return self._users.get(identifier)

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name."""
        yield from sorted(self._users.values(), key=lambda user: user.username)
