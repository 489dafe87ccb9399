"""A provider, a user's credential there, a sign-in under way; and the secrets that are handed out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.secrets import EncryptedColumn

__all__ = [
    "AUTH_TYPES",
    "ENCRYPTED",
    "STATUSES",
    "Credential",
    "DeviceFlow",
    "FinishedRedirect",
    "OAuthState",
    "Provider",
    "ProviderCredential",
    "ProviderTokens",
    "StartedRedirect",
]

AUTH_TYPES = ("api_key", "oauth", "device_flow")
STATUSES = ("pending", "completed", "denied", "failed", "expired")

ENCRYPTED = (
    EncryptedColumn("provider_credentials", "api_key", "user_id"),
    EncryptedColumn("provider_credentials", "access_token", "user_id"),
    EncryptedColumn("provider_credentials", "refresh_token", "user_id"),
    EncryptedColumn("oauth_state", "code_verifier", "user_id"),
    EncryptedColumn("oauth_state", "device_code", "user_id"),
)
"""What `datalayer keys rotate` seals anew."""


class Provider(Timestamps):
    """Who offers models; its `id` is a short name. One of them at most is the default, and is enabled."""

    id = peewee.TextField(primary_key=True)
    name = peewee.TextField()
    base_url = peewee.TextField(null=True)
    auth_types = JSONField(default=lambda: ["api_key"])
    is_enabled = peewee.BooleanField(default=True)
    is_default = peewee.BooleanField(default=False)
    position = peewee.BigIntegerField(default=0)

    class Meta:
        """Where it is stored."""

        table_name = "providers"


class ProviderCredential(Timestamps):
    """What a user signs in with at a provider: one for each; key and tokens are sealed."""

    id = IdField()
    user_id = peewee.TextField()
    provider_id = peewee.TextField()
    auth_type = peewee.TextField()
    api_key = peewee.TextField(null=True)
    access_token = peewee.TextField(null=True)
    refresh_token = peewee.TextField(null=True)
    masked_preview = peewee.TextField(default="")
    scope = peewee.TextField(null=True)
    expires_at = UtcField(null=True)
    last_used_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "provider_credentials"


class OAuthState(Timestamps):
    """A sign-in under way, by redirect or device flow; it ends once, and its secrets go with the end."""

    id = IdField()
    user_id = peewee.TextField()
    provider_id = peewee.TextField()
    flow = peewee.TextField()
    status = peewee.TextField(default="pending")
    state = peewee.TextField(null=True)
    code_verifier = peewee.TextField(null=True)
    redirect_uri = peewee.TextField(null=True)
    device_code = peewee.TextField(null=True)
    user_code = peewee.TextField(null=True)
    verification_uri = peewee.TextField(null=True)
    interval_s = peewee.IntegerField(default=5)
    last_polled_at = UtcField(null=True)
    error_message = peewee.TextField(null=True)
    expires_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "oauth_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """What a provider gives at the end of a sign-in, in the clear; `repr()` hides the tokens."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user's credential in the clear: an API key, or tokens; `repr()` hides them."""

    provider_id: str
    auth_type: str
    api_key: str | None = field(default=None, repr=False)
    tokens: ProviderTokens | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFlow:
    """What a provider answers when a device flow begins (RFC 8628, section 3.2)."""

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    expires_in_s: float = 900.0
    interval_s: int = 5


@dataclass(frozen=True, slots=True)
class StartedRedirect:
    """A redirect that was just begun, with the only copy of its `state`; `repr()` hides it.

    Send the user to the provider with `state` and the challenge of `code_verifier` (RFC 7636).
    """

    sign_in: OAuthState
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FinishedRedirect:
    """A redirect that came back: whose it is, and what proves it to the provider."""

    sign_in: OAuthState
    code_verifier: str = field(repr=False)
