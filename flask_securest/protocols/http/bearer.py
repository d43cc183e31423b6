"""Where tokens travel: behind a scheme of ``Authorization`` (RFC 6750, section 2.1), or in a header of their own."""

from __future__ import annotations

from typing import NamedTuple

from werkzeug.wrappers import Request

from ...errors import ConfigurationError
from ...support.checks import require_whole
from .headers import MAX_CREDENTIALS_BYTES, Token, environ_key, format_challenge, read_authorization, read_header

#: The longest token that can be allowed, in bytes: as long as a ticket of Kerberos. There must be an end (CWE-400).
MOST_TOKEN_BYTES = 65_536

# Theirs are other credentials, of other providers.
_OTHER_SCHEMES = ("basic", "digest", "negotiate")


class TokenHeader(NamedTuple):
    """Hold where tokens of one provider travel.

    :param scheme: the scheme of ``Authorization``
    :param header: the header that carries the bare token instead; ``None`` for ``Authorization``
    :param most: how long a token may be, in bytes
    """

    scheme: str
    header: str | None
    most: int

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the headers."""
        return (self.header or "Authorization",)

    @property
    def is_bearer(self) -> bool:
        """Return whether they are bearer tokens as RFC 6750 has them."""
        return self.header is None and self.scheme.lower() == "bearer"

    def read(self, request: Request) -> bytes | None:
        """Return the token of a request, ``b""`` if there is nothing behind the scheme; ``None`` if there is none.

        :param request: the request
        :raises BadCredentialsError: it is too long, or no header a server can receive
        """
        scheme, header, most = self
        if header is None:
            return read_authorization(request, scheme.lower(), most)
        return read_header(request, header, most)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``.

        :param realm: the protected realm
        :param error: an error code of RFC 6750, section 3.1, which is for the scheme ``Bearer`` alone
        """
        if self.header is not None:
            return format_challenge("Token", realm=realm, header=self.header)
        return format_challenge(self.scheme, realm=realm, error=error if self.is_bearer else None)


def make_token_header(scheme: object, header: str | None, most: object = MAX_CREDENTIALS_BYTES) -> TokenHeader:
    """Return where tokens travel.

    :param scheme: for example ``"Bearer"``
    :param header: for example ``"X-Token"``, or ``None``
    :param most: how long a token may be, in bytes
    :raises ConfigurationError: an argument that cannot be
    """
    try:
        Token(scheme if isinstance(scheme, str) else "")
    except ValueError:
        raise ConfigurationError(f'scheme must be a word such as "Bearer" or "Token", not {scheme!r}') from None
    scheme = str(scheme)
    if scheme.lower() in _OTHER_SCHEMES:
        raise ConfigurationError(f"scheme must not be {scheme!r}: such credentials are no tokens")
    if header is not None:
        environ_key(header)
        if scheme != "Bearer":
            raise ConfigurationError(f"scheme={scheme!r} is for Authorization, and {header} carries the bare token")
    return TokenHeader(scheme, header, require_whole(most, "max_token_bytes", 256, MOST_TOKEN_BYTES))
