"""Statements that say IF [NOT] EXISTS and so may do nothing: whether one will, and what stands there instead.

N001: what stands there differs from what the statement would have made; N002: it is the same; N003: it is an
invalid index (PostgreSQL); N005: there is nothing to drop. Leaves the database as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable, DataLayerError, MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.catalog import CatalogTable
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.pending import Finding, finding
from datalayer.schema.scratch import Scratch, scratch_schema
from datalayer.schema.snapshot import Schema, read, read_text
from datalayer.schema.tokens import Statement, Token, canonical, fold, quote, tokenize, unquote

__all__ = ["NoOp", "finding_of", "no_op", "table_query"]


Result = Literal["same", "differs", "absent", "invalid"]


@dataclass(frozen=True, slots=True)
class NoOp:
    """A statement that will do nothing, by the object that decides it."""

    line: int
    statement: str
    object: str
    result: Result


@dataclass(frozen=True, slots=True)
class _Conditional:
    """CREATE or DROP of one object with its condition; `rest` is the statement without it.

    Adding or dropping a column of `table` counts as one of these.
    """

    verb: str
    noun: str
    schema: str | None
    name: str
    rest: tuple[Token, ...]
    table: str | None = None


def no_op(engine: Engine, statement: Statement, *, schema: str | None = None) -> NoOp | None:
    """Say what a statement will leave undone, before it is run; None where it will do something, or may.

    `schema` is where its bare names lead on PostgreSQL, where that is another one than the engine's.
    """
    is_alter = statement.verb == "ALTER" and engine.dialect.name == "postgresql"
    found = _conditional_column(statement.tokens) if is_alter else _conditional(statement.tokens)
    if found is None:
        return None
    if engine.dialect.name == "sqlite":
        result = _on_sqlite(engine, found)
    else:
        result = _on_postgres(Scratch(engine, schema or engine.schema_name), found)
    if result is None:
        return None
    words = [token.text for token in statement.tokens[:16]]
    last = max(place for place, word in enumerate(words) if word.upper() == "EXISTS")
    thing = f"{found.noun.lower()} {found.table}.{found.name}" if found.table else None
    return NoOp(
        statement.line, " ".join(words[: last + 1]), thing or f"{found.noun.lower()} {found.name}", result
    )


def finding_of(file: MigrationFile, found: NoOp) -> Finding:
    """Give the finding for a statement that did nothing."""
    texts = {
        "same": ("N002", "info", "did nothing: {object} is there, and is the same", "remove it, or leave it"),
        "differs": (
            "N001",
            "error",
            "did nothing: another {object} is there, and it differs",
            "change what is there in a migration of its own; IF NOT EXISTS hides that it is another",
        ),
        "invalid": (
            "N003",
            "error",
            "did nothing: {object} is there and invalid, so nothing uses it",
            "drop it with DROP INDEX CONCURRENTLY, then make it again",
        ),
        "absent": (
            "N005",
            "info",
            "did nothing: there is no {object}",
            "remove it if that is as it should be",
        ),
    }
    rule, severity, message, fix = texts[found.result]
    text = f"{file.label}: {found.statement} {message.format(object=found.object)}"
    return finding(rule, severity, str(file.source), text, line=found.line, fix=fix)


def _conditional(tokens: Sequence[Token]) -> _Conditional | None:
    words = [token.upper for token in tokens[:12]]
    if words[0] not in ("CREATE", "DROP") or "IF" not in words:
        return None
    place = words.index("IF")
    condition = ["IF", "NOT", "EXISTS"] if words[0] == "CREATE" else ["IF", "EXISTS"]
    after = place + len(condition)
    if words[place:after] != condition or len(tokens) <= after:
        return None
    if any(token.text == "," for token in tokens[after:]) and words[0] == "DROP":
        # PostgreSQL's list of objects: some of it may be there
        return None
    nouns = [word for word in words[1:place] if word != "CONCURRENTLY"]
    schema = None
    if len(tokens) > after + 2 and tokens[after + 1].text == ".":
        schema, after = unquote(tokens[after]), after + 2
    kept = tuple(token for token in tokens[:place] if token.upper != "CONCURRENTLY")
    rest = (*kept, *tokens[after:])
    return _Conditional(words[0], nouns[-1] if nouns else "", schema, unquote(tokens[after]), rest)


def _conditional_column(tokens: Sequence[Token]) -> _Conditional | None:
    """Read ALTER TABLE ... ADD COLUMN IF NOT EXISTS and DROP COLUMN IF EXISTS, where it does only that."""
    words = [token.upper for token in tokens]
    at = 2
    at += 2 * (words[at : at + 2] == ["IF", "EXISTS"])
    at += words[at : at + 1] == ["ONLY"]
    if words[:2] != ["ALTER", "TABLE"] or len(tokens) < at + 5 or _has_more_actions(tokens):
        return None
    table, schema = tokens[at], None
    if tokens[at + 1].text == ".":
        table, schema, at = tokens[at + 2], unquote(tokens[at]), at + 2
    verb = {"ADD": "CREATE", "DROP": "DROP"}.get(words[at + 1])
    place = at + 2 + (words[at + 2] == "COLUMN")
    condition = ["IF", "NOT", "EXISTS"] if verb == "CREATE" else ["IF", "EXISTS"]
    after = place + len(condition)
    if verb is None or words[place:after] != condition or len(tokens) <= after:
        return None
    rest = (*tokens[:place], *tokens[after:])
    return _Conditional(verb, "COLUMN", schema, _folded(tokens[after]), rest, _folded(table))


def table_query(tokens: Sequence[Token]) -> str | None:
    """Give the query of CREATE TABLE name AS ...; None for any other statement, or with a list of columns."""
    words = [token.upper for token in tokens]
    if words[0] != "CREATE" or "TABLE" not in words[:3] or "AS" not in words:
        return None
    place = words.index("AS")
    if "(" in words[:place]:
        return None
    end = len(words)
    # PostgreSQL's own end of it: WITH DATA, WITH NO DATA
    if words[-1] == "DATA":
        end -= 3 if words[-2] == "NO" else 2
    return _text(tokens[place + 1 : end])


def _text(tokens: Sequence[Token]) -> str:
    """Write tokens as one text: those that touched each other, as the parts of an operator, still do."""
    parts: list[str] = []
    end = 0
    for token in tokens:
        parts += [" "] * (token.start != end) + [token.text]
        end = token.end
    return "".join(parts)


def _has_more_actions(tokens: Sequence[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            return True
    return False


def _folded(token: Token) -> str:
    """Give a name as PostgreSQL has it: in small letters unless it is quoted."""
    return unquote(token) if token.kind == "identifier" else token.text.lower()


# -- SQLite --------------------------------------------------------------------------------------


def _on_sqlite(engine: Engine, found: _Conditional) -> Result | None:
    is_temporary = {"TEMP", "TEMPORARY"} & {token.upper for token in found.rest[:3]}
    if is_temporary or fold(found.schema or "main") == "temp":
        return None
    row = engine.fetch_one(
        "SELECT type, sql FROM main.sqlite_schema WHERE lower(name) = ? AND (type = 'trigger') = ?",
        (fold(found.name), found.noun == "TRIGGER"),
    )
    if found.verb == "DROP":
        return "absent" if row is None else None
    if row is None:
        return None
    live: sqlite3.Connection = engine.connection()
    query = table_query(found.rest) if row[0] == "table" else None
    if query is not None:
        return _like_sqlite_query(live, found.name, query)
    return "same" if _is_same(read(live), found, str(row[0]), str(row[1])) else "differs"


def _is_same(live: Schema, found: _Conditional, kind: str, sql: str) -> bool:
    if kind != found.noun.lower() and not (kind == "table" and found.noun == "TABLE"):
        return False
    text = _text(found.rest)
    if canonical(tokenize(text), live.names) == canonical(tokenize(sql), live.names):
        return True
    if kind != "table":
        return False
    try:
        wanted = read_text(text)
    except MigrationRefused:
        # it leans on what only the database has, a module or a function
        return False
    key = ("table", fold(found.name))
    return wanted.shapes().get(key) == live.shapes().get(key)


def _like_sqlite_query(live: sqlite3.Connection, name: str, query: str) -> Result | None:
    """Compare the columns of a table with those of a query, which tells nothing else of a table."""
    try:
        wanted = live.execute(f"SELECT * FROM ({query}) LIMIT 0").description
    except sqlite3.Error:
        # SQLite itself does not compile it any more
        return None
    there = live.execute(f"SELECT * FROM main.{quote(name)} LIMIT 0").description
    return "same" if [fold(one[0]) for one in there] == [fold(one[0]) for one in wanted] else "differs"


# -- PostgreSQL ----------------------------------------------------------------------------------

_KINDS = {"TABLE": "rp", "INDEX": "iI", "VIEW": "v", "SEQUENCE": "S"}


def _on_postgres(place: Scratch, found: _Conditional) -> Result | None:
    """Compare in a scratch schema where that is possible; else what is there counts as the same."""
    if found.table is not None:
        return _on_column(place, found, found.table)
    if found.noun not in _KINDS:
        return None
    if {"TEMP", "TEMPORARY"} & {token.upper for token in found.rest[:3]}:
        return None
    # PostgreSQL folds bare names, and `found.name` is as it is written
    name = _postgres_name(found)
    row = place.engine.fetch_one(
        "SELECT c.relkind::text, i.indisvalid, i.indrelid::regclass::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid"
        " WHERE c.relname = %s AND n.nspname = %s",
        (name, found.schema or place.schema_name),
    )
    if found.verb == "DROP":
        return "absent" if row is None else None
    if row is None:
        return None
    if str(row[0]) not in _KINDS[found.noun]:
        return "differs"
    if row[1] is False:
        return "invalid"
    if found.noun not in ("TABLE", "INDEX") or (found.schema or place.schema_name) != place.schema_name:
        return "same"
    query = table_query(found.rest)
    if query is not None:
        return _like_query(place, name, query)
    return "same" if _same_in_scratch(place, found, name, row[2]) else "differs"


def _on_column(place: Scratch, found: _Conditional, table: str) -> Result | None:
    if (found.schema or place.schema_name) != place.schema_name:
        return None
    there = catalog.read(place).tables.get(table)
    if there is None:
        return None
    if found.verb == "DROP":
        return None if found.name in there.columns else "absent"
    if found.name not in there.columns:
        return None
    return "same" if _same_in_scratch(place, found, found.name, quote(table)) else "differs"


def _postgres_name(found: _Conditional) -> str:
    is_quoted = any(token.kind == "identifier" and unquote(token) == found.name for token in found.rest)
    return found.name if is_quoted else found.name.lower()


def _like_query(place: Scratch, name: str, query: str) -> Result | None:
    """Compare the columns of a table with those of a query, which tells nothing else of a table."""
    there = catalog.read(place).tables.get(name)
    try:
        with place.engine.transaction():
            cursor = place.engine.execute(f"SELECT * FROM ({query}) AS query LIMIT 0")
            names = [str(each[0]) for each in cursor.description]
    except DataLayerError:
        return None
    return "same" if there is not None and list(there.columns) == names else "differs"


def _same_in_scratch(place: Scratch, found: _Conditional, name: str, table: str | None) -> bool:
    """Make the object in a schema of its own, compare the two, and undo it."""
    there = _definition(place, name, found)
    try:
        with scratch_schema(place.engine) as scratch:
            return _made_in_scratch(place, scratch, found, name, table) == there
    except DatabaseUnavailable:
        # no right to make a schema: nothing speaks against it
        return True
    except DataLayerError:
        # it leans on what is no longer there
        return False


def _made_in_scratch(
    place: Scratch, scratch: Scratch, found: _Conditional, name: str, table: str | None
) -> str | None:
    engine, schema = place.engine, scratch.schema_name
    engine.execute(f"SET LOCAL search_path = {schema}, {quote(place.schema_name)}")
    if table is not None:
        engine.execute(f"CREATE TABLE {schema}.{table.rpartition('.')[2]} (LIKE {table})")
    if found.table is not None:
        engine.execute(f"ALTER TABLE {schema}.{quote(found.table)} DROP COLUMN {quote(name)} CASCADE")
    engine.execute(_text(found.rest))
    return _definition(scratch, name, found)


def _definition(place: Scratch, name: str, found: _Conditional) -> str | None:
    """Give what decides whether two objects are the same, without the schema that they are in."""
    tables = catalog.read(place).tables
    if found.table is not None:
        text = repr(tables[found.table].columns.get(name)) if found.table in tables else None
    elif found.noun == "TABLE":
        text = _table_text(tables[name]) if name in tables else None
    else:
        indexes = (table.indexes.get(name) for table in tables.values())
        text = next((repr(index) for index in indexes if index is not None), None)
    if text is None:
        return None
    schema = place.schema_name
    return text.replace(f"{schema}.", "").replace(f"{quote(schema)}.", "")


def _table_text(table: CatalogTable) -> str:
    # of a table in a scratch schema the parents are in another; the definition names them
    constraints = {
        name: replace(constraint, parent=None, parent_columns=())
        for name, constraint in table.constraints.items()
    }
    return repr((table.columns, constraints))
