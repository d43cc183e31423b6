"""A receiver that raises changes no decision, whoever sends."""

import ast
from pathlib import Path

from helpers import FAST, basic, secured

import flask_securest
from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.signals import refresh_token_reused
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.userstores import SimpleUserstore


def test_a_receiver_that_raises_does_not_make_the_detection_of_reuse_a_500(caplog):
    store = SimpleTokenstore()
    tokens = TokenAuthenticator("a secret key of the tests, long enough", store=store, refresh_grace_seconds=0)
    users = SimpleUserstore([User("ann", FAST.hash("pw"))])
    app, api, securest = secured(providers=[PasswordAuthenticator(password_hasher=FAST), tokens], userstore=users)
    add_token_resources(api, securest, tokens)
    client = app.test_client()
    first = client.post("/tokens", headers=basic("ann", "pw")).json["refresh_token"]
    second = client.post("/tokens/refresh", json={"refresh_token": first}).json["refresh_token"]
    heard = []

    def alarm(sender, session, ended):
        heard.append(session.username)
        raise RuntimeError("a receiver of the application")

    with refresh_token_reused.connected_to(alarm):
        assert client.post("/tokens/refresh", json={"refresh_token": first}).status_code == 400
    assert heard == ["ann"]
    assert "a receiver of the signal 'refresh-token-reused' failed" in caplog.text
    assert client.post("/tokens/refresh", json={"refresh_token": second}).status_code == 400


def test_no_signal_is_sent_bare():
    """Each goes through ``signals.send``, but for two: one that may raise by contract, and one that is Flask's."""
    sending = []
    for path in sorted(Path(flask_securest.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send"
            if is_call and node.keywords:
                sending.append((path.name, ast.unparse(node.func.value)))
    assert sorted(sending) == [
        ("reports.py", "request_authenticated"),
        ("reports.py", "self"),
        ("reports.py", "self"),
        ("responses.py", "got_request_exception"),
        ("signals.py", "signal"),
    ]
