"""Applications with something else in them, beside what they are secured with, and in either order."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Blueprint, Flask
from flask_restful import Api
from helpers import chain_of_three, make_userstore

from flask_securest import SecuREST

#: Whoever comes first must not be the one who is in front.
in_either_order = pytest.mark.parametrize(
    "extension_first", [True, False], ids=["the extension first", "SecuREST first"]
)


def make_application(
    extend, *resources, extension_first=True, guarded=True, blueprint=False, api_options=(), **options
):
    """Return an application with an Api whose resources are at ``/<class name>``, guarded, and extended.

    :param extend: a function that is given the application and its Blueprint, or ``None``
    :param extension_first: whether that is before it is secured
    :param guarded: whether it is secured at all
    :param blueprint: whether the Api is one of a Blueprint
    """
    app = Flask("tests")
    part = Blueprint("part", __name__) if blueprint else None
    if extension_first:
        extend(app, part)
    api = Api(part or app, **dict(api_options))
    for resource in resources:
        api.add_resource(resource, f"/{resource.__name__.lower()}")
    options.setdefault("userstore", make_userstore())
    options.setdefault("authentication_providers", chain_of_three())
    if guarded:
        SecuREST(api, **options)
    if not extension_first:
        extend(app, part)
    if part is not None:
        app.register_blueprint(part)
    return app


def run_in_another_process(function, *, first="", timeout=120):
    """Return what a function of a test module returns, as JSON, when it is run in a process of its own.

    :param function: the function, without arguments
    :param first: what is run there before anything else
    """
    module, name = function.__module__, function.__name__
    paths = [str(Path(__file__).parent), str(Path(sys.modules[module].__file__).parent)]
    code = f"{first}\nimport json, sys\nsys.path[:0] = {paths}\nimport {module}\nprint(json.dumps({module}.{name}()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
