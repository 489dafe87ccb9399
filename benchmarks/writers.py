"""Eight processes write one SQLite file at once: datalayer's queue against SQLite's own waiting.

Each transaction reads a balance, changes it and adds a line to a journal. By hand: WAL, BEGIN IMMEDIATE and
a busy timeout of five seconds. The two take turns, several times.
"""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

import peewee

from benchmarks.harness import Report, Row, Settings, Table, Target, take_turns
from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy
from datalayer.repository.base import Repository
from datalayer.repository.mixins import Model

__all__ = ["run"]

PROCESSES = 8
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


def write_with_datalayer(path: Path) -> Callable[[int], bool]:
    engine = open_engine(path, Options(busy_timeout_s=TIMEOUT_S))
    accounts, journal = Repository(engine, Account), Repository(engine, Journal)

    def transfer(key: int) -> bool:
        try:
            with engine.transaction():
                account = accounts.get(key)
                accounts.update(key, balance=account.balance + 1)
                journal.add(account_id=key, amount=1)
        except DatabaseBusy:
            return False
        return True

    return transfer


def write_by_hand(path: Path) -> Callable[[int], bool]:
    conn = sqlite3.connect(path, timeout=TIMEOUT_S, isolation_level=None)
    conn.execute("PRAGMA synchronous = NORMAL")

    def transfer(key: int) -> bool:
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        (balance,) = conn.execute("SELECT balance FROM account WHERE id = ?", (key,)).fetchone()
        conn.execute("UPDATE account SET balance = ? WHERE id = ?", (balance + 1, key))
        conn.execute("INSERT INTO journal (account_id, amount) VALUES (?, 1)", (key,))
        conn.execute("COMMIT")
        return True

    return transfer


WRITERS = {"by hand": write_by_hand, "datalayer": write_with_datalayer}


def run(settings: Settings) -> Report:
    """Let both kinds of writers work on files of their own, in turns."""
    seconds = max(0.2, SECONDS * settings.scale)
    runs = iter(range(1000))

    def measure(name: str) -> Mapping[str, float]:
        return _write(settings.folder / f"{next(runs)}.db", name, PROCESSES, seconds)

    rounds = settings.rounds(ROUNDS)
    found = take_turns({name: name for name in WRITERS}, rounds, measure)
    ratios = [
        ours["commits/s"] / by_hand["commits/s"]
        for ours, by_hand in zip(found["datalayer"], found["by hand"], strict=True)
    ]
    columns = ["by hand", "datalayer", "ratio"]
    rows = [
        Row(name, {who: statistics.median(one[name] for one in found[who]) for who in WRITERS}, target)
        for name, target in (
            ("failed", Target("datalayer", 0)),
            ("slowest/fastest process", Target("datalayer", 1 / 3, at_least=True)),
            ("longest wait, ms", None),
        )
    ]
    commits = {who: statistics.median(one["commits/s"] for one in found[who]) for who in WRITERS}
    first = Row(
        "commits/s", {**commits, "ratio": statistics.median(ratios)}, Target("ratio", 2, at_least=True)
    )
    title = f"SQLite file, {PROCESSES} processes writing for {seconds:g} s, {rounds} times in turns"
    return Report("writers", [Table(title, columns, [first, *rows])])


def _write(path: Path, name: str, processes: int, seconds: float) -> dict[str, float]:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(SCHEMA)
        conn.executemany("INSERT INTO account VALUES (?, 0)", ((key,) for key in range(1, ACCOUNTS + 1)))
        conn.commit()
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(path, name, seconds, number, start, answers))
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
        "longest wait, ms": max(one[2] for one in found) * 1e3,
    }


def _work(path: Path, name: str, seconds: float, number: int, start: Any, answers: Any) -> None:
    transfer = WRITERS[name](path)
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
    answers.put((commits, failed, longest))


def _check(path: Path, commits: int) -> None:
    """Refuse a result of which something was lost."""
    with closing(sqlite3.connect(path)) as conn:
        sums: Sequence[int] = conn.execute(
            "SELECT (SELECT SUM(balance) FROM account), (SELECT COUNT(*) FROM journal)"
        ).fetchone()
    if set(sums) != {commits}:
        raise AssertionError(f"{commits} commits were told, the database holds {sums}")
