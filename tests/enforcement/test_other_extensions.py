"""Flask's extensions beside us: they see a refused request as any other, and none of them is a way around the guard."""

import flask_login
import pytest
from applications import in_either_order, make_application
from cachelib import FileSystemCache
from flask import Response, request, session
from flask_caching import Cache
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_session import Session
from flask_talisman import Talisman
from helpers import ALICE, BOB, Scripted, basic, make_userstore, new_who, who, with_key

from flask_securest import User, current_user, optional, public, require
from flask_securest.userstores import AbstractUserstore

WRONG = basic("alice", "wrong")


def statuses(client, times, headers=(), **options):
    return [client.get("/who", headers=dict(headers), **options).status_code for _ in range(times)]


class TestFlaskLimiter:
    """A window of a day, which begins with its first request: none of these tests outlives one."""

    def limited(self, key_function=get_remote_address, **options):
        def extend(app, blueprint):
            Limiter(key_function, app=app, storage_uri="memory://", **options)

        return extend

    @in_either_order
    def test_wrong_passwords_are_counted_and_then_the_right_one_is_not_even_looked_at(self, extension_first):
        asked = []

        class Counting(AbstractUserstore):
            def get_user(self, identifier):
                asked.append(identifier)
                return make_userstore().get_user(identifier)

        app = make_application(
            self.limited(default_limits=["3 per day"], headers_enabled=True),
            new_who(),
            extension_first=extension_first,
            userstore=Counting(),
        )
        client = app.test_client()
        assert statuses(client, 4, WRONG) == [401, 401, 401, 429]
        assert statuses(client, 2, ALICE) == [429, 429]
        assert asked == ["alice"] * 3
        assert statuses(client, 1, ALICE, environ_base={"REMOTE_ADDR": "192.0.2.7"}) == [200]

    def test_a_refusal_says_how_many_attempts_are_left(self):
        extend = self.limited(default_limits=["3 per day"], headers_enabled=True)
        client = make_application(extend, new_who()).test_client()
        answers = [client.get("/who", headers=WRONG) for _ in range(4)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert ["WWW-Authenticate" in answer.headers for answer in answers] == [True, True, True, False]

    @pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
    @in_either_order
    def test_limits_for_each_user_are_counted_by_user_and_for_the_others_by_address(self, extension_first, strategy):
        def user_or_address():
            return f"user {current_user.username}" if current_user else get_remote_address()

        app = make_application(
            self.limited(user_or_address, default_limits=["2 per day"], strategy=strategy),
            optional(new_who()),
            require(roles="admin")(new_who("Admins")),
            extension_first=extension_first,
        )
        client, elsewhere = app.test_client(), {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
        assert statuses(client, 3, ALICE) == [200, 200, 429]
        assert statuses(client, 1, ALICE, **elsewhere) == [429]
        assert statuses(client, 3, BOB, **elsewhere) == [200, 200, 429]
        assert statuses(client, 3) == [200, 200, 429]
        assert statuses(client, 1, WRONG) == [429]
        assert statuses(client, 2, **elsewhere) == [200, 200]
        assert [client.get("/admins", headers=BOB).status_code for _ in range(3)] == [403, 403, 429]

    def test_failures_alone_can_be_counted(self):
        extend = self.limited(
            default_limits=["3 per day"], default_limits_deduct_when=lambda response: response.status_code == 401
        )
        client = make_application(extend, new_who()).test_client()
        assert statuses(client, 5, ALICE) == [200] * 5
        assert statuses(client, 4, WRONG) == [401, 401, 401, 429]
        assert statuses(client, 1, ALICE) == [429]

    @pytest.mark.parametrize("where", ["Api", "Resource", "method_decorators", "method"])
    @in_either_order
    def test_a_limit_on_a_view_never_counts_who_is_refused(self, extension_first, where):
        """The guard stands in front of it: such a limit is no protection from guessing, as the documents say."""
        limiter = Limiter(get_remote_address, storage_uri="memory://")
        limit = limiter.limit("3 per day")
        Who = new_who()
        if where == "Resource":
            Who.decorators = [limit]
        elif where == "method_decorators":
            Who.method_decorators = [limit]
        elif where == "method":
            Who.get = limit(Who.get)
        client = make_application(
            lambda app, _: limiter.init_app(app),
            Who,
            extension_first=extension_first,
            api_options={"decorators": [limit] if where == "Api" else []},
        ).test_client()
        assert statuses(client, 5, WRONG) == [401] * 5
        assert statuses(client, 4, ALICE) == [200, 200, 200, 429]
        assert statuses(client, 2, WRONG) == [401] * 2


class TestFlaskTalisman:
    @pytest.mark.parametrize(("options", "status"), [({}, 302), ({"force_https_permanent": True}, 301)])
    @in_either_order
    def test_nobody_is_asked_for_a_password_that_would_be_sent_in_clear(self, extension_first, options, status):
        provider = Scripted(User("alice"), challenge='Scripted realm="api"')
        app = make_application(
            lambda app, _: Talisman(app, **options),
            new_who(),
            extension_first=extension_first,
            authentication_providers=[provider],
        )
        for headers in ({}, {"X-Scripted": "yes"}):
            answer = app.test_client().get("/who?page=2", headers=headers)
            assert answer.status_code == status
            assert answer.location == "https://localhost/who?page=2"
            assert "WWW-Authenticate" not in answer.headers
        assert provider.asked == 0

    @in_either_order
    def test_over_https_refusals_carry_what_all_answers_carry(self, extension_first):
        app = make_application(lambda app, _: Talisman(app), new_who(), extension_first=extension_first)
        client, https = app.test_client(), {"base_url": "https://localhost"}
        for headers, status in (({}, 401), (WRONG, 401), (ALICE, 200)):
            answer = client.get("/who", headers=headers, **https)
            assert answer.status_code == status
            assert "max-age" in answer.headers["Strict-Transport-Security"]
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)


class TestFlaskSession:
    def with_sessions(self, path, *more):
        def extend(app, blueprint):
            app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(path)))
            Session(app)
            for function in more:
                function(app)

        return extend

    @in_either_order
    def test_hooks_read_and_write_it_whether_or_not_a_request_is_refused(self, extension_first, tmp_path):
        seen = []

        def count(app):
            @app.before_request
            def visit():
                session["visits"] = session.get("visits", 0) + 1

            @app.after_request
            def leave(response):
                seen.append((response.status_code, session["visits"]))
                session["last"] = response.status_code
                return response

        Who = new_who(get=lambda self: {"last": session.get("last"), "user": current_user.username})
        extend = self.with_sessions(tmp_path, count)
        client = make_application(extend, Who, extension_first=extension_first).test_client()
        first = client.get("/who")
        assert first.status_code == 401
        assert "session=" in first.headers["Set-Cookie"]
        assert client.get("/who", headers=WRONG).status_code == 401
        assert client.get("/who", headers=ALICE).json == {"last": 401, "user": "alice"}
        assert client.get("/who").status_code == 401
        assert seen == [(401, 1), (401, 2), (200, 3), (401, 4)]

    def test_a_refusal_begins_no_session_of_its_own(self, tmp_path):
        client = make_application(self.with_sessions(tmp_path), new_who()).test_client()
        for headers in ({}, WRONG, ALICE):
            assert "Set-Cookie" not in client.get("/who", headers=headers).headers

    @in_either_order
    def test_a_userstore_can_go_by_it(self, extension_first, tmp_path):
        class Tenants(AbstractUserstore):
            def get_user(self, identifier):
                return make_userstore().get_user(identifier) if session.get("tenant") == "one" else None

        def choose(app):
            @app.before_request
            def tenant():
                session.setdefault("tenant", request.args.get("tenant"))

        app = make_application(
            self.with_sessions(tmp_path, choose), new_who(), extension_first=extension_first, userstore=Tenants()
        )
        for tenant, status in (("one", 200), ("two", 401)):
            client = app.test_client()
            assert client.get(f"/who?tenant={tenant}", headers=ALICE).status_code == status
            assert client.get("/who", headers=ALICE).status_code == status


