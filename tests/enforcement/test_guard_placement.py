"""The guard stands behind all hooks and before the view; and who asks for the caller gets an answer."""

import asyncio
import logging
import threading
import time
from typing import ClassVar

import pytest
from flask import Flask, Response, abort, current_app, g, request
from flask_restful import Api, Resource
from helpers import ALICE, BOB, FAST, Scripted, api_key, basic, new_who, secured, who, with_key
from werkzeug.exceptions import HTTPException

from flask_securest import SecuREST, User, current_user, optional, public, require
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import (
    AccountStatusError,
    AuthenticationError,
    AuthorizationError,
    BackendError,
    BadCredentialsError,
)
from flask_securest.signals import request_authenticated, request_refused
from flask_securest.userstores import AbstractUserstore, SimpleUserstore


def ask():
    """Be a hook that wants to know who it is."""
    str(current_user)


def test_hooks_in_pairs_see_refused_requests_like_all_others():
    """G6: the second half of a pair ran without the first one, and made a 500 of every refusal."""
    app, _, _ = secured(new_who(), require(roles="admin")(new_who("Admins")), providers=[api_key()])
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.before_request(lambda: setattr(g, "start", time.time()))
    ended = []

    @app.after_request
    def stop(response):
        response.headers["X-Took"] = str(time.time() - g.start)
        return response

    app.teardown_request(lambda error: ended.append(g.pop("start")))
    client = app.test_client()
    answers = [client.get("/who"), client.get("/who", headers=with_key()), client.get("/admins", headers=with_key())]
    assert [answer.status_code for answer in answers] == [401, 200, 403]
    assert all("X-Took" in answer.headers for answer in answers)
    assert len(ended) == 3


class UsersOfTheRequest(AbstractUserstore):
    """Users in a database that a hook opens."""

    def get_user(self, identifier):
        return g.db.get(identifier)


def open_database():
    g.db = {"alice": User("alice", FAST.hash("wonderland"), roles=["admin"])}


@pytest.mark.parametrize("attach_first", [True, False])
@pytest.mark.parametrize("hook", ["before_request", "url_value_preprocessor"])
def test_a_userstore_finds_what_a_hook_has_opened(hook, attach_first):
    app = Flask("tests")
    api = Api(app)

    def register():
        getattr(app, hook)(lambda *args: open_database())

    attach_first or register()
    SecuREST(api, userstore=UsersOfTheRequest(), authentication_providers=[PasswordAuthenticator(password_hasher=FAST)])
    attach_first and register()
    api.add_resource(new_who(), "/who")
    client = app.test_client()
    assert client.get("/who", headers=ALICE).json["user"] == "alice"
    assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
    assert client.get("/who").status_code == 401


ANSWERS = [
    ("a body", 200),
    (("created", 201), 201),
    (Response("as it is"), 200),
    (({"json": 1}, 299, {"X-Mine": "1"}), 299),
    (("", 304), 304),
    (lambda environ, start_response: Response("wsgi")(environ, start_response), 200),
]


def answering(answer):
    app, _, _ = secured(new_who(), public(reason="x")(new_who("Open")), providers=[api_key()])
    app.before_request(lambda: answer)
    return app.test_client()


