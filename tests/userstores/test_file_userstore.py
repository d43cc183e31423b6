"""FileUserstore: what it reads, what it refuses, and what happens while the file changes."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from types import SimpleNamespace

import pytest
from helpers import FAST, Who, basic, how_many, secured, show
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import ConfigurationError, MissingDependencyError
from flask_securest.signals import userstore_file_rejected
from flask_securest.testing import UserstoreContract
from flask_securest.userstores import FileUserstore
from flask_securest.userstores.files import watched_file

SECRET = "$argon2id$v=19$m=8,t=1,p=1$cGxhbnRlZA$cGxhbnRlZC0wYjVmMWM3ZQ"

ALICE = f"""\
users:
  - username: alice
    password: {SECRET}
    groups: [staff]
groups:
  - name: staff
    roles: [admin]
"""


class Clock:
    """Stand still until told otherwise; for the watched file alone."""

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
def rejections():
    received = []

    def receive(sender, **what):
        received.append((sender, what))

    with userstore_file_rejected.connected_to(receive):
        yield received


def write(path, text):
    """Replace a file as it should be done."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(text if isinstance(text, bytes) else text.encode())
    beside.replace(path)
    return path


def names_in(store):
    return [user.username for user in store.list_users()]


def say_everything(error):
    """Return all that a log or a crash reporter could make of an error, hidden contexts included."""
    said = ["".join(traceback.format_exception(error))]
    while error is not None:
        said += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


class YAMLContract(UserstoreContract):
    name = "users.yaml"

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = tmp_path / self.name
        users = [
            {"username": "alice", "password": self.ALICE.password, "groups": ["writers"], "roles": ["admin"]},
            {"username": "bob", "active": False},
        ]
        # JSON is YAML too.
        self.path.write_text(json.dumps({"users": users, "groups": [{"name": "writers", "roles": ["author"]}]}))

    def make_userstore(self):
        return FileUserstore(self.path)


class TestYAML(YAMLContract):
    pass


class TestYML(YAMLContract):
    name = "users.YML"


class TestJSON(YAMLContract):
    name = "users.json"


def test_yaml_is_read_as_people_write_it(tmp_path):
    path = write(tmp_path / "users.yaml", "# our users\n" + ALICE + "  - {name: empty}\n")
    store = FileUserstore(str(path))
    alice = store.get_user("alice")
    assert (alice.password, alice.roles, alice.groups, alice.active) == (SECRET, {"admin"}, {"staff"}, True)
    assert list(store.list_users()) == [alice]


def test_the_example_of_the_module_is_one(tmp_path):
    from flask_securest.userstores.files import file

    shown = file.__doc__.partition(".. code-block:: yaml\n")[2]
    store = FileUserstore(write(tmp_path / "users.yaml", shown))
    assert [(user.username, user.active, user.roles) for user in store.list_users()] == [
        ("alice", True, {"admin"}),
        ("bob", False, frozenset()),
    ]


def test_every_kind_of_value_may_be_an_attribute(tmp_path):
    text = (
        "users: [{username: a, attributes: {a: 1, b: 1.5, c: yes, d: ~, e: 2024-01-02, f: [x, !!str 7], 8: [], ? g}}]"
    )
    (user,) = FileUserstore(write(tmp_path / "users.yaml", text)).list_users()
    assert {name: str(value) for name, value in user.attributes.items()} == {
        "a": "1",
        "b": "1.5",
        "c": "True",
        "d": "None",
        "e": "2024-01-02",
        "f": "['x', '7']",
        8: "[]",
        "g": "None",
    }


@pytest.mark.parametrize("name", ["users.yaml", "users.json"])
def test_a_list_of_users_a_byte_order_mark_and_windows_line_ends_are_fine(name, tmp_path):
    text = '\ufeff[\r\n{"username": "alice"}, {"username": "zoë"}]\r\n'
    assert names_in(FileUserstore(write(tmp_path / name, text))) == ["alice", "zoë"]


