"""Resources to mount: log in, refresh, log out, log out everywhere, and the list of one's sessions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from flask import request
from flask_restful import Api, Resource

from .authentication_providers.token import TokenAuthenticator
from .current import get_caller
from .errors import AuthorizationError, BadCredentialsError, ConfigurationError
from .extension import SecuREST
from .identity import Identity
from .rules.decorators import authenticators, public
from .support.checks import require_type
from .support.logs import get_logger
from .tokenstores.keeping import SessionKeeper
from .tokenstores.limits import Tokens
from .tokenstores.models import Session
from .tokenstores.owners import UntradableError

_log = get_logger(__name__)

#: The longest body that is read, in bytes: a refresh token and some scopes.
_MOST_BYTES = 16_384

#: RFC 6749, section 5.1.
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Answer = tuple[Any, int, dict[str, str]]


def add_token_resources(
    api: Api,
    securest: SecuREST,
    tokens: TokenAuthenticator,
    *,
    issue: str | None = "/tokens",
    refresh: str | None = "/tokens/refresh",
    log_out: str | None = "/tokens/current",
    log_out_everywhere: str | None = "/tokens",
    sessions: str | None = "/tokens",
    end_session: str | None = "/tokens/<string:session_id>",
) -> None:
    """Add Resources to an Api with which clients get tokens, and users end them.

    The fields are those of RFC 6749. Each path may be another one, or ``None`` for none of that. Of an authenticator
    without a store there is only ``issue``.

    :param api: the Api, which ``securest`` guards
    :param securest: has the users
    :param tokens: issues the tokens
    :param issue: ``POST``, for callers who have something else than a token; ``scope`` may be in the body
    :param refresh: ``POST`` of a ``refresh_token``
    :param log_out: ``DELETE``, for the bearer of a token: ends its session
    :param log_out_everywhere: ``DELETE``: ends all sessions of the caller
    :param sessions: ``GET``: the sessions of the caller
    :param end_session: ``DELETE``: ends one of them, by its id
    :raises ConfigurationError: an argument of the wrong type
    """
    require_type(api, Api, "api")
    require_type(securest, SecuREST, "securest")
    require_type(tokens, TokenAuthenticator, "tokens")
    tokens.connect(securest.accounts)
    methods: dict[str, dict[str, Callable[..., Answer]]] = {}
    wanted = [(issue, "post", _make_issue(tokens))]
    if tokens.sessions is not None:
        wanted += [
            (refresh, "post", _make_refresh(securest, tokens)),
            (log_out, "delete", _make_log_out(tokens, tokens.sessions)),
            (log_out_everywhere, "delete", _make_log_out_everywhere(tokens.sessions)),
            (sessions, "get", _make_list(tokens.sessions)),
            (end_session, "delete", _make_end_session(tokens.sessions)),
        ]
        if end_session is not None and "session_id>" not in end_session:
            raise ConfigurationError(f'end_session must be a path with "<string:session_id>", not {end_session!r}')
    for path, verb, method in wanted:
        if path is not None and methods.setdefault(path, {}).setdefault(verb, method) is not method:
            raise ConfigurationError(f"two of the token Resources have {verb.upper()} {path}: give one another path")
    for path, members in methods.items():
        name = re.sub(r"<(?:[^<>:]*:)?([^<>]*)>", r"\1", f"{tokens.name}{path}").replace("/", "-").replace(".", "-")
        api.add_resource(type("TokenResource", (Resource,), dict(members)), path, endpoint=name)


def _make_issue(tokens: TokenAuthenticator) -> Callable[..., Answer]:
    def post(self: Resource) -> Answer:
        identity, provider = get_caller()
        # A token that could be traded for another one would never end.
        if identity is None or not identity.tradable or getattr(provider, "credentials_are_tokens", True):
            raise AuthorizationError("these credentials cannot be traded for a token")
        fields = _read_fields()
        scope = None if fields is None else fields.get("scope")
        if fields is None or not isinstance(scope, (str, type(None))):
            return _refuse("invalid_request")
        try:
            credentials = tokens.issue_tokens(
                identity.user,
                scopes=None if scope is None else scope.split(),
                client=request.headers.get("User-Agent", ""),
            )
        except UntradableError as error:
            _log.warning("no token for %r: %s", request.remote_addr, error)
            raise AuthorizationError("these credentials cannot be traded for a token") from None
        except ValueError:
            return _refuse("invalid_scope")
        return _describe_tokens(credentials)

    return post


def _make_refresh(securest: SecuREST, tokens: TokenAuthenticator) -> Callable[..., Answer]:
    @public(reason="the refresh token in the body says who it is")
    def post(self: Resource) -> Answer:
        credentials = _read_fields()
        if credentials is None or credentials.get("grant_type", "refresh_token") != "refresh_token":
            return _refuse("invalid_request")
        token, scope = credentials.get("refresh_token"), credentials.get("scope")
        if not isinstance(token, str) or not isinstance(scope, (str, type(None))):
            return _refuse("invalid_request")
        try:
            scopes = None if scope is None else scope.split()
            return _describe_tokens(tokens.refresh_tokens(token, securest.userstore, scopes=scopes))
        except BadCredentialsError as error:
            _log.info("refused to refresh a token for %r: %s", request.remote_addr, error)
            return _refuse("invalid_grant")
        except ValueError:
            return _refuse("invalid_scope")  # RFC 6749, section 6: no more than was granted

    return post


def _make_log_out(tokens: TokenAuthenticator, sessions: SessionKeeper) -> Callable[..., Answer]:
    @authenticators(tokens)
    def delete(self: Resource) -> Answer:
        identity, _ = get_caller()
        if identity is not None:
            sessions.log_out(identity)
        return "", 204, _HEADERS

    return delete


def _make_log_out_everywhere(sessions: SessionKeeper) -> Callable[..., Answer]:
    def delete(self: Resource) -> Answer:
        sessions.end_all_of(_require_unlimited_user())
        return "", 204, _HEADERS

    return delete


def _make_list(sessions: SessionKeeper) -> Callable[..., Answer]:
    def get(self: Resource) -> Answer:
        identity = _require_unlimited_user()
        alive = sessions.list_of(identity)
        return [_describe_session(session, identity.credential_id) for session in alive], 200, _HEADERS

    return get


def _make_end_session(sessions: SessionKeeper) -> Callable[..., Answer]:
    def delete(self: Resource, session_id: str) -> Answer:
        if not sessions.end_own(_require_unlimited_user(), session_id):
            # Whether it is somebody else's, or nobody's, is not told.
            return {"message": "There is no such session"}, 404, _HEADERS
        return "", 204, _HEADERS

    return delete


def _require_unlimited_user() -> Identity:
    """Return the user who is calling.

    :raises AuthorizationError: it is an application, which may have the name of a user; or it has credentials that are
        limited to scopes: a token to read with must not log its user out everywhere
    """
    identity, _ = get_caller()
    if identity is None or identity.app_name is not None or identity.scopes is not None:
        raise AuthorizationError("sessions are for users themselves, and not for limited credentials")
    return identity


def _read_fields() -> dict[str, Any] | None:
    """Return the fields of a body in JSON or of a form; ``None`` if it is neither, or too long."""
    length = request.content_length
    if length is not None and length > _MOST_BYTES:
        return None
    # Somebody may have read it before, such as a hook that logs: then it is kept, or has been taken apart.
    secret = request.stream.read(_MOST_BYTES + 1) if length is None else request.get_data(cache=True)
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    if is_form and not secret:
        credentials = list(request.form.items(multi=True))
    elif len(secret) > _MOST_BYTES or (length and not secret):
        # What was sent and cannot be read any more may have asked for a limit: never take it for nothing.
        return None
    else:
        try:
            token = secret.decode("utf-8-sig")  # a byte order mark may be ignored (RFC 8259, section 8.1)
            if is_form:
                credentials = parse_qsl(token, max_num_fields=20, keep_blank_values=True)
            else:
                credentials = json.loads(token, object_pairs_hook=list) if token.strip() else []
        except (ValueError, RecursionError):
            return None
    if not isinstance(credentials, list) or not all(isinstance(secret, tuple) for secret in credentials):
        return None
    # RFC 6749, section 3.2: none of them may be there twice.
    return dict(credentials) if len(dict(credentials)) == len(credentials) else None


def _refuse(error: str) -> Answer:
    """Return an error of RFC 6749, section 5.2."""
    return {"error": error}, 400, _HEADERS


def _describe_tokens(token: Tokens) -> Answer:
    credentials = {"access_token": token.access_token, "token_type": "Bearer", "expires_in": token.expires_in}
    if token.refresh_token is not None:
        credentials["refresh_token"] = token.refresh_token
    if token.scopes is not None:
        credentials["scope"] = " ".join(sorted(token.scopes))
    return credentials, 200, _HEADERS


def _describe_session(session: Session, current: str | None) -> dict[str, Any]:
    times = {name: getattr(session, name) for name in ("created_at", "last_used_at", "expires_at")}
    return {
        "id": session.id,
        "client": session.client,
        "current": session.id == current,
        "scope": None if session.scopes is None else " ".join(sorted(session.scopes)),
        **{name: None if at is None else at.isoformat() for name, at in times.items()},
    }
