"""Events are recorded once and counted by day, the same however often they are counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer.domains.events import DayCount
from datalayer.errors import CheckViolation, ForeignKeyViolation
from datalayer.store import Store, connect

DAY = timedelta(days=1)


@pytest.fixture
def today(clock: Clock) -> date:
    return clock().astimezone(UTC).date()


@pytest.fixture
def ann(store: Store) -> str:
    return store.accounts.sign_up("ann@example.org").id


def test_events_are_found_by_name_and_user(store: Store, clock: Clock, ann: str) -> None:
    opened = store.events.track("opened", user_id=ann, properties={"from": "inbox"})
    clock.move(1)
    seen = store.events.track("seen", visitor_id="v1")

    assert [one.id for one in store.events.newest("opened").items] == [opened.id]
    assert [one.id for one in store.events.page_for_user(ann).items] == [opened.id]
    assert store.events.get(opened.id).properties == {"from": "inbox"}
    assert store.events.get(seen.id).user_id is None
    assert store.events.track_many([{"name": "a"}, {"name": "b", "user_id": ann}]) == 2
    with pytest.raises(ForeignKeyViolation):
        store.events.track_many([{"name": "a"}, {"name": "b", "user_id": "nobody"}])
    with pytest.raises(CheckViolation):
        store.events.track("")
    assert store.events.count() == 4
    store.accounts.delete(ann)
    assert store.events.count() == 4


def test_whole_days_are_counted_the_same_each_time(store: Store, clock: Clock, today: date, ann: str) -> None:
    moments = [clock() - 2 * DAY, clock() - 2 * DAY, clock() - DAY, clock()]
    for place, moment in enumerate(moments):
        store.events.track("seen", user_id=ann, occurred_at=moment)
        store.events.track("seen", visitor_id=f"v{place}", occurred_at=moment)
    store.events.track("rare", occurred_at=moments[0])

    assert store.events.roll_up() == 3
    found = store.events.daily(first=today - 9 * DAY, last=today)
    assert found == [
        DayCount(today - 2 * DAY, "rare", 1, 0),
        DayCount(today - 2 * DAY, "seen", 4, 3),
        DayCount(today - DAY, "seen", 2, 2),
    ]
    assert store.events.roll_up() == 1
    assert store.events.roll_up(today - 5 * DAY) == 3
    assert store.events.daily(first=today - 9 * DAY, last=today) == found
    assert store.events.daily("rare", first=today - 9 * DAY, last=today) == found[:1]
    with pytest.raises(CheckViolation, match="not over"):
        store.events.roll_up(last=today)
    assert store.check() == []


def test_pruned_days_keep_their_numbers(store: Store, clock: Clock, today: date) -> None:
    for days in (5, 4, 1):
        store.events.track_many({"name": "seen", "occurred_at": clock() - days * DAY} for _ in range(3))
    assert store.events.prune(older_than_days=0) == 0  # nothing is counted yet
    store.events.roll_up()
    before = store.events.daily(first=today - 9 * DAY, last=today)

    assert store.events.prune(older_than_days=2, limit=4) == 4
    assert store.events.prune(older_than_days=2) == 2
    assert store.events.prune(older_than_days=0) == 0  # the last counted day may get late ones
    store.events.roll_up(today - 9 * DAY)
    assert store.events.daily(first=today - 9 * DAY, last=today) == before
    assert store.events.count() == 3


RULES = {
    "analytics_events_name_given": "UPDATE analytics_events SET name = ''",
    "analytics_events_properties_object": "UPDATE analytics_events SET properties = '[]'",
    "analytics_rollups_actor_count_range": "UPDATE analytics_rollups SET actor_count = 9",
    "analytics_rollups_day_iso": "UPDATE analytics_rollups SET day = 'today'",
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_plain_sql_cannot_break_the_rules(store: Store, clock: Clock, rule: str) -> None:
    store.events.track("seen", occurred_at=clock() - DAY)
    store.events.roll_up()

    with pytest.raises(CheckViolation) as refused:
        store.engine.write(RULES[rule])
    assert refused.value.constraint == rule


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("ab"), st.sampled_from([None, "v", "w"]))))
def test_rollups_are_the_counts_of_the_events(drawn: list[tuple[int, str, str | None]]) -> None:
    with connect(":memory:", domains=["events"]) as store:
        store.migrate()
        now = datetime(2026, 5, 5, 12, tzinfo=UTC)
        store.engine.clock = lambda: now
        store.events.track_many(
            {"name": name, "visitor_id": visitor, "occurred_at": now - days * DAY}
            for days, name, visitor in drawn
        )
        store.events.roll_up()

        counts = Counter((now.date() - days * DAY, name) for days, name, _ in drawn)
        actors = Counter(
            (now.date() - days * DAY, name) for days, name, visitor in {*drawn} if visitor is not None
        )
        expected = [
            DayCount(day, name, number, actors[day, name]) for (day, name), number in sorted(counts.items())
        ]
        assert store.events.daily(first=date(2026, 4, 1), last=date(2026, 5, 5)) == expected
