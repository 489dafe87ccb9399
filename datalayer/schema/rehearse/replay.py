"""Running pending files on a copy, statement by statement, the way a given tool would run them.

datalayer: foreign keys off around the files, PRAGMAs and BEGIN passed over, statements that need it outside
of the transaction. plain, d1: each file in one transaction with foreign keys enforced, every statement as it
stands; there PRAGMA foreign_keys is ignored, as SQLite ignores it in a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal, LiteralString, NamedTuple, cast

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.numbered.manner import foreign_keys_wish, manner_of
from datalayer.schema.numbered.noop import no_op
from datalayer.schema.numbered.python_file import StoreOf, call_up, load_up, no_store
from datalayer.schema.pace import Progress
from datalayer.schema.rehearse.facts import Facts
from datalayer.schema.rehearse.limits import reaches_beyond, refused_by_d1, steers_transaction
from datalayer.schema.rehearse.report import Tool
from datalayer.schema.rehearse.watch import PostgresWatch, SqliteWatch
from datalayer.schema.tokens import Statement

__all__ = ["FileRun", "Ran", "replay"]


@dataclass(frozen=True, slots=True)
class Ran:
    """One statement that was run; `statement` is None for a Python file as a whole.

    `said` are the server's notices, `code` the driver's name or number of the error.
    """

    statement: Statement | None
    before: Facts
    after: Facts
    seconds: float
    error: str | None = None
    code: str = ""
    said: tuple[str, ...] = ()
    no_op: str | None = None
    was_passed_over: bool = False

    @property
    def line(self) -> int:
        """The line on which it begins."""
        return self.statement.line if self.statement else 1


@dataclass(slots=True)
class FileRun:
    """One file with what its statements did; `before` and `after` are the facts around it."""

    file: MigrationFile
    before: Facts
    after: Facts
    ran: list[Ran] = field(default_factory=list[Ran])
    has_foreign_keys: bool = False

    @property
    def failed(self) -> Ran | None:
        """The statement that failed, if one did."""
        return next((one for one in self.ran if one.error is not None), None)


@dataclass(slots=True)
class _Replay:
    engine: Engine
    tool: Tool
    store_of: StoreOf | None
    watch: SqliteWatch | PostgresWatch
    is_sqlite: bool


def replay(
    engine: Engine,
    files: Sequence[MigrationFile],
    tool: Tool,
    *,
    store_of: StoreOf | None = None,
    progress: Progress | None = None,
) -> list[FileRun]:
    """Run the files on a copy, until one fails; what the failed one did is undone.

    Raises MigrationRefused for a Python file without `store_of`.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    watch: SqliteWatch | PostgresWatch = SqliteWatch(engine) if is_sqlite else PostgresWatch(engine)
    work = _Replay(engine, tool, store_of, watch, is_sqlite)
    found: list[FileRun] = []
    for done, file in enumerate(files):
        before = watch.look()
        run = FileRun(file, before, before, has_foreign_keys=_enforces(work, file))
        _run_file(work, run)
        found.append(run)
        run.after = watch.look()
        if progress is not None:
            progress(done + 1, len(files))
        if run.failed:
            break
    return found


def _enforces(work: _Replay, file: MigrationFile) -> bool:
    if not work.is_sqlite:
        return True
    return work.tool != "datalayer" or foreign_keys_wish(file.statements()) is True


class _Failed(Exception):
    """Leaves a transaction so that nothing of it is kept."""


def _run_file(work: _Replay, run: FileRun) -> None:
    if work.is_sqlite:
        work.engine.connection().execute(f"PRAGMA foreign_keys = {int(run.has_foreign_keys)}")
    try:
        if run.file.kind == "python":
            with work.engine.transaction():
                _run_python(work, run)
            return
        for group in _groups(work, run.file):
            _run_group(work, run, group)
    except _Failed:
        return
    finally:
        if not work.is_sqlite:
            work.engine.execute("RESET ALL")
            work.engine.execute(f"SET search_path = {work.engine.dialect.quote(work.engine.schema_name)}")


