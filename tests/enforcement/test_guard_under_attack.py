"""What attacking the guard from inside and outside has found, each with the smallest input."""

import builtins
import contextlib
import functools
import gc
import pickle
import weakref
from decimal import Decimal

import pytest
from flask import Blueprint, Flask, Response, current_app, request
from flask.views import MethodView, View
from flask_restful import Api, Resource
from helpers import ALICE, BOB, KEY, Scripted, api_key, new_who, secured, with_key
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from flask_securest import SecuREST, User, current_user, optional, public, require
from flask_securest.errors import BackendError, BadCredentialsError, ConfigurationError, MissingDependencyError
from flask_securest.support.logs import format_traceback

PREFLIGHT = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}


def guard(api=None, **options):
    return SecuREST(api, authentication_providers=[api_key()], **options)


class Meter:
    """A decorator that keeps nothing of what it decorates but its name."""

    def __init__(self, function):
        self.function = function
        self.__name__ = getattr(function, "__name__", "view")

    def call(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    __call__ = call


class Slotted:
    __slots__ = ("__name__", "function")

    def __init__(self, function):
        self.function = function
        self.__name__ = getattr(function, "__name__", "view")

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


UNTRACEABLE = {
    "bound method": [lambda view: Meter(view).call],
    "object": [Meter],
    "two objects": [Meter, Meter],
    "slots": [Slotted],
    "registry": [lambda view: functools.partial(VIEWS[VIEWS.append(view) or -1])],
}
VIEWS = []


@pytest.mark.parametrize("decorators", UNTRACEABLE.values(), ids=UNTRACEABLE)
@pytest.mark.parametrize("form", ["api", "app", "blueprint"])
def test_a_decorator_that_hides_its_view_does_not_open_it(decorators, form):
    app = Flask("tests")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    blueprint = Blueprint("bp", __name__)
    api = Api(blueprint if form == "blueprint" else app, decorators=decorators)
    guard(app if form == "app" else api)
    # It is told at set-up, or refused by Flask-RESTful itself; what is there is closed all the same.
    with contextlib.suppress(ConfigurationError, AttributeError):
        api.add_resource(new_who(), "/who", endpoint="who")
        if form == "blueprint":
            app.register_blueprint(blueprint)
    for headers in ({}, with_key("wrong")):
        assert app.test_client().get("/who", headers=headers).status_code in (401, 404, 500)


def falling_back_on(other):
    def decorate(view):
        def inner(*args, **kwargs):
            try:
                return view(*args, **kwargs)
            except KeyError:
                return other(*args, **kwargs)

        inner.__name__ = view.__name__
        return inner

    return decorate


@pytest.mark.parametrize("form", ["api", "app, the other unguarded"])
def test_a_decorator_that_knows_a_view_of_another_api_does_not_give_it_that_ones_guard(form):
    app = Flask("tests")
    old = Api(app)
    old.add_resource(new_who("Legacy"), "/legacy")
    api = Api(app, decorators=[falling_back_on(app.view_functions["legacy"])])
    if form == "api":
        guard(api)
    else:
        guard(app, unguarded=[old])
    with contextlib.suppress(ConfigurationError):
        api.add_resource(new_who(), "/who")
    assert app.test_client().get("/who").status_code in (401, 500)
    assert app.test_client().get("/legacy").status_code == 200


class Factory(Api):
    """Get into the application in a way of its own."""

    def init_app(self, app):
        self.app = app
        for resource, urls, options in self.resources:
            self._register_view(app, resource, *urls, **options)


def by_init_app(app, api):
    api.add_resource(new_who(), "/who")
    api.init_app(app)


def by_attribute(app, api):
    api.app = app
    api.add_resource(new_who(), "/who")


def by_registering(app, api):
    api._register_view(app, new_who(), "/who")


def by_output(app, api):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/who", view_func=api.output(new_who().as_view("who")))


@pytest.mark.parametrize("way", [by_init_app, by_attribute, by_registering, by_output])
def test_an_attached_api_that_gets_into_an_application_unnoticed_is_not_open(way):
    app, api = Flask("tests"), Factory()
    guard(api)
    way(app, api)
    assert app.test_client().get("/who").status_code == (500 if way is by_output else 401)


class TestCachesOfHooks:
    def app(self, status=200):
        kept = {}
        app, _, _ = secured(new_who(), providers=[api_key()])

        @app.before_request
        def serve():
            return kept.get(request.path)

        @app.after_request
        def store(response):
            if response.status_code == 200 and request.method == "GET":
                kept.setdefault(request.path, response.get_data())
            return response

        client = app.test_client()
        assert client.get("/who", headers=with_key()).status_code == 200
        return client

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "TRACE", "NONSENSE", "OPTIONS", "DELETE"])
    def test_no_method_gets_what_is_kept_for_get(self, method):
        assert self.app().open("/who", method=method).status_code == 401

    def test_a_redirect_in_a_cache_is_not_the_answer_to_a_preflight(self):
        app = Flask("tests")

        def cached(view):
            @functools.wraps(view)
            def from_cache(*args, **kwargs):
                return Response("", 302, {"Location": "https://signed.example/?secret"})

            from_cache.provide_automatic_options = False
            from_cache.required_methods = ["OPTIONS"]
            return from_cache

        api = Api(app, decorators=[cached])
        guard(api)
        api.add_resource(new_who(), "/who")
        answer = app.test_client().options("/who", headers=PREFLIGHT)
        assert (answer.status_code, answer.location) == (401, None)


