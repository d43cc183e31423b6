"""Users in a SQL database."""

from .userstore import SQLAlchemyUserstore

__all__ = ["SQLAlchemyUserstore"]
