"""Turn a refusal into a response: the one place that knows what a refused client sees.

A refusal is *returned*, never raised. A raised 401 would pass through Flask-RESTful's error handling, where
``serve_challenge_on_401`` overwrites every challenge, ``Api(errors=...)`` makes something else of it, and error
trackers take it for a fault of the application.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from flask import Response, current_app, got_request_exception
from flask_restful import Api
from flask_restful.utils import http_status_message, unpack
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as WerkzeugResponse

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..decision.chain import Chain
from ..decision.verdict import Verdict
from ..errors import BadCredentialsError
from ..protocols.http.headers import read_authorization
from ..support.logs import get_logger

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
    verdict: Verdict,
    request: Request,
    api: Api | None,
    chain: Chain | None,
    realm: str,
    error_handler: ErrorHandler | None,
    *,
    is_news: bool,
) -> WerkzeugResponse:
    """Return the response to a refused request.

    Whatever goes wrong here, in a challenge, a handler or a representation, ends in a refusal too.

    :param verdict: the refusal
    :param request: what is refused
    :param api: whose representations render the body; ``None`` for JSON
    :param chain: whose challenges a 401 has
    :param realm: the realm of the challenges
    :param error_handler: the application's own, for the statuses in :data:`_MESSAGES`
    :param is_news: whether an error tracker should hear of a bug
    """
    status, error = verdict.status or 500, verdict.error
    message = _MESSAGES.get(status) or http_status_message(status)
    headers = Headers()
    try:
        if verdict.own_words is not None:
            return _complete(_render_own_words(api, verdict.own_words), _NO_STORE)
        if status == 500 and is_news:
            # Error trackers listen to this signal; they should hear of a bug, and of nothing else that we refuse.
            got_request_exception.send(current_app._get_current_object(), exception=error)  # type: ignore[attr-defined]
        headers = _make_headers(status, verdict, request, chain, realm)
        if error_handler is not None and status in _MESSAGES and error is not None:
            response = _ask_handler(error_handler, status, error, api)
            if response is not None:
                return _complete(response, headers)
        return _complete(_render(api, {"message": message}, status), headers, force=True)
    except Exception:
        _log.exception("a refusal (%d) could not be made as it should be; a plain one was sent", status)
        response = Response(json.dumps({"message": message}), status, mimetype="application/json")
        return _complete(response, headers or _NO_STORE, force=True)


def _make_headers(status: int, verdict: Verdict, request: Request, chain: Chain | None, realm: str) -> Headers:
    """Return what a refusal carries beside its body."""
    headers = _NO_STORE.copy()
    if status == 401:
        challenges = list(dict.fromkeys(_collect_challenges(verdict, request, chain, realm)))
        for challenge in challenges:
            # Of two providers of bearer tokens, one may call the token invalid, and the other not know it for its own.
            if not any(other.startswith(f"{challenge}, error=") for other in challenges):
                headers.add("WWW-Authenticate", challenge)
    elif status == 403 and verdict.insufficient_scope and verdict.found and verdict.found[3]:
        for challenge in _ask_challenges(verdict.found[3], realm, "insufficient_scope"):
            if challenge.startswith("Bearer "):
                headers.add("WWW-Authenticate", challenge)
    elif status == 503:
        headers.add("Retry-After", str(_read_retry_after(verdict.error)))
    return headers


def _collect_challenges(verdict: Verdict, request: Request, chain: Chain | None, realm: str) -> Iterator[str]:
    """Yield the challenges of a 401: the union of all, and always the same for the same request.

    Which provider refused, and how far the chain went, shows nowhere, unless a provider says so in an error of its own.
    A bearer token is told to be invalid for having been sent (RFC 6750, 3.1), by those whose tokens look like it.
    """
    attempts = verdict.outcome.attempts if verdict.outcome is not None else []
    said = [(attempt.provider, getattr(attempt.error, "challenge", None)) for attempt in attempts]
    own = {provider: challenge for provider, challenge in said if challenge is not None}
    raised = getattr(verdict.error, "challenge", None)
    if raised is not None and verdict.error not in [attempt.error for attempt in attempts]:
        # The view has raised it: it stands for whom it has been let in by, or, if for nobody, it comes first.
        vouched = verdict.identity.provider if verdict.identity is not None else None
        if vouched is None:
            yield from _check_challenges(raised, "the error of a view")
        else:
            own[vouched] = raised
    token = _read_bearer_token(request)
    for name, provider in chain.providers if chain is not None else ():
        if name in own:
            yield from _check_challenges(own[name], type(provider).__name__)
        else:
            yield from _ask_challenges(provider, realm, None, token)


def _ask_challenges(
    provider: AbstractAuthenticationProvider, realm: str, error: str | None, token: bytes | None = None
) -> list[str]:
    """Return the challenges of a provider; none if it fails.

    :param token: the bearer token that was sent, which is invalid
    """
    name = type(provider).__name__
    try:
        if token is not None and provider.takes_bearer_token(token):
            error = "invalid_token"
        return _check_challenges(provider.challenge(realm, error), name)
    except Exception:
        _log.exception("the challenge of %r failed; it was left out", name)
        return []


def _check_challenges(challenges: object, name: str) -> list[str]:
    """Return challenges as a list, without those that would split the response (CWE-113).

    :param challenges: one, or a list of them, or ``None``
    :param name: whose they are, for the log
    """
    several = challenges if isinstance(challenges, (list, tuple)) else [challenges]
    good = []
    for challenge in several:
        if isinstance(challenge, str) and challenge.isascii() and challenge.isprintable():
            good.append(challenge)
        elif challenge is not None:
            _log.error("a challenge of %r has characters that no header has, or is no text; it was left out", name)
    return good


def _read_retry_after(error: Exception | None) -> int:
    """Return after how many whole seconds the client may try again."""
    try:
        seconds: float = getattr(error, "retry_after", None)  # type: ignore[assignment]  # math.ceil finds out
        return max(0, math.ceil(seconds))
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_RETRY_AFTER_SECONDS


def _read_bearer_token(request: Request) -> bytes | None:
    """Return the bearer token that was sent; an empty one for one that is longer than any."""
    try:
        return read_authorization(request, "bearer") or None
    except BadCredentialsError:
        return b""


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


def _render(api: Api | None, data: Any, status: int, headers: Any = None) -> WerkzeugResponse:
    """Return ``data`` in the representation that the client accepts, or in the Api's first one; without an Api as JSON.

    :raises TypeError: it is nothing that can be represented
    """
    if api is None:
        return current_app.response_class(
            current_app.json.dumps(data) + "\n", status, headers, mimetype="application/json"
        )
    fallback = api.default_mediatype or next(iter(api.representations), "text/plain")
    response: WerkzeugResponse = api.make_response(data, status, headers, fallback_mediatype=fallback)
    # A representation that does not care for the status would answer 200.
    response.status_code = status
    return response


def _render_own_words(api: Api | None, error: HTTPException) -> WerkzeugResponse:
    """Return what Flask-RESTful makes of this error when a view raises it."""
    if error.response is not None:
        return error.get_response()
    headers = error.get_response().headers
    for name in ("Content-Length", "Content-Type"):
        headers.pop(name, None)
    return _render(api, getattr(error, "data", {"message": error.description}), error.code or 500, headers)


def _ask_handler(handler: ErrorHandler, status: int, error: Exception, api: Api | None) -> WerkzeugResponse | None:
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
