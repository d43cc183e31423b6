"""Give a session a new refresh token for its former one, and notice when one comes a second time."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import NamedTuple, NoReturn

from ..errors import BadCredentialsError
from ..keystores.format import digest_of, find_key_id, make_key
from ..models import UserModel, limit_scopes
from ..signals import refresh_token_reused, send
from .keeping import SessionKeeper
from .limits import require_held
from .models import Session
from .sessions import REFRESH_PREFIX, is_same_account

#: How far ahead the clock may be of which a worker of the release before has written down when it refreshed a session:
#: it took its own clock, and not the store's.
_MOST_SECONDS_AHEAD = 60


#: An access token, and for how many seconds it is good.
Signed = tuple[str, int]


class Refreshed(NamedTuple):
    """Hold a session that has been refreshed, its new tokens, which nobody keeps here, and their scopes."""

    session: Session
    access_token: Signed
    refresh_token: str
    scopes: Collection[str] | None


def refresh_session(
    keeper: SessionKeeper,
    token: bytes,
    find: Callable[[Session], UserModel | None],
    sign: Callable[[Session, UserModel, Collection[str] | None], Signed],
    scopes: Collection[str] | None,
) -> Refreshed:
    """Give a session a new refresh token in place of the one that was sent.

    :param keeper: keeps the session
    :param token: the refresh token; it is known to have been made by us
    :param find: returns the account of a session as it is now; ``None`` if it is gone
    :param sign: returns the new access token of a session and its account, with these scopes
    :param scopes: what the access token is to be limited to; ``None`` for all that the session has
    :raises BadCredentialsError: it is no refresh token of ours, it was used before (RFC 9700, section 4.14.2), its
        session has ended, or its user is gone, disabled, or has another password by now
    :raises ValueError: the session has not these scopes, or no header could hold them; nothing has changed
    :raises BackendError: a store cannot tell now
    """
    session_id = find_key_id(token)
    session = keeper.find(session_id) if token.startswith(f"{REFRESH_PREFIX}_".encode()) else None
    if session is None or session.refresh_digest is None:
        raise BadCredentialsError("a refresh token of no session")
    digest = digest_of(token)
    if not hmac.compare_digest(session.refresh_digest, digest):
        _refuse_former(keeper, session, digest)
    user = find(session)
    if user is None or not user.active or not is_same_account(session.password_mark, session.origin, user):
        if user is not None and not user.active:
            keeper.end_disabled(session)
        else:
            keeper.end(session, "account changed")
        raise BadCredentialsError("a refresh token of a user that is gone, disabled, or has another password by now")
    held = limit_scopes(session.scopes, user)
    wanted = held if scopes is None else require_held(scopes, held, "the session")
    # Before the refresh token is used up: it may be that no such token can be made.
    password = sign(session, user, wanted)
    secret = make_key(REFRESH_PREFIX, session.id)
    at = keeper.store.now()
    if not keeper.store.refresh_session(session.id, expected=digest, refresh_digest=secret.digest, at=at):
        # Somebody else has used it at the same moment.
        _refuse_reused(keeper, session, ends=keeper.limits.grace_seconds == 0)
    return Refreshed(replace(session, scopes=held), password, secret.text, wanted)


def _refuse_former(keeper: SessionKeeper, session: Session, digest: bytes) -> NoReturn:
    """Raise, for the refresh token is not the one that is good now.

    It was used before, by whom it was stolen from, or by the thief: it cannot be told which. The session ends,
    unless that was a moment ago: a client that refreshes twice at the same moment is no thief.

    :raises BadCredentialsError: in any case
    """
    former, at = session.former_refresh_digest, session.refreshed_at
    is_recent = False
    if former is not None and at is not None and hmac.compare_digest(former, digest):
        # By the store's clock, which is the same for all workers.
        passed = (keeper.store.now() - at).total_seconds()
        is_recent = -_MOST_SECONDS_AHEAD <= passed < keeper.limits.grace_seconds
    _refuse_reused(keeper, session, ends=not is_recent)


def _refuse_reused(keeper: SessionKeeper, session: Session, *, ends: bool) -> NoReturn:
    if ends:
        keeper.end(session, "refresh token reused")
    send(refresh_token_reused, keeper.sender, session=session, ended=ends)
    what = "its session has been ended" if ends else "a moment ago, so that its session goes on"
    raise BadCredentialsError(f"a refresh token that was used before: {what}")
