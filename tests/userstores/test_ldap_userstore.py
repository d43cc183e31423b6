"""LDAPUserstore against a real OpenLDAP server. What only Active Directory has is tested on values as it gives them."""

import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flask import Flask
from flask_restful import Api
from helpers import FAST, SECRET_KEY, basic, bearer, how_many, new_who, wait_until
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from passlib.hash import argon2, ldap_salted_sha1, sha512_crypt
from servers.process import free_port
from servers.slapd import (
    ADMIN,
    BASE,
    GROUPS,
    LDAP3_WARNINGS,
    PEOPLE,
    READER,
    READER_PASSWORD,
    SUFFIX,
    Slapd,
    group,
    person,
    running_slapd,
)

from flask_securest import SecuREST, User
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.errors import AccountStatusError, BackendError, ConfigurationError, MissingDependencyError
from flask_securest.models import require_user
from flask_securest.testing import UserstoreContract
from flask_securest.userstores import SimpleUserstore
from flask_securest.userstores.ldap import LDAPUserstore
from flask_securest.userstores.ldap import session as ldap_session
from flask_securest.userstores.ldap.accounts import AccountStatus, read_refusal, read_status
from flask_securest.userstores.ldap.directory import Directory
from flask_securest.userstores.ldap.entries import (
    BindAnswer,
    common_name,
    escape_filter_value,
    normalize,
    parse_name,
    read_policy_error,
)
from flask_securest.userstores.ldap.session import Server, Session, UnreachableError, in_session

pytestmark = LDAP3_WARNINGS

ARGON2 = "{ARGON2}" + argon2.using(time_cost=3, memory_cost=16384, parallelism=1).hash("crypted")
STRICT = f"pwdPolicySubentry: cn=strict,ou=policies,{SUFFIX}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A directory in which an empty password is an anonymous login, which succeeds."""
    with running_slapd(tmp_path_factory.mktemp("slapd"), options="allow bind_anon_cred bind_anon_dn") as slapd:
        slapd.load(
            person("alice", ldap_salted_sha1.hash("wonderland"))
            + person("bob", ldap_salted_sha1.hash("builder"), "userAccountControl: 514")
            + group("admin", f"uid=alice,{PEOPLE}")
            + group("author", f"uid=alice,{PEOPLE}")
        )
        yield slapd


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A directory with everybody that the contract's has not."""
    with running_slapd(tmp_path_factory.mktemp("crowd"), options="allow bind_anon_cred bind_anon_dn") as slapd:
        slapd.load(
            person("argon", ARGON2)
            + person("decoy", ARGON2)
            + person("crypt", "{CRYPT}" + sha512_crypt.using(rounds=1000).hash("crypted"))
            + person("ssha", ldap_salted_sha1.hash("crypted"))
            + person("Émilie", ldap_salted_sha1.hash("crypted"))
            + person("nopassword", None)
            + person("twin", "one-of-two")
            + f"dn: ou=more,{PEOPLE}\nobjectClass: organizationalUnit\nou: more\n\n"
            + person("twin", "two-of-two").replace(f"uid=twin,{PEOPLE}", f"uid=twin,ou=more,{PEOPLE}")
            + person("janus", "two-faced", "uid: second")
            + person("zoe", "two-faced").replace("uid: zoe", "uid: first\nuid: zoe")
            + person("expired", "crypted", "accountExpires: 131000000000000000")
            + person("adlocked", "crypted", "lockoutTime: 131000000000000000")
            + person("guessed", "crypted", STRICT)
            + person("guessed2", "crypted", STRICT)
            + person("forever", "crypted", "pwdAccountLockedTime: 000001010000Z", STRICT)
            + person("unenforced", "crypted", "pwdAccountLockedTime: 000001010000Z")
            + person("reset", "crypted", "pwdReset: TRUE")
            + person("member", "crypted")
            + f"dn: ou=private,{SUFFIX}\nobjectClass: organizationalUnit\nou: private\n\n"
            + group("staff", f"uid=member,{PEOPLE}")
            + group("R\\2C D\\5C \\C3\\A9", f"uid=member,{PEOPLE}").replace(
                "\ncn: R\\2C D\\5C \\C3\\A9", "\ncn: R, D\\ é"
            )
            + group("admin", f"uid=member,{PEOPLE}", base=f"ou=private,{SUFFIX}")
        )
        yield slapd


@pytest.fixture
def asked(monkeypatch):
    """What servers are asked: a list that grows. Each connection is told, and whose password is tried on it."""
    asked = []

    class Listening(Session):
        def __init__(self, server, *arguments, **options):
            asked.append(("connect", server.url))
            super().__init__(server, *arguments, **options)

        def bind(self, dn, password):
            asked.append(("bind", dn, password))
            return super().bind(dn, password)

        def search(self, base, search_filter, attributes, **options):
            asked.append(("search", base, search_filter, attributes, options))
            return super().search(base, search_filter, attributes, **options)

    monkeypatch.setattr(ldap_session, "Session", Listening)
    return asked


def store(slapd, **options):
    options = {"bind_dn": READER, "bind_password": READER_PASSWORD, "ca_file": str(slapd.ca_file), **options}
    return LDAPUserstore(options.pop("urls", slapd.tls_url), **{"base_dn": PEOPLE, **options})


