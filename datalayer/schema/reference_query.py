"""The query that asks whether a refused statement would break a foreign key; a row means that it would.

Made of the statement's own text, so its conditions, expressions and values mean what they meant in it. A name
of its WITH clause hides no table here, for tables are written with their schema. Values have a plus before
them, so that they are compared by the affinity of the stored column; that column stands on the left, whose
collation counts: https://sqlite.org/foreignkeys.html, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datalayer.schema.declaration import ForeignKey
from datalayer.schema.rules import TableRules
from datalayer.schema.tokens import fold, quote, significant, tokenize
from datalayer.schema.writes import Piece, Write

__all__ = ["Query", "Reference", "child_query", "parent_query"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key with its two tables; `parent_columns` are folded."""

    table: TableRules
    key: ForeignKey
    parent: TableRules
    parent_columns: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The folded columns of the child."""
        return tuple(map(fold, self.key.columns))

    @property
    def is_own(self) -> bool:
        """Whether the table refers to itself."""
        return self.table.name == self.parent.name


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its values."""

    sql: str
    values: list[Any]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that the statement's text gives, as a table of a WITH clause with columns c0, c1, ..."""

    name: str
    width: int
    pieces: Sequence[Piece]

    @property
    def text(self) -> str:
        columns = ", ".join(f"c{place}" for place in range(self.width))
        body = "\n".join(piece.text for piece in self.pieces)
        return f"{self.name} ({columns}) AS (\n{body}\n)"


def child_query(reference: Reference, write: Write, params: Sequence[Any], schema: str) -> Query | None:
    """Ask whether a row that an INSERT or UPDATE writes finds no parent.

    None where the text does not tell what the row refers to.
    """
    found = _inserted(reference, write) if write.verb == "INSERT" else _updated(reference, write, schema)
    if found is None:
        return None
    rows, columns = found
    given = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    same = " AND ".join(
        f"p.{quote(name)} = +{column}" for name, column in zip(reference.parent_columns, columns)
    )
    body = (
        f"SELECT 1 FROM datalayer_new AS n WHERE {given} AND NOT EXISTS"
        f" (SELECT 1 FROM {_place(schema, reference.parent.name)} AS p WHERE {same}) LIMIT 1"
    )
    return _query(write, params, [rows], body)


def parent_query(reference: Reference, write: Write, params: Sequence[Any], schema: str) -> Query | None:
    """Ask whether a row that an UPDATE or DELETE takes away is still referred to.

    None where the text does not tell what an UPDATE makes of it.
    """
    width = len(reference.columns)
    keys = [Piece(quote(name)) for name in reference.parent_columns]
    tables = [_Rows("datalayer_old", width, _selected(write, keys, schema))]
    meets = " AND ".join(f"o.c{place} = c.{quote(name)}" for place, name in enumerate(reference.columns))
    body = f"SELECT 1 FROM datalayer_old AS o, {_place(schema, reference.table.name)} AS c WHERE {meets}"
    if write.verb == "UPDATE":
        values = _set_values(write, reference.parent, reference.parent_columns)
        if values is None:
            return None
        tables.append(_Rows("datalayer_new", width, _selected(write, values, schema)))
        held = ", ".join(f"o.c{place}" for place in range(width))
        made = ", ".join(f"+n.c{place}" for place in range(width))
        given = " AND ".join(f"n.c{place} IS NOT NULL" for place in range(width))
        # IN makes its list once, where EXISTS would go through the rows anew for each
        body += f" AND ({held}) NOT IN (SELECT {made} FROM datalayer_new AS n WHERE {given})"
    return _query(write, params, tables, f"{body} LIMIT 1")


def _inserted(reference: Reference, write: Write) -> tuple[_Rows, list[str]] | None:
    """Give the inserted rows, and the child's columns as expressions over them."""
    table = reference.table
    named = write.columns
    if named is None:
        named = tuple(name for name, column in table.columns.items() if not column.hidden)
    named = table.resolve(named) if write.source else ()
    if len(set(named)) != len(named):
        return None
    columns: list[str] = []
    for name in reference.columns:
        if name in named:
            columns.append(f"n.c{named.index(name)}")
            continue
        default = table.columns[name].default or "NULL"
        if not _is_literal(default):
            return None
        columns.append(f"({default})")
    pieces = [write.source or Piece("SELECT 0")]
    return _Rows("datalayer_new", max(len(named), 1), pieces), columns


def _updated(reference: Reference, write: Write, schema: str) -> tuple[_Rows, list[str]] | None:
    """Give the child's columns as an UPDATE leaves them."""
    values = _set_values(write, reference.table, reference.columns)
    if values is None:
        return None
    rows = _Rows("datalayer_new", len(values), _selected(write, values, schema))
    return rows, [f"n.c{place}" for place in range(len(values))]


def _set_values(write: Write, table: TableRules, columns: Sequence[str]) -> list[Piece] | None:
    """Give what an UPDATE makes of these columns: what it sets, else what they hold."""
    sets = dict(zip(table.resolve(tuple(write.sets)), write.sets.values()))
    values = [sets.get(name, Piece(quote(name))) for name in columns]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _selected(write: Write, values: Sequence[Piece], schema: str) -> list[Piece]:
    """Give a SELECT of these values over the rows that an UPDATE or DELETE chooses."""
    pieces = [Piece("SELECT")]
    for place, value in enumerate(values):
        pieces += [Piece("," if place else ""), value]
    return [*pieces, Piece(f"FROM {_place(write.schema or schema, write.table)} {write.alias}"), write.tail]


def _query(write: Write, params: Sequence[Any], tables: Sequence[_Rows], body: str) -> Query:
    """Put the parts together, with the values in the order in which their marks stand."""
    head = f"{write.prefix.text}," if write.prefix.text else "WITH"
    values = write.prefix.values(params)
    for rows in tables:
        for piece in rows.pieces:
            values += piece.values(params)
    return Query(f"{head} {', '.join(rows.text for rows in tables)} {body}", values)


def _place(schema: str, table: str) -> str:
    return f"{quote(schema)}.{quote(table)}"


def _is_literal(text: str) -> bool:
    kinds = [token.kind for token in significant(tokenize(text)) if token.text not in ("+", "-", "(", ")")]
    return kinds in (["string"], ["number"], ["blob"]) or text.upper() == "NULL"
