"""One decision for each (request, Api, Resource class, verb); and whose identity it is."""

import sys
import threading

import pytest
from flask import Flask, current_app, request
from flask_restful import Api
from helpers import (
    ALICE,
    BOB,
    Scripted,
    api_key,
    basic,
    chain_of_three,
    how_many,
    make_userstore,
    new_who,
    secured,
    show,
    who,
    with_key,
)

from flask_securest import SecuREST, User, authenticators, current_identity, current_user, optional, public, require
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.authorization_providers import AbstractAuthorizationProvider, Decision
from flask_securest.errors import AuthorizationError, BackendError
from flask_securest.passwords import PasswordHasher
from flask_securest.signals import request_authenticated, request_refused
from flask_securest.userstores import SimpleUserstore


def calling(endpoint):
    """Return a method that calls the view of another endpoint, and says who it was before and after."""

    def get(self):
        before = who()
        answer = current_app.view_functions[endpoint]()
        return {"before": before, "inner": [answer.status_code, answer.json], "after": who()}

    return get


def status_of(answer):
    return answer.json["inner"][0]


class TestOneDecision:
    def test_both_guards_see_the_same_one_and_the_chain_runs_once(self):
        provider = Scripted(User("alice"))
        client = secured(new_who(), providers=[provider])[0].test_client()
        heard = []
        with _heard(request_authenticated, heard):
            client.get("/who")
        assert provider.asked == 1
        assert len(heard) == 1

    def test_a_refusal_is_decided_once_too(self):
        provider, heard = Scripted(), []
        client = secured(new_who(), providers=[provider])[0].test_client()
        with _heard(request_refused, heard):
            client.get("/who")
        assert provider.asked == 1
        assert len(heard) == 1

    def test_a_public_resource_that_calls_a_closed_one_does_not_lend_it_its_own_yes(self):
        Open, Closed = public(reason="open")(new_who("Open", get=calling("closed"))), new_who("Closed")
        client = secured(Open, Closed)[0].test_client()
        assert status_of(client.get("/open")) == 401
        assert Closed.constructed == 0
        assert status_of(client.get("/open", headers=ALICE)) == 200

    def test_a_closed_resource_that_calls_one_with_a_role_does_not_lend_it_its_own_yes(self):
        Outer, Inner = new_who("Outer", get=calling("inner")), require(roles="admin")(new_who("Inner"))
        client = secured(Outer, Inner)[0].test_client()
        assert status_of(client.get("/outer", headers=BOB)) == 403
        assert status_of(client.get("/outer", headers=ALICE)) == 200

    def test_what_the_chain_found_out_is_shared(self):
        provider = Scripted(User("alice"))
        Outer, Inner = new_who("Outer", get=calling("inner")), require(roles="admin")(new_who("Inner"))
        client = secured(Outer, Inner, providers=[provider])[0].test_client()
        assert status_of(client.get("/outer")) == 403
        assert provider.asked == 1

    def test_what_another_chain_found_out_is_not(self):
        provider, other = Scripted(User("alice")), Scripted(name="other")
        Outer, Inner = new_who("Outer", get=calling("inner")), authenticators(other)(new_who("Inner"))
        client = secured(Outer, Inner, providers=[provider])[0].test_client()
        assert status_of(client.get("/outer")) == 401
        assert other.asked == 1

    def test_asked_for_the_same_inner_resource_again_it_is_the_same_decision(self):
        heard = []

        def get(self):
            return [current_app.view_functions["inner"]().status_code for _ in range(3)]

        Outer, Inner = new_who("Outer", get=get), require(roles="admin")(new_who("Inner"))
        client = secured(Outer, Inner)[0].test_client()
        with _heard(request_refused, heard):
            assert client.get("/outer", headers=BOB).json == [403, 403, 403]
        assert len(heard) == 1

    def test_another_api_of_another_guard_decides_for_itself(self):
        app = Flask("tests")
        first, second = Api(app), Api(app)
        first.add_resource(new_who("First", get=calling("second")), "/first")
        second.add_resource(new_who("Second"), "/second")
        SecuREST(first, authentication_providers=[api_key()])
        SecuREST(second, authentication_providers=[api_key("X-Second", key="second-key", name="second")])
        client = app.test_client()
        assert status_of(client.get("/first", headers=with_key())) == 401
        both = with_key() | {"X-Second": "second-key"}
        answer = client.get("/first", headers=both).json
        assert answer["inner"] == [200, {"user": "ci", "provider": "second"}]
        assert answer["before"] == answer["after"] == {"user": "ci", "provider": "api-key"}

    def test_a_view_is_its_own_caller_again_after_it_has_called_another(self):
        Outer, Open = new_who("Outer", get=calling("open")), public(reason="open")(new_who("Open"))
        answer = secured(Outer, Open)[0].test_client().get("/outer", headers=ALICE).json
        alice, nobody = {"user": "alice", "provider": "password"}, {"user": None, "provider": None}
        assert answer == {"before": alice, "inner": [200, nobody], "after": alice}

    def test_a_plain_view_has_no_caller_before_and_after_it_calls_a_guarded_one(self):
        app, _, _ = secured(new_who("Inner"))
        app.add_url_rule("/plain", view_func=lambda: calling("inner")(None), endpoint="plain")
        answer = app.test_client().get("/plain", headers=ALICE).json
        nobody = {"user": None, "provider": None}
        assert answer == {"before": nobody, "inner": [200, {"user": "alice", "provider": "password"}], "after": nobody}

    def test_the_caller_is_known_before_and_after_the_view(self):
        app, _, _ = secured(new_who())
        seen = []
        app.before_request(lambda: seen.append(who()["user"]))

        @app.after_request
        def after(response):
            seen.append(who()["user"])
            return response

        app.test_client().get("/who", headers=ALICE)
        app.test_client().get("/who")
        app.test_client().get("/nowhere", headers=ALICE)
        assert seen == ["alice", "alice", None, None, None, None]

    def test_a_chain_is_not_left_with_the_error_of_another_request(self):
        provider = Scripted(lambda request: User("alice") if "X-Yes" in request.headers else None)
        client = secured(new_who(), providers=[provider])[0].test_client()
        for _ in range(3):
            assert client.get("/who").status_code == 401
            assert client.get("/who", headers={"X-Yes": "1"}).status_code == 200


