"""What a refused client sees."""

import json
from xml.etree import ElementTree as ET

import pytest
from flask import Response, got_request_exception, make_response
from flask_restful import Api, abort
from helpers import (
    ALICE,
    BOB,
    SECRET_KEY,
    Scripted,
    basic,
    bearer,
    chain_of_three,
    new_who,
    secured,
    show,
    who,
    with_key,
)
from werkzeug.exceptions import HTTPException, TooManyRequests, Unauthorized
from werkzeug.routing import RequestRedirect

from flask_securest import Identity, User, authenticators, public, require
from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.errors import (
    AccountStatusError,
    AuthenticationError,
    AuthorizationError,
    BackendError,
    BadCredentialsError,
)

API_KEY = 'ApiKey realm="api", header="X-API-Key"'
BASIC = 'Basic realm="api", charset="UTF-8"'
BEARER = 'Bearer realm="api"'

FOR_ADMINS = require(roles="admin")


def answer_of(answer, *, headers=None, method="GET", resource=None, **options):
    """Return the response to a request that a provider gives this answer to."""
    Who = resource or new_who()
    app, _, _ = secured(Who, providers=[Scripted(answer, challenge='Scripted realm="api"')], **options)
    response = app.test_client().open(f"/{Who.__name__.lower()}", method=method, headers=headers)
    assert Who.ran == 0
    assert Who.constructed == 0
    return response


class TestStatuses:
    def test_401(self):
        response = secured(new_who())[0].test_client().get("/who")
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.content_type == "application/json"

    def test_403(self):
        response = secured(FOR_ADMINS(new_who()))[0].test_client().get("/who", headers=BOB)
        assert response.status_code == 403
        assert response.json == {"message": "Forbidden"}
        assert "WWW-Authenticate" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("retry_after", "header"), [(None, "5"), (30, "30"), (1.2, "2"), (0, "0"), (-3, "0"), (0.001, "1")]
    )
    def test_503(self, retry_after, header):
        response = answer_of(BackendError("the directory is down", retry_after=retry_after))
        assert response.status_code == 503
        assert response.json == {"message": "Service Unavailable"}
        assert response.headers["Retry-After"] == header
        assert response.headers["Cache-Control"] == "no-store"
        assert "WWW-Authenticate" not in response.headers

    @pytest.mark.parametrize("retry_after", ["soon", float("nan"), float("inf"), object()], ids=show)
    def test_503_whose_time_makes_no_sense_is_a_503_all_the_same(self, retry_after):
        response = answer_of(BackendError("down", retry_after=retry_after))
        assert response.status_code == 503
        assert response.json == {"message": "Service Unavailable"}
        assert response.headers["Retry-After"] == "5"

    def test_503_of_an_error_that_has_forgotten_its_base_is_a_503_all_the_same(self):
        class DirectoryDownError(BackendError):
            def __init__(self, host):
                self.host = host

        assert answer_of(DirectoryDownError("ldap1")).headers["Retry-After"] == "5"

    @pytest.mark.parametrize("propagate", [True, False, None])
    @pytest.mark.parametrize("testing", [True, False])
    @pytest.mark.parametrize("answer", [ValueError("bug"), True, {"username": "alice"}, "alice"], ids=show)
    def test_500(self, answer, testing, propagate, caplog):
        Who = new_who()
        app, _, _ = secured(Who, providers=[Scripted(answer)])
        app.config.update(TESTING=testing, PROPAGATE_EXCEPTIONS=propagate)
        response = app.test_client().get("/who")
        assert response.status_code == 500
        assert response.json == {"message": "Internal Server Error"}
        assert response.headers["Cache-Control"] == "no-store"
        assert Who.constructed == 0
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert record.exc_info
        assert "Traceback (most recent call last)" in caplog.text

    def test_the_body_of_head_is_empty_and_its_headers_are_those_of_get(self):
        client = secured(new_who())[0].test_client()
        get, head = client.get("/who"), client.head("/who")
        assert head.data == b""
        assert head.status_code == 401
        assert str(head.headers) == str(get.headers)

    @pytest.mark.parametrize(
        "answer",
        [
            BadCredentialsError("wrong"),
            AccountStatusError("locked"),
            User("alice", active=False),
            None,
            AuthenticationError("x"),
        ],
        ids=show,
    )
    def test_why_shows_nowhere(self, answer):
        response = answer_of(answer, headers={"X-Scripted": "x"})
        reference = answer_of(BadCredentialsError("another reason"), headers={"X-Scripted": "x"})
        assert (response.status, response.data, str(response.headers)) == (
            reference.status,
            reference.data,
            str(reference.headers),
        )

    def test_how_far_the_chain_went_shows_nowhere(self):
        """A chain that stops at a locked account must look like one that has gone to its end."""
        token = TokenAuthenticator(SECRET_KEY).generate_auth_token("nobody")
        providers = [Scripted(), *chain_of_three()]
        app, _, _ = secured(new_who(), providers=providers)
        seen = set()
        for answer in (AccountStatusError("locked"), BadCredentialsError("wrong"), None):
            providers[0].answer = answer
            response = app.test_client().get("/who", headers=bearer(token))
            seen.add((response.status, response.data, str(response.headers)))
        assert len(seen) == 1


