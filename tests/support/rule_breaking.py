"""Changes of rows that break one named rule of a schema, composed from its text and from rows that are there.

A database of SQLite with a few rows of each table is asked which values would break a CHECK and no other one
of its table; those of a key are another row's, those of a reference are nobody's. Whether a change is refused
is for the engines to say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from datalayer.errors import CheckViolation, ConstraintViolation, ForeignKeyViolation, UniqueViolation
from datalayer.schema.declaration import Check, ForeignKey, Unique
from datalayer.schema.snapshot import Column, Index, Schema, Table
from datalayer.schema.tokens import fold, quote_text, significant, tokenize, unquote

__all__ = ["Change", "NamedRule", "changes", "kind", "named_rules"]

Value = str | int | float | bytes | None

# what breaks a rule of this kind; any other rule is broken by some of the values that its columns can have
_BREAKING: Mapping[str, tuple[Value, ...]] = {
    "utc": ("x", "", "~"),
    "bool": (7, -1),
    "json": ("{", ""),
    "known": ("bogus", ""),
    "given": ("", " "),
}
_TIMES = tuple(f"{year}-01-02T03:04:05.000006Z" for year in (1999, 2020, 2050, 2051, 2052))
_NUMBERS = (-1, 0, 1, 2, 7, 10**9 + 1, 10**18)
_JSON = ("[]", "{}", "null", "7", "true", '"x"')
_TEXTS = ("", "x", "z@", "-", "0" * 64, "0" * 63 + "A", "x" * 400, "dl1:k:AAAA", "2026-01-01")
_MOST_COLUMNS = 3
_MOST_ROWS = 40
_A_FEW = 4


@dataclass(frozen=True)
class NamedRule:
    """A rule by its name, and the table that has it."""

    name: str
    table: Table
    part: Check | Unique | Index | ForeignKey

    @property
    def error(self) -> type[ConstraintViolation]:
        """What is raised where it is broken."""
        if isinstance(self.part, Check):
            return CheckViolation
        return ForeignKeyViolation if isinstance(self.part, ForeignKey) else UniqueViolation


@dataclass(frozen=True)
class Change:
    """New values for a row, given with all that it has: in place, or in another row that is like it.

    What is the row's own already breaks a rule in another row only.
    """

    table: Table
    row: Mapping[str, Value]
    values: Mapping[str, Value]

    def statements(self, engine: str) -> list[str]:
        """Write it in the SQL of an engine, in place first."""
        is_new = any(self.row[name] != value for name, value in self.values.items())
        return [*([self._update(engine)] if is_new else []), self._insert(engine)]

    def _update(self, engine: str) -> str:
        sets = ", ".join(f"{name} = {_literal(value, engine)}" for name, value in self.values.items())
        key = " AND ".join(f"{name} = {_literal(self.row[name], engine)}" for name in _key(self.table))
        return f"UPDATE {self.table.name} SET {sets} WHERE {key}"

    def _insert(self, engine: str) -> str:
        # its keys are its own where they need not be the old ones
        row = {**self.row, **self.values}
        for name in _own_keys(self.table):
            if name not in self.values:
                row[name] = _other(row[name])
        values = ", ".join(_literal(value, engine) for value in row.values())
        return f"INSERT INTO {self.table.name} ({', '.join(row)}) VALUES ({values})"


def named_rules(schema: Schema) -> list[NamedRule]:
    """Give the CHECKs, keys, references and unique indexes that have a name, in the order of the schema."""
    rules: list[NamedRule] = []
    for table in schema.tables:
        indexes = [index for index in table.indexes if index.is_unique]
        for part in (*table.checks, *table.uniques, *table.foreign_keys, *indexes):
            if part.name is not None:
                rules.append(NamedRule(part.name, table, part))
    return rules


def kind(rule: NamedRule) -> str:
    """Give the last word of its name: `utc` of `sessions_created_at_utc`."""
    return rule.name.rpartition("_")[2]


def changes(rule: NamedRule, rows: sqlite3.Connection) -> Iterator[Change]:
    """Give changes of rows that break a rule, likely ones first."""
    if isinstance(rule.part, Check):
        return _against_check(rule, rule.part, rows)
    if isinstance(rule.part, ForeignKey):
        return _to_nobody(rule.table, rule.part, rows)
    return _of_another(rule.table, rule.part, rows)


def _against_check(rule: NamedRule, check: Check, rows: sqlite3.Connection) -> Iterator[Change]:
    table = rule.table
    own = _mentioned(check.expression, table)
    related = {
        name
        for other in table.checks
        if set(_mentioned(other.expression, table)) & set(own)
        for name in _mentioned(other.expression, table)
    }
    others = sorted(related - set(own) - set(_key(table)))
    pools = {name: _pool(table, name) for name in (*own, *others)}
    if check.column is not None and kind(rule) in _BREAKING:
        pools[check.column] = _BREAKING[kind(rule)]
    for is_alone in (True, False):
        for size in range(1, _MOST_COLUMNS + 1):
            for chosen in combinations((*own, *others), size):
                if set(chosen) & set(own):
                    tried = {name: pools[name] for name in chosen}
                    yield from _breaking(rule, check, tried, rows, is_alone=is_alone)


def _breaking(
    rule: NamedRule,
    check: Check,
    pools: Mapping[str, Sequence[Value]],
    rows: sqlite3.Connection,
    *,
    is_alone: bool,
) -> Iterator[Change]:
    """Let SQLite find the values, out of these for each column, that break this CHECK.

    `is_alone` asks that they break no other one; some rules cannot be broken alone.
    """
    table = rule.table
    columns = [column.name for column in table.columns]
    given = ", ".join(f"of_{name}.value AS {name}" if name in pools else f"old.{name}" for name in columns)
    old = ", ".join(f"old.{name} AS old_{name}" for name in pools)
    sources = "".join(
        f", (SELECT column1 AS value FROM (VALUES {', '.join(f'({_raw(value)})' for value in pool)}))"
        f" AS of_{name}"
        for name, pool in pools.items()
    )
    # a function of JSON fails on what is none, so where that is the point the other rules are left out
    kept = [
        f"({other.expression}) IS NOT 0"
        for other in table.checks
        if is_alone
        and other is not check
        and not (kind(rule) == "json" and set(_mentioned(other.expression, table)) & {check.column})
    ]
    kept += [f"{column.name} IS NOT NULL" for column in table.columns if column.is_not_null]
    kept += [f"{name} IS NOT old_{name}" for name in pools]
    sql = (
        f"SELECT * FROM (SELECT {given}, {old}"
        f" FROM (SELECT * FROM {table.name} LIMIT {_MOST_ROWS}) AS old{sources})"
        f" WHERE {' AND '.join([f'NOT ({check.expression})', *kept])} LIMIT {_A_FEW}"
    )
    for found in rows.execute(sql).fetchall():
        new = dict(zip(columns, found))
        row = {**new, **dict(zip(pools, found[len(columns) :]))}
        yield Change(table, row, {name: new[name] for name in pools})


def _to_nobody(table: Table, reference: ForeignKey, rows: sqlite3.Connection) -> Iterator[Change]:
    shared = {name for other in table.foreign_keys if other is not reference for name in other.columns}
    left_open = {name: None for name in shared - {*reference.columns} if not _column(table, name).is_not_null}
    for name in sorted(reference.columns, key=lambda name: name in shared):
        is_number = _column(table, name).type == "INTEGER"
        set_already = [other for other in reference.columns if other != name]
        where = " AND ".join(f"{other} IS NOT NULL" for other in set_already)
        for row in _rows(table, rows, where=where):
            for nobody in (-1,) if is_number else ("nobody", " nobody"):
                yield Change(table, row, {name: nobody})
                yield Change(table, row, {**left_open, name: nobody})


def _of_another(table: Table, key: Unique | Index, rows: sqlite3.Connection) -> Iterator[Change]:
    texts = [term.column or term.expression or "" for term in key.terms]
    where = key.where if isinstance(key, Index) else None
    names = list(dict.fromkeys(name for text in (*texts, where or "") for name in _mentioned(text, table)))
    asked = " AND ".join([f"({text}) IS NOT NULL" for text in texts] + ([f"({where})"] if where else []))
    found = list(_rows(table, rows, where=asked))
    for one in found:
        if not set(_key(table)) & set(names):
            yield Change(table, one, {name: one[name] for name in names})
    for one in found:
        for another in islice(_rows(table, rows), _A_FEW):
            if [another[name] for name in _key(table)] != [one[name] for name in _key(table)]:
                yield Change(table, another, {name: one[name] for name in names})


def _rows(table: Table, rows: sqlite3.Connection, *, where: str = "") -> Iterator[Mapping[str, Value]]:
    names = [column.name for column in table.columns]
    sql = f"SELECT {', '.join(names)} FROM {table.name} WHERE {where or 1} LIMIT {_MOST_ROWS}"
    for row in rows.execute(sql).fetchall():
        yield dict(zip(names, row))


def _pool(table: Table, name: str) -> tuple[Value, ...]:
    """Give values that a column could have, NULL among them."""
    column = _column(table, name)
    own = [check.expression for check in table.checks if name in _mentioned(check.expression, table)]
    kinds = {(check.name or "").rpartition("_")[2] for check in table.checks if check.column == name}
    values: tuple[Value, ...]
    if column.type in ("INTEGER", "REAL"):
        values = (0, 1) if "bool" in kinds else _NUMBERS
    elif column.type == "BLOB":
        values = (b"", b"1234")
    elif "utc" in kinds:
        values = _TIMES
    elif any("json_" in text for text in own):
        values = _JSON
    else:
        words = [
            unquote(token)
            for check in table.checks
            for token in significant(tokenize(check.expression))
            if token.kind == "string" and "[" not in token.text
        ]
        values = (*dict.fromkeys((*words, *_TEXTS)),)
    return (*values, None)


def _mentioned(text: str, table: Table) -> tuple[str, ...]:
    names = {fold(column.name): column.name for column in table.columns}
    tokens = significant(tokenize(text))
    found = (names.get(fold(unquote(token))) for token in tokens if token.kind in ("word", "identifier"))
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _column(table: Table, name: str) -> Column:
    return next(column for column in table.columns if column.name == name)


def _key(table: Table) -> tuple[str, ...]:
    return table.primary_key.columns if table.primary_key is not None else ()


def _own_keys(table: Table) -> set[str]:
    """Give the columns of keys that refer to nothing, which another row can have another value in."""
    keys = [unique.columns for unique in (table.primary_key, *table.uniques) if unique is not None]
    keys += [tuple(term.column or "" for term in index.terms) for index in table.indexes if index.is_unique]
    referring = {name for reference in table.foreign_keys for name in reference.columns}
    return {name for key in keys for name in key if name} - referring


def _other(value: Value) -> Value:
    """Give another value that looks the same: a number, a hash, a word."""
    if isinstance(value, str):
        return "1" * 64 if len(value) == 64 else "another"
    return value if value is None else 10**6


def _raw(value: Value) -> str:
    """Write a value as what it is, for SQLite."""
    return str(value) if isinstance(value, int) else _literal(value, "sqlite")


def _literal(value: Value, engine: str) -> str:
    """Write a value in quotes, so that both engines bring it to the column's type."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'" if engine == "sqlite" else f"'\\x{value.hex()}'"
    return quote_text(str(value))
