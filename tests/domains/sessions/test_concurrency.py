"""Eight processes at the same session and project."""

from __future__ import annotations

import pytest
from support.processes import run_together

from datalayer.domains.sessions import Session
from datalayer.store import connect

pytestmark = pytest.mark.slow

WORKERS = "domains.sessions.workers"
PROCESSES = 8
IN_BOTH = "SELECT COUNT(*) FROM included_files JOIN excluded_files USING (session_id, path)"


def test_a_path_is_never_in_both_lists_whoever_changes_them(database: str) -> None:
    with connect(database) as store:
        key = store.sessions.save(Session(name="n", project_directory="/app")).session.id
        seen = run_together(
            WORKERS, "shuffle_files", [(database, key, seed, 12) for seed in range(PROCESSES)]
        )

        assert seen == [0] * PROCESSES
        assert store.engine.fetch_one(IN_BOTH) == (0,)


def test_plain_sql_of_two_programs_cannot_bring_a_path_into_both_lists(database: str) -> None:
    with connect(database) as store:
        key = store.sessions.save(Session(name="n", project_directory="/app")).session.id
        refused = run_together(
            WORKERS,
            "insert_raw",
            [(database, key, table, 150) for table in ("included_files", "excluded_files")],
        )

        assert store.engine.fetch_one(IN_BOTH) == (0,)
        found = store.sessions.get_with_files(key)
        assert len(found.included_files) + len(found.excluded_files) == 150
        assert sum(refused) == 150


def test_the_active_session_is_one_that_is_there(database: str) -> None:
    with connect(database) as store:
        results = run_together(WORKERS, "activate_and_delete", [(database, "/app", 9)] * PROCESSES)
        assert results == [0] * PROCESSES

        active = store.sessions.get_active("/app")
        assert active is None or active.project_directory == "/app"
        store.sessions.delete_project("/app")
        assert store.sessions.get_active("/app") is None
        assert store.kv.count("sessions.active:") == 0
