"""What a live PostgreSQL schema holds, read from pg_catalog, and how it differs from what was derived for it.

Reads only. https://www.postgresql.org/docs/current/catalogs.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from datalayer.schema.difference import Difference
from datalayer.schema.plan import Step
from datalayer.schema.postgres import Derived
from datalayer.schema.postgres_types import PgColumn
from datalayer.schema.postgres_words import with_word_indexes
from datalayer.schema.snapshot import Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = [
    "Catalog",
    "CatalogColumn",
    "CatalogConstraint",
    "CatalogFunction",
    "CatalogIndex",
    "CatalogTable",
    "CatalogView",
    "Source",
    "compare",
    "read",
]


_STORAGE = re.compile(r" WITH \((?:[^()']|'[^']*')*\)(?= WHERE |\Z)")
_BEYOND_FILES = re.compile(r"\) INCLUDE \(|\) NULLS NOT DISTINCT|[ .]\w+_ops[ ,)]")


class Source(Protocol):
    """What is read from: an engine, or anything else that answers queries about one PostgreSQL schema."""

    schema_name: str

    def fetch_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column: `type` as format_type() has it, `collation` None for the database's own.

    `identity` and `generated` are pg_attribute's letters, `sequence` the sequence that the column owns, with
    those of its options that are not the usual.
    """

    name: str
    type: str
    is_not_null: bool
    default: str | None
    is_identity: bool
    is_generated: bool
    collation: str | None
    identity: str = ""
    generated: str = ""
    sequence: str | None = None
    sequence_options: str = ""


@dataclass(frozen=True, slots=True)
class CatalogConstraint:
    """A constraint: `kind` is pg_constraint.contype (p, u, c, f, n, x).

    `columns` are its own, `parent` and `parent_columns` those that a foreign key refers to (without a
    `parent` it is in another schema), `expression` a CHECK's condition.
    """

    name: str
    kind: str
    definition: str
    is_valid: bool
    columns: tuple[str, ...] = ()
    parent: str | None = None
    parent_columns: tuple[str, ...] = ()
    expression: str | None = None

    @property
    def text(self) -> str:
        """The definition without the word that it was not validated."""
        return self.definition.removesuffix(" NOT VALID")


@dataclass(frozen=True, slots=True)
class CatalogIndex:
    """An index, those of constraints included.

    `tail` is the definition from USING on, `terms` are its columns and expressions without order,
    `constraint` is the name of the constraint that it serves.
    """

    name: str
    table: str
    tail: str
    is_unique: bool
    is_valid: bool
    terms: tuple[str, ...] = ()
    predicate: str | None = None
    constraint: str | None = None

    @property
    def shape(self) -> str:
        """The tail without storage parameters, which no schema file speaks of."""
        return _STORAGE.sub("", self.tail)

    @property
    def is_of_a_file(self) -> bool:
        """Whether a schema file can say it: a B-tree without INCLUDE, or words to search for."""
        is_plain = self.tail.startswith("USING btree (") and not _BEYOND_FILES.search(self.tail)
        return is_plain or (self.tail.startswith("USING gin (") and "to_tsvector(" in self.tail)

    @property
    def definition(self) -> str:
        """The statement that makes it, without the name of the schema."""
        return self.statement(self.name)

    def statement(self, name: str, *, concurrently: bool = False) -> str:
        """Give the statement that makes it under a name."""
        unique, how = "UNIQUE " if self.is_unique else "", "CONCURRENTLY " if concurrently else ""
        return f"CREATE {unique}INDEX {how}{quote(name)} ON {quote(self.table)} {self.tail}"


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table with everything on it; `triggers` maps a name to (definition, source of its function).

    `kind` is pg_class.relkind, `is_plain` False for partitions and heirs.
    """

    name: str
    columns: Mapping[str, CatalogColumn]
    constraints: Mapping[str, CatalogConstraint]
    indexes: Mapping[str, CatalogIndex]
    triggers: Mapping[str, tuple[str, str]]
    kind: str = "r"
    is_plain: bool = True


@dataclass(frozen=True, slots=True)
class CatalogView:
    """A view: its query, what it reads as (table or view, column or None), and who was given rights."""

    name: str
    query: str
    reads: frozenset[tuple[str, str | None]]
    triggers: Mapping[str, tuple[str, str]]
    grants: tuple[str, ...]
    is_materialized: bool


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """A function or procedure; `signature` is its name with argument types as SQL writes it.

    `definition` is a CREATE OR REPLACE FUNCTION. `shape` is what it means: language, result, source,
    settings; equal in two schemas that call it alike.
    """

    signature: str
    name: str
    definition: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """One PostgreSQL schema; what extensions own is left out.

    `others` names what is of a kind that no schema file makes: types, sequences of their own, statistics.
    """

    tables: Mapping[str, CatalogTable]
    views: frozenset[str]
    view_texts: Mapping[str, CatalogView] = field(default_factory=dict[str, CatalogView])
    functions: Mapping[str, CatalogFunction] = field(default_factory=dict[str, CatalogFunction])
    others: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a user stands in the schema."""
        return not self.tables and not self.views


