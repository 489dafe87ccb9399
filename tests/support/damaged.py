"""A small database of an app's own, and logical damage done to it by raw SQL."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.target import target_of

__all__ = [
    "DAMAGES",
    "SCHEMA",
    "damage",
    "digests",
    "expectation",
    "leave_a_log",
    "make",
    "problems",
    "rows",
    "spoil_a_page",
]

SCHEMA = """
CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    email TEXT CONSTRAINT owners_email_unique UNIQUE
);
CREATE TABLE notes (
    id INTEGER PRIMARY KEY,
    owner_id INTEGER NOT NULL CONSTRAINT notes_owner REFERENCES owners (id) ON DELETE CASCADE,
    editor_id INTEGER CONSTRAINT notes_editor REFERENCES owners (id) ON DELETE SET NULL,
    title TEXT NOT NULL DEFAULT 'untitled',
    stars INTEGER NOT NULL DEFAULT 0 CONSTRAINT notes_stars CHECK (stars BETWEEN 0 AND 5),
    extra TEXT CONSTRAINT notes_extra_json CHECK (extra IS NULL OR json_valid(extra))
);
CREATE TABLE tags (
    note_id INTEGER NOT NULL CONSTRAINT tags_note REFERENCES notes (id) ON DELETE CASCADE,
    word TEXT NOT NULL,
    CONSTRAINT tags_pk PRIMARY KEY (note_id, word)
) WITHOUT ROWID;
CREATE TABLE measures (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, unit TEXT) STRICT;
CREATE INDEX notes_owner_title ON notes (owner_id, title);
CREATE UNIQUE INDEX owners_name ON owners (name);
CREATE VIEW titles AS SELECT id, title FROM notes;
CREATE TABLE log (what TEXT);
CREATE TRIGGER notes_gone AFTER DELETE ON notes BEGIN INSERT INTO log VALUES (OLD.title); END;
PRAGMA user_version = 7;
"""


def make(path: Path, *, wal: bool = False, notes: int = 60) -> Path:
    """Make the database with rows in every table."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        connection.execute("BEGIN")
        owners = [(number, f"owner {number}", f"{number}@example.org") for number in range(1, 31)]
        connection.executemany("INSERT INTO owners VALUES (?, ?, ?)", owners)
        connection.executemany(
            "INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)",
            (
                (number, number % 30 + 1, (number * 7) % 30 + 1, f"note {number}", number % 6, '{"a": 1}')
                for number in range(1, notes + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO tags VALUES (?, ?)", ((number, "x") for number in range(1, notes + 1))
        )
        connection.executemany(
            "INSERT INTO measures VALUES (?, ?, 'm')", ((number, number) for number in range(1, 41))
        )
        connection.execute("COMMIT")
    return path


def expectation(folder: Path) -> Expectation:
    """Give what the database should be, by a schema file."""
    file = folder / "wanted.sql"
    file.write_text(SCHEMA, encoding="utf-8")
    return Expectation(target_of(schema_file=file))


def damage(path: Path, *statements: str) -> None:
    """Run SQL with nothing that would prevent damage."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


def retell(table: str, before: str, after: str) -> Iterable[str]:
    """Give the SQL that changes a table's text, so that the next connection believes it."""
    yield (
        f"UPDATE sqlite_schema SET sql = replace(sql, '{before}', '{after}')"
        f" WHERE name = '{table}' AND type = 'table'"
    )


def _null_in_not_null(path: Path) -> None:
    damage(path, *retell("notes", "title TEXT NOT NULL", "title TEXT"))
    damage(path, "UPDATE notes SET title = NULL WHERE id IN (3, 4)")
    damage(path, *retell("notes", "title TEXT", "title TEXT NOT NULL"))


def _null_without_default(path: Path) -> None:
    damage(path, *retell("owners", "name TEXT NOT NULL", "name TEXT"))
    damage(path, "UPDATE owners SET name = NULL WHERE id = 30")
    damage(path, *retell("owners", "name TEXT", "name TEXT NOT NULL"))


def _wrong_type_in_strict(path: Path) -> None:
    damage(path, *retell("measures", "amount INTEGER NOT NULL", "amount ANY NOT NULL"))
    damage(path, "UPDATE measures SET amount = 'much' WHERE id = 5")
    damage(path, *retell("measures", "amount ANY NOT NULL", "amount INTEGER NOT NULL"))


def _other_storage_class(path: Path) -> None:
    damage(path, *retell("notes", "title TEXT", "title BLOB"))
    damage(path, "UPDATE notes SET title = 12 WHERE id = 9")
    damage(path, *retell("notes", "title BLOB", "title TEXT"))


def _index_forgets(path: Path) -> None:
    """Let a row come while the schema does not know of an index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        name = "name = 'notes_owner_title'"
        [row] = connection.execute(f"SELECT * FROM sqlite_schema WHERE {name}").fetchall()
        connection.execute(f"DELETE FROM sqlite_schema WHERE {name}")
    damage(path, "INSERT INTO notes (id, owner_id, title) VALUES (900, 1, 'unknown')")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)


def _double_key(path: Path) -> None:
    damage(path, "DROP INDEX owners_name", "UPDATE owners SET name = 'owner 1' WHERE id IN (2, 3)")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "null-with-default": _null_in_not_null,
    "null-without-default": _null_without_default,
    "strict-type": _wrong_type_in_strict,
    "storage-class": _other_storage_class,
    "check": lambda path: damage(path, "UPDATE notes SET stars = 9 WHERE id = 7"),
    "json": lambda path: damage(path, "UPDATE notes SET extra = '{broken' WHERE id = 8"),
    "utf-8": lambda path: damage(path, "UPDATE notes SET title = CAST(x'41ff42' AS TEXT) WHERE id = 2"),
    "orphan-cascade": lambda path: damage(path, "UPDATE notes SET owner_id = 777 WHERE id = 11"),
    "orphan-set-null": lambda path: damage(path, "UPDATE notes SET editor_id = 777 WHERE id = 12"),
    "orphan-without-rowid": lambda path: damage(path, "INSERT INTO tags VALUES (777, 'y')"),
    "parent-gone": lambda path: damage(path, "DELETE FROM owners WHERE id = 5"),
    "double-key": _double_key,
    "index-gone": lambda path: damage(path, "DROP INDEX notes_owner_title"),
    "index-forgets": _index_forgets,
    "trigger-gone": lambda path: damage(path, "DROP TRIGGER notes_gone"),
    "view-gone": lambda path: damage(path, "DROP VIEW titles"),
    "table-gone": lambda path: damage(path, "DROP TABLE measures"),
    "column-gone": lambda path: damage(path, "ALTER TABLE measures DROP COLUMN unit"),
    "default-otherwise": lambda path: damage(path, *retell("notes", "untitled", "none")),
    "sequence-behind": lambda path: damage(path, "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'owners'"),
    "sequence-gone": lambda path: damage(path, "DELETE FROM sqlite_sequence"),
    "user-version": lambda path: damage(path, "PRAGMA user_version = 3"),
}
"""Kinds of logical damage, each of which a repair cures completely."""


def problems(path: Path) -> list[str]:
    """Say what SQLite itself finds wrong."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        said = [row[0].decode() for row in connection.execute("PRAGMA integrity_check")]
        said += [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
    return [one for one in said if one != "ok"]


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def digests(path: Path) -> dict[str, str]:
    """Give the sha256 of the files of a database, but of -shm."""
    files = [path.with_name(path.name + ending) for ending in ("", "-wal", "-journal")]
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files if one.exists()}


def spoil_a_page(path: Path, *, wal: bool = False) -> None:
    """Overwrite a leaf of the notes, and leave a log behind where one is wanted."""
    with closing(sqlite3.connect(path)) as connection:
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'notes'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    if wal:
        leave_a_log(path)
    with path.open("rb+") as file:
        file.seek((page - 1) * size)
        file.write(b"\x99" * 40)


def leave_a_log(path: Path) -> None:
    """Leave a log with one committed transaction, as a process that was killed does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO log VALUES ('only in the log')")
        for ending in ("", "-wal"):
            shutil.copyfile(f"{path}{ending}", f"{path}{ending}.copy")
    for ending in ("", "-wal"):
        Path(f"{path}{ending}.copy").replace(f"{path}{ending}")
