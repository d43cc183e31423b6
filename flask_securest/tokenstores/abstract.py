"""The contract of a tokenstore."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

from ..errors import ConfigurationError
from ..identity import Origin
from .models import Session


class AbstractTokenstore(ABC):
    """Know the sessions that tokens belong to, so that a token can end before it expires.

    What has ended is not there any more: a token whose session is not found is refused. Each call is in force as a
    whole, or not at all, and at once in every process. One store may be asked by several threads at once.
    """

    @abstractmethod
    def get_session(self, session_id: str) -> Session | None:
        """Return a session, or ``None`` when there is none, or it has ended.

        :param session_id: 16 digits and letters
        :raises BackendError: the store cannot tell now; never ``None``, which ends the session
        """

    @abstractmethod
    def add_session(self, session: Session) -> None:
        """Add a session.

        :param session: the session
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def refresh_session(self, session_id: str, *, expected: bytes, refresh_digest: bytes, at: datetime) -> bool:
        """Replace the refresh token of a session, if it is still the one that is expected.

        Of two at the same moment exactly one replaces it.

        :param session_id: the session
        :param expected: the SHA-256 of the refresh token that is replaced; it is kept as the former one
        :param refresh_digest: the SHA-256 of the new one
        :param at: when that is
        :returns: whether it was replaced
        :raises BackendError: the store cannot be written now
        """

    def now(self) -> datetime:
        """Return the time by the store's own clock, which is the same for all workers; aware, in whole seconds.

        Write it for a store that is shared by several machines: their clocks may be a minute apart. By default it is
        that of this machine.

        :raises BackendError: the store cannot tell now
        """
        return datetime.now(timezone.utc).replace(microsecond=0)

    @abstractmethod
    def end_session(self, session_id: str) -> bool:
        """End a session.

        :param session_id: the session
        :returns: whether there was one
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def end_sessions(self, username: str, origin: Origin = None) -> int:
        """End all sessions of an account.

        :param username: its name
        :param origin: where it lives; of ``None``, the API's own, those of an unknown origin end, too
        :returns: how many
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def list_sessions(self, username: str, origin: Origin = None) -> Iterator[Session]:
        """Yield the sessions of an account, the oldest first.

        :param username: its name
        :param origin: where it lives; of ``None``, the API's own, those of an unknown origin are there, too
        :raises BackendError: the store cannot tell now
        """

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of whose accounts there are sessions, each once.

        Write it for operators: a provider that was renamed leaves sessions behind. By default there are none.

        :raises BackendError: the store cannot tell now
        """
        return iter(())

    def end_origin(self, origin: str) -> int:
        """End all sessions of accounts of an origin.

        :param origin: the origin
        :returns: how many
        :raises ConfigurationError: this store does not know them by their origin
        :raises BackendError: the store cannot be written now
        """
        raise ConfigurationError(f"a {type(self).__name__} cannot end all sessions of an origin: write its end_origin")

    def revoke(self, token_id: str, until: datetime) -> None:
        """Put a token of somebody else on the list of revoked ones. It must not drop off that list before its time.

        Write it, and :meth:`is_revoked`, for :class:`~flask_securest.tokenstores.RevokedTokens`.

        :param token_id: what stands for the token, in 64 digits and letters
        :param until: when the token ends by itself, and may drop off the list; aware
        :raises ConfigurationError: this store keeps no such list
        :raises BackendError: the store cannot be written now
        """
        raise ConfigurationError(f"a {type(self).__name__} keeps no revoked tokens: write its revoke and is_revoked")

    def is_revoked(self, token_id: str) -> bool:
        """Return whether a token is on the list of revoked ones.

        :param token_id: what stands for the token
        :raises ConfigurationError: this store keeps no such list
        :raises BackendError: the store cannot tell now; never ``False``, which lets the token in
        """
        raise ConfigurationError(f"a {type(self).__name__} keeps no revoked tokens: write its revoke and is_revoked")

    @abstractmethod
    def record_uses(self, uses: Mapping[str, datetime]) -> None:
        """Write down when sessions were last used. It is called off the request's path, by another thread.

        :param uses: when each was used, by its id
        :raises BackendError: the store cannot be written now
        """
