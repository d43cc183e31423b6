"""Where users live."""

from .abstract import AbstractUserstore
from .simple import SimpleUserstore

__all__ = ["AbstractUserstore", "SimpleUserstore"]
