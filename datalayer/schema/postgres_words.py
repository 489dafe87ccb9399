"""Full-text indexes on PostgreSQL: an FTS5 table over another table's text becomes a GIN index of that table.

SQLite keeps the words in tables of their own, which triggers fill (sqlite.org/fts5.html, "External Content
Tables"); PostgreSQL keeps them in the index, so neither those tables nor those triggers are made there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from datalayer.schema.declaration import read_trigger
from datalayer.schema.reader import Reader, Unexpected
from datalayer.schema.snapshot import Index, Schema, Table, Trigger
from datalayer.schema.tokens import Token, fold, quote, unquote

__all__ = ["WordTable", "is_word_index", "read_word_table", "tsvector", "with_word_indexes", "word_index_sql"]

_WEIGHTS = "ABCD"
# FTS5's unicode61 separates words at these; PostgreSQL's parser would see addresses, paths and signs in them
_SEPARATORS = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())


class WordTable:
    """An FTS5 table over another one: its own name, whose text it has, and the columns searched."""

    def __init__(self, name: str, content: str, columns: Sequence[str]) -> None:
        self.name = name
        self.content = content
        self.columns = tuple(columns)


def read_word_table(sql: str) -> WordTable | None:
    """Read a CREATE VIRTUAL TABLE; None for another module, and for FTS5 that keeps its own text or none."""
    reader = Reader(sql)
    try:
        reader.expect("CREATE")
        reader.expect("VIRTUAL")
        reader.expect("TABLE")
        reader.accept("IF", "NOT", "EXISTS")
        name = reader.name()
        if reader.accept("."):
            name = reader.name()
        reader.expect("USING")
        if fold(reader.name()) != "fts5":
            return None
        parts = _arguments(reader)
    except Unexpected:
        return None
    options = {fold(part[0].text): unquote(part[2]) for part in parts if _is_option(part)}
    columns = [unquote(part[0]) for part in parts if not _is_option(part) and len(part) == 1]
    content = options.get("content", "")
    return WordTable(name, content, columns) if content and columns else None


def _arguments(reader: Reader) -> list[list[Token]]:
    """Give the tokens between the brackets, parted at commas."""
    parts: list[list[Token]] = [[]]
    reader.expect("(")
    depth = 1
    while depth:
        token = reader.take()
        depth += (token.upper == "(") - (token.upper == ")")
        if token.upper == "," and depth == 1:
            parts.append([])
        elif depth:
            parts[-1].append(token)
    return [part for part in parts if part]


def _is_option(part: Sequence[Token]) -> bool:
    return len(part) >= 3 and part[1].text == "="


def with_word_indexes(schema: Schema) -> Schema:
    """Give the schema with an index of the table that is searched in place of each FTS5 table over one."""
    words = [found for t in schema.tables if t.kind == "virtual" and (found := read_word_table(t.sql))]
    words = [one for one in words if schema.table(one.content) is not None]
    if not words:
        return schema
    gone = {fold(one.name) for one in words}
    shadows = tuple(f"{name}_" for name in gone)
    tables = (
        _indexed(table, [(one, schema) for one in words])
        for table in schema.tables
        if fold(table.name) not in gone
        and not (table.kind == "shadow" and fold(table.name).startswith(shadows))
    )
    triggers = (trigger for trigger in schema.triggers if not _only_fills(trigger, gone))
    return replace(schema, tables=tuple(tables), triggers=tuple(triggers))


def _indexed(table: Table, words: Sequence[tuple[WordTable, Schema]]) -> Table:
    own = tuple(
        Index(one.name, table.name, found.sql, (), is_unique=False, where=None)
        for one, schema in words
        if fold(one.content) == fold(table.name) and (found := schema.table(one.name)) is not None
    )
    return replace(table, indexes=(*table.indexes, *own)) if own else table


def _only_fills(trigger: Trigger, names: set[str]) -> bool:
    """Whether a trigger does nothing but keep the words of these tables."""
    try:
        return all(fold(_written(statement)) in names for statement in read_trigger(trigger.sql).statements)
    except Unexpected:
        return False


def _written(statement: str) -> str:
    reader = Reader(statement)
    if reader.accept("INSERT", "INTO") or reader.accept("DELETE", "FROM") or reader.accept("UPDATE"):
        return reader.name()
    return ""


def is_word_index(index: Index) -> bool:
    """Whether an index stands for an FTS5 table."""
    return not index.terms and read_word_table(index.sql) is not None


def word_index_sql(index: Index) -> str:
    """Give the CREATE INDEX of an index that stands for an FTS5 table."""
    words = read_word_table(index.sql)
    assert words is not None
    return f"CREATE INDEX {quote(index.name)} ON {quote(index.table)} USING gin (({tsvector(words.columns)}))"


def tsvector(columns: Sequence[str], alias: str = "") -> str:
    """Give the expression of the index, for a query to ask by: the first column's words weigh most.

    No words are left out and none is stemmed, as FTS5 has it.
    https://www.postgresql.org/docs/current/textsearch-tables.html#TEXTSEARCH-TABLES-INDEX
    """
    blank = " " * len(_SEPARATORS)
    separators = _SEPARATORS.replace("'", "''")
    place = f"{alias}." if alias else ""
    return " || ".join(
        f"setweight(to_tsvector('simple'::regconfig,"
        f" translate(COALESCE({place}{quote(column)}, ''), '{separators}', '{blank}')), '{weight}')"
        for column, weight in zip(columns, _WEIGHTS + "D" * len(columns))
    )
