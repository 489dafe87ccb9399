"""The rules that each domain declares: broken by raw SQL, told with the keys of the rows."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.domains import checks
from datalayer.domains.sessions import Session
from datalayer.schema.check import Finding
from datalayer.store import Store, check_database, connect

PAST = "2001-01-01T00:00:00.000000Z"


def told(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(one.id, one.severity, one.count) for one in findings if not one.id.startswith("DL-C02")]


@pytest.fixture
def migrated(_sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(_sqlite_template, tmp_path / "migrated.db"))


def break_rules(path: Path, *statements: str) -> list[Finding]:
    """Run statements with every rule of the database out of the way, and check."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    return check_database(path)


def test_every_rule_runs_on_both_engines_and_holds_of_sound_rows(store: Store) -> None:
    session = Session(name="a", project_directory="/p")
    store.sessions.save(session, ["x"], ["y"])
    store.jobs.enqueue("count", "x")
    store.jobs.complete(store.jobs.claim() or store.jobs.enqueue("count", "y"), "done")
    store.kv.set("a", 1, ttl_s=3600)

    assert store.check() == []


def test_expired_rows_are_told_and_are_no_problem(store: Store) -> None:
    for table, columns, values in (
        ("key_value_store", "key, value", "'k', '1'"),
        ("cached_state", "project_directory, project_hash, key, value", f"'/p', '{'0' * 64}', 'k', '1'"),
    ):
        store.engine.write(f"INSERT INTO {table} ({columns}, expires_at) VALUES ({values}, '{PAST}')")

    findings = store.check()

    assert told(findings) == [("DL-C221", "info", 1), ("DL-C222", "info", 1)]
    assert findings[0].rows[0]["key"] == "k"


def test_a_path_in_both_lists_of_a_session_is_found(migrated: Path) -> None:
    findings = break_rules(
        migrated,
        "INSERT INTO sessions (id, name, project_directory, project_hash)"
        f" VALUES ('s', 'n', '/', '{'0' * 64}')",
        "INSERT INTO included_files (session_id, path) VALUES ('s', 'both'), ('s', 'one')",
        "INSERT INTO excluded_files (session_id, path) VALUES ('s', 'both')",
    )

    assert told(findings) == [("DL-C201", "error", 1)]
    assert {"session_id": "s", "path": "both"} in [row for one in findings for row in one.rows]


def test_a_project_hash_of_another_directory_is_found(store: Store) -> None:
    store.engine.write(
        "INSERT INTO sessions (id, name, project_directory, project_hash)"
        f" VALUES ('s', 'n', '/somewhere', '{'0' * 64}')"
    )

    assert told(store.check()) == [("DL-C202", "warning", 1)]


def test_jobs_that_no_worker_could_have_left_so_are_found(migrated: Path) -> None:
    findings = break_rules(
        migrated,
        "INSERT INTO background_jobs (id, status) VALUES ('no end', 'completed')",
        "INSERT INTO background_jobs (id, status, lease_expires_at)"
        f" VALUES ('no owner', 'preparing', '{PAST}')",
        "INSERT INTO background_jobs (id, attempt, max_attempts) VALUES ('often', 3, 2)",
        "INSERT INTO background_jobs (id, response, output_file_path) VALUES ('both', 'r', 'jobs/x')",
    )

    domain = [one for one in findings if one.id in checks()]
    assert [(one.id, one.rows[0]["id"]) for one in domain] == [
        ("DL-C211", "no end"),
        ("DL-C212", "no owner"),
        ("DL-C213", "no owner"),
        ("DL-C214", "often"),
        ("DL-C216", "both"),
    ]


def test_rules_of_the_domains_are_not_asked_of_another_schema(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE key_value_store (theirs)")

    assert check_database(path, with_schema=False) == []
    with connect(path) as store:
        assert store.check(with_schema=False) == []
