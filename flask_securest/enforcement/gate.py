"""Stand in front of every view, on each request: the policy enforcement point.

Each single place to hook into Flask and Flask-RESTful has a hole, so there are two guards over one verdict:

- a *gate*, around ``app.preprocess_request``. It comes after all ``before_request`` functions, whose other halves in
  ``after_request`` run whatever happens, and before the view and everything that is put around it: a cache would answer
  without calling the view. It knows a guarded endpoint by its view function and its name.
- a *wrapper* around each view function, which is also there when a view function is called directly, or when the gate
  has been lost.

Whichever comes first asks for the verdict, the other sees the same one. Each alone keeps the Api closed. A decorator
inside of a guarded view may change the method of the request after both: see
:mod:`flask_securest.enforcement.dispatching`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any, NamedTuple, cast

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as WerkzeugResponse

from ..current import ANONYMOUS, Caller, current_request, get_context
from ..decision.answers import forget_unable, status_of
from ..decision.policy import AnyPolicy
from ..decision.verdict import Refusal, Verdict
from .guard import GuardedView
from .hooks import close_answer, has_last_word, read_status
from .preflights import has_body
from .wrapper import ViewFunction

_NO_ARGUMENTS: Mapping[str, Any] = {}


def _copy_arguments(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: deepcopy(each) if type(each) in (list, dict, set) else each for name, each in arguments.items()}


def _stop_asking(current: Any) -> None:
    """End the time in which the caller of a request is found out; who has been found stays.

    :param current: the request
    """
    if not isinstance(current._flask_securest_state, Caller):
        current._flask_securest_state = None


class Known(NamedTuple):
    """Hold what has been found out about an endpoint: its view function, and what guards it."""

    function: ViewFunction | None
    view: GuardedView | None


class Allowed(NamedTuple):
    """Hold the answer of a hook that may be sent."""

    answer: Any


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
        self._ask: Callable[[Any], Caller] = self.ask

    def preprocess_request(self, *args: Any, **kwargs: Any) -> Any:
        """Take the place of ``app.preprocess_request``: call the hooks, and refuse who must not go on."""
        try:
            current = get_context().request
        except LookupError:
            current = current_request()  # which says what is wrong: there is no request
        current._flask_securest_state = self._ask
        try:
            answer = self._preprocess(*args, **kwargs) if args or kwargs else self._preprocess()
        except HTTPException as error:
            # That is an answer, too; abort(Response("welcome")) is one of 200.
            refusal = self._decide_on_answer(current, error.response or ("", status_of(error)))
            if isinstance(refusal, Allowed):
                raise
            return refusal
        except BaseException:
            _stop_asking(current)
            raise
        if answer is not None:
            refusal = self._decide_on_answer(current, answer)
            return refusal.answer if isinstance(refusal, Allowed) else refusal
        # As _find_view() does, without the cost of a call on every request.
        rule = current.url_rule
        if rule is None:
            _stop_asking(current)
            return None
        endpoint = rule.endpoint
        found = self._known.get(endpoint)
        if found is None or found[0] is not self._app.view_functions.get(endpoint):
            found = self._look_up(endpoint)
        view, method = found[1], current.method
        if view is None or (method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)):
            # Nobody guards it; or Flask answers it itself: a CORS preflight carries no credentials.
            _stop_asking(current)
            return None
        policy = view.policies.get(method) or view.guard.find_policy(view, method)
        if policy.opened is not None and current._flask_securest_state is self._ask:
            # It is public, and nobody has been asked.
            current._flask_securest_state = policy.opened
            return None
        return self._decide(current, view, policy)

    def ask(self, current: Any) -> Caller:
        """Return who sent a request, for a hook that wants to know. It never raises: the gate says what is wrong.

        :param current: the request
        """
        # Whatever asks while this is asking, such as a userstore or a log filter, is told that it is nobody.
        current._flask_securest_state = None
        caller = ANONYMOUS
        try:
            view = self._find_view(current)
            if view is not None:
                caller = view.guard.find_caller(current, view)
        except Exception:  # noqa: S110  # the gate meets it again, and reports it
            pass
        current._flask_securest_state = False if caller.identity is None else caller
        return caller

    def _find_view(self, current: Any) -> GuardedView | None:
        rule = current.url_rule
        if rule is None:
            return None  # 404, 405, or a redirect: nothing is going to be called
        found = self._known.get(rule.endpoint)
        # Another function may be there by now: a public one must not lend its rule to it (CWE-863).
        if found is None or found[0] is not self._app.view_functions.get(rule.endpoint):
            found = self._look_up(rule.endpoint)
        return found[1]

    def _decide(self, current: Any, view: GuardedView, policy: AnyPolicy) -> WerkzeugResponse | None:
        """Return the refusal of a request; ``None`` if it goes on.

        :param current: the request
        :param view: what it asks for
        :param policy: how it is decided
        """
        # From here on nobody is found out any more: what runs later only reads.
        if current._flask_securest_state is self._ask:
            current._flask_securest_state = None
        else:
            if current._flask_securest_state is False:
                forget_unable(current)
            _stop_asking(current)
        # A copy, for what comes between the gate and the view may change them, also in place.
        arguments = _copy_arguments(current.view_args) if current.view_args else _NO_ARGUMENTS
        if current.method == "OPTIONS":
            verdict = view.guard.judge(current, view, arguments)
        else:
            verdict = view.guard.decide(current, policy, arguments)
        if type(verdict) is not Verdict:  # it costs a third of isinstance()
            verdict = cast(Refusal, verdict)
            current._flask_securest_state = verdict.caller if verdict.status == 403 else ANONYMOUS
            refusal = view.guard.refuse(current, view, verdict)
            if refusal is not None:
                return refusal
        current._flask_securest_state = verdict
        return None

    def _decide_on_answer(self, current: Any, answer: Any) -> WerkzeugResponse | Allowed:
        """Return the refusal of a request that a hook has answered, or that the answer may be sent."""
        view = self._find_view(current) or self._find_view_behind(current)
        if view is None:
            _stop_asking(current)
            return Allowed(answer)
        try:
            status = read_status(answer)
            automatic = current.method == "OPTIONS" and getattr(current.url_rule, "provide_automatic_options", False)
            if status is None or automatic:
                # Once, for it may be a WSGI application: what comes of it is what Flask gets.
                answer = self._app.make_response(answer)
                status = answer.status_code
        except Exception:
            _stop_asking(current)
            if view.guard.mode == "report":
                return Allowed(answer)  # Flask fails likewise, in its own place
            raise
        # That to a preflight, which carries no credentials, has no body.
        if has_last_word(status) or (automatic and not has_body(answer)):
            _stop_asking(current)
            return Allowed(answer)
        refusal = self._decide(current, view, view.guard.find_policy(view, current.method))
        if refusal is None:
            return Allowed(answer)
        close_answer(answer)
        return refusal

    def _find_view_behind(self, current: Any) -> GuardedView | None:
        """Return the guarded view behind the URL of a request that has a method which its URL has not.

        A hook that answers by the path alone may answer a PUT with what it has cached for GET, which is not for
        everybody (CWE-524).
        """
        adapter = self._app.create_url_adapter(current)
        error = current.routing_exception
        for method in (error.valid_methods or ()) if isinstance(error, MethodNotAllowed) and adapter else ():
            with suppress(HTTPException):
                rule, _ = adapter.match(method=method, return_rule=True)  # type: ignore[union-attr]
                view = self._look_up(rule.endpoint).view
                if view is not None:
                    return view
        return None