class TestChallenges:
    def test_they_are_the_union_in_the_order_of_the_chain_and_equal_ones_once(self):
        def challenging(name, challenge):
            return Scripted(name=name, challenge=challenge)

        providers = [challenging("a", "B x"), challenging("b", None), challenging("c", "A y"), challenging("d", "B x")]
        response = secured(new_who(), providers=providers)[0].test_client().get("/who")
        assert response.headers.getlist("WWW-Authenticate") == ["B x", "A y"]

    @pytest.mark.parametrize("serve", [True, False])
    def test_they_are_the_same_whether_the_api_serves_a_challenge_of_its_own_or_not(self, serve):
        app, _, _ = secured(new_who(), api_options={"serve_challenge_on_401": serve})
        response = app.test_client().get("/who")
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]

    def test_a_realm_is_quoted(self):
        app, _, _ = secured(new_who(), realm='the "inner" circle\\')
        for challenge in app.test_client().get("/who").headers.getlist("WWW-Authenticate"):
            assert r'realm="the \"inner\" circle\\"' in challenge

    @pytest.mark.parametrize(
        ("authorization", "error"),
        [
            (None, ""),
            ("Bearer", ""),
            ("Bearer ", ""),
            ("Basic YWxpY2U6eA==", ""),
            ("Bearer x", ', error="invalid_token"'),
            ("bearer x", ', error="invalid_token"'),
            ("Bearer " + "x" * 100_000, ', error="invalid_token"'),
            ("Bearer " + TokenAuthenticator(SECRET_KEY).generate_auth_token("mallory"), ', error="invalid_token"'),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_invalid_token_is_said_only_if_a_bearer_token_was_sent(self, authorization, error):
        client = secured(new_who())[0].test_client()
        response = client.get("/who", environ_overrides={"HTTP_AUTHORIZATION": authorization} if authorization else {})
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER + error]

    def test_insufficient_scope_is_said_where_a_token_had_too_few(self):
        tokens = TokenAuthenticator(SECRET_KEY)
        Who = require(scopes="write", roles="admin")(new_who())
        client = secured(Who)[0].test_client()

        def challenges(token):
            response = client.get("/who", headers=bearer(token))
            assert response.status_code == 403
            return response.headers.getlist("WWW-Authenticate")

        assert challenges(tokens.generate_auth_token("alice", scopes=["read"])) == [
            f'{BEARER}, error="insufficient_scope"'
        ]
        assert challenges(tokens.generate_auth_token("bob", scopes=["write"])) == [], "a role is no scope"
        assert challenges(tokens.generate_auth_token("bob")) == []

    def test_insufficient_scope_is_not_said_to_whom_rfc_6750_does_not_speak(self):
        identity = Identity(User("alice"), scopes=["read"])
        Who = require(scopes="write")(new_who())
        response = answer_of(identity, resource=Who)
        assert response.status_code == 403
        assert "WWW-Authenticate" not in response.headers
        tokens = TokenAuthenticator(SECRET_KEY, header="X-Token")
        client = secured(require(scopes="write")(new_who()), providers=[tokens])[0].test_client()
        response = client.get("/who", headers={"X-Token": tokens.generate_auth_token("alice", scopes=[])})
        assert response.status_code == 403
        assert "WWW-Authenticate" not in response.headers

    @pytest.mark.parametrize("challenge", ["Evil x\r\nSet-Cookie: a=b", 7], ids=show)
    def test_a_challenge_that_is_none_splits_no_response_and_opens_nothing(self, challenge, caplog):
        response = secured(new_who(), providers=[Scripted(challenge=challenge)])[0].test_client().get("/who")
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}
        assert "Set-Cookie" not in response.headers

    def test_a_challenge_that_fails_opens_nothing_and_takes_nothing_from_the_others(self, caplog):
        class Broken(Scripted):
            def challenge(self, realm, error=None):
                raise ValueError("a bug")

        app, _, securest = secured(new_who(), providers=[*chain_of_three(), Broken()])
        securest.error_handler(lambda status, error: {"mine": status})
        response = app.test_client().get("/who")
        assert response.status_code == 401
        assert response.json == {"mine": 401}
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert "the challenge of 'Broken' failed; it was left out" in caplog.text


