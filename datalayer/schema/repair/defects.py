"""Rows that break the rules of their table, and what SQLite's own check says: found, not cured.

A condition is SQL over the table's alias `t0`, true for the rows that are meant. Rules come from the table as
it is and from what it should be.
"""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from datalayer.schema.change.planning import is_constant
from datalayer.schema.check.fulltext import emptied_text_indexes
from datalayer.schema.repair.quarantine import is_lost_and_found, is_utf8
from datalayer.schema.snapshot import Check, Column, Index, Schema, Table, Unique
from datalayer.schema.tokens import canonical, fold, quote, tokenize

__all__ = ["Defect", "PageReport", "duplicates", "look_at_pages", "look_at_values", "misfits"]

_MOST = 100_000
_BAD_ROWS = "datalayer_bad_rows"
_STORAGE = {
    "INT": "'integer'",
    "INTEGER": "'integer'",
    "REAL": "'real', 'integer'",
    "TEXT": "'text'",
    "BLOB": "'blob'",
}


@dataclass(frozen=True, slots=True)
class Defect:
    """Rows of a table that break one rule. `cure` is how they are put right; `object` the column or rule."""

    table: Table
    object: str
    condition: str
    reason: str
    cure: Literal["default", "convert", "move"]
    count: int


@dataclass(slots=True)
class PageReport:
    """What PRAGMA integrity_check said: indexes to make anew, tables with misfit values, damaged pages."""

    indexes: set[str] = field(default_factory=set[str])
    duplicated: set[str] = field(default_factory=set[str])
    text_indexes: set[str] = field(default_factory=set[str])
    misfits: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    damage: list[str] = field(default_factory=list[str])


_INDEX_WORDS = re.compile(
    r"row \d+ missing from index (?P<a>.+)|wrong # of entries in index (?P<b>.+)"
    r"|rowid not at end-of-record for row \d+ of index (?P<c>.+)"
    r"|row \d+ values differ from index (?P<d>.+)"
)
_TEXT_INDEX = re.compile(r"malformed inverted index for FTS\d table (?:\w+\.)?(.+)")
_MISFIT = re.compile(r"(?:NUMERIC|TEXT) value in (.+)\.([^.]+)")
_VALUES = ("NULL value in ", "non-", "CHECK constraint failed in ", "*** in ")


def look_at_pages(connection: sqlite3.Connection) -> PageReport:
    """Run SQLite's own checks and sort what they say. Reads every page.

    A file that cannot even be asked is damaged too.
    """
    report = PageReport()
    try:
        # asked for the schema table alone it counts freelist and orphan pages wherever a view stands
        for argument in (str(_MOST), "sqlite_schema"):
            for (text,) in connection.execute(f"PRAGMA main.integrity_check({argument})").fetchall():
                for line in str(text).splitlines():
                    _sort(line, report)
        if not report.damage:
            report.text_indexes.update(emptied_text_indexes(connection))
    except sqlite3.DatabaseError as exc:
        report.damage.append(str(exc))
    report.damage = list(dict.fromkeys(report.damage))
    return report


def _sort(line: str, report: PageReport) -> None:
    """Sort one sentence: SQLite gives no codes."""
    if line == "ok" or not line:
        return
    found = _INDEX_WORDS.fullmatch(line)
    if found:
        report.indexes.add(next(name for name in found.groups() if name))
    elif line.startswith("non-unique entry in index "):
        report.duplicated.add(line.removeprefix("non-unique entry in index "))
    elif found := _TEXT_INDEX.fullmatch(line):
        report.text_indexes.add(found[1])
    elif found := _MISFIT.fullmatch(line):
        report.misfits.add((found[1], found[2]))
    elif not line.startswith(_VALUES):
        report.damage.append(line)


# -- values ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    object: str
    condition: str
    reason: str
    cure: Literal["default", "convert", "move"] = "move"


def look_at_values(connection: sqlite3.Connection, found: Schema, wanted: Schema | None) -> Iterator[Defect]:
    """Find the rows that break NOT NULL, CHECK, the types of STRICT, and texts that are not UTF-8.

    One pass a table, one more for its texts.
    """
    may_misread = connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8"
    for table in found.tables:
        if table.kind != "table" or is_lost_and_found(table.name):
            continue
        target = None if wanted is None else wanted.table(table.name)
        rules = list(_rules(table, target, found.names))
        if may_misread:
            # first: its cure keeps the bytes of such a text
            yield from _undecodable(connection, table)
        for rule, count in _counts(connection, table, rules):
            yield Defect(table, rule.object, rule.condition, rule.reason, rule.cure, count)


