"""Two stores that both know ``root`` lend each other nothing: tokens, sessions, refreshing, listing and ending."""

import json

import pytest
from flask import Flask
from flask_restful import Api, Resource
from helpers import FAST, basic, bearer

from flask_securest import SecuREST, User, current_user
from flask_securest.authentication_providers import (
    AbstractAuthenticationProvider,
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.errors import ConfigurationError
from flask_securest.keystores import SimpleKeystore
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.userstores import AbstractVerifyingUserstore, SimpleUserstore

SECRET = "a secret key of the tests, long enough"


class Me(Resource):
    def get(self):
        return [current_user.username, sorted(current_user.roles)]


class Directory(AbstractVerifyingUserstore):
    """As an LDAP directory: it verifies, and its users have no hash."""

    def __init__(self, password="intern", roles=("intern",)):
        self.users = {"root": User("root", roles=roles)}
        self.password = password

    def get_user(self, identifier):
        return self.users.get(identifier)

    def verify_password(self, username, password):
        return self.get_user(username) if password == self.password else None


class Guest(AbstractAuthenticationProvider):
    """Make users up."""

    name = "guest"
    credential_headers = ("X-Guest",)

    def authenticate(self, request, userstore):
        name = request.headers.get("X-Guest")
        return None if name is None else User(name, roles=["guest"])


class FindableGuest(Guest):
    def find_user(self, username, issuer=None):
        return User(username, roles=["guest"]) if issuer is None else None


def new_store():
    return SimpleUserstore({"users": [{"username": "root", "password": FAST.hash("secret"), "roles": ["admin"]}]})


class Service:
    """An Api whose own store knows ``root``, an administrator, and whose directory knows ``root``, an intern."""

    def __init__(self, *more, store=None, userstore="new", directory=None):
        self.directory = directory or Directory()
        self.users = new_store() if userstore == "new" else userstore
        self.tokens = TokenAuthenticator(SECRET, store=store)
        providers = [
            *([PasswordAuthenticator(password_hasher=FAST)] if self.users is not None else []),
            PasswordAuthenticator(userstore=self.directory, name="ldap"),
            *more,
            self.tokens,
        ]
        app = Flask("service")
        api = Api(app)
        self.securest = SecuREST(api, userstore=self.users, authentication_providers=providers)
        add_token_resources(api, self.securest, self.tokens)
        api.add_resource(Me, "/me")
        self.client = app.test_client()

    def trade(self, headers):
        answer = self.client.post("/tokens", headers=headers)
        assert answer.status_code == 200, answer.json
        return answer.json

    def me(self, token):
        answer = self.client.get("/me", headers=bearer(token))
        return answer.json if answer.status_code == 200 else answer.status_code

    def list(self, headers):
        return [session["id"] for session in self.client.get("/tokens", headers=headers).json]

    def refresh(self, token):
        return self.client.post("/tokens/refresh", json={"refresh_token": token})


ADMIN, INTERN = basic("root", "secret"), basic("root", "intern")


@pytest.fixture(params=["no store", "memory"])
def store(request):
    return SimpleTokenstore() if request.param == "memory" else None


class TestTrading:
    def test_a_namesake_in_a_directory_stays_who_it_is(self, store):
        service = Service(store=store)
        intern, admin = service.trade(INTERN), service.trade(ADMIN)
        assert service.me(intern["access_token"]) == ["root", ["intern"]]
        assert service.me(admin["access_token"]) == ["root", ["admin"]]

    def test_the_other_way_round_too(self, store):
        local = SimpleUserstore([User("root", FAST.hash("local"), roles=["local"])])
        service = Service(PasswordAuthenticator(userstore=local, password_hasher=FAST, name="local"), store=store)
        token = service.trade(basic("root", "local"))["access_token"]
        assert service.me(token) == ["root", ["local"]]
        assert service.me(service.trade(INTERN)["access_token"]) == ["root", ["intern"]]

    def test_in_an_api_without_a_userstore(self, store):
        service = Service(store=store, userstore=None)
        assert service.me(service.trade(INTERN)["access_token"]) == ["root", ["intern"]]

    def test_whom_a_provider_makes_up_gets_no_token_and_the_log_says_what_to_write(self, store, caplog):
        service = Service(Guest(), store=store)
        answer = service.client.post("/tokens", headers={"X-Guest": "root"})
        assert answer.status_code == 403
        assert "find_user" not in answer.text
        assert "write its find_user(username, issuer)" in caplog.text

    def test_whom_a_provider_can_find_again_gets_one(self, store):
        service = Service(FindableGuest(), store=store)
        assert service.me(service.trade({"X-Guest": "root"})["access_token"]) == ["root", ["guest"]]

    def test_a_user_who_has_left_the_directory_has_no_token_any_more(self, store):
        service = Service(store=store)
        token = service.trade(INTERN)["access_token"]
        del service.directory.users["root"]
        assert service.me(token) == 401

    def test_a_token_of_a_provider_that_is_not_there_any_more_is_nobodys(self, store):
        token = Service(FindableGuest(), store=store).trade({"X-Guest": "root"})["access_token"]
        other = Service(store=SimpleTokenstore() if store else None)
        assert other.me(token) == 401


class TestSessions:
    def test_nobody_lists_or_ends_the_sessions_of_a_namesake(self):
        service = Service(store=SimpleTokenstore())
        intern, admin = service.trade(INTERN), service.trade(ADMIN)
        assert len(service.list(ADMIN)) == len(service.list(INTERN)) == 1
        assert service.list(ADMIN) != service.list(INTERN)
        assert service.client.delete("/tokens", headers=INTERN).status_code == 204
        assert service.me(intern["access_token"]) == 401
        assert service.me(admin["access_token"]) == ["root", ["admin"]]
        assert service.list(INTERN) == []
        assert len(service.list(ADMIN)) == 1

    def test_a_refreshed_session_stays_that_of_the_directory(self):
        service = Service(store=SimpleTokenstore())
        tokens = service.trade(INTERN)
        again = service.refresh(tokens["refresh_token"])
        assert service.me(again.json["access_token"]) == ["root", ["intern"]]
        del service.directory.users["root"]
        assert service.refresh(again.json["refresh_token"]).status_code == 400
        assert service.list(ADMIN) == []

    def test_refreshing_needs_no_userstore_of_the_api(self):
        service = Service(store=SimpleTokenstore(), userstore=None)
        assert service.refresh(service.trade(INTERN)["refresh_token"]).status_code == 200


class TestGenerating:
    """``generate_auth_token`` in a view."""

    def token_of(self, headers, what):
        service = Service(Guest())

        class Log(Resource):
            def post(self):
                return service.tokens.generate_auth_token(**what(service))

        api = Api(service.client.application)
        api.add_resource(Log, "/log")
        service.securest.init_api(api)
        answer = service.client.post("/log", headers=headers)
        return service.me(answer.json) if answer.status_code == 200 else answer.status_code

    @pytest.mark.parametrize("whom", [lambda: current_user, lambda: "root", lambda: current_user._get_current_object()])
    def test_the_caller_stays_who_it_is(self, whom):
        assert self.token_of(INTERN, lambda service: {"user": whom()}) == ["root", ["intern"]]
        assert self.token_of(ADMIN, lambda service: {"user": whom()}) == ["root", ["admin"]]

    def test_an_origin_can_be_given(self):
        assert self.token_of(ADMIN, lambda service: {"user": "root", "origin": "ldap"}) == ["root", ["intern"]]
        assert self.token_of(INTERN, lambda service: {"user": "root", "origin": None}) == ["root", ["admin"]]

    def test_an_origin_that_cannot_be_looked_up_is_an_error(self):
        assert self.token_of(ADMIN, lambda service: {"user": "root", "origin": "guest"}) == 500
        assert self.token_of(ADMIN, lambda service: {"user": "root", "origin": "nobody"}) == 500
        assert self.token_of({"X-Guest": "root"}, lambda service: {"user": current_user}) == 500

    @pytest.mark.parametrize("user", [User("root"), User("root", roles=["admin"]), User("nobody"), User("root", "x")])
    def test_a_user_that_may_not_be_the_apis_is_an_error_that_asks_for_the_origin(self, user):
        service = Service()
        with pytest.raises(ValueError, match="give origin="):
            service.tokens.generate_auth_token(user)
        service.tokens.generate_auth_token(user, origin=None)

    def test_the_apis_own_user_needs_none(self):
        service = Service()
        user = service.users.get_user("root")
        copied = User("root", user.password)
        for each in (user, copied, "root"):
            assert service.me(service.tokens.generate_auth_token(each)) == ["root", ["admin"]]


class TestDisagreement:
    def test_one_authenticator_for_two_userstores_is_an_error(self):
        tokens = TokenAuthenticator(SECRET)
        kept = SecuREST(Api(Flask("one")), userstore=new_store(), authentication_providers=[tokens])
        with pytest.raises(ConfigurationError, match="serves two SecuREST objects with different userstores"):
            SecuREST(Api(Flask("two")), userstore=new_store(), authentication_providers=[tokens])
        assert kept

    def test_one_tokenstore_for_two_userstores_is_an_error(self):
        store = SimpleTokenstore()
        kept = [
            SecuREST(
                Api(Flask("one")),
                userstore=new_store(),
                authentication_providers=[TokenAuthenticator(SECRET, store=store)],
            )
        ]
        with pytest.raises(ConfigurationError, match="the SimpleTokenstore of 'token' serves two SecuREST objects"):
            SecuREST(
                Api(Flask("two")),
                userstore=new_store(),
                authentication_providers=[TokenAuthenticator(SECRET, store=store)],
            )
        assert kept

    def test_one_authenticator_for_two_providers_of_one_name_is_an_error(self):
        tokens, users = TokenAuthenticator(SECRET), new_store()
        ldap = [PasswordAuthenticator(userstore=Directory(), name="ldap") for _ in range(2)]
        kept = [SecuREST(Api(Flask("one")), userstore=users, authentication_providers=[ldap[0], tokens])]
        with pytest.raises(ConfigurationError, match="each has another provider called 'ldap'"):
            SecuREST(Api(Flask("two")), userstore=users, authentication_providers=[ldap[1], tokens])
        assert kept

    def test_what_comes_later_is_an_error_at_the_first_request(self, caplog):
        tokens, users = TokenAuthenticator(SECRET), new_store()
        one = SecuREST(Api(Flask("one")), userstore=users, authentication_providers=[tokens])
        app = Flask("two")
        api = Api(app)
        api.add_resource(Me, "/me")
        two = SecuREST(api, userstore=users, authentication_providers=[tokens])
        assert app.test_client().get("/me").status_code == 401
        two.userstore = new_store()
        assert app.test_client().get("/me").status_code == 500
        assert "different userstores" in caplog.text
        assert one

    @pytest.mark.parametrize("first", [True, False])
    def test_a_userstore_may_be_set_after_the_authenticator_was_registered(self, first):
        tokens, users = TokenAuthenticator(SECRET), new_store()
        kept = []
        for _ in range(2):
            app = Flask("each")
            api = Api(app)
            api.add_resource(Me, "/me")
            securest = SecuREST(api, userstore=users if first and not kept else None, authentication_providers=[tokens])
            kept.append(securest)
            securest.userstore = users
            assert app.test_client().get("/me", headers=bearer(tokens.generate_auth_token("root"))).status_code == 200

    def test_that_one_api_has_none_is_an_error_once_it_has_answered(self, caplog):
        tokens, clients, kept = TokenAuthenticator(SECRET), [], []
        for users in (new_store(), None):
            app = Flask("each")
            api = Api(app)
            api.add_resource(Me, "/me")
            kept.append(SecuREST(api, userstore=users, authentication_providers=[tokens]))
            clients.append(app.test_client())
        assert [client.get("/me").status_code for client in clients] == [401, 500]
        assert "different userstores" in caplog.text

    def test_the_applications_of_earlier_tests_do_not_count_although_they_are_circles(self):
        tokens = TokenAuthenticator(SECRET, store=SimpleTokenstore())
        for _ in range(3):
            app = Flask("each")
            app.api = Api(app)
            SecuREST(app.api, userstore=new_store(), authentication_providers=[tokens])
            del app

    def test_two_that_agree_may_share_and_one_that_is_gone_does_not_count(self):
        tokens, users = TokenAuthenticator(SECRET), new_store()
        ldap = PasswordAuthenticator(userstore=Directory(), name="ldap")
        for _ in range(2):
            SecuREST(Api(Flask("one")), userstore=users, authentication_providers=[ldap, tokens])


class TestTokensOfKeys:
    """A token that was traded for an API key ends with the key, and with its session."""

    def service(self, store=None):
        keys = SimpleKeystore()
        service = Service(HeaderApiKeyAuthenticator("X-API-Key", keystore=keys), store=store)
        return service, keys

    @pytest.mark.parametrize("owned", [True, False])
    def test_it_ends_with_the_key(self, owned, store):
        service, keys = self.service(store)
        of = {"owner": service.users.get_user("root")} if owned else {"app_name": "root"}
        issued = keys.issue(**of)
        token = service.trade({"X-API-Key": issued.text})["access_token"]
        assert service.me(token) == ["root", ["admin"] if owned else []]
        keys.revoke(issued.key.id)
        assert service.me(token) == 401

    @pytest.mark.parametrize("owned", [True, False])
    def test_logging_out_ends_it(self, owned):
        service, keys = self.service(SimpleTokenstore())
        of = {"owner": service.users.get_user("root")} if owned else {"app_name": "ci"}
        token = service.trade({"X-API-Key": keys.issue(**of).text})["access_token"]
        assert service.client.delete("/tokens/current", headers=bearer(token)).status_code == 204
        assert service.me(token) == 401

    def test_of_a_registered_key_too(self):
        provider = HeaderApiKeyAuthenticator("X-API-Key")
        provider.register_key("a-key-that-is-long", "root")
        service = Service(provider)
        token = service.trade({"X-API-Key": "a-key-that-is-long"})["access_token"]
        assert service.me(token) == ["root", []]
        service.securest.authentication_providers["api-key"]._ids.clear()
        assert service.me(token) == 401

    def test_the_token_of_an_application_neither_lists_nor_ends_sessions(self):
        service, keys = self.service(SimpleTokenstore())
        admin = service.trade(ADMIN)
        token = bearer(service.trade({"X-API-Key": keys.issue(app_name="root").text})["access_token"])
        assert service.client.get("/tokens", headers=token).status_code == 403
        assert service.client.delete("/tokens", headers=token).status_code == 403
        assert service.me(admin["access_token"]) == ["root", ["admin"]]


class TestOwnersOfKeys:
    """A key belongs to an account, too: that of an intern is none of the administrator's."""

    def test_it_is_that_of_its_owner_where_that_lives(self, store):
        keys = SimpleKeystore()
        service = Service(HeaderApiKeyAuthenticator("X-API-Key", keystore=keys), store=store)
        intern = keys.issue(owner=service.directory.users["root"], owner_origin="ldap")
        admin = keys.issue(owner=service.users.get_user("root"))
        for issued, roles in ((intern, ["intern"]), (admin, ["admin"])):
            headers = {"X-API-Key": issued.text}
            assert service.client.get("/me", headers=headers).json == ["root", roles]
            assert service.me(service.trade(headers)["access_token"]) == ["root", roles]
        del service.directory.users["root"]
        assert service.client.get("/me", headers={"X-API-Key": intern.text}).status_code == 401
        assert service.client.get("/me", headers={"X-API-Key": admin.text}).json == ["root", ["admin"]]

    def test_of_a_provider_that_is_not_there_it_is_nobodys(self):
        keys = SimpleKeystore()
        service = Service(HeaderApiKeyAuthenticator("X-API-Key", keystore=keys))
        issued = keys.issue(owner=User("root"), owner_origin="gone")
        assert service.client.get("/me", headers={"X-API-Key": issued.text}).status_code == 401

    def test_one_keystore_for_two_providers_of_one_name_is_an_error(self):
        provider = HeaderApiKeyAuthenticator(keystore=SimpleKeystore())
        ldap = [PasswordAuthenticator(userstore=Directory(), name="ldap") for _ in range(2)]
        kept = SecuREST(Api(Flask("one")), authentication_providers=[ldap[0], provider])
        with pytest.raises(ConfigurationError, match="the SimpleKeystore of 'api-key' serves two SecuREST objects"):
            SecuREST(Api(Flask("two")), authentication_providers=[ldap[1], provider])
        assert kept

    @pytest.mark.parametrize("origin", ["", "?", 7])
    def test_an_origin_that_is_none_is_refused(self, origin):
        with pytest.raises((TypeError, ValueError), match="origin must be"):
            SimpleKeystore().issue(owner=User("root"), owner_origin=origin)

    def test_an_application_lives_nowhere(self):
        with pytest.raises(ValueError, match="there is no owner"):
            SimpleKeystore().issue(app_name="ci", owner_origin="ldap")


class TestClaims:
    def test_own_claims_are_read_back(self):
        service = Service()
        token = service.tokens.generate_auth_token("root", claims={"tenant": "acme", "sub": "evil", "roles": ["x"]})
        identity = service.tokens.authenticate(_request(token), service.users)
        assert identity.user.username == "root"
        assert identity.claims == {"tenant": "acme", "sub": "evil", "roles": ("x",)}

    @pytest.mark.parametrize("claims", [[], "a", 7, {1: 2}])
    def test_what_is_no_mapping_of_names_is_an_error(self, claims):
        with pytest.raises(TypeError, match="claims must be a mapping"):
            TokenAuthenticator(SECRET).generate_auth_token("a", claims=claims)

    def test_they_have_as_many_levels_as_can_be_read_wherever_the_reader_is(self):
        """JSON gives up where calls are deep: what was written with few calls behind it might be read with many."""
        deep = {"a": json.loads("[" * 17 + "]" * 17)}
        with pytest.raises(ValueError, match="at most 16 levels"):
            TokenAuthenticator(SECRET).generate_auth_token("a", claims=deep)
        service = Service()
        assert service.tokens.generate_auth_token("root", claims={"a": json.loads("[" * 15 + "]" * 15)})

    @pytest.mark.parametrize("claims", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}, {"a": "x" * 3000}])
    def test_what_json_cannot_say_or_a_header_cannot_hold_is_an_error(self, claims):
        with pytest.raises(ValueError, match="claims"):
            TokenAuthenticator(SECRET).generate_auth_token("a", claims=claims)


def _request(token):
    from werkzeug.test import EnvironBuilder

    return EnvironBuilder(headers=bearer(token)).get_request()
