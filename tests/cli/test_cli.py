"""``flask securest ...``: on SQLite files, as processes of their own where that matters."""

import csv
import importlib.metadata
import inspect
import io
import json
import os
import pty
import random
import re
import select
import shlex
import shutil
import subprocess
import sys
import termios
import time
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask_restful import Api, Resource
from helpers import FAST, SECRET_KEY, basic, new_who, secured, show, who, with_key
from servers import commands

from flask_securest import SecuREST, User, authenticators, require
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.cli import securest
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.keystores import AbstractKeystore, SimpleKeystore
from flask_securest.keystores.format import key_pattern
from flask_securest.keystores.models import KeyUse
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.passwords import MAX_PASSWORD_BYTES, PasswordHasher
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import AbstractUserstore, AbstractWritableUserstore, SimpleUserstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

PASSWORD = "planted-correct-horse"
ESCAPE = "\x1b]0;owned\x07\u202e"
KEY = re.compile(key_pattern())
USER_KEYS = ["username", "active", "roles", "groups", "email", "has_password_hash"]
KEY_KEYS = [
    *(
        "id",
        "status",
        "owner",
        "owner_origin",
        "app_name",
        "scopes",
        "networks",
        "note",
        "created_at",
        "expires_at",
        "revoked_at",
    ),
    *("last_used_at", "rotated_at", "sunset_at", "former_last_used_at"),
]
README = Path(__file__).parents[2] / "README.rst"

#: Until click 8.2 the runner had to be told that there are two streams.
TWO_STREAMS = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


class Who(Resource):
    def get(self):
        return who()

    def post(self):
        return who()


class Shop:
    """An application on one SQLite file, and its command line."""

    def __init__(self, path, **options):
        self.users = SQLAlchemyUserstore(f"sqlite:///{path}")
        self.keys = SQLAlchemyKeystore(f"sqlite:///{path}")
        self.users.create_schema()
        self.keys.create_schema()
        self.providers = [
            HeaderApiKeyAuthenticator(keystore=self.keys),
            PasswordAuthenticator(password_hasher=FAST),
        ]
        self.app, _, _ = secured(
            new_who(base=Who, get=require(roles="admin")(lambda self: who())),
            providers=self.providers,
            **{"userstore": self.users, **options},
        )

    def run(self, *arguments, given="", code=0):
        return run(self.app, *arguments, given=given, code=code)

    def json(self, *arguments, given="", code=0):
        return json.loads(self.run(*arguments, "--json", given=given, code=code).stdout)

    def status(self, headers, verb="post"):
        return self.app.test_client().open("/who", method=verb, headers=headers).status_code


