"""Verifications: tokens that are sent to somebody and given back once, to prove that they arrived."""

from __future__ import annotations

from datetime import timedelta

from datalayer.domains.accounts.model import AuthVerification
from datalayer.domains.accounts.pruning import delete_expired
from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc
from datalayer.repository.secrets import new_token, token_hash

__all__ = ["AuthVerifications"]

_TTL = timedelta(hours=1)


class AuthVerifications(Repository[AuthVerification]):
    """`store.accounts.verifications`: what was sent out, under an identifier that says for what."""

    def create(self, identifier: str, *, ttl: timedelta = _TTL) -> str:
        """Give a token for this identifier; those given before for it are not good any more.

        Only its hash is stored. It belongs to the transaction that is open.

        Raises:
            CheckViolation: the identifier is empty.
        """
        token = new_token()
        with self.engine.transaction():
            self.delete_where(identifier=identifier)
            self.add(identifier=identifier, value=token_hash(token), expires_at=self.engine.clock() + ttl)
        return token

    def consume(self, identifier: str, token: str) -> None:
        """Take a token back, exactly once however many try. One statement.

        Raises:
            NotFound: it is not one of this identifier, was taken back before, or has expired.
        """
        found = "identifier = ? AND value = ? AND expires_at > ?"
        sql = f"DELETE FROM auth_verifications WHERE {found} RETURNING id"
        values = (identifier, token_hash(token), encode_utc(self.engine.clock()))
        if self._write_one(self.engine.dialect.sql(sql), values) is None:
            raise NotFound(
                "this token is not good",
                why="it was used, has expired or is another",
                hint="ask for a new one",
            )

    def delete_expired(self, *, batch: int = 500, limit: int | None = None) -> int:
        """Delete verifications that have expired, `batch` in a transaction; gives their number."""
        return delete_expired(self.engine, "auth_verifications", batch=batch, limit=limit)
