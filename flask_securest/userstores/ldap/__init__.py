"""Users in a directory, asked by LDAP."""

from .userstore import LDAPUserstore

__all__ = ["LDAPUserstore"]
