"""One run over a database: what it has found and done so far, and how it applies one file.

Which transaction that happens in is the business of sqlite_run and postgres_run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import (
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    DataLayerError,
    MigrationRefused,
)
from datalayer.schema import history
from datalayer.schema.backup import backup
from datalayer.schema.backup_manifest import manifest_path
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.numbered.journal import JOURNAL_TABLES, JournalRow
from datalayer.schema.numbered.manner import manner_of, opening
from datalayer.schema.numbered.noop import NoOp, finding_of, no_op
from datalayer.schema.numbered.one_transaction import one_transaction
from datalayer.schema.numbered.pending import Finding, Pending, finding, pending, refuse_edited
from datalayer.schema.numbered.python_file import StoreOf, Up, call_up, load_up, no_store
from datalayer.schema.numbered.quoted import taken_as_text
from datalayer.schema.numbered.script import Dialect
from datalayer.schema.numbered.shape import shape
from datalayer.schema.numbered.spot import spot_of
from datalayer.schema.pace import Progress
from datalayer.schema.plan import object_of
from datalayer.schema.tokens import Statement, fold, quote, unquote

__all__ = ["DERIVED", "Done", "Work"]

_READS = frozenset({"SELECT", "VALUES", "WITH", "EXPLAIN", "PRAGMA", "SHOW", "TABLE"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"})
# begins the origin of files in SQLite's words that were applied to PostgreSQL
DERIVED = "derived"


class Done:
    """What was done of one file."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.statements = 0
        self.effective = 0
        self.rows: int | None = 0
        self.no_ops: list[NoOp] = []

    def count(self, rows: int) -> None:
        """Count rows that a statement has changed."""
        self.rows = (self.rows or 0) + max(rows, 0)

    @property
    def milliseconds(self) -> int:
        """The time since it was begun."""
        return round((monotonic() - self.started) * 1000)


