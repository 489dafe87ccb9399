"""A migration of a SQLite database: created whole, by its files, by what differs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from time import monotonic, sleep
from typing import TypeVar

from datalayer.errors import DatabaseBusy, DataLayerError, MigrationRefused
from datalayer.schema import history
from datalayer.schema.backup import backup
from datalayer.schema.change.losses import destroys
from datalayer.schema.change.meter import interruptible
from datalayer.schema.change.migrate import Wanted, looking, perform, plan_change, unguarded
from datalayer.schema.change.planning import Plan
from datalayer.schema.change.telling import foresee, steps_of
from datalayer.schema.creation import (
    create_on_sqlite,
    without_references,
)
from datalayer.schema.difference import differences
from datalayer.schema.migration import (
    BY_DIFFERENCES,
    MigrationCall,
    MigrationResult,
    creation_steps,
    merged,
    objects_made,
)
from datalayer.schema.plan import Step
from datalayer.schema.snapshot import read

__all__ = ["SqliteMigration"]

T = TypeVar("T")


class SqliteMigration:
    """A migration of a SQLite database."""

    def __init__(self, call: MigrationCall) -> None:
        self.call = call
        self.engine = call.engine
        self.target = call.target
        self.wanted: Wanted | None = None
        if call.target.whole is not None:
            whole = call.target.whole
            self.wanted = Wanted(whole.schema, whole.order, whole.header, call.target.is_whole)

    def run(self, *, plan: bool) -> MigrationResult:
        """Do it, or with `plan` tell what would be done; see `migrator.migrate`."""
        target, folder = self.target, self.target.folder
        is_fresh = self._waited(self._look)
        if is_fresh and target.to is None and (folder is None or target.has_consolidated):
            result = self._create(plan=plan)
            if result is not None:
                return result
        if folder is None:
            return self._change(plan=plan)
        taken = MigrationResult()
        if not is_fresh and not self._waited(lambda: history.applied_names(self.engine)):
            # a plan records nothing, so it tells what differs from the whole schema instead
            taken = None if plan else self.call.take_over(folder, self._locked)
            if taken is None:
                return self._change(plan=plan)
        done = merged(taken, self.call.plan_numbered(folder) if plan else self.call.run_numbered(folder))
        if target.to is not None or self.wanted is None or (plan and done.steps):
            return done
        return merged(done, self._change(plan=plan))

    def _look(self) -> bool:
        """Say whether the database is fresh; another program's is refused."""
        with self.engine.transaction(read=True):
            is_fresh = self._is_fresh()
            if not is_fresh and self.target.is_own:
                self.call.refuse_if_foreign(differences(self.target.schema, read(self._connection)))
            return is_fresh

    def _is_fresh(self) -> bool:
        """Whether nothing of a user stands in the file."""
        found = self.engine.fetch_one(
            "SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
        return found is None

    # -- a fresh database --------------------------------------------------------------------------

    def _create(self, *, plan: bool) -> MigrationResult | None:
        """Make the whole schema; None where another process has done so meanwhile."""
        assert self.target.whole is not None
        steps = creation_steps(self.target.whole.script)
        if not steps and not self.target.names:
            return MigrationResult()
        if not plan and not self._locked(self._create_if_fresh):
            return None
        return MigrationResult(
            self.target.names, objects_made(steps), steps, nothing_to_do=False, findings=self.call.noticed()
        )

    def _create_if_fresh(self) -> bool:
        if not self._is_fresh():
            return False
        create_on_sqlite(self.engine, self.target)
        return True

    # -- what differs ------------------------------------------------------------------------------

    def _change(self, *, plan: bool) -> MigrationResult:
        """Bring an existing database to the whole schema."""
        wanted = self.wanted
        if wanted is None:
            raise self.target.unknown or MigrationRefused(f"{self.target.source} tells no schema")
        planned, steps, missing = self._waited(lambda: self._foretell(wanted, plan=plan))
        if plan or (planned.is_empty and not missing):
            result = MigrationResult(missing, _made_by(planned), steps)
            return replace(result, nothing_to_do=planned.is_empty and not missing)
        return self._locked(self._change_now, unguard=True)

    def _foretell(self, wanted: Wanted, *, plan: bool) -> tuple[Plan, tuple[Step, ...], tuple[str, ...]]:
        """Give the plan, its steps and the names to record, from one snapshot."""
        with looking(self.engine), self.engine.transaction(read=True):
            planned = self._plan(wanted)
            steps = steps_of(self._connection, planned, measured=plan)
            if plan:
                foresee(self._connection, planned, self.call.consent)
            return planned, steps, self.call.unrecorded()

    def _change_now(self) -> MigrationResult:
        """Plan once more, now that nobody else writes, and do it."""
        wanted, consent = self.wanted, self.call.consent
        assert wanted is not None
        with interruptible(self._connection):
            planned = self._plan(wanted)
            steps, missing = steps_of(self._connection, planned, measured=False), self.call.unrecorded()
        kept = None
        if destroys(self._connection, planned, consent) and not consent.skip_backup and self.engine.path:
            kept = backup(self.engine).path
        if not planned.is_empty:
            perform(self._connection, planned, consent, wanted, self.call.progress)
        if missing and self.target.folder is not None:
            self.call.record(self.target.folder, missing, origin=BY_DIFFERENCES)
        is_done = planned.is_empty and not missing
        return MigrationResult(missing, _made_by(planned), steps, nothing_to_do=is_done, backup=kept)

    def _plan(self, wanted: Wanted) -> Plan:
        try:
            return plan_change(self._connection, wanted, self.call.consent)
        except sqlite3.Error as exc:
            raise self.engine.translate(exc) from exc

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self.engine.connection()
        return connection

    def _locked(self, act: Callable[[], T], *, unguard: bool = False) -> T:
        """Act in a write transaction, waiting for the lock until the deadline."""

        def attempt() -> T:
            guard = unguarded(self.engine) if unguard else without_references(self.engine)
            with guard, self.engine.transaction():
                return act()

        return self._waited(attempt)

    def _waited(self, act: Callable[[], T]) -> T:
        """Act, and again while others lock the database, until the deadline; errors come as ours."""
        while True:
            try:
                return self._translated(act)
            except DatabaseBusy:
                if monotonic() >= self.call.deadline:
                    raise
                sleep(0.05)

    def _translated(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except sqlite3.Error as exc:
            raise self._failure(exc) from exc

    def _failure(self, exc: sqlite3.Error) -> DataLayerError:
        """Say what SQLite refused; everything has been rolled back."""
        if isinstance(exc, (sqlite3.IntegrityError, sqlite3.ProgrammingError)) or str(exc).startswith(
            "no such"
        ):
            return MigrationRefused(
                f"{self.engine.display_url} refused the migration; nothing was changed",
                why=str(exc),
                hint="correct the rows or the schema",
            )
        return self.engine.translate(exc)


def _made_by(planned: Plan) -> tuple[str, ...]:
    return (
        *(f"table {table.name}" for table in planned.pairing.created),
        *(f"index {index.name}" for index in planned.created_indexes),
        *(f"view {view.name}" for view in planned.created_views),
        *(f"trigger {trigger.name}" for trigger in planned.created_triggers),
    )
