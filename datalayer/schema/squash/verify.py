"""Holding a folder against itself and against a database: what is there is what the applied files make.

Reads only. What differs is told with the SQL that closes it where that is known; never with a reset.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.adopt.things import Key, Thing, compare_things, read_things
from datalayer.schema.adopt.version_files import takes_store
from datalayer.schema.difference import Difference, differences
from datalayer.schema.migrator import migrate
from datalayer.schema.numbered.folder import CONSOLIDATED, Folder, MigrationFile, read_script
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.numbered.pending import Pending, pending
from datalayer.schema.numbered.python_file import StoreOf
from datalayer.schema.postgres import derive
from datalayer.schema.rehearse.copies import blank
from datalayer.schema.rehearse.replay import replay
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.squash.proof import unequal
from datalayer.schema.squash.replay import replayed
from datalayer.schema.squash.script import kept_rows, written
from datalayer.schema.squash.squashing import consolidated_text
from datalayer.schema.target import target_of
from datalayer.schema.tokens import fold, quote
from datalayer.schema.validate.finding import RuleFinding
from datalayer.schema.validate.subject import guess_dialect

__all__ = ["Verification", "verify_database", "verify_folder"]


_BY_SQL = "close it with the SQL below, or write a migration that makes what is there"
_BY_RUN = "see `datalayer migrate --plan` for a way back, or write a migration that makes what is there"
_BY_HAND = "write a migration that makes what is there, or put the object right by hand"
# what stands in a schema by itself may be another program's
_OF_OTHERS = ("table", "view", "sequence", "function", "type")
_Drift = tuple[list[RuleFinding], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found.

    `applied` and `pending` are names of files; `closing` are the statements that would bring the database
    back to what its applied files make, as far as that loses nothing.

    | id | severity | what |
    |---|---|---|
    | V001 | error | the database differs from what its applied files make |
    | V002 | error | the consolidated file makes something else than the numbered files |
    | V003 | warning | the consolidated file is not the text that squash writes |
    | V004 | error | a file of which a run has applied only a part |
    | V005 | info | a table or view that no file makes |
    | V006 | error | an applied file fails when run again on an empty database, or is another tool's |
    | J001, J002, J004, J005 | | as in `migrations validate` |
    """

    findings: tuple[RuleFinding, ...]
    closing: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether nothing worse than an info was found."""
        return all(finding.severity == "info" for finding in self.findings)


def verify_folder(folder: Folder, *, store_of: StoreOf | None = None) -> Verification:
    """Compare the consolidated file of a folder with what the numbered files make; needs no database.

    A folder without one, and one in PostgreSQL's SQL, has nothing to compare. Raises MigrationRefused where a
    numbered file cannot be run.
    """
    source = folder.root / CONSOLIDATED
    files = folder.files()
    if not source.is_file() or not files:
        return Verification(())
    text, place = read_script(source), str(source)
    with ExitStack() as stack:
        try:
            first = stack.enter_context(replayed(files, store_of=store_of))
        except MigrationRefused:
            if guess_dialect(folder) == "sqlite":
                raise
            return Verification(())
        second = stack.enter_context(replayed(files, store_of=store_of, is_moved=True))
        rows = kept_rows(first, second)
        try:
            found = unequal(first, text, rows)
        except MigrationRefused as exc:
            found = [f"{exc.what}: {exc.why}" if exc.why else exc.what]
        expected = text if found else consolidated_text(folder, first, rows)
    fix = "run `datalayer migrations squash`"
    if found:
        words = f"it does not make what the numbered files make: {'; '.join(found[:5])}"
        return Verification((RuleFinding("V002", "error", place, 1, words, fix),))
    if expected != text:
        words = "it makes what the numbered files make, and is another text than squash writes"
        return Verification((RuleFinding("V003", "warning", place, 1, words, fix),))
    return Verification(())


def verify_database(engine: Engine, folder: Folder, *, store_of: StoreOf | None = None) -> Verification:
    """Hold a database against the folder: history and checksums, and its shape against a replay.

    The applied files are run again, in memory, or for a folder in PostgreSQL's SQL in a new database that is
    dropped at the end; the result is compared with what is there. The database is only read.

    Raises MigrationRefused for a folder that cannot be read, and where no copy can be made.
    """
    with engine.transaction(read=True):
        found = pending(engine, folder)
    names = set(found.applied)
    applied = [file for file in folder.files() if file.name in names]
    findings = [*_of_history(folder, found)]
    drift, closing = _drift(engine, folder, applied, store_of)
    return Verification(
        (*findings, *drift),
        closing,
        tuple(file.name for file in applied),
        tuple(file.name for file in found.files),
    )


def _of_history(folder: Folder, found: Pending) -> Iterator[RuleFinding]:
    for one in found.findings:
        line = one["line"]
        yield RuleFinding(
            str(one["id"]),
            "error" if one["severity"] == "error" else "warning" if one["severity"] == "warning" else "info",
            str(one["file"]),
            line if isinstance(line, int) else 1,
            str(one["message"]),
            str(one["fix"]),
        )
    for row in found.journal.values():
        if row.state != "applied":
            done = f"{row.statements_done or 0} of {row.statements or '?'} statements"
            words = (
                f"a run has applied {done} of {row.name}, then stopped{f': {row.error}' if row.error else ''}"
            )
            yield RuleFinding(
                "V004", "error", str(folder.root), 1, words, "run `datalayer migrate`, which goes on"
            )


def _drift(
    engine: Engine, folder: Folder, applied: Sequence[MigrationFile], store_of: StoreOf | None
) -> _Drift:
    """Compare with a replay by the engine whose SQL the files hold; of plain files that is a guess."""
    foreign = next((f for f in applied if f.kind == "python" and not takes_store(f.read())), None)
    if foreign is not None:
        words = f"{foreign.label} is written for another tool, so what the files make is not known"
        fix = "write it as .sql, or as up(store), to have the database compared"
        return [RuleFinding("V006", "error", str(foreign.source), 1, words, fix)], ()
    if engine.dialect.name == "sqlite":
        return _against_memory(engine, folder, applied, store_of)
    is_sqlite = guess_dialect(folder) == "sqlite"
    ways = (_against_memory, _against_scratch) if is_sqlite else (_against_scratch, _against_memory)
    tried: list[_Drift] = []
    for look in ways:
        try:
            found = look(engine, folder, applied, store_of)
        except MigrationRefused as exc:
            # PostgreSQL has no counterpart of what the files make, or no copy can be made there
            found = [_broken_file(folder, exc)], ()
        if not _is_wrong(found[0]):
            return found
        tried.append(found)
    return tried[0]


def _against_memory(
    engine: Engine, folder: Folder, applied: Sequence[MigrationFile], store_of: StoreOf | None
) -> _Drift:
    """Compare with a replay by SQLite; of a PostgreSQL database with what is derived from it."""
    try:
        with replayed(applied, store_of=store_of) as made:
            script = written(made, {}, heading="--")
            expected = made.schema
    except MigrationRefused as exc:
        if store_of is None and any(file.kind == "python" for file in applied):
            raise
        return [_broken_file(folder, exc)], ()
    live: Schema | None = None
    with engine.transaction(read=True):
        if engine.dialect.name == "sqlite":
            live = _without_journal(read(engine.connection()))
            found = _of_own_tables(differences(_without_journal(expected), live))
        else:
            schema = _without_journal(expected)
            found = catalog.compare(schema, derive(schema), catalog.read(engine))
    found = [one for one in found if fold(one.name) not in JOURNAL_TABLES]
    drift = [_of_difference(folder, one, _BY_SQL) for one in found]
    if not _is_wrong(drift):
        return drift, ()
    if live is None:
        sql = _closing(engine, script) or tuple(_missing(expected, found))
    else:
        sql = (*_drops(found), *_closing(engine, script))
        sql = sql if _is_closed_by(sql, live, expected) else ()
    return drift if sql else [_of_difference(folder, one, _BY_RUN) for one in found], sql


def _broken_file(folder: Folder, exc: MigrationRefused) -> RuleFinding:
    words = f"{exc.what}: {exc.why}" if exc.why else exc.what
    fix = "put the file back as it was applied; the journal keeps its text"
    return RuleFinding("V006", "error", str(folder.root), 1, words, fix)


def _without_journal(schema: Schema) -> Schema:
    tables = tuple(table for table in schema.tables if fold(table.name) not in JOURNAL_TABLES)
    return dataclasses.replace(schema, tables=tables)


def _of_own_tables(found: Sequence[Difference]) -> list[Difference]:
    """Leave out the indexes and triggers of tables that no file makes: they are as much another program's."""
    strange = {fold(one.name) for one in found if one.change == "extra" and one.kind in ("table", "view")}
    return [one for one in found if one.kind in ("table", "view") or fold(one.table) not in strange]


