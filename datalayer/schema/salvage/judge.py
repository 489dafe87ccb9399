"""Whether a row would be accepted by its table: SQLite itself says so, over an empty copy of the schema.

CHECK, NOT NULL, STRICT and UNIQUE among the rows tried count; references and triggers do not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from datalayer.schema.salvage.outcome import BadText, Value
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["Judge", "insert_text", "rowid_name"]


class Judge:
    """An empty copy of a schema in memory; `close` it."""

    def __init__(self, schema: Schema) -> None:
        self._scratch = sqlite3.connect(":memory:", isolation_level=None)
        self._scratch.execute("PRAGMA foreign_keys = OFF")
        self._texts: dict[str, tuple[str, bool]] = {}
        for table in schema.tables:
            if table.kind != "table":
                continue
            try:
                self._scratch.execute(table.sql)
            except (sqlite3.Error, sqlite3.Warning):
                continue
            self._texts[fold(table.name)] = (insert_text(table), rowid_name(table) is not None)
            for index in table.indexes:
                if index.is_unique:
                    self._try_statement(index.sql)

    def share(self, table: str, rows: Iterable[tuple[int | None, Sequence[Value]]]) -> float:
        """Give the share of rows that the table accepts, one after another; 1 where it cannot be tried."""
        text = self._texts.get(fold(table))
        if text is None:
            return 1.0
        total = good = 0
        self._scratch.execute("SAVEPOINT trial")
        for rowid, values in rows:
            total += 1
            good += self._accepts(text[0], rowid if text[1] else None, values)
        self._scratch.execute("ROLLBACK TO trial")
        self._scratch.execute("RELEASE trial")
        return good / total if total else 1.0

    def _accepts(self, text: str, rowid: int | None, values: Sequence[Value]) -> bool:
        if any(isinstance(value, BadText) for value in values):
            return False
        given = values if rowid is None else (rowid, *values)
        try:
            self._scratch.execute(text, given)
        except (sqlite3.Error, OverflowError, UnicodeError):
            return False
        return True

    def _try_statement(self, sql: str) -> None:
        try:
            self._scratch.execute(sql)
        except (sqlite3.Error, sqlite3.Warning):
            return

    def close(self) -> None:
        """Let go of the copy."""
        self._scratch.close()


def insert_text(table: Table) -> str:
    """Give the INSERT for a row of all stored columns, the rowid first where the table has one of its own."""
    columns = [column.name for column in table.columns if column.generated is None]
    names = [quote(name) for name in columns]
    own = rowid_name(table)
    if own is not None:
        names = [own, *names]
    marks = ", ".join("?" * len(names))
    # OR ABORT: a clause of the table that replaces or ignores would swallow rows
    return f"INSERT OR ABORT INTO {quote(table.name)} ({', '.join(names)}) VALUES ({marks})"


def rowid_name(table: Table) -> str | None:
    """Give a name by which the rowid can be written, or None where a column is it or all names are taken."""
    if table.is_without_rowid or table.rowid_column is not None:
        return None
    taken = {fold(column.name) for column in table.columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
