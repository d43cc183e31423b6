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

#: For how long uses are collected before they are written together, in seconds.
_COLLECTING = 0.5

#: How many are remembered as used just now. Beyond that everything is forgotten, and written once more.
_MOST_KEYS = 100_000

#: How long the end of the process waits for what is still to be written, in seconds.
_LONGEST_FAREWELL = 2.0


class RecordsUses(Protocol):
    """What a store must have to write uses down."""

    def record_uses(self, uses: Mapping[Any, datetime]) -> None:
        """Write down when each was last used."""


class UseRecorder:
    """Hand uses to a store, by a thread that lives only while there are some to write.

    :param store: the store
    """

    def __init__(self, store: RecordsUses) -> None:
        self._store = store
        self._written: dict[Hashable, float] = {}
        self._pending: dict[Hashable, datetime] = {}
        self._writes = False
        self._renew()
        _recorders.add(self)

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
        with self._changing:
            self._pending[use] = datetime.now(timezone.utc).replace(microsecond=0)
            if self._writes:
                return
            self._writes = True
            self._idle.clear()
        threading.Thread(target=self._write, name="flask_securest-uses", daemon=True).start()

    def flush(self, timeout: float = _LONGEST_FAREWELL) -> bool:
        """Wait until everything is written.

        :param timeout: how long to wait at most, in seconds
        :returns: whether it is
        """
        self._hurry.set()
        return self._idle.wait(timeout)

    def _write(self) -> None:
        while True:
            self._hurry.wait(_COLLECTING)
            with self._changing:
                pending, self._pending = self._pending, {}
                if not pending:
                    self._writes = False
                    self._hurry.clear()
                    self._idle.set()
                    return
            try:
                self._store.record_uses(pending)
            except Exception as error:
                # Of no consequence for who gets in: it is written with the next use.
                _log.warning(
                    "the last use of %d credentials could not be written: %s", len(pending), type(error).__name__
                )

    def _renew(self) -> None:
        """Begin without a thread, and with locks that nobody holds."""
        self._changing = threading.Lock()
        self._hurry = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._writes = False


#: Weakly, for an application that is thrown away must not be kept by what once noted its uses.
_recorders: weakref.WeakSet[UseRecorder] = weakref.WeakSet()


def _renew_all() -> None:
    # A fork takes no threads along, but locks as they are: one that another thread held would never be released.
    for recorder in list(_recorders):
        recorder._renew()


def _flush_all() -> None:
    deadline = time.monotonic() + _LONGEST_FAREWELL
    for recorder in list(_recorders):
        recorder.flush(max(0.0, deadline - time.monotonic()))


os.register_at_fork(after_in_child=_renew_all)
atexit.register(_flush_all)
