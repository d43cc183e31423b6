"""Users of an LDAP directory: OpenLDAP, Active Directory, 389 Directory Server and others.

Users are found by a search, and their passwords are checked by the directory: by a bind (RFC 4513, section 5.1.3) on a
connection of its own. No hash is ever read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Literal

from ...errors import AccountStatusError, BackendError
from ...models import User, UserModel
from ...passwords import MAX_PASSWORD_BYTES
from ...support.logs import get_logger
from ..abstract import AbstractVerifyingUserstore
from .accounts import (
    READ_ATTRIBUTES,
    AccountStatus,
    policy_problem,
    read_mark,
    read_refusal,
    read_status,
)
from .directory import Directory, require_seconds
from .entries import (
    Entry,
    can_be_a_name,
    can_be_sent,
    escape_filter_value,
    parse_name,
    read_texts,
    require_attribute,
    require_dn,
    require_filter,
)
from .groups import Groups
from .session import SUCCESS

_log = get_logger(__name__)

# Result codes of RFC 4511, appendix A, that answer a bind: no such entry (any more), no password there, a wrong one;
# and, instead of looking at it, that there were too many wrong ones (389 Directory Server), or an inactive account.
_WRONG = (32, 48, 49)
_REFUSED = (19, 53)

_MAX_USERS, _LIST_SECONDS = 100_000, 300


class LDAPUserstore(AbstractVerifyingUserstore):
    """Know the users of a directory, and let it check their passwords.

    A user is called what ``username_attribute`` of its entry says: directories take ``ALICE`` for ``alice``, and the
    user is ``alice`` nevertheless. Where two entries have the name, or an entry has two names, nobody gets in by it.

    :param urls: ``ldaps://host``, or several of the same contents: the next is asked where one does not answer
    :param base_dn: where the users are, for example ``ou=people,dc=example,dc=com``
    :param bind_dn: as whom is searched; ``None`` for nobody
    :param bind_password: its password
    :param user_filter: which entry is a user's (RFC 4515); ``{username}`` is what the client calls the user, escaped.
        By default ``(&(objectClass=inetOrgPerson)(uid={username}))``, with ``username_attribute``; for Active Directory
        ``(&(objectCategory=person)(objectClass=user)(sAMAccountName={username}))``
    :param username_attribute: what a user is called; ``sAMAccountName`` or ``userPrincipalName`` in Active Directory
    :param email_attribute: the address
    :param groups: ``"memberOf"``, an attribute that names a user's groups; ``"search"``, for directories without; or
        ``None``
    :param group_base_dn: where groups are; others do not count. Say it wherever users may make groups of their own
    :param group_filter: which groups a search finds, with ``{dn}`` or ``{username}``; by default
        ``(&(objectClass=groupOfNames)(member={dn}))``
    :param nested_groups: search for groups of groups, too, which Active Directory can
    :param roles_of_groups: the roles of groups, by DN or by ``cn``; without it a group's ``cn`` is the role
    :param lockout_seconds: how long the directory locks an account after wrong passwords; ``None`` until it says
        otherwise. It matters for users who come without a password: owners of keys and tokens
    :param decoy_dn: an entry to try passwords of unknown users on, so that they take as long as wrong ones do. By
        default none that exists, which a directory with slow hashes refuses faster (CWE-208)
    :param start_tls: encrypt ``ldap://`` connections before anything is asked
    :param allow_plaintext: let passwords travel as they are
    :param ca_file: a PEM file with the authorities that issue the servers' certificates; ``None`` for the system's. It
        is read again when it changes
    :param timeout_seconds: how long one server is waited for, each time it is asked
    :param total_seconds: how long all of them together are waited for, each time; a login asks two or three times
    :param down_seconds: how long a server that did not answer is asked after the others
    :raises ConfigurationError: what cannot work, or would not be safe
    :raises MissingDependencyError: ldap3 is not installed
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        base_dn: str,
        bind_dn: str | None = None,
        bind_password: str | None = None,
        user_filter: str | None = None,
        username_attribute: str = "uid",
        email_attribute: str = "mail",
        groups: Literal["memberOf", "search"] | None = "memberOf",
        group_base_dn: str | None = None,
        group_filter: str | None = None,
        nested_groups: bool = False,
        roles_of_groups: Mapping[str, Iterable[str]] | None = None,
        lockout_seconds: float | None = None,
        decoy_dn: str | None = None,
        start_tls: bool = False,
        allow_plaintext: bool = False,
        ca_file: str | None = None,
        timeout_seconds: float = 5,
        total_seconds: float = 10,
        down_seconds: float = 10,
    ) -> None:
        self._directory = Directory(
            urls,
            bind_dn=bind_dn,
            bind_password=bind_password,
            start_tls=start_tls,
            allow_plaintext=allow_plaintext,
            ca_file=ca_file,
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
            down_seconds=down_seconds,
        )
        self._base_dn = require_dn(base_dn, "base_dn")
        self._username_attribute = require_attribute(username_attribute, "username_attribute")
        self._email_attribute = require_attribute(email_attribute, "email_attribute")
        wanted = user_filter or f"(&(objectClass=inetOrgPerson)({username_attribute}={{username}}))"
        self._user_filter = require_filter(wanted, "user_filter", "{username}")
        self._groups = Groups(
            groups,
            base_dn=group_base_dn,
            users_dn=base_dn,
            group_filter=group_filter,
            nested_groups=nested_groups,
            roles_of_groups=roles_of_groups,
        )
        self._attributes = [username_attribute, email_attribute, *self._groups.attributes, *READ_ATTRIBUTES]
        self._lockout_seconds = None if lockout_seconds is None else require_seconds(lockout_seconds, "lockout_seconds")
        self._decoy_dn = require_dn(_unused_dn(base_dn) if decoy_dn is None else decoy_dn, "decoy_dn")

    def __repr__(self) -> str:
        """Name the servers and the place in them, and no secret."""
        return f"LDAPUserstore({list(self._directory.urls)!r}, base_dn={self._base_dn!r})"

    def get_user(self, identifier: str) -> UserModel | None:
        """Return the user with this name. An account that is locked for some time is not active, either."""
        found = self._find(identifier)
        if found is None:
            return None
        entry, user = found
        status = self._read_status(entry)
        return self._complete(entry, user, active=status.disabled is None and status.locked is None)

    def verify_password(self, username: str, password: str) -> UserModel | None:
        """Return the user if the directory takes the password."""
        # An empty password is an anonymous bind, which succeeds (RFC 4513, section 5.1.2; CWE-287). One that shows
        # nothing, or has a NUL, might be empty in the eyes of a server; none of them is anybody's.
        if not any(c.isprintable() and not c.isspace() for c in password) or "\x00" in password:
            return None
        if not can_be_sent(password, MAX_PASSWORD_BYTES) or not can_be_a_name(username):
            return None
        found = self._find(username)
        # Ask for somebody unknown, too: what has taken as long as for the others tells nobody who exists (CWE-208).
        answer = self._directory.bind(self._decoy_dn if found is None else found[0].dn, password)
        if found is None:
            return None
        entry, user = found
        status = self._read_status(entry)
        if answer.code == SUCCESS:
            problem = policy_problem(answer)
            return self._complete(entry, user, active=status.disabled is None and problem is None)
        problem, right = read_refusal(answer)
        if right:
            return self._complete(entry, user, active=False)
        if answer.code not in (*_WRONG, *_REFUSED):
            raise BackendError(f"the directory answers a bind with the code {answer.code}")
        if answer.code in _REFUSED:
            problem = problem or f"is refused (code {answer.code})"
        problem = problem or status.locked
        if problem is not None:
            raise AccountStatusError(f"the account {problem}")
        return None

    def list_users(self) -> Iterator[UserModel]:
        """Yield all users, sorted by name. With ``groups="search"`` it asks for the groups of each.

        Servers limit how many entries an account may read, even in pages: OpenLDAP to 500 (``limits`` in slapd.conf,
        ``size.prtotal``). Fewer than all is a ``BackendError``.
        """
        wanted = self._user_filter.replace("{username}", "*")
        entries = self._directory.search_all(
            self._base_dn, wanted, self._attributes, most=_MAX_USERS, seconds=_LIST_SECONDS
        )
        named: dict[str, list[tuple[Entry, User]]] = {}
        for entry in entries:
            user = self._read_user(entry)
            if user is not None:
                named.setdefault(user.username.casefold(), []).append((entry, user))
        for name in sorted(named):
            if len(named[name]) > 1:
                _log.warning("%d entries have the name %r: nobody gets in by it", len(named[name]), name)
                continue
            entry, user = named[name][0]
            status = self._read_status(entry)
            yield self._complete(entry, user, active=status.disabled is None and status.locked is None)

    def _find(self, identifier: str) -> tuple[Entry, User] | None:
        """Return the one entry that has this name, and the user it is about, without groups and roles."""
        if not can_be_a_name(identifier):
            return None
        wanted = self._user_filter.replace("{username}", escape_filter_value(identifier))
        entries = self._directory.search(self._base_dn, wanted, self._attributes, size_limit=2)
        if len(entries) > 1:
            # Never the first of them: which one that is, is chance, or up to whoever may add entries.
            _log.warning("several entries have the name %r: nobody gets in by it", identifier)
            return None
        user = self._read_user(entries[0]) if entries else None
        return None if user is None else (entries[0], user)

    def _read_user(self, entry: Entry) -> User | None:
        """Return the user whose entry it is, or ``None`` if it has not one name."""
        names = read_texts(entry.attributes, self._username_attribute)
        name = parse_name(entry.dn)
        if len(names) > 1 and name is not None:
            # Of several, the one that the entry itself is called; the order of the others is chance.
            called = [value for attribute, value in name[0] if attribute == self._username_attribute.lower()]
            names = [each for each in names if each in called]
        if len(names) != 1 or not names[0].strip() or name is None:
            _log.warning("the entry %r has not one %s: nobody gets in by it", entry.dn, self._username_attribute)
            return None
        addresses = read_texts(entry.attributes, self._email_attribute)
        email = addresses[0] if addresses else None
        return User(names[0], email=email, attributes={"dn": entry.dn}, mark=read_mark(entry.attributes))

    def _read_status(self, entry: Entry) -> AccountStatus:
        return read_status(entry.attributes, datetime.now(timezone.utc), self._lockout_seconds)

    def _complete(self, entry: Entry, user: User, *, active: bool) -> User:
        groups, roles = self._groups.find(entry, user.username, self._directory)
        return replace(user, active=active, groups=groups, roles=roles)


def _unused_dn(base_dn: str) -> str:
    """Return a DN that nobody can have by chance, or give to an entry on purpose."""
    return f"uid={secrets.token_hex(16)},{base_dn}"
