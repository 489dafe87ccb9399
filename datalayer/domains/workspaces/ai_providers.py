"""AI providers: which are in use, what they do by default, and their keys.

A key is stored sealed for its own row and provider; what is shown of it is `masked_preview`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import peewee

from datalayer.domains.workspaces.administration import AdminUsers, AuditTrail
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, JSONField, UtcField, new_id
from datalayer.repository.mixins import Timestamps
from datalayer.repository.secrets import EncryptedColumn, Secrets, masked

__all__ = [
    "ENCRYPTED_KEYS",
    "AiProvider",
    "AiProviderKey",
    "AiProviderKeys",
    "AiProviders",
    "OpenKey",
    "ProviderName",
    "Route",
]

ProviderName = Literal["gemini", "openai"]
_TABLE = "ai_provider_keys"
_COLUMN = "encrypted_key"
ENCRYPTED_KEYS = EncryptedColumn(_TABLE, _COLUMN, "provider")


class AiProvider(Timestamps):
    """The settings of one provider; `feature_routing` gives features a model of their own."""

    id = IdField()
    provider = cast("peewee.Field[ProviderName]", peewee.TextField())
    is_enabled = peewee.BooleanField(default=True)
    default_model = peewee.TextField()
    fallback_provider = cast("peewee.Field[ProviderName | None]", peewee.TextField(null=True))
    feature_routing = cast(
        "peewee.Field[dict[str, str]]", JSONField(column_name="feature_routing_json", default=dict)
    )

    class Meta:
        """Where it is stored."""

        table_name = "ai_provider_settings"


class AiProviderKey(Timestamps):
    """A provider's key: its name and preview; the key itself is given by `AiProviderKeys.open` alone."""

    id = IdField()
    provider = cast("peewee.Field[ProviderName]", peewee.TextField())
    name = peewee.TextField(default="default")
    encrypted_key = peewee.TextField()
    masked_preview = peewee.TextField()
    is_active = peewee.BooleanField(default=True)
    created_by = peewee.TextField(null=True)
    last_used_at = cast("peewee.Field[datetime | None]", UtcField(null=True))

    class Meta:
        """Where it is stored."""

        table_name = _TABLE


