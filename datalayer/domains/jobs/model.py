"""What a job is: its row, its statuses and the moves among them, and what is said about many jobs.

Knows no statement and no file.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Required, TypedDict, cast

import peewee

from datalayer.repository.fields import IdField, JSONField, UtcField
from datalayer.repository.mixins import Timestamps

if TYPE_CHECKING:
    from datalayer.domains.jobs.responses import Stream

__all__ = [
    "ACTIVE",
    "FINAL",
    "LEASED",
    "MOVES",
    "STATUSES",
    "Backoff",
    "FileProblem",
    "Job",
    "JobOptions",
    "JobStats",
    "NewJob",
]

LEASED = ("acknowledged_by_worker", "preparing", "running")
ACTIVE = ("idle", "created", "queued", *LEASED)
FINAL = ("completed", "failed", "canceled")
STATUSES = (*ACTIVE, *FINAL)

# what compare_and_set_status may do: everything that needs no lease
MOVES: Mapping[str, tuple[str, ...]] = {
    "idle": ("created", "queued", "failed", "canceled"),
    "created": ("idle", "queued", "failed", "canceled"),
    "queued": ("idle", "created", "failed", "canceled"),
}


class Job(Timestamps):
    """One piece of work for a worker, with what came of it.

    `prompt` and `metadata` are the input; `read_response` gives the output wherever it is kept. `attempt`
    counts the claims so far. The lease (`lease_owner`, `lease_expires_at`) is there while a worker has the
    job.
    """

    id = IdField()
    session_id = peewee.TextField(null=True)
    status = peewee.TextField(default="idle")
    priority = peewee.IntegerField(default=0)
    run_at = UtcField()
    attempt = peewee.IntegerField(default=0)
    max_attempts = peewee.IntegerField(default=1)
    lease_owner = peewee.TextField(null=True)
    lease_expires_at = cast("peewee.Field[datetime | None]", UtcField(null=True))
    dedupe_key = peewee.TextField(null=True)
    task_type = peewee.TextField(default="unknown")
    api_type = peewee.TextField(default="unknown")
    status_message = peewee.TextField(null=True)
    error_message = peewee.TextField(null=True)
    model_used = peewee.TextField(null=True)
    max_output_tokens = peewee.IntegerField(null=True)
    tokens_sent = peewee.IntegerField(default=0)
    tokens_received = peewee.IntegerField(default=0)
    chars_received = peewee.IntegerField(default=0)
    project_directory = peewee.TextField(null=True)
    cleared = peewee.BooleanField(default=False)
    start_time = cast("peewee.Field[datetime | None]", UtcField(null=True))
    end_time = cast("peewee.Field[datetime | None]", UtcField(null=True))
    output_file_path = peewee.TextField(null=True)
    metadata = JSONField(default=dict)
    prompt = peewee.TextField(default="")
    response = peewee.TextField(null=True)

    # the response file that this very object writes to, if any; no column
    stream: Stream | None = None

    class Meta:
        """Peewee's settings."""

        table_name = "background_jobs"

    @property
    def is_final(self) -> bool:
        """Whether the job is completed, failed or canceled, which it stays for ever."""
        return self.status in FINAL

    @property
    def is_leased(self) -> bool:
        """Whether a worker had the job when this row was read."""
        return self.lease_owner is not None


class JobOptions(TypedDict, total=False):
    """What can be said of a new job besides its type and prompt; each has a default.

    `priority` 0 (higher first), `run_at` now, `max_attempts` 3, `metadata` {}. While a job with the same
    `dedupe_key` is not final, it stands for the new one. `id` is made by the library unless given.
    """

    id: str
    session_id: str | None
    priority: int
    run_at: datetime
    max_attempts: int
    dedupe_key: str | None
    metadata: Mapping[str, Any]
    api_type: str
    model_used: str | None
    max_output_tokens: int | None
    project_directory: str | None


class NewJob(JobOptions, total=False):
    """A job to be enqueued among many."""

    task_type: Required[str]
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a failed job waits before its next attempt.

    `base_s * factor ** (attempt - 1)`, at most `max_s`, then moved at random by up to `jitter` of itself in
    both directions, so that jobs that failed together do not come back together.
    """

    base_s: float = 5.0
    factor: float = 2.0
    max_s: float = 3_600.0
    jitter: float = 0.2

    def delay(self, attempt: int) -> timedelta:
        """Give the wait after this attempt (1, 2, ...) failed."""
        plain = min(self.max_s, self.base_s * self.factor ** min(attempt - 1, 64))
        return timedelta(seconds=plain * random.uniform(1 - self.jitter, 1 + self.jitter))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStats:
    """The queue at one moment, for people.

    `due` jobs could be claimed now, `scheduled` ones later; `oldest_due_s` is how long the first of the due
    ones has been waiting. `expired_leases` are jobs whose worker is gone and which `rescue_expired` will
    return.
    """

    by_status: Mapping[str, int]
    due: int
    scheduled: int
    oldest_due_s: float | None
    expired_leases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    """A file that no job refers to (`orphan`), or one that a job needs (`missing`, or too `short`).

    `path` is relative to the data directory, as in the job's row.
    """

    kind: str
    path: str
    job_id: str
    size_bytes: int = 0
