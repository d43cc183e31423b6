"""No secret shows in a log, a repr, a traceback or a table: secrets are planted, and searched for."""

import base64
import contextlib
import gc
import io
import json
import logging
import sqlite3
import traceback

import pytest
import sqlalchemy as sa
from helpers import FAST, basic, new_who, secured

from flask_securest import User, require
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.cli import securest as command_line
from flask_securest.errors import SecuRESTError
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.signals import refresh_token_reused, request_authenticated, request_refused
from flask_securest.support.logs import get_logger
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

PASSWORD = "planted-password-5d1f"
NEW_PASSWORD = "planted-new-password-9c3a"
WRONG_PASSWORD = "planted-wrong-password-77aa"
TOKEN_SECRET = "planted-token-secret-0f0f0f0f"


class Bystander:
    """Collect everything that anybody outside could read."""

    def __init__(self):
        self.seen = []
        self.secrets = {PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, TOKEN_SECRET}

    def plant(self, *secrets):
        self.secrets |= set(secrets)

    def see(self, what, text):
        self.seen.append((what, str(text)))

    def see_error(self, what, error):
        self.see(what, f"{error!r} " + "".join(traceback.format_exception(error)))

    def search(self):
        assert self.seen
        for what, text in self.seen:
            for secret in self.secrets:
                for spelt in _spellings(secret):
                    assert spelt not in text, f"{what} shows {secret!r}"


def _spellings(secret):
    yield secret
    yield base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    yield secret.encode().hex()


@pytest.fixture
def bystander():
    bystander = Bystander()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    level, root.level = root.level, logging.DEBUG
    databases = logging.getLogger("sqlalchemy")
    before, databases.level = databases.level, logging.INFO  # at DEBUG it shows the rows, to whoever asks for that
    yield bystander
    root.removeHandler(handler)
    root.level, databases.level = level, before
    bystander.see("the log", stream.getvalue())
    bystander.search()


@pytest.fixture
def api(tmp_path, bystander):
    path = tmp_path / "securest.db"
    users, keys = SQLAlchemyUserstore(f"sqlite:///{path}"), SQLAlchemyKeystore(f"sqlite:///{path}")
    providers = [
        HeaderApiKeyAuthenticator(keystore=keys),
        PasswordAuthenticator(password_hasher=FAST),
        TokenAuthenticator(TOKEN_SECRET),
    ]
    resource = new_who(post=require(roles="nobody")(lambda self: {}))
    app, _, securest = secured(resource, providers=providers, userstore=users)
    providers[0].register_key("planted-registered-key-31e1", "billing")
    stored = FAST.hash(PASSWORD)
    users.add_users([User("alice", stored, roles=["admin"]), User("bob", FAST.hash(PASSWORD), active=False)])
    issued = keys.issue(owner=users.get_user("alice"))
    rotated = keys.rotate(issued.key.id)
    bystander.plant("planted-registered-key-31e1", stored, stored[-20:])
    for each in (issued, rotated):
        bystander.plant(each.text, each.text[26:], each.key.digest.hex(), repr(each.key.digest)[2:-1])
    token = providers[2].generate_auth_token("alice")
    bystander.plant(token, token.rpartition(".")[2])
    for shown in (app, securest, *providers, users, keys, users.get_user("alice"), issued, rotated, issued.key):
        bystander.see("a repr", repr(shown))
    return app, securest, users, keys, path, (issued, rotated), token


def test_requests_of_every_kind_show_no_secret(api, bystander):
    app, securest, _, _, path, issued, token = api
    heard = []

    def hear(sender, **what):
        heard.append(what)

    good = [
        basic("alice", PASSWORD),
        {"X-API-Key": "planted-registered-key-31e1"},
        {"Authorization": f"Bearer {token}"},
    ]
    good += [{"X-API-Key": each.text} for each in issued]
    wrong = [basic("alice", WRONG_PASSWORD), basic("nobody", WRONG_PASSWORD), basic("bob", PASSWORD)]
    wrong += [{"Authorization": f"Bearer {token}x"}, {"X-API-Key": issued[0].text + "x"}]
    wrong += [{"X-API-Key": f"securest_{issued[0].key.id}_{issued[0].text[26:]}"[:-1] + "~"}]
    client = app.test_client()
    with request_authenticated.connected_to(hear), request_refused.connected_to(hear):
        for headers in (*good, *wrong):
            for verb in ("get", "post"):
                answer = getattr(client, verb)("/who", headers=headers)
                bystander.see("an answer", f"{answer.headers} {answer.text}")
        assert {what["verdict"].status for what in heard} == {None, 401, 403}
        with sqlite3.connect(path) as connection:
            connection.execute("ALTER TABLE securest_users RENAME TO gone")
        connection.close()
        for headers in (*good, *wrong):
            answer = client.get("/who", headers=headers)
            bystander.see("an answer", f"{answer.headers} {answer.text}")
        assert 503 in {what["verdict"].status for what in heard}
    for what in heard:
        bystander.see("a verdict", f"{what['verdict']!r} {what['verdict'].reason} {what['verdict'].outcome!r}")
        if what["verdict"].error is not None:
            bystander.see_error("an error", what["verdict"].error)
    bystander.see("a repr", repr(securest))


def test_a_bug_in_a_store_shows_no_secret(api, bystander, monkeypatch):
    app, _, users, keys, _, issued, _ = api

    def fail(self, connection, *args):
        password = args[-1]  # noqa: F841  # a local variable, which no traceback shows
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(users._tables), "find", fail)
    monkeypatch.setattr(type(keys._tables), "find", fail)
    client = app.test_client()
    for headers in (basic("alice", PASSWORD), {"X-API-Key": issued[1].text}):
        assert client.get("/who", headers=headers).status_code == 500


