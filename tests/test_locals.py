"""Error trackers send the locals of all frames: in ours, secrets are in those whose names they scrub, and in no others.

sentry-sdk and its like go by exact names. So what holds a key, a password or a token is called by one of them, in
every function that is under way while somebody else's code runs, which may raise: a store, a library, an endpoint.
"""

import base64
import contextlib
import sys
import traceback
from pathlib import Path
from types import MappingProxyType

import pytest
from helpers import FAST, basic, bearer, secured
from jwt_tokens import AUDIENCE, ISSUER, token
from passlib.hash import apr_md5_crypt, md5_crypt
from servers.slapd import LDAP3_WARNINGS, PEOPLE, READER, READER_PASSWORD, person, running_slapd
from sqlalchemy import event
from werkzeug.security import generate_password_hash

import flask_securest
from flask_securest import User
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)
from flask_securest.authentication_providers.client_certificate import ClientCertificateAuthenticator
from flask_securest.authentication_providers.introspection import IntrospectionAuthenticator
from flask_securest.authentication_providers.jwt import JWTAuthenticator
from flask_securest.cli import securest as command_line
from flask_securest.keystores import SimpleKeystore
from flask_securest.keystores.format import NewKey
from flask_securest.keystores.sqlalchemy import SQLAlchemyKeystore
from flask_securest.passwords import PasswordHasher
from flask_securest.testing import make_request
from flask_securest.token_resources import add_token_resources
from flask_securest.tokenstores import SimpleTokenstore
from flask_securest.tokenstores.sqlalchemy import SQLAlchemyTokenstore
from flask_securest.userstores import AbstractUserstore, AbstractVerifyingUserstore, HtpasswdUserstore, SimpleUserstore
from flask_securest.userstores.sqlalchemy import SQLAlchemyUserstore

PACKAGE = str(Path(flask_securest.__file__).parent)

#: What sentry-sdk scrubs by default, of what can be a name in Python.
SCRUBBED = {
    *("password", "passwd", "secret", "api_key", "apikey", "auth", "credentials"),
    *("token", "session", "authorization"),
}

PASSWORD = "planted-password-5d1f"
KEY = "planted-registered-key-31e1"
TOKEN_SECRET = "planted-token-secret-0f0f0f0f"
CLIENT_SECRET = "planted-client-secret-8a31"


def shows(value, secret, depth=4):
    """Whether a secret is in a value, as trackers show it: they take containers apart, and ask others for their repr."""
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        found = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
        return secret in found
    if isinstance(value, (dict, MappingProxyType)):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)) and depth:
        return any(shows(each, secret, depth - 1) for each in value)
    try:
        return secret in repr(value).encode("utf-8", "surrogatepass")
    except Exception:  # it is half made
        return False


def spellings(secret):
    whole = secret if isinstance(secret, bytes) else secret.encode()
    yield whole
    yield base64.b64encode(whole).rstrip(b"=")
    yield whole.hex().encode()


def is_ours(frame):
    """Whether it is a frame of the package, other than of what tests are made of."""
    name = "" if frame is None else frame.f_code.co_filename
    return name.startswith(PACKAGE) and not name.startswith(f"{PACKAGE}/testing")


def leaks_of(frame, secrets):
    """Return the locals of a frame of ours that show a secret, and whose names nobody scrubs."""
    if not is_ours(frame):
        return set()
    where = f"{Path(frame.f_code.co_filename).relative_to(PACKAGE)}: {frame.f_code.co_name}"
    return {
        f"{where}: {name}"
        for name, value in list(frame.f_locals.items())
        if name not in SCRUBBED and any(shows(value, spelt) for secret in secrets for spelt in spellings(secret))
    }


def leaks_of_traceback(error, secrets):
    found, seen = set(), set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            found |= leaks_of(frame, secrets)
        error = error.__cause__ or error.__context__
    return found


def leaks_while(run, secrets):
    """Return what shows in our frames whenever one of them has called somebody else's function."""
    found, seen = set(), set()

    def look(frame, what, _):
        caller = frame.f_back
        if what != "call" or is_ours(frame) or not is_ours(caller) or (caller.f_code, caller.f_lasti) in seen:
            return
        seen.add((caller.f_code, caller.f_lasti))
        while caller is not None:
            found.update(leaks_of(caller, secrets))
            caller = caller.f_back

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(before)
    assert seen, "nobody else was called"
    return found


class DriverError(Exception):
    """An error that nobody has foreseen."""


