"""A table of 200,000 rows with what may stand on it, and its migration in a process that can be killed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of
from support.live_schema import plain_connect, rows

__all__ = ["AFTER", "ROWS", "digest", "make", "migrate_file", "recover", "soundness"]

ROWS = 200_000
BEFORE = """
CREATE TABLE item (id INTEGER PRIMARY KEY, code TEXT, amount INTEGER, note TEXT, old TEXT);
CREATE TABLE entry (id INTEGER PRIMARY KEY, item INTEGER REFERENCES item ON DELETE CASCADE, what TEXT);
CREATE INDEX item_code ON item (code);
CREATE INDEX item_amount ON item (amount, id DESC);
CREATE INDEX item_note ON item (note) WHERE amount > 500;
CREATE INDEX entry_item ON entry (item);
CREATE VIEW items AS SELECT i.code, count(e.id) AS entries FROM item AS i
    LEFT JOIN entry AS e ON e.item = i.id GROUP BY i.id;
CREATE TRIGGER item_changed AFTER UPDATE ON item BEGIN
    INSERT INTO entry (item, what) VALUES (new.id, 'changed');
END;
"""
AFTER = BEFORE.replace(
    "(id INTEGER PRIMARY KEY, code TEXT, amount INTEGER, note TEXT, old TEXT)",
    "(code TEXT NOT NULL, id INTEGER PRIMARY KEY, amount INTEGER CHECK (amount >= 0), note TEXT DEFAULT 'n')",
)


def make(path: Path, journal: str) -> None:
    """Make the database in its old form."""
    with closing(plain_connect(str(path))) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
        connection.executescript(f"BEGIN; {BEFORE}")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO item SELECT i * 3, 'code ' || (i * 7919 % 200003), i % 1000, 'note ' || i, 'old'"
            " FROM n",
            (ROWS,),
        )
        connection.execute("INSERT INTO entry (item, what) SELECT id, 'made' FROM item WHERE id % 5 = 0")
        connection.execute("COMMIT")


def migrate_file(path: str, schema_file: str) -> bool:
    """Migrate; the work of a process of its own, which tells its progress line by line."""
    engine = open_engine(path, Options(create=False, keeps_journal_mode=True))
    try:
        result = migrate(
            engine,
            target_of(schema_file=schema_file),
            consent=Consent(drop_columns=frozenset({"item.old"}), skip_backup=True),
            progress=_tell,
        )
        return result.nothing_to_do
    finally:
        engine.close()


def _tell(done: int, total: int) -> None:
    print(f"{done} {total}", flush=True)


def recover(path: Path) -> None:
    """Let SQLite take back what a killed process left half done, and close the file."""
    with closing(plain_connect(str(path))) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def digest(path: Path) -> str:
    """Give a sha256 over the schema and all rows of a file."""
    with closing(plain_connect(str(path))) as connection:
        found = hashlib.sha256()
        for part in _content(connection):
            found.update(repr(part).encode())
        return found.hexdigest()


def _content(connection: sqlite3.Connection) -> Iterator[Any]:
    yield sorted(rows(connection, "SELECT type, name, tbl_name, sql FROM sqlite_schema"), key=repr)
    for table in ("item", "entry"):
        yield from connection.execute(f"SELECT * FROM {table} ORDER BY rowid")


def soundness(path: Path) -> list[object]:
    """Give what SQLite's own checks say: ok, and no broken reference."""
    with closing(plain_connect(str(path))) as connection:
        return [
            *rows(connection, "PRAGMA integrity_check"),
            *rows(connection, "PRAGMA foreign_key_check"),
        ]
