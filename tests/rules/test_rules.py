import functools

import pytest
from flask import Flask
from flask.views import MethodView
from flask_restful import Api, Resource, marshal_with
from helpers import ALICE, BOB, KEY, Scripted, api_key, bearer, chain_of_three, new_who, secured, show, with_key

from flask_securest import USE_DEFAULT, Identity, SecuREST, User, authenticators, optional, public, require
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, TokenAuthenticator
from flask_securest.errors import ConfigurationError
from flask_securest.rules.resolution import resolve_rule
from flask_securest.rules.statements import Access

WITH_SCOPES = Identity(User("alice", roles=["admin"]), scopes=["read", "write"])


def answer(self):
    return {}


def method(*decorators):
    """Return a fresh method with these rules on it."""

    def get(self):
        return {}

    for decorator in reversed(decorators):
        get = decorator(get)
    return get


def cls(*decorators, bases=(Resource,), **members):
    """Return a fresh Resource class with these rules on it."""
    made = type("Made", bases, members)
    for decorator in reversed(decorators):
        made = decorator(made)
    return made


def rule_of(resource, verb="GET"):
    return resolve_rule(resource, verb)


def statuses(resource, *headers, verb="GET", **options):
    client = secured(resource, **options)[0].test_client()
    return [client.open(f"/{resource.__name__.lower()}", method=verb, headers=each).status_code for each in headers]


def hiding(function):
    """Return a function around another one, which does not say so."""
    return lambda *args, **kwargs: function(*args, **kwargs)


open_to_all = public(reason="anybody may")
for_admins = require(roles="admin")


class TestAccess:
    def test_silence_is_closed(self):
        assert rule_of(cls(get=method())).access is Access.CLOSED
        assert statuses(cls(get=method()), {}, ALICE, with_key("wrong")) == [401, 200, 401]

    @pytest.mark.parametrize("decorate", [public(reason="why"), public("why"), authenticators(None, reason="why")])
    def test_public_is_open_to_everybody(self, decorate):
        for resource in (cls(decorate, get=method()), cls(get=method(decorate))):
            assert rule_of(resource).access is Access.PUBLIC
            assert rule_of(resource).reason == "why"
            assert statuses(resource, {}, ALICE, with_key("wrong")) == [200, 200, 200]

    def test_on_a_public_method_the_chain_does_not_run_and_the_caller_is_nobody(self):
        provider = Scripted(User("alice"))
        Who = open_to_all(new_who())
        client = secured(Who, providers=[provider])[0].test_client()
        assert client.get("/who", headers={"X-Scripted": "x"}).json == {"user": None, "provider": None}
        assert provider.asked == 0

    def test_optional_takes_nobody_for_nobody_and_wrong_for_wrong(self):
        for resource in (optional(new_who()), new_who(get=optional(answer))):
            assert rule_of(resource).access is Access.OPTIONAL
            blank = [{"Authorization": ""}, {"X-API-Key": ""}, {"X-API-Key": "  "}, {"Authorization": "Other x"}]
            assert statuses(resource, {}, ALICE, with_key("wrong"), *blank) == [200, 200, 401, 401, 401, 401, 401]

    def test_on_an_optional_method_a_known_caller_is_known(self):
        client = secured(optional(new_who()))[0].test_client()
        assert client.get("/who").json == {"user": None, "provider": None}
        assert client.get("/who", headers=ALICE).json == {"user": "alice", "provider": "password"}

    def test_on_an_optional_method_what_a_provider_found_elsewhere_counts_too(self):
        """Credentials need not travel in a header that the chain knows: a cookie, a client certificate."""
        from flask_securest.errors import BackendError, BadCredentialsError

        resource = optional(new_who())
        for found, status in [(BadCredentialsError("a cookie"), 401), (BackendError("down"), 503), (None, 200)]:
            assert statuses(resource, {}, providers=[Scripted(found)]) == [status]

    def test_optional_looks_at_the_headers_of_its_own_chain(self):
        resource = authenticators("token")(optional(new_who()))
        assert statuses(resource, {}, with_key(), with_key("wrong"), {"Authorization": ""}) == [200, 200, 200, 401]

    def test_a_method_beats_its_class(self):
        Who = cls(open_to_all, get=method(), post=method(optional), put=method(authenticators("token")))
        assert rule_of(Who, "GET").access is Access.PUBLIC
        assert rule_of(Who, "POST").access is Access.OPTIONAL
        assert rule_of(Who, "PUT").access is Access.CLOSED
        assert rule_of(cls(optional, get=method(open_to_all))).access is Access.PUBLIC
        assert rule_of(cls(optional, get=method(authenticators("token")))).access is Access.CLOSED
        assert rule_of(cls(authenticators("token"), get=method(open_to_all))).access is Access.PUBLIC

    def test_a_method_that_requires_something_is_closed_in_a_public_class(self):
        Who = cls(open_to_all, get=method(for_admins), post=method())
        assert rule_of(Who).access is Access.CLOSED
        assert statuses(Who, {}, BOB, ALICE) == [401, 403, 200]
        assert statuses(Who, {}, verb="POST") == [200]

    def test_a_public_method_is_open_in_a_class_that_requires_something_for_it_says_so_itself(self):
        Who = cls(for_admins, get=method(open_to_all), post=method())
        assert statuses(Who, {}, BOB) == [200, 200]
        assert statuses(Who, {}, BOB, verb="POST") == [401, 403]

    def test_head_has_the_rule_of_get_unless_there_is_a_head(self):
        assert rule_of(cls(get=method(open_to_all)), "HEAD").access is Access.PUBLIC
        assert rule_of(cls(get=method(open_to_all), head=method()), "HEAD").access is Access.CLOSED
        assert rule_of(cls(get=method(), head=method(open_to_all)), "GET").access is Access.CLOSED
        assert rule_of(cls(get=method(open_to_all), head=None), "HEAD").access is Access.PUBLIC
        assert statuses(cls(get=method(for_admins)), {}, BOB, ALICE, verb="HEAD") == [401, 403, 200]

    def test_where_it_comes_from_is_known(self):
        assert rule_of(cls(open_to_all, get=method())).source == "Made (class)"
        assert rule_of(cls(get=method(optional))).source == "Made.get"
        assert rule_of(cls(get=method())).source == "default"


