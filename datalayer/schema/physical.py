"""SQLite's own checks, through a connection that cannot write: pages, indexes, stored values, references.

Knows nothing of the expected schema but a function that compares what it read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from urllib.parse import quote as quote_url

from datalayer.engine.connection import Engine
from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseCorrupt
from datalayer.schema.finding import Finding
from datalayer.schema.snapshot import ForeignKey, Schema, Table, read
from datalayer.schema.tokens import quote

__all__ = ["inspect", "read_only"]

_MOST = 100


@contextmanager
def read_only(engine: Engine) -> Generator[sqlite3.Connection]:
    """Give a connection for reading in one snapshot; a file is opened read-only, memory has but the engine's.

    Raises DatabaseCorrupt, DatabaseUnavailable or DatabaseBusy, as the engine would.
    """
    if engine.path is None:
        with engine.transaction(read=True):
            yield engine.connection()
        return
    # https://sqlite.org/uri.html: a path may hold ? and #
    uri = f"file:{quote_url(str(engine.path))}?mode=ro"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=engine.options.busy_timeout_s
        )
    except sqlite3.Error as exc:
        raise from_sqlite(exc, engine.display_url) from exc
    try:
        # the snapshot is taken by the first read
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection
    except sqlite3.Error as exc:
        raise from_sqlite(exc, engine.display_url) from exc
    finally:
        connection.close()


def inspect(engine: Engine, *, quick: bool, schema: Callable[[Schema], list[Finding]]) -> list[Finding]:
    """Run all checks of one SQLite database in one snapshot; `schema` compares the schema that was read.

    Raises DatabaseCorrupt when the file is not a database; damage within one comes as findings.
    """
    findings: list[Finding] = []
    try:
        with read_only(engine) as connection:
            try:
                findings += _pages(connection, quick=quick)
                found = read(connection)
                findings += schema(found)
                if not quick:
                    findings += _rules(connection, found)
                    findings += _references(connection, found)
            except sqlite3.DatabaseError as exc:
                if exc.sqlite_errorname != "SQLITE_CORRUPT" and not exc.sqlite_errorname.startswith(
                    "SQLITE_CORRUPT_"
                ):
                    raise
                findings.append(_damaged(str(exc)))
    except DatabaseCorrupt as exc:
        if isinstance(exc.__cause__, sqlite3.Error) and exc.__cause__.sqlite_errorname == "SQLITE_NOTADB":
            raise
        findings.append(_damaged(exc.why or exc.what))
    findings += _settings(engine)
    return findings


def _damaged(message: str) -> Finding:
    return Finding("DL-C001", "error", None, None, 1, message, "lossy")


def _pages(connection: sqlite3.Connection, *, quick: bool) -> list[Finding]:
    name = "quick_check" if quick else "integrity_check"
    messages: list[str] = []
    # integrity_check leaves freelist and orphan pages out where a view comes first in an internal hash
    # (seen in
    # 3.40, 3.51 and 3.54); asked for the schema table alone it counts them
    for argument in (str(_MOST), "sqlite_schema"):
        for (text,) in connection.execute(f"PRAGMA main.{name}({argument})"):
            # one row may hold several lines, headed by the name of the database
            messages += [
                line
                for line in str(text).splitlines()
                if line != "ok" and not line.startswith(("*** in ", "CHECK constraint failed in "))
            ]
    return [_page_finding(message) for message in dict.fromkeys(messages)]


def _page_finding(message: str) -> Finding:
    """Sort a line of integrity_check by what can be done: SQLite gives no codes, only these sentences."""
    if " missing from index " in message or message.startswith("wrong # of entries in index"):
        index = message.rpartition(" index ")[2]
        return Finding("DL-C002", "error", None, index, 1, message, "automatic")
    if message.startswith("non-unique entry in index"):
        return Finding("DL-C002", "error", None, message.rpartition(" ")[2], 1, message, "manual")
    for opening in ("NULL value in ", "non-"):
        if message.startswith(opening):
            place = message.rpartition(" ")[2]
            table, _, column = place.partition(".")
            return Finding("DL-C003", "error", table, column or None, 1, message, "manual")
    return _damaged(message)


def _rules(connection: sqlite3.Connection, found: Schema) -> Iterator[Finding]:
    """Count the rows that break each CHECK, in one pass a table.

    A connection that is opened read-only does not even load the CHECKs (sqlite3AddCheckConstraint in
    build.c), so integrity_check passes them over there; and elsewhere it names the table alone.
    """
    for table in found.tables:
        if not table.checks or table.kind != "table":
            continue
        counts = ", ".join(f"sum(NOT ({check.expression}\n))" for check in table.checks)
        try:
            row = connection.execute(f"SELECT {counts} FROM {quote(table.name)}").fetchone()
        except sqlite3.OperationalError as exc:
            message = f"the rules of {table.name} could not be checked: {exc}"
            yield Finding("DL-C004", "warning", table.name, None, 1, message, "none")
            continue
        for check, count in zip(table.checks, row):
            if count:
                name = check.name or " ".join(check.expression.split())
                message = f"{count} rows of {table.name} break the rule {name}"
                yield Finding("DL-C003", "error", table.name, name, int(count), message, "manual")


def _references(connection: sqlite3.Connection, found: Schema) -> Iterator[Finding]:
    """Count the rows that break each reference."""
    broken: Counter[tuple[str, str, int]] = Counter()
    for table, _, parent, number in connection.execute("PRAGMA main.foreign_key_check"):
        broken[str(table), str(parent), int(number)] += 1
    for (name, parent, number), count in sorted(broken.items()):
        table = found.table(name)
        key = _key(table, number)
        label = key.name if key and key.name else f"{name}({', '.join(key.columns)})" if key else name
        message = f"{count} rows of {name} refer to rows of {parent} that are not there ({label})"
        yield Finding("DL-C010", "error", name, label, count, message, "lossy")


def _key(table: Table | None, number: int) -> ForeignKey | None:
    """Give the reference of this number: SQLite counts them from the last one of the text."""
    if table is None or number >= len(table.foreign_keys):
        return None
    return table.foreign_keys[len(table.foreign_keys) - 1 - number]


def _settings(engine: Engine) -> list[Finding]:
    """Look at this thread's own connection: the one that the program writes through."""
    if engine.fetch_one("PRAGMA foreign_keys") == (1,):
        return []
    message = "PRAGMA foreign_keys is off on this connection, so references are not enforced"
    return [Finding("DL-C040", "error", None, "foreign_keys", 1, message, "manual")]
