"""A migration of a PostgreSQL database: created whole, by its files, by what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from datalayer.errors import MigrationRefused
from datalayer.schema import catalog, history
from datalayer.schema.backup import backup
from datalayer.schema.creation import (
    create_on_postgres,
    lock_schema,
)
from datalayer.schema.migration import BY_DIFFERENCES, MigrationCall, MigrationResult, merged, objects_made
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.pending import pending, refuse_edited
from datalayer.schema.pgchange.by_file import does_more_than_declare
from datalayer.schema.pgchange.following import is_followed
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.schema.plan import Step
from datalayer.schema.postgres import Derived, derive, object_lines
from datalayer.schema.postgres_route import goes_by_file

__all__ = ["PostgresMigration"]

T = TypeVar("T")


class PostgresMigration:
    """A migration of a PostgreSQL database.

    A folder in SQLite's words is derived for PostgreSQL as a whole, or file by file where files do more than
    declare; one in PostgreSQL's own is run as it is.
    """

    def __init__(self, call: MigrationCall) -> None:
        self.call = call
        self.engine = call.engine
        self.target = call.target
        self.derived: Derived | None = None
        self.refused: MigrationRefused | None = call.target.unknown
        if call.target.whole is not None:
            lines = object_lines(call.target.whole.script)
            try:
                self.derived = derive(call.target.schema, lines=lines, source=call.target.source)
            except MigrationRefused as exc:
                self.refused = exc

    def run(self, *, plan: bool) -> MigrationResult:
        """Do it, or with `plan` tell what would be done; see `migrator.migrate`."""
        folder = self.target.folder
        if folder is not None and self._is_native(folder):
            return self._run_native(folder, plan=plan)
        if folder is not None and (self.derived is None or self.target.to is not None):
            return self.call.plan_numbered(folder) if plan else self.call.run_by_file(folder)
        if self.derived is None:
            raise self.refused or MigrationRefused(f"{self.target.source} tells no schema")
        with self.engine.transaction(read=True):
            found = catalog.read(self.engine)
            missing = self.call.unrecorded()
            if not found.is_empty and self.target.is_own:
                self.call.refuse_if_foreign(catalog.compare(self.target.schema, self.derived, found))
        if found.is_empty:
            if plan or self._locked(self._create_if_fresh):
                steps = self.derived.steps
                return MigrationResult(
                    self.target.names,
                    objects_made(steps),
                    steps,
                    nothing_to_do=False,
                    findings=self.call.noticed(),
                )
            missing = self.call.unrecorded()
        done = MigrationResult() if folder is None else self._run_numbered(folder, plan=plan)
        if plan and done.steps:
            return done
        if done.applied:
            missing = self.call.unrecorded()
        kept = None if plan else self._back_up(self.derived)
        steps = self._change(self.derived, plan=plan)
        if missing and not plan:
            self._locked(self._record)
        changed = MigrationResult(
            missing, objects_made(steps), steps, nothing_to_do=not steps and not missing, backup=kept
        )
        return merged(done, changed)

    def _is_native(self, folder: Folder) -> bool:
        """Say whether a folder's files are run as they are written."""
        if self.target.is_own:
            return False
        return goes_by_file(self.engine, folder) or (self.derived is None and not is_followed(folder))

    def _run_numbered(self, folder: Folder, *, plan: bool) -> MigrationResult:
        """Run the files of a database with a record, where they do more than declare a schema."""
        if not history.applied_names(self.engine):
            return MigrationResult()
        found = pending(self.engine, folder)
        refuse_edited(self.engine, found)
        if not does_more_than_declare(found.files) and (plan or not found.without_journal):
            return MigrationResult(findings=found.findings)
        return self.call.plan_numbered(folder) if plan else self.call.run_by_file(folder)

    def _back_up(self, derived: Derived) -> Path | None:
        """Keep a verified copy where values may go because somebody said so."""
        consent = self.call.consent
        may_lose = consent.allow_data_loss or consent.drop_columns or consent.drop_tables
        if consent.skip_backup or not may_lose:
            return None
        # a column that is replaced for its type is dropped too, once its values are in the new one
        drops = any(
            word in step.sql
            for step in self._change(derived, plan=True)
            for word in ("DROP TABLE", "DROP COLUMN")
        )
        return backup(self.engine).path if drops else None

    def _run_native(self, folder: Folder, *, plan: bool) -> MigrationResult:
        """Run a folder of PostgreSQL's own SQL, file by file."""
        if plan:
            return self.call.plan_numbered(folder)
        taken = MigrationResult()
        if not catalog.read(self.engine).is_empty and not history.applied_names(self.engine):
            taken = self.call.take_over(folder, self._locked) or taken
        return merged(taken, self.call.run_numbered(folder))

    def _change(self, derived: Derived, *, plan: bool) -> tuple[Step, ...]:
        """Bring what existed to the wanted schema."""
        return migrate_existing(
            self.engine,
            derived,
            consent=self.call.consent,
            plan=plan,
            exact=self.target.is_whole,
            lock_timeout_s=self.call.left_s,
            progress=self.call.progress,
        )

    def _create_if_fresh(self) -> bool:
        if not catalog.read(self.engine).is_empty or self.derived is None:
            return False
        create_on_postgres(self.engine, self.target, self.derived)
        return True

    def _record(self) -> None:
        """Record what the whole schema contains, the names that are missing now."""
        missing = self.call.unrecorded()
        if missing and self.target.folder is not None:
            self.call.record(self.target.folder, missing, origin=BY_DIFFERENCES)

    def _locked(self, act: Callable[[], T]) -> T:
        """Act in a transaction under the advisory lock, waiting for it until the deadline."""
        # READ COMMITTED: what the winner committed must be seen after the wait
        with self.engine.transaction(isolation="READ COMMITTED"):
            lock_schema(self.engine, self.call.deadline)
            return act()
