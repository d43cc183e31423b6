"""Tables of the release before: they are read as they are, upgraded by whoever may, and still used by that release."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from helpers import in_whole_seconds
from servers.postgresql import PASSWORD, make_engine

from flask_securest import User
from flask_securest.errors import BackendError
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.tokenstores.models import Session
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.tokenstores.sqlalchemy_table import METADATA

FIRST = b"\x00\xff" * 16


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request, tmp_path):
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path}/tokens.db"
    return request.getfixturevalue("postgresql_server").new_url()


def make_session(number, origin=None, **known):
    now = in_whole_seconds()
    return Session(
        id=f"{number:016}",
        username="alice",
        origin=origin,
        created_at=now,
        expires_at=now + timedelta(hours=1),
        refresh_digest=FIRST,
        **known,
    )


class OldRelease:
    """What the release before does to the database, in its own words: it knows no column ``origin``."""

    def __init__(self, url):
        self.engine = make_engine(url)
        self.table = sa.Table(
            "securest_sessions",
            sa.MetaData(),
            *(
                sa.Column(each.name, each.type, primary_key=each.primary_key, nullable=each.nullable)
                for each in METADATA.tables["securest_sessions"].c
                if each.name != "origin"
            ),
        )
        self.versions = sa.Table(
            "securest_schema",
            self.table.metadata,
            sa.Column("component", sa.String(64), primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
        )

    def create_schema(self):
        self.table.metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.execute(self.versions.insert().values(component="tokens", version=1))

    def add(self, number, **known):
        now = int(datetime.now(timezone.utc).timestamp())
        row = {"id": f"{number:016}", "username": "alice", "client": "", "created_at": now, "expires_at": now + 3600}
        with self.engine.begin() as connection:
            connection.execute(self.table.insert().values(**row, refresh_digest=FIRST, **known))

    def list(self):
        with self.engine.connect() as connection:
            return sorted(row.id for row in connection.execute(sa.select(self.table)))


@pytest.fixture
def old(url):
    release = OldRelease(url)
    release.create_schema()
    yield release
    release.engine.dispose()


def columns_of(old):
    return {column["name"] for column in sa.inspect(old.engine).get_columns("securest_sessions")}


def test_what_the_release_before_has_written_is_read_and_of_an_unknown_origin(old, url):
    old.add(1, password_mark="0a1b")
    store = SQLAlchemyTokenstore(url)
    found = store.get_session(f"{1:016}")
    assert (found.username, found.origin, found.password_mark) == ("alice", "?", "0a1b")
    assert [session.id for session in store.list_sessions("alice")] == [f"{1:016}"]
    assert list(store.list_sessions("alice", "ldap")) == []
    assert "origin" not in columns_of(old), "reading changes nothing"


@pytest.mark.parametrize("do", ["create_schema", "add_session"])
def test_the_first_writer_upgrades_and_doing_it_again_changes_nothing(do, old, url):
    old.add(1)
    for number in (2, 3):
        store = SQLAlchemyTokenstore(url)
        getattr(store, do)(*([make_session(number)] if do == "add_session" else []))
        assert "origin" in columns_of(old)
        assert store.get_session(f"{1:016}").origin == "?"
    assert sa.inspect(old.engine).has_table("securest_sessions_elsewhere")


def test_both_releases_go_on_side_by_side(old, url):
    store = SQLAlchemyTokenstore(url)
    store.add_session(make_session(1))
    store.add_session(make_session(2, "ldap"))
    old.add(3)
    assert [store.get_session(f"{number:016}").origin for number in (1, 2, 3)] == [None, "ldap", "?"]
    assert old.list() == [f"{1:016}", f"{3:016}"], "the session of the directory's alice is not for the former release"


def test_a_reader_sees_what_another_process_has_upgraded_since(old, url):
    reader, writer = SQLAlchemyTokenstore(url), SQLAlchemyTokenstore(url)
    assert reader.get_session(f"{1:016}") is None
    writer.add_session(make_session(1, "ldap"))
    assert reader.get_session(f"{1:016}").origin == "ldap"


def test_many_may_upgrade_at_once(old, url):
    failures = []

    def upgrade():
        try:
            SQLAlchemyTokenstore(url).create_schema()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert "origin" in columns_of(old)


def test_a_role_that_may_not_change_tables_goes_on_with_the_old_ones(postgresql_server, caplog):
    url = postgresql_server.new_database()
    old = OldRelease(url)
    old.create_schema()
    with old.engine.begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS writer"))
        connection.execute(sa.text(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'"))
        connection.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer"))
    limited = sa.make_url(url).set(username="writer").render_as_string(hide_password=False)
    store = SQLAlchemyTokenstore(limited)
    store.add_session(make_session(1))
    assert store.get_session(f"{1:016}").origin == "?"
    assert "run flask securest init as one who can" in caplog.text
    with pytest.raises(BackendError, match="run flask securest init"):
        store.add_session(make_session(2, "ldap"))
    with pytest.raises(BackendError):
        store.create_schema()
    SQLAlchemyTokenstore(url).create_schema()
    with old.engine.begin() as connection:
        connection.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer"))
    store.add_session(make_session(2, "ldap"))
    assert store.get_session(f"{2:016}").origin == "ldap"
    assert store.end_session(f"{1:016}")
    old.engine.dispose()


def test_keys_of_users_from_elsewhere_are_not_for_the_release_before(url):
    engine = make_engine(url)
    store = SQLAlchemyKeystore(url)
    store.create_schema()
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE securest_keys_elsewhere"))  # as the release before has left it
    reader, writer = SQLAlchemyKeystore(url), SQLAlchemyKeystore(url)
    own = writer.issue(owner=User("root"))
    assert reader.get_key(own.key.id) == own.key
    elsewhere = writer.issue(owner=User("root"), owner_origin="ldap")
    assert reader.get_key(elsewhere.key.id) == elsewhere.key
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT id FROM securest_keys")).scalars().all() == [own.key.id]
    engine.dispose()
