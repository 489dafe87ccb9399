"""A thread, what was said in it, and the files that came of it."""

from __future__ import annotations

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Model, Timestamps

__all__ = ["ROLES", "TEMPLATES", "BuilderFile", "BuilderMessage", "BuilderThread"]

TEMPLATES = ("react", "nextjs", "vite-react", "vanilla", "static")
ROLES = ("user", "assistant", "system")


class BuilderThread(Timestamps):
    """One thing that a user builds.

    `updated_at` is its recency: raised by each message, a rule of the database, and by what is done to its
    files here.
    """

    id = IdField()
    user_id = peewee.TextField()
    title = peewee.TextField()
    template = peewee.TextField(default="react")

    class Meta:
        """Where it is stored."""

        table_name = "builder_threads"


class BuilderMessage(Model):
    """What was said in a thread; `mentions` is a list of anything that JSON can hold."""

    id = IdField()
    thread_id = peewee.TextField()
    role = peewee.TextField()
    content = peewee.TextField()
    mentions = JSONField(default=list)
    created_at = UtcField()

    class Meta:
        """Where it is stored."""

        table_name = "builder_messages"


class BuilderFile(Timestamps):
    """A file of a thread as it is now; a path is there once in a thread."""

    id = IdField()
    thread_id = peewee.TextField()
    file_path = peewee.TextField()
    file_content = peewee.TextField(default="")

    class Meta:
        """Where it is stored."""

        table_name = "builder_files"
