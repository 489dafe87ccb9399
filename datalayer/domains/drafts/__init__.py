"""Drafts: texts with a tree of versions, the chat about them, and what the conversations with a model cost.

Knows no other domain; a user is a plain id.
"""

from datalayer.domains.drafts.checks import CHECKS
from datalayer.domains.drafts.model import (
    AIConversation,
    ChatMessage,
    CurrentDraft,
    Draft,
    DraftChanges,
    Usage,
    Version,
)
from datalayer.domains.drafts.repository import Drafts

__all__ = [
    "CHECKS",
    "AIConversation",
    "ChatMessage",
    "CurrentDraft",
    "Draft",
    "DraftChanges",
    "Drafts",
    "Usage",
    "Version",
]
