"""Archivers as processes, two at a time and killed at any instant: no entry is lost, none is doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from datetime import UTC, datetime, timedelta

import pytest
from support.processes import Worker, worker
from support.waiting import wait_until

from datalayer.domains.activity import CHECKS, Activity
from datalayer.schema.check.rule import broken_rules
from datalayer.store import Store, connect

KILLS = 25
BATCH = 3
OLD, FRESH = 6_000, 20

pytestmark = pytest.mark.slow


def fill(store: Store) -> set[str]:
    """Log old and fresh activity; give the ids of the old one."""
    store.engine.write("INSERT INTO users (id) VALUES ('ada')")
    now = datetime.now(UTC)
    store.activity.add_many(
        {
            "id": f"{'old' if number < OLD else 'fresh'} {number}",
            "action": "login",
            "user_id": "ada",
            "ip_address": "192.0.2.7",
            "created_at": now - timedelta(days=100 if number < OLD else 1, seconds=number),
        }
        for number in range(OLD + FRESH)
    )
    return {f"old {number}" for number in range(OLD)}


def count_both(activity: Activity) -> tuple[int, int]:
    """Count log and archive at one moment."""
    row = activity.engine.fetch_one(
        "SELECT (SELECT COUNT(*) FROM activity_log), (SELECT COUNT(*) FROM activity_log_archive)"
    )
    assert row is not None
    return row[0], row[1]


def ask_for(breeder: Worker) -> int:
    breeder.begin()
    return int(breeder.line())


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(process), 20)


def test_archivers_that_are_killed_lose_and_double_nothing(database: str) -> None:
    with connect(database, busy_timeout_s=30) as store:
        activity, old = store.activity, fill(store)
        with worker("domains.activity.workers", "breed_archivers", database, BATCH) as breeder:
            for number in range(KILLS):
                pair = (ask_for(breeder), ask_for(breeder))
                # somewhere in the batches up to here, now and then before the first one
                goal = min(OLD - 1, number * OLD // (KILLS + 5) + random.choice([0, random.randrange(40)]))
                assert wait_until(
                    lambda goal=goal, pair=pair: (
                        count_both(activity)[1] >= goal or not any(map(is_alive, pair))
                    ),
                    50,
                )
                for process in pair:
                    kill(process)

                logged, archived = count_both(activity)
                assert logged + archived == OLD + FRESH
                if archived == OLD:
                    break
            assert number >= 5, "all was archived before some were killed"
            pair = (ask_for(breeder), ask_for(breeder))
            assert wait_until(lambda: not any(map(is_alive, pair)), 50)

        # two who come to the end undisturbed leave nothing to do
        assert activity.archive(older_than_days=90) == 0
        assert count_both(activity) == (FRESH, OLD)
        assert {one.id for one in activity.archived.iterate()} == old
        assert list(broken_rules(store.engine, CHECKS, tables=frozenset({"activity_log_archive"}))) == []


def test_archiver_and_one_who_forgets_do_not_stand_in_each_others_way(database: str) -> None:
    with connect(database, busy_timeout_s=30) as store:
        activity, old = store.activity, fill(store)
        with worker("domains.activity.workers", "breed_archivers", database, BATCH) as breeder:
            archiver = ask_for(breeder)
            assert wait_until(lambda: count_both(activity)[1] > 0, 50)
            store.run_transaction(lambda: store.engine.write("DELETE FROM users WHERE id = 'ada'"))
            assert wait_until(lambda: not is_alive(archiver), 50)

        activity.archive(older_than_days=90)
        assert {one.id for one in activity.archived.iterate()} == old
        assert all(one.anonymized for one in activity.find())
        assert activity.count() == FRESH
