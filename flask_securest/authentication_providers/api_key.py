"""API keys of machine clients, in a header of their own: ``X-API-Key: securest_2c9...Xq_7Gb...0aK4x1``."""

from __future__ import annotations

import contextlib
import secrets
from datetime import datetime, timezone
from hashlib import blake2s
from hmac import compare_digest
from typing import Any

from werkzeug.wrappers import Request

from ..accounts.known import KnownAccounts
from ..accounts.sources import Accounts
from ..current import get_caller
from ..errors import BadCredentialsError, ConfigurationError, ExpiredCredentialsError
from ..identity import UNSET, Identity
from ..keystores.abstract import AbstractKeystore
from ..keystores.format import digest_of, find_key_id
from ..keystores.models import ApiKey, KeyUse
from ..models import User, UserModel, limit_scopes
from ..protocols.http.bearer import TokenHeader, make_token_header
from ..protocols.http.headers import MAX_CREDENTIALS_BYTES, environ_key, format_challenge, to_bytes
from ..support.checks import require_name, require_type
from ..support.uses import UseRecorder
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider


class HeaderApiKeyAuthenticator(AbstractAuthenticationProvider):
    """Know machine clients by a key in a header.

    Keys are registered by :meth:`register_key`, or live in a keystore, or both. A client may have several, for example
    while an old one is replaced.

    :param header: the header that carries the key
    :param scheme: with ``header="Authorization"``, what stands before the key: ``"Token"`` for clients of Django REST
        framework, which send ``Authorization: Token 9944b09...``
    :param keystore: where keys are that can be issued, rotated and revoked while the application runs
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: what is no header name, or no keystore
    """

    looks_up_accounts = True

    def __init__(
        self,
        header: str = "X-API-Key",
        *,
        keystore: AbstractKeystore | None = None,
        scheme: str | None = None,
        name: str = "api-key",
    ) -> None:
        self.name = require_name(name, "name of HeaderApiKeyAuthenticator")
        self.header = header
        self._authorization: TokenHeader | None = None
        if scheme is not None:
            if header != "Authorization":
                raise ConfigurationError(f"scheme={scheme!r} needs header='Authorization', and header is {header!r}")
            self._authorization = make_token_header(scheme, None)
        self.credential_headers = (header,)
        self._environ_key = environ_key(header)
        if keystore is not None:
            require_type(keystore, AbstractKeystore, "keystore")
        self.keystore = keystore
        # A store that writes nothing down needs no thread.
        records = keystore is not None and type(keystore).record_uses is not AbstractKeystore.record_uses
        self._uses = UseRecorder(keystore) if keystore is not None and records else None
        # Keys are kept as digests (BLAKE2s, RFC 7693), with a secret of this process in front: whoever reads the table
        # reads no key, and how long a look-up takes tells nothing about one (CWE-208), for nobody outside knows what
        # the digest of a guess begins with. A key has enough entropy of its own; a password hash would only be slow.
        # 128 bits: nobody can try them all, and with most keys they fit into one block of BLAKE2s.
        self._secret = secrets.token_bytes(16)
        self._clients: dict[bytes, tuple[bytes, Identity]] = {}
        self._ids: set[str] = set()
        self._known = KnownAccounts()

    def register_key(self, key: str, app_name: str = "default") -> None:
        """Let the bearer of ``key`` in as ``app_name``.

        :param key: the key; long and random, for example from ``secrets.token_urlsafe(32)``
        :param app_name: the client that it belongs to; it becomes the ``username`` of the caller
        :raises ConfigurationError: a key that no header can carry, or that already belongs to another client
        """
        if not isinstance(key, str) or not key:
            raise ConfigurationError(f"key must be a string, not empty; it is of type {type(key).__name__}")
        if key != key.strip() or not key.isprintable() or len(key.encode()) > MAX_CREDENTIALS_BYTES:
            raise ConfigurationError(
                "key must be printable, without white space at its ends, and at most "
                f"{MAX_CREDENTIALS_BYTES} bytes long: no header can carry it otherwise"
            )
        require_name(app_name, "app_name")
        # What a token names that was issued for the key: nobody can tell the key from it.
        key_id = digest_of(key.encode("utf-8", "surrogatepass")).hex()[:16]
        user = User(app_name)
        identity = Identity(user, self.name, app_name=app_name, credential_id=key_id, origin=self.name)
        for sent in _spellings(key):
            digest = blake2s(self._secret + sent).digest()
            _, known = self._clients.get(digest, (digest, identity))
            if known.app_name != app_name:
                raise ConfigurationError(f"the key of {app_name!r} already belongs to {known.app_name!r}")
            self._clients[digest] = digest, identity
        self._ids.add(key_id)

    @property
    def authenticated_app_name(self) -> str | None:
        """Return the client of the current request, or ``None`` when another provider, or nobody, vouched for it."""
        identity, provider = get_caller()
        return identity.app_name if identity is not None and provider is self else None

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the client that the key belongs to."""
        if self._authorization is not None:
            api_key = self._authorization.read(request)
        else:
            secret = request.environ.get(self._environ_key)
            api_key = None if secret is None else to_bytes(secret)
        if api_key is None:
            return None
        digest = blake2s(self._secret + api_key).digest()
        found = self._clients.get(digest)
        # The dict has compared the digests already, but not in constant time.
        if found is not None and compare_digest(found[0], digest):
            return found[1]
        if self.keystore is None:
            raise BadCredentialsError("an API key that is not registered")
        return self._find_in_keystore(api_key, self.keystore, request, userstore)

    def connect(self, accounts: Accounts[Any]) -> None:
        """Take note of where accounts live, so that the owners of keys can be looked up there."""
        if self.keystore is not None:
            what = f"the {type(self.keystore).__name__} of {self.name!r}"
            # The owner of a key in two APIs is whoever has that name in the userstore of each.
            self._known.connect(accounts, what, of_one_userstore=False)

    def find_credential(self, credential_id: str) -> bool:
        """Return whether a key is still good: registered, or neither revoked nor past its end."""
        if credential_id in self._ids:
            return True
        key = None if self.keystore is None else self.keystore.get_key(credential_id)
        if key is None or key.revoked_at is not None:
            return False
        return key.expires_at is None or key.expires_at > datetime.now(timezone.utc)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``ApiKey realm="api", header="X-API-Key"``."""
        if self._authorization is not None:
            return self._authorization.challenge(realm)
        return format_challenge("ApiKey", realm=realm, header=self.header)

    def _find_in_keystore(
        self, api_key: bytes, keystore: AbstractKeystore, request: Request, userstore: AbstractUserstore | None
    ) -> Identity:
        """Return who a key of the keystore belongs to.

        :raises BadCredentialsError: nobody, or it may not be used from there
        :raises ExpiredCredentialsError: it is past its end, or a former one past its sunset
        """
        key_id = find_key_id(api_key)
        if key_id is None:
            raise BadCredentialsError("an API key that is neither registered nor written as keys of the keystore are")
        key = keystore.get_key(key_id)
        if key is None:
            raise BadCredentialsError("an API key with an id that nobody has")
        digest = digest_of(api_key)
        # Bytes, in constant time, and before anything else is said about the key.
        former = not compare_digest(key.digest, digest)
        if former and not (key.former_digest is not None and compare_digest(key.former_digest, digest)):
            raise BadCredentialsError(f"a wrong secret for the API key {key_id}")
        expires_at = _end_of(key, former=former)
        if not key.allows_address(request.remote_addr):
            raise BadCredentialsError(f"the API key {key_id} may not be used from this address")
        user = self._find_owner(key, userstore)
        if self._uses is not None and user.active:
            self._uses.record(KeyUse(key_id, former))
        return Identity(
            user,
            self.name,
            scopes=limit_scopes(key.scopes, user),
            credential_id=key_id,
            app_name=key.app_name,
            expires_at=expires_at,
            replaced_at=key.rotated_at if former else None,
            tradable=not key.networks,
            origin=UNSET if key.owner is None else key.owner_origin,
        )

    def _find_owner(self, key: ApiKey, userstore: AbstractUserstore | None) -> UserModel:
        """Return whose key it is, as the store in which the user lives knows it now.

        :raises BadCredentialsError: the user is gone, and its keys with it
        :raises ConfigurationError: there is no userstore that could say whether the owner is disabled
        """
        if key.owner is None:
            return User(key.app_name or "")
        if key.owner_origin is None and userstore is None:
            raise ConfigurationError(f"the API key {key.id} belongs to a user, and there is no userstore")
        user = self._known.look_up(key.owner_origin, key.owner, userstore)
        if user is None:
            raise BadCredentialsError(f"the API key {key.id} of a user that is gone, or lives where nobody can look")
        return user


def _end_of(key: ApiKey, *, former: bool) -> datetime | None:
    """Return when the key ends.

    :raises BadCredentialsError: it is revoked
    :raises ExpiredCredentialsError: that was some time ago
    """
    if key.revoked_at is not None:
        raise BadCredentialsError(f"the API key {key.id} is revoked")
    ends = [end for end in (key.expires_at, key.sunset_at if former else None) if end is not None]
    expires_at = min(ends, default=None)
    if expires_at is not None and expires_at <= datetime.now(timezone.utc):
        raise ExpiredCredentialsError(f"the API key {key.id} {'was replaced and ' if former else ''}has expired")
    return expires_at


def _spellings(key: str) -> set[bytes]:
    """Return the bytes in which clients send a key: beyond ASCII some take UTF-8, and some Latin-1."""
    spellings = {key.encode("utf-8")}
    with contextlib.suppress(UnicodeEncodeError):
        spellings.add(key.encode("latin-1"))
    return spellings
