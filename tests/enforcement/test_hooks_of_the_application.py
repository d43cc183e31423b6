"""For the hooks of an application a refused request is an ordinary one: what comes in pairs stays a pair."""

import sqlite3
import time

import pytest
import sqlalchemy as sa
from applications import in_either_order, make_application
from flask import Flask, Response, abort, g
from flask_restful import Api
from helpers import ALICE, BOB, FAST, Scripted, api_key, basic, new_who, with_key
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from werkzeug.exceptions import TooManyRequests

from flask_securest import SecuREST, User, authenticators, current_user, public, require
from flask_securest.errors import AuthenticationError, AuthorizationError, BackendError
from flask_securest.signals import request_authenticated, request_refused
from flask_securest.userstores import AbstractUserstore


def raising(error):
    def get(self):
        raise error

    return get


def make_resources():
    return [
        new_who(),
        require(roles="admin")(new_who("Admins")),
        public(reason="anybody")(new_who("Open")),
        authenticators(Scripted(BackendError("down"), name="down"))(new_who("Down")),
        authenticators(Scripted(ValueError("a bug"), name="bug"))(new_who("Bug")),
        authenticators(Scripted(TooManyRequests(), name="many"))(new_who("Many")),
        new_who("Unsure", get=raising(AuthenticationError("say it again"))),
        new_who("Unwilling", get=raising(AuthorizationError("not yours"))),
        new_who("Unable", get=raising(BackendError("down"))),
    ]


#: Path, headers, and status: each way for a request to be answered.
ANSWERS = {
    "let in": ("/who", ALICE, 200),
    "public": ("/open", {}, 200),
    "no credentials": ("/who", {}, 401),
    "wrong credentials": ("/who", basic("alice", "wrong"), 401),
    "disabled account": ("/who", basic("mallory", "malice"), 401),
    "missing role": ("/admins", BOB, 403),
    "back end down": ("/down", {}, 503),
    "bug of a provider": ("/bug", {}, 500),
    "in the provider's own words": ("/many", {}, 429),
    "401 by the view": ("/unsure", ALICE, 401),
    "403 by the view": ("/unwilling", ALICE, 403),
    "503 by the view": ("/unable", ALICE, 503),
}
answers = pytest.mark.parametrize(("path", "headers", "status"), ANSWERS.values(), ids=ANSWERS)

#: Whose hooks, and what they are called there.
WHERE = {
    "application": (0, "{}_request"),
    "blueprint": (1, "{}_request"),
    "blueprint, for the application": (1, "{}_app_request"),
}


class Session:
    """What a library gives out, and has to get back."""

    def __init__(self, ended):
        self.ended = ended

    def remove(self):
        self.ended.append("session")


def pairs_of_hooks(where, ended):
    """Return a function that gives an application four pairs of hooks, as applications have them."""
    index, name = WHERE[where]

    def extend(*parts):
        before, after, teardown = (getattr(parts[index], name.format(when)) for when in ("before", "after", "teardown"))

        @before
        def begin():
            g.start = time.monotonic()
            g.session = Session(ended)
            g.db = sqlite3.connect(":memory:")
            g.request_id = "17"

        @after
        def finish(response):
            response.headers["X-Took"] = str(time.monotonic() - g.start)
            response.headers["X-Request-Id"] = g.request_id
            g.session.remove()
            return response

        @teardown
        def close(error):
            g.db.close()
            ended.append("database")

    return extend


@pytest.mark.parametrize("where", WHERE)
@in_either_order
@answers
def test_the_second_half_of_a_pair_of_hooks_finds_what_the_first_half_has_opened(
    path, headers, status, extension_first, where
):
    ended = []
    app = make_application(
        pairs_of_hooks(where, ended), *make_resources(), extension_first=extension_first, blueprint=True
    )
    answer = app.test_client().get(path, headers=headers)
    assert answer.status_code == status
    assert float(answer.headers["X-Took"]) >= 0
    assert answer.headers["X-Request-Id"] == "17"
    assert ended == ["session", "database"]


@in_either_order
def test_hooks_run_once_each_and_before_a_provider_is_asked(extension_first):
    ran = []

    def note(what, result=None):
        def hook(*args):
            ran.append(what)
            return result(*args) if result else None

        return hook

    def extend(app, blueprint):
        blueprint.before_request(note("before, blueprint"))
        app.before_request(note("before"))
        app.url_value_preprocessor(note("url values"))
        blueprint.url_value_preprocessor(note("url values, blueprint"))
        app.after_request(note("after", lambda response: response))
        blueprint.after_request(note("after, blueprint", lambda response: response))
        app.teardown_request(note("teardown"))

    provider = Scripted(
        lambda request: ran.append("provider") or (User("alice") if "X-Scripted" in request.headers else None)
    )
    Who = new_who(get=lambda self: ran.append("view"))
    app = make_application(
        extend, Who, extension_first=extension_first, blueprint=True, authentication_providers=[provider]
    )
    begin = ["url values", "url values, blueprint", "before", "before, blueprint", "provider"]
    end = ["after, blueprint", "after", "teardown"]
    assert app.test_client().get("/who").status_code == 401
    assert ran == [*begin, *end]
    ran.clear()
    assert app.test_client().get("/who", headers={"X-Scripted": "yes"}).status_code == 200
    assert ran == [*begin, "view", *end]


