"""Fetch the keys that an issuer publishes: a JWKS (RFC 7517, section 5), at a URL that is given, or found by discovery.

Discovery (OpenID Connect Discovery 1.0, section 4) reads ``jwks_uri`` from ``ISSUER/.well-known/openid-configuration``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from email.message import Message
from time import monotonic
from typing import Any

from ...errors import BackendError, ConfigurationError
from ..http.fetch import Fetched, FetchOptions, fetch
from ..http.urls import require_url
from .format import parse_key_document, parse_object
from .jwk import read_key_set
from .keys import KeySet

#: How long a document may be, in bytes: some hundreds of keys.
MAX_DOCUMENT_BYTES = 256 * 1024

# For how many seconds keys are good (RFC 9111, section 5.2.2.1) if the issuer does not say; and whatever it says: what
# it withdraws is not used for longer, and it is not asked more often.
_FRESH_SECONDS, _FEWEST_FRESH_SECONDS, _MOST_FRESH_SECONDS = 600, 60, 3600

# For how long it is known where the issuer has its keys.
_DISCOVERED_SECONDS = 24 * 3600

# The API server of Kubernetes, among others, answers 406 without the second one (RFC 7517, section 8.5.2).
_ACCEPTED = {"Accept": "application/json, application/jwk-set+json"}

_MAX_AGE = re.compile(r'(?:^|,)\s*max-age\s*=\s*"?(\d{1,9})"?\s*(?=,|$)', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|,)\s*(?:no-store|no-cache)\s*(?=,|=|$)", re.IGNORECASE)


class KeyDocument:
    """Fetch the keys of one issuer. It keeps none; one caller at a time may ask.

    :param url: where the JWKS is; ``None`` for discovery
    :param issuer: who is asked where it is, and must say to be nobody else
    :param algorithms: names of :data:`~flask_securest.protocols.jwt.keys.ALGORITHMS`
    :param options: how it is asked
    :raises ConfigurationError: a URL that cannot be asked
    """

    def __init__(
        self, url: str | None, *, issuer: str | None = None, algorithms: Collection[str], options: FetchOptions
    ) -> None:
        options.check()
        self._options = options
        self._algorithms = frozenset(algorithms)
        self._url, self._issuer = url, issuer
        if url is not None:
            require_url(url, "jwks_url", allow_http=options.allow_http)
        elif "?" in require_url(issuer, "issuer", allow_http=options.allow_http):
            raise ConfigurationError("issuer must be a URL without a query, for discovery")
        self._discovered: tuple[str, float] | None = None

    def __repr__(self) -> str:
        """Name who is asked."""
        return f"KeyDocument({self._url or self._issuer!r})"

    def load(self) -> tuple[KeySet, float]:
        """Return the keys, and for how many seconds they are good.

        :raises BackendError: they cannot be fetched, or what came is no JWKS
        """
        deadline = monotonic() + self._options.timeout
        url = self._url or self._discover(deadline)
        try:
            fetched = self._fetch(url, deadline)
            keys = read_key_set(parse_key_document(fetched.body), self._algorithms)
            if keys.keys:
                return keys, _read_lifetime(fetched.headers)
            # A faulty issuer must not take back keys that are good: each good token would be a 401, and thrown away.
            problem = f"it has no key that is for {', '.join(sorted(self._algorithms))}; the log says why"
        except BackendError:
            self._discovered = None  # the keys may have moved
            raise
        except ValueError as error:
            problem = str(error)
        self._discovered = None
        raise BackendError(f"{url} answers with no JWKS: {problem}")

    def _discover(self, deadline: float) -> str:
        """Return where the issuer has its keys."""
        if self._discovered is not None and monotonic() < self._discovered[1]:
            return self._discovered[0]
        issuer = self._issuer or ""
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        fetched = self._fetch(url, deadline)
        try:
            found: dict[str, Any] = parse_object(fetched.body)
            problem = None
        except ValueError as error:
            problem = str(error)
        if problem is not None:
            raise BackendError(f"{url} answers with {problem}")
        # Exactly: who answers for somebody else gives us somebody else's keys (OpenID Connect Discovery 1.0, 4.3).
        if found.get("issuer") != issuer:
            raise BackendError(f"{url} is of another issuer than {issuer!r}, to the letter")
        try:
            where = require_url(found.get("jwks_uri"), "jwks_uri", allow_http=self._options.allow_http)
        except ConfigurationError as error:
            problem = str(error)
        if problem is not None:
            raise BackendError(f"{url}: {problem}")
        self._discovered = where, monotonic() + _DISCOVERED_SECONDS
        return where

    def _fetch(self, url: str, deadline: float) -> Fetched:
        left = min(self._options.timeout, deadline - monotonic())
        return fetch(url, self._options._replace(timeout=left), max_bytes=MAX_DOCUMENT_BYTES, headers=_ACCEPTED)


def _read_lifetime(headers: Message) -> float:
    said = ", ".join(str(value) for value in headers.get_all("Cache-Control", []))
    found = _MAX_AGE.search(said)
    if _NOT_KEPT.search(said):
        return _FEWEST_FRESH_SECONDS
    seconds = _FRESH_SECONDS if found is None else int(found[1])
    return max(_FEWEST_FRESH_SECONDS, min(seconds, _MOST_FRESH_SECONDS))
