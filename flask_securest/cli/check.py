"""``flask securest check``: what is wrong, or may be a surprise, in how an application is set up."""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import normalize

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..authentication_providers.token import TokenAuthenticator
from ..enforcement.guard import ApiGuard
from ..errors import BackendError, ConfigurationError
from ..inspection.census import take_census
from ..keystores.simple import SimpleKeystore
from ..support.hashes import find_two_passlibs
from ..support.logs import message_of
from ..tokenstores.abstract import AbstractTokenstore
from ..tokenstores.simple import SimpleTokenstore
from ..userstores.abstract import AbstractUserstore
from .stores import all_guards, providers_of
from .tokenstores import find_lost_origins

#: A look-up of somebody who is not there tells whether a store can be asked at all.
_NOBODY = "flask securest check"

Finding = tuple[str, str]


def find_faults() -> Iterator[Finding]:
    """Yield what is wrong with the current application (``"error"``), or may be a surprise (``"warning"``).

    :raises ConfigurationError: nothing guards it
    """
    for guard in all_guards():
        yield from _check_guard(guard)
        providers = {id(provider): (name, provider) for name, provider in providers_of(guard)}
        for name, provider in providers.values():
            yield from _check_provider(name, provider)
    yield from _check_names()
    yield from _check_origins()
    yield from _check_passlib()


def _check_guard(guard: ApiGuard) -> Iterator[Finding]:
    if guard.mode == "report":
        yield "warning", 'SecuREST is in mode "report": every request goes on, whoever sends it'
    for route in sorted(take_census(guard)):
        if route.access == "broken":
            yield "error", f"{route.verb} {route.url} answers 500: {route.reason}"
    if guard.settings.userstore is not None:
        try:
            guard.settings.userstore.get_user(_NOBODY)
        except BackendError as error:
            yield "error", f"the {type(guard.settings.userstore).__name__} cannot be asked: {message_of(error)}"


def _check_provider(name: str, provider: AbstractAuthenticationProvider) -> Iterator[Finding]:
    if isinstance(provider, TokenAuthenticator):
        if provider.store is None:
            yield (
                "warning",
                (
                    f"the tokens of {name!r} are in no store: logging out is not effective until they expire, after "
                    f"{provider.expires_in_seconds} seconds"
                ),
            )
        elif isinstance(provider.store, SimpleTokenstore):
            yield "warning", f"the sessions of {name!r} are in the memory of one process: several workers need a store"
    if isinstance(getattr(provider, "keystore", None), SimpleKeystore):
        yield "warning", f"the keys of {name!r} are in the memory of one process, and gone when it ends"


def _check_names() -> Iterator[Finding]:
    """Look for accounts that only the second of several ways to write a name would find."""
    stores = {
        id(store): store
        for guard in all_guards()
        for store in (guard.settings.userstore, *(getattr(each, "userstore", None) for _, each in providers_of(guard)))
        if isinstance(store, AbstractUserstore)
    }
    for store in stores.values():
        names: dict[str, set[str]] = {}
        try:
            for user in store.list_users():
                if not user.username.isascii():
                    names.setdefault(normalize("NFC", user.username), set()).add(user.username)
        except (BackendError, ConfigurationError, NotImplementedError):
            continue  # told above; or it cannot list them
        for together in names.values():
            if len(together) > 1:
                told = f"the {type(store).__name__} has accounts whose names are one in the form NFC: "
                told += " and ".join(sorted(map(ascii, together)))
                yield "warning", f"{told}; with a password, only the one in that form can log in"


def _check_origins() -> Iterator[Finding]:
    """Look whether a provider has another name by now: what was made for its users has ended with the former one."""
    try:
        for store, origin in find_lost_origins():
            what = "sessions" if isinstance(store, AbstractTokenstore) else "keys"
            remedy = f"flask securest sessions end --origin {origin}" if what == "sessions" else "revoke them"
            yield (
                "warning",
                (
                    f"the {type(store).__name__} has {what} of accounts of {origin!r}, and there is no provider of "
                    f"that name: they open nothing. Give the provider its name back, or end them: {remedy}"
                ),
            )
    except BackendError as error:
        yield "error", f"a store cannot tell of whom it has sessions and keys: {message_of(error)}"


def _check_passlib() -> Iterator[Finding]:
    problem = find_two_passlibs()
    if problem is not None:
        yield "error", problem
