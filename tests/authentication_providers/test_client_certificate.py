"""Client certificates, through a real nginx and past it."""

import http.client
import json
import ssl
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from helpers import ALICE, FAST, KEY, api_key, how_many, make_userstore, new_who, secured
from hypothesis import given, settings
from hypothesis import strategies as st
from servers.certificates import UPN, Authority
from servers.nginx import running_nginx
from servers.process import running
from servers.wsgi import serving
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_securest import current_identity, optional
from flask_securest.authentication_providers import PasswordAuthenticator
from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator, ProxyHeaders
from flask_securest.decision.chain import Answer, Chain
from flask_securest.errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from flask_securest.protocols.x509.certificate import CertificateReader
from flask_securest.protocols.x509.formats import read_pem
from flask_securest.protocols.x509.names import find_values, parse_dn
from flask_securest.testing import AuthenticationProviderContract, make_request

PROXY = ProxyHeaders(trusted_proxies=["127.0.0.1"], single_header=True)
DN = "CN=alice,OU=People,O=Example"
ALICES = {DN: "alice"}
VERIFY, SUBJECT, PEM = "X-SSL-Client-Verify", "X-SSL-Client-DN", "X-SSL-Client-Cert"
PEOPLE = ((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "People"))


def certificate_of(name, *, people=PEOPLE):
    return (*people, (NameOID.COMMON_NAME, name))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    authority.issue_for_server("server")
    names = [x509.RFC822Name("alice@example.test"), x509.DNSName("laptop.example.test")]
    names += [x509.UniformResourceIdentifier("spiffe://example.test/alice")]
    names += [x509.OtherName(UPN, b"\x0c\x12alice@EXAMPLE.TEST"), x509.RegisteredID(UPN)]
    authority.alice = authority.issue("alice", *certificate_of("alice"), names=names)
    authority.issue("mallory", *certificate_of("mallory"))
    authority.issue("nobody", *certificate_of("nobody"))
    Authority(authority.directory, "foreign").issue("stranger", *certificate_of("alice"))
    return authority


def fingerprint_of(certificate):
    return certificate.fingerprint(hashes.SHA256()).hex()


def pem_of(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def by_subject(source=PROXY, **options):
    return ClientCertificateAuthenticator(source=source, **(options or {"user_of_certificate": ALICES}))


def ask(provider, headers, *, peer="127.0.0.1", userstore=None, **environ):
    request = make_request(headers)
    request.environ.update(environ)
    if peer is not None:
        request.environ["REMOTE_ADDR"] = peer
    return Chain([("under-test", provider)], userstore).authenticate(request)


def assert_refused(outcome, words="", kind=BadCredentialsError):
    assert outcome.answer is Answer.WRONG_CREDENTIALS, (outcome.answer, outcome.error)
    assert type(outcome.error) is kind
    assert words in str(outcome.error)


def get(url, path="/who", *, authority=None, certificate=None, headers=(), source="127.0.0.1"):
    """Return status and body of a GET; headers are pairs, and may be there twice."""
    parts = urlsplit(url)
    address, options = ("127.0.0.1", parts.port), {"timeout": 20, "source_address": (source, 0)}
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=authority.file)
        if certificate is not None:
            context.load_cert_chain(
                authority.directory / f"{certificate}.pem", authority.directory / f"{certificate}.key"
            )
        connection = http.client.HTTPSConnection(*address, context=context, **options)
    else:
        connection = http.client.HTTPConnection(*address, **options)
    try:
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body.startswith(b"{") else body
    finally:
        connection.close()


class _ProxiedContract(AuthenticationProviderContract):
    SECRETS = (DN,)

    def make_userstore(self):
        return make_userstore()

    def authenticate(self, provider, headers, userstore=None):
        return ask(provider, headers, userstore=userstore or self.make_userstore())

    def good_headers(self, provider):
        return {VERIFY: "SUCCESS", SUBJECT: DN}

    def wrong_headers(self, provider):
        for verify in ("FAILED:certificate has expired", "success", "NONE,SUCCESS", "SUCCESS,SUCCESS", "NONE", "", "1"):
            yield {VERIFY: verify, SUBJECT: DN}
        for verify in ("SUCCESS", "SUCCESS,NONE", "FAILED:x", "GENEROUS"):
            yield {VERIFY: verify}
        for subject in ("CN=bob,O=Example", f"{DN},{DN}", "", "alice", f"CN=alice,{DN}", f"{DN},CN=alice", "CN=alice"):
            yield {VERIFY: "SUCCESS", SUBJECT: subject}
        yield {PEM: "x"}
        yield {SUBJECT: DN}


class TestBySubjectKeepsTheContract(_ProxiedContract):
    def make_provider(self):
        return by_subject()


class TestByAttributeKeepsTheContract(_ProxiedContract):
    SECRETS = ("CN=alice",)

    def make_provider(self):
        return by_subject(attribute="CN")

    def good_headers(self, provider):
        return {VERIFY: "SUCCESS", SUBJECT: "CN=alice"}

    def wrong_headers(self, provider):
        for headers in super().wrong_headers(provider):
            if headers.get(SUBJECT) not in ("CN=alice", "CN=bob,O=Example"):
                yield headers


