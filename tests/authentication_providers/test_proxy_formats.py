"""How each kind of proxy tells of client certificates: nginx, Apache and HAProxy for real, the others as recorded."""

import base64
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from helpers import make_userstore, new_who, secured
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.apache import running_apache
from servers.certificates import Authority
from servers.haproxy import running_haproxy
from servers.nginx import running_nginx
from servers.wsgi import serving
from test_client_certificate import ask, assert_refused, certificate_of, fingerprint_of, get, pem_of

from flask_securest import current_identity
from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator, ProxyHeaders
from flask_securest.decision.chain import Answer
from flask_securest.errors import ConfigurationError
from flask_securest.protocols.x509.certificate import CertificateReader
from flask_securest.protocols.x509.formats import FORMATS
from flask_securest.protocols.x509.names import parse_dn
from flask_securest.testing import AuthenticationProviderContract

ALICES = {"CN=alice,OU=People,O=Example": "alice"}
VERIFY, SUBJECT, CERT = "X-SSL-Client-Verify", "X-SSL-Client-DN", "X-SSL-Client-Cert"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    directory = tmp_path_factory.mktemp("formats")
    directory.chmod(0o755)
    authority = Authority(directory)
    authority.issue_for_server("server")
    authority.alice = authority.issue("alice", *certificate_of("alice"))
    authority.mallory = authority.issue("mallory", *certificate_of("mallory"))
    stranger = Authority(directory, "foreign")
    authority.stranger = stranger.issue("stranger", *certificate_of("alice"))
    authority.certificate = x509.load_pem_x509_certificate(authority.file.read_bytes())
    return authority


def make(kind, **options):
    source = ProxyHeaders(["127.0.0.1"], kind, **options.pop("headers", {}))
    return ClientCertificateAuthenticator(source=source, **{"user_of_certificate": ALICES, **options})


def der_of(certificate):
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def escaped(certificate):
    """Return what the load balancer of AWS sends: PEM, percent-encoded but for these."""
    return quote(pem_of(certificate), safe="+=/")


#: What each sends for a certificate that it has verified. From the vendors' documentation.
RECORDED = {
    "nginx": lambda c: {VERIFY: "SUCCESS", SUBJECT: c.subject.rfc4514_string(), CERT: quote(pem_of(c))},
    "apache": lambda c: {VERIFY: "SUCCESS", SUBJECT: "CN=x", CERT: pem_of(c).replace("\n", " ")},
    "haproxy": lambda c: {VERIFY: "0", CERT: der_of(c)},
    "envoy": lambda c: {
        "X-Forwarded-Client-Cert": f"By=spiffe://mesh/back;Hash={fingerprint_of(c)};"
        f'Cert="{quote(pem_of(c), safe="")}";Subject="CN=alice,OU=\\"a;b,c\\"";URI=spiffe://mesh/alice;DNS=a.example'
    },
    "traefik": lambda c: {"X-Forwarded-Tls-Client-Cert": der_of(c)},
    "aws-alb": lambda c: {
        "X-Amzn-Mtls-Clientcert-Leaf": escaped(c),
        "X-Amzn-Mtls-Clientcert-Subject": "CN=alice",
        "X-Amzn-Mtls-Clientcert-Issuer": "CN=authority",
        "X-Amzn-Mtls-Clientcert-Serial-Number": "03A5B1",
        "X-Amzn-Mtls-Clientcert-Validity": "NotBefore=2026-11-21T01:50:17Z;NotAfter=2027-07-10T12:11:50Z",
    },
    "rfc9440": lambda c: {"Client-Cert": f":{der_of(c)}:", "Client-Cert-Chain": f":{der_of(c)}:, :{der_of(c)}:"},
}

#: In which header the certificate is.
IN = {kind: each.headers["certificate"] for kind, each in FORMATS.items()}

every = pytest.mark.parametrize("kind", FORMATS)


def test_every_format_is_recorded():
    assert set(RECORDED) == set(FORMATS)


