"""Rows into their new table, and the proof that every value of every row is there.

The proof compares cell with cell in one pass over both tables, by the key that the new table is stored under.
Knows SQL and the connection, nothing of plans.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from datalayer.schema.change.layout import converts
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.projection import (
    all_of,
    copied_columns,
    default_expression,
    expression_of,
    is_filled,
    key_columns,
    quote,
    rowid_name,
    rowid_source,
)
from datalayer.schema.snapshot import Column
from datalayer.schema.virtual import read_virtual

__all__ = [
    "Advance",
    "changed_rows",
    "copy",
    "count_rows",
    "is_complete",
    "same_after_conversion",
]

Advance = Callable[[int], object]
"""Called with the number of rows done since the last call."""

_CHUNK_ROWS = 100_000
# a result has at most as many columns as a table, so a table of 2,000 leaves no room for the rowid
# (sqlite.org/limits.html)
_MOST_COLUMNS = 2_000


def copy(connection: sqlite3.Connection, pair: Pair, old: str, rows: int, advance: Advance) -> None:
    """Copy the table that is now called `old`, all of its `rows`, into the new table of `pair`.

    By name, in the order of the old rowids, which the rows keep. OR ABORT overrides the ON CONFLICT clauses
    of the new table, which would swallow rows. Foreign keys must be off and triggers gone.
    """
    kept = read_virtual(pair.wanted.sql)
    if kept.has_external_content:
        name = quote(pair.wanted.name)
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")
    if kept.has_external_content or kept.only_tells:
        return
    names, expressions = _lists(pair)
    into = f"INSERT OR ABORT INTO {quote(pair.wanted.name)} ({', '.join(map(quote, names))})"
    number = rowid_name(pair.found)
    if number is None:
        advance(connection.execute(f"{into} SELECT {', '.join(expressions)} FROM {quote(old)} AS o").rowcount)
    elif len(names) > _MOST_COLUMNS:
        _copy_row_by_row(connection, old, number, into, expressions)
    else:
        place = f"o.{quote(number)}"
        select = f"SELECT {', '.join(expressions)} FROM {quote(old)} AS o"
        for low, high, size in _chunks(connection, old, number, rows):
            connection.execute(f"{into} {select} WHERE {place} BETWEEN ? AND ? ORDER BY {place}", (low, high))
            advance(size)


def is_complete(
    connection: sqlite3.Connection, pair: Pair, old: str, rows: int, *, may_change: frozenset[str]
) -> bool:
    """Whether each of the `rows` of `old` is in the new table with the same values, and no other row is.

    A value that the new type converts counts as the same when it comes back from the new form unchanged.
    `may_change` are the names of wanted columns whose values the user lets go. One pass over both.
    """
    kept = read_virtual(pair.wanted.sql)
    if kept.has_external_content:
        name = quote(pair.wanted.name)
        connection.execute(f"INSERT INTO {name} ({name}) VALUES ('integrity-check')")
        if not rows:
            return True
    elif kept.only_tells:
        return True
    elif count_rows(connection, pair.wanted.name) != rows:
        return False
    join = _join(pair)
    conditions = [condition for column, condition in _conditions(pair) if column not in may_change]
    if join is None:
        return _are_equal_sets(connection, pair, old, may_change)
    same = connection.execute(
        f"SELECT count(*) FROM {quote(old)} AS o CROSS JOIN {quote(pair.wanted.name)} AS n ON {join}"
        f" WHERE {all_of(conditions)}"
    ).fetchone()[0]
    return same == rows


def changed_rows(
    connection: sqlite3.Connection, pair: Pair, old: str, most: int
) -> Iterator[tuple[Column, int, list[dict[str, object]]]]:
    """Give each column with values that are not the same, their number, and the keys of the first rows."""
    join = _join(pair)
    if join is None:
        return
    keys = key_columns(pair.found)
    for name, condition in _conditions(pair):
        both = f"FROM {quote(old)} AS o CROSS JOIN {quote(pair.wanted.name)} AS n ON {join}"
        source = f"{both} WHERE NOT {condition}"
        count = connection.execute(f"SELECT count(*) {source}").fetchone()[0]
        column = next(one for one in pair.wanted.columns if one.name == name)
        if count:
            before = pair.source(column)
            shown = [*keys, *([before.name] if before and before.name not in keys else [])]
            chosen = ", ".join(f"o.{quote(key)}" for key in shown)
            rows = connection.execute(f"SELECT {chosen} {source} LIMIT {most}").fetchall()
            yield column, count, [dict(zip(shown, row)) for row in rows]


def count_rows(connection: sqlite3.Connection, table: str) -> int:
    """Count the rows of a table."""
    return int(connection.execute(f"SELECT count(*) FROM {quote(table)}").fetchone()[0])


def _lists(pair: Pair) -> tuple[list[str], list[str]]:
    """Give the columns to fill and the expressions that fill them, the rowid among them."""
    columns = copied_columns(pair)
    names = [column.name for column in columns]
    expressions = [expression_of(pair, column) for column in columns]
    name, source = rowid_name(pair.wanted), rowid_source(pair)
    if name is not None and source is not None and name not in names:
        names.insert(0, name)
        expressions.insert(0, source)
    if not names:
        # nothing is kept of a row but that it was there
        first = next(column for column in pair.wanted.columns if column.generated is None)
        return [first.name], [default_expression(first) or "NULL"]
    return names, expressions


def _chunks(
    connection: sqlite3.Connection, old: str, number: str, rows: int
) -> Iterator[tuple[int, int, int]]:
    """Give runs of rowids, so that progress can be told."""
    name, column = quote(old), quote(number)
    low, high = connection.execute(f"SELECT min({column}), max({column}) FROM {name}").fetchone()
    while rows > _CHUNK_ROWS:
        last = connection.execute(
            f"SELECT {column} FROM {name} WHERE {column} >= ? ORDER BY {column} LIMIT 1 OFFSET ?",
            (low, _CHUNK_ROWS - 1),
        ).fetchone()[0]
        yield low, last, _CHUNK_ROWS
        low, rows = last + 1, rows - _CHUNK_ROWS
    if rows:
        yield low, high, rows


def _copy_row_by_row(
    connection: sqlite3.Connection, old: str, number: str, into: str, expressions: Sequence[str]
) -> None:
    """Copy a table too wide for one SELECT: VALUES may be longer, and no value passes through Python."""
    place = quote(number)
    values = ", ".join(
        f"(SELECT {expression} FROM {quote(old)} AS o WHERE o.{place} = ?1)" for expression in expressions
    )
    for (row,) in connection.execute(f"SELECT {place} FROM {quote(old)} ORDER BY {place}").fetchall():
        connection.execute(f"{into} VALUES ({values})", (row,))


# -- proof -----------------------------------------------------------------------------------------


def _join(pair: Pair) -> str | None:
    """Give the condition by which an old row `o` finds its new row `n`; None without such a key."""
    if pair.wanted.is_without_rowid:
        key = sorted((column for column in pair.wanted.columns if column.key_position), key=_key_place)
        if any(pair.source(column) is None or column.generated is not None for column in key):
            return None
        return all_of([f"n.{quote(column.name)} = {expression_of(pair, column)}" for column in key])
    name, source = rowid_name(pair.wanted), rowid_source(pair)
    return None if name is None or source is None else f"n.{quote(name)} = {source}"


def _key_place(column: Column) -> int:
    return column.key_position


def _conditions(pair: Pair) -> list[tuple[str, str]]:
    """Give (wanted column, condition that its value is the same in `o` and `n`) for every kept column."""
    return [
        (column.name, _same_value(pair, column)) for column in pair.wanted.columns if _is_kept(pair, column)
    ]


def _is_kept(pair: Pair, column: Column) -> bool:
    """Whether a column's values come from the old table; what both compute is no value of its own."""
    source = pair.source(column)
    if source is None or column.is_hidden:
        return False
    return source.generated is None or column.generated is None


