"""Ask the introspection endpoint of an issuer about a token (RFC 7662, section 2.1), a few at a time."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from time import monotonic
from urllib.parse import urlencode

from ...errors import BackendError
from ...support.checks import require_whole
from ...support.forks import SharedByThreads
from ..http.fetch import FetchOptions, fetch
from ..http.urls import require_url
from .client import IntrospectionClient

# So long an answer is never meant.
_MOST_BYTES = 16_777_216

# How many requests the issuer gets at once, whatever is sent to us: everybody can make tokens up (CWE-406); and how
# many of these may be about tokens of strangers. The others are for callers that were known before: a flood of made-up
# tokens must not keep them out (CWE-770).
_MOST_AT_ONCE, _MOST_OF_STRANGERS = 8, 6


class IntrospectionEndpoint(SharedByThreads):
    """Ask an endpoint. No ``repr`` shows what it is asked with.

    :param url: where it is
    :param client: how this API says who it is
    :param options: how it is asked. ``timeout`` is for the answer, and a caller waits half as long for its turn
    :param max_bytes: how long an answer may be
    :raises ConfigurationError: it cannot be asked like this
    """

    def __init__(self, url: str, client: IntrospectionClient, options: FetchOptions, max_bytes: int) -> None:
        options.check()
        self._url = require_url(url, "url", allow_http=options.allow_http)
        self._client = client
        self._options = options
        self._max_bytes = require_whole(max_bytes, "max_answer_bytes", 1, _MOST_BYTES)
        super().__init__()

    def begin_anew(self) -> None:
        """Let everybody ask."""
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._strangers = threading.BoundedSemaphore(_MOST_OF_STRANGERS)
        self._trials = threading.BoundedSemaphore(1)
        self._hangs = False

    def ask(self, token: bytes, *, known: bool = False) -> bytes:
        """Return what is said of ``token``.

        :param token: the token
        :param known: whether it was good before
        :raises BackendError: nothing, in time; or the endpoint is asked too much already
        """
        with ExitStack() as turns:
            # An issuer that hangs must not hang us: while it does, one request at a time tries whether it answers
            # again, and all others are over at once.
            if self._hangs:
                _take_turn(turns, self._trials, 0)
            else:
                until = monotonic() + self._options.timeout / 2
                for slots in (self._slots,) if known else (self._strangers, self._slots):
                    _take_turn(turns, slots, max(0.0, until - monotonic()))
            authorization, secret = self._client.sign(self._url)
            asked = monotonic()
            try:
                return fetch(
                    self._url,
                    self._options,
                    max_bytes=self._max_bytes,
                    data=urlencode({"token": token, "token_type_hint": "access_token", **secret}).encode("ascii"),
                    headers={
                        **authorization,
                        "Content-Type": "application/x-www-form-urlencoded",
                        "Accept": "application/json",
                    },
                ).body
            finally:
                # By the time alone: an error that somebody can cause with a token must not lock everybody out.
                self._hangs = monotonic() - asked >= 0.9 * self._options.timeout


def _take_turn(turns: ExitStack, slots: threading.BoundedSemaphore, seconds: float) -> None:
    if not slots.acquire(timeout=seconds):
        raise BackendError("the introspection endpoint does not answer in time, or not as many questions as there are")
    turns.callback(slots.release)
