"""What commands say of API keys, and how those that have just been made are handed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from ..keystores.format import key_pattern
from ..keystores.models import ApiKey, IssuedKey
from .commands import Refused
from .output import OutputError, flush_output, note, write, write_fields, write_json, write_json_list

#: So many ids are told of keys that could not be printed.
_MOST_IDS = 20


def describe_key(key: ApiKey, now: datetime) -> dict[str, Any]:
    """Return what may be shown of a key: all but the digests. The names are those of ``--json``.

    :param key: the key
    :param now: the time, by which it may have expired
    """
    return {
        "id": key.id,
        "status": _status_of(key, now),
        "owner": key.owner,
        "owner_origin": key.owner_origin,
        "app_name": key.app_name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "networks": list(key.networks),
        "note": key.note,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "rotated_at": key.rotated_at,
        "sunset_at": key.sunset_at,
        "former_last_used_at": key.former_last_used_at,
    }


def in_words(described: dict[str, Any]) -> dict[str, Any]:
    """Return what may be shown of a key, with words where nothing does not mean nothing.

    :param described: from :func:`describe_key`
    """
    scopes = described["scopes"]
    return {
        **described,
        "scopes": "(not limited)" if scopes is None else scopes or "(none)",
        "networks": described["networks"] or "(everywhere)",
        "expires_at": described["expires_at"] or "(never)",
    }


def uses_former_secret(key: ApiKey, now: datetime) -> bool:
    """Return whether a key's former secret was used after it was replaced, and goes on working.

    :param key: the key
    :param now: the time, by which the sunset may be over
    """
    return (
        _status_of(key, now) == "active"
        and key.rotated_at is not None
        and key.sunset_at is not None
        and key.sunset_at > now
        and key.former_last_used_at is not None
        # An earlier rotation's former secret was another one, and ended with this rotation.
        and key.former_last_used_at >= key.rotated_at
    )


def hand_over(issued: IssuedKey, *, as_json: bool) -> None:
    """Print a key, which is alone on standard output; what else there is to say goes to standard error.

    :param issued: the key
    :param as_json: whether to print JSON instead
    :raises Refused: it could not be printed
    """
    described = describe_key(issued.key, datetime.now(timezone.utc))
    if not as_json:
        write_fields({name: value for name, value in in_words(described).items() if value}, err=True)
        note("The key is shown this once.")
    note(f"Secret scanners find keys by: {_pattern_of(issued)}")
    with _printing([issued]):
        if as_json:
            write_json({"key": issued.text, **described})
        else:
            write(issued.text)


def hand_over_many(issued: Sequence[IssuedKey], *, as_json: bool) -> None:
    """Print keys, one a line; what else there is to say goes to standard error.

    :param issued: the keys, of which there is at least one
    :param as_json: whether to print a JSON array instead
    :raises Refused: they could not be printed
    """
    now = datetime.now(timezone.utc)
    note(f"{len(issued)} keys issued, which are shown this once.")
    note(f"Secret scanners find keys by: {_pattern_of(issued[0])}")
    with _printing(issued):
        if as_json:
            write_json_list({"key": each.text, **describe_key(each.key, now)} for each in issued)
        else:
            for each in issued:
                write(each.text)


@contextmanager
def _printing(issued: Sequence[IssuedKey]) -> Iterator[None]:
    """Tell, where the keys cannot be printed, that there are keys now which nobody has seen."""
    try:
        yield
        flush_output()
    except OutputError as error:
        failure = str(error)
    else:
        return
    ids = ", ".join(each.key.id for each in issued[:_MOST_IDS]) + (", ..." if len(issued) > _MOST_IDS else "")
    raise Refused(
        f"the keys are in the store, and could not be printed ({failure}): revoke them, or rotate them: {ids}"
    )


def _pattern_of(issued: IssuedKey) -> str:
    return key_pattern(issued.text.partition("_")[0])


def _status_of(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"