class _heard:
    """Collect what a signal sends."""

    def __init__(self, signal, into):
        self.signal, self.into = signal, into

    def __enter__(self):
        self.signal.connect(self)

    def __exit__(self, *error):
        self.signal.disconnect(self)

    def __call__(self, sender, **told):
        self.into.append((sender, told))


class TestCurrentUser:
    def test_outside_of_a_request_it_is_nobody(self):
        assert not current_user
        assert not current_identity
        assert current_user == None  # noqa: E711
        with pytest.raises(AttributeError):
            current_user.username  # noqa: B018

    def test_in_a_request_that_nobody_has_decided_about_it_is_nobody(self):
        app, _, _ = secured(new_who())
        with app.test_request_context("/who", headers=ALICE):
            assert not current_user
            assert not current_identity

    def test_it_is_the_very_object_that_the_store_has(self):
        seen = []
        Who = new_who(
            get=lambda self: seen.append((current_user._get_current_object(), isinstance(current_user, User)))
        )
        store = make_userstore()
        secured(Who, userstore=store)[0].test_client().get("/who", headers=ALICE)
        assert seen == [(store.get_user("alice"), True)]
        assert seen[0][0] is store.get_user("alice")

    def test_a_nested_test_client_sees_its_own_caller_and_never_the_outer_one(self):
        def get(self):
            client = current_app.test_client()
            inner = [client.get("/inner", headers=headers).json for headers in ({}, BOB)]
            return {"before": who()["user"], "inner": [answer.get("user") for answer in inner], "after": who()["user"]}

        Outer, Inner = new_who("Outer", get=get), optional(new_who("Inner"))
        answer = secured(Outer, Inner)[0].test_client().get("/outer", headers=ALICE).json
        assert answer == {"before": "alice", "inner": [None, "bob"], "after": "alice"}

    def test_a_nested_request_context_has_nobody(self):
        def get(self):
            with current_app.test_request_context("/inner"):
                inner = who()
            return {"inner": inner["user"], "after": who()["user"]}

        answer = secured(new_who(get=get))[0].test_client().get("/who", headers=ALICE).json
        assert answer == {"inner": None, "after": "alice"}

    def test_a_copied_request_context_has_the_same_caller(self):
        from flask import copy_current_request_context

        def get(self):
            seen = []
            thread = threading.Thread(target=copy_current_request_context(lambda: seen.append(who()["user"])))
            thread.start()
            thread.join(10)
            return seen

        assert secured(new_who(get=get))[0].test_client().get("/who", headers=ALICE).json == ["alice"]

    def test_what_is_streamed_has_the_same_caller(self):
        from flask import Response, stream_with_context

        def get(self):
            return Response(stream_with_context(who()["user"] for _ in range(2)))

        assert secured(new_who(get=get))[0].test_client().get("/who", headers=ALICE).data == b"alicealice"

    def test_views_that_are_called_at_the_same_time_have_each_their_own_caller(self):
        import asyncio

        barrier = threading.Barrier(2, timeout=10)

        def get_together(self):
            barrier.wait()
            found = who()["user"]
            barrier.wait()
            return [found, who()["user"]]

        async def get(self):
            views = [current_app.view_functions[endpoint] for endpoint in ("open", "closed")]
            answers = await asyncio.gather(*(asyncio.to_thread(view) for view in views))
            return [*(answer.json for answer in answers), who()["user"]]

        Outer = new_who("Outer", get=get)
        Open, Closed = public(reason="open")(new_who("Open", get=get_together)), new_who("Closed", get=get_together)
        answer = secured(Outer, Open, Closed)[0].test_client().get("/outer", headers=ALICE).json
        assert answer == [[None, None], ["alice", "alice"], "alice"]

    def test_an_async_view_has_its_caller_after_it_has_waited(self):
        import asyncio

        async def get(self):
            before = who()["user"]
            await asyncio.sleep(0)
            together = await asyncio.gather(*(asyncio.to_thread(lambda: who()["user"]) for _ in range(3)))
            return [before, *together, who()["user"]]

        assert secured(new_who(get=get))[0].test_client().get("/who", headers=ALICE).json == ["alice"] * 5

    def test_eight_threads_with_eight_users_never_see_one_another(self):
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        names = [f"user-{number}" for number in range(8)]
        keys = api_key()
        for name in names:
            keys.register_key(f"key-of-{name}", name)
        store = SimpleUserstore([User(name, hasher.hash(f"password of {name}")) for name in names])

        def get(self):
            first = who()["user"]
            for _ in range(50):
                pass  # time for another thread to come in between
            return [first, who()["user"], request.headers["X-Expected"]]

        app, _, _ = secured(
            new_who(get=get), providers=[keys, PasswordAuthenticator(password_hasher=hasher)], userstore=store
        )
        wrong, rounds = [], how_many(150, 2000)

        def call(name):
            client = app.test_client()
            for number in range(rounds):
                headers = basic(name, f"password of {name}") if number % 2 else with_key(f"key-of-{name}")
                answer = client.get("/who", headers=headers | {"X-Expected": name})
                if answer.status_code != 200 or answer.json != [name] * 3:
                    wrong.append((name, answer.status_code, answer.data))

        interval = sys.getswitchinterval()
        sys.setswitchinterval(interval / 20)  # they come in between more often
        try:
            threads = [threading.Thread(target=call, args=[name]) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(300)
        finally:
            sys.setswitchinterval(interval)
        assert not any(thread.is_alive() for thread in threads)
        assert wrong == []


class Policy(AbstractAuthorizationProvider):
    """Answer what it is told to, and keep what it was asked."""

    def __init__(self, answer=None):
        self.answer = Decision(True) if answer is None else answer
        self.asked = []

    def authorize(self, identity, target):
        self.asked.append((identity.user.username, target.resource.__name__, target.verb, target.endpoint))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class TestAuthorizationProvider:
    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (Decision(True), 200),
            (Decision(True, "because"), 200),
            (Decision(False), 403),
            (Decision(False, "not on Sundays"), 403),
            (AuthorizationError("no"), 403),
            (BackendError("down"), 503),
            (True, 500),
            (None, 500),
            ("yes", 500),
            (["admin"], 500),
            (object(), 500),
            (ValueError("bug"), 500),
        ],
        ids=show,
    )
    def test_only_a_decision_that_allows_is_a_yes(self, answer, status):
        Who = new_who()
        policy = Policy()
        policy.answer = answer
        client = secured(Who, authorization_provider=policy)[0].test_client()
        response = client.get("/who", headers=ALICE)
        assert response.status_code == status
        assert Who.constructed == (status == 200)
        assert policy.asked == [("alice", "Who", "GET", "who")]
        if status != 200:
            assert "Sundays" not in response.text + str(response.headers)

    def test_it_is_asked_about_verified_callers_alone_and_after_the_rule(self):
        policy = Policy()
        resources = (
            public(reason="x")(new_who("Open")),
            optional(new_who("Optional")),
            require(roles="admin")(new_who()),
        )
        client = secured(*resources, authorization_provider=policy)[0].test_client()
        assert client.get("/open", headers=ALICE).status_code == 200
        assert client.get("/optional").status_code == 200
        assert client.get("/who").status_code == 401
        assert client.get("/who", headers=BOB).status_code == 403
        assert policy.asked == []
        assert client.get("/optional", headers=BOB).status_code == 200
        assert client.post("/who", headers=ALICE).status_code == 200
        assert policy.asked == [("bob", "Optional", "GET", "optional"), ("alice", "Who", "POST", "who")]

    def test_it_can_be_set_later(self):
        app, _, securest = secured(new_who())
        assert app.test_client().get("/who", headers=ALICE).status_code == 200
        securest.authorization_provider = Policy(Decision(False))
        assert app.test_client().get("/who", headers=ALICE).status_code == 403
        securest.authorization_provider = None
        assert app.test_client().get("/who", headers=ALICE).status_code == 200

    def test_insufficient_scope_is_said_where_it_says_so(self):
        from helpers import SECRET_KEY, bearer

        from flask_securest.authentication_providers import TokenAuthenticator

        token = TokenAuthenticator(SECRET_KEY).generate_auth_token("alice", scopes=[])
        policy = Policy(Decision(False, "", insufficient_scope=True))
        response = secured(new_who(), authorization_provider=policy)[0].test_client().get("/who", headers=bearer(token))
        assert response.headers.getlist("WWW-Authenticate") == ['Bearer realm="api", error="insufficient_scope"']

    @pytest.mark.parametrize("allowed", [1, "yes", ["admin"], None], ids=show)
    def test_a_decision_is_a_bool_and_a_refusal_is_false(self, allowed):
        with pytest.raises(TypeError):
            Decision(allowed)
        assert Decision(True)
        assert not Decision(False)

    def test_one_without_authorize_cannot_be_made(self):
        with pytest.raises(TypeError, match="authorize"):
            type("Nothing", (AbstractAuthorizationProvider,), {})()


