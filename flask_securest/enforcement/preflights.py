"""Tell CORS preflights, which browsers send without credentials, from requests for an ``options`` method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from werkzeug.wrappers import Request, Response

#: Each ``dispatch_request`` that has the verb that runs judged again, after all decorators. No mark on them would do:
#: functools.wraps copies marks to others.
JUDGING_AGAIN: WeakSet[Callable[..., Any]] = WeakSet()

#: The classes that have one, and no other ``dispatch_request`` of their own.
PREPARED: WeakSet[type] = WeakSet()


def is_preflight(request: Request, resource: object) -> bool:
    """Return whether this is a CORS preflight (Fetch, section 3.2.2) for a class of which no method can run.

    A decorator around the view answers it. A decorator that makes another request of it, such as one that reads
    ``?_method=DELETE``, must not get in with it: so it passes only where that is judged again (CWE-863).

    :param request: the request, with OPTIONS
    :param resource: the Resource or View class behind the view, if it is one
    """
    # No local variable for the environ: error trackers send those, and it holds the credentials.
    return (
        "HTTP_ORIGIN" in request.environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.environ
        and isinstance(resource, type)
        and resource in PREPARED
        and getattr(resource, "dispatch_request", None) in JUDGING_AGAIN
        and not hasattr(resource, "options")
        # Either could make up an options method for an object of the class.
        and not hasattr(resource, "__getattr__")
        and getattr(resource, "__getattribute__", None) is object.__getattribute__
    )


def has_body(response: Response) -> bool:
    """Return whether an answer has a body, as far as can be told without sending it.

    :param response: the answer
    """
    return not response.is_sequence or any(response.response)


def tells_more(response: Response) -> bool:
    """Return whether an answer tells more than that to a preflight does, which is empty.

    A cache that looks at the path alone answers OPTIONS with what it has for GET, which is not for everybody
    (CWE-524): a body, or the ``Location`` of a redirect.

    :param response: the answer
    """
    return 300 <= response.status_code < 400 or has_body(response)
