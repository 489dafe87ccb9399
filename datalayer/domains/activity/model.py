"""What was done, and by whom; and what is kept of it for good. Knows no statement."""

from __future__ import annotations

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model

__all__ = ["ActivityEntry", "ArchivedActivity"]


class ActivityEntry(Model):
    """Something that was done, to an entity perhaps.

    The database holds that an `anonymized` entry says nothing of who did it, to what, and from where, and
    stays so; it makes one so that loses its user.
    """

    id = IdField()
    user_id = peewee.TextField(null=True)
    action = peewee.TextField()
    entity_type = peewee.TextField(null=True)
    entity_id = peewee.TextField(null=True)
    metadata = JSONField(default=dict)
    ip_address = peewee.TextField(null=True)
    user_agent = peewee.TextField(null=True)
    anonymized = peewee.BooleanField(default=False)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "activity_log"


class ArchivedActivity(Model):
    """What is kept of an old entry: its id, what was done to which kind of entity, and when."""

    id = IdField()
    action = peewee.TextField()
    entity_type = peewee.TextField(null=True)
    created_at = UtcField()
    archived_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "activity_log_archive"
