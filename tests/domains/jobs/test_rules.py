"""The rules of background_jobs, broken by raw SQL: each is held by the database, under its name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datalayer import CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation
from datalayer.domains.jobs import Jobs
from datalayer.store import Store

TIME = "'2026-03-01T10:00:00.000000Z'"
LATER = "'2026-03-01T11:00:00.000000Z'"
LEASE = f"lease_owner = 'w', lease_expires_at = {TIME}"

# what is said of a queued job -> the rule that says no
BROKEN = {
    "status = 'unheard of'": "background_jobs_status_known",
    "attempt = -1": "background_jobs_attempt_range",
    "attempt = 4": "background_jobs_attempt_range",
    "max_attempts = 0": "background_jobs_max_attempts_range",
    "max_output_tokens = -1": "background_jobs_max_output_tokens_range",
    "tokens_sent = -1": "background_jobs_tokens_sent_range",
    "tokens_received = -1": "background_jobs_tokens_received_range",
    "chars_received = -1": "background_jobs_chars_received_range",
    "status = 'preparing', lease_owner = 'w'": "background_jobs_lease_whole",
    f"lease_expires_at = {TIME}": "background_jobs_lease_whole",
    LEASE: "background_jobs_lease_when_active",
    "status = 'acknowledged_by_worker'": "background_jobs_lease_when_active",
    "status = 'preparing'": "background_jobs_lease_when_active",
    f"status = 'running', start_time = {TIME}": "background_jobs_lease_when_active",
    f"status = 'running', {LEASE}": "background_jobs_start_when_running",
    "status = 'completed'": "background_jobs_end_when_final",
    "status = 'failed'": "background_jobs_end_when_final",
    "status = 'canceled'": "background_jobs_end_when_final",
    f"end_time = {TIME}": "background_jobs_end_when_final",
    "response = 'r', output_file_path = 'jobs/f'": "background_jobs_one_response",
}
# rules of the stored form, which are the column's type on PostgreSQL
BROKEN_FORMS = {
    "run_at = 'garbage'": "background_jobs_run_at_utc",
    "created_at = ''": "background_jobs_created_at_utc",
    "updated_at = 'garbage'": "background_jobs_updated_at_utc",
    "start_time = 'garbage'": "background_jobs_start_time_utc",
    "end_time = 'garbage', status = 'failed'": "background_jobs_end_time_utc",
    "lease_expires_at = '-', lease_owner = 'w', status = 'preparing'": "background_jobs_lease_expires_at_utc",
    "metadata = '{'": "background_jobs_metadata_json",
    "cleared = '2'": "background_jobs_cleared_bool",
}


def change(store: Store, assignments: str) -> None:
    store.engine.write(f"UPDATE background_jobs SET {assignments}")


def test_every_rule_is_held_by_the_database_under_its_name(jobs: Jobs, store: Store) -> None:
    before = jobs.enqueue("t").__data__

    for assignments, rule in BROKEN.items():
        with pytest.raises(CheckViolation) as caught:
            change(store, assignments)
        assert (assignments, caught.value.constraint) == (assignments, rule)
        assert jobs.one().__data__ == before


def test_value_of_another_form_is_refused(jobs: Jobs, store: Store) -> None:
    before = jobs.enqueue("t").__data__

    for assignments, rule in BROKEN_FORMS.items():
        with pytest.raises(CheckViolation) as caught:
            change(store, assignments)
        # PostgreSQL refuses it as no value of the column's type, before any rule
        expected = None if store.engine.dialect.has_copy else rule
        assert (assignments, caught.value.constraint) == (assignments, expected)
        assert jobs.one().__data__ == before


@pytest.mark.parametrize("time", ["2026-03-01 10:00:00", "2026-03-01T10:00:00Z", "2026-03-01T11:00:00+01:00"])
def test_time_written_otherwise_is_refused_or_stored_as_the_same_time(
    jobs: Jobs, store: Store, time: str
) -> None:
    jobs.enqueue("t")
    try:
        change(store, f"run_at = '{time}'")
    except CheckViolation as refused:
        assert refused.constraint == "background_jobs_run_at_utc"
        assert not store.engine.dialect.has_copy
    else:
        assert jobs.one().run_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "column", ["status", "priority", "run_at", "attempt", "task_type", "metadata", "prompt"]
)
def test_column_that_every_job_has_is_never_null(jobs: Jobs, store: Store, column: str) -> None:
    jobs.enqueue("t")

    with pytest.raises(NotNullViolation) as caught:
        change(store, f"{column} = NULL")
    assert caught.value.columns == (column,)


def test_job_belongs_to_a_session_that_exists(jobs: Jobs, store: Store) -> None:
    jobs.enqueue("t")

    with pytest.raises(ForeignKeyViolation):
        change(store, "session_id = 'nobody'")


def test_jobs_go_with_their_session(jobs: Jobs, store: Store, session: str) -> None:
    jobs.enqueue("t", session_id=session)
    store.engine.write("DELETE FROM sessions")

    assert jobs.count() == 0


def test_two_active_jobs_never_have_one_key(jobs: Jobs, store: Store) -> None:
    jobs.enqueue("t", dedupe_key="k")
    jobs.enqueue("t")

    with pytest.raises(UniqueViolation):
        change(store, "dedupe_key = 'k'")


FINAL_MOVES = [
    ("completed", "queued", "end_time = NULL"),
    ("failed", "queued", "end_time = NULL"),
    ("canceled", "running", f"end_time = NULL, start_time = {TIME}, {LEASE}"),
    ("completed", "failed", "prompt = 'x'"),
    ("failed", "completed", "prompt = 'x'"),
    ("canceled", "completed", "prompt = 'x'"),
]


@pytest.mark.parametrize(("status", "to", "rest"), FINAL_MOVES)
def test_nothing_leaves_a_final_status(jobs: Jobs, store: Store, status: str, to: str, rest: str) -> None:
    jobs.enqueue("t")
    change(store, f"status = '{status}', end_time = {TIME}")

    with pytest.raises(CheckViolation) as caught:
        change(store, f"status = '{to}', {rest}")
    assert caught.value.constraint in ("background_jobs_final", "background_jobs_end_once")
    assert jobs.one().status == status


def test_final_job_can_still_be_cleared(jobs: Jobs, store: Store) -> None:
    jobs.enqueue("t")
    change(store, f"status = 'failed', end_time = {TIME}")
    change(store, f"cleared = NOT cleared, status = 'failed', end_time = {TIME}")

    assert jobs.one().cleared


@pytest.mark.parametrize("value", [LATER, "NULL"])
def test_start_time_is_set_once(jobs: Jobs, store: Store, value: str) -> None:
    jobs.enqueue("t")
    change(store, f"start_time = {TIME}")

    with pytest.raises(CheckViolation) as caught:
        change(store, f"start_time = {value}")
    assert caught.value.constraint == "background_jobs_start_once"


def test_end_time_is_set_once(jobs: Jobs, store: Store) -> None:
    jobs.enqueue("t")
    change(store, f"status = 'failed', end_time = {TIME}")

    with pytest.raises(CheckViolation) as caught:
        change(store, f"end_time = {LATER}")
    assert caught.value.constraint == "background_jobs_end_once"


def test_raw_writer_cannot_forget_the_time_of_change(jobs: Jobs, store: Store) -> None:
    before = jobs.enqueue("t")
    change(store, "prompt = 'changed'")

    assert jobs.one().updated_at > before.updated_at


def test_job_of_raw_sql_gets_its_defaults(jobs: Jobs, store: Store) -> None:
    store.engine.write("INSERT INTO background_jobs (id) VALUES ('raw')")

    job = jobs.get("raw")
    assert (job.status, job.task_type, job.api_type) == ("idle", "unknown", "unknown")
    assert (job.priority, job.attempt, job.max_attempts, job.metadata) == (0, 0, 1, {})
    assert (job.prompt, job.response, job.cleared) == ("", None, False)
