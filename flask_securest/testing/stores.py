"""What every userstore and every keystore has to pass. Import it from :mod:`flask_securest.testing`."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import ClassVar

from ..keystores.abstract import AbstractWritableKeystore
from ..keystores.models import ApiKey, KeyUse
from ..models import User, require_user
from ..userstores.abstract import AbstractUserstore, AbstractWritableUserstore


class UserstoreContract(ABC):
    """What every userstore has to do."""

    #: The users that the store under test has to have, in whatever way it keeps them.
    ALICE: ClassVar[User] = User("alice", "$5$rounds=1000$alice$hash", roles=["admin", "author"])
    BOB: ClassVar[User] = User("bob", active=False)

    #: Texts that come from outside and are nobody's name. A store that takes ``ALICE`` for alice on purpose, as
    #: directories and some databases do, takes it out.
    NOBODY: ClassVar[tuple[str, ...]] = (
        "",
        " ",
        "nobody",
        "ALICE",
        " alice",
        "alice ",
        "alice\n",
        "alice\x00",
        "alic",
        "alice' OR '1'='1",
        "alice)(uid=*",
        "*",
        "../alice",
        "ａｌｉｃｅ",  # noqa: RUF001  # full-width letters, which some normalise to plain ones
        "\ud800",
        "a" * 100_000,
    )

    @abstractmethod
    def make_userstore(self) -> AbstractUserstore:
        """Return a store that has :attr:`ALICE` and :attr:`BOB`, and nobody else."""

    def test_it_is_a_userstore(self) -> None:
        assert isinstance(self.make_userstore(), AbstractUserstore)

    def test_a_user_comes_with_name_hash_status_and_roles(self) -> None:
        user = self.make_userstore().get_user("alice")
        assert user is not None
        assert require_user(user) is user
        assert user.username == "alice"
        assert user.password == self.ALICE.password
        assert user.active
        assert set(user.roles) == {"admin", "author"}

    def test_a_disabled_user_is_returned_as_such(self) -> None:
        user = self.make_userstore().get_user("bob")
        assert user is not None
        assert not user.active
        assert not user.password
        assert not user.roles

    def test_whoever_is_not_there_is_none(self) -> None:
        store = self.make_userstore()
        for identifier in self.NOBODY:
            assert store.get_user(identifier) is None, identifier[:50]

    def test_asking_changes_nothing(self) -> None:
        store = self.make_userstore()
        first, second = store.get_user("alice"), store.get_user("alice")
        assert first is not None
        assert second is not None
        assert (first.username, set(first.roles)) == (second.username, set(second.roles))

    def test_no_hash_shows_in_a_repr(self) -> None:
        store = self.make_userstore()
        for shown in (repr(store), repr(store.get_user("alice"))):
            assert str(self.ALICE.password) not in shown

    def test_several_threads_may_ask_at_once(self) -> None:
        store = self.make_userstore()
        wrong: list[object] = []

        def ask() -> None:
            for _ in range(50):
                alice, nobody = store.get_user("alice"), store.get_user("nobody")
                if alice is None or alice.username != "alice" or nobody is not None:
                    wrong.append((alice, nobody))

        run_in_threads(ask)
        assert not wrong


class WritableUserstoreContract(UserstoreContract):
    """What every userstore that can be written has to do besides."""

    @abstractmethod
    def make_userstore(self) -> AbstractWritableUserstore:
        """Return a store that has ``ALICE`` and ``BOB``, and nobody else."""

    def open_again(self, store: AbstractWritableUserstore) -> AbstractWritableUserstore:
        """Return the same store as another process would open it.

        :param store: the store
        """
        return store

    def test_who_is_added_is_there_for_everybody(self) -> None:
        store = self.make_userstore()
        other = self.open_again(store)
        assert store.add_users([User("carol", "hash-of-carol", roles=["author"]), User("dan", active=False)]) == 2
        carol = other.get_user("carol")
        assert carol is not None
        assert (carol.username, carol.password, carol.active, set(carol.roles)) == (
            *("carol", "hash-of-carol", True),
            {"author"},
        )
        dan = other.get_user("dan")
        assert dan is not None
        assert not dan.active

    def test_all_are_added_or_none(self) -> None:
        store = self.make_userstore()
        for wrong in (
            [User("carol"), User("alice")],
            [User("carol"), User("dan"), User("carol")],
            [User("carol"), User("dan", groups=["nowhere"])],
        ):
            error = _assert_raises(ValueError, lambda wrong=wrong: store.add_users(wrong))
            assert any(name in str(error) for name in ("alice", "carol", "dan"))
            assert store.get_user("carol") is None
            assert store.get_user("dan") is None

    def test_users_are_listed_by_name(self) -> None:
        store = self.make_userstore()
        store.add_users([User("zoe"), User("aaron")])
        assert [user.username for user in store.list_users()] == ["aaron", "alice", "bob", "zoe"]

    def test_a_change_is_seen_by_everybody_with_the_next_question(self) -> None:
        store = self.make_userstore()
        other = self.open_again(store)
        assert store.set_active("alice", False)
        assert store.set_password("alice", "another")
        assert store.set_roles("alice", ["author", "reviewer"])
        alice = other.get_user("alice")
        assert alice is not None
        assert (alice.active, alice.password, set(alice.roles)) == (False, "another", {"author", "reviewer"})
        assert other.set_active("alice", True)
        assert other.set_password("alice", None)
        assert other.set_roles("alice", [])
        alice = store.get_user("alice")
        assert alice is not None
        assert (alice.active, alice.password, set(alice.roles)) == (True, None, set())

    def test_a_password_is_renewed_only_in_place_of_the_one_that_was_expected(self) -> None:
        store = self.make_userstore()
        assert store.set_password("alice", "new", expected=self.ALICE.password)
        assert not store.set_password("alice", "newer", expected=self.ALICE.password)
        alice = store.get_user("alice")
        assert alice is not None
        assert alice.password == "new"

    def test_of_several_who_expect_the_same_password_one_sets_it(self) -> None:
        store = self.make_userstore()
        stored: list[bool] = []
        run_in_threads(lambda: stored.append(store.set_password("alice", "new", expected=self.ALICE.password)))
        assert sorted(stored) == [False] * 7 + [True]

    def test_who_is_removed_is_gone(self) -> None:
        store = self.make_userstore()
        other = self.open_again(store)
        assert store.remove_user("alice")
        assert other.get_user("alice") is None
        assert not other.remove_user("alice")
        assert [user.username for user in other.list_users()] == ["bob"]
        other.add_users([User("alice")])
        alice = store.get_user("alice")
        assert alice is not None
        assert not alice.roles

    def test_whoever_is_not_there_cannot_be_changed(self) -> None:
        store = self.make_userstore()
        for name in self.NOBODY:
            assert not store.set_active(name, True), name[:50]
            assert not store.set_password(name, "hash"), name[:50]
            assert not store.set_roles(name, ["admin"]), name[:50]
            assert not store.remove_user(name), name[:50]
        assert [user.username for user in store.list_users()] == ["alice", "bob"]


class KeystoreContract(ABC):
    """What every keystore that can be written has to do."""

    @abstractmethod
    def make_keystore(self) -> AbstractWritableKeystore:
        """Return a store without any keys."""

    def open_again(self, store: AbstractWritableKeystore) -> AbstractWritableKeystore:
        """Return the same store as another process would open it.

        :param store: the store
        """
        return store

    def test_a_key_is_found_by_its_id_with_all_that_is_known_of_it(self) -> None:
        store = self.make_keystore()
        tomorrow = _now() + timedelta(days=1)
        odd = "line\nß '\""
        limited: list[dict[str, object]] = [
            {"scopes": None},
            {"scopes": []},
            {
                "scopes": ["write", "read"],
                "networks": ["10.0.0.0/8", "::1/128"],
                "note": odd,
                "app_name": "a'",
            },
            {"expires_at": tomorrow},
        ]
        for limits in limited:
            issued = store.issue(**{"app_name": "ci", **limits})  # type: ignore[arg-type]
            assert self.open_again(store).get_key(issued.key.id) == issued.key
        issued = store.issue(owner=User("alice"))
        assert self.open_again(store).get_key(issued.key.id) == issued.key

    def test_keys_of_two_users_of_one_name_and_different_origins_stay_theirs(self) -> None:
        store = self.make_keystore()
        other = self.open_again(store)
        issued = {origin: store.issue(owner=User("alice"), owner_origin=origin) for origin in (None, "ldap", "ldap:a")}
        for origin, each in issued.items():
            found = other.get_key(each.key.id)
            assert found == each.key
            assert found.owner_origin == origin
        assert {key.id for key in other.list_keys()} == {each.key.id for each in issued.values()}
        rotated = other.rotate(issued["ldap"].key.id)
        assert rotated.key.owner_origin == "ldap"
        assert other.revoke(issued["ldap:a"].key.id).revoked_at is not None
        store.record_uses({KeyUse(each.key.id, False): _now() for each in issued.values()})
        used = [other.get_key(each.key.id) for each in issued.values()]
        assert all(key is not None and key.last_used_at is not None for key in used)
        assert store.get_key(issued[None].key.id).digest == issued[None].key.digest  # type: ignore[union-attr]

    def test_an_id_that_nobody_has_finds_nothing(self) -> None:
        store = self.make_keystore()
        issued = store.issue(app_name="ci")
        for key_id in ("", "A" * 16, issued.key.id.swapcase(), issued.key.id[:-1], "' OR '1'='1", "%"):
            assert store.get_key(key_id) is None

    def test_no_key_shows_in_a_repr(self) -> None:
        store = self.make_keystore()
        issued = store.issue(app_name="ci")
        shown = f"{store!r} {issued!r} {store.get_key(issued.key.id)!r} {store.rotate(issued.key.id)!r}"
        assert issued.text[-40:] not in shown
        assert repr(issued.key.digest)[2:-1] not in shown
        assert issued.key.digest.hex() not in shown

    def test_all_keys_are_added_or_none(self) -> None:
        store = self.make_keystore()
        first, second = (store.make(app_name="ci").key for _ in range(2))
        assert store.add_keys([first]) == 1
        for wrong in ([second, first], [second, second]):
            _assert_raises(ValueError, lambda wrong=wrong: store.add_keys(wrong))
            assert store.get_key(second.id) is None
        assert store.add_keys([]) == 0

    def test_keys_are_listed_the_oldest_first(self) -> None:
        store = self.make_keystore()
        made = [
            replace(store.make(app_name="ci").key, created_at=_now() - timedelta(hours=hours)) for hours in (1, 3, 0, 2)
        ]
        store.add_keys(made)
        assert list(store.list_keys()) == sorted(made, key=lambda key: key.created_at)

    def test_a_rotated_key_knows_its_former_secret_until_its_sunset(self) -> None:
        store = self.make_keystore()
        issued = store.issue(app_name="ci", scopes=["read"])
        rotated = store.rotate(issued.key.id, overlap=timedelta(hours=1))
        found = self.open_again(store).get_key(issued.key.id)
        assert found == rotated.key
        assert found is not None
        assert found.scopes == {"read"}
        assert found.former_digest == issued.key.digest != found.digest
        assert found.rotated_at is not None
        assert found.sunset_at == found.rotated_at + timedelta(hours=1)
        again = store.rotate(issued.key.id)
        assert again.key.former_digest == rotated.key.digest
        assert store.get_key(issued.key.id) == again.key

    def test_a_revoked_key_stays_in_the_list_and_cannot_be_rotated(self) -> None:
        store = self.make_keystore()
        issued = store.issue(app_name="ci")
        revoked = self.open_again(store).revoke(issued.key.id)
        assert revoked.revoked_at is not None
        assert list(store.list_keys()) == [revoked]
        assert store.revoke(issued.key.id) == revoked
        _assert_raises(ValueError, lambda: store.rotate(issued.key.id))
        _assert_raises(KeyError, lambda: store.rotate("A" * 16))
        _assert_raises(KeyError, lambda: store.revoke("A" * 16))

    def test_of_two_changes_at_once_none_is_lost(self) -> None:
        store = self.make_keystore()
        issued = store.issue(app_name="ci")
        rotated: list[ApiKey] = []
        run_in_threads(lambda: rotated.append(store.rotate(issued.key.id).key))
        former = {key.former_digest for key in rotated}
        assert len(former) == 8
        # Each took the place of one that had been in force: there is one that nobody replaced, and it is in force now.
        (last,) = [key.digest for key in rotated if key.digest not in former]
        assert (found := store.get_key(issued.key.id)) is not None
        assert found.digest == last
        assert not store.replace_key(replace(found, note="stale"), expected=issued.key)

    def test_no_change_that_came_first_is_undone(self) -> None:
        store = self.make_keystore()
        changes: list[dict[str, object]] = [
            {"networks": ["10.0.0.0/8"]},
            {"scopes": ["read"]},
            {"scopes": []},
            {"expires_at": _now() + timedelta(days=1)},
            {"note": "changed"},
            {"owner": "alice", "app_name": None},
            {"revoked_at": _now()},
            {"former_digest": b"f" * 32, "rotated_at": _now(), "sunset_at": _now()},
        ]
        for change in changes:
            known = store.issue(app_name="ci", networks=["192.0.2.0/24"]).key
            changed = replace(known, **change)  # type: ignore[arg-type]
            assert self.open_again(store).replace_key(changed, expected=known)
            # As a rotation that had read the key before, and writes it now.
            assert not store.replace_key(replace(known, digest=b"d" * 32), expected=known), change
            assert store.get_key(known.id) == changed

    def test_a_use_is_no_change(self) -> None:
        store = self.make_keystore()
        known = store.issue(app_name="ci").key
        store.record_uses({KeyUse(known.id, False): _now()})
        assert store.replace_key(replace(known, note="changed"), expected=known)
        found = store.get_key(known.id)
        assert found is not None
        assert found.note == "changed"
        assert found.last_used_at is not None

    def test_text_that_databases_cannot_keep_is_refused(self) -> None:
        store = self.make_keystore()
        for odd in ("\ud800", "a\x00b"):
            for wrong in ({"app_name": odd}, {"app_name": "ci", "note": odd}, {"app_name": "ci", "scopes": [odd]}):
                error = _assert_raises(ValueError, lambda wrong=wrong: store.issue(**wrong))
                assert type(error) is ValueError, error
        assert list(store.list_keys()) == []

    def test_a_use_is_written_down_and_survives_a_rotation(self) -> None:
        store = self.make_keystore()
        key_id = store.issue(app_name="ci").key.id
        now = _now()
        store.record_uses({KeyUse(key_id, False): now, KeyUse("A" * 16, False): now})
        store.rotate(key_id)
        store.record_uses({KeyUse(key_id, True): now + timedelta(minutes=2)})
        found = self.open_again(store).get_key(key_id)
        assert found is not None
        assert (found.last_used_at, found.former_last_used_at) == (now, now + timedelta(minutes=2))


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _assert_raises(expected: type[Exception], function: object) -> Exception:
    try:
        function()  # type: ignore[operator]
    except expected as error:
        return error
    raise AssertionError(f"no {expected.__name__} was raised")


def run_in_threads(function: object) -> None:
    """Run a function in eight threads at once.

    :param function: the function, without parameters
    """
    threads = [threading.Thread(target=function) for _ in range(8)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
