"""Who the caller of the current request is, for whoever asks: ``current_user`` and ``current_identity``.

The answer is kept on the request object and never in ``flask.g``: a nested test client or a
``test_request_context`` shares ``g`` with the request around it, and would see that one's user. The request
object is each request's own, with threads, greenlets and coroutines alike.

A guarded view may call another one, which may be public, or guarded by another chain, and so has a caller of its own;
and it may call several at once, in threads or coroutines. Such a call has its verdict in a context variable.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple, Protocol

from flask import Request, has_request_context, request
from werkzeug.local import LocalProxy

from .models import Identity, UserModel

#: Where a request object keeps, in its ``__dict__``, the verdict by which it came through the gate.
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


#: The request, and the verdict by which a view was called from within it.
INNER_CALL: ContextVar[tuple[Request, HasCaller] | None] = ContextVar("flask_securest.inner_call", default=None)


def get_in_force(request: Request) -> HasCaller | None:
    """Return the verdict by which what is running now may run, or ``None`` if there is none.

    :param request: the request object itself, not a proxy of it
    """
    inner = INNER_CALL.get()
    if inner is not None and inner[0] is request:
        return inner[1]
    return request.__dict__.get(IN_FORCE)


def get_caller() -> Caller:
    """Return who sent the current request; anonymous where there is no request."""
    if not has_request_context():
        return ANONYMOUS
    verdict = get_in_force(request._get_current_object())  # type: ignore[attr-defined]
    return ANONYMOUS if verdict is None else verdict.caller


#: The verified caller of the current request. False when nobody is authenticated, or outside of a request.
current_identity: Identity = LocalProxy(lambda: get_caller().identity)  # type: ignore[assignment]

#: The user of :data:`current_identity`. False when nobody is authenticated, or outside of a request.
current_user: UserModel = LocalProxy(lambda: getattr(get_caller().identity, "user", None))  # type: ignore[assignment]
