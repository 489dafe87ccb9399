"""Full-text tables whose index lost pages or documents, which SQLite's own check does not notice before 3.44.

Knows FTS5 alone (https://sqlite.org/fts5.html, section 4.4), by its shadow tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from datalayer.schema.finding import Finding
from datalayer.schema.tokens import fold, quote, significant, tokenize

__all__ = ["broken_text_indexes", "emptied_text_indexes", "module_of"]

# a leaf of segment s and page p is the row (s << 37) + p of the _data table (fts5_index.c)
_LOST_PAGES = """
SELECT EXISTS (SELECT 1 FROM {idx} AS i WHERE NOT EXISTS
(SELECT 1 FROM {data} AS d WHERE d.id = (i.segid << 37) + (i.pgno >> 1)))"""
_OTHER_COUNT = "SELECT (SELECT count(*) FROM {content}) <> (SELECT count(*) FROM {docsize})"


def emptied_text_indexes(connection: sqlite3.Connection) -> Iterator[str]:
    """Give the FTS5 tables whose index lost pages or documents."""
    sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
    for name, text in connection.execute(sql).fetchall():
        if module_of(str(text)) == "fts5" and any(
            _is_so(connection, str(name), question) for question in (_LOST_PAGES, _OTHER_COUNT)
        ):
            yield str(name)


def broken_text_indexes(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find the full-text tables whose index lost pages or documents: searches there miss rows, or fail."""
    for name in emptied_text_indexes(connection):
        message = f"the full-text index {name} lost pages or documents, and does not find all that is there"
        yield Finding("DL-C002", "error", name, name, 1, message, "automatic")


def module_of(sql: str) -> str:
    """Give the module of a CREATE VIRTUAL TABLE text, folded; empty where there is none."""
    words = [fold(token.text) for token in significant(tokenize(sql))]
    return words[words.index("using") + 1] if "using" in words else ""


def _is_so(connection: sqlite3.Connection, name: str, question: str) -> bool:
    tables = {part: quote(f"{name}_{part}") for part in ("data", "idx", "content", "docsize")}
    try:
        return bool(connection.execute(question.format(**tables)).fetchone()[0])
    except sqlite3.OperationalError:
        # made without a content or a docsize table: nothing to compare
        return False
