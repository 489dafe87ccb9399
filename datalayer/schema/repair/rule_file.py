"""An app's own rules: named queries, each of which returns the rows that break it.

JSON: {"id": {"sql": "SELECT ...", "severity": "error"}}. Which rows of which table a query names is told by
its columns: those of the primary key, or the rowid, of the one table that it can be about. Knows nothing of
how rows are cured.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalayer.errors import MigrationRefused
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["NamedRule", "read_rules", "rows_named"]

_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule: `sql` returns the rows that break it."""

    id: str
    sql: str
    severity: str = "error"


def read_rules(path: Path) -> tuple[NamedRule, ...]:
    """Read a file of rules. Raises MigrationRefused for one that cannot be read."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rules = tuple(
            NamedRule(str(name), str(rule["sql"]), str(rule.get("severity", "error")))
            for name, rule in document.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise MigrationRefused(
            f"the rules in {path} cannot be read",
            why=f"{type(exc).__name__}: {exc}",
            hint='write JSON: {"id": {"sql": "SELECT ...", "severity": "error"}}',
        ) from exc
    for rule in rules:
        if rule.severity not in _SEVERITIES:
            raise MigrationRefused(
                f"rule {rule.id} in {path} has the severity {rule.severity!r}",
                hint=f"write one of {', '.join(_SEVERITIES)}",
            )
    return rules


def rows_named(connection: sqlite3.Connection, rule: NamedRule, schema: Schema) -> tuple[str, str, int] | int:
    """Give (table, condition, count) of the rows that break a rule, or only their number.

    Only the number where it cannot be told which rows are meant. Raises sqlite3.Error where the query fails.
    """
    sql = rule.sql.strip().rstrip(";")
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
