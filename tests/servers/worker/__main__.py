"""One worker of an application, of this release or of the one before: only what both of them know is used.

It is run as ``python worker``, with the release that it is to have on ``PYTHONPATH``. For each line of its standard input,
``{"port": ..., "log": ..., "said": ...}``, it forks a worker, which has imported everything already, and prints its process
id. What is said is either of one application with users in a database, or "cases", of which each is one of
``namesakes.py``. The workers end when it does.
"""

import json
import os
import signal
import sys
import threading
import traceback

from flask import Flask
from flask_restful import Api
from namesakes import FAST, Me
from namesakes import make_app as make_case
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from flask_securest import SecuREST
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores.redis import RedisTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import SimpleUserstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore


def make_store(url, prefix="securest:"):
    if url is None:
        return None
    if url.startswith("redis"):
        return RedisTokenstore(url, prefix=prefix, timeout=60)
    return SQLAlchemyTokenstore(url, timeout=60)


def make_cases(said):
    """Return one application for each case, below its number."""
    mounts = {}
    for number, case in enumerate(said["cases"]):
        store = make_store(case["tokens"], f"case {number}:")
        keystore = SQLAlchemyKeystore(said["keys"])
        app, _ = make_case(case["main"], case["second"], store, keystore, said["ldap"])
        mounts[f"/{number}"] = app
    return DispatcherMiddleware(Flask("nothing"), mounts)


def make_app(said):
    """Return the application: users in a database, and others of the same names with a provider."""
    tokens = TokenAuthenticator("a secret key of the tests, long enough", store=make_store(said["tokens"]))
    second = SimpleUserstore({"users": said["second"]})
    users = SQLAlchemyUserstore(said["users"])
    chain = [
        HeaderApiKeyAuthenticator(keystore=SQLAlchemyKeystore(said["users"])),
        PasswordAuthenticator(password_hasher=FAST),
        PasswordAuthenticator(userstore=second, password_hasher=FAST, name="second"),
        tokens,
    ]
    app = Flask("worker")
    api = Api(app)
    securest = SecuREST(api, userstore=users, authentication_providers=chain)
    add_token_resources(api, securest, tokens)
    api.add_resource(Me, "/me")
    return app


def serve(asked, ended):
    """Serve until the process that has forked this one is no more."""

    def watch():
        os.read(ended, 1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    said = asked["said"]
    served = make_cases(said) if "cases" in said else make_app(said)
    make_server("127.0.0.1", asked["port"], served, threaded=True).serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    ended, running = os.pipe()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os.close(running)
            try:
                serve(json.loads(line), ended)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
