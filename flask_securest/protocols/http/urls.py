"""Which URLs may be asked."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from ...errors import ConfigurationError
from .stream import FetchError


def require_url(url: object, what: str, *, allow_http: bool = False) -> str:
    """Return ``url`` if :func:`~flask_securest.protocols.http.fetch.fetch` can ask it.

    :param url: the argument
    :param what: how the error calls it
    :param allow_http: whether it may do without TLS
    :raises ConfigurationError: it cannot
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{what} must be a string, not of type {type(url).__name__}")
    try:
        split_url(url, allow_http=allow_http)
    except FetchError as error:
        raise ConfigurationError(f"{what} cannot be {name_url(url)!r}: {error}") from None
    return url


def split_url(url: str, *, allow_http: bool) -> SplitResult:
    """Return the parts of a URL.

    :param url: the URL
    :param allow_http: whether it may do without TLS
    :raises FetchError: it is none, or one that must not be asked
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchError("it is no URL") from None
    if not url.isascii() or not url.isprintable() or " " in url or port == 0:
        raise FetchError("it is no URL")
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or "#" in url:
        raise FetchError("it must be written https://host/path, without a user and a fragment")
    if parts.scheme == "http" and not allow_http:
        raise FetchError("it must be https: whoever listens could change the answer")
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL.

    :param parts: its parts
    """
    return parts.port or (443 if parts.scheme == "https" else 80)


def name_url(url: object) -> str:
    """Return a URL without its query and user, which may be secret.

    :param url: what was given for one
    """
    return str(url).partition("?")[0].rpartition("@")[2][:200]
