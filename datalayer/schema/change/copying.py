"""Rows into their new table, and the proof that every value of every row is there.

The proof compares cell with cell in one pass over both tables, by the key that the new table is stored under.
Knows SQL and the connection, nothing of plans.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from datalayer.schema.change.layout import collation_of, converts
from datalayer.schema.change.meter import Meter
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
from datalayer.schema.change.rows import as_stored
from datalayer.schema.snapshot import Column, Table
from datalayer.schema.tokens import fold
from datalayer.schema.virtual import read_virtual

__all__ = [
    "changed_rows",
    "copy",
    "count_rows",
    "has_key_in_common",
    "is_complete",
    "is_sorted_anew",
    "same_after_conversion",
]

_CHUNK_ROWS = 100_000
_KEYS_KIB = 32_768
# a result has at most as many columns as a table, so a table of 2,000 leaves no room for the rowid
# (sqlite.org/limits.html)
_MOST_COLUMNS = 2_000


def copy(connection: sqlite3.Connection, pair: Pair, old: str, rows: int, meter: Meter) -> None:
    """Copy the table that is now called `old`, all of its `rows`, into the new table of `pair`.

    By name, with the old rowids, in the order in which the new table is stored: sorting first costs a seventh
    of what it costs to put a million rows each into another page. OR ABORT overrides the ON CONFLICT clauses
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
    number, order = rowid_name(pair.found), _order(pair)
    select = f"SELECT {', '.join(expressions)} FROM {quote(old)} AS o"
    # what is sorted needs as much room again
    with _room_for_keys(connection, pair.wanted, _KEYS_KIB // 2 if order else _KEYS_KIB):
        if number is not None and len(names) > _MOST_COLUMNS:
            _copy_row_by_row(connection, old, number, into, expressions)
        elif number is None or order:
            meter.run(f"{into} {select}{order}", rows)
        else:
            place = f"o.{quote(number)}"
            for low, high, size in _chunks(connection, old, number, rows):
                run = f"{into} {select} WHERE {place} BETWEEN ? AND ? ORDER BY {place}"
                meter.run(run, size, (low, high))


def is_complete(
    connection: sqlite3.Connection,
    pair: Pair,
    old: str,
    rows: int,
    meter: Meter,
    *,
    may_change: frozenset[str],
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
    both = _both(pair, old)
    known = may_change | _equal_by_key(pair)
    conditions = [condition for column, condition in _conditions(pair) if column not in known]
    if both is None:
        return _are_equal_sets(connection, pair, old, may_change)
    # rows that have each a key of their own, and as many as there are keys, are all of them
    apart = _keys_apart(pair)
    if apart is not None and connection.execute(apart).fetchone()[0] != rows:
        return False
    return meter.count(f"SELECT count(*) {both} WHERE {all_of(conditions)}", rows) == rows


def changed_rows(
    connection: sqlite3.Connection, pair: Pair, old: str, most: int
) -> Iterator[tuple[Column, int, list[dict[str, object]]]]:
    """Give each column with values that are not the same, their number, and the keys of the first rows."""
    both = _both(pair, old)
    if both is None:
        return
    keys = key_columns(pair.found)
    for name, condition in _conditions(pair):
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


def _order(pair: Pair) -> str:
    """Give the order in which the new table stores its rows, where the old one may have another."""
    number, wanted = rowid_name(pair.found), pair.wanted
    # of an index the old rows would be read one here, one there: to sort them costs less
    plus = "" if number is None else "+"
    if wanted.is_without_rowid:
        terms = [plus + term for term in _stored_by(pair)]
        return f" ORDER BY {', '.join(terms)}" if terms else ""
    source = rowid_source(pair)
    if wanted.rowid_column is None or source is None or (number and source == f"o.{quote(number)}"):
        return ""
    return f" ORDER BY {plus}{source}"


def is_sorted_anew(pair: Pair) -> bool:
    """Whether the rows come in another order into the new table than they have in the old one."""
    if not (pair.wanted.is_without_rowid and pair.found.is_without_rowid):
        return _order(pair) != ""
    before = [(fold(column.name), *other) for column, *other in _key(pair.found)]
    after = [
        (fold(source.name) if (source := pair.source(one)) else "", *other)
        for one, *other in _key(pair.wanted)
    ]
    return after[: len(before)] != before or any(converts(pair, column) for column, _, _ in _key(pair.wanted))


def _stored_by(pair: Pair) -> Iterator[str]:
    for column, collation, descending in _key(pair.wanted):
        source = pair.source(column)
        if source is not None and column.generated is None:
            value = expression_of(pair, column)
            value = as_stored(column, pair.wanted, value) if converts(pair, column) else value
            yield f"{value} COLLATE {quote(collation)}{' DESC' * descending}"


@contextmanager
def _room_for_keys(connection: sqlite3.Connection, table: Table, kib: int) -> Generator[None]:
    """Let more pages stay in memory where a key has an index of its own, which is filled in any order."""
    if (table.is_without_rowid and len(table.key_indexes) < 2) or not table.key_indexes:
        yield
        return
    before = connection.execute("PRAGMA cache_size").fetchone()[0]
    connection.execute(f"PRAGMA cache_size = {-kib}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA cache_size = {before}")


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


def has_key_in_common(pair: Pair) -> bool:
    """Whether each old row finds its new one, so that `is_complete` compares all their values."""
    return _both(pair, pair.found.name) is not None


def _both(pair: Pair, old: str) -> str | None:
    """Give the FROM clause that pairs each old row `o` with its new row `n`; None without a key for it.

    The first is read in order, of the second each row is found by the key that it is stored under.
    """
    before, after = f"{quote(old)} AS o", f"{quote(pair.wanted.name)} AS n"
    if (join := _new_key(pair)) is not None:
        return f"FROM {before} CROSS JOIN {after} ON {join}"
    names = _old_key(pair)
    if names is None:
        return None
    join = all_of(
        [f"o.{quote(column.name)} = +n.{quote(name)} COLLATE {quote(by)}" for column, name, by in names]
    )
    return f"FROM {after} CROSS JOIN {before} ON {join}"


def _new_key(pair: Pair) -> str | None:
    """Give the condition by which an old row finds its new one, by the key of the new table."""
    if not pair.wanted.is_without_rowid:
        name, source = rowid_name(pair.wanted), rowid_source(pair)
        return None if name is None or source is None else f"n.{quote(name)} = {source}"
    key = _key(pair.wanted)
    if any(pair.source(column) is None or column.generated is not None for column, _, _ in key):
        return None
    # by the affinity and the collation of the new key alone: by others SQLite could not look it up
    return all_of(
        [
            f"n.{quote(column.name)} = {_as_key(pair, column)} COLLATE {quote(collation)}"
            for column, collation, _ in key
        ]
    )


def _as_key(pair: Pair, column: Column) -> str:
    """Give an old value as the new key has it, also where the user lets it become another."""
    value = expression_of(pair, column)
    return f"({as_stored(column, pair.wanted, value)})" if converts(pair, column) else f"+{value}"


def _old_key(pair: Pair) -> list[tuple[Column, str, str]] | None:
    """Give the key of an old WITHOUT ROWID table: its columns, their new names and collations.

    None where a part of it is not kept as it is.
    """
    after = {fold(source.name): column for column in pair.wanted.columns if (source := pair.source(column))}
    found = [(column, after.get(fold(column.name)), by) for column, by, _ in _key(pair.found)]
    if not pair.found.is_without_rowid:
        return None
    kept = [
        (column, other.name, by)
        for column, other, by in found
        if other is not None and other.generated is None and not converts(pair, other)
    ]
    return kept if len(kept) == len(found) else None


def _equal_by_key(pair: Pair) -> frozenset[str]:
    """Give the wanted columns that are the same in rows that were paired by them."""
    number = pair.wanted.rowid_column
    if _new_key(pair) is None:
        return frozenset(name for _, name, by in _old_key(pair) or () if by == "binary")
    if pair.wanted.is_without_rowid:
        columns = [column for column, by, _ in _key(pair.wanted) if by == "binary"]
    else:
        columns = [number] if number is not None else []
    return frozenset(one.name for one in columns if not converts(pair, one) and not is_filled(pair, one))


def _keys_apart(pair: Pair) -> str | None:
    """Give the query that counts the new rows by the old key; None where the new one is unique."""
    if _new_key(pair) is not None:
        return None
    names = ", ".join(f"{quote(name)} COLLATE {quote(by)}" for _, name, by in _old_key(pair) or ())
    return f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {quote(pair.wanted.name)})"


def _key(table: Table) -> list[tuple[Column, str, bool]]:
    """Give the columns of a primary key with the collation and direction that it has them in."""
    found: list[tuple[Column, str, bool]] = []
    for term in table.primary_key.terms if table.primary_key else ():
        column = table.column(term.column or "")
        if column is not None:
            found.append((column, fold(term.collation or collation_of(column)), term.descending))
    return found


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
