"""The queue: jobs are put in, handed to workers under a lease, and taken back from workers that are gone."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

from datalayer.domains.jobs.model import Backoff, Job, JobOptions, NewJob
from datalayer.domains.jobs.responses import ResponseFiles
from datalayer.domains.jobs.statements import ADDED, CHANNEL, DONE_CHANNEL, Statements
from datalayer.engine.connection import Engine
from datalayer.engine.wakeup import notify
from datalayer.errors import CheckViolation, DataLayerError
from datalayer.repository.base import Repository
from datalayer.repository.fields import decode_utc, encode_json, encode_utc, new_id

__all__ = ["LEASE_S", "Queue", "worker_name"]

LEASE_S = 60.0
_CHUNK = 1_000
_DEFAULTS: dict[str, Any] = {
    "session_id": None,
    "priority": 0,
    "max_attempts": 3,
    "dedupe_key": None,
    "api_type": "unknown",
    "model_used": None,
    "max_output_tokens": None,
    "project_directory": None,
}


def worker_name() -> str:
    """Give a name for a worker that no other one has: host, process and thread."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


class Queue(Repository[Job]):
    """Enqueueing, claiming and rescuing."""

    model = Job

    def __init__(
        self,
        engine: Engine,
        model: type[Job] | None = None,
        *,
        data_dir: Path | None = None,
        response_limit: int = 64 * 1024,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(engine, model, data_dir=data_dir)
        self.response_limit = response_limit
        self.backoff = backoff or Backoff()
        self.files = ResponseFiles(data_dir)
        self._texts = Statements(engine.dialect, self.shape)
        blank = self.shape.with_defaults({name: None for name in self.shape.names if name == "id"})
        self._blank = {name: blank.get(name) for name in self.shape.names}
        self._blank["metadata"] = {}

    def stamp(self, data: dict[str, Any]) -> dict[str, Any]:
        """Set the times of a new row, where the caller did not; `run_at` is now, too."""
        super().stamp(data)
        if data.get("run_at") is None:
            data["run_at"] = data["created_at"]
        return data

    # -- putting in --------------------------------------------------------------------------------

    def enqueue(self, task_type: str, prompt: str = "", **options: Unpack[JobOptions]) -> Job:
        """Queue a job and give it; with a `dedupe_key`, give the active job of that key if there is one.

        Belongs to the transaction that is open: a job of a transaction that is undone was never there.
        Workers that wait are woken at the commit. Two that enqueue the same key at the same time get the
        same job.

            job = store.jobs.enqueue("summarise", prompt=text, priority=5, dedupe_key=f"summary:{document}")

        Raises:
            ForeignKeyViolation: there is no such session.
            UniqueViolation: the given `id` is taken.
        """
        now = self.engine.clock()
        row = NewJob(task_type=task_type, prompt=prompt, **options)
        values = self._values(row, now, encode_utc(now))
        key = row.get("dedupe_key")
        if key is None:
            self._write(self._texts.add, values)
            return self._adopt(row, values, now)
        while True:
            if self._write(self._texts.add_unless_active, values):
                return self._adopt(row, values, now)
            found = self._fetch_one(self._texts.active_of_key, (key,))
            if found is not None:
                return self.shape.build(found, self)
            # it became final between the two statements: the key is free now

    def enqueue_many(self, jobs: Iterable[NewJob]) -> list[str]:
        """Queue many jobs, all or none, and give their ids in the order given.

        One prepared statement on SQLite, COPY on PostgreSQL. A job whose `dedupe_key` is active, or came up
        earlier among these, is not queued: its place in the list holds the active one's id. Takes a
        generator of any length, reading a thousand at a time.

            ids = store.jobs.enqueue_many({"task_type": "embed", "prompt": text} for text in texts)

        Raises:
            ForeignKeyViolation, UniqueViolation: as `enqueue`; none was queued.
        """
        ids: list[str] = []
        iterator = iter(jobs)
        try:
            with self.engine.transaction():
                while chunk := list(islice(iterator, _CHUNK)):
                    ids.extend(self._add_chunk(chunk))
                if ids:
                    notify(self.engine, CHANNEL)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__
        return ids

    def _add_chunk(self, chunk: Sequence[NewJob]) -> list[str]:
        now = self.engine.clock()
        stamp = encode_utc(now)
        rows = [self._values(job, now, stamp) for job in chunk]
        plain = [row for row in rows if row[6] is None]
        keyed = [row for row in rows if row[6] is not None]
        if plain:
            self.engine.insert_rows(self.shape.table_name, ADDED, plain)
        if not keyed:
            return [row[0] for row in rows]
        active: dict[str, str] = {}
        while missing := [row for row in keyed if row[6] not in active]:
            self.engine.execute_many(self._texts.add_many_unless_active, missing)
            wanted = list({row[6] for row in missing})
            found = self.find(Job.status.not_in(("completed", "failed", "canceled")), dedupe_key=wanted)
            active.update((str(job.dedupe_key), job.id) for job in found)
        return [row[0] if row[6] is None else active[row[6]] for row in rows]

    def _values(self, job: NewJob, now: datetime, stamp: str) -> tuple[Any, ...]:
        """Give a new job's values in the order of ADDED, as the driver takes them."""
        unknown = job.keys() - _KNOWN
        if unknown:
            raise DataLayerError(
                f"a job has no option {', '.join(sorted(unknown))}",
                hint=f"it has {', '.join(sorted(_KNOWN))}",
            )
        get = {**_DEFAULTS, **job}.get
        metadata: Any = get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise CheckViolation("a job's metadata must be a mapping", hint="give a dict")
        run_at = get("run_at")
        return (
            get("id") or new_id(),
            get("session_id"),
            "queued",
            get("priority"),
            stamp if run_at is None else encode_utc(run_at),
            get("max_attempts"),
            get("dedupe_key"),
            get("task_type"),
            get("api_type"),
            get("model_used"),
            get("max_output_tokens"),
            get("project_directory"),
            encode_json(metadata) if metadata else "{}",
            get("prompt", ""),
            stamp,
            stamp,
        )

    def _adopt(self, row: NewJob, values: tuple[Any, ...], now: datetime) -> Job:
        """Give the model of a row that was just inserted, without reading it back."""
        data = dict(self._blank)
        data.update(zip(ADDED, values))
        data["run_at"] = row.get("run_at") or now
        data["metadata"] = dict(row.get("metadata") or {})
        data["created_at"] = data["updated_at"] = now
        return self.shape.adopt(None, data, self)

    # -- handing out -------------------------------------------------------------------------------

    def claim(
        self, worker: str | None = None, *, lease_s: float = LEASE_S, task_types: Sequence[str] = ()
    ) -> Job | None:
        """Hand the next due job to a worker, or None where none is due; see `claim_many`.

        job = store.jobs.claim("worker-1", lease_s=30)
        """
        found = self.claim_many(1, worker, lease_s=lease_s, task_types=task_types)
        return found[0] if found else None

    def claim_many(
        self,
        count: int,
        worker: str | None = None,
        *,
        lease_s: float = LEASE_S,
        task_types: Sequence[str] = (),
    ) -> list[Job]:
        """Hand up to `count` due jobs to a worker: by priority (highest first), then `run_at`, then `id`.

        One statement: status becomes acknowledged_by_worker, `attempt` rises by one, the lease lasts
        `lease_s` seconds from now (the store's clock). No job is claimed twice while its lease holds; one
        whose lease is over is handed out again only after `rescue_expired` took it back. Only jobs of
        `task_types`, if given.

        Rows that another claim holds at this instant are skipped on PostgreSQL, so fewer than are due may
        come back while others claim. Cost: a seek for each priority that is queued (and each type), and
        what is claimed.

        Raises:
            DatabaseBusy: SQLite's write lock did not come in time.
        """
        if count < 1:
            return []
        now = self.engine.clock()
        stamp = encode_utc(now)
        kinds = tuple(dict.fromkeys(task_types))
        sql = self._texts.claim(len(kinds), count)
        expires = encode_utc(now + timedelta(seconds=lease_s))
        params = (*kinds, stamp, worker or worker_name(), expires, stamp)
        try:
            rows = self.engine.write_all(sql, params)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__
        jobs = self.shape.build_many(rows, self)
        if len(jobs) > 1:
            # RETURNING gives rows in no order
            jobs.sort(key=lambda job: (-job.priority, job.run_at, job.id))
        return jobs

    def next_due(self, task_types: Sequence[str] = ()) -> datetime | None:
        """Give the time at which the first queued job is due, maybe past; None where none is queued."""
        kinds = tuple(dict.fromkeys(task_types))
        row = self._fetch_one(self._texts.next_due(len(kinds)), kinds)
        return None if row is None or row[0] is None else decode_utc(row[0])

    # -- taking back -------------------------------------------------------------------------------

    def rescue_expired(self, *, batch: int = 100) -> int:
        """Take jobs back from workers whose lease is over, and give their number.

        They are queued again, without what they had written of a response, or failed where no attempt is
        left. Batches of `batch`, each a transaction; any number of processes may do so at once. Costs one
        read where no lease is over. Workers call it by themselves.
        """
        count = 0
        while self._fetch_one(self._texts.any_expired, (encode_utc(self.engine.clock()),)):
            rescued = self.engine.run_transaction(self._rescue_batch, batch)
            count += rescued
            if rescued < batch:
                break
        return count

    def _rescue_batch(self, batch: int) -> int:
        now = encode_utc(self.engine.clock())
        rows = self.engine.fetch_all(self._texts.expired, (now, batch))
        again: list[tuple[Any, ...]] = []
        over: list[tuple[Any, ...]] = []
        for key, attempt, allowed, owner, path in rows:
            message = (
                f"worker {owner} was not heard of before its lease ended (attempt {attempt} of {allowed})"
            )
            if attempt < allowed:
                again.append((message, now, key, attempt, owner))
                if path is not None:
                    self.engine.on_commit(partial(self.files.remove, path))
            else:
                over.append((now, message, now, key, attempt, owner))
        if again:
            self.engine.execute_many(self._texts.take_back, again)
            notify(self.engine, CHANNEL)
        if over:
            self.engine.execute_many(self._texts.give_up, over)
            notify(self.engine, DONE_CHANNEL)
        return len(rows)


_KNOWN = {*_DEFAULTS, "id", "run_at", "metadata", "task_type", "prompt"}
