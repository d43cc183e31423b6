"""Keys: documents of keys, and the client that fetches and keeps them, against real HTTP servers on loopback."""

import json
import threading
import time
from math import prod

import pytest
from helpers import show
from jwt_tokens import AUDIENCE, ISSUER, SECRET, b64, jwk, jwks, new_key, pem, token
from servers.scripted_http import make_certificate, scripted_server, server_tls

from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.protocols.jwt import jwks as jwks_module
from flask_securest.protocols.jwt.document import MAX_DOCUMENT_BYTES, FetchOptions, KeyDocument
from flask_securest.protocols.jwt.jwk import read_key_set, require_key, require_key_set
from flask_securest.protocols.jwt.jwks import RemoteKeys
from flask_securest.protocols.jwt.keys import ALGORITHMS, KeySet, require_algorithms
from flask_securest.testing import make_request

RSA, OTHER_RSA, P256, P384 = new_key("RSA"), new_key("RSA", 1), new_key("P-256"), new_key("P-384")
ED25519 = new_key("Ed25519")

#: As that library chooses it: a power of 65537 modulo the product of the primes up to 167.
_PRIMES = prod(number for number in range(2, 168) if all(number % each for each in range(2, number)))
ROCA = b64(((_PRIMES << 1828) + pow(65537, 41, _PRIMES)).to_bytes(256, "big"))
PUBLIC = [name for name in ALGORITHMS if not name.startswith("HS")]


