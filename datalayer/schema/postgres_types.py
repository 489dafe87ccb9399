"""Which PostgreSQL type each column of a SQLite schema has, and the kind of value it holds.

JSON, booleans and UTC times are known by a CHECK of an exact shape, which the PostgreSQL type then replaces.
Knows no expressions beyond those shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from datalayer.schema.snapshot import Check, Column, Schema, Table
from datalayer.schema.tokens import fold, plain, tokenize

__all__ = ["UTC_PATTERN", "Kind", "Layout", "PgColumn", "PgTable", "Unsupported", "layout_of"]

Kind = Literal["bool", "int", "real", "number", "text", "time", "json", "blob", "null", "any"]

UTC_PATTERN = (
    "'[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
    ".[0-9][0-9][0-9][0-9][0-9][0-9]Z'"
)
_TYPES: Mapping[Kind, str] = {
    "bool": "boolean",
    "int": "bigint",
    "real": "double precision",
    "number": "numeric",
    # the order of "C" is the order of bytes, as SQLite's BINARY has it
    "text": 'text COLLATE "C"',
    "time": "timestamp with time zone",
    "json": "jsonb",
    "blob": "bytea",
}


class Unsupported(Exception):
    """A construct that has no sure translation: what it is, where in its text, and what to write instead."""

    def __init__(self, construct: str, instead: str, position: int = 0) -> None:
        super().__init__(construct)
        self.construct = construct
        self.instead = instead
        self.position = position


@dataclass(frozen=True, slots=True)
class PgColumn:
    """A column as PostgreSQL has it."""

    name: str
    kind: Kind
    type: str
    source: Column


@dataclass(frozen=True, slots=True)
class PgTable:
    """A table or view as PostgreSQL has it; `replaced` are the CHECKs that the types stand for."""

    name: str
    columns: Mapping[str, PgColumn]
    replaced: tuple[Check, ...]

    def column(self, name: str) -> PgColumn | None:
        """Give the column of this name in any letter case, or None."""
        return self.columns.get(fold(name))


Layout = Mapping[str, PgTable]


def layout_of(schema: Schema) -> Layout:
    """Give every table its PostgreSQL columns, by folded name.

    Raises Unsupported for a column without one type.
    """
    layout = {fold(table.name): _table(table) for table in schema.tables}
    for view in schema.views:
        columns = {
            fold(name): PgColumn(name, "any", "", Column(name, "", False, None, 0)) for name in view.columns
        }
        layout[fold(view.name)] = PgTable(view.name, columns, ())
    return layout


def _table(table: Table) -> PgTable:
    kinds = dict(_kinds_by_check(table))
    columns: dict[str, PgColumn] = {}
    for column in table.columns:
        kind = kinds[fold(column.name)][0] if fold(column.name) in kinds else _declared(table, column)
        columns[fold(column.name)] = PgColumn(column.name, kind, _TYPES[kind], column)
    return PgTable(table.name, columns, tuple(check for _, check in kinds.values()))


def _kinds_by_check(table: Table) -> Iterator[tuple[str, tuple[Kind, Check]]]:
    """Find the CHECKs that say what a column holds: json_valid(c), c IN (0, 1), c GLOB the UTC pattern."""
    for check in table.checks:
        tokens = plain(tokenize(check.expression))
        for column in table.columns:
            name, declared = fold(column.name), _affinity(column.type)
            valid = ("json_valid", "(", name, ")")
            # json_valid(NULL) was 0 before SQLite 3.42, so a nullable column has to say that NULL is fine
            if declared == "text" and tokens in (valid, (name, "is", "null", "or", *valid)):
                yield name, ("json", check)
            elif declared == "text" and tokens == (name, "glob", UTC_PATTERN):
                yield name, ("time", check)
            elif declared in ("int", "number") and tokens in (
                (name, "in", "(", "0", ",", "1", ")"),
                (name, "in", "(", "1", ",", "0", ")"),
            ):
                yield name, ("bool", check)


def _declared(table: Table, column: Column) -> Kind:
    declared = column.type.upper()
    if declared in ("", "ANY"):
        raise Unsupported(
            f"column {column.name} without one type",
            "declare it INTEGER, REAL, TEXT or BLOB: a PostgreSQL column holds values of one type",
            _position(table, column),
        )
    return _affinity(declared)


def _affinity(declared: str) -> Kind:
    """Follow https://sqlite.org/datatype3.html#determination_of_column_affinity, in its order."""
    declared = declared.upper()
    if "INT" in declared:
        return "int"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in declared:
        return "blob"
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return "real"
    if declared.startswith("BOOL"):
        return "bool"
    # of numeric affinity, but SQLite has no such values: they are stored as the text that the program writes
    if declared.startswith(("DATE", "TIME", "JSON", "UUID", "STRING")):
        return "text"
    return "number"


def _position(table: Table, column: Column) -> int:
    for token in tokenize(table.sql):
        if token.kind in ("word", "identifier", "string") and fold(token.text.strip("\"`[]'")) == fold(
            column.name
        ):
            return token.start
    return 0
