"""A file whose changes are noticed while it is used: without restart, without threads, and never by halves.

It is looked at once a second at most, by whoever asks for its content then. What is broken, or gone, is reported once,
and the last good content stays in force.

Replace a file by writing another one beside it and renaming that (``mv``, ``os.replace``): then every content that is
seen is whole. One that is written in place can be seen before all of it is there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from ...errors import ConfigurationError
from ...signals import send, userstore_file_rejected
from ...support.logs import get_logger, printable

_log = get_logger(__name__)

#: How often a file is looked at, at most, in seconds.
SECONDS_BETWEEN_LOOKS = 1.0

#: The size of the largest file that is read, in bytes.
MAX_FILE_BYTES = 16 * 1024 * 1024

#: A file system's clock ticks: a second change within a tick leaves the time of the first one. So what was read that
#: soon after a change is read again, in nanoseconds; FAT has the coarsest clock.
_COARSEST_TICK_NS = 2_000_000_000

#: How often a file that changes while it is read is tried anew at the start, and tolerated silently later.
_MOST_TRIES = 5


_Content = TypeVar("_Content")


class RejectedFileError(Exception):
    """Say why a file cannot be used.

    :param reason: why, for the log; it must not quote what may be a secret
    :param line: where, from 1; ``None`` where the error is not at one place
    :param column: the same
    """

    def __init__(self, reason: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(reason)
        self.reason = printable(reason)
        self.line = line
        self.column = column


class _Rejection(NamedTuple):
    """Hold why a version of a file cannot be used. Nothing in it refers to what the file holds, as errors may."""

    reason: str
    line: int | None = None
    column: int | None = None
    digest: bytes = b""

    def __str__(self) -> str:
        return self.reason if self.line is None else f"line {self.line}, column {self.column}: {self.reason}"


_RESTLESS = _Rejection("it is being written to all the time")


class _UnsteadyFileError(Exception):
    """Say that the file was written to while it was read."""


class WatchedFile(Generic[_Content]):
    """Hold what a file says, and notice when it says something else.

    :param path: the file
    :param parse: what makes the content from the bytes; it raises :class:`RejectedFileError` where it cannot
    :param sender: who sends the signal ``userstore_file_rejected``
    :raises ConfigurationError: the file cannot be used, or every local user can write it
    """

    def __init__(self, path: str | os.PathLike[str], parse: Callable[[bytes], _Content], *, sender: object) -> None:
        self.path = require_path(path)
        self._parse = parse
        self._sender = sender
        self._looking = threading.Lock()
        self._process = os.getpid()
        self._looked_at = time.monotonic()
        self._seen: tuple[int, ...] | None = None
        self._digest = b""
        self._rejected: _Rejection | None = None
        self._unsteady = 0
        self._reported: _Rejection | None = None
        for _ in range(_MOST_TRIES):
            outcome = self._load()
            if outcome is not None:
                break
        else:
            outcome = _RESTLESS
        if isinstance(outcome, _Rejection):
            raise ConfigurationError(f"{printable(self.path)}: {outcome}")
        # Whoever reads this sees the former content or the new one, whole: it is one assignment.
        self._content: _Content = outcome[0]

    def read(self) -> _Content:
        """Return what the file says, as of a second ago at most. It never raises, and waits for nobody else."""
        if self._is_due():
            if self._process != os.getpid():
                # A fork may have copied the lock while another thread held it: it would be locked for good.
                self._looking, self._process = threading.Lock(), os.getpid()
            # One of several threads looks; the others go on with what there is.
            looking = self._looking
            if looking.acquire(blocking=False):
                try:
                    if self._is_due():  # and no other thread has just done it
                        self._looked_at = time.monotonic()
                        self._look()
                finally:
                    looking.release()
        return self._content

    def _is_due(self) -> bool:
        return not 0 <= time.monotonic() - self._looked_at < SECONDS_BETWEEN_LOOKS

    def _look(self) -> None:
        try:
            seen = _signature_of(os.stat(self.path))  # noqa: PTH116  # a Path would be made anew each second
        except (OSError, ValueError) as error:
            self._reject(_Rejection(_words_of(error)))
            return
        if seen == self._seen:
            return
        outcome = self._load()
        self._unsteady = 0 if outcome is not None else self._unsteady + 1
        if self._unsteady >= _MOST_TRIES:
            outcome = _RESTLESS
        if isinstance(outcome, _Rejection):
            self._reject(outcome)
        elif outcome is not None:
            self._reported = None
            if outcome:
                self._content = outcome[0]

    def _load(self) -> tuple[_Content, ...] | _Rejection | None:
        """Return the content, nothing if it is what it was, why it cannot be used, or ``None`` to try again."""
        self._seen = None
        try:
            data, seen = _read(self.path)
        except _UnsteadyFileError:
            return None
        except RejectedFileError as error:
            return _Rejection(error.reason)
        except (OSError, ValueError) as error:
            return _Rejection(_words_of(error))
        outcome: tuple[_Content, ...] | _Rejection = ()
        digest = hashlib.sha256(data).digest()
        if digest == self._digest:
            outcome = self._rejected or ()
        else:
            try:
                outcome = (self._parse(data),)
            except RejectedFileError as error:
                outcome = _Rejection(error.reason, error.line, error.column, digest)
            except Exception as error:
                # Whatever a file makes a parser do, it is no request's fault. Only the class: the message may quote
                # the file, and so may the traceback.
                outcome = _Rejection(_words_of(error), digest=digest)
        self._rejected = outcome if isinstance(outcome, _Rejection) else None
        self._digest, self._seen = digest, seen
        return outcome

    def _reject(self, rejection: _Rejection) -> None:
        """Report a version that cannot be used, once."""
        if not rejection.digest:
            self._seen = None  # what is wrong is not what it says, so it is read again whatever it says
        if rejection == self._reported:
            return
        self._reported = rejection
        _log.error("%s cannot be used, and what it held before stays in force: %s", printable(self.path), rejection)
        said = {"reason": rejection.reason, "line": rejection.line, "column": rejection.column}
        send(userstore_file_rejected, self._sender, path=self.path, **said)


def require_path(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a file.

    :param path: the argument
    :raises ConfigurationError: it is none
    """
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise ConfigurationError(f"path must be a string or a Path, not empty; it is of type {type(path).__name__}")
    # Absolute, so that a process which changes its directory later goes on reading the same file.
    return os.path.abspath(path)  # noqa: PTH100  # Path.resolve would follow a symbolic link once and for all