class TestSubclasses:
    def test_public_and_optional_on_a_class_are_not_inherited(self):
        for opens in (open_to_all, optional):
            Base = cls(opens, get=method())
            assert rule_of(cls(bases=(Base,))).access is Access.CLOSED
            assert rule_of(cls(bases=(Base,), get=method())).access is Access.CLOSED

    @pytest.mark.parametrize(("opens", "access"), [(open_to_all, Access.PUBLIC), (optional, Access.OPTIONAL)])
    def test_a_method_that_opens_itself_does_so_wherever_it_is_inherited_unchanged(self, opens, access):
        Base = cls(get=method(opens))
        assert rule_of(cls(bases=(Base,))).access is access
        assert rule_of(cls(bases=(cls(bases=(Base,)),))).access is access
        assert rule_of(cls(bases=(Base,), get=method())).access is Access.CLOSED

    def test_a_require_goes_on_holding_in_subclasses(self):
        Base = cls(require(roles="admin"), get=method(require(scopes="read")))
        for resource in (Base, cls(bases=(Base,)), cls(bases=(Base,), get=method()), cls(optional, bases=(Base,))):
            requirement = rule_of(resource).requirement
            assert requirement.roles == {"admin"}
            assert requirement.scopes == {"read"}

    def test_a_require_along_the_mro_adds_up(self):
        class Mixin:
            pass

        Mixin = require(roles="c")(Mixin)
        Base = cls(require(roles="a"), get=method(require(roles="b")))
        Made = cls(
            require(roles="d"),
            require(roles="e"),
            bases=(Mixin, Base),
            get=method(require(roles="f"), require(any_role=["g", "h"])),
        )
        requirement = rule_of(Made).requirement
        assert requirement.roles == set("abcdef")
        assert requirement.any_role == {frozenset({"g", "h"})}

    def test_an_overridden_method_of_another_verb_requires_nothing_here(self):
        Base = cls(get=method(), post=method(for_admins))
        assert not rule_of(cls(bases=(Base,), get=method())).requirement

    def test_authenticators_go_on_holding_and_the_nearest_counts(self):
        Base = cls(authenticators("a"), get=method(authenticators("b")), post=method())
        assert rule_of(Base, "GET").authenticators == ("b",)
        assert rule_of(Base, "POST").authenticators == ("a",)
        Heir = cls(bases=(Base,), get=method(), post=method())
        assert rule_of(Heir, "GET").authenticators == ("b",)
        assert rule_of(Heir, "POST").authenticators == ("a",)
        Nearer = cls(authenticators("c"), bases=(Base,), get=method(), post=method(authenticators("d")))
        assert rule_of(Nearer, "GET").authenticators == ("c",)
        assert rule_of(Nearer, "POST").authenticators == ("d",)
        assert rule_of(cls(authenticators("c"), bases=(Base,)), "GET").authenticators == ("b",), "method beats class"

    def test_public_on_a_class_whose_base_requires_something_is_an_error_where_it_is_written(self):
        Base = cls(for_admins, get=method())
        with pytest.raises(ConfigurationError, match="another class of its MRO has a require"):
            cls(open_to_all, bases=(Base,))
        with pytest.raises(ConfigurationError):
            cls(authenticators(None, reason="bypass"), bases=(cls(bases=(Base,)),))

    @pytest.mark.parametrize(
        "make",
        [
            lambda: cls(bases=(cls(for_admins, get=method()),), get=method(open_to_all)),
            lambda: cls(bases=(cls(get=method(for_admins)),), get=method(open_to_all)),
            lambda: cls(open_to_all, bases=(cls(get=method(for_admins)),), get=method()),
            lambda: cls(for_admins, bases=(cls(get=method(open_to_all)),)),
            lambda: cls(bases=(for_admins(type("Mixin", (), {})), cls(get=method(open_to_all)))),
        ],
        ids=["method of subclass", "overriding method", "class over method", "subclass requires", "mixin requires"],
    )
    def test_public_that_would_silence_a_require_is_an_error_when_it_is_attached(self, make):
        resource = make()
        with pytest.raises(ConfigurationError, match="has a require or authenticators, which public cannot take back"):
            secured(resource)
        app, api, _ = secured()
        with pytest.raises(ConfigurationError):
            api.add_resource(resource, "/made")
        assert app.test_client().get("/made").status_code == 500, "closed, even if the error was ignored"

    def test_a_public_method_of_a_class_with_require_stays_public_in_a_plain_subclass(self):
        Base = cls(for_admins, get=method(open_to_all))
        assert rule_of(cls(bases=(Base,))).access is Access.PUBLIC

    def test_one_class_does_not_speak_for_another(self):
        Base = cls(get=method())
        Left, Right = cls(open_to_all, bases=(Base,)), cls(for_admins, bases=(Base,))
        assert rule_of(Base).access is Access.CLOSED
        assert rule_of(Left).access is Access.PUBLIC
        assert rule_of(Right).requirement.roles == {"admin"}


