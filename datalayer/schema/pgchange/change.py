"""What differs between a live PostgreSQL schema and the wanted one, as a list of changes.

Both catalogs are in PostgreSQL's own words, so equal texts are equal meanings. The order of columns is free:
PostgreSQL cannot change it. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from datalayer.schema.catalog import Catalog, CatalogColumn, CatalogConstraint, CatalogIndex, CatalogTable
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.pgchange.conversion import column_type
from datalayer.schema.pgchange.names import is_temporary, mentions

__all__ = ["Change", "changes", "is_ours", "lost_columns", "names_in_the_way", "retyped_columns"]

Verb = Literal["add", "drop", "alter", "rename"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `before` and `after` are the catalog's values of it.

    `kind` is table, column, type, not null, default, identity, generated, constraint, validity, index,
    trigger, function or view.
    """

    verb: Verb
    kind: str
    table: str
    name: str
    before: Any = None
    after: Any = None


def changes(found: Catalog, wanted: Catalog, *, exact: bool) -> list[Change]:
    """Compare a live schema, its renames done, with the wanted one.

    Without `exact`, tables, views, indexes and triggers that the wanted schema lacks belong to other programs
    and are left out.
    Kept in either case: objects of kinds that a schema file cannot make (EXCLUDE, references to another
    schema, indexes other than plain B-trees), functions that no trigger of ours uses, triggers whose function
    is in another schema, names that only a running migration has.
    """
    found_changes = [
        change
        for table in wanted.tables.values()
        if table.name not in JOURNAL_TABLES or table.name not in found.tables
        for change in _table(found.tables.get(table.name), table)
        if exact or change.verb != "drop" or change.kind not in ("index", "trigger")
    ]
    found_changes += _functions(found, wanted)
    found_changes += _views(found, wanted, exact=exact)
    if exact:
        found_changes += [
            Change("drop", "table", name, name, table)
            for name, table in found.tables.items()
            if name not in wanted.tables and name not in JOURNAL_TABLES
        ]
    return found_changes


def retyped_columns(
    before: CatalogTable, after: CatalogTable
) -> dict[str, tuple[CatalogColumn, CatalogColumn]]:
    """Give the columns whose type or collation differs, generated ones left out."""
    pairs = ((before.columns.get(name), column) for name, column in after.columns.items())
    return {
        column.name: (old, column)
        for old, column in pairs
        if old is not None
        and column_type(old) != column_type(column)
        and not (old.is_generated or column.is_generated)
    }


def lost_columns(before: CatalogTable, after: CatalogTable) -> frozenset[str]:
    """Give the columns that are dropped to be made again: generated ones that cannot be changed in place."""
    retyped = retyped_columns(before, after)
    lost: set[str] = set()
    for name, column in after.columns.items():
        old = before.columns.get(name)
        if old is None or not (old.is_generated or column.is_generated):
            continue
        becomes_plain = old.is_generated and not column.is_generated
        is_same = (old.generated, old.default, column_type(old)) == (
            column.generated,
            column.default,
            column_type(column),
        )
        reads_retyped = any(mentions(old.default, other) for other in retyped)
        if (not is_same and not (becomes_plain and column_type(old) == column_type(column))) or (
            old.is_generated and reads_retyped
        ):
            lost.add(name)
    return frozenset(lost)


def _table(before: CatalogTable | None, after: CatalogTable) -> Iterator[Change]:
    if before is None:
        yield Change("add", "table", after.name, after.name, None, after)
        for rule in after.constraints.values():
            if rule.kind == "f":
                yield Change("add", "constraint", after.name, rule.name, None, rule)
        yield from _triggers({}, after.triggers, after.name)
        return
    yield from _columns(before, after)
    yield from _constraints(before, after)
    yield from _indexes(before, after)
    yield from _triggers(before.triggers, after.triggers, after.name)


def _columns(before: CatalogTable, after: CatalogTable) -> Iterator[Change]:
    table = after.name
    retyped, lost = retyped_columns(before, after), lost_columns(before, after)
    for name, column in after.columns.items():
        old = before.columns.get(name)
        if old is None:
            yield Change("add", "column", table, name, None, column)
        elif name in lost:
            yield Change("alter", "generated", table, name, old, column)
        else:
            yield from _column(table, before, old, column, is_retyped=name in retyped)
    for name, column in before.columns.items():
        if name not in after.columns:
            yield Change("drop", "column", table, name, column)


def _column(
    table: str, before: CatalogTable, old: CatalogColumn, column: CatalogColumn, *, is_retyped: bool
) -> Iterator[Change]:
    name = column.name
    if is_retyped:
        yield Change("alter", "type", table, name, old, column)
    if old.is_generated and not column.is_generated:
        yield Change("alter", "generated", table, name, old, column)
    if old.identity != column.identity:
        yield Change("alter", "identity", table, name, old, column)
    elif not column.is_generated and not old.is_generated and old.default != column.default:
        yield Change("alter", "default", table, name, old, column)
    is_unproved = any(
        rule.kind == "n" and not rule.is_valid and rule.columns == (name,)
        for rule in before.constraints.values()
    )
    if old.is_not_null != column.is_not_null or (column.is_not_null and is_unproved):
        yield Change("alter", "not null", table, name, old, column)


