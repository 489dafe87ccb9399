"""A workspace, its members and rooms."""

from __future__ import annotations

import peewee

from datalayer.repository.fields import IdField
from datalayer.repository.mixins import Timestamps

__all__ = ["Workspace"]


class Workspace(Timestamps):
    """What people work in together."""

    id = IdField()
    name = peewee.TextField()
    description = peewee.TextField(default="")
    created_by = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "workspaces"
