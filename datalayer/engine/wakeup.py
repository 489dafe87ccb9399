"""Wait until somebody commits a change, without asking the tables again and again.

PostgreSQL: LISTEN/NOTIFY on a channel. SQLite: PRAGMA data_version, which changes when any other connection
has committed (sqlite.org/pragma.html#pragma_data_version); it costs a microsecond and reads no table.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.engine.dialect import WRITES

__all__ = ["CommitListener", "Listener", "notify"]

_FASTEST_S = 0.002
_SLOWEST_S = 0.05


def notify(engine: Engine, channel: str) -> None:
    """Wake who listens to this channel, once the present transaction is committed.

    On SQLite every commit does so by itself. Idle listeners cost nothing.
    """
    sql = engine.dialect.notify_sql
    if sql:
        engine.execute(sql, (channel,))


class Listener:
    """Waits for changes; `with` it, since it holds a connection of its own.

    A wait may end early, when something else changed: look again, then wait again. A change between two waits
    is not missed.
    """

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine = engine
        self._conn: Any = engine.open_extra()
        self._seen: Any = None
        statement = engine.dialect.listen_sql
        if statement:
            self._conn.execute(statement.format(channel=engine.dialect.quote(channel)))
            self._conn.execute(engine.dialect.attend(channel))
        else:
            self._seen = self._version()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        conn, self._conn = self._conn, None
        if conn is not None:
            self._engine.close_extra(conn)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a change; False when the time is over.

        Raises:
            DatabaseUnavailable: the connection broke.
        """
        try:
            if self._engine.dialect.listen_sql:
                return any(True for _ in self._conn.notifies(timeout=timeout_s, stop_after=1))
            return self._poll(timeout_s)
        except self._engine.driver_errors as exc:
            raise self._engine.translate(exc) from exc

    def _poll(self, timeout_s: float) -> bool:
        deadline = monotonic() + timeout_s
        pause = _FASTEST_S
        while True:
            version = self._version()
            if version != self._seen:
                self._seen = version
                return True
            left = deadline - monotonic()
            if left <= 0:
                return False
            sleep(min(pause, left))
            pause = min(pause * 1.5, _SLOWEST_S)

    def _version(self) -> Any:
        return self._conn.execute("PRAGMA data_version").fetchone()[0]


class CommitListener:
    """Waits for commits of any process; `with` it, since it holds a connection of its own.

    Those that this process made through the same engine wake it at once, others within some 50 ms. On
    PostgreSQL others are heard of if they write through this package, and as far as they know that somebody
    listens, which they ask four times a second: look again now and then.
    """

    def __init__(self, engine: Engine) -> None:
        self._bell = engine.bell
        self._listener = Listener(engine, WRITES)
        self._seen = self._bell.attend()
        self._is_attending = True

    def __enter__(self) -> CommitListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; again does nothing."""
        if self._is_attending:
            self._is_attending = False
            self._bell.leave()
            self._listener.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a commit; False when the time is over. May be woken without one.

        Raises:
            DatabaseUnavailable: the connection broke.
        """
        deadline = monotonic() + timeout_s
        pause = _FASTEST_S
        while True:
            left = max(0.0, deadline - monotonic())
            rung = self._bell.wait(self._seen, min(pause, left))
            is_rung, self._seen = rung != self._seen, rung
            # asked in any case, so that one commit does not wake twice
            if self._listener.wait(0) or is_rung:
                return True
            if monotonic() >= deadline:
                return False
            pause = min(pause * 1.5, _SLOWEST_S)
