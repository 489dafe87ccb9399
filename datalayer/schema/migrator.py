"""Bring a database to a schema, whole or not at all, and say when there is nothing to do.

A fresh one gets the whole schema; an existing one its pending migrations; one of unknown history is taken
over by its shape, or brought there by what differs. Knows the engine's transactions and the modules beside
it; never models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.change.consent import Consent
from datalayer.schema.migration import MigrationCall, MigrationResult, Progress
from datalayer.schema.migration_postgres import PostgresMigration
from datalayer.schema.migration_sqlite import SqliteMigration
from datalayer.schema.target import Target, target_of

__all__ = ["MigrationResult", "migrate"]

_NOTHING_SAID = Consent()


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
    call = MigrationCall(engine, target, consent, started + lock_timeout_s, progress, store_of)
    kind = SqliteMigration if engine.dialect.name == "sqlite" else PostgresMigration
    return replace(kind(call).run(plan=plan), seconds=monotonic() - started)
