"""What happened on each day, summed up from the logs: AI calls and the audit trail.

A summary is always computed anew from the log, whole, so that computing it twice, or twice at once, comes to
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, MicrosField, decode_micros, encode_utc, new_id
from datalayer.repository.mixins import Timestamps

__all__ = ["DailyLogSummary", "DailySummaries", "SummaryKind"]

SummaryKind = Literal["total", "ai_usage", "audit"]
_Key = tuple[str, str, str]

if TYPE_CHECKING:
    _DayBase = peewee.Field[date]
else:
    _DayBase = peewee.Field


class _DayField(_DayBase):
    """A day of UTC, stored as `2026-11-21`."""

    field_type = "TEXT"

    def db_value(self, value: Any) -> Any:
        """Give the stored form."""
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            raise CheckViolation(f"a day must be a date, not {type(value).__name__}")
        return value.isoformat()

    def python_value(self, value: Any) -> Any:
        """Give the date."""
        return None if value is None else date.fromisoformat(value)


class DailyLogSummary(Timestamps):
    """One group of one day's entries.

    | kind | name | detail |
    |---|---|---|
    | `ai_usage` | provider | feature |
    | `audit` | action | entity type |
    | `total` | | |

    `users` counts each user once, in the total too.
    """

    id = IdField()
    day = _DayField()
    kind = cast("peewee.Field[SummaryKind]", peewee.TextField())
    name = peewee.TextField(default="")
    detail = peewee.TextField(default="")
    entries = peewee.BigIntegerField(default=0)
    users = peewee.BigIntegerField(default=0)
    input_tokens = peewee.BigIntegerField(default=0)
    output_tokens = peewee.BigIntegerField(default=0)
    cost = MicrosField(column_name="cost_micros", default=Decimal(0))

    class Meta:
        """Where it is stored."""

        table_name = "daily_log_summaries"


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What a summary counts, in the order of the queries' columns."""

    entries: int
    users: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


_NUMBERS = ("entries", "users", "input_tokens", "output_tokens", "cost")
# each takes from and to; calls that run, or cost nothing because they were given up, are no entries
_QUERIES: Mapping[SummaryKind, str] = {
    "ai_usage": (
        "SELECT provider, feature, COUNT(*), COUNT(DISTINCT user_id), SUM(input_tokens), SUM(output_tokens),"
        " SUM(cost_micros) FROM ai_usage_logs"
        " WHERE status = 'settled' AND created_at >= ? AND created_at < ? GROUP BY provider, feature"
    ),
    "audit": (
        "SELECT action, entity_type, COUNT(*), COUNT(DISTINCT actor_id), 0, 0, 0 FROM audit_logs"
        " WHERE created_at >= ? AND created_at < ? GROUP BY action, entity_type"
    ),
}
# from, to, from, to
_ALL_USERS = (
    "SELECT COUNT(*) FROM ("
    "SELECT user_id AS person FROM ai_usage_logs"
    " WHERE status = 'settled' AND created_at >= ? AND created_at < ? AND user_id IS NOT NULL"
    " UNION SELECT actor_id FROM audit_logs"
    " WHERE created_at >= ? AND created_at < ? AND actor_id IS NOT NULL) AS people"
)


class DailySummaries(Repository[DailyLogSummary]):
    """`store.workspaces.daily_summaries`. Days are those of UTC."""

    def __init__(
        self, engine: Engine, model: type[DailyLogSummary] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        # id, day, now, now
        self._first_sql = engine.dialect.sql(
            "INSERT INTO daily_log_summaries (id, day, kind, created_at, updated_at)"
            " VALUES (?, ?, 'total', ?, ?) ON CONFLICT (day, kind, name, detail) DO NOTHING"
        )
        self._queries = {kind: engine.dialect.sql(text) for kind, text in _QUERIES.items()}
        self._all_users_sql = engine.dialect.sql(_ALL_USERS)

    def recompute(self, day: date) -> list[DailyLogSummary]:
        """Make a day's summaries what its logs say, and give them, the total first; may be done at any time.

        Rows that are right stay untouched, so that the second time changes nothing. Who recomputes the same
        day at the same time waits, and finds nothing left to do. Reads the day's logs by an index.

        Raises:
            CheckViolation: not a date.
        """
        stored_day = self.shape.encode_one("day", day)
        with self.engine.transaction():
            now = encode_utc(self.engine.clock())
            # the total is there before all others, and is the lock
            self._write(self._first_sql, (new_id(), stored_day, now, now))
            self.for_update().one(day=day, kind="total")
            self._bring_to(day, self._counted(day))
        return self.find_day(day)

    def recompute_range(self, first: date, last: date) -> int:
        """Recompute all days from the first to the last, each by itself; gives their number."""
        days = (last - first).days + 1
        for place in range(days):
            self.recompute(first + timedelta(days=place))
        return max(days, 0)

    def find_day(self, day: date) -> list[DailyLogSummary]:
        """Give a day's summaries as they were last computed, the total first."""
        found = self.find(day=day, order_by=("kind", "name", "detail"))
        return sorted(found, key=lambda row: row.kind != "total")

    def find_totals(self, first: date, last: date) -> list[DailyLogSummary]:
        """Give the totals of the days from the first to the last that were computed, the newest first."""
        return self.find(
            DailyLogSummary.day >= first, DailyLogSummary.day <= last, kind="total", order_by="-day"
        )

    def _counted(self, day: date) -> dict[_Key, _Numbers]:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        times = (encode_utc(start), _end_of(start))
        counted: dict[_Key, _Numbers] = {}
        for kind, sql in self._queries.items():
            for name, detail, entries, users, tokens_in, tokens_out, micros in self.engine.fetch_all(
                sql, times
            ):
                counted[kind, name, detail] = _Numbers(
                    int(entries), int(users), int(tokens_in), int(tokens_out), decode_micros(micros)
                )
        people = self._fetch_one(self._all_users_sql, (*times, *times)) or (0,)
        groups = list(counted.values())
        counted["total", "", ""] = _Numbers(
            sum(group.entries for group in groups),
            int(people[0]),
            sum(group.input_tokens for group in groups),
            sum(group.output_tokens for group in groups),
            sum((group.cost for group in groups), Decimal("0.000000")),
        )
        return counted

    def _bring_to(self, day: date, counted: dict[_Key, _Numbers]) -> None:
        stored = {(row.kind, row.name, row.detail): row for row in self.find(day=day)}
        for key in stored.keys() - counted.keys():
            self.delete(stored[key].id)
        for (kind, name, detail), numbers in counted.items():
            values = dict(zip(_NUMBERS, astuple(numbers), strict=True))
            row = stored.get((kind, name, detail))
            if row is None:
                self.add(day=day, kind=kind, name=name, detail=detail, **values)
            elif any(getattr(row, field) != value for field, value in values.items()):
                self.update(row.id, **values)


def _end_of(start: datetime) -> str:
    try:
        return encode_utc(start + timedelta(days=1))
    except OverflowError:  # the last day that there is
        return encode_utc(datetime.max.replace(tzinfo=UTC))
