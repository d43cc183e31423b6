"""Where the sessions behind tokens are. Stores that need a library are imported from their modules."""

from .abstract import AbstractTokenstore
from .models import Session
from .simple import SimpleTokenstore

__all__ = ["AbstractTokenstore", "Session", "SimpleTokenstore"]
