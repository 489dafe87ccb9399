"""A session, the files taken in and left out, and a session with both at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import peewee

from datalayer.repository.fields import IdField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = ["ExcludedFile", "IncludedFile", "Session", "SessionFiles"]


class Session(Timestamps):
    """What a user works on in a project.

    `project_hash` follows `project_directory`, which is kept as it was given.
    """

    id = IdField()
    name = peewee.TextField()
    project_directory = peewee.TextField()
    project_hash = peewee.TextField()
    task_description = peewee.TextField(default="")
    search_term = peewee.TextField(default="")
    title_regex = peewee.TextField(default="")
    content_regex = peewee.TextField(default="")
    negative_title_regex = peewee.TextField(default="")
    negative_content_regex = peewee.TextField(default="")
    is_regex_active = peewee.BooleanField(default=False)
    codebase_structure = peewee.TextField(default="")
    search_selected_files_only = peewee.BooleanField(default=False)
    model_used = peewee.TextField(null=True)

    class Meta:
        """Where it is stored."""

        table_name = "sessions"


class IncludedFile(Model):
    """A file taken into a session; a path is never excluded at the same time, a rule of the database."""

    id = peewee.BigAutoField()
    session_id = peewee.TextField()
    path = peewee.TextField()
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "included_files"


class ExcludedFile(Model):
    """A file left out of a session."""

    id = peewee.BigAutoField()
    session_id = peewee.TextField()
    path = peewee.TextField()
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "excluded_files"


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """A session with its files, whose paths are in the order of their code points."""

    session: Session
    included_files: tuple[str, ...] = ()
    excluded_files: tuple[str, ...] = ()