def fail(*args, **options):
    raise DriverError("a driver's own error")


def stop(*args, **options):
    raise SystemExit("the server has ended the worker, which took too long")


class Broken(AbstractUserstore):
    def __init__(self, breakdown):
        self.breakdown = breakdown

    def get_user(self, identifier):
        self.breakdown()


class BrokenVerifying(Broken, AbstractVerifyingUserstore):
    def verify_password(self, username, password):
        self.breakdown()


class Row:
    """A row of an ORM whose session is closed: its attributes raise."""

    def __init__(self, breakdown, **known):
        self.breakdown, self.known = breakdown, known

    def __getattr__(self, name):
        if name in self.__dict__["known"]:
            return self.known[name]
        return self.breakdown()


class Rows(AbstractUserstore):
    def __init__(self, *args, **options):
        self.made = args, options

    def get_user(self, identifier):
        args, options = self.made
        return Row(*args, **options)


class BrokenHasher(PasswordHasher):
    def verify(self, password, stored):
        self.breakdown()


def breaking(store, method, breakdown):
    setattr(store, method, lambda *args, **options: breakdown())
    return store


def users():
    return SimpleUserstore([User("alice", FAST.hash(PASSWORD), roles=["admin"])])


def database(tmp_path):
    return f"sqlite:///{tmp_path}/secrets.db"


def of_password(breakdown, tmp_path, store=None, hasher=FAST):
    provider = PasswordAuthenticator(password_hasher=hasher)
    request = make_request(basic("alice", PASSWORD))
    return lambda: provider.authenticate(request, store or Broken(breakdown)), [PASSWORD, f"alice:{PASSWORD}"]


def of_password_with_a_verifying_store(breakdown, tmp_path):
    return of_password(breakdown, tmp_path, BrokenVerifying(breakdown))


def of_password_with_a_row_that_raises(breakdown, tmp_path):
    return of_password(breakdown, tmp_path, Rows(breakdown, username="alice", active=True, roles=()))


def of_password_with_a_hasher_of_ones_own(breakdown, tmp_path):
    hasher = BrokenHasher(time_cost=1, memory_cost=8, parallelism=1)
    hasher.breakdown = breakdown
    return of_password(breakdown, tmp_path, users(), hasher)


def of_password_with_a_broken_passlib(breakdown, tmp_path):
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    hasher._context.verify = breakdown
    return of_password(breakdown, tmp_path, users(), hasher)


def of_password_in_a_database(breakdown, tmp_path):
    store = SQLAlchemyUserstore(database(tmp_path))
    store.add_users([User("alice", FAST.hash(PASSWORD))])
    event.listen(store._database._make_engine(), "before_cursor_execute", breakdown)
    return of_password(breakdown, tmp_path, store)


def of_password_that_is_renewed_in_a_database(breakdown, tmp_path):
    store = SQLAlchemyUserstore(database(tmp_path))
    store.add_users([User("alice", md5_crypt.hash(PASSWORD))])

    def at_update(connection, cursor, statement, *more):
        if statement.startswith("UPDATE"):
            stop()

    event.listen(store._database._make_engine(), "before_cursor_execute", at_update)
    return of_password(breakdown, tmp_path, store)


def of_password_in_a_directory(breakdown, tmp_path):
    pytest.importorskip("ldap3")
    from flask_securest.userstores.ldap import LDAPUserstore
    from flask_securest.userstores.ldap import session as ldap_session

    class Connection:
        """One that breaks down as soon as it has been given the password."""

        closed, socket = False, None

        def __repr__(self):
            return f"Connection(password={self.__dict__.get('password')!r})"  # as ldap3's does

        def bind(self, **options):
            breakdown()

    store = LDAPUserstore(
        "ldap://localhost", base_dn=PEOPLE, bind_dn=READER, bind_password=READER_PASSWORD, start_tls=True
    )
    session = object.__new__(ldap_session.Session)
    session._ldap3, session._connection = ldap_session.import_ldap3(), Connection()
    store._directory._ask = lambda work: work(session)
    run, secrets = of_password(breakdown, tmp_path, store)
    return run, [*secrets, READER_PASSWORD]


def of_key(breakdown, tmp_path, keystore=None, userstore=None):
    keys = SimpleKeystore()
    keystore = keystore or keys
    issued = keys.issue(owner=User("alice"))
    provider = HeaderApiKeyAuthenticator(keystore=keystore)
    provider.register_key(KEY)
    request = make_request({"X-API-Key": issued.text})
    return lambda: provider.authenticate(request, userstore or Broken(breakdown)), [issued.text, issued.text[26:], KEY]


