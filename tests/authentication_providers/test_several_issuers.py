"""Several issuers in one provider: a list, or a template and its tenants."""

import pytest
from helpers import bearer, make_userstore, new_who, secured
from jwt_tokens import AUDIENCE, SECRET, jwk, jwks, new_key, pem, token
from servers.scripted_http import scripted_server

from flask_securest import current_identity
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import ConfigurationError
from flask_securest.testing import AuthenticationProviderContract, make_request

ONE, TWO = "https://one.example", "https://two.example"
KEY, OTHER = new_key("RSA"), new_key("RSA", 1)
KEYS = {ONE: jwks(jwk(KEY, kid="one")), TWO: jwks(jwk(OTHER, kid="one"))}


def make(**options):
    options = {"algorithms": ["RS256"], "issuer": [ONE, TWO], "audience": AUDIENCE, "jwks": KEYS, **options}
    return JWTAuthenticator(**options)


def ask(provider, sent, userstore=None):
    return Chain([("jwt", provider)], userstore).authenticate(make_request(bearer(sent)))


class TestSeveralIssuersKeepTheContract(AuthenticationProviderContract):
    SECRETS = (SECRET,)
    _store = make_userstore()

    def make_provider(self):
        keys = {ONE: SECRET, TWO: "x" * 64}
        return make(jwks=None, key=keys, algorithms=["HS256"], username=lambda claims: claims["sub"])

    def make_userstore(self):
        return self._store

    def good_headers(self, provider):
        return bearer(token("HS256", iss=ONE))

    def wrong_headers(self, provider):
        for sent in (token("HS256", iss=TWO), token("HS256"), token("HS256", iss=ONE, key="x" * 64), "x", "x.y.z"):
            yield bearer(sent)


def test_each_issuer_signs_with_its_own_keys_and_never_with_those_of_another_one():
    provider = make()
    for issuer, key, answer in (
        (ONE, KEY, Answer.VERIFIED),
        (TWO, OTHER, Answer.VERIFIED),
        (ONE, OTHER, Answer.WRONG_CREDENTIALS),
        (TWO, KEY, Answer.WRONG_CREDENTIALS),
        ("https://three.example", KEY, Answer.WRONG_CREDENTIALS),
        (ONE + "/", KEY, Answer.WRONG_CREDENTIALS),
        ([ONE], KEY, Answer.WRONG_CREDENTIALS),
        ({}, KEY, Answer.WRONG_CREDENTIALS),
        (None, KEY, Answer.WRONG_CREDENTIALS),
    ):
        assert ask(provider, token(key=key, iss=issuer)).answer is answer, (issuer, answer)


@pytest.mark.parametrize(
    ("source", "algorithms"),
    [({"key": {ONE: pem(KEY), TWO: pem(OTHER)}}, ["RS256"]), ({"key": {ONE: SECRET, TWO: "x" * 64}}, ["HS256"])],
    ids=["public", "shared"],
)
def test_so_it_is_with_single_keys(source, algorithms):
    provider = make(jwks=None, algorithms=algorithms, **source)
    keys = [KEY, OTHER] if algorithms == ["RS256"] else [SECRET, "x" * 64]
    found = [
        ask(provider, token(algorithms[0], key=key, iss=issuer)).answer is Answer.VERIFIED
        for key in keys
        for issuer in (ONE, TWO)
    ]
    assert found == [True, False, False, True]


def test_by_discovery_each_issuer_is_asked_for_its_own_keys_and_only_when_its_tokens_come():
    with scripted_server() as server:
        issuers = [f"{server.url}/{name}" for name in ("one", "two")]
        for issuer, key in zip(issuers, (KEY, OTHER), strict=True):
            path = issuer.removeprefix(server.url)
            document = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            server.answer_json(f"{path}/.well-known/openid-configuration", document)
            server.answer_json(f"{path}/keys", jwks(jwk(key, kid="one")))
        provider = make(issuer=issuers, jwks=None, discovery=True, allow_http=True)
        assert ask(provider, token(key=KEY, iss=issuers[0])).answer is Answer.VERIFIED
        assert set(server.counts) == {"/one/.well-known/openid-configuration", "/one/keys"}
        assert ask(provider, token(key=KEY, iss=issuers[1])).answer is Answer.WRONG_CREDENTIALS
        assert ask(provider, token(key=OTHER, iss=issuers[1])).answer is Answer.VERIFIED


def test_an_issuer_that_is_down_stops_nobody_of_another_one():
    with scripted_server() as server:
        server.answer_json("/two", KEYS[TWO])
        urls = {ONE: f"{server.url}/none", TWO: f"{server.url}/two"}
        provider = make(jwks=None, jwks_url=urls, allow_http=True)
        assert ask(provider, token(key=KEY, iss=ONE)).answer is Answer.BACKEND_DOWN
        assert ask(provider, token(key=OTHER, iss=TWO)).answer is Answer.VERIFIED


TEMPLATE = "https://login.example/{tenantid}/v2.0"


def test_a_template_stands_for_the_tenants_that_are_listed_and_for_no_other():
    with scripted_server() as server:
        for tenant, key in (("a-1", KEY), ("b-2", OTHER)):
            server.answer_json(f"/{tenant}/keys", jwks(jwk(key, kid="one")))
        provider = make(
            issuer=TEMPLATE,
            tenants=["a-1", "b-2"],
            jwks=None,
            jwks_url={TEMPLATE.replace("{tenantid}", each): f"{server.url}/{each}/keys" for each in ("a-1", "b-2")},
            allow_http=True,
        )
        for tenant, key, answer in (
            ("a-1", KEY, Answer.VERIFIED),
            ("b-2", OTHER, Answer.VERIFIED),
            ("a-1", OTHER, Answer.WRONG_CREDENTIALS),
            ("c-3", KEY, Answer.WRONG_CREDENTIALS),
            ("{tenantid}", KEY, Answer.WRONG_CREDENTIALS),
        ):
            sent = token(key=key, iss=TEMPLATE.replace("{tenantid}", tenant))
            assert ask(provider, sent).answer is answer


