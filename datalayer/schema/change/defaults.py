"""Rows that have no value of their own for a column, but lean on its DEFAULT."""

from __future__ import annotations

import sqlite3

from datalayer.schema.change import schema_text
from datalayer.schema.change.planning import Change, Plan, as_rebuild
from datalayer.schema.change.projection import default_expression, quote
from datalayer.schema.snapshot import Column, Table

__all__ = ["settle_defaults"]


def settle_defaults(connection: sqlite3.Connection, plan: Plan) -> Plan:
    """Rebuild a table after all where rows take a value from the DEFAULT that is about to change.

    A row that is older than a column added by ALTER TABLE has no value stored for it: SQLite answers the
    default of the day (sqlite.org/lang_altertable.html, 4). The change is tried, and undone if such a row
    shows.
    """
    for change in plan.changes:
        if change.way not in ("alter", "scan") or not change.new_defaults:
            continue
        if _rows_lean_on_default(connection, change):
            plan = as_rebuild(plan, change, "rows take their value from the old default")
    return plan


def _rows_lean_on_default(connection: sqlite3.Connection, change: Change) -> bool:
    found = change.pair.found
    sources = [change.pair.source(column) for column in change.new_defaults]
    columns = [column for column in sources if column is not None]
    counts = [_count_default(connection, found, column) for column in columns]
    if not any(counts):
        return False
    if _names(found) != _names(change.pair.wanted):
        # the text cannot be tried while the indexes, or the file, still speak of the old names
        return True
    connection.execute("SAVEPOINT datalayer_default")
    try:
        text = change.pair.wanted.sql
        schema_text.retell(connection, {("table", found.name): text})
        return counts != [_count_default(connection, found, column) for column in columns]
    finally:
        connection.execute("ROLLBACK TO datalayer_default")
        connection.execute("RELEASE datalayer_default")
        connection.execute("PRAGMA writable_schema = RESET")


def _names(table: Table) -> tuple[str, ...]:
    return (table.name, *(column.name for column in table.columns))


def _count_default(connection: sqlite3.Connection, table: Table, column: Column) -> int:
    value = default_expression(column) or "NULL"
    condition = f"{quote(column.name)} IS ({value}) COLLATE BINARY"
    # an index holds the value that the default gave when it was made
    sql = f"SELECT count(*) FROM {quote(table.name)} NOT INDEXED WHERE {condition}"
    return int(connection.execute(sql).fetchone()[0])
