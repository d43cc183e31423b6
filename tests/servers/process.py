"""Start a server's process for a test, and end it."""

import atexit
import importlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

#: Several servers are where an ordinary user's PATH does not look.
_PLACES = ["/usr/sbin", "/usr/local/sbin", "/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))[::-1]]


#: Not seeded: several processes with one seed would ask for the same ports.
_CHANCE = random.SystemRandom()

#: What ends with the tests: conftest.py closes it, for pytest-xdist ends its processes without what atexit has.
AT_THE_END = ExitStack()
atexit.register(AT_THE_END.close)


def find_program(name, package):
    """Return the path of a program; without it skip the test, saying so. With ``CI=true`` that is a failure."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PLACES))
    if found is None:
        skip(f"{name} is not installed ({package}): make servers")
    return found


def skip(told, *, allowed=False):
    """Skip a test for what is not there; with ``CI=true`` that is a failure.

    :param told: what is not there, and what brings it
    :param allowed: whether it is not, for once
    """
    if os.environ.get("CI") == "true" and not allowed:
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


def tell_of_skips(reasons):
    """Return one line that says what was skipped for want of a server, and what brings it; ``None`` if nothing was.

    :param reasons: why tests were skipped, as pytest tells it
    """
    lacking = [reason for reason in reasons if reason.endswith(": make servers")]
    names = sorted({reason.removeprefix("Skipped: ").partition(" is ")[0] for reason in lacking})
    if not names:
        return None
    return f"{len(lacking)} tests were skipped for want of {', '.join(names)}. Install what they need: make servers"


def require_library(name):
    """Return a module that is compiled for the tests of Kerberos; without it skip the test, saying so."""
    try:
        return importlib.import_module(name)
    except ImportError:
        skip(f"{name} is not installed (it is compiled): make servers", allowed=os.environ.get("KERBEROS") == "no")


#: What says to other test processes on this machine which ports are taken, until this process ends.
_TAKEN = []


def free_port():
    """Return a port on which a server can listen, and which no other test process is given.

    It is none of those that the system gives to clients, which come and go meanwhile.
    """
    while True:
        port = _CHANCE.randrange(15_000, 32_000)
        mark = socket.socket(socket.AF_UNIX)
        try:
            if sys.platform == "linux":
                mark.bind(f"\0securest-tests-{port}")
            with socket.socket() as free:
                free.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
        else:
            _TAKEN.append(mark)
            return port


def wait_for_port(port, process, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert process.poll() is None, f"{process.args[0]} has ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{process.args[0]} does not listen on {port}"
            time.sleep(0.02)


@contextmanager
def running(command, port, log, *, stop=signal.SIGTERM, **options):
    """Run a server until the end of the block; it ends with this process at the latest, even if that is killed."""
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    with Path(log).open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        try:
            wait_for_port(port, process)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{Path(log).read_text(errors='replace')[-3000:]}") from None
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
