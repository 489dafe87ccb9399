"""The statements that make a live PostgreSQL schema again, in PostgreSQL's own words.

For the archive of backup_postgres. Covers tables, sequences, constraints, indexes, views, functions and
triggers; a schema with types or partitions of its own is refused, pg_dump knows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable
from datalayer.schema.catalog import Catalog, CatalogColumn, CatalogTable
from datalayer.schema.tokens import quote, quote_text

__all__ = ["Ddl", "read"]


@dataclass(frozen=True, slots=True)
class Ddl:
    """Statements to run before the rows are copied in, and after."""

    before_rows: list[str]
    after_rows: list[str]


_UNKNOWN = """
SELECT 'the type ' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = %s AND t.typtype IN ('e', 'd', 'r') UNION ALL
SELECT 'the partitioned or foreign table ' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('p', 'f') UNION ALL
SELECT 'the materialized view ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'm'"""
# identity columns make their sequence themselves (deptype i); serial columns need theirs first
_SEQUENCES = """
SELECT s.sequencename, s.last_value, s.increment_by, s.start_value,
EXISTS (
    SELECT 1 FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename WHERE s.schemaname = %s ORDER BY 1"""
_FUNCTIONS = """
SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s AND p.prokind IN ('f', 'p')
AND NOT EXISTS (
    SELECT 1 FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.oid"""
_VIEWS = """
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'v' ORDER BY c.oid"""


def read(engine: Engine, found: Catalog) -> Ddl:
    """Read the statements for the engine's schema.

    Raises DatabaseUnavailable for what they cannot express.
    """
    schema = engine.schema_name
    unknown = engine.fetch_all(_UNKNOWN, (schema, schema, schema))
    if unknown:
        raise DatabaseUnavailable(
            f"{engine.display_url} cannot be backed up without pg_dump",
            why=f"it has {unknown[0][0]}",
            hint="install PostgreSQL's client programs, at least as new as the server",
        )
    sequences = engine.fetch_all(_SEQUENCES, (schema,))
    before = [
        f"CREATE SEQUENCE {quote(name)} INCREMENT {step} START {start}"
        for name, _, step, start, is_identity in sequences
        if not is_identity
    ]
    before += [_table(table) for table in found.tables.values()]
    after = [
        f"SELECT setval({quote_text(quote(name))}, {last})"
        for name, last, _, _, _ in sequences
        if last is not None
    ]
    after += [f"{sql}" for (sql,) in engine.fetch_all(_FUNCTIONS, (schema,))]
    # references last: they need the keys of other tables
    after += [text for kinds in ("pucx", "f") for text in _constraints(found, kinds)]
    for table in found.tables.values():
        after += [index.definition for index in table.indexes.values() if index.constraint is None]
    after += [f"CREATE VIEW {quote(name)} AS {text}" for name, text in engine.fetch_all(_VIEWS, (schema,))]
    after += [definition for table in found.tables.values() for definition, _ in table.triggers.values()]
    return Ddl(before, after)


def _table(table: CatalogTable) -> str:
    columns = ",\n".join(f"    {_column(column)}" for column in table.columns.values())
    return f"CREATE TABLE {quote(table.name)} (\n{columns}\n)"


def _column(column: CatalogColumn) -> str:
    parts = [quote(column.name), column.type]
    if column.collation:
        parts.append(f"COLLATE {quote(column.collation)}")
    if column.is_generated:
        kind = "VIRTUAL" if column.generated == "v" else "STORED"
        parts.append(f"GENERATED ALWAYS AS ({column.default}) {kind}")
    elif column.is_identity:
        parts.append(f"GENERATED {'ALWAYS' if column.identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
    elif column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    if column.is_not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def _constraints(found: Catalog, kinds: str) -> Iterator[str]:
    for table in found.tables.values():
        for constraint in table.constraints.values():
            if constraint.kind in kinds:
                name = quote(constraint.name)
                yield f"ALTER TABLE {quote(table.name)} ADD CONSTRAINT {name} {constraint.definition}"
