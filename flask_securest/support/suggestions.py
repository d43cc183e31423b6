"""What may have been meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection

#: What other libraries, and the first flask-securest, call things.
_MEANT = {
    "userstore_driver": "userstore",
    "user_store": "userstore",
    "unauthorized_user_handler": "@securest.error_handler",
    "skip_auth_hook": "@public(reason=...) on the Resource",
    "logger": 'logging.getLogger("flask_securest")',
    "authentication_methods": "authentication_providers=[...], or register_authentication_provider(provider)",
    "authenticators": "authentication_providers=[...], or register_authentication_provider(provider)",
}


def suggest(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that is not known: what was meant, or what there is.

    :param name: the name
    :param known: the names that there are
    """
    close = [_MEANT[name]] if name in _MEANT else difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(known))}"
