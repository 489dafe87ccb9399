"""Workspaces: people who work together, with rooms, tasks, an inbox, relationships, threads and invites.

Knows no other domain; users appear as plain ids.
"""

from datalayer.domains.workspaces.checks import CHECKS
from datalayer.domains.workspaces.inbox import Inbox, InboxItem
from datalayer.domains.workspaces.invites import Invites
from datalayer.domains.workspaces.members import Members
from datalayer.domains.workspaces.messages import Messages
from datalayer.domains.workspaces.model import Room, RoomMember, Workspace, WorkspaceMember
from datalayer.domains.workspaces.relationships import Relationship, RelationshipRequest, Relationships
from datalayer.domains.workspaces.repository import Workspaces
from datalayer.domains.workspaces.rooms import Rooms
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
    "Candidate",
    "Inbox",
    "InboxItem",
    "InviteView",
    "Invites",
    "Members",
    "Messages",
    "NewInvite",
    "NewThread",
    "PostedMessage",
    "Relationship",
    "RelationshipRequest",
    "Relationships",
    "Room",
    "RoomMember",
    "Rooms",
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
]
