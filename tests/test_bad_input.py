"""What comes from outside: a plain 401 and nothing else, whatever it is."""

import base64
import re
import socket
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from helpers import (
    ALICE,
    KEY,
    SECRET_KEY,
    api_key,
    basic,
    bearer,
    chain_of_three,
    how_many,
    new_who,
    secured,
    show,
    with_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_securest import optional
from flask_securest.authentication_providers import TokenAuthenticator
from flask_securest.testing import ForbiddenUserstore

CHALLENGES = ['ApiKey realm="api", header="X-API-Key"', 'Basic realm="api", charset="UTF-8"', 'Bearer realm="api"']
REFUSED_BEARER = [*CHALLENGES[:2], 'Bearer realm="api", error="invalid_token"']

GOOD = ALICE["Authorization"]


def with_tokens(headers):
    """Return headers in which a token has just been made wherever they say {token}, for it ends after ten minutes."""
    tokens = TokenAuthenticator(SECRET_KEY)
    token = tokens.generate_auth_token("alice")
    made = {
        "{token}": token,
        "{token cut short}": token[:-1],
        "{token 10000 times}": token * 10_000,
        "{forged token}": TokenAuthenticator("another" + SECRET_KEY).generate_auth_token("alice"),
        "{token of mallory}": tokens.generate_auth_token("mallory"),
    }
    return {name: re.sub(r"\{.*?token.*?\}", lambda found: made[found[0]], value) for name, value in headers.items()}


def b64(raw):
    return "Basic " + base64.b64encode(raw).decode()


# Nothing that could be looked up: no store may be asked.
NO_CREDENTIALS = {
    "nothing at all": {},
    "an empty key": {"HTTP_X_API_KEY": ""},
    "a blank key": {"HTTP_X_API_KEY": "   "},
    "a key of tabs": {"HTTP_X_API_KEY": "\t\t"},
    "an empty Authorization": {"HTTP_AUTHORIZATION": ""},
    "a blank Authorization": {"HTTP_AUTHORIZATION": "  \t "},
    "another scheme": {"HTTP_AUTHORIZATION": 'Digest username="alice"'},
    "a scheme that begins like another": {"HTTP_AUTHORIZATION": "Basics " + GOOD[6:]},
    "a scheme without a space": {"HTTP_AUTHORIZATION": GOOD.replace(" ", "")},
    "credentials without a scheme": {"HTTP_AUTHORIZATION": GOOD[6:]},
    "a token without a scheme": {"HTTP_AUTHORIZATION": "{token}"},
    "a tab behind the scheme": {"HTTP_AUTHORIZATION": GOOD.replace(" ", "\t")},
    "bytes that are no text": {"HTTP_AUTHORIZATION": "\xff\xfe\x80"},
    "a NUL": {"HTTP_AUTHORIZATION": "\x00"},
    "a megabyte": {"HTTP_AUTHORIZATION": "A" * 1_000_000},
    "basic without anything": {"HTTP_AUTHORIZATION": "Basic"},
    "basic with spaces": {"HTTP_AUTHORIZATION": "Basic    "},
    "a megabyte of basic": {"HTTP_AUTHORIZATION": "Basic " + "QUFB" * 250_000},
    "basic that is no base64": {"HTTP_AUTHORIZATION": "Basic !!!!"},
    "basic without padding": {"HTTP_AUTHORIZATION": "Basic YWxpY2U6d29uZGVybGFuZA"},
    "basic beyond ascii": {"HTTP_AUTHORIZATION": "Basic \xe4\xf6\xfc"},
    "basic without a colon": {"HTTP_AUTHORIZATION": b64(b"alice")},
    "basic with an empty name": {"HTTP_AUTHORIZATION": b64(b":wonderland")},
    "basic with an empty password": {"HTTP_AUTHORIZATION": b64(b"alice:")},
    "basic with a colon alone": {"HTTP_AUTHORIZATION": b64(b":")},
    "basic with nothing": {"HTTP_AUTHORIZATION": b64(b"")},
    "basic that is no utf-8": {"HTTP_AUTHORIZATION": b64(b"alice:\xff\xfe")},
    "basic with a NUL in the name": {"HTTP_AUTHORIZATION": b64(b"alice\x00:wonderland")},
    "basic with a NUL in the password": {"HTTP_AUTHORIZATION": b64(b"alice:wonderland\x00")},
    "basic with a line feed": {"HTTP_AUTHORIZATION": b64(b"alice\n:wonderland")},
    "basic twice": {"HTTP_AUTHORIZATION": f"{GOOD}, {GOOD}"},
    "basic twice without a space": {"HTTP_AUTHORIZATION": f"{GOOD},{GOOD}"},
    "basic and bearer": {"HTTP_AUTHORIZATION": GOOD + ", Bearer {token}"},
    "bearer without anything": {"HTTP_AUTHORIZATION": "Bearer"},
    "bearer with a space": {"HTTP_AUTHORIZATION": "Bearer "},
    "a key that nobody has": {"HTTP_X_API_KEY": "wrong"},
    "a key twice": {"HTTP_X_API_KEY": f"{KEY},{KEY}"},
    "a key and a space and a key": {"HTTP_X_API_KEY": f"{KEY}, {KEY}"},
    "a key beyond ascii": {"HTTP_X_API_KEY": "kl\xfcssel"},
    "a key that no server would pass on": {"HTTP_X_API_KEY": "ключ"},
    "a key with a NUL": {"HTTP_X_API_KEY": f"{KEY}\x00"},
    "a key of a megabyte": {"HTTP_X_API_KEY": "k" * 1_000_000},
    "a key in the wrong header": {"HTTP_X_APIKEY": KEY},
    "a key in the wrong scheme": {"HTTP_AUTHORIZATION": f"ApiKey {KEY}"},
}

WRONG_CREDENTIALS = {
    "an unknown user": {"HTTP_AUTHORIZATION": b64(b"nobody:wonderland")},
    "a wrong password": {"HTTP_AUTHORIZATION": b64(b"alice:Wonderland")},
    "a user without a password": {"HTTP_AUTHORIZATION": b64(b"robot:None")},
    "a disabled user": {"HTTP_AUTHORIZATION": b64(b"mallory:malice")},
    "a forged token": {"HTTP_AUTHORIZATION": "Bearer {forged token}"},
    "a token cut short": {"HTTP_AUTHORIZATION": "Bearer {token cut short}"},
    "a token twice": {"HTTP_AUTHORIZATION": "Bearer {token}, Bearer {token}"},
    "a token of a megabyte": {"HTTP_AUTHORIZATION": "Bearer {token 10000 times}"},
    "a token of a disabled user": {"HTTP_AUTHORIZATION": "Bearer {token of mallory}"},
}


def assert_plain_401(answer, environ, resource):
    assert answer.status_code == 401
    assert answer.json == {"message": "Unauthorized User"}
    assert answer.headers["Cache-Control"] == "no-store"
    has_token = (
        environ.get("HTTP_AUTHORIZATION", "").lower().startswith("bearer ")
        and environ["HTTP_AUTHORIZATION"].strip().lower() != "bearer"
    )
    assert answer.headers.getlist("WWW-Authenticate") == (REFUSED_BEARER if has_token else CHALLENGES)
    assert set(answer.headers.keys()) == {"Content-Type", "Content-Length", "WWW-Authenticate", "Cache-Control"}
    assert resource.constructed == 0


@pytest.mark.parametrize("environ", NO_CREDENTIALS.values(), ids=NO_CREDENTIALS)
def test_without_credentials_to_look_up_it_is_a_plain_401_and_no_store_is_asked(environ, caplog):
    Who, environ = new_who(), with_tokens(environ)
    client = secured(Who, userstore=ForbiddenUserstore())[0].test_client()
    assert_plain_401(client.get("/who", environ_overrides=environ), environ, Who)
    assert not [record for record in caplog.records if record.levelname not in ("INFO", "DEBUG")]


@pytest.mark.parametrize("environ", WRONG_CREDENTIALS.values(), ids=WRONG_CREDENTIALS)
def test_wrong_credentials_are_a_plain_401(environ):
    Who, environ = new_who(), with_tokens(environ)
    client = secured(Who)[0].test_client()
    assert_plain_401(client.get("/who", environ_overrides=environ), environ, Who)


@pytest.mark.parametrize(
    "environ",
    [environ for environ in (NO_CREDENTIALS | WRONG_CREDENTIALS).values() if environ],
    ids=[name for name, environ in (NO_CREDENTIALS | WRONG_CREDENTIALS).items() if environ],
)
def test_on_an_optional_method_bad_input_is_not_taken_for_nobody(environ):
    Who, environ = optional(new_who()), with_tokens(environ)
    client = secured(Who)[0].test_client()
    expected = 200 if not {"HTTP_X_API_KEY", "HTTP_AUTHORIZATION"} & set(environ) else 401
    assert client.get("/who", environ_overrides=environ).status_code == expected


GOOD_INPUT = {
    "a key": with_key(),
    "a key with white space around it": {"X-API-Key": f"  {KEY}\t"},
    "basic": ALICE,
    "basic in lower case": {"Authorization": GOOD.replace("Basic", "basic")},
    "basic in upper case": {"Authorization": GOOD.replace("Basic", "BASIC")},
    "bearer": bearer("{token}"),
    "bearer in lower case": {"Authorization": "bearer {token}"},
    "a wrong key and a good password": with_key("wrong") | ALICE,
    "a good key and a wrong password": with_key() | basic("alice", "wrong"),
    "a blank key and a good token": with_key(" ") | bearer("{token}"),
}


@pytest.mark.parametrize("headers", GOOD_INPUT.values(), ids=GOOD_INPUT)
def test_good_credentials_are_good_however_they_are_spelt(headers):
    assert secured(new_who())[0].test_client().get("/who", headers=with_tokens(headers)).status_code == 200


raw_headers = st.dictionaries(
    st.sampled_from(
        ["HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_X_HTTP_METHOD_OVERRIDE"]
    ),
    st.one_of(
        st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")),
        st.builds(
            lambda scheme, raw: scheme + raw.decode("latin-1"),
            st.sampled_from(["Basic ", "Bearer ", "basic  ", "Negotiate ", "Basic"]),
            st.binary(max_size=100),
        ),
        st.builds(lambda raw: b64(raw), st.binary(max_size=60)),
    ),
)


@settings(max_examples=how_many(100, 500), deadline=None)
@given(environ=raw_headers, method=st.sampled_from(["GET", "POST", "HEAD"]))
def test_any_bytes_in_any_header_are_a_401(environ, method):
    Who = new_who()
    answer = _client_of(Who).open("/who", method=method, environ_overrides=environ)
    assert answer.status_code == 401
    assert answer.headers["Cache-Control"] == "no-store"
    assert Who.ran == 0


def _client_of(resource):
    return secured(resource, providers=chain_of_three())[0].test_client()


@pytest.fixture(scope="module")
def address():
    """The address of a real server: what arrives here has passed through one."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    with make_server(
        "127.0.0.1", 0, secured(new_who(), providers=[api_key(), *chain_of_three()[1:]])[0], handler_class=Quiet
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join(10)


def send(address, *header_lines):
    lines = [with_tokens({"line": line.decode("latin-1")})["line"].encode("latin-1") for line in header_lines]
    head = b"\r\n".join([b"GET /who HTTP/1.0", b"Host: localhost", *lines, b"", b""])
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head)
        with connection.makefile("rb") as answer:
            return answer.read()


@pytest.mark.parametrize(
    "header_lines",
    [
        [],
        [b"X-API-Key:"],
        [b"X-API-Key: \t "],
        [b"X-API-Key: " + b"k" * 60_000],
        [b"X-API-Key: \xff\xfe\x00\x01"],
        [b"X-API-Key: " + KEY.encode(), b"X-API-Key: " + KEY.encode()],
        [b"X_API_Key: wrong"],
        [b"Authorization: Basic"],
        [b"Authorization: Basic \xc3\xa4"],
        [b"Authorization: " + GOOD.encode(), b"Authorization: " + GOOD.encode()],
        [b"Authorization: Bearer {token}", b"Authorization: " + GOOD.encode()],
    ],
    ids=lambda lines: repr(lines)[:50],
)
def test_through_a_real_server_bad_input_is_a_plain_401_too(address, header_lines):
    answer = send(address, *header_lines)
    assert answer.startswith(b"HTTP/1.0 401 ")
    assert answer.endswith(b'{"message": "Unauthorized User"}\n')


@pytest.mark.parametrize("line", [b"X-API-Key: " + KEY.encode(), b"authorization: " + GOOD.encode()], ids=show)
def test_through_a_real_server_good_credentials_are_good(address, line):
    assert send(address, line).startswith(b"HTTP/1.0 200 ")
