"""The table lost_and_found of a written database: rows that have no place, each with its reason.

Values keep their storage class; a text that does not decode is kept as a blob. Knows no salvage.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from datalayer.schema.salvage.outcome import BadText, LostRow, Value
from datalayer.schema.tokens import fold, quote

__all__ = ["Quarantine"]

_MOST_COLUMNS = 1900
_BATCH = 500


class Quarantine:
    """Collects lost rows and writes them in batches; the table is made when the first one comes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.reasons: Counter[str] = Counter()
        self.tables: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.unplaced = 0
        self._connection = connection
        self._name: str | None = None
        self._width = 0
        self._waiting: list[LostRow] = []

    def __call__(self, row: LostRow) -> None:
        """Take a row. One without any value is only counted, as given up."""
        if not row.values:
            self.given_up[row.table or ""] += 1
            return
        self.reasons[row.reason] += 1
        if row.table is None:
            self.unplaced += 1
        else:
            self.tables[row.table] += 1
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        self._widen(min(max(len(row.values) for row in rows), _MOST_COLUMNS))
        marks = ", ".join("?" * (self._width + 5))
        columns = ", ".join(f"c{place}" for place in range(self._width))
        self._connection.executemany(
            f'INSERT INTO {quote(self._name or "")} ("table", row_id, reason, page, width, {columns})'
            f" VALUES ({marks})",
            [self._parameters(row) for row in rows],
        )

    def _parameters(self, row: LostRow) -> Sequence[Value]:
        values = [bytes(value) if isinstance(value, BadText) else value for value in row.values]
        values = values[: self._width] + [None] * (self._width - len(values))
        return [row.table, row.rowid, row.reason, row.page, len(row.values), *values]

    def _widen(self, width: int) -> None:
        if self._name is None:
            self._name = self._free_name()
            self._connection.execute(
                f"CREATE TABLE {quote(self._name)} "
                '(id INTEGER PRIMARY KEY, "table" TEXT, row_id INTEGER, reason TEXT,'
                " page INTEGER, width INTEGER)"
            )
        for place in range(self._width, width):
            self._connection.execute(f"ALTER TABLE {quote(self._name)} ADD COLUMN c{place}")
        self._width = max(self._width, width)

    def _free_name(self) -> str:
        rows = self._connection.execute("SELECT name FROM sqlite_schema").fetchall()
        taken = {fold(str(row[0])) for row in rows}
        names = ("lost_and_found", *(f"lost_and_found_{number}" for number in range(2, 1000)))
        return next(name for name in names if name not in taken)
