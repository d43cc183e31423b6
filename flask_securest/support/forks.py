"""Let what several threads share begin anew in a process that was forked: its parent's other threads are not there."""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod


class SharedByThreads(ABC):
    """Have locks, and threads that wait for each other.

    A child that is forked while another thread holds a lock, or asks somebody, would wait for it for ever: gunicorn
    with ``preload_app`` forks its workers so, and again whenever one ends.
    """

    def __init__(self) -> None:
        self.begin_anew()
        _ALIVE.add(self)

    @abstractmethod
    def begin_anew(self) -> None:
        """Make the locks, and forget whoever is waited for. Called when it is made, and in each forked child."""


_ALIVE: weakref.WeakSet[SharedByThreads] = weakref.WeakSet()


def _begin_all_anew() -> None:
    for each in list(_ALIVE):
        each.begin_anew()


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(after_in_child=_begin_all_anew)
