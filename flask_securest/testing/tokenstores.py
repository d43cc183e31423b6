"""What every tokenstore has to pass. Import it from :mod:`flask_securest.testing`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count

from ..tokenstores.abstract import AbstractTokenstore
from ..tokenstores.models import Session
from .stores import run_in_threads

_numbers = count()


class TokenstoreContract(ABC):
    """What every tokenstore has to do."""

    @abstractmethod
    def make_tokenstore(self) -> AbstractTokenstore:
        """Return a store without any sessions."""

    def open_again(self, store: AbstractTokenstore) -> AbstractTokenstore:
        """Return the same store as another process would open it.

        :param store: the store
        """
        return store

    def make_session(self, username: str = "alice", **known: object) -> Session:
        """Return a session that is in no store yet.

        :param username: whose it is
        :param known: what else is known of it
        """
        whole = {
            "id": f"{next(_numbers):016}",
            "username": username,
            "created_at": _now(),
            "expires_at": _now() + timedelta(hours=1),
            "refresh_digest": b"\x00\xff" * 16,
        }
        return Session(**{**whole, **known})  # type: ignore[arg-type]

    def test_a_session_is_found_by_its_id_with_all_that_is_known_of_it(self) -> None:
        store = self.make_tokenstore()
        for session in (
            self.make_session(),
            self.make_session(scopes=[], client="curl/8 'ß\"", password_mark="0a1b", refresh_digest=None),
            self.make_session("älice bob:*", scopes=["write", "read"]),
        ):
            store.add_session(session)
            assert self.open_again(store).get_session(session.id) == session
        for session_id in ("", "A" * 16, "*", "' OR '1'='1"):
            assert store.get_session(session_id) is None

    def test_what_has_ended_is_gone_for_everybody(self) -> None:
        store = self.make_tokenstore()
        other = self.open_again(store)
        session = self.make_session()
        store.add_session(session)
        assert other.end_session(session.id)
        assert store.get_session(session.id) is None
        assert not store.end_session(session.id)
        assert not store.refresh_session(session.id, expected=b"\x00\xff" * 16, refresh_digest=b"x" * 32, at=_now())
        store.record_uses({session.id: _now()})
        assert store.get_session(session.id) is None
        assert list(store.list_sessions("alice")) == []

    def test_all_sessions_of_a_user_end_and_those_of_others_go_on(self) -> None:
        store = self.make_tokenstore()
        own, others = [self.make_session() for _ in range(3)], [self.make_session(name) for name in ("bob", "alice2")]
        for session in (*own, *others):
            store.add_session(session)
        assert self.open_again(store).end_sessions("alice") == 3
        assert [store.get_session(session.id) for session in own] == [None] * 3
        assert [store.get_session(session.id) for session in others] == others
        assert store.end_sessions("alice") == 0

    def test_two_accounts_of_one_name_and_different_origins_share_no_session(self) -> None:
        store = self.make_tokenstore()
        other = self.open_again(store)
        origins = (None, "?", "ldap", "ldap:acme", "4:ldap", "kerberos:ldap")
        made = {origin: self.make_session(origin=origin) for origin in origins}
        for session in made.values():
            store.add_session(session)
            assert other.get_session(session.id) == session
        for origin in origins[2:]:
            assert list(other.list_sessions("alice", origin)) == [made[origin]]
        # Of an unknown origin are those from before there were origins.
        assert {session.id for session in other.list_sessions("alice")} == {made[None].id, made["?"].id}
        now = _now()
        for session in made.values():
            store.record_uses({session.id: now})
            assert store.refresh_session(session.id, expected=b"\x00\xff" * 16, refresh_digest=b"n" * 32, at=now)
            found = other.get_session(session.id)
            assert found is not None
            assert (found.origin, found.last_used_at, found.refreshed_at) == (session.origin, now, now)
        assert other.end_sessions("alice", "ldap") == 1
        assert [origin for origin in origins if store.get_session(made[origin].id) is None] == ["ldap"]
        assert other.end_sessions("alice") == 2
        assert [origin for origin in origins if store.get_session(made[origin].id)] == list(origins[3:])
        assert store.end_session(made["ldap:acme"].id)
        assert list(store.list_sessions("alice", "ldap:acme")) == []

    def test_sessions_are_listed_the_oldest_first(self) -> None:
        store = self.make_tokenstore()
        made = [self.make_session(created_at=_now() - timedelta(minutes=minutes)) for minutes in (1, 3, 0, 2)]
        for session in (*made, self.make_session("bob")):
            store.add_session(session)
        assert list(self.open_again(store).list_sessions("alice")) == sorted(made, key=lambda each: each.created_at)

    def test_an_expired_session_has_ended(self) -> None:
        store = self.make_tokenstore()
        session = self.make_session(expires_at=_now() - timedelta(seconds=1))
        store.add_session(session)
        assert store.get_session(session.id) is None
        assert list(store.list_sessions("alice")) == []

    def test_a_refresh_replaces_the_token_that_was_expected(self) -> None:
        store = self.make_tokenstore()
        session = self.make_session()
        store.add_session(session)
        first, second, now = b"\x00\xff" * 16, b"s" * 32, _now()
        assert self.open_again(store).refresh_session(session.id, expected=first, refresh_digest=second, at=now)
        assert store.get_session(session.id) == replace(
            session, refresh_digest=second, former_refresh_digest=first, refreshed_at=now
        )
        assert not store.refresh_session(session.id, expected=first, refresh_digest=b"t" * 32, at=now)

    def test_of_two_refreshes_at_the_same_moment_exactly_one_wins(self) -> None:
        store = self.make_tokenstore()
        others = [self.open_again(store) for _ in range(8)]
        for _ in range(5):
            session = self.make_session()
            store.add_session(session)
            assert sorted(self._refresh_at_once(others, session.id)) == [False] * 7 + [True]

    def _refresh_at_once(self, stores: list[AbstractTokenstore], session_id: str) -> list[bool]:
        won: list[bool] = []
        waiting = list(enumerate(stores))

        def refresh() -> None:
            number, store = waiting.pop()
            new = bytes([number]) * 32
            won.append(store.refresh_session(session_id, expected=b"\x00\xff" * 16, refresh_digest=new, at=_now()))

        run_in_threads(refresh)
        return won

    def test_a_use_is_written_down(self) -> None:
        store = self.make_tokenstore()
        session = self.make_session()
        store.add_session(session)
        now = _now()
        store.record_uses({session.id: now, "A" * 16: now})
        found = self.open_again(store).get_session(session.id)
        assert found is not None
        assert found.last_used_at == now

    def test_a_revoked_token_is_so_for_everybody_and_others_are_not(self) -> None:
        store = self.make_tokenstore()
        if type(store).revoke is AbstractTokenstore.revoke:
            return  # it keeps no such list, and says so
        ends = _now() + timedelta(hours=1)
        for _ in range(2):  # whoever revokes it a second time is not refused
            store.revoke("a" * 64, ends)
        store.revoke("b" * 64, datetime(9999, 12, 31, tzinfo=timezone.utc))
        other = self.open_again(store)
        assert [other.is_revoked(each * 64) for each in "abAc*"] == [True, True, False, False, False]

    def test_no_digest_shows_in_a_repr(self) -> None:
        store = self.make_tokenstore()
        session = self.make_session(refresh_digest=b"planted-digest-of-32-bytes-exact", password_mark="planted-mark")
        store.add_session(session)
        assert "planted" not in f"{store!r} {store.get_session(session.id)!r}"


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
