"""However an Api is set up, everything in it is closed; and nothing else is touched."""

import functools
import gc
import threading
import weakref

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from flask_restful import Api, Resource
from helpers import ALICE, FAST, KEY, Scripted, api_key, basic, make_userstore, new_who, secured, show, with_key

from flask_securest import SecuREST, User, authenticators, public, require
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import ConfigurationError
from flask_securest.userstores import SimpleUserstore


def guard(api=None, **options):
    return SecuREST(api, authentication_providers=[api_key()], **options)


# Each way returns an application in which Who answers at the URL that comes with it.


def resource_before(Who):
    app = Flask("tests")
    api = Api(app)
    api.add_resource(Who, "/who")
    guard(api)
    return app, "/who"


def resource_after(Who):
    app = Flask("tests")
    api = Api(app)
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/who"


def resource_decorator(Who):
    app = Flask("tests")
    api = Api(app)
    guard(api)
    api.resource("/who")(Who)
    return app, "/who"


def second_url(Who):
    app, api, _ = secured(providers=[api_key()])
    api.add_resource(Who, "/first", "/who")
    return app, "/who"


def endpoint_of_its_own(Who):
    app, api, _ = secured(providers=[api_key()])
    api.add_resource(Who, "/who", endpoint="people.who")
    return app, "/who"


def api_with_prefix(Who):
    app = Flask("tests")
    api = Api(app, prefix="/v1")
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/v1/who"


def resource_with_arguments(Who):
    app, api, _ = secured(providers=[api_key()])

    def init(self, *args, **kwargs):
        assert (args, kwargs) == ((1,), {"a": 2})
        type(self).constructed += 1

    Who.__init__ = init
    api.add_resource(Who, "/who", resource_class_args=(1,), resource_class_kwargs={"a": 2})
    return app, "/who"


def init_app_after_attaching(Who):
    app = Flask("tests")
    api = Api()
    guard(api)
    api.add_resource(Who, "/who")
    api.init_app(app)
    return app, "/who"


def init_app_after_attaching_with_resource_before(Who):
    app = Flask("tests")
    api = Api()
    api.add_resource(Who, "/who")
    guard(api)
    api.init_app(app)
    return app, "/who"


def init_app_before_attaching(Who):
    app = Flask("tests")
    api = Api()
    api.add_resource(Who, "/who")
    api.init_app(app)
    guard(api, app=app)
    return app, "/who"


def application_factory(Who):
    securest, api = guard(), Api()
    api.add_resource(Who, "/who")
    app = Flask("tests")
    api.init_app(app)
    securest.init_api(api, app)
    return app, "/who"


def init_api_then_init_app(Who):
    securest, api = guard(), Api()
    securest.init_api(api)
    api.add_resource(Who, "/who")
    app = Flask("tests")
    api.init_app(app)
    return app, "/who"


def two_applications_by_init_app(Who):
    api = Api()
    guard(api)
    api.add_resource(Who, "/who")
    first, second = Flask("first"), Flask("second")
    api.init_app(first)
    api.init_app(second)
    assert first.test_client().get("/who").status_code == 401
    return second, "/who"


def two_applications_named(Who):
    api = Api()
    api.add_resource(Who, "/who")
    first, second = Flask("first"), Flask("second")
    api.init_app(first)
    api.init_app(second)
    securest = guard(api, app=first)
    securest.init_api(api, second)
    return second, "/who"


