"""Linked accounts: how a user signs in elsewhere, with tokens sealed for that user and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datalayer.domains.accounts.model import AuthAccount, OAuthTokens
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, ForeignKeyViolation, NotFound, UniqueViolation
from datalayer.repository.base import Repository
from datalayer.repository.fields import new_id
from datalayer.repository.secrets import Secrets

__all__ = ["PASSWORD", "AuthAccounts"]

PASSWORD = "password"
"""The `provider_id` of a password; its `account_id` is the user's id."""

_SEALED = ("access_token", "refresh_token", "id_token")
_PLAIN = ("access_token_expires_at", "refresh_token_expires_at", "scope")


class AuthAccounts(Repository[AuthAccount]):
    """`store.accounts.links`: accounts elsewhere. Rows hold sealed tokens; `tokens` opens them."""

    def __init__(
        self, engine: Engine, model: type[AuthAccount] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._secrets = Secrets(engine, "auth_accounts")

    def link(
        self, user_id: str, provider_id: str, account_id: str, tokens: OAuthTokens | None = None
    ) -> AuthAccount:
        """Link an account to a user; one that is linked already takes these tokens, where any are given.

        Raises:
            NotFound: there is no such user.
            UniqueViolation: the account is linked to another user.
            CheckViolation: a name is empty, or the provider is `password`.
        """
        if provider_id == PASSWORD:
            raise CheckViolation(
                "a password is no linked account", table="auth_accounts", hint="use set_password()"
            )
        found = self._linked(provider_id, account_id)
        if found is None:
            try:
                return self._add(user_id, provider_id, account_id, tokens or OAuthTokens())
            except UniqueViolation:
                # somebody else was faster; a block of the caller's has failed with it
                found = None if self.engine.in_transaction else self._linked(provider_id, account_id)
                if found is None:
                    raise
        if found.user_id != user_id:
            raise UniqueViolation(
                f"this account at {provider_id} is linked to another user",
                table="auth_accounts",
                columns=("provider_id", "account_id"),
                constraint="auth_accounts_provider_account_unique",
            )
        if tokens is not None:
            self.set_tokens(user_id, found.id, tokens)
        return self._own(user_id, found.id)

    def find_of(self, user_id: str) -> list[AuthAccount]:
        """Give all ways in which a user signs in, a password among them, the newest first."""
        return self.find(user_id=user_id, order_by=("-id",))

    def tokens(self, user_id: str, key: str) -> OAuthTokens:
        """Open the tokens of a user's linked account.

        Raises:
            NotFound: the user has no such account.
            SecretUnreadable: changed, moved here from elsewhere, or their key is not there.
        """
        row = self._own(user_id, key)
        values: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
        for name in _SEALED:
            sealed = getattr(row, name)
            if sealed is not None:
                values[name] = self._secrets.open(sealed, column=name, row=row.id, owner=user_id)
        return OAuthTokens(**values)

    def set_tokens(self, user_id: str, key: str, tokens: OAuthTokens) -> None:
        """Replace the tokens of a user's linked account, as a refresh does.

        Raises:
            NotFound: the user has no such account.
        """
        if not self.update_where(id=key, user_id=user_id, changes=self._values(user_id, key, tokens)):
            raise self._not_of(key)

    def unlink(self, user_id: str, key: str) -> None:
        """Remove one of the ways in which a user signs in.

        Raises:
            NotFound: the user has no such account.
        """
        if not self.delete_where(id=key, user_id=user_id):
            raise self._not_of(key)

    def _linked(self, provider_id: str, account_id: str) -> AuthAccount | None:
        return self.one_or_none(provider_id=provider_id, account_id=account_id)

    def _add(self, user_id: str, provider_id: str, account_id: str, tokens: OAuthTokens) -> AuthAccount:
        key = new_id()
        values = self._values(user_id, key, tokens)
        try:
            return self.add(id=key, user_id=user_id, provider_id=provider_id, account_id=account_id, **values)
        except ForeignKeyViolation as exc:
            raise NotFound(f"no User answers to {user_id!r}") from exc

    def _values(self, user_id: str, key: str, tokens: OAuthTokens) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(tokens, name) for name in _PLAIN}
        for name in _SEALED:
            value = getattr(tokens, name)
            values[name] = (
                None if value is None else self._secrets.seal(value, column=name, row=key, owner=user_id)
            )
        return values

    def _own(self, user_id: str, key: str) -> AuthAccount:
        row = self.one_or_none(id=key, user_id=user_id)
        if row is None:
            raise self._not_of(key)
        return row

    def _not_of(self, key: str) -> NotFound:
        return NotFound(f"no AuthAccount of this user answers to {key!r}")
