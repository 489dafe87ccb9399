"""What a worker does with a job it holds, and what it can no longer do when it lost it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer import CheckViolation, InvalidTransition, NotFound
from datalayer.domains.jobs import Backoff, Job, Jobs
from datalayer.store import Store


def claimed(jobs: Jobs, **options: object) -> Job:
    jobs.enqueue("t", **options)  # type: ignore[arg-type] the options of each test
    job = jobs.claim("w", lease_s=60)
    assert job is not None
    return job


def running(jobs: Jobs, **options: object) -> Job:
    job = claimed(jobs, **options)
    jobs.start(job)
    return job


# every call that is fenced, as a worker makes it
CALLS: dict[str, Callable[[Jobs, Job], object]] = {
    "heartbeat": lambda jobs, job: jobs.heartbeat(job),
    "prepare": lambda jobs, job: jobs.prepare(job),
    "start": lambda jobs, job: jobs.start(job),
    "append": lambda jobs, job: jobs.append(job, "late"),
    "record_usage": lambda jobs, job: jobs.record_usage(job, tokens_sent=1),
    "complete": lambda jobs, job: jobs.complete(job, "late"),
    "complete long": lambda jobs, job: jobs.complete(job, "late" * 50_000),
    "fail": lambda jobs, job: jobs.fail(job, "late"),
    "fail for good": lambda jobs, job: jobs.fail(job, "late", retry=False),
}


# -- progress --------------------------------------------------------------------------------------


def test_held_job_goes_through_its_statuses(jobs: Jobs, clock: Clock) -> None:
    job = claimed(jobs)
    clock.move(1)
    jobs.prepare(job, "reading files")
    assert (job.status, job.status_message) == ("preparing", "reading files")
    clock.move(1)
    jobs.start(job, "asking the model")
    assert (job.status, job.start_time) == ("running", clock.now)
    clock.move(1)
    jobs.complete(job, "done")

    assert (job.status, job.end_time, job.lease_owner) == ("completed", clock.now, None)
    assert job.__data__ == jobs.get(job.id).__data__


def test_job_may_be_completed_without_having_run(jobs: Jobs) -> None:
    job = claimed(jobs)
    jobs.complete(job)

    stored = jobs.get(job.id)
    assert (stored.status, stored.start_time, stored.response) == ("completed", None, None)


def test_running_job_cannot_be_prepared(jobs: Jobs) -> None:
    job = running(jobs)

    with pytest.raises(InvalidTransition, match="preparing cannot follow") as caught:
        jobs.prepare(job)
    assert (caught.value.current, caught.value.wanted) == ("running", "preparing")


def test_heartbeat_prolongs_the_lease_from_now(jobs: Jobs, clock: Clock) -> None:
    job = claimed(jobs)
    clock.move(50)
    jobs.heartbeat(job, lease_s=20)

    assert job.lease_expires_at == jobs.get(job.id).lease_expires_at == clock.now + timedelta(seconds=20)


def test_usage_adds_up(jobs: Jobs, clock: Clock) -> None:
    job = running(jobs, model_used="small")
    clock.move(1)
    jobs.record_usage(job, tokens_sent=10, tokens_received=3)
    clock.move(1)
    jobs.record_usage(job, tokens_sent=5, model_used="large")

    assert (job.tokens_sent, job.tokens_received, job.model_used) == (15, 3, "large")
    assert job.__data__ == jobs.get(job.id).__data__
    with pytest.raises(CheckViolation):
        jobs.record_usage(job, tokens_sent=-16)


# -- losing it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_worker_whose_job_was_taken_back_changes_nothing(jobs: Jobs, clock: Clock, call: str) -> None:
    old = running(jobs)
    clock.move(61)
    jobs.rescue_expired()
    new = jobs.claim("other")
    assert new is not None
    before = jobs.get(old.id).__data__

    with pytest.raises(InvalidTransition, match=r"w lost job .* \(attempt 1\)") as caught:
        CALLS[call](jobs, old)

    assert "other has it" in str(caught.value)
    assert jobs.get(old.id).__data__ == before
    assert jobs.check_files(older_than_s=0) == []


@pytest.mark.parametrize("call", CALLS)
def test_worker_whose_job_waits_in_the_queue_changes_nothing(jobs: Jobs, clock: Clock, call: str) -> None:
    old = running(jobs)
    clock.move(61)
    jobs.rescue_expired()

    with pytest.raises(InvalidTransition, match="it is queued"):
        CALLS[call](jobs, old)


@pytest.mark.parametrize("call", CALLS)
def test_worker_whose_job_was_canceled_is_told_so(jobs: Jobs, call: str) -> None:
    job = running(jobs)
    jobs.cancel(job.id, "no longer wanted")

    with pytest.raises(InvalidTransition, match="is canceled\nno longer wanted") as caught:
        CALLS[call](jobs, job)
    assert caught.value.current == "canceled"
    assert jobs.get(job.id).status == "canceled"


@pytest.mark.parametrize("call", CALLS)
def test_worker_whose_job_was_deleted_is_told_so(jobs: Jobs, call: str) -> None:
    job = running(jobs)
    jobs.delete(job.id)

    with pytest.raises(NotFound, match="is gone"):
        CALLS[call](jobs, job)


@pytest.mark.parametrize("call", CALLS)
def test_completed_job_takes_no_further_call(jobs: Jobs, call: str) -> None:
    job = running(jobs)
    jobs.complete(job, "done")

    with pytest.raises(InvalidTransition, match="is completed"):
        CALLS[call](jobs, job)
    assert jobs.read_response(job) == "done"


@pytest.mark.parametrize("call", CALLS)
def test_job_that_was_never_claimed_takes_no_call(jobs: Jobs, call: str) -> None:
    job = jobs.enqueue("t")

    with pytest.raises(InvalidTransition, match="is not held"):
        CALLS[call](jobs, job)


def test_lease_that_is_over_but_not_taken_back_is_still_the_workers(jobs: Jobs, clock: Clock) -> None:
    job = running(jobs)
    clock.move(3_600)

    assert jobs.is_held(job)
    jobs.append(job, "late ")
    jobs.complete(job)

    assert jobs.read_response(job) == "late "
    assert jobs.rescue_expired() == 0


def test_same_worker_does_not_hold_its_old_attempt(jobs: Jobs, clock: Clock) -> None:
    old = claimed(jobs)
    clock.move(61)
    jobs.rescue_expired()
    new = jobs.claim("w")
    assert new is not None

    assert jobs.is_held(new)
    assert not jobs.is_held(old)
    with pytest.raises(InvalidTransition):
        jobs.complete(old, "of the old attempt")


# -- failing ---------------------------------------------------------------------------------------


def test_failed_attempt_comes_again_after_its_backoff(jobs: Jobs, clock: Clock) -> None:
    jobs.backoff = Backoff(base_s=10, factor=3, jitter=0)
    job = running(jobs)
    clock.move(5)
    jobs.fail(job, ValueError("no such model"))

    assert (job.status, job.attempt, job.lease_owner) == ("queued", 1, None)
    assert job.run_at == clock.now + timedelta(seconds=10)
    assert job.error_message == "ValueError: no such model"
    assert job.__data__ == jobs.get(job.id).__data__

    clock.move(9)
    assert jobs.claim("w") is None
    clock.move(1)
    again = jobs.claim("w")
    assert again is not None
    jobs.fail(again, "again")
    assert again.run_at == clock.now + timedelta(seconds=30)


def test_last_attempt_fails_for_good(jobs: Jobs, clock: Clock) -> None:
    job = running(jobs, max_attempts=1)
    clock.move(5)
    jobs.fail(job, "boom")

    assert (job.status, job.end_time, job.error_message) == ("failed", clock.now, "boom")
    assert job.__data__ == jobs.get(job.id).__data__


def test_failure_may_say_that_it_is_for_good(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.fail(job, "hopeless", retry=False)

    assert jobs.get(job.id).status == "failed"


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(seconds=90)])
def test_failure_may_say_when_it_comes_again(jobs: Jobs, clock: Clock, delay: float | timedelta) -> None:
    job = running(jobs)
    jobs.fail(job, "busy", retry=delay)

    assert jobs.get(job.id).run_at == clock.now + timedelta(seconds=90)


def test_error_that_no_database_can_store_is_still_told(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.fail(job, ValueError("a\0b\ud800" + "x" * 20_000), retry=False)

    message = jobs.get(job.id).error_message or ""
    assert message.startswith("ValueError: a\N{REPLACEMENT CHARACTER}b?xxx")
    assert len(message) <= 8_192


def test_completion_forgets_the_errors_of_earlier_attempts(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.fail(job, "boom", retry=0)
    again = jobs.claim("w")
    assert again is not None
    jobs.complete(again)

    assert jobs.get(job.id).error_message is None


def test_retry_begins_without_what_the_last_attempt_wrote(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.append(job, "half an answ")
    jobs.fail(job, "boom", retry=0)

    assert jobs.read_response(job) is None
    again = jobs.claim("w")
    assert again is not None
    assert again.chars_received == 0


def test_failure_for_good_keeps_what_was_written(jobs: Jobs) -> None:
    job = running(jobs)
    jobs.append(job, "half an answ")
    jobs.fail(job, "boom", retry=False)

    assert jobs.read_response(job) == "half an answ"


@pytest.mark.parametrize(("attempt", "low", "high"), [(1, 4, 6), (2, 8, 12), (4, 32, 48), (500, 80, 120)])
def test_backoff_grows_up_to_its_limit_with_jitter(attempt: int, low: int, high: int) -> None:
    backoff = Backoff(base_s=5, factor=2, max_s=100, jitter=0.2)

    delays = [backoff.delay(attempt).total_seconds() for _ in range(200)]

    assert low <= min(delays) < max(delays) <= high


# -- in a transaction ------------------------------------------------------------------------------


def test_completion_of_an_undone_transaction_did_not_happen(jobs: Jobs, store: Store) -> None:
    job = running(jobs)
    with pytest.raises(ZeroDivisionError), store.transaction():
        jobs.complete(jobs.get(job.id), "done")
        _ = 1 / 0

    jobs.complete(job, "at last")
    assert jobs.read_response(job) == "at last"


def test_completion_and_the_apps_own_rows_are_one(jobs: Jobs, store: Store) -> None:
    job = running(jobs)
    with store.transaction():
        jobs.enqueue("next", id="next")
        jobs.complete(job)

    assert jobs.get("next").status == "queued"
    assert jobs.get(job.id).status == "completed"
