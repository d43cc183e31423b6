"""Read what a ``before_request`` function has answered, without making a response of it where that can be helped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from werkzeug.wrappers import Response

from ..support.logs import get_logger

_log = get_logger(__name__)


def has_last_word(status: int) -> bool:
    """Return whether an answer of a hook is sent, whoever asks: a redirect, 429, or that it is closed for maintenance.

    What is below 300 may be the view's, out of a cache (CWE-524); and 304 says that it is the same as before.

    :param status: its status
    """
    return status >= 300 and status != 304


def read_status(answer: Any) -> int | None:
    """Return the status that Flask's ``make_response`` gives an answer; ``None`` where only that can tell.

    :param answer: what a hook has returned
    """
    if isinstance(answer, Response):
        return answer.status_code
    if isinstance(answer, tuple) and len(answer) in (2, 3):
        second = answer[1]
        if second is None or (len(answer) == 2 and isinstance(second, (Mapping, list, tuple))):
            return read_status(answer[0])
        if isinstance(second, int):
            return int(second)
        return None
    return 200 if isinstance(answer, (str, bytes, bytearray, dict, list, Iterator)) else None


def close_answer(answer: Any) -> None:
    """Close an answer that is not sent: a file, a stream. It never raises.

    :param answer: what a hook has returned
    """
    body = answer[0] if isinstance(answer, tuple) and answer else answer
    try:
        close = getattr(body, "close", None)
        if callable(close):
            close()
    except Exception:
        _log.exception("the answer of a hook, in whose place a refusal is sent, could not be closed")
