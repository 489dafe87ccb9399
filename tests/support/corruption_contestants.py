"""What brings rows back from a damaged database: the package's salvage, and what people have without it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from datalayer.errors import DataLayerError
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.writer import write
from datalayer.schema.snapshot import Schema, read_text
from support.corruption_bases import Base, make_base
from support.corruption_score import Recover, Refused

__all__ = ["expected_schema", "find_shell", "plain_copy", "recover_of", "salvaged", "selected"]


@cache
def expected_schema(base: str) -> Schema:
    """Give the schema that the databases of a base should have."""
    return read_text(make_base(base).schema_sql)


def salvaged(source: Path, target: Path, base: Base) -> None:
    """Salvage page by page and write a new database of the expected schema."""
    expected = expected_schema(base.name)
    try:
        with salvage(source, expected) as found:
            write(found, target, expected)
    except DataLayerError as exc:
        raise Refused(str(exc)) from exc


def plain_copy(source: Path, target: Path, base: Base) -> None:
    """Copy the files as they are."""
    del base
    for suffix in ("", "-wal", "-journal"):
        beside = source.with_name(source.name + suffix)
        if beside.is_file():
            shutil.copyfile(beside, target.with_name(target.name + suffix))


def selected(source: Path, target: Path, base: Base) -> None:
    """Select what a table gives until it fails, and insert it into a new database: the naive way."""
    copy = target.with_name("copy.db")
    plain_copy(source, copy, base)
    with closing(sqlite3.connect(target, isolation_level=None)) as fresh:
        fresh.executescript(base.schema_sql)
        fresh.execute("BEGIN")
        with closing(sqlite3.connect(copy)) as damaged:
            for spec in base.truth.specs:
                held = [row[1] for row in fresh.execute(f'PRAGMA table_info("{spec.name}")')]
                columns = ["rowid", *held] if spec.has_rowid else held
                named, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
                with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
                    for row in damaged.execute(f'SELECT {named} FROM "{spec.name}"'):
                        fresh.execute(f'INSERT OR IGNORE INTO "{spec.name}" ({named}) VALUES ({marks})', row)
        fresh.execute("COMMIT")


def find_shell() -> str | None:
    """Give a sqlite3 command line that can recover: the one SQLITE3_SHELL names, or that of the path."""
    for name in (os.environ.get("SQLITE3_SHELL"), "sqlite3"):
        path = name and shutil.which(name)
        if path and _can_recover(path):
            return path
    return None


def _can_recover(path: str) -> bool:
    done = subprocess.run(
        [path, ":memory:", "CREATE TABLE t (a);", ".recover"], capture_output=True, text=True, check=False
    )
    # some are built without sqlite_dbpage: they know the command and fail
    return done.returncode == 0 and "CREATE TABLE" in done.stdout.upper() and "error" not in done.stdout


def recover_of(shell: str) -> Recover:
    """Give the contestant that is .recover of a sqlite3 command line."""

    def recover(source: Path, target: Path, base: Base) -> None:
        copy = target.with_name("copy.db")
        plain_copy(source, copy, base)
        script = target.with_suffix(".sql")
        with script.open("wb") as out:
            subprocess.run([shell, str(copy), ".recover"], stdout=out, stderr=subprocess.DEVNULL, check=False)
        with script.open("rb") as held:
            subprocess.run([shell, str(target)], stdin=held, capture_output=True, check=False)

    return recover


CONTESTANTS: dict[str, Callable[[Path, Path, Base], None]] = {
    "salvage": salvaged,
    "SELECT": selected,
    "copy": plain_copy,
}