def xml(data, code, headers=None):
    response = make_response(f"<error>{data['message']}</error>", code)
    response.headers.extend(headers or {})
    return response


class TestRepresentations:
    def test_an_api_that_speaks_xml_refuses_in_xml(self):
        app, api, _ = secured(new_who(), api_options={"default_mediatype": "application/xml"})
        api.representations = {"application/xml": xml}
        response = app.test_client().get("/who")
        assert response.status_code == 401
        assert response.content_type == "application/xml"
        assert ET.fromstring(response.data).text == "Unauthorized User"
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]

    def test_the_client_is_refused_in_what_it_accepts(self):
        app, api, _ = secured(new_who())
        api.representation("application/xml")(xml)
        response = app.test_client().get("/who", headers={"Accept": "application/xml"})
        assert response.content_type == "application/xml"
        response = app.test_client().get("/who", headers={"Accept": "application/json"})
        assert response.content_type == "application/json"

    @pytest.mark.parametrize("accept", ["image/png", "*", ";;;", "\xff", "application/json;q=0", ""])
    def test_what_the_api_cannot_speak_is_no_way_out(self, accept):
        app, _, _ = secured(new_who(), api_options={"default_mediatype": None})
        response = app.test_client().get("/who", environ_overrides={"HTTP_ACCEPT": accept})
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}

    def test_an_api_without_representations_refuses_in_plain_text(self):
        app, api, _ = secured(new_who())
        api.representations.clear()
        api.default_mediatype = None
        response = app.test_client().get("/who")
        assert response.status_code == 401
        assert response.content_type == "text/plain"

    def test_a_representation_that_does_not_care_for_the_status_does_not_make_it_a_200(self):
        app, api, _ = secured(new_who())
        api.representations["application/json"] = lambda data, code, headers=None: make_response(json.dumps(data))
        response = app.test_client().get("/who")
        assert response.status_code == 401
        assert response.headers["Cache-Control"] == "no-store"

    def test_a_representation_that_fails_opens_nothing(self, caplog):
        def broken(data, code, headers=None):
            raise RuntimeError("broken")

        app, api, _ = secured(new_who())
        api.representations["application/json"] = broken
        response = app.test_client().get("/who")
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert "a plain one was sent" in caplog.text

    def test_a_representation_that_lets_everything_be_cached_does_not_let_a_refusal_be(self):
        def cached(data, code, headers=None):
            return make_response(json.dumps(data), code, {"Cache-Control": "public, max-age=3600"})

        app, api, _ = secured(new_who())
        api.representations["application/json"] = cached
        assert app.test_client().get("/who").headers["Cache-Control"] == "no-store"

    def test_an_api_of_ones_own_makes_the_response(self):
        class MyApi(Api):
            def make_response(self, data, *args, **kwargs):
                return super().make_response({"error": data["message"]}, *args, **kwargs)

        from flask import Flask

        from flask_securest import SecuREST

        app = Flask("tests")
        api = MyApi(app)
        api.add_resource(new_who(), "/who")
        SecuREST(api, authentication_providers=[Scripted()])
        assert app.test_client().get("/who").json == {"error": "Unauthorized User"}


