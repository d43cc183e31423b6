"""Sessions behind tokens: the stores, the life of a session, and the Resources to mount."""

import importlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from flask import request
from helpers import (
    ALICE,
    BOB,
    FAST,
    SECRET_KEY,
    api_key,
    basic,
    in_whole_seconds,
    make_tokenstore,
    make_userstore,
    new_who,
    secured,
    wait_until,
    with_key,
)
from passlib.hash import sha256_crypt
from servers.redis import PASSWORD, PATIENCE, redis

from flask_securest import User, current_identity
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.errors import BackendError, ConfigurationError, MissingDependencyError
from flask_securest.keystores import SimpleKeystore
from flask_securest.signals import refresh_token_reused
from flask_securest.testing import TokenstoreContract
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.models import Session
from flask_securest.tokenstores.redis import RedisTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import SimpleUserstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore


class TestSimpleTokenstore(TokenstoreContract):
    def make_tokenstore(self):
        return SimpleTokenstore()

    def test_what_has_expired_is_thrown_away(self):
        store = SimpleTokenstore()
        for number in range(1500):
            past = datetime.now(timezone.utc) - timedelta(seconds=1)
            store.add_session(self.make_session(id=f"x{number}", expires_at=past))
        assert len(store._sessions) < 1000


class OnSQL(TokenstoreContract):
    def make_tokenstore(self):
        self.url = self.new_url()
        store = SQLAlchemyTokenstore(self.url)
        store.create_schema()
        return store

    def open_again(self, store):
        return SQLAlchemyTokenstore(self.url)


class TestTokensOnSQLite(OnSQL):
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path):
        self.new_url = lambda: f"sqlite:///{tmp_path}/tokens.db"


class TestTokensOnPostgreSQL(OnSQL):
    @pytest.fixture(autouse=True)
    def _database(self, postgresql_server):
        self.new_url = postgresql_server.new_url


class TestTokensOnRedis(TokenstoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server):
        self.server = redis_server

    def make_tokenstore(self):
        self.url = self.server.new_url()
        return RedisTokenstore(self.url, timeout=PATIENCE)

    def open_again(self, store):
        return RedisTokenstore(self.url, timeout=PATIENCE)

    def test_redis_forgets_a_session_when_it_expires(self):
        store = self.make_tokenstore()
        session = self.make_session(expires_at=in_whole_seconds() + timedelta(seconds=2))
        store.add_session(session)
        assert store.get_session(session.id) == session
        assert 0 < store._redis.ttl(f"securest:session:{session.id}") <= 2

    @pytest.mark.parametrize("url", ["nonsense", "", None, 7, "http://127.0.0.1", f"redis:/{PASSWORD}@x:y/z"])
    def test_what_is_no_url_is_a_clear_error_that_shows_no_password(self, url):
        with pytest.raises(ConfigurationError) as caught:
            RedisTokenstore(url)
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(caught.value.__context__)

    def test_a_wrong_password_is_a_back_end_that_cannot_tell(self):
        store = RedisTokenstore(self.server.new_url().replace(PASSWORD, "planted"))
        with pytest.raises(BackendError) as caught:
            store.get_session("A" * 16)
        assert "planted" not in f"{caught.value!r} {store!r}"


STORES = ["memory", "SQLite", "PostgreSQL", "Redis"]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return make_tokenstore(request.param, request, tmp_path)


def make_api(store, users=None, providers=(), options=None, **paths):
    tokens = TokenAuthenticator(SECRET_KEY, store=store, **options or {})
    chain = [api_key(app_name="alice"), PasswordAuthenticator(password_hasher=FAST), tokens, *providers]
    app, api, securest = secured(new_who(), providers=chain, userstore=users or make_userstore())
    add_token_resources(api, securest, tokens, **paths)
    client = app.test_client()
    client.tokens = tokens
    return client, tokens, securest


def bearer(answer):
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def refresh(client, answer):
    return client.post("/tokens/refresh", json={"refresh_token": answer.json["refresh_token"]})


