"""A user, an open session, a linked account, a verification; and what is handed out of them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import peewee

from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.secrets import EncryptedColumn

__all__ = [
    "ENCRYPTED",
    "AuthAccount",
    "AuthSession",
    "AuthVerification",
    "OAuthTokens",
    "OpenedSession",
    "User",
]

ENCRYPTED = (
    EncryptedColumn("auth_accounts", "access_token", "user_id"),
    EncryptedColumn("auth_accounts", "refresh_token", "user_id"),
    EncryptedColumn("auth_accounts", "id_token", "user_id"),
)
"""What `datalayer keys rotate` seals anew."""


class User(Timestamps):
    """Somebody; `email` is kept as it was written and is unique whatever the case of its letters A to Z.

    A new e-mail is not verified, and a suspended user has no sessions: rules of the database.
    """

    id = IdField()
    email = peewee.TextField(null=True)
    display_name = peewee.TextField(default="")
    avatar_url = peewee.TextField(null=True)
    email_verified = peewee.BooleanField(default=False)
    suspended = peewee.BooleanField(default=False)
    suspended_reason = peewee.TextField(null=True)
    locale = peewee.TextField(default="en")
    timezone = peewee.TextField(default="UTC")
    last_seen_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "users"


class AuthSession(Timestamps):
    """An open session; `token` is the hash of the token that its user holds."""

    id = IdField()
    token = peewee.TextField()
    user_id = peewee.TextField()
    expires_at = UtcField()
    ip_address = peewee.TextField(null=True)
    user_agent = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "auth_sessions"


class AuthAccount(Timestamps):
    """A way to sign in: a password, or an account elsewhere, whose tokens are sealed."""

    id = IdField()
    provider_id = peewee.TextField()
    account_id = peewee.TextField()
    user_id = peewee.TextField()
    access_token = peewee.TextField(null=True)
    refresh_token = peewee.TextField(null=True)
    id_token = peewee.TextField(null=True)
    access_token_expires_at = UtcField(null=True)
    refresh_token_expires_at = UtcField(null=True)
    scope = peewee.TextField(null=True)
    password_hash = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "auth_accounts"


class AuthVerification(Timestamps):
    """A token that was sent to somebody, to be given back once; `value` is its hash."""

    id = IdField()
    identifier = peewee.TextField()
    value = peewee.TextField()
    expires_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "auth_verifications"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was just opened, with the only copy of its token; `repr()` hides it."""

    session: AuthSession
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthTokens:
    """The tokens of an account elsewhere, in the clear; `repr()` hides them."""

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    access_token_expires_at: datetime | None = None
    refresh_token_expires_at: datetime | None = None
    scope: str | None = None