class Misconfigured(Scripted):
    def check_configuration(self, userstore):
        raise ConnectionError("the directory is down")


class NoHeaders(Scripted):
    credential_headers = None


class UntellableError(Exception):
    def __str__(self):
        raise RuntimeError("cannot be told")


class TestReportMode:
    """For closing a live open API route by route: everything is decided, and nothing is refused."""

    def reported(self, *resources, **options):
        options.setdefault("mode", "report")
        return secured(*resources, **options)[0].test_client()

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"providers": []},
            {"userstore": None},
            {"providers": [Scripted(ValueError("bug"))]},
            {"providers": [Scripted(True)]},
            {"providers": [Scripted(UntellableError())]},
            {"providers": [Scripted(BackendError("down"))]},
            {"authorization_provider": Policy(ValueError("bug"))},
            {"providers": [Misconfigured()]},
            {"providers": [NoHeaders()]},
        ],
        ids=show,
    )
    def test_the_client_gets_what_it_would_get_without(self, options, caplog):
        def plain():
            app = Flask("tests")
            Api(app).add_resource(new_who(), "/who")
            return app.test_client()

        client = self.reported(new_who(), **options)
        for headers in ({}, with_key("wrong"), basic("mallory", "malice")):
            for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT"):
                got, expected = (each.open("/who", method=method, headers=headers) for each in (client, plain()))
                assert (got.status, got.data, str(got.headers)) == (
                    expected.status,
                    expected.data,
                    str(expected.headers),
                )
        assert "would deny 'GET' on 'who'" in caplog.text
        assert "refused" not in caplog.text

    @pytest.mark.parametrize(
        ("resource", "headers", "status"),
        [
            (new_who(), {}, 401),
            (require(roles="admin")(new_who()), BOB, 403),
            (authenticators("unknown")(new_who()), ALICE, 500),
        ],
        ids=["401", "403", "500"],
    )
    def test_what_would_be_denied_is_signalled_and_logged_once(self, resource, headers, status, caplog):
        from flask_securest.signals import request_would_be_refused

        would, did = [], []
        with _heard(request_would_be_refused, would), _heard(request_refused, did):
            assert self.reported(resource).get("/who", headers=headers).status_code == 200
        ((_, told),) = would
        assert told["verdict"].status == status
        assert did == []
        assert [record.getMessage() for record in caplog.records if "would deny" in record.getMessage()] == [
            record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")
        ]
        assert caplog.text.count("would deny 'GET' on 'who'") == 1
        assert f"from '127.0.0.1' ({status})" in caplog.text

    def test_a_verified_caller_is_known_and_nobody_else(self):
        Strict = require(roles="admin")(new_who("Strict"))
        client = self.reported(new_who(), Strict)
        assert client.get("/who", headers=ALICE).json["user"] == "alice"
        assert client.get("/who").json["user"] is None
        assert client.get("/who", headers=basic("mallory", "malice")).json["user"] is None
        assert client.get("/strict", headers=BOB).json["user"] == "bob"

    def test_a_receiver_that_fails_disturbs_nobody(self, caplog):
        from flask_securest.signals import request_would_be_refused

        def fail(sender, **told):
            raise RuntimeError("broken receiver")

        with request_would_be_refused.connected_to(fail):
            assert self.reported(new_who()).get("/who").status_code == 200
        assert "broken receiver" in caplog.text

    def test_the_internal_call_of_a_view_goes_on_too(self):
        Outer, Inner = new_who("Outer", get=calling("inner")), require(roles="admin")(new_who("Inner"))
        assert status_of(self.reported(Outer, Inner).get("/outer")) == 200

    def test_a_provider_that_refuses_in_its_own_words_is_reported_only(self):
        from werkzeug.exceptions import TooManyRequests

        assert self.reported(new_who(), providers=[Scripted(TooManyRequests())]).get("/who").status_code == 200


