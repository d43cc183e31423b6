"""``flask securest sessions ...``, and what ``check`` says of origins."""

import json
from datetime import timedelta

import pytest
from helpers import FAST, in_whole_seconds, make_tokenstore, new_who, secured
from test_cli import run

from flask_securest import User
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.signals import sessions_ended
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.models import Session
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import SimpleUserstore

SECRET = "a secret key of the tests, long enough"


@pytest.fixture(params=["SQLite", "PostgreSQL", "Redis"])
def store(request, tmp_path):
    return make_tokenstore(request.param, request, tmp_path, prefix="a*[b]?\\:")


class Service:
    def __init__(self, *stores, name="ldap", keystore=None):
        self.users = SimpleUserstore([User(each, FAST.hash("pw")) for each in ("ann", "bob")])
        local = SimpleUserstore([User("ann", FAST.hash("other"))])
        self.tokens = [TokenAuthenticator(SECRET, store=each, name=f"token{i}") for i, each in enumerate(stores)]
        providers = [PasswordAuthenticator(userstore=local, password_hasher=FAST, name=name), *self.tokens]
        if keystore is not None:
            providers.append(HeaderApiKeyAuthenticator(keystore=keystore))
        self.app, _, _ = secured(new_who(), providers=providers, userstore=self.users)

    def run(self, *arguments, code=0):
        return run(self.app, *arguments, code=code)

    def listed(self, *arguments):
        return json.loads(self.run("sessions", "list", *arguments, "--json").stdout)


@pytest.fixture
def service(store):
    service = Service(store)
    for username, origin in (("ann", None), ("ann", None), ("bob", None), ("ann", "ldap")):
        service.tokens[0].issue_tokens(username, origin=origin, scopes=["read"] if username == "bob" else None)
    return service


def test_the_sessions_of_a_user_are_listed_and_not_those_of_its_namesake(service):
    mine, other = service.listed("--user", "ann"), service.listed("--user", "ann", "--origin", "ldap")
    assert [(len(each), {session["origin"] for session in each}) for each in (mine, other)] == [
        (2, {None}),
        (1, {"ldap"}),
    ]
    assert set(mine[0]) == {
        *("id", "username", "origin", "client", "scopes", "created_at", "expires_at", "last_used_at")
    }
    assert service.listed("--user", "bob")[0]["scopes"] == ["read"]
    table = service.run("sessions", "list", "--user", "bob").stdout
    assert "read" in table
    assert service.run("sessions", "list", "--user", "nobody").stderr == "there are no such sessions\n"


def test_one_from_before_there_were_origins_is_listed_with_the_apis_own(service, store):
    now = in_whole_seconds()
    expires_at = now + timedelta(hours=1)
    store.add_session(Session(id="0" * 16, username="bob", origin="?", created_at=now, expires_at=expires_at))
    assert sorted(str(session["origin"]) for session in service.listed("--user", "bob")) == ["?", "None"]


def test_one_is_ended_by_its_id_and_receivers_are_told(service):
    first, second = (session["id"] for session in service.listed("--user", "ann"))
    heard = []

    def hear(sender, **what):
        heard.append((what["session_id"], what["reason"]))

    with sessions_ended.connected_to(hear):
        assert service.run("sessions", "end", first).stderr == "1 sessions ended\n"
    assert heard == [(first, "ended by an operator")]
    assert [session["id"] for session in service.listed("--user", "ann")] == [second]
    assert f"there is no session '{first}'" in service.run("sessions", "end", first, code=1).stderr


def test_all_of_an_account_are_ended_and_not_those_of_its_namesake(service):
    assert json.loads(service.run("sessions", "end", "--user", "ann", "--yes", "--json").stdout) == {"ended": 2}
    assert len(service.listed("--user", "ann", "--origin", "ldap")) == 1
    assert len(service.listed("--user", "bob")) == 1


def test_all_of_an_origin_are_ended(service):
    service.tokens[0].issue_tokens("ann", origin="ldap")
    assert json.loads(service.run("sessions", "end", "--origin", "ldap", "--yes", "--json").stdout) == {"ended": 2}
    assert service.listed("--user", "ann", "--origin", "ldap") == []
    assert len(service.listed("--user", "ann")) == 2


def test_without_yes_it_asks(service):
    service.run("sessions", "end", "--user", "ann", code=1)
    assert len(service.listed("--user", "ann")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["end"],
        ["end", "x" * 16, "--user", "ann"],
        ["end", "short"],
        ["end", "--origin", "", "--yes"],
        ["list", "--user", "ann", "--origin", "a\x00b"],
    ],
    ids=str,
)
def test_what_is_not_told_is_wrong_usage(service, arguments):
    service.run("sessions", *arguments, code=2)
    assert len(service.listed("--user", "ann")) == 2


def test_sessions_in_memory_are_those_of_another_process():
    service = Service(SimpleTokenstore())
    assert "in the memory of each process" in service.run("sessions", "list", "--user", "ann", code=2).stderr


def test_of_several_stores_one_is_named(tmp_path):
    service = Service(*(SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/{name}.db") for name in ("a", "b")))
    for tokens, username in zip(service.tokens, ("ann", "bob"), strict=True):
        tokens.issue_tokens(username)
    assert "say which one by --store" in service.run("sessions", "list", "--user", "ann", code=2).stderr
    assert [len(service.listed("--user", "bob", "--store", name)) for name in ("token0", "token1")] == [0, 1]


def test_a_store_that_is_down_is_a_3(tmp_path):
    service = Service(SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/nowhere/x.db"))
    service.run("sessions", "list", "--user", "ann", code=3)


def test_check_tells_of_origins_that_no_provider_has(store, tmp_path):
    keys = SQLAlchemyKeystore(f"sqlite:///{tmp_path}/keys.db")
    keys.issue(owner=User("ann"), owner_origin="ldap:one")
    keys.issue(app_name="ci")
    before = Service(store, keystore=keys)
    before.tokens[0].issue_tokens("ann", origin="ldap")
    before.tokens[0].issue_tokens("ann")
    assert before.run("check").stdout == ""
    del before
    renamed = Service(store, name="directory", keystore=keys)
    told = renamed.run("check").stdout
    assert f"the {type(store).__name__} has sessions of accounts of 'ldap', and there is no provider" in told
    assert "flask securest sessions end --origin ldap" in told
    assert "the SQLAlchemyKeystore has keys of accounts of 'ldap:one'" in told
    renamed.run("sessions", "end", "--origin", "ldap", "--yes")
    assert "sessions of accounts" not in renamed.run("check").stdout
