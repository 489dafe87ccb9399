"""What is searched, and what a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import peewee

from datalayer.repository.fields import UtcField
from datalayer.repository.mixins import Model

__all__ = ["KINDS", "SearchDocument", "SearchHit"]

KINDS = (
    "session",
    "draft",
    "draft_message",
    "builder_message",
    "knowledge",
    "chat_message",
    "thread_message",
)
"""The kinds of texts; a database has those of its domains."""


class SearchDocument(Model):
    """A text as it is searched: the row `source_id` of another table, kept by triggers of that table.

    `user_id` says whose it is; `scope_id` is the thread whose participants may read it.
    """

    id = peewee.BigAutoField()
    kind = peewee.TextField()
    source_id = peewee.TextField()
    user_id = peewee.TextField(null=True)
    scope_id = peewee.TextField(null=True)
    title = peewee.TextField(default="")
    body = peewee.TextField(default="")
    updated_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "search_documents"


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A text that was found.

    `title` and `snippet` have the words found between the marks that were asked for. `score` is higher for
    the better hit of one search; between searches and engines it does not compare.
    """

    kind: str
    source_id: str
    title: str
    snippet: str
    score: float
    updated_at: datetime
