"""An engine whose SQLite is the one that apsw brings: the newest release, and any VFS by its name.

`ApswConnection` has what the package uses of sqlite3.Connection. Two copies of SQLite in one process must
not hold the same file open at the same time (sqlite.org/howtocorrupt.html, 2.2.1), so whoever looks at a file
beside such an engine does so through apsw too.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from datalayer.engine.address import Address
from datalayer.engine.connection import Options
from datalayer.engine.sqlite import SqliteEngine

__all__ = ["ApswConnection", "ApswEngine", "open_apsw"]

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")
# as _pysqlite_seterror() in CPython's Modules/_sqlite/util.c has them
_CLASSES: dict[int, type[sqlite3.Error]] = {
    apsw.SQLITE_INTERNAL: sqlite3.InternalError,
    apsw.SQLITE_NOTFOUND: sqlite3.InternalError,
    apsw.SQLITE_CORRUPT: sqlite3.DatabaseError,
    apsw.SQLITE_NOTADB: sqlite3.DatabaseError,
    apsw.SQLITE_TOOBIG: sqlite3.DataError,
    apsw.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    apsw.SQLITE_MISMATCH: sqlite3.IntegrityError,
    apsw.SQLITE_MISUSE: sqlite3.InterfaceError,
    apsw.SQLITE_RANGE: sqlite3.InterfaceError,
}


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    """Turn apsw's errors into sqlite3's, with their codes."""
    try:
        yield
    except apsw.Error as exc:
        raise _error(exc) from exc
    except UnicodeDecodeError as exc:
        raise sqlite3.OperationalError(f"Could not decode to UTF-8: {exc}") from exc


def _error(exc: apsw.Error) -> Exception:
    code = getattr(exc, "extendedresult", -1)
    if code < 0:
        # what apsw itself says: a closed connection, bindings that do not fit
        closed = isinstance(exc, apsw.ConnectionClosedError | apsw.CursorClosedError)
        return sqlite3.ProgrammingError("Cannot operate on a closed database." if closed else str(exc))
    primary = code & 0xFF
    if primary == apsw.SQLITE_NOMEM:
        return MemoryError()
    error = _CLASSES.get(primary, sqlite3.OperationalError)(str(exc))
    names = apsw.mapping_extended_result_codes if code > 0xFF else apsw.mapping_result_codes
    error.sqlite_errorcode = code
    error.sqlite_errorname = str(names.get(code, "SQLITE_ERROR"))
    return error


def _in_utf8(stored: bytes, encoding: str) -> bytes:
    """Give a text's bytes as sqlite3 hands them out: UTF-8, whatever the file's encoding is."""
    return stored if encoding == "UTF-8" else stored.decode(encoding, "replace").encode()


class ApswCursor:
    """A cursor like sqlite3's."""

    def __init__(self, owner: ApswConnection) -> None:
        self._owner = owner
        self._cursor = owner.plain.cursor()
        self.row_factory: None = None
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self._rows: Iterator[Any] = iter(())

    def _run(self, sql: str, parameters: tuple[Any, ...]) -> None:
        # only a tracer sees the description of a statement that gives no row; left in place it would keep
        # this cursor, and so its statement and locks, alive in a cycle
        self._cursor.exec_trace = self._look
        try:
            self._cursor.execute(sql, parameters)
        finally:
            self._cursor.exec_trace = None

    def _look(self, cursor: apsw.Cursor, _: str, __: object) -> bool:
        self.description = tuple(cursor.get_description()) or None
        return True

    def execute(self, sql: str, parameters: Sequence[Any] | None = ()) -> ApswCursor:
        if self._owner.before_statement is not None:
            self._owner.before_statement(sql)
        with _as_sqlite3():
            if self._owner.text_factory is str:
                self._run(sql, tuple(parameters or ()))
                self._rows = iter(self._cursor)
            else:
                self._rows = iter(self._raw_rows(sql, tuple(parameters or ())))
        self._count(sql)
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> ApswCursor:
        before = self._owner.total_changes
        with _as_sqlite3():
            self._cursor.executemany(sql, rows)
        self.rowcount = self._owner.total_changes - before
        return self

    def _count(self, sql: str) -> None:
        is_write = sql.lstrip().upper().startswith(_WRITES)
        self.rowcount = self._owner.plain.changes() if is_write else -1

    def _raw_rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Give the rows of a SELECT with its texts as the text factory makes them of their bytes."""
        self._run(f"SELECT * FROM ({sql}) LIMIT 0", parameters)
        names = [f"c{place}" for place, _ in enumerate(self.description or ())]
        cells = ", ".join(
            f"typeof({one}), CASE typeof({one}) WHEN 'text' THEN CAST({one} AS BLOB) ELSE {one} END"
            for one in names
        )
        self._cursor.execute(f"WITH q({', '.join(names)}) AS ({sql}) SELECT {cells} FROM q", parameters)
        make, rows = self._owner.text_factory, self._cursor.fetchall()
        encoding = str(self._owner.plain.pragma("encoding"))
        return [
            tuple(
                make(_in_utf8(value, encoding)) if kind == "text" else value
                for kind, value in zip(row[::2], row[1::2], strict=True)
            )
            for row in rows
        ]

    def fetchone(self) -> Any:
        with _as_sqlite3():
            return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        with _as_sqlite3():
            return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with _as_sqlite3():
            return next(self._rows)

    def close(self) -> None:
        self._cursor.close()


class ApswConnection:
    """A connection like sqlite3's in autocommit mode, over apsw's SQLite.

    `before_statement` is called with each statement, and may raise in its place.
    """

    def __init__(self, name: str, *, vfs: str | None = None, timeout_s: float = 5.0) -> None:
        with _as_sqlite3():
            self.plain = apsw.Connection(name, flags=_FLAGS, vfs=vfs)
        self.plain.set_busy_timeout(int(timeout_s * 1000))
        self.text_factory: Any = str
        self.before_statement: Callable[[str], object] | None = None

    @property
    def in_transaction(self) -> bool:
        return self.plain.in_transaction

    @property
    def total_changes(self) -> int:
        return self.plain.total_changes()

    def cursor(self) -> ApswCursor:
        with _as_sqlite3():
            return ApswCursor(self)

    def execute(self, sql: str, parameters: Sequence[Any] | None = ()) -> ApswCursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> ApswCursor:
        return self.cursor().executemany(sql, rows)

    def set_progress_handler(self, handler: Callable[[], Any] | None, steps: int) -> None:
        self.plain.set_progress_handler(handler, steps if handler else -1)

    def create_function(
        self, name: str, count: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        self.plain.create_scalar_function(name, function, count, deterministic=deterministic)

    def close(self) -> None:
        with _as_sqlite3():
            self.plain.close()


class ApswEngine(SqliteEngine):
    """A SQLite file opened by apsw, by default with the system's own VFS."""

    def __init__(self, address: Address, options: Options, *, vfs: str | None = None) -> None:
        self.vfs = vfs
        super().__init__(address, options)

    def _connect(self) -> Any:
        return ApswConnection(self._uri, vfs=self.vfs, timeout_s=self.options.busy_timeout_s)

    def _pragmas(self) -> list[tuple[str, str, Any]]:
        # from 3.41 on JSON functions are innocuous, so that the package trusts no schema there
        settings = [one for one in super()._pragmas() if one[0] != "trusted_schema"]
        return [("trusted_schema", "OFF", 0), *settings]


def open_apsw(
    target: str | os.PathLike[str], options: Options | None = None, *, vfs: str | None = None
) -> ApswEngine:
    """Open a database as `open_engine` would, by apsw."""
    return ApswEngine(Address.parse(target), options or Options(), vfs=vfs)