REFUSED_YAML = {
    "half a list": ("users:\n  - username: alice\n    roles: [admin", r"line \d+, column \d+: no YAML"),
    "a tab": ("users:\n\t- username: alice\n", "line 2, column 1: no YAML"),
    "an odd indent": ("users:\n  - username: alice\n   password: x\n", "line 3, column 4: no YAML"),
    "two documents": ("users: []\n---\nusers: []\n", "line 2, column 1: a second document"),
    "an alias": ("users: &all\n  - username: a\ngroups: *all\n", "line 3, column 9: an alias"),
    "an unknown alias": ("users: *secret\n", "line 1, column 8: an alias"),
    "a merge": ("users:\n  - <<: {username: a}\n", "line 2, column 5: a tag that is not taken"),
    "an object": ("users: !!python/object/apply:os.getcwd []\n", "line 1, column 8: a tag that is not taken"),
    "a set": ("users: !!set {a, b}\n", "line 1, column 8: a tag that is not taken"),
    "bytes": ("users:\n- username: !!binary YWxpY2U=\n", "line 2, column 13: a tag that is not taken"),
    "an unknown tag": ("users: !secret x\n", "line 1, column 8: a tag that is not taken"),
    "no date": ("users:\n- username: 2024-13-45\n", "line 2, column 13: a value that cannot be"),
    "no integer": ("users: !!int x\n", "line 1, column 8: a value that cannot be"),
    "no boolean": ("users: !!bool x\n", "line 1, column 8: a value that cannot be"),
    "a list as a key": ("users:\n- [a]: b\n", "line 2, column 3: a list or a mapping as a key"),
    "a key twice": (
        "users:\n- username: a\n  active: false\n  roles: []\n  active: true\n",
        "line 5, column 3: a key that stands there twice",
    ),
    "users twice": ("users: []\nusers: []\n", "line 2, column 1: a key that stands there twice"),
    "brackets": ("[" * 500, r"line 1, column 33: more than 32 lists"),
    # Releases of libyaml differ in how deep they look before they hand out the first bracket: it may be the one to refuse.
    "brackets without end": ("[" * 100_000, r"line 1, column \d+: (more than 32 lists|no YAML)"),
    "mappings": ("{a: " * 100_000, r"line 1, column \d+: more than 32 lists"),
    "a long number": (f"users: {'9' * 100_000}\n", "line 1, column 8: a number that is too long"),
    "a number of base 60": (f"users: {'1:' * 100_000}1\n", "line 1, column 8: a number that is too long"),
    "NUL": ("users:\n- username: 'a\x00b'\n", "line 2, column 15: a character that YAML does not have"),
    "no UTF-8": (b"users:\n- username: a\n  email: \xe9\n", "line 3, column 10: no UTF-8"),
    "UTF-16": ("users: []".encode("utf-16"), "line 1, column 1: no UTF-8"),
    "nothing": ("", "users must be a list, not of type NoneType"),
    "a comment": ("# nobody\n", "users must be a list, not of type NoneType"),
    "yes as a name": ("users:\n- username: yes\n", r"users\[0\]: username must be a string, not bool"),
    "on as a name": ("users:\n- username: alice\n- username: on\n", r"users\[1\]: username must be a string, not bool"),
    "a number as a name": ("users:\n- username: 007\n", r"users\[0\]: username must be a string, not int"),
    "a date as a name": ("users:\n- username: 2024-01-02\n", r"users\[0\]: username must be a string, not date"),
    "null as a name": ("users:\n- username:\n", r"users\[0\]: username must be a string, not NoneType"),
    "no as a field": ("users:\n- username: a\n  no: x\n", r"users\[0\] has fields that are not known: False"),
    "a string as active": (
        "users:\n- username: a\n  active: 'no'\n",
        r"users\[0\]: active of user 'a' must be True or",
    ),
    "a group that is not there": (
        "users:\n- username: a\n  groups: [ops]\n",
        r"user 'a' \(users\[0\]\) is in the group",
    ),
    "a name twice": ("users:\n- username: a\n- username: a\n", r"user 'a' stands there twice.*users\[1\]"),
    "a misspelt list": ("user: []\n", "the file has no 'users'"),
}