@every
@pytest.mark.parametrize("by", ["subject", "attribute", "fingerprint"])
def test_a_certificate_is_its_owners(kind, by, authority):
    options = {
        "subject": {},
        "attribute": {"attribute": "CN", "user_of_certificate": None},
        "fingerprint": {"by": "fingerprint", "user_of_certificate": {fingerprint_of(authority.alice): "alice"}},
    }[by]
    provider = make(kind, **options)
    found = ask(provider, RECORDED[kind](authority.alice)).identity
    assert (found.user.username, found.credential_id) == ("alice", fingerprint_of(authority.alice))
    assert found.expires_at == authority.alice.not_valid_after_utc
    other = ask(provider, RECORDED[kind](authority.mallory), userstore=make_userstore())
    # By an attribute the certificate is mallory's, whose account is disabled; else it is nobody's.
    assert other.answer is (Answer.ACCOUNT_STATUS if by == "attribute" else Answer.WRONG_CREDENTIALS)


@every
def test_none_is_no_credentials_and_neither_is_what_a_proxy_says_of_none(kind):
    nothing = {"nginx": {VERIFY: "NONE"}, "apache": {VERIFY: "NONE"}, "haproxy": {VERIFY: "0"}}.get(kind, {})
    for headers in ({}, nothing, {IN[kind]: ""}, {**nothing, IN[kind]: " "}):
        assert ask(make(kind), headers).answer is Answer.NO_CREDENTIALS


@every
def test_from_elsewhere_it_is_not_believed(kind, authority):
    for peer in ("127.0.0.2", "::1", "", None):
        assert_refused(ask(make(kind), RECORDED[kind](authority.alice), peer=peer), "none of trusted_proxies")


@every
@pytest.mark.parametrize("separator", [",", ", ", ";", " "])
def test_a_header_that_is_there_twice_is_refused(kind, separator, authority):
    mine, others = RECORDED[kind](authority.mallory), RECORDED[kind](authority.alice)
    for name in (IN[kind], VERIFY):
        for one, two in ((mine, others), (others, mine), (others, others)):
            if name in one:
                assert_refused(ask(make(kind), {**others, name: f"{one[name]}{separator}{two[name]}"}))


@every
@pytest.mark.parametrize("value", ["x", ":", "::", ",", '"', "%", "%00", "%2C", "=", "AAAA", ":AAAA:", "Cert=AAAA"])
def test_what_is_no_certificate_is_refused(kind, value, authority):
    assert_refused(ask(make(kind), {**RECORDED[kind](authority.alice), IN[kind]: value}))


@every
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 6), st.text(max_size=6)), min_size=1),
    raw=st.text(max_size=60),
)
def test_whatever_a_header_has_it_is_refused_or_alices_and_no_bug(kind, changes, raw, authority):
    good = RECORDED[kind](authority.alice)
    text = good[IN[kind]]
    for where, removed, added in changes:
        at = int(where * len(text))
        text = text[:at] + added + text[at + removed :]
    for value in (text, raw):
        # In the environ, for no client of the tests sends such headers.
        environ = {f"HTTP_{IN[kind].upper().replace('-', '_')}": value}
        outcome = ask(make(kind), {n: v for n, v in good.items() if n != IN[kind]}, **environ)
        assert outcome.answer in (Answer.VERIFIED, Answer.WRONG_CREDENTIALS, Answer.NO_CREDENTIALS), outcome.error
        assert outcome.identity is None or outcome.identity.user.username == "alice"


class _FormatContract(AuthenticationProviderContract):
    SECRETS = ("-----BEGIN",)
    KIND = ""

    @pytest.fixture(autouse=True)
    def _certificates(self, authority):
        self.certificates = authority

    def make_provider(self):
        # By the fingerprint, which a change of any byte changes: who has signed it, the proxy has looked at.
        fingerprint = fingerprint_of(self.certificates.alice)
        return make(self.KIND, by="fingerprint", user_of_certificate={fingerprint: "alice"})

    def make_userstore(self):
        return make_userstore()

    def authenticate(self, provider, headers, userstore=None):
        return ask(provider, headers, userstore=userstore or self.make_userstore())

    def good_headers(self, provider):
        headers = RECORDED[self.KIND](self.certificates.alice)
        if self.KIND == "envoy":
            headers = {IN["envoy"]: f"Cert={quote(pem_of(self.certificates.alice), safe='')}"}
        # Those that count: in the others, a change changes nothing.
        return {name: value for name, value in headers.items() if name in (IN[self.KIND], VERIFY)}

    def wrong_headers(self, provider):
        good = self.good_headers(provider)
        for value in ("x", ":x:", good[IN[self.KIND]][:-9], good[IN[self.KIND]] * 2, "A" * 5000):
            yield {**good, IN[self.KIND]: value}
        yield RECORDED[self.KIND](self.certificates.mallory)


