"""A workspace and its rooms, each with its members."""

from __future__ import annotations

from typing import Literal

import peewee

from datalayer.repository.fields import IdField
from datalayer.repository.mixins import Timestamps

__all__ = ["Room", "RoomKind", "RoomMember", "Workspace", "WorkspaceMember", "WorkspaceRole"]

WorkspaceRole = Literal["owner", "admin", "member", "guest"]
RoomKind = Literal["room", "quest", "squad"]


class Workspace(Timestamps):
    """What people work in together; one with members has at least one owner."""

    id = IdField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    created_by = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "workspaces"


class WorkspaceMember(Timestamps):
    """A user in a workspace: owner, admin, member or guest. A user is in a workspace once."""

    id = IdField()
    workspace_id = peewee.TextField()
    user_id = peewee.TextField()
    role = peewee.TextField(default="member")

    class Meta:
        """Where it is stored."""

        table_name = "workspace_members"


class Room(Timestamps):
    """A room of a workspace; one with a goal is a quest, one for a standing group a squad.

    The kind is the visibility scope of the work items shared in it.
    """

    id = IdField()
    workspace_id = peewee.TextField()
    kind = peewee.TextField(default="room")
    name = peewee.TextField()
    description = peewee.TextField(default="")
    archived = peewee.BooleanField(default=False)
    created_by = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "rooms"


class RoomMember(Timestamps):
    """A user in a room, as moderator or member; always a member of the room's workspace too."""

    id = IdField()
    room_id = peewee.TextField()
    workspace_id = peewee.TextField()
    user_id = peewee.TextField()
    role = peewee.TextField(default="member")

    class Meta:
        """Where it is stored."""

        table_name = "room_members"