@contextmanager
def answering(answer):
    """Listen, and answer each connection by ``answer(socket)``; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_ones = []

        def serve():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    open_ones.append(connection)
                    threading.Thread(target=answer_one, args=(connection,), daemon=True).start()

        def answer_one(connection):
            with suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in open_ones:
                connection.close()


def say_nothing(connection):
    """Accept, and never answer."""


def answer_each(connection, operation, code, asked=None):
    """Answer each question by a result code of RFC 4511, appendix A."""
    while question := connection.recv(4000):
        if asked is not None:
            asked.append(question)
        at = question.index(b"\x02")
        end = at + 2 + question[at + 1]
        # A bind succeeds if it is not what is answered by the code.
        said = (0x61, 0) if question[end] == 0x60 and operation == 0x65 and code else (operation, code)
        inner = question[at:end] + bytes([said[0], 7, 10, 1, said[1], 4, 0, 4, 0])
        connection.sendall(bytes([0x30, len(inner)]) + inner)


class _Contract(UserstoreContract):
    ALICE = User("alice", roles=["admin", "author"])  # a directory shows no hash
    # Directories take these for alice on purpose: names are compared without case, and as Unicode's NFKC.
    NOBODY = tuple(name for name in UserstoreContract.NOBODY if name not in ("ALICE", "ａｌｉｃｅ"))  # noqa: RUF001

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.slapd = server

    def test_no_hash_shows_in_a_repr(self):
        made = self.make_userstore()
        for shown in (repr(made), repr(made.get_user("alice"))):
            assert READER_PASSWORD not in shown
            assert "{SSHA}" not in shown

    def test_what_the_directory_takes_for_alice_is_called_alice(self):
        for name in ("ALICE", "Alice", "ａｌｉｃｅ"):  # noqa: RUF001
            assert self.make_userstore().get_user(name).username == "alice"
            assert self.make_userstore().verify_password(name, "wonderland").username == "alice"

    def test_a_password_is_verified(self):
        made = self.make_userstore()
        user = made.verify_password("alice", "wonderland")
        assert require_user(user) is user
        assert (user.username, user.password, user.active) == ("alice", None, True)
        assert set(user.roles) == set(user.groups) == {"admin", "author"}
        assert user.email == "alice@example.test"
        assert user.attributes["dn"] == f"uid=alice,{PEOPLE}"
        assert made.verify_password("alice", "Wonderland") is None
        assert made.verify_password("nobody", "wonderland") is None

    def test_a_disabled_account_is_returned_as_such_if_its_password_is_right(self):
        made = self.make_userstore()
        assert made.verify_password("bob", "builder").active is False
        assert made.verify_password("bob", "wrong") is None

    def test_users_are_listed_by_name(self):
        assert [user.username for user in self.make_userstore().list_users()] == ["alice", "bob"]


class TestLdaps(_Contract):
    def make_userstore(self):
        return store(self.slapd)


class TestStartTls(_Contract):
    def make_userstore(self):
        return store(self.slapd, urls=[self.slapd.url], start_tls=True)


class TestGroupsBySearch(_Contract):
    def make_userstore(self):
        return store(self.slapd, groups="search", group_base_dn=GROUPS)


class TestInTheClear(_Contract):
    def make_userstore(self):
        return store(self.slapd, urls=self.slapd.url, allow_plaintext=True)


@pytest.mark.parametrize("name", ["argon", "crypt", "ssha", "Émilie"])
def test_whatever_hash_the_directory_has_it_checks_itself(crowd, name):
    made = store(crowd)
    assert made.verify_password(name, "crypted").username == name
    assert made.verify_password(name, "crypted ") is None
    assert made.verify_password(name, "Crypted") is None


def test_a_user_without_a_password_in_the_directory_has_none(crowd):
    made = store(crowd)
    assert made.get_user("nopassword").active
    for password in ("x", "nopassword", "{SSHA}"):
        assert made.verify_password("nopassword", password) is None


EMPTY = [
    "",
    " ",
    "   ",
    "\t",
    "\x00",
    "\x00\x00",
    "wonderland\x00",
    "\x00wonderland",
    "\u00ad",
    "\u200b",
    "\ufeff",
    "\u3000",
]


def test_the_server_of_the_tests_lets_anybody_in_without_a_password(server):
    """Otherwise the next test would show nothing."""
    for name in (f"uid=alice,{PEOPLE}", ADMIN):
        done = subprocess.run(
            ["ldapwhoami", "-x", "-H", server.url, "-D", name, "-w", ""], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (0, "anonymous")


@pytest.mark.parametrize("password", EMPTY, ids=ascii)
def test_an_empty_password_never_reaches_the_server(server, password):
    assert store(server).verify_password("alice", password) is None
    nowhere = store(server, urls=f"ldaps://127.0.0.1:{free_port()}")
    assert nowhere.verify_password("alice", password) is None  # a server that is asked would be a BackendError


def test_the_directory_never_binds_without_a_name_or_a_password(server):
    directory = Directory(
        server.tls_url,
        bind_dn=None,
        bind_password=None,
        start_tls=False,
        allow_plaintext=False,
        ca_file=str(server.ca_file),
        timeout_seconds=5,
        total_seconds=5,
        down_seconds=5,
    )
    for name, password in ((f"uid=alice,{PEOPLE}", ""), ("", "wonderland"), ("", "")):
        with pytest.raises(BackendError, match="a bind needs a name and a password"):
            directory.bind(name, password)


def test_a_password_is_sent_as_it_is(server):
    """ldap3 prepares strings with SASLprep, which leaves out the soft hyphen: two passwords would be one."""
    assert store(server).verify_password("alice", "wonder\u00adland") is None
    assert store(server).verify_password("alice", "ｗonderland") is None  # noqa: RUF001


@pytest.mark.parametrize("password", ["x\ud800", "x" * 257, "é" * 129, "x" * 100_000], ids=lambda text: ascii(text[:5]))
def test_a_password_that_cannot_be_one_is_not_asked_for(server, password):
    assert store(server, urls=f"ldaps://127.0.0.1:{free_port()}").verify_password("alice", password) is None


@pytest.mark.parametrize(
    "name",
    ["", " ", "alice\x00", "\ud800", "a" * 257, "a" * 100_000, " alice", "alice\n", "al\u200bice", "é" * 200],
    ids=lambda name: ascii(name[:8]),
)
def test_a_name_that_cannot_be_one_is_not_asked_for(server, name):
    nowhere = store(server, urls=f"ldaps://127.0.0.1:{free_port()}")
    assert nowhere.get_user(name) is None
    assert nowhere.verify_password(name, "wonderland") is None


@settings(max_examples=how_many(30, 150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.one_of(
        st.text(max_size=40),
        st.text("*()\\&|!=<>~:, auidlce\x00", max_size=30),
        st.builds("".join, st.lists(st.sampled_from(["alice", "*", ")(uid=", "\\2a", "(|", "\\", ")", "&", "\\00"]))),
    ),
    password=st.one_of(st.text(max_size=20), st.sampled_from(["*", "\x00", "{SSHA}", "wonderland\x00", "builder"])),
)
@example(name="*", password="wonderland")
@example(name="alice)(|(uid=*", password="wonderland")
@example(name="*)(uid=*))(|(uid=*", password="wonderland")
@example(name="alice)(&(objectClass=*", password="wonderland")
@example(name="a*", password="wonderland")
@example(name="\\61lice", password="wonderland")
@example(name="alice\\", password="wonderland")
@example(name=f"uid=alice,{PEOPLE}", password="wonderland")
@example(name="alice,ou=people", password="wonderland")
def test_nobody_injects_anything(server, name, password):
    made = store(server)
    if " ".join(name.split()).casefold() not in ("alice", "bob"):
        assert made.get_user(name) is None or made.get_user(name).username.casefold() == name.strip().casefold()
        assert made.verify_password(name, "wonderland") is None
    assert password == "wonderland" or made.verify_password("alice", password) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_in_a_filter_is_letters_digits_and_escapes(value):
    escaped = escape_filter_value(value)
    assert all(c.isascii() and (c.isalnum() or c == "\\") for c in escaped)
    pieces = escaped.split("\\")
    restored = pieces[0].encode() + b"".join(bytes.fromhex(each[:2]) + each[2:].encode() for each in pieces[1:])
    assert restored.decode() == value


def test_a_dn_stands_in_a_filter_as_a_value(crowd):
    crowd.load(
        f"dn: cn=a*b\\28c\\29\\5C,{PEOPLE}\nobjectClass: inetOrgPerson\ncn: a*b(c)\\\nsn: x\nuid: odd\n\n"
        + group("odd", f"cn=a*b\\28c\\29\\5C,{PEOPLE}")
    )
    assert store(crowd, groups="search", group_base_dn=GROUPS).get_user("odd").roles == {"odd"}
    assert store(crowd).get_user("odd").roles == {"odd"}


def test_two_entries_of_one_name_are_nobody(crowd, caplog):
    made = store(crowd)
    assert made.get_user("twin") is None
    for password in ("one-of-two", "two-of-two"):
        assert made.verify_password("twin", password) is None
    assert "several entries have the name 'twin': nobody gets in by it" in caplog.text
    assert "twin" not in [user.username for user in made.list_users()]
    assert "2 entries have the name 'twin'" in caplog.text


def test_of_several_names_the_one_that_the_entry_is_called_counts(crowd):
    made = store(crowd)
    assert made.get_user("second").username == "janus"
    assert made.verify_password("second", "two-faced").username == "janus"
    assert made.get_user("first").username == "zoe"


def test_an_entry_that_has_not_one_name_is_nobody(crowd, caplog):
    made = store(crowd, username_attribute="employeeNumber", user_filter="(uid={username})")
    assert made.get_user("member") is None
    assert made.verify_password("member", "crypted") is None
    assert "has not one employeeNumber: nobody gets in by it" in caplog.text


def test_a_filter_may_find_users_by_their_address(crowd):
    made = store(crowd, user_filter="(&(objectClass=inetOrgPerson)(|(uid={username})(mail={username})))")
    assert made.verify_password("member@example.test", "crypted").username == "member"


# --- groups and roles


@pytest.mark.parametrize("groups", ["memberOf", "search"])
def test_groups_are_called_by_their_cn_and_count_below_their_base_only(crowd, groups):
    user = store(crowd, groups=groups, group_base_dn=GROUPS).get_user("member")
    assert user.groups == user.roles == {"staff", "R, D\\ é"}


def test_a_group_of_the_same_name_elsewhere_gives_no_role(crowd):
    assert "admin" in store(crowd).get_user("member").roles  # any group of the directory, as nothing else was said
    assert "admin" not in store(crowd, group_base_dn=GROUPS.upper().replace(",", ", ")).get_user("member").roles
    by_dn = store(crowd, roles_of_groups={f"cn=admin,{GROUPS}": ["admin"], "STAFF": ["reader", "author"]})
    user = by_dn.get_user("member")
    assert user.roles == {"reader", "author"}
    assert user.groups == {"staff", "admin", "R, D\\ é"}
    by_dn = store(crowd, roles_of_groups={f"CN=Admin,OU=private, {SUFFIX}": ["admin"]})
    assert by_dn.get_user("member").roles == {"admin"}


def test_without_groups_there_are_no_roles(crowd):
    user = store(crowd, groups=None).verify_password("member", "crypted")
    assert (user.roles, user.groups) == (frozenset(), frozenset())


def test_groups_may_name_their_members_otherwise(crowd):
    crowd.load(f"dn: cn=posix,{GROUPS}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 7\nmemberUid: member\n\n")
    crowd.load(person("o)(*", None) + f"dn: cn=signs,{GROUPS}\nobjectClass: posixGroup\ncn: signs\ngidNumber: 8\n")
    crowd.load(f"dn: cn=signs,{GROUPS}\nchangetype: modify\nadd: memberUid\nmemberUid: o)(*\n\n")
    by_uid = "(&(objectClass=posixGroup)(memberUid={username}))"
    assert store(crowd, groups="search", group_base_dn=GROUPS, group_filter=by_uid).get_user("member").roles == {
        "posix"
    }
    assert store(crowd, groups="search", group_base_dn=GROUPS, group_filter=by_uid).get_user("o)(*").roles == {"signs"}


def test_nested_groups_are_asked_for_by_active_directorys_rule(server):
    made = store(server, groups="search", nested_groups=True)
    assert "(member:1.2.840.113556.1.4.1941:={dn})" in made._groups._filter
    # OpenLDAP does not know the rule: the filter is undefined there, and nobody is in any group (RFC 4511, 4.5.1.7).
    assert made.get_user("alice").roles == frozenset()


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("cn=a", ((("cn", "a"),),)),
        ("CN=a+OU=b,DC=c", ((("cn", "a"), ("ou", "b")), (("dc", "c"),))),
        (r"cn=R\, D\2C\C3\A9\\,dc=x", ((("cn", "R, D,é\\"),), (("dc", "x"),))),
        ("cn=a, dc=b", ((("cn", "a"),), (("dc", "b"),))),
        ("cn=a=b", ((("cn", "a=b"),),)),
        ("1.2.3=#04024869", ((("1.2.3", "#04024869"),),)),
        ("cn=", ((("cn", ""),),)),
        ("", None),
        ("alice", None),
        ("cn=a,", None),
        ("cn=a,,dc=b", None),
        ('cn="a"', None),
        ("cn=a\\", None),
        ("cn=a\\zz", None),
        ("cn=\\ff", None),
        ("cn=a\x00", None),
        ("cn=\ud800", None),
    ],
    ids=ascii,
)
def test_a_dn_is_taken_apart(dn, name):
    assert parse_name(dn) == name


@given(st.text(st.sampled_from('cn=,+\\ a1#"é'), max_size=30) | st.text())
def test_no_dn_is_too_odd_to_be_read(dn):
    name = parse_name(dn)
    if name is not None:
        assert normalize(name) == normalize(normalize(name))
        common_name(name)


def test_a_long_dn_is_read_quickly():
    started = time.thread_time()
    for odd in (
        "cn=" + "a" * 100_000 + '"',
        "cn=" + "\\2c" * 30_000 + "\\",
        "a=b," * 30_000,
        "cn=" + " " * 100_000 + '"',
    ):
        parse_name(odd)
    assert time.thread_time() - started < 2


# --- the status of accounts


def test_an_expired_account_is_not_active(crowd):
    made = store(crowd)
    assert made.get_user("expired").active is False
    assert made.verify_password("expired", "crypted").active is False


def test_an_account_that_is_locked_for_ever_is_not_active_and_does_not_get_in(crowd):
    made = store(crowd)
    assert made.get_user("forever").active is False
    with pytest.raises(AccountStatusError, match="the account is locked"):
        made.verify_password("forever", "crypted")
    assert made.verify_password("unenforced", "crypted").active is False  # a policy that locks nobody lets it bind


def test_who_has_to_set_a_new_password_is_not_active(crowd):
    made = store(crowd)
    assert made.get_user("reset").active is False
    assert made.verify_password("reset", "crypted").active is False
    assert made.verify_password("reset", "wrong") is None


def test_wrong_passwords_lock_an_account_for_a_while(crowd):
    made = store(crowd)
    assert made.get_user("guessed").active
    for _ in range(3):
        assert made.verify_password("guessed", "wrong") is None
    for password in ("crypted", "wrong"):
        with pytest.raises(AccountStatusError, match="is locked"):
            made.verify_password("guessed", password)
    assert made.get_user("guessed").active is False
    assert store(crowd, lockout_seconds=3600).get_user("guessed").active is False
    time.sleep(2.1)  # pwdLockoutDuration
    assert made.get_user("guessed").active is False  # until the entry says otherwise
    assert store(crowd, lockout_seconds=2).get_user("guessed").active
    assert made.verify_password("guessed", "crypted").active
    assert made.get_user("guessed").active


def test_a_lock_that_only_the_entry_tells_is_known(crowd):
    """OpenLDAP says nothing of it unless it is told to (ppolicy_use_lockout), and Active Directory has no control."""
    made = store(crowd)
    assert made.get_user("adlocked").active is False
    with pytest.raises(AccountStatusError, match="is locked"):
        made.verify_password("adlocked", "wrong")
    assert made.verify_password("adlocked", "crypted").active  # the directory knows when the time is over


def test_a_lock_that_only_the_policy_control_tells_is_known(crowd):
    """An account may not be allowed to read pwdAccountLockedTime."""
    made = store(crowd)
    made._attributes = ["uid"]
    for _ in range(3):
        made.verify_password("guessed2", "wrong")
    with pytest.raises(AccountStatusError, match="is locked"):
        made.verify_password("guessed2", "crypted")


def test_a_password_whose_reset_only_the_policy_control_tells_is_known(crowd):
    made = store(crowd)
    made._attributes = ["uid"]
    assert made.verify_password("reset", "crypted").active is False


NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def filetime(when):
    return b"%d" % ((when - datetime(1601, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 10)


ACCOUNTS = [
    ({}, (None, None)),
    ({"useraccountcontrol": b"512"}, (None, None)),
    ({"useraccountcontrol": b"514"}, ("is disabled", None)),
    ({"useraccountcontrol": b"66050"}, ("is disabled", None)),
    ({"useraccountcontrol": b"rubbish"}, ("has a status that cannot be read", None)),
    ({"useraccountcontrol": b""}, ("has a status that cannot be read", None)),
    ({"accountexpires": b"0"}, (None, None)),
    ({"accountexpires": b"9223372036854775807"}, (None, None)),
    ({"accountexpires": filetime(NOW + timedelta(seconds=1))}, (None, None)),
    ({"accountexpires": filetime(NOW)}, ("has expired", None)),
    ({"accountexpires": b"9223372036854775806"}, ("has a status that cannot be read", None)),
    ({"accountexpires": b"-1"}, ("has expired", None)),
    ({"lockouttime": b"0"}, (None, None)),
    ({"lockouttime": filetime(NOW - timedelta(minutes=1))}, (None, "is locked")),
    ({"lockouttime": filetime(NOW - timedelta(hours=1))}, (None, None)),
    ({"lockouttime": filetime(NOW), "msds-user-account-control-computed": b"0"}, (None, None)),
    ({"lockouttime": b"0", "msds-user-account-control-computed": b"16"}, (None, "is locked")),
    ({"msds-user-account-control-computed": b"8388608"}, ("has an expired password", None)),
    ({"pwdlastset": b"0", "useraccountcontrol": b"512"}, ("has to set a new password", None)),
    ({"pwdlastset": b"0", "useraccountcontrol": b"66048"}, (None, None)),
    ({"pwdlastset": b"133000000000000000"}, (None, None)),
    ({"pwdaccountlockedtime": b"000001010000Z"}, ("is locked for ever", "is locked")),
    ({"pwdaccountlockedtime": b"20261101115900Z"}, (None, "is locked")),
    ({"pwdaccountlockedtime": b"20261101115900.123456Z"}, (None, "is locked")),
    ({"pwdaccountlockedtime": b"20261101100000Z"}, (None, None)),
    ({"pwdaccountlockedtime": b"yesterday"}, ("has a status that cannot be read", None)),
    ({"pwdreset": b"TRUE"}, ("has to set a new password", None)),
    ({"pwdreset": b"FALSE"}, (None, None)),
    ({"pwdendtime": b"20261101115959Z"}, ("is out of its time", None)),
    ({"pwdstarttime": b"20261101120001Z"}, ("is out of its time", None)),
    ({"pwdstarttime": b"20261101115959Z", "pwdendtime": b"20261101120001Z"}, (None, None)),
    ({"nsaccountlock": b"TRUE"}, ("is disabled", None)),
    ({"nsaccountlock": b"false"}, (None, None)),
]


@pytest.mark.parametrize(("attributes", "status"), ACCOUNTS, ids=str)
def test_the_status_of_an_account_is_read_from_its_entry(attributes, status):
    entry = {name: [value] for name, value in attributes.items()}
    assert read_status(entry, NOW, 600) == AccountStatus(*status)


@given(st.dictionaries(st.sampled_from([name for each, _ in ACCOUNTS for name in each]), st.lists(st.binary())))
def test_no_entry_is_too_odd_to_be_read(attributes):
    read_status(attributes, NOW, 600)


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        ("80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 52e, v4563", (None, False)),
        ("80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 525, v4563", (None, False)),
        (
            "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 533, v4563",
            ("is disabled", True),
        ),
        ("... AcceptSecurityContext error, data 532, v4563", ("has an expired password", False)),
        ("... AcceptSecurityContext error, data 701, v4563", ("has expired", False)),
        ("... AcceptSecurityContext error, data 773, v4563", ("has to set a new password", False)),
        ("... AcceptSecurityContext error, data 775, v4563", ("is locked", False)),
        ("", (None, False)),
    ],
)
def test_active_directory_says_in_words_why_it_refuses(message, refusal):
    assert read_refusal(BindAnswer(49, message, None)) == refusal


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, None),
        (b"", None),
        (b"\x30\x00", None),
        (b"\x30\x03\x81\x01\x01", 1),
        (b"\x30\x08\xa0\x03\x80\x01\x05\x81\x01\x00", 0),
        (b"\x30\x05\xa0\x03\x81\x01\x02", None),  # grace logins that remain, not an error
    ],
)
def test_the_answer_of_a_password_policy_is_read(value, error):
    assert read_policy_error(value) == error


@given(st.binary(max_size=20))
def test_no_answer_of_a_password_policy_is_too_odd(value):
    with suppress(ValueError):
        read_policy_error(value)


# --- what takes the time (no clock is read, for others use the machine, too)


def asked_for(made, asked, name):
    """Return what servers are asked because of a wrong password of ``name``, who is called X there."""
    asked.clear()
    assert made.verify_password(name, "wrong") is None
    return [
        tuple(each.replace(f"uid={name}", "uid=X") if isinstance(each, str) else each for each in one) for one in asked
    ]


def test_an_unknown_user_takes_as_long_as_a_wrong_password(server, asked):
    made = store(server)
    wrong, unknown = (asked_for(made, asked, name) for name in ("alice", "nobody"))
    assert [one[0] for one in wrong] == ["connect", "bind", "search", "connect", "bind"]
    assert unknown[:-1] == wrong[:-1]
    assert wrong[-1] == ("bind", f"uid=X,{PEOPLE}", "wrong")
    (what, dn, password) = unknown[-1]
    assert (what, password) == ("bind", "wrong")
    assert dn.endswith(PEOPLE)


def test_where_the_directory_takes_its_time_a_decoy_makes_up_for_it(crowd, asked):
    """The decoy's hash is one of Argon2, as that of the user."""
    made = store(crowd, decoy_dn=f"uid=decoy,{PEOPLE}")
    wrong, unknown = (asked_for(made, asked, name) for name in ("argon", "nobody"))
    assert unknown[:-1] == wrong[:-1]
    assert wrong[-1] == ("bind", f"uid=X,{PEOPLE}", "wrong")
    assert unknown[-1] == ("bind", f"uid=decoy,{PEOPLE}", "wrong")