REFUSED_JSON = {
    "half a list": ('{"users": [\n  {"username": "alice"}', "line 2, column 24: no JSON: Expecting ',' delimiter"),
    "a comma": ('{"users": [],}', r"line 1, column 1\d: no JSON"),
    "nothing": ("", "line 1, column 1: no JSON: Expecting value"),
    "more than one": ("{}\n{}", "line 2, column 1: no JSON: Extra data"),
    "no UTF-8": (b'{"users":\n["\xe9"]}', "line 2, column 3: no UTF-8"),
    "a control character": ('{"users":\n["a\nb"]}', "line 2, column 4: no JSON: Invalid control character"),
    "NaN": ('{"users": NaN}', "NaN, which is no JSON"),
    "a long number": (f'{{"users": {"9" * 5000}}}', "a number that is too long"),
    "brackets": ("[" * 1_000_000, "too many lists"),
    "a key twice in a user": (
        '{"users": [{"username": "a"}, {"username": "b", "active": false, "active": true}]}',
        r"users\[1\] has a key twice",
    ),
    "a key twice deeper": (
        '{"users": [{"username": "a", "attributes": {"x": 1, "x": 2}}]}',
        r"users\[0\] has a key twice",
    ),
    "a key twice in a group": ('{"users": [], "groups": [{"name": "a", "name": "b"}]}', r"groups\[0\] has a key twice"),
    "users twice": ('{"users": [], "users": []}', "a mapping has a key twice"),
    "a name that is none": ('{"users": [{"username": 7}]}', r"users\[0\]: username must be a string, not int"),
    "a string": ('"users"', "users must be a list, not of type str"),
}

REFUSED = [("users.yaml", *entry) for entry in REFUSED_YAML.values()]
REFUSED += [("users.json", *entry) for entry in REFUSED_JSON.values()]
IDS = [f"yaml, {name}" for name in REFUSED_YAML] + [f"json, {name}" for name in REFUSED_JSON]


@pytest.mark.parametrize(("name", "text", "message"), REFUSED, ids=IDS)
def test_a_file_that_cannot_be_is_an_error_at_the_start_which_says_where(name, text, message, tmp_path):
    path = write(tmp_path / name, text)
    started = time.thread_time()
    with pytest.raises(ConfigurationError, match=message) as caught:
        FileUserstore(path)
    assert str(caught.value).startswith(str(path))
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(("name", "text", "message"), REFUSED, ids=IDS)
def test_later_it_is_told_once_and_the_last_good_content_stays(
    name, text, message, tmp_path, clock, caplog, rejections
):
    path = write(tmp_path / name, '{"users": [{"username": "alice"}]}')
    store = FileUserstore(path)
    write(path, text)
    for _ in range(3):
        clock.now += 1
        assert names_in(store) == ["alice"]
        os.utime(path)  # looked at again, and it is the same
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.name == "flask_securest.userstores.files.watched_file"
    assert str(path) in record.getMessage()
    assert re.search(message, record.getMessage())
    ((sender, what),) = rejections
    assert sender is store
    assert what["path"] == str(path)
    said = f"line {what['line']}, column {what['column']}: " if what["line"] else ""
    assert record.getMessage().endswith(f": {said}{what['reason']}")
    write(path, '{"users": [{"username": "bob"}]}')
    clock.now += 1
    assert names_in(store) == ["bob"]


def test_ten_lines_of_aliases_are_no_billion_entries(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigurationError, match=r"line 2, column 10: an alias"):
        FileUserstore(write(tmp_path / "users.yaml", "\n".join(lines)))


def test_yaml_is_read_without_libyaml_too(tmp_path, monkeypatch):
    import yaml

    path = write(tmp_path / "users.yaml", ALICE)
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert FileUserstore(path).get_user("alice").roles == {"admin"}
    for text, message in REFUSED_YAML.values():
        with pytest.raises(ConfigurationError, match=re.sub("^line .*?: ", "", message)):
            FileUserstore(write(path, text))


