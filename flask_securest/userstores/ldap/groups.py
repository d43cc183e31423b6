"""Which groups of a directory a user is in, and which roles they give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import ConfigurationError
from ...models import collect_names
from ...support.checks import require_name
from .directory import Directory
from .entries import (
    Entry,
    Name,
    common_name,
    escape_filter_value,
    normalize,
    parse_name,
    read_texts,
    require_dn,
    require_filter,
)

_MAX_GROUPS = 10_000

_DIRECT = "(&(objectClass=groupOfNames)(member={dn}))"
# Active Directory's LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS], section 3.1.1.3.4.4.3): members of members, too.
_NESTED = "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:={dn}))"


class Groups:
    """Find the groups and roles of users.

    :param groups: ``"memberOf"``, ``"search"`` or ``None``
    :param base_dn: where groups are; ``None`` for anywhere, or for a search in ``users_dn``
    :param users_dn: where users are
    :param group_filter: what a search finds, with ``{dn}`` or ``{username}``
    :param nested_groups: search for groups of groups, too
    :param roles_of_groups: the roles of groups, by DN or by ``cn``
    :raises ConfigurationError: what cannot work
    """

    def __init__(
        self,
        groups: str | None,
        *,
        base_dn: str | None,
        users_dn: str,
        group_filter: str | None,
        nested_groups: bool,
        roles_of_groups: Mapping[str, Iterable[str]] | None,
    ) -> None:
        if groups not in ("memberOf", "search", None):
            raise ConfigurationError(f'groups must be "memberOf", "search" or None, not {groups!r}')
        if groups != "search" and (group_filter is not None or nested_groups):
            raise ConfigurationError('group_filter and nested_groups are about a search: say groups="search"')
        if group_filter is not None and nested_groups:
            raise ConfigurationError(f"nested_groups is the group_filter {_NESTED!r}: say one of them")
        self.attributes = ["memberOf"] if groups == "memberOf" else []
        self._base = None if base_dn is None else _read_name(base_dn, "group_base_dn")
        self._search_base = (base_dn or users_dn) if groups == "search" else None
        self._filter = group_filter or (_NESTED if nested_groups else _DIRECT)
        require_filter(self._filter, "group_filter", "{dn}", "{username}")
        self._roles_of_names, self._roles_of_dns = _read_roles(roles_of_groups)

    def find(self, entry: Entry, username: str, directory: Directory) -> tuple[set[str], set[str]]:
        """Return the groups of the user that ``entry`` is about, and its roles.

        :raises BackendError: the directory does not answer
        """
        dns = read_texts(entry.attributes, "memberOf") if self.attributes else []
        if self._search_base is not None:
            wanted = self._filter.replace("{dn}", escape_filter_value(entry.dn))
            wanted = wanted.replace("{username}", escape_filter_value(username))
            # 1.1 is no attribute (RFC 4511, section 4.5.1.8): the DN is enough.
            dns = [found.dn for found in directory.search_all(self._search_base, wanted, ["1.1"], most=_MAX_GROUPS)]
        groups: set[str] = set()
        roles: set[str] = set()
        for dn in dns:
            name = parse_name(dn)
            # A group of the same name elsewhere is another group: users may be allowed to make some of their own, and
            # would make one called admin.
            if name is None or (self._base is not None and normalize(name)[-len(self._base) :] != self._base):
                continue
            group = common_name(name)
            if group is not None:
                groups.add(group)
            roles |= self._roles(name, group)
        return groups, roles

    def _roles(self, name: Name, group: str | None) -> frozenset[str]:
        if self._roles_of_names is None or self._roles_of_dns is None:
            return frozenset() if group is None else frozenset([group])
        roles = self._roles_of_dns.get(normalize(name), frozenset())
        return roles if group is None else roles | self._roles_of_names.get(group.casefold(), frozenset())


def _read_name(dn: str, what: str) -> Name:
    return normalize(parse_name(require_dn(dn, what)) or ())


def _read_roles(
    roles_of_groups: Mapping[str, Iterable[str]] | None,
) -> tuple[dict[str, frozenset[str]] | None, dict[Name, frozenset[str]] | None]:
    if roles_of_groups is None:
        return None, None
    if not isinstance(roles_of_groups, Mapping):
        raise ConfigurationError(f"roles_of_groups must be a mapping, not {type(roles_of_groups).__name__}")
    of_names: dict[str, frozenset[str]] = {}
    of_dns: dict[Name, frozenset[str]] = {}
    for group, names in roles_of_groups.items():
        require_name(group, "a group of roles_of_groups")
        try:
            roles = collect_names(names, what=f"roles_of_groups[{group!r}]")
        except (TypeError, ValueError) as error:
            raise ConfigurationError(str(error)) from error
        if "=" in group:
            of_dns[_read_name(group, "a group of roles_of_groups")] = roles
        else:
            of_names[group.casefold()] = roles
    return of_names, of_dns
