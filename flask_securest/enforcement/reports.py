"""Tell the log and whoever listens to the signals what has been decided. Nothing here raises."""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from blinker import NamedSignal
from flask import Response, after_this_request
from werkzeug.wrappers import Request

from ..decision.policy import FixedPolicy
from ..decision.verdict import Refusal, Verdict
from ..errors import ConfigurationError
from ..identity import Identity
from ..signals import (
    replaced_credentials_used,
    request_authenticated,
    request_refused,
    request_would_be_refused,
    send,
)
from ..support.logs import get_logger, message_of
from .identity_headers import add_identity_headers

_log = get_logger(__name__)

#: For how long a mistake in the configuration is not reported again, in seconds: a scanner must not use up the quota of
#: an error tracker with it (CWE-779).
_SILENCE_SECONDS = 60
_MOST_MISTAKES = 256


class Reporter:
    """Report the decisions of one guard.

    :param sender: the ``SecuREST`` object, which signals are sent by
    """

    def __init__(self, sender: object) -> None:
        self.sender = sender
        self._reported_at: dict[str, float] = {}

    @property
    def is_listened_to(self) -> bool:
        """Return whether anybody wants to know how long each provider takes."""
        return bool(request_authenticated.receivers or request_refused.receivers or request_would_be_refused.receivers)

    def report_success(self, request: Request, verdict: Verdict) -> None:
        """Log a caller who may go on, and let receivers have their say.

        :param request: the request
        :param verdict: the verdict, with an identity
        :raises Exception: a receiver of ``request_authenticated`` has: each has to see every caller before the Resource
            does
        """
        if _log.isEnabledFor(logging.DEBUG):
            with suppress(Exception):
                _write_success(request, verdict)
        if request_authenticated.receivers:
            request_authenticated.send(self.sender, request=request, verdict=verdict)

    def tell_caller(self, request: Request, identity: Identity, *, enforced: bool) -> None:
        """Tell the client about its credentials in the headers of the answer, and receivers of the use of former ones.

        :param request: the request
        :param identity: the caller
        :param enforced: whether answers may be changed
        """

        def add_headers(response: Response) -> Response:
            return add_identity_headers(response, identity)

        if enforced:
            after_this_request(add_headers)
        if identity.replaced_at is not None:
            self.send(replaced_credentials_used, request=request, identity=identity)

    def report_refusal(self, request: Request, verdict: Refusal, *, refused: bool) -> bool:
        """Log and signal a refusal, and return whether it is news.

        A decision that is delivered several times is reported once; a mistake in the configuration, which every request
        meets, once in a while.

        :param request: the request
        :param verdict: the verdict
        :param refused: whether it is enforced, and not only reported
        """
        if verdict.is_reported:
            return False
        is_news = True
        if not isinstance(verdict.policy, FixedPolicy):
            verdict.is_reported = True
        elif isinstance(verdict.error, ConfigurationError):
            is_news = self._is_news(message_of(verdict.error))
        if is_news:
            # A user, an error or a filter of the application may raise. That changes no decision.
            with suppress(Exception):
                _write(request, verdict, refused=refused)
        self.send(request_refused if refused else request_would_be_refused, request=request, verdict=verdict)
        return is_news

    def send(self, signal: NamedSignal, **what: Any) -> None:
        """Tell whoever listens; a receiver that raises changes nothing.

        :param signal: what has happened
        :param what: what receivers get
        """
        send(signal, self.sender, **what)

    def _is_news(self, mistake: str) -> bool:
        now = monotonic()
        if now - self._reported_at.get(mistake, -_SILENCE_SECONDS) < _SILENCE_SECONDS:
            return False
        if len(self._reported_at) >= _MOST_MISTAKES:
            self._reported_at.clear()
        self._reported_at[mistake] = now
        return True


def _write_success(request: Request, verdict: Verdict) -> None:
    target, identity = verdict.target, verdict.identity
    if identity is not None:
        words = (target.verb, target.endpoint, _name_account(identity), identity.provider, request.remote_addr)
        _log.debug("let in %r on %r for %s by %r from %r", *words)


def _write(request: Request, verdict: Verdict, *, refused: bool) -> None:
    """Write a refusal to the log."""
    bug = verdict.error if verdict.status == 500 and verdict.own_words is None else None
    level = logging.INFO if refused else logging.WARNING
    if verdict.status == 503:
        level = logging.WARNING
    elif bug is not None:
        level = logging.ERROR
    if not _log.isEnabledFor(level):
        return
    said, target = "refused" if refused else "would deny", verdict.target
    caller = f" for {_name_account(verdict.identity)}" if verdict.identity is not None else ""
    words = (said, target.verb, target.endpoint, caller, request.remote_addr, verdict.status, verdict.reason)
    _log.log(level, "%s %r on %r%s from %r (%d): %s", *words, exc_info=bug)


def _name_account(identity: Identity) -> str:
    """Return what an account is called in the log: its name, and where it lives, if that is not the API's userstore."""
    where = f" of {identity.origin!r}" if isinstance(identity.origin, str) else ""
    return f"{identity.user.username!r}{where}"
