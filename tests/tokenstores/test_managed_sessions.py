"""Sessions are listed, limited and ended by whose they are, and by nobody else."""

from datetime import datetime, timedelta, timezone

import pytest
from helpers import FAST, Scripted, basic, bearer, in_whole_seconds, make_tokenstore, secured

from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.authentication_providers.abstract import AbstractAuthenticationProvider
from flask_securest.errors import ConfigurationError
from flask_securest.signals import refresh_token_reused, sessions_ended, tokens_issued, tokens_refreshed
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.userstores import SimpleUserstore

SECRET = "a secret key of the tests, long enough"
ANN, BOB = basic("ann", "pw"), basic("bob", "pw")


@pytest.fixture(params=["memory", "SQLite", "PostgreSQL", "Redis"])
def store(request, tmp_path):
    return make_tokenstore(request.param, request, tmp_path)


class Service:
    """An API that issues tokens, and a client of it."""

    def __init__(self, store, *providers, users=None, **options):
        self.users = users or SimpleUserstore([User(name, FAST.hash("pw")) for name in ("ann", "bob")])
        self.tokens = TokenAuthenticator(SECRET, store=store, **options)
        chain = [PasswordAuthenticator(password_hasher=FAST), self.tokens, *providers]
        app, api, self.securest = secured(providers=chain, userstore=self.users)
        add_token_resources(api, self.securest, self.tokens)
        self.client = app.test_client()

    def log_in(self, headers=ANN, **fields):
        answer = self.client.post("/tokens", headers=headers, json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refresh(self, tokens, **fields):
        return self.client.post("/tokens/refresh", json={"refresh_token": tokens["refresh_token"], **fields})

    def sessions(self, tokens):
        answer = self.client.get("/tokens", headers=bearer(tokens["access_token"]))
        return answer.json if answer.status_code == 200 else answer.status_code

    def end(self, session_id, headers):
        return self.client.delete(f"/tokens/{session_id}", headers=headers).status_code

    def current_id(self, tokens):
        return next(each["id"] for each in self.sessions(tokens) if each["current"])


@pytest.fixture
def heard():
    """Return what receivers have been told, of whom each raises."""
    told = []

    def listen(name):
        def receiver(sender, **what):
            told.append((name, what))
            raise RuntimeError("a receiver of the application")

        return receiver

    signals = {
        "issued": tokens_issued,
        "refreshed": tokens_refreshed,
        "reused": refresh_token_reused,
        "ended": sessions_ended,
    }
    receivers = [(signal, listen(name)) for name, signal in signals.items()]
    for signal, receiver in receivers:
        signal.connect(receiver)
    yield told
    for signal, receiver in receivers:
        signal.disconnect(receiver)


class TestEndingOneById:
    def test_it_ends_and_the_others_go_on(self, store, heard):
        service = Service(store)
        phone, laptop = service.log_in(), service.log_in()
        ended = service.current_id(phone)
        assert service.end(ended, bearer(laptop["access_token"])) == 204
        assert service.sessions(phone) == 401
        assert service.refresh(phone).status_code == 400
        assert [each["id"] for each in service.sessions(laptop)] == [service.current_id(laptop)]
        assert service.end(ended, bearer(laptop["access_token"])) == 404
        told = [what for name, what in heard if name == "ended"]
        assert [(what["session_id"], what["count"], what["reason"]) for what in told] == [
            (ended, 1, "ended by its user")
        ]

    def test_nobody_ends_or_finds_one_of_another_account(self, store):
        service = Service(store)
        ann, bob = service.log_in(), service.log_in(BOB)
        of_ann = service.current_id(ann)
        assert service.end(of_ann, bearer(bob["access_token"])) == 404
        assert service.end("A" * 16, bearer(bob["access_token"])) == 404
        assert service.end(of_ann, {}) == 401
        assert service.current_id(ann) == of_ann

    def test_a_namesake_of_another_provider_neither(self, store):
        service = Service(store, Scripted(User("ann")))
        of_ann = service.current_id(service.log_in())
        assert service.end(of_ann, {"X-Scripted": "x"}) == 404
        assert service.end(of_ann, ANN) == 204

    def test_credentials_that_are_limited_to_scopes_end_nothing(self, store):
        service = Service(store)
        limited = service.log_in(scope="read")
        assert service.end(service.current_id(service.log_in()), bearer(limited["access_token"])) == 403

    @pytest.mark.parametrize("path", ["/sessions", "/sessions/<id>"])
    def test_a_path_without_the_id_is_an_error(self, path):
        tokens = TokenAuthenticator(SECRET, store=SimpleTokenstore())
        _, api, securest = secured(providers=[tokens], userstore=SimpleUserstore([]))
        with pytest.raises(ConfigurationError, match="end_session must be a path with"):
            add_token_resources(api, securest, tokens, end_session=path)

    def test_what_is_no_id_is_nobodys(self, store):
        service = Service(store)
        service.log_in()
        for odd in ("%00", "a" * 5000, "%ED%A0%80", "*", "..", "%27"):
            assert service.end(odd, ANN) in (404, 308), odd


class TestHowMany:
    def test_with_one_more_the_oldest_ends(self, store, heard):
        service = Service(store, max_sessions=2)
        others = service.log_in(BOB)
        started = [service.log_in() for _ in range(4)]
        alive = [tokens for tokens in started if service.sessions(tokens) != 401]
        assert len(alive) == 2
        assert started[3] in alive
        assert len(service.sessions(started[3])) == 2
        assert len(service.sessions(others)) == 1
        told = [what for name, what in heard if name == "ended"]
        assert [(what["username"], what["origin"], what["reason"]) for what in told] == [("ann", None, "too many")] * 2

    def test_what_cannot_be_refreshed_neither_counts_nor_ends_anything(self, store):
        service = Service(store, max_sessions=1)
        browser = service.log_in()
        traded = [service.tokens.generate_auth_token("ann") for _ in range(3)]
        assert service.sessions(browser) != 401
        assert {service.sessions({"access_token": token}) == 401 for token in traded} == {False}

    @pytest.mark.parametrize("most", [0, -1, True, 1.0, "1", 10_001])
    def test_a_number_that_is_none_is_an_error(self, most):
        with pytest.raises(ConfigurationError, match="max_sessions must be"):
            TokenAuthenticator(SECRET, store=SimpleTokenstore(), max_sessions=most)

    @pytest.mark.parametrize("option", ["max_sessions", "idle_seconds"])
    def test_without_sessions_it_is_an_error(self, option):
        with pytest.raises(ConfigurationError, match="need sessions"):
            TokenAuthenticator(SECRET, **{option: 600})


class TestIdleness:
    def test_a_session_that_nobody_uses_ends(self, store, monkeypatch, heard):
        service = Service(store, idle_seconds=900)
        first, second = service.log_in(), service.log_in()
        monkeypatch.setattr(
            "flask_securest.tokenstores.keeping.now", lambda: in_whole_seconds() + timedelta(seconds=901)
        )
        assert service.sessions(first) == 401
        assert service.refresh(second).status_code == 400
        assert [what["reason"] for name, what in heard if name == "ended"] == ["idle", "idle"]
        monkeypatch.undo()
        assert service.sessions(first) == 401

    def test_one_that_is_used_or_refreshed_goes_on(self, store, monkeypatch):
        service = Service(store, idle_seconds=900)
        tokens = service.log_in()
        monkeypatch.setattr(
            "flask_securest.tokenstores.keeping.now", lambda: in_whole_seconds() + timedelta(seconds=800)
        )
        store.record_uses({service.current_id(tokens): in_whole_seconds() + timedelta(seconds=800)})
        monkeypatch.setattr(
            "flask_securest.tokenstores.keeping.now", lambda: in_whole_seconds() + timedelta(seconds=1600)
        )
        assert len(service.sessions(tokens)) == 1

    def test_it_is_in_no_list(self, store, monkeypatch):
        service = Service(store, idle_seconds=900)
        service.log_in()
        monkeypatch.setattr(
            "flask_securest.tokenstores.keeping.now", lambda: in_whole_seconds() + timedelta(seconds=901)
        )
        assert service.client.get("/tokens", headers=ANN).json == []
        assert list(store.list_sessions("ann")) == []

    def test_without_a_limit_it_goes_on(self, store, monkeypatch):
        service = Service(store)
        tokens = service.log_in()
        monkeypatch.setattr("flask_securest.tokenstores.keeping.now", lambda: in_whole_seconds() + timedelta(days=1))
        assert len(service.sessions(tokens)) == 1

    @pytest.mark.parametrize("seconds", [0, 60, 119, True, 600.0])
    def test_what_is_less_than_uses_are_written_down_is_an_error(self, seconds):
        with pytest.raises(ConfigurationError, match="idle_seconds must be"):
            TokenAuthenticator(SECRET, store=SimpleTokenstore(), idle_seconds=seconds)


class TestRefreshingTwice:
    def test_within_the_grace_it_is_refused_and_signalled_and_the_session_goes_on(self, store, heard):
        service = Service(store)
        first = service.log_in()
        second = service.refresh(first).json
        assert service.refresh(first).status_code == 400
        assert service.refresh(second).status_code == 200
        assert [what["ended"] for name, what in heard if name == "reused"] == [False]

    def test_without_a_grace_it_ends_the_session_at_once(self, store, heard):
        service = Service(store, refresh_grace_seconds=0)
        first = service.log_in()
        second = service.refresh(first).json
        assert service.refresh(first).status_code == 400
        assert service.refresh(second).status_code == 400
        assert [what["ended"] for name, what in heard if name == "reused"] == [True]
        assert [what["reason"] for name, what in heard if name == "ended"] == ["refresh token reused"]

    @pytest.mark.parametrize("ahead", [-60, 60])
    def test_it_does_not_matter_how_late_a_worker_believes_that_it_is(self, ahead, store, monkeypatch):
        """Two machines have refreshed it, whose clocks are a minute apart."""
        service = Service(store)
        first = service.log_in()
        second = service.refresh(first).json
        for module in ("keeping", "sessions"):
            monkeypatch.setattr(
                f"flask_securest.tokenstores.{module}.now", lambda: in_whole_seconds() + timedelta(seconds=ahead)
            )
        assert service.refresh(first).status_code == 400
        assert service.refresh(second).status_code == 200

    def test_the_time_is_the_stores(self, store):
        before = in_whole_seconds()
        told = store.now()
        assert before <= told <= datetime.now(timezone.utc)
        assert told.microsecond == 0

    def test_a_worker_of_before_whose_clock_is_ahead_makes_no_theft(self, store, monkeypatch):
        service = Service(store)
        first = service.log_in()
        told = store.now()
        monkeypatch.setattr(store, "now", lambda: told + timedelta(seconds=45))
        second = service.refresh(first).json
        monkeypatch.undo()
        assert service.refresh(first).status_code == 400
        assert service.refresh(second).status_code == 200

    @pytest.mark.parametrize("seconds", [-1, 301, True, 5.0, None])
    def test_a_grace_that_is_none_is_an_error(self, seconds):
        with pytest.raises(ConfigurationError, match="refresh_grace_seconds must be"):
            TokenAuthenticator(SECRET, store=SimpleTokenstore(), refresh_grace_seconds=seconds)


class TestScopesAtRefresh:
    """RFC 6749, section 6."""

    def test_a_narrower_scope_is_that_of_the_token_and_the_session_keeps_its_own(self, store):
        service = Service(store)
        first = service.log_in(scope="read write")
        second = service.refresh(first, scope="read")
        assert second.json["scope"] == "read"
        assert _scopes(service, second.json) == {"read"}
        assert service.refresh(second.json).json["scope"] == "read write"

    def test_a_wider_one_is_refused_and_uses_nothing_up(self, store):
        service = Service(store)
        first = service.log_in(scope="read")
        wider = service.refresh(first, scope="read write")
        assert (wider.status_code, wider.json) == (400, {"error": "invalid_scope"})
        assert service.refresh(first).json["scope"] == "read"

    def test_so_are_more_than_a_header_can_hold(self, store):
        service = Service(store)
        first = service.log_in()
        assert service.refresh(first, scope="a" * 7000).json == {"error": "invalid_scope"}
        assert service.refresh(first).status_code == 200

    def test_a_session_without_a_limit_can_be_narrowed(self, store):
        service = Service(store)
        narrow = service.refresh(service.log_in(), scope="read")
        assert _scopes(service, narrow.json) == {"read"}
        assert "scope" not in service.refresh(narrow.json).json

    @pytest.mark.parametrize("scope", [7, ["read"], {}])
    def test_what_is_no_scope_is_an_invalid_request(self, scope):
        service = Service(SimpleTokenstore())
        assert service.refresh(service.log_in(), scope=scope).json == {"error": "invalid_request"}


class TestSignals:
    def test_a_life_is_told_and_receivers_that_raise_change_nothing(self, store, heard, caplog):
        service = Service(store)
        first = service.log_in(scope="read")
        second = service.refresh(first).json
        assert service.client.delete("/tokens/current", headers=bearer(second["access_token"])).status_code == 204
        service.log_in()
        assert service.client.delete("/tokens", headers=ANN).status_code == 204
        assert [name for name, _ in heard] == ["issued", "refreshed", "ended", "issued", "ended"]
        issued, refreshed, logged_out, _, everywhere = (what for _, what in heard)
        assert (issued["username"], issued["origin"], issued["scopes"]) == ("ann", None, {"read"})
        assert issued["session"].id == refreshed["session"].id == logged_out["session_id"]
        assert logged_out["reason"] == "log-out"
        assert (everywhere["session_id"], everywhere["count"], everywhere["reason"]) == (None, 1, "log-out everywhere")
        assert caplog.text.count("a receiver of the signal") == 5

    def test_tokens_without_a_store_are_told_too(self, heard):
        TokenAuthenticator(SECRET).generate_auth_token("ann")
        assert [(name, what["session"]) for name, what in heard] == [("issued", None)]


class TestAudience:
    def test_what_was_made_for_another_audience_is_refused(self, store):
        users = SimpleUserstore([User("ann", FAST.hash("pw"))])
        staging, production = (Service(store, audience=audience, users=users) for audience in ("staging", "production"))
        bare = Service(store, users=users)
        tokens = staging.log_in()
        assert len(staging.sessions(tokens)) == 1
        for other in (production, bare):
            assert other.sessions(tokens) == 401
            assert other.refresh(tokens).status_code == 400
            assert staging.sessions(other.log_in()) == 401
        assert staging.refresh(tokens).status_code == 200

    @pytest.mark.parametrize("audience", ["", " ", 7, b"a", ["a"]])
    def test_one_that_is_none_is_an_error(self, audience):
        with pytest.raises(ConfigurationError, match="audience must be"):
            TokenAuthenticator(SECRET, audience=audience)


class TestSessionsOfTheDisabled:
    def test_all_have_ended_once_any_request_has_found_it_disabled(self, store, heard):
        service = Service(store)
        phone, laptop = service.log_in(), service.log_in()
        enabled = service.users
        ann = enabled.get_user("ann")
        service.securest.userstore = SimpleUserstore([User("ann", ann.password, active=False)])
        assert service.sessions(phone) == 401
        service.securest.userstore = enabled
        assert service.sessions(laptop) == 401
        assert service.refresh(laptop).status_code == 400
        assert [what["reason"] for name, what in heard if name == "ended"] == ["account disabled"]

    def test_by_a_refresh_too(self, store):
        service = Service(store)
        phone, laptop = service.log_in(), service.log_in()
        enabled = service.users
        ann = enabled.get_user("ann")
        service.securest.userstore = SimpleUserstore([User("ann", ann.password, active=False)])
        assert service.refresh(phone).status_code == 400
        service.securest.userstore = enabled
        assert service.sessions(laptop) == 401


def test_sessions_that_a_changed_password_has_ended_leave_the_list_and_the_store(store):
    service = Service(store)
    for _ in range(3):
        service.log_in()
    service.securest.userstore = SimpleUserstore([User("ann", FAST.hash("new"))])
    service.log_in(basic("ann", "new"))
    assert len(service.client.get("/tokens", headers=basic("ann", "new")).json) == 1
    assert len(list(store.list_sessions("ann"))) == 1


class Cards(AbstractAuthenticationProvider):
    """Make up the users that it answers with, and know more of them when it is asked."""

    name = "cards"
    credential_headers = ("X-Card",)

    def authenticate(self, request, userstore):
        return User("ann") if request.headers.get("X-Card") else None

    def find_user(self, username, issuer=None):
        return User(username, mark="card 1")


class OwnCards(Cards):
    uses_api_userstore = True

    def authenticate(self, request, userstore):
        return super().authenticate(request, userstore)


@pytest.mark.parametrize("cards", [Cards, OwnCards])
def test_a_caller_whose_provider_knows_no_mark_lists_its_sessions_and_ends_none_by_it(cards, store):
    service = Service(store, cards())
    card = {"X-Card": "x"}
    first, _ = service.log_in(card), service.log_in(card)
    assert len(service.client.get("/tokens", headers=card).json) == 2
    assert len(service.client.get("/tokens", headers=card).json) == 2
    assert service.end(service.current_id(first), card) == 204
    assert len(service.client.get("/tokens", headers=card).json) == 1


def _scopes(service, tokens):
    from flask_securest.testing import make_request

    request = make_request(headers=bearer(tokens["access_token"]))
    return service.tokens.authenticate(request, service.securest.userstore).scopes
