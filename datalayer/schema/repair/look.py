"""A private view of a database's files, and whether its pages can be trusted.

A file without log and journal is read as it lies, with SQLite told that nobody changes it; else SQLite works
on a copy, for opening alone may roll back a journal or throw a log away. Hold the files still meanwhile.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema.check.outline import outline
from datalayer.schema.repair.evidence import beside, disk_errors, refuse_if_full
from datalayer.schema.salvage.image import Image

__all__ = ["View", "copied", "damage_of", "has_log", "opens", "refuse_empty", "view"]


# a log or journal that does not belong here or is damaged, a damaged header, a root that cannot be one
_SIGNS = ("DL-C079", "DL-C082", "DL-C083", "DL-C084", "DL-C085")


@dataclass(frozen=True, slots=True)
class View:
    """How to open what is looked at: a URI, and the path of its main file."""

    uri: str
    path: Path


@contextmanager
def view(path: Path, folder: Path | None = None) -> Generator[View]:
    """Give a view that nothing is written through; a copy goes to `folder`, by default beside the file."""
    if not has_log(path):
        yield View(f"{path.as_uri()}?mode=ro&immutable=1", path)
        return
    with copied(path, folder) as copy:
        yield copy


@contextmanager
def copied(path: Path, folder: Path | None = None) -> Generator[View]:
    """Give a private copy of the files, to be written to; it goes at the end of the block."""
    place = folder or path.parent
    files = [beside(path, ending) for ending in ("", "-wal", "-journal") if beside(path, ending).exists()]
    with disk_errors(place):
        refuse_if_full(place, sum(file.stat().st_size for file in files), f"a copy of {path}")
        private = Path(tempfile.mkdtemp(prefix=f".{path.name}.repair-copy-", dir=place))
    try:
        with disk_errors(place):
            for file in files:
                shutil.copyfile(file, private / file.name)
        copy = private / path.name
        yield View(f"{copy.as_uri()}?mode=rw", copy)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def has_log(path: Path) -> bool:
    """Whether a log or journal with anything in it stands beside a file."""
    return any(
        other.exists() and other.stat().st_size > 0
        for other in (beside(path, "-wal"), beside(path, "-journal"))
    )


def damage_of(path: Path) -> list[str]:
    """Say what of the header, the log and the journal is not as SQLite writes it.

    Raises DatabaseCorrupt for a file in which nothing is, DatabaseUnavailable for one that cannot be read.
    """
    try:
        found = [
            one.message for one in outline(path).findings if one.id in _SIGNS and one.severity == "error"
        ]
    except OSError as exc:
        raise DatabaseUnavailable(f"{path} cannot be read", why=exc.strerror) from exc
    with Image.read(path) as image:
        found += [problem.message for problem in image.readings()[0].problems]
    return list(dict.fromkeys(found))


def opens(uri: str) -> str | None:
    """Say why SQLite cannot open a database and read its schema; None where it can."""
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as exc:
        return str(exc)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as exc:
        return str(exc)
    finally:
        connection.close()
    return None


def refuse_empty(path: Path) -> None:
    """Refuse a file without a byte and without a log. Raises DatabaseCorrupt."""
    if path.stat().st_size == 0 and not has_log(path):
        raise DatabaseCorrupt(
            f"{path} is empty", why="no byte is in it", hint="restore a backup, or run `datalayer migrate`"
        )
