"""What a sandbox is and may become, what it is made from, its chats and its onboarding.

Knows no statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

import peewee

from datalayer.errors import DataLayerError
from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Timestamps

__all__ = [
    "FINAL_MESSAGE_STATUSES",
    "ONBOARDING_STATUSES",
    "SANDBOX_MOVES",
    "SANDBOX_STATUSES",
    "ChatMessage",
    "ChatSession",
    "ContainerAddon",
    "ContainerFacts",
    "ContainerFlavor",
    "MessageOptions",
    "MessageUsage",
    "OnboardingChanges",
    "OnboardingSession",
    "ResourceTier",
    "Sandbox",
    "SandboxChanges",
    "SandboxOptions",
    "SessionChanges",
]

# the trigger sandboxes_moves says the same
SANDBOX_MOVES: Mapping[str, tuple[str, ...]] = {
    "created": ("starting", "error"),
    "starting": ("running", "stopping", "stopped", "error"),
    "running": ("stopping", "stopped", "error"),
    "stopping": ("stopped", "error"),
    "stopped": ("starting", "error"),
    "error": ("starting", "stopping", "stopped"),
}
SANDBOX_STATUSES = tuple(SANDBOX_MOVES)
FINAL_MESSAGE_STATUSES = ("complete", "error", "cancelled")
ONBOARDING_STATUSES = ("pending", "gathering", "generating", "completed", "skipped", "failed")

_moment = cast("Any", UtcField)


class _Reference(Timestamps):
    """What migrations bring and apps only read."""

    def save(self, force_insert: bool = False, only: Any = None) -> int:
        """Refuse: such rows change by a migration.

        Raises:
            DataLayerError: always.
        """
        raise _read_only(self)

    def delete_instance(self, recursive: bool = False, delete_nullable: bool = False) -> int:
        """Refuse, as `save`."""
        raise _read_only(self)


def _read_only(row: _Reference) -> DataLayerError:
    return DataLayerError(
        f"a {type(row).__name__} is to be read only", hint="write a migration that changes what there is"
    )


class ResourceTier(_Reference):
    """How much of a machine a sandbox gets."""

    id = IdField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    cpu_cores = peewee.FloatField()
    memory_mb = peewee.IntegerField()
    storage_gb = peewee.IntegerField()
    is_default = peewee.BooleanField(default=False)
    sort_order = peewee.IntegerField(default=0)

    class Meta:
        """Where it is stored."""

        table_name = "resource_tiers"


class ContainerFlavor(_Reference):
    """What a sandbox's image has installed; `languages` is a list."""

    id = IdField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    languages = JSONField(default=list)
    is_default = peewee.BooleanField(default=False)
    sort_order = peewee.IntegerField(default=0)

    class Meta:
        """Where it is stored."""

        table_name = "container_flavors"


class ContainerAddon(_Reference):
    """What a sandbox's image may have besides."""

    id = IdField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    category = peewee.TextField()
    port = peewee.IntegerField(null=True)
    requires_gpu = peewee.BooleanField(default=False)
    sort_order = peewee.IntegerField(default=0)

    class Meta:
        """Where it is stored."""

        table_name = "container_addons"


