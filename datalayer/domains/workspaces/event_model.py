"""What a hosted event is: its row, and those who take part.

Knows no statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import peewee

from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Timestamps

__all__ = ["Attendance", "EventParticipant", "HostedEvent", "ParticipantStatus"]

ParticipantStatus = Literal["invited", "going", "waitlisted", "declined"]


class HostedEvent(Timestamps):
    """Something that a user invites others to; `capacity` None is room for all."""

    id = IdField()
    workspace_id = peewee.TextField(null=True)
    host_id = peewee.TextField()
    title = peewee.TextField()
    description = peewee.TextField(default="")
    location = peewee.TextField(null=True)
    starts_at = UtcField()
    ends_at = cast("peewee.Field[datetime | None]", UtcField(null=True))
    capacity = cast("peewee.Field[int | None]", peewee.IntegerField(null=True))
    is_public = peewee.BooleanField(default=True)
    status = peewee.TextField(default="scheduled")

    class Meta:
        """Where it is stored."""

        table_name = "hosted_events"


class EventParticipant(Timestamps):
    """One user at one event; only `going` takes a place. The waiting list is in order of `responded_at`."""

    id = IdField()
    event_id = peewee.TextField()
    user_id = peewee.TextField()
    status = cast("peewee.Field[ParticipantStatus]", peewee.TextField(default="going"))
    responded_at = cast("peewee.Field[datetime | None]", UtcField(null=True))
    attended_at = cast("peewee.Field[datetime | None]", UtcField(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "event_participants"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """How full an event is; `free` is None where there is room for all."""

    invited: int
    going: int
    waitlisted: int
    declined: int
    attended: int
    capacity: int | None

    @property
    def free(self) -> int | None:
        """How many places are left."""
        return None if self.capacity is None else max(self.capacity - self.going, 0)
