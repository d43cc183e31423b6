"""Tokens end with the password, and with the person behind a name, whatever keeps them; and with nothing else."""

import hashlib
import time

import pytest
import sqlalchemy as sa
from helpers import FAST, basic, bearer, secured
from passlib.hash import ldap_salted_sha1
from servers.postgresql import PASSWORD, make_engine
from servers.slapd import LDAP3_WARNINGS, PEOPLE, READER, READER_PASSWORD, person, running_slapd

from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.authentication_providers.abstract import AbstractAuthenticationProvider
from flask_securest.errors import ConfigurationError
from flask_securest.passwords import PasswordHasher
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.sessions import is_same_account
from flask_securest.userstores import SimpleUserstore
from flask_securest.userstores.ldap import LDAPUserstore
from flask_securest.userstores.marks import bind_mark, make_mark, mark_of, read_bound_mark
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

SECRET = "a secret key of the tests, long enough"
NEWER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)


class Service:
    """An API that issues tokens to the users of a store."""

    def __init__(self, users, *providers, store=None, hasher=FAST):
        self.tokens = TokenAuthenticator(SECRET, store=store)
        chain = [PasswordAuthenticator(password_hasher=hasher), *providers, self.tokens]
        app, api, securest = secured(providers=chain, userstore=users)
        add_token_resources(api, securest, self.tokens)
        self.client = app.test_client()

    def log_in(self, headers=None):
        answer = self.client.post("/tokens", headers=headers or basic("ann", "pw"))
        assert answer.status_code == 200, answer.text
        return answer.json

    def statuses(self, issued):
        """Return what an access token is answered, and its refresh token, if it has one."""
        token = bearer(issued["access_token"])
        used = [self.client.post("/tokens", headers=token)]  # 403 for a good one: it cannot be traded
        if "refresh_token" in issued:
            used.append(self.client.post("/tokens/refresh", json={"refresh_token": issued["refresh_token"]}))
        return [answer.status_code for answer in used]


GOOD, ENDED = [403], [401]
ALL_GOOD, ALL_ENDED = [403, 200], [401, 400]


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request, tmp_path):
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path}/users.db"
    return request.getfixturevalue("postgresql_server").new_url()


@pytest.fixture(params=["stateless", "with a store"])
def store(request):
    return None if request.param == "stateless" else SimpleTokenstore()


def forget_marks(url):
    """Leave the table as the release before has made it."""
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE securest_users DROP COLUMN mark"))
    engine.dispose()


def columns_of(url, table="securest_users"):
    engine = make_engine(url)
    try:
        return {column["name"] for column in sa.inspect(engine).get_columns(table)}
    finally:
        engine.dispose()


