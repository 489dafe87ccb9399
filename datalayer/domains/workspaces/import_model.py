"""What an import is: its session, and the rows that could not be taken.

Knows no statement.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = ["ImportFailure", "ImportSession", "ImportStatus", "source_digest"]

ImportStatus = Literal["running", "completed", "failed", "canceled"]


class ImportSession(Timestamps):
    """One import of one source; how far it came, and how many rows were taken and not.

    `total_rows` is what the source was said to hold, and at the end what it held.
    """

    id = IdField()
    started_by = peewee.TextField(null=True)
    kind = peewee.TextField()
    source_name = peewee.TextField(default="")
    source_digest = peewee.TextField()
    status = cast("peewee.Field[ImportStatus]", peewee.TextField(default="running"))
    total_rows = cast("peewee.Field[int | None]", peewee.BigIntegerField(null=True))
    succeeded_rows = peewee.BigIntegerField(default=0)
    failed_rows = peewee.BigIntegerField(default=0)
    error_message = peewee.TextField(null=True)
    finished_at = cast("peewee.Field[datetime | None]", UtcField(null=True))

    class Meta:
        """Where it is stored."""

        table_name = "admin_import_sessions"

    @property
    def processed_rows(self) -> int:
        """How many rows of the source are done, one way or the other."""
        return self.succeeded_rows + self.failed_rows


class ImportFailure(Model):
    """A row that could not be taken: its number in the source (from 1), why, and what it held."""

    id = IdField()
    session_id = peewee.TextField()
    row_number = peewee.BigIntegerField()
    error_code = peewee.TextField()
    message = peewee.TextField()
    row_data = cast("peewee.Field[Any]", JSONField(null=True))
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "admin_import_errors"


def source_digest(source: bytes | Path) -> str:
    """Give the SHA-256 by which a source is known again: of these bytes, or of a file's content."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
