"""Hosted events: invitations, answers, the waiting list, and never more people than places."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import Events
from datalayer.store import Store
from datalayer.testing.strategies.administration import make_event

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def events(store: Store, clock: Clock) -> Events:
    return store.workspaces.events


def statuses(events: Events, event_id: str) -> dict[str, str]:
    return {guest.user_id: guest.status for guest in events.find_participants(event_id)}


def test_who_comes_late_waits_and_moves_up_in_turn(
    store: Store, events: Events, clock: Clock, ann: str, ben: str, cleo: str
) -> None:
    event = make_event(store, host_id=ann, capacity=1)
    # the one who waits longest has the highest id
    for user in (ann, cleo, ben):
        events.join(event.id, user)
        clock.move(1)
    assert statuses(events, event.id) == {ann: "going", cleo: "waitlisted", ben: "waitlisted"}
    events.decline(event.id, ann)
    assert statuses(events, event.id) == {ann: "declined", cleo: "going", ben: "waitlisted"}
    events.decline(event.id, ben)
    events.decline(event.id, cleo)

    found = events.attendance(event.id)
    assert (found.going, found.waitlisted, found.declined, found.free) == (0, 0, 3, 1)
    assert events.join(event.id, ann).status == "going"


def test_joining_again_changes_nothing(
    store: Store, events: Events, clock: Clock, ann: str, ben: str
) -> None:
    event = make_event(store, host_id=ann, capacity=1)
    first = events.join(event.id, ann)
    waiting = events.join(event.id, ben)
    clock.move(60)

    assert events.join(event.id, ann).responded_at == first.responded_at
    assert events.join(event.id, ben).responded_at == waiting.responded_at


def test_a_full_event_can_be_refused(store: Store, events: Events, ann: str, ben: str) -> None:
    event = make_event(store, host_id=ann, capacity=1)
    events.join(event.id, ann)
    with pytest.raises(CheckViolation) as caught:
        events.join(event.id, ben, waitlist=False)

    assert caught.value.constraint == "event_participants_capacity"
    assert statuses(events, event.id) == {ann: "going"}


def test_those_who_wait_move_up_when_there_is_more_room(
    store: Store, events: Events, ann: str, ben: str, cleo: str
) -> None:
    event = make_event(store, host_id=ann, capacity=1)
    for user in (ann, ben, cleo):
        events.join(event.id, user)
    events.edit(event.id, user_id=ann, capacity=2)
    assert statuses(events, event.id) == {ann: "going", ben: "going", cleo: "waitlisted"}
    events.edit(event.id, user_id=ann, capacity=None)

    assert set(statuses(events, event.id).values()) == {"going"}
    assert events.attendance(event.id).free is None
    with pytest.raises(CheckViolation):
        events.edit(event.id, user_id=ann, capacity=2)


def test_a_place_that_a_deleted_user_leaves_goes_to_who_waited(
    store: Store, events: Events, ann: str, ben: str, cleo: str
) -> None:
    event = make_event(store, host_id=ann, capacity=1)
    events.join(event.id, ben)
    events.join(event.id, cleo)
    store.engine.write("DELETE FROM users WHERE id = 'ben'")

    assert events.join(event.id, ann).status == "waitlisted"
    assert statuses(events, event.id) == {cleo: "going", ann: "waitlisted"}


def test_only_the_host_runs_an_event(store: Store, events: Events, ann: str, ben: str) -> None:
    event = make_event(store, host_id=ann)
    for refused in (
        lambda: events.edit(event.id, user_id=ben, title="Mine"),
        lambda: events.cancel(event.id, user_id=ben),
        lambda: events.invite(event.id, ben, user_id=ben),
        lambda: events.check_in(event.id, ben, user_id=ben),
    ):
        with pytest.raises(NotFound):
            refused()
    with pytest.raises(CheckViolation, match="host_id"):
        events.edit(event.id, user_id=ann, host_id=ben)


def test_a_closed_event_is_for_those_invited(
    store: Store, events: Events, clock: Clock, ann: str, ben: str, cleo: str
) -> None:
    event = events.host(ann, "Dinner", clock.now + timedelta(days=1), is_public=False)
    events.invite(event.id, ben, user_id=ann)
    with pytest.raises(NotFound):
        events.join(event.id, cleo)

    assert events.join(event.id, ben).status == "going"
    assert events.join(event.id, ann).status == "going"
    assert events.invite(event.id, ben, user_id=ann).status == "going"
    assert events.page_upcoming().items == ()


def test_nobody_joins_a_canceled_event(store: Store, events: Events, ann: str, ben: str) -> None:
    event = make_event(store, host_id=ann)
    events.join(event.id, ann)
    events.cancel(event.id, user_id=ann)
    assert events.cancel(event.id, user_id=ann).status == "canceled"
    for refused in (
        lambda: events.join(event.id, ben),
        lambda: events.invite(event.id, ben, user_id=ann),
    ):
        with pytest.raises(InvalidTransition):
            refused()

    assert events.decline(event.id, ann).status == "declined"


def test_who_came_is_recorded_once(store: Store, events: Events, clock: Clock, ann: str, ben: str) -> None:
    event = make_event(store, host_id=ann)
    events.join(event.id, ben)
    came = events.check_in(event.id, ben, user_id=ann).attended_at
    clock.move(60)

    assert events.check_in(event.id, ben, user_id=ann).attended_at == came
    assert events.attendance(event.id).attended == 1
    with pytest.raises(InvalidTransition):
        events.decline(event.id, ben)
    with pytest.raises(NotFound):
        events.check_in(event.id, ann, user_id=ann)
    events.invite(event.id, ann, user_id=ann)
    with pytest.raises(InvalidTransition):
        events.check_in(event.id, ann, user_id=ann)


def test_events_come_by_pages(
    store: Store, events: Events, clock: Clock, ann: str, ben: str, team: str
) -> None:
    made = [
        make_event(store, host_id=ann, starts_at=clock.now + timedelta(days=day)).id for day in (3, 1, -1)
    ]
    own = events.host(ann, "Team", clock.now + timedelta(days=2), is_public=False, workspace_id=team)
    events.join(made[0], ben)
    events.join(made[1], ben)
    events.decline(made[1], ben)

    upcoming = events.page_upcoming(size=1)
    later = events.page_upcoming(size=1, after=upcoming.next)
    assert [event.id for event in (*upcoming.items, *later.items)] == [made[1], made[0]]
    assert [event.id for event in events.page_upcoming(workspace_id=team).items] == [own.id]
    assert [event.id for event in events.page_for_user(ben).items] == [made[0]]
    assert [event.id for event in events.page_for_user(ann).items] == [made[0], own.id, made[1], made[2]]


def test_who_is_not_there_is_said(store: Store, events: Events, clock: Clock, ann: str, ben: str) -> None:
    event = make_event(store, host_id=ann)
    with pytest.raises(NotFound):
        events.join("nowhere", ann)
    with pytest.raises(NotFound):
        events.attendance("nowhere")
    with pytest.raises(NotFound):
        events.decline(event.id, ben)
    with pytest.raises(ForeignKeyViolation):
        events.join(event.id, "nobody")
    with pytest.raises(ForeignKeyViolation):
        events.host("nobody", "t", clock.now)
    with pytest.raises(CheckViolation):
        events.host(ann, "t", clock.now, ends_at=clock.now - timedelta(1))
