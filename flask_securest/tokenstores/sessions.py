"""What a session is made of, and whether the account that it was made for is still the same."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

from ..identity import UNKNOWN_ORIGIN, Origin
from ..keystores.format import make_key
from ..models import UserModel
from ..userstores.marks import mark_of, refuses_unmarked
from .models import Session

#: What refresh tokens begin with. They are written like API keys: a typo costs no look-up, and a scanner finds them.
REFRESH_PREFIX = "refresh"


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


def is_same_account(mark: str | None, origin: Origin, user: UserModel) -> bool:
    """Return whether an account is the one that a token or a session was made for, and has the same password.

    :param mark: what :func:`~flask_securest.userstores.marks.mark_of` returned then
    :param origin: where the account lives
    :param user: the account as it is now
    """
    if origin == UNKNOWN_ORIGIN:
        # It is from before there were origins. A namesake in another store may have been meant (CWE-287).
        return mark is not None and mark == mark_of(user)
    return not refuses_unmarked(user) if mark is None else mark == mark_of(user)


def now() -> datetime:
    """Return the time in whole seconds, which every back end can keep."""
    return datetime.now(timezone.utc).replace(microsecond=0)