class Sandbox(Timestamps):
    """A container in which a user works; `slug` is its name in addresses, `addon_ids` a list."""

    id = IdField()
    user_id = peewee.TextField()
    name = peewee.TextField()
    slug = peewee.TextField()
    description = peewee.TextField(default="")
    repo_name = peewee.TextField(null=True)
    github_url = peewee.TextField(null=True)
    resource_tier_id = peewee.TextField(default="starter")
    flavor_id = peewee.TextField(default="fullstack")
    addon_ids = JSONField(default=list)
    container_id = peewee.TextField(null=True)
    container_name = peewee.TextField(null=True)
    status = peewee.TextField(default="created")
    error_message = peewee.TextField(null=True)
    opencode_url = peewee.TextField(null=True)
    acp_gateway_url = peewee.TextField(null=True)
    code_server_url = peewee.TextField(null=True)
    vnc_url = peewee.TextField(null=True)
    last_accessed_at = cast("peewee.Field[datetime | None]", _moment(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "sandboxes"


class ChatSession(Timestamps):
    """A conversation in a sandbox.

    The database keeps the counters and `last_message_at` equal to what its messages say.
    """

    id = IdField()
    sandbox_id = peewee.TextField()
    user_id = peewee.TextField()
    source = peewee.TextField(default="opencode")
    opencode_session_id = peewee.TextField(null=True)
    acp_session_id = peewee.TextField(null=True)
    acp_agent_id = peewee.TextField(null=True)
    title = peewee.TextField(null=True)
    status = peewee.TextField(default="active")
    message_count = peewee.IntegerField(default=0)
    user_message_count = peewee.IntegerField(default=0)
    assistant_message_count = peewee.IntegerField(default=0)
    total_input_tokens = peewee.IntegerField(default=0)
    total_output_tokens = peewee.IntegerField(default=0)
    last_message_at = cast("peewee.Field[datetime | None]", _moment(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "chat_sessions"


class ChatMessage(Timestamps):
    """One message; `tool_calls` and `tool_results` are lists. It is streaming, or final for good."""

    id = IdField()
    session_id = peewee.TextField()
    external_message_id = peewee.TextField(null=True)
    role = peewee.TextField()
    content = peewee.TextField(default="")
    thinking = peewee.TextField(null=True)
    tool_calls = JSONField(default=list)
    tool_results = JSONField(default=list)
    model_provider = peewee.TextField(null=True)
    model_id = peewee.TextField(null=True)
    agent_id = peewee.TextField(null=True)
    input_tokens = peewee.IntegerField(default=0)
    output_tokens = peewee.IntegerField(default=0)
    status = peewee.TextField(default="complete")
    error_message = peewee.TextField(null=True)
    completed_at = cast("peewee.Field[datetime | None]", _moment(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "chat_messages"


class OnboardingSession(Timestamps):
    """How a new sandbox is set up with its user: what was asked, and what was made of it."""

    id = IdField()
    sandbox_id = peewee.TextField()
    user_id = peewee.TextField()
    status = peewee.TextField(default="pending")
    current_step = peewee.TextField(null=True)
    gathered_requirements = JSONField(default=dict)
    generated_config = JSONField(default=dict)
    selected_model = peewee.TextField(null=True)
    error_message = peewee.TextField(null=True)
    completed_at = cast("peewee.Field[datetime | None]", _moment(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "onboarding_sessions"


class SandboxOptions(TypedDict, total=False):
    """What can be said of a sandbox besides its name; a new one's `slug` is taken as it is, or refused."""

    slug: str
    description: str
    repo_name: str | None
    github_url: str | None
    resource_tier_id: str
    flavor_id: str
    addon_ids: Sequence[str]


class SandboxChanges(SandboxOptions, total=False):
    """What a user may change of a sandbox at any time."""

    name: str


class ContainerFacts(TypedDict, total=False):
    """What is known of a sandbox's container; None takes it away."""

    container_id: str | None
    container_name: str | None
    opencode_url: str | None
    acp_gateway_url: str | None
    code_server_url: str | None
    vnc_url: str | None


class SessionChanges(TypedDict, total=False):
    """What a user may change of a chat session."""

    title: str | None
    status: str
    acp_agent_id: str | None


class MessageUsage(TypedDict, total=False):
    """What is known of a message once it is final."""

    content: str
    thinking: str | None
    tool_calls: Sequence[Any]
    tool_results: Sequence[Any]
    input_tokens: int
    output_tokens: int
    error_message: str | None


class MessageOptions(TypedDict, total=False):
    """What can be said of a new message; it is complete unless its `status` says otherwise."""

    id: str
    external_message_id: str | None
    thinking: str | None
    tool_calls: Sequence[Any]
    tool_results: Sequence[Any]
    model_provider: str | None
    model_id: str | None
    agent_id: str | None
    input_tokens: int
    output_tokens: int
    status: str
    error_message: str | None


class OnboardingChanges(TypedDict, total=False):
    """What changes in the course of an onboarding."""

    status: str
    current_step: str | None
    gathered_requirements: Mapping[str, Any]
    generated_config: Mapping[str, Any]
    selected_model: str | None
    error_message: str | None
