"""Hosted events: invitations, answers, a waiting list, and never more people than places.

That no event is overfull is a rule of the database, which locks the event for everyone who takes a place;
what is here decides who is next.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from datalayer.domains.workspaces.choices import only
from datalayer.domains.workspaces.event_model import (
    Attendance,
    EventParticipant,
    HostedEvent,
    ParticipantStatus,
)
from datalayer.engine.connection import Engine
from datalayer.errors import CheckViolation, InvalidTransition, NotFound
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Events"]

_CHANGEABLE = ("title", "description", "location", "starts_at", "ends_at", "capacity", "is_public")


class Events(Repository[HostedEvent]):
    """`store.workspaces.events`; `participants` is the plain repository of those who take part."""

    def __init__(
        self, engine: Engine, model: type[HostedEvent] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.participants = Repository(engine, EventParticipant)
        # event id
        self._counts_sql = engine.dialect.sql(
            "SELECT status, COUNT(*), COUNT(attended_at) FROM event_participants WHERE event_id = ?"
            " GROUP BY status"
        )

    # -- the host ----------------------------------------------------------------------------------

    def host(self, host_id: str, title: str, starts_at: datetime, **options: Any) -> HostedEvent:
        """Make an event.

        Options: `ends_at`, `capacity`, `location`, `description`, `is_public`, `workspace_id`.

            event = store.workspaces.events.host(user.id, "Release party", starts_at, capacity=20)

        Raises:
            ForeignKeyViolation: there is no such user or workspace.
            CheckViolation: a blank title, an end before the start, or a capacity below 1.
        """
        only(options, (*_CHANGEABLE, "workspace_id"), "an event")
        return self.add(host_id=host_id, title=title, starts_at=starts_at, **options)

    def edit(self, event_id: str, *, user_id: str, **changes: Any) -> HostedEvent:
        """Change an own event, and give it; those on the waiting list move up where it became larger.

        Raises:
            NotFound: this user hosts no such event.
            CheckViolation: as `host`, or more people have a place than the new capacity.
        """
        only(changes, _CHANGEABLE, "an event")
        with self.engine.transaction():
            event = self._hosted(event_id, user_id)
            self.update(event, **changes)
            if "capacity" in changes and event.status == "scheduled":
                self._move_up(event)
        return event

    def cancel(self, event_id: str, *, user_id: str) -> HostedEvent:
        """Call an own event off; who took part stays on record. Doing so again changes nothing.

        Raises:
            NotFound: this user hosts no such event.
        """
        with self.engine.transaction():
            event = self._hosted(event_id, user_id)
            if event.status != "canceled":
                self.update(event, status="canceled")
        return event

    def invite(self, event_id: str, guest_id: str, *, user_id: str) -> EventParticipant:
        """Invite a user to an own event; who is on its list already is given as they are.

        Raises:
            NotFound: `user_id` hosts no such event.
            InvalidTransition: the event was canceled.
            ForeignKeyViolation: there is no such guest.
        """
        with self.engine.transaction():
            event = self._hosted(event_id, user_id)
            _refuse_canceled(event)
            found = self.participants.one_or_none(event_id=event_id, user_id=guest_id)
            return found or self.participants.add(event_id=event_id, user_id=guest_id, status="invited")

    def check_in(self, event_id: str, guest_id: str, *, user_id: str) -> EventParticipant:
        """Record that somebody who was going came; the first time stays.

        Raises:
            NotFound: `user_id` hosts no such event, or the guest is not on its list.
            InvalidTransition: the guest was not going.
        """
        with self.engine.transaction():
            self._hosted(event_id, user_id)
            guest = self._participant(event_id, guest_id)
            if guest.status != "going":
                raise InvalidTransition(
                    f"{guest_id!r} has no place at {event_id!r}", current=guest.status, wanted="going"
                )
            if guest.attended_at is None:
                self.participants.update(guest, attended_at=self.engine.clock())
        return guest

    # -- the guests --------------------------------------------------------------------------------

    def join(self, event_id: str, user_id: str, *, waitlist: bool = True) -> EventParticipant:
        """Take a place, or the next one on the waiting list where all are taken; gives what it came to.

        Who joins again keeps what they have. However many join at the same time, no more than `capacity` are
        going, and those who wait do so in the order in which they were served.

        Raises:
            NotFound: there is no such event, or it is not public and the user was not invited.
            InvalidTransition: the event was canceled.
            CheckViolation: no place is left and `waitlist` is False.
            ForeignKeyViolation: there is no such user.
        """
        with self.engine.transaction():
            event = self._lock(event_id)
            found = self.participants.one_or_none(event_id=event_id, user_id=user_id)
            if found is None and not event.is_public and user_id != event.host_id:
                raise self._not_found(event_id)
            _refuse_canceled(event)
            # a place may have come free by the deletion of a user
            self._move_up(event)
            found = self.participants.one_or_none(event_id=event_id, user_id=user_id)
            if found is not None and found.status in ("going", "waitlisted"):
                return found
            status: ParticipantStatus = "going" if self._has_room(event) else "waitlisted"
            if status == "waitlisted" and not waitlist:
                raise CheckViolation(
                    f"every place at {event.title!r} is taken",
                    table="event_participants",
                    constraint="event_participants_capacity",
                    hint="join with waitlist=True to be next",
                )
            return self._answer(event_id, user_id, found, status)

    def decline(self, event_id: str, user_id: str) -> EventParticipant:
        """Say no, or give a place back: the first of the waiting list takes it at the same moment.

        Raises:
            NotFound: the user is not on the list of such an event.
            InvalidTransition: they were there already.
        """
        with self.engine.transaction():
            event = self._lock(event_id)
            found = self._participant(event_id, user_id)
            if found.attended_at is not None:
                raise InvalidTransition(
                    f"{user_id!r} was at {event_id!r} already", current="going", wanted="declined"
                )
            if found.status != "declined":
                found = self._answer(event_id, user_id, found, "declined")
                if event.status == "scheduled":
                    self._move_up(event)
            return found

    # -- looking -----------------------------------------------------------------------------------

    def attendance(self, event_id: str) -> Attendance:
        """Count who was invited, goes, waits, declined and came.

        Raises:
            NotFound: there is no such event.
        """
        event = self.get(event_id)
        counts = {status: (int(n), int(came)) for status, n, came in self._counts(event_id)}
        number = {status: n for status, (n, _) in counts.items()}
        return Attendance(
            invited=number.get("invited", 0),
            going=number.get("going", 0),
            waitlisted=number.get("waitlisted", 0),
            declined=number.get("declined", 0),
            attended=counts.get("going", (0, 0))[1],
            capacity=event.capacity,
        )

    def find_participants(
        self, event_id: str, status: ParticipantStatus | None = None
    ) -> list[EventParticipant]:
        """Give who is on the list of an event, in the order of their answers; the invited first."""
        wanted: dict[str, Any] = {} if status is None else {"status": status}
        return self.participants.find(event_id=event_id, order_by=("responded_at", "id"), **wanted)

    def page_upcoming(
        self, *, workspace_id: str | None = None, size: int = 50, after: str | None = None
    ) -> Page[HostedEvent]:
        """Give one page of public events, or all of a workspace, that have not begun: the next one first."""
        wanted: dict[str, Any] = {"is_public": True}
        if workspace_id is not None:
            wanted = {"workspace_id": workspace_id}
        return self.page(
            HostedEvent.starts_at > self.engine.clock(),
            status="scheduled",
            order_by=("starts_at", "id"),
            size=size,
            after=after,
            **wanted,
        )

    def page_for_user(self, user_id: str, *, size: int = 50, after: str | None = None) -> Page[HostedEvent]:
        """Give one page of the events that this user hosts or did not decline, the latest first."""
        listed = EventParticipant.select(EventParticipant.event_id).where(
            (EventParticipant.user_id == user_id) & (EventParticipant.status != "declined")
        )
        mine = (HostedEvent.host_id == user_id) | (HostedEvent.id.in_(listed))
        return self.page(mine, order_by=("-starts_at", "-id"), size=size, after=after)

    # -- pieces ------------------------------------------------------------------------------------

    def _lock(self, event_id: str) -> HostedEvent:
        return self.for_update().get(event_id)

    def _hosted(self, event_id: str, user_id: str) -> HostedEvent:
        event = self._lock(event_id)
        if event.host_id != user_id:
            raise self._not_found(event_id)
        return event

    def _participant(self, event_id: str, user_id: str) -> EventParticipant:
        found = self.participants.one_or_none(event_id=event_id, user_id=user_id)
        if found is None:
            raise NotFound(f"the user {user_id!r} is not on the list of {event_id!r}")
        return found

    def _counts(self, event_id: str) -> list[tuple[Any, ...]]:
        return self.engine.fetch_all(self._counts_sql, (event_id,))

    def _free(self, event: HostedEvent) -> int | None:
        if event.capacity is None:
            return None
        return event.capacity - self.participants.count(event_id=event.id, status="going")

    def _has_room(self, event: HostedEvent) -> bool:
        free = self._free(event)
        return free is None or free > 0

    def _answer(
        self, event_id: str, user_id: str, found: EventParticipant | None, status: ParticipantStatus
    ) -> EventParticipant:
        now = self.engine.clock()
        if found is None:
            return self.participants.add(event_id=event_id, user_id=user_id, status=status, responded_at=now)
        self.participants.update(found, status=status, responded_at=now)
        return found

    def _move_up(self, event: HostedEvent) -> None:
        """Give free places of a locked event to those who wait; they keep the time of their answer."""
        free = self._free(event)
        if free == 0:
            return
        for guest in self.participants.find(
            event_id=event.id, status="waitlisted", order_by=("responded_at", "id"), limit=free
        ):
            # who was deleted meanwhile is passed over
            self.participants.update_where(id=guest.id, status="waitlisted", changes={"status": "going"})


def _refuse_canceled(event: HostedEvent) -> None:
    if event.status == "canceled":
        raise InvalidTransition(f"{event.title!r} was canceled", current="canceled", wanted="scheduled")