class TestAuthenticators:
    def test_a_chain_of_its_own_replaces_the_default(self):
        resource = authenticators("token")(new_who())
        token = TokenAuthenticator("a secret key of the tests, long enough").generate_auth_token("alice")
        assert statuses(resource, {}, ALICE, with_key(), bearer(token)) == [401, 401, 401, 200]

    def test_its_challenges_are_those_of_its_own_chain(self):
        client = secured(authenticators("token", "api-key")(new_who()))[0].test_client()
        assert client.get("/who").headers.getlist("WWW-Authenticate") == [
            'Bearer realm="api"',
            'ApiKey realm="api", header="X-API-Key"',
        ]

    def test_the_order_given_is_the_order_tried(self):
        asked = []

        def spy(name):
            return Scripted(lambda request: asked.append(name), name=name)

        first, second, extra = spy("first"), spy("second"), spy("extra")
        for given, expected in [
            ((USE_DEFAULT,), ["first", "second"]),
            ((USE_DEFAULT, extra), ["first", "second", "extra"]),
            ((extra, USE_DEFAULT), ["extra", "first", "second"]),
            (("second", "first"), ["second", "first"]),
            (("second", USE_DEFAULT), ["second", "first"]),
            ((second, "second", USE_DEFAULT, extra, extra), ["second", "first", "extra"]),
        ]:
            asked.clear()
            statuses(authenticators(*given)(new_who()), {}, providers=[first, second])
            assert asked == expected, given

    def test_a_provider_object_goes_by_the_name_it_is_registered_under_or_its_own(self):
        provider, other = Scripted(User("alice"), name="own"), Scripted(User("bob"), name="other")
        One, Two = authenticators(provider)(new_who("One")), authenticators(other)(new_who("Two"))
        app, _, securest = secured(One, Two, providers=[])
        securest.register_authentication_provider(provider, name="registered")
        assert app.test_client().get("/one").json["provider"] == "registered"
        assert app.test_client().get("/two").json["provider"] == "other"

    def test_an_extension_of_the_same_name_replaces_nobody(self, caplog):
        """Each would vouch for the accounts of the other."""
        extra = HeaderApiKeyAuthenticator("X-Admin-Key")
        extra.register_key("admin-key", "admin")
        resource = authenticators(USE_DEFAULT, extra)(new_who())
        assert statuses(resource, {}, with_key(), {"X-Admin-Key": "admin-key"}) == [500, 500, 500]
        assert "there is a provider called 'api-key' already, a HeaderApiKeyAuthenticator" in caplog.text

    def test_two_extensions_of_one_name_are_an_error(self, caplog):
        first, second = HeaderApiKeyAuthenticator("X-A", name="extra"), HeaderApiKeyAuthenticator("X-B", name="extra")
        app, _, _ = secured(
            authenticators(first)(new_who("First")), authenticators(second)(new_who("Second")), providers=[]
        )
        client = app.test_client()
        assert [client.get(path).status_code for path in ("/first", "/second", "/first")] == [401, 500, 401]
        assert "there is a provider called 'extra' already" in caplog.text

    @pytest.mark.parametrize("name", ["?", "a:b", ":", ""])
    def test_an_extension_has_a_name_that_can_be_an_origin(self, name, caplog):
        class Named(Scripted.__base__):
            def authenticate(self, request, userstore): ...

        provider = Named()
        provider.name = name
        assert statuses(authenticators(provider)(new_who()), {}) == [500]
        assert "the name of a provider must" in caplog.text

    def test_a_chain_of_its_own_needs_no_default(self):
        assert statuses(authenticators(api_key())(new_who()), {}, with_key(), providers=[]) == [401, 200]
        assert statuses(authenticators(USE_DEFAULT, api_key())(new_who()), {}, with_key(), providers=[]) == [401, 200]

    @pytest.mark.parametrize("headers", [{}, ALICE, with_key()], ids=["none", "password", "key"])
    def test_an_unknown_name_is_never_an_open_door(self, headers, caplog):
        resource = authenticators("tokn")(new_who())
        assert statuses(resource, headers) == [500]
        assert "names the provider 'tokn', which is not registered; registered: api-key, password, token" in caplog.text

    def test_an_unknown_name_may_be_registered_later(self):
        app, _, securest = secured(authenticators("late")(new_who()))
        assert app.test_client().get("/who").status_code == 500
        securest.register_authentication_provider(Scripted(User("alice")), name="late")
        assert app.test_client().get("/who").status_code == 200

    def test_a_default_that_grows_is_what_extends(self):
        app, _, securest = secured(authenticators(USE_DEFAULT)(new_who()))
        assert app.test_client().get("/who").status_code == 401
        securest.register_authentication_provider(Scripted(User("alice")))
        assert app.test_client().get("/who").status_code == 200


