"""Workers of an application as processes of their own, of this release or of the one before."""

import io
import json
import os
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path

import flask_securest

from .process import find_program, free_port, running, skip

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


@contextmanager
def worker(said, log, release=None):
    """Run a worker until the end of the block, and yield its URL.

    :param said: which applications it has: see ``worker/__main__.py``
    :param log: a file for what it says
    :param release: where the package is; without it, this release's
    """
    port = free_port()
    environ = {**os.environ, "PYTHONPATH": str(release or _THIS)}
    told = Path(log).with_suffix(f".{port}.json")
    told.write_text(json.dumps(said))
    with running([sys.executable, str(_WORKER), str(port), str(told)], port, log, env=environ):
        yield f"http://127.0.0.1:{port}"