def of_key_with_a_broken_keystore(breakdown, tmp_path):
    keystore = SimpleKeystore()
    keystore.get_key = lambda key_id: breakdown()
    return of_key(breakdown, tmp_path, keystore)


def of_key_with_an_owner_that_raises(breakdown, tmp_path):
    return of_key(breakdown, tmp_path, userstore=Rows(breakdown, username="alice"))


def of_key_in_a_database(breakdown, tmp_path):
    keystore = SQLAlchemyKeystore(database(tmp_path))
    issued = keystore.issue(app_name="ci")
    event.listen(keystore._database._make_engine(), "before_cursor_execute", breakdown)
    provider = HeaderApiKeyAuthenticator(keystore=keystore)
    request = make_request({"X-API-Key": issued.text})
    return lambda: provider.authenticate(request, None), [issued.text, issued.text[26:]]


NEW_KEY = NewKey("0" * 16, "securest_0000000000000000_planted", b"digest")


def with_new_keys(module, run):
    """Return what runs with a new key that is known here."""

    def running():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"flask_securest.{module}.make_key", lambda *args: NEW_KEY)
            run()

    return running


def of_key_that_is_issued(breakdown, tmp_path):
    keystore = breaking(SimpleKeystore(), "add_keys", breakdown)
    return with_new_keys("keystores.abstract", lambda: keystore.issue(app_name="ci")), [NEW_KEY.text]


def of_key_that_is_rotated(breakdown, tmp_path):
    keystore = SimpleKeystore()
    issued = keystore.issue(app_name="ci")
    breaking(keystore, "replace_key", breakdown)
    return with_new_keys("keystores.abstract", lambda: keystore.rotate(issued.key.id)), [NEW_KEY.text]


def of_token(breakdown, tmp_path, store=None, userstore=None):
    provider = TokenAuthenticator(TOKEN_SECRET, store=store)
    sent = provider.generate_auth_token("alice")
    request = make_request(bearer(sent))
    secrets = [TOKEN_SECRET, sent, sent.rpartition(".")[2]]
    return lambda: provider.authenticate(request, userstore or Broken(breakdown)), secrets


def of_token_with_a_row_that_raises(breakdown, tmp_path):
    return of_token(breakdown, tmp_path, userstore=Rows(breakdown, username="alice"))


def of_token_in_a_header_of_its_own(breakdown, tmp_path):
    provider = TokenAuthenticator(TOKEN_SECRET, header="X-Token")
    sent = provider.generate_auth_token("alice")
    request = make_request({"X-Token": sent})
    return lambda: provider.authenticate(request, Broken(breakdown)), [TOKEN_SECRET, sent, sent.rpartition(".")[2]]


def of_token_with_a_broken_signer(breakdown, tmp_path):
    provider = TokenAuthenticator(TOKEN_SECRET)
    sent = provider.generate_auth_token("alice")
    provider._signers._own.verify_signature = breakdown
    return lambda: provider.authenticate(make_request(bearer(sent)), users()), [sent, sent.rpartition(".")[2]]


def of_token_with_a_broken_tokenstore(breakdown, tmp_path):
    store = SimpleTokenstore()
    run, secrets = of_token(breakdown, tmp_path, store)
    breaking(store, "get_session", breakdown)
    return run, secrets


def of_token_in_a_database(breakdown, tmp_path):
    store = SQLAlchemyTokenstore(database(tmp_path))
    run, secrets = of_token(breakdown, tmp_path, store)
    event.listen(store._database._make_engine(), "before_cursor_execute", breakdown)
    return run, secrets


def of_token_in_redis(breakdown, tmp_path):
    pytest.importorskip("redis")
    from flask_securest.tokenstores.redis import RedisTokenstore

    store = RedisTokenstore(f"redis://:{CLIENT_SECRET}@127.0.0.1:1/0")
    store._redis.eval = lambda *args: 1
    run, secrets = of_token(breakdown, tmp_path, store)
    store._redis.hgetall = breakdown
    return run, [*secrets, CLIENT_SECRET]


