"""What a token from elsewhere must be besides genuine: the same table for JWTs and for the answers of introspection."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt_tokens import AUDIENCE, ISSUER, SECRET, token

from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import (
    AccountStatusError,
    BackendError,
    BadCredentialsError,
    ConfigurationError,
    ExpiredCredentialsError,
)
from flask_securest.protocols.introspection.endpoint import IntrospectionEndpoint
from flask_securest.protocols.token_rules import make_token_rules
from flask_securest.testing import make_request

LOGOUT = {"http://schemas.openid.net/event/backchannel-logout": {}}


def ask_jwt(said, monkeypatch, **options):
    provider = JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, **options)
    # token() leaves out what is None: null is written by a value that json.dumps writes as null.
    sent = token("HS256", **{name: _Null() if value is None else value for name, value in said.items()})
    return Chain([("jwt", provider)], None).authenticate(make_request({"Authorization": f"Bearer {sent}"}))


class _Null(dict):
    """Be what becomes ``null``: see :func:`_write_nulls`."""


@pytest.fixture(autouse=True)
def _write_nulls(monkeypatch):
    dumps = json.dumps

    def write(value, **options):
        if isinstance(value, dict):
            value = {name: None if isinstance(each, _Null) else each for name, each in value.items()}
        return dumps(value, **options)

    monkeypatch.setattr("jwt_tokens.json.dumps", write)


def ask_introspection(said, monkeypatch, **options):
    answer = {"active": True, "token_type": "Bearer", "username": "alice", **said}
    monkeypatch.setattr(IntrospectionEndpoint, "ask", lambda self, token, known: json.dumps(answer).encode())
    provider = IntrospectionAuthenticator("https://issuer.example/", client_id="api", client_secret="s", **options)
    return Chain([("opaque", provider)], None).authenticate(make_request({"Authorization": "Bearer opaque"}))


both = pytest.mark.parametrize("ask", [ask_jwt, ask_introspection])

OTHER_KINDS = [
    {claim: kind}
    for claim in ("typ", "token_use", "token_type", "type")
    for kind in (
        "refresh",
        "Refresh",
        "refresh_token",
        "REFRESH+JWT",
        "Offline",
        "id",
        "ID",
        "id_token",
        "Serialized-ID",
    )
] + [
    {"typ": "Logout"},
    {"typ": "application/logout+jwt"},
    {"typ": "secevent+jwt"},
    {"typ": "dpop+jwt"},
    {"token_type": "DPoP"},
    {"token_type": "mac"},
    {"token_type": "PoP"},
    {"token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
    {"typ": ["Bearer", "Refresh"]},
    {"events": LOGOUT},
    {"events": []},
    {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
    {"cnf": {}},
]


@both
@pytest.mark.parametrize("said", OTHER_KINDS, ids=repr)
def test_a_token_that_says_of_itself_that_it_is_of_another_kind_is_refused(ask, said, monkeypatch):
    outcome = ask(said, monkeypatch)
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert next(iter(said)) in str(outcome.error)


@both
@pytest.mark.parametrize(
    "said",
    [
        {"typ": "Bearer"},
        {"typ": "at+jwt"},
        {"token_use": "access"},
        {"token_use": "access_token"},
        {"type": "access"},
        {"type": "user"},
        {"type": "identity"},
        {"type": 7},
        {"typ": None, "token_use": None, "type": None, "cnf": None, "events": None},
    ],
    ids=repr,
)
def test_any_other_value_passes(ask, said, monkeypatch):
    assert ask(said, monkeypatch).answer is Answer.VERIFIED


def test_a_jwt_may_say_that_it_is_a_bearer_token_or_an_access_token(monkeypatch):
    for kind in ("Bearer", "access"):  # simplejwt
        assert ask_jwt({"token_type": kind}, monkeypatch).answer is Answer.VERIFIED


@both
def test_another_kind_is_taken_where_required_claims_names_it_by_that_claim_and_value(ask, monkeypatch):
    for required in ({"token_use": "id"}, {"token_use": ["access", "id"]}, {"token_use": {"id"}}):
        assert ask({"token_use": "id"}, monkeypatch, required_claims=required).answer is Answer.VERIFIED
    refused = [
        ({"token_use": "ID"}, {"token_use": "id"}),  # another value
        ({"token_use": "id"}, {"token_use": lambda kind: True}),  # a predicate lifts nothing
        ({"token_use": "id", "typ": "Refresh"}, {"token_use": "id"}),  # another claim
        ({"token_use": "id", "cnf": {"jkt": "x"}}, {"token_use": "id"}),
        ({"token_use": "id", "events": LOGOUT}, {"token_use": "id"}),
    ]
    for said, required in refused:
        assert ask(said, monkeypatch, required_claims=required).answer is Answer.WRONG_CREDENTIALS


def test_introspections_own_token_type_is_bearer_or_what_required_claims_names(monkeypatch):
    assert ask_introspection({"token_type": "access_token"}, monkeypatch).answer is Answer.WRONG_CREDENTIALS
    named = {"token_type": "access_token"}
    assert ask_introspection(named, monkeypatch, required_claims=named).answer is Answer.VERIFIED


@both
@pytest.mark.parametrize(
    ("required", "good", "bad"),
    [
        ("gold", ["gold"], ["silver", None, "", ["gold"], {"gold": 1}, "Gold"]),
        (["gold", "silver"], ["gold", "silver"], ["bronze", None]),
        (True, [True], [1, "true", False, None, 1.0]),
        (1, [1], [True, "1", 2]),
        (lambda value: value in ("a", "b"), ["a"], ["c", None]),
        (lambda value: "mfa" in value, [["pwd", "mfa"]], [["pwd"], None, 7]),
    ],
)
def test_required_claims_hold_a_value_several_or_a_predicate(ask, required, good, bad, monkeypatch):
    for value in good:
        assert ask({"tier": value}, monkeypatch, required_claims={"tier": required}).answer is Answer.VERIFIED
    for value in bad:
        outcome = ask({"tier": value}, monkeypatch, required_claims={"tier": required})
        assert outcome.answer is Answer.WRONG_CREDENTIALS, value
        assert "'tier'" in str(outcome.error) or "required_claims" in str(outcome.error)
    assert ask({}, monkeypatch, required_claims={"tier": required}).answer is Answer.WRONG_CREDENTIALS


@both
def test_a_required_claim_may_be_within_another_one(ask, monkeypatch):
    required = {"org.tier": "gold"}
    assert ask({"org": {"tier": "gold"}}, monkeypatch, required_claims=required).answer is Answer.VERIFIED
    for said in ({"org": {}}, {"org": None}, {"org": "gold"}, {}, {"org": {"tier": None}}):
        assert ask(said, monkeypatch, required_claims=required).answer is Answer.WRONG_CREDENTIALS


@both
def test_a_refusal_names_the_claim_and_never_its_value(ask, monkeypatch):
    for said, options in (
        ({"tier": "planted-41"}, {"required_claims": {"tier": "gold"}}),
        ({"roles": {"planted-41": 1}}, {"roles_claim": "roles"}),
        ({"roles": [7, "planted-41"]}, {"roles_claim": "roles"}),
        ({"realm": "planted-41"}, {"roles_claim": "realm.roles"}),
    ):
        outcome = ask(said, monkeypatch, **options)
        assert outcome.answer is Answer.WRONG_CREDENTIALS
        assert next(iter(said)) in str(outcome.error)
        assert "planted" not in str(outcome.error)


@both
@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (BadCredentialsError("no"), Answer.WRONG_CREDENTIALS),
        (ExpiredCredentialsError("over"), Answer.WRONG_CREDENTIALS),
        (AccountStatusError("locked"), Answer.ACCOUNT_STATUS),
        (BackendError("down"), Answer.BACKEND_DOWN),
        (KeyError("planted-52"), Answer.WRONG_CREDENTIALS),
    ],
    ids=repr,
)
def test_verify_claims_refuses_by_raising(ask, error, answer, monkeypatch):
    def verify(claims):
        if claims.get("tier") != "gold":
            raise error

    assert ask({"tier": "gold"}, monkeypatch, verify_claims=verify).answer is Answer.VERIFIED
    outcome = ask({"tier": "tin"}, monkeypatch, verify_claims=verify)
    assert outcome.answer is answer
    assert "planted" not in str(outcome.error)


@both
@pytest.mark.parametrize("said", [False, True, 0, "no"])
def test_verify_claims_that_answers_is_a_bug_for_false_is_meant_to_refuse(ask, said, monkeypatch):
    assert ask({}, monkeypatch, verify_claims=lambda claims: said).answer is Answer.BUG


def test_functions_of_the_application_see_no_claims_that_are_not_verified():
    seen = []
    options = {"verify_claims": lambda claims: seen.append(claims), "username": lambda claims: seen.append(claims)}
    options["revoked"] = lambda claims: seen.append(claims)
    provider = JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, **options)
    forged = token("HS256", key="x" * 64)
    request = make_request({"Authorization": f"Bearer {forged}"})
    assert Chain([("jwt", provider)], None).authenticate(request).answer is Answer.WRONG_CREDENTIALS
    assert seen == []


@both
def test_a_function_of_the_application_cannot_change_what_is_kept(ask, monkeypatch):
    def change(claims):
        claims["admin"] = True

    outcome = ask({}, monkeypatch, verify_claims=change)
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert "TypeError" in str(outcome.error)


@both
def test_the_name_may_be_found_by_a_function(ask, monkeypatch):
    options = {"username": lambda claims: claims["email"].partition("@")[0] if "email" in claims else None}
    assert ask({"email": "carol@example.org"}, monkeypatch, **options).identity.user.username == "carol"
    for said in ({}, {"email": None}, {"email": 7}, {"email": "@example.org"}, {"email": "a\nb@x"}):
        assert ask(said, monkeypatch, **options).answer is Answer.WRONG_CREDENTIALS


@both
@pytest.mark.parametrize("name", ["groups", "scope", "client_id", "jti", "nbf", "iat", "typ", "cnf", "events", "type"])
def test_a_claim_that_is_null_was_not_said(ask, name, monkeypatch):
    outcome = ask({name: None}, monkeypatch, roles_claim="groups")
    assert outcome.answer is Answer.VERIFIED
    assert name not in outcome.identity.claims


@both
@pytest.mark.parametrize("groups", [None, "", [], [""], [None], ["", None]], ids=repr)
def test_users_without_groups_get_in_without_roles(ask, groups, monkeypatch):
    assert ask({"groups": groups}, monkeypatch, roles_claim="groups").identity.user.roles == frozenset()
    nested = ask({"realm": {"roles": groups}}, monkeypatch, roles_claim="realm.roles")
    assert nested.identity.user.roles == frozenset()
    assert ask({"realm": None}, monkeypatch, roles_claim="realm.roles").identity.user.roles == frozenset()


@pytest.mark.parametrize("name", ["exp", "sub", "iss", "aud"])
def test_what_is_required_of_a_jwt_must_not_be_null(name, monkeypatch):
    assert ask_jwt({name: None}, monkeypatch).answer is Answer.WRONG_CREDENTIALS


@pytest.mark.parametrize("permissions", [7, {"read": True}, [{"rsname": "x"}], [7, "read"]], ids=repr)
def test_permissions_of_another_shape_give_no_scopes_unless_they_were_asked_for(permissions, monkeypatch):
    found = ask_jwt({"permissions": permissions, "scope": "a"}, monkeypatch).identity.scopes
    assert found == ({"a", "read"} if permissions == [7, "read"] else {"a"})
    outcome = ask_jwt({"permissions": permissions}, monkeypatch, scope_claims="permissions")
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert "'permissions'" in str(outcome.error)


def test_a_subject_that_is_a_number_is_no_name(monkeypatch):
    outcome = ask_jwt({"sub": 7}, monkeypatch)
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert str(outcome.error) == "a token whose 'sub' is no name of a user"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"required_claims": ["typ"]}, "required_claims must be a mapping"),
        ({"required_claims": {"": "x"}}, "a claim of required_claims"),
        ({"required_claims": {7: "x"}}, "a claim of required_claims"),
        ({"required_claims": {"typ": None}}, "required_claims\\['typ'\\] must be"),
        ({"required_claims": {"typ": []}}, "empty"),
        ({"required_claims": {"typ": [None]}}, "required_claims\\['typ'\\] must be"),
        ({"required_claims": {"typ": {"a": 1}}}, "required_claims\\['typ'\\] must be"),
        ({"required_claims": {"typ": b"access"}}, "required_claims\\['typ'\\] must be"),
        ({"required_claims": {"typ": lambda: True}}, "must take"),
        ({"verify_claims": "no"}, "verify_claims must be a function"),
        ({"revoked": []}, "revoked must be a function"),
    ],
)
def test_an_argument_that_cannot_be_is_told_at_once(options, told):
    with pytest.raises(ConfigurationError, match=told):
        JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, **options)


async def _async(claims):
    return None


def test_a_coroutine_would_refuse_nobody():
    for what in ("verify_claims", "revoked", "username"):
        with pytest.raises(ConfigurationError, match=f"{what}.*async"):
            JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, **{what: _async})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each), max_leaves=4))
def test_whatever_a_claim_of_kind_says_it_is_good_or_refused_and_no_bug(value):
    rules = make_token_rules(None, None, None)
    for claim in ("typ", "token_use", "token_type", "type"):
        with contextlib.suppress(BadCredentialsError):
            rules.check({claim: value})


def test_of_a_long_kind_the_end_is_looked_at_alone():
    rules = make_token_rules(None, None, None)
    for kind in ("jwt" * 20_000 + "x", "token" * 12_000, ":" * 60_000):
        rules.check({"typ": kind})
    with pytest.raises(BadCredentialsError, match="typ"):
        rules.check({"typ": "urn:" + "x" * 60_000 + ":refresh_token"})
