"""Every rule of the package's schema, broken by raw SQL on both engines."""

from __future__ import annotations

import pytest
from schema.pairs import Outcome, Pair

from datalayer.schema.history import package_folder
from datalayer.schema.snapshot import read_text

HASH = "'" + "0" * 64 + "'"
MOMENT = "'2026-01-02T03:04:05.678901Z'"
SESSION = f"INSERT INTO sessions (id, name, project_directory, project_hash) VALUES ('s', 'n', '/p', {HASH})"
JOB = "INSERT INTO background_jobs (id, session_id, dedupe_key) VALUES ('j', 's', 'd')"
STATE = (
    f"INSERT INTO cached_state (project_directory, project_hash, key, value) VALUES ('/p', {HASH}, 'k', '1')"
)
VALUE = "INSERT INTO key_value_store (key, value) VALUES ('k', '1')"
DONE = (
    "INSERT INTO background_jobs (id, status, start_time, end_time)"
    f" VALUES ('e', 'completed', {MOMENT}, {MOMENT})"
)
PREPARE = (
    SESSION,
    JOB,
    DONE,
    STATE,
    VALUE,
    "INSERT INTO included_files (session_id, path) VALUES ('s', 'in')",
    "INSERT INTO excluded_files (session_id, path) VALUES ('s', 'out')",
)
CHECK, UNIQUE, REFERENCE, NULL = (
    "CheckViolation",
    "UniqueViolation",
    "ForeignKeyViolation",
    "NotNullViolation",
)


def job(columns: str, values: str) -> str:
    return f"INSERT INTO background_jobs (id, {columns}) VALUES ('x', {values})"


RULES = [
    ("sessions_project_hash_length", "UPDATE sessions SET project_hash = 'short'", CHECK),
    ("included_files_path_given", "INSERT INTO included_files (session_id, path) VALUES ('s', '')", CHECK),
    ("excluded_files_path_given", "INSERT INTO excluded_files (session_id, path) VALUES ('s', '')", CHECK),
    (
        "included_files_not_excluded",
        "INSERT INTO included_files (session_id, path) VALUES ('s', 'out')",
        CHECK,
    ),
    ("included_files_not_excluded", "UPDATE included_files SET path = 'out'", CHECK),
    (
        "excluded_files_not_included",
        "INSERT INTO excluded_files (session_id, path) VALUES ('s', 'in')",
        CHECK,
    ),
    ("excluded_files_not_included", "UPDATE excluded_files SET path = 'in'", CHECK),
    ("background_jobs_status_known", job("status", "'lost'"), CHECK),
    ("background_jobs_attempt_range", job("attempt", "2"), CHECK),
    ("background_jobs_attempt_range", job("attempt", "-1"), CHECK),
    ("background_jobs_max_attempts_range", job("max_attempts", "0"), CHECK),
    ("background_jobs_max_output_tokens_range", job("max_output_tokens", "-1"), CHECK),
    ("background_jobs_tokens_sent_range", job("tokens_sent", "-1"), CHECK),
    ("background_jobs_tokens_received_range", job("tokens_received", "-1"), CHECK),
    ("background_jobs_chars_received_range", job("chars_received", "-1"), CHECK),
    ("background_jobs_lease_whole", job("lease_expires_at", MOMENT), CHECK),
    ("background_jobs_lease_when_active", job("status", "'preparing'"), CHECK),
    ("background_jobs_lease_when_active", job("lease_owner, lease_expires_at", f"'me', {MOMENT}"), CHECK),
    ("background_jobs_end_when_final", job("status", "'failed'"), CHECK),
    ("background_jobs_end_when_final", job("end_time", MOMENT), CHECK),
    (
        "background_jobs_start_when_running",
        job("status, lease_owner, lease_expires_at", f"'running', 'me', {MOMENT}"),
        CHECK,
    ),
    ("background_jobs_one_response", job("response, output_file_path", "'r', 'f'"), CHECK),
    (
        "background_jobs_final",
        "UPDATE background_jobs SET status = 'failed' WHERE id = 'e'",
        CHECK,
    ),
    ("background_jobs_start_once", "UPDATE background_jobs SET start_time = NULL WHERE id = 'e'", CHECK),
    ("background_jobs_end_once", "UPDATE background_jobs SET end_time = NULL WHERE id = 'e'", CHECK),
    ("cached_state_project_hash_length", "UPDATE cached_state SET project_hash = ''", CHECK),
    ("cached_state_key_given", "UPDATE cached_state SET key = ''", CHECK),
    ("key_value_store_key_given", "UPDATE key_value_store SET key = ''", CHECK),
    ("migrations_name_unique", "INSERT INTO migrations (name) VALUES ('a'), ('a')", UNIQUE),
    (
        "included_files_session_path_unique",
        "INSERT INTO included_files (session_id, path) VALUES ('s', 'in')",
        UNIQUE,
    ),
    (
        "excluded_files_session_path_unique",
        "INSERT INTO excluded_files (session_id, path) VALUES ('s', 'out')",
        UNIQUE,
    ),
    ("background_jobs_dedupe", job("dedupe_key", "'d'"), UNIQUE),
    ("cached_state_project_key_unique", STATE, UNIQUE),
    (
        "included_files_session",
        "INSERT INTO included_files (session_id, path) VALUES ('nobody', 'p')",
        REFERENCE,
    ),
    (
        "excluded_files_session",
        "INSERT INTO excluded_files (session_id, path) VALUES ('nobody', 'p')",
        REFERENCE,
    ),
    ("background_jobs_session", job("session_id", "'nobody'"), REFERENCE),
    ("sessions.name", "UPDATE sessions SET name = NULL", NULL),
    ("background_jobs.metadata", job("metadata", "NULL"), NULL),
    ("key_value_store", VALUE, UNIQUE),
    ("sessions", SESSION, UNIQUE),
]
# what a type of PostgreSQL stands for is refused there as a value of the wrong kind
TYPED = [
    ("sessions_is_regex_active_bool", "UPDATE sessions SET is_regex_active = '7'"),
    ("sessions_search_selected_files_only_bool", "UPDATE sessions SET search_selected_files_only = '7'"),
    ("background_jobs_cleared_bool", "UPDATE background_jobs SET cleared = '7'"),
    ("background_jobs_metadata_json", "UPDATE background_jobs SET metadata = '{'"),
    ("cached_state_value_json", "UPDATE cached_state SET value = 'no json'"),
    ("key_value_store_value_json", "UPDATE key_value_store SET value = ''"),
    *(
        (f"{table}_{column}_utc", f"UPDATE {table} SET {column} = 'yesterday evening'")
        for table, columns in {
            "migrations": ["applied_at"],
            "sessions": ["created_at", "updated_at"],
            "included_files": ["created_at"],
            "excluded_files": ["created_at"],
            "background_jobs": ["run_at", "created_at", "updated_at", "lease_expires_at"],
            "cached_state": ["updated_at", "expires_at"],
            "key_value_store": ["updated_at", "expires_at"],
        }.items()
        for column in columns
    ),
    ("background_jobs_start_time_utc", job("start_time", "'soon'")),
    ("background_jobs_end_time_utc", job("status, end_time", "'failed', 'soon'")),
]


