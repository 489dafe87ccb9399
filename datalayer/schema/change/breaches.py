"""Rows that a new rule refuses, named by their keys: NULLs, CHECKs, duplicates, STRICT types, references.

Where rows are looked at, rows tells. Reads only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from datalayer.errors import MigrationRefused
from datalayer.schema.change.copying import same_after_conversion
from datalayer.schema.change.layout import collation_of, converts
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.projection import (
    all_of,
    default_expression,
    is_filled,
    key_columns,
    quote,
    rowid_name,
)
from datalayer.schema.change.rows import (
    MOST_ROWS,
    Rows,
    as_stored,
    in_old_rows,
    in_place,
    name_before,
    stored_before,
    told,
)
from datalayer.schema.snapshot import Check, Column, ForeignKey, Index, Table, Term
from datalayer.schema.tokens import fold

__all__ = [
    "MOST_ROWS",
    "Breach",
    "Rows",
    "broken_checks",
    "broken_references",
    "duplicates",
    "first_values",
    "in_old_rows",
    "in_place",
    "lossy",
    "no_text",
    "not_computed",
    "nulls",
    "of_index",
    "of_pair",
    "refuse",
    "wrong_types",
]


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that `count` rows break; `rows` are the keys, and the values in question, of the first ten."""

    id: str
    table: str
    object: str
    count: int
    message: str
    rows: tuple[dict[str, object], ...]

    def finding(self) -> dict[str, object]:
        """Give it as commands print findings."""
        return {
            "id": self.id,
            "severity": "error",
            "table": self.table,
            "object": self.object,
            "count": self.count,
            "message": self.message,
            "rows": list(self.rows),
        }


def refuse(found: Sequence[Breach], hint: str) -> MigrationRefused:
    """Make the error that names what stands in the way."""
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    rows = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in first.rows[:3])
    count = f"{first.count} row{'s' * (first.count != 1)}"
    return MigrationRefused(
        f"{first.table}: {first.message}{more}; nothing was changed",
        why=f"{count}, such as {rows}" if rows else count,
        hint=hint,
        findings=[breach.finding() for breach in found],
    )


def nulls(connection: sqlite3.Connection, source: Rows, table: Table, column: Column) -> Iterator[Breach]:
    """Find rows without a value where there must be one."""
    # not IS NULL, which SQLite answers from the declaration where that says NOT NULL already
    count, rows = source.find(connection, f"typeof({quote(column.name)}) = 'null'")
    if count:
        yield Breach(
            "not-null", table.name, column.name, count, f"{column.name} is NULL and has no default", rows
        )


def broken_checks(
    connection: sqlite3.Connection, source: Rows, table: Table, checks: Sequence[Check]
) -> Iterator[Breach]:
    """Find rows for which a CHECK is false; NULL is no breach (lang_createtable.html, 3.7)."""
    for check in checks:
        name, condition = check.name or check.expression, f"NOT ({check.expression}\n)"
        try:
            count, rows = source.find(connection, condition)
        except sqlite3.OperationalError as exc:
            what = f"CHECK ({check.expression})"
            yield _uncomputed(connection, source, exc, condition, ("check", table.name, name, what))
            continue
        if count:
            yield Breach("check", table.name, name, count, f"CHECK ({check.expression}) is false", rows)


def not_computed(
    connection: sqlite3.Connection, source: Rows, table: Table, columns: Sequence[Column]
) -> Iterator[Breach]:
    """Find a row for which a column cannot be computed. Looks only where a function may fail."""
    for column in columns:
        if column.generated is None or "(" not in column.generated:
            continue
        expression = quote(column.name)
        try:
            source.find(connection, f"typeof({expression}) = ''")
        except sqlite3.OperationalError as exc:
            yield _uncomputed(
                connection, source, exc, expression, ("computation", table.name, column.name, column.name)
            )


def _uncomputed(
    connection: sqlite3.Connection,
    source: Rows,
    exc: sqlite3.OperationalError,
    expression: str,
    about: tuple[str, str, str, str],
) -> Breach:
    """Tell of an expression at which SQLite gave up; anything but a value that it cannot take goes on."""
    id_, table, name, what = about
    row = source.failing(connection, expression) if exc.sqlite_errorname == "SQLITE_ERROR" else {}
    if not row:
        raise exc
    return Breach(id_, table, name, 1, f"{what} cannot be computed ({exc})", (row,))


