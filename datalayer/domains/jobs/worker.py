"""Worker: claims jobs, hands them to handlers, keeps their leases alive, and sees to it that each one ends.

One worker does one job at a time, in the thread that called `run`; a second thread sends heartbeats. For
more at a time run more workers, in threads or processes (see domains.jobs.processes).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from datalayer.domains.jobs.model import Job
from datalayer.domains.jobs.queue import worker_name
from datalayer.domains.jobs.repository import Jobs
from datalayer.domains.jobs.statements import CHANNEL
from datalayer.engine.wakeup import Listener
from datalayer.errors import DatabaseBusy, DatabaseUnavailable, DataLayerError, InvalidTransition, NotFound

__all__ = ["Handler", "JobContext", "Worker"]

_log = logging.getLogger("datalayer.jobs")

# how long a worker may sleep before it looks at stop(), and at the queue whatever woke it or did not
_SLICE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_SHORTEST_PAUSE_S = 0.01


class JobContext:
    """What a handler knows of its job; safe to use from several threads of the handler."""

    def __init__(self, jobs: Jobs, job: Job, lease_s: float) -> None:
        self.jobs = jobs
        self.job = job
        self._lease_s = lease_s
        self._lock = threading.RLock()

    def append(self, text: str) -> None:
        """Put text behind the response; see `Jobs.append`.

        Raises:
            InvalidTransition: the job was canceled or taken back; let it through, it ends the handler.
        """
        with self._lock:
            self.jobs.append(self.job, text)

    def heartbeat(self) -> None:
        """Say that the job is being worked on; the worker does so by itself every third of the lease.

        Raises:
            InvalidTransition: the job was canceled or taken back; let it through, it ends the handler.
        """
        with self._lock:
            self.jobs.heartbeat(self.job, lease_s=self._lease_s)

    def fail(self, error: BaseException | str, *, retry: bool | float | timedelta = True) -> None:
        """End the attempt with an error; what the handler returns counts no more. See `Jobs.fail`."""
        with self._lock:
            self.jobs.fail(self.job, error, retry=retry)

    @property
    def is_canceled(self) -> bool:
        """Whether the job is no longer this worker's: canceled, taken back, deleted. Costs one small read."""
        return not self.jobs.is_held(self.job)


Handler = Callable[[JobContext], Any]


