"""A name and a password, by HTTP Basic (RFC 7617): ``Authorization: Basic YWxpY2U6c2VjcmV0``."""

from __future__ import annotations

import base64
import re
from unicodedata import normalize

from werkzeug.wrappers import Request

from ..errors import AuthenticationError, BadCredentialsError, ConfigurationError
from ..models import UserModel, require_user
from ..passwords import MAX_PASSWORD_BYTES, PasswordHasher
from ..protocols.http.headers import format_challenge, read_authorization
from ..support.checks import require_name, require_type
from ..support.logs import get_logger
from ..userstores.abstract import AbstractUserstore, AbstractVerifyingUserstore, AbstractWritableUserstore
from .abstract import AbstractAuthenticationProvider

_log = get_logger(__name__)

# RFC 7617, section 2: neither name nor password may have control characters (C0, DEL, C1).
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")


class PasswordAuthenticator(AbstractAuthenticationProvider):
    """Know users by name and password.

    :param password_hasher: how passwords are verified; by default ``PasswordHasher()``. Its scheme and cost are those
        of the work that is done for users that do not exist, so make your users' hashes with the same ones.
    :param userstore: a userstore of its own, instead of the API's: for example a file with the administrator who must
        get in when the directory is down
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: ``password_hasher`` or ``userstore`` is none
    """

    uses_api_userstore = True

    def __init__(
        self,
        *,
        password_hasher: PasswordHasher | None = None,
        userstore: AbstractUserstore | None = None,
        name: str = "password",
    ) -> None:
        self.name = require_name(name, "name of PasswordAuthenticator")
        if userstore is not None:
            require_type(userstore, AbstractUserstore, "userstore")
        self.userstore = userstore
        self.password_hasher = PasswordHasher() if password_hasher is None else password_hasher
        require_type(self.password_hasher, PasswordHasher, "password_hasher")

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:
        """Raise where there is no userstore: nobody could ever be known."""
        if not isinstance(self._require_userstore(userstore), AbstractVerifyingUserstore):
            self.password_hasher.prepare()

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> UserModel | None:
        """Return the user with this name and password."""
        store = self._require_userstore(userstore)
        credentials = read_authorization(request, "basic")
        if credentials is None:
            return None
        username, password = _decode(credentials)
        if isinstance(store, AbstractVerifyingUserstore):
            return _verify_in_store(store, username, password)
        user = _find_user(store, username)
        # Always hash, whether or not there is such a user, and before anybody looks at the account's status: the time
        # of the answer must not tell which accounts exist, or are disabled (CWE-208; CVE-2026-22746).
        if not self._verify(password, user):
            # Of a user who is there: what else is typed into the field of the name may be a password (CWE-532).
            account = None if user is None else user.username
            raise BadCredentialsError("an unknown user" if user is None else "a wrong password", account=account)
        if user is not None and user.active and isinstance(store, AbstractWritableUserstore):
            return self._renew_hash(store, user, password)
        return user

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Basic realm="api", charset="UTF-8"``."""
        return format_challenge("Basic", realm=realm, charset="UTF-8")

    def account_of(self, request: Request) -> str | None:
        """Return the name in Basic credentials, in the form NFC; ``None`` where there are none, or malformed ones."""
        try:
            credentials = read_authorization(request, "basic")
            return None if credentials is None else normalize("NFC", _decode(credentials)[0])
        except BadCredentialsError:
            return None

    def _require_userstore(self, userstore: AbstractUserstore | None) -> AbstractUserstore:
        store = userstore if self.userstore is None else self.userstore
        if store is None:
            raise ConfigurationError(
                f"the provider {self.name!r} (PasswordAuthenticator) needs a userstore: SecuREST(api, userstore=...)"
            )
        return store

    def _verify(self, password: str, user: UserModel | None) -> bool:
        """Return whether it is the user's password, after the work that this takes; of nobody, it is not."""
        hasher = self.password_hasher
        stored = None if user is None else user.password
        if type(hasher).verify is not PasswordHasher.verify:
            said: object = hasher.verify(password, stored)
            if not isinstance(said, bool):
                # A coroutine of an "async def verify" would be true whatever was sent.
                raise TypeError(f"{type(hasher).__name__}.verify must return True or False, not {type(said).__name__}")
            return said
        verified = hasher.examine(password, stored)
        if verified is None and user is not None:
            # What is stored there is not logged: it may be a plain password.
            _log.warning("the stored password hash of user %r cannot be read, or takes no such password", user.username)
        return verified is True

    def _renew_hash(self, store: AbstractWritableUserstore, user: UserModel, password: str) -> UserModel:
        """Replace a hash that is out of date, now that the password is known, and return the user as it is then.

        The request goes on whatever a back end does. Providers of one store should have the same ``password_hasher``,
        or each would renew the other's hashes.

        :raises BadCredentialsError: another process has just set another password
        """
        stored = user.password
        if stored is None or not self.password_hasher.needs_rehash(stored):
            return user
        try:
            # Only in place of the very hash that was verified: another process may just have set a new password.
            store.renew_password_hash(user.username, self.password_hasher.hash(password), expected=stored)
            now = store.get_user(user.username)
        except Exception as error:
            # Without its message, and without its traceback: a database's errors show what was to be written.
            _log.warning(
                "the outdated password hash of user %r could not be replaced: %s", user.username, type(error).__name__
            )
            return user
        # If it was another login that has renewed the hash, a token of this one must know the new one, too.
        if now is None or not self._verify(password, now):
            raise BadCredentialsError("a password that was changed a moment ago", account=user.username)
        return require_user(now)


