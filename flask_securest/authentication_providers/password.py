"""A name and a password, by HTTP Basic (RFC 7617): ``Authorization: Basic YWxpY2U6c2VjcmV0``."""

from __future__ import annotations

import base64
import re

from werkzeug.wrappers import Request

from ..checks import require_name, require_type
from ..errors import BadCredentialsError, ConfigurationError
from ..models import UserModel, require_user
from ..passwords import PasswordHasher
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider
from .headers import format_challenge, read_authorization

# RFC 7617, section 2: neither name nor password may have control characters (C0, DEL, C1).
_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")


class PasswordAuthenticator(AbstractAuthenticationProvider):
    """Know users by name and password.

    :param password_hasher: how passwords are verified; by default ``PasswordHasher()``. Its scheme and cost are those
        of the work that is done for users that do not exist, so make your users' hashes with the same ones.
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: ``password_hasher`` is none
    """

    def __init__(self, *, password_hasher: PasswordHasher | None = None, name: str = "password") -> None:
        self.name = require_name(name, "name of PasswordAuthenticator")
        self.password_hasher = PasswordHasher() if password_hasher is None else password_hasher
        require_type(self.password_hasher, PasswordHasher, "password_hasher")

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:
        """Raise where there is no userstore: nobody could ever be known."""
        self._require_userstore(userstore)
        self.password_hasher.prepare()

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> UserModel | None:
        """Return the user with this name and password."""
        store = self._require_userstore(userstore)
        credentials = read_authorization(request, "basic")
        if credentials is None:
            return None
        username, password = _decode(credentials)
        user = store.get_user(username)
        if user is not None:
            require_user(user)
        stored = user.password if user is not None else None
        # Always hash, whether or not there is such a user, and before anybody looks at the account's status: the time
        # of the answer must not tell which accounts exist, or are disabled (CWE-208; CVE-2026-22746).
        if not self.password_hasher.verify(password, stored, owner=user.username if user is not None else None):
            raise BadCredentialsError("an unknown user" if user is None else "a wrong password")
        return user

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Basic realm="api", charset="UTF-8"``."""
        return format_challenge("Basic", realm=realm, charset="UTF-8")

    def _require_userstore(self, userstore: AbstractUserstore | None) -> AbstractUserstore:
        if userstore is None:
            raise ConfigurationError(
                f"the provider {self.name!r} (PasswordAuthenticator) needs a userstore: SecuREST(api, userstore=...)"
            )
        return userstore


def _decode(credentials: bytes) -> tuple[str, str]:
    """Return name and password.

    :raises BadCredentialsError: not base64, not UTF-8, no colon, control characters, or one of the two is empty
    """
    try:
        decoded = base64.b64decode(credentials, validate=True)
        text = decoded.decode("utf-8")
    except ValueError:
        raise BadCredentialsError("Basic credentials that are not UTF-8 in base64") from None
    # Base64 has several spellings for the same bytes, of which one is right (RFC 4648, section 3.5).
    if base64.b64encode(decoded) != credentials:
        raise BadCredentialsError("Basic credentials in base64 with stray bits")
    username, colon, password = text.partition(":")
    if not colon:
        raise BadCredentialsError("Basic credentials without a colon")
    # Some back ends take an empty password for an anonymous login, which succeeds.
    if not username or not password:
        raise BadCredentialsError("an empty user name or password")
    if _CONTROL_CHARACTER.search(text):
        raise BadCredentialsError("control characters in a user name or password")
    return username, password
