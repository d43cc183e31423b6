"""Stand in front of every view, on each request: the policy enforcement point.

Each single place to hook into Flask and Flask-RESTful has a hole, so there are two guards over one verdict:

- a *gate*, around ``app.preprocess_request``. It comes after all ``before_request`` functions, whose other halves in
  ``after_request`` run whatever happens, and before the view and everything that is put around it: a cache would answer
  without calling the view. It knows a guarded endpoint by its view function and its name.
- a *wrapper* around each view function, which is also there when a view function is called directly, or when the gate
  has been lost.

Whichever comes first asks for the verdict, the other sees the same one. Each alone keeps the Api closed. A decorator
inside of a guarded view may change the method of the request after both: see :mod:`flask_securest.dispatching`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Flask, Request, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .answers import forget_unable
from .current import ANONYMOUS, ASK, CALLER, IN_FORCE, INNER_CALL, Caller
from .guard import RAISED_IN_VIEWS, GuardedView
from .preflights import has_body

ViewFunction = Callable[..., Any]

#: On a guarded view function: which view it is. ``functools.wraps`` copies it to whatever is put around.
VIEW_MARK = "__flask_securest_view__"

#: On the same: the view function as it was registered.
_REGISTERED = "__flask_securest_registered__"

_current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]

_NO_ARGUMENTS: Mapping[str, Any] = {}


class Known(NamedTuple):
    """Hold what has been found out about an endpoint: its view function, and what guards it."""

    function: ViewFunction | None
    view: GuardedView | None


class Gate:
    """Stand between the hooks of one application and its views.

    :param app: the application
    :param known: what is known of its endpoints
    :param look_up: finds out about one that is not known, or whose view function has been exchanged
    """

    def __init__(self, app: Flask, known: dict[str, Known], look_up: Callable[[str], Known]) -> None:
        self._app = app
        self._known = known
        self._look_up = look_up
        self._preprocess = app.preprocess_request
        self._ask: Callable[[Request], Caller] = self.ask

    def preprocess_request(self, *args: Any, **kwargs: Any) -> Any:
        """Take the place of ``app.preprocess_request``: call the hooks, and refuse who must not go on."""
        current = _current_request()
        current.__dict__[ASK] = self._ask
        try:
            answer = self._preprocess(*args, **kwargs)
        except HTTPException as error:
            # That is an answer, too; abort(Response("welcome")) is one of 200.
            refusal = self._decide(current, error.get_response(current.environ))
            if refusal is None:
                raise
            return refusal
        except BaseException:
            current.__dict__.pop(ASK, None)
            raise
        return self._decide(current, None) if answer is None else self._decide_on_answer(current, answer)

    def ask(self, current: Request) -> Caller:
        """Return who sent a request, for a hook that wants to know. It never raises: the gate says what is wrong.

        :param current: the request
        """
        # Whatever asks while this is asking, such as a userstore or a log filter, is told that it is nobody.
        current.__dict__[ASK] = None
        caller = ANONYMOUS
        try:
            view = self._find_view(current)
            if view is not None:
                caller = view.guard.find_caller(current, view)
        except Exception:  # noqa: S110  # the gate meets it again, and reports it
            pass
        if caller.identity is None:
            current.__dict__[ASK] = False
        else:
            current.__dict__[CALLER] = caller
        return caller

    def _find_view(self, current: Request) -> GuardedView | None:
        rule = current.url_rule
        if rule is None:
            return None  # 404, 405, or a redirect: nothing is going to be called
        found = self._known.get(rule.endpoint)
        # Another function may be there by now: a public one must not lend its rule to it (CWE-863).
        if found is None or found[0] is not self._app.view_functions.get(rule.endpoint):
            found = self._look_up(rule.endpoint)
        return found[1]

    def _decide(self, current: Request, answer: WerkzeugResponse | None) -> WerkzeugResponse | None:
        """Return the refusal of a request; ``None`` if it goes on, or if nobody guards what it asks for.

        :param current: the request
        :param answer: what a hook has answered
        """
        # From here on nobody is found out any more: what runs later only reads.
        asked = current.__dict__.pop(ASK, None)
        view = self._find_view(current)
        if view is None or (answer is not None and _has_last_word(answer.status_code)):
            return None
        automatic = current.method == "OPTIONS" and getattr(current.url_rule, "provide_automatic_options", False)
        if automatic and (answer is None or not has_body(answer)):
            # Flask answers it itself, or a hook does: a CORS preflight carries no credentials, and its answer no body.
            return None
        if asked is False:
            forget_unable(current)
        # A copy, for what comes between the gate and the view may change them.
        arguments = dict(current.view_args) if current.view_args else _NO_ARGUMENTS
        verdict = view.guard.judge(current, view, arguments)
        if verdict.status is not None:
            current.__dict__[CALLER] = verdict.caller if verdict.status == 403 else ANONYMOUS
            refusal = view.guard.refuse(current, view, verdict)
            if refusal is not None:
                return refusal
        current.__dict__[IN_FORCE] = verdict
        return None

    def _decide_on_answer(self, current: Request, answer: Any) -> Any:
        """Return the answer of a hook, made into a response once, or the refusal that takes its place."""
        view = self._find_view(current)
        if view is None:
            current.__dict__.pop(ASK, None)
            return answer
        try:
            response = self._app.make_response(answer)
        except Exception:
            current.__dict__.pop(ASK, None)
            if view.guard.mode == "report":
                return answer  # Flask fails likewise, in its own place
            raise
        refusal = self._decide(current, response)
        if refusal is None:
            return response
        response.close()
        return refusal


def _has_last_word(status: int) -> bool:
    """Return whether an answer of a hook is sent, whoever asks: a redirect, 429, or that it is closed for maintenance.

    What is below 300 may be the view's, out of a cache (CWE-524); and 304 says that it is the same as before.
    """
    return status >= 300 and status != 304


def wrap(function: ViewFunction, view: GuardedView, registered: ViewFunction) -> ViewFunction:
    """Return a view function that is behind its guard.

    :param function: the view function
    :param view: which view it is
    :param registered: what was registered: the function, or that with another guard of ours around it
    """
    inner_call = INNER_CALL.get
    call = make_callable(function)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        current = _current_request()
        inner = inner_call()
        # As get_in_force() does, without the cost of a call on every request. Nobody else puts any in force.
        verdict: Any = inner[1] if inner is not None and inner[0] is current else current.__dict__.get(IN_FORCE)
        if (
            verdict is None
            or verdict.policy.view is not view
            or verdict.policy.target.verb != current.method
            or (verdict.arguments is not None and (args or verdict.arguments != kwargs))
        ):
            # It did not come through the gate, or another view is calling this one, or somebody has changed the method
            # of the request or the arguments of the view since.
            return call_guarded(current, view, call, args, kwargs)
        try:
            return call(*args, **kwargs)
        except RAISED_IN_VIEWS as error:
            raised = error
        return view.guard.refuse_after_all(current, view, verdict, raised)

    setattr(guarded, VIEW_MARK, view)
    setattr(guarded, _REGISTERED, registered)
    return guarded


def call_guarded(current: Request, view: GuardedView, call: ViewFunction, args: Any, kwargs: Any) -> Any:
    """Judge a call of a view function from within a request, and return what the view answers, or the refusal.

    :param current: the request
    :param view: the view
    :param call: its function
    :param args: its positional arguments
    :param kwargs: its other arguments
    """
    verdict = view.guard.judge(current, view, {**kwargs, "*": args} if args else kwargs)
    if verdict.status is not None:
        refusal = view.guard.refuse(current, view, verdict)
        if refusal is not None:
            return refusal
    token = INNER_CALL.set((current, verdict))
    try:
        return call(*args, **kwargs)
    except RAISED_IN_VIEWS as error:
        raised = error
    finally:
        INNER_CALL.reset(token)
    return view.guard.refuse_after_all(current, view, verdict, raised)


def make_callable(function: ViewFunction) -> ViewFunction:
    """Return a function that can be called without waiting for it: Flask awaits only what it calls itself.

    :param function: a view function, which may be an ``async def``
    """
    if not inspect.iscoroutinefunction(function):
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(function)(*args, **kwargs)

    return call


#: What all wrappers have in common, to tell them from what has been put around them, which has their marks, too.
_CODE_OF_WRAPPERS = next(c for c in wrap.__code__.co_consts if getattr(c, "co_name", "") == "guarded")


def is_wrapper(function: object) -> bool:
    """Return whether this is what :func:`wrap` returns, and not something around it.

    :param function: anything
    """
    return getattr(function, "__code__", None) is _CODE_OF_WRAPPERS


def find_view_of(function: Any) -> GuardedView | None:
    """Return the view that a wrapper guards; ``None`` for what is none.

    :param function: anything
    """
    return getattr(function, VIEW_MARK, None) if is_wrapper(function) else None


def find_registered(function: Any) -> Any:
    """Return a view function as it was registered, before a wrapper was put around it.

    :param function: the view function
    """
    while is_wrapper(function):
        function = getattr(function, _REGISTERED)
    return function
