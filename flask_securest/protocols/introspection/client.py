"""How this API says to an issuer who it is (RFC 6749, section 2.3; OpenID Connect Core 1.0, section 9).

``client_secret_basic`` sends name and secret by HTTP Basic, ``client_secret_post`` in the form, ``private_key_jwt``
(RFC 7523) a token that it signs for each question, and ``tls_client_auth`` (RFC 8705) its name alone: its certificate
says who it is.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

from ...errors import ConfigurationError
from ...support.checks import require_name
from ..jwt.keys import import_jwt

#: For how many seconds a token is good by which this API says who it is: one question long.
_ASSERTION_SECONDS = 60

#: The ways, and which arguments each needs.
_NEEDS = {
    "client_secret_basic": "client_secret",
    "client_secret_post": "client_secret",
    "private_key_jwt": "client_key",
    "tls_client_auth": "client_certificate",
}


class IntrospectionClient(ABC):
    """Say who asks. No ``repr`` shows a secret.

    :param client_id: how this API is called by the issuer
    """

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id

    @abstractmethod
    def sign(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return what the headers, and what the form of a question have besides.

        :param url: who is asked
        """


class _Basic(IntrospectionClient):
    def __init__(self, client_id: str, secret: str) -> None:
        super().__init__(client_id)
        # Both parts are encoded as in a form before (RFC 6749, section 2.3.1).
        encoded = ":".join(quote_plus(part) for part in (client_id, secret))
        self._authorization = f"Basic {b64encode(encoded.encode('ascii')).decode('ascii')}"

    def sign(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the header."""
        return {"Authorization": self._authorization}, {}


class _Post(IntrospectionClient):
    def __init__(self, client_id: str, secret: str) -> None:
        super().__init__(client_id)
        self._secret = secret

    def sign(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return what is in the form."""
        return {}, {"client_id": self.client_id, "client_secret": self._secret}


class _ByCertificate(IntrospectionClient):
    def sign(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return what is in the form: the name, for the certificate says the rest."""
        return {}, {"client_id": self.client_id}


class _PrivateKeyJwt(IntrospectionClient):
    """Sign a token for each question.

    :param client_id: as above
    :param key: the private key, in PEM
    :param key_id: its name, by which the issuer finds the public one; ``None`` for none
    :param audience: whom the token is for; ``None`` for the URL that is asked
    """

    def __init__(self, client_id: str, key: object, key_id: str | None, audience: str | None) -> None:
        super().__init__(client_id)
        self._algorithm, self._secret = _load_private_key(key)
        self._key_id, self._audience = key_id, audience

    def sign(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return what is in the form."""
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": self._audience or url, "iat": now}
        # Good once, and for a minute: whoever steals it on its way cannot use it (RFC 7523, section 3).
        claims |= {"exp": now + _ASSERTION_SECONDS, "jti": secrets.token_urlsafe(16)}
        named = None if self._key_id is None else {"kid": self._key_id}
        token = import_jwt().encode(claims, self._secret, self._algorithm, headers=named)
        return {}, {
            "client_id": self.client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": token,
        }


def make_client(
    client_auth: object,
    client_id: object,
    client_secret: object,
    client_key: object,
    client_key_id: object,
    audience: object,
    *,
    has_certificate: bool,
) -> IntrospectionClient:
    """Return how this API says who it is.

    :param client_auth: one of the ways above; ``None`` for the one that the other arguments are for
    :param client_id: how this API is called by the issuer
    :param client_secret: its secret there; ``None`` for none
    :param client_key: its private key, in PEM; ``None`` for none
    :param client_key_id: the name of that key; ``None`` for none
    :param audience: whom tokens that are signed with it are for; ``None`` for the URL that is asked
    :param has_certificate: whether there is a certificate of its own
    :raises ConfigurationError: they do not go together; the message shows no secret
    :raises MissingDependencyError: PyJWT is not installed, for ``private_key_jwt``
    """
    name = require_name(client_id, "client_id")
    given = {"client_secret": client_secret is not None, "client_key": client_key is not None}
    if client_auth is None:
        client_auth = "private_key_jwt" if given["client_key"] else "client_secret_basic"
        if not any(given.values()) and has_certificate:
            client_auth = "tls_client_auth"
    if client_auth not in _NEEDS:
        raise ConfigurationError(f"client_auth must be one of {', '.join(_NEEDS)}, not {client_auth!r}")
    needed = _NEEDS[str(client_auth)]
    if not {**given, "client_certificate": has_certificate}[needed]:
        raise ConfigurationError(f"client_auth={client_auth!r} needs {needed}")
    for what in given:
        if given[what] and what != needed:
            raise ConfigurationError(f"{what} is not for client_auth={client_auth!r}: leave one of them out")
    if needed != "client_key" and (client_key_id is not None or audience is not None):
        raise ConfigurationError("client_key_id and client_assertion_audience need client_key")
    if needed == "client_certificate":
        return _ByCertificate(name)
    if needed == "client_key":
        named = None if client_key_id is None else require_name(client_key_id, "client_key_id")
        whom = None if audience is None else require_name(audience, "client_assertion_audience")
        return _PrivateKeyJwt(name, client_key, named, whom)
    secret = _require_secret(name, client_secret)
    return _Basic(name, secret) if client_auth == "client_secret_basic" else _Post(name, secret)


def _require_secret(client_id: str, client_secret: object) -> str:
    """Return the secret, if it can be sent.

    :raises ConfigurationError: it cannot; the message does not show it
    """
    if not isinstance(client_secret, str) or not client_secret.strip():
        told = f"client_secret must be a string, not empty; it is of type {type(client_secret).__name__}"
        raise ConfigurationError(told)
    # Not by encoding it, whose error would show the secret.
    if any("\ud800" <= character <= "\udfff" for character in client_id + client_secret):
        raise ConfigurationError("client_id or client_secret has half a surrogate pair, which is no text")
    return client_secret


def _load_private_key(key: object) -> tuple[str, Any]:
    """Return the algorithm that a private key signs with, and the key.

    :raises ConfigurationError: it is none; the message does not show it
    """
    import_jwt()
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = key.encode("utf-8", "replace") if isinstance(key, str) else key
    try:
        loaded: Any = load_pem_private_key(secret, None) if isinstance(secret, bytes) else None
    except Exception:
        loaded = None
    if isinstance(loaded, rsa.RSAPrivateKey) and loaded.key_size >= 2048:
        return "RS256", loaded
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        return "EdDSA", loaded
    if isinstance(loaded, ec.EllipticCurvePrivateKey):
        found = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(loaded.curve.name)
        if found is not None:
            return found, loaded
    raise ConfigurationError(
        "client_key must be a private key in PEM without a password: RSA of 2048 bits, P-256, P-384, P-521 or Ed25519"
    )
