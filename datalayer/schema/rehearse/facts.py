"""What stands in a database at one moment, in one form for both engines: tables, their rules, their rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from datalayer.schema.catalog import Catalog, CatalogTable
from datalayer.schema.snapshot import Index, Schema, Table
from datalayer.schema.tokens import canonical_text, fold

__all__ = ["Facts", "TableFacts", "changes_between", "facts_of_catalog", "facts_of_schema"]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table: each map leads from a name to what it means.

    A column means (type, whether it is NOT NULL, default); a rule without a name stands under its text.
    """

    columns: Mapping[str, tuple[str, bool, str]]
    indexes: Mapping[str, str]
    uniques: Mapping[str, str]
    checks: Mapping[str, str]
    references: Mapping[str, str]
    triggers: Mapping[str, str]
    parents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything of one moment.

    `links` counts the rows in which a reference is set that a deletion would empty. `other` are views and the
    numbers in the header.
    """

    tables: Mapping[str, TableFacts]
    counts: Mapping[str, int]
    links: Mapping[str, int] = field(default_factory=dict[str, int])
    other: frozenset[str] = frozenset()
    broken: int = 0
    files: Mapping[str, int] = field(default_factory=dict[str, int])
    locks: frozenset[tuple[str, str]] = frozenset()
    unproven: frozenset[str] = frozenset()
    lock_timeout: str = ""


def facts_of_schema(schema: Schema) -> tuple[dict[str, TableFacts], frozenset[str]]:
    """Give the tables and other objects of a SQLite schema; shadow tables belong to their virtual table."""
    names = schema.names
    triggers: dict[str, dict[str, str]] = {}
    for trigger in schema.triggers:
        triggers.setdefault(fold(trigger.table), {})[trigger.name] = _same(trigger.sql, names)
    tables = {
        table.name: _table(table, triggers.get(fold(table.name), {}), names)
        for table in schema.tables
        if table.kind != "shadow"
    }
    other = {f"view {view.name} {_same(view.sql, names)}" for view in schema.views}
    other |= {f"user_version {schema.user_version}", f"application_id {schema.application_id}"}
    return tables, frozenset(other)


def facts_of_catalog(found: Catalog) -> tuple[dict[str, TableFacts], frozenset[str], frozenset[str]]:
    """Give the tables, the other objects and the constraints not validated of a PostgreSQL schema."""
    unproven = frozenset(
        f"{table.name}.{constraint.name}"
        for table in found.tables.values()
        for constraint in table.constraints.values()
        if not constraint.is_valid
    )
    tables = {name: _catalog_table(table) for name, table in found.tables.items()}
    return tables, frozenset(f"view {name}" for name in found.views), unproven


def changes_between(before: Facts, after: Facts) -> tuple[str, ...]:
    """Say in words what became of the schema."""
    found = [f"table {name} made" for name in after.tables if name not in before.tables]
    found += [f"table {name} gone" for name in before.tables if name not in after.tables]
    for name, now in after.tables.items():
        then = before.tables.get(name)
        if then is None or then == now:
            continue
        for kind, mine, theirs in (
            ("column", then.columns, now.columns),
            ("index", then.indexes, now.indexes),
            ("unique key", then.uniques, now.uniques),
            ("check", then.checks, now.checks),
            ("reference", then.references, now.references),
            ("trigger", then.triggers, now.triggers),
        ):
            found += [f"{kind} {name}.{one} made" for one in theirs if one not in mine]
            found += [f"{kind} {name}.{one} gone" for one in mine if one not in theirs]
            found += [
                f"{kind} {name}.{one} changed" for one in mine if one in theirs and mine[one] != theirs[one]
            ]
    found += [
        f"{one.split(' ', 2)[0]} {one.split(' ', 2)[1]} made" for one in sorted(after.other - before.other)
    ]
    found += [
        f"{one.split(' ', 2)[0]} {one.split(' ', 2)[1]} gone" for one in sorted(before.other - after.other)
    ]
    return tuple(found)


def _same(text: str, names: frozenset[str]) -> str:
    return " ".join(canonical_text(text, names))


def _table(table: Table, triggers: Mapping[str, str], names: frozenset[str]) -> TableFacts:
    def keys(columns: tuple[str, ...]) -> str:
        return ", ".join(map(fold, columns))

    uniques = {unique.name or keys(unique.columns): keys(unique.columns) for unique in table.uniques}
    if table.primary_key is not None:
        uniques["primary key"] = keys(table.primary_key.columns)
    return TableFacts(
        {
            column.name: (fold(column.type), column.is_not_null, _same(column.default or "", names))
            for column in table.columns
        },
        {index.name: _index(index, names) for index in table.indexes},
        uniques,
        {
            check.name or _same(check.expression, names): _same(check.expression, names)
            for check in table.checks
        },
        {
            key.name
            or f"{keys(key.columns)} -> {fold(key.parent)}": f"{keys(key.columns)} -> {fold(key.parent)}"
            f" ({keys(key.parent_columns)}) {key.on_delete} {key.on_update}"
            for key in table.foreign_keys
        },
        triggers,
        frozenset(key.parent for key in table.foreign_keys),
    )


def _index(index: Index, names: frozenset[str]) -> str:
    terms = ", ".join(_same(term.column or term.expression or "", names) for term in index.terms)
    return f"{'unique ' * index.is_unique}({terms}) {_same(index.where or '', names)}"


def _catalog_table(table: CatalogTable) -> TableFacts:
    def rules(kinds: str) -> dict[str, str]:
        return {one.name: one.definition for one in table.constraints.values() if one.kind in kinds}

    parents = (
        re.search(r'REFERENCES (?:\S+\.)?("(?:[^"]|"")+"|[^\s(]+)', text) for text in rules("f").values()
    )
    return TableFacts(
        {
            column.name: (column.type, column.is_not_null, column.default or "")
            for column in table.columns.values()
        },
        {
            index.name: index.definition
            for index in table.indexes.values()
            if index.name not in table.constraints
        },
        rules("pux"),
        rules("c"),
        rules("f"),
        {name: definition for name, (definition, _) in table.triggers.items()},
        frozenset(found[1].strip('"') for found in parents if found),
    )
