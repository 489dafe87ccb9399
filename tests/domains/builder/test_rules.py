"""The rules of the builder, broken with raw SQL; the names that its indexes and triggers must have."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation
from datalayer.domains.builder import CHECKS
from datalayer.schema.check.rule import broken_rules
from datalayer.store import Store

TIME = "2026-03-01T12:00:00.000000Z"
LATER = "2027-03-01T12:00:00.000000Z"
ROWS: dict[str, dict[str, Any]] = {
    "builder_threads": {"id": "x", "user_id": "ada", "title": "x", "updated_at": TIME},
    "builder_messages": {"id": "x", "thread_id": "t", "role": "user", "content": ""},
    "builder_files": {"id": "x", "thread_id": "t", "file_path": "x", "updated_at": TIME},
}


def run(store: Store, sql: str, *params: Any) -> None:
    store.engine.execute(store.engine.dialect.sql(sql), params)


def insert(store: Store, table: str, **values: Any) -> None:
    row = ROWS[table] | values
    run(store, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def updated_at(store: Store, table: str, key: str) -> str:
    found: Any = store.builder.get(key) if table == "builder_threads" else store.builder.files.get(key)
    return found.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def told(store: Store) -> list[tuple[str, str, int]]:
    """Give what is found of threads."""
    found = broken_rules(store.engine, CHECKS, tables=frozenset(ROWS))
    return [(one.id, one.severity, one.count) for one in found]


@pytest.fixture(autouse=True)
def rows(store: Store, ada: str) -> None:
    insert(store, "builder_threads", id="t")


OUT_OF_RANGE = [
    ("builder_threads", "template", "svelte", "builder_threads_template_known"),
    ("builder_threads", "title", "x" * 256, "builder_threads_title_length"),
    ("builder_messages", "role", "tool", "builder_messages_role_known"),
    ("builder_messages", "mentions", '{"a": 1}', "builder_messages_mentions_array"),
    ("builder_messages", "mentions", "null", "builder_messages_mentions_array"),
    ("builder_messages", "mentions", '"[]"', "builder_messages_mentions_array"),
    ("builder_messages", "mentions", "[1,", "builder_messages_mentions_json"),
    ("builder_messages", "created_at", "never", "builder_messages_created_at_utc"),
    ("builder_files", "file_path", "", "builder_files_file_path_given"),
    ("builder_files", "created_at", "never", "builder_files_created_at_utc"),
    ("builder_files", "updated_at", "never", "builder_files_updated_at_utc"),
    ("builder_threads", "created_at", "never", "builder_threads_created_at_utc"),
]


def test_a_value_out_of_its_range_is_refused(store: Store) -> None:
    for table, column, value, rule in OUT_OF_RANGE:
        with pytest.raises(CheckViolation) as caught:
            insert(store, table, **{column: value})

        # PostgreSQL holds times and JSON by types, which have no name
        held_by_type = rule.endswith(("_utc", "_json")) and caught.value.constraint is None
        assert held_by_type or caught.value.constraint == rule


def test_what_must_be_there_is_there(store: Store) -> None:
    for table, columns in {
        "builder_threads": ["user_id", "title", "template", "created_at", "updated_at"],
        "builder_messages": ["thread_id", "role", "content", "mentions", "created_at"],
        "builder_files": ["thread_id", "file_path", "file_content", "created_at", "updated_at"],
    }.items():
        for column in columns:
            with pytest.raises(NotNullViolation) as caught:
                insert(store, table, **{column: None})
            assert (caught.value.table, caught.value.columns) == (table, (column,))


def test_rows_belong_to_something_that_is_there(store: Store) -> None:
    for table, column, rule in (
        ("builder_threads", "user_id", "fk_builder_thread_user"),
        ("builder_messages", "thread_id", "fk_builder_message_thread"),
        ("builder_files", "thread_id", "fk_builder_file_thread"),
    ):
        with pytest.raises(ForeignKeyViolation) as caught:
            insert(store, table, **{column: "absent"})
        assert caught.value.constraint in (rule, None)


def test_a_path_is_in_a_thread_once(store: Store) -> None:
    insert(store, "builder_threads", id="u")
    insert(store, "builder_files", id="a")
    insert(store, "builder_files", id="b", thread_id="u")
    with pytest.raises(UniqueViolation) as caught:
        insert(store, "builder_files", id="c")

    assert caught.value.columns == ("thread_id", "file_path")


def test_all_goes_with_the_thread_and_threads_with_their_user(store: Store) -> None:
    insert(store, "builder_files")
    insert(store, "builder_messages")
    run(store, "DELETE FROM users")

    for table in ROWS:
        assert store.engine.fetch_one(f"SELECT COUNT(*) FROM {table}") == (0,)


def test_a_raw_message_raises_the_recency_of_its_thread_only(store: Store) -> None:
    insert(store, "builder_threads", id="u")
    insert(store, "builder_messages", id="old", created_at="2025-01-01T00:00:00.000000Z")
    assert updated_at(store, "builder_threads", "t") == TIME
    insert(store, "builder_messages", id="new", created_at=LATER)

    assert updated_at(store, "builder_threads", "t") == LATER
    assert updated_at(store, "builder_threads", "u") == TIME


def test_a_raw_update_records_its_time(store: Store) -> None:
    for table, change in {
        "builder_threads": "title = 'new'",
        "builder_files": "file_content = 'new'",
    }.items():
        insert(store, table)
        run(store, f"UPDATE {table} SET {change} WHERE id = 'x'")
        assert updated_at(store, table, "x") > TIME

        run(store, f"UPDATE {table} SET {change}, updated_at = ? WHERE id = 'x'", LATER)
        assert updated_at(store, table, "x") == LATER


def test_indexes_and_triggers_have_the_names_that_apps_know(store: Store) -> None:
    indexes = {
        "idx_builder_threads_user_id",
        "idx_builder_threads_updated_at",
        "idx_builder_messages_thread_id",
        "idx_builder_messages_created_at",
        "idx_builder_files_thread_id",
        "idx_builder_files_updated_at",
    }
    triggers = {"trigger_update_builder_thread_timestamp", "trigger_update_builder_file_timestamp"}
    if store.engine.dialect.name == "sqlite":
        found = {name for (name,) in store.engine.fetch_all("SELECT name FROM sqlite_schema")}
    else:
        found = {name for (name,) in store.engine.fetch_all("SELECT relname FROM pg_class")}
        found |= {name for (name,) in store.engine.fetch_all("SELECT tgname FROM pg_trigger")}

    assert indexes | triggers <= found


def test_threads_behind_their_messages_and_paths_that_lead_out_are_told(store: Store) -> None:
    insert(store, "builder_messages", created_at=LATER)
    insert(store, "builder_files", id="fine", file_path="a..b/c")
    assert told(store) == []
    run(store, "UPDATE builder_threads SET updated_at = ? WHERE id = 't'", TIME)
    insert(store, "builder_files", file_path="a/../../b")

    assert told(store) == [("DL-C251", "warning", 1), ("DL-C252", "warning", 1)]
