"""Turn a refusal into a response: the one place that knows what a refused client sees.

A refusal is *returned*, never raised. A raised 401 would pass through Flask-RESTful's error handling, where
``serve_challenge_on_401`` overwrites every challenge, ``Api(errors=...)`` makes something else of it, and error
trackers take it for a fault of the application.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, got_request_exception
from flask_restful import Api
from flask_restful.utils import http_status_message, unpack
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as WerkzeugResponse

from .authentication_providers.headers import read_authorization
from .decision import Verdict
from .errors import BackendError, BadCredentialsError
from .logs import get_logger

_log = get_logger(__name__)

#: After how many seconds a client may try again where the error does not tell.
DEFAULT_RETRY_AFTER_SECONDS = 5

#: The bodies, which say no more than the status does.
_MESSAGES = {401: "Unauthorized User", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}

#: ``f(status, error)``, which returns what a Resource method may return.
ErrorHandler = Callable[[int, Exception], Any]


def make_refusal(
    verdict: Verdict, request: Request, api: Api, realm: str, error_handler: ErrorHandler | None
) -> WerkzeugResponse:
    """Return the response to a refused request.

    Whatever goes wrong here, in a challenge, a handler or a representation, ends in a refusal too.

    :param verdict: the refusal
    :param request: what is refused
    :param api: whose representations render the body
    :param realm: the realm of the challenges
    :param error_handler: the application's own, for 401, 403, 429 and 503
    """
    status, error = verdict.status or 500, verdict.error
    message = _MESSAGES.get(status) or http_status_message(status)
    headers = Headers()
    try:
        if verdict.own_words is not None:
            return _protect(_render_own_words(api, verdict.own_words), headers)
        if status == 500:
            # Error trackers listen to this signal; they should hear of a bug, and of nothing else that we refuse.
            got_request_exception.send(current_app._get_current_object(), exception=error)  # type: ignore[attr-defined]
        _add_headers(headers, status, verdict, request, realm)
        if error_handler is not None and status in _MESSAGES and error is not None:
            response = _ask_handler(error_handler, status, error, api)
            if response is not None:
                return _protect(response, headers)
        return _protect(_render(api, {"message": message}, status), headers)
    except Exception:
        _log.exception("a refusal (%d) could not be made as it should be; a plain one was sent", status)
        return _protect(Response(json.dumps({"message": message}), status, mimetype="application/json"), headers)


def _add_headers(headers: Headers, status: int, verdict: Verdict, request: Request, realm: str) -> None:
    chain = verdict.chain
    if status == 401 and chain is not None:
        # The union of all challenges, and always the same for the same request: which provider refused, and how far
        # the chain went, shows nowhere. A bearer token is told to be invalid for having been sent (RFC 6750, 3.1).
        error = "invalid_token" if _has_bearer_token(request) else None
        challenges = [provider.challenge(realm, error) for _, provider in chain.providers]
        for challenge in dict.fromkeys(challenges):
            if challenge is not None:
                headers.add("WWW-Authenticate", challenge)
    elif status == 403 and verdict.insufficient_scope and verdict.outcome and verdict.outcome.provider:
        challenge = verdict.outcome.provider.challenge(realm, "insufficient_scope")
        if challenge is not None and challenge.startswith("Bearer "):
            headers.add("WWW-Authenticate", challenge)
    elif status == 503:
        seconds = verdict.error.retry_after if isinstance(verdict.error, BackendError) else None
        headers.add("Retry-After", str(DEFAULT_RETRY_AFTER_SECONDS if seconds is None else max(0, math.ceil(seconds))))


def _has_bearer_token(request: Request) -> bool:
    try:
        return bool(read_authorization(request, "bearer"))
    except BadCredentialsError:
        return True


def _protect(response: WerkzeugResponse, headers: Headers) -> WerkzeugResponse:
    """Return ``response`` with ``headers`` and ``no-store``, where it has not set them itself."""
    # A cache that kept a refusal would go on refusing.
    headers.setdefault("Cache-Control", "no-store")
    for name in set(headers.keys()):
        if name not in response.headers:
            response.headers.setlist(name, headers.getlist(name))
    return response


def _render(api: Api, data: Any, status: int, headers: Any = None) -> WerkzeugResponse:
    """Return ``data`` in the representation that the client accepts, or in the Api's first one."""
    fallback = api.default_mediatype or next(iter(api.representations), "text/plain")
    response: WerkzeugResponse = api.make_response(data, status, headers, fallback_mediatype=fallback)
    # A representation that does not care for the status would answer 200.
    response.status_code = status
    return response


def _render_own_words(api: Api, error: HTTPException) -> WerkzeugResponse:
    """Return what Flask-RESTful makes of this error when a view raises it."""
    if error.response is not None:
        return error.get_response()
    headers = error.get_response().headers
    for name in ("Content-Length", "Content-Type"):
        headers.pop(name, None)
    return _render(api, getattr(error, "data", {"message": error.description}), error.code or 500, headers)


def _ask_handler(handler: ErrorHandler, status: int, error: Exception, api: Api) -> WerkzeugResponse | None:
    """Return the application's own refusal, or ``None`` if it has none that can be sent."""
    try:
        answer = current_app.ensure_sync(handler)(status, error)
        if answer is None:
            return None
        if not isinstance(answer, WerkzeugResponse):
            data, code, headers = unpack(answer) if isinstance(answer, tuple) else (answer, status, None)
            answer = _render(api, data, code, headers)
        if answer.status_code < 400:
            # A handler may word a refusal; it cannot take it back.
            raise ValueError(f"it answered {answer.status_code}, and only 400 and above refuses")
    except Exception:
        _log.exception("the error_handler failed for a %d; the plain refusal was sent", status)
        return None
    return answer
