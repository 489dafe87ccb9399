"""One connection of its own for a migration of PostgreSQL: its settings, its lock, and waiting for others.

A migration works on the connection that holds its advisory lock, so it ends where the lock ends. Knows no
schema.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Self

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseBusy, DatabaseUnavailable
from datalayer.schema.numbered.lock import POLL_S, being_migrated, lock_key

__all__ = ["LOCK_WAIT_S", "Session"]

# the longest that a statement waits for a lock, and so that others wait behind it
LOCK_WAIT_S = 2.0
_FIRST_WAIT_S = 0.1
# whatever a role or database has: no limit but our own, and values, texts and rows as they are. Without
# row_security a policy that hides rows is an error.
_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_isolation": "'read committed'",
    "default_transaction_deferrable": "off",
    "DateStyle": "'ISO, MDY'",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "row_security": "off",
}


class Session:
    """A connection beside the engine's own, open as long as its block; a catalog Source."""

    def __init__(self, engine: Engine) -> None:
        self.schema_name = engine.schema_name
        self.display_url = engine.display_url
        self._engine = engine
        self._connection: Any = None
        self.server_version = 0

    def __enter__(self) -> Self:
        self._connection = self._engine.open_extra()
        # a plan prepared before a change of its table does not fit afterwards
        self._connection.prepare_threshold = None
        asked = "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery()"
        self.server_version, is_copy = self.fetch_all(asked)[0]
        if is_copy:
            self._engine.close_extra(self._connection)
            raise DatabaseUnavailable(
                f"{self.display_url} cannot be written",
                why="the server is a standby: a read-only copy of another one",
                hint="connect to the primary server, also for a plan: it makes the wanted schema to compare",
            )
        rows = self.fetch_all("SELECT name FROM pg_settings WHERE name = ANY(%s)", (list(_SETTINGS),))
        for (name,) in rows:
            self.execute(f"SET {name} = {_SETTINGS[name]}")
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close_extra(self._connection)

    # -- statements --------------------------------------------------------------------------------

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Execute one statement; gives the number of rows it changed. Errors are datalayer's."""
        try:
            return int(self._connection.execute(sql, params or None).rowcount)
        except self._engine.driver_errors as exc:
            raise self._engine.translate(exc) from exc

    def fetch_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(sql, params or None).fetchall()
        except self._engine.driver_errors as exc:
            raise self._engine.translate(exc) from exc
        return rows

    @contextmanager
    def transaction(self, *, lock_wait_s: float = LOCK_WAIT_S) -> Generator[None]:
        """Keep the block whole, or undo it; no statement in it waits longer for a lock than told."""
        try:
            with self._connection.transaction():
                self._connection.execute(f"SET LOCAL lock_timeout = '{max(1, int(lock_wait_s * 1000))}ms'")
                yield
        except self._engine.driver_errors as exc:
            raise self._engine.translate(exc) from exc

    def run_patiently(self, work: Callable[[], None], deadline: float) -> None:
        """Run the work in a transaction, again and again while others hold what it must lock.

        Each try waits a little longer, 0.1 to 2 seconds: whoever comes after us waits behind us no longer
        than that. Raises DatabaseBusy at the deadline.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                with self.transaction(lock_wait_s=wait_s):
                    work()
                return
            except DatabaseBusy:
                if monotonic() >= deadline:
                    raise
            sleep(min(wait_s, 0.5))
            wait_s = min(wait_s * 2, LOCK_WAIT_S)

    @contextmanager
    def waiting_at_most(self, seconds: float) -> Generator[None]:
        """Bound the waits of statements that run outside of a transaction."""
        self.execute(f"SET lock_timeout = '{max(1, int(seconds * 1000))}ms'")
        try:
            yield
        finally:
            self.execute("RESET lock_timeout")

    # -- one migration at a time -------------------------------------------------------------------

    @contextmanager
    def lock(self, deadline: float) -> Generator[None]:
        """Hold the lock that every migration of this schema takes.

        Tried again and again: a session that waits for it would be a transaction that CREATE INDEX
        CONCURRENTLY waits for. Raises DatabaseBusy at the deadline.
        """
        key = lock_key(self.schema_name)
        while self.fetch_all("SELECT pg_try_advisory_lock(%s)", (key,)) != [(True,)]:
            if monotonic() >= deadline:
                raise being_migrated(self.display_url)
            sleep(POLL_S)
        try:
            yield
        finally:
            if not self._connection.closed:
                self.fetch_all("SELECT pg_advisory_unlock(%s)", (key,))