class TestNothingElseHasAHandInIt:
    def test_errors_of_the_api_do_not_make_something_else_of_it(self):
        errors = {"Unauthorized": {"status": 200, "message": "welcome"}, "AuthenticationError": {"status": 200}}
        app, _, _ = secured(new_who(), api_options={"errors": errors})
        assert app.test_client().get("/who").status_code == 401

    def test_error_handlers_of_the_application_do_not_either(self):
        app, _, _ = secured(new_who())
        app.register_error_handler(401, lambda error: ("welcome", 200))
        app.register_error_handler(Exception, lambda error: ("welcome", 200))
        assert app.test_client().get("/who").status_code == 401

    def test_error_trackers_hear_of_bugs_and_of_nothing_else(self):
        heard = []

        def hear(sender, exception, **extra):
            heard.append(exception)

        bug = ValueError("bug")
        with got_request_exception.connected_to(hear):
            for answer in (
                None,
                BadCredentialsError("x"),
                BackendError("down"),
                TooManyRequests(),
                AccountStatusError("x"),
            ):
                answer_of(answer)
            assert heard == []
            answer_of(bug)
            assert heard == [bug]


class TestOwnWords:
    def test_a_werkzeug_exception_is_the_answer_through_the_representations(self):
        response = answer_of(TooManyRequests("slow down", retry_after=60))
        assert response.status_code == 429
        assert response.json == {"message": "slow down"}
        assert response.headers["Retry-After"] == "60"
        assert response.headers["Cache-Control"] == "no-store"

    def test_the_data_of_flask_restful_abort_is_the_answer(self):
        def refuse(request):
            abort(418, message="I prefer tea", code=7)

        response = answer_of(refuse)
        assert response.status_code == 418
        assert response.json == {"message": "I prefer tea", "code": 7}

    def test_a_response_that_was_raised_is_the_answer(self):
        response = answer_of(HTTPException(response=Response("blocked", 451, headers={"Cache-Control": "max-age=60"})))
        assert (response.status_code, response.data) == (451, b"blocked")
        assert response.headers["Cache-Control"] == "max-age=60"

    def test_its_challenges_are_its_own(self):
        from werkzeug.datastructures import WWWAuthenticate

        response = answer_of(Unauthorized(www_authenticate=WWWAuthenticate("mine", {"realm": "x"})))
        assert response.status_code == 401
        assert response.headers.getlist("WWW-Authenticate") == ["Mine realm=x"]

    @pytest.mark.parametrize(
        "error",
        [RequestRedirect("/in"), HTTPException(), HTTPException(response=Response("welcome", 200))],
        ids=["redirect", "no code", "a response of 200"],
    )
    def test_what_refuses_nothing_is_a_bug_and_never_the_answer(self, error):
        response = answer_of(error)
        assert response.status_code == 500
        assert response.json == {"message": "Internal Server Error"}

    def test_the_error_handler_has_no_hand_in_it(self):
        app, _, securest = secured(new_who(), providers=[Scripted(TooManyRequests("slow down"))])
        securest.error_handler(lambda status, error: ({"mine": status}, status))
        assert app.test_client().get("/who").json == {"message": "slow down"}