@in_either_order
def test_arguments_that_a_url_value_preprocessor_takes_away_are_missed_by_nobody(extension_first):
    """As with languages in URLs: the view does not get them, and it is one decision all the same."""
    provider = Scripted(lambda request: User("alice") if g.language == "de" else None)
    app = Flask("tests")
    api = Api(app)
    Who = new_who(get=lambda self, number: [g.language, number, current_user.username])

    def take_language(endpoint, values):
        g.language = (values or {}).pop("language", None)

    if extension_first:
        app.url_value_preprocessor(take_language)
    api.add_resource(Who, "/<language>/who/<int:number>")
    SecuREST(api, authentication_providers=[provider])
    if not extension_first:
        app.url_value_preprocessor(take_language)
    assert app.test_client().get("/de/who/7").json == ["de", 7, "alice"]
    assert app.test_client().get("/fr/who/7").status_code == 401
    assert provider.asked == 2


@answers
def test_an_audit_log_of_the_application_has_every_request_and_who_sent_it(path, headers, status):
    seen = []

    def extend(app, blueprint):
        @app.after_request
        def audit(response):
            seen.append((response.status_code, current_user.username if current_user else None))
            return response

    make_application(extend, *make_resources()).test_client().get(path, headers=headers)
    # Whoever is refused with 403 is known all the same.
    known = {200: "alice" if headers else None, 403: "bob" if path == "/admins" else "alice"}
    assert seen == [(status, known.get(status))]


class TestUserstoresOverWhatAHookHasOpened:
    """The pattern of many tutorials: a connection for each request, opened in ``before_request``."""

    def answers(self, app):
        client = app.test_client()
        right, wrong, nobody = ALICE, basic("alice", "wrong"), basic("nobody", "wonderland")
        return [client.get("/who", headers=headers).status_code for headers in (right, wrong, nobody, {}, right)]

    @pytest.mark.parametrize("where", WHERE)
    @in_either_order
    def test_a_mapping_in_g(self, extension_first, where):
        class Users(AbstractUserstore):
            def get_user(self, identifier):
                return g.users.get(identifier)

        index, name = WHERE[where]

        def extend(*parts):
            @getattr(parts[index], name.format("before"))
            def open_users():
                g.users = {"alice": User("alice", FAST.hash("wonderland"))}

        app = make_application(extend, new_who(), extension_first=extension_first, blueprint=True, userstore=Users())
        assert self.answers(app) == [200, 401, 401, 401, 200]

    @in_either_order
    def test_a_connection_to_a_database(self, extension_first, tmp_path):
        path = tmp_path / "users.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE users (name, hash)")
            connection.execute("INSERT INTO users VALUES (?, ?)", ("alice", FAST.hash("wonderland")))
        connection.close()
        closed = []

        class Users(AbstractUserstore):
            def get_user(self, identifier):
                row = g.db.execute("SELECT name, hash FROM users WHERE name = ?", (identifier,)).fetchone()
                return User(*row) if row else None

        def extend(app, blueprint):
            @app.before_request
            def connect():
                g.db = sqlite3.connect(path)

            @app.teardown_request
            def close(error):
                g.db.close()
                closed.append(1)

        app = make_application(extend, new_who(), extension_first=extension_first, userstore=Users())
        assert self.answers(app) == [200, 401, 401, 401, 200]
        assert len(closed) == 5

    @in_either_order
    def test_a_session_of_sqlalchemy(self, extension_first, tmp_path):
        opened, removed = [], []

        class Base(DeclarativeBase):
            pass

        class Account(Base):
            __tablename__ = "accounts"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str]
            password: Mapped[str]
            active: Mapped[bool]
            role: Mapped[str]

            @property
            def roles(self):
                return [self.role]

        class Accounts(AbstractUserstore):
            def get_user(self, identifier):
                return g.session.scalar(sa.select(Account).where(Account.username == identifier))

        engine = sa.create_engine(f"sqlite:///{tmp_path / 'accounts.db'}")
        Base.metadata.create_all(engine)
        sessions = scoped_session(sessionmaker(engine))
        sessions.add(Account(username="alice", password=FAST.hash("wonderland"), active=True, role="admin"))
        sessions.commit()
        sessions.remove()

        def extend(app, blueprint):
            @app.before_request
            def open_session():
                g.session = sessions()
                opened.append(g.session)

            @app.after_request
            def remove_session(response):
                response.headers["X-Caller"] = current_user.username if current_user else "-"
                sessions.remove()
                removed.append(g.session)
                return response

        Who = require(roles="admin")(new_who(get=lambda self: {"in its session": current_user in g.session}))
        app = make_application(extend, Who, extension_first=extension_first, userstore=Accounts())
        assert self.answers(app) == [200, 401, 401, 401, 200]
        assert removed == opened
        answer = app.test_client().get("/who", headers=ALICE)
        assert answer.json == {"in its session": True}
        assert answer.headers["X-Caller"] == "alice"
        engine.dispose()


