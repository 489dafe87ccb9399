"""What a claim costs does not grow: with the backlog, with finished jobs, with jobs scheduled for later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from datalayer.domains.jobs import Jobs
from datalayer.engine.statements import Statement
from datalayer.store import Store, connect

MANY = 20_000
PRIORITIES = 3


pytestmark = pytest.mark.slow


@dataclass
class Seen:
    """A store whose statements are kept with their values."""

    store: Store
    statements: list[Statement]

    def last(self, act: Callable[[Jobs], object]) -> Statement:
        """Give the statement that the act ended with; what it did is undone."""
        self.statements.clear()
        with pytest.raises(ZeroDivisionError), self.store.transaction():
            act(self.store.jobs)
            _ = 1 / 0
        return [one for one in self.statements if "background_jobs" in one.sql][-1]

    def plan(self, act: Callable[[Jobs], object]) -> str:
        return "\n".join(str(row[-1]) for row in self.explain(self.last(act), ""))

    def explain(self, statement: Statement, how: str) -> list[Any]:
        prefix = f"EXPLAIN {how}" if self.store.engine.dialect.has_copy else "EXPLAIN QUERY PLAN"
        return self.store.engine.fetch_all(f"{prefix} {statement.sql}", statement.parameters)

    def work(self, act: Callable[[Jobs], object]) -> int:
        """Count what the statement touches: blocks on PostgreSQL, steps of its program on SQLite."""
        self.store.engine.execute("ANALYZE")
        statement = self.last(act)
        if self.store.engine.dialect.has_copy:
            with pytest.raises(ZeroDivisionError), self.store.transaction():
                (plan,) = self.explain(statement, "(ANALYZE, BUFFERS, FORMAT JSON)")[0]
                _ = 1 / 0
            found = json.loads(plan) if isinstance(plan, str) else plan
            return int(found[0]["Plan"]["Shared Hit Blocks"])
        return self._steps(act)

    def work_of_all(self) -> dict[str, int]:
        return {name: self.work(act) for name, act in ACTS.items()}

    def _steps(self, act: Callable[[Jobs], object]) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        connection = self.store.engine.connection()
        connection.set_progress_handler(step, 1)
        try:
            self.last(act)
        finally:
            connection.set_progress_handler(None, 1)
        return steps


@pytest.fixture
def seen(database: str) -> Iterator[Seen]:
    with connect(database, log_parameters=True) as store:
        statements: list[Statement] = []
        store.engine.statements.add_hook(statements.append)
        yield Seen(store, statements)


def fill(jobs: Jobs, count: int, **options: Any) -> list[str]:
    rows = ({"task_type": "ab"[n % 2], "priority": n % PRIORITIES, **options} for n in range(count))
    return jobs.enqueue_many(rows)  # type: ignore[arg-type] the options of each test


def finish_all(store: Store) -> None:
    now = "'2026-03-01T10:00:00.000000Z'"
    store.engine.write(f"UPDATE background_jobs SET status = 'completed', end_time = {now}")


ACTS: dict[str, Callable[[Jobs], object]] = {
    "one": lambda jobs: jobs.claim("w"),
    "many": lambda jobs: jobs.claim_many(10, "w"),
    "one of a type": lambda jobs: jobs.claim("w", task_types=["a"]),
    "one of some types": lambda jobs: jobs.claim("w", task_types=["a", "b", "c"]),
    "next due": lambda jobs: jobs.next_due(),
    "next due of a type": lambda jobs: jobs.next_due(["b"]),
}


def more_than_double(few: dict[str, int], many: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Give what took more than twice the work, with both numbers."""
    return {act: (count, many[act]) for act, count in few.items() if many[act] > 2 * count}


# each test asks for all acts: to make the rows takes longer than to ask, and what an act does is undone
@pytest.mark.parametrize("is_analyzed", [False, True])
def test_queue_is_read_by_its_own_index_only(seen: Seen, is_analyzed: bool) -> None:
    if is_analyzed:
        # statistics of an empty queue are the worst there are
        finish = fill(seen.store.jobs, 500)
        assert finish
        finish_all(seen.store)
        seen.store.engine.execute("ANALYZE")
    fill(seen.store.jobs, MANY)

    for act, do in ACTS.items():
        plan = seen.plan(do)

        index = "background_jobs_claim_type" if "type" in act else "background_jobs_claim"
        assert index in plan, act
        for other in ("background_jobs_status", "background_jobs_type", "Seq Scan on background_jobs"):
            assert f"{other} " not in plan + " ", act
        assert "SCAN background_jobs" not in plan, act
        assert "SCAN job\n" not in plan, act


def test_claim_costs_the_same_with_a_long_backlog(seen: Seen) -> None:
    fill(seen.store.jobs, 300)
    few = seen.work_of_all()
    fill(seen.store.jobs, MANY)

    assert more_than_double(few, seen.work_of_all()) == {}


def test_claim_costs_the_same_with_many_finished_jobs(seen: Seen) -> None:
    fill(seen.store.jobs, 300)
    few = seen.work_of_all()
    seen.store.jobs.delete_where(task_type=["a", "b"])
    fill(seen.store.jobs, MANY)
    finish_all(seen.store)
    fill(seen.store.jobs, 300)
    if seen.store.engine.dialect.has_copy:
        # what autovacuum does, which the tests' server is started without
        seen.store.engine.execute("VACUUM background_jobs")

    assert more_than_double(few, seen.work_of_all()) == {}


def test_claim_costs_the_same_with_many_jobs_scheduled_for_later(seen: Seen) -> None:
    jobs = seen.store.jobs
    later = jobs.engine.clock() + timedelta(days=1)
    fill(jobs, 300)
    fill(jobs, PRIORITIES * 2, run_at=later, max_attempts=1)
    few = seen.work_of_all()
    # they have the highest priority, so a scan in order of priority would walk them all
    jobs.enqueue_many(
        {"task_type": "ab"[n % 2], "priority": PRIORITIES, "run_at": later} for n in range(MANY)
    )

    # one more priority to look at
    assert more_than_double(few, seen.work_of_all()) == {}


def test_list_of_visible_jobs_reads_each_status_by_its_index(seen: Seen) -> None:
    fill(seen.store.jobs, MANY)
    if seen.store.engine.dialect.has_copy:
        seen.store.engine.execute("ANALYZE background_jobs")

    plan = seen.plan(lambda jobs: jobs.list_visible(20))

    assert "background_jobs_status" in plan
    assert "Seq Scan" not in plan
    assert "SCAN background_jobs" not in plan


def test_expired_leases_and_old_jobs_are_found_by_their_index(seen: Seen) -> None:
    fill(seen.store.jobs, MANY)

    assert "background_jobs_lease" in seen.plan(lambda jobs: jobs.rescue_expired())
    assert "background_jobs_end" in seen.plan(lambda jobs: jobs.prune(30))


def test_many_sizes_of_batches_do_not_fill_the_memory_with_statements(seen: Seen) -> None:
    jobs = seen.store.jobs
    fill(jobs, 300)
    for size in range(1, 300):
        jobs.claim_many(size, "w", lease_s=0)

    assert len(jobs.claim_many(1, "w")) <= 1
