"""Broken references among written rows: set to NULL by their own rule, moved away, or held by a placeholder.

A row that refers to a lost one is moved to lost_and_found, and what refers to it after it. Where that would
move more than a twentieth of a table, rows are made up for the lost parents instead, and counted. Knows
no salvage.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from datalayer.schema.change.layout import affinity
from datalayer.schema.salvage.judge import rowid_name
from datalayer.schema.salvage.outcome import LostRow, Value
from datalayer.schema.salvage.quarantine import Quarantine
from datalayer.schema.snapshot import Column, ForeignKey, Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["settle"]

_ROUNDS = 50
_SHARE = 0.05
_FEW = 20


def settle(connection: sqlite3.Connection, schema: Schema, quarantine: Quarantine) -> dict[str, int]:
    """Mend the references of all tables, until none is broken; give the rows made up, by table."""
    placeholders: Counter[str] = Counter()
    keys = [
        (table, key)
        for table in schema.tables
        if table.kind == "table"
        for key in table.foreign_keys
        if _is_enforceable(table, key, schema)
    ]
    for _ in range(_ROUNDS):
        changed = sum(_settle_key(connection, schema, pair, quarantine, placeholders) for pair in keys)
        if not changed:
            break
    return dict(placeholders)


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
    placeholders: Counter[str],
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
        sets = ", ".join(f"{quote(name)} = NULL" for name in key.columns)
        return connection.execute(f"UPDATE {quote(table.name)} AS child SET {sets} WHERE {broken}").rowcount
    total = _number(connection, f"SELECT count(*) FROM {quote(table.name)}")
    if count > max(_FEW, total * _SHARE):
        made = _placeholders(connection, table, key, parent, broken)
        placeholders[parent.name] += made
        if made:
            return made
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
    own = rowid_name(table)
    columns = [quote(column.name) for column in table.columns if column.generated is None]
    alias = table.rowid_column
    rowid = f"child.{own}" if own else f"child.{quote(alias.name)}" if alias else "NULL"
    reason = f"it refers to a row of {key.parent} that is lost ({', '.join(key.columns)})"
    cursor = connection.execute(
        f"SELECT {rowid}, {', '.join(f'child.{name}' for name in columns)}"
        f" FROM {quote(table.name)} AS child WHERE {broken}"
    )
    for row in cursor.fetchall():
        quarantine(LostRow(table.name, row[0], row[1:], reason))
    return connection.execute(f"DELETE FROM {quote(table.name)} AS child WHERE {broken}").rowcount


def _placeholders(
    connection: sqlite3.Connection, table: Table, key: ForeignKey, parent: Table, broken: str
) -> int:
    """Make up the parents that are referred to; 0 where the parent's rules refuse such rows."""
    names = [fold(name) for name in _parent_columns(key, parent)]
    columns = [column for column in parent.columns if column.generated is None]
    wanted = connection.execute(
        f"SELECT DISTINCT {', '.join(f'child.{quote(name)}' for name in key.columns)}"
        f" FROM {quote(table.name)} AS child WHERE {broken}"
    ).fetchall()
    given = [column for column in columns if fold(column.name) in names or _needs_value(column)]
    text = (
        f"INSERT INTO {quote(parent.name)} ({', '.join(quote(column.name) for column in given)})"
        f" VALUES ({', '.join('?' * len(given))})"
    )
    made = 0
    for values in wanted:
        known = dict(zip(names, values))
        try:
            connection.execute(text, [_made_up(parent, column, known, values) for column in given])
        except sqlite3.IntegrityError:
            continue
        made += 1
    return made


def _needs_value(column: Column) -> bool:
    return column.is_not_null and column.default is None


def _made_up(parent: Table, column: Column, known: dict[str, Value], values: Sequence[Value]) -> Value:
    name = fold(column.name)
    if name in known:
        return known[name]
    kind = affinity(column, parent)
    if kind in ("INTEGER", "NUMERIC", "REAL"):
        return 0
    # a unique column must differ from one placeholder to the next
    return "lost " + " ".join(map(str, values)) if kind == "TEXT" else b""


def _number(connection: sqlite3.Connection, sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])
