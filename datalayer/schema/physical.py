"""A SQLite connection that reads one snapshot of an engine's database and cannot write."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote as quote_url

from datalayer.engine.connection import Engine
from datalayer.engine.translate import from_sqlite

__all__ = ["read_only"]


@contextmanager
def read_only(engine: Engine) -> Generator[sqlite3.Connection]:
    """Give a connection for reading in one snapshot; a file is opened read-only, memory has but the engine's.

    Raises DatabaseCorrupt, DatabaseUnavailable or DatabaseBusy, as the engine would.
    """
    if engine.path is None:
        with engine.transaction(read=True):
            yield engine.connection()
        return
    # https://sqlite.org/uri.html: a path may hold ? and #
    uri = f"file:{quote_url(str(engine.path))}?mode=ro"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, timeout=engine.options.busy_timeout_s
        )
    except sqlite3.Error as exc:
        raise from_sqlite(exc, engine.display_url) from exc
    try:
        # the snapshot is taken by the first read
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection
    except sqlite3.Error as exc:
        raise from_sqlite(exc, engine.display_url) from exc
    finally:
        connection.close()
