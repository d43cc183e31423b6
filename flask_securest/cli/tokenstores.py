"""Find the sessions of an application, which commands list and end."""

from __future__ import annotations

from collections.abc import Iterator

from ..authentication_providers.token import TokenAuthenticator
from ..errors import ConfigurationError
from ..keystores.abstract import AbstractWritableKeystore
from ..tokenstores.abstract import AbstractTokenstore
from ..tokenstores.keeping import SessionKeeper
from ..tokenstores.simple import SimpleTokenstore
from ..userstores.abstract import AbstractUserstore
from .stores import all_guards, choose, distinct, keystore_of, providers_of, tokenstore_of, userstore_of


def require_sessions(name: str | None) -> SessionKeeper:
    """Return what keeps the sessions of an authenticator of the current application.

    :param name: the tokenstore; ``None`` for the only one
    :raises ConfigurationError: there is none, or no such one, or there are several, or nobody else can see it
    """
    keepers = [
        (label, each.sessions)
        for guard in all_guards()
        for label, each in providers_of(guard)
        if isinstance(each, TokenAuthenticator) and each.sessions is not None
    ]
    found = [(label, keeper.store) for label, keeper in keepers]
    store = choose(found, name, "tokenstore", "TokenAuthenticator(secret_key, store=...)")
    if type(store) is SimpleTokenstore:
        raise ConfigurationError(
            "a SimpleTokenstore is kept in the memory of each process, and this is a process of its own: use a "
            "tokenstore that is kept elsewhere, such as SQLAlchemyTokenstore"
        )
    return next(keeper for _, keeper in keepers if keeper.store is store)


def end_sessions(userstore: AbstractUserstore, username: str) -> None:
    """End the sessions of a user in all tokenstores of the application: they do not begin again when it is enabled.

    :param userstore: where the user is
    :param username: the user
    :raises BackendError: a store cannot be written now
    """
    for guard in all_guards():
        providers = list(providers_of(guard))
        # As the identities of its users have it: the API's own, or those of a provider.
        origins: set[str | None] = {name for name, each in providers if userstore_of(each) is userstore}
        if guard.settings.userstore is userstore:
            origins = {None}
        for store in distinct(store for _, each in providers if (store := tokenstore_of(each)) is not None):
            for origin in origins:
                store.end_sessions(username, origin)


def find_lost_origins() -> Iterator[tuple[AbstractTokenstore | AbstractWritableKeystore, str]]:
    """Yield the origins of accounts in the stores that no provider of the application has, each with its store.

    :raises BackendError: a store cannot tell now
    """
    names: dict[int, set[str]] = {}
    stores: dict[int, AbstractTokenstore | AbstractWritableKeystore] = {}
    for guard in all_guards():
        providers = dict(providers_of(guard))
        for each in providers.values():
            for store in (tokenstore_of(each), keystore_of(each)):
                if isinstance(store, (AbstractTokenstore, AbstractWritableKeystore)):
                    stores[id(store)] = store
                    names.setdefault(id(store), set()).update(providers)
    for key, store in stores.items():
        for origin in sorted(store.list_origins()):
            if origin.partition(":")[0] not in names[key]:
                yield store, origin
