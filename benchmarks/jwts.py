"""The jobs of knowing a caller by a JWT of an issuer, done by several libraries, as their documentation does them."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jobs import SECRET_KEY, Job, Todo, request, restful, securest

from flask_securest.authentication_providers.jwt import JWTAuthenticator

ISSUER, AUDIENCE = "https://issuer.example", "urn:api"
SECRET = SECRET_KEY.encode().ljust(64, b".")


@functools.lru_cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_pem() -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key().public_key().public_bytes(encoding, form)


def public_jwk() -> dict[str, Any]:
    return {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key().public_key())), "kid": "1"}


def bearer(algorithm: str) -> dict[str, Any]:
    """Return the environ of a request with a JWT as RFC 9068 describes it."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 3600, "iat": now, "jti": "1"}
    claims |= {"client_id": "client", "scope": "read", "type": "access", "fresh": False}
    key: Any = SECRET if algorithm == "HS256" else private_key()
    headers = {"typ": "at+jwt", "kid": "1"} if algorithm == "RS256" else {"typ": "JWT"}
    return request(authorization=f"Bearer {jwt.encode(claims, key, algorithm, headers)}")


def securest_jwt(algorithm: str) -> Job:
    source: Any = {"key": SECRET} if algorithm == "HS256" else {"jwks": {"keys": [public_jwk()]}}
    provider = JWTAuthenticator(algorithms=[algorithm], issuer=ISSUER, audience=AUDIENCE, **source)
    return Job(securest(provider), bearer(algorithm))


def extended_jwt(algorithm: str) -> Job:
    from flask_jwt_extended import JWTManager, jwt_required

    app, _ = restful(type("Protected", (Todo,), {"method_decorators": [jwt_required()]}))
    app.config.update(JWT_ALGORITHM=algorithm, JWT_DECODE_ISSUER=ISSUER, JWT_DECODE_AUDIENCE=AUDIENCE)
    app.config.update({"JWT_SECRET_KEY": SECRET} if algorithm == "HS256" else {"JWT_PUBLIC_KEY": public_pem()})
    JWTManager(app)
    return Job(app, bearer(algorithm))


def authlib_jwt() -> Job:
    from authlib.integrations.flask_oauth2 import ResourceProtector
    from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set({"keys": [public_jwk()]})

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self) -> Any:
            return keys

    protect = ResourceProtector()
    protect.register_token_validator(Validator(ISSUER, AUDIENCE))
    app, _ = restful(type("Protected", (Todo,), {"method_decorators": [protect()]}))
    return Job(app, bearer("RS256"))


def jwt_jobs() -> dict[str, Callable[[], Job]]:
    """Return how to make each job, by its name."""
    return {
        "flask_securest: JWT (HS256)": lambda: securest_jwt("HS256"),
        "flask_securest: JWT (RS256)": lambda: securest_jwt("RS256"),
        "Flask-JWT-Extended: JWT (HS256)": lambda: extended_jwt("HS256"),
        "Flask-JWT-Extended: JWT (RS256)": lambda: extended_jwt("RS256"),
        "Authlib: JWT (RS256)": authlib_jwt,
    }