class TestRequire:
    @pytest.mark.parametrize(
        ("asked", "roles", "scopes", "status"),
        [
            ({"roles": "admin"}, ["admin"], None, 200),
            ({"roles": "admin"}, ["administrator"], None, 403),
            ({"roles": "admin"}, [], None, 403),
            ({"roles": ["a", "b"]}, ["a", "b", "c"], None, 200),
            ({"roles": ["a", "b"]}, ["a"], None, 403),
            ({"any_role": ["a", "b"]}, ["b"], None, 200),
            ({"any_role": ("a", "b")}, ["c"], None, 403),
            ({"any_role": "a"}, ["a"], None, 200),
            ({"scopes": "read"}, [], ["read", "write"], 200),
            ({"scopes": "read"}, [], ["readwrite"], 403),
            ({"scopes": "read"}, [], [], 403),
            ({"scopes": "read"}, [], None, 200),
            ({"scopes": {"read", "write"}}, [], ["read"], 403),
            ({"any_scope": ["read", "write"]}, [], ["write"], 200),
            ({"any_scope": ["read", "write"]}, [], ["delete"], 403),
            ({"any_scope": ["read", "write"]}, [], None, 200),
            ({"roles": "a", "scopes": "read"}, ["a"], ["read"], 200),
            ({"roles": "a", "scopes": "read"}, ["a"], ["write"], 403),
            ({"roles": "a", "scopes": "read"}, [], ["read"], 403),
            ({"roles": "a", "any_role": ["b", "c"]}, ["a"], None, 403),
            ({"roles": "a", "any_role": ["b", "c"]}, ["a", "c"], None, 200),
            ({"scopes": iter(["read"])}, [], ["read"], 200),
        ],
        ids=show,
    )
    def test_who_has_what_is_asked_for_comes_in_and_who_has_not_gets_403(self, asked, roles, scopes, status):
        Who = require(**asked)(new_who())
        identity = Identity(User("alice", roles=roles), scopes=scopes)
        assert statuses(Who, {}, providers=[Scripted(identity)]) == [status]
        assert Who.constructed == (status == 200)

    def test_stacked_ones_must_all_be_met(self):
        Who = require(any_role=["a", "b"])(require(any_role=["c", "d"])(require(scopes="read")(new_who())))
        for roles, status in [(["a", "c"], 200), (["a", "b"], 403), (["c", "d"], 403), (["b", "d"], 200)]:
            assert statuses(Who, {}, providers=[Scripted(User("alice", roles=roles))]) == [status]

    def test_an_anonymous_caller_gets_401_and_one_without_the_role_403_whether_optional_or_not(self):
        """A valid user without the role got in where optional and role met, in a comparable system."""
        for resource in (for_admins(new_who()), optional(for_admins(new_who())), for_admins(optional(new_who()))):
            assert statuses(resource, {}, BOB, ALICE, with_key("wrong")) == [401, 403, 200, 401]
        assert statuses(cls(optional, get=method(for_admins)), {}, BOB, ALICE) == [401, 403, 200]
        assert statuses(cls(for_admins, get=method(optional)), {}, BOB, ALICE) == [401, 403, 200]

    def test_roles_of_a_row_are_looked_up_as_names(self):
        class Row:
            username, password, active, roles = "alice", None, True, ("admin", "author")

        assert statuses(for_admins(new_who()), {}, providers=[Scripted(Row())]) == [200]

    def test_it_says_in_words_what_it_asks_for(self):
        requirement = rule_of(
            cls(require(roles=["b", "a"], any_role=["c", "d"], scopes="read", any_scope=["x", "y"]), get=method())
        )
        assert str(requirement.requirement) == (
            "role 'a' and role 'b' and role 'c' or 'd' and scope 'read' and scope 'x' or 'y'"
        )