class TestAHookThatAnswers:
    @pytest.mark.parametrize(("answer", "status"), ANSWERS, ids=[str(status) for _, status in ANSWERS])
    def test_what_a_hook_answers_below_300_is_not_for_who_is_refused(self, answer, status):
        client = answering(answer)
        assert client.get("/who").status_code == 401
        assert client.get("/who", headers=with_key()).status_code == status
        assert client.get("/open").status_code == status

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308, 400, 401, 403, 404, 429, 500, 503])
    def test_a_hook_that_answers_with_300_or_above_has_the_last_word(self, status):
        client = answering(("its own", status, {"Location": "/elsewhere"}))
        for headers in ({}, with_key()):
            answer = client.get("/who", headers=headers)
            assert (answer.status_code, answer.data) == (status, b"its own")
            assert "WWW-Authenticate" not in answer.headers

    @pytest.mark.parametrize(("raised", "status"), [(429, 429), (404, 404), (Response("welcome"), 200)])
    def test_a_hook_that_aborts_answers_too(self, raised, status):
        app, _, _ = secured(new_who(), providers=[api_key()])
        app.before_request(lambda: abort(raised))
        client = app.test_client()
        assert client.get("/who", headers=with_key()).status_code == status
        assert client.get("/who").status_code == (401 if status == 200 else status)

    @pytest.mark.parametrize("propagate", [True, False])
    def test_an_exception_of_a_hook_is_handled_as_without_us(self, propagate):
        class OwnError(Exception):
            pass

        def fail():
            raise OwnError("mine")

        answers = []
        for guarded in (False, True):
            app = Flask("tests")
            app.config["PROPAGATE_EXCEPTIONS"] = propagate
            api = Api(app)
            api.add_resource(new_who(), "/who")
            app.add_url_rule("/plain", "plain", lambda: "")
            guarded and SecuREST(api, authentication_providers=[api_key()])
            app.before_request(fail)
            app.register_error_handler(OwnError, lambda error: (f"handled {error}", 418))
            answers.append(
                [(answer.status_code, answer.data) for answer in map(app.test_client().get, ("/who", "/plain"))]
            )
        assert answers[0] == answers[1]
        assert answers[1][1] == (418, b"handled mine")

    def test_a_hook_that_answers_with_what_is_no_answer_is_an_error_and_never_open(self):
        app, _, _ = secured(new_who(), providers=[api_key()])
        app.before_request(lambda: object())
        app.config["PROPAGATE_EXCEPTIONS"] = False
        assert app.test_client().get("/who").status_code == 500

    def test_a_refusal_takes_the_place_of_an_answer_and_closes_it(self):
        app, _, _ = secured(new_who(), providers=[api_key()])
        closed = []

        @app.before_request
        def answer():
            response = Response("secret")
            response.call_on_close(lambda: closed.append(1))
            return response

        assert app.test_client().get("/who").status_code == 401
        assert closed == [1]

    def test_a_refusal_that_is_not_delivered_is_neither_logged_nor_signalled(self, caplog):
        heard = []
        with request_refused.connected_to(lambda sender, **told: heard.append(told)):
            answering(("", 302)).get("/who")
        assert heard == []
        assert "refused" not in caplog.text


