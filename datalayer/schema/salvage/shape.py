"""What the records of a table look like: how many values, of which storage classes, with which defaults.

Tells whether a record can be a row of a table, puts its values into the order of declaration, and gives a
regular expression for the headers of such records. Knows no pages.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

from datalayer.schema.change.layout import affinity
from datalayer.schema.salvage.outcome import BadText, Value
from datalayer.schema.snapshot import Column, Table
from datalayer.schema.tokens import fold

__all__ = ["SCHEMA_SHAPE", "Shape", "shape_of"]

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*\Z")
_WILD = 1 << 40


@dataclass(frozen=True)
class Shape:
    """The stored columns of a table in the order of its records.

    `order` gives, for each stored column in order of declaration, its place in the record; `alias` is the
    place of the column that is another name of the rowid; `least` how many values a record has at least.
    """

    name: str
    columns: tuple[str, ...]
    affinities: tuple[str, ...]
    not_null: tuple[bool, ...]
    defaults: tuple[Value, ...]
    order: tuple[int, ...]
    alias: int | None
    least: int
    has_rowid: bool = True
    is_strict: bool = False

    @cached_property
    def reals(self) -> tuple[int, ...]:
        """The places of REAL columns, whose whole numbers are stored as integers."""
        return tuple(place for place, name in enumerate(self.affinities) if name == "REAL")

    @cached_property
    def is_plain(self) -> bool:
        """Whether records have the order of the columns."""
        return self.order == tuple(range(len(self.columns)))

    def finish(self, rowid: int, values: list[Value]) -> tuple[list[Value], list[Value]]:
        """Give the row of a record, in order of declaration, and the values it has too many."""
        wanted = len(self.columns)
        extra: list[Value] = []
        if len(values) != wanted:
            extra = values[wanted:]
            values = [*values[:wanted], *self.defaults[len(values) :]]
        if self.alias is not None:
            values[self.alias] = rowid
        for place in self.reals:
            value = values[place]
            if type(value) is int:
                values[place] = float(value)
        return (values if self.is_plain else [values[place] for place in self.order]), extra

    def misfit(self, values: Sequence[Value], rowid: int = 1) -> float:
        """Say how little a record looks like a row: 0 where nothing speaks against it, 1 where much does."""
        count = len(values)
        against = 0.0
        if count > len(self.columns) or count < self.least:
            against += 3.0
        elif count < len(self.columns):
            # columns may have been added later, but a table of that many columns is the likelier one
            against += 0.1
        # what is merely unusual must never weigh as much as what cannot be
        unusual = 0.3 if abs(rowid) > _WILD else 0.0
        for place, value in enumerate(values[: len(self.columns)]):
            if place == self.alias:
                against += 0.0 if value is None else 3.0
            elif value is None:
                against += 1.0 if self.not_null[place] else 0.0
            else:
                weight = _against(value, self.affinities[place], self.is_strict)
                if weight >= 1.0:
                    against += weight
                else:
                    unusual += weight
        return against + min(unusual, 0.4)

    def fits(self, values: Sequence[Value], rowid: int = 1) -> bool:
        """Whether a record may well be a row of the table."""
        return self.misfit(values, rowid) < 0.9

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """A pattern for the start of a cell: sizes, rowid and serial types; matches overlap."""
        rowid = rb"(?:[\x80-\xff]{0,8}[\x00-\x7f])" if self.has_rowid else b""
        size = rb"(?:[\x81-\xff]{0,2}[\x00-\x7f])"
        types = [self._types(place) for place in range(len(self.columns))]
        tail = b""
        for part in reversed(types[self.least :]):
            tail = b"(?:" + part + tail + b")?"
        head = b"".join(types[: self.least])
        length = rb"[\x02-\x7f]" if len(self.columns) < 40 else rb"(?:[\x81-\xff]?[\x00-\x7f])"
        return re.compile(b"(?=(" + size + rowid + b")(" + length + head + tail + b"))", re.DOTALL)

    def _types(self, place: int) -> bytes:
        if place == self.alias:
            return rb"\x00"
        null = b"" if self.not_null[place] else rb"\x00"
        numbers = rb"\x01-\x06\x08\x09" if self.affinities[place] != "TEXT" else b""
        kind = self.affinities[place]
        if kind in ("INTEGER", "REAL"):
            return b"[" + null + numbers + rb"\x07]"
        odd = b"".join(b"\\x%02x" % byte for byte in range(13, 128, 2))
        if kind == "TEXT":
            last = b"".join(b"\\x%02x" % byte for byte in range(1, 128, 2))
            return b"(?:[" + null + odd + rb"]|[\x81-\xff][\x80-\xff]?[" + last + b"])"
        return b"(?:[" + null + numbers + rb"\x07\x0c-\x7f]|[\x81-\xff][\x80-\xff]?[\x00-\x7f])"


def _against(value: Value, kind: str, is_strict: bool) -> float:
    """Say what speaks against a value in a column of an affinity.

    SQLite would have turned a number in a TEXT column into text, and a text that looks like a number in the
    others into a number, so those cannot be.
    """
    if isinstance(value, BadText):
        return 0.6
    if kind == "BLOB":
        # a column that takes anything says less than one that fits
        return 0.03
    if isinstance(value, int | float):
        return 2.0 if kind == "TEXT" else 0.0 if isinstance(value, int) or kind != "INTEGER" else 0.2
    if isinstance(value, bytes):
        return 1.0 if is_strict else 0.4
    if kind == "TEXT":
        return 0.0
    if is_strict or _NUMBER.match(value if isinstance(value, str) else ""):
        return 2.0
    return 0.45 if kind == "INTEGER" else 0.3


def shape_of(table: Table) -> Shape:
    """Give the shape of a table's records."""
    stored = [column for column in table.columns if column.generated is None or column.is_stored]
    alias = table.rowid_column
    record = _record_order(table, stored)
    places = {fold(column.name): place for place, column in enumerate(record)}
    defaults = _defaults(record)
    plain = [column for column in stored if column.generated is None]
    return Shape(
        table.name,
        tuple(column.name for column in record),
        tuple(affinity(column, table) for column in record),
        tuple(
            column.is_not_null or (table.is_without_rowid and column.key_position > 0) for column in record
        ),
        defaults,
        tuple(places[fold(column.name)] for column in plain),
        None if alias is None else places[fold(alias.name)],
        _least(table, record, defaults),
        not table.is_without_rowid,
        table.is_strict,
    )


