"""Ask the introspection endpoint of an issuer about a token (RFC 7662, section 2.1), a few at a time."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from time import monotonic
from urllib.parse import quote_plus, urlencode

from ...errors import BackendError, ConfigurationError
from ...support.checks import require_bool, require_name, require_whole
from ..http.fetch import fetch, require_timeout, require_url
from ..http.stream import make_tls_context

# So long an answer is never meant.
_MOST_BYTES = 16_777_216

# How many requests the issuer gets at once, whatever is sent to us: everybody can make tokens up (CWE-406).
_MOST_AT_ONCE = 8


class IntrospectionEndpoint:
    """Ask an endpoint. No ``repr`` shows what it is asked with.

    :param url: where it is
    :param client_id: how this API is called by the issuer
    :param client_secret: its secret there
    :param timeout: how long an answer may take, in seconds; and how long a caller may wait for its turn
    :param max_bytes: how long an answer may be
    :param allow_http: ask without TLS where the URL says so
    :param ca_file: a PEM file with the authorities that issue the endpoint's certificate; ``None`` for the system's
    :raises ConfigurationError: it cannot be asked like this
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        timeout: float,
        max_bytes: int,
        allow_http: bool,
        ca_file: str | os.PathLike[str] | None,
    ) -> None:
        self._url = require_url(url, "url", allow_http=allow_http)
        make_tls_context(ca_file)  # a file that cannot be read is told at once
        credentials = _encode_credentials(client_id, client_secret)
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        self._timeout = require_timeout(timeout)
        self._max_bytes = require_whole(max_bytes, "max_answer_bytes", 1, _MOST_BYTES)
        self._allow_http = require_bool(allow_http, "allow_http")
        self._ca_file = ca_file
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._trials = threading.BoundedSemaphore(1)
        self._hangs = False

    def ask(self, token: bytes) -> bytes:
        """Return what is said of ``token``.

        :raises BackendError: nothing, in time; or the endpoint is asked too much already
        """
        # An issuer that hangs must not hang us: while it does, one request at a time tries whether it answers again,
        # and all others are over at once.
        trial = self._hangs
        slots = self._trials if trial else self._slots
        if not slots.acquire(timeout=0 if trial else self._timeout):
            raise BackendError(
                "the introspection endpoint does not answer in time, or not as many questions as there are"
            )
        asked = monotonic()
        try:
            body = fetch(
                self._url,
                timeout=self._timeout,
                max_bytes=self._max_bytes,
                data=urlencode({"token": token, "token_type_hint": "access_token"}).encode("ascii"),
                headers=self._headers,
                allow_http=self._allow_http,
                ca_file=self._ca_file,
            )
        finally:
            slots.release()
            # By the time alone: an error that somebody can cause with a token must not lock everybody out.
            self._hangs = monotonic() - asked >= 0.9 * self._timeout
        return body


def _encode_credentials(client_id: object, client_secret: object) -> str:
    """Return what stands behind ``Basic``: both parts are encoded as in a form before (RFC 6749, section 2.3.1).

    :raises ConfigurationError: they cannot be sent; it does not show the secret
    """
    require_name(client_id, "client_id")
    if not isinstance(client_secret, str) or not client_secret.strip():
        told = f"client_secret must be a string, not empty; it is of type {type(client_secret).__name__}"
        raise ConfigurationError(told)
    try:
        encoded = ":".join(quote_plus(part) for part in (str(client_id), client_secret))
    except UnicodeEncodeError:
        encoded = ""
    if not encoded:
        # Outside of the except block, for the error of the codec would show the secret.
        raise ConfigurationError("client_id or client_secret has half a surrogate pair, which is no text")
    return b64encode(encoded.encode("ascii")).decode("ascii")
