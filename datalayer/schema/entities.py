"""Tables and what they refer to, read from a live database of either engine, for drawing and telling.

Simpler than a snapshot or a catalog on purpose: what a picture of a schema needs and no more. Knows no
picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from datalayer.engine.connection import Engine
from datalayer.schema import catalog, snapshot

__all__ = ["Attribute", "Entities", "Entity", "Reference", "read_entities"]

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column; `type` is as declared and may be empty, `is_unique` says that it alone is a key."""

    name: str
    type: str
    is_key: bool = False
    is_reference: bool = False
    is_unique: bool = False
    is_not_null: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """A table; one without attributes that `is_missing` is referred to and not there."""

    name: str
    attributes: tuple[Attribute, ...] = ()
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: each row of `table` has one of `parent`, or may have none (`is_optional`).

    `is_single`: its columns are a key, so a row of the parent has at most one of `table`.
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    is_optional: bool
    is_single: bool
    on_delete: str = "NO ACTION"


@dataclass(frozen=True, slots=True)
class Entities:
    """All tables by name, and all references by table and column."""

    tables: tuple[Entity, ...]
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    """A foreign key as either engine tells it."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as either engine tells it; `uniques` are the column names of each key, `primary` is one of."""

    name: str
    columns: tuple[tuple[str, str, bool], ...]
    primary: tuple[str, ...]
    uniques: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[_Key, ...]


def read_entities(engine: Engine) -> Entities:
    """Read all tables of a database with columns, keys and references, in one read transaction.

    Reads the schema only, no row. Tables that a virtual table keeps for itself are left out. Raises
    DatabaseCorrupt where the schema cannot be read.
    """
    with engine.transaction(read=True):
        tables = _from_sqlite(engine) if engine.dialect.name == "sqlite" else _from_postgres(engine)
    by_name = {table.name: table for table in tables}
    references = [
        _reference(table, key, by_name.get(key.parent)) for table in tables for key in table.foreign_keys
    ]
    there = [_entity(table) for table in tables]
    missing = [Entity(name, is_missing=True) for name in {one.parent for one in references} - by_name.keys()]
    return Entities(
        tuple(sorted([*there, *missing], key=lambda one: one.name)),
        tuple(sorted(references, key=lambda one: (one.table, one.columns, one.parent, one.parent_columns))),
    )


def _from_sqlite(engine: Engine) -> list[_Table]:
    schema = snapshot.read(engine.connection())
    return [_sqlite_table(schema, table) for table in schema.tables if table.kind != "shadow"]


def _sqlite_table(schema: snapshot.Schema, table: snapshot.Table) -> _Table:
    primary = [one for one in table.columns if one.key_position]
    uniques = [unique.columns for unique in table.uniques]
    uniques += [_plain(index.terms) for index in table.indexes if index.is_unique and index.where is None]
    return _Table(
        table.name,
        tuple((one.name, one.type, one.is_not_null) for one in table.columns if not one.is_hidden),
        tuple(one.name for one in sorted(primary, key=lambda one: one.key_position)),
        tuple(_as_declared(table, unique) for unique in uniques if unique and all(unique)),
        tuple(_sqlite_key(schema, table, key) for key in table.foreign_keys),
    )


def _sqlite_key(schema: snapshot.Schema, table: snapshot.Table, key: snapshot.ForeignKey) -> _Key:
    parent = schema.table(key.parent)
    return _Key(
        _as_declared(table, key.columns),
        parent.name if parent is not None else key.parent,
        _as_declared(parent, key.parent_columns) if parent is not None else key.parent_columns,
        key.on_delete,
    )


def _as_declared(table: snapshot.Table, names: Iterable[str]) -> tuple[str, ...]:
    """Give columns in the letter case of their declaration: a constraint may name them in another."""
    found = [(table.column(name), name) for name in names]
    return tuple(name if column is None else column.name for column, name in found)


def _plain(terms: Iterable[snapshot.Term]) -> tuple[str, ...]:
    """Give the columns of an index; one with an expression has an empty name in it."""
    return tuple(term.column or "" for term in terms)


def _from_postgres(engine: Engine) -> list[_Table]:
    found = catalog.read(engine)
    return [_postgres_table(table) for table in found.tables.values()]


def _postgres_table(table: catalog.CatalogTable) -> _Table:
    rules = list(table.constraints.values())
    primary = next((rule.columns for rule in rules if rule.kind == "p"), ())
    uniques = [rule.columns for rule in rules if rule.kind == "u"]
    known = set(table.columns)
    for index in table.indexes.values():
        names = tuple(_bare(term) for term in index.terms)
        if index.is_unique and index.is_valid and index.predicate is None and known.issuperset(names):
            uniques.append(names)
    return _Table(
        table.name,
        tuple((one.name, one.type, one.is_not_null) for one in table.columns.values()),
        primary,
        tuple(uniques),
        tuple(
            _Key(rule.columns, rule.parent or "", rule.parent_columns, _on_delete(rule.definition))
            for rule in rules
            if rule.kind == "f"
        ),
    )


def _bare(term: str) -> str:
    """Give the name of a column without its quotes, as pg_get_indexdef() writes it."""
    return term[1:-1].replace('""', '"') if term.startswith('"') and term.endswith('"') else term


def _on_delete(definition: str) -> str:
    # a name may hold anything, these words too
    found = re.search(r" ON DELETE (CASCADE|SET NULL|SET DEFAULT|RESTRICT)", _QUOTED.sub("", definition))
    return found[1] if found else "NO ACTION"


def _entity(table: _Table) -> Entity:
    references = {name for key in table.foreign_keys for name in key.columns}
    alone = {names[0] for names in (table.primary, *table.uniques) if len(names) == 1}
    return Entity(
        table.name,
        tuple(
            Attribute(
                name,
                type_,
                name in table.primary,
                name in references,
                name in alone,
                is_not_null or name in table.primary,
            )
            for name, type_, is_not_null in table.columns
        ),
    )


def _reference(table: _Table, key: _Key, parent: _Table | None) -> Reference:
    columns = set(key.columns)
    # any of the columns that is NULL lets the reference go: MATCH SIMPLE, the only kind SQLite has
    nullable = {name for name, _, is_not_null in table.columns if not is_not_null} - {*table.primary}
    keys = [names for names in (table.primary, *table.uniques) if names]
    return Reference(
        table.name,
        key.columns,
        key.parent,
        key.parent_columns or (parent.primary if parent is not None else ()),
        bool(columns & nullable),
        any(columns.issuperset(names) for names in keys),
        key.on_delete,
    )
