"""The backups there are of a database, found in their folder without opening the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable, DataLayerError
from datalayer.schema.backup_check import examine, kind_of
from datalayer.schema.backup_file import digest_of, disk_errors
from datalayer.schema.backup_manifest import Kind, Manifest, Origin, read_manifest

__all__ = ["BackupEntry", "is_sound", "list_backups", "verify"]


@dataclass(frozen=True, slots=True)
class BackupEntry:
    """One backup. `rows` is None where no manifest tells.

    `is_verified`: it was verified when it was written and has kept its size (after `verify`: it is sound
    now); False where `problem` says what is wrong, None where nobody knows. `is_certain`: its manifest, or
    its name and first bytes in the database's own folder, say that it is of this database; what is not may
    be looked at, and is never removed.
    """

    path: Path
    created_at: datetime
    size_bytes: int
    kind: Kind
    is_compressed: bool
    schema_version: str
    rows: int | None
    is_verified: bool | None
    is_certain: bool
    problem: str | None = None


def list_backups(origin: Origin, folder: Path | None = None) -> list[BackupEntry]:
    """List a database's backups in a folder, by default the one where they go by themselves; newest first.

    Reads manifests and first bytes only. Raises DatabaseUnavailable where the folder cannot be read.
    """
    place = folder or origin.folder
    if place is None or not place.is_dir():
        if folder is not None:
            raise DatabaseUnavailable(
                f"there is no folder {folder}", hint="correct the path, or leave out --folder"
            )
        return []
    with disk_errors(place, "read"):
        found = [*_entries(origin, place)]
    return sorted(found, key=lambda entry: (entry.created_at, entry.path.name), reverse=True)


def verify(entry: BackupEntry) -> BackupEntry:
    """Read a backup whole: digest, integrity, rows. Gives the entry with what was found."""
    try:
        with examine(entry.path) as found:
            return replace(entry, is_verified=True, problem=None, rows=sum(found.rows.values()))
    except DatabaseCorrupt as exc:
        return replace(entry, is_verified=False, problem=exc.why or exc.what)
    except DataLayerError as exc:
        return replace(entry, is_verified=None, problem=exc.why or exc.what)


def is_sound(entry: BackupEntry) -> bool:
    """Say whether a backup can be restored: by its digest, where a manifest has it, else by reading it."""
    manifest = read_manifest(entry.path)
    try:
        if manifest is not None:
            return digest_of(entry.path) == manifest.sha256
        return verify(entry).is_verified is True
    except DatabaseUnavailable:
        return False


def _entries(origin: Origin, folder: Path) -> Iterator[BackupEntry]:
    is_home = origin.folder is not None and folder.resolve() == origin.folder.resolve()
    for path in folder.iterdir():
        if path.name.startswith(".") or path.suffix == ".json" or not path.is_file():
            continue
        manifest = read_manifest(path)
        if manifest is not None:
            # a database may have moved together with its folder
            if manifest.source == origin.source and (is_home or manifest.place == origin.place):
                yield _from_manifest(path, manifest)
        else:
            entry = _from_name(path, origin, is_home=is_home)
            if entry is not None:
                yield entry


def _from_manifest(path: Path, manifest: Manifest) -> BackupEntry:
    size = path.stat().st_size
    is_whole = size == manifest.size_bytes
    return BackupEntry(
        path,
        manifest.created_at,
        size,
        manifest.kind,
        manifest.compression is not None,
        manifest.schema_version,
        sum(manifest.rows.values()),
        is_whole,
        is_certain=True,
        problem=None if is_whole else f"it had {manifest.size_bytes} bytes when it was written",
    )


def _from_name(path: Path, origin: Origin, *, is_home: bool) -> BackupEntry | None:
    """Give the entry of a backup without a manifest; None for a file of another name or kind."""
    named = origin.time_and_version(path.name)
    if named is None:
        return None
    try:
        kind, is_compressed = kind_of(path)
    except DataLayerError:
        return None
    moment, version = named
    # servers share a folder, and a name does not say which one it was
    is_certain = is_home and kind == "sqlite"
    size = path.stat().st_size
    return BackupEntry(path, moment, size, kind, is_compressed, version, None, None, is_certain)