#: Why a change may change nothing: it is the same certificate.
_OF_PEM = "PEM has white space between its lines, and a percent-encoded byte has several spellings"

for _kind in FORMATS:
    _name = f"Test{_kind.title().replace('-', '')}KeepsTheContract"
    _members = {"KIND": _kind, "NOT_EVERY_BYTE_COUNTS": None if _kind in ("haproxy", "rfc9440") else _OF_PEM}
    globals()[_name] = type(_name, (_FormatContract,), _members)


REFUSED = [
    ("nginx", {VERIFY: "FAILED:certificate has expired"}),
    ("nginx", {VERIFY: "0"}),
    ("apache", {VERIFY: "GENEROUS"}),
    ("haproxy", {VERIFY: "SUCCESS"}),
    ("haproxy", {VERIFY: "10"}),
    ("haproxy", {VERIFY: "00"}),
    ("haproxy", {VERIFY: ""}),
    ("aws-alb", {"X-Amzn-Mtls-Clientcert": "anything"}),
]


@pytest.mark.parametrize(("kind", "changes"), REFUSED)
def test_what_the_proxy_has_not_verified_is_refused(kind, changes, authority):
    assert_refused(ask(make(kind), {**RECORDED[kind](authority.alice), **changes}), "not verified")


def test_a_certificate_that_the_load_balancer_of_aws_passes_through_is_refused(authority):
    assert_refused(ask(make("aws-alb"), {"X-Amzn-Mtls-Clientcert": escaped(authority.alice)}), "passed through")


def test_haproxy_may_quote_what_it_sends(authority):
    assert ask(make("haproxy"), {VERIFY: "0", CERT: f'"{der_of(authority.alice)}"'}).identity is not None


def test_traefik_sends_the_chain_behind_it_and_escapes_it_in_former_releases(authority):
    name = IN["traefik"]
    chain = f"{der_of(authority.alice)},{der_of(authority.certificate)}"
    for sent in (chain, quote(chain), quote(der_of(authority.alice))):
        assert ask(make("traefik"), {name: sent}).identity is not None
    for sent in (
        f"{der_of(authority.alice)},{der_of(authority.mallory)}",
        f"{der_of(authority.stranger)},{der_of(authority.certificate)}",
        f"{der_of(authority.certificate)},{der_of(authority.alice)}",
        ",".join([der_of(authority.alice)] + [der_of(authority.certificate)] * 20),
    ):
        assert_refused(ask(make("traefik"), {name: sent}))


def test_of_envoys_header_exactly_one_element_is_read(authority):
    cert = quote(pem_of(authority.alice), safe="")
    for sent, good in (
        (f"Cert={cert}", True),
        (f'cert="{cert}"', True),
        (f'Subject="a,b;Cert=x";Cert="{cert}"', True),
        (f'Hash=ab;Cert="{cert}",Hash=cd', False),
        (f'Hash=ab,Cert="{cert}"', False),
        (f'Cert="{cert}";Cert="{cert}"', False),
        (f'Cert="{cert}', False),
        (f"Cert={cert};", False),
        ('Hash=ab;Subject="CN=alice,OU=People,O=Example"', False),
        (f'Subject="\\";Cert="{cert}"', False),
        ("Cert=", False),
    ):
        assert (ask(make("envoy"), {IN["envoy"]: sent}).identity is not None) is good, sent[:60]


# The subject is the certificate's


def test_a_doubled_subject_is_not_believed(authority):
    provider = make("nginx", attribute="UID", user_of_certificate=None)
    headers = {**RECORDED["nginx"](authority.mallory), SUBJECT: "CN=mallory,O=Example,UID=alice"}
    assert_refused(ask(provider, headers), "a subject without UID")


