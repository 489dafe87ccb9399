"""Handing jobs out: in order, to one worker each, under a lease, and back from workers that are gone."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock
from support.processes import run_together

from datalayer.domains.jobs import Job, Jobs
from datalayer.store import Store, connect

WORKERS = "domains.jobs.workers"


def test_claimed_job_has_owner_lease_and_attempt(jobs: Jobs, clock: Clock) -> None:
    job = jobs.enqueue("t")
    clock.move(1)

    claimed = jobs.claim("worker-1", lease_s=30)

    assert claimed is not None
    assert (claimed.id, claimed.status, claimed.attempt) == (job.id, "acknowledged_by_worker", 1)
    assert (claimed.lease_owner, claimed.lease_expires_at) == ("worker-1", clock.now + timedelta(seconds=30))
    assert claimed.__data__ == jobs.get(job.id).__data__


def test_claimed_job_is_not_handed_to_another(jobs: Jobs) -> None:
    jobs.enqueue("t")

    assert jobs.claim("a") is not None
    assert jobs.claim("b") is None


def test_worker_without_a_name_gets_one_of_its_thread(jobs: Jobs) -> None:
    jobs.enqueue("t")

    claimed = jobs.claim()

    assert claimed is not None
    assert claimed.lease_owner


def test_jobs_come_by_priority_then_time_then_id(jobs: Jobs, clock: Clock) -> None:
    early, late = clock.now - timedelta(hours=2), clock.now - timedelta(hours=1)
    rows = [("d", 0, late), ("b", 5, late), ("c", 0, early), ("e", 0, late), ("a", 9, late)]
    for key, priority, run_at in rows:
        jobs.enqueue("t", id=key, priority=priority, run_at=run_at)

    assert [job.id for job in jobs.claim_many(2, "w")] == ["a", "b"]
    assert [job.id for job in jobs.claim_many(9, "w")] == ["c", "d", "e"]


def test_job_is_not_due_before_its_time(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t", run_at=clock.now + timedelta(seconds=10), priority=9)
    jobs.enqueue("t", id="now")

    assert [job.id for job in jobs.claim_many(5, "w")] == ["now"]
    clock.move(9.999999)
    assert jobs.claim("w") is None
    clock.move(0.000001)
    assert jobs.claim("w") is not None


def test_only_the_types_asked_for_are_claimed_in_one_order(jobs: Jobs, clock: Clock) -> None:
    for place, kind in enumerate(["a", "b", "c", "a", "b", "c"]):
        jobs.enqueue(kind, id=f"{place}{kind}", run_at=clock.now - timedelta(minutes=10 - place))
    jobs.enqueue("b", id="9b", priority=1)

    assert [job.id for job in jobs.claim_many(3, "w", task_types=["a", "b"])] == ["9b", "0a", "1b"]
    assert [job.id for job in jobs.claim_many(9, "w", task_types=["c"])] == ["2c", "5c"]
    assert jobs.claim("w", task_types=["unheard of"]) is None


def test_nothing_is_claimed_where_nothing_is_asked_for(jobs: Jobs) -> None:
    jobs.enqueue("t")

    assert jobs.claim_many(0, "w") == []


@pytest.mark.parametrize("status", ["idle", "created"])
def test_job_that_is_not_queued_is_not_claimed(jobs: Jobs, status: str) -> None:
    jobs.add(status=status, task_type="t")

    assert jobs.claim("w") is None


def test_job_queued_by_hand_with_no_attempt_left_stops_nobody(jobs: Jobs) -> None:
    jobs.add(status="queued", attempt=1, max_attempts=1, task_type="t", priority=9)
    jobs.enqueue("t", id="good")

    assert [job.id for job in jobs.claim_many(5, "w")] == ["good"]
    assert jobs.next_due() is None


def test_claim_of_an_undone_transaction_did_not_happen(jobs: Jobs, store: Store) -> None:
    jobs.enqueue("t")
    with pytest.raises(ZeroDivisionError), store.transaction():
        assert jobs.claim("a") is not None
        _ = 1 / 0

    again = jobs.claim("b")

    assert again is not None
    assert again.attempt == 1


def test_next_due_is_the_earliest_time_queued(jobs: Jobs, clock: Clock) -> None:
    assert jobs.next_due() is None
    jobs.enqueue("a", priority=9, run_at=clock.now + timedelta(hours=2))
    jobs.enqueue("b", priority=1, run_at=clock.now + timedelta(hours=1))

    assert jobs.next_due() == clock.now + timedelta(hours=1)
    assert jobs.next_due(["a"]) == clock.now + timedelta(hours=2)
    assert jobs.next_due(["c"]) is None


QUEUED = st.lists(st.tuples(st.integers(-2, 2), st.integers(-3, 3), st.sampled_from("abc")), max_size=25)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=QUEUED,
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    kinds=st.sets(st.sampled_from("abcx")),
)
def test_claims_take_what_sorting_all_due_jobs_would(
    jobs: Jobs, clock: Clock, rows: list[Any], sizes: list[int], kinds: set[str]
) -> None:
    jobs.delete_where(Job.id != "")
    for place, (priority, minutes, kind) in enumerate(rows):
        jobs.enqueue(kind, id=f"{place:03}", priority=priority, run_at=clock.now + timedelta(minutes=minutes))
    due = sorted(
        (-priority, minutes, f"{place:03}")
        for place, (priority, minutes, kind) in enumerate(rows)
        if minutes <= 0 and (not kinds or kind in kinds)
    )

    claimed = [[job.id for job in jobs.claim_many(n, "w", task_types=sorted(kinds))] for n in sizes]

    expected = [key for _, _, key in due]
    for size, batch in zip(sizes, claimed, strict=True):
        assert batch == expected[:size]
        del expected[:size]


# -- many processes --------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_job_is_handed_to_two_of_eight_processes(database: str) -> None:
    with connect(database) as store:
        ids = store.jobs.enqueue_many({"task_type": "t", "priority": n % 3} for n in range(600))

    claimed = run_together(WORKERS, "claim_all", [(database, f"w{n}", 1 + n % 3) for n in range(8)])

    assert sorted(chain.from_iterable(claimed)) == sorted(ids)
    with connect(database) as store:
        assert {job.attempt for job in store.jobs.iterate()} == {1}


@pytest.mark.slow
def test_no_job_of_several_types_is_handed_to_two_processes(database: str) -> None:
    with connect(database) as store:
        wanted = store.jobs.enqueue_many({"task_type": "ab"[n % 2], "priority": n % 3} for n in range(300))
        store.jobs.enqueue_many({"task_type": "c"} for _ in range(20))

    claimed = run_together(WORKERS, "claim_types", [(database, f"w{n}", ["a", "b"]) for n in range(4)])

    assert sorted(chain.from_iterable(claimed)) == sorted(wanted)


# -- taking back -----------------------------------------------------------------------------------


def test_expired_lease_is_taken_back_and_handed_out_again(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t", max_attempts=2)
    jobs.claim("a", lease_s=10)

    assert jobs.rescue_expired() == 0
    clock.move(10.000001)
    assert jobs.claim("b") is None
    assert jobs.rescue_expired() == 1
    again = jobs.claim("b")

    assert again is not None
    assert (again.attempt, again.lease_owner) == (2, "b")
    assert "worker a was not heard of" in (again.error_message or "")


def test_expired_lease_of_the_last_attempt_ends_the_job_as_failed(jobs: Jobs, clock: Clock) -> None:
    job = jobs.enqueue("t", max_attempts=1)
    jobs.claim("a", lease_s=10)
    clock.move(11)

    assert jobs.rescue_expired() == 1

    failed = jobs.get(job.id)
    assert (failed.status, failed.end_time, failed.lease_owner) == ("failed", clock.now, None)
    assert "attempt 1 of 1" in (failed.error_message or "")


def test_lease_that_was_prolonged_is_not_taken_back(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t")
    job = jobs.claim("a", lease_s=10)
    assert job is not None
    clock.move(9)
    jobs.heartbeat(job, lease_s=10)
    clock.move(9)

    assert jobs.rescue_expired() == 0


def test_rescue_keeps_the_first_start_time(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t")
    job = jobs.claim("a", lease_s=10)
    assert job is not None
    jobs.start(job)
    started = clock.now
    clock.move(11)
    jobs.rescue_expired()

    again = jobs.claim("b")

    assert again is not None
    jobs.start(again)
    assert jobs.get(again.id).start_time == again.start_time == started


def test_rescue_goes_through_more_than_one_batch(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue_many({"task_type": "t", "max_attempts": 1 + n % 2} for n in range(7))
    jobs.claim_many(7, "a", lease_s=1)
    clock.move(2)

    assert jobs.rescue_expired(batch=2) == 7
    assert jobs.counts_by_status() | {"queued": 3, "failed": 4} == jobs.counts_by_status()


@pytest.mark.slow
def test_rescue_by_many_processes_takes_each_job_back_once(database: str) -> None:
    with connect(database) as store:
        store.jobs.enqueue_many({"task_type": "t"} for _ in range(100))
        store.jobs.claim_many(100, "gone", lease_s=-1)

    rescued = run_together(WORKERS, "rescue_all", [(database, 7)] * 4)

    assert sum(rescued) == 100
    with connect(database) as store:
        assert store.jobs.count(status="queued") == 100
