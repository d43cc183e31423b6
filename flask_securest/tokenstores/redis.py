"""Sessions in Redis, which forgets them by itself when they expire."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..errors import BackendError, ConfigurationError, MissingDependencyError
from .abstract import AbstractTokenstore
from .models import Session

# What is checked and what is written must not come apart: Redis runs a script as a whole.
_REFRESH = """
if redis.call('HGET', KEYS[1], 'refresh_digest') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'refresh_digest', ARGV[2], 'former_refresh_digest', ARGV[1], 'refreshed_at', ARGV[3])
return 1
"""
_RECORD = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'last_used_at', ARGV[1]) end"

_TIMES = ("created_at", "expires_at", "last_used_at", "refreshed_at")
_DIGESTS = ("refresh_digest", "former_refresh_digest")


class RedisTokenstore(AbstractTokenstore):
    """Keep sessions in Redis: each in a hash that expires with it, and the ids of a user's in a set.

    Let the server write to disk (``appendonly yes``) and never evict (``maxmemory-policy noeviction``): a session that
    is lost is a user who is logged out.

    :param url: for example ``"redis://:password@127.0.0.1:6379/0"``, or ``"rediss://..."`` for TLS
    :param prefix: what all keys in Redis begin with
    :param timeout: how long one look-up may wait, in seconds
    :raises MissingDependencyError: redis is not installed
    :raises ConfigurationError: no URL of Redis
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
        self._prefix = prefix
        self._error = redis.RedisError
        try:
            # A restarted server has closed the connections in the pool: one is tried once more, and no more.
            self._redis: Any = redis.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=redis.retry.Retry(redis.backoff.NoBackoff(), 1),
            )
        except (TypeError, ValueError, AttributeError):
            valid = False
        else:
            valid = True
        if not valid:
            # Not shown: it may have a password.
            raise ConfigurationError('the URL of Redis must be written like "redis://:password@127.0.0.1:6379/0"')

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""
        return _to_session(session_id, self._ask(lambda: self._redis.hgetall(self._key_of(session_id))))

    def add_session(self, session: Session) -> None:
        """Add a session."""

        def add() -> None:
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(self._key_of(session.id), mapping=_to_hash(session))
                pipeline.expireat(self._key_of(session.id), math.ceil(session.expires_at.timestamp()))
                pipeline.zadd(self._list_of(session.username), {session.id: session.expires_at.timestamp()})
                pipeline.zremrangebyscore(self._list_of(session.username), "-inf", time.time())
                pipeline.execute()

        self._ask(add)

    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected."""
        arguments: list[Any] = [expected.hex(), refresh_digest.hex(), int(at.timestamp())]
        return bool(self._ask(lambda: self._redis.eval(_REFRESH, 1, self._key_of(session_id), *arguments)))

    def end_session(self, session_id: str) -> bool:
        """End a session."""
        return bool(self._ask(lambda: self._redis.delete(self._key_of(session_id))))

    def end_sessions(self, username: str) -> int:
        """End all sessions of a user."""

        def end() -> int:
            ids = self._redis.zrange(self._list_of(username), 0, -1)
            ended = self._redis.delete(*(self._key_of(each.decode()) for each in ids)) if ids else 0
            self._redis.delete(self._list_of(username))
            return int(ended)

        return int(self._ask(end))

    def list_sessions(self, username: str) -> Iterator[Session]:
        """Yield the sessions of a user, the oldest first."""

        def find() -> list[Session]:
            ids = [each.decode() for each in self._redis.zrange(self._list_of(username), 0, -1)]
            found = (_to_session(each, self._redis.hgetall(self._key_of(each))) for each in ids)
            return [session for session in found if session is not None]

        yield from sorted(self._ask(find), key=lambda session: (session.created_at, session.id))

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""

        def record() -> None:
            for session_id, used_at in uses.items():
                # Only of one that is there: what has ended must not come to life again.
                self._redis.eval(_RECORD, 1, self._key_of(session_id), int(used_at.timestamp()))

        self._ask(record)

    def _key_of(self, session_id: str) -> str:
        return f"{self._prefix}session:{session_id}"

    def _list_of(self, username: str) -> bytes:
        return f"{self._prefix}sessions:{username}".encode("utf-8", "surrogatepass")

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Return the answer.

        :raises BackendError: Redis is down, too slow, or refuses
        """
        try:
            return question()
        except self._error as error:
            failure = type(error).__name__
        raise BackendError(f"Redis cannot tell ({failure})")


def _to_hash(session: Session) -> dict[str, str]:
    values: dict[str, str | None] = {
        "username": session.username,
        "scopes": None if session.scopes is None else json.dumps(sorted(session.scopes)),
        "client": session.client,
        "password_mark": session.password_mark,
    }
    for name in _TIMES:
        at = getattr(session, name)
        values[name] = None if at is None else str(int(at.timestamp()))
    for name in _DIGESTS:
        digest = getattr(session, name)
        values[name] = None if digest is None else digest.hex()
    return {name: value for name, value in values.items() if value is not None}


def _to_session(session_id: str, stored: Mapping[bytes, bytes]) -> Session | None:
    values = {name.decode(): value.decode() for name, value in stored.items()}
    if not values:
        return None
    scopes = values.get("scopes")
    times = {name: datetime.fromtimestamp(int(values[name]), timezone.utc) for name in _TIMES if name in values}
    session = Session(
        id=session_id,
        username=values["username"],
        scopes=None if scopes is None else json.loads(scopes),
        client=values.get("client", ""),
        password_mark=values.get("password_mark"),
        **times,  # type: ignore[arg-type]
        **{name: bytes.fromhex(values[name]) for name in _DIGESTS if name in values},  # type: ignore[arg-type]
    )
    return session if session.expires_at > datetime.now(timezone.utc) else None
