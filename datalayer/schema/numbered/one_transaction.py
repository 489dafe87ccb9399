"""The run's transaction around a Python file: whose end is the run's, not the file's.

SQLite refuses a COMMIT or ROLLBACK while the file runs, also that of `executescript`. PostgreSQL cannot be
told so; there it is found afterwards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, MigrationRefused
from datalayer.schema.numbered.folder import MigrationFile

__all__ = ["one_transaction"]

# https://www.postgresql.org/docs/current/libpq-status.html: PQTRANS_IDLE
_IDLE = 0


@contextmanager
def one_transaction(engine: Engine, file: MigrationFile) -> Generator[None]:
    """Keep a block within the transaction that is open.

    Raises MigrationRefused where it tried to end it; on PostgreSQL it has, and what came before is kept.
    """
    ended: list[str] = []
    if engine.dialect.name == "sqlite":
        connection: sqlite3.Connection = engine.connection()

        def authorize(action: int, operation: str | None, *_: str | None) -> int:
            if action != sqlite3.SQLITE_TRANSACTION:
                return sqlite3.SQLITE_OK
            ended.append(str(operation))
            return sqlite3.SQLITE_DENY

        connection.set_authorizer(authorize)
        try:
            yield
        except DataLayerError as exc:
            raise (_refused(file, ended[0], is_kept=False) if ended else exc) from exc
        finally:
            connection.set_authorizer(None)
        return
    failure: DataLayerError | None = None
    try:
        yield
    except DataLayerError as exc:
        failure = exc
    if engine.has_connection and engine.connection().info.transaction_status == _IDLE:
        raise _refused(file, "COMMIT or ROLLBACK", is_kept=True) from failure
    if failure is not None:
        raise failure


def _refused(file: MigrationFile, word: str, *, is_kept: bool) -> MigrationRefused:
    kept = "; what a COMMIT came after is kept, and the file is not recorded" if is_kept else ""
    return MigrationRefused(
        f"{file.source}: up(store) ends the run's transaction by {word}{kept}",
        why="a migration is kept together with the note that it was applied, or not at all",
        hint="leave it out; executescript() does it too: execute the statements one by one",
    )
