"""Shared lists: who sees and changes them, their order, and who is told of what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, NotFound, UniqueViolation
from datalayer.domains.workspaces import Lists
from datalayer.store import Store
from datalayer.testing.strategies.administration import make_list

# the file of SQLite behaves as the one in memory, and what a database decides is broken in the tests of rules
pytestmark = pytest.mark.parametrize(
    "store", ["memory", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def lists(store: Store, clock: Clock) -> Lists:
    return store.workspaces.lists


def contents(lists: Lists, list_id: str, user_id: str) -> list[str]:
    return [item.content for item in lists.find_items(list_id, user_id=user_id)]


def test_a_list_is_seen_by_its_owner_and_members_alone(
    store: Store, lists: Lists, ann: str, ben: str
) -> None:
    made = make_list(store, owner_id=ann, items=["milk"])
    with pytest.raises(NotFound):
        lists.get_for_user(made.id, ben)
    with pytest.raises(NotFound):
        lists.find_items(made.id, user_id=ben)
    assert lists.page_for_user(ben).items == ()
    lists.add_member(made.id, ben, user_id=ann, role="viewer")

    assert lists.get_for_user(made.id, ben).name == "List"
    assert [each.id for each in lists.page_for_user(ben).items] == [made.id]
    assert [member.user_id for member in lists.find_members(made.id, user_id=ben)] == [ann, ben]


def test_only_the_owner_changes_the_list_itself(store: Store, lists: Lists, ann: str, ben: str) -> None:
    made = make_list(store, owner_id=ann, members=[ben])
    for refused in (
        lambda: lists.edit(made.id, user_id=ben, name="Mine"),
        lambda: lists.delete_for_user(made.id, user_id=ben),
        lambda: lists.add_member(made.id, ben, user_id=ben),
        lambda: lists.set_role(made.id, ann, "viewer", user_id=ben),
        lambda: lists.remove_member(made.id, ann, user_id=ben),
    ):
        with pytest.raises(NotFound):
            refused()
    with pytest.raises(CheckViolation, match="owner_id"):
        lists.edit(made.id, user_id=ann, owner_id=ben)

    assert lists.edit(made.id, user_id=ann, name="Ours", archived=True).name == "Ours"
    assert lists.page_for_user(ben).items == ()
    assert [each.name for each in lists.page_for_user(ben, archived=True).items] == ["Ours"]
    lists.delete_for_user(made.id, user_id=ann)
    assert (lists.count(), lists.members.count()) == (0, 0)


def test_a_viewer_changes_no_item(store: Store, lists: Lists, ann: str, ben: str, cleo: str) -> None:
    made = make_list(store, owner_id=ann, members=[ben], items=["milk"])
    (item,) = lists.find_items(made.id, user_id=ann)
    lists.set_role(made.id, ben, "viewer", user_id=ann)
    for user in (ben, cleo):
        for refused in (
            lambda user=user: lists.add_items(made.id, ["tea"], user_id=user),
            lambda user=user: lists.edit_item(item.id, "tea", user_id=user),
            lambda user=user: lists.complete_item(item.id, user_id=user),
            lambda user=user: lists.move_item(item.id, user_id=user),
            lambda user=user: lists.remove_item(item.id, user_id=user),
        ):
            with pytest.raises(NotFound):
                refused()

    assert contents(lists, made.id, ann) == ["milk"]


def test_items_keep_the_order_they_are_given(store: Store, lists: Lists, ann: str) -> None:
    made = make_list(store, owner_id=ann, items=["a", "b", "c"])
    a, b, c = lists.find_items(made.id, user_id=ann)
    other = make_list(store, owner_id=ann, items=["x"])
    (x,) = lists.find_items(other.id, user_id=ann)
    lists.move_item(c.id, user_id=ann, before=a.id)
    assert contents(lists, made.id, ann) == ["c", "a", "b"]
    lists.move_item(c.id, user_id=ann, before=b.id)
    assert contents(lists, made.id, ann) == ["a", "c", "b"]
    lists.move_item(a.id, user_id=ann)
    assert contents(lists, made.id, ann) == ["c", "b", "a"]
    with pytest.raises(NotFound):
        lists.move_item(a.id, user_id=ann, before=x.id)
    lists.remove_item(b.id, user_id=ann)
    lists.add_items(made.id, ["d", "e"], user_id=ann)

    assert contents(lists, made.id, ann) == ["c", "a", "d", "e"]


def test_items_are_added_all_or_none(store: Store, lists: Lists, ann: str) -> None:
    made = make_list(store, owner_id=ann)
    with pytest.raises(CheckViolation):
        lists.add_items(made.id, ["a", " "], user_id=ann)

    assert contents(lists, made.id, ann) == []


def test_an_item_that_is_ticked_off_keeps_its_time(
    store: Store, lists: Lists, clock: Clock, ann: str
) -> None:
    made = make_list(store, owner_id=ann, items=["milk"])
    (item,) = lists.find_items(made.id, user_id=ann)
    done_at = clock.now
    lists.complete_item(item.id, user_id=ann)
    clock.move(60)

    assert lists.complete_item(item.id, user_id=ann).completed_at == done_at
    assert lists.edit_item(item.id, "oat milk", user_id=ann).completed
    assert lists.complete_item(item.id, user_id=ann, completed=False).completed_at is None


def test_each_member_is_told_as_they_like(store: Store, lists: Lists, ann: str, ben: str, cleo: str) -> None:
    made = make_list(store, owner_id=ann, members=[ben, cleo])
    lists.set_delivery(made.id, "daily_digest", user_id=ben)
    lists.set_delivery(made.id, "none", user_id=cleo)

    assert lists.recipients(made.id) == [ann]
    assert lists.recipients(made.id, "daily_digest") == [ben]
    assert lists.recipients(made.id, "none") == [cleo]
    with pytest.raises(NotFound):
        lists.set_delivery(make_list(store, owner_id=ann).id, "none", user_id=ben)


def test_a_digest_holds_what_others_added_in_its_time(
    store: Store, lists: Lists, clock: Clock, ann: str, ben: str
) -> None:
    made, quiet = (make_list(store, owner_id=ann, members=[ben], items=["old"]) for _ in range(2))
    for each in (made, quiet):
        lists.set_delivery(each.id, "daily_digest", user_id=ben)
    instant = make_list(store, owner_id=ann, members=[ben])
    since = clock.move(3_600)
    lists.add_items(made.id, ["one", "two"], user_id=ann)
    lists.add_items(made.id, ["own"], user_id=ben)
    lists.add_items(instant.id, ["elsewhere"], user_id=ann)
    until = clock.move(3_600)
    lists.add_items(made.id, ["late"], user_id=ann)

    (digest,) = lists.digest(ben, since, until)
    assert (digest.shared_list.id, [item.content for item in digest.items]) == (made.id, ["one", "two"])
    assert lists.digest(ben, until + timedelta(days=1), until + timedelta(days=2)) == []
    assert lists.digest(ann, since, until) == []


def test_members_join_once_and_leave_by_themselves(store: Store, lists: Lists, ann: str, ben: str) -> None:
    made = make_list(store, owner_id=ann, members=[ben])
    with pytest.raises(UniqueViolation):
        lists.add_member(made.id, ben, user_id=ann)
    with pytest.raises(ForeignKeyViolation):
        lists.add_member(made.id, "nobody", user_id=ann)
    lists.remove_member(made.id, ben, user_id=ben)
    lists.remove_member(made.id, ann, user_id=ann)

    assert lists.recipients(made.id) == []
    assert lists.get_for_user(made.id, ann).owner_id == ann
    with pytest.raises(NotFound):
        lists.remove_member(made.id, ben, user_id=ann)


def test_lists_come_by_pages_the_last_changed_first(
    store: Store, lists: Lists, clock: Clock, ann: str
) -> None:
    made: list[str] = []
    for _ in range(3):
        made.append(make_list(store, owner_id=ann).id)
        clock.move(1)
    lists.add_items(made[0], ["new"], user_id=ann)

    first = lists.page_for_user(ann, size=2)
    second = lists.page_for_user(ann, size=2, after=first.next)
    assert [each.id for each in (*first.items, *second.items)] == [made[0], made[2], made[1]]
