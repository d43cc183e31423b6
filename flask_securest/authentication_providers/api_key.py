"""API keys of machine clients, in a header of their own: ``X-API-Key: 7f6b0e0b...``."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from hashlib import blake2s

from werkzeug.wrappers import Request

from ..checks import require_name
from ..current import get_caller
from ..errors import BadCredentialsError, ConfigurationError
from ..models import Identity, User
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider
from .headers import MAX_CREDENTIALS_BYTES, environ_key, format_challenge, to_bytes


class HeaderApiKeyAuthenticator(AbstractAuthenticationProvider):
    """Know machine clients by a key in a header.

    A client may have several keys, for example while an old one is replaced.

    :param header: the header that carries the key
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: what is no header name
    """

    def __init__(self, header: str = "X-API-Key", *, name: str = "api-key") -> None:
        self.name = require_name(name, "name of HeaderApiKeyAuthenticator")
        self.header = header
        self.credential_headers = (header,)
        self._environ_key = environ_key(header)
        # Keys are kept as digests (BLAKE2s, RFC 7693), with a secret of this process in front: whoever reads the table
        # reads no key, and how long a look-up takes tells nothing about one (CWE-208), for nobody outside knows what
        # the digest of a guess begins with. A key has enough entropy of its own; a password hash would only be slow.
        self._secret = secrets.token_bytes(32)
        self._clients: dict[bytes, tuple[bytes, Identity]] = {}
        self._identities: dict[str, Identity] = {}

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
        identity = self._identities.setdefault(app_name, Identity(User(app_name), self.name, app_name=app_name))
        for sent in _spellings(key):
            digest = self._digest(sent)
            _, known = self._clients.get(digest, (digest, identity))
            if known.app_name != app_name:
                raise ConfigurationError(f"the key of {app_name!r} already belongs to {known.app_name!r}")
            self._clients[digest] = digest, identity

    @property
    def authenticated_app_name(self) -> str | None:
        """Return the client of the current request, or ``None`` when another provider, or nobody, vouched for it."""
        identity, provider = get_caller()
        return identity.app_name if identity is not None and provider is self else None

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the client that the key belongs to."""
        value = request.environ.get(self._environ_key)
        key = None if value is None else to_bytes(value)
        if key is None:
            return None
        digest = self._digest(key)
        found = self._clients.get(digest)
        # The dict has compared the digests already, but not in constant time.
        if found is None or not hmac.compare_digest(found[0], digest):
            raise BadCredentialsError("an API key that is not registered")
        return found[1]

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``ApiKey realm="api", header="X-API-Key"``."""
        return format_challenge("ApiKey", realm=realm, header=self.header)

    def _digest(self, key: bytes) -> bytes:
        return blake2s(self._secret + key).digest()


def _spellings(key: str) -> set[bytes]:
    """Return the bytes in which clients send a key: beyond ASCII some take UTF-8, and some Latin-1."""
    spellings = {key.encode("utf-8")}
    with contextlib.suppress(UnicodeEncodeError):
        spellings.add(key.encode("latin-1"))
    return spellings
