"""Daily summaries: computed from the logs, again and again to the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from support.clock import Clock

from datalayer import CheckViolation
from datalayer.domains.workspaces import DailyLogSummary, DailySummaries
from datalayer.store import Store

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)

DAY = date(2026, 3, 1)


@pytest.fixture
def summaries(store: Store, clock: Clock) -> DailySummaries:
    return store.workspaces.daily_summaries


def told(rows: list[DailyLogSummary]) -> list[tuple[str, str, str, int, int, Decimal]]:
    return [(row.kind, row.name, row.detail, row.entries, row.users, row.cost) for row in rows]


def work(store: Store, ann: str, ben: str) -> None:
    costs, audit = store.workspaces.ai_costs, store.workspaces.audit
    costs.record(ann, Decimal("0.1"), provider="openai", feature="chat", input_tokens=5, output_tokens=2)
    costs.record(ann, Decimal("0.2"), provider="openai", feature="chat", input_tokens=5)
    costs.record(None, Decimal("0.000001"), provider="gemini")
    costs.reserve(ben, Decimal(1), provider="openai")
    audit.append("login", actor_id=ben, entity_type="user")
    audit.append("login", actor_id=ben, entity_type="user")


def test_a_day_is_summed_up_by_group(
    store: Store, summaries: DailySummaries, clock: Clock, ann: str, ben: str
) -> None:
    work(store, ann, ben)
    found = summaries.recompute(DAY)

    assert told(found) == [
        ("total", "", "", 5, 2, Decimal("0.300001")),
        ("ai_usage", "gemini", "", 1, 0, Decimal("0.000001")),
        ("ai_usage", "openai", "chat", 2, 1, Decimal("0.3")),
        ("audit", "login", "user", 2, 1, Decimal(0)),
    ]
    assert (found[0].input_tokens, found[0].output_tokens) == (10, 2)


def test_computing_again_changes_nothing(
    store: Store, summaries: DailySummaries, clock: Clock, ann: str, ben: str
) -> None:
    work(store, ann, ben)
    before = [row.__data__ for row in summaries.recompute(DAY)]
    clock.move(60)

    assert [row.__data__ for row in summaries.recompute(DAY)] == before


def test_what_is_stored_is_brought_to_what_the_log_says(
    store: Store, summaries: DailySummaries, clock: Clock, ann: str, ben: str
) -> None:
    work(store, ann, ben)
    right = told(summaries.recompute(DAY))
    summaries.add(day=DAY, kind="audit", name="never", entries=9)
    summaries.update_where(kind="ai_usage", changes={"cost": Decimal(77)})
    summaries.update_where(kind="total", changes={"entries": 1, "users": 0})
    summaries.delete_where(kind="audit", name="login")

    assert told(summaries.recompute(DAY)) == right
    store.workspaces.audit.append("late", actor_id=ann)
    assert summaries.recompute(DAY)[0].entries == right[0][3] + 1


def test_a_day_ends_at_midnight_of_utc(
    store: Store, summaries: DailySummaries, clock: Clock, ann: str
) -> None:
    for moment in (
        datetime(2026, 3, 1, tzinfo=UTC) - timedelta(microseconds=1),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=UTC) - timedelta(microseconds=1),
        datetime(2026, 3, 2, tzinfo=UTC),
    ):
        clock.now = moment
        store.workspaces.audit.append("act", actor_id=ann)

    assert summaries.recompute_range(date(2026, 2, 28), date(2026, 3, 3)) == 4
    totals = summaries.find_totals(date(2026, 1, 1), date(2026, 12, 31))
    assert [(row.day.day, row.entries) for row in totals] == [(3, 0), (2, 1), (1, 2), (28, 1)]
    assert summaries.recompute_range(DAY, date(2026, 2, 1)) == 0


def test_the_first_and_the_last_day_can_be_summed_up(summaries: DailySummaries) -> None:
    for day in (date.min, date.max):
        assert told(summaries.recompute(day)) == [("total", "", "", 0, 0, Decimal(0))]


def test_a_day_is_a_date(summaries: DailySummaries, clock: Clock) -> None:
    for wrong in (clock.now, "2026-03-01", 20260301):
        with pytest.raises(CheckViolation):
            summaries.recompute(wrong)  # pyright: ignore[reportArgumentType] - on purpose
