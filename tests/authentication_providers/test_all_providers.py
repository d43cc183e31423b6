"""All providers in one chain on one Api: every combination of right and wrong credentials, against real servers."""

import itertools

import pytest
from helpers import FAST, KEY, SECRET_KEY, basic, new_who, secured
from jwt_tokens import AUDIENCE, ISSUER, jwk, jwks, key_for, token
from servers.issuer import API, API_SECRET, running_issuer
from servers.kdc import REALM, SERVICE, make_token, negotiate

from flask_securest import User
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator, ProxyHeaders
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.authentication_providers.kerberos import KerberosAuthenticator
from flask_securest.keystores import SimpleKeystore
from flask_securest.userstores import SimpleUserstore

USERS = SimpleUserstore([User("alice", FAST.hash("wonderland")), User("left", FAST.hash("x"), active=False)])

CERTIFICATE = {"X-SSL-Client-Verify": "SUCCESS", "X-SSL-Client-DN": "CN=alice,O=Example", "X-SSL-Client-Cert": ""}


class Everything:
    """Hold an Api with all providers, and credentials of each kind."""

    def __init__(self, kdc, issuer):
        self.kdc, self.issuer = kdc, issuer
        keystore = SimpleKeystore()
        keys = HeaderApiKeyAuthenticator(keystore=keystore)
        keys.register_key(KEY, "ci")
        tokens = TokenAuthenticator(SECRET_KEY)
        self.providers = [
            keys,
            ClientCertificateAuthenticator(
                source=ProxyHeaders(["127.0.0.1"], single_header=True), attribute="CN", name="certificate"
            ),
            PasswordAuthenticator(password_hasher=FAST),
            tokens,
            JWTAuthenticator(
                algorithms=["RS256"],
                issuer=ISSUER,
                audience=AUDIENCE,
                jwks=jwks(jwk(key_for("RS256"), kid="one")),
            ),
            IntrospectionAuthenticator(
                issuer.introspection_url,
                client_id=API,
                client_secret=API_SECRET,
                username_claim=("username", "sub"),
                allow_http=True,
                timeout=2,
            ),
            KerberosAuthenticator(principal=f"{SERVICE}@{REALM}", keytab=kdc.keytab),
        ]
        app, _, _ = secured(new_who(), providers=self.providers, userstore=USERS)
        self.client = app.test_client()
        opaque = issuer.token(username="alice")
        bearer = "Bearer {}".format
        forged = token(key=key_for("RS256", which=1))
        self.in_api_key = {
            "none": {},
            "right": {"X-API-Key": KEY},
            "wrong": {"X-API-Key": "wrong"},
            "disabled": {"X-API-Key": keystore.issue(owner=USERS.get_user("left")).text},
        }
        self.in_certificate = {
            "none": {"X-SSL-Client-Verify": "NONE"},
            "right": CERTIFICATE,
            "wrong": CERTIFICATE | {"X-SSL-Client-Verify": "FAILED:expired"},
            "disabled": CERTIFICATE | {"X-SSL-Client-DN": "CN=left,O=Example"},
        }
        # Each with a function, for a ticket is good once.
        self.in_authorization = {
            ("none", None): dict,
            ("right", "password"): lambda: basic("alice", "wonderland"),
            ("wrong", "password"): lambda: basic("alice", "wrong"),
            ("disabled", "password"): lambda: basic("left", "x"),
            ("right", "token"): lambda: {"Authorization": bearer(tokens.generate_auth_token("alice"))},
            ("wrong", "token"): lambda: {"Authorization": bearer(tokens.generate_auth_token("alice")[:-4] + "AAAA")},
            ("disabled", "token"): lambda: {"Authorization": bearer(tokens.generate_auth_token("left"))},
            ("right", "jwt"): lambda: {"Authorization": bearer(token())},
            ("wrong", "jwt"): lambda: {"Authorization": bearer(forged)},
            ("disabled", "jwt"): lambda: {"Authorization": bearer(token(sub="left"))},
            ("right", "introspection"): lambda: {"Authorization": bearer(opaque)},
            ("wrong", "introspection"): lambda: {"Authorization": bearer(opaque[:-2] + "xx")},
            ("right", "kerberos"): lambda: negotiate(make_token(kdc.alice)[0]),
            ("wrong", "kerberos"): lambda: negotiate(b"no ticket"),
        }


@pytest.fixture(scope="module")
def everything(kdc, issuer):
    return Everything(kdc, issuer)


def expected_of(api_key, certificate, authorization):
    """Return status and provider, as the table of answers says: the first right one, unless one has stopped before."""
    kind, provider = authorization
    for state, name in ((api_key, "api-key"), (certificate, "certificate"), (kind, provider)):
        if state == "right":
            return 200, name
        if state == "disabled":
            return 401, None
    return 401, None


CHALLENGES = ["ApiKey", "Basic", "Bearer", "Negotiate"]


@pytest.mark.parametrize("api_key", ["none", "right", "wrong", "disabled"])
@pytest.mark.parametrize("certificate", ["none", "right", "wrong", "disabled"])
def test_every_combination_gives_what_the_table_of_answers_says(everything, api_key, certificate):
    for authorization, make in everything.in_authorization.items():
        headers = everything.in_api_key[api_key] | everything.in_certificate[certificate] | make()
        answer = everything.client.get("/who", headers=headers)
        status, provider = expected_of(api_key, certificate, authorization)
        assert answer.status_code == status, (api_key, certificate, authorization)
        if status == 200:
            assert answer.json == {"user": "ci" if provider == "api-key" else "alice", "provider": provider}
        else:
            assert answer.json == {"message": "Unauthorized User"}
            schemes = [challenge.partition(" ")[0] for challenge in answer.headers.getlist("WWW-Authenticate")]
            # The union, in the chain's order; equal ones once, for three providers ask for a bearer token.
            assert schemes == CHALLENGES


def test_while_the_issuer_is_down_it_is_503_unless_somebody_else_succeeds_or_stops(kdc, tmp_path):
    with running_issuer(tmp_path) as own:
        everything = Everything(kdc, own)
        unknown = {"Authorization": f"Bearer {own.token(username='alice')}"}
        own.stop()
        ask = everything.client.get
        assert ask("/who", headers=unknown).status_code == 503
        assert ask("/who", headers=unknown | everything.in_api_key["right"]).status_code == 200
        assert ask("/who", headers=unknown | everything.in_api_key["wrong"]).status_code == 503
        assert ask("/who", headers=unknown | everything.in_api_key["disabled"]).status_code == 401
        for kind in ("password", "token", "jwt", "kerberos"):
            assert ask("/who", headers=everything.in_authorization["right", kind]()).status_code == 200, kind
        assert ask("/who").status_code == 401
        own.start()
        assert ask("/who", headers=unknown | everything.in_api_key["right"]).status_code == 200


def test_names_of_all_providers_differ_and_each_stands_in_rules_by_its_name(everything):
    names = [provider.name for provider in everything.providers]
    assert len(set(names)) == len(names) == 7
    assert all(first != second for first, second in itertools.combinations(names, 2))
