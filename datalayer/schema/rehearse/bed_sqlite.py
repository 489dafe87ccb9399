"""A SQLite database as a bed for synthetic rows.

Works on the raw connection of a copy: nothing here is logged or translated, and every refusal is one more
thing to learn from.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from datalayer.schema.declaration import read_trigger
from datalayer.schema.reader import Unexpected
from datalayer.schema.rehearse.filler import FillTable, Reference, Refusal, Row
from datalayer.schema.rehearse.values import Column, Omit, Rule, Value
from datalayer.schema.snapshot import Schema, Table, Trigger, read
from datalayer.schema.tokens import fold, quote, significant, tokenize, unquote

__all__ = ["SqliteBed", "filling"]

_SEEN = 100


@contextmanager
def filling(connection: sqlite3.Connection) -> Generator[SqliteBed]:
    """Open a transaction in which references may be broken until its end.

    The block's rows are kept; a row whose reference is still broken then fails the COMMIT
    (sqlite.org/pragma.html#pragma_defer_foreign_keys).
    """
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN")
    try:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        yield SqliteBed(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class SqliteBed:
    """The tables of a SQLite database, and the trying of rows in them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.schema: Schema = read(connection)
        self._by_name = {fold(table.name): table for table in self.schema.tables}
        self._done: list[tuple[str, Sequence[Value]]] = []

    def tables(self) -> Sequence[FillTable]:
        """Give the plain tables, and full-text tables that hold their own content."""
        return [
            self._table(table)
            for table in self.schema.tables
            if table.kind == "table" or (table.kind == "virtual" and _holds_text(table))
        ]

    def count(self, table: str) -> int:
        """Give the number of rows."""
        return int(self.connection.execute(f"SELECT count(*) FROM {quote(table)}").fetchone()[0])

    def insert(self, table: FillTable, row: Row) -> Refusal | None:
        """Try a row."""
        given = {name: value for name, value in row.items() if not isinstance(value, Omit)}
        names = ", ".join(map(quote, given))
        values = f"({names}) VALUES ({', '.join('?' * len(given))})" if given else "DEFAULT VALUES"
        return self._try(f"INSERT INTO {quote(table.name)} {values}", list(given.values()), table)

    def keys(self, table: str, columns: Sequence[str]) -> list[tuple[Value, ...]]:
        """Give values that are there."""
        names = ", ".join(f"`{name.replace('`', '``')}`" for name in columns)
        try:
            return self.connection.execute(f"SELECT {names} FROM {quote(table)} LIMIT {_SEEN}").fetchall()
        except sqlite3.Error:
            # a reference to a table or column that is not there: no row can have one
            return []

    def loose(self, table: FillTable, reference: Reference) -> list[tuple[Value, ...]]:
        """Give the keys of rows whose reference is empty or leads nowhere."""
        handle = ", ".join(self._handle(table.name))
        condition = reference.is_loose(quote(reference.parent))
        sql = f"SELECT {handle} FROM {quote(table.name)} AS child WHERE {condition}"
        return self.connection.execute(f"{sql} LIMIT {_SEEN}").fetchall()

    def refer(
        self, table: FillTable, reference: Reference, handle: tuple[Value, ...], key: Sequence[Value]
    ) -> Refusal | None:
        """Try to set a reference."""
        sets = ", ".join(f"{quote(name)} = ?" for name in reference.columns)
        where = " AND ".join(f"{name} IS ?" for name in self._handle(table.name))
        return self._try(f"UPDATE {quote(table.name)} SET {sets} WHERE {where}", [*key, *handle], table)

    def dangling(self, table: FillTable, reference: Reference) -> int:
        """Count rows whose reference leads nowhere."""
        condition = reference.leads_nowhere(quote(reference.parent))
        sql = f"SELECT count(*) FROM {quote(table.name)} AS child WHERE {condition}"
        return int(self.connection.execute(sql).fetchone()[0])

    def drop(self, table: FillTable, reference: Reference) -> int:
        """Delete rows whose reference leads nowhere."""
        condition = reference.leads_nowhere(quote(reference.parent))
        sql = f"DELETE FROM {quote(table.name)} AS child WHERE {condition}"
        return int(self.connection.execute(sql).rowcount)

    def _handle(self, name: str) -> tuple[str, ...]:
        table = self._by_name[fold(name)]
        if not table.is_without_rowid:
            return ("_rowid_",)
        return tuple(quote(column.name) for column in table.columns if column.key_position)

    def _try(self, sql: str, values: Sequence[Value], table: FillTable) -> Refusal | None:
        self.connection.execute("SAVEPOINT attempt")
        try:
            self.connection.execute(sql, values)
        except (sqlite3.Error, OverflowError) as exc:
            # a RAISE(ROLLBACK) has ended the whole transaction, savepoint and all
            if not self.connection.in_transaction:
                self._begin_again()
                return _refusal(str(exc), table)
            self.connection.execute("ROLLBACK TO attempt")
            self.connection.execute("RELEASE attempt")
            return _refusal(str(exc), table)
        self.connection.execute("RELEASE attempt")
        self._done.append((sql, values))
        return None

    def _begin_again(self) -> None:
        self.connection.execute("BEGIN")
        self.connection.execute("PRAGMA defer_foreign_keys = ON")
        for sql, values in self._done:
            self.connection.execute(sql, values)

    def _table(self, table: Table) -> FillTable:
        own = [column.name for column in table.columns]
        rules = [
            Rule(check.name or check.expression, check.expression, _named(check.expression, own))
            for check in table.checks
        ]
        for trigger in self.schema.triggers:
            rules += _trigger_rules(trigger, table.name, own)
        keys = [unique.columns for unique in (table.primary_key, *table.uniques) if unique is not None]
        keys += [
            tuple(term.column or "" for term in index.terms) for index in table.indexes if index.is_unique
        ]
        rules += [
            Rule(index.name, index.where, _named(index.where, own))
            for index in table.indexes
            if index.is_unique and index.where
        ]
        return FillTable(
            table.name,
            tuple(self._columns(table, keys)),
            tuple(rules),
            tuple(keys),
            tuple(self._references(table)),
        )

    def _columns(self, table: Table, keys: Sequence[tuple[str, ...]]) -> Iterator[Column]:
        single = {fold(key[0]) for key in keys if len(key) == 1}
        numbered = table.rowid_column
        for column in table.columns:
            if column.generated is not None or column.is_hidden:
                continue
            is_numbered = column is numbered
            yield Column(
                column.name,
                column.type if table.kind == "table" else "TEXT",
                (column.is_not_null or (column.key_position > 0 and table.is_without_rowid))
                and not is_numbered,
                column.default is not None and column.default.upper() != "NULL",
                is_numbered=is_numbered,
                is_key=fold(column.name) in single,
                is_strict=table.is_strict,
            )

    def _references(self, table: Table) -> Iterator[Reference]:
        for key in table.foreign_keys:
            parent = self.schema.table(key.parent)
            columns = key.parent_columns
            if not columns and parent is not None and parent.primary_key is not None:
                columns = parent.primary_key.columns
            # a reference to nothing cannot be met; its INSERT will say so
            if parent is None or len(columns) != len(key.columns) or not all(map(parent.column, columns)):
                continue
            yield Reference(tuple(_declared(table, name) for name in key.columns), parent.name, columns)


def _declared(table: Table, name: str) -> str:
    column = table.column(name)
    return column.name if column else name


def _holds_text(table: Table) -> bool:
    words = [token.text.lower() for token in significant(tokenize(table.sql))]
    is_full_text = any(word in ("fts3", "fts4", "fts5") for word in words[:12])
    return is_full_text and not any(
        word in ("content", "content_rowid", "contentless_delete") for word in words
    )


def _named(text: str, columns: Sequence[str], *, after: str = "") -> tuple[str, ...]:
    """Give the columns that a text names, also behind `NEW.` only."""
    tokens = significant(tokenize(text))
    found: set[str] = set()
    for place, token in enumerate(tokens):
        if token.kind not in ("word", "identifier"):
            continue
        if after and not (
            place > 1 and tokens[place - 1].text == "." and tokens[place - 2].text.upper() == after
        ):
            continue
        found.add(fold(unquote(token)))
    return tuple(name for name in columns if fold(name) in found)


def _trigger_rules(trigger: Trigger, table: str, columns: Sequence[str]) -> Iterator[Rule]:
    """Give what a trigger on INSERT may ask of a new row."""
    try:
        text = read_trigger(trigger.sql)
    except Unexpected:
        return
    if fold(text.table) != fold(table) or text.event != "INSERT":
        return
    yield Rule(trigger.name, trigger.sql, _named(trigger.sql, columns, after="NEW"))


def _refusal(message: str, table: FillTable) -> Refusal:
    """Read which columns a message of SQLite's is about."""
    kind, _, rest = message.partition(" constraint failed: ")
    names = {fold(column.name): column.name for column in table.columns}
    if kind in ("NOT NULL", "UNIQUE"):
        told = re.findall(rf"{re.escape(table.name)}\.(.+?)(?:, |$)", rest)
        if kind == "UNIQUE" and rest.startswith("index "):
            told = [name for rule in table.rules if rest == f"index '{rule.name}'" for name in rule.columns]
        return Refusal(message, tuple(names[fold(name)] for name in told if fold(name) in names))
    if kind == "CHECK":
        blamed = [rule for rule in table.rules if rule.name == rest or rule.text.startswith(rest)]
        return Refusal(message, tuple(name for rule in blamed for name in rule.columns))
    found = re.search(r"column \S+\.(\S+)", message)
    if found and fold(found[1]) in names:
        return Refusal(message, (names[fold(found[1])],))
    if "FOREIGN KEY" in message:
        return Refusal(message, tuple(name for key in table.references for name in key.columns))
    return Refusal(message, tuple(name for rule in table.rules for name in rule.columns))