def test_a_hash_that_cannot_be_renewed_shows_no_secret(api, bystander, monkeypatch):
    app, _, users, _, path, _, _ = api
    from passlib.hash import sha256_crypt

    outdated = sha256_crypt.using(rounds=1000).hash(PASSWORD)
    bystander.plant(outdated, outdated[-20:])
    users.set_password("alice", outdated)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON securest_users BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    connection.close()
    assert app.test_client().get("/who", headers=basic("alice", PASSWORD)).status_code == 200
    assert users.get_user("alice").password == outdated


@pytest.mark.parametrize("store", ["users", "keys"])
def test_what_a_database_quotes_shows_nowhere(api, bystander, store):
    _, _, users, keys, path, issued, _ = api
    with sqlite3.connect(path) as connection:
        for table in ("securest_users", "securest_keys"):
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
    connection.close()
    calls = {
        "users": [
            lambda: users.add_users([User("carol", FAST.hash(NEW_PASSWORD))]),
            lambda: users.set_password("alice", NEW_PASSWORD),
            lambda: list(users.list_users()),
        ],
        "keys": [
            lambda: keys.rotate(issued[0].key.id),
            lambda: keys.add_keys([issued[0].key]),
            lambda: list(keys.list_keys()),
        ],
    }
    for call in calls[store]:
        with pytest.raises((SecuRESTError, ValueError)) as caught:
            call()
        bystander.see_error("an error", caught.value)
        for each in (caught.value.__context__, caught.value.__cause__):
            bystander.see("what led to it", repr(each))


def test_the_command_line_shows_no_secret_but_a_new_key_once(api, bystander, tmp_path):
    app, _, users, _, _, issued, _ = api
    runner = app.test_cli_runner()
    stored = users.get_user("alice").password
    lines = [
        "username,password,password_hash,roles",
        f"carol,{NEW_PASSWORD},,author",
        f"alice,{NEW_PASSWORD},,author",
        f",{NEW_PASSWORD},,",
        f"dan,{NEW_PASSWORD},{stored},",
        f"eve,,{PASSWORD},",
        f"frank,{NEW_PASSWORD},,,{PASSWORD}",
    ]
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines))
    key_id = issued[0].key.id
    calls = [
        ["users", "list"],
        ["users", "list", "--json"],
        ["users", "show", "alice"],
        ["users", "show", "alice", "--json"],
        ["users", "import", str(bad)],
        ["users", "import", "--dry-run", str(bad)],
        ["users", "show", "nobody"],
        ["keys", "list"],
        ["keys", "list", "--json"],
        ["keys", "show", key_id],
        ["keys", "show", key_id, "--json"],
        ["keys", "revoke", "--yes", key_id],
    ]
    for call in calls:
        result = runner.invoke(command_line, call)
        bystander.see(f"securest {' '.join(call)}", result.output)
    for call in (["users", "passwd", "alice"], ["users", "add", "alice"], ["users", "add", "zoe"]):
        result = runner.invoke(command_line, call, input=f"{NEW_PASSWORD}\n{NEW_PASSWORD}\n")
        bystander.see(f"securest {' '.join(call)}", result.output)
    result = runner.invoke(command_line, ["keys", "issue", "--owner", "alice", "--json"])
    new = json.loads(result.stdout)
    (text,) = [value for value in new.values() if isinstance(value, str) and value.startswith("securest_")]
    bystander.see("what is said beside the key", result.stderr)
    bystander.plant(text, text[26:])
    result = runner.invoke(command_line, ["keys", "list", "--json"])
    bystander.see("the list", result.output)


def test_no_engine_shows_the_parameters_of_a_statement(api, bystander):
    _, _, users, _, _, _, _ = api
    gc.collect()
    with pytest.raises(SecuRESTError) as caught:
        users._database.read(lambda connection: connection.execute(sa.text("SELECT :a FROM nowhere"), {"a": PASSWORD}))
    bystander.see_error("an error", caught.value)


def test_the_bystander_would_see_a_secret(bystander):
    get_logger("flask_securest.test").warning("something with %s in it", "planted-harmless")
    bystander.see("a log", f"... {PASSWORD} ...")
    with pytest.raises(AssertionError, match="a log shows"):
        bystander.search()
    bystander.seen = [("nothing", "")]


def test_the_life_of_a_session_shows_no_token(api, bystander, tmp_path):
    app, securest, users, _, _, _, _ = api
    store = SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/sessions.db")
    tokens = TokenAuthenticator(TOKEN_SECRET, store=store, name="sessions", header="X-Token")
    securest.register_authentication_provider(tokens)
    issued = tokens.issue_tokens(users.get_user("alice"))
    second = tokens.refresh_tokens(issued.refresh_token, users)
    third = tokens.refresh_tokens(second.refresh_token, users)
    for each in (issued, second, third):
        secret = each.refresh_token.rpartition(".")
        bystander.plant(each.access_token, each.refresh_token, secret[0][25:], secret[2])
    heard = []

    def hear(sender, **what):
        heard.append(what)

    with refresh_token_reused.connected_to(hear), pytest.raises(SecuRESTError) as caught:
        tokens.refresh_tokens(issued.refresh_token, users)
    bystander.see_error("an error", caught.value)
    (session,) = (what["session"] for what in heard)
    bystander.plant(session.refresh_digest.hex(), repr(session.refresh_digest)[2:-1], session.password_mark)
    for shown in (tokens, store, session, heard):
        bystander.see("a repr", repr(shown))
    assert app.test_client().get("/who", headers={"X-Token": third.access_token}).status_code == 401
    (tmp_path / "sessions.db").unlink()
    for call in (lambda: tokens.issue_tokens("alice"), lambda: store.get_session(session.id)):
        with contextlib.suppress(SecuRESTError):
            call()
