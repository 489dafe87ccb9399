"""Work items: tasks and scheduled items, private or shared in a room, a quest or a squad."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import peewee

from datalayer.domains.workspaces.model import Room, RoomMember
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Timestamps
from datalayer.repository.page import Page

__all__ = ["WorkItem", "WorkItemOptions", "WorkItems", "WorkStatus"]

WorkStatus = Literal["open", "in_progress", "done", "cancelled"]
_EDITABLE = frozenset({"title", "description", "due_at", "starts_at", "ends_at"})


class WorkItem(Timestamps):
    """A task, or with `starts_at` a scheduled item.

    `visibility_scope` is private, or the kind of the room that it is shared in: room, quest or squad.
    """

    id = IdField()
    user_id = peewee.TextField()
    assignee_id = peewee.TextField(null=True)
    room_id = peewee.TextField(null=True)
    visibility_scope = peewee.TextField(default="private")
    type = peewee.TextField(default="task")
    status = peewee.TextField(default="open")
    title = peewee.TextField()
    description = peewee.TextField(default="")
    starts_at = UtcField(null=True)
    ends_at = UtcField(null=True)
    due_at = UtcField(null=True)
    completed_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "work_items"


class WorkItemOptions(TypedDict, total=False):
    """What a new work item may have besides its owner and title."""

    description: str
    assignee_id: str | None
    room_id: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    due_at: datetime | None


class WorkItems(Repository[WorkItem]):
    """`store.workspaces.work_items`: what is to be done, and who may see it.

    A user sees their own items, those assigned to them, and those shared in a room that they are in. Owner
    and assignee change an item; the owner alone says who sees it and who does it. Whatever a user may not see
    or change is NotFound.
    """

    def __init__(
        self, engine: Engine, model: type[WorkItem] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self._rooms = Repository(engine, Room)
        self._members = Repository(engine, RoomMember)

    def create(self, user_id: str, title: str, **options: Unpack[WorkItemOptions]) -> WorkItem:
        """Add an item of a user's: a scheduled one where `starts_at` is given, shared where a room is.

            item = store.workspaces.work_items.create(user_id, "Call the printer", due_at=tomorrow)

        Raises:
            NotFound: the user is not in the room.
            ForeignKeyViolation: there is no such user, or no such assignee.
            CheckViolation: the title is empty, or the end is not after the start.
        """
        values: dict[str, Any] = {**options, "user_id": user_id, "title": title}
        values["type"] = "task" if options.get("starts_at") is None else "scheduled"
        with self.engine.transaction():
            values["visibility_scope"] = self._scope(user_id, options.get("room_id"))
            return self.add(**values)

    def get_visible(self, user_id: str, key: str) -> WorkItem:
        """Give an item that the user may see.

        Raises:
            NotFound: there is none, or the user may not see it.
        """
        return self.one(_visible_to(user_id), id=key)

    def page_visible(
        self, user_id: str, *, size: int = 50, after: str | None = None, **equals: Any
    ) -> Page[WorkItem]:
        """Give one page of what the user may see, the newest first: `status="open"`, `room_id=...`."""
        return self.page(_visible_to(user_id), order_by="-id", size=size, after=after, **equals)

    def upcoming(self, user_id: str, *, limit: int = 50) -> list[WorkItem]:
        """Give the user's scheduled items that have not begun, the next one first."""
        return self.find(
            WorkItem.starts_at >= self.engine.clock(),
            user_id=user_id,
            type="scheduled",
            order_by=("starts_at", "id"),
            limit=limit,
        )

    def edit(self, user_id: str, key: str, /, **changes: Any) -> WorkItem:
        """Change title, description, `due_at`, `starts_at`, `ends_at` of an item one owns or is to do.

        An item with a start is a scheduled one.

        Raises:
            NotFound: there is none, or it is neither theirs nor assigned to them.
            CheckViolation: another field, an empty title, or an end that is not after the start.
        """
        if other := sorted(changes.keys() - _EDITABLE):
            raise CheckViolation(
                f"edit() does not change {', '.join(other)}",
                columns=other,
                hint="see set_status(), assign(), share() and withdraw()",
            )
        if "starts_at" in changes:
            changes["type"] = "task" if changes["starts_at"] is None else "scheduled"
        return self._change(user_id, key, changes)

    def set_status(self, user_id: str, key: str, status: WorkStatus) -> WorkItem:
        """Give an item one owns or is to do another status; done sets `completed_at`, all others clear it.

        Raises:
            NotFound: there is none, or it is neither theirs nor assigned to them.
        """
        done = self.engine.clock() if status == "done" else None
        return self._change(user_id, key, {"status": status, "completed_at": done})

    def assign(self, user_id: str, key: str, assignee_id: str | None) -> WorkItem:
        """Say who is to do an item of one's own, or nobody.

        Raises:
            NotFound: there is no such item of theirs.
            ForeignKeyViolation: there is no such assignee.
        """
        return self._change_own(user_id, key, {"assignee_id": assignee_id})

    def share(self, user_id: str, key: str, room_id: str) -> WorkItem:
        """Let the members of a room that one is in see an item of one's own, in no other room any more.

        Raises:
            NotFound: there is no such item of theirs, or they are not in the room.
        """
        with self.engine.transaction():
            scope = self._scope(user_id, room_id)
            return self._change_own(user_id, key, {"room_id": room_id, "visibility_scope": scope})

    def withdraw(self, user_id: str, key: str) -> WorkItem:
        """Make an item of one's own private again.

        Raises:
            NotFound: there is no such item of theirs.
        """
        return self._change_own(user_id, key, {"room_id": None, "visibility_scope": "private"})

    # -- pieces ------------------------------------------------------------------------------------

    def _scope(self, user_id: str, room_id: str | None) -> str:
        if room_id is None:
            return "private"
        room = self._rooms.get_or_none(room_id)
        if room is None or not self._members.exists(room_id=room_id, user_id=user_id):
            raise NotFound(f"user {user_id!r} is not in room {room_id!r}")
        return str(room.kind)

    def _change(self, user_id: str, key: str, changes: dict[str, Any]) -> WorkItem:
        theirs = (WorkItem.user_id == user_id) | (WorkItem.assignee_id == user_id)
        with self.engine.transaction():
            if changes and not self.update_where(theirs, id=key, changes=changes):
                raise self._not_found(key)
            return self.one(theirs, id=key)

    def _change_own(self, user_id: str, key: str, changes: dict[str, Any]) -> WorkItem:
        with self.engine.transaction():
            if not self.update_where(id=key, user_id=user_id, changes=changes):
                raise self._not_found(key)
            return self.get(key)


def _visible_to(user_id: str) -> Any:
    """Give the condition of what a user may see; Peewee's expressions are untyped."""
    rooms = RoomMember.select(RoomMember.room_id).where(RoomMember.user_id == user_id)
    return (WorkItem.user_id == user_id) | (WorkItem.assignee_id == user_id) | WorkItem.room_id.in_(rooms)
