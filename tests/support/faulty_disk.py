"""A disk that fails from the moment one says, as a VFS of apsw's SQLite.

https://sqlite.org/c3ref/vfs.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import apsw

__all__ = ["Fault", "FaultyDisk"]

Fault = Literal["full", "write", "sync", "read"]
_ERRORS: dict[Fault, tuple[type[apsw.Error], int]] = {
    "full": (apsw.FullError, apsw.SQLITE_FULL),
    "write": (apsw.IOError, apsw.SQLITE_IOERR_WRITE),
    "sync": (apsw.IOError, apsw.SQLITE_IOERR_FSYNC),
    "read": (apsw.IOError, apsw.SQLITE_IOERR_READ),
}


class FaultyDisk(apsw.VFS):
    """The system's VFS with faults. `name` is what a connection asks for; open it for the time of a block.

    `full`: writes that make a file longer fail; `write`: all writes; `sync`: each sync;
    `read`: all reads.
    `count` is the number of calls that the present fault looks at, `on_write` is called before each write.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.fault: Fault | None = None
        self.first_bad: int | None = None
        self.is_once = False
        self.count = 0
        self.failures = 0
        self.on_write: Callable[[], object] | None = None

    def __enter__(self) -> FaultyDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def watch(self, fault: Fault, first_bad: int | None = None, *, is_once: bool = False) -> None:
        """Count the calls of this kind from now on; fail from number `first_bad` (of 0) on, or only then."""
        self.fault, self.first_bad, self.is_once = fault, first_bad, is_once
        self.count = self.failures = 0

    def heal(self) -> None:
        """Be a good disk again."""
        self.fault = self.first_bad = None

    def pass_through(self, *kinds: Fault) -> None:
        """Count a call; raise where it fails."""
        if self.fault is None or self.fault not in kinds:
            return
        place, self.count = self.count, self.count + 1
        if self.first_bad is None or place < self.first_bad or (self.is_once and self.failures):
            return
        self.failures += 1
        kind, code = _ERRORS[self.fault]
        error = kind(f"the disk says {self.fault}")
        error.result, error.extendedresult = code & 0xFF, code
        raise error

    def xOpen(self, name: Any, flags: Any) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.on_write is not None:
            self.disk.on_write()
        longer = self.disk.fault == "full" and offset + len(data) > self.xFileSize()
        self.disk.pass_through("write", *(("full",) if longer else ()))
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.pass_through("read")
        return super().xRead(amount, offset)

    def xSync(self, flags: int) -> None:
        self.disk.pass_through("sync")
        super().xSync(flags)
