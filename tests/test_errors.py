import pytest

from flask_securest import SecuREST, User, authenticators, errors
from flask_securest.authentication_providers import (
    HeaderApiKeyAuthenticator,
    PasswordAuthenticator,
    TokenAuthenticator,
)


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.ConfigurationError, errors.SecuRESTError),
        (errors.MissingDependencyError, errors.ConfigurationError),
        (errors.MissingDependencyError, ImportError),
        (errors.AuthenticationError, errors.SecuRESTError),
        (errors.BadCredentialsError, errors.AuthenticationError),
        (errors.ExpiredCredentialsError, errors.BadCredentialsError),
        (errors.AccountStatusError, errors.AuthenticationError),
        (errors.AuthorizationError, errors.SecuRESTError),
        (errors.BackendError, errors.SecuRESTError),
    ],
)
def test_the_tree_is_as_it_is_drawn(child, parent):
    assert issubclass(child, parent)


def test_an_account_that_may_not_be_used_is_no_bad_credentials():
    assert not issubclass(errors.AccountStatusError, errors.BadCredentialsError)


def test_a_missing_dependency_is_told_as_the_command_that_brings_it():
    error = errors.MissingDependencyError("LDAPUserstore", "ldap")
    assert str(error) == 'LDAPUserstore needs a library that is not installed: pip install "flask_securest[ldap]"'


def test_a_back_end_may_say_when_to_come_again():
    assert errors.BackendError("down").retry_after is None
    assert errors.BackendError("down", retry_after=30).retry_after == 30


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: SecuREST(userstore={"users": [{"username": "alice", "password": "planted"}]}),
        lambda: SecuREST(authentication_providers=[{"secret_key": "planted"}]),
        lambda: SecuREST(authentication_providers="planted"),
        lambda: SecuREST(authorization_provider="planted"),
        lambda: PasswordAuthenticator(password_hasher="planted"),
        lambda: HeaderApiKeyAuthenticator("planted=="),
        lambda: HeaderApiKeyAuthenticator().register_key("k", ["planted"]),
        lambda: HeaderApiKeyAuthenticator().register_key(b"planted"),
        lambda: TokenAuthenticator(["planted"]),
        lambda: TokenAuthenticator("planted\ud800"),
        lambda: TokenAuthenticator("k" * 32, fallback_secret_keys="planted"),
        lambda: User("alice", attributes=[("token", "planted")]),
        lambda: User("alice", b"planted"),
        lambda: authenticators({"planted": 1}),
    ],
)
def test_no_error_repeats_what_may_be_a_secret(mistake):
    with pytest.raises((errors.ConfigurationError, TypeError)) as caught:
        mistake()
    assert "planted" not in str(caught.value)
    assert "planted" not in repr(caught.value.__context__)
