"""Kerberos tickets, from a real KDC, through real clients."""

import base64
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from helpers import Scripted, how_many, make_userstore, new_who, secured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.certificates import Authority
from servers.kdc import OTHER_REALM, REALM, SERVICE, make_token, negotiate, set_clock_of_cache
from servers.nginx import running_nginx
from servers.process import find_program, require_library
from servers.wsgi import serving

from flask_securest import Identity, User, current_identity, require
from flask_securest.authentication_providers import AbstractAuthenticationProvider, PasswordAuthenticator
from flask_securest.authentication_providers.kerberos import KerberosAuthenticator
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import (
    BackendError,
    BadCredentialsError,
    ConfigurationError,
    ExpiredCredentialsError,
)
from flask_securest.testing import AuthenticationProviderContract, make_request

PRINCIPAL = f"{SERVICE}@{REALM}"


@pytest.fixture
def strict_environ(kdc):
    """Allow clocks to differ by 30 s only, on our side, from when it is called."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda seconds: patch.setenv(
            "KRB5_CONFIG", kdc.write_configuration(f"krb5-{seconds}.conf", clock_skew=seconds)
        )


def make_provider(kdc, **options):
    return KerberosAuthenticator(**{"principal": PRINCIPAL, "keytab": kdc.keytab, **options})


def ask(provider, headers, userstore=None):
    return Chain([("kerberos", provider)], userstore).authenticate(make_request(headers))


def der(tag, content):
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def ask_with(kdc, cache=None, service=PRINCIPAL, *, provider=None, **options):
    return ask(provider or make_provider(kdc), negotiate(make_token(cache or kdc.alice, service, **options)[0]))


def assert_refused(outcome, kind=BadCredentialsError, words=""):
    assert outcome.answer is Answer.WRONG_CREDENTIALS, (outcome.answer, outcome.error)
    assert type(outcome.error) is kind
    assert words in str(outcome.error)


@pytest.fixture
def who_url(kdc):
    app = secured(new_who(), providers=[make_provider(kdc)])[0]
    with serving(app) as url:
        yield f"{url}/who"


def curl(cache, *arguments):
    command = [find_program("curl", "curl"), "-s", "--max-time", "20", "--negotiate", "-u", ":", *arguments]
    environ = {**os.environ, "KRB5CCNAME": f"FILE:{cache}", "no_proxy": "*"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


class TestKerberosAuthenticatorKeepsTheContract(AuthenticationProviderContract):
    SECRETS = ("Negotiate",)  # what the client is answered

    @pytest.fixture(autouse=True)
    def _kdc(self, kdc):
        self.kdc = kdc

    def make_provider(self):
        return make_provider(self.kdc)

    def make_userstore(self):
        return make_userstore()

    def good_headers(self, provider):
        return negotiate(make_token(self.kdc.alice)[0])

    def wrong_headers(self, provider):
        used = self.good_headers(provider)
        assert self.authenticate(provider, used).answer is Answer.VERIFIED
        yield used
        good = self.good_headers(provider)["Authorization"]
        for value in (
            "Negotiate",
            "negotiate ",
            "Negotiate  ",
            "Negotiate =",
            "Negotiate YII",
            f"{good}=",
            f"{good} x",
        ):
            yield {"Authorization": value}
        yield {"Authorization": good.replace("Negotiate ", "Negotiate x")}
        for token in (
            b"NTLMSSP\x00\x01",
            b"NTLMSSP\x00" + b"\x00" * 40,
            b"`",
            b"\x60\x00",
            b"\xa1\x03\x0a\x01\x00",
            b"A",
        ):
            yield negotiate(token)

    def test_good_credentials_with_a_change_are_never_good(self):
        """Not all of a token is signed: names in front of the ticket are not. They make nobody else of anybody."""
        provider = self.make_provider()
        overlooked = set()
        for at in range(len(make_token(self.kdc.alice)[0])):
            token = bytearray(make_token(self.kdc.alice)[0])
            token[at % len(token)] ^= 1 << at % 8  # not all tokens have the same length
            outcome = self.authenticate(provider, negotiate(bytes(token)))
            if outcome.answer is Answer.VERIFIED:
                overlooked.add(at)
                assert outcome.identity.user.username == "alice"
            else:
                assert outcome.answer is Answer.WRONG_CREDENTIALS, outcome.error
        assert max(overlooked, default=0) < 170, "the ticket and the authenticator are encrypted, and begin there"
        for change in (lambda good: good + "\x00", lambda good: good * 2, lambda good: f"{good},{good}", str.swapcase):
            self._assert_refused(
                provider, "Authorization", change(self.good_headers(provider)["Authorization"]).encode()
            )


class TestTheClients:
    def test_without_a_ticket_it_is_401_with_negotiate(self, who_url):
        answer = curl("/nonexistent", "-i", who_url)
        assert answer.startswith("HTTP/1.1 401 ")
        assert "WWW-Authenticate: Negotiate\n" in answer.replace("\r", "")

    def test_curl_gets_in(self, kdc, who_url):
        assert curl(kdc.alice, who_url) == '{"user": "alice", "provider": "kerberos"}\n'

    def test_curl_gets_in_again_and_again_on_one_connection(self, kdc, who_url):
        answers = curl(kdc.alice, "-w", "%{http_code} %{num_connects}\n", "-X", "POST", "-d", "x=1", *[who_url] * 4)
        assert answers.count('{"user": "alice", "provider": "kerberos"}\n200') == 4, answers

    def test_curl_may_delegate_and_nobody_takes_it(self, kdc):
        seen = []
        Who = new_who(get=lambda self: seen.append(current_identity._get_current_object()) or {})
        with serving(secured(Who, providers=[make_provider(kdc)])[0]) as url:
            assert curl(kdc.alice, "--delegation", "always", f"{url}/who") == "{}\n"
        (identity,) = seen
        assert identity.user.username == "alice"
        assert not kdc.directory.joinpath("nobody").exists()

    def test_requests_gets_in_and_sees_that_the_server_is_the_right_one(self, kdc, who_url):
        answer = self.get_with_requests(kdc, who_url)
        assert (answer.status_code, answer.json()) == (200, {"user": "alice", "provider": "kerberos"})

    def test_requests_does_not_take_a_server_that_does_not_prove_who_it_is(self, kdc):
        requests_gssapi = require_library("requests_gssapi")
        app = secured(new_who(), providers=[Scripted(User("alice"), challenge="Negotiate")])[0]
        missing = pytest.raises(requests_gssapi.exceptions.MutualAuthenticationError)
        with serving(app) as url, missing:
            self.get_with_requests(kdc, f"{url}/who")

    def test_the_server_proves_who_it_is_with_a_403_too(self, kdc):
        app = secured(require(roles="author")(new_who()), providers=[make_provider(kdc)])[0]
        answer = app.test_client().get("/who", headers=negotiate(make_token(kdc.alice)[0]))
        assert answer.status_code == 403
        assert answer.headers["WWW-Authenticate"].startswith("Negotiate oYG")

    def get_with_requests(self, kdc, url):
        requests_gssapi = require_library("requests_gssapi")
        gssapi, requests = require_library("gssapi"), require_library("requests")
        auth = requests_gssapi.HTTPSPNEGOAuth(
            creds=gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{kdc.alice}"}),
            mutual_authentication=requests_gssapi.REQUIRED,
            opportunistic_auth=True,
        )

        class Reading(requests.adapters.HTTPAdapter):
            """Read answers at once: the connection of one that is not taken would stay open."""

            def send(self, *arguments, **options):
                answer = super().send(*arguments, **options)
                assert answer.content
                return answer

        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", Reading())
            return session.get(url, auth=auth, timeout=20)

    def test_a_client_verifies_the_answer(self, kdc):
        for spnego in (True, False):
            token, context = make_token(kdc.alice, spnego=spnego)
            outcome = ask(make_provider(kdc), negotiate(token))
            answer = dict(outcome.identity.response_headers)["WWW-Authenticate"]
            context.step(base64.b64decode(answer.removeprefix("Negotiate ")))
            assert context.complete

    def test_a_client_that_does_not_want_to_know_gets_in_too(self, kdc):
        flags = require_library("gssapi").RequirementFlag.integrity
        assert ask_with(kdc, flags=flags).identity.user.username == "alice"
        outcome = ask_with(kdc, flags=flags, spnego=False)
        assert outcome.identity.user.username == "alice"
        assert "WWW-Authenticate" not in dict(outcome.identity.response_headers)

    def test_it_works_while_the_kdc_is_down(self, kdc, who_url):
        assert '"alice"' in curl(kdc.alice, who_url)
        kdc.running.close()
        try:
            assert '"alice"' in curl(kdc.alice, who_url), "the client has a ticket, and the server needs a key only"
        finally:
            kdc.running.enter_context(kdc.run())
        assert '"alice"' in curl(kdc.login("alice", "alicepw", "-f"), who_url)

    def test_beside_a_password_either_is_good(self, kdc):
        from helpers import ALICE, FAST

        providers = [make_provider(kdc), PasswordAuthenticator(password_hasher=FAST)]
        client = secured(new_who(), providers=providers)[0].test_client()
        refused = client.get("/who", headers=negotiate(b"NTLMSSP\x00"))
        challenges = ["Negotiate", 'Basic realm="api", charset="UTF-8"']
        assert (refused.status_code, refused.headers.getlist("WWW-Authenticate")) == (401, challenges)
        assert client.get("/who", headers=ALICE).json["provider"] == "password"
        good = client.get("/who", headers=negotiate(make_token(kdc.alice)[0]))
        assert good.json["provider"] == "kerberos"
        assert len(good.headers.getlist("WWW-Authenticate")) == 1


class TestWhoseTicketItIs:
    def test_somebody_of_a_trusted_realm_is_not_the_one_of_the_same_name_here(self, kdc):
        evil = kdc.login(f"alice@{OTHER_REALM}", "evilpw")
        assert_refused(ask_with(kdc, evil), words="another realm")
        assert ask_with(kdc, evil, provider=make_provider(kdc, realms=[OTHER_REALM])).identity is not None
        assert_refused(ask_with(kdc, provider=make_provider(kdc, realms=[OTHER_REALM])), words="another realm")
        assert_refused(ask_with(kdc, provider=make_provider(kdc, realms=[REALM.lower()])), words="another realm")

    def test_an_instance_is_another_account(self, kdc):
        admin = kdc.login("alice/admin", "adminpw")
        assert_refused(ask_with(kdc, admin), words="nobody's user")
        provider = make_provider(kdc, user_of_principal={f"alice/admin@{REALM}": "root"})
        assert ask_with(kdc, admin, provider=provider).identity.user.username == "root"
        assert_refused(ask_with(kdc, provider=provider), words="nobody's user")

    def test_a_function_may_say_whose_it_is(self, kdc):
        asked = []
        provider = make_provider(kdc, user_of_principal=lambda principal: asked.append(principal) or "robot")
        assert ask_with(kdc, provider=provider).identity.user.username == "robot"
        assert asked == [f"alice@{REALM}"]
        for answer in (True, "", 1):
            outcome = ask_with(
                kdc, provider=make_provider(kdc, user_of_principal=lambda principal, answer=answer: answer)
            )
            assert (outcome.answer, type(outcome.error)) == (Answer.BUG, TypeError)

    def test_the_realm_is_behind_the_at_that_is_no_part_of_the_name(self, kdc):
        for principal in (
            rf"alice\@{REALM}@EVIL",
            rf"alice@{REALM}\@EVIL",
            f"alice@{REALM}@EVIL",
            f"alice@EVIL@{REALM}",
        ):
            with pytest.raises(BadCredentialsError, match="another realm"):
                make_provider(kdc)._find_username(principal)
        for principal in ("alice", f"@{REALM}", "alice@", "", "\\", f"alice@{REALM}\\", f"alice@{REALM}\n"):
            with pytest.raises(BadCredentialsError):
                make_provider(kdc)._find_username(principal)
        for name in (
            rf"ali\@ce@{REALM}",
            rf"al\/ice@{REALM}",
            rf"al\nice@{REALM}",
            f"al\nice@{REALM}",
            f"a/b/c@{REALM}",
        ):
            with pytest.raises(BadCredentialsError):
                make_provider(kdc)._find_username(name)

    def test_names_that_kerberos_knows_and_we_do_not_mind(self, kdc):
        for name in ("sp ace", "ünï", "x" * 200):
            kdc.admin(f'addprinc -pw pw "{name}"')
            assert ask_with(kdc, kdc.login(name, "pw")).identity.user.username == name

    def test_the_user_must_be_one_of_the_userstore_and_may_be_disabled(self, kdc):
        store = make_userstore()

        def answer_to(name, password):
            return ask(make_provider(kdc), negotiate(make_token(kdc.login(name, password))[0]), store)

        assert answer_to("alice", "alicepw").identity.user.roles == {"admin"}
        assert answer_to("mallory", "malicepw").answer is Answer.ACCOUNT_STATUS
        assert_refused(answer_to("davie", "daviepw"), words="no user here")


class TestTheTicket:
    def test_a_ticket_for_another_service_is_refused_though_its_key_is_in_the_keytab(self, kdc):
        other = f"HTTP/other@{REALM}"
        assert_refused(ask_with(kdc, service=other), words="ticket")
        assert ask_with(kdc, service=other, provider=make_provider(kdc, principal=other)).identity is not None

    def test_one_that_has_expired_is_refused(self, kdc, strict_environ):
        provider = make_provider(kdc)
        short = kdc.login("alice", "alicepw", "-l", "2s")
        tokens = [negotiate(make_token(short)[0]) for _ in range(2)]
        assert ask(provider, tokens[0]).identity is not None
        strict_environ(1)
        time.sleep(4)
        assert_refused(ask(provider, tokens[1]), ExpiredCredentialsError, "expired")

    def test_the_identity_ends_with_the_ticket(self, kdc):
        from datetime import datetime, timezone

        identity = ask_with(kdc, kdc.login("alice", "alicepw", "-l", "1h")).identity
        left = (identity.expires_at - datetime.now(timezone.utc)).total_seconds()
        assert 3500 < left <= 3600 + 300 + 1, "Kerberos allows for clocks that differ by 300 s"

    @pytest.mark.parametrize("seconds", [60, -60])
    def test_clocks_may_differ_by_what_kerberos_allows(self, kdc, strict_environ, seconds):
        provider = make_provider(kdc)
        skewed = set_clock_of_cache(kdc.alice, seconds)
        tokens = [negotiate(make_token(skewed)[0]) for _ in range(2)]
        assert ask(provider, tokens[0]).identity is not None
        strict_environ(30)
        assert_refused(ask(provider, tokens[1]), words="clock")

    def test_a_clock_that_is_far_ahead_is_refused(self, kdc):
        make_token(kdc.alice)  # the cache has the ticket then: the KDC would not issue one to such a clock
        assert_refused(ask_with(kdc, set_clock_of_cache(kdc.alice, 310)), words="clock")


class TestReplays:
    def test_a_token_is_good_once(self, kdc):
        provider = make_provider(kdc)
        for spnego in (True, False):
            headers = negotiate(make_token(kdc.alice, spnego=spnego)[0])
            assert ask(provider, headers).identity is not None
            assert_refused(ask(provider, headers), words="replay")

    def test_in_another_process_and_after_a_restart_too(self, kdc):
        token = make_token(kdc.alice)[0]
        code = (
            "import sys; from flask_securest.protocols.kerberos import Acceptor; "
            f"print(Acceptor({PRINCIPAL!r}, {str(kdc.keytab)!r}).accept(bytes.fromhex(sys.argv[1])).principal)"
        )
        done = subprocess.run([sys.executable, "-c", code, token.hex()], capture_output=True, text=True, check=True)
        assert done.stdout == f"alice@{REALM}\n"
        assert_refused(ask(make_provider(kdc), negotiate(token)), words="replay")

    def test_what_is_not_signed_may_be_changed_and_it_is_a_replay_nevertheless(self, kdc):
        provider = make_provider(kdc)
        token = make_token(kdc.alice)[0]
        assert ask(provider, negotiate(token)).identity is not None
        words = set()
        for at in range(170):
            changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
            outcome = ask(provider, negotiate(changed))
            assert_refused(outcome)
            words.add(str(outcome.error))
        assert any("replay" in word for word in words), "or this tests nothing"

    def test_of_many_at_once_one_is_good(self, kdc):
        provider, headers = make_provider(kdc), negotiate(make_token(kdc.alice)[0])
        answers = []
        start = threading.Barrier(8)

        def send():
            start.wait()
            answers.append(ask(provider, headers).answer)

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (answers.count(Answer.VERIFIED), answers.count(Answer.WRONG_CREDENTIALS)) == (1, 7)

    @pytest.mark.parametrize("cache", ["file2:/nonexistent/replays", "file2:/dev/full"])
    def test_a_replay_cache_that_cannot_be_written_is_our_fault_and_nobody_gets_in(self, kdc, monkeypatch, cache):
        monkeypatch.setenv("KRB5RCACHENAME", cache)
        app = secured(new_who(), providers=[make_provider(kdc)])[0]
        answer = app.test_client().get("/who", headers=negotiate(make_token(kdc.alice)[0]))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")

    def test_one_that_is_turned_off_is_warned_of(self, kdc, monkeypatch, caplog):
        make_provider(kdc).check_configuration(None)
        assert not caplog.records
        monkeypatch.setenv("KRB5RCACHENAME", "none:")
        make_provider(kdc).check_configuration(None)
        assert "replay cache off" in caplog.text


class TestChannelBindings:
    BINDINGS = b"tls-server-end-point:" + bytes(range(32))

    def answer_to(self, kdc, ours, theirs):
        gssapi = require_library("gssapi")
        options = {} if theirs is None else {"channel_bindings": gssapi.raw.ChannelBindings(application_data=theirs)}
        return ask_with(kdc, provider=make_provider(kdc, channel_bindings=lambda request: ours), **options)

    def test_a_token_of_this_connection_is_good(self, kdc):
        assert self.answer_to(kdc, self.BINDINGS, self.BINDINGS).identity is not None

    def test_one_of_another_connection_is_refused(self, kdc):
        assert_refused(self.answer_to(kdc, self.BINDINGS, self.BINDINGS + b"x"), words="another connection")

    def test_one_of_no_connection_is_refused(self, kdc):
        assert_refused(self.answer_to(kdc, self.BINDINGS, None), words="not bound")

    def test_where_the_server_does_not_know_them_they_do_not_matter(self, kdc):
        for theirs in (None, self.BINDINGS):
            assert self.answer_to(kdc, None, theirs).identity is not None

    def test_requests_binds_its_token_to_the_certificate_of_the_server(self, kdc, tmp_path):
        requests_gssapi, requests = require_library("requests_gssapi"), require_library("requests")
        authority = Authority(tmp_path)
        der = authority.issue_for_server("server").public_bytes(Encoding.DER)
        ours = b"tls-server-end-point:" + hashlib.sha256(der).digest()
        statuses = []
        for expected in (ours, ours[:-1] + bytes([ours[-1] ^ 1])):  # and as if a relay had another certificate
            provider = make_provider(kdc, channel_bindings=lambda request, expected=expected: expected)
            backend = serving(secured(new_who(), providers=[provider])[0])
            with backend as url, running_nginx(tmp_path, url.replace("localhost", "127.0.0.1"), authority.file) as port:
                for bindings in ("tls-server-end-point", None):
                    auth = requests_gssapi.HTTPSPNEGOAuth(
                        creds=require_library("gssapi").Credentials(
                            usage="initiate", store={"ccache": f"FILE:{kdc.alice}"}
                        ),
                        channel_bindings=bindings,
                        mutual_authentication=requests_gssapi.DISABLED,
                    )
                    with requests.Session() as session:
                        session.trust_env = False
                        who = f"https://localhost:{port}/who"
                        statuses.append(session.get(who, auth=auth, timeout=20, verify=authority.file).status_code)
        assert statuses == [200, 401, 401, 401]

    def test_the_function_gets_the_request_and_must_return_bytes(self, kdc):
        for wrong in ("tls-server-end-point:x", b"", b"abc", 5, b"tls-server-end-point:"):
            outcome = self.answer_to(kdc, wrong, None)
            assert (outcome.answer, type(outcome.error)) == (Answer.BUG, TypeError)
        seen = []
        ask_with(kdc, provider=make_provider(kdc, channel_bindings=seen.append))
        assert seen[0].path == "/"


class TestTheKeytab:
    @pytest.fixture
    def keytab(self, kdc, tmp_path):
        return shutil.copy(kdc.keytab, tmp_path / "copy.keytab")

    def test_a_new_key_is_good_without_a_restart_and_the_former_one_while_it_is_there(self, kdc, tmp_path):
        keytab, service = tmp_path / "rotated.keytab", f"HTTP/rotated@{REALM}"
        kdc.admin(f"addprinc -randkey {service}", f"ktadd -k {keytab} {service}")
        provider = make_provider(kdc, principal=service, keytab=keytab)
        before = kdc.login("alice", "alicepw", "-r", "1d")
        assert ask_with(kdc, before, service, provider=provider).identity is not None
        kdc.admin(f"ktadd -k {keytab} {service}")
        after = kdc.login("alice", "alicepw", "-r", "2d")
        for cache in (before, after, before):
            assert ask_with(kdc, cache, service, provider=provider).identity is not None
        renewed = tmp_path / "renewed.keytab"
        kdc.admin(f"ktadd -k {renewed} {service}")
        renewed.replace(keytab)
        for cache in (before, after):
            assert_refused(ask_with(kdc, cache, service, provider=provider), words="key")
        last = kdc.login("alice", "alicepw", "-r", "3d")
        assert ask_with(kdc, last, service, provider=provider).identity is not None

    def test_credentials_are_made_once_for_each_keytab_and_not_in_the_constructor(self, kdc, keytab, monkeypatch):
        provider = make_provider(kdc, keytab=keytab)
        made, acquire = [], provider._acceptor._acquire
        monkeypatch.setattr(provider._acceptor, "_acquire", lambda: made.append(1) or acquire())
        for _ in range(3):
            assert ask_with(kdc, provider=provider).identity is not None
        assert len(made) == 1
        os.utime(keytab, (1, 1))
        assert ask_with(kdc, provider=provider).identity is not None
        assert len(made) == 2

    def test_one_that_breaks_while_it_is_used_is_503_until_it_is_whole_again(self, kdc, keytab):
        app = secured(new_who(), providers=[make_provider(kdc, keytab=keytab)])[0]

        def status():
            return app.test_client().get("/who", headers=negotiate(make_token(kdc.alice)[0])).status_code

        assert status() == 200
        keytab.unlink()
        assert status() == 503
        keytab.write_bytes(b"garbage")
        assert status() == 503
        keytab.unlink()
        kdc.admin(f"addprinc -randkey HTTP/third-{id(keytab)}", f"ktadd -k {keytab} HTTP/third-{id(keytab)}")
        assert status() == 503
        shutil.copy(kdc.keytab, keytab)
        assert status() == 200

    def test_one_that_cannot_be_used_at_the_start_is_a_configuration_error(self, kdc, tmp_path, monkeypatch):
        missing = make_provider(kdc, keytab=tmp_path / "missing")
        with pytest.raises(ConfigurationError, match=r"missing' cannot be read: No such file"):
            missing.check_configuration(None)
        assert secured(new_who(), providers=[missing])[0].test_client().get("/who").status_code == 500
        (tmp_path / "garbage").write_bytes(b"garbage")
        with pytest.raises(ConfigurationError, match="Unsupported key table format"):
            make_provider(kdc, keytab=tmp_path / "garbage").check_configuration(None)
        with pytest.raises(ConfigurationError, match=r"'HTTP/nobody@EXAMPLE.TEST': No key table entry"):
            make_provider(kdc, principal=f"HTTP/nobody@{REALM}").check_configuration(None)
        with pytest.raises(ConfigurationError, match="cannot be used"):
            make_provider(kdc, keytab=tmp_path).check_configuration(None)
        monkeypatch.chdir(kdc.directory)
        with pytest.raises(ConfigurationError, match="No such file"):
            make_provider(kdc, keytab=f"FILE:{kdc.keytab}").check_configuration(None)
        relative = make_provider(kdc, keytab=kdc.keytab.name)
        monkeypatch.chdir(tmp_path)
        relative.check_configuration(None)

    def test_one_that_every_local_user_can_write_or_read_is_not_taken_in_silence(self, kdc, keytab, caplog):
        provider = make_provider(kdc, keytab=keytab)
        keytab.chmod(0o606)
        with pytest.raises(ConfigurationError, match="chmod o-w"):
            provider.check_configuration(None)
        keytab.chmod(0o604)
        provider.check_configuration(None)
        assert "can read the keytab" in caplog.text

    def test_the_service_may_be_named_in_three_ways(self, kdc):
        for principal in (PRINCIPAL, SERVICE, "HTTP@localhost"):
            provider = make_provider(kdc, principal=principal, realms=[REALM])
            provider.check_configuration(None)
            assert ask_with(kdc, provider=provider).identity is not None


class TestGarbage:
    def test_the_answer_is_401_with_negotiate(self, kdc):
        client = secured(new_who(), providers=[make_provider(kdc)])[0].test_client()
        good = make_token(kdc.alice)[0]
        bad = [b"NTLMSSP\x00\x01\x00\x00\x00", b"`", good[:1], good[:100], good[:-1], good + b"x", bytes(len(good))]
        sent = [negotiate(token)["Authorization"] for token in bad]
        sent += ["Negotiate", "Negotiate !", "Negotiate TlRMTVNTUAAB", "negotiate " + "A" * 1_000_000, "Negotiate é"]
        for value in sent:
            answer = client.get("/who", environ_overrides={"HTTP_AUTHORIZATION": value})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Negotiate"), value[:80]

    def test_base64_has_one_spelling_and_a_token_an_end(self, kdc):
        provider = make_provider(kdc)
        for value, words in (
            ("YA==", "no token of Kerberos"),
            ("YB==", "stray bits"),
            ("A" * 70_000, "70000 characters"),
        ):
            assert_refused(ask(provider, {"Authorization": f"Negotiate {value}"}), words=words)

    @pytest.mark.parametrize("changed", [{"mech": None}, {"flags": "anonymity"}])
    def test_another_mechanism_or_nobody_is_refused_whatever_the_library_says(self, kdc, monkeypatch, changed):
        # NTLM and anonymous tickets would need more than a KDC: here the library's own answer is changed.
        gssapi = require_library("gssapi")
        if "flags" in changed:
            changed = {"flags": {gssapi.RequirementFlag.anonymity}}
        accept = gssapi.raw.accept_sec_context
        monkeypatch.setattr(
            gssapi.raw,
            "accept_sec_context",
            lambda *arguments, **options: accept(*arguments, **options)._replace(**changed),
        )
        assert_refused(ask_with(kdc), words="anonymous")

    def test_a_name_that_is_no_text_is_refused(self, kdc, monkeypatch):
        # MIT's own KDC gives out no ticket for one; others may.
        gssapi = require_library("gssapi")
        display = gssapi.raw.display_name
        name = b"ali\xffce@" + REALM.encode()
        monkeypatch.setattr(
            gssapi.raw, "display_name", lambda *a, **options: display(*a, **options)._replace(name=name)
        )
        assert_refused(ask_with(kdc), words="no text")

    def test_a_negotiation_of_several_steps_is_refused(self, kdc):
        # A client that likes NTLM better has offered a token of that at once, and none of Kerberos (RFC 4178, 4.2.1).
        mechanisms = bytes.fromhex("060a2b06010401823702020a 06092a864886f712010202")
        ntlm = b"NTLMSSP\x00" + bytes(24)
        first = der(0xA0, der(0x30, mechanisms)) + der(0xA2, der(0x04, ntlm))
        spnego = der(0x60, bytes.fromhex("06062b0601050502") + der(0xA0, der(0x30, first)))
        assert_refused(ask(make_provider(kdc), negotiate(spnego)), words="several steps")
        # And Kerberos itself can have a third leg.
        flags = require_library("gssapi").RequirementFlag
        flags = flags.dce_style | flags.mutual_authentication
        assert_refused(ask_with(kdc, flags=flags, spnego=False), words="several steps")

    def test_nothing_of_a_ticket_is_repeated_to_the_log(self, kdc, caplog):
        caplog.set_level(logging.DEBUG)
        client = secured(new_who(), providers=[make_provider(kdc, realms=["NOBODY.TEST"])])[0].test_client()
        token = make_token(kdc.alice)[0]
        name = token.replace(b"localhost", b"plantedxx")
        for sent in (token, name, make_token(kdc.alice, f"HTTP/other@{REALM}")[0]):
            assert client.get("/who", headers=negotiate(sent)).status_code == 401
        assert len([record for record in caplog.records if "401" in record.getMessage()]) == 3
        for secret in ("alice", "plantedxx", "HTTP/other", REALM, base64.b64encode(token).decode()[:20]):
            assert secret not in caplog.text

    @settings(
        max_examples=how_many(60, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(raw=st.binary(max_size=300), beginning=st.sampled_from([b"", b"`", bytes.fromhex("602806062b0601050502")]))
    def test_bytes_are_never_good_and_never_a_bug(self, kdc, raw, beginning):
        assert_refused(ask(make_provider(kdc), negotiate(beginning + raw)))

    @settings(
        max_examples=how_many(60, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 8), st.binary(max_size=8)), min_size=1))
    def test_a_token_with_changes_is_nobody_elses_and_never_a_bug(self, kdc, changes):
        token = bytearray(make_token(kdc.alice)[0])
        for where, removed, added in changes:
            at = int(where * len(token))
            token[at : at + removed] = added
        outcome = ask(make_provider(kdc), negotiate(bytes(token)))
        if outcome.identity is None:
            assert outcome.answer is Answer.WRONG_CREDENTIALS, outcome.error
        else:
            assert outcome.identity.user.username == "alice"

    @settings(
        max_examples=how_many(40, 200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(text=st.text(max_size=80))
    def test_text_is_never_good_and_never_a_bug(self, kdc, text):
        for value in (text, f"Negotiate {text}", f"Negotiate{text}", f"negotiate\t{text}"):
            outcome = ask(make_provider(kdc), {"Authorization": value})
            assert outcome.answer in (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS), outcome.error


class TestItsArguments:
    @pytest.fixture(autouse=True)
    def _library(self):
        require_library("gssapi")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"principal": "localhost"}, "principal must be like"),
            ({"principal": "HTTP/"}, "principal must be like"),
            ({"principal": "HTTP/a b@X"}, "principal must be like"),
            ({"principal": "HTTP/a@X@Y"}, "principal must be like"),
            ({"principal": ""}, "not empty"),
            ({"principal": "HTTP/localhost"}, "realms must say"),
            ({"principal": "HTTP@localhost"}, "realms must say"),
            ({"realms": "EXAMPLE.TEST"}, "realms must be a list"),
            ({"realms": []}, "nobody could be let in"),
            ({"realms": ["a@b"]}, "not 'a@b'"),
            ({"realms": [5]}, "a realm must be"),
            ({"keytab": ""}, "keytab must be"),
            ({"keytab": None}, "keytab must be"),
            ({"keytab": b"/x"}, "keytab must be"),
            ({"keytab": "a\x00b"}, "keytab must be"),
            ({"user_of_principal": "alice"}, "must be a mapping or a function"),
            ({"user_of_principal": {}}, "user_of_principal must not be empty"),
            ({"user_of_principal": {"alice": "alice"}}, "none of the realms EXAMPLE.TEST"),
            ({"user_of_principal": {"alice@OTHER.TEST": "alice"}}, "none of the realms EXAMPLE.TEST"),
            ({"user_of_principal": {"alice@EXAMPLE.TEST": ""}}, "not empty"),
            ({"channel_bindings": b"x"}, "must be a function"),
            ({"name": ""}, "not empty"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, arguments, words):
        with pytest.raises(ConfigurationError, match=words):
            KerberosAuthenticator(**{"principal": PRINCIPAL, "keytab": "/nonexistent", **arguments})

    def test_several_realms_and_a_userstore_need_to_say_which_alice_is_meant(self):
        realms = ["EXAMPLE.TEST", "OTHER.TEST"]
        mapping = {"alice@EXAMPLE.TEST": "alice", "alice@OTHER.TEST": "bob"}
        for options, userstore, told in (
            ({}, make_userstore(), "several realms and a userstore"),
            ({}, None, "keytab"),
            ({"user_of_principal": mapping}, make_userstore(), "keytab"),
        ):
            provider = KerberosAuthenticator(principal=PRINCIPAL, keytab="/nonexistent", realms=realms, **options)
            with pytest.raises(ConfigurationError, match=told):
                provider.check_configuration(userstore)

    def test_the_constructor_touches_nothing(self):
        provider = KerberosAuthenticator(principal=PRINCIPAL, keytab="/nonexistent")
        assert provider.realms == {REALM}
        with pytest.raises(BackendError):
            provider.authenticate(make_request(negotiate(b"x")), None)


def test_without_gssapi_the_constructor_says_what_to_install():
    code = """