def blueprint_registered_after(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    guard(api)
    app.register_blueprint(blueprint, url_prefix="/v1")
    return app, "/v1/who"


def blueprint_with_resource_after_attaching(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    guard(api)
    api.add_resource(Who, "/who")
    app.register_blueprint(blueprint, url_prefix="/v1")
    return app, "/v1/who"


def blueprint_with_resources_around_attaching(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(new_who("First"), "/first")
    guard(api)
    api.add_resource(new_who("Second"), "/second")
    api.add_resource(Who, "/who")
    app.register_blueprint(blueprint)
    for path in ("/first", "/second"):
        assert app.test_client().get(path).status_code == 401
        assert app.test_client().get(path, headers=with_key()).status_code == 200
    return app, "/who"


def blueprint_registered_before(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    app.register_blueprint(blueprint)
    guard(api)
    return app, "/who"


def blueprint_with_resource_after_registration(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    guard(api)
    app.register_blueprint(blueprint)
    api.add_resource(Who, "/who")
    return app, "/who"


def blueprint_attached_last_with_resource_after(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    app.register_blueprint(blueprint)
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/who"


def blueprint_by_init_app(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api()
    guard(api)
    api.add_resource(Who, "/who")
    api.init_app(blueprint)
    app.register_blueprint(blueprint)
    return app, "/who"


def blueprint_by_init_app_before_attaching(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api()
    api.add_resource(Who, "/who")
    api.init_app(blueprint)
    guard(api)
    app.register_blueprint(blueprint)
    return app, "/who"


def blueprint_under_another_name(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    guard(api)
    app.register_blueprint(blueprint, name="other", url_prefix="/other")
    return app, "/other/who"


def blueprint_under_another_name_before(Who):
    app, blueprint = Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    app.register_blueprint(blueprint, name="other", url_prefix="/other")
    guard(api)
    return app, "/other/who"


def nested_blueprint(Who):
    app, parent, child = Flask("tests"), Blueprint("parent", __name__), Blueprint("child", __name__)
    api = Api(child)
    guard(api)
    api.add_resource(Who, "/who")
    parent.register_blueprint(child, url_prefix="/child")
    app.register_blueprint(parent, url_prefix="/parent")
    return app, "/parent/child/who"


def nested_blueprint_before(Who):
    app, parent, child = Flask("tests"), Blueprint("parent", __name__), Blueprint("child", __name__)
    api = Api(child)
    api.add_resource(Who, "/who")
    parent.register_blueprint(child, url_prefix="/child", name="renamed")
    app.register_blueprint(parent, url_prefix="/parent")
    guard(api)
    return app, "/parent/child/who"


def blueprint_in_two_applications(Who):
    blueprint = Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    guard(api)
    first, second = Flask("first"), Flask("second")
    first.register_blueprint(blueprint)
    second.register_blueprint(blueprint)
    assert first.test_client().get("/who").status_code == 401
    assert first.test_client().get("/who", headers=with_key()).status_code == 200
    Who.constructed = Who.ran = 0
    return second, "/who"


def blueprint_in_a_second_application_after_attaching(Who):
    blueprint = Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    first, second = Flask("first"), Flask("second")
    first.register_blueprint(blueprint)
    guard(api)
    second.register_blueprint(blueprint)
    return second, "/who"


def blueprint_by_init_app_in_two_applications(Who):
    blueprint = Blueprint("v1", __name__)
    api = Api()
    guard(api)
    api.add_resource(Who, "/who")
    api.init_app(blueprint)
    first, second = Flask("first"), Flask("second")
    first.register_blueprint(blueprint)
    second.register_blueprint(blueprint)
    return second, "/who"


def blueprint_that_is_named_with_its_application_before_registration(Who):
    securest, app, blueprint = guard(), Flask("tests"), Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(Who, "/who")
    securest.init_api(api, app)
    app.register_blueprint(blueprint)
    return app, "/who"


def alias_that_was_made_before_attaching(Who):
    app = Flask("tests")
    api = Api(app)
    api.add_resource(Who, "/first")
    app.add_url_rule("/who", "alias", app.view_functions["who"])
    guard(api)
    return app, "/who"


def api_that_registers_each_view_twice(Who):
    class Versioned(Api):
        def _register_view(self, app, resource, *urls, **kwargs):
            super()._register_view(app, resource, *urls, **kwargs)
            for url in urls:
                app.add_url_rule(f"/latest{url}", "latest_who", app.view_functions["who"])

    app = Flask("tests")
    api = Versioned(app)
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/latest/who"


def api_whose_decorator_registers_what_it_gets(Who):
    app = Flask("tests")

    def also(view):
        app.add_url_rule("/who", "also", view)
        return view

    api = Api(app, decorators=[also])
    guard(api)
    api.add_resource(Who, "/first")
    return app, "/who"


def api_that_goes_its_own_way(Who):
    class Own(Api):
        def add_resource(self, resource, *urls, **kwargs):
            view = self.output(resource.as_view("mine"))
            for url in urls:
                self.app.add_url_rule(url, view_func=view)

    app = Flask("tests")
    api = Own(app)
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/who"


def resource_whose_second_url_is_malformed(Who):
    app = Flask("tests")
    api = Api(app)
    guard(api)
    with pytest.raises(ValueError, match="slash"):
        api.add_resource(Who, "/who", "no-slash")
    return app, "/who"


def endpoint_that_was_another_ones_before(Who):
    app = Flask("tests")
    api = Api(app)
    guard(api)
    api.add_resource(public(reason="open")(new_who("Former")), "/former", endpoint="again")
    del app.view_functions["again"]
    api.add_resource(Who, "/who", endpoint="again")
    return app, "/who"


def proxy_of_the_application(Who):
    from flask import current_app

    app = Flask("tests")
    with app.app_context():
        api = Api(current_app)
        api.add_resource(Who, "/who")
        guard(api)
    return app, "/who"


def api_subclass(Who):
    class MyApi(Api):
        def _register_view(self, app, resource, *urls, **kwargs):
            kwargs["endpoint"] = f"mine_{resource.__name__.lower()}"
            return super()._register_view(app, resource, *urls, **kwargs)

    app = Flask("tests")
    api = MyApi(app)
    guard(api)
    api.add_resource(Who, "/who")
    return app, "/who"


def two_apis_with_one_securest(Who):
    app = Flask("tests")
    first, second = Api(app), Api(app, prefix="/v2")
    securest = guard(first)
    securest.init_api(second)
    second.add_resource(Who, "/who")
    return app, "/v2/who"


def attached_twice(Who):
    app = Flask("tests")
    api = Api(app)
    api.add_resource(Who, "/who")
    securest = guard(api)
    securest.init_api(api)
    securest.init_api(api, app)
    return app, "/who"


def attached_after_the_first_request(Who):
    app = Flask("tests")
    api = Api(app)
    api.add_resource(Who, "/who")
    assert app.test_client().get("/who").status_code == 200
    Who.constructed = Who.ran = 0
    guard(api)
    return app, "/who"


def propagating_exceptions(Who):
    app, path = resource_before(Who)
    app.config.update(TESTING=True, DEBUG=True, PROPAGATE_EXCEPTIONS=True)
    return app, path


WAYS = [
    value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", None) == __name__
    and getattr(value, "__code__", None) is not None
    and value.__code__.co_varnames[: value.__code__.co_argcount] == ("Who",)
]


def both_guards(app):
    pass


def gate_alone(app):
    """As if a wrapper had been missed."""
    for endpoint, view in app.view_functions.items():
        if hasattr(view, "__flask_securest_view__"):
            app.view_functions[endpoint] = view.__wrapped__


def gate_alone_without_marks(app):
    """As if the views had been replaced by ones that know nothing."""
    for endpoint, view in app.view_functions.items():
        if hasattr(view, "__flask_securest_view__"):
            inner = view.__wrapped__
            app.view_functions[endpoint] = lambda inner=inner, **kwargs: inner(**kwargs)


def wrapper_alone(app):
    """As if somebody had put back what comes before a request."""
    del app.preprocess_request


def test_all_ways_are_collected():
    assert len(WAYS) > 30


@pytest.mark.parametrize("guards", [both_guards, gate_alone, gate_alone_without_marks, wrapper_alone])
@pytest.mark.parametrize("way", WAYS)
def test_the_api_is_closed_and_opens_to_good_credentials(way, guards):
    Who = new_who()
    app, path = way(Who)
    guards(app)
    client = app.test_client()
    for headers in ({}, with_key("wrong"), with_key(""), ALICE):
        for method in ("GET", "HEAD", "POST"):
            answer = client.open(path, method=method, headers=headers)
            assert answer.status_code == 401, (method, headers)
            assert answer.headers["WWW-Authenticate"] == 'ApiKey realm="api", header="X-API-Key"'
    assert Who.constructed == 0, "a refused Resource is not even constructed"
    answer = client.get(path, headers=with_key())
    assert answer.status_code == 200
    assert answer.json == {"user": "ci", "provider": "api-key"}
    assert client.head(path, headers=with_key()).status_code == 200
    assert Who.ran == 2


@pytest.mark.parametrize("way", WAYS)
def test_what_flask_answers_itself_stays_as_it_is(way):
    app, path = way(new_who())
    client = app.test_client()
    preflight = client.options(path)
    assert preflight.status_code == 200
    assert set(preflight.allow) == {"GET", "HEAD", "POST", "OPTIONS"}
    assert client.put(path).status_code == 405
    assert client.get(path + "/nothing").status_code == 404


def test_plain_views_static_files_and_other_apis_stay_as_they_are(tmp_path):
    (tmp_path / "file.txt").write_text("static")
    app = Flask("tests", static_folder=str(tmp_path), static_url_path="/static")
    app.add_url_rule("/plain", view_func=lambda: "plain", endpoint="plain")
    app.add_url_rule("/class", view_func=type("V", (MethodView,), {"get": lambda self: "view"}).as_view("class"))
    Who, Open = new_who(), new_who("Open")
    guarded_api, other = Api(app), Api(app)
    guard(guarded_api)
    guarded_api.add_resource(Who, "/who")
    other.add_resource(Open, "/open")
    other.add_resource(Who, "/shared", endpoint="shared")
    app.add_url_rule("/as-view", view_func=Open.as_view("as-view"))
    client = app.test_client()
    assert client.get("/plain").data == b"plain"
    assert client.get("/class").data == b"view"
    with client.get("/static/file.txt") as answer:
        assert answer.data == b"static"
    assert client.get("/open").json == {"user": None, "provider": None}
    assert client.get("/shared").json == {"user": None, "provider": None}
    assert client.get("/as-view").status_code == 200
    assert client.get("/who").status_code == 401


def test_a_redirect_to_the_url_with_a_slash_stays_as_it_is():
    app, api, _ = secured(providers=[api_key()])
    api.add_resource(new_who(), "/who/")
    assert app.test_client().get("/who").status_code == 308
    assert app.test_client().get("/who/").status_code == 401


def test_several_apis_with_different_guards_share_a_resource_class():
    app = Flask("tests")
    first, second = Api(app, prefix="/a"), Api(app, prefix="/b")
    Who = new_who()
    first.add_resource(Who, "/who", endpoint="a")
    second.add_resource(Who, "/who", endpoint="b")
    SecuREST(first, authentication_providers=[api_key("X-A", key="key-a", app_name="a", name="A")])
    SecuREST(second, authentication_providers=[api_key("X-B", key="key-b", app_name="b", name="B")])
    client = app.test_client()
    assert client.get("/a/who", headers={"X-A": "key-a"}).json == {"user": "a", "provider": "A"}
    assert client.get("/b/who", headers={"X-B": "key-b"}).json == {"user": "b", "provider": "B"}
    for path, headers in (("/a/who", {"X-B": "key-b"}), ("/b/who", {"X-A": "key-a"}), ("/a/who", {}), ("/b/who", {})):
        assert client.get(path, headers=headers).status_code == 401


def test_the_class_and_the_lists_of_others_are_left_alone():
    app = Flask("tests")
    decorators = []
    api = Api(app, decorators=decorators)
    other = Api(app, decorators=decorators)
    before = dict(vars(Api))
    guard(api)
    api.add_resource(new_who(), "/who")
    other.add_resource(new_who("Open"), "/open")
    assert decorators == []
    assert dict(vars(Api)) == before
    assert app.test_client().get("/open").status_code == 200


@pytest.mark.parametrize("base", [Resource, MethodView])
def test_the_base_class_of_everybody_is_left_alone_where_it_is_added_itself(base):
    before = dict(vars(base))
    app, api, _ = secured(providers=[api_key()])
    api.add_resource(base, "/base")
    assert dict(vars(base)) | {"endpoint": None, "mediatypes": None} == before | {"endpoint": None, "mediatypes": None}
    assert app.test_client().get("/base").status_code in (401, 405)


def test_attaching_again_changes_nothing():
    app, api, securest = secured(new_who(), providers=[api_key()])
    views, gate = dict(app.view_functions), app.preprocess_request
    for again in (lambda: securest.init_api(api), lambda: securest.init_api(api, app)):
        again()
        assert app.view_functions == views
        assert app.preprocess_request == gate
        assert not app.before_request_funcs


def test_a_second_securest_on_one_api_is_an_error():
    _, api, _ = secured(new_who(), providers=[api_key()])
    with pytest.raises(ConfigurationError, match="already guarded by another SecuREST"):
        guard(api)


def test_an_api_that_has_forgotten_its_application_is_an_error_and_never_open():
    app, api = Flask("tests"), Api()
    api.add_resource(new_who(), "/who")
    api.init_app(app)
    with pytest.raises(ConfigurationError, match=r"SecuREST\(api, app=app\)"):
        guard(api)
    with pytest.raises(ConfigurationError, match=r"SecuREST\(api, app=app\)"):
        guard().init_api(api)


def test_the_wrong_application_is_an_error():
    app, api = Flask("tests"), Api()
    api.add_resource(new_who(), "/who")
    api.init_app(app)
    with pytest.raises(ConfigurationError, match="the endpoint 'who' of the Api is not in the application 'other'"):
        guard(api, app=Flask("other"))


def test_the_right_application_can_be_named_after_the_wrong_one():
    app, api, securest = Flask("tests"), Api(), guard()
    api.add_resource(new_who(), "/who")
    api.init_app(app)
    with pytest.raises(ConfigurationError):
        securest.init_api(api, Flask("other"))
    securest.init_api(api, app)
    assert app.test_client().get("/who").status_code == 401


@pytest.mark.parametrize("api", ["api", Api, object(), 7], ids=show)
def test_what_is_no_api_is_an_error(api):
    with pytest.raises(ConfigurationError, match="api must be an Api object"):
        guard(api)


def test_what_is_no_application_is_an_error():
    with pytest.raises(ConfigurationError, match="app must be a Flask object"):
        guard(Api(), app="app")
    with pytest.raises(ConfigurationError, match="app must be a Flask object"):
        guard(app="app")


def without_wraps(view):
    def renamed(*args, **kwargs):
        return view(*args, **kwargs)

    return renamed


def test_a_decorator_that_hides_the_name_of_a_view_is_an_error_and_never_open():
    app = Flask("tests")
    api = Api(app, decorators=[without_wraps])
    api.add_resource(new_who(), "/who")
    with pytest.raises(ConfigurationError, match=r"functools\.wraps"):
        guard(api)


def test_what_is_added_later_is_guarded_under_whatever_name_it_gets():
    app = Flask("tests")
    api = Api(app, decorators=[without_wraps])
    guard(api)
    api.add_resource(require(roles="admin")(new_who()), "/who")
    assert "who" not in app.view_functions
    assert app.test_client().get("/who").status_code == 401
    assert app.test_client().get("/who", headers=with_key()).status_code == 403
    del app.preprocess_request
    assert app.test_client().get("/who").status_code == 401


def only_name(view):
    def renamed(*args, **kwargs):
        return view(*args, **kwargs)

    renamed.__name__ = view.__name__
    renamed.methods = view.methods
    return renamed


@pytest.mark.parametrize("rule", [require(roles="admin"), authenticators("other"), public(reason="x")])
def test_a_view_that_has_lost_its_class_is_an_error_for_its_rules_are_lost_too(rule):
    """Closed by the default chain would be less than its class may ask for."""
    app = Flask("tests")
    api = Api(app, decorators=[only_name])
    api.add_resource(rule(new_who()), "/who")
    with pytest.raises(
        ConfigurationError, match=r"the view 'who' hides which Resource it is: it needs functools\.wraps"
    ):
        guard(api)
    assert app.test_client().get("/who", headers=with_key()).status_code == 500, "closed, even if the error was ignored"


def test_a_view_that_loses_its_class_after_it_was_added_keeps_its_rules():
    app, api, _ = secured(providers=[api_key()])
    api.decorators = [only_name]
    api.add_resource(require(roles="admin")(new_who()), "/who")
    app.view_functions["who"] = only_name(app.view_functions["who"])
    assert app.test_client().get("/who").status_code == 401
    assert app.test_client().get("/who", headers=with_key()).status_code == 403


def cached(views):
    """A decorator that answers from its cache without calling what it decorates."""

    def cache(view):
        @functools.wraps(view)
        def from_cache(*args, **kwargs):
            if view.__name__ not in views:
                views[view.__name__] = view(*args, **kwargs)
            return views[view.__name__]

        return from_cache

    return cache


def test_a_cache_that_is_added_to_the_decorators_later_serves_nobody_who_is_refused():
    app, api, _ = secured(providers=[api_key()])
    api.decorators = [*api.decorators, cached({})]
    api.add_resource(new_who(), "/who")
    client = app.test_client()
    assert client.get("/who", headers=with_key()).status_code == 200
    assert client.get("/who").status_code == 401
    assert client.get("/who", headers=with_key()).status_code == 200


@pytest.mark.parametrize("wraps", [functools.wraps, lambda view: lambda function: function], ids=["wraps", "bare"])
def test_a_third_party_that_wraps_the_views_later_serves_nobody_who_is_refused(wraps):
    app, _, _ = secured(new_who(), providers=[api_key()])
    view, answers = app.view_functions["who"], []

    @wraps(view)
    def outer(**kwargs):
        if not answers:
            answers.append(view(**kwargs))
        return answers[0]

    app.view_functions["who"] = outer
    client = app.test_client()
    assert client.get("/who", headers=with_key()).status_code == 200
    assert client.get("/who").status_code == 401


def test_a_decorator_for_cors_still_decorates_what_is_answered():
    def cors(view):
        @functools.wraps(view)
        def with_header(*args, **kwargs):
            answer = view(*args, **kwargs)
            answer.headers["Access-Control-Allow-Origin"] = "*"
            return answer

        return with_header

    app, api, _ = secured(providers=[api_key()])
    api.decorators.append(cors)
    api.add_resource(new_who(), "/who")
    assert app.test_client().get("/who", headers=with_key()).headers["Access-Control-Allow-Origin"] == "*"


def test_after_request_functions_see_refusals():
    app, _, _ = secured(new_who(), providers=[api_key()])

    @app.after_request
    def cors(answer):
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    assert app.test_client().get("/who").headers["Access-Control-Allow-Origin"] == "*"


def test_an_earlier_before_request_that_answers_does_not_answer_who_is_refused():
    app = Flask("tests")
    app.before_request(lambda: "a body")
    api = Api(app)
    api.add_resource(new_who(), "/who")
    guard(api)
    assert app.test_client().get("/who").status_code == 401
    assert app.test_client().get("/who", headers=with_key()).data == b"a body"


def test_an_internal_call_of_a_view_function_is_guarded():
    app, _, _ = secured(new_who(), providers=[api_key()])
    app.add_url_rule("/plain", view_func=lambda: app.view_functions["who"](), endpoint="plain")
    assert app.test_client().get("/plain").status_code == 401
    assert app.test_client().get("/plain", headers=with_key()).json == {"user": "ci", "provider": "api-key"}


def test_a_guarded_view_function_under_another_url_is_guarded():
    app, _, _ = secured(new_who(), providers=[api_key()])
    app.add_url_rule("/other", view_func=app.view_functions["who"], endpoint="other")
    app.add_url_rule("/cached", view_func=cached({})(app.view_functions["who"]), endpoint="cached")
    assert app.test_client().get("/other").status_code == 401
    assert app.test_client().get("/cached", headers=with_key()).status_code == 200
    assert app.test_client().get("/cached").status_code == 401


def test_in_a_test_request_context_views_are_guarded():
    app, _, _ = secured(new_who(), providers=[api_key()])
    with app.test_request_context("/who"):
        assert app.view_functions["who"]().status_code == 401
        assert app.full_dispatch_request().status_code == 401
        assert app.preprocess_request().status_code == 401
    with app.test_request_context("/who", headers=with_key()):
        assert app.view_functions["who"]().status_code == 200
        assert app.preprocess_request() is None
        assert app.dispatch_request().status_code == 200


def test_a_view_function_outside_of_a_request_does_not_run():
    Who = new_who()
    app, _, _ = secured(Who, providers=[api_key()])
    with pytest.raises(RuntimeError, match="request context"):
        app.view_functions["who"]()
    assert Who.constructed == 0


def test_changing_the_method_after_the_gate_is_a_new_decision():
    """An override of the method that is read by a before_request function must not borrow the rule of GET."""
    Who = new_who(get=public(reason="anybody may look")(lambda self: {}))
    app, _, _ = secured(Who, providers=[api_key()])

    @app.before_request
    def override_method():
        from flask import request

        request.method = request.headers.get("X-HTTP-Method-Override", request.method)

    client = app.test_client()
    assert client.get("/who").status_code == 200
    assert client.get("/who", headers={"X-HTTP-Method-Override": "POST"}).status_code == 401
    assert Who.ran == 0


def test_changing_the_view_after_the_gate_is_a_new_decision():
    Open, Closed = public(reason="open")(new_who("Open")), new_who("Closed")
    app, _, _ = secured(Open, Closed, providers=[api_key()])

    @app.before_request
    def redirect_internally():
        from flask import request

        if request.args.get("closed"):
            request.url_rule = next(rule for rule in app.url_map.iter_rules() if rule.endpoint == "closed")

    assert app.test_client().get("/open").status_code == 200
    assert app.test_client().get("/open?closed=1").status_code == 401
    assert Closed.constructed == 0


def test_an_options_method_of_ones_own_is_guarded_like_any_other():
    Who = new_who(options=lambda self: {"mine": True})
    app, _, _ = secured(Who, providers=[api_key()])
    assert app.test_client().options("/who").status_code == 401
    assert app.test_client().options("/who", headers=with_key()).json == {"mine": True}


def test_a_head_method_of_ones_own_has_a_rule_of_its_own():
    Who = new_who(head=public(reason="no body")(lambda self: {}))
    app, _, _ = secured(Who, providers=[api_key()])
    assert app.test_client().head("/who").status_code == 200
    assert app.test_client().get("/who").status_code == 401


def test_a_method_of_ones_own_is_guarded_too():
    Who = new_who(methods=["GET", "PROPFIND"], propfind=lambda self: {"found": True})
    app, _, _ = secured(Who, providers=[api_key()])
    assert app.test_client().open("/who", method="PROPFIND").status_code == 401
    assert app.test_client().open("/who", method="PROPFIND", headers=with_key()).json == {"found": True}


def test_a_resource_that_dispatches_itself_is_closed_and_goes_by_the_rules_of_its_class():
    class Raw(Resource):
        methods = ("GET",)

        def dispatch_request(self):
            return {"raw": True}

    OpenRaw = public(reason="anybody")(type("OpenRaw", (Raw,), {}))
    app, _, _ = secured(Raw, OpenRaw, providers=[api_key()])
    assert app.test_client().get("/raw").status_code == 401
    assert app.test_client().get("/raw", headers=with_key()).json == {"raw": True}
    assert app.test_client().get("/openraw").json == {"raw": True}


def test_method_decorators_that_spare_head_do_not_open_it():
    def deny(method):
        return lambda *args, **kwargs: ({"message": "never"}, 400)

    Who = new_who(method_decorators={"get": [deny]})
    app, _, _ = secured(Who, providers=[api_key()])
    assert app.test_client().head("/who").status_code == 401


@pytest.mark.parametrize("decorators", [[], {}, {"get": []}], ids=show)
@pytest.mark.parametrize("attach_first", [True, False])
def test_async_methods_work(decorators, attach_first):
    async def get(self):
        from helpers import who

        return who()

    Who = new_who(get=get, method_decorators=decorators)
    app = Flask("tests")
    api = Api(app)
    if attach_first:
        guard(api)
        api.add_resource(Who, "/who")
    else:
        api.add_resource(Who, "/who")
        guard(api)
        api.add_resource(type("Heir", (Who,), {}), "/heir")
    client = app.test_client()
    assert client.get("/who").status_code == 401
    for path in ("/who",) if attach_first else ("/who", "/heir"):
        assert client.get(path, headers=with_key()).json == {"user": "ci", "provider": "api-key"}
        assert client.head(path, headers=with_key()).status_code == 200
    assert client.post("/who", headers=with_key()).json == {"user": "ci", "provider": "api-key"}


def test_an_async_method_of_another_api_that_shares_the_class_is_no_worse_off():
    async def get(self):
        return {}

    Who = new_who(get=get)
    app = Flask("tests")
    api, other = Api(app), Api(app)
    guard(api)
    api.add_resource(Who, "/who")
    other.add_resource(Who, "/other", endpoint="other")
    assert app.test_client().get("/other").status_code == 200


def test_a_plain_view_with_a_rule_that_nobody_would_enforce_is_loud():
    app, _, _ = secured(new_who(), providers=[api_key()])

    @app.get("/plain")
    @require(roles="admin")
    def plain():
        return "open"

    assert app.test_client().get("/plain").status_code == 500


def test_nothing_is_needed_of_the_application():
    app, _, _ = secured(new_who(), providers=[api_key()])
    assert app.secret_key is None
    assert set(app.extensions) == {"securest"}
    assert app.test_client().get("/who", headers=with_key()).status_code == 200


def test_many_verbs_that_nobody_knows_are_not_kept():
    app, _, _ = secured(new_who(), providers=[api_key()])
    view = app.view_functions["who"].__flask_securest_view__
    for number in range(100):
        with app.test_request_context("/who", method=f"VERB{number}"):
            assert app.view_functions["who"]().status_code == 401
    assert len(view.policies) <= 32


class TestConstruction:
    """The wrong type or value is told at once."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"mode": "off"}, "mode must be"),
            ({"mode": None}, "mode must be"),
            ({"mode": True}, "mode must be"),
            ({"realm": "ä"}, "realm must be"),
            ({"realm": "a\r\nb"}, "realm must be"),
            ({"realm": None}, "realm must be"),
            ({"userstore": {"users": []}}, "userstore must be an AbstractUserstore"),
            ({"userstore": type(make_userstore())}, "it is the class .* itself"),
            ({"authorization_provider": lambda identity, target: True}, "authorization_provider must be"),
            ({"authentication_providers": api_key()}, "authentication_providers must be a list"),
            ({"authentication_providers": "api-key"}, "authentication_providers must be a list"),
            ({"authentication_providers": None}, "authentication_providers must be a list"),
            ({"authentication_providers": ["api-key"]}, "must be an AbstractAuthenticationProvider object"),
            ({"authentication_providers": [Scripted]}, "it is the class .* itself"),
            ({"authentication_providers": [None]}, "must be an AbstractAuthenticationProvider object"),
            ({"authentication_providers": [api_key(), api_key()]}, "there is a provider called 'api-key' already"),
            ({"authentication_providers": [Scripted(name="")]}, "name of a provider must be a printable string"),
            ({"authentication_providers": [Scripted(name=7)]}, "name of a provider must be a printable string"),
        ],
        ids=lambda value: "" if isinstance(value, str) else show(value),
    )
    def test_an_argument_that_cannot_be_is_an_error(self, arguments, message):
        with pytest.raises(ConfigurationError, match=message):
            SecuREST(**arguments)

    def test_what_is_set_later_is_checked_too(self):
        securest = SecuREST()
        with pytest.raises(ConfigurationError, match="userstore must be"):
            securest.userstore = {"users": []}
        with pytest.raises(ConfigurationError, match="authorization_provider must be"):
            securest.authorization_provider = object()
        with pytest.raises(ConfigurationError, match="must be an AbstractAuthenticationProvider object"):
            securest.register_authentication_provider("api-key")
        with pytest.raises(ConfigurationError, match="must be a function"):
            securest.error_handler("handler")

    def test_providers_may_be_any_iterable(self):
        securest = SecuREST(authentication_providers=iter((api_key(), Scripted())))
        assert list(securest.authentication_providers) == ["api-key", "scripted"]

    def test_a_provider_can_be_registered_later_and_under_another_name(self):
        app, _, securest = secured(new_who(), providers=[api_key()])
        answer = User("alice")
        assert app.test_client().get("/who").status_code == 401
        securest.register_authentication_provider(Scripted(answer), name="mine")
        assert app.test_client().get("/who").json == {"user": "alice", "provider": "mine"}
        with pytest.raises(ConfigurationError, match="'mine' already"):
            securest.register_authentication_provider(Scripted(answer), name="mine")
        assert app.test_client().get("/who", headers=with_key(KEY)).json["provider"] == "api-key"

    @pytest.mark.parametrize("headers", [{}, with_key(), ALICE], ids=["none", "key", "password"])
    def test_a_chain_without_providers_is_a_500_whatever_the_request_carries(self, headers, caplog):
        Who, Open = new_who(), public(reason="open")(new_who("Open"))
        client = secured(Who, Open, providers=[])[0].test_client()
        answer = client.get("/who", headers=headers)
        assert answer.status_code == 500
        assert answer.json == {"message": "Internal Server Error"}
        assert Who.constructed == 0
        assert "there is no authentication provider to ask" in caplog.text
        assert client.get("/open", headers=headers).status_code == 200


def test_the_same_pair_twice_changes_nothing_even_with_a_resource_without_a_url():
    api = Api(Flask("tests"))
    securest = guard(api)
    api.add_resource(new_who())
    securest.init_api(api)


def test_an_api_of_one_application_may_be_initialised_in_another_one_too():
    api = Api(Flask("one"))
    api.add_resource(new_who(), "/who")
    guard(api)
    api.init_app(Flask("two"))


def test_a_view_that_got_past_the_wrapper_is_known_by_its_name():
    """As with an Api and an application whose methods somebody has put back."""
    app, api, _ = secured(providers=[api_key()])
    del app.add_url_rule, api.output
    Api._register_view(api, app, new_who(), "/who")
    assert not hasattr(app.view_functions["who"], "__flask_securest_view__")
    assert app.test_client().get("/who").status_code == 401
    assert app.test_client().get("/who", headers=with_key()).status_code == 200


def test_a_rule_that_is_applied_after_the_resource_was_added_counts():
    app, api, _ = secured(providers=[api_key()])

    @public(reason="written above the decorator that adds it")
    @api.resource("/who")
    class Who(Resource):
        def get(self):
            return {}

    assert app.test_client().get("/who").status_code == 200


class TestAsyncMethodsThatWorkAlready:
    """What awaits itself is left alone, also in report mode."""

    @staticmethod
    def run(method):
        import asyncio

        @functools.wraps(method)
        def running(*args, **kwargs):
            return asyncio.run(method(*args, **kwargs))

        return running

    async def get(self):
        return {}

    def dispatch_request(self, **kwargs):
        import asyncio

        return asyncio.run(self.get(**kwargs))

    @pytest.mark.parametrize("mode", ["enforce", "report"])
    @pytest.mark.parametrize(
        ("bases", "members"),
        [
            ((Resource,), {"method_decorators": [run]}),
            ((Resource,), {"method_decorators": {"get": [run]}}),
            ((Resource,), {"dispatch_request": dispatch_request}),
            ((MethodView,), {}),
        ],
        ids=["decorator", "mapping", "dispatch_request", "MethodView"],
    )
    def test_they_go_on_working(self, bases, members, mode):
        made = type("Made", bases, {"get": TestAsyncMethodsThatWorkAlready.get, **members})
        app = Flask("tests")
        api = Api(app)
        api.add_resource(made, "/made")
        guard(api, mode=mode)
        assert app.test_client().get("/made", headers=with_key()).status_code == 200

    def test_a_coroutine_that_a_decorator_passes_on_is_awaited_too(self):
        def logged(method):
            @functools.wraps(method)
            def passing_on(*args, **kwargs):
                return method(*args, **kwargs)

            return passing_on

        made = type("Made", (Resource,), {"get": TestAsyncMethodsThatWorkAlready.get, "method_decorators": [logged]})
        app, _, _ = secured(made, providers=[api_key()])
        assert app.test_client().get("/made", headers=with_key()).status_code == 200


class TestChangesWhileRequestsAreRunning:
    """Whatever is set takes effect with the next request, even if one is just working out its policy."""

    def stores(self):
        old = SimpleUserstore([User("alice", FAST.hash("old"))])
        new = SimpleUserstore([User("alice", FAST.hash("new"))])
        return old, new

    def assert_only_new(self, app, *paths):
        for path in paths:
            assert app.test_client().get(path, headers=basic("alice", "old")).status_code == 401
            assert app.test_client().get(path, headers=basic("alice", "new")).status_code == 200

    def test_a_request_that_is_making_its_chain_does_not_bring_back_the_old_userstore(self):
        started, go = threading.Event(), threading.Event()

        class Slow(PasswordAuthenticator):
            def check_configuration(self, userstore):
                started.set()
                go.wait(10)

        old, new = self.stores()
        provider = Slow(password_hasher=FAST)
        app, _, securest = secured(new_who("First"), new_who("Second"), providers=[provider], userstore=old)
        request = threading.Thread(target=lambda: app.test_client().get("/first"))
        request.start()
        assert started.wait(10)
        securest.userstore = new
        go.set()
        request.join(10)
        self.assert_only_new(app, "/first", "/second")

    def test_a_request_between_two_steps_of_forgetting_does_not_either(self, monkeypatch):
        old, new = self.stores()
        app, _, securest = secured(new_who(), providers=[PasswordAuthenticator(password_hasher=FAST)], userstore=old)
        app.test_client().get("/who")
        views = securest._guard.views

        class Interrupted(list):
            def __iter__(self):
                yield from super().__iter__()
                app.test_client().get("/who")

        monkeypatch.setattr(securest._guard, "views", Interrupted(views))
        securest.userstore = new
        self.assert_only_new(app, "/who")


def test_applications_that_are_thrown_away_are_not_kept():
    blueprint = Blueprint("v1", __name__)
    api = Api(blueprint)
    api.add_resource(new_who(), "/who")
    securest = guard(api)
    apps = []
    for _ in range(5):
        app = Flask("tests")
        app.register_blueprint(blueprint)
        assert app.test_client().get("/who").status_code == 401
        apps.append(weakref.ref(app))
    del app
    gc.collect()
    assert sum(app() is not None for app in apps) == 1, "Flask-RESTful itself remembers the last one"
    assert len(securest.route_census()) == 2
