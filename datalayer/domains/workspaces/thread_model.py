"""A thread with its invites, participants, messages and their deliveries; and what callers get of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import peewee

from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = [
    "Candidate",
    "DeliveryStatus",
    "InviteView",
    "NewInvite",
    "NewThread",
    "PostedMessage",
    "Thread",
    "ThreadInvite",
    "ThreadMessage",
    "ThreadMessageDelivery",
    "ThreadParticipant",
]

DeliveryStatus = Literal["queued", "sent", "delivered", "read", "failed"]


class Thread(Timestamps):
    """A conversation that `user_id` owns: active, archived or, for good, deleted."""

    id = IdField()
    user_id = peewee.TextField()
    workspace_id = peewee.TextField(null=True)
    title = peewee.TextField()
    description = peewee.TextField(null=True)
    status = peewee.TextField(default="active")

    class Meta:
        """Where it is stored."""

        table_name = "threads"


class ThreadInvite(Model):
    """An invitation by e-mail: pending, then accepted, declined or expired for good.

    `token` is a hash (`token_hash`) of the token that the invited person has; the token itself is not stored.
    """

    id = IdField()
    thread_id = peewee.TextField()
    token = peewee.TextField()
    email = peewee.TextField()
    candidate_name = peewee.TextField()
    candidate_reason = peewee.TextField(null=True)
    status = peewee.TextField(default="pending")
    expires_at = UtcField()
    accepted_at = UtcField(null=True)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "thread_invites"


class ThreadParticipant(Model):
    """Somebody in a thread, as its owner or as a member; `user_id` is None for one without an account."""

    id = IdField()
    thread_id = peewee.TextField()
    user_id = peewee.TextField(null=True)
    email = peewee.TextField(null=True)
    role = peewee.TextField(default="member")
    joined_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "thread_participants"


class ThreadMessage(Timestamps):
    """A message in a thread: posted, perhaps edited, perhaps deleted, when its content is empty.

    `sender_id` is a participant's id, None once that participant is gone.
    """

    id = IdField()
    thread_id = peewee.TextField()
    sender_id = peewee.TextField(null=True)
    content = peewee.TextField()
    status = peewee.TextField(default="posted")

    class Meta:
        """Where it is stored."""

        table_name = "thread_messages"


class ThreadMessageDelivery(Timestamps):
    """A message on its way to a participant: queued, sent, delivered, read; or failed."""

    id = IdField()
    message_id = peewee.TextField()
    participant_id = peewee.TextField()
    status = peewee.TextField(default="queued")
    error_message = peewee.TextField(null=True)
    sent_at = UtcField(null=True)
    delivered_at = UtcField(null=True)
    read_at = UtcField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "thread_message_deliveries"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom to invite, and why it is them."""

    name: str
    email: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class NewInvite:
    """An invite with its token, which is given this once and cannot be had again."""

    invite: ThreadInvite
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread with the invites made along with it."""

    thread: Thread
    invites: tuple[NewInvite, ...] = ()


@dataclass(frozen=True, slots=True)
class InviteView:
    """What the page of an invite shows. `status` is expired from the moment that the time is over."""

    title: str
    description: str | None
    candidate_name: str
    candidate_reason: str | None
    status: str
    expires_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message with its deliveries, one for each other participant."""

    message: ThreadMessage
    deliveries: tuple[ThreadMessageDelivery, ...] = ()