class TestUsersInSQL:
    def make(self, url, *users):
        made = SQLAlchemyUserstore(url)
        made.add_users(users or [User("ann", FAST.hash("pw"))])
        return made

    def test_a_renewed_hash_ends_nothing(self, url, store):
        users = self.make(url)
        phone = Service(users, store=store).log_in()
        former = users.get_user("ann").password
        for hasher in (NEWER, FAST, NEWER):
            service = Service(users, store=store, hasher=hasher)
            service.log_in()
            assert users.get_user("ann").password != former
            former = users.get_user("ann").password
            assert service.statuses({"access_token": phone["access_token"]}) == GOOD
        assert service.statuses(phone) == (GOOD if store is None else ALL_GOOD)

    def test_a_changed_password_does_also_after_a_renewal(self, url, store):
        users = self.make(url)
        phone = Service(users, store=store).log_in()
        service = Service(users, store=store, hasher=NEWER)
        laptop = service.log_in()
        users.set_password("ann", NEWER.hash("new"))
        for issued in (phone, laptop):
            assert service.statuses(issued) == (ENDED if store is None else ALL_ENDED)

    def test_a_disabled_account_stays_logged_out_when_it_is_enabled_again(self, url, store):
        users = self.make(url)
        service = Service(users, store=store)
        phone = service.log_in()
        users.set_active("ann", False)
        users.set_active("ann", True)
        assert service.statuses(phone) == (ENDED if store is None else ALL_ENDED)
        fresh = service.log_in()
        assert service.statuses(fresh)[0] == 403
        users.set_password("ann", FAST.hash("new"))
        assert service.statuses(fresh)[0] == 401
        assert service.statuses(service.log_in(basic("ann", "new")))[0] == 403

    def test_so_do_tokens_of_a_mere_name_that_nobody_has_looked_up(self, url):
        users = self.make(url)
        token = {"access_token": TokenAuthenticator(SECRET).generate_auth_token("ann")}
        service = Service(users)
        assert service.statuses(token) == GOOD
        users.set_active("ann", False)
        users.set_active("ann", True)
        users.set_password("ann", FAST.hash("new"))
        assert service.statuses(token) == ENDED

    def test_a_name_that_is_given_to_somebody_else_brings_no_tokens_along(self, url, store):
        users = self.make(url, User("robot"))
        service = Service(users, store=store)
        token = {"access_token": service.tokens.generate_auth_token("robot")}
        assert service.statuses(token) == GOOD
        users.remove_user("robot")
        users.add_users([User("robot")])
        assert service.statuses(token) == ENDED

    def test_an_account_that_gets_a_password_or_loses_it_ends_its_tokens(self, url):
        users = self.make(url)
        service = Service(users)
        token = service.log_in()
        users.set_password("ann", None)
        assert service.statuses(token) == ENDED
        bare = {"access_token": service.tokens.generate_auth_token("ann")}
        assert service.statuses(bare) == GOOD
        users.set_password("ann", FAST.hash("pw"))
        assert service.statuses(bare) == ENDED

    def test_a_password_that_a_worker_of_the_release_before_has_set_voids_the_mark(self, url):
        users = self.make(url)
        phone = Service(users).log_in()
        service = Service(users, hasher=NEWER)
        service.log_in()
        assert service.statuses(phone) == GOOD
        engine = make_engine(url)
        with engine.begin() as connection:
            statement = sa.text("UPDATE securest_users SET password = :hash WHERE username = 'ann'")
            connection.execute(statement, {"hash": NEWER.hash("new")})
        engine.dispose()
        assert service.statuses(phone) == ENDED
        assert service.statuses(service.log_in(basic("ann", "new"))) == GOOD

    def test_only_the_hash_that_was_verified_is_renewed(self, url):
        users = self.make(url)
        first = users.get_user("ann")
        users.set_password("ann", FAST.hash("new"))
        second = users.get_user("ann")
        assert not users.renew_password_hash("ann", NEWER.hash("pw"), expected=first.password)
        assert users.get_user("ann").password == second.password
        assert not users.renew_password_hash("nobody", NEWER.hash("pw"), expected=first.password)


