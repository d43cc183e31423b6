"""Workers of the release before and of this one, side by side on one database and one Redis, and back again."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests
from helpers import FAST
from servers.postgresql import make_engine
from servers.workers import unpack_release_before, worker

from flask_securest import User
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

NAMES = [f"user {number}" for number in range(4)]


@pytest.fixture(scope="module")
def release_before(tmp_path_factory):
    return unpack_release_before(tmp_path_factory.mktemp("release before"))


class Deployment:
    """The databases of an application, and its workers."""

    def __init__(self, url, tokens, release_before, tmp_path, running):
        self.url = url
        second = [{"username": name, "password": FAST.hash("second"), "roles": ["second"]} for name in NAMES]
        self.said = {"users": url, "tokens": tokens, "second": second}
        self._release_before = release_before
        self._log = tmp_path / "workers.log"
        self._running = running
        self.old, self.new = [], []

    def start(self, *, old=0, new=0):
        for _ in range(old):
            self.old.append(self._running.enter_context(worker(self.said, self._log, self._release_before)))
        for _ in range(new):
            self.new.append(self._running.enter_context(worker(self.said, self._log)))

    def bugs(self):
        text = self._log.read_text(errors="replace")
        return [line for line in text.splitlines() if "Traceback" in line or "(500)" in line or "(503)" in line]


@pytest.fixture(params=["PostgreSQL", "Redis"])
def deployment(request, release_before, tmp_path):
    url = request.getfixturevalue("postgresql_server").new_url()
    tokens = url if request.param == "PostgreSQL" else request.getfixturevalue("redis_server").new_url()
    with ExitStack() as running:
        made = Deployment(url, tokens, release_before, tmp_path, running)
        made.start(old=2)
        # The release before makes the tables: the first writer does.
        environ_users = [{"username": name, "password": FAST.hash("main")} for name in NAMES]
        _add_users_as_before(made, environ_users)
        yield made


def _add_users_as_before(deployment, users):
    """Make the tables as the release before makes them, with users in them."""
    import sqlalchemy as sa

    store = SQLAlchemyUserstore(deployment.url)
    store.add_users([User(each["username"], each["password"], roles=["main"]) for each in users])
    engine = make_engine(deployment.url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE securest_users DROP COLUMN mark"))
    engine.dispose()


def ask(worker_url, token):
    answer = requests.get(f"{worker_url}/me", headers={"Authorization": f"Bearer {token}"}, timeout=20)
    return answer.json()["roles"] if answer.status_code == 200 else answer.status_code


def log_in(worker_url, name, password):
    answer = requests.post(f"{worker_url}/tokens", auth=(name, password), timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(worker_url, issued):
    body = {"refresh_token": issued["refresh_token"]}
    answer = requests.post(f"{worker_url}/tokens/refresh", json=body, timeout=20)
    return answer.json() if answer.status_code == 200 else answer.status_code


def list_sessions(worker_url, name, password):
    answer = requests.get(f"{worker_url}/tokens", auth=(name, password), timeout=20)
    return {each["id"] for each in answer.json()} if answer.status_code == 200 else answer.status_code


def test_users_of_the_api_notice_nothing_while_workers_change(deployment):
    """Log in at one worker, use and refresh the token at others, log out: each chosen by chance."""
    before = log_in(deployment.old[0], NAMES[0], "main")
    deployment.start(new=2)
    workers = deployment.old + deployment.new
    seen = Counter()

    def live(number):
        chance = random.Random(number)
        name = NAMES[number % len(NAMES)]
        issued = log_in(chance.choice(workers), name, "main")
        for _ in range(6):
            seen[str(ask(chance.choice(workers), issued["access_token"]))] += 1
            issued = refresh(chance.choice(workers), issued)
            assert isinstance(issued, dict), f"refreshed with {issued}"
        headers = {"Authorization": f"Bearer {issued['access_token']}"}
        assert requests.delete(f"{chance.choice(workers)}/tokens/current", headers=headers, timeout=20).ok
        assert {ask(each, issued["access_token"]) for each in workers} == {401}, "logged out everywhere"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(24)))
    assert seen == {"['main']": 24 * 6}
    # A session from before the deployment goes on, at every worker.
    assert {str(ask(each, before["access_token"])) for each in workers} == {"['main']"}
    again = refresh(deployment.new[0], before)
    assert ask(deployment.old[1], again["access_token"]) == ["main"]
    assert deployment.bugs() == []


def test_nobody_is_taken_for_a_namesake_at_any_worker_that_could_know(deployment):
    deployment.start(new=2)
    old, new, name = deployment.old[0], deployment.new[0], NAMES[0]
    mine = log_in(new, name, "main")
    elsewhere = log_in(new, name, "second")
    # This release knows both apart, and the one before refuses what it would mix up.
    assert [ask(each, mine["access_token"]) for each in (old, new)] == [["main"], ["main"]]
    assert [ask(each, elsewhere["access_token"]) for each in (old, new)] == [401, ["second"]]
    assert refresh(old, elsewhere) == 400
    elsewhere = refresh(new, elsewhere)
    assert ask(new, elsewhere["access_token"]) == ["second"]
    # What the release before has made for the namesake, in its name alone, is nobody's here.
    mixed_up = log_in(old, name, "second")
    assert ask(new, mixed_up["access_token"]) == 401
    assert refresh(new, mixed_up) == 400
    # Nobody lists or ends the sessions of the other.
    of_main, of_second = (list_sessions(new, name, password) for password in ("main", "second"))
    assert len(of_second) == 1
    assert not of_main & of_second
    assert not list_sessions(old, name, "main") & of_second, "the release before sees none of them"
    assert requests.delete(f"{old}/tokens", auth=(name, "main"), timeout=20).status_code == 204
    assert ask(new, mine["access_token"]) == 401
    assert ask(new, elsewhere["access_token"]) == ["second"]
    assert requests.delete(f"{new}/tokens", auth=(name, "second"), timeout=20).status_code == 204
    assert ask(new, elsewhere["access_token"]) == 401
    assert deployment.bugs() == []


def test_keys_of_namesakes_are_good_at_this_release_alone(deployment):
    deployment.start(new=1)
    keys = SQLAlchemyKeystore(deployment.url)
    own, elsewhere, app = (
        keys.issue(owner=User(NAMES[0])).text,
        keys.issue(owner=User(NAMES[0]), owner_origin="second").text,
        keys.issue(app_name=NAMES[0]).text,
    )

    def roles(worker_url, key):
        answer = requests.get(f"{worker_url}/me", headers={"X-API-Key": key}, timeout=20)
        return answer.json()["roles"] if answer.status_code == 200 else answer.status_code

    old, new = deployment.old[0], deployment.new[0]
    assert [roles(each, own) for each in (old, new)] == [["main"], ["main"]]
    assert [roles(each, elsewhere) for each in (old, new)] == [401, ["second"]]
    assert [roles(each, app) for each in (old, new)] == [[], []]
    assert deployment.bugs() == []


def test_tokens_that_were_issued_for_keys(deployment):
    """What the table in docs/upgrading.rst says of them."""
    deployment.start(new=1)
    old, new = deployment.old[0], deployment.new[0]
    keys = SQLAlchemyKeystore(deployment.url)
    for made, owner, at_old, at_new in (
        (old, {"owner": User(NAMES[0])}, ["main"], ["main"]),
        (new, {"owner": User(NAMES[0])}, ["main"], ["main"]),
        (old, {"app_name": NAMES[0]}, [], 401),
        (new, {"app_name": NAMES[0]}, 401, []),
    ):
        answer = requests.post(f"{made}/tokens", headers={"X-API-Key": keys.issue(**owner).text}, timeout=20)
        token = answer.json()["access_token"]
        assert [ask(each, token) for each in (old, new)] == [at_old, at_new], (made == new, owner)
    assert deployment.bugs() == []


def test_a_hash_that_this_release_has_renewed(deployment):
    deployment.start(new=1)
    old, new = deployment.old[0], deployment.new[0]
    before = log_in(old, NAMES[3], "main")
    users = SQLAlchemyUserstore(deployment.url)
    outdated = users.get_user(NAMES[3]).password
    assert users.renew_password_hash(NAMES[3], FAST.hash("main"), expected=outdated)
    at_old, at_new = log_in(old, NAMES[3], "main"), log_in(new, NAMES[3], "main")
    assert [ask(new, each["access_token"]) for each in (before, at_old, at_new)] == [["main"], 401, ["main"]]
    assert [ask(old, each["access_token"]) for each in (before, at_old, at_new)] == [401, ["main"], 401]


def test_back_at_the_release_before_users_of_the_api_go_on(deployment):
    deployment.start(new=1)
    new, old = deployment.new[0], deployment.old
    issued = [refresh(new, log_in(new, name, "main")) for name in NAMES]
    elsewhere = log_in(new, NAMES[0], "second")
    deployment.start(old=1)  # one that is started on tables which this release has upgraded
    for worker_url in (old[0], old[2]):
        for number, tokens in enumerate(issued):
            assert ask(worker_url, tokens["access_token"]) == ["main"]
            issued[number] = refresh(worker_url, tokens)
        assert ask(worker_url, elsewhere["access_token"]) == 401
        log_in(worker_url, NAMES[1], "main")
    assert deployment.bugs() == []


def test_a_disabled_user_is_out_at_every_worker(deployment):
    deployment.start(new=1)
    workers = deployment.old + deployment.new
    tokens = [log_in(each, NAMES[2], "main") for each in workers]
    users = SQLAlchemyUserstore(deployment.url)
    users.set_active(NAMES[2], False)
    assert {ask(each, token["access_token"]) for each in workers for token in tokens} == {401}
    users.set_active(NAMES[2], True)
    assert {ask(deployment.new[0], token["access_token"]) for token in tokens} == {401}
