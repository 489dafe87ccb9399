"""The inbox of each user: what happened, read or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import peewee

from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, JSONField, UtcField, encode_utc
from datalayer.repository.mixins import Timestamps
from datalayer.repository.page import Page

__all__ = ["Inbox", "InboxItem"]


class InboxItem(Timestamps):
    """A notice to a user. `kind` is the app's word (`thread_invite_accepted`), `data` what it acts on."""

    id = IdField()
    user_id = peewee.TextField()
    kind = peewee.TextField()
    title = peewee.TextField()
    body = peewee.TextField(default="")
    data = JSONField(default=dict)
    read_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "inbox_items"


class Inbox(Repository[InboxItem]):
    """`store.workspaces.inbox`: notices to users, the newest first."""

    def notify(
        self, user_id: str, kind: str, title: str, *, body: str = "", data: Mapping[str, Any] | None = None
    ) -> InboxItem:
        """Put a notice into a user's inbox; belongs to the transaction that is open.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: kind or title are empty, or the data cannot be stored as JSON.
        """
        return self.add(user_id=user_id, kind=kind, title=title, body=body, data=dict(data or {}))

    def page_for(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[InboxItem]:
        """Give one page of a user's inbox, the newest first."""
        return self.page(user_id=user_id, order_by="-id", size=size, after=after)

    def page_unread(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[InboxItem]:
        """Give one page of what a user has not read, the newest first."""
        return self.page(user_id=user_id, read_at=None, order_by="-id", size=size, after=after)

    def unread_count(self, user_id: str) -> int:
        """Count what a user has not read; cost grows with that number alone."""
        return self.count(user_id=user_id, read_at=None)

    def mark_read(self, user_id: str, keys: Iterable[str]) -> int:
        """Mark items of this user as read, in one statement; give the number of those that were not yet.

        What is another user's stays as it is and does not count.
        """
        changes = {"read_at": self.engine.clock()}
        return self.update_where(user_id=user_id, id=list(keys), read_at=None, changes=changes)

    def mark_all_read(self, user_id: str) -> int:
        """Mark all of a user's items as read, in one statement; give the number of those that were not."""
        return self.update_where(user_id=user_id, read_at=None, changes={"read_at": self.engine.clock()})

    def remove(self, user_id: str, key: str) -> None:
        """Delete an item of this user's.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        if not self.delete_where(user_id=user_id, id=key):
            raise NotFound(f"no item {key!r} is in the inbox of user {user_id!r}")

    def prune(self, *, older_than_days: float = 90, batch: int = 1_000) -> int:
        """Delete items that were read longer ago, in transactions of `batch` rows; give their number."""
        before = encode_utc(self.engine.clock() - timedelta(days=older_than_days))
        dialect = self.engine.dialect
        oldest = (
            f"SELECT item.id FROM {dialect.by_index('inbox_items', 'item', 'inbox_items_read_at')}"
            " WHERE item.read_at IS NOT NULL AND item.read_at < ?"
            f" ORDER BY item.read_at NULLS FIRST, item.id LIMIT ?{dialect.row_lock_skip}"
        )
        sql = dialect.sql(f"DELETE FROM {self.shape.table} WHERE {dialect.in_few('id', oldest)}")
        count = 0
        while removed := self._write(sql, (before, batch)):
            count += removed
        return count
