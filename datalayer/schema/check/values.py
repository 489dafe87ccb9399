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
_MOST_IN_RANGE = 16_384
# so many terms an expression may have at most (sqlite.org/limits.html, depth of an expression)
_MOST_RULES = 200
_ID = {"not-null": "DL-C005", "check": "DL-C003", "type": "DL-C006", "unique": "DL-C009"}


@dataclass(frozen=True, slots=True)
class _Questions:
    """What is asked of a table in one pass: aggregates, and which of their answers mean trouble.

    `rules` count the rows that break a CHECK; `kinds` give the storage class of a column's least or greatest
    value (numbers sort before texts, texts before blobs), with those that are misfits; `texts` are joined.
    """

    rules: str
    kinds: tuple[tuple[str, frozenset[str]], ...]
    texts: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read the rows for."""
        return self.rules == "0" and not self.kinds and not self.texts


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
    texts = [column for column in table.columns if is_utf8 and _may_hold_text(table, column)]
    questions = _Questions(
        " OR ".join(f"NOT ({check.expression}\n)" for check in checks[:_MOST_RULES]) or "0",
        tuple(kind for column in table.columns if (kind := _kind(table, column)) is not None),
        tuple(_joined(table, column) for column in texts),
    )
    has_broken, has_bad_text = _pass(connection, table, questions, tick)
    has_broken = has_broken or len(checks) > _MOST_RULES
    if has_broken or is_suspect:
        for breach in _details(connection, table, checks, misfits, is_suspect=is_suspect):
            yield _finding(breach, table)
    if has_bad_text:
        yield from _bad_texts(connection, table, [column.name for column in texts])


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


def _kind(table: Table, column: Column) -> tuple[str, frozenset[str]] | None:
    """Give the aggregate that tells whether a column holds a misfit; half the cost of asking each value."""
    if _misfit(table, column) is None:
        return None
    # in plain byte order: a collation of the app's may be unknown here
    name = f"{quote(column.name)} COLLATE BINARY"
    if affinity(column, table) == "TEXT":
        return f"typeof(min({name}))", frozenset({"integer", "real"})
    return f"typeof(max({name}))", frozenset({"text", "blob"})


def _may_hold_text(table: Table, column: Column) -> bool:
    if column.generated is not None or column.is_hidden or column is table.rowid_column:
        return False
    if table.is_strict:
        return fold(column.type) in ("text", "any")
    return affinity(column, table) in ("TEXT", "BLOB", "NUMERIC")


def _joined(table: Table, column: Column) -> str:
    """Give the aggregate that joins a column's texts; joined, they are valid where each of them is."""
    name = quote(column.name)
    if affinity(column, table) == "BLOB":
        return f"group_concat(CASE typeof({name}) WHEN 'text' THEN {name} END)"
    return f"group_concat({name})"


# -- the pass -------------------------------------------------------------------------------------


def _pass(
    connection: sqlite3.Connection, table: Table, questions: _Questions, tick: Tick
) -> tuple[bool, bool]:
    """Read the table once; say whether a value may break a rule, and whether a text may not be UTF-8."""
    if questions.is_empty:
        return False, False
    before = connection.text_factory
    connection.text_factory = bytes
    try:
        if rowid_name(table) is not None:
            return _by_ranges(connection, table, questions, tick)
        kinds = [sql for sql, _ in questions.kinds]
        listed = ", ".join(["count(*)", f"total({questions.rules})", *kinds])
        row = connection.execute(f"SELECT {listed} FROM {quote(table.name)}").fetchone()
        tick(int(row[0]))
        # no way to go on from a place in it, so texts are read row by row
        has_bad_text = bool(questions.texts) and _has_bad_text(connection, table)
        return bool(row[1]) or _is_misfit(questions, row[2:]), has_bad_text
    finally:
        connection.text_factory = before


def _by_ranges(
    connection: sqlite3.Connection, table: Table, questions: _Questions, tick: Tick
) -> tuple[bool, bool]:
    """Ask a range of rowids at a time: what is joined stays small, and progress can be told."""
    name, key = quote(table.name), quote(rowid_name(table) or "rowid")
    kinds = [sql for sql, _ in questions.kinds]
    listed = ", ".join(["count(*)", f"total({questions.rules})", *kinds, *questions.texts])
    ask = f"SELECT {listed} FROM {name} NOT INDEXED WHERE {key} >= ?"
    step = f"SELECT {key} FROM {name} NOT INDEXED WHERE {key} >= ? ORDER BY {key} LIMIT 1 OFFSET ?"
    has_broken = has_bad_text = False
    size, low = 256, -(1 << 63)
    while True:
        following = connection.execute(step, (low, size)).fetchone()
        if following is None:
            count, broken, *answers = connection.execute(ask, (low,)).fetchone()
        else:
            count, broken, *answers = connection.execute(f"{ask} AND {key} < ?", (low, *following)).fetchone()
        texts = answers[len(kinds) :]
        has_broken = has_broken or bool(broken) or _is_misfit(questions, answers)
        has_bad_text = has_bad_text or not all(map(_is_valid, texts))
        tick(count)
        if following is None:
            return has_broken, has_bad_text
        low, size = following[0], _next_size(size, sum(len(text) for text in texts if text is not None))


def _next_size(size: int, length: int) -> int:
    if length < _FEW_BYTES:
        return min(size * 2, _MOST_IN_RANGE)
    return max(1, size // 2) if length > _MANY_BYTES else size


def _is_misfit(questions: _Questions, answers: Sequence[bytes]) -> bool:
    return any(answer.decode() in bad for answer, (_, bad) in zip(answers, questions.kinds))


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
