"""The repository's verbs on a SQLite file: CPU time against sqlite3 by hand and against other libraries."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns, timed
from benchmarks.peers import Opened, Peer, make_rows, open_peers

__all__ = ["run"]

ROUNDS = 5
STORED = 100_000
SINGLE = 2_000
ALONE = 500
PAGES = 100


@dataclass(frozen=True, slots=True)
class Work:
    """The input of one round, the same for all."""

    rows: Sequence[dict[str, Any]]
    single: Sequence[dict[str, Any]]
    alone: Sequence[dict[str, Any]]
    keys: Sequence[int]
    pages: int


@dataclass(frozen=True, slots=True)
class Verb:
    """One measured verb; `count` says how many rows, calls or pages it does."""

    name: str
    act: Callable[[Peer, Work], object]
    count: Callable[[Work], int]
    most: Mapping[str, float]


# in this order: the first fills the table, the last ones change it; `most` is the target for each table
VERBS = (
    Verb(
        "insert 100k at once",
        lambda peer, work: peer.insert_bulk(work.rows),
        lambda w: len(w.rows),
        {"item": 1.3, "event": 1.5},
    ),
    Verb(
        "find 100k objects",
        lambda peer, work: peer.find_all(),
        lambda w: len(w.rows),
        {"item": 1.5, "event": 1.5},
    ),
    Verb(
        "get by key",
        lambda peer, work: peer.get(work.keys),
        lambda w: len(w.keys),
        {"item": 2.0, "event": 1.5},
    ),
    Verb(
        "find 10 by keys",
        lambda peer, work: peer.find_ten(work.keys),
        lambda w: len(w.keys) // 10,
        {"item": 2.0, "event": 1.6},
    ),
    Verb(
        "page of 50",
        lambda peer, work: peer.pages(work.pages),
        lambda w: w.pages,
        {"item": 2.2, "event": 1.8},
    ),
    Verb(
        "update by key",
        lambda peer, work: peer.update(work.keys),
        lambda w: len(w.keys),
        {"item": 2.2, "event": 2.0},
    ),
    Verb(
        "delete by key",
        lambda peer, work: peer.delete(work.keys),
        lambda w: len(w.keys),
        {"item": 2.0, "event": 2.0},
    ),
    Verb(
        "insert in a transaction",
        lambda peer, work: peer.insert(work.single),
        lambda w: len(w.single),
        {"item": 2.5, "event": 2.0},
    ),
    Verb(
        "insert, committed alone",
        lambda peer, work: peer.insert_alone(work.alone),
        lambda w: len(w.alone),
        {"item": 1.6, "event": 1.6},
    ),
)
TITLES = {
    "item": "three columns: id, name, n",
    "event": "eight columns, with a truth value, a JSON document and a time",
}


def run(settings: Settings) -> Report:
    """Measure both kinds of rows."""
    opened = open_peers(settings.folder)
    try:
        tables = [_measure(settings, opened, table) for table in TITLES]
    finally:
        for peer in opened.peers.values():
            peer.close()
    return Report("verbs", tables)


def _measure(settings: Settings, opened: Opened, table: str) -> Table:
    peers = opened.peers
    work = _make_work(settings, table)
    for peer in peers.values():
        peer.use(table)
    spent: dict[str, dict[str, list[Mapping[str, float]]]] = {
        verb.name: {name: [] for name in peers} for verb in VERBS
    }
    for number in range(settings.rounds(ROUNDS)):
        for peer in peers.values():
            peer.empty()
        for verb in VERBS:
            opened.settle()
            turn = take_turns(
                peers, 1, lambda peer, verb=verb: timed(lambda: verb.act(peer, work)), first=number
            )
            for name, measured in turn.items():
                spent[verb.name][name] += measured
    rows = [_row(verb, table, work, spent[verb.name]) for verb in VERBS]
    title = f"SQLite file, {TITLES[table]}: CPU time, sqlite3 by hand = 1"
    return Table(title, ["raw us", *(name for name in peers if name != "raw")], rows, opened.left_out)


def _make_work(settings: Settings, table: str) -> Work:
    stored = settings.size(STORED, least=200)
    keys = random.Random(3).sample(range(1, stored + 1), settings.size(SINGLE, least=20))
    return Work(
        make_rows(table, stored),
        make_rows(table, settings.size(SINGLE, least=20)),
        make_rows(table, settings.size(ALONE)),
        keys,
        min(settings.size(PAGES, least=2), stored // 50 - 1),
    )


def _row(verb: Verb, table: str, work: Work, spent: Mapping[str, Sequence[Mapping[str, float]]]) -> Row:
    raw = spent["raw"]
    each = statistics.median(one["cpu"] for one in raw) / verb.count(work) * 1e6
    ratios = {name: median_ratio(measured, raw) for name, measured in spent.items() if name != "raw"}
    return Row(verb.name, {"raw us": each, **ratios}, Target("datalayer", verb.most[table]))
