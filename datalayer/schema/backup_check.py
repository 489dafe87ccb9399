"""Whether a backup is what it was when it was written, and what is in it; reads it whole, changes nothing."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sqlite3
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as quote_url

from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema import backup_postgres
from datalayer.schema.backup_file import digest_of, disk_errors, partial
from datalayer.schema.backup_manifest import Kind, Manifest, read_manifest
from datalayer.schema.backup_sqlite import count_rows, damage_of, newest_migration

__all__ = ["Examined", "examine", "kind_of", "open_plain"]

_MAGIC: tuple[tuple[bytes, Kind, bool], ...] = (
    (b"SQLite format 3\0", "sqlite", False),
    (b"\x1f\x8b", "sqlite", True),
    (b"PGDMP", "pg_dump", False),
    (b"PK\x03\x04", "archive", False),
)
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Examined:
    """A backup that verifies. `plain` is the file to read: an unpacked copy where it is compressed.

    `is_checked` says whether there was a manifest to hold its digest and rows against. `broken_references`
    counts rows that break a foreign key: the copy is faithful, the database had them.
    """

    path: Path
    kind: Kind
    plain: Path
    rows: dict[str, int]
    schema_version: str
    is_checked: bool
    broken_references: int = 0


def kind_of(path: Path) -> tuple[Kind, bool]:
    """Give the kind of a backup by its first bytes, and whether it is compressed.

    Raises DatabaseUnavailable where it cannot be read, DatabaseCorrupt where it is something else.
    """
    with disk_errors(path, "read"), path.open("rb") as file:
        start = file.read(16)
    for magic, kind, is_compressed in _MAGIC:
        if start.startswith(magic):
            return kind, is_compressed
    raise DatabaseCorrupt(
        f"{path} is not a backup",
        why="it is no SQLite file, no dump of pg_dump and no archive of ours, or its beginning is damaged",
        hint="run `datalayer backups` to see which there are",
    )


@contextlib.contextmanager
def examine(path: Path, work: Path | None = None) -> Generator[Examined]:
    """Verify a backup: its digest by the manifest, its pages, references and rows; for the time of a block.

    `work` is the folder for an unpacked copy, by default the backup's own. Raises DatabaseCorrupt,
    DatabaseUnavailable.
    """
    kind, is_compressed = kind_of(path)
    manifest = read_manifest(path)
    if manifest is not None and digest_of(path) != manifest.sha256:
        raise _changed(path, "its sha256 is not the one in its manifest")
    if kind != "sqlite":
        rows = backup_postgres.read_rows(kind, path)
        _compare(path, rows, manifest)
        version = manifest.schema_version if manifest else "unknown"
        yield Examined(path, kind, path, rows, version, is_checked=manifest is not None)
        return
    with contextlib.ExitStack() as stack:
        plain = path
        if is_compressed:
            plain = stack.enter_context(partial((work or path.parent) / path.name))
            _unpack(path, plain)
        yield _examine_sqlite(path, plain, manifest)


@contextlib.contextmanager
def open_plain(found: Examined) -> Generator[sqlite3.Connection]:
    """Give a connection that reads a backup of SQLite in one snapshot."""
    # what has a manifest was one file when it was written: nothing beside it belongs to it
    flag = "immutable=1" if found.is_checked or found.plain != found.path else "mode=ro"
    uri = f"file:{quote_url(str(found.plain.absolute()))}?{flag}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            yield connection
    except sqlite3.Error as exc:
        raise from_sqlite(exc, str(found.path)) from exc


def _examine_sqlite(path: Path, plain: Path, manifest: Manifest | None) -> Examined:
    found = Examined(path, "sqlite", plain, {}, "", is_checked=manifest is not None)
    with open_plain(found) as connection:
        problems = damage_of(connection)
        if problems:
            raise _changed(path, "; ".join(problems[:3]))
        rows = count_rows(connection)
        broken = _broken_references(connection)
        version = newest_migration(connection)
    _compare(path, rows, manifest)
    return Examined(path, "sqlite", plain, rows, version, found.is_checked, broken)


def _broken_references(connection: sqlite3.Connection) -> int:
    try:
        return sum(1 for _ in connection.execute("PRAGMA foreign_key_check"))
    except sqlite3.OperationalError:
        # a key that refers to what is no key: as broken as can be
        return 1


def _unpack(path: Path, plain: Path) -> None:
    try:
        with disk_errors(plain), plain.open("wb") as target, gzip.open(path) as packed:
            shutil.copyfileobj(packed, target, _BLOCK)
    except (EOFError, zlib.error) as exc:
        raise _changed(path, "it does not unpack") from exc
    except DatabaseUnavailable as exc:
        if isinstance(exc.__cause__, gzip.BadGzipFile):
            raise _changed(path, "it does not unpack") from exc
        raise


def _compare(path: Path, rows: dict[str, int], manifest: Manifest | None) -> None:
    if manifest is not None and manifest.rows != rows:
        raise _changed(path, "its rows are not those of its manifest")


def _changed(path: Path, why: str) -> DatabaseCorrupt:
    return DatabaseCorrupt(
        f"the backup {path} does not verify; nothing was changed",
        why=why,
        hint="take another one: `datalayer backups --verify` tells which are sound",
    )
