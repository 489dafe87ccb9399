"""Applying files to a PostgreSQL database: a transaction a file, or statement by statement where it must be.

Locks are waited for briefly and asked for again, so that who comes behind does not stand in the queue for
long. https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from time import monotonic, sleep

from datalayer.errors import DatabaseBusy, DataLayerError, MigrationRefused
from datalayer.schema.numbered import journal, script
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.journal import JournalRow
from datalayer.schema.numbered.lock import migration_lock
from datalayer.schema.numbered.manner import manner_of
from datalayer.schema.numbered.pending import Pending, finding
from datalayer.schema.numbered.work import Done, Work
from datalayer.schema.tokens import Statement, quote, unquote

__all__ = ["Steps", "again_while_busy", "run_on_postgres"]

_LOCK_TIMEOUT_S = 2.0
_LONGEST_PAUSE_S = 2.0

_INVALID = """
SELECT n.nspname, c.relname, t.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid"""
_INDEX = """
SELECT i.indisvalid, n.nspname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %s AND n.nspname = %s"""


def run_on_postgres(work: Work, deadline: float, lock_timeout_s: float) -> None:
    """Apply what is pending, each file whole or resumable; waits for the lock until `deadline`.

    `lock_timeout_s` also bounds how long each file tries to get the locks that it needs.
    """
    engine = work.engine
    with migration_lock(engine, deadline):
        # a pool's connection stays with this thread, settings of the files and all
        state = engine.begin_scope()
        try:
            found = work.look()
            if found.is_nothing_to_do:
                return
            _make_schema(work)
            work.begin(found)
            for file in found.files:
                _apply(work, found, file, lock_timeout_s)
        finally:
            engine.end_scope(state)


def _make_schema(work: Work) -> None:
    engine = work.engine
    if engine.fetch_one("SELECT 1 FROM pg_namespace WHERE nspname = %s", (engine.schema_name,)) is None:
        engine.execute(f"CREATE SCHEMA {quote(engine.schema_name)}")


def _apply(work: Work, found: Pending, file: MigrationFile, lock_timeout_s: float) -> None:
    row = found.journal.get(file.name)
    is_begun = row is not None and row.state != "applied" and bool(row.statements_done)
    manners = [manner_of(statement, "postgresql").how for statement in work.statements(file)]
    is_stepwise = "outside" in manners or ("alone" in manners and len(manners) > 1)
    try:
        if is_begun or is_stepwise:
            Steps(work, file, row, lock_timeout_s).run()
        else:
            again_while_busy(work, lambda: work.apply_inside(file), lock_timeout_s)
        work.keep()
    finally:
        if work.engine.has_connection:
            # what the file has set for its session
            work.engine.execute("RESET SESSION AUTHORIZATION")
            work.engine.execute("RESET ALL")


def again_while_busy(work: Work, act: Callable[[], None], lock_timeout_s: float) -> None:
    """Run in a transaction of its own with a short lock_timeout, again while locks do not come in it."""
    engine, deadline, pause = work.engine, monotonic() + lock_timeout_s, 0.05
    while True:
        wait_s = max(min(_LOCK_TIMEOUT_S, deadline - monotonic()), 0.01)
        try:
            with engine.transaction():
                engine.execute(f"SET LOCAL lock_timeout = {int(wait_s * 1000)}")
                act()
            return
        except DatabaseBusy:
            if monotonic() + pause >= deadline:
                raise
        sleep(random.uniform(0.5, 1.0) * pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


class Steps:
    """One file, statement by statement, each noted in the journal, so that a later run can go on."""

    def __init__(
        self, work: Work, file: MigrationFile, begun: JournalRow | None, lock_timeout_s: float
    ) -> None:
        self.work = work
        self.file = file
        self.lock_timeout_s = lock_timeout_s
        self.statements = work.statements(file)
        self.begun = begun if begun is not None and begun.state != "applied" else None
        self.first = self._first()
        self.row = replace(work.new_row(file), statements=len(self.statements), statements_done=self.first)
        self.done = Done()

    def run(self) -> None:
        """Run what is left. Raises MigrationRefused naming what is done and stays."""
        engine = self.work.engine
        self._note(self.first)
        for place, statement in enumerate(self.statements):
            # what is set for the session went with the session that set it
            if place < self.first and statement.verb not in ("SET", "RESET"):
                self.done.effective += 1
                self.pass_over(statement)
                continue
            try:
                self.step(place, statement)
            except DataLayerError as exc:
                raise self._stopped(place, exc) from exc
        self.done.statements = len(self.statements)
        self.complete()
        with engine.transaction():
            self.work.finish(self.file, self.row, self.done)

    def pass_over(self, statement: Statement) -> None:
        """Note a statement that an earlier run has done."""

    def complete(self) -> None:
        """Do what is left when all statements are done, before the file is journalled."""

    def _first(self) -> int:
        """Give how many statements an earlier run has done; they must be what they were."""
        row = self.begun
        if row is None or not row.statements_done or row.source is None:
            return 0
        then = script.statements(script.part_to_run(row.source), self.work.words)[: row.statements_done]
        now = self.statements[: row.statements_done]
        if [script.normal_form(one.text) for one in then] == [script.normal_form(one.text) for one in now]:
            return row.statements_done
        path = str(self.file.source)
        message = f"the first {row.statements_done} statements of {self.file.label} are applied, and changed"
        raise MigrationRefused(
            f"{path} was changed in its part that is applied already",
            findings=[finding("J001", "error", path, message)],
            why=f"an earlier run applied {row.statements_done} of {row.statements} statements, then failed",
            hint="put these statements back; those behind them may be changed",
        )

    def step(self, place: int, statement: Statement) -> None:
        """Run one statement, noted in the journal together with what it does, where that can be."""
        if manner_of(statement, "postgresql").how == "outside":
            self._outside(place, statement)
            self._note(place + 1)
            return

        self.keep_together(place, lambda: self.work.run_statement(self.file, statement, self.done))

    def keep_together(self, place: int, act: Callable[[], None]) -> None:
        """Act, and note that the statement at `place` is done, in one transaction."""

        def acted() -> None:
            act()
            self._write(replace(self.row, statements_done=place + 1))

        again_while_busy(self.work, acted, self.lock_timeout_s)

    def _outside(self, place: int, statement: Statement) -> None:
        """Run a statement outside a transaction, and take away what a failed attempt leaves behind."""
        if place == self.first and self._was_done(statement):
            self.done.effective += 1
            return
        engine, deadline = self.work.engine, monotonic() + self.lock_timeout_s
        while True:
            invalid = self._invalid(statement)
            engine.execute(f"SET lock_timeout = {max(int((deadline - monotonic()) * 1000), 10)}")
            try:
                self.work.run_statement(self.file, statement, self.done)
                return
            except DataLayerError as exc:
                self._drop(self._invalid(statement) - invalid)
                if not isinstance(exc, DatabaseBusy) or monotonic() >= deadline:
                    raise
            sleep(0.1)

    def _was_done(self, statement: Statement) -> bool:
        """Say whether a run that was killed had done this statement, and drop what it left half made."""
        name = _index_made(statement)
        if self.begun is None or name is None:
            return False
        engine = self.work.engine
        there = engine.fetch_one(_INDEX, (name, engine.schema_name))
        if there is not None and not there[0]:
            self._drop({(str(there[1]), name)})
            return False
        # a failed one was there before: making it again tells so
        return there is not None and self.begun.state == "running"

    def _invalid(self, statement: Statement) -> set[tuple[str, str]]:
        """Give the invalid indexes that a statement may have left, as schema and name, and no one else's."""
        name, words = _index_made(statement), {unquote(token) for token in statement.tokens}
        found: set[tuple[str, str]] = set()
        for schema, index, table in self.work.engine.fetch_all(_INVALID):
            is_new_copy = statement.verb == "REINDEX" and "_ccnew" in str(index)
            is_of_table = statement.verb == "CREATE" and name is None and table in words
            if index == name or is_new_copy or is_of_table:
                found.add((str(schema), str(index)))
        return found

    def _drop(self, indexes: set[tuple[str, str]]) -> None:
        for schema, name in sorted(indexes):
            self.work.engine.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(schema)}.{quote(name)}")

    def _note(self, count: int, *, error: str | None = None) -> None:
        state = "running" if error is None else "failed"
        self.row = replace(self.row, statements_done=count, state=state, error=error)
        with self.work.engine.transaction():
            self._write(self.row)

    def _write(self, row: JournalRow) -> None:
        engine = self.work.engine
        engine.execute(f"SET LOCAL search_path = {quote(engine.schema_name)}")
        journal.write(engine, row)

    def _stopped(self, place: int, exc: DataLayerError) -> DataLayerError:
        """Note the failure, and give the error that says what stays."""
        self._note(place, error=exc.why or exc.what)
        if not isinstance(exc, MigrationRefused):
            return exc
        kept = f"its first {place} statements are applied and stay" if place else "nothing of it is applied"
        return MigrationRefused(
            f"{exc.what}; {kept}",
            findings=exc.findings,
            why=exc.why,
            hint=f"correct the file and run `datalayer migrate` again: it goes on with statement {place + 1}",
        )


def _index_made(statement: Statement) -> str | None:
    """Give the name of the index that CREATE INDEX makes, as it is in the database; None without a name."""
    words = [token.upper for token in statement.tokens[:9]]
    if words[0] != "CREATE" or "INDEX" not in words[1:3]:
        return None
    place = words.index("INDEX") + 1
    place += words[place : place + 1] == ["CONCURRENTLY"]
    place += 3 * (words[place : place + 3] == ["IF", "NOT", "EXISTS"])
    if words[place : place + 1] in ([], ["ON"]):
        return None
    token = statement.tokens[place]
    return unquote(token) if token.kind == "identifier" else token.text.lower()
