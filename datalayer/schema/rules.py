"""The rules of a live SQLite database, read only as far as somebody asks for them.

snapshot reads a whole schema for a migration; this is for the moment a statement was refused. CREATE texts
that were read once are kept by their text, so a second look costs some queries and no reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from datalayer.schema.declaration import (
    ForeignKey,
    IndexText,
    TableText,
    TriggerText,
    read_index,
    read_table,
    read_trigger,
)
from datalayer.schema.tokens import Token, fold, quote, significant, tokenize, unquote

__all__ = ["Key", "LiveColumn", "Rules", "TableRules", "mentioned"]

_NO_TABLE = TableText((), None, (), (), ())
_ROWID_NAMES = ("rowid", "oid", "_rowid_")
_OPERATOR_LIST = """
AND OR NOT NULL IS IN BETWEEN CASE WHEN THEN ELSE END LIKE GLOB REGEXP MATCH ESCAPE ISNULL NOTNULL DISTINCT
"""
# a column of such a name is in quotes
_OPERATORS = frozenset(_OPERATOR_LIST.split())


@lru_cache(maxsize=512)
def _table_text(sql: str) -> TableText:
    words = [token.upper for token in significant(tokenize(sql[:200]))]
    return _NO_TABLE if words[1:2] == ["VIRTUAL"] else read_table(sql)


@lru_cache(maxsize=512)
def _index_text(sql: str) -> IndexText:
    return read_index(sql)


@lru_cache(maxsize=512)
def _trigger_text(sql: str) -> TriggerText:
    return read_trigger(sql)


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column.

    `default` as text, `key_position` from 1 in the primary key; `hidden` is not 0 if generated.
    """

    name: str
    type: str
    default: str | None
    key_position: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Key:
    """Columns that are unique together; `name` is that of the constraint or index, None where it has none."""

    name: str | None
    columns: tuple[str, ...]


class TableRules:
    """One table: what its texts say, and its columns as the database has them."""

    def __init__(self, rules: Rules, name: str, text: TableText, indexes: dict[str, IndexText]) -> None:
        self.name = name
        self.text = text
        self.indexes = indexes
        self._rules = rules

    @cached_property
    def columns(self) -> dict[str, LiveColumn]:
        """The columns by folded name, in order."""
        rows = self._rules.rows(
            "SELECT name, type, dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)",
            (self.name, self._rules.schema),
        )
        return {fold(row[0]): LiveColumn(*row) for row in rows}

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The folded columns of the primary key, in order."""
        members = [(column.key_position, name) for name, column in self.columns.items()]
        return tuple(name for position, name in sorted(members) if position)

    @property
    def row_number(self) -> str | None:
        """The column that may be another name of the rowid, and so number itself."""
        key = self.primary_key
        return key[0] if len(key) == 1 and fold(self.columns[key[0]].type) == "integer" else None

    def resolve(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Give folded names, with the one that the rowid is declared under in its place."""
        own = self.row_number
        return tuple(
            own if own and name in _ROWID_NAMES and name not in self.columns else name
            for name in map(fold, columns)
        )

    def unique_keys(self) -> Iterator[Key]:
        """Yield what is unique here: the keys of the table, its unique indexes, and the rowid."""
        named = [*self.text.uniques, *([self.text.primary_key] if self.text.primary_key else [])]
        for unique in named:
            yield Key(unique.name, self.declared(unique.columns))
        for name, index in self.indexes.items():
            if index.is_unique and all(term.column for term in index.terms):
                yield Key(name, self.declared([term.column or "" for term in index.terms]))
        if self.text.primary_key is None:
            yield Key(None, ("rowid",))

    def index_columns(self, index: IndexText) -> tuple[str, ...]:
        """Give the columns of an index, those within its expressions too."""
        found: dict[str, None] = {}
        for term in index.terms:
            texts = [term.column] if term.column else mentioned(term.expression or "", self)
            found.update(dict.fromkeys(self.declared(texts)))
        return tuple(found)

    def declared(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Give names as the columns were declared, in their letter case."""
        found = [(name, self.columns.get(fold(name))) for name in columns]
        return tuple(column.name if column else name for name, column in found)


class Rules:
    """The tables and triggers of one schema of a connection (`main`, `temp` or an attached file).

    `only` names the one table to be read. What cannot be read (a virtual table) has no rules.
    """

    def __init__(self, conn: sqlite3.Connection, schema: str = "main", only: str | None = None) -> None:
        self.schema = schema
        self._conn = conn
        self._only = only

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a query beside the log and the block's state, and give all rows."""
        cursor = self._conn.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, params).fetchall()

    @cached_property
    def _objects(self) -> list[tuple[str, str, str, str]]:
        where = "" if self._only is None else " AND tbl_name = ? COLLATE NOCASE"
        return self.rows(
            f"SELECT type, name, tbl_name, sql FROM {quote(self.schema)}.sqlite_schema"
            f" WHERE sql IS NOT NULL{where} ORDER BY rowid",
            () if self._only is None else (self._only,),
        )

    @property
    def has_objects(self) -> bool:
        """Whether anything of the table, or of the whole schema, is there."""
        return bool(self._objects)

    @cached_property
    def tables(self) -> dict[str, TableRules]:
        """The tables by folded name."""
        indexes: dict[str, dict[str, IndexText]] = {}
        for kind, name, table, sql in self._objects:
            if kind == "index":
                indexes.setdefault(fold(table), {})[name] = _index_text(sql)
        return {
            fold(name): TableRules(self, name, _table_text(sql), indexes.get(fold(name), {}))
            for kind, name, _, sql in self._objects
            if kind == "table"
        }

    @cached_property
    def triggers(self) -> list[tuple[str, TriggerText, str]]:
        """The triggers: (folded name of the table or view, what the text says, the text).

        Raises LookupError where there are temporary ones on other schemas: what they write cannot be told.
        """
        if self.schema != "temp" and self.rows("SELECT 1 FROM temp.sqlite_schema WHERE type = 'trigger'"):
            raise LookupError("temporary triggers may write anything")
        return [
            (fold(table), _trigger_text(sql), sql)
            for kind, _, table, sql in self._objects
            if kind == "trigger"
        ]

    @cached_property
    def references(self) -> list[tuple[TableRules, ForeignKey]]:
        """The foreign keys, each with its table, in order of creation."""
        return [(table, key) for table in self.tables.values() for key in table.text.foreign_keys]

    def parent_columns(self, key: ForeignKey) -> tuple[str, ...]:
        """Give the folded columns that a foreign key refers to; empty where there is no such table."""
        parent = self.tables.get(fold(key.parent))
        if parent is None:
            return ()
        return tuple(map(fold, key.parent_columns)) or parent.primary_key


def mentioned(expression: str, table: TableRules) -> tuple[str, ...]:
    """Give the columns of a table that an expression names, in order of appearance."""
    tokens = significant(tokenize(expression))
    found: dict[str, None] = {}
    for place, token in enumerate(tokens):
        if token.kind not in ("word", "identifier") or _is_no_column(tokens, place):
            continue
        column = table.columns.get(fold(unquote(token)))
        if column is not None:
            found[column.name] = None
    return tuple(found)


def _is_no_column(tokens: Sequence[Token], place: int) -> bool:
    """Say whether a name is that of a function, a table, a collation or a type."""
    before = tokens[place - 1].upper if place else ""
    after = tokens[place + 1].upper if place + 1 < len(tokens) else ""
    if before in ("COLLATE", "AS") or after == ".":
        return True
    return after == "(" or tokens[place].upper in _OPERATORS
