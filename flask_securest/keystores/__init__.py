"""Where API keys live. Those that need a library of their own are imported from their modules."""

from .abstract import AbstractKeystore, AbstractWritableKeystore
from .models import ApiKey, IssuedKey
from .simple import SimpleKeystore

__all__ = ["AbstractKeystore", "AbstractWritableKeystore", "ApiKey", "IssuedKey", "SimpleKeystore"]