def test_a_subject_header_alone_is_believed_only_if_the_proxy_is_said_to_set_it(authority):
    headers = {VERIFY: "SUCCESS", SUBJECT: "CN=alice,OU=People,O=Example"}
    assert_refused(ask(make("nginx"), headers), "has not passed on")
    assert ask(make("nginx", headers={"single_header": True}), headers).identity.user.username == "alice"
    alone = {"single_header": True, "certificate": ""}
    assert ask(make("nginx", headers=alone), headers).identity.user.username == "alice"
    with pytest.raises(ConfigurationError, match="single_header=True"):
        ProxyHeaders(["127.0.0.1"], certificate="")


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "alice,OU=evil",
        'ali"ce',
        "a\\b",
        " alice ",
        "#616c696365",
        "<a>;b=c+d",
        "ünï ☃",
        "a\x7fb\x01",
        " ",
        "x" * 64,
    ],
)
def test_a_subject_is_written_as_nginx_writes_it(authority, name):
    parts = [
        (NameOID.COUNTRY_NAME, "AT"),
        (x509.ObjectIdentifier("1.2.3.4.5"), "odd" * 50),
        ((NameOID.USER_ID, "7"), (NameOID.COMMON_NAME, name)),
        (NameOID.EMAIL_ADDRESS, "a@b"),
        (NameOID.SERIAL_NUMBER, "42"),
        (NameOID.STREET_ADDRESS, "Main"),
        (NameOID.GIVEN_NAME, "A"),
        (NameOID.SURNAME, "B"),
        (NameOID.TITLE, "C"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.STATE_OR_PROVINCE_NAME, "S"),
        (NameOID.LOCALITY_NAME, "L"),
        (NameOID.POSTAL_CODE, "1"),
        (NameOID.PSEUDONYM, "p"),
        (NameOID.DN_QUALIFIER, "q"),
        (NameOID.BUSINESS_CATEGORY, "b"),
        (NameOID.ORGANIZATION_IDENTIFIER, "i"),
        (NameOID.INITIALS, "n"),
        (NameOID.GENERATION_QUALIFIER, "jr"),
    ]
    certificate = authority.issue("written", *parts)
    read = CertificateReader("tests").read((certificate.public_bytes(serialization.Encoding.DER),))
    seen = []

    def app(environ, start):
        seen.append(environ.get("HTTP_X_SSL_CLIENT_DN", "").encode("latin-1"))
        start("200 OK", [("Content-Length", "0")])
        return [b""]

    with (
        serving(app) as back,
        running_nginx(authority.directory, f"http://127.0.0.1:{urlsplit(back).port}", authority.file) as front,
    ):
        get(f"https://localhost:{front}", authority=authority, certificate="written")
    # nginx and Apache differ in how they escape an "ü"; what it stands for is the same.
    (written,) = seen
    assert parse_dn(written) == parse_dn(read.subject)


# Real proxies


@contextmanager
def nginx(directory, port, authority, **options):
    with running_nginx(directory, f"http://127.0.0.1:{port}", authority, **options) as front:
        yield front


REAL = {"nginx": nginx, "apache": running_apache, "haproxy": running_haproxy}


@pytest.fixture(scope="module", params=REAL)
def front(request, authority):
    who = new_who(get=lambda self: {"user": current_identity.user.username, "id": current_identity.credential_id})
    app = secured(who, providers=[make(request.param)])[0]
    with serving(app) as back, REAL[request.param](authority.directory, urlsplit(back).port, authority.file) as port:
        yield request.param, f"https://localhost:{port}"


def test_behind_a_real_proxy_a_certificate_is_its_owners(front, authority):
    answer = get(front[1], authority=authority, certificate="alice")
    assert answer == (200, {"user": "alice", "id": fingerprint_of(authority.alice)})
    assert get(front[1], authority=authority, certificate="mallory")[0] == 401
    assert get(front[1], authority=authority)[0] == 401


def test_what_a_client_sends_under_these_names_does_not_arrive(front, authority):
    kind, url = front
    sent = [*RECORDED[kind](authority.alice).items()]
    written = [(name.replace("-", "_"), value) for name, value in sent]  # the same to a WSGI server that takes it
    mixed = [(name.replace("-", "_", 1), value) for name, value in sent]
    lowered = [(name.lower(), value) for name, value in sent]
    for headers in (sent, sent + sent, lowered, sent[1:], sent[:1], written, written[1:], mixed, written + sent):
        for certificate in (None, "mallory"):
            assert get(url, authority=authority, certificate=certificate, headers=headers)[0] == 401
        assert get(url, authority=authority, certificate="alice", headers=headers)[0] == 200


