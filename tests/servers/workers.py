"""Workers of an application as processes of their own, of this release or of the one before."""

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import flask_securest

from .process import AT_THE_END, find_program, free_port, skip, wait_for_port

_WORKER = Path(__file__).with_name("worker")
_THIS = Path(flask_securest.__file__).parent.parent

#: The last commit in which an account was a name alone: what "the release before" means here.
_COMMIT_BEFORE = "7a88072c06fcdfe9dd233c517181ba20bff403a5"


def unpack_release_before(directory):
    """Write the package of the release before into a directory; without its history skip the test."""
    root = Path(__file__).parent.parent.parent
    git = find_program("git", "git")
    command = [git, "-C", str(root), "archive", "--format=tar", _COMMIT_BEFORE, "flask_securest"]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        told = f"the history of the project is not here: {packed.stderr.decode()[:200]}"
        # Continuous integration has it, but where it tests the wheel away from the source tree.
        skip(told, allowed=not (root / ".git").exists())
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return directory


@functools.cache
def _forking(release):
    """Return a process that forks workers of a release. It ends with this one."""
    command = [sys.executable, str(_WORKER)]
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(release)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def end():
        process.stdin.close()
        process.wait(20)
        process.stdout.close()

    AT_THE_END.callback(end)
    return process


class _Worker:
    """A process that another one has forked: whether it runs, as :class:`subprocess.Popen` tells it."""

    args = ("worker",)
    returncode = "an error, which its log has"

    def __init__(self, pid):
        self._pid = pid

    def poll(self):
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return self.returncode
        return None

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)


@contextlib.contextmanager
def worker(said, log, release=None):
    """Run a worker until the end of the block, and yield its URL.

    :param said: which applications it has: see ``worker/__main__.py``
    :param log: a file for what it says
    :param release: where the package is; without it, this release's
    """
    port = free_port()
    forking = _forking(release or _THIS)
    forking.stdin.write(json.dumps({"port": port, "log": str(log), "said": said}) + "\n")
    forking.stdin.flush()
    made = _Worker(int(forking.stdout.readline()))
    try:
        wait_for_port(port, made)
        yield f"http://127.0.0.1:{port}"
    finally:
        made.end()
