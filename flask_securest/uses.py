"""Write down when keys and tokens were last used: sampled, and off the request's path."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Hashable, Mapping
from datetime import datetime, timezone
from typing import Any, Protocol

from .logs import get_logger

_log = get_logger(__name__)

#: How often the use of one of them is written down by one process, in seconds.
SECONDS_BETWEEN_WRITES = 60.0

#: How many are remembered as used just now. Beyond that everything is forgotten, and written once more.
_MOST_KEYS = 100_000

#: How long the end of the process waits for what is still to be written, in seconds.
_LONGEST_FAREWELL = 2.0


class RecordsUses(Protocol):
    """What a store must have to write uses down."""

    def record_uses(self, uses: Mapping[Any, datetime]) -> None:
        """Write down when each was last used."""


class UseRecorder:
    """Hand uses to a store, by a thread of its own, which starts with the first use.

    :param store: the store
    """

    def __init__(self, store: RecordsUses) -> None:
        self._store = store
        self._written: dict[Hashable, float] = {}
        self._pending: dict[Hashable, datetime] = {}
        self._something = threading.Event()
        self._nothing = threading.Event()
        self._nothing.set()
        self._starting = threading.Lock()
        self._process: int | None = None

    def record(self, use: Hashable) -> None:
        """Note that something has been used just now. It takes no longer than a look into a dict, most often.

        :param use: what
        """
        now = time.monotonic()
        if now - self._written.get(use, -SECONDS_BETWEEN_WRITES) < SECONDS_BETWEEN_WRITES:
            return
        if len(self._written) >= _MOST_KEYS:
            self._written.clear()
        self._written[use] = now
        self._pending[use] = datetime.now(timezone.utc).replace(microsecond=0)
        self._nothing.clear()
        self._something.set()
        if self._process != os.getpid():  # the first use, or the first one after a fork, which takes no threads along
            self._start()

    def flush(self, timeout: float = _LONGEST_FAREWELL) -> bool:
        """Wait until everything is written.

        :param timeout: how long to wait at most, in seconds
        :returns: whether it is
        """
        return self._nothing.wait(timeout)

    def _start(self) -> None:
        with self._starting:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            threading.Thread(target=self._write, name="flask_securest-uses", daemon=True).start()
            # By a weak reference: an application that is thrown away must not be kept for this.
            reference = weakref.ref(self)
            atexit.register(lambda: (recorder := reference()) is not None and recorder.flush())

    def _write(self) -> None:
        while True:
            self._something.wait()
            self._something.clear()
            pending, self._pending = self._pending, {}
            try:
                self._store.record_uses(pending)
            except Exception as error:
                # Of no consequence for who gets in: it is written with the next use.
                _log.warning(
                    "the last use of %d credentials could not be written: %s", len(pending), type(error).__name__
                )
            if not self._pending:
                self._nothing.set()
