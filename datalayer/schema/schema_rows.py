"""The rows of sqlite_schema as texts, or a clear refusal where they hold what no CREATE statement writes.

SQLite itself takes a BLOB for a name or a statement, and goes on; who reads the row back is given bytes.
Knows nothing of what the statements mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from datalayer.errors import DatabaseCorrupt

__all__ = ["Entry", "read_entries", "unreadable_schema"]

Entry = tuple[str, str, str, str]
"""Type, name, table and statement of an object."""

_COLUMNS = ("type", "name", "tbl_name", "sql")


def read_entries(connection: sqlite3.Connection) -> list[Entry]:
    """Give the objects that have a statement, in order of their creation, without SQLite's own tables.

    Raises:
        DatabaseCorrupt: a row holds a value that is no text, or a text that is not valid.
    """
    return _plain_entries(connection) or _examined_entries(connection)


def _plain_entries(connection: sqlite3.Connection) -> list[Entry] | None:
    """Give the entries of a schema that is as CREATE statements write it; None where something is odd."""
    before = connection.text_factory
    connection.text_factory = str
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        rows: list[Entry] = cursor.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    except sqlite3.OperationalError as exc:
        if getattr(exc, "sqlite_errorcode", None) is not None:
            # a disk that fails has ended the transaction, too: to go on would hide it
            raise
        # the driver's own: it cannot decode a text
        return None
    except UnicodeDecodeError:
        return None
    finally:
        connection.text_factory = before
    if not all(type(value) is str for row in rows for value in row):
        return None
    return [row for row in rows if not row[1].lower().startswith("sqlite_")]


def _examined_entries(connection: sqlite3.Connection) -> list[Entry]:
    before = connection.text_factory
    connection.text_factory = bytes
    try:
        cursor = connection.cursor()
        cursor.row_factory = None
        rows = cursor.execute(
            "SELECT type, name, tbl_name, sql,"
            " typeof(type), typeof(name), typeof(tbl_name), typeof(sql), rowid"
            " FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    except UnicodeDecodeError as exc:
        # SQLite names the object in its message, and the name is not valid
        reason = bytes(exc.object).decode("utf-8", "replace")
        raise unreadable_schema(reason) from exc
    finally:
        connection.text_factory = before
    entries = [_entry(row[:4], row[4:8], row[8]) for row in rows]
    return [entry for entry in entries if not entry[1].lower().startswith("sqlite_")]


def unreadable_schema(why: str) -> DatabaseCorrupt:
    """Give the error for a schema that does not say what the database holds."""
    return DatabaseCorrupt(
        "the schema cannot be read", why=why, hint="run `datalayer repair`, or restore the newest backup"
    )


def _entry(values: Sequence[object], kinds: Sequence[bytes], rowid: object) -> Entry:
    texts: list[str] = []
    for column, value, kind in zip(_COLUMNS, values, kinds):
        place = f"{column} in row {rowid} of sqlite_schema"
        if kind != b"text" or not isinstance(value, bytes):
            raise unreadable_schema(f"{place} is a {kind.decode()}, where a text must be")
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as exc:
            raise unreadable_schema(
                f"{place} is no valid text: {value[:80].decode('utf-8', 'replace')}"
            ) from exc
    return texts[0], texts[1], texts[2], texts[3]
