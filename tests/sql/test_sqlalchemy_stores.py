"""The SQL stores, on SQLite and on PostgreSQL, with tables of our own and with those of an application."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import ALICE, FAST, basic, new_who, secured, wait_until
from sqlalchemy import orm

from flask_securest import User
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.sql.databases import Database
from flask_securest.testing import KeystoreContract, WritableUserstoreContract
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/securest.db"


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request, sqlite_url):
    return sqlite_url if request.param == "SQLite" else request.getfixturevalue("postgresql_server").new_url()


class OnSQLite:
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path):
        self._made = 0
        self._path = tmp_path

    def new_url(self):
        self._made += 1
        return f"sqlite:///{self._path}/securest{self._made}.db"


class OnPostgreSQL:
    @pytest.fixture(autouse=True)
    def _database(self, postgresql_server):
        self.new_url = postgresql_server.new_url


class OwnTables(WritableUserstoreContract):
    def make_userstore(self):
        self.url = self.new_url()
        store = SQLAlchemyUserstore(self.url)
        store.add_users([self.ALICE, self.BOB])
        return store

    def open_again(self, store):
        return SQLAlchemyUserstore(self.url)


class TestUsersOnSQLite(OnSQLite, OwnTables):
    pass


class TestUsersOnPostgreSQL(OnPostgreSQL, OwnTables):
    pass


class Base(orm.DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    login: orm.Mapped[str] = orm.mapped_column(unique=True)
    secret_hash: orm.Mapped[str | None]
    enabled: orm.Mapped[bool]
    rights: orm.Mapped[list] = orm.mapped_column(sa.JSON, default=list)


COLUMNS = {"username": "login", "password": "secret_hash", "active": "enabled", "roles": "rights"}


class MappedTables(WritableUserstoreContract):
    @pytest.fixture(autouse=True)
    def _engines(self, engine_of):
        self.engine_of = engine_of

    def make_userstore(self):
        self.url = self.new_url()
        store = self.open_again(None)
        Base.metadata.create_all(self.engine_of(self.url))
        store.add_users([self.ALICE, self.BOB])
        return store

    def open_again(self, store):
        engine = self.engine_of(self.url)
        return SQLAlchemyUserstore(lambda: engine, model=Account, columns=COLUMNS)

    def test_all_are_added_or_none(self):
        store = self.make_userstore()
        for wrong in ([User("carol"), User("alice")], [User("carol"), User("dan"), User("carol")]):
            with pytest.raises(ValueError, match=r"alice|carol"):
                store.add_users(wrong)
            assert store.get_user("carol") is None


class TestMappedUsersOnSQLite(OnSQLite, MappedTables):
    pass


class TestMappedUsersOnPostgreSQL(OnPostgreSQL, MappedTables):
    pass


class Keys(KeystoreContract):
    def make_keystore(self):
        self.url = self.new_url()
        store = SQLAlchemyKeystore(self.url)
        store.create_schema()
        return store

    def open_again(self, store):
        return SQLAlchemyKeystore(self.url)


class TestKeysOnSQLite(OnSQLite, Keys):
    pass


class TestKeysOnPostgreSQL(OnPostgreSQL, Keys):
    pass


class Team(Base):
    __tablename__ = "teams"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    person_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("people.id"))


class Person(Base):
    __tablename__ = "people"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    username: orm.Mapped[str]
    password: orm.Mapped[str | None]
    state: orm.Mapped[str]
    roles: orm.Mapped[list[Team]] = orm.relationship()


class TestAClassOfTheApplication:
    def test_roles_may_be_related_objects_and_a_field_may_be_a_function(self, sqlite_url, engine_of):
        engine = engine_of(sqlite_url)
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session, session.begin():
            session.add(Person(username="alice", password="x", state="ok", roles=[Team(name="admin"), Team(name="a")]))
            session.add(Person(username="bob", state="left", roles=[]))
        store = SQLAlchemyUserstore(engine, model=Person, columns={"active": lambda person: person.state == "ok"})
        assert store.get_user("alice") == User("alice", roles=["admin", "a"], password="x")
        assert not store.get_user("bob").active
        assert [user.username for user in store.list_users()] == ["alice", "bob"]
        with pytest.raises(ConfigurationError, match="'active'"):
            store.set_active("bob", True)
        with pytest.raises(ConfigurationError, match="'roles'"):
            store.set_roles("bob", ["admin"])
        with pytest.raises(ConfigurationError, match="groups"):
            store.set_group("staff", ["admin"])

    def test_two_users_of_one_name_are_nobody(self, sqlite_url, engine_of):
        engine = engine_of(sqlite_url)
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session, session.begin():
            session.add_all([Person(username="alice", state="ok"), Person(username="alice", state="ok")])
        with pytest.raises(BackendError):
            SQLAlchemyUserstore(engine, model=Person).get_user("alice")

    @pytest.mark.parametrize(
        ("model", "columns", "told"),
        [
            (dict, {}, "dict"),
            ("accounts", {}, "accounts"),
            (Account, {}, "username"),
            (Account, COLUMNS | {"password": "nothing"}, "nothing"),
            (Account, COLUMNS | {"passwort": "secret_hash"}, "passwort"),
            (Account, COLUMNS | {"username": lambda row: row.login}, "username"),
            (Person, {"username": "roles"}, "username"),
        ],
    )
    def test_what_does_not_fit_is_a_clear_error(self, sqlite_url, model, columns, told):
        with pytest.raises(ConfigurationError, match=told):
            SQLAlchemyUserstore(sqlite_url, model=model, columns=columns)


class TestSchema:
    def test_it_is_made_once_and_by_several_at_the_same_time(self, url):
        stores = [make(url) for make in (SQLAlchemyUserstore, SQLAlchemyKeystore) for _ in range(4)]
        failed = []

        def create(store):
            try:
                store.create_schema()
                store.create_schema()
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=create, args=[store]) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert stores[0].add_users([User("alice")]) == 1

    def test_tables_of_a_newer_release_are_refused(self, url):
        store = SQLAlchemyUserstore(url)
        store.create_schema()
        Database(url).write(lambda connection: connection.execute(sa.text("UPDATE securest_schema SET version = 2")))
        with pytest.raises(ConfigurationError, match="newer release"):
            SQLAlchemyUserstore(url).add_users([User("alice")])

    def test_without_tables_it_cannot_tell_and_says_what_to_do(self, url):
        with pytest.raises(BackendError, match="create_schema"):
            SQLAlchemyUserstore(url).get_user("alice")
        with pytest.raises(BackendError, match="create_schema"):
            SQLAlchemyKeystore(url).get_key("A" * 16)

    def test_groups_bring_their_roles(self, url):
        store = SQLAlchemyUserstore(url)
        store.set_group("staff", ["admin", "author"])
        store.add_users([User("alice", roles=["owner"], groups=["staff"], attributes={"scopes": ["read"]})])
        alice = store.get_user("alice")
        assert (alice.roles, alice.groups) == ({"admin", "author", "owner"}, {"staff"})
        assert alice.attributes["scopes"] == ["read"]
        store.set_group("staff", ["author"])
        assert store.get_user("alice").roles == {"author", "owner"}
        assert next(store.list_users()).roles == {"author", "owner"}


class TestConfiguration:
    @pytest.mark.parametrize(
        "source", ["nonsense", "", 7, None, "sqlite://", "sqlite:///:memory:", "pw-of-nobody@host:db"]
    )
    @pytest.mark.parametrize("store", [SQLAlchemyUserstore, SQLAlchemyKeystore])
    def test_what_is_no_database_is_a_clear_error_that_shows_no_password(self, store, source):
        with pytest.raises(ConfigurationError) as caught:
            store(source)
        assert "pw-of-nobody" not in str(caught.value)

    def test_a_password_of_a_url_shows_nowhere(self, postgresql_server, caplog):
        url = f"postgresql://postgres:pw-of-nobody@127.0.0.1:{postgresql_server.port}/postgres"
        store = SQLAlchemyUserstore(url)
        with pytest.raises(BackendError) as caught:
            store.get_user("alice")
        assert "pw-of-nobody" not in f"{store!r} {caught.value!r} {caught.value.__context__!r} {caplog.text}"

    @pytest.mark.parametrize("store", [SQLAlchemyUserstore, SQLAlchemyKeystore])
    def test_what_the_database_quotes_is_in_no_error(self, url, store):
        planted = "planted-" + "5" * 2000
        if store is SQLAlchemyKeystore:
            keystore = store(url)
            write = lambda: keystore.issue(app_name=planted)  # noqa: E731
        else:
            userstore = store(url)
            write = lambda: userstore.add_users([User("alice", planted)])  # noqa: E731
        with contextlib.suppress(BackendError):  # SQLite takes any length
            write()
        users_or_keys = keystore if store is SQLAlchemyKeystore else userstore
        with pytest.raises(BackendError) as caught:
            users_or_keys._database.write(lambda connection: connection.execute(sa.text(f"SELECT '{planted}' FROM x")))
        for error in (caught.value, caught.value.__context__, caught.value.__cause__):
            assert planted[:20] not in repr(error)


def make_app(url, **options):
    users = SQLAlchemyUserstore(url, **options)
    keys = SQLAlchemyKeystore(url, **options)
    providers = [HeaderApiKeyAuthenticator(keystore=keys), PasswordAuthenticator(password_hasher=FAST)]
    app, _, _ = secured(new_who(), providers=providers, userstore=users)
    return app, users, keys


class TestInAnApplication:
    def test_a_disabled_user_and_a_revoked_key_are_refused_with_the_next_request_in_another_process(self, url):
        app, users, keys = make_app(url)
        users.add_users([User("alice", FAST.hash("wonderland")), User("machine")])
        key = keys.issue(owner=users.get_user("machine"))
        app_key = keys.issue(app_name="ci")
        client = app.test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        assert client.get("/who", headers={"X-API-Key": key.text}).json["user"] == "machine"
        assert client.get("/who", headers={"X-API-Key": app_key.text}).json["user"] == "ci"
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_disable_and_revoke, args=(url, app_key.key.id))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert client.get("/who", headers=ALICE).status_code == 401
        assert client.get("/who", headers={"X-API-Key": key.text}).status_code == 401
        assert client.get("/who", headers={"X-API-Key": app_key.text}).status_code == 401

    def test_an_outdated_hash_is_renewed_on_login(self, url):
        app, users, _ = make_app(url)
        outdated = "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"  # of "secret"
        users.add_users([User("alice", outdated), User("bob", outdated, active=False)])
        client = app.test_client()
        assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
        assert users.get_user("alice").password == outdated
        assert client.get("/who", headers=basic("alice", "secret")).status_code == 200
        renewed = users.get_user("alice").password
        assert renewed.startswith("$argon2id$")
        assert client.get("/who", headers=basic("alice", "secret")).status_code == 200
        assert users.get_user("alice").password == renewed
        assert client.get("/who", headers=basic("bob", "secret")).status_code == 401
        assert users.get_user("bob").password == outdated

    def test_a_hash_that_cannot_be_renewed_fails_no_request(self, sqlite_url, monkeypatch, caplog):
        app, users, _ = make_app(sqlite_url)
        users.add_users([User("alice", "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0")])

        def fail(*args, **kwargs):
            raise BackendError("read-only")

        monkeypatch.setattr(users, "renew_password_hash", fail)
        assert app.test_client().get("/who", headers=basic("alice", "secret")).status_code == 200
        assert "could not be replaced" in caplog.text

    def test_the_last_use_of_a_key_is_written_down_off_the_request(self, url):
        app, _, keys = make_app(url)
        issued = keys.issue(app_name="ci")
        assert app.test_client().get("/who", headers={"X-API-Key": issued.text}).status_code == 200
        wait_until(lambda: keys.get_key(issued.key.id).last_used_at is not None)

    def test_a_connection_is_not_shared_with_a_fork(self, url):
        _, users, _ = make_app(url)
        users.add_users([User("alice", "a"), User("bob", "b")])
        child = os.fork()
        if child == 0:
            wrong = any(users.get_user("alice").username != "alice" for _ in range(100))
            os._exit(int(wrong))
        assert all(users.get_user("bob").username == "bob" for _ in range(100))
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_fork_has_no_file_of_sqlite_open(sqlite_url):
    store = SQLAlchemyUserstore(sqlite_url)
    store.create_schema()
    assert store.get_user("nobody") is None
    child = os.fork()
    if child == 0:
        os._exit(_count_open_files())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get_user("nobody") is None


def _count_open_files():
    files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one of this list is closed by now
            files.append(descriptor.readlink())
    return sum(".db" in file.name for file in files)


def _disable_and_revoke(url, key_id):
    users = SQLAlchemyUserstore(url)
    assert users.set_active("alice", False)
    assert users.set_active("machine", False)
    SQLAlchemyKeystore(url).revoke(key_id)


class TestADatabaseThatIsDown:
    def test_killed_in_the_middle_of_a_load_it_answers_503_and_recovers_within_two_seconds(self, own_postgresql):
        app, users, keys = make_app(own_postgresql.new_url())
        users.add_users([User("alice", FAST.hash("wonderland"))])
        issued = keys.issue(app_name="ci")
        answers, ended = [], threading.Event()

        def load(headers):
            client = app.test_client()
            while not ended.is_set():
                answers.append((time.monotonic(), client.get("/who", headers=headers).status_code))

        headers = [ALICE, {"X-API-Key": issued.text}] * 4
        threads = [threading.Thread(target=load, args=[each]) for each in headers]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(answers) > 100)
            assert {status for _, status in answers} == {200}
            own_postgresql.kill()
            wait_until(lambda: [status for _, status in answers[-50:]] == [503] * 50)
            own_postgresql.start()
            returned = time.monotonic()
            time.sleep(2)
            since = len(answers)
            wait_until(lambda: len(answers) > since + 100)
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
        assert {status for _, status in answers} == {200, 503}
        assert {status for at, status in answers if at > returned + 2} == {200}

    def test_one_that_is_stopped_and_says_nothing_is_waited_for_only_so_long(self, own_postgresql):
        app, users, _ = make_app(own_postgresql.new_url(), timeout=1)
        users.add_users([User("alice", FAST.hash("wonderland"))])
        client = app.test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        stopped = own_postgresql.processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert client.get("/who", headers=ALICE).status_code == 503
            assert time.monotonic() - started < 10
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: client.get("/who", headers=ALICE).status_code == 200)

    def test_a_look_up_that_waits_for_a_lock_is_waited_for_only_so_long(self, postgresql_server, engine_of):
        url = postgresql_server.new_url()
        app, users, _ = make_app(url, timeout=1)
        users.add_users([User("alice", FAST.hash("wonderland"))])
        client = app.test_client()
        with engine_of(url).begin() as connection:
            connection.execute(sa.text("LOCK TABLE securest_users IN ACCESS EXCLUSIVE MODE"))
            assert client.get("/who", headers=ALICE).status_code == 503
        assert client.get("/who", headers=ALICE).status_code == 200

    def test_a_file_that_is_no_database_is_503(self, tmp_path):
        (tmp_path / "users.db").write_bytes(b"this is no database" * 100)
        app, _, _ = make_app(f"sqlite:///{tmp_path}/users.db")
        assert app.test_client().get("/who", headers=ALICE).status_code == 503

    def test_a_locked_file_can_be_read(self, sqlite_url, engine_of):
        app, users, _ = make_app(sqlite_url, timeout=1)
        users.add_users([User("alice", FAST.hash("wonderland"))])
        with engine_of(sqlite_url).connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            assert app.test_client().get("/who", headers=ALICE).status_code == 200
            with pytest.raises(BackendError):
                users.set_active("alice", False)


class TestAKilledWriter:
    """``kill -9`` leaves the old or the new state, and never half of one."""

    @pytest.mark.parametrize("turn", range(8))
    def test_of_an_import_all_users_are_there_or_none(self, url, turn):
        store = SQLAlchemyUserstore(url)
        store.create_schema()
        _kill_at_some_moment(_import_users, url, seconds=0.02 * turn)
        count = sum(1 for _ in store.list_users())
        assert count in (0, 20_000)
        assert store.add_users([User("after")]) == 1

    @pytest.mark.parametrize("turn", range(8))
    def test_of_a_rotation_the_old_or_the_new_secret_is_in_force(self, url, turn):
        keys = SQLAlchemyKeystore(url)
        issued = keys.issue(app_name="ci")
        _kill_at_some_moment(_rotate, url, issued.key.id, seconds=0.01 * turn)
        found = keys.get_key(issued.key.id)
        whole = (found.former_digest is None) == (found.rotated_at is None) == (found.sunset_at is None)
        assert whole
        assert found.digest != found.former_digest
        rotated = keys.rotate(issued.key.id, overlap=timedelta(0))
        assert rotated.key.former_digest == found.digest


def _kill_at_some_moment(target, *args, seconds):
    context = multiprocessing.get_context("fork")
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(writing, *args))
    process.start()
    assert reading.poll(30)  # it has begun
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)


def _import_users(begun, url):
    store = SQLAlchemyUserstore(url)
    store.create_schema()
    begun.send(True)
    store.add_users(User(f"user{number}", roles=["author"]) for number in range(20_000))


def _rotate(begun, url, key_id):
    store = SQLAlchemyKeystore(url)
    store.get_key(key_id)
    begun.send(True)
    while True:
        store.rotate(key_id)
