"""Who the caller of the current request is, for whoever asks: ``current_user`` and ``current_identity``.

The answer is kept on the request object and never in ``flask.g``: a nested test client or a
``test_request_context`` shares ``g`` with the request around it, and would see that one's user. The request
object is each request's own, with threads, greenlets and coroutines alike.
"""

from __future__ import annotations

from typing import NamedTuple

from flask import has_request_context, request
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Request

from .models import Identity, UserModel

_KEY = "flask_securest.caller"


class Caller(NamedTuple):
    """Hold who is calling, and which provider object said so; both ``None`` for an anonymous caller."""

    identity: Identity | None
    provider: object | None


ANONYMOUS = Caller(None, None)


def set_caller(request: Request, caller: Caller) -> None:
    """Say who sent ``request``, from here on.

    :param request: the request object itself, not a proxy of it
    """
    request.__dict__[_KEY] = caller


def get_caller_of(request: Request) -> Caller:
    """Return who sent ``request``, as far as anybody has said; else anonymous."""
    caller: Caller = request.__dict__.get(_KEY, ANONYMOUS)
    return caller


def get_caller() -> Caller:
    """Return who sent the current request; anonymous where there is no request."""
    if not has_request_context():
        return ANONYMOUS
    return get_caller_of(request._get_current_object())  # type: ignore[attr-defined]


#: The verified caller of the current request. False when nobody is authenticated, or outside of a request.
current_identity: Identity = LocalProxy(lambda: get_caller().identity)  # type: ignore[assignment]

#: The user of :data:`current_identity`. False when nobody is authenticated, or outside of a request.
current_user: UserModel = LocalProxy(lambda: getattr(get_caller().identity, "user", None))  # type: ignore[assignment]
