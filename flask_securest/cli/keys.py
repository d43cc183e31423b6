"""``flask securest keys ...``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import click

from ..keystores.abstract import DEFAULT_OVERLAP, AbstractWritableKeystore
from ..keystores.format import key_pattern
from ..keystores.models import ApiKey, IssuedKey
from ..models import UserModel
from .accounts import check_names
from .commands import Commands, Refused, json_option, store_option
from .key_records import describe_key, hand_over, hand_over_many, in_words, uses_former_secret
from .output import note, with_progress, write, write_fields, write_json, write_json_list, write_table
from .parameters import MOST_DAYS, read_end, read_key_id, read_network
from .stores import accounts_of, require_keystore, require_writable_keystore

#: So many keys can be issued at once: they are in memory until all of them are in the store.
_MOST_KEYS = 1_000_000

keys = Commands("keys", short_help="Issue, list, rotate and revoke API keys.")
keys.help = """Issue, list, rotate and revoke the API keys of the application's keystore.

A key is written <prefix>_<id>_<secret>. It is printed once, by issue or rotate, alone on standard output; the store
keeps only a digest of it. Commands take its id.

With --json a key is an object with id, status (active, expired or revoked), owner, owner_origin (null for the API's
own), app_name, scopes (null for not limited), networks (empty for everywhere), note, created_at, expires_at,
revoked_at, last_used_at, rotated_at, sunset_at (until when its former secret works) and former_last_used_at; times are
ISO 8601 in UTC, or null. issue and rotate add key, the key itself.
"""


@keys.command(
    "issue",
    short_help="Issue a key, and print it.",
    examples=[
        'flask securest keys issue --app billing --expires 365 --note "nightly invoices"',
        "flask securest keys issue --owner alice --scope read --network 10.0.0.0/8",
        "flask securest keys issue --app sensor --count 500 > keys.txt",
    ],
)
@click.option("--owner", metavar="NAME", help="The user whose key it is. It stops when the user is disabled.")
@click.option(
    "--owner-origin", metavar="PROVIDER", help="The provider whose own user that is, not the API's userstore."
)
@click.option("--app", "app_name", metavar="NAME", help="The application whose key it is, which is no user.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="Limit the key to this; may be repeated.")
@click.option("--expires", "expires_at", type=read_end, metavar="DAYS|DATE", help="When it ends; without this, never.")
@click.option(
    "--network", "networks", type=read_network, multiple=True, metavar="CIDR", help="From where; may be repeated."
)
@click.option("--note", default="", metavar="TEXT", help="What it is for.")
@click.option("--count", type=click.IntRange(1, _MOST_KEYS), metavar="N", help="Issue so many, all or none.")
@store_option
@json_option
def issue_keys(
    owner: str | None, owner_origin: str | None, count: int | None, store: str | None, as_json: bool, **wanted: Any
) -> None:
    """Issue a key, and print it: this is the only time that it can be seen. Either --owner or --app is needed.

    A key without --scope may do whatever its owner may. With --count there is one key a line, or a JSON array.
    """
    if bool(owner) == bool(wanted["app_name"]):
        raise click.UsageError("Say whose key it is: either --owner or --app.")
    if owner_origin is not None and not owner:
        raise click.UsageError("--owner-origin says where the user of --owner lives.")
    for option in ("--app", "--scope"):
        given = wanted["scopes"] if option == "--scope" else [wanted["app_name"] or "none"]
        if (reason := check_names(list(given))) is not None:
            raise click.UsageError(f"The {option} {reason}.")
    keystore = require_writable_keystore(store)
    user = _require_owner(keystore, owner, owner_origin) if owner else None
    wanted["scopes"] = wanted["scopes"] or None
    credentials: list[IssuedKey] = []

    def make_keys() -> Iterator[ApiKey]:
        for _ in with_progress(range(count or 1), length=count or 1, label="issuing"):
            credentials.append(keystore.make(owner=user, owner_origin=owner_origin, **wanted))
            yield credentials[-1].key

    # In one call, which is in force as a whole or not at all.
    keystore.add_keys(make_keys())
    if count is None:
        hand_over(credentials[0], as_json=as_json)
    else:
        hand_over_many(credentials, as_json=as_json)


@keys.command(
    "list",
    short_help="List keys.",
    examples=[
        "flask securest keys list --owner alice",
        "flask securest keys list --still-using-former",
    ],
)
@click.option("--owner", metavar="NAME", help="Only those of this user.")
@click.option("--app", "app_name", metavar="NAME", help="Only those of this application.")
@click.option(
    "--still-using-former", is_flag=True, help="Only those that were rotated, and whose bearer has not noticed."
)
@store_option
@json_option
def list_keys(
    owner: str | None, app_name: str | None, still_using_former: bool, store: str | None, as_json: bool
) -> None:
    """List the keys, the oldest first; those that are revoked or have expired, too."""
    now = datetime.now(timezone.utc)
    described = (
        describe_key(key, now)
        for key in require_writable_keystore(store).list_keys()
        if (owner is None or key.owner == owner)
        and (app_name is None or key.app_name == app_name)
        and (not still_using_former or uses_former_secret(key, now))
    )
    if as_json:
        write_json_list(described)
        return
    columns = ["id", "owner", "app_name", "status", "expires_at", "last_used_at"]
    columns += ["former_last_used_at", "sunset_at"] if still_using_former else ["scopes", "note"]
    rows = ([in_words(key)[column] for column in columns] for key in described)
    write_table([column.replace("_", " ") for column in columns], rows, none="there are no such keys")


@keys.command(
    "show",
    short_help="Show what is known of a key.",
    examples=[
        "flask securest keys show 2c9vXq0dRk81TzPb",
    ],
)
@click.argument("key_id", type=read_key_id, metavar="ID")
@store_option
@json_option
def show_key(key_id: str, store: str | None, as_json: bool) -> None:
    """Show what is known of a key, which is everything but the key."""
    key = require_keystore(store).get_key(key_id)
    if key is None:
        raise Refused(_unknown(key_id))
    described = describe_key(key, datetime.now(timezone.utc))
    if as_json:
        write_json(described)
    else:
        write_fields(in_words(described))


@keys.command(
    "rotate",
    short_help="Give a key a new secret, and print it.",
    examples=[
        "flask securest keys rotate 2c9vXq0dRk81TzPb",
        "flask securest keys rotate 2c9vXq0dRk81TzPb --overlap 0",
    ],
)
@click.argument("key_id", type=read_key_id, metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(0, MOST_DAYS),
    default=DEFAULT_OVERLAP.days,
    show_default=True,
    metavar="DAYS",
    help="For how long the former one goes on working.",
)
@store_option
@json_option
def rotate_key(key_id: str, overlap: int, store: str | None, as_json: bool) -> None:
    """Give a key a new secret, and print it: this is the only time that it can be seen.

    The former one goes on working for a while, and answers say so. One that was replaced earlier ends now.
    """
    keystore = require_writable_keystore(store)
    try:
        issued = keystore.rotate(key_id, overlap=timedelta(days=overlap))
    except KeyError:
        raise Refused(_unknown(key_id)) from None
    hand_over(issued, as_json=as_json)


@keys.command(
    "revoke",
    short_help="End a key now.",
    examples=[
        "flask securest keys revoke 2c9vXq0dRk81TzPb",
    ],
)
@click.argument("key_id", type=read_key_id, metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
def revoke_key(key_id: str, yes: bool, store: str | None, as_json: bool) -> None:
    """End a key from the next request on, with its former secret. It stays in the list."""
    keystore = require_writable_keystore(store)
    key = keystore.get_key(key_id)
    if key is None:
        raise Refused(_unknown(key_id))
    if not yes:
        click.confirm(f"Revoke the key {key_id} of {key.owner or key.app_name!r}?", abort=True, err=True)
    try:
        revoked = keystore.revoke(key_id)
    except KeyError:
        raise Refused(_unknown(key_id)) from None
    note(f"key {key_id}: revoked")
    if as_json:
        write_json(describe_key(revoked, datetime.now(timezone.utc)))


@keys.command(
    "pattern",
    short_help="Print the regular expression that finds keys.",
    examples=[
        'git log -p | grep -P "$(flask securest keys pattern)"',
    ],
)
@store_option
@json_option
def print_pattern(store: str | None, as_json: bool) -> None:
    """Print the regular expression that finds keys in a text, for secret scanners such as gitleaks.

    With --json it prints an object with prefix and pattern.
    """
    prefix = require_writable_keystore(store).prefix
    if as_json:
        write_json({"prefix": prefix, "pattern": key_pattern(prefix)})
    else:
        write(key_pattern(prefix))


def _unknown(key_id: str) -> str:
    return f"there is no key {key_id!r}"


def _require_owner(keystore: AbstractWritableKeystore, owner: str, origin: str | None) -> UserModel:
    for accounts in accounts_of(keystore):
        if not accounts.can_find(origin):
            raise Refused(f"no provider that this application asks can look up users of the origin {origin!r}")
        user = accounts.find(origin, owner)
        if user is not None:
            if not user.active:
                note(f"the user {owner!r} is disabled: its key works once it is enabled")
            return user
    raise Refused(f"there is no user {owner!r}; for a client that is none, give --app instead of --owner")
