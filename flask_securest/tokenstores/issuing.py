"""Issue tokens: who gets them, with which limits, and until when."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from ..accounts.known import KnownAccounts
from ..current import get_caller
from ..errors import BadCredentialsError, ConfigurationError
from ..identity import UNKNOWN_ORIGIN, Identity, Origin, Unset
from ..models import UserModel, scopes_of
from ..protocols.http.headers import MAX_CREDENTIALS_BYTES
from ..protocols.signed_tokens import Signers
from ..signals import send, tokens_issued, tokens_refreshed
from ..userstores.abstract import AbstractUserstore
from ..userstores.marks import mark_of
from .keeping import SessionKeeper
from .limits import Tokens, limit_to_caller, require_claims, require_held
from .models import Session
from .owners import Owner, find_owner
from .refreshing import Signed, refresh_session
from .sessions import make_session


class Issuer:
    """Issue the tokens of one authenticator.

    :param signers: sign access tokens
    :param refresh_signers: sign refresh tokens; ``None`` where there are none
    :param keeper: keeps sessions; ``None`` where there are none
    :param known: where accounts live
    :param sender: the authenticator, which signals are sent by
    :param expires_in_seconds: how long an access token is good for
    :param session_seconds: how long a session may be refreshed
    """

    def __init__(
        self,
        signers: Signers,
        refresh_signers: Signers | None,
        keeper: SessionKeeper | None,
        known: KnownAccounts,
        *,
        sender: object,
        expires_in_seconds: int,
        session_seconds: int,
    ) -> None:
        self._sender = sender
        self._signers = signers
        self._refresh_signers = refresh_signers
        self._keeper = keeper
        self._known = known
        self._expires_in_seconds = expires_in_seconds
        self._session_seconds = session_seconds

    def issue(
        self,
        user: UserModel | str,
        scopes: Collection[str] | None,
        origin: Origin | Literal[Unset.UNSET],
        claims: Mapping[str, Any] | None,
        *,
        client: str,
        refreshable: bool,
    ) -> Tokens:
        """Return new tokens.

        :param user: whose they are
        :param scopes: what they are limited to; ``None`` for no limit
        :param origin: where the account lives, if that is not what :func:`find_owner` finds
        :param claims: what else they say
        :param client: what the client calls itself
        :param refreshable: whether there is to be a refresh token, if the caller's credentials allow it
        :raises ValueError: it cannot be issued; the message says why
        :raises BackendError: the store cannot be written now
        """
        owner = find_owner(user, origin, self._known)
        more = require_claims(claims)
        limited = None if owner.user is None else scopes_of(owner.user)
        if scopes is not None:
            limited = require_held(scopes, limited, "the user")
        caller = get_caller().identity
        if caller is not None:
            limited = limit_to_caller(limited, caller)
            # Credentials that can be revoked for themselves, such as an API key, can be traded again at any time. A
            # session of their own would outlive their revocation.
            refreshable = refreshable and caller.credential_id is None and not owner.is_app
        expires_at = self._find_end(caller, self._session_seconds if refreshable else self._expires_in_seconds)
        session, secret = None, None
        mark = None if owner.user is None or owner.is_app else mark_of(owner.user)
        if self._keeper is not None:
            session, secret = make_session(
                owner.username,
                owner.origin,
                password_mark=mark,
                scopes=limited,
                client=client,
                expires_at=expires_at,
                refreshable=refreshable,
            )
        auth = self._sign(owner, limited, session, expires_at, mark, more)
        if session is not None and self._keeper is not None:
            self._keeper.begin(session)
        told = {"username": owner.username, "origin": owner.origin, "scopes": limited, "session": session}
        send(tokens_issued, self._sender, **told)
        return Tokens(*auth, secret and self._sign_refresh_token(secret, owner.origin), limited)

    def _find_end(self, caller: Identity | None, seconds: int) -> datetime:
        """Return when tokens end that are good for some seconds, and no longer than the caller's own credentials."""
        end = datetime.fromtimestamp(self._signers.now(), timezone.utc) + timedelta(seconds=seconds)
        if caller is None or caller.expires_at is None:
            return end
        return min(end, caller.expires_at).replace(microsecond=0)

    def refresh(self, token: str, userstore: AbstractUserstore | None, scopes: Collection[str] | None) -> Tokens:
        """Return new tokens for a refresh token, which is good no more.

        :param token: the refresh token, as it was sent
        :param userstore: the users of the API
        :param scopes: what the access token is to be limited to; ``None`` for all that the session has
        :raises BadCredentialsError: it is not good, or not any more
        :raises ValueError: the session has not these scopes; the refresh token is still good
        :raises ConfigurationError: there is no store; or no userstore, which knows whether the user is still there
        :raises BackendError: a store cannot tell now
        """
        if self._keeper is None or self._refresh_signers is None:
            raise ConfigurationError("TokenAuthenticator has no store: there are no sessions to refresh")
        credentials = token.encode("utf-8", "surrogatepass")
        if len(credentials) > MAX_CREDENTIALS_BYTES:
            raise BadCredentialsError("a refresh token that is too long")
        api_key, _, secret = credentials.rpartition(b".")  # it is written as API keys are, and signed
        # Signed, so that whoever knows the id of a session cannot end it with a token that he has made up.
        is_own = self._refresh_signers.verify(api_key, secret)

        def find(session: Session) -> UserModel | None:
            if is_own is not (session.origin in (None, UNKNOWN_ORIGIN)):
                return None
            if is_own and userstore is None:
                raise ConfigurationError(
                    "refreshing a token needs a userstore, which knows whether its user is still there"
                )
            return self._known.look_up(session.origin, session.username, userstore)

        def sign(session: Session, user: UserModel, scopes: Collection[str] | None) -> Signed:
            owner = Owner(session.username, session.origin, user, is_app=False, key=None)
            return self._sign(owner, scopes, session, session.expires_at, mark_of(user), {})

        session, auth, token, wanted = refresh_session(self._keeper, api_key, find, sign, scopes)
        limited = None if wanted is None else frozenset(wanted)
        send(tokens_refreshed, self._sender, session=session, scopes=limited)
        return Tokens(*auth, self._sign_refresh_token(token, session.origin), limited)

    def _sign(
        self,
        owner: Owner,
        scopes: Collection[str] | None,
        session: Session | None,
        most: datetime,
        mark: str | None,
        more: Mapping[str, Any],
    ) -> Signed:
        """Return an access token, and for how many seconds it is good."""
        now = self._signers.now()
        expires_at = min(now + self._expires_in_seconds, int(most.timestamp()))
        claims: dict[str, Any] = {"sub": owner.username, "exp": expires_at}
        if owner.origin != UNKNOWN_ORIGIN:
            claims["org"] = owner.origin or ""
        said = {
            "scope": None if scopes is None else sorted(scopes),
            "sid": None if session is None else session.id,
            "app": owner.is_app or None,
            "key": owner.key,
            "pwd": mark,
            "claims": dict(more) or None,
        }
        token = self._signers.write(claims | {name: value for name, value in said.items() if value is not None})
        if len(token) > MAX_CREDENTIALS_BYTES:
            raise ValueError(
                f"a token of {len(token)} bytes is longer than any header: give it fewer scopes and claims"
            )
        return token.decode("ascii"), max(0, expires_at - now)

    def _sign_refresh_token(self, token: str, origin: Origin) -> str:
        signers = self._refresh_signers
        assert signers is not None  # noqa: S101  # there is a store
        secret = signers.sign(token.encode(), is_own=origin in (None, UNKNOWN_ORIGIN))
        return f"{token}.{secret.decode('ascii')}"
