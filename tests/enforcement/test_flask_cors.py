"""Flask-CORS in all its forms: browsers get the same answers to a preflight as before, and can read refusals."""

import pytest
from applications import in_either_order, make_application
from flask import request
from flask_caching import Cache
from flask_cors import CORS, cross_origin
from helpers import ALICE, BOB, KEY, Scripted, basic, new_who

from flask_securest import User, authenticators, require
from flask_securest.errors import BackendError

ORIGIN = "https://app.example"
OPTIONS = {
    "origins": [ORIGIN],
    "supports_credentials": True,
    "allow_headers": ["Authorization", "X-API-Key"],
    "expose_headers": ["X-Total"],
    "max_age": 600,
}


def nothing(*parts):
    pass


def on_the_application(Who):
    return lambda app, blueprint: CORS(app, **OPTIONS), {}


def on_the_blueprint(Who):
    return lambda app, blueprint: CORS(blueprint, **OPTIONS), {}


def on_the_api(Who):
    return nothing, {"decorators": [cross_origin(**OPTIONS)]}


def on_the_resource(Who):
    # Flask answers the preflight itself, for as_view() forgets what the decorator has said about that.
    Who.decorators = [cross_origin(**OPTIONS)]
    return nothing, {}


def on_the_resource_in_front_of_flask(Who):
    Who.methods, Who.provide_automatic_options = {"GET", "HEAD", "POST", "OPTIONS"}, False
    return on_the_resource(Who)


def on_the_methods(Who):
    # A bound method has no attributes, and with automatic_options Flask-CORS would set some.
    Who.method_decorators = [cross_origin(automatic_options=False, **OPTIONS)]
    return nothing, {}


def on_one_method_by_name(Who):
    Who.method_decorators = {"get": [cross_origin(automatic_options=False, **OPTIONS)]}
    return nothing, {}


def on_a_method(Who):
    Who.get = cross_origin(**OPTIONS)(Who.get)
    return nothing, {}


FOR_ALL_ANSWERS = [on_the_application, on_the_blueprint]
IN_FRONT_OF_FLASK = [on_the_api, on_the_resource_in_front_of_flask]
ON_VIEWS = [*IN_FRONT_OF_FLASK, on_the_resource, on_the_methods, on_one_method_by_name, on_a_method]
forms = pytest.mark.parametrize("form", [*FOR_ALL_ANSWERS, *ON_VIEWS])


def make(form, Who=None, **options):
    Who = new_who() if Who is None else Who
    extend, api_options = form(Who)
    return make_application(extend, Who, blueprint=True, api_options=api_options, **options), Who


def everything(answer):
    """Return all of an answer; in which order methods are allowed says nothing."""
    headers = [(name, set(value.split(", ")) if name == "Allow" else value) for name, value in answer.headers]
    return answer.status, headers, answer.data


def preflight(method="GET", origin=ORIGIN, **more):
    return {"Origin": origin, "Access-Control-Request-Method": method} | more


PREFLIGHTS = {
    "GET": preflight(),
    "POST": preflight("POST", **{"Access-Control-Request-Headers": "authorization, x-api-key"}),
    "a method that there is not": preflight("DELETE"),
    "another origin": preflight(origin="https://elsewhere.example"),
    "with credentials, which no browser sends": preflight() | ALICE,
    "with wrong ones": preflight() | basic("alice", "wrong"),
}


@forms
@in_either_order
@pytest.mark.parametrize("headers", PREFLIGHTS.values(), ids=PREFLIGHTS)
def test_a_preflight_is_answered_as_before_and_nobody_is_asked(headers, extension_first, form):
    provider = Scripted(User("alice"))
    options = {"extension_first": extension_first, "authentication_providers": [provider]}
    app, Who = make(form, **options)
    before, Same = make(form, guarded=False, **options)
    got, expected = (each.test_client().options("/who", headers=headers) for each in (app, before))
    assert everything(got) == everything(expected)
    assert got.status_code == 200
    assert provider.asked == 0
    assert (Who.constructed, Who.ran) == (Same.constructed, Same.ran) == (0, 0)


@forms
@in_either_order
def test_who_is_let_in_gets_the_headers_that_he_got_before(extension_first, form):
    app, _ = make(form, extension_first=extension_first, authentication_providers=[Scripted(User("alice"))])
    before, _ = make(form, guarded=False, extension_first=extension_first)
    for origin in (ORIGIN, "https://elsewhere.example"):
        got, expected = (each.test_client().get("/who", headers={"Origin": origin}) for each in (app, before))
        assert got.status_code == expected.status_code == 200
        # What it says is longer by the name of the caller.
        assert [pair for pair in got.headers if pair[0] != "Content-Length"] == [
            pair for pair in expected.headers if pair[0] != "Content-Length"
        ]
        assert got.headers.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)


def of_cors(answer):
    return {name: value for name, value in answer.headers if name.startswith("Access-Control-") or name == "Vary"}


