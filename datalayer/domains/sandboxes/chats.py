"""Chats in sandboxes: sessions that are made once for each id of another system, and their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Unpack

import peewee

from datalayer.domains.sandboxes.model import (
    FINAL_MESSAGE_STATUSES,
    ChatMessage,
    ChatSession,
    MessageOptions,
    MessageUsage,
    Sandbox,
    SessionChanges,
)
from datalayer.engine.connection import Engine
from datalayer.errors import ForeignKeyViolation, InvalidTransition
from datalayer.repository.fields import encode_utc
from datalayer.repository.owned import Once, Owned, not_found
from datalayer.repository.page import Page

__all__ = ["ChatMessages", "ChatSessions", "Source"]

Source = Literal["opencode", "acp_gateway"]
_ID_COLUMN = {"opencode": "opencode_session_id", "acp_gateway": "acp_session_id"}
_LATEST = ("-created_at", "-id")
_OF_USER = "session_id IN (SELECT id FROM chat_sessions WHERE user_id = ?)"


class ChatMessages(Once[ChatMessage]):
    """`store.sandboxes.chats.messages`: what was said, each message under its session's owner."""

    def __init__(
        self, engine: Engine, model: type[ChatMessage] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        # called for each piece of an answer that a model gives
        self._append_sql = engine.dialect.sql(
            f"UPDATE {self.shape.table} SET content = content || ?, updated_at = ?"
            f" WHERE id = ? AND status = 'streaming' AND {_OF_USER}"
        )

    def post(
        self,
        session_id: str,
        role: str,
        content: str = "",
        *,
        user_id: str,
        **options: Unpack[MessageOptions],
    ) -> ChatMessage:
        """Add a message to a user's session and give it; the session's counters follow by themselves.

        A message whose `external_message_id` the session has already is not added: the one that is there is
        given as it is.

        Raises:
            NotFound: there is no such session, or it is another user's.
            CheckViolation: the role or status is unknown, or a number is negative.
        """
        self._check_session(session_id, user_id)
        values: dict[str, Any] = {**options, "session_id": session_id, "role": role, "content": content}
        if values.get("status", "complete") != "streaming":
            values["completed_at"] = self.engine.clock()
        try:
            while True:
                made = self.add_unless(("session_id", "external_message_id"), values)
                known = made or self.one_or_none(
                    session_id=session_id, external_message_id=values.get("external_message_id")
                )
                if known is not None:
                    return known
        except ForeignKeyViolation as exc:
            raise not_found("ChatSession", session_id) from exc

    def history(
        self, session_id: str, *, user_id: str, size: int = 50, after: str | None = None
    ) -> Page[ChatMessage]:
        """Give a page of a session's messages, the last one first; `after` leads to earlier ones.

        Raises:
            NotFound: there is no such session, or it is another user's.
        """
        self._check_session(session_id, user_id)
        return self.page(session_id=session_id, order_by=_LATEST, size=size, after=after)

    def get_own(self, key: str, *, user_id: str) -> ChatMessage:
        """Give a message of a user's session.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        row = self.one_or_none(self._of(user_id), id=key)
        if row is None:
            raise self._not_found(key)
        return row

    def append(self, key: str, text: str, *, user_id: str) -> None:
        """Add text to the content of a message that is streaming.

        Raises:
            InvalidTransition: it is final.
            NotFound: there is none, or it is another user's.
        """
        params = (text, encode_utc(self.engine.clock()), key, user_id)
        if not self._write(self._append_sql, params):
            raise self._final(key, user_id, "streaming")

    def finish(
        self, key: str, status: str = "complete", *, user_id: str, **usage: Unpack[MessageUsage]
    ) -> ChatMessage:
        """Make a message that is streaming final: complete, error or cancelled; and give it.

        Raises:
            InvalidTransition: it is final already, or the status is no final one.
            NotFound: there is none, or it is another user's.
        """
        if status not in FINAL_MESSAGE_STATUSES:
            raise InvalidTransition(
                f"a message does not end as {status}",
                wanted=status,
                hint=f"it ends as {', '.join(FINAL_MESSAGE_STATUSES)}",
            )
        changes = {**usage, "status": status, "completed_at": self.engine.clock()}
        with self.engine.transaction():
            if self.update_where(self._of(user_id), id=key, status="streaming", changes=changes):
                return self.get(key)
        raise self._final(key, user_id, status)

    def delete_own(self, key: str, *, user_id: str) -> None:
        """Delete a message of a user's session, which counts it no more.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        if not self.delete_where(self._of(user_id), id=key):
            raise self._not_found(key)

    def _of(self, user_id: str) -> peewee.SQL:
        return peewee.SQL(self.engine.dialect.sql(_OF_USER), (user_id,))

    def _check_session(self, session_id: str, user_id: str) -> None:
        # a session never changes its user, so nothing needs to be locked
        if not self.sibling(ChatSession).exists(id=session_id, user_id=user_id):
            raise not_found("ChatSession", session_id)

    def _final(self, key: str, user_id: str, wanted: str) -> InvalidTransition:
        current = self.get_own(key, user_id=user_id).status
        return InvalidTransition(f"message {key!r} is {current} for good", current=current, wanted=wanted)


class ChatSessions(Owned[ChatSession]):
    """`store.sandboxes.chats`: conversations, each in one sandbox of its user."""

    def __init__(
        self, engine: Engine, model: type[ChatSession] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.messages = ChatMessages(engine)

    def create(self, sandbox_id: str, *, user_id: str, title: str | None = None) -> ChatSession:
        """Begin a session that no other system knows yet, and give it; `link` adds the other's id later.

        Raises:
            NotFound: there is no such sandbox, or it is another user's.
        """
        self._check_sandbox(sandbox_id, user_id)
        return self.add(sandbox_id=sandbox_id, user_id=user_id, title=title)

    def get_or_create(
        self,
        sandbox_id: str,
        external_id: str,
        *,
        user_id: str,
        source: Source = "opencode",
        title: str | None = None,
    ) -> ChatSession:
        """Give the session with this id of another system, which is made where there is none.

        Exactly one is made however many ask at once; `title` counts for the one who makes it.

        Raises:
            NotFound: there is no such sandbox, or it is another user's.
            CheckViolation: the id is empty.
        """
        self._check_sandbox(sandbox_id, user_id)
        column = _ID_COLUMN[source]
        values = {"sandbox_id": sandbox_id, "user_id": user_id, "source": source, "title": title}
        try:
            while True:
                found = self.one_or_none(**{"sandbox_id": sandbox_id, column: external_id})
                found = found or self.add_unless(("sandbox_id", column), {**values, column: external_id})
                if found is not None:
                    return found
        except ForeignKeyViolation as exc:
            raise not_found("Sandbox", sandbox_id) from exc

    def link(self, key: str, external_id: str, *, user_id: str, source: Source = "opencode") -> ChatSession:
        """Note under which id another system knows a session, and give it.

        Raises:
            NotFound: there is none, or it is another user's.
            UniqueViolation: another session of the sandbox has this id.
        """
        changes = {_ID_COLUMN[source]: external_id}
        if source == "acp_gateway":
            changes["source"] = source
        return self._edit(key, user_id, changes)

    def page_for_sandbox(
        self, sandbox_id: str, *, user_id: str, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[ChatSession]:
        """Give a page of a sandbox's sessions, the last changed first, of a `status` or other field.

        Raises:
            NotFound: there is no such sandbox, or it is another user's.
        """
        self._check_sandbox(sandbox_id, user_id)
        return self.page_for_user(user_id, size=size, after=after, sandbox_id=sandbox_id, **equals)

    def edit(self, key: str, *, user_id: str, **changes: Unpack[SessionChanges]) -> ChatSession:
        """Change what is given of a session (`status="archived"` puts it away), and give it.

        Raises:
            NotFound: there is none, or it is another user's.
            CheckViolation: the status is unknown.
        """
        return self._edit(key, user_id, changes)

    def _check_sandbox(self, sandbox_id: str, user_id: str) -> None:
        if not self.sibling(Sandbox).exists(id=sandbox_id, user_id=user_id):
            raise not_found("Sandbox", sandbox_id)
