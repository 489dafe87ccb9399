"""The queues that benchmarks.jobs compares: datalayer's, and SQL by hand on its table and on a lean one."""

from __future__ import annotations

import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg

import datalayer
from benchmarks.peers import PRAGMAS

__all__ = ["BY_HAND", "LEAN", "OURS", "Contestant", "open_contestant", "prepare"]

BY_HAND, LEAN, OURS = "by hand", "lean table", "datalayer"
LEASE = timedelta(seconds=60)
TIMEOUT_S = 30.0
LEAN_TABLE = """
CREATE TABLE IF NOT EXISTS lean_jobs (
    id TEXT PRIMARY KEY, task_type TEXT NOT NULL, status TEXT NOT NULL, priority INTEGER NOT NULL,
    run_at TEXT NOT NULL, attempt INTEGER NOT NULL, lease_owner TEXT, lease_expires_at TEXT,
    prompt TEXT NOT NULL, response TEXT)
"""
LEAN_INDEX = (
    "CREATE INDEX IF NOT EXISTS lean_jobs_claim ON lean_jobs (priority DESC, run_at, id)"
    " WHERE status = 'queued'"
)


class Contestant(Protocol):
    def enqueue(self, prompt: str) -> object: ...

    def enqueue_many(self, count: int, prompt: str) -> object: ...

    def claim(self) -> Any: ...

    def complete(self, job: Any, response: str) -> None: ...

    def completed(self) -> int: ...

    def empty(self) -> None: ...

    def close(self) -> None: ...


def prepare(target: str) -> None:
    """Make the tables."""
    with datalayer.connect(target) as store:
        store.migrate()
        store.engine.execute(LEAN_TABLE)
        store.engine.execute(LEAN_INDEX)


def open_contestant(name: str, target: str) -> Contestant:
    """Open a queue by its name."""
    return Queue(target) if name == OURS else SqlQueue(target, lean=name == LEAN)


class Queue:
    """datalayer's."""

    def __init__(self, target: str) -> None:
        self.store = datalayer.connect(target, busy_timeout_s=TIMEOUT_S)
        self.jobs = self.store.jobs

    def enqueue(self, prompt: str) -> object:
        return self.jobs.enqueue("summarise", prompt)

    def enqueue_many(self, count: int, prompt: str) -> object:
        return self.jobs.enqueue_many({"task_type": "summarise", "prompt": prompt} for _ in range(count))

    def claim(self) -> Any:
        return self.jobs.claim("worker")

    def complete(self, job: Any, response: str) -> None:
        self.jobs.complete(job, response)

    def completed(self) -> int:
        return self.jobs.count(status="completed")

    def empty(self) -> None:
        self.store.engine.write("DELETE FROM background_jobs")

    def close(self) -> None:
        self.store.close()


class SqlQueue:
    """Statements by hand: claim with a lease, complete behind the fence of id, attempt and owner."""

    def __init__(self, target: str, *, lean: bool) -> None:
        self.is_postgres = target.startswith("postgresql:")
        self.table = "lean_jobs" if lean else "background_jobs"
        added = ["id", "task_type", "status", "priority", "run_at", "attempt", "prompt"]
        ended = "" if lean else " end_time = ?, updated_at = ?,"
        self.ended = 0 if lean else 2
        self.added = 0 if lean else 3
        added += [] if lean else ["created_at", "updated_at", "max_attempts"]
        marks = ", ".join("?" * len(added))
        self.insert_sql = f"INSERT INTO {self.table} ({', '.join(added)}) VALUES ({marks})"
        lock = " FOR UPDATE SKIP LOCKED" if self.is_postgres else ""
        # without statistics SQLite takes the index on status alone, and sorts the whole queue for each claim
        index = "" if self.is_postgres else f" INDEXED BY {self.table}_claim"
        touched = "" if lean else ", updated_at = ?"
        self.claim_sql = (
            f"UPDATE {self.table} SET status = '{'running' if lean else 'acknowledged_by_worker'}',"
            f" attempt = attempt + 1, lease_owner = ?, lease_expires_at = ?{touched}"
            f" WHERE id = (SELECT id FROM {self.table}{index} WHERE status = 'queued' AND run_at <= ?"
            f" ORDER BY priority DESC, run_at, id LIMIT 1{lock}) RETURNING id, attempt, prompt"
        )
        self.complete_sql = (
            f"UPDATE {self.table} SET status = 'completed', lease_owner = NULL, lease_expires_at = NULL,"
            f"{ended} response = ? WHERE id = ? AND attempt = ? AND lease_owner = ?"
        )
        self.conn: Any = _connect(target, self.is_postgres)

    def execute(self, sql: str, params: tuple[Any, ...] = ()) -> Any:
        return self.conn.execute(sql.replace("?", "%s") if self.is_postgres else sql, params)

    def _values(self, prompt: str) -> tuple[Any, ...]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        lean = (str(uuid.uuid4()), "summarise", "queued", 0, now, 0, prompt)
        return (*lean, now, now, 3) if self.added else lean

    def enqueue(self, prompt: str) -> object:
        return self.execute(self.insert_sql, self._values(prompt))

    def enqueue_many(self, count: int, prompt: str) -> object:
        rows = (self._values(prompt) for _ in range(count))
        if self.is_postgres:
            with self.conn.transaction(), self.conn.cursor() as cursor:
                cursor.executemany(self.insert_sql.replace("?", "%s"), rows)
        else:
            self.conn.execute("BEGIN IMMEDIATE")
            self.conn.executemany(self.insert_sql, rows)
            self.conn.execute("COMMIT")
        return None

    def claim(self) -> Any:
        now = datetime.now(UTC)
        stamp = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        expires = (now + LEASE).isoformat(timespec="microseconds").replace("+00:00", "Z")
        touched = (stamp,) if self.ended else ()
        rows = self.execute(self.claim_sql, ("worker", expires, *touched, stamp)).fetchall()
        return rows[0] if rows else None

    def complete(self, job: Any, response: str) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        key, attempt, _ = job
        ended = (stamp,) * self.ended
        if self.execute(self.complete_sql, (*ended, response, key, attempt, "worker")).rowcount != 1:
            raise AssertionError("the lease was lost")

    def completed(self) -> int:
        return int(
            self.execute(f"SELECT COUNT(*) FROM {self.table} WHERE status = 'completed'").fetchone()[0]
        )

    def empty(self) -> None:
        self.execute(f"DELETE FROM {self.table}")

    def close(self) -> None:
        self.conn.close()


def _connect(target: str, is_postgres: bool) -> Any:
    if is_postgres:
        return psycopg.connect(target, autocommit=True, options="-c search_path=public -c TimeZone=UTC")
    conn = sqlite3.connect(target, timeout=TIMEOUT_S, isolation_level=None)
    for name, value in PRAGMAS.items():
        conn.execute(f"PRAGMA {name} = {value}")
    return conn
