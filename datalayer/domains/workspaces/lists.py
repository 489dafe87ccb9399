"""Shared lists: items in an order of their own, members, and how each member wants to be told of new items.

Whoever owns a list or is a member of it sees it; to all others it is not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from datalayer.domains.workspaces.choices import only
from datalayer.domains.workspaces.list_model import (
    DeliveryPreference,
    ListDigest,
    ListItem,
    ListMember,
    ListRole,
    SharedList,
)
from datalayer.engine.connection import Engine
from datalayer.errors import NotFound
from datalayer.repository.base import Repository
from datalayer.repository.page import Page

__all__ = ["Lists"]

_NEWEST_FIRST = ("-updated_at", "-id")
_IN_ORDER = ("position", "id")


class Lists(Repository[SharedList]):
    """`store.workspaces.lists`; `items` and `members` are the plain repositories of the other two tables."""

    def __init__(
        self, engine: Engine, model: type[SharedList] | None = None, *, data_dir: Path | None = None
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.items = Repository(engine, ListItem)
        self.members = Repository(engine, ListMember)
        sql = engine.dialect.sql
        # list id
        self._next_position_sql = sql(
            "SELECT COALESCE(MAX(position) + 1, 0) FROM list_items WHERE list_id = ?"
        )
        # list id, position
        self._make_room_sql = sql(
            "UPDATE list_items SET position = position + 1 WHERE list_id = ? AND position >= ?"
        )

    # -- lists -------------------------------------------------------------------------------------

    def create(
        self, owner_id: str, name: str, *, workspace_id: str | None = None, description: str = ""
    ) -> SharedList:
        """Make a list whose owner is its first member, told of new items at once.

        Raises:
            ForeignKeyViolation: there is no such user or workspace.
            CheckViolation: the name is blank.
        """
        with self.engine.transaction():
            made = self.add(owner_id=owner_id, name=name, workspace_id=workspace_id, description=description)
            self.members.add(list_id=made.id, user_id=owner_id)
        return made

    def get_for_user(self, list_id: str, user_id: str) -> SharedList:
        """Give a list that this user owns or is a member of.

        Raises:
            NotFound: there is none.
        """
        return self._seen(self.get_or_none(list_id), list_id, user_id)

    def page_for_user(
        self, user_id: str, *, archived: bool = False, size: int = 50, after: str | None = None
    ) -> Page[SharedList]:
        """Give one page of the lists that this user owns or is a member of, the last changed first."""
        mine = ListMember.select(ListMember.list_id).where(ListMember.user_id == user_id)
        seen = (SharedList.owner_id == user_id) | (SharedList.id.in_(mine))
        return self.page(seen, archived=archived, order_by=_NEWEST_FIRST, size=size, after=after)

    def edit(self, list_id: str, *, user_id: str, **changes: Any) -> SharedList:
        """Change `name`, `description` or `archived` of an own list, and give it.

        Raises:
            NotFound: this user owns no such list.
            CheckViolation: the name is blank, or another field is to be changed.
        """
        only(changes, ("name", "description", "archived"), "a list")
        with self.engine.transaction():
            owned = self._owned(list_id, user_id)
            self.update(owned, **changes)
        return owned

    def delete_for_user(self, list_id: str, *, user_id: str) -> None:
        """Delete an own list with its items and members.

        Raises:
            NotFound: this user owns no such list.
        """
        if not self.delete_where(id=list_id, owner_id=user_id):
            raise self._absent(list_id, user_id)

    # -- members -----------------------------------------------------------------------------------

    def add_member(
        self,
        list_id: str,
        member_id: str,
        *,
        user_id: str,
        role: ListRole = "editor",
        delivery_preference: DeliveryPreference = "instant",
    ) -> ListMember:
        """Let a user see an own list.

        Raises:
            NotFound: `user_id` owns no such list.
            UniqueViolation: a member already.
            ForeignKeyViolation: there is no such user.
        """
        with self.engine.transaction():
            self._owned(list_id, user_id)
            return self.members.add(
                list_id=list_id, user_id=member_id, role=role, delivery_preference=delivery_preference
            )

    def set_role(self, list_id: str, member_id: str, role: ListRole, *, user_id: str) -> None:
        """Give a member of an own list another role.

        Raises:
            NotFound: `user_id` owns no such list, or it has no such member.
        """
        with self.engine.transaction():
            self._owned(list_id, user_id)
            self._change_member(list_id, member_id, role=role)

    def remove_member(self, list_id: str, member_id: str, *, user_id: str) -> None:
        """Take a member off an own list; a member may also leave by itself.

        An owner who leaves still owns the list, and is told of nothing.

        Raises:
            NotFound: there is no such member, or neither of the two asks.
        """
        with self.engine.transaction():
            if user_id != member_id:
                self._owned(list_id, user_id)
            if not self.members.delete_where(list_id=list_id, user_id=member_id):
                raise self._absent(list_id, member_id)

    def find_members(self, list_id: str, *, user_id: str) -> list[ListMember]:
        """Give the members of a list that this user sees, in the order in which they joined.

        Raises:
            NotFound: there is no such list.
        """
        self.get_for_user(list_id, user_id)
        return self.members.find(list_id=list_id)

    def set_delivery(self, list_id: str, preference: DeliveryPreference, *, user_id: str) -> None:
        """Say how this member is told of new items: `instant`, `daily_digest` or `none`.

        Raises:
            NotFound: the user is no member of such a list.
            CheckViolation: no such preference.
        """
        self._change_member(list_id, user_id, delivery_preference=preference)

    def recipients(self, list_id: str, preference: DeliveryPreference = "instant") -> list[str]:
        """Give the ids of the members who want to be told in this way, in order."""
        found = self.members.find(list_id=list_id, delivery_preference=preference, order_by="user_id")
        return [member.user_id for member in found]

    def digest(self, user_id: str, since: datetime, until: datetime) -> list[ListDigest]:
        """Give what others added from `since` to before `until`, in the lists this user wants digests of.

        Lists without anything new are left out; the others come by name. Three queries, however many lists.
        """
        wanted = self.members.find(user_id=user_id, delivery_preference="daily_digest")
        keys = [member.list_id for member in wanted]
        others = ListItem.added_by.is_null() | (ListItem.added_by != user_id)
        found = self.items.find(
            ListItem.created_at >= since,
            ListItem.created_at < until,
            others,
            list_id=keys,
            order_by=("created_at", "id"),
        )
        by_list: dict[str, list[ListItem]] = defaultdict(list)
        for item in found:
            by_list[item.list_id].append(item)
        lists = self.find(id=list(by_list), archived=False, order_by=("name", "id"))
        return [ListDigest(each, tuple(by_list[each.id])) for each in lists]

    # -- items -------------------------------------------------------------------------------------

    def add_items(self, list_id: str, contents: Iterable[str], *, user_id: str) -> list[ListItem]:
        """Put items at the end of a list, all or none, and give them.

        Raises:
            NotFound: there is no such list that this user may change.
            CheckViolation: one of them is blank.
        """
        with self.engine.transaction():
            self._changeable(list_id, user_id)
            row = self.engine.fetch_one(self._next_position_sql, (list_id,))
            first = int(row[0]) if row else 0
            return [
                self.items.add(list_id=list_id, added_by=user_id, content=content, position=first + place)
                for place, content in enumerate(contents)
            ]

    def find_items(self, list_id: str, *, user_id: str) -> list[ListItem]:
        """Give the items of a list in their order.

        Raises:
            NotFound: there is no such list that this user sees.
        """
        self.get_for_user(list_id, user_id)
        return self.items.find(list_id=list_id, order_by=_IN_ORDER)

    def edit_item(self, item_id: str, content: str, *, user_id: str) -> ListItem:
        """Give an item another text.

        Raises:
            NotFound: there is no such item in a list that this user may change.
            CheckViolation: the text is blank.
        """
        with self.engine.transaction():
            item = self._changeable_item(item_id, user_id)
            self.items.update(item, content=content)
        return item

    def complete_item(self, item_id: str, *, user_id: str, completed: bool = True) -> ListItem:
        """Tick an item off, or take the tick back; an item that is ticked off keeps its time.

        Raises:
            NotFound: there is no such item in a list that this user may change.
        """
        with self.engine.transaction():
            item = self._changeable_item(item_id, user_id)
            if item.completed != completed:
                moment = self.engine.clock() if completed else None
                self.items.update(item, completed=completed, completed_at=moment)
        return item

    def move_item(self, item_id: str, *, user_id: str, before: str | None = None) -> ListItem:
        """Move an item before another one of its list, or to the end.

        Raises:
            NotFound: there is no such item in a list that this user may change, or no such other one in it.
        """
        with self.engine.transaction():
            item = self._changeable_item(item_id, user_id)
            if before is None:
                row = self.engine.fetch_one(self._next_position_sql, (item.list_id,))
                place = int(row[0]) if row else 0
            else:
                place = self.items.one(id=before, list_id=item.list_id).position
                self.engine.write(self._make_room_sql, (item.list_id, place))
            self.items.update(item_id, position=place)
            return self.items.get(item_id)

    def remove_item(self, item_id: str, *, user_id: str) -> None:
        """Take an item off its list.

        Raises:
            NotFound: there is no such item in a list that this user may change.
        """
        with self.engine.transaction():
            self._changeable_item(item_id, user_id)
            self.items.delete(item_id)

    # -- who may what ------------------------------------------------------------------------------

    def _absent(self, list_id: str, user_id: str) -> NotFound:
        return NotFound(f"no list {list_id!r} answers to the user {user_id!r}")

    def _seen(self, found: SharedList | None, list_id: str, user_id: str) -> SharedList:
        if found is None or (
            found.owner_id != user_id and not self.members.exists(list_id=list_id, user_id=user_id)
        ):
            raise self._absent(list_id, user_id)
        return found

    def _owned(self, list_id: str, user_id: str) -> SharedList:
        """Lock and give an own list."""
        found = self.for_update().get_or_none(list_id)
        if found is None or found.owner_id != user_id:
            raise self._absent(list_id, user_id)
        return found

    def _changeable(self, list_id: str, user_id: str) -> SharedList:
        """Lock a list whose items this user may change, raise its `updated_at`, and give it."""
        found = self.for_update().get_or_none(list_id)
        if found is None or (
            found.owner_id != user_id
            and not self.members.exists(list_id=list_id, user_id=user_id, role="editor")
        ):
            raise self._absent(list_id, user_id)
        self._update(list_id, {}, None)
        return found

    def _changeable_item(self, item_id: str, user_id: str) -> ListItem:
        item = self.items.get(item_id)
        try:
            self._changeable(item.list_id, user_id)
        except NotFound:
            raise NotFound(f"no ListItem answers to {item_id!r}") from None
        # as it is now that its list is locked
        return self.items.get(item_id)

    def _change_member(self, list_id: str, member_id: str, **changes: Any) -> None:
        if not self.members.update_where(list_id=list_id, user_id=member_id, changes=changes):
            raise self._absent(list_id, member_id)
