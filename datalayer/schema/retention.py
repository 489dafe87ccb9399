"""Which backups stay and which go.

The newest one that is sound never goes, nor does anything that is not surely a backup of this database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datalayer.engine.durable import sync_folder
from datalayer.errors import DataLayerError
from datalayer.schema.backup_file import disk_errors, remove_leftovers
from datalayer.schema.backup_manifest import Origin, manifest_path, read_manifest
from datalayer.schema.backups import BackupEntry, is_sound, list_backups

__all__ = ["Keep", "PruneResult", "choose_kept", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much stays: the newest `last` backups, the newest one of `daily` days and of `weekly` weeks.

    Days and weeks (Monday to Sunday) are those of UTC that have a backup. A backup stays if any rule keeps
    it.
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0

    @property
    def says_nothing(self) -> bool:
        """Whether no rule keeps anything."""
        return not (self.last or self.daily or self.weekly)


@dataclass(frozen=True, slots=True)
class PruneResult:
    """`kept` maps each backup that stays to the rules that keep it; `removed` are gone, with a dry run none.

    `to_remove` are those that no rule keeps; `freed_bytes` is their size.
    """

    kept: dict[Path, tuple[str, ...]]
    to_remove: tuple[Path, ...]
    removed: tuple[Path, ...]
    freed_bytes: int


def prune(origin: Origin, keep: Keep, folder: Path | None = None, *, dry_run: bool = False) -> PruneResult:
    """Remove the backups of a database that no rule keeps, from one folder, with their manifests.

    Cost: the newest backup is read once, to see that it is sound; if it is not, the one before it, and so
    on. Raises DataLayerError where `keep` says nothing, DatabaseUnavailable.
    """
    if keep.says_nothing:
        raise DataLayerError(
            "no rule says which backups to keep",
            hint="give --keep, --keep-daily or --keep-weekly",
        )
    entries = [entry for entry in list_backups(origin, folder) if entry.is_certain]
    kept = choose_kept([(entry.path, entry.created_at) for entry in entries], keep)
    sound = next((entry for entry in entries if is_sound(entry)), None)
    if sound is not None:
        kept[sound.path] = (*kept.get(sound.path, ()), "newest sound one")
    # without a sound one, what there is may be all that is left of the data
    doomed = [entry for entry in entries if entry.path not in kept] if sound else []
    if not dry_run:
        _remove(doomed, origin, folder or origin.folder)
    paths = tuple(entry.path for entry in doomed)
    size = sum(entry.size_bytes for entry in doomed)
    return PruneResult(kept, paths, () if dry_run else paths, size)


def choose_kept(backups: Sequence[tuple[Path, datetime]], keep: Keep) -> dict[Path, tuple[str, ...]]:
    """Choose, among backups with their times, newest first, those that the rules keep, with their names."""
    kept: dict[Path, tuple[str, ...]] = {}
    rules: tuple[tuple[str, int, Callable[[datetime], object]], ...] = (
        ("last", keep.last, lambda moment: object()),
        ("daily", keep.daily, lambda moment: moment.date()),
        ("weekly", keep.weekly, lambda moment: moment.isocalendar()[:2]),
    )
    for name, count, period_of in rules:
        periods: set[object] = set()
        for path, moment in backups:
            period = period_of(moment.astimezone(UTC))
            if period not in periods and len(periods) < count:
                periods.add(period)
                kept[path] = (*kept.get(path, ()), name)
    return kept


def _remove(doomed: list[BackupEntry], origin: Origin, folder: Path | None) -> None:
    if folder is None or not folder.is_dir():
        return
    with disk_errors(folder, "remove backups of"):
        for entry in doomed:
            # the manifest goes last: alone it is known to be ours
            entry.path.unlink(missing_ok=True)
            manifest_path(entry.path).unlink(missing_ok=True)
        for path in _orphans(origin, folder):
            path.unlink(missing_ok=True)
        remove_leftovers(folder)
        sync_folder(folder)


def _orphans(origin: Origin, folder: Path) -> Iterator[Path]:
    """Give the manifests of backups of this database that are gone."""
    for path in folder.glob("*.json"):
        backup = path.with_suffix("")
        manifest = None if backup.exists() else read_manifest(backup)
        if manifest is not None and (manifest.source, manifest.place) == (origin.source, origin.place):
            yield path
