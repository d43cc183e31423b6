"""What can be listened to: signals of `blinker <https://blinker.readthedocs.io>`_, as Flask's own are.

Where nothing else is said, the sender is the :class:`~flask_securest.SecuREST` object, and receivers get ``request``,
the Werkzeug request, and ``verdict``, the :class:`~flask_securest.verdict.Verdict`: its ``status``, ``error``,
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

from .logs import get_logger

_log = get_logger(__name__)

_signals = Namespace()

#: A caller was verified, and is allowed to do what it asks for.
request_authenticated = _signals.signal("request-authenticated")

#: A caller still uses credentials in whose place it has got others, such as the former secret of an API key. Receivers
#: get ``request`` and ``identity``, with its ``credential_id``, ``replaced_at`` and ``expires_at``.
replaced_credentials_used = _signals.signal("replaced-credentials-used")

#: A refresh token was used a second time: it has been stolen, or the one that took its place has. The session has been
#: ended. The sender is the :class:`~flask_securest.authentication_providers.TokenAuthenticator`. Receivers get
#: ``session``.
refresh_token_reused = _signals.signal("refresh-token-reused")

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