def _groups(work: _Replay, file: MigrationFile) -> list[list[Statement]]:
    """Divide a file into what goes together in one transaction."""
    statements = file.statements(work.engine.dialect.name)
    if work.tool != "datalayer" or work.is_sqlite:
        return [statements]
    manners = [manner_of(one, "postgresql").how for one in statements]
    if "outside" in manners or ("alone" in manners and len(manners) > 1):
        return [[one] for one in statements]
    return [statements]


def _run_group(work: _Replay, run: FileRun, group: list[Statement]) -> None:
    is_outside = (
        not work.is_sqlite
        and work.tool == "datalayer"
        and len(group) == 1
        and manner_of(group[0], "postgresql").how == "outside"
    )
    with ExitStack() as stack:
        if not is_outside:
            stack.enter_context(work.engine.transaction())
        if not work.is_sqlite:
            settings = "lock_timeout = 0" if work.tool != "datalayer" else "lock_timeout = '2s'"
            for setting in (settings, "client_min_messages = debug1"):
                work.engine.execute(f"SET {'' if is_outside else 'LOCAL '}{setting}")
        last = work.watch.look()
        for statement in group:
            last = _run_statement(work, run, statement, last)


def _run_statement(work: _Replay, run: FileRun, statement: Statement, last: Facts) -> Facts:
    work.watch.notices()
    way = _way(work, statement)
    if way.how in ("skip", "beyond"):
        said = "beyond" if way.how == "beyond" else None
        run.ran.append(Ran(statement, last, last, 0.0, no_op=said, was_passed_over=True))
        return last
    if way.how == "refuse":
        run.ran.append(Ran(statement, last, last, 0.0, way.why, way.code))
        raise _Failed
    nothing = _no_op(work, statement)
    connection: Any = work.engine.connection()
    started = perf_counter()
    try:
        cursor = connection.execute(cast("LiteralString", statement.text))
        # rows of a PRAGMA or SELECT are computed as they are fetched
        if work.is_sqlite or cursor.description is not None:
            cursor.fetchall()
    except work.engine.driver_errors as exc:
        seconds = perf_counter() - started
        run.ran.append(Ran(statement, last, last, seconds, _message(exc), _code(exc)))
        raise _Failed from exc
    seconds = perf_counter() - started
    said = tuple(work.watch.notices())
    after = work.watch.look(last)
    run.ran.append(Ran(statement, last, after, seconds, said=said, no_op=nothing))
    return after


class _Way(NamedTuple):
    how: Literal["run", "skip", "beyond", "refuse"]
    why: str = ""
    code: str = ""


def _way(work: _Replay, statement: Statement) -> _Way:
    """Say how the tool goes about a statement, and whether it may be run on a copy at all."""
    if not work.is_sqlite and reaches_beyond(statement):
        return _Way("beyond")
    if work.tool == "datalayer":
        manner = manner_of(statement, work.engine.dialect.name)
        if manner.how == "skip":
            return _Way("skip")
        return _Way("refuse", manner.why, "D005") if manner.how == "refuse" else _Way("run")
    if steers_transaction(statement):
        return _Way("refuse", "the tool has a transaction open around the file", "T001")
    if work.tool == "d1" and (why := refused_by_d1(statement)):
        return _Way("refuse", why, "D005")
    return _Way("run")


def _no_op(work: _Replay, statement: Statement) -> str | None:
    try:
        found = no_op(work.engine, statement)
    except DataLayerError:
        # what it asks cannot be asked here; the statement itself will tell
        return None
    return found.result if found else None


def _run_python(work: _Replay, run: FileRun) -> None:
    if work.store_of is None:
        raise no_store(str(run.file.source), "rehearse it with `datalayer migrations rehearse`")
    before, started = run.before, perf_counter()
    try:
        with work.engine.transaction():
            call_up(run.file, load_up(run.file), work.store_of(work.engine))
    except MigrationRefused as exc:
        run.ran.append(Ran(None, before, before, perf_counter() - started, exc.why or exc.what))
        raise _Failed from exc
    seconds = perf_counter() - started
    run.ran.append(Ran(None, before, work.watch.look(), seconds, said=tuple(work.watch.notices())))


def _message(exc: BaseException) -> str:
    return str(exc).partition("\n")[0]


def _code(exc: BaseException) -> str:
    if isinstance(exc, sqlite3.Error):
        return str(getattr(exc, "sqlite_errorname", "") or "")
    return str(getattr(exc, "sqlstate", "") or "")