def test_the_password_of_the_decoy_lets_nobody_in(crowd):
    made = store(crowd, decoy_dn=f"uid=decoy,{PEOPLE}")
    assert made.verify_password("decoy", "crypted").username == "decoy"
    assert made.verify_password("nobody", "crypted") is None


def verify_where_a_bind_is_answered_with(server, code):
    """Ask a directory that has alice, and that answers her password with this result code."""

    def ber(tag, *parts):
        return bytes([tag, sum(map(len, parts))]) + b"".join(parts)

    def answer(connection):
        while question := connection.recv(4000):
            at = question.index(b"\x02")
            end = at + 2 + question[at + 1]
            number = question[at:end]
            result = ber(10, bytes([code])) + ber(4) + ber(4)
            if question[end] == 0x63:  # a search
                uid = ber(0x30, ber(4, b"uid"), ber(0x31, ber(4, b"alice")))
                connection.sendall(ber(0x30, number, ber(0x64, ber(4, b"uid=alice,dc=x"), ber(0x30, uid))))
                connection.sendall(ber(0x30, number, ber(0x65, ber(10, b"\x00"), ber(4), ber(4))))
            else:
                connection.sendall(ber(0x30, number, ber(0x61, result)))

    with answering(answer) as port:
        made = store(
            server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True, bind_dn=None, bind_password=None, groups=None
        )
        return made.verify_password("alice", "wonderland")


