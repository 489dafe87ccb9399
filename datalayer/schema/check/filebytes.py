"""Reading a database's files as bytes without harm to the connections that this process has open on them.

Closing any descriptor of a file drops all POSIX locks that the process holds on it (fcntl(2); sqlite.org,
"How To Corrupt", 2.2): another process could then take the log from under a connection here. So where the
file is open here already, the descriptor that reads it is kept until the process ends, one for each file.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["copy_file", "is_open_here", "read_at"]

_CHUNK = 4 << 20
_kept: dict[tuple[int, int], int] = {}
_lock = threading.Lock()


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read a piece of a file, shorter at its end. Raises OSError."""
    with _descriptor(path) as number:
        return _pread(number, size, offset)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes into a new one; holes stay holes. Raises OSError."""
    with _descriptor(source) as number, target.open("xb") as file:
        size = os.fstat(number).st_size
        for offset in range(0, size, _CHUNK):
            data = _pread(number, _CHUNK, offset)
            if data.count(0) == len(data):
                file.seek(len(data), os.SEEK_CUR)
            else:
                file.write(data)
        file.truncate(size)


def is_open_here(path: Path) -> bool:
    """Whether this process has the file open; False where the system does not tell, as on Windows."""
    with suppress(OSError):
        status = path.stat()
        key = (status.st_dev, status.st_ino)
        for entry in Path("/dev/fd").iterdir():
            # the listing's own descriptor is gone by now
            with suppress(OSError, ValueError):
                found = os.fstat(int(entry.name))
                if (found.st_dev, found.st_ino) == key:
                    return True
    return False


@contextmanager
def _descriptor(path: Path) -> Generator[int]:
    """Open a file for reading; close it again where that harms nobody."""
    status = path.stat()
    key = (status.st_dev, status.st_ino)
    with _lock:
        number = _kept.get(key)
        if number is not None and os.fstat(number).st_nlink:
            yield number
            return
        is_shared = sys.platform != "win32" and is_open_here(path)
        number = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        if is_shared:
            _kept[key] = number
    try:
        yield number
    finally:
        if not is_shared:
            os.close(number)


def _pread(number: int, size: int, offset: int) -> bytes:
    if sys.platform != "win32":
        return os.pread(number, size, offset)
    os.lseek(number, offset, os.SEEK_SET)
    return os.read(number, size)
