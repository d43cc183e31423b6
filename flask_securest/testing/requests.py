"""Make requests for tests, with anything in them that a server could receive, and read challenges.

Import :func:`make_request` and :class:`ForbiddenUserstore` from :mod:`flask_securest.testing`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from io import BytesIO
from urllib.parse import unquote_to_bytes

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from ..authentication_providers.abstract import AbstractAuthenticationProvider
from ..models import UserModel
from ..protocols.http.headers import environ_key
from ..userstores.abstract import AbstractUserstore


def make_request(
    headers: Mapping[str, str | bytes] | None = None,
    *,
    method: str = "GET",
    path: str = "/",
    query_string: str = "",
    body: bytes = b"",
    content_type: str = "application/x-www-form-urlencoded",
) -> Request:
    """Return a request.

    :param headers: by name; bytes arrive as a server passes them on (PEP 3333), so they can be any
    :param method: the verb
    :param path: as it stands in a request line, so that any byte can be in it: ``/tokens/%FF``
    :param query_string: likewise, without the question mark
    :param body: what is sent
    :param content_type: what the body is, if there is one
    """
    environ = EnvironBuilder(method=method, input_stream=BytesIO(body)).get_environ()
    target = f"{path}?{query_string}" if query_string else path
    environ.update(
        PATH_INFO=unquote_to_bytes(path).decode("latin-1"),
        QUERY_STRING=query_string,
        REQUEST_URI=target,
        RAW_URI=target,
    )
    if body:
        environ.update(CONTENT_LENGTH=str(len(body)), CONTENT_TYPE=content_type)
    for name, value in (headers or {}).items():
        environ[environ_key(name)] = value.decode("latin-1") if isinstance(value, bytes) else value
    return Request(environ)


def sent_headers(request: Request) -> set[str]:
    """Return the headers of a request, as they are called in its environ.

    :param request: the request
    """
    return {key for key in request.environ if key.startswith("HTTP_")}


def changes_of(good: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield versions of ``good`` that are not the same.

    :param good: what is changed, in one byte each
    :param chance: says which
    """
    for _ in range(30):
        at = chance.randrange(len(good))
        other = bytes([chance.choice([byte for byte in range(256) if byte != good[at]])])
        for changed in (good[:at] + other + good[at + 1 :], good[:at] + good[at + 1 :], good[:at] + other + good[at:]):
            if changed.strip(b" \t") != good:  # white space around a header's value is no part of it (RFC 9110, 5.5)
                yield changed


def challenges_of(provider: AbstractAuthenticationProvider, realm: str, error: str | None = None) -> list[str]:
    """Return what a provider challenges with, be it nothing, one challenge, or several.

    :param provider: the provider
    :param realm: what it is asked with
    :param error: likewise
    :raises AssertionError: one of them is no challenge
    """
    said: object = provider.challenge(realm, error)
    challenges = []
    for challenge in said if isinstance(said, (list, tuple)) else [] if said is None else [said]:
        assert isinstance(challenge, str), "a challenge, a list of them, or None"
        assert challenge.isascii()
        assert challenge.isprintable()
        assert challenge.split(" ", 1)[0].isalnum(), "it begins with the name of the scheme"
        challenges.append(challenge)
    return challenges


class ForbiddenUserstore(AbstractUserstore):
    """Fail when it is asked: for requests without credentials, about which no store may be asked."""

    def get_user(self, identifier: str) -> UserModel | None:
        """Fail."""
        raise AssertionError(f"the userstore was asked for {identifier!r}")