@pytest.mark.parametrize("name", ["users", "users.txt", "users.yaml.bak", "users.toml", ".json"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    with pytest.raises(ConfigurationError, match=r"must be called \*\.yaml, \*\.yml or \*\.json"):
        FileUserstore(write(tmp_path / name, '{"users": []}'))


@pytest.mark.parametrize("path", [None, 7, b"users.yaml", "", "users\x00.yaml"], ids=show)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"path must be|cannot be read"):
        FileUserstore(path)


def test_without_pyyaml_the_error_is_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "flask_securest\[yaml\]"'):
        FileUserstore(write(tmp_path / "users.yaml", ALICE))
    assert names_in(FileUserstore(write(tmp_path / "users.json", '{"users": []}'))) == []


# What is not the content of the file


def make_nothing(path):
    pass


def make_directory(path):
    path.mkdir()


def make_pipe(path):
    os.mkfifo(path)


def make_large(path):
    path.write_bytes(b" ")
    os.truncate(path, watched_file.MAX_FILE_BYTES + 1)


def make_writable(path):
    path.write_text('{"users": []}')
    path.chmod(0o666)


def make_unreadable(path):
    path.write_text('{"users": []}')
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_nothing, "cannot be read: No such file"),
        (make_directory, "cannot be read: Is a directory"),
        (make_pipe, "no regular file"),
        (make_large, "larger than 16777216 bytes"),
        (make_writable, "every local user can write it: chmod o-w"),
        (make_unreadable, "cannot be read: Permission denied"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_at_the_start_and_told_once_later(
    make, message, tmp_path, clock, caplog, rejections
):
    path = tmp_path / "users.json"
    make(path)
    with pytest.raises(ConfigurationError, match=message):
        FileUserstore(path)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    store = FileUserstore(write(path, '{"users": [{"username": "alice"}]}'))
    path.unlink()
    make(path)
    for _ in range(3):
        clock.now += 1
        assert names_in(store) == ["alice"]
    (record,) = caplog.records
    assert message.partition(": ")[2] in record.getMessage()
    assert len(rejections) == 1
    if path.is_dir():
        path.rmdir()
    write(path, '{"users": [{"username": "alice"}]}')
    clock.now += 1
    assert names_in(store) == ["alice"]
    path.unlink()
    clock.now += 1
    assert names_in(store) == ["alice"]
    assert len(caplog.records) == 2, "it was good meanwhile, so it is told once more"


def test_a_version_that_is_broken_is_told_again_when_it_comes_back(tmp_path, clock, caplog):
    path = write(tmp_path / "users.yaml", ALICE)
    store = FileUserstore(path)
    said = []
    for text in ("users: [", None, "users: [", ALICE, "users: ["):
        path.unlink() if text is None else write(path, text)
        clock.now += 1
        assert names_in(store) == ["alice"]
        said += ["No such file" in record.getMessage() for record in caplog.records]
        caplog.clear()
    assert said == [False, True, False, False]


def test_a_relative_path_stays_the_same_file(tmp_path, monkeypatch, clock):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "users.yaml", ALICE)
    store = FileUserstore("users.yaml")
    monkeypatch.chdir("/")
    write(tmp_path / "users.yaml", "users: []\n")
    clock.now += 1
    assert names_in(store) == []


def test_a_symbolic_link_that_is_turned_to_another_file_is_a_change(tmp_path, clock):
    write(tmp_path / "one.yaml", "users: [{username: one}]")
    write(tmp_path / "two.yaml", "users: [{username: two}]")
    path = tmp_path / "users.yaml"
    path.symlink_to("one.yaml")
    store = FileUserstore(path)
    path.unlink()
    path.symlink_to("two.yaml")
    clock.now += 1
    assert names_in(store) == ["two"]


# Changes


def test_the_file_is_looked_at_once_a_second_at_most_and_a_change_is_seen_then(tmp_path, clock, monkeypatch):
    path = write(tmp_path / "users.yaml", ALICE)
    store = FileUserstore(path)
    looks = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *args, **options: looks.append(args) or stat(*args, **options))
    write(path, "users: []\n")
    for _ in range(100):
        clock.now += 0.0099
        assert store.get_user("alice") is not None
    assert looks == []
    clock.now += 0.02
    for _ in range(100):
        assert store.get_user("alice") is None
    assert looks == [(str(path),)]
    for _ in range(50):
        clock.now += 0.1
        store.get_user("alice")
    assert len(looks) <= 6


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path, clock, monkeypatch):
    path = write(tmp_path / "users.yaml", ALICE)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    store = FileUserstore(path)
    read = []
    monkeypatch.setattr(watched_file, "_read", read.append)
    for _ in range(10):
        clock.now += 1
        assert store.get_user("alice") is not None
    assert read == []


def test_a_second_change_within_one_tick_of_the_file_system_is_seen(tmp_path, clock, monkeypatch):
    """Same size, same time, same inode: only what was read long after the last change is taken for the last word."""
    path = tmp_path / "users.json"
    path.write_text('{"users": [{"username": "one"}]}')
    store = FileUserstore(path)
    status = path.stat()
    frozen = SimpleNamespace(**{name: getattr(status, name) for name in dir(status) if name.startswith("st_")})
    path.write_text('{"users": [{"username": "two"}]}')
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path: frozen)
        patched.setattr(os, "fstat", lambda descriptor: frozen)
        clock.now += 1
        assert names_in(store) == ["two"]