def duplicates(
    connection: sqlite3.Connection,
    source: Rows,
    table: Table,
    name: str,
    terms: Sequence[Term],
    where: str | None = None,
) -> Iterator[Breach]:
    """Find groups of rows that a unique key does not tell apart."""
    listed = [_term(table, term) for term in terms]
    plain = [expression for expression, _ in listed]
    groups = ", ".join(f"{expression} COLLATE {collation}" for expression, collation in listed)
    condition = all_of([f"{expression} IS NOT NULL" for expression in plain])
    if where is not None:
        condition = f"{condition} AND ({where}\n)"
    key = " || ', ' || ".join(f"coalesce({expression}, 'NULL')" for _, expression in source.keys)
    rows = told(
        connection,
        f"SELECT {', '.join(plain)}, group_concat({key}, '; '), count(*) FROM {source.clause}"
        f" WHERE {condition} GROUP BY {groups} HAVING count(*) > 1 LIMIT {MOST_ROWS}",
    )
    if rows:
        names = [term.column or term.expression or "" for term in terms]
        keys = ", ".join(key for key, _ in source.keys)
        groups_told = tuple({**dict(zip(names, row)), f"rows by {keys}": row[-2]} for row in rows)
        count = sum(int(str(row[-1])) for row in rows)
        yield Breach("unique", table.name, name, count, f"{', '.join(names)} is not unique", groups_told)


# what each type takes once the affinity has converted what it can (sqlite.org/stricttables.html)
# (at both ends of the integers a real number is left one)
_WHOLE = (
    "typeof({0}) = 'integer' OR typeof({0}) = 'real' AND {0} = CAST({0} AS INTEGER)"
    " AND {0} > -9223372036854775808 AND {0} < 9223372036854775807"
)
_STRICT_TYPES = {
    "int": _WHOLE,
    "integer": _WHOLE,
    "real": "typeof({0}) IN ('real', 'integer')",
    "text": "typeof({0}) = 'text'",
    "blob": "typeof({0}) = 'blob'",
}


def wrong_types(
    connection: sqlite3.Connection, source: Rows, table: Table, columns: Sequence[Column] | None = None
) -> Iterator[Breach]:
    """Find values that a STRICT table does not take, in all its columns or in some."""
    for column in table.columns if columns is None else columns:
        fits = _STRICT_TYPES.get(column.type.lower())
        if fits is None or (column.generated is not None and columns is None):
            continue
        name = quote(column.name)
        count, rows = source.find(
            connection, f"{name} IS NOT NULL AND NOT ({fits.format(name)})", [column.name]
        )
        if count:
            yield Breach("type", table.name, column.name, count, f"{column.name} must be {column.type}", rows)


def broken_references(
    connection: sqlite3.Connection,
    child: Rows,
    table: Table,
    key: ForeignKey,
    parent: tuple[Table, Rows] | None,
) -> Iterator[Breach]:
    """Find rows whose reference leads nowhere; without a parent, every row that has one."""
    columns = [f"c.{quote(column)}" for column in key.columns]
    condition = all_of([f"{column} IS NOT NULL" for column in columns])
    if parent is not None:
        owner, rows_there = parent
        names = key.parent_columns or tuple(key_columns(owner))
        there = replace(rows_there, alias="p")
        sought = [_sought(owner, name, column) for name, column in zip(names, columns)]
        keys = [f"p.{quote(name)}" for name in names]
        if there.is_in_place:
            match = all_of([f"{key} = {value}" for key, value in zip(keys, sought)])
            condition += f" AND NOT EXISTS (SELECT 1 FROM {there.clause} WHERE {match})"
        else:
            # what they will be has no index yet: collected once, they have
            is_key = all_of([f"{key} IS NOT NULL" for key in keys])
            known = f"SELECT {', '.join(keys)} FROM {there.clause} WHERE {is_key}"
            condition += f" AND ({', '.join(sought)}) NOT IN ({known})"
    count, rows = replace(child, alias="c").find(connection, condition, key.columns)
    if count:
        name = key.name or ", ".join(key.columns)
        message = f"{', '.join(key.columns)} refers to no row of {key.parent}"
        yield Breach("foreign-key", table.name, name, count, message, rows)


def _sought(parent: Table, name: str, value: str) -> str:
    """Give a value in the affinity and the collation of the parent's column (foreignkeys.html, 3)."""
    column = parent.column(name)
    if column is None:
        return value
    return f"({as_stored(column, parent, f'+{value}')}) COLLATE {quote(collation_of(column))}"


def unique_keys(table: Table) -> Iterator[tuple[str, tuple[Term, ...], str | None]]:
    """Give every unique key of a table: (name, terms, condition)."""
    for key in (table.primary_key, *table.uniques):
        if key is not None:
            yield key.name or ", ".join(key.columns), key.terms, None
    for index in table.indexes:
        if index.is_unique:
            yield index.name, index.terms, index.where


