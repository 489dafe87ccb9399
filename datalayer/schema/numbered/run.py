"""The run: bring a database to the end of a folder, once, whoever else tries at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.pending import Finding
from datalayer.schema.numbered.postgres_run import run_on_postgres
from datalayer.schema.numbered.python_file import StoreOf
from datalayer.schema.numbered.sqlite_run import run_on_sqlite
from datalayer.schema.numbered.work import Work
from datalayer.schema.pace import Progress

__all__ = ["RunResult", "run"]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did: names in order of application, what was noticed, the backup taken before."""

    applied: tuple[str, ...]
    findings: tuple[Finding, ...]
    backup: Path | None
    seconds: float


def run(
    engine: Engine,
    folder: Folder,
    *,
    to: str | None = None,
    lock_timeout_s: float = 60.0,
    backup: bool = True,
    progress: Progress | None = None,
    store_of: StoreOf | None = None,
) -> RunResult:
    """Apply the files of a folder that the database has not had, up to and including `to`.

    Lock, one verified backup where there are rows to lose, then the files in order, each with its row in the
    journal in the transaction of its own statements. `progress` is called with (done, total) statements;
    `store_of` makes what a Python file's `up` is called with. On PostgreSQL the backup goes to `backups` in
    the platform's data folder.

    SQLite: one transaction, so everything or nothing, with foreign keys off and every reference proved at the
    end; where nothing is kept, the backup is not either, unless a file is Python. PostgreSQL: one transaction
    a file, tried again while locks do not come; a file with a statement that runs outside transactions only
    goes statement by statement, and after a failure the next run continues at the one that failed; the backup
    stays then, as what came before it is committed. A second run at the same time waits up to
    `lock_timeout_s` and finds nothing to do.

    Raises MigrationRefused (an applied file was changed, a statement failed, a reference would break), with
    the file and line; DatabaseBusy (the lock did not come); DatabaseUnavailable (the backup cannot be
    written).

        run(engine, Folder(Path("migrations")), backup=False).applied    # ('0002_job_notes',)
    """
    started = monotonic()
    if engine.in_transaction:
        raise MigrationRefused(
            "a migration cannot run inside a transaction", hint="leave the transaction() block, then migrate"
        )
    work = Work(engine, folder, to=to, takes_backup=backup, progress=progress, store_of=store_of)
    with engine.transaction(read=True):
        found = work.look()
    if found.is_nothing_to_do:
        return RunResult((), found.findings, None, monotonic() - started)
    if engine.dialect.name == "sqlite":
        run_on_sqlite(work, started + lock_timeout_s)
    else:
        run_on_postgres(work, started + lock_timeout_s, lock_timeout_s)
    return RunResult(tuple(work.applied), tuple(work.findings), work.backup_path, monotonic() - started)
