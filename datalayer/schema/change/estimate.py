"""What the steps of a plan cost: rows, bytes, seconds. Reads the database, writes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from datalayer.schema.change.copying import count_rows

__all__ = ["Size", "seconds_of", "size_of"]

# bytes a second on a plain SSD, table and indexes together: a rebuild reads, writes, sorts and proves
_SPEED = {"rebuild": 60e6, "scan": 400e6}
_LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of a table, bytes of it with its indexes."""

    rows: int
    size_bytes: int


def size_of(connection: sqlite3.Connection, table: str) -> Size:
    """Measure a table: one pass over its pages, those of its indexes included."""
    rows = count_rows(connection, table)
    try:
        found = connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN"
            " (SELECT name FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE)",
            (table,),
        ).fetchone()
    except sqlite3.OperationalError:
        # this SQLite is built without dbstat: the whole file is the upper bound
        found = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()
    return Size(rows, int(found[0] or 0))


def seconds_of(way: str, size: Size) -> float:
    """Estimate how long a table is worked on."""
    speed = _SPEED.get(way)
    return _LEAST_S if speed is None else max(_LEAST_S, round(size.size_bytes / speed, 3))
