"""A Redis server, with one database for each test."""

import shutil
import signal
import tempfile
from contextlib import contextmanager

from .process import find_program, free_port, running

PASSWORD = "pw-of-redis-7f6b"

#: How long a store waits for it, in seconds, where a test is about something else: the machine may be busy.
PATIENCE = 60


class Redis:
    """Hold a server that can be stopped and started again; it keeps what it has on disk."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self._running = None
        self._made = -1

    def start(self):
        command = [find_program("redis-server", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        # What it has written outlives its process without fsync, which takes seconds where many write at once.
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir", self.directory]
        command += ["--requirepass", PASSWORD, "--databases", "1000"]
        self._running = running(command, self.port, f"{self.directory}/log", stop=signal.SIGTERM)
        self.process = self._running.__enter__()

    def stop(self):
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def new_url(self):
        self._made += 1
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/{self._made}"


@contextmanager
def redis():
    """Run a server until the end of the block."""
    find_program("redis-server", "redis-server")
    directory = tempfile.mkdtemp(prefix="securest-redis-")
    server = Redis(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
