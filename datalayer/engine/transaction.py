"""Units of work: blocks kept whole or not at all, savepoints in them, and what runs after them.

The same rules on both engines:

- the outermost block is one transaction; a write block passes the gate and takes SQLite's write lock
  at once;
- a block inside a block is a savepoint;
- a statement that failed dooms the innermost block: further statements in it raise TransactionDied, as
  PostgreSQL does by itself, so that code tested on SQLite does not fail there. Put a block around what
  may fail;
- a transaction that the database itself ended (RAISE(ROLLBACK), disk full, lost connection) is dead: nothing
  more is accepted in its blocks, and nothing slips out as an autocommitted statement;
- `on_commit` callbacks run after the outermost COMMIT, and not at all if their block or one around it was
  undone.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Callable
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from datalayer.errors import DatabaseBusy, DataLayerError, TransactionDied

if TYPE_CHECKING:
    from datalayer.engine.connection import Engine

__all__ = ["Frame", "State", "Transaction", "run_transaction"]

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger("datalayer.transaction")
_ATTEMPTS = 10
_PATIENCE_S = 30.0


class Frame:
    """One open block of a connection."""

    __slots__ = ("callbacks", "name", "read")

    def __init__(self, name: str, *, read: bool) -> None:
        self.name = name
        self.read = read
        self.callbacks: list[Callable[[], object]] = []


class State:
    """What one thread's connection is in the middle of.

    `failure` is the error that dooms the innermost block; `dead` says that the database ended the
    transaction. `wait_s` is how long it waits for locks where that is not `busy_timeout_s` of the options.
    """

    __slots__ = ("borrowed", "conn", "dead", "failure", "frames", "gated", "since", "thread", "wait_s")

    def __init__(self, conn: Any, thread: Any) -> None:
        self.conn = conn
        self.thread = thread
        self.frames: list[Frame] = []
        self.failure: BaseException | None = None
        self.dead = False
        self.gated = False
        self.borrowed = 0
        self.since = 0.0
        self.wait_s: float | None = None

    def refuse_if_doomed(self) -> None:
        """Raise TransactionDied where nothing more is accepted in the innermost block."""
        if self.failure is None:
            return
        if self.dead:
            raise TransactionDied(
                "the database ended this transaction; nothing of it is kept",
                why=_first_line(self.failure),
                hint="leave the whole block and begin a new one",
            ) from self.failure
        raise TransactionDied(
            "a statement of this block failed; nothing more is accepted in it",
            why=_first_line(self.failure),
            hint="leave the block; put a transaction() of its own around what may fail",
        ) from self.failure


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


class Transaction:
    """A block of work, as `engine.transaction()` gives it: `with` it, or decorate a function with it."""

    __slots__ = ("_engine", "_isolation", "_read")

    def __init__(self, engine: Engine, *, read: bool = False, isolation: str | None = None) -> None:
        self._engine = engine
        self._read = read
        self._isolation = isolation

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make each call of the function a block of its own."""

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with Transaction(self._engine, read=self._read, isolation=self._isolation):
                return function(*args, **kwargs)

        return inside

    def __enter__(self) -> Transaction:
        engine = self._engine
        state = engine.begin_scope()
        try:
            if state.frames:
                self._open_savepoint(state)
            else:
                self._open_transaction(state)
        except BaseException:
            engine.end_scope(state)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state = self._engine.state()
        callbacks: list[Callable[[], object]] = []
        try:
            if len(state.frames) > 1:
                self._close_savepoint(state, error)
            else:
                callbacks = self._close_transaction(state, error)
        finally:
            self._engine.end_scope(state)
        if callbacks:
            _run_callbacks(callbacks)

    def _open_transaction(self, state: State) -> None:
        engine = self._engine
        try:
            if not self._read:
                engine.enter_gate(state)
            for statement in engine.dialect.begin(read=self._read, isolation=self._isolation):
                engine.execute_raw(state, statement)
        except BaseException:
            # SQLite may have set query_only before BEGIN failed
            engine.restore(state, read=self._read)
            raise
        state.frames.append(Frame("", read=self._read))
        state.failure = None
        state.dead = False
        state.since = monotonic()

    def _open_savepoint(self, state: State) -> None:
        state.refuse_if_doomed()
        if state.frames[0].read and not self._read:
            raise DataLayerError(
                "a write transaction cannot begin inside a read transaction",
                hint="begin the outer block with transaction(), without read=True",
            )
        name = f"datalayer_{len(state.frames)}"
        self._engine.execute_raw(state, f"SAVEPOINT {name}")
        state.frames.append(Frame(name, read=self._read))

    def _close_savepoint(self, state: State, error: BaseException | None) -> None:
        frame = state.frames.pop()
        if state.dead or self._engine.notice_death(state):
            if error is None:
                state.refuse_if_doomed()
            return
        failure, state.failure = state.failure, None
        undo = error is not None or failure is not None
        try:
            if undo:
                self._engine.execute_raw(state, f"ROLLBACK TO SAVEPOINT {frame.name}")
            self._engine.execute_raw(state, f"RELEASE SAVEPOINT {frame.name}")
        except DataLayerError as exc:
            state.failure = exc
            self._engine.notice_death(state)
            raise
        if not undo:
            state.frames[-1].callbacks.extend(frame.callbacks)
        elif error is None:
            raise _swallowed(failure)

    def _close_transaction(self, state: State, error: BaseException | None) -> list[Callable[[], object]]:
        engine = self._engine
        frame = state.frames.pop()
        failure = state.failure
        try:
            if state.dead or engine.notice_death(state):
                if error is None:
                    state.refuse_if_doomed()
                return []
            if error is not None or failure is not None:
                _roll_back(engine, state)
                if error is None:
                    raise _swallowed(failure)
                return []
            try:
                engine.execute_raw(state, "COMMIT")
            except BaseException:
                # a COMMIT that fails for a full disk has ended the transaction already
                if not engine.notice_death(state):
                    _roll_back(engine, state)
                raise
            return frame.callbacks
        finally:
            state.failure = None
            state.dead = False
            engine.restore(state, read=frame.read)


