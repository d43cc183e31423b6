"""HtpasswdUserstore: what the real htpasswd writes is verified, and nothing else lets anybody in."""

import logging
import os
import subprocess
import sys
import threading
import time
import traceback

import pytest
from helpers import Who, basic, how_many, new_who, secured, show
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from passlib import hash as passlib_hash
from servers.process import find_program

from flask_securest import User, require
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.passwords import PasswordHasher
from flask_securest.signals import userstore_file_rejected
from flask_securest.testing import UserstoreContract
from flask_securest.userstores import HtpasswdUserstore
from flask_securest.userstores.files import apache_hashes, watched_file

# Made by htpasswd of Apache 2.4; the password is "wonderland" each time.
MADE = {
    "-B": "$2y$05$VY4I7pFwdHaExDJqVWQ2GusSt0x1E0s86Gx2NjZrawt5.NjOR6h26",
    "-m": "$apr1$3QvZcTei$gt3HUnC/XLIdo1oCqeeUF1",
    "-s": "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=",
    "-d": "/sbiqGFNhorqg",
    "-2": "$5$3XKylBkVAUvvzDrA$ATl74Zl5cN8HT/LyOf4qQDLmp5IHo2gAGJj15fOSOp4",
    "-5": "$6$SRbKc0eU52DzM3KS$geSt4ty4z4rHKnFtmMLQZdQNrIKPmNP4VXvE63GuTR5ZpjfDJclkBH8YEJz616cDoxBwHBNtF9n8ZebD9mxXq/",
}
APR1 = MADE["-m"]


class Clock:
    def __init__(self):
        self.now = 1000.0
        self.time_ns = time.time_ns

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watched_file, "time", clock)
    return clock


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".htpasswd"


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def names_in(store):
    return [user.username for user in store.list_users()]


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


class TestHtpasswdUserstore(UserstoreContract):
    ALICE = User("alice", APR1, roles=["admin", "author"])

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        self.path = write(tmp_path / ".htpasswd", f"alice:{APR1}\nbob:!\n")
        self.groups = write(tmp_path / ".htgroup", "admin: carol alice\nauthor: alice\n")

    def make_userstore(self):
        return HtpasswdUserstore(self.path, groups=self.groups)


# What htpasswd writes


