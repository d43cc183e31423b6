"""Look accounts up where they live: an account is an origin and a name, and two namesakes lend each other nothing.

What provider a user comes from decides its origin. Tokens, sessions and keys carry it along, and are looked up by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

from ..errors import ConfigurationError
from ..identity import UNKNOWN_ORIGIN, Origin
from ..models import UserModel, require_user
from ..support.checks import require_name
from ..userstores.abstract import AbstractUserstore


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
        #: Whether chains have been made: until then, a userstore may still be set.
        self.is_settled = False
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


def has_accounts(provider: AccountSource) -> bool:
    """Return whether a provider can look up users of its own."""
    finds = type(provider).find_user is not AccountSource.find_user
    return finds or "find_user" in vars(provider) or isinstance(getattr(provider, "userstore", None), AbstractUserstore)
