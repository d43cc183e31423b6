"""Read credentials from request headers, and write challenges: what every provider here has in common.

Headers are read from the WSGI environ, where each is one string of Latin-1 characters that stand for the bytes on
the wire (PEP 3333). Two headers of one name arrive as one string, joined by a comma.

Here and wherever somebody else's code runs below us, what holds a secret is called by a name that error trackers scrub
(``password``, ``secret``, ``api_key``, ``token``, ``credentials``, ``authorization``, ...): they send the locals of all
frames when that code raises (CWE-532).
"""

from __future__ import annotations

import re
from functools import lru_cache

from werkzeug.wrappers import Request

from ...errors import BadCredentialsError, ConfigurationError

#: The longest value of a credentials header that is looked at, in bytes. Servers commonly stop at 8 190 bytes for a
#: header line; one that does not must not make us hash or decode megabytes (CWE-400).
MAX_CREDENTIALS_BYTES = 8192

_HEADER_NAME = _TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


class Token(str):
    """Be the value of a challenge's parameter that is written without quotes, as some schemes ask for it.

    RFC 7616, section 3.3 asks for it for ``stale``, ``algorithm`` and ``userhash``.

    :raises ValueError: it is no token (RFC 9110, section 5.6.2)
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Token:  # noqa: PYI034  # Self came with Python 3.11
        """Return it, checked."""
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"only a token can be written without quotes, and {value!r} is none")
        return super().__new__(cls, value)


@lru_cache(maxsize=256)
def environ_key(header: str) -> str:
    """Return the key of a header in a WSGI environ: ``X-API-Key`` is ``HTTP_X_API_KEY``.

    :param header: its name
    :raises ConfigurationError: what is no header name (RFC 9110, section 5.6.2), or none that can carry credentials
    """
    if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
        raise ConfigurationError('a header must be named by a word such as "X-API-Key"')
    key = header.upper().replace("-", "_")
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        raise ConfigurationError(f"{header} says something of the body, and carries no credentials")
    return f"HTTP_{key}"


def read_header(request: Request, header: str, most: int = MAX_CREDENTIALS_BYTES) -> bytes | None:
    """Return the bytes of a header as they were sent, or ``None`` if it is missing, empty or blank.

    :param request: the request
    :param header: its name
    :param most: how long it may be, in bytes
    :raises BadCredentialsError: it is longer, or no header a server can receive
    """
    credentials: str | None = request.environ.get(environ_key(header))
    return None if credentials is None else to_bytes(credentials, most)


def read_authorization(request: Request, scheme: str, most: int = MAX_CREDENTIALS_BYTES) -> bytes | None:
    """Return the credentials that ``Authorization`` carries for a scheme, ``b""`` if there are none behind it.

    :param request: the request
    :param scheme: the scheme in lower case; it is compared without regard to case (RFC 9110, section 11.1)
    :param most: how long they may be, in bytes
    :returns: ``None`` if there is no such header, or if it is for another scheme
    :raises BadCredentialsError: they are for this scheme, and longer
    """
    authorization: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if authorization is None or authorization[: len(scheme)].lower() != scheme:
        return None
    credentials = authorization[len(scheme) :]
    if credentials[:1] not in ("", " "):
        return None
    return to_bytes(credentials.lstrip(" "), most) or b""


def to_bytes(credentials: str, most: int = MAX_CREDENTIALS_BYTES) -> bytes | None:
    """Return the bytes that a header's value in the environ stands for, or ``None`` if it is empty or blank.

    Credentials are compared as bytes: ``hmac.compare_digest`` raises TypeError for a ``str`` with one character beyond
    ASCII, a 500 that anybody could cause.

    :param credentials: the value
    :param most: how long it may be, in bytes
    :raises BadCredentialsError: it is longer, or no header a server can receive
    """
    credentials = credentials.strip(" \t")
    if len(credentials) > most:
        raise BadCredentialsError(f"a header of {len(credentials)} bytes")
    try:
        return (credentials.encode() if credentials.isascii() else credentials.encode("latin-1")) or None
    except UnicodeEncodeError:
        raise BadCredentialsError("a header with characters that no header has") from None


def format_challenge(scheme: str, **parameters: str | None) -> str:
    r"""Return a challenge with its parameters as quoted strings (RFC 9110, section 11.6.1).

    Werkzeug's own writes ``Basic realm=api``, which section 11.5 does not allow for the realm.

    :param scheme: for example ``"Basic"``
    :param parameters: those that are ``None`` are left out, and those that are a :class:`Token` have no quotes

    >>> format_challenge("Basic", realm='the "inner" circle', charset="UTF-8", error=None)
    'Basic realm="the \\"inner\\" circle", charset="UTF-8"'
    >>> format_challenge("Digest", realm="api", nonce="5TsQWLVdgBdmrQ0", stale=Token("true"))
    'Digest realm="api", nonce="5TsQWLVdgBdmrQ0", stale=true'
    """
    written = (
        f"{name}={value if isinstance(value, Token) else _quote(value)}"
        for name, value in parameters.items()
        if value is not None
    )
    return f"{scheme} {', '.join(written)}"


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
