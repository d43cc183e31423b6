"""Databases: engines of ours and of an application, what a URL may say, how long is waited, and who is in whose way."""

import gc
import os
import signal
import sqlite3
import sys
import threading
import time
import weakref
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy as sa
from helpers import in_whole_seconds, wait_until
from servers.postgresql import postgresql
from sqlalchemy.pool import QueuePool, StaticPool

from flask_securest import User
from flask_securest.errors import BackendError, ConfigurationError, MissingDependencyError
from flask_securest.keystores.models import KeyUse
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.sql.databases import Database
from flask_securest.sql.engines import _ENGINES
from flask_securest.tokenstores import Session
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

STORES = [SQLAlchemyUserstore, SQLAlchemyKeystore, SQLAlchemyTokenstore]


@pytest.fixture
def path(tmp_path):
    return f"{tmp_path}/users.db"


@pytest.mark.parametrize("store", STORES)
class TestURL:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://user:planted:ss@wo:planted@host/db",
            "postgres://user:planted@host/db",
            "oracles://user:planted@host/db",
            "postgresql+planted://host/db",
            "sqlite:////tmp/users.db?timeout=planted",
            "sqlite:///file:planted?mode=memory&cache=shared&uri=true",
        ],
    )
    def test_what_cannot_be_one_is_a_clear_error_that_quotes_nothing(self, store, url):
        with pytest.raises(ConfigurationError) as caught:
            store(url)
        error = caught.value
        assert "planted" not in f"{error} {error.__context__!r} {error.__cause__!r}"

    def test_a_missing_driver_is_named(self, store):
        with pytest.raises(ConfigurationError, match="MySQLdb") as caught:
            store("mysql://user:planted@host/db")
        assert not isinstance(caught.value, MissingDependencyError)

    def test_a_missing_driver_of_postgresql_comes_with_the_command_that_installs_it(self, store, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(MissingDependencyError, match=rf"{store.__name__}.*\[postgresql\]"):
            store("postgresql://user:planted@host/db")

    def test_without_sqlalchemy_it_is_told_what_to_install(self, store, monkeypatch):
        for name in [each for each in sys.modules if each.startswith(("sqlalchemy", "flask_securest.sql.databases"))]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "flask_securest.sql.databases")
        monkeypatch.setitem(sys.modules, "flask_securest.sql.engines", None)
        monkeypatch.delitem(sys.modules, "flask_securest.sql.engines")
        with pytest.raises(MissingDependencyError, match=rf"{store.__name__}.*\[sqlalchemy\]"):
            store("sqlite:///users.db")


class TestOptionsForPostgreSQL:
    def test_those_of_the_url_stay_in_force(self, postgresql_server):
        """Without its search_path it would read the users of another tenant."""
        url = postgresql_server.new_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA tenant")
        store = SQLAlchemyUserstore(f"{url}?options=-csearch_path%3Dtenant&connect_timeout=9", timeout=3)
        store.add_users([User("alice")])
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT username FROM tenant.securest_users").fetchall() == [("alice",)]
        shown = store._database.read(lambda each: [each.scalar(sa.text(f"SHOW {name}")) for name in BOUNDS])
        assert shown == ["3s", "3s", "tenant"]

    def test_a_connect_timeout_of_the_url_is_left_alone(self, postgresql_server, monkeypatch):
        seen = []
        connect = psycopg.Connection.connect.__func__

        def spy(cls, *args, **parameters):
            seen.append(parameters["connect_timeout"])
            return connect(cls, *args, **parameters)

        monkeypatch.setattr(psycopg.Connection, "connect", classmethod(spy))
        for options in ("?connect_timeout=9", ""):
            Database(postgresql_server.new_url() + options, timeout=3).read(
                lambda each: each.scalar(sa.text("SELECT 1"))
            )
        assert [int(each) for each in seen if each != 5] == [9, 3]


BOUNDS = ("statement_timeout", "lock_timeout", "search_path")


