"""``flask securest users ...``."""

from __future__ import annotations

import itertools

import click

from ..models import User, UserModel
from ..userstores.abstract import AbstractUserstore
from .accounts import check_names, check_username, describe_user
from .commands import Commands, Refused, json_option, store_option
from .importing import import_users
from .output import note, write_fields, write_json, write_json_list, write_table
from .prompt import read_password
from .stores import hasher_of, prepare, require_userstore, require_writable_userstore, writable_keystores
from .tokenstores import end_sessions

users = Commands("users", short_help="Add, list, change and remove users.")
users.help = """Add, list, change and remove the users of the application's userstore.

With --json a user is an object with username, active, roles, groups, email and has_password_hash. Its roles include
those that it has through groups.
"""


@users.command(
    "add",
    short_help="Add a user.",
    examples=[
        "flask securest users add alice --role admin --group staff",
        "flask securest users add robot --no-password",
        "pass show alice | flask securest users add alice",
    ],
)
@click.argument("username", metavar="NAME")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role of the user; may be repeated.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group of the user; may be repeated.")
@click.option("--email", metavar="ADDRESS", help="The user's address.")
@click.option("--disabled", is_flag=True, help="The account cannot be used until it is enabled.")
@click.option("--no-password", is_flag=True, help="Without a password: a machine that has an API key, for example.")
@store_option
@json_option
def add_user(
    username: str,
    roles: tuple[str, ...],
    groups: tuple[str, ...],
    email: str | None,
    disabled: bool,
    no_password: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Add a user, whose password is asked for, or is one line of standard input."""
    userstore = require_writable_userstore(store)
    checks = {
        "name of a user": check_username(username, has_password=not no_password),
        "--role": check_names(list(roles)),
        "--group": check_names(list(groups)),
        "--email": None if email is None or email.isprintable() else "is not printable",
    }
    for what, reason in checks.items():
        if reason is not None:
            raise click.UsageError(f"The {what} {reason}.")
    prepare(userstore)
    if userstore.get_user(username) is not None:  # before somebody types a password for nothing
        raise Refused(f"there is a user {username!r} already")
    stored = None if no_password else hasher_of(userstore).hash(read_password(f"Password of {username!r}"))
    userstore.add_users([User(username, stored, active=not disabled, roles=roles, groups=groups, email=email)])
    _tell(userstore, username, "added", as_json)


@users.command(
    "list",
    short_help="List all users.",
    examples=[
        "flask securest users list",
        "flask securest users list --json | jq -r '.[] | select(.active | not) | .username'",
    ],
)
@store_option
@json_option
def list_users(store: str | None, as_json: bool) -> None:
    """List all users, sorted by name."""
    described = map(describe_user, require_userstore(store).list_users())
    if as_json:
        write_json_list(described)
        return
    columns = ("username", "active", "roles", "groups", "email")
    write_table(columns, ([user[column] for column in columns] for user in described), none="there are no users")


@users.command(
    "show",
    short_help="Show a user.",
    examples=[
        "flask securest users show alice",
    ],
)
@click.argument("username", metavar="NAME")
@store_option
@json_option
def show_user(username: str, store: str | None, as_json: bool) -> None:
    """Show what is known of a user; never its password, nor the hash of it."""
    described = describe_user(_require_user(require_userstore(store), username))
    if as_json:
        write_json(described)
    else:
        write_fields(described)


@users.command(
    "passwd",
    short_help="Set a user's password.",
    examples=[
        "flask securest users passwd alice",
    ],
)
@click.argument("username", metavar="NAME")
@store_option
@json_option
def set_password(username: str, store: str | None, as_json: bool) -> None:
    """Set a user's password, which is asked for, or is one line of standard input."""
    userstore = require_writable_userstore(store)
    _require_user(userstore, username)
    stored = hasher_of(userstore).hash(read_password(f"New password of {username!r}"))
    _require_done(userstore.set_password(username, stored), username)
    _tell(userstore, username, "has a new password", as_json)


@users.command(
    "enable",
    short_help="Let a user in again.",
    examples=[
        "flask securest users enable alice",
    ],
)
@click.argument("username", metavar="NAME")
@store_option
@json_option
def enable_user(username: str, store: str | None, as_json: bool) -> None:
    """Let a user in again who was disabled."""
    userstore = require_writable_userstore(store)
    _require_done(userstore.set_active(username, True), username)
    _tell(userstore, username, "enabled", as_json)


@users.command(
    "disable",
    short_help="Shut a user out, with its keys and tokens.",
    examples=[
        "flask securest users disable alice",
    ],
)
@click.argument("username", metavar="NAME")
@store_option
@json_option
def disable_user(username: str, store: str | None, as_json: bool) -> None:
    """Shut a user out, with its API keys and its tokens, from the next request on. Its sessions have ended then."""
    userstore = require_writable_userstore(store)
    _require_done(userstore.set_active(username, False), username)
    end_sessions(userstore, username)
    _tell(userstore, username, "disabled", as_json)


@users.command(
    "remove",
    short_help="Remove a user.",
    examples=[
        "flask securest users remove alice",
    ],
)
@click.argument("username", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
def remove_user(username: str, yes: bool, store: str | None, as_json: bool) -> None:
    """Remove a user for ever. Disabling, which can be undone, shuts out as well."""
    userstore = require_writable_userstore(store)
    described = describe_user(_require_user(userstore, username))
    keys = itertools.chain.from_iterable(keystore.list_keys() for keystore in writable_keystores())
    if any(key.owner == username and key.revoked_at is None for key in keys):
        # Its owner is known by name alone: the keys would be those of whoever gets the name next.
        note(f"{username!r} has API keys, which would work again for a new user of this name: revoke them")
    if not yes:
        click.confirm(f"Remove the user {username!r}?", abort=True, err=True)
    _require_done(userstore.remove_user(username), username)
    end_sessions(userstore, username)
    note(f"user {username!r} removed")
    if as_json:
        write_json(described)


users.command(
    "import",
    short_help="Add the users of a CSV file, all or none.",
    examples=["flask securest users import people.csv --dry-run", "flask securest users import - < people.csv"],
)(import_users)


def _require_user(userstore: AbstractUserstore, username: str) -> UserModel:
    user = userstore.get_user(username)
    if user is None:
        raise Refused(f"there is no user {username!r}")
    return user


def _require_done(done: bool, username: str) -> None:
    if not done:
        raise Refused(f"there is no user {username!r} any more")


def _tell(userstore: AbstractUserstore, username: str, what: str, as_json: bool) -> None:
    note(f"user {username!r}: {what}")
    if as_json:
        write_json(describe_user(_require_user(userstore, username)))
