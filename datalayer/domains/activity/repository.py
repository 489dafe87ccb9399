"""The activity log: written, looked at, made anonymous, and moved to its archive batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from datalayer.domains.activity.model import ActivityEntry, ArchivedActivity
from datalayer.engine.connection import Engine
from datalayer.repository.base import Repository
from datalayer.repository.fields import encode_utc
from datalayer.repository.page import Page
from datalayer.repository.reader import Reader

__all__ = ["Activity", "Archive"]

_LATEST = ("-created_at", "-id")
_ARCHIVED = ("id", "action", "entity_type", "created_at", "archived_at")


class Archive(Reader[ArchivedActivity]):
    """`store.activity.archived`: old entries without anything personal, to be read only."""

    def newest(self, *, size: int = 50, after: str | None = None, **equals: Any) -> Page[ArchivedActivity]:
        """Give a page of the archive, of an `action` or `entity_type` or all, what was done last first."""
        return self.page(order_by=_LATEST, size=size, after=after, **equals)


class Activity(Repository[ActivityEntry]):
    """`store.activity`: what was done, and by whom.

    Entries outlive their user: deleting a user leaves them anonymous, whoever deletes.

        store.activity.log("sandbox.start", user_id=user.id, entity_type="sandbox", entity_id=sandbox.id)
        store.activity.archive(older_than_days=90)
    """

    def __init__(
        self, engine: Engine, model: type[ActivityEntry] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.archived = Archive(engine)
        old = self.engine.dialect.by_index("activity_log", "entry", "activity_log_age")
        oldest = (
            f"SELECT entry.id FROM {old} WHERE entry.created_at < ?"
            f" ORDER BY entry.created_at, entry.id LIMIT ?{self.engine.dialect.row_lock_skip}"
        )
        self._take_sql = self.engine.dialect.sql(
            f"DELETE FROM {self.shape.table} WHERE {self.engine.dialect.in_few('id', oldest)}"
            " RETURNING id, action, entity_type, created_at"
        )

    # -- writing -----------------------------------------------------------------------------------

    def log(
        self,
        action: str,
        *,
        user_id: str | None = None,
        entity_type: str | None = None,
        entity_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        ip_address: str | None = None,
        user_agent: str | None = None,
    ) -> ActivityEntry:
        """Add an entry of now and give it; without a user it is the system's own.

        Belongs to the transaction that is open, so that what is undone is not logged.

        Raises:
            CheckViolation: the action is empty, or there is an entity's id without its type.
            ForeignKeyViolation: there is no such user.
        """
        return self.add(
            action=action,
            user_id=user_id,
            entity_type=entity_type,
            entity_id=entity_id,
            metadata=dict(metadata or {}),
            ip_address=ip_address,
            user_agent=user_agent,
            created_at=self.engine.clock(),
        )

    # -- reading -----------------------------------------------------------------------------------

    def page_for_user(
        self, user_id: str, *, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[ActivityEntry]:
        """Give a page of what a user did, the last first; each costs the same however far back it is."""
        return self.page(user_id=user_id, order_by=_LATEST, size=size, after=after, **equals)

    def page_for_entity(
        self, entity_type: str, entity_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[ActivityEntry]:
        """Give a page of what was done to an entity, the last first, as far as it is not anonymous."""
        return self.page(
            entity_type=entity_type, entity_id=entity_id, order_by=_LATEST, size=size, after=after
        )

    def counts_by_action(self, *, since: datetime | None = None) -> dict[str, int]:
        """Give how often each action is in the log, since a moment or ever; the archive is not asked."""
        where, params = ("", ()) if since is None else (" WHERE created_at >= ?", (encode_utc(since),))
        sql = f"SELECT action, COUNT(*) FROM {self.shape.table}{where} GROUP BY action ORDER BY action"
        found = self.engine.fetch_all(self.engine.dialect.sql(sql), params)
        return {action: int(count) for action, count in found}

    # -- forgetting --------------------------------------------------------------------------------

    def anonymize(self, user_id: str) -> int:
        """Take away all that tells who did what a user did, and give the number of entries.

        What was done, to which kind of entity and when stays; user, entity's id, metadata, address and
        user agent go. What others did to the user loses its name too. One transaction.
        """
        with self.engine.transaction():
            self.update_where(
                entity_type="user", entity_id=user_id, changes={"entity_id": None, "metadata": {}}
            )
            # the trigger activity_log_anonymize does the rest
            return self.update_where(user_id=user_id, changes={"user_id": None})

    def archive(self, *, older_than_days: float = 90, batch: int = 500) -> int:
        """Move entries that are older into the archive, which keeps nothing personal; give their number.

        Batches of `batch`, oldest first, each committed by itself (all together inside a transaction): one
        that is cut short, by whatever, is in the log as if it had never begun. Any number of processes may do
        so at once; what another one has in hand is left to it.
        """
        before = self.engine.clock() - timedelta(days=older_than_days)
        count = 0
        while True:
            moved = self._archive_batch(before, batch)
            count += moved
            if moved < batch:
                return count

    def _archive_batch(self, before: datetime, batch: int) -> int:
        now = encode_utc(self.engine.clock())
        with self.engine.transaction():
            taken = self.engine.write_all(self._take_sql, (encode_utc(before), batch))
            if taken:
                self.engine.insert_rows("activity_log_archive", _ARCHIVED, [(*row, now) for row in taken])
        return len(taken)
