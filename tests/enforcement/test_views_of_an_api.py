"""Every view of a guarded Api is closed, however it is registered; what is none of its own is left alone."""

import functools

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View
from flask_restful import Api, Resource
from helpers import KEY, api_key, new_who, secured, with_key

from flask_securest import SecuREST, optional, public, require
from flask_securest.errors import ConfigurationError


def guard(api=None, **options):
    return SecuREST(api, authentication_providers=[api_key()], **options)


class RegistersItself(Api):
    def _register_view(self, app, resource, *urls, **kwargs):
        for url in urls:
            app.add_url_rule(url, view_func=self.output(resource.as_view(resource.__name__.lower())))


class AddsItself(Api):
    def add_resource(self, resource, *urls, **kwargs):
        view = self.output(resource.as_view(resource.__name__.lower()))
        for url in urls:
            self.app.add_url_rule(url, view_func=view)


class AddsTwice(Api):
    def _register_view(self, app, resource, *urls, **kwargs):
        super()._register_view(app, resource, *urls, **kwargs)
        app.add_url_rule("/old" + urls[0], view_func=self.output(resource.as_view("old")))


class ByAnotherName(Api):
    def add_collection(self, resource, *urls):
        for url in urls:
            self.app.add_url_rule(url, view_func=self.output(resource.as_view(resource.__name__.lower())))

    add_resource = add_collection


class OutputOfItsOwn(Api):
    def output(self, resource):
        @functools.wraps(resource)
        def rendered(*args, **kwargs):
            return self.make_response(resource(*args, **kwargs), 200)

        return rendered

    _register_view = RegistersItself._register_view


class DecoratesBarely(RegistersItself):
    """Its decorator loses everything, the name of the view aside."""

    def output(self, resource):
        view = super().output(resource)

        def bare(*args, **kwargs):
            return view(*args, **kwargs)

        bare.__name__, bare.methods = view.__name__, view.methods
        bare.view_class = resource.view_class
        return bare


KINDS = [RegistersItself, AddsItself, AddsTwice, ByAnotherName, OutputOfItsOwn, DecoratesBarely]


def assert_closed(app, *paths, Who=None):
    for both in (True, False):
        if not both:
            del app.preprocess_request
        for path in paths:
            assert app.test_client().get(path).status_code == 401, (path, both)
            assert app.test_client().get(path, headers=with_key()).status_code == 200, (path, both)


