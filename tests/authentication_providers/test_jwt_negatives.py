"""Tokens that must never be good: forged, confused, truncated, re-signed, expired, for others, ambiguous, oversized.

Each goes through a real application whose provider fetches its keys from a real server that counts: it is a 401, never a
500, and does not make anybody ask the issuer unless it takes a key to see that it is wrong.
"""

import base64
import json
import zlib

import pytest
from helpers import bearer, how_many, new_who, secured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt_tokens import AUDIENCE, FUTURE, ISSUER, PAST, SECRET, b64, claims, join, jwk, jwks, new_key, pem, sign, token
from servers.scripted_http import scripted_server

from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BadCredentialsError
from flask_securest.protocols.http.headers import MAX_CREDENTIALS_BYTES
from flask_securest.protocols.jwt.format import parse_token
from flask_securest.testing import make_request

RSA, P256, ED25519 = new_key("RSA"), new_key("P-256"), new_key("Ed25519")
STRANGER, STRANGE_P256 = new_key("RSA", 9), new_key("P-256", 9)
KEYS = jwks(jwk(RSA, kid="one"), jwk(P256, kid="two"), jwk(ED25519, kid="three"), jwk(new_key("P-384"), kid="four"))
ALGORITHMS = ["RS256", "ES256", "EdDSA"]
HEAD = {"alg": "RS256", "kid": "one"}

GOOD = token()
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")
ES = token("ES256", key=P256, kid="two")
ED = token("EdDSA", key=ED25519, kid="three")


def with_header(**changes):
    return token(header=changes)


def raw(header=None, payload=None, **options):
    """Return a token whose parts are signed as they stand here."""
    return join(HEAD if header is None else header, claims() if payload is None else payload, **options)


def text_of(document):
    return json.dumps(document)[:-1]


def resigned_signature(changed):
    return changed + "." + SIGNATURE


