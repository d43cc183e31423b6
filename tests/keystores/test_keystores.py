"""Keys of a keystore: how they are written, what is known of them, and who is let in by them."""

import gc
import logging
import os
import re
import signal
import threading
import weakref
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from helpers import KEY, api_key, in_whole_seconds, new_who, secured, wait_until, with_key
from hypothesis import given
from hypothesis import strategies as st

from flask_securest import User, optional, require
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.keystores import AbstractKeystore, ApiKey, SimpleKeystore
from flask_securest.keystores.format import digest_of, find_key_id, key_pattern, make_key
from flask_securest.keystores.models import KeyUse
from flask_securest.signals import replaced_credentials_used
from flask_securest.support.uses import UseRecorder
from flask_securest.testing import AuthenticationProviderContract, KeystoreContract
from flask_securest.userstores import SimpleUserstore


class TestSimpleKeystore(KeystoreContract):
    def make_keystore(self):
        return SimpleKeystore()


class TestKeystoreProvider(AuthenticationProviderContract):
    USERNAME = "ci"

    @pytest.fixture(autouse=True)
    def _store(self):
        self.keystore = SimpleKeystore()
        self.issued = self.keystore.issue(app_name="ci")
        self.SECRETS = (self.issued.text[26:],)

    def make_provider(self):
        return HeaderApiKeyAuthenticator(keystore=self.keystore)

    def good_headers(self, provider):
        return {"X-API-Key": self.issued.text}

    def wrong_headers(self, provider):
        another = SimpleKeystore().issue(app_name="ci").text
        mine = make_key(key_id=self.issued.key.id).text
        for value in (
            "x",
            KEY,
            another,
            mine,
            self.issued.text[:-1],
            self.issued.text.upper(),
            self.issued.text + "==",
        ):
            yield {"X-API-Key": value}


class TestFormat:
    def test_a_key_tells_its_prefix_and_its_id_and_a_scanner_finds_it(self):
        new = make_key("acme")
        prefix, key_id, secret = new.text.split("_")
        assert (prefix, key_id, len(secret)) == ("acme", new.id, 49)
        assert new.digest == digest_of(new.text.encode())
        found = re.search(key_pattern("acme"), f'api_key = "{new.text}"  # do not commit')
        assert found[0] == new.text
        assert not re.search(key_pattern("other"), new.text)

    def test_no_two_keys_are_alike(self):
        made = [make_key() for _ in range(1000)]
        assert len({new.id for new in made}) == len({new.text[26:] for new in made}) == 1000

    def test_every_single_typo_is_told_without_a_look_up(self):
        key = make_key().text
        assert find_key_id(key.encode()) is not None
        for at in range(len(key)):
            for other in "aZ0_":
                typo = key[:at] + other + key[at + 1 :]
                assert typo == key or find_key_id(typo.encode()) is None
            assert find_key_id((key[:at] + key[at + 1 :]).encode()) is None

    @given(st.binary(max_size=200))
    def test_random_bytes_are_no_key(self, sent):
        assert find_key_id(sent) is None

    @pytest.mark.parametrize("prefix", ["", "a", "Acme", "acme_", "1acme", "a" * 21, "äcme", None, 7, "acme\n"])
    def test_a_prefix_that_would_make_keys_ambiguous_is_a_clear_error(self, prefix):
        with pytest.raises(ConfigurationError, match="prefix"):
            SimpleKeystore(prefix=prefix)


