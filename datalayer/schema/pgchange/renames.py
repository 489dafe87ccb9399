"""Declared renames: which of them are still to be done, and the catalog as it will be called afterwards.

After the renames are really done the schema is read again, so texts put together here only have to be right
enough to show a plan. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from datalayer.errors import MigrationRefused
from datalayer.schema.catalog import Catalog, CatalogColumn, CatalogConstraint, CatalogIndex, CatalogTable
from datalayer.schema.pgchange.names import ident, rename_in
from datalayer.schema.tokens import fold

__all__ = ["Renames", "in_order", "renamed", "resolve", "suggestions"]


@dataclass(frozen=True, slots=True)
class Renames:
    """Renames that are still to be done: tables by old name, columns by (old table, old column)."""

    tables: Mapping[str, str]
    columns: Mapping[tuple[str, str], str]

    def __bool__(self) -> bool:
        return bool(self.tables or self.columns)

    def of(self, table: str) -> dict[str, str]:
        """Give the columns renamed in a table, which is called as before."""
        return {column: new for (owner, column), new in self.columns.items() if owner == table}

    def table_before(self, name: str) -> str:
        """Give what a table is called now that will be called `name`."""
        return next((old for old, new in self.tables.items() if new == name), name)

    def column_before(self, table: str, name: str) -> str:
        """Give what a column is called now that will be called `name`; the table as called afterwards."""
        owner = self.table_before(table)
        return next((old for old, new in self.of(owner).items() if new == name), name)


def resolve(found: Catalog, wanted: Catalog, declared: Mapping[str, str]) -> Renames:
    """Find what the declared renames mean here.

    Passed over are those that were done before: the old name is gone and the new one is there. Raises
    MigrationRefused for a name that is neither, and for a new name that is taken or not wanted.
    """
    tables: dict[str, str] = {}
    columns: dict[tuple[str, str], str] = {}
    for old, new in declared.items():
        if "." not in old or _exact(found.tables, old):
            _table(found, wanted, old, new, tables)
    for old, new in declared.items():
        if "." in old and not _exact(found.tables, old):
            _column(found, wanted, (old, new), tables, columns, declared)
    return Renames(tables, columns)


def _exact(names: Mapping[str, object], name: str) -> str | None:
    if name in names:
        return name
    alike = [each for each in names if fold(each) == fold(name)]
    return alike[0] if len(alike) == 1 else None


def _table(found: Catalog, wanted: Catalog, old: str, new: str, tables: dict[str, str]) -> None:
    name = _exact(found.tables, old)
    if name is None or name == new:
        if new in found.tables:
            return
        raise _refused(f"there is no table {old} to rename", f"the tables are {', '.join(found.tables)}")
    if new in found.tables or new in found.views:
        raise _refused(f"the table {name} cannot be renamed: {new} is there already")
    if new not in wanted.tables:
        raise _refused(f"the table {name} cannot be renamed: the wanted schema has no table {new}")
    tables[name] = new


def _column(
    found: Catalog,
    wanted: Catalog,
    rename: tuple[str, str],
    tables: Mapping[str, str],
    columns: dict[tuple[str, str], str],
    declared: Mapping[str, str],
) -> None:
    old, new = rename
    owner, column = old.split(".", 1)
    table = _exact(found.tables, owner) or _exact(found.tables, declared.get(owner, ""))
    if table is None:
        raise _refused(f"there is no table {owner} with a column to rename")
    there = found.tables[table].columns
    name = _exact(there, column)
    if name is None or name == new:
        if new in there:
            return
        raise _refused(
            f"there is no column {table}.{column} to rename", f"its columns are {', '.join(there)}"
        )
    inner = [(old.partition(".")[2], new) for old, new in declared.items() if _owns(old, owner)]
    own = {_exact(there, old) or old: new for old, new in inner}
    if new in there:
        if _was_done(there, own, name):
            return
        _refuse_taken(table, name, own, there)
    after = wanted.tables.get(tables.get(table, table))
    if after is None or new not in after.columns:
        raise _refused(f"the column {table}.{name} cannot be renamed: the wanted table has no column {new}")
    columns[table, name] = new


def _owns(declared: str, owner: str) -> bool:
    return "." in declared and fold(declared.partition(".")[0]) == fold(owner)


def _was_done(there: Mapping[str, object], own: Mapping[str, str], name: str) -> bool:
    """Whether a name that is there has come from another one that gave it up: a chain that was done."""
    missing = {new for old, new in own.items() if old not in there}
    place = name
    while place not in missing:
        before = next((old for old, new in own.items() if new == place), None)
        if before is None or before == name:
            return False
        place = before
    return True


def _refuse_taken(table: str, name: str, own: Mapping[str, str], there: Mapping[str, object]) -> None:
    """Refuse a new name that its owner does not give up by a rename of its own."""
    place = own[name]
    while place in there:
        if place == name:
            raise _refused(
                f"the columns {table}.{name} and {table}.{own[name]} cannot change names in one run",
                "killed in between, nobody could tell which of them has the other's name already",
            )
        if place not in own:
            raise _refused(f"the column {table}.{name} cannot be renamed: {place} is there already")
        place = own[place]


def in_order(renames: Mapping[tuple[str, str], str]) -> list[tuple[tuple[str, str], str]]:
    """Order column renames so that each finds its new name free."""
    left, ordered = dict(renames), list[tuple[tuple[str, str], str]]()
    while left:
        free = next(place for place in left if (place[0], left[place]) not in left)
        ordered.append((free, left.pop(free)))
    return ordered


def _refused(what: str, why: str | None = None) -> MigrationRefused:
    return MigrationRefused(
        f"{what}; nothing was changed", why=why, hint="both names are as the table is called before"
    )


def renamed(found: Catalog, renames: Renames) -> Catalog:
    """Give the catalog as it will be after the renames."""
    if not renames:
        return found
    tables = {
        renames.tables.get(name, name): _renamed_table(table, renames) for name, table in found.tables.items()
    }
    every = {**renames.tables, **{column: new for (_, column), new in renames.columns.items()}}
    views = {
        name: replace(
            view,
            query=rename_in(view.query, every),
            reads=frozenset(
                (renames.tables.get(table, table), renames.of(table).get(column, column) if column else None)
                for table, column in view.reads
            ),
        )
        for name, view in found.view_texts.items()
    }
    return replace(found, tables=tables, view_texts=views)


def _renamed_table(table: CatalogTable, renames: Renames) -> CatalogTable:
    own = renames.of(table.name)
    every = {**renames.tables, **own}
    name = renames.tables.get(table.name, table.name)
    return replace(
        table,
        name=name,
        columns={own.get(key, key): _renamed_column(column, own) for key, column in table.columns.items()},
        constraints={key: _renamed_rule(rule, own, renames) for key, rule in table.constraints.items()},
        indexes={key: _renamed_index(index, name, own) for key, index in table.indexes.items()},
        triggers={
            key: (_renamed_trigger(definition, every), source)
            for key, (definition, source) in table.triggers.items()
        },
    )


def _renamed_trigger(definition: str, names: Mapping[str, str]) -> str:
    head, word, call = definition.rpartition(" EXECUTE FUNCTION ")
    return rename_in(head, names) + word + call


def _renamed_column(column: CatalogColumn, own: Mapping[str, str]) -> CatalogColumn:
    default = rename_in(column.default, own) if column.is_generated and column.default else column.default
    return replace(column, name=own.get(column.name, column.name), default=default)


def _renamed_rule(rule: CatalogConstraint, own: Mapping[str, str], renames: Renames) -> CatalogConstraint:
    columns = tuple(own.get(name, name) for name in rule.columns)
    theirs = renames.of(rule.parent) if rule.parent else {}
    parent_columns = tuple(theirs.get(name, name) for name in rule.parent_columns)
    parent = renames.tables.get(rule.parent, rule.parent) if rule.parent else None
    if rule.kind == "f" and parent is not None:
        mine, those = ", ".join(map(ident, columns)), ", ".join(map(ident, parent_columns))
        rest = rule.definition.rpartition(")")[2]
        definition = f"FOREIGN KEY ({mine}) REFERENCES {ident(parent)}({those}){rest}"
    else:
        definition = rename_in(rule.definition, own)
    return replace(
        rule,
        definition=definition,
        columns=columns,
        parent=parent,
        parent_columns=parent_columns,
        expression=rename_in(rule.expression, own) if rule.expression else rule.expression,
    )


def _renamed_index(index: CatalogIndex, table: str, own: Mapping[str, str]) -> CatalogIndex:
    return replace(
        index,
        table=table,
        tail=rename_in(index.tail, own),
        terms=tuple(rename_in(term, own) for term in index.terms),
        predicate=rename_in(index.predicate, own) if index.predicate else index.predicate,
    )


def suggestions(found: Catalog, wanted: Catalog) -> list[tuple[str, str]]:
    """Give what may be renames, as (old, new) in the words of --rename: never done without being declared.

    A column that goes and one that comes count as a pair when they have the same type and are alike in
    name, or are the only ones; a table when its columns are mostly the same.
    """
    pairs: list[tuple[str, str]] = []
    for name, table in found.tables.items():
        after = wanted.tables.get(name)
        if after is None:
            pairs += [
                (name, new) for new, other in wanted.tables.items() if _alike(found, name, new, table, other)
            ]
            continue
        gone = [column for key, column in table.columns.items() if key not in after.columns]
        come = [column for key, column in after.columns.items() if key not in table.columns]
        for old in gone:
            alike = [
                (SequenceMatcher(None, fold(old.name), fold(new.name)).ratio(), new.name)
                for new in come
                if new.type == old.type
            ]
            if alike and (max(alike)[0] >= 0.6 or len(gone) == len(come) == 1):
                pairs.append((f"{name}.{old.name}", max(alike)[1]))
    return pairs


def _alike(found: Catalog, old: str, new: str, table: CatalogTable, other: CatalogTable) -> bool:
    if new in found.tables:
        return False
    shared = len(set(table.columns) & set(other.columns))
    return shared * 10 >= 7 * max(len(table.columns), len(other.columns)) or fold(old) == fold(new)
