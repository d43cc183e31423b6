"""What an issuer has said of tokens is believed for a short time, and asked by one thread for all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, time
from typing import TypeVar

from ...errors import BackendError
from ...support.checks import require_number, require_whole
from ...support.forks import SharedByThreads
from .answer import Answer, Refusal

#: For how long what the issuer has said of a token may be believed, at most: so long a revoked one goes on working.
MAX_CACHE_SECONDS = 60

V = TypeVar("V")

# For how long a token that was good is one of a known caller, whatever becomes of the answer.
_KNOWN_SECONDS = 600

# So many answers are never meant.
_MOST_ENTRIES = 10_000_000


class _Flight:
    """Be asked about a token by one thread, while others wait.

    :param asked_at: when, by the clock that never goes back
    :param asked_on: the same by the clock that expiries are written in
    """

    def __init__(self, asked_at: float, asked_on: float) -> None:
        self.asked_at = asked_at
        self.asked_on = asked_on
        self.done = threading.Event()
        self.answer: Answer | Refusal | None = None
        self.problem = "nobody has answered"


class IntrospectionCache(SharedByThreads):
    """Believe answers for some time, and let one thread at a time ask about a token.

    :param seconds: for how long an answer about a token that is good is good itself
    :param refused_seconds: the same about one that is not
    :param most: how many of each are kept
    :param patience: for how long one thread waits for another, in seconds
    :raises ConfigurationError: a number that cannot be
    """

    def __init__(self, seconds: float, refused_seconds: float, most: int, *, patience: float) -> None:
        self._seconds = require_number(seconds, "cache_seconds", MAX_CACHE_SECONDS)
        self._refused_seconds = require_number(refused_seconds, "negative_cache_seconds", MAX_CACHE_SECONDS)
        self._most = require_whole(most, "cache_entries", 1, _MOST_ENTRIES)
        self._patience = patience
        # Apart: tokens that somebody makes up by the million must not drive out the good ones (CWE-770).
        self._good: dict[bytes, tuple[float, Answer | Refusal]] = {}
        self._refused: dict[bytes, tuple[float, Answer | Refusal]] = {}
        # Those that were good, and until when that counts: their callers are no strangers.
        self._known: dict[bytes, float] = {}
        super().__init__()

    def begin_anew(self) -> None:
        """Wait for nobody."""
        self._lock = threading.Lock()
        self._flights: dict[bytes, _Flight] = {}

    def get(self, key: bytes, ask: Callable[[bool], Answer | Refusal]) -> Answer | Refusal:
        """Return what is known of a token, or else ask.

        :param key: what stands for the token
        :param ask: asks the issuer; it is told whether the token was good before
        :raises BackendError: it cannot be told now
        """
        now = monotonic()
        with self._lock:
            kept = self._good.get(key) or self._refused.get(key)
            if kept is not None and now < kept[0]:
                return kept[1]
            flight = self._flights.get(key)
            # What was asked long ago may not be so any more. Then it is asked again.
            joined = flight is not None and now < flight.asked_at + min(self._seconds, self._patience)
            if flight is None or not joined:
                flight = self._flights[key] = _Flight(now, time())
        if not joined:
            return self._lead(key, flight, ask)
        if not flight.done.wait(self._patience):
            raise BackendError("the introspection endpoint does not answer in time")
        if flight.answer is None:
            raise BackendError(flight.problem)
        return flight.answer

    def _lead(self, key: bytes, flight: _Flight, ask: Callable[[bool], Answer | Refusal]) -> Answer | Refusal:
        try:
            flight.answer = ask(self._known.get(key, 0.0) > flight.asked_at)
        except BackendError as error:
            flight.problem = str(error)
            raise
        finally:
            with self._lock:
                # If it took so long that another thread has asked again, that one knows better.
                if self._flights.get(key) is flight:
                    del self._flights[key]
                    if flight.answer is not None:
                        self._keep(key, flight, flight.answer)
            flight.done.set()
        return flight.answer

    def _keep(self, key: bytes, flight: _Flight, answer: Answer | Refusal) -> None:
        self._good.pop(key, None)
        self._refused.pop(key, None)
        if isinstance(answer, Refusal):
            kept, seconds = self._refused, self._refused_seconds
        else:
            kept, seconds = self._good, self._seconds
            _bound(self._known, self._most, key, flight.asked_at + _KNOWN_SECONDS)
            if answer.ends_at is not None:
                seconds = min(seconds, answer.ends_at - flight.asked_on)
        # From when it was asked, not from when it was answered: the token may have been revoked in between.
        until = flight.asked_at + seconds
        if until > monotonic():
            _bound(kept, self._most, key, (until, answer))


def _bound(kept: dict[bytes, V], most: int, key: bytes, value: V) -> None:
    """Keep a value, as the newest of so many."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]  # the oldest
