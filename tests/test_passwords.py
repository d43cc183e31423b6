import importlib.metadata
import subprocess
import sys

import pytest
from helpers import FAST, show
from passlib import hash as passlib_hash
from werkzeug.security import generate_password_hash

from flask_securest import User, passwords
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import BackendError, ConfigurationError
from flask_securest.passwords import PasswordHasher
from flask_securest.support import hashes

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
        ("werkzeug scrypt", generate_password_hash("secret", "scrypt:1024:8:1")),
        ("werkzeug pbkdf2", generate_password_hash("secret", "pbkdf2:sha256:1000")),
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

MALFORMED += [
    f"{method}$salt${'0' * 64}"
    for method in (
        *("scrypt:99999999999:8:1", "scrypt:1099511627776:8:1", "scrypt:x:8:1", "scrypt:2:8"),
        *("pbkdf2:sha256:0", "pbkdf2:sha256:99999999999999999999999", "pbkdf2:nosuch:1000", "sha256", "plain"),
    )
]


@pytest.mark.parametrize("stored", MALFORMED, ids=lambda stored: ascii(stored)[:40])
@pytest.mark.parametrize("password", ["secret", "", "x" * 256, "\x00", "\ud800"], ids=lambda text: ascii(text)[:12])
def test_a_stored_hash_that_cannot_be_read_lets_nobody_in_and_is_logged(stored, password, caplog):
    assert FAST.verify(password, stored) is False
    assert FAST.examine(password, stored) is None
    assert caplog.records == [], "only who knows whose it is has something to say"
    user = User("alice", stored)
    assert PasswordAuthenticator(password_hasher=FAST)._verify(password, user) is False
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


@pytest.mark.parametrize("password", ["x" * 73, "x" * 80, "ü" * 37, "x" * 256, "nul\x00"], ids=lambda text: text[:5])
def test_a_password_that_bcrypt_cannot_take_is_refused_and_logged(password, caplog):
    stored = passlib_hash.bcrypt.using(rounds=4).hash("x" * 72)
    assert FAST.verify(password, stored) is False
    assert PasswordAuthenticator(password_hasher=FAST)._verify(password, User("alice", stored)) is False
    assert "takes no such password" in caplog.text


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
    assert bcrypt._dummy_hash == PasswordHasher("bcrypt", rounds=4)._dummy_hash, "one for each process"
    code = "from flask_securest.passwords import PasswordHasher as P; print(P('bcrypt', rounds=4)._dummy_hash)"
    others = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(others) == 2


@pytest.mark.parametrize(
    "stored",
    [None, FAST.hash("secret"), passlib_hash.md5_crypt.hash("secret")],
    ids=["none", "argon2", "md5_crypt"],
)
@pytest.mark.parametrize("password", ["wrong", "", "x" * 257], ids=len)
def test_a_hash_that_can_be_read_is_told_from_one_that_cannot(stored, password):
    assert FAST.examine(password, stored) is False
    assert FAST.examine("secret", stored) is (stored is not None)


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
    ids=show,
)
def test_a_scheme_or_parameter_that_cannot_be_is_told_at_once(arguments):
    with pytest.raises(ConfigurationError, match=r"scheme must be|PasswordHasher"):
        PasswordHasher(**arguments)


def count_checks(hasher, monkeypatch):
    """Return a list that gets, for every verification, which hash the password was held against."""
    checked = []
    verify = hasher._context.verify
    monkeypatch.setattr(
        hasher._context,
        "verify",
        lambda password, stored: checked.append((password, stored)) or verify(password, stored),
    )
    return checked


def test_the_dummy_is_verified_with_the_password_that_was_sent(monkeypatch):
    """The crypt(3) families take longer for a longer password: 2.8 ms for nobody and 69 ms for alice."""
    hasher = PasswordHasher("sha512_crypt", rounds=1000)
    checked = count_checks(hasher, monkeypatch)
    hasher.verify("x" * 200, None)
    assert checked == [("x" * 200, hasher._dummy_hash)]


@pytest.mark.parametrize(
    "stored",
    [None, FAST.hash("x"), "gibberish", passlib_hash.md5_crypt.hash("x")],
    ids=["none", "argon2", "gibberish", "md5_crypt"],
)
def test_a_password_that_is_too_long_costs_one_verification_whoever_it_is(stored, monkeypatch):
    """One request of four kilobytes kept a processor busy for ten seconds, with a hash of sha512_crypt."""
    checked = count_checks(FAST, monkeypatch)
    assert FAST.verify("x" * 257, stored) is False
    assert checked == [("", FAST._dummy_hash)]


