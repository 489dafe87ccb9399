"""Jobs: the whole repository. Here is what apps and operators do: cancel, retry, look, wait, clean up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from datalayer.domains.jobs.leases import Leases
from datalayer.domains.jobs.model import FINAL, MOVES, STATUSES, FileProblem, Job, JobStats
from datalayer.domains.jobs.statements import CHANNEL, DONE_CHANNEL
from datalayer.engine.wakeup import Listener, notify
from datalayer.errors import DataLayerError, InvalidTransition
from datalayer.repository.fields import encode_utc
from datalayer.repository.page import Page

__all__ = ["Jobs"]

# a listener that comes in the middle of a transaction may miss its end
_LOOK_AGAIN_S = 1.0
_CHUNK = 500


class Jobs(Leases):
    """The jobs of one store: `store.jobs`.

    idle, created -> queued -> acknowledged_by_worker -> preparing -> running -> completed | failed |
    canceled. The last three are final: nothing leaves them. Times are the store's clock (`Options.clock`).
    """

    # -- moving ------------------------------------------------------------------------------------

    def compare_and_set_status(
        self, key: str, expected: str, to: str, *, message: str | None = None, run_at: datetime | None = None
    ) -> Job:
        """Move a job that no worker holds to another status, if it has the expected one, and give it.

            from       to
            idle       created, queued, failed, canceled
            created    idle, queued, failed, canceled
            queued     idle, created, failed, canceled

        Into and among acknowledged_by_worker, preparing, running and completed leads only the lease
        (`claim`, `prepare`, `start`, `complete`, `fail`), out of them also `cancel` and `rescue_expired`;
        nothing leaves a final status (`retry` makes a new job). `message` becomes the status message, of a
        failed job the error. `run_at` is for a move to queued.

        Raises:
            InvalidTransition: no such move, or the job has another status by now; nothing was written.
            NotFound: there is no such job.
        """
        if to not in MOVES.get(expected, ()):
            raise InvalidTransition(
                f"a job cannot go from {expected} to {to} without its lease",
                current=expected,
                wanted=to,
                hint=_hint_for(expected, to),
            )
        now = self.engine.clock()
        changes: dict[str, Any] = {"status": to}
        if message is not None:
            changes["error_message" if to == "failed" else "status_message"] = message
        if to in FINAL:
            changes["end_time"] = now
        if run_at is not None and to == "queued":
            changes["run_at"] = run_at
        if not self.update_where(id=key, status=expected, changes=changes):
            current = self._status(key)
            raise InvalidTransition(
                f"job {key!r} is {current}, not {expected}", current=current, wanted=to, hint="read it again"
            )
        if to == "queued" or to in FINAL:
            notify(self.engine, CHANNEL if to == "queued" else DONE_CHANNEL)
        return self.get(key)

    def cancel(self, key: str, message: str | None = None) -> None:
        """End a job that is not final; if a worker has it, the worker's next call raises InvalidTransition.

        What was appended to its response stays readable.

        Raises:
            InvalidTransition: it is completed, failed or canceled already.
            NotFound: there is no such job.
        """
        now = encode_utc(self.engine.clock())
        if not self._write(self._texts.cancel, (now, now, message, key)):
            current = self._status(key)
            raise InvalidTransition(f"job {key!r} is {current} already", current=current, wanted="canceled")

    def cancel_session(self, session_id: str, message: str | None = None) -> int:
        """Cancel all jobs of a session that are not final, in one statement; give their number."""
        now = encode_utc(self.engine.clock())
        return self._write(self._texts.cancel_session, (now, now, message, session_id))

    def retry(self, key: str) -> Job:
        """Queue a failed or canceled job anew: as a new job, whose metadata names its origin as `retry_of`.

        The old job stays as it is. A dedupe key is kept, so its active job is given back if there is one.

        Raises:
            InvalidTransition: the job is not failed or canceled.
            NotFound: there is no such job.
        """
        old = self.get(key)
        if old.status not in ("failed", "canceled"):
            raise InvalidTransition(
                f"job {key!r} is {old.status}",
                current=old.status,
                wanted="queued",
                why="only a failed or canceled job is tried again",
            )
        metadata: dict[str, Any] = old.metadata if _is_mapping(old.metadata) else {"metadata": old.metadata}
        return self.enqueue(
            old.task_type,
            old.prompt,
            session_id=old.session_id,
            priority=old.priority,
            max_attempts=old.max_attempts,
            dedupe_key=old.dedupe_key,
            metadata={**metadata, "retry_of": old.id},
            api_type=old.api_type,
            model_used=old.model_used,
            max_output_tokens=old.max_output_tokens,
            project_directory=old.project_directory,
        )

    # -- looking -----------------------------------------------------------------------------------

    def list_visible(self, limit: int = 100) -> list[Job]:
        """Give the jobs that were not cleared: active ones first, in each group the most recently made first.

        Cost grows with `limit` and with what was cleared lately.
        """
        found = self.engine.fetch_all(self._texts.visible, [limit] * len(STATUSES))
        jobs = self.shape.build_many(found, self)
        jobs.sort(key=lambda job: job.id, reverse=True)
        jobs.sort(key=lambda job: job.is_final)
        return jobs[:limit]

    def newest(self, *, size: int = 50, after: str | None = None, **equals: Any) -> Page[Job]:
        """Give a page of the jobs of a `session_id`, `task_type`, `status` or whatever field, newest first.

        page = store.jobs.newest(session_id=session.id, size=20)
        page = store.jobs.newest(session_id=session.id, size=20, after=page.next)
        """
        return self.page(order_by="-id", size=size, after=after, **equals)

    def counts_by_status(self) -> dict[str, int]:
        """Give the number of jobs of every status, 0 where there is none; reads one index whole."""
        found = dict(self.engine.fetch_all(self._texts.counts))
        return {status: int(found.get(status, 0)) for status in STATUSES}

    def stats(self) -> JobStats:
        """Give the queue's figures; reads the index of queued jobs whole."""
        now = self.engine.clock()
        counts = self.counts_by_status()
        due = self.count(Job.run_at <= now, status="queued")
        first = self.next_due()
        waiting = (now - first).total_seconds() if first is not None and due else None
        expired = self._fetch_one(self._texts.count_expired, (encode_utc(now),))
        return JobStats(
            by_status=counts,
            due=due,
            scheduled=max(0, counts["queued"] - due),
            oldest_due_s=waiting,
            expired_leases=int(expired[0]) if expired else 0,
        )

    def wait(self, key: str, *, timeout_s: float | None = None) -> Job:
        """Wait until a job is final and give it as it is then; when the time is over, as it is then.

        Sleeps until something is committed, and looks at the one row then. Ask `job.is_final` after a
        timeout.

        Raises:
            NotFound: there is no such job, or it was deleted meanwhile.
            DataLayerError: a transaction is open here, in which nobody else's work would be seen.
        """
        if self.engine.in_transaction:
            raise DataLayerError("wait() inside a transaction would never see the end", hint="wait outside")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with Listener(self.engine, DONE_CHANNEL) as listener:
            while self._status(key) not in FINAL:
                left = _LOOK_AGAIN_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    break
                listener.wait(min(left, _LOOK_AGAIN_S))
        return self.get(key)

    def _status(self, key: str) -> str:
        row = self._fetch_one(self._texts.status, (key,))
        if row is None:
            raise self._not_found(key)
        return str(row[0])

    # -- cleaning up -------------------------------------------------------------------------------

    def clear(self, key: str) -> None:
        """Take a final job out of view (`list_visible`); it stays in the database.

        Raises:
            InvalidTransition: it is still active.
            NotFound: there is no such job.
        """
        now = encode_utc(self.engine.clock())
        if not self._write(self._texts.clear, (True, now, key)):
            current = self._status(key)
            raise InvalidTransition(
                f"job {key!r} is {current}",
                current=current,
                why="only what has ended can be cleared from view",
                hint="cancel it first",
            )

    def clear_session(self, session_id: str) -> int:
        """Take all final jobs of a session out of view; give their number."""
        now = encode_utc(self.engine.clock())
        return self._write(self._texts.clear_session, (True, now, session_id))

    def prune(self, older_than_days: float = 30, *, batch: int = 500) -> int:
        """Delete jobs that ended longer ago than that, with their files, and give their number.

        Batches of `batch`, each committed by itself (all together inside a transaction), oldest first; any
        number of processes may do so at once. Files go after the commit; one that a crash leaves is an
        orphan for check-db.
        """
        before = encode_utc(self.engine.clock() - timedelta(days=older_than_days))
        count = 0
        while True:
            found = self.engine.write_all(self._texts.prune, (before, batch))
            for (path,) in found:
                if path is not None:
                    self.engine.on_commit(partial(self.files.remove, path))
            count += len(found)
            if len(found) < batch:
                return count

    # -- files -------------------------------------------------------------------------------------

    def missing_files(self) -> Iterator[FileProblem]:
        """Give the responses whose files are gone or too short, by the jobs' ids; reads the table once."""
        last = ""
        while rows := self.engine.fetch_all(self._texts.with_files, (last, _CHUNK)):
            for key, path, chars in rows:
                size = self.files.size_bytes(path)
                # a character is one byte at least
                if size is None or size < chars:
                    kind = "missing" if size is None else "short"
                    yield FileProblem(kind=kind, path=path, job_id=key, size_bytes=size or 0)
            last = rows[-1][0]

    def orphan_files(self, *, older_than_s: float = 3_600) -> Iterator[FileProblem]:
        """Give the files that no job refers to, as a crash or a deleted session leaves them.

        Only files that were not touched for `older_than_s` seconds (of the file system's clock), since a
        new file is there before its row is committed.
        """
        youngest = time.time() - older_than_s
        if self.data_dir is None:
            return
        old = (file for file in self.files.scan() if file.modified_at <= youngest)
        for chunk in _chunks(old, _CHUNK):
            ids = list({file.job_id for file in chunk})
            used = {job.output_file_path for job in self.find(id=ids)}
            for file in chunk:
                if file.path not in used:
                    yield FileProblem(
                        kind="orphan", path=file.path, job_id=file.job_id, size_bytes=file.size_bytes
                    )

    def check_files(self, *, older_than_s: float = 3_600) -> list[FileProblem]:
        """Give all that is wrong between rows and response files; writes nothing."""
        return [*self.missing_files(), *self.orphan_files(older_than_s=older_than_s)]

    def remove_orphan_files(self, *, older_than_s: float = 3_600) -> int:
        """Remove what `orphan_files` gives; give their number."""
        count = 0
        for problem in self.orphan_files(older_than_s=older_than_s):
            self.files.remove_half_or_whole(problem.path)
            count += 1
        return count


def _is_mapping(value: Any) -> bool:
    """Say whether metadata are an object; a writer of raw SQL may have stored any JSON."""
    return isinstance(value, dict)


def _hint_for(expected: str, to: str) -> str:
    if expected in FINAL:
        return "a final status stays; retry() makes a new job of a failed or canceled one"
    if expected not in STATUSES or to not in STATUSES:
        return f"a status is one of {', '.join(STATUSES)}"
    if expected in MOVES:
        return f"from {expected} a job can go to {', '.join(MOVES[expected])}; a claim hands it to a worker"
    return "the worker that holds the job moves it; cancel() ends it"


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