class TestOtherDecorators:
    def test_rules_survive_the_decorators_around_them(self):
        def logged(function):
            @functools.wraps(function)
            def around(*args, **kwargs):
                return function(*args, **kwargs)

            return around

        assert rule_of(cls(get=logged(method(open_to_all)))).access is Access.PUBLIC
        assert rule_of(cls(get=logged(logged(method(for_admins))))).requirement.roles == {"admin"}
        assert rule_of(cls(get=for_admins(logged(method(require(scopes="read")))))).requirement.scopes == {"read"}

    def test_a_rule_around_a_copy_does_not_reach_what_it_was_copied_from(self):
        original = method(require(roles="a"))

        @functools.wraps(original)
        def copy(self):
            return original(self)

        copy = require(roles="b")(copy)
        assert rule_of(cls(get=original)).requirement.roles == {"a"}
        assert rule_of(cls(get=copy)).requirement.roles == {"a", "b"}

    def test_rules_on_static_and_class_methods_are_seen(self):
        for kind in (staticmethod, classmethod):
            assert rule_of(cls(get=kind(method(open_to_all)))).access is Access.PUBLIC
            assert rule_of(cls(get=kind(method(for_admins)))).requirement.roles == {"admin"}

    @pytest.mark.parametrize("decorators", [[for_admins], {"get": [for_admins]}, [optional], (for_admins,)], ids=show)
    def test_a_rule_among_the_method_decorators_is_told_for_it_would_have_no_effect(self, decorators):
        with pytest.raises(ConfigurationError, match="method_decorators has a rule, which has no effect there"):
            secured(cls(get=method(), method_decorators=decorators))

    def test_a_rule_among_the_decorators_of_the_api_is_told_for_it_would_have_no_effect(self):
        with pytest.raises(ConfigurationError, match=r"in Api\(decorators=\.\.\.\) a rule would have no effect"):
            secured(new_who(), api_options={"decorators": [for_admins]})


