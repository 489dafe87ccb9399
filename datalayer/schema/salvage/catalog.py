"""The schema that a damaged file declares, mended by the expected one.

sqlite_schema is read as rows, its statements are run in memory, and what they make is read back, so that
SQLite stays the parser. Where a statement is damaged or missing the expected schema's stands in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import ne

from datalayer.schema.declaration import read_table
from datalayer.schema.salvage.outcome import Value
from datalayer.schema.snapshot import Schema, Table, read
from datalayer.schema.tokens import fold

__all__ = ["Catalog", "Entry", "entry_of", "read_catalog", "statements_of"]

_KINDS = ("table", "index", "view", "trigger")
_FLIPPED = 3
_ORDER = {kind: place for place, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of sqlite_schema; `root` is 0 for what has no tree."""

    kind: str
    name: str
    table: str
    root: int
    sql: str | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The schema to read a file by: `roots` by folded name of table or index, as the file tells them.

    `source` is "file", "expected" or "both"; `given_up` are statements that SQLite refuses.
    """

    schema: Schema
    roots: dict[str, int]
    source: str
    entries: tuple[Entry, ...]
    given_up: tuple[Entry, ...]


def entry_of(values: Sequence[Value]) -> Entry | None:
    """Give the entry that a record of sqlite_schema holds, or None where it cannot be one."""
    if len(values) < 5:
        return None
    kind, name, table, root, sql = map(_as_text, values[:5])
    if kind not in _KINDS or not isinstance(name, str) or not isinstance(table, str) or not name:
        return None
    if not isinstance(root, int | None) or (root or 0) < 0:
        return None
    if sql is not None and not (isinstance(sql, str) and sql[:6].upper() == "CREATE"):
        return None
    return Entry(str(kind), name, table, root or 0, sql)


def _as_text(value: Value) -> Value:
    """Take a BLOB for the text that SQLite takes it for."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def statements_of(schema: Schema) -> list[Entry]:
    """Give the statements that make a schema, tables first, then indexes, views and triggers."""
    tables = [Entry("table", table.name, table.name, 0, table.sql) for table in schema.tables]
    indexes = [
        Entry("index", index.name, table.name, 0, index.sql)
        for table in schema.tables
        for index in table.indexes
    ]
    views = [Entry("view", view.name, view.name, 0, view.sql) for view in schema.views]
    triggers = [Entry("trigger", item.name, item.table, 0, item.sql) for item in schema.triggers]
    return [*tables, *indexes, *views, *triggers]


def read_catalog(entries: Iterable[Entry], expected: Schema | None, numbers: tuple[int, int]) -> Catalog:
    """Make a schema of the entries of a file; `numbers` are its user_version and application_id."""
    wanted = [] if expected is None else statements_of(expected)
    mended = [_mended(entry, wanted) for entry in entries]
    found = list({(entry.kind, fold(entry.name)): entry for entry in mended}.values())
    spare = {(entry.kind, fold(entry.name)): entry for entry in wanted}
    made: list[Entry] = []
    given_up: list[Entry] = []
    borrowed = False
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        scratch.execute("PRAGMA foreign_keys = OFF")
        make = _maker(scratch)
        for entry in sorted(found, key=lambda entry: _ORDER[entry.kind]):
            if entry.sql is None or _is_made(scratch, entry):
                continue
            other = spare.get((entry.kind, fold(entry.name)))
            if make(entry):
                made.append(entry)
            elif other is not None and make(other):
                made.append(other)
                borrowed = True
            else:
                given_up.append(entry)
        # a row of sqlite_schema may be gone without a trace, so what is expected is looked for in any case
        for entry in wanted:
            if not _is_made(scratch, entry) and make(entry):
                made.append(entry)
                borrowed = True
        schema = read(scratch)
    schema = _numbered(schema, numbers)
    source = "file" if not borrowed else "both" if any(entry in found for entry in made) else "expected"
    roots = {fold(entry.name): entry.root for entry in found if entry.root}
    return Catalog(schema, roots, source, tuple(found), tuple(given_up))


def _mended(entry: Entry, wanted: Sequence[Entry]) -> Entry:
    """Give the expected statement in place of one that differs in a few bytes only, as damage does."""
    sql = entry.sql
    if sql is None:
        return entry
    for other in wanted:
        text = other.sql or ""
        if other.kind == entry.kind and len(text) == len(sql):
            differing = sum(map(ne, text, sql))
            is_harmed = 0 < differing <= _FLIPPED or 0 < differing <= _bits_flipped(text, sql)
            if is_harmed or (not differing and entry.name != other.name):
                return Entry(entry.kind, other.name, other.table, entry.root, text)
    return entry


def _bits_flipped(text: str, sql: str) -> int:
    """Give how many signs may differ where each that does differs in one bit, as no change by hand does."""
    if all((ord(one) ^ ord(other)).bit_count() <= 1 for one, other in zip(text, sql)):
        return len(text) // 10
    return 0


def _maker(scratch: sqlite3.Connection) -> Callable[[Entry], bool]:
    def make(entry: Entry) -> bool:
        sql = entry.sql or ""
        try:
            if entry.kind == "table" and not sql[7:].lstrip().upper().startswith("VIRTUAL"):
                # SQLite never stores CREATE TABLE ... AS SELECT: such a text is made up, and may run for ever
                read_table(sql)
            scratch.execute(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            return False
        return True

    return make


def _is_made(scratch: sqlite3.Connection, entry: Entry) -> bool:
    """Whether there is an object of this name; a virtual table makes its shadow tables itself."""
    found = scratch.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE", (entry.kind, entry.name)
    ).fetchone()
    return found is not None or fold(entry.name).startswith("sqlite_")


def _numbered(schema: Schema, numbers: tuple[int, int]) -> Schema:
    return Schema(schema.tables, schema.triggers, schema.views, *numbers)


def is_data_table(table: Table) -> bool:
    """Whether rows of a table lie in a tree of its own."""
    return table.kind != "virtual"
