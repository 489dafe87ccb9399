"""Sample rows for the tables of a folder: a file that runs on empty tables may fail on the first real row.

Two rows a table, with a value in every column, so that what fails on them fails on nearly all others.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from datalayer.schema.snapshot import Column, Schema, Table
from datalayer.schema.tokens import Statement, Token, fold, quote, significant, tokenize, unquote
from datalayer.schema.validate.replay import open_memory, run_statement, set_aside
from datalayer.schema.validate.source import Source

__all__ = ["Trial", "try_with_rows"]

_ROWS = 2
_MOST_ATTEMPTS = 300


@dataclass(frozen=True, slots=True)
class Trial:
    """How a file went with rows in the tables: the statement that failed with what SQLite said.

    `orphans` are (table, parent, column) of references that the file left without parent.
    """

    failed: Statement | None
    error: str
    orphans: tuple[tuple[str, str, str], ...]


def try_with_rows(
    source: Source, start: Schema, state: bytes, *, enforces_foreign_keys: bool
) -> Trial | None:
    """Run a file on the schema before it with rows in the tables that it names; None where it names none."""
    words = {fold(unquote(token)) for one in source.statements for token in one.tokens}
    tables = _with_parents(start, [table for table in start.tables if fold(table.name) in words])
    if not tables:
        return None
    # one INSERT is tried with many rows
    connection = open_memory(state, cached_statements=8)
    try:
        # triggers would make rows of their own
        filled = {fold(table.name) for table in tables}
        triggers = [trigger for trigger in start.triggers if fold(trigger.table) in filled]
        for trigger in triggers:
            connection.execute(f"DROP TRIGGER {quote(trigger.name)}")
        for place, table in enumerate(tables):
            _fill(connection, start, table, place)
        for trigger in triggers:
            connection.execute(trigger.sql)
        orphans = _orphans(connection)
        connection.execute(f"PRAGMA foreign_keys = {int(enforces_foreign_keys)}")
        connection.execute("BEGIN")
        for statement in source.statements:
            error = None if set_aside(statement) else run_statement(connection, statement)
            if error is not None:
                return Trial(statement, error, ())
        return Trial(None, "", tuple(one for one in _orphans(connection) if one not in orphans))
    finally:
        connection.close()


def _with_parents(schema: Schema, tables: Iterable[Table]) -> list[Table]:
    """Give the tables and those that they refer to, parents before their children."""
    found: dict[str, Table] = {}
    waiting = [(table, False) for table in tables if table.kind == "table"]
    seen: set[str] = set()
    while waiting:
        table, has_parents = waiting.pop()
        if has_parents:
            found[fold(table.name)] = table
        elif fold(table.name) not in seen:
            seen.add(fold(table.name))
            waiting.append((table, True))
            parents = [schema.table(key.parent) for key in table.foreign_keys]
            waiting += [(one, False) for one in parents if one is not None]
    return list(found.values())


def _fill(connection: sqlite3.Connection, schema: Schema, table: Table, place: int) -> None:
    """Insert the rows; a table whose rules refuse every attempt stays as it is."""
    columns = [column for column in table.columns if column.generated is None and not column.is_hidden]
    names = ", ".join(quote(column.name) for column in columns)
    marks = ", ".join("?" for _ in columns)
    sql = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})"
    for number in range(1, _ROWS + 1):
        given = _parent_values(connection, schema, table, number)
        choices = [
            [given[fold(column.name)]]
            if fold(column.name) in given
            else [
                *_candidates(table, column, number),
                _plain(column, place * 10_000 + position * 10 + number),
            ]
            for position, column in enumerate(columns)
        ]
        for attempt in itertools.islice(_attempts(choices, number), _MOST_ATTEMPTS):
            try:
                connection.execute(sql, attempt)
                break
            except (sqlite3.Error, OverflowError):
                continue


def _parent_values(
    connection: sqlite3.Connection, schema: Schema, table: Table, number: int
) -> dict[str, object]:
    """Give the values of the columns that refer to a row; those of a table that refers to itself are NULL."""
    found: dict[str, object] = {}
    for key in table.foreign_keys:
        parent = schema.table(key.parent)
        if parent is None:
            continue
        columns = key.parent_columns or (parent.primary_key.columns if parent.primary_key else ())
        if fold(parent.name) == fold(table.name) or len(columns) != len(key.columns):
            found.update(dict.fromkeys(map(fold, key.columns)))
            continue
        sql = f"SELECT {', '.join(map(quote, columns))} FROM {quote(parent.name)} LIMIT 1 OFFSET {number - 1}"
        row = connection.execute(sql).fetchone()
        if row is not None:
            found.update(zip(map(fold, key.columns), row))
    return found


def _attempts(choices: Sequence[Sequence[object]], number: int) -> Iterator[tuple[object, ...]]:
    """Give rows to try: in the first ones every column goes on to its next candidate."""
    for place in range(max((len(more) for more in choices), default=0)):
        yield tuple(more[(place + number - 1) % len(more)] for more in choices)
    yield from itertools.product(*choices)


def _plain(column: Column, number: int) -> object:
    kind = fold(column.type)
    if "int" in kind or any(word in kind for word in ("num", "dec", "bool")):
        return number
    if any(word in kind for word in ("real", "floa", "doub")):
        return float(number)
    return str(number).encode() if kind == "blob" else str(number)


def _candidates(table: Table, column: Column, number: int) -> list[object]:
    """Give the literals of the CHECKs over a column, its default, and values of usual forms."""
    found: list[object] = []
    for check in table.checks:
        tokens = _tokens(check.expression)
        if not any(fold(unquote(token)) == fold(column.name) for token in tokens):
            continue
        for token in tokens:
            if token.kind == "string":
                found.append(unquote(token))
            elif token.kind == "number" and token.text.isdigit():
                found += [int(token.text), int(token.text) + 1, "x" * min(int(token.text), 500)]
        found += ["{}", "[]", f"2026-01-0{number}T03:04:05.000000Z", f"a{number}@b.example"]
    return found


@lru_cache(maxsize=256)
def _tokens(expression: str) -> tuple[Token, ...]:
    return significant(tokenize(expression))


def _orphans(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    try:
        rows = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.Error:
        return []
    found: list[tuple[str, str, str]] = []
    for table, _, parent, number in rows:
        keys = connection.execute('SELECT id, "from" FROM pragma_foreign_key_list(?)', (table,)).fetchall()
        column = next((str(name) for place, name in keys if place == number), "")
        found.append((str(table), str(parent), column))
    return list(dict.fromkeys(found))
