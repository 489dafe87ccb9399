"""Rows that refer to rows which are not there: cured by the reference's own rule.

SET NULL and SET DEFAULT do as they say, where that is allowed; of CASCADE and all others the row goes to
lost_and_found, and what refers to it after it. No row is made up in the place of one that is gone; where much
of a table moves, the step says that the parents should be put back instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.schema.repair.quarantine import is_lost_and_found, keep_copies, move
from datalayer.schema.repair.report import Step
from datalayer.schema.snapshot import ForeignKey, Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["Orphans", "cure_orphans", "find_orphans"]

_SHARE = 0.05
_FEW = 20


@dataclass(frozen=True, slots=True)
class Orphans:
    """The rows of a table that break one reference; `parent` is None where that table does not exist."""

    table: Table
    key: ForeignKey
    parent: Table | None
    parent_columns: tuple[str, ...]
    count: int

    @property
    def label(self) -> str:
        """The reference's name, or its columns."""
        return self.key.name or f"{self.table.name}({', '.join(self.key.columns)})"

    @property
    def condition(self) -> str:
        """What holds for these rows, as SQL over `t0`."""
        assert self.parent is not None
        given = " AND ".join(f"t0.{quote(name)} IS NOT NULL" for name in self.key.columns)
        # on the left stands the parent's column, whose collation counts: sqlite.org/foreignkeys.html, 4.1
        same = " AND ".join(
            f"p.{quote(theirs)} = t0.{quote(mine)}"
            for theirs, mine in zip(self.parent_columns, self.key.columns)
        )
        return f"{given} AND NOT EXISTS (SELECT 1 FROM {quote(self.parent.name)} AS p WHERE {same})"

    @property
    def reason(self) -> str:
        """What is wrong with them."""
        return f"{', '.join(self.key.columns)} refers to a row of {self.key.parent} that is not there"


def find_orphans(connection: sqlite3.Connection, schema: Schema) -> Iterator[Orphans]:
    """Find the references that rows break; each once, with the number of rows."""
    for table in schema.tables:
        if table.kind != "table" or is_lost_and_found(table.name):
            continue
        for key in table.foreign_keys:
            orphans = _orphans(table, key, schema)
            if orphans is None:
                continue
            if orphans.parent is None:
                condition = " AND ".join(f"t0.{quote(name)} IS NOT NULL" for name in key.columns)
            else:
                condition = orphans.condition
            sql = f"SELECT count(*) FROM {quote(table.name)} AS t0 WHERE {condition}"
            count = int(connection.execute(sql).fetchone()[0])
            if count:
                yield Orphans(table, key, orphans.parent, orphans.parent_columns, count)


def _orphans(table: Table, key: ForeignKey, schema: Schema) -> Orphans | None:
    parent = schema.table(key.parent)
    if parent is None:
        return Orphans(table, key, None, (), 0)
    names = key.parent_columns or (() if parent.primary_key is None else parent.primary_key.columns)
    known = len(names) == len(key.columns) and all(parent.column(name) for name in names)
    return Orphans(table, key, parent, names, 0) if known else None


def cure_orphans(connection: sqlite3.Connection, orphans: Orphans, schema: Schema) -> list[Step] | None:
    """Cure the rows that break one reference, and what hangs on them. None: it is left to people.

    Triggers must be out of the way, foreign_keys off, a transaction open.
    """
    if orphans.parent is None:
        return None
    sql = f"SELECT 1 FROM {quote(orphans.table.name)} AS t0 WHERE {orphans.condition} LIMIT 1"
    if connection.execute(sql).fetchone() is None:
        # an earlier cure was one for these rows too
        return []
    changed = _by_its_rule(connection, orphans)
    if changed is not None:
        return [changed]
    return _cascade(connection, orphans, schema)


def _by_its_rule(connection: sqlite3.Connection, orphans: Orphans) -> Step | None:
    """SET NULL, or SET DEFAULT to a parent that is there; None where the rule is another or not possible."""
    action, table = orphans.key.on_delete, orphans.table
    columns = [column for name in orphans.key.columns if (column := table.column(name)) is not None]
    if action == "SET NULL":
        if any(column.is_not_null or column.key_position for column in columns):
            return None
        values = ["NULL"] * len(columns)
    elif action == "SET DEFAULT":
        values = [f"({column.default or 'NULL'})" for column in columns]
    else:
        return None
    connection.execute("SAVEPOINT rule")
    try:
        reason = f"{orphans.reason}; the row stays, with {action[4:]} there"
        keep_copies(connection, table, orphans.condition, reason)
        sets = ", ".join(f"{quote(column.name)} = {value}" for column, value in zip(columns, values))
        sql = f"UPDATE {quote(table.name)} AS t0 SET {sets} WHERE {orphans.condition}"
        count = connection.execute(sql).rowcount
        left = f"SELECT count(*) FROM {quote(table.name)} AS t0 WHERE {orphans.condition}"
        if connection.execute(left).fetchone()[0]:
            raise sqlite3.IntegrityError("the default refers to nothing either")
    except sqlite3.IntegrityError:
        connection.execute("ROLLBACK TO rule")
        return None
    finally:
        connection.execute("RELEASE rule")
    choice = f"{count} references become {action[4:]}, as ON DELETE {action} says; lost_and_found keeps them"
    kind = "set-null" if action == "SET NULL" else "set-default"
    return Step(kind, table.name, orphans.label, count, orphans.reason, choice, is_lossy=True)


def _cascade(connection: sqlite3.Connection, first: Orphans, schema: Schema) -> list[Step]:
    """Move the rows and what hangs on them."""
    steps: list[Step] = []
    waiting = [first]
    while waiting:
        orphans = waiting.pop(0)
        name = orphans.table.name
        total = _rows(connection, name)
        count = move(connection, orphans.table, orphans.condition, orphans.reason)
        rule = orphans.key.on_delete
        choice = f"{count} rows move to lost_and_found" + (", as CASCADE says" if rule == "CASCADE" else "")
        if count > max(_FEW, total * _SHARE):
            choice += f"; that is much of {total}: a backup may still have the rows of {orphans.key.parent}"
        if count:
            steps.append(Step("move", name, orphans.label, count, orphans.reason, choice, is_lossy=True))
        for child in _referring(connection, schema, orphans.table):
            changed = _by_its_rule(connection, child)
            if changed is not None:
                steps.append(changed)
            else:
                waiting.append(child)
    return steps


def _referring(connection: sqlite3.Connection, schema: Schema, parent: Table) -> Iterator[Orphans]:
    """Give the broken references to a table."""
    tables = tuple(
        table
        for table in schema.tables
        if any(fold(key.parent) == fold(parent.name) for key in table.foreign_keys)
    )
    for orphans in find_orphans(connection, Schema((*tables, parent), (), ())):
        if orphans.parent is not None and fold(orphans.parent.name) == fold(parent.name):
            yield orphans


def _rows(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quote(table)}").fetchone()[0])
