"""Bulk imports: each row taken or refused by itself, and none taken twice, whatever happens in between.

The rows of a batch, the errors among them and the counters of the session are one transaction, so the
counters say exactly where to go on after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from datalayer.domains.workspaces.import_model import ImportFailure, ImportSession, ImportStatus
from datalayer.engine.connection import Engine
from datalayer.errors import (
    CheckViolation,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    DataLayerError,
    InvalidTransition,
    SchemaMismatch,
    StaleVersion,
    TransactionDied,
    UniqueViolation,
)
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Imports"]

Row = Mapping[str, Any]
# what says nothing of the row: the import stops, and may go on later
_NOT_THE_ROW = (DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable, SchemaMismatch, TransactionDied)
_THE_ROW = (DataLayerError, ValueError, LookupError, TypeError)
_LONGEST_MESSAGE = 1_000
_HIDDEN = "***"


class Imports(Repository[ImportSession]):
    """`store.workspaces.imports`; `failures` is the plain repository of the rows that were refused.

    session = imports.begin("users", source_digest(path))
    done = imports.run(session.id, csv.DictReader(file), lambda row: accounts.add(**row))
    """

    def __init__(
        self, engine: Engine, model: type[ImportSession] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.failures = Repository(engine, ImportFailure)

    def begin(
        self,
        kind: str,
        digest: str,
        *,
        source_name: str = "",
        started_by: str | None = None,
        total_rows: int | None = None,
    ) -> ImportSession:
        """Open the import of a source, or give the one of it that is not done, for `run` to go on with.

        `digest` is what `source_digest` gives. `total_rows`, where it is known, must be what the source
        holds: an import that ends before is not completed.

        Raises:
            InvalidTransition: this source was imported already.
            CheckViolation: no kind, or a digest that is none.
            ForeignKeyViolation: there is no such user.
        """
        found: ImportSession | None = None
        while found is None:
            try:
                with self.engine.transaction():
                    return self.add(
                        kind=kind,
                        source_digest=digest,
                        source_name=source_name,
                        started_by=started_by,
                        total_rows=total_rows,
                    )
            except UniqueViolation:
                # None where it was canceled between the two statements
                found = self.one_or_none(kind=kind, source_digest=digest, status=["running", "completed"])
        if found.status == "completed":
            raise InvalidTransition(
                f"this source of {kind} was imported already",
                current="completed",
                wanted="running",
                why=f"by the import {found.id}, at {found.finished_at}",
            )
        return found

    def run(
        self,
        session_id: str,
        rows: Iterable[Row],
        write: Callable[[Row], object],
        *,
        batch: int = 200,
        hidden: Sequence[str] = (),
    ) -> ImportSession:
        """Write all rows of the source that are not done yet, and give the completed session.

        `write` stores one row in this database; what it raises for a row (an error of datalayer, ValueError,
        LookupError, TypeError) undoes that row alone and is recorded. `batch` rows are one transaction. After
        a crash call `begin` and `run` again with all rows: those that are done are passed over. Rows of a
        batch that was undone are written again, so `write` must have no effect outside the database.
        Values of the fields named by `hidden` are not recorded with errors.

        Raises:
            NotFound: there is no such session.
            InvalidTransition: it is not running.
            StaleVersion: somebody else goes on with it at the same time.
            CheckViolation: the source holds more or fewer rows than were announced or are done.
            DataLayerError: the database cannot go on; what is done stays done.
        """
        session = self._running(self.get(session_id), session_id)
        done = session.processed_rows
        numbered = enumerate(rows, 1)
        skipped = sum(1 for _ in islice(numbered, done))
        if skipped < done:
            raise _other_source(skipped, done)
        while chunk := list(islice(numbered, batch)):
            self.engine.run_transaction(self._write_batch, session_id, done, chunk, write, hidden)
            done += len(chunk)
        return self._complete(session_id, done)

    def fail(self, session_id: str, message: str) -> ImportSession:
        """Give an import up; its source may be imported anew then, from the first row.

        Raises:
            NotFound: there is no such session.
            InvalidTransition: it is not running.
        """
        return self._end(session_id, "failed", message)

    def cancel(self, session_id: str) -> ImportSession:
        """Stop an import on purpose; a process that works on it gets InvalidTransition at its next batch.

        Raises:
            NotFound: there is no such session.
            InvalidTransition: it is not running.
        """
        return self._end(session_id, "canceled", None)

    def page_failures(
        self, session_id: str, *, size: int = 50, after: str | None = None
    ) -> Page[ImportFailure]:
        """Give one page of the rows that were refused, in the order of the source."""
        return self.failures.page(session_id=session_id, order_by="row_number", size=size, after=after)

    def page_newest(self, *, size: int = 50, after: str | None = None, **equals: Any) -> Page[ImportSession]:
        """Give one page of the imports, the newest first; `equals` are fields as for `find`."""
        return self.page(order_by=("-created_at", "-id"), size=size, after=after, **equals)

    # -- pieces ------------------------------------------------------------------------------------

    def _running(self, session: ImportSession, key: str) -> ImportSession:
        if session.status != "running":
            raise InvalidTransition(
                f"the import {key!r} is {session.status}", current=session.status, wanted="running"
            )
        return session

    def _write_batch(
        self,
        session_id: str,
        done: int,
        chunk: list[tuple[int, Row]],
        write: Callable[[Row], object],
        hidden: Sequence[str],
    ) -> None:
        session = self._running(self.for_update().get(session_id), session_id)
        if session.processed_rows != done:
            raise StaleVersion(
                f"somebody else goes on with the import {session_id!r}",
                why=f"{session.processed_rows} rows are done, not {done}",
                hint="leave it to them",
            )
        if session.total_rows is not None and done + len(chunk) > session.total_rows:
            raise _other_source(done + len(chunk), session.total_rows)
        failures = [
            failure
            for number, row in chunk
            if (failure := self._write_row(session_id, number, row, write, hidden)) is not None
        ]
        self.failures.add_many(failures)
        self.update(
            session_id,
            succeeded_rows=session.succeeded_rows + len(chunk) - len(failures),
            failed_rows=session.failed_rows + len(failures),
        )

    def _write_row(
        self, session_id: str, number: int, row: Row, write: Callable[[Row], object], hidden: Sequence[str]
    ) -> dict[str, Any] | None:
        """Write one row in a block of its own; give what is recorded where it is refused."""
        try:
            with self.engine.transaction():
                write(row)
        except _NOT_THE_ROW:
            raise
        except _THE_ROW as exc:
            code = exc.code if isinstance(exc, DataLayerError) else type(exc).__name__
            return {
                "session_id": session_id,
                "row_number": number,
                "error_code": code,
                "message": _message(exc, row, hidden),
                "row_data": _storable({**row, **{name: _HIDDEN for name in hidden if name in row}}),
                "created_at": self.engine.clock(),
            }
        return None

    def _complete(self, session_id: str, done: int) -> ImportSession:
        with self.engine.transaction():
            session = self._running(self.for_update().get(session_id), session_id)
            if session.total_rows is not None and session.total_rows != done:
                raise _other_source(done, session.total_rows)
            self.update(session, status="completed", total_rows=done, finished_at=self.engine.clock())
        return session

    def _end(self, session_id: str, status: ImportStatus, message: str | None) -> ImportSession:
        with self.engine.transaction():
            session = self._running(self.for_update().get(session_id), session_id)
            self.update(session, status=status, error_message=message, finished_at=self.engine.clock())
        return session


def _other_source(found: int, wanted: int) -> CheckViolation:
    return CheckViolation(
        f"the source holds {found} rows or more, not {wanted}"
        if found > wanted
        else f"the source holds {found} rows, not {wanted}",
        why="this is not the source that the import began with, or it was cut short",
        hint="run it with the whole source, or cancel it",
    )


def _message(exc: BaseException, row: Row, hidden: Sequence[str]) -> str:
    text = str(exc) or type(exc).__name__
    for name in hidden:
        value = str(row.get(name) or "")
        if value:
            text = text.replace(value, _HIDDEN)
    return _clean(text)[:_LONGEST_MESSAGE]


def _storable(value: object) -> Any:
    """Give what JSON can hold of a value, on both engines."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return {_clean(str(key)): _storable(entry) for key, entry in entries.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in cast("Sequence[Any]", value)]
    return _clean(str(value))


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