def test_haproxy_tells_of_a_certificate_that_it_has_not_verified(authority):
    app = secured(new_who(), providers=[make("haproxy")])[0]
    more = "ca-ignore-err all crt-ignore-err all"
    with (
        serving(app) as back,
        running_haproxy(authority.directory, urlsplit(back).port, authority.file, more=more) as port,
    ):
        url = f"https://localhost:{port}"
        assert get(url, authority=authority, certificate="stranger")[0] == 401
        assert get(url, authority=authority, certificate="alice")[0] == 200


def test_apache_tells_of_a_certificate_that_it_has_not_verified(authority):
    app = secured(new_who(), providers=[make("apache")])[0]
    with (
        serving(app) as back,
        running_apache(authority.directory, urlsplit(back).port, authority.file, verify="optional_no_ca") as port,
    ):
        url = f"https://localhost:{port}"
        assert get(url, authority=authority, certificate="stranger")[0] == 401
        assert get(url, authority=authority, certificate="alice")[0] == 200


# Several authorities


def test_a_certificate_of_another_authority_is_refused_though_the_server_trusts_it(authority):
    provider = make("nginx", issuers=["CN=authority"], user_of_certificate=lambda text, issuer: "alice")
    assert ask(provider, RECORDED["nginx"](authority.alice)).identity is not None
    assert_refused(ask(provider, RECORDED["nginx"](authority.stranger)), "none of issuers")


def test_namesakes_of_two_authorities_are_two_accounts(authority):
    provider = make("nginx", issuers=["CN=authority", "CN=foreign"], attribute="CN", user_of_certificate=None)
    found = [ask(provider, RECORDED["nginx"](each)).identity for each in (authority.alice, authority.stranger)]
    origins = [each.origin for each in found]
    assert origins == ["under-test:CN=authority", "under-test:CN=foreign"]
    assert found[0].user.username == "alice"
    with pytest.raises(ConfigurationError, match="several issuers and a userstore"):
        provider.check_configuration(make_userstore())
    asked = []
    provider = make(
        "nginx",
        issuers=["CN=authority", "CN=foreign"],
        attribute="CN",
        user_of_certificate=lambda text, issuer: asked.append((text, issuer)) or "bob",
    )
    provider.check_configuration(make_userstore())
    assert (
        ask(provider, RECORDED["nginx"](authority.stranger), userstore=make_userstore()).identity.user.username == "bob"
    )
    assert asked == [("alice", "CN=foreign")]


# Arguments


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"format": "squid"}, "format must be one of"),
        ({"format": None}, "format must be one of"),
        ({"format": "traefik", "verify": "X-Verify"}, "no header for verify"),
        ({"format": "haproxy", "subject": "X-DN"}, "no header for subject"),
        ({"format": "traefik", "single_header": True}, "needs a header with the subject"),
        ({"single_header": "yes"}, "single_header must be True or False"),
        ({"certificate": "X-SSL-Client-DN"}, "different headers"),
        ({"format": "rfc9440", "certificate": ""}, "single_header=True"),
    ],
)
def test_headers_that_cannot_be_are_told_at_once(arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        ProxyHeaders(["127.0.0.1"], **arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"user_of_certificate": {}}, "must not be empty"),
        ({"issuers": []}, "issuers must not be empty"),
        ({"issuers": "CN=authority"}, "issuers must be a list"),
        ({"issuers": ["authority"]}, "which is no subject"),
        ({"issuers": ["CN=a"], "user_of_certificate": lambda text: "x"}, "user_of_certificate must take"),
        ({"user_of_certificate": lambda text, issuer: "x"}, "user_of_certificate must take"),
    ],
)
def test_arguments_that_make_no_sense_are_told_at_once(arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        make("nginx", **arguments)


def test_the_fingerprint_is_of_the_der(authority):
    der = authority.alice.public_bytes(serialization.Encoding.DER)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    assert CertificateReader("tests").read((der,)).fingerprint == digest.finalize().hex()
