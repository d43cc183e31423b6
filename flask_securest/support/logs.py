"""Write tracebacks to the log in which nothing from outside can begin a line of its own (CWE-117)."""

from __future__ import annotations

import logging
import sys
import traceback

_MAX_MESSAGE_CHARACTERS = 300


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module, which writes tracebacks with the messages of exceptions escaped.

    An exception that we did not foresee may quote the request: ``ValueError: no user 'x'`` with a line feed in the
    name would otherwise write a line that looks like one of ours.

    :param name: the module's ``__name__``
    """
    logger = logging.getLogger(name)
    logger.addFilter(_escape_traceback)
    return logger


def _escape_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        # Formatters use this text, where there is one, instead of formatting exc_info themselves.
        try:
            record.exc_text = format_traceback(error)
        except Exception:
            record.exc_text = f"{type(error).__qualname__} (a traceback that cannot be made)"
    return True


def format_traceback(error: BaseException, told: set[int] | None = None) -> str:
    """Return the traceback of ``error`` and of what led to it, with control characters escaped in the messages.

    :param error: the error
    :param told: the errors that are in the text already, by their ``id``: members of groups share what led to them
    """
    told = set() if told is None else told
    chain = [each for each in _chain_of(error) if id(each) not in told]
    told |= {id(each) for each in chain}
    return "\n\nwhich led to:\n\n".join(_format_one(each, told) for each in reversed(chain))


def forget_frames(error: BaseException) -> None:
    """Take the frames from ``error`` and from what led to it.

    They would keep whatever was being done, such as a request with its credentials, in memory until the next garbage
    collection; and what ``from None`` hides may quote it.

    What somebody else is handling while this is called, such as an ``errorhandler`` that asks a guarded view, is left
    alone: its traceback is still to be logged. So call it after the ``except`` block, and not in it.

    :param error: an error whose traceback nobody reads
    """
    handled = sys.exc_info()[1]
    for each in _chain_of(error):
        if each is handled:
            break
        traceback.clear_frames(each.__traceback__)
        each.__traceback__ = None
        if each.__suppress_context__:
            each.__context__ = None


def message_of(error: BaseException) -> str:
    """Return the message of ``error``, whatever happens; it may hold anything.

    :param error: the error
    """
    try:
        return str(error)
    except Exception:
        return "(an exception whose message cannot be made)"


def _chain_of(error: BaseException) -> list[BaseException]:
    """Return ``error`` and what led to it, the latest first."""
    found: dict[int, BaseException] = {}
    current: BaseException | None = error
    while current is not None and id(current) not in found:
        found[id(current)] = current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return list(found.values())


def _format_one(error: BaseException, told: set[int]) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    lines = [f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}: {_escape(message_of(error))}"]
    lines += [f"note: {_escape(str(note))}" for note in getattr(error, "__notes__", ())]
    # The members of an ExceptionGroup, which Python knows from 3.11 on.
    members = getattr(error, "exceptions", ())
    new = (member for member in members if isinstance(member, BaseException) and id(member) not in told)
    lines += [f"of these:\n{format_traceback(member, told)}" for member in new]
    return "\n".join(lines)


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def printable(text: str) -> str:
    """Return ``text`` as it may stand in a log: nothing in it begins a line of its own (CWE-117), or has no end.

    :param text: it may quote a file
    """
    cut = text if len(text) <= _MAX_MESSAGE_CHARACTERS else f"{text[:_MAX_MESSAGE_CHARACTERS]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
