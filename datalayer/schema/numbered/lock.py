"""One migrator at a time on PostgreSQL: an advisory lock of a session that does nothing else.

It is tried again and again, never waited for: who waits in pg_advisory_lock() holds a snapshot, which CREATE
INDEX CONCURRENTLY waits for in turn. https://www.postgresql.org/docs/current/explicit-locking.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseBusy

__all__ = ["POLL_S", "being_migrated", "lock_key", "migration_lock"]


# how often the lock is tried
POLL_S = 0.05


def lock_key(schema_name: str) -> int:
    """Give the number of the advisory lock that stands for migrating a schema."""
    name = f"datalayer.migrate {schema_name}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def being_migrated(display_url: str) -> DatabaseBusy:
    """Give the error for a lock that did not come in time."""
    return DatabaseBusy(
        f"{display_url} is being migrated by another process", hint="wait for it, then try again"
    )


@contextmanager
def migration_lock(engine: Engine, deadline: float) -> Generator[None]:
    """Hold the lock of a PostgreSQL engine's schema on a connection of its own.

    `deadline` is a time of `time.monotonic`. Raises DatabaseBusy when it passes while another process
    migrates.
    """
    connection = engine.open_extra()
    try:
        while not _try(engine, connection):
            if monotonic() >= deadline:
                raise being_migrated(engine.display_url)
            sleep(POLL_S)
        yield
    finally:
        # the lock goes with its session
        engine.close_extra(connection)


def _try(engine: Engine, connection: Any) -> bool:
    try:
        row = connection.execute(
            "SELECT pg_try_advisory_lock(%s)", (lock_key(engine.schema_name),)
        ).fetchone()
    except engine.driver_errors as exc:
        raise engine.translate(exc) from exc
    return row == (True,)
