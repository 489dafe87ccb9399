"""Statuses outside a lease: compare and set, cancel, retry; and that final is final."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer import InvalidTransition, NotFound
from datalayer.domains.jobs import Job, Jobs
from datalayer.domains.jobs.model import ACTIVE, FINAL, LEASED, MOVES, STATUSES


def job_with(jobs: Jobs, status: str) -> Job:
    """Bring a job to a status the way an app does."""
    if status in ("idle", "created"):
        return jobs.add(status=status, task_type="t")
    key = jobs.enqueue("t").id
    if status == "queued":
        return jobs.get(key)
    if status == "canceled":
        jobs.cancel(key)
        return jobs.get(key)
    job = jobs.claim("w")
    assert job is not None
    assert job.id == key
    if status in ("preparing", "running", "completed"):
        jobs.prepare(job)
    if status in ("running", "completed"):
        jobs.start(job)
    if status == "completed":
        jobs.complete(job, "done")
    if status == "failed":
        jobs.fail(job, "boom", retry=False)
    return jobs.get(key)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_can_be_reached(jobs: Jobs, status: str) -> None:
    assert job_with(jobs, status).status == status


@pytest.mark.parametrize("source", STATUSES)
def test_compare_and_set_makes_the_moves_of_its_table_and_no_other(jobs: Jobs, source: str) -> None:
    for to in (*STATUSES, "unheard of"):
        before = job_with(jobs, source)

        if to in MOVES.get(source, ()):
            after = jobs.compare_and_set_status(before.id, source, to)
            assert (after.status, after.end_time is not None) == (to, to in FINAL)
        else:
            with pytest.raises(InvalidTransition) as caught:
                jobs.compare_and_set_status(before.id, source, to)
            assert (caught.value.current, caught.value.wanted) == (source, to)
            assert caught.value.hint
            assert jobs.get(before.id).__data__ == before.__data__
        jobs.delete(before.id)


def test_docstring_shows_the_table_of_moves() -> None:
    text = Jobs.compare_and_set_status.__doc__ or ""

    for source, targets in MOVES.items():
        assert f"{source:<10} {', '.join(targets)}\n" in text


def test_compare_and_set_fails_when_the_status_is_another_by_now(jobs: Jobs) -> None:
    job = job_with(jobs, "queued")

    with pytest.raises(InvalidTransition, match="is queued, not created") as caught:
        jobs.compare_and_set_status(job.id, "created", "queued")
    assert caught.value.current == "queued"


def test_compare_and_set_of_a_missing_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.compare_and_set_status("nobody", "created", "queued")


def test_created_job_is_queued_for_later_with_a_message(jobs: Jobs, clock: Clock) -> None:
    job = job_with(jobs, "created")
    later = clock.now + timedelta(hours=1)

    queued = jobs.compare_and_set_status(job.id, "created", "queued", message="approved", run_at=later)

    assert (queued.run_at, queued.status_message) == (later, "approved")
    assert jobs.claim("w") is None


def test_message_of_a_failed_job_is_its_error(jobs: Jobs) -> None:
    job = job_with(jobs, "idle")

    assert jobs.compare_and_set_status(job.id, "idle", "failed", message="no").error_message == "no"


# -- cancel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ACTIVE)
def test_active_job_can_be_canceled(jobs: Jobs, clock: Clock, status: str) -> None:
    job = job_with(jobs, status)
    clock.move(5)
    jobs.cancel(job.id, "enough")

    canceled = jobs.get(job.id)
    assert (canceled.status, canceled.end_time, canceled.lease_owner) == ("canceled", clock.now, None)
    assert canceled.status_message == "enough"
    assert jobs.claim("w") is None
    assert jobs.rescue_expired() == 0


@pytest.mark.parametrize("status", FINAL)
def test_final_job_cannot_be_canceled(jobs: Jobs, status: str) -> None:
    job = job_with(jobs, status)

    with pytest.raises(InvalidTransition, match=f"is {status} already"):
        jobs.cancel(job.id)


def test_missing_job_cannot_be_canceled(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.cancel("nobody")


def test_session_is_canceled_with_its_running_jobs_and_no_others(
    jobs: Jobs, session: str, other_session: str
) -> None:
    done = jobs.enqueue("t", session_id=session, priority=9)
    first = jobs.claim("w")
    assert first is not None
    jobs.complete(first)
    jobs.enqueue("t", session_id=session, priority=8)
    held = jobs.claim("w")
    assert held is not None
    jobs.enqueue("t", session_id=session)
    other = jobs.enqueue("t", session_id=other_session)

    assert jobs.cancel_session(session) == 2

    assert jobs.get(done.id).status == "completed"
    assert jobs.get(other.id).status == "queued"
    with pytest.raises(InvalidTransition, match="canceled"):
        jobs.heartbeat(held)


# -- retry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_retry_makes_a_new_job_that_names_its_origin(jobs: Jobs, session: str, status: str) -> None:
    old = jobs.enqueue(
        "t",
        "do it",
        session_id=session,
        priority=4,
        max_attempts=7,
        metadata={"a": 1},
        api_type="x",
        model_used="m",
        max_output_tokens=9,
        project_directory="/app",
    )
    held = jobs.claim("w")
    assert held is not None
    if status == "failed":
        jobs.fail(held, "boom", retry=False)
    else:
        jobs.cancel(old.id)
    before = jobs.get(old.id)

    new = jobs.retry(old.id)

    assert new.id != old.id
    assert (new.status, new.attempt, new.metadata) == ("queued", 0, {"a": 1, "retry_of": old.id})
    same = ("session_id", "prompt", "priority", "max_attempts", "task_type", "api_type", "model_used")
    for name in (*same, "max_output_tokens", "project_directory"):
        assert getattr(new, name) == getattr(old, name), name
    assert jobs.get(old.id).__data__ == before.__data__


@pytest.mark.parametrize("status", [status for status in STATUSES if status not in ("failed", "canceled")])
def test_only_a_failed_or_canceled_job_is_retried(jobs: Jobs, status: str) -> None:
    job = job_with(jobs, status)

    with pytest.raises(InvalidTransition, match=f"is {status}"):
        jobs.retry(job.id)


def test_retry_with_a_key_gives_the_active_job_of_that_key(jobs: Jobs) -> None:
    old = jobs.enqueue("t", dedupe_key="k")
    jobs.cancel(old.id)
    active = jobs.enqueue("t", dedupe_key="k")

    assert jobs.retry(old.id).id == active.id


def test_retry_copes_with_metadata_that_are_no_object(jobs: Jobs) -> None:
    job = job_with(jobs, "failed")
    jobs.update(job.id, metadata=[1])

    assert jobs.retry(job.id).metadata == {"metadata": [1], "retry_of": job.id}


def test_leased_statuses_are_the_ones_with_a_lease(jobs: Jobs) -> None:
    for status in STATUSES:
        assert job_with(jobs, status).is_leased == (status in LEASED)
        jobs.delete_where(Job.id != "")
