"""What is released: what can be imported from where, and what is in the wheel and in the source distribution."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest

import flask_securest

ROOT = Path(__file__).parents[1]

#: Where what is public is imported from. A move keeps these paths; a name that is to go is deprecated first.
PUBLIC = {
    "flask_securest": (
        "UNSET USE_DEFAULT Identity SecuREST User UserModel authenticators current_identity current_user optional public "
        "require"
    ),
    "flask_securest.authentication_providers": (
        "AbstractAuthenticationProvider HeaderApiKeyAuthenticator PasswordAuthenticator TokenAuthenticator"
    ),
    "flask_securest.authentication_providers.client_certificate": "ClientCertificateAuthenticator ProxyHeaders",
    "flask_securest.authentication_providers.headers": "read_header read_authorization format_challenge",
    "flask_securest.authentication_providers.introspection": "IntrospectionAuthenticator",
    "flask_securest.authentication_providers.jwt": "JWTAuthenticator",
    "flask_securest.authentication_providers.kerberos": "KerberosAuthenticator",
    "flask_securest.authorization_providers": "AbstractAuthorizationProvider Decision Target",
    "flask_securest.errors": (
        "AccountStatusError AuthenticationError BackendError BadCredentialsError ConfigurationError "
        "ExpiredCredentialsError MissingDependencyError"
    ),
    "flask_securest.keystores": "AbstractKeystore AbstractWritableKeystore ApiKey IssuedKey SimpleKeystore",
    "flask_securest.keystores.sqlalchemy": "SQLAlchemyKeystore",
    "flask_securest.passwords": "OWASP_ARGON2ID OWASP_BCRYPT PasswordHasher RFC_9106_LOW_MEMORY",
    "flask_securest.signals": "request_refused sessions_ended userstore_file_rejected",
    "flask_securest.testing": (
        "AuthenticationProviderContract KeystoreContract TokenstoreContract UserstoreContract WritableUserstoreContract "
        "make_request"
    ),
    "flask_securest.token_resources": "add_token_resources",
    "flask_securest.tokenstores": "AbstractTokenstore RevokedTokens Session SimpleTokenstore",
    "flask_securest.tokenstores.redis": "RedisTokenstore",
    "flask_securest.tokenstores.sqlalchemy": "SQLAlchemyTokenstore",
    "flask_securest.userstores": (
        "AbstractUserstore AbstractVerifyingUserstore AbstractWritableUserstore FileUserstore HtpasswdUserstore "
        "SimpleUserstore"
    ),
    "flask_securest.userstores.ldap": "LDAPUserstore",
    "flask_securest.userstores.sqlalchemy": "SQLAlchemyUserstore",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_what_is_public_is_imported_from_where_it_always_was(module):
    loaded = importlib.import_module(module)
    assert [name for name in PUBLIC[module].split() if not hasattr(loaded, name)] == []
    assert set(PUBLIC[module].split()) <= set(dir(loaded))


def documented_imports():
    """Yield what the documentation and the examples import: pairs of a module and a name."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.rst", *(ROOT / "docs").glob("*.rst"))]
    blocks = [
        textwrap.dedent(block)
        for text in texts
        for block in re.findall(
            r"(?m)^( +from flask_securest[^\n]*"
            r"(?:\n(?: +[^\n]*)?)*?\)?)$",
            text,
        )
    ]
    blocks += [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")]
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flask_securest"):
                for alias in node.names:
                    yield node.module, alias.name


def test_what_the_documentation_imports_is_in_that_list():
    documented = set(documented_imports())
    assert len(documented) > 30
    assert {(module, name) for module, name in documented if name not in PUBLIC.get(module, "").split()} == set()


def test_who_looks_at_the_package_sees_what_is_public():
    assert dir(flask_securest) == sorted([*flask_securest.__all__, "__version__"])


def test_a_name_that_is_not_there_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match=r"module .flask_securest\.userstores. has no"):
        importlib.import_module("flask_securest.userstores").LDAPUserStore  # noqa: B018


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a directory with the wheel and the source distribution, built from a copy of the source."""
    if not (ROOT / "flask_securest").exists():
        pytest.skip("the source is not here: the wheel is tested away from it")
    work = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns(
        ".*_cache", ".venv*", ".git", ".node", ".hypothesis", "*.egg-info", "demo-data", "build", "dist", "__pycache__"
    )
    shutil.copytree(ROOT, work / "source", ignore=left_out)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(work / "dist"), str(work / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return work / "dist"


def test_what_is_built_passes_the_check_of_the_index(built):
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_of_the_wheel_is_imported_without_a_warning(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path, "zip")
    code = """
import importlib, pkgutil, flask_securest, sys
for module in pkgutil.walk_packages(flask_securest.__path__, "flask_securest."):
    importlib.import_module(module.name)
    print(module.name)
print(flask_securest.__file__, flask_securest.__version__)
"""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    *modules, last = done.stdout.splitlines()
    assert last == f"{tmp_path}/flask_securest/__init__.py {flask_securest.__version__}"
    sources = [
        path
        for path in (ROOT / "flask_securest").rglob("*.py")
        if path.parent != ROOT / "flask_securest" or path.name != "__init__.py"
    ]
    assert len(modules) == len(sources)
    assert (tmp_path / "flask_securest" / "py.typed").exists()
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    told = metadata.read_text(encoding="utf-8")
    assert "License-Expression: Apache-2.0" in told
    assert f"Version: {flask_securest.__version__}\n" in told


def test_the_source_distribution_has_all_that_the_tests_are_made_of(built):
    """That they can be collected there is tested by .ci/test-all."""
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    of_tests = [ROOT / "conftest.py", *(path for path in (ROOT / "tests").rglob("*") if path.is_file())]
    there = {str(path.relative_to(ROOT)) for path in of_tests if not {"__pycache__", "node_modules"} & {*path.parts}}
    assert len(there) > 100
    assert there <= packed
