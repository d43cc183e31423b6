"""A process that has imported what ``flask securest ...`` needs, and forks one for each command.

It is run as ``python -W error command``, with a socket as standard input. What comes there is ``{"argv": ..., "cwd": ...,
"env": ..., "closed": ..., "session": ...}`` with four files: the three standard ones of the command, and a socket that is
told the process id, and then how it has ended. The command runs as ``python -m`` runs it, in the main thread, and ends as
Python ends: what is left to be written is written then, and where it cannot be, Python ends with 120.
"""

import gc
import importlib.metadata
import io
import json
import os
import runpy
import signal
import socket
import sqlite3  # noqa: F401
import sys

import sqlalchemy.dialects.sqlite  # noqa: F401

import flask_securest.authentication_providers.api_key
import flask_securest.authentication_providers.password
import flask_securest.keystores.sqlalchemy_table
import flask_securest.sql.databases
import flask_securest.sql.upgraded
import flask_securest.userstores.sqlalchemy.mapped
import flask_securest.userstores.sqlalchemy.tables  # noqa: F401
from flask_securest.passwords import PasswordHasher


def open_standard(number, mode):
    """Open one of the standard files as Python does when it starts; ``None`` if it is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    unbuffered = mode == "w" and bool(os.environ.get("PYTHONUNBUFFERED"))
    # These numbers are not ours to close.
    binary = open(number, f"{mode}b", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    errors = "backslashreplace" if number == 2 else errors or "strict"
    return io.TextIOWrapper(
        binary,
        encoding or "utf-8",
        errors,
        newline=None if mode == "r" else "\n",
        line_buffering=not unbuffered and (number == 2 or binary.isatty()),
        write_through=unbuffered,
    )


def become(asked, files):
    """Make this process what was asked for."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    for number in asked["closed"]:
        os.close(number)
    if asked["session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.stdin = sys.__stdin__ = open_standard(0, "r")
    sys.stdout = sys.__stdout__ = open_standard(1, "w")
    sys.stderr = sys.__stderr__ = open_standard(2, "w")
    sys.path[0] = asked["cwd"]
    sys.argv = ["flask", *asked["argv"]]


def main():
    """Return in the process of a command alone."""
    control = socket.socket(fileno=os.dup(0))
    while True:
        data, files, _, _ = socket.recv_fds(control, 1_000_000, 4)
        if not data:
            os._exit(0)
        asked, (*standard, answer) = json.loads(data), files
        if os.fork() == 0:  # the one that waits
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pid = os.fork()
            if pid == 0:
                os.close(answer)
                control.close()
                become(asked, standard)
                return
            for each in (0, 1, *standard):
                os.close(each)
            os.write(answer, f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
        for each in files:
            os.close(each)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    for entry in importlib.metadata.entry_points(group="flask.commands"):
        entry.load()
    PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("what this loads")
    gc.freeze()  # those that are forked have all this in common
    main()
    runpy.run_module("flask", run_name="__main__", alter_sys=True)
