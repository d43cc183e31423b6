"""``flask securest users import``: all lines are looked at; what is wrong with one is told by its number, unquoted."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO, NamedTuple

import click

from ..models import User
from ..passwords import PasswordHasher, can_verify
from ..userstores.abstract import AbstractUserstore
from .accounts import check_names, check_username
from .commands import Refused, json_option, store_option
from .output import note, with_progress, write_json
from .prompt import check_password
from .stores import hasher_of, prepare, require_writable_userstore

#: The columns that a file may have.
COLUMNS = ("username", "password_hash", "password", "active", "roles", "groups", "email")

#: So many lines are told to be wrong; those after them are counted.
_MOST_PROBLEMS = 100

_ACTIVE = {**dict.fromkeys(("true", "yes", "1"), True), **dict.fromkeys(("false", "no", "0"), False)}


class Problem(NamedTuple):
    """Hold what is wrong with a line. It quotes nothing of the line, which may have a password anywhere."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a user as a line of the file describes it.

    :param number: the number of the line, from 1
    :param user: the user, with the hash of its password, if the line has one
    :param password: the password, if the line has that instead
    """

    number: int
    user: User
    password: str | None = field(repr=False)


@click.argument("file", type=click.File("rb"), metavar="FILE.csv")
@click.option("--dry-run", is_flag=True, help="Check the file, and add nobody.")
@store_option
@json_option
def import_users(file: BinaryIO, dry_run: bool, store: str | None, as_json: bool) -> None:
    """Add the users of a CSV file, or of standard input for "-": all of them, or none.

    The first line names the columns: username, and of password_hash, password, active, roles, groups and email those
    that there are. Passwords are hashed; hashes of other systems are taken as they are. Roles and groups are separated
    by spaces or semicolons; active is true or false. Lines that are wrong are told by number.

    With --json it prints an object with users, imported, dry_run, problems (objects with line and reason, 100 at most)
    and more_problems.
    """
    userstore = require_writable_userstore(store)
    lines, problems = read_lines(file)
    prepare(userstore)
    problems += find_taken(lines, userstore)
    people: list[User] = []
    if not problems and not dry_run:
        people, problems = hash_passwords(lines, hasher_of(userstore))
    # In one call, which is in force as a whole or not at all, whatever happens to this process meanwhile.
    imported = userstore.add_users(with_progress(people, length=len(people), label="adding")) if people else 0
    _report(len(lines), imported, sorted(problems), dry_run=dry_run, as_json=as_json)


def read_lines(file: BinaryIO) -> tuple[list[Line], list[Problem]]:
    """Return the users of a file, and what is wrong with its lines.

    :param file: CSV (RFC 4180) in UTF-8, with the names of its columns, of :data:`COLUMNS`, in the first line
    """
    # What is not UTF-8 becomes surrogates, for which its line is refused; some editors begin with a byte order mark.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        return _read_lines(text)
    finally:
        text.detach()  # the file is closed by whoever has opened it


def find_taken(lines: list[Line], userstore: AbstractUserstore) -> list[Problem]:
    """Return which lines name a user that there is already.

    :param lines: the lines
    :param userstore: where they are to go
    :raises BackendError: the store cannot tell now
    """
    return [
        Problem(line.number, "there is a user of this name already")
        for line in with_progress(lines, length=len(lines), label="looking up")
        if userstore.get_user(line.user.username) is not None
    ]


def hash_passwords(lines: list[Line], hasher: PasswordHasher) -> tuple[list[User], list[Problem]]:
    """Return the users with the hashes of their passwords, and which of these cannot be hashed.

    :param lines: the lines
    :param hasher: what hashes
    """
    users: list[User] = []
    for line in with_progress(lines, length=len(lines), label="hashing"):
        if line.password is None:
            users.append(line.user)
            continue
        try:
            users.append(replace(line.user, password=hasher.hash(line.password)))
        except ValueError as error:
            return [], [Problem(line.number, str(error))]
    return users, []


def _report(found: int, imported: int, problems: list[Problem], *, dry_run: bool, as_json: bool) -> None:
    told, more = problems[:_MOST_PROBLEMS], len(problems[_MOST_PROBLEMS:])
    for problem in told:
        note(f"line {problem.line}: {problem.reason}")
    if more:
        note(f"and {more} more")
    if as_json:
        write_json(
            {
                "users": found,
                "imported": imported,
                "dry_run": dry_run,
                "problems": [problem._asdict() for problem in told],
                "more_problems": more,
            }
        )
    if problems:
        raise Refused(f"nobody was added, for {_count(len(problems), 'line is wrong', 'lines are wrong')}")
    users = _count(found if dry_run else imported, "user", "users")
    note(f"{users} could be added" if dry_run else f"{users} added")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _read_lines(text: io.TextIOWrapper) -> tuple[list[Line], list[Problem]]:
    lines: list[Line] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    columns: list[str] | None = None
    for number, cells in _read_rows(text, problems.append):
        if columns is None:
            columns = [cell.strip() for cell in cells]
            reason = _check_columns(columns)
            if reason is not None:
                return [], [Problem(number, reason)]
            continue
        read = _read_line(columns, cells, number)
        if isinstance(read, Problem):
            problems.append(read)
        elif read.user.username in seen:
            problems.append(Problem(number, f"the same user stands in line {seen[read.user.username]}"))
        else:
            seen[read.user.username] = number
            lines.append(read)
    if columns is None and not problems:
        problems.append(Problem(1, "the file is empty; its first line names the columns"))
    return lines, problems


def _read_rows(text: io.TextIOWrapper, report: Callable[[Problem], None]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of the line that it begins in."""
    rows = csv.reader(text, strict=True)
    number = 1
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            # The reader does not know any more where the next row begins.
            report(Problem(number, f"this is not CSV, and nothing after it was read: {error}"))
            return
        if cells is None:
            return
        if cells:
            yield number, cells
        number = rows.line_num + 1


