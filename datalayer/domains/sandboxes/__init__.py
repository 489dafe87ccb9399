"""Sandboxes: the containers in which users work, their chats, knowledge, and what users set for themselves.

Users appear by their id. Knows no other domain.
"""

from datalayer.domains.sandboxes.chats import ChatMessages, ChatSessions
from datalayer.domains.sandboxes.checks import CHECKS, INSPECTIONS
from datalayer.domains.sandboxes.knowledge import KnowledgeDocument, KnowledgeDocuments
from datalayer.domains.sandboxes.model import (
    FINAL_MESSAGE_STATUSES,
    ONBOARDING_STATUSES,
    SANDBOX_MOVES,
    SANDBOX_STATUSES,
    ChatMessage,
    ChatSession,
    ContainerAddon,
    ContainerFlavor,
    OnboardingSession,
    ResourceTier,
    Sandbox,
)
from datalayer.domains.sandboxes.onboarding import OnboardingSessions
from datalayer.domains.sandboxes.preferences import (
    OpencodeConfigs,
    OpencodeFiles,
    Preferences,
    Setting,
    Settings,
    UserOpencodeConfig,
    UserOpencodeFile,
    UserPreferences,
)
from datalayer.domains.sandboxes.repository import Addons, Flavors, Sandboxes, Tiers
from datalayer.domains.sandboxes.slug import slug_of
from datalayer.repository.embedding import EmbeddingField, decode_embedding, encode_embedding

__all__ = [
    "CHECKS",
    "FINAL_MESSAGE_STATUSES",
    "INSPECTIONS",
    "ONBOARDING_STATUSES",
    "SANDBOX_MOVES",
    "SANDBOX_STATUSES",
    "Addons",
    "ChatMessage",
    "ChatMessages",
    "ChatSession",
    "ChatSessions",
    "ContainerAddon",
    "ContainerFlavor",
    "EmbeddingField",
    "Flavors",
    "KnowledgeDocument",
    "KnowledgeDocuments",
    "OnboardingSession",
    "OnboardingSessions",
    "OpencodeConfigs",
    "OpencodeFiles",
    "Preferences",
    "ResourceTier",
    "Sandbox",
    "Sandboxes",
    "Setting",
    "Settings",
    "Tiers",
    "UserOpencodeConfig",
    "UserOpencodeFile",
    "UserPreferences",
    "decode_embedding",
    "encode_embedding",
    "slug_of",
]
