"""The rules of key_value_store and cached_state, broken with raw SQL: the database itself says no."""

from __future__ import annotations

from typing import Any

import pytest

from datalayer import CheckViolation, ConstraintViolation, NotNullViolation, UniqueViolation
from datalayer.store import Store

TIME = "2026-03-01T12:00:00.000000Z"
HASH = "a" * 64
KV = {"key": "a", "value": "1", "updated_at": TIME, "expires_at": None}
CACHED = {"project_directory": "/app", "project_hash": HASH, **KV}


def insert(store: Store, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
    store.engine.execute(store.engine.dialect.sql(sql), tuple(row.values()))


CHECKS = [
    ("key_value_store", {"key": ""}, "key_value_store_key_given"),
    ("cached_state", {"key": ""}, "cached_state_key_given"),
    ("cached_state", {"project_hash": "a" * 63}, "cached_state_project_hash_length"),
    ("cached_state", {"project_hash": "a" * 65}, "cached_state_project_hash_length"),
]
# held by a CHECK of this name on SQLite, by the column's type on PostgreSQL
TYPED = [
    (table, {column: value}, f"{table}_{column}_{suffix}")
    for table in ("key_value_store", "cached_state")
    for column, suffix, value in [
        ("value", "json", "{"),
        ("value", "json", ""),
        ("value", "json", "[1,]"),
        ("updated_at", "utc", "yesterday at noon"),
        ("expires_at", "utc", "2026-13-41"),
    ]
]


def row_of(table: str) -> dict[str, Any]:
    return dict(KV if table == "key_value_store" else CACHED)


@pytest.mark.parametrize(("table", "change", "rule"), CHECKS)
def test_a_check_names_its_rule(store: Store, table: str, change: dict[str, Any], rule: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        insert(store, table, row_of(table) | change)

    assert caught.value.constraint == rule


@pytest.mark.parametrize(("table", "change", "rule"), TYPED)
def test_a_value_of_the_wrong_form_is_refused(
    store: Store, table: str, change: dict[str, Any], rule: str
) -> None:
    with pytest.raises(CheckViolation) as caught:
        insert(store, table, row_of(table) | change)

    assert caught.value.constraint in (rule, None)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table, column)
        for table, columns in [
            ("key_value_store", ("key", "value", "updated_at")),
            ("cached_state", ("project_directory", "project_hash", "key", "value", "updated_at")),
        ]
        for column in columns
    ],
)
def test_what_must_be_given_must_be_given(store: Store, table: str, column: str) -> None:
    with pytest.raises(NotNullViolation) as caught:
        insert(store, table, row_of(table) | {column: None})

    assert (caught.value.table, caught.value.columns) == (table, (column,))


@pytest.mark.parametrize(
    ("table", "columns"), [("key_value_store", ("key",)), ("cached_state", ("project_hash", "key"))]
)
def test_a_key_is_there_once(store: Store, table: str, columns: tuple[str, ...]) -> None:
    insert(store, table, row_of(table))
    with pytest.raises(UniqueViolation) as caught:
        insert(store, table, row_of(table))

    assert (caught.value.table, caught.value.columns) == (table, columns)


@pytest.mark.parametrize("table", ["key_value_store", "cached_state"])
def test_raw_updates_record_their_time(store: Store, table: str) -> None:
    insert(store, table, row_of(table))
    store.engine.execute(f"UPDATE {table} SET value = '2'")

    row = store.engine.fetch_one(
        store.engine.dialect.sql(f"SELECT COUNT(*) FROM {table} WHERE updated_at > ?"), (TIME,)
    )
    assert row == (1,)


def test_rows_of_raw_sql_are_read_like_others(store: Store) -> None:
    insert(store, "key_value_store", KV | {"value": ' {"a" : [1, 2.50]}'})

    assert store.kv.get("a") == {"a": [1, 2.5]}


def test_a_violation_is_one_class_for_all_rules(store: Store) -> None:
    with pytest.raises(ConstraintViolation):
        insert(store, "key_value_store", KV | {"key": ""})
