"""The method that runs is the one that is judged: in a dispatch_request that changes it, and in one that picks it (G4)."""

import flask
import pytest
from flask import Flask, request
from flask_restful import Api, Resource
from helpers import ALICE, BOB, Scripted, api_key, new_who, secured, with_key

from flask_securest import SecuREST, User, current_user, public, require
from flask_securest.errors import AuthenticationError, BackendError, ConfigurationError


def changing(base, name="Article"):
    """Return a subclass with a dispatch_request that changes the method before it goes on."""

    class Changing(base):
        def dispatch_request(self, *args, **kwargs):
            request.method = request.args.get("_method", request.method)
            return super().dispatch_request(*args, **kwargs)

    Changing.__name__ = name
    return Changing


def articles(ran, **members):
    def delete(self):
        ran.append(current_user.username)
        return "deleted"

    return new_who(
        "Article",
        get=public(reason="anybody may read")(lambda self: "read"),
        delete=require(roles="admin")(delete),
        **members,
    )


class TestADispatchRequestThatGoesOn:
    def assert_closed(self, client, ran):
        assert client.get("/article").json == "read"
        assert client.get("/article?_method=DELETE").status_code == 401
        assert client.get("/article?_method=DELETE", headers=BOB).status_code == 403
        assert ran == []
        assert client.get("/article?_method=DELETE", headers=ALICE).json == "deleted"
        assert ran == ["alice"]

    def test_an_anonymous_get_does_not_become_the_administrators_delete(self):
        ran = []
        self.assert_closed(secured(changing(articles(ran)))[0].test_client(), ran)

    def test_in_a_mixin_in_front_of_the_resource(self):
        ran = []

        class Override:
            def dispatch_request(self, *args, **kwargs):
                request.method = request.args.get("_method", request.method)
                return super().dispatch_request(*args, **kwargs)

        Article = type("Article", (Override, articles(ran)), {})
        self.assert_closed(secured(Article)[0].test_client(), ran)

    def test_where_the_base_is_in_the_api_too(self):
        ran = []
        Base = articles(ran)
        app, api, _ = secured(Base)
        api.add_resource(changing(Base, "Sub"), "/sub", endpoint="sub")
        assert app.test_client().get("/sub?_method=DELETE").status_code == 401
        assert app.test_client().get("/article?_method=DELETE").json == "read"
        assert ran == []

    @pytest.mark.parametrize("kind", ["list", "dict", "property", "of the object", "tuple of a base"])
    def test_with_method_decorators_of_ones_own_which_see_no_refused_request(self, kind):
        ran, seen = [], []

        def see(method):
            def call(*args, **kwargs):
                seen.append(request.method)
                return method(*args, **kwargs)

            return call

        Article = changing(articles(ran))
        if kind == "list":
            Article.method_decorators = [see]
        elif kind == "dict":
            Article.method_decorators = {"get": [see], "delete": [see]}
        elif kind == "property":
            Article.method_decorators = property(lambda self: [see])
        elif kind == "of the object":
            Article.__init__ = lambda self: setattr(self, "method_decorators", [see])
        else:
            Article.__mro__[1].method_decorators = (see,)
        self.assert_closed(secured(Article)[0].test_client(), ran)
        assert seen == ["GET", "DELETE"]

    def test_it_may_be_async(self):
        async def delete(self):
            return "deleted"

        Article = changing(
            new_who("Article", get=public(reason="x")(lambda self: "read"), delete=require(roles="admin")(delete))
        )
        client = secured(Article)[0].test_client()
        assert client.get("/article?_method=DELETE", headers=BOB).status_code == 403
        assert client.get("/article?_method=DELETE", headers=ALICE).json == "deleted"

    def test_nothing_is_asked_twice_where_nothing_changes(self):
        provider = Scripted(User("alice"))
        Who = changing(new_who(), "Who")
        app, _, _ = secured(Who, providers=[provider])
        assert app.test_client().get("/who").json["user"] == "alice"
        assert provider.asked == 1

    def test_head_is_still_answered_by_get(self):
        app, _, _ = secured(changing(articles([])))
        assert app.test_client().head("/article").status_code == 200

    def test_in_report_mode_the_method_runs(self):
        ran = []
        app, _, _ = secured(changing(new_who("Article", get=lambda self: "", delete=lambda self: "d")), mode="report")
        assert app.test_client().get("/article?_method=DELETE").json == "d"
        assert ran == []

    def test_what_the_class_has_for_others_to_read_is_the_applications(self):
        Article = changing(articles([]))
        Article.method_decorators = decorators = [lambda method: method]
        secured(Article)
        assert Article.method_decorators is decorators
        article = Article()
        article.method_decorators = []
        del article.method_decorators
        assert decorators[0] in article.method_decorators


