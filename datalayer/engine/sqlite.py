"""SQLite: how a file or a memory database is opened, its gate, its write-ahead log.

Settings are read back after they are made, because SQLite ignores a misspelt PRAGMA silently. Why each is
set: docs/engine.md.
"""

from __future__ import annotations

import itertools
import logging
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

from datalayer.engine.address import Address
from datalayer.engine.bridge import SqliteFace
from datalayer.engine.connection import ALL_ROWS, Engine, Options, leave_behind
from datalayer.engine.dialect import SQLITE
from datalayer.engine.documents import same_json
from datalayer.engine.gate import FileGate, Gate, ThreadGate
from datalayer.engine.transaction import State
from datalayer.engine.translate import from_sqlite
from datalayer.errors import DatabaseBusy, DatabaseUnavailable, DataLayerError

__all__ = ["SqliteEngine"]

_log = logging.getLogger("datalayer.engine")

_memory_names = itertools.count(1)
_INNOCUOUS = 0x200000


@cache
def _json_is_innocuous() -> bool:
    """Say whether this SQLite lets a CHECK call json_valid() in a schema that is not trusted.

    Up to 3.40 it calls such a table malformed, since its JSON functions lack the flag (sqlite.org/c3ref/
    c_deterministic.html); rules that hold are worth more than that setting.
    """
    conn = sqlite3.connect(":memory:")
    try:
        row = conn.execute("SELECT flags FROM pragma_function_list WHERE name = 'json_valid'").fetchone()
    finally:
        conn.close()
    return row is not None and bool(row[0] & _INNOCUOUS)