def with_bad_bits(segment):
    """Return another spelling of the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]


def padded_to(remainder):
    """Return claims whose base64url has spare bits."""
    text = json.dumps(claims())
    while len(text) % 3 != remainder:
        text += " "
    return text


def with_signature(sent, change):
    signed, _, signature = sent.rpartition(".")
    made = base64.urlsafe_b64decode(signature + "==")
    return f"{signed}.{b64(change(made))}"


def es_signature(change):
    return with_signature(ES, change)


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def der(signature):
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


#: What is wrong with it can be seen without a key.
CHEAP = {
    # Not a signed JWT
    "nothing": "",
    "a word": "x",
    "dots": "..",
    "one segment": HEADER,
    "two segments": f"{HEADER}.{PAYLOAD}",
    "an empty signature": f"{HEADER}.{PAYLOAD}.",
    "an empty payload": f"{HEADER}..{SIGNATURE}",
    "an empty header": f".{PAYLOAD}.{SIGNATURE}",
    "four segments": f"{GOOD}.{SIGNATURE}",
    "five segments, as an encrypted token": f"{GOOD}.x.y",
    "a leading dot": f".{GOOD}",
    "two tokens": f"{GOOD},{GOOD}",
    "two tokens with a space": f"{GOOD} {GOOD}",
    "the scheme twice": f"Bearer {GOOD}",
    "a quoted token": f'"{GOOD}"',
    "the JSON serialization": json.dumps({"payload": PAYLOAD, "protected": HEADER, "signature": SIGNATURE}),
    "a token of our own": "eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.aR8x0Q." + "A" * 43,
    "percent-encoded": GOOD.replace(".", "%2E"),
    # Another spelling of the same bytes
    "padding": GOOD + "=",
    "padding in the middle": f"{HEADER}=.{PAYLOAD}.{SIGNATURE}",
    "ordinary base64": raw(payload=claims(jti="???>>>")).replace("_", "/").replace("-", "+"),
    "a NUL at the end": GOOD + "\x00",
    "a line feed inside": f"{HEADER}.\n{PAYLOAD}.{SIGNATURE}",
    "a character outside of ASCII": GOOD + "é",
    "stray bits in the signature": f"{HEADER}.{PAYLOAD}.{with_bad_bits(SIGNATURE)}",
    "stray bits in the payload": ".".join(
        [b64(json.dumps(HEAD)), with_bad_bits(b64(padded_to(1))), raw(payload=padded_to(1)).rpartition(".")[2]]
    ),
    "base64 that has been cut": f"{HEADER}.{PAYLOAD}.A",
    # Oversized
    "oversized": raw(payload=claims(more="x" * MAX_CREDENTIALS_BYTES)),
    "a megabyte": GOOD + "A" * 1_000_000,
    "deep JSON": raw(payload="[" * 5000),
    "deep JSON in an object": raw(payload='{"a":' * 1100 + "1" + "}" * 1100),
    "a number of 4000 digits": raw(payload=text_of(claims(exp=None)) + ', "exp": ' + "9" * 4000 + "}"),
    # JSON that others read otherwise
    "a header that is no JSON": raw(header="{"),
    "a header that is a list": raw(header="[]"),
    "a header that is null": raw(header="null"),
    "a payload that is no JSON": raw(payload="alice"),
    "a payload that is a list": raw(payload="[]"),
    "a payload that is a string": raw(payload='"alice"'),
    "an empty JSON payload": raw(payload="{}"),
    "JSON with something behind it": raw(payload=json.dumps(claims()) + "{}"),
    "a payload in UTF-16": raw(payload=json.dumps(claims()).encode("utf-16")),
    "a payload in UTF-32": raw(payload=json.dumps(claims()).encode("utf-32")),
    "a payload with a byte order mark": raw(payload=b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
    "a payload that is not UTF-8": raw(payload=text_of(claims(sub=None)).encode() + b', "sub": "ali\xffce"}'),
    "half a surrogate pair": raw(payload=text_of(claims(sub=None)) + r', "sub": "ali\ud800ce"}'),
    "a payload with NaN": raw(payload=text_of(claims()) + ', "x": NaN}'),
    "a payload with Infinity": raw(payload=text_of(claims(exp=None)) + ', "exp": Infinity}'),
    "a payload with a number beyond all": raw(payload=text_of(claims(exp=None)) + ', "exp": 1e999}'),
    "a number beyond all in another claim": raw(payload=text_of(claims()) + ', "x": 1e999}'),
    "single quotes": raw(payload=str(claims())),
    "sub twice": raw(payload=text_of(claims()) + ', "sub": "bob"}'),
    "exp twice": raw(payload=text_of(claims()) + f', "exp": {FUTURE + 1}}}'),
    "aud twice": raw(payload='{"aud": "urn:other", ' + json.dumps(claims())[1:]),
    "two members of one name below": raw(payload=text_of(claims()) + ', "x": {"y": 1, "y": 2}}'),
    "a name that is written in two ways": raw(payload=text_of(claims()) + r', "\u0073ub": "bob"}'),
    "alg twice": raw(header='{"alg": "none", "alg": "RS256", "kid": "one"}'),
    "kid twice": raw(header='{"alg": "RS256", "kid": "two", "kid": "one"}'),
    "a compressed payload": raw(header={**HEAD, "zip": "DEF"}, payload=zlib.compress(json.dumps(claims()).encode())),
    # Another algorithm
    "no algorithm": raw(header={"kid": "one"}),
    "none": raw(header={"alg": "none"}, signature=b""),
    "none with a signature": raw(header={"alg": "none"}),
    "None": with_header(alg="None"),
    "NONE": with_header(alg="NONE"),
    "nOnE": with_header(alg="nOnE"),
    "an empty algorithm": with_header(alg=""),
    "an algorithm that is null": raw(header={"alg": None, "kid": "one"}),
    "an algorithm that is a list": with_header(alg=["RS256"]),
    "an algorithm that is a number": with_header(alg=256),
    "an algorithm that is true": with_header(alg=True),
    "an algorithm in lower case": with_header(alg="rs256"),
    "an algorithm with a space": with_header(alg="RS256 "),
    "an unknown algorithm": with_header(alg="XX999"),
    "an algorithm that is not allowed": token("RS512"),
    "another padding": token("PS256"),
    "the public key as a shared secret (PEM)": token("HS256", key=pem(RSA)),
    "the public key as a shared secret (PEM, stripped)": token("HS256", key=pem(RSA).strip()),
    "the public key as a shared secret (modulus)": token("HS256", key=b64("x") + jwk(RSA)["n"]),
    "an empty shared secret": token("HS256", key=b""),
    "another curve": token("ES384", key=new_key("P-384"), kid="four"),
    "the curve of a currency": token("ES256K", key=new_key("secp256k1"), kid="two"),
    # Extensions, and another type
    "an unknown extension": with_header(crit=["exp2"], exp2=1),
    "an extension that is not there": with_header(crit=["exp2"]),
    "no extension": with_header(crit=[]),
    "an extension that is no list": with_header(crit="exp"),
    "extensions that are null": raw(header={**HEAD, "crit": None}),
    "a registered member as an extension": with_header(crit=["alg"]),
    "an unencoded payload": with_header(b64=False, crit=["b64"]),
    "an unencoded payload that is not critical": with_header(b64=False),
    "a payload that is said to be encoded": with_header(b64=True, crit=["b64"]),
    "a detached payload": f"{b64(json.dumps({**HEAD, 'b64': False, 'crit': ['b64']}))}..{SIGNATURE}",
    "a log-out token": with_header(typ="logout+jwt"),
    "a DPoP proof": with_header(typ="dpop+jwt", jwk=jwk(STRANGER)),
    "an introspection answer": with_header(typ="token-introspection+jwt"),
    "an encrypted type": with_header(typ="JWE"),
    "a type that is no string": with_header(typ=["JWT"]),
    "an empty type": with_header(typ=""),
    "a key name that is a number": with_header(kid=1),
    "a key name that is a list": with_header(kid=["one"]),
    "a key name that is an object": with_header(kid={"one": 1}),
    "a key name of 300 characters": with_header(kid="k" * 300),
    # Another issuer, audience or time
    "another issuer": token(iss="https://other.example"),
    "an issuer with a slash more": token(iss=ISSUER + "/"),
    "an issuer in capitals": token(iss=ISSUER.upper()),
    "no issuer": token(iss=None),
    "an issuer that is a list": token(iss=[ISSUER]),
    "another audience": token(aud="urn:other"),
    "an audience that begins alike": token(aud=AUDIENCE + ":other"),
    "several other audiences": token(aud=["urn:other", "urn:more"]),
    "no audience": token(aud=None),
    "an empty audience": token(aud=""),
    "an empty list of audiences": token(aud=[]),
    "an audience that is an object": token(aud={AUDIENCE: True}),
    "an audience that is a number": token(aud=7),
    "an audience in a list of lists": token(aud=[[AUDIENCE]]),
    "an audience beside something else": token(aud=[AUDIENCE, 7]),
    "expired": token(exp=PAST),
    "expired long ago": token(exp=1),
    "expired in milliseconds": token(exp=PAST * 1000),
    "never ends": token(exp=None),
    "an end that is null": raw(payload=text_of(claims(exp=None)) + ', "exp": null}'),
    "an end that is a string": token(exp=str(FUTURE)),
    "an end that is true": token(exp=True),
    "an end that is a list": token(exp=[FUTURE]),
    "an end before all time": token(exp=-1),
    "an end after all time": token(exp=10**18),
    "an end in exponents after all time": raw(payload=text_of(claims(exp=None)) + ', "exp": 1e300}'),
    "not valid yet": token(nbf=FUTURE),
    "issued in the future": token(iat=FUTURE),
    "a beginning that is a string": token(nbf=str(PAST)),
    "a beginning that is true": token(nbf=True),
    "an issuing that is a string": token(iat="yesterday"),
    "an issuing that is an object": token(iat={}),
    # Nobody, or rights that are none
    "no subject": token(sub=None),
    "an empty subject": token(sub=""),
    "a blank subject": token(sub="  "),
    "a subject that is a number": token(sub=7),
    "a subject that is a list": token(sub=["alice"]),
    "a subject with a line feed": token(sub="alice\nforged"),
    "a subject with a NUL": token(sub="alice\x00"),
    "a scope that is a number": token(scope=7),
    "a scope that is an object": token(scope={"admin": True}),
    "scopes in a list of lists": token(scp=[["admin"]]),
    "a blank scope in a list": token(scp=["read", " "]),
    "an id that is a number": token(jti=7),
    "a client that is a list": token(azp=["x"]),
}

#: What is wrong with it takes a key to see.
FORGED = {
    "another key of the same name": token(key=STRANGER),
    "another key of its own name": token(key=STRANGER, kid="stranger"),
    "another key without a name": token(key=STRANGER, kid=None),
    "another elliptic key": token("ES256", key=STRANGE_P256, kid="two"),
    "the key in the header": token(key=STRANGER, header={"jwk": jwk(STRANGER, kid="one")}),
    "the key in the header, with its name": token(key=STRANGER, kid="mine", header={"jwk": jwk(STRANGER, kid="mine")}),
    "a JWKS URL in the header": token(key=STRANGER, header={"jku": "http://127.0.0.1:9/jwks"}),
    "a certificate URL in the header": token(key=STRANGER, header={"x5u": "http://127.0.0.1:9/x.pem"}),
    "a certificate in the header": token(key=STRANGER, header={"x5c": ["MIIB"]}),
    "a thumbprint in the header": token(key=STRANGER, header={"x5t": "AQAB", "x5t#S256": "AQAB"}),
    "a path as the name of a key": token(key=STRANGER, kid="../../../../dev/null"),
    "SQL as the name of a key": token(key=STRANGER, kid="x' UNION SELECT 'key"),
    "a URL as the name of a key": token(key=STRANGER, kid="http://127.0.0.1:9/"),
    "an empty name of a key": token(kid=""),
    "the name of a key in capitals": token(kid="ONE"),
    "the name of a key of another type": token(kid="two"),
    "the name of an elliptic key of another curve": token("ES256", key=P256, kid="four"),
    "a signature of nothing": f"{HEADER}.{PAYLOAD}.AAAA",
    "a signature of zeros": f"{HEADER}.{PAYLOAD}.{b64(bytes(256))}",
    "a signature of ones": f"{HEADER}.{PAYLOAD}.{b64(bytes([255]) * 256)}",
    "a truncated signature": with_signature(GOOD, lambda made: made[:-1]),
    "a signature that goes on": with_signature(GOOD, lambda made: made + b"\x00"),
    "the signature of another token": ".".join([*token(sub="bob").split(".")[:2], token(sub="carol").split(".")[2]]),
    "another subject": resigned_signature(f"{HEADER}.{b64(json.dumps(claims(sub='bob')))}"),
    "more scopes": resigned_signature(f"{HEADER}.{b64(json.dumps(claims(scope='read write admin')))}"),
    "a later end": resigned_signature(f"{HEADER}.{b64(json.dumps(claims(exp=FUTURE + 1)))}"),
    "a header that has changed": resigned_signature(f"{b64(json.dumps({**HEAD, 'x': 1}))}.{PAYLOAD}"),
    "the claims of another header": resigned_signature(f"{b64(json.dumps(HEAD))}.{PAYLOAD}"),
    "an elliptic signature of zeros": es_signature(lambda made: bytes(64)),
    "an elliptic signature with r = 0": es_signature(lambda made: bytes(32) + made[32:]),
    "an elliptic signature with s = 0": es_signature(lambda made: made[:32] + bytes(32)),
    "an elliptic signature of the order": es_signature(lambda made: ORDER.to_bytes(32, "big") * 2),
    "an elliptic signature with r + order": es_signature(lambda made: b"\xff" * 32 + made[32:]),
    "an elliptic signature in DER": es_signature(der),
    "an elliptic signature that is cut": es_signature(lambda made: made[:-1]),
    "an elliptic signature that is longer": es_signature(lambda made: made + b"\x00"),
    "an elliptic signature in halves that are exchanged": es_signature(lambda made: made[32:] + made[:32]),
    "an elliptic signature of one byte": es_signature(lambda made: made[:1]),
    "an elliptic key for an Ed25519 token": token("EdDSA", key=ED25519, kid="two"),
    "an Ed25519 key for an elliptic token": token("ES256", key=P256, kid="three"),
    "an Ed25519 signature that is cut": with_signature(ED, lambda made: made[:-1]),
    "an Ed25519 signature of zeros": ED.rpartition(".")[0] + "." + b64(bytes(64)),
    "an RSA signature with another padding": f"{HEADER}.{PAYLOAD}.{b64(sign('PS256', RSA, f'{HEADER}.{PAYLOAD}'))}",
    "an RSA signature with another hash": f"{HEADER}.{PAYLOAD}.{b64(sign('RS512', RSA, f'{HEADER}.{PAYLOAD}'))}",
    "a shared secret that is the public key": f"{HEADER}.{PAYLOAD}.{b64(sign('HS256', pem(RSA), f'{HEADER}.{PAYLOAD}'))}",
    "a signature without the header": f"{HEADER}.{PAYLOAD}.{b64(sign('RS256', RSA, PAYLOAD))}",
    "a signature of what was decoded": f"{HEADER}.{PAYLOAD}.{b64(sign('RS256', RSA, json.dumps(claims())))}",
}

EVERY = {**CHEAP, **FORGED}


@pytest.fixture(scope="module")
def server():
    with scripted_server() as started:
        started.answer_json("/jwks", KEYS)
        yield started


def make_provider(server):
    return JWTAuthenticator(
        algorithms=ALGORITHMS, issuer=ISSUER, audience=AUDIENCE, jwks_url=f"{server.url}/jwks", allow_http=True
    )


@pytest.fixture(scope="module")
def warm(server):
    """A client of an application that knows the keys."""
    client = secured(new_who(), providers=[make_provider(server)], userstore=None)[0].test_client()
    assert get(client, GOOD).status_code == 200
    return client


def get(client, sent):
    # As a server passes it on (PEP 3333): the client itself would refuse some of these.
    return client.get("/who", environ_base={"HTTP_AUTHORIZATION": f"Bearer {sent}"})


def test_the_table_is_large_enough_and_its_tokens_differ():
    assert len(EVERY) >= 150
    assert len(set(EVERY.values())) == len(EVERY)
    assert GOOD not in EVERY.values()


@pytest.mark.parametrize("sent", [GOOD, ES, ED], ids=["RS256", "ES256", "EdDSA"])
def test_what_the_table_changes_is_good_unchanged(warm, sent):
    assert get(warm, sent).json == {"user": "alice", "provider": "jwt"}


def test_what_looks_suspicious_and_is_right_is_good(warm):
    """Otherwise the table would pass for the wrong reason."""
    good = [
        raw(payload=padded_to(1)),
        raw(payload=padded_to(2)),
        with_header(typ="JWT"),
        with_header(typ="jwt"),
        with_header(typ="application/at+jwt"),
        with_header(typ=None),
        token(kid=None),
        token(aud=["urn:other", AUDIENCE]),
        token(exp=FUTURE + 0.5),
        raw(payload=text_of(claims(sub=None)) + r', "sub": "ali\u0063e"}'),
        raw(payload=text_of(claims()) + r', "name": "\ud83d\ude00"}'),
        with_header(jku="http://127.0.0.1:9/", x5u="http://127.0.0.1:9/", x5c=["MIIB"], jwk=jwk(STRANGER), zip="DEF"),
    ]
    for sent in good:
        assert get(warm, sent).json == {"user": "alice", "provider": "jwt"}, sent


@pytest.mark.parametrize("name", EVERY)
def test_a_token_that_is_not_good_is_a_401(warm, name):
    refused = get(warm, EVERY[name])
    assert refused.status_code == 401
    assert refused.json == {"message": "Unauthorized User"}
    told = 'Bearer realm="api", error="invalid_token"' if EVERY[name] else 'Bearer realm="api"'
    assert refused.headers.getlist("WWW-Authenticate") == [told]


def test_no_key_is_fetched_because_of_all_these(server):
    """The second fetch is for the first name of a key that is unknown; the next one would wait half a minute."""
    before = server.counts["/jwks"]
    client = secured(new_who(), providers=[make_provider(server)], userstore=None)[0].test_client()
    for sent in (GOOD, *EVERY.values()):
        assert get(client, sent).status_code == (200 if sent == GOOD else 401)
    assert server.counts["/jwks"] <= before + 2


@pytest.mark.parametrize("name", CHEAP)
def test_what_is_wrong_without_a_key_makes_nobody_ask_the_issuer(server, name):
    before = server.counts["/jwks"]
    outcome = authenticate(make_provider(server), CHEAP[name])
    assert outcome.answer is Answer.WRONG_CREDENTIALS
    assert server.counts["/jwks"] == before


@pytest.mark.parametrize("name", FORGED)
def test_what_is_forged_costs_one_fetch_at_most(server, name):
    before = server.counts["/jwks"]
    assert authenticate(make_provider(server), FORGED[name]).answer is Answer.WRONG_CREDENTIALS
    assert server.counts["/jwks"] == before + 1


def test_what_was_sent_is_in_no_log(warm, caplog):
    caplog.clear()
    planted = "planted-77c1"
    sent = [token(sub=planted, iss="x"), token(sub=planted, key=STRANGER), token(kid=planted), planted]
    sent += [token(sub=f"{planted}\nforged"), raw(payload=planted), with_header(alg=planted), token(aud=planted)]
    sent += [token(iss=planted), token(exp=planted), with_header(typ=planted), token(jti=[planted])]
    for each in sent:
        assert get(warm, each).status_code == 401
    assert planted not in caplog.text
    for each in (*sent, GOOD):
        for part in each.split("."):
            assert part not in caplog.text


def authenticate(provider, sent, userstore=None):
    header = f"Bearer {sent}".encode("latin-1")
    return Chain([("jwt", provider)], userstore).authenticate(make_request({"Authorization": header}))


@pytest.mark.parametrize("name", [name for name in EVERY if "secret" in name or "none" in name.lower()])
def test_a_fixed_key_is_confused_no_more_than_fetched_ones(name):
    provider = JWTAuthenticator(algorithms=["RS256"], issuer=ISSUER, audience=AUDIENCE, key=pem(RSA))
    assert authenticate(provider, GOOD).answer is Answer.VERIFIED
    assert authenticate(provider, EVERY[name]).answer is Answer.WRONG_CREDENTIALS


SHARED = {
    "none": raw(header={"alg": "none"}, signature=b"x"),
    "another secret": token("HS256", key="x" * 64),
    "the secret and a byte": token("HS256", key=SECRET + "x"),
    "a longer hash": token("HS512"),
    "a public key": GOOD,
    "cut by four characters": token("HS256")[:-4],
    "no secret": token("HS256", key=b""),
    "zeros": token("HS256", key=bytes(64)),
}


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_secret_is_asked_for(name):
    provider = JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET)
    client = secured(new_who(), providers=[provider], userstore=None)[0].test_client()
    assert client.get("/who", headers=bearer(token("HS256"))).status_code == 200
    assert client.get("/who", headers=bearer(SHARED[name])).status_code == 401


# Whatever comes


@settings(max_examples=how_many(60, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_bad_credentials(sent):
    with pytest.raises(BadCredentialsError):
        parse_token(sent)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_CLAIMS = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "azp", "client_id", "scope", "scp", "permissions"]
_MEMBERS = ["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "cty", "zip"]


@settings(max_examples=how_many(80, 400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(_MEMBERS), _JSON, max_size=4),
    st.dictionaries(st.sampled_from(_CLAIMS), _JSON, max_size=4),
)
def test_any_claims_that_the_issuer_has_signed_are_good_or_bad_credentials_and_no_bug(header, changed):
    provider = JWTAuthenticator(
        algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key=SECRET, roles_claim="permissions"
    )
    sent = join({"alg": "HS256", **header}, {**claims(), **changed}, algorithm="HS256", key=SECRET)
    outcome = authenticate(provider, sent)
    assert outcome.answer in (Answer.VERIFIED, Answer.WRONG_CREDENTIALS), outcome.error
    if "sub" not in changed and outcome.answer is Answer.VERIFIED:
        assert outcome.identity.user.username == "alice"


@settings(max_examples=how_many(60, 300), deadline=None)
@given(st.data())
def test_a_token_with_any_byte_changed_is_bad(data):
    provider = JWTAuthenticator(algorithms=["RS256"], issuer=ISSUER, audience=AUDIENCE, key=pem(RSA))
    at = data.draw(st.integers(0, len(GOOD) - 1))
    other = data.draw(st.characters(min_codepoint=1, max_codepoint=255).filter(lambda c: c != GOOD[at]))
    changed = GOOD[:at] + other + GOOD[at + 1 :]
    if changed.strip(" \t") != GOOD:
        assert authenticate(provider, changed).answer is Answer.WRONG_CREDENTIALS
