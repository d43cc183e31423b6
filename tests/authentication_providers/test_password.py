import base64
import copy
import hmac

import pytest
from helpers import ALICE, FAST, Scripted, api_key, basic, make_userstore, new_who, secured, show, with_key
from passlib.hash import md5_crypt

from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.errors import (
    AccountStatusError,
    AuthenticationError,
    BackendError,
    BadCredentialsError,
    ConfigurationError,
)
from flask_securest.passwords import PasswordHasher
from flask_securest.testing import ForbiddenUserstore, make_request
from flask_securest.userstores import AbstractUserstore, AbstractVerifyingUserstore, SimpleUserstore
from flask_securest.userstores.abstract import AbstractWritableUserstore


def passwords(**options):
    return [PasswordAuthenticator(password_hasher=FAST, **options)]


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
def test_the_scheme_is_compared_without_regard_to_case(scheme):
    client = secured(new_who(), providers=passwords())[0].test_client()
    header = ALICE["Authorization"].replace("Basic", scheme)
    assert client.get("/who", headers={"Authorization": header}).json == {"user": "alice", "provider": "password"}


def test_there_may_be_several_spaces_behind_the_scheme():
    client = secured(new_who(), providers=passwords())[0].test_client()
    header = ALICE["Authorization"].replace(" ", "   ")
    assert client.get("/who", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize(
    "password", ["with:colon", ":", "::a:", "pässwörd", "密码🔑", " spaces ", "x" * 256], ids=ascii
)
def test_any_password_of_printable_text_works(password):
    store = SimpleUserstore([User("zoë", FAST.hash(password))])
    client = secured(new_who(), providers=passwords(), userstore=store)[0].test_client()
    assert client.get("/who", headers=basic("zoë", password)).json["user"] == "zoë"
    assert client.get("/who", headers=basic("zoë", password + "x")).status_code == 401


NFC, NFD = "J\u00fcrgen", "Ju\u0308rgen"


@pytest.mark.parametrize(
    ("stored", "sent", "found"),
    [([NFC], NFC, NFC), ([NFC], NFD, NFC), ([NFD], NFD, NFD), ([NFD], NFC, None), ([NFC, NFD], NFD, NFC)],
    ids=ascii,
)
def test_a_name_is_looked_up_in_the_form_nfc_first_and_then_as_it_was_sent(stored, sent, found):
    users = SimpleUserstore([User(each, FAST.hash(ascii(each))) for each in stored])
    client = secured(new_who(), providers=passwords(), userstore=users)[0].test_client()
    answer = client.get("/who", headers=basic(sent, ascii(stored[0])))
    assert (answer.json["user"] if answer.status_code == 200 else None) == found
    assert client.get("/who", headers=basic(sent, "wrong")).status_code == 401
    assert PasswordAuthenticator().account_of(make_request(basic(sent, "x"))) == NFC


@pytest.mark.parametrize("stored", [NFC, NFD], ids=ascii)
def test_so_it_is_where_the_store_verifies_the_password(stored):
    class Store(AbstractVerifyingUserstore):
        def __init__(self):
            self.asked = []

        def get_user(self, identifier):
            raise AssertionError

        def verify_password(self, username, password):
            self.asked.append(username)
            return User(username) if username == stored and password == "pw" else None

    store = Store()
    client = secured(new_who(), providers=passwords(), userstore=store)[0].test_client()
    assert client.get("/who", headers=basic(NFD, "pw")).json["user"] == stored
    assert store.asked == ([NFC] if stored == NFC else [NFC, NFD])


def test_latin_1_is_not_guessed():
    store = SimpleUserstore([User("zoë", FAST.hash("pässwörd"))])
    client = secured(new_who(), providers=passwords(), userstore=store)[0].test_client()
    header = "Basic " + base64.b64encode("zoë:pässwörd".encode("latin-1")).decode()
    assert client.get("/who", headers={"Authorization": header}).status_code == 401


def test_unknown_wrong_and_disabled_all_hash_once_before_anybody_looks_at_the_status(monkeypatch):
    """Timing: FINDINGS of others show 1 : 1670 between an unknown user and a wrong password."""
    client = secured(new_who(), providers=passwords())[0].test_client()
    client.get("/who")  # prepares the dummy
    checked = []
    verify = FAST._context.verify
    monkeypatch.setattr(FAST._context, "verify", lambda *given: checked.append(given) or verify(*given))
    for username, password in [
        ("nobody", "x"),
        ("alice", "x"),
        ("mallory", "x"),
        ("mallory", "malice"),
        ("robot", "x"),
        ("alice", "wonderland"),
    ]:
        checked.clear()
        client.get("/who", headers=basic(username, password))
        assert len(checked) == 1, (username, password)


def test_a_disabled_user_gets_what_everybody_else_gets_who_is_refused():
    client = secured(new_who(), providers=passwords())[0].test_client()
    answers = [
        client.get("/who", headers=headers)
        for headers in (basic("mallory", "malice"), basic("mallory", "x"), basic("nobody", "x"), basic("alice", "x"))
    ]
    assert {(answer.status, answer.data, str(answer.headers)) for answer in answers} == {
        (answers[0].status, answers[0].data, str(answers[0].headers))
    }
    assert answers[0].status_code == 401


def test_a_user_whose_hash_cannot_be_read_is_refused_and_logged_by_name(caplog):
    store = SimpleUserstore([User("alice", "wonderland"), User("bob", "$2b$12$short")])
    client = secured(new_who(), providers=passwords(), userstore=store)[0].test_client()
    assert client.get("/who", headers=ALICE).status_code == 401
    assert "the stored password hash of user 'alice' cannot be read" in caplog.text
    assert client.get("/who", headers=basic("bob", "x")).status_code == 401
    assert "the stored password hash of user 'bob' cannot be read" in caplog.text
    assert "wonderland" not in caplog.text


def test_a_hash_that_cannot_be_read_costs_no_second_verification(monkeypatch, caplog):
    """One for the hash, which takes no time, and one for the dummy, as for everybody."""
    store = SimpleUserstore([User("alice", "$2b$12$short")])
    client = secured(new_who(), providers=passwords(), userstore=store)[0].test_client()
    client.get("/who")  # prepares the dummy
    checked = []
    verify = FAST._context.verify
    monkeypatch.setattr(FAST._context, "verify", lambda *given: checked.append(given) or verify(*given))
    assert client.get("/who", headers=ALICE).status_code == 401
    assert [stored for _, stored in checked] == ["$2b$12$short", FAST._dummy_hash]
    assert caplog.text.count("cannot be read") == 1


class Reversed(PasswordHasher):
    """The hashes of a system from before, and ours."""

    asked = ()

    def verify(self, password, stored):
        self.asked = (*self.asked, stored)
        if stored is not None and stored.startswith("reversed:"):
            super().verify(password, None)  # the same work
            return hmac.compare_digest(stored[9:].encode(), password[::-1].encode())
        return super().verify(password, stored)


class TestAPasswordHasherOfOnesOwn:
    @pytest.fixture(autouse=True)
    def _api(self):
        self.hasher = Reversed(time_cost=1, memory_cost=8, parallelism=1)
        self.store = SimpleUserstore(
            [User("alice", "reversed:dnalrednow"), User("bob", FAST.hash("builder")), User("carol", "gibberish")]
        )
        provider = PasswordAuthenticator(password_hasher=self.hasher)
        self.client = secured(new_who(), providers=[provider], userstore=self.store)[0].test_client()

    def status_of(self, *pair):
        return self.client.get("/who", headers=basic(*pair)).status_code

    def test_its_verify_has_the_signature_of_the_contract_and_is_asked_once_each_time(self):
        assert self.status_of("alice", "wonderland") == 200
        assert self.status_of("bob", "builder") == 200
        assert self.status_of("alice", "dnalrednow") == 401
        assert self.status_of("nobody", "x") == 401
        stored = self.store.get_user("bob").password
        assert self.hasher.asked == ("reversed:dnalrednow", stored, "reversed:dnalrednow", None)

    def test_its_hashes_are_not_said_to_be_unreadable(self, caplog):
        for name in ("alice", "bob", "carol", "nobody"):
            assert self.status_of(name, "wrong") == 401
        assert "cannot be read" not in caplog.text

    def test_one_that_overrides_examine_instead_has_its_unreadable_hashes_logged_by_name(self, caplog):
        class Peppered(PasswordHasher):
            def examine(self, password, stored):
                return super().examine(f"pepper{password}", stored)

        users = [User("alice", FAST.hash("pepperwonderland")), User("bob", "gibberish")]
        provider = PasswordAuthenticator(password_hasher=Peppered(time_cost=1, memory_cost=8, parallelism=1))
        client = secured(new_who(), providers=[provider], userstore=SimpleUserstore(users))[0].test_client()
        assert client.get("/who", headers=ALICE).status_code == 200
        assert client.get("/who", headers=basic("bob", "x")).status_code == 401
        assert "hash of user 'bob' cannot be read" in caplog.text

    @pytest.mark.parametrize("said", [None, 1, "yes", [True]], ids=show)
    def test_what_is_neither_true_nor_false_is_a_bug_and_no_yes(self, said, monkeypatch):
        """The coroutine of an ``async def verify`` would be true, whatever was sent."""
        monkeypatch.setattr(Reversed, "verify", lambda self, password, stored: said)
        assert self.status_of("alice", "wrong") == 500


def test_a_password_of_over_72_bytes_is_refused_with_bcrypt_and_logged(caplog):
    hasher = PasswordHasher("bcrypt", rounds=4)
    store = SimpleUserstore([User("alice", hasher.hash("x" * 72))])
    provider = PasswordAuthenticator(password_hasher=hasher)
    client = secured(new_who(), providers=[provider], userstore=store)[0].test_client()
    assert client.get("/who", headers=basic("alice", "x" * 72)).status_code == 200
    assert client.get("/who", headers=basic("alice", "x" * 73)).status_code == 401
    assert "takes no such password" in caplog.text


@pytest.mark.parametrize("answer", [True, "alice", {"username": "alice", "password": None}, []], ids=show)
def test_a_userstore_that_answers_with_no_user_is_a_bug(answer):
    class Careless(AbstractUserstore):
        def get_user(self, identifier):
            return answer

    client = secured(new_who(), providers=passwords(), userstore=Careless())[0].test_client()
    assert client.get("/who", headers=ALICE).status_code == 500


def test_a_userstore_that_is_down_is_a_503():
    class Down(AbstractUserstore):
        def get_user(self, identifier):
            raise BackendError("connection refused")

    client = secured(new_who(), providers=passwords(), userstore=Down())[0].test_client()
    assert client.get("/who", headers=ALICE).status_code == 503


@pytest.mark.parametrize("headers", [{}, ALICE, with_key()], ids=["none", "password", "key"])
def test_without_a_userstore_every_request_is_a_500_whatever_it_carries(headers, caplog):
    Who = new_who()
    client = secured(Who, providers=[api_key(), *passwords()], userstore=None)[0].test_client()
    answer = client.get("/who", headers=headers)
    assert answer.status_code == 500
    assert answer.json == {"message": "Internal Server Error"}
    assert Who.constructed == 0
    assert "the provider 'password' (PasswordAuthenticator) needs a userstore" in caplog.text


def test_a_userstore_that_is_set_later_is_used():
    app, _, securest = secured(new_who(), providers=passwords(), userstore=None)
    assert app.test_client().get("/who", headers=ALICE).status_code == 500
    securest.userstore = make_userstore()
    assert app.test_client().get("/who", headers=ALICE).status_code == 200
    securest.userstore = SimpleUserstore([])
    assert app.test_client().get("/who", headers=ALICE).status_code == 401


def test_a_password_provider_whose_rule_it_is_not_needs_no_userstore():
    from flask_securest import authenticators

    Who = authenticators("api-key")(new_who())
    client = secured(Who, providers=[api_key(), *passwords()], userstore=None)[0].test_client()
    assert client.get("/who", headers=with_key()).status_code == 200


def test_the_challenge_asks_for_utf_8():
    client = secured(new_who(), providers=[*passwords(), Scripted()])[0].test_client()
    assert client.get("/who").headers.getlist("WWW-Authenticate") == ['Basic realm="api", charset="UTF-8"']


def basic_of(*credentials):
    """Return a request with these bytes behind the scheme."""
    return make_request({"Authorization": b"Basic " + base64.b64encode(b":".join(credentials))})


class TestTheAccountThatIsTried:
    @pytest.mark.parametrize("name", ["alice", "nobody", "zoë", "mallory", "' OR 1=1", " ", "a\u2028b"], ids=ascii)
    def test_it_is_the_name_in_the_credentials_and_the_refusal_has_it_where_there_is_such_a_user(self, name):
        (provider,) = passwords()
        request = basic_of(name.encode(), b"wrong:er")
        assert provider.account_of(request) == name
        with pytest.raises(BadCredentialsError) as caught:
            provider.authenticate(request, make_userstore())
        assert caught.value.account == (name if name in ("alice", "mallory") else None), "it may be a password"

    def test_nothing_is_verified_for_it_and_no_store_is_asked(self, monkeypatch):
        (provider,) = passwords(userstore=ForbiddenUserstore())
        monkeypatch.setattr(PasswordHasher, "examine", None)
        assert provider.account_of(basic_of(b"alice", b"wrong")) == "alice"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"X-API-Key": "alice"},
            {"Authorization": "Bearer YWxpY2U6eA=="},
            {"Authorization": "Basic"},
            {"Authorization": "Basic !"},
            {"Authorization": "Basic " + "A" * 10_000},
            {"Authorization": "Basic /zovIA=="},
            {"Authorization": "Basic YWxpY2U="},
            {"Authorization": "Basic YWxpY2U6"},
            {"Authorization": "Basic YWxpY2U6eB=="},
            {"Authorization": "Basic YWxpY2UKOng="},
            {"Authorization": b"Basic \xff\x00"},
            {"Authorization": "Basic \u20ac"},
        ],
        ids=show,
    )
    def test_there_is_none_where_there_are_no_credentials_or_malformed_ones(self, headers):
        (provider,) = passwords()
        assert provider.account_of(make_request(headers)) is None

    def test_a_store_that_verifies_passwords_itself_need_not_say_whose_it_was(self):
        (provider,) = passwords()
        store = Directory()
        for answer, password in (
            (User("alice"), "wrong"),
            (User("alice"), "x" * 257),
            (BadCredentialsError("no"), "wonderland"),
            (AccountStatusError("locked"), "wonderland"),
        ):
            store.answer = answer
            with pytest.raises(AuthenticationError) as caught:
                provider.authenticate(basic_of(b"ALICE", password.encode()), store)
            assert caught.value.account == "ALICE"
        store.answer = AccountStatusError("locked", account="alice")
        with pytest.raises(AccountStatusError) as caught:
            provider.authenticate(basic_of(b"ALICE", b"wonderland"), store)
        assert caught.value.account == "alice", "it knows better"

    def test_it_is_named_where_the_password_was_changed_a_moment_ago(self, monkeypatch):
        store = Renewing([User("alice", md5_crypt.hash("wonderland"))])
        (provider,) = passwords()
        with pytest.raises(BadCredentialsError, match="a moment ago") as caught:
            provider.authenticate(basic_of(b"alice", b"wonderland"), store)
        assert caught.value.account == "alice"


