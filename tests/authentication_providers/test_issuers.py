"""Tokens in the form in which well-known issuers write them, and what ``docs/issuers.rst`` says to take them with.

Names, keys and ids are made up; which claims there are, and of which type, is as the issuers document it.
"""

import json
import re
import textwrap
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import bearer
from jwt_tokens import FUTURE, PAST, join, jwk, new_key

from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BackendError
from flask_securest.protocols.http.fetch import Fetched
from flask_securest.testing import make_request

DOCS = Path(__file__).parents[2] / "docs" / "issuers.rst"
KEY, OTHER = new_key("RSA"), new_key("RSA", 1)
TENANT, OTHER_TENANT = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
TIMES = {"iat": PAST, "exp": FUTURE}
CHAIN = ["MIIC/zCCAeegAwIBAgIJSYNTHETIC"]  # a certificate that nobody reads

V2, V1 = f"https://login.microsoftonline.com/{TENANT}/v2.0", f"https://sts.windows.net/{TENANT}/"


class Issued(NamedTuple):
    """Hold a token of an issuer, where its keys are, who the user is, and a change that must be refused."""

    claims: dict
    jwks_uri: str
    username: str
    changed: dict
    roles: tuple = ()
    header: dict = {"typ": "JWT"}  # noqa: RUF012
    members: dict = {"use": "sig", "alg": "RS256"}  # noqa: RUF012