@pytest.fixture(scope="module")
def front(authority):
    who = new_who(
        get=lambda self: {
            "user": current_identity.user.username,
            "id": current_identity.credential_id,
            "until": current_identity.expires_at and str(current_identity.expires_at),
        }
    )
    may = optional(
        new_who("Optional", get=lambda self: {"user": current_identity.user.username if current_identity else None})
    )
    providers = [
        by_subject(),
        ClientCertificateAuthenticator(
            source=PROXY,
            by="fingerprint",
            user_of_certificate={fingerprint_of(authority.alice): "alice"},
            name="by-fingerprint",
        ),
        api_key(),
    ]
    app = secured(who, may, providers=providers)[0]
    with serving(app) as back:
        port = urlsplit(back).port
        with running_nginx(authority.directory, f"http://127.0.0.1:{port}", authority.file) as front:
            yield f"https://localhost:{front}", back


class TestBehindNginx:
    """What the server in front says, and what a client would like to say itself."""

    @pytest.fixture
    def ask_front(self, front, authority):
        return lambda certificate=None, *headers, path="/who": get(
            front[0], path, authority=authority, certificate=certificate, headers=headers
        )

    def test_a_good_certificate_is_200(self, ask_front):
        assert ask_front("alice") == (200, {"user": "alice", "id": None, "until": None})

    def test_none_is_401_and_anonymous_where_that_is_enough(self, ask_front):
        assert ask_front() == (401, {"message": "Unauthorized User"})
        assert ask_front(path="/optional") == (200, {"user": None})
        assert ask_front("alice", path="/optional") == (200, {"user": "alice"})

    def test_one_of_somebody_who_is_not_known_is_401_everywhere(self, ask_front):
        assert ask_front("mallory")[0] == 401
        assert ask_front("mallory", path="/optional")[0] == 401

    def test_one_of_a_foreign_authority_is_refused_by_nginx(self, ask_front):
        status, body = ask_front("stranger")
        assert (status, b"SSL certificate error" in body) == (400, True)

    @pytest.mark.parametrize("certificate", [None, "mallory"])
    @pytest.mark.parametrize(
        "spoofed",
        [
            ((VERIFY, "SUCCESS"), (SUBJECT, DN)),
            ((VERIFY, "SUCCESS"), (VERIFY, "SUCCESS"), (SUBJECT, DN), (SUBJECT, DN)),
            ((SUBJECT, DN),),
            ((SUBJECT, "CN=alice"),),
            ((VERIFY.lower(), "SUCCESS"), (SUBJECT.lower(), DN)),
            (("X_SSL_Client_Verify", "SUCCESS"), ("X_SSL_Client_DN", DN)),
            (("X-SSL_Client-Verify", "SUCCESS"), ("X-SSL-Client_DN", DN)),
            ((VERIFY, "SUCCESS"), (SUBJECT, DN), ("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")),
            ((VERIFY, "SUCCESS"), (SUBJECT, DN), ("Connection", f"{VERIFY}, {SUBJECT}")),
        ],
    )
    def test_what_a_client_sends_under_these_names_does_not_arrive(self, ask_front, certificate, spoofed):
        assert ask_front(certificate, *spoofed) == (401, {"message": "Unauthorized User"})

    def test_the_certificate_of_somebody_else_cannot_be_sent(self, ask_front, authority):
        spoofed = (VERIFY, "SUCCESS"), (PEM, quote(pem_of(authority.alice)))
        assert ask_front("mallory", *spoofed)[0] == ask_front(None, *spoofed)[0] == 401

    def test_past_the_proxy_nothing_of_it_is_believed(self, front):
        back, headers = front[1], [(VERIFY, "SUCCESS"), (SUBJECT, DN)]
        assert get(back, headers=headers, source="127.0.0.1")[0] == 200, "the proxy's own address"
        for path in ("/who", "/optional"):
            for more in ([], [("X-Forwarded-For", "127.0.0.1")], [("Forwarded", "for=127.0.0.1")]):
                assert get(back, path, headers=headers + more, source="127.0.0.2")[0] == 401
            for part in (headers[:1], headers[1:], [(VERIFY, "NONE")], [(PEM, "x")]):
                assert get(back, path, headers=part, source="127.0.0.2")[0] == 401
        assert get(back, "/optional", source="127.0.0.2") == (200, {"user": None})

    def test_past_the_proxy_another_provider_is_still_good(self, front):
        key = ("X-API-Key", KEY)
        assert get(front[1], headers=[key], source="127.0.0.2")[1]["user"] == "ci"
        assert get(front[1], headers=[(VERIFY, "SUCCESS"), (SUBJECT, DN), key], source="127.0.0.2")[1]["user"] == "ci"

    def test_a_doubled_header_is_refused_even_from_the_proxy(self, front):
        for doubled in (("NONE", "SUCCESS"), ("SUCCESS", "NONE"), ("SUCCESS", "SUCCESS"), ("SUCCESS", "")):
            headers = [(VERIFY, value) for value in doubled] + [(SUBJECT, DN)]
            assert get(front[1], headers=headers)[0] == 401, doubled
        assert get(front[1], headers=[(VERIFY, "SUCCESS"), (SUBJECT, DN), (SUBJECT, DN)])[0] == 401

    def test_by_fingerprint_and_until_the_certificate_ends(self, ask_front, authority, front):
        app = secured(
            new_who(get=lambda self: {"id": current_identity.credential_id, "until": str(current_identity.expires_at)}),
            providers=[
                ClientCertificateAuthenticator(
                    source=PROXY, by="fingerprint", user_of_certificate={fingerprint_of(authority.alice): "alice"}
                )
            ],
        )[0]
        until = str(authority.alice.not_valid_after_utc)
        assert self.behind(app, authority, "alice") == (200, {"id": fingerprint_of(authority.alice), "until": until})
        assert self.behind(app, authority, "mallory")[0] == self.behind(app, authority, None)[0] == 401

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("email", "alice@example.test"),
            ("DNS", "laptop.example.test"),
            ("URI", "spiffe://example.test/alice"),
            ("UPN", "alice@EXAMPLE.TEST"),
        ],
    )
    def test_by_alternative_name(self, authority, kind, value):
        provider = ClientCertificateAuthenticator(
            source=PROXY, by="san", attribute=kind, user_of_certificate={value: "alice"}
        )
        app = secured(new_who(), providers=[provider])[0]
        assert self.behind(app, authority, "alice")[1]["user"] == "alice"
        assert self.behind(app, authority, "mallory")[0] == 401

    @pytest.mark.parametrize(
        "name",
        [
            "alice,OU=evil",
            "CN=alice",
            "alice+UID=0",
            'ali"ce',
            "a\\b",
            " alice ",
            "#616c696365",
            "<a>;b=c",
            "ünï ☃",
            "alice\\2COU=evil",
            "x" * 60,
            "a\u00a0b",
        ],
    )
    def test_a_name_arrives_as_it_was_issued_whatever_is_in_it(self, authority, name):
        authority.issue("strange", *certificate_of(name))
        seen = []
        app = secured(
            new_who(get=lambda self: seen.append(current_identity.user.username) or {}),
            providers=[by_subject(attribute="CN")],
            userstore=None,
        )[0]
        status = self.behind(app, authority, "strange")[0]
        assert (status, seen) == ((200, [name]) if name.isprintable() else (401, []))

    def test_a_part_of_several_values_and_types_that_nobody_has_a_name_for(self, authority):
        parts = [
            (NameOID.COUNTRY_NAME, "AT"),
            (x509.ObjectIdentifier("1.2.3.4.5"), "odd"),
            ((NameOID.USER_ID, "7"), (NameOID.COMMON_NAME, "alice")),
            (NameOID.EMAIL_ADDRESS, "a@b"),
        ]
        authority.issue("odd", *parts)
        seen = []
        provider = by_subject(user_of_certificate=lambda subject: seen.append(subject) or "alice")
        app = secured(new_who(), providers=[provider])[0]
        assert self.behind(app, authority, "odd")[0] == 200
        (subject,) = seen
        assert subject == "emailAddress=a@b,UID=7+CN=alice,1.2.3.4.5=#0C036F6464,C=AT"
        provider = by_subject(user_of_certificate={subject.replace("UID=7+CN=alice", "CN=alice+UID=7"): "alice"})
        assert self.behind(secured(new_who(), providers=[provider])[0], authority, "odd")[0] == 200

    def test_one_that_has_expired_is_refused_by_nginx(self, authority):
        authority.issue("old", *certificate_of("alice"), days=(-5, -1))
        app = secured(new_who(), providers=[by_subject()])[0]
        assert self.behind(app, authority, "old")[0] == 400

    def test_one_that_nginx_lets_through_unverified_is_401(self, authority):
        app = secured(new_who(), providers=[by_subject()])[0]
        assert self.behind(app, authority, "stranger", verify="optional_no_ca")[0] == 401
        assert self.behind(app, authority, "alice", verify="optional_no_ca")[0] == 200

    def test_behind_proxy_fix_it_is_the_sockets_peer_that_counts(self, authority):
        for trusted, expected in ((["127.0.0.1"], 200), (["192.0.2.7"], 401)):
            app = secured(new_who(), providers=[by_subject(ProxyHeaders(trusted, single_header=True))])[0]
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=2)
            spoofed = [("X-Forwarded-For", "192.0.2.7")]
            assert self.behind(app, authority, "alice", headers=spoofed)[0] == expected
            with serving(app) as back:
                sent = [(VERIFY, "SUCCESS"), (SUBJECT, DN), ("X-Forwarded-For", "127.0.0.1, 127.0.0.1")]
                assert get(back, headers=sent, source="127.0.0.2")[0] == 401

    def test_through_a_unix_domain_socket(self, authority, tmp_path):
        (tmp_path / "application.py").write_text(
            "from helpers import new_who, secured\n"
            "from test_client_certificate import ProxyHeaders, by_subject\n"
            "app = secured(new_who(), providers=[by_subject(ProxyHeaders(['unix'], single_header=True))])[0]\n"
            "other = secured(new_who(), providers=[by_subject()])[0]\n"
        )
        here = Path(__file__).parent
        for name, expected in (("app", 200), ("other", 401)):
            path = tmp_path / f"{name}.sock"
            command = [
                sys.executable,
                "-m",
                "gunicorn",
                "-b",
                f"unix:{path}",
                "--pythonpath",
                f"{tmp_path},{here},{here.parent}",
            ]
            with (
                running_nginx(authority.directory, f"http://unix:{path}:", authority.file) as front,
                running([*command, f"application:{name}"], front, tmp_path / "log"),
            ):
                deadline = datetime.now() + timedelta(seconds=20)
                while not path.exists() and datetime.now() < deadline:
                    time.sleep(0.02)
                url = f"https://localhost:{front}"
                assert get(url, authority=authority, certificate="alice")[0] == expected
                assert get(url, authority=authority, headers=[(VERIFY, "SUCCESS"), (SUBJECT, DN)])[0] == 401

    def behind(self, app, authority, certificate, *, headers=(), **options):
        with (
            serving(app) as back,
            running_nginx(
                authority.directory, f"http://127.0.0.1:{urlsplit(back).port}", authority.file, **options
            ) as front,
        ):
            return get(f"https://localhost:{front}", authority=authority, certificate=certificate, headers=headers)


