"""What a PostgreSQL schema is, by queries of its own: shares no code with the migrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, cast

import psycopg

__all__ = ["connected", "rows_of", "run", "shape_of"]

Shape = dict[str, list[tuple[Any, ...]]]

_SHAPE = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale,
        collation_name, is_nullable, column_default, is_identity, identity_generation, generation_expression
        FROM information_schema.columns WHERE table_schema = %(schema)s""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid, true),
        convalidated
        FROM pg_constraint
        WHERE connamespace = %(schema)s::regnamespace AND contype IN ('p', 'u', 'f', 'c')""",
    "indexes": """
        SELECT i.indrelid::regclass::text, pg_get_indexdef(i.indexrelid, 0, true), i.indisvalid, i.indisready
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = %(schema)s::regnamespace""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, pg_get_triggerdef(t.oid, true) FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal""",
    "functions": """
        SELECT proname, prosrc, pg_get_function_result(oid) FROM pg_proc
        WHERE pronamespace = %(schema)s::regnamespace""",
    "views": """
        SELECT c.relname, pg_get_viewdef(c.oid, true) FROM pg_class c
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'v'""",
}


def run(connection: psycopg.Connection[Any], sql: str) -> None:
    connection.execute(cast("LiteralString", sql))


@contextmanager
def connected(url: str, schema: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        run(connection, f'SET search_path = "{schema}"')
        run(connection, "SET TimeZone = 'UTC'")
        yield connection


def shape_of(connection: psycopg.Connection[Any], schema: str) -> Shape:
    """Everything a schema file says, in an order that does not depend on how it came about."""
    return {
        part: sorted(connection.execute(cast("LiteralString", sql), {"schema": schema}).fetchall(), key=repr)
        for part, sql in _SHAPE.items()
    }


def rows_of(connection: psycopg.Connection[Any], table: str, columns: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns} FROM {table} ORDER BY 1"
    return connection.execute(cast("LiteralString", sql)).fetchall()
