"""How far a plan is, told also while SQLite is at work on one statement, and a way to end it by Ctrl-C.

The machine that runs a statement calls back after so many of its steps
(https://sqlite.org/c3ref/progress_handler.html); how many a row takes is read from its program.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

__all__ = ["Meter", "interruptible"]

Progress = Callable[[int, int], object]
# often enough for rows of 100 kB each
_STEPS_BETWEEN_CALLS = 5_000
_S_BETWEEN_WORDS = 0.1
_STEPS_A_ROW = 12
_LOOPS = frozenset({"Next", "Prev", "SorterNext", "VNext"})


class Meter:
    """Counts rows, each once for every time that it is worked on, and tells (done, total).

    The last part of the total is what follows the work on rows: the schema is proved, all of it is written.
    """

    def __init__(self, connection: sqlite3.Connection, progress: Progress | None) -> None:
        self.connection = connection
        self._progress = progress
        self._total = self._done = self._rows = 0
        self._steps = 0.0
        self._expected = 1.0
        self._told = monotonic()

    def expect(self, rows: int) -> None:
        """Say how many rows there are to work on, before any of them is."""
        self._total = rows + rows // 50 + 1

    def run(self, sql: str, rows: int, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement that works on so many rows."""
        with self._of(sql, rows, values):
            return self.connection.execute(sql, values)

    def count(self, sql: str, rows: int) -> int:
        """Execute a query that counts so many rows, and give its answer."""
        with self._of(sql, rows):
            # the first row comes after all the work
            return int(self.connection.execute(sql).fetchone()[0])

    @contextmanager
    def part(self, rows: int, steps_a_row: int = _STEPS_A_ROW) -> Generator[None]:
        """Work on so many rows, by as many statements as it takes."""
        self._rows, self._steps, self._expected = rows, 0, max(1, rows * steps_a_row)
        yield
        self._done, self._rows = self._done + rows, 0
        self._tell(self._done)

    def _of(self, sql: str, rows: int, values: Sequence[object] = ()) -> AbstractContextManager[None]:
        return self.part(rows, _steps_a_row(self.connection, sql, values) if rows else _STEPS_A_ROW)

    def pulse(self) -> int:
        """Say how far it is from within a statement; 0 lets that go on."""
        self._steps += _STEPS_BETWEEN_CALLS
        if monotonic() - self._told >= _S_BETWEEN_WORDS:
            # what takes longer than thought comes nearer and nearer to the end of its part
            share = self._steps / self._expected
            share = share if share < 0.8 else 1 - 0.2 * 0.8 / share
            self._tell(self._done + int(self._rows * share))
        return 0

    def _tell(self, done: int) -> None:
        self._told = monotonic()
        if self._progress is not None:
            self._progress(min(done, self._total), self._total)


@contextmanager
def interruptible(connection: sqlite3.Connection, meter: Meter | None = None) -> Generator[None]:
    """Let Ctrl-C end a long statement: Python hears a signal only when SQLite calls back."""
    connection.set_progress_handler(_go_on if meter is None else meter.pulse, _STEPS_BETWEEN_CALLS)
    try:
        yield
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname == "SQLITE_INTERRUPT":
            raise KeyboardInterrupt from exc
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _go_on() -> int:
    return 0


def _steps_a_row(connection: sqlite3.Connection, sql: str, values: Sequence[object]) -> int:
    """Count the steps that the loops of a statement's program take for a row (sqlite.org/opcode.html)."""
    cursor = connection.cursor()
    cursor.row_factory = None
    program = cursor.execute(f"EXPLAIN {sql}", values).fetchall()
    loops = (address - goal + 1 for address, code, _, goal, *_ in program if code in _LOOPS)
    return sum(steps for steps in loops if steps > 0) or _STEPS_A_ROW
