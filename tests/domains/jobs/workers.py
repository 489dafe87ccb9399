"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from datalayer.domains.jobs import JobContext, Jobs, Worker
from datalayer.store import connect

__all__ = [
    "claim_all",
    "claim_types",
    "die_between_file_and_row",
    "enqueue_keys",
    "handlers",
    "make_worker",
    "rescue_all",
    "stream_for_ever",
    "work",
    "work_for_ever",
]


def enqueue_keys(target: str, count: int) -> list[str]:
    with connect(target, busy_timeout_s=30) as store:
        return [store.jobs.enqueue("t", dedupe_key=f"key {n}").id for n in range(count)]


def claim_all(target: str, name: str, batch: int) -> list[str]:
    """Claim until nothing is due; give the ids, in the order they came."""
    claimed: list[str] = []
    with connect(target, busy_timeout_s=30) as store:
        while store.jobs.next_due() is not None:
            claimed += [job.id for job in store.jobs.claim_many(batch, name)]
    return claimed


def claim_types(target: str, name: str, task_types: list[str]) -> list[str]:
    claimed: list[str] = []
    with connect(target, busy_timeout_s=30) as store:
        while store.jobs.next_due(task_types) is not None:
            claimed += [job.id for job in store.jobs.claim_many(3, name, task_types=task_types)]
    return claimed


def rescue_all(target: str, batch: int) -> int:
    with connect(target, busy_timeout_s=30) as store:
        return store.jobs.rescue_expired(batch=batch)


def work(target: str, lease_s: float) -> int:
    """Do what is due with the handlers below; give the number of jobs done."""
    with connect(target, busy_timeout_s=30) as store:
        return Worker(store.jobs, handlers, lease_s=lease_s).run_until_idle()


def work_for_ever(target: str, log: str, lease_s: float) -> None:
    """Work until killed; each job leaves a line in the log when its handler runs."""

    def note(context: JobContext) -> str:
        with Path(log).open("a") as file:
            file.write(f"{context.job.id} {context.job.attempt} {os.getpid()}\n")
        context.append("x")
        return f"by {context.job.attempt}"

    with connect(target, busy_timeout_s=30) as store:
        print("working", flush=True)
        Worker(store.jobs, {"note": note}, lease_s=lease_s, poll_s=0.2).run()


def stream_for_ever(target: str, data_dir: str, piece: str) -> None:
    """Append pieces to the one job until killed, saying the count of each after it is acknowledged."""
    with connect(target, data_dir=data_dir, busy_timeout_s=30) as store:
        job = store.jobs.claim("streamer")
        assert job is not None
        store.jobs.start(job)
        while True:
            store.jobs.append(job, piece)
            print(job.chars_received, flush=True)


def die_between_file_and_row(target: str, data_dir: str) -> None:
    """Complete with a response that goes to a file, and die before the row is committed."""
    with connect(target, data_dir=data_dir) as store:
        job = store.jobs.claim("w")
        assert job is not None
        with store.transaction():
            store.jobs.complete(job, "y" * 100_000)
            print("written", flush=True)
            sys.stdin.readline()


def _shout(context: JobContext) -> str:
    return context.job.prompt.upper()


def _tell_process(_: JobContext) -> str:
    return str(os.getpid())


handlers = {"shout": _shout, "tell process": _tell_process}


def make_worker(jobs: Jobs) -> Worker:
    return Worker(jobs, handlers, lease_s=5, poll_s=0.2)
