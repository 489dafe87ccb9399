"""What a salvage found: rows by table, rows that have no place, and what became of them.

Values only: how they are found is recover's, how they are written is writer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from datalayer.schema.repair.report import Step
from datalayer.schema.snapshot import Schema, Table

__all__ = [
    "BadText",
    "LostRow",
    "Problem",
    "Row",
    "RowSource",
    "Salvaged",
    "SalvagedTable",
    "TableCounts",
    "Value",
    "Written",
]


class BadText(bytes):
    """The bytes of a TEXT value that do not decode in the encoding of the file."""

    __slots__ = ()


Value = int | float | str | bytes | None
"""A stored value; its Python type is its storage class (BadText is TEXT)."""


class Row(NamedTuple):
    """A row: its stored columns in order of declaration, and its rowid (None WITHOUT ROWID)."""

    rowid: int | None
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class LostRow:
    """A row that has no place; `table` is where it seems to belong, `page` where it was found."""

    table: str | None
    rowid: int | None
    values: Sequence[Value]
    reason: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One physical defect; `kind` never changes its meaning (findings lists them), `page` from 1."""

    kind: str
    page: int | None
    message: str


class RowSource(Protocol):
    """What gives the rows of one table, and what has no place in it to `lost`."""

    def __call__(self, lost: Callable[[LostRow], None]) -> Iterator[Row]:
        """Iterate over the rows; may be done again."""
        ...


@dataclass(frozen=True, slots=True)
class SalvagedTable:
    """The rows of one table. `table` is how the file described it, or the expected one where it could not.

    `complete` says that no page of it is missing; `source` gives its rows.
    """

    table: Table
    source: RowSource
    complete: bool
    pages: int = 0
    adopted_pages: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the stored columns, in the order of a row's values."""
        return tuple(column.name for column in self.table.columns if column.generated is None)

    def rows(self, lost: Callable[[LostRow], None] | None = None) -> Iterator[Row]:
        """Iterate over the rows in place; what turns out to have no place goes to `lost`."""
        return self.source(lost or _ignore)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Everything that was found in one file, read lazily: keep it open until the rows are written.

    `schema` describes the tables as the file has them (from `schema_source`: "file", "expected" or "both");
    `sequences` are the numbers of sqlite_sequence; `statements` what else the file declares, in order.
    """

    schema: Schema
    schema_source: str
    tables: dict[str, SalvagedTable]
    unplaced: Callable[[], Iterator[LostRow]]
    problems: tuple[Problem, ...]
    reading: str
    encoding: str
    page_size: int
    user_version: int
    application_id: int
    auto_vacuum: int = 0
    sequences: dict[str, int] = field(default_factory=dict[str, int])
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Salvaged:
        """Use it as a block that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What became of the rows of one table: `kept` in place, `moved` to lost_and_found, `given_up` unread.

    `made` are placeholders for lost rows that many others refer to: each is named in lost_and_found.
    """

    kept: int = 0
    moved: int = 0
    given_up: int = 0
    made: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """A new database that was written and verified; `faults` is what its verification found (none: sound).

    `unplaced` rows are in lost_and_found and of no table; `reasons` counts the moved ones by reason;
    `cleared` are references to lost rows, by table, that became NULL as their rule says; `placeholders` say
    which rows were made for lost ones, since too many others refer to these.
    """

    path: str
    tables: dict[str, TableCounts]
    unplaced: int
    reasons: dict[str, int]
    faults: tuple[str, ...]
    cleared: dict[str, int] = field(default_factory=dict[str, int])
    placeholders: tuple[Step, ...] = ()

    @property
    def kept(self) -> int:
        """Rows in place."""
        return sum(counts.kept for counts in self.tables.values())

    @property
    def moved(self) -> int:
        """Rows in lost_and_found."""
        return sum(counts.moved for counts in self.tables.values()) + self.unplaced


def _ignore(row: LostRow) -> None:
    pass
