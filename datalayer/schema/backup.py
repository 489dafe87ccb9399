"""A verified copy of a database, taken while others write: whole under its name, or not there at all.

SQLite by its online backup API, PostgreSQL by pg_dump where one is new enough, else by COPY into an archive.
A manifest beside it says what it is of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.schema import backup_postgres, history
from datalayer.schema.backup_file import new_file, refuse_taken, remove_leftovers, seal
from datalayer.schema.backup_manifest import (
    Kind,
    Manifest,
    Origin,
    manifest_path,
    read_manifest,
    write_manifest,
)
from datalayer.schema.backup_sqlite import newest_migration, write_copy
from datalayer.schema.pace import Pace, Progress
from datalayer.schema.physical import read_only

__all__ = ["BackupResult", "Progress", "back_up_sqlite", "backup"]


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A finished backup: `rows` counts each table's, `sha256` is of the whole file.

    `kind` is sqlite (a database file, packed by gzip if `is_compressed`), pg_dump (custom format, for
    pg_restore) or archive (our zip of COPY files). `schema_version` is the newest migration in it.
    `manifest` lies beside it.
    """

    path: Path
    kind: Kind
    size_bytes: int
    sha256: str
    rows: dict[str, int]
    seconds: float
    schema_version: str
    is_compressed: bool
    manifest: Path


def backup(
    engine: Engine,
    target: Path | None = None,
    *,
    progress: Progress | None = None,
    throttle_mb_s: float | None = None,
    compress: bool = False,
) -> BackupResult:
    """Write a verified copy of the database to `target`, which must not exist yet.

    Without a target the copy goes to a folder `backups`, beside a database file or in the platform's data
    folder for a server, named after the database, the time (UTC) and the newest migration. `progress` is
    called with (done, total): pages on SQLite, tables on PostgreSQL. `throttle_mb_s` bounds the rate, so
    that a busy app is not starved of the disk. `compress` packs a SQLite file by gzip; those of PostgreSQL
    always are.

    One read snapshot, so writers go on and the copy is of one moment; on SQLite the WAL is not reset
    meanwhile. Copied to a temporary name, synced, checked (integrity, row counts of every table against the
    snapshot, sha256), then renamed: a failure leaves nothing, a kill -9 at most a file that begins with a
    dot and ends in .partial, which the next backup to that folder removes. Then the manifest NAME.json is
    written. Both are readable by their owner alone. Cost: the database is read twice and written once.

    Raises DatabaseUnavailable (target exists, disk full, no permission), DatabaseCorrupt (the copy does not
    verify).
    """
    pace = Pace(progress, throttle_mb_s * 1e6 if throttle_mb_s else None)
    origin = Origin.of(engine.address, engine.schema_name)
    if engine.dialect.name == "sqlite":
        with read_only(engine) as source:
            return back_up_sqlite(source, origin, target, pace, compress=compress)
    kind, write = backup_postgres.choose(engine)
    version = (history.applied_names(engine) or ("empty",))[-1]
    facts = _Facts(kind, version, _server_version(engine), is_compressed=False)
    return _finish(origin, target, facts, lambda path: write(engine, path, pace))


def back_up_sqlite(
    source: sqlite3.Connection, origin: Origin, target: Path | None, pace: Pace, *, compress: bool = False
) -> BackupResult:
    """Write a copy of what a connection in a read transaction, or with the database to itself, sees."""
    version = newest_migration(source)
    facts = _Facts("sqlite", version, f"SQLite {sqlite3.sqlite_version}", is_compressed=compress)
    return _finish(origin, target, facts, lambda path: write_copy(source, path, pace, compress=compress))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a backup before it is written."""

    kind: Kind
    schema_version: str
    engine: str
    is_compressed: bool


def _finish(
    origin: Origin, target: Path | None, facts: _Facts, write: Callable[[Path], dict[str, int]]
) -> BackupResult:
    started = monotonic()
    created_at = datetime.now(UTC)
    if target is None:
        path = origin.new_path(facts.kind, facts.schema_version, compress=facts.is_compressed)
    else:
        path = Path(target)
    remove_leftovers(path.parent)
    if read_manifest(path) is None:
        # before the work: the manifest of a backup that is gone is ours to replace, no other file is
        refuse_taken(manifest_path(path))
    with new_file(path) as temporary:
        rows = write(temporary)
        size, digest = seal(temporary)
    manifest = Manifest(
        path.name,
        facts.kind,
        "gzip" if facts.is_compressed else None,
        origin.source,
        origin.place,
        created_at,
        facts.schema_version,
        facts.engine,
        size,
        digest,
        rows,
    )
    return BackupResult(
        path,
        facts.kind,
        size,
        digest,
        rows,
        monotonic() - started,
        facts.schema_version,
        facts.is_compressed,
        write_manifest(path, manifest),
    )


def _server_version(engine: Engine) -> str:
    row = engine.fetch_one("SHOW server_version")
    return f"PostgreSQL {row[0]}" if row else "PostgreSQL"
