"""Keys of an issuer that are loaded when they are needed, kept, and loaded anew in good time.

Where there are keys, nobody waits for newer ones but the one caller that loads them; and an issuer that is down, slow
or talks nonsense stops nobody whose key is known already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from ...errors import BackendError
from ...support.forks import SharedByThreads
from ...support.logs import get_logger, message_of
from .keys import Key, KeySet, KeySource

_log = get_logger(__name__)

# Keys are loaded anew after this part of the time for which they are good: before they are missed.
_EARLY = 0.8

# How soon the issuer is asked again for a key that it did not have: anybody can make up names of keys (CWE-400).
_UNKNOWN_SECONDS = 30

# For how long it is known that the issuer has not one key, and of how many keys that is remembered.
_MISSING_SECONDS, _MOST_MISSING = 60, 1000

# How long an issuer that did not answer is left alone; twice as long after each further failure.
_FIRST_RETRY_SECONDS, _MOST_RETRY_SECONDS = 1, 30


class _Loaded(NamedTuple):
    """Hold keys, and the times (``monotonic``) that count."""

    keys: KeySet
    asked_at: float
    landed_at: float
    refresh_at: float
    usable_until: float


class _Flight:
    """Be one loading, for which others may wait."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.landed = threading.Event()


class RemoteKeys(SharedByThreads, KeySource):
    """Know the keys of an issuer. They are loaded at the first question.

    :param load: returns the keys, and for how many seconds they are good; or raises ``BackendError``
    :param timeout: how long that takes at most, in seconds
    :param stale_seconds: for how long keys are used that were good once, and cannot be loaded anew
    """

    def __init__(self, load: Callable[[], tuple[KeySet, float]], *, timeout: float, stale_seconds: float) -> None:
        self._load = load
        self._timeout = timeout
        self._stale_seconds = stale_seconds
        self._loaded: _Loaded | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._unknown_at = 0.0
        self._missing: dict[tuple[str | None, str], float] = {}
        super().__init__()

    def begin_anew(self) -> None:
        """Wait for nobody. The keys that there are stay."""
        # Guards what changes. It is never held while the issuer is asked.
        self._lock = threading.Lock()
        self._flight: _Flight | None = None

    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """Return the key, for which the issuer is asked if need be."""
        now = monotonic()
        loaded = self._get_usable(now)
        key = None if loaded is None else loaded.keys.find(key_id, algorithm)
        if loaded is None:
            self._refresh(now, wait=True)
        elif key is None:
            if self._is_worth_asking((key_id, algorithm), now):
                self._refresh(now, wait=True)
        elif now < loaded.refresh_at:
            return key
        else:
            # One caller loads. All others go on at once with the keys that there are.
            self._refresh(now, wait=False)
        loaded = self._get_usable(monotonic())
        if loaded is None:
            raise self._make_error("the keys of the issuer cannot be fetched")
        key = loaded.keys.find(key_id, algorithm)
        if key is None and self._failures:
            # The issuer may have it by now. A 401 would make a client throw away a token that is good.
            raise self._make_error("a key that is not known, and the issuer does not answer")
        if key is None and loaded.asked_at >= now:
            self._remember_missing((key_id, algorithm), now)
        return key

    def _get_usable(self, now: float) -> _Loaded | None:
        loaded = self._loaded
        return loaded if loaded is not None and now < loaded.usable_until else None

    def _make_error(self, message: str) -> BackendError:
        return BackendError(message, retry_after=max(1.0, self._retry_at - monotonic()))

    def _is_worth_asking(self, name: tuple[str | None, str], now: float) -> bool:
        """Return whether the issuer may have a key by now that it did not have before; or is just being asked."""
        with self._lock:
            if self._flight is not None or self._failures:
                return True
            if now < self._unknown_at or now < self._missing.get(name, 0.0):
                return False
            self._unknown_at = now + _UNKNOWN_SECONDS
            return True

    def _remember_missing(self, name: tuple[str | None, str], now: float) -> None:
        with self._lock:
            self._missing.pop(name, None)
            while len(self._missing) >= _MOST_MISSING:
                del self._missing[next(iter(self._missing))]  # the oldest
            self._missing[name] = now + _MISSING_SECONDS

    def _refresh(self, now: float, *, wait: bool) -> None:
        """Load the keys, unless another caller does, or has just tried in vain.

        :param wait: whether to wait for that other caller
        """
        with self._lock:
            others = self._flight
            # One that should have landed long ago may never land.
            if others is not None and now >= others.until:
                others = None
            if others is None:
                # Whoever has asked before another one's loading has landed need not ask again.
                if now < self._retry_at or (self._loaded is not None and now <= self._loaded.landed_at):
                    return
                flight = self._flight = _Flight(now + self._timeout + 1)
        if others is None:
            self._fly(flight, now)
        elif wait:
            others.landed.wait(max(0.0, others.until - monotonic()))

    def _fly(self, flight: _Flight, now: float) -> None:
        problem: str | None = "it was interrupted"
        try:
            keys, fresh_seconds = self._load()
            until = now + fresh_seconds + self._stale_seconds
            self._loaded = _Loaded(keys, now, monotonic(), now + fresh_seconds * _EARLY, until)
            problem = None
        except BackendError as error:
            problem = message_of(error)
        finally:
            with self._lock:
                self._failures = 0 if problem is None else self._failures + 1
                seconds = min(_MOST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(self._failures - 1, 10))
                self._retry_at = 0.0 if problem is None else monotonic() + seconds
                if self._flight is flight:
                    self._flight = None
            flight.landed.set()
        if problem is not None:
            going_on = self._get_usable(monotonic()) is not None
            told = "those that are known are used" if going_on else "there are none"
            _log.warning("the keys of an issuer cannot be fetched, and %s: %s", told, problem)
