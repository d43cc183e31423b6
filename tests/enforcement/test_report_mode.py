"""With and without SecuREST in report mode: the same answers, to the byte and the header."""

import pytest
import test_attachment
from flask import Flask, Response, abort
from flask.views import MethodView
from flask_restful import Api, Resource
from helpers import ALICE, Scripted, api_key, with_key
from test_attachment import WAYS

from flask_securest import SecuREST, User, authenticators, require
from flask_securest.errors import AccountStatusError, BackendError

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE")
PREFLIGHT = {"Origin": "https://spa.example", "Access-Control-Request-Method": "GET"}
HEADERS = ({}, with_key(), with_key("wrong"), ALICE, PREFLIGHT, {"Accept": "text/html"}, {"Authorization": "Basic ###"})


class Nobody:
    """Guard nothing, and take what SecuREST takes."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def ask_everything(app, *paths):
    """Return all that a client gets, in the order in which it asks."""
    client = app.test_client()
    answers = []
    for path in paths:
        for method in METHODS:
            for headers in HEADERS:
                answer = client.open(path, method=method, headers=headers)
                allowed = sorted(answer.headers.pop("Allow", "").split(", "))  # a set: its order is another each time
                answers.append((path, method, answer.status, list(answer.headers), allowed, answer.data))
    return answers


class Plain(Resource):
    """Answer without asking who it is."""

    constructed = ran = 0

    def __init__(self):
        pass

    def get(self):
        return {"a": 1}, 200, {"X-Mine": "1"}

    def post(self):
        return None, 204


#: These look at refusals on their way.
REFUSING = {
    test_attachment.two_applications_by_init_app,
    test_attachment.blueprint_with_resources_around_attaching,
    test_attachment.blueprint_in_two_applications,
}


@pytest.mark.parametrize("way", [way for way in WAYS if way not in REFUSING], ids=lambda way: way.__name__)
def test_in_whatever_way_an_api_is_set_up(way, monkeypatch):
    """The ways in which tests/enforcement/test_attachment.py closes an Api."""
    told = []
    for guarded in (False, True):

        def guard(api=None, guarded=guarded, **options):
            return (
                SecuREST(api, authentication_providers=[api_key()], mode="report", **options) if guarded else Nobody()
            )

        def secured(*resources, **options):
            app = Flask("tests")
            api = Api(app)
            return app, api, guard(api)

        monkeypatch.setattr(test_attachment, "guard", guard)
        monkeypatch.setattr(test_attachment, "secured", secured)
        monkeypatch.setattr(test_attachment, "new_who", lambda *args, **kwargs: type("Who2", (Plain,), {}))
        app, path = way(type("Who", (Plain,), {}))
        told.append(ask_everything(app, path, path + "/nothing", "/"))
    assert told[0] == told[1]


def body_of_wsgi(environ, start_response):
    return Response("wsgi")(environ, start_response)


HOOKS = [
    "text",
    ("text", 201, {"X-Mine": "1"}),
    {"json": 1},
    Response("response", 203),
    ("", 304),
    ("", 302, {"Location": "/x"}),
    ("slow down", 429),
    body_of_wsgi,
    object(),
    (x for x in ("a", "b")),
]


@pytest.mark.parametrize("answer", HOOKS, ids=lambda answer: str(answer)[:20].split(" at ")[0])
def test_whatever_a_hook_answers(answer):
    told = []
    for guarded in (False, True):
        app = Flask("tests")
        app.config["PROPAGATE_EXCEPTIONS"] = False
        api = Api(app)
        api.add_resource(Plain, "/plain")
        guarded and SecuREST(api, authentication_providers=[api_key()], mode="report")
        is_generator = hasattr(answer, "send")
        app.before_request(lambda: iter(["a", "b"]) if is_generator else answer)  # noqa: B023
        app.register_error_handler(TypeError, lambda error: ("handled", 418))
        told.append(ask_everything(app, "/plain"))
    assert told[0] == told[1]


@pytest.mark.parametrize("raised", [404, 429, Response("welcome"), Response("no", 403)], ids=str)
def test_whatever_a_hook_aborts_with(raised):
    told = []
    for guarded in (False, True):
        app = Flask("tests")
        api = Api(app)
        api.add_resource(Plain, "/plain")
        guarded and SecuREST(api, authentication_providers=[api_key()], mode="report")
        app.before_request(lambda: abort(raised))
        told.append(ask_everything(app, "/plain"))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "answer",
    [User("alice"), None, BackendError("down"), AccountStatusError("disabled"), ValueError("bug"), "no user"],
    ids=lambda answer: str(answer)[:12],
)
@pytest.mark.parametrize("form", ["api", "app"])
def test_whatever_providers_and_rules_say(answer, form):
    class Ruled(Plain):
        @require(roles="admin")
        def get(self):
            return super().get()

        @authenticators("not-registered")
        def post(self):
            return super().post()

        async def put(self):
            return {}

        def options(self):
            return {"mine": True}

    class Page(MethodView):
        def get(self):
            return "page"

    told = []
    for guarded in (False, True):
        app = Flask("tests")
        app.config["PROPAGATE_EXCEPTIONS"] = False
        api, other = Api(app), Api(app, prefix="/other")
        api.add_resource(Plain, "/plain")
        api.add_resource(type("Heir", (Ruled,), {"put": Plain.get}), "/ruled")
        other.add_resource(require(roles="admin")(type("Other", (Plain,), {})), "/plain")
        page = Page
        if guarded:
            provider = Scripted(answer)
            securest = SecuREST(api if form == "api" else app, authentication_providers=[provider], mode="report")
            page = securest.protect(type("Page", (Page,), {}))
        app.add_url_rule("/page", view_func=page.as_view("page"))
        app.after_request(lambda response: response.headers.set("X-Hook", "1") or response)
        told.append(ask_everything(app, "/plain", "/ruled", "/other/plain", "/page"))
    assert told[0] == told[1]
