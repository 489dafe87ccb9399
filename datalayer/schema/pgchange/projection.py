"""Live rows in the form of the wanted tables, as a query: a new rule is tried on them before any change.

Text only. The renames, conversions and defaults are those that the plan will do.
"""

from __future__ import annotations

from dataclasses import dataclass

from datalayer.schema.catalog import Catalog, CatalogColumn, CatalogTable
from datalayer.schema.pgchange.change import lost_columns, retyped_columns
from datalayer.schema.pgchange.conversion import Conversion, column_type
from datalayer.schema.pgchange.renames import Renames
from datalayer.schema.tokens import quote

__all__ = ["Projection"]


@dataclass(frozen=True, slots=True)
class Projection:
    """Queries over live tables; `found` is the live catalog with its renames done."""

    found: Catalog
    wanted: Catalog
    renames: Renames
    casts: frozenset[tuple[str, str]]

    def conversion(self, before: CatalogColumn, after: CatalogColumn) -> Conversion:
        """Give how a column's values get their new type."""
        return Conversion(before, after, (before.type, after.type) in self.casts)

    def live(self, table: str, column: str) -> str:
        """Write a column as it is called now."""
        return quote(self.renames.column_before(table, column))

    def keys(self, table: str) -> list[tuple[str, str]]:
        """Give name and expression of what tells a row: the primary key as it is now, or the place."""
        before = self.found.tables[table]
        rule = next((rule for rule in before.constraints.values() if rule.kind == "p"), None)
        if rule is None:
            return [("ctid", "o.ctid::text")]
        names = [self.renames.column_before(table, name) for name in rule.columns]
        return [(name, f"o.{quote(name)}") for name in names]

    def source(self, table: str, condition: str = "") -> str:
        """Write the live table as FROM has it, with the alias o."""
        where = f" WHERE {condition}" if condition else ""
        return f"{quote(self.renames.table_before(table))} AS o{where}"

    def rows(self, table: str) -> str | None:
        """Write a subquery of a table's rows as they will be, with keys as "~key 0" and so on.

        None for a table that is not there yet.
        """
        before = self.found.tables.get(table)
        if before is None:
            return None
        after = self.wanted.tables.get(table, before)
        lost = lost_columns(before, after)
        computed = {
            name: column
            for name, column in after.columns.items()
            if column.is_generated and (name in lost or name not in before.columns)
        }
        columns = [
            f'{expression} AS "~key {place}"' for place, (_, expression) in enumerate(self.keys(table))
        ]
        columns += [
            f"{self.value(before, after, column)} AS {quote(name)}"
            for name, column in after.columns.items()
            if name not in computed
        ]
        rows = f"SELECT {', '.join(columns)} FROM {self.source(table)}"
        if computed:
            values = ", ".join(f"({column.default}) AS {quote(name)}" for name, column in computed.items())
            rows = f"SELECT s.*, {values} FROM ({rows}) AS s"
        return f"({rows})"

    def value(self, before: CatalogTable, after: CatalogTable, column: CatalogColumn) -> str:
        """Write the value that a column will have, over the live row o."""
        old = before.columns.get(column.name)
        if old is None:
            default = f"({column.default})" if column.default is not None else "NULL"
            return f"{default}::{column_type(column)}"
        value = f"o.{self.live(after.name, column.name)}"
        if column.name in retyped_columns(before, after):
            value = f"({self.conversion(old, column).value(value)})"
        if column.collation and old.collation != column.collation:
            value = f"({value} COLLATE {quote(column.collation)})"
        if column.is_not_null and not old.is_not_null and column.default is not None:
            value = f"coalesce({value}, ({column.default}))"
        return value
