"""A provider of one's own as it has to be, for a mechanism that asks for more than a header: HTTP Digest (RFC 7616).

It keeps the contract, and real clients get in: also beside another provider, and with a nonce that has become old.
"""

import json
import re
import subprocess

import pytest
from digest import ALGORITHMS, DigestAuthenticator, _parse, _respond, hashes_of
from helpers import FAST, SECRET_KEY, basic, bearer, new_who, secured
from servers.process import find_program
from servers.wsgi import serving

from flask_securest import User
from flask_securest.authentication_providers import PasswordAuthenticator, TokenAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.testing import AuthenticationProviderContract, make_request
from flask_securest.testing.stores import run_in_threads
from flask_securest.userstores import SimpleUserstore

REALM, PASSWORD = 'the "inner" circle', "wonderland: ∑"
STORED = hashes_of("alice", REALM, PASSWORD)


def make_userstore(realm=REALM):
    def attributes_of(name):
        return {"digest": hashes_of(name, realm, PASSWORD)}

    return SimpleUserstore(
        [
            User("alice", FAST.hash(PASSWORD), attributes=attributes_of("alice")),
            User("zoë", attributes=attributes_of("zoë")),
            User("mallory", attributes=attributes_of("mallory"), active=False),
            User("robot"),
        ]
    )


USERS = make_userstore()


class Clock:
    now = 1_800_000_000

    def __call__(self):
        return self.now


def parameters_of(challenge):
    return dict(re.findall(r'(\w+)="?((?:[^"\\,]|\\.)*)"?', challenge.replace('\\"', "'").partition(" ")[2]))


def authorize(
    provider, username="alice", *, uri="/", method="GET", password=PASSWORD, nc=1, which=0, known=None, **changes
):
    """Return the header of a client that has been challenged."""
    said = parameters_of(provider.challenge("api")[which])
    given = {
        "username": username,
        "realm": provider.realm,
        "nonce": said["nonce"],
        "uri": uri,
        "qop": "auth",
        "nc": f"{nc:08x}",
        "cnonce": "0a4f113b",
        "algorithm": said["algorithm"],
        **({"opaque": said["opaque"]} if "opaque" in said else {}),
        **changes,
    }
    if known is None:
        known = hashes_of(username or "", provider.realm, password).get(given["algorithm"], "")
    whole = {name: value or "" for name, value in given.items()}
    given.setdefault("response", _respond(said["algorithm"], known, whole, method))
    return {"Authorization": write(given)}


