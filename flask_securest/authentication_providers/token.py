"""Signed tokens of our own, as bearer tokens (RFC 6750): ``Authorization: Bearer eyJzdWIi...Zw.aR8x0Q.pV2...``.

How they are written stands in :mod:`flask_securest.signed_tokens`; with a store, each belongs to a session
(:mod:`flask_securest.tokenstores.sessions`), and ends with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from werkzeug.wrappers import Request

from ..checks import require_list, require_name, require_seconds, require_type
from ..current import get_caller
from ..errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ..identity import Identity
from ..jwts.format import is_jwt
from ..models import User, UserModel, limit_scopes, require_user, scopes_of
from ..signals import refresh_token_reused
from ..signed_tokens import Claims, make_signer, read_token, write_token
from ..tokenstores.abstract import AbstractTokenstore
from ..tokenstores.limits import Tokens, limit_to_caller, require_held
from ..tokenstores.models import Session
from ..tokenstores.sessions import ReusedError, make_session, mark_of, refresh_session
from ..userstores.abstract import AbstractUserstore
from ..uses import UseRecorder
from .abstract import AbstractAuthenticationProvider
from .headers import MAX_CREDENTIALS_BYTES, environ_key, format_challenge, read_authorization, read_header

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
    :param store: where sessions are kept
    :param session_seconds: how long a session may be refreshed, in whole seconds
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
        store: AbstractTokenstore | None = None,
        session_seconds: int = 30 * 24 * 3600,
        name: str = "token",
    ) -> None:
        self.expires_in_seconds = require_seconds(expires_in_seconds, "expires_in_seconds")
        self.session_seconds = require_seconds(session_seconds, "session_seconds")
        self.name = require_name(name, "name of TokenAuthenticator")
        self.header = header
        if header is not None:
            environ_key(header)
            self.credential_headers = (header,)
        if store is not None:
            require_type(store, AbstractTokenstore, "store")
        self.store = store
        self._uses = None if store is None else UseRecorder(store)
        # itsdangerous wants its keys oldest first, and signs with the last one. The other way round new tokens would
        # be signed with the very key that is being retired.
        keys = [*reversed(require_list(fallback_secret_keys, "fallback_secret_keys")), secret_key]
        self._signer = make_signer(keys, _SALT)
        self._refresh_signer = None if store is None else make_signer(keys, _REFRESH_SALT)

    def generate_auth_token(self, user: UserModel | str, *, scopes: Collection[str] | None = None) -> str:
        """Return a new token.

        While a request is answered, the token has no more scopes than the credentials of its caller, and no longer a
        life (as far as ``current_identity`` tells who that is: not in a thread of your own). If the caller is an
        application, known by an API key, and the token is for itself, it is one of an application, too: it belongs to
        no user, to no session, and is good until it expires.

        :param user: whose token it is; a user or a user name. Of a name alone the password is not known: a token of it
            goes on when the password is changed.
        :param scopes: what the token is limited to; ``None`` for no limit
        :raises ValueError: nobody: an empty name, or an anonymous ``current_user``; scopes that the user or the caller
            has not; or more scopes than a header holds
        :raises TypeError: ``scopes="read"``
        :raises BackendError: the store cannot be written now
        """
        return self._issue(user, scopes, client="", refreshable=False).access_token

    def issue_tokens(self, user: UserModel | str, *, scopes: Collection[str] | None = None, client: str = "") -> Tokens:
        """Return a new token; with a store, it begins a session, and there is a refresh token, too.

        :param user: whose tokens they are
        :param scopes: what they are limited to; ``None`` for no limit
        :param client: what the client calls itself, for the user to recognise among its sessions
        :raises ValueError: as for :meth:`generate_auth_token`
        :raises BackendError: the store cannot be written now
        """
        return self._issue(user, scopes, client=client, refreshable=self.store is not None)

    def refresh_tokens(self, token: str, userstore: AbstractUserstore) -> Tokens:
        """Return new tokens for a refresh token, which is good no more.

        :param token: the refresh token, as it was sent
        :param userstore: the users
        :raises BadCredentialsError: it is not good, or not any more
        :raises ConfigurationError: there is no store
        :raises BackendError: a store cannot tell now
        """
        if self.store is None or self._refresh_signer is None:
            raise ConfigurationError("TokenAuthenticator has no store: there are no sessions to refresh")
        credentials = token.encode("utf-8", "surrogatepass")
        api_key, _, secret = credentials.rpartition(b".")  # it is written as API keys are, and signed
        # Signed, so that whoever knows the id of a session cannot end it with a token that he has made up.
        if len(credentials) > MAX_CREDENTIALS_BYTES or not self._refresh_signer.verify_signature(api_key, secret):
            raise BadCredentialsError("a refresh token that was not signed with our keys")
        try:
            session, user, token = refresh_session(self.store, api_key, userstore)
        except ReusedError as error:
            refresh_token_reused.send(self, session=error.session)
            raise
        auth = self._sign(user, session.scopes, session, session.expires_at)
        scopes = None if session.scopes is None else frozenset(session.scopes)
        return Tokens(*auth, self._sign_refresh_token(token), scopes)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        own = self.header
        token = read_authorization(request, "bearer") if own is None else read_header(request, own)
        if token is None:
            return None
        claims = read_token(self._signer, token)
        expires_at = self._end_of(claims)
        if claims.is_app:
            # Never looked up: a user who happens to have the name of an application has rights of its own.
            app, name = User(claims.username), claims.username
            return Identity(app, self.name, scopes=claims.scopes, app_name=name, expires_at=expires_at)
        session_id = claims.session_id
        if self.store is not None and (session_id is None or self.store.get_session(session_id) is None):
            raise BadCredentialsError("a token whose session has ended, or that has none")
        user = self._find_user(claims, userstore)
        if self._uses is not None:
            self._uses.record(session_id)
        scopes = limit_scopes(claims.scopes, user)
        return Identity(user, self.name, scopes=scopes, credential_id=session_id, expires_at=expires_at)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        if self.header is not None:
            return format_challenge("Token", realm=realm, header=self.header)
        return format_challenge("Bearer", realm=realm, error=error)

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether a token may be meant to be one of ours: a JWT, such as the application's own, is not."""
        return self.header is None and not is_jwt(token)

    def _issue(
        self, user: UserModel | str, scopes: Collection[str] | None, *, client: str, refreshable: bool
    ) -> Tokens:
        username = user if isinstance(user, str) else getattr(user, "username", None)
        if not isinstance(username, str) or not username:
            raise ValueError("a token must belong to somebody: user is empty, anonymous, or no user")
        limited = None if isinstance(user, str) else scopes_of(user)
        if scopes is not None:
            limited = require_held(scopes, limited, "the user")
        caller = get_caller().identity
        is_app = False
        if caller is not None:
            limited = limit_to_caller(limited, caller)
            is_app = caller.app_name == username
            # Credentials that can be revoked for themselves, such as an API key, can be traded again at any time. A
            # session of their own would outlive their revocation.
            refreshable = refreshable and caller.credential_id is None and not is_app
        now = datetime.fromtimestamp(self._signer.get_timestamp(), timezone.utc)
        expires_at = now + timedelta(seconds=self.session_seconds if refreshable else self.expires_in_seconds)
        if caller is not None and caller.expires_at is not None:
            expires_at = min(expires_at, caller.expires_at).replace(microsecond=0)
        session, secret = None, None
        if self.store is not None and not is_app:
            session, secret = make_session(
                user, scopes=limited, client=client, expires_at=expires_at, refreshable=refreshable
            )
        auth = self._sign(user, limited, session, expires_at, is_app=is_app)
        if session is not None and self.store is not None:
            self.store.add_session(session)
        return Tokens(*auth, secret and self._sign_refresh_token(secret), limited)

    def _sign(
        self,
        user: UserModel | str,
        scopes: Collection[str] | None,
        session: Session | None,
        most: datetime,
        *,
        is_app: bool = False,
    ) -> tuple[str, int]:
        """Return an access token, and for how many seconds it is good."""
        now = self._signer.get_timestamp()
        expires_at = min(now + self.expires_in_seconds, int(most.timestamp()))
        claims: dict[str, Any] = {"sub": user if isinstance(user, str) else user.username, "exp": expires_at}
        if scopes is not None:
            claims["scope"] = sorted(scopes)
        if session is not None:
            claims["sid"] = session.id
        if is_app:
            claims["app"] = True
        elif (mark := mark_of(user)) is not None:
            claims["pwd"] = mark
        token = write_token(self._signer, claims)
        if len(token) > MAX_CREDENTIALS_BYTES:
            raise ValueError(f"a token of {len(token)} bytes is longer than any header: give it fewer scopes")
        return token.decode("ascii"), max(0, expires_at - now)

    def _find_user(self, claims: Claims, userstore: AbstractUserstore | None) -> UserModel:
        """Return the user that a token belongs to, as the userstore knows it now.

        :raises BadCredentialsError: it is gone, or has another password by now
        """
        if userstore is None:
            return User(claims.username)
        user = userstore.get_user(claims.username)
        if user is None:
            raise BadCredentialsError("a token of a user that is gone")
        if claims.password_mark is not None and claims.password_mark != mark_of(require_user(user)):
            raise BadCredentialsError("a token from before the user's password was changed")
        if not user.active and self.store is not None and claims.session_id is not None:
            # It has ended, and does not begin again when the user is enabled.
            self.store.end_session(claims.session_id)
        return user

    def _sign_refresh_token(self, token: str) -> str:
        signer = self._refresh_signer
        assert signer is not None  # noqa: S101  # there is a store
        return f"{token}.{signer.get_signature(token.encode()).decode('ascii')}"

    def _end_of(self, claims: Claims) -> datetime:
        """Return when a token ends.

        :raises ExpiredCredentialsError: that was some time ago
        :raises BadCredentialsError: it was signed in the future
        """
        now = self._signer.get_timestamp()
        if claims.signed_at > now + _MOST_SECONDS_AHEAD:
            raise BadCredentialsError("a token from the future")
        # A shorter lifetime that is configured since holds for former tokens too; a longer one revives none.
        expires_at = min(claims.expires_at, claims.signed_at + self.expires_in_seconds)
        if expires_at <= now:
            raise ExpiredCredentialsError("a token that has expired")
        return datetime.fromtimestamp(expires_at, timezone.utc)