class TestTheLifeOfASession:
    @pytest.fixture(autouse=True)
    def _api(self, store):
        self.store = store
        self.client, self.tokens, self.securest = make_api(store)

    def log_in(self, headers=ALICE, **fields):
        answer = self.client.post("/tokens", headers={**headers, "User-Agent": "tests/1"}, json=fields)
        assert answer.status_code == 200, answer.text
        return answer

    def status(self, answer):
        return self.client.get("/who", headers=bearer(answer)).status_code

    def test_a_log_in_gets_what_rfc_6749_says(self):
        answer = self.log_in()
        assert set(answer.json) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert answer.json["token_type"] == "Bearer"
        assert answer.json["expires_in"] in (599, 600)
        assert answer.headers["Cache-Control"] == "no-store"
        assert self.client.get("/who", headers=bearer(answer)).json == {"user": "alice", "provider": "token"}

    def test_a_token_cannot_be_traded_for_another_one(self):
        answer = self.log_in()
        assert self.client.post("/tokens", headers=bearer(answer)).status_code == 403
        assert self.client.post("/tokens").status_code == 401
        assert self.client.post("/tokens", headers=with_key()).status_code == 200

    def test_a_refresh_token_is_good_once(self):
        first = self.log_in()
        second = refresh(self.client, first)
        assert second.status_code == 200
        assert second.headers["Cache-Control"] == "no-store"
        assert self.status(second) == self.status(first) == 200
        third = refresh(self.client, second)
        assert third.status_code == 200
        assert len({answer.json["refresh_token"] for answer in (first, second, third)}) == 3

    def test_a_used_one_that_comes_again_ends_the_whole_family_and_is_signalled(self):
        first = self.log_in()
        second = refresh(self.client, first)
        third = refresh(self.client, second)
        heard = []

        def hear(sender, session, ended):
            heard.append((sender, session.username, ended))

        with refresh_token_reused.connected_to(hear):
            stolen = refresh(self.client, first)
        assert (stolen.status_code, stolen.json) == (400, {"error": "invalid_grant"})
        assert heard == [(self.tokens, "alice", True)]
        assert refresh(self.client, third).status_code == 400
        assert [self.status(answer) for answer in (first, second, third)] == [401] * 3

    def test_one_that_is_used_twice_at_the_same_moment_is_refused_and_ends_nothing(self):
        first = self.log_in()
        second = refresh(self.client, first)
        assert refresh(self.client, first).status_code == 400
        assert self.status(second) == 200
        assert refresh(self.client, second).status_code == 200

    def test_after_a_moment_it_is_a_theft(self, monkeypatch):
        first = self.log_in()
        refresh(self.client, first)
        later = self.store.now() + timedelta(seconds=5)
        monkeypatch.setattr(self.store, "now", lambda: later)
        assert refresh(self.client, first).status_code == 400
        assert self.status(first) == 401

    def test_of_two_refreshes_at_the_same_moment_exactly_one_wins(self):
        for _ in range(3):
            first = self.log_in()
            clients = [self.client.application.test_client() for _ in range(4)]
            with ThreadPoolExecutor(4) as pool:
                statuses = list(pool.map(lambda client, first=first: refresh(client, first).status_code, clients))
            assert sorted(statuses) == [200, 400, 400, 400]
            assert self.status(first) == 200

    def test_logging_out_is_effective_with_the_next_request(self):
        here, there = self.log_in(), self.log_in()
        assert self.client.delete("/tokens/current", headers=bearer(here)).status_code == 204
        assert self.status(here) == 401
        assert refresh(self.client, here).status_code == 400
        assert self.status(there) == 200
        assert self.client.delete("/tokens/current", headers=ALICE).status_code == 401

    def test_logging_out_everywhere_ends_all_sessions_of_the_caller(self):
        here, there, other = self.log_in(), self.log_in(), self.log_in(BOB)
        assert self.client.delete("/tokens", headers=ALICE).status_code == 204
        assert [self.status(answer) for answer in (here, there, other)] == [401, 401, 200]
        assert self.client.delete("/tokens").status_code == 401

    def test_sessions_are_listed_for_their_user_alone(self):
        here, _, _ = self.log_in(), self.log_in(), self.log_in(BOB)
        listed = self.client.get("/tokens", headers=bearer(here)).json
        assert len(listed) == 2
        assert sorted(each["current"] for each in listed) == [False, True]
        assert {each["client"] for each in listed} == {"tests/1"}
        assert set(listed[0]) == {"id", "client", "current", "scope", "created_at", "last_used_at", "expires_at"}
        deadline = time.monotonic() + 10
        while not any(each["last_used_at"] for each in self.client.get("/tokens", headers=ALICE).json):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_a_changed_password_or_a_disabled_user_ends_all_their_tokens(self):
        answer = self.log_in()
        self.securest.userstore = SimpleUserstore([User("alice", FAST.hash("changed"))])
        assert self.status(answer) == 401
        assert refresh(self.client, answer).status_code == 400
        self.securest.userstore = make_userstore()
        answer = self.log_in()
        alice = self.securest.userstore.get_user("alice")
        self.securest.userstore = SimpleUserstore([User("alice", alice.password, active=False)])
        assert self.status(answer) == 401
        assert refresh(self.client, answer).status_code == 400
        self.securest.userstore = SimpleUserstore([User("bob")])
        assert self.status(answer) == 401

    def test_a_token_has_no_more_scopes_than_were_asked_for(self):
        answer = self.log_in(scope="write read")
        assert answer.json["scope"] == "read write"
        refreshed = refresh(self.client, answer)
        assert refreshed.json["scope"] == "read write"

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", "application/json"),
            (b"{}", "application/json"),
            (b"[]", "application/json"),
            (b'{"refresh_token": 7}', "application/json"),
            (b"not json", "application/json"),
            (b"\xff\xfe", "application/json"),
            (b"[" * 10_000, "application/json"),
            (b'{"refresh_token": "' + b"x" * 20_000 + b'"}', "application/json"),
            (b"grant_type=password&refresh_token=x", "application/x-www-form-urlencoded"),
            (b"&".join(b"a=b" for _ in range(100)), "application/x-www-form-urlencoded"),
        ],
        ids=lambda value: ascii(value)[:30],
    )
    def test_what_is_no_request_is_400(self, body, kind):
        answer = self.client.post("/tokens/refresh", data=body, content_type=kind)
        assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})

    def test_a_form_will_do(self):
        first = self.log_in()
        form = {"grant_type": "refresh_token", "refresh_token": first.json["refresh_token"]}
        assert self.client.post("/tokens/refresh", data=form).status_code == 200

    def test_a_refresh_token_that_is_not_ours_is_refused_and_ends_nothing(self):
        first = self.log_in()
        token = first.json["refresh_token"]
        inner, _, signature = token.rpartition(".")
        other = TokenAuthenticator("another secret key, long enough", store=SimpleTokenstore())
        forged = [token[:-1], token + "A", inner, f".{signature}", "é", "\ud800", "x" * 9000, f"{inner}.{'A' * 43}"]
        forged += [other.issue_tokens("alice").refresh_token, first.json["access_token"]]
        for wrong in forged:
            answer = self.client.post("/tokens/refresh", json={"refresh_token": wrong})
            assert (answer.status_code, answer.json) == (400, {"error": "invalid_grant"}), wrong[:20]
        assert self.client.get("/who", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert refresh(self.client, first).status_code == 200

    def test_a_second_process_knows_the_same_sessions(self):
        answer = self.log_in()
        if isinstance(self.store, SimpleTokenstore):
            again = self.store
        elif isinstance(self.store, RedisTokenstore):
            arguments = self.store._redis.connection_pool.connection_kwargs
            where = f"{arguments['host']}:{arguments['port']}/{arguments['db']}"
            again = RedisTokenstore(f"redis://:{PASSWORD}@{where}", timeout=PATIENCE)
        else:
            again = SQLAlchemyTokenstore(self.store._database._make_engine().url)
        second, _, _ = make_api(again, users=self.securest.userstore)
        assert second.get("/who", headers=bearer(answer)).status_code == 200
        refreshed = refresh(second, answer)
        assert second.delete("/tokens", headers=ALICE).status_code == 204
        assert self.status(answer) == self.status(refreshed) == 401


class TestWhatATokenIsTradedFor:
    """No token outlives, or has more rights than, the credentials that it was issued for."""

    @pytest.fixture(autouse=True)
    def _api(self):
        self.keystore = SimpleKeystore()
        keys = HeaderApiKeyAuthenticator("X-Key", keystore=self.keystore, name="keys")
        self.users = make_userstore()
        self.client, self.tokens, self.securest = make_api(SimpleTokenstore(), users=self.users, providers=[keys])

    def trade(self, **limits):
        issued = self.keystore.issue(**limits)
        return issued, self.client.post("/tokens", headers={"X-Key": issued.text})

    def test_of_an_api_key_there_is_no_session_that_would_outlive_its_revocation(self):
        _, answer = self.trade(owner=self.users.get_user("alice"))
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json
        (session,) = self.tokens.store.list_sessions("alice")
        assert session.expires_at - session.created_at <= timedelta(seconds=600)

    def test_a_key_that_is_good_from_some_networks_only_cannot_be_traded(self):
        _, answer = self.trade(owner=self.users.get_user("alice"), networks=["127.0.0.0/8"])
        assert answer.status_code == 403
        minted = []

        def post(self):
            with pytest.raises(ValueError, match="conditions"):
                tokens.generate_auth_token("alice")
            minted.append(None)
            return {}

        tokens = self.tokens
        issued = self.keystore.issue(app_name="ci", networks=["127.0.0.0/8"])
        provider = HeaderApiKeyAuthenticator("X-Key", keystore=self.keystore)
        app, _, _ = secured(new_who(post=post), providers=[provider])
        assert app.test_client().post("/who", headers={"X-Key": issued.text}).status_code == 200
        assert minted == [None]

    def test_the_token_of_an_application_has_not_the_rights_of_a_user_of_its_name(self):
        seen = []
        resource = new_who(get=lambda self: seen.append(current_identity._get_current_object()) or {})
        app, _, _ = secured(resource, providers=[self.tokens], userstore=self.users)
        for headers in (with_key(), {"X-Key": self.keystore.issue(app_name="alice").text}):
            answer = self.client.post("/tokens", headers=headers)
            assert "refresh_token" not in answer.json
            assert app.test_client().get("/who", headers=bearer(answer)).status_code == 200
            assert (seen[-1].user.username, seen[-1].app_name, set(seen[-1].user.roles)) == ("alice", "alice", set())
            for verb in ("get", "delete"):
                assert getattr(self.client, verb)("/tokens", headers=bearer(answer)).status_code == 403
                assert getattr(self.client, verb)("/tokens", headers=headers).status_code == 403

    def test_limited_credentials_neither_list_nor_end_the_sessions_of_their_user(self):
        whole = self.client.post("/tokens", headers=ALICE)
        limited = self.client.post("/tokens", headers=ALICE, json={"scope": "read"})
        for verb in ("get", "delete"):
            assert getattr(self.client, verb)("/tokens", headers=bearer(limited)).status_code == 403
        assert self.client.get("/who", headers=bearer(whole)).status_code == 200
        assert self.client.delete("/tokens/current", headers=bearer(limited)).status_code == 204
        assert self.client.get("/who", headers=bearer(limited)).status_code == 401

    def test_a_limit_is_never_lost_because_somebody_has_read_the_body_before(self):
        app = self.client.application
        app.before_request_funcs[None].insert(0, lambda: (request.get_data(cache=True), None)[1])
        assert self.client.post("/tokens", headers=ALICE, json={"scope": "read"}).json["scope"] == "read"
        form = self.client.post("/tokens", headers=ALICE, data={"scope": "read"})
        assert form.json["scope"] == "read"
        app.before_request_funcs[None][0] = lambda: (request.form.get("x"), None)[1]
        assert self.client.post("/tokens", headers=ALICE, data={"scope": "read"}).json["scope"] == "read"
        app.before_request_funcs[None][0] = lambda: (request.stream.read(), None)[1]
        assert self.client.post("/tokens", headers=ALICE, json={"scope": "read"}).status_code == 400

    @pytest.mark.parametrize(
        "body", ["scope=read&scope=write", '{"scope": "read", "scope": "write"}', '{"scope": ["read"]}', '["scope"]']
    )
    def test_what_is_there_twice_or_of_the_wrong_kind_is_refused(self, body):
        kind = "application/json" if body[0] in "{[" else "application/x-www-form-urlencoded"
        answer = self.client.post("/tokens", headers=ALICE, data=body, content_type=kind)
        assert (answer.status_code, answer.json) == (400, {"error": "invalid_request"})

    def test_what_was_not_issued_leaves_no_session(self):
        scope = " ".join(f"s{number}" for number in range(1800))
        assert self.client.post("/tokens", headers=ALICE, json={"scope": scope}).status_code == 400
        assert list(self.tokens.store.list_sessions("alice")) == []

    def test_a_token_by_name_can_be_refreshed(self):
        issued = self.tokens.issue_tokens("alice")
        answer = self.client.post("/tokens/refresh", json={"refresh_token": issued.refresh_token})
        assert answer.status_code == 200

    def test_a_disabled_user_s_session_does_not_begin_again(self):
        answer = self.client.post("/tokens", headers=ALICE)
        alice = self.users.get_user("alice")
        self.securest.userstore = SimpleUserstore([User("alice", alice.password, active=False)])
        assert self.client.get("/who", headers=bearer(answer)).status_code == 401
        self.securest.userstore = self.users
        assert self.client.get("/who", headers=bearer(answer)).status_code == 401
        assert refresh(self.client, answer).status_code == 400

    @pytest.mark.parametrize("name", ["jwt", "introspection", "token"])
    def test_no_kind_of_token_can_be_traded(self, name):
        module = importlib.import_module(f"flask_securest.authentication_providers.{name}")
        (provider,) = (
            each
            for each in vars(module).values()
            if isinstance(each, type) and each.__module__ == module.__name__ and hasattr(each, "authenticate")
        )
        assert provider.credentials_are_tokens

    def test_two_logins_at_once_that_renew_a_hash_both_get_a_token_that_works(self, tmp_path):
        users = SQLAlchemyUserstore(f"sqlite:///{tmp_path}/users.db")
        users.add_users([User("alice", sha256_crypt.using(rounds=1000).hash("wonderland"))])
        client, _, _ = make_api(SimpleTokenstore(), users=users)
        with ThreadPoolExecutor(4) as pool:
            clients = [client.application.test_client() for _ in range(4)]
            answers = list(pool.map(lambda each: each.post("/tokens", headers=ALICE), clients))
        assert [client.get("/who", headers=bearer(answer)).status_code for answer in answers] == [200] * 4


class TestLimits:
    def make(self, user, **options):
        users = SimpleUserstore([user])
        return make_api(SimpleTokenstore(), users=users, **options)

    def test_scopes_never_exceed_the_users(self):
        user = User("alice", FAST.hash("wonderland"), attributes={"scopes": ["read"]})
        client, tokens, _ = self.make(user)
        answer = client.post("/tokens", headers=ALICE, json={"scope": "read delete"})
        assert (answer.status_code, answer.json) == (400, {"error": "invalid_scope"})
        assert client.post("/tokens", headers=ALICE).json["scope"] == "read"
        with pytest.raises(ValueError, match="delete"):
            tokens.generate_auth_token(user, scopes=["delete"])

    def test_a_token_is_limited_by_the_credentials_that_it_was_issued_for(self):
        keystore = SimpleKeystore()
        user = User("alice")
        soon = in_whole_seconds() + timedelta(seconds=100)
        issued = keystore.issue(owner=user, scopes=["read"], expires_at=soon)
        provider = HeaderApiKeyAuthenticator("X-Key", keystore=keystore, name="keys")
        client, _, _ = self.make(user, providers=[provider])
        headers = {"X-Key": issued.text}
        answer = client.post("/tokens", headers=headers)
        assert answer.json["scope"] == "read"
        assert 95 <= answer.json["expires_in"] <= 100
        assert client.post("/tokens", headers=headers, json={"scope": "read write"}).json == {"error": "invalid_scope"}
        (session,) = client.tokens.store.list_sessions("alice")
        assert session.expires_at <= soon

    def test_a_view_cannot_mint_more_than_its_caller_has(self):
        minted = []

        def post(self):
            for scopes in (None, ["read"], ["read", "write"]):
                try:
                    minted.append(tokens.generate_auth_token("bob", scopes=scopes))
                except ValueError:
                    minted.append(None)
            return {}

        tokens = TokenAuthenticator(SECRET_KEY)
        app, _, _ = secured(new_who(post=post), providers=[tokens])
        limited = tokens.generate_auth_token("alice", scopes=["read"])
        assert app.test_client().post("/who", headers={"Authorization": f"Bearer {limited}"}).status_code == 200
        assert minted[2] is None
        for token in minted[:2]:
            assert _scopes_of(tokens, token) == {"read"}

    def test_with_a_store_a_token_without_a_session_is_refused(self):
        client, _, _ = self.make(User("alice"))
        former = TokenAuthenticator(SECRET_KEY).generate_auth_token("alice")
        assert client.get("/who", headers={"Authorization": f"Bearer {former}"}).status_code == 401

    def test_a_token_that_a_view_has_made_can_be_revoked(self):
        client, tokens, _ = self.make(User("alice"))
        headers = {"Authorization": f"Bearer {tokens.generate_auth_token('alice')}"}
        assert client.get("/who", headers=headers).status_code == 200
        assert tokens.store.end_sessions("alice") == 1
        assert client.get("/who", headers=headers).status_code == 401

    def test_a_changed_password_ends_tokens_without_a_store_too(self):
        tokens = TokenAuthenticator(SECRET_KEY)
        users = make_userstore()
        app, _, securest = secured(new_who(), providers=[tokens], userstore=users)
        headers = {"Authorization": f"Bearer {tokens.generate_auth_token(users.get_user('alice'))}"}
        client = app.test_client()
        assert client.get("/who", headers=headers).status_code == 200
        securest.userstore = make_userstore()  # the same password with another salt is another password
        assert client.get("/who", headers=headers).status_code == 401

    def test_former_secret_keys_log_nobody_out(self):
        store = SimpleTokenstore()
        before = TokenAuthenticator("the former secret key, long enough", store=store)
        users = make_userstore()
        issued = before.issue_tokens(users.get_user("alice"))
        after = TokenAuthenticator(SECRET_KEY, fallback_secret_keys=["the former secret key, long enough"], store=store)
        app, _, _ = secured(new_who(), providers=[after], userstore=users)
        headers = {"Authorization": f"Bearer {issued.access_token}"}
        assert app.test_client().get("/who", headers=headers).status_code == 200
        assert after.refresh_tokens(issued.refresh_token, users).access_token
        stranger = TokenAuthenticator(SECRET_KEY, store=store)
        assert (
            secured(new_who(), providers=[stranger], userstore=users)[0]
            .test_client()
            .get("/who", headers=headers)
            .status_code
            == 401
        )

    @pytest.mark.parametrize(("seconds", "status"), [(-60, 200), (60, 200), (61, 200), (-61, 401)])
    def test_clocks_may_be_a_minute_apart(self, monkeypatch, seconds, status):
        tokens = TokenAuthenticator(SECRET_KEY)
        token = tokens.generate_auth_token("alice")
        now = tokens._signers._own.get_timestamp()
        monkeypatch.setattr(tokens._signers._own, "get_timestamp", lambda: now + seconds)
        client = secured(new_who(), providers=[tokens])[0].test_client()
        assert client.get("/who", headers={"Authorization": f"Bearer {token}"}).status_code == status


def _scopes_of(tokens, token):
    from flask_securest.testing import make_request

    return tokens.authenticate(make_request({"Authorization": f"Bearer {token}"}), None).scopes


class TestWhichResourcesThereAre:
    def test_without_a_store_there_is_only_the_issuing_one(self):
        client, _, _ = make_api(None)
        answer = client.post("/tokens", headers=ALICE)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json
        assert client.post("/tokens/refresh", headers=ALICE).status_code == 404
        assert client.get("/tokens", headers=ALICE).status_code == 405

    def test_paths_are_the_applications_choice(self):
        paths = {"issue": "/log-in", "refresh": "/again", "log_out": "/log-in", "log_out_everywhere": None}
        client, _, _ = make_api(SimpleTokenstore(), sessions="/me/sessions", **paths)
        answer = client.post("/log-in", headers=ALICE)
        assert client.post("/again", json={"refresh_token": answer.json["refresh_token"]}).status_code == 200
        assert len(client.get("/me/sessions", headers=ALICE).json) == 1
        assert client.delete("/log-in", headers=bearer(answer)).status_code == 204
        assert client.get("/tokens", headers=ALICE).status_code == 404

    def test_two_on_one_path_are_a_clear_error(self):
        with pytest.raises(ConfigurationError, match="DELETE /tokens"):
            make_api(SimpleTokenstore(), log_out="/tokens")

    @pytest.mark.parametrize("place", range(3))
    def test_an_argument_of_the_wrong_type_is_a_clear_error(self, place):
        tokens = TokenAuthenticator(SECRET_KEY)
        _, api, securest = secured(new_who(), providers=[tokens])
        arguments = [api, securest, tokens]
        arguments[place] = None
        with pytest.raises(ConfigurationError):
            add_token_resources(*arguments)

    def test_what_is_no_store_is_a_clear_error(self):
        with pytest.raises(ConfigurationError, match="store"):
            TokenAuthenticator(SECRET_KEY, store={})

    def test_they_are_in_the_census(self):
        _, _, securest = make_api(SimpleTokenstore())
        routes = {(route.verb, route.url): route.access for route in securest.route_census()}
        assert routes["POST", "/tokens"] == routes["DELETE", "/tokens/current"] == "closed"
        assert routes["POST", "/tokens/refresh"] == "public"

    def test_without_the_library_the_constructor_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "redis", None)
        with pytest.raises(MissingDependencyError, match=r"flask_securest\[redis\]"):
            RedisTokenstore("redis://127.0.0.1")