class TestSignalsAndLog:
    def test_who_was_verified_is_signalled_with_what_each_provider_said_and_how_long_it_took(self):
        heard = []
        app, _, securest = secured(new_who())
        with _heard(request_authenticated, heard):
            app.test_client().get("/who", headers=ALICE)
        ((sender, told),) = heard
        assert sender is securest
        assert told["request"].path == "/who"
        verdict = told["verdict"]
        assert verdict.status is None
        assert verdict.identity.user.username == "alice"
        assert [(attempt.provider, attempt.answer.value) for attempt in verdict.outcome.attempts] == [
            ("api-key", "no credentials"),
            ("password", "verified"),
        ]
        assert all(attempt.seconds >= 0 for attempt in verdict.outcome.attempts)

    def test_nothing_is_signalled_about_who_was_not_asked(self):
        heard = []
        client = secured(public(reason="x")(new_who("Open")), optional(new_who("Optional")))[0].test_client()
        with _heard(request_authenticated, heard), _heard(request_refused, heard):
            client.get("/open", headers=ALICE)
            client.get("/optional")
        assert heard == []

    def test_a_refusal_is_logged_with_what_each_provider_said(self, caplog):
        secured(new_who())[0].test_client().get("/who", headers=with_key("wrong") | basic("nobody", "x"))
        (record,) = caplog.records
        assert record.levelname == "INFO"
        assert record.getMessage() == (
            "refused 'GET' on 'who' from '127.0.0.1' (401): api-key: wrong credentials 'an API key that is not registered'; "
            "password: wrong credentials 'an unknown user'; token: no credentials"
        )

    def test_a_missing_role_and_a_back_end_that_is_down_are_logged_with_their_reason(self, caplog):
        secured(require(roles="admin")(new_who()))[0].test_client().get("/who", headers=BOB)
        assert (
            "(403): api-key: no credentials; password: verified; AuthorizationError: \"the role 'admin'" in caplog.text
        )
        secured(new_who(), providers=[Scripted(BackendError("no route to host"))])[0].test_client().get("/who")
        assert caplog.records[-1].levelname == "WARNING"
        assert "(503): scripted: back end down 'no route to host'" in caplog.text

    def test_who_is_let_in_is_logged_at_debug_and_no_line_is_made_that_nobody_reads(self, caplog):
        client = secured(new_who())[0].test_client()
        client.get("/who", headers=ALICE)
        assert [record.levelname for record in caplog.records] == ["DEBUG"]
        assert "let in 'GET' on 'who' for 'alice' by 'password' from '127.0.0.1'" in caplog.text
        made = []

        class TellingError(Exception):
            def __str__(self):
                made.append(1)
                return "told"

        from flask_securest.errors import BadCredentialsError

        error = type("Told", (TellingError, BadCredentialsError), {})()
        client = secured(new_who(), providers=[Scripted(error)])[0].test_client()
        caplog.set_level("WARNING", logger="flask_securest")
        client.get("/who")
        assert made == []

    @pytest.mark.parametrize(
        "said", ["x\nERROR root: alice logged in", "x\r\n", "\x1b[2J", "a\u2028b", "\x00"], ids=show
    )
    @pytest.mark.parametrize(
        "kind", [BackendError, AuthorizationError, ValueError, KeyError], ids=lambda kind: kind.__name__
    )
    def test_nobody_outside_can_write_a_line_of_the_log(self, said, kind, caplog):
        """A provider of one's own may well quote the request in its errors."""

        def quote(request):
            try:
                raise LookupError(said)
            except LookupError as error:
                raise kind(f"no user {said}") from error

        secured(new_who(), providers=[Scripted(quote)])[0].test_client().get("/who")
        assert len(caplog.records) == 1
        for hidden in ("\nERROR root", "\r", "\x1b", "\u2028", "\x00"):
            assert hidden not in caplog.text

    def test_a_bug_is_logged_with_its_traceback_and_what_led_to_it(self, caplog):
        def fail(request):
            try:
                raise LookupError("first")
            except LookupError as error:
                raise ValueError("second") from error

        secured(new_who(), providers=[Scripted(fail)])[0].test_client().get("/who")
        assert "LookupError: first" in caplog.text
        assert "which led to:" in caplog.text
        assert "ValueError: second" in caplog.text
        assert "in fail" in caplog.text

    def test_an_exception_that_cannot_even_be_told_is_a_500(self, caplog):
        client = secured(new_who(), providers=[Scripted(UntellableError())])[0].test_client()
        assert client.get("/who").status_code == 500
        assert "cannot be made" in caplog.text

    def test_members_of_a_group_and_notes_are_told_and_escaped_too(self, caplog):
        error = ValueError("outer")
        error.__notes__ = ["a note\nERROR forged"]
        error.exceptions = [KeyError("the real reason"), "no exception"]
        secured(new_who(), providers=[Scripted(error)])[0].test_client().get("/who")
        assert "the real reason" in caplog.text
        assert "note: a note\\nERROR forged" in caplog.text

    def test_a_traceback_that_cannot_be_made_is_told_too(self, caplog):
        error = ValueError("outer")
        error.__notes__ = 7
        assert secured(new_who(), providers=[Scripted(error)])[0].test_client().get("/who").status_code == 500
        assert "a traceback that cannot be made" in caplog.text

    def test_what_a_back_end_error_comes_from_is_told(self, caplog):
        def fail(request):
            try:
                raise OSError("unable to open\ndatabase file")
            except OSError as error:
                raise BackendError("the user database cannot be read") from error

        secured(new_who(), providers=[Scripted(fail)])[0].test_client().get("/who")
        assert r"'the user database cannot be read' (from OSError: 'unable to open\ndatabase file')" in caplog.text

    def test_who_was_refused_is_told_where_it_is_known(self, caplog):
        secured(require(roles="admin")(new_who()))[0].test_client().get("/who", headers=BOB)
        assert "refused 'GET' on 'who' for 'bob' from '127.0.0.1' (403)" in caplog.text

    def test_no_secret_is_in_any_log(self, caplog):
        from helpers import SECRET_KEY, bearer

        from flask_securest.authentication_providers import TokenAuthenticator

        token = TokenAuthenticator(SECRET_KEY).generate_auth_token("mallory")
        client = secured(new_who(), providers=chain_of_three())[0].test_client()
        planted = ["planted-key", "planted-password", "planted-user", token]
        client.get("/who", headers=with_key("planted-key") | basic("planted-user", "planted-password"))
        client.get("/who", headers=basic("alice", "planted-password"))
        client.get("/who", headers=bearer(token))
        client.get("/who", headers=bearer("planted-key"))
        assert caplog.records
        for secret in planted:
            assert secret not in caplog.text

    def test_a_receiver_that_fails_lets_nobody_in(self):
        def fail(sender, **told):
            raise RuntimeError("the audit log is full")

        Who = new_who()
        client = secured(Who)[0].test_client()
        with request_authenticated.connected_to(fail):
            assert client.get("/who", headers=ALICE).status_code == 500
        with request_refused.connected_to(fail):
            assert client.get("/who").status_code == 401
        assert Who.constructed == 0


