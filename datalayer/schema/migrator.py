"""Bring a database to a schema, whole or not at all, and say when there is nothing to do.

A fresh one gets the whole schema; an existing one its pending migrations; one of unknown history is taken
over by its shape, or brought there by what differs. Knows the engine's transactions and the modules beside
it; never models.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseBusy, DataLayerError, MigrationRefused
from datalayer.schema import catalog, history
from datalayer.schema.adopt.advice import about_shape
from datalayer.schema.adopt.shape import by_shape
from datalayer.schema.backup import backup
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.losses import destroys
from datalayer.schema.change.meter import interruptible
from datalayer.schema.change.migrate import Wanted, looking, perform, plan_change, unguarded
from datalayer.schema.change.planning import Plan
from datalayer.schema.change.telling import foresee, steps_of
from datalayer.schema.creation import (
    bring_rows,
    create_on_postgres,
    create_on_sqlite,
    lock_schema,
    without_references,
)
from datalayer.schema.difference import Difference, differences
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.pending import pending, refuse_edited
from datalayer.schema.numbered.run import run
from datalayer.schema.numbered.work import Work
from datalayer.schema.pgchange.by_file import does_more_than_declare, run_by_file
from datalayer.schema.pgchange.following import is_followed
from datalayer.schema.pgchange.migrate import migrate_existing
from datalayer.schema.plan import Step, object_of, step_of
from datalayer.schema.postgres import Derived, derive, object_lines
from datalayer.schema.postgres_route import goes_by_file
from datalayer.schema.snapshot import read, runnable
from datalayer.schema.target import Target, target_of
from datalayer.schema.tokens import fold, split

__all__ = ["MigrationResult", "migrate"]

T = TypeVar("T")
Progress = Callable[[int, int], object]
_NOTHING_SAID = Consent()
# the origin of what a comparison of schemas has brought
_BY_DIFFERENCES = "differences"


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


def migrate(
    engine: Engine,
    target: Target | None = None,
    *,
    plan: bool = False,
    consent: Consent = _NOTHING_SAID,
    lock_timeout_s: float = 60.0,
    progress: Progress | None = None,
    store_of: Callable[[Engine], object] | None = None,
) -> MigrationResult:
    """Bring the database to `target` (see `target_of`), by default the package's own schema.

    A fresh database gets the whole schema in one transaction, with every migration recorded. An existing one
    gets the files of the folder that it has not had, by name, then what still differs from the whole schema.
    Without any record its shape tells which files it has had; a shape that fits none of them, and a schema
    file, are reached by what differs: the cheapest safe way for each table (see docs/migrations.md). Tables
    that a folder does not speak of stay; those that a schema file lacks go, if empty or allowed by `consent`.
    `plan=True` changes nothing and tells the steps. `progress` is called with (done, total) rows or
    statements; `store_of` makes what a Python migration is called with.

    Atomic: a process killed at any moment leaves the old or the new schema (PostgreSQL: for what existed,
    steps from which the next run goes on). Two at once: the second waits up to `lock_timeout_s` and then
    finds nothing to do. Reads first, so a current database is never locked for writing. A verified backup
    comes before numbered files run, and before anything is dropped, unless `consent.skip_backup`.

    Raises MigrationRefused, with nothing changed: rows would be lost or break a new rule (`findings` names
    them), a script or construct is refused, the database belongs to another program. DatabaseBusy when the
    lock does not come.

        migrate(engine).applied      # ('0001_foundation',)
    """
    started = monotonic()
    if engine.in_transaction:
        raise MigrationRefused(
            "a migration cannot run inside a transaction", hint="leave the transaction() block, then migrate"
        )
    target = target or target_of()
    if target.folder is not None:
        history.refuse_foreign(engine)
    call = _Call(engine, target, consent, started + lock_timeout_s, progress, store_of)
    kind = _Sqlite if engine.dialect.name == "sqlite" else _Postgres
    return replace(kind(call).run(plan=plan), seconds=monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Call:
    """One migration: what it works on, what was said, until when it waits."""

    engine: Engine
    target: Target
    consent: Consent
    deadline: float
    progress: Progress | None
    store_of: Callable[[Engine], object] | None

    @property
    def left_s(self) -> float:
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
        steps = tuple(Step("migration", name, name) for name in done.applied)
        return MigrationResult(
            done.applied,
            (),
            steps,
            nothing_to_do=not done.applied,
            backup=done.backup,
            findings=tuple(done.findings),
        )

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
        steps = tuple(Step("migration", name, name) for name in work.applied)
        return MigrationResult(
            tuple(work.applied),
            (),
            steps,
            nothing_to_do=not work.applied,
            backup=work.backup_path,
            findings=tuple(work.findings),
        )

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


def _merged(first: MigrationResult, second: MigrationResult) -> MigrationResult:
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
def _creation(script: str) -> tuple[Step, ...]:
    """Give the steps that make a whole schema."""
    return tuple(step_of(statement) for statement in runnable(script))


@lru_cache(maxsize=4)
def _made(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Give the objects that steps make; several of one table may share a step."""
    return tuple(" ".join(made) for step in steps for made in _made_by_step(step))


