"""A PostgreSQL server, with one user for each test, whose schema is empty, or with one database."""

import base64
import contextlib
import functools
import hashlib
import hmac
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from .process import AT_THE_END, find_program, free_port, running

PASSWORD = "pw-7f6b0e0b"


class PostgreSQL:
    """Hold a server that can be stopped and started again."""

    def __init__(self, directory, options):
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._running = None
        self._made = 0
        self._users = []

    def start(self):
        command = [find_program("postgres", "postgresql"), "-D", f"{self.directory}/pg", "-p", str(self.port)]
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "max_connections": "300",
            "fsync": "off",
            "synchronous_commit": "local",  # what was answered is still there after a kill
            "full_page_writes": "off",
            "autovacuum": "off",
        }
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # SIGINT does not wait for clients to go.
        self._running = running(command, self.port, f"{self.directory}/log", stop=signal.SIGINT, **self._options)
        self.process = self._running.__enter__()
        self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        """Wait until it has recovered, too: it listens before that."""
        import psycopg

        deadline = time.monotonic() + 120
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self):
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def processes(self):
        """Return the ids of the server's process and of its children, of which Linux keeps a list."""
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def kill(self):
        """End the server as a power failure would, with all of its processes."""
        processes = self.processes()
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        while any(Path(f"/proc/{pid}").exists() for pid in processes[1:]):
            time.sleep(0.01)
        self.stop()
        Path(f"{self.directory}/pg/postmaster.pid").unlink(missing_ok=True)

    def url(self, database="postgres", user="postgres"):
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_url(self):
        """Return the URL of a user who has an empty schema, which costs less than a database."""
        import psycopg

        if not self._users:
            self._users = [f"user{self._made + number}" for number in range(10)]
            self._made += 10
            with psycopg.connect(self.url()) as connection:
                for name in self._users:
                    connection.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{_verifier()}'")
                    connection.execute(f"CREATE SCHEMA AUTHORIZATION {name}")
        return self.url(user=self._users.pop())

    def new_database(self):
        import psycopg

        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@functools.cache
def _verifier():
    """Return what PostgreSQL keeps of the password: of one turn instead of 4096, for each connection takes as many."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 1)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    salt, stored, server = (base64.b64encode(each).decode() for each in (salt, hashlib.sha256(client).digest(), server))
    return f"SCRAM-SHA-256$1:{salt}${stored}:{server}"


def make_engine(url, **options):
    """Return an engine of SQLAlchemy, as an application would make it; of other databases, too."""
    import sqlalchemy as sa

    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), **options)


def _of_whom():
    """Return whose processes these are. PostgreSQL does not run as root: then it is another user's."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


def _new_directory():
    directory = tempfile.mkdtemp(prefix="securest-pg-")
    if _of_whom():
        shutil.chown(directory, "nobody", "nogroup")
    return directory


@functools.cache
def _first_cluster():
    """Return a directory with what initdb makes, which is copied for each server."""
    directory = _new_directory()
    AT_THE_END.callback(shutil.rmtree, directory, ignore_errors=True)
    secret = Path(directory, "password")
    secret.write_text(_verifier())
    secret.chmod(0o644)
    command = [find_program("initdb", "postgresql"), "-D", f"{directory}/pg", "-U", "postgres"]
    command += ["-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **_of_whom(), cwd="/")
    return directory


@contextlib.contextmanager
def postgresql():
    """Run a server until the end of the block."""
    find_program("postgres", "postgresql")
    directory = _new_directory()
    server = PostgreSQL(directory, _of_whom())
    try:
        subprocess.run(["cp", "-a", f"{_first_cluster()}/pg", directory], check=True)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
