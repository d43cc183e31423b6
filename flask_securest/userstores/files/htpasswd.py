"""Users from a file that Apache's ``htpasswd`` has written: ``alice:$2y$05$VY4I7pFwdHaExDJqVWQ2Gu...`` on each line.

Its formats are bcrypt (``-B``), apr1 (``-m``), ``$5$`` (``-2``), ``$6$`` (``-5``), and two that it calls insecure:
``{SHA}`` (``-s``), which has no salt, and crypt(3) (``-d``), which looks at no more than 8 bytes of a password.
"""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from ...models import User, UserModel
from ...passwords import MAX_PASSWORD_BYTES
from ...support.logs import get_logger, printable
from ..abstract import AbstractVerifyingUserstore
from .apache_hashes import Kind, Sample, choose_samples, kind_of, verify_as_slowly_as_any
from .watched_file import WatchedFile, require_path

_log = get_logger(__name__)

#: What stands in place of a hash, or in front of one, where an account is disabled (passwd(5), shadow(5)).
_LOCKED = re.compile(r"!!?|\*(?:LK\*)?")

#: How many malformed lines are reported one by one.
_MOST_REPORTS = 20


class _Account(NamedTuple):
    """Hold what a line says of a user."""

    hash: str | None
    kind: Kind | None
    active: bool

    def __repr__(self) -> str:
        return f"_Account(active={self.active})"


class _Accounts(NamedTuple):
    """Hold what a file says, and one hash of each kind in it, the slowest first."""

    by_name: dict[str, _Account]
    samples: list[Sample]

    def __repr__(self) -> str:
        return f"_Accounts({len(self.by_name)} users)"


class HtpasswdUserstore(AbstractVerifyingUserstore):
    """Keep users in a file of Apache's ``htpasswd``, and their groups in one that Apache's ``AuthGroupFile`` takes.

    Lines are read as Apache does: ``name:hash``, where another colon begins a comment. A line that cannot be read, or
    has a hash of another kind, is reported in the log and skipped: nobody gets in by it. Of two lines with a name the
    first one counts, also if it cannot be read. ``!`` or ``*`` in place of the hash, or ``!`` in front of it, disables
    an account; Apache lets nobody in by such a line either.

    The files are looked at once a second at most, when a user is asked for. One that is gone, or cannot be read, is
    reported once, and what it held before stays in force. The program htpasswd writes in place: while it does, users
    may be missing for a second.

    Passwords are checked by the store itself: {SHA} and crypt(3) are so weak that
    :class:`~flask_securest.passwords.PasswordHasher` takes neither. With bcrypt a password has at most 72 bytes; a
    longer one is refused, though Apache would cut it. With crypt(3), every password with the right first 8 bytes is
    right, as it is for Apache.

    To refuse an unknown user takes the work of one hash of each kind that is in the file (of the four slowest, if there
    are more), and so does to refuse a wrong password, whatever kind the user's own hash is.

    :param path: the file of users
    :param groups: the file of groups, with lines such as ``admin: alice bob``; the names of the groups become roles
    :raises ConfigurationError: a file cannot be read, or every local user can write it
    """

    def __init__(self, path: str | os.PathLike[str], *, groups: str | os.PathLike[str] | None = None) -> None:
        self._accounts = WatchedFile(path, partial(_read_accounts, require_path(path)), sender=self)
        self._groups = None
        if groups is not None:
            self._groups = WatchedFile(groups, partial(_read_groups, require_path(groups)), sender=self)

    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name."""
        account = self._accounts.read().by_name.get(identifier)
        return None if account is None else self._make_user(identifier, account)

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name."""
        for name, account in sorted(self._accounts.read().by_name.items(), key=lambda item: item[0]):
            yield self._make_user(name, account)

    def verify_password(self, username: str, password: str) -> UserModel | None:
        """Return the user if the password is right."""
        accounts = self._accounts.read()
        account = accounts.by_name.get(username)
        password = unicodedata.normalize("NFC", password)
        if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
            # The crypt(3) formats take time in proportion to the password's length (CWE-400).
            account, password = None, ""
        stored, kind = (None, None) if account is None else (account.hash, account.kind)
        if verify_as_slowly_as_any(password, stored, kind, accounts.samples) and account is not None:
            return self._make_user(username, account)
        return None

    def _make_user(self, name: str, account: _Account) -> User:
        groups = frozenset() if self._groups is None else self._groups.read().get(name, frozenset())
        return User(name, account.hash, active=account.active, roles=groups, groups=groups)


def _read_accounts(path: str, data: bytes) -> _Accounts:
    report = _Report(path)
    accounts: dict[str, _Account | None] = {}
    for number, line in _lines_of(data):
        name, colon, rest = line.partition(":")
        if not colon or not name or not name.isprintable():
            report.skip(number, "no colon" if not colon else "no name, or one that is not printable, or no UTF-8")
        elif name in accounts:
            # Also if the first one could not be read: somebody may have made it so, to lock the account.
            report.skip(number, "a name that stands there before; only the first line counts")
        else:
            account = _read_account(rest.partition(":")[0])
            accounts[name] = None if isinstance(account, str) else account
            if isinstance(account, str):
                report.skip(number, account)
    report.close()
    known = {name: account for name, account in accounts.items() if account is not None}
    return _Accounts(known, choose_samples((account.kind, account.hash) for account in known.values()))


def _read_account(stored: str) -> _Account | str:
    """Return what stands behind the colon as an account, or what is wrong with it."""
    if _LOCKED.fullmatch(stored):
        return _Account(None, None, active=False)
    bare = stored.removeprefix("!")
    kind = kind_of(bare)
    # What it is instead is not shown: it may be a password, written by htpasswd -p.
    return kind if isinstance(kind, str) else _Account(bare, kind, active=bare == stored)


def _read_groups(path: str, data: bytes) -> dict[str, frozenset[str]]:
    """Return the groups of each user."""
    report = _Report(path)
    found: dict[str, set[str]] = {}
    for number, line in _lines_of(data):
        group, colon, members = line.partition(":")
        if not colon or not group.strip():
            report.skip(number, "no colon" if not colon else "no name")
        elif not line.replace("\t", " ").isprintable():
            report.skip(number, "characters that are not printable, or no UTF-8")
        else:
            for name in members.split():
                found.setdefault(name, set()).add(group.strip())
    report.close()
    return {name: frozenset(groups) for name, groups in found.items()}


def _lines_of(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is neither blank nor a comment.

    What is no UTF-8 becomes what is not printable: such a line must go on holding its name, as any first one does.
    """
    for number, line in enumerate(io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), start=1):
        text = line.strip(b" \t\r\n")
        if text and not text.startswith(b"#"):
            yield number, text.decode("utf-8", "surrogateescape")


class _Report:
    """Tell the log which lines of a file are skipped: where and why, and never what stands there.

    :param path: the file
    """

    def __init__(self, path: str) -> None:
        self._path = printable(path)
        self._skipped = 0

    def skip(self, line: int, reason: str) -> None:
        """Report a line.

        :param line: its number, from 1
        :param reason: what is wrong with it
        """
        self._skipped += 1
        if self._skipped <= _MOST_REPORTS:
            _log.warning("%s, line %d is skipped: %s", self._path, line, reason)

    def close(self) -> None:
        """Say how many more there were."""
        if self._skipped > _MOST_REPORTS:
            _log.warning("%s: %d more lines are skipped", self._path, self._skipped - _MOST_REPORTS)
