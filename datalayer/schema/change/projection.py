"""The rows of an old table in the form of the new one: which expression gives each column, which names a row.

The same expressions copy the rows, prove the copy, and find rows that a new rule refuses. Knows no database.
"""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.engine.dialect import SQLITE
from datalayer.schema.change.pairing import Pair
from datalayer.schema.snapshot import Column, Table
from datalayer.schema.tokens import fold, quote_text, significant, tokenize, unquote

__all__ = [
    "all_of",
    "copied_columns",
    "default_expression",
    "expression_of",
    "is_filled",
    "key_columns",
    "quote",
    "rowid_name",
    "rowid_source",
]

quote = SQLITE.quote
_ROWID_NAMES = ("rowid", "_rowid_", "oid")


def rowid_name(table: Table) -> str | None:
    """Give a name by which the rowid can be read and written.

    None for WITHOUT ROWID, and where columns of the table hide all three (sqlite.org/rowidtable.html).
    """
    if table.is_without_rowid:
        return None
    taken = {fold(column.name) for column in table.columns}
    number = table.rowid_column
    return number.name if number else next((name for name in _ROWID_NAMES if name not in taken), None)


def rowid_source(pair: Pair) -> str | None:
    """Give the expression over `o`, the old table, that is the rowid of the new row; None where none is."""
    number = pair.wanted.rowid_column
    if number is not None and pair.source(number) is not None:
        return expression_of(pair, number)
    name = rowid_name(pair.found)
    return f"o.{quote(name)}" if name else None


def copied_columns(pair: Pair) -> list[Column]:
    """Give the wanted columns whose values come from the old table, in order.

    The one that is another name of the rowid is among them only when an old column becomes it.
    """
    return [
        column
        for column in pair.wanted.columns
        if column.generated is None and not column.is_hidden and pair.source(column) is not None
    ]


def is_filled(pair: Pair, column: Column) -> bool:
    """Whether rows that have NULL get the default: only where NOT NULL is new, and there is a default."""
    source = pair.source(column)
    return (
        source is not None
        and column.is_not_null
        and not source.is_not_null
        and default_expression(column) is not None
        and column.generated is None
    )


def expression_of(pair: Pair, column: Column, alias: str = "o") -> str:
    """Give the expression over the old table that gives a wanted column its value.

    No CAST: the new column's affinity applies by itself, and leaves alone what it cannot convert.
    """
    source = pair.source(column)
    assert source is not None
    old = f"{alias}.{quote(source.name)}"
    if not is_filled(pair, column):
        return old
    return f"CASE WHEN {old} IS NULL THEN ({default_expression(column)}) ELSE {old} END"


def default_expression(column: Column) -> str | None:
    """Give a column's DEFAULT as an expression that stands by itself; None where it is NULL or absent."""
    if column.default is None:
        return None
    tokens = significant(tokenize(column.default))
    if len(tokens) != 1 or tokens[0].kind not in ("word", "identifier"):
        return None if not tokens else column.default
    word = tokens[0].upper
    if word == "NULL":
        return None
    if word in ("TRUE", "FALSE") or word.startswith("CURRENT_"):
        return word
    # a bare name as a default is a string (lang_createtable.html, 3.2)
    return quote_text(unquote(tokens[0]))


def key_columns(table: Table) -> list[str]:
    """Give what names a row of a table: its primary key, else its rowid, else all its columns."""
    key = [column.name for column in sorted(table.columns, key=_place) if column.key_position]
    name = rowid_name(table)
    return key or ([name] if name else [column.name for column in table.columns[:8]])


def all_of(conditions: Sequence[str]) -> str:
    """Join conditions by AND as a tree: a chain may have 1,000 at most (sqlite.org/limits.html)."""
    parts = list(conditions) or ["1"]
    while len(parts) > 1:
        parts = [f"({' AND '.join(parts[place : place + 16])})" for place in range(0, len(parts), 16)]
    return parts[0]


def _place(column: Column) -> int:
    return column.key_position
