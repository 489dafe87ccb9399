"""Take a database over that another tool, or an older program, migrated: what is applied, what is pending.

The foreign journal is read and never touched. Evidence is looked for in this order: our own table of names,
the journals of other tools, the shape of the schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Literal

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.adopt import advice
from datalayer.schema.adopt.journal import ForeignJournal
from datalayer.schema.adopt.matching import Match, Matching, match
from datalayer.schema.adopt.recognise import recognise
from datalayer.schema.adopt.shape import ShapeMatch, by_shape, check_names
from datalayer.schema.adopt.version_files import takes_store
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.numbered.lock import migration_lock
from datalayer.schema.numbered.moment import applied_times
from datalayer.schema.numbered.pending import Finding, Pending, finding, pending

__all__ = ["Adoption", "FileState", "adopt"]

State = Literal["recorded", "named", "applied", "changed", "pending"]
_PATIENCE_S = 60.0
# so many of the last files are tried where a version says more than the schema; each costs a replay
_SUSPECTS = 40
_TO_RECORD = ("named", "applied", "changed")


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of the folder as the database has it.

    `state` is recorded (in our journal already), named (our table of names has it, without checksum), applied
    (somebody else applied it), changed (applied with another content), pending. `origin` is who says so, `by`
    how the file was found: content, name, number, time, version, baseline, shape.
    """

    file: MigrationFile
    state: State
    origin: str = ""
    by: str = ""
    applied_at: datetime | None = None

    @property
    def name(self) -> str:
        """The file's name as history holds it."""
        return self.file.name


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is known of a database that others migrated, and what was recorded.

    `files` are in the folder's order, `to_record` the names that taking it over writes, in order of
    application. `without_file` are (origin, name) of what a journal calls applied and the folder lacks.
    `shape` compares the live schema with a replay of all that is applied, None in an empty database.
    `was_written` says that it was done. Findings: J001 applied with another content, J002 a pending file
    sorts before an applied one, J003 the other tool would skip a file, J004 no file; A001 a file that changes
    no schema is taken as applied, A002 two journals disagree, A003 something the journal cannot tell, A004
    Python files whose effect is not known, A006 a pending Python file that is not written for us; DL-C020 to
    DL-C022 where the schema is not what the files make. A refusal's finding is A005.
    """

    journals: tuple[ForeignJournal, ...]
    files: tuple[FileState, ...]
    to_record: tuple[str, ...]
    without_file: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    shape: ShapeMatch | None
    was_written: bool = False

    @property
    def pending(self) -> tuple[str, ...]:
        """The names of the files that are really left to apply, by name set."""
        return tuple(state.name for state in self.files if state.state == "pending")


def adopt(engine: Engine, folder: Folder, *, apply: bool) -> Adoption:
    """Find what of a folder a database has had, and with `apply` record it in our tables.

    Without `apply` nothing is written. Recorded are rows of `migrations` and `migrations_journal` (kind
    adopted, origin as "drizzle __drizzle_migrations"), in one transaction with the lock of a migration; the
    checksums are those of the files as they are now. Calling it again finds nothing to do.

    Raises MigrationRefused where a journal says that a migration failed half-way or is going on, where a
    database without any journal has the shape of no beginning of the folder, inside a transaction, and for a
    folder that cannot be read or has no migrations, and a table `migrations` of another program.

        adopt(engine, Folder(Path("drizzle")), apply=False).pending      # ('0002_orders',)
    """
    if engine.in_transaction:
        raise MigrationRefused(
            "taking over a database cannot run inside a transaction",
            hint="leave the transaction() block first",
        )
    history.refuse_foreign(engine)
    if not folder.files():
        raise _no_files(folder)
    journals = recognise(engine)
    _refuse_blocked(engine, journals)
    known = pending(engine, folder)
    work = _Work(engine, folder, journals, known)
    found = work.look()
    if apply and found.to_record:
        _record(engine, folder, found)
        return replace(found, was_written=True)
    return found


class _Work:
    """One look at one database."""

    def __init__(
        self, engine: Engine, folder: Folder, journals: Sequence[ForeignJournal], known: Pending
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.journals = journals
        self.known = known
        self.files = folder.files()
        self.states: dict[str, FileState] = {}
        self.findings: list[Finding] = []

    def look(self) -> Adoption:
        matchings = [match(each, self.folder) for each in self.journals]
        self._take_recorded()
        for matching in matchings:
            self._take_journal(matching)
        shape = self._compare()
        without = [(one.journal.origin, entry.name) for one in matchings for entry in one.without_file]
        self.findings += advice.about_journals(matchings, self.files, self.states)
        self.findings += advice.about_order(self.files, self.states)
        self.findings += self._not_runnable()
        if shape is not None:
            self.findings += advice.about_shape(shape)
        return Adoption(
            tuple(self.journals),
            tuple(self.states.get(file.name, FileState(file, "pending")) for file in self.files),
            tuple(name for name, state in self.states.items() if state.state in _TO_RECORD),
            tuple(without),
            tuple(self.findings),
            shape,
        )

    def _not_runnable(self) -> list[Finding]:
        """Say which pending Python files are written for another tool and cannot be applied here."""
        left = [file for file in self.files if file.kind == "python" and file.name not in self.states]
        return [
            finding(
                "A006",
                "warning",
                str(file.source),
                f"{file.label} is pending, and is written for another tool: it has no up(store)",
                fix="apply it with that tool first, or write it as up(store) or as a .sql file",
            )
            for file in left
            if not takes_store(file.read())
        ]

    def _take_recorded(self) -> None:
        """Take what our own tables say, in their order."""
        files = {file.name: file for file in self.files}
        times = applied_times(self.engine) if self.known.without_journal else {}
        for name in self.known.applied:
            row = self.known.journal.get(name)
            if name in files:
                state: State = "named" if row is None else "recorded"
                origin = "migrations" if row is None else row.origin or "migrations"
                at = times.get(name) if row is None else row.applied_at
                self.states[name] = FileState(files[name], state, origin, "name", at)

    def _take_journal(self, matching: Matching) -> None:
        for one in matching.matches:
            if one.file.name not in self.states:
                self.states[one.file.name] = _state_of(one, matching.journal)

    def _compare(self) -> ShapeMatch | None:
        """Compare the schema with what is called applied; where nobody says anything, ask the schema."""
        if self.states:
            shape = check_names(self.engine, self.folder, tuple(self.states), journals=self.journals)
            return shape if shape.exact or shape.refused else self._find_skipped(shape)
        shape = by_shape(self.engine, self.folder, journals=self.journals)
        if not shape.exact:
            raise _no_shape(self.engine, self.folder, shape, self.journals)
        origin = " ".join(["shape", *(f"({each.origin})" for each in self.journals)])
        for file in self.files[: len(shape.names)]:
            self.states[file.name] = FileState(file, "applied", origin, "shape")
        return shape if shape.names else None

    def _find_skipped(self, shape: ShapeMatch) -> ShapeMatch:
        """Find the file that came late and below the version of a tool that keeps nothing but that.

        Such a tool passes it over in silence; without it the schema is what the files make.
        """
        marks = {each.origin: each for each in self.journals if each.mark is not None}
        suspects = [state for state in self.states.values() if state.origin in marks]
        for state in suspects[-_SUSPECTS:]:
            names = tuple(name for name in self.states if name != state.name)
            without = check_names(self.engine, self.folder, names, journals=self.journals)
            if without.exact and not without.refused:
                del self.states[state.name]
                self.findings.append(advice.about_skipped(state.file, marks[state.origin]))
                return without
        return shape


def _state_of(one: Match, source: ForeignJournal) -> FileState:
    state: State = "changed" if one.content == "changed" else "applied"
    return FileState(one.file, state, source.origin, one.by, one.entry.applied_at)


def _refuse_blocked(engine: Engine, journals: Sequence[ForeignJournal]) -> None:
    blocked = [each for each in journals if each.blocked]
    if blocked:
        findings = [
            finding("A005", "error", each.table, f"{each.tool}: {each.blocked}", fix=each.to_repair)
            for each in blocked
        ]
        raise MigrationRefused(
            f"{engine.display_url} cannot be taken over from {blocked[0].tool} now; nothing was changed",
            findings=findings,
            why=f"{blocked[0].table}: {blocked[0].blocked}",
            hint=blocked[0].to_repair,
        )


def _no_files(folder: Folder) -> MigrationRefused:
    return MigrationRefused(
        f"{folder.root} has no migrations that could be taken over",
        why="files are called like 0001_name.sql or .py, if they are not drizzle's, prisma's or flyway's",
        hint="give the folder that holds them, as .sql files where the other tool's are in another language",
    )


def _no_shape(
    engine: Engine, folder: Folder, shape: ShapeMatch, journals: Sequence[ForeignJournal]
) -> MigrationRefused:
    nearest = f"nearest is {shape.names[-1]}" if shape.names else "nearest is the empty schema"
    reasons = [str(difference) for difference in shape.differences[:4]]
    if len(shape.differences) > 4:
        reasons.append(f"and {len(shape.differences) - 4} more")
    if shape.refused:
        reasons.insert(0, f"the replay ended early ({shape.refused})")
    told = "".join(f"; no entry of {each.origin} matches a file" for each in journals if each.entries)
    return MigrationRefused(
        f"{engine.display_url} has the shape of no beginning of {folder.root}; nothing was changed",
        findings=advice.about_shape(shape),
        why=f"{nearest}: {'; '.join(reasons)}{told}",
        hint="give the folder that made it, or bring the schema to one of these states",
    )


def _lock(engine: Engine) -> AbstractContextManager[None]:
    """Keep migrators out; on SQLite the write transaction does."""
    if engine.dialect.name == "sqlite":
        return nullcontext()
    return migration_lock(engine, monotonic() + _PATIENCE_S)


def _record(engine: Engine, folder: Folder, found: Adoption) -> None:
    """Write the rows, all or none, with the lock that migrators take."""
    states = {state.name: state for state in found.files}
    with _lock(engine), engine.transaction():
        journal.ensure(engine)
        names = set(history.applied_names(engine))
        rows = {row.name: row for row in journal.read(engine)}
        ordinal = max((row.ordinal for row in rows.values()), default=0)
        for state in (states[name] for name in found.to_record):
            if state.name not in names:
                _record_name(engine, state)
            if state.name not in rows:
                ordinal += 1
                moment = state.applied_at or engine.clock()
                facts = {"kind": "adopted", "state": "applied", "started_at": moment, "applied_at": moment}
                origin = (
                    f"{state.origin} (with another content)" if state.state == "changed" else state.origin
                )
                journal.write(engine, journal.row_of(engine, state.file, ordinal, origin=origin, **facts))
        # names that no file stands for any more
        journal.import_names(engine, folder)


def _record_name(engine: Engine, state: FileState) -> None:
    """Write the plain row that old programs read, with the time of application where it is known."""
    if state.applied_at is None or "applied_at" not in engine.columns("migrations"):
        history.record(engine, (state.name,))
        return
    # as text: the column is one on SQLite and may be one on PostgreSQL
    text = state.applied_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    sql = engine.dialect.sql("INSERT INTO migrations (name, applied_at) VALUES (?, ?)")
    engine.write(sql, (state.name, text))
