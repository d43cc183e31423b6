"""Run every code block of the README and of the docstrings."""

import collections
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from servers.process import free_port
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.integration.pytest import SybilItem
from sybil.parsers.rest import CodeBlockParser, DocTestParser, PythonCodeBlockParser
from sybil.sybil import SybilCollection

ROOT = Path(__file__).parent

#: What a machine may have set for other purposes, and Python, Flask, click and the examples go by. The tests, and the
#: processes that they start, do not: with PYTHONUNBUFFERED, for example, nothing is left to be written at the end of a
#: process, and what goes wrong there is not seen.
FOREIGN = (
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
    "PYTHONWARNINGS",
    "PYTHONDEVMODE",
    "PYTHONOPTIMIZE",
)
FOREIGN += ("FLASK_", "COLUMNS", "LINES", "TODO_DATABASE", "TOKEN_SECRET_KEY", "DEMO_DATA", "AUTH0_", "KEYCLOAK_")
for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]
# Otherwise each process that is started compiles this package, and each of pytest's rewrites all tests, anew.
sys.dont_write_bytecode = False


class Demo:
    """``make demo``, on a free port, in the environment that the tests run in."""

    process = None
    url = ""

    def start(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # What make demo would install first is installed already.
        installed = ["-o", f"{sys.prefix}/.demo", "-o", f"{sys.prefix}/bin/python"]
        self.data = tempfile.mkdtemp(prefix="securest-demo-")
        environ = os.environ | {"DEMO_DATA": self.data}
        command = ["make", "demo", f"VENV={sys.prefix}", f"PORT={port}", *installed]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ, start_new_session=True, stdout=subprocess.DEVNULL
        )
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, "make demo has ended"
                time.sleep(0.1)
        raise AssertionError("make demo does not answer")

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
            self.process = None
            shutil.rmtree(self.data)


def run_command(example):
    """Run ``make demo`` as it stands; of what would run these very tests again, see that make knows it."""
    command = example.parsed.strip()
    if command == "make demo":
        example.namespace["demo"].start()
    else:
        subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run_session(example):
    """Run each line behind ``$`` and compare what it prints."""
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "curl is not installed"
        pytest.skip("curl is not installed: what the README says of the demo is not tested")
    demo = example.namespace["demo"]
    steps = [step.partition("\n") for step in example.parsed.strip().removeprefix("$ ").split("\n$ ")]
    for command, _, expected in steps:
        command = command.replace("http://127.0.0.1:5000", demo.url).replace("demo-data", demo.data)
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.strip() == expected.strip(), command


def setup_readme(namespace):
    # What the README writes, it writes into the current directory.
    namespace.update(demo=Demo(), __name__="readme", before=Path.cwd(), directory=tempfile.mkdtemp())
    os.chdir(namespace["directory"])


def tear_readme_down(namespace):
    namespace["demo"].stop()
    os.chdir(namespace["before"])
    directory = namespace["directory"]
    namespace.clear()  # with the databases in it
    shutil.rmtree(directory)


readme = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("bash", run_command),
        CodeBlockParser("console", run_session),
    ],
    patterns=["README.rst"],
    setup=setup_readme,
    teardown=tear_readme_down,
)


def setup_docstrings(namespace):
    from flask_securest import passwords, signals, testing
    from flask_securest.authentication_providers import headers

    for module in (passwords, signals, testing, headers):
        namespace.update(vars(module))
    namespace.update(refused=collections.Counter())


docstrings = Sybil(
    parsers=[PythonCodeBlockParser(), DocTestParser()],
    patterns=["flask_securest/**/*.py", "flask_securest/*.py"],
    document_types={".py": PythonDocStringDocument},
    setup=setup_docstrings,
)

docs = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["docs/*.rst"],
    # As the tests of it, which say why.
    excludes=[] if importlib.util.find_spec("gssapi") else ["docs/kerberos.rst"],
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Run the code blocks of a document in their order, for each builds on those before it."""
    blocks = [number for number, item in enumerate(items) if isinstance(item, SybilItem)]
    in_order = sorted((items[number] for number in blocks), key=lambda item: (str(item.path), item.location[1]))
    for number, item in zip(blocks, in_order, strict=True):
        items[number] = item


pytest_collect_file = SybilCollection([readme, docstrings, docs]).pytest()
