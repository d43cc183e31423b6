"""Where API keys live. Those that need a library of their own are imported from their modules."""

from typing import TYPE_CHECKING

from ..support.lazily import load_lazily

if TYPE_CHECKING:
    from .abstract import AbstractKeystore, AbstractWritableKeystore
    from .models import ApiKey, IssuedKey
    from .simple import SimpleKeystore

__all__ = [
    "AbstractKeystore",
    "AbstractWritableKeystore",
    "ApiKey",
    "IssuedKey",
    "SimpleKeystore",
]

__getattr__, __dir__ = load_lazily(
    __name__,
    {
        "AbstractKeystore": "abstract",
        "AbstractWritableKeystore": "abstract",
        "ApiKey": "models",
        "IssuedKey": "models",
        "SimpleKeystore": "simple",
    },
)