class TestWhoMayTell:
    GOOD: ClassVar = {VERIFY: "SUCCESS", SUBJECT: DN}

    @pytest.mark.parametrize(
        ("trusted", "peer"),
        [
            (["127.0.0.1"], "127.0.0.1"),
            (["10.0.0.0/28"], "10.0.0.15"),
            (["10.0.0.0/28"], "::ffff:10.0.0.15"),
            (["fd00::/64"], "fd00::17"),
            (["192.0.2.1", "::1"], "::1"),
            (["unix"], ""),
            (["unix", "127.0.0.1"], "127.0.0.1"),
        ],
    )
    def test_a_named_proxy_may(self, trusted, peer):
        assert ask(by_subject(ProxyHeaders(trusted, single_header=True)), self.GOOD, peer=peer).identity is not None

    @pytest.mark.parametrize(
        ("trusted", "peer"),
        [
            (["127.0.0.1"], "127.0.0.2"),
            (["127.0.0.1"], "127.0.0.11"),
            (["10.0.0.0/28"], "10.0.0.16"),
            (["10.0.0.0/28"], "::ffff:10.0.0.16"),
            (["127.0.0.1"], None),
            (["127.0.0.1"], ""),
            (["127.0.0.1"], "unix"),
            (["127.0.0.1"], "127.0.0.1, 10.0.0.1"),
            (["127.0.0.1"], " 127.0.0.1"),
            (["127.0.0.1"], "0177.0.0.1"),
            (["127.0.0.1"], b"\x7f\x00\x00\x01"),
            (["127.0.0.1"], 2130706433),
            (["unix"], "127.0.0.1"),
            (["unix"], "unix"),
            (["unix"], None),
        ],
    )
    def test_nobody_else_may(self, trusted, peer):
        assert_refused(
            ask(by_subject(ProxyHeaders(trusted, single_header=True)), self.GOOD, peer=peer), "none of trusted_proxies"
        )

    def test_what_proxy_fix_has_kept_counts_and_nothing_a_client_can_write(self):
        for original, verified in (("127.0.0.1", True), ("192.0.2.1", False), (None, False)):
            kept = {"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": original}}
            outcome = ask(by_subject(), self.GOOD, peer="127.0.0.1" if not verified else "192.0.2.1", **kept)
            assert (outcome.identity is not None) == verified
        headers = {**self.GOOD, "X-Forwarded-For": "127.0.0.1", "Werkzeug.Proxy-Fix.Orig": "127.0.0.1"}
        assert_refused(ask(by_subject(), headers, peer="192.0.2.1"))

    def test_headers_of_another_name(self):
        source = ProxyHeaders(
            ["127.0.0.1"], verify="Ssl-Verify", subject="Ssl-Subject", certificate="Ssl-Cert", single_header=True
        )
        provider = by_subject(source)
        assert provider.credential_headers == ("Ssl-Subject",)
        assert ask(provider, {"Ssl-Verify": "SUCCESS", "Ssl-Subject": DN}).identity is not None
        assert ask(provider, self.GOOD).answer is Answer.NO_CREDENTIALS

    def test_from_the_environ_headers_do_not_count(self):
        provider = by_subject("environ")
        assert provider.credential_headers == ()
        assert ask(provider, self.GOOD).answer is Answer.NO_CREDENTIALS
        headers = {"SSL-Client-Verify": "SUCCESS", "SSL-Client-S-DN": DN}
        assert ask(provider, headers).answer is Answer.NO_CREDENTIALS
        told = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": DN}
        assert ask(provider, {}, peer=None, **told).identity.user.username == "alice"
        assert_refused(ask(provider, {}, **{**told, "SSL_CLIENT_VERIFY": "GENEROUS"}), "has not verified")
        assert_refused(ask(provider, {}, **{**told, "SSL_CLIENT_VERIFY": "NONE"}), "has not verified")
        assert_refused(ask(provider, {}, SSL_CLIENT_VERIFY="SUCCESS"), "without its subject")
        # The format that mod_ssl had before 2.3.11 cannot be taken apart with certainty: it is refused.
        assert_refused(ask(provider, {}, **{**told, "SSL_CLIENT_S_DN": "/O=Example/OU=People/CN=alice"}))
        for nothing in ({"SSL_CLIENT_VERIFY": "NONE"}, {"SSL_CLIENT_VERIFY": ""}, {}):
            assert ask(provider, {}, **nothing).answer is Answer.NO_CREDENTIALS

    def test_apache_passes_a_certificate_on_with_its_line_feeds_and_names_in_utf_8(self, authority):
        provider = ClientCertificateAuthenticator(
            by="fingerprint", user_of_certificate={fingerprint_of(authority.alice): "alice"}
        )
        told = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_CERT": pem_of(authority.alice)}
        assert ask(provider, {}, **told).identity is not None
        as_header = {VERIFY: "SUCCESS", PEM: pem_of(authority.alice).replace("\n", " ")}
        proxied = ClientCertificateAuthenticator(
            source=PROXY, by="fingerprint", user_of_certificate={fingerprint_of(authority.alice): "alice"}
        )
        assert ask(proxied, as_header).identity is not None
        raw = "CN=Jürgen,O=Example".encode().decode("latin-1")
        provider = by_subject("environ", attribute="CN")
        assert ask(provider, {}, SSL_CLIENT_VERIFY="SUCCESS", SSL_CLIENT_S_DN=raw).identity.user.username == "Jürgen"

    def test_the_user_must_be_one_of_the_userstore_and_may_be_disabled(self):
        store, provider = make_userstore(), by_subject(attribute="CN")
        answers = {}
        for name in ("alice", "mallory", "nobody"):
            answers[name] = ask(provider, {VERIFY: "SUCCESS", SUBJECT: f"CN={name}"}, userstore=store)
        assert answers["alice"].identity.user.roles == {"admin"}
        assert answers["mallory"].answer is Answer.ACCOUNT_STATUS
        assert_refused(answers["nobody"], "no user here")

    def test_there_is_no_challenge_for_what_http_cannot_ask_for(self):
        assert by_subject().challenge("api") is None
        providers = [by_subject(), PasswordAuthenticator(password_hasher=FAST)]
        client = secured(new_who(), providers=providers)[0].test_client()
        refused = client.get("/who", headers=self.GOOD, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
        assert refused.headers.getlist("WWW-Authenticate") == ['Basic realm="api", charset="UTF-8"']
        assert client.get("/who", headers=ALICE).json["provider"] == "password"

    def test_nothing_of_a_certificate_is_repeated_to_the_log(self, caplog, authority):
        caplog.set_level("DEBUG")
        by_print = ClientCertificateAuthenticator(
            source=PROXY, by="fingerprint", user_of_certificate={"0" * 64: "alice"}, name="by-print"
        )
        client = secured(new_who(), providers=[by_subject(), by_print])[0].test_client()
        for headers in (
            {VERIFY: "planted", SUBJECT: "CN=planted"},
            {VERIFY: "SUCCESS", SUBJECT: "CN=planted", PEM: "planted"},
            {VERIFY: "SUCCESS", SUBJECT: "CN=planted\n,O=\xff", PEM: quote(pem_of(authority.alice))},
        ):
            environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
            assert client.get("/who", environ_overrides={**environ, "REMOTE_ADDR": "127.0.0.1"}).status_code == 401
        assert len(caplog.records) == 3
        assert "planted" not in caplog.text
        assert pem_of(authority.alice)[40:60] not in caplog.text


class TestWhoseCertificateItIs:
    def subject(self, provider, subject):
        return ask(provider, {VERIFY: "SUCCESS", SUBJECT: subject})

    @pytest.mark.parametrize(
        "subject",
        [
            "CN=alice",
            "CN=alice,OU=People",
            "OU=People,O=Example,CN=alice",
            "CN=alice,OU=People,O=Example,C=AT",
            "CN=mallory,CN=alice,OU=People,O=Example",
            r"CN=alice\,OU=People\,O=Example",
            r"CN=alice\,OU=People,O=Example",
            "CN=alice+OU=People,O=Example",
            "CN=Alice,OU=People,O=Example",
            "cn=alice,ou=People,o=Example",
            "CN=alice ,OU=People,O=Example",
            "CN=alice, OU=People, O=Example",
            "CN=alice;OU=People;O=Example",
            'CN="alice",OU=People,O=Example',
            "CN=alice,OU=People,O=Example,",
            ",CN=alice,OU=People,O=Example",
            "CN=#616c696365,OU=People,O=Example",
        ],
    )
    def test_by_the_whole_subject_nothing_else_is_the_same(self, subject):
        assert_refused(self.subject(by_subject(), subject))

    @pytest.mark.parametrize(
        "subject",
        [
            "CN=mallory,OU=alice",
            r"CN=mallory,OU=x\,CN=alice",
            r"CN=mallory,OU=CN\=alice",
            "CN=mallory,OU=CN=alice",
            "CN=alice,CN=mallory",
            "CN=mallory,CN=alice",
            "CN=alice,CN=alice",
            "CN=alice+CN=mallory",
            "XCN=alice",
            "OU=alice",
            "CN=",
            r"CN=\ ",
            "CN=#0C05616C696365",
            r"CN=ali\00ce",
            r"CN=alice\0A",
            "",
        ],
    )
    def test_by_an_attribute_it_is_the_one_value_of_that(self, subject):
        outcome = self.subject(by_subject(attribute="CN", user_of_certificate={"alice": "alice"}), subject)
        assert_refused(outcome)
        outcome = self.subject(by_subject(attribute="CN"), subject)
        assert outcome.identity is None or outcome.identity.user.username == "mallory"

    def test_by_an_attribute_with_a_name_for_it(self):
        provider = by_subject(attribute="UID", user_of_certificate={"4711": "alice"})
        assert self.subject(provider, "CN=x,UID=4711").identity.user.username == "alice"
        assert_refused(self.subject(provider, "CN=x,UID=4712"), "nobody here")

    def test_a_function_may_say_whose_it_is(self):
        for attribute, expected in ((None, DN), ("CN", "alice")):
            seen = []
            provider = by_subject(
                attribute=attribute, user_of_certificate=lambda key, seen=seen: seen.append(key) or "x"
            )
            assert self.subject(provider, DN).identity.user.username == "x"
            assert seen == [expected]
        for answer in (True, "", 1, b"alice"):
            outcome = self.subject(by_subject(user_of_certificate=lambda key, answer=answer: answer), DN)
            assert (outcome.answer, type(outcome.error)) == (Answer.BUG, TypeError)

    def answer_to(self, certificate, **options):
        provider = ClientCertificateAuthenticator(source=PROXY, **options)
        return ask(provider, {VERIFY: "SUCCESS", PEM: quote(pem_of(certificate))})

    def test_by_fingerprint_in_any_common_spelling(self, authority):
        digits = fingerprint_of(authority.alice)
        for spelling in (digits, digits.upper(), ":".join(digits[at : at + 2] for at in range(0, 64, 2)).upper()):
            outcome = self.answer_to(authority.alice, by="fingerprint", user_of_certificate={spelling: "alice"})
            assert outcome.identity.user.username == "alice"
        assert_refused(self.answer_to(authority.alice, by="fingerprint", user_of_certificate={"0" * 64: "alice"}))

    def test_by_alternative_names_of_which_there_are_several(self, authority):
        names = [x509.RFC822Name("alice@example.test"), x509.RFC822Name("bob@example.test"), x509.DNSName("host")]
        both = authority.issue("both", *certificate_of("both"), names=names)
        users = {"alice@example.test": "alice"}
        options = {"by": "san", "attribute": "email"}
        assert self.answer_to(both, **options, user_of_certificate=users).identity.user.username == "alice"
        assert_refused(self.answer_to(both, **options), "several users")
        users["bob@example.test"] = "bob"
        assert_refused(self.answer_to(both, **options, user_of_certificate=users), "several users")
        users["bob@example.test"] = "alice"
        assert self.answer_to(both, **options, user_of_certificate=users).identity.user.username == "alice"
        assert self.answer_to(both, by="san", attribute="DNS").identity.user.username == "host"
        assert_refused(self.answer_to(both, by="san", attribute="URI"), "nobody here")

    def test_a_name_of_one_kind_is_none_of_another(self, authority):
        names = [x509.DNSName("alice@example.test"), x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x05alice")]
        odd = authority.issue("kinds", *certificate_of("odd"), names=names)
        for kind in ("email", "URI", "UPN"):
            assert_refused(self.answer_to(odd, by="san", attribute=kind))

    @pytest.mark.parametrize("value", [b"\x05\x00", b"\x13\x05alice", b"\x0c\x01\xff", b"\x0c\x81\x80" + b"a" * 128])
    def test_a_upn_that_is_no_text_is_refused(self, authority, value):
        odd = authority.issue("upn", *certificate_of("odd"), names=[x509.OtherName(UPN, value)])
        assert_refused(self.answer_to(odd, by="san", attribute="UPN"))

    def test_one_out_of_its_time_is_refused_where_it_is_at_hand(self, authority):
        for days, kind in (((-5, -1), ExpiredCredentialsError), ((1, 5), BadCredentialsError)):
            certificate = authority.issue("dated", *certificate_of("alice"), days=days)
            outcome = self.answer_to(
                certificate, by="fingerprint", user_of_certificate={fingerprint_of(certificate): "alice"}
            )
            assert_refused(outcome, kind=kind)

    def test_what_is_no_certificate_is_refused(self, authority):
        good = pem_of(authority.alice)
        provider = ClientCertificateAuthenticator(
            source=PROXY, by="fingerprint", user_of_certificate={fingerprint_of(authority.alice): "alice"}
        )
        body = "".join(good.splitlines()[1:-1])
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        bad = [body, good + good, good + "x", "x" + good, good.replace("CERTIFICATE", "X509 CRL"), quote(quote(good))]
        bad += [
            f"{begin}{end}",
            f"{begin}!{end}",
            f"{begin}{body[:-4]}{end}",
            f"{begin}AAAA{end}",
            f"{begin}{body}AAAA{end}",
        ]
        bad += [f"{begin}{body}=={end}", "%", "%ZZ", "(null)", quote(good) + "," + quote(good), "A" * 9000]
        for text in bad:
            for sent in (text, quote(text)) if "%" not in text else (text,):
                assert_refused(ask(provider, {VERIFY: "SUCCESS", PEM: sent.replace("\n", " ")}))
        assert ask(provider, {VERIFY: "SUCCESS", PEM: quote(good)}).identity is not None

    def test_base64_with_stray_bits_is_no_other_spelling_of_a_certificate(self, authority):
        der = b""
        while len(der) % 3 != 1:
            certificate = authority.issue("spelt", *certificate_of("alice" * (1 + len(der) % 7)))
            der = certificate.public_bytes(serialization.Encoding.DER)
        good = pem_of(certificate)
        last = good[good.index("==") - 1]
        assert last in "AQgw"
        reader = CertificateReader("tests")
        assert reader.read((read_pem(good.encode()),)).fingerprint == fingerprint_of(certificate)
        with pytest.raises(ValueError, match="not in base64"):
            read_pem(good.replace(f"{last}==", f"{chr(ord(last) + 1)}==").encode())


class TestItsArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({}, "needs user_of_certificate"),
            ({"by": "name"}, 'by must be "subject", "san" or "fingerprint", not \'name\''),
            ({"by": "fingerprint"}, "needs user_of_certificate"),
            (
                {"by": "fingerprint", "attribute": "CN", "user_of_certificate": {"0" * 64: "alice"}},
                "needs no attribute",
            ),
            ({"by": "fingerprint", "user_of_certificate": {"0" * 40: "alice"}}, "no SHA-256"),
            ({"by": "san", "user_of_certificate": {"a@b": "alice"}}, "one of email, DNS, URI, UPN; it is None"),
            ({"by": "san", "attribute": "CN"}, "one of email, DNS, URI, UPN; it is 'CN'"),
            ({"attribute": "C N"}, 'attribute must be like "CN"'),
            ({"attribute": 5}, 'attribute must be like "CN"'),
            ({"user_of_certificate": "CN=alice"}, "must be a mapping or a function"),
            ({"user_of_certificate": {"alice": "alice"}}, "'alice', which is no subject"),
            ({"user_of_certificate": {"/CN=alice": "alice"}}, "which is no subject"),
            ({"user_of_certificate": {"CN=alice": ""}}, "not empty"),
            ({"user_of_certificate": {"CN=a\\,b": "alice", "CN=a\\2Cb": "bob"}}, "for several users"),
            ({"source": "headers", "attribute": "CN"}, "it must be a ProxyHeaders object"),
            ({"source": ProxyHeaders, "attribute": "CN"}, "it is the class ProxyHeaders itself"),
            ({"attribute": "CN", "name": ""}, "not empty"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, arguments, words):
        with pytest.raises(ConfigurationError, match=words):
            ClientCertificateAuthenticator(**arguments)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"trusted_proxies": []}, "must name a proxy"),
            ({"trusted_proxies": "127.0.0.1"}, "must be a list"),
            ({"trusted_proxies": ["localhost"]}, "'localhost', which is no address"),
            ({"trusted_proxies": ["10.0.0.1/8"]}, "which is no address"),
            ({"trusted_proxies": ["0.0.0.0/0"]}, "everybody could send"),
            ({"trusted_proxies": ["::/0"]}, "everybody could send"),
            ({"trusted_proxies": ["*"]}, "which is no address"),
            ({"trusted_proxies": [2130706433]}, "a network of trusted_proxies must be"),
            ({"trusted_proxies": ["::1"], "verify": "a b"}, "a header must be named"),
            ({"trusted_proxies": ["::1"], "verify": "X-A", "subject": "x_a"}, "must be different headers"),
        ],
    )
    def test_proxies_that_cannot_be_believed_are_told(self, arguments, words):
        with pytest.raises(ConfigurationError, match=words):
            ProxyHeaders(**arguments)

    def test_without_cryptography_subjects_work_and_the_rest_says_what_to_install(self):
        code = """
import sys
sys.modules["cryptography"] = None
from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator
ClientCertificateAuthenticator(attribute="CN")
try:
    ClientCertificateAuthenticator(by="san", attribute="email")
except ImportError as error:
    print(error)
"""
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
        assert 'that is not installed: pip install "flask_securest[certificates]"' in done.stdout