def run(app, *arguments, given="", code=0):
    """Run a command in this process, and see that it ends as it should."""
    result = app.test_cli_runner(**TWO_STREAMS).invoke(securest, arguments, input=given, prog_name="flask securest")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, (arguments, result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def walk(group, path=()):
    """Yield all commands that are no groups, with their names."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(walk(securest))


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop.db")


# --- users


def test_a_user_that_is_added_can_log_in(shop):
    result = shop.run("users", "add", "alice", "--role", "admin", "--role", "author", given=f"{PASSWORD}\n")
    assert (result.stdout, result.stderr) == ("", "user 'alice': added\n")
    assert shop.users.get_user("alice").roles == {"admin", "author"}
    assert shop.status(basic("alice", PASSWORD), "get") == 200
    assert shop.status(basic("alice", "another"), "get") == 401


def test_a_password_is_hashed_as_the_application_does_it(shop):
    shop.run("users", "add", "alice", given=PASSWORD)
    assert not FAST.needs_rehash(shop.users.get_user("alice").password)
    hashed = shop.run("hash", given=PASSWORD).stdout
    assert hashed.endswith("\n")
    assert FAST.verify(PASSWORD, hashed.strip())
    assert not FAST.needs_rehash(hashed.strip())
    assert FAST.verify(PASSWORD, shop.json("hash", given=PASSWORD)["hash"])


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nanother line\n"], ids=show)
def test_a_password_is_one_line_without_its_end(shop, end):
    shop.run("users", "add", "alice", given=f" two words {end}")
    assert shop.status(basic("alice", " two words ")) == 200


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("\nplanted\n", "is empty"),
        ("x" * (MAX_PASSWORD_BYTES + 1), "is longer than 256 bytes"),
        ("é" * 129, "is longer than 256 bytes"),
        ("planted" * 1_000_000, "is longer than 256 bytes"),
        ("planted\x1b[2J", "has control characters"),
        ("planted\x00", "has control characters"),
        (b"planted\xff", "is not UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("command", [["users", "add", "alice"], ["users", "passwd", "bob"], ["hash"]], ids=" ".join)
def test_what_can_be_no_password_is_refused(shop, command, given, reason):
    stored = FAST.hash(PASSWORD)
    shop.users.add_users([User("bob", stored)])
    result = shop.run(*command, given=given, code=2)
    assert f"The password {reason}." in result.stderr
    assert "planted" not in result.stderr
    assert result.stdout == ""
    assert shop.users.get_user("alice") is None
    assert shop.users.get_user("bob").password == stored


def test_the_longest_password_is_taken(shop):
    longest = "é" * (MAX_PASSWORD_BYTES // 2)
    shop.run("users", "add", "alice", given="e\u0301" * (MAX_PASSWORD_BYTES // 2) + "\r\n")  # the same, taken apart
    assert shop.status(basic("alice", longest)) == 200


def test_no_command_takes_a_password_as_an_argument():
    for path, command in walk(securest):
        for parameter in command.params:
            assert not {"password", "secret", "key"} & {option.strip("-") for option in parameter.opts}, path


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([""], "is empty"),
        (["al\x1b[2Jice"], "not printable"),
        (["alice\n"], "not printable"),
        (["\udcff"], "not UTF-8"),
        ([" alice"], "white space"),
        (["al:ice"], "colon"),
        (["alice", "--role", ""], "The --role has an empty name"),
        (["alice", "--role", "ad\x1bmin"], "The --role has a name that is not printable"),
        (["alice", "--group", " "], "The --group has an empty name"),
        (["alice", "--email", "a\x07@b"], "The --email is not printable"),
    ],
    ids=show,
)
def test_an_account_that_makes_no_sense_is_refused(shop, arguments, reason):
    result = shop.run("users", "add", *arguments, given=PASSWORD, code=2)
    assert reason in result.stderr
    assert "\x1b" not in result.stderr
    assert not list(shop.users.list_users())


def test_a_machine_may_have_a_colon_and_no_password(shop):
    shop.run("users", "add", "urn:robot:1", "--no-password", "--email", "ops@example.com", "--disabled")
    assert shop.json("users", "show", "urn:robot:1") == {
        "username": "urn:robot:1",
        "active": False,
        "roles": [],
        "groups": [],
        "email": "ops@example.com",
        "has_password_hash": False,
    }


def test_a_name_that_is_taken_is_refused_before_a_password_is_asked_for(shop):
    shop.run("users", "add", "alice", "--no-password")
    result = shop.run("users", "add", "alice", code=1)
    assert result.stderr == "Error: there is a user 'alice' already\n"


def test_a_group_must_be_there(shop):
    result = shop.run("users", "add", "alice", "--group", "staff", "--no-password", code=1)
    assert "staff" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    shop.users.set_group("staff", ["admin"])
    assert shop.json("users", "add", "alice", "--group", "staff", "--no-password")["roles"] == ["admin"]


def test_users_are_listed_as_a_table_for_people(shop):
    shop.users.set_group("staff", [])
    shop.users.add_users(
        [User("bob", active=False), User("alice", roles=["b", "a"], groups=["staff"], email="a@example.com")]
    )
    assert shop.run("users", "list").stdout.splitlines() == [
        "username  active  roles  groups  email",
        "--------  ------  -----  ------  -------------",
        "alice     yes     a, b   staff   a@example.com",
        "bob       no      -      -       -",
    ]


def test_letters_of_two_columns_and_of_none_keep_a_table_aligned(shop):
    shop.users.add_users([User("王"), User("e\u0301"), User("ab")])
    lines = shop.run("users", "list").stdout.splitlines()
    assert {line[:10] for line in lines[2:]} == {"ab        ", "e\u0301       y", "王       y"[:10]} or len(lines) == 5
    assert "王        yes" in lines[-1]
    assert "e\u0301         yes" in lines[-2]


def test_users_are_listed_as_json_for_scripts(shop):
    assert shop.json("users", "list") == []
    shop.users.add_users([User("bob"), User("alice", "$5$planted", roles=["b", "a"])])
    listed = shop.json("users", "list")
    assert [list(user) for user in listed] == [USER_KEYS, USER_KEYS]
    assert [user["username"] for user in listed] == ["alice", "bob"]
    assert listed[0]["roles"] == ["a", "b"]
    assert listed[0]["has_password_hash"]


def test_an_empty_list_says_so_beside_standard_output(shop):
    for command, told in (("users", "there are no users\n"), ("keys", "there are no such keys\n")):
        result = shop.run(command, "list")
        assert (result.stdout, result.stderr) == ("", told)


def test_a_user_is_shown(shop):
    shop.users.add_users([User("alice", roles=["admin"])])
    assert "username           alice\n" in shop.run("users", "show", "alice").stdout
    assert list(shop.json("users", "show", "alice")) == USER_KEYS


@pytest.mark.parametrize("command", ["show", "passwd", "enable", "disable", "remove"])
@pytest.mark.parametrize(
    "name", ["nobody", "no\x1bbody", "\udcff", "", "' OR 1=1 --", "x" * 100_000], ids=lambda n: repr(n)[:20]
)
def test_who_is_not_there_cannot_be_found(shop, command, name):
    result = shop.run("users", command, "--", name, given="y\n", code=1)
    assert result.stderr.startswith("Error: there is no user ")
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_new_password_is_in_force_at_once_and_the_former_one_is_not(shop):
    shop.run("users", "add", "alice", given="former")
    shop.run("users", "passwd", "alice", given="new")
    assert (shop.status(basic("alice", "former")), shop.status(basic("alice", "new"))) == (401, 200)


def test_who_is_disabled_is_shut_out_with_all_keys_until_enabled(shop):
    shop.run("users", "add", "alice", given=PASSWORD)
    key = shop.run("keys", "issue", "--owner", "alice").stdout.strip()
    both = [basic("alice", PASSWORD), with_key(key)]
    assert [shop.status(each) for each in both] == [200, 200]
    assert shop.json("users", "disable", "alice")["active"] is False
    assert [shop.status(each) for each in both] == [401, 401]
    assert shop.json("users", "enable", "alice")["active"] is True
    assert [shop.status(each) for each in both] == [200, 200]


def test_sessions_of_who_is_disabled_or_removed_do_not_begin_again(shop, tmp_path):
    tokens = TokenAuthenticator(SECRET_KEY, store=SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db"))
    shop.app.extensions["securest"].owners.guards()[0].reporter.sender.register_authentication_provider(tokens)
    shop.users.add_users([User("alice"), User("bob")])
    for username, ending in (("alice", ["disable"]), ("bob", ["remove", "--yes"])):
        issued = tokens.issue_tokens(username).access_token
        assert shop.status({"Authorization": f"Bearer {issued}"}) == 200
        shop.run("users", *ending, username)
        shop.users.set_active(username, True) or shop.users.add_users([User(username)])
        assert shop.status({"Authorization": f"Bearer {issued}"}) == 401


def test_a_user_is_removed_when_that_is_confirmed(shop):
    shop.users.add_users([User("alice")])
    for given in ("n\n", "\n", ""):
        assert "Aborted" in shop.run("users", "remove", "alice", given=given, code=1).stderr
    assert shop.users.get_user("alice") is not None
    result = shop.run("users", "remove", "alice", given="y\n")
    assert result.stdout.strip() in ("", "y")  # the runner of click 8.1 shows there what was answered
    assert shop.users.get_user("alice") is None
    shop.users.add_users([User("bob", roles=["a"])])
    assert shop.json("users", "remove", "bob", "--yes")["roles"] == ["a"]
    assert shop.users.get_user("bob") is None


def test_it_tells_of_keys_that_would_be_those_of_the_next_user_of_the_name(shop):
    shop.users.add_users([User("alice"), User("bob")])
    issued = shop.keys.issue(owner=User("alice"))
    told = "'alice' has API keys, which would work again for a new user of this name: revoke them\n"
    assert told in shop.run("users", "remove", "alice", given="n", code=1).stderr
    assert "API keys" not in shop.run("users", "remove", "bob", "--yes").stderr
    shop.run("keys", "revoke", issued.key.id, "--yes")
    assert "API keys" not in shop.run("users", "remove", "alice", "--yes").stderr


# --- users import


def as_csv(*rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "people.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


HEADER = "username,password_hash,password,active,roles,groups,email\n"


def test_the_users_of_a_file_are_added_with_all_that_it_says(shop, file):
    shop.users.set_group("staff", ["reader"])
    stored = PasswordHasher("sha512_crypt", rounds=1000).hash("alicepw")
    rows = [
        HEADER.strip().split(","),
        ["alice", stored, "", "true", "admin author;editor", "staff", "alice@example.com"],
        ["bob", "", PASSWORD, "no", "", "", ""],
        [],
        ['Zoë, the "first"', "", "zo\u00eb", "1", "", "", ""],
        ["robot", "", "", "YES", "", "", ""],
    ]
    result = shop.run("users", "import", file(as_csv(*rows)))
    assert (result.stdout, result.stderr) == ("", "4 users added\n")
    alice, bob, robot = (shop.users.get_user(name) for name in ("alice", "bob", "robot"))
    assert (alice.password, alice.roles, alice.email) == (
        stored,
        {"admin", "author", "editor", "reader"},
        "alice@example.com",
    )
    assert FAST.verify(PASSWORD, bob.password)
    assert not FAST.needs_rehash(bob.password)
    assert (alice.active, bob.active, robot.active, robot.password) == (True, False, True, None)
    assert shop.status(basic("alice", "alicepw"), "get") == 200
    assert shop.status(basic('Zoë, the "first"', "zo\u00eb")) == 200


@pytest.mark.parametrize(
    "content",
    [b"username\nalice\n", b"\xef\xbb\xbfusername\r\nalice\r\n", b" username ,roles\nalice,", b'"username"\n"alice"'],
    ids=show,
)
def test_files_are_written_in_many_ways(shop, file, content):
    assert shop.json("users", "import", file(content)) == {
        "users": 1,
        "imported": 1,
        "dry_run": False,
        "problems": [],
        "more_problems": 0,
    }
    assert shop.users.get_user("alice").active


def test_a_file_may_come_on_standard_input(shop):
    shop.run("users", "import", "-", given="username,password\nalice,wonderland\n")
    assert shop.status(basic("alice", "wonderland")) == 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",,,true,,,", "username is empty"),
        ("pl\x1banted,,,true,,,", "username has characters that are not printable"),
        (b"pl\xffanted,,,true,,,", "username has characters that are not printable, or is not UTF-8"),
        ("\x00,,,true,,,", None),  # Python 3.10 calls it no CSV
        (" planted,,,true,,,", "username has white space at its ends"),
        ("pl:anted,,planted,true,,,", "username has a colon"),
        ("bob,planted,,true,,,", "password_hash is no hash that can be verified here"),
        ("bob,$argon2id$planted,,true,,,", "password_hash is no hash that can be verified here"),
        ("bob,$2b$12$planted,,true,,,", "password_hash is no hash that can be verified here"),
        ("bob,!,,true,,,", "password_hash is no hash"),
        ("bob,{PLAIN}planted,,true,,,", "password_hash is no hash"),
        ("bob,$5$planted,planted,true,,,", "password_hash and password are both given"),
        (f"bob,,{'planted' * 50},true,,,", "password is longer than 256 bytes"),
        ("bob,,pla\x07nted,true,,,", "password has control characters"),
        (b"bob,,planted\xff,true,,,", "password is not UTF-8"),
        ("bob,,,,,,", "active is neither true nor false"),
        ("bob,,,planted,,,", "active is neither true nor false"),
        ("bob,,,true,pla\x1bnted,,", "roles has a name that is not printable"),
        ("bob,,,true,,pla\x1bnted,", "groups has a name that is not printable"),
        ("bob,,,true,,,pla\x1bnted", "email is not printable"),
        ("bob,,planted", "it has 3 cells, and there are 7 columns"),
        ("bob,,planted,true,,,,,", "it has 9 cells, and there are 7 columns"),
        ("good,,,true,,,", "the same user stands in line 2"),
        ("taken,,,true,,,", "there is a user of this name already"),
        ('bob,,"planted,true', "this is not CSV, and nothing after it was read"),
        ('bob,,"planted"x,true,,,', "this is not CSV, and nothing after it was read"),
        (f"{'planted' * 30_000},,,true,,,", "this is not CSV, and nothing after it was read: field larger than"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_bad_line_is_told_by_number_and_unquoted_and_nobody_is_added(shop, file, line, reason):
    shop.users.add_users([User("taken")])
    line = line if isinstance(line, bytes) else line.encode()
    content = HEADER.encode() + b"good,,,true,,,\n" + line + b"\nlast,,,true,,,\n"
    result = shop.run("users", "import", file(content), code=1)
    assert result.stderr.splitlines()[0].startswith("line 3: " + (reason or ""))
    assert result.stderr.splitlines()[-1] == "Error: nobody was added, for 1 line is wrong"
    assert "planted" not in result.stderr
    assert [user.username for user in shop.users.list_users()] == ["taken"]
    told = shop.json("users", "import", file(content), code=1)
    assert (told["imported"], told["problems"][0]["line"], told["more_problems"]) == (0, 3, 0)


def test_all_bad_lines_are_told_in_their_order_with_all_that_is_wrong(shop, file):
    shop.users.add_users([User("taken")])
    rows = [
        ["username", "password", "active"],
        ["taken", "", "true"],
        ["", "", "maybe"],
        ["a\nb", "", "true"],
        ["c", "x"],
    ]
    assert shop.run("users", "import", file(as_csv(*rows)), code=1).stderr.splitlines() == [
        "line 2: there is a user of this name already",
        "line 3: username is empty; active is neither true nor false",
        "line 4: username has characters that are not printable, or is not UTF-8",
        "line 6: it has 2 cells, and there are 3 columns",
        "Error: nobody was added, for 4 lines are wrong",
    ]


def test_a_report_has_an_end(shop, file):
    told = shop.run("users", "import", file("username\n" + ' ""\n' * 250), code=1).stderr.splitlines()
    assert len(told) == 102
    assert told[-2:] == ["and 150 more", "Error: nobody was added, for 250 lines are wrong"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "the file is empty"),
        ("alice,planted", "column 1 is none of username, password_hash"),
        ("username,planted", "column 2 is none of username, password_hash"),
        ("username;password", "column 1 is none of"),
        ("username,password,username", "column 3 is there twice"),
        ("password,active", "there is no column username"),
        ("username,Password", "column 2 is none of"),
        (b"\xff\xfeu\x00s\x00", None),
    ],
    ids=show,
)
def test_the_first_line_names_the_columns(shop, file, header, reason):
    header = header if isinstance(header, bytes) else header.encode()
    result = shop.run("users", "import", file(header + b"\nbob,planted\n" if header else b""), code=1)
    assert result.stderr.startswith("line 1: " + (reason or ""))
    assert "planted" not in result.stderr


def test_a_dry_run_adds_nobody(shop, file):
    path = file("username,password\nalice,wonderland\nbob,builder\n")
    assert shop.run("users", "import", path, "--dry-run").stderr == "2 users could be added\n"
    assert shop.json("users", "import", path, "--dry-run")["imported"] == 0
    assert not list(shop.users.list_users())
    shop.run("users", "import", file("username\n\x07\n"), "--dry-run", code=1)


def test_a_group_that_is_not_known_lets_nobody_in(shop, file):
    result = shop.run("users", "import", file("username,groups\nalice,\nbob,nowhere\n"), code=1)
    assert "'nowhere'" in result.stderr
    assert not list(shop.users.list_users())


def test_a_password_that_the_scheme_does_not_take_is_told_by_its_line(tmp_path, file):
    shop = Shop(tmp_path / "shop.db")
    shop.providers[1].password_hasher = PasswordHasher("bcrypt", rounds=4)
    result = shop.run("users", "import", file(f"username,password\nbob,x\nalice,{'planted' * 11}\n"), code=1)
    assert result.stderr.startswith("line 3: a password can have at most 72 bytes with bcrypt\n")
    assert not list(shop.users.list_users())


def test_a_file_that_is_not_there_is_wrong_usage(shop, tmp_path):
    assert "nowhere.csv" in shop.run("users", "import", str(tmp_path / "nowhere.csv"), code=2).stderr
    shop.run("users", "import", str(tmp_path), code=2)


# --- keys


def test_a_key_is_alone_on_standard_output_and_opens_the_api(shop):
    result = shop.run("keys", "issue", "--app", "billing", "--note", "nightly")
    key = result.stdout.strip()
    assert KEY.fullmatch(key)
    assert result.stdout == key + "\n"
    assert key not in result.stderr
    assert key_pattern() in result.stderr
    assert "nightly" in result.stderr
    assert shop.status(with_key(key)) == 200
    assert shop.status(with_key(key), "get") == 403


def test_a_key_has_all_that_was_asked_for(shop):
    shop.users.add_users([User("alice", roles=["admin"])])
    issued = shop.json(
        *("keys", "issue", "--owner", "alice", "--scope", "read", "--scope", "write", "--expires", "90"),
        *("--network", "10.0.0.0/8", "--network", "2001:db8::1", "--note", "both"),
    )
    assert list(issued) == ["key", *KEY_KEYS]
    known = shop.keys.get_key(issued["id"])
    assert (known.owner, known.scopes, known.networks) == (
        "alice",
        {"read", "write"},
        ("10.0.0.0/8", "2001:db8::1/128"),
    )
    assert abs(known.expires_at - datetime.now(timezone.utc) - timedelta(days=90)) < timedelta(minutes=1)
    assert issued["scopes"] == ["read", "write"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", issued["expires_at"])
    shown = shop.json("keys", "show", issued["id"])
    assert shown == {name: value for name, value in issued.items() if name != "key"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2100-01-31", datetime(2100, 1, 31, tzinfo=timezone.utc)),
        ("2100-01-31T12:00:00Z", datetime(2100, 1, 31, 12, tzinfo=timezone.utc)),
        ("2100-01-31T12:00:00+02:00", datetime(2100, 1, 31, 10, tzinfo=timezone.utc)),
    ],
)
def test_a_key_may_end_at_a_date(shop, text, expected):
    issued = shop.json("keys", "issue", "--app", "ci", "--expires", text)
    assert shop.keys.get_key(issued["id"]).expires_at == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("--expires", value) for value in ("0", "-1", "", "never", "1.5", "2001-01-01", "36501", "9" * 5000, "²")],
        *[
            ("--expires", value)
            for value in ("2100-01-31T12:00:00", "2100-02-30", "9999-12-31", "0001-01-01T00:00:00+14:00")
        ],
        *[("--network", value) for value in ("", "10.0.0.1/8", "10.0.0.0/33", "localhost", "\x1b")],
        *[("--scope", value) for value in ("", " ", "re\x1bad")],
        *[("--count", value) for value in ("0", "-1", "1000001", "many")],
    ],
)
def test_what_a_key_cannot_have_is_wrong_usage(shop, option, value):
    result = shop.run("keys", "issue", "--app", "ci", option, value, code=2)
    assert option in result.stderr
    assert "\x1b" not in result.stderr
    assert not list(shop.keys.list_keys())


@pytest.mark.parametrize(
    "arguments", [[], ["--owner", ""], ["--owner", "alice", "--app", "ci"], ["--app", ""]], ids=show
)
def test_a_key_is_either_a_users_or_an_applications(shop, arguments):
    assert "either --owner or --app" in shop.run("keys", "issue", *arguments, code=2).stderr


def test_an_owner_must_be_a_user_and_lends_no_scope_that_it_has_not(shop):
    assert "no user 'nobody'" in shop.run("keys", "issue", "--owner", "nobody", code=1).stderr

    class Limited(AbstractUserstore):
        def get_user(self, identifier):
            return User(identifier, active=False, attributes={"scopes": ["read"]})

    shop.app.extensions["securest"].owners.guards()[0].settings.accounts.userstore = Limited()
    result = shop.run("keys", "issue", "--owner", "alice", "--scope", "write", code=1)
    assert "has not these scopes itself: write" in result.stderr
    assert not list(shop.keys.list_keys())
    assert "'alice' is disabled" in shop.run("keys", "issue", "--owner", "alice", "--scope", "read").stderr


def test_many_keys_are_issued_in_one_go(shop):
    result = shop.run("keys", "issue", "--app", "sensor", "--count", "300")
    issued = result.stdout.splitlines()
    assert len(set(issued)) == 300
    assert all(KEY.fullmatch(key) for key in issued)
    assert shop.status(with_key(issued[137])) == 200
    assert len(shop.json("keys", "issue", "--app", "sensor", "--count", "1")) == 1
    assert len(list(shop.keys.list_keys())) == 301


def test_keys_are_listed_by_whose_they_are(shop):
    shop.users.add_users([User("alice")])
    mine = shop.json("keys", "issue", "--owner", "alice")["id"]
    its = shop.json("keys", "issue", "--app", "alice", "--note", "hello")["id"]
    shop.run("keys", "revoke", its, "--yes")
    assert {key["id"] for key in shop.json("keys", "list")} == {mine, its}
    assert [key["id"] for key in shop.json("keys", "list", "--owner", "alice")] == [mine]
    assert [(key["id"], key["status"]) for key in shop.json("keys", "list", "--app", "alice")] == [(its, "revoked")]
    assert shop.json("keys", "list", "--app", "nobody") == []
    lines = shop.run("keys", "list").stdout.splitlines()
    assert lines[0].split() == [
        "id",
        "owner",
        "app",
        "name",
        "status",
        "expires",
        "at",
        "last",
        "used",
        "at",
        "scopes",
        "note",
    ]
    assert len(lines) == 4
    assert list(shop.json("keys", "list")[0]) == KEY_KEYS


def test_who_still_uses_the_former_secret_is_a_list(shop):
    former, other, ended = (shop.json("keys", "issue", "--app", name) for name in ("late", "quick", "ended"))
    rotated = shop.run("keys", "rotate", former["id"])
    assert KEY.fullmatch(rotated.stdout.strip())
    shop.run("keys", "rotate", other["id"])
    shop.run("keys", "rotate", ended["id"], "--overlap", "0")
    assert shop.json("keys", "list", "--still-using-former") == []
    assert [shop.status(with_key(key["key"])) for key in (former, other, ended)] == [200, 200, 401]
    assert shop.status(with_key(rotated.stdout.strip())) == 200
    assert shop.providers[0]._uses.flush()
    listed = shop.json("keys", "list", "--still-using-former")
    assert {key["app_name"] for key in listed} == {"late", "quick"}
    assert all(key["sunset_at"] and key["former_last_used_at"] for key in listed)
    assert "late" in shop.run("keys", "list", "--still-using-former").stdout
    shop.run("keys", "revoke", former["id"], "--yes")
    assert [key["app_name"] for key in shop.json("keys", "list", "--still-using-former")] == ["quick"]


@pytest.mark.parametrize(
    ("minutes", "overlap", "still_used"), [(-5, 30, False), (0, 30, True), (5, 30, True), (5, 0, False)]
)
def test_the_use_of_a_former_secret_counts_from_its_rotation_to_its_sunset(shop, minutes, overlap, still_used):
    key = shop.keys.rotate(shop.keys.issue(app_name="ci").key.id, overlap=timedelta(days=overlap)).key
    shop.keys.record_uses({KeyUse(key.id, True): key.rotated_at + timedelta(minutes=minutes)})
    assert bool(shop.json("keys", "list", "--still-using-former")) is still_used


def test_a_rotated_key_works_with_both_secrets_and_a_revoked_one_with_none(shop):
    first = shop.json("keys", "issue", "--app", "ci")
    second = shop.json("keys", "rotate", first["id"], "--overlap", "7")
    assert list(second) == ["key", *KEY_KEYS]
    assert second["id"] == first["id"]
    both = [with_key(first["key"]), with_key(second["key"])]
    assert [shop.status(each) for each in both] == [200, 200]
    for given in ("n\n", ""):
        shop.run("keys", "revoke", first["id"], given=given, code=1)
    assert [shop.status(each) for each in both] == [200, 200]
    assert "revoked" in shop.run("keys", "revoke", first["id"], given="y\n").stderr
    assert [shop.status(each) for each in both] == [401, 401]
    assert shop.json("keys", "revoke", first["id"], "--yes")["status"] == "revoked"
    assert "is revoked: issue a new one" in shop.run("keys", "rotate", first["id"], code=1).stderr
    shop.run("keys", "rotate", first["id"], "--overlap", "-1", code=2)


@pytest.mark.parametrize("command", [["show"], ["rotate"], ["revoke", "--yes"]], ids=" ".join)
def test_a_key_that_is_not_there_cannot_be_found_and_a_whole_key_is_not_repeated(shop, command):
    shop.run("keys", *command, "0123456789abcdef", code=1)
    key = shop.run("keys", "issue", "--app", "ci").stdout.strip()
    for given in (key, key[:-1], "x\x1b", "\udcff", "", "0123456789abcde\n"):
        result = shop.run("keys", *command, given, code=2)
        assert key.split("_")[2][:-1] not in result.stderr
        assert "\x1b" not in result.stderr
    assert "history of your shell" in shop.run("keys", *command, key, code=2).stderr
    assert shop.status(with_key(key)) == 200


def test_the_pattern_for_secret_scanners_finds_the_keys_of_this_store(shop):
    shop.keys.prefix = "acme"
    pattern = shop.run("keys", "pattern").stdout.strip()
    assert pattern == key_pattern("acme")
    assert shop.json("keys", "pattern") == {"prefix": "acme", "pattern": pattern}
    result = shop.run("keys", "issue", "--app", "ci")
    assert re.search(pattern, f'key = "{result.stdout.strip()}"')
    assert pattern in result.stderr


# --- what is shown


def test_nothing_that_is_stored_commands_the_terminal(tmp_path):
    shop = Shop(tmp_path / "shop.db", userstore=SimpleUserstore([User(ESCAPE, roles=[ESCAPE], email=ESCAPE)]))
    issued = shop.keys.issue(app_name=ESCAPE, scopes=[ESCAPE], note=ESCAPE + "\n\r\t\x08" * 50)
    commands = [
        ["users", "list"],
        ["users", "show", ESCAPE],
        ["users", "show", ESCAPE + "x"],
        ["keys", "list"],
        ["keys", "show", issued.key.id],
        ["keys", "rotate", issued.key.id],
        ["keys", "revoke", issued.key.id],
    ]
    for command in commands:
        for options in ([], ["--json"]):
            result = shop.app.test_cli_runner(**TWO_STREAMS).invoke(securest, [*command, *options], input="y\n")
            shown = result.output + result.stderr
            assert all(c.isprintable() or c == "\n" for c in shown), (command, options)
            assert "owned" in shown
    assert json.loads(shop.run("users", "show", ESCAPE, "--json").stdout)["username"] == ESCAPE


def test_a_long_text_is_cut_in_a_table_and_whole_elsewhere(shop):
    issued = shop.keys.issue(app_name="ci", note="word " * 100)
    assert shop.run("keys", "list").stdout.splitlines()[-1].endswith("  " + ("word " * 100)[:57] + "...")
    assert "word " * 100 in shop.run("keys", "show", issued.key.id).stdout + " "
    assert shop.json("keys", "list")[0]["note"] == "word " * 100


def test_no_hash_and_no_digest_is_ever_shown(shop):
    stored = FAST.hash(PASSWORD)
    shop.users.add_users([User("alice", stored)])
    issued = shop.keys.issue(owner=User("alice"))
    rotated = shop.keys.rotate(issued.key.id)
    secrets = [stored, PASSWORD, issued.text, rotated.text, rotated.text.split("_")[2]]
    secrets += [key.digest.hex() for key in (issued.key, rotated.key)] + [repr(rotated.key.digest)]
    for command in (
        ["users", "list"],
        ["users", "show", "alice"],
        ["users", "passwd", "alice"],
        ["users", "enable", "alice"],
        ["keys", "list"],
        ["keys", "show", issued.key.id],
        ["keys", "revoke", issued.key.id, "--yes"],
        ["users", "remove", "alice", "--yes"],
    ):
        for options in ([], ["--json"]) if command[1] != "remove" else (["--json"],):
            result = shop.run(*command, *options, given="planted-new\n")
            for secret in [*secrets, "planted-new", "$argon2"]:
                assert secret not in result.stdout + result.stderr, command


def test_everything_can_be_json():
    for path, command in walk(securest):
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, path
        assert ("--store" in options) == (path not in ("check", "init")), path  # which look at all of them


# --- the application's stores


class Writable(AbstractWritableUserstore):
    """A userstore in memory that fails where it is told to."""

    def __init__(self, *users, failure=None):
        self.users = {user.username: user for user in users}
        self.failure = failure

    def _fail(self):
        if self.failure is not None:
            raise self.failure

    def get_user(self, identifier):
        return self.users.get(identifier)

    def list_users(self):
        self._fail()
        yield from self.users.values()

    def add_users(self, users):
        added = list(users)
        self._fail()
        self.users |= {user.username: user for user in added}
        return len(added)

    def set_password(self, username, password_hash, *, expected=None):
        self._fail()
        return False

    def set_active(self, username, active):
        self._fail()
        return False

    def set_roles(self, username, roles):
        raise NotImplementedError

    def remove_user(self, username):
        self._fail()
        return False


class OtherWritable(Writable):
    pass


def password(userstore=None, name="password", hasher=FAST):
    return PasswordAuthenticator(password_hasher=hasher, userstore=userstore, name=name)


def test_an_application_without_securest_is_told_to_attach_one():
    for command in (["users", "list"], ["keys", "list"], ["hash"]):
        result = run(Flask("bare"), *command, given="x", code=2)
        assert result.stderr == (
            "Error: nothing guards the application 'bare': attach a SecuREST(api, ...) to one of its Apis\n"
        )


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["users", "list"], "the application has no userstore: SecuREST(api, userstore=...)"),
        (["users", "add", "x"], "the application has no userstore: SecuREST(api, userstore=...)"),
        (["hash"], "the application has no userstore: SecuREST(api, userstore=...)"),
        (["keys", "list"], "the application has no keystore: HeaderApiKeyAuthenticator(keystore=...)"),
        (["keys", "issue", "--app", "x"], "the application has no keystore: HeaderApiKeyAuthenticator(keystore=...)"),
    ],
    ids=show,
)
def test_an_application_without_stores_is_told_where_they_are_given(command, told):
    app, _, _ = secured(providers=[HeaderApiKeyAuthenticator()], userstore=None)
    assert run(app, *command, given="x", code=2).stderr == f"Error: {told}\n"


def test_a_key_with_an_owner_needs_a_userstore(shop):
    shop.app.extensions["securest"].owners.guards()[0].settings.accounts.userstore = None
    assert "need a userstore that knows the owner" in shop.run("keys", "issue", "--owner", "x", code=2).stderr


def test_a_store_that_cannot_be_written_says_what_to_do():
    class ReadOnly(AbstractKeystore):
        def get_key(self, key_id):
            return None

    app, _, _ = secured(providers=[HeaderApiKeyAuthenticator(keystore=ReadOnly()), password()])
    for command in (["add", "x"], ["passwd", "alice"], ["disable", "alice"], ["remove", "alice"], ["import", "-"]):
        told = run(app, "users", *command, given="x", code=2).stderr
        assert told.startswith("Error: the SimpleUserstore cannot be written from here: ")
    for command in (["list"], ["issue", "--app", "x"], ["pattern"], ["rotate", "0123456789abcdef"]):
        assert "the keys of a ReadOnly can be neither listed nor changed" in run(app, "keys", *command, code=2).stderr
    assert "alice" in run(app, "users", "list").stdout
    run(app, "keys", "show", "0123456789abcdef", code=1)


def test_a_store_that_cannot_list_its_users_says_so():
    class Known(AbstractUserstore):
        def get_user(self, identifier):
            return User(identifier)

    app, _, _ = secured(providers=[password()], userstore=Known())
    assert run(app, "users", "list", code=2).stderr == "Error: a Known cannot list its users\n"
    assert run(app, "users", "list", "--json", code=2).stdout == ""
    assert json.loads(run(app, "users", "show", "anna", "--json").stdout)["username"] == "anna"


def test_no_key_is_issued_that_ends_with_the_command():
    app, _, _ = secured(providers=[HeaderApiKeyAuthenticator(keystore=SimpleKeystore())])
    result = run(app, "keys", "issue", "--app", "ci", code=2)
    assert "a SimpleKeystore is kept in the memory of each process" in result.stderr
    assert result.stdout == ""


def test_of_several_stores_one_has_to_be_named():
    directory, local, other = Writable(User("anna")), OtherWritable(User("local")), OtherWritable(User("other"))
    app, _, _ = secured(
        providers=[password(), password(local, "local", PasswordHasher("sha512_crypt", rounds=1000))],
        userstore=directory,
    )
    second = Api(app, prefix="/second")
    SecuREST(second, userstore=other, authentication_providers=[password()])
    told = run(app, "users", "list", code=2).stderr
    assert told == (
        "Error: the application has 3 userstores: say which one by --store; there are 'Writable' (Writable), "
        "'OtherWritable-1' (OtherWritable), 'OtherWritable-2' (OtherWritable)\n"
    )
    for name, user in (
        ("Writable", "anna"),
        ("local", "local"),
        ("OtherWritable-1", "local"),
        ("OtherWritable-2", "other"),
    ):
        assert user in run(app, "users", "list", "--store", name).stdout
    for name in ("OtherWritable", "password", "", "nowhere", "\x1b"):
        told = run(app, "users", "list", "--store", name, code=2).stderr
        assert told.startswith(f"Error: the application has no userstore {name!r}; there are 'Writable'")
    # And each with the hasher of the provider that verifies its users.
    assert run(app, "hash", "--store", "local", given="x").stdout.startswith("$6$")
    assert run(app, "hash", "--store", "Writable", given="x").stdout.startswith("$argon2id$")


def test_one_store_in_several_places_is_one_store():
    store = Writable(User("anna"))
    app, _, _ = secured(providers=[password(store), password(store, "again")], userstore=store)
    SecuREST(Api(app, prefix="/second"), userstore=store, authentication_providers=[password()])
    assert "anna" in run(app, "users", "list").stdout


def test_several_keystores_are_known_by_their_providers(tmp_path):
    first, second = (SQLAlchemyKeystore(f"sqlite:///{tmp_path}/{name}.db") for name in ("first", "second"))
    providers = [
        HeaderApiKeyAuthenticator("X-First", keystore=first, name="first"),
        HeaderApiKeyAuthenticator("X-Second", keystore=second, name="second"),
    ]
    app, _, _ = secured(providers=providers)
    assert "'SQLAlchemyKeystore-1' (SQLAlchemyKeystore)" in run(app, "keys", "pattern", code=2).stderr
    run(app, "keys", "issue", "--app", "ci", "--store", "second")
    assert [key.app_name for key in second.list_keys()] == ["ci"]


def test_a_provider_that_stands_in_a_rule_alone_is_found(tmp_path):
    keys = SQLAlchemyKeystore(f"sqlite:///{tmp_path}/keys.db")
    special = HeaderApiKeyAuthenticator("X-Special", keystore=keys, name="special")
    broken = new_who("Broken", get=authenticators("nobody")(lambda self: who()))
    app, _, _ = secured(broken, new_who(get=authenticators(special)(lambda self: who())), providers=[password()])
    key = run(app, "keys", "issue", "--app", "ci").stdout.strip()
    assert app.test_client().get("/who", headers=with_key(key, "X-Special")).status_code == 200


def test_the_stores_of_an_api_on_a_blueprint_are_found():
    from flask import Blueprint

    blueprint = Blueprint("v1", "tests")
    SecuREST(Api(blueprint), userstore=Writable(User("anna")), authentication_providers=[password()])
    app = Flask("tests")
    app.register_blueprint(blueprint)
    assert "anna" in run(app, "users", "list").stdout


# --- failures


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (BackendError("the directory is down\x1b[2J"), 3),
        (ValueError("the group 'x\x1b' is not known\nError: forged"), 1),
        (ConfigurationError("it is set up wrongly"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_store_refuses_is_one_line_and_an_exit_code(failure, code):
    app, _, _ = secured(providers=[password()], userstore=Writable(User("alice"), failure=failure))
    commands = [
        ["list"],
        ["list", "--json"],
        ["add", "x"],
        ["passwd", "alice"],
        ["enable", "alice"],
        ["disable", "alice"],
    ]
    for command in [*commands, ["remove", "--yes", "alice"], ["import", "-"]]:
        result = run(
            app, "users", *command, given="username\n" if command != ["import", "-"] else "username\nx\n", code=code
        )
        assert result.stdout.strip() in ("", "[")
        assert len(result.stderr.splitlines()) == 1
        assert "\x1b" not in result.stderr


def test_a_user_that_goes_meanwhile_is_not_told_to_be_changed():
    app, _, _ = secured(providers=[password()], userstore=Writable(User("alice")))
    for command in (["passwd", "alice"], ["enable", "alice"], ["remove", "--yes", "alice"]):
        assert run(app, "users", *command, given="x", code=1).stderr == "Error: there is no user 'alice' any more\n"


def test_a_failure_brings_nothing_along_that_may_quote_a_row():
    app, _, _ = secured(providers=[password()], userstore=Writable(failure=ValueError("planted")))
    result = app.test_cli_runner().invoke(securest, ["users", "add", "x", "--no-password"], standalone_mode=False)
    assert isinstance(result.exception, click.ClickException)
    assert (result.exception.__context__, result.exception.__cause__) == (None, None)


def test_a_bug_in_a_store_is_no_clean_refusal():
    app, _, _ = secured(providers=[password()], userstore=Writable(User("alice"), failure=ZeroDivisionError()))
    result = app.test_cli_runner().invoke(securest, ["users", "list"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_database_that_is_down_is_told(tmp_path):
    shop = Shop(tmp_path / "shop.db")
    for path in tmp_path.glob("shop.db*"):
        path.unlink()
    (tmp_path / "shop.db").mkdir()
    away = Shop.__new__(Shop)
    away.users = SQLAlchemyUserstore(f"sqlite:///{tmp_path}/shop.db")
    app, _, _ = secured(
        providers=[HeaderApiKeyAuthenticator(keystore=SQLAlchemyKeystore(f"sqlite:///{tmp_path}/shop.db")), password()],
        userstore=away.users,
    )
    del shop
    for command in (["users", "list"], ["users", "add", "x", "--no-password"], ["keys", "issue", "--app", "x"]):
        result = run(app, *command, code=3)
        assert result.stderr.startswith("Error: the database cannot tell")
        assert result.stdout == ""


# --- processes of their own


APP = """
from flask import Flask
from flask_restful import Api, Resource
from flask_securest import SecuREST
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.passwords import PasswordHasher
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

app = Flask(__name__)
SecuREST(
    Api(app),
    userstore=SQLAlchemyUserstore("sqlite:///shop.db"),
    authentication_providers=[
        HeaderApiKeyAuthenticator(keystore=SQLAlchemyKeystore("sqlite:///shop.db")),
        PasswordAuthenticator(password_hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
    ],
)
"""

SHOP_APP = ["--app", "shop_app"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "shop_app.py").write_text(APP)
    return tmp_path


def flask(place, *arguments, given=b"", code=0, **options):
    done = commands.run([*SHOP_APP, *arguments], place, given=given, **options)
    assert done.returncode == code, (arguments, done)
    return done


def real_flask(place, *arguments, given=b"", **options):
    """Run a command in a Python of its own, as a shell does, which is slower."""
    command = [sys.executable, "-W", "error", "-m", "flask", *SHOP_APP, *arguments]
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(command, cwd=place, input=given, stderr=subprocess.PIPE, timeout=60, check=False, **options)


def test_the_command_is_part_of_flasks_own():
    (entry,) = importlib.metadata.entry_points(group="flask.commands", name="securest")
    assert entry.load() is securest


def test_flask_lists_the_command_whatever_the_application_is(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "flask", "--help"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert "securest  Manage the users, API keys and sessions of SecuREST." in done.stdout


def test_importing_it_brings_nothing_optional_and_starts_nothing():
    code = """
import sys, threading
import flask_securest.cli
optional = {"ldap3", "sqlalchemy", "yaml", "psycopg", "jwt", "redis", "pytest"}
print(sorted(optional & set(sys.modules)), threading.active_count())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[] 1", "")


def test_a_new_database_gets_its_tables_from_the_first_command(place):
    added = real_flask(place, "securest", "users", "add", "alice", given=b"wonderland\n")
    assert (added.returncode, added.stdout, added.stderr) == (0, b"", b"user 'alice': added\n")
    assert b"alice" in flask(place, "securest", "users", "list").stdout


def test_two_processes_on_one_file_see_what_the_other_one_did(place):
    flask(place, "securest", "users", "import", "-", given=b"username,password,roles\nalice,wonderland,admin\n")
    shop = Shop(place / "shop.db")
    key = flask(place, "securest", "keys", "issue", "--owner", "alice").stdout.decode().strip()
    assert [shop.status(each, "get") for each in (basic("alice", "wonderland"), with_key(key))] == [200, 200]
    flask(place, "securest", "users", "disable", "alice")
    assert [shop.status(each, "get") for each in (basic("alice", "wonderland"), with_key(key))] == [401, 401]
    flask(place, "securest", "users", "enable", "alice")
    assert shop.status(with_key(key), "get") == 200
    flask(place, "securest", "keys", "revoke", key.split("_")[1], "--yes")
    assert shop.status(with_key(key), "get") == 401
    shop.run("users", "remove", "alice", "--yes")
    flask(place, "securest", "users", "show", "alice", code=1)


def test_two_processes_that_add_the_same_user_at_once_do_not_both_succeed(place):
    flask(place, "securest", "users", "add", "first", "--no-password")
    command = [*SHOP_APP, "securest", "users", "add", "alice", "--no-password"]
    both = [commands.Command(command, place) for _ in range(2)]
    assert sorted(process.wait() for process in both) == [0, 1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_key_that_could_not_be_printed_is_named(place):
    for command in (
        ["issue", "--app", "ci"],
        ["issue", "--app", "ci", "--count", "50"],
        ["issue", "--app", "ci", "--json"],
    ):
        with Path("/dev/full").open("wb") as full:
            done = flask(place, "securest", "keys", *command, stdout=full, code=1)
        told = done.stderr.decode()
        assert "could not be printed (No space left on device)" in told
        assert "Traceback" not in told
    listed = json.loads(flask(place, "securest", "keys", "list", "--json").stdout)
    assert len(listed) == 52
    assert listed[-1]["id"] in told or any(key["id"] in told for key in listed)


def test_a_terminal_that_knows_no_such_letter_gets_it_escaped(place):
    name = "Zoë"
    Shop(place / "shop.db").users.add_users([User(name)])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    listed = flask(place, "securest", "users", "list", env=environment).stdout
    assert b"Zo\\xeb" in listed
    assert (
        json.loads(flask(place, "securest", "users", "list", "--json", env=environment).stdout)[0]["username"] == name
    )


ASKED_TWICE = [("Password of 'alice':", PASSWORD), ("Repeat for confirmation:", PASSWORD)]


def on_a_terminal(place, *arguments, answers=()):
    """Run a command on a terminal; answer each prompt when nothing is echoed. Return what the terminal showed."""
    ours, theirs = pty.openpty()
    process = commands.Command([*SHOP_APP, *arguments], place, files=[theirs] * 3, start_new_session=True)
    shown, answered, answers = b"", 0, list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.02)[0]:
            shown += os.read(ours, 4096)
        elif process.poll() is not None:
            break
        elif answers and answers[0][0].encode() in shown[answered:] and not termios.tcgetattr(ours)[3] & termios.ECHO:
            os.write(ours, answers.pop(0)[1].encode() + b"\n")
            answered = len(shown)
    os.close(theirs)
    os.close(ours)
    return shown.decode(), process.wait()


def test_a_password_is_asked_for_twice_and_not_shown(place):
    shown, code = on_a_terminal(place, "securest", "users", "add", "alice", answers=ASKED_TWICE)
    assert code == 0, shown
    assert shown.splitlines()[:3] == ["Password of 'alice': ", "Repeat for confirmation: ", "user 'alice': added"]
    assert PASSWORD not in shown
    assert Shop(place / "shop.db").status(basic("alice", PASSWORD)) == 200


def test_a_terminal_that_cannot_hide_what_is_typed_is_not_asked(place):
    code = """
import io, sys
from shop_app import app
from flask_securest.cli import securest

class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True

sys.stdin = Terminal(io.BytesIO(b"planted\\nplanted\\n"))
with app.app_context():
    securest(["hash"])
"""
    # In a session of its own, which has no terminal.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, start_new_session=True, check=False
    )
    assert "This terminal cannot hide what is typed: give the password on standard input." in done.stderr
    assert done.returncode == 2
    assert "planted" not in done.stdout + done.stderr


def test_a_slip_of_the_finger_is_asked_for_again(place):
    slip = [("Password of 'alice':", PASSWORD), ("Repeat for confirmation:", "another")]
    shown, code = on_a_terminal(place, "securest", "users", "add", "alice", answers=[*slip, *ASKED_TWICE])
    assert code == 0, shown
    assert "do not match" in shown


def test_a_long_job_shows_its_progress_on_a_terminal_and_nowhere_else(place):
    lines = "".join(f"user{i},password{i}\n" for i in range(300))
    (place / "people.csv").write_text("username,password\n" + lines)
    shown, code = on_a_terminal(place, "securest", "users", "import", "people.csv")
    assert code == 0, shown
    for label in ("looking up", "hashing", "adding"):
        assert re.search(rf"{label}.*300/300", shown), label
    shown, code = on_a_terminal(place, "securest", "keys", "issue", "--app", "ci", "--count", "300")
    assert re.search(r"issuing.*300/300", shown)
    done = flask(place, "securest", "keys", "issue", "--app", "ci", "--count", "300")
    assert b"issuing" not in done.stderr


def test_kill_9_during_an_import_leaves_none_or_all_of_its_users(place):
    most = 3000
    stored = FAST.hash(PASSWORD)
    lines = "".join(f'user{i:05},"{stored}",a b\n' for i in range(most))
    (place / "people.csv").write_text("username,password_hash,roles\n" + lines)
    command = [*SHOP_APP, "securest", "users", "import", "people.csv"]
    empty = Shop(place / "shop.db")
    assert not list(empty.users.list_users())
    del empty
    for path in place.glob("shop.db*"):
        shutil.copy(path, place / f"empty-{path.name}")
    started = time.monotonic()
    assert commands.Command(command, place).wait() == 0
    whole = time.monotonic() - started
    chance, outcomes = random.Random(9), []
    for attempt in range(6):
        for path in place.glob("shop.db*"):
            path.unlink()
        for path in place.glob("empty-shop.db*"):
            shutil.copy(path, place / path.name.removeprefix("empty-"))
        process = commands.Command(command, place)
        # All along its way, and mostly where it writes, which is at the end.
        time.sleep(whole * (chance.uniform(0.1, 1.1) if attempt % 3 == 0 else chance.uniform(0.6, 1.0)))
        process.kill()
        store = SQLAlchemyUserstore(f"sqlite:///{place}/shop.db")
        found = sum(1 for _ in store.list_users())
        outcomes.append(found)
        assert found in (0, most), outcomes
        assert process.returncode != 0 or found == most  # what it says is done is done
        store.add_users([User("the next one")])  # and nothing stands in the way of it


# --- standard output that cannot be written


@contextmanager
def no_output(why):
    """Yield what a process may have as standard output and cannot write."""
    if why == "full":
        with Path("/dev/full").open("wb") as full:
            yield full
    else:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            yield writing
        finally:
            os.close(writing)


OUTPUTS = {"full": "No space left on device", "a pipe that has ended": "Broken pipe", "closed": "it is closed"}
WITHOUT_OUTPUT = pytest.mark.parametrize("why", OUTPUTS)

#: With --json there is no command that prints nothing. ID is the id of a key.
PRINTING = {
    "users add": ["carol", "--no-password"],
    "users list": [],
    "users show": ["alice"],
    "users passwd": ["alice"],
    "users enable": ["alice"],
    "users disable": ["alice"],
    "users remove": ["alice", "--yes"],
    "users import": ["-", "--dry-run"],
    "keys issue": ["--app", "ci"],
    "keys list": [],
    "keys show": ["ID"],
    "keys rotate": ["ID"],
    "keys revoke": ["ID", "--yes"],
    "keys pattern": [],
    "hash": [],
    "init": [],
    "check": [],
    "sessions list": ["--user", "alice"],
    "sessions end": ["--user", "alice", "--yes"],
}


def run_without_output(app, why, monkeypatch, capsys, *arguments):
    """Run a command in this process with a standard output that cannot be written; return the exit code, and stderr."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"username\n")))
    with ExitStack() as stack:
        out = None
        if why != "closed":
            out = os.fdopen(os.dup(_number(stack.enter_context(no_output(why)))), "w")
        monkeypatch.setattr(sys, "stdout", out)
        with app.app_context(), pytest.raises(SystemExit) as ended:
            securest(list(arguments), prog_name="flask securest")
        if out is not None:
            out.flush()  # as Python does at its end; where that fails it ends with 120
            out.close()
    return ended.value.code, capsys.readouterr().err


def _number(file):
    return file if isinstance(file, int) else file.fileno()


@WITHOUT_OUTPUT
@pytest.mark.parametrize("path", COMMANDS)
def test_no_command_says_done_when_its_output_cannot_be_written(shop, monkeypatch, capsys, path, why, tmp_path):
    shop.users.add_users([User("alice", FAST.hash(PASSWORD))])
    tokens = TokenAuthenticator(SECRET_KEY, store=SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db"))
    shop.app.extensions["securest"].owners.guards()[0].reporter.sender.register_authentication_provider(tokens)
    tokens.issue_tokens("alice")
    key_id = shop.keys.issue(app_name="ci").key.id
    arguments = [key_id if each == "ID" else each for each in PRINTING[path]]
    code, told = run_without_output(shop.app, why, monkeypatch, capsys, *path.split(), *arguments, "--json")
    assert code == 1, told
    assert re.search(rf"^Error: .*\({OUTPUTS[why]}\)", told, re.MULTILINE)
    assert "Traceback" not in told


@WITHOUT_OUTPUT
@pytest.mark.parametrize("path", ["", "users", "keys", "sessions", *COMMANDS])
def test_nor_does_help_that_cannot_be_written(shop, monkeypatch, capsys, path, why):
    code, told = run_without_output(shop.app, why, monkeypatch, capsys, *path.split(), "--help")
    assert (code, told) == (1, f"Error: standard output cannot be written ({OUTPUTS[why]})\n")


@WITHOUT_OUTPUT
@pytest.mark.parametrize("group", [[], ["users"], ["keys"]], ids=show)
def test_no_command_at_all_is_wrong_usage_which_is_told_on_standard_error(shop, monkeypatch, capsys, group, why):
    code, told = run_without_output(shop.app, why, monkeypatch, capsys, *group)
    assert code == 2
    assert told.startswith("Usage: flask securest")


@WITHOUT_OUTPUT
def test_a_command_that_prints_nothing_needs_no_output(shop, monkeypatch, capsys, why):
    code, told = run_without_output(shop.app, why, monkeypatch, capsys, "users", "add", "carol", "--no-password")
    assert (code, told) == (0, "user 'carol': added\n")


@WITHOUT_OUTPUT
def test_a_failure_that_comes_before_keeps_its_exit_code(shop, monkeypatch, capsys, why):
    def fail():
        yield User("alice")
        raise BackendError("down")

    monkeypatch.setattr(shop.users, "list_users", fail)
    code, told = run_without_output(shop.app, why, monkeypatch, capsys, "users", "list")
    assert (code, told) == (3, "Error: down\n")


def test_what_is_told_goes_nowhere_else_when_standard_error_is_closed(shop, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    with shop.app.app_context(), pytest.raises(SystemExit) as ended:
        securest(["keys", "issue", "--app", "ci"], prog_name="flask securest")
    assert ended.value.code == 0
    assert KEY.fullmatch(capsys.readouterr().out.strip())


@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
@WITHOUT_OUTPUT
def test_a_process_whose_output_cannot_be_written_ends_with_1(place, why, unbuffered):
    """Python writes what is left at its end, and ends with 120 where it cannot: unless PYTHONUNBUFFERED is set."""
    Shop(place / "shop.db").users.add_users([User("alice")])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    for arguments in (["keys", "issue", "--app", "ci"], ["--help"]):
        with nullcontext("closed") if why == "closed" else no_output(why) as out:
            done = flask(place, "securest", *arguments, stdout=out, env=environment, code=1)
        told = done.stderr.decode().splitlines()
        assert told[-1].startswith("Error: ")
        assert f"({OUTPUTS[why]})" in told[-1]
        assert b"Traceback" not in done.stderr
        assert b"Exception ignored" not in done.stderr
        if arguments[0] == "keys":
            (key,) = Shop(place / "shop.db").keys.list_keys()
            assert told[-1].endswith(key.id)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_real_process_whose_output_cannot_be_written_ends_with_1(place):
    for environment in (os.environ, os.environ | {"PYTHONUNBUFFERED": "1"}):
        with no_output("full") as out:
            done = real_flask(place, "securest", "--help", stdout=out, env=environment)
        assert (done.returncode, done.stderr) == (
            1,
            b"Error: standard output cannot be written (No space left on device)\n",
        )


# --- check


def test_check_finds_nothing_wrong_with_an_application_that_is_well(shop):
    result = shop.run("check")
    assert (result.stdout, result.stderr) == ("", "0 errors, 0 warnings\n")
    assert shop.json("check") == []


def test_check_tells_that_logging_out_is_not_effective_without_a_store():
    providers = [TokenAuthenticator(SECRET_KEY), TokenAuthenticator(SECRET_KEY, store=SimpleTokenstore(), name="kept")]
    app, _, _ = secured(new_who(), providers=providers)
    told = run(app, "check").stdout
    assert "'token' are in no store: logging out is not effective until they expire, after 600 seconds" in told
    assert "'kept' are in the memory of one process" in told


def test_check_tells_broken_rules_and_stores_that_are_down(tmp_path):
    shop = Shop(tmp_path / "shop.db", userstore=SQLAlchemyUserstore(f"sqlite:///{tmp_path}/nowhere/x.db"))
    shop.app.extensions["securest"].owners.guards()[0].mode = "report"
    broken = secured(authenticators("unknown")(new_who()))[0]
    told = run(shop.app, "check", code=1).stdout
    assert "error: the SQLAlchemyUserstore cannot be asked" in told
    assert 'warning: SecuREST is in mode "report"' in told
    told = run(broken, "check", code=1).stdout
    assert re.search(r"error: GET /who answers 500: .*'unknown'", told)


def test_check_tells_of_accounts_whose_names_are_one_in_the_form_nfc():
    users = SimpleUserstore([User(name) for name in ("J\u00fcrgen", "Ju\u0308rgen", "Zo\u00eb", "ann")])
    told = run(secured(new_who(), userstore=users)[0], "check").stdout
    assert "names are one in the form NFC: 'J\\xfcrgen' and 'Ju\\u0308rgen'" in told
    assert "Zo" not in told


def test_check_tells_rules_that_nobody_enforces():
    app, _, _ = secured(new_who())
    app.add_url_rule("/plain", "plain", require(roles="admin")(lambda: "open"))
    Api(app, prefix="/other").add_resource(require(roles="admin")(new_who("Other")), "/other")
    told = run(app, "check", code=1).stdout
    for url in ("/plain", "/other/other"):
        assert re.search(f"error: GET {url} answers 500: .*nobody enforces it", told)


def test_check_tells_of_an_application_that_nobody_guards():
    assert "nothing guards" in run(Flask("open"), "check", code=2).stderr


# --- the help, and the README


def help_of(path):
    result = run(Flask("help"), *path.split(), "--help")
    return result.stdout


def test_there_are_the_commands_that_were_promised():
    promised = "add list show passwd enable disable remove import"
    assert {path for path in COMMANDS if path.startswith("users ")} == {f"users {name}" for name in promised.split()}
    promised = "issue list show rotate revoke pattern"
    assert {path for path in COMMANDS if path.startswith("keys ")} == {f"keys {name}" for name in promised.split()}
    assert {path for path in COMMANDS if path.startswith("sessions ")} == {"sessions list", "sessions end"}
    assert "hash" in COMMANDS


def examples_in(text):
    """Return the arguments behind each ``flask securest`` in a text, as a shell would take them apart."""
    for line in text.splitlines():
        for _, rest in re.findall(r"(?:^|[|(]\s*|\s)(flask (?:--app \S+ )?securest) ([^|)<>]*)", line):
            yield shlex.split(rest)


def resolve(arguments):
    """Return the command that arguments name, after click has found that they are right."""
    command, rest = securest, list(arguments)
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    if "import" in arguments:  # without the file
        rest = ["-" if argument.endswith(".csv") else argument for argument in rest]
    command.make_context("example", rest)
    return command


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_examples_that_are_right(path):
    text = help_of(path)
    assert "Examples:" in text
    examples = list(examples_in(text.split("Examples:")[1]))
    assert examples
    for example in examples:
        assert resolve(example) is COMMANDS[path]
    for parameter in COMMANDS[path].params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name
    assert all(len(line) <= 88 for line in text.splitlines())


def test_the_exit_codes_are_documented():
    text = run(Flask("help"), "--help").stdout
    assert re.findall(r"^    (\d)  ", text, re.MULTILINE) == ["0", "1", "2", "3"]


def readme_section():
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^On the command line\n-+\n(.*?)(?=^[^\n]+\n-{5,}\n)", text, re.MULTILINE | re.DOTALL)
    assert found, "README.rst has no section 'On the command line'"
    return found[1]


def test_the_readme_lists_the_commands_with_their_help():
    rows = re.findall(r"^    \* - ``([^`]+)``\n      - (.*(?:\n        .*)*)", readme_section(), re.MULTILINE)
    listed = {usage: " ".join(text.split()) for usage, text in rows if usage != "flask securest ..."}
    assert list(listed) == [usage_of(path) for path in COMMANDS]
    for path, command in COMMANDS.items():
        text = listed[usage_of(path)]
        assert text.startswith(command.short_help), path
        options = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}
        assert set(re.findall(r"--[a-z-]+", text)) == options - {"--store", "--json"}, path


def usage_of(path):
    arguments = [each.metavar for each in COMMANDS[path].params if isinstance(each, click.Argument)]
    return " ".join([path, *arguments])


def test_the_readme_tells_the_exit_codes_as_the_help_does():
    text = run(Flask("help"), "--help").stdout
    told = re.search(r"Exit codes:\n((?:    \d  .*\n)+)", text)[1]
    assert told in readme_section()


def test_the_readme_shows_what_the_commands_print(tmp_path):
    shop = Shop(tmp_path / "shop.db")
    blocks = re.findall(r"^\.\. code-block:: text\n\n((?:(?:    .*)?\n)+)", readme_section(), re.MULTILINE)
    session = next(block for block in blocks if "$ flask" in block)
    session = "".join(line[4:] for line in session.splitlines(keepends=True) if line.strip())
    (tmp_path / "people.csv").write_text(
        next(b for b in blocks if b.strip().startswith("username")).replace("    ", "")
    )
    steps = [step.partition("\n") for step in session.removeprefix("$ ").split("\n$ ")]
    assert len(steps) > 4
    key_id = ""
    for command, _, expected in steps:
        (arguments,) = examples_in(command)
        arguments = [key_id if re.fullmatch(r"[0-9A-Za-z]{16}", each) else each for each in arguments]
        if arguments[:2] == ["users", "import"]:
            arguments[2] = str(tmp_path / arguments[2])
        result = shop.app.test_cli_runner().invoke(securest, arguments, input="wonderland\n")
        if issued := KEY.search(result.output):
            key_id = issued[0].split("_")[1]
        shown = [line for line in expected.splitlines() if not line.startswith(("Password of", "Repeat for"))]
        assert [neutral(line) for line in shown] == [neutral(line) for line in result.output.splitlines()], command


def neutral(line):
    """Return a line without what is another one each time."""
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", KEY.sub("KEY", line))
    return re.sub(r"\b[0-9A-Za-z]{16}\b", "ID", line).rstrip()


# --- init


def test_init_makes_the_tables_of_all_stores_and_upgrades_those_of_a_former_release(tmp_path):

    url = f"sqlite:///{tmp_path}/new.db"
    users, keys, sessions = SQLAlchemyUserstore(url), SQLAlchemyKeystore(url), SQLAlchemyTokenstore(url)
    providers = [HeaderApiKeyAuthenticator(keystore=keys), TokenAuthenticator("x" * 32, store=sessions)]
    app, _, _ = secured(new_who(), providers=providers, userstore=users)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE securest_schema (component VARCHAR(64) PRIMARY KEY, version INTEGER)"))
        connection.execute(sa.text("INSERT INTO securest_schema VALUES ('tokens', 1)"))
        connection.execute(
            sa.text("CREATE TABLE securest_sessions (id VARCHAR(16) PRIMARY KEY, username VARCHAR(255))")
        )
    assert "origin" not in {column["name"] for column in sa.inspect(engine).get_columns("securest_sessions")}
    for _ in range(2):
        assert json.loads(run(app, "init", "--json").stdout) == [
            {"store": "SQLAlchemyUserstore"},
            {"store": "SQLAlchemyKeystore"},
            {"store": "SQLAlchemyTokenstore"},
        ]
    assert run(app, "init").stdout.count("its tables are there") == 3
    assert {"securest_users", "securest_keys", "securest_sessions_elsewhere"} <= {*sa.inspect(engine).get_table_names()}
    assert "origin" in {column["name"] for column in sa.inspect(engine).get_columns("securest_sessions")}
    engine.dispose()


def test_init_of_an_application_without_tables_says_so():
    app, _, _ = secured(new_who())
    assert run(app, "init").stderr == "0 stores have tables of ours\n"


def test_disabling_a_user_of_a_providers_own_store_ends_its_sessions_and_not_those_of_its_namesake(tmp_path):

    local = SQLAlchemyUserstore(f"sqlite:///{tmp_path}/local.db")
    local.add_users([User("alice", FAST.hash("local"))])
    store = SimpleTokenstore()
    tokens = TokenAuthenticator("x" * 32, store=store)
    providers = [PasswordAuthenticator(userstore=local, password_hasher=FAST, name="local"), tokens]
    app, _, _ = secured(new_who(), providers=providers, userstore=SimpleUserstore([User("alice", FAST.hash("main"))]))
    tokens.issue_tokens("alice", origin="local")
    tokens.issue_tokens("alice", origin=None)
    run(app, "users", "disable", "alice", "--store", "local")
    assert list(store.list_sessions("alice", "local")) == []
    assert len(list(store.list_sessions("alice"))) == 1


def test_a_key_of_a_providers_own_user_is_issued_by_its_origin(tmp_path):
    local = SimpleUserstore([User("alice", FAST.hash("local"), roles=["local"])])
    keys = SQLAlchemyKeystore(f"sqlite:///{tmp_path}/keys.db")
    providers = [
        HeaderApiKeyAuthenticator(keystore=keys),
        PasswordAuthenticator(userstore=local, password_hasher=FAST, name="local"),
    ]
    app, _, _ = secured(new_who(), providers=providers, userstore=SimpleUserstore([User("bob")]))
    text = run(app, "keys", "issue", "--owner", "alice", "--owner-origin", "local").stdout.strip()
    (listed,) = json.loads(run(app, "keys", "list", "--json").stdout)
    assert (listed["owner"], listed["owner_origin"]) == ("alice", "local")
    assert app.test_client().get("/who", headers={"X-API-Key": text}).json["user"] == "alice"
    assert "there is no user 'alice'" in run(app, "keys", "issue", "--owner", "alice", code=1).stderr
    wrong = run(app, "keys", "issue", "--owner", "alice", "--owner-origin", "nobody", code=1)
    assert "no provider that this application asks can look up users of the origin 'nobody'" in wrong.stderr
    assert "--owner-origin says" in run(app, "keys", "issue", "--app", "ci", "--owner-origin", "local", code=2).stderr
