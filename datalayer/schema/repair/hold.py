"""The files of a database held still while they are looked at, copied and exchanged.

Takes the locks that SQLite itself takes (os.h and walformat.html, "WAL locks"), through a descriptor of its
own, so that SQLite need not open a damaged file. Where the system offers them these are locks of the open
file (F_OFD_SETLK): unlike others they do not go when this process closes another descriptor of the file.
Without fcntl (Windows) nothing is locked, but there an open file cannot be replaced either.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from datalayer.engine.holders import find_holders
from datalayer.errors import DatabaseBusy, DatabaseUnavailable
from datalayer.schema.repair.evidence import beside

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["Hold", "hold"]

_PENDING, _RESERVED, _LAST = 0x40000000, 0x40000001, 0x40000000 + 512
_LOG_WRITE, _LOG_RECOVER, _LOG_ALL = 120, 122, 129
_FLOCK = struct.Struct("hhqqi4x")


class Hold:
    """A database's files under lock. `is_alone`: nobody else has them open, as far as locks tell."""

    def __init__(self, path: Path, *, is_writing: bool) -> None:
        self.path = path
        self.is_alone = False
        self._descriptors: list[int] = []
        self._open(path, is_writing=is_writing)
        self._open(beside(path, "-shm"), is_writing=is_writing, is_optional=True)

    def _open(self, path: Path, *, is_writing: bool, is_optional: bool = False) -> None:
        try:
            mode = os.O_RDWR if is_writing else os.O_RDONLY
            self._descriptors.append(os.open(path, mode | getattr(os, "O_CLOEXEC", 0)))
        except FileNotFoundError as exc:
            if not is_optional:
                raise DatabaseUnavailable(
                    f"cannot open {path}", why="there is no such file", hint="correct the path"
                ) from exc
        except OSError as exc:
            self.close()
            raise DatabaseUnavailable(
                f"cannot open {path}", why=exc.strerror, hint="check its owner and its mode"
            ) from exc

    def take_alone(self) -> bool:
        """Lock everybody else out, readers too. False, and nothing more is locked, where some are in."""
        self.is_alone = self._lock(_PENDING, _LAST, _LOG_WRITE, _LOG_ALL, is_shared=False)
        return self.is_alone

    def take_still(self) -> bool:
        """Keep others from writing, while they may read."""
        return self._lock(_RESERVED, _LAST, _LOG_WRITE, _LOG_RECOVER + 1, is_shared=True)

    def _lock(self, start: int, stop: int, log_start: int, log_stop: int, *, is_shared: bool) -> bool:
        places = [(start, stop - start), (log_start, log_stop - log_start)]
        taken: list[tuple[int, int, int]] = []
        for descriptor, (first, length) in zip(self._descriptors, places):
            if not _set_lock(descriptor, first, length, is_shared=is_shared):
                for other, at, size in taken:
                    _unlock(other, at, size)
                return False
            taken.append((descriptor, first, length))
        return True

    def close(self) -> None:
        """Let go."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def refuse(self) -> DatabaseBusy:
        """Give the error for files that others are at work on; lets go first, to be able to ask who."""
        self.close()
        holders = find_holders(self.path)
        who = ", ".join(map(str, holders)) or ", ".join(f"process {pid}" for pid in openers(self.path))
        return DatabaseBusy(
            f"{self.path} is in use",
            why=f"by {who}" if who else "another process has it open",
            hint="end the programs that use it, then repair it; nothing was changed",
        )

    def invalidate(self) -> None:
        """Make a file that lost its name unreadable, so that whoever still has it open notices.

        A program that has the old file open without a lock would else go on writing into what nobody will
        ever read again.
        """
        descriptor = self._descriptors[0]
        with suppress(OSError):
            if os.fstat(descriptor).st_nlink == 0:
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, b"replaced by datalayer repair".ljust(100, b"\xff"))


@contextmanager
def hold(path: Path, *, is_writing: bool) -> Generator[Hold]:
    """Hold a database's files, alone where possible, else still. Raises DatabaseBusy where others write."""
    held = Hold(path, is_writing=is_writing)
    try:
        if not (is_writing and held.take_alone()) and not held.take_still():
            raise held.refuse()
        yield held
    finally:
        held.close()


def openers(path: Path) -> list[int]:
    """Give the other processes that have a file open, where the system tells (Linux, one's own processes)."""
    found: list[int] = []
    if not sys.platform.startswith("linux"):
        return found
    status = path.stat()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            for link in (folder / "fd").iterdir():
                with suppress(OSError):
                    one = link.stat()
                    if (one.st_dev, one.st_ino) == (status.st_dev, status.st_ino):
                        found.append(int(folder.name))
                        break
    return found


def _set_lock(descriptor: int, start: int, length: int, *, is_shared: bool) -> bool:
    if fcntl is None:
        return True
    try:
        if sys.platform.startswith("linux") and struct.calcsize("P") == 8:
            kind = fcntl.F_RDLCK if is_shared else fcntl.F_WRLCK
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        else:
            how = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
            fcntl.lockf(descriptor, how | fcntl.LOCK_NB, length, start)
    except OSError:
        return False
    return True


def _unlock(descriptor: int, start: int, length: int) -> None:
    if fcntl is None:
        return
    with suppress(OSError):
        if sys.platform.startswith("linux") and struct.calcsize("P") == 8:
            question = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, start, length, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, question)
        else:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start)