def _rules(table: CatalogTable) -> dict[str, CatalogConstraint]:
    """Give the constraints that a file can say: a NOT NULL is its column's, no file names other schemas."""
    return {
        name: rule
        for name, rule in table.constraints.items()
        if rule.kind in "puc" or (rule.kind == "f" and rule.parent is not None)
    }


def _is_lost(rule: CatalogConstraint, lost: frozenset[str]) -> bool:
    return bool(lost & set(rule.columns))


def _constraints(before: CatalogTable, after: CatalogTable) -> Iterator[Change]:
    lost = lost_columns(before, after)
    have, want = _rules(before), _rules(after)
    have = {name: rule for name, rule in have.items() if not _is_lost(rule, lost)}
    gone = {name: rule for name, rule in have.items() if name not in want}
    for name, rule in want.items():
        old = have.get(name)
        if old is None:
            twin = next(
                (other for other in gone.values() if (other.kind, other.text) == (rule.kind, rule.text)), None
            )
            if twin is not None:
                del gone[twin.name]
                yield Change("rename", "constraint", after.name, twin.name, twin, rule)
                old = twin
            else:
                yield Change("add", "constraint", after.name, name, None, rule)
                continue
        if (old.kind, old.text) != (rule.kind, rule.text):
            yield Change("alter", "constraint", after.name, name, old, rule)
        elif rule.is_valid and not old.is_valid:
            yield Change("alter", "validity", after.name, name, old, rule)
    for name, rule in gone.items():
        yield Change("drop", "constraint", after.name, name, rule)


def _own_indexes(table: CatalogTable) -> dict[str, CatalogIndex]:
    return {name: index for name, index in table.indexes.items() if index.constraint is None}


def _same_index(one: CatalogIndex, other: CatalogIndex) -> bool:
    return (one.is_unique, one.shape, one.is_valid) == (other.is_unique, other.shape, other.is_valid)


def _indexes(before: CatalogTable, after: CatalogTable) -> Iterator[Change]:
    lost = lost_columns(before, after)
    have = {
        name: index
        for name, index in _own_indexes(before).items()
        if not any(mentions(index.tail, column) for column in lost)
    }
    want = _own_indexes(after)
    gone = {name: index for name, index in have.items() if name not in want}
    for name, index in want.items():
        old = have.get(name)
        if old is None:
            twin = next((other for other in gone.values() if _same_index(other, index)), None)
            if twin is not None:
                del gone[twin.name]
                yield Change("rename", "index", after.name, twin.name, twin, index)
            else:
                yield Change("add", "index", after.name, name, None, index)
        elif not _same_index(old, index):
            yield Change("alter", "index", after.name, name, old, index)
    for name, index in gone.items():
        if index.is_of_a_file:
            yield Change("drop", "index", after.name, name, index)


def names_in_the_way(found: Catalog, wanted: Catalog) -> list[tuple[str, str]]:
    """Give the (table, index) whose name something else is to have: all names of one schema are different."""
    owners = {name: table.name for table in wanted.tables.values() for name in table.indexes}
    owners |= dict.fromkeys((*wanted.tables, *wanted.views), "")
    return [
        (table.name, name)
        for table in found.tables.values()
        for name in table.indexes
        if owners.get(name, table.name) != table.name
    ]


Triggers = Mapping[str, tuple[str, str]]


def is_ours(definition: str) -> bool:
    """Whether a trigger's function is in the schema itself: then its name stands there without a schema's."""
    called = definition.rpartition(" EXECUTE FUNCTION ")[2]
    return "." not in called.partition("(")[0]


def _triggers(before: Triggers, after: Triggers, table: str) -> Iterator[Change]:
    for name, (definition, _) in after.items():
        old = before.get(name)
        if old is None:
            yield Change("add", "trigger", table, name, None, definition)
        elif old[0] != definition:
            yield Change("alter", "trigger", table, name, old[0], definition)
    for name, (definition, _) in before.items():
        if name not in after and is_ours(definition):
            yield Change("drop", "trigger", table, name, definition)


def _functions(found: Catalog, wanted: Catalog) -> Iterator[Change]:
    for signature, function in wanted.functions.items():
        old = found.functions.get(signature)
        if old is None:
            yield Change("add", "function", "", function.name, None, function)
        elif old.shape != function.shape:
            yield Change("alter", "function", "", function.name, old, function)


def _views(found: Catalog, wanted: Catalog, *, exact: bool) -> Iterator[Change]:
    for name, view in wanted.view_texts.items():
        old = found.view_texts.get(name)
        if old is None:
            yield Change("add", "view", "", name, None, view)
        elif old.query != view.query or old.is_materialized:
            yield Change("alter", "view", "", name, old, view)
        else:
            yield from _triggers(old.triggers, view.triggers, name)
            continue
        yield from _triggers({}, view.triggers, name)
    for name, view in found.view_texts.items():
        if exact and name not in wanted.view_texts and not view.is_materialized and not is_temporary(name):
            yield Change("drop", "view", "", name, view)