def htpasswd(*arguments):
    command = [find_program("htpasswd", "apache2-utils"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("option", MADE)
@pytest.mark.parametrize("password", ["wonderland", "short", "pässwörd ∑", "with:colon", "8 bytes!"])
def test_what_the_real_htpasswd_writes_is_verified_and_nothing_else(option, password, path):
    htpasswd("-cb", option, path, "zoë", "another password")
    htpasswd("-b", option, path, "alice", password)
    store = HtpasswdUserstore(path)
    assert store.verify_password("alice", password).username == "alice"
    assert store.verify_password("zoë", "another password").username == "zoë"
    for wrong in ("another password", "", password[:4], password.swapcase(), "x", store.get_user("alice").password):
        assert store.verify_password("alice", wrong) is None
    assert store.verify_password("bob", password) is None
    assert names_in(store) == ["alice", "zoë"]


@pytest.mark.parametrize(
    "options", [["-B", "-C", "4"], ["-B", "-C", "10"], ["-2", "-r", "1000"], ["-5", "-r", "10000"]]
)
def test_another_cost_is_verified_too(options, path):
    htpasswd("-cb", *options, path, "alice", "wonderland")
    store = HtpasswdUserstore(path)
    assert store.verify_password("alice", "wonderland")
    assert store.verify_password("alice", "wrong") is None


@pytest.mark.parametrize("option", MADE)
def test_what_htpasswd_has_written_is_verified_without_it(option, path):
    store = HtpasswdUserstore(write(path, f"alice:{MADE[option]}\n"))
    assert store.verify_password("alice", "wonderland") == User("alice", MADE[option])
    assert store.verify_password("alice", "Wonderland") is None
    assert store.get_user("alice").password == MADE[option]


def test_a_plain_password_of_htpasswd_lets_nobody_in(path, caplog):
    htpasswd("-cbp", path, "alice", "planted-secret")
    htpasswd("-bm", path, "bob", "builder")
    store = HtpasswdUserstore(path)
    assert store.get_user("alice") is None
    assert store.verify_password("alice", "planted-secret") is None
    assert store.verify_password("bob", "builder")
    assert messages(caplog) == [
        f"{path}, line 1 is skipped: a hash of no kind that Apache's htpasswd makes, or a plain password"
    ]


def test_users_come_in_through_an_api_by_what_htpasswd_has_written(path, tmp_path, clock):
    htpasswd("-cbB", path, "alice", "wonderland")
    htpasswd("-bs", path, "bob", "builder")
    groups = write(tmp_path / ".htgroup", "admin: alice\n")
    for_admins = require(roles="admin")(new_who("ForAdmins"))
    store = HtpasswdUserstore(path, groups=groups)
    app, _, _ = secured(Who, for_admins, userstore=store, providers=[PasswordAuthenticator()])
    client = app.test_client()
    assert client.get("/who", headers=basic("alice", "wonderland")).json["user"] == "alice"
    assert client.get("/who", headers=basic("bob", "builder")).json["user"] == "bob"
    assert client.get("/foradmins", headers=basic("alice", "wonderland")).status_code == 200
    assert client.get("/foradmins", headers=basic("bob", "builder")).status_code == 403
    for name, password in [
        ("alice", "builder"),
        ("bob", "wrong"),
        ("nobody", "x"),
        ("alice", "x" * 80),
        ("a", "x" * 999),
    ]:
        assert client.get("/who", headers=basic(name, password)).status_code == 401
    htpasswd("-D", path, "bob")
    clock.now += 1
    assert client.get("/who", headers=basic("bob", "builder")).status_code == 401
    assert client.get("/who", headers=basic("alice", "wonderland")).status_code == 200


# Lines


def test_comments_blank_lines_and_the_line_ends_of_windows_are_read_as_apache_does(path, caplog):
    text = f"\ufeff# users\r\n\r\n  \t\r\nalice:{APR1}\r\n   #bob:{APR1}\r\n  carol:{APR1}  \r\ndave smith:{APR1}:a comment"
    store = HtpasswdUserstore(write(path, text))
    assert names_in(store) == ["alice", "carol", "dave smith"]
    for name in names_in(store):
        assert store.verify_password(name, "wonderland"), name
    assert caplog.records == []


MALFORMED = {
    "no colon": ("mallory", "no colon"),
    "a hash alone": (APR1, "no colon"),
    "no name": (f":{APR1}", "no name"),
    "only a colon": (":", "no name"),
    "no hash": ("mallory:", "no hash"),
    "a comment for a hash": ("mallory::comment", "no hash"),
    "plain text": ("mallory:secret", "or a plain password"),
    "a hash in a hash": (f"mallory:x{APR1}", "or a plain password"),
    "something behind the hash": (f"mallory:{APR1}x", "or a plain password"),
    "a name in the hash": (f"mallory:alice:{APR1}", "or a plain password"),
    "a control character in the name": (f"mal\x07lory:{APR1}", "not printable"),
    "a tab in the name": (f"mal\tlory:{APR1}", "not printable"),
    "a line separator in the name": (f"mal\u2028lory:{APR1}", "not printable"),
    "a control character in the hash": (f"mallory:{APR1[:-1]}\x00", "or a plain password"),
    "no UTF-8 in the name": (f"mallor\udcff:{APR1}".encode("utf-8", "surrogateescape"), "no UTF-8"),
    "no UTF-8 in the hash": (b"mallory:\xff", "or a plain password"),
    "argon2": (f"mallory:{PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash('secret')}", "of no kind"),
    "md5_crypt": (f"mallory:{passlib_hash.md5_crypt.hash('secret')}", "of no kind"),
    "a salted SHA": (f"mallory:{passlib_hash.ldap_salted_sha1.hash('secret')}", "of no kind"),
    "hexadecimal": ("mallory:" + "0" * 40, "of no kind"),
    "half a bcrypt": ("mallory:" + MADE["-B"][:-1], "of no kind"),
    "a bcrypt that passlib would mend": ("mallory:" + MADE["-B"][:-1] + "/", "of no kind"),
    "a bcrypt of the broken kind": ("mallory:" + MADE["-B"].replace("2y", "2x"), "of no kind"),
    "a bcrypt for hours": ("mallory:" + MADE["-B"].replace("$05", "$31"), "between 4 and 17"),
    "a bcrypt for nothing": ("mallory:" + MADE["-B"].replace("$05", "$00"), "between 4 and 17"),
    "half a SHA": ("mallory:" + MADE["-s"][:-2], "of no kind"),
    "an empty SHA": ("mallory:{SHA}", "of no kind"),
    "rounds for hours": ("mallory:" + MADE["-5"].replace("$6$", "$6$rounds=999999999$"), "between 1000 and 5000000"),
    "rounds without end": ("mallory:" + MADE["-5"].replace("$6$", f"$6$rounds={'9' * 9999}$"), "between 1000 and"),
    "rounds for nothing": ("mallory:" + MADE["-2"].replace("$5$", "$5$rounds=1$"), "between 1000 and 5000000"),
    "rounds with a zero": ("mallory:" + MADE["-2"].replace("$5$", "$5$rounds=05000$"), "of no kind"),
    "12 characters": ("mallory:" + "a" * 12, "of no kind"),
    "14 characters": ("mallory:" + "a" * 14, "of no kind"),
    "locked, and a password": ("mallory:!secret", "of no kind"),
    "a star, and a password": ("mallory:*secret", "of no kind"),
}


@pytest.mark.parametrize(("line", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_is_reported_and_skipped_and_nobody_gets_in_by_it(line, reason, path, caplog):
    line = line if isinstance(line, bytes) else line.encode()
    good = [f"alice:{APR1}".encode(), f"zoe:{APR1}".encode()]
    store = HtpasswdUserstore(write(path, b"\n".join([good[0], line, good[1]])))
    (message,) = messages(caplog)
    assert message.startswith(f"{path}, line 2 is skipped: ")
    assert reason in message
    assert "secret" not in message
    assert "mal" not in message.removeprefix(str(path))
    assert APR1 not in message
    assert names_in(store) == ["alice", "zoe"]
    assert store.get_user("mallory") is None
    name, _, stored = line.decode("utf-8", "surrogateescape").partition(":")
    for password in ("secret", "wonderland", "", " ", stored, line.decode("utf-8", "surrogateescape")):
        assert store.verify_password(name, password) is None
        assert store.verify_password("mallory", password) is None
    assert store.verify_password("alice", "wonderland")
    assert store.verify_password("zoe", "wonderland")


def test_a_password_that_looks_like_a_hash_of_crypt_is_not_the_password(path):
    """13 letters in plain text cannot be told from crypt(3); but they are not held against what is sent either."""
    store = HtpasswdUserstore(write(path, "alice:abcdefghijklm\n"))
    assert store.verify_password("alice", "abcdefghijklm") is None


@pytest.mark.parametrize("first", [APR1, "gibberish", "", "!", b"\xff", b"\x00"], ids=show)
def test_of_two_lines_with_a_name_the_first_one_counts_even_if_it_cannot_be_read(first, path, caplog):
    first = first if isinstance(first, bytes) else first.encode()
    second = passlib_hash.apr_md5_crypt.hash("second")
    store = HtpasswdUserstore(write(path, b"alice:" + first + f"\nalice:{second}\n".encode()))
    assert store.verify_password("alice", "second") is None
    assert bool(store.verify_password("alice", "wonderland")) == (first == APR1.encode())
    assert f"{path}, line 2 is skipped: a name that stands there before; only the first line counts" in messages(caplog)


@pytest.mark.parametrize("stored", ["!", "!!", "*", "*LK*"])
def test_an_account_may_be_disabled_without_a_hash(stored, path, caplog):
    store = HtpasswdUserstore(write(path, f"alice:{stored}\n"))
    assert store.get_user("alice") == User("alice", active=False)
    for password in (stored, "", "wonderland"):
        assert store.verify_password("alice", password) is None
    assert caplog.records == []


def test_an_account_may_be_disabled_and_keep_its_hash(path):
    """As usermod -L does it. Whoever knows the password learns no more than others; the log does."""
    store = HtpasswdUserstore(write(path, f"alice:!{APR1}\n"))
    assert store.get_user("alice") == User("alice", APR1, active=False)
    assert store.verify_password("alice", "wonderland").active is False
    assert store.verify_password("alice", "wrong") is None
    app, _, _ = secured(Who, userstore=store, providers=[PasswordAuthenticator()])
    refused = [app.test_client().get("/who", headers=basic("alice", password)) for password in ("wonderland", "wrong")]
    assert [response.status_code for response in refused] == [401, 401]
    assert refused[0].data == refused[1].data


def test_a_file_of_nothing_but_errors_fills_no_log(path, caplog):
    store = HtpasswdUserstore(write(path, "x\n" * 100_000 + f"alice:{APR1}\n"))
    assert names_in(store) == ["alice"]
    assert len(caplog.records) == 21
    assert messages(caplog)[-1] == f"{path}: 99980 more lines are skipped"


# Groups


def test_the_groups_of_a_user_are_its_roles(path, tmp_path, caplog):
    groups = write(
        tmp_path / ".htgroup",
        "# groups\r\n\r\nadmin: alice\r\nauthor:bob   alice\tcarol\r\nadmin: dave\r\nempty:\r\nthe board: alice\r\n",
    )
    write(path, "".join(f"{name}:{APR1}\n" for name in ("alice", "bob", "dave", "eve")))
    store = HtpasswdUserstore(path, groups=groups)
    assert {user.username: set(user.roles) for user in store.list_users()} == {
        "alice": {"admin", "author", "the board"},
        "bob": {"author"},
        "dave": {"admin"},
        "eve": set(),
    }
    assert store.verify_password("bob", "wonderland").roles == {"author"}
    assert store.get_user("bob").groups == {"author"}
    assert store.get_user("carol") is None, "a member of a group is no user"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"admin alice", "no colon"),
        (b": alice", "no name"),
        (b"admin\x00: alice", "not printable"),
        (b"admin: alice\x0bx", "not printable"),
        (b"admin\xff: alice", "no UTF-8"),
    ],
    ids=ascii,
)
def test_a_malformed_line_of_groups_is_reported_and_gives_no_role(line, reason, path, tmp_path, caplog):
    groups = write(tmp_path / ".htgroup", b"author: alice\n" + line + b"\nreader: alice\n")
    store = HtpasswdUserstore(write(path, f"alice:{APR1}\n"), groups=groups)
    assert store.get_user("alice").roles == {"author", "reader"}
    (message,) = messages(caplog)
    assert message.startswith(f"{groups}, line 2 is skipped: ")
    assert reason in message


def test_a_change_of_the_groups_is_seen(path, tmp_path, clock):
    groups = write(tmp_path / ".htgroup", "admin: alice\n")
    store = HtpasswdUserstore(write(path, f"alice:{APR1}\n"), groups=groups)
    write(groups, "admin: bob\n")
    clock.now += 1
    assert store.get_user("alice").roles == frozenset()


def test_groups_that_cannot_be_read_are_an_error_at_the_start(path, tmp_path):
    write(path, f"alice:{APR1}\n")
    with pytest.raises(ConfigurationError, match=r"\.htgroup: it cannot be read: No such file"):
        HtpasswdUserstore(path, groups=tmp_path / ".htgroup")


# Changes


def test_a_change_is_seen_within_a_second_and_malformed_lines_are_reported_once_for_each_version(path, clock, caplog):
    store = HtpasswdUserstore(write(path, f"alice:{APR1}\nx\n"))
    assert len(caplog.records) == 1
    for _ in range(5):
        clock.now += 1
        os.utime(path)
        assert names_in(store) == ["alice"]
    assert len(caplog.records) == 1
    write(path, f"alice:{APR1}\nbob:{APR1}\nx\n")
    clock.now += 0.9
    assert names_in(store) == ["alice"]
    clock.now += 0.2
    assert names_in(store) == ["alice", "bob"]
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (lambda path: path.chmod(0o666), "every local user can write it"),
    ],
)
def test_a_file_that_cannot_be_used_any_more_is_told_once_and_its_users_stay(spoil, message, path, clock, caplog):
    store = HtpasswdUserstore(write(path, f"alice:{APR1}\n"))
    spoil(path)
    received = []

    def receive(sender, **what):
        received.append((sender, what["path"]))

    with userstore_file_rejected.connected_to(receive):
        for _ in range(3):
            clock.now += 1
            assert store.verify_password("alice", "wonderland")
    (told,) = messages(caplog)
    assert message in told
    assert received == [(store, str(path))]
    with pytest.raises(ConfigurationError, match=message):
        HtpasswdUserstore(path)


