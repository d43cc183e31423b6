"""Where tokens travel: behind another scheme of Authorization, as clients of other libraries send them; how long they are."""

import pytest
from helpers import FAST, KEY, SECRET_KEY, api_key, basic, bearer, new_who, secured, with_key
from jwt_tokens import AUDIENCE, ISSUER, SECRET, claims, join, token

from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator, TokenAuthenticator
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.errors import ConfigurationError


def make_jwt(**options):
    return JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, **options)


def make_key(scheme):
    provider = HeaderApiKeyAuthenticator("Authorization", scheme=scheme)
    provider.register_key(KEY, "alice")
    return provider, KEY


def make_token(scheme):
    provider = TokenAuthenticator(SECRET_KEY, scheme=scheme)
    return provider, provider.generate_auth_token("alice")


def make_foreign(scheme):
    return make_jwt(scheme=scheme), token("HS256")


@pytest.mark.parametrize("make", [make_key, make_token, make_foreign])
@pytest.mark.parametrize("scheme", ["Token", "JWT", "Bearer"])
def test_the_scheme_is_the_applications_choice_and_no_other_is_read(make, scheme):
    provider, credentials = make(scheme)
    client = secured(new_who(), providers=[provider])[0].test_client()

    def ask(sent):
        return client.get("/who", headers={"Authorization": f"{sent} {credentials}"})

    for sent in (scheme, scheme.lower(), scheme.upper(), f"{scheme}  "):
        assert ask(sent).json["user"] == "alice"
    for sent in ({"Token", "JWT", "Bearer"} - {scheme}) | {"Basic", scheme + "x", ""}:
        answer = ask(sent)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith(f'{scheme} realm="api"')


def test_an_error_of_rfc_6750_is_said_for_bearer_tokens_alone():
    for scheme, told in (("Bearer", 'Bearer realm="api", error="invalid_token"'), ("Token", 'Token realm="api"')):
        client = secured(new_who(), providers=[make_jwt(scheme=scheme)])[0].test_client()
        answer = client.get("/who", headers={"Authorization": f"{scheme} x.y.z"})
        assert answer.headers["WWW-Authenticate"] == told


def test_two_schemes_of_one_header_stand_in_one_chain():
    chain = [make_key("Token")[0], make_foreign("JWT")[0], PasswordAuthenticator(password_hasher=FAST)]
    client = secured(new_who(), providers=chain)[0].test_client()
    sent = [f"Token {KEY}", f"JWT {token('HS256')}", basic("bob", "builder")["Authorization"]]
    found = [client.get("/who", headers={"Authorization": each}).json for each in sent]
    assert [(each["user"], each["provider"]) for each in found] == [
        ("alice", "api-key"),
        ("alice", "jwt"),
        ("bob", "password"),
    ]


def test_an_api_key_without_a_scheme_is_read_as_before():
    client = secured(new_who(), providers=[api_key()])[0].test_client()
    assert client.get("/who", headers=with_key()).status_code == 200
    assert client.get("/who", headers={"Authorization": f"Token {KEY}"}).status_code == 401


@pytest.mark.parametrize("make", [make_jwt, lambda **options: TokenAuthenticator(SECRET_KEY, **options)])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scheme": ""}, "scheme must be a word"),
        ({"scheme": "To ken"}, "scheme must be a word"),
        ({"scheme": None}, "scheme must be a word"),
        ({"scheme": "Basic"}, "no tokens"),
        ({"scheme": "negotiate"}, "no tokens"),
        ({"scheme": "Token", "header": "X-Token"}, "X-Token carries the bare token"),
    ],
)
def test_what_is_no_scheme_is_told_at_once(make, options, told):
    with pytest.raises(ConfigurationError, match=told):
        make(**options)


def test_so_it_is_for_other_providers():
    with pytest.raises(ConfigurationError, match="scheme must be a word"):
        IntrospectionAuthenticator("https://x.example/", client_id="a", client_secret="b", scheme="a b")
    with pytest.raises(ConfigurationError, match="needs header='Authorization'"):
        HeaderApiKeyAuthenticator(scheme="Token")


def test_how_long_a_token_may_be_is_an_argument():
    long = token("HS256", groups=[f"group-{number:040}" for number in range(180)])
    assert 8_192 < len(long) < 16_384
    for options, status in (({}, 401), ({"max_token_bytes": 16_384}, 200)):
        client = secured(new_who(), providers=[make_jwt(**options)])[0].test_client()
        assert client.get("/who", headers=bearer(long)).status_code == status
        assert client.get("/who", headers=bearer(token("HS256"))).status_code == 200
    for wrong in (0, 255, 65_537, True, "8192", None):
        with pytest.raises(ConfigurationError, match="max_token_bytes"):
            make_jwt(max_token_bytes=wrong)


def test_what_another_client_sends_as_null_in_the_header_was_not_said():
    client = secured(new_who(), providers=[make_jwt()])[0].test_client()
    for header, status in (({"typ": None, "kid": None}, 200), ({"crit": None}, 401), ({"alg": None}, 401)):
        sent = join({"alg": "HS256", **header}, claims(), algorithm="HS256")
        assert client.get("/who", headers=bearer(sent)).status_code == status