_NOT_OF_AN_EXTENSION = """NOT EXISTS (
    SELECT 1 FROM pg_depend e
    WHERE e.classid = '{catalog}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"""
_RELATIONS = f"""
SELECT c.oid, c.relname, c.relkind::text,
c.relkind = 'r' AND NOT c.relispartition
AND NOT EXISTS (SELECT 1 FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
AND {_NOT_OF_AN_EXTENSION.format(catalog="pg_class", oid="c.oid")} ORDER BY c.relname"""
_COLUMNS = """
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
pg_get_expr(d.adbin, d.adrelid), a.attidentity <> '', a.attgenerated <> '', l.collname,
a.attidentity::text, a.attgenerated::text, own.relname,
concat(CASE WHEN own.seqincrement <> 1 THEN format(' INCREMENT %%s', own.seqincrement) END,
CASE WHEN own.seqincrement < 0 OR own.seqmin <> 1 THEN format(' MINVALUE %%s', own.seqmin) END,
CASE WHEN own.seqincrement < 0 OR own.seqmax NOT IN (32767, 2147483647, 9223372036854775807)
THEN format(' MAXVALUE %%s', own.seqmax) END,
CASE WHEN own.seqincrement < 0 OR own.seqstart <> 1 THEN format(' START %%s', own.seqstart) END,
CASE WHEN own.seqcache <> 1 THEN format(' CACHE %%s', own.seqcache) END,
CASE WHEN own.seqcycle THEN ' CYCLE' END)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN LATERAL (
    SELECT s.relname, q.* FROM pg_depend o JOIN pg_class s ON s.oid = o.objid AND s.relkind = 'S'
    JOIN pg_sequence q ON q.seqrelid = s.oid
    WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = a.attrelid
    AND o.refobjsubid = a.attnum AND o.deptype IN ('a', 'i') ORDER BY 1 LIMIT 1) own ON true
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"""
_CONSTRAINTS = """
SELECT c.conrelid, c.conname, c.contype::text, pg_get_constraintdef(c.oid), c.convalidated,
ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k (number, place)
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place),
p.relname,
ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k (number, place)
JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.place),
CASE c.contype WHEN 'c' THEN pg_get_expr(c.conbin, c.conrelid) END
FROM pg_constraint c LEFT JOIN pg_class p ON p.oid = c.confrelid AND p.relnamespace = c.connamespace
WHERE c.conrelid = ANY(%s) AND c.contype <> 't' ORDER BY c.conrelid, c.conname"""
# the text before USING is cut off by its length: names may hold anything; temporary tables are said to be in
# pg_temp since PostgreSQL 15
_INDEXES = """
SELECT i.indrelid, c.relname, t.relname, ltrim(substr(pg_get_indexdef(c.oid), length(format(
'CREATE %%sINDEX %%I ON %%s%%I.%%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
CASE WHEN t.relkind = 'p' THEN 'ONLY ' ELSE '' END,
CASE WHEN n.oid = pg_my_temp_schema() AND pg_get_indexdef(c.oid) LIKE '%% ON pg_temp.%%' THEN 'pg_temp'
ELSE n.nspname END, t.relname)))), i.indisunique, i.indisvalid,
ARRAY(SELECT pg_get_indexdef(c.oid, k, false) FROM generate_series(1, i.indnkeyatts) k ORDER BY k),
pg_get_expr(i.indpred, i.indrelid),
(SELECT o.conname FROM pg_constraint o WHERE o.conindid = c.oid AND o.contype IN ('p', 'u', 'x'))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.indrelid = ANY(%s) ORDER BY i.indrelid, c.relname"""
_TRIGGERS = """
SELECT t.tgrelid, t.tgname, CASE WHEN p.pronamespace = pg_my_temp_schema()
THEN regexp_replace(pg_get_triggerdef(t.oid, true), ' FUNCTION pg_temp(_\\d+)?\\.', ' FUNCTION ')
ELSE pg_get_triggerdef(t.oid, true) END, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = ANY(%s) AND NOT t.tgisinternal ORDER BY t.tgrelid, t.tgname"""
_VIEWS = """
SELECT c.oid, rtrim(pg_get_viewdef(c.oid), ';'), c.relkind = 'm',
ARRAY(SELECT format('GRANT %%s ON %%I TO %%s', a.privilege_type, c.relname,
CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner ORDER BY 1),
ARRAY(SELECT DISTINCT ARRAY[r.relname::text, a.attname::text] FROM pg_rewrite w
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
JOIN pg_class r ON r.oid = d.refobjid
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
WHERE w.ev_class = c.oid)
FROM pg_class c WHERE c.oid = ANY(%s) AND c.relkind IN ('v', 'm')"""
_FUNCTIONS = f"""
SELECT format('%%I(%%s)', p.proname, pg_get_function_identity_arguments(p.oid)), p.proname,
pg_get_functiondef(p.oid), l.lanname, pg_get_function_result(p.oid), p.prosrc,
coalesce(replace(replace(array_to_string(p.proconfig, ','), CASE WHEN n.oid = pg_my_temp_schema()
THEN 'pg_temp' ELSE quote_ident(n.nspname) END, '*'), '"', ''), '')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname = %s AND p.prokind IN ('f', 'p')
AND {_NOT_OF_AN_EXTENSION.format(catalog="pg_proc", oid="p.oid")} ORDER BY 1"""
_OTHERS = f"""
SELECT 'sequence ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'S'
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
AND d.deptype IN ('a', 'i', 'e')) UNION ALL
SELECT 'type ' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = %s AND t.typtype IN ('e', 'd', 'r')
AND {_NOT_OF_AN_EXTENSION.format(catalog="pg_type", oid="t.oid")} UNION ALL
SELECT 'statistics ' || s.stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE n.nspname = %s ORDER BY 1"""


