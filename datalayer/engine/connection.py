"""Engine: one opened database, with a connection for each thread that uses it.

What both engines share; engine.sqlite and engine.postgres bring their drivers. Knows no model, table or
repository.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from operator import methodcaller
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from datalayer.engine import transaction as units
from datalayer.engine.address import Address
from datalayer.engine.bell import Bell
from datalayer.engine.dialect import Dialect
from datalayer.engine.keys import KeyRing
from datalayer.engine.statements import StatementLog
from datalayer.engine.transaction import State, Transaction
from datalayer.errors import ConstraintViolation, DatabaseUnavailable, DataLayerError

if TYPE_CHECKING:
    from datalayer.engine.bridge import PeeweeFace

__all__ = ["ALL_ROWS", "Engine", "Options", "leave_behind", "utc_now"]

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("datalayer.engine")

_ONE: Callable[[Any], Any] = methodcaller("fetchone")
ALL_ROWS: Callable[[Any], Any] = methodcaller("fetchall")

# connections that a fork left behind in a child: closing one would end the parent's
_left_behind: list[Any] = []
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def utc_now() -> datetime:
    """Give the time now, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a database is opened.

    `create` makes a missing SQLite file; `read_only` refuses every write. `synchronous` is NORMAL (a power
    cut may take the last commits, never the file's soundness) or FULL. `busy_timeout_s` bounds each wait:
    for SQLite's write lock, for a lock of PostgreSQL's, for a connection of the pool. `cache_kib` is the
    page cache of each SQLite connection. `pool` is the number of shared PostgreSQL connections (None: one a
    thread), `schema_name` its schema, `application_name` what its server lists. `slow_s` logs slow
    statements; `log_parameters` puts their values, which may be secret, into log and hooks. Read transactions
    longer than `long_read_s`, and a WAL over `wal_warn_bytes`, are warned of. `keeps_journal_mode` leaves a
    SQLite file that exists in the journal mode it is in, for files of other programs; else it is turned to
    WAL. `clock` gives the time that is stored. `keys` seal secrets; without them they are looked for where
    `engine.keys.KeySource.choose` says.
    """

    read_only: bool = False
    create: bool = True
    synchronous: str = "NORMAL"
    busy_timeout_s: float = 5.0
    cache_kib: int = 16_384
    pool: int | None = None
    schema_name: str = "public"
    slow_s: float | None = None
    log_parameters: bool = False
    long_read_s: float = 5.0
    wal_warn_bytes: int = 64 * 1024 * 1024
    keeps_journal_mode: bool = False
    application_name: str = "datalayer"
    clock: Callable[[], datetime] = field(default=utc_now)
    keys: KeyRing | None = field(default=None, repr=False)


class Engine(ABC):
    """One opened database: a connection for each thread, transactions, and the statements in them.

    Thread-safe. Survives fork: a child opens connections of its own. Everything is closed at exit.
    """

    dialect: Dialect
    path: Path | None = None
    driver_errors: tuple[type[BaseException], ...]
    # fills in what the driver leaves unsaid of a broken rule; given by who knows schemas (the store)
    complete_violation: Callable[[Any, ConstraintViolation, str, Sequence[Any]], None] | None = None

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self.options = options
        self.display_url = address.display
        self.schema_name = options.schema_name
        self.clock = options.clock
        self.read_only = options.read_only or address.read_only
        self.statements = StatementLog(slow_s=options.slow_s, log_parameters=options.log_parameters)
        # rung after every commit of this process
        self.bell = Bell()
        self.is_closed = False
        self._local = threading.local()
        self._states: list[State] = []
        self._registry_lock = threading.Lock()
        _engines.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.display_url}>"

    # -- statements --------------------------------------------------------------------------------

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Execute one statement on this thread's connection and give the driver's cursor.

        Outside a transaction it commits by itself. SQLite computes rows as they are fetched: an error on the
        way is the driver's then, so fetch with `fetch_all` where you can.

        Raises:
            DataLayerError: whatever went wrong, by its class.
        """
        state = self.ready()
        try:
            return self.run(state, sql, params)
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql, params) from exc

    @abstractmethod
    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute one statement for each row.

        Gives the number of rows changed. Atomic only inside a transaction.
        """

    @abstractmethod
    def write(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Execute one statement that writes: as `execute`, but through the gate if it commits by itself."""

    @abstractmethod
    def write_one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Execute one statement that writes and gives one row back (RETURNING).

        None where it wrote nothing.
        """

    @abstractmethod
    def write_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute one statement that writes and give all rows that come back (RETURNING)."""

    @abstractmethod
    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert many rows the engine's fastest way, in constant memory; gives their number.

        Atomic only inside a transaction on SQLite.
        """

    def fetch_one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Execute and give the first row, or None."""
        state = self.ready()
        try:
            return self.run(state, sql, params, _ONE)
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql, params) from exc

    def fetch_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        state = self.ready()
        try:
            return self.run(state, sql, params, ALL_ROWS)
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql, params) from exc

    def connection(self) -> Any:
        """Give the driver's own connection of this thread, in autocommit mode.

        What is done on it directly is neither logged nor translated. With a pool: only inside a transaction.
        """
        return self.state().conn

    # -- transactions ------------------------------------------------------------------------------

    def transaction(self, *, read: bool = False, isolation: str | None = None) -> Transaction:
        """Give a block of work: kept whole when it ends well, undone when an exception leaves it.

        `read=True` is a snapshot that cannot write. `isolation` is PostgreSQL's (SQLite is always
        serializable). A write block on SQLite holds the only write lock: do nothing slow in it.

        Raises:
            DatabaseBusy: the lock did not come within `busy_timeout_s`.
        """
        return Transaction(self, read=read, isolation=isolation)

    def run_transaction(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a write transaction, again and whole while others are in the way.

        See `transaction.run_transaction`.
        """
        return units.run_transaction(self, function, *args, **kwargs)

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call back once the work of the present block is committed; at once where no block is open."""
        frames = self.state().frames if self.has_connection else []
        if frames:
            frames[-1].callbacks.append(callback)
        else:
            callback()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside a block."""
        return self.has_connection and bool(self.state().frames)

    @property
    def depth(self) -> int:
        """How many blocks this thread is inside."""
        return len(self.state().frames) if self.has_connection else 0

    # -- connections of threads --------------------------------------------------------------------

    @property
    def has_connection(self) -> bool:
        """Whether this thread has a connection at present."""
        return getattr(self._local, "state", None) is not None

    def state(self) -> State:
        """Give this thread's connection with what it is in the middle of, opening it where needed."""
        state: State | None = getattr(self._local, "state", None)
        return state if state is not None else self._attach()

    def ready(self) -> State:
        """Give this thread's connection, where a statement may be executed on it now.

        Raises:
            TransactionDied: its block has failed.
        """
        state: State | None = getattr(self._local, "state", None)
        if state is None:
            state = self._attach()
        if state.frames:
            self.refuse_if_ended(state)
        return state

    def _attach(self) -> State:
        if self.is_closed:
            raise DatabaseUnavailable(
                f"{self.display_url} is closed", hint="open it again with datalayer.connect()"
            )
        state = State(self.open_connection(), weakref.ref(threading.current_thread()))
        with self._registry_lock:
            gone = [other for other in self._states if _is_gone(other)]
            self._states = [other for other in self._states if other not in gone]
            self._states.append(state)
        for other in gone:
            self.close_connection(other.conn)
        self._local.state = state
        return state

    def discard(self, state: State) -> None:
        """Close a connection that cannot be trusted any more; the thread gets a new one when it needs it."""
        with self._registry_lock:
            if state in self._states:
                self._states.remove(state)
        if getattr(self._local, "state", None) is state:
            self._local.state = None
        self.close_connection(state.conn)

    def release(self) -> None:
        """Close this thread's connection; the next statement opens a new one."""
        state: State | None = getattr(self._local, "state", None)
        if state is None:
            return
        if state.frames:
            raise DataLayerError(
                "the connection is inside a transaction", hint="leave the block before closing"
            )
        self.discard(state)

    def close(self) -> None:
        """Close the connections of all threads, also inside open blocks, which are undone."""
        self.is_closed = True
        with self._registry_lock:
            states, self._states = self._states, []
        for state in states:
            self.close_connection(state.conn)
        self._local = threading.local()

    def abandon(self) -> None:
        """Forget all connections without closing them: in a forked child they are its parent's."""
        _left_behind.extend(self._states)
        self._states = []
        self._registry_lock = threading.Lock()
        self._local = threading.local()

    # -- for engine.transaction --------------------------------------------------------------------

    def begin_scope(self) -> State:
        """Give the connection to a block, which may be inside another one."""
        state = self.state()
        state.borrowed += 1
        return state

    def end_scope(self, state: State) -> None:
        """Take the connection back from a block."""
        state.borrowed -= 1

    @abstractmethod
    def enter_gate(self, state: State) -> None:
        """Queue for the write lock, where the engine needs a queue."""

    @abstractmethod
    def restore(self, state: State, *, read: bool) -> None:
        """Undo what a block set on its connection, and let the next writer in."""

    def execute_raw(self, state: State, sql: str) -> None:
        """Execute a statement of the transaction machinery itself: logged and translated, never refused."""
        try:
            self.run(state, sql, ())
        except self.driver_errors as exc:
            raise self.translate(exc) from exc

    def run(
        self,
        state: State,
        sql: str,
        params: Sequence[Any] | None,
        take: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Execute on a connection, take rows, and tell the statement log; errors are the driver's."""
        if not self.statements.is_watched:
            cursor = state.conn.execute(sql, params)
            return cursor if take is None else take(cursor)
        started = perf_counter()
        try:
            cursor = state.conn.execute(sql, params)
            result = cursor if take is None else take(cursor)
        except self.driver_errors as exc:
            self.statements.record(sql, params or (), perf_counter() - started, exc)
            raise
        self.statements.record(sql, params or (), perf_counter() - started)
        return result

    @abstractmethod
    def refuse_if_ended(self, state: State) -> None:
        """Refuse a statement where it would be autocommitted although its block is still open in Python."""

    @abstractmethod
    def notice_death(self, state: State) -> bool:
        """Say whether the database ended the transaction by itself, and remember it."""

    def fail(self, state: State, exc: BaseException, sql: str, params: Sequence[Any] = ()) -> DataLayerError:
        """Translate a driver's error and doom the block that it happened in.

        `params` are empty where the statement had many rows of them.
        """
        error = self.translate(exc)
        error.__cause__ = exc
        if self.complete_violation is not None and isinstance(error, ConstraintViolation):
            self.complete_violation(state.conn, error, sql, params)
        if state.frames:
            if state.frames[0].read and _is_refused_write(exc):
                error = DataLayerError("a read transaction cannot write", hint="begin it without read=True")
            state.failure = error
            self.notice_death(state)
            error.__cause__ = exc
        return error

    # -- what each engine brings -------------------------------------------------------------------

    @abstractmethod
    def open_connection(self) -> Any:
        """Open a connection with all settings, read back."""

    @abstractmethod
    def close_connection(self, conn: Any) -> None:
        """Close a driver's connection, whatever state it is in."""

    def open_extra(self) -> Any:
        """Open a connection that belongs to no thread and no pool; `close_extra` closes it."""
        return self.open_connection()

    def close_extra(self, conn: Any) -> None:
        """Close a connection that `open_extra` gave."""
        self.close_connection(conn)

    @abstractmethod
    def translate(self, exc: BaseException) -> DataLayerError:
        """Give the datalayer error for a driver's."""

    def columns(self, table: str) -> list[str]:
        """Give the names of a table's columns as they are in the database now.

        Empty where there is no such table.
        """
        return [row[0] for row in self.fetch_all(self.dialect.columns_sql, (table,))]

    @abstractmethod
    def probe_columns(self, table: str) -> list[str]:
        """Give a table's columns as `columns` does, also while this thread's block has failed."""

    @cached_property
    def peewee(self) -> PeeweeFace:
        """The engine as a Peewee database, for its query builder and for models' own methods."""
        return self.make_face()

    @abstractmethod
    def make_face(self) -> PeeweeFace:
        """Make the Peewee face."""


def leave_behind(thing: object) -> None:
    """Keep a thing that belongs to the parent process from ever being closed in this one."""
    _left_behind.append(thing)


def _is_refused_write(exc: BaseException) -> bool:
    """Say whether a driver's error is that of a write where only reading is allowed."""
    code: str = getattr(exc, "sqlite_errorname", None) or getattr(exc, "sqlstate", None) or ""
    return code.startswith(("SQLITE_READONLY", "25006"))


def _is_gone(state: State) -> bool:
    thread = state.thread()
    return thread is None or not thread.is_alive()


def _close_all() -> None:
    for engine in list(_engines):
        engine.close()


def _abandon_all() -> None:
    for engine in list(_engines):
        engine.abandon()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
