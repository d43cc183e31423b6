"""Sessions in Redis: what is particular to it. The contract that it passes is in test_tokenstores.py."""

import os
import signal
import threading
from datetime import datetime, timedelta, timezone

import pytest
from helpers import in_whole_seconds
from servers.redis import PASSWORD, PATIENCE, redis

from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.tokenstores import Session
from flask_securest.tokenstores.redis import RedisTokenstore

FIRST, SECOND = b"f" * 32, b"s" * 32


@pytest.fixture
def url(redis_server):
    return redis_server.new_url()


@pytest.fixture
def store(url):
    return RedisTokenstore(url, timeout=PATIENCE)


@pytest.fixture
def stopped(redis_server):
    """Return a function that stops the server, which says nothing then; with the end of the test it goes on."""

    def stop(seconds=None):
        os.kill(redis_server.process.pid, signal.SIGSTOP)
        if seconds is not None:
            threading.Timer(seconds, go_on).start()

    def go_on():
        os.kill(redis_server.process.pid, signal.SIGCONT)

    yield stop
    go_on()


def session(number=0, *, hours=1, **known):
    now = in_whole_seconds()
    ends = now + timedelta(hours=hours)
    return Session(id=f"{number:016}", username="alice", created_at=now, expires_at=ends, **known)


class TestLogOutEverywhere:
    def test_no_session_that_is_added_meanwhile_survives_in_no_list(self, url, store):
        """A session that survived it and was in no list could never be ended again."""
        other = RedisTokenstore(url, timeout=PATIENCE)
        alive = []
        for turn in range(200):
            for number in range(5):
                store.add_session(session(1000 + turn * 5 + number))
            both = threading.Barrier(2)

            def add(turn=turn, both=both):
                both.wait()
                other.add_session(session(turn))

            thread = threading.Thread(target=add)
            thread.start()
            both.wait()
            store.end_sessions("alice")
            thread.join()
            listed = {each.id for each in store.list_sessions("alice")}
            there = store.get_session(f"{turn:016}") is not None
            assert there == (f"{turn:016}" in listed)
            store.end_sessions("alice")
            alive.append(store.get_session(f"{turn:016}") is not None)
        assert sum(alive) == 0

    def test_the_list_of_a_user_expires_with_the_last_session_and_has_none_that_has_ended(self, store):
        store.add_session(session(1, hours=5))
        store.add_session(session(2, hours=1))
        name = store._both[0].list_of("alice", None)
        assert 4.9 * 3600 < store._redis.ttl(name) <= 5 * 3600 + 1
        assert store.end_session(f"{1:016}")
        assert store._redis.zrange(name, 0, -1) == [f"{2:016}".encode()]
        assert store.end_session(f"{2:016}")
        assert store._redis.keys("*") == []

    def test_more_sessions_than_are_asked_for_at_once_are_listed_and_ended(self, store):
        for number in range(1200):
            store.add_session(session(number))
        used_at = in_whole_seconds()
        store.record_uses({f"{number:016}": used_at for number in range(1200)})
        assert {each.last_used_at for each in store.list_sessions("alice")} == {used_at}
        assert store.end_sessions("alice") == 1200
        assert store._redis.keys("*") == []


class TestAServerThatIsSlow:
    def test_a_refresh_that_is_asked_twice_says_the_same_again(self, store):
        """Otherwise a lost answer would end the session: the client's next try would be taken for a theft."""
        store.add_session(session(refresh_digest=FIRST))
        now = datetime.now(timezone.utc)
        for _ in range(2):
            assert store.refresh_session(f"{0:016}", expected=FIRST, refresh_digest=SECOND, at=now)
        assert not store.refresh_session(f"{0:016}", expected=FIRST, refresh_digest=b"t" * 32, at=now)
        assert store.get_session(f"{0:016}").refresh_digest == SECOND

    def test_one_that_says_nothing_is_waited_for_once(self, url, store, stopped, monkeypatch):
        store.add_session(session())
        hurried, asked = RedisTokenstore(url, timeout=0.3), []
        put = hurried._ask
        monkeypatch.setattr(hurried, "_ask", lambda question: put(lambda: (asked.append(True), question())[1]))
        stopped()
        for ask in (hurried.get_session, hurried.end_sessions, lambda name: list(hurried.list_sessions(name))):
            with pytest.raises(BackendError):
                ask("alice")
        assert asked == [True] * 3

    def test_one_that_goes_on_in_time_answers(self, store, stopped):
        known = session()
        store.add_session(known)
        stopped(seconds=0.3)
        assert store.get_session(known.id) == known

    def test_a_restarted_one_is_asked_again_with_no_error(self):
        with redis() as server:
            store = RedisTokenstore(server.new_url())
            store.add_session(session())
            for _ in range(3):
                server.stop()
                with pytest.raises(BackendError):
                    store.get_session(f"{0:016}")
                server.start()
                assert store.get_session(f"{0:016}").username == "alice"

    def test_a_connection_that_breaks_is_replaced_once(self, store):
        store.add_session(session())
        asked = []

        def question():
            asked.append(True)
            if len(asked) == 1:
                store._redis.connection_pool.disconnect()
                raise store._broken("closed by the server")
            return store._redis.exists(store._both[0].of(f"{0:016}"))

        assert store._ask(question) == 1
        assert len(asked) == 2


@pytest.mark.parametrize(
    "options",
    [
        "foo=bar",
        "decode_responses=true",
        "socket_timeout=0",
        "socket_timeout=3600",
        "socket_connect_timeout=3600",
        "max_connections=many",
    ],
)
def test_options_of_a_url_that_would_fail_each_request_are_a_clear_error(url, options):
    with pytest.raises(ConfigurationError, match="options") as caught:
        RedisTokenstore(f"{url}?{options}")
    assert PASSWORD not in f"{caught.value} {caught.value.__context__!r}"


def test_options_that_redis_knows_are_taken(url):
    store = RedisTokenstore(f"{url}?client_name=securest&health_check_interval=30")
    store.add_session(session())
    assert store.get_session(f"{0:016}") is not None
