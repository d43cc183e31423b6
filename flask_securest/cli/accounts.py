"""What commands say of users, and which ones they add."""

from __future__ import annotations

from typing import Any

from ..models import UserModel


def describe_user(user: UserModel) -> dict[str, Any]:
    """Return what may be shown of a user: all but the hash of the password. The names are those of ``--json``.

    :param user: the user, which may be a row of somebody's own ORM
    """
    email = getattr(user, "email", None)
    return {
        "username": user.username,
        "active": bool(user.active),
        "roles": sorted(map(str, user.roles)),
        "groups": sorted(map(str, getattr(user, "groups", None) or ())),
        "email": None if email is None else str(email),
        "has_password_hash": bool(user.password),
    }


def check_username(name: str, *, has_password: bool) -> str | None:
    """Return why there should be no user of this name, in words that do not quote it; ``None`` if there may be.

    A line of a file may have slipped by a column: what stands where the name should be can be a password.

    :param name: the name
    :param has_password: whether the user is to log in by HTTP Basic, which ends the name at the first colon
        (RFC 7617, section 2)
    """
    if not name:
        return "is empty"
    if not name.isprintable():
        return "has characters that are not printable, or is not UTF-8"
    if name != name.strip():
        return "has white space at its ends"
    if has_password and ":" in name:
        return "has a colon, with which nobody can log in by name and password"
    return None


def check_names(names: list[str]) -> str | None:
    """Return why these cannot be roles or groups, in words that do not quote them; ``None`` if they can.

    :param names: the names
    """
    for name in names:
        if not name.strip():
            return "has an empty name"
        if not name.isprintable():
            return "has a name that is not printable, or is not UTF-8"
    return None
