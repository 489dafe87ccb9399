"""What an interrupted migration left, known by its names: taken up again where it fits, else removed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from datalayer.schema.catalog import Catalog, CatalogColumn, CatalogConstraint, CatalogIndex, CatalogTable
from datalayer.schema.pgchange.action import EXCLUSIVE, WEAK, Action, Stage
from datalayer.schema.pgchange.names import is_temporary
from datalayer.schema.tokens import quote

__all__ = ["Leftovers", "separate"]

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Objects with temporary names, by (table, name); functions by signature."""

    columns: dict[Place, CatalogColumn]
    constraints: dict[Place, CatalogConstraint]
    indexes: dict[Place, CatalogIndex]
    triggers: dict[Place, str]
    functions: tuple[str, ...]

    def removal(self, used: set[Place]) -> list[Action]:
        """Give what removes all that is not used, one action an object."""
        actions: list[Action] = []

        def add(kind: str, place: Place, sql: str, mode: str = EXCLUSIVE) -> None:
            locks = {place[0]: mode} if place[0] else {}
            group = f"clean {place[0]}" if mode == EXCLUSIVE else ""
            risk = "left behind by a migration that was interrupted"
            cost = "free" if group else "weak"
            place_of = (Stage.CLEAN, kind, place[1], place[0])
            actions.append(Action(*place_of, (sql,), cost, locks, group, bool(group), None, risk))

        everything = (*self.triggers, *self.constraints, *self.columns)
        # all of one table in one transaction: a column without its trigger would be taken for somebody's own
        for owner in dict.fromkeys(table for table, _ in everything):
            for place in self.triggers:
                if place not in used and place[0] == owner:
                    add("trigger", place, f"DROP TRIGGER {quote(place[1])} ON {quote(owner)}")
            for place in self.constraints:
                if place not in used and place[0] == owner:
                    name = quote(place[1])
                    add("constraint", place, f"ALTER TABLE {quote(owner)} DROP CONSTRAINT IF EXISTS {name}")
            for place in self.columns:
                if place not in used and place[0] == owner:
                    add("column", place, f"ALTER TABLE {quote(owner)} DROP COLUMN {quote(place[1])}")
        for place in self.indexes:
            if place not in used:
                add("index", place, f"DROP INDEX CONCURRENTLY IF EXISTS {quote(place[1])}", WEAK)
        for signature in self.functions:
            if ("", signature) not in used:
                add("function", ("", signature), f"DROP FUNCTION IF EXISTS {signature}")
        return actions


def separate(found: Catalog) -> tuple[Catalog, Leftovers]:
    """Take a live catalog apart: what is the user's, and what an interrupted migration left."""
    left = Leftovers({}, {}, {}, {}, tuple(
        function.signature for function in found.functions.values() if is_temporary(function.name)
    ))  # fmt: skip
    tables = {name: _separate(table, left) for name, table in found.tables.items()}
    functions = {
        signature: function
        for signature, function in found.functions.items()
        if not is_temporary(function.name)
    }
    return replace(found, tables=tables, functions=functions), left


def _separate(table: CatalogTable, left: Leftovers) -> CatalogTable:
    # a name alone proves nothing: a column of ours is written by a trigger of ours
    written = [source for name, (_, source) in table.triggers.items() if is_temporary(name)]
    columns = {
        name: column
        for name, column in table.columns.items()
        if is_temporary(name) and any(quote(name) in source for source in written)
    }
    left.columns.update({(table.name, name): column for name, column in columns.items()})
    left.triggers.update({(table.name, n): d for n, (d, _) in table.triggers.items() if is_temporary(n)})
    ours = {
        name: rule
        for name, rule in table.constraints.items()
        if is_temporary(name) or set(rule.columns) & set(columns)
    }
    left.constraints.update({(table.name, name): rule for name, rule in ours.items()})
    left.indexes.update({(table.name, n): i for n, i in table.indexes.items() if is_temporary(n)})
    return replace(
        table,
        columns={n: c for n, c in table.columns.items() if n not in columns},
        constraints={n: r for n, r in table.constraints.items() if n not in ours},
        indexes={n: i for n, i in table.indexes.items() if not is_temporary(n)},
        triggers={n: t for n, t in table.triggers.items() if not is_temporary(n)},
    )
