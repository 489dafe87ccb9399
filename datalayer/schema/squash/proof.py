"""The proof that a consolidated file makes what all the numbered files make.

Compared are the shapes of all objects, the numbers in the header, the rows, and what SQLite compiles of a
SELECT, INSERT, UPDATE and DELETE on each table. https://sqlite.org/opcode.html
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.difference import differences
from datalayer.schema.loading import load
from datalayer.schema.postgres import derive
from datalayer.schema.scratch import scratch_schema
from datalayer.schema.snapshot import Schema, Table, read
from datalayer.schema.squash.replay import (
    Replayed,
    indexed_rows,
    sequences,
    stored_rows,
    value_columns,
)
from datalayer.schema.squash.script import Kept
from datalayer.schema.tokens import quote
from datalayer.schema.virtual import read_virtual

__all__ = ["prove", "prove_on_postgres", "unequal"]

_LONGEST_ROW = 120
_ROOTED = frozenset({"OpenRead", "OpenWrite", "ReopenIdx", "Clear"})
_PLACED = _ROOTED | {"Transaction"}


def prove(replay: Replayed, script: str, rows: Mapping[str, Kept] | None = None) -> None:
    """Raise MigrationRefused, naming what differs, unless the script makes what the replay made."""
    found = unequal(replay, script, rows)
    if found:
        raise MigrationRefused(
            "the consolidated text does not make what the numbered files make",
            why="; ".join(found[:5]),
            hint="report this: `datalayer migrations squash` should never write such a text",
        )


def unequal(replay: Replayed, script: str, rows: Mapping[str, Kept] | None = None) -> list[str]:
    """Say in words how a script's database differs from a replay's; nothing where they are equal.

    `rows` tells which columns of a table are compared, for those that each run fills anew; without it the
    rows are not compared.
    """
    with closing(load(script, source="the consolidated text")) as connection:
        schema = read(connection)
        found = [str(one) for one in differences(replay.schema, schema)]
        for name in ("user_version", "application_id"):
            mine, theirs = getattr(replay.schema, name), getattr(schema, name)
            if mine != theirs:
                found.append(f"{name} is {theirs}, and {mine} after the numbered files")
        if found:
            return found
        if rows is not None:
            found += _other_rows(replay, connection, rows)
        for table in replay.schema.tables:
            if table.kind == "table" and _programs(replay.connection, table) != _programs(connection, table):
                found.append(f"SQLite compiles statements on {table.name} otherwise")
        return found


def prove_on_postgres(engine: Engine, replay: Replayed, script: str) -> None:
    """Raise MigrationRefused unless both make the same PostgreSQL schema; leaves nothing in the database.

    Both are made in a schema of their own, in a transaction that is rolled back.
    """
    with closing(load(script, source="the consolidated text")) as connection:
        found = [_catalog(engine, schema) for schema in (replay.schema, read(connection))]
    if found[0] != found[1]:
        raise MigrationRefused(
            "on PostgreSQL the consolidated text makes another schema than the numbered files",
            hint="run `datalayer migrations squash`",
        )


def _other_rows(replay: Replayed, connection: sqlite3.Connection, rows: Mapping[str, Kept]) -> Iterator[str]:
    if sequences(replay.connection) != sequences(connection):
        yield "tables number their rows from elsewhere"
    for table in replay.schema.tables:
        if table.kind == "shadow":
            continue
        names = value_columns(table)
        kept = rows.get(table.name, Kept(tuple(names), ()))
        places = [names.index(column) for column in kept.columns]
        found = [tuple(row[place] for place in places) for row in stored_rows(connection, table)]
        yield from _unequal_rows(table.name, Counter(map(repr, kept.rows)), Counter(map(repr, found)))
        is_index = read_virtual(table.sql).has_external_content
        if is_index and indexed_rows(replay.connection, table) != indexed_rows(connection, table):
            name = quote(table.name)
            yield f"{name} has indexed other rows (INSERT INTO {name} ({name}) VALUES ('rebuild') takes all)"


def _unequal_rows(table: str, mine: Counter[str], theirs: Counter[str]) -> Iterator[str]:
    """Say which rows are missing or too many; the first of them in full."""
    for rows, word in ((mine - theirs, "missing"), (theirs - mine, "extra")):
        if rows:
            first = min(rows)
            shown = first if len(first) <= _LONGEST_ROW else f"{first[:_LONGEST_ROW]}…"
            more = f" and {rows.total() - 1} more are" if rows.total() > 1 else " is"
            yield f"of the rows of {table} {shown}{more} {word}"


def _programs(connection: sqlite3.Connection, table: Table) -> list[list[tuple[object, ...]]]:
    """Compile statements on a table, with the names of tables and indexes in place of their pages."""
    names = value_columns(table)
    if not names:
        return []
    place = quote(table.name)
    columns, marks = ", ".join(map(quote, names)), ", ".join("?" * len(names))
    statements = [f"SELECT * FROM {place}", f"INSERT INTO {place} ({columns}) VALUES ({marks})"]
    for name in names:
        statements.append(f"SELECT * FROM {place} WHERE {quote(name)} = ? ORDER BY {quote(name)} DESC")
        statements.append(f"UPDATE {place} SET {quote(name)} = ? WHERE {quote(name)} = ?")
        statements.append(f"DELETE FROM {place} WHERE {quote(name)} = ?")
    roots: dict[object, str] = {
        int(page): str(name)
        for name, page in connection.execute(
            "SELECT name, rootpage FROM main.sqlite_schema WHERE rootpage > 0"
        )
    }
    before = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    connection.execute("PRAGMA foreign_keys = ON")
    try:
        return [_program(connection, sql, roots) for sql in statements]
    finally:
        connection.execute(f"PRAGMA foreign_keys = {before}")


def _program(
    connection: sqlite3.Connection, sql: str, roots: Mapping[object, str]
) -> list[tuple[object, ...]]:
    # sqlite3 wants a value for each mark, although nothing is run
    values = (None,) * sql.count("?")
    try:
        rows = connection.execute(f"EXPLAIN {sql}", values).fetchall()
    except sqlite3.Error as exc:
        # a trigger or reference to what is gone: then it must be so in both
        return [(str(exc),)]
    # of the opcodes whose name begins with V some are about a virtual table
    return [_without_places(row, roots) if row[1] in _PLACED or row[1][0] == "V" else row[:7] for row in rows]


def _without_places(row: tuple[object, ...], roots: Mapping[object, str]) -> tuple[object, ...]:
    address, code, p1, p2, p3, p4, p5, *_ = row
    if code in _ROOTED:
        p1, p2 = (roots.get(p1), p2) if code == "Clear" else (p1, roots.get(p2))
    if code == "Transaction":
        # the number that changes with every change of the schema
        p3 = p4 = 0
    if isinstance(p4, str) and p4.startswith("vtab:"):
        # a place in memory
        p4 = "vtab"
    return address, code, p1, p2, p3, p4, p5


def _catalog(engine: Engine, schema: Schema) -> str:
    steps = derive(schema).steps
    with scratch_schema(engine) as scratch:
        for step in steps:
            engine.execute(step.sql)
        text = repr(catalog.read(scratch))
    # the two that are compared are in schemas of different names
    return text.replace(scratch.schema_name, "")
