"""Namesakes of every kind, side by side: nobody ever gets a right, a session or a line of another account.

The cases are generated: whose accounts the API's userstore has, whose a second provider has, and where sessions are
kept. Each does all that can be done with credentials, as each of the accounts that are called root.
"""

import itertools

import pytest
from helpers import basic, bearer, make_tokenstore
from servers.slapd import LDAP3_WARNINGS
from servers.worker.namesakes import MAIN, NAME, SECOND, make_app

from flask_securest import User
from flask_securest.keystores import SimpleKeystore

pytestmark = LDAP3_WARNINGS

KEPT = ["nowhere", "memory", "SQLite", "PostgreSQL", "Redis"]


class World:
    """An API with up to three accounts of one name: the userstore's, a provider's, and an application.

    ``credentials`` has what each of them sends, by its origin, as JSON has it.
    """

    def __init__(self, main, second, store, directory):
        self.keys = SimpleKeystore()
        app, self.tokens = make_app(main, second, store, self.keys, directory)
        self.client = app.test_client()
        self.credentials = {
            "api-key": {"X-API-Key": self.keys.issue(app_name=NAME).text},
            "second": {"X-Badge": "second"} if second.startswith("custom") else basic(NAME, "second"),
        }
        if main != "no userstore":
            self.credentials[None] = basic(NAME, "main")

    def ask(self, headers):
        answer = self.client.get("/me", headers=headers)
        return answer.json if answer.status_code == 200 else answer.status_code

    def trade(self, headers):
        answer = self.client.post("/tokens", headers=headers)
        return answer.json if answer.status_code == 200 else answer.status_code

    def refresh(self, tokens):
        answer = self.client.post("/tokens/refresh", json={"refresh_token": tokens["refresh_token"]})
        return answer.json if answer.status_code == 200 else answer.status_code

    def list(self, headers):
        answer = self.client.get("/tokens", headers=headers)
        return {each["id"] for each in answer.json} if answer.status_code == 200 else answer.status_code


@pytest.fixture(params=KEPT)
def store(request, tmp_path):
    return None if request.param == "nowhere" else make_tokenstore(request.param, request, tmp_path)


def roles_of(origin, main, second):
    """Return the roles that the account of an origin has; a directory without groups knows none."""
    if origin is None:
        return [] if main == "LDAP" else ["main"]
    return ["second"] if origin == "second" and second != "LDAP" else []


@pytest.mark.parametrize(("main", "second"), list(itertools.product(MAIN, SECOND)), ids=" and ".join)
def test_namesakes_lend_each_other_nothing(main, second, store, directory):
    world = World(main, second, store, directory)
    who = {
        origin: {
            "name": NAME,
            "roles": roles_of(origin, main, second),
            "origin": origin,
            "app": NAME if origin == "api-key" else None,
        }
        for origin in world.credentials
    }
    tokens = {}
    for origin, headers in world.credentials.items():
        assert world.ask(headers) == who[origin], "its own credentials"
        tokens[origin] = world.trade(headers)
    if second == "custom":
        assert tokens.pop("second") == 403, "it cannot be looked up again"

    if store is not None:
        _take_turns_with_sessions(world, tokens, who)
    for origin, issued in tokens.items():
        assert world.ask(bearer(issued["access_token"])) == who[origin], "its token"
        assert world.trade(bearer(issued["access_token"])) == 403, "a token for a token"
    _take_turns_with_keys(world, who, main)


def _take_turns_with_sessions(world, tokens, who):
    """Refresh, list and end as each account, and see that the others go on as they were."""
    users = [origin for origin in tokens if origin != "api-key"]
    for origin in users:
        tokens[origin] = world.refresh(tokens[origin])
        assert world.ask(bearer(tokens[origin]["access_token"])) == who[origin], "its refreshed token"
    own = {origin: world.list(world.credentials[origin]) for origin in users}
    assert all(len(each) == 1 for each in own.values()), "its own sessions"
    assert len(set().union(*own.values())) == len(users), "a session of another account"
    of_app = bearer(tokens["api-key"]["access_token"])
    for headers in (of_app, world.credentials["api-key"]):
        assert world.list(headers) == 403, "an application has no sessions of users"
        assert world.client.delete("/tokens", headers=headers).status_code == 403
    for origin, other in itertools.permutations(users, 2):
        (session_id,) = own[other]
        headers = bearer(tokens[origin]["access_token"])
        assert world.client.delete(f"/tokens/{session_id}", headers=headers).status_code == 404, "another's session"
    for origin in users:
        more = world.trade(world.credentials[origin])
        for ending in ("/tokens/current", "/tokens"):
            assert world.client.delete(ending, headers=bearer(more["access_token"])).status_code == 204
            for other in users:
                expected = 401 if other == origin and ending == "/tokens" else who[other]
                assert world.ask(bearer(tokens[other]["access_token"])) == expected, (origin, ending, other)
            assert world.ask(of_app) == who["api-key"]
            more = world.trade(world.credentials[origin])
        tokens[origin] = more


def _take_turns_with_keys(world, who, main):
    """Use and trade a key of each account that can be looked up."""
    for origin in who:
        if origin == "api-key" or (origin is None and main == "no userstore"):
            continue
        issued = world.keys.issue(owner=User(NAME), owner_origin=origin)
        headers = {"X-API-Key": issued.text}
        answer = world.ask(headers)
        token = world.trade(headers)
        if answer == 401:
            assert token == 401, "a key whose owner cannot be found opens nothing"
            continue
        assert answer == who[origin], "the key of its owner"
        assert world.ask(bearer(token["access_token"])) == who[origin], "what the key was traded for"
        world.keys.revoke(issued.key.id)
        assert world.ask(headers) == world.ask(bearer(token["access_token"])) == 401, "both end with the key"
