"""The rooms of workspaces and who is in them."""

from __future__ import annotations

from pathlib import Path

from datalayer.domains.workspaces.model import Room, RoomKind, RoomMember, WorkspaceMember
from datalayer.engine.connection import Engine
from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Rooms"]


class Rooms(Repository[Room]):
    """`store.workspaces.rooms`: rooms, quests and squads; `rooms.members` holds who is in them.

    Only members of the workspace are in its rooms: a rule of the database, and who leaves the workspace
    leaves them all.
    """

    def __init__(
        self, engine: Engine, model: type[Room] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.members = Repository(engine, RoomMember)
        self._workspace_members = Repository(engine, WorkspaceMember)

    def create(
        self, workspace_id: str, name: str, *, user_id: str, kind: RoomKind = "room", description: str = ""
    ) -> Room:
        """Open a room whose moderator is its creator; one transaction.

        Raises:
            NotFound: the user is not in the workspace.
            CheckViolation: the name is empty.
        """
        with self.engine.transaction():
            if not self._workspace_members.exists(workspace_id=workspace_id, user_id=user_id):
                raise NotFound(f"user {user_id!r} is not in workspace {workspace_id!r}")
            room = self.add(
                workspace_id=workspace_id, name=name, kind=kind, description=description, created_by=user_id
            )
            self.members.add(room_id=room.id, workspace_id=workspace_id, user_id=user_id, role="moderator")
            return room

    def join(self, room_id: str, user_id: str, *, role: str = "member") -> RoomMember:
        """Add a member of the workspace to a room.

        Raises:
            NotFound: there is no such room.
            UniqueViolation: the user is in it already.
            ForeignKeyViolation: the user is not in the room's workspace (`room_members_workspace_member`).
        """
        room = self.get(room_id)
        return self.members.add(room_id=room_id, workspace_id=room.workspace_id, user_id=user_id, role=role)

    def leave(self, room_id: str, user_id: str) -> None:
        """Take a user out of a room.

        Raises:
            NotFound: the user is not in it.
        """
        if not self.members.delete_where(room_id=room_id, user_id=user_id):
            raise NotFound(f"user {user_id!r} is not in room {room_id!r}")

    def role_of(self, room_id: str, user_id: str) -> str | None:
        """Give a user's role in a room; None for one who is not in it."""
        found = self.members.one_or_none(room_id=room_id, user_id=user_id)
        return None if found is None else found.role

    def get_for(self, user_id: str, room_id: str) -> Room:
        """Give a room that the user is in.

        Raises:
            NotFound: there is none, or the user is not in it.
        """
        return self.one(Room.id.in_(_rooms_of(user_id)), id=room_id)

    def page_for(
        self, user_id: str, *, workspace_id: str | None = None, size: int = 50, after: str | None = None
    ) -> Page[Room]:
        """Give one page of the rooms that the user is in, of all workspaces or one, the newest first."""
        condition = Room.id.in_(_rooms_of(user_id))
        if workspace_id is not None:
            condition &= Room.workspace_id == workspace_id
        return self.page(condition, order_by="-id", size=size, after=after)


def _rooms_of(user_id: str) -> object:
    return RoomMember.select(RoomMember.room_id).where(RoomMember.user_id == user_id)