def test_a_bind_lets_in_if_it_is_answered_with_success_and_only_then(server):
    assert verify_where_a_bind_is_answered_with(server, 0).username == "alice"
    for code in (32, 48, 49):
        assert verify_where_a_bind_is_answered_with(server, code) is None
    for code in (19, 53):
        with pytest.raises(AccountStatusError, match=rf"the account is refused \(code {code}\)"):
            verify_where_a_bind_is_answered_with(server, code)
    for code in (1, 2, 7, 8, 10, 13, 14, 34, 50, 51, 52, 80, 99, 127):
        with pytest.raises(BackendError):
            verify_where_a_bind_is_answered_with(server, code)


# --- what servers, networks and TLS do


def assert_nobody_knows(made, seconds=3.0):
    """Every question is a BackendError, in time, that tells no secret."""
    for question in (
        lambda: made.get_user("alice"),
        lambda: made.verify_password("alice", "wonderland"),
        lambda: list(made.list_users()),
    ):
        started = time.monotonic()
        with pytest.raises(BackendError) as raised:
            question()
        assert time.monotonic() - started < seconds
        error = raised.value
        assert (error.__context__, error.__cause__) == (None, None)
        assert str(error).isprintable()
        assert "wonderland" not in str(error)
        assert READER_PASSWORD not in str(error)
    return str(error)


