"""What all benchmarks share: contestants that take turns, medians of ratios, plain tables, JSON.

Absolute times say more about the machine than about the code, so a result is a ratio to the raw driver, taken
within one round, in which every contestant had its turn; a table shows the median over the rounds.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

__all__ = [
    "Report",
    "Row",
    "Settings",
    "Table",
    "Target",
    "machine_facts",
    "median_ratio",
    "percentile",
    "read_reports",
    "take_turns",
    "timed",
    "write_reports",
]

T = TypeVar("T")
_PACKAGES = ("peewee", "sqlalchemy", "django", "psycopg", "alembic", "sqlite-utils")


@dataclass(frozen=True, slots=True)
class Settings:
    """What every benchmark is told: where it may write, how much to do, whether PostgreSQL belongs to it.

    `scale` is 1.0 for a full run; `size` and `rounds` derive from it.
    """

    folder: Path
    scale: float = 1.0
    postgres_url: Callable[[], str] | None = None

    @property
    def is_quick(self) -> bool:
        return self.scale < 1

    @property
    def processes(self) -> int:
        """How many work on one database at once; two where only the working is tried."""
        return 8 if self.scale >= 0.1 else 2

    def size(self, full: int, *, least: int = 10) -> int:
        return max(least, int(full * self.scale))

    def rounds(self, full: int) -> int:
        if self.scale >= 1:
            return full
        return min(full, 3) if self.scale >= 0.1 else 1


@dataclass(frozen=True, slots=True)
class Target:
    """What a column should reach; `at_least` where more is better."""

    column: str
    limit: float
    at_least: bool = False

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{self.column} {'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; a cell that is None was not measured."""

    name: str
    cells: Mapping[str, float | None]
    target: Target | None = None

    @property
    def is_reached(self) -> bool | None:
        if self.target is None:
            return None
        value = self.cells.get(self.target.column)
        return None if value is None else self.target.is_reached(value)


@dataclass(frozen=True, slots=True)
class Table:
    """Measured rows with a title that says what the numbers are."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def render(self) -> str:
        """Give the table as plain text."""
        has_targets = any(row.target for row in self.rows)
        head = ["", *self.columns, *(["target"] if has_targets else [])]
        lines = [[row.name, *(_number(row.cells.get(name)) for name in self.columns)] for row in self.rows]
        if has_targets:
            for line, row in zip(lines, self.rows, strict=True):
                verdict = {None: "", True: " reached", False: " MISSED"}[row.is_reached]
                line.append(f"{row.target}{verdict}" if row.target else "")
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        last = len(head) - 1 if has_targets else None
        body = [_line(cells, widths, left={0, last}) for cells in ([head, ["-" * w for w in widths], *lines])]
        return "\n".join([self.title, "", *body, *(f"* {note}" for note in self.notes)])


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark's tables."""

    name: str
    tables: Sequence[Table] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        return [
            f"{self.name}: {row.name}"
            for table in self.tables
            for row in table.rows
            if row.is_reached is False
        ]


def take_turns(
    contestants: Mapping[str, T],
    rounds: int,
    measure: Callable[[T], Mapping[str, float]],
    *,
    first: int = 0,
) -> dict[str, list[Mapping[str, float]]]:
    """Measure every contestant once a round; each round begins with the next one, the first with `first`."""
    names = list(contestants)
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in names}
    for number in range(first, first + rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(measure(contestants[name]))
    return found


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Run once and give CPU and wall seconds, after the garbage of others is collected.

    The collector stays on, as in a program; what lives already is kept out of its way from now on, so that
    nobody pays for the objects of the other libraries, and the next call only for what is new.
    """
    gc.collect()
    gc.freeze()
    wall, cpu = perf_counter(), process_time()
    result = work()
    spent = {"cpu": process_time() - cpu, "wall": perf_counter() - wall}
    del result
    return spent


def median_ratio(
    ours: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]], what: str = "cpu"
) -> float:
    """Give the median of the rounds' ratios."""
    return statistics.median(a[what] / b[what] for a, b in zip(ours, theirs, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """Give the value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine_facts() -> dict[str, Any]:
    """Give what a reader must know to compare."""
    packages: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "sqlite": sqlite3.sqlite_version,
        "packages": packages,
    }


def write_reports(path: Path, reports: Sequence[Report], facts: Mapping[str, Any]) -> None:
    """Save the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"facts": facts, "reports": [asdict(report) for report in reports]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_reports(path: Path) -> tuple[list[Report], dict[str, Any]]:
    """Read results back."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [_read_report(report) for report in content["reports"]], content["facts"]


def _read_report(report: Mapping[str, Any]) -> Report:
    tables = [
        Table(
            table["title"],
            table["columns"],
            [
                Row(row["name"], row["cells"], Target(**row["target"]) if row["target"] else None)
                for row in table["rows"]
            ],
            table["notes"],
        )
        for table in report["tables"]
    ]
    return Report(report["name"], tables)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int], left: set[int | None]) -> str:
    padded = (
        cell.ljust(width) if place in left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(padded).rstrip()
