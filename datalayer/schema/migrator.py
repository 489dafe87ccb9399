"""Bring a fresh database to the current schema, whole or not at all, and say when there is nothing to do.

Knows the engine's transactions and the modules beside it; never models. A database that is neither fresh
nor current is left as it is, with what differs.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseBusy, MigrationRefused
from datalayer.schema import catalog, history
from datalayer.schema.difference import Difference, differences
from datalayer.schema.numbered.folder import CONSOLIDATED, Folder, read_script
from datalayer.schema.plan import Step, step_of
from datalayer.schema.postgres import Derived, derive, object_lines
from datalayer.schema.postgres_types import Kind
from datalayer.schema.snapshot import Schema, load, read, runnable
from datalayer.schema.tokens import Statement, fold, quote

__all__ = ["MigrationResult", "Target", "migrate", "target_of"]


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What a migration did, or with `plan=True` would do.

    `applied` are the names recorded, `created` the objects made as "kind name", `steps` the statements in
    order.
    """

    applied: tuple[str, ...]
    created: tuple[str, ...]
    steps: tuple[Step, ...]
    seconds: float
    nothing_to_do: bool


@dataclass(frozen=True, slots=True)
class Target:
    """The schema to reach.

    Its script, the snapshot of it, and the names of the migrations that it contains.
    """

    source: str
    script: str
    schema: Schema
    names: tuple[str, ...]
    rows: dict[str, list[tuple[object, ...]]]


def migrate(
    engine: Engine,
    *,
    schema_file: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    plan: bool = False,
    lock_timeout_s: float = 60.0,
) -> MigrationResult:
    """Create the whole schema in a fresh database, in one transaction, with every migration recorded.

    The schema is the package's own, that of `schema_file` (a consolidated file), or that of `folder`
    (numbered files). A database at that schema is left alone; tables that it has besides make no
    difference. `plan=True` changes nothing and tells the steps. On PostgreSQL the statements are derived,
    and rows that the script inserts are copied.

    Atomic: a process killed at any moment leaves nothing or everything. Two at once: the second waits up to
    `lock_timeout_s` and then finds nothing to do (SQLite: the write lock; PostgreSQL: an advisory lock of
    the transaction, tried again and again,
    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS). Reads first, so a current
    database is never locked for writing.

    Raises MigrationRefused, with nothing changed, for a database of another shape, for a script that SQLite
    refuses, and for constructs that PostgreSQL has no sure counterpart of; DatabaseBusy when the lock does
    not come.

        migrate(engine).applied      # ('0001_foundation',)
    """
    started = monotonic()
    if engine.in_transaction:
        raise MigrationRefused(
            "a migration cannot run inside a transaction", hint="leave the transaction() block, then migrate"
        )
    target = target_of(schema_file=schema_file, folder=folder)
    work: _Sqlite | _Postgres = (
        _Sqlite(engine, target) if engine.dialect.name == "sqlite" else _Postgres(engine, target)
    )
    with engine.transaction(read=True):
        is_fresh = work.is_fresh_or_current()
    if is_fresh and not plan:
        is_fresh = work.create_when_fresh(started + lock_timeout_s)
    steps = work.steps() if is_fresh else ()
    return MigrationResult(
        target.names if is_fresh else (),
        tuple(f"{step.kind} {step.name}" for step in steps if step.name and step.kind != "function"),
        steps,
        monotonic() - started,
        not is_fresh,
    )