class TestAStoreThatIsDown:
    def test_redis_stopped_under_load_is_503_and_it_recovers(self):
        with redis() as server:
            client, _, _ = make_api(RedisTokenstore(server.new_url(), timeout=1))
            answer = client.post("/tokens", headers=ALICE)
            answers, ended = [], threading.Event()

            def load():
                own = client.application.test_client()
                while not ended.is_set():
                    answers.append(own.get("/who", headers=bearer(answer)).status_code)

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            try:
                wait_until(lambda: len(answers) > 50)
                server.stop()
                wait_until(lambda: answers[-20:] == [503] * 20)
                assert client.post("/tokens", headers=ALICE).status_code == 503
                assert refresh(client, answer).status_code == 503
                server.start()
                wait_until(lambda: answers[-20:] == [200] * 20)
            finally:
                ended.set()
                for thread in threads:
                    thread.join(30)
            assert set(answers) == {200, 503}
            assert refresh(client, answer).status_code == 200

    def test_the_same_on_postgresql(self, postgresql_server):
        client, _, _ = make_api(SQLAlchemyTokenstore(postgresql_server.new_url()))
        answer = client.post("/tokens", headers=ALICE)
        postgresql_server.stop()
        try:
            assert client.get("/who", headers=bearer(answer)).status_code == 503
            assert refresh(client, answer).status_code == 503
        finally:
            postgresql_server.start()
        assert client.get("/who", headers=bearer(answer)).status_code == 200
        assert refresh(client, answer).status_code == 200


