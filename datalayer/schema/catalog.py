"""What a live PostgreSQL schema holds, read from pg_catalog, and how it differs from what was derived for it.

Reads only. https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.schema.difference import Difference
from datalayer.schema.plan import Step
from datalayer.schema.postgres import Derived
from datalayer.schema.postgres_types import PgColumn
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold

__all__ = ["Catalog", "CatalogColumn", "CatalogConstraint", "CatalogIndex", "CatalogTable", "compare", "read"]


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column: `type` as format_type() has it, `collation` None for the database's own."""

    name: str
    type: str
    is_not_null: bool
    default: str | None
    is_identity: bool
    is_generated: bool
    collation: str | None


@dataclass(frozen=True, slots=True)
class CatalogConstraint:
    """A constraint: `kind` is pg_constraint.contype (p, u, c, f, n, x)."""

    name: str
    kind: str
    definition: str
    is_valid: bool


@dataclass(frozen=True, slots=True)
class CatalogIndex:
    """An index, those of constraints included."""

    name: str
    definition: str
    is_unique: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table with everything on it; `triggers` maps a name to (definition, source of its function)."""

    name: str
    columns: Mapping[str, CatalogColumn]
    constraints: Mapping[str, CatalogConstraint]
    indexes: Mapping[str, CatalogIndex]
    triggers: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables and views of one PostgreSQL schema; what extensions own is left out."""

    tables: Mapping[str, CatalogTable]
    views: frozenset[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a user stands in the schema."""
        return not self.tables and not self.views


_RELATIONS = """
SELECT c.oid, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
AND NOT EXISTS (
    SELECT 1 FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname"""
_COLUMNS = """
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> '', l.collname
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"""
_CONSTRAINTS = """
SELECT conrelid, conname, contype::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE conrelid = ANY(%s) AND contype <> 't' ORDER BY conrelid, conname"""
_INDEXES = """
SELECT i.indrelid, c.relname, pg_get_indexdef(i.indexrelid), i.indisunique, i.indisvalid
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s) ORDER BY i.indrelid, c.relname"""
_TRIGGERS = """
SELECT t.tgrelid, t.tgname, pg_get_triggerdef(t.oid), p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY(%s) AND NOT t.tgisinternal ORDER BY t.tgrelid, t.tgname"""


def read(engine: Engine) -> Catalog:
    """Read the engine's schema in five queries.

    Take a read transaction around it for one consistent picture.
    """
    relations = engine.fetch_all(_RELATIONS, (engine.schema_name,))
    oids = [row[0] for row in relations]

    def rows_by_table(sql: str) -> dict[Any, list[tuple[Any, ...]]]:
        grouped: dict[Any, list[tuple[Any, ...]]] = {}
        for row in engine.fetch_all(sql, (oids,)):
            grouped.setdefault(row[0], []).append(row[1:])
        return grouped

    columns, constraints = rows_by_table(_COLUMNS), rows_by_table(_CONSTRAINTS)
    indexes, triggers = rows_by_table(_INDEXES), rows_by_table(_TRIGGERS)
    return Catalog(
        {
            name: CatalogTable(
                name,
                {row[0]: CatalogColumn(*row) for row in columns.get(oid, ())},
                {row[0]: CatalogConstraint(*row) for row in constraints.get(oid, ())},
                {row[0]: CatalogIndex(*row) for row in indexes.get(oid, ())},
                {row[0]: (row[1], row[2]) for row in triggers.get(oid, ())},
            )
            for oid, name, kind in relations
            if kind in ("r", "p", "f")
        },
        frozenset(name for _, name, kind in relations if kind in ("v", "m")),
    )


def compare(schema: Schema, derived: Derived, found: Catalog) -> list[Difference]:
    """Compare a live schema with what was derived: columns, types, named rules, indexes, triggers.

    The texts of CHECKs and of index terms are not compared: PostgreSQL keeps them in its own words.
    """
    return [*_missing_and_changed(schema, derived, found), *_extra(schema, found)]


def _missing_and_changed(schema: Schema, derived: Derived, found: Catalog) -> Iterator[Difference]:
    for table in schema.tables:
        there = found.tables.get(table.name)
        if there is None:
            detail = "a view of that name stands there" if table.name in found.views else ""
            yield Difference("missing", "table", table.name, table.name, detail)
            continue
        columns = list(_columns(list(derived.layout[fold(table.name)].columns.values()), there))
        if columns:
            yield Difference("changed", "table", table.name, table.name, "; ".join(columns[:6]))
        yield from _rules(table, derived, there)
    for view in schema.views:
        if view.name not in found.views:
            yield Difference("missing", "view", view.name, view.name)
    yield from _triggers(schema, derived, found)


def _columns(expected: list[PgColumn], there: CatalogTable) -> Iterator[str]:
    missing = [column.name for column in expected if column.name not in there.columns]
    extra = sorted(set(there.columns) - {column.name for column in expected})
    if missing:
        yield f"column {', '.join(missing)} missing"
    if extra:
        yield f"column {', '.join(extra)} unexpected"
    for column in expected:
        other = there.columns.get(column.name)
        if other is None:
            continue
        kind, _, collation = column.type.partition(' COLLATE "')
        if other.type != kind:
            yield f"column {column.name} is {other.type}, expected {kind}"
        elif collation and other.collation != collation.rstrip('"'):
            yield f"column {column.name} has the collation {other.collation or 'of the database'}, expected C"
        elif column.source.is_not_null and not other.is_not_null:
            yield f"column {column.name} is nullable"
        elif column.source.default is not None and other.default is None:
            yield f"column {column.name} has no default"


def _rules(table: Table, derived: Derived, there: CatalogTable) -> Iterator[Difference]:
    replaced = derived.layout[fold(table.name)].replaced
    for rule in (
        *table.uniques,
        *table.foreign_keys,
        *(check for check in table.checks if check not in replaced),
    ):
        if rule.name and rule.name not in there.constraints and rule.name not in there.indexes:
            yield Difference("missing", "constraint", rule.name, table.name)
    if table.primary_key is not None and not any(rule.kind == "p" for rule in there.constraints.values()):
        yield Difference("missing", "constraint", table.primary_key.name or "primary key", table.name)
    for index in table.indexes:
        other = there.indexes.get(index.name)
        if other is None:
            yield Difference("missing", "index", index.name, table.name)
        elif index.is_unique != other.is_unique:
            yield Difference("changed", "index", index.name, table.name, "UNIQUE differs")


def _triggers(schema: Schema, derived: Derived, found: Catalog) -> Iterator[Difference]:
    functions: dict[str, Step] = {step.name: step for step in derived.rest if step.kind == "function"}
    for trigger in schema.triggers:
        table = found.tables.get(_declared_name(schema, trigger.table))
        if table is None:
            continue
        if trigger.name not in table.triggers:
            yield Difference("missing", "trigger", trigger.name, trigger.table)
        elif table.triggers[trigger.name][1] not in functions[trigger.name].sql:
            yield Difference("changed", "trigger", trigger.name, trigger.table, "its function is another")


def _declared_name(schema: Schema, name: str) -> str:
    table = schema.table(name)
    return table.name if table else name


def _extra(schema: Schema, found: Catalog) -> Iterator[Difference]:
    tables = {table.name for table in schema.tables}
    yield from (Difference("extra", "table", name, name) for name in found.tables if name not in tables)
    views = {view.name for view in schema.views}
    yield from (Difference("extra", "view", name, name) for name in sorted(found.views - views))