class TestProtect:
    def without_wraps(self, view):
        return lambda **kwargs: view(**kwargs)

    @pytest.mark.parametrize(
        "steps",
        [
            ("route", "optional", "protect"),
            ("route", "optional", "require", "protect"),
            ("route", "wraps", "protect"),
            ("route", "protect", "optional", "require"),
            ("protect", "route", "optional", "require"),
        ],
        ids=str,
    )
    def test_what_stands_between_it_and_the_route_is_not_lost_silently(self, steps):
        app, _, securest = secured()
        app.config["PROPAGATE_EXCEPTIONS"] = False
        decorators = {
            "route": app.get("/page"),
            "optional": optional,
            "require": require(roles="admin"),
            "protect": securest.protect,
            "wraps": lambda view: functools.wraps(view)(lambda: view()),
        }
        page = lambda: "page"  # noqa: E731
        for step in steps:
            page = decorators[step](page)
        for headers in ({}, BOB, ALICE):
            assert app.test_client().get("/page", headers=headers).status_code == 500
        assert [route.access for route in securest.route_census() if route.url == "/page"] == ["broken"]

    def test_above_the_route_in_an_application_that_is_not_attached_it_is_an_error(self):
        app, securest = Flask("tests"), guard()
        app.config["PROPAGATE_EXCEPTIONS"] = False
        page = app.get("/page")(lambda: "page")
        securest.protect(page)
        app.add_url_rule("/plain", "plain", lambda: "plain")
        assert app.test_client().get("/page").status_code == 500
        assert app.test_client().get("/plain").status_code == 200
        securest.init_app(app)
        assert app.test_client().get("/page").status_code == 401

    def test_where_the_mark_is_lost_the_rule_of_another_endpoint_is_not_taken(self):
        app = Flask("tests")
        securest = guard(app)
        report = securest.protect(lambda: "report")
        app.add_url_rule("/full", "full", self.without_wraps(report))
        app.add_url_rule("/teaser", "teaser", public(reason="x")(report))
        assert app.test_client().get("/full").status_code == 401
        assert app.test_client().get("/teaser").status_code == 200

    def test_a_subclass_that_makes_its_views_itself_is_protected(self):
        app = Flask("tests")
        securest = guard(app)

        @securest.protect
        class Base(View):
            def dispatch_request(self):
                return "secret"

        class Own(Base):
            @classmethod
            def as_view(cls, name, *args, **kwargs):
                def view(**kw):
                    return cls(*args, **kwargs).dispatch_request(**kw)

                view.__name__ = name
                return view

        app.add_url_rule("/own", view_func=Own.as_view("own"))
        assert app.test_client().get("/own").status_code == 401
        assert app.test_client().get("/own", headers=with_key()).data == b"secret"

    def test_between_two_routes_both_are_guarded(self):
        app = Flask("tests")
        securest = guard(app)
        page = app.get("/b")(securest.protect(app.get("/a")(lambda: "page")))
        assert [app.test_client().get(url).status_code for url in ("/a", "/b")] == [401, 401]
        assert page is not None


def test_a_fault_is_answered_by_a_guard_that_enforces():
    app = Flask("tests")
    enforcing, Secret = guard(), new_who()
    guard(app, mode="report")
    enforcing.protect(Secret)
    app.add_url_rule("/who", "who")
    app.view_functions["who"] = Secret.as_view("who")
    assert app.test_client().get("/who").status_code == 500


