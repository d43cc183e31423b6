"""Namesakes of every kind at workers of the release before and of this one, side by side.

What the release before mixes up for itself cannot be mended here. But nothing that this one has made is taken there for
a namesake's, and nothing that was mixed up there is taken for anybody here.
"""

import itertools

import pytest
import requests
from helpers import basic
from servers.slapd import LDAP3_WARNINGS
from servers.worker.namesakes import MAIN, NAME, SECOND
from servers.workers import unpack_release_before, worker

from flask_securest import User
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore

pytestmark = LDAP3_WARNINGS

CASES = list(itertools.product(MAIN, SECOND))


@pytest.fixture(scope="module", params=["nowhere", "SQLite", "PostgreSQL", "Redis"])
def both(request, tmp_path_factory, directory):
    """Return how to ask a worker of either release about a case."""
    place = tmp_path_factory.mktemp("releases")
    kind = request.param

    def url_of(number):
        if kind == "nowhere":
            return None
        if kind == "SQLite":
            return f"sqlite:///{place}/tokens{number}.db"
        if kind == "PostgreSQL":
            return request.getfixturevalue("postgresql_server").new_url()
        return redis_url

    redis_url = request.getfixturevalue("redis_server").new_url() if kind == "Redis" else None
    keys = f"sqlite:///{place}/keys.db"
    cases = [{"main": main, "second": second, "tokens": url_of(n)} for n, (main, second) in enumerate(CASES)]
    said = {"cases": cases, "keys": keys, "ldap": directory}
    release_before = unpack_release_before(tmp_path_factory.mktemp("release before"))
    log = place / "workers.log"
    with worker(said, log, release_before) as old, worker(said, log) as new:
        yield kind != "nowhere", SQLAlchemyKeystore(keys), old, new


class Worker:
    def __init__(self, url, number):
        self.url = f"{url}/{number}"

    def ask(self, headers):
        answer = requests.get(f"{self.url}/me", headers=headers, timeout=20)
        return {**answer.json(), "origin": None} if answer.status_code == 200 else answer.status_code

    def trade(self, headers):
        answer = requests.post(f"{self.url}/tokens", headers=headers, timeout=20)
        return answer.json() if answer.status_code == 200 else answer.status_code

    def refresh(self, token):
        answer = requests.post(f"{self.url}/tokens/refresh", json={"refresh_token": token}, timeout=20)
        return answer.json() if answer.status_code == 200 else answer.status_code

    def list(self, headers):
        answer = requests.get(f"{self.url}/tokens", headers=headers, timeout=20)
        return {each["id"] for each in answer.json()} if answer.status_code == 200 else set()

    def end_all(self, headers):
        return requests.delete(f"{self.url}/tokens", headers=headers, timeout=20).status_code


def bearer(tokens):
    return {"Authorization": f"Bearer {tokens['access_token']}"}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" and ".join(case) for case in CASES])
def test_namesakes_lend_each_other_nothing_between_releases(number, both):
    has_sessions, keys, old_url, new_url = both
    main, second = CASES[number]
    old, new = Worker(old_url, number), Worker(new_url, number)
    credentials = {
        "api-key": {"X-API-Key": keys.issue(app_name=NAME).text},
        "second": {"X-Badge": "second"} if second.startswith("custom") else basic(NAME, "second"),
    }
    if main != "no userstore":
        credentials[None] = basic(NAME, "main")
    who = {origin: new.ask(headers) for origin, headers in credentials.items()}
    assert all(isinstance(each, dict) for each in who.values())
    assert {origin: old.ask(headers) for origin, headers in credentials.items()} == who, "credentials are the same"

    made = {origin: new.trade(headers) for origin, headers in credentials.items()}
    before = {origin: old.trade(headers) for origin, headers in credentials.items()}
    own = {origin: new.list(headers) for origin, headers in credentials.items() if isinstance(made[origin], dict)}
    for origin, tokens in made.items():
        if isinstance(tokens, dict):
            assert new.ask(bearer(tokens)) == who[origin]
            assert old.ask(bearer(tokens)) in (401, who[origin]), "at the release before"
            if origin is not None:
                assert old.ask(bearer(tokens)) == 401, "what is of another origin is not for the release before"
    for origin, tokens in before.items():
        if isinstance(tokens, dict):
            # Whose it is, may not be known: then it is nobody's. It is never another account's.
            assert new.ask(bearer(tokens)) in (401, who[origin]), "what the release before has made"
            if "refresh_token" in tokens and main != "no userstore":
                again = new.refresh(tokens["refresh_token"])
                assert again == 400 or new.ask(bearer(again)) == who[origin]
    if has_sessions:
        _see_that_sessions_stay_apart(old, new, credentials, made, own)
    _see_that_keys_stay_apart(old, new, keys, who)


def _see_that_sessions_stay_apart(old, new, credentials, made, own):
    for (one, ones), (other, others) in itertools.combinations(own.items(), 2):
        assert not ones & others, (one, other)
    elsewhere = own.get("second", set())
    for headers in credentials.values():
        assert not old.list(headers) & elsewhere, "the release before sees none of another origin"
        old.end_all(headers)
    if isinstance(made["second"], dict):
        assert isinstance(new.ask(bearer(made["second"])), dict), "nor ends one"
        if "refresh_token" in made["second"]:
            assert old.refresh(made["second"]["refresh_token"]) in (400, 500)
            assert isinstance(new.refresh(made["second"]["refresh_token"]), dict)


def _see_that_keys_stay_apart(old, new, keys, who):
    for origin in who:
        if origin != "api-key":
            headers = {"X-API-Key": keys.issue(owner=User(NAME), owner_origin=origin).text}
            assert new.ask(headers) in (401, who[origin]), "a key of its owner"
            assert old.ask(headers) in (401, *([who[origin]] if origin is None else [])), "at the release before"
