"""Signed tokens of our own, as bearer tokens (RFC 6750): ``Authorization: Bearer eyJzdWIi...Zw.aR8x0Q.pV2...``.

How they are written stands in :mod:`flask_securest.protocols.signed_tokens`; with a store, each belongs to a session
(:mod:`flask_securest.tokenstores.sessions`), and ends with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any, Literal

from werkzeug.wrappers import Request

from ..accounts.known import KnownAccounts, known_accounts_of
from ..accounts.sources import Accounts
from ..errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ..identity import NO_CLAIMS, UNSET, Identity, Origin, Unset
from ..models import UserModel, limit_scopes
from ..protocols.http.bearer import make_token_header
from ..protocols.jwt.format import is_jwt
from ..protocols.signed_tokens import Claims, Signers
from ..support.checks import require_list, require_name, require_seconds, require_type
from ..support.uses import UseRecorder
from ..tokenstores.abstract import AbstractTokenstore
from ..tokenstores.issuing import Issuer
from ..tokenstores.keeping import SessionKeeper, read_limits
from ..tokenstores.limits import Tokens
from ..tokenstores.owners import find_account
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

#: How far the clock of the process that signed may be ahead of ours.
_MOST_SECONDS_AHEAD = 60

# These keep tokens of ours apart from whatever else is signed with the same secret key, and from each other.
_SALT = b"flask_securest.authentication_providers.token"
_REFRESH_SALT = b"flask_securest.authentication_providers.token.refresh"


class TokenAuthenticator(AbstractAuthenticationProvider):
    """Issue signed tokens, and know users by them.

    The user is looked up in the userstore on every use, so that a token ends with its user, and with its user's
    password. An API without a userstore takes the name from the token.

    Without a store, a token is good until it expires. With one it belongs to a session, which can be refreshed, listed,
    and ended at any time; tokens that were made without one are refused then.

    A token is good wherever its secret key is: give each kind of token (and each userstore) a key of its own.

    :param secret_key: what new tokens are signed with; long and random, the same in every process
    :param fallback_secret_keys: former keys, which only verify: tokens signed with them are good until they expire
    :param expires_in_seconds: how long a token is good for, in whole seconds
    :param header: a header that carries the bare token, instead of ``Authorization: Bearer``
    :param scheme: the scheme of ``Authorization``, for clients that send ``Token ...`` or ``JWT ...``
    :param store: where sessions are kept
    :param session_seconds: how long a session may be refreshed, in whole seconds
    :param max_sessions: how many sessions that can be refreshed an account may have: with one more, the oldest ends.
        ``None`` for no limit
    :param idle_seconds: after how many seconds a session ends that nobody uses, from 120 on, for uses are written down
        once a minute; ``None`` for never
    :param refresh_grace_seconds: for how long a refresh token that has just been used is refused without ending the
        session, from 0 to 300: a client that refreshes twice at the same moment is no thief. So long a thief's use goes
        on, too; :data:`~flask_securest.signals.refresh_token_reused` is sent in any case.
    :param audience: where the tokens are good, for example ``"https://api.example.com"``: what was made for another
        audience, or for none, is refused, although the secret key is the same
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an empty key, or an argument of the wrong type
    """

    credentials_are_tokens = True
    looks_up_accounts = True

    def __init__(
        self,
        secret_key: str | bytes,
        *,
        fallback_secret_keys: Iterable[str | bytes] = (),
        expires_in_seconds: int = 600,
        header: str | None = None,
        scheme: str = "Bearer",
        store: AbstractTokenstore | None = None,
        session_seconds: int = 30 * 24 * 3600,
        max_sessions: int | None = None,
        idle_seconds: int | None = None,
        refresh_grace_seconds: int = 5,
        audience: str | None = None,
        name: str = "token",
    ) -> None:
        self.expires_in_seconds = require_seconds(expires_in_seconds, "expires_in_seconds")
        self.session_seconds = require_seconds(session_seconds, "session_seconds")
        self.name = require_name(name, "name of TokenAuthenticator")
        self._token_header = make_token_header(scheme, header)
        self.header = header
        self.credential_headers = self._token_header.names
        if store is not None:
            require_type(store, AbstractTokenstore, "store")
        self.store = store
        if store is None and (max_sessions is not None or idle_seconds is not None):
            raise ConfigurationError("max_sessions and idle_seconds need sessions: give TokenAuthenticator(store=...)")
        self._known = KnownAccounts()
        limits = read_limits(max_sessions, idle_seconds, refresh_grace_seconds)
        #: What lists and ends sessions; ``None`` without a store.
        self.sessions = None if store is None else SessionKeeper(store, self, self._known, limits)
        self._uses = None if store is None else UseRecorder(store)
        # itsdangerous wants its keys oldest first, and signs with the last one. The other way round new tokens would
        # be signed with the very key that is being retired.
        keys = [*reversed(require_list(fallback_secret_keys, "fallback_secret_keys")), secret_key]
        # In the salt, and not in the payload: what was made for another audience was not even signed with our keys.
        # Staging's tokens must not be good in production where both have the same secret key (RFC 8725, section 3.9).
        # By its digest, for no audience may end as the salts of another one do.
        suffix = b"" if audience is None else b".for." + sha256(require_name(audience, "audience").encode()).digest()
        self._signers = Signers(keys, _SALT + suffix)
        self._issuer = Issuer(
            self._signers,
            None if store is None else Signers(keys, _REFRESH_SALT + suffix),
            self.sessions,
            self._known,
            sender=self,
            expires_in_seconds=self.expires_in_seconds,
            session_seconds=self.session_seconds,
        )

    def connect(self, accounts: Accounts[Any]) -> None:
        """Take note of where accounts live, so that a token can be looked up there."""
        self._known.connect(accounts, f"the TokenAuthenticator {self.name!r}")
        if self.store is not None:
            known_accounts_of(self.store).connect(accounts, f"the {type(self.store).__name__} of {self.name!r}")

    def generate_auth_token(
        self,
        user: UserModel | str,
        *,
        scopes: Collection[str] | None = None,
        claims: Mapping[str, Any] | None = None,
        origin: Origin | Literal[Unset.UNSET] = UNSET,
    ) -> str:
        """Return a new token.

        While a request is answered, the token has no more scopes than the credentials of its caller, and no longer a
        life (as far as ``current_identity`` tells who that is: not in a thread of your own). If the caller is an
        application, known by an API key, and the token is for itself, it is one of an application, too. A token for
        which an API key was traded ends with the key.

        :param user: whose token it is; a user or a user name. The account is looked up if the user does not tell with
            what its token ends; as long as no ``SecuREST`` has this provider that cannot be, and then a token goes on
            when the password is changed.
        :param scopes: what the token is limited to; ``None`` for no limit
        :param claims: what else the token is to say, as JSON can say it: ``current_identity.claims``. Whoever has the
            token can read it.
        :param origin: where the account lives: the name of the provider that knows it, ``None`` for the API's
            userstore. Unset, it is that of ``current_identity``, if ``user`` is the caller; else the API's userstore.
        :raises ValueError: nobody: an empty name, or an anonymous ``current_user``; a user that may not be the one of
            the API's userstore, or cannot be looked up again; scopes that the user or the caller has not; claims that
            are no JSON; or more of both than a header holds
        :raises TypeError: ``scopes="read"``, ``claims=[]``
        :raises BackendError: a store cannot be asked or written now
        """
        return self._issuer.issue(user, scopes, origin, claims, client="", refreshable=False).access_token

    def issue_tokens(
        self,
        user: UserModel | str,
        *,
        scopes: Collection[str] | None = None,
        client: str = "",
        origin: Origin | Literal[Unset.UNSET] = UNSET,
    ) -> Tokens:
        """Return a new token; with a store, it begins a session, and there is a refresh token, too.

        :param user: whose tokens they are
        :param scopes: what they are limited to; ``None`` for no limit
        :param client: what the client calls itself, for the user to recognise among its sessions
        :param origin: where the account lives, as for :meth:`generate_auth_token`
        :raises ValueError: as for :meth:`generate_auth_token`
        :raises BackendError: the store cannot be written now
        """
        return self._issuer.issue(user, scopes, origin, None, client=client, refreshable=self.store is not None)

    def refresh_tokens(
        self, token: str, userstore: AbstractUserstore | None, *, scopes: Collection[str] | None = None
    ) -> Tokens:
        """Return new tokens for a refresh token, which is good no more.

        :param token: the refresh token, as it was sent
        :param userstore: the users of the API
        :param scopes: what the new access token is to be limited to; ``None`` for all that the session has
        :raises BadCredentialsError: it is not good, or not any more
        :raises ValueError: the session has not these scopes; the refresh token is still good
        :raises ConfigurationError: there is no store; or no userstore, which knows whether the user is still there
        :raises BackendError: a store cannot tell now
        """
        return self._issuer.refresh(token, userstore, scopes)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        token = self._token_header.read(request)
        if token is None:
            return None
        claims = self._signers.read(token)
        expires_at = self._end_of(claims)
        session_id = claims.session_id
        session = None if self.sessions is None else self.sessions.find(session_id)
        user, origin = find_account(claims, session, userstore, self._known)
        if session is not None and self.sessions is not None and self._uses is not None:
            if not user.active:
                self.sessions.end_disabled(session)
            self._uses.record(session.id)
        return Identity(
            user,
            self.name,
            scopes=limit_scopes(claims.scopes, user),
            credential_id=session_id,
            app_name=claims.username if claims.is_app else claims.key and claims.key.app_name,
            expires_at=expires_at,
            origin=origin,
            claims=claims.more or NO_CLAIMS,
        )

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        return self._token_header.challenge(realm, error)

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether a token may be meant to be one of ours: a JWT, such as the application's own, is not."""
        return self._token_header.is_bearer and not is_jwt(token)

    def _end_of(self, claims: Claims) -> datetime:
        """Return when a token ends.

        :raises ExpiredCredentialsError: that was some time ago
        :raises BadCredentialsError: it was signed in the future
        """
        now = self._signers.now()
        if claims.signed_at > now + _MOST_SECONDS_AHEAD:
            raise BadCredentialsError("a token from the future")
        # A shorter lifetime that is configured since holds for former tokens too; a longer one revives none.
        expires_at = min(claims.expires_at, claims.signed_at + self.expires_in_seconds)
        if expires_at <= now:
            raise ExpiredCredentialsError("a token that has expired")
        return datetime.fromtimestamp(expires_at, timezone.utc)
