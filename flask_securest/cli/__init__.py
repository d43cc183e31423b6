"""``flask securest ...``: users, API keys and sessions on the command line."""

import click

from .check import find_faults
from .commands import Commands, json_option, store_option
from .keys import keys
from .output import note, write, write_json, write_json_list
from .prompt import read_password
from .sessions import sessions
from .stores import hasher_of, require_userstore, stores_with_tables
from .users import users

__all__ = ["securest"]

securest = Commands("securest", short_help="Manage the users, API keys and sessions of SecuREST.")
securest.help = """Manage the users, API keys and sessions of the application, in the stores that its SecuREST has.

Standard output has what was asked for, as a table, or as JSON with --json; standard error has all the rest. Passwords
are asked for without echo, or are one line of standard input. Standard output that cannot be written is a 1.

\b
Exit codes:
  0  done
  1  refused: not found, taken already, lines that are wrong, an answer of no
  2  wrong usage, or an application that is not set up for it
  3  a database or a directory is down, or too slow
"""
securest.add_command(users)
securest.add_command(keys)
securest.add_command(sessions)


@securest.command(
    "hash",
    short_help="Hash a password.",
    examples=[
        "flask securest hash",
    ],
)
@store_option
@json_option
def hash_password(store: str | None, as_json: bool) -> None:
    """Print the hash of a password, as the application makes them, for a file of users for example.

    The password is asked for, or is one line of standard input. With --json it prints an object with hash.
    """
    stored = hasher_of(require_userstore(store)).hash(read_password("Password"))
    if as_json:
        write_json({"hash": stored})
    else:
        write(stored)
    note("Whoever has this hash can try passwords on it: keep it where users are kept.")


@securest.command(
    "init",
    short_help="Make tables, or upgrade them.",
    examples=[
        "flask securest init",
    ],
)
@json_option
def init(as_json: bool) -> None:
    """Make the tables of all stores in SQL databases, and add to those of a former release what they have not.

    It may be run at any time, also while workers of the former release are at work, and again: it changes what is
    missing, and nothing else. With --json it prints a list of objects with store.
    """
    stores = stores_with_tables()
    for store in stores:
        store.create_schema()
    names = [type(store).__name__ for store in stores]
    if as_json:
        write_json_list({"store": name} for name in names)
    else:
        for name in names:
            write(f"{name}: its tables are there")
    note(f"{len(stores)} stores have tables of ours")


@securest.command(
    "check",
    short_help="Look for what is wrong.",
    examples=[
        "flask securest check",
        "flask securest check --json | jq -e 'all(.[]; .level != \"error\")'",
    ],
)
@json_option
def check(as_json: bool) -> None:
    """Look for what is wrong with the application, or may be a surprise.

    Rules that are broken, stores that cannot be asked, tokens that logging out does not end, sessions and keys of
    accounts of a provider that is not there. It ends with 1 if there is an error. With --json it prints a list of
    objects with level and text.
    """
    found = list(find_faults())
    if as_json:
        write_json_list({"level": level, "text": text} for level, text in found)
    else:
        for level, text in found:
            write(f"{level}: {text}")
    errors = sum(level == "error" for level, _ in found)
    note(f"{errors} errors, {len(found) - errors} warnings")
    if errors:
        raise click.exceptions.Exit(1)
