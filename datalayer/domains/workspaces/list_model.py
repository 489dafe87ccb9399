"""What a shared list is: its row, its items, and who belongs to it.

Knows no statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import peewee

from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Timestamps

__all__ = ["DeliveryPreference", "ListDigest", "ListItem", "ListMember", "ListRole", "SharedList"]

DeliveryPreference = Literal["instant", "daily_digest", "none"]
ListRole = Literal["editor", "viewer"]


class SharedList(Timestamps):
    """A list of one owner, shared with its members; `workspace_id` where it belongs to a workspace."""

    id = IdField()
    workspace_id = peewee.TextField(null=True)
    owner_id = peewee.TextField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    archived = peewee.BooleanField(default=False)

    class Meta:
        """Where it is stored."""

        table_name = "lists"


class ListItem(Timestamps):
    """One entry of a list; entries come by `position`, then id."""

    id = IdField()
    list_id = peewee.TextField()
    added_by = peewee.TextField(null=True)
    content = peewee.TextField()
    position = peewee.IntegerField(default=0)
    completed = peewee.BooleanField(default=False)
    completed_at = cast("peewee.Field[datetime | None]", UtcField(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "list_items"


class ListMember(Timestamps):
    """Somebody who sees a list, may change its items (`editor`) or not (`viewer`), and how they are told."""

    id = IdField()
    list_id = peewee.TextField()
    user_id = peewee.TextField()
    role = cast("peewee.Field[ListRole]", peewee.TextField(default="editor"))
    delivery_preference = cast("peewee.Field[DeliveryPreference]", peewee.TextField(default="instant"))

    class Meta:
        """Where it is stored."""

        table_name = "list_members"


@dataclass(frozen=True, slots=True)
class ListDigest:
    """What came to one list within the time of a digest, in the order in which it came."""

    shared_list: SharedList
    items: tuple[ListItem, ...]