def test_no_half_of_a_file_raises_or_lets_anybody_in_by_half_a_hash(path, clock, caplog):
    caplog.set_level(logging.CRITICAL)
    text = "".join(f"{option}:{stored}\n" for option, stored in MADE.items())
    store = HtpasswdUserstore(write(path, text))
    everybody = {user.username: user.password for user in store.list_users()}
    for end in range(len(text)):
        write(path, text[:end])
        clock.now += 1
        for user in store.list_users():
            assert user.password == everybody[user.username]


# What does not get in, and how long it takes


def count_checks(monkeypatch):
    """Return a list that gets every hash that a password is held against."""
    checked = []
    verify = apache_hashes._make_context().verify
    monkeypatch.setattr(
        apache_hashes._make_context(),
        "verify",
        lambda password, stored: checked.append(stored) or verify(password, stored),
    )
    return checked


def test_a_refusal_takes_one_verification_of_each_kind_whoever_it_is(path, monkeypatch):
    """An unknown user was refused in 0.1 ms and a wrong password in 200 (CWE-208)."""
    slower = passlib_hash.bcrypt.using(rounds=6).hash("x")
    lines = {
        "fast": MADE["-s"],
        "bcrypt": MADE["-B"],
        "slower": slower,
        "other": APR1,
        "locked": "!",
        "kept": f"!{APR1}",
    }
    store = HtpasswdUserstore(write(path, "".join(f"{name}:{stored}\n" for name, stored in lines.items())))
    checked = count_checks(monkeypatch)
    work = {}
    for name in (*lines, "nobody", "ALICE", "\ud800", "x" * 1000):
        assert store.verify_password(name, "wrong") is None
        kinds = [apache_hashes.kind_of(stored) for stored in checked]
        work[name] = sorted(kinds)
        checked.clear()
    assert len({tuple(kinds) for kinds in work.values()}) == 1, work
    assert [kind.scheme for kind in work["nobody"]] == ["apr_md5_crypt", "bcrypt", "bcrypt", "ldap_sha1"]


