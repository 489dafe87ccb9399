"""Putting jobs in: one, many, once for a key, inside a transaction."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import Clock
from support.processes import run_together

from datalayer import (
    CheckViolation,
    DataLayerError,
    ForeignKeyViolation,
    Options,
    UniqueViolation,
    connect,
)
from datalayer.domains.jobs import Job, Jobs
from datalayer.store import Store


def test_enqueued_job_is_given_as_it_is_stored(jobs: Jobs, clock: Clock, session: str) -> None:
    job = jobs.enqueue(
        "summarise",
        "a text",
        session_id=session,
        priority=7,
        run_at=clock.now + timedelta(hours=1),
        max_attempts=5,
        dedupe_key="one",
        metadata={"pages": [1, 2]},
        api_type="claude",
        model_used="opus",
        max_output_tokens=100,
        project_directory="/app",
    )

    assert job.__data__ == jobs.get(job.id).__data__
    assert (job.status, job.attempt, job.created_at) == ("queued", 0, clock.now)


def test_job_that_says_nothing_else_is_due_at_once_and_has_three_attempts(jobs: Jobs, clock: Clock) -> None:
    job = jobs.enqueue("summarise")

    stored = jobs.get(job.id)
    assert (stored.run_at, stored.max_attempts, stored.priority, stored.prompt) == (clock.now, 3, 0, "")
    assert (stored.metadata, stored.session_id, stored.cleared) == ({}, None, False)
    assert stored.__data__ == job.__data__


def test_time_is_the_stores_clock() -> None:
    clock = Clock()
    with connect(":memory:", clock=clock) as store:
        store.migrate()

        assert Options(clock=clock).clock is clock
        assert store.jobs.enqueue("t").run_at == clock.now


def test_unknown_option_is_refused_by_name(jobs: Jobs) -> None:
    with pytest.raises(DataLayerError, match="no option prio"):
        jobs.enqueue("t", prio=3)  # type: ignore[call-arg] that is the test


@pytest.mark.parametrize("metadata", [[1], "text", {"a": float("nan")}])
def test_metadata_that_are_no_json_object_are_refused(jobs: Jobs, metadata: object) -> None:
    with pytest.raises(CheckViolation):
        jobs.enqueue("t", metadata=metadata)  # type: ignore[arg-type] that is the test

    assert jobs.count() == 0


def test_job_of_a_missing_session_is_refused(jobs: Jobs) -> None:
    with pytest.raises(ForeignKeyViolation):
        jobs.enqueue("t", session_id="nobody")


def test_given_id_is_kept_and_unique(jobs: Jobs) -> None:
    assert jobs.enqueue("t", id="mine").id == "mine"
    with pytest.raises(UniqueViolation):
        jobs.enqueue("t", id="mine")


def test_job_of_an_undone_transaction_was_never_there(jobs: Jobs, store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        jobs.enqueue("t")
        jobs.enqueue_many([{"task_type": "t"}] * 3)
        _ = 1 / 0

    assert jobs.count() == 0


def test_added_job_is_idle_and_due_now_unless_it_says_otherwise(jobs: Jobs, clock: Clock) -> None:
    job = jobs.add(task_type="t")

    assert (job.status, job.run_at) == ("idle", clock.now)
    assert jobs.claim("w") is None


# -- once for a key --------------------------------------------------------------------------------


def test_active_job_of_the_key_is_given_back(jobs: Jobs) -> None:
    first = jobs.enqueue("t", "one", dedupe_key="k")
    jobs.claim("w")

    again = jobs.enqueue("t", "two", dedupe_key="k")

    assert (again.id, again.prompt, again.status) == (first.id, "one", "acknowledged_by_worker")
    assert jobs.count() == 1


def test_key_is_free_when_its_job_is_final(jobs: Jobs) -> None:
    first = jobs.enqueue("t", dedupe_key="k")
    jobs.cancel(first.id)

    assert jobs.enqueue("t", dedupe_key="k").id != first.id


def test_key_taken_in_an_undone_transaction_is_free(jobs: Jobs, store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        undone = jobs.enqueue("t", dedupe_key="k")
        assert jobs.enqueue("t", dedupe_key="k").id == undone.id
        _ = 1 / 0

    assert jobs.enqueue("t", dedupe_key="k").id != undone.id


@pytest.mark.slow
def test_processes_that_enqueue_one_key_get_one_job(database: str) -> None:
    results = run_together("domains.jobs.workers", "enqueue_keys", [(database, 20)] * 4)

    assert all(ids == results[0] for ids in results)
    with connect(database) as store:
        assert store.jobs.count() == 20


# -- many ------------------------------------------------------------------------------------------


def test_many_jobs_are_queued_in_the_order_given(jobs: Jobs) -> None:
    ids = jobs.enqueue_many({"task_type": "t", "prompt": str(n), "priority": n % 3} for n in range(2_500))

    stored = {job.id: job.prompt for job in jobs.iterate()}
    assert [stored[key] for key in ids] == [str(n) for n in range(2_500)]
    assert ids == sorted(ids)


def test_many_jobs_are_all_or_none(jobs: Jobs) -> None:
    with pytest.raises(ForeignKeyViolation):
        jobs.enqueue_many([{"task_type": "t"}, {"task_type": "t", "session_id": "nobody"}])

    assert jobs.count() == 0


def test_key_among_many_stands_for_its_active_job(jobs: Jobs) -> None:
    before = jobs.enqueue("t", dedupe_key="a")

    ids = jobs.enqueue_many(
        [
            {"task_type": "t", "dedupe_key": "a"},
            {"task_type": "t"},
            {"task_type": "t", "dedupe_key": "b"},
            {"task_type": "t", "dedupe_key": "b"},
        ]
    )

    assert ids[0] == before.id
    assert ids[2] == ids[3]
    assert jobs.count() == 3
    assert jobs.one(Job.dedupe_key == "b").id == ids[2]


def test_none_of_many_is_fine(jobs: Jobs) -> None:
    assert jobs.enqueue_many([]) == []