def _check_columns(columns: list[str]) -> str | None:
    known = ", ".join(COLUMNS)
    for position, column in enumerate(columns, start=1):
        if column not in COLUMNS:
            # It is not quoted: without the line that names the columns, this is the first user, with its password.
            return f"column {position} is none of {known} (separated by commas); the first line names the columns"
        if columns.index(column) != position - 1:
            return f"column {position} is there twice"
    return None if "username" in columns else "there is no column username"


def _read_line(columns: list[str], cells: list[str], number: int) -> Line | Problem:
    if len(cells) != len(columns):
        return Problem(number, f"it has {len(cells)} cells, and there are {len(columns)} columns")
    given = dict(zip(columns, cells, strict=True))
    stored, password = given.get("password_hash") or None, given.get("password") or None
    # In a column that is there, an empty cell may be a mistake: a disabled account must not be opened by one.
    active = _ACTIVE.get(given.get("active", "true").strip().lower())
    roles, groups = _split(given.get("roles", "")), _split(given.get("groups", ""))
    email = given.get("email", "").strip() or None
    reasons = {
        "username": check_username(given["username"], has_password=bool(stored or password)),
        "password_hash": None if stored is None else _check_hash(stored, password),
        "password": None if password is None else check_password(password),
        "active": "is neither true nor false" if active is None else None,
        "roles": check_names(roles),
        "groups": check_names(groups),
        "email": None if email is None or email.isprintable() else "is not printable, or is not UTF-8",
    }
    wrong = [f"{column} {reason}" for column, reason in reasons.items() if reason is not None]
    if wrong:
        return Problem(number, "; ".join(wrong))
    user = User(given["username"], stored, active=bool(active), roles=roles, groups=groups, email=email)
    return Line(number, user, password)


def _check_hash(stored: str, password: str | None) -> str | None:
    if password is not None:
        return "and password are both given"
    return None if can_verify(stored) else "is no hash that can be verified here"


def _split(cell: str) -> list[str]:
    return [name for name in re.split(r"[ \t;]+", cell) if name]
