"""SQLite's own checks of one database: pages, indexes against tables, references, sequences.

Works on a connection in a snapshot, and knows nothing of the expected schema.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from datalayer.schema.change.projection import key_columns, quote, rowid_name
from datalayer.schema.check.rule import MOST_ROWS, shown
from datalayer.schema.finding import Finding
from datalayer.schema.snapshot import ForeignKey, Schema, Table
from datalayer.schema.tokens import fold

__all__ = [
    "Integrity",
    "broken_references",
    "integrity",
    "is_damage",
    "readable_texts",
    "sampled",
    "sequences_behind",
]

_MOST = 1000
_ROW = re.compile(
    r"(?:row|rowid not at end-of-record for row) (-?\d+) (?:missing from|values differ from|of) index (.+)",
    re.DOTALL,
)
_COUNT = re.compile(r"wrong # of entries in index (.+)", re.DOTALL)
_DOUBLE = re.compile(r"non-unique entry in index (.+)", re.DOTALL)
_VALUE = re.compile(
    r"(?:NULL|non-\w+|NUMERIC|TEXT) value in (?P<table>[^.]+)\.(?P<column>.+)",
    re.DOTALL,
)


@dataclass(slots=True)
class Integrity:
    """What PRAGMA integrity_check said: findings, and the tables and indexes whose values need a look."""

    findings: list[Finding] = field(default_factory=list[Finding])
    suspects: set[str] = field(default_factory=set[str])
    doubles: set[str] = field(default_factory=set[str])
    is_cut: bool = False


def integrity(connection: sqlite3.Connection, owners: Mapping[str, str], *, quick: bool) -> Integrity:
    """Run PRAGMA integrity_check (quick_check leaves out the agreement of indexes with tables).

    `owners` gives the table of each index. https://sqlite.org/pragma.html#pragma_integrity_check
    """
    name = "quick_check" if quick else "integrity_check"
    messages: list[str] = []
    stopped: list[Finding] = []
    # integrity_check leaves freelist and orphan pages out where a view comes first in an internal hash
    # (seen in 3.40, 3.51 and 3.54); asked for the schema table alone it counts them, and that costs nothing
    for argument in (str(_MOST), "sqlite_schema"):
        if not _ask(connection, f"PRAGMA main.{name}({argument})", messages):
            stopped = stopped or list(_table_by_table(connection, name, messages))
    found = Integrity(stopped, is_cut=len(messages) >= _MOST or bool(stopped))
    missing: dict[str, list[int]] = {}
    for message in dict.fromkeys(messages):
        _sort(found, missing, message)
    for index, rows in missing.items():
        more = "at least " if found.is_cut else ""
        text = f"index {index} disagrees with its table in {more}{len(rows)} rows"
        if not rows:
            text = f"index {index} has another number of entries than its table has rows"
        table = owners.get(fold(index))
        told = [{"rowid": row} for row in rows[:MOST_ROWS]]
        found.findings.append(
            Finding("DL-C002", "error", table, index, max(1, len(rows)), text, "automatic", told)
        )
    return found


def _ask(connection: sqlite3.Connection, sql: str, messages: list[str]) -> bool:
    """Add what a check says; False where damage ended it, which it does over records that cannot be."""
    try:
        with readable_texts(connection):
            for (text,) in connection.execute(sql):
                messages += _lines(str(text))
    except sqlite3.DatabaseError as exc:
        if not is_damage(exc):
            raise
        return False
    return True


def _table_by_table(connection: sqlite3.Connection, name: str, messages: list[str]) -> Iterator[Finding]:
    """Ask for one table after the other, to tell those at which a check of all of them ends."""
    tables = connection.execute(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0"
    ).fetchall()
    for (table,) in tables:
        if not _ask(connection, f"PRAGMA main.{name}({quote(str(table))})", messages):
            message = f"{table} or an index of it holds pages or records that cannot be read"
            yield Finding("DL-C001", "error", str(table), None, 1, message, "lossy")


def _lines(text: str) -> list[str]:
    # one row may hold several lines, headed by the name of the database
    return [
        line
        for line in text.splitlines()
        if line != "ok" and not line.startswith(("*** in ", "CHECK constraint failed in "))
    ]


def _sort(found: Integrity, missing: dict[str, list[int]], message: str) -> None:
    """Sort a line by what can be done: SQLite gives no codes, only these sentences."""
    if match := _ROW.fullmatch(message):
        missing.setdefault(match[2], []).append(int(match[1]))
    elif match := _COUNT.fullmatch(message):
        missing.setdefault(match[1], [])
    elif match := _DOUBLE.fullmatch(message):
        found.doubles.add(fold(match[1]))
    elif match := _VALUE.fullmatch(message):
        found.suspects.add(fold(match["table"]))
    else:
        found.findings.append(Finding("DL-C001", "error", None, None, 1, message, "lossy"))


def broken_references(connection: sqlite3.Connection, found: Schema) -> Iterator[Finding]:
    """Count the rows that break each reference, with the keys of the first ten."""
    for table in sorted(found.tables, key=lambda table: table.name):
        if not table.foreign_keys:
            continue
        counts: dict[int, int] = {}
        places: dict[int, list[int]] = {}
        try:
            rows = connection.execute(f"PRAGMA main.foreign_key_check({quote(table.name)})")
            for _, rowid, _, number in rows:
                counts[number] = counts.get(number, 0) + 1
                if counts[number] <= MOST_ROWS and rowid is not None:
                    places.setdefault(number, []).append(rowid)
        except sqlite3.OperationalError as exc:
            if is_damage(exc):
                raise
            message = f"the references of {table.name} cannot be checked: {exc}"
            yield Finding("DL-C004", "error", table.name, None, 1, message, "manual")
            continue
        for number, count in sorted(counts.items()):
            yield _broken(connection, table, number, count, places.get(number, []))


def _broken(
    connection: sqlite3.Connection, table: Table, number: int, count: int, rowids: Sequence[int]
) -> Finding:
    key = _key(table, number)
    name = table.name
    label = key.name if key and key.name else f"{name}({', '.join(key.columns)})" if key else name
    parent = key.parent if key else "another table"
    message = f"{count} rows of {name} refer to rows of {parent} that are not there ({label})"
    rows: list[dict[str, object]] = []
    number_name = rowid_name(table)
    if number_name is not None and rowids:
        names = [*key_columns(table), *(column for column in (key.columns if key else ()))]
        names = list(dict.fromkeys(names))
        listed = ", ".join(map(quote, names))
        chosen = ", ".join(str(int(one)) for one in rowids)
        with readable_texts(connection):
            told = connection.execute(
                f"SELECT {listed} FROM {quote(name)} WHERE {quote(number_name)} IN ({chosen})"
            ).fetchall()
        rows = [{column: shown(value) for column, value in zip(names, row)} for row in told]
    return Finding("DL-C010", "error", name, label, count, message, "lossy", rows)


def _key(table: Table, number: int) -> ForeignKey | None:
    """Give the reference of this number: SQLite counts them from the last one of the text."""
    if number >= len(table.foreign_keys):
        return None
    return table.foreign_keys[len(table.foreign_keys) - 1 - number]


def sequences_behind(connection: sqlite3.Connection, found: Schema) -> Iterator[Finding]:
    """Find AUTOINCREMENT tables whose next number may be one that was given before."""
    numbered = [table for table in found.tables if table.primary_key and table.primary_key.autoincrement]
    if not numbered:
        return
    kept: dict[str, int] = {}
    for name, number in connection.execute("SELECT name, seq FROM main.sqlite_sequence"):
        if isinstance(number, int):
            kept[fold(str(name))] = max(number, kept.get(fold(str(name)), 0))
    for table in numbered:
        column = table.rowid_column
        if column is None:
            continue
        row = connection.execute(f"SELECT max({quote(column.name)}) FROM {quote(table.name)}").fetchone()
        last, number = row[0], kept.get(fold(table.name), 0)
        if isinstance(last, int) and last > number:
            message = (
                f"the sequence of {table.name} is at {number}, and {last} is used already:"
                " numbers of deleted rows may be given again"
            )
            yield Finding("DL-C011", "error", table.name, column.name, last - number, message, "automatic")


@contextmanager
def readable_texts(connection: sqlite3.Connection) -> Generator[None]:
    """Read texts that are not UTF-8 with replacement characters, for as long as the block runs."""
    before = connection.text_factory
    connection.text_factory = _readable
    try:
        yield
    finally:
        connection.text_factory = before


def _readable(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def is_damage(exc: sqlite3.Error) -> bool:
    """Whether SQLite came upon damaged pages."""
    name = getattr(exc, "sqlite_errorname", "") or ""
    return name == "SQLITE_NOTADB" or name.startswith("SQLITE_CORRUPT")


def sampled(connection: sqlite3.Connection, found: Schema) -> Iterator[Finding]:
    """Look at a few pages of each table and index: both ends, and rows between. Milliseconds on any size."""
    for name, number in connection.execute(
        "SELECT group_concat(name, ', '), rootpage FROM main.sqlite_schema WHERE rootpage > 0"
        " GROUP BY rootpage HAVING count(*) > 1"
    ).fetchall():
        message = f"page {number} is the root of {name} at once"
        yield Finding("DL-C085", "error", None, str(name), 1, message, "lossy")
    for table in found.tables:
        if table.kind == "virtual":
            continue
        for index, sql in _samples(table):
            try:
                with readable_texts(connection):
                    connection.execute(sql).fetchall()
            except sqlite3.DatabaseError as exc:
                if not is_damage(exc):
                    # a function or collation of the app's: the pages are as they may be
                    continue
                message = f"{'index ' + index if index else 'table ' + table.name} cannot be read: {exc}"
                yield Finding("DL-C001", "error", table.name, index, 1, message, "lossy")


def _samples(table: Table) -> Iterator[tuple[str | None, str]]:
    name, rowid = quote(table.name), rowid_name(table)
    if rowid is None:
        yield None, f"SELECT * FROM {name} LIMIT 1"
    else:
        key = quote(rowid)
        # one at a time: for both at once SQLite reads the whole table
        low, high = (f"(SELECT {end}({key}) FROM {name} NOT INDEXED)" for end in ("min", "max"))
        ends = f"SELECT {low} AS low, {high} AS high"
        places = " UNION ALL ".join(f"SELECT {part} AS part" for part in range(0, 17))
        # 16 leaves, evenly spread over the rowids, with the overflow pages of one row each
        yield (
            None,
            f"SELECT (SELECT count(*) FROM (SELECT * FROM {name} NOT INDEXED"
            f" WHERE {key} >= low + (high - low) / 16 * part ORDER BY {key} LIMIT 1))"
            f" FROM ({ends}), ({places})",
        )
        yield None, f"SELECT * FROM {name} NOT INDEXED ORDER BY {key} LIMIT 1"
        yield None, f"SELECT * FROM {name} NOT INDEXED ORDER BY {key} DESC LIMIT 1"
    for index in table.indexes:
        if index.where is None and all(term.column for term in index.terms):
            column = quote(index.terms[0].column or "")
            for order in ("", " DESC"):
                sql = f"SELECT 1 FROM {name} INDEXED BY {quote(index.name)} ORDER BY {column}{order} LIMIT 1"
                yield index.name, sql