class TestErrorHandler:
    def refuse(self, handler, *, headers=None, **options):
        Who = FOR_ADMINS(new_who())
        app, _, securest = secured(Who, **options)
        assert securest.error_handler(handler) is handler
        response = app.test_client().get("/who", headers=headers)
        assert Who.constructed == 0
        return response

    def test_it_gets_the_status_and_the_error(self):
        heard = []

        def handler(status, error):
            heard.append((status, type(error)))
            return {"mine": status}, status

        assert self.refuse(handler).json == {"mine": 401}
        self.refuse(handler, headers=BOB)
        self.refuse(handler, headers=basic("mallory", "malice"))
        self.refuse(handler, headers=with_key("wrong"))
        self.refuse(handler, providers=[Scripted(BackendError("down"))])
        assert heard == [
            (401, AuthenticationError),
            (403, AuthorizationError),
            (401, AccountStatusError),
            (401, BadCredentialsError),
            (503, BackendError),
        ]

    @pytest.mark.parametrize(
        ("answer", "status", "body", "headers"),
        [
            ({"mine": 1}, 401, {"mine": 1}, {}),
            (({"mine": 1}, 401), 401, {"mine": 1}, {}),
            (({"mine": 1}, 404), 404, {"mine": 1}, {}),
            (({"mine": 1}, 400, {"X-Mine": "yes"}), 400, {"mine": 1}, {"X-Mine": "yes"}),
            (["a", "list"], 401, ["a", "list"], {}),
            (None, 401, {"message": "Unauthorized User"}, {}),
        ],
        ids=show,
    )
    def test_it_returns_what_a_resource_method_may_return(self, answer, status, body, headers):
        response = self.refuse(lambda *told: answer)
        assert response.status_code == status
        assert response.json == body
        for name, value in headers.items():
            assert response.headers[name] == value
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert response.headers["Cache-Control"] == "no-store"

    def test_a_response_keeps_what_it_has_set_itself(self):
        mine = {"WWW-Authenticate": "Mine", "Cache-Control": "private", "Retry-After": "9"}
        response = self.refuse(lambda *told: Response("mine", 401, headers=mine))
        assert response.data == b"mine"
        assert response.headers.getlist("WWW-Authenticate") == ["Mine"]
        assert response.headers["Cache-Control"] == "private"

    def test_a_response_that_everybody_gets_does_not_tell_one_client_of_another(self):
        shared = Response("no", 401)
        app, _, securest = secured(new_who())
        securest.error_handler(lambda status, error: shared)
        client = app.test_client()
        assert (
            client.get("/who", headers=bearer("x")).headers.getlist("WWW-Authenticate")[-1].endswith('"invalid_token"')
        )
        assert client.get("/who").headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert "WWW-Authenticate" not in shared.headers

    def test_a_503_keeps_its_retry_after(self):
        providers = [Scripted(BackendError("down", retry_after=30))]
        assert self.refuse(lambda *told: {"mine": 1}, providers=providers).headers["Retry-After"] == "30"
        theirs = Response("mine", 503, headers={"Retry-After": "9"})
        assert self.refuse(lambda *told: theirs, providers=providers).headers["Retry-After"] == "9"

    @pytest.mark.parametrize(
        "answer",
        [
            ({"welcome": True}, 200),
            ({"welcome": True}, 302, {"Location": "/in"}),
            ({"welcome": True}, 399),
            Response("welcome"),
            Response("welcome", 204),
        ],
        ids=show,
    )
    def test_an_answer_below_400_is_logged_as_an_error_and_the_plain_refusal_is_sent(self, answer, caplog):
        response = self.refuse(lambda *told: answer)
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}
        assert response.headers.getlist("WWW-Authenticate") == [API_KEY, BASIC, BEARER]
        assert [record.levelname for record in caplog.records if "error_handler" in record.getMessage()] == ["ERROR"]

    @pytest.mark.parametrize(
        "error", [RuntimeError("broken"), HTTPException(response=Response("welcome")), TooManyRequests()], ids=show
    )
    def test_an_exception_from_it_is_logged_and_the_plain_refusal_is_sent(self, error, caplog):
        def handler(status, told):
            raise error

        response = self.refuse(handler)
        assert response.status_code == 401
        assert response.json == {"message": "Unauthorized User"}
        assert "the error_handler failed for a 401" in caplog.text

    @pytest.mark.parametrize(
        "answer", [({"a": object()}, 401), ({"a": 1}, "401 Nope"), ({"a": 1}, None), object()], ids=show
    )
    def test_an_answer_that_cannot_be_rendered_is_logged_and_the_plain_refusal_is_sent(self, answer, caplog):
        response = self.refuse(lambda *told: answer)
        assert response.status_code == 401
        assert response.json in ({"message": "Unauthorized User"}, {"a": 1})

    def test_it_is_not_asked_about_bugs(self):
        asked = []
        response = self.refuse(lambda *told: asked.append(told), providers=[Scripted(ValueError("bug"))])
        assert response.status_code == 500
        assert asked == []

    def test_it_may_be_async(self):
        async def handler(status, error):
            return {"mine": status}, status

        assert self.refuse(handler).json == {"mine": 401}

    def test_it_can_be_a_decorator(self):
        _, _, securest = secured(new_who())

        @securest.error_handler
        def handler(status, error): ...

        assert callable(handler)


