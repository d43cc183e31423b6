"""What is logged and shown: enough for who operates it, nothing that somebody else could use."""

import logging

import pytest
from flask import Flask, got_request_exception
from flask_restful import Api
from helpers import ALICE, FAST, Scripted, api_key, basic, bearer, make_userstore, new_who, secured, with_key
from werkzeug.exceptions import Forbidden

from flask_securest import SecuREST, User, authenticators, require
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.errors import AccountStatusError, AuthorizationError, BackendError, BadCredentialsError
from flask_securest.signals import request_refused
from flask_securest.userstores import SimpleUserstore

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


class TestTracebacksOfOthers:
    """L1: a refusal wiped the traceback of an exception that somebody else was handling."""

    @pytest.mark.parametrize(
        "error",
        [BadCredentialsError("x"), AccountStatusError("x"), BackendError("x"), Forbidden(), ValueError("a bug")],
        ids=lambda error: type(error).__name__,
    )
    def test_what_is_being_handled_while_a_provider_is_asked_keeps_its_traceback(self, error):
        client = secured(new_who(), providers=[Scripted(error)])[0].test_client()
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as handled:
            client.get("/who")
            assert handled.__traceback__ is not None  # noqa: PT017  # what is tested is this block

    def test_what_a_view_handles_keeps_its_traceback_where_it_raises_for_another_reason(self):
        seen = []

        def get(self):
            try:
                raise KeyError("the application's own")
            except KeyError as handled:
                seen.append(handled)
                from flask import current_app

                answer = current_app.view_functions["inner"]()
                assert handled.__traceback__ is not None  # noqa: PT017  # what is tested is this block
                return answer.status_code

        def refuse(self):
            raise AuthorizationError("no")

        app, _, _ = secured(new_who("Outer", get=get), new_who("Inner", get=refuse))
        assert app.test_client().get("/outer", headers=ALICE).json == 403
        assert len(seen) == 1

    def test_an_errorhandler_that_asks_a_guarded_view_does_not_lose_the_traceback_of_its_error(self):
        app, _, _ = secured(new_who(), providers=[api_key()])
        kept = []

        @app.errorhandler(ZeroDivisionError)
        def handle(error):
            app.test_client().get("/who", headers=with_key("wrong"))
            kept.append(error.__traceback__)
            return "handled", 500

        app.add_url_rule("/broken", "broken", lambda: 1 // 0)
        app.test_client().get("/broken")
        assert kept[0] is not None


class TestTheAccountThatIsTried:
    """L3: an operator must see guessing at one account."""

    @pytest.mark.parametrize("name", ["alice", "mallory"])
    def test_a_refused_password_names_it(self, name, caplog):
        client = secured(new_who())[0].test_client()
        with caplog.at_level(logging.INFO, "flask_securest"):
            client.get("/who", headers=basic(name, "not-the-password-7"))
        assert f"for {name!r}" in caplog.text
        assert "not-the-password-7" not in caplog.text

    def test_what_is_no_account_may_be_a_password_in_the_wrong_field(self, caplog):
        client = secured(new_who())[0].test_client()
        client.get("/who", headers=basic("correct horse battery staple", "x"))
        assert "an unknown user" in caplog.text
        assert "horse" not in caplog.text

    def test_it_is_quoted_and_cut(self, caplog):
        name = "x" * 100 + "\u2028refused"
        users = SimpleUserstore([User(name, FAST.hash("right")), User("a\u2028refused 'GET'", FAST.hash("right"))])
        client = secured(new_who(), userstore=users)[0].test_client()
        client.get("/who", headers=basic(name, "wrong"))
        assert f"for {'x' * 64!r}..." in caplog.text
        client.get("/who", headers=basic("a\u2028refused 'GET'", "wrong"))
        assert "for \"a\\u2028refused 'GET'\"" in caplog.text
        assert "\u2028" not in caplog.text

    def test_a_provider_of_ones_own_may_name_it_too(self, caplog):
        client = secured(new_who(), providers=[Scripted(BadCredentialsError("no", account="carol"))])[0].test_client()
        client.get("/who")
        assert "scripted: wrong credentials 'no' for 'carol'" in caplog.text
        for odd in (7, b"carol", ["carol"]):
            error = BadCredentialsError("no", account=odd)
            assert secured(new_who(), providers=[Scripted(error)])[0].test_client().get("/who").status_code == 401

    def test_who_is_let_in_is_told_at_debug_and_to_nobody_who_does_not_want_it(self, caplog):
        client = secured(new_who())[0].test_client()
        with caplog.at_level(logging.INFO, "flask_securest"):
            client.get("/who", headers=ALICE)
        assert caplog.text == ""
        with caplog.at_level(logging.DEBUG, "flask_securest"):
            client.get("/who", headers=ALICE)
        assert "let in 'GET' on 'who' for 'alice' by 'password' from '127.0.0.1'" in caplog.text

    def test_an_account_of_a_provider_is_told_with_its_origin(self, caplog):
        client = secured(require(roles="admin")(new_who()), providers=[Scripted(User("alice"))])[0].test_client()
        assert client.get("/who").status_code == 403
        assert "refused 'GET' on 'who' for 'alice' of 'scripted' from '127.0.0.1' (403)" in caplog.text
        client = secured(new_who(), providers=[Scripted(User("alice"))])[0].test_client()
        assert client.get("/who").status_code == 200
        assert "let in 'GET' on 'who' for 'alice' of 'scripted' by 'scripted'" in caplog.text

    def test_a_level_that_is_changed_while_requests_come_holds_from_the_next_one_on(self, caplog):
        client = secured(new_who())[0].test_client()
        told = []
        for level in (logging.DEBUG, logging.INFO, logging.DEBUG):
            with caplog.at_level(level, "flask_securest"):
                caplog.clear()
                client.get("/who", headers=ALICE)
                told.append("let in 'GET'" in caplog.text)
        with caplog.at_level(logging.DEBUG, "flask_securest"):
            logging.disable(logging.DEBUG)
            try:
                caplog.clear()
                client.get("/who", headers=ALICE)
                told.append("let in 'GET'" in caplog.text)
            finally:
                logging.disable(logging.NOTSET)
        assert told == [True, False, True, False]


class TestMistakesInTheConfiguration:
    """L5: a chain without providers was an error event for each request, which any scanner could use up a quota with."""

    def test_a_chain_without_providers_is_one_event(self, caplog):
        events = []
        app, _, _ = secured(new_who(), new_who("Second"), providers=[])

        def hear(sender, exception, **extra):
            events.append(exception)

        with got_request_exception.connected_to(hear, app):
            for _ in range(10):
                assert app.test_client().get("/who").status_code == 500
                assert app.test_client().post("/second").status_code == 500
        assert len(events) == 1
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1

    def test_another_mistake_is_another_event_and_a_minute_later_it_is_told_again(self, caplog, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr("flask_securest.enforcement.reports.monotonic", lambda: now[0])
        app, _, _ = secured(new_who(), authenticators("unknown")(new_who("Second")), providers=[])
        for seconds in (0, 30, 31):
            now[0] += seconds
            app.test_client().get("/who")
            app.test_client().get("/second")
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 4

    def test_it_is_signalled_each_time(self):
        heard = []
        app, _, _ = secured(new_who(), providers=[])
        with request_refused.connected_to(lambda sender, **told: heard.append(told["verdict"].status)):
            for _ in range(3):
                app.test_client().get("/who")
        assert heard == [500] * 3

    def test_a_bug_is_an_event_each_time(self, caplog):
        app, _, _ = secured(new_who(), providers=[Scripted(ValueError("a bug"))])
        for _ in range(3):
            app.test_client().get("/who")
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 3

    def test_what_is_kept_of_them_has_an_end(self):
        from flask_securest.enforcement.reports import _MOST_MISTAKES, Reporter

        reporter = Reporter(None)
        for number in range(_MOST_MISTAKES * 3):
            assert reporter._is_news(f"mistake {number}")
        assert len(reporter._reported_at) <= _MOST_MISTAKES


class TestErrorsOfBearerTokens:
    """L6: error="invalid_token" was said of tokens that are not ours."""

    def challenges(self, token, *providers):
        app, _, _ = secured(new_who(), providers=[*providers, TokenAuthenticator("x" * 32)])
        return app.test_client().get("/who", headers=bearer(token)).headers.getlist("WWW-Authenticate")

    def test_a_token_that_is_none_of_ours_by_its_form_is_not_called_invalid(self):
        assert self.challenges(JWT) == ['Bearer realm="api"']

    def test_what_may_be_meant_to_be_ours_is(self):
        forged = TokenAuthenticator("y" * 32).generate_auth_token("alice")
        assert self.challenges(forged) == ['Bearer realm="api", error="invalid_token"']

    def test_of_two_that_take_bearer_tokens_one_challenge_is_sent(self):
        from flask_securest.authentication_providers.jwt import JWTAuthenticator

        jwts = JWTAuthenticator(algorithms=["HS256"], key="z" * 32, issuer="https://issuer.example", audience="api")
        assert self.challenges(JWT, jwts) == ['Bearer realm="api", error="invalid_token"']

    def test_it_does_not_tell_how_far_the_chain_went(self):
        forged = TokenAuthenticator("y" * 32).generate_auth_token("alice")
        for token in (forged, JWT):
            told = {tuple(self.challenges(token, Scripted(error))) for error in (None, AccountStatusError("stops"))}
            assert len(told) == 1


class TestChallenges:
    """L4: a challenge had neither the request nor room for two."""

    def get(self, *providers):
        answer = secured(new_who(), providers=providers)[0].test_client().get("/who")
        assert answer.status_code == 401
        return answer.headers.getlist("WWW-Authenticate")

    def test_a_provider_may_have_several(self):
        for several in (["A x", "B y"], ("A x", "B y")):
            assert self.get(Scripted(challenge=several), Scripted(challenge="B y", name="other")) == ["A x", "B y"]

    def test_an_error_may_bring_one_of_its_own_for_this_request(self):
        error = BadCredentialsError("stale", challenge="Digest stale=true")
        assert self.get(Scripted(error, challenge="Digest"), api_key()) == [
            "Digest stale=true",
            'ApiKey realm="api", header="X-API-Key"',
        ]
        error = BadCredentialsError("stale", challenge=["A x", "B y"])
        assert self.get(Scripted(error, challenge="A")) == ["A x", "B y"]

    @pytest.mark.parametrize("challenge", ["a\r\nSet-Cookie: x", ["ok", "b\n"], 7, {"a": 1}, [None, 7], "ä"])
    def test_what_no_header_can_have_is_left_out_and_logged(self, challenge, caplog):
        for provider in (Scripted(challenge=challenge), Scripted(BadCredentialsError("x", challenge=challenge))):
            assert self.get(provider) == (["ok"] if isinstance(challenge, list) and "ok" in challenge else [])
        assert "it was left out" in caplog.text


def test_a_password_hasher_of_ones_own_has_the_signature_of_the_contract():
    """Item 7: a keyword that the contract does not know made every login a 500."""
    from flask_securest.passwords import PasswordHasher

    class Reversed(PasswordHasher):
        def verify(self, password, stored):
            return stored is not None and password[::-1] == stored

    users = make_userstore()
    app = Flask("tests")
    api = Api(app)
    api.add_resource(new_who(), "/who")
    store = type(users)([User("alice", "dnalrednow"), User("bob", FAST.hash("builder"))])
    SecuREST(api, userstore=store, authentication_providers=[PasswordAuthenticator(password_hasher=Reversed())])
    client = app.test_client()
    assert client.get("/who", headers=ALICE).json["user"] == "alice"
    assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
    assert client.get("/who", headers=basic("nobody", "wrong")).status_code == 401
