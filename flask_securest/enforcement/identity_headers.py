"""What a verified caller is told about its credentials."""

from __future__ import annotations

from copy import copy

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from ..identity import Identity


def add_identity_headers(response: Response, identity: Identity) -> Response:
    """Return the answer with what a verified caller is told about its credentials, whatever the answer is.

    Where others have taken their place that is ``Deprecation`` (RFC 9745), which is a date in seconds since 1970, and
    ``Sunset`` (RFC 8594).

    :param response: the answer; it may have been done already, for each decision on the request does it
    :param identity: the caller, with ``replaced_at`` or ``response_headers``
    """
    # A copy: a view may return the same object to everybody, and what one client is told is for that one alone.
    response = copy(response)
    response.headers = Headers(response.headers)
    if identity.replaced_at is not None:
        response.headers["Deprecation"] = f"@{int(identity.replaced_at.timestamp())}"
        if identity.expires_at is not None:
            response.headers["Sunset"] = http_date(identity.expires_at)
    for name, value in identity.response_headers:
        # Beside what is there: a refusal with 403 may have a challenge, which has the same name.
        if value not in response.headers.getlist(name):
            response.headers.add(name, value)
    return response
