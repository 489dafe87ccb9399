"""Files that are whole under their name or not there at all, and what killed writers of such files left.

Knows paths, modes and the system's errors; nothing of databases.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Generator, Iterable
from pathlib import Path

from datalayer.engine.durable import sync_folder
from datalayer.errors import DatabaseUnavailable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "SIDECARS",
    "digest_of",
    "disk_errors",
    "new_file",
    "partial",
    "refuse_taken",
    "remove_leftovers",
    "seal",
]

SIDECARS = ("-journal", "-wal", "-shm")
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.datalayer\.partial")


@contextlib.contextmanager
def disk_errors(path: Path, doing: str = "write the backup") -> Generator[None]:
    """Turn the system's errors into DatabaseUnavailable."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some room, or give another place" if full else "check the folder and its mode"
        raise DatabaseUnavailable(f"cannot {doing} {path}", why=exc.strerror, hint=hint) from exc


@contextlib.contextmanager
def new_file(path: Path) -> Generator[Path]:
    """Give a temporary file beside `path`: it takes that name when the block ends well, else it goes.

    Raises DatabaseUnavailable where the name is taken.
    """
    refuse_taken(path)
    with partial(path) as temporary:
        yield temporary
        with disk_errors(path):
            _rename(temporary, path)
            sync_folder(path.parent)


@contextlib.contextmanager
def partial(path: Path) -> Generator[Path]:
    """Give an empty file beside `path`, readable by its owner alone, which goes when the block ends.

    It is locked (flock) for the time of the block: the lock of a leftover is free.
    """
    with disk_errors(path):
        temporary, handle = _locked_file(path)
    try:
        yield temporary
    finally:
        for leftover in _with_sidecars(temporary):
            leftover.unlink(missing_ok=True)
        os.close(handle)


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what killed writers left in a folder; what is still written to stays."""
    removed: list[Path] = []
    if fcntl is None:
        return removed
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _LEFTOVER.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                removed += _remove_unless_held(path)
    return removed


def refuse_taken(path: Path) -> None:
    """Refuse to write a file where there is one. Raises DatabaseUnavailable."""
    if path.exists():
        raise _exists(path)


def seal(path: Path) -> tuple[int, str]:
    """Sync a file to disk and give its size and sha256."""
    with disk_errors(path), path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, digest_of(path)


def digest_of(path: Path) -> str:
    """Give a file's sha256."""
    with disk_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _locked_file(path: Path) -> tuple[Path, int]:
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.datalayer.partial")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        if fcntl is None:
            return temporary, handle
        fcntl.flock(handle, fcntl.LOCK_EX)
        # another one may have taken it for a leftover in the instant before
        if os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)


def _remove_unless_held(path: Path) -> list[Path]:
    assert fcntl is not None
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return []
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for one in _with_sidecars(path):
            one.unlink(missing_ok=True)
    except OSError:
        return []
    finally:
        os.close(handle)
    return [path]


def _with_sidecars(path: Path) -> Iterable[Path]:
    return (path, *(path.with_name(path.name + end) for end in SIDECARS))


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
