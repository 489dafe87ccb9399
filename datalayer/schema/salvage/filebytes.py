"""The bytes of a large file, read piece by piece when asked for, so that they are not all in memory.

A mapping would do the same, but its pages count as the process's memory, and a file that somebody cuts short
would end the process.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FileBytes"]


class FileBytes:
    """A file that can be sliced and measured like bytes. Raises OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)
        self._skipped = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, piece: slice) -> bytes:
        start, stop, _ = piece.indices(self._size)
        if stop <= start:
            return b""
        self._file.seek(start + self._skipped)
        return self._file.read(stop - start)

    def skip(self, count: int) -> None:
        """Leave out the first bytes from now on."""
        self._skipped += count
        self._size -= count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
