"""The life of sessions: they begin with a log-in, are found and listed, and end."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from ..accounts.known import KnownAccounts
from ..errors import BadCredentialsError
from ..identity import UNKNOWN_ORIGIN, UNSET, Identity, Origin
from ..models import UserModel
from ..signals import send, sessions_ended
from ..support.checks import MOST_SECONDS, require_whole
from .abstract import AbstractTokenstore
from .models import Session
from .sessions import is_same_account, now


class SessionLimits(NamedTuple):
    """Hold how many sessions an account may have, and for how long.

    :param most: how many that can be refreshed; the oldest ends then. ``None`` for no limit.
    :param idle_seconds: after how long one ends that nobody uses; ``None`` for never
    :param grace_seconds: for how long a refresh token that was used is refused without ending the session
    """

    most: int | None
    idle_seconds: int | None
    grace_seconds: int


def read_limits(most: int | None, idle_seconds: int | None, grace_seconds: int) -> SessionLimits:
    """Return the limits of a ``TokenAuthenticator``'s sessions.

    :param most: its ``max_sessions``
    :param idle_seconds: its ``idle_seconds``
    :param grace_seconds: its ``refresh_grace_seconds``
    :raises ConfigurationError: one of them is wrong
    """
    return SessionLimits(
        None if most is None else require_whole(most, "max_sessions", 1, 10_000),
        # Uses are written down once a minute: what is used all the time must not look idle.
        None if idle_seconds is None else require_whole(idle_seconds, "idle_seconds", 120, MOST_SECONDS),
        require_whole(grace_seconds, "refresh_grace_seconds", 0, 300),
    )


class SessionKeeper:
    """Keep the sessions of one authenticator.

    :param store: where they are kept
    :param sender: the authenticator, which signals are sent by
    :param known: where accounts live
    :param limits: how many there may be, and for how long
    """

    def __init__(self, store: AbstractTokenstore, sender: object, known: KnownAccounts, limits: SessionLimits) -> None:
        self.store = store
        self._known = known
        self.sender = sender
        self.limits = limits

    def begin(self, session: Session) -> None:
        """Add a session, and end the oldest ones of its account if it has too many.

        :param session: the session
        :raises BackendError: the store cannot be written now
        """
        self.store.add_session(session)
        if self.limits.most is None or session.refresh_digest is None:
            return
        # Not before it is added: of two at the same moment each would leave the other one out of account. What cannot
        # be refreshed is soon over: a job that trades its owner's key every minute must not log the owner out.
        alive = self.list_alive(session.username, session.origin)
        others = [each for each in alive if each.id != session.id and each.refresh_digest is not None]
        for oldest in others[: max(0, len(others) - self.limits.most + 1)]:
            self.end(oldest, "too many")

    def find(self, session_id: str | None) -> Session:
        """Return the session of a token.

        :param session_id: its id
        :raises BadCredentialsError: it has ended, or there is none
        :raises BackendError: the store cannot tell now
        """
        session = None if session_id is None else self._look_up(session_id)
        if session is None:
            raise BadCredentialsError("a token whose session has ended, or that has none")
        if self._is_idle(session):
            self.end(session, "idle")
            raise BadCredentialsError("a token whose session has not been used for long")
        return session

    def list_alive(self, username: str, origin: Origin, user: UserModel | None = None) -> list[Session]:
        """Return the sessions of an account, the oldest first; those that are over without having been ended, end.

        :param username: its name
        :param origin: where it lives
        :param user: the account as it is now, to tell which sessions have ended with a former password; ``None`` if it
            is not known
        :raises BackendError: the store cannot tell now
        """
        alive = []
        # All of them first: a store may be walking over what would change under it.
        for session in list(self.store.list_sessions(username, origin)):
            if self._is_idle(session):
                self.end(session, "idle")
            elif user is not None and not is_same_account(session.password_mark, session.origin, user):
                self.end(session, "account changed")
            else:
                alive.append(session)
        return alive

    def end(self, session: Session, reason: str) -> bool:
        """End a session.

        :param session: the session
        :param reason: why, for the receivers of :data:`~flask_securest.signals.sessions_ended`
        :returns: whether it was there
        :raises BackendError: the store cannot be written now
        """
        ended = self.store.end_session(session.id)
        if ended:
            self._tell(session.username, session.origin, session.id, 1, reason)
        return ended

    def list_of(self, identity: Identity) -> list[Session]:
        """Return the sessions of a caller that are good now, the oldest first.

        :param identity: the caller
        :raises BackendError: the store cannot tell now
        """
        account = self._find_account(identity)
        alive = self.list_alive(identity.user.username, _origin_of(identity), account)
        # Whose one of an unknown origin is, cannot be told without the account.
        return [session for session in alive if account is not None or session.origin != UNKNOWN_ORIGIN]

    def log_out(self, identity: Identity) -> bool:
        """End the session of the token by which a caller is known.

        :param identity: the caller, whom the authenticator has vouched for
        :returns: whether it was there
        :raises BackendError: the store cannot be written now
        """
        session = None if identity.credential_id is None else self._look_up(identity.credential_id)
        return session is not None and self.end(session, "log-out")

    def end_own(self, identity: Identity, session_id: str) -> bool:
        """End a session of a caller by its id, and none of another account.

        :param identity: the caller
        :param session_id: the id
        :returns: whether it has such a one
        :raises BackendError: the store cannot be written now
        """
        session, origin = self._look_up(session_id), _origin_of(identity)
        if session is None or session.username != identity.user.username:
            return False
        is_own = session.origin == origin
        if origin is None and session.origin == UNKNOWN_ORIGIN:
            account = self._find_account(identity)
            is_own = account is not None and is_same_account(session.password_mark, session.origin, account)
        return is_own and self.end(session, "ended by its user")

    def end_all_of(self, identity: Identity) -> int:
        """End all sessions of a caller.

        :param identity: the caller
        :returns: how many
        :raises BackendError: the store cannot be written now
        """
        return self.end_all(identity.user.username, _origin_of(identity), "log-out everywhere")

    def end_all(self, username: str, origin: Origin = None, reason: str = "ended by an operator") -> int:
        """End all sessions of an account.

        :param username: its name
        :param origin: where it lives
        :param reason: why
        :returns: how many
        :raises BackendError: the store cannot be written now
        """
        count = self.store.end_sessions(username, origin)
        if count:
            self._tell(username, origin, None, count, reason)
        return count

    def _find_account(self, identity: Identity) -> UserModel | None:
        return self._known.find_marked(identity.user, _origin_of(identity), identity.user.username)

    def _look_up(self, session_id: str) -> Session | None:
        # Some databases raise for NUL or half a surrogate pair: a path that anybody may send would be a 503.
        return self.store.get_session(session_id) if session_id.isascii() and session_id.isalnum() else None

    def end_disabled(self, session: Session) -> None:
        """End all sessions of an account that is disabled: they do not begin again when it is enabled.

        :param session: one of them
        :raises BackendError: the store cannot be written now
        """
        origin = None if session.origin == UNKNOWN_ORIGIN else session.origin
        self.end_all(session.username, origin, "account disabled")

    def _tell(self, username: str, origin: Origin, session_id: str | None, count: int, reason: str) -> None:
        send(
            sessions_ended,
            self.sender,
            username=username,
            origin=origin,
            session_id=session_id,
            count=count,
            reason=reason,
        )

    def _is_idle(self, session: Session) -> bool:
        if self.limits.idle_seconds is None:
            return False
        used = max(filter(None, (session.created_at, session.refreshed_at, session.last_used_at)))
        return now() - used >= timedelta(seconds=self.limits.idle_seconds)


def _origin_of(identity: Identity) -> Origin:
    # The name alone would be that of a namesake in another store, too (CWE-863).
    return None if identity.origin is UNSET else identity.origin
