"""``flask securest sessions ...``."""

from __future__ import annotations

from typing import Any

import click

from ..support.checks import require_name
from ..tokenstores.keeping import SessionKeeper
from ..tokenstores.models import Session
from .commands import Commands, Refused, json_option, store_option
from .output import note, write_json, write_json_list, write_table
from .parameters import read_key_id
from .tokenstores import require_sessions

sessions = Commands("sessions", short_help="List and end the sessions of tokens.")
sessions.help = """List and end sessions: log-ins, with the access tokens and the refresh token of each.

An account is a name and where it lives: in the API's userstore, or, with --origin, with a provider.

With --json a session is an object with id, username, origin (null for the API's own, "?" if it is from before there
were origins), client, scopes (null for not limited), created_at, expires_at and last_used_at; times are ISO 8601 in
UTC, or null.
"""

_user_option = click.option("--user", "username", metavar="NAME", help="The user whose they are.")
_origin_option = click.option(
    "--origin", metavar="PROVIDER", help="The provider whose own user that is, not the API's userstore."
)


@sessions.command(
    "list",
    short_help="List the sessions of a user.",
    examples=[
        "flask securest sessions list --user alice",
        "flask securest sessions list --user alice --origin ldap --json",
    ],
)
@_user_option
@_origin_option
@store_option
@json_option
def list_sessions(username: str | None, origin: str | None, store: str | None, as_json: bool) -> None:
    """List the sessions of a user that have not ended, the oldest first."""
    if username is None:
        raise click.UsageError("Say whose sessions: --user NAME.")
    keeper = require_sessions(store)
    described = [_describe(session) for session in keeper.list_alive(username, _read_origin(origin))]
    if as_json:
        write_json_list(described)
        return
    columns = ["id", "client", "scopes", "created_at", "last_used_at", "expires_at"]
    rows = ([session[column] for column in columns] for session in described)
    write_table([column.replace("_", " ") for column in columns], rows, none="there are no such sessions")


@sessions.command(
    "end",
    short_help="End sessions now.",
    examples=[
        "flask securest sessions end eWLJUiutBmeOMrHS",
        "flask securest sessions end --user alice",
        "flask securest sessions end --origin old-ldap",
    ],
)
@click.argument("session_id", type=read_key_id, metavar="[ID]", required=False)
@_user_option
@_origin_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
def end_sessions(
    session_id: str | None, username: str | None, origin: str | None, yes: bool, store: str | None, as_json: bool
) -> None:
    """End a session by its ID, all of a user, or, with --origin alone, all of a provider's users.

    They end from the next request on, in all processes. With --json it prints an object with ended, how many.
    """
    if (session_id is None) == (username is None and origin is None):
        raise click.UsageError("Say which: either an ID, or --user, or --origin, or both of these.")
    keeper = require_sessions(store)
    count = _end(keeper, session_id, username, _read_origin(origin), yes=yes)
    note(f"{count} sessions ended")
    if as_json:
        write_json({"ended": count})


def _end(keeper: SessionKeeper, session_id: str | None, username: str | None, origin: str | None, *, yes: bool) -> int:
    if session_id is not None:
        session = keeper.store.get_session(session_id)
        if session is None or not keeper.end(session, "ended by an operator"):
            raise Refused(f"there is no session {session_id!r}")
        return 1
    if not yes:
        whose = f"of {username!r}" if username is not None else f"of all users of {origin!r}"
        click.confirm(f"End all sessions {whose}?", abort=True, err=True)
    if username is not None:
        return keeper.end_all(username, origin)
    return keeper.store.end_origin(str(origin))


def _read_origin(origin: str | None) -> str | None:
    return None if origin is None else require_name(origin, "--origin")


def _describe(session: Session) -> dict[str, Any]:
    described: dict[str, Any] = {"id": session.id, "username": session.username, "origin": session.origin}
    described["client"] = session.client
    described["scopes"] = None if session.scopes is None else sorted(session.scopes)
    return described | {name: getattr(session, name) for name in ("created_at", "expires_at", "last_used_at")}
