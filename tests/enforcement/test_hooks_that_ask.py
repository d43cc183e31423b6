"""Hooks that ask who is calling: whoever asks first has the caller found out, once; later on it is only read."""

import logging

import pytest
from applications import in_either_order, make_application
from flask import Response, g
from helpers import ALICE, BOB, FAST, Scripted, basic, new_who, who
from werkzeug.exceptions import TooManyRequests

from flask_securest import User, current_identity, current_user, optional, public, require
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import BackendError
from flask_securest.signals import request_authenticated
from flask_securest.userstores import AbstractUserstore


class Waiting(AbstractUserstore):
    """Need what a hook opens, and count how often somebody wants to know."""

    def __init__(self):
        self.asked = 0

    def get_user(self, identifier):
        self.asked += 1
        return g.users.get(identifier)


def ask():
    bool(current_user)


class TestHooksThatAskWhoIsCalling:
    """Whoever asks first has the caller found out; later on it is only read."""

    def make(self, *hooks, resources=None, providers=None, **options):
        def extend(app, blueprint):
            for hook in hooks:
                app.before_request(hook)

        resources = [new_who()] if resources is None else resources
        if providers is not None:
            options["authentication_providers"] = providers
        return make_application(extend, *resources, **options)

    @in_either_order
    def test_the_caller_is_found_out_once(self, extension_first):
        seen, provider = [], Scripted(lambda request: User("alice") if "X-Scripted" in request.headers else None)

        def note():
            seen.append(current_user.username if current_user else None)

        app = self.make(
            note, note, lambda: seen.append(who()["provider"]), providers=[provider], extension_first=extension_first
        )
        app.after_request(lambda response: note() or response)
        app.teardown_request(lambda error: note())
        client, signalled = app.test_client(), []

        def hear(sender, **told):
            signalled.append(told["verdict"].identity.user.username)

        with request_authenticated.connected_to(hear):
            answer = client.get("/who", headers={"X-Scripted": "yes"})
        assert answer.json == {"user": "alice", "provider": "scripted"}
        assert seen == ["alice", "alice", "scripted", "alice", "alice"]
        assert provider.asked == 1
        assert signalled == ["alice"]
        assert client.get("/who").status_code == 401
        assert seen[5:] == [None] * 5
        assert provider.asked == 2

    def test_who_is_refused_with_403_is_known_before_and_after(self):
        seen = []
        app = self.make(lambda: seen.append(who()["user"]), resources=[require(roles="admin")(new_who())])
        app.after_request(lambda response: seen.append(who()["user"]) or response)
        assert app.test_client().get("/who", headers=BOB).status_code == 403
        assert seen == ["bob", "bob"]

    @pytest.mark.parametrize(
        ("path", "status", "method"),
        [
            ("/open", 200, "GET"),
            ("/plain", 200, "GET"),
            ("/nowhere", 404, "GET"),
            ("/who", 405, "PUT"),
        ],
    )
    def test_where_nobody_has_to_be_known_nobody_is_asked(self, path, status, method):
        seen, provider = [], Scripted(User("alice"))
        resources = [new_who(), public(reason="anybody")(new_who("Open"))]
        app = self.make(lambda: seen.append(bool(current_user)), resources=resources, providers=[provider])
        app.add_url_rule("/plain", view_func=lambda: who(), endpoint="plain")
        app.after_request(lambda response: seen.append(bool(current_identity)) or response)
        answer = app.test_client().open(path, method=method)
        assert answer.status_code == status
        assert seen == [False, False]
        assert provider.asked == 0
        if answer.is_json and status == 200:
            assert answer.json == {"user": None, "provider": None}

    def test_after_the_hooks_nobody_is_found_out_any_more(self):
        """A hook has redirected the request before anybody wanted to know."""
        seen, provider = [], Scripted(User("alice"))
        app = self.make(lambda: Response(status=302), providers=[provider])
        app.after_request(lambda response: seen.append(bool(current_user)) or response)
        app.teardown_request(lambda error: seen.append(bool(current_identity)))
        assert app.test_client().get("/who").status_code == 302
        assert seen == [False, False]
        assert provider.asked == 0

    @in_either_order
    def test_who_asks_before_the_database_is_open_gets_no_answer_and_the_request_goes_on(self, extension_first):
        seen, users = [], Waiting()

        def open_users():
            g.users = {"alice": User("alice", FAST.hash("wonderland"))}

        def note():
            seen.append(bool(current_user))

        app = self.make(note, open_users, note, userstore=users, extension_first=extension_first)
        client = app.test_client()
        assert client.get("/who", headers=ALICE).json == {"user": "alice", "provider": "password"}
        assert seen[0] is False
        assert users.asked == 2
        assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
        assert client.get("/who").status_code == 401

    def test_whom_a_back_end_did_not_know_at_first_is_asked_for_again(self):
        answers = [User("alice"), BackendError("starting")]
        provider = Scripted(lambda request: _raise_or_return(answers.pop()))
        app = self.make(ask, providers=[provider])
        assert app.test_client().get("/who").status_code == 200
        assert provider.asked == 2

    def test_whoever_can_not_tell_the_second_time_either_is_answered_for_with_503(self):
        provider = Scripted(BackendError("down"))
        app = self.make(ask, providers=[provider])
        assert app.test_client().get("/who").status_code == 503
        assert provider.asked == 2

    def test_credentials_that_are_good_once_are_not_shown_a_second_time(self):
        provider = Scripted(BackendError("down"))
        provider.one_time = True
        app = self.make(ask, providers=[provider])
        assert app.test_client().get("/who").status_code == 503
        assert provider.asked == 1

    def test_where_another_provider_knows_the_caller_nobody_is_asked_again(self):
        down, other, seen = Scripted(BackendError("down"), name="down"), Scripted(User("alice")), []
        app = self.make(lambda: seen.append(who()), providers=[down, other])
        assert app.test_client().get("/who").json == {"user": "alice", "provider": "scripted"}
        assert seen == [{"user": "alice", "provider": "scripted"}]
        assert (down.asked, other.asked) == (1, 1)

    def test_asking_never_raises(self):
        seen = []
        for provider in (Scripted(ValueError("a bug")), Scripted(TooManyRequests()), Scripted("no user")):
            app = self.make(lambda: seen.append(bool(current_user)), providers=[provider])
            assert app.test_client().get("/who").status_code in (429, 500)
        assert seen == [False] * 3

    def test_a_hook_may_send_callers_elsewhere_by_who_they_are(self):
        def only_alice():
            return None if current_user and current_user.username == "alice" else ("not you", 403)

        client = self.make(only_alice, resources=[optional(new_who())]).test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        assert client.get("/who", headers=BOB).text == "not you"
        assert client.get("/who").text == "not you"


