"""What users sign in with at providers; sealed for their user and row, opened for nobody else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from datalayer.domains.providers.model import Credential, ProviderCredential, ProviderTokens
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc, new_id
from datalayer.repository.secrets import Secrets, masked

__all__ = ["ProviderCredentials"]

_TABLE = "provider_credentials"
_SEALED = ("api_key", "access_token", "refresh_token")
_WRITTEN = (*_SEALED, "auth_type", "masked_preview", "scope", "expires_at", "updated_at")


class ProviderCredentials(Repository[ProviderCredential]):
    """`store.providers.credentials`: one for each user and provider.

    Rows hold sealed values only; `open` gives what they hold, to its own user.

        store.providers.credentials.set_api_key(user_id, "openai", "sk-...")
        store.providers.credentials.open(user_id, "openai").api_key
    """

    def __init__(
        self,
        engine: Engine,
        model: type[ProviderCredential] | None = None,
        *,
        data_dir: Path | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._secrets = Secrets(engine, _TABLE)
        dialect, quoted = engine.dialect, self.shape.quoted
        self._claim_sql = dialect.sql(
            f"INSERT INTO {_TABLE} (id, user_id, provider_id, auth_type, api_key, access_token, created_at,"
            " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (user_id, provider_id) DO UPDATE SET updated_at = excluded.updated_at"
            " RETURNING id"
        )
        terms = ", ".join(f"{quoted[name]} = ?" for name in _WRITTEN)
        self._write_sql = dialect.sql(
            f"UPDATE {_TABLE} SET {terms} WHERE id = ? RETURNING {self.shape.columns}"
        )

    # -- storing -----------------------------------------------------------------------------------

    def set_api_key(self, user_id: str, provider_id: str, api_key: str) -> ProviderCredential:
        """Give a user this API key at a provider, in the place of what was there.

        Raises:
            ForeignKeyViolation: there is no such user or provider.
            CheckViolation: the key is empty.
            DataLayerError: no key to seal it with, or the extra `crypto` is missing.
        """
        return self._put(user_id, provider_id, "api_key", {"api_key": api_key}, masked(api_key))

    def set_tokens(
        self, user_id: str, provider_id: str, tokens: ProviderTokens, *, auth_type: str = "oauth"
    ) -> ProviderCredential:
        """Give a user these tokens at a provider, in the place of what was there; a refresh does the same.

        Raises:
            ForeignKeyViolation: there is no such user or provider.
            CheckViolation: the access token is empty, or `auth_type` is not oauth or device_flow.
        """
        secrets = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
        facts = {"scope": tokens.scope, "expires_at": tokens.expires_at}
        return self._put(user_id, provider_id, auth_type, secrets, masked(tokens.access_token), **facts)

    # -- reading -----------------------------------------------------------------------------------

    def get_of(self, user_id: str, provider_id: str) -> ProviderCredential:
        """Give a user's credential at a provider, sealed: its preview, type and times.

        Raises:
            NotFound: the user has none there.
        """
        row = self.one_or_none(user_id=user_id, provider_id=provider_id)
        if row is None:
            raise _none_at(provider_id)
        return row

    def find_of(self, user_id: str) -> list[ProviderCredential]:
        """Give all credentials of a user, sealed, in the order of their providers' ids."""
        return self.find(user_id=user_id, order_by=("provider_id",))

    def open(self, user_id: str, provider_id: str) -> Credential:
        """Open a user's credential at a provider. Reads only; `mark_used` notes that it was used.

        Raises:
            NotFound: the user has none there.
            SecretUnreadable: changed, moved here from elsewhere, or its key is not there.
        """
        row = self.get_of(user_id, provider_id)
        clear: dict[str, str] = {}
        for name in _SEALED:
            sealed = getattr(row, name)
            if sealed is not None:
                clear[name] = self._secrets.open(sealed, column=name, row=row.id, owner=user_id)
        if "access_token" not in clear:
            return Credential(provider_id=provider_id, auth_type=row.auth_type, api_key=clear["api_key"])
        tokens = ProviderTokens(
            access_token=clear["access_token"],
            refresh_token=clear.get("refresh_token"),
            expires_at=row.expires_at,
            scope=row.scope,
        )
        return Credential(provider_id=provider_id, auth_type=row.auth_type, tokens=tokens)

    def mark_used(self, user_id: str, provider_id: str) -> None:
        """Note that a user's credential was used now.

        Raises:
            NotFound: the user has none there.
        """
        changes = {"last_used_at": self.engine.clock()}
        if not self.update_where(user_id=user_id, provider_id=provider_id, changes=changes):
            raise _none_at(provider_id)

    def find_expiring(
        self, *, within: timedelta = timedelta(minutes=5), limit: int = 100
    ) -> list[ProviderCredential]:
        """Give credentials whose tokens expire soon or did, the first to expire first, for a refresher."""
        until = self.engine.clock() + within
        return self.find(ProviderCredential.expires_at <= until, order_by=("expires_at", "id"), limit=limit)

    # -- removing ----------------------------------------------------------------------------------

    def remove(self, user_id: str, provider_id: str) -> None:
        """Forget a user's credential at a provider.

        Raises:
            NotFound: the user has none there.
        """
        if not self.delete_where(user_id=user_id, provider_id=provider_id):
            raise _none_at(provider_id)

    # -- pieces ------------------------------------------------------------------------------------

    def _put(
        self,
        user_id: str,
        provider_id: str,
        auth_type: str,
        secrets: dict[str, str | None],
        preview: str,
        **facts: Any,
    ) -> ProviderCredential:
        """Claim the row, which locks it and tells its id, and write what is sealed for that id."""
        if not secrets.get("api_key") and not secrets.get("access_token"):
            raise CheckViolation("an API key or access token is not empty", table=_TABLE)
        fresh, now = new_id(), encode_utc(self.engine.clock())
        first = self._sealed(fresh, user_id, secrets)
        claim = (fresh, user_id, provider_id, auth_type, first["api_key"], first["access_token"], now, now)
        with self.engine.transaction():
            found = self._write_one(self._claim_sql, claim)
            key = fresh if found is None else str(found[0])
            values: dict[str, Any] = first if key == fresh else self._sealed(key, user_id, secrets)
            expires_at = facts.get("expires_at")
            values |= {"auth_type": auth_type, "masked_preview": preview, "scope": facts.get("scope")}
            values |= {"expires_at": expires_at and encode_utc(expires_at), "updated_at": now}
            row = self._write_one(self._write_sql, [*(values[name] for name in _WRITTEN), key])
        return self.shape.build(row or (), self)

    def _sealed(self, key: str, user_id: str, secrets: dict[str, str | None]) -> dict[str, str | None]:
        values: dict[str, str | None] = dict.fromkeys(_SEALED)
        for name, value in secrets.items():
            if value is not None:
                values[name] = self._secrets.seal(value, column=name, row=key, owner=user_id)
        return values


def _none_at(provider_id: str) -> NotFound:
    return NotFound(f"this user has no credential at {provider_id!r}")
