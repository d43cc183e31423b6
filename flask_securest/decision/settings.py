"""Hold what a ``SecuREST`` object has been told: whom to ask, about which users, and who decides."""

from __future__ import annotations

from collections.abc import Iterable

from ..accounts.sources import Accounts
from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..authorization_providers.abstract import AbstractAuthorizationProvider
from ..errors import ConfigurationError
from ..rules.decorators import USE_DEFAULT
from ..rules.statements import Authenticator
from ..userstores.abstract import AbstractUserstore
from .chain import Chain

#: Chains by the names and providers in them, and the userstore that they are given.
Chains = dict[tuple[tuple[str, int], ...], Chain]


class Settings:
    """Hold the providers, the userstore and the authorization provider, and the chains that are made of them."""

    def __init__(self) -> None:
        self.accounts: Accounts[AbstractAuthenticationProvider] = Accounts()
        self.authorization_provider: AbstractAuthorizationProvider | None = None
        self.chains: Chains = {}

    @property
    def providers(self) -> dict[str, AbstractAuthenticationProvider]:
        """Return the providers of the default chain, by their names."""
        return self.accounts.registered

    @property
    def userstore(self) -> AbstractUserstore | None:
        """Return the API's userstore."""
        return self.accounts.userstore

    def forget_chains(self) -> None:
        """Make all chains anew."""
        self.chains = {}

    def find_chain(self, authenticators: tuple[Authenticator, ...] | None, chains: Chains) -> Chain:
        """Return the chain of some providers, made once.

        :param authenticators: as the rule names them; ``None`` for the default chain
        :param chains: where it is kept
        :raises ConfigurationError: nobody to ask, somebody who is not registered, or a provider that cannot work with
            this userstore
        """
        userstore = self.userstore
        providers = self.find_providers(authenticators)
        key = tuple((name, id(provider)) for name, provider in providers)
        chain = chains.get(key)
        if chain is None:
            self.accounts.is_settled = True
            for _, provider in providers:
                provider.connect(self.accounts)
            chain = chains[key] = Chain(providers, userstore)
        return chain

    def find_default_chain(self) -> Chain | None:
        """Return the default chain, for its challenges; ``None`` if it cannot work."""
        try:
            return self.find_chain(None, self.chains)
        except Exception:
            return None

    def find_providers(
        self, authenticators: tuple[Authenticator, ...] | None
    ) -> list[tuple[str, AbstractAuthenticationProvider]]:
        """Return whom a rule asks, under the names by which they are known here.

        :param authenticators: as the rule names them; ``None`` for the default chain
        :raises ConfigurationError: it names somebody who is not registered
        """
        found: list[tuple[str, AbstractAuthenticationProvider]] = []
        for authenticator in authenticators or (USE_DEFAULT,):
            for name, provider in self._find_provider(authenticator):
                # By identity: equal providers may well have different secrets.
                if all(provider is not known for _, known in found):
                    found.append((name, provider))
        return found

    def _find_provider(self, authenticator: Authenticator) -> Iterable[tuple[str, AbstractAuthenticationProvider]]:
        if authenticator is USE_DEFAULT:
            return self.providers.items()
        for name, provider in self.providers.items():
            if provider is authenticator or name == authenticator:
                return [(name, provider)]
        if isinstance(authenticator, AbstractAuthenticationProvider):
            return [(self.accounts.name_unregistered(authenticator), authenticator)]
        raise ConfigurationError(
            f"authenticators names the provider {authenticator!r}, which is not registered; registered: "
            f"{', '.join(self.providers) or 'none'}"
        )