def of_refreshing(method, breakdown, userstore=None):
    store = SimpleTokenstore()
    provider = TokenAuthenticator(TOKEN_SECRET, store=store)
    issued = provider.issue_tokens("alice")
    text, _, signature = issued.refresh_token.rpartition(".")
    if method is not None:
        breaking(store, method, breakdown)
    userstore = userstore or users()
    return lambda: provider.refresh_tokens(issued.refresh_token, userstore), [text, text[25:], signature]


def of_refreshing_with_a_store_that_cannot_be_read(breakdown, tmp_path):
    return of_refreshing("get_session", breakdown)


def of_refreshing_with_a_store_that_cannot_be_written(breakdown, tmp_path):
    run, secrets = of_refreshing("refresh_session", breakdown)
    return with_new_keys("tokenstores.sessions", run), [*secrets, NEW_KEY.text]


def of_refreshing_with_a_broken_userstore(breakdown, tmp_path):
    return of_refreshing(None, breakdown, Broken(breakdown))


def of_refreshing_for_a_user_that_is_gone(breakdown, tmp_path):
    return of_refreshing("end_session", breakdown, SimpleUserstore([]))


def of_refreshing_by_a_resource(breakdown, tmp_path):
    store = SimpleTokenstore()
    provider = TokenAuthenticator(TOKEN_SECRET, store=store)
    issued = provider.issue_tokens("alice")
    app, api, securest = secured(providers=[provider], userstore=Broken(breakdown))
    app.config["PROPAGATE_EXCEPTIONS"] = True
    add_token_resources(api, securest, provider)
    text, _, signature = issued.refresh_token.rpartition(".")
    body = {"refresh_token": issued.refresh_token}
    return lambda: app.test_client().post("/tokens/refresh", data=body), [text, text[25:], signature]


def of_issuing(breakdown, tmp_path):
    provider = TokenAuthenticator(TOKEN_SECRET, store=breaking(SimpleTokenstore(), "add_session", breakdown))

    def run():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(provider._signers, "write", lambda *args: b"planted-access")
            provider.issue_tokens("alice")

    return with_new_keys("tokenstores.sessions", run), [NEW_KEY.text, "planted-access"]


def of_jwt(breakdown, tmp_path, **options):
    sent = token("HS256", key="s" * 40)
    provider = JWTAuthenticator(algorithms=["HS256"], issuer=ISSUER, audience=AUDIENCE, key="s" * 40, **options)
    secrets = [sent, sent.rpartition(".")[2], base64.urlsafe_b64decode(sent.rpartition(".")[2] + "=="), "s" * 40]
    return lambda: provider.authenticate(make_request(bearer(sent)), Broken(breakdown)), secrets


def of_jwt_with_a_broken_library(breakdown, tmp_path):
    from flask_securest.protocols.jwt import keys

    run, secrets = of_jwt(breakdown, tmp_path)

    def with_a_broken_library():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keys, "_get_verifier", lambda algorithm: breakdown)
            run()

    return with_a_broken_library, secrets


def of_jwt_with_a_broken_issuer(breakdown, tmp_path):
    sent = token()
    provider = JWTAuthenticator(algorithms=["RS256"], issuer=ISSUER, audience=AUDIENCE, jwks_url="https://localhost:1/")

    def run():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.socket.connect", breakdown)
            provider.authenticate(make_request(bearer(sent)), None)

    return run, [sent, sent.rpartition(".")[2]]


def of_introspection(breakdown, tmp_path, at="socket.socket.connect"):
    sent = "2YotnFZFEjr1zCsicMWpAA-planted-44e1"
    provider = IntrospectionAuthenticator(
        "http://127.0.0.1:1/", client_id="api", client_secret=CLIENT_SECRET, allow_http=True
    )

    def run():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.socket.connect", lambda *args: None)
            patch.setattr("socket.socket.sendall", lambda *args: None)
            patch.setattr(at, breakdown)
            provider.authenticate(make_request(bearer(sent)), None)

    return run, [sent, CLIENT_SECRET, f"api:{CLIENT_SECRET}"]


def of_introspection_that_cannot_be_sent(breakdown, tmp_path):
    return of_introspection(breakdown, tmp_path, "socket.socket.sendall")


def of_introspection_without_an_answer(breakdown, tmp_path):
    return of_introspection(breakdown, tmp_path, "http.client.HTTPResponse.begin")


def of_introspection_with_a_broken_userstore(breakdown, tmp_path):
    sent = "2YotnFZFEjr1zCsicMWpAA-planted-44e1"
    provider = IntrospectionAuthenticator("https://localhost:1/", client_id="api", client_secret=CLIENT_SECRET)
    provider._endpoint.ask = lambda token: b'{"active": true, "token_type": "bearer", "username": "alice"}'
    return lambda: provider.authenticate(make_request(bearer(sent)), Broken(breakdown)), [sent, CLIENT_SECRET]


