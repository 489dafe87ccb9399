"""Every original byte of a database, kept before anything is changed: a folder with a manifest.

The files are copied as they are, never through SQLite. A folder that has its name is whole. Knows nothing of
what the bytes mean.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datalayer.engine.durable import sync_folder
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable, NotFound

__all__ = [
    "ENDINGS",
    "Evidence",
    "beside",
    "disk_errors",
    "keep",
    "newest",
    "refuse_if_full",
    "sync_file",
    "tell",
]

ENDINGS = ("", "-wal", "-journal", "-shm")
"""What stands behind the name of a database in the names of its files."""

_MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_SPARE = 1 << 20


def beside(path: Path, ending: str) -> Path:
    """Give the file of a database that has this ending."""
    return path.with_name(path.name + ending)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A folder with the files of a database as they were; `digests` are sha256 by ending."""

    folder: Path
    name: str
    digests: dict[str, str]

    def file(self, ending: str) -> Path:
        """Give the copy of the file with this ending."""
        return self.folder / f"{self.name}{ending}"

    @property
    def main(self) -> Path:
        """The copy of the main file."""
        return self.file("")

    def verify(self) -> None:
        """Compare every byte with the manifest. Raises DatabaseCorrupt where one differs."""
        for ending, digest in self.digests.items():
            path = self.file(ending)
            found = _digest(path) if path.is_file() else None
            if found != digest:
                raise DatabaseCorrupt(
                    f"{path} is not what was kept: its sha256 is {found}, not {digest}",
                    hint="nothing was changed; look for another copy of these bytes",
                )


def keep(path: Path, *, word: str = "repair") -> Evidence:
    """Copy the files of a database into a new folder beside it; `word` says before what.

    Hold the files still meanwhile. A failure leaves no folder. Raises DatabaseUnavailable where there is not
    room enough for it, or no permission.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    folder = path.with_name(f"{path.name}-before-{word}-{moment}")
    unfinished = folder.with_name(f".{folder.name}.partial")
    with disk_errors(folder):
        refuse_if_full(path.parent, _size(path), f"the original bytes of {path}")
        unfinished.mkdir(mode=0o700)
        try:
            digests = {
                ending: copy_file(beside(path, ending), unfinished / f"{path.name}{ending}")
                for ending in ENDINGS
                if beside(path, ending).exists()
            }
            _write_manifest(unfinished, path, moment, digests)
            sync_folder(unfinished)
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(folder.parent)
    return Evidence(folder, path.name, digests)


def tell(folder: Path, document: Mapping[str, Any]) -> None:
    """Write what was done into the folder, as report.json; what is done stays done where that fails."""
    unfinished = folder / ".report.partial"
    with suppress(OSError):
        unfinished.write_text(json.dumps(document, indent=1), encoding="utf-8")
        unfinished.replace(folder / "report.json")


def newest(path: Path, *, word: str = "repair") -> Evidence:
    """Give what the last repair kept.

    Raises NotFound where there is nothing, DatabaseCorrupt for a manifest that cannot be read.
    """
    opening = f"{path.name}-before-{word}-"
    try:
        names = sorted(one.name for one in path.parent.iterdir() if one.name.startswith(opening))
    except OSError as exc:
        raise DatabaseUnavailable(f"cannot look into {path.parent}", why=exc.strerror) from exc
    if not names:
        raise NotFound(
            f"there is nothing to go back to: no folder {opening}* stands beside {path}",
            hint="restore a backup instead: `datalayer backups` lists them",
        )
    return _read(path.parent / names[-1])


def refuse_if_full(folder: Path, needed: int, what: str) -> None:
    """Refuse where a disk has not this much room. Raises DatabaseUnavailable."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise DatabaseUnavailable(
            f"there is not room enough in {folder} for {what}",
            why=f"{needed + _SPARE} bytes are needed, {free} are free",
            hint="free some room; nothing was changed",
        )


@contextmanager
def disk_errors(path: Path) -> Generator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "free some room" if full else "check the folder, its owner and its mode"
        raise DatabaseUnavailable(f"cannot write {path}", why=exc.strerror, hint=hint) from exc


def copy_file(source: Path, target: Path) -> str:
    """Copy a file, to the disk itself, and give its sha256; what was written is read back and compared."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if _digest(target) != digest.hexdigest():
        raise OSError(errno.EIO, f"{target} does not read back as it was written")
    shutil.copystat(source, target)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """See to it that a file's bytes are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _size(path: Path) -> int:
    files: Sequence[Path] = [beside(path, ending) for ending in ENDINGS]
    return sum(file.stat().st_size for file in files if file.exists())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path, path: Path, moment: str, digests: dict[str, str]) -> None:
    document = {"database": str(path), "name": path.name, "kept_at": moment, "sha256": digests}
    with (folder / _MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _read(folder: Path) -> Evidence:
    try:
        document: Any = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        digests = {str(ending): str(digest) for ending, digest in document["sha256"].items()}
        return Evidence(folder, str(document["name"]), digests)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DatabaseCorrupt(
            f"the manifest of {folder} cannot be read", why=str(exc), hint="look into the folder by hand"
        ) from exc