class TestDistinguishedNames:
    @pytest.mark.parametrize(
        ("text", "values"),
        [
            (r"CN=a\,b", ["a,b"]),
            (r"CN=a\2Cb", ["a,b"]),
            (r"CN=a\\", ["a\\"]),
            (r"CN=a\\\,b", ["a\\,b"]),
            (r"CN=\ a\ ", [" a "]),
            (r"CN=\#a#", ["#a#"]),
            (r"CN=a=b", ["a=b"]),
            (r"CN=\C3\BC", ["ü"]),
            ("CN=ü", ["ü"]),
            ("CN=", [""]),
            ("O=x,CN=", [""]),
            ("CN=,O=x", [""]),
            ("CN=#0C0161", [b"\x0c\x01a"]),
            ("CN=a+CN=b,CN=c", ["a", "b", "c"]),
            ("2.5.4.3=a,CN=b", ["b"]),
        ],
    )
    def test_what_is_one(self, text, values):
        assert sorted(find_values(parse_dn(text.encode()), "CN")) == sorted(values)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "CN", "=a", "CN=a,", ",CN=a", "CN=a,,O=b", "CN=a+", "CN =a", "CN= a", "CN=a ", "CN=#", "CN=#0"),
            *("CN=#zz", "CN=a\\", "CN=\\x", "CN=\\0", "CN=a;O=b", 'CN="a"', "CN=<a>", "CN=\x00", "CN=\n", "1=a"),
            *("1.=a", "CN=a+CN=a", "/CN=a", "CN:a", "C_N=a", "CN=a\\\\ "),
        ],
    )
    def test_what_is_none(self, text):
        with pytest.raises(ValueError, match="distinguished name"):
            parse_dn(text.encode())

    def test_what_is_not_utf_8_is_none_and_is_not_quoted(self):
        for text in (b"CN=\xff", rb"CN=\FF", b"CN=\xc3\\BC", rb"CN=\C3"):
            with pytest.raises(ValueError, match="not UTF-8") as raised:
                parse_dn(text)
            assert type(raised.value) is ValueError
            assert raised.value.__context__ is None

    def test_a_value_of_bytes_is_not_the_text_that_looks_like_it(self):
        assert parse_dn(b"CN=#0C0161") != parse_dn(rb"CN=\#0C0161")

    @settings(max_examples=how_many(100, 500))
    @given(st.lists(st.tuples(st.sampled_from(["CN", "O", "OU"]), st.text(max_size=20)), min_size=1, max_size=5))
    def test_what_has_been_escaped_comes_out_as_it_was(self, pairs):
        pairs = [(kind, value.encode("utf-8", "replace").decode()) for kind, value in pairs]
        text = ",".join(f"{kind}=" + "".join(f"\\{byte:02X}" for byte in value.encode()) for kind, value in pairs)
        assert parse_dn(text.encode()) == tuple(frozenset([pair]) for pair in pairs)

    @settings(max_examples=how_many(100, 500))
    @given(
        st.text(
            alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
        )
    )
    def test_it_reads_what_cryptography_writes(self, value):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value), x509.NameAttribute(NameOID.USER_ID, "x")])
        dn = parse_dn(name.rfc4514_string().encode())
        assert find_values(dn, "CN") == [value]
        assert find_values(dn, "UID") == ["x"]

    @settings(max_examples=how_many(100, 500))
    @given(st.binary(max_size=100) | st.text(alphabet='CN=alice,+\\"#; 0', max_size=60).map(str.encode))
    def test_anything_else_is_a_value_error(self, text):
        try:
            parse_dn(text)
        except ValueError as error:
            assert type(error) is ValueError  # noqa: PT017  # or it is one

    def test_a_long_one_takes_no_time(self):
        started = time.thread_time()
        for text in (b"CN=" + b"a" * 8000 + b'"', b"CN=a," * 1600, b"CN=" + b" " * 8000, b"CN=" + b"\\" * 8001):
            with pytest.raises(ValueError, match="distinguished name"):
                parse_dn(text)
        assert time.thread_time() - started < 1


