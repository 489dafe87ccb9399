"""Workspaces: people who work together, with rooms, tasks, an inbox, relationships, threads and invites.

Knows no other domain; users appear as plain ids.
"""

from datalayer.domains.workspaces.administration import (
    AdminUser,
    AdminUsers,
    AuditContext,
    AuditEntry,
    AuditTrail,
)
from datalayer.domains.workspaces.administration_checks import ADMINISTRATION_CHECKS
from datalayer.domains.workspaces.ai_cost_model import (
    AiUsage,
    BudgetExceeded,
    BudgetStatus,
    CostBudget,
    CostTotal,
)
from datalayer.domains.workspaces.ai_costs import AiCosts
from datalayer.domains.workspaces.ai_providers import (
    ENCRYPTED_KEYS,
    AiProvider,
    AiProviderKey,
    AiProviderKeys,
    AiProviders,
    OpenKey,
    Route,
)
from datalayer.domains.workspaces.checks import CHECKS as _CHECKS
from datalayer.domains.workspaces.event_model import Attendance, EventParticipant, HostedEvent
from datalayer.domains.workspaces.events import Events
from datalayer.domains.workspaces.import_model import ImportFailure, ImportSession, source_digest
from datalayer.domains.workspaces.imports import Imports
from datalayer.domains.workspaces.inbox import Inbox, InboxItem
from datalayer.domains.workspaces.invites import Invites
from datalayer.domains.workspaces.list_model import ListDigest, ListItem, ListMember, SharedList
from datalayer.domains.workspaces.lists import Lists
from datalayer.domains.workspaces.members import Members
from datalayer.domains.workspaces.messages import Messages
from datalayer.domains.workspaces.model import Room, RoomMember, Workspace, WorkspaceMember
from datalayer.domains.workspaces.relationships import Relationship, RelationshipRequest, Relationships
from datalayer.domains.workspaces.repository import Workspaces
from datalayer.domains.workspaces.rooms import Rooms
from datalayer.domains.workspaces.settings import Settings, SystemSetting, SystemSettings
from datalayer.domains.workspaces.summaries import DailyLogSummary, DailySummaries
from datalayer.domains.workspaces.thread_model import (
    Candidate,
    InviteView,
    NewInvite,
    NewThread,
    PostedMessage,
    Thread,
    ThreadInvite,
    ThreadMessage,
    ThreadMessageDelivery,
    ThreadParticipant,
)
from datalayer.domains.workspaces.threads import Threads
from datalayer.domains.workspaces.work_items import WorkItem, WorkItemOptions, WorkItems

__all__ = [
    "CHECKS",
    "ENCRYPTED",
    "AdminUser",
    "AdminUsers",
    "AiCosts",
    "AiProvider",
    "AiProviderKey",
    "AiProviderKeys",
    "AiProviders",
    "AiUsage",
    "Attendance",
    "AuditContext",
    "AuditEntry",
    "AuditTrail",
    "BudgetExceeded",
    "BudgetStatus",
    "Candidate",
    "CostBudget",
    "CostTotal",
    "DailyLogSummary",
    "DailySummaries",
    "EventParticipant",
    "Events",
    "HostedEvent",
    "ImportFailure",
    "ImportSession",
    "Imports",
    "Inbox",
    "InboxItem",
    "InviteView",
    "Invites",
    "ListDigest",
    "ListItem",
    "ListMember",
    "Lists",
    "Members",
    "Messages",
    "NewInvite",
    "NewThread",
    "OpenKey",
    "PostedMessage",
    "Relationship",
    "RelationshipRequest",
    "Relationships",
    "Room",
    "RoomMember",
    "Rooms",
    "Route",
    "Settings",
    "SharedList",
    "SystemSetting",
    "SystemSettings",
    "Thread",
    "ThreadInvite",
    "ThreadMessage",
    "ThreadMessageDelivery",
    "ThreadParticipant",
    "Threads",
    "WorkItem",
    "WorkItemOptions",
    "WorkItems",
    "Workspace",
    "WorkspaceMember",
    "Workspaces",
    "source_digest",
]

CHECKS = {**_CHECKS, **ADMINISTRATION_CHECKS}
ENCRYPTED = (ENCRYPTED_KEYS,)
