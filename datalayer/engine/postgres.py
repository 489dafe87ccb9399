"""PostgreSQL through psycopg 3: a connection for each thread, or a pool; COPY for bulk; its own search_path.

Needs the extra `[postgres]`; imported only when a PostgreSQL URL is opened.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from time import monotonic, perf_counter
from typing import Any, LiteralString, cast

from datalayer.engine.address import Address
from datalayer.engine.bridge import PostgresFace
from datalayer.engine.connection import Engine, Options, leave_behind
from datalayer.engine.dialect import POSTGRES, WRITES
from datalayer.engine.pool import Pool
from datalayer.engine.transaction import State
from datalayer.engine.translate import from_postgres
from datalayer.errors import DatabaseUnavailable, DataLayerError

try:
    import psycopg
    from psycopg import sql as compose
    from psycopg.adapt import AdaptersMap
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.pq import TransactionStatus
    from psycopg.types.json import set_json_loads
except ImportError as exc:  # pragma: no cover - the message is tested in a bare environment
    raise DataLayerError(
        "PostgreSQL needs psycopg 3", why=str(exc), hint="run: pip install 'datalayer[postgres]'"
    ) from exc

__all__ = ["JsonString", "PostgresEngine", "open_postgres"]

_log = logging.getLogger("datalayer.engine")
_OLDEST = 140_000
_ASK_EVERY_S = 0.25


class JsonString(str):
    """A text that came decoded out of jsonb, told apart from JSON text still to be decoded."""

    __slots__ = ()


def _load_json(data: str | bytes) -> Any:
    value = json.loads(data)
    return JsonString(value) if type(value) is str else value


def open_postgres(address: Address, options: Options) -> PostgresEngine:
    """Open a PostgreSQL database, with a pool where `options.pool` says so."""
    return (PooledPostgresEngine if options.pool else PostgresEngine)(address, options)


class PostgresEngine(Engine):
    """A PostgreSQL database, one connection for each thread."""

    dialect = POSTGRES
    driver_errors = (psycopg.Error, OverflowError, UnicodeError)

    def __init__(self, address: Address, options: Options) -> None:
        super().__init__(address, options)
        self._ask_at = 0.0
        self._is_heard = False
        self._params = self._connect_params()
        self._settle()
        self._verify()

    def _settle(self) -> None:
        """Prepare what connections come from."""

    def _connect_params(self) -> dict[str, Any]:
        """Give the driver's parameters: every setting travels with the connection's first packet."""
        options = self.options
        url = self.address.secret_url
        assert url is not None
        try:
            given: dict[str, Any] = dict(conninfo_to_dict(url))
        except psycopg.Error:
            # its message quotes the URL, password and all
            raise DataLayerError(
                f"cannot read the address {self.display_url}",
                hint="write postgresql://USER:PASSWORD@HOST:PORT/NAME",
            ) from None
        settings = {"search_path": compose.Identifier(options.schema_name).as_string(None), "TimeZone": "UTC"}
        settings["lock_timeout"] = f"{int(options.busy_timeout_s * 1000)}ms"
        if self.read_only:
            settings["default_transaction_read_only"] = "on"
        own = " ".join(f"-c {name}={_escape(value)}" for name, value in settings.items())
        given.setdefault("application_name", options.application_name)
        given.setdefault("connect_timeout", 10)
        given["client_encoding"] = "UTF8"
        given["options"] = f"{given.get('options') or ''} {own}".strip()
        adapters = AdaptersMap(psycopg.adapters)
        set_json_loads(_load_json, adapters)
        return {"conninfo": make_conninfo(**given), "context": adapters}

    def _verify(self) -> None:
        """Open the first connection and read the settings back."""
        row = self.fetch_one(
            "SELECT current_setting('server_version_num')::int, current_setting('TimeZone'),"
            " current_setting('server_encoding'), current_schema()"
        )
        assert row is not None
        self.server_version: int = row[0]
        if self.server_version < _OLDEST:
            raise DatabaseUnavailable(
                f"{self.display_url} is PostgreSQL {self.server_version // 10_000}",
                why="datalayer needs 14 or newer",
            )
        if row[1] != "UTC" or row[2] != "UTF8":
            raise DatabaseUnavailable(
                f"{self.display_url} did not take its settings",
                why=f"time zone {row[1]}, encoding {row[2]}; needed are UTC and UTF8",
                hint="create the database with ENCODING 'UTF8'; a proxy in between must pass startup options",
            )

    # -- statements --------------------------------------------------------------------------------

    def write(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Execute one statement that writes: PostgreSQL's writers need no gate."""
        with self._telling():
            return self.execute(sql, params)

    def run(
        self,
        state: State,
        sql: str,
        params: Sequence[Any] | None,
        take: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Execute on a connection; without parameters a % in the text is a %."""
        return super().run(state, sql, params or None, take)

    def write_one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Execute one statement that writes and gives one row back; None where it wrote nothing."""
        with self._telling():
            return self.fetch_one(sql, params)

    def write_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute one statement that writes and give all rows that come back."""
        with self._telling():
            return self.fetch_all(sql, params)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert many rows by COPY; gives their number."""
        with self._telling():
            return self.copy_rows(table, columns, rows)

    @contextmanager
    def _telling(self) -> Generator[None]:
        """Tell of a statement that commits by itself."""
        state = self.begin_scope()
        try:
            yield
            if not state.frames:
                self._tell(state)
        finally:
            self.end_scope(state)

    def _tell(self, state: State) -> None:
        """Tell who waits that something was committed: in this process, and in others if one of them listens.

        Whether one does is asked a few times a second at most: NOTIFY takes a lock that all notifying commits
        of the server share.
        """
        self.bell.ring()
        conn = state.conn
        if conn.closed or conn.pgconn.transaction_status != TransactionStatus.IDLE:
            return
        now = monotonic()
        try:
            if now >= self._ask_at:
                self._ask_at = now + _ASK_EVERY_S
                self._is_heard = conn.execute(self.dialect.is_unattended(WRITES)).fetchone() != (True,)
            if self._is_heard:
                conn.execute(self.dialect.notify_sql, (WRITES,))
        except self.driver_errors as exc:
            # what was committed stays committed; listeners look again by themselves
            _log.debug("telling of a commit on %s failed: %s", self.display_url, exc)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute one statement for each row, pipelined; gives the number of rows changed."""
        state = self.ready()
        started = perf_counter()
        try:
            with state.conn.cursor() as cursor:
                cursor.executemany(sql, rows)
                count: int = cursor.rowcount
        except self.driver_errors as exc:
            raise self.fail(state, exc, sql) from exc
        if self.statements.is_watched:
            self.statements.record(sql, (), perf_counter() - started)
        return count

    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert rows by COPY, about 14 times cheaper than executemany; one statement, so all or none.

        See postgresql.org/docs/current/sql-copy.html: triggers and constraints hold as with INSERT.
        """
        state = self.ready()
        statement = (
            f"COPY {self.dialect.quote(table)} ({', '.join(map(self.dialect.quote, columns))}) FROM STDIN"
        )
        started = perf_counter()
        try:
            with state.conn.cursor() as cursor:
                with cursor.copy(cast("LiteralString", statement)) as copy:
                    for row in rows:
                        copy.write_row(row)
                count: int = cursor.rowcount
        except self.driver_errors as exc:
            raise self.fail(state, exc, statement) from exc
        if self.statements.is_watched:
            self.statements.record(statement, (), perf_counter() - started)
        return count

    def refuse_if_ended(self, state: State) -> None:
        """Refuse a statement where it would be autocommitted although its block is still open in Python."""
        if state.failure is None and state.conn.pgconn.transaction_status == TransactionStatus.INTRANS:
            return
        self.notice_death(state)
        state.refuse_if_doomed()

    def fail(self, state: State, exc: BaseException, sql: str, params: Sequence[Any] = ()) -> DataLayerError:
        """Translate a driver's error, doom the block, and let go of a connection that broke."""
        error = super().fail(state, exc, sql, params)
        self._drop_if_lost(state)
        return error

    def _drop_if_lost(self, state: State) -> None:
        if not state.frames and state.conn.closed:
            self.discard(state)

    def notice_death(self, state: State) -> bool:
        """Say whether the server ended the transaction or the connection broke, and remember it."""
        if not state.dead:
            conn = state.conn
            if not conn.closed and conn.pgconn.transaction_status != TransactionStatus.IDLE:
                return False
            state.dead = True
            if state.failure is None:
                state.failure = DataLayerError("a COMMIT or ROLLBACK was executed inside the block")
        return True

    def enter_gate(self, state: State) -> None:
        """Go on: PostgreSQL's writers lock rows, and wait in its own queue."""

    def restore(self, state: State, *, read: bool) -> None:
        """Let go of a connection that broke; warn of a long snapshot, which keeps VACUUM from cleaning up."""
        if read and state.since and monotonic() - state.since > self.options.long_read_s:
            _log.warning(
                "a read transaction on %s was open for %.1f s; dead rows cannot be removed meanwhile",
                self.display_url,
                monotonic() - state.since,
            )
        state.since = 0.0
        if state.conn.closed:
            self.discard(state)
        elif not read:
            self._tell(state)

    def probe_columns(self, table: str) -> list[str]:
        """Give a table's columns from a connection of its own: a failed block answers nothing more."""
        try:
            with psycopg.connect(autocommit=True, **self._params) as conn:
                sql = cast("LiteralString", self.dialect.columns_sql)
                return [row[0] for row in conn.execute(sql, (table,)).fetchall()]
        except self.driver_errors as exc:
            raise self.translate(exc) from exc

    # -- connections -------------------------------------------------------------------------------

    def translate(self, exc: BaseException) -> DataLayerError:
        """Give the datalayer error for one of psycopg's."""
        return from_postgres(exc, self.display_url)

    def open_connection(self) -> psycopg.Connection[Any]:
        """Open a connection with all settings."""
        try:
            return psycopg.connect(autocommit=True, **self._params)
        except self.driver_errors as exc:
            raise self.translate(exc) from exc

    def close_connection(self, conn: psycopg.Connection[Any]) -> None:
        """Close a connection, whatever state it is in."""
        try:
            conn.close()
        except psycopg.Error as exc:
            _log.warning("closing a connection to %s failed: %s", self.display_url, exc)

    def make_face(self) -> PostgresFace:
        """Make the Peewee face."""
        return PostgresFace(self)


class PooledPostgresEngine(PostgresEngine):
    """A PostgreSQL database whose threads share a few connections."""

    def _settle(self) -> None:
        assert self.options.pool is not None
        params = dict(self._params)
        self._pool = Pool(
            "postgresql://",
            self.options.pool,
            timeout_s=self.options.busy_timeout_s,
            display=self.display_url,
            **params,
        )

    def open_connection(self) -> Any:
        """Borrow a connection."""
        try:
            return self._pool.borrow()
        except self.driver_errors as exc:
            raise self.translate(exc) from exc

    def open_extra(self) -> psycopg.Connection[Any]:
        """Open a connection beside the pool: a borrowed one would go back with this thread's next block."""
        return super().open_connection()

    def close_extra(self, conn: psycopg.Connection[Any]) -> None:
        """Close a connection beside the pool."""
        super().close_connection(conn)

    def end_scope(self, state: State) -> None:
        """Give the connection back at the end of the outermost block."""
        super().end_scope(state)
        if state.borrowed == 0 and getattr(self._local, "state", None) is state:
            self.discard(state)

    def close_connection(self, conn: psycopg.Connection[Any]) -> None:
        """Give the connection back, or let the pool drop a broken one."""
        self._pool.give_back()

    def execute(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Execute one statement on a borrowed connection; its rows are all here when it is given back."""
        state = self.begin_scope()
        try:
            return super().execute(sql, params)
        finally:
            self.end_scope(state)

    def fetch_one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Execute and give the first row, or None."""
        return self.execute(sql, params).fetchone()

    def fetch_all(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        return self.execute(sql, params).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute one statement for each row on a borrowed connection."""
        state = self.begin_scope()
        try:
            return super().execute_many(sql, rows)
        finally:
            self.end_scope(state)

    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Insert rows by COPY on a borrowed connection."""
        state = self.begin_scope()
        try:
            return super().copy_rows(table, columns, rows)
        finally:
            self.end_scope(state)

    def close(self) -> None:
        """Close all connections of the pool."""
        super().close()
        self._pool.close()

    def abandon(self) -> None:
        """Forget all connections: what a forked child does."""
        leave_behind(self._pool)
        super().abandon()
        self._settle()


def _escape(value: str) -> str:
    """Write a value for libpq's `options`, where blanks separate."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
