"""Look accounts up where they live: an account is an origin and a name, and two namesakes lend each other nothing.

What provider a user comes from decides its origin. Tokens, sessions and keys carry it along, and are looked up by it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from .checks import require_name
from .errors import ConfigurationError
from .identity import UNKNOWN_ORIGIN, Origin
from .models import UserModel, require_user
from .userstores.abstract import AbstractUserstore


class _ClassName:
    """Be the name of whatever class it is looked up on, until the class or the instance sets one of its own."""

    def __get__(self, instance: object, owner: type) -> str:
        return owner.__name__


class AccountSource:
    """Be the part of a provider that knows where its users live, and can look them up without a request."""

    #: How the provider is called in rules, identities and logs, unless another name is given where it is
    #: registered.
    name: str = cast(str, _ClassName())

    #: Whether the users that it answers with are those of the API's userstore, where there is one. It does not count
    #: for a subclass that overrides :meth:`authenticate`, unless its own body says it.
    uses_api_userstore: bool = False

    #: Whether it answers with accounts of others, of which it knows the origin because it has looked them up there.
    looks_up_accounts: bool = False

    def find_user(self, username: str, issuer: str | None = None) -> UserModel | None:
        """Return a user of this provider as it is now, for a token or a key that belongs to it.

        Write it if the provider has users of its own: without it, its callers can have no tokens. By default the user
        is looked up in ``self.userstore``, if there is one.

        :param username: the name
        :param issuer: which of the provider's issuers the user is of, if its identities have the origin ``name:issuer``
        :returns: the user; ``None`` if there is none, or not any more
        :raises BackendError: it cannot be told now
        """
        own = getattr(self, "userstore", None)
        return own.get_user(username) if issuer is None and isinstance(own, AbstractUserstore) else None

    def find_credential(self, credential_id: str) -> bool:
        """Return whether credentials are still good, for a token that was issued for them and ends with them.

        Write it if callers that are no users, such as applications, may have tokens, or if credentials can be revoked.

        :param credential_id: the ``credential_id`` of the identity
        :raises BackendError: it cannot be told now
        """
        return False

    def connect(self, accounts: Accounts[Any]) -> None:
        """Take note of where accounts live, when a ``SecuREST`` object is going to ask this provider.

        :param accounts: those accounts
        :raises ConfigurationError: it serves another one already, which cannot be brought together with this one
        """


_Source = TypeVar("_Source", bound=AccountSource)


class Accounts(Generic[_Source]):
    """Hold where the accounts of one ``SecuREST`` object live: its userstore, and its providers by their names."""

    def __init__(self) -> None:
        self.userstore: AbstractUserstore | None = None
        #: The providers of the default chain.
        self.registered: dict[str, _Source] = {}
        #: Those that only rules name.
        self._unregistered: dict[str, _Source] = {}

    def register(self, name: str, provider: _Source) -> None:
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

    def name_unregistered(self, provider: _Source) -> str:
        """Return how a provider is called that a rule has brought along.

        :param provider: the provider
        :raises ConfigurationError: the name is taken, or is none
        """
        name = provider.name
        if self._unregistered.get(name) is not provider:
            self._require_free(name, provider)
            self._unregistered[name] = provider
        return name

    def find_provider(self, name: str) -> _Source | None:
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

    def providers(self) -> Iterator[tuple[str, _Source]]:
        """Yield all providers by their names."""
        yield from self.registered.items()
        yield from self._unregistered.items()

    def _require_free(self, name: str, provider: _Source) -> None:
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
        self._all: WeakSet[Accounts[Any]] = WeakSet()

    def connect(self, accounts: Accounts[Any], what: str, *, of_one_userstore: bool = True) -> None:
        """Take note of some more.

        :param accounts: those
        :param what: how the error calls what is connected
        :param of_one_userstore: whether all of them must have the same userstore
        :raises ConfigurationError: they disagree with the others: one name would be two accounts
        """
        fault = self._find_fault(accounts, what, of_one_userstore=of_one_userstore)
        if fault is not None:
            # An application of an earlier test may be there until its circle is broken.
            gc.collect()
            fault = self._find_fault(accounts, what, of_one_userstore=of_one_userstore)
        if fault is not None:
            raise ConfigurationError(fault)
        self._all.add(accounts)

    def _find_fault(self, accounts: Accounts[Any], what: str, *, of_one_userstore: bool) -> str | None:
        others = [known for known in list(self._all) if known is not accounts]
        if of_one_userstore and any(known.userstore is not accounts.userstore for known in others):
            return (
                f"{what} serves two SecuREST objects with different userstores: a token for an account of one would be "
                "good for its namesake in the other. Give each its own"
            )
        theirs = dict(accounts.providers())
        for name, provider in (each for known in others for each in known.providers()):
            if has_accounts(provider) and theirs.get(name, provider) is not provider:
                return (
                    f"{what} serves two SecuREST objects, and each has another provider called {name!r}: what is for "
                    "an account of one would be good for its namesake of the other. Give each its own"
                )
        return None

    def find_with(self, origin: Origin) -> Accounts[Any] | None:
        """Return those in which accounts of an origin can be looked up; ``None`` if there are none.

        :param origin: the origin
        """
        return next((accounts for accounts in list(self._all) if accounts.can_find(origin)), None)

    def look_up(self, origin: Origin, username: str, userstore: AbstractUserstore | None) -> UserModel | None:
        """Return an account as it is now; ``None`` if it is gone, or nobody can look.

        :param origin: where it lives; an unknown one may be the API's own
        :param username: its name there
        :param userstore: the users of the API
        :raises BackendError: that cannot be told now
        """
        if origin in (None, UNKNOWN_ORIGIN):
            found = None if userstore is None else userstore.get_user(username)
            return None if found is None else require_user(found)
        accounts = self.find_with(origin)
        return None if accounts is None else accounts.find(origin, username)

    def find_credentials(self, name: str) -> Callable[[str], bool] | None:
        """Return the function that tells whether credentials of a provider are still good; ``None`` if it has none.

        :param name: the registered name of the provider
        """
        for accounts in list(self._all):
            provider = accounts.find_provider(name)
            if provider is not None and _tells_of_credentials(provider):
                find: Callable[[str], bool] = provider.find_credential
                return find
        return None

    def find_userstore(self) -> AbstractUserstore | None:
        """Return the userstore of the API, if it is known."""
        return next((accounts.userstore for accounts in list(self._all)), None)


#: What each tokenstore is connected to: two authenticators, of two applications, may have the same one.
_OF_STORES: WeakKeyDictionary[object, KnownAccounts] = WeakKeyDictionary()


def known_accounts_of(store: object) -> KnownAccounts:
    """Return what a tokenstore is connected to."""
    return _OF_STORES.setdefault(store, KnownAccounts())


def _tells_of_credentials(provider: AccountSource) -> bool:
    return type(provider).find_credential is not AccountSource.find_credential


def has_accounts(provider: AccountSource) -> bool:
    """Return whether a provider can look up users of its own."""
    finds = type(provider).find_user is not AccountSource.find_user
    return finds or "find_user" in vars(provider) or isinstance(getattr(provider, "userstore", None), AbstractUserstore)