def _rules(table: Table, target: Table | None, names: frozenset[str]) -> Iterator[_Rule]:
    for column in table.columns:
        other = None if target is None else target.column(column.name)
        if column.is_hidden or column is table.rowid_column:
            continue
        if column.is_not_null or (other is not None and other.is_not_null):
            yield _not_null(column, other or column)
        strict = target if target is not None and target.is_strict else table if table.is_strict else None
        if strict is not None and (column_of := strict.column(column.name)) is not None:
            yield from _strict(column_of)
    for check in _checks(table, target, names):
        name = check.name or " ".join(check.expression.split())
        yield _Rule(name, f"NOT ({check.expression}\n)", f"the rule {name} is broken")


def _not_null(column: Column, wanted: Column) -> _Rule:
    # SQLite takes IS NULL of a NOT NULL column for false without looking
    condition = f"typeof(t0.{quote(column.name)}) = 'null'"
    default = wanted.default
    if default is not None and default.upper() != "NULL" and is_constant(default) and not column.generated:
        return _Rule(column.name, condition, f"{column.name} is NULL but must not be", "default")
    return _Rule(column.name, condition, f"{column.name} is NULL but must not be")


def _strict(column: Column) -> Iterator[_Rule]:
    kinds = _STORAGE.get(column.type.upper())
    if kinds is None:
        return
    name = f"t0.{quote(column.name)}"
    yield _Rule(
        column.name,
        f"typeof({name}) NOT IN ('null', {kinds})",
        f"{column.name} holds a value that is no {column.type.upper()}",
    )


def _checks(table: Table, target: Table | None, names: frozenset[str]) -> list[Check]:
    """Give the rules of both without repeating one."""
    every = {canonical(tokenize(check.expression), names): check for check in table.checks}
    for check in () if target is None else target.checks:
        every.setdefault(canonical(tokenize(check.expression), names), check)
    return list(every.values())


def _counts(connection: sqlite3.Connection, table: Table, rules: list[_Rule]) -> Iterator[tuple[_Rule, int]]:
    """Count the rows that break each rule; one rule after the other where one cannot be computed."""
    if not rules:
        return
    try:
        counted = _sums(connection, table, rules)
    except sqlite3.Error:
        for rule in rules:
            yield from _count_alone(connection, table, rule)
        return
    yield from ((rule, count) for rule, count in zip(rules, counted) if count)


def _sums(connection: sqlite3.Connection, table: Table, rules: Iterable[_Rule]) -> list[int]:
    sums = ", ".join(f"total({rule.condition})" for rule in rules)
    row = connection.execute(f"SELECT {sums} FROM {quote(table.name)} AS t0 NOT INDEXED").fetchone()
    return [int(value) for value in row]


def _count_alone(connection: sqlite3.Connection, table: Table, rule: _Rule) -> Iterator[tuple[_Rule, int]]:
    try:
        [count] = _sums(connection, table, [rule])
    except sqlite3.Error as exc:
        if str(exc).startswith(("no such", "ambiguous")) or table.is_without_rowid:
            # a column that is not there yet, a function that this SQLite lacks
            return
        count, rule = _row_by_row(connection, table, rule)
    if count:
        yield rule, count


def _row_by_row(connection: sqlite3.Connection, table: Table, rule: _Rule) -> tuple[int, _Rule]:
    """Find the rows for which a rule cannot even be computed (malformed JSON, say): they break it."""
    bad: list[int] = []
    sql = f"SELECT {rule.condition} FROM {quote(table.name)} AS t0 WHERE rowid = ?"
    for (key,) in connection.execute(f"SELECT rowid FROM {quote(table.name)} NOT INDEXED").fetchall():
        try:
            row = connection.execute(sql, (key,)).fetchone()
        except sqlite3.Error:
            row = (1,)
        if row is not None and row[0]:
            bad.append(int(key))
    condition = _remember(connection, table, rule.object, bad)
    return len(bad), _Rule(rule.object, condition, rule.reason, rule.cure)


def _remember(connection: sqlite3.Connection, table: Table, name: str, rows: list[int]) -> str:
    """Put rowids into a temporary table and give the condition that means them."""
    place = f"temp.{_BAD_ROWS}"
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {_BAD_ROWS} (owner, rule, key)")
    connection.execute(f"DELETE FROM {place} WHERE owner = ? AND rule = ?", (table.name, name))
    connection.executemany(f"INSERT INTO {place} VALUES (?, ?, ?)", ((table.name, name, key) for key in rows))
    owner, rule = (one.replace("'", "''") for one in (table.name, name))
    return f"t0.rowid IN (SELECT key FROM {place} WHERE owner = '{owner}' AND rule = '{rule}')"


