"""The texts in sqlite_schema, written directly, as SQLite documents it for changes that leave rows alone.

https://sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes", the shorter procedure;
and https://sqlite.org/pragma.html#pragma_writable_schema. Only texts that SQLite itself made of the wanted
schema are written, and the schema is read anew, and compared with the wanted one, before anything commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

from datalayer.schema.tokens import fold, significant, tokenize, unquote

__all__ = ["Key", "can_write", "put_in_order", "retell", "without_qualifier"]

Key = tuple[str, str]
"""The type and the name of a row of sqlite_schema."""


def can_write(connection: sqlite3.Connection) -> bool:
    """Whether this connection may write sqlite_schema; a defensive one may not (sqlite3_db_config)."""
    connection.execute("PRAGMA writable_schema = ON")
    try:
        return bool(connection.execute("PRAGMA writable_schema").fetchone()[0])
    finally:
        connection.execute("PRAGMA writable_schema = OFF")


def retell(connection: sqlite3.Connection, texts: Mapping[Key, str]) -> None:
    """Give objects new texts, all at once, within the caller's transaction."""
    if not texts:
        return
    with _writable(connection):
        for (kind, name), text in texts.items():
            connection.execute(
                "UPDATE sqlite_schema SET sql = ? WHERE type = ? AND name = ?", (text, kind, name)
            )


def without_qualifier(text: str, table: str) -> str:
    """Give the text of a table or index with `column` where it says `table.column`."""
    tokens = significant(tokenize(text))
    for token, dot in reversed(list(pairwise(tokens))):
        is_name = token.kind in ("word", "identifier") and fold(unquote(token)) == fold(table)
        if is_name and dot.text == ".":
            text = text[: token.start] + text[dot.end :]
    return text


def put_in_order(connection: sqlite3.Connection, wanted: Sequence[Key], texts: Mapping[Key, str]) -> None:
    """Bring the rows of sqlite_schema into the order of `wanted`, with their texts; others come last.

    SQLite maintains the indexes of a table in the order of these rows, so that a migrated database does
    exactly what a new one does. Does nothing where order and texts are right already.
    """
    rows = connection.execute("SELECT rowid, type, name, sql FROM sqlite_schema ORDER BY rowid").fetchall()
    place = {key: number for number, key in enumerate(wanted)}
    ordered = sorted(rows, key=lambda row: (place.get((row[1], row[2]), len(place)), row[0]))
    changed = {
        (row[1], row[2]): texts[row[1], row[2]]
        for row in rows
        if texts.get((row[1], row[2]), row[3]) != row[3]
    }
    if ordered == rows and not changed:
        return
    with _writable(connection):
        if ordered != rows:
            beyond = rows[-1][0]
            for number, row in enumerate(ordered, start=1):
                connection.execute(
                    "UPDATE sqlite_schema SET rowid = ? WHERE rowid = ?", (beyond + number, row[0])
                )
            connection.execute("UPDATE sqlite_schema SET rowid = rowid - ?", (beyond,))
        for (kind, name), text in changed.items():
            connection.execute(
                "UPDATE sqlite_schema SET sql = ? WHERE type = ? AND name = ?", (text, kind, name)
            )


@contextmanager
def _writable(connection: sqlite3.Connection) -> Generator[None]:
    """Let the schema be written, then have every connection, this one too, read it anew."""
    connection.execute("PRAGMA writable_schema = ON")
    try:
        yield
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        connection.execute(f"PRAGMA schema_version = {int(version) + 1}")
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
