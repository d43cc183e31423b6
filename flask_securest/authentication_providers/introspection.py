"""Opaque bearer tokens, about which their issuer is asked (RFC 7662): ``Authorization: Bearer 2YotnFZFEjr1zCsicMWpAA``.

The issuer gets ``token=2YotnFZFEjr1zCsicMWpAA&token_type_hint=access_token`` by POST, with the API's own name and
secret by HTTP Basic, and answers in JSON: ``{"active": true, "token_type": "Bearer", "username": "alice", ...}``.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from hashlib import blake2s
from typing import Any

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ExpiredCredentialsError
from ..identity import Identity
from ..keystores.format import find_key_id
from ..models import User, limit_scopes, require_user
from ..protocols.claims import ClaimMapping
from ..protocols.http.bearer import make_token_header
from ..protocols.http.fetch import FetchOptions
from ..protocols.http.proxy import require_proxy
from ..protocols.http.tls import ClientCertificate
from ..protocols.introspection.answer import LAST_SECOND, Answer, Refusal, make_expected, read_answer
from ..protocols.introspection.cache import MAX_CACHE_SECONDS, IntrospectionCache
from ..protocols.introspection.client import make_client
from ..protocols.introspection.endpoint import IntrospectionEndpoint
from ..protocols.jwt.format import is_jwt
from ..protocols.token_rules import Required, Revoked, VerifyClaims, make_token_rules
from ..support.checks import require_bool, require_name
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

# RFC 6750, section 2.1.
_B64TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")

# A JSON object in base64url, and two or four more parts: a JWS or JWE (RFC 7515, section 7.1; RFC 7516).
_JWT = re.compile(rb"e[wy][^.]*(?:\.[^.]*\.[^.]*){1,2}")


class IntrospectionAuthenticator(AbstractAuthenticationProvider):
    """Know callers by opaque bearer tokens, by asking who issued them.

    Where there is a userstore, the user is looked up in it on every use, and its rights are those that it has there.
    Otherwise it is made from the answer. Scopes are those of the token, and no more than the user has.

    :param url: the introspection endpoint
    :param client_id: how this API is called by the issuer
    :param client_secret: its secret there; ``None`` where it says who it is in another way
    :param client_auth: how it says so: ``"client_secret_basic"``, ``"client_secret_post"``, ``"private_key_jwt"`` (RFC
        7523) or ``"tls_client_auth"`` (RFC 8705); ``None`` for the one that the other arguments are for, by HTTP Basic
        where it has a secret
    :param client_key: its private key for ``private_key_jwt``, in PEM
    :param client_key_id: the name of that key, by which the issuer finds the public one
    :param client_assertion_audience: whom the tokens are for that are signed with it; ``None`` for ``url``
    :param client_certificate: a PEM file with its certificate and key, or one of each, for an endpoint that asks for
        one
    :param username_claim: what in an answer is the name of the user; of several, the first that there is. Of a token
        that no user has asked for, issuers often say ``client_id`` alone: add it only where no client can be called
        like a user.
    :param username: a function of the answer that returns the user's name, or ``None`` for nobody, instead
    :param roles_claim: what in an answer are the roles of a user who is in no userstore: the name of a claim, a dotted
        path such as ``"realm_access.roles"``, or a function of the answer
    :param audience: whom tokens must be for: one of these; an answer that does not say so is refused. ``None`` for
        whomever: then a token for any other API of this issuer is good here, unless the issuer itself says no.
    :param issuer: what answers must name as ``iss``; ``None`` for anything
    :param require_token_type: whether an answer must say that it is a bearer token. Many issuers answer questions about
        refresh tokens, too, and this may be all that tells them apart.
    :param required_claims: what an answer must say: ``{"client_id": ["web", "app"]}``. Each is a value, a list of
        allowed ones, or a function of the claim's value
    :param verify_claims: a function of the answer that raises :class:`~flask_securest.errors.BadCredentialsError` for
        those that it refuses
    :param revoked: a function of the answer that returns whether the token was revoked, such as
        :class:`~flask_securest.tokenstores.RevokedTokens`; it is asked with each request
    :param introspect_jwts: whether the issuer is asked about JWTs, too. Several refuse to answer that; and a token of
        another issuer would be shown to this one.
    :param leeway: how far the clocks of the issuer and of this machine may be apart, in seconds
    :param cache_seconds: for how long an answer is good, at most 60; never beyond the token's own end. So long a
        revoked token may go on working.
    :param negative_cache_seconds: the same of a token that is not active
    :param cache_entries: how many answers are kept
    :param timeout: how long an answer may take, in seconds; a request waits half as long for its turn to ask
    :param max_answer_bytes: how long it may be
    :param ca_file: a PEM file with the authorities that issue the endpoint's certificate; ``None`` for the system's
    :param allow_http: ask without TLS where the URL says so: whoever listens reads tokens and the secret
    :param proxy: a proxy that leads to the endpoint, such as ``"http://user:password@proxy.example:3128"``; TLS goes
        through it, end to end. Those of the environment are never used.
    :param scheme: the scheme of ``Authorization``, for clients that send ``Token ...``
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: an argument that cannot be
    """

    credentials_are_tokens = True

    uses_api_userstore = True

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        client_auth: str | None = None,
        client_key: str | bytes | None = None,
        client_key_id: str | None = None,
        client_assertion_audience: str | None = None,
        client_certificate: ClientCertificate | None = None,
        username_claim: str | Iterable[str] = ("username", "sub"),
        username: Callable[[Mapping[str, Any]], str | None] | None = None,
        roles_claim: ClaimMapping | None = None,
        audience: str | Iterable[str] | None = None,
        issuer: str | None = None,
        require_token_type: bool = True,
        required_claims: Mapping[str, Required] | None = None,
        verify_claims: VerifyClaims | None = None,
        revoked: Revoked | None = None,
        introspect_jwts: bool = False,
        leeway: float = 60,
        cache_seconds: float = MAX_CACHE_SECONDS,
        negative_cache_seconds: float = 10,
        cache_entries: int = 10_000,
        timeout: float = 5,
        max_answer_bytes: int = 65_536,
        ca_file: str | os.PathLike[str] | None = None,
        allow_http: bool = False,
        proxy: str | None = None,
        scheme: str = "Bearer",
        name: str = "introspection",
    ) -> None:
        self.name = require_name(name, "name of IntrospectionAuthenticator")
        self.introspect_jwts = require_bool(introspect_jwts, "introspect_jwts")
        self._token_header = make_token_header(scheme, None)
        self._rules = make_token_rules(required_claims, verify_claims, revoked)
        self._expected = make_expected(
            username_claim, username, audience, issuer, require_token_type, roles_claim, leeway, self._rules
        )
        client = make_client(
            *(client_auth, client_id, client_secret, client_key, client_key_id, client_assertion_audience),
            has_certificate=client_certificate is not None,
        )
        options = FetchOptions(timeout, allow_http, ca_file, client_certificate, require_proxy(proxy))
        self._endpoint = IntrospectionEndpoint(url, client, options, max_answer_bytes)
        self._answers = IntrospectionCache(cache_seconds, negative_cache_seconds, cache_entries, patience=2 * timeout)
        # Answers are kept under digests that nobody outside can foretell: whoever reads our memory reads no token, and
        # the time that a look-up takes tells nothing about one (CWE-208).
        self._secret = secrets.token_bytes(32)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return whose token it is."""
        token = self._token_header.read(request)
        if token is None:
            return None
        if not _B64TOKEN.fullmatch(token):
            raise BadCredentialsError("a bearer token with characters that none has")
        if not self.takes_token(token):
            raise BadCredentialsError(
                "a JWT, or a token of our own, about which the issuer is not asked (introspect_jwts)"
            )
        digest = blake2s(token, key=self._secret).digest()
        answer = self._answers.get(
            digest, lambda known: read_answer(self._endpoint.ask(token, known=known), self._expected)
        )
        if isinstance(answer, Refusal):
            raise (ExpiredCredentialsError if answer.expired else BadCredentialsError)(answer.reason)
        return self._make_identity(answer, userstore)

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``."""
        return self._token_header.challenge(realm, error)

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether the issuer is asked about such tokens: about JWTs only with ``introspect_jwts``."""
        return self._token_header.is_bearer and self.takes_token(token)

    def takes_token(self, token: bytes) -> bool:
        """Return whether the issuer is asked about a token as this one is written.

        What this library has made, tokens and API keys, is never shown to it, whatever is said of JWTs: a refresh token
        that was sent here by mistake is good for a month (CWE-200).

        :param token: the token as it was sent
        """
        if not _JWT.fullmatch(token):
            # A refresh token is a key, a point and a signature; its checksum tells it from whatever looks alike.
            return find_key_id(token.partition(b".")[0]) is None
        return self.introspect_jwts and (token.count(b".") != 2 or is_jwt(token))

    def _make_identity(self, answer: Answer, userstore: AbstractUserstore | None) -> Identity:
        self._rules.verify(answer.claims)
        user = User(answer.username, roles=answer.roles) if userstore is None else userstore.get_user(answer.username)
        if user is None:
            raise BadCredentialsError("a token of a user that is gone")
        require_user(user)
        ends_at = None if answer.ends_at is None else min(answer.ends_at + self._expected.leeway, LAST_SECOND)
        return Identity(
            user,
            self.name,
            scopes=limit_scopes(answer.scopes, user),
            credential_id=answer.token_id,
            app_name=answer.client_id,
            expires_at=None if ends_at is None else datetime.fromtimestamp(ends_at, timezone.utc),
            claims=answer.claims,
        )