def limited(app, blueprint):
    Limiter(get_remote_address, app=app, storage_uri="memory://", default_limits=["2 per day"], headers_enabled=True)


def redirected(app, blueprint):
    Talisman(app)


def answered(app, blueprint):
    app.before_request(lambda: Response("from a hook"))


def answered_as_before(app, blueprint):
    app.before_request(lambda: Response(status=304))


@pytest.mark.parametrize("extend", [limited, redirected, answered, answered_as_before])
@in_either_order
def test_in_report_mode_they_answer_as_they_did_without_us(extension_first, extend):
    def answers(**options):
        client = make_application(extend, new_who(), extension_first=extension_first, **options).test_client()
        answers = [client.get("/who", headers=headers) for headers in ({}, WRONG, {})]
        # When a limit begins anew is a matter of the clock.
        clock = ("X-RateLimit-Reset", "Retry-After")
        return [(each.status, each.data, [pair for pair in each.headers if pair[0] not in clock]) for each in answers]

    assert answers(mode="report") == answers(guarded=False)


class Member(flask_login.UserMixin):
    def __init__(self, name):
        self.id = name


class TestFlaskLogin:
    """It has users of its own, and a ``current_user`` of its own."""

    def make(self, *resources, extension_first=True):
        def extend(app, blueprint):
            app.secret_key = "of the session"
            manager = flask_login.LoginManager(app)
            manager.user_loader(lambda name: Member(name) if name == "lena" else None)
            app.add_url_rule("/login", view_func=lambda: str(flask_login.login_user(Member("lena"))), endpoint="login")
            app.add_url_rule("/page", view_func=flask_login.login_required(self.page), endpoint="page")

        return make_application(extend, *resources, extension_first=extension_first)

    @staticmethod
    def page():
        return {"member": getattr(flask_login.current_user, "id", None), "user": who()["user"]}

    @in_either_order
    def test_the_two_know_nothing_of_each_other(self, extension_first):
        Who = new_who(get=lambda self: self_page())

        def self_page():
            return self.page()

        app = self.make(Who, extension_first=extension_first)
        client, stranger = app.test_client(), app.test_client()
        assert client.get("/login").text == "True"
        # With its cookie alone, with our credentials alone, and with both.
        assert client.get("/page").json == {"member": "lena", "user": None}
        refused = client.get("/who")
        assert refused.status_code == 401
        assert refused.json == {"message": "Unauthorized User"}
        assert stranger.get("/who", headers=ALICE).json == {"member": None, "user": "alice"}
        unknown = stranger.get("/page", headers=ALICE)
        assert unknown.status_code == 401
        assert "WWW-Authenticate" not in unknown.headers
        assert client.get("/who", headers=ALICE).json == {"member": "lena", "user": "alice"}
        assert client.get("/page", headers=ALICE).json == {"member": "lena", "user": None}

    @in_either_order
    def test_a_resource_may_ask_for_both(self, extension_first):
        Who = new_who(method_decorators=[flask_login.login_required])
        app = self.make(Who, extension_first=extension_first)
        client, stranger = app.test_client(), app.test_client()
        client.get("/login")
        assert client.get("/who").status_code == 401
        assert stranger.get("/who", headers=ALICE).status_code == 401
        assert client.get("/who", headers=ALICE).json["user"] == "alice"
        assert Who.ran == 1

    def test_a_hook_may_ask_both_who_is_calling(self):
        seen = []
        app = self.make(new_who())

        @app.before_request
        def note():
            seen.append((getattr(flask_login.current_user, "id", None), who()["user"]))

        client = app.test_client()
        client.get("/login")
        client.get("/who")
        client.get("/who", headers=ALICE)
        assert seen == [(None, None), ("lena", None), ("lena", "alice")]


