"""What a worker does with a job it holds: heartbeat, progress, response, end. Every call is fenced.

The fence: a call changes the job only where id, attempt and lease owner are still those of the worker's
`Job`. A lease that is over but was not rescued yet is still the worker's: until `rescue_expired` takes the
job back in one transaction nobody else can have it, and work that is done is not thrown away for being
late. Afterwards every call of the old worker raises InvalidTransition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from datalayer.domains.jobs.model import FINAL, Job
from datalayer.domains.jobs.queue import LEASE_S, Queue
from datalayer.domains.jobs.responses import Stream
from datalayer.errors import (
    CheckViolation,
    DatabaseUnavailable,
    DataLayerError,
    InvalidTransition,
    NotFound,
)
from datalayer.repository.fields import encode_json, encode_utc

__all__ = ["Leases"]

_LONGEST_MESSAGE = 8_192


class Leases(Queue):
    """The fenced calls; the `Job` given is up to date afterwards. One thread at a time may use one."""

    # -- progress ----------------------------------------------------------------------------------

    def heartbeat(self, job: Job, *, lease_s: float = LEASE_S) -> None:
        """Make a lease last `lease_s` seconds from now.

        Raises:
            InvalidTransition: the job was canceled, ended or taken back; stop working on it.
            NotFound: it was deleted.
        """
        now = self.engine.clock()
        expires = now + timedelta(seconds=lease_s)
        stamp = encode_utc(now)
        self._fenced(job, self._texts.heartbeat, (encode_utc(expires), stamp), "heartbeat")
        _learn(job, lease_expires_at=expires, updated_at=now)

    def is_held(self, job: Job) -> bool:
        """Say whether a worker still has this job: not canceled, ended, taken back or deleted. One read."""
        return self._fetch_one(self._texts.held, _fence(job)) is not None

    def prepare(self, job: Job, message: str | None = None) -> None:
        """Say that a claimed job is being prepared: acknowledged_by_worker -> preparing.

        Raises:
            InvalidTransition: as `heartbeat`, or the job runs already.
        """
        now = self.engine.clock()
        message = _told(message)
        self._fenced(job, self._texts.prepare, (message, encode_utc(now)), "preparing")
        _learn(job, status="preparing", status_message=message, updated_at=now)

    def start(self, job: Job, message: str | None = None) -> None:
        """Say that a claimed or prepared job runs now; `start_time` is kept from its first attempt.

        A running job may say so again, with another message.

        Raises:
            InvalidTransition: as `heartbeat`.
        """
        now = self.engine.clock()
        message = _told(message)
        stamp = encode_utc(now)
        self._fenced(job, self._texts.start, (stamp, message, stamp), "running")
        _learn(
            job,
            status="running",
            status_message=message,
            start_time=job.start_time or now,
            updated_at=now,
        )

    def record_usage(
        self, job: Job, *, tokens_sent: int = 0, tokens_received: int = 0, model_used: str | None = None
    ) -> None:
        """Add what a call to a model cost to the job's counts.

        Raises:
            InvalidTransition: as `heartbeat`.
            CheckViolation: a count would become negative.
        """
        now = self.engine.clock()
        values = (tokens_sent, tokens_received, model_used, encode_utc(now))
        self._fenced(job, self._texts.record_usage, values, "counting tokens")
        _learn(
            job,
            tokens_sent=job.tokens_sent + tokens_sent,
            tokens_received=job.tokens_received + tokens_received,
            model_used=model_used or job.model_used,
            updated_at=now,
        )

    # -- the end -----------------------------------------------------------------------------------

    def complete(self, job: Job, response: Any = None) -> None:
        """End a held job well, with a response: a text, or a value that is kept as its JSON text.

        Without one, what was appended is the response. Up to `response_limit` bytes it is kept in the row;
        a longer one is written to a file first, and the file of a call that fails does not stay. Wakes who
        waits for the job.

        Raises:
            InvalidTransition: as `heartbeat`; the response was not kept.
            CheckViolation: the response holds what PostgreSQL cannot store (NUL, half a surrogate pair).
        """
        if response is None:
            self._finish(job, "completed", None)
            return
        text = response if isinstance(response, str) else encode_json(response)
        data = _bytes_of(text)
        if len(data) <= self.response_limit:
            self._finish(job, "completed", None, (text, None, len(text)))
            return
        path = self.files.write(job.id, job.attempt, data)
        self._keeping_file(path, partial(self._finish, job, "completed", None, (None, path, len(text))))

    def fail(self, job: Job, error: BaseException | str, *, retry: bool | float | timedelta = True) -> None:
        """End a held job's attempt with an error; `job.status` says afterwards whether it comes again.

        `retry=True` queues it for later, by the repository's `backoff`; a number of seconds or a timedelta
        is the delay instead; False, or no attempt left, makes it failed for good. A retry begins without
        response; a job that failed for good keeps what was appended.

        Raises:
            InvalidTransition: as `heartbeat`.
        """
        message = _told(error if isinstance(error, str) else f"{type(error).__name__}: {error}")
        if retry is False or job.attempt >= job.max_attempts:
            self._finish(job, "failed", message)
            return
        delay = self.backoff.delay(job.attempt) if retry is True else retry
        now = self.engine.clock()
        run_at = now + (delay if isinstance(delay, timedelta) else timedelta(seconds=delay))
        values = (encode_utc(run_at), message, encode_utc(now))
        self._fenced(job, self._texts.retry_later, values, "queued")
        self._drop_file(job)
        _learn(
            job,
            status="queued",
            status_message=None,
            run_at=run_at,
            error_message=message,
            chars_received=0,
            response=None,
            output_file_path=None,
            updated_at=now,
            **_RELEASED,
        )

    def _finish(
        self,
        job: Job,
        status: str,
        message: str | None,
        output: tuple[str | None, str | None, int] | None = None,
    ) -> None:
        """Make a held job final; `output` (response, path, characters) replaces what was appended."""
        now = self.engine.clock()
        stamp = encode_utc(now)
        values: tuple[Any, ...] = (status, stamp, message, stamp)
        if output is None:
            self._fenced(job, self._texts.finish, values, status)
        else:
            self._fenced(job, self._texts.finish_with, (*values, *output), status)
            self._drop_file(job)
            _learn(job, response=output[0], output_file_path=output[1], chars_received=output[2])
        _learn(job, status=status, end_time=now, error_message=message, updated_at=now, **_RELEASED)

    # -- the response ------------------------------------------------------------------------------

    def append(self, job: Job, text: str) -> None:
        """Put text behind the response of a running job; it is safe when this returns.

        Past `response_limit` bytes the response moves into a file, which is synced to the disk before the
        row counts the text (`chars_received`). A call that failed may be made again as it is: the row knows
        the place where the text belongs, so it is there once.

        Raises:
            InvalidTransition: as `heartbeat`, or the job is not running, or somebody else appended.
            CheckViolation: the text holds what PostgreSQL cannot store (NUL, half a surrogate pair).
        """
        data = _bytes_of(text)
        if not text:
            return
        if job.output_file_path is not None:
            self._append_to_file(job, text, data)
            return
        whole = (job.response or "") + text
        # a character is 4 bytes at most: only near the limit they are counted
        if len(whole) * 4 > self.response_limit and len(whole.encode()) > self.response_limit:
            self._begin_file(job, whole, text)
            return
        now = self.engine.clock()
        chars = job.chars_received + len(text)
        if self._appended(job, text, self._texts.append, (text, chars, encode_utc(now))):
            _learn(job, response=whole, chars_received=chars, updated_at=now)

    def read_response(self, job: Job | str) -> str | None:
        """Give a job's response as it is in the database now, wherever it is kept; None where there is none.

        While the job runs, this is what was appended so far.

        Raises:
            NotFound: there is no such job, or its file is gone.
            DatabaseCorrupt: the file was cut short.
        """
        key = job.id if isinstance(job, Job) else job
        tried: str | None = None
        while True:
            row = self._fetch_one(self._texts.response, (key,))
            if row is None:
                raise self._not_found(key)
            text, path, chars = row
            if path is None:
                return text
            try:
                return self.files.read(path, chars)
            except NotFound:
                # it may have moved on between the row and the file
                if path == tried:
                    raise
                tried = path

    def _append_to_file(self, job: Job, text: str, data: bytes) -> None:
        stream = job.stream
        if stream is None or stream.path != job.output_file_path:
            self._continue_in_new_file(job, text)
            return
        # until the row knows of it, what is in the file is not what was acknowledged
        job.stream = None
        try:
            self.files.append(stream, data)
        except FileNotFoundError:
            if self.is_held(job):
                raise NotFound(
                    f"the response file {stream.path} is gone",
                    hint="fail the job: its next attempt begins anew",
                ) from None
            raise self._refusal(job, "append") from None
        now = self.engine.clock()
        chars = job.chars_received + len(text)
        if self._appended(job, text, self._texts.point, (stream.path, chars, encode_utc(now))):
            _learn(job, chars_received=chars, updated_at=now)
            job.stream = Stream(stream.path, stream.size_bytes + len(data))

    def _continue_in_new_file(self, job: Job, text: str) -> None:
        """Append where another object made the file, or a failed call left it unclear: in a new one."""
        stored = self.read_response(job) or ""
        if len(stored) == job.chars_received:
            self._begin_file(job, stored + text, text)
        elif not self._is_there_already(job, text):
            raise self._refusal(job, "append")

    def _begin_file(self, job: Job, whole: str, text: str) -> None:
        data = whole.encode()
        path = self.files.write(job.id, job.attempt, data)
        self._keeping_file(path, partial(self._point_to, job, path, len(data), text))

    def _point_to(self, job: Job, path: str, size_bytes: int, text: str) -> None:
        now = self.engine.clock()
        chars = job.chars_received + len(text)
        if not self._appended(job, text, self._texts.point, (path, chars, encode_utc(now))):
            self.files.remove(path)
            return
        self._drop_file(job)
        _learn(job, response=None, output_file_path=path, chars_received=chars, updated_at=now)
        job.stream = Stream(path, size_bytes)

    def _appended(self, job: Job, text: str, sql: str, values: Sequence[Any]) -> bool:
        """Execute an append at its place; False where an earlier try of it did that already."""
        if self._write(sql, (*values, *_fence(job), job.chars_received)):
            return True
        if self._is_there_already(job, text):
            return False
        raise self._refusal(job, "append")

    def _is_there_already(self, job: Job, text: str) -> bool:
        row = self.get_or_none(job.id)
        if row is None or _fence(row) != _fence(job):
            return False
        if row.chars_received != job.chars_received + len(text):
            return False
        if (self.read_response(job) or "")[job.chars_received :] != text:
            return False
        _learn(
            job,
            response=row.response,
            output_file_path=row.output_file_path,
            chars_received=row.chars_received,
            updated_at=row.updated_at,
        )
        return True

    def _keeping_file(self, path: str, call: Callable[[], None]) -> None:
        """Make the call that gives a new file its row; the file goes where the call surely failed."""
        try:
            call()
        except DatabaseUnavailable:
            # the row may be there although the answer was lost; check-db finds the file if not
            raise
        except DataLayerError:
            self.files.remove(path)
            raise

    def _drop_file(self, job: Job) -> None:
        """Remove the file that the job has had until now, once that is committed."""
        if job.output_file_path is not None:
            self.engine.on_commit(partial(self.files.remove, job.output_file_path))
        job.stream = None

    # -- the fence ---------------------------------------------------------------------------------

    def _fenced(self, job: Job, sql: str, values: Sequence[Any], wanted: str) -> None:
        if not self._write(sql, (*values, *_fence(job))):
            raise self._refusal(job, wanted)

    def _refusal(self, job: Job, wanted: str) -> DataLayerError:
        """Say why a fenced call changed nothing."""
        row = self.get_or_none(job.id)
        if row is None:
            return NotFound(f"job {job.id!r} is gone", why="it was deleted while a worker had it")
        facts: dict[str, Any] = {"current": row.status, "wanted": wanted}
        if row.status in FINAL:
            return InvalidTransition(
                f"job {job.id!r} is {row.status}", why=row.status_message, hint="stop working on it", **facts
            )
        if job.lease_owner is None:
            return InvalidTransition(
                f"job {job.id!r} is not held by a worker", hint="claim it first", **facts
            )
        if _fence(row) != _fence(job):
            now = f"{row.lease_owner} has it" if row.is_leased else f"it is {row.status}"
            return InvalidTransition(
                f"{job.lease_owner} lost job {job.id!r} (attempt {job.attempt})",
                why=f"its lease was over; now {now} (attempt {row.attempt})",
                hint="stop working on it; use a longer lease or more heartbeats",
                **facts,
            )
        if row.status == "running" and row.chars_received != job.chars_received:
            return InvalidTransition(
                f"job {job.id!r} has received {row.chars_received} characters, not {job.chars_received}",
                why="somebody else appended, or a transaction was undone",
                hint="read the job again",
                **facts,
            )
        return InvalidTransition(f"job {job.id!r} is {row.status}: {wanted} cannot follow", **facts)


_RELEASED: Mapping[str, Any] = {"lease_owner": None, "lease_expires_at": None}


def _fence(job: Job) -> tuple[str, int, str | None]:
    return job.id, job.attempt, job.lease_owner


def _learn(job: Job, **values: Any) -> None:
    """Put into a row's object what its row holds now."""
    job.__data__.update(values)


def _told(message: str | None) -> str | None:
    """Make a message storable whatever is in it; an error must not be lost because it cannot be written."""
    if message is None:
        return None
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 1] + "…"
    return message.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _bytes_of(text: str) -> bytes:
    """Give a response's bytes.

    Raises:
        CheckViolation: it is no text that both engines can store.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as exc:
        raise CheckViolation("the response cannot be stored", why="it is not valid Unicode") from exc
    if "\0" in text:
        raise CheckViolation("the response cannot be stored", why="it holds a NUL character")
    return data
