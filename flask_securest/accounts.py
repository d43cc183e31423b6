"""Look accounts up where they live: an account is an origin and a name, and two namesakes lend each other nothing.

What provider a user comes from decides its origin. Tokens, sessions and keys carry it along, and are looked up by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakSet

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .checks import require_name
from .errors import ConfigurationError
from .identity import UNKNOWN_ORIGIN, UNSET, Identity, Origin
from .models import UserModel, require_user
from .userstores.abstract import AbstractUserstore


class Accounts:
    """Hold where the accounts of one ``SecuREST`` object live: its userstore, and its providers by their names."""

    def __init__(self) -> None:
        self.userstore: AbstractUserstore | None = None
        #: The providers of the default chain.
        self.registered: dict[str, AbstractAuthenticationProvider] = {}
        #: Those that only rules name.
        self._unregistered: dict[str, AbstractAuthenticationProvider] = {}

    def register(self, name: str, provider: AbstractAuthenticationProvider) -> None:
        """Append a provider to the default chain.

        :param name: how it is called
        :param provider: the provider
        :raises ConfigurationError: the name is taken, or is none; or the provider serves another ``SecuREST``
            object, which cannot be brought together with this one
        """
        self._require_free(name, provider)
        if name in self.registered:
            raise ConfigurationError(f"there is a provider called {name!r} already: give this one another name=...")
        provider.connect(self)
        self.registered[name] = provider

    def name_unregistered(self, provider: AbstractAuthenticationProvider) -> str:
        """Return how a provider is called that a rule has brought along.

        :param provider: the provider
        :raises ConfigurationError: the name is taken, or is none
        """
        name = provider.name
        if self._unregistered.get(name) is not provider:
            self._require_free(name, provider)
            self._unregistered[name] = provider
        return name

    def find_provider(self, name: str) -> AbstractAuthenticationProvider | None:
        """Return the provider of this name, registered or not.

        :param name: the name
        """
        return self.registered.get(name) or self._unregistered.get(name)

    def can_find(self, origin: Origin) -> bool:
        """Return whether accounts of this origin can be looked up.

        :param origin: the origin
        """
        if origin is None:
            return True
        provider = self.find_provider(origin.partition(":")[0])
        return provider is not None and has_accounts(provider)

    def find(self, origin: Origin, username: str) -> UserModel | None:
        """Return an account as it is now; ``None`` if it is gone, or nobody knows its origin.

        :param origin: where it lives
        :param username: its name there
        :raises BackendError: that cannot be told now
        """
        if origin is None:
            found = None if self.userstore is None else self.userstore.get_user(username)
        else:
            name, _, issuer = origin.partition(":")
            provider = self.find_provider(name)
            found = None if provider is None else provider.find_user(username, issuer or None)
        # Some stores find "Root" for "root": that is not the account that was asked for.
        return None if found is None else require_user(found)

    def providers(self) -> Iterator[tuple[str, AbstractAuthenticationProvider]]:
        """Yield all providers by their names."""
        yield from self.registered.items()
        yield from self._unregistered.items()

    def _require_free(self, name: str, provider: AbstractAuthenticationProvider) -> None:
        """Raise if a provider cannot have this name.

        :raises ConfigurationError: says which other one has it
        """
        require_name(name, "the name of a provider")
        if name == UNKNOWN_ORIGIN or ":" in name:
            raise ConfigurationError(
                f'the name of a provider must have no ":", and must not be "?": it is stored with the accounts of its '
                f"users, not {name!r}"
            )
        other = self.find_provider(name)
        if other is not None and other is not provider:
            # Each would vouch for the accounts of the other.
            raise ConfigurationError(
                f"there is a provider called {name!r} already, a {type(other).__name__}: give this "
                f"{type(provider).__name__} another name=..."
            )


class KnownAccounts:
    """Hold the :class:`Accounts` that something was connected to: a token authenticator, a keystore's, or a tokenstore.

    It may be connected to those of several ``SecuREST`` objects, if they agree on who is who.
    """

    def __init__(self) -> None:
        # Weakly: an application that is thrown away, as tests do, must not contradict the next one.
        self._all: WeakSet[Accounts] = WeakSet()

    def connect(self, accounts: Accounts, what: str) -> None:
        """Take note of some more.

        :param accounts: those
        :param what: how the error calls what is connected
        :raises ConfigurationError: they disagree with the others: one name would be two accounts
        """
        for known in list(self._all):
            if known is not accounts:
                _require_agreement(known, accounts, what)
        self._all.add(accounts)

    def find_with(self, origin: Origin) -> Accounts | None:
        """Return those in which accounts of an origin can be looked up; ``None`` if there are none.

        :param origin: the origin
        """
        return next((accounts for accounts in list(self._all) if accounts.can_find(origin)), None)

    def find_userstore(self) -> AbstractUserstore | None:
        """Return the userstore of the API, as far as that is known."""
        return next((accounts.userstore for accounts in list(self._all)), None)


def _require_agreement(one: Accounts, other: Accounts, what: str) -> None:
    """Raise if two ``SecuREST`` objects disagree on who is who.

    :raises ConfigurationError: says about what
    """
    if one.userstore is not other.userstore:
        raise ConfigurationError(
            f"{what} serves two SecuREST objects with different userstores: a token for an account of one would be "
            "good for its namesake in the other. Give each its own"
        )
    theirs = dict(other.providers())
    for name, provider in one.providers():
        if has_accounts(provider) and theirs.get(name, provider) is not provider:
            raise ConfigurationError(
                f"{what} serves two SecuREST objects, and each has another provider called {name!r}: a token for an "
                "account of one would be good for its namesake of the other. Give each its own"
            )


def has_accounts(provider: AbstractAuthenticationProvider) -> bool:
    """Return whether a provider can look up users of its own.

    :param provider: the provider
    """
    finds = type(provider).find_user is not AbstractAuthenticationProvider.find_user
    return finds or "find_user" in vars(provider) or isinstance(getattr(provider, "userstore", None), AbstractUserstore)


def origin_of(provider: AbstractAuthenticationProvider, name: str, userstore: AbstractUserstore | None) -> Origin:
    """Return where the users of a provider live, if it does not say so itself.

    :param provider: the provider
    :param name: how it is called here
    :param userstore: the API's userstore
    """
    if userstore is None:
        return name
    own: object = getattr(provider, "userstore", None)
    return None if own is userstore or (own is None and _uses_api_userstore(provider)) else name


def _uses_api_userstore(provider: AbstractAuthenticationProvider) -> bool:
    """Return whether a provider says that its users are those of the API's userstore.

    What a class says of its ``authenticate`` says nothing of that of a subclass, which may make up users.
    """
    if not provider.uses_api_userstore:
        return False
    if "uses_api_userstore" in vars(provider):
        return True
    for owner in type(provider).__mro__:
        if "uses_api_userstore" in vars(owner):
            return True
        if "authenticate" in vars(owner):
            return False
    return False


def read_identity(said: object, name: str, provider: AbstractAuthenticationProvider, origin: Origin) -> Identity:
    """Return the identity that a provider has vouched for, with its origin.

    :param said: what it has answered
    :param name: how it is called here
    :param provider: the provider
    :param origin: where its users live, if it does not say so itself
    :raises TypeError: what was said is no user
    :raises ValueError: an account that this provider cannot vouch for
    """
    if not isinstance(said, Identity):
        return Identity(require_user(said), name, origin=origin)
    given = said.origin
    if given is UNSET:
        given = origin
    elif isinstance(given, str) and given != origin and (said.app_name is not None or not provider.looks_up_accounts):
        # It knows itself by its own name, and may be registered under another.
        vouching, colon, issuer = given.partition(":")
        if vouching in (provider.name, said.provider):
            given = f"{name}{colon}{issuer}"
    if given != origin and not provider.looks_up_accounts and (given is None or given.partition(":")[0] != name):
        # A provider that could name any origin could let its users be the administrators of another one (CWE-287).
        raise ValueError(
            f"the provider {name!r} has answered with an account of the origin {given!r}, and can vouch for its own "
            f"only: {name!r}, {name + ':issuer'!r}, or None where it says uses_api_userstore"
        )
    return said if said.provider == name and said.origin == given else said.vouched_by(name, given)
