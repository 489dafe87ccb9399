"""Open sessions of users: found by a token of which only the hash is stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from datalayer.domains.accounts.model import AuthSession, OpenedSession
from datalayer.domains.accounts.pruning import delete_expired
from datalayer.engine.connection import Engine
from datalayer.errors import ForeignKeyViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc
from datalayer.repository.page import Page
from datalayer.repository.secrets import new_token, token_hash

__all__ = ["AuthSessions"]

_TTL = timedelta(days=30)
_NEWEST_FIRST = ("-expires_at", "-id")


class AuthSessions(Repository[AuthSession]):
    """`store.accounts.sessions`: who is signed in, and until when.

    A token is given once, by `open`; whoever holds it is signed in.

        opened = store.accounts.sessions.open(user.id)
        store.accounts.sessions.get_by_token(opened.token).user_id
    """

    def __init__(
        self, engine: Engine, model: type[AuthSession] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._by_token_sql = engine.dialect.sql(
            f"SELECT {self.shape.columns} FROM {self.shape.table} WHERE token = ? AND expires_at > ?"
        )

    def open(
        self,
        user_id: str,
        *,
        ttl: timedelta = _TTL,
        ip_address: str | None = None,
        user_agent: str | None = None,
    ) -> OpenedSession:
        """Open a session and give it with its token, which is stored nowhere.

        The user counts as seen now.

        Raises:
            NotFound: there is no such user.
            CheckViolation: the user is suspended (`auth_sessions_user_not_suspended`).
        """
        token = new_token()
        now = self.engine.clock()
        sql = self.engine.dialect.sql("UPDATE users SET last_seen_at = ? WHERE id = ?")
        try:
            with self.engine.transaction():
                self._write(sql, (encode_utc(now), user_id))
                session = self.add(
                    token=token_hash(token),
                    user_id=user_id,
                    expires_at=now + ttl,
                    ip_address=ip_address,
                    user_agent=user_agent,
                )
        except ForeignKeyViolation as exc:
            raise NotFound(f"no User answers to {user_id!r}") from exc
        return OpenedSession(session, token)

    def get_by_token(self, token: str) -> AuthSession:
        """Give the session of a token. One read, by the hash.

        Raises:
            NotFound: there is none, or it has expired or was revoked.
        """
        session = self.get_by_token_or_none(token)
        if session is None:
            raise NotFound("no open session answers to this token")
        return session

    def get_by_token_or_none(self, token: str) -> AuthSession | None:
        """Give the session of a token, or None where `get_by_token` raises."""
        # asked with each request: by a statement that is not composed anew
        row = self._fetch_one(self._by_token_sql, (token_hash(token), encode_utc(self.engine.clock())))
        return None if row is None else self.shape.build(row, self)

    def extend(self, token: str, *, ttl: timedelta = _TTL) -> datetime:
        """Make an open session last `ttl` from now, and give its new end.

        Raises:
            NotFound: as `get_by_token`.
        """
        now = self.engine.clock()
        changes = {"expires_at": now + ttl}
        if not self.update_where(AuthSession.expires_at > now, token=token_hash(token), changes=changes):
            raise NotFound("no open session answers to this token")
        return now + ttl

    def page_of(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[AuthSession]:
        """Give one page of a user's open sessions, the one that lasts longest first."""
        now = self.engine.clock()
        return self.page(
            AuthSession.expires_at > now, user_id=user_id, order_by=_NEWEST_FIRST, size=size, after=after
        )

    def revoke(self, token: str) -> bool:
        """End the session of a token; False where there was none."""
        return self.delete_where(token=token_hash(token)) > 0

    def revoke_one(self, user_id: str, key: str) -> None:
        """End one session of a user, as a list of devices offers it.

        Raises:
            NotFound: the user has no such session.
        """
        if not self.delete_where(id=key, user_id=user_id):
            raise NotFound(f"no AuthSession of this user answers to {key!r}")

    def revoke_all(self, user_id: str, *, keep_token: str | None = None) -> int:
        """End all sessions of a user, but the one of `keep_token`; gives their number."""
        if keep_token is None:
            return self.delete_where(user_id=user_id)
        return self.delete_where(AuthSession.token != token_hash(keep_token), user_id=user_id)

    def delete_expired(self, *, batch: int = 500, limit: int | None = None) -> int:
        """Delete sessions that have expired, `batch` in a transaction; gives their number."""
        return delete_expired(self.engine, "auth_sessions", batch=batch, limit=limit)
