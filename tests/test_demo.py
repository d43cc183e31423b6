"""``make demo``, as somebody sees it who runs it in a terminal."""

import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from servers.process import free_port

ROOT = Path(__file__).parents[1]
# What it would install first is installed already.
INSTALLED = [f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.demo", "-o", f"{sys.prefix}/bin/python"]


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, command, **environ):
        self.shown = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(theirs)

    def press_ctrl_c(self):
        os.write(self._ours, b"\x03")

    def read_until(self, done, seconds=120):
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self.shown
            self._read(0.1)
        while self._read(0):  # what it has said before it was done
            pass

    def _read(self, seconds):
        """Return whether there was something to read within so many seconds."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            self.shown += os.read(self._ours, 65536).decode()
        except OSError:  # everybody has closed it
            time.sleep(seconds)
            return False
        return True

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
        self.process.wait(20)
        os.close(self._ours)


@pytest.fixture
def run(tmp_path):
    """Return a function that runs make demo in a terminal, with data of its own."""
    terminals = []

    def start(port, **environ):
        command = ["make", "demo", *INSTALLED, f"PORT={port}"]
        terminals.append(Terminal(command, **{"DEMO_DATA": str(tmp_path / "data of the demo"), **environ}))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def test_it_says_what_to_try_and_what_applies_and_ends_at_ctrl_c(run, tmp_path):
    home = tmp_path / "home"
    home.write_text("a home in which nothing can be written")
    port = free_port()
    terminal = run(port, HOME=str(home))
    terminal.read_until(lambda: answers(port))
    assert f"curl -u alice:wonderland http://127.0.0.1:{port}/me" in terminal.shown
    assert "Who may call what:" in terminal.shown
    assert "Ctrl-C ends it." in terminal.shown
    assert "shown this once" not in terminal.shown
    terminal.press_ctrl_c()
    terminal.read_until(lambda: terminal.process.poll() is not None)
    assert not answers(port)
    assert not re.search(r"Traceback|Error\b|denied", terminal.shown), terminal.shown


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.2])
def test_it_ends_at_ctrl_c_without_a_traceback_at_any_moment(run, seconds):
    terminal = run(free_port())
    started = time.monotonic()
    terminal.read_until(lambda: time.monotonic() > started + seconds)
    terminal.press_ctrl_c()
    terminal.read_until(lambda: terminal.process.poll() is not None)
    assert "Traceback" not in terminal.shown


def test_a_port_that_is_taken_is_told_before_anything_else(run, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        terminal = run(taken.getsockname()[1])
        terminal.read_until(lambda: terminal.process.poll() is not None)
    assert "make demo PORT=8080" in terminal.shown
    assert "curl" not in terminal.shown
    assert not (tmp_path / "data of the demo").exists()


@pytest.mark.parametrize("port", ["99999", "0", "http", "-1", "80x"])
def test_what_is_no_port_is_told(run, port):
    terminal = run(port)
    terminal.read_until(lambda: terminal.process.poll() is not None)
    assert "PORT must be a number from 1 to 65535" in terminal.shown
    assert "Traceback" not in terminal.shown
