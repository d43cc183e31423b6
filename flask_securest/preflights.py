"""Tell CORS preflights, which browsers send without credentials, from requests for an ``options`` method."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

#: On a ``dispatch_request`` that has the verb that runs judged again, after all decorators.
JUDGES_AGAIN = "__flask_securest_judges_again__"


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
        and hasattr(getattr(resource, "dispatch_request", None), JUDGES_AGAIN)
        and not hasattr(resource, "options")
        # Either could make up an options method for an object of the class.
        and not hasattr(resource, "__getattr__")
        and getattr(resource, "__getattribute__", None) is object.__getattribute__
    )


def has_body(response: Response) -> bool:
    """Return whether an answer has a body, as far as can be told without sending it.

    That to a preflight has none. A cache that looks at the path alone answers OPTIONS with what it has for GET, which
    is not for everybody (CWE-524).

    :param response: the answer
    """
    return response.is_streamed or response.direct_passthrough or bool(response.get_data())
