"""Broken references among written rows: set to NULL by their own rule, or the row moves away.

A row that refers to a lost one is moved to lost_and_found, and what refers to it after it. No row is made up
in the place of a lost one. Knows no salvage.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from datalayer.schema.salvage.judge import rowid_name
from datalayer.schema.salvage.outcome import LostRow
from datalayer.schema.salvage.quarantine import Quarantine
from datalayer.schema.snapshot import ForeignKey, Schema, Table
from datalayer.schema.tokens import quote

__all__ = ["settle"]


def settle(connection: sqlite3.Connection, schema: Schema, quarantine: Quarantine) -> dict[str, int]:
    """Mend the references of all tables, until none is broken; give how many became NULL, by table."""
    cleared: Counter[str] = Counter()
    keys = [
        (table, key)
        for table in schema.tables
        if table.kind == "table"
        for key in table.foreign_keys
        if _is_enforceable(table, key, schema)
    ]
    # every round takes a row or a reference away, so there is a last one
    while sum(_settle_key(connection, schema, pair, quarantine, cleared) for pair in keys):
        pass
    return dict(cleared)


def _is_enforceable(table: Table, key: ForeignKey, schema: Schema) -> bool:
    parent = schema.table(key.parent)
    if parent is None:
        return False
    names = _parent_columns(key, parent)
    known = all(parent.column(name) is not None for name in names)
    return known and len(names) == len(key.columns) and all(table.column(name) for name in key.columns)


def _parent_columns(key: ForeignKey, parent: Table) -> tuple[str, ...]:
    if key.parent_columns:
        return key.parent_columns
    return () if parent.primary_key is None else parent.primary_key.columns


def _settle_key(
    connection: sqlite3.Connection,
    schema: Schema,
    pair: tuple[Table, ForeignKey],
    quarantine: Quarantine,
    cleared: Counter[str],
) -> int:
    table, key = pair
    parent = schema.table(key.parent)
    if parent is None:
        return 0
    broken = _broken(key, parent)
    count = _number(connection, f"SELECT count(*) FROM {quote(table.name)} AS child WHERE {broken}")
    if not count:
        return 0
    if key.on_delete == "SET NULL" and all(_is_nullable(table, name) for name in key.columns):
        reason = f"{', '.join(key.columns)} refers to a row of {key.parent} that is lost; it is NULL now"
        for row in _broken_rows(connection, table, broken, reason):
            quarantine.keep(row)
        sets = ", ".join(f"{quote(name)} = NULL" for name in key.columns)
        done = connection.execute(f"UPDATE {quote(table.name)} AS child SET {sets} WHERE {broken}")
        cleared[table.name] += done.rowcount
        return done.rowcount
    return _move(connection, table, key, broken, quarantine)


def _broken(key: ForeignKey, parent: Table) -> str:
    child = [f"child.{quote(name)}" for name in key.columns]
    same = [f"parent.{quote(name)} = {mine}" for name, mine in zip(_parent_columns(key, parent), child)]
    given = " AND ".join(f"{mine} IS NOT NULL" for mine in child)
    return f"{given} AND NOT EXISTS (SELECT 1 FROM {quote(parent.name)} AS parent WHERE {' AND '.join(same)})"


def _is_nullable(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is not None and not column.is_not_null and not column.key_position


def _move(
    connection: sqlite3.Connection, table: Table, key: ForeignKey, broken: str, quarantine: Quarantine
) -> int:
    reason = f"it refers to a row of {key.parent} that is lost ({', '.join(key.columns)})"
    for row in _broken_rows(connection, table, broken, reason):
        quarantine(row)
    return connection.execute(f"DELETE FROM {quote(table.name)} AS child WHERE {broken}").rowcount


def _broken_rows(connection: sqlite3.Connection, table: Table, broken: str, reason: str) -> list[LostRow]:
    own = rowid_name(table)
    columns = [quote(column.name) for column in table.columns if column.generated is None]
    alias = table.rowid_column
    rowid = f"child.{own}" if own else f"child.{quote(alias.name)}" if alias else "NULL"
    cursor = connection.execute(
        f"SELECT {rowid}, {', '.join(f'child.{name}' for name in columns)}"
        f" FROM {quote(table.name)} AS child WHERE {broken}"
    )
    return [LostRow(table.name, row[0], row[1:], reason) for row in cursor]


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