def cached_view(app, cached):
    app.view_functions["who"] = cached(app.view_functions["who"])


#: Where ``cache.cached()`` may stand.
CACHED = {
    "Api": lambda Who, cached: {"decorators": [cached]},
    "Resource": lambda Who, cached: setattr(Who, "decorators", [cached]),
    "method_decorators": lambda Who, cached: setattr(Who, "method_decorators", [cached]),
    "method_decorators of get": lambda Who, cached: setattr(Who, "method_decorators", {"get": [cached]}),
    "method": lambda Who, cached: setattr(Who, "get", cached(Who.get)),
    "around the view function": None,
}


class TestFlaskCaching:
    def make(self, where, *, extension_first=True, guard=lambda Who: Who, **options):
        cache = Cache(config={"CACHE_TYPE": "SimpleCache"})
        cached = cache.cached(timeout=0, **options)
        Who = new_who()
        put = CACHED[where]
        app = make_application(
            lambda app, _: cache.init_app(app),
            guard(Who),
            extension_first=extension_first,
            api_options=(put and put(Who, cached)) or {},
        )
        if put is None:
            cached_view(app, cached)
        return app.test_client(), Who

    @pytest.mark.parametrize("where", CACHED)
    @in_either_order
    def test_a_stranger_gets_nothing_out_of_a_cache_that_others_have_filled(self, extension_first, where):
        client, Who = self.make(where, extension_first=extension_first, guard=require(roles="admin"))
        assert client.get("/who").status_code == 401
        assert statuses(client, 2, ALICE) == [200, 200]
        assert Who.ran == 1, "or it would not have been in the cache"
        for headers, status in (({}, 401), (WRONG, 401), (with_key("wrong"), 401), (BOB, 403)):
            answer = client.get("/who", headers=headers)
            assert answer.status_code == status
            assert "alice" not in answer.text
        assert statuses(client, 1, ALICE) == [200]
        assert Who.ran == 1

    @pytest.mark.parametrize("where", CACHED)
    def test_one_caller_gets_what_was_made_for_another(self, where):
        """The cache knows the path alone: whoever caches what differs between callers has to say so."""
        client, Who = self.make(where)
        assert client.get("/who", headers=ALICE).json["user"] == "alice"
        assert client.get("/who", headers=BOB).json["user"] == "alice"
        assert Who.ran == 1

    @pytest.mark.parametrize(
        "option",
        [
            {"key_prefix": lambda: f"{request.path} {current_user.username}"},
            {"make_cache_key": lambda *args, **kwargs: f"{request.path} {current_user.username}"},
        ],
        ids=["key_prefix", "make_cache_key"],
    )
    @pytest.mark.parametrize("where", CACHED)
    @in_either_order
    def test_with_the_caller_in_the_key_everybody_gets_an_answer_of_his_own(self, extension_first, where, option):
        client, Who = self.make(where, extension_first=extension_first, **option)
        for _ in range(2):
            assert client.get("/who", headers=ALICE).json["user"] == "alice"
            assert client.get("/who", headers=BOB).json["user"] == "bob"
            assert client.get("/who").status_code == 401
        assert Who.ran == 2

    @in_either_order
    def test_a_hook_that_answers_from_a_cache_does_not_answer_whoever_is_refused(self, extension_first):
        cache = Cache(config={"CACHE_TYPE": "SimpleCache"})

        def extend(app, blueprint):
            cache.init_app(app)

            @app.before_request
            def look_up():
                if "If-None-Match" in request.headers:
                    return Response(status=304)
                found = cache.get(request.path)
                return None if found is None else Response(found, mimetype="application/json")

            @app.after_request
            def keep(response):
                if response.status_code == 200:
                    cache.set(request.path, response.get_data())
                return response

        Who, Open = new_who(), public(reason="anybody")(new_who("Open"))
        client = make_application(extend, Who, Open, extension_first=extension_first).test_client()
        assert statuses(client, 2, ALICE) == [200, 200]
        assert Who.ran == 1
        for headers in ({}, WRONG, {"If-None-Match": '"1"'}, WRONG | {"If-None-Match": "*"}):
            answer = client.get("/who", headers=headers)
            assert answer.status_code == 401
            assert "alice" not in answer.text
        assert client.get("/who", headers=ALICE | {"If-None-Match": '"1"'}).status_code == 304
        assert [client.get("/open").status_code for _ in range(2)] == [200, 200]
        assert Open.ran == 1