@dataclass(frozen=True, slots=True)
class Route:
    """Which provider's model a call goes to."""

    provider: ProviderName
    model: str


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A key in the clear; its repr does not show it."""

    id: str
    provider: ProviderName
    value: str = field(repr=False)


class AiProviders(Repository[AiProvider]):
    """`store.workspaces.ai_providers`."""

    def configure(
        self,
        provider: ProviderName,
        default_model: str,
        *,
        is_enabled: bool = True,
        fallback_provider: ProviderName | None = None,
        feature_routing: Mapping[str, str] | None = None,
    ) -> AiProvider:
        """Give a provider these settings, whole, whether it had some or not.

        Raises:
            CheckViolation: an unknown provider, no model, or a provider that falls back on itself.
            ForeignKeyViolation: the other one has no settings yet.
        """
        return self.upsert(
            provider=provider,
            default_model=default_model,
            is_enabled=is_enabled,
            fallback_provider=fallback_provider,
            feature_routing=dict(feature_routing or {}),
            on=("provider",),
        )

    def enable(self, provider: ProviderName, enabled: bool = True) -> None:
        """Let a provider be used, or not.

        Raises:
            NotFound: it has no settings.
        """
        if not self.update_where(provider=provider, changes={"is_enabled": enabled}):
            raise self._not_found(provider)

    def route(self, provider: ProviderName, feature: str = "") -> Route:
        """Give where a call goes: this provider, or the first enabled one it falls back on; one query.

        The model is the one that `feature_routing` names for the feature, else the provider's default.

        Raises:
            NotFound: none of them is there and enabled.
        """
        known = {row.provider: row for row in self.find()}
        asked: ProviderName | None = provider
        seen: set[str] = set()
        while asked is not None and asked in known and asked not in seen:
            row = known[asked]
            if row.is_enabled:
                return Route(row.provider, row.feature_routing.get(feature, row.default_model))
            seen.add(asked)
            asked = row.fallback_provider
        raise NotFound(f"neither {provider!r} nor what it falls back on is enabled")


class AiProviderKeys(Repository[AiProviderKey]):
    """`store.workspaces.ai_provider_keys`: stored sealed, shown masked, opened on purpose."""

    def __init__(
        self, engine: Engine, model: type[AiProviderKey] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._secrets = Secrets(engine, _TABLE)
        self._audit = AuditTrail(engine)
        self._admins = AdminUsers(engine)

    def store(
        self, provider: ProviderName, key: str, *, name: str = "default", user_id: str | None = None
    ) -> AiProviderKey:
        """Store a key of a provider under a new name; the audit trail tells who did.

        Raises:
            UniqueViolation: the provider has a key of this name; `replace` gives it another value.
            CheckViolation: an unknown provider, no name, or no key.
            ForeignKeyViolation: there is no such user.
            DataLayerError: nothing to seal it with.
        """
        row = new_id()
        sealed = self._sealed(key, row, provider)
        with self.engine.transaction():
            made = self.add(id=row, provider=provider, name=name, created_by=user_id, **sealed)
            self._tell("ai_provider_key.store", user_id, made)
        return made

    def replace(self, key_id: str, key: str, *, user_id: str | None = None) -> AiProviderKey:
        """Give a stored key another value, and make it active.

        Raises:
            NotFound: there is no such key.
            CheckViolation: no key.
            DataLayerError: nothing to seal it with.
        """
        with self.engine.transaction():
            found = self.for_update().get(key_id)
            self.update(found, is_active=True, **self._sealed(key, found.id, found.provider))
            self._tell("ai_provider_key.replace", user_id, found)
        return found

    def deactivate(self, key_id: str, *, user_id: str | None = None) -> AiProviderKey:
        """Let a key be used no more; it stays stored.

        Raises:
            NotFound: there is no such key.
        """
        with self.engine.transaction():
            found = self.for_update().get(key_id)
            self.update(found, is_active=False)
            self._tell("ai_provider_key.deactivate", user_id, found)
        return found

    def find_of(self, provider: ProviderName) -> list[AiProviderKey]:
        """Give the keys of a provider, the newest first, with their previews."""
        return self.find(provider=provider, order_by="-id")

    def open(self, provider: ProviderName) -> OpenKey:
        """Give the newest active key of a provider in the clear, for a call, and record the time of its use.

        Raises:
            NotFound: the provider has no active key.
            SecretUnreadable: it was tampered with or moved, or the key that seals it is not there.
        """
        with self.engine.transaction():
            found = self.first(provider=provider, is_active=True, order_by="-id")
            if found is None:
                raise NotFound(f"no active key of {provider!r} is stored")
            opened = self._opened(found)
            self.update_where(id=found.id, changes={"last_used_at": self.engine.clock()})
        return opened

    def reveal(self, key_id: str, *, user_id: str) -> OpenKey:
        """Give one key in the clear to an administrator; the audit trail tells who saw it.

        Raises:
            NotFound: there is no such key, or the user is no administrator (`admin` or `superadmin`).
            SecretUnreadable: as `open`.
        """
        with self.engine.transaction():
            self._admins.require(user_id, "admin")
            found = self.get(key_id)
            opened = self._opened(found)
            self._tell("ai_provider_key.reveal", user_id, found)
        return opened

    def _sealed(self, key: str, row: str, provider: str) -> dict[str, str]:
        if not key:
            raise CheckViolation("an empty text is no key", columns=(_COLUMN,))
        sealed = self._secrets.seal(key, column=_COLUMN, row=row, owner=provider)
        return {_COLUMN: sealed, "masked_preview": masked(key)}

    def _opened(self, found: AiProviderKey) -> OpenKey:
        value = self._secrets.open(found.encrypted_key, column=_COLUMN, row=found.id, owner=found.provider)
        return OpenKey(found.id, found.provider, value)

    def _tell(self, action: str, user_id: str | None, key: AiProviderKey) -> None:
        details: dict[str, Any] = {"provider": key.provider, "name": key.name}
        self._audit.append(action, actor_id=user_id, entity_type=_TABLE, entity_id=key.id, details=details)
