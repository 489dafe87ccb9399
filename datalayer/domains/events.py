"""Events: what users did, for numbers about the app; each once, and counted by day.

Knows no other domain. A rollup is made of the events of whole days in UTC, and made again it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, JSONField, UtcField, encode_utc
from datalayer.repository.mixins import Model, Timestamps
from datalayer.repository.page import Page
from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS", "AnalyticsEvent", "AnalyticsRollup", "DayCount", "Events"]

_LATEST = ("-occurred_at", "-id")
_BATCH = 500

CHECKS = {
    "DL-C330": Rule(
        "SELECT day, name, event_count, actor_count FROM analytics_rollups WHERE actor_count > event_count"
        " OR event_count < 1",
        "{count} rollups count what cannot be",
        table="analytics_rollups",
    ),
}


class AnalyticsEvent(Model):
    """Something that was done: by a user, by a visitor whom the app knows by a key, or by nobody known."""

    id = IdField()
    name = peewee.TextField()
    user_id = peewee.TextField(null=True)
    visitor_id = peewee.TextField(null=True)
    properties = JSONField(default=dict)
    occurred_at = UtcField()
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "analytics_events"


class AnalyticsRollup(Timestamps):
    """How many events of a name there were on a day, and by how many different users and visitors."""

    day = peewee.TextField()
    name = peewee.TextField()
    event_count = peewee.IntegerField()
    actor_count = peewee.IntegerField()

    class Meta:
        """Where it is stored."""

        table_name = "analytics_rollups"
        primary_key = peewee.CompositeKey("day", "name")


@dataclass(frozen=True, slots=True)
class DayCount:
    """The events of a name on a day in UTC."""

    day: date
    name: str
    event_count: int
    actor_count: int


class Events(Repository[AnalyticsEvent]):
    """`store.events`: events as they come, and their numbers by day.

    Count by `daily`: it reads rollups, which stay when events are pruned. Make them with `roll_up` now and
    then, in a job or at start.

        store.events.track("draft.opened", user_id=user.id, properties={"from": "inbox"})
        store.events.roll_up()
    """

    def __init__(
        self, engine: Engine, model: type[AnalyticsEvent] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.rollups = Repository(engine, AnalyticsRollup)

    # -- events ------------------------------------------------------------------------------------

    def track(
        self,
        name: str,
        *,
        user_id: str | None = None,
        visitor_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
    ) -> AnalyticsEvent:
        """Record an event, now or at a moment, and give it.

        Raises:
            CheckViolation: no name, or properties that JSON cannot hold.
            ForeignKeyViolation: there is no such user.
        """
        return self.add(
            name=name,
            user_id=user_id,
            visitor_id=visitor_id,
            properties=dict(properties or {}),
            occurred_at=occurred_at or self.engine.clock(),
        )

    def track_many(self, events: Iterable[Mapping[str, Any]]) -> int:
        """Record many events, all or none, and give their number; each as the arguments of `track`."""
        now = self.engine.clock()
        return self.add_many({"properties": {}, "occurred_at": now, **event} for event in events)

    def page_for_user(
        self, user_id: str, *, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[AnalyticsEvent]:
        """Give a page of what a user did, the last first."""
        return self.page(user_id=user_id, order_by=_LATEST, size=size, after=after, **equals)

    def newest(self, name: str, *, size: int = 50, after: str | None = None) -> Page[AnalyticsEvent]:
        """Give a page of the events of a name, the last first."""
        return self.page(name=name, order_by=_LATEST, size=size, after=after)

    # -- numbers -----------------------------------------------------------------------------------

    def roll_up(self, first: date | None = None, last: date | None = None) -> int:
        """Count the events of each whole day, from `first` to `last`, and give the number of rollups.

        Without `first` from the last day that was counted on, since events may have come late for it; without
        `last` up to yesterday. Each day is one transaction; counted again it is the same, also by two at
        once. Days whose events were pruned are left as they are.

        Raises:
            CheckViolation: `last` is not over yet.
        """
        today = self.engine.clock().astimezone(UTC).date()
        last = last or today - timedelta(days=1)
        if last >= today:
            raise CheckViolation(f"{last} is not over", hint="count whole days, up to yesterday")
        day = first or self._first_open_day()
        made = 0
        while day is not None and day <= last:
            made += self._roll_up_day(day)
            day += timedelta(days=1)
        return made

    def _first_open_day(self) -> date | None:
        row = self.engine.fetch_one("SELECT MAX(day) FROM analytics_rollups")
        if row is not None and row[0] is not None:
            return date.fromisoformat(row[0])
        oldest = self.find(order_by=("occurred_at", "id"), limit=1)
        return oldest[0].occurred_at.astimezone(UTC).date() if oldest else None

    def _roll_up_day(self, day: date) -> int:
        start, end = _bounds(day)
        sql = self.engine.dialect.sql(
            "INSERT INTO analytics_rollups (day, name, event_count, actor_count)"
            # a parameter in a list of results has no type of its own on PostgreSQL
            " SELECT CAST(? AS TEXT), name, COUNT(*),"
            " COUNT(DISTINCT COALESCE('u' || user_id, 'v' || visitor_id)) FROM analytics_events"
            # the condition parts ON CONFLICT from a join, sqlite.org/lang_upsert.html
            " WHERE occurred_at >= ? AND occurred_at < ? GROUP BY name"
            " ON CONFLICT (day, name) DO UPDATE SET event_count = excluded.event_count,"
            " actor_count = excluded.actor_count"
            " WHERE analytics_rollups.event_count <= excluded.event_count RETURNING name"
        )
        return len(self.engine.write_all(sql, (day.isoformat(), start, end)))

    def daily(self, name: str | None = None, *, first: date, last: date) -> list[DayCount]:
        """Give the rollups of a name, or of all, by day and name."""
        wanted: Any = (AnalyticsRollup.day >= first.isoformat()) & (AnalyticsRollup.day <= last.isoformat())
        if name is not None:
            wanted &= AnalyticsRollup.name == name
        rows = self.rollups.find(wanted, order_by=("day", "name"))
        return [
            DayCount(date.fromisoformat(row.day), row.name, row.event_count, row.actor_count) for row in rows
        ]

    def prune(self, *, older_than_days: int = 400, limit: int | None = None) -> int:
        """Delete events of days that are counted and that old, and give their number; rollups stay.

        In batches of 500, each atomic. Days that are not counted yet stay, however old.
        """
        row = self.engine.fetch_one("SELECT MAX(day) FROM analytics_rollups")
        if row is None or row[0] is None:
            return 0
        today = self.engine.clock().astimezone(UTC).date()
        # the last counted day is counted once more by the next roll_up
        before = min(today - timedelta(days=older_than_days), date.fromisoformat(row[0]))
        dialect = self.engine.dialect
        oldest = (
            "SELECT id FROM analytics_events WHERE occurred_at < ?"
            f" ORDER BY occurred_at, id LIMIT ?{dialect.row_lock_skip}"
        )
        sql = dialect.sql(f"DELETE FROM analytics_events WHERE {dialect.in_few('id', oldest)} RETURNING id")
        done = 0
        while limit is None or done < limit:
            batch = _BATCH if limit is None else min(_BATCH, limit - done)
            gone = len(self.engine.write_all(sql, (_bounds(before)[0], batch)))
            done += gone
            if gone < batch:
                break
        return done


def _bounds(day: date) -> tuple[str, str]:
    """Give the moments at which a day in UTC begins and ends, as they are stored."""
    start = datetime.combine(day, time.min, UTC)
    return encode_utc(start), encode_utc(start + timedelta(days=1))