class TestADispatchRequestThatPicks:
    """``securest.judge(verb)`` is for them."""

    def make(self, providers=None, **options):
        ran = []

        class Article(Resource):
            @public(reason="anybody may read")
            def get(self):
                return "read"

            @require(roles="admin")
            def delete(self):
                ran.append(current_user.username)
                if "raise" in request.args:
                    raise {"401": AuthenticationError, "503": BackendError}[request.args["raise"]]("x")
                return "deleted"

            def dispatch_request(self):
                verb = request.args.get("action", "get")
                if verb != "get":
                    assert securest.judge(verb) is None
                return flask.jsonify(getattr(self, verb)())

        app, _, securest = secured(Article, providers=providers, **options)
        return app, securest, ran

    def test_it_raises_the_refusal_and_returns_nothing(self):
        app, _, ran = self.make()
        client = app.test_client()
        assert client.get("/article").json == "read"
        refused = client.get("/article?action=delete")
        assert refused.status_code == 401
        assert refused.json == {"message": "Unauthorized User"}
        assert refused.headers["WWW-Authenticate"]
        refused = client.get("/article?action=delete", headers=BOB)
        assert (refused.status_code, refused.json) == (403, {"message": "Forbidden"})
        assert ran == []
        assert client.get("/article?action=delete", headers=ALICE).json == "deleted"
        assert ran == ["alice"]

    def test_a_refusal_passes_error_handlers_of_the_application(self):
        app, _, ran = self.make()
        app.register_error_handler(401, lambda error: ("welcome", 200))
        app.register_error_handler(Exception, lambda error: ("oops", 500))
        assert app.test_client().get("/article?action=delete").status_code == 401
        assert ran == []

    @pytest.mark.parametrize(("status", "seen"), [("401", None), ("503", None)])
    def test_what_the_method_raises_then_is_answered_and_ends_who_is_known(self, status, seen):
        app, _, _ = self.make()
        after = []

        @app.after_request
        def look(response):
            after.append(current_user.username if current_user else None)
            return response

        answer = app.test_client().get(f"/article?action=delete&raise={status}", headers=ALICE)
        assert answer.status_code == int(status)
        assert after == [seen]

    def test_in_report_mode_it_returns(self):
        app, _, ran = self.make(providers=[Scripted(User("alice"))], mode="report")
        assert app.test_client().get("/article?action=delete").json == "deleted"
        assert ran == ["alice"]

    @pytest.mark.parametrize("verb", ["", None, 7, b"GET"])
    def test_what_is_no_verb_is_an_error(self, verb):
        _, securest, _ = self.make()
        with pytest.raises(ConfigurationError, match="judge takes a verb"):
            securest.judge(verb)

    def test_where_nothing_of_its_own_runs_it_is_an_error(self):
        app, securest, _ = self.make()
        other = SecuREST(authentication_providers=[api_key()])
        failed = []

        @app.route("/plain")
        def plain():
            for each in (securest, other):
                with pytest.raises(ConfigurationError, match="no view runs that this SecuREST guards"):
                    each.judge("DELETE")
                failed.append(each)
            return ""

        assert app.test_client().get("/plain").status_code == 200
        assert failed == [securest, other]
        with pytest.raises(RuntimeError):
            securest.judge("DELETE")

    def test_in_a_view_that_is_called_by_another_it_holds_until_that_call_ends(self):
        app = Flask("tests")
        api = Api(app)
        securest = SecuREST(api, authentication_providers=[api_key()])
        names = []

        def name():
            return current_user.username if current_user else None

        class Inner(Resource):
            @public(reason="x")
            def get(self):
                names.append(name())
                securest.judge("DELETE")
                names.append(name())
                return "inner"

            def delete(self):
                raise NotImplementedError

        class Outer(Resource):
            @public(reason="x")
            def get(self):
                app.view_functions["inner"]()
                names.append(name())
                return "outer"

        api.add_resource(Inner, "/inner")
        api.add_resource(Outer, "/outer")
        assert app.test_client().get("/outer").status_code == 401
        assert app.test_client().get("/outer", headers=with_key()).json == "outer"
        assert names == [None, None, "ci", None]
