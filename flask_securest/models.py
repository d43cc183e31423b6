"""The account that a request may belong to: :class:`User`, and what else may be one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class UserModel(Protocol):
    """What an object must have to be a user: :class:`User` has it, and so may a row of your own ORM."""

    @property
    def username(self) -> str:
        """Return the name, not empty."""

    @property
    def password(self) -> str | None:
        """Return the stored *hash* of the password, or ``None`` where there is no password."""

    @property
    def active(self) -> bool:
        """Return whether the account may be used at all."""

    @property
    def roles(self) -> Collection[str]:
        """Return the names of the user's roles."""


def collect_names(names: Iterable[str], *, what: str) -> frozenset[str]:
    """Return ``names`` as a set.

    :param names: an iterable of names
    :param what: how the error calls them
    :raises TypeError: for a single string (``"admin"`` would become five roles of one letter, and
        ``"min" in "admin"`` is true), a mapping, or anything that is not made of strings
    :raises ValueError: for an empty name
    """
    # A frozenset, as most are by now, is none of these: to look costs more than the rest.
    if type(names) is not frozenset and (isinstance(names, (str, bytes, Mapping)) or not isinstance(names, Iterable)):
        raise TypeError(f"{what} must be a collection of names such as [{names!r}], not {names!r}")
    collected = frozenset(names)
    for name in collected:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be names (strings), and {name!r} is not one")
        if not name.strip():
            raise ValueError(f"{what} has an empty name: {name!r}")
    return collected


def require_user(answer: object) -> UserModel:
    """Return ``answer`` if it is a user.

    Only a user is a yes: a stray ``True``, a name, a dict or an empty list, returned by a provider or a
    userstore, must never let anybody in.

    :raises TypeError: for anything that has not what :class:`UserModel` asks for
    """
    if isinstance(answer, User):
        return answer
    username = getattr(answer, "username", None)
    # "false", read from a directory or a file, is true; and so is a method that has not been called.
    active = getattr(answer, "active", "missing")
    # A string of roles would be searched for substrings: "admin" in "administrator". A mapping {"admin": False} has it.
    roles = getattr(answer, "roles", None)
    if (
        not isinstance(username, str)
        or not username
        or not hasattr(answer, "password")
        or not isinstance(active, (int, type(None)))
        or isinstance(roles, (str, bytes, Mapping))
        or not isinstance(roles, Collection)
    ):
        raise TypeError(
            "a user must have username (a string, not empty), password, active (True or False) and roles (a collection "
            f"of names); an object of type {type(answer).__name__} has not"
        )
    return answer  # type: ignore[return-value]  # mypy cannot see that the attributes were just looked at


def require_aware(time: object, what: str) -> datetime:
    """Return ``time`` if it is a ``datetime`` that says which time zone it is in.

    :param time: the argument
    :param what: how the error calls it
    :raises TypeError: it is no ``datetime``
    :raises ValueError: it has no time zone
    """
    if not isinstance(time, datetime):
        raise TypeError(f"{what} must be a datetime, not {type(time).__name__}")
    if time.utcoffset() is None:
        raise ValueError(f"{what} must have a time zone: datetime.now(timezone.utc), not datetime.now()")
    return time


def scopes_of(user: UserModel) -> frozenset[str] | None:
    """Return the scopes that a user's own credentials may have at most; ``None`` for no limit.

    They are the user's ``scopes``, if it has this attribute (a row of an ORM), or ``attributes["scopes"]``.

    :param user: the user
    :raises TypeError: they are not names
    :raises ValueError: one of them is empty
    """
    if type(user) is User and user.attributes is _NO_ATTRIBUTES:
        return None  # as most are; it is asked on every request with a token
    scopes = getattr(user, "scopes", None)
    if scopes is None:
        attributes = getattr(user, "attributes", None)
        scopes = attributes.get("scopes") if isinstance(attributes, Mapping) else None
    return None if scopes is None else collect_names(scopes, what=f"scopes of user {user.username!r}")


def limit_scopes(scopes: Collection[str] | None, user: UserModel) -> frozenset[str] | None:
    """Return the scopes of a user's credentials, and no more than the user has by now.

    :param scopes: what the credentials were limited to; ``None`` for no limit
    :param user: whose they are
    """
    most = scopes_of(user)
    if most is None or scopes is None:
        return most if scopes is None else frozenset(scopes)
    return frozenset(scopes) & most


class ReadOnlyDict(Mapping[str, Any]):
    """Hold a dict that cannot be written into. Unlike ``MappingProxyType`` it can be copied and pickled."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


_NO_NAMES: frozenset[str] = frozenset()
_NO_ATTRIBUTES = ReadOnlyDict({})


@dataclass(frozen=True, slots=True)
class User:
    """Hold one account as the userstore knows it. It cannot be changed.

    :param username: the name, not empty
    :param password: the stored *hash* of the password, made by
        :meth:`flask_securest.passwords.PasswordHasher.hash`; ``None`` for an account without one
    :param active: whether the account may be used at all
    :param roles: names of roles
    :param groups: names of groups; what they mean is the userstore's business
    :param email: an address, for the application's own use
    :param attributes: whatever else the application wants to know of its users; read-only
    :param mark: any text that changes with the password, or with the person behind the name, where there is no hash
        that does: tokens and sessions of before end then. A digest of it is in tokens; 18 hexadecimal digits are taken
        as they are.
    :raises TypeError: ``roles="admin"``, or another argument of the wrong type
    :raises ValueError: an empty name
    """

    username: str
    password: str | None = field(default=None, repr=False)
    active: bool = field(default=True, kw_only=True)
    roles: Collection[str] = field(default=_NO_NAMES, kw_only=True)
    groups: Collection[str] = field(default=_NO_NAMES, kw_only=True)
    email: str | None = field(default=None, kw_only=True)
    attributes: Mapping[str, Any] = field(default_factory=lambda: _NO_ATTRIBUTES, kw_only=True, repr=False, hash=False)
    mark: str | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every argument, and make the collections unchangeable."""
        if not isinstance(self.username, str):
            raise TypeError(f"username must be a string, not {type(self.username).__name__}")
        if not self.username:
            raise ValueError("username must not be empty")
        if self.password is not None and not isinstance(self.password, str):
            raise TypeError(f"the password of user {self.username!r} must be the string of a hash, or None")
        if not isinstance(self.active, bool):
            # "false", read from a file, is true.
            raise TypeError(f"active of user {self.username!r} must be True or False, not {self.active!r}")
        if self.mark is not None and (not isinstance(self.mark, str) or not self.mark):
            raise TypeError(f"mark of user {self.username!r} must be a string, not empty, or None")
        # A token of an API without a userstore makes a User for every request: what is not given costs nothing.
        if self.roles is not _NO_NAMES:
            object.__setattr__(self, "roles", collect_names(self.roles, what=f"roles of user {self.username!r}"))
        if self.groups is not _NO_NAMES:
            object.__setattr__(self, "groups", collect_names(self.groups, what=f"groups of user {self.username!r}"))
        if type(self.attributes) is not ReadOnlyDict:
            if not isinstance(self.attributes, Mapping):
                raise TypeError(f"attributes of user {self.username!r} must be a mapping, not {type(self.attributes)}")
            # A store hands the same User to every request: a view that wrote into it would write into the next one's.
            object.__setattr__(self, "attributes", ReadOnlyDict(self.attributes))