@pytest.mark.parametrize(
    "password", ["x" * 257, "x" * 80, "a\x00b", "\ud800", "", "ü" * 40], ids=lambda text: ascii(text[:4])
)
@pytest.mark.parametrize("name", ["alice", "bob", "nobody"])
def test_a_password_that_is_no_password_takes_the_same_work_and_is_refused(name, password, path, monkeypatch):
    store = HtpasswdUserstore(write(path, f"alice:{MADE['-B']}\nbob:{APR1}\n"))
    checked = count_checks(monkeypatch)
    assert store.verify_password(name, password) is None
    schemes = {apache_hashes.kind_of(stored).scheme for stored in checked}
    assert schemes == {"bcrypt", "apr_md5_crypt"}
    assert len(checked) <= 5


def test_a_password_that_is_too_long_is_not_hashed(path, monkeypatch):
    """The time of crypt(3) grows with the password: four kilobytes kept a processor busy for ten seconds (CWE-400)."""
    store = HtpasswdUserstore(write(path, f"alice:{MADE['-5']}\n"))
    verified = []
    verify = apache_hashes._make_context().verify
    monkeypatch.setattr(
        apache_hashes._make_context(),
        "verify",
        lambda password, stored: verified.append(password) or verify(password, stored),
    )
    for name in ("alice", "nobody"):
        assert store.verify_password(name, "x" * 257) is None
    assert verified == ["", ""]