def test_a_change_whose_time_was_set_back_is_seen(tmp_path, clock):
    path = write(tmp_path / "users.json", '{"users": [{"username": "one"}]}')
    os.utime(path, (1_000_000_000, 1_000_000_000))
    store = FileUserstore(path)
    path.write_text('{"users": [{"username": "two"}]}')
    os.utime(path, (1_000_000_000, 1_000_000_000))
    clock.now += 1
    assert names_in(store) == ["two"]


def test_a_file_that_changes_while_it_is_read_is_read_again_next_time(tmp_path, clock, monkeypatch, caplog):
    path = write(tmp_path / "users.yaml", "users: [{username: one}]\n")
    store = FileUserstore(path)
    write(path, "users: [{username: two}]\n")
    fstat = os.fstat
    asked = []

    def fstat_after_a_write(descriptor):
        asked.append(descriptor)
        if len(asked) % 2 == 0:
            with path.open("a") as file:
                file.write("# more\n")
        return fstat(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fstat_after_a_write)
        clock.now += 1
        assert names_in(store) == ["one"]
        assert caplog.records == [], "once is no error"
        for _ in range(10):
            clock.now += 1
            assert names_in(store) == ["one"]
        (record,) = caplog.records
        assert "being written to all the time" in record.getMessage()
        with pytest.raises(ConfigurationError, match="being written to all the time"):
            FileUserstore(path)
    clock.now += 1
    assert names_in(store) == ["two"]


@pytest.mark.parametrize("name", ["users.yaml", "users.json"])
def test_no_half_of_a_file_raises_and_no_half_of_json_is_taken(name, tmp_path, clock, caplog):
    text = json.dumps({"users": [{"username": "alice", "password": SECRET, "roles": ["a"], "active": False}]}, indent=1)
    path = write(tmp_path / name, text)
    store = FileUserstore(path)
    for end in range(len(text)):
        path.write_text(text[:end])
        clock.now += 1
        assert store.get_user("alice") == User("alice", SECRET, roles=["a"], active=False)
    assert SECRET not in caplog.text


def test_a_receiver_that_fails_changes_nothing(tmp_path, clock, caplog):
    path = write(tmp_path / "users.yaml", ALICE)
    store = FileUserstore(path)
    write(path, "users: [")

    def fail(sender, **what):
        raise RuntimeError("a bug in the receiver")

    with userstore_file_rejected.connected_to(fail):
        clock.now += 1
        assert names_in(store) == ["alice"]
    assert "a receiver of the signal 'userstore-file-rejected' failed" in caplog.text


# Logs


FORGED = "x\nERROR:root:forged\r\u2028\x1b[2J"


@pytest.mark.parametrize(
    "document",
    [
        {"users": [{"username": FORGED}, {"username": FORGED}]},
        {"users": [{"username": "a", "groups": ["b"]}], "groups": [{"name": FORGED}]},
        {"users": [{"username": "a", FORGED: 1}]},
        {"users": [{"username": "a", "active": FORGED}]},
        {FORGED: []},
        {"users": [], "groups": [{"name": "a", "roles": FORGED}]},
        {"users": [{"username": "a" * 1_000_000}] * 2},
        {"users": [{"username": "a b " * 1_000_000}] * 2},
    ],
    ids=lambda document: ascii(document)[:50],
)
def test_nothing_in_a_file_begins_a_line_of_the_log_or_fills_it(document, tmp_path, clock, caplog, rejections):
    path = write(tmp_path / "users.json", json.dumps({"users": []}))
    store = FileUserstore(path)
    write(path, json.dumps(document))
    clock.now += 1
    store.get_user("alice")
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 1000
    assert rejections[0][1]["reason"].isprintable()
    with pytest.raises(ConfigurationError) as caught:
        FileUserstore(path)
    assert str(caught.value).isprintable()