class TestMethodsThatChange:
    def pushing(self, view):
        @functools.wraps(view)
        def pushed(*args, **kwargs):
            method = request.args.get("_method", request.method)
            with current_app.request_context({**request.environ, "REQUEST_METHOD": method}):
                return view(*args, **kwargs)

        pushed.provide_automatic_options = False
        pushed.required_methods = ["OPTIONS"]
        return pushed

    def test_a_decorator_that_pushes_another_request_gets_in_no_further(self):
        ran = []
        Article = new_who(
            "Article", get=public(reason="x")(lambda self: "read"), delete=lambda self: ran.append(1) or ""
        )
        app, _, _ = secured(Article, new_who(), providers=[api_key()], api_options={"decorators": [self.pushing]})
        client = app.test_client()
        assert client.get("/article").json == "read"
        assert client.get("/article?_method=DELETE").status_code == 401
        assert client.options("/who?_method=POST", headers=PREFLIGHT).status_code == 401
        assert ran == []

    def test_an_object_with_an_options_method_does_not_run_it_for_a_preflight(self):
        def init(self):
            self.options = self.post

        Who = new_who(__init__=init)
        app, _, _ = secured(Who, providers=[api_key()], api_options={"decorators": [self.pushing]})
        app.test_client().options("/who", headers=PREFLIGHT)
        assert Who.ran == 0


class TestClassesOfOthers:
    """What is put on a class passes on along the MRO: a mixin goes on having its say."""

    def owned(self):
        class Owned(Resource):
            def dispatch_request(self, *args, **kwargs):
                if "X-Owner" not in request.headers:
                    return {"message": "not yours"}, 403
                return super().dispatch_request(*args, **kwargs)

        return Owned

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("decorated", [True, False])
    def test_a_mixin_s_dispatch_request_is_called(self, order, decorated):
        class Item(Resource):
            def get(self):
                return "item"

        class OwnedItem(Item, self.owned()):
            pass

        app = Flask("tests")
        api = Api(app, decorators=[functools.partial(lambda view: view)] if decorated else [])
        guard(api)
        for which in order:
            each = (Item, OwnedItem)[which]
            api.add_resource(each, f"/{each.__name__}")
        client = app.test_client()
        assert client.get("/OwnedItem", headers=with_key()).status_code == 403
        assert client.get("/OwnedItem", headers=with_key() | {"X-Owner": "1"}).json == "item"
        assert client.get("/Item", headers=with_key()).json == "item"

    def test_decorators_of_a_mixin_and_those_that_are_appended_later_run(self):
        def refusing(method):
            return lambda *args, **kwargs: ({"message": "never"}, 418)

        class Item(Resource):
            async def get(self):
                return "item"

        class Refused(Item, type("Mixin", (Resource,), {"method_decorators": [refusing]})):
            pass

        app, api, _ = secured(providers=[api_key()])
        api.add_resource(Item, "/item")
        api.add_resource(Refused, "/refused")

        class Later(Resource):
            method_decorators = []  # noqa: RUF012

            async def get(self):
                return "later"

        heir = type("Heir", (Later,), {})
        api.add_resource(heir, "/heir")
        client = app.test_client()
        assert client.get("/item", headers=with_key()).json == "item"
        assert client.get("/refused", headers=with_key()).status_code == 418
        assert client.get("/heir", headers=with_key()).json == "later"
        Later.method_decorators.append(refusing)
        assert client.get("/heir", headers=with_key()).status_code == 418

    def test_proxies_on_a_plain_view_class_are_not_asked(self):
        app = Flask("tests")
        guard(Api(app))
        V = type("V", (MethodView,), {"db": LocalProxy(lambda: request), "get": lambda self: "page"})
        app.add_url_rule("/page", view_func=V.as_view("page"))
        assert app.test_client().get("/page").status_code == 200