def test_an_empty_password_is_never_right(path):
    store = HtpasswdUserstore(write(path, f"alice:{passlib_hash.apr_md5_crypt.hash('')}\n"))
    assert store.verify_password("alice", "") is None


def test_in_a_file_of_many_kinds_the_slowest_are_worked_through(path, monkeypatch):
    rounds = [1000, 2000, 3000, 4000, 6000, 7000]
    stored = [MADE["-5"].replace("$6$", f"$6$rounds={number}$") for number in rounds]
    text = "".join(f"user{n}:{line}\n" for n, line in enumerate([*stored, *MADE.values()]))
    store = HtpasswdUserstore(write(path, text))
    checked = count_checks(monkeypatch)
    store.verify_password("nobody", "wrong")
    assert [apache_hashes.kind_of(each) for each in checked] == [
        ("sha512_crypt", 7000),
        ("sha512_crypt", 6000),
        ("sha512_crypt", 5000),
        ("sha256_crypt", 5000),
    ]


def test_an_empty_file_refuses_everybody_with_some_work(path, monkeypatch):
    store = HtpasswdUserstore(write(path, ""))
    checked = count_checks(monkeypatch)
    assert store.verify_password("alice", "wonderland") is None
    assert len(checked) == 1
    assert names_in(store) == []


