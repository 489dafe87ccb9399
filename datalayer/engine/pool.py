"""A shared set of PostgreSQL connections, borrowed for a statement or a block.

Playhouse's pool does the work. Opening a connection costs about 1 ms, taking one from the pool 0.2 ms; but a
thread that keeps a borrowed one blocks a place, so the engine gives it back at the end of each outermost
block or statement.
"""

from __future__ import annotations

from typing import Any

from playhouse.pool import MaxConnectionsExceeded
from playhouse.postgres_ext import PooledPsycopg3Database

from datalayer.errors import DatabaseBusy

__all__ = ["Pool"]


class Pool:
    """Up to `size` connections, opened when needed with the driver's parameters given."""

    def __init__(self, url: str, size: int, *, timeout_s: float, display: str, **connect_params: Any) -> None:
        self._display = display
        self._size = size
        self._timeout_s = timeout_s
        self._pool = PooledPsycopg3Database(
            url, max_connections=size, timeout=timeout_s, stale_timeout=300, **connect_params
        )

    def borrow(self) -> Any:
        """Give this thread a connection, waiting for a free one.

        Raises:
            DatabaseBusy: none became free in time.
        """
        try:
            self._pool.connect(reuse_if_open=True)
        except MaxConnectionsExceeded as exc:
            raise DatabaseBusy(
                f"{self._display}: all {self._size} connections of the pool are in use",
                why=f"none was given back for {self._timeout_s:g} s",
                hint="end transactions sooner, or open the store with a larger pool",
            ) from exc
        return self._pool.connection()

    def give_back(self) -> None:
        """Take this thread's connection back."""
        self._pool.close()

    def drop(self) -> None:
        """Close this thread's connection for good."""
        self._pool.manual_close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close_all()

    def forget(self) -> None:
        """Forget all connections without closing them."""
        self._pool.dispose()
