"""The rules of sessions and their two lists, broken with raw SQL: the database itself says no."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import (
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from datalayer.domains.sessions import Session
from datalayer.store import Store

TIME = "2026-03-01T12:00:00.000000Z"
ROW = {"id": "s", "name": "n", "project_directory": "/app", "project_hash": "a" * 64}
LISTS = ["included_files", "excluded_files"]
RULES = {
    "included_files": "included_files_not_excluded",
    "excluded_files": "excluded_files_not_included",
}


def run(store: Store, sql: str, *params: Any) -> None:
    store.engine.execute(store.engine.dialect.sql(sql), params)


def insert(store: Store, table: str, row: dict[str, Any]) -> None:
    run(store, f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def add_file(store: Store, table: str, path: str | None, session_id: str | None = "s") -> None:
    insert(store, table, {"session_id": session_id, "path": path})


@pytest.fixture(autouse=True)
def session(store: Store) -> None:
    insert(store, "sessions", ROW)
    insert(store, "sessions", ROW | {"id": "t"})


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65])
def test_a_hash_has_64_characters(store: Store, digest: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        insert(store, "sessions", ROW | {"id": "x", "project_hash": digest})

    assert caught.value.constraint == "sessions_project_hash_length"


@pytest.mark.parametrize("column", ["is_regex_active", "search_selected_files_only"])
def test_a_boolean_is_0_or_1(store: Store, column: str) -> None:
    # as a text, since PostgreSQL has booleans of its own; held by the column's type there
    with pytest.raises(CheckViolation) as caught:
        insert(store, "sessions", ROW | {"id": "x", column: "2"})

    assert caught.value.constraint in (f"sessions_{column}_bool", None)


@pytest.mark.parametrize(
    ("table", "column"),
    [("sessions", "created_at"), ("sessions", "updated_at"), *((table, "created_at") for table in LISTS)],
)
def test_a_time_is_a_time(store: Store, table: str, column: str) -> None:
    row = ROW | {"id": "x"} if table == "sessions" else {"session_id": "s", "path": "p"}
    with pytest.raises(CheckViolation) as caught:
        insert(store, table, row | {column: "yesterday at noon"})

    assert caught.value.constraint in (f"{table}_{column}_utc", None)


def test_what_a_session_must_have_it_must_have(store: Store) -> None:
    for column in (
        "name",
        "project_directory",
        "project_hash",
        "task_description",
        "search_term",
        "title_regex",
        "content_regex",
        "negative_title_regex",
        "negative_content_regex",
        "is_regex_active",
        "codebase_structure",
        "search_selected_files_only",
        "created_at",
        "updated_at",
    ):
        with pytest.raises(NotNullViolation) as caught:
            insert(store, "sessions", ROW | {"id": "x", column: None})

        assert (caught.value.table, caught.value.columns) == ("sessions", (column,))


@pytest.mark.parametrize("table", LISTS)
@pytest.mark.parametrize("column", ["session_id", "path", "created_at"])
def test_what_a_file_must_have_it_must_have(store: Store, table: str, column: str) -> None:
    row = {"session_id": "s", "path": "p", "created_at": TIME}
    with pytest.raises(NotNullViolation) as caught:
        insert(store, table, row | {column: None})

    assert (caught.value.table, caught.value.columns) == (table, (column,))


def test_an_id_is_there_once(store: Store) -> None:
    with pytest.raises(UniqueViolation) as caught:
        insert(store, "sessions", ROW)

    assert (caught.value.table, caught.value.columns) == ("sessions", ("id",))


@pytest.mark.parametrize("table", LISTS)
def test_a_path_is_in_a_list_once(store: Store, table: str) -> None:
    add_file(store, table, "p")
    add_file(store, table, "p", "t")
    with pytest.raises(UniqueViolation) as caught:
        add_file(store, table, "p")

    assert (caught.value.table, caught.value.columns) == (table, ("session_id", "path"))


@pytest.mark.parametrize("table", LISTS)
def test_a_path_is_given(store: Store, table: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        add_file(store, table, "")

    assert caught.value.constraint == f"{table}_path_given"


@pytest.mark.parametrize("table", LISTS)
def test_a_file_has_a_session(store: Store, table: str) -> None:
    with pytest.raises(ForeignKeyViolation) as caught:
        add_file(store, table, "p", "absent")

    assert caught.value.constraint in (f"{table}_session", None)


@pytest.mark.parametrize("table", LISTS)
def test_files_go_with_their_session(store: Store, table: str) -> None:
    add_file(store, table, "p")
    add_file(store, table, "p", "t")
    run(store, "DELETE FROM sessions WHERE id = ?", "s")

    assert store.engine.fetch_all(f"SELECT session_id FROM {table}") == [("t",)]


@pytest.mark.parametrize("table", LISTS)
def test_a_path_is_never_in_both_lists(store: Store, table: str) -> None:
    other = LISTS[1 - LISTS.index(table)]
    add_file(store, other, "p")
    add_file(store, table, "p", "t")
    with pytest.raises(CheckViolation) as caught:
        add_file(store, table, "p")

    assert caught.value.constraint == RULES[table]


@pytest.mark.parametrize("table", LISTS)
@pytest.mark.parametrize("change", ["path", "session_id"])
def test_a_path_does_not_come_into_both_lists_by_an_update(store: Store, table: str, change: str) -> None:
    other = LISTS[1 - LISTS.index(table)]
    add_file(store, other, "p")
    add_file(store, table, "p" if change == "session_id" else "q", "t" if change == "session_id" else "s")
    with pytest.raises(CheckViolation) as caught:
        if change == "path":
            run(store, f"UPDATE {table} SET path = ?", "p")
        else:
            run(store, f"UPDATE {table} SET session_id = ?", "s")

    assert caught.value.constraint == RULES[table]


def test_raw_updates_record_their_time(store: Store) -> None:
    insert(store, "sessions", ROW | {"id": "old", "updated_at": TIME, "created_at": TIME})
    run(store, "UPDATE sessions SET name = ? WHERE id = ?", "new", "old")

    found = store.sessions.get("old")
    assert found.updated_at > found.created_at


def test_defaults_are_the_databases_too(store: Store) -> None:
    found = store.sessions.get("s")

    assert (found.task_description, found.is_regex_active, found.model_used) == ("", False, None)
    assert found.created_at.utcoffset() is not None
    assert isinstance(found, Session)
