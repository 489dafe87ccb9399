"""The table lost_and_found: rows that had to leave their table, with every value and the reason.

The same table that a salvage writes: "table", row_id, reason, page, width, c0, c1, ... without types, so that
a value stays what it was; a text that does not decode is kept as a blob. Knows nothing of why rows leave.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from datalayer.schema.snapshot import Table
from datalayer.schema.tokens import fold, quote, quote_text

__all__ = ["is_lost_and_found", "is_utf8", "keep_copies", "move", "row_key"]

_NAME = "lost_and_found"
_OWN = ("id", "table", "row_id", "reason", "page", "width")
_TEXT = (
    'CREATE TABLE {} (id INTEGER PRIMARY KEY, "table" TEXT, row_id INTEGER, reason TEXT, page INTEGER,'
    " width INTEGER)"
)


def is_lost_and_found(table: str) -> bool:
    """Whether a table is called as what repairs put aside."""
    rest = fold(table).removeprefix(_NAME)
    return fold(table).startswith(_NAME) and (not rest or rest.removeprefix("_").isdecimal())


def is_utf8(value: object) -> bool:
    """Whether the bytes of a text decode."""
    if isinstance(value, bytes):
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return False
    return True


def move(connection: sqlite3.Connection, table: Table, condition: str, reason: str) -> int:
    """Move the rows for which a condition over `t0` holds; give their number."""
    keep_copies(connection, table, condition, reason)
    done = connection.execute(f"DELETE FROM {quote(table.name)} AS t0 NOT INDEXED WHERE {condition}")
    return done.rowcount


def keep_copies(connection: sqlite3.Connection, table: Table, condition: str, reason: str) -> None:
    """Copy the rows for which a condition over `t0` holds, while they stay."""
    columns = [c.name for c in table.columns if not c.is_hidden and c.generated is None]
    connection.create_function("datalayer_is_utf8", 1, is_utf8, deterministic=True)
    # in UTF-16 every run of bytes is some text
    may_misread = connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8"
    place = quote(_prepare(connection, len(columns)))
    key = "NULL" if table.is_without_rowid else f"t0.{row_key(table)}"
    names = ", ".join(f"c{number}" for number in range(len(columns)))
    own = [f"t0.{quote(name)}" for name in columns]
    values = ", ".join(map(_as_kept, own) if may_misread else own)
    connection.execute(
        f'INSERT INTO {place} ("table", row_id, reason, width, {names})'
        f" SELECT {quote_text(table.name)}, {key}, {quote_text(reason)}, {len(columns)}, {values}"
        f" FROM {quote(table.name)} AS t0 NOT INDEXED WHERE {condition}"
    )


def row_key(table: Table) -> str:
    """Give the name by which the rowid can be reached: not one that a column has taken."""
    taken = {fold(column.name) for column in table.columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), "rowid")


def _as_kept(column: str) -> str:
    blob = f"CAST({column} AS BLOB)"
    return (
        f"CASE WHEN typeof({column}) = 'text' AND NOT datalayer_is_utf8({blob}) THEN {blob} ELSE {column} END"
    )


def _prepare(connection: sqlite3.Connection, width: int) -> str:
    """Make the table, or give it the columns that it lacks."""
    number, name = 1, _NAME
    while (found := _columns(connection, name)) and not set(_OWN) <= set(found):
        # a table of the app's own
        number += 1
        name = f"{_NAME}_{number}"
    if not found:
        connection.execute(_TEXT.format(quote(name)))
    for place in range(width):
        if f"c{place}" not in found:
            connection.execute(f"ALTER TABLE {quote(name)} ADD COLUMN c{place}")
    return name


def _columns(connection: sqlite3.Connection, table: str) -> Sequence[str]:
    sql = "SELECT name FROM pragma_table_xinfo(?, 'main')"
    return [fold(str(row[0])) for row in connection.execute(sql, (table,))]
