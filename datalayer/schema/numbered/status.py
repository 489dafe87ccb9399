"""Each migration of a folder and of a database: applied, pending, changed, stopped or missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from datalayer.engine.connection import Engine
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.numbered.journal import JournalRow
from datalayer.schema.numbered.moment import applied_times
from datalayer.schema.numbered.pending import Finding, pending

__all__ = ["MigrationStatus", "Status", "status"]


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration: its file, where there is one, and its row in the journal, where there is one.

    `state` is changed for an applied file that does something else now, stopped for one of which a failed or
    killed run has applied a part, missing for an applied one without file.
    """

    name: str
    state: Literal["applied", "pending", "changed", "stopped", "missing"]
    file: MigrationFile | None
    row: JournalRow | None
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """All migrations in the folder's order, those without a file behind them; and what is wrong."""

    migrations: tuple[MigrationStatus, ...]
    findings: tuple[Finding, ...]


def status(engine: Engine, folder: Folder) -> Status:
    """Compare a database's history with a folder. Reads only.

    Raises MigrationRefused for a folder that cannot be read, and for two files of one name.
    """
    with engine.transaction(read=True):
        found = pending(engine, folder)
        times = applied_times(engine) if found.applied else {}
    changed = {one["file"] for one in found.findings if (one["id"], one["severity"]) == ("J001", "error")}
    files = folder.files()
    applied = set(found.applied)
    migrations: list[MigrationStatus] = []
    for file in files:
        row = found.journal.get(file.name)
        if file.name not in applied:
            is_stopped = row is not None and row.state != "applied" and bool(row.statements_done)
            migrations.append(
                MigrationStatus(file.name, "stopped" if is_stopped else "pending", file, row, None)
            )
            continue
        state = "changed" if str(file.source) in changed else "applied"
        migrations.append(MigrationStatus(file.name, state, file, row, times.get(file.name)))
    there = {file.name for file in files}
    for name in found.applied:
        if name not in there:
            row = found.journal.get(name)
            migrations.append(MigrationStatus(name, "missing", None, row, times.get(name)))
    return Status(tuple(migrations), found.findings)
