"""Published tokens and keys, good and bad, through a whole provider: the examples of the RFCs, and Wycheproof's.

Their payloads are no claims. In place of what is no JSON object the provider reads good claims, so that the rest decides.
"""

import json
from pathlib import Path

import pytest
from jwt_tokens import AUDIENCE, ISSUER, claims

from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import ConfigurationError
from flask_securest.protocols.jwt import format as format_module
from flask_securest.testing import make_request

VECTORS = Path(__file__).parent / "vectors"
RFC = json.loads((VECTORS / "rfc.json").read_text())
WYCHEPROOF = [
    (f"{group['file']} {number} {group['comment']}: {comment}", group["keys"], jws, result)
    for group in json.loads((VECTORS / "wycheproof.json").read_text())["groups"]
    for number, comment, jws, result in group["tests"]
]

#: What Wycheproof calls invalid and is taken here, and why.
TAKEN = {
    "json_web_signature 367 base64: invalidBase64Padding": "its padding got lost in the file: it is well-formed there",
    "json_web_signature 370 base64: invalidBase64PaddingInPayload": "the same",
    "json_web_key 1 jws_mixedSymmetryKeyset: rejectsValid": "algorithms=[...] decides, and has secrets alone: the public "
    "key beside them is passed over",
}

#: What Wycheproof calls valid and is refused here, and why.
REFUSED = {
    **{
        f"json_web_signature {number} {algorithm}: emptyPayload": "a JWT has claims (RFC 7519, section 7.2)"
        for number, algorithm in ((259, "rs256"), (264, "rs384"), (268, "rs512"))
    },
    **{
        f"json_web_signature {number} {algorithm}: emptyPayload": "a JWT has claims (RFC 7519, section 7.2)"
        for number, algorithm in ((272, "ps256"), (320, "ps384"), (325, "ps512"))
    },
    **{
        f"json_web_signature {number} {group}: {figure}": why
        for number, group in ((346, "rfc7520"), (350, "rfc7520WithKeyOps"))
        for figure, why in (("Figure20", "its key says PS256, and the token is signed by PS384"),)
    },
    **{
        f"json_web_signature {number} {group}: Figure27": "its key says ES521, which is no algorithm"
        for number, group in ((347, "rfc7520"), (351, "rfc7520WithKeyOps"))
    },
    "json_web_signature 372 base64: InvalidCharacterInsertedInHeader": "RFC 7515, section 2 has no such characters",
    "json_web_signature 373 base64: InvalidCharacterInsertedInPayload": "the same",
}


@pytest.fixture(autouse=True)
def _good_claims(monkeypatch):
    parse = format_module.parse_object

    def parse_or_replace(data):
        return parse(data) if data.startswith(b"{") and b"joe" not in data else claims()

    monkeypatch.setattr(format_module, "parse_object", parse_or_replace)


def is_taken(keys, jws, algorithm):
    try:
        provider = JWTAuthenticator(algorithms=[algorithm], issuer=ISSUER, audience=AUDIENCE, jwks={"keys": keys})
    except ConfigurationError:
        return False
    outcome = Chain([("jwt", provider)], None).authenticate(make_request({"Authorization": f"Bearer {jws}"}))
    assert outcome.answer in (Answer.VERIFIED, Answer.WRONG_CREDENTIALS), outcome.error
    return outcome.answer is Answer.VERIFIED


@pytest.mark.parametrize(
    ("jwk", "algorithm", "jws"), [each[1:] for each in RFC["good"]], ids=[e[0] for e in RFC["good"]]
)
def test_the_examples_of_the_rfcs_are_good_and_no_other_key_takes_them(jwk, algorithm, jws):
    assert is_taken([jwk], jws, algorithm)
    changed = jws[:-3] + ("A" if jws[-3] != "A" else "B") + jws[-2:]
    assert not is_taken([jwk], changed, algorithm)
    assert not any(is_taken([other], jws, algorithm) for _, other, _, _ in RFC["good"] if other is not jwk)


@pytest.mark.parametrize(("what", "jws"), RFC["unsecured"])
@pytest.mark.parametrize(("jwk", "algorithm"), [each[1:3] for each in RFC["good"]], ids=lambda value: str(value)[:20])
def test_an_unsecured_token_is_refused_whatever_the_keys(what, jws, jwk, algorithm):
    assert not is_taken([jwk], jws, algorithm)


@pytest.mark.parametrize(("what", "keys", "jws", "result"), WYCHEPROOF, ids=[each[0] for each in WYCHEPROOF])
def test_wycheproof_is_followed_or_there_is_a_reason(what, keys, jws, result):
    taken = is_taken(keys, jws, keys[0].get("alg", ""))
    assert taken is ((result == "valid" or what in TAKEN) and what not in REFUSED)


def test_each_exception_is_a_vector_that_there_is():
    assert {what for what, *_ in WYCHEPROOF} >= {*TAKEN, *REFUSED}