class TestAdmittingNeverRaises:
    @pytest.mark.parametrize(
        "provider", [Misconfigured(), NoHeaders()], ids=["check_configuration", "credential_headers"]
    )
    @pytest.mark.parametrize("propagate", [True, None])
    def test_a_provider_that_fails_before_it_is_asked_is_a_500(self, provider, propagate, caplog):
        app, _, _ = secured(new_who(), providers=[api_key(), provider])
        app.config["PROPAGATE_EXCEPTIONS"] = propagate
        answer = app.test_client().get("/who", headers=with_key())
        assert answer.status_code == 500
        assert answer.headers["Cache-Control"] == "no-store"
        assert "refused 'GET' on 'who'" in caplog.text

    def test_one_that_fails_now_may_work_the_next_time(self):
        provider = Misconfigured(User("alice"))
        client = secured(new_who(), providers=[provider])[0].test_client()
        assert client.get("/who").status_code == 500
        provider.check_configuration = lambda userstore: None
        assert client.get("/who").status_code == 200


class DirectoryDown(Scripted):
    def authenticate(self, request, userstore):
        try:
            raise OSError("connection refused")
        except OSError as error:
            raise BackendError("the directory is down") from error


class RefusesAll(AbstractAuthorizationProvider):
    def authorize(self, identity, target):
        raise AuthorizationError("no")


