"""Workspaces, their members and rooms: made, entered, left, handed on."""

from __future__ import annotations

import pytest

from datalayer import CheckViolation, ForeignKeyViolation, NotFound, UniqueViolation
from datalayer.store import Store


def test_a_workspace_is_made_with_its_owner_or_not_at_all(store: Store, ann: str) -> None:
    spaces = store.workspaces
    made = spaces.create("Harbour", owner_id=ann, description="Boats")

    assert (made.name, made.description, made.created_by) == ("Harbour", "Boats", ann)
    assert spaces.members.role_of(made.id, ann) == "owner"
    with pytest.raises(ForeignKeyViolation):
        spaces.create("Nobody's", owner_id="nobody")
    with pytest.raises(CheckViolation, match="workspaces_name_given"):
        spaces.create("", owner_id=ann)
    assert spaces.count() == 1


def test_only_members_find_a_workspace(store: Store, team: str, ben: str, cleo: str) -> None:
    spaces = store.workspaces
    other = spaces.create("Club", owner_id=ben)

    assert spaces.get_for(ben, team).id == team
    assert [one.id for one in spaces.page_for(ben).items] == [other.id, team]
    assert spaces.page_for(ben, size=1).has_more
    with pytest.raises(NotFound):
        spaces.get_for(cleo, team)
    assert spaces.page_for(cleo).items == ()


def test_members_come_once_change_their_role_and_leave(store: Store, team: str, ben: str, cleo: str) -> None:
    members = store.workspaces.members
    members.join(team, cleo, "guest")

    members.set_role(team, ben, "admin")
    assert [(one.user_id, one.role) for one in members.page_of(team).items] == [
        ("cleo", "guest"),
        ("ben", "admin"),
        ("ann", "owner"),
    ]
    with pytest.raises(UniqueViolation):
        members.join(team, cleo)
    members.leave(team, cleo)
    assert members.role_of(team, cleo) is None
    for change in (lambda: members.leave(team, cleo), lambda: members.set_role(team, cleo, "admin")):
        with pytest.raises(NotFound):
            change()
    with pytest.raises(ForeignKeyViolation):
        members.join("nowhere", cleo)


def test_the_last_owner_stays_until_there_is_another(store: Store, team: str, ann: str, ben: str) -> None:
    members = store.workspaces.members
    for leaving in (lambda: members.leave(team, ann), lambda: members.set_role(team, ann, "member")):
        with pytest.raises(CheckViolation) as caught:
            leaving()

        assert caught.value.constraint == "workspace_members_last_owner"
    members.set_role(team, ben, "owner")
    members.leave(team, ann)
    assert members.role_of(team, ben) == "owner"


def test_ownership_is_handed_on_whole(store: Store, team: str, ann: str, ben: str, cleo: str) -> None:
    members = store.workspaces.members
    for giver, taker in ((ben, ann), (ann, cleo)):
        with pytest.raises(NotFound):
            members.transfer(team, giver, taker)
    assert members.role_of(team, ann) == "owner"

    members.transfer(team, ann, ben)
    members.transfer(team, ben, ben)

    assert (members.role_of(team, ann), members.role_of(team, ben)) == ("admin", "owner")


def test_the_longest_admin_inherits_from_an_owner_who_is_deleted(
    store: Store, team: str, ann: str, ben: str, cleo: str
) -> None:
    members = store.workspaces.members
    members.join(team, cleo, "admin")
    store.engine.write("DELETE FROM users WHERE id = 'ann'")

    assert (members.role_of(team, ben), members.role_of(team, cleo)) == ("member", "owner")
    store.engine.write("DELETE FROM users WHERE id IN ('ben', 'cleo')")
    assert members.count() == 0
    assert store.workspaces.count() == 1


def test_a_room_is_made_by_a_member_who_moderates_it(store: Store, team: str, ann: str, cleo: str) -> None:
    rooms = store.workspaces.rooms
    room = rooms.create(team, "Repairs", user_id=ann, kind="squad", description="On Mondays")

    assert (room.kind, room.created_by, rooms.role_of(room.id, ann)) == ("squad", ann, "moderator")
    with pytest.raises(NotFound):
        rooms.create(team, "Mine", user_id=cleo)
    with pytest.raises(CheckViolation, match="rooms_name_given"):
        rooms.create(team, "", user_id=ann)
    assert rooms.count() == 1


def test_only_members_of_the_workspace_come_into_its_rooms(
    store: Store, team: str, ann: str, ben: str, cleo: str
) -> None:
    rooms = store.workspaces.rooms
    room = rooms.create(team, "Repairs", user_id=ann)
    rooms.join(room.id, ben)

    with pytest.raises(UniqueViolation):
        rooms.join(room.id, ben)
    with pytest.raises(ForeignKeyViolation) as caught:
        rooms.join(room.id, cleo)
    assert caught.value.constraint == "room_members_workspace_member"
    with pytest.raises(NotFound):
        rooms.join("nowhere", ben)
    rooms.leave(room.id, ben)
    with pytest.raises(NotFound):
        rooms.leave(room.id, ben)


def test_users_find_the_rooms_that_they_are_in(store: Store, team: str, ann: str, ben: str) -> None:
    rooms, other = store.workspaces.rooms, store.workspaces.create("Club", owner_id=ben)
    repairs, bar = rooms.create(team, "Repairs", user_id=ann), rooms.create(other.id, "Bar", user_id=ben)
    rooms.join(repairs.id, ben)

    assert [one.id for one in rooms.page_for(ben).items] == [bar.id, repairs.id]
    assert [one.id for one in rooms.page_for(ben, workspace_id=team).items] == [repairs.id]
    assert rooms.get_for(ben, bar.id).name == "Bar"
    with pytest.raises(NotFound):
        rooms.get_for(ann, bar.id)
    store.workspaces.members.leave(team, ben)
    assert rooms.role_of(repairs.id, ben) is None