def test_a_wrong_password_gets_no_token():
    client, _, _ = make_api(SimpleTokenstore())
    assert client.post("/tokens", headers=basic("alice", "wrong")).status_code == 401


class TestSessionsInMemory:
    """They have a bound, and no call walks over those of others."""

    def make(self, number, *, username="ann", seconds=3600):
        now = datetime.now(timezone.utc)
        expires_at = now + timedelta(seconds=seconds)
        return Session(id=f"{number:016}", username=username, created_at=now, expires_at=expires_at)

    def test_with_one_too_many_the_next_to_expire_ends(self):
        store = SimpleTokenstore(most_sessions=3)
        for number, seconds in enumerate((500, 400, 600, 700)):
            store.add_session(self.make(number, seconds=seconds))
        assert [session.id for session in store.list_sessions("ann")] == [f"{number:016}" for number in (0, 2, 3)]
        assert store.get_session(f"{1:016}") is None

    def test_what_has_expired_or_ended_takes_no_memory(self):
        store = SimpleTokenstore()
        for number in range(5000):
            store.add_session(self.make(number, username=f"user {number}", seconds=-1))
        for number in range(5000, 10_000):
            store.add_session(self.make(number, username=f"user {number}"))
            assert store.end_session(f"{number:016}")
        assert [len(each) for each in (store._sessions, store._of_accounts)] == [0, 0]
        assert len(store._expiring) <= 1001

    def test_no_call_walks_over_the_sessions_of_others(self):
        class Counted(dict):
            walks = 0

            def values(self):
                Counted.walks += 1
                return super().values()

            items = __iter__ = values

        store = SimpleTokenstore()
        store._sessions = Counted()
        for number in range(3000):
            store.add_session(self.make(number, username=f"user {number % 10}"))
        session = next(store.list_sessions("user 1"))
        store.record_uses({session.id: session.created_at})
        store.end_session(session.id)
        assert store.end_sessions("user 2") == 300
        assert Counted.walks == 0

    def test_the_same_id_again_is_one_session(self):
        store = SimpleTokenstore()
        store.add_session(self.make(1))
        store.add_session(self.make(1, username="bob"))
        assert list(store.list_sessions("ann")) == []
        assert len(list(store.list_sessions("bob"))) == 1

    @pytest.mark.parametrize("most", [0, -1, True, 1.5, "9"])
    def test_a_bound_that_is_none_is_an_error(self, most):
        with pytest.raises(ConfigurationError, match="most_sessions must be"):
            SimpleTokenstore(most_sessions=most)
