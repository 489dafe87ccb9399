"""What a plan for PostgreSQL consists of: statements that belong together, what they lock and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from datalayer.schema.plan import Step

__all__ = ["EXCLUSIVE", "ROW", "ROW_SHARE", "SHARE_ROW", "WEAK", "Action", "Cost", "Fill", "Size", "Stage"]

Cost = Literal["free", "weak", "stops writes", "scan", "rewrite"]

EXCLUSIVE = "AccessExclusiveLock"
SHARE_ROW = "ShareRowExclusiveLock"
WEAK = "ShareUpdateExclusiveLock"
ROW_SHARE = "RowShareLock"
ROW = "RowExclusiveLock"

# rows or bytes in a second, on two cores of a small server: for an estimate, not a promise
_SCAN_BYTES = 300_000_000
_REWRITE_BYTES = 40_000_000
_FILL_ROWS = 150_000
_INDEX_BYTES = 100_000_000


class Stage(IntEnum):
    """The order of a plan: what loosens comes first, what takes away last."""

    CLEAN = 0
    RENAME = 1
    LOOSEN = 2
    TABLES = 3
    EMPTY = 4
    COLUMNS = 5
    TYPES = 6
    EXPAND = 7
    FILL = 8
    NOT_NULL = 9
    CHECKS = 10
    INDEXES = 11
    KEYS = 12
    SWAP = 13
    REFERENCES = 14
    VALIDATE = 15
    CODE = 16
    DROPS = 17


@dataclass(frozen=True, slots=True)
class Size:
    """What a table holds; the rows are PostgreSQL's estimate."""

    rows: int
    size_bytes: int
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """Values to write into rows that stand already, batch by batch: where one of the conditions holds."""

    table: str
    sets: tuple[tuple[str, str], ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """Statements about one object.

    Those of one `group` that follow each other share a transaction. `locks` maps a table that was there
    before to the strongest lock taken on it. Without `is_transactional` the statement runs by itself, and
    `makes` is the index that it must not leave behind invalid.
    """

    stage: Stage
    kind: str
    name: str
    table: str
    statements: tuple[str, ...]
    cost: Cost = "free"
    locks: Mapping[str, str] = field(default_factory=dict[str, str])
    group: str = ""
    is_transactional: bool = True
    fill: Fill | None = None
    risk: str = ""
    makes: str = ""

    def step(self, size: Size | None) -> Step:
        """Give the action as a step of a plan, with what it costs at this size of its table."""
        seconds = _seconds(self, size)
        reads_rows = size is not None and self.cost in ("scan", "rewrite", "weak") and not size.is_empty
        return Step(
            self.kind,
            self.name,
            ";\n".join(self.statements),
            self.cost,
            size.rows if reads_rows and size else None,
            size.size_bytes if reads_rows and size else None,
            seconds,
            "; ".join(part for part in (self.risk, _lock_words(self)) if part),
        )


def _seconds(action: Action, size: Size | None) -> float:
    if size is None or size.is_empty or action.cost in ("free", "stops writes"):
        return 0.01
    if action.fill is not None:
        return 0.01 + size.rows / _FILL_ROWS
    if not action.is_transactional:
        return 0.02 + 2 * size.size_bytes / _INDEX_BYTES
    return 0.01 + size.size_bytes / (_REWRITE_BYTES if action.cost == "rewrite" else _SCAN_BYTES)


_MEANING = {
    EXCLUSIVE: "nobody reads or writes {} meanwhile",
    SHARE_ROW: "nobody writes {} meanwhile",
    WEAK: "",
}


def _lock_words(action: Action) -> str:
    words: list[str] = []
    for mode in (EXCLUSIVE, SHARE_ROW, WEAK, ROW_SHARE, ROW):
        tables = ", ".join(table for table, taken in action.locks.items() if taken == mode)
        if tables:
            meaning = _MEANING.get(mode, "").format(tables)
            words.append(f"{_spoken(mode)} on {tables}" + (f": {meaning}" if meaning else ""))
    return "; ".join(words)


def _spoken(mode: str) -> str:
    """Write AccessExclusiveLock as PostgreSQL's manual does: ACCESS EXCLUSIVE."""
    return "".join(f" {letter}" if letter.isupper() else letter for letter in mode[:-4]).strip().upper()