import sys
sys.modules["gssapi"] = None
from flask_securest.authentication_providers.kerberos import KerberosAuthenticator
try:
    KerberosAuthenticator(principal="HTTP/a@B", keytab="/x")
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (
        'KerberosAuthenticator needs a library that is not installed: pip install "flask_securest[kerberos]"'
        in done.stdout
    )


class Answering(AbstractAuthenticationProvider):
    def __init__(self, *headers):
        self.headers = headers

    def authenticate(self, request, userstore):
        return Identity(User("alice"), response_headers=self.headers)


class TestHeadersOfAnIdentity:
    """What a provider adds to the answer, of which mutual authentication is made."""

    def test_they_are_added_to_whatever_is_there(self):
        Who = new_who(get=lambda self: ({}, 200, {"X-Proof": "own"}))
        client = secured(Who, providers=[Answering(("X-Proof", "1"), ("X-Proof", "2"))])[0].test_client()
        assert client.get("/who").headers.getlist("X-Proof") == ["own", "1", "2"]

    def test_once_though_a_request_is_decided_several_times(self):
        Inner = new_who("Inner")
        Outer = new_who("Outer", get=lambda self: app.view_functions["inner"]().json)
        app = secured(Inner, Outer, providers=[Answering(("X-Proof", "1"))])[0]
        answer = app.test_client().get("/outer")
        assert answer.json["user"] == "alice"
        assert answer.headers.getlist("X-Proof") == ["1"]

    def test_they_go_to_the_caller_alone_though_a_view_returns_the_same_object_to_everybody(self):
        from flask import Response

        kept = Response("{}", mimetype="application/json")
        provider = Answering(("X-Proof", "1"))
        client = secured(new_who(get=lambda self: kept), providers=[provider])[0].test_client()
        assert client.get("/who").headers.getlist("X-Proof") == ["1"]
        provider.headers = (("X-Proof", "2"),)
        assert client.get("/who").headers.getlist("X-Proof") == ["2"]
        provider.headers = ()
        assert "X-Proof" not in client.get("/who").headers

    def test_they_show_in_no_repr(self):
        assert "planted" not in repr(Identity(User("alice"), response_headers=[("X-Proof", "planted")]))

    @pytest.mark.parametrize("headers", ["X-Proof: 1", [("X-Proof",)], [("X-Proof", 1)], 5, {"X-Proof": "1"}, [None]])
    def test_what_is_no_pair_of_strings_is_a_type_error(self, headers):
        with pytest.raises(TypeError, match="response_headers"):
            Identity(User("alice"), response_headers=headers)

    @pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "\x00", "é"])
    def test_what_would_split_the_response_is_a_value_error(self, value):
        with pytest.raises(ValueError, match="characters that no header has"):
            Identity(User("alice"), response_headers=[("X-Proof", value)])