def impatient(slapd, **options):
    return store(slapd, **{"timeout_seconds": 0.5, "total_seconds": 0.8, "down_seconds": 0.001, **options})


def test_a_refused_connection_is_a_backend_error(server):
    assert "Connection refused" in assert_nobody_knows(impatient(server, urls=f"ldaps://127.0.0.1:{free_port()}"))


def test_a_host_that_nobody_knows_is_a_backend_error(server):
    assert_nobody_knows(impatient(server, urls="ldaps://nobody-knows.invalid"), seconds=30)


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_server_that_says_nothing_is_a_backend_error_in_time(server, scheme):
    with answering(say_nothing) as port:
        said = assert_nobody_knows(impatient(server, urls=f"{scheme}://127.0.0.1:{port}", start_tls=True))
        assert "timed out" in said
        assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True))


def test_a_server_that_answers_a_byte_at_a_time_is_a_backend_error_in_time(server):
    def drip(connection):
        # The beginning of a long LDAP message, or of a long TLS record.
        beginning = (
            b"\x30\x82\xff\xff" if connection.recv(1000)[:1] == b"\x30" else b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0"
        )
        for byte in beginning + b"\x00" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    with answering(drip) as port:
        assert_nobody_knows(impatient(server, urls=f"ldaps://127.0.0.1:{port}"))
        assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True))
        assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", start_tls=True))


def test_an_endless_answer_is_a_backend_error(server, monkeypatch):
    monkeypatch.setattr("flask_securest.userstores.ldap.session._MAX_ANSWER_BYTES", 1_000_000)
    sent = []

    def flood(connection):
        connection.recv(1000)
        while True:
            sent.append(connection.send(b"\x30\x84\x7f\xff\xff\xff" + b"\x00" * 65_000))

    with answering(flood) as port:
        slow = {"timeout_seconds": 20, "total_seconds": 20}
        said = assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True, **slow), 10)
    assert "an answer of more than 1000000 bytes" in said


