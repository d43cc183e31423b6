"""Say where the user lives whom a provider has vouched for, and that it may vouch for such a one."""

from __future__ import annotations

from ..accounts.sources import AccountSource
from ..identity import UNSET, Identity, Origin
from ..models import require_user
from ..userstores.abstract import AbstractUserstore


def origin_of(provider: AccountSource, name: str, userstore: AbstractUserstore | None) -> Origin:
    """Return where the users of a provider live, if it does not say so itself.

    :param provider: the provider
    :param name: how it is called here
    :param userstore: the API's userstore
    """
    if userstore is None:
        return name
    own: object = getattr(provider, "userstore", None)
    return None if own is userstore or (own is None and _uses_api_userstore(provider)) else name


def _uses_api_userstore(provider: AccountSource) -> bool:
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


def read_identity(said: object, name: str, provider: AccountSource, origin: Origin) -> Identity:
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
    if given is None and provider.looks_up_accounts and said.provider == name:
        return said  # as most tokens say
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
