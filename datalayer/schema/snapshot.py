"""A whole SQLite schema as values, read from a live database or from SQL text.

SQLite itself is the parser: text is loaded into a database in memory and read back through PRAGMAs and
sqlite_schema; declaration adds what only the CREATE text says. Knows no models and nothing of PostgreSQL.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from datalayer.schema.declaration import (
    Check,
    ColumnText,
    ForeignKey,
    IndexText,
    TableText,
    Term,
    Unique,
    read_index,
    read_table,
)
from datalayer.schema.loading import load
from datalayer.schema.reader import Unexpected
from datalayer.schema.schema_rows import Entry, read_entries, unreadable_schema
from datalayer.schema.tokens import (
    canonical,
    canonical_text,
    fold,
    quote_text,
    significant,
    tokenize,
    unquote,
)
from datalayer.schema.virtual import read_virtual

__all__ = [
    "Check",
    "Column",
    "ForeignKey",
    "Index",
    "KeyIndex",
    "Schema",
    "Table",
    "Term",
    "Trigger",
    "Unique",
    "View",
    "default_shape",
    "index_shape",
    "read",
    "read_text",
    "table_shape",
]

TableKind = Literal["table", "virtual", "shadow"]
KeyIndex = tuple[str, tuple[tuple[str | None, object, object, object], ...]]
"""An index that SQLite made for a key: the number in its name, and its columns as index_xinfo has them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `type` and `default` as declared, `key_position` from 1 within the primary key, else 0."""

    name: str
    type: str
    is_not_null: bool
    default: str | None
    key_position: int
    collation: str | None = None
    generated: str | None = None
    is_stored: bool = False
    is_hidden: bool = False
    not_null_name: str | None = None
    conflict: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """An index made by CREATE INDEX; those of constraints belong to their constraint."""

    name: str
    table: str
    sql: str
    terms: tuple[Term, ...]
    is_unique: bool
    where: str | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger; declaration.read_trigger() reads its text."""

    name: str
    table: str
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """A view; declaration.read_view() reads its text.

    `columns` is empty where the view itself cannot be resolved.
    """

    name: str
    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its constraints and indexes, in the order of its text.

    `key_indexes` are the indexes that SQLite made for its keys, as they lie in the file.
    """

    name: str
    sql: str
    kind: TableKind
    columns: tuple[Column, ...]
    primary_key: Unique | None
    uniques: tuple[Unique, ...]
    checks: tuple[Check, ...]
    foreign_keys: tuple[ForeignKey, ...]
    indexes: tuple[Index, ...]
    is_strict: bool
    is_without_rowid: bool
    key_indexes: tuple[KeyIndex, ...] = ()
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {fold(column.name): column for column in self.columns})

    def column(self, name: str) -> Column | None:
        """Give the column of this name in any letter case, or None."""
        return self._by_name.get(fold(name))

    @property
    def rowid_column(self) -> Column | None:
        """The column that is another name of the rowid: INTEGER PRIMARY KEY, which alone numbers itself."""
        key = [column for column in self.columns if column.key_position]
        if len(key) != 1 or fold(key[0].type) != "integer" or self.is_without_rowid:
            return None
        # sqlite.org/lang_createtable.html: "INTEGER PRIMARY KEY DESC" is, by an old mistake, not the rowid;
        # "PRIMARY KEY (x DESC)" is
        rule = self.primary_key
        return None if rule is None or (rule.is_at_column and rule.terms[0].descending) else key[0]


@dataclass(frozen=True, slots=True)
class Schema:
    """Every object of one database, tables and views in order of creation, plus the numbers in its header."""

    tables: tuple[Table, ...]
    triggers: tuple[Trigger, ...]
    views: tuple[View, ...]
    user_version: int = 0
    application_id: int = 0
    _by_name: Mapping[str, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {fold(table.name): table for table in self.tables})

    def table(self, name: str) -> Table | None:
        """Give the table of this name in any letter case, or None."""
        return self._by_name.get(fold(name))

    @property
    def names(self) -> frozenset[str]:
        """The folded names of all tables, views, columns, indexes, triggers and constraints."""
        return frozenset(fold(name) for name in _names(self))

    def shapes(self, names: frozenset[str] = frozenset()) -> dict[tuple[str, str], tuple[object, ...]]:
        """Give what each object means, by (kind, folded name).

        Equal shapes behave alike, however they are written. `names` are those of a schema that is compared
        with this one, so that quotes around either's names make no difference.
        """
        names = self.names | names
        shapes: dict[tuple[str, str], tuple[object, ...]] = {}
        for table in self.tables:
            shapes["table", fold(table.name)] = table_shape(table, names)
            for index in table.indexes:
                shapes["index", fold(index.name)] = index_shape(index, names)
        for trigger in self.triggers:
            shapes["trigger", fold(trigger.name)] = canonical_text(trigger.sql, names)
        for view in self.views:
            shapes["view", fold(view.name)] = canonical_text(view.sql, names)
        return shapes

    def fingerprint(self) -> str:
        """Give a sha256 over the shapes of all objects.

        Layout, comments, letter case, quoting and order of creation are free.

        A constraint counts the same whether it was written at its column or at the end of the table.
        """
        return hashlib.sha256(
            repr(sorted(self.shapes().items())).encode("utf-8", "surrogatepass")
        ).hexdigest()


def read(connection: sqlite3.Connection, known: Schema | None = None) -> Schema:
    """Read the schema of a live database (its `main` file). Reads only; some five PRAGMAs a table.

    Take a read transaction around it where other processes may change the schema. `known` is an earlier
    snapshot of the same database: tables that are told by the same statements are taken from it. Raises
    DatabaseCorrupt where the table of tables holds what no statement writes there.
    """
    rows = read_entries(connection)
    # pragma_table_list (SQLite 3.37) tells virtual and shadow tables from plain ones: sqlite.org/pragma.html
    kinds = {
        str(name): (str(kind), bool(without_rowid), bool(strict))
        for name, kind, without_rowid, strict in _rows(
            connection, "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
        )
    }
    # SQLite judges by the name alone, also where a full-text table has no such table of its own
    contents = {f"{fold(row[1])}_content" for row in rows if read_virtual(row[3]).content is not None}
    kinds |= {
        name: ("table", *facts[1:])
        for name, facts in kinds.items()
        if facts[0] == "shadow" and fold(name) in contents
    }
    try:
        return _schema(connection, rows, kinds, known or Schema((), (), ()))
    except (KeyError, Unexpected) as exc:
        raise unreadable_schema(f"it says of an object what SQLite does not: {exc}") from exc


def _schema(
    connection: sqlite3.Connection,
    rows: Sequence[Entry],
    kinds: Mapping[str, tuple[str, bool, bool]],
    known: Schema,
) -> Schema:
    before = {(table.name, table.sql): table for table in known.tables}
    same = {(index.name, index.table, index.sql): index for table in known.tables for index in table.indexes}
    indexes: dict[str, list[Index]] = {}
    for kind, name, table, sql in rows:
        if kind == "index":
            index = same.get((name, table, sql)) or _index(name, table, sql, read_index(sql))
            indexes.setdefault(fold(table), []).append(index)
    return Schema(
        tuple(
            _table(
                connection,
                (name, sql, kinds[name]),
                tuple(indexes.get(fold(name), ())),
                before.get((name, sql)),
            )
            for kind, name, _, sql in rows
            if kind == "table"
        ),
        tuple(Trigger(name, table, sql) for kind, name, table, sql in rows if kind == "trigger"),
        tuple(
            View(name, sql, _view_columns(connection, name)) for kind, name, _, sql in rows if kind == "view"
        ),
        int(str(_rows(connection, "PRAGMA main.user_version")[0][0])),
        int(str(_rows(connection, "PRAGMA main.application_id")[0][0])),
    )


def read_text(script: str, *, source: str = "the schema") -> Schema:
    """Read the schema that a script makes, by running it in memory.

    Raises MigrationRefused with `source` and line.
    """
    connection = load(script, source=source)
    try:
        return read(connection)
    finally:
        connection.close()


def _rows(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[str] = ()
) -> list[tuple[object, ...]]:
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(sql, parameters).fetchall()


def _index(name: str, table: str, sql: str, text: IndexText) -> Index:
    return Index(name, table, sql, text.terms, text.is_unique, text.where)


def _table(
    connection: sqlite3.Connection,
    told: tuple[str, str, tuple[str, bool, bool]],
    indexes: tuple[Index, ...],
    known: Table | None,
) -> Table:
    name, sql, (kind, without_rowid, strict) = told
    # what a virtual table is depends on more than its statement
    if known is not None and known.kind == kind != "virtual":
        return known if known.indexes == indexes else replace(known, indexes=indexes)
    text = TableText((), None, (), (), ()) if kind == "virtual" else read_table(sql)
    by_name = {fold(column.name): column for column in text.columns}
    columns = tuple(
        _column(row, by_name.get(fold(str(row[0])), ColumnText(str(row[0]))))
        for row in _column_rows(connection, name)
    )
    return Table(
        name,
        sql,
        "virtual" if kind == "virtual" else "shadow" if kind == "shadow" else "table",
        columns,
        text.primary_key,
        text.uniques,
        text.checks,
        text.foreign_keys,
        indexes,
        strict,
        without_rowid,
        () if kind == "virtual" else _key_indexes(connection, name),
    )


def _key_indexes(connection: sqlite3.Connection, table: str) -> tuple[KeyIndex, ...]:
    rows = _rows(
        connection,
        "SELECT i.name, x.name, x.coll, x.\"desc\", x.key FROM pragma_index_list(?, 'main') AS i,"
        " pragma_index_xinfo(i.name, 'main') AS x WHERE i.origin <> 'c' ORDER BY i.name, x.seqno",
        (table,),
    )
    parts: dict[str, list[tuple[str | None, object, object, object]]] = {}
    for index, column, collation, descending, key in rows:
        part = (None if column is None else str(column), collation, descending, key)
        parts.setdefault(str(index).rpartition("_")[2], []).append(part)
    return tuple((number, tuple(columns)) for number, columns in sorted(parts.items()))


def _column_rows(connection: sqlite3.Connection, name: str) -> list[tuple[object, ...]]:
    try:
        return _rows(
            connection,
            "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?, 'main')",
            (name,),
        )
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname != "SQLITE_ERROR":
            raise
        # a virtual table whose module this SQLite lacks, or a view on something that is gone
        return []


def _column(row: Sequence[object], text: ColumnText) -> Column:
    name, type_, not_null, default, key_position, hidden = row
    return Column(
        str(name),
        str(type_),
        bool(not_null),
        None if default is None else str(default),
        int(str(key_position)),
        text.collation,
        text.generated,
        hidden == 3,
        hidden == 1,
        text.not_null_name,
        text.conflict,
    )


def _view_columns(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in _column_rows(connection, name))


def _names(schema: Schema) -> Iterator[str]:
    for table in schema.tables:
        yield table.name
        yield from (column.name for column in table.columns)
        yield from (index.name for index in table.indexes)
        for constraint in (*table.uniques, *table.checks, *table.foreign_keys):
            if constraint.name:
                yield constraint.name
    yield from (trigger.name for trigger in schema.triggers)
    for view in schema.views:
        yield view.name
        yield from view.columns


def _text_shape(text: str | None, names: frozenset[str]) -> tuple[str, ...]:
    return canonical_text(text, names) if text is not None else ()


def table_shape(table: Table, names: frozenset[str]) -> tuple[object, ...]:
    """Give what a table means, its indexes apart; quotes around `names` (folded) make no difference."""
    if table.kind == "virtual":
        return (table.kind, canonical(significant(tokenize(table.sql)), names))
    # any other quoted word is a string, whatever else of the schema is called so
    names &= {fold(table.name), *(fold(column.name) for column in table.columns)}
    return (
        table.kind,
        table.is_strict,
        table.is_without_rowid,
        tuple(_column_shape(column, names) for column in table.columns),
        ("primary key", _key_shape(table, table.primary_key, names)) if table.primary_key else (),
        tuple(sorted(repr(_unique_shape(unique, names)) for unique in table.uniques)),
        tuple(
            sorted((fold(check.name or ""), _text_shape(check.expression, names)) for check in table.checks)
        ),
        tuple(sorted(repr(_reference_shape(key)) for key in table.foreign_keys)),
    )


def _column_shape(column: Column, names: frozenset[str]) -> tuple[object, ...]:
    return (
        fold(column.name),
        " ".join(fold(column.type).split()),
        column.is_not_null,
        None if column.default is None else default_shape(column.default, names),
        column.key_position,
        fold(column.collation or "binary"),
        _text_shape(column.generated, names),
        column.is_stored,
        column.conflict or "ABORT",
    )


def default_shape(default: str, names: frozenset[str]) -> tuple[str, ...]:
    """Give what a DEFAULT means: a name that stands alone is a string (lang_createtable.html, 3.2)."""
    tokens = significant(tokenize(default))
    if len(tokens) != 1 or tokens[0].kind not in ("word", "identifier"):
        return _text_shape(default, names)
    word = tokens[0].upper
    if word in ("NULL", "TRUE", "FALSE") or word.startswith("CURRENT_"):
        return (word.lower(),)
    return (quote_text(unquote(tokens[0])),)


def _key_shape(table: Table, key: Unique, names: frozenset[str]) -> tuple[object, ...]:
    if table.rowid_column is not None and key.terms[0].descending:
        # rows have one order only by their rowid
        key = replace(key, terms=(replace(key.terms[0], descending=False),))
    return _unique_shape(key, names)


def _unique_shape(key: Unique, names: frozenset[str]) -> tuple[object, ...]:
    return (fold(key.name or ""), _terms_shape(key.terms, names), key.autoincrement, key.conflict or "ABORT")


def _terms_shape(terms: Sequence[Term], names: frozenset[str]) -> tuple[object, ...]:
    return tuple(
        (
            fold(term.column or ""),
            _text_shape(term.expression, names),
            fold(term.collation or ""),
            term.descending,
        )
        for term in terms
    )


def _reference_shape(key: ForeignKey) -> tuple[object, ...]:
    return (
        fold(key.name or ""),
        tuple(fold(name) for name in key.columns),
        fold(key.parent),
        tuple(fold(name) for name in key.parent_columns),
        key.on_delete,
        key.on_update,
        key.is_deferrable,
        key.is_deferred,
    )


def index_shape(index: Index, names: frozenset[str]) -> tuple[object, ...]:
    """Give what an index means; `names` as for `table_shape`."""
    return (
        fold(index.table),
        index.is_unique,
        _terms_shape(index.terms, names),
        _text_shape(index.where, names),
    )
