"""A backup put in the place of a SQLite database that others may have open.

Where the present file is sound its pages are overwritten in one transaction of SQLite's own, by the backup
API: whoever is connected sees the old content and then the new, and a process killed at any moment leaves
one of them to SQLite's recovery. A damaged file is replaced as a whole (see repair.swap).
"""

from __future__ import annotations

import contextlib
import glob
import shutil
import sqlite3
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import quote as quote_url

from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema.backup import BackupResult, back_up_sqlite
from datalayer.schema.backup_check import Examined, open_plain
from datalayer.schema.backup_file import disk_errors, new_file, partial, seal
from datalayer.schema.backup_manifest import Origin
from datalayer.schema.backup_sqlite import count_rows, damage_of
from datalayer.schema.pace import Pace
from datalayer.schema.repair.evidence import ENDINGS, beside, keep
from datalayer.schema.repair.hold import hold
from datalayer.schema.repair.swap import clear_leftovers, put_in_place

__all__ = ["Replaced", "refuse_itself", "restore_sqlite", "rows_of_file"]

_STEP_PAGES = 2048
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True, slots=True)
class Replaced:
    """Where what was there before is now: a backup, or a folder with the files of a damaged database.

    `path` is None where nothing was there. `is_damaged` says which.
    """

    path: Path | None
    is_damaged: bool = False


def restore_sqlite(path: Path, origin: Origin, found: Examined, deadline: float, pace: Pace) -> Replaced:
    """Make the database at `path` what the backup holds, and keep what it held.

    Raises DatabaseBusy where others write until the deadline, or are connected to a damaged file;
    DatabaseUnavailable.
    """
    if not path.exists():
        return _make(path, found)
    if _is_damaged(path):
        return _swap(path, found)
    kept = _overwrite(path, origin, found, deadline, pace)
    return Replaced(kept.path if kept else None)


def rows_of_file(path: Path) -> int | None:
    """Count the rows of a database without changing it; None where it cannot be read."""
    if not path.exists():
        return 0
    try:
        with _looking(path) as connection:
            return sum(count_rows(connection).values())
    except (sqlite3.Error, DatabaseCorrupt):
        return None


def _make(path: Path, found: Examined) -> Replaced:
    """Make the file where there is none; a log that lies there would be taken for its own, so that goes."""
    strays = [one for end in ENDINGS[1:] if (one := beside(path, end)).exists()]
    kept = None
    if strays:
        kept = keep(path, word="restore").folder
        for one in strays:
            one.unlink()
    with new_file(path) as temporary:
        _fill(found, temporary)
    return Replaced(kept, is_damaged=kept is not None)


def _swap(path: Path, found: Examined) -> Replaced:
    """Put a new file in the place of one that SQLite cannot work on, once nobody has that open."""
    with partial(path) as temporary:
        _fill(found, temporary)
        with hold(path, is_writing=True) as held:
            if not held.is_alone:
                raise held.refuse()
            clear_leftovers(path)
            for half in path.parent.glob(f".{glob.escape(path.name)}-before-restore-*.partial"):
                shutil.rmtree(half, ignore_errors=True)
            kept = keep(path, word="restore")
            put_in_place(temporary, path)
            held.invalidate()
    return Replaced(kept.folder, is_damaged=True)


def _fill(found: Examined, temporary: Path) -> None:
    """Write the backup's pages into a file of its own."""
    with disk_errors(temporary):
        shutil.copyfile(found.plain, temporary)
    if not found.is_checked:
        # it may have had a log, so SQLite has to read it
        with disk_errors(temporary):
            temporary.write_bytes(b"")
        with open_plain(found) as source, contextlib.closing(sqlite3.connect(temporary)) as copy:
            source.backup(copy)
    seal(temporary)


@contextlib.contextmanager
def _looking(path: Path) -> Generator[sqlite3.Connection]:
    """Give a connection that cannot write, reading one snapshot: closing it leaves the log as it is."""
    uri = f"file:{quote_url(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection


def _is_damaged(path: Path) -> bool:
    """Say whether SQLite cannot work on the present file; what it cannot tell is for the writer to meet.

    A log that it would throw away unread counts as damage: the commits in it are kept with the files.
    """
    if _has_unreadable_log(path):
        return True
    try:
        with _looking(path) as connection:
            return bool(damage_of(connection))
    except sqlite3.DatabaseError as exc:
        name = getattr(exc, "sqlite_errorname", "")
        return name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))


