"""The rules of drafts, broken with raw SQL: the database itself says no, on every engine."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import (
    CheckViolation,
    ConstraintViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from datalayer.domains.drafts import CHECKS
from datalayer.schema.check.rule import broken_rules
from datalayer.store import Store

TIME = "2026-03-01T12:00:00.000000Z"
ROWS: dict[str, dict[str, Any]] = {
    "draft": {"id": "x", "user_id": "ada"},
    "version": {"id": "x", "draft_id": "d", "content": "", "version_number": 4},
    "chat_message": {"id": "x", "draft_id": "d", "role": "user", "content": ""},
    "ai_conversation": {"id": "x", "draft_id": "d", "provider": "p", "model": "m"},
}


def run(store: Store, sql: str, *params: Any) -> None:
    store.engine.execute(store.engine.dialect.sql(sql), params)


def insert(store: Store, table: str, **values: Any) -> None:
    row = ROWS[table] | values
    run(store, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def refused(store: Store, kind: type[ConstraintViolation], rule: str | None, sql: str, *params: Any) -> None:
    with pytest.raises(kind) as caught:
        run(store, sql, *params)
    assert caught.value.constraint == rule


def told(store: Store) -> list[tuple[object, ...]]:
    """Give what is found of drafts."""
    found = broken_rules(store.engine, CHECKS, tables=frozenset(ROWS))
    return [(one.id, one.severity, one.count, one.rows) for one in found]


@pytest.fixture(autouse=True)
def rows(store: Store, ada: str) -> None:
    """Draft d with versions 1, 2, 3 in a line, of which the last is current; draft e with one version."""
    for key in ("d", "e"):
        insert(store, "draft", id=key)
        insert(store, "version", id=f"{key}1", draft_id=key, version_number=1)
    for number in (2, 3):
        insert(store, "version", id=f"d{number}", version_number=number, parent_version_id=f"d{number - 1}")
    run(store, "UPDATE draft SET current_version_id = 'd3' WHERE id = 'd'")


def test_a_version_has_the_next_number(store: Store) -> None:
    for number in (1, 3, 5, 0, -1):
        with pytest.raises(CheckViolation) as caught:
            insert(store, "version", version_number=number)
        assert caught.value.constraint == "version_number_next"


def test_one_statement_of_many_versions_is_held_to_the_next_numbers(store: Store) -> None:
    sql = "INSERT INTO version (id, draft_id, content, version_number) VALUES"
    refused(store, CheckViolation, "version_number_next", f"{sql} ('a', 'd', '', 4), ('b', 'd', '', 6)")
    refused(store, CheckViolation, "version_number_next", f"{sql} ('a', 'd', '', 4), ('b', 'd', '', 4)")

    run(store, f"{sql} ('a', 'd', '', 4), ('f', 'e', '', 2), ('b', 'd', '', 5)")
    assert store.drafts.versions.count(draft_id="d") == 5


def test_a_parent_is_an_older_version_of_the_same_draft(store: Store) -> None:
    for parent in ("e1", "x", "absent"):
        with pytest.raises(CheckViolation) as caught:
            insert(store, "version", parent_version_id=parent)
        assert caught.value.constraint == "version_parent_older"


def test_a_parent_is_not_written_after_its_child_in_one_statement(store: Store) -> None:
    sql = "INSERT INTO version (id, draft_id, content, version_number, parent_version_id) VALUES"
    refused(
        store,
        CheckViolation,
        "version_parent_older",
        f"{sql} ('a', 'd', '', 4, 'b'), ('b', 'd', '', 5, NULL)",
    )


def test_the_current_version_is_of_the_same_draft(store: Store) -> None:
    sql = "UPDATE draft SET current_version_id = ? WHERE id = 'd'"
    refused(store, CheckViolation, "draft_current_own", sql, "e1")
    refused(store, ForeignKeyViolation, "draft_current_version", sql, "absent")


def test_a_new_draft_cannot_take_the_version_of_another(store: Store) -> None:
    with pytest.raises(CheckViolation) as caught:
        insert(store, "draft", current_version_id="d1")
    assert caught.value.constraint == "draft_current_own"

    insert(store, "draft")
    sql = "UPDATE draft SET id = 'y', current_version_id = 'e1' WHERE id = 'x'"
    refused(store, CheckViolation, "draft_current_own", sql)


def test_a_version_is_not_changed(store: Store) -> None:
    for change in (
        "version_number = 9",
        "parent_version_id = 'd3'",
        "parent_version_id = NULL",
        "draft_id = 'e'",
        "content = 'other'",
        "id = 'other'",
        "generation_source = 'ai_edit'",
        f"created_at = '{TIME}'",
    ):
        refused(store, CheckViolation, "version_not_changed", f"UPDATE version SET {change} WHERE id = 'd2'")


def test_a_version_is_not_deleted_while_its_draft_is_there(store: Store) -> None:
    for key in ("d1", "d2", "d3", "e1"):
        refused(store, CheckViolation, "version_goes_with_draft", "DELETE FROM version WHERE id = ?", key)


def test_a_version_is_not_replaced(store: Store) -> None:
    with pytest.raises(CheckViolation) as caught:
        insert(store, "version", id="d1")
    assert caught.value.constraint == "version_not_replaced"

    if store.engine.dialect.name == "sqlite":
        sql = (
            "INSERT OR REPLACE INTO version (id, draft_id, content, version_number) VALUES ('d1', 'd', '', 4)"
        )
        refused(store, CheckViolation, "version_not_replaced", sql)


def test_the_key_of_a_draft_with_versions_stays(store: Store) -> None:
    with pytest.raises(ForeignKeyViolation):
        run(store, "UPDATE draft SET id = 'other' WHERE id = 'e'")


def test_a_draft_in_a_circle_with_its_versions_is_deleted(store: Store) -> None:
    insert(store, "chat_message")
    insert(store, "ai_conversation")
    run(store, "DELETE FROM draft WHERE id = 'd'")

    assert store.engine.fetch_all("SELECT id FROM version") == [("e1",)]
    for table in ("chat_message", "ai_conversation"):
        assert store.engine.fetch_one(f"SELECT COUNT(*) FROM {table}") == (0,)


def test_all_drafts_are_deleted_at_once_and_with_their_user(store: Store) -> None:
    run(store, "DELETE FROM draft WHERE id IN ('d', 'absent')")
    run(store, "DELETE FROM users")

    assert store.engine.fetch_one("SELECT COUNT(*) FROM version") == (0,)


def test_what_must_be_there_is_there(store: Store) -> None:
    for table, columns in {
        "draft": ["user_id", "created_at", "updated_at"],
        "version": ["draft_id", "content", "created_at"],
        "chat_message": ["draft_id", "role", "content", "created_at"],
        "ai_conversation": ["draft_id", "provider", "model", "total_tokens", "total_cost", "created_at"],
    }.items():
        for column in columns:
            with pytest.raises((NotNullViolation, CheckViolation)) as caught:
                insert(store, table, **{column: None})
            if isinstance(caught.value, NotNullViolation):
                assert (caught.value.table, caught.value.columns) == (table, (column,))


OUT_OF_RANGE: list[tuple[str, str, object, str]] = [
    ("draft", "title", "x" * 256, "draft_title_length"),
    ("version", "generation_source", "magic", "version_generation_source_known"),
    ("chat_message", "role", "system", "chat_message_role_known"),
    ("ai_conversation", "provider", "", "ai_conversation_provider_length"),
    ("ai_conversation", "provider", "x" * 51, "ai_conversation_provider_length"),
    ("ai_conversation", "model", "x" * 101, "ai_conversation_model_length"),
    ("ai_conversation", "total_tokens", -1, "ai_conversation_total_tokens_range"),
    ("ai_conversation", "total_cost", -1, "ai_conversation_total_cost_range"),
    ("ai_conversation", "total_cost", 10**10, "ai_conversation_total_cost_range"),
]


def test_a_value_out_of_its_range_is_refused(store: Store) -> None:
    for table, column, value, rule in OUT_OF_RANGE:
        with pytest.raises(CheckViolation) as caught:
            insert(store, table, **{column: value})
        assert caught.value.constraint == rule


def test_times_are_times_and_json_is_json(store: Store) -> None:
    for table, column in (
        ("draft", "created_at"),
        ("draft", "updated_at"),
        ("version", "created_at"),
        ("chat_message", "created_at"),
        ("chat_message", "metadata"),
        ("ai_conversation", "created_at"),
    ):
        rule = "json" if column == "metadata" else "utc"
        with pytest.raises(CheckViolation) as caught:
            insert(store, table, **{column: "{never"})
        assert caught.value.constraint in (f"{table}_{column}_{rule}", None)


def test_rows_belong_to_something_that_is_there_and_have_a_key_of_their_own(store: Store) -> None:
    for table in ROWS:
        owner = "user_id" if table == "draft" else "draft_id"
        number = {"version_number": 1} if table == "version" else {}
        with pytest.raises(ForeignKeyViolation) as caught:
            insert(store, table, **{owner: "absent"}, **number)
        assert caught.value.constraint in (f"{table}_{owner.removesuffix('_id')}", None)
        if table != "version":
            insert(store, table)
            with pytest.raises(UniqueViolation):
                insert(store, table)


def test_a_raw_update_records_its_time(store: Store) -> None:
    insert(store, "draft", created_at=TIME, updated_at=TIME)
    run(store, "UPDATE draft SET title = 'new' WHERE id = 'x'")

    found = store.drafts.get("x")
    assert found.updated_at > found.created_at


def test_check_holds_all_rules_of_sound_drafts(store: Store) -> None:
    run(store, "UPDATE draft SET current_version_id = 'e1' WHERE id = 'e'")

    assert told(store) == []


def test_versions_without_a_current_one_are_told(store: Store) -> None:
    assert told(store) == [("DL-C244", "warning", 1, ({"id": "e"},))]