class TestAnEngineOfTheApplication:
    def test_one_that_begins_transactions_by_itself_can_be_written(self, path, engine_of):
        """As SQLAlchemy's documentation has it, for savepoints and serializable transactions with SQLite."""
        engine = engine_of(f"sqlite:///{path}")

        @sa.event.listens_for(engine, "connect")
        def connect(connection, record):
            connection.isolation_level = None

        @sa.event.listens_for(engine, "begin")
        def begin(connection):
            connection.exec_driver_sql("BEGIN")

        self._write_from_many_threads(SQLAlchemyUserstore(engine))

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="the parameter autocommit of sqlite3 is new in Python 3.12")
    def test_one_whose_driver_begins_transactions_can_be_written(self, path, engine_of):
        engine = engine_of(f"sqlite:///{path}", connect_args={"autocommit": False})
        self._write_from_many_threads(SQLAlchemyUserstore(lambda: engine))

    def _write_from_many_threads(self, store):
        store.create_schema()
        failed = []

        def write(number):
            try:
                for turn in range(5):
                    store.add_users([User(f"user{number}-{turn}", roles=["author"])])
                    store.set_roles(f"user{number}-{turn}", ["admin"])
            except BackendError as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert [user.roles for user in store.list_users()] == [{"admin"}] * 20

    @pytest.mark.parametrize("store", STORES)
    def test_one_that_shares_its_connections_is_refused(self, store, engine_of):
        """The end of a look-up would roll back the transaction that the application has begun on the same one."""
        for engine in (
            engine_of("sqlite://"),
            engine_of("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}),
        ):
            with pytest.raises(ConfigurationError, match="shares its connections"):
                store(engine)
            with pytest.raises(ConfigurationError, match="shares its connections"):
                store(lambda engine=engine: engine).create_schema()
            assert SQLAlchemyUserstore is not store or self._asks_in_vain(store, engine)

    def _asks_in_vain(self, store, engine):
        with pytest.raises(ConfigurationError):
            store(lambda: engine).get_user("alice")
        return True

    def test_its_file_keeps_its_journal(self, path, engine_of):
        SQLAlchemyUserstore(engine_of(f"sqlite:///{path}", poolclass=QueuePool)).add_users([User("alice")])
        assert self._journal_of(path) == "delete"
        SQLAlchemyUserstore(f"sqlite:///{path}").add_users([User("bob")])
        assert self._journal_of(path) == "wal"

    def _journal_of(self, path):
        connection = sqlite3.connect(path)
        try:
            return connection.execute("PRAGMA journal_mode").fetchone()[0]
        finally:
            connection.close()


class TestAnEngineOfOurs:
    def test_it_is_freed_with_its_store_and_so_are_its_connections(self, postgresql_server):
        url = postgresql_server.new_database()
        store = SQLAlchemyUserstore(url)
        store.create_schema()
        database = weakref.ref(store._database)
        # Those of other tests come and go meanwhile.
        assert self._engines_of(url) == 1
        assert self._connections_to(url) == 1
        del store
        gc.collect()
        assert database() is None
        assert self._engines_of(url) == 0
        wait_until(lambda: self._connections_to(url) == 0)

    def _engines_of(self, url):
        sought = sa.make_url(url)
        return sum((each.url.port, each.url.database) == (sought.port, sought.database) for each in _ENGINES)

    def _connections_to(self, url):
        with psycopg.connect(url) as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return connection.execute(query).fetchone()[0] - 1


class TestTimeouts:
    def test_a_server_that_says_nothing_is_waited_for_once(self):
        with postgresql() as server:
            store = SQLAlchemyUserstore(server.new_url(), timeout=2)
            store.add_users([User("alice")])
            stopped = server.processes()
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                for ask in (store.get_user, lambda name: store.set_active(name, False)):
                    started = time.monotonic()
                    with pytest.raises(BackendError):
                        ask("alice")
                    assert time.monotonic() - started < 4
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            wait_until(lambda: _answers(lambda: store.get_user("alice").active))

    def test_waiting_for_a_connection_counts(self, postgresql_server):
        database = Database(postgresql_server.new_url(), timeout=2)
        busy = threading.Barrier(16)

        def keep():
            with database._make_engine().connect():
                busy.wait()
                time.sleep(1.5)

        threads = [threading.Thread(target=keep) for _ in range(15)]
        for thread in threads:
            thread.start()
        busy.wait()
        started = time.monotonic()
        with pytest.raises(BackendError):
            database.read(lambda each: [each.scalar(sa.text("SELECT pg_sleep(1.9)")) for _ in range(2)])
        assert time.monotonic() - started < 4
        for thread in threads:
            thread.join()

    def test_a_long_list_has_time_for_each_statement(self, postgresql_server):
        database = Database(postgresql_server.new_url(), timeout=1)
        sleep = sa.text("SELECT pg_sleep(0.9)")
        assert database.read(lambda each: [each.scalar(sleep) for _ in range(4)], as_a_whole=False) == [""] * 4


class TestTwoWhoAreInEachOthersWay:
    def _deadlock(self, url, **options):
        """Let two transactions take two rows in opposite order."""
        database = Database(url)
        database.write(lambda each: each.execute(sa.text("CREATE TABLE t (id int)")))
        database.write(lambda each: each.execute(sa.text("INSERT INTO t VALUES (1), (2)")))
        both, done = threading.Barrier(2), []

        def change(first, second):
            tried = []

            def work(connection):
                connection.execute(sa.text("UPDATE t SET id = id WHERE id = :id"), {"id": first})
                if not tried:
                    tried.append(both.wait(5))
                connection.execute(sa.text("UPDATE t SET id = id WHERE id = :id"), {"id": second})

            try:
                database.write(work, **options)
            except BackendError as error:
                done.append(error)
            else:
                done.append(None)

        threads = [threading.Thread(target=change, args=pair) for pair in ((1, 2), (2, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done

    def test_of_a_deadlock_the_one_that_was_ended_is_tried_again(self, postgresql_server):
        assert self._deadlock(postgresql_server.new_url()) == [None, None]

    def test_what_cannot_be_repeated_is_not(self, postgresql_server):
        failed = [error for error in self._deadlock(postgresql_server.new_url(), repeatable=False) if error is not None]
        assert len(failed) == 1
        assert "DeadlockDetected" in str(failed[0])

    def test_uses_are_written_down_around_what_somebody_else_is_changing(self, postgresql_server, engine_of):
        url = postgresql_server.new_url()
        keys, sessions = SQLAlchemyKeystore(url, timeout=1), SQLAlchemyTokenstore(url, timeout=1)
        made = [keys.make(app_name="ci").key for _ in range(250)]
        keys.add_keys(made)
        for number in range(3):
            sessions.add_session(_session(number))
        locked = made[0].id
        engine = engine_of(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT 1 FROM securest_keys WHERE id = :id FOR UPDATE"), {"id": locked})
            connection.execute(sa.text("SELECT 1 FROM securest_sessions WHERE id = :id FOR UPDATE"), {"id": f"{0:016}"})
            keys.record_uses({KeyUse(key.id, former): in_whole_seconds() for key in made for former in (False, True)})
            sessions.record_uses({f"{number:016}": in_whole_seconds() for number in range(3)})
        unused = [key.id for key in keys.list_keys() if key.last_used_at is None or key.former_last_used_at is None]
        assert unused == [locked]
        assert [each.last_used_at is None for each in sessions.list_sessions("alice")] == [True, False, False]

    def test_a_key_can_be_revoked_while_many_uses_are_written_down(self, postgresql_server):
        url = postgresql_server.new_url()
        keys = SQLAlchemyKeystore(url)
        made = [keys.make(app_name="ci").key for _ in range(5000)]
        keys.add_keys(made)
        ended = []
        sa.event.listen(keys._database._make_engine(), "commit", ended.append)
        thread = threading.Thread(
            target=keys.record_uses, args=[{KeyUse(key.id, False): in_whole_seconds() for key in made}]
        )
        thread.start()
        waited = []
        while thread.is_alive() and len(waited) < 50:
            started = time.monotonic()
            keys.revoke(made[len(waited)].id)
            waited.append(time.monotonic() - started)
        thread.join()
        assert max(waited) < 1
        assert len(ended) >= 5000 / 100  # each transaction keeps few of them for itself


class TestWhatIsAdded:
    def test_a_slow_iterator_of_users_or_keys_holds_nobody_up(self, path):
        users = SQLAlchemyUserstore(f"sqlite:///{path}", timeout=1)
        keys = SQLAlchemyKeystore(f"sqlite:///{path}", timeout=1)
        users.create_schema()
        keys.create_schema()
        other = SQLAlchemyUserstore(f"sqlite:///{path}", timeout=1)

        def slowly(made):
            for turn, each in enumerate(made):
                assert other.add_users([User(f"other-{type(each).__name__}-{turn}")]) == 1
                yield each

        assert users.add_users(slowly([User("alice"), User("bob")])) == 2
        assert keys.add_keys(slowly([keys.make(app_name="ci").key for _ in range(3)])) == 3
        assert len(list(users.list_users())) == 7

    def test_more_keys_than_are_taken_at_first_are_added_or_none(self, path):
        keys = SQLAlchemyKeystore(f"sqlite:///{path}")
        first = keys.make(app_name="ci").key
        made = [replace(first, id=f"{number:016}") for number in range(12_000)]
        with pytest.raises(ValueError, match="id"):
            keys.add_keys(iter([*made, made[0]]))
        assert list(keys.list_keys()) == []
        assert keys.add_keys(iter(made)) == 12_000

    @pytest.mark.parametrize("attributes", [{"x": object()}, {"x": {1, 2}}, {"x": float("nan")}, {"x": b"bytes"}])
    def test_attributes_that_json_cannot_hold_are_an_error_that_names_the_user(self, path, attributes):
        with pytest.raises(ValueError, match="'alice'"):
            SQLAlchemyUserstore(f"sqlite:///{path}").add_users([User("alice", attributes=attributes)])

    @pytest.mark.parametrize("odd", ["\ud800", "a\x00b"])
    @pytest.mark.parametrize("field", ["email", "roles", "groups", "password"])
    def test_text_that_databases_cannot_keep_is_an_error_that_names_the_user(self, path, field, odd):
        known = {field: [odd] if field in ("roles", "groups") else odd}
        with pytest.raises(ValueError, match="'alice'") as caught:
            SQLAlchemyUserstore(f"sqlite:///{path}").add_users([User("alice", **known)])
        assert caught.type is ValueError
        assert odd not in str(caught.value)

    @pytest.mark.parametrize("odd", ["\ud800", "a\x00b"])
    def test_text_that_databases_cannot_keep_is_refused_in_changes(self, path, odd):
        store = SQLAlchemyUserstore(f"sqlite:///{path}")
        store.add_users([User("alice")])
        for change in (
            lambda: store.set_password("alice", odd),
            lambda: store.set_roles("alice", [odd]),
            lambda: store.set_group("staff", [odd]),
            lambda: store.set_group(odd, ["author"]),
        ):
            with pytest.raises(ValueError, match="text") as caught:
                change()
            assert caught.type is ValueError


class TestNumbersOfUsers:
    def test_nobody_gets_what_a_former_user_had(self, path):
        store = SQLAlchemyUserstore(f"sqlite:///{path}")
        store.add_users([User("alice", roles=["admin"])])
        former = self._number_of(store, "alice")
        store.remove_user("alice")
        store.add_users([User("mallory")])
        assert self._number_of(store, "mallory") > former

    def _number_of(self, store, name):
        query = sa.text("SELECT id FROM securest_users WHERE username = :name")
        return store._database.read(lambda each: each.scalar(query, {"name": name}))

    def test_a_user_is_read_as_a_whole(self, path):
        """Between two statements a user could be replaced by another one with its number, and have its roles."""
        store = SQLAlchemyUserstore(f"sqlite:///{path}")
        store.set_group("staff", ["author"])
        store.add_users([User("alice", "hash", roles=["owner"], groups=["staff"], email="a@b", attributes={"x": 1})])
        statements = []
        engine = store._database._make_engine()
        sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        assert store.get_user("alice") == User(
            "alice", "hash", roles=["owner", "author"], groups=["staff"], email="a@b", attributes={"x": 1}
        )
        assert len(statements) == 1


def test_a_store_whose_tables_have_not_been_made_says_what_to_do(path):
    for ask in (
        lambda: SQLAlchemyUserstore(f"sqlite:///{path}").get_user("alice"),
        lambda: SQLAlchemyKeystore(f"sqlite:///{path}").get_key("A" * 16),
        lambda: SQLAlchemyTokenstore(f"sqlite:///{path}").get_session("A" * 16),
    ):
        with pytest.raises(BackendError, match=r"its tables have not been made yet: call create_schema\(\)"):
            ask()


def _session(number):
    ends = in_whole_seconds() + timedelta(hours=1)
    return Session(id=f"{number:016}", username="alice", created_at=in_whole_seconds(), expires_at=ends)


def _answers(ask):
    try:
        return ask()
    except BackendError:
        return False
