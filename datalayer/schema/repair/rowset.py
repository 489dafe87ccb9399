"""A set of rows of one table, kept as their keys in a temporary table: any number of them costs no memory.

Knows nothing of why rows are in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import count

from datalayer.schema.repair.quarantine import row_key
from datalayer.schema.snapshot import Table
from datalayer.schema.tokens import quote

__all__ = ["Rowset", "key_columns"]

Stored = None | int | float | str | bytes
_NUMBERS = count(1)


def key_columns(table: Table) -> tuple[str, ...]:
    """Give what tells the rows of a table apart, quoted: its rowid, or else its primary key."""
    if not table.is_without_rowid:
        return (row_key(table),)
    key = sorted(
        (column for column in table.columns if column.key_position), key=lambda one: one.key_position
    )
    return tuple(quote(column.name) for column in key)


class Rowset:
    """Rows of a table; `drop` it when it is done with."""

    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        self.table = table
        self.count = 0
        self._connection = connection
        self._key = key_columns(table)
        self._name = f'temp."datalayer_rows_{next(_NUMBERS)}"'
        names = ", ".join(f"k{place}" for place in range(len(self._key)))
        connection.execute(f"CREATE TABLE {self._name} ({names}, PRIMARY KEY ({names})) WITHOUT ROWID")

    @property
    def condition(self) -> str:
        """What holds for these rows, as SQL over `t0`."""
        return self.holds("t0")

    def holds(self, alias: str) -> str:
        """Give what holds for these rows, as SQL over a name that the table goes by."""
        own = ", ".join(f"{alias}.{name}" for name in self._key)
        return f"({own}) IN (SELECT * FROM {self._name})"

    def add(self, condition: str, parameters: Sequence[Stored] = ()) -> int:
        """Add the rows for which a condition over `t0` holds; give how many are new."""
        own = ", ".join(f"t0.{name}" for name in self._key)
        done = self._connection.execute(
            f"INSERT OR IGNORE INTO {self._name} SELECT {own} FROM {quote(self.table.name)} AS t0"
            f" WHERE {condition}",
            parameters,
        )
        self.count += done.rowcount
        return done.rowcount

    def drop(self) -> None:
        """Forget the rows."""
        self._connection.execute(f"DROP TABLE IF EXISTS {self._name}")
