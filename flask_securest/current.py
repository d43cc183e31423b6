"""Who the caller of the current request is, for whoever asks: ``current_user`` and ``current_identity``.

The answer is kept on the request object and never in ``flask.g``: a nested test client or a
``test_request_context`` shares ``g`` with the request around it, and would see that one's user. The request
object is each request's own, with threads, greenlets and coroutines alike.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from flask import Request, has_request_context, request
from werkzeug.local import LocalProxy

from .models import Identity, UserModel

#: Where a request object keeps, in its ``__dict__``, the verdict by which it goes on: a :class:`HasCaller`.
IN_FORCE = "flask_securest.in_force"


class Caller(NamedTuple):
    """Hold who is calling, and which provider object said so; both ``None`` for an anonymous caller."""

    identity: Identity | None
    provider: object | None


ANONYMOUS = Caller(None, None)


class HasCaller(Protocol):
    """What has been found out about a request: a :class:`~flask_securest.decision.Verdict`."""

    @property
    def caller(self) -> Caller:
        """Return who sent the request."""


def get_caller() -> Caller:
    """Return who sent the current request; anonymous where there is no request."""
    if not has_request_context():
        return ANONYMOUS
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    verdict: HasCaller | None = current.__dict__.get(IN_FORCE)
    return ANONYMOUS if verdict is None else verdict.caller


#: The verified caller of the current request. False when nobody is authenticated, or outside of a request.
current_identity: Identity = LocalProxy(lambda: get_caller().identity)  # type: ignore[assignment]

#: The user of :data:`current_identity`. False when nobody is authenticated, or outside of a request.
current_user: UserModel = LocalProxy(lambda: getattr(get_caller().identity, "user", None))  # type: ignore[assignment]