def test_bcrypt_never_cuts_a_password(path):
    """htpasswd and Apache do: any password with the right first 72 bytes would be right."""
    store = HtpasswdUserstore(write(path, f"alice:{passlib_hash.bcrypt.using(rounds=4).hash('x' * 72)}\n"))
    assert store.verify_password("alice", "x" * 72)
    assert store.verify_password("alice", "x" * 73) is None
    assert store.verify_password("alice", "x" * 72 + "anything") is None


def test_crypt_looks_at_eight_bytes_as_it_does_for_apache(path):
    store = HtpasswdUserstore(write(path, f"alice:{MADE['-d']}\n"))
    assert store.verify_password("alice", "wonderla")
    assert store.verify_password("alice", "wonderlamp")
    assert store.verify_password("alice", "wonderl") is None


def test_a_password_is_the_same_in_every_normal_form_of_unicode(path):
    composed, decomposed = "p\u00e4ss", "pa\u0308ss"
    store = HtpasswdUserstore(write(path, f"alice:{passlib_hash.apr_md5_crypt.hash(composed)}\n"))
    assert store.verify_password("alice", composed)
    assert store.verify_password("alice", decomposed)


def test_a_server_that_is_short_of_memory_cannot_tell_now(path, monkeypatch):
    store = HtpasswdUserstore(write(path, f"alice:{APR1}\n"))

    def fail(password, stored):
        raise MemoryError

    monkeypatch.setattr(apache_hashes._make_context(), "verify", fail)
    with pytest.raises(BackendError, match="not enough memory"):
        store.verify_password("alice", "wonderland")


