"""Jobs in every state that the database accepts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from datalayer.domains.jobs import Job
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["jobs", "make_job"]

_WAITING = ("idle", "created", "queued")
_ACTIVE = ("acknowledged_by_worker", "preparing", "running")
_FINAL = ("completed", "failed", "canceled")
_TYPES = st.sampled_from(["summarise", "index", "unknown"])


@st.composite
def jobs(draw: st.DrawFn, *, session_id: str | None = None) -> Job:
    """Give jobs that wait, are being done, or are final, with what goes with it."""
    status = draw(st.sampled_from((*_WAITING, *_ACTIVE, *_FINAL)))
    run_at = draw(moments())
    most = draw(st.integers(1, 5))
    values: dict[str, Any] = {"attempt": draw(st.integers(0 if status in _WAITING else 1, most))}
    if status in _ACTIVE:
        values |= {"lease_owner": "worker", "lease_expires_at": run_at + timedelta(minutes=5)}
    if status == "running" or status in _FINAL:
        values["start_time"] = run_at
    if status in _FINAL:
        values["end_time"] = run_at + timedelta(seconds=draw(st.integers(0, 3600)))
    if status == "completed":
        values["response"] = draw(texts())
        values["chars_received"] = len(values["response"])
    return Job(
        id=new_id(),
        session_id=session_id,
        status=status,
        priority=draw(st.integers(-5, 5)),
        run_at=run_at,
        max_attempts=most,
        task_type=draw(_TYPES),
        api_type=draw(_TYPES),
        prompt=draw(texts()),
        metadata=draw(st.dictionaries(texts(max_size=10), json_documents(), max_size=2)),
        **values,
    )


def make_job(store: Store, *, task_type: str = "summarise", prompt: str = "Do it", **options: Any) -> Job:
    """Enqueue a job."""
    return store.jobs.enqueue(task_type, prompt, **options)
