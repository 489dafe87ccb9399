"""Schemas with odd names, made up for property tests: every one is a script that SQLite takes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from datalayer.schema.tokens import KEYWORDS, fold, quote

__all__ = ["Made", "MadeColumn", "MadeTable", "names", "schemas"]

ODD = [
    "select",
    "Order",
    "a b",
    'q"uote',
    "it's",
    "back`tick",
    "br]acket",
    "é中",
    "x;y",
    "--c",
    "/*",
    "%s",
    "$1",
    "NEW",
]
LITERALS = [
    "'plain'",
    "'it''s'",
    "'-- no comment'",
    "'/* nor this'",
    "'a;b'",
    "''",
    "'é中😀'",
    "'%s {x}'",
    "'$body$'",
]


@dataclass(frozen=True)
class MadeColumn:
    name: str
    type: str
    rule: str


@dataclass(frozen=True)
class MadeTable:
    name: str
    columns: tuple[MadeColumn, ...]
    parent: str | None
    index_name: str


@dataclass(frozen=True)
class Made:
    tables: tuple[MadeTable, ...]
    script: str


names = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(sorted(KEYWORDS)).map(str.lower),
    st.text("abcXYZ_ .-", min_size=1, max_size=12),
).filter(lambda name: not fold(name).startswith("sqlite_") and fold(name) not in ("rowid", "oid", "_rowid_"))
types = st.sampled_from(["TEXT", "INTEGER", "REAL", "BLOB"])


def _rule(kind: str, literal: str, name: str) -> str:
    column = quote(name)
    if kind == "INTEGER":
        return f"NOT NULL DEFAULT 7 CHECK ({column} >= 0 AND {column} <> 13)"
    if kind == "REAL":
        return f"DEFAULT 1.5 CHECK ({column} IS NULL OR {column} > -1e3)"
    if kind == "TEXT":
        return f"DEFAULT {literal} CHECK ({column} /* c */ <> {literal} || 'x')"
    return "DEFAULT x'00ff'"


@st.composite
def schemas(draw: st.DrawFn) -> Made:
    """Draw one to three tables whose names differ in more than the case of their letters."""
    used: list[str] = draw(st.lists(names, min_size=4, max_size=16, unique_by=lambda name: name.lower()))
    tables: list[MadeTable] = []
    statements: list[str] = []
    for number in range(draw(st.integers(1, 3))):
        name, index = used.pop(), used.pop() if len(used) > 3 else f"index {number}"
        if fold(name) in {fold(table.name) for table in tables}:
            continue
        column_names = draw(st.lists(names, min_size=1, max_size=4, unique_by=lambda name: name.lower()))
        columns: list[MadeColumn] = []
        for column_name in column_names:
            kind = draw(types)
            columns.append(
                MadeColumn(column_name, kind, _rule(kind, draw(st.sampled_from(LITERALS)), column_name))
            )
        parent = draw(st.sampled_from([None, *(table.name for table in tables)]))
        made = MadeTable(name, tuple(columns), parent, f"i {number} {index}")
        tables.append(made)
        statements += _statements(made, draw(st.booleans()))
        if len(used) < 2:
            break
    return Made(tuple(tables), ";\n".join(statements) + ";\n")


def _statements(table: MadeTable, is_strict: bool) -> list[str]:
    lines = ["id_ INTEGER PRIMARY KEY"]
    lines += [f"{quote(column.name)} {column.type} {column.rule}" for column in table.columns]
    if table.parent is not None:
        reference = f"REFERENCES {quote(table.parent)} (id_) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
        lines.append(f"parent_ INTEGER CONSTRAINT {quote('fk ' + table.name)} {reference}")
    first = quote(table.columns[0].name)
    lines.append(f"CONSTRAINT {quote('u ' + table.name)} UNIQUE (id_, {first})")
    ending = " STRICT" if is_strict else ""
    return [
        f"CREATE TABLE {quote(table.name)} (\n  "
        + ",\n  -- a comment; with 'quotes'\n  ".join(lines)
        + f"\n){ending}",
        f"CREATE INDEX {quote(table.index_name)} ON {quote(table.name)} ({first} DESC, id_)"
        f" WHERE {first} IS NOT NULL",
    ]