class TestTablesOfTheReleaseBefore:
    def make_old(self, url):
        users = SQLAlchemyUserstore(url)
        users.add_users([User("ann", FAST.hash("pw"), roles=["r"]), User("robot")])
        forget_marks(url)

    def test_they_are_read_as_they_are_and_upgraded_by_the_first_writer(self, url):
        self.make_old(url)
        users = SQLAlchemyUserstore(url)
        assert users.get_user("ann").roles == {"r"}
        assert [user.username for user in users.list_users()] == ["ann", "robot"]
        assert "mark" not in columns_of(url)
        service = Service(users)
        token = service.log_in()
        users.set_active("ann", False)
        assert "mark" in columns_of(url)
        users.set_active("ann", True)
        assert service.statuses(token) == ENDED

    def test_the_release_before_knows_a_token_of_this_one_by_the_hash(self, url):
        """It compares the mark in a token with the first 18 digits of a digest of the hash."""
        stored = FAST.hash("pw")
        said = hashlib.sha256(b"flask_securest.password_mark\0" + stored.encode()).hexdigest()[:18]
        assert mark_of(User("ann", stored)) == said

    def test_a_role_that_may_not_change_tables_goes_on_with_the_old_ones(self, postgresql_server, caplog):
        url = postgresql_server.new_database()
        self.make_old(url)
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP ROLE IF EXISTS marker"))
            connection.execute(sa.text(f"CREATE ROLE marker LOGIN PASSWORD '{PASSWORD}'"))
            connection.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO marker"))
            connection.execute(sa.text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO marker"))
        engine.dispose()
        limited = sa.make_url(url).set(username="marker").render_as_string(hide_password=False)
        users = SQLAlchemyUserstore(limited)
        assert users.set_active("ann", False)
        assert users.set_active("ann", True)
        assert users.set_password("ann", FAST.hash("new"))
        assert users.add_users([User("bob")]) == 1
        assert "run flask securest init as one who can" in caplog.text
        assert "mark" not in columns_of(url)
        SQLAlchemyUserstore(url).create_schema()
        assert "mark" in columns_of(url)


class TestAMappedClass:
    @pytest.fixture
    def model(self):
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class Account(Base):
            __tablename__ = "accounts"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str]
            password: Mapped[str | None]
            active: Mapped[bool] = mapped_column(default=True)
            #: What the teacher thinks of it.
            mark: Mapped[str | None]
            token_mark: Mapped[str | None]

        return Account

    def make(self, model, tmp_path, **columns):
        url = f"sqlite:///{tmp_path}/accounts.db"
        engine = sa.create_engine(url)
        model.metadata.create_all(engine)
        engine.dispose()
        users = SQLAlchemyUserstore(url, model=model, columns=columns)
        users.add_users([User("ann", FAST.hash("pw"))])
        return users

    def marks_in(self, tmp_path):
        engine = sa.create_engine(f"sqlite:///{tmp_path}/accounts.db")
        with engine.connect() as connection:
            (row,) = connection.execute(sa.text("SELECT mark, token_mark FROM accounts"))
        engine.dispose()
        return tuple(row)

    def test_with_a_column_that_is_named_it_is_as_with_our_tables(self, model, tmp_path):
        users = self.make(model, tmp_path, mark="token_mark")
        phone = Service(users).log_in()
        service = Service(users, hasher=NEWER)
        service.log_in()
        assert service.statuses(phone) == GOOD
        users.set_active("ann", False)
        users.set_active("ann", True)
        assert service.statuses(phone) == ENDED
        assert self.marks_in(tmp_path)[0] is None

    def test_a_column_that_only_happens_to_have_the_name_is_the_applications(self, model, tmp_path):
        users = self.make(model, tmp_path)
        engine = sa.create_engine(f"sqlite:///{tmp_path}/accounts.db")
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE accounts SET mark = 'very good'"))
        engine.dispose()
        service = Service(users)
        token = service.log_in()
        users.set_active("ann", False)
        users.set_active("ann", True)
        assert service.statuses(token) == GOOD
        assert self.marks_in(tmp_path) == ("very good", None)

    @pytest.mark.parametrize("column", [lambda row: row.token_mark, "no_such_column"])
    def test_what_cannot_be_written_to_is_an_error_at_set_up(self, model, tmp_path, column):
        with pytest.raises(ConfigurationError, match="mark"):
            SQLAlchemyUserstore(f"sqlite:///{tmp_path}/accounts.db", model=model, columns={"mark": column})

    def test_a_row_of_the_applications_own_is_its_account_whatever_mark_that_has(self, model, tmp_path):
        users = self.make(model, tmp_path, mark="token_mark")
        users.set_active("ann", False)
        users.set_active("ann", True)
        service = Service(users)
        row = model(username="ann", password=users.get_user("ann").password, active=True, mark="very good")
        row.roles = []
        assert service.statuses({"access_token": service.tokens.generate_auth_token(row)}) == GOOD


class Badges(AbstractAuthenticationProvider):
    """Know people by a badge, of whom there may be a new one."""

    name = "badges"

    def __init__(self):
        self.mark = "badge 1"

    def authenticate(self, request, userstore):
        return User("ann") if request.headers.get("X-Badge") else None

    def find_user(self, username, issuer=None):
        return User(username, mark=self.mark)


def test_what_a_provider_calls_a_mark_ends_its_tokens(store):
    badges = Badges()
    service = Service(SimpleUserstore([]), badges, store=store)
    token = service.log_in({"X-Badge": "x"})
    assert service.statuses(token)[0] == 403
    badges.mark = "badge 2"
    assert service.statuses(token) == (ENDED if store is None else ALL_ENDED)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory):
    with running_slapd(tmp_path_factory.mktemp("slapd")) as running:
        yield running


