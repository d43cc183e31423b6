"""``flask ...`` as processes of their own, which are forked from one that has imported everything."""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import flask_securest

from .process import AT_THE_END

_COMMAND = Path(__file__).with_name("command")


@functools.cache
def _forking():
    """Return a socket to a process that forks commands. It ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-W", "error", str(_COMMAND)]
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    environ = {**os.environ, "PYTHONPATH": str(Path(flask_securest.__file__).parent.parent)}
    process = subprocess.Popen(command, env=environ, stdin=theirs)
    theirs.close()

    def end():
        ours.close()
        process.wait(20)

    AT_THE_END.callback(end)
    return ours


class Command:
    """A command that runs: what tests need of :class:`subprocess.Popen`.

    :param arguments: what comes after ``flask``
    :param cwd: the directory that it runs in
    :param env: its environment; of Python's own settings ``PYTHONIOENCODING`` and ``PYTHONUNBUFFERED`` count
    :param files: what it has as its standard input, output and error: each a number, a file, ``None`` for what goes
        nowhere, or "closed"
    :param start_new_session: as of :class:`subprocess.Popen`
    """

    def __init__(self, arguments, cwd, *, files=(None, None, None), env=None, start_new_session=False):
        closed = [number for number, file in enumerate(files) if file == "closed"]
        asked = {"argv": [*map(str, arguments)], "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        asked |= {"closed": closed, "session": start_new_session}
        self._told, answer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with Path(os.devnull).open("r+b", 0) as nowhere, answer:
            given = [nowhere if file in (None, "closed") else file for file in files]
            numbers = [file if isinstance(file, int) else file.fileno() for file in (*given, answer)]
            socket.send_fds(_forking(), [json.dumps(asked).encode()], numbers)
        self.returncode = None
        self.pid = self._hear(120)

    def _hear(self, seconds):
        """Return the next number that is told, or raise ``BlockingIOError`` or ``TimeoutError``."""
        self._told.settimeout(seconds)
        told = self._told.recv(100)
        assert told, "nobody waits for the command any more"
        return int(told)

    def wait(self, seconds=120):
        """Return how it has ended: its exit code, or the number of a signal, with a minus."""
        if self.returncode is None:
            self.returncode = self._hear(seconds)
            self._told.close()
        return self.returncode

    def poll(self):
        """Return how it has ended, or ``None``."""
        try:
            return self.wait(0)
        except BlockingIOError:
            return None

    def kill(self):
        """End it at once, unless it has ended, and return how it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def run(arguments, cwd, *, given=b"", stdout=None, **options):
    """Run a command until it has ended, and return its ``returncode``, ``stdout`` and ``stderr``, as bytes.

    :param given: what it reads
    :param stdout: a file or its number, or "closed"; otherwise what it writes is returned
    :param options: those of :class:`Command`
    """
    with tempfile.TemporaryFile() as read, tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as errors:
        read.write(given)
        read.seek(0)
        files = (read, written if stdout is None else stdout, errors)
        code = Command(arguments, cwd, files=files, **options).wait()
        written.seek(0)
        errors.seek(0)
        return SimpleNamespace(returncode=code, stdout=written.read(), stderr=errors.read())
