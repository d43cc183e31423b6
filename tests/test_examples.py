"""The examples run, and do what they say."""

import hmac
import importlib
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest

from flask_securest.cli import securest
from flask_securest.errors import BackendError
from flask_securest.testing import AuthenticationProviderContract, UserstoreContract

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.rst").read_text(encoding="utf-8")
sys.path.insert(0, str(ROOT / "examples"))

import custom_provider  # noqa: E402
from custom_userstore import SQLiteUserstore  # noqa: E402


class TestSQLiteUserstore(UserstoreContract):  # pytest collects it
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path):
        self.path = tmp_path / "users.db"
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("CREATE TABLE users (username PRIMARY KEY, password_hash, active, roles)")
            for user in (self.ALICE, self.BOB):
                row = [user.username, user.password, user.active, " ".join(user.roles)]
                connection.execute("INSERT INTO users VALUES (?, ?, ?, ?)", row)

    def make_userstore(self):
        return SQLiteUserstore(self.path)

    def test_a_database_that_cannot_be_read_is_a_back_end_that_is_down(self, tmp_path):
        with pytest.raises(BackendError):
            SQLiteUserstore(tmp_path / "nowhere" / "users.db").get_user("alice")


class TestCustomProvider(AuthenticationProviderContract):
    SECRETS = ("shared-key",)

    def make_provider(self):
        return custom_provider.GatewayAuthenticator(b"shared-key")

    def sign(self, signed):
        return f"{signed}:" + hmac.digest(b"shared-key", signed.encode(), "sha256").hex()

    def good_headers(self, provider):
        return {"X-Gateway-User": self.sign(f"alice:{int(time.time())}")}

    def wrong_headers(self, provider):
        good = self.sign(f"alice:{int(time.time())}")
        for value in ("alice", "alice:", ":", "alice:0", good.replace("alice", "bob"), self.sign("alice:1")):
            yield {"X-Gateway-User": value}


@pytest.mark.parametrize("name", ["custom_provider", "custom_userstore"])
def test_an_extension_point_takes_under_40_lines(name):
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) < 40


@pytest.mark.parametrize("name", ["custom_provider", "custom_userstore"])
def test_an_extension_point_is_as_the_readme_shows_it(name):
    example = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert textwrap.indent(example, "    ") in README


def test_the_contract_of_a_userstore_is_run_as_the_readme_shows_it():
    shown = re.search(r"    class TestSQLiteUserstore.*?\n\n(?=\S)", README, re.DOTALL)
    assert textwrap.dedent(shown[0]).strip() in Path(__file__).read_text(encoding="utf-8")


def test_every_code_block_of_the_readme_is_of_a_kind_that_is_run():
    assert README.count("::\n\n") == 0
    directives = re.findall(r"\.\. ([\w-]+)::(.*)", README)
    assert {name for name, _ in directives} == {"code-block", "list-table"}
    assert {kind.strip() for name, kind in directives if name == "code-block"} == {
        *("bash", "console", "python"),
        "text",  # what the command line prints: see test_cli.py
    }


def test_the_table_for_those_who_come_from_elsewhere_opens_no_plain_view():
    """No Api guards a plain view: whoever only takes its decorator off, as told for a Resource, opens it to everybody."""
    section = README.partition("If you come from another library\n---")[2].partition("\n---")[0]
    rows = [" ".join(row.split()) for row in section.split("    * - ")]
    about_taking_off = [row for row in rows if "- nothing" in row]
    assert about_taking_off
    assert all("``@auth.login_required`` of a Resource" in row for row in about_taking_off)
    (plain,) = [row for row in rows if "``@auth.login_required`` of a plain view" in row]
    assert "``@securest.protect`` in its place" in plain


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Return the module, with the users and the key that make demo makes."""
    path = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TODO_DATABASE", f"sqlite:///{path}/todo.db")
        quickstart = importlib.import_module("quickstart")
    run = quickstart.app.test_cli_runner().invoke
    assert run(securest, ["users", "import", str(ROOT / "examples" / "users.csv")]).exit_code == 0
    issued = run(securest, ["keys", "issue", "--owner", "ci"])
    quickstart.key_of_ci = {"X-API-Key": issued.stdout.strip()}
    return quickstart


@pytest.fixture
def client(monkeypatch, quickstart):
    monkeypatch.setattr(quickstart, "todos", {number: dict(todo) for number, todo in quickstart.todos.items()})
    return quickstart.app.test_client()


def test_the_quickstart_is_closed_but_for_its_health_probe(client):
    for path in ("/todos", "/todos/1", "/me"):
        assert client.get(path).status_code == 401
    assert client.post("/todos", json={"task": "x"}).status_code == 401
    assert client.post("/tokens").status_code == 401
    assert client.delete("/todos/1").status_code == 401
    assert client.get("/health").json == {"status": "ok"}


def test_the_quickstart_knows_a_machine_by_its_key_and_people_by_their_passwords(client, quickstart):
    assert client.get("/me", headers=quickstart.key_of_ci).json == {"username": "ci", "provider": "api-key"}
    assert client.get("/me", auth=("alice", "wonderland")).json == {"username": "alice", "provider": "password"}
    assert client.get("/me", auth=("alice", "x")).status_code == 401
    created = client.post("/todos", json={"task": "try it"}, auth=("bob", "builder"))
    assert created.status_code == 201
    assert created.json == {"3": {"task": "try it", "by": "bob"}}
    assert client.get("/todos/3", auth=("bob", "builder")).json["task"] == "try it"
    assert client.get("/todos/9", auth=("bob", "builder")).status_code == 404


def test_the_quickstart_lets_admins_delete_and_nobody_else(client, quickstart):
    assert client.delete("/todos/1", auth=("bob", "builder")).status_code == 403
    assert client.delete("/todos/1", headers=quickstart.key_of_ci).status_code == 403
    assert client.delete("/todos/1", auth=("alice", "wonderland")).status_code == 204
    assert client.get("/todos/1", auth=("alice", "wonderland")).status_code == 404


def test_the_quickstart_issues_tokens_to_whoever_has_something_else_than_a_token(client, quickstart):
    answer = client.post("/tokens", auth=("alice", "wonderland"))
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    issued = answer.json
    assert issued["token_type"] == "Bearer"
    assert issued["expires_in"] == 600
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    assert client.get("/me", headers=headers).json == {"username": "alice", "provider": "token"}
    assert client.delete("/todos/1", headers=headers).status_code == 204
    assert client.post("/tokens", headers=headers).status_code == 401
    issued = client.post("/tokens", headers=quickstart.key_of_ci).json
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    assert client.get("/me", headers=headers).json == {"username": "ci", "provider": "token"}


def test_the_quickstart_tells_what_to_try(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py"), "http://127.0.0.1:1234", "key-file"]
    environ = os.environ | {"TODO_DATABASE": f"sqlite:///{tmp_path}/todo.db"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    assert len(re.findall(r"curl .*http://127\.0\.0\.1:1234/", told)) == 9
    assert re.search(r"DELETE +/todos/<int:todo_id> +closed +role 'admin'", told)
    assert re.search(r"GET +/health +public +health probe", told)
