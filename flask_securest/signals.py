"""What can be listened to: signals of `blinker <https://blinker.readthedocs.io>`_, as Flask's own are.

Where nothing else is said, the sender is the :class:`~flask_securest.SecuREST` object, and receivers get ``request``,
the Werkzeug request, and ``verdict``, the :class:`~flask_securest.decision.verdict.Verdict`: its ``status``, ``error``,
``identity``, and in ``outcome.attempts`` what every provider has answered, why, and how long it took.

.. code-block:: python

    @request_refused.connect
    def count(securest, request, verdict, **extra):
        refused[verdict.status] += 1

A receiver that raises changes no decision: the error is logged. It is different for :data:`request_authenticated`,
whose receivers have to see every caller before the Resource does: if one raises, the request is refused with a 500.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from blinker import NamedSignal, Namespace

from .support.logs import get_logger

_log = get_logger(__name__)

_signals = Namespace()

#: A caller was verified, and is allowed to do what it asks for.
request_authenticated = _signals.signal("request-authenticated")

#: A caller still uses credentials in whose place it has got others, such as the former secret of an API key. Receivers
#: get ``request`` and ``identity``, with its ``credential_id``, ``replaced_at`` and ``expires_at``.
replaced_credentials_used = _signals.signal("replaced-credentials-used")

#: Tokens were issued. The sender is the :class:`~flask_securest.authentication_providers.TokenAuthenticator`. Receivers
#: get ``username``, ``origin``, ``scopes``, and ``session``, which is ``None`` where there is no store.
tokens_issued = _signals.signal("tokens-issued")

#: A session got new tokens for its refresh token. The sender is the authenticator. Receivers get ``session`` and
#: ``scopes``, what the new access token is limited to.
tokens_refreshed = _signals.signal("tokens-refreshed")

#: A refresh token was used a second time: it has been stolen, or the one that took its place has; or a client has
#: refreshed twice at once. The sender is the authenticator. Receivers get ``session``, and ``ended``: whether it has
#: been ended, as it is unless that was within ``refresh_grace_seconds``.
refresh_token_reused = _signals.signal("refresh-token-reused")

#: Sessions have ended before their time. The sender is the authenticator. Receivers get ``username``, ``origin``,
#: ``count``, ``session_id``, which is ``None`` if all of the account have ended, and ``reason``: ``"log-out"``,
#: ``"log-out everywhere"``, ``"ended by its user"``, ``"ended by an operator"``, ``"too many"``, ``"idle"``,
#: ``"refresh token reused"``, ``"account disabled"`` or ``"account changed"`` (another password, or gone).
sessions_ended = _signals.signal("sessions-ended")

#: A request was refused. ``verdict.status`` is what it was answered with.
request_refused = _signals.signal("request-refused")

#: With ``mode="report"``: a request went on that would have been refused.
request_would_be_refused = _signals.signal("request-would-be-refused")

#: The file of a userstore has changed and cannot be used as it is now: what it held before stays in force. The sender
#: is the store. Receivers get ``path``, ``reason``, and ``line`` and ``column`` (from 1), which are ``None`` where the
#: error is not at one place. It is sent once for each such version of the file.
userstore_file_rejected = _signals.signal("userstore-file-rejected")


def send(signal: NamedSignal, sender: object, **what: Any) -> None:
    """Tell whoever listens; a receiver that raises changes nothing.

    :param signal: what has happened
    :param sender: who says so
    :param what: what receivers get
    """
    try:
        signal.send(sender, **what)
    except Exception:
        # Nor does a log filter.
        with suppress(Exception):
            _log.exception("a receiver of the signal %r failed; the request is answered as decided", signal.name)
