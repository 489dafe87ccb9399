"""Whether conditions of a live PostgreSQL schema are those that were derived for it, whatever their words.

PostgreSQL keeps a CHECK in its own words. EXPLAIN prints any expression in the same words, reads no row and
writes nothing, so two expressions are compared by being explained side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.schema.catalog import Catalog, CatalogTable
from datalayer.schema.difference import Difference
from datalayer.schema.postgres import Derived
from datalayer.schema.postgres_functions import adapt, as_condition
from datalayer.schema.postgres_query import Source, Translator
from datalayer.schema.postgres_types import Layout, PgTable, Unsupported
from datalayer.schema.snapshot import Index, Schema, Table
from datalayer.schema.tokens import fold, quote

__all__ = ["compare_texts"]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two expressions over one table that should mean the same."""

    kind: str
    name: str
    expected: str
    found: str


def compare_texts(engine: Engine, schema: Schema, derived: Derived, found: Catalog) -> list[Difference]:
    """Compare CHECKs, computed columns and the terms and conditions of indexes, by their meaning.

    For what catalog.compare() finds there under the right name. Take a read transaction around it; one
    EXPLAIN a table, which takes an ACCESS SHARE lock and reads no row.
    """
    differences: list[Difference] = []
    for table in schema.tables:
        there = found.tables.get(table.name)
        if there is not None:
            pairs = list(_pairs(table, derived.layout, there))
            for pair in _different(engine, table.name, pairs):
                detail = f"it is {pair.found}, expected {pair.expected}"
                differences.append(Difference("changed", pair.kind, pair.name, table.name, detail))
    return differences


def _pairs(table: Table, layout: Layout, there: CatalogTable) -> Iterator[_Pair]:
    mine = layout[fold(table.name)]
    for check in table.checks:
        other = there.constraints.get(check.name or "")
        if check not in mine.replaced and other is not None and other.expression is not None:
            yield _Pair(
                "constraint", other.name, _condition(table, mine, layout, check.expression), other.expression
            )
    for column in mine.columns.values():
        other_column = there.columns.get(column.name)
        if column.source.generated is None or other_column is None or other_column.default is None:
            continue
        value = Translator(column.source.generated, layout, [Source(table.name, mine)]).whole()
        yield _Pair("column", column.name, adapt(value, column.kind), other_column.default)
    for index in table.indexes:
        yield from _index_pairs(table, index, layout, there)


def _index_pairs(table: Table, index: Index, layout: Layout, there: CatalogTable) -> Iterator[_Pair]:
    other = there.indexes.get(index.name)
    if other is None:
        return
    mine = layout[fold(table.name)]
    expected = [
        _term(table, mine, layout, term.column, term.expression, term.collation) for term in index.terms
    ]
    yield _Pair("index", index.name, f"ROW({', '.join(expected)})", f"ROW({', '.join(other.terms)})")
    where = "true" if index.where is None else _condition(table, mine, layout, index.where)
    yield _Pair("index", index.name, where, other.predicate or "true")


def _term(
    table: Table,
    mine: PgTable,
    layout: Layout,
    name: str | None,
    expression: str | None,
    collation: str | None,
) -> str:
    column = mine.column(name or "")
    if column is not None:
        sql = quote(column.name)
    else:
        text = expression or quote(name or "")
        sql = f"({Translator(text, layout, [Source(table.name, mine)]).whole().sql})"
    return f"lower({sql})" if (collation or "").upper() == "NOCASE" else sql


def _condition(table: Table, mine: PgTable, layout: Layout, text: str) -> str:
    return as_condition(Translator(text, layout, [Source(table.name, mine)]).whole())


def _different(engine: Engine, table: str, pairs: list[_Pair]) -> Iterator[_Pair]:
    """Ask for all at once; where one names a column that is not there, one by one."""
    if not pairs:
        return
    columns = ", ".join(f"({pair.expected}), ({pair.found})" for pair in pairs)
    try:
        with engine.transaction(read=True):
            explained = engine.fetch_all(
                f"EXPLAIN (VERBOSE, FORMAT JSON) SELECT {columns} FROM {quote(table)}"
            )
    except (DataLayerError, Unsupported):
        if len(pairs) > 1:
            for pair in pairs:
                yield from _different(engine, table, [pair])
        return
    output: list[str] = explained[0][0][0]["Plan"]["Output"]
    for pair, expected, found in zip(pairs, output[::2], output[1::2]):
        if expected != found:
            yield pair
