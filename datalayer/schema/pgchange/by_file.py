"""Numbered files in SQLite's words, applied to an existing PostgreSQL database one after the other.

What a file declares is reached by what differs; what it does to rows, drops and renames is done as it says,
in its order. The schema is followed in memory by SQLite. Takes the run's work and its open session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Literal

from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.change.consent import Consent
from datalayer.schema.creation import copy_rows
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.manner import manner_of
from datalayer.schema.numbered.noop import table_query
from datalayer.schema.numbered.pending import Pending
from datalayer.schema.numbered.postgres_run import Steps, again_while_busy
from datalayer.schema.numbered.work import Done, Work
from datalayer.schema.pgchange.following import Following, native
from datalayer.schema.pgchange.migrate import bring
from datalayer.schema.pgchange.session import Session
from datalayer.schema.pgchange.wanted import read_wanted
from datalayer.schema.plan import object_of
from datalayer.schema.postgres import derive
from datalayer.schema.tokens import Statement, quote

__all__ = ["does_more_than_declare", "run_by_file"]

_ROWS = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"})
_PASSED_OVER = frozenset({"SELECT", "VALUES", "EXPLAIN", "ANALYZE", "REINDEX"})
Kind = Literal["declares", "rows", "names", "query", "nothing"]


def does_more_than_declare(files: Iterable[MigrationFile]) -> bool:
    """Say whether a file changes rows, drops, renames, or is Python: what no comparison of schemas brings."""
    return any(
        file.kind == "python"
        or any(_kind(statement) in ("rows", "names", "query") for statement in file.statements())
        for file in files
    )


def run_by_file(work: Work, consent: Consent, deadline: float) -> None:
    """Apply what is pending, waiting for the lock until `deadline`; a failed file is gone on with later.

    `work` reads the files in SQLite's words. Raises MigrationRefused with the file and line; what came before
    it stays.
    """
    engine = work.engine
    with Session(engine) as session, session.lock(deadline):
        state = engine.begin_scope()
        try:
            found = work.look()
            if found.is_nothing_to_do:
                return
            work.begin(found)
            _Run(work, session, consent, found).apply_all(max(deadline - monotonic(), 1.0))
        finally:
            engine.end_scope(state)


class _Run:
    """All pending files of one run, and the schema that they have come to."""

    def __init__(self, work: Work, session: Session, consent: Consent, found: Pending) -> None:
        self.work = work
        self.session = session
        self.consent = consent
        self.found = found
        applied = set(found.applied)
        self.following = Following(file for file in work.folder.all_files() if file.name in applied)

    def apply_all(self, lock_timeout_s: float) -> None:
        """Apply the files in order, each kept before the next."""
        with self.following:
            for file in self.found.files:
                if file.kind == "python":
                    again_while_busy(self.work, lambda file=file: self.apply_python(file), lock_timeout_s)
                else:
                    _FileSteps(self, file, lock_timeout_s).run()
                self.work.keep()

    def apply_python(self, file: MigrationFile) -> None:
        """Apply a Python file, within the caller's transaction: it may change rows, and make new tables.

        Raises MigrationRefused where it changed a table that the SQL files declare.
        """
        before = self._declared_tables()
        self.work.apply_inside(file)
        after = self._declared_tables()
        changed = [name for name, table in before.items() if after.get(name) != table]
        if changed:
            raise MigrationRefused(
                f"{file.source}: it changes the table {changed[0]}, which the folder's SQL files declare",
                why="files in SQLite's words are followed on PostgreSQL without running Python",
                hint="change the table in a .sql file, and its rows in the Python file behind it",
            )

    def _declared_tables(self) -> dict[str, object]:
        names = {table.name for table in self.following.schema.tables}
        tables = catalog.read(self.work.engine).tables
        return {name: table for name, table in tables.items() if name in names}


class _FileSteps(Steps):
    """One SQL file: declarations gathered until something is to be done to rows or names."""

    def __init__(self, run: _Run, file: MigrationFile, lock_timeout_s: float) -> None:
        super().__init__(run.work, file, run.found.journal.get(file.name), lock_timeout_s)
        self.session = run.session
        self.consent = run.consent
        self.following = run.following
        self.unreached: Statement | None = None
        # nothing but names is unreached: a table may be gone for the moment, whose successor comes next
        self.is_named = False

    def pass_over(self, statement: Statement) -> None:
        """Follow a statement that an earlier run has done."""
        kind = _kind(statement)
        if kind == "rows" and self.following.brings(statement):
            self.following.inserted(statement)
        elif kind != "nothing":
            self.following.run(statement, is_sure=kind != "rows")

    def step(self, place: int, statement: Statement) -> None:
        """Do one statement, or gather it."""
        kind = _kind(statement)
        if kind == "nothing":
            self.done.statements += 1
            return
        if kind == "declares":
            self._declare(statement)
            self.done.statements += 1
            self.done.effective += 1
            self.work.advance()
            return
        if kind == "query":
            self._declare(statement)
        if kind != "names" or not self.is_named:
            self._reach()
        if kind == "names":
            self._name(place, statement)
        elif kind == "rows" and self.following.brings(statement):
            self._bring(place, statement)
        else:
            self._act(place, statement, kind)

    def complete(self) -> None:
        """Reach what the file declares behind its last change of rows."""
        self._reach()

    def _declare(self, statement: Statement) -> None:
        self._follow(statement)
        self.unreached, self.is_named = statement, False

    def _follow(self, statement: Statement, *, is_sure: bool = True) -> None:
        try:
            self.following.run(statement, is_sure=is_sure)
        except DataLayerError as exc:
            raise self.work.failed(self.file, statement, exc) from exc

    def _reach(self) -> None:
        """Bring the database to the schema that is declared so far."""
        statement, self.unreached, self.is_named = self.unreached, None, False
        if statement is None:
            return
        place = f"{self.file.source}:{statement.line}"
        derived = derive(self.following.schema, lines={}, source=place)
        try:
            wanted = read_wanted(self.session, derived)
            bring(self.session, wanted, self.consent, exact=False, lock_timeout_s=self.lock_timeout_s)
        except MigrationRefused as exc:
            raise MigrationRefused(
                f"{place}: {exc.what}", findings=exc.findings, why=exc.why, hint=exc.hint
            ) from exc

    def _name(self, place: int, statement: Statement) -> None:
        """Drop or rename, by PostgreSQL's own statements."""
        before, text = native(self.work.engine, self.following.schema, statement)

        def act() -> None:
            for sql in before:
                self.work.engine.execute(sql)
            self.work.run_statement(self.file, _worded(statement, text), self.done)

        self.keep_together(place, act)
        self._follow(statement)
        self.unreached, self.is_named = statement, True

    def _bring(self, place: int, statement: Statement) -> None:
        """Insert the rows that SQLite gets from a statement about new tables alone, each as its column is."""
        table, rows = self.following.inserted(statement)

        def act() -> None:
            copy_rows(self.work.engine, table, rows)
            self._count(self.done, len(rows))

        self.keep_together(place, act)

    def _act(self, place: int, statement: Statement, kind: Kind) -> None:
        """Change rows, by the file's own statement."""
        text, target = statement.text, self.following.target_of(statement)
        if kind == "query" and (made := object_of(statement)):
            text = f"INSERT INTO {quote(made[1])} {table_query(statement.tokens)}"
        numbering = None if target is None else target.rowid_column

        def act() -> None:
            self.work.run_statement(self.file, _worded(statement, text), self.done)
            if target is not None and numbering is not None:
                _number_behind(self.work, target.name, numbering.name)

        try:
            self.keep_together(place, act)
        except MigrationRefused as exc:
            hint = "write it in words that PostgreSQL knows too, or as a Python file with up(store)"
            raise MigrationRefused(exc.what, findings=exc.findings, why=exc.why, hint=hint) from exc
        self.following.settle(statement)
        if kind == "rows":
            self._follow(statement, is_sure=False)

    def _count(self, done: Done, rows: int) -> None:
        done.statements += 1
        done.effective += 1
        done.count(rows)
        self.work.advance()