class TestApiKey:
    def make(self, **known):
        return ApiKey(**{"id": "A" * 16, "digest": b"d", "app_name": "ci", "created_at": in_whole_seconds(), **known})

    @pytest.mark.parametrize(
        ("known", "error"),
        [
            ({"app_name": None}, ValueError),
            ({"owner": "alice"}, ValueError),
            ({"app_name": ""}, ValueError),
            ({"scopes": "read"}, TypeError),
            ({"scopes": [""]}, ValueError),
            ({"networks": "10.0.0.0/8"}, TypeError),
            ({"networks": ["10.0.0.1/8"]}, ValueError),
            ({"networks": ["localhost"]}, ValueError),
            ({"created_at": "now"}, TypeError),
            ({"created_at": datetime(2026, 1, 1)}, ValueError),
            ({"expires_at": "tomorrow"}, TypeError),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, known, error):
        with pytest.raises(error):
            self.make(**known)

    @pytest.mark.parametrize(
        ("address", "allowed"),
        [
            ("10.1.2.3", True),
            ("::ffff:10.1.2.3", True),
            ("11.1.2.3", False),
            ("2001:db8::7", True),
            ("2001:db9::7", False),
            ("", False),
            (None, False),
            ("10.1.2.3, 8.8.8.8", False),
            ("unknown", False),
        ],
    )
    def test_addresses_are_held_against_its_networks(self, address, allowed):
        assert self.make(networks=["10.0.0.0/8", "2001:db8::/32"]).allows_address(address) is allowed
        assert self.make().allows_address(address)


USERS = SimpleUserstore(
    [
        User("alice", roles=["admin"], attributes={"scopes": ["read", "write"]}),
        User("bob", active=False),
        User("carol"),
    ]
)


class TestWhoIsLetIn:
    @pytest.fixture(autouse=True)
    def _api(self):
        self.keystore = SimpleKeystore()
        self.provider = HeaderApiKeyAuthenticator(keystore=self.keystore)
        resource = new_who(
            put=require(roles="admin")(_new_method()),
            post=require(scopes="write")(_new_method()),
            patch=optional(_new_method()),
        )
        self.app, _, self.securest = secured(resource, providers=[self.provider], userstore=USERS)
        self.client = self.app.test_client()

    def ask(self, text, verb="get", **options):
        return getattr(self.client, verb)("/who", headers={"X-API-Key": text}, **options)

    def test_a_key_of_an_application_is_a_caller_without_roles(self):
        issued = self.keystore.issue(app_name="ci")
        assert self.ask(issued.text).json == {"user": "ci", "provider": "api-key"}
        assert self.ask(issued.text, "put").status_code == 403
        assert self.ask(issued.text, "post").status_code == 200

    def test_a_key_of_a_user_has_the_users_roles_and_at_most_its_scopes(self):
        issued = self.keystore.issue(owner=USERS.get_user("alice"))
        assert self.ask(issued.text).json["user"] == "alice"
        assert self.ask(issued.text, "put").status_code == 200
        assert self.ask(issued.text, "post").status_code == 200
        limited = self.keystore.issue(owner=USERS.get_user("alice"), scopes=["read"])
        assert self.ask(limited.text, "post").status_code == 403
        with pytest.raises(ValueError, match="delete"):
            self.keystore.issue(owner=USERS.get_user("alice"), scopes=["read", "delete"])

    def test_a_key_loses_the_scopes_that_its_owner_has_lost(self):
        issued = self.keystore.issue(owner=User("alice", attributes={"scopes": ["write", "delete"]}), scopes=["delete"])
        assert self.ask(issued.text).status_code == 200
        assert self.ask(issued.text, "post").status_code == 403

    def test_a_key_of_a_disabled_user_or_of_one_that_is_gone_is_refused(self, caplog):
        caplog.set_level(logging.INFO)
        for user, why in ((User("bob"), "not active"), (User("dan"), "gone")):
            assert self.ask(self.keystore.issue(owner=user).text).status_code == 401
            assert why in caplog.text

    def test_a_key_of_a_user_needs_a_userstore(self):
        self.securest.userstore = None
        assert self.ask(self.keystore.issue(owner=User("alice")).text).status_code == 500
        assert self.ask(self.keystore.issue(app_name="ci").text).status_code == 200

    def test_a_key_ends_at_its_expiry(self, caplog):
        caplog.set_level(logging.INFO)
        assert (
            self.ask(self.keystore.issue(app_name="ci", expires_at=in_whole_seconds(hours=1)).text).status_code == 200
        )
        assert self.ask(self.keystore.issue(app_name="ci", expires_at=in_whole_seconds()).text).status_code == 401
        assert "has expired" in caplog.text

    def test_a_key_is_good_only_from_its_networks(self):
        issued = self.keystore.issue(app_name="ci", networks=["10.0.0.0/8"])
        assert self.ask(issued.text, environ_base={"REMOTE_ADDR": "10.9.8.7"}).status_code == 200
        assert self.ask(issued.text, environ_base={"REMOTE_ADDR": "8.8.8.8"}).status_code == 401
        assert self.ask(issued.text, environ_base={"REMOTE_ADDR": ""}).status_code == 401

    def test_a_revoked_key_is_refused_with_both_of_its_secrets(self):
        issued = self.keystore.issue(app_name="ci")
        rotated = self.keystore.rotate(issued.key.id)
        self.keystore.revoke(issued.key.id)
        assert self.ask(issued.text).status_code == self.ask(rotated.text).status_code == 401

    def test_a_wrong_key_is_not_anonymous(self):
        assert self.ask(make_key().text, "patch").status_code == 401
        assert self.client.patch("/who").status_code == 200

    def test_registered_keys_go_on_working_beside_the_keystore(self):
        self.provider.register_key(KEY, "billing")
        assert self.ask(KEY).json["user"] == "billing"
        assert self.ask(self.keystore.issue(app_name="ci").text).json["user"] == "ci"

    def test_a_typo_is_refused_without_a_look_up(self):
        issued = self.keystore.issue(app_name="ci")
        self.keystore.get_key = None  # calling it would be a 500
        for wrong in (issued.text[:-1] + ("a" if issued.text[-1] != "a" else "b"), "x", KEY):
            assert self.ask(wrong).status_code == 401

    def test_the_log_tells_the_id_of_a_wrong_key_and_no_secret(self, caplog):
        caplog.set_level(logging.INFO)
        issued = self.keystore.issue(app_name="ci")
        forged = make_key(key_id=issued.key.id)
        assert self.ask(forged.text).status_code == 401
        assert issued.key.id in caplog.text
        assert forged.text[26:] not in caplog.text
        assert "wrong secret" in caplog.text

    def test_a_keystore_that_is_down_is_503(self, monkeypatch):
        def fail(key_id):
            raise BackendError("down")

        issued = self.keystore.issue(app_name="ci")
        monkeypatch.setattr(self.keystore, "get_key", fail)
        assert self.ask(issued.text).status_code == 503

    def test_credentials_have_the_id_of_the_key(self):
        from flask_securest import current_identity

        seen = []
        resource = new_who(get=lambda self: seen.append(current_identity._get_current_object()) or {})
        client = secured(resource, providers=[self.provider], userstore=USERS)[0].test_client()
        ends = in_whole_seconds(hours=1)
        issued = self.keystore.issue(app_name="ci", expires_at=ends, scopes=["read"])
        client.get("/who", headers={"X-API-Key": issued.text})
        ((identity),) = seen
        assert identity.credential_id == issued.key.id
        assert identity.expires_at == ends
        assert identity.scopes == {"read"}
        assert identity.app_name == "ci"

    def test_what_is_no_keystore_is_a_clear_error(self):
        with pytest.raises(ConfigurationError, match="keystore"):
            HeaderApiKeyAuthenticator(keystore={"key": "ci"})


def _new_method():
    return lambda self: {}


class TestRotation:
    @pytest.fixture(autouse=True)
    def _api(self):
        self.keystore = SimpleKeystore()
        providers = [HeaderApiKeyAuthenticator(keystore=self.keystore)]
        self.app, _, self.securest = secured(new_who(put=require(roles="admin")(_new_method())), providers=providers)
        self.client = self.app.test_client()
        self.issued = self.keystore.issue(app_name="ci")

    def test_the_former_secret_works_until_its_sunset_and_the_answer_says_so(self):
        rotated = self.keystore.rotate(self.issued.key.id, overlap=timedelta(hours=1))
        answer = self.client.get("/who", headers={"X-API-Key": self.issued.text})
        assert answer.status_code == 200
        assert answer.headers["Deprecation"] == f"@{int(rotated.key.rotated_at.timestamp())}"
        assert parsedate_to_datetime(answer.headers["Sunset"]) == rotated.key.sunset_at
        answer = self.client.get("/who", headers={"X-API-Key": rotated.text})
        assert answer.status_code == 200
        assert "Deprecation" not in answer.headers
        assert "Sunset" not in answer.headers

    def test_a_refusal_says_so_too(self):
        self.keystore.rotate(self.issued.key.id)
        answer = self.client.put("/who", headers={"X-API-Key": self.issued.text})
        assert answer.status_code == 403
        assert "Deprecation" in answer.headers

    def test_after_its_sunset_the_former_secret_is_expired(self, caplog):
        caplog.set_level(logging.INFO)
        rotated = self.keystore.rotate(self.issued.key.id, overlap=timedelta(0))
        assert self.client.get("/who", headers={"X-API-Key": self.issued.text}).status_code == 401
        assert "was replaced and has expired" in caplog.text
        assert self.client.get("/who", headers={"X-API-Key": rotated.text}).status_code == 200

    def test_a_second_rotation_ends_the_first_secret(self):
        second = self.keystore.rotate(self.issued.key.id)
        third = self.keystore.rotate(self.issued.key.id)
        statuses = [
            self.client.get("/who", headers={"X-API-Key": each.text}).status_code
            for each in (self.issued, second, third)
        ]
        assert statuses == [401, 200, 200]

    def test_the_expiry_of_the_key_comes_before_a_later_sunset(self):
        ends = in_whole_seconds(days=5)
        expiring = self.keystore.issue(app_name="ci", expires_at=ends)
        self.keystore.rotate(expiring.key.id)
        answer = self.client.get("/who", headers={"X-API-Key": expiring.text})
        assert parsedate_to_datetime(answer.headers["Sunset"]) == ends

    def test_a_signal_tells_who_still_uses_the_former_one(self):
        heard = []

        def receive(sender, request, identity):
            heard.append((sender, identity.credential_id, identity.app_name))

        rotated = self.keystore.rotate(self.issued.key.id)
        with _connected(replaced_credentials_used, receive):
            self.client.get("/who", headers={"X-API-Key": rotated.text})
            self.client.get("/who", headers={"X-API-Key": self.issued.text})
        assert heard == [(self.securest, self.issued.key.id, "ci")]

    def test_a_receiver_that_fails_changes_no_answer(self, caplog):
        def fail(sender, **what):
            raise RuntimeError("mail server down")

        self.keystore.rotate(self.issued.key.id)
        with _connected(replaced_credentials_used, fail):
            assert self.client.get("/who", headers={"X-API-Key": self.issued.text}).status_code == 200
        assert "replaced-credentials-used" in caplog.text

    def test_a_negative_overlap_is_refused(self):
        with pytest.raises(ValueError, match="overlap"):
            self.keystore.rotate(self.issued.key.id, overlap=timedelta(seconds=-1))

    def test_who_still_uses_the_former_one_is_written_down(self):
        self.keystore.rotate(self.issued.key.id)
        self.client.get("/who", headers={"X-API-Key": self.issued.text})
        wait_until(lambda: self.keystore.get_key(self.issued.key.id).former_last_used_at is not None)
        assert self.keystore.get_key(self.issued.key.id).last_used_at is None


@contextmanager
def _connected(signal, receiver):
    with signal.connected_to(receiver):
        yield


class Recording(AbstractKeystore):
    def __init__(self):
        self.written = []
        self.threads = set()
        self.release = threading.Event()
        self.release.set()

    def get_key(self, key_id):
        return None

    def record_uses(self, uses):
        self.threads.add(threading.current_thread().name)
        assert self.release.wait(60)
        self.written.append(dict(uses))


USE = KeyUse("A" * 16, False)


class TestUses:
    def test_one_key_is_written_once_a_minute_and_its_former_secret_for_itself(self, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr("flask_securest.support.uses.time.monotonic", lambda: now[0])
        store = Recording()
        recorder = UseRecorder(store)
        for _ in range(100):
            recorder.record(USE)
        recorder.record(USE._replace(former=True))
        assert recorder.flush(10)
        now[0] += 59
        recorder.record(USE)
        now[0] += 1
        recorder.record(USE)
        assert recorder.flush(10)
        assert [use for uses in store.written for use in uses].count(USE) == 2
        assert [use for uses in store.written for use in uses].count(USE._replace(former=True)) == 1

    def test_a_request_does_not_wait_for_the_store(self):
        store = Recording()
        store.release.clear()
        recorder = UseRecorder(store)
        for number in range(1000):
            recorder.record(KeyUse(f"{number:016}", False))
        assert store.written == [], "they have waited until the store gave up"
        assert not recorder.flush(0.01)
        store.release.set()
        assert recorder.flush(10)
        assert len({use for uses in store.written for use in uses}) == 1000
        assert "MainThread" not in store.threads

    def test_no_thread_is_started_before_the_first_use_nor_for_a_store_that_writes_nothing_down(self):
        class Silent(AbstractKeystore):
            def get_key(self, key_id):
                return None

        before = set(threading.enumerate())
        UseRecorder(Recording())
        assert HeaderApiKeyAuthenticator(keystore=Silent())._uses is None
        assert set(threading.enumerate()) <= before

    def test_what_is_remembered_has_an_end(self, monkeypatch):
        monkeypatch.setattr("flask_securest.support.uses._MOST_KEYS", 10)
        recorder = UseRecorder(Recording())
        for number in range(1000):
            recorder.record(KeyUse(f"{number:016}", False))
        assert len(recorder._written) <= 10

    def test_a_store_that_fails_is_logged_and_asked_again(self, caplog):
        store = Recording()
        recorder = UseRecorder(store)
        record_uses, store.record_uses = store.record_uses, None
        recorder.record(USE)
        assert recorder.flush(10)
        assert "could not be written" in caplog.text
        store.record_uses = record_uses
        recorder.record(USE._replace(former=True))
        assert recorder.flush(10)
        assert [*store.written] != []

    def test_a_fork_gets_a_thread_and_locks_of_its_own(self):
        store = Recording()
        recorder = UseRecorder(store)
        recorder.record(USE)
        assert recorder.flush(10)
        reading, writing = os.pipe()
        with recorder._changing:  # as another thread may just hold it
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                recorder.record(USE._replace(former=True))
                written = recorder.flush(5) and len(store.written) == 2
                os.write(writing, b"1" if written else b"0")
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 1) == b"1"
        os.close(reading)
        os.close(writing)

    def test_a_recorder_that_is_thrown_away_is_freed_with_its_thread_and_its_store(self):
        before = set(threading.enumerate())
        stores = [Recording() for _ in range(5)]
        kept = [weakref.ref(store) for store in stores]
        recorders = [UseRecorder(store) for store in stores]
        for recorder in recorders:
            recorder.record(USE)
            assert recorder.flush(10)
        del recorder, recorders, stores
        wait_until(lambda: before.issuperset(threading.enumerate()))  # others, of former tests, may end meanwhile
        gc.collect()
        assert [store() for store in kept] == [None] * 5

    def test_a_disabled_owners_key_is_not_noted_as_used(self):
        keystore = SimpleKeystore()
        provider = HeaderApiKeyAuthenticator(keystore=keystore)
        issued = keystore.issue(owner=User("bob"))
        client = secured(new_who(), providers=[provider], userstore=USERS)[0].test_client()
        assert client.get("/who", headers={"X-API-Key": issued.text}).status_code == 401
        assert provider._uses._written == {}


def test_a_key_that_is_registered_never_reaches_the_keystore():
    provider = api_key()
    provider.keystore = Recording()
    client = secured(new_who(), providers=[provider])[0].test_client()
    assert client.get("/who", headers=with_key()).status_code == 200


def test_a_stale_view_of_a_key_replaces_nothing():
    keystore = SimpleKeystore()
    issued = keystore.issue(app_name="ci")
    keystore.revoke(issued.key.id)
    assert not keystore.replace_key(replace(issued.key, note="still good"), expected=issued.key)
    assert not keystore.replace_key(replace(issued.key, id="B" * 16), expected=issued.key)
