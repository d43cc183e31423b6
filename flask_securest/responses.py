"""Turn a refusal into a response: the one place that knows what a refused client sees.

A refusal is *returned*, never raised. A raised 401 would pass through Flask-RESTful's error handling, where
``serve_challenge_on_401`` overwrites every challenge, ``Api(errors=...)`` makes something else of it, and error
trackers take it for a fault of the application.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import copy
from typing import Any

from flask import Response, current_app, got_request_exception
from flask_restful import Api
from flask_restful.utils import http_status_message, unpack
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as WerkzeugResponse

from .authentication_providers.abstract import AbstractAuthenticationProvider
from .authentication_providers.headers import read_authorization
from .decision import Verdict
from .errors import BadCredentialsError
from .logs import get_logger
from .models import Identity

_log = get_logger(__name__)

#: After how many seconds a client may try again where the error does not tell.
DEFAULT_RETRY_AFTER_SECONDS = 5

#: The bodies, which say no more than the status does.
_MESSAGES = {401: "Unauthorized User", 403: "Forbidden", 503: "Service Unavailable"}

#: A cache that kept a refusal would go on refusing, or tell others of it.
_NO_STORE = Headers({"Cache-Control": "no-store"})

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
    :param error_handler: the application's own, for the statuses in :data:`_MESSAGES`
    """
    status, error = verdict.status or 500, verdict.error
    message = _MESSAGES.get(status) or http_status_message(status)
    headers = Headers()
    try:
        if verdict.own_words is not None:
            return _complete(_render_own_words(api, verdict.own_words), _NO_STORE)
        if status == 500:
            # Error trackers listen to this signal; they should hear of a bug, and of nothing else that we refuse.
            got_request_exception.send(current_app._get_current_object(), exception=error)  # type: ignore[attr-defined]
        headers = _make_headers(status, verdict, request, realm)
        if error_handler is not None and status in _MESSAGES and error is not None:
            response = _ask_handler(error_handler, status, error, api)
            if response is not None:
                return _complete(response, headers)
        return _complete(_render(api, {"message": message}, status), headers, force=True)
    except Exception:
        _log.exception("a refusal (%d) could not be made as it should be; a plain one was sent", status)
        response = Response(json.dumps({"message": message}), status, mimetype="application/json")
        return _complete(response, headers or _NO_STORE, force=True)


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


def _make_headers(status: int, verdict: Verdict, request: Request, realm: str) -> Headers:
    """Return what a refusal carries beside its body."""
    headers = _NO_STORE.copy()
    chain = verdict.policy.chain
    if status == 401 and chain is not None:
        # The union of all challenges, and always the same for the same request: which provider refused, and how far
        # the chain went, shows nowhere. A bearer token is told to be invalid for having been sent (RFC 6750, 3.1).
        error = "invalid_token" if _has_bearer_token(request) else None
        challenges = [_ask_challenge(provider, realm, error) for _, provider in chain.providers]
        for challenge in dict.fromkeys(challenges):
            if challenge is not None:
                headers.add("WWW-Authenticate", challenge)
    elif status == 403 and verdict.insufficient_scope and verdict.outcome and verdict.outcome.provider:
        challenge = _ask_challenge(verdict.outcome.provider, realm, "insufficient_scope")
        if challenge is not None and challenge.startswith("Bearer "):
            headers.add("WWW-Authenticate", challenge)
    elif status == 503:
        headers.add("Retry-After", str(_read_retry_after(verdict.error)))
    return headers


def _ask_challenge(provider: AbstractAuthenticationProvider, realm: str, error: str | None) -> str | None:
    """Return the challenge of a provider; none if it fails, or would split the response (CWE-113)."""
    try:
        challenge = provider.challenge(realm, error)
        if challenge is None or (challenge.isascii() and challenge.isprintable()):
            return challenge
        _log.error("the challenge of %r has characters that no header has; it was left out", type(provider).__name__)
    except Exception:
        _log.exception("the challenge of %r failed; it was left out", type(provider).__name__)
    return None


def _read_retry_after(error: Exception | None) -> int:
    """Return after how many whole seconds the client may try again."""
    try:
        seconds: float = getattr(error, "retry_after", None)  # type: ignore[assignment]  # math.ceil finds out
        return max(0, math.ceil(seconds))
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_RETRY_AFTER_SECONDS


def _has_bearer_token(request: Request) -> bool:
    try:
        return bool(read_authorization(request, "bearer"))
    except BadCredentialsError:
        return True


def _complete(response: WerkzeugResponse, headers: Headers, *, force: bool = False) -> WerkzeugResponse:
    """Return ``response`` with ``headers``, where it has not set them itself.

    :param force: whether it gets ours in any case, for it is our own response: a representation that lets everything
        be cached must not let a refusal be
    """
    # A copy: a handler may return the same object to everybody, and what one client has sent is told to that one alone.
    response = copy(response)
    response.headers = Headers(response.headers)
    for name in set(headers.keys()):
        if force or name not in response.headers:
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