@pytest.mark.parametrize("attach_first", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_api_that_registers_views_in_its_own_way_is_closed(kind, attach_first):
    """G1: it was open to anybody, without a word."""
    app = Flask("tests")
    api = kind(app)
    attach_first and guard(api)
    api.add_resource(new_who(), "/who")
    attach_first or guard(api)
    assert_closed(app, "/who", *(["/old/who"] if kind is AddsTwice else []))


@pytest.mark.parametrize("order", ["attach, add, register", "add, attach, register", "add, register, attach"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_in_a_blueprint_too(kind, order):
    app, blueprint = Flask("tests"), Blueprint("bp", __name__)
    api = kind(blueprint)
    steps = {
        "attach": lambda: guard(api),
        "add": lambda: api.add_resource(new_who(), "/who"),
        "register": lambda: app.register_blueprint(blueprint),
    }
    for step in order.split(", "):
        steps[step]()
    assert_closed(app, "/who", *(["/old/who"] if kind is AddsTwice else []))


@pytest.mark.parametrize("attach_first", [True, False])
def test_a_line_of_the_application_that_calls_output_is_closed(attach_first):
    app = Flask("tests")
    api = Api(app)
    attach_first and guard(api)
    app.add_url_rule("/who", view_func=api.output(new_who().as_view("by-hand")))
    attach_first or guard(api)
    assert_closed(app, "/who")


def test_what_a_blueprint_defers_after_attaching_is_closed():
    app, blueprint = Flask("tests"), Blueprint("bp", __name__)
    api = Api(blueprint)
    guard(api)
    api.add_resource(new_who(), "/who")
    blueprint.add_url_rule("/late", view_func=api.output(new_who("Late").as_view("late")))
    blueprint.record(lambda state: state.app.add_url_rule("/x", view_func=api.output(new_who("X").as_view("x"))))
    app.register_blueprint(blueprint)
    assert_closed(app, "/who", "/late", "/x")


def test_what_somebody_puts_among_the_view_functions_is_closed_by_the_gate():
    app = Flask("tests")
    api = Api(app)
    guard(api)
    app.add_url_rule("/who", "who")
    app.view_functions["who"] = api.output(new_who().as_view("who"))
    assert app.test_client().get("/who").status_code == 401
    assert_closed(app, "/who")


class TestMadeByHand:
    """A Resource's view that no Api has made: of a class that the Api has, it is an error."""

    def test_after_the_api_has_the_class(self):
        app, api, _ = secured(providers=[api_key()])
        Who = new_who()
        api.add_resource(Who, "/who")
        with pytest.raises(ConfigurationError, match=r"'by-hand' is made by hand of Who.*securest\.protect"):
            app.add_url_rule("/by-hand", view_func=Who.as_view("by-hand"))
        assert app.test_client().get("/by-hand").status_code == 500
        del app.preprocess_request
        assert app.test_client().get("/by-hand", headers=with_key()).status_code == 500

    def test_before_the_api_has_the_class(self):
        app, api, _ = secured(providers=[api_key()])
        Who = new_who()
        app.add_url_rule("/by-hand", view_func=Who.as_view("by-hand"))
        with pytest.raises(ConfigurationError, match="'by-hand' is made by hand of Who"):
            api.add_resource(Who, "/who")
        assert app.test_client().get("/by-hand").status_code == 500
        assert app.test_client().get("/who").status_code == 401

    def test_before_attaching(self):
        app, Who = Flask("tests"), new_who()
        api = Api(app)
        api.add_resource(Who, "/who")
        app.add_url_rule("/by-hand", view_func=Who.as_view("by-hand"))
        with pytest.raises(ConfigurationError, match="'by-hand' is made by hand of Who"):
            guard(api)

    def test_where_a_subclass_of_api_may_have_made_it_in_its_own_way(self):
        class Opaque(Api):
            def add_resource(self, resource, *urls, **kwargs):
                self.app.add_url_rule(urls[0], view_func=resource.as_view("who"))

        app = Flask("tests")
        api = Opaque(app)
        api.add_resource(new_who(), "/who")
        with pytest.raises(
            ConfigurationError, match=r"comes from no Api that is known, and .*Opaque may have added it"
        ):
            guard(api)
        assert app.test_client().get("/who", headers=with_key()).status_code == 500

    def test_after_attaching_it_is_that_subclass_s(self):
        class Opaque(Api):
            def add_resource(self, resource, *urls, **kwargs):
                self.app.add_url_rule(urls[0], view_func=resource.as_view("who"))

        app = Flask("tests")
        api = Opaque(app)
        guard(api)
        api.add_resource(new_who(), "/who")
        assert_closed(app, "/who")

    def test_of_a_class_that_the_api_has_not_it_is_left_alone(self):
        app, _, _ = secured(new_who(), providers=[api_key()])
        app.add_url_rule("/by-hand", view_func=new_who("Other").as_view("by-hand"))
        assert app.test_client().get("/by-hand").status_code == 200

    def test_protected_it_is_guarded(self):
        app, api, securest = secured(providers=[api_key()])
        Who = securest.protect(new_who())
        app.add_url_rule("/by-hand", view_func=Who.as_view("by-hand"))
        api.add_resource(Who, "/who")
        assert_closed(app, "/by-hand", "/who")


class TestTwoApis:
    def make(self, weak_first):
        class Mirror(Api):
            def add_resource(self, resource, *urls, **kwargs):
                super().add_resource(resource, *urls, **kwargs)
                admin.add_resource(resource, *["/admin" + url for url in urls], endpoint="admin")

        app = Flask("tests")
        admin, api = Api(app), Mirror(app)
        steps = [
            lambda: SecuREST(api, authentication_providers=[api_key("X-Weak", key="weak")]),
            lambda: api.add_resource(new_who(), "/who"),
            lambda: SecuREST(admin, authentication_providers=[api_key("X-Strong", key="strong")]),
        ]
        for step in steps if weak_first else [steps[2], steps[1], steps[0]]:
            step()
        return app

    @pytest.mark.parametrize("weak_first", [True, False])
    def test_a_guard_takes_no_view_of_another_api(self, weak_first):
        """G2: weak credentials opened the strict one."""
        client = self.make(weak_first).test_client()
        assert client.get("/admin/who", headers={"X-Weak": "weak"}).status_code == 401
        assert client.get("/admin/who", headers={"X-Strong": "strong"}).status_code == 200
        assert client.get("/who", headers={"X-Weak": "weak"}).status_code == 200
        assert client.get("/who", headers={"X-Strong": "strong"}).status_code == 401

    def test_an_endpoint_that_two_guards_claim_is_an_error(self):
        app = Flask("tests")
        first, second = Api(app), Api(app)
        guard(first), guard(second)
        second.endpoints.add("who")
        with pytest.raises(ConfigurationError, match="two SecuREST objects claim the endpoint 'who'"):
            first.add_resource(new_who(), "/who")
        assert app.test_client().get("/who", headers=with_key()).status_code == 500

    def test_an_endpoint_of_an_api_that_is_not_guarded_is_left_alone(self):
        app = Flask("tests")
        first, second = Api(app), Api(app)
        guard(first)
        first.endpoints.add("who")
        second.add_resource(new_who(), "/who")
        assert app.test_client().get("/who").status_code == 200


@pytest.mark.parametrize("attach_first", [True, False])
def test_plain_views_that_a_subclass_of_api_adds_are_left_alone(attach_first):
    """G8: the application did not start, with a wrong reason, or they were closed."""

    class Documented(Api):
        def _init_app(self, app):
            super()._init_app(app)
            app.add_url_rule("/swagger.json", "swagger", dict)

        def add_resource(self, resource, *urls, **kwargs):
            super().add_resource(resource, *urls, **kwargs)
            self.app.add_url_rule(f"/doc{urls[0]}", f"doc-{urls[0]}", dict)
            page = type("Page", (MethodView,), {"get": lambda self: {}})
            self.app.add_url_rule(f"/page{urls[0]}", view_func=page.as_view(f"page-{urls[0]}"))

    app = Flask("tests")
    api = Documented()
    attach_first and guard(api)
    api.init_app(app)
    attach_first or guard(api, app=app)
    api.app = app
    api.add_resource(new_who(), "/who")
    client = app.test_client()
    for path in ("/swagger.json", "/doc/who", "/page/who"):
        assert client.get(path).status_code == 200, path
    assert client.get("/who").status_code == 401


class TestExchangedViews:
    """G15: what takes the place of a public view must not have its rule."""

    def test_another_resource_goes_by_its_own_rules(self):
        app, _, _ = secured(public(reason="x")(new_who("Health")), providers=[api_key()])
        assert app.test_client().get("/health").status_code == 200
        app.view_functions["health"] = new_who("Other").as_view("health")
        assert app.test_client().get("/health").status_code == 401
        assert app.test_client().get("/health", headers=with_key()).status_code == 200

    @pytest.mark.parametrize("of_app", [True, False])
    def test_something_else_is_closed(self, of_app):
        app = Flask("tests")
        api = Api(app)
        guard(app if of_app else api)
        api.add_resource(public(reason="x")(new_who("Health")), "/health")
        assert app.test_client().get("/health").status_code == 200
        app.view_functions["health"] = lambda: "something else"
        assert app.test_client().get("/health").status_code == 500
        assert app.test_client().get("/health", headers=with_key()).status_code == 500

    def test_what_is_put_around_it_is_still_it(self):
        app, _, _ = secured(public(reason="x")(new_who("Health")), providers=[api_key()])
        inner = app.view_functions["health"]
        app.view_functions["health"] = lambda **kwargs: inner(**kwargs)
        assert app.test_client().get("/health").status_code == 200


class TestTheWholeApplication:
    """G9: SecuREST(app), Flask's own convention."""

    def attach(self, app, way, **options):
        if way == "SecuREST(app)":
            return guard(app, **options)
        if way == "SecuREST(app=app)":
            return guard(app=app, **options)
        securest = guard(**options)
        securest.init_app(app)
        return securest

    WAYS = ("SecuREST(app)", "SecuREST(app=app)", "init_app")

    @pytest.mark.parametrize("attach_first", [True, False])
    @pytest.mark.parametrize("way", WAYS)
    def test_every_api_is_guarded(self, way, attach_first):
        app, blueprint = Flask("tests"), Blueprint("bp", __name__)
        attach_first and self.attach(app, way)
        Api(app).add_resource(new_who("First"), "/first")
        later = Api()
        later.add_resource(new_who("Later"), "/later")
        RegistersItself(app).add_resource(new_who("Own"), "/own")
        Api(blueprint).add_resource(new_who("InBlueprint"), "/in-blueprint")
        app.register_blueprint(blueprint, url_prefix="/v1")
        later.init_app(app)
        app.add_url_rule("/by-hand", view_func=new_who("ByHand").as_view("by-hand"))
        app.add_url_rule("/plain", "plain", lambda: "plain")
        attach_first or self.attach(app, way)
        assert app.test_client().get("/plain").data == b"plain"
        assert_closed(app, "/first", "/later", "/own", "/v1/in-blueprint", "/by-hand")

    def test_a_refusal_speaks_as_the_api_of_its_view(self):
        app = Flask("tests")
        api = Api(app, default_mediatype="text/csv")
        api.representations = {"text/csv": lambda data, code, headers=None: (data["message"] + ",", code, headers)}
        api.representations["text/csv"] = lambda data, code, headers=None: app.response_class(
            data["message"] + ",", code, headers, mimetype="text/csv"
        )
        api.add_resource(new_who(), "/who")
        guard(app)
        assert app.test_client().get("/who").data == b"Unauthorized User,"

    @pytest.mark.parametrize("named_first", [True, False])
    def test_an_api_that_another_has_by_name_is_that_ones(self, named_first):
        app = Flask("tests")
        named, other = Api(app), Api(app)
        named.add_resource(new_who("Named"), "/named")
        other.add_resource(new_who("Other"), "/other")
        strong = api_key("X-Strong", key="strong")
        named_first and SecuREST(named, authentication_providers=[strong])
        guard(app)
        named_first or SecuREST(named, authentication_providers=[strong])
        named.add_resource(new_who("Second"), "/second")
        client = app.test_client()
        for path in ("/named", "/second"):
            assert client.get(path, headers=with_key()).status_code == 401
            assert client.get(path, headers={"X-Strong": "strong"}).status_code == 200
        assert client.get("/other", headers=with_key()).status_code == 200
        assert client.get("/other", headers={"X-Strong": "strong"}).status_code == 401

    def test_a_take_over_after_the_first_request_is_an_error(self):
        app = Flask("tests")
        api = Api(app)
        api.add_resource(new_who(), "/who")
        guard(app)
        assert app.test_client().get("/who").status_code == 401
        with pytest.raises(ConfigurationError, match="has answered requests already"):
            SecuREST(api, authentication_providers=[api_key("X-Other")])
        assert app.test_client().get("/who", headers=with_key()).status_code == 200

    def test_a_second_one_for_the_application_is_an_error_and_the_same_again_changes_nothing(self):
        app = Flask("tests")
        api = Api(app)
        api.add_resource(new_who(), "/who")
        securest = guard(app)
        before = dict(app.view_functions), app.preprocess_request
        securest.init_app(app)
        securest.init_api(api)
        assert (dict(app.view_functions), app.preprocess_request) == before
        with pytest.raises(ConfigurationError, match="another SecuREST object guards the application 'tests'"):
            guard(app)

    @pytest.mark.parametrize("way", WAYS)
    def test_what_is_unguarded_on_purpose_is_open(self, way):
        app = Flask("tests")
        closed, opened = Api(app), Api(app)
        closed.add_resource(new_who("Closed"), "/closed")
        opened.add_resource(require(roles="admin")(new_who("Opened")), "/opened")
        self.attach(app, way, unguarded=[opened])
        opened.add_resource(new_who("Second"), "/second")
        client = app.test_client()
        assert client.get("/closed").status_code == 401
        assert client.get("/opened").status_code == client.get("/second").status_code == 200

    def test_a_name_beats_unguarded(self):
        app = Flask("tests")
        api = Api(app)
        api.add_resource(new_who(), "/who")
        securest = guard(app, unguarded=[api])
        securest.init_api(api)
        assert_closed(app, "/who")

    def test_unguarded_without_an_application_is_an_error(self):
        app = Flask("tests")
        api, other = Api(app), Api(app)
        with pytest.raises(ConfigurationError, match=r"unguarded=.*SecuREST\(app\)"):
            guard(api, unguarded=[other])
        securest = guard(unguarded=[other])
        with pytest.raises(ConfigurationError, match=r"unguarded=.*SecuREST\(app\)"):
            securest.init_api(api)
        with pytest.raises(ConfigurationError, match="each of unguarded must be an Api object"):
            guard(app, unguarded=["other"])
        with pytest.raises(ConfigurationError, match="unguarded must be a list"):
            guard(app, unguarded=other)

    def test_two_applications_in_one_call_are_an_error(self):
        with pytest.raises(ConfigurationError, match="names two applications"):
            guard(Flask("one"), app=Flask("two"))

    def test_in_an_application_factory(self):
        securest, health = guard(), Blueprint("health", __name__)
        Api(health).add_resource(new_who("Health"), "/health")

        def create_app():
            app = Flask("tests")
            securest.init_app(app)
            Api(app).add_resource(new_who(), "/who")
            app.register_blueprint(health)
            return app

        for app in (create_app(), create_app()):
            assert app.test_client().get("/who").status_code == 401
            assert app.test_client().get("/health", headers=with_key()).status_code == 200
        assert {route.url for route in securest.route_census()} == {"/who", "/health"}


class TestRulesThatNobodyEnforces:
    """G5: their author believes that somebody does."""

    def app(self, **options):
        app = Flask("tests")
        app.config["PROPAGATE_EXCEPTIONS"] = False
        api, other = Api(app, prefix="/a"), Api(app, prefix="/b")
        securest = guard(api, **options)
        return app, other, securest

    @pytest.mark.parametrize("on", ["class", "method"])
    def test_on_a_resource_of_an_api_that_is_not_attached(self, on, caplog):
        app, other, securest = self.app()
        rule = require(roles="admin")
        M = new_who("M", get=rule(lambda self: "open")) if on == "method" else rule(new_who("M"))
        other.add_resource(M, "/m")
        for headers in ({}, with_key()):
            assert app.test_client().get("/b/m", headers=headers).status_code == 500
        assert "has a rule, and nobody enforces it at the endpoint 'm'" in caplog.text
        assert [(route.url, route.access) for route in securest.route_census() if route.verb == "GET"] == [
            ("/b/m", "broken")
        ]

    @pytest.mark.parametrize("rule", [require(roles="admin"), optional], ids=["require", "optional"])
    def test_on_a_view_class_it_is_told_at_set_up(self, rule):
        app, _, _ = self.app()
        V = type("V", (MethodView,), {"get": rule(lambda self: "open")})
        with pytest.raises(ConfigurationError, match=r"V\.get has a rule, and nobody enforces it"):
            app.add_url_rule("/v", view_func=V.as_view("v"))
        assert app.test_client().get("/v").status_code == 500
        late = Flask("late")
        late.add_url_rule("/v", view_func=V.as_view("v"))
        with pytest.raises(ConfigurationError, match=r"V\.get has a rule"):
            guard(Api(late))

    @pytest.mark.parametrize("rule", [require(roles="admin"), optional], ids=["require", "optional"])
    def test_on_a_plain_view_and_on_a_resource_made_by_hand(self, rule):
        app, _, _ = self.app()
        app.add_url_rule("/plain", "plain", rule(lambda: "open"))
        app.add_url_rule("/hand", view_func=rule(new_who("M")).as_view("hand"))
        for path in ("/plain", "/hand"):
            assert app.test_client().get(path).status_code == 500

    def test_public_may_stand_there(self):
        app, other, _ = self.app()
        other.add_resource(public(reason="x")(new_who("M")), "/m")
        app.add_url_rule("/plain", "plain", public(reason="x")(lambda: "open"))
        assert app.test_client().get("/b/m").status_code == app.test_client().get("/plain").status_code == 200

    def test_where_all_is_in_report_mode_it_is_reported(self, caplog):
        app, other, _ = self.app(mode="report")
        other.add_resource(require(roles="admin")(new_who("M")), "/m")
        assert app.test_client().get("/b/m").status_code == 200
        assert "would deny 'GET' on 'm'" in caplog.text

    def test_without_a_securest_nobody_can_tell(self):
        app = Flask("tests")
        Api(app).add_resource(require(roles="admin")(new_who("M")), "/m")
        assert app.test_client().get("/m").status_code == 200


class TestMessages:
    def test_another_library_s_api_is_named_with_its_module(self):
        """G10: "must be an Api object; it is of type Api"."""
        Other = type("Api", (), {"__module__": "flask_restx.api"})
        with pytest.raises(ConfigurationError, match=r"it is of type flask_restx\.api\.Api.*SecuREST\(app\)"):
            guard(Other())

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("authorisation_provider", "did you mean authorization_provider?"),
            ("userstore_driver", "did you mean userstore?"),
            ("user_store", "did you mean userstore?"),
            ("unauthorized_user_handler", "@securest.error_handler"),
            ("skip_auth_hook", "@public"),
            ("logger", "getLogger"),
            ("error_handler", "is a method: @securest.error_handler"),
            ("protect", "is a method: @securest.protect"),
            ("authentication_providers", "authentication_providers"),
            ("mode", "it has authorization_provider, userstore"),
            ("anything", "it has authorization_provider, userstore"),
        ],
    )
    def test_an_attribute_that_it_does_not_know_is_an_error_that_says_what_was_meant(self, name, meant):
        """G7: a misspelt authorization_provider left authorization off."""
        with pytest.raises(AttributeError) as raised:
            setattr(guard(), name, object())
        assert meant in str(raised.value)

    def test_a_subclass_may_declare_attributes_of_its_own(self):
        class Mine(SecuREST):
            tenant: str

        securest = Mine()
        securest.tenant = "acme"
        with pytest.raises(AttributeError):
            securest.other = 1

    def test_require_says_which_keyword_it_wants(self):
        with pytest.raises(TypeError, match=r"require\(roles=\.\.\.\).*it was given 'admin'"):
            require("admin")

    def test_current_user_of_an_anonymous_caller_says_so(self):
        from flask_securest import current_user

        messages = []

        def get(self):
            try:
                current_user.username  # noqa: B018
            except AttributeError as error:
                messages.append(str(error))

        app, _, _ = secured(public(reason="x")(new_who(get=get)))
        app.test_client().get("/who")
        assert "nobody is authenticated in this request" in messages[0]
        assert "'username'" in messages[0]


class TestWhatCannotWork:
    """G17: it was taken where it was registered, and failed at each request."""

    def provider(self, authenticate):
        from flask_securest.authentication_providers import AbstractAuthenticationProvider

        return type("Mine", (AbstractAuthenticationProvider,), {"authenticate": authenticate})()

    async def never(self, request, userstore): ...

    async def generates(self, request, userstore):
        yield

    @pytest.mark.parametrize(
        "authenticate",
        [never, generates, lambda self, userstore: None, lambda self: None, lambda self, r, u, more: None, "text"],
    )
    def test_a_provider(self, authenticate):
        with pytest.raises(ConfigurationError, match=r"Mine\.authenticate"):
            SecuREST(authentication_providers=[self.provider(authenticate)])
        with pytest.raises(ConfigurationError, match=r"Mine\.authenticate"):
            SecuREST().register_authentication_provider(self.provider(authenticate))

    def test_other_signatures_that_can_be_called_are_taken(self):
        for authenticate in (lambda self, *args: None, lambda self, request, userstore, more=1: None):
            SecuREST(authentication_providers=[self.provider(authenticate)])

    def test_a_userstore_an_authorization_provider_and_a_handler(self):
        from flask_securest.authorization_providers import AbstractAuthorizationProvider
        from flask_securest.userstores import AbstractUserstore

        async def get_user(self, identifier): ...

        with pytest.raises(ConfigurationError, match=r"Mine\.get_user\(identifier\) must not be async"):
            SecuREST(userstore=type("Mine", (AbstractUserstore,), {"get_user": get_user})())
        with pytest.raises(ConfigurationError, match=r"Mine\.authorize must take \(identity, target\)"):
            SecuREST(
                authorization_provider=type(
                    "Mine", (AbstractAuthorizationProvider,), {"authorize": lambda self, identity: None}
                )()
            )
        with pytest.raises(ConfigurationError, match=r"an error_handler must take \(status, error\)"):
            SecuREST().error_handler(lambda: None)
        SecuREST().error_handler(lambda status, error: None)


def test_report_mode_adds_no_header(caplog):
    """G13: what the client gets is what it would get without SecuREST, to the header."""
    from datetime import datetime, timezone

    from helpers import Scripted

    from flask_securest import Identity, User

    identity = Identity(
        User("alice"),
        replaced_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        response_headers=[("WWW-Authenticate", "Mutual x")],
    )
    answers = []
    for mode in ("enforce", "report"):
        app, _, _ = secured(new_who(), providers=[Scripted(identity)], mode=mode)
        answers.append(set(app.test_client().get("/who").headers.keys()))
    assert answers[0] - answers[1] == {"Deprecation", "WWW-Authenticate"}


def test_a_plain_view_that_calls_a_guarded_one_stays_plain():
    app, _, _ = secured(new_who(), providers=[api_key()])
    view = app.view_functions["who"]
    app.add_url_rule("/page", "page", lambda: {"inner": view().status_code, "key": KEY and "x"})
    assert app.test_client().get("/page").json == {"inner": 401, "key": "x"}


class TestProtect:
    """Plain views, guarded like Resources."""

    def test_a_function_below_and_above_the_route(self):
        for above in (True, False):
            app = Flask("tests")
            securest = guard(app)
            if above:

                @securest.protect
                @app.get("/page")
                def page():
                    return "page"
            else:

                @app.get("/page")
                @securest.protect
                def page():
                    return "page"

            assert_closed(app, "/page")

    def test_a_function_under_a_decorator_that_loses_the_mark(self):
        app = Flask("tests")
        securest = guard(app)

        def lossy(view):
            def inner(**kwargs):
                return view(**kwargs)

            return inner

        app.add_url_rule("/page", "page", lossy(securest.protect(lambda: "page")))
        assert_closed(app, "/page")

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_what_is_protected_before_attaching_is_closed(self, order):
        app, securest = Flask("tests"), guard()
        steps = [
            lambda: app.add_url_rule("/page", "page", securest.protect(lambda: "page")),
            lambda: securest.init_app(app),
        ]
        for step in order:
            steps[step]()
        assert_closed(app, "/page")

    def test_in_an_application_without_a_gate_it_is_an_error(self):
        app, securest = Flask("tests"), guard()
        app.config["PROPAGATE_EXCEPTIONS"] = False
        app.add_url_rule("/page", "page", securest.protect(lambda: "page"))
        V = securest.protect(type("V", (MethodView,), {"get": lambda self: "page"}))
        app.add_url_rule("/class", view_func=V.as_view("class"))
        for path in ("/page", "/class"):
            assert app.test_client().get(path, headers=with_key()).status_code == 500
        with app.test_request_context("/page"), pytest.raises(ConfigurationError, match=r"securest\.init_app\(app\)"):
            app.view_functions["page"]()

    def test_a_refusal_is_json_and_has_the_challenges(self):
        app = Flask("tests")
        securest = guard(app)
        app.add_url_rule("/page", "page", securest.protect(require(roles="admin")(lambda: "page")))
        refused, forbidden = app.test_client().get("/page"), app.test_client().get("/page", headers=with_key())
        assert (refused.status_code, refused.json) == (401, {"message": "Unauthorized User"})
        assert refused.headers["WWW-Authenticate"] == 'ApiKey realm="api", header="X-API-Key"'
        assert (forbidden.status_code, forbidden.json) == (403, {"message": "Forbidden"})
        assert refused.headers["Cache-Control"] == forbidden.headers["Cache-Control"] == "no-store"

    def test_rules_may_stand_above_and_below_it(self):
        from helpers import ALICE, BOB

        for place in ("below", "above", "above the route", "above, protected above the route"):
            app, _, securest = secured()
            admin, protect, route = require(roles="admin"), securest.protect, app.get("/page")

            def page():
                return "page"

            steps = {
                "below": [admin, protect, route],
                "above": [protect, admin, route],
                "above the route": [protect, route, admin],
                "above, protected above the route": [route, protect, admin],
            }[place]
            for step in steps:
                page = step(page)
            client = app.test_client()
            assert client.get("/page").status_code == 401, place
            assert client.get("/page", headers=BOB).status_code == 403, place
            assert client.get("/page", headers=ALICE).data == b"page", place

    def test_public_and_optional(self):
        from helpers import ALICE, BOB, who

        app, _, securest = secured()
        app.add_url_rule("/open", "open", securest.protect(public(reason="x")(who)))
        app.add_url_rule("/either", "either", public(reason="y")(securest.protect(lambda: "x")))
        app.add_url_rule("/optional", "optional", optional(securest.protect(who)))
        client = app.test_client()
        assert client.get("/open", headers=ALICE).json["user"] is None
        assert client.get("/either").status_code == 200
        assert client.get("/optional").json["user"] is None
        assert client.get("/optional", headers=BOB).json["user"] == "bob"
        assert client.get("/optional", headers={"Authorization": "Basic ###"}).status_code == 401
        census = {route.url: route for route in securest.route_census()}
        assert [census[url].access for url in ("/open", "/either", "/optional")] == ["public", "public", "optional"]

    def test_a_view_class_with_its_subclasses(self):
        app, _, securest = secured(providers=[api_key()])

        @securest.protect
        class Pages(MethodView):
            def get(self):
                return "page"

            @require(roles="admin")
            def delete(self):
                return "deleted"

        class Own(Pages):
            decorators = ()

            @classmethod
            def as_view(cls, name, *args, **kwargs):
                return View.as_view.__func__(cls, name, *args, **kwargs)

        app.add_url_rule("/pages", view_func=Pages.as_view("pages"))
        app.add_url_rule("/own", view_func=Own.as_view("own"))
        app.add_url_rule("/heir", view_func=type("Heir", (Pages,), {}).as_view("heir"))
        assert app.test_client().delete("/pages", headers=with_key()).status_code == 403
        assert_closed(app, "/pages", "/own", "/heir")

    def test_an_async_function(self):
        app = Flask("tests")
        securest = guard(app)

        @app.get("/page")
        @securest.protect
        async def page():
            return "page"

        assert_closed(app, "/page")

    def test_a_blueprint_s_view(self):
        app, blueprint = Flask("tests"), Blueprint("bp", __name__)
        securest = guard(app)
        blueprint.add_url_rule("/page/<int:number>", "page", securest.protect(lambda number: str(number)))
        app.register_blueprint(blueprint, url_prefix="/v1")
        assert_closed(app, "/v1/page/7")

    def test_report_mode_lets_everybody_in(self, caplog):
        app = Flask("tests")
        securest = guard(app, mode="report")
        app.add_url_rule("/page", "page", securest.protect(lambda: "page"))
        assert app.test_client().get("/page").data == b"page"
        assert "would deny 'GET' on 'page'" in caplog.text

    def test_two_urls_and_two_endpoints_of_one_function(self):
        app = Flask("tests")
        securest = guard(app)
        page = securest.protect(lambda: "page")
        app.add_url_rule("/one", "page", page)
        app.add_url_rule("/two", "page", page)
        app.add_url_rule("/three", "other", page)
        assert_closed(app, "/one", "/two", "/three")

    def test_a_page_that_calls_a_protected_function_stays_open(self):
        app = Flask("tests")
        securest = guard(app)
        page = securest.protect(lambda: "page")
        app.add_url_rule("/page", "page", page)
        app.add_url_rule("/open", "open", lambda: {"inner": page().status_code})
        assert app.test_client().get("/open").json == {"inner": 401}

    def test_a_decorator_between_two_is_kept(self):
        app = Flask("tests")
        securest = guard(app)

        def shouting(view):
            @functools.wraps(view)
            def loud(*args, **kwargs):
                return view(*args, **kwargs) + "!"

            return loud

        app.add_url_rule("/page", "page", securest.protect(shouting(securest.protect(lambda: "page"))))
        assert app.test_client().get("/page", headers=with_key()).data == b"page!"
        assert_closed(app, "/page")

    @pytest.mark.parametrize("what", ["text", 7, None, object(), functools.partial(print), "".join, str, Resource()])
    def test_what_is_no_view_is_an_error(self, what):
        with pytest.raises(ConfigurationError, match="protect decorates a view function"):
            guard().protect(what)

    def test_of_two_securests_is_an_error(self):
        page = guard().protect(lambda: "page")
        with pytest.raises(ConfigurationError, match="already protected by another"):
            guard().protect(page)
        V = guard().protect(type("V", (MethodView,), {}))
        with pytest.raises(ConfigurationError, match="already protected by another"):
            guard().protect(V)

    def test_an_internal_call_of_it_is_judged_for_itself(self):
        from helpers import ALICE, BOB

        app, _, securest = secured()
        inner = securest.protect(require(roles="admin")(lambda: "inner"))
        app.add_url_rule("/inner", "inner", inner)

        def outer():
            answer = inner()
            return answer if isinstance(answer, str) else {"status": answer.status_code}

        app.add_url_rule("/outer", "outer", securest.protect(outer))
        assert app.test_client().get("/outer", headers=ALICE).data == b"inner"
        assert app.test_client().get("/outer", headers=BOB).json == {"status": 403}