class TestGarbage:
    HEADERS = st.dictionaries(
        st.sampled_from([VERIFY, SUBJECT, PEM]),
        st.text(max_size=60) | st.binary(max_size=60) | st.sampled_from(["SUCCESS", "NONE", "CN=bob", "NONE,SUCCESS"]),
    )

    @settings(max_examples=how_many(60, 300), deadline=None)
    @given(headers=HEADERS, peer=st.sampled_from(["127.0.0.1", "192.0.2.1", ""]) | st.text(max_size=20))
    def test_headers_are_never_good_and_never_a_bug(self, headers, peer):
        by_print = ClientCertificateAuthenticator(
            source=PROXY, by="fingerprint", user_of_certificate={"0" * 64: "alice"}
        )
        for provider in (by_subject(), by_print, by_subject(attribute="CN", user_of_certificate={"alice": "alice"})):
            outcome = ask(provider, headers, peer=peer)
            assert outcome.answer in (Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS), outcome.error
            if peer != "127.0.0.1":
                anything = any(value.strip(b" \t" if isinstance(value, bytes) else " \t") for value in headers.values())
                assert (outcome.answer is Answer.WRONG_CREDENTIALS) == anything

    @settings(max_examples=how_many(40, 200), deadline=None)
    @given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 4), st.binary(max_size=4)), min_size=1))
    def test_a_certificate_with_changes_is_not_that_one_and_never_a_bug(self, authority, changes):
        der = bytearray(authority.alice.public_bytes(serialization.Encoding.DER))
        for where, removed, added in changes:
            at = int(where * len(der))
            der[at : at + removed] = added
        pem = ssl.DER_cert_to_PEM_cert(bytes(der)).encode()
        try:
            read = CertificateReader("tests").read((read_pem(pem),))
        except ValueError as error:
            assert type(error) is ValueError  # noqa: PT017  # or it is one
        else:
            same = bytes(der) == authority.alice.public_bytes(serialization.Encoding.DER)
            assert (read.fingerprint == fingerprint_of(authority.alice)) == same


def test_a_certificate_at_the_end_of_its_time_is_good_until_then(authority):
    certificate = CertificateReader("tests").read((read_pem(pem_of(authority.alice).encode()),))
    assert certificate.not_before < datetime.now(timezone.utc) < certificate.not_after
    assert ("email", "alice@example.test") in certificate.names