def _made_by_step(step: Step) -> Iterator[tuple[str, str]]:
    if step.kind == "index" and step.sql.startswith("CREATE"):
        # built under another name first, where the table has rows
        yield "index", step.name
    elif step.kind not in ("function", "index"):
        yield from (made for statement in split(step.sql) if (made := object_of(statement)) is not None)


class _Sqlite:
    """A migration of a SQLite database."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.engine = call.engine
        self.target = call.target
        self.wanted: Wanted | None = None
        if call.target.whole is not None:
            whole = call.target.whole
            self.wanted = Wanted(whole.schema, whole.order, whole.header, call.target.is_whole)

    def run(self, *, plan: bool) -> MigrationResult:
        target, folder = self.target, self.target.folder
        is_fresh = self.waited(self.look)
        if is_fresh and target.to is None and (folder is None or target.has_consolidated):
            result = self.create(plan=plan)
            if result is not None:
                return result
        if folder is None:
            return self.change(plan=plan)
        taken = MigrationResult()
        if not is_fresh and not self.waited(lambda: history.applied_names(self.engine)):
            # a plan records nothing, so it tells what differs from the whole schema instead
            taken = None if plan else self.call.take_over(folder, self.locked)
            if taken is None:
                return self.change(plan=plan)
        done = _merged(taken, self.call.plan_numbered(folder) if plan else self.call.run_numbered(folder))
        if target.to is not None or self.wanted is None or (plan and done.steps):
            return done
        return _merged(done, self.change(plan=plan))

    def look(self) -> bool:
        """Say whether the database is fresh; another program's is refused."""
        with self.engine.transaction(read=True):
            is_fresh = self.is_fresh()
            if not is_fresh and self.target.is_own:
                self.call.refuse_if_foreign(differences(self.target.schema, read(self.connection)))
            return is_fresh

    def is_fresh(self) -> bool:
        """Whether nothing of a user stands in the file."""
        found = self.engine.fetch_one(
            "SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
        return found is None

    # -- a fresh database --------------------------------------------------------------------------

    def create(self, *, plan: bool) -> MigrationResult | None:
        """Make the whole schema; None where another process has done so meanwhile."""
        assert self.target.whole is not None
        steps = _creation(self.target.whole.script)
        if not steps and not self.target.names:
            return MigrationResult()
        if not plan and not self.locked(self.create_if_fresh):
            return None
        return MigrationResult(
            self.target.names, _made(steps), steps, nothing_to_do=False, findings=self.call.noticed()
        )

    def create_if_fresh(self) -> bool:
        if not self.is_fresh():
            return False
        create_on_sqlite(self.engine, self.target)
        return True

    # -- what differs ------------------------------------------------------------------------------

    def change(self, *, plan: bool) -> MigrationResult:
        """Bring an existing database to the whole schema."""
        wanted = self.wanted
        if wanted is None:
            raise self.target.unknown or MigrationRefused(f"{self.target.source} tells no schema")
        planned, steps, missing = self.waited(lambda: self.foretell(wanted, plan=plan))
        if plan or (planned.is_empty and not missing):
            result = MigrationResult(missing, _made_by(planned), steps)
            return replace(result, nothing_to_do=planned.is_empty and not missing)
        return self.locked(self.change_now, unguard=True)

    def foretell(self, wanted: Wanted, *, plan: bool) -> tuple[Plan, tuple[Step, ...], tuple[str, ...]]:
        """Give the plan, its steps and the names to record, from one snapshot."""
        with looking(self.engine), self.engine.transaction(read=True):
            planned = self.plan(wanted)
            steps = steps_of(self.connection, planned, measured=plan)
            if plan:
                foresee(self.connection, planned, self.call.consent)
            return planned, steps, self.call.unrecorded()

    def change_now(self) -> MigrationResult:
        """Plan once more, now that nobody else writes, and do it."""
        wanted, consent = self.wanted, self.call.consent
        assert wanted is not None
        with interruptible(self.connection):
            planned = self.plan(wanted)
            steps, missing = steps_of(self.connection, planned, measured=False), self.call.unrecorded()
        kept = None
        if destroys(self.connection, planned, consent) and not consent.skip_backup and self.engine.path:
            kept = backup(self.engine).path
        if not planned.is_empty:
            perform(self.connection, planned, consent, wanted, self.call.progress)
        if missing and self.target.folder is not None:
            self.call.record(self.target.folder, missing, origin=_BY_DIFFERENCES)
        is_done = planned.is_empty and not missing
        return MigrationResult(missing, _made_by(planned), steps, nothing_to_do=is_done, backup=kept)

    def plan(self, wanted: Wanted) -> Plan:
        try:
            return plan_change(self.connection, wanted, self.call.consent)
        except sqlite3.Error as exc:
            raise self.engine.translate(exc) from exc

    @property
    def connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self.engine.connection()
        return connection

    def locked(self, act: Callable[[], T], *, unguard: bool = False) -> T:
        """Act in a write transaction, waiting for the lock until the deadline."""

        def attempt() -> T:
            guard = unguarded(self.engine) if unguard else without_references(self.engine)
            with guard, self.engine.transaction():
                return act()

        return self.waited(attempt)

    def waited(self, act: Callable[[], T]) -> T:
        """Act, and again while others lock the database, until the deadline; errors come as ours."""
        while True:
            try:
                return self.translated(act)
            except DatabaseBusy:
                if monotonic() >= self.call.deadline:
                    raise
                sleep(0.05)

    def translated(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except sqlite3.Error as exc:
            raise self.failure(exc) from exc

    def failure(self, exc: sqlite3.Error) -> DataLayerError:
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


class _Postgres:
    """A migration of a PostgreSQL database.

    A folder in SQLite's words is derived for PostgreSQL as a whole, or file by file where files do more than
    declare; one in PostgreSQL's own is run as it is.
    """

    def __init__(self, call: _Call) -> None:
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
        folder = self.target.folder
        if folder is not None and self.is_native(folder):
            return self.run_native(folder, plan=plan)
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
            if plan or self.locked(self.create_if_fresh):
                steps = self.derived.steps
                return MigrationResult(
                    self.target.names, _made(steps), steps, nothing_to_do=False, findings=self.call.noticed()
                )
            missing = self.call.unrecorded()
        done = MigrationResult() if folder is None else self.run_numbered(folder, plan=plan)
        if plan and done.steps:
            return done
        if done.applied:
            missing = self.call.unrecorded()
        kept = None if plan else self.back_up(self.derived)
        steps = self.change(self.derived, plan=plan)
        if missing and not plan:
            self.locked(self.record)
        changed = MigrationResult(
            missing, _made(steps), steps, nothing_to_do=not steps and not missing, backup=kept
        )
        return _merged(done, changed)

    def is_native(self, folder: Folder) -> bool:
        """Say whether a folder's files are run as they are written."""
        if self.target.is_own:
            return False
        return goes_by_file(self.engine, folder) or (self.derived is None and not is_followed(folder))

    def run_numbered(self, folder: Folder, *, plan: bool) -> MigrationResult:
        """Run the files of a database with a record, where they do more than declare a schema."""
        if not history.applied_names(self.engine):
            return MigrationResult()
        found = pending(self.engine, folder)
        refuse_edited(self.engine, found)
        if not does_more_than_declare(found.files) and (plan or not found.without_journal):
            return MigrationResult(findings=found.findings)
        return self.call.plan_numbered(folder) if plan else self.call.run_by_file(folder)

    def back_up(self, derived: Derived) -> Path | None:
        """Keep a verified copy where values may go because somebody said so."""
        consent = self.call.consent
        may_lose = consent.allow_data_loss or consent.drop_columns or consent.drop_tables
        if consent.skip_backup or not may_lose:
            return None
        # a column that is replaced for its type is dropped too, once its values are in the new one
        drops = any(
            word in step.sql
            for step in self.change(derived, plan=True)
            for word in ("DROP TABLE", "DROP COLUMN")
        )
        return backup(self.engine).path if drops else None

    def run_native(self, folder: Folder, *, plan: bool) -> MigrationResult:
        """Run a folder of PostgreSQL's own SQL, file by file."""
        if plan:
            return self.call.plan_numbered(folder)
        taken = MigrationResult()
        if not catalog.read(self.engine).is_empty and not history.applied_names(self.engine):
            taken = self.call.take_over(folder, self.locked) or taken
        return _merged(taken, self.call.run_numbered(folder))

    def change(self, derived: Derived, *, plan: bool) -> tuple[Step, ...]:
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

    def create_if_fresh(self) -> bool:
        if not catalog.read(self.engine).is_empty or self.derived is None:
            return False
        create_on_postgres(self.engine, self.target, self.derived)
        return True

    def record(self) -> None:
        """Record what the whole schema contains, the names that are missing now."""
        missing = self.call.unrecorded()
        if missing and self.target.folder is not None:
            self.call.record(self.target.folder, missing, origin=_BY_DIFFERENCES)

    def locked(self, act: Callable[[], T]) -> T:
        """Act in a transaction under the advisory lock, waiting for it until the deadline."""
        # READ COMMITTED: what the winner committed must be seen after the wait
        with self.engine.transaction(isolation="READ COMMITTED"):
            lock_schema(self.engine, self.call.deadline)
            return act()


def _made_by(planned: Plan) -> tuple[str, ...]:
    return (
        *(f"table {table.name}" for table in planned.pairing.created),
        *(f"index {index.name}" for index in planned.created_indexes),
        *(f"view {view.name}" for view in planned.created_views),
        *(f"trigger {trigger.name}" for trigger in planned.created_triggers),
    )
