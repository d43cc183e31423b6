"""Who the caller of the current request is, for whoever asks: ``current_user`` and ``current_identity``.

The answer is kept on the request object and never in ``flask.g``: a nested test client or a
``test_request_context`` shares ``g`` with the request around it, and would see that one's user. The request
object is each request's own, with threads, greenlets and coroutines alike.

Whoever asks first, while the application's ``before_request`` functions run, has the caller found out. Later on it is
only read.

A guarded view may call another one, which may be public, or guarded by another chain, and so has a caller of its own;
and it may call several at once, in threads or coroutines. Such a call has its verdict in a context variable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, final

import flask.globals
from flask import Request, has_request_context, request
from werkzeug.local import LocalProxy

from .identity import Identity
from .models import UserModel

#: On a request object: how far it has come. While its hooks run: whom to ask who sent it, a function; ``None`` while
#: that is being asked, ``False`` once it could not tell, and a :class:`Caller` once it could. From the gate on: the
#: verdict that is in force; ``None`` if nobody guards what it asks for; or, if it is refused, the :class:`Caller` to be
#: seen.
#: It is one attribute, and no entry of a ``__dict__`` that would first have to be made: each costs every request.
STATE = "_flask_securest_state"

#: Return the request object itself, not the proxy of it; a RuntimeError outside of a request.
current_request: Callable[[], Any] = request._get_current_object  # type: ignore[attr-defined]

#: Return what has the current request as its ``request``; a LookupError outside of a request. It costs a tenth of
#: :data:`current_request`, and is none of Flask's public names.
get_context: Callable[[], Any] = (
    flask.globals._cv_request.get
    if hasattr(flask.globals, "_cv_request")
    else flask.globals.app_ctx._get_current_object  # type: ignore[attr-defined]
)


class Caller(NamedTuple):
    """Hold who is calling, and which provider object said so; both ``None`` for an anonymous caller."""

    identity: Identity | None
    provider: object | None


ANONYMOUS = Caller(None, None)


class InForce:
    """Be the base of what a request goes on by: a :class:`~flask_securest.decision.verdict.Verdict`."""

    __slots__ = ()

    @property
    def caller(self) -> Caller:
        """Return who sent the request."""
        raise NotImplementedError


#: The request, and the verdict by which a view was called from within it.
INNER_CALL: ContextVar[tuple[Request, InForce] | None] = ContextVar("flask_securest.inner_call", default=None)


def get_in_force(request: Request) -> InForce | None:
    """Return the verdict by which what is running now may run, or ``None`` if there is none.

    :param request: the request object itself, not a proxy of it
    """
    inner = INNER_CALL.get()
    if inner is not None and inner[0] is request:
        return inner[1]
    state = getattr(request, STATE, None)
    return state if isinstance(state, InForce) else None


def put_in_force(request: Request, verdict: InForce) -> None:
    """Let what is running now run by another verdict from now on.

    :param request: the request object itself, not a proxy of it
    :param verdict: the verdict
    """
    inner = INNER_CALL.get()
    if inner is not None and inner[0] is request:
        INNER_CALL.set((request, verdict))  # until the call ends, which puts back what was there before it
    else:
        setattr(request, STATE, verdict)


def get_caller() -> Caller:
    """Return who sent the current request; anonymous where there is no request. It never raises."""
    if not has_request_context():
        return ANONYMOUS
    current = current_request()
    verdict = get_in_force(current)
    if verdict is not None:
        return verdict.caller
    state: Caller | Callable[[Request], Caller] | Literal[False] | None = getattr(current, STATE, None)
    if isinstance(state, Caller):
        return state
    return state(current) if callable(state) else ANONYMOUS


@final
class Nobody:
    """Be the type of ``current_user`` and ``current_identity`` for an anonymous caller: false, and without attributes.

    There is no object of it. It is there for type checkers: ``if current_user:`` tells them that there is somebody.
    """

    def __bool__(self) -> Literal[False]:
        """Return that there is nobody."""
        return False


class _CallerProxy(LocalProxy[Any]):
    """Say of an anonymous caller that it is one, where ``None`` would say that it has no such attribute."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of what is found.

        :raises AttributeError: nobody is authenticated, or it has no such attribute
        """
        found = self._get_current_object()
        if found is None and not hasattr(None, name):
            raise AttributeError(
                f"there is no {name!r}, for nobody is authenticated in this request, or there is no request: the view "
                'is public or optional, or none that is guarded. Ask first: "if current_user:"'
            )
        return getattr(found, name)


#: The verified caller of the current request. False when nobody is authenticated, or outside of a request.
current_identity: Identity | Nobody = _CallerProxy(lambda: get_caller().identity)  # type: ignore[assignment]

#: The user of :data:`current_identity`. False when nobody is authenticated, or outside of a request.
current_user: UserModel | Nobody = _CallerProxy(lambda: getattr(get_caller().identity, "user", None))
