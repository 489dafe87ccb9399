"""Stored values against the rules of their table: one pass over each table, and a closer look where it fails.

CHECK, NOT NULL, types, JSON, UTF-8, unique keys. The pass is one aggregate for each some thousand rows, so
that a sound table costs little more than reading it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from datalayer.schema.change import breaches
from datalayer.schema.change.breaches import Breach, in_place
from datalayer.schema.change.layout import affinity
from datalayer.schema.change.projection import key_columns, quote, rowid_name
from datalayer.schema.check.rule import MOST_ROWS, shown
from datalayer.schema.finding import Finding
from datalayer.schema.snapshot import Check, Column, Table, Unique
from datalayer.schema.tokens import fold

__all__ = ["broken_values", "doubles"]

Tick = Callable[[int], None]
_FEW_BYTES, _MANY_BYTES = 1 << 20, 4 << 20
_MOST_IN_CHUNK = 16_384
_ID = {"not-null": "DL-C005", "check": "DL-C003", "type": "DL-C006", "unique": "DL-C009"}


@dataclass(frozen=True, slots=True)
class _Questions:
    """What is asked of a table: conditions that no row may meet, columns whose texts must be UTF-8."""

    checks: tuple[Check, ...]
    conditions: tuple[str, ...]
    texts: tuple[str, ...]


def broken_values(
    connection: sqlite3.Connection, table: Table, *, is_suspect: bool, is_utf8: bool, tick: Tick
) -> Iterator[Finding]:
    """Find the values of one table that break its rules, per rule with a count and the first ten keys.

    `is_suspect` looks at NOT NULL and STRICT types too, which integrity_check has looked at. A connection
    that only reads does not even load CHECKs (sqlite3AddCheckConstraint in build.c), so integrity_check
    passes them over there; and elsewhere it names the table alone.
    """
    checks: list[Check] = []
    for check in table.checks:
        reason = _why_not(connection, table, check)
        if reason is None:
            checks.append(check)
        else:
            message = f"the rule {_name(check)} of {table.name} could not be checked: {reason}"
            yield Finding("DL-C004", "warning", table.name, check.name, 1, message, "none")
    misfits = {column.name: _misfit(table, column) for column in table.columns}
    conditions = [
        *(f"NOT ({check.expression}\n)" for check in checks),
        *(condition for condition in misfits.values() if condition is not None),
    ]
    texts = tuple(column.name for column in table.columns if is_utf8 and _may_hold_text(table, column))
    questions = _Questions(tuple(checks), tuple(conditions), texts)
    has_broken, has_bad_text = _pass(connection, table, questions, tick)
    if has_broken or is_suspect:
        for breach in _details(connection, table, checks, misfits, is_suspect=is_suspect):
            yield _finding(breach, table)
    if has_bad_text:
        yield from _bad_texts(connection, table, texts)


def doubles(connection: sqlite3.Connection, table: Table, names: Collection[str]) -> Iterator[Finding]:
    """Find the rows that unique keys do not tell apart, where integrity_check named one of their indexes."""
    keys = [
        *((key.name or ", ".join(key.columns), key.terms, None) for key in _keys(table)),
        *((index.name, index.terms, index.where) for index in table.indexes if index.is_unique),
    ]
    named = {fold(index.name) for index in table.indexes}
    automatic = any(name not in named and f"_{fold(table.name)}_" in name for name in names)
    for name, terms, where in keys:
        if fold(name) in names or (automatic and fold(name) not in named):
            for breach in breaches.duplicates(connection, in_place(table), table, name, terms, where):
                yield _finding(breach, table)


def _keys(table: Table) -> Iterator[Unique]:
    if table.primary_key is not None and table.rowid_column is None:
        yield table.primary_key
    yield from table.uniques


def _name(check: Check) -> str:
    return check.name or " ".join(check.expression.split())


def _why_not(connection: sqlite3.Connection, table: Table, check: Check) -> str | None:
    """Say why this SQLite cannot compute a rule: it calls a function of the app's, say."""
    try:
        connection.execute(f"EXPLAIN SELECT NOT ({check.expression}\n) FROM {quote(table.name)}").fetchall()
    except sqlite3.OperationalError as exc:
        return str(exc)
    return None


