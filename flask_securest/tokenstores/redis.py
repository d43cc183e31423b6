"""Sessions in Redis, which forgets them by itself when they expire."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..errors import BackendError, ConfigurationError, MissingDependencyError
from ..identity import UNKNOWN_ORIGIN, Origin
from .abstract import AbstractTokenstore
from .models import Session
from .redis_hashes import KeySpace, escape_glob, to_hash, to_session

# What is checked and what is written must not come apart: Redis runs a script as a whole. The keys that the scripts
# find out by themselves are on the same server, which is why a Redis Cluster is not supported.

# The list lives as long as the longest of the sessions in it.
_ADD = """
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('EXPIREAT', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
if last[2] then redis.call('EXPIREAT', KEYS[2], last[2]) end
"""
# The second line: asked again after a lost answer, it says what the answer was, instead of ending the session as if its
# refresh token had been stolen.
_REFRESH = """
local known = redis.call('HGET', KEYS[1], 'refresh_digest')
if known == ARGV[2] then return 1 end
if known ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'refresh_digest', ARGV[2], 'former_refresh_digest', ARGV[1], 'refreshed_at', ARGV[3])
return 1
"""
_END = """
local found = redis.call('HMGET', KEYS[1], 'username', 'origin')
local name = found[1]
if name and found[2] and found[2] ~= '' then name = #found[2] .. ':' .. found[2] .. ':' .. name end
if name then redis.call('ZREM', ARGV[1] .. name, ARGV[2]) end
return redis.call('DEL', KEYS[1])
"""
# In one piece: a session that was added between the reading and the throwing away of the list would survive a
# log-out everywhere, and be in no list for ever.
_END_ALL = """
local ended = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do ended = ended + redis.call('DEL', ARGV[1] .. id) end
redis.call('DEL', KEYS[1])
return ended
"""
_REVOKE = "redis.call('SET', KEYS[1], 1); redis.call('EXPIREAT', KEYS[1], ARGV[1])"
_RECORD = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'last_used_at', ARGV[1]) end"

#: How many answers are waited for at once.
_CHUNK = 500


class RedisTokenstore(AbstractTokenstore):
    """Keep sessions in Redis: each in a hash that expires with it, and the ids of a user's in a set.

    Let the server write to disk (``appendonly yes``) and never evict (``maxmemory-policy noeviction``): a session that
    is lost is a user who is logged out. It is one server, or one with replicas; a Redis Cluster is not supported.

    :param url: for example ``"redis://:password@127.0.0.1:6379/0"``, or ``"rediss://..."`` for TLS
    :param prefix: what all keys in Redis begin with
    :param timeout: how long one look-up may wait, in seconds
    :raises MissingDependencyError: redis is not installed
    :raises ConfigurationError: no URL of Redis, or one with options that redis-py does not know, or that are ours
    """

    def __init__(self, url: str, *, prefix: str = "securest:", timeout: float = 2.0) -> None:
        try:
            import redis
        except ModuleNotFoundError:
            missing = True
        else:
            missing = False
        if missing:
            raise MissingDependencyError("RedisTokenstore", "redis")
        # A release that knew no origins must not find, list or end what belongs to another store's accounts.
        self._both = (KeySpace(prefix), KeySpace(f"{prefix}elsewhere:"))
        self._revoked = f"{prefix}revoked:"
        self._timeout = timeout
        self._error = redis.RedisError
        self._broken, self._refused = redis.ConnectionError, redis.AuthenticationError
        try:
            # It tries nothing again by itself: a server that hangs would be waited for twice (see _ask).
            self._redis: Any = redis.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
            )
            valid = _is_usable(self._redis.connection_pool, timeout)
        except (TypeError, ValueError, AttributeError):
            valid = False
        if not valid:
            # Not shown: it may have a password.
            raise ConfigurationError(
                'the URL of Redis must be written like "redis://:password@127.0.0.1:6379/0", with no options that '
                "redis-py does not know, nor decode_responses, nor timeouts (give timeout=...)"
            )

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""

        def find() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipeline:
                for keys in self._both:
                    pipeline.hgetall(keys.of(session_id))
                return pipeline.execute()  # type: ignore[no-any-return]

        found = map(partial(to_session, session_id), self._ask(find))
        return next((session for session in found if session is not None), None)

    def add_session(self, session: Session) -> None:
        """Add a session."""
        ends = math.ceil(session.expires_at.timestamp())
        known = [each for pair in to_hash(session).items() for each in pair]
        space = self._space_of(session.origin)
        keys = [space.of(session.id), space.list_of(session.username, session.origin)]
        self._ask(lambda: self._redis.eval(_ADD, 2, *keys, session.id, ends, int(time.time()), *known))

    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected."""
        arguments: list[Any] = [expected.hex(), refresh_digest.hex(), int(at.timestamp())]
        asked = (partial(self._redis.eval, _REFRESH, 1, each.of(session_id), *arguments) for each in self._both)
        return any(map(self._ask, asked))

    def now(self) -> datetime:
        """Return the time by Redis' clock."""
        seconds, _ = self._ask(self._redis.time)
        return datetime.fromtimestamp(seconds, timezone.utc)

    def end_session(self, session_id: str) -> bool:
        """End a session."""
        ended = [
            self._ask(partial(self._redis.eval, _END, 1, each.of(session_id), each.lists, session_id))
            for each in self._both
        ]
        return any(ended)

    def end_sessions(self, username: str, origin: Origin = None) -> int:
        """End all sessions of an account."""
        space = self._space_of(origin)
        return int(self._ask(lambda: self._redis.eval(_END_ALL, 1, space.list_of(username, origin), space.of(""))))

    def list_sessions(self, username: str, origin: Origin = None) -> Iterator[Session]:
        """Yield the sessions of an account, the oldest first."""
        space = self._space_of(origin)

        def find() -> list[Session]:
            ids = [each.decode() for each in self._redis.zrange(space.list_of(username, origin), 0, -1)]
            hashes: list[Any] = []
            for chunk in _chunks(ids):
                with self._redis.pipeline(transaction=False) as pipeline:
                    for each in chunk:
                        pipeline.hgetall(space.of(each))
                    hashes += pipeline.execute()
            found = map(to_session, ids, hashes)
            return [session for session in found if session is not None]

        yield from sorted(self._ask(find), key=lambda session: (session.created_at, session.id))

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of whose accounts there are sessions. It takes a while."""
        origins = {origin for origin, _ in self._find_lists()}
        yield from sorted(origins)

    def end_origin(self, origin: str) -> int:
        """End all sessions of accounts of an origin."""
        sessions = self._both[1].of("")
        lists = [each for known, each in self._find_lists() if known == origin]
        return sum(int(self._ask(partial(self._redis.eval, _END_ALL, 1, each, sessions))) for each in lists)

    def revoke(self, token_id: str, until: datetime) -> None:
        """Put a token of somebody else on the list of revoked ones."""
        key, ends = f"{self._revoked}{token_id}", math.ceil(until.timestamp())
        self._ask(lambda: self._redis.eval(_REVOKE, 1, key, ends))

    def is_revoked(self, token_id: str) -> bool:
        """Return whether a token is on the list of revoked ones."""
        return bool(self._ask(lambda: self._redis.exists(f"{self._revoked}{token_id}")))

    def _find_lists(self) -> list[tuple[str, bytes]]:
        """Return the keys of the lists of sessions of accounts from elsewhere, with the origin of each."""
        space = self._both[1]
        keys = self._ask(lambda: list(self._redis.scan_iter(match=f"{escape_glob(space.lists)}*", count=_CHUNK)))
        return [(space.origin_of(each), each) for each in keys]

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""

        def record(chunk: list[str]) -> None:
            with self._redis.pipeline(transaction=False) as pipeline:
                for session_id in chunk:
                    # Only of one that is there: what has ended must not come to life again.
                    for space in self._both:
                        pipeline.eval(_RECORD, 1, space.of(session_id), int(uses[session_id].timestamp()))
                pipeline.execute()

        for chunk in _chunks(list(uses)):
            self._ask(partial(record, chunk))

    def _space_of(self, origin: Origin) -> KeySpace:
        return self._both[0 if origin in (None, UNKNOWN_ORIGIN) else 1]

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return the answer.

        A server that has been restarted has closed the connections in the pool: then it is asked once more. Not so when
        time has passed meanwhile: whoever waits would wait for twice as long.

        :param question: may be asked twice
        :raises BackendError: Redis is down, too slow, or refuses
        """
        started = time.monotonic()
        for last in (False, True):
            try:
                return question()
            except self._error as error:
                failure = type(error).__name__
                again = isinstance(error, self._broken) and not isinstance(error, self._refused)
            if last or not again or time.monotonic() - started > self._timeout / 10:
                break
        raise BackendError(f"Redis cannot tell ({failure})")


def _is_usable(pool: Any, timeout: float) -> bool:
    """Return whether the options in a URL leave connections as this store needs them. It connects to nothing.

    :param pool: the pool of connections, of redis-py
    :param timeout: how long they have to wait
    :raises TypeError: an option that redis-py does not know, which it would say with each request
    """
    pool.connection_class(**pool.connection_kwargs)
    known = pool.connection_kwargs
    times = (known.get("socket_timeout"), known.get("socket_connect_timeout"))
    return not known.get("decode_responses") and times == (timeout, timeout)


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