class TestWhatBecameA500:
    def test_an_http_exception_that_an_error_handler_knows_is_left_to_it(self):
        class Own(HTTPException):
            code = 418

            def get_response(self, *args, **kwargs):
                raise RuntimeError("made by the handler alone")

        def fail():
            raise Own

        for mode in ("enforce", "report"):
            app, _, _ = secured(new_who(), mode=mode)
            app.before_request(fail)
            app.register_error_handler(Own, lambda error: ("handled", 418))
            app.add_url_rule("/plain", "plain", lambda: "")
            assert app.test_client().get("/plain").status_code == 418

    def test_the_response_of_a_hook_is_made_once(self):
        class Counting(Flask):
            def make_response(self, rv):
                response = super().make_response(rv)
                response.headers.add("X-Made", "1")
                return response

        app = Counting("tests")
        api = Api(app)
        api.add_resource(new_who(), "/who")
        guard(api)
        app.before_request(lambda: {"from": "a hook"})
        answer = app.test_client().get("/who", headers=with_key())
        assert answer.headers.getlist("X-Made") == ["1"]

    def test_arguments_that_cannot_be_compared_are_others(self):
        def get(self):
            inner = current_app.view_functions["inner"]
            return [inner(number=each).status_code for each in (Decimal("sNaN"), Decimal(1))]

        Inner = new_who("Inner", get=lambda self, number: "")
        app, _, _ = secured(new_who("Outer", get=get), Inner)
        assert app.test_client().get("/outer", headers=ALICE).json == [200, 200]

    def test_an_error_a_user_and_a_log_filter_that_raise_change_no_decision(self):
        import logging

        class OddError(BadCredentialsError):
            @property
            def account(self):
                raise ValueError

            @account.setter
            def account(self, account): ...

        class Raising(logging.Filter):
            def filter(self, record):
                raise RuntimeError("a disk that is full")

        assert secured(new_who(), providers=[Scripted(OddError("x"))])[0].test_client().get("/who").status_code == 401
        logger, raising = logging.getLogger("flask_securest.enforcement.reports"), Raising()
        logger.addFilter(raising)
        try:
            client = secured(new_who())[0].test_client()
            assert client.get("/who").status_code == 401
            assert client.get("/who", headers=ALICE).status_code == 200
        finally:
            logger.removeFilter(raising)

    def test_an_answer_that_cannot_be_closed_is_refused_all_the_same(self):
        def fail():
            raise ValueError("a stream")

        app, _, _ = secured(new_who(), providers=[api_key()])

        @app.before_request
        def answer():
            response = Response("secret")
            response.call_on_close(fail)
            return response

        assert app.test_client().get("/who").status_code == 401

    def test_what_a_subclass_returns_is_returned(self):
        class Chained(Api):
            def add_resource(self, *args, **kwargs):
                super().add_resource(*args, **kwargs)
                return self

        app = Flask("tests")
        api = Chained(app)
        guard(api)
        assert api.add_resource(new_who(), "/who").add_resource(new_who("Other"), "/other") is api

    def test_in_report_mode_an_application_starts_whatever_is_wrong_with_it(self, caplog):
        app = Flask("tests")
        api = type("Own", (Api,), {})(app)
        api.add_resource(new_who(), "/who")
        app.add_url_rule("/hand", view_func=new_who("Hand").as_view("hand"))
        guard(api, mode="report")
        assert app.test_client().get("/hand").status_code == 200
        assert "would deny 'GET' on 'hand'" in caplog.text

    def test_a_missing_dependency_can_be_pickled(self):
        error = MissingDependencyError("LDAPUserstore", "ldap")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


class TestMemory:
    def assert_freed(self, app, headers):
        alive = []

        class Watched(app.request_class):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                alive.append(weakref.ref(self))

        app.request_class = Watched
        app.test_client().get("/who", headers=headers)
        gc.collect()
        alive.clear()
        gc.disable()
        try:
            app.test_client().get("/who", headers=headers)
            assert [each() for each in alive] == [None]
        finally:
            gc.enable()

    @pytest.mark.parametrize("error", [BackendError("too early"), AttributeError("db")])
    def test_a_request_of_a_hook_that_asks_too_early_is_freed(self, error):
        asked = []

        def answer(request):
            asked.append(1)
            if len(asked) % 2:
                raise error
            return User("alice")

        app, _, _ = secured(new_who(), providers=[Scripted(answer)])
        app.before_request(lambda: str(current_user) and None)
        self.assert_freed(app, {})

    def test_a_request_that_an_argument_of_an_inner_call_refers_to_is_freed(self):
        def get(self):
            return current_app.view_functions["inner"](found=request._get_current_object()).json

        Inner = new_who("Inner", get=lambda self, found: "x")
        app, _, _ = secured(new_who(get=get), Inner)
        self.assert_freed(app, ALICE)

    def test_verdicts_on_inner_calls_are_not_kept_without_end(self):
        def get(self):
            inner = current_app.view_functions["inner"]
            for number in range(200):
                inner(number=number)
            return len(request._flask_securest_verdicts)

        Inner = new_who("Inner", get=lambda self, number: "")
        app, _, _ = secured(new_who(get=get), Inner)
        assert app.test_client().get("/who", headers=ALICE).json <= 32


def test_many_apis_by_name_are_attached_in_linear_work(monkeypatch):
    from flask_securest.enforcement import owners

    traced = []
    trace = owners.trace
    monkeypatch.setattr(owners, "trace", lambda function: traced.append(1) or trace(function))
    app, securest = Flask("tests"), guard()
    for number in range(30):
        api = Api(app, prefix=f"/{number}")
        securest.init_api(api)
        for each in range(5):
            api.add_resource(new_who(f"R{number}x{each}"), f"/{each}")
    assert len(traced) < 30 * 5 * 3
    assert app.test_client().get("/7/3", headers=with_key(KEY)).status_code == 200


@pytest.mark.skipif(not hasattr(builtins, "ExceptionGroup"), reason="ExceptionGroup came with Python 3.11")
def test_a_traceback_of_groups_that_share_what_led_to_them_does_not_grow_without_end():
    error = ValueError("the first")
    for number in range(12):
        try:
            try:
                raise error
            except Exception:
                raise builtins.ExceptionGroup(f"retry {number}", [ValueError("a"), error])  # noqa: B904
        except Exception as raised:
            error = raised
    assert len(format_traceback(error)) < 50_000