def test_a_user_with_a_hash_of_another_family_is_not_refused_sooner_than_nobody(monkeypatch):
    stored = passlib_hash.md5_crypt.hash("secret")
    checked = count_checks(FAST, monkeypatch)
    assert FAST.verify("wrong", stored) is False
    assert [held_against for _, held_against in checked] == [stored, FAST._dummy_hash]
    checked.clear()
    assert FAST.verify("secret", stored) is True
    assert [held_against for _, held_against in checked] == [stored]


def test_bcrypt_never_cuts_a_password():
    """Before its release 5 it took any password that begins with the right 72 bytes."""
    hasher = PasswordHasher("bcrypt", rounds=4)
    hasher._context.verify = lambda password, stored: True
    stored = passlib_hash.bcrypt.using(rounds=4).hash("x" * 72)
    assert hasher.verify("x" * 72, stored)
    assert not hasher.verify("x" * 72 + "anything", stored)
    for password in ("x" * 73, "ü" * 37):
        with pytest.raises(ValueError, match="at most 72 bytes"):
            hasher.hash(password)


def test_a_password_that_is_too_long_is_not_hashed():
    FAST.hash("x" * 256)
    with pytest.raises(ValueError, match="at most 256 bytes"):
        FAST.hash("x" * 257)


def test_a_password_is_the_same_in_every_normal_form_of_unicode():
    composed, decomposed = "p\u00e4ssword", "pa\u0308ssword"
    for made_from in (composed, decomposed):
        for sent in (composed, decomposed):
            assert FAST.verify(sent, FAST.hash(made_from))


@pytest.mark.parametrize(
    "error", [MemoryError(), ValueError("argon2_cffi reported: Memory allocation error")], ids=show
)
@pytest.mark.parametrize("stored", [None, "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"])
def test_a_server_that_is_short_of_memory_cannot_tell_now(error, stored, monkeypatch):
    def fail(password, stored):
        raise error

    monkeypatch.setattr(FAST._context, "verify", fail)
    with pytest.raises(BackendError, match="not enough memory"):
        FAST.verify("secret", stored)


@pytest.mark.parametrize(
    ("scheme", "beginning"),
    [
        ("pbkdf2_sha256", "$pbkdf2-sha256$600000$"),
        ("pbkdf2_sha512", "$pbkdf2-sha512$210000$"),
        ("scrypt", "$scrypt$ln=17,r=8,p=1$"),
    ],
)
def test_without_parameters_a_scheme_has_those_of_owasp(scheme, beginning):
    assert PasswordHasher(scheme).hash("secret").startswith(beginning)


@pytest.mark.parametrize("parameters", [{"salt": "a" * 22}, {"salt_size": 0}, {"salt_size": 16}], ids=show)
def test_a_salt_cannot_be_configured(parameters):
    with pytest.raises(ConfigurationError, match="a salt cannot be configured"):
        PasswordHasher("pbkdf2_sha256", **parameters)


def test_a_cost_at_which_nothing_could_be_hashed_is_told_at_once():
    with pytest.raises(ConfigurationError, match="more than 2 GiB"):
        PasswordHasher("scrypt", rounds=21)


class TestPasslibItself:
    def test_it_is_loaded_by_the_first_password_and_not_before(self):
        code = """
import sys
from flask import Flask
from flask_restful import Api
from flask_securest import SecuREST
from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator
from flask_securest.userstores import HtpasswdUserstore, SimpleUserstore
api_keys = HeaderApiKeyAuthenticator("X-API-Key")
api_keys.register_key("k" * 32, app_name="ci")
passwords = PasswordAuthenticator()
SecuREST(Api(Flask("tests")), userstore=SimpleUserstore({"users": []}), authentication_providers=[api_keys, passwords])
before = {"passlib", "argon2"} & set(sys.modules)
passwords.password_hasher.hash("wonderland")
print(sorted(before), sorted({"passlib", "argon2"} & set(sys.modules)))
"""
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("[] ['argon2', 'passlib']", "")

    @pytest.mark.parametrize(
        ("installed", "told"), [({"libpass"}, False), ({"passlib"}, False), ({"passlib", "libpass"}, True)]
    )
    def test_two_packages_over_its_files_are_told_once_at_the_first_password(
        self, installed, told, monkeypatch, caplog
    ):
        """The one that came last is in force: with passlib 1.7.4 the right password is a 401 for hashes of bcrypt."""

        def find(name):
            if name not in installed:
                raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr("importlib.metadata.distribution", find)
        hashes._tell_of_two_passlibs.cache_clear()
        try:
            for _ in range(2):
                PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("wonderland")
        finally:
            hashes._tell_of_two_passlibs.cache_clear()
        assert [record.levelname for record in caplog.records if "pip uninstall" in record.message] == ["ERROR"] * told