def _has_unreadable_log(path: Path) -> bool:
    # nobody locks the log itself, so closing it drops no lock
    try:
        with beside(path, "-wal").open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    # sqlite.org/fileformat2.html#walformat
    return start not in (b"", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def _overwrite(
    path: Path, origin: Origin, found: Examined, deadline: float, pace: Pace
) -> BackupResult | None:
    def keep(connection: sqlite3.Connection) -> BackupResult | None:
        is_empty = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
        return None if is_empty else back_up_sqlite(connection, origin, None, Pace())

    try:
        with (
            open_plain(found) as source,
            contextlib.closing(_connect(path, max(0.0, deadline - monotonic()))) as live,
        ):
            # a restore that is told done must outlast a power cut
            live.execute("PRAGMA synchronous = FULL")
            is_wal = live.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            copier = _Copier(path, source, live, deadline, pace)
            if is_wal and copier.fits():
                kept = copier.among_others(keep)
            else:
                kept = copier.alone(keep, is_wal=is_wal)
            problems = damage_of(live)
    except sqlite3.Error as exc:
        raise from_sqlite(exc, str(path)) from exc
    if problems:
        was = f"; what it held is in {kept.path}" if kept else ""
        raise DatabaseCorrupt(
            f"{path} is damaged after the restore{was}", why=problems[0], hint="check the disk"
        )
    return kept


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    uri = f"file:{quote_url(str(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout_s)


Keep = Callable[[sqlite3.Connection], BackupResult | None]


class _Copier:
    """One copy of all pages into a live database."""

    def __init__(
        self,
        path: Path,
        source: sqlite3.Connection,
        live: sqlite3.Connection,
        deadline: float,
        pace: Pace,
    ) -> None:
        self.path = path
        self.source = source
        self.live = live
        self.deadline = deadline
        self.pace = pace
        self.pages = int(source.execute("PRAGMA page_count").fetchone()[0])
        self.page_size = int(source.execute("PRAGMA page_size").fetchone()[0])

    def fits(self) -> bool:
        """Whether a log can take the pages: it knows one page size.

        The copy of a single page would be over before there is a moment to keep what it replaces.
        """
        return self.pages > 1 and self.live.execute("PRAGMA page_size").fetchone() == (self.page_size,)

    def among_others(self, keep: Keep) -> BackupResult | None:
        """Copy through the log, while others are connected and read.

        The first step takes the write lock; what is committed then is what is replaced, so it is kept then.
        """
        kept: list[BackupResult | None] = []

        def first() -> None:
            if not kept:
                with _looking(self.path) as present:
                    kept.append(keep(present))

        self._copy(min(_STEP_PAGES, self.pages - 1), first)
        with contextlib.suppress(sqlite3.OperationalError):
            # readers may be in the way; the next writer does it then
            self.live.execute("PRAGMA busy_timeout = 0").fetchall()
            self.live.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return kept[0]

    def alone(self, keep: Keep, *, is_wal: bool) -> BackupResult | None:
        """Copy through a rollback journal, with nobody else at the file from here to the end."""
        live = self.live
        if is_wal:
            live.execute("PRAGMA journal_mode = DELETE").fetchall()
        try:
            live.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            live.execute("BEGIN EXCLUSIVE")
            live.execute("COMMIT")
            kept = keep(live)
            self._copy(_STEP_PAGES, lambda: None)
        finally:
            live.execute("PRAGMA locking_mode = NORMAL").fetchall()
            with contextlib.suppress(sqlite3.OperationalError):
                # the lock goes with the next read
                live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                if is_wal:
                    live.execute("PRAGMA journal_mode = WAL").fetchall()
        return kept

    def _copy(self, step_pages: int, first: Callable[[], None]) -> None:
        def report(status: int, remaining: int, total: int) -> None:
            if status not in _BUSY:
                first()
                self.pace.step(total - remaining, total, self.page_size)
            elif monotonic() >= self.deadline:
                raise DatabaseBusy(
                    f"{self.path} is locked; nothing was changed",
                    why="another process is writing to it",
                    hint="try again, or raise --lock-timeout",
                )

        self.source.backup(self.live, pages=step_pages, progress=report, sleep=0.02)


def refuse_itself(path: Path, backup: Path) -> None:
    """Refuse to restore a database from its own file."""
    with contextlib.suppress(OSError):
        if path.samefile(backup):
            raise DatabaseUnavailable(
                f"{backup} is the database itself", hint="give the path of a backup of it"
            )
