"""A verified copy of a database, taken while others write: whole under its name, or not there at all.

SQLite by its online backup API, PostgreSQL by pg_dump where one is new enough, else by COPY into an archive.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Literal

from datalayer.engine.connection import Engine
from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema import backup_postgres, history
from datalayer.schema.physical import read_only
from datalayer.schema.snapshot import read
from datalayer.schema.tokens import quote

__all__ = ["BackupResult", "Progress", "backup"]

Progress = Callable[[int, int], object]
_STEP_PAGES = 2048


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A finished backup: `rows` counts each table's, `sha256` is of the whole file.

    `kind` is sqlite (a database file), pg_dump (custom format, for pg_restore) or archive (our zip of COPY
    files).
    """

    path: Path
    kind: Literal["sqlite", "pg_dump", "archive"]
    size_bytes: int
    sha256: str
    rows: dict[str, int]
    seconds: float


def backup(engine: Engine, target: Path | None = None, *, progress: Progress | None = None) -> BackupResult:
    """Write a verified copy of the database to `target`, which must not exist yet.

    Without a target the copy goes to a folder `backups` beside the file, named after it, the time (UTC) and
    the newest migration. `progress` is called with (done, total): pages on SQLite, tables on PostgreSQL.

    One read snapshot, so writers go on and the copy is of one moment; on SQLite the WAL is not reset
    meanwhile. Copied to a temporary name, synced, checked (integrity, row counts of every table against the
    snapshot, sha256), then renamed: a failure leaves nothing, a kill -9 at most a file that begins with a
    dot and ends in .partial. Readable by its owner alone. Cost: the database is read twice and written
    once.

    Raises DatabaseUnavailable (target exists, disk full, no permission), DatabaseCorrupt (the copy does not
    verify).
    """
    started = monotonic()
    target = Path(target) if target is not None else None
    if engine.dialect.name == "sqlite":
        kind, suffix, write = "sqlite", ".db", _write_sqlite
    else:
        kind, write = backup_postgres.choose(engine)
        suffix = ".dump" if kind == "pg_dump" else ".zip"
    path = target or _default_path(engine, suffix)
    with _new_file(path) as temporary:
        rows = write(engine, temporary, progress)
        size, digest = _seal(temporary)
    return BackupResult(path, kind, size, digest, rows, monotonic() - started)


def _default_path(engine: Engine, suffix: str) -> Path:
    if engine.path is None:
        raise DatabaseUnavailable(
            f"no place is given for the backup of {engine.display_url}",
            why="only a database file has a folder of its own",
            hint="give the path of the file to write",
        )
    folder = engine.path.parent / "backups"
    with _disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    newest = (history.applied_names(engine) or ("empty",))[-1]
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return folder / f"{engine.path.stem}-{moment}-{re.sub(r'[^A-Za-z0-9_.-]', '_', newest)[:60]}{suffix}"


@contextlib.contextmanager
def _disk_errors(path: Path) -> Generator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some room, or give another place" if full else "check the folder and its mode"
        raise DatabaseUnavailable(f"cannot write the backup {path}", why=exc.strerror, hint=hint) from exc


@contextlib.contextmanager
def _new_file(path: Path) -> Generator[Path]:
    """Give a temporary file beside `path`: it takes that name when the block ends well, else it goes."""
    if path.exists():
        raise _exists(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    with _disk_errors(path):
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield temporary
        with _disk_errors(path):
            _rename(temporary, path)
            _sync_folder(path.parent)
    finally:
        for leftover in (
            temporary,
            *(temporary.with_name(temporary.name + end) for end in ("-journal", "-wal", "-shm")),
        ):
            leftover.unlink(missing_ok=True)


def _exists(path: Path) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"cannot write the backup {path}", why="there is a file of that name", hint="give another name"
    )


def _rename(temporary: Path, path: Path) -> None:
    """Give the file its name in one step, unless the name is taken.

    Rename() would overwrite without a word.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError as exc:
        raise _exists(path) from exc
    except OSError:
        # a file system without hard links
        if path.exists():
            raise _exists(path) from None
        temporary.rename(path)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seal(path: Path) -> tuple[int, str]:
    """Sync a file to disk and give its size and sha256."""
    with _disk_errors(path), path.open("rb+") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest


def _write_sqlite(engine: Engine, path: Path, progress: Progress | None) -> dict[str, int]:
    def report(_: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    try:
        with read_only(engine) as source:
            rows = _count_rows(source)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
                # inside a read transaction the steps never start over, however much is written beside them
                source.backup(copy, pages=_STEP_PAGES, progress=report)
                # one file, without a WAL beside it
                copy.execute("PRAGMA journal_mode = DELETE")
                _verify(copy, rows, path)
    except sqlite3.Error as exc:
        raise from_sqlite(exc, str(path)) from exc
    return rows


def _count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        table.name: int(connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0])
        for table in read(connection).tables
        if table.kind != "virtual"
    }


def _verify(copy: sqlite3.Connection, rows: dict[str, int], path: Path) -> None:
    problems = [str(text) for (text,) in copy.execute("PRAGMA integrity_check(5)") if text != "ok"]
    found = _count_rows(copy)
    problems += [
        f"{name} has {found.get(name)} rows of {count}"
        for name, count in rows.items()
        if found.get(name) != count
    ]
    if problems:
        raise DatabaseCorrupt(
            f"the backup {path} does not verify, so it is not kept",
            why="; ".join(problems[:5]),
            hint="the database itself may be damaged: run `datalayer check-db`",
        )
