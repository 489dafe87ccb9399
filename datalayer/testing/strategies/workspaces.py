"""Workspaces and what belongs to them, as the database accepts it whatever is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from datalayer.domains.workspaces import (
    Candidate,
    InboxItem,
    NewThread,
    Relationship,
    RelationshipRequest,
    Room,
    RoomMember,
    Thread,
    ThreadInvite,
    ThreadMessage,
    ThreadMessageDelivery,
    ThreadParticipant,
    WorkItem,
    Workspace,
    WorkspaceMember,
)
from datalayer.repository.fields import new_id
from datalayer.repository.secrets import new_token, token_hash
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = [
    "candidates",
    "inbox_items",
    "make_thread",
    "make_workspace",
    "relationship_requests",
    "relationships",
    "room_members",
    "rooms",
    "thread_invites",
    "thread_message_deliveries",
    "thread_messages",
    "thread_participants",
    "threads",
    "work_items",
    "workspace_members",
    "workspaces",
]

_DELIVERED = ("sent", "delivered", "read")


def workspaces(*, created_by: str | None = None) -> SearchStrategy[Workspace]:
    """Give workspaces without members."""
    return st.builds(
        Workspace,
        id=st.builds(new_id),
        name=_names(),
        description=texts(),
        created_by=st.just(created_by),
    )


def workspace_members(*, workspace_id: str, user_id: str) -> SearchStrategy[WorkspaceMember]:
    """Give memberships in every role; a workspace takes each user once."""
    return st.builds(
        WorkspaceMember,
        id=st.builds(new_id),
        workspace_id=st.just(workspace_id),
        user_id=st.just(user_id),
        role=st.sampled_from(["owner", "admin", "member", "guest"]),
    )


def rooms(*, workspace_id: str, created_by: str | None = None) -> SearchStrategy[Room]:
    """Give rooms, quests and squads without members."""
    return st.builds(
        Room,
        id=st.builds(new_id),
        workspace_id=st.just(workspace_id),
        kind=st.sampled_from(["room", "quest", "squad"]),
        name=_names(),
        description=texts(),
        archived=st.booleans(),
        created_by=st.just(created_by),
    )


def room_members(*, room: Room, user_id: str) -> SearchStrategy[RoomMember]:
    """Give members of a room for a user who is in its workspace; a room takes each once."""
    return st.builds(
        RoomMember,
        id=st.builds(new_id),
        room_id=st.just(room.id),
        workspace_id=st.just(room.workspace_id),
        user_id=st.just(user_id),
        role=st.sampled_from(["moderator", "member"]),
    )


@st.composite
def work_items(
    draw: DrawFn, *, user_id: str, room: Room | None = None, assignee_id: str | None = None
) -> WorkItem:
    """Give tasks and scheduled items in every status: private, or shared in a room."""
    starts_at = draw(st.none() | moments())
    status = draw(st.sampled_from(["open", "in_progress", "done", "cancelled"]))
    return WorkItem(
        id=new_id(),
        user_id=user_id,
        assignee_id=assignee_id,
        room_id=None if room is None else room.id,
        visibility_scope="private" if room is None else room.kind,
        type="task" if starts_at is None else "scheduled",
        status=status,
        title=draw(_names()),
        description=draw(texts()),
        starts_at=starts_at,
        ends_at=None if starts_at is None else draw(st.none() | _after(starts_at)),
        due_at=draw(st.none() | moments()),
        completed_at=draw(moments()) if status == "done" else None,
    )


def inbox_items(*, user_id: str) -> SearchStrategy[InboxItem]:
    """Give notices, read and unread."""
    return st.builds(
        InboxItem,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        kind=_names(),
        title=_names(),
        body=texts(),
        data=json_documents(),
        read_at=st.none() | moments(),
    )


def relationships(*, user_id: str, related_user_id: str) -> SearchStrategy[Relationship]:
    """Give the relationship of two users, given in either order; two have one."""
    first, second = sorted((user_id, related_user_id))
    return st.builds(
        Relationship, id=st.builds(new_id), user_id=st.just(first), related_user_id=st.just(second)
    )


@st.composite
def relationship_requests(draw: DrawFn, *, user_id: str, related_user_id: str) -> RelationshipRequest:
    """Give requests in every status; of two users one is pending, and none while they are related."""
    status = draw(st.sampled_from(["pending", "accepted", "declined", "cancelled"]))
    return RelationshipRequest(
        id=new_id(),
        user_id=user_id,
        related_user_id=related_user_id,
        message=draw(texts()),
        status=status,
        decided_at=None if status == "pending" else draw(moments()),
    )


def threads(*, user_id: str, workspace_id: str | None = None) -> SearchStrategy[Thread]:
    """Give threads in every status, without participants."""
    return st.builds(
        Thread,
        id=st.builds(new_id),
        user_id=st.just(user_id),
        workspace_id=st.just(workspace_id),
        title=_names(),
        description=st.none() | texts(),
        status=st.sampled_from(["active", "archived", "deleted"]),
    )


def candidates() -> SearchStrategy[Candidate]:
    """Give people to invite."""
    # what is in an address or a name beside white space stays
    filled = _names().filter(lambda text: text.strip() != "")
    return st.builds(Candidate, name=filled, email=filled, reason=st.none() | texts())


@st.composite
def thread_invites(draw: DrawFn, *, thread_id: str) -> ThreadInvite:
    """Give invites in every status, with the hash of a token that nobody has."""
    created_at = draw(moments())
    lasts = draw(st.integers(2, 10**12))
    status = draw(st.sampled_from(["pending", "accepted", "declined", "expired"]))
    accepted = draw(st.integers(0, lasts - 1)) if status == "accepted" else None
    return ThreadInvite(
        id=new_id(),
        thread_id=thread_id,
        token=token_hash(new_token()),
        email=draw(_names()),
        candidate_name=draw(_names()),
        candidate_reason=draw(st.none() | texts()),
        status=status,
        expires_at=created_at + timedelta(microseconds=lasts),
        accepted_at=None if accepted is None else created_at + timedelta(microseconds=accepted),
        created_at=created_at,
    )


def thread_participants(
    *, thread_id: str, user_id: str | None = None, role: str = "member"
) -> SearchStrategy[ThreadParticipant]:
    """Give participants; a thread takes each user and each address once, and one owner."""
    return st.builds(
        ThreadParticipant,
        id=st.builds(new_id),
        thread_id=st.just(thread_id),
        user_id=st.just(user_id),
        email=st.none() | _names(),
        role=st.just(role),
        joined_at=moments(),
    )


@st.composite
def thread_messages(draw: DrawFn, *, thread_id: str, sender_id: str | None = None) -> ThreadMessage:
    """Give messages: posted, edited, and deleted ones, which are empty."""
    status = draw(st.sampled_from(["posted", "edited", "deleted"]))
    return ThreadMessage(
        id=new_id(),
        thread_id=thread_id,
        sender_id=sender_id,
        content="" if status == "deleted" else draw(_names()),
        status=status,
    )


@st.composite
def thread_message_deliveries(draw: DrawFn, *, message_id: str, participant_id: str) -> ThreadMessageDelivery:
    """Give deliveries in every status, with the times that it has by then; a message has one for each."""
    status = draw(st.sampled_from(["queued", *_DELIVERED, "failed"]))
    times: dict[str, Any] = {}
    if status in _DELIVERED:
        for passed in _DELIVERED[: _DELIVERED.index(status) + 1]:
            times[f"{passed}_at"] = draw(moments())
    elif status == "failed":
        times["sent_at"] = draw(st.none() | moments())
    return ThreadMessageDelivery(
        id=new_id(),
        message_id=message_id,
        participant_id=participant_id,
        status=status,
        error_message=draw(texts()) if status == "failed" else None,
        **times,
    )


def make_workspace(
    store: Store, *, owner_id: str, members: Iterable[str] = (), name: str = "Workspace"
) -> Workspace:
    """Make a workspace of an owner and other users."""
    workspace = store.workspaces.create(name, owner_id=owner_id)
    for user_id in members:
        store.workspaces.members.join(workspace.id, user_id)
    return workspace


def make_thread(store: Store, *, user_id: str, invited: int = 1, title: str = "Thread") -> NewThread:
    """Make a thread with this many pending invites, and give it with their tokens."""
    people = [Candidate(f"Guest {number}", f"guest{number}@example.org") for number in range(invited)]
    return store.workspaces.threads.create(user_id, title, people)


def _names() -> SearchStrategy[str]:
    return texts(min_size=1)


def _after(start: datetime) -> SearchStrategy[datetime]:
    return st.integers(0, 10**12).map(lambda us: start + timedelta(microseconds=us))
