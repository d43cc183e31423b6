"""Whose request it is: in nested requests, threads, greenlets and coroutines, before the view and in it.

What a view sees stands in test_decisions.py; here are the hooks, and real greenlets.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
import urllib.error
import urllib.request

import flask
import pytest
from applications import in_either_order, make_application, run_in_another_process
from flask import Response, copy_current_request_context, current_app, g, request, stream_with_context
from helpers import ALICE, BOB, FAST, Scripted, basic, new_who, secured, who

from flask_securest import User, current_user, optional, public
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.userstores import AbstractUserstore, SimpleUserstore


def with_hooks(*hooks):
    def extend(app, blueprint):
        for hook in hooks:
            app.before_request(hook)

    return extend


def user():
    return who()["user"]


class TestNestedRequests:
    @in_either_order
    def test_a_test_client_in_a_hook_has_its_own_caller(self, extension_first):
        seen = []

        def ask_inside():
            if request.path == "/inner":
                return
            client = current_app.test_client()
            before = user()
            inner = [client.get("/inner", headers=headers) for headers in ({}, BOB, basic("bob", "wrong"))]
            seen.append((before, [(answer.status_code, answer.json.get("user")) for answer in inner], user()))

        app = make_application(with_hooks(ask_inside), new_who(), new_who("Inner"), extension_first=extension_first)
        assert app.test_client().get("/who", headers=ALICE).json["user"] == "alice"
        assert app.test_client().get("/who").status_code == 401
        inner = [(401, None), (200, "bob"), (401, None)]
        assert seen == [("alice", inner, "alice"), (None, inner, None)]

    def test_a_test_client_in_a_hook_that_nobody_has_asked_yet_leaves_the_outer_request_as_it_was(self):
        def call():
            if request.path != "/inner":
                g.inner = current_app.test_client().get("/inner", headers=BOB).json["user"]

        Who = new_who(get=lambda self: [g.inner, user()])
        client = make_application(with_hooks(call), Who, new_who("Inner")).test_client()
        assert client.get("/who", headers=ALICE).json == ["bob", "alice"]

    def test_a_test_client_in_a_userstore_has_its_own_caller(self):
        """While the outer one is being found out."""
        seen = []

        class Calling(AbstractUserstore):
            def get_user(self, identifier):
                if identifier == "alice":
                    answer = current_app.test_client().get("/who", headers=BOB)
                    seen.append((answer.json["user"], user()))
                return User(identifier, FAST.hash("wonderland" if identifier == "alice" else "builder"))

        client = make_application(with_hooks(), new_who(), userstore=Calling()).test_client()
        assert client.get("/who", headers=ALICE).json["user"] == "alice"
        assert seen == [("bob", None)]

    def test_a_test_client_in_a_view_runs_hooks_of_its_own(self):
        seen = []

        def get(self):
            before = user()
            inner = current_app.test_client().get("/inner", headers=BOB)
            return [before, inner.json["user"], user()]

        def note():
            g.caller = user()  # which the inner request may share, and the caller is nowhere there
            seen.append((request.path, g.caller))

        client = make_application(with_hooks(note), new_who(get=get), new_who("Inner")).test_client()
        assert client.get("/who", headers=ALICE).json == ["alice", "bob", "alice"]
        assert seen == [("/who", "alice"), ("/inner", "bob")]

    def test_a_nested_request_context_in_a_hook_has_nobody(self):
        seen = []

        def nest():
            with current_app.test_request_context("/who", headers=BOB):
                seen.append(user())
            seen.append(user())

        client = make_application(with_hooks(nest), new_who()).test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        assert seen == [None, "alice"]


class TestRequestContextsByHand:
    """``app.test_request_context()``, as in tests and shells: who sent it is known once the hooks have been run."""

    def test_nobody_is_found_out_where_nothing_is_dispatched(self):
        provider = Scripted(User("alice"))
        app, _, _ = secured(new_who(), providers=[provider])
        with app.test_request_context("/who"):
            assert not current_user
        assert provider.asked == 0

    def test_without_a_request_neither_guard_lets_anybody_in_and_flask_says_what_is_missing(self):
        provider = Scripted(User("alice"))
        app, _, _ = secured(new_who(), providers=[provider])
        app.test_client().get("/who")  # the guards are in place
        asked = provider.asked
        for context in (contextlib.nullcontext, app.app_context):
            for call in (app.preprocess_request, app.view_functions["who"]):
                with context(), pytest.raises(RuntimeError, match=r"outside of .*request"):
                    call()
        assert provider.asked == asked

    @in_either_order
    def test_after_preprocess_request_the_caller_is_known(self, extension_first):
        seen = []
        app = make_application(with_hooks(lambda: seen.append(user())), new_who(), extension_first=extension_first)
        with app.test_request_context("/who", headers=ALICE):
            assert app.preprocess_request() is None
            assert current_user.username == "alice"
        with app.test_request_context("/who"):
            assert app.preprocess_request().status_code == 401
            assert not current_user
        assert seen == ["alice", None]

    def test_a_test_client_that_keeps_its_context_tells_who_has_called(self):
        app, _, _ = secured(new_who())
        for headers, expected in ((ALICE, "alice"), ({}, None), (BOB, "bob"), (basic("bob", "wrong"), None)):
            with app.test_client() as client:
                client.get("/who", headers=headers)
                assert user() == expected
            assert not current_user

    def test_what_is_dispatched_by_hand_is_guarded_by_both_guards(self):
        Who = new_who()
        app, _, _ = secured(Who)
        for headers, status in (({}, 401), (ALICE, 200)):
            with app.test_request_context("/who", headers=headers):
                assert app.full_dispatch_request().status_code == status
            with app.test_request_context("/who", headers=headers):
                assert app.make_response(app.dispatch_request()).status_code == status
        assert Who.ran == 2


class Slow(AbstractUserstore):
    """Take a while, and count how often somebody wants to know."""

    def __init__(self):
        self.asked = 0

    def get_user(self, identifier):
        self.asked += 1
        time.sleep(0.05)
        return User(identifier, FAST.hash("wonderland"))


class TestThreads:
    def test_threads_of_a_hook_ask_together_and_the_provider_is_asked_once(self):
        barrier, seen, userstore = threading.Barrier(5, timeout=10), [], Slow()

        def ask_in_threads():
            def ask():
                barrier.wait()
                seen.append(user())

            threads = [threading.Thread(target=copy_current_request_context(ask)) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            assert not any(thread.is_alive() for thread in threads)
            seen.append(user())

        app = make_application(with_hooks(ask_in_threads), new_who(), userstore=userstore)
        assert app.test_client().get("/who", headers=ALICE).json["user"] == "alice"
        assert userstore.asked == 1
        # While the caller is being found out there is nobody, for other threads too: they might be the userstore's.
        assert set(seen[:5]) <= {"alice", None}
        assert "alice" in seen[:5]
        assert seen[5] == "alice"

    def test_the_guard_waits_for_a_thread_that_is_still_asking_when_the_hooks_are_over(self):
        asking, userstore, threads = threading.Event(), Slow(), []

        class Telling(Slow):
            def get_user(self, identifier):
                asking.set()
                return userstore.get_user(identifier)

        def ask_in_a_thread():
            threads.append(threading.Thread(target=copy_current_request_context(user)))
            threads[-1].start()
            assert asking.wait(10)

        client = make_application(with_hooks(ask_in_a_thread), new_who(), userstore=Telling()).test_client()
        assert client.get("/who", headers=ALICE).json["user"] == "alice"
        assert userstore.asked == 1
        assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
        assert userstore.asked == 2
        for thread in threads:
            thread.join(10)

    def test_a_userstore_that_works_in_a_thread_is_not_kept_waiting_by_what_asks_there(self):
        seen = []

        class Threaded(AbstractUserstore):
            def get_user(self, identifier):
                thread = threading.Thread(target=copy_current_request_context(lambda: seen.append(user())))
                thread.start()
                thread.join(10)
                assert not thread.is_alive()
                return User(identifier, FAST.hash("wonderland"))

        def ask():
            user()

        for hooks in ([], [ask]):
            app = make_application(with_hooks(*hooks), new_who(), userstore=Threaded())
            assert app.test_client().get("/who", headers=ALICE).json["user"] == "alice"
        assert seen == [None, None]

    def test_a_thread_that_outlives_its_request_has_its_caller_all_the_same(self):
        seen, go = [], threading.Event()
        threads = []

        def get(self):
            @copy_current_request_context
            def later():
                go.wait(10)
                seen.append(user())

            threads.append(threading.Thread(target=later))
            threads[-1].start()

        client = make_application(with_hooks(), new_who(get=get)).test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        assert client.get("/who", headers=BOB).status_code == 200
        go.set()
        for thread in threads:
            thread.join(10)
        assert sorted(seen) == ["alice", "bob"]


class TestStreams:
    @pytest.mark.parametrize(
        ("resource", "headers", "expected"),
        [
            (new_who, ALICE, b"alice alice "),
            (lambda **members: optional(new_who(**members)), {}, b"None None "),
            (lambda **members: public(reason="anybody")(new_who(**members)), ALICE, b"None None "),
        ],
        ids=["known", "anonymous", "public"],
    )
    def test_what_is_streamed_after_the_hooks_have_ended_has_the_caller_of_its_request(
        self, resource, headers, expected
    ):
        ended = []

        def get(self):
            return Response(stream_with_context(f"{user()} " for _ in range(2)))

        app = make_application(with_hooks(lambda: None), resource(get=get))
        app.after_request(lambda response: ended.append(1) or response)
        answer = app.test_client().get("/who", headers=headers, buffered=False)
        assert ended == [1]
        assert answer.data == expected

    def test_two_streams_that_take_turns_have_each_their_own(self):
        """Each in a context of its own, as a server has them; else Flask itself would take one for the other."""

        def get(self):
            return Response(stream_with_context(f"{user()} " for _ in range(2)))

        app = make_application(with_hooks(), new_who(get=get))
        contexts = [contextvars.Context(), contextvars.Context()]
        answers = [
            context.run(app.test_client().get, "/who", headers=headers)
            for context, headers in zip(contexts, (ALICE, BOB), strict=True)
        ]
        streams = [iter(answer.response) for answer in answers]
        turns = [context.run(next, stream) for _ in range(2) for context, stream in zip(contexts, streams, strict=True)]
        for context, stream in zip(contexts, streams, strict=True):
            context.run(list, stream)
        assert turns == [b"alice ", b"bob ", b"alice ", b"bob "]


class TestCoroutines:
    @in_either_order
    def test_a_hook_that_waits_may_ask_and_open_what_the_userstore_needs(self, extension_first):
        seen = []

        class Users(AbstractUserstore):
            def get_user(self, identifier):
                return g.users.get(identifier)

        async def open_users():
            await asyncio.sleep(0)
            g.users = {"alice": User("alice", FAST.hash("wonderland"))}

        async def note():
            await asyncio.sleep(0)
            seen.append(user())
            seen.append(await asyncio.to_thread(user))

        async def get(self):
            await asyncio.sleep(0)
            return who()

        app = make_application(
            with_hooks(open_users, note), new_who(get=get), extension_first=extension_first, userstore=Users()
        )

        @app.after_request
        async def after(response):
            await asyncio.sleep(0)
            seen.append(user())
            return response

        client = app.test_client()
        assert client.get("/who", headers=ALICE).json == {"user": "alice", "provider": "password"}
        assert seen == ["alice"] * 3
        assert client.get("/who").status_code == 401
        assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
        assert seen[3:] == [None] * 6

    def test_coroutines_of_a_hook_ask_together_and_the_provider_is_asked_once(self):
        seen, provider = [], Scripted(User("alice"))

        async def note():
            seen.extend(await asyncio.gather(*(asyncio.to_thread(user) for _ in range(5))))

        app = make_application(with_hooks(note), new_who(), authentication_providers=[provider])
        assert app.test_client().get("/who").status_code == 200
        assert set(seen) <= {"alice", None}
        assert "alice" in seen
        assert provider.asked == 1

    @pytest.mark.parametrize(("status", "refused"), [(200, 401), (302, 302)])
    def test_a_hook_that_waits_and_answers_is_a_hook_like_any_other(self, status, refused):
        async def answer():
            await asyncio.sleep(0)
            return Response("from a hook", status)

        client = make_application(with_hooks(answer), new_who()).test_client()
        assert client.get("/who").status_code == refused
        assert client.get("/who", headers=ALICE).status_code == status

    def test_requests_at_the_same_time_have_each_their_own_caller(self):
        names = [f"user-{number}" for number in range(8)]
        userstore = SimpleUserstore([User(name, FAST.hash(name)) for name in names])

        async def note():
            g.first = user()
            await asyncio.sleep(0.001)

        async def get(self):
            await asyncio.sleep(0.001)
            return [g.first, user()]

        app = make_application(with_hooks(note), new_who(get=get), userstore=userstore)

        def call(name):
            return [app.test_client().get("/who", headers=basic(name, name)).json for _ in range(5)]

        async def call_all():
            return await asyncio.gather(*(asyncio.to_thread(call, name) for name in names))

        assert asyncio.run(call_all()) == [[[name, name]] * 5 for name in names]


def serve_greenlets():
    """Return what greenlets have seen, in a process in which everything waits by switching between them."""
    import gevent
    from gevent import monkey
    from gevent.pywsgi import WSGIServer

    assert monkey.is_module_patched("threading")
    names = [f"user-{number}" for number in range(8)]
    stored = {name: User(name, FAST.hash(name)) for name in names}
    at_once, most = [0], [0]

    class Users(AbstractUserstore):
        def get_user(self, identifier):
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            gevent.sleep(0.002)
            at_once[0] -= 1
            return stored.get(identifier)

    def note():
        g.first = user() if request.args.get("ask") else None
        gevent.sleep(0.001)

    def get(self):
        gevent.sleep(0.001)
        spawned = gevent.spawn(copy_current_request_context(lambda: gevent.sleep(0.001) or user()))
        bare = gevent.spawn(lambda: bool(current_user))
        return {"first": g.first, "user": user(), "spawned": spawned.get(), "bare": bare.get()}

    def after(response):
        gevent.sleep(0.001)
        response.headers["X-Caller"] = str(user())
        return response

    app = make_application(
        with_hooks(note),
        new_who(get=get),
        userstore=Users(),
        authentication_providers=[PasswordAuthenticator(password_hasher=FAST)],
    )
    app.after_request(after)
    server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None)
    server.start()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(name, password, *, ask):
        url = f"http://127.0.0.1:{server.server_port}/who{'?ask=1' if ask else ''}"
        try:
            with opener.open(urllib.request.Request(url, headers=basic(name, password)), timeout=30) as answer:
                return [answer.status, flask.json.loads(answer.read()), answer.headers["X-Caller"]]
        except urllib.error.HTTPError as error:
            with error:
                return [error.code, None, error.headers["X-Caller"]]

    calls = [
        (name, password, ask) for _ in range(5) for name in names for password in (name, "wrong") for ask in (0, 1)
    ]
    greenlets = [gevent.spawn(call, name, password, ask=ask) for name, password, ask in calls]
    gevent.joinall(greenlets, timeout=60, raise_error=True)
    server.stop()
    return {"calls": calls, "answers": [greenlet.value for greenlet in greenlets], "at once": most[0]}


def test_greenlets_have_each_their_own_caller():
    """Only the new process is patched: the one of the tests stays as it is."""
    told = run_in_another_process(serve_greenlets, first="from gevent import monkey; monkey.patch_all()")
    assert len(told["answers"]) == 160
    assert told["at once"] > 1, "or nothing has been tested"
    for (name, password, ask), answer in zip(told["calls"], told["answers"], strict=True):
        if password == "wrong":
            assert answer == [401, None, "None"]
        else:
            seen = {"first": name if ask else None, "user": name, "spawned": name, "bare": False}
            assert answer == [200, seen, name]
