"""Tokens of other issuers that were revoked before their time."""

import sqlite3
from datetime import datetime, timezone

import pytest
from helpers import bearer, new_who, secured
from jwt_tokens import AUDIENCE, FUTURE, ISSUER, SECRET, claims, token

from flask_securest import current_identity
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.errors import BackendError, BadCredentialsError, ConfigurationError
from flask_securest.tokenstores import AbstractTokenstore, RevokedTokens, SimpleTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore

LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)


def client_with(revoked, **resource):
    provider = JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, revoked=revoked)
    return secured(new_who(**resource), providers=[provider], userstore=None)[0].test_client()


def send(**changes):
    return bearer(token("HS256", **changes))


def test_a_token_ends_when_its_owner_revokes_it_and_others_go_on():
    revoked = RevokedTokens(SimpleTokenstore())
    client = client_with(revoked, delete=lambda self: revoked.revoke(current_identity.claims))
    assert [client.get("/who", headers=send(jti=each)).status_code for each in "ab"] == [200, 200]
    assert client.delete("/who", headers=send(jti="a")).status_code == 200
    assert [client.get("/who", headers=send(jti=each)).status_code for each in "ab"] == [401, 200]


def test_a_token_without_an_id_is_refused_for_it_could_not_be_revoked():
    client = client_with(RevokedTokens(SimpleTokenstore()))
    assert client.get("/who", headers=send()).status_code == 401


def test_an_id_is_unique_with_its_issuer_only():
    revoked = RevokedTokens(SimpleTokenstore())
    revoked.revoke({"iss": "https://one", "jti": "7", "exp": FUTURE})
    assert revoked({"iss": "https://one", "jti": "7"})
    assert not revoked({"iss": "https://two", "jti": "7"})
    assert not revoked({"iss": "https://on", "jti": "e7"})
    assert not revoked({"jti": "7"})
    with pytest.raises(BadCredentialsError, match="jti"):
        revoked({"iss": "https://one"})


@pytest.mark.parametrize("said", [{}, {"jti": ""}, {"jti": 7}, {"jti": None}])
def test_what_has_no_id_cannot_be_revoked(said):
    with pytest.raises(ValueError, match="jti"):
        RevokedTokens(SimpleTokenstore()).revoke(said)


@pytest.mark.parametrize("end", [True, "soon", -1, float("nan"), 10**20])
def test_nor_can_what_has_an_end_that_is_no_time(end):
    with pytest.raises(ValueError, match="exp"):
        RevokedTokens(SimpleTokenstore()).revoke({"jti": "a", "exp": end})


def test_a_list_whose_table_is_missing_is_a_503_and_never_not_revoked(tmp_path):
    store = SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db")
    client = client_with(RevokedTokens(store))
    assert client.get("/who", headers=send(jti="a")).status_code == 503
    store.create_schema()
    assert client.get("/who", headers=send(jti="a")).status_code == 200
    with sqlite3.connect(tmp_path / "tokens.db") as connection:
        connection.execute("DROP TABLE securest_revoked_tokens")
    connection.close()
    assert client.get("/who", headers=send(jti="a")).status_code == 503


def test_tables_of_the_release_before_get_the_list_with_the_first_write(tmp_path):
    SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db").create_schema()
    with sqlite3.connect(tmp_path / "tokens.db") as connection:
        connection.execute("DROP TABLE securest_revoked_tokens")
    connection.close()
    revoked = RevokedTokens(SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db"))
    revoked.revoke(claims(jti="a"))
    assert revoked(claims(jti="a"))


@pytest.mark.parametrize("error", [OSError("planted-7c"), KeyError("planted-7c"), BackendError("down")])
def test_a_list_that_cannot_be_read_is_a_503_whatever_it_raises(error, caplog):
    def revoked(claims):
        raise error

    assert client_with(revoked).get("/who", headers=send(jti="a")).status_code == 503
    assert "planted" not in caplog.text


@pytest.mark.parametrize("answer", [None, 0, "", "no", [], object()])
def test_what_is_neither_true_nor_false_is_a_bug_and_no_no(answer):
    assert client_with(lambda claims: answer).get("/who", headers=send()).status_code == 500


def test_it_is_asked_about_tokens_that_are_genuine_only():
    asked = []
    client = client_with(lambda claims: asked.append(claims["jti"]) is not None)
    assert client.get("/who", headers=send(jti="a")).status_code == 200
    forged = token("HS256", key="x" * 64, jti="b")
    assert client.get("/who", headers=bearer(forged)).status_code == 401
    assert asked == ["a"]


def test_in_memory_nothing_drops_off_the_list_before_its_time():
    store = SimpleTokenstore(most_sessions=3)
    for each in "abc":
        store.revoke(each * 64, LONG_AGO if each == "a" else datetime(9999, 1, 1, tzinfo=timezone.utc))
    store.revoke("d" * 64, datetime(9999, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(BackendError, match="most_sessions"):
        store.revoke("e" * 64, datetime(9999, 1, 1, tzinfo=timezone.utc))
    store.revoke("d" * 64, datetime(9999, 1, 1, tzinfo=timezone.utc))
    assert [store.is_revoked(each * 64) for each in "abcde"] == [False, True, True, True, False]


def test_in_a_database_those_that_have_ended_are_thrown_away(tmp_path):
    store = SQLAlchemyTokenstore(f"sqlite:///{tmp_path}/tokens.db")
    store.revoke("a" * 64, LONG_AGO)
    store.revoke("b" * 64, datetime(9999, 1, 1, tzinfo=timezone.utc))
    with sqlite3.connect(tmp_path / "tokens.db") as connection:
        found = connection.execute("SELECT id FROM securest_revoked_tokens").fetchall()
    connection.close()
    assert found == [("b" * 64,)]


def test_a_store_that_keeps_no_such_list_says_so():
    class Store(SimpleTokenstore):
        revoke, is_revoked = AbstractTokenstore.revoke, AbstractTokenstore.is_revoked

    with pytest.raises(ConfigurationError, match="Store keeps no revoked tokens"):
        RevokedTokens(Store()).revoke({"jti": "a"})
    with pytest.raises(ConfigurationError, match="store of RevokedTokens"):
        RevokedTokens(object())