class TestAuthorizationErrorInAView:
    def view(self, *, after=None):
        def get(self):
            raise AuthorizationError("not yours")

        return new_who(get=get)

    def test_it_answers_403(self):
        response = secured(self.view())[0].test_client().get("/who", headers=ALICE)
        assert response.status_code == 403
        assert response.json == {"message": "Forbidden"}
        assert response.headers["Cache-Control"] == "no-store"
        assert "not yours" not in str(response.headers)

    def test_it_does_so_on_a_public_resource_and_for_an_anonymous_caller_too(self):
        client = secured(public(reason="x")(self.view()))[0].test_client()
        assert client.get("/who").status_code == 403

    def test_it_goes_through_the_error_handler_the_log_and_the_signal(self, caplog):
        from flask_securest.signals import request_refused

        app, _, securest = secured(self.view())
        securest.error_handler(lambda status, error: ({"mine": str(error)}, status))
        heard = []

        def hear(sender, request, verdict):
            heard.append((verdict.status, str(verdict.error), verdict.identity.user.username))

        with request_refused.connected_to(hear):
            assert app.test_client().get("/who", headers=ALICE).json == {"mine": "not yours"}
        assert heard == [(403, "not yours", "alice")]
        assert "refused 'GET' on 'who' for 'alice' from '127.0.0.1' (403)" in caplog.text

    def test_raised_by_a_view_that_another_view_calls_it_is_that_ones_answer(self):
        def post(self):
            from flask import current_app

            inner = current_app.view_functions["inner"]()
            return {"inner": inner.status_code, **who()}

        def inner_post(self):
            raise AuthorizationError("not yours")

        Outer, Inner = new_who("Outer", post=post), authenticators("password")(new_who("Inner", post=inner_post))
        client = secured(Outer, Inner)[0].test_client()
        assert client.post("/outer", headers=ALICE).json == {"inner": 403, "user": "alice", "provider": "password"}

    def test_without_the_gate_it_answers_403_too(self):
        app, _, _ = secured(self.view())
        app.before_request_funcs.clear()
        assert app.test_client().get("/who", headers=ALICE).status_code == 403

    def test_it_answers_403_in_report_mode_too_for_it_is_the_views_own_word(self):
        client = secured(self.view(), mode="report")[0].test_client()
        assert client.get("/who", headers=ALICE).status_code == 403