def of_a_ticket(breakdown, tmp_path, at="accept", userstore=None, **options):
    pytest.importorskip("gssapi")
    from flask_securest.authentication_providers.kerberos import KerberosAuthenticator
    from flask_securest.protocols.kerberos import Accepted

    sent = b"planted-ticket-51d3"
    (tmp_path / "keytab").write_bytes(b"")
    provider = KerberosAuthenticator(principal="HTTP/host@EXAMPLE.ORG", keytab=tmp_path / "keytab", **options)
    if at == "accept":
        provider._acceptor._acquire = lambda: None
        provider._acceptor._gssapi = Row(breakdown)
    else:
        provider._acceptor.accept = lambda *args: Accepted("alice@EXAMPLE.ORG", None, None)
    request = make_request({"Authorization": b"Negotiate " + base64.b64encode(sent)})
    return lambda: provider.authenticate(request, userstore or Broken(breakdown)), [sent]


def of_a_ticket_with_a_broken_userstore(breakdown, tmp_path):
    return of_a_ticket(breakdown, tmp_path, at="userstore")


def of_a_ticket_of_a_principal_that_cannot_be_mapped(breakdown, tmp_path):
    return of_a_ticket(breakdown, tmp_path, at="mapping", user_of_principal=lambda principal: breakdown())


def of_a_ticket_that_is_bound_to_a_broken_channel(breakdown, tmp_path):
    return of_a_ticket(breakdown, tmp_path, channel_bindings=lambda request: breakdown())


def of_a_certificate(breakdown, tmp_path):
    """There is no secret in it."""
    provider = ClientCertificateAuthenticator(attribute="CN")
    request = make_request()
    request.environ.update(SSL_CLIENT_VERIFY="SUCCESS", SSL_CLIENT_S_DN="CN=alice", SSL_CLIENT_CERT="")
    return lambda: provider.authenticate(request, Broken(breakdown)), ["PRIVATE KEY"]


BROKEN = [value for name, value in list(globals().items()) if name.startswith("of_") and name != "of_refreshing"]


@pytest.mark.parametrize("breakdown", [fail, stop])
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.__name__)
def test_what_a_tracker_sends_when_something_below_breaks_down_has_no_secret(case, breakdown, tmp_path):
    run, secrets = case(breakdown, tmp_path)
    with pytest.raises((Exception, SystemExit)) as caught:
        run()
    assert secrets
    assert leaks_of_traceback(caught.value, secrets) == set()


def hush(*args, **options):
    """Break nothing down."""
    return True


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.__name__)
def test_what_is_under_way_while_somebody_elses_code_runs_has_no_secret(case, tmp_path):
    run, secrets = case(hush, tmp_path)

    def run_to_its_end():
        with contextlib.suppress(Exception, SystemExit):
            run()

    assert leaks_while(run_to_its_end, secrets) == set()


def ask(provider, headers, store=None):
    return lambda: provider.authenticate(make_request(headers), store)


def good_password(tmp_path):
    return ask(PasswordAuthenticator(password_hasher=FAST), basic("alice", PASSWORD), users()), [PASSWORD]


def good_password_of_another_scheme(tmp_path):
    stored = User("alice", md5_crypt.hash(PASSWORD))
    return ask(PasswordAuthenticator(password_hasher=FAST), basic("alice", PASSWORD), SimpleUserstore([stored])), [
        PASSWORD
    ]


