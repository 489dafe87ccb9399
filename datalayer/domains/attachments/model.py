"""An attachment, what attachments hold, and what was cleared away."""

from __future__ import annotations

from dataclasses import dataclass

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = ["Attachment", "AttachmentContent", "Collected"]


class AttachmentContent(Model):
    """What one or more attachments hold: the file of this name in the folder of large values.

    `reference_count` is kept by the database.
    """

    sha256 = peewee.TextField(primary_key=True)
    size_bytes = peewee.BigIntegerField()
    reference_count = peewee.IntegerField(default=0)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "attachment_contents"


class Attachment(Timestamps):
    """A file of a user, attached to the thing `owner_type` `owner_id` or to nothing yet."""

    id = IdField()
    user_id = peewee.TextField()
    owner_type = peewee.TextField(null=True)
    owner_id = peewee.TextField(null=True)
    name = peewee.TextField()
    media_type = peewee.TextField(default="application/octet-stream")
    sha256 = peewee.TextField()
    metadata = JSONField(default=dict)

    class Meta:
        """Where it is stored."""

        table_name = "attachments"


@dataclass(frozen=True, slots=True)
class Collected:
    """What `collect` cleared away: contents that nothing referred to, and files that nothing knew of."""

    contents: int
    orphans: int
