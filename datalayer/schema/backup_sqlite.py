"""Copies of SQLite databases by the online backup API, checked before anybody sees them.

Knows connections and files; which database is meant, and what is told of the copy, is backup's business.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import shutil
import sqlite3
from pathlib import Path

from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseCorrupt
from datalayer.schema.backup_file import digest_of, disk_errors, partial
from datalayer.schema.pace import Pace
from datalayer.schema.snapshot import read
from datalayer.schema.tokens import quote

__all__ = ["count_rows", "damage_of", "newest_migration", "write_copy"]

_STEP_PAGES = 2048
# small enough for a rate to be smooth
_THROTTLED_PAGES = 128
_BLOCK = 1 << 20
# what integrity_check says of NOT NULL and of types in STRICT tables; the name of the database heads a list
_BROKEN_RULE = re.compile(r"NULL value in |(?:non-)?[A-Z]+ value in |\*\*\* in database ")
_MISSING = re.compile(
    r"no such collation sequence: (?P<collation>.+)|(?:unknown|no such) function: (?P<function>.+?)(?:\(\))?"
)


def write_copy(source: sqlite3.Connection, path: Path, pace: Pace, *, compress: bool) -> dict[str, int]:
    """Write what `source` sees into the empty file at `path`, and give each table's rows.

    `source` is inside a read transaction, or holds the database for itself. Raises DatabaseCorrupt where the
    copy does not verify, DatabaseUnavailable.
    """
    if not compress:
        return _copy(source, path, pace)
    with partial(path) as plain:
        rows = _copy(source, plain, pace)
        with disk_errors(path), plain.open("rb") as file:
            with path.open("wb") as target, gzip.GzipFile("", "wb", 6, target, mtime=0) as packed:
                shutil.copyfileobj(file, packed, _BLOCK)
        with disk_errors(path, "read back"), gzip.open(path) as unpacked:
            same = hashlib.file_digest(unpacked, "sha256").hexdigest() == digest_of(plain)
    if not same:
        raise _unverified(path, ["it does not unpack to what was packed"])
    return rows


def _copy(source: sqlite3.Connection, path: Path, pace: Pace) -> dict[str, int]:
    page_size = int(source.execute("PRAGMA page_size").fetchone()[0])

    def report(_: int, remaining: int, total: int) -> None:
        pace.step(total - remaining, total, page_size)

    try:
        rows = count_rows(source)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            # inside a read transaction the steps never start over, however much is written beside them
            pages = _THROTTLED_PAGES if pace.bytes_per_s else _STEP_PAGES
            source.backup(copy, pages=pages, progress=report)
            # one file, without a WAL beside it
            copy.execute("PRAGMA journal_mode = DELETE")
            problems = damage_of(copy)
            found = count_rows(copy)
    except sqlite3.Error as exc:
        raise from_sqlite(exc, str(path)) from exc
    problems += [
        f"{name} has {found.get(name)} rows of {count}"
        for name, count in rows.items()
        if found.get(name) != count
    ]
    if problems:
        raise _unverified(path, problems)
    return rows


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the rows of each table but virtual ones."""
    return {
        table.name: int(connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0])
        for table in read(connection).tables
        if table.kind != "virtual"
    }


def damage_of(connection: sqlite3.Connection) -> list[str]:
    """Give what integrity_check finds of damage; the connection is for nothing else.

    Rows that break a rule of their table are no damage: a copy of them is faithful. Where an index needs a
    collation or function that only the app has, the order of its entries is left out. Asked for the schema
    table alone as well: else it may pass over the freelist (see check).
    """
    connection.execute("PRAGMA ignore_check_constraints = ON")
    found: list[str] = []
    for argument in ("100", "sqlite_schema"):
        found += _lines(connection, argument)
    return list(dict.fromkeys(text for text in found if text != "ok" and not _BROKEN_RULE.match(text)))


def _lines(connection: sqlite3.Connection, argument: str) -> list[str]:
    name = "integrity_check"
    while True:
        try:
            rows = connection.execute(f"PRAGMA {name}({argument})").fetchall()
        except sqlite3.OperationalError as exc:
            if not _stand_in(connection, str(exc)):
                raise
            name = "quick_check"
            continue
        return [line for (text,) in rows for line in str(text).splitlines()]


def _stand_in(connection: sqlite3.Connection, message: str) -> bool:
    """Put something in the place of what a statement lacked, so that it can be prepared."""
    missing = _MISSING.fullmatch(message)
    if missing is None:
        return False
    if missing["collation"]:
        connection.create_collation(missing["collation"], lambda one, other: (one > other) - (one < other))
    else:
        connection.create_function(missing["function"], -1, lambda *_: None, deterministic=True)
    return True


def newest_migration(connection: sqlite3.Connection) -> str:
    """Give the name of the newest applied migration, `empty` where there is no record of any."""
    columns = {str(row[1]) for row in connection.execute("PRAGMA main.table_info(migrations)")}
    if not {"id", "name"} <= columns:
        return "empty"
    row = connection.execute("SELECT name FROM main.migrations ORDER BY id DESC LIMIT 1").fetchone()
    return str(row[0]) if row else "empty"


def _unverified(path: Path, problems: list[str]) -> DatabaseCorrupt:
    return DatabaseCorrupt(
        f"the backup {path} does not verify, so it is not kept",
        why="; ".join(problems[:5]),
        hint="the database itself may be damaged: run `datalayer check-db`",
    )
