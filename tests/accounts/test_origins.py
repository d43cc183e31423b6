"""An account is an origin and a name: where each user comes from, and what a provider may vouch for."""

import copy
import pickle

import pytest
from flask import jsonify
from flask_restful import Resource
from helpers import FAST, basic, secured

from flask_securest import UNSET, Identity, User, current_identity
from flask_securest.authentication_providers import (
    AbstractAuthenticationProvider,
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
)
from flask_securest.errors import ConfigurationError
from flask_securest.keystores import SimpleKeystore
from flask_securest.userstores import AbstractVerifyingUserstore, SimpleUserstore


class Whose(Resource):
    def get(self):
        return jsonify([current_identity.user.username, current_identity.provider, current_identity.origin])


class Directory(AbstractVerifyingUserstore):
    def get_user(self, identifier):
        return User("root", roles=["intern"]) if identifier == "root" else None

    def verify_password(self, username, password):
        return self.get_user(username) if password == "intern" else None


class Says(AbstractAuthenticationProvider):
    name = "says"

    def __init__(self, answer):
        self.answer = answer

    def authenticate(self, request, userstore):
        return self.answer


def new_store():
    return SimpleUserstore({"users": [{"username": "root", "password": FAST.hash("secret"), "roles": ["admin"]}]})


def origin_by(*providers, userstore=None, headers=None):
    answer = secured(Whose, providers=providers, userstore=userstore)[0].test_client().get("/whose", headers=headers)
    return answer.json[2] if answer.status_code == 200 else answer.status_code


def test_the_users_of_the_apis_userstore_have_no_origin():
    provider = PasswordAuthenticator(password_hasher=FAST)
    assert origin_by(provider, userstore=new_store(), headers=basic("root", "secret")) is None


def test_the_users_of_a_store_of_its_own_have_the_name_of_the_provider():
    providers = PasswordAuthenticator(password_hasher=FAST), PasswordAuthenticator(userstore=Directory(), name="ldap")
    assert origin_by(*providers, userstore=new_store(), headers=basic("root", "intern")) == "ldap"


def test_a_store_of_its_own_that_is_the_apis_is_the_apis():
    store = new_store()
    provider = PasswordAuthenticator(password_hasher=FAST, userstore=store, name="again")
    assert origin_by(provider, userstore=store, headers=basic("root", "secret")) is None


@pytest.mark.parametrize("answer", [User("root"), Identity(User("root")), Identity(User("root"), origin="says")])
def test_users_that_a_provider_makes_up_are_its_own(answer):
    assert origin_by(Says(answer), userstore=new_store()) == "says"
    assert origin_by(Says(answer)) == "says"


def test_it_is_the_registered_name_that_counts():
    app, _, securest = secured(Whose, providers=[], userstore=new_store())
    securest.register_authentication_provider(Says(Identity(User("root"), origin="says:acme")), "other")
    assert app.test_client().get("/whose").json == ["root", "other", "other:acme"]


@pytest.mark.parametrize("origin", [None, "ldap", "says2", "sayss:x", "password:says"])
def test_a_provider_cannot_vouch_for_the_accounts_of_another(origin, caplog):
    says = Says(Identity(User("root"), origin=origin))
    providers = says, PasswordAuthenticator(userstore=Directory(), name="ldap")
    assert origin_by(*providers, userstore=new_store()) == 500
    assert "can vouch for its own only: 'says'" in caplog.text


def test_a_provider_whose_body_says_so_answers_with_the_apis_users():
    class Looks(Says):
        uses_api_userstore = True

        def authenticate(self, request, userstore):
            return userstore.get_user("root")

    assert origin_by(Looks(None), userstore=new_store()) is None

    class Overriding(Looks):
        def authenticate(self, request, userstore):
            return User("root")

    assert origin_by(Overriding(None), userstore=new_store()) == "says"

    class SaysItAgain(Overriding):
        uses_api_userstore = True

    assert origin_by(SaysItAgain(None), userstore=new_store()) is None
    object_of_it = Overriding(None)
    object_of_it.uses_api_userstore = True
    assert origin_by(object_of_it, userstore=new_store()) is None


def test_an_application_has_the_origin_of_its_keys():
    keys = HeaderApiKeyAuthenticator()
    keys.register_key("a-long-key", "ci")
    assert origin_by(keys, headers={"X-API-Key": "a-long-key"}) == "api-key"
    app, _, securest = secured(Whose, providers=[])
    securest.register_authentication_provider(keys, "machines")
    assert app.test_client().get("/whose", headers={"X-API-Key": "a-long-key"}).json == ["ci", "machines", "machines"]


def test_the_owner_of_a_key_is_the_apis_account():
    keystore = SimpleKeystore()
    owned, free = keystore.issue(owner=User("root")), keystore.issue(app_name="root")
    provider = HeaderApiKeyAuthenticator(keystore=keystore)
    assert origin_by(provider, userstore=new_store(), headers={"X-API-Key": owned.text}) is None
    assert origin_by(provider, userstore=new_store(), headers={"X-API-Key": free.text}) == "api-key"


@pytest.mark.parametrize("name", ["", "?", "a:b", ":", " "])
def test_a_name_that_cannot_be_an_origin_is_refused(name):
    _, _, securest = secured(Whose, providers=[])
    with pytest.raises(ConfigurationError, match="the name of a provider must"):
        securest.register_authentication_provider(Says(None), name)


@pytest.mark.parametrize("origin", ["", "?", 7, True, b"ldap"])
def test_an_identity_takes_no_origin_that_is_none(origin):
    with pytest.raises((TypeError, ValueError), match="origin must be the name of a provider"):
        Identity(User("root"), origin=origin)


def test_an_identity_says_nothing_of_its_origin_until_it_is_told():
    assert Identity(User("root")).origin is UNSET
    assert repr(UNSET) == "UNSET"
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET


class TestClaims:
    def test_they_cannot_be_written_into_at_any_depth(self):
        claims = Identity(User("a"), claims={"realm": {"roles": ["x", {"y": [1]}]}}).claims
        assert claims["realm"]["roles"] == ("x", {"y": (1,)})
        for each in (claims, claims["realm"], claims["realm"]["roles"]):
            with pytest.raises(TypeError):
                each["z"] = 1
        assert list(claims) == ["realm"]
        assert len(claims) == 1
        assert claims.get("tenant") is None

    def test_what_the_provider_changes_later_does_not_change_them(self):
        said = {"tenant": "acme"}
        identity = Identity(User("a"), claims=said)
        said["tenant"] = "evil"
        assert identity.claims["tenant"] == "acme"

    def test_they_do_not_show_in_a_repr(self):
        assert "acme" not in repr(Identity(User("a"), claims={"tenant": "acme"}))

    def test_they_can_be_copied_and_pickled(self):
        identity = Identity(User("a"), claims={"tenant": ["acme"]})
        assert copy.deepcopy(identity) == pickle.loads(pickle.dumps(identity)) == identity
        assert identity.claims == {"tenant": ("acme",)}

    @pytest.mark.parametrize("claims", [None, "a", [("a", 1)], 7])
    def test_they_are_a_mapping(self, claims):
        with pytest.raises(TypeError, match="claims must be a mapping"):
            Identity(User("a"), claims=claims)

    def test_there_are_none_by_default(self):
        assert Identity(User("a")).claims == {}
