"""A draft, its versions, the messages about it and its conversations; and what is said of several at once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict

import peewee

from datalayer.repository.fields import IdField, JSONField, MicrosField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = [
    "ROLES",
    "SOURCES",
    "AIConversation",
    "ChatMessage",
    "CurrentDraft",
    "Draft",
    "DraftChanges",
    "Usage",
    "Version",
]

SOURCES = ("user", "ai_generation", "ai_edit")
ROLES = ("user", "assistant")


class Draft(Timestamps):
    """A text that its user works on; what it says stands in its versions.

    `current_version_id` names one of its own versions, a rule of the database.
    """

    id = IdField()
    user_id = peewee.TextField()
    title = peewee.TextField(null=True)
    description = peewee.TextField(null=True)
    current_version_id = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "draft"


class Version(Model):
    """One state of a draft's text; written once, deleted with its draft only.

    `version_number` is 1, 2, 3, ... in the order of writing. The parent, if any, is an older version of the
    same draft. All are rules of the database.
    """

    id = IdField()
    draft_id = peewee.TextField()
    content = peewee.TextField()
    version_number = peewee.IntegerField()
    parent_version_id = peewee.TextField(null=True)
    generation_source = peewee.TextField(null=True, default="user")
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "version"


class ChatMessage(Model):
    """What the user or the assistant said about a draft."""

    id = IdField()
    draft_id = peewee.TextField()
    role = peewee.TextField()
    content = peewee.TextField()
    metadata = JSONField(null=True)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "chat_message"


class AIConversation(Model):
    """A conversation with a model about a draft, with the tokens and the money it took so far.

    `total_cost` has six decimals and is exact; it stays below 10,000.
    """

    id = IdField()
    draft_id = peewee.TextField()
    provider = peewee.TextField()
    model = peewee.TextField()
    system_prompt = peewee.TextField(null=True)
    total_tokens = peewee.BigIntegerField(default=0)
    total_cost = MicrosField(default=Decimal(0))
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "ai_conversation"


class DraftChanges(TypedDict, total=False):
    """What can be edited of a draft besides its text."""

    title: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class CurrentDraft:
    """A draft with its current version, which it may lack, and the number of its versions, at one moment."""

    draft: Draft
    current: Version | None
    version_count: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What some conversations took together."""

    conversations: int
    tokens: int
    cost: Decimal