class Worker:
    """Does the jobs whose `task_type` it has a handler for.

    A handler gives the response (a text, or a value kept as JSON; None keeps what it appended). What it
    raises fails the attempt, to be retried later while attempts are left. A job runs at least once; its
    completion is recorded exactly once.

        worker = Worker(store.jobs, {"shout": lambda context: context.job.prompt.upper()})
        worker.run()
    """

    def __init__(
        self,
        jobs: Jobs,
        handlers: Mapping[str, Handler],
        *,
        name: str | None = None,
        lease_s: float = 60.0,
        poll_s: float = 1.0,
    ) -> None:
        if not handlers:
            raise DataLayerError("a worker needs a handler", hint="give {task_type: function}")
        self.jobs = jobs
        self.handlers = dict(handlers)
        self.name = name or worker_name()
        self.lease_s = lease_s
        self.poll_s = poll_s
        self._task_types = tuple(self.handlers)
        self._stopping = threading.Event()
        self._current: JobContext | None = None
        self._rescued_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Worker {self.name} for {', '.join(self._task_types)}>"

    # -- running -----------------------------------------------------------------------------------

    def run(self, *, handle_signals: bool = False) -> None:
        """Work until `stop()`; jobs that come later are waited for without asking the table again and again.

        With `handle_signals`, in the main thread, SIGTERM and SIGINT stop it after the job it is at; a second
        one is handled as before. A database that is away for a while is waited for.
        """
        with self._signals(handle_signals), self._beating():
            pause_s = _SLICE_S
            while not self._stopping.is_set():
                try:
                    with Listener(self.jobs.engine, CHANNEL) as listener:
                        self._serve(listener)
                except (DatabaseBusy, DatabaseUnavailable) as exc:
                    if self.jobs.engine.is_closed:
                        raise
                    _log.warning("worker %s waits for the database: %s", self.name, exc.what)
                    self._stopping.wait(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def run_until_idle(self) -> int:
        """Work until no job is due now, and give the number of jobs done; those scheduled for later stay."""
        count = 0
        with self._beating():
            while not self._stopping.is_set():
                self._rescue()
                job = self._claim()
                if job is not None:
                    self._do(job)
                    count += 1
                elif not self._is_due() or self._stopping.wait(_SHORTEST_PAUSE_S):
                    break
        return count

    def stop(self) -> None:
        """Ask the worker to stop after the job it is at; from any thread, or from a handler."""
        self._stopping.set()

    def _serve(self, listener: Listener) -> None:
        while not self._stopping.is_set():
            self._rescue()
            job = self._claim() if self._is_due() else None
            if job is not None:
                self._do(job)
            else:
                self._sleep(listener)

    def _sleep(self, listener: Listener) -> None:
        """Wait until something was committed, the next job is due, or it is time to look again."""
        due = self.jobs.next_due(self._task_types)
        left_s = self.poll_s
        if due is not None:
            until_due = (due - self.jobs.engine.clock()).total_seconds()
            # it is due, but others have it locked at this instant
            left_s = min(left_s, max(until_due, _SHORTEST_PAUSE_S))
        deadline = time.monotonic() + left_s
        while left_s > 0 and not self._stopping.is_set() and not listener.wait(min(left_s, _SLICE_S)):
            left_s = deadline - time.monotonic()

    def _is_due(self) -> bool:
        due = self.jobs.next_due(self._task_types)
        return due is not None and due <= self.jobs.engine.clock()

    def _claim(self) -> Job | None:
        return self.jobs.claim(self.name, lease_s=self.lease_s, task_types=self._task_types)

    def _rescue(self) -> None:
        """Take jobs back from workers that are gone, a few times in each lease."""
        now = time.monotonic()
        if now - self._rescued_at >= min(self.lease_s / 3, self.poll_s):
            self._rescued_at = now
            self.jobs.rescue_expired()

    # -- one job -----------------------------------------------------------------------------------

    def _do(self, job: Job) -> None:
        context = JobContext(self.jobs, job, self.lease_s)
        self._current = context
        try:
            self.jobs.start(job)
            result = self.handlers[job.task_type](context)
            if job.is_leased:
                self._complete(job, result)
        except Exception as exc:
            self._fail(context, exc)
        except BaseException:
            self._fail(context, "the worker was stopped", retry=0)
            raise
        finally:
            self._current = None

    def _complete(self, job: Job, result: Any) -> None:
        """Record what is done, also where others write a lot: it must not be done again for that."""
        pause_s = _SHORTEST_PAUSE_S
        while True:
            try:
                self.jobs.complete(job, result)
                return
            except DatabaseBusy:
                if pause_s > _LONGEST_PAUSE_S:
                    raise
                self._stopping.wait(pause_s)
                pause_s *= 4

    def _fail(self, context: JobContext, error: Exception | str, *, retry: bool | float = True) -> None:
        job = context.job
        if not job.is_leased or context.is_canceled:
            _log.info("job %s was taken from %s: %s", job.id, self.name, error)
            return
        _log.warning("job %s failed at attempt %d: %s", job.id, job.attempt, error, exc_info=_trace(error))
        try:
            self.jobs.fail(job, error, retry=retry)
        except (InvalidTransition, NotFound) as exc:
            _log.info("job %s was taken from %s: %s", job.id, self.name, exc.what)

    # -- heartbeats and signals --------------------------------------------------------------------

    @contextmanager
    def _beating(self) -> Generator[None]:
        ended = threading.Event()
        thread = threading.Thread(
            target=self._beat, args=(ended,), name=f"{self.name}-heartbeat", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(self.lease_s / 3):
            context = self._current
            if context is None:
                continue
            try:
                context.heartbeat()
            except (InvalidTransition, NotFound) as exc:
                _log.info("heartbeat: %s", exc.what)
            except DataLayerError as exc:
                # the lease lasts for two more tries
                _log.warning("heartbeat: %s", exc.what)

    @contextmanager
    def _signals(self, wanted: bool) -> Generator[None]:
        if not wanted:
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def handle(number: int, _frame: object) -> None:
            self.stop()
            signal.signal(number, before[signal.Signals(number)])

        try:
            for number in before:
                signal.signal(number, handle)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _trace(error: object) -> BaseException | None:
    return error if isinstance(error, BaseException) else None
