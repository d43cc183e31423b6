"""Ask for a password: without echo on a terminal, or one line of standard input; never an argument, which ps shows."""

from __future__ import annotations

import getpass
import sys
import unicodedata
import warnings

import click

from ..passwords import MAX_PASSWORD_BYTES


def read_password(prompt: str) -> str:
    """Return a new password.

    :param prompt: what to ask for; whoever types it types it twice
    :raises click.UsageError: it is none, see :func:`check_password`
    """
    password = _ask(prompt) if sys.stdin is not None and sys.stdin.isatty() else _read_line()
    problem = check_password(password)
    if problem is not None:
        raise click.UsageError(f"The password {problem}.")
    return password


def check_password(password: str) -> str | None:
    """Return why nobody could ever log in with a password, in words that do not quote it; ``None`` if one could.

    :param password: the password
    """
    if not password:
        return "is empty"
    if any(unicodedata.category(c) == "Cs" for c in password):
        return "is not UTF-8"
    # RFC 7617, section 2: HTTP Basic cannot carry these.
    if any(unicodedata.category(c) == "Cc" for c in password):
        return "has control characters"
    if len(unicodedata.normalize("NFC", password).encode()) > MAX_PASSWORD_BYTES:
        return f"is longer than {MAX_PASSWORD_BYTES} bytes"
    return None


def _ask(prompt: str) -> str:
    with warnings.catch_warnings():
        # Where echo cannot be switched off, getpass would warn, and show what is typed.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
        except getpass.GetPassWarning:
            pass
    raise click.UsageError("This terminal cannot hide what is typed: give the password on standard input.")


def _read_line() -> str:
    # Not all of it: it may have no end. What is longer than this is too long, with or without the end of the line; and
    # Unicode's normal form, in which passwords are measured, is never shorter than a third.
    line: bytes = sys.stdin.buffer.readline(3 * MAX_PASSWORD_BYTES + 3) if sys.stdin is not None else b""
    for end in (b"\r\n", b"\n"):
        if line.endswith(end):
            line = line[: -len(end)]
            break
    # What is not UTF-8 becomes surrogates, and is refused for them.
    return line.decode("utf-8", "surrogateescape")
