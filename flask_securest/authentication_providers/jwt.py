"""Signed tokens of an issuer elsewhere (JWT, RFC 7519; OpenID Connect), as bearer tokens (RFC 6750).

They travel as ``Authorization: Bearer eyJhbGciOi...``: header, claims and signature, each in base64url. How they are
checked follows RFC 8725, and RFC 9068 for access tokens.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError
from ..identity import Identity
from ..models import User, UserModel, limit_scopes, require_user
from ..protocols.http.headers import environ_key, format_challenge, read_authorization, read_header
from ..protocols.jwt.claims import ClaimMapping, read_name, read_roles, read_scopes, read_text
from ..protocols.jwt.document import FetchOptions, KeyDocument
from ..protocols.jwt.format import parse_token
from ..protocols.jwt.jwk import require_key, require_key_set
from ..protocols.jwt.jwks import RemoteKeys
from ..protocols.jwt.keys import ALGORITHMS, KeySource, import_jwt
from ..protocols.jwt.policy import make_claims_policy, make_header_policy, require_names
from ..support.checks import require_name
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider

# A month: whoever wants keys for longer gives them as jwks.
_MOST_STALE_SECONDS = 31 * 24 * 3600


class JWTAuthenticator(AbstractAuthenticationProvider):
    """Know users by tokens that somebody else has issued.

    The keys come from exactly one of ``key``, ``jwks``, ``jwks_url`` and ``discovery``, and never from a token. With a
    URL they are fetched at the first token, and anew in good time; where the issuer does not answer, the keys that are
    known go on working.

    The user is looked up in the userstore on every use. An API without a userstore takes name and roles from the token;
    all claims are then in ``user.attributes["claims"]``.

    :param algorithms: which ones the issuer signs with, such as ``["RS256"]``; others are refused
    :param issuer: what ``iss`` must be; ``None`` only with ``allow_any_issuer``
    :param audience: what this API is called in ``aud``, one name or several; ``None`` only with ``allow_any_audience``
    :param key: a shared secret (HS...), or a public key in PEM or as a JWK mapping
    :param jwks: a JWKS document, as a mapping
    :param jwks_url: where the issuer publishes its JWKS
    :param discovery: ask the issuer where that is (``ISSUER/.well-known/openid-configuration``)
    :param allow_any_issuer: take tokens of anybody whose key is known
    :param allow_any_audience: take tokens that were issued for other APIs
    :param leeway: how far the clocks of the issuer and of this machine may be apart, in seconds
    :param token_type: the ``typ`` that tokens must have, such as ``"at+jwt"``, where the issuer says it (RFC 9068);
        ``None`` for tokens that say ``at+jwt``, ``JWT`` or nothing
    :param username_claim: which claim is the user's name. Take one that users cannot choose themselves.
    :param scope_claims: which claims have scopes; a token has the scopes of all of them together
    :param roles_claim: which claim has the roles of users without a userstore: its name, a dotted path such as
        ``"realm_access.roles"``, or a function of the claims
    :param header: a header that carries the bare token, instead of ``Authorization: Bearer``
    :param timeout: how long fetching keys may take in all, in seconds
    :param stale_seconds: for how long keys are used that cannot be fetched anew
    :param allow_http: fetch keys without TLS where the URL says so
    :param ca_file: a PEM file with the authorities that issue the issuer's certificate; ``None`` for the system's
    :param name: how the provider is called in rules, identities and logs
    :raises ConfigurationError: what cannot work, or would not be safe
    :raises MissingDependencyError: PyJWT or cryptography is not installed
    """

    credentials_are_tokens = True

    uses_api_userstore = True

    def __init__(
        self,
        *,
        algorithms: Collection[str],
        issuer: str | None,
        audience: str | Collection[str] | None,
        key: str | bytes | Mapping[str, Any] | None = None,
        jwks: Mapping[str, Any] | None = None,
        jwks_url: str | None = None,
        discovery: bool = False,
        allow_any_issuer: bool = False,
        allow_any_audience: bool = False,
        leeway: float = 60,
        token_type: str | None = None,
        username_claim: str = "sub",
        scope_claims: str | Collection[str] = ("scope", "scp", "permissions"),
        roles_claim: ClaimMapping | None = None,
        header: str | None = None,
        timeout: float = 5,
        stale_seconds: float = 24 * 3600,
        allow_http: bool = False,
        ca_file: str | os.PathLike[str] | None = None,
        name: str = "jwt",
    ) -> None:
        import_jwt()
        self.name = require_name(name, "name of JWTAuthenticator")
        self.header = header
        if header is not None:
            environ_key(header)
            self.credential_headers = (header,)
        self._header_policy = make_header_policy(algorithms, token_type)
        self._claims_policy = make_claims_policy(
            issuer, audience, leeway, allow_any_issuer=allow_any_issuer, allow_any_audience=allow_any_audience
        )
        self._username_claim = require_name(username_claim, "username_claim")
        self._scope_claims = require_names(scope_claims, "scope_claims")
        self._roles_claim = _require_mapping(roles_claim)
        given = {"key": key, "jwks": jwks, "jwks_url": jwks_url, "discovery": discovery or None}
        sources = {what: value for what, value in given.items() if value is not None}
        options = FetchOptions(timeout, allow_http=allow_http, ca_file=ca_file)
        self._keys = _make_key_source(sources, issuer, self._header_policy.algorithms, options, stale_seconds)

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        own = self.header
        credentials = read_authorization(request, "bearer") if own is None else read_header(request, own)
        if credentials is None:
            return None
        token = parse_token(credentials)
        # Everything that can be said without a key comes first: a token that is somebody else's, or over, or garbage,
        # must not make us ask the issuer.
        algorithm, key_id = self._header_policy.check(token.header)
        expires_at = self._claims_policy.check(token.claims)
        username = read_name(token.claims, self._username_claim)
        scopes = read_scopes(token.claims, self._scope_claims)
        credential_id = read_text(token.claims, "jti")
        app_name = read_text(token.claims, "azp", "client_id")
        secret = self._keys.find(key_id, algorithm)
        if secret is None:
            raise BadCredentialsError("a JWT of a key that the issuer has not, or not only one of")
        if not secret.verify(algorithm, token.signed, token.signature):
            raise BadCredentialsError("a JWT that was not signed with the issuer's key")
        # From here on, what the token says is true.
        user = self._find_user(username, token.claims, userstore)
        return Identity(
            user,
            self.name,
            scopes=limit_scopes(scopes, user),
            credential_id=credential_id,
            app_name=app_name,
            expires_at=expires_at,
            claims=token.claims,
        )

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        if self.header is not None:
            return format_challenge("Token", realm=realm, header=self.header)
        return format_challenge("Bearer", realm=realm, error=error)

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether tokens travel as bearer tokens: any may be meant to be a JWT."""
        return self.header is None

    def _find_user(self, username: str, claims: Mapping[str, Any], userstore: AbstractUserstore | None) -> UserModel:
        """Return the user as the userstore knows it now, or as the claims say where there is none.

        :raises BadCredentialsError: the user is gone, or its roles cannot be read
        """
        if userstore is None:
            return User(username, roles=read_roles(claims, self._roles_claim), attributes={"claims": claims})
        user = userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a JWT of a user that is not known, or gone")
        return require_user(user)


