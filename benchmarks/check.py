"""What a check costs beside SQLite's own: PRAGMA integrity_check with foreign_key_check, CPU time.

A full check holds CHECKs, types, JSON, UTF-8, references, schema and sequences besides; a quick one reads a
few pages whatever the size; the look before a file is opened reads a header.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns
from datalayer.schema.check import check_file
from datalayer.schema.check.guard import damage_before_opening
from datalayer.schema.snapshot import read_text

__all__ = ["run"]

ROWS, ROUNDS = 400_000, 5
PRAGMAS = "integrity_check + foreign_key_check"
FULL, QUICK, LOOK = "full check", "quick check", "look before opening"
SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer INTEGER NOT NULL CONSTRAINT orders_customer REFERENCES customers,
    code TEXT NOT NULL CONSTRAINT orders_code UNIQUE,
    status TEXT NOT NULL CONSTRAINT orders_status CHECK (status IN ('open', 'paid', 'sent')),
    total INTEGER NOT NULL CONSTRAINT orders_total CHECK (total >= 0),
    details TEXT CONSTRAINT orders_details CHECK (details IS NULL OR json_valid(details)),
    note TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX orders_customer_id ON orders (customer, id);
CREATE INDEX orders_created ON orders (created_at, status);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL CONSTRAINT events_order REFERENCES orders,
    kind TEXT NOT NULL CONSTRAINT events_kind CHECK (kind <> ''),
    payload BLOB
) STRICT;
CREATE INDEX events_order_id ON events (order_id);
"""


def run(settings: Settings) -> Report:
    """Make a file and check it in turns."""
    path = settings.folder / "shop.db"
    _fill(path, settings.size(ROWS, least=1000))
    expected = read_text(SCHEMA)
    contestants: dict[str, Callable[[], object]] = {
        PRAGMAS: lambda: _pragmas(path),
        FULL: lambda: _sound(check_file(path, expected=expected)),
        QUICK: lambda: _sound(check_file(path, expected=expected, quick=True)),
        LOOK: lambda: _sound(damage_before_opening(path)),
    }
    found = take_turns(contestants, settings.rounds(ROUNDS), _time)
    targets = {FULL: Target(PRAGMAS, 1.3), QUICK: Target("wall ms", 50), LOOK: Target("wall ms", 1)}
    rows = [
        Row(
            name,
            {
                "cpu ms": sorted(one["cpu"] for one in spent)[len(spent) // 2] * 1e3,
                "wall ms": sorted(one["wall"] for one in spent)[len(spent) // 2] * 1e3,
                PRAGMAS: median_ratio(spent, found[PRAGMAS]),
            },
            targets.get(name),
        )
        for name, spent in found.items()
    ]
    size = path.stat().st_size >> 20
    title = f"Checking a file of {size} MiB: CPU time, as a multiple of `{PRAGMAS}`"
    return Report("check", [Table(title, ["cpu ms", "wall ms", PRAGMAS], rows)])


def _fill(path: Path, count: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        customers = max(1, count // 20)
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, ?)",
            (
                (number, f"customer {number}", "Köln" if number % 9 else None)
                for number in range(1, customers + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _orders(count, customers)
        )
        connection.executemany(
            "INSERT INTO events (order_id, kind, payload) VALUES (?, 'made', ?)",
            ((number, bytes(number % 64)) for number in range(1, count + 1)),
        )
        connection.execute("COMMIT")


def _orders(count: int, customers: int) -> Iterator[tuple[object, ...]]:
    rng = random.Random(3)
    for number in range(1, count + 1):
        yield (
            number,
            rng.randrange(1, customers + 1),
            f"{rng.getrandbits(48):012x}-{number}",
            ("open", "paid", "sent")[number % 3],
            number % 1000,
            '{"lines": [1, 2, 3], "gift": false}' if number % 2 else None,
            "a note of some length about the order " * (number % 5),
            f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T00:00:00.000000Z",
        )


def _pragmas(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # as much cache as the check has
        connection.execute("PRAGMA cache_size = -65536")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def _sound(findings: Sequence[object]) -> None:
    assert not findings, findings


def _time(work: Callable[[], object]) -> Mapping[str, float]:
    cpu, wall = process_time(), perf_counter()
    work()
    return {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
