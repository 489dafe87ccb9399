"""What must hold of sandboxes beyond their columns' types, for `check-db`; told also where a rule is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from datalayer.engine.connection import Engine
from datalayer.repository.fields import decode_json, encode_utc
from datalayer.schema.check.rule import MOST_ROWS, Rule
from datalayer.schema.finding import Finding

__all__ = ["CHECKS", "INSPECTIONS", "long_underway", "unknown_addons"]

_CHUNK = 1_000
_COUNTS = (
    ("message_count", "count(m.id)"),
    ("user_message_count", "count(CASE WHEN m.role = 'user' THEN 1 END)"),
    ("assistant_message_count", "count(CASE WHEN m.role = 'assistant' THEN 1 END)"),
    ("total_input_tokens", "COALESCE(sum(m.input_tokens), 0)"),
    ("total_output_tokens", "COALESCE(sum(m.output_tokens), 0)"),
)

CHECKS = {
    "DL-C280": Rule(
        "SELECT s.id, s.message_count, count(m.id) AS messages FROM chat_sessions AS s"
        " LEFT JOIN chat_messages AS m ON m.session_id = s.id GROUP BY s.id HAVING "
        + " OR ".join(f"s.{column} <> {counted}" for column, counted in _COUNTS)
        + " OR s.last_message_at IS DISTINCT FROM max(m.created_at)",
        "{count} chat sessions have counters that are not those of their messages",
        table="chat_sessions",
    ),
    "DL-C281": Rule(
        "SELECT c.id, c.sandbox_id, c.user_id FROM chat_sessions AS c"
        " JOIN sandboxes AS s ON s.id = c.sandbox_id WHERE s.user_id <> c.user_id"
        " UNION ALL SELECT o.id, o.sandbox_id, o.user_id FROM onboarding_sessions AS o"
        " JOIN sandboxes AS s ON s.id = o.sandbox_id WHERE s.user_id <> o.user_id",
        "{count} chats or onboardings belong to another user than their sandbox",
        table="chat_sessions",
    ),
    "DL-C282": Rule(
        "SELECT id, embedding_status, embedding_dimensions, length(embedding) AS bytes"
        " FROM knowledge_documents WHERE (embedding_status = 'ready') <> (embedding IS NOT NULL)"
        " OR (embedding IS NULL) <> (embedding_dimensions IS NULL)"
        " OR length(embedding) <> 4 * embedding_dimensions",
        "{count} documents have an embedding that is not whole, or none though they are ready",
        table="knowledge_documents",
    ),
}


def unknown_addons(engine: Engine, _data_dir: Path | None) -> Iterator[Finding]:
    """Find sandboxes and preferences with addons that there are not; reads both tables once."""
    if "id" not in engine.columns("container_addons"):
        return
    known = {str(key) for (key,) in engine.fetch_all("SELECT id FROM container_addons")}
    for table, key, column in (
        ("sandboxes", "id", "addon_ids"),
        ("user_preferences", "user_id", "default_addon_ids"),
    ):
        if column not in engine.columns(table):
            continue
        wrong = [row for row in _lists(engine, table, key, column) if set(row[column]) - known]
        if wrong:
            message = f"{len(wrong)} rows of {table} name addons that there are not"
            rows = [{**row, column: str(row[column])} for row in wrong[:MOST_ROWS]]
            yield Finding("DL-C283", "warning", table, column, len(wrong), message, "manual", rows)


def _lists(engine: Engine, table: str, key: str, column: str) -> Iterator[dict[str, Any]]:
    sql = engine.dialect.sql(f"SELECT {key}, {column} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?")
    last = ""
    while rows := engine.fetch_all(sql, (last, _CHUNK)):
        for row_key, stored in rows:
            try:
                values = decode_json(stored)
            except ValueError:
                continue
            if isinstance(values, list) and values:
                yield {key: row_key, column: [str(value) for value in cast("list[Any]", values)]}
        last = rows[-1][0]


# what ought to pass soon, and after how many hours it is told
_PASSING = (
    ("DL-C284", "sandboxes", "status IN ('starting', 'stopping')", 1, "sandboxes are starting or stopping"),
    ("DL-C285", "chat_messages", "status = 'streaming'", 24, "messages are streaming"),
)


def long_underway(engine: Engine, _data_dir: Path | None) -> Iterator[Finding]:
    """Find what is on its way for so long that whoever had it in hand is gone."""
    for number, table, condition, hours, what in _PASSING:
        if not {"status", "updated_at"} <= set(engine.columns(table)):
            continue
        before = encode_utc(engine.clock() - timedelta(hours=hours))
        sql = (
            f"SELECT id, updated_at FROM {table} WHERE {condition} AND updated_at < ? ORDER BY updated_at, id"
        )
        rows = engine.fetch_all(engine.dialect.sql(sql), (before,))
        if rows:
            message = f"{len(rows)} {what} for more than {hours} h"
            told = [{"id": key, "updated_at": str(moment)} for key, moment in rows[:MOST_ROWS]]
            yield Finding(number, "info", table, None, len(rows), message, "none", told)


INSPECTIONS = (unknown_addons, long_underway)