def write(given):
    def quote(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    bare = ("algorithm", "nc", "qop", "username*", "userhash")
    listed = (f"{name}={text if name in bare else quote(text)}" for name, text in given.items() if text is not None)
    return ("Digest " + ", ".join(listed)).encode().decode("latin-1")


def outcome_of(provider, headers, **options):
    return Chain([("digest", provider)], USERS).authenticate(make_request(headers, **options))


class TestDigestKeepsTheContract(AuthenticationProviderContract):
    SECRETS = (PASSWORD, *STORED.values(), "signing-key")
    NOT_EVERY_BYTE_COUNTS = (
        "RFC 9110, section 11.2: neither does the case of a parameter's name, nor white space between them; "
        "RFC 7616, section 3.4: parameters that are not known are ignored"
    )
    REALM_IS_ITS_OWN = "RFC 7616, section 3.4.2: it is part of what is stored"
    which = 0

    def make_provider(self):
        return DigestAuthenticator(REALM, key=b"signing-key", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS")

    def make_userstore(self):
        return USERS

    def good_headers(self, provider):
        return authorize(provider, which=self.which)

    def wrong_headers(self, provider):
        for change in (
            *({"password": text} for text in ("", "Wonderland: ∑", PASSWORD + "x")),
            *({"username": name} for name in ("nobody", "robot", "ALICE", "alice\x00", "", "a" * 5000)),
            *({"uri": uri} for uri in ("/other", "/?a=b", "//", "", "*", "http://localhost/", "/%2e", "/é")),
            *({"method": method} for method in ("POST", "HEAD", "get")),
            *({"nc": nc} for nc in (-1, 0x100000000)),
            *({"qop": qop} for qop in ("auth-int", "AUTH", "", None)),
            *({"algorithm": name} for name in ("SHA-512-256", "SHA-256-sess", "MD5-sess", "md5", "none")),
            *({"realm": realm} for realm in ("api", "", None)),
            *({"opaque": opaque} for opaque in ("x", None)),
            *({"response": response} for response in ("", "0" * 64, "0" * 32, "é", None)),
            *({"cnonce": cnonce} for cnonce in ("a\r\nSet-Cookie: a=b", "é", None)),
            *({"nonce": nonce} for nonce in ("", "x", "0" * 65, "é" * 65, None)),
            *({name: None} for name in ("uri", "username")),
            *({"username": name, "known": ""} for name in ("robot", "nobody")),
            {"userhash": "true"},
            {"username*": "UTF-8''alice"},
            {"which": 1 - self.which, "algorithm": list(ALGORITHMS)[self.which]},
        ):
            yield authorize(provider, **{"which": self.which, **change})
        used = self.good_headers(provider)
        assert self.authenticate(provider, used).answer is Answer.VERIFIED
        yield used
        good = self.good_headers(provider)["Authorization"]
        for value in (
            "Digest",
            "digest ",
            "Digest x",
            'Digest "x"',
            f'{good}, username="alice"',
            good.replace(", uri", " uri"),
        ):
            yield {"Authorization": value}
        yield authorize(DigestAuthenticator(REALM, key=b"another key", opaque=provider.opaque), which=self.which)


class TestDigestWithMD5KeepsTheContract(TestDigestKeepsTheContract):
    which = 1


class TestDigest:
    def test_the_example_of_the_rfc_is_computed_as_it_says(self):
        given = {
            "uri": "/dir/index.html",
            "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "nc": "00000001",
            "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            "qop": "auth",
        }
        stored = hashes_of("Mufasa", "http-auth@example.org", "Circle of Life")
        assert {name: _respond(name, stored[name], given, "GET") for name in stored} == {
            "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            "MD5": "8ca523f5e9506fed4657c9700eebdbec",
        }

    def test_its_challenges_are_as_the_rfc_wants_them(self):
        first, second = DigestAuthenticator(REALM)._challenges(stale=True)
        pattern = (
            r'Digest realm="the \\"inner\\" circle", qop="auth", algorithm=%s, nonce="([0-9a-f]{65})", '
            r'charset="UTF-8", stale=true'
        )
        nonces = {re.fullmatch(pattern % "SHA-256", first)[1], re.fullmatch(pattern % "MD5", second)[1]}
        assert len(nonces) == 1
        assert "stale" not in "".join(DigestAuthenticator(REALM).challenge("api"))

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_it_is_good_for_the_resource_and_the_method_that_it_was_made_for(self, method):
        provider = DigestAuthenticator(REALM)
        uri = "/a%20b/%C3%A9?c=d%26e&f"
        target = {"path": "/a%20b/%C3%A9", "query_string": "c=d%26e&f"}
        assert outcome_of(provider, authorize(provider, uri=uri, method=method), method=method, **target).identity
        for other in ({"path": "/a"}, {"query_string": "c=d&e&f"}, {"query_string": ""}, {"method": "PATCH"}):
            headers = authorize(provider, uri=uri, method=method)
            outcome = outcome_of(provider, headers, **{"method": method, **target, **other})
            assert outcome.answer is Answer.WRONG_CREDENTIALS, other

    def test_a_nonce_is_good_for_several_requests_in_any_order_and_no_count_twice(self):
        provider = DigestAuthenticator(REALM)
        nonce = parameters_of(provider.challenge("api")[0])["nonce"]
        for nc, answer in ((1, "verified"), (3, "verified"), (2, "verified"), (3, "wrong credentials")):
            assert outcome_of(provider, authorize(provider, nonce=nonce, nc=nc)).answer.value == answer

    def test_of_two_threads_with_one_header_one_gets_in(self):
        provider = DigestAuthenticator(REALM)
        headers = [authorize(provider) for _ in range(50)]
        answers = []
        run_in_threads(lambda: answers.extend(outcome_of(provider, each).answer for each in headers))
        assert answers.count(Answer.VERIFIED) == 50

    def test_stale_is_said_only_to_whoever_knows_the_password(self):
        clock = Clock()
        provider = DigestAuthenticator(REALM, clock=clock)
        right, wrong = authorize(provider), authorize(provider, password="x")
        clock.now += 61
        assert "stale=true" in outcome_of(provider, right).error.challenge[0]
        assert outcome_of(provider, wrong).error.challenge is None
        clock.now -= 200
        assert outcome_of(provider, right).answer is Answer.WRONG_CREDENTIALS, "of a server whose clock is ahead"

    def test_what_was_used_is_forgotten_with_its_nonce(self):
        clock = Clock()
        provider = DigestAuthenticator(REALM, clock=clock)
        for _ in range(10):
            assert outcome_of(provider, authorize(provider)).identity
            clock.now += 20
        assert len(provider._used) <= 4

    @pytest.mark.parametrize(
        "given", [{"username": "zoë"}, {"username": None, "username*": "UTF-8''zo%C3%AB"}], ids=["utf-8", "extended"]
    )
    def test_a_name_may_be_more_than_ascii_in_both_spellings(self, given):
        provider = DigestAuthenticator(REALM)
        made = _parse(authorize(provider, "zoë")["Authorization"].partition(" ")[2].encode("latin-1"))
        headers = {"Authorization": write({**made, **given})}
        assert provider.account_of(make_request(headers)) == "zoë"
        assert outcome_of(provider, headers).identity.user.username == "zoë"

    @pytest.mark.parametrize("name", ["alice", "nobody", "robot"])
    def test_it_names_the_account_that_was_tried(self, name):
        provider = DigestAuthenticator(REALM)
        headers = authorize(provider, name, password="x")
        assert provider.account_of(make_request(headers)) == name
        assert outcome_of(provider, headers).error.account == name

    def test_a_name_with_control_characters_is_none(self):
        provider = DigestAuthenticator(REALM)
        for name in ("alice\x00", "\x7falice", "a\nb", "\x85"):
            assert provider.account_of(make_request(authorize(provider, name))) is None

    def test_a_disabled_account_is_not_let_in(self):
        provider = DigestAuthenticator(REALM)
        assert outcome_of(provider, authorize(provider, "mallory")).answer is Answer.ACCOUNT_STATUS

    def test_the_server_proves_that_it_knows_the_password_too(self):
        provider = DigestAuthenticator(REALM)
        headers = authorize(provider)
        given = _parse(headers["Authorization"].partition(" ")[2].encode("latin-1"))
        ((name, value),) = outcome_of(provider, headers).identity.response_headers
        assert name == "Authentication-Info"
        assert f'rspauth="{_respond("SHA-256", STORED["SHA-256"], given, "")}"' in value


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(clock):
    """An application with Digest and two other providers; what it is asked is kept."""
    digest = DigestAuthenticator("api", clock=clock)  # requests does not write a quotation mark as it should
    providers = [digest, PasswordAuthenticator(password_hasher=FAST), TokenAuthenticator(SECRET_KEY)]
    app, _, _ = secured(new_who(), providers=providers, userstore=make_userstore("api"))
    app.digest, app.tokens, app.answers, app.lingers_over = digest, providers[2], [], None

    @app.after_request
    def keep(response):
        from flask import request

        app.answers.append((response.status_code, response.headers.getlist("WWW-Authenticate"), request.authorization))
        if len(app.answers) == app.lingers_over:
            clock.now += 120
        return response

    return app


@pytest.fixture
def url(app):
    with serving(app) as url:
        yield url


def curl(*arguments):
    command = [find_program("curl", "curl"), "-s", "--max-time", "20", "--noproxy", "*", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


ALICE = {"user": "alice", "provider": "digest"}


class TestCurl:
    def test_it_gets_in_with_the_stronger_algorithm(self, app, url):
        assert json.loads(curl("--digest", "-u", f"alice:{PASSWORD}", f"{url}/who?a=%20b")) == ALICE
        assert [status for status, _, _ in app.answers] == [401, 200]
        assert app.answers[1][2].parameters["algorithm"] == "SHA-256"

    def test_it_gets_in_with_a_post(self, app, url):
        assert json.loads(curl("--digest", "-u", f"alice:{PASSWORD}", "-d", "a=b", f"{url}/who")) == ALICE

    def test_with_a_wrong_password_it_does_not(self, app, url):
        assert json.loads(curl("--digest", "-u", "alice:x", f"{url}/who")) == {"message": "Unauthorized User"}

    def test_with_a_nonce_that_has_become_old_it_tries_again(self, app, url):
        app.lingers_over = 1  # the first challenge is so long under way
        assert json.loads(curl("--digest", "-u", f"alice:{PASSWORD}", f"{url}/who")) == ALICE
        assert [status for status, _, _ in app.answers] == [401, 401, 200]
        assert "stale=true" in app.answers[1][1][0]

    def test_it_gets_in_by_the_other_providers_too(self, app, url):
        answer = curl("--basic", "-u", f"alice:{PASSWORD}", f"{url}/who")
        assert json.loads(answer) == {"user": "alice", "provider": "password"}
        token = app.tokens.generate_auth_token("alice")
        answer = curl("-H", f"Authorization: Bearer {token}", f"{url}/who")
        assert json.loads(answer) == {"user": "alice", "provider": "token"}


class TestRequests:
    @pytest.fixture(autouse=True)
    def _client(self):
        requests = pytest.importorskip("requests")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = requests.auth.HTTPDigestAuth("alice", PASSWORD)
        yield
        self.session.close()

    def test_it_gets_in_and_goes_on_with_one_nonce(self, app, url):
        for _ in range(3):
            assert self.session.get(f"{url}/who?a=b").json() == ALICE
        assert [status for status, _, _ in app.answers] == [401, 200, 200, 200]
        assert [int(sent.parameters["nc"], 16) for _, _, sent in app.answers[1:]] == [1, 2, 3]

    def test_with_a_nonce_that_has_become_old_it_tries_again(self, app, url, clock):
        assert self.session.get(f"{url}/who").json() == ALICE
        clock.now += 61
        again = self.session.get(f"{url}/who")
        assert again.json() == ALICE
        (refused,) = again.history
        assert "stale=true" in refused.headers["WWW-Authenticate"]
        assert [status for status, _, _ in app.answers] == [401, 200, 401, 200]

    def test_what_it_has_sent_is_not_good_once_more(self, app, url):
        import requests

        assert self.session.get(f"{url}/who").json() == ALICE
        stolen = {"Authorization": app.answers[1][2].to_header()}
        answer = requests.get(f"{url}/who", headers=stolen, timeout=20, proxies={"http": ""})
        assert answer.status_code == 401


class TestRefusals:
    def test_the_challenges_of_all_providers_are_sent(self, app):
        challenges = app.test_client().get("/who").headers.getlist("WWW-Authenticate")
        assert [challenge.partition(" ")[0] for challenge in challenges] == ["Digest", "Digest", "Basic", "Bearer"]

    def test_no_other_credentials_make_a_nonce_stale(self, app):
        for headers in ({}, basic("alice", "x"), bearer("x"), authorize(app.digest, password="x", uri="/who")):
            answer = app.test_client().get("/who", headers=headers)
            assert answer.status_code == 401
            assert "stale" not in str(answer.headers)

    def test_a_stale_nonce_brings_the_challenge_of_the_other_providers_along(self, app, clock):
        headers = authorize(app.digest, uri="/who")
        clock.now += 61
        challenges = app.test_client().get("/who", headers=headers).headers.getlist("WWW-Authenticate")
        assert ["stale=true" in challenge for challenge in challenges] == [True, True, False, False]
