"""Processes that hold a lock on a SQLite file until they are told to let go, or migrate it."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of
from support.live_schema import Row, plain_connect, rows

__all__ = ["migrate_too", "read_on", "write_on"]


def read_on(path: str, sql: str) -> list[list[Row]]:
    """Ask in one read transaction, before and after somebody says a word; then once more in a new one."""
    with closing(plain_connect(path)) as connection:
        connection.execute("BEGIN")
        answers = [rows(connection, sql)]
        _hold()
        answers.append(rows(connection, sql))
        connection.execute("COMMIT")
        return answers


def write_on(path: str, sql: str, lock: str = "IMMEDIATE", synchronous: str = "OFF") -> None:
    """Write, and commit when somebody says a word."""
    with closing(plain_connect(path)) as connection:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"BEGIN {lock}")
        connection.execute(sql)
        _hold()
        connection.execute("COMMIT")


def _hold() -> None:
    print("holding", flush=True)
    sys.stdin.readline()


def migrate_too(path: str, schema_file: str) -> bool:
    """Migrate, and say whether there was nothing to do."""
    engine = open_engine(Path(path), Options(create=False, busy_timeout_s=0.2))
    try:
        target = target_of(schema_file=schema_file)
        return migrate(engine, target, consent=Consent(skip_backup=True)).nothing_to_do
    finally:
        engine.close()
