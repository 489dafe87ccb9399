"""A connection that leaves no trace: not a byte in the file, its log, journal or shared memory.

How it reads depends on what lies there. A log in use is read through the shared memory that its writers
keep, opened read-only; without a log the file is taken as immutable, and read again where it turns out that
somebody wrote meanwhile; what opening would change or destroy (a damaged log, a hot journal) is read on a
private copy. https://sqlite.org/uri.html, https://sqlite.org/wal.html ("Read-Only Databases")
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote as quote_url

from datalayer.engine.address import Address
from datalayer.engine.connection import Options
from datalayer.engine.sqlite import SqliteEngine
from datalayer.errors import DatabaseUnavailable
from datalayer.schema.check.filebytes import copy_file
from datalayer.schema.check.outline import Outline, outline

__all__ = ["Observer", "observed", "private_copy"]

T = TypeVar("T")
_ATTEMPTS = 3
_CACHE_KIB = 65_536


class Observer(SqliteEngine):
    """An engine on a file that it cannot write, whatever is asked of it."""

    def __init__(self, path: Path, manner: str, *, shown: Path, busy_timeout_s: float) -> None:
        self._source = f"file:{quote_url(str(path))}?mode=ro{manner}"
        options = Options(
            read_only=True, create=False, cache_kib=_CACHE_KIB, busy_timeout_s=busy_timeout_s, long_read_s=1e9
        )
        super().__init__(Address("sqlite", str(shown), path, read_only=True), options)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._source,
            uri=True,
            timeout=self.options.busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )


def observed(first: Outline, look: Callable[[Observer], T], *, busy_timeout_s: float = 5.0) -> T:
    """Call `look` with an engine on the file's present state; again where the file changed under it.

    Raises:
        DatabaseUnavailable: no permission, or no room for a private copy that is needed.
        DatabaseBusy: somebody holds it locked.
        DatabaseCorrupt: not a database.
    """
    now = first
    for attempt in range(_ATTEMPTS):
        manner = _manner(now)
        if manner is None:
            with private_copy(now) as path:
                _settle(path)
                return _with(Observer(path, "", shown=now.path, busy_timeout_s=busy_timeout_s), look)
        is_last = attempt == _ATTEMPTS - 1
        try:
            # where others come and go all the time they have a log open: as one of them, then
            manner = "" if is_last else manner
            engine = Observer(now.path, manner, shown=now.path, busy_timeout_s=busy_timeout_s)
        except DatabaseUnavailable:
            # the shared memory went since it was looked at
            if is_last:
                raise
            now = outline(now.path)
            continue
        result = _with(engine, look)
        after = outline(now.path)
        if manner != "&immutable=1" or after.state == now.state:
            return result
        now = after
    raise AssertionError("the last attempt always gives a result")


def _with(engine: Observer, look: Callable[[Observer], T]) -> T:
    try:
        return look(engine)
    finally:
        engine.close()


def _manner(now: Outline) -> str | None:
    """Say how the file can be read without a trace; None for: only a copy of it."""
    if now.has_damaged_companion and not _is_harmless(now):
        return None
    if now.wal_size:
        return "&readonly_shm=1" if now.has_shm else None
    if now.is_wal:
        return "&immutable=1"
    return ""


def _is_harmless(now: Outline) -> bool:
    """Whether nothing is wrong with the companions but what SQLite does not look at."""
    signs = ("DL-C079", "DL-C080", "DL-C082", "DL-C083")
    wrong = [one for one in now.findings if one.id in signs]
    return all(one.severity == "info" or one.object == "-shm" for one in wrong)


@contextmanager
def private_copy(now: Outline) -> Generator[Path]:
    """Copy the file with its log and journal to a folder of its own, for as long as the block runs.

    Raises:
        DatabaseUnavailable: no room, or no permission.
    """
    needed = 2 * (now.size + (now.wal_size or 0) + (now.journal_size or 0))
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise DatabaseUnavailable(
            f"{now.path} can only be looked at on a copy of it",
            why=f"that needs {needed >> 20} MiB in {tempfile.gettempdir()}, and {free >> 20} MiB are free",
            hint="free some room, or set TMPDIR to a folder that has it",
        )
    with tempfile.TemporaryDirectory(prefix="datalayer-check-") as folder:
        copy = Path(folder) / now.path.name
        try:
            copy_file(now.path, copy)
            for suffix in ("-wal", "-journal"):
                beside = now.beside(suffix)
                if beside.exists():
                    shutil.copyfile(beside, f"{copy}{suffix}")
        except OSError as exc:
            raise DatabaseUnavailable(
                f"{now.path} cannot be copied", why=exc.strerror, hint="check permissions and free room"
            ) from exc
        yield copy


def _settle(copy: Path) -> None:
    """Let SQLite roll a hot journal back on the copy, which a connection that only reads cannot."""
    if not copy.with_name(f"{copy.name}-journal").exists():
        return
    connection = sqlite3.connect(copy, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        # told when it is looked at
        return
    finally:
        connection.close()
