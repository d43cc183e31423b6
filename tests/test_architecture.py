"""The house rules of the imports, checked from the imports themselves."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flask_securest

ROOT = Path(flask_securest.__file__).parent
TESTS = Path(__file__).parent

#: The house, one floor a line: a room imports only from floors below its own. A new file in a room needs no entry.
HOUSE = """
__init__ token_resources
cli extension
inspection
enforcement testing
decision
rules
authentication_providers
tokenstores
accounts
keystores userstores
authorization_providers current passwords protocols signals sql
identity support
errors models
"""
FLOORS = {room: number for number, floor in enumerate(reversed(HOUSE.split("\n"))) for room in floor.split()}

#: Where Flask is known. Everything else works with a Werkzeug request, and is tested without an application.
FLASK_IS_KNOWN_IN = {"current", "enforcement", "extension", "inspection", "token_resources", "cli", "testing"}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in ROOT.rglob("*.py")
    if path.name != "__init__.py"
}


@functools.cache
def imports_of(name):
    """Return the absolute names of what a module imports, in functions and under TYPE_CHECKING too."""
    found = set()
    package = ["flask_securest", *name.split(".")[:-1]]
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@functools.cache
def own_imports_of(name):
    return {other for other in MODULES if f"flask_securest.{other}" in imports_of(name)}


def room_of(name):
    return name.partition(".")[0]


def test_the_house_has_the_rooms_that_there_are():
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(FLOORS) == rooms
    assert len([*rooms, "py.typed"]) <= 26


def test_imports_point_down_only():
    upwards = [
        f"{name} imports {other}"
        for name in MODULES
        for other in own_imports_of(name)
        if room_of(other) != room_of(name) and FLOORS[room_of(other)] >= FLOORS[room_of(name)]
    ]
    assert upwards == []


def test_there_are_no_circles_in_a_room_either():
    done, above = set(), []

    def descend(name):
        assert name not in above, f"a circle: {' -> '.join([*above, name])}"
        if name not in done:
            above.append(name)
            for other in sorted(own_imports_of(name)):
                descend(other)
            above.pop()
            done.add(name)

    for name in MODULES:
        descend(name)


def test_a_package_is_not_imported_as_a_whole():
    """Its __init__ would bring its concrete modules along."""
    packages = {f"flask_securest.{path.parent.name}" for path in ROOT.rglob("*/__init__.py")}
    assert [name for name in MODULES if packages & imports_of(name)] == []


#: What users choose from. The other modules in these packages are parts of one of them.
CONCRETE = {
    *(
        f"authentication_providers.{name}"
        for name in ("api_key", "password", "token", "jwt", "introspection", "kerberos", "client_certificate")
    ),
    *(f"userstores.{name}" for name in ("simple", "files.file", "files.htpasswd")),
    *(f"userstores.{name}.userstore" for name in ("sqlalchemy", "ldap")),
    *(f"keystores.{name}" for name in ("simple", "sqlalchemy")),
    *(f"tokenstores.{name}" for name in ("simple", "sqlalchemy", "redis")),
}


@pytest.mark.parametrize("name", sorted(CONCRETE))
def test_a_concrete_provider_or_store_never_imports_its_sibling(name):
    assert name in MODULES
    assert not own_imports_of(name) & CONCRETE


def test_flask_is_known_in_few_places():
    knowing = {
        room_of(name)
        for name in MODULES
        if any(module.split(".")[0] in ("flask", "flask_restful") for module in imports_of(name))
    }
    assert knowing <= FLASK_IS_KNOWN_IN


def test_modules_and_functions_stay_short():
    long = []
    for name, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        most = 400 if name == "testing.stores" else 250  # three contracts
        if len(text.splitlines()) > most:  # ask what it does twice
            long.append(name)
        functions = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)]
        long += [f"{name}.{each.name}" for each in functions if each.end_lineno - each.lineno > 50]
    assert long == []


def test_importing_it_starts_nothing_and_brings_nothing_optional():
    code = """
import sys, threading
before = set(sys.modules)
import flask_securest
assert threading.active_count() == 1
optional = {"ldap3", "sqlalchemy", "jwt", "gssapi", "redis", "pytest", "hypothesis"}
print(sorted(optional & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_what_is_public_is_what_the_contract_names():
    assert set(flask_securest.__all__) == {
        "UNSET",
        "USE_DEFAULT",
        "Identity",
        "SecuREST",
        "User",
        "UserModel",
        "authenticators",
        "current_identity",
        "current_user",
        "optional",
        "public",
        "require",
    }


def test_the_picture_of_the_house_shows_the_house():
    contributing = (Path(__file__).parents[1] / "CONTRIBUTING.rst").read_text(encoding="utf-8")
    picture = contributing.partition("::\n\n")[2].partition("\nFlask is known")[0]
    # What stands on a floor comes first, with a gap of two; what it is about comes after a longer one.
    floors = [re.split(r" {3,}", line.strip())[0].split("  ") for line in picture.splitlines() if line[4:5].strip()]
    assert floors == [floor.split() for floor in HOUSE.split("\n") if floor]


def test_the_way_of_a_request_names_what_there_is():
    contributing = (Path(__file__).parents[1] / "CONTRIBUTING.rst").read_text(encoding="utf-8")
    named = re.findall(r"``([a-z_/]+)\.py``,\s+``([A-Za-z_.]+)``", contributing)
    assert len(named) >= 7
    for path, function in named:
        module = ast.parse(MODULES[path.replace("/", ".")].read_text(encoding="utf-8"))
        for part in function.split("."):
            module = next(node for node in module.body if getattr(node, "name", None) == part)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("cli.") and name != "cli.output"])
def test_a_command_prints_in_one_place_which_knows_what_to_do_where_that_fails(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    named = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))}
    assert not named & {"print", "click.echo", "click.secho", "click.echo_via_pager", "sys.stdout", "sys.stderr"}


def calls_at_import(node):
    """Yield what is called when a file is imported: also by decorators and defaults, but not in functions."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        children = [*node.decorator_list, node.args]
    elif isinstance(node, ast.Lambda):
        children = [node.args]
    elif isinstance(node, ast.Call):
        yield ast.unparse(node.func)
    for child in children:
        yield from calls_at_import(child)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_takes_the_time_when_it_is_imported(path):
    """It may be run an hour later, on a machine that is busy: what was to come has passed by then."""
    clocks = re.compile(r"(.*\.)?(time|date|datetime|dt)\.(now|utcnow|today|time|time_ns|monotonic|perf_counter)")
    called = calls_at_import(ast.parse(path.read_text(encoding="utf-8")))
    assert not [name for name in called if clocks.fullmatch(name)]