def test_a_planted_hash_or_password_shows_nowhere(path, tmp_path, caplog, clock):
    planted = "planted0b5f1c7e"
    text = (
        f"alice:{planted}\n{planted}\nbob:$apr1$planted0$"
        + "b5f1c7e".rjust(22, "x")
        + f"\nalice:{planted}\n{planted}\x00:x\n"
    )
    store = HtpasswdUserstore(write(path, text))
    store.verify_password("bob", planted)
    path.unlink()
    clock.now += 1
    said = [caplog.text, repr(store), repr(vars(store)), repr(store.get_user("bob")), repr(vars(store._accounts))]
    said += [repr(record.__dict__) for record in caplog.records]
    try:
        HtpasswdUserstore(path)
    except ConfigurationError as error:
        said += traceback.format_exception(error)
    for secret in (planted, "planted0$", "b5f1c7e"):
        assert secret not in "\n".join(said)


# Any bytes


LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda name, colon, stored: name + colon + stored,
            st.sampled_from([b"alice", b"bob", b"", b"#x", b" ", b"z\xc3\xb6", b"\xff"]),
            st.sampled_from([b":", b"", b"::", b": ", b":!"]),
            st.one_of(st.sampled_from([stored.encode() for stored in MADE.values()]), st.binary(max_size=40)),
        ),
        st.sampled_from([stored.encode() for stored in MADE.values()]).flatmap(
            lambda stored: st.integers(0, len(stored) - 1).flatmap(
                lambda at: st.binary(max_size=2).map(lambda part: b"alice:" + stored[:at] + part + stored[at + 1 :])
            )
        ),
    ),
    max_size=6,
).map(b"\n".join)


@settings(max_examples=how_many(60, 300), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=LINES, groups=st.one_of(st.binary(max_size=60), st.just(b"admin: alice bob")))
@example(data=b"alice:$6$rounds=9999999$a$" + b"a" * 86, groups=b"")
@example(data=b"\xef\xbb\xbf", groups=b"\xef\xbb\xbf:")
def test_whatever_bytes_a_file_has_nothing_is_raised_and_what_is_taken_can_be_verified(
    data, groups, path, tmp_path, clock, caplog
):
    write(path, f"zoe:{APR1}\n")
    group_file = write(tmp_path / ".htgroup", "")
    store = HtpasswdUserstore(path, groups=group_file)
    write(path, data)
    write(group_file, groups)
    clock.now += 1
    later = list(store.list_users())
    assert later == list(HtpasswdUserstore(path, groups=group_file).list_users())
    assert "zoe" not in [user.username for user in later]
    for user in later:
        assert user.username.isprintable()
        if user.password is not None:
            assert apache_hashes.compare(apache_hashes._make_context(), "x", user.password) is False, user.password
        assert store.verify_password(user.username, data.decode("latin-1")[:50]) is None
    assert all(record.getMessage().isprintable() for record in caplog.records)


WRITER = """
import os, sys, time
path, stored = sys.argv[1:]
for version in range(1, 401):
    with open(f"{path}.{os.getpid()}", "w") as file:
        for number in range(20 + version % 50):
            file.write(f"user{number}:{stored}:{version}\\n")
    os.replace(file.name, path)
    time.sleep(0.002)
"""


def test_nobody_ever_sees_half_of_a_file_that_another_process_replaces(path, monkeypatch, caplog):
    monkeypatch.setattr(watched_file, "SECONDS_BETWEEN_LOOKS", 0.0)
    lines = [f"user{number}:{APR1}\n" for number in range(20)]
    store = HtpasswdUserstore(write(path, "".join(lines)))
    wrong, seen, done = [], set(), threading.Event()

    def ask():
        while not done.is_set():
            names = {user.username for user in store.list_users()}
            seen.add(len(names))
            if names != {f"user{number}" for number in range(len(names))} or len(names) < 20:
                wrong.append(names)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), APR1]) for _ in range(2)]
    try:
        assert [writer.wait(120) for writer in writers] == [0, 0]
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not wrong
    assert len(seen) > 5
    assert len(names_in(store)) == 20
    assert caplog.records == []