ISSUED = {
    "auth0": Issued(
        {
            "iss": "https://example.eu.auth0.com/",
            "sub": "auth0|507f1f77bcf86cd799439011",
            "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"],
            "azp": "my_client_id",
            "scope": "openid profile read:todos",
            "permissions": ["read:todos"],
        },
        "https://example.eu.auth0.com/.well-known/jwks.json",
        "auth0|507f1f77bcf86cd799439011",
        {"aud": ["https://example.eu.auth0.com/userinfo"]},
        members={"use": "sig", "alg": "RS256", "x5t": "QzQ", "x5c": CHAIN},
    ),
    "keycloak": Issued(
        {
            "jti": "onrtac:7d3b",
            "iss": "https://keycloak.example.com/realms/staff",
            "aud": ["todo-api", "account"],
            "sub": "2f1c6e0e-5d4e-4a2c",
            "typ": "Bearer",
            "azp": "web",
            "sid": "b7",
            "acr": "1",
            "allowed-origins": ["https://web.example.com"],
            "realm_access": {"roles": ["offline_access", "admin"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "profile email",
            "email_verified": True,
            "preferred_username": "alice",
        },
        "https://keycloak.example.com/realms/staff/protocol/openid-connect/certs",
        "2f1c6e0e-5d4e-4a2c",
        {"typ": "ID"},
        roles=("admin", "offline_access"),
        members={"use": "sig", "alg": "RS256", "x5c": CHAIN, "x5t": "a", "x5t#S256": "b"},
    ),
    "entra": Issued(
        {
            "aud": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "iss": V2,
            "nbf": PAST,
            "aio": "AXQAi/8",
            "azp": "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee",
            "azpacr": "1",
            "name": "Alice",
            "oid": "0d0d0d0d-1111",
            "preferred_username": "alice@example.com",
            "rh": "0.AXkA",
            "roles": ["Todo.Admin"],
            "scp": "access_as_user",
            "sub": "HKZpfaHyWadeOouYlitjrI",
            "tid": TENANT,
            "uti": "FqSQ",
            "ver": "2.0",
        },
        f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        "0d0d0d0d-1111",
        {"iss": V2.replace(TENANT, OTHER_TENANT)},
        roles=("Todo.Admin",),
        members={"use": "sig", "x5t": "nOo3", "x5c": CHAIN, "issuer": V2},
    ),
    "entra_1": Issued(
        {
            "aud": "api://aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "iss": V1,
            "nbf": PAST,
            "acr": "1",
            "amr": ["pwd"],
            "appid": "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee",
            "appidacr": "0",
            "ipaddr": "192.0.2.1",
            "oid": "0d0d0d0d-1111",
            "scp": "access_as_user",
            "sub": "l3_roISQU222bULS9yi2k0XpqpOiMz5H3ZACo1GeXA",
            "tid": TENANT,
            "unique_name": "alice@example.com",
            "upn": "alice@example.com",
            "ver": "1.0",
        },
        f"https://login.microsoftonline.com/{TENANT}/discovery/keys",
        "0d0d0d0d-1111",
        {"aud": "00000003-0000-0000-c000-000000000000"},
        members={"use": "sig", "x5t": "nOo3", "x5c": CHAIN},
    ),
    "okta": Issued(
        {
            "ver": 1,
            "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
            "iss": "https://example.okta.com/oauth2/default",
            "aud": "api://default",
            "cid": "0oa1example",
            "uid": "00u1example",
            "scp": ["openid", "todos:read"],
            "auth_time": PAST,
            "sub": "alice@example.com",
            "groups": ["Everyone"],
        },
        "https://example.okta.com/oauth2/default/v1/keys",
        "00u1example",
        {"aud": "0oa1example"},
        roles=("Everyone",),
        header={},
    ),
    "cognito": Issued(
        {
            "sub": "aaaaaaaa-bbbb-cccc-dddd-example",
            "cognito:groups": ["admins"],
            "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example",
            "version": 2,
            "client_id": "1example23456789",
            "origin_jti": "o",
            "event_id": "e",
            "token_use": "access",
            "scope": "todos/read",
            "auth_time": PAST,
            "jti": "j",
            "username": "alice",
        },
        "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example/.well-known/jwks.json",
        "aaaaaaaa-bbbb-cccc-dddd-example",
        {"token_use": "id", "aud": "1example23456789"},
        roles=("admins",),
        header={},
    ),
    "google": Issued(
        {
            "iss": "https://accounts.google.com",
            "azp": "robot@example.iam.gserviceaccount.com",
            "aud": "https://api.example.com",
            "sub": "113",
            "hd": "example.com",
            "email": "alice@example.com",
            "email_verified": True,
        },
        "https://www.googleapis.com/oauth2/v3/certs",
        "113",
        {"email_verified": False},
    ),
    "firebase": Issued(
        {
            "iss": "https://securetoken.google.com/example-project",
            "aud": "example-project",
            "auth_time": PAST,
            "user_id": "u1",
            "sub": "u1",
            "email": "alice@example.com",
            "email_verified": False,
            "firebase": {"identities": {"email": ["alice@example.com"]}, "sign_in_provider": "password"},
        },
        "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        "u1",
        {"aud": "another-project"},
    ),
    "gitlab": Issued(
        {
            "namespace_id": "72",
            "namespace_path": "platform",
            "project_id": "20",
            "project_path": "platform/deploy",
            "user_id": "1",
            "user_login": "alice",
            "user_access_level": "owner",
            "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
            "pipeline_source": "push",
            "job_id": "302",
            "ref": "main",
            "ref_type": "branch",
            "ref_path": "refs/heads/main",
            "ref_protected": "true",
            "groups_direct": None,
            "environment": None,
            "jti": "235b3a54",
            "iss": "https://gitlab.example.com",
            "nbf": PAST,
            "sub": "project_path:platform/deploy:ref_type:branch:ref:main",
            "aud": "https://api.example.com",
        },
        "https://gitlab.example.com/oauth/discovery/keys",
        "platform/deploy",
        {"ref_protected": "false"},
    ),
    "github": Issued(
        {
            "jti": "example-id",
            "sub": "repo:example-org/deploy:ref:refs/heads/main",
            "aud": "https://api.example.com",
            "ref": "refs/heads/main",
            "sha": "example-sha",
            "repository": "example-org/deploy",
            "repository_owner": "example-org",
            "repository_visibility": "private",
            "actor": "alice",
            "workflow": "deploy",
            "head_ref": "",
            "base_ref": "",
            "event_name": "push",
            "ref_type": "branch",
            "run_id": "42",
            "iss": "https://token.actions.githubusercontent.com",
            "nbf": PAST,
        },
        "https://token.actions.githubusercontent.com/.well-known/jwks",
        "example-org/deploy",
        {"repository_owner": "somebody-else"},
        members={"use": "sig", "alg": "RS256", "x5c": CHAIN, "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE"},
    ),
    "kubernetes": Issued(
        {
            "aud": ["https://api.example.com"],
            "iss": "https://kubernetes.default.svc.cluster.local",
            "jti": "ea28ed49",
            "kubernetes.io": {
                "namespace": "shop",
                "node": {"name": "node-1", "uid": "u"},
                "pod": {"name": "web-1", "uid": "u"},
                "serviceaccount": {"name": "web", "uid": "u"},
                "warnafter": FUTURE,
            },
            "nbf": PAST,
            "sub": "system:serviceaccount:shop:web",
        },
        "https://kubernetes.default.svc/openid/v1/jwks",
        "system:serviceaccount:shop:web",
        {"aud": ["https://kubernetes.default.svc.cluster.local"]},
        header={},
    ),
    "adfs": Issued(
        {
            "aud": "microsoft:identityserver:todo-api",
            "iss": "http://adfs.example.com/adfs/services/trust",
            "sub": "alice-id",
            "apptype": "Public",
            "appid": "web",
            "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            "auth_time": "2026-11-27T10:00:00.000Z",
            "ver": "1.0",
            "scp": "openid todos",
        },
        "https://adfs.example.com/adfs/discovery/keys",
        "alice-id",
        {"iss": "https://adfs.example.com/adfs"},
        header={"typ": "JWT", "x5t": "1"},
        members={"use": "sig", "alg": "RS256", "x5t": "1", "x5c": CHAIN},
    ),
}


def providers_of_the_documentation():
    """Return what the code blocks of the page define, by name."""
    found = {}
    for block in re.findall(r"\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", DOCS.read_text()):
        exec(textwrap.dedent(block), found)  # our own documentation
    return found


def documents_of(issued):
    """Return what the issuer publishes, by URL."""
    issuer = issued.claims["iss"]
    return {
        f"{issuer.rstrip('/')}/.well-known/openid-configuration": {
            "issuer": issuer,
            "jwks_uri": issued.jwks_uri,
            "authorization_endpoint": f"{issuer}/authorize",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": None,
        },
        issued.jwks_uri: {"keys": [jwk(OTHER, kid="former", **issued.members), jwk(KEY, kid="one", **issued.members)]},
    }


@pytest.fixture(autouse=True)
def _published(monkeypatch):
    documents = {}
    for issued in ISSUED.values():
        documents.update(documents_of(issued))

    def fetch(url, options, **_):
        if url not in documents:
            raise BackendError(f"{url} is not published")
        return Fetched(json.dumps(documents[url]).encode(), Message())

    monkeypatch.setattr("flask_securest.protocols.jwt.document.fetch", fetch)


def ask(provider, claims, header, key=KEY):
    sent = join({"alg": "RS256", "kid": "one", **header}, {**TIMES, **claims}, key=key)
    return Chain([("issuer", provider)], None).authenticate(make_request(bearer(sent)))


@pytest.mark.parametrize("name", ISSUED)
def test_what_the_documentation_says_takes_the_token_and_refuses_it_with_one_claim_changed(name):
    issued, provider = ISSUED[name], providers_of_the_documentation()[name]
    outcome = ask(provider, issued.claims, issued.header)
    assert outcome.answer is Answer.VERIFIED, outcome.error
    assert outcome.identity.user.username == issued.username
    assert outcome.identity.user.roles == set(issued.roles)
    refused = ask(provider, {**issued.claims, **issued.changed}, issued.header)
    assert refused.answer is Answer.WRONG_CREDENTIALS
    assert ask(provider, issued.claims, issued.header, key=OTHER).answer is Answer.WRONG_CREDENTIALS


def test_every_issuer_of_the_documentation_has_a_token_here():
    made = providers_of_the_documentation()
    named = {name for name, value in made.items() if type(value).__name__ == "JWTAuthenticator"}
    assert named == {*ISSUED, "both"}
    for name in ("auth0", "keycloak"):
        outcome = ask(made["both"], ISSUED[name].claims, ISSUED[name].header)
        assert outcome.identity.origin == f"issuer:{ISSUED[name].claims['iss']}"


def test_no_issuer_takes_the_token_of_another_one():
    made = providers_of_the_documentation()
    for name in ISSUED:
        for other, issued in ISSUED.items():
            if other != name:
                assert ask(made[name], issued.claims, issued.header).answer is Answer.WRONG_CREDENTIALS, (name, other)