RUBBISH = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00" * 100,
    b"\x30\x00",
    b"\x30\x80\x00\x00",
    b"\xff" * 200,
    b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",  # a success, for another question
    b"\x30\x03\x02\x01\x01",
    b"\x30\x05\x02\x01\x00\x78\x00",
    b"",
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=ascii)
def test_rubbish_is_a_backend_error(server, rubbish):
    def answer(connection):
        connection.recv(1000)
        connection.sendall(rubbish)
        connection.close()

    with answering(answer) as port:
        assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True))
        assert_nobody_knows(impatient(server, urls=f"ldap://127.0.0.1:{port}", start_tls=True))
        assert_nobody_knows(impatient(server, urls=f"ldaps://127.0.0.1:{port}"))


@settings(max_examples=how_many(30, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from([0x61, 0x64, 0x65, 0x73, 0x78]), st.booleans())
def test_no_answer_is_too_odd(server, body, operation, framed):
    """The right number of the question, an operation of LDAP, and anything in it."""

    def answer(connection):
        question = connection.recv(4000)
        number = question[question.index(b"\x02") :][: 2 + question[question.index(b"\x02") + 1]]
        inner = number + (bytes([operation, len(body)]) if framed else b"") + body
        connection.sendall(bytes([0x30, len(inner)]) + inner)
        connection.close()

    with answering(answer) as port:
        made = impatient(server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True)
        with pytest.raises(BackendError):
            made.verify_password("alice", "wonderland")


def test_a_success_that_answers_another_question_is_none(server):
    """Who answers the bind with the success of a search lets nobody in."""

    with answering(lambda connection: answer_each(connection, 0x65, 0)) as port:
        made = impatient(
            server, urls=f"ldap://127.0.0.1:{port}", allow_plaintext=True, bind_dn=None, bind_password=None
        )
        assert made.get_user("alice") is None  # a search that has found nothing
        with pytest.raises(BackendError, match="a searchResDone in place of a bindResponse"):
            made.verify_password("alice", "wonderland")


@pytest.mark.parametrize("code", ["busy", "unavailable", "other", "referral"])
def test_a_server_that_answers_with_an_error_is_a_backend_error(server, code):
    made = impatient(server, base_dn=f"cn={code},ou=answers,{SUFFIX}")
    assert code in assert_nobody_knows(made)


def test_a_base_that_is_not_there_is_a_backend_error_and_not_an_unknown_user(server):
    assert "noSuchObject" in assert_nobody_knows(impatient(server, base_dn=f"ou=nowhere,{SUFFIX}"))


@pytest.mark.parametrize(
    "account", [{"bind_password": "wrong"}, {"bind_dn": f"cn=nobody,{SUFFIX}"}, {"bind_dn": f"uid=alice,{PEOPLE}"}]
)
def test_a_wrong_account_for_searching_is_a_backend_error_and_not_a_wrong_password(server, account):
    assert "bind_dn with bind_password is answered with the code 49" in assert_nobody_knows(
        impatient(server, **account)
    )


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_certificate_of_another_authority_is_a_backend_error(server, crowd, start_tls):
    url = server.url if start_tls else server.tls_url
    said = assert_nobody_knows(impatient(server, urls=url, start_tls=start_tls, ca_file=str(crowd.ca_file)))
    assert "CERTIFICATE_VERIFY_FAILED" in said
    assert "CERTIFICATE_VERIFY_FAILED" in assert_nobody_knows(
        impatient(server, urls=url, start_tls=start_tls, ca_file=None)
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"host": "127.0.0.2"}, "IP address mismatch"),
        ({"host": "localhost"}, "IP address mismatch"),
        ({"expired": True}, "certificate has expired"),
    ],
)
def test_a_certificate_of_another_host_or_another_time_is_a_backend_error(tmp_path, options, problem):
    with running_slapd(tmp_path / "d", **options) as slapd:
        assert problem in assert_nobody_knows(impatient(slapd))
        assert problem in assert_nobody_knows(impatient(slapd, urls=slapd.url, start_tls=True))


def test_a_certificate_of_a_name_is_good_for_this_name(tmp_path):
    with running_slapd(tmp_path / "d", host="localhost") as slapd:
        slapd.load(person("alice", "wonderland"))
        made = store(slapd, urls=f"ldaps://localhost:{slapd.tls_port}")
        assert made.verify_password("alice", "wonderland").username == "alice"


def test_a_server_without_start_tls_is_told_nothing(server):
    """Whoever stands between could say so; going on in the clear would tell him the passwords."""
    told = []

    with answering(lambda connection: answer_each(connection, 0x78, 2, told)) as port:
        made = impatient(server, urls=f"ldap://127.0.0.1:{port}", start_tls=True, allow_plaintext=True)
        assert "StartTLS is answered with protocolError" in assert_nobody_knows(made)
    assert told
    assert not any(secret in question for question in told for secret in (b"wonderland", READER_PASSWORD.encode()))


def test_ldap3_checks_no_certificate_by_itself(server):
    """It is why TLS is not left to it."""
    import ldap3

    tls = ldap3.Tls()
    assert tls.validate == ssl.CERT_NONE
    connection = ldap3.Connection(ldap3.Server(server.tls_url, tls=tls, get_info=ldap3.NONE))
    assert connection.open(read_server_info=False) is None
    connection.unbind()


def _state_of(task):
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def stopped(process):
    os.kill(process.pid, signal.SIGSTOP)
    try:
        # Its threads stop one after the other, and on a busy machine one may answer meanwhile.
        tasks = Path(f"/proc/{process.pid}/task")
        if tasks.is_dir():
            wait_until(lambda: {_state_of(task) for task in tasks.iterdir()} == {"T"})
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
def own(tmp_path):
    """A directory that a test may stop."""
    slapd = Slapd(tmp_path / "own")
    with slapd.run():
        slapd.load(BASE)
        slapd.load(person("alice", "wonderland") + group("admin", f"uid=alice,{PEOPLE}"))
    return slapd


def test_a_stalled_server_is_a_backend_error_in_time_and_everything_is_well_when_it_goes_on(own):
    with own.run():
        encrypted, started = impatient(own), impatient(own, urls=own.url, start_tls=True)
        assert encrypted.get_user("alice")
        with stopped(own.process):
            assert_nobody_knows(encrypted)
            assert_nobody_knows(started)
        for made in (encrypted, started):
            assert made.get_user("alice").username == "alice"
            assert made.verify_password("alice", "wonderland").roles == {"admin"}


