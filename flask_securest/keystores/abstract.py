"""The contract of a keystore: one method; and the life of a key in stores that can be written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from ..identity import Origin
from ..models import UserModel, collect_names, require_user, scopes_of
from .format import DEFAULT_PREFIX, make_key, require_prefix
from .models import ApiKey, IssuedKey, KeyUse

#: For how long the former secret of a key goes on working after a rotation, unless another time is given.
DEFAULT_OVERLAP = timedelta(days=30)


class AbstractKeystore(ABC):
    """Know the API keys of machine clients. One store may be asked by several threads at once."""

    @abstractmethod
    def get_key(self, key_id: str) -> ApiKey | None:
        """Return the key with this id, or ``None`` when there is none.

        Keys that are revoked or have expired are returned too: whether a key may be used is looked at by whoever asks.

        :param key_id: 16 digits and letters, which come from outside
        :raises BackendError: the store cannot tell now; never ``None``, which says that there is no such key
        """

    def record_uses(self, uses: Mapping[KeyUse, datetime]) -> None:  # noqa: B027  # a hook, not a duty
        """Write down when keys were last used. It is called off the request's path, by another thread.

        :param uses: when each was used, at most once per key and minute
        :raises BackendError: the store cannot be written now
        """


class AbstractWritableKeystore(AbstractKeystore):
    """Know API keys, and issue, rotate and revoke them. Each call is in force as a whole, or not at all.

    :param prefix: what new keys begin with, so that scanners can recognise them as yours
    :raises ConfigurationError: keys cannot begin like that
    """

    def __init__(self, *, prefix: str = DEFAULT_PREFIX) -> None:
        self.prefix = require_prefix(prefix)

    @abstractmethod
    def add_keys(self, keys: Iterable[ApiKey]) -> int:
        """Add keys: all, or none of them.

        :param keys: the keys
        :returns: how many
        :raises ValueError: an id that is taken
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def replace_key(self, key: ApiKey, *, expected: ApiKey) -> bool:
        """Replace a key, unless somebody else has changed it meanwhile.

        The times of last use do not count as changes, and are not replaced.

        :param key: what is known of it from now on
        :param expected: what was known of it
        :returns: whether it was replaced
        :raises BackendError: the store cannot be written now
        """

    @abstractmethod
    def list_keys(self) -> Iterator[ApiKey]:
        """Yield all keys, the oldest first.

        :raises BackendError: the store cannot tell now
        """

    def list_origins(self) -> Iterator[str]:
        """Yield the origins, other than the API's own, of users who have keys, each once.

        :raises BackendError: the store cannot tell now
        """
        yield from sorted({key.owner_origin for key in self.list_keys() if key.owner_origin is not None})

    def issue(
        self,
        *,
        owner: UserModel | None = None,
        owner_origin: Origin = None,
        app_name: str | None = None,
        scopes: Collection[str] | None = None,
        expires_at: datetime | None = None,
        networks: Collection[str] = (),
        note: str = "",
    ) -> IssuedKey:
        """Add a new key, and return it: this is the only time that it can be seen.

        :param owner: the user whose key it is: it has the user's roles, and stops when the user is disabled; or
        :param owner_origin: where that user lives, as its ``Identity.origin`` says: ``None`` for the API's userstore,
            else the name of the provider that knows it
        :param app_name: the application whose key it is
        :param scopes: what the key is limited to; never more than the owner's own; ``None`` for what the owner has
        :param expires_at: when it ends; ``None`` for never
        :param networks: from where it may be used, such as ``"10.0.0.0/8"``; empty for everywhere
        :param note: what it is for, in words
        :raises ValueError: scopes that the owner has not, or another value that :class:`ApiKey` does not take
        :raises BackendError: the store cannot be written now
        """
        secret = self.make(
            owner=owner,
            owner_origin=owner_origin,
            app_name=app_name,
            scopes=scopes,
            expires_at=expires_at,
            networks=networks,
            note=note,
        )
        self.add_keys([secret.key])
        return secret

    def make(
        self,
        *,
        owner: UserModel | None = None,
        owner_origin: Origin = None,
        app_name: str | None = None,
        scopes: Collection[str] | None = None,
        expires_at: datetime | None = None,
        networks: Collection[str] = (),
        note: str = "",
    ) -> IssuedKey:
        """Return a new key that is not in the store yet: for many at once, ``add_keys(i.key for i in issued)``.

        The arguments and errors are those of :meth:`issue`.
        """
        if owner is not None:
            require_user(owner)
            most = scopes_of(owner)
            if scopes is not None and most is not None and not (asked := collect_names(scopes, what="scopes")) <= most:
                raise ValueError(f"{owner.username!r} has not these scopes itself: {', '.join(sorted(asked - most))}")
        secret = make_key(self.prefix)
        key = ApiKey(
            id=secret.id,
            digest=secret.digest,
            owner=None if owner is None else owner.username,
            owner_origin=owner_origin,
            app_name=app_name,
            scopes=scopes,
            networks=networks,
            note=note,
            created_at=_now(),
            expires_at=expires_at,
        )
        return IssuedKey(secret.text, key)

    def rotate(self, key_id: str, *, overlap: timedelta = DEFAULT_OVERLAP) -> IssuedKey:
        """Give a key a new secret, and return it: this is the only time that it can be seen.

        The former secret goes on working until its sunset, and answers say so (RFC 9745, RFC 8594). One that was
        replaced by an earlier rotation ends now.

        :param key_id: the key
        :param overlap: for how long the former secret goes on working
        :raises KeyError: there is no such key
        :raises ValueError: the key is revoked, or ``overlap`` is negative
        :raises BackendError: the store cannot be written now
        """
        if overlap < timedelta(0):
            raise ValueError(f"overlap must not be negative, and is {overlap}")
        while True:
            known = self._require_key(key_id)
            if known.revoked_at is not None:
                raise ValueError(f"the key {key_id!r} is revoked: issue a new one")
            secret, now = make_key(self.prefix, key_id), _now()
            rotated = replace(
                known,
                digest=secret.digest,
                former_digest=known.digest,
                rotated_at=now,
                sunset_at=now + overlap,
            )
            if self.replace_key(rotated, expected=known):
                return IssuedKey(secret.text, rotated)

    def revoke(self, key_id: str) -> ApiKey:
        """End a key now, with its former secret. It stays in the list.

        :param key_id: the key
        :raises KeyError: there is no such key
        :raises BackendError: the store cannot be written now
        """
        while True:
            known = self._require_key(key_id)
            if known.revoked_at is not None:
                return known
            revoked = replace(known, revoked_at=_now())
            if self.replace_key(revoked, expected=known):
                return revoked

    def _require_key(self, key_id: str) -> ApiKey:
        known = self.get_key(key_id)
        if known is None:
            raise KeyError(f"there is no key {key_id!r}")
        return known


def _now() -> datetime:
    # Whole seconds: what a header can say, and every back end can keep.
    return datetime.now(timezone.utc).replace(microsecond=0)
