"""Which processes hold SQLite's locks on a file: asked of the kernel, without opening the database.

SQLite locks bytes of the file in rollback mode (PENDING_BYTE in its os.h) and bytes of `-shm`
in WAL mode (sqlite.org/walformat.html, "WAL locks"); F_GETLK tells who holds one (fcntl(2)). Linux, macOS.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["Holder", "find_holders"]

_PENDING, _RESERVED, _SHARED, _SHARED_LENGTH = 0x40000000, 0x40000001, 0x40000002, 510
_WAL_WRITE, _WAL_CHECKPOINT, _WAL_RECOVER = 120, 121, 122

# struct flock on 64-bit machines, and where its pid stands
_LINUX = (struct.Struct("hhqqi4x"), 4)
_MACOS = (struct.Struct("qqihh"), 2)
_INTERPRETERS = ("python", "ruby", "node", "perl", "java")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lock: `lock` says for what; `program` is None where the system does not tell."""

    pid: int
    lock: str
    program: str | None = None

    def __str__(self) -> str:
        return f"process {self.pid}{f' ({self.program})' if self.program else ''}, {self.lock}"


def find_holders(path: Path) -> tuple[Holder, ...]:
    """Tell who writes to a SQLite file now, or else what prevents writing; nobody where it cannot be known.

    Only for when this process has no connection of any kind open on the file: closing any descriptor of a
    file drops all POSIX locks that the process holds on it. Where one is open, the answer is nobody.
    """
    if fcntl is None or struct.calcsize("P") != 8 or _is_open_here(path):
        return ()
    found: dict[int, Holder] = {}
    for place, start, length, is_read, lock in _questions(path):
        pid = _holder_of(place, start, length, is_read=is_read)
        if pid is not None and pid > 0:
            found.setdefault(pid, Holder(pid, lock, _program_of(pid)))
    writers = tuple(holder for holder in found.values() if holder.lock != "reading")
    return writers or tuple(found.values())


def _questions(path: Path) -> Iterator[tuple[Path, int, int, bool, str]]:
    """Give what to ask for: file, first byte, number of bytes, for a read lock or a write lock, meaning."""
    memory = path.with_name(f"{path.name}-shm")
    yield memory, _WAL_WRITE, 1, False, "writing"
    yield memory, _WAL_RECOVER, 1, False, "recovering the log"
    yield path, _RESERVED, 1, False, "writing"
    yield path, _PENDING, 1, False, "writing"
    # only an exclusive lock is in the way of a read lock
    yield path, _SHARED, _SHARED_LENGTH, True, "writing"
    yield memory, _WAL_CHECKPOINT, 1, False, "writing the log back"
    if not memory.exists():
        # in WAL mode everybody holds one, and it is in nobody's way
        yield path, _SHARED, _SHARED_LENGTH, False, "reading"


def _holder_of(path: Path, start: int, length: int, *, is_read: bool) -> int | None:
    """Give the pid of a process whose lock is in the way of this one."""
    assert fcntl is not None
    kind = fcntl.F_RDLCK if is_read else fcntl.F_WRLCK
    layout, place = _MACOS if sys.platform == "darwin" else _LINUX
    if sys.platform == "darwin":
        question = layout.pack(start, length, 0, kind, os.SEEK_SET)
    else:
        question = layout.pack(kind, os.SEEK_SET, start, length, 0)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = layout.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question))
    except OSError:
        return None
    finally:
        os.close(fd)
    answered = answer[3] if sys.platform == "darwin" else answer[0]
    return None if answered == fcntl.F_UNLCK else int(answer[place])


def _is_open_here(path: Path) -> bool:
    """Say whether this process has the file or its log open."""
    files: set[tuple[int, int]] = set()
    for ending in ("", "-wal", "-shm"):
        with suppress(OSError):
            status = path.with_name(path.name + ending).stat()
            files.add((status.st_dev, status.st_ino))
    for descriptor in Path("/dev/fd").iterdir():
        # the listing's own descriptor is gone by now
        with suppress(OSError):
            status = os.fstat(int(descriptor.name))
            if (status.st_dev, status.st_ino) in files:
                return True
    return False


def _program_of(pid: int) -> str | None:
    """Give a program's name, and of an interpreter the script's; other arguments may hold passwords."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    if not words[0]:
        return None
    name = Path(words[0]).name
    if not name.startswith(_INTERPRETERS):
        return name
    script = next((word for word in words[1:] if word), "")
    if script == "-m" and len(words) > 2:
        return f"{name} -m {words[2]}"
    return name if not script or script.startswith("-") else f"{name} {Path(script).name}"
