"""Deleting what has expired, in bounded transactions."""

from __future__ import annotations

from datalayer.engine.connection import Engine
from datalayer.repository.fields import encode_utc

__all__ = ["delete_expired"]


def delete_expired(engine: Engine, table: str, *, batch: int, limit: int | None) -> int:
    """Delete rows whose `expires_at` has come, the oldest first, at most `limit`; give their number.

    Each batch is one statement that commits by itself, unless a transaction is open.
    """
    now = encode_utc(engine.clock())
    oldest = f"SELECT id FROM {table} WHERE expires_at <= ? ORDER BY expires_at, id LIMIT ?"
    sql = engine.dialect.sql(f"DELETE FROM {table} WHERE {engine.dialect.in_few('id', oldest)}")
    deleted = 0
    while limit is None or deleted < limit:
        size = batch if limit is None else min(batch, limit - deleted)
        count = int(engine.write(sql, (now, size)).rowcount)
        deleted += count
        if count < size:
            break
    return deleted
