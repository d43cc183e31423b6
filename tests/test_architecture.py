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

#: Each module stands on a floor, and imports only from floors below its own.
FLOORS = {
    "errors": 0,
    "support.logs": 0,
    "signals": 1,
    "support.checks": 1,
    "models": 1,
    "identity": 2,
    "userstores.marks": 2,
    "accounts.sources": 3,
    "accounts.known": 4,
    "decision.origins": 4,
    "passwords": 1,
    "current": 3,
    "sql.engines": 1,
    "sql.databases": 2,
    "sql.stores": 3,
    "protocols.signed_tokens": 3,
    "tokenstores.models": 3,
    "tokenstores.abstract": 4,
    "tokenstores.sessions": 9,
    "tokenstores.keeping": 10,
    "tokenstores.refreshing": 11,
    "tokenstores.limits": 4,
    "tokenstores.owners": 10,
    "tokenstores.issuing": 12,
    "tokenstores.simple": 9,
    "tokenstores.redis_hashes": 9,
    "tokenstores.redis": 10,
    "tokenstores.sqlalchemy_table": 9,
    "tokenstores.sqlalchemy": 10,
    "support.uses": 1,
    "protocols.http.stream": 1,
    "protocols.http.fetch": 2,
    "protocols.jwt.format": 1,
    "protocols.jwt.claims": 2,
    "protocols.jwt.keys": 2,
    "protocols.jwt.jwk": 3,
    "protocols.jwt.jwks": 3,
    "protocols.jwt.policy": 3,
    "protocols.jwt.document": 4,
    "protocols.introspection.answer": 3,
    "protocols.introspection.cache": 4,
    "protocols.introspection.endpoint": 4,
    "protocols.x509.names": 1,
    "protocols.x509.certificate": 1,
    "protocols.x509.proxies": 4,
    "protocols.kerberos": 1,
    "authentication_providers.jwt": 9,
    "authentication_providers.introspection": 9,
    "authentication_providers.kerberos": 9,
    "authentication_providers.client_certificate": 9,
    "keystores.format": 2,
    "keystores.models": 3,
    "userstores.abstract": 2,
    "authorization_providers.abstract": 3,
    "userstores.simple": 3,
    "rules.requirement": 4,
    "keystores.abstract": 4,
    "keystores.simple": 6,
    "keystores.sqlalchemy_table": 5,
    "keystores.sqlalchemy": 9,
    "userstores.mapping": 2,
    "userstores.watched_file": 2,
    "userstores.apache_hashes": 2,
    "userstores.file_formats": 3,
    "userstores.htpasswd": 3,
    "userstores.file": 4,
    "userstores.ldap_entries": 2,
    "userstores.ldap_groups": 9,
    "userstores.ldap_session": 3,
    "userstores.ldap_directory": 4,
    "userstores.ldap_accounts": 4,
    "userstores.ldap": 10,
    "userstores.sqlalchemy_tables": 3,
    "userstores.sqlalchemy_mapped": 3,
    "userstores.sqlalchemy": 4,
    "authentication_providers.abstract": 4,
    "protocols.http.headers": 3,
    "authentication_providers.api_key": 9,
    "authentication_providers.password": 9,
    "authentication_providers.token": 13,
    "rules.statements": 5,
    "rules.written": 6,
    "rules.decorators": 7,
    "rules.members": 7,
    "rules.placement": 8,
    "decision.answers": 9,
    "decision.chain": 10,
    "rules.resolution": 10,
    "decision.settings": 11,
    "decision.verdict": 11,
    "decision.policy": 12,
    "enforcement.preflights": 11,
    "enforcement.endpoints": 1,
    "decision.choosing": 13,
    "enforcement.responses": 12,
    "enforcement.reports": 13,
    "enforcement.unenforced": 12,
    "enforcement.guard": 14,
    "enforcement.hooks": 12,
    "enforcement.wrapper": 15,
    "enforcement.gate": 16,
    "enforcement.dispatching": 16,
    "enforcement.protecting": 17,
    "enforcement.tracing": 18,
    "enforcement.owners": 19,
    "enforcement.guarded_app": 20,
    "enforcement.attachment": 21,
    "inspection.census": 21,
    "extension": 22,
    "token_resources": 23,
    "testing.requests": 23,
    "testing.stores": 23,
    "testing.tokenstores": 24,
    "testing.providers": 25,
    "cli.output": 0,
    "cli.accounts": 2,
    "cli.commands": 2,
    "cli.prompt": 2,
    "cli.key_records": 4,
    "cli.parameters": 3,
    "cli.stores": 21,
    "cli.tokenstores": 22,
    "cli.sessions": 23,
    "cli.importing": 22,
    "cli.check": 23,
    "cli.keys": 22,
    "cli.users": 23,
}

#: Where Flask is known. Everything else works with a Werkzeug request, and is tested without an application.
FLASK_IS_KNOWN_IN = {
    "current",
    "enforcement.responses",
    "enforcement.reports",
    "enforcement.guard",
    "enforcement.gate",
    "enforcement.wrapper",
    "enforcement.dispatching",
    "enforcement.protecting",
    "enforcement.endpoints",
    "enforcement.tracing",
    "enforcement.owners",
    "enforcement.guarded_app",
    "enforcement.attachment",
    "extension",
    "token_resources",
    "cli.commands",
    "cli.stores",
}

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


def own_imports_of(name):
    return {other for other in MODULES if f"flask_securest.{other}" in imports_of(name)}


def test_every_module_has_a_floor():
    assert set(FLOORS) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name):
    for other in own_imports_of(name):
        assert FLOORS[other] < FLOORS[name], f"{name} imports {other}"


@pytest.mark.parametrize("name", MODULES)
def test_a_package_is_not_imported_as_a_whole(name):
    """Its __init__ would bring its concrete modules along."""
    packages = {f"flask_securest.{path.parent.name}" for path in ROOT.glob("*/__init__.py")}
    assert len(packages) == 10
    assert not packages & imports_of(name)


#: What users choose from. The other modules in these packages are parts of one of them.
CONCRETE = {
    *(
        f"authentication_providers.{name}"
        for name in ("api_key", "password", "token", "jwt", "protocols.introspection", "kerberos", "client_certificate")
    ),
    *(f"userstores.{name}" for name in ("simple", "file", "htpasswd", "sqlalchemy", "ldap")),
    *(f"keystores.{name}" for name in ("simple", "sqlalchemy")),
    *(f"tokenstores.{name}" for name in ("simple", "sqlalchemy", "redis")),
}


@pytest.mark.parametrize("name", sorted(CONCRETE))
def test_a_concrete_provider_or_store_never_imports_its_sibling(name):
    assert name in MODULES
    assert not own_imports_of(name) & CONCRETE


@pytest.mark.parametrize("name", MODULES)
def test_flask_is_known_in_few_places(name):
    knows = any(module.split(".")[0] in ("flask", "flask_restful") for module in imports_of(name))
    assert knows == (name in FLASK_IS_KNOWN_IN)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_its_functions_stay_short(name):
    text = MODULES[name].read_text(encoding="utf-8")
    most = 400 if name == "testing.stores" else 270  # three contracts
    assert len(text.splitlines()) <= most, "about 250; beyond that, ask what it does twice"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno <= 50, node.name


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


def test_the_readme_maps_the_modules_that_there_are():
    readme = (Path(__file__).parents[1] / "README.rst").read_text(encoding="utf-8")
    for name in MODULES:
        assert f"``{name.replace('.', '/')}.py``" in readme, f"{name} is missing in 'How a request flows'"


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
