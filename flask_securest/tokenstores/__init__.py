"""Where the sessions behind tokens are. Stores that need a library are imported from their modules."""

from typing import TYPE_CHECKING

from ..support.lazily import load_lazily

if TYPE_CHECKING:
    from .abstract import AbstractTokenstore
    from .models import Session
    from .revoked import RevokedTokens
    from .simple import SimpleTokenstore

__all__ = [
    "AbstractTokenstore",
    "RevokedTokens",
    "Session",
    "SimpleTokenstore",
]

__getattr__, __dir__ = load_lazily(
    __name__,
    {
        "AbstractTokenstore": "abstract",
        "RevokedTokens": "revoked",
        "Session": "models",
        "SimpleTokenstore": "simple",
    },
)
