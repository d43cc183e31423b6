"""Whose tokens they are: of which account, where that lives, and by which credentials it was known."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..accounts.known import KnownAccounts
from ..current import get_caller
from ..errors import BadCredentialsError
from ..identity import UNKNOWN_ORIGIN, UNSET, Identity, Origin, Unset, require_origin
from ..models import User, UserModel
from ..protocols.signed_tokens import Claims, KeyOfToken
from ..userstores.abstract import AbstractUserstore
from ..userstores.marks import mark_of
from .models import Session
from .sessions import is_same_account


class UntradableError(ValueError):
    """Say that an account, or an application, could not be looked up again when its token comes back."""


class Owner(NamedTuple):
    """Hold whose tokens are to be.

    :param username: the name of the account
    :param origin: where it lives
    :param user: the account itself; ``None`` if it is not known
    :param is_app: whether it is an application, which is no user
    :param key: the credentials that the tokens end with
    """

    username: str
    origin: Origin
    user: UserModel | None
    is_app: bool
    key: KeyOfToken | None


def find_owner(user: UserModel | str, origin: Origin | Literal[Unset.UNSET], known: KnownAccounts) -> Owner:
    """Return whose tokens are to be.

    :param user: the account, or its name
    :param origin: where it lives; unset, the origin of the caller, where it is the caller; else the API's own
    :param known: where accounts live
    :raises ValueError: nobody; an account that may be another one than the API's of that name
    :raises UntradableError: it could not be looked up again
    """
    # current_user is a proxy: whom it stands for is the caller itself.
    stood_for = getattr(user, "_get_current_object", None)
    if stood_for is not None:
        user = stood_for()
    username = user if isinstance(user, str) else getattr(user, "username", None)
    if not isinstance(username, str) or not username:
        raise ValueError("a token must belong to somebody: user is empty, anonymous, or no user")
    account = None if isinstance(user, str) else user
    caller = get_caller().identity
    is_caller = caller is not None and (user is caller.user or user == caller.user.username)
    if origin is not UNSET:
        origin = require_origin(origin)
        is_caller = is_caller and caller is not None and caller.origin == origin
    elif is_caller and caller is not None:
        origin = None if caller.origin is UNSET else caller.origin
    else:
        origin = None
        account = _require_own_account(account, username, known.find_userstore())
    is_app = is_caller and caller is not None and caller.app_name == username and known.find_with(origin) is None
    key = None if caller is None else _find_key(caller, known)
    if is_app and key is None:
        raise UntradableError(
            f"the credentials of the application {username!r} cannot be looked up again, to see whether they are still "
            f"good: write find_credential(credential_id) of the provider {origin!r}"
        )
    if not is_app and origin is not None and known.find_with(origin) is None:
        raise UntradableError(
            f"the user {username!r} of the origin {origin!r} cannot be looked up again when the token comes back: "
            "register that provider, and write its find_user(username, issuer)"
        )
    if not is_app:
        # Without its mark, the token would outlive a change of the password.
        account = known.find_marked(account, origin, username) or account
    return Owner(username, origin, account, is_app, key)


def find_account(
    claims: Claims, session: Session | None, userstore: AbstractUserstore | None, known: KnownAccounts
) -> tuple[UserModel, Origin]:
    """Return the account that a token belongs to as it is now, and its origin.

    :param claims: what the token says
    :param session: the session that it belongs to
    :param userstore: the users of the API; without one, the token tells the name
    :param known: where accounts live
    :raises BadCredentialsError: it is gone, or another one by now, or has another password
    :raises BackendError: that cannot be told now
    """
    origin = agree_on_origin(claims.origin, session)
    if claims.key is not None and not _is_good(claims.key, known):
        raise BadCredentialsError("a token of credentials that are not good any more")
    if claims.is_app:
        if claims.key is None:
            raise BadCredentialsError("a token of an application that does not say which key it ends with")
        return User(claims.username), origin
    if origin is None and userstore is None:
        return User(claims.username), None
    user = known.look_up(origin, claims.username, userstore)
    if user is None:
        raise BadCredentialsError("a token of a user that is gone, or that lives where nobody can look")
    if not is_same_account(claims.password_mark, origin, user):
        raise BadCredentialsError("a token from before the user's password was changed")
    return user, None if origin == UNKNOWN_ORIGIN else origin


def agree_on_origin(origin: Origin, session: Session | None) -> Origin:
    """Return the origin of an account by its token and its session, of which one may be from long ago.

    :param origin: what the token says
    :param session: the session
    :raises BadCredentialsError: they contradict each other
    """
    if session is None or session.origin in (origin, UNKNOWN_ORIGIN):
        return origin
    if origin != UNKNOWN_ORIGIN:
        raise BadCredentialsError("a token of another account than its session")
    return session.origin


def _require_own_account(
    user: UserModel | None, username: str, userstore: AbstractUserstore | None
) -> UserModel | None:
    """Return the API's account that a user is, and none that may be another one, whose rights the token would have.

    :raises ValueError: it may be another one
    """
    if user is None or userstore is None:
        return user
    account = userstore.get_user(username)
    if account is user:
        return account
    mark, stored = mark_of(user), getattr(user, "password", None)
    # A row of the application's own ORM has the hash, and not the mark that the store may have given the account.
    is_same = account is not None and ((stored and stored == account.password) or mark == mark_of(account))
    if mark is None or not is_same:
        raise ValueError(
            f"the user {username!r} is not known to be the account of that name in the API's userstore: give "
            "origin=..., the name of the provider that it comes from, or origin=None if it is that account"
        )
    return account


def _find_key(caller: Identity, known: KnownAccounts) -> KeyOfToken | None:
    """Return the credentials of the caller, if they can be looked up again: its token ends with them."""
    if caller.credential_id is None or caller.provider is None:
        return None
    key = KeyOfToken(caller.provider, caller.credential_id, caller.app_name)
    return key if known.find_credentials(caller.provider) is not None else None


def _is_good(key: KeyOfToken, known: KnownAccounts) -> bool:
    find = known.find_credentials(key.provider)
    return find is not None and find(key.credential_id)