class Work:
    """What one run works with; see `run.run` for the options.

    `words` is whose SQL the files hold, where that is not the engine's own.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Folder,
        *,
        to: str | None,
        takes_backup: bool,
        progress: Progress | None,
        store_of: StoreOf | None,
        words: Dialect | None = None,
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.dialect: Dialect = engine.dialect.name
        self.words: Dialect = words or self.dialect
        self.applied: list[str] = []
        self.findings: list[Finding] = []
        self.backup_path: Path | None = None
        self.has_begun = False
        self._to = to
        self._takes_backup = takes_backup
        self._progress = progress
        self._store_of = store_of
        self._store: object = None
        self._ups: dict[str, Up] = {}
        self._ordinal = 0
        self._shape: str | None = None
        self._shape_seen = ""
        self._unrecorded: list[str] = []
        self._shape_version: tuple[object, ...] | None = None
        self._last: tuple[str, list[Finding], str] = ("", [], "")
        self._done = self._total = 0

    def look(self) -> Pending:
        """Find what is pending. Raises MigrationRefused where an applied file was changed."""
        found = pending(self.engine, self.folder, to=self._to)
        refuse_edited(self.engine, found)
        return found

    def begin(self, found: Pending) -> None:
        """Read all files, take the backup, make the journal and take names over into it; the lock is held.

        Raises MigrationRefused for a statement that cannot be run and a Python file without `up`, before
        anything is changed.
        """
        self.has_begun = True
        self.findings += found.findings
        for file in found.files:
            self._total += max(len(self.statements(file)), 1)
            if file.kind == "python":
                self._ups[file.name] = load_up(file)
        if self._ups and self._store_of is None:
            raise no_store(next(iter(self._ups)), "run it with `datalayer migrate` or store.migrate()")
        if self._takes_backup and found.files and self._has_rows():
            self.backup_path = backup(self.engine).path
        with self.engine.transaction():
            journal.ensure(self.engine, makes_history=not self._makes_history(found))
            journal.import_names(self.engine, self.folder)
            self._ordinal = max(
                (row.ordinal for row in journal.read(self.engine) if row.state == "applied"), default=0
            )

    def remove_backup(self) -> None:
        """Remove the backup of a run that was undone as a whole: the database is what it was before.

        Kept where a Python file was to run, which may have committed behind the run's back.
        """
        if self.backup_path is not None and not self._ups:
            # one that cannot be removed does no harm
            with suppress(OSError):
                self.backup_path.unlink()
                manifest_path(self.backup_path).unlink(missing_ok=True)
            self.backup_path = None

    def statements(self, file: MigrationFile) -> list[Statement]:
        """Give a file's statements. Raises MigrationRefused for one that may not be run, with its line."""
        found = file.statements(self.words)
        for statement in found:
            manner = manner_of(statement, self.words)
            if manner.how == "refuse":
                raise MigrationRefused(
                    f"{file.source}:{statement.line}: {opening(statement)} cannot be part of a migration",
                    findings=[finding("D005", "error", str(file.source), manner.why, line=statement.line)],
                    why=manner.why,
                    hint=manner.instead,
                )
        return found

    def apply_inside(self, file: MigrationFile) -> None:
        """Apply a file and journal it, within the caller's transaction; `keep` comes after.

        Raises MigrationRefused with file and line.
        """
        done = Done()
        row = self.new_row(file)
        if file.kind == "sql":
            for statement in self.statements(file):
                self.run_statement(file, statement, done)
        else:
            self._call_up(file, done)
        self.finish(file, row, done)

    def new_row(self, file: MigrationFile) -> JournalRow:
        """Give the journal's row for a file that is about to be applied."""
        if self._shape is None:
            self._shape = self._shape_now()
        facts = {"shape_before": self._shape, "backup": str(self.backup_path) if self.backup_path else None}
        return journal.row_of(self.engine, file, self._ordinal + 1, origin=self._origin, **facts)

    def run_statement(self, file: MigrationFile, statement: Statement, done: Done) -> None:
        """Run one statement and note what it did. Raises MigrationRefused with file and line."""
        done.statements += 1
        if manner_of(statement, self.dialect).how == "skip":
            return
        self._refuse_text_for_column(file, statement)
        try:
            nothing = no_op(self.engine, statement)
            changed = self._changes()
            cursor = self._execute(statement)
        except DataLayerError as exc:
            raise self.failed(file, statement, exc) from exc
        if nothing is not None:
            done.no_ops.append(nothing)
        else:
            done.effective += 1
        if self.dialect == "sqlite":
            done.count(self._changes() - changed)
        elif statement.verb in _WRITES:
            done.count(cursor.rowcount)
        self.advance()

    def finish(self, file: MigrationFile, row: JournalRow, done: Done) -> None:
        """Journal a file as applied, within the caller's transaction; `keep` comes after."""
        if self.dialect == "postgresql":
            # the file may have set others
            self.engine.execute("RESET ROLE")
            self.engine.execute(f"SET LOCAL search_path = {quote(self.engine.schema_name)}")
        after = self._shape_now()
        row = replace(
            row,
            state="applied",
            applied_at=self.engine.clock(),
            duration_ms=done.milliseconds,
            statements=done.statements,
            statements_done=done.statements,
            rows_changed=done.rows,
            no_ops=[asdict(one) for one in done.no_ops],
            shape_after=after,
            error=None,
        )
        journal.write(self.engine, row)
        # a file before the one that makes the table of history is recorded with it
        self._unrecorded.append(file.name)
        if self.engine.columns("migrations"):
            journal.ensure(self.engine)
            history.record(self.engine, self._unrecorded)
            self._unrecorded = []
        found = [finding_of(file, one) for one in done.no_ops]
        if file.kind == "sql" and not done.effective:
            text = f"{file.label} changes nothing"
            found.append(
                finding("N004", "warning", str(file.source), text, fix="remove it before it is applied")
            )
        self._last = (file.name, found, after)

    def keep(self) -> None:
        """Count the file that was finished last as applied."""
        name, found, self._shape = self._last
        self.applied.append(name)
        self.findings += found
        self._ordinal += 1

    def failed(self, file: MigrationFile, statement: Statement, exc: DataLayerError) -> DataLayerError:
        """Give the error for a statement that failed: its place, and what the database said."""
        place = f"{file.source}:{statement.line}"
        if isinstance(exc, DatabaseBusy | DatabaseUnavailable | DatabaseCorrupt):
            return type(exc)(f"{place}: {exc.what}", why=exc.why, hint=exc.hint)
        said = str(exc.__cause__ or exc.why or exc.what).partition("\n")[0]
        found = finding("failed", "error", str(file.source), said, line=statement.line)
        spot = spot_of(statement, exc.__cause__, file.part_to_run())
        if spot is not None:
            found |= {"line": spot[0], "column": spot[1]}
            said = f"{said} (line {spot[0]}, column {spot[1]})"
        return MigrationRefused(
            f"{place}: {opening(statement)} failed",
            findings=[found],
            why=said,
            hint="correct the file and run `datalayer migrate` again",
        )

    def advance(self) -> None:
        """Tell that one statement more is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)

    def _refuse_text_for_column(self, file: MigrationFile, statement: Statement) -> None:
        token = taken_as_text(self.engine.connection(), statement) if self.dialect == "sqlite" else None
        if token is None:
            return
        line = statement.line + statement.text.count("\n", 0, token.start - statement.tokens[0].start)
        message = f"there is no column {token.text} to read, and SQLite takes it as a text"
        raise MigrationRefused(
            f"{file.source}:{line}: {message}",
            findings=[finding("X001", "error", str(file.source), message, line=line)],
            why=f"every row would get the text '{unquote(token)}'; in `{opening(statement)}`",
            hint="leave the column out of the list, or write a value in single quotes",
        )

    @property
    def _origin(self) -> str:
        way = "" if self.words == self.dialect else f"{DERIVED} "
        return f"{way}{self.folder.layout} {self.folder.root}"

    def _makes_history(self, found: Pending) -> bool:
        """Whether one of the files makes the plain table of history, as the package's own first one does."""
        return self.words == self.dialect and any(
            made is not None and made[0] == "table" and fold(made[1]) == "migrations"
            for file in found.files
            for made in map(object_of, self.statements(file))
        )

    def _shape_now(self) -> str:
        """Give the shape; SQLite's counter says whether it can be another than the last one."""
        version = self.engine.fetch_one("PRAGMA schema_version") if self.dialect == "sqlite" else None
        if version is None or version != self._shape_version:
            self._shape_seen = shape(self.engine)
            self._shape_version = version
        return self._shape_seen

    def _call_up(self, file: MigrationFile, done: Done) -> None:
        if self._store is None and self._store_of is not None:
            self._store = self._store_of(self.engine)
        before = self._changes()
        with one_transaction(self.engine, file):
            call_up(file, self._ups[file.name], self._store)
        # PostgreSQL does not tell what `up` has changed
        done.rows = self._changes() - before if self.dialect == "sqlite" else None
        done.statements = 1
        self.advance()

    def _changes(self) -> int:
        """Count the rows that this connection has changed so far; SQLite alone tells."""
        return int(self.engine.connection().total_changes) if self.dialect == "sqlite" else 0

    def _execute(self, statement: Statement) -> Any:
        if self.dialect == "sqlite" and statement.verb in _READS:
            # SQLite computes rows as they are fetched
            return self.engine.fetch_all(statement.text)
        return self.engine.write(statement.text)

    def _has_rows(self) -> bool:
        """Say whether there is anything to lose; a database in memory has no place for a backup."""
        engine = self.engine
        if engine.address.secret_url is None and engine.path is None:
            return False
        names = [str(row[0]) for row in engine.fetch_all(engine.dialect.tables_sql)]
        return any(
            engine.fetch_one(f"SELECT 1 FROM {engine.dialect.quote(name)} LIMIT 1") is not None
            for name in names
            if name not in JOURNAL_TABLES
        )
