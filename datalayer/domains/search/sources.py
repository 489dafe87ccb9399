"""Where the texts come from: for each kind the rows as they should be searched.

The triggers of the migrations keep search_documents so; these queries make it anew, and check it.
"""

from __future__ import annotations

from dataclasses import dataclass

from datalayer.engine.connection import Engine

__all__ = ["COLUMNS", "Source", "sources"]

COLUMNS = "kind, source_id, user_id, scope_id, title, body, updated_at"
_BODY = "substr({}, 1, 200000)"
_TITLE = "substr({}, 1, 1000)"


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of texts: the table they stand in, and a query of all, with the columns of `COLUMNS`."""

    kind: str
    table: str
    query: str


def _source(kind: str, table: str, *values: str, rest: str = "") -> Source:
    owner, scope, title, body, moment = values
    names = COLUMNS.split(", ")
    shown = (f"'{kind}'", f"{table}.id", owner, scope, title, _BODY.format(body), moment)
    columns = ", ".join(f"{value} AS {name}" for value, name in zip(shown, names))
    return Source(kind, table, f"SELECT {columns} FROM {table}{rest}")


_NONE = "CAST(NULL AS TEXT)"
_ALL = (
    _source("session", "sessions", _NONE, _NONE, _TITLE.format("name"), "task_description", "updated_at"),
    _source(
        "draft",
        "draft",
        "draft.user_id",
        _NONE,
        "coalesce(draft.title, '')",
        "coalesce(draft.description, '') || ' ' || coalesce(version.content, '')",
        "draft.updated_at",
        rest=" LEFT JOIN version ON version.id = draft.current_version_id",
    ),
    _source(
        "draft_message",
        "chat_message",
        "draft.user_id",
        _NONE,
        "''",
        "chat_message.content",
        "chat_message.created_at",
        rest=" JOIN draft ON draft.id = chat_message.draft_id",
    ),
    _source(
        "builder_message",
        "builder_messages",
        "builder_threads.user_id",
        _NONE,
        "''",
        "builder_messages.content",
        "builder_messages.created_at",
        rest=" JOIN builder_threads ON builder_threads.id = builder_messages.thread_id",
    ),
    _source(
        "knowledge", "knowledge_documents", "user_id", _NONE, _TITLE.format("title"), "content", "updated_at"
    ),
    _source(
        "chat_message",
        "chat_messages",
        "chat_sessions.user_id",
        _NONE,
        "''",
        "chat_messages.content",
        "chat_messages.created_at",
        rest=" JOIN chat_sessions ON chat_sessions.id = chat_messages.session_id"
        " WHERE chat_messages.status <> 'streaming'",
    ),
    _source("thread_message", "thread_messages", _NONE, "thread_id", "''", "content", "created_at"),
)


def sources(engine: Engine) -> list[Source]:
    """Give the kinds of texts of the domains that this database has."""
    return [source for source in _ALL if engine.columns(source.table)]