def target_of(
    *, schema_file: str | os.PathLike[str] | None = None, folder: str | os.PathLike[str] | None = None
) -> Target:
    """Read the schema to reach from files.

    Raises MigrationRefused where one cannot be read or SQLite refuses it.
    """
    place = Folder(Path(folder)) if folder is not None else None
    if schema_file is not None:
        source, script = str(schema_file), read_script(Path(schema_file))
    else:
        place = place or history.package_folder()
        source, script = str(place.root), place.script()
        if (place.root / CONSOLIDATED).is_file():
            source = CONSOLIDATED if folder is None else str(place.root / CONSOLIDATED)
    names = tuple(file.name for file in place.files()) if place else ()
    connection = load(script, source=source)
    try:
        if names and not connection.execute("PRAGMA table_info(migrations)").fetchall():
            connection.execute(history.TABLE_SQL)
            script = f"{script}\n;\n{history.TABLE_SQL};\n"
        schema = read(connection)
        return Target(source, script, schema, names, _rows(connection, schema))
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, schema: Schema) -> dict[str, list[tuple[object, ...]]]:
    """Give the rows that the script itself inserts."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for table in schema.tables:
        names = [
            quote(column.name)
            for column in table.columns
            if column.generated is None and not column.is_hidden
        ]
        if table.kind == "table" and names:
            found = connection.execute(f"SELECT {', '.join(names)} FROM {quote(table.name)}").fetchall()
            if found:
                rows[table.name] = found
    return rows


def _refuse(
    engine: Engine, target: Target, found: Sequence[Difference], pending: Sequence[str]
) -> MigrationRefused:
    """Say what differs. A database that has none of our tables belongs to somebody else."""
    wrong = [difference for difference in found if difference.change != "extra"]
    ours = {fold(table.name) for table in target.schema.tables}
    missing = {fold(d.name) for d in wrong if d.kind == "table" and d.change == "missing"}
    reasons = [str(difference) for difference in wrong[:8]]
    if len(wrong) > 8:
        reasons.append(f"and {len(wrong) - 8} more")
    if pending:
        reasons.append(f"not recorded as applied: {', '.join(pending)}")
    if ours and ours <= missing:
        others = [
            difference.name
            for difference in found
            if difference.change == "extra" and difference.kind == "table"
        ]
        return MigrationRefused(
            f"{engine.display_url} belongs to another program: it has none of the tables of {target.source}",
            why=f"its tables are {', '.join(others[:8])}" if others else None,
            hint="point the program at another database, or use a new one",
        )
    return MigrationRefused(
        f"{engine.display_url} is not at the schema of {target.source}; nothing was changed",
        why="; ".join(reasons),
        hint="use a new database, or one that is at this schema: an existing one cannot be changed yet",
    )


@contextmanager
def _without_references(engine: Engine) -> Generator[None]:
    """Let rows come before the tables that they refer to; the setting is ignored inside a transaction."""
    engine.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        engine.execute("PRAGMA foreign_keys = ON")


class _Sqlite:
    """Creates the schema in a SQLite database."""

    def __init__(self, engine: Engine, target: Target) -> None:
        self.engine = engine
        self.target = target
        self.statements: list[Statement] = list(runnable(target.script))

    def steps(self) -> tuple[Step, ...]:
        return tuple(step_of(statement) for statement in self.statements)

    def is_fresh_or_current(self) -> bool:
        """Say True for an empty database, False for one at the schema.

        Raises MigrationRefused for any other.
        """
        found = read(self.engine.connection())
        if not (found.tables or found.views):
            return True
        different = differences(self.target.schema, found)
        applied = history.applied_names(self.engine)
        pending = [name for name in self.target.names if name not in applied]
        if pending or any(difference.change != "extra" for difference in different):
            raise _refuse(self.engine, self.target, different, pending)
        return False

    def create_when_fresh(self, deadline: float) -> bool:
        """Create everything unless another process has done so meanwhile; waits for the write lock."""
        while True:
            try:
                with _without_references(self.engine), self.engine.transaction():
                    return self._create_when_fresh()
            except DatabaseBusy:
                if monotonic() >= deadline:
                    raise
                sleep(0.05)

    def _create_when_fresh(self) -> bool:
        if not self.is_fresh_or_current():
            return False
        for statement in self.statements:
            self.engine.write(statement.text).close()
        history.record(self.engine, self.target.names)
        made = read(self.engine.connection())
        if made.fingerprint() != self.target.schema.fingerprint():
            raise _refuse(self.engine, self.target, differences(self.target.schema, made), ())
        broken = self.engine.fetch_one("PRAGMA foreign_key_check")
        if broken is not None:
            raise MigrationRefused(
                f"a row of {self.target.source} breaks a reference; nothing was changed",
                why=f"row {broken[1]} of {broken[0]} refers to a row of {broken[2]} that is not there",
                hint="correct the row in the script",
            )
        return True


class _Postgres:
    """Creates the schema in a PostgreSQL database."""

    def __init__(self, engine: Engine, target: Target) -> None:
        self.engine = engine
        self.target = target
        self.derived: Derived = derive(target.schema, lines=object_lines(target.script), source=target.source)

    def steps(self) -> tuple[Step, ...]:
        return self.derived.steps

    def is_fresh_or_current(self) -> bool:
        """Say True for an empty schema, False for one that is current.

        Raises MigrationRefused for any other.
        """
        found = catalog.read(self.engine)
        if found.is_empty:
            return True
        different = catalog.compare(self.target.schema, self.derived, found)
        applied = history.applied_names(self.engine)
        pending = [name for name in self.target.names if name not in applied]
        if pending or any(difference.change != "extra" for difference in different):
            raise _refuse(self.engine, self.target, different, pending)
        return False

    def create_when_fresh(self, deadline: float) -> bool:
        """Create everything unless another process has done so meanwhile; waits for the advisory lock."""
        # READ COMMITTED: what the winner committed must be seen after the wait
        with self.engine.transaction(isolation="READ COMMITTED"):
            self._lock(deadline)
            if not self.is_fresh_or_current():
                return False
            self._create()
            return True

    def _lock(self, deadline: float) -> None:
        name = f"datalayer.migrate {self.engine.schema_name}".encode()
        key = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
        while self.engine.fetch_one("SELECT pg_try_advisory_xact_lock(%s)", (key,)) != (True,):
            if monotonic() >= deadline:
                raise DatabaseBusy(
                    f"{self.engine.display_url} is being migrated by another process",
                    hint="wait for it, then try again",
                )
            sleep(0.05)

    def _create(self) -> None:
        engine = self.engine
        if engine.fetch_one("SELECT 1 FROM pg_namespace WHERE nspname = %s", (engine.schema_name,)) is None:
            engine.execute(f"CREATE SCHEMA {quote(engine.schema_name)}")
        for step in self.derived.tables:
            engine.execute(step.sql)
        # in the order in which the tables were made, so that what is referred to is there first
        for step in self.derived.tables:
            if step.name in self.target.rows:
                self._copy(step.name, self.target.rows[step.name])
        for step in self.derived.rest:
            engine.execute(step.sql)
        history.record(engine, self.target.names)

    def _copy(self, name: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert the rows that the script brings, as SQLite holds them, and set the numbering behind them."""
        engine, table = self.engine, self.target.schema.table(name)
        columns = [
            column
            for column in self.derived.layout[fold(name)].columns.values()
            if column.source.generated is None and not column.source.is_hidden
        ]
        names = ", ".join(quote(column.name) for column in columns)
        marks = ", ".join(["%s"] * len(columns))
        kinds: list[Kind] = [column.kind for column in columns]
        engine.execute_many(
            f"INSERT INTO {quote(name).replace('%', '%%')} ({names.replace('%', '%%')}) VALUES ({marks})",
            [tuple(_stored(value, kind) for value, kind in zip(row, kinds)) for row in rows],
        )
        numbered = table.rowid_column if table else None
        if numbered is not None:
            engine.execute(
                f"SELECT setval(pg_get_serial_sequence(%s, %s), (SELECT max({quote(numbered.name)})"
                f" FROM {quote(name)}))".replace("%", "%%").replace("%%s", "%s"),
                (quote(name), numbered.name),
            )


def _stored(value: object, kind: Kind) -> object:
    return bool(value) if kind == "bool" and isinstance(value, int) else value