def _misfit(table: Table, column: Column) -> str | None:
    """Give the condition for a value that the affinity of its column would not have let stay as it is.

    https://sqlite.org/datatype3.html#type_affinity. A text in a NUMERIC column is no misfit: DATE is one.
    """
    if table.is_strict or column.generated is not None or column.is_hidden:
        return None
    kind, name = affinity(column, table), quote(column.name)
    if kind == "TEXT":
        return f"typeof({name}) IN ('integer', 'real')"
    if kind in ("INTEGER", "REAL") and column is not table.rowid_column:
        return f"typeof({name}) IN ('text', 'blob')"
    return None


def _may_hold_text(table: Table, column: Column) -> bool:
    if column.generated is not None or column.is_hidden or column is table.rowid_column:
        return False
    if table.is_strict:
        return fold(column.type) in ("text", "any")
    return affinity(column, table) in ("TEXT", "BLOB", "NUMERIC")


# -- the pass -------------------------------------------------------------------------------------


def _pass(
    connection: sqlite3.Connection, table: Table, questions: _Questions, tick: Tick
) -> tuple[bool, bool]:
    """Read the table once; say whether a row meets a condition, and whether a text is not UTF-8."""
    if not questions.conditions and not questions.texts:
        return False, False
    answers = ["count(*)"]
    # as one condition: an aggregate each would cost twice as much
    broken = " OR ".join(questions.conditions) or "0"
    answers.append(f"total({broken})" if len(questions.conditions) < 200 else "1")
    for name in questions.texts:
        column = table.column(name)
        strict = table.is_strict and column is not None and fold(column.type) == "text"
        quoted = quote(name)
        answers.append(
            f"group_concat({quoted})"
            if strict
            else f"group_concat(CASE typeof({quoted}) WHEN 'text' THEN {quoted} END)"
        )
    before = connection.text_factory
    connection.text_factory = bytes
    try:
        return _read_through(connection, table, answers, tick)
    finally:
        connection.text_factory = before


