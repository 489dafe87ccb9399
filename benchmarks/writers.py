"""Eight processes write one SQLite file at once: datalayer's queue against SQLite's own waiting.

Each transaction reads a balance, changes it and adds a line to a journal. By hand: WAL, BEGIN IMMEDIATE and
a busy timeout of five seconds. They take turns, several times. One process with the file to itself shows what
a file with one write lock can give at most.
"""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import peewee

from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns
from datalayer import DatabaseBusy, Model, connect

__all__ = ["run"]

SECONDS = 5.0
ROUNDS = 3
TIMEOUT_S = 5.0
ACCOUNTS = 100
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
CREATE TABLE journal (id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, amount INTEGER NOT NULL);
"""


class Account(Model):
    balance = peewee.IntegerField()


class Journal(Model):
    account_id = peewee.IntegerField()
    amount = peewee.IntegerField()


@dataclass(frozen=True, slots=True)
class Load:
    """How long a writer is busy with other things, inside its transactions and between them."""

    title: str
    inside_s: float
    between_s: float
    target: Target


LOADS = (
    Load("nothing but transactions", 0, 0, Target("ratio", 2, at_least=True)),
    Load("1 ms of work inside each, 1 ms between them", 0.001, 0.001, Target("ratio", 1, at_least=True)),
)


def write_with_datalayer(path: Path, load: Load) -> Callable[[int], bool]:
    store = connect(path, busy_timeout_s=TIMEOUT_S)
    accounts, journal = store.repository(Account), store.repository(Journal)

    def transfer(key: int) -> bool:
        try:
            with store.transaction():
                account = accounts.get(key)
                _pause(load.inside_s)
                accounts.update(key, balance=account.balance + 1)
                journal.add(account_id=key, amount=1)
        except DatabaseBusy:
            return False
        return True

    return transfer


def write_by_hand(path: Path, load: Load) -> Callable[[int], bool]:
    conn = sqlite3.connect(path, timeout=TIMEOUT_S, isolation_level=None)
    conn.execute("PRAGMA synchronous = NORMAL")

    def transfer(key: int) -> bool:
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        (balance,) = conn.execute("SELECT balance FROM account WHERE id = ?", (key,)).fetchone()
        _pause(load.inside_s)
        conn.execute("UPDATE account SET balance = ? WHERE id = ?", (balance + 1, key))
        conn.execute("INSERT INTO journal (account_id, amount) VALUES (?, 1)", (key,))
        conn.execute("COMMIT")
        return True

    return transfer


BY_HAND, ALONE, OURS = "by hand", "by hand, one process", "datalayer"
WRITERS = {BY_HAND: write_by_hand, ALONE: write_by_hand, OURS: write_with_datalayer}


def run(settings: Settings) -> Report:
    """Let both kinds of writers work on files of their own, in turns."""
    return Report("writers", [_measure(settings, load) for load in LOADS])


def _measure(settings: Settings, load: Load) -> Table:
    seconds = max(0.2, SECONDS * settings.scale)
    rounds = settings.rounds(ROUNDS)

    def measure(name: str) -> Mapping[str, float]:
        return _write(settings, name, load, seconds)

    found = take_turns({name: name for name in WRITERS}, rounds, measure)
    ratio = median_ratio(found[OURS], found[BY_HAND], "commits/s")
    rows: list[Row] = []
    for name, target in (
        ("commits/s", load.target),
        ("failed", Target(OURS, 0)),
        ("slowest/fastest process", Target(OURS, 1 / 3, at_least=True)),
        ("longest transaction, ms", None),
    ):
        cells = {kind: statistics.median(one[name] for one in found[kind]) for kind in WRITERS}
        rows.append(Row(name, {**cells, "ratio": ratio} if name == "commits/s" else cells, target))
    who = f"{settings.processes} processes for {seconds:g} s, {rounds} times in turns"
    title = f"SQLite file, {who}: {load.title}"
    return Table(title, [*WRITERS, "ratio"], rows)


def _write(settings: Settings, name: str, load: Load, seconds: float) -> dict[str, float]:
    path = Path(tempfile.mkdtemp(dir=settings.folder)) / "bank.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(SCHEMA)
        conn.executemany("INSERT INTO account VALUES (?, 0)", ((key,) for key in range(1, ACCOUNTS + 1)))
        conn.commit()
    processes = 1 if name == ALONE else settings.processes
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(path, name, load, seconds, number, start, answers))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    found: list[tuple[int, int, float]] = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    commits = [one[0] for one in found]
    _check(path, sum(commits))
    return {
        "commits/s": sum(commits) / seconds,
        "failed": float(sum(one[1] for one in found)),
        "slowest/fastest process": min(commits) / max(commits),
        "longest transaction, ms": max(one[2] for one in found) * 1e3,
    }


def _work(path: Path, name: str, load: Load, seconds: float, number: int, start: Any, answers: Any) -> None:
    transfer = WRITERS[name](path, load)
    dice = random.Random(number)
    commits = failed = 0
    longest = 0.0
    start.wait()
    begun = now = perf_counter()
    while now - begun < seconds:
        is_done = transfer(dice.randint(1, ACCOUNTS))
        before, now = now, perf_counter()
        longest = max(longest, now - before)
        commits += is_done
        failed += not is_done
        _pause(load.between_s)
    answers.put((commits, failed, longest))


def _pause(seconds: float) -> None:
    if seconds:
        sleep(seconds)


def _check(path: Path, commits: int) -> None:
    """Refuse a result of which something was lost."""
    with closing(sqlite3.connect(path)) as conn:
        sums: Sequence[int] = conn.execute(
            "SELECT (SELECT SUM(balance) FROM account), (SELECT COUNT(*) FROM journal)"
        ).fetchone()
    if set(sums) != {commits}:
        raise AssertionError(f"{commits} commits were told, the database holds {sums}")