class Renewing(SimpleUserstore, AbstractWritableUserstore):
    """Another process sets another password whenever this one would renew a hash."""

    def set_password(self, username, password_hash, *, expected=None):
        self._users = {username: User(username, FAST.hash("another"))}
        return False

    add_users = set_active = set_roles = remove_user = list_users = None


class Directory(AbstractVerifyingUserstore):
    """Check passwords itself, as a directory does by binding."""

    def __init__(self):
        self.asked = []
        self.answer = User("alice")

    def get_user(self, identifier):
        return User("alice")

    def verify_password(self, username, password):
        self.asked.append((username, password))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if password == "wonderland" else None


class TestAStoreThatVerifiesPasswordsItself:
    @pytest.fixture(autouse=True)
    def _api(self):
        self.store = Directory()
        self.client = secured(new_who(), providers=passwords(), userstore=self.store)[0].test_client()

    def test_it_says_who_it_is(self):
        assert self.client.get("/who", headers=ALICE).json["user"] == "alice"
        assert self.client.get("/who", headers=basic("alice", "wrong")).status_code == 401
        assert self.store.asked == [("alice", "wonderland"), ("alice", "wrong")]

    def test_an_empty_or_endless_password_never_reaches_it(self):
        for password in ("", "x" * 257, "ü" * 129):
            assert self.client.get("/who", headers=basic("alice", password)).status_code == 401
        assert self.store.asked == []

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (User("alice", active=False), 401),
            (AccountStatusError("locked"), 401),
            (BackendError("down"), 503),
            (True, 500),
            ("alice", 500),
        ],
        ids=["disabled", "locked", "down", "True", "a name"],
    )
    def test_whatever_it_answers_only_a_user_is_a_yes(self, answer, status):
        self.store.answer = answer
        assert self.client.get("/who", headers=ALICE).status_code == status

    def test_no_hash_is_verified(self):
        (provider,) = passwords()
        provider.password_hasher = copy.copy(FAST)
        provider.password_hasher.verify = provider.password_hasher.examine = None  # calling them would be a 500
        client = secured(new_who(), providers=[provider], userstore=self.store)[0].test_client()
        assert client.get("/who", headers=ALICE).status_code == 200


class TestAUserstoreOfItsOwn:
    def test_the_administrator_gets_in_while_the_directory_is_down(self):
        directory = Directory()
        directory.answer = BackendError("down")
        local = SimpleUserstore([User("root", FAST.hash("toor"), roles=["admin"])])
        providers = [
            PasswordAuthenticator(name="directory"),
            PasswordAuthenticator(password_hasher=FAST, userstore=local, name="local"),
        ]
        client = secured(new_who(), providers=providers, userstore=directory)[0].test_client()
        assert client.get("/who", headers=basic("root", "toor")).json == {"user": "root", "provider": "local"}
        assert client.get("/who", headers=basic("root", "wrong")).status_code == 503

    def test_it_needs_no_other(self):
        local = SimpleUserstore([User("root", FAST.hash("toor"))])
        providers = [PasswordAuthenticator(password_hasher=FAST, userstore=local)]
        client = secured(new_who(), providers=providers, userstore=None)[0].test_client()
        assert client.get("/who", headers=basic("root", "toor")).status_code == 200

    def test_what_is_no_userstore_is_a_clear_error(self):
        with pytest.raises(ConfigurationError, match="userstore"):
            PasswordAuthenticator(userstore={"root": "toor"})