@LDAP3_WARNINGS
class TestADirectory:
    @pytest.fixture(params=["the API's own", "a provider's"])
    def service(self, request, slapd, store):
        slapd.load(person("ann", ldap_salted_sha1.hash("pw")))
        users = LDAPUserstore(
            slapd.tls_url,
            base_dn=PEOPLE,
            bind_dn=READER,
            bind_password=READER_PASSWORD,
            ca_file=str(slapd.ca_file),
        )
        if request.param == "the API's own":
            yield Service(users, store=store)
        else:
            yield Service(SimpleUserstore([]), PasswordAuthenticator(userstore=users, name="ldap"), store=store)
        slapd.load(f"dn: uid=ann,{PEOPLE}\nchangetype: delete\n\n")

    def test_a_token_ends_with_the_password(self, service, slapd, store):
        token = service.log_in()
        assert service.statuses(token)[0] == 403
        _wait_for_the_next_second()
        new = ldap_salted_sha1.hash("new")
        change = f"dn: uid=ann,{PEOPLE}\nchangetype: modify\n"
        slapd.load(f"{change}replace: userPassword\nuserPassword: {new}\n\n")
        # The policy wants that it be changed once more, with which the account would not be active.
        slapd.load(f"{change}delete: pwdReset\n\n")
        assert service.statuses(token) == (ENDED if store is None else ALL_ENDED)
        assert service.statuses(service.log_in(basic("ann", "new")))[0] == 403

    def test_a_token_ends_with_the_person_behind_the_name(self, service, slapd, store):
        token = service.log_in()
        slapd.load(f"dn: uid=ann,{PEOPLE}\nchangetype: delete\n\n")
        slapd.load(person("ann", ldap_salted_sha1.hash("pw")))
        assert service.statuses(token) == (ENDED if store is None else ALL_ENDED)

    def test_another_change_of_the_entry_ends_nothing(self, service, slapd, store):
        token = service.log_in()
        slapd.load(f"dn: uid=ann,{PEOPLE}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n")
        assert service.statuses(token) == (GOOD if store is None else ALL_GOOD)


def _wait_for_the_next_second():
    """The directory writes down when a password was changed to the second."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.01)


class TestAMark:
    @pytest.mark.parametrize("mark", ["", 7, b"x", ["a"]])
    def test_it_is_text(self, mark):
        with pytest.raises(TypeError, match="mark of user 'ann' must be a string"):
            User("ann", mark=mark)

    def test_it_is_not_shown_and_does_not_tell_two_users_apart(self):
        assert "planted" not in repr(User("ann", mark="planted"))
        assert User("ann", mark="a") == User("ann", mark="b")

    def test_what_it_is_made_of_is_not_in_it(self):
        mark = mark_of(User("ann", mark="pwdChangedTime=2026"))
        assert len(mark) == 18
        assert mark != mark_of(User("ann", mark="pwdChangedTime=2027"))
        assert mark_of(User("ann", "hash", mark="x")) == mark_of(User("ann", mark="x"))

    def test_an_attribute_of_an_object_of_the_application_is_none(self):
        class Row:
            username, password, active, roles, mark = "ann", None, True, (), "very good"

        assert mark_of(Row()) is None

    @pytest.mark.parametrize("kept", [None, "", ":", "x", "-:", "-:short", "-:" + "g" * 18, "x:" + "0" * 18])
    def test_what_was_kept_and_is_none_is_none(self, kept):
        assert read_bound_mark(kept, None) is None

    def test_it_is_good_beside_its_own_hash_alone(self):
        mark = make_mark()
        assert read_bound_mark(bind_mark(mark, "hash"), "hash") == mark
        assert read_bound_mark(bind_mark(mark, "hash"), "another") is None
        assert read_bound_mark(bind_mark(mark, "hash"), None) is None
        assert read_bound_mark(bind_mark(mark, None), None) == mark

    def test_one_of_a_disabled_account_fits_its_column(self):
        assert len(bind_mark(make_mark(of_disabled=True), "hash")) <= 40

    def test_of_an_unknown_origin_a_mark_is_needed(self):
        assert not is_same_account(None, "?", User("ann"))
        assert is_same_account(mark_of(User("ann", "hash")), "?", User("ann", "hash"))
