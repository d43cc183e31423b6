"""A rule that was written is in force, or is an error: inside of descriptors, under decorators, and on its way into a
class."""

import functools
import importlib
import sys
import types
import typing
from dataclasses import dataclass

import pytest
from flask import Flask
from flask_restful import Api, Resource
from helpers import Scripted

from flask_securest import SecuREST, User, authenticators, optional, public, require
from flask_securest.errors import ConfigurationError

for_admins = require(roles="admin")


SOMEBODY = User("somebody")


def status_of(resource, verb="GET", *, user=SOMEBODY, **options):
    """Return with what a caller without a role is answered; "error" if setting up fails."""
    app = Flask("lost")
    api = Api(app)
    securest = SecuREST(api, authentication_providers=[Scripted(user)])
    try:
        api.add_resource(resource, "/it", **options)
    except ConfigurationError as error:
        message = str(error)
    else:
        return app.test_client().open("/it", method=verb).status_code
    assert any(each.__qualname__ in message for each in resource.__mro__[:-1]), message
    # Whoever goes on nevertheless has no open door.
    assert app.test_client().open("/it", method=verb).status_code in (405, 500)
    assert securest
    return "error"


def no_wraps(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def with_wraps(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def with_a_log(log):
    def decorate(function):
        def inner(*args, **kwargs):
            log("called")
            return function(*args, **kwargs)

        return inner

    return decorate


REGISTRY = {}


def by_registry(function):
    """Hide the function where nobody sees it."""
    REGISTRY[len(REGISTRY)] = function
    number = len(REGISTRY) - 1
    return lambda *args, **kwargs: REGISTRY[int(f"{number}")](*args, **kwargs)


def by_registry_and_globals(function):
    REGISTRY["it"] = function

    def inner(*args, **kwargs):
        return REGISTRY["it"](*args, **kwargs)

    return inner


def by_default_argument(function):
    def inner(*args, _function=function, **kwargs):
        return _function(*args, **kwargs)

    return inner


def by_list(function):
    functions = [function]

    def inner(*args, **kwargs):
        return functions[0](*args, **kwargs)

    return inner


def by_dict(function):
    functions = {"it": (function,)}
    return lambda *args, **kwargs: functions["it"][0](*args, **kwargs)


def by_copy(function):
    """As a decorator that makes a new function of the code, and forgets the rest."""
    return types.FunctionType(function.__code__, function.__globals__, "other", None, function.__closure__)


class Calling:
    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(None, *args, **kwargs)


class Slotted:
    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(None, *args, **kwargs)


class Descriptor:
    def __init__(self, function):
        self._hidden = function

    def __get__(self, instance, owner=None):
        return functools.partial(self._hidden, instance)


def own_property(function):
    """A property's function returns what answers."""
    return property(lambda self: functools.partial(function, self))


HIDING = [
    no_wraps,
    lambda function: no_wraps(no_wraps(function)),
    lambda function: with_wraps(no_wraps(function)),
    lambda function: no_wraps(with_wraps(function)),
    with_wraps,
    by_default_argument,
    by_list,
    by_dict,
    Calling,
    Slotted,
    Descriptor,
    own_property,
    lambda function: functools.partialmethod(function),
    lambda function: functools.partialmethod(no_wraps(function)),
    lambda function: functools.partial(function, None),
    lambda function: functools.lru_cache(function),
    lambda function: staticmethod(functools.partial(function, None)),
    lambda function: functools.singledispatchmethod(function),
    lambda function: Calling(no_wraps(function)),
    lambda function: functools.partialmethod(Calling(function)),
]


@pytest.mark.parametrize("hide", HIDING, ids=range(len(HIDING)))
class TestWhatIsHidden:
    def test_a_requirement_is_in_force(self, hide):
        class Hidden(Resource):
            @hide
            @for_admins
            def get(self):
                return "in"

        assert status_of(Hidden) == 403
        assert status_of(Hidden, user=User("root", roles=["admin"])) not in (401, 403, "error")

    def test_a_chain_of_its_own_is_in_force(self, hide):
        class Hidden(Resource):
            @hide
            @authenticators(Scripted(None, name="nobody"))
            def get(self):
                return "in"

        assert status_of(Hidden) == 401

    def test_so_is_that_of_a_base_in_a_subclass(self, hide):
        class Base(Resource):
            @hide
            @for_admins
            def get(self):
                return "in"

        class Sub(Base):
            def get(self):
                return "in"

        assert status_of(Sub) == status_of(type("Unchanged", (Base,), {})) == 403

    def test_what_opens_never_opens_anything_else(self, hide):
        class Hidden(Resource):
            @hide
            @public(reason="for all")
            def get(self):
                return "in"

        assert status_of(Hidden, user=None) in (200, 401, 500, "error")  # some cannot be called
        assert status_of(Hidden, "POST", user=None) in (405, 500, "error")

    def test_a_function_that_is_defined_elsewhere_too(self, hide):
        def shared(self):
            return "in"

        class Hidden(Resource):
            get = hide(for_admins(shared))

        assert status_of(Hidden) == 403


class TestDescriptors:
    def test_a_property(self):
        class Hidden(Resource):
            @property
            @for_admins
            def get(self):
                return lambda: "in"

            @functools.cached_property
            @for_admins
            def put(self):
                return lambda: "in"

        assert status_of(Hidden) == status_of(Hidden, "PUT") == 403

    def test_a_staticmethod_and_a_classmethod(self):
        class Hidden(Resource):
            @staticmethod
            @for_admins
            def get():
                return "in"

            @for_admins
            @staticmethod
            def put():
                return "in"

            @classmethod
            @no_wraps
            @for_admins
            def post(cls):
                return "in"

        assert [status_of(Hidden, verb) for verb in ("GET", "PUT", "POST")] == [403] * 3

    @pytest.mark.parametrize("show", [staticmethod, property, functools.partialmethod])
    def test_what_opens_is_seen_inside_of_a_known_descriptor(self, show):
        class Shown(Resource):
            @show
            @public(reason="for all")
            def get(self=None):
                return "in" if show is not property else lambda: "in"

        assert status_of(Shown, user=None) == 200

    def test_a_lambda_in_a_partialmethod(self):
        class Hidden(Resource):
            post = functools.partialmethod(for_admins(lambda self, number: "in"), 1)

        assert status_of(Hidden, "POST") == 403

    @pytest.mark.parametrize("above", [no_wraps, lambda function: with_a_log(print)(function)])
    def test_a_helper_of_the_application_under_another_decorator(self, above):
        def admins_only(function):
            return for_admins(no_wraps(function))

        def shared(self):
            return "in"

        class Lender(Resource):
            @for_admins
            @no_wraps
            def get(self):
                return "in"

        class Hidden(Resource):
            @above
            @admins_only
            def get(self):
                return "in"

            put = above(for_admins(shared))
            post = above(Lender.get)

        assert [status_of(Hidden, verb) for verb in ("GET", "PUT", "POST")] == [403] * 3

    def test_a_function_among_many_others(self):
        def shared(self):
            return "in"

        protected = for_admins(shared)

        def among(function):
            others = [(lambda number: lambda: number)(number) for number in range(100)]  # noqa: B023
            return lambda *args: (others, function(*args))[1]

        class Hidden(Resource):
            get = among(protected)

        assert status_of(Hidden) == 403

    def test_a_member_that_is_exchanged_between_setting_up_and_the_first_request(self):
        class Hidden(Resource):
            @for_admins
            def get(self):
                return "in"

        app = Flask("lost")
        api = Api(app)
        SecuREST(api, authentication_providers=[Scripted(SOMEBODY)])
        api.add_resource(Hidden, "/it")
        Hidden.get = by_registry(Hidden.get)
        assert app.test_client().get("/it").status_code == 500

    @pytest.mark.parametrize("kind", [dict, list])
    def test_what_an_application_has_in_containers_of_its_own_is_not_read(self, kind):
        class Lazy(kind):
            def __iter__(self):
                raise RuntimeError("working outside of application context")

            values = __iter__

        lazy = Lazy()

        class Open(Resource):
            @public(reason="to test")
            def get(self, known=lazy):
                return {}

        app = Flask("lost")
        api = Api(app)
        SecuREST(api, authentication_providers=[Scripted(SOMEBODY)])
        api.add_resource(Open, "/")
        assert app.test_client().get("/").status_code == 200

    @pytest.mark.parametrize("outer", [lambda function: function, no_wraps], ids=["found", "hidden"])
    def test_a_rule_inside_of_what_is_protected_is_an_error(self, outer, caplog):
        app = Flask("lost")
        securest = SecuREST(app, authentication_providers=[Scripted(SOMEBODY)])
        app.add_url_rule("/", view_func=outer(securest.protect(no_wraps(for_admins(lambda: "in")))))
        assert app.test_client().get("/", headers={"X-Scripted": "x"}).status_code == 500
        assert "is lost inside of" in caplog.text

    def test_a_view_of_the_application_that_a_decorator_knows_is_nobodys_rule(self):
        app = Flask("lost")
        api = Api(app)
        securest = SecuREST(api, authentication_providers=[Scripted(SOMEBODY)])

        @app.get("/admin")
        @securest.protect
        @for_admins
        def admin():
            return "in"

        def knows(function):
            return lambda *args: (app, function(*args))[1]

        class Open(Resource):
            @knows
            def get(self):
                return "in"

        api.add_resource(Open, "/it")
        client = app.test_client()
        assert (client.get("/it").status_code, client.get("/admin").status_code) == (200, 403)

    def test_a_rule_on_the_call_of_an_object(self):
        class Callable:
            @for_admins
            def __call__(self, *args):
                return "in"

        class Hidden(Resource):
            get = Callable()

        assert status_of(Hidden) == 403


class TestWhatCannotBeFound:
    @pytest.mark.parametrize("lose", [by_registry, by_registry_and_globals, by_copy])
    @pytest.mark.parametrize("rule", [for_admins, authenticators("scripted"), public(reason="x"), optional])
    def test_it_is_an_error_that_names_the_class_and_the_method(self, lose, rule):
        with pytest.raises(ConfigurationError, match=r"the rule on .*Lost\.get is lost"):

            class Lost(Resource):
                @lose
                @rule
                def get(self):
                    return "in"

            api = Api(Flask("lost"))
            SecuREST(api, authentication_providers=[Scripted(User("somebody"))])
            api.add_resource(Lost, "/it")

    def test_a_second_definition_that_forgets_the_rule_is_an_error(self):
        class Lost(Resource):
            @for_admins
            def get(self):
                return "in"

            def get(self):  # noqa: F811
                return "in"

        assert status_of(Lost) == "error"

    @pytest.mark.parametrize("rule", [for_admins, authenticators("scripted"), public(reason="x"), optional])
    @pytest.mark.parametrize("change", ["clear", "overwrite"])
    def test_so_is_a_function_whose_attributes_a_decorator_clears_or_overwrites(self, change, rule):
        @require(scopes="read")
        def other(self): ...

        def forget(function):
            function.__dict__.clear()
            if change == "overwrite":
                function.__dict__.update(other.__dict__)
            return function

        class Lost(Resource):
            @forget
            @rule
            def get(self):
                return "in"

        assert status_of(Lost) == "error"

    def test_a_copy_of_the_statement_on_another_method_does_not_show_that_the_first_has_it(self):
        class Lost(Resource):
            @for_admins
            def get(self):
                return "in"

            @functools.wraps(get)
            def delete(self):
                return "in"

            get = by_copy(get)

        assert status_of(Lost) == "error"

    def test_a_method_that_was_deleted_and_is_kept_elsewhere_is_an_error(self):
        class Lost(Resource):
            @for_admins
            def _get(self):
                return "in"

            REGISTRY["kept"] = _get
            del _get

            def get(self):
                return REGISTRY["kept"](self)

        assert status_of(Lost) == "error"

    def test_rules_in_a_comprehension_of_the_body_are_written_down(self):
        def shared(self):
            return "in"

        class Lost(Resource):
            get, put = (by_registry_and_globals(for_admins(each)) for each in (shared, shared))

        assert status_of(Lost) == "error"

    def test_a_body_that_deletes_its_name_is_one(self):
        class Lost(Resource):
            del __qualname__  # noqa: F821

            @by_registry
            @for_admins
            def get(self):
                return "in"

        assert status_of(Lost) == "error"

    def test_a_rule_that_is_added_before_the_first_request_is_no_loss(self):
        class More(Resource):
            @require(scopes="read")
            def get(self):
                return "in"

        for_admins(More.get)
        assert status_of(More) == 403

    def test_so_is_a_member_that_was_exchanged_later(self):
        class Lost(Resource):
            @for_admins
            def get(self):
                return "in"

        Lost.get = lambda self: "in"
        assert status_of(Lost) == "error"

    def test_so_is_a_base_that_has_lost_it(self):
        class Base(Resource):
            @by_registry
            @for_admins
            def get(self):
                return "in"

        class Sub(Base):
            def get(self):
                return "in"

        assert status_of(Sub) == "error"

    def test_so_is_what_was_made_of_a_function_from_elsewhere(self):
        def shared(self):
            return "in"

        class Lost(Resource):
            get = by_registry(for_admins(shared))

        assert status_of(Lost) == "error"

    def test_so_is_a_method_that_was_deleted_and_is_called_by_what_cannot_be_looked_into(self):
        class Lost(Resource):
            @for_admins
            def _get(self):
                return "in"

            REGISTRY["kept"] = _get
            get = functools.partial(print)
            del _get

        assert status_of(Lost) == "error"

    @pytest.mark.parametrize("borrow", [lambda each: each, with_wraps, no_wraps, public(reason="for all"), optional])
    def test_so_is_a_method_that_was_borrowed_from_a_class_where_it_lost_its_rule(self, borrow):
        class Lender:
            @by_registry_and_globals
            @for_admins
            def get(self):
                return "in"

        class Borrower(Resource):
            get = borrow(Lender.get)

        assert status_of(Borrower) == "error"

    def test_so_is_what_a_lender_has_made_of_a_function_from_elsewhere(self):
        def shared(self):
            return "in"

        class Lender:
            get = by_registry_and_globals(for_admins(shared))

            def put(self):
                return "in"

        class Borrower(Resource):
            get = Lender.get

        class Other(Resource):
            put = Lender.put

        assert status_of(Borrower) == "error"
        assert status_of(Other, "PUT") == 200

    def test_what_opens_and_is_hidden_is_an_error(self):
        class Lost(Resource):
            @no_wraps
            @public(reason="for all")
            def get(self):
                return "in"

        assert status_of(Lost) == "error"

    def test_a_class_that_is_made_by_exec_is_looked_at_like_any_other(self):
        namespace = {"Resource": Resource, "for_admins": for_admins, "no_wraps": no_wraps, "lose": by_registry}
        body = "class {0}(Resource):\n    @{1}\n    @for_admins\n    def get(self): return 'in'\n"
        exec(body.format("Hidden", "no_wraps") + body.format("Lost", "lose"), namespace)
        assert namespace["Hidden"].__module__ == "builtins"
        assert status_of(namespace["Hidden"]) == 403
        assert status_of(namespace["Lost"]) == "error"

    def test_each_class_of_a_factory_is_looked_at_for_itself(self):
        def make(decorator):
            class Made(Resource):
                @decorator
                @for_admins
                def get(self):
                    return "in"

            return Made

        assert [status_of(make(each)) for each in (no_wraps, by_registry, with_wraps)] == [403, "error", 403]


class TestFalseAlarms:
    def test_functions_defined_outside_of_classes(self):
        @for_admins
        def shared(self):
            return "in"

        class One(Resource):
            get = shared

        class Two(Resource):
            get = put = shared

        assert status_of(One) == status_of(Two, "PUT") == 403
        assert status_of(type("Three", (Resource,), {"get": shared})) == 403

    def test_borrowed_methods(self):
        class Lender(Resource):
            @for_admins
            def get(self):
                return "in"

        class Borrower(Resource):
            get = Lender.get
            put = with_wraps(Lender.get)

        assert status_of(Borrower) == status_of(Borrower, "PUT") == 403

    def test_borrowed_static_methods(self):
        class Lender(Resource):
            @for_admins
            @staticmethod
            def get():
                return "in"

            @public(reason="for all")
            @staticmethod
            def put():
                return "in"

        class Borrower(Resource):
            get = staticmethod(Lender.get)
            put = staticmethod(Lender.put)

        assert status_of(Lender) == status_of(Borrower) == 403
        assert status_of(Lender, "PUT", user=None) == status_of(Borrower, "PUT", user=None) == 200

    def test_an_object_that_is_opened_where_it_is_borrowed_stays_closed_where_it_is_from(self):
        class Lender(Resource):
            get = Calling(lambda *args: "in")

        class Borrower(Resource):
            get = public(reason="for all")(Lender.get)

        assert status_of(Borrower, user=None) == 200
        assert status_of(Lender, user=None) == 401

    def test_an_object_that_is_opened_twice_is_open_in_both_classes(self):
        class Lender(Resource):
            get = optional(Calling(lambda *args: "in"))

        class Borrower(Resource):
            get = optional(Lender.get)

        assert status_of(Borrower, user=None) == status_of(Lender, user=None) == 200

    def test_what_is_opened_for_one_class_and_borrowed_is_open_there_only(self):
        class Lender(Resource):
            def get(self):
                return "in"

        class Borrower(Resource):
            get = public(reason="for all")(Lender.get)

        assert status_of(Borrower, user=None) == 200
        assert status_of(Lender, user=None) == 401

    def test_aliases(self):
        class Aliased(Resource):
            @for_admins
            def get(self):
                return "in"

            put = post = get

        assert [status_of(Aliased, verb) for verb in ("GET", "PUT", "POST")] == [403] * 3

    def test_aliases_of_what_is_public(self):
        class Aliased(Resource):
            @with_wraps
            @public(reason="for all")
            def get(self):
                return "in"

            put = get

        assert status_of(Aliased, "PUT", user=None) == 200

    def test_methods_deleted_on_purpose(self):
        class Deleted(Resource):
            @for_admins
            def get(self):
                return "in"

            del get

            def put(self):
                return "in"

        assert status_of(Deleted, "PUT") == 200

    def test_a_method_that_becomes_another_one(self):
        class Renamed(Resource):
            @for_admins
            def _get(self):
                return "in"

            get = no_wraps(_get)
            del _get

        assert status_of(Renamed) == 403

    def test_a_helper_that_a_method_calls(self):
        class Helped(Resource):
            @for_admins
            def _get(self):
                return "in"

            get = no_wraps(_get)

        assert status_of(Helped) == 403

    def test_methods_replaced_by_a_subclass(self):
        class Base(Resource):
            @for_admins
            def get(self):
                return "in"

        class Sub(Base):
            get = None

            def put(self):
                return "in"

        assert status_of(Sub, "PUT") == 200

    def test_copies_of_a_class(self):
        class Original(Resource):
            @for_admins
            def get(self):
                return "in"

            @for_admins
            def delete(self):
                return "in"

        members = {name: each for name, each in vars(Original).items() if name not in ("__dict__", "__weakref__")}
        assert status_of(type("Copy", (Resource,), members)) == 403
        del members["delete"]
        assert status_of(type("Part", (Resource,), members)) == 403

    def test_dataclasses_with_slots(self):
        @dataclass(slots=True)
        class Data(Resource):
            number: int = 7

            @for_admins
            def get(self):
                return "in"

        assert status_of(Data) == 403

    def test_a_method_that_is_defined_by_conditions(self):
        class Conditional(Resource):
            if sys.maxsize:

                @for_admins
                def get(self):
                    return "in"

            else:

                def get(self):
                    return "in"

        assert status_of(Conditional) == 403

    def test_a_class_inside_of_a_class(self):
        class Outer(Resource):
            @for_admins
            class Inner(Resource):
                @for_admins
                def get(self):
                    return "in"

            def get(self):
                return "in"

        assert status_of(Outer) == 200
        assert status_of(Outer.Inner) == 403

    def test_a_factory_that_is_called_in_a_class_body(self):
        def make():
            @for_admins
            def unrelated(self):
                return "in"

            return len([unrelated])

        class Calls(Resource):
            number = make()

            def get(self):
                return "in"

        assert status_of(Calls) == 200

    def test_rules_by_a_helper_of_the_application(self):
        def admins_only(function):
            return for_admins(with_wraps(function))

        class Helped(Resource):
            @admins_only
            def get(self):
                return "in"

        assert status_of(Helped) == 403

    def test_a_method_of_a_base_that_is_called_by_super(self):
        class Base(Resource):
            @for_admins
            def get(self):
                return "in"

        class Sub(Base):
            @require(scopes="read")
            def get(self):
                return super().get()

        assert status_of(Sub) == 403

    def test_two_rules_with_a_decorator_in_between(self):
        class Between(Resource):
            @for_admins
            @with_wraps
            @optional
            @with_wraps
            @require(scopes="read")
            def get(self):
                return "in"

        assert status_of(Between, user=None) == 401
        assert status_of(Between) == 403

    def test_the_last_one_of_several_overloads(self):
        class Overloaded(Resource):
            @typing.overload
            @for_admins
            def get(self, name: str): ...

            @typing.overload
            @for_admins
            def get(self, name: int): ...

            @for_admins
            def get(self, name=None):
                return "in"

        assert status_of(Overloaded) == 403

    def test_a_property_with_a_setter(self):
        class Settable(Resource):
            @property
            @for_admins
            def get(self):
                return lambda: "in"

            @get.setter
            def get(self, value): ...

        assert status_of(Settable) == 403

    def test_class_decorators_that_put_something_around_each_method(self):
        def around_all(cls):
            for name in ("get", "put"):
                setattr(cls, name, no_wraps(vars(cls)[name]))
            return cls

        @around_all
        class Around(Resource):
            @for_admins
            def get(self):
                return "in"

            def put(self):
                return "in"

        assert (status_of(Around), status_of(Around, "PUT")) == (403, 200)

    def test_a_namespace_that_is_no_dict(self):
        class Namespace(dict):
            def __setitem__(self, key, value):
                super().__setitem__(key, value)

        class Meta(type(Resource)):
            @classmethod
            def __prepare__(cls, name, bases):
                return Namespace()

        class Prepared(Resource, metaclass=Meta):
            @by_registry
            @for_admins
            def get(self):
                return "in"

        assert status_of(Prepared) == "error"

    def test_a_module_that_is_loaded_again(self, tmp_path, monkeypatch):
        (tmp_path / "reloaded_resources.py").write_text(
            "from flask_restful import Resource\n"
            "from flask_securest import require\n"
            "class Again(Resource):\n"
            "    @require(roles='admin')\n"
            "    def get(self): return 'in'\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        module = importlib.import_module("reloaded_resources")
        first = module.Again
        again = importlib.reload(module).Again
        assert first is not again
        assert status_of(first) == status_of(again) == 403

    def test_a_public_function_from_elsewhere_under_a_decorator_with_wraps(self):
        @public(reason="for all")
        def shared(self):
            return "in"

        class Wrapped(Resource):
            get = with_wraps(shared)

        assert status_of(Wrapped, user=None) == 200


class TestWraps:
    """``functools.wraps`` copies what opens along with the rest (G16)."""

    def test_it_does_not_open_another_method(self):
        class Copied(Resource):
            @public(reason="for all")
            def get(self):
                return "in"

            @functools.wraps(get)
            def delete(self):
                return "deleted"

        assert status_of(Copied, user=None) == 200
        assert status_of(Copied, "DELETE", user=None) == 401

    def test_nor_that_of_a_subclass(self):
        class Base(Resource):
            @public(reason="for all")
            def get(self):
                return "in"

        class Sub(Base):
            @functools.wraps(Base.get)
            def get(self):
                return "secret"

        assert status_of(Sub, user=None) == 401

    def test_what_closes_is_copied_as_it_stands(self):
        class Copied(Resource):
            @for_admins
            def get(self):
                return "in"

            @functools.wraps(get)
            def delete(self):
                return "deleted"

        assert status_of(Copied, "DELETE") == 403


class TestHead:
    """G11."""

    class Admins(Resource):
        @for_admins
        def get(self):
            return ""

    class Heads(Resource):
        def head(self):
            return ""

    def test_a_diamond_asks_for_what_any_base_asks(self):
        class Diamond(self.Admins, self.Heads): ...

        class Other(self.Heads, self.Admins): ...

        assert [status_of(each, "HEAD") for each in (self.Admins, Diamond, Other)] == [403, 403, 403]

    def test_a_head_that_may_come_to_none_asks_for_what_get_asks(self):
        class Property(Resource):
            head = property(lambda self: None)

            @for_admins
            def get(self):
                return ""

        assert status_of(Property, "HEAD") == 403

    def test_so_does_a_subclass_with_a_head_of_its_own(self):
        class Base(Resource):
            head = property(lambda self: None)

            @for_admins
            def get(self):
                return ""

        class Sub(Base):
            def head(self):
                return ""

        assert status_of(Sub, "HEAD") == 403

    def test_what_opens_such_a_head_does_not_open_get(self):
        class Property(Resource):
            @property
            @public(reason="for all")
            def head(self):
                return None

            def get(self):
                return ""

        assert status_of(Property, "HEAD", user=None) == 401

    def test_a_head_that_a_subclass_takes_away_goes_on_asking(self):
        class Base(Resource):
            @for_admins
            def head(self):
                return ""

            def get(self):
                return ""

        class Sub(Base):
            head = None

        assert status_of(Sub, "HEAD") == 403
        assert status_of(Sub) == 200

    def test_a_head_of_its_own_says_so_itself(self):
        class Own(Resource):
            @for_admins
            def get(self):
                return ""

            def head(self):
                return ""

        assert status_of(Own, "HEAD") == 200


class TestOwnVerbs:
    """G12."""

    class Cache(Resource):
        def get(self):
            return ""

        @for_admins
        def purge(self):
            return ""

    def test_a_verb_of_the_url_may_have_a_rule(self):
        assert status_of(self.Cache, "PURGE", methods=["GET", "PURGE"]) == 403
        assert status_of(self.Cache, methods=["GET", "PURGE"]) == 200

    def test_a_verb_that_is_nobodys_is_an_error(self):
        assert status_of(self.Cache) == "error"


class TestLateRules:
    """G14."""

    def answered(self):
        class Late(Resource):
            @require(scopes="read")
            def get(self):
                return ""

        assert status_of(Late) == 200
        return Late

    @pytest.mark.parametrize("rule", [for_admins, public(reason="x"), optional, authenticators("token")])
    def test_a_rule_on_a_class_that_has_answered_is_an_error(self, rule):
        with pytest.raises(ConfigurationError, match="have been answered already"):
            rule(self.answered())

    @pytest.mark.parametrize("rule", [for_admins, authenticators("token")])
    def test_so_is_one_on_its_method(self, rule):
        with pytest.raises(ConfigurationError, match="have been answered already"):
            rule(self.answered().get)

    def test_one_that_says_what_holds_already_is_none(self):
        late = self.answered()
        assert require(scopes="read")(late.get) is late.get

    def test_a_copy_may_be_opened_elsewhere(self):
        class Borrower(Resource):
            get = public(reason="for all")(TestHead.Heads.head)

        assert status_of(TestHead.Heads, "HEAD") == 200
        assert status_of(Borrower, user=None) == 200
