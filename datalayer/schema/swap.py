"""A new SQLite file in the place of an old one that SQLite itself cannot work on.

SQLite takes a -wal or -journal of the same name for the file's own, so those of the old file leave before
the new one comes. Whoever is connected holds a lock on the old file and keeps this from happening; the
originals are kept byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from datalayer.engine.holders import find_holders
from datalayer.errors import DatabaseBusy
from datalayer.schema.backup_file import SIDECARS, disk_errors, sync_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["put_aside", "swap_in"]

# PENDING_BYTE, RESERVED_BYTE and the range of SHARED locks (SQLite's os.h)
_FIRST_LOCK, _LOCKS = 0x40000000, 512


def swap_in(path: Path, new: Path, folder: Path) -> Path:
    """Put the finished file `new`, of the same folder, in the place of `path`; give where the old files are.

    Killed at any moment it leaves the old file or the new one; the old one for an instant without its log,
    which is then below `folder` with all the rest. Raises DatabaseBusy while another process is connected.
    """
    with _alone(path), disk_errors(path, "replace"):
        status = path.stat()
        new.chmod(status.st_mode & 0o777)
        with contextlib.suppress(OSError, AttributeError):
            os.chown(new, status.st_uid, status.st_gid)
        kept = put_aside(path, folder, "damaged", with_file=True)
        assert kept is not None
        new.replace(path)
        sync_folder(path.parent)
    return kept


def put_aside(path: Path, folder: Path, why: str, *, with_file: bool) -> Path | None:
    """Keep a database's files in a new folder below `folder`, and take away those beside it.

    The file itself stays in its place too. None where there is nothing to keep.
    """
    beside = [one for end in SIDECARS if (one := path.with_name(path.name + end)).exists()]
    originals = [path, *beside] if with_file else beside
    if not originals:
        return None
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = folder / f"{path.stem}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{why}"
        kept.mkdir(mode=0o700)
        for original in originals:
            _keep(original, kept / original.name)
        sync_folder(kept)
        sync_folder(folder)
        for one in beside:
            one.unlink()
        sync_folder(path.parent)
    return kept


def _keep(original: Path, copy: Path) -> None:
    try:
        # the same bytes, no second copy of them: the old name goes, or gets another file
        copy.hardlink_to(original)
    except OSError:
        # a file system without hard links; closing the file gives our locks on it back early
        shutil.copy2(original, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def _alone(path: Path) -> Generator[None]:
    """Hold the locks that whoever is connected in WAL mode, or in a transaction, has on the file.

    No connection of this process may be open on it: closing any descriptor drops all its locks (fcntl(2)).
    """
    if fcntl is None:
        yield
        return
    holders = find_holders(path)
    with disk_errors(path, "replace"):
        handle = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS, _FIRST_LOCK)
        except OSError as exc:
            said = ", ".join(map(str, holders)) or "another process is connected to it"
            raise DatabaseBusy(
                f"{path} is in use and cannot be replaced; nothing was changed",
                why=said,
                hint="end the programs that have it open, then try again",
            ) from exc
        yield
    finally:
        os.close(handle)
