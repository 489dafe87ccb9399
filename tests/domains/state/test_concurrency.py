"""Eight processes at the same keys: nothing is lost, nothing is given twice."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from support.processes import run_together, worker

from datalayer.store import connect

pytestmark = pytest.mark.slow

WORKERS = "domains.state.workers"
PROCESSES = 8


def test_increments_of_many_processes_add_up(database: str) -> None:
    results = run_together(WORKERS, "count_up", [(database, "n", 40)] * PROCESSES)

    # every sum was given to exactly one of them
    assert sorted(chain.from_iterable(results)) == list(range(1, 40 * PROCESSES + 1))


def test_compare_and_set_loses_no_change(database: str) -> None:
    with connect(database) as store:
        store.kv.set("n", 0)
        run_together(WORKERS, "count_by_comparing", [(database, "n", 15)] * PROCESSES)

        assert store.kv.get("n") == 15 * PROCESSES


def test_one_process_is_the_first_to_set_a_key(database: str) -> None:
    keys = [f"k{place}" for place in range(30)]
    results = run_together(
        WORKERS, "set_first", [(database, f"p{number}", keys) for number in range(PROCESSES)]
    )

    assert Counter(chain.from_iterable(results)) == Counter(keys)
    with connect(database) as store:
        state = store.cache.project("/app")
        assert all(state.get(key) == f"p{number}" for number, won in enumerate(results) for key in won)


def test_purging_takes_no_key_that_was_set_anew(database: str) -> None:
    purged = run_together(
        WORKERS, "write_and_purge", [(database, f"p{number}", 15) for number in range(PROCESSES)]
    )

    with connect(database) as store:
        assert store.kv.count("short/") == 5
        assert store.kv.count("gone/") == 0
        purged_here = store.kv.purge_expired()
        assert sum(purged) + purged_here >= 15 * PROCESSES


def test_one_process_computes_and_the_others_wait(database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    results = run_together(WORKERS, "compute", [(database, "slow", str(log), 30.0)] * PROCESSES)

    assert len(set(results)) == 1
    assert len(log.read_text().splitlines()) == 1
    with connect(database) as store:
        assert store.kv.get("slow") == results[0]
        assert [entry.key for entry in store.kv.scan()] == ["slow"]


def test_another_process_takes_over_when_the_computing_one_is_killed(database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with worker(WORKERS, "compute_for_ever", database, "slow", 0.5) as computing:
        assert computing.line() == "computing"
        with worker(WORKERS, "compute", database, "slow", str(log), 30.0) as waiting:
            computing.kill()

            value = waiting.result()
    assert log.read_text().splitlines() == [str(waiting.process.pid)]
    with connect(database) as store:
        assert store.kv.get("slow") == value
