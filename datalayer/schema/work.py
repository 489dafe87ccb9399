"""What a store does to a whole database, loaded when it is first done: to open one needs none of it.

Migrations, checks, repairs and backups are two thirds of the package's modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datalayer.schema.backup import BackupResult, backup
    from datalayer.schema.check.checking import check, check_file
    from datalayer.schema.history import applied_names, package_folder
    from datalayer.schema.migrator import MigrationResult, migrate
    from datalayer.schema.repair.repairing import repair
    from datalayer.schema.target import own_target, target_of
    from datalayer.schema.violation import complete

__all__ = [
    "BackupResult",
    "MigrationResult",
    "applied_names",
    "backup",
    "check",
    "check_file",
    "complete",
    "migrate",
    "own_target",
    "package_folder",
    "repair",
    "target_of",
]

_PLACES = {
    "backup": ("BackupResult", "backup"),
    "check.checking": ("check", "check_file"),
    "history": ("applied_names", "package_folder"),
    "migrator": ("MigrationResult", "migrate"),
    "repair.repairing": ("repair",),
    "target": ("own_target", "target_of"),
    "violation": ("complete",),
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"datalayer.schema.{home}"), name)
    globals()[name] = value
    return value
