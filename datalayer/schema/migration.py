"""One migration: what it works on and was told, the parts that both engines share, and what it did.

Knows the numbered files, the record of them and what a shape tells; not how a schema is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.adopt.advice import about_shape
from datalayer.schema.adopt.shape import by_shape
from datalayer.schema.change.consent import Consent
from datalayer.schema.creation import bring_rows
from datalayer.schema.difference import Difference
from datalayer.schema.loading import runnable
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.pending import pending
from datalayer.schema.numbered.run import run
from datalayer.schema.numbered.work import Work
from datalayer.schema.pgchange.by_file import run_by_file
from datalayer.schema.plan import Step, object_of, step_of
from datalayer.schema.target import Target
from datalayer.schema.tokens import fold, split

__all__ = [
    "BY_DIFFERENCES",
    "MigrationCall",
    "MigrationResult",
    "Progress",
    "creation_steps",
    "merged",
    "objects_made",
]

Progress = Callable[[int, int], object]
# the origin of what a comparison of schemas has brought
BY_DIFFERENCES = "differences"


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What a migration did, or with `plan=True` would do.

    `applied` are the names recorded, `created` the objects made as "kind name", `steps` what is done in
    order, `backup` the copy made before, `findings` what was noticed about numbered files and their record.
    """

    applied: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    seconds: float = 0.0
    nothing_to_do: bool = True
    backup: Path | None = None
    findings: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationCall:
    """One migration: what it works on, what was said, until when it waits."""

    engine: Engine
    target: Target
    consent: Consent
    deadline: float
    progress: Progress | None
    store_of: Callable[[Engine], object] | None

    @property
    def left_s(self) -> float:
        """The seconds until it no longer waits for a lock."""
        return max(0.0, self.deadline - monotonic())

    def run_numbered(self, folder: Folder) -> MigrationResult:
        """Run the files that the database has not had."""
        done = run(
            self.engine,
            folder,
            to=self.target.to,
            lock_timeout_s=self.left_s,
            backup=not self.consent.skip_backup,
            progress=self.progress,
            store_of=self.store_of,
        )
        return _of_files(done.applied, done.backup, done.findings)

    def plan_numbered(self, folder: Folder) -> MigrationResult:
        """Tell the files that a run would apply, each with its first statement."""
        found = pending(self.engine, folder, to=self.target.to)
        steps = tuple(Step("migration", file.name, file.part_to_run().strip()) for file in found.files)
        return MigrationResult((), (), steps, nothing_to_do=not steps, findings=tuple(found.findings))

    def run_by_file(self, folder: Folder) -> MigrationResult:
        """Run the files that a PostgreSQL database has not had, which are in SQLite's words."""
        work = Work(
            self.engine,
            folder,
            to=self.target.to,
            takes_backup=not self.consent.skip_backup,
            progress=self.progress,
            store_of=self.store_of,
            words="sqlite",
        )
        run_by_file(work, self.consent, self.deadline)
        return _of_files(work.applied, work.backup_path, work.findings)

    def noticed(self) -> tuple[dict[str, object], ...]:
        """Give what is wrong with the folder's files, of an app's own."""
        folder = self.target.folder
        if folder is None or self.target.is_own:
            return ()
        return tuple(pending(self.engine, folder).findings)

    def unrecorded(self) -> tuple[str, ...]:
        """Give the names of the whole schema that the database does not know of."""
        applied = set(history.applied_names(self.engine))
        return tuple(name for name in self.target.names if name not in applied)

    def record(self, folder: Folder, names: Sequence[str], *, origin: str | None = None) -> None:
        """Record files as applied and journal them, within the caller's transaction.

        `origin` says how their effect came, where it was not there before; their rows come with it.
        """
        journal.ensure(self.engine)
        journal.import_names(self.engine, folder)
        history.record(self.engine, names)
        if origin is None:
            journal.import_names(self.engine, folder)
        else:
            journal.baseline(self.engine, folder, origin=origin)
            bring_rows(self.engine, self.target, names)

    def take_over(
        self, folder: Folder, locked: Callable[[Callable[[], None]], None]
    ) -> MigrationResult | None:
        """Record the files whose result has the shape of a database without a record; None where none fit."""
        match = by_shape(self.engine, folder)
        if not match.exact or not match.names:
            return None

        def record() -> None:
            if not history.applied_names(self.engine):
                self.record(folder, match.names)

        locked(record)
        return MigrationResult(match.names, nothing_to_do=False, findings=tuple(about_shape(match)))

    def refuse_if_foreign(self, found: Sequence[Difference]) -> None:
        """Refuse the package's own schema in a database that has none of its tables, but others."""
        tables = (table for table in self.target.schema.tables if table.kind == "table")
        ours = {fold(table.name) for table in tables} - set(JOURNAL_TABLES)
        missing = {fold(d.name) for d in found if d.kind == "table" and d.change == "missing"}
        if not (self.target.is_own and ours <= missing):
            return
        others = [one.name for one in found if one.change == "extra" and one.kind == "table"]
        raise MigrationRefused(
            f"{self.engine.display_url} belongs to another program: it has none of the tables of"
            f" {self.target.source}",
            why=f"its tables are {', '.join(others[:8])}" if others else None,
            hint="point the program at another database, or use a new one",
        )


def _of_files(
    applied: Sequence[str], backup: Path | None, findings: Sequence[dict[str, object]]
) -> MigrationResult:
    """Give what a run of numbered files did."""
    steps = tuple(Step("migration", name, name) for name in applied)
    return MigrationResult(
        tuple(applied), (), steps, nothing_to_do=not applied, backup=backup, findings=tuple(findings)
    )


def merged(first: MigrationResult, second: MigrationResult) -> MigrationResult:
    """Give what two parts of one migration did."""
    return MigrationResult(
        (*first.applied, *second.applied),
        (*first.created, *second.created),
        (*first.steps, *second.steps),
        nothing_to_do=first.nothing_to_do and second.nothing_to_do,
        backup=first.backup or second.backup,
        findings=(*first.findings, *second.findings),
    )


@lru_cache(maxsize=4)
def creation_steps(script: str) -> tuple[Step, ...]:
    """Give the steps that make a whole schema."""
    return tuple(step_of(statement) for statement in runnable(script))


@lru_cache(maxsize=4)
def objects_made(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Give the objects that steps make; several of one table may share a step."""
    return tuple(" ".join(made) for step in steps for made in _made_by_step(step))


def _made_by_step(step: Step) -> Iterator[tuple[str, str]]:
    if step.kind == "index" and step.sql.startswith("CREATE"):
        # built under another name first, where the table has rows
        yield "index", step.name
    elif step.kind not in ("function", "index"):
        yield from (made for statement in split(step.sql) if (made := object_of(statement)) is not None)
