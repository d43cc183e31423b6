import pytest
from helpers import FAST
from passlib import hash as passlib_hash

from flask_securest import passwords
from flask_securest.errors import ConfigurationError
from flask_securest.passwords import PasswordHasher

PROFILES = [name for name in vars(passwords) if name.startswith(("RFC_", "OWASP_")) and name != "RFC_9106_HIGH_MEMORY"]


def test_a_new_hash_is_argon2id_with_the_parameters_of_rfc_9106():
    assert PasswordHasher().hash("secret").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_hashes_verifies_and_needs_no_rehash(profile):
    hasher = PasswordHasher(**getattr(passwords, profile))
    stored = hasher.hash("secret")
    assert hasher.verify("secret", stored)
    assert not hasher.verify("Secret", stored)
    assert not hasher.needs_rehash(stored)


def test_the_profile_of_two_gigabytes_can_be_configured():
    PasswordHasher(**passwords.RFC_9106_HIGH_MEMORY)


@pytest.mark.parametrize("scheme", passwords.HASHING_SCHEMES)
def test_every_scheme_that_can_be_asked_for_hashes_and_verifies(scheme):
    hasher = PasswordHasher(scheme)
    stored = hasher.hash("pässwörd: ∑")
    assert hasher.verify("pässwörd: ∑", stored)
    assert not hasher.verify("passwort", stored)


@pytest.mark.parametrize(
    ("family", "stored"),
    [
        ("bcrypt", passlib_hash.bcrypt.using(rounds=4).hash("secret")),
        ("scrypt", passlib_hash.scrypt.using(rounds=4).hash("secret")),
        ("pbkdf2_sha256", passlib_hash.pbkdf2_sha256.using(rounds=10).hash("secret")),
        ("pbkdf2_sha512", passlib_hash.pbkdf2_sha512.using(rounds=10).hash("secret")),
        ("sha512_crypt", passlib_hash.sha512_crypt.using(rounds=1000).hash("secret")),
        ("sha256_crypt", passlib_hash.sha256_crypt.using(rounds=1000).hash("secret")),
        ("ldap_salted_sha1", passlib_hash.ldap_salted_sha1.hash("secret")),
        ("apr_md5_crypt", passlib_hash.apr_md5_crypt.hash("secret")),
        ("md5_crypt", passlib_hash.md5_crypt.hash("secret")),
        ("phpass", passlib_hash.phpass.using(rounds=7).hash("secret")),
        ("ldap_sha512_crypt", passlib_hash.ldap_sha512_crypt.using(rounds=1000).hash("secret")),
        ("django_pbkdf2_sha256", passlib_hash.django_pbkdf2_sha256.using(rounds=10).hash("secret")),
        # Made by other programs: openssl passwd -6 and -apr1, slappasswd -h {SSHA}.
        (
            "openssl -6",
            "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
        ),
        ("openssl -apr1", "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"),
    ],
    ids=lambda value: value if " " in value or value.isidentifier() else "",
)
def test_what_other_systems_have_stored_is_verified_and_wants_a_rehash(family, stored):
    assert FAST.verify("secret", stored)
    assert not FAST.verify("Secret", stored)
    assert not FAST.verify("", stored)
    assert FAST.needs_rehash(stored)


def test_a_hash_with_other_parameters_wants_a_rehash():
    assert PasswordHasher(**passwords.OWASP_ARGON2ID).needs_rehash(FAST.hash("secret"))
    assert FAST.needs_rehash("gibberish")


MALFORMED = [
    "",
    "!",
    "*",
    "*LK*",
    "x",
    "secret",
    "$2b$12$short",
    "$argon2id$v=19$m=1",
    "$argon2id$v=19$m=8,t=1,p=1$!$!",
]
MALFORMED += [
    "$6$rounds=99999999999$a$b",
    "{SSHA}",
    "{SSHA}!!!",
    "{CRYPT}",
    "{CLEARTEXT}secret",
    "\x00",
    "é",
    "$" * 9999,
]
MALFORMED += [
    "$scrypt$ln=99,r=8,p=1$abc$def",
    "$pbkdf2-sha256$0$a$b",
    "$argon2id$v=19$m=99999999999,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
]


@pytest.mark.parametrize("stored", MALFORMED, ids=lambda stored: ascii(stored)[:40])
@pytest.mark.parametrize("password", ["secret", "", "x" * 5000, "\x00", "\ud800"], ids=lambda text: ascii(text)[:12])
def test_a_stored_hash_that_cannot_be_read_lets_nobody_in_and_is_logged(stored, password, caplog):
    assert FAST.verify(password, stored, owner="alice") is False
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "'alice'" in record.getMessage()
    assert "secret" not in record.getMessage()


@pytest.mark.parametrize("stored", ["secret", "!", "*LK*"])
def test_a_stored_plain_text_is_not_the_password(stored):
    assert not FAST.verify(stored, stored)


def test_a_stolen_hash_is_not_the_password():
    stored = FAST.hash("secret")
    assert not FAST.verify(stored, stored)


@pytest.mark.parametrize("password", ["x" * 73, "x" * 80, "ü" * 37, "x" * 5000, "nul\x00"], ids=lambda text: text[:5])
def test_a_password_that_bcrypt_cannot_take_is_refused_and_logged(password, caplog):
    stored = passlib_hash.bcrypt.using(rounds=4).hash("x" * 72)
    assert FAST.verify(password, stored, owner="alice") is False
    assert "cannot take such a password" in caplog.text


def test_with_nothing_stored_it_does_the_work_of_a_verification_and_says_no():
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    verified = []
    verify = hasher._context.verify
    hasher._context.verify = lambda password, stored: verified.append(stored) or verify(password, stored)
    assert hasher.verify("secret", None) is False
    assert hasher.verify("", None) is False
    first, second = verified
    assert first == second
    assert first.startswith("$argon2id$v=19$m=8,t=1,p=1$")


def test_the_dummy_hash_is_of_the_configured_scheme_and_random():
    bcrypt = PasswordHasher("bcrypt", rounds=4)
    assert bcrypt._dummy_hash.startswith("$2b$04$")
    assert bcrypt._dummy_hash != PasswordHasher("bcrypt", rounds=4)._dummy_hash


def test_an_unreadable_hash_costs_the_same_work():
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    verified = []
    verify = hasher._context.verify
    hasher._context.verify = lambda password, stored: verified.append(stored) or verify(password, stored)
    hasher.verify("secret", "gibberish")
    assert verified == ["gibberish", hasher._dummy_hash]


def test_neither_plain_text_nor_an_unsalted_scheme_is_verified():
    for scheme in passwords.VERIFIED_SCHEMES:
        assert "plaintext" not in scheme
        assert "salt" in getattr(passlib_hash, scheme).setting_kwds


@pytest.mark.parametrize(
    "arguments",
    [
        {"scheme": "plaintext"},
        {"scheme": "hex_md5"},
        {"scheme": "unknown"},
        {"scheme": None},
        {"scheme": "bcrypt", "rounds": 99},
        {"scheme": "bcrypt", "time_cost": 1},
        {"time_cost": 0},
        {"time_cost": "x"},
        {"colour": "red"},
    ],
    ids=repr,
)
def test_a_scheme_or_parameter_that_cannot_be_is_told_at_once(arguments):
    with pytest.raises(ConfigurationError, match=r"scheme must be|PasswordHasher"):
        PasswordHasher(**arguments)