class TestWhatIsToldWhereItIsWritten:
    @pytest.mark.parametrize(
        "write",
        [
            lambda: public(reason=""),
            lambda: public(reason="  "),
            lambda: public(reason=None),
            lambda: public(reason=7),
            lambda: public(new_who()),
            lambda: public(answer),
            lambda: authenticators(),
            lambda: authenticators(None),
            lambda: authenticators(None, reason=""),
            lambda: authenticators(None, "token", reason="x"),
            lambda: authenticators("token", reason="x"),
            lambda: authenticators(""),
            lambda: authenticators(["token"]),
            lambda: authenticators(("token",)),
            lambda: authenticators(7),
            lambda: authenticators(False),
            lambda: authenticators(TokenAuthenticator),
            lambda: authenticators(new_who()),
            lambda: authenticators(answer),
            lambda: require(),
            lambda: require(roles=None),
            lambda: require(roles=[]),
            lambda: require(roles=[], scopes="read"),
            lambda: require(roles=""),
            lambda: require(roles=["admin", ""]),
            lambda: require(roles=7),
            lambda: require(roles=[7]),
            lambda: require(roles=[["admin"]]),
            lambda: require(roles={"admin": True}),
            lambda: require(roles=b"admin"),
            lambda: require(roles=True),
            lambda: require(scopes=[None]),
            lambda: require(any_role=[]),
            lambda: require(any_scope=" "),
            lambda: optional("get"),
            lambda: optional(7),
            lambda: optional(None),
            lambda: for_admins(7),
            lambda: for_admins(print),
            lambda: for_admins(str),
            lambda: for_admins(new_who()().get),
            lambda: open_to_all(for_admins(new_who())),
            lambda: for_admins(open_to_all(new_who())),
            lambda: for_admins(open_to_all(answer_copy())),
            lambda: authenticators(None, reason="x")(for_admins(new_who())),
            lambda: authenticators("token")(open_to_all(new_who())),
            lambda: open_to_all(authenticators("token")(new_who())),
            lambda: optional(open_to_all(new_who())),
            lambda: open_to_all(optional(new_who())),
            lambda: authenticators("a")(authenticators("b")(new_who())),
        ],
    )
    def test_what_makes_no_sense_is_an_error(self, write):
        with pytest.raises(ConfigurationError):
            write()

    @pytest.mark.parametrize("write", [lambda: public(), lambda: require("admin"), lambda: require(role="admin")])
    def test_a_call_with_the_wrong_arguments_is_an_error(self, write):
        with pytest.raises(TypeError):
            write()

    def test_a_rule_that_was_refused_leaves_what_was_there(self):
        Who = for_admins(new_who())
        with pytest.raises(ConfigurationError):
            open_to_all(Who)
        assert rule_of(Who).requirement.roles == {"admin"}


def answer_copy():
    return lambda self: {}


def test_a_rule_is_resolved_once_for_a_class_and_verb(monkeypatch):
    import flask_securest.enforcement.guard as extension

    resolved = []
    resolve = extension.resolve_rules
    monkeypatch.setattr(extension, "resolve_rules", lambda *asked: resolved.extend(asked[1]) or resolve(*asked))
    client = secured(new_who())[0].test_client()
    set_up = len(resolved)  # once, to tell at once what makes no sense; and once for each verb that is asked for
    for _ in range(3):
        client.get("/who")
        client.head("/who")
        client.post("/who", headers=with_key(KEY))
    assert sorted(resolved[set_up:]) == ["GET", "HEAD", "POST"]


def test_the_census_lists_what_every_method_asks_for_and_where_that_is_written():
    @for_admins
    class Todo(Resource):
        def get(self): ...

        @require(scopes="write")
        @authenticators("token", Scripted(name="extra"))
        def put(self): ...

        @public(reason="documentation")
        def options(self): ...

    @optional
    class Search(Resource):
        def get(self): ...

        def head(self): ...

    @authenticators(USE_DEFAULT, Scripted(name="more"))
    class Extended(Resource):
        def post(self): ...

    app, _, securest = secured(Todo, Search, Extended, providers=chain_of_three())
    app.add_url_rule("/plain", view_func=lambda: "", endpoint="plain")
    everybody = ("api-key", "password", "token")
    here = "test_the_census_lists_what_every_method_asks_for_and_where_that_is_written.<locals>"
    assert [tuple(route) for route in securest.route_census()] == [
        ("/extended", "POST", "extended", "closed", (*everybody, "more"), "", "", "default"),
        ("/search", "GET", "search", "optional", everybody, "", "", f"{here}.Search (class)"),
        ("/search", "HEAD", "search", "optional", everybody, "", "", f"{here}.Search (class)"),
        ("/todo", "GET", "todo", "closed", everybody, "role 'admin'", "", "default"),
        ("/todo", "OPTIONS", "todo", "public", (), "", "documentation", f"{here}.Todo.options"),
        ("/todo", "PUT", "todo", "closed", ("token", "extra"), "role 'admin' and scope 'write'", "", "default"),
    ]