def test_a_jwks_url_may_be_a_template_too():
    with scripted_server() as server:
        server.answer_json("/a-1/keys", jwks(jwk(KEY, kid="one")))
        url = f"{server.url}/{{tenantid}}/keys"
        provider = make(issuer=TEMPLATE, tenants=["a-1"], jwks=None, jwks_url=url, allow_http=True)
        sent = token(key=KEY, iss=TEMPLATE.replace("{tenantid}", "a-1"))
        assert ask(provider, sent).answer is Answer.VERIFIED


def test_without_a_userstore_a_user_is_of_its_issuer():
    for options, issuer, origin in (
        ({}, ONE, f"jwt:{ONE}"),
        ({}, TWO, f"jwt:{TWO}"),
        ({"issuer": [ONE], "jwks": {ONE: KEYS[ONE]}}, ONE, f"jwt:{ONE}"),
        ({"issuer": ONE, "jwks": KEYS[ONE]}, ONE, "jwt"),
    ):
        sent = token(key=KEY if issuer == ONE else OTHER, iss=issuer)
        assert ask(make(**options), sent).identity.origin == origin


def test_under_another_name_it_is_still_of_its_issuer():
    app, _, _ = secured(
        new_who(get=lambda self: {"origin": current_identity.origin}),
        providers=[make(name="sso")],
        userstore=None,
    )
    client = app.test_client()
    assert client.get("/who", headers=bearer(token(key=OTHER, iss=TWO))).json == {"origin": f"sso:{TWO}"}


def test_a_userstore_needs_to_know_which_alice_is_meant():
    app, _, _ = secured(new_who(), providers=[make()])
    assert app.test_client().get("/who", headers=bearer(token(key=KEY, iss=ONE))).status_code == 500
    with pytest.raises(ConfigurationError, match=r"several issuers and a userstore.*username="):
        make().check_configuration(make_userstore())
    names = {(ONE, "alice"): "alice", (TWO, "alice"): "bob"}
    provider = make(username=lambda claims: names.get((claims["iss"], claims["sub"])))
    client = secured(new_who(), providers=[provider])[0].test_client()
    for key, issuer, subject, found in (
        (KEY, ONE, "alice", {"user": "alice", "provider": "jwt"}),
        (OTHER, TWO, "alice", {"user": "bob", "provider": "jwt"}),
        (OTHER, TWO, "bob", None),
    ):
        answer = client.get("/who", headers=bearer(token(key=key, iss=issuer, sub=subject)))
        assert (answer.json if answer.status_code == 200 else None) == found


def test_one_issuer_in_a_list_needs_no_function_and_its_users_are_those_of_the_userstore():
    provider = make(issuer=[ONE], jwks={ONE: KEYS[ONE]})
    found = ask(provider, token(key=KEY, iss=ONE), make_userstore()).identity
    assert (found.origin, found.user.roles) == (None, {"admin"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"jwks": KEYS[ONE]}, "jwks must be a mapping of each issuer to its own"),
        ({"jwks": {ONE: KEYS[ONE]}}, "jwks must be a mapping of each issuer to its own"),
        ({"jwks": {**KEYS, "https://three.example": KEYS[ONE]}}, "jwks must be a mapping of each issuer"),
        ({"jwks": None, "jwks_url": "https://one.example/keys"}, "jwks_url must be a mapping of each issuer"),
        ({"jwks": None, "key": SECRET, "algorithms": ["HS256"]}, "key must be a mapping of each issuer"),
        ({"allow_any_issuer": True}, "issuer must be given, or be None"),
        ({"tenants": ["a"]}, "issuer and tenants go together"),
        ({"issuer": ONE, "tenants": ["a"]}, "issuer and tenants go together"),
        ({"issuer": TEMPLATE}, "issuer and tenants go together"),
        ({"issuer": TEMPLATE + "{tenantid}", "tenants": ["a"]}, "issuer and tenants go together"),
        ({"issuer": TEMPLATE, "tenants": []}, "must not be empty"),
        ({"issuer": TEMPLATE, "tenants": ["a", "a"]}, "each issuer once"),
        ({"issuer": TEMPLATE, "tenants": "a"}, "tenants must be a list"),
        ({"issuer": TEMPLATE, "tenants": ["a/b"]}, "a tenant of tenants must be an id"),
        ({"issuer": TEMPLATE, "tenants": [".."]}, "a tenant of tenants must be an id"),
        ({"issuer": TEMPLATE, "tenants": ["a@evil.example"]}, "a tenant of tenants must be an id"),
        ({"issuer": TEMPLATE, "tenants": ["common"]}, "stands for those of others"),
        ({"issuer": TEMPLATE, "tenants": ["Organizations"]}, "stands for those of others"),
        ({"issuer": TEMPLATE, "tenants": [7]}, "a tenant of tenants must be a printable string"),
    ],
)
def test_an_argument_that_cannot_be_is_told_at_once(options, told):
    with pytest.raises(ConfigurationError, match=told):
        make(**options)