class TestWhoAsks:
    """The caller is found out when a hook asks, once; later on it is only read."""

    @pytest.fixture
    def seen(self):
        return []

    def watched(self, *resources, seen, **options):
        app, _, securest = secured(*resources, **options)
        app.before_request(lambda: seen.append(who()["user"]))
        app.after_request(lambda response: seen.append(who()["user"]) or response)
        app.teardown_request(lambda error: seen.append(who()["user"]))
        return app, securest

    def test_a_hook_is_told_and_everybody_after_it(self, seen):
        provider = Scripted(User("alice"))
        app, _ = self.watched(new_who(), seen=seen, providers=[provider])
        assert app.test_client().get("/who").json["user"] == "alice"
        assert seen == ["alice"] * 3
        assert provider.asked == 1

    def test_who_is_refused_with_403_is_visible_and_with_401_is_nobody(self, seen):
        app, _ = self.watched(require(roles="admin")(new_who()), seen=seen)
        assert app.test_client().get("/who", headers=BOB).status_code == 403
        assert app.test_client().get("/who", headers=basic("bob", "wrong")).status_code == 401
        assert seen == ["bob"] * 3 + [None] * 3

    def test_who_was_found_stays_where_a_hook_answers(self, seen):
        app, _ = self.watched(new_who(), seen=seen)
        app.before_request(lambda: ("", 302, {"Location": "/x"}))
        app.test_client().get("/who", headers=ALICE)
        assert seen == ["alice"] * 3

    def test_after_the_hooks_nobody_is_found_out(self, seen):
        provider = Scripted(User("alice"))
        app, _, _ = secured(new_who(), providers=[provider])
        app.before_request(lambda: ("", 302, {"Location": "/x"}))
        app.after_request(lambda response: seen.append(who()["user"]) or response)
        app.teardown_request(lambda error: seen.append(who()["user"]))
        app.test_client().get("/who")
        assert (seen, provider.asked) == ([None, None], 0)

    def test_a_public_view_and_one_that_is_not_guarded_have_nobody(self, seen):
        provider = Scripted(User("alice"))
        app, _ = self.watched(public(reason="x")(new_who()), seen=seen, providers=[provider])
        app.add_url_rule("/plain", "plain", lambda: "")
        for path in ("/who", "/plain", "/nowhere"):
            app.test_client().get(path)
        assert (set(seen), provider.asked) == ({None}, 0)

    @pytest.mark.parametrize("path", ["/who", "/plain", "/nowhere"])
    def test_after_the_hooks_nobody_can_be_asked_whatever_was_asked_for(self, path):
        app, _, _ = secured(new_who())
        app.add_url_rule("/plain", "plain", lambda: "")
        left = []
        app.after_request(lambda response: left.append(request._flask_securest_state) or response)
        app.test_client().get(path, headers=ALICE)
        assert not callable(left[0])

    def test_asking_never_raises_and_the_gate_delivers_what_went_wrong(self, seen, caplog):
        for error, status in ((BackendError("down"), 503), (ValueError("bug"), 500), (BadCredentialsError("no"), 401)):
            app, _ = self.watched(new_who(), seen=seen, providers=[Scripted(error)])
            assert app.test_client().get("/who").status_code == status
        assert set(seen) == {None}
        assert "would deny" not in caplog.text
        assert len([record for record in caplog.records if "refused" in record.message]) == 3

    def test_what_is_not_configured_is_a_500_of_the_gate_and_not_of_the_hook(self, seen):
        app, _ = self.watched(new_who(), seen=seen, providers=[])
        assert app.test_client().get("/who").status_code == 500
        assert seen == [None] * 3

    @pytest.mark.parametrize("error", [BackendError("not open yet"), AttributeError("db")])
    def test_a_provider_that_a_hook_found_unable_is_asked_again(self, error):
        ready = []
        provider = Scripted(lambda request: User("alice") if ready else (_ for _ in ()).throw(error))
        app, _, _ = secured(new_who(), providers=[provider])
        app.before_request(ask)
        app.before_request(lambda: ready.append(1))
        assert app.test_client().get("/who").json["user"] == "alice"
        assert provider.asked == 2

    def test_one_time_credentials_are_not_shown_a_second_time(self):
        provider = Scripted(BackendError("down"))
        provider.one_time = True
        app, _, _ = secured(new_who(), providers=[provider])
        app.before_request(ask)
        assert app.test_client().get("/who").status_code == 503
        assert provider.asked == 1

    @pytest.mark.parametrize("error", [BadCredentialsError("no"), AccountStatusError("disabled"), None])
    def test_a_provider_that_could_tell_is_not_asked_again(self, error):
        provider = Scripted(error)
        app, _, _ = secured(new_who(), providers=[provider])
        app.before_request(ask)
        assert app.test_client().get("/who").status_code == 401
        assert provider.asked == 1

    def test_nobody_who_was_unable_is_asked_again_once_somebody_has_succeeded(self):
        unable, able = Scripted(BackendError("down"), name="unable"), Scripted(User("alice"))
        app, _, _ = secured(new_who(), providers=[unable, able])
        app.before_request(ask)
        assert app.test_client().get("/who").json["user"] == "alice"
        assert (unable.asked, able.asked) == (1, 1)

    def test_a_userstore_that_asks_is_told_that_it_is_nobody(self):
        seen = []

        class Asking(SimpleUserstore):
            def get_user(self, identifier):
                seen.append(bool(current_user))
                return super().get_user(identifier)

        users = Asking([User("alice", FAST.hash("wonderland"))])
        for hook in (False, True):
            app, _, _ = secured(new_who(), userstore=users)
            hook and app.before_request(ask)
            assert app.test_client().get("/who", headers=ALICE).json["user"] == "alice"
        assert set(seen) == {False}

    def test_a_log_filter_that_asks_does_not_recurse(self):
        class AddsUser(logging.Filter):
            def filter(self, record):
                record.user = current_user.username if current_user else "-"
                return True

        records = []

        class Collecting(logging.Handler):
            def emit(self, record):
                records.append(record.user)

        handler = Collecting()
        handler.addFilter(AddsUser())
        root = logging.getLogger()
        root.addHandler(handler)
        level = root.level
        root.setLevel(logging.DEBUG)
        try:
            app, _, _ = secured(new_who(get=lambda self: logging.getLogger("own").info("x") or who()))
            assert app.test_client().get("/who", headers=ALICE).status_code == 200
            assert app.test_client().get("/who", headers=basic("alice", "wrong")).status_code == 401
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        assert "alice" in records

    def test_a_view_that_is_called_from_a_hook_has_its_own_decision(self):
        answers = []
        app, _, _ = secured(new_who(), public(reason="x")(new_who("Open")))
        app.before_request(lambda: answers.append(current_app.view_functions["open"]().json) or None)
        assert app.test_client().get("/who").status_code == 401
        assert app.test_client().get("/who", headers=ALICE).json["user"] == "alice"
        assert answers == [{"user": None, "provider": None}] * 2

    def test_a_test_request_context_finds_nobody_out(self):
        provider = Scripted(User("alice"))
        app, _, _ = secured(new_who(), providers=[provider])
        with app.test_request_context("/who"):
            assert not current_user
            assert app.preprocess_request() is None
            assert current_user.username == "alice"

    def test_an_async_hook_may_ask(self):
        app, _, _ = secured(new_who())
        seen = []

        @app.before_request
        async def ask():
            await asyncio.sleep(0)
            seen.append(current_user.username if current_user else None)

        assert app.test_client().get("/who", headers=ALICE).status_code == 200
        assert app.test_client().get("/who").status_code == 401
        assert seen == ["alice", None]


