"""The suite itself: what it says of servers that are not there, and that ports are not given twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers.process import find_program, free_port, tell_of_skips

TESTS = Path(__file__).parent


def test_what_a_missing_server_leaves_out_is_one_line_with_what_brings_it():
    lacking = ["slapd is not installed (slapd): make servers", "node is not installed (nodejs): make servers"]
    lacking = [f"Skipped: {each}" for each in (*lacking, lacking[0])]
    told = tell_of_skips([*lacking, "Skipped: root may read everything"])
    assert told == "3 tests were skipped for want of node, slapd. Install what they need: make servers"
    assert tell_of_skips(["Skipped: root may read everything"]) is None


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_server_skips_a_test_and_fails_it_in_continuous_integration(ci, outcome, monkeypatch):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="make servers"):
        find_program("no-such-program-7f6b", "no-such-package")


def test_no_port_is_given_to_two_processes():
    code = "import time; from servers.process import free_port; print(*[free_port() for _ in range(50)]); input()"
    command = [sys.executable, "-c", code]
    processes = [
        subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    ports = [int(port) for each in processes for port in each.stdout.readline().split()]
    ports += [free_port() for _ in range(50)]
    for each in processes:
        each.communicate("\n", timeout=60)
    assert len(ports) == len(set(ports)) == 200


def test_the_processes_of_tests_have_nothing_of_what_this_machine_has_set():
    assert not [name for name in os.environ if name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8")]
