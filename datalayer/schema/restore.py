"""A database made again from a backup: verified first, what it replaces kept, whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from datalayer.engine.address import Address
from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseUnavailable, MigrationRefused
from datalayer.schema.backup_check import Examined, examine, kind_of
from datalayer.schema.backup_file import disk_errors, remove_leftovers
from datalayer.schema.backup_manifest import Kind, Origin
from datalayer.schema.pace import Pace, Progress
from datalayer.schema.restore_postgres import restore_postgres
from datalayer.schema.restore_sqlite import refuse_itself, restore_sqlite, rows_of_file

__all__ = ["RestoreResult", "present_rows", "restore"]


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """A finished restore of `backup`.

    `replaced` is where what was there before is kept, None where nothing was there: a backup, or with
    `replaced_is_damaged` a folder with the files as they were, byte for byte. `broken_references` counts
    rows of the backup that break a foreign key.
    """

    backup: Path
    kind: Kind
    rows: dict[str, int]
    schema_version: str
    replaced: Path | None
    replaced_is_damaged: bool
    broken_references: int
    seconds: float


def restore(
    target: str | os.PathLike[str],
    backup: Path,
    *,
    progress: Progress | None = None,
    lock_timeout_s: float = 30.0,
    schema_name: str = "public",
    keeps_owners: bool = True,
) -> RestoreResult:
    """Make the database at `target` what the backup holds.

    The backup is verified first: its digest by the manifest, its pages, its rows. What the database holds is
    backed up at the moment it is replaced, with nobody writing in between. SQLite: one transaction of
    SQLite's own, so processes that have the file open see the old content and then the new, and kill -9 at
    any moment leaves one of them; a file too damaged for that is replaced as a whole, once nobody has it
    open, its own files kept aside byte for byte. PostgreSQL: one transaction, in which the schema is emptied
    and made again, its rows counted before the commit; `keeps_owners=False` leaves out owners and rights.

    `progress` is called with (done, total): pages, on PostgreSQL tables. Cost: the backup is read twice, the
    present database twice, and as much is written.

    Raises DatabaseCorrupt (the backup does not verify), DatabaseBusy (others write for longer than
    `lock_timeout_s`), MigrationRefused (another engine's backup; the server refuses it), DatabaseUnavailable;
    nothing is changed then.
    """
    started = monotonic()
    deadline = started + lock_timeout_s
    address = Address.parse(target)
    _refuse_kind(address, backup)
    pace = Pace(progress)
    if address.path is not None:
        path = Path(os.path.realpath(address.path))
        refuse_itself(path, backup)
        _refuse_folder(path)
        remove_leftovers(path.parent)
        with disk_errors(path, "restore"), examine(backup, path.parent) as found:
            kept = restore_sqlite(path, Origin.of(address), found, deadline, pace)
        return _result(found, kept.path, started, is_damaged=kept.is_damaged)
    options = Options(schema_name=schema_name, application_name="datalayer restore")
    with examine(backup) as found:
        engine = open_engine(target, options)
        try:
            replaced = restore_postgres(engine, found, deadline, pace, keeps_owners=keeps_owners)
        finally:
            engine.close()
    return _result(found, replaced, started)


def present_rows(target: str | os.PathLike[str], *, schema_name: str = "public") -> int | None:
    """Count the rows that a restore would replace, without changing anything; None where nobody can tell."""
    address = Address.parse(target)
    if address.path is not None:
        return rows_of_file(Path(os.path.realpath(address.path)))
    if address.secret_url is None:
        return 0
    engine = open_engine(target, Options(schema_name=schema_name, read_only=True))
    try:
        names = [str(row[0]) for row in engine.fetch_all(engine.dialect.tables_sql)]
        counts: list[Any] = [
            engine.fetch_one(f"SELECT count(*) FROM {engine.dialect.quote(name)}") for name in names
        ]
        return sum(int(row[0]) for row in counts)
    finally:
        engine.close()


def _result(
    found: Examined, replaced: Path | None, started: float, *, is_damaged: bool = False
) -> RestoreResult:
    return RestoreResult(
        found.path,
        found.kind,
        found.rows,
        found.schema_version,
        replaced,
        is_damaged,
        found.broken_references,
        monotonic() - started,
    )


def _refuse_kind(address: Address, backup: Path) -> None:
    """Refuse a backup that is of the other engine."""
    if address.path is None and address.secret_url is None:
        raise DatabaseUnavailable(
            "a database in memory cannot be restored", hint="name a file, and open that"
        )
    kind, _ = kind_of(backup)
    if (kind == "sqlite") != (address.path is not None):
        other = "SQLite" if kind == "sqlite" else "PostgreSQL"
        raise MigrationRefused(
            f"{backup} is of {other} and cannot be restored into {address.display}",
            why="each engine reads its own backups only",
            hint="restore it into a database of its own kind",
        )


def _refuse_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise DatabaseUnavailable(
            f"cannot restore {path}", why=f"the folder {path.parent} does not exist", hint="make it first"
        )
    if path.is_dir():
        raise DatabaseUnavailable(
            f"cannot restore {path}", why="it is a folder", hint="give the path of a file in it"
        )
