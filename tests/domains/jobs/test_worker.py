"""Workers: what becomes of jobs whose handlers end well, badly, late, or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock
from support.waiting import wait_until

from datalayer import DatabaseUnavailable, DataLayerError, InvalidTransition, connect
from datalayer.domains.jobs import Backoff, Job, JobContext, Jobs, Worker
from datalayer.engine.statements import Statement
from datalayer.store import Store


@contextmanager
def at_work(worker: Worker) -> Iterator[None]:
    """Run a worker in a thread of its own."""

    def run() -> None:
        try:
            worker.run()
        finally:
            worker.jobs.engine.release()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive()


def run(jobs: Jobs, handler: Callable[[JobContext], Any], **options: Any) -> Job:
    """Enqueue one job, work until idle, give the job as it is then."""
    job = jobs.enqueue("t", "input", **options)
    Worker(jobs, {"t": handler}).run_until_idle()
    return jobs.get(job.id)


def test_text_that_a_handler_gives_is_the_response(jobs: Jobs) -> None:
    job = run(jobs, lambda context: context.job.prompt.upper())

    assert (job.status, job.response, job.attempt) == ("completed", "INPUT", 1)
    assert job.start_time is not None


def test_value_that_a_handler_gives_is_kept_as_json(jobs: Jobs) -> None:
    assert run(jobs, lambda _: {"answer": 42}).response == '{"answer":42}'


def test_handler_that_gives_nothing_leaves_what_it_appended(jobs: Jobs) -> None:
    def stream(context: JobContext) -> None:
        for piece in ("one ", "two ", "three"):
            context.append(piece)

    assert run(jobs, stream).response == "one two three"


def test_handler_that_raises_fails_the_attempt_and_gets_another(jobs: Jobs) -> None:
    jobs.backoff = Backoff(base_s=0)
    seen: list[int] = []

    def stumble(context: JobContext) -> str:
        seen.append(context.job.attempt)
        if len(seen) < 3:
            raise ValueError("not yet")
        return "at last"

    job = run(jobs, stumble, max_attempts=5)

    assert seen == [1, 2, 3]
    assert (job.status, job.response, job.error_message) == ("completed", "at last", None)


def test_handler_that_always_raises_ends_as_failed(jobs: Jobs) -> None:
    jobs.backoff = Backoff(base_s=0)

    def raise_it(_: JobContext) -> None:
        raise ValueError("never")

    job = run(jobs, raise_it, max_attempts=2)

    assert (job.status, job.attempt, job.error_message) == ("failed", 2, "ValueError: never")


def test_handler_may_fail_the_job_itself(jobs: Jobs) -> None:
    def give_up(context: JobContext) -> str:
        context.fail("no such document", retry=False)
        return "counts no more"

    job = run(jobs, give_up)

    assert (job.status, job.error_message, job.response) == ("failed", "no such document", None)


def test_failed_job_scheduled_for_later_is_left_by_run_until_idle(jobs: Jobs, clock: Clock) -> None:
    jobs.backoff = Backoff(base_s=60, jitter=0)

    def raise_it(_: JobContext) -> None:
        raise ValueError("once")

    job = run(jobs, raise_it)

    assert (job.status, job.run_at) == ("queued", clock.now + timedelta(seconds=60))


def test_worker_takes_only_the_types_it_has_handlers_for(jobs: Jobs) -> None:
    jobs.enqueue("other")

    assert Worker(jobs, {"t": lambda _: None}).run_until_idle() == 0
    assert jobs.count(status="queued") == 1
    with pytest.raises(DataLayerError, match="needs a handler"):
        Worker(jobs, {})


def test_run_until_idle_gives_the_number_of_jobs(jobs: Jobs) -> None:
    jobs.enqueue_many({"task_type": "t", "priority": n % 3} for n in range(7))

    assert Worker(jobs, {"t": lambda _: "ok"}).run_until_idle() == 7


def test_canceled_job_ends_its_handler_at_its_next_call(jobs: Jobs) -> None:
    def canceled_meanwhile(context: JobContext) -> None:
        assert not context.is_canceled
        jobs.cancel(context.job.id)
        assert context.is_canceled
        with pytest.raises(InvalidTransition):
            context.heartbeat()
        context.append("more")

    assert run(jobs, canceled_meanwhile).status == "canceled"


def test_result_of_a_canceled_job_is_dropped(jobs: Jobs) -> None:
    def canceled_meanwhile(context: JobContext) -> str:
        jobs.cancel(context.job.id)
        return "too late"

    job = run(jobs, canceled_meanwhile)

    assert (job.status, job.response) == ("canceled", None)


def test_interrupted_handler_gives_its_job_back(jobs: Jobs) -> None:
    def interrupt(_: JobContext) -> None:
        raise KeyboardInterrupt

    job = jobs.enqueue("t")
    with pytest.raises(KeyboardInterrupt):
        Worker(jobs, {"t": interrupt}).run_until_idle()

    stored = jobs.get(job.id)
    assert (stored.status, stored.error_message) == ("queued", "the worker was stopped")


def test_worker_takes_back_jobs_of_workers_that_are_gone(jobs: Jobs, clock: Clock) -> None:
    jobs.enqueue("t")
    jobs.claim("gone", lease_s=10)
    clock.move(11)

    assert Worker(jobs, {"t": lambda _: "ok"}).run_until_idle() == 1


# -- running on ------------------------------------------------------------------------------------


def test_waiting_worker_is_woken_by_a_new_job(jobs: Jobs) -> None:
    with at_work(Worker(jobs, {"t": lambda _: "ok"}, poll_s=30)):
        for _ in range(3):
            job = jobs.enqueue("t")

            assert jobs.wait(job.id, timeout_s=10).status == "completed"


def test_waiting_worker_is_woken_by_the_time_of_a_job(jobs: Jobs, store: Store) -> None:
    clock = Clock()
    store.engine.clock = clock
    job = jobs.enqueue("t", run_at=clock.now + timedelta(seconds=60))
    with at_work(Worker(jobs, {"t": lambda _: "ok"}, poll_s=0.05)):
        assert not jobs.wait(job.id, timeout_s=0.1).is_final
        clock.move(60)

        assert jobs.wait(job.id, timeout_s=10).status == "completed"


def test_lease_is_kept_alive_while_the_handler_works(jobs: Jobs, store: Store) -> None:
    go_on = threading.Event()

    def work_long(_: JobContext) -> str:
        go_on.wait(20)
        return "done"

    job = jobs.enqueue("t")
    with at_work(Worker(jobs, {"t": work_long}, lease_s=0.15)):
        assert wait_until(lambda: jobs.get(job.id).status == "running")
        first = jobs.get(job.id).lease_expires_at
        clock = store.engine.clock
        assert isinstance(clock, Clock)
        # the clock passes the lease little by little, slower than the heartbeats come
        for _ in range(5):
            clock.move(0.1)
            moved = clock.now + timedelta(seconds=0.15)
            assert wait_until(lambda moved=moved: jobs.get(job.id).lease_expires_at == moved)
            assert jobs.rescue_expired() == 0
        assert first is not None
        assert clock.now > first
        go_on.set()

        assert jobs.wait(job.id, timeout_s=10).attempt == 1


def test_stopped_worker_ends_its_job_first(jobs: Jobs) -> None:
    started = threading.Event()
    go_on = threading.Event()

    def work(_: JobContext) -> str:
        started.set()
        go_on.wait(20)
        return "done"

    first, second = jobs.enqueue("t"), jobs.enqueue("t")
    worker = Worker(jobs, {"t": work})
    with at_work(worker):
        started.wait(20)
        worker.stop()
        go_on.set()

    assert jobs.get(first.id).status == "completed"
    assert jobs.get(second.id).status == "queued"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_worker_after_its_job(jobs: Jobs, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def work(_: JobContext) -> str:
        os.kill(os.getpid(), number)
        return "done"

    first, second = jobs.enqueue("t"), jobs.enqueue("t")
    Worker(jobs, {"t": work}).run(handle_signals=True)

    assert jobs.get(first.id).status == "completed"
    assert jobs.get(second.id).status == "queued"
    assert signal.getsignal(number) is before


def test_work_is_not_done_twice_because_the_database_was_busy(tmp_path: Path) -> None:
    calls: list[int] = []
    with connect(tmp_path / "app.db", busy_timeout_s=0.02) as store:
        store.migrate()
        other = sqlite3.connect(tmp_path / "app.db", isolation_level=None, check_same_thread=False)
        refused: list[Statement] = []

        def free(statement: Statement) -> None:
            if isinstance(statement.error, sqlite3.OperationalError):
                refused.append(statement)
                if other.in_transaction:
                    other.execute("ROLLBACK")

        store.engine.statements.add_hook(free)

        def work(context: JobContext) -> str:
            calls.append(context.job.attempt)
            other.execute("BEGIN IMMEDIATE")
            return "done"

        job = store.jobs.enqueue("t")
        Worker(store.jobs, {"t": work}).run_until_idle()

        assert store.jobs.get(job.id).status == "completed"
        assert (calls, len(refused)) == ([1], 1)
        other.close()


def test_worker_shares_a_pool_of_connections(migrated_postgres: str) -> None:
    with connect(migrated_postgres, pool=2) as store:
        with at_work(Worker(store.jobs, {"t": lambda context: context.job.prompt})):
            job = store.jobs.enqueue("t", "hello")

            assert store.jobs.wait(job.id, timeout_s=20).status == "completed"
        assert store.jobs.read_response(job) == "hello"


def test_worker_names_itself_and_its_types(jobs: Jobs) -> None:
    worker = Worker(jobs, {"t": lambda _: None}, name="w1")

    assert repr(worker) == "<Worker w1 for t>"


def test_worker_of_a_closed_store_ends(tmp_path: Path) -> None:
    with connect(tmp_path / "app.db") as store:
        store.migrate()
        worker = Worker(store.jobs, {"t": lambda _: None})
    with pytest.raises(DatabaseUnavailable):
        worker.run()
