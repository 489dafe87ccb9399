"""A large SQLite table brought to another schema: by hand, by datalayer with its proof, by other tools.

Each in a process of its own, on a copy of the same file, in turns.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns
from benchmarks.peers.migrators import changes_of, versions
from benchmarks.peers.rebuilders import COLUMNS, INDEXES, TABLE, table_sql

__all__ = ["run"]

ROWS = 1_000_000
LARGE = 100_000  # below it the start of everything counts for more than the rows
ROUNDS = 3
BY_HAND, OURS = "by hand", "datalayer"
MOST_TIME, MOST_MEMORY = 1.5, 100
ROOT = Path(__file__).parents[1]


def _replaced(old: str, new: str) -> list[str]:
    return [new if column == old else column for column in COLUMNS]


REBUILDS = {
    "a column moves": [COLUMNS[0], COLUMNS[-1], *COLUMNS[1:-1]],
    "a column gets another type": _replaced("kind INTEGER NOT NULL", "kind TEXT NOT NULL"),
}
# what leaves the rows where they are, and how much of a rebuild by hand it may cost
IN_PLACE = {
    "add a column": ([*COLUMNS, "colour TEXT DEFAULT 'grey'"], 0.1),
    "drop NOT NULL": (_replaced("device TEXT NOT NULL", "device TEXT"), 0.1),
    "add NOT NULL": (_replaced("place TEXT", "place TEXT NOT NULL"), 0.3),
    "add a CHECK": ([*COLUMNS, "CONSTRAINT reading_value_given CHECK (value >= 0)"], 0.3),
    "another DEFAULT": (_replaced(COLUMNS[-1], "is_open INTEGER NOT NULL DEFAULT 1"), 0.3),
}


def run(settings: Settings) -> Report:
    """Measure the rebuilds and the changes in place on copies of one file."""
    source = settings.folder / "source.db"
    rows = settings.size(ROWS)
    _make(source, rows)
    changes, left_out = changes_of(
        {"sqlite-utils": "sqlite_utils", "alembic batch": "alembic"},
    )
    notes = [f"{name} {version}" for name, version in versions(changes).items()] + left_out
    contestants = {name: name for name in (BY_HAND, OURS, *changes)}
    tables: list[Table] = []
    by_hand: list[Mapping[str, float]] = []
    for number, (name, columns) in enumerate(REBUILDS.items()):
        schema = _schema(settings.folder / f"rebuild{number}.sql", columns)
        spent = take_turns(
            contestants, settings.rounds(ROUNDS), partial(_measure, settings.folder, source, schema)
        )
        by_hand = by_hand or spent[BY_HAND]
        title = f"{rows:,} rows, 10 columns, 3 indexes: {name}"
        tables.append(_rebuild_table(title, spent, notes, is_large=rows >= LARGE))
    schemas = {
        name: _schema(settings.folder / f"place{number}.sql", columns)
        for number, (name, (columns, _)) in enumerate(IN_PLACE.items())
    }
    found = take_turns(
        schemas,
        settings.rounds(ROUNDS),
        lambda schema: _measure(settings.folder, source, schema, OURS),
    )
    return Report("rebuild", [*tables, _place_table(rows, found, by_hand)])


def _make(path: Path, rows: int) -> None:
    """Fill the table that all start from."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(table_sql())
        connection.execute(
            f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
            f" INSERT INTO {TABLE} SELECT i, 'device ' || (i * 7919 % 5003), 'place ' || (i % 97), i % 12,"
            " (i * 31 % 1000003) / 7.0, i / 3.0, i / 2.0,"
            " CASE WHEN i % 3 THEN 'a note of some length, number ' || i END,"
            " strftime('%Y-%m-%dT%H:%M:%SZ', 1767225600 + i * 37 % 31536000, 'unixepoch'), i % 2 FROM n"
        )
        connection.commit()
        for sql in INDEXES:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _schema(path: Path, columns: Sequence[str]) -> Path:
    path.write_text(";\n".join([table_sql(columns), *INDEXES]) + ";\n", encoding="utf-8")
    return path


def _measure(folder: Path, source: Path, schema: Path, tool: str) -> dict[str, float]:
    path = folder / "work.db"
    shutil.copyfile(source, path)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.rebuilders", tool, str(path), str(schema)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr}")
    for name in folder.glob("work.db*"):
        name.unlink()
    spent: dict[str, float] = json.loads(done.stdout)
    return spent


def _median(spent: Sequence[Mapping[str, float]], what: str) -> float:
    return statistics.median(one[what] for one in spent)


def _rebuild_table(
    title: str, spent: Mapping[str, list[Mapping[str, float]]], notes: Sequence[str], *, is_large: bool
) -> Table:
    columns = ["wall s", "cpu s", "wall", "cpu", "memory MB"]
    rows: list[Row] = []
    for name, one in spent.items():
        cells = {
            "wall s": _median(one, "wall"),
            "cpu s": _median(one, "cpu"),
            "wall": median_ratio(one, spent[BY_HAND], "wall"),
            "cpu": median_ratio(one, spent[BY_HAND]),
            "memory MB": max(each["memory"] for each in one),
        }
        if name == OURS:
            rows.append(Row("datalayer, with proof", cells, Target("wall", MOST_TIME) if is_large else None))
            memory = {"memory MB": cells["memory MB"]}
            rows.append(Row("datalayer, its memory", memory, Target("memory MB", MOST_MEMORY)))
        else:
            rows.append(Row(name, cells))
    return Table(f"{title}; by hand = 1", columns, rows, notes)


def _place_table(
    rows: int, found: Mapping[str, list[Mapping[str, float]]], by_hand: Sequence[Mapping[str, float]]
) -> Table:
    columns = ["wall s", "cpu s", "of a rebuild", "memory MB"]
    lines = [
        Row(
            name,
            {
                "wall s": _median(one, "wall"),
                "cpu s": _median(one, "cpu"),
                "of a rebuild": _median(one, "wall") / _median(by_hand, "wall"),
                "memory MB": max(each["memory"] for each in one),
            },
            Target("of a rebuild", IN_PLACE[name][1]) if rows >= LARGE else None,
        )
        for name, one in found.items()
    ]
    title = (
        f"{rows:,} rows, 10 columns, 3 indexes: what datalayer does without copying; a rebuild by hand = 1"
    )
    return Table(title, columns, lines)
