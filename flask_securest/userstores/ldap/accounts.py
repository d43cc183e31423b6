"""Whether an account may be used: what its entry says, and what a refused bind says.

The attributes are those of OpenLDAP's password policy (draft-behera-ldap-password-policy), of Active Directory
([MS-ADTS], section 2.2.16; [MS-ADA1] to [MS-ADA3]), and of 389 Directory Server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from .entries import BindAnswer


class AccountStatus(NamedTuple):
    """Hold why an account may not be used; ``None`` where nothing speaks against it.

    :param disabled: it is disabled, expired, or waits for a new password, whatever the password
    :param locked: it is locked for some time, after wrong passwords; a bind that succeeds says that it is not any more
    """

    disabled: str | None
    locked: str | None


#: What :func:`read_status` looks at. A server leaves out what it does not know.
STATUS_ATTRIBUTES = (
    "pwdAccountLockedTime",  # ppolicy: OpenLDAP and others
    "pwdReset",
    "pwdStartTime",
    "pwdEndTime",
    "userAccountControl",  # Active Directory
    "msDS-User-Account-Control-Computed",
    "accountExpires",
    "lockoutTime",
    "pwdLastSet",
    "nsAccountLock",  # 389 Directory Server, FreeIPA
)

# Bits of userAccountControl ([MS-ADTS], section 2.2.16).
_DISABLED, _LOCKED, _PASSWORD_LASTS, _PASSWORD_EXPIRED = 0x2, 0x10, 0x10000, 0x800000
_NEVER = (0, 0x7FFFFFFFFFFFFFFF)  # of accountExpires
_LOCKED_FOR_EVER = b"000001010000Z"

# What Active Directory says to a bind in words, beside invalidCredentials: "... AcceptSecurityContext error, data 533,
# v4563". All but the last are said to a right password only.
_AD_CODE = re.compile(r"\bdata ([0-9a-f]{1,8}),")
_AD_PROBLEMS = {
    "530": "may not log in at this time",
    "531": "may not log in from here",
    "532": "has an expired password",
    "701": "has expired",
    "773": "has to set a new password",
    "775": "is locked",
}
_AD_DISABLED = "533"

_POLICY_PROBLEMS = {0: "has an expired password", 1: "is locked", 2: "has to set a new password"}


#: What changes with the password, or with the person behind a name (RFC 4530 for entryUUID).
MARK_ATTRIBUTES = ("pwdChangedTime", "pwdLastSet", "entryUUID", "objectGUID", "nsUniqueId")

#: All of these, each once.
READ_ATTRIBUTES = tuple(dict.fromkeys([*STATUS_ATTRIBUTES, *MARK_ATTRIBUTES]))


def read_mark(attributes: Mapping[str, list[bytes]]) -> str | None:
    """Return what changes with the password of an account, or with the person who has its name.

    :param attributes: the attributes of the entry
    :returns: ``None`` if the server tells none of them
    """
    found = {name: attributes.get(name.lower(), []) for name in MARK_ATTRIBUTES}
    told = [f"{name}={value.hex()}" for name, values in found.items() for value in sorted(values)]
    return ";".join(told) or None


def read_status(attributes: Mapping[str, list[bytes]], now: datetime, lockout_seconds: float | None) -> AccountStatus:
    """Return whether an account may be used, as far as its entry says. What cannot be read speaks against it.

    :param attributes: the attributes of the entry
    :param now: the time, in UTC
    :param lockout_seconds: how long an account is locked after wrong passwords; ``None`` until its entry says otherwise
    """
    first = {name: values[0] for name, values in attributes.items() if values}
    try:
        return AccountStatus(_why_disabled(first, now), _why_locked(first, now, lockout_seconds))
    except (ValueError, OverflowError):
        return AccountStatus("has a status that cannot be read", None)


def _why_disabled(first: Mapping[str, bytes], now: datetime) -> str | None:
    control = int(first.get("useraccountcontrol", 0))
    computed = int(first.get("msds-user-account-control-computed", 0))
    expires = int(first.get("accountexpires", 0))
    last_set = int(first.get("pwdlastset", 1))
    start, end = first.get("pwdstarttime"), first.get("pwdendtime")
    if control & _DISABLED or first.get("nsaccountlock", b"").lower() == b"true":
        return "is disabled"
    if first.get("pwdaccountlockedtime") == _LOCKED_FOR_EVER:
        return "is locked for ever"
    if expires not in _NEVER and _read_filetime(expires) <= now:
        return "has expired"
    if (end is not None and _read_time(end) <= now) or (start is not None and now < _read_time(start)):
        return "is out of its time"
    if first.get("pwdreset", b"").lower() == b"true" or (last_set == 0 and not control & _PASSWORD_LASTS):
        return "has to set a new password"
    return "has an expired password" if computed & _PASSWORD_EXPIRED else None


def _why_locked(first: Mapping[str, bytes], now: datetime, lockout_seconds: float | None) -> str | None:
    computed = first.get("msds-user-account-control-computed")
    if computed is not None:
        return "is locked" if int(computed) & _LOCKED else None
    locked_at, lockout_time = first.get("pwdaccountlockedtime"), int(first.get("lockouttime", 0))
    if locked_at == _LOCKED_FOR_EVER:
        return "is locked"
    if locked_at is None and lockout_time == 0:
        return None
    since = _read_filetime(lockout_time) if locked_at is None else _read_time(locked_at)
    # An entry goes on saying so when the time is over, until the next login.
    is_over = lockout_seconds is not None and now - since >= timedelta(seconds=lockout_seconds)
    return None if is_over else "is locked"


def read_refusal(answer: BindAnswer) -> tuple[str | None, bool]:
    """Return what a refused bind says about the account, if anything, and whether it only is disabled.

    :param answer: an answer that is not success
    :returns: the problem, or ``None`` for a wrong password; and true if the password was right
    """
    found = _AD_CODE.search(answer.message)
    if found is not None and found[1] == _AD_DISABLED:
        return "is disabled", True
    if found is not None and found[1] in _AD_PROBLEMS:
        return _AD_PROBLEMS[found[1]], False
    return policy_problem(answer), False


def policy_problem(answer: BindAnswer) -> str | None:
    """Return what the password policy says against the account, or ``None``."""
    return None if answer.policy_error is None else _POLICY_PROBLEMS.get(answer.policy_error)


def _read_filetime(value: int) -> datetime:
    """Return the time of ``value`` times 100 ns since 1601 ([MS-DTYP], section 2.3.3)."""
    return datetime(1601, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=value // 10)


def _read_time(value: bytes) -> datetime:
    """Return a GeneralizedTime (RFC 4517, section 3.3.13) of UTC, to the second."""
    return datetime.strptime(value[:14].decode("ascii") + value[-1:].decode("ascii"), "%Y%m%d%H%M%SZ").replace(
        tzinfo=timezone.utc
    )
