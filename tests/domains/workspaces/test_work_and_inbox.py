"""Work items, which are seen by some and changed by fewer; and the inbox, which is one's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, NotFound
from datalayer.domains.workspaces import WorkItem
from datalayer.store import Store


@pytest.fixture
def room(store: Store, team: str, ann: str) -> str:
    return store.workspaces.rooms.create(team, "Repairs", user_id=ann, kind="quest").id


def seen(store: Store, user_id: str, **equals: Any) -> set[str]:
    return {item.title for item in store.workspaces.work_items.page_visible(user_id, **equals).items}


def test_an_item_is_private_until_it_is_shared(
    store: Store, team: str, room: str, ann: str, ben: str
) -> None:
    items = store.workspaces.work_items
    item = items.create(ann, "Paint", description="Blue")

    assert (item.visibility_scope, item.type, item.status) == ("private", "task", "open")
    assert (seen(store, ann), seen(store, ben)) == ({"Paint"}, set())
    assert items.share(ann, item.id, room).visibility_scope == "quest"
    assert seen(store, ben) == set()
    store.workspaces.rooms.join(room, ben)
    assert items.get_visible(ben, item.id).title == "Paint"
    items.withdraw(ann, item.id)
    with pytest.raises(NotFound):
        items.get_visible(ben, item.id)


def test_what_is_assigned_is_seen_and_may_be_done(store: Store, ann: str, ben: str, clock: Clock) -> None:
    items = store.workspaces.work_items
    item = items.create(ann, "Paint", assignee_id=ben)

    assert seen(store, ben, status="open") == {"Paint"}
    done = items.set_status(ben, item.id, "done")
    assert (done.status, done.completed_at) == ("done", clock.now)
    assert items.set_status(ann, item.id, "in_progress").completed_at is None
    items.assign(ann, item.id, None)
    assert seen(store, ben) == set()
    with pytest.raises(ForeignKeyViolation):
        items.assign(ann, item.id, "nobody")


def test_what_is_anothers_is_not_found(store: Store, team: str, room: str, ann: str, ben: str) -> None:
    items = store.workspaces.work_items
    store.workspaces.rooms.join(room, ben)
    item = items.create(ann, "Paint", room_id=room)

    for change in (
        lambda: items.set_status(ben, item.id, "done"),
        lambda: items.edit(ben, item.id, title="Mine"),
        lambda: items.edit(ben, item.id),
        lambda: items.assign(ben, item.id, ben),
        lambda: items.share(ben, item.id, room),
        lambda: items.withdraw(ben, item.id),
    ):
        with pytest.raises(NotFound):
            change()
    assert items.get(item.id).__data__ == item.__data__


def test_only_who_is_in_a_room_shares_there(store: Store, room: str, ann: str, ben: str) -> None:
    items = store.workspaces.work_items
    item = items.create(ben, "Paint")

    for place in (room, "nowhere"):
        with pytest.raises(NotFound):
            items.share(ben, item.id, place)
        with pytest.raises(NotFound):
            items.create(ben, "Varnish", room_id=place)
    assert items.count() == 1


def test_a_room_that_is_deleted_leaves_its_items_private(store: Store, room: str, ann: str) -> None:
    item = store.workspaces.work_items.create(ann, "Paint", room_id=room)
    store.workspaces.rooms.delete(room)

    left = store.workspaces.work_items.get(item.id)
    assert (left.visibility_scope, left.room_id) == ("private", None)


def test_an_item_with_a_start_is_scheduled(store: Store, ann: str, ben: str, clock: Clock) -> None:
    items, hour = store.workspaces.work_items, timedelta(hours=1)
    late = items.create(ann, "Late", starts_at=clock.now + 2 * hour, ends_at=clock.now + 3 * hour)
    soon = items.edit(ann, items.create(ann, "Soon").id, starts_at=clock.now + hour, title="Very soon")
    items.create(ann, "Over", starts_at=clock.now - hour)
    items.create(ben, "Another's", starts_at=clock.now + hour)

    assert [item.title for item in items.upcoming(ann)] == ["Very soon", "Late"]
    assert (late.type, soon.type) == ("scheduled", "scheduled")
    assert items.edit(ann, soon.id, starts_at=None).type == "task"
    for change in ({"ends_at": clock.now}, {"title": ""}, {"user_id": ben}):
        with pytest.raises(CheckViolation):
            items.edit(ann, late.id, **change)
    assert items.get(late.id).__data__ == late.__data__


def test_visible_items_come_by_pages(store: Store, ann: str) -> None:
    items = store.workspaces.work_items
    items.add_many(WorkItem(user_id=ann, title=str(number)) for number in range(5))

    first = items.page_visible(ann, size=3)
    second = items.page_visible(ann, size=3, after=first.next)
    assert [item.title for item in (*first.items, *second.items)] == ["4", "3", "2", "1", "0"]


# -- the inbox ---------------------------------------------------------------------------------------------


def test_what_was_not_read_is_counted_until_it_is(store: Store, ann: str, clock: Clock) -> None:
    inbox = store.workspaces.inbox
    first, second, third = (inbox.notify(ann, "note", title) for title in "abc")

    assert inbox.unread_count(ann) == 3
    assert inbox.mark_read(ann, [first.id, second.id]) == 2
    assert inbox.mark_read(ann, [first.id, third.id]) == 1
    assert inbox.mark_read(ann, []) == 0
    assert (inbox.unread_count(ann), inbox.get(first.id).read_at) == (0, clock.now)
    inbox.notify(ann, "note", "d", body="more", data={"of": third.id})
    assert [item.data for item in inbox.page_unread(ann).items] == [{"of": third.id}]
    assert inbox.mark_all_read(ann) == 1
    assert [item.title for item in inbox.page_for(ann).items] == ["d", "c", "b", "a"]


def test_an_inbox_is_ones_own(store: Store, ann: str, ben: str) -> None:
    inbox = store.workspaces.inbox
    item = inbox.notify(ann, "note", "For Ann")

    assert inbox.mark_read(ben, [item.id]) == 0
    assert inbox.mark_all_read(ben) == 0
    assert inbox.page_for(ben).items == ()
    with pytest.raises(NotFound):
        inbox.remove(ben, item.id)
    assert inbox.unread_count(ann) == 1
    inbox.remove(ann, item.id)
    assert inbox.count() == 0
    with pytest.raises(ForeignKeyViolation):
        inbox.notify("nobody", "note", "Lost")
    with pytest.raises(CheckViolation):
        inbox.notify(ann, "note", "Lost", data={"no": float("nan")})


def test_what_was_read_long_ago_is_pruned_in_batches(store: Store, ann: str, clock: Clock) -> None:
    inbox = store.workspaces.inbox
    for _ in range(5):
        inbox.notify(ann, "note", "Old")
    inbox.mark_all_read(ann)
    inbox.notify(ann, "note", "Unread")
    clock.move(91 * 86_400)
    recent = inbox.notify(ann, "note", "Read today")
    inbox.mark_read(ann, [recent.id])

    assert inbox.prune(batch=2) == 5
    assert [item.title for item in inbox.page_for(ann).items] == ["Read today", "Unread"]
