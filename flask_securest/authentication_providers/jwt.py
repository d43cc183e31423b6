"""Signed tokens of an issuer elsewhere (JWT, RFC 7519; OpenID Connect), as bearer tokens (RFC 6750).

They travel as ``Authorization: Bearer eyJhbGciOi...``: header, claims and signature, each in base64url. How they are
checked follows RFC 8725, and RFC 9068 for access tokens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from werkzeug.wrappers import Request

from ..errors import BadCredentialsError, ConfigurationError
from ..identity import UNSET, Claims, Identity
from ..models import ReadOnlyDict, User, UserModel, limit_scopes, require_user
from ..protocols.claims import ClaimMapping, read_text
from ..protocols.http.bearer import make_token_header
from ..protocols.http.fetch import FetchOptions
from ..protocols.http.headers import MAX_CREDENTIALS_BYTES
from ..protocols.http.proxy import require_proxy
from ..protocols.http.tls import ClientCertificate
from ..protocols.jwt.format import parse_token
from ..protocols.jwt.keys import import_jwt
from ..protocols.jwt.policy import make_claims_policy, make_header_policy
from ..protocols.jwt.sources import KeySources, require_issuers
from ..protocols.token_rules import Required, Revoked, VerifyClaims, make_token_rules
from ..protocols.user_claims import SCOPE_CLAIMS, make_user_claims
from ..support.checks import require_name
from ..userstores.abstract import AbstractUserstore
from .abstract import AbstractAuthenticationProvider


class JWTAuthenticator(AbstractAuthenticationProvider):
    """Know users by tokens that somebody else has issued.

    The keys come from exactly one of ``key``, ``jwks``, ``jwks_url`` and ``discovery``, and never from a token. With a
    URL they are fetched at the first token, and anew in good time; where the issuer does not answer, the keys that are
    known go on working.

    The user is looked up in the userstore on every use. An API without a userstore takes name and roles from the token;
    all claims are then in ``user.attributes["claims"]``.

    Tokens that say of themselves that they are refresh, ID or log-out tokens are refused, and those that are bound to a
    key or a certificate (``cnf``). A claim that is ``null`` was not said.

    :param algorithms: which ones the issuer signs with, such as ``["RS256"]``; others are refused
    :param issuer: what ``iss`` must be; ``None`` only with ``allow_any_issuer``. A list of several, or with ``tenants``
        a template such as ``"https://login.microsoftonline.com/{tenantid}/v2.0"``: then each has keys of its own, and a
        user without a userstore has the origin ``name:issuer``, for names are unique with their issuer only
    :param audience: what this API is called in ``aud``, one name or several; ``None`` only with ``allow_any_audience``
    :param tenants: what may stand for ``{tenantid}`` in ``issuer``
    :param key: a shared secret (HS...), or a public key in PEM or as a JWK mapping
    :param jwks: a JWKS document, as a mapping
    :param jwks_url: where the issuer publishes its JWKS. With several issuers this, ``jwks`` or ``key`` is a mapping of
        each issuer to its own; with ``tenants``, ``jwks_url`` may have ``{tenantid}``, too
    :param discovery: ask the issuer where that is (``ISSUER/.well-known/openid-configuration``)
    :param allow_any_issuer: take tokens of anybody whose key is known
    :param allow_any_audience: take tokens that were issued for other APIs
    :param leeway: how far the clocks of the issuer and of this machine may be apart, in seconds
    :param token_type: the ``typ`` that tokens must have, such as ``"at+jwt"``, where the issuer says it (RFC 9068);
        ``None`` for tokens that say ``at+jwt``, ``JWT`` or nothing
    :param username_claim: which claim is the user's name. Take one that users cannot choose themselves.
    :param username: a function of the verified claims that returns the user's name, or ``None`` for nobody, instead.
        With several issuers and a userstore it is required: two issuers may both know an ``alice``.
    :param scope_claims: which claims have scopes; a token has the scopes of all of them together
    :param roles_claim: which claim has the roles of users without a userstore: its name, a dotted path such as
        ``"realm_access.roles"``, or a function of the claims
    :param required_claims: what claims must say: ``{"token_use": "access"}``. Each is a value, a list of allowed ones,
        or a function of the claim's value; a dotted path leads to a member of a claim
    :param verify_claims: a function of the verified claims that raises
        :class:`~flask_securest.errors.BadCredentialsError` for those that it refuses
    :param revoked: a function of the verified claims that returns whether the token was revoked, such as
        :class:`~flask_securest.tokenstores.RevokedTokens`
    :param header: a header that carries the bare token, instead of ``Authorization: Bearer``
    :param scheme: the scheme of ``Authorization``, for clients that send ``JWT ...`` or ``Token ...``
    :param max_token_bytes: how long a token may be, from 256 to 65 536 bytes. The server in front has a limit, too.
    :param timeout: how long fetching keys may take in all, in seconds
    :param stale_seconds: for how long keys are used that cannot be fetched anew
    :param allow_http: fetch keys without TLS where the URL says so
    :param ca_file: a PEM file with the authorities that issue the issuer's certificate; ``None`` for the system's
    :param client_certificate: a PEM file with a certificate of our own and its key, or one of each, for an issuer that
        asks for one
    :param proxy: a proxy that leads to the issuer, such as ``"http://user:password@proxy.example:3128"``; TLS goes
        through it, end to end. Those of the environment are never used.
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
        issuer: str | Collection[str] | None,
        audience: str | Collection[str] | None,
        tenants: Collection[str] | None = None,
        key: str | bytes | Mapping[str, Any] | None = None,
        jwks: Mapping[str, Any] | None = None,
        jwks_url: str | Mapping[str, str] | None = None,
        discovery: bool = False,
        allow_any_issuer: bool = False,
        allow_any_audience: bool = False,
        leeway: float = 60,
        token_type: str | None = None,
        username_claim: str = "sub",
        username: Callable[[Mapping[str, Any]], str | None] | None = None,
        scope_claims: str | Collection[str] = SCOPE_CLAIMS,
        roles_claim: ClaimMapping | None = None,
        required_claims: Mapping[str, Required] | None = None,
        verify_claims: VerifyClaims | None = None,
        revoked: Revoked | None = None,
        header: str | None = None,
        scheme: str = "Bearer",
        max_token_bytes: int = MAX_CREDENTIALS_BYTES,
        timeout: float = 5,
        stale_seconds: float = 24 * 3600,
        allow_http: bool = False,
        ca_file: str | os.PathLike[str] | None = None,
        client_certificate: ClientCertificate | None = None,
        proxy: str | None = None,
        name: str = "jwt",
    ) -> None:
        import_jwt()
        self.name = require_name(name, "name of JWTAuthenticator")
        self.header = header
        self._token_header = make_token_header(scheme, header, max_token_bytes)
        self.credential_headers = self._token_header.names
        self._header_policy = make_header_policy(algorithms, token_type)
        issuers = require_issuers(issuer, tenants)
        self._claims_policy = make_claims_policy(
            issuers.names, audience, leeway, allow_any_issuer=allow_any_issuer, allow_any_audience=allow_any_audience
        )
        self._rules = make_token_rules(required_claims, verify_claims, revoked)
        self._users = make_user_claims(username_claim, username, scope_claims, roles_claim)
        given = {"key": key, "jwks": jwks, "jwks_url": jwks_url, "discovery": discovery or None}
        options = FetchOptions(timeout, allow_http, ca_file, client_certificate, require_proxy(proxy))
        sources = KeySources(given, self._header_policy.algorithms, options, stale_seconds)
        self._keys = sources.make(issuers)
        self._origins = issuers.origins_of(self.name)

    def check_configuration(self, userstore: AbstractUserstore | None) -> None:
        """Raise where several issuers vouch for the users of one userstore, and nobody says which user is meant."""
        if userstore is not None and len(self._origins) > 1 and self._users.username is None:
            # The alice of one issuer would get the rights of the alice of another one (CWE-287).
            raise ConfigurationError(
                f"the provider {self.name!r} has several issuers and a userstore, and each issuer may know an alice: "
                "give JWTAuthenticator(username=...), a function of the claims that tells them apart by iss"
            )

    def authenticate(self, request: Request, userstore: AbstractUserstore | None) -> Identity | None:
        """Return the user that the token was issued to."""
        credentials = self._token_header.read(request)
        if credentials is None:
            return None
        token = parse_token(credentials)
        claims = token.claims
        # Everything that can be said without a key comes first: a token that is somebody else's, or over, or garbage,
        # must not make us ask the issuer.
        algorithm, key_id = self._header_policy.check(token.header)
        issuer, expires_at = self._claims_policy.check(claims)
        self._rules.check(claims)
        username = self._users.read_unverified_name(claims)
        scopes = self._users.read_scopes(claims)
        credential_id = read_text(claims, "jti")
        app_name = read_text(claims, "azp", "client_id")
        # The issuer decides before any key is looked at: never a key of another one.
        secret = self._keys[issuer].find(key_id, algorithm)
        if secret is None:
            raise BadCredentialsError("a JWT of a key that the issuer has not, or not only one of")
        if not secret.verify(algorithm, token.signed, token.signature):
            raise BadCredentialsError("a JWT that was not signed with the issuer's key")
        # From here on, what the token says is true.
        self._rules.verify(claims)
        user = self._find_user(username or self._users.call_username(claims), claims, userstore)
        return Identity(
            user,
            self.name,
            scopes=scopes if userstore is None else limit_scopes(scopes, user),
            credential_id=credential_id,
            app_name=app_name,
            expires_at=expires_at,
            # A user of the API's userstore has the origin that the chain knows.
            origin=UNSET if userstore is not None else self._origins.get(issuer, self.name),
            claims=Claims(claims),
        )

    def challenge(self, realm: str, error: str | None = None) -> str:
        """Return for example ``Bearer realm="api", error="invalid_token"``, or ``Token realm="api", header="..."``."""
        return self._token_header.challenge(realm, error)

    def takes_bearer_token(self, token: bytes) -> bool:
        """Return whether tokens travel as bearer tokens: any may be meant to be a JWT."""
        return self._token_header.is_bearer

    def _find_user(self, username: str, claims: Mapping[str, Any], userstore: AbstractUserstore | None) -> UserModel:
        """Return the user as the userstore knows it now, or as the claims say where there is none.

        :raises BadCredentialsError: the user is gone, or its roles cannot be read
        """
        if userstore is None:
            return User(username, roles=self._users.read_roles(claims), attributes=ReadOnlyDict({"claims": claims}))
        user = userstore.get_user(username)
        if user is None:
            raise BadCredentialsError("a JWT of a user that is not known, or gone")
        return require_user(user)
