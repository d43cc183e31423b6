"""Sessions in memory."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from ..errors import BackendError
from ..identity import UNKNOWN_ORIGIN, Origin
from ..support.checks import require_whole
from .abstract import AbstractTokenstore
from .models import Session

#: An account: its origin, and its name.
_Account = tuple[Origin, str]


class SimpleTokenstore(AbstractTokenstore):
    """Keep sessions in memory, in one process: with several workers each would know other ones.

    No call takes longer because there are more sessions of others: none walks over all of them.

    :param most_sessions: how many are kept, and how many revoked tokens of others. With one more, that session ends
        which would be the next to expire: memory must have a bound, whoever logs in how often (CWE-770).
    :raises ConfigurationError: it is no whole number from 1 on
    """

    def __init__(self, *, most_sessions: int = 100_000) -> None:
        self._most = require_whole(most_sessions, "most_sessions", 1, 100_000_000)
        self._sessions: dict[str, Session] = {}
        self._of_accounts: dict[_Account, dict[str, None]] = {}
        #: When each expires, the next one first; of some, that have ended since.
        self._expiring: list[tuple[datetime, str]] = []
        self._revoked: dict[str, datetime] = {}
        self._writing = threading.Lock()

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""
        session = self._sessions.get(session_id)
        return None if session is None or session.expires_at <= datetime.now(timezone.utc) else session

    def add_session(self, session: Session) -> None:
        """Add a session."""
        with self._writing:
            self._drop_expired(datetime.now(timezone.utc))
            self._drop(session.id)
            self._sessions[session.id] = session
            self._of_accounts.setdefault(_account_of(session), {})[session.id] = None
            heapq.heappush(self._expiring, (session.expires_at, session.id))
            if len(self._expiring) > 2 * len(self._sessions) + 1000:
                # Most of them have ended before their time.
                self._expiring = [(each.expires_at, each.id) for each in self._sessions.values()]
                heapq.heapify(self._expiring)

    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected."""
        with self._writing:
            session = self._sessions.get(session_id)
            if session is None or session.refresh_digest != expected:
                return False
            self._sessions[session_id] = replace(
                session, refresh_digest=refresh_digest, former_refresh_digest=expected, refreshed_at=at
            )
        return True

    def end_session(self, session_id: str) -> bool:
        """End a session."""
        with self._writing:
            return self._drop(session_id)

    def end_sessions(self, username: str, origin: Origin = None) -> int:
        """End all sessions of an account."""
        with self._writing:
            return sum(self._drop(session_id) for session_id in list(self._of_accounts.get((origin, username), ())))

    def list_sessions(self, username: str, origin: Origin = None) -> Iterator[Session]:
        """Yield the sessions of an account, the oldest first."""
        now = datetime.now(timezone.utc)
        with self._writing:
            own = [self._sessions[session_id] for session_id in self._of_accounts.get((origin, username), ())]
        alive = (session for session in own if session.expires_at > now)
        yield from sorted(alive, key=lambda session: (session.created_at, session.id))

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of whose accounts there are sessions."""
        with self._writing:
            origins = {origin for origin, _ in self._of_accounts if origin is not None}
        return iter(sorted(origins))

    def end_origin(self, origin: str) -> int:
        """End all sessions of accounts of an origin."""
        with self._writing:
            names = [username for known, username in self._of_accounts if known == origin]
        return sum(self.end_sessions(username, origin) for username in names)

    def revoke(self, token_id: str, until: datetime) -> None:
        """Put a token of somebody else on the list of revoked ones."""
        with self._writing:
            if len(self._revoked) >= self._most:
                now = datetime.now(timezone.utc)
                self._revoked = {known: end for known, end in self._revoked.items() if end > now}
            if len(self._revoked) >= self._most and token_id not in self._revoked:
                # Nothing may make room: what dropped off would be good again.
                raise BackendError(f"there are {self._most} revoked tokens already, which is most_sessions")
            self._revoked[token_id] = until

    def is_revoked(self, token_id: str) -> bool:
        """Return whether a token is on the list of revoked ones."""
        return token_id in self._revoked

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""
        with self._writing:
            for session_id, used_at in uses.items():
                session = self._sessions.get(session_id)
                if session is not None:
                    self._sessions[session_id] = replace(session, last_used_at=used_at)

    def _drop_expired(self, now: datetime) -> None:
        """Drop what has expired, and one more if there would be too many."""
        while self._expiring and (self._expiring[0][0] <= now or len(self._sessions) >= self._most):
            expires_at, session_id = heapq.heappop(self._expiring)
            session = self._sessions.get(session_id)
            if session is not None and session.expires_at == expires_at:
                self._drop(session_id)

    def _drop(self, session_id: str) -> bool:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        account = _account_of(session)
        own = self._of_accounts[account]
        del own[session_id]
        if not own:
            del self._of_accounts[account]
        return True


def _account_of(session: Session) -> _Account:
    return None if session.origin == UNKNOWN_ORIGIN else session.origin, session.username
