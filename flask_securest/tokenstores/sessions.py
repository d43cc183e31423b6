"""The life of a session: it begins with a log-in, is refreshed, and ends."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from ..errors import BadCredentialsError
from ..identity import UNKNOWN_ORIGIN, Origin
from ..keystores.format import digest_of, find_key_id, make_key
from ..models import UserModel, limit_scopes
from .abstract import AbstractTokenstore
from .models import Session

#: What refresh tokens begin with. They are written like API keys: a typo costs no look-up, and a scanner finds them.
REFRESH_PREFIX = "refresh"

#: For how long a refresh token that has just been used is refused without ending the session, in seconds: a client that
#: refreshes twice at the same moment is no thief.
REUSE_GRACE_SECONDS = 5


class Refreshed(NamedTuple):
    """Hold a session that has been refreshed, its user, and the new refresh token, which nobody keeps here."""

    session: Session
    user: UserModel
    refresh_token: str


class ReusedError(BadCredentialsError):
    """Say that a refresh token was used a second time, and that its session has been ended."""

    def __init__(self, session: Session) -> None:
        super().__init__("a refresh token that was used before: its session has been ended")
        self.session = session


def make_session(
    username: str,
    origin: Origin,
    *,
    password_mark: str | None,
    scopes: Collection[str] | None,
    client: str,
    expires_at: datetime,
    refreshable: bool,
) -> tuple[Session, str | None]:
    """Return a new session, which is in no store yet, and its refresh token.

    :param username: whose it is
    :param origin: where that account lives
    :param password_mark: what changes with its password
    :param scopes: what its tokens are limited to; ``None`` for no limit
    :param client: what the client calls itself
    :param expires_at: when it ends, however often it is refreshed
    :param refreshable: whether there is a refresh token
    """
    secret = make_key(REFRESH_PREFIX)
    session = Session(
        id=secret.id,
        username=username,
        origin=origin,
        scopes=scopes,
        client="".join(c for c in client if c.isprintable())[:200],
        created_at=now(),
        expires_at=expires_at,
        password_mark=password_mark,
        refresh_digest=secret.digest if refreshable else None,
    )
    return session, secret.text if refreshable else None


def refresh_session(store: AbstractTokenstore, token: bytes, find: Callable[[Session], UserModel | None]) -> Refreshed:
    """Give a session a new refresh token in place of the one that was sent.

    :param store: where the session is kept
    :param token: the refresh token; it is known to have been made by us
    :param find: returns the account of a session as it is now; ``None`` if it is gone
    :raises ReusedError: the token was used before; the session has been ended (RFC 9700, section 4.14.2)
    :raises BadCredentialsError: it is no refresh token of ours, its session has ended, or its user is gone, disabled,
        or has another password by now
    :raises BackendError: a store cannot tell now
    """
    session_id = find_key_id(token)
    session = None if session_id is None or not token.startswith(b"refresh_") else store.get_session(session_id)
    if session is None or session.refresh_digest is None:
        raise BadCredentialsError("a refresh token of no session")
    digest = digest_of(token)
    if not hmac.compare_digest(session.refresh_digest, digest):
        _refuse_former(store, session, digest)
    user = find(session)
    if user is None or not user.active or not is_same_account(session.password_mark, session.origin, user):
        store.end_session(session.id)
        raise BadCredentialsError("a refresh token of a user that is gone, disabled, or has another password by now")
    secret = make_key(REFRESH_PREFIX, session.id)
    if not store.refresh_session(session.id, expected=digest, refresh_digest=secret.digest, at=now()):
        raise BadCredentialsError("a refresh token that was used a moment ago")
    return Refreshed(replace(session, scopes=limit_scopes(session.scopes, user)), user, secret.text)


def _refuse_former(store: AbstractTokenstore, session: Session, digest: bytes) -> None:
    """Raise, for the refresh token is not the one that is good now.

    :raises ReusedError: it was used before, by whom it was stolen from, or by the thief: it cannot be told which
    :raises BadCredentialsError: it was used a moment ago
    """
    former, at = session.former_refresh_digest, session.refreshed_at
    # Other processes' clocks may be a little ahead of this one's.
    recently = at is not None and abs(now() - at) <= timedelta(seconds=REUSE_GRACE_SECONDS)
    if recently and former is not None and hmac.compare_digest(former, digest):
        raise BadCredentialsError("a refresh token that was used a moment ago")
    store.end_session(session.id)
    raise ReusedError(session)


def is_same_account(mark: str | None, origin: Origin, user: UserModel) -> bool:
    """Return whether an account is the one that a token or a session was made for, and has the same password.

    :param mark: what :func:`mark_of` returned then
    :param origin: where the account lives
    :param user: the account as it is now
    """
    if origin == UNKNOWN_ORIGIN:
        # It is from before there were origins. A namesake in another store may have been meant (CWE-287).
        return mark is not None and mark == mark_of(user)
    return mark is None or mark == mark_of(user)


def mark_of(user: UserModel | str) -> str | None:
    """Return what changes with the user's password, and tells nothing of it.

    It is ``None`` where no password is known: of a mere name, or of a user whose password a directory has.

    The stored hash has a salt of its own, of 128 bits with argon2: nobody can try passwords on 72 bits of its digest.

    :param user: the user, or the name of one
    """
    stored = None if isinstance(user, str) else getattr(user, "password", None)
    if not stored:
        return None
    return hashlib.sha256(b"flask_securest.password_mark\0" + stored.encode("utf-8", "surrogatepass")).hexdigest()[:18]


def now() -> datetime:
    """Return the time in whole seconds, which every back end can keep."""
    return datetime.now(timezone.utc).replace(microsecond=0)
