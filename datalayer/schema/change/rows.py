"""Where rows are looked at: a table as it is, or old rows in the form of the new table.

Reads only; names rows by their keys.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datalayer.schema.change.layout import affinity, collation_of, converts, mentions
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.projection import (
    default_expression,
    expression_of,
    key_columns,
    quote,
    rowid_source,
)
from datalayer.schema.snapshot import Column, Table
from datalayer.schema.tokens import fold

__all__ = [
    "MOST_ROWS",
    "Rows",
    "as_stored",
    "in_old_rows",
    "in_place",
    "name_before",
    "stored_before",
    "told",
]

MOST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Rows:
    """Where rows are looked at: a relation under the wanted table's name, and the keys to tell."""

    relation: str
    alias: str
    keys: tuple[tuple[str, str], ...]

    @property
    def is_in_place(self) -> bool:
        """Whether this is a table itself, with its indexes."""
        return not self.relation.startswith("(")

    @property
    def clause(self) -> str:
        """The FROM clause."""
        return f"{self.relation} AS {quote(self.alias)}"

    def find(
        self, connection: sqlite3.Connection, condition: str, values: Sequence[str] = ()
    ) -> tuple[int, tuple[dict[str, object], ...]]:
        """Count the rows of a condition; give the keys of the first, with the values of some columns."""
        count = connection.execute(f"SELECT count(*) FROM {self.clause} WHERE {condition}").fetchone()[0]
        if not count:
            return 0, ()
        names = [name for name, _ in self.keys]
        chosen = [expression for _, expression in self.keys]
        extra = [value for value in values if value not in names]
        listed = ", ".join([*chosen, *map(quote, extra)])
        rows = told(connection, f"SELECT {listed} FROM {self.clause} WHERE {condition} LIMIT {MOST_ROWS}")
        return int(count), tuple(dict(zip([*names, *extra], row)) for row in rows)

    def failing(self, connection: sqlite3.Connection, expression: str) -> dict[str, object]:
        """Name the row at which an expression cannot be computed."""
        last: list[object] = []

        def note(*key: object) -> int:
            last[:] = key
            return 1

        chosen = ", ".join(key for _, key in self.keys)
        before = connection.text_factory
        connection.text_factory = _readable
        connection.create_function("datalayer_note", -1, note)
        try:
            # CASE alone is sure to compute the one before the other
            sql = (
                f"SELECT CASE WHEN datalayer_note({chosen}) THEN typeof({expression}) END FROM {self.clause}"
            )
            for _ in connection.execute(sql):
                pass
        except sqlite3.OperationalError:
            pass
        finally:
            connection.text_factory = before
            connection.create_function("datalayer_note", -1, None)
        return dict(zip((name for name, _ in self.keys), map(_shown, last)))


def in_place(table: Table) -> Rows:
    """Look at a table that is there under its wanted name."""
    keys = tuple((name, quote(name)) for name in key_columns(table))
    return Rows(quote(table.name), table.name, keys)


def in_old_rows(pair: Pair, old: str) -> Rows:
    """Look at the rows of `old` as the new table would have them."""
    columns = [_projected(pair, column) for column in pair.wanted.columns if column.generated is None]
    named = {column.name for column in pair.wanted.columns}
    keys: list[tuple[str, str]] = []
    for place, key in enumerate(key_columns(pair.found)):
        columns.append(f"o.{quote(key)} AS {quote(_unused(f'key {place}', named))}")
        keys.append((key, quote(_unused(f"key {place}", named))))
    for column in stored_before(pair):
        columns.append(f"o.{quote(_source(pair, column).name)} AS {quote(name_before(pair, column))}")
    inner = f"SELECT {', '.join(columns)} FROM {quote(old)} AS o"
    for level in _by_dependency(pair.wanted):
        computed = [
            f"{as_stored(column, pair.wanted, f'({column.generated})')} AS {quote(column.name)}"
            for column in level
        ]
        inner = f"SELECT *, {', '.join(computed)} FROM ({inner})"
    return Rows(f"({inner})", pair.wanted.name, tuple(keys))


def stored_before(pair: Pair) -> list[Column]:
    """Give the wanted columns that are computed from now on, of values that stand in the table."""
    return [
        column
        for column in pair.wanted.columns
        if column.generated is not None
        and (source := pair.source(column)) is not None
        and source.generated is None
    ]


def _source(pair: Pair, column: Column) -> Column:
    source = pair.source(column)
    assert source is not None
    return source


def name_before(pair: Pair, column: Column) -> str:
    """Give the name under which `in_old_rows` has the old value of such a column."""
    return _unused(f"{column.name} before", {one.name for one in pair.wanted.columns})


def _by_dependency(table: Table) -> Iterator[list[Column]]:
    """Give the computed columns in groups, each computed of those before it."""
    left: list[Column] = [column for column in table.columns if column.generated is not None]
    while left:
        names = frozenset(fold(column.name) for column in left)
        ready: list[Column] = [one for one in left if not mentions(one.generated or "", names)]
        yield ready or left
        left = [column for column in left if column not in ready] if ready else []


def _projected(pair: Pair, column: Column) -> str:
    source = pair.source(column)
    if source is not None:
        value = expression_of(pair, column)
        if converts(pair, column):
            value = as_stored(column, pair.wanted, value)
        elif affinity(column, pair.wanted) == "BLOB":
            # as what it is compared with in the new table: nothing is applied to that
            value = f"+{value}"
        if collation_of(column) != collation_of(source):
            value = f"{value} COLLATE {quote(collation_of(column))}"
    elif column is pair.wanted.rowid_column:
        value = rowid_source(pair) or "NULL"
    else:
        value = default_expression(column) or "NULL"
        value = f"({value})"
    return f"{value} AS {quote(column.name)}"


def as_stored(column: Column, table: Table, value: str) -> str:
    """Give a value as the affinity of its column would have it."""
    kind = affinity(column, table)
    if kind == "BLOB":
        # nothing is applied to it, nor to what it is compared with
        return f"+{value}"
    if kind == "TEXT":
        return f"CASE WHEN typeof({value}) IN ('integer', 'real') THEN CAST({value} AS TEXT) ELSE {value} END"
    # a cast makes a number of any text; compared with one, only a text that is a number is taken as one
    number = f"CAST({value} AS NUMERIC)"
    is_number = f"+{value} = {number}"
    converted = f"CAST({value} AS REAL)" if kind == "REAL" else _whole(number)
    return (
        f"CASE typeof({value}) WHEN 'text' THEN CASE WHEN {is_number} THEN {converted} ELSE {value} END"
        f" WHEN 'integer' THEN {converted} WHEN 'real' THEN {converted} ELSE {value} END"
    )


def _whole(number: str) -> str:
    """Give a number as an integer where it is one: an affinity does so further up than a cast."""
    integer = f"CAST({number} AS INTEGER)"
    inside = f"{number} > -9223372036854775808 AND {number} < 9223372036854775807"
    return f"CASE WHEN {number} = {integer} AND {inside} THEN {integer} ELSE {number} END"


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def told(connection: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    """Fetch rows that are shown to people: text that is not UTF-8 comes with replacement characters."""
    before = connection.text_factory
    connection.text_factory = _readable
    try:
        return [tuple(map(_shown, row)) for row in connection.execute(sql).fetchall()]
    finally:
        connection.text_factory = before


def _readable(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return f"x'{value[:32].hex()}'" + ("..." if len(value) > 32 else "")
    if isinstance(value, str) and len(value) > 200:
        return f"{value[:200]}..."
    return value
