"""Which rows of which table an app's own rule means: a query that returns the rows that break it.

Told by the query's columns: those of the primary key, or the rowid, of the one table that it can be about.
Knows nothing of how rows are cured.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from datalayer.schema.check.rule import Rule
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["rows_named"]


def rows_named(connection: sqlite3.Connection, rule: Rule, schema: Schema) -> tuple[str, str, int] | int:
    """Give (table, condition, count) of the rows that break a rule, or only their number.

    Only the number where it cannot be told which rows are meant. Raises sqlite3.Error where the query fails.
    """
    if rule.table is not None and schema.table(rule.table) is None:
        return 0
    now = f"'{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
    sql = rule.sql.replace("{now}", now).strip().rstrip(";")
    count = int(connection.execute(f"SELECT count(*) FROM ({sql}\n)").fetchone()[0])
    if not count:
        return 0
    cursor = connection.execute(f"SELECT * FROM ({sql}\n) LIMIT 0")
    columns = [str(one[0]) for one in cursor.description]
    fitting = [(table, key) for table, key in _candidates(connection, sql, schema) if _holds(columns, key)]
    if len(fitting) != 1:
        return count
    table, key = fitting[0]
    own = ", ".join(f"t0.{quote(name)}" for name in key)
    named = ", ".join(quote(_spelt(columns, name)) for name in key)
    return table.name, f"({own}) IN (SELECT {named} FROM ({sql}\n))", count


def _candidates(
    connection: sqlite3.Connection, sql: str, schema: Schema
) -> Iterator[tuple[Table, tuple[str, ...]]]:
    """Give the tables that a query reads, each with the columns that tell its rows apart."""
    read: list[str] = []

    def note(action: int, table: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table and fold(table) not in map(fold, read):
            read.append(table)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        # EXPLAIN compiles, and so asks, without reading rows
        connection.execute(f"EXPLAIN {sql}").fetchall()
    finally:
        connection.set_authorizer(None)
    for name in read:
        table = schema.table(name)
        if table is None or table.kind != "table":
            continue
        key = tuple(c.name for c in sorted(table.columns, key=lambda c: c.key_position) if c.key_position)
        if key:
            yield table, key
        if not table.is_without_rowid and table.rowid_column is None:
            yield table, ("rowid",)


def _holds(columns: Sequence[str], key: Sequence[str]) -> bool:
    return {fold(name) for name in key} <= {fold(name) for name in columns}


def _spelt(columns: Sequence[str], name: str) -> str:
    return next(column for column in columns if fold(column) == fold(name))
