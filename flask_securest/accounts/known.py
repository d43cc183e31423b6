"""Hold what token authenticators, keystores and tokenstores are told of where accounts live, and look them up there."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from ..errors import ConfigurationError
from ..identity import UNKNOWN_ORIGIN, Origin
from ..models import UserModel, require_user
from ..userstores.abstract import AbstractUserstore
from ..userstores.marks import mark_of
from .sources import Accounts, AccountSource, has_accounts


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
        remedy = "Give each its own: make it where SecuREST is made"
        if of_one_userstore and any(_contradict(known, accounts) for known in others):
            return (
                f"{what} serves two SecuREST objects with different userstores: a token for an account of one would be "
                f"good for its namesake in the other. {remedy}"
            )
        theirs = dict(accounts.providers())
        for name, provider in (each for known in others for each in known.providers()):
            if has_accounts(provider) and theirs.get(name, provider) is not provider:
                return (
                    f"{what} serves two SecuREST objects, and each has another provider called {name!r}: what is for "
                    f"an account of one would be good for its namesake of the other. {remedy}"
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

    def find_marked(self, user: UserModel | None, origin: Origin, username: str) -> UserModel | None:
        """Return an account with its mark, which whoever has made the user may not know: then it is looked up.

        :param user: the account, as far as it is known
        :param origin: where it lives
        :param username: its name there
        :returns: ``None`` if it would have to be looked up, and is gone, or nobody can look
        :raises BackendError: that cannot be told now
        """
        if user is not None and mark_of(user) is not None:
            return user
        return self.look_up(origin, username, self.find_userstore())

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


def _contradict(one: Accounts[Any], other: Accounts[Any]) -> bool:
    # securest.userstore may be set after the providers have been registered.
    may_agree = None in (one.userstore, other.userstore) and not (one.is_settled and other.is_settled)
    return one.userstore is not other.userstore and not may_agree


#: What each tokenstore is connected to: two authenticators, of two applications, may have the same one.
_OF_STORES: WeakKeyDictionary[object, KnownAccounts] = WeakKeyDictionary()


def known_accounts_of(store: object) -> KnownAccounts:
    """Return what a tokenstore is connected to."""
    return _OF_STORES.setdefault(store, KnownAccounts())


def _tells_of_credentials(provider: AccountSource) -> bool:
    return type(provider).find_credential is not AccountSource.find_credential