def _of_difference(folder: Folder, one: Difference, fix: str) -> RuleFinding:
    place = str(folder.root)
    if one.change == "extra" and one.kind in _OF_OTHERS:
        fix = "leave it, or make it by a migration if it belongs to the schema"
        return RuleFinding("V005", "info", place, 1, f"{one}, made by no file of the folder", fix)
    return RuleFinding("V001", "error", place, 1, f"{one}", fix)


def _is_wrong(drift: Sequence[RuleFinding]) -> bool:
    return any(one.severity == "error" for one in drift)


def _missing(expected: Schema, found: Sequence[Difference]) -> Iterator[str]:
    """Give the statements that make what is missing on PostgreSQL, where the plan as a whole is refused."""
    missing = {one.name for one in found if one.change == "missing"}
    for step in derive(expected).steps:
        if step.name in missing:
            yield step.sql


def _drops(found: Sequence[Difference]) -> Iterator[str]:
    """Give the statements that take away what holds no rows, and no file makes or one makes otherwise."""
    for one in found:
        is_other = one.change == "changed" and one.kind in ("view", "trigger")
        if is_other or (one.change == "extra" and one.kind in ("index", "trigger")):
            yield f"DROP {one.kind.upper()} {quote(one.name)}"


def _closing(engine: Engine, script: str) -> tuple[str, ...]:
    """Give the statements of the plan that leads from the database to the replay, if it loses nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replay.sql"
        file.write_text(script, encoding="utf-8")
        try:
            # tables besides stay: no file of the folder speaks of them
            target = dataclasses.replace(target_of(schema_file=file), is_whole=False)
            steps = migrate(engine, target, plan=True).steps
        except MigrationRefused:
            # rows are in the way, or PostgreSQL has no way; the findings say what differs
            return ()
    return tuple(step.sql for step in steps)


def _is_closed_by(statements: Sequence[str], live: Schema, expected: Schema) -> bool:
    """Try statements on a copy without rows: what a migration rebuilds cannot be written as a statement."""
    texts = [table.sql for table in live.tables if table.kind != "shadow"]
    texts += [index.sql for table in live.tables for index in table.indexes]
    texts += [one.sql for one in (*live.views, *live.triggers)]
    with closing(sqlite3.connect(":memory:")) as trial:
        try:
            for sql in (*texts, *statements):
                trial.execute(sql)
            found = _of_own_tables(differences(_without_journal(expected), _without_journal(read(trial))))
        except sqlite3.Error:
            return False
    return all(one.change == "extra" and one.kind in _OF_OTHERS for one in found)


def _against_scratch(
    engine: Engine, folder: Folder, applied: Sequence[MigrationFile], store_of: StoreOf | None
) -> _Drift:
    """Compare with a replay by PostgreSQL itself, in a new database."""
    with blank(engine) as scratch:
        runs = replay(scratch, applied, "datalayer", store_of=store_of)
        failed = runs[-1].failed if runs else None
        if failed is not None:
            words = f"{runs[-1].file.source}:{failed.line}: {failed.error}"
            return [_broken_file(folder, MigrationRefused(words))], ()
        expected = _things(scratch)
    found = compare_things(expected, _things(engine))
    return [_of_difference(folder, one, _BY_HAND) for one in found], ()


def _things(engine: Engine) -> Mapping[Key, Thing]:
    with engine.transaction(read=True):
        things = read_things(engine.connection(), engine.schema_name)
    return {key: thing for key, thing in things.items() if (thing.table or key[1]) not in JOURNAL_TABLES}