def _require_mapping(mapping: object) -> ClaimMapping | None:
    """Return where roles are, if it is a name or a function."""
    if mapping is None or callable(mapping):
        return mapping
    return require_name(mapping, "roles_claim")


def _make_key_source(
    sources: Mapping[str, Any],
    issuer: str | None,
    algorithms: frozenset[str],
    options: FetchOptions,
    stale_seconds: float,
) -> KeySource:
    """Return where the keys come from.

    :raises ConfigurationError: there is not exactly one source, or it cannot be used
    """
    if len(sources) != 1:
        named = " and ".join(sources) or "none of them"
        raise ConfigurationError(f"exactly one of key, jwks, jwks_url and discovery must be given, not {named}")
    ((what, value),) = sources.items()
    if what == "key":
        return require_key(value, algorithms)
    if what == "jwks":
        return require_key_set(value, algorithms)
    if any(ALGORITHMS[name].key_type == "oct" for name in algorithms):
        raise ConfigurationError(f"algorithms must not be HS... with {what}: a secret that is published is none")
    if isinstance(stale_seconds, bool) or not isinstance(stale_seconds, (int, float)):
        raise ConfigurationError(f"stale_seconds must be a number, not of type {type(stale_seconds).__name__}")
    if not 0 <= stale_seconds <= _MOST_STALE_SECONDS:
        raise ConfigurationError(f"stale_seconds must be from 0 to {_MOST_STALE_SECONDS}, not {stale_seconds!r}")
    if what == "discovery" and value is not True:
        raise ConfigurationError(f"discovery must be True or False, not of type {type(value).__name__}")
    url = value if what == "jwks_url" else None
    document = KeyDocument(url, issuer=issuer, algorithms=algorithms, options=options)
    return RemoteKeys(document.load, timeout=options.timeout, stale_seconds=stale_seconds)