class SqliteEngine(Engine):
    """A SQLite file, or a database in memory that all threads of the process share."""

    dialect = SQLITE
    driver_errors = (sqlite3.Error, OverflowError, UnicodeError)

    def __init__(self, address: Address, options: Options) -> None:
        super().__init__(address, options)
        self.path = address.path
        self._commits = 0
        if address.path is None:
            # a memdb of its own, shared by name among this engine's connections (sqlite.org, src/memdb.c)
            self._uri = f"file:/datalayer-{os.getpid()}-{next(_memory_names)}?vfs=memdb"
            self._gate: Gate = ThreadGate()
        else:
            mode = "ro" if self.read_only else "rwc" if options.create else "rw"
            self._uri = f"{address.path.as_uri()}?mode={mode}"
            self._gate = FileGate(address.path)
        self._check_place()
        self.state()
        if address.path is None:
            # the anchor: the memory goes with its last connection
            self._anchor = self._connect()

    def _check_place(self) -> None:
        path = self.path
        if path is None:
            return
        if not path.parent.is_dir():
            raise DatabaseUnavailable(
                f"cannot open {path}",
                why=f"the folder {path.parent} does not exist",
                hint="make it, or correct the path",
            )
        if path.is_dir():
            raise DatabaseUnavailable(
                f"cannot open {path}", why="it is a folder", hint="give the path of a file in it"
            )
        if not path.exists() and (self.read_only or not self.options.create):
            raise DatabaseUnavailable(
                f"cannot open {path}",
                why="there is no such file",
                hint="correct the path, or run `datalayer migrate`",
            )

    # -- statements --------------------------------------------------------------------------------

    def write(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Execute one statement that writes, queueing at the gate where it commits by itself."""
        state: State | None = getattr(self._local, "state", None)
        if state is None or not state.frames or self.statements.is_watched:
            return self._write(sql, params, None)
        # inside a block, where a call more would be a tenth of an insert
        if state.failure is not None or not state.conn.in_transaction:
            self.refuse_if_ended(state)
        try:
            return state.conn.execute(sql, params)
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql, params) from exc

    def write_one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Execute one statement that writes and gives one row back; None where it wrote nothing."""
        rows = self.write_all(sql, params)
        return rows[0] if rows else None

    def write_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute one statement that writes and gives rows back, in no order."""
        # all rows are fetched behind the gate: the statement commits when it has given its last
        return self._write(sql, params, ALL_ROWS)

    def _write(self, sql: str, params: Sequence[Any], take: Callable[[Any], Any] | None) -> Any:
        state = self.ready()
        commits = not state.frames
        if commits:
            self.enter_gate(state)
        try:
            return self.run(state, sql, params, take)
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql, params) from exc
        finally:
            if commits:
                self._leave_gate(state)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert many rows by one prepared statement; gives their number."""
        names = ", ".join(map(self.dialect.quote, columns))
        marks = ", ".join("?" * len(columns))
        return self.execute_many(f"INSERT INTO {self.dialect.quote(table)} ({names}) VALUES ({marks})", rows)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute one statement for each row; gives the number of rows changed."""
        state = self.ready()
        started = perf_counter()
        try:
            count: int = state.conn.executemany(sql, rows).rowcount
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql) from exc
        if self.statements.is_watched:
            self.statements.record(sql, (), perf_counter() - started)
        return count

    def refuse_if_ended(self, state: State) -> None:
        """Refuse a statement where it would be autocommitted although its block is still open in Python."""
        if state.failure is None and state.conn.in_transaction:
            return
        self.notice_death(state)
        state.refuse_if_doomed()

    def notice_death(self, state: State) -> bool:
        """Say whether SQLite ended the transaction by itself, and remember it."""
        if not state.dead and state.conn.in_transaction:
            return False
        if not state.dead:
            state.dead = True
            if state.failure is None:
                state.failure = DataLayerError("a COMMIT or ROLLBACK was executed inside the block")
        return True

    def probe_columns(self, table: str) -> list[str]:
        """Give a table's columns, also in a failed block: SQLite itself goes on answering."""
        return [row[0] for row in self.state().conn.execute(self.dialect.columns_sql, (table,)).fetchall()]

    # -- gate and upkeep ---------------------------------------------------------------------------

    def enter_gate(self, state: State) -> None:
        """Queue for the write lock."""
        wait_s = self.options.busy_timeout_s if state.wait_s is None else state.wait_s
        if not self._gate.enter(wait_s):
            raise DatabaseBusy(
                f"{self.display_url} is locked",
                why=f"other writers were at it for {wait_s:g} s",
                hint="try again, or raise busy_timeout_s",
            )
        state.gated = True

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Generator[None]:
        """Let this thread's connection wait for no lock longer than this, nor than `busy_timeout_s`."""
        state = self.begin_scope()
        state.wait_s = max(0.0, min(seconds, self.options.busy_timeout_s))
        state.conn.execute(f"PRAGMA busy_timeout = {int(state.wait_s * 1000)}")
        try:
            yield
        finally:
            state.wait_s = None
            self.end_scope(state)
            # one that is closed has nothing to be set back
            with suppress(sqlite3.ProgrammingError):
                state.conn.execute(f"PRAGMA busy_timeout = {int(self.options.busy_timeout_s * 1000)}")

    def restore(self, state: State, *, read: bool) -> None:
        """Undo what a block set on its connection, and let the next writer in."""
        if read:
            for statement in self.dialect.after_read():
                state.conn.execute(statement)
            self._warn_of_long_read(monotonic() - state.since if state.since else 0.0)
        if state.gated:
            self._leave_gate(state)
        state.since = 0.0

    def _leave_gate(self, state: State) -> None:
        state.gated = False
        self._gate.leave()
        self.bell.ring()
        self._commits += 1
        if self._commits % 256 == 0:
            self.tend_wal()

    def _warn_of_long_read(self, seconds: float) -> None:
        if seconds > self.options.long_read_s:
            _log.warning(
                "a read transaction on %s was open for %.1f s; the WAL cannot be reset meanwhile",
                self.display_url,
                seconds,
            )

    @property
    def wal_bytes(self) -> int:
        """The size of the write-ahead log now."""
        if self.path is None:
            return 0
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def tend_wal(self) -> bool:
        """Write a WAL that grew past `wal_warn_bytes` back into the file and empty it.

        False when readers prevent it.

        Looked at every 256 commits by itself. Warns with the oldest read transaction of this process, as a
        reader is what lets a WAL grow (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files").
        """
        size = self.wal_bytes
        if size <= self.options.wal_warn_bytes or self.in_transaction:
            return True
        conn = self.state().conn
        # a checkpoint that readers prevent would else keep this writer for the whole timeout
        conn.execute("PRAGMA busy_timeout = 0")
        try:
            blocked, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            conn.execute(f"PRAGMA busy_timeout = {int(self.options.busy_timeout_s * 1000)}")
        if blocked:
            oldest = max((monotonic() - s.since for s in self._states if s.since), default=0.0)
            _log.warning(
                "the WAL of %s has grown to %d MiB and a reader keeps it from being reset; "
                "the oldest transaction of this process is %.1f s old",
                self.display_url,
                size >> 20,
                oldest,
            )
        return not blocked

    # -- connections -------------------------------------------------------------------------------

    def translate(self, exc: BaseException) -> DataLayerError:
        """Give the datalayer error for one of sqlite3's."""
        return from_sqlite(exc, self.display_url)

    def close_connection(self, conn: sqlite3.Connection) -> None:
        """Close a connection, whatever state it is in."""
        try:
            conn.close()
        except sqlite3.Error as exc:
            _log.warning("closing a connection to %s failed: %s", self.display_url, exc)

    def close(self) -> None:
        """Close the connections of all threads; the last one writes the WAL back into the file."""
        super().close()
        if self.path is None and hasattr(self, "_anchor"):
            self._anchor.close()
        self._gate.close()

    def abandon(self) -> None:
        """Forget all connections and the gate: what a forked child does."""
        super().abandon()
        if self.path is None:
            # a child's memory is a copy of its parent's, and so is what is in it
            leave_behind(self._anchor)
            self._gate = ThreadGate()
        else:
            leave_behind(self._gate)
            self._gate = FileGate(self.path)

    def _connect(self) -> sqlite3.Connection:
        # closed from other threads at exit only, hence check_same_thread
        return sqlite3.connect(
            self._uri,
            uri=True,
            timeout=self.options.busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )

    def open_connection(self) -> sqlite3.Connection:
        """Open a connection with all settings, read back."""
        deadline = monotonic() + self.options.busy_timeout_s
        while True:
            try:
                return self._open_once()
            except DatabaseBusy:
                # SQLite does not wait when two processes turn a new file to WAL at the same time
                if monotonic() >= deadline:
                    raise
                sleep(0.005)

    def _open_once(self) -> sqlite3.Connection:
        try:
            conn = self._connect()
        except self.driver_errors as exc:
            raise self.translate(exc) from exc
        try:
            for name, value, expected in self._pragmas():
                conn.execute(f"PRAGMA {name} = {value}")
                self._verify(conn, name, expected)
            conn.create_function("same_json", 2, same_json, deterministic=True)
        except self.driver_errors as exc:
            conn.close()
            raise self.translate(exc) from exc
        except DataLayerError:
            conn.close()
            raise
        return conn

    def _pragmas(self) -> list[tuple[str, str, Any]]:
        """Give (name, value, what reading it back must give)."""
        options = self.options
        synchronous = {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}.get(options.synchronous.upper())
        if synchronous is None:
            raise DataLayerError(
                f"synchronous cannot be {options.synchronous!r}",
                hint="use NORMAL or FULL (or OFF for data you can lose)",
            )
        settings: list[tuple[str, str, Any]] = [
            ("trusted_schema", "OFF", 0) if _json_is_innocuous() else ("trusted_schema", "ON", 1),
            ("cell_size_check", "ON", 1),
            ("foreign_keys", "ON", 1),
            ("recursive_triggers", "OFF", 0),
            ("temp_store", "MEMORY", 2),
            ("cache_size", str(-options.cache_kib), -options.cache_kib),
        ]
        if self.path is not None and self._is_writable() and not self._keeps_journal_mode(self.path):
            # a mode that cannot be had (a network file system) is an error here, not a surprise later
            settings.append(("journal_mode", "WAL", "wal"))
            settings.append(("journal_size_limit", str(64 * 1024 * 1024), 64 * 1024 * 1024))
        settings.append(("synchronous", options.synchronous, synchronous))
        return settings

    def _keeps_journal_mode(self, path: Path) -> bool:
        return self.options.keeps_journal_mode and path.exists() and path.stat().st_size > 0

    def _is_writable(self) -> bool:
        assert self.path is not None
        return not self.read_only and (not self.path.exists() or os.access(self.path, os.W_OK))

    def _verify(self, conn: sqlite3.Connection, name: str, expected: Any) -> None:
        found = conn.execute(f"PRAGMA {name}").fetchone()
        if found is None or found[0] != expected:
            raise DatabaseUnavailable(
                f"{self.display_url} did not take the setting {name}",
                why=f"it answers {found[0] if found else 'nothing'}, not {expected}",
                hint="put the file on a local disk; SQLite here may be too old or built without it",
            )

    def make_face(self) -> SqliteFace:
        """Make the Peewee face."""
        return SqliteFace(self)
