"""The repository of drafts: a tree of versions for each, its chat, and its conversations with a model.

Knows no other domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, Unpack

import peewee

from datalayer.domains.drafts.comparison import compare_texts
from datalayer.domains.drafts.model import (
    AIConversation,
    ChatMessage,
    CurrentDraft,
    Draft,
    DraftChanges,
    Usage,
    Version,
)
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, DataLayerError, ForeignKeyViolation, NotFound, StaleVersion
from datalayer.repository.base import Repository
from datalayer.repository.fields import decode_micros, encode_micros, new_id
from datalayer.repository.page import Page

__all__ = ["Drafts"]

M = TypeVar("M", bound=peewee.Model)

_RECENT_FIRST = ("-updated_at", "-id")
_NEWEST_FIRST = ("-created_at", "-id")
_MOST_TOKENS = 2**40


class Drafts(Repository[Draft]):
    """`store.drafts`: the drafts of all users; `.versions`, `.messages`, `.conversations` are their tables.

    A method that takes a `user_id` finds drafts of this user only. A version is named by its id or by its
    number in the draft. What adds a version or makes one current locks the draft first, so versions of one
    draft are written one after the other, whoever writes.

        opened = store.drafts.create(user.id, title="Letter")
        store.drafts.add_version(opened.draft.id, "Dear Ada,", user_id=user.id)
    """

    def __init__(
        self, engine: Engine, model: type[Draft] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.versions: Repository[Version] = Repository(engine, Version)
        self.messages: Repository[ChatMessage] = Repository(engine, ChatMessage)
        self.conversations: Repository[AIConversation] = Repository(engine, AIConversation)
        self._compose()

    # -- drafts ------------------------------------------------------------------------------------

    def create(
        self, user_id: str, *, title: str | None = None, description: str | None = None, content: str = ""
    ) -> CurrentDraft:
        """Make a draft with its first version, which is current.

        Raises:
            ForeignKeyViolation: there is no such user.
            CheckViolation: the title has more than 255 characters.
        """
        with self.engine.transaction():
            # an update that leaves updated_at alone would be given the database's own time: see draft_touch
            before = self.engine.clock() - timedelta(microseconds=1)
            draft = self.add(user_id=user_id, title=title, description=description, updated_at=before)
            version = self._write_version(draft, content, number=1, parent=None, source="user")
            self._make_current(draft, version)
        return CurrentDraft(draft, version, 1)

    def get_current(self, key: str, *, user_id: str) -> CurrentDraft:
        """Give a draft with its current version and the number of its versions, in one statement.

        Raises:
            NotFound: the user has no such draft.
        """
        row = self._fetch_one(self._current_sql, (key, user_id))
        if row is None:
            raise self._not_found(key)
        width = len(self.shape.names)
        count, own, theirs = row[0], row[1 : width + 1], row[width + 1 :]
        draft = self.shape.build(own, self)
        current = None
        if draft.current_version_id is not None:
            current = self.versions.shape.build(theirs, self.versions)
        return CurrentDraft(draft, current, int(count))

    def page_for_user(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[Draft]:
        """Give one page of a user's drafts, the last changed first; see `page`."""
        return self.page(user_id=user_id, order_by=_RECENT_FIRST, size=size, after=after)

    def edit(self, key: str, *, user_id: str, **changes: Unpack[DraftChanges]) -> Draft:
        """Change a draft's title or description, and give it as it is then.

        Raises:
            NotFound: the user has no such draft.
            CheckViolation: the title has more than 255 characters.
        """
        with self.engine.transaction():
            if changes and not self.update_where(id=key, user_id=user_id, changes=changes):
                raise self._not_found(key)
            return self._own(key, user_id)

    def delete_draft(self, key: str, *, user_id: str) -> None:
        """Delete a draft with its versions, messages and conversations.

        Raises:
            NotFound: the user has no such draft.
        """
        if not self.delete_where(id=key, user_id=user_id):
            raise self._not_found(key)

    # -- versions ----------------------------------------------------------------------------------

    def add_version(
        self,
        key: str,
        content: str,
        *,
        user_id: str,
        source: str = "user",
        parent: str | int | None = None,
        make_current: bool = True,
    ) -> Version:
        """Write the next version of a draft: a child of `parent`, or of the current version.

        `source` is user, ai_generation or ai_edit. The draft counts as changed either way.

        Raises:
            NotFound: the user has no such draft, or the draft no such parent.
            CheckViolation: an unknown source.
        """
        with self.engine.transaction():
            draft = self._locked_draft(key, user_id)
            parent_id = draft.current_version_id if parent is None else self._version(key, parent).id
            version = self._next_version(draft, content, parent=parent_id, source=source)
            if make_current:
                self._make_current(draft, version)
            else:
                self.update(draft.id, updated_at=self.engine.clock())
            return version

    def autosave(self, key: str, content: str, *, user_id: str, base: str | int) -> Version:
        """Keep what was written on top of the version `base` as the next one, if `base` is still current.

        A content that says the same as `base` makes no new version: `base` is given back. Of any number of
        processes that save upon the same base, one gets through.

        Raises:
            StaleVersion: another version became current meanwhile; nothing was written.
            NotFound: the user has no such draft, or the draft no such version.
        """
        with self.engine.transaction():
            draft = self._locked_draft(key, user_id)
            found = self._version(key, base)
            if found.id != draft.current_version_id:
                raise StaleVersion(
                    f"draft {key!r} moved on from version {found.version_number}",
                    why=f"its current version is {draft.current_version_id!r}",
                    hint="read it again, and merge or add a version of your own",
                )
            if found.content == content:
                return found
            version = self._next_version(draft, content, parent=found.id, source="user")
            self._make_current(draft, version)
            return version

    def get_version(self, key: str, version: str | int, *, user_id: str) -> Version:
        """Give a version of a draft, by its id or number.

        Raises:
            NotFound: the user has no such draft, or the draft no such version.
        """
        self._own(key, user_id)
        return self._version(key, version)

    def history(self, key: str, *, user_id: str, size: int = 50, after: str | None = None) -> Page[Version]:
        """Give one page of a draft's versions, the newest first; see `page`.

        Raises:
            NotFound: the user has no such draft.
        """
        self._own(key, user_id)
        return self.versions.page(draft_id=key, order_by="-version_number", size=size, after=after)

    def set_current(self, key: str, version: str | int, *, user_id: str) -> Version:
        """Make another version of a draft the current one, and give it.

        Raises:
            NotFound: the user has no such draft, or the draft no such version.
        """
        with self.engine.transaction():
            draft = self._locked_draft(key, user_id)
            found = self._version(key, version)
            self._make_current(draft, found)
            return found

    def compare(self, key: str, old: str | int, new: str | int, *, user_id: str, context: int = 3) -> str:
        """Give the unified diff of two versions of a draft, empty where they say the same.

        `context` is the number of lines around a change.

        Raises:
            NotFound: the user has no such draft, or the draft no such version.
        """
        self._own(key, user_id)
        before, behind = self._version(key, old), self._version(key, new)
        return compare_texts(
            before.content,
            behind.content,
            old_name=f"version {before.version_number}",
            new_name=f"version {behind.version_number}",
            context=context,
        )

    # -- the chat about a draft --------------------------------------------------------------------

    def add_message(
        self, key: str, role: str, content: str, *, user_id: str, metadata: Any = None
    ) -> ChatMessage:
        """Add a message of the `user` or the `assistant` to a draft's chat, in one statement.

        `metadata` is anything that JSON can hold.

        Raises:
            NotFound: the user has no such draft.
            CheckViolation: an unknown role.
        """
        values = {"role": role, "content": content, "metadata": metadata}
        return self._add_owned(self.messages, key, user_id, values)

    def chat_history(
        self, key: str, *, user_id: str, size: int = 50, before: str | None = None
    ) -> Page[ChatMessage]:
        """Give one page of a draft's messages, the newest first; `before` is the `next` of the page before.

        However long the chat, each page costs the same; messages that come meanwhile are not repeated.

        Raises:
            NotFound: the user has no such draft.
        """
        self._own(key, user_id)
        return self.messages.page(draft_id=key, order_by=_NEWEST_FIRST, size=size, after=before)

    # -- what conversations with a model cost ------------------------------------------------------

    def open_conversation(
        self, key: str, provider: str, model: str, *, user_id: str, system_prompt: str | None = None
    ) -> AIConversation:
        """Begin a conversation with a model about a draft.

        Raises:
            NotFound: the user has no such draft.
            CheckViolation: the provider is empty or has more than 50 characters, or the model 100.
        """
        values = {"provider": provider, "model": model, "system_prompt": system_prompt}
        return self._add_owned(self.conversations, key, user_id, values)

    def record_usage(
        self, conversation_id: str, *, user_id: str, tokens: int = 0, cost: Decimal | int = 0
    ) -> AIConversation:
        """Add tokens and money to a conversation, in one statement, and give it with its new totals.

        Any number of processes may do so at once; nothing is lost, and nothing is rounded.

        Raises:
            NotFound: the user has no draft with such a conversation.
            CheckViolation: a negative number, a cost with more than six decimals, a total of 10,000 or more.
        """
        micros = encode_micros(cost)
        if not 0 <= tokens < _MOST_TOKENS or micros < 0:
            raise CheckViolation(f"{tokens} tokens for {cost} cannot have been used")
        params = (tokens, micros, conversation_id, user_id)
        found = self._write_row(self.conversations, self._usage_sql, params)
        if found is None:
            raise NotFound(f"no AIConversation answers to {conversation_id!r}")
        return found

    def conversations_of(
        self, key: str, *, user_id: str, size: int = 50, after: str | None = None
    ) -> Page[AIConversation]:
        """Give one page of a draft's conversations, the newest first; see `page`.

        Raises:
            NotFound: the user has no such draft.
        """
        self._own(key, user_id)
        return self.conversations.page(draft_id=key, order_by=_NEWEST_FIRST, size=size, after=after)

    def usage(self, user_id: str, *, draft_id: str | None = None) -> Usage:
        """Sum up what a user's conversations took, or those of one draft; exact to the last decimal.

        Raises:
            NotFound: the user has no such draft.
        """
        if draft_id is not None:
            self._own(draft_id, user_id)
        row = self._fetch_one(self._total_sql, (user_id, draft_id, draft_id))
        count, tokens, micros = row or (0, 0, 0)
        return Usage(int(count), int(tokens), decode_micros(micros))

    # -- pieces ------------------------------------------------------------------------------------

    def _compose(self) -> None:
        dialect = self.engine.dialect
        own = ", ".join(f"d.{self.shape.quoted[name]}" for name in self.shape.names)
        versions = self.versions.shape
        theirs = ", ".join(f"v.{versions.quoted[name]}" for name in versions.names)
        self._current_sql = dialect.sql(
            f"SELECT (SELECT COUNT(*) FROM version AS n WHERE n.draft_id = d.id), {own}, {theirs}"
            " FROM draft AS d"
            " LEFT JOIN version AS v ON v.draft_id = d.id AND v.id = d.current_version_id"
            " WHERE d.id = ? AND d.user_id = ?"
        )
        self._next_sql = dialect.sql(
            "SELECT COALESCE(MAX(version_number), 0) + 1 FROM version WHERE draft_id = ?"
        )
        self._usage_sql = dialect.sql(
            "UPDATE ai_conversation SET total_tokens = total_tokens + ?, total_cost = total_cost + ?"
            " WHERE id = ? AND draft_id IN (SELECT id FROM draft WHERE user_id = ?)"
            f" RETURNING {self.conversations.shape.columns}"
        )
        self._total_sql = dialect.sql(
            "SELECT COUNT(*), COALESCE(SUM(c.total_tokens), 0), COALESCE(SUM(c.total_cost), 0)"
            " FROM draft AS d JOIN ai_conversation AS c ON c.draft_id = d.id"
            " WHERE d.user_id = ? AND (CAST(? AS TEXT) IS NULL OR d.id = ?)"
        )

    def _own(self, key: str, user_id: str) -> Draft:
        draft = self.one_or_none(id=key, user_id=user_id)
        if draft is None:
            raise self._not_found(key)
        return draft

    def _locked_draft(self, key: str, user_id: str) -> Draft:
        draft = self.for_update().one_or_none(id=key, user_id=user_id)
        if draft is None:
            raise self._not_found(key)
        return draft

    def _version(self, key: str, version: str | int) -> Version:
        name = "version_number" if isinstance(version, int) else "id"
        found = self.versions.one_or_none(**{"draft_id": key, name: version})
        if found is None:
            raise NotFound(f"no Version of draft {key!r} answers to {version!r}")
        return found

    def _next_version(self, draft: Draft, content: str, *, parent: str | None, source: str) -> Version:
        """Write the next version of a locked draft."""
        row = self._fetch_one(self._next_sql, (draft.id,))
        number = int(row[0]) if row else 1
        return self._write_version(draft, content, number=number, parent=parent, source=source)

    def _write_version(
        self, draft: Draft, content: str, *, number: int, parent: str | None, source: str
    ) -> Version:
        return self.versions.add(
            draft_id=draft.id,
            content=content,
            version_number=number,
            parent_version_id=parent,
            generation_source=source,
            created_at=self.engine.clock(),
        )

    def _make_current(self, draft: Draft, version: Version) -> None:
        self.update(draft, current_version_id=version.id)

    def _add_owned(self, repository: Repository[M], key: str, user_id: str, values: dict[str, Any]) -> M:
        """Insert a row that belongs to a draft, if the draft is this user's, in one statement."""
        shape = repository.shape
        data = repository.filled_in({"id": new_id(), "created_at": self.engine.clock(), **values})
        columns = ", ".join(shape.quoted[name] for name in data)
        sql = self.engine.dialect.sql(
            f"INSERT INTO {shape.table} ({columns}, {shape.quoted['draft_id']})"
            f" SELECT {', '.join('?' * len(data))}, id FROM draft WHERE id = ? AND user_id = ?"
            f" RETURNING {shape.columns}"
        )
        params = [shape.encode_one(name, value) for name, value in data.items()]
        try:
            found = self._write_row(repository, sql, [*params, key, user_id])
        except ForeignKeyViolation as exc:
            # the draft went while the statement ran
            raise self._not_found(key) from exc
        if found is None:
            raise self._not_found(key)
        return found

    def _write_row(self, repository: Repository[M], sql: str, params: Sequence[Any]) -> M | None:
        """Execute a statement that gives one row of this repository back, or none."""
        try:
            row = self.engine.write_one(sql, params)
        except DataLayerError as exc:
            raise repository.explain(exc) from exc.__cause__
        return None if row is None else repository.shape.build(row, repository)