def _read_through(
    connection: sqlite3.Connection, table: Table, answers: Sequence[str], tick: Tick
) -> tuple[bool, bool]:
    name, rowid = quote(table.name), rowid_name(table)
    listed = ", ".join(answers)
    if rowid is None or any("rowid" in answer.lower() for answer in answers):
        # no way to go on from a place in it: texts are read row by row
        row = connection.execute(f"SELECT {', '.join(answers[:2])} FROM {name}").fetchone()
        tick(int(row[0]))
        return bool(row[1]), len(answers) > 2 and _has_bad_text(connection, table)
    place = quote(_unused(table))
    # the order is the table's own: without it an index may be read instead
    # put together anew each time: a name may hold braces, or any other mark of a gap
    start = (
        f"SELECT {listed}, max({place}) FROM (SELECT *, {quote(rowid)} AS {place} FROM {name} NOT INDEXED"
        f" WHERE {quote(rowid)}"
    )
    end = f"? ORDER BY {quote(rowid)} LIMIT ?) AS {name}"
    has_broken = has_bad_text = False
    last, size, sign = -(1 << 63), 256, ">="
    while True:
        count, broken, *texts, last = connection.execute(f"{start} {sign} {end}", (last, size)).fetchone()
        if not count:
            return has_broken, has_bad_text
        tick(count)
        has_broken = has_broken or bool(broken)
        has_bad_text = has_bad_text or not all(map(_is_valid, texts))
        length = sum(len(text) for text in texts if text is not None)
        if length < _FEW_BYTES:
            size = min(size * 2, _MOST_IN_CHUNK)
        elif length > _MANY_BYTES:
            size = max(1, size // 2)
        sign = ">"


def _is_valid(text: bytes | None) -> bool:
    if text is None:
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_bad_text(connection: sqlite3.Connection, table: Table) -> bool:
    for row in connection.execute(f"SELECT * FROM {quote(table.name)}"):
        # blobs come as bytes too; the closer look tells them from texts
        if not all(_is_valid(value) for value in row if isinstance(value, bytes)):
            return True
    return False


def _unused(table: Table) -> str:
    name = "place"
    while table.column(name) is not None:
        name += "_"
    return name


# -- the closer look ------------------------------------------------------------------------------


def _details(
    connection: sqlite3.Connection,
    table: Table,
    checks: Sequence[Check],
    misfits: dict[str, str | None],
    *,
    is_suspect: bool,
) -> Iterator[Breach]:
    source = in_place(table)
    yield from breaches.broken_checks(connection, source, table, checks)
    if is_suspect:
        for column in table.columns:
            if column.is_not_null and column.generated is None:
                yield from breaches.nulls(connection, source, table, column)
        if table.is_strict:
            yield from _wrong_types(connection, table)
    for name, condition in misfits.items():
        if condition is not None:
            count, rows = source.find(connection, condition, [name])
            if count:
                column = table.column(name)
                declared = column.type if column else ""
                yield Breach("type", table.name, name, count, f"{name} is declared {declared}", rows)


def _wrong_types(connection: sqlite3.Connection, table: Table) -> Iterator[Breach]:
    """Find values that a STRICT table does not take; a NULL is told as what it is."""
    for breach in breaches.wrong_types(connection, in_place(table), table):
        name = quote(breach.object)
        # SQLite takes IS NOT NULL for true where the declaration says so
        sql = f"SELECT count(*) FROM {quote(table.name)} WHERE typeof({name}) = 'null'"
        empty = int(connection.execute(sql).fetchone()[0])
        if breach.count > empty:
            rows = tuple(row for row in breach.rows if row.get(breach.object) is not None)
            yield replace(breach, count=breach.count - empty, rows=rows)


def _finding(breach: Breach, table: Table) -> Finding:
    id_ = _ID[breach.id]
    if id_ == "DL-C003" and "json_valid" in breach.message.lower():
        id_ = "DL-C008"
    count, name = breach.count, breach.object
    messages = {
        "DL-C003": f"{count} rows of {table.name} break the rule {' '.join(name.split())}",
        "DL-C005": f"{count} rows of {table.name} have no {name}, and must have one",
        "DL-C006": f"{count} values of {table.name}.{name} have another type: {breach.message}",
        "DL-C008": f"{count} rows of {table.name} hold invalid JSON ({' '.join(name.split())})",
        "DL-C009": f"{count} rows of {table.name} are alike in {name}, which must be unique",
    }
    is_soft = id_ == "DL-C006" and not table.is_strict
    return Finding(
        id_,
        "warning" if is_soft else "error",
        table.name,
        " ".join(name.split()),
        count,
        messages[id_],
        "none" if is_soft else "lossy",
        breach.rows,
    )


def _bad_texts(connection: sqlite3.Connection, table: Table, names: Sequence[str]) -> Iterator[Finding]:
    keys = key_columns(table)
    for name in names:
        count, rows = 0, list[dict[str, object]]()
        listed = ", ".join([quote(name), *map(quote, keys)])
        before = connection.text_factory
        connection.text_factory = bytes
        try:
            sql = f"SELECT {listed} FROM {quote(table.name)} WHERE typeof({quote(name)}) = 'text'"
            for text, *values in connection.execute(sql):
                if not _is_valid(text):
                    count += 1
                    if count <= MOST_ROWS:
                        rows.append(dict(zip(keys, map(_told, values))))
        finally:
            connection.text_factory = before
        if count:
            message = f"{count} texts of {table.name}.{name} are not valid UTF-8"
            yield Finding("DL-C007", "error", table.name, name, count, message, "lossy", rows)


def _told(value: object) -> object:
    return shown(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
