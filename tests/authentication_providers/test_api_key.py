import hashlib

import pytest
from helpers import ALICE, KEY, api_key, chain_of_three, new_who, secured, with_key
from werkzeug.test import EnvironBuilder

from flask_securest.authentication_providers import HeaderApiKeyAuthenticator, PasswordAuthenticator
from flask_securest.errors import ConfigurationError


def test_a_client_may_have_many_keys_and_there_may_be_many_clients():
    provider = HeaderApiKeyAuthenticator()
    provider.register_key("old-key", "billing")
    provider.register_key("new-key", "billing")
    provider.register_key("other-key", "shipping")
    provider.register_key("nameless-key")
    client = secured(new_who(), providers=[provider], userstore=None)[0].test_client()
    callers = [client.get("/who", headers=with_key(f"{key}-key")).json for key in ("old", "new", "other", "nameless")]
    assert [caller["user"] for caller in callers] == ["billing", "billing", "shipping", "default"]


def test_the_caller_is_a_user_of_the_clients_name_without_roles():
    provider = api_key(app_name="billing")
    seen = []
    Who = new_who(get=lambda self: seen.append((provider.authenticated_app_name, _identity())) or {})
    client = secured(Who, providers=[provider])[0].test_client()
    client.get("/who", headers=with_key())
    ((app_name, identity),) = seen
    assert app_name == identity.app_name == identity.user.username == "billing"
    assert identity.user.roles == frozenset()
    assert identity.scopes is None
    assert identity.provider == "api-key"


def _identity():
    from flask_securest import current_identity

    return current_identity._get_current_object()


def test_the_app_name_is_none_when_another_provider_vouched_or_nobody_did():
    providers = chain_of_three()
    other = HeaderApiKeyAuthenticator("X-Other", name="other")
    seen = []
    Who = new_who(get=lambda self: seen.append((providers[0].authenticated_app_name, other.authenticated_app_name)))
    client = secured(Who, providers=[*providers, other])[0].test_client()
    client.get("/who", headers=ALICE)
    client.get("/who", headers=with_key())
    assert seen == [(None, None), ("ci", None)]
    assert providers[0].authenticated_app_name is None, "outside of a request"


def test_a_header_and_a_name_of_ones_own():
    provider = api_key("X-Service-Key", name="service")
    client = secured(new_who(), providers=[provider])[0].test_client()
    assert client.get("/who", headers=with_key(header="X-Service-Key")).json["provider"] == "service"
    refused = client.get("/who", headers=with_key())
    assert refused.status_code == 401
    assert refused.headers.getlist("WWW-Authenticate") == ['ApiKey realm="api", header="X-Service-Key"']


def test_a_key_beyond_ascii_arrives_as_utf_8():
    client = secured(new_who(), providers=[api_key(key="ключ-7f6b0e0b")])[0].test_client()
    environ = {"HTTP_X_API_KEY": "ключ-7f6b0e0b".encode().decode("latin-1")}
    assert client.get("/who", environ_overrides=environ).status_code == 200


def test_no_key_is_kept_in_memory_as_it_is():
    provider = api_key()
    kept = repr(vars(provider)) + repr(list(provider._clients)) + repr(list(provider._clients.values()))
    assert KEY not in kept


def test_the_same_key_has_another_digest_in_another_process():
    assert set(api_key()._clients).isdisjoint(api_key()._clients)


def test_digests_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "flask_securest.authentication_providers.api_key.compare_digest",
        lambda a, b: compared.append((type(a), type(b))) or a == b,
    )
    client = secured(new_who(), providers=[api_key()])[0].test_client()
    assert client.get("/who", headers=with_key()).status_code == 200
    assert compared == [(bytes, bytes)]


def test_registering_the_same_key_for_the_same_client_again_changes_nothing():
    provider = api_key()
    provider.register_key(KEY, "ci")
    with pytest.raises(ConfigurationError, match="the key of 'other' already belongs to 'ci'") as caught:
        provider.register_key(KEY, "other")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["", None, 7, b"bytes", " key", "key\n", "k\x00ey", "\ud800", "k" * 10_000], ids=lambda k: repr(k)[:12]
)
def test_a_key_that_no_header_can_carry_is_told_at_once_and_not_repeated(key):
    with pytest.raises(ConfigurationError, match="key must be") as caught:
        HeaderApiKeyAuthenticator().register_key(key)
    assert not key or repr(key)[:20] not in str(caught.value)


@pytest.mark.parametrize("app_name", ["", None, 7])
def test_a_client_needs_a_name(app_name):
    with pytest.raises(ConfigurationError, match="app_name"):
        HeaderApiKeyAuthenticator().register_key("key", app_name)


@pytest.mark.parametrize("header", ["", "X API Key", "X-API-Key:", None, "X-Schlüssel", b"X-API-Key"])
def test_what_is_no_header_name_is_told_at_once(header):
    with pytest.raises(ConfigurationError, match="a header must be named by a word"):
        HeaderApiKeyAuthenticator(header)


def test_a_password_hasher_of_the_wrong_type_is_told_at_once():
    with pytest.raises(ConfigurationError, match="password_hasher must be a PasswordHasher"):
        PasswordAuthenticator(password_hasher="argon2")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_key_beyond_ascii_is_known_in_either_encoding_that_clients_send(encoding):
    client = secured(new_who(), providers=[api_key(key="schlüssel")])[0].test_client()
    environ = {"HTTP_X_API_KEY": "schlüssel".encode(encoding).decode("latin-1")}
    assert client.get("/who", environ_overrides=environ).status_code == 200


@pytest.mark.parametrize("header", ["Content-Type", "content-length"])
def test_a_header_that_says_something_of_the_body_carries_no_key(header):
    with pytest.raises(ConfigurationError, match="carries no credentials"):
        HeaderApiKeyAuthenticator(header)


def test_a_registered_key_has_an_id_that_is_the_beginning_of_its_sha_256():
    """What a token says of the key for which it was issued; of 64 bits of a digest nobody finds the key."""
    provider = HeaderApiKeyAuthenticator()
    provider.register_key("key-1", "billing")
    key_id = hashlib.sha256(b"key-1").hexdigest()[:16]
    request = EnvironBuilder(headers={"X-API-Key": "key-1"}).get_request()
    assert provider.authenticate(request, None).credential_id == key_id
    assert provider.find_credential(key_id)
    assert not provider.find_credential(hashlib.sha256(b"key-2").hexdigest()[:16])
