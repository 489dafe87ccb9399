"""What the steps of a plan cost: rows, bytes, seconds. Reads the database, writes nothing.

The seconds are those of one core and a plain SSD: measured on a million rows of many forms, by what takes
the time, right within a factor of two or so.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from datalayer.schema.change.copying import count_rows, is_sorted_anew
from datalayer.schema.change.planning import Change

__all__ = ["Size", "seconds_of_change", "seconds_of_index", "size_of"]

# seconds for a row: read, written and compared; put into another place than behind the last one; looked at
# once; looked up in another table; put into an index
_COPY_S, _PLACE_S, _LOOK_S, _REFERENCE_S, _INDEX_S = 1e-6, 2.5e-6, 0.08e-6, 1e-6, 0.6e-6
_COPIED_BYTES_A_S = 100e6
_READ_BYTES_A_S = 1e9
_LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of a table, bytes of it with its indexes and without."""

    rows: int
    size_bytes: int
    own_bytes: int


def size_of(connection: sqlite3.Connection, table: str) -> Size:
    """Measure a table: one pass over its pages, those of its indexes included."""
    rows = count_rows(connection, table)
    try:
        found = connection.execute(
            "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE AND name IN"
            " (SELECT name FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE)",
            (table,),
        ).fetchall()
    except sqlite3.OperationalError:
        # this SQLite is built without dbstat: the whole file is the upper bound
        found = connection.execute(
            "SELECT ?, page_count * page_size FROM pragma_page_count, pragma_page_size", (table,)
        ).fetchall()
    sizes = {str(name).lower(): int(size or 0) for name, size in found}
    return Size(rows, sum(sizes.values()), sizes.get(table.lower(), 0))


def seconds_of_change(change: Change, size: Size, *, references: int) -> float:
    """Estimate how long a table is worked on, its indexes apart.

    `references` is the number of those whose rows are looked up.
    """
    table, spent_s = change.pair.wanted, size.rows * references * _REFERENCE_S
    if change.way == "rebuild":
        is_sorted = is_sorted_anew(change.pair)
        placed = len(table.key_indexes) - table.is_without_rowid + is_sorted
        if change.pair.found.is_without_rowid and not table.is_without_rowid and not is_sorted:
            # the rows come in the order of the old key, which the new table has as well, mostly
            placed = max(0, placed - 1)
        spent_s += size.rows * (_COPY_S + placed * _PLACE_S) + size.own_bytes / _COPIED_BYTES_A_S
    elif change.looks:
        spent_s += change.looks * size.rows * _LOOK_S + size.own_bytes / _READ_BYTES_A_S
    return max(_LEAST_S, round(spent_s, 3))


def seconds_of_index(rows: int) -> float:
    """Estimate how long an index of so many rows is made."""
    return max(_LEAST_S, round(rows * _INDEX_S, 3))