BROKEN_WITH_SECRETS = [
    ("users.yaml", f"users:\n- username: a\n  password: {SECRET}: {SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  password: [{SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  password: '{SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  password: *{SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  password: !{SECRET.replace('$', '')} x\n"),
    ("users.yaml", f"users:\n- username: a\n  password: {SECRET}\x01\n"),
    ("users.yaml", f"users:\n- username: a\n  password: {SECRET}\n  {SECRET}: x\n  {SECRET}: x\n"),
    ("users.yaml", f"users:\n- username: a\n  password: {SECRET}\udcff\n".encode("utf-8", "surrogateescape")),
    ("users.yaml", f"users:\n- username: a\n  active: {SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  roles: {SECRET}\n"),
    ("users.yaml", f"users:\n- username: a\n  {SECRET}: x\n"),
    ("users.yaml", f"users:\n- username: a\n  groups: ['{SECRET}']\n"),
    ("users.yaml", f"users:\n- username: a\n  password: ['{SECRET}']\n"),
    ("users.yaml", f"users:\n- {SECRET}\n"),
    ("users.yaml", f"users:\n- username: {SECRET}\n- username: {SECRET}\n"),
    ("users.json", f'{{"users": [{{"username": "a", "password": "{SECRET}"'),
    ("users.json", f'{{"users": [{{"username": "a", "password": "{SECRET}\\x"}}]}}'),
    ("users.json", f'{{"users": [{{"username": "a", "password": "{SECRET}\n"}}]}}'),
    ("users.json", f'{{"users": [], "{SECRET}": []}}'),
    ("users.json", f'{{"users": [], "{SECRET}": [], "{SECRET}": []}}'),
    ("users.json", f'{{"users": [{{"username": "a", "active": "{SECRET}"}}]}}'),
]


@pytest.mark.parametrize(("name", "text"), BROKEN_WITH_SECRETS, ids=lambda value: ascii(value)[-30:])
def test_a_planted_secret_shows_nowhere(name, text, tmp_path, clock, caplog, rejections):
    path = write(tmp_path / name, json.dumps({"users": [{"username": "a", "password": SECRET}]}))
    store = FileUserstore(path)
    write(path, text)
    clock.now += 1
    user = store.get_user("a")
    assert user.password == SECRET
    with pytest.raises(ConfigurationError) as caught:
        FileUserstore(path)
    said = [caplog.text, repr(store), repr(user), repr(vars(store)), repr(rejections), say_everything(caught.value)]
    said += [repr([record.__dict__ for record in caplog.records])]
    for planted in (SECRET, SECRET.replace("$", ""), "cGxhbnRlZC0wYjVmMWM3ZQ"):
        assert planted not in "\n".join(said)


# Any bytes


ANY_FILE = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(alphabet="users:name- \n[]{},&*!<>|'\"\\#?%@`~0.\t", max_size=100).map(str.encode),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["users", "username", "a"])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["users", "groups", "username", "name", "roles", "active", "x"]), inner),
        ),
        max_leaves=8,
    ).map(lambda document: json.dumps(document).encode()),
)


@pytest.mark.parametrize("name", ["users.yaml", "users.json"])
@settings(max_examples=how_many(60, 300), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=ANY_FILE)
@example(data=b"%YAML 9.9\n---\nusers: []")
@example(data=b"\xef\xbb\xbf")
@example(data=b"- !<tag:yaml.org,2002:int> ''")
@example(data=b"? ")
@example(data=b"{? [] : x}")
@example(data=b"!!float .")
@example(data=b"- 0b\n- 0x\n- 1__\n- 0o\n- 1:\n- 99:99")
@example(data=b'{"users": [{"username": "\\ud800"}]}')
def test_whatever_bytes_a_file_has_it_is_users_or_a_configuration_error(name, data, tmp_path, clock, caplog):
    path = tmp_path / name
    write(path, '{"users": [{"username": "alice"}]}')
    store = FileUserstore(path)
    write(path, data)
    clock.now += 1
    later = names_in(store)
    try:
        started = names_in(FileUserstore(path))
    except ConfigurationError:
        assert later == ["alice"]
    else:
        assert later == started
    assert all(record.getMessage().isprintable() for record in caplog.records)


# Threads and processes


def test_while_one_thread_reads_the_file_the_others_go_on_with_what_there_is(tmp_path, clock):
    path = write(tmp_path / "users.yaml", ALICE)
    store = FileUserstore(path)
    reading, go_on = threading.Event(), threading.Event()
    parse, parsed = store._file._parse, []

    def parse_slowly(data):
        parsed.append(data)
        reading.set()
        assert go_on.wait(20)
        return parse(data)

    store._file._parse = parse_slowly
    write(path, "users: []\n")
    clock.now += 1
    thread = threading.Thread(target=store.get_user, args=["alice"])
    thread.start()
    assert reading.wait(20)
    for _ in range(5):
        clock.now += 1
        assert store.get_user("alice") is not None
    go_on.set()
    thread.join(20)
    assert store.get_user("alice") is None
    assert len(parsed) == 1


