"""One database put in the place of another, such that a crash at any instant leaves the one or the other.

Exchanging the main file is one rename. A write-ahead log or a rollback journal of the old file beside it is
not: SQLite would play it into the new one. So, while such files are there, a log that holds every page of the
new database takes the place of the old log first, by one rename: from then on whoever opens the database
reads the new one, whatever the main file holds. Then the journal goes, the main file is replaced, and the
log goes. Knows nothing of what the databases hold.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from datalayer.engine.durable import sync_folder
from datalayer.errors import DatabaseUnavailable
from datalayer.schema.repair.evidence import (
    Evidence,
    beside,
    copy_file,
    disk_errors,
    sync_file,
)

__all__ = ["clear_leftovers", "put_back", "put_in_place", "staged"]


def staged(path: Path, word: str = "new") -> Path:
    """Give the name under which a file is made that is to take the place of another."""
    return path.with_name(f".{path.name}.repair-{word}")


def clear_leftovers(path: Path) -> None:
    """Take away what a repair that was killed left beside the database; hold its files meanwhile."""
    # what stands behind these words was chosen here; no other program's file is called so
    for opening in (f".{path.name}.repair-", f".{path.name}-before-"):
        for one in [*path.parent.iterdir()]:
            if one.name.startswith(opening):
                if one.is_dir():
                    shutil.rmtree(one, ignore_errors=True)
                else:
                    one.unlink(missing_ok=True)


def put_in_place(new: Path, path: Path) -> None:
    """Put a closed, sound database without a log in the place of another; hold that one's files alone.

    The new file takes the old one's mode and owner.
    """
    with disk_errors(path):
        _take_over(path, new)
        sync_file(new)
        if path.stat().st_size == 0:
            # of an empty main file SQLite throws the log away by itself
            _remove(path, "-wal")
        if _has_bytes(beside(path, "-wal")) or _has_bytes(beside(path, "-journal")):
            log = staged(path, "log")
            write_log(new, log)
            log.replace(beside(path, "-wal"))
            sync_folder(path.parent)
        _remove(path, "-journal")
        new.replace(path)
        sync_folder(path.parent)
        _remove(path, "-wal")
        _remove(path, "-shm")


def put_back(kept: Evidence, path: Path) -> None:
    """Put the bytes that were kept back in their place; hold the files alone, the log written back.

    The -shm file is not: it is an index of the log that SQLite makes anew.
    """
    with disk_errors(path):
        old, oldlog, oldjournal = (staged(path, word) for word in ("old", "oldlog", "oldjournal"))
        for ending, target in (("", old), ("-wal", oldlog), ("-journal", oldjournal)):
            target.unlink(missing_ok=True)
            if ending in kept.digests:
                copy_file(kept.file(ending), target)
        if oldlog.exists() or oldjournal.exists():
            log = staged(path, "log")
            write_log(path, log)
            log.replace(beside(path, "-wal"))
            sync_folder(path.parent)
        else:
            _remove(path, "-wal")
        _remove(path, "-journal")
        old.replace(path)
        sync_folder(path.parent)
        if oldjournal.exists():
            oldjournal.replace(beside(path, "-journal"))
            sync_folder(path.parent)
        if oldlog.exists():
            oldlog.replace(beside(path, "-wal"))
        else:
            _remove(path, "-wal")
        _remove(path, "-shm")
        sync_folder(path.parent)


def write_log(database: Path, log: Path) -> None:
    """Write a log that holds every page of a database, as one committed transaction.

    SQLite writes it: the database is copied into an empty one in WAL mode, whose log is taken before it is
    written back.
    """
    cover = beside(log, ".cover")
    for ending in ("", "-wal", "-shm"):
        beside(cover, ending).unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)) as source:
            size = int(source.execute("PRAGMA page_size").fetchone()[0])
            with closing(sqlite3.connect(cover, isolation_level=None)) as target:
                target.execute(f"PRAGMA page_size = {size}")
                target.execute("PRAGMA journal_mode = WAL")
                target.execute("PRAGMA wal_autocheckpoint = 0")
                target.execute("PRAGMA synchronous = FULL")
                source.backup(target)
                beside(cover, "-wal").replace(log)
        sync_file(log)
    except sqlite3.Error as exc:
        raise DatabaseUnavailable(f"cannot write {log}", why=str(exc), hint="nothing was changed") from exc
    finally:
        for ending in ("", "-wal", "-shm"):
            beside(cover, ending).unlink(missing_ok=True)


def _take_over(old: Path, new: Path) -> None:
    status = old.stat()
    shutil.copymode(old, new)
    if hasattr(os, "chown"):
        # only root may give a file away
        with suppress(OSError):
            os.chown(new, status.st_uid, status.st_gid)


def _has_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _remove(path: Path, ending: str) -> None:
    other = beside(path, ending)
    if other.exists():
        other.unlink(missing_ok=True)
        sync_folder(path.parent)