def raising(self):
    raise AuthorizationError("not yours")


LATIN = {"Authorization": "Basic YWxpY2U6cORzc3f2cmQ="}
ANSWERED = {
    "no credentials": ({}, {}),
    "wrong key": ({}, with_key("wrong")),
    "wrong password": ({}, basic("alice", "wrong")),
    "no base64": ({}, {"Authorization": "Basic ###"}),
    "no utf-8": ({}, LATIN),
    "forged token": ({}, {"Authorization": f"Bearer {'A' * 40}.AAAA.{'A' * 43}"}),
    "back end down": ({"providers": [DirectoryDown()]}, {}),
    "authorization refuses": ({"authorization_provider": RefusesAll()}, ALICE),
    "the view refuses": ({"resource": new_who(get=raising)}, ALICE),
    "unknown provider": ({"resource": authenticators("unknown")(new_who())}, ALICE),
    "let in": ({}, ALICE),
}


class TestMemory:
    """A request is freed when it has been answered, and its credentials with it; not at the next collection."""

    @pytest.mark.parametrize(("options", "headers"), ANSWERED.values(), ids=ANSWERED)
    def test_a_request_is_not_kept(self, options, headers):
        import gc
        import weakref

        from flask import Request

        alive = []

        class Watched(Request):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                alive.append(weakref.ref(self))

        options = dict(options)
        app, _, _ = secured(options.pop("resource", None) or new_who(), **options)
        app.request_class = Watched
        client = app.test_client()
        client.get("/who", headers=headers)
        gc.collect()
        alive.clear()
        gc.disable()
        try:
            client.get("/who", headers=headers)
            assert [request() for request in alive] == [None]
        finally:
            gc.enable()

    def test_not_even_the_first_request_of_a_misconfigured_endpoint_is_kept(self):
        policy_keeper = authenticators("unknown")(new_who())
        app, _, _ = secured(policy_keeper)
        app.test_client().get("/who", headers=ALICE)
        view = app.view_functions["who"].__flask_securest_view__
        assert view.policies["GET"].verdict.error.__traceback__ is None

    def test_an_error_does_not_carry_what_it_hides(self):
        heard = []
        client = secured(new_who())[0].test_client()
        with _heard(request_refused, heard):
            client.get("/who", headers=LATIN)
        assert heard[0][1]["verdict"].error.__context__ is None
