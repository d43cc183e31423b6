"""What verified callers may do."""

from .abstract import AbstractAuthorizationProvider, Decision, Target

__all__ = ["AbstractAuthorizationProvider", "Decision", "Target"]