def test_of_several_threads_that_come_at_once_one_looks(tmp_path, clock, monkeypatch):
    store = FileUserstore(write(tmp_path / "users.yaml", ALICE))
    together, looks, stat = threading.Barrier(8), [], os.stat
    acquired = threading.Barrier(8)

    class Lock:
        """Let everybody come this far, and then in, one after the other."""

        lock = threading.Lock()

        def acquire(self, blocking):
            acquired.wait(20)
            return self.lock.acquire()

        def release(self):
            self.lock.release()

    def ask():
        together.wait(20)
        store.get_user("alice")

    store._file._looking = Lock()
    monkeypatch.setattr(os, "stat", lambda *args, **options: looks.append(args) or stat(*args, **options))
    clock.now += 1
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(looks) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_forked_while_the_file_is_read_goes_on_seeing_changes(tmp_path):
    """The child has a copy of the lock, held by a thread that it does not have."""
    code = """
import os, sys, time
from pathlib import Path
from flask_securest.userstores.files import watched_file
from flask_securest.userstores import FileUserstore

watched_file.SECONDS_BETWEEN_LOOKS = 0
path = Path(sys.argv[1])
store = FileUserstore(path)
store._file._looking.acquire()
child = os.fork()
if child == 0:
    path.write_text('{"users": []}')
    os._exit(0 if store.get_user("alice") is None else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    path = write(tmp_path / "users.json", '{"users": [{"username": "alice"}]}')
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], check=True, timeout=60)


WRITER = """
import json, os, sys, time
path, versions = sys.argv[1], int(sys.argv[2])
for version in range(1, versions + 1):
    users = [{"username": f"user{n}", "email": str(version), "password": "x" * 200} for n in range(version % 50 + 20)]
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w") as file:
        json.dump({"users": users, "groups": [{"name": f"of {len(users)}"}]}, file)
    os.replace(beside, path)
    time.sleep(0.002)
"""


@pytest.mark.parametrize("name", ["users.json", "users.yaml"])
def test_nobody_ever_sees_half_of_a_file_that_another_process_replaces(name, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(watched_file, "SECONDS_BETWEEN_LOOKS", 0.0)
    path = tmp_path / name
    command = [sys.executable, "-c", WRITER, str(path)]
    subprocess.run([*command, "1"], check=True)
    store = FileUserstore(path)
    wrong, seen, done = [], set(), threading.Event()

    def ask():
        while not done.is_set():
            users = list(store.list_users())
            versions = {user.email for user in users}
            if len(versions) != 1 or len(users) != int(next(iter(versions))) % 50 + 20:
                wrong.append(versions)
            seen.update(versions)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    writers = [subprocess.Popen([*command, "400"]) for _ in range(2)]
    try:
        assert [writer.wait(120) for writer in writers] == [0, 0]
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not wrong
    assert len(seen) > 10
    assert {user.email for user in store.list_users()} == {"400"}
    assert caplog.records == []


# With an Api


def test_users_of_a_file_come_in_by_their_passwords_until_they_are_taken_out(tmp_path, clock):
    entry = {"username": "alice", "password": FAST.hash("wonderland"), "roles": ["admin"]}
    path = write(tmp_path / "users.json", json.dumps({"users": [entry]}))
    store = FileUserstore(path)
    app, _, _ = secured(Who, userstore=store, providers=[PasswordAuthenticator(password_hasher=FAST)])
    client = app.test_client()
    assert client.get("/who", headers=basic("alice", "wonderland")).json["user"] == "alice"
    assert client.get("/who", headers=basic("alice", "wrong")).status_code == 401
    write(path, '{"users": [')
    clock.now += 1
    assert client.get("/who", headers=basic("alice", "wonderland")).status_code == 200
    write(path, json.dumps({"users": [{**entry, "active": False}]}))
    clock.now += 1
    assert client.get("/who", headers=basic("alice", "wonderland")).status_code == 401
    write(path, json.dumps({"users": []}))
    clock.now += 1
    assert client.get("/who", headers=basic("alice", "wonderland")).status_code == 401