@pytest.mark.parametrize("form", FOR_ALL_ANSWERS)
@in_either_order
def test_a_script_can_read_why_it_was_refused_wherever_it_could_read_an_answer(extension_first, form):
    def answer_to(resource, providers=None, headers=()):
        options = {} if providers is None else {"authentication_providers": providers}
        app, _ = make(form, resource, extension_first=extension_first, **options)
        return app.test_client().get("/who", headers={"Origin": ORIGIN, **dict(headers)})

    let_in = answer_to(new_who(), headers=ALICE)
    assert of_cors(let_in)["Access-Control-Allow-Origin"] == ORIGIN
    assert of_cors(let_in)["Access-Control-Allow-Credentials"] == "true"
    answers = [
        answer_to(new_who()),
        answer_to(new_who(), headers=basic("alice", "wrong")),
        answer_to(require(roles="admin")(new_who()), headers=BOB),
        answer_to(new_who(), [Scripted(BackendError("down"))]),
        answer_to(authenticators("unknown")(new_who())),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 503, 500]
    for answer in answers:
        assert of_cors(answer) == of_cors(let_in)


@pytest.mark.parametrize("form", ON_VIEWS)
def test_a_decorator_of_views_does_not_reach_refusals_which_come_before_it(form):
    app, _ = make(form)
    answer = app.test_client().get("/who", headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert of_cors(answer) == {}


@pytest.mark.parametrize("form", IN_FRONT_OF_FLASK)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": ORIGIN}, {"Access-Control-Request-Method": "GET"}],
    ids=["none", "Origin alone", "Access-Control-Request-Method alone"],
)
def test_options_that_are_no_preflight_are_closed_where_flask_does_not_answer_them(form, headers):
    app, Who = make(form)
    assert app.test_client().options("/who", headers=headers).status_code == 401
    assert app.test_client().options("/who", headers=headers | ALICE).status_code == 200
    assert Who.constructed == 0


@pytest.mark.parametrize("form", IN_FRONT_OF_FLASK)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_headers_of_a_preflight_open_nothing_else(form, method):
    app, Who = make(form)
    assert app.test_client().open("/who", method=method, headers=preflight()).status_code == 401
    assert Who.constructed == 0


@pytest.mark.parametrize("form", [on_the_application, *IN_FRONT_OF_FLASK])
def test_a_resource_that_answers_options_or_dispatches_itself_is_asked_for_credentials_in_a_preflight_too(form):
    ran = []

    def run(self, *args, **kwargs):
        ran.append(1)
        return {"planted": KEY}

    for members in ({"options": run}, {"dispatch_request": run, "methods": ["GET", "OPTIONS"]}):
        # Flask-CORS would answer in its place, and it is not to run behind that either.
        app, _ = make(form, new_who(**members))
        answer = app.test_client().options("/who", headers=preflight())
        assert answer.status_code == 401
        assert KEY not in answer.text
    assert ran == []


def test_a_resource_whose_base_answers_options_is_asked_for_credentials_too():
    base = new_who("Base", options=lambda self: {"planted": KEY})
    app, _ = make(on_the_application, new_who("Who", base=base))
    assert app.test_client().options("/who", headers=preflight()).status_code == 401
    assert app.test_client().options("/who", headers=preflight() | ALICE).json == {"planted": KEY}


@pytest.mark.parametrize("cache_outside", [True, False], ids=["a cache around Flask-CORS", "Flask-CORS around a cache"])
def test_the_headers_of_a_preflight_get_nothing_out_of_a_cache(cache_outside):
    """A cache around the view looks at the path alone, and would answer OPTIONS with what it has of GET (CWE-524)."""
    cache = Cache(config={"CACHE_TYPE": "SimpleCache"})
    decorators = [cross_origin(**OPTIONS), cache.cached()]
    Who = new_who()
    app = make_application(
        lambda app, _: cache.init_app(app),
        Who,
        api_options={"decorators": decorators if cache_outside else decorators[::-1]},
    )
    client = app.test_client()
    assert [client.get("/who", headers=ALICE).json["user"] for _ in range(2)] == ["alice"] * 2
    assert Who.ran == 1, "or it would not have been in the cache"
    for headers in ({}, preflight(), preflight() | basic("alice", "wrong")):
        assert "alice" not in client.options("/who", headers=headers).text


@pytest.mark.parametrize("form", [lambda Who: (nothing, {}), *IN_FRONT_OF_FLASK], ids=["none", "api", "resource"])
@in_either_order
def test_a_hook_that_answers_preflights_itself_goes_on_doing_so(extension_first, form):
    """As applications without Flask-CORS do it."""

    def answer():
        if request.method == "OPTIONS":
            return "", 204, {"Access-Control-Allow-Origin": ORIGIN, "Access-Control-Allow-Headers": "authorization"}
        return None

    def extend(app, blueprint):
        app.before_request(answer)

    def with_hook(Who):
        return extend, form(Who)[1]

    app, Who = make(with_hook, extension_first=extension_first)
    before, _ = make(with_hook, guarded=False, extension_first=extension_first)
    got, expected = (each.test_client().options("/who", headers=preflight()) for each in (app, before))
    assert everything(got) == everything(expected)
    assert got.status_code == 204
    assert app.test_client().get("/who", headers=preflight()).status_code == 401
    assert Who.constructed == 0