class TestAskedOnce:
    """I4: one provider, one userstore, one request, one question."""

    def test_a_provider_in_two_chains_is_asked_once(self):
        provider = Scripted(User("alice"))
        provider.one_time = True
        other = api_key("X-Other", name="other")
        Inner = new_who("Inner")
        Outer = new_who("Outer", get=lambda self: current_app.view_functions["inner"]().json)
        from flask_securest import USE_DEFAULT, authenticators

        authenticators(USE_DEFAULT, other)(Inner)
        app, _, _ = secured(Outer, Inner, providers=[provider])
        assert app.test_client().get("/outer").json["user"] == "alice"
        assert provider.asked == 1

    def test_with_the_userstore_of_another_api_it_is_asked_anew(self):
        seen = []

        class Remembers(Scripted):
            def authenticate(self, request, userstore):
                seen.append(userstore)
                return User("alice")

        provider, app = Remembers(), Flask("tests")
        first, second = Api(app), Api(app)
        stores = [SimpleUserstore([]), SimpleUserstore([])]
        first.add_resource(new_who("First", get=lambda self: current_app.view_functions["second"]().json), "/first")
        second.add_resource(new_who("Second"), "/second")
        SecuREST(first, userstore=stores[0], authentication_providers=[provider])
        SecuREST(second, userstore=stores[1], authentication_providers=[provider])
        assert app.test_client().get("/first").json["user"] == "alice"
        assert seen == stores

    def test_the_same_provider_under_two_names_vouches_under_each(self):
        provider, app = Scripted(User("alice")), Flask("tests")
        first, second = Api(app), Api(app)
        first.add_resource(
            new_who("First", get=lambda self: [who(), current_app.view_functions["second"]().json]), "/first"
        )
        second.add_resource(new_who("Second"), "/second")
        for api, name in ((first, "one"), (second, "two")):
            SecuREST(api).register_authentication_provider(provider, name=name)
        answer = app.test_client().get("/first").json
        assert [each["provider"] for each in answer] == ["one", "two"]
        assert provider.asked == 1

    def test_threads_of_one_request_ask_once_and_all_get_the_answer(self):
        started, answers = threading.Barrier(4, timeout=10), []

        class Slow(Scripted):
            def authenticate(self, request, userstore):
                time.sleep(0.05)
                return super().authenticate(request, userstore)

        provider = Slow(User("alice"))

        def get(self):
            from flask import copy_current_request_context

            def call():
                started.wait()
                answers.append(current_app.view_functions["inner"]().json["user"])

            threads = [threading.Thread(target=copy_current_request_context(call)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            return answers

        app, _, _ = secured(public(reason="x")(new_who("Outer", get=get)), new_who("Inner"), providers=[provider])
        assert app.test_client().get("/outer").json == ["alice"] * 4
        assert provider.asked == 1

    def test_a_provider_that_calls_a_view_which_it_guards_does_not_wait_for_itself(self):
        answers = []

        class Calling(Scripted):
            def authenticate(self, request, userstore):
                if not answers:
                    answers.append(None)
                    answers[0] = current_app.view_functions["who"]().status_code
                return User("alice")

        app, _, _ = secured(new_who(), providers=[Calling()])
        assert app.test_client().get("/who").status_code == 200
        assert answers == [500]


class TestOneDecisionForTheArguments:
    @pytest.fixture
    def asked(self):
        return []

    def make(self, asked):
        from flask_securest.authorization_providers import AbstractAuthorizationProvider, Decision

        class Policy(AbstractAuthorizationProvider):
            def authorize(self, identity, target):
                asked.append(dict(request.view_args))
                return Decision(True)

        class Item(Resource):
            def get(self, item_id):
                if item_id == 1:
                    return [current_app.view_functions["item"](item_id=each).json for each in (1.5, 2, 2)]
                return item_id

        app, api, _ = secured(authorization_provider=Policy())
        api.add_resource(Item, "/items/<int:item_id>")
        return app

    def test_an_inner_call_with_other_arguments_is_a_new_decision_and_with_the_same_it_is_none(self, asked):
        app = self.make(asked)
        assert app.test_client().get("/items/1", headers=ALICE).json == [1.5, 2, 2]
        assert len(asked) == 3, "for 1, 1.5 and 2"

    def test_arguments_that_change_between_gate_and_view_are_judged_again(self, asked):
        app = self.make(asked)
        view = app.view_functions["item"]
        app.view_functions["item"] = lambda item_id: view(item_id=item_id + 5)
        assert app.test_client().get("/items/2", headers=ALICE).json == 7
        assert len(asked) == 2

    def test_arguments_that_are_changed_in_place_are_judged_again(self, asked):
        from werkzeug.routing import BaseConverter

        class Numbers(BaseConverter):
            regex = r"[0-9,]+"

            def to_python(self, value):
                return value.split(",")

        from flask_securest.authorization_providers import AbstractAuthorizationProvider, Decision

        class Policy(AbstractAuthorizationProvider):
            def authorize(self, identity, target):
                asked.append(list(request.view_args["numbers"]))
                return Decision("9" not in request.view_args["numbers"])

        app = Flask("tests")
        app.url_map.converters["numbers"] = Numbers
        api = Api(app)
        api.add_resource(new_who(get=lambda self, numbers: numbers), "/who/<numbers:numbers>")
        SecuREST(api, authentication_providers=[api_key()], authorization_provider=Policy())
        view = app.view_functions["who"]

        def appending(numbers):
            numbers.append("9")
            return view(numbers=numbers)

        app.view_functions["who"] = appending
        assert app.test_client().get("/who/1,2", headers=with_key()).status_code == 403
        assert asked == [["1", "2"], ["1", "2", "9"]]


class TestErrorsOfViews:
    """G19: a view may refuse whom it finds wrong."""

    def raising(self, error, **options):
        def get(self):
            raise error

        return secured(new_who(get=get), **options)[0]

    @pytest.mark.parametrize(
        "error", [AuthenticationError("again"), BadCredentialsError("wrong"), AccountStatusError("locked")]
    )
    def test_an_authentication_error_is_a_401_with_the_challenges_of_its_chain(self, error):
        answer = self.raising(error).test_client().get("/who", headers=ALICE)
        assert (answer.status_code, answer.json) == (401, {"message": "Unauthorized User"})
        assert len(answer.headers.getlist("WWW-Authenticate")) == 3
        assert answer.headers["Cache-Control"] == "no-store"

    def test_in_a_public_view_it_has_the_challenges_of_the_default_chain(self):
        app, _, _ = secured(
            public(reason="log-in")(new_who(get=lambda self: (_ for _ in ()).throw(BadCredentialsError())))
        )
        answer = app.test_client().get("/who")
        assert answer.status_code == 401
        assert len(answer.headers.getlist("WWW-Authenticate")) == 3

    def test_its_own_challenge_stands_for_whom_let_the_caller_in(self):
        error = BadCredentialsError("again", challenge='Basic realm="once more"')
        answer = self.raising(error).test_client().get("/who", headers=ALICE)
        assert answer.headers.getlist("WWW-Authenticate")[1] == 'Basic realm="once more"'

    def test_after_it_the_caller_is_nobody_and_after_a_403_is_still_seen(self):
        for error, expected in (
            (BadCredentialsError(), None),
            (BackendError("x"), None),
            (AuthorizationError(), "alice"),
        ):
            seen = []
            app = self.raising(error)
            app.after_request(lambda response, seen=seen: seen.append(who()["user"]) or response)
            app.test_client().get("/who", headers=ALICE)
            assert seen == [expected]


class TestPreflights:
    HEADERS: ClassVar = {"Origin": "https://spa.example", "Access-Control-Request-Method": "GET"}

    def make(self, **members):
        def cross_origin(view):
            import functools

            @functools.wraps(view)
            def with_cors(*args, **kwargs):
                response = (
                    current_app.make_default_options_response()
                    if request.method == "OPTIONS"
                    else view(*args, **kwargs)
                )
                response.headers["Access-Control-Allow-Origin"] = "*"
                return response

            with_cors.provide_automatic_options = False
            with_cors.required_methods = ["OPTIONS"]
            return with_cors

        Who = new_who(**members)
        app, _, _ = secured(Who, providers=[api_key()], api_options={"decorators": [cross_origin]})
        return app.test_client(), Who

    def test_a_preflight_passes_to_the_decorator_that_answers_it(self):
        client, Who = self.make()
        answer = client.options("/who", headers=self.HEADERS)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert Who.constructed == 0

    @pytest.mark.parametrize("missing", ["Origin", "Access-Control-Request-Method"])
    def test_what_is_no_preflight_does_not_pass(self, missing):
        client, _ = self.make()
        headers = {name: value for name, value in self.HEADERS.items() if name != missing}
        assert client.options("/who", headers=headers).status_code == 401

    def test_the_headers_of_a_preflight_get_nothing_out_of_a_cache(self):
        """One that looks at the path alone answers OPTIONS with its GET."""
        kept = {}

        def cache(view):
            def cached(*args, **kwargs):
                if request.path not in kept:
                    kept[request.path] = view(*args, **kwargs)
                return kept[request.path]

            cached.__dict__.update(view.__dict__, provide_automatic_options=False, required_methods=["OPTIONS"])
            cached.__name__ = view.__name__
            return cached

        for place in ("inside", "outside"):
            kept.clear()
            app, api, _ = secured(
                providers=[api_key()], api_options={"decorators": [cache] if place == "inside" else []}
            )
            Who = new_who()
            if place == "outside":
                Who.provide_automatic_options, Who.methods = False, {"GET", "OPTIONS"}
            api.add_resource(Who, "/who")
            if place == "outside":
                app.view_functions["who"] = cache(app.view_functions["who"])
            client = app.test_client()
            assert client.get("/who", headers=with_key()).status_code == 200
            assert client.options("/who", headers=self.HEADERS).status_code == 401, place

    def test_a_hook_that_serves_from_a_cache_serves_nobody_with_an_automatic_options(self):
        app, _, _ = secured(new_who(), providers=[api_key()])
        app.before_request(lambda: "what GET answers")
        assert app.test_client().options("/who", headers=self.HEADERS).status_code == 401
        assert app.test_client().options("/who", headers=with_key()).data == b"what GET answers"

    def test_one_does_not_pass_to_an_options_method_or_to_a_dispatcher_of_ones_own(self):
        for members in (
            {"options": lambda self: "mine"},
            {"dispatch_request": lambda self: "mine"},
            {"__getattr__": lambda self, name: lambda: "mine"},
        ):
            client, Who = self.make(**members)
            assert client.options("/who", headers=self.HEADERS).status_code == 401, members
            assert Who.constructed == 0

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_decorator_that_makes_another_request_of_it_does_not_get_in(self, method):
        import functools

        def override(view):
            @functools.wraps(view)
            def overriding(*args, **kwargs):
                request.method = request.args.get("_method", request.method)
                return view(*args, **kwargs)

            overriding.provide_automatic_options = False
            overriding.required_methods = ["OPTIONS"]
            return overriding

        Who = new_who()
        app, _, _ = secured(Who, providers=[api_key()], api_options={"decorators": [override]})
        client = app.test_client()
        assert client.options(f"/who?_method={method}", headers=self.HEADERS).status_code == 401
        assert Who.ran == 0
        answer = client.options(f"/who?_method={method}", headers=self.HEADERS | with_key())
        assert answer.json == {"user": "ci", "provider": "api-key"}


def test_a_decorator_that_changes_the_method_does_not_get_the_rule_of_another():
    """G4, as far as a decorator of the Api or of the class goes."""
    import functools

    def override(view):
        @functools.wraps(view)
        def overriding(*args, **kwargs):
            request.method = request.args.get("_method", request.method)
            return view(*args, **kwargs)

        return overriding

    for place in ("api", "class"):
        deleted = []
        Article = new_who(
            "Article",
            get=public(reason="x")(lambda self: "read"),
            delete=require(roles="admin")(lambda self, deleted=deleted: deleted.append(1) or "deleted"),
        )
        if place == "class":
            Article.decorators = [override]
        app, _, _ = secured(Article, api_options={"decorators": [override] if place == "api" else []})
        client = app.test_client()
        assert client.get("/article").json == "read"
        assert client.get("/article?_method=DELETE").status_code == 401
        assert client.get("/article?_method=DELETE", headers=BOB).status_code == 403
        assert deleted == []
        assert client.get("/article?_method=DELETE", headers=ALICE).json == "deleted"


def test_the_receiver_of_a_success_that_raises_refuses_and_others_change_nothing(caplog):
    client = secured(new_who())[0].test_client()

    def fail(sender, **told):
        raise ValueError("a receiver of the application")

    with request_authenticated.connected_to(fail):
        assert client.get("/who", headers=ALICE).status_code == 500
    with request_refused.connected_to(fail):
        assert client.get("/who").status_code == 401
    assert client.get("/who", headers=ALICE).status_code == 200


def test_an_http_exception_of_a_provider_is_delivered_by_the_gate():
    class Own(HTTPException):
        code = 418
        description = "own words"

    app, _, _ = secured(optional(new_who()), providers=[Scripted(Own())])
    app.before_request(ask)
    assert app.test_client().get("/who").status_code == 418
