"""What changes with an account's password, or with the person behind its name: tokens and sessions end with it.

A mark has 18 hexadecimal digits, 72 bits. It is in tokens, which anybody can read who has them, and tells nothing of
the password: the hash that it is made of has a salt of its own, of 128 bits with argon2.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from ..models import User, UserModel

_DIGITS = 18
_MARK = re.compile(rf"!?[0-9a-f]{{{_DIGITS}}}")

#: What the mark of an account begins with that has been disabled once: tokens that have no mark have ended then.
_ENDED = "!"

#: In place of the mark of a password's hash, where there is no password.
_NO_PASSWORD = "-"  # noqa: S105  # there is none


def mark_of(user: UserModel) -> str | None:
    """Return the mark of an account; ``None`` where nothing is known that would change.

    :param user: the account; of an object of the application, an attribute ``mark`` means something else
    """
    given = user.mark if isinstance(user, User) else None
    if given is None:
        stored = getattr(user, "password", None)
        return _mark_of_hash(stored) if stored else None
    return given if _MARK.fullmatch(given) else _digest(b"flask_securest.mark\0", given)


def refuses_unmarked(user: UserModel) -> bool:
    """Return whether tokens have ended that have no mark.

    Such are those of a mere name that nobody has looked up: they go on when the password is changed, but not if their
    user has been disabled.

    :param user: the account
    """
    return isinstance(user, User) and user.mark is not None and user.mark.startswith(_ENDED)


def make_mark(*, of_disabled: bool = False) -> str:
    """Return a mark that no account has had.

    :param of_disabled: whether it is that of an account that is, or was, disabled
    """
    return (_ENDED if of_disabled else "") + secrets.token_hex(_DIGITS // 2)


def bind_mark(mark: str, stored: str | None) -> str:
    """Return a mark as it is kept beside a password's hash, for as long as that is the account's.

    A worker of the release before, which knows of no marks, may set another password: the mark is void then.

    :param mark: the mark
    :param stored: the hash of the password; ``None`` if there is none
    """
    return f"{_mark_of_hash(stored)}:{mark}"


def read_bound_mark(bound: str | None, stored: str | None) -> str | None:
    """Return the mark that :func:`bind_mark` has bound to this hash; ``None`` if it is another one by now.

    :param bound: what was kept
    :param stored: the hash of the password; ``None`` if there is none
    """
    of_hash, _, mark = (bound or "").partition(":")
    return mark if of_hash == _mark_of_hash(stored) and _MARK.fullmatch(mark) else None


def _mark_of_hash(stored: str | None) -> str:
    return _digest(b"flask_securest.password_mark\0", stored) if stored else _NO_PASSWORD


def _digest(kind: bytes, text: str) -> str:
    return hashlib.sha256(kind + text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
