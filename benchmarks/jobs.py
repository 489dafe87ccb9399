"""The job store: enqueueing, claiming and completing against hand-written SQL, and how a claim's time grows.

By hand means the statements one would write first, on the same table (with all its constraints, triggers and
indexes) and on a lean table of ten columns with one index.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import datalayer
from benchmarks.harness import (
    Report,
    Row,
    Settings,
    Table,
    Target,
    median_ratio,
    percentile,
    take_turns,
    timed,
)
from benchmarks.job_contestants import BY_HAND, LEAN, OURS, Contestant, open_contestant, prepare

__all__ = ["run"]

ROUNDS = 5
SINGLE = 2_000
MANY = 20_000
SHARED = 8_000
CLAIMS = 1_000
PROMPT = "Summarise the document in three sentences. " * 7
HALF = Target(OURS, 0.5, at_least=True)
LONG_AGO, LATER = "2026-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"
COLUMNS = ("id", "status", "priority", "run_at", "end_time", "task_type", "prompt")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What fills the table while claims are measured."""

    name: str
    queued: int
    finished: int = 0
    scheduled: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.finished + self.scheduled


# the first is what the others are compared with
BACKLOGS = (
    Backlog("1,000 queued", 1_000),
    Backlog("10,000 queued", 10_000),
    Backlog("100,000 queued", 100_000),
    Backlog("1,000 queued, 100,000 for later at a higher priority", 1_000, scheduled=100_000),
    Backlog("1,000,000 queued", 1_000_000),
    Backlog("1,000 queued, 1,000,000 finished", 1_000, finished=1_000_000),
)
LARGEST = {"quick": 100_000, "PostgreSQL": 102_000, "SQLite": 1_001_000}


def run(settings: Settings) -> Report:
    """Measure on a SQLite file, and on PostgreSQL where it belongs to the run."""
    path = settings.folder / "jobs.db"
    tables = [
        _throughput(settings, "SQLite", str(path)),
        _latency(settings, "SQLite", partial(_file, settings.folder)),
    ]
    if settings.postgres_url is not None:
        tables.append(_throughput(settings, "PostgreSQL", settings.postgres_url()))
        tables.append(_latency(settings, "PostgreSQL", settings.postgres_url))
    return Report("jobs", tables)


def _file(folder: Path) -> str:
    return str(folder / f"backlog-{len(list(folder.iterdir()))}.db")


# -- throughput ------------------------------------------------------------------------------------


def _throughput(settings: Settings, engine: str, target: str) -> Table:
    prepare(target)
    contestants = {name: open_contestant(name, target) for name in (BY_HAND, LEAN, OURS)}
    share = 1.0 if engine == "SQLite" else 0.25
    single, many, shared = (max(16, int(settings.size(size) * share)) for size in (SINGLE, MANY, SHARED))
    rounds = settings.rounds(ROUNDS)
    try:
        works: dict[str, tuple[int, Callable[[Contestant], object]]] = {
            "enqueue one": (single, lambda one: _enqueue(one, single)),
            "enqueue many at once": (many, lambda one: one.enqueue_many(many, PROMPT)),
            "claim and complete, 1 worker": (single, lambda one: _work_off(one, single)),
        }
        rows = [
            _row(name, count, take_turns(contestants, rounds, partial(_timed_from_empty, name, work, single)))
            for name, (count, work) in works.items()
        ]
        together = take_turns(
            {name: name for name in contestants},
            rounds,
            lambda name: _work_together(settings, target, contestants[name], name, shared),
        )
        rows.append(_row(f"claim and complete, {settings.processes} workers", shared, together))
    finally:
        for contestant in contestants.values():
            contestant.close()
    columns = ["by hand, 1/s", "lean table, 1/s", "datalayer, 1/s", OURS, f"{OURS} to lean"]
    title = f"Jobs on {engine}: speed, by hand on the same table = 1"
    return Table(
        title, columns, rows, [f"prompts of {len(PROMPT)} characters; several workers are processes"]
    )


def _timed_from_empty(
    name: str, work: Callable[[Contestant], object], stock: int, contestant: Contestant
) -> Mapping[str, float]:
    contestant.empty()
    if name.startswith("claim"):
        contestant.enqueue_many(stock, PROMPT)
    return timed(lambda: work(contestant))


def _enqueue(contestant: Contestant, count: int) -> None:
    for _ in range(count):
        contestant.enqueue(PROMPT)