def _undecodable(connection: sqlite3.Connection, table: Table) -> Iterator[Defect]:
    """Find the texts that are not UTF-8: Python's own decoding tells, at the speed of reading."""
    columns = [c.name for c in table.columns if not c.is_hidden and c.generated is None]
    if not columns:
        return
    names = ", ".join(map(quote, columns))
    before = connection.text_factory
    connection.text_factory = str
    try:
        deque(connection.execute(f"SELECT {names} FROM {quote(table.name)} NOT INDEXED"), maxlen=0)
        return
    except sqlite3.OperationalError as exc:
        if "decode" not in str(exc):
            raise
    finally:
        connection.text_factory = before
    connection.create_function("datalayer_is_utf8", 1, is_utf8, deterministic=True)
    for name in columns:
        column = f"t0.{quote(name)}"
        # as a blob: a text argument would be decoded on the way
        condition = f"typeof({column}) = 'text' AND NOT datalayer_is_utf8(CAST({column} AS BLOB))"
        rule = _Rule(name, condition, f"{name} holds a text that is not valid UTF-8")
        [count] = _sums(connection, table, [rule])
        if count:
            yield Defect(table, name, condition, rule.reason, "move", count)


def misfits(connection: sqlite3.Connection, report: PageReport, found: Schema) -> Iterator[Defect]:
    """Give the columns whose values have another storage class than the column's affinity makes of them."""
    for table_name, column in sorted(report.misfits):
        table = found.table(table_name)
        if table is None or table.column(column) is None:
            continue
        count = int(connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0])
        reason = f"{column} holds values of another storage class than its type makes of them"
        yield Defect(table, column, "true", reason, "convert", count)


# -- keys ------------------------------------------------------------------------------------------


def duplicates(
    connection: sqlite3.Connection, found: Schema, wanted: Schema | None, suspects: set[str]
) -> Iterator[Defect]:
    """Find rows whose unique key another row has too: for the indexes named, and for those that are missing.

    The row with the lowest rowid (WITHOUT ROWID: primary key) stays.
    """
    for table in found.tables:
        if table.kind != "table" or is_lost_and_found(table.name):
            continue
        target = None if wanted is None else wanted.table(table.name)
        for name, terms, where in _unique_keys(table, target, suspects):
            condition = _repeated(table, terms, where)
            sql = f"SELECT count(*) FROM {quote(table.name)} AS t0 NOT INDEXED WHERE {condition}"
            try:
                count = int(connection.execute(sql).fetchone()[0])
            except sqlite3.Error:
                # of a column that is not there yet
                continue
            if count:
                reason = f"another row has the same key {name}"
                yield Defect(table, name, condition, reason, "move", count)


def _unique_keys(
    table: Table, target: Table | None, suspects: set[str]
) -> Iterator[tuple[str, list[str], str | None]]:
    named = {fold(index.name): index for index in table.indexes}
    known = {unique.columns for unique in (*table.uniques, table.primary_key) if unique is not None}
    for index in table.indexes:
        if index.is_unique and index.name in suspects:
            yield index.name, _index_terms(index), index.where
    autos = f"sqlite_autoindex_{table.name}_"
    if any(name.startswith(autos) for name in suspects):
        for unique in (*table.uniques, table.primary_key):
            if unique is not None and (unique is not table.primary_key or table.rowid_column is None):
                yield _key_name(unique), [quote(name) for name in unique.columns], None
    if target is None:
        return
    for index in target.indexes:
        if index.is_unique and fold(index.name) not in named:
            yield index.name, _index_terms(index), index.where
    for unique in target.uniques:
        if unique.columns not in known:
            yield _key_name(unique), [quote(name) for name in unique.columns], None


def _key_name(unique: Unique) -> str:
    return unique.name or f"({', '.join(unique.columns)})"


def _index_terms(index: Index) -> list[str]:
    return [
        (quote(term.column) if term.column else f"({term.expression})")
        + (f" COLLATE {quote(term.collation)}" if term.collation else "")
        for term in index.terms
    ]


def _repeated(table: Table, terms: list[str], where: str | None) -> str:
    key = ["rowid"] if not table.is_without_rowid else [quote(c) for c in _primary(table)]
    given = " AND ".join(f"{term} IS NOT NULL" for term in terms)
    only = f" AND ({where})" if where else ""
    own = ", ".join(f"t0.{name}" for name in key)
    chosen = ", ".join(f"{name} AS k{place}" for place, name in enumerate(key))
    kept = ", ".join(f"k{place}" for place in range(len(key)))
    return (
        f"({own}) IN (SELECT {kept} FROM (SELECT {chosen}, row_number() OVER"
        f" (PARTITION BY {', '.join(terms)} ORDER BY {', '.join(key)}) AS place"
        f" FROM {quote(table.name)} NOT INDEXED WHERE {given}{only}) WHERE place > 1)"
    )


def _primary(table: Table) -> list[str]:
    return [c.name for c in sorted(table.columns, key=lambda c: c.key_position) if c.key_position]
