"""A database emptied to a schema, in one transaction, after a verified backup of all that was in it."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from datalayer.engine.connection import Engine
from datalayer.engine.sqlite import SqliteEngine
from datalayer.errors import DatabaseBusy, DatabaseUnavailable, MigrationRefused
from datalayer.schema.backup import backup
from datalayer.schema.creation import create_on_postgres, create_on_sqlite, without_references
from datalayer.schema.history import applied_names
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.postgres import derive, object_lines
from datalayer.schema.postgres_drop import Wanted, drop_objects
from datalayer.schema.restore_postgres import keep_present
from datalayer.schema.target import Target, own_target
from datalayer.schema.tokens import fold

__all__ = ["ResetResult", "reset"]

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ResetResult:
    """A finished reset: `backup` holds what was there, None where nothing was.

    `dropped` are the tables that went, `kept` those of other programs that stayed.
    """

    backup: Path | None
    dropped: tuple[str, ...]
    kept: tuple[str, ...]
    seconds: float


def reset(
    engine: Engine, target: Target | None = None, *, everything: bool = False, lock_timeout_s: float = 30.0
) -> ResetResult:
    """Empty a database to `target` (see `target_of`), by default the package's own schema.

    A verified backup first, taken while nobody can write; then the tables and views of the schema are
    dropped with all that hangs on them and made again, with every migration recorded, in the same
    transaction. Tables of other programs stay, unless `everything`. On SQLite the file stays the same one,
    so processes that have it open go on; a file that is all ours is made small afterwards where nobody is in
    the way. `lock_timeout_s` bounds the wait for others who write.

    Raises DatabaseBusy, DatabaseCorrupt (the present state cannot be backed up), MigrationRefused (something
    else depends on what is to go, or the schema cannot be made), DatabaseUnavailable; nothing is changed
    then.
    """
    started = monotonic()
    if engine.in_transaction:
        raise MigrationRefused(
            "a reset cannot run inside a transaction", hint="leave the transaction() block"
        )
    target = target or own_target(applied_names(engine))
    if target.whole is None:
        raise target.unknown or MigrationRefused(f"{target.source} tells no schema")
    tables = [table.name for table in target.schema.tables] + ([*JOURNAL_TABLES] if target.folder else [])
    views = [view.name for view in target.schema.views]
    if engine.dialect.name == "sqlite":
        sqlite = _Sqlite(engine, target, {fold(name) for name in (*tables, *views)}, everything)
        kept_in = sqlite.run(started + lock_timeout_s)
        before, after = sqlite.before, sqlite.others
    else:
        kept_in, before, after = _reset_postgres(
            engine, target, (tables, views), everything, started + lock_timeout_s
        )
    dropped = tuple(name for name in before if name not in after)
    return ResetResult(kept_in, dropped, tuple(after), monotonic() - started)


class _Sqlite:
    """A reset of a SQLite database."""

    def __init__(self, engine: Engine, target: Target, ours: set[str], everything: bool) -> None:
        self.engine = engine
        self.target = target
        self.ours = ours
        self.everything = everything
        self.before: list[str] = []
        self.others: list[str] = []

    def run(self, deadline: float) -> Path | None:
        """Back up, drop and make again; wait for the write lock until `deadline`."""
        with ExitStack() as stack:
            stack.enter_context(without_references(self.engine))
            self._begin(stack, deadline)
            kept = self._keep()
            self._drop()
            create_on_sqlite(self.engine, self.target)
        self._shrink()
        return kept

    def _begin(self, stack: ExitStack, deadline: float) -> None:
        assert isinstance(self.engine, SqliteEngine)
        while True:
            try:
                with self.engine.waiting_at_most(deadline - monotonic()):
                    stack.enter_context(self.engine.transaction())
                return
            except DatabaseBusy:
                if monotonic() >= deadline:
                    raise
                sleep(_POLL_S)

    def _keep(self) -> Path | None:
        """Back up what is committed; the write lock is ours, so nothing comes after it."""
        self.before = self._tables()
        found = self.engine.fetch_one("SELECT 1 FROM sqlite_schema LIMIT 1")
        if found is None:
            return None
        if self.engine.path is None:
            raise DatabaseUnavailable(
                "a database in memory cannot be backed up, so it is not emptied", hint="open a new one"
            )
        return backup(self.engine).path

    def _drop(self) -> None:
        # views and triggers first: what they mention may go before them
        for kind in ("view", "trigger", "virtual", "table"):
            for name in self._names(kind):
                if self.everything or self._is_ours(kind, name):
                    word = "TABLE" if kind == "virtual" else kind.upper()
                    self.engine.write(f"DROP {word} IF EXISTS {self.engine.dialect.quote(name)}").close()
        self.others = self._tables()
        if self.everything:
            for name in ("user_version", "application_id"):
                self.engine.write(f"PRAGMA {name} = 0").close()

    def _is_ours(self, kind: str, name: str) -> bool:
        """Whether an object is of the schema; triggers of ours go with their table or view."""
        return kind != "trigger" and fold(name) in self.ours

    def _names(self, kind: str) -> list[str]:
        if kind == "virtual":
            where = "type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
        else:
            where = f"type = '{kind}'"
        return [
            str(name)
            for (name,) in self.engine.fetch_all(
                f"SELECT name FROM sqlite_schema WHERE {where} AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            )
        ]

    def _tables(self) -> list[str]:
        return [str(row[0]) for row in self.engine.fetch_all(self.engine.dialect.tables_sql)]

    def _shrink(self) -> None:
        """Give the room back; a table of others may have rowids that VACUUM does not keep."""
        if self.others or self.engine.path is None:
            return
        connection: sqlite3.Connection = self.engine.connection()
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:
            # somebody reads, or the disk is full: the room is used again by what comes
            return


def _reset_postgres(
    engine: Engine, target: Target, names: tuple[list[str], list[str]], everything: bool, deadline: float
) -> tuple[Path | None, list[str], list[str]]:
    assert target.whole is not None
    derived = derive(target.schema, lines=object_lines(target.whole.script), source=target.source)
    functions = {step.name for step in derived.rest if step.kind == "function"}
    tables, views = names
    with engine.transaction(isolation="READ COMMITTED"):
        before = _tables_of(engine)
        kept = keep_present(engine, deadline)
        drop_objects(engine, None if everything else Wanted({*tables}, {*views}, functions))
        others = _tables_of(engine)
        create_on_postgres(engine, target, derived)
    return kept, before, others


def _tables_of(engine: Engine) -> list[str]:
    return [
        str(name)
        for (name,) in engine.fetch_all(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY 1",
            (engine.schema_name,),
        )
    ]