def of_pair(connection: sqlite3.Connection, pair: Pair, old: str) -> Iterator[Breach]:
    """Find all breaches that the rows of `old` would be in the new table; rules of indexes too."""
    source, table = in_old_rows(pair, old), pair.wanted
    yield from not_computed(connection, source, table, [c for c in table.columns if c.generated is not None])
    for column in table.columns:
        if _must_have_values(pair, column):
            yield from nulls(connection, source, table, column)
    if table.is_strict:
        yield from wrong_types(connection, source, table, table.columns)
    elif table.rowid_column is not None and pair.source(table.rowid_column) is not None:
        yield from wrong_types(connection, source, table, [table.rowid_column])
    yield from broken_checks(connection, source, table, table.checks)
    for name, terms, where in unique_keys(table):
        if not _were_unique(pair, terms):
            yield from duplicates(connection, source, table, name, terms, where)


def _were_unique(pair: Pair, terms: Sequence[Term]) -> bool:
    """Whether a key of the old table tells its rows apart by some of these columns already."""
    kept: set[tuple[str, str]] = set()
    for term in terms:
        column, source = pair.wanted.column(term.column or ""), pair.source(term.column or "")
        if column is None or source is None or column.generated or source.generated:
            continue
        if not converts(pair, column) and not is_filled(pair, column):
            kept.add((fold(source.name), fold(term.collation or collation_of(column))))
    return any(
        where is None and {_plain_term(pair.found, term) for term in before} <= kept
        for _, before, where in unique_keys(pair.found)
    )


def _plain_term(table: Table, term: Term) -> tuple[str, str]:
    column = table.column(term.column or "")
    return fold(term.column or ""), fold(term.collation or (collation_of(column) if column else "binary"))


def _must_have_values(pair: Pair, column: Column) -> bool:
    """Whether rows need a value here that neither the old table nor a default is sure to give."""
    number = pair.wanted.rowid_column
    if not (column.is_not_null or column is number):
        return False
    if pair.source(column) is None and column.generated is None:
        return column is not number and default_expression(column) is None
    return not is_filled(pair, column)


def of_index(connection: sqlite3.Connection, source: Rows, table: Table, index: Index) -> Iterator[Breach]:
    """Find what keeps an index from being made: what cannot be computed, and what is not unique."""
    expressions = [term.expression for term in index.terms if term.expression is not None]
    for expression in (*expressions, *([index.where] if index.where else [])):
        try:
            source.find(connection, f"typeof({expression}\n) = ''")
        except sqlite3.OperationalError as exc:
            yield _uncomputed(
                connection, source, exc, expression, ("index", table.name, index.name, expression)
            )
            return
    if index.is_unique:
        yield from duplicates(connection, source, table, index.name, index.terms, index.where)


def no_text(table: str) -> MigrationRefused:
    """Make the error for a full-text table whose text cannot be read."""
    return MigrationRefused(
        f"{table} keeps no text of its own, so it cannot be made anew; nothing was changed",
        hint=f"let it go by --drop-table {table}, then fill a new one from the texts' table",
    )


def lossy(connection: sqlite3.Connection, pair: Pair, old: str) -> Iterator[Breach]:
    """Find the values of `old` that a new type, or a computation, would change beyond return."""
    name = pair.found.name
    rows_to_be = in_old_rows(pair, old)
    for column in stored_before(pair):
        was = name_before(pair, column)
        count, rows = rows_to_be.find(
            connection, f"+{quote(column.name)} IS NOT +{quote(was)} COLLATE BINARY", [was]
        )
        if count:
            message = f"the values of {column.name} would change: it is computed from now on"
            yield Breach("changed-value", name, column.name, count, message, rows)
    keys = tuple((key, f"o.{quote(key)}") for key in key_columns(pair.found))
    source = Rows(quote(old), "o", keys)
    for column in pair.wanted.columns:
        before = pair.source(column)
        if before is not None and converts(pair, column):
            old = f"o.{quote(before.name)}"
            count, rows = source.find(
                connection,
                f"NOT ({same_after_conversion(old, as_stored(column, pair.wanted, old))})",
                [before.name],
            )
            if count:
                message = f"the values of {column.name} would change as {column.type}"
                yield Breach("changed-value", name, column.name, count, message, rows)


def first_values(connection: sqlite3.Connection, table: Table, column: str) -> tuple[dict[str, object], ...]:
    """Give the keys of the first rows that have a value in a column, with the value."""
    return in_place(table).find(connection, f"{quote(column)} IS NOT NULL", [column])[1]


def _term(table: Table, term: Term) -> tuple[str, str]:
    if term.column is None:
        return f"({term.expression})", quote(term.collation or "BINARY")
    column = table.column(term.column)
    collation = term.collation or (collation_of(column) if column else "binary")
    # the rowid is no column of the table
    name = quote(column.name) if column else (rowid_name(table) or term.column)
    return name, quote(collation)