class TestHooksThatAnswer:
    """They take the place of the view, and must not be a way around the guard."""

    def make(self, hook, provider=None, extension_first=True):
        Who, Open = new_who(), public(reason="anybody")(new_who("Open"))
        app = make_application(
            lambda app, blueprint: app.before_request(hook),
            Who,
            Open,
            extension_first=extension_first,
            authentication_providers=[provider or api_key()],
        )
        return app.test_client(), Who

    @pytest.mark.parametrize("status", [200, 204, 299, 304])
    @pytest.mark.parametrize("as_error", [False, True], ids=["returned", "aborted"])
    @in_either_order
    def test_what_is_given_instead_of_the_view_is_not_for_whoever_is_refused(self, extension_first, as_error, status):
        def hook():
            answer = Response("from a hook" if status == 200 else None, status)
            if as_error:
                abort(answer)
            return answer

        client, Who = self.make(hook, extension_first=extension_first)
        for headers in ({}, with_key("wrong")):
            answer = client.get("/who", headers=headers)
            assert answer.status_code == 401
            assert "hook" not in answer.text
            assert answer.headers["WWW-Authenticate"]
        for path, headers in (("/who", with_key()), ("/open", {})):
            answer = client.get(path, headers=headers)
            assert answer.status_code == status
            assert answer.text == ("from a hook" if status == 200 else "")
        assert Who.constructed == 0

    @pytest.mark.parametrize("status", [300, 302, 400, 403, 429, 503])
    @pytest.mark.parametrize("as_error", [False, True], ids=["returned", "aborted"])
    def test_a_redirect_or_a_refusal_is_the_last_word_and_nobody_is_asked(self, as_error, status, caplog):
        def hook():
            answer = Response("from a hook", status, {"Location": "/elsewhere"})
            if as_error:
                abort(answer)
            return answer

        provider, signalled = Scripted(), []

        def hear(sender, **told):
            signalled.append(told)

        client, Who = self.make(hook, provider)
        with request_refused.connected_to(hear), request_authenticated.connected_to(hear):
            answer = client.get("/who")
        assert (answer.status_code, answer.text) == (status, "from a hook")
        assert "WWW-Authenticate" not in answer.headers
        assert (provider.asked, signalled, caplog.records, Who.constructed) == (0, [], [], 0)

    def test_a_body_without_a_response_is_an_answer_of_200(self):
        client, _ = self.make(lambda: {"from": "a hook"})
        assert client.get("/who").status_code == 401
        assert client.get("/who", headers=with_key()).json == {"from": "a hook"}

    def test_what_a_hook_has_opened_for_an_answer_that_is_not_given_is_closed(self):
        closed = []

        def stream():
            answer = Response(iter([b"from a hook"]))
            answer.call_on_close(lambda: closed.append(1))
            return answer

        client, _ = self.make(stream)
        assert client.get("/who").status_code == 401
        assert closed == [1]
        with client.get("/who", headers=with_key()) as answer:
            assert answer.data == b"from a hook"
        assert closed == [1, 1]

    def test_maintenance_is_told_to_everybody_alike(self):
        client, _ = self.make(lambda: ({"message": "back at ten"}, 503, {"Retry-After": "600"}))
        for headers in ({}, with_key()):
            answer = client.get("/who", headers=headers)
            assert (answer.status_code, answer.json) == (503, {"message": "back at ten"})
            assert answer.headers["Retry-After"] == "600"

    @pytest.mark.parametrize("propagate", [False, True])
    @in_either_order
    def test_what_a_hook_raises_goes_where_it_went_before(self, propagate, extension_first):
        def extend(app, blueprint):
            app.config["PROPAGATE_EXCEPTIONS"] = propagate
            app.register_error_handler(LookupError, lambda error: (f"handled {error}", 418))

            @app.before_request
            def fail():
                raise LookupError("a bug")

        answers = []
        for guarded in (True, False):
            app = make_application(extend, new_who(), guarded=guarded, extension_first=extension_first)
            answer = app.test_client().get("/who")
            answers.append((answer.status, answer.data, list(answer.headers)))
        assert answers[0] == answers[1]
