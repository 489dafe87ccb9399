"""What people and apps look at: lists, pages, counts, figures, waiting, clearing."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from support.clock import Clock
from support.processes import worker

from datalayer import DataLayerError, InvalidTransition, NotFound
from datalayer.domains.jobs import Job, Jobs
from datalayer.domains.jobs.model import STATUSES
from datalayer.store import Store, connect


def finish(jobs: Jobs, key: str, status: str) -> None:
    job = jobs.claim("w")
    assert job is not None
    assert job.id == key
    if status == "completed":
        jobs.complete(job)
    else:
        jobs.fail(job, "boom", retry=False)


# -- lists -----------------------------------------------------------------------------------------


def test_visible_jobs_are_active_first_then_newest_first(jobs: Jobs) -> None:
    done = jobs.enqueue("t").id
    finish(jobs, done, "completed")
    idle = jobs.add(status="idle", task_type="t").id
    failed = jobs.enqueue("t").id
    finish(jobs, failed, "failed")
    queued = jobs.enqueue("t").id

    assert [job.id for job in jobs.list_visible()] == [queued, idle, failed, done]
    assert [job.id for job in jobs.list_visible(3)] == [queued, idle, failed]


def test_cleared_jobs_are_not_visible(jobs: Jobs) -> None:
    done = jobs.enqueue("t").id
    finish(jobs, done, "completed")
    jobs.clear(done)
    jobs.clear(done)

    assert jobs.list_visible() == []
    assert jobs.get(done).cleared


def test_active_job_is_not_cleared(jobs: Jobs) -> None:
    job = jobs.enqueue("t")

    with pytest.raises(InvalidTransition, match="is queued"):
        jobs.clear(job.id)
    with pytest.raises(NotFound):
        jobs.clear("nobody")


def test_final_jobs_of_a_session_are_cleared_together(jobs: Jobs, session: str, other_session: str) -> None:
    for owner in (session, session, other_session):
        finish(jobs, jobs.enqueue("t", session_id=owner).id, "failed")
    active = jobs.enqueue("t", session_id=session)

    assert jobs.clear_session(session) == 2
    assert jobs.clear_session(session) == 0
    assert [job.session_id for job in jobs.list_visible()] == [session, other_session]
    assert jobs.list_visible()[0].id == active.id


def test_newest_gives_pages_by_session_type_or_status(jobs: Jobs, session: str) -> None:
    ids = [jobs.enqueue("ab"[n % 2], session_id=session if n < 4 else None).id for n in range(7)]
    finish(jobs, ids[0], "completed")

    first = jobs.newest(session_id=session, size=3)
    assert [job.id for job in first.items] == ids[3:0:-1]
    second = jobs.newest(session_id=session, size=3, after=first.next)
    assert [job.id for job in second.items] == [ids[0]]
    assert second.next is None
    assert [job.id for job in jobs.newest(task_type="b").items] == [ids[5], ids[3], ids[1]]
    assert [job.id for job in jobs.newest(status="completed").items] == [ids[0]]


# -- figures ---------------------------------------------------------------------------------------


def test_counts_name_every_status(jobs: Jobs) -> None:
    assert jobs.counts_by_status() == dict.fromkeys(STATUSES, 0)
    jobs.enqueue_many([{"task_type": "t"}] * 3)
    jobs.claim("w")

    assert jobs.counts_by_status() == dict.fromkeys(STATUSES, 0) | {"queued": 2, "acknowledged_by_worker": 1}


def test_stats_tell_what_is_due_what_waits_and_what_is_lost(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t", priority=9)
    jobs.claim("gone", lease_s=1)
    jobs.enqueue("t")
    jobs.enqueue("t", run_at=clock.now + timedelta(days=1))
    clock.move(30)

    stats = jobs.stats()

    assert (stats.due, stats.scheduled, stats.oldest_due_s, stats.expired_leases) == (1, 1, 30.0, 1)
    assert stats.by_status["queued"] == 2


def test_stats_of_an_empty_queue(jobs: Jobs) -> None:
    stats = jobs.stats()

    assert (stats.due, stats.scheduled, stats.oldest_due_s, stats.expired_leases) == (0, 0, None, 0)


# -- waiting ---------------------------------------------------------------------------------------


def test_wait_gives_a_final_job_at_once(jobs: Jobs) -> None:
    job = jobs.enqueue("t")
    jobs.cancel(job.id)

    assert jobs.wait(job.id, timeout_s=0).status == "canceled"


def test_wait_gives_the_job_as_it_is_when_the_time_is_over(jobs: Jobs) -> None:
    job = jobs.enqueue("t")

    assert not jobs.wait(job.id, timeout_s=0.05).is_final


def test_wait_ends_when_another_thread_ends_the_job(jobs: Jobs, store: Store) -> None:
    job = jobs.enqueue("t")
    waiting = threading.Event()
    ended: list[Job] = []

    def wait() -> None:
        waiting.set()
        ended.append(jobs.wait(job.id, timeout_s=20))
        store.engine.release()

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    finish(jobs, job.id, "completed")
    thread.join()

    assert ended[0].status == "completed"


def test_wait_ends_when_another_process_ends_the_job(database: str) -> None:
    with connect(database) as store:
        job = store.jobs.enqueue("shout", "hello")
        with worker("domains.jobs.workers", "work", database, 5):
            ended = store.jobs.wait(job.id, timeout_s=20)

        assert ended.status == "completed"
        assert store.jobs.read_response(ended) == "HELLO"


def test_wait_for_a_missing_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        jobs.wait("nobody", timeout_s=5)


def test_wait_in_a_transaction_is_refused(jobs: Jobs, store: Store) -> None:
    job = jobs.enqueue("t")

    with pytest.raises(DataLayerError, match="inside a transaction"), store.transaction():
        jobs.wait(job.id, timeout_s=5)