def _raise_or_return(answer):
    if isinstance(answer, BaseException):
        raise answer
    return answer


class TestWhatAsksWhileTheCallerIsBeingFoundOut:
    """It is told that there is nobody, and is not asked by what it has asked."""

    @pytest.mark.parametrize("hook_asks", [False, True], ids=["at the gate", "asked by a hook"])
    def test_a_userstore(self, hook_asks):
        seen = []

        class Asking(AbstractUserstore):
            def get_user(self, identifier):
                seen.append((bool(current_user), bool(current_identity)))
                return User(identifier, FAST.hash("wonderland"))

        def extend(app, blueprint):
            if hook_asks:
                app.before_request(lambda: seen.append(current_user.username))

        client = make_application(extend, new_who(), userstore=Asking()).test_client()
        assert client.get("/who", headers=ALICE).json == {"user": "alice", "provider": "password"}
        assert seen == [(False, False), *(["alice"] if hook_asks else [])]

    @pytest.mark.parametrize("hook_asks", [False, True], ids=["at the gate", "asked by a hook"])
    def test_a_filter_of_the_log(self, hook_asks, caplog):
        class AddsCaller(logging.Filter):
            def filter(self, record):
                record.caller = current_user.username if current_user else "-"
                return True

        class Talking(AbstractUserstore):
            def get_user(self, identifier):
                logging.getLogger("tests").warning("looking for %s", identifier)
                return User(identifier, FAST.hash("wonderland"), roles=[])

        def extend(app, blueprint):
            if hook_asks:
                app.before_request(ask)

        adds_caller = AddsCaller()
        Strict = require(roles="admin")(new_who("Strict"))
        client = make_application(
            extend,
            new_who(get=lambda self: logging.getLogger("tests").warning("running")),
            Strict,
            userstore=Talking(),
            authentication_providers=[PasswordAuthenticator(password_hasher=FAST)],
        ).test_client()
        caplog.handler.addFilter(adds_caller)
        try:
            statuses = [
                client.get(path, headers=headers).status_code
                for path, headers in (("/who", ALICE), ("/who", basic("alice", "wrong")), ("/strict", ALICE))
            ]
        finally:
            caplog.handler.removeFilter(adds_caller)
        assert statuses == [200, 401, 403]
        told = [(record.caller, record.getMessage().partition(" ")[0]) for record in caplog.records]
        told = [(caller, word) for caller, word in told if word in ("looking", "running", "refused")]
        assert told == [
            *[("-", "looking"), ("alice", "running")],
            *[("-", "looking"), ("-", "refused")],
            *[("-", "looking"), ("alice", "refused")],
        ]
