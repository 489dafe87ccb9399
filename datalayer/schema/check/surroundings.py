"""What is around a database file: is it there, may it be read and written, is there room, is it local.

Asks the operating system only, and opens nothing but what is listed in /proc.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from datalayer.engine.holders import find_holders
from datalayer.schema.finding import Finding

__all__ = ["FATAL", "LEAST_FREE_BYTES", "file_system_of", "locked", "surroundings"]

FATAL = frozenset({"DL-C070", "DL-C074", "DL-C075", "DL-C076"})
"""Ids with which, as errors, nothing can be looked at."""

LEAST_FREE_BYTES = 32 << 20
_MOUNTS = Path("/proc/mounts")
_REMOTE = frozenset(
    re.split(
        r"\s+",
        "nfs nfs4 cifs smb3 smbfs ncpfs afs ceph glusterfs lustre beegfs ocfs2 gfs2 davfs"
        " fuse.sshfs fuse.glusterfs fuse.s3fs fuse.rclone fuse.davfs2",
    )
)


def surroundings(path: Path) -> list[Finding]:
    """Find what is wrong around a file; empty where all is well."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return [_missing(path)]
    except OSError as exc:
        message = f"{path} cannot be reached: {exc.strerror}"
        return [Finding("DL-C075", "error", None, None, 1, message, "manual")]
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no plain file"
        return [Finding("DL-C074", "error", None, None, 1, f"{path} is {kind}", "none")]
    if not os.access(path, os.R_OK):
        message = f"{path} may not be read by this user (its mode is {stat.filemode(status.st_mode)})"
        return [Finding("DL-C075", "error", None, None, 1, message, "manual")]
    return [*_permissions(path, status), *_room(path, status.st_size), *_remote(path)]


def _missing(path: Path) -> Finding:
    beside = [f"{path.name}{ending}" for ending in ("-wal", "-journal") if Path(f"{path}{ending}").exists()]
    message = f"there is no file {path}"
    if beside:
        message += f", but {' and '.join(beside)}, which may hold its last commits: keep them"
    elif not path.parent.is_dir():
        message += f", nor its folder {path.parent}"
    return Finding("DL-C070", "error", None, None, 1, message, "none")


def _permissions(path: Path, status: os.stat_result) -> Iterator[Finding]:
    # a superuser may write everything; the programs of others are meant
    if not os.access(path, os.W_OK) or not status.st_mode & 0o222:
        message = f"{path} may not be written (its mode is {stat.filemode(status.st_mode)})"
        yield Finding("DL-C075", "warning", None, None, 1, message, "manual")
    folder = path.parent
    try:
        mode = folder.stat().st_mode
    except OSError:
        return
    if not os.access(folder, os.W_OK | os.X_OK) or not mode & 0o222:
        message = (
            f"the folder {folder} may not be written (its mode is {stat.filemode(mode)}),"
            " so there can be no log or journal, and no change"
        )
        yield Finding("DL-C077", "warning", None, None, 1, message, "manual")


def _room(path: Path, size: int) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return
    if free < max(LEAST_FREE_BYTES, min(size // 20, 1 << 30)):
        message = f"the disk of {path.parent} is almost full: {free >> 20} MiB are free"
        yield Finding("DL-C078", "warning", None, None, 1, message, "manual")


def _remote(path: Path) -> Iterator[Finding]:
    kind = "a network share" if str(path).startswith(("\\\\", "//")) else None
    if kind is None:
        try:
            mounts = _MOUNTS.read_text(errors="surrogateescape")
        except OSError:
            return
        found = file_system_of(path.resolve(), mounts)
        kind = found if found in _REMOTE else None
    if kind is not None:
        message = f"{path} is on a network file system ({kind}), where locks and WAL mode cannot be relied on"
        yield Finding("DL-C081", "warning", None, None, 1, message, "manual")


def file_system_of(path: Path, mounts: str) -> str | None:
    """Give the type of the file system that a path is on, by the text of /proc/mounts."""
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        # blanks and their like are written as octal numbers there
        place = words[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if path.is_relative_to(place) and (best is None or len(place) >= best[0]):
            best = (len(place), words[2])
    return None if best is None else best[1]


def locked(path: Path) -> Finding:
    """Give the finding for a file that is locked, with who holds it where that can be known."""
    holders = find_holders(path)
    who = f" by {', '.join(map(str, holders))}" if holders else ""
    return Finding("DL-C076", "error", None, None, max(1, len(holders)), f"{path} is locked{who}", "none")
