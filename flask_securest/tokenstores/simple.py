"""Sessions in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from ..identity import UNKNOWN_ORIGIN, Origin
from .abstract import AbstractTokenstore
from .models import Session

#: After how many new sessions those that have expired are thrown away.
_BETWEEN_CLEANINGS = 1000


class SimpleTokenstore(AbstractTokenstore):
    """Keep sessions in memory, in one process: with several workers each would know other ones."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._writing = threading.Lock()
        self._added = 0

    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended."""
        session = self._sessions.get(session_id)
        return None if session is None or session.expires_at <= datetime.now(timezone.utc) else session

    def add_session(self, session: Session) -> None:
        """Add a session."""
        with self._writing:
            self._added += 1
            if self._added % _BETWEEN_CLEANINGS == 0:
                now = datetime.now(timezone.utc)
                self._sessions = {each: kept for each, kept in self._sessions.items() if kept.expires_at > now}
            self._sessions[session.id] = session

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
            return self._sessions.pop(session_id, None) is not None

    def end_sessions(self, username: str, origin: Origin = None) -> int:
        """End all sessions of an account."""
        with self._writing:
            ended = [session.id for session in self._sessions.values() if _is_of(session, username, origin)]
            for session_id in ended:
                del self._sessions[session_id]
        return len(ended)

    def list_sessions(self, username: str, origin: Origin = None) -> Iterator[Session]:
        """Yield the sessions of an account, the oldest first."""
        now = datetime.now(timezone.utc)
        with self._writing:
            own = [kept for kept in self._sessions.values() if _is_of(kept, username, origin) and kept.expires_at > now]
        yield from sorted(own, key=lambda session: (session.created_at, session.id))

    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used."""
        with self._writing:
            for session_id, used_at in uses.items():
                session = self._sessions.get(session_id)
                if session is not None:
                    self._sessions[session_id] = replace(session, last_used_at=used_at)


def _is_of(session: Session, username: str, origin: Origin) -> bool:
    is_of = session.origin in (None, UNKNOWN_ORIGIN) if origin is None else session.origin == origin
    return is_of and session.username == username