def _work_off(contestant: Contestant, most: int) -> int:
    """Claim and complete until nothing is left; give the number done."""
    done = 0
    while done < most:
        job = contestant.claim()
        if job is None:
            break
        contestant.complete(job, "the answer")
        done += 1
    return done


def _work_together(
    settings: Settings, target: str, contestant: Contestant, name: str, count: int
) -> Mapping[str, float]:
    contestant.empty()
    contestant.enqueue_many(count, PROMPT)
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(settings.processes), context.SimpleQueue()
    workers = [
        context.Process(target=_worker, args=(target, name, count, start, answers))
        for _ in range(settings.processes)
    ]
    for worker in workers:
        worker.start()
    found: list[tuple[int, float, float]] = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    if sum(one[0] for one in found) != count or contestant.completed() != count:
        raise AssertionError(f"{count} jobs were queued, {sum(one[0] for one in found)} were done")
    spent = max(one[2] for one in found) - min(one[1] for one in found)
    return {"cpu": spent, "wall": spent}


def _worker(target: str, name: str, most: int, start: Any, answers: Any) -> None:
    contestant = open_contestant(name, target)
    start.wait()
    begun = monotonic()
    done = _work_off(contestant, most)
    answers.put((done, begun, monotonic()))
    contestant.close()


def _row(name: str, count: int, spent: Mapping[str, Sequence[Mapping[str, float]]]) -> Row:
    each = {
        who: count / statistics.median(one["wall"] for one in measured) for who, measured in spent.items()
    }
    cells = {
        "by hand, 1/s": each[BY_HAND],
        "lean table, 1/s": each[LEAN],
        "datalayer, 1/s": each[OURS],
        OURS: median_ratio(spent[BY_HAND], spent[OURS]),
        f"{OURS} to lean": median_ratio(spent[LEAN], spent[OURS]),
    }
    return Row(name, cells, HALF)


# -- latency ---------------------------------------------------------------------------------------


def _latency(settings: Settings, engine: str, new_target: Callable[[], str]) -> Table:
    largest = LARGEST["quick" if settings.is_quick and engine == "SQLite" else engine]
    backlogs = [backlog for backlog in BACKLOGS if backlog.total <= largest]
    rows: list[Row] = []
    first = 0.0
    for backlog in backlogs:
        waits = _claims(settings, backlog, new_target())
        middle = statistics.median(waits[OURS])
        first = first or middle
        cells = {
            "by hand p50 us": statistics.median(waits[BY_HAND]) * 1e6,
            "p50 us": middle * 1e6,
            "p99 us": percentile(waits[OURS], 0.99) * 1e6,
            "p50 to first": middle / first,
        }
        rows.append(Row(backlog.name, cells, Target("p50 to first", 2)))
    title = f"Jobs on {engine}: how long a claim takes, committed"
    return Table(title, ["by hand p50 us", "p50 us", "p99 us", "p50 to first"], rows)


def _claims(settings: Settings, backlog: Backlog, target: str) -> dict[str, list[float]]:
    """Give the times of claims, by hand and ours in turns on one table."""
    prepare(target)
    scale = settings.scale if settings.scale < 0.1 else 1
    with datalayer.connect(target) as store:
        with store.transaction():
            store.engine.insert_rows("background_jobs", COLUMNS, _backlog_rows(backlog, scale))
        store.engine.execute("ANALYZE")
    contestants = {name: open_contestant(name, target) for name in (BY_HAND, OURS)}
    claims = min(settings.size(CLAIMS), max(1, int(backlog.queued * scale) // 4))
    waits: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(claims):
        for name, contestant in contestants.items():
            begun = perf_counter()
            job = contestant.claim()
            waits[name].append(perf_counter() - begun)
            assert job is not None
    for contestant in contestants.values():
        contestant.close()
    return waits


def _backlog_rows(backlog: Backlog, scale: float) -> Iterator[tuple[Any, ...]]:
    kinds = (
        (backlog.queued, "queued", 0, LONG_AGO, None),
        (backlog.finished, "completed", 0, LONG_AGO, LONG_AGO),
        (backlog.scheduled, "queued", 9, LATER, None),
    )
    number = 0
    for full, status, priority, run_at, end_time in kinds:
        for _ in range(max(8, int(full * scale)) if full else 0):
            number += 1
            yield f"job-{number:08}", status, priority, run_at, end_time, "summarise", "short"
