"""Show things on a terminal, or as JSON. Standard output carries what was asked for, standard error all the rest."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TextIO, TypeVar

import click

_Item = TypeVar("_Item")

#: So many rows are looked at to find out how wide the columns of a table are; a list may be longer than memory.
_ROWS_MEASURED = 1000

#: The longest text in a table; "show" and --json have all of it.
_WIDEST = 60

_GAP = "  "


class OutputError(Exception):
    """Say why standard output cannot be written."""


def escape(text: str) -> str:
    r"""Return ``text`` as a terminal may get it, with everything that is not printable escaped.

    A user name or a note may hold what commands a terminal, such as ``ESC ]`` or a backspace, or what turns the
    direction of writing: a list could then show something else than there is, or worse (CWE-150).

    :param text: any text

    >>> print(escape("bob\x1b[2K\u202e"))
    bob\x1b[2K\u202e
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def write(text: str, *, err: bool = False) -> None:
    """Write a line, after escaping what the terminal cannot show.

    :param text: the line; it may hold anything
    :param err: whether it goes to standard error
    """
    # A terminal that is not UTF-8 cannot be sent every letter.
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    _print(escape(text).encode(encoding, "backslashreplace").decode(encoding) + "\n", err=err)


def note(text: str) -> None:
    """Tell the person something that is no part of what was asked for.

    :param text: a line
    """
    write(text, err=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, none: str) -> None:
    """Write a table, row by row: the whole of it may be longer than memory.

    :param columns: the titles
    :param rows: the rows, with a value for each column
    :param none: what to tell, on standard error, where there are no rows
    """
    texts = ([_clip(describe(value)) for value in row] for row in rows)
    first = list(itertools.islice(texts, _ROWS_MEASURED))
    if not first:
        note(none)
        return
    widths = [max(map(_width, cells)) for cells in zip(columns, *first, strict=True)]
    for row in itertools.chain([columns, ["-" * width for width in widths]], first, texts):
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        write(_GAP.join(cells).rstrip())


def write_fields(fields: Mapping[str, Any], *, err: bool = False) -> None:
    """Write names and values, one a line.

    :param fields: the values by their names
    :param err: whether they go to standard error
    """
    width = max(map(len, fields))
    for name, value in fields.items():
        write(f"{name.replace('_', ' '):{width}}{_GAP}{escape(describe(value))}", err=err)


def write_json(value: Any) -> None:
    """Write JSON, in ASCII: every parser reads it, and no terminal is commanded by it.

    :param value: what to write; times become ISO 8601 in UTC
    """
    _print(_to_json(value, indent=2) + "\n")


def write_json_list(values: Iterable[Any]) -> None:
    """Write a JSON array, one element a line, as they come: the whole of it may be longer than memory.

    :param values: the elements
    """
    separator = "["
    for value in values:
        _print(f"{separator}\n  {_to_json(value)}")
        separator = ","
    _print("[]\n" if separator == "[" else "\n]\n")


def write_help(text: str, *, err: bool = False) -> None:
    """Write a text of several lines that is our own.

    :param text: the text
    :param err: whether it goes to standard error
    """
    _print(text + "\n", err=err)


def flush_output() -> None:
    """Send what is still to be written to standard output.

    :raises OutputError: it cannot be written
    """
    if sys.stdout is not None:
        _deliver("", sys.stdout)


def _print(text: str, *, err: bool = False) -> None:
    """Write to standard output or standard error: everything that the commands print goes through here.

    :raises OutputError: standard output cannot be written. Of standard error nobody could be told.
    """
    if err:
        with contextlib.suppress(OutputError):
            _deliver(text, sys.stderr)
    else:
        _deliver(text, sys.stdout)


def _deliver(text: str, stream: TextIO | None) -> None:
    if stream is None:  # ">&-"; click would print nothing, or take standard output for standard error
        raise OutputError("it is closed")
    try:
        click.echo(text, file=stream, nl=False)
        stream.flush()
    except OSError as error:
        # Python would try to write the rest once more when it ends, and end with 120: it goes nowhere.
        with contextlib.suppress(OSError):
            number = stream.fileno()  # a stream of a test has none
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
        raise OutputError(os.strerror(error.errno) if error.errno else type(error).__name__) from None


def describe(value: Any) -> str:
    """Return a value for people. It may hold anything, and has to be escaped.

    :param value: text, a time, a boolean, names, or ``None``
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def format_time(time: datetime) -> str:
    """Return a time as ISO 8601 in UTC, such as ``2027-01-31T12:00:00Z``.

    :param time: the time, aware
    """
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def with_progress(items: Iterable[_Item], *, length: int, label: str) -> Iterator[_Item]:
    """Yield ``items``, and show on standard error how far it is, if that is a terminal.

    :param items: what takes its time
    :param length: how many there are
    :param label: what is done with them
    """
    if not _is_terminal(sys.stderr):
        yield from items
        return
    with click.progressbar(items, length=length, label=label, file=sys.stderr, show_pos=True) as bar:
        # Not at each of a million: drawing would take longer than the work.
        bar.update_min_steps = max(1, length // 200)
        yield from bar


def _is_terminal(stream: TextIO) -> bool:
    return stream is not None and stream.isatty()


def _clip(text: str) -> str:
    text = escape(text[: _WIDEST + 1])
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _width(text: str) -> int:
    """Return how many columns a text takes on a terminal: Chinese and the like take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def _to_json(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False, default=_time_to_json)


def _time_to_json(value: object) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    raise TypeError(f"{type(value).__name__} is no part of the output")
