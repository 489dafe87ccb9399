"""Everything at once: the queue against a model of it in plain Python, with a clock that moves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.clock import Clock

from datalayer import InvalidTransition
from datalayer.domains.jobs import Backoff, Job, Jobs
from datalayer.store import Store, connect

LEASE_S = 10.0
FINAL = ("completed", "failed", "canceled")


pytestmark = pytest.mark.slow


@dataclass
class Expected:
    """What a job ought to be."""

    key: str
    priority: int
    run_at: datetime
    max_attempts: int
    dedupe_key: str | None
    status: str = "queued"
    attempt: int = 0
    owner: str | None = None
    expires: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    text: str = ""
    tried: list[str] = field(default_factory=list)

    def release(self, status: str, now: datetime | None = None) -> None:
        self.status, self.owner, self.expires = status, None, None
        if status in FINAL:
            self.ended = now
        else:
            self.text = ""


@dataclass
class Held:
    """A worker's own idea of a job it claimed."""

    job: Job
    attempt: int
    text: str = ""


class QueueMachine(RuleBasedStateMachine):
    open_store: Callable[[], Store]
    keys = Bundle("keys")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).open_store()
        self.clock = Clock()
        self.store.engine.clock = self.clock
        self.jobs: Jobs = self.store.jobs
        self.jobs.backoff = Backoff(base_s=4, jitter=0)
        self.jobs.response_limit = 20
        self.model: dict[str, Expected] = {}

    def teardown(self) -> None:
        # between examples rows and files go, the database stays
        self.jobs.delete_where(Job.id != "")
        self.jobs.remove_orphan_files(older_than_s=0)
        self.store.close()

    def due(self) -> list[Expected]:
        found = [
            one for one in self.model.values() if one.status == "queued" and one.run_at <= self.clock.now
        ]
        return sorted(found, key=lambda one: (-one.priority, one.run_at, one.key))

    def holds(self, held: Held) -> bool:
        one = self.model[held.job.id]
        return one.owner is not None and one.attempt == held.attempt

    # -- the app -----------------------------------------------------------------------------------

    @initialize(target=keys)
    def begin(self) -> object:
        return multiple(*(self.enqueue_one(priority, 0, 3, None) for priority in (0, 1, 1)))

    @precondition(lambda self: len(self.model) < 6)
    @rule(
        target=keys,
        priority=st.integers(0, 2),
        wait=st.sampled_from([0, 0, 0, 5]),
        attempts=st.integers(1, 4),
        key=st.sampled_from([None, None, "a"]),
    )
    def enqueue(self, priority: int, wait: int, attempts: int, key: str | None) -> object:
        before = len(self.model)
        found = self.enqueue_one(priority, wait, attempts, key)
        return found if len(self.model) > before else multiple()

    def enqueue_one(self, priority: int, wait: int, attempts: int, key: str | None) -> str:
        run_at = self.clock.now + timedelta(seconds=wait)
        job = self.jobs.enqueue("t", priority=priority, run_at=run_at, max_attempts=attempts, dedupe_key=key)
        active = [one for one in self.model.values() if key and one.dedupe_key == key and one.ended is None]
        if active:
            assert job.id == active[0].key
        else:
            assert job.id not in self.model
            self.model[job.id] = Expected(job.id, priority, run_at, attempts, key)
        return job.id

    @precondition(lambda self: len(self.model) > 4)
    @rule(key=keys)
    def cancel(self, key: str) -> None:
        one = self.model[key]
        if one.status in FINAL:
            with pytest.raises(InvalidTransition):
                self.jobs.cancel(key)
            return
        self.jobs.cancel(key)
        one.release("canceled", self.clock.now)

    @rule(target=keys, key=keys)
    def retry(self, key: str) -> object:
        old = self.model[key]
        if old.status not in ("failed", "canceled"):
            with pytest.raises(InvalidTransition):
                self.jobs.retry(key)
            return multiple()
        job = self.jobs.retry(key)
        if job.id in self.model:
            assert self.model[job.id].dedupe_key == old.dedupe_key
            return multiple()
        self.model[job.id] = Expected(job.id, old.priority, self.clock.now, old.max_attempts, old.dedupe_key)
        return job.id

    @rule(
        key=keys,
        to=st.sampled_from(["created", "queued", "failed"]),
        expected=st.sampled_from(["created", "queued"]),
    )
    def set_status(self, key: str, expected: str, to: str) -> None:
        one = self.model[key]
        if one.status != expected or expected == to:
            with pytest.raises(InvalidTransition):
                self.jobs.compare_and_set_status(key, expected, to)
            return
        self.jobs.compare_and_set_status(key, expected, to)
        one.release(to, self.clock.now)

    # -- the workers -------------------------------------------------------------------------------

    @precondition(lambda self: self.due())
    @rule(target=held, worker=st.sampled_from(["w1", "w1", "w1", "w2"]), count=st.integers(1, 2))
    def claim(self, worker: str, count: int) -> object:
        expected = self.due()[:count]
        jobs = self.jobs.claim_many(count, worker, lease_s=LEASE_S)
        assert [job.id for job in jobs] == [one.key for one in expected]
        for one in expected:
            one.status, one.owner, one.attempt = "acknowledged_by_worker", worker, one.attempt + 1
            one.expires = self.clock.now + timedelta(seconds=LEASE_S)
        return multiple(*(Held(job, job.attempt) for job in jobs))

    def act(self, held: Held, call: Callable[[Job], object]) -> Expected | None:
        """Make a fenced call; give what it changed, or None where it had to be refused."""
        if self.holds(held):
            call(held.job)
            return self.model[held.job.id]
        with pytest.raises(InvalidTransition):
            call(held.job)
        return None

    @rule(held=held)
    def heartbeat(self, held: Held) -> None:
        one = self.act(held, lambda job: self.jobs.heartbeat(job, lease_s=LEASE_S))
        if one:
            one.expires = self.clock.now + timedelta(seconds=LEASE_S)

    @rule(held=held)
    def start(self, held: Held) -> None:
        one = self.act(held, self.jobs.start)
        if one:
            one.status, one.started = "running", one.started or self.clock.now

    @rule(held=held, text=st.sampled_from(["a", "bé", "long " * 6]))
    def append(self, held: Held, text: str) -> None:
        one = self.model[held.job.id]
        if self.holds(held) and one.status == "running":
            self.jobs.append(held.job, text)
            one.text += text
        else:
            with pytest.raises(InvalidTransition):
                self.jobs.append(held.job, text)

    @rule(held=held, text=st.sampled_from([None, "done", "very long " * 9]))
    def complete(self, held: Held, text: str | None) -> None:
        one = self.act(held, lambda job: self.jobs.complete(job, text))
        if one:
            one.text = one.text if text is None else text
            one.release("completed", self.clock.now)

    @rule(held=held, retry=st.booleans())
    def fail(self, held: Held, retry: bool) -> None:
        one = self.act(held, lambda job: self.jobs.fail(job, "boom", retry=retry))
        if one and retry and one.attempt < one.max_attempts:
            one.release("queued")
            one.run_at = self.clock.now + timedelta(seconds=4 * 2 ** (one.attempt - 1))
        elif one:
            one.release("failed", self.clock.now)

    # -- time --------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 6, 11, 40]))
    def move_clock(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule()
    def rescue(self) -> None:
        expired = [one for one in self.model.values() if one.expires and one.expires < self.clock.now]
        assert self.jobs.rescue_expired(batch=2) == len(expired)
        for one in expired:
            one.release("queued" if one.attempt < one.max_attempts else "failed", self.clock.now)

    @precondition(lambda self: sum(one.owner is not None for one in self.model.values()) > 1)
    @rule()
    def lose_all_leases(self) -> None:
        self.clock.move(LEASE_S + 1)
        self.rescue()

    @precondition(
        lambda self: any(
            one.ended and one.ended < self.clock.now - timedelta(seconds=20) for one in self.model.values()
        )
    )
    @rule()
    def prune(self) -> None:
        before = self.clock.now - timedelta(seconds=20)
        old = [one.key for one in self.model.values() if one.ended and one.ended < before]
        assert self.jobs.prune(older_than_days=20 / 86_400, batch=2) == len(old)
        for key in old:
            self.pruned(key)

    def pruned(self, key: str) -> None:
        """Keep what the bundles still name as a final job that is gone: put it back as it was."""
        one = self.model[key]
        self.jobs.add(
            id=key,
            status=one.status,
            priority=one.priority,
            run_at=one.run_at,
            attempt=one.attempt,
            max_attempts=one.max_attempts,
            dedupe_key=one.dedupe_key,
            task_type="t",
            start_time=one.started,
            end_time=one.ended,
        )
        one.text = ""

    @invariant()
    def database_is_as_the_model(self) -> None:
        rows = {job.id: job for job in self.jobs.find()}
        assert rows.keys() == self.model.keys()
        for key, one in self.model.items():
            job = rows[key]
            assert (job.status, job.attempt, job.lease_owner) == (one.status, one.attempt, one.owner)
            assert (job.start_time, job.end_time, job.lease_expires_at) == (
                one.started,
                one.ended,
                one.expires,
            )
            assert job.run_at == one.run_at
            assert (self.jobs.read_response(key) or "") == one.text
        assert self.jobs.check_files(older_than_s=0) == []


def test_queue_behaves_as_its_model_says(database: str) -> None:
    folder = Path(tempfile.mkdtemp())

    class Machine(QueueMachine):
        open_store = staticmethod(lambda: connect(database, data_dir=folder))

    try:
        run_state_machine_as_test(
            Machine, settings=settings(stateful_step_count=60, max_examples=settings().max_examples * 2)
        )
    finally:
        shutil.rmtree(folder)
