"""Values for a row that stands for a lost one: nothing where nothing is allowed, else what says the least.

Per column a few candidates, the barest first: left out, 0 or "lost KEY" or no bytes, what its rules spell
out, what most other rows hold, what its type suggests. Whether a whole row is accepted is found by trying.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from random import Random

from datalayer.schema.change.layout import affinity
from datalayer.schema.rehearse.values import OMIT, Omit, Rule, Value, values_of
from datalayer.schema.rehearse.values import Column as Described
from datalayer.schema.snapshot import Check, Column, Table, Trigger
from datalayer.schema.tokens import fold, quote, significant, tokenize, unquote

__all__ = ["OMIT", "Filler", "Lost", "Next", "Omit", "Stored", "candidates", "choices", "filled"]

_MOST = 12
_TRIES = 600
_SEEN = 10_000
_LIKELY = 60


class Lost:
    """Stands for "lost KEY", with a number behind it where that is there already."""

    def __init__(self, *, is_numbered: bool = False) -> None:
        self.is_numbered = is_numbered


class Next:
    """Stands for a number that no row has: counted on from the highest."""


Stored = None | int | float | str | bytes
Filler = Value | Lost | Next


def filled(filler: Filler, key: Sequence[Stored], number: int) -> Value:
    """Give the value for the row of a key; `number` is one that no row of its table has."""
    if isinstance(filler, Next):
        return number
    if isinstance(filler, Lost):
        words = " ".join(str(one) for one in key)
        return f"lost {words} ({number})" if filler.is_numbered else f"lost {words}"
    return filler


@dataclass(frozen=True, slots=True)
class _Column:
    """A column with the rules that name it, of the table as it is and as it should be."""

    own: Column
    table: Table
    is_required: bool
    is_unique: bool
    rules: tuple[Rule, ...]

    @property
    def alone(self) -> list[Check]:
        """The CHECKs that are about it alone."""
        return [Check(None, one.text) for one in self.rules if one.columns == (self.own.name,) and one.name]


def candidates(
    connection: sqlite3.Connection,
    table: Table,
    wanted: Table | None,
    triggers: Sequence[Trigger],
    given: Sequence[str],
) -> dict[str, list[Filler]]:
    """Give candidates for each column but the `given` ones (folded); what varies best comes first."""
    rules = _rules(table, wanted, triggers)
    unique = {fold(name) for key in _keys(table) for name in key}
    found: dict[str, list[Filler]] = {}
    for column in table.columns:
        if column.generated is not None or column.is_hidden or fold(column.name) in given:
            continue
        other = None if wanted is None else wanted.column(column.name)
        known = _Column(
            column,
            table,
            (column.is_not_null or (other is not None and other.is_not_null) or _is_key(column, table))
            and column is not table.rowid_column,
            fold(column.name) in unique,
            tuple(rule for rule in rules if column.name in rule.columns),
        )
        found[column.name] = _fitting(connection, known)
    involved = {name for rule in rules if len(rule.columns) > 1 for name in rule.columns}
    order = sorted(found, key=lambda name: not (name in involved or fold(name) in unique))
    return {name: found[name] for name in order}


def choices(found: dict[str, list[Filler]]) -> Iterator[dict[str, Filler]]:
    """Give rows of candidates: the first of each, then with one, two or three of them otherwise."""
    first = {name: fillers[0] for name, fillers in found.items()}
    open_ones = [name for name, fillers in found.items() if len(fillers) > 1]

    def every() -> Iterator[dict[str, Filler]]:
        for size in range(4):
            for names in combinations(open_ones, size):
                for others in product(*(found[name][1:] for name in names)):
                    yield {**first, **dict(zip(names, others))}

    return islice(every(), _TRIES)


def _is_key(column: Column, table: Table) -> bool:
    return column.key_position > 0 and table.is_without_rowid


def _keys(table: Table) -> Iterator[tuple[str, ...]]:
    for unique in (table.primary_key, *table.uniques):
        if unique is not None:
            yield unique.columns
    for index in table.indexes:
        if index.is_unique:
            yield tuple(term.column for term in index.terms if term.column is not None)


def _rules(table: Table, wanted: Table | None, triggers: Sequence[Trigger]) -> list[Rule]:
    checks = [*table.checks, *(() if wanted is None else wanted.checks)]
    rules = [Rule("check", one.expression, _named(one.expression, table)) for one in checks]
    # without a name: it is no expression that could be asked for
    return rules + [Rule("", one.sql, _named(one.sql, table)) for one in triggers]


def _named(text: str, table: Table) -> tuple[str, ...]:
    words = {
        fold(unquote(token)) for token in significant(tokenize(text)) if token.kind in ("word", "identifier")
    }
    return tuple(column.name for column in table.columns if fold(column.name) in words)


def _fitting(connection: sqlite3.Connection, column: _Column) -> list[Filler]:
    """Give the candidates that the rules about this column alone accept."""
    every = [*dict.fromkeys(_possible(connection, column))]
    fits = [one for one in every if _accepted(connection, column, one)]
    return (fits or every)[:_MOST]


def _possible(connection: sqlite3.Connection, column: _Column) -> Iterator[Filler]:
    own, kind = column.own, affinity(column.own, column.table)
    has_default = own.default is not None and own.default.upper() != "NULL"
    if has_default or not column.is_required:
        yield OMIT
    if has_default and not column.is_required:
        yield None
    if kind == "TEXT":
        yield Lost()
        if column.is_unique:
            yield Lost(is_numbered=True)
    elif kind == "BLOB":
        yield b""
    else:
        yield 0
        if column.is_unique:
            yield Next()
    yield from _spelled(column, kind)
    yield from _usual(connection, column)
    described = Described(own.name, own.type, column.is_required, is_strict=column.table.is_strict)
    yield from values_of(described, column.rules, 1, Random(0))[:_LIKELY]


def _spelled(column: _Column, kind: str) -> Iterator[Value]:
    """Give what the rules write out, as it is: the values of an IN list."""
    for rule in column.rules:
        for token in rule.literals:
            if token.kind == "string" and kind in ("TEXT", "BLOB"):
                yield unquote(token)
            elif token.kind == "number" and kind != "TEXT" and token.text.isdecimal():
                yield int(token.text)


def _usual(connection: sqlite3.Connection, column: _Column) -> Iterator[Value]:
    """Give what most rows of the table hold there, as far as a few of them tell."""
    name = quote(column.own.name)
    sql = (
        f"SELECT v FROM (SELECT {name} AS v FROM {quote(column.table.name)} LIMIT {_SEEN})"
        " WHERE v IS NOT NULL GROUP BY v ORDER BY count(*) DESC, v LIMIT 1"
    )
    try:
        for (value,) in connection.execute(sql).fetchall():
            yield value
    except sqlite3.Error:
        # a collation of the app's own: the others are tried
        return


def _accepted(connection: sqlite3.Connection, column: _Column, filler: Filler) -> bool:
    value = filled(filler, (1,), 1)
    shown = f"({column.own.default or 'NULL'})" if isinstance(value, Omit) else "?"
    given = [] if isinstance(value, Omit) else [value]
    for check in column.alone:
        sql = f"SELECT ({check.expression}\n) IS NOT FALSE FROM (SELECT {shown} AS {quote(column.own.name)})"
        try:
            if not connection.execute(sql, given).fetchone()[0]:
                return False
        except (sqlite3.Error, OverflowError, UnicodeError):
            continue
    return True