def test_a_stopped_server_is_a_backend_error_and_everything_is_well_when_it_is_back(own):
    made = store(own)
    with own.run():
        assert made.verify_password("alice", "wonderland")
    assert_nobody_knows(made)
    with own.run():
        assert made.get_user("alice").username == "alice"
        assert made.verify_password("alice", "wonderland").username == "alice"


# Python leaves a socket open if the peer goes while it is being wrapped.
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_is_killed_under_load_is_never_a_wrong_password(own):
    made, said, over = store(own, timeout_seconds=2), set(), threading.Event()

    def ask():
        while not over.is_set():
            try:
                user = made.verify_password("alice", "wonderland")
                said.add(user and user.username)
            except Exception as error:
                said.add(type(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    with own.run():
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        own.process.kill()
        own.process.wait(10)
    time.sleep(0.2)
    with own.run():
        back = time.monotonic()
        time.sleep(0.5)
        over.set()
        for thread in threads:
            thread.join(20)
        assert made.verify_password("alice", "wonderland").username == "alice"
        assert time.monotonic() - back < 5
    assert said == {"alice", BackendError}


# --- several servers


def test_the_next_server_is_asked_where_one_does_not_answer(server, asked):
    with answering(say_nothing) as port:
        for first in (f"ldaps://127.0.0.1:{free_port()}", f"ldaps://127.0.0.1:{port}"):
            made = store(server, urls=[first, server.tls_url], timeout_seconds=1, down_seconds=600)
            assert made.get_user("alice").username == "alice"
            assert ("connect", first) in asked
            asked.clear()
            for _ in range(3):
                assert made.verify_password("alice", "wonderland").username == "alice"
                assert made.verify_password("alice", "wrong") is None
            assert ("connect", first) not in asked, "a server that is known to be down is not waited for"


@pytest.mark.parametrize("code", [51, 52])
@pytest.mark.parametrize("operation", [0x61, 0x65], ids=["bind", "search"])
def test_the_next_server_is_asked_where_one_is_busy(server, operation, code):
    with answering(lambda connection: answer_each(connection, operation, code)) as port:
        made = store(server, urls=[f"ldap://127.0.0.1:{port}", server.url], allow_plaintext=True)
        assert made.get_user("alice").username == "alice"


def test_a_connection_that_is_closed_is_not_opened_again_by_a_bind(server):
    """ldap3 would, without TLS, and send the password in the clear."""
    there = Server(server.url, "127.0.0.1", server.port, start_tls=True, encrypted=True)
    tls = ssl.create_default_context(cafile=server.ca_file)

    def close_and_bind(session):
        session._connection.strategy.close()
        return session.bind(f"uid=alice,{PEOPLE}", "wonderland")

    with pytest.raises(UnreachableError, match="the connection is closed"):
        in_session(there, time.monotonic() + 5, tls, close_and_bind)


def test_a_server_that_was_down_is_the_first_again_after_a_while(own, server):
    authorities = own.directory / "both.pem"
    authorities.write_text(own.ca_file.read_text() + server.ca_file.read_text())
    made = store(own, urls=[own.tls_url, server.tls_url], down_seconds=0.2, ca_file=authorities)
    assert made.verify_password("bob", "builder").username == "bob"  # the other one has him
    with own.run():
        time.sleep(0.3)
        assert made.get_user("bob") is None
    assert made.get_user("bob").username == "bob"


def test_all_servers_together_are_waited_for_so_long_and_no_longer(server, asked):
    with answering(say_nothing) as port:
        made = store(server, urls=[f"ldaps://127.0.0.1:{port}"] * 5, timeout_seconds=0.4, total_seconds=1)
        started = time.monotonic()
        with pytest.raises(BackendError):
            made.get_user("alice")
        assert time.monotonic() - started > 0.9
        assert 1 <= len(asked) <= 3, "there are five"
        started = time.monotonic()
        with pytest.raises(BackendError):
            store(server, urls=f"ldaps://127.0.0.1:{port}", timeout_seconds=60, total_seconds=0.4).get_user("alice")
        assert time.monotonic() - started < 30


def test_while_all_servers_are_down_one_caller_waits_and_the_others_do_not(server, asked):
    with answering(say_nothing) as port:
        made = store(server, urls=f"ldaps://127.0.0.1:{port}", timeout_seconds=3, down_seconds=600)
        with pytest.raises(BackendError):
            made.get_user("alice")
        asked.clear()
        told = []

        def ask():
            with pytest.raises(BackendError) as raised:
                made.get_user("alice")
            told.append("others are trying now" in str(raised.value))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert told == [True] * 7 + [False], "one waits, and the others have been told before"
        assert len(asked) == 1


def test_a_user_that_one_server_does_not_know_is_not_looked_for_on_the_next(own, server):
    with own.run():
        authorities = own.directory / "both.pem"
        authorities.write_text(own.ca_file.read_text() + server.ca_file.read_text())
        made = store(own, urls=[own.tls_url, server.tls_url], ca_file=authorities)
        assert made.get_user("bob") is None


def test_many_users_are_listed_in_pages(own, monkeypatch):
    with own.run():
        own.load("".join(person(f"user{number:04}", None) for number in range(1234)))
        users = [user.username for user in store(own).list_users()]
        monkeypatch.setattr("flask_securest.userstores.ldap.userstore._MAX_USERS", 1000)
        with pytest.raises(BackendError, match="more than 1000 entries"):
            list(store(own).list_users())
    assert users == ["alice", *(f"user{number:04}" for number in range(1234))]


# --- in an application


def application(made, local):
    who = new_who()
    app = Flask("tests")
    api = Api(app)
    api.add_resource(who, "/who")
    people = PasswordAuthenticator(password_hasher=FAST)
    chain = [people, PasswordAuthenticator(userstore=local, password_hasher=FAST, name="local")]
    SecuREST(api, userstore=made, authentication_providers=[*chain, TokenAuthenticator(SECRET_KEY)])
    return app.test_client(), TokenAuthenticator(SECRET_KEY)


def test_an_application_answers_200_401_and_503_and_a_local_administrator_gets_in_all_the_time(own, caplog):
    local = SimpleUserstore([User("root", FAST.hash("local-planted-90"), roles=["admin"])])
    client, tokens = application(impatient(own), local)
    token = bearer(tokens.generate_auth_token("alice"))

    def statuses():
        sent = (basic("alice", "wonderland"), basic("alice", "wrong"), basic("nobody", "x"), token)
        return [client.get("/who", headers=headers) for headers in sent]

    def administrator():
        return client.get("/who", headers=basic("root", "local-planted-90")).json

    with own.run():
        answers = statuses()
        assert [answer.status_code for answer in answers] == [200, 401, 401, 200]
        assert answers[0].json == {"user": "alice", "provider": "password"}
        assert answers[1].get_data() == answers[2].get_data()
        assert administrator() == {"user": "root", "provider": "local"}
        with stopped(own.process):
            assert [answer.status_code for answer in statuses()] == [503] * 4
            assert administrator() == {"user": "root", "provider": "local"}
    answers = statuses()
    assert [answer.status_code for answer in answers] == [503] * 4
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert administrator() == {"user": "root", "provider": "local"}
    with own.run():
        assert [answer.status_code for answer in statuses()] == [200, 401, 401, 200]
    for secret in ("wonderland", "local-planted-90", READER_PASSWORD):
        assert secret not in caplog.text


def test_a_token_of_a_user_who_is_disabled_in_the_directory_stops(own):
    client, tokens = application(store(own), SimpleUserstore([User("root")]))
    token = bearer(tokens.generate_auth_token("alice"))
    with own.run():
        assert client.get("/who", headers=token).status_code == 200
        own.load(f"dn: uid=alice,{PEOPLE}\nchangetype: modify\nadd: userAccountControl\nuserAccountControl: 514\n\n")
        assert client.get("/who", headers=token).status_code == 401
        assert client.get("/who", headers=basic("alice", "wonderland")).status_code == 401


def test_no_secret_shows_however_it_goes(server, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    made = store(server)
    made.verify_password("alice", "planted-right-or-wrong")
    with suppress(BackendError):
        store(server, bind_password="planted-account").get_user("alice")
    shown = caplog.text + repr(made) + repr(vars(made)) + "".join(capfd.readouterr())
    for secret in ("planted-right-or-wrong", "planted-account", READER_PASSWORD):
        assert secret not in shown


# --- the configuration


GOOD = {"base_dn": PEOPLE}


@pytest.mark.parametrize(
    ("urls", "options", "told"),
    [
        ("ldap://host", {}, "'ldap://host' would let passwords travel as they are"),
        (["ldaps://host", "ldap://host"], {}, "'ldap://host' would let passwords travel as they are"),
        ([], {}, "at least one"),
        ("", {}, "urls must be a printable string"),
        (None, {}, "urls must be a list"),
        ("host", {}, "must be written ldaps://host"),
        ("ldapi:///", {}, "must be written ldaps://host"),
        ("https://host", {}, "must be written ldaps://host"),
        ("ldaps://", {}, "must be written ldaps://host"),
        ("ldaps://host:99999", {}, "is no URL"),
        ("ldaps://host/dc=example", {}, "must be written ldaps://host"),
        ("ldaps://me@host", {}, "must be written ldaps://host"),
        ("ldaps://host", {"base_dn": ""}, "base_dn must be a printable string"),
        ("ldaps://host", {"base_dn": "example.com"}, "base_dn: 'example.com' is no DN"),
        ("ldaps://host", {"group_base_dn": "groups"}, "group_base_dn: 'groups' is no DN"),
        ("ldaps://host", {"decoy_dn": "decoy"}, "decoy_dn: 'decoy' is no DN"),
        ("ldaps://host", {"bind_dn": READER}, "belong together"),
        ("ldaps://host", {"bind_password": "x"}, "belong together"),
        ("ldaps://host", {"bind_dn": READER, "bind_password": ""}, "belong together"),
        ("ldaps://host", {"bind_dn": "", "bind_password": ""}, "neither of them is empty"),
        ("ldaps://host", {"user_filter": "(uid=alice)"}, "with {username}"),
        ("ldaps://host", {"user_filter": "(&(uid={username})"}, "in parentheses"),
        ("ldaps://host", {"user_filter": "uid={username}"}, "in parentheses"),
        ("ldaps://host", {"user_filter": ")(uid={username}))("}, "in parentheses"),
        ("ldaps://host", {"username_attribute": "uid)(x"}, "no attribute"),
        ("ldaps://host", {"username_attribute": "userPassword"}, "no attribute"),
        ("ldaps://host", {"email_attribute": "unicodePwd"}, "no attribute"),
        ("ldaps://host", {"email_attribute": "*"}, "no attribute"),
        ("ldaps://host", {"groups": "all"}, "groups must be"),
        ("ldaps://host", {"nested_groups": True}, 'say groups="search"'),
        ("ldaps://host", {"group_filter": "(member={dn})"}, 'say groups="search"'),
        ("ldaps://host", {"groups": "search", "group_filter": "(cn=x)"}, "with {dn} or {username}"),
        ("ldaps://host", {"groups": "search", "group_filter": "(member={dn})", "nested_groups": True}, "say one"),
        ("ldaps://host", {"roles_of_groups": ["admin"]}, "must be a mapping"),
        ("ldaps://host", {"roles_of_groups": {"admins": "admin"}}, "roles_of_groups\\['admins'\\]"),
        ("ldaps://host", {"roles_of_groups": {"cn=a,,": ["admin"]}}, "is no DN"),
        ("ldaps://host", {"timeout_seconds": 0}, "timeout_seconds must be a number"),
        ("ldaps://host", {"total_seconds": None}, "total_seconds must be a number"),
        ("ldaps://host", {"down_seconds": True}, "down_seconds must be a number"),
        ("ldaps://host", {"lockout_seconds": -1}, "lockout_seconds must be a number"),
        ("ldaps://host", {"ca_file": "/nowhere/ca.pem"}, "ca_file: '/nowhere/ca.pem' cannot be read"),
        ("ldaps://host", {"ca_file": __file__}, "cannot be read as certificates"),
    ],
    ids=str,
)
def test_what_cannot_work_or_would_not_be_safe_is_said_at_once(urls, options, told):
    with pytest.raises(ConfigurationError, match=told):
        LDAPUserstore(urls, **{**GOOD, **options})


def test_a_constructor_speaks_to_nobody():
    before = set(threading.enumerate())
    LDAPUserstore("ldaps://nobody-knows.invalid", **GOOD)
    LDAPUserstore("ldap://[::1]:389", allow_plaintext=True, **GOOD)
    assert set(threading.enumerate()) <= before


def test_without_ldap3_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ldap3", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "flask_securest\[ldap\]"') as raised:
        LDAPUserstore("ldaps://host", **GOOD)
    assert "LDAPUserstore" in str(raised.value)


def test_importing_it_brings_no_ldap3():
    code = "import sys, flask_securest.userstores.ldap; print('ldap3' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
