"""Arguments of commands that are more than text: functions that click calls with the text."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta, timezone

import click

from ..keystores.format import find_key_id

#: The longest time that can be asked for, in days: a hundred years.
MOST_DAYS = 36_500

_KEY_ID = re.compile(r"[0-9A-Za-z]{16}")


def read_key_id(text: str) -> str:
    """Return the id of a key.

    :raises click.BadParameter: it is none, and is not quoted: it may be a key, and errors get into logs (CWE-532)
    """
    if _KEY_ID.fullmatch(text):
        return text
    if find_key_id(text.encode("utf-8", "surrogateescape")) is not None:
        raise click.BadParameter(
            "this is a whole key, which is a secret, and now stands in the history of your shell: give its id, the "
            "second of its three parts, and think of rotating it"
        )
    raise click.BadParameter("the id of a key has 16 digits and letters")


def read_end(text: str) -> datetime:
    """Return when something ends, which lies in the future.

    :param text: a number of days, a date, or a time
    :raises click.BadParameter: it is none, or another one
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    try:
        end = _read_time(text, now)
    except (OverflowError, ValueError):
        raise click.BadParameter(
            f"{text!r} is neither a number of days, nor a date such as 2030-01-31 (from its beginning, in UTC), nor a "
            "time with its zone, such as 2030-01-31T12:00:00Z"
        ) from None
    if not now < end <= now + timedelta(days=MOST_DAYS):
        raise click.BadParameter(f"{text!r} is not in the next {MOST_DAYS} days")
    return end


def read_network(text: str) -> str:
    """Return a network, such as ``10.0.0.0/8``, or an address, as it is written most shortly.

    :raises click.BadParameter: it is none
    """
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no network such as 10.0.0.0/8 or 2001:db8::/32, nor an address"
        ) from None


def _read_time(text: str, now: datetime) -> datetime:
    """Return a time.

    :raises OverflowError: it is before the beginning of the calendar in UTC, or after its end
    :raises ValueError: it is none, or has no time zone
    """
    if text.isascii() and text.isdigit():
        # One more than is allowed is enough to tell that it is too many.
        return now + timedelta(days=int(text) if len(text) < 6 else MOST_DAYS + 1)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    # Python 3.10 does not know the Z.
    time = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    if time.utcoffset() is None:
        raise ValueError("it has no time zone")
    return time.astimezone(timezone.utc).replace(microsecond=0)
