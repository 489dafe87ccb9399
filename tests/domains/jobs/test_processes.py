"""Workers as processes: killed at random and nothing is lost; started, watched and stopped together."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.clock import Clock
from support.processes import Worker as Process
from support.processes import worker
from support.source_tree import ROOT
from support.waiting import wait_until

from datalayer import DataLayerError
from datalayer.domains.jobs import Jobs, Worker, load_worker, run_processes
from datalayer.store import connect

WORKERS = "domains.jobs.workers"
PROCESSES = 8
LEASE_S = 1.0


class Herd:
    """Worker processes that are killed at random and replaced at once."""

    def __init__(self, target: str, log: Path) -> None:
        self._arguments = (target, str(log), LEASE_S)
        self._members = [self._start() for _ in range(PROCESSES)]
        self.kills = 0

    def _start(self) -> Process:
        return Process(WORKERS, "work_for_ever", self._arguments)

    def begin(self) -> None:
        for member in self._members:
            member.line()
            member.begin()

    def kill_one(self) -> None:
        place = random.randrange(len(self._members))
        self._members[place].close()
        self.kills += 1
        fresh = self._members[place] = self._start()
        fresh.line()
        fresh.begin()

    def close(self) -> None:
        for member in self._members:
            member.close()


def survive_kills(database: str, tmp_path: Path, *, count: int, kills: int) -> None:
    log = tmp_path / "effects.log"
    with connect(database, busy_timeout_s=30) as store:
        jobs = store.jobs
        ids = jobs.enqueue_many({"task_type": "note", "max_attempts": 50} for _ in range(count))
        herd = Herd(database, log)
        try:
            herd.begin()
            while herd.kills < kills:
                # spread over the whole run
                left = count * (1 - (herd.kills + 1) / (kills + 1))
                assert wait_until(lambda left=left: jobs.count(status="completed") >= count - left, 50)
                herd.kill_one()
            assert wait_until(lambda: jobs.count(status="completed") == count, 50), jobs.counts_by_status()
        finally:
            herd.close()

        effects = [line.split() for line in log.read_text().splitlines()]
        tried = Counter((key, attempt) for key, attempt, _ in effects)
        # an attempt is one worker's, and its completion is recorded once: with the answer of the last attempt
        assert max(tried.values()) == 1
        assert {key for key, _ in tried} == set(ids)
        for job in jobs.iterate():
            assert job.response == f"by {job.attempt}"
            assert (job.id, str(job.attempt)) in tried
            assert job.lease_owner is None
        assert jobs.count() == count


@pytest.mark.slow
def test_jobs_survive_workers_that_are_killed(database: str, tmp_path: Path, store_kind: str) -> None:
    is_small = store_kind == "postgresql"
    survive_kills(database, tmp_path, count=600 if is_small else 2_000, kills=10 if is_small else 25)


@pytest.fixture
def store_kind(database: str) -> str:
    return database.partition("://")[0] if "://" in database else "sqlite"


@pytest.mark.slow
def test_job_of_a_killed_worker_does_not_stay_acknowledged(database: str, tmp_path: Path) -> None:
    with connect(database) as store:
        job = store.jobs.enqueue("t", max_attempts=2)
        with worker(WORKERS, "stream_for_ever", database, str(tmp_path), "x") as one:
            assert one.line()
            one.kill()
        assert store.jobs.get(job.id).status == "running"
        clock = Clock(store.engine.clock())
        store.engine.clock = clock
        clock.move(3_600)
        done = Worker(store.jobs, {"t": lambda context: str(context.job.attempt)}).run_until_idle()

        assert done == 1
        assert store.jobs.read_response(job.id) == "2"


# -- started together ------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_work_until_idle(database: str, tmp_path: Path) -> None:
    with connect(database) as store:
        store.jobs.enqueue_many({"task_type": "shout", "prompt": f"p{n}"} for n in range(40))

        code = run_processes(
            database, app=f"{WORKERS}:handlers", processes=2, data_dir=tmp_path, until_idle=True
        )

        assert code == 0
        assert {job.response for job in store.jobs.iterate()} == {f"P{n}" for n in range(40)}


@pytest.mark.slow
def test_process_that_dies_is_replaced_and_signals_stop_all(database: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from datalayer.domains.jobs import run_processes\n"
        f"if __name__ == '__main__': sys.exit(run_processes(sys.argv[1], app='{WORKERS}:make_worker',"
        " processes=2, data_dir=Path(sys.argv[2])))"
    )
    script = tmp_path / "crew.py"
    script.write_text(code)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    crew = subprocess.Popen(
        [sys.executable, str(script), database, str(tmp_path)], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        with connect(database, busy_timeout_s=30) as store:
            seen: set[int] = set()
            while len(seen) < 3:  # more than the two that were started
                process = process_of_next_job(store.jobs)
                seen.add(process)
                os.kill(process, signal.SIGKILL)
            crew.terminate()
            assert crew.wait(20) == 0
            late = store.jobs.enqueue("shout", "late")
            assert store.jobs.get(late.id).status == "queued"
    finally:
        with contextlib.suppress(ProcessLookupError):
            crew.kill()
        crew.wait()


def process_of_next_job(jobs: Jobs) -> int:
    """Have a job done and give the process that did it."""
    job = jobs.enqueue("tell process")
    assert jobs.wait(job.id, timeout_s=30).status == "completed"
    return int(jobs.read_response(job.id) or 0)


@pytest.mark.parametrize("app", ["", "nothing", ":x", "x:", "domains.jobs.nowhere:x", f"{WORKERS}:nothing"])
def test_worker_that_cannot_be_loaded_is_refused(app: str) -> None:
    with pytest.raises(DataLayerError, match="worker"):
        load_worker(app)


def test_name_of_something_else_is_refused() -> None:
    with pytest.raises(DataLayerError, match="is a list"):
        load_worker(f"{WORKERS}:__all__")


def test_mapping_or_function_makes_a_worker(jobs: Jobs) -> None:
    assert load_worker(f"{WORKERS}:handlers")(jobs).handlers.keys() == {"shout", "tell process"}
    assert load_worker(f"{WORKERS}:make_worker")(jobs).lease_s == 5


def test_database_in_memory_has_no_other_processes() -> None:
    with pytest.raises(DataLayerError, match="in memory"):
        run_processes(":memory:", app=f"{WORKERS}:handlers", processes=2)
