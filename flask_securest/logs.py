"""Write tracebacks to the log in which nothing from outside can begin a line of its own (CWE-117)."""

from __future__ import annotations

import logging
import traceback


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module, which writes tracebacks with the messages of exceptions escaped.

    An exception that we did not foresee may quote the request: ``ValueError: no user 'x'`` with a line feed in the
    name would otherwise write a line that looks like one of ours.

    :param name: ``__name__``
    """
    logger = logging.getLogger(name)
    logger.addFilter(_escape_traceback)
    return logger


def _escape_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        # Formatters use this text, where there is one, instead of formatting exc_info themselves.
        record.exc_text = format_traceback(error)
    return True


def format_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` and of what led to it, with control characters escaped in the messages."""
    texts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = "".join(traceback.format_tb(current.__traceback__))
        texts.append(
            f"Traceback (most recent call last):\n{frames}{type(current).__qualname__}: {_escape(message_of(current))}"
        )
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n\nwhich led to:\n\n".join(reversed(texts))


def message_of(error: BaseException) -> str:
    """Return the message of ``error``, whatever happens; it may hold anything."""
    try:
        return str(error)
    except Exception:
        return "(an exception whose message cannot be made)"


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