def _record_order(table: Table, stored: list[Column]) -> list[Column]:
    if not table.is_without_rowid:
        return stored
    # https://sqlite.org/fileformat2.html: the columns of the key come first, in the order of the key
    key = sorted((column for column in stored if column.key_position), key=lambda column: column.key_position)
    return [*key, *(column for column in stored if not column.key_position)]


def _least(table: Table, record: Sequence[Column], defaults: Sequence[Value]) -> int:
    """Give how many columns must be there: those behind them could have been added by ALTER TABLE."""
    if table.kind == "shadow":
        return len(record)
    uniques = {fold(name) for unique in table.uniques for name in unique.columns}
    count = len(record)
    while count > 1:
        column = record[count - 1]
        if column.key_position or fold(column.name) in uniques or column.generated is not None:
            break
        if column.is_not_null and defaults[count - 1] is None:
            break
        count -= 1
    return count


def _defaults(columns: Iterable[Column]) -> tuple[Value, ...]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        return tuple(_default(scratch, column) for column in columns)


def _default(scratch: sqlite3.Connection, column: Column) -> Value:
    if column.default is None:
        return None
    try:
        scratch.execute("DROP TABLE IF EXISTS d")
        scratch.execute(f"CREATE TABLE d (x, c {_type_text(column)} DEFAULT ({column.default}))")
        scratch.execute("INSERT INTO d (x) VALUES (1)")
        value: Value = scratch.execute("SELECT c FROM d").fetchone()[0]
    except (sqlite3.Error, sqlite3.Warning):
        return None
    return value


def _type_text(column: Column) -> str:
    return '"' + column.type.replace('"', '""') + '"' if column.type else ""


SCHEMA_SHAPE = Shape(
    "sqlite_schema",
    ("type", "name", "tbl_name", "rootpage", "sql"),
    ("TEXT", "TEXT", "TEXT", "INTEGER", "TEXT"),
    (True, True, True, True, False),
    (None, None, None, None, None),
    (0, 1, 2, 3, 4),
    None,
    5,
)
