"""Find the userstores and the keystores of an application, which commands work on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

from flask import current_app

from ..accounts.sources import Accounts
from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..enforcement.guard import ApiGuard
from ..enforcement.guarded_app import GuardedApp
from ..errors import ConfigurationError
from ..keystores.abstract import AbstractKeystore, AbstractWritableKeystore
from ..keystores.simple import SimpleKeystore
from ..passwords import PasswordHasher
from ..sql.stores import SQLStore
from ..tokenstores.abstract import AbstractTokenstore
from ..userstores.abstract import AbstractUserstore, AbstractWritableUserstore

_Store = TypeVar("_Store")


def require_userstore(name: str | None) -> AbstractUserstore:
    """Return a userstore of the current application.

    :param name: which one; ``None`` for the only one
    :raises ConfigurationError: there is none, or no such one, or there are several
    """
    found: list[tuple[str, AbstractUserstore]] = []
    for guard in all_guards():
        if guard.settings.userstore is not None:
            found.append(("", guard.settings.userstore))
        found += [(label, own) for label, each in providers_of(guard) if (own := userstore_of(each)) is not None]
    return choose(found, name, "userstore", "SecuREST(api, userstore=...)")


def require_writable_userstore(name: str | None) -> AbstractWritableUserstore:
    """Return a userstore of the current application whose users can be changed.

    :param name: which one; ``None`` for the only one
    :raises ConfigurationError: there is none, or no such one, or there are several, or it cannot be written
    """
    store = require_userstore(name)
    if not isinstance(store, AbstractWritableUserstore):
        raise ConfigurationError(
            f"the {type(store).__name__} cannot be written from here: change its users where they are kept, or use a "
            "userstore that can be, such as SQLAlchemyUserstore"
        )
    return store


def prepare(store: AbstractWritableUserstore) -> None:
    """Let a store make its tables, if it has any, before it is read: a new database has none before the first write.

    :param store: the store
    :raises BackendError: the store cannot be written now
    """
    create_schema = getattr(store, "create_schema", None)
    if callable(create_schema):
        create_schema()


def hasher_of(userstore: AbstractUserstore) -> PasswordHasher:
    """Return what the passwords of a userstore's users are hashed with: the hasher of the provider that verifies them.

    :param userstore: the userstore
    """
    for guard in all_guards():
        for _, provider in providers_of(guard):
            hasher = getattr(provider, "password_hasher", None)
            if isinstance(hasher, PasswordHasher) and (userstore_of(provider) or guard.settings.userstore) is userstore:
                return hasher
    return PasswordHasher()


def require_keystore(name: str | None) -> AbstractKeystore:
    """Return a keystore of the current application.

    :param name: which one; ``None`` for the only one
    :raises ConfigurationError: there is none, or no such one, or there are several
    """
    return choose(_keystores(), name, "keystore", "HeaderApiKeyAuthenticator(keystore=...)")


def require_writable_keystore(name: str | None) -> AbstractWritableKeystore:
    """Return a keystore of the current application whose keys can be listed and changed.

    :param name: which one; ``None`` for the only one
    :raises ConfigurationError: there is none, or no such one, or there are several, or it cannot be written
    """
    store = require_keystore(name)
    if not isinstance(store, AbstractWritableKeystore):
        raise ConfigurationError(
            f"the keys of a {type(store).__name__} can be neither listed nor changed from here: use a keystore whose "
            "keys can be, such as SQLAlchemyKeystore"
        )
    # A key that was issued there would look like one, and open nothing. A subclass may keep its keys elsewhere.
    if type(store) is SimpleKeystore:
        raise ConfigurationError(
            "a SimpleKeystore is kept in the memory of each process, and this is a process of its own: use a keystore "
            "that is kept elsewhere, such as SQLAlchemyKeystore"
        )
    return store


def accounts_of(keystore: AbstractKeystore) -> list[Accounts[AbstractAuthenticationProvider]]:
    """Return where the owners of a keystore's keys are looked up.

    :param keystore: the keystore
    :raises ConfigurationError: nowhere
    """
    found = [
        guard.settings.accounts
        for guard in all_guards()
        if any(keystore_of(each) is keystore for _, each in providers_of(guard))
    ]
    if all(accounts.userstore is None for accounts in found):
        raise ConfigurationError("keys with an owner need a userstore that knows the owner: SecuREST(userstore=...)")
    return distinct(found)


def stores_with_tables() -> list[SQLStore]:
    """Return the stores of the current application that are kept in SQL databases, in tables of ours."""
    found: list[object] = []
    for guard in all_guards():
        found.append(guard.settings.userstore)
        for _, each in providers_of(guard):
            found += [userstore_of(each), keystore_of(each), tokenstore_of(each)]
    return [store for store in distinct(found) if isinstance(store, SQLStore) and store.has_own_tables]


def writable_keystores() -> list[AbstractWritableKeystore]:
    """Return the keystores of the current application whose keys can be listed."""
    return distinct(store for _, store in _keystores() if isinstance(store, AbstractWritableKeystore))


def _keystores() -> list[tuple[str, AbstractKeystore]]:
    return [
        (label, store)
        for guard in all_guards()
        for label, provider in providers_of(guard)
        if (store := keystore_of(provider)) is not None
    ]


def all_guards() -> list[ApiGuard]:
    """Return who guards the Apis of the current application.

    :raises ConfigurationError: nobody does
    """
    guarded_app = current_app.extensions.get("securest")
    guards = guarded_app.owners.guards() if isinstance(guarded_app, GuardedApp) else []
    if not guards:
        raise ConfigurationError(
            f"nothing guards the application {current_app.name!r}: attach a SecuREST(api, ...) to one of its Apis"
        )
    return guards


def providers_of(guard: ApiGuard) -> Iterator[tuple[str, AbstractAuthenticationProvider]]:
    """Yield the providers of the default chain, and then those that stand in rules, with their names.

    :param guard: whose chain it is
    """
    yield from guard.settings.providers.items()
    for view in sorted(guard.views, key=lambda view: view.endpoint):
        for verb in sorted(getattr(view.resource, "methods", None) or ("GET",)):
            # A broken rule is for the route census to tell, and for the first request.
            with contextlib.suppress(ConfigurationError):
                yield from guard.settings.find_providers(view.resolve_rule(verb).authenticators)


def userstore_of(provider: AbstractAuthenticationProvider) -> AbstractUserstore | None:
    """Return the userstore of its own that a provider may have; also one that is not ours.

    :param provider: the provider
    """
    store = getattr(provider, "userstore", None)
    return store if isinstance(store, AbstractUserstore) else None


def keystore_of(provider: AbstractAuthenticationProvider) -> AbstractKeystore | None:
    """Return the keystore of a provider, if it has one.

    :param provider: the provider
    """
    store = getattr(provider, "keystore", None)
    return store if isinstance(store, AbstractKeystore) else None


def tokenstore_of(provider: AbstractAuthenticationProvider) -> AbstractTokenstore | None:
    """Return the tokenstore of a provider, if it has one.

    :param provider: the provider
    """
    store = getattr(provider, "store", None)
    return store if isinstance(store, AbstractTokenstore) else None


def choose(found: list[tuple[str, _Store]], name: str | None, what: str, argument: str) -> _Store:
    """Return the store with this name.

    :param found: the stores, each with the name of the provider whose own it is, or an empty one
    :param name: which one; ``None`` for the only one
    :param what: how errors call it
    :param argument: where the developer gives one
    """
    stores = distinct(store for _, store in found)
    if not stores:
        raise ConfigurationError(f"the application has no {what}: {argument}")
    if name is None and len(stores) == 1:
        return stores[0]
    names = [_names_of(store, found, stores) for store in stores]
    for store, own in zip(stores, names, strict=True):
        if name in own:
            return store
    known = ", ".join(f"{own[0]!r} ({type(store).__name__})" for store, own in zip(stores, names, strict=True))
    if name is None:
        raise ConfigurationError(
            f"the application has {len(stores)} {what}s: say which one by --store; there are {known}"
        )
    raise ConfigurationError(f"the application has no {what} {name!r}; there are {known}")


def _names_of(store: _Store, found: list[tuple[str, _Store]], stores: list[_Store]) -> list[str]:
    """Return the names that mean this store and no other one, the best one first."""
    alike = [other for other in stores if type(other) is type(store)]
    kind = type(store).__name__
    # By numbers, in the order in which the Apis were attached, where the class alone does not tell.
    position = next(i for i, other in enumerate(alike, start=1) if other is store)
    names = [kind] if len(alike) == 1 else [f"{kind}-{position}"]
    labels = [label for label, other in found if other is store and label]
    return names + [
        label for label in labels if all(other is store for other_label, other in found if other_label == label)
    ]


def distinct(stores: Iterable[_Store]) -> list[_Store]:
    """Return what there is, each once. Equal stores may well be different ones.

    :param stores: the stores
    """
    return list({id(store): store for store in stores}.values())