class TestWhereARuleHasNoEffect:
    def test_a_rule_among_the_decorators_of_the_view_is_told(self):
        with pytest.raises(ConfigurationError, match="puts a rule on it, with no effect: decorate the class"):
            secured(cls(get=method(), decorators=[for_admins]))

    @pytest.mark.parametrize(
        "decorator",
        [lambda view: for_admins(view), lambda view: for_admins(hiding(view)), lambda view: hiding(for_admins(view))],
        ids=["by a helper", "around a decorator that hides the view", "inside of one"],
    )
    @pytest.mark.parametrize("place", ["of the class", "of the Api", "of a protected View"])
    def test_nor_has_one_that_a_helper_among_the_decorators_puts_there(self, decorator, place):
        app = Flask(__name__)
        api = Api(app, decorators=[decorator] if place == "of the Api" else [])
        securest = SecuREST(app, authentication_providers=[HeaderApiKeyAuthenticator()])
        decorators = [] if place == "of the Api" else [decorator]
        with pytest.raises(ConfigurationError, match=r"no effect|hides which Resource it is"):
            if place == "of a protected View":
                view = type("Page", (MethodView,), {"get": answer, "decorators": decorators})
                app.add_url_rule("/", view_func=securest.protect(view).as_view("page"))
            else:
                api.add_resource(cls(get=method(), decorators=decorators), "/")

    @pytest.mark.parametrize(
        "members",
        [
            {"get": answer, "_delete_all": method(for_admins)},
            {"get": answer, "dispatch_request": method(authenticators("token"))},
            {"_get": method(for_admins), "get": functools.partialmethod(answer)},
            {"get": answer, "helper": staticmethod(method(for_admins))},
            {"get": answer, "helper": method(open_to_all)},
            {"get": answer, "_find": for_admins(marshal_with({})(answer))},
        ],
        ids=["helper", "dispatch_request", "partialmethod", "staticmethod", "public", "marshalled"],
    )
    def test_a_rule_on_a_method_that_answers_no_verb_is_told(self, members):
        with pytest.raises(ConfigurationError, match="has a rule and answers no verb"):
            secured(cls(**members))
        with pytest.raises(ConfigurationError, match="has a rule and answers no verb"):
            secured(cls(bases=(cls(**members),)))

    def test_a_method_that_answers_a_verb_under_another_name_too_may_have_one(self):
        shared = method(for_admins)
        assert statuses(cls(get=shared, _get=shared), BOB, ALICE) == [403, 200]

    def test_a_rule_around_a_static_method_is_seen_and_one_around_a_class_method_is_told(self):
        assert statuses(cls(get=for_admins(staticmethod(dict))), {}, BOB, ALICE) == [401, 403, 200]
        with pytest.raises(ConfigurationError):
            for_admins(classmethod(answer))

    @pytest.mark.parametrize("decorators", [property(lambda self: []), None, 7], ids=["property", "None", "7"])
    def test_method_decorators_that_cannot_be_looked_at_are_left_alone(self, decorators):
        resolve_rule(cls(get=method(), method_decorators=decorators), "GET")

    def test_a_decorator_that_cannot_be_hashed_is_left_alone(self):
        class Limit:
            __hash__ = None

            def __call__(self, function):
                return function

        assert statuses(cls(get=method(), method_decorators=[Limit()]), {}, ALICE) == [401, 200]

    def test_members_that_refuse_to_be_looked_at_are_left_alone(self):
        from flask import g

        assert statuses(cls(get=method(), context=g), {}, ALICE) == [401, 200]