def _read(path: str) -> tuple[bytes, tuple[int, ...]]:
    """Return what is in a file, all of the same moment, and the signature of that version.

    :raises OSError: it cannot be read
    :raises RejectedFileError: it is none that is ever read
    :raises _UnsteadyFileError: it was written to meanwhile
    """
    read_at = time.time_ns()
    with open(path, "rb", buffering=0, opener=_open) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise RejectedFileError("it is no regular file")
        if os.name == "posix" and before.st_mode & stat.S_IWOTH:
            # Whoever can write it can be anybody: with a line for itself, or another hash for the administrator.
            raise RejectedFileError("every local user can write it: chmod o-w")
        if before.st_size > MAX_FILE_BYTES:
            raise RejectedFileError(f"it is larger than {MAX_FILE_BYTES} bytes")
        data = bytearray()
        while len(data) <= before.st_size and (part := file.read(before.st_size + 1 - len(data))):
            data += part
        after = os.fstat(file.fileno())
    # The time of the last status change is not compared: it changes when the file is replaced by a rename, too.
    if len(data) != before.st_size or _signature_of(before)[:4] != _signature_of(after)[:4]:
        raise _UnsteadyFileError
    seen = _signature_of(before)
    if abs(read_at - before.st_mtime_ns) < _COARSEST_TICK_NS:
        seen = ()  # like no other: it is read again next time
    return bytes(data), seen


def _open(path: str, flags: int) -> int:
    # A pipe in place of the file would wait for a writer for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _signature_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what tells two versions of a file apart, most often."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev, status.st_ctime_ns


def _words_of(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return f"it cannot be read: {words or type(error).__name__}"