def _spellings(username: str) -> list[str]:
    """Return what a name is looked up by: its form NFC (RFC 7617, section 2.1), and the form that was sent.

    Some clients write the ü of Jürgen as one character, and some as two. The former comes first, in any case: which of
    two accounts is meant must not depend on the client.
    """
    normal = normalize("NFC", username)
    return [username] if normal == username else [normal, username]


def _find_user(store: AbstractUserstore, username: str) -> UserModel | None:
    found = (store.get_user(each) for each in _spellings(username))
    user = next((user for user in found if user is not None), None)
    return None if user is None else require_user(user)


def _verify_in_store(store: AbstractVerifyingUserstore, username: str, password: str) -> UserModel:
    """Return the user, for whom the store has checked the password itself.

    :raises BadCredentialsError: an unknown user or a wrong password, which only the store knows
    """
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise BadCredentialsError("a password that is longer than any", account=username)
    try:
        verified = (store.verify_password(each, password) for each in _spellings(username))
        user = next((user for user in verified if user is not None), None)
    except AuthenticationError as error:
        # A store that says more than no, such as of a locked account, need not say whose it is.
        error.account = username if error.account is None else error.account
        raise
    if user is None:
        raise BadCredentialsError("an unknown user or a wrong password", account=username)
    return require_user(user)


def _decode(credentials: bytes) -> tuple[str, str]:
    """Return name and password.

    :raises BadCredentialsError: not base64, not UTF-8, no colon, control characters, or one of the two is empty
    """
    try:
        secret = base64.b64decode(credentials, validate=True)
        authorization = secret.decode("utf-8")
    except ValueError:
        raise BadCredentialsError("Basic credentials that are not UTF-8 in base64") from None
    # Base64 has several spellings for the same bytes, of which one is right (RFC 4648, section 3.5).
    if base64.b64encode(secret) != credentials:
        raise BadCredentialsError("Basic credentials in base64 with stray bits")
    username, colon, password = authorization.partition(":")
    if not colon:
        raise BadCredentialsError("Basic credentials without a colon")
    # Some back ends take an empty password for an anonymous login, which succeeds.
    if not username or not password:
        raise BadCredentialsError("an empty user name or password")
    if _CONTROL_CHARACTER.search(authorization):
        raise BadCredentialsError("control characters in a user name or password")
    return username, password