class TestOpeningOpensNothingElse:
    @pytest.mark.parametrize("opens", [open_to_all, optional, authenticators(None, reason="demo")])
    def test_a_method_that_is_borrowed_from_another_class_opens_that_one_not(self, opens):
        Owner = cls(get=method())
        Borrower = cls(get=opens(Owner.get))
        assert rule_of(Owner).access is Access.CLOSED
        assert rule_of(Borrower).access is not Access.CLOSED

    def test_the_copy_is_as_good_as_the_original(self):
        class Base(Resource):
            def get(self, *, word="base"):
                return {"word": word}

        class Made(Base):
            @open_to_all
            def get(self, *, word: str = "made"):
                "Say a word."
                return super().get(word=word)

        assert Made.get.__doc__ == "Say a word."
        assert Made.get.__qualname__.endswith("Made.get")
        assert Made.get.__annotations__ == {"word": str}
        client = secured(Made)[0].test_client()
        assert client.get("/made").json == {"word": "made"}

    @pytest.mark.parametrize(
        "make",
        [
            lambda: cls(open_to_all, bases=(cls(get=method(authenticators("token"))),), get=method()),
            lambda: cls(bases=(cls(get=method(authenticators("token"))),), get=method(open_to_all)),
            lambda: cls(bases=(cls(authenticators("token"), get=method()),), get=method(open_to_all)),
            lambda: cls(open_to_all, bases=(cls(authenticators("token"), get=method()),)),
        ],
        ids=["class over method", "method over method", "method over class", "class over class"],
    )
    def test_public_does_not_take_back_the_authenticators_of_a_base(self, make):
        with pytest.raises(ConfigurationError, match="public cannot take back: authenticators"):
            secured(make())

    def test_optional_on_a_class_does_not_open_what_overrides_a_method_with_authenticators(self):
        Base = cls(get=method(authenticators("token")))
        for resource in (cls(optional, bases=(Base,)), cls(optional, bases=(Base,), get=method())):
            assert rule_of(resource).access is Access.CLOSED
            assert rule_of(resource).authenticators == ("token",)
        itself = cls(bases=(Base,), get=method(optional))
        assert rule_of(itself).access is Access.OPTIONAL
        assert rule_of(itself).authenticators == ("token",)

    def test_a_head_that_a_subclass_brings_asks_for_what_the_get_of_its_base_asked_for(self):
        """The base has answered HEAD with its get."""
        Base = cls(get=method(for_admins, authenticators("password")))
        Heir = cls(bases=(Base,), head=method())
        assert rule_of(Heir, "HEAD").requirement.roles == {"admin"}
        assert rule_of(Heir, "HEAD").authenticators == ("password",)
        assert statuses(Heir, {}, BOB, ALICE, verb="HEAD") == [401, 403, 200]
        assert not rule_of(cls(get=method(for_admins), head=method()), "HEAD").requirement, (
            "in one class it says so itself"
        )

    def test_a_head_of_the_metaclass_is_none_of_the_class(self):
        class Meta(type(Resource)):
            def head(cls): ...

        made = Meta("Made", (Resource,), {"get": method(for_admins)})
        assert rule_of(made, "HEAD").requirement.roles == {"admin"}


class TestProvidersAreToldApartByIdentity:
    def test_an_equal_provider_with_another_secret_does_not_open_anothers_resource(self):
        import dataclasses

        @dataclasses.dataclass(frozen=True)
        class Keys(Scripted.__base__):
            header: str
            keys: frozenset = dataclasses.field(compare=False)
            name: str = dataclasses.field(default="keys", compare=False)
            credential_headers = ("X-Key",)

            def authenticate(self, request, userstore):
                key = request.headers.get(self.header)
                return User(key) if key in self.keys else None

        users, admins = Keys("X-Key", frozenset({"user-key"})), Keys("X-Key", frozenset({"admin-key"}), "admins")
        assert users == admins
        Admin = authenticators(admins)(new_who("Admin"))
        client = secured(new_who(), Admin, providers=[users])[0].test_client()
        assert client.get("/who", headers={"X-Key": "user-key"}).status_code == 200
        assert client.get("/admin", headers={"X-Key": "user-key"}).status_code == 401
        assert client.get("/admin", headers={"X-Key": "admin-key"}).status_code == 200

    def test_a_provider_that_cannot_be_hashed_works(self):
        class Plain(Scripted):
            __hash__ = None

            def __eq__(self, other):
                return True

        client = secured(new_who(), providers=[Plain(User("alice")), api_key()])[0].test_client()
        assert client.get("/who").json["user"] == "alice"


def test_roles_that_are_rows_of_an_orm_are_a_bug_and_not_a_missing_role(caplog):
    from types import SimpleNamespace

    row = SimpleNamespace(username="alice", password=None, active=True, roles=[object()])
    assert statuses(for_admins(new_who()), {}, providers=[Scripted(row)]) == [500]
    assert "roles and scopes must be names" in caplog.text
    assert statuses(new_who(), {}, providers=[Scripted(row)]) == [200]


def test_the_census_shows_what_is_broken():
    Typo, Conflict = authenticators("tokn")(new_who("Typo")), new_who("Fine")
    _, _, securest = secured(Typo, Conflict)
    broken = [route for route in securest.route_census() if route.access == "broken"]
    assert {(route.url, route.verb) for route in broken} == {("/typo", "GET"), ("/typo", "POST")}
    assert "names the provider 'tokn', which is not registered" in broken[0].reason
    _, _, nobody = secured(new_who(), providers=[])
    assert {route.access for route in nobody.route_census()} == {"broken"}


def test_the_census_calls_providers_by_their_registered_names():
    provider = Scripted(name="own")
    _, _, securest = secured(authenticators(provider)(new_who()), providers=[])
    securest.register_authentication_provider(provider, name="registered")
    assert {route.authenticators for route in securest.route_census()} == {("registered",)}