def read(source: Source) -> Catalog:
    """Read a schema in eight queries.

    Take a read transaction around it for one consistent picture. The search_path must hold this schema:
    names in texts are qualified otherwise.
    """
    schema = source.schema_name
    relations = source.fetch_all(_RELATIONS, (schema,))
    oids = [row[0] for row in relations]

    def rows_by_table(sql: str) -> dict[Any, list[tuple[Any, ...]]]:
        grouped: dict[Any, list[tuple[Any, ...]]] = {}
        for row in source.fetch_all(sql, (oids,)):
            grouped.setdefault(row[0], []).append(row[1:])
        return grouped

    parts = [rows_by_table(sql) for sql in (_COLUMNS, _CONSTRAINTS, _INDEXES, _TRIGGERS)]
    triggers, views = parts[3], rows_by_table(_VIEWS)
    return Catalog(
        {
            name: _table(name, [part.get(oid, []) for part in parts], kind, is_plain=is_plain)
            for oid, name, kind, is_plain in relations
            if kind in ("r", "p", "f")
        },
        frozenset(name for _, name, kind, _ in relations if kind in ("v", "m")),
        {
            name: _view(name, views[oid][0], triggers.get(oid, ()))
            for oid, name, _, _ in relations
            if oid in views
        },
        {
            row[0]: CatalogFunction(row[0], row[1], row[2], tuple(row[3:]))
            for row in source.fetch_all(_FUNCTIONS, (schema,))
        },
        tuple(row[0] for row in source.fetch_all(_OTHERS, (schema, schema, schema))),
    )


def _table(name: str, parts: Sequence[list[tuple[Any, ...]]], kind: str, *, is_plain: bool) -> CatalogTable:
    columns, constraints, indexes, triggers = parts
    return CatalogTable(
        name,
        {row[0]: CatalogColumn(*row) for row in columns},
        {row[0]: _constraint(row) for row in constraints},
        {row[0]: _index(row) for row in indexes},
        {row[0]: (row[1], row[2]) for row in triggers},
        kind,
        is_plain,
    )


def _constraint(row: Sequence[Any]) -> CatalogConstraint:
    name, kind, definition, is_valid, columns, parent, parent_columns, expression = row
    return CatalogConstraint(
        name, kind, definition, is_valid, tuple(columns), parent, tuple(parent_columns), expression
    )


def _index(row: Sequence[Any]) -> CatalogIndex:
    name, table, tail, is_unique, is_valid, terms, predicate, constraint = row
    return CatalogIndex(name, table, tail, is_unique, is_valid, tuple(terms), predicate, constraint)


def _view(name: str, row: Sequence[Any], triggers: Sequence[tuple[Any, ...]]) -> CatalogView:
    query, is_materialized, grants, reads = row
    return CatalogView(
        name,
        query,
        frozenset((table, column) for table, column in reads),
        {trigger[0]: (trigger[1], trigger[2]) for trigger in triggers},
        tuple(grants),
        is_materialized,
    )


def compare(schema: Schema, derived: Derived, found: Catalog) -> list[Difference]:
    """Compare a live schema with what was derived: columns, types, named rules, indexes, triggers.

    What CHECKs and indexes say is compared by catalog_texts: PostgreSQL keeps it in its own words.
    """
    schema = with_word_indexes(schema)
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