def good_password_of_werkzeug(tmp_path):
    stored = User("alice", generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"))
    return ask(PasswordAuthenticator(password_hasher=FAST), basic("alice", PASSWORD), SimpleUserstore([stored])), [
        PASSWORD
    ]


def good_password_in_an_htpasswd(tmp_path):
    path = tmp_path / "users.htpasswd"
    path.write_text(f"alice:{apr_md5_crypt.hash(PASSWORD)}\n")
    path.chmod(0o600)
    return ask(PasswordAuthenticator(), basic("alice", PASSWORD), HtpasswdUserstore(path)), [PASSWORD]


def good_password_that_is_renewed(tmp_path):
    store = SQLAlchemyUserstore(database(tmp_path))
    store.add_users([User("alice", md5_crypt.hash(PASSWORD))])
    return ask(PasswordAuthenticator(password_hasher=FAST), basic("alice", PASSWORD), store), [PASSWORD]


def good_key_in_a_database(tmp_path):
    keystore = SQLAlchemyKeystore(database(tmp_path))
    issued = keystore.issue(app_name="ci")
    return ask(HeaderApiKeyAuthenticator(keystore=keystore), {"X-API-Key": issued.text}), [
        issued.text,
        issued.text[26:],
    ]


def good_token_in_a_database(tmp_path):
    provider = TokenAuthenticator(TOKEN_SECRET, store=SQLAlchemyTokenstore(database(tmp_path)))
    sent = provider.issue_tokens("alice").access_token
    return ask(provider, bearer(sent), users()), [TOKEN_SECRET, sent, sent.rpartition(".")[2]]


def good_refresh_token_by_a_resource(tmp_path):
    provider = TokenAuthenticator(TOKEN_SECRET, store=SQLAlchemyTokenstore(database(tmp_path)))
    app, api, securest = secured(providers=[provider], userstore=users())
    add_token_resources(api, securest, provider)
    sent = provider.issue_tokens("alice").refresh_token

    def run():
        answer = app.test_client().post("/tokens/refresh", json={"refresh_token": sent})
        assert answer.status_code == 200, answer.json

    return run, [TOKEN_SECRET, sent, sent.rpartition(".")[2]]


def good_jwt(tmp_path):
    sent = token("HS256", key="s" * 40, roles=["admin"])
    options = {"algorithms": ["HS256"], "issuer": ISSUER, "audience": AUDIENCE, "key": "s" * 40}
    provider = JWTAuthenticator(**options, roles_claim=lambda claims: claims["roles"])
    return ask(provider, bearer(sent)), [sent, sent.rpartition(".")[2], "s" * 40]


GOOD = [value for name, value in list(globals().items()) if name.startswith("good_")]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.__name__)
def test_what_is_under_way_while_all_is_well_has_no_secret(case, tmp_path):
    run, secrets = case(tmp_path)
    assert leaks_while(run, secrets) == set()


@LDAP3_WARNINGS
def test_what_is_under_way_while_a_directory_is_asked_has_no_secret(tmp_path):
    from flask_securest.userstores.ldap import LDAPUserstore

    with running_slapd(tmp_path) as slapd:
        slapd.load(person("alice", PASSWORD))
        store = LDAPUserstore(
            slapd.tls_url, base_dn=PEOPLE, bind_dn=READER, bind_password=READER_PASSWORD, ca_file=str(slapd.ca_file)
        )
        run = ask(PasswordAuthenticator(), basic("alice", PASSWORD), store)
        assert leaks_while(run, [PASSWORD, READER_PASSWORD]) == set()
        assert run().username == "alice"


@pytest.mark.parametrize(
    "command", [["hash"], ["users", "add", "zoe"], ["users", "passwd", "alice"], ["keys", "issue", "--app", "ci"]]
)
def test_what_is_under_way_on_the_command_line_has_no_secret(command, tmp_path, monkeypatch):
    keystore, store = SQLAlchemyKeystore(database(tmp_path)), SQLAlchemyUserstore(database(tmp_path))
    store.add_users([User("alice")])
    providers = [HeaderApiKeyAuthenticator(keystore=keystore), PasswordAuthenticator(password_hasher=FAST)]
    app, _, _ = secured(providers=providers, userstore=store)

    def run():
        # Which prints the key, as it should.
        monkeypatch.setattr(sys.modules["flask_securest.cli.keys"], "hand_over", lambda *args, **options: None)
        done = app.test_cli_runner().invoke(command_line, command, input=f"{PASSWORD}\n")
        assert done.exit_code == 0, done.output

    assert leaks_while(with_new_keys("keystores.abstract", run), [PASSWORD, NEW_KEY.text]) == set()


def test_the_search_would_find_a_secret():
    for name, value in (
        ("raw", PASSWORD),
        ("pair", ("alice", {"a": [PASSWORD.encode()]})),
        ("shown", basic("a", PASSWORD)),
    ):
        code = compile(f"def frame({name}): return sys._getframe()", f"{PACKAGE}/planted.py", "exec")
        namespace = {"sys": sys}
        exec(code, namespace)
        found = namespace["frame"](value)
        assert leaks_of(found, [PASSWORD, f"a:{PASSWORD}"]) == {f"planted.py: frame: {name}"}
