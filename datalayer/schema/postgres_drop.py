"""Everything of a PostgreSQL schema, or what is named of it, dropped in the caller's transaction.

Never by CASCADE: what stands elsewhere and leans on it is a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema.tokens import quote

__all__ = ["Wanted", "drop_objects", "lock_tables"]

_FREE = """NOT EXISTS (SELECT 1 FROM pg_depend e
    WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid} AND e.deptype IN {kinds})"""
# partitions, and sequences of columns, go with their table
_RELATIONS = f"""
SELECT c.relkind::text, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT c.relispartition
AND {_FREE.format(catalog="pg_class", oid="c.oid", kinds="('e')")}
AND (c.relkind <> 'S' OR {_FREE.format(catalog="pg_class", oid="c.oid", kinds="('a', 'i')")})
ORDER BY c.oid DESC"""
_FUNCTIONS = f"""
SELECT p.prokind::text, p.proname, p.oid::regprocedure::text
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND {_FREE.format(catalog="pg_proc", oid="p.oid", kinds="('e')")} ORDER BY p.oid DESC"""
_TYPES = f"""
SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE n.nspname = %s AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
AND {_FREE.format(catalog="pg_type", oid="t.oid", kinds="('e')")} ORDER BY t.oid DESC"""
_WORDS = {"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE"}
_ROUTINES = {"p": "PROCEDURE", "a": "AGGREGATE"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go, by name: tables, views and functions; nothing else of the schema."""

    tables: Container[str]
    views: Container[str]
    functions: Container[str]


def lock_tables(engine: Engine) -> None:
    """Keep others from writing to any table of the schema until the caller's transaction ends.

    Reading goes on.
    """
    names = _tables(engine, None)
    if names:
        engine.execute(f"LOCK TABLE {', '.join(names)} IN SHARE ROW EXCLUSIVE MODE")


def drop_objects(engine: Engine, wanted: Wanted | None = None) -> None:
    """Drop what is wanted, or all that no extension owns.

    Raises MigrationRefused where something else depends on it.
    """
    left = _statements(engine, wanted)
    while left:
        reasons = {statement: _try(engine, statement) for statement in left}
        kept = [statement for statement, reason in reasons.items() if reason is not None]
        if len(kept) == len(left):
            raise MigrationRefused(
                f"{engine.display_url} cannot be emptied; nothing was changed",
                why=reasons[kept[0]],
                hint="drop what depends on it first, or move it to another schema",
            )
        left = kept


def _statements(engine: Engine, wanted: Wanted | None) -> list[str]:
    schema = engine.schema_name
    statements: list[str] = []
    for kind, name in engine.fetch_all(_RELATIONS, (schema,)):
        if kind in _WORDS and (wanted is None or (kind == "v" and name in wanted.views)):
            statements.append(f"DROP {_WORDS[kind]} {_qualified(schema, name)}")
    tables = _tables(engine, wanted)
    if tables:
        # in one statement they may refer to each other
        statements.append(f"DROP TABLE {', '.join(tables)}")
    for kind, name, signature in engine.fetch_all(_FUNCTIONS, (schema,)):
        if wanted is None or name in wanted.functions:
            statements.append(f"DROP {_ROUTINES.get(kind, 'FUNCTION')} {_with_schema(signature, schema)}")
    if wanted is None:
        statements += [
            f"DROP TYPE {_qualified(schema, str(name))}" for (name,) in engine.fetch_all(_TYPES, (schema,))
        ]
    return statements


def _tables(engine: Engine, wanted: Wanted | None) -> list[str]:
    return [
        _qualified(engine.schema_name, name)
        for kind, name in engine.fetch_all(_RELATIONS, (engine.schema_name,))
        if kind in ("r", "p") and (wanted is None or name in wanted.tables)
    ]


def _qualified(schema: str, name: str) -> str:
    return f"{quote(schema)}.{quote(name)}"


def _with_schema(signature: str, schema: str) -> str:
    """Give a function's signature as regprocedure shows it: without the schema where that is searched."""
    opening = f"{quote(schema)}."
    bare = signature.removeprefix(opening).removeprefix(f"{schema}.")
    return f"{opening}{bare}"


def _try(engine: Engine, statement: str) -> str | None:
    """Run a statement in a savepoint; give the reason where it failed."""
    connection: Any = engine.connection()
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except engine.driver_errors as exc:
        error: DataLayerError = engine.translate(exc)
        detail = str(exc).partition("\n")[2].partition("\n")[0].removeprefix("DETAIL:").strip()
        return detail or error.why or error.what
    return None