def _kind(statement: Statement) -> Kind:
    """Say what a statement is to a database that is reached by what differs."""
    verb, words = statement.verb, [token.upper for token in statement.tokens]
    if verb in _ROWS:
        return "rows"
    if verb in _PASSED_OVER or manner_of(statement, "sqlite").how == "skip" or verb == "PRAGMA":
        return "nothing"
    if verb == "CREATE" and table_query(statement.tokens) is not None:
        return "query"
    if verb == "DROP":
        return "names"
    if verb == "ALTER" and not {"RENAME", "DROP"}.isdisjoint(words[3:6]) and "ADD" not in words[3:6]:
        return "names"
    return "declares"


def _worded(statement: Statement, text: str) -> Statement:
    return Statement(text, statement.line, statement.tokens)


def _number_behind(work: Work, table: str, column: str) -> None:
    """Let the next number of an identity come behind those that were inserted."""
    names: Sequence[object] = (quote(table), column)
    row = work.engine.fetch_one("SELECT pg_get_serial_sequence(%s, %s)", names)
    if row is None or row[0] is None:
        return
    work.engine.execute(
        f"SELECT setval('{row[0]}', last) FROM (SELECT max({quote(column)}) AS last FROM {quote(table)}) AS t"
        f" WHERE last > coalesce(pg_sequence_last_value('{row[0]}'), 0)"
    )
