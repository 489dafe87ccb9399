"""What the operations of the domains do, as one would write it by hand: plain SQL through sqlite3 or psycopg.

On the same schema, so with the same constraints, triggers and indexes; rows are found, locked, checked and
written as the operation promises, and nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.peers import PRAGMAS
from datalayer.repository.fields import new_id
from datalayer.schema.postgres_words import tsvector

__all__ = ["ByHand", "Hit", "Version", "now"]

HALF_HOUR = timedelta(minutes=30)
PAGE = 50
FILES_SQL = (
    "INSERT INTO builder_files (id, thread_id, file_path, file_content, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (thread_id, file_path)"
    " DO UPDATE SET file_content = excluded.file_content, updated_at = excluded.updated_at"
)
USED_SQL = (
    "SELECT COALESCE(SUM(CASE WHEN status = 'settled' THEN cost_micros END), 0)"
    " + COALESCE(SUM(CASE WHEN status = 'reserved' AND expires_at > ? THEN reserved_micros END), 0)"
    " FROM ai_usage_logs WHERE created_at >= ? AND user_id = ?"
)
OLD_SQL = "SELECT id FROM activity_log WHERE created_at < ? ORDER BY created_at, id LIMIT 500"
ROLL_UP_SQL = (
    "INSERT INTO analytics_rollups (day, name, event_count, actor_count)"
    " SELECT CAST(? AS TEXT), name, COUNT(*), COUNT(DISTINCT COALESCE('u' || user_id, 'v' || visitor_id))"
    " FROM analytics_events WHERE occurred_at >= ? AND occurred_at < ? GROUP BY name"
    " ON CONFLICT (day, name) DO UPDATE SET event_count = excluded.event_count,"
    " actor_count = excluded.actor_count"
)
FIND_FTS5 = (
    "SELECT d.kind, d.source_id, highlight(search_words, 0, '[', ']'),"
    " snippet(search_words, 1, '[', ']', '…', 24), d.updated_at, -search_words.rank"
    " FROM search_words JOIN search_documents AS d ON d.id = search_words.rowid"
    " WHERE search_words MATCH ? AND search_words.rank MATCH 'bm25(5.0, 1.0)' AND d.user_id = ?"
    " ORDER BY search_words.rank LIMIT 20"
)


@dataclass(slots=True)
class Version:
    id: str
    draft_id: str
    content: str
    version_number: int
    parent_version_id: str | None
    generation_source: str | None
    created_at: datetime


@dataclass(slots=True)
class Hit:
    kind: str
    source_id: str
    title: str
    snippet: str
    updated_at: datetime
    score: float


@dataclass(slots=True)
class Opened:
    id: str
    user_id: str
    expires_at: datetime


def now() -> str:
    """Give the present moment as it is stored."""
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class ByHand(ABC):
    """One connection, and on it each operation as a function."""

    lock = ""
    moment: Callable[[Any], datetime] = staticmethod(datetime.fromisoformat)

    @staticmethod
    def open(target: str) -> ByHand:
        return OnPostgres(target) if target.startswith("postgresql:") else OnSqlite(target)

    @abstractmethod
    def all(self, sql: str, *params: Any) -> list[Any]: ...

    @abstractmethod
    def write(self, sql: str, *params: Any) -> int: ...

    @abstractmethod
    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]: ...

    @abstractmethod
    def close(self) -> None: ...

    # -- drafts ------------------------------------------------------------------------------------

    def add_version(self, draft_id: str, content: str, user_id: str) -> Version:
        with self.transaction():
            ((parent,),) = self.all(
                f"SELECT current_version_id FROM draft WHERE id = ? AND user_id = ?{self.lock}",
                draft_id,
                user_id,
            )
            ((number,),) = self.all(
                "SELECT COALESCE(MAX(version_number), 0) + 1 FROM version WHERE draft_id = ?", draft_id
            )
            made = Version(new_id(), draft_id, content, number, parent, "user", datetime.now(UTC))
            moment = _text(made.created_at)
            self.write(
                "INSERT INTO version (id, draft_id, content, version_number, parent_version_id,"
                " generation_source, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(made.id, draft_id, content, number, parent, "user", moment),
            )
            self.write(
                "UPDATE draft SET current_version_id = ?, updated_at = ? WHERE id = ?",
                *(made.id, moment, draft_id),
            )
        return made

    def history(self, draft_id: str, user_id: str) -> list[Version]:
        if not self.all("SELECT 1 FROM draft WHERE id = ? AND user_id = ?", draft_id, user_id):
            raise LookupError(draft_id)
        rows = self.all(
            "SELECT id, draft_id, content, version_number, parent_version_id, generation_source, created_at"
            f" FROM version WHERE draft_id = ? ORDER BY version_number DESC LIMIT {PAGE + 1}",
            draft_id,
        )
        moment = self.moment
        return [Version(*row[:6], moment(row[6])) for row in rows[:PAGE]]

    # -- builder -----------------------------------------------------------------------------------

    def write_files(self, thread_id: str, files: dict[str, str], user_id: str) -> None:
        moment = now()
        with self.transaction():
            sql = "UPDATE builder_threads SET updated_at = ? WHERE id = ? AND user_id = ?"
            if not self.write(sql, moment, thread_id, user_id):
                raise LookupError(thread_id)
            self.write_many(
                FILES_SQL,
                [(new_id(), thread_id, path, text, moment, moment) for path, text in files.items()],
            )

    # -- workspaces --------------------------------------------------------------------------------

    def post(self, participant_id: str, content: str) -> str:
        with self.transaction():
            ((thread_id,),) = self.all(
                "SELECT thread_id FROM thread_participants WHERE id = ?", participant_id
            )
            ((status,),) = self.all(f"SELECT status FROM threads WHERE id = ?{self.lock}", thread_id)
            if status != "active":
                raise LookupError(thread_id)
            key, moment = new_id(), now()
            self.write(
                "INSERT INTO thread_messages (id, thread_id, sender_id, content, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                *(key, thread_id, participant_id, content, moment, moment),
            )
            readers = self.all(
                "SELECT id FROM thread_participants WHERE thread_id = ? AND id <> ? ORDER BY id",
                *(thread_id, participant_id),
            )
            self.write_many(
                "INSERT INTO thread_message_deliveries (id, message_id, participant_id, created_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?)",
                [(new_id(), key, reader, moment, moment) for (reader,) in readers],
            )
        return key

    def reserve_and_settle(self, user_id: str, most: int, cost: int) -> None:
        with self.transaction():
            budgets = self.all(
                "SELECT limit_micros FROM ai_cost_budgets WHERE user_id = ? OR user_id IS NULL"
                f" ORDER BY id{self.lock}",
                user_id,
            )
            begun = datetime.now(UTC)
            moment = _text(begun)
            today = f"{moment[:10]}T00:00:00.000000Z"
            for (limit,) in budgets:
                ((used,),) = self.all(USED_SQL, moment, today, user_id)
                if used + most > limit:
                    raise LookupError(user_id)
            key = new_id()
            self.write(
                "INSERT INTO ai_usage_logs (id, user_id, provider, status, reserved_micros, expires_at,"
                " created_at, updated_at) VALUES (?, ?, 'openai', 'reserved', ?, ?, ?, ?)",
                *(key, user_id, most, _text(begun + HALF_HOUR), moment, moment),
            )
        ended = now()
        self.all(
            "UPDATE ai_usage_logs SET status = 'settled', cost_micros = ?, input_tokens = ?,"
            " output_tokens = ?, expires_at = NULL, ended_at = ?, updated_at = ?"
            " WHERE id = ? AND status = 'reserved' RETURNING *",
            *(cost, 900, 70, ended, ended, key),
        )

    # -- sandboxes ---------------------------------------------------------------------------------

    def post_chat(self, session_id: str, content: str, user_id: str) -> str:
        if not self.all("SELECT 1 FROM chat_sessions WHERE id = ? AND user_id = ?", session_id, user_id):
            raise LookupError(session_id)
        key, moment = new_id(), now()
        self.write(
            "INSERT INTO chat_messages (id, session_id, role, content, completed_at, created_at, updated_at)"
            " VALUES (?, ?, 'user', ?, ?, ?, ?)",
            *(key, session_id, content, moment, moment, moment),
        )
        return key

    def append(self, key: str, text: str, user_id: str) -> None:
        changed = self.write(
            "UPDATE chat_messages SET content = content || ?, updated_at = ? WHERE id = ?"
            " AND status = 'streaming' AND session_id IN (SELECT id FROM chat_sessions WHERE user_id = ?)",
            *(text, now(), key, user_id),
        )
        if not changed:
            raise LookupError(key)

    # -- providers ---------------------------------------------------------------------------------

    def read_credential(self, user_id: str) -> Any:
        (row,) = self.all(
            "SELECT id, auth_type, api_key, access_token, refresh_token, scope, expires_at"
            " FROM provider_credentials WHERE user_id = ? AND provider_id = 'openai'",
            user_id,
        )
        return row

    def open_credential(self, user_id: str, box: Any) -> str:
        row = self.read_credential(user_id)
        version, name, text = row[2].split(":", 2)
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        place = json.dumps([version, name, "provider_credentials", "api_key", row[0], user_id]).encode()
        return str(box.decrypt(data[:12], data[12:], place).decode())

    # -- activity ----------------------------------------------------------------------------------

    def log(self, user_id: str, entity_id: str) -> str:
        key = new_id()
        self.write(
            "INSERT INTO activity_log (id, user_id, action, entity_type, entity_id, metadata, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(key, user_id, "sandbox.start", "sandbox", entity_id, json.dumps({"tier": "builder"}), now()),
        )
        return key

    def archive(self, before: datetime) -> int:
        limit, moved = _text(before), 0
        while True:
            with self.transaction():
                taken = self.all(
                    f"DELETE FROM activity_log WHERE id IN ({OLD_SQL})"
                    " RETURNING id, action, entity_type, created_at",
                    limit,
                )
                moment = now()
                self.write_many(
                    "INSERT INTO activity_log_archive (id, action, entity_type, created_at, archived_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [(*row, moment) for row in taken],
                )
            moved += len(taken)
            if len(taken) < 500:
                return moved

    # -- search ------------------------------------------------------------------------------------

    @abstractmethod
    def find(self, text: str, user_id: str) -> list[Hit]: ...

    def insert_document(self, user_id: str, title: str, content: str) -> None:
        moment = now()
        self.write(
            "INSERT INTO knowledge_documents (id, user_id, category, title, content, created_at, updated_at)"
            " VALUES (?, ?, 'notes', ?, ?, ?, ?)",
            *(new_id(), user_id, title, content, moment, moment),
        )

    # -- attachments -------------------------------------------------------------------------------

    def attach(self, user_id: str, content: bytes, folder: Path) -> None:
        digest = hashlib.sha256(content).hexdigest()
        half, whole = folder / f"{digest}.half", folder / digest
        write_and_sync(half, content)
        with self.transaction():
            moment = now()
            self.write(
                "INSERT INTO attachment_contents (sha256, size_bytes, created_at) VALUES (?, ?, ?)"
                " ON CONFLICT (sha256) DO NOTHING",
                *(digest, len(content), moment),
            )
            half.replace(whole)
            self.write(
                "INSERT INTO attachments (id, user_id, name, media_type, sha256, created_at, updated_at)"
                " VALUES (?, ?, 'cat.png', 'image/png', ?, ?, ?)",
                *(new_id(), user_id, digest, moment, moment),
            )

    # -- events ------------------------------------------------------------------------------------

    def track_many(self, events: Iterable[dict[str, Any]]) -> None:
        moment = now()
        with self.transaction():
            self.write_many(
                "INSERT INTO analytics_events (id, name, user_id, properties, occurred_at, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        new_id(),
                        event["name"],
                        event["user_id"],
                        json.dumps(event["properties"]),
                        _text(event["occurred_at"]),
                        moment,
                    )
                    for event in events
                ],
            )

    def roll_up(self, day: date) -> None:
        ends = day + timedelta(days=1)
        bounds = (f"{day}T00:00:00.000000Z", f"{ends}T00:00:00.000000Z")
        self.write(ROLL_UP_SQL, day.isoformat(), *bounds)

    # -- accounts ----------------------------------------------------------------------------------

    def session_of(self, token: str) -> Opened:
        (row,) = self.all(
            "SELECT id, user_id, expires_at FROM auth_sessions WHERE token = ? AND expires_at > ?",
            *(hashlib.sha256(token.encode()).hexdigest(), now()),
        )
        return Opened(row[0], row[1], self.moment(row[2]))


class OnSqlite(ByHand):
    def __init__(self, path: str) -> None:
        self.conn = sqlite3.connect(path, isolation_level=None)
        for name, value in PRAGMAS.items():
            self.conn.execute(f"PRAGMA {name} = {value}")

    def all(self, sql: str, *params: Any) -> list[Any]:
        return self.conn.execute(sql, params).fetchall()

    def write(self, sql: str, *params: Any) -> int:
        return self.conn.execute(sql, params).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.conn.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Any:
        self.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.conn.execute("ROLLBACK")
            raise
        self.conn.execute("COMMIT")

    def find(self, text: str, user_id: str) -> list[Hit]:
        asked = " ".join(f'"{word}"' for word in text.split())
        return [
            Hit(*row[:4], datetime.fromisoformat(row[4]), row[5])
            for row in self.all(FIND_FTS5, asked, user_id)
        ]

    def close(self) -> None:
        self.conn.close()


class OnPostgres(ByHand):
    lock = " FOR UPDATE"

    @staticmethod
    def moment(stored: Any) -> datetime:
        return stored

    def __init__(self, url: str) -> None:
        self.conn = psycopg.connect(url, autocommit=True, options="-c search_path=public -c TimeZone=UTC")
        vector = tsvector(("title", "body"), "d").replace("%", "%%")
        self.find_sql = (
            "SELECT kind, source_id, ts_headline('simple', title, asked, 'StartSel=[, StopSel=]'),"
            " ts_headline('simple', body, asked, 'StartSel=[, StopSel=], MaxWords=24, MinWords=12'),"
            f" updated_at, score FROM (SELECT d.*, asked, ts_rank_cd({vector}, asked) AS score"
            " FROM search_documents AS d, plainto_tsquery('simple', %s) AS asked"
            f" WHERE ({vector}) @@ asked AND d.user_id = %s ORDER BY score DESC LIMIT 20) AS best"
            " ORDER BY score DESC"
        )

    def all(self, sql: str, *params: Any) -> list[Any]:
        return self.conn.execute(_psycopg(sql), params).fetchall()

    def write(self, sql: str, *params: Any) -> int:
        return self.conn.execute(_psycopg(sql), params).rowcount

    def write_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self.conn.cursor() as cursor:
            cursor.executemany(_psycopg(sql), rows)

    def transaction(self) -> AbstractContextManager[object]:
        return self.conn.transaction()

    def find(self, text: str, user_id: str) -> list[Hit]:
        return [Hit(*row) for row in self.conn.execute(self.find_sql, (text, user_id))]

    def close(self) -> None:
        self.conn.close()


@cache
def _psycopg(sql: str) -> Any:
    return sql.replace("?", "%s")


def write_and_sync(path: Path, content: bytes) -> None:
    """Write a file so that it outlasts a power cut."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