@pytest.fixture
def prepared(package_pair: Pair) -> Pair:
    for statement in (*PREPARE, "INSERT INTO migrations (name) VALUES ('one')"):
        assert package_pair.run(statement) == Outcome()
    return package_pair


def test_every_rule_is_refused_alike_on_both_engines(prepared: Pair) -> None:
    for rule, statement, error in RULES:
        found = prepared.run(statement)

        assert found.error == error, rule
        assert error != CHECK or found.rule == rule


def test_rules_that_a_type_holds_are_refused_on_both_engines(prepared: Pair) -> None:
    for rule, statement in TYPED:
        found = prepared.run_refused(statement)

        assert found == rule, statement


def test_postgresql_names_keys_and_references_too(prepared: Pair) -> None:
    for rule, statement, error in RULES:
        if (
            error in (UNIQUE, REFERENCE)
            and "_" in rule
            and "(" not in rule
            and rule not in ("key_value_store",)
        ):
            assert prepared.postgres_rule(statement) == rule


def test_every_named_rule_of_the_foundation_is_broken_here() -> None:
    # those of the other domains are broken in tests/domains
    schema = read_text(package_folder().of_domains([]).script())
    named = {
        constraint.name
        for table in schema.tables
        for constraint in (*table.uniques, *table.checks, *table.foreign_keys)
    }
    named |= {index.name for table in schema.tables for index in table.indexes if index.is_unique}

    assert named <= {rule for rule, *_ in RULES} | {rule for rule, _ in TYPED}


def test_deleting_a_session_takes_its_files_and_jobs_along(prepared: Pair) -> None:
    prepared.run("DELETE FROM sessions")

    for table, left in (("included_files", 0), ("excluded_files", 0), ("background_jobs", 1)):
        assert prepared.rows(f"SELECT count(*) FROM {table}") == [(left,)]