def _roll_back(engine: Engine, state: State) -> None:
    """Undo the transaction; a connection that cannot even do that is thrown away."""
    try:
        engine.execute_raw(state, "ROLLBACK")
    except DataLayerError as exc:
        _log.warning("rollback failed, the connection is closed: %s", _first_line(exc))
        engine.discard(state)


def _swallowed(failure: BaseException | None) -> TransactionDied:
    """Make the error for a block that went on after a failed statement as if nothing had happened."""
    error = TransactionDied(
        "a statement of this block failed, so nothing of the block is kept",
        why=_first_line(failure) if failure is not None else None,
        hint="put a transaction() of its own around what may fail",
    )
    error.__cause__ = failure
    return error


def _run_callbacks(callbacks: list[Callable[[], object]]) -> None:
    """Run all of them, then raise what they raised: the transaction itself is committed."""
    errors: list[Exception] = []
    for callback in callbacks:
        try:
            callback()
        except Exception as exc:
            exc.add_note("raised by an on_commit callback; the transaction is committed")
            errors.append(exc)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("on_commit callbacks failed; the transaction is committed", errors)


def run_transaction(
    engine: Engine,
    function: Callable[P, R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run a function in a write transaction; run it again, whole, while others are in the way.

    Repeats on DatabaseBusy (locked, deadlocked, not serializable) with growing random pauses, up to 10 times
    and for at most 30 seconds. Inside another block it runs once, as a savepoint. The function may run more
    than once, so effects outside the database belong in `on_commit`.

    Raises:
        DatabaseBusy: the others were in the way each time.
    """
    if engine.in_transaction:
        with Transaction(engine):
            return function(*args, **kwargs)
    deadline = monotonic() + _PATIENCE_S
    attempt = 1
    while True:
        try:
            with Transaction(engine):
                return function(*args, **kwargs)
        except DatabaseBusy:
            if attempt == _ATTEMPTS or monotonic() >= deadline:
                raise
        sleep(random.uniform(0.5, 1.0) * min(0.002 * 2**attempt, 0.5))
        attempt += 1