@pytest.fixture
def server():
    with scripted_server() as started:
        started.answer_json("/jwks", jwks(jwk(RSA, kid="one")))
        yield started


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by itself, and can be moved."""

    class Clock:
        ahead = 0.0

    monkeypatch.setattr(jwks_module, "monotonic", lambda: time.monotonic() + Clock.ahead)
    return Clock


def provider_for(server, **options):
    given = {"jwks_url": f"{server.url}/jwks", "allow_http": True, "timeout": 2, "algorithms": ["RS256"], **options}
    return JWTAuthenticator(issuer=ISSUER, audience=AUDIENCE, **given)


def ask(provider, sent, userstore=None):
    headers = {"Authorization": f"Bearer {sent}"}
    return Chain([("jwt", provider)], userstore).authenticate(make_request(headers))


def answer_to(provider, sent):
    return ask(provider, sent).answer


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=[i]) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


# What a document may hold


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_each_algorithm_takes_its_own_kind_of_key_only(algorithm):
    entries = {"RSA": jwk(RSA), "P-256": jwk(P256), "P-384": jwk(P384), "P-521": jwk(new_key("P-521"))}
    entries["Ed25519"] = jwk(ED25519)
    keys = read_key_set(jwks(*(dict(entry, kid=name) for name, entry in entries.items())), PUBLIC)
    expected = ALGORITHMS[algorithm].curve or ALGORITHMS[algorithm].key_type
    assert [name for name in entries if keys.find(name, algorithm)] == [expected]
    assert keys.find(None, algorithm) is keys.find(expected, algorithm)


UNUSABLE = {
    "for encryption": jwk(RSA, use="enc"),
    "for nothing known": jwk(RSA, use=""),
    "for signing only": jwk(RSA, key_ops=["sign"]),
    "operations that are no list": jwk(RSA, key_ops="verify"),
    "another algorithm": jwk(RSA, alg="RS512"),
    "an algorithm of encryption": jwk(RSA, alg="RSA-OAEP"),
    "an algorithm that contradicts its type": jwk(RSA, alg="ES256"),
    "the algorithm none": jwk(RSA, alg="none"),
    "an algorithm that is no string": jwk(RSA, alg=["RS256"]),
    "an unknown type": {"kty": "LWE", "n": "AQAB"},
    "no type": {"n": "AQAB", "e": "AQAB"},
    "a type that is no string": {"kty": ["RSA"], "n": "AQAB", "e": "AQAB"},
    "a short RSA key": jwk(new_key("RSA", bits=1024)),
    "a giant RSA key": {"kty": "RSA", "n": b64(b"\xff" * 2049), "e": "AQAB"},
    "an even exponent": {**jwk(RSA), "e": "AQAA"},
    "an exponent of 1": {**jwk(RSA), "e": "AQ"},
    "no modulus": {"kty": "RSA", "e": "AQAB"},
    "a modulus that is no text": {**jwk(RSA), "n": 7},
    "a modulus that is no base64": {**jwk(RSA), "n": "!!!"},
    "a point that is not on its curve": {**jwk(P256), "y": jwk(P256)["x"]},
    "a point of another curve": {**jwk(P256), "crv": "P-384"},
    "a point that is too short": {**jwk(P256), "x": "AQAB"},
    "a curve that is not for the algorithm": jwk(P384),
    "a curve that is unknown": {**jwk(P256), "crv": "P-42"},
    "the curve of a currency": jwk(new_key("secp256k1")),
    "a broken Ed25519 key": {"kty": "OKP", "crv": "Ed25519", "x": "AQAB"},
    "a key for agreement": {"kty": "OKP", "crv": "X25519", "x": jwk(ED25519)["x"]},
    "a key of Infineon's library": {"kty": "RSA", "n": ROCA, "e": "AQAB"},
    "a private key": jwk(RSA, d="AQAB"),
    "a shared secret": jwk(SECRET),
    "a name that is no string": jwk(RSA, kid=7),
    "no object": "text",
    "a list": [],
    "null": None,
    "empty": {},
}


@pytest.mark.parametrize("entry", UNUSABLE.values(), ids=list(UNUSABLE))
def test_a_key_that_cannot_be_used_is_passed_over_and_the_others_are_used(entry):
    keys = read_key_set(jwks(entry, jwk(OTHER_RSA, kid="good"), entry), ["RS256", "ES256", "EdDSA"])
    assert [key.key_id for key in keys.keys] == ["good"]


SET_WITH_ONE_BROKEN = {
    "a member twice": '{"kty": "RSA", "kty": "EC", "kid": "two"}',
    "a member of a member twice": '{"kty": "RSA", "oth": [{"r": "a", "r": "b"}]}',
    "a number that is too large": '{"kty": "RSA", "n": 1e999}',
    "half a surrogate pair": '{"kty": "RSA", "kid": "\\ud800"}',
}


@pytest.mark.parametrize("broken", SET_WITH_ONE_BROKEN.values(), ids=list(SET_WITH_ONE_BROKEN))
def test_what_is_wrong_within_one_key_spoils_that_one_alone(server, broken):
    good = json.dumps(jwk(RSA, kid="one"))
    server.answers["/jwks"] = (200, {}, f'{{"keys": [{broken}, {good}, {broken}]}}'.encode())
    assert answer_to(provider_for(server), token()) is Answer.VERIFIED


@pytest.mark.parametrize("body", [b'{"keys": [], "keys": []}', b'{"keys": [NaN]}', b'{"keys": ["\xff"]}', b"[]", b"{"])
def test_what_is_wrong_with_the_whole_set_is_an_outage(server, body):
    server.answers["/jwks"] = (200, {}, body)
    assert answer_to(provider_for(server), token()) is Answer.BACKEND_DOWN


@pytest.mark.parametrize(
    "emptied", [jwks(), jwks(jwk(P256, kid="one")), jwks(jwk(RSA, kid="one", use="enc"))], ids=["empty", "EC", "enc"]
)
def test_a_set_without_any_usable_key_takes_back_no_good_one(server, clock, emptied, caplog):
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    server.answer_json("/jwks", emptied)
    clock.ahead += 600
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert server.counts == {"/jwks": 2}
    assert "no key that is for RS256" in caplog.text
    clock.ahead += 3600
    server.answer_json("/jwks", jwks(jwk(OTHER_RSA, kid="one")))
    assert answer_to(provider, token(key=OTHER_RSA)) is Answer.VERIFIED


def test_one_key_that_is_there_twice_is_one_key(server):
    for entries in (
        [jwk(RSA, kid="one", alg="RS256"), jwk(RSA, kid="one")],
        [jwk(RSA, kid="one"), jwk(RSA, kid="one", use="sig", alg="RS512")],
        [jwk(RSA, kid="one"), {**jwk(RSA, kid="one"), "n": b64(b"\0" + int_of(RSA))}],
    ):
        server.answer_json("/jwks", jwks(*entries))
        assert answer_to(provider_for(server, algorithms=["RS256", "RS512"]), token()) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(RSA, kid="a"), jwk(RSA, kid="b")))
    assert answer_to(provider_for(server), token(kid=None)) is Answer.VERIFIED
    assert answer_to(provider_for(server), token(kid="b")) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(RSA, kid="a"), jwk(OTHER_RSA, kid="b")))
    assert answer_to(provider_for(server), token(kid=None)) is Answer.WRONG_CREDENTIALS


def int_of(key):
    return key.public_key().public_numbers().n.to_bytes(256, "big")


def test_of_two_keys_of_one_name_neither_is_used_though_one_is_broken():
    broken = {**jwk(OTHER_RSA, kid="one"), "n": "!!!"}
    for entries in ([broken, jwk(RSA, kid="one")], [jwk(RSA, kid="one"), broken]):
        assert read_key_set(jwks(*entries), ["RS256"]).find("one", "RS256") is None
    other = read_key_set(jwks({**broken, "kid": "two"}, jwk(RSA, kid="one")), ["RS256"])
    assert other.find("one", "RS256") is not None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ES256K", "sign with ES256"),
        ("Ed448", "sign with Ed25519"),
        ("RSA-OAEP-256", "encrypts"),
        ("dir", "encrypts"),
        ("A256GCMKW", "encrypts"),
        ("ECDH-ES+A128KW", "encrypts"),
        ("PBES2-HS256+A128KW", "encrypts"),
    ],
)
def test_what_is_left_out_is_named_with_the_way_out(name, told):
    with pytest.raises(ConfigurationError, match=told):
        require_algorithms(["RS256", name])


@pytest.mark.parametrize(
    "members",
    [
        {"use": "sig"},
        {"use": None, "alg": None, "key_ops": None},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"x5c": ["AQAB"], "x5u": "http://127.0.0.1:1/"},
    ],
    ids=show,
)
def test_members_that_say_nothing_else_do_not_matter(members):
    assert read_key_set(jwks(jwk(RSA, **members)), ["RS256"]).find(None, "RS256")


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"key": []}], ids=show)
def test_what_is_no_jwks_is_told(document):
    with pytest.raises(ValueError, match='must have a list of "keys"'):
        read_key_set(document, ["RS256"])


def test_of_two_keys_of_one_name_neither_is_used(caplog):
    keys = read_key_set(jwks(jwk(RSA, kid="one"), jwk(OTHER_RSA, kid="one")), ["RS256"])
    assert keys.find("one", "RS256") is None
    assert "two keys are called 'one'" in caplog.text


def test_two_keys_of_one_name_and_of_different_types_are_told_apart():
    keys = read_key_set(jwks(jwk(RSA, kid="one"), jwk(P256, kid="one")), ["RS256", "ES256"])
    assert keys.find("one", "RS256").algorithms == {"RS256"}
    assert keys.find("one", "ES256").algorithms == {"ES256"}


def test_a_key_that_stands_there_twice_is_one():
    keys = read_key_set(jwks(jwk(RSA, kid="one"), jwk(RSA, kid="one")), ["RS256"])
    assert keys.find("one", "RS256") is not None
    assert keys.find(None, "RS256") is not None


def test_a_token_without_a_name_of_a_key_gets_the_only_one_or_none():
    one = read_key_set(jwks(jwk(RSA, kid="one"), jwk(P256, kid="two")), ["RS256", "ES256"])
    assert one.find(None, "RS256").key_id == "one"
    two = read_key_set(jwks(jwk(RSA, kid="one"), jwk(OTHER_RSA, kid="two")), ["RS256"])
    assert two.find(None, "RS256") is None
    assert two.find("one", "RS256").key_id == "one"


def test_a_key_without_a_name_is_not_the_one_that_a_token_names():
    keys = read_key_set(jwks(jwk(RSA)), ["RS256"])
    assert keys.find("one", "RS256") is None
    assert keys.find(None, "RS256") is not None


def test_a_key_verifies_with_its_own_algorithms_only():
    key = read_key_set(jwks(jwk(RSA, alg="RS256")), ["RS256", "PS256"]).find(None, "RS256")
    signed, _, signature = token("PS256", key=RSA).rpartition(".")
    from flask_securest.protocols.jwt.format import decode_base64url

    assert key.verify("PS256", signed.encode(), decode_base64url(signature.encode())) is False


def test_eddsa_and_ed25519_are_two_names_of_one_algorithm():
    """RFC 9864 gave the algorithm a name of its own; PyJWT knows the former one."""
    for named in ("EdDSA", "Ed25519"):
        for chosen in ("EdDSA", "Ed25519"):
            keys = jwks(jwk(ED25519, kid="one", alg=named))
            provider = JWTAuthenticator(algorithms=[chosen], issuer=ISSUER, audience=AUDIENCE, jwks=keys)
            assert answer_to(provider, token("EdDSA")) is Answer.VERIFIED
            assert answer_to(provider, token("Ed25519")) is Answer.VERIFIED


def test_no_secret_shows_in_a_repr():
    keys = require_key_set(jwks(jwk(SECRET, kid="one")), ["HS256"])
    for shown in (repr(keys), repr(keys.keys), repr(require_key(SECRET, ["HS256"]))):
        assert SECRET not in shown
        assert b64(SECRET) not in shown


# What the application gives


@pytest.mark.parametrize(
    ("key", "algorithms", "told"),
    [
        ("short", ["HS256"], "must have 32 bytes"),
        ("x" * 31, ["HS256"], "must have 32 bytes"),
        ("x" * 47, ["HS256", "HS384"], "must have 48 bytes"),
        ("x" * 63, ["HS512"], "must have 64 bytes"),
        ("", ["HS256"], "must have 32 bytes"),
        (pem(RSA), ["HS256"], "no shared secret"),
        (pem(RSA).encode(), ["HS256"], "no shared secret"),
        ("  " + pem(P256), ["HS256"], "no shared secret"),
        ("ssh-ed25519 " + "A" * 68, ["HS256"], "no shared secret"),
        ('{"kty": "RSA", "n": "' + "x" * 300 + '"}', ["HS256"], "no shared secret"),
        (jwk("short"), ["HS256"], "must have 32 bytes"),
        (SECRET, ["RS256"], "no public key in PEM"),
        ("half a surrogate pair \ud800", ["HS256"], "no text"),
        (pem(RSA), ["ES256"], "not for ES256"),
        (pem(RSA), ["RS256", "ES256"], "not for ES256"),
        (pem(P256), ["ES384"], "not for ES384"),
        (pem(P256), ["ES256", "ES384"], "not for ES384"),
        (pem(ED25519), ["ES256"], "not for ES256"),
        (pem(new_key("secp256k1")), ["ES256"], "not for ES256"),
        (pem(new_key("RSA", bits=1024)), ["RS256"], "1024 bits"),
        ("-----BEGIN RSA PRIVATE KEY-----\nx", ["RS256"], "a private key"),
        ("-----BEGIN PUBLIC KEY-----\nx", ["RS256"], "no public key in PEM"),
        (jwk(RSA, d="AQAB"), ["RS256"], "a private key"),
        (jwk(RSA, alg="RS256"), ["RS256", "PS256"], "not for PS256"),
        ({}, ["RS256"], "its type"),
        (7, ["RS256"], "not of type int"),
        ([pem(RSA)], ["RS256"], "not of type list"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_and_not_repeated(key, algorithms, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        require_key(key, algorithms)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "not of type NoneType"),
        ([jwk(RSA)], "not of type list"),
        ({}, "must be a list"),
        ({"keys": "x"}, "must be a list"),
        (jwks(), "no key that is for RS256"),
        (jwks(jwk(P256)), "no key that is for RS256"),
    ],
    ids=show,
)
def test_a_document_without_a_key_is_told(document, told):
    with pytest.raises(ConfigurationError, match=told):
        require_key_set(document, ["RS256"])


@pytest.mark.parametrize(
    "algorithms",
    [
        *([], None, "RS256", ["none"], ["None"], ["RS256", "none"], ["rs256"], ["ES256K"], ["RS1"], [None], [7]),
        *([["RS256"]], {"RS256": True}, ["HS256", "RS256"], ["HS256", "ES256"], ["HS512", "EdDSA"], [""], ["Ed448"]),
    ],
    ids=show,
)
def test_algorithms_that_cannot_be_are_told(algorithms):
    with pytest.raises(ConfigurationError, match="algorithms must"):
        require_algorithms(algorithms)


# The client


def test_nothing_is_asked_before_the_first_token_and_no_thread_is_started(server):
    threads = threading.active_count()
    provider = provider_for(server)
    assert not server.counts
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert server.counts == {"/jwks": 1}
    assert threading.active_count() <= threads + 1  # the server's own


def test_a_storm_of_unknown_keys_costs_at_most_two_fetches(server):
    provider = provider_for(server)
    good = token()
    rest = good.partition(".")[2]

    def storm(which):
        for i in range(1250):
            header = b64(json.dumps({"alg": "RS256", "kid": f"storm-{which}-{i}"}))
            assert answer_to(provider, f"{header}.{rest}") is Answer.WRONG_CREDENTIALS

    in_threads(8, storm)
    assert server.counts["/jwks"] <= 2
    assert answer_to(provider, good) is Answer.VERIFIED
    assert server.counts["/jwks"] <= 2
    assert len(next(iter(provider._keys.values()))._missing) <= 1000


def test_what_is_remembered_of_unknown_keys_is_bounded(server, clock):
    provider = provider_for(server)
    for i in range(1100):
        clock.ahead += 31
        answer_to(provider, token(kid=f"made-up-{i}", iat=None))
    assert len(next(iter(provider._keys.values()))._missing) <= 1000


def test_a_key_that_is_missing_is_not_asked_for_again_before_some_time(server, clock):
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    for seconds, expected in ((0, 2), (31, 2), (20, 2), (10, 3), (31, 3)):
        clock.ahead += seconds
        assert answer_to(provider, token(kid="gone")) is Answer.WRONG_CREDENTIALS
        assert server.counts["/jwks"] == expected, clock.ahead


def test_a_new_key_works_at_once_and_a_withdrawn_one_stops(server):
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(OTHER_RSA, kid="two")))
    assert answer_to(provider, token(key=OTHER_RSA, kid="two")) is Answer.VERIFIED
    assert answer_to(provider, token()) is Answer.WRONG_CREDENTIALS
    assert server.counts["/jwks"] == 2


def test_a_rotation_to_another_kind_of_key_works(server):
    provider = provider_for(server, algorithms=["RS256", "ES256", "EdDSA"])
    assert answer_to(provider, token(kid=None)) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(P256)))
    assert answer_to(provider, token("ES256", kid=None)) is Answer.VERIFIED
    assert answer_to(provider, token(kid=None)) is Answer.WRONG_CREDENTIALS


def test_a_token_of_an_unknown_key_does_not_keep_a_new_key_out_for_long(server, clock):
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert answer_to(provider, token(kid="made-up")) is Answer.WRONG_CREDENTIALS
    server.answer_json("/jwks", jwks(jwk(OTHER_RSA, kid="two")))
    sent = token(key=OTHER_RSA, kid="two")
    assert answer_to(provider, sent) is Answer.WRONG_CREDENTIALS, "within the time that unknown keys wait"
    clock.ahead += 31
    assert answer_to(provider, sent) is Answer.VERIFIED


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 600),
        ("max-age=300", 300),
        ("public, max-age=300, must-revalidate", 300),
        ('MAX-AGE="300"', 300),
        ("max-age=0", 60),
        ("max-age=5", 60),
        ("max-age=99999999999999999999", 600),
        ("max-age=999999999", 3600),
        ("max-age=-1", 600),
        ("max-age=x", 600),
        ("s-maxage=300", 600),
        ("no-store", 60),
        ("no-cache, max-age=3000", 60),
        ('private="no-cache-x"', 600),
    ],
)
def test_keys_are_fetched_anew_in_good_time(server, clock, cache_control, seconds):
    headers = {} if cache_control is None else {"Cache_Control": cache_control}
    server.answer_json("/jwks", jwks(jwk(RSA, kid="one")), **headers)
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    clock.ahead += seconds * 0.8 - 3
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert server.counts["/jwks"] == 1
    clock.ahead += 5
    assert answer_to(provider, token()) is Answer.VERIFIED
    assert server.counts["/jwks"] == 2


def test_a_key_that_the_issuer_withdraws_stops_with_the_next_fetch(server, clock):
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(OTHER_RSA, kid="two")))
    clock.ahead += 600
    assert answer_to(provider, token()) is Answer.WRONG_CREDENTIALS


def test_many_callers_at_once_cost_one_fetch(server):
    server.seconds = 0.3
    provider, answers = provider_for(server), []
    in_threads(16, lambda which: answers.append(answer_to(provider, token())))
    assert answers == [Answer.VERIFIED] * 16
    assert server.counts == {"/jwks": 1}


def test_while_one_caller_fetches_anew_the_others_go_on_at_once(server, clock):
    provider = provider_for(server, timeout=5)
    sent = token()
    assert answer_to(provider, sent) is Answer.VERIFIED
    clock.ahead += 500
    server.seconds, seconds = 2, []

    def call(which):
        started = time.monotonic()
        assert answer_to(provider, sent) is Answer.VERIFIED
        seconds.append(time.monotonic() - started)

    in_threads(8, call)
    assert server.counts["/jwks"] == 2
    assert len([each for each in seconds if each > 1.9]) == 1
    assert len([each for each in seconds if each < 1.5]) == 7


def test_an_issuer_that_is_down_and_nothing_known_is_a_503_and_not_asked_by_everybody(server, clock, caplog):
    server.stop()
    provider = provider_for(server)
    outcome = ask(provider, token())
    assert outcome.answer is Answer.BACKEND_DOWN
    assert outcome.error.retry_after >= 1
    assert "ConnectionRefusedError" in caplog.text
    server.start()
    assert answer_to(provider, token()) is Answer.BACKEND_DOWN, "it is left alone for a second"
    assert not server.counts
    clock.ahead += 1.1
    assert answer_to(provider, token()) is Answer.VERIFIED


def test_an_issuer_that_stays_down_is_asked_less_and_less_and_comes_back_without_a_restart(server, clock, caplog):
    server.answers["/jwks"] = (500, {}, b"")
    provider = provider_for(server)
    for _ in range(600):
        assert answer_to(provider, token()) is Answer.BACKEND_DOWN
        clock.ahead += 1
    assert 20 < server.counts["/jwks"] < 30
    server.answer_json("/jwks", jwks(jwk(RSA, kid="one")))
    clock.ahead += 31
    assert answer_to(provider, token()) is Answer.VERIFIED


@pytest.mark.parametrize("way", ["down", "500", "html", "no keys", "not json", "too long", "redirect", "empty"])
def test_an_issuer_that_is_down_or_talks_nonsense_does_not_stop_those_whose_key_is_known(server, clock, way, caplog):
    provider = provider_for(server, stale_seconds=3600)
    assert answer_to(provider, token()) is Answer.VERIFIED
    if way == "down":
        server.stop()
    else:
        server.answers["/jwks"] = {
            "500": (500, {}, b""),
            "html": (200, {}, b"<html>"),
            "no keys": (200, {}, b"{}"),
            "not json": (200, {}, b'{"keys": [], "keys": []}'),
            "too long": (200, {}, b'{"keys": [' + b" " * MAX_DOCUMENT_BYTES + b"]}"),
            "redirect": (302, {"Location": "/elsewhere"}, b""),
            "empty": (200, {}, b""),
        }[way]
    clock.ahead += 700
    for _ in range(5):
        assert answer_to(provider, token()) is Answer.VERIFIED
    assert server.counts["/jwks"] <= 2
    assert "those that are known are used" in caplog.text
    clock.ahead += 600 + 3600 - 750
    assert answer_to(provider, token()) is Answer.VERIFIED
    clock.ahead += 100
    assert answer_to(provider, token()) is Answer.BACKEND_DOWN, "for how long is the application's choice"


def test_an_unknown_key_while_the_issuer_is_down_is_a_503_and_no_401(server, clock):
    """A client would throw its token away, which may be good."""
    provider = provider_for(server)
    assert answer_to(provider, token()) is Answer.VERIFIED
    server.stop()
    assert answer_to(provider, token(key=OTHER_RSA, kid="two")) is Answer.BACKEND_DOWN
    assert answer_to(provider, token()) is Answer.VERIFIED
    server.answer_json("/jwks", jwks(jwk(OTHER_RSA, kid="two")))
    server.start()
    clock.ahead += 31
    assert answer_to(provider, token(key=OTHER_RSA, kid="two")) is Answer.VERIFIED


def test_an_issuer_that_hangs_holds_one_caller_for_the_timeout_and_no_other(server, clock):
    provider = provider_for(server, timeout=1)
    sent = token()
    assert answer_to(provider, sent) is Answer.VERIFIED
    server.seconds = 3
    clock.ahead += 700
    seconds = []

    def call(which):
        for _ in range(20):
            started = time.monotonic()
            assert answer_to(provider, sent) is Answer.VERIFIED
            seconds.append(time.monotonic() - started)

    in_threads(4, call)
    assert max(seconds) < 2.5
    assert len([each for each in seconds if each > 0.9]) == 1


def test_an_issuer_that_hangs_and_nothing_known_is_a_503_in_time(server):
    server.seconds = 3
    provider, answers = provider_for(server, timeout=0.5), []
    started = time.monotonic()
    in_threads(8, lambda which: answers.append(answer_to(provider, token())))
    assert time.monotonic() - started < 2
    assert answers == [Answer.BACKEND_DOWN] * 8
    assert server.counts == {"/jwks": 1}


def test_a_question_from_before_a_loading_has_landed_is_answered_by_that_one():
    """It looked for keys before they were there, and for somebody who loads them after that one had ended."""
    calls = []

    def load():
        calls.append(1)
        return require_key_set(jwks(jwk(RSA)), ["RS256"]), 600

    keys, asked_at = RemoteKeys(load, timeout=1, stale_seconds=0), jwks_module.monotonic()
    assert keys.find(None, "RS256") is not None
    keys._refresh(asked_at, wait=True)
    assert calls == [1]


def test_a_bug_while_loading_holds_nobody_up():
    def load():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return KeySet(require_key_set(jwks(jwk(RSA)), ["RS256"]).keys), 600

    calls = []
    keys = RemoteKeys(load, timeout=1, stale_seconds=0)
    with pytest.raises(RuntimeError):
        keys.find(None, "RS256")
    with pytest.raises(BackendError):
        keys.find(None, "RS256")
    keys._retry_at = 0
    assert keys.find(None, "RS256") is not None


def test_a_fetch_that_was_under_way_in_the_process_that_forked_is_not_waited_for(clock):
    keys = RemoteKeys(lambda: (require_key_set(jwks(jwk(RSA)), ["RS256"]), 600), timeout=1, stale_seconds=0)
    keys._flight = jwks_module._Flight(jwks_module.monotonic() + 2)
    clock.ahead += 3
    assert keys.find(None, "RS256") is not None


def test_https_is_asked_for_and_a_certificate_is_checked(server, tmp_path):
    with pytest.raises(ConfigurationError, match="must be https"):
        provider_for(server, allow_http=False)
    certificate = make_certificate(tmp_path, "127.0.0.1")
    with scripted_server(server_tls(tmp_path)) as encrypted:
        encrypted.answer_json("/jwks", jwks(jwk(RSA, kid="one")))
        trusting = provider_for(encrypted, allow_http=False, ca_file=str(certificate))
        assert answer_to(trusting, token()) is Answer.VERIFIED
        assert answer_to(provider_for(encrypted, allow_http=False), token()) is Answer.BACKEND_DOWN


# Discovery


def discovering(server, **options):
    given = {"issuer": server.url, "algorithms": ["RS256"], "allow_http": True, "timeout": 2, **options}
    return JWTAuthenticator(audience=AUDIENCE, discovery=True, **given)


@pytest.mark.parametrize("path", ["", "/", "/realms/demo", "/realms/demo/"])
def test_an_issuer_says_where_its_keys_are(server, path):
    issuer = server.url + path
    where = f"{path.rstrip('/')}/.well-known/openid-configuration"
    server.answer_json(where, {"issuer": issuer, "jwks_uri": f"{server.url}/jwks"})
    provider = discovering(server, issuer=issuer)
    assert answer_to(provider, token(iss=issuer)) is Answer.VERIFIED
    assert answer_to(provider, token(iss=issuer + "x")) is Answer.WRONG_CREDENTIALS
    assert server.counts == {where: 1, "/jwks": 1}


def test_a_storm_costs_no_more_with_discovery(server):
    server.answer_json("/.well-known/openid-configuration", {"issuer": server.url, "jwks_uri": f"{server.url}/jwks"})
    provider = discovering(server)
    for i in range(200):
        assert answer_to(provider, token(iss=server.url, kid=f"made-up-{i}")) is Answer.WRONG_CREDENTIALS
    assert server.counts == {"/.well-known/openid-configuration": 1, "/jwks": 2}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"issuer": "ISSUER"},
        {"issuer": "ISSUER", "jwks_uri": None},
        {"issuer": "ISSUER", "jwks_uri": 7},
        {"issuer": "ISSUER", "jwks_uri": "/jwks"},
        {"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "ISSUER", "jwks_uri": "ftp://127.0.0.1/jwks"},
        {"issuer": "ISSUER/", "jwks_uri": "ISSUER/jwks"},
        {"issuer": "https://other.example", "jwks_uri": "ISSUER/jwks"},
        {"issuer": ["ISSUER"], "jwks_uri": "ISSUER/jwks"},
        {"jwks_uri": "ISSUER/jwks"},
        [],
    ],
    ids=show,
)
def test_an_issuer_that_is_another_one_or_says_nothing_is_not_believed(server, document, caplog):
    told = json.dumps(document).replace("ISSUER", server.url).encode()
    server.answers["/.well-known/openid-configuration"] = (200, {}, told)
    assert answer_to(discovering(server), token(iss=server.url)) is Answer.BACKEND_DOWN
    assert "/jwks" not in server.counts


def test_keys_by_http_are_not_fetched_because_the_issuer_says_so(tmp_path, server):
    certificate = make_certificate(tmp_path, "127.0.0.1")
    with scripted_server(server_tls(tmp_path)) as issuer:
        told = {"issuer": issuer.url, "jwks_uri": f"{server.url}/jwks"}
        issuer.answer_json("/.well-known/openid-configuration", told)
        provider = discovering(issuer, allow_http=False, ca_file=str(certificate))
        assert answer_to(provider, token(iss=issuer.url)) is Answer.BACKEND_DOWN
    assert not server.counts


@pytest.mark.parametrize("left", [(404, {}, b""), (200, {}, b"<html>moved</html>")], ids=["nothing", "a page"])
def test_keys_that_have_moved_are_found_again(server, clock, left):
    where = "/.well-known/openid-configuration"
    server.answer_json(where, {"issuer": server.url, "jwks_uri": f"{server.url}/jwks"})
    provider = discovering(server)
    assert answer_to(provider, token(iss=server.url)) is Answer.VERIFIED
    server.answers["/jwks"] = left
    server.answer_json("/new", jwks(jwk(OTHER_RSA, kid="two")))
    server.answer_json(where, {"issuer": server.url, "jwks_uri": f"{server.url}/new"})
    moved = token(key=OTHER_RSA, kid="two", iss=server.url)
    assert answer_to(provider, moved) is Answer.BACKEND_DOWN
    clock.ahead += 2
    assert answer_to(provider, moved) is Answer.VERIFIED
    assert server.counts[where] == 2


def test_discovery_and_keys_together_have_one_timeout(server):
    server.answer_json("/.well-known/openid-configuration", {"issuer": server.url, "jwks_uri": f"{server.url}/jwks"})
    server.seconds = 1
    started = time.monotonic()
    assert answer_to(discovering(server, timeout=1.3), token(iss=server.url)) is Answer.BACKEND_DOWN
    assert time.monotonic() - started < 1.9


@pytest.mark.parametrize("issuer", ["issuer.example", "http://issuer.example", "https://issuer.example/?x=y"])
def test_an_issuer_that_cannot_be_asked_is_told(issuer):
    with pytest.raises(ConfigurationError, match="issuer"):
        KeyDocument(None, issuer=issuer, algorithms=["RS256"], options=FetchOptions(5))
