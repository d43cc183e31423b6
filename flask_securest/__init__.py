"""The security layer for Flask-RESTful: attach once, and every Resource method is closed."""

from .current import current_identity, current_user
from .extension import SecuREST
from .identity import UNSET, Identity
from .models import User, UserModel
from .rules.decorators import USE_DEFAULT, authenticators, optional, public, require

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "USE_DEFAULT",
    "Identity",
    "SecuREST",
    "User",
    "UserModel",
    "authenticators",
    "current_identity",
    "current_user",
    "optional",
    "public",
    "require",
]


def __dir__() -> list[str]:
    """Return what is public: the modules inside are not, but for those that the documentation imports from."""
    return [*__all__, "__version__"]
