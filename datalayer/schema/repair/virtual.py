"""Full-text tables that cannot be opened any more, made anew from what their content table still holds.

A virtual table keeps itself in shadow tables; when some of those lost rows it cannot even be dropped. Knows
FTS4 and FTS5 (https://sqlite.org/fts5.html, section 4.4): of other modules only SQLite knows what they keep.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from datalayer.schema.check.fulltext import module_of
from datalayer.schema.repair.report import Step
from datalayer.schema.tokens import fold, quote

__all__ = ["mend_text_tables"]

_KEPT = "datalayer_kept_documents"


def mend_text_tables(connection: sqlite3.Connection) -> Iterator[Step]:
    """Make the full-text tables anew that cannot be opened, in the transaction that is open."""
    sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
    for name, text in connection.execute(sql).fetchall():
        if _is_broken(connection, str(name)) and module_of(str(text)).startswith("fts"):
            count = _make_anew(connection, str(name), str(text))
            reason = f"the full-text table {name} cannot be opened"
            yield Step(
                "rebuild-text-index",
                str(name),
                str(name),
                count,
                reason,
                f"{count} documents are put in anew",
            )


def _is_broken(connection: sqlite3.Connection, name: str) -> bool:
    try:
        connection.execute(f"SELECT 1 FROM {quote(name)} LIMIT 0").fetchone()
    except sqlite3.DatabaseError as exc:
        return exc.sqlite_errorname.startswith("SQLITE_CORRUPT") or "constructor" in str(exc)
    return False


def _make_anew(connection: sqlite3.Connection, name: str, sql: str) -> int:
    """Forget the table and its shadow tables, make it and put the documents in."""
    shadows = [
        str(row[0])
        for row in connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main'").fetchall()
        if fold(str(row[0])).startswith(f"{fold(name)}_") and _is_shadow(fold(str(row[0])), fold(name))
    ]
    content = next((one for one in shadows if fold(one) == f"{fold(name)}_content"), None)
    width = 0
    connection.execute(f"DROP TABLE IF EXISTS temp.{_KEPT}")
    if content is not None:
        connection.execute(f"CREATE TEMP TABLE {_KEPT} AS SELECT * FROM {quote(content)}")
        width = len(connection.execute(f"SELECT * FROM temp.{_KEPT} LIMIT 0").description) - 1
    _forget(connection, name, shadows)
    connection.execute(sql)
    if not width:
        if re.search(r"\bcontent\s*=\s*['\"]?\w", sql):
            connection.execute(f"INSERT INTO {quote(name)} ({quote(name)}) VALUES ('rebuild')")
        return 0
    columns = [
        str(row[0])
        for row in connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (name,))
    ]
    names = ", ".join(["rowid", *map(quote, columns[:width])])
    kept = [str(one[0]) for one in connection.execute(f"SELECT * FROM temp.{_KEPT} LIMIT 0").description]
    values = ", ".join(map(quote, kept[: len(columns[:width]) + 1]))
    done = connection.execute(f"INSERT INTO {quote(name)} ({names}) SELECT {values} FROM temp.{_KEPT}")
    connection.execute(f"DROP TABLE temp.{_KEPT}")
    return done.rowcount


def _is_shadow(table: str, owner: str) -> bool:
    return table.removeprefix(f"{owner}_") in (
        "data",
        "idx",
        "content",
        "docsize",
        "config",
        "segments",
        "segdir",
        "stat",
    )


def _forget(connection: sqlite3.Connection, name: str, shadows: list[str]) -> None:
    """Take a virtual table out of the schema that its module cannot open, and then what it kept."""
    connection.execute("PRAGMA writable_schema = ON")
    try:
        connection.execute("DELETE FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,))
        version = int(connection.execute("PRAGMA schema_version").fetchone()[0])
        connection.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
    for shadow in shadows:
        connection.execute(f"DROP TABLE {quote(shadow)}")