def _same_value(pair: Pair, column: Column) -> str:
    source = pair.source(column)
    assert source is not None
    old, new = f"o.{quote(source.name)}", f"n.{quote(column.name)}"
    # IS, as NULL equals NULL; the collation of the column would make 'a' and 'A' the same
    same = f"{new} IS {old} COLLATE BINARY"
    if converts(pair, column):
        same = same_after_conversion(old, new)
    return f"({same} OR {old} IS NULL)" if is_filled(pair, column) else f"({same})"


def same_after_conversion(old: str, new: str) -> str:
    """Compare across an affinity: the new form turned back must be the old one.

    The unary plus keeps SQLite from applying the affinity of one side to the other (datatype3.html, 4.2).
    """
    return (
        f"CASE typeof({old})"
        f" WHEN 'text' THEN (typeof({new}) = 'text' AND +{new} = +{old} COLLATE BINARY)"
        f" OR (typeof({new}) IN ('integer', 'real') AND CAST({new} AS TEXT) = +{old} COLLATE BINARY)"
        f" WHEN 'blob' THEN typeof({new}) = 'blob' AND +{new} = +{old}"
        f" WHEN 'null' THEN {new} IS NULL"
        f" ELSE CASE typeof({new}) WHEN 'text' THEN CAST({new} AS NUMERIC) = +{old}"
        f" ELSE +{new} = +{old} END END"
    )


def _are_equal_sets(connection: sqlite3.Connection, pair: Pair, old: str, may_change: frozenset[str]) -> bool:
    """Compare two tables without a key in common; their numbers of rows are equal already."""
    columns = [
        column
        for column in copied_columns(pair)
        if column.name not in may_change and not converts(pair, column)
    ]
    if not columns:
        return True
    before = ", ".join(f"{expression_of(pair, column)} COLLATE BINARY" for column in columns)
    after = ", ".join(f"n.{quote(column.name)} COLLATE BINARY" for column in columns)
    one = f"SELECT {before} FROM {quote(old)} AS o"
    other = f"SELECT {after} FROM {quote(pair.wanted.name)} AS n"
    sides = ((one, other), (other, one))
    return not any(
        connection.execute(f"SELECT 1 FROM ({left} EXCEPT {right}) LIMIT 1").fetchone()
        for left, right in sides
    )
