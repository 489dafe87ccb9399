"""What check-db finds of drafts where the rules of the database are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.store import check_database, connect
from datalayer.testing.strategies.drafts import make_draft

RULES = [
    "version_number_next",
    "version_parent_older",
    "version_not_replaced",
    "version_not_changed",
    "version_goes_with_draft",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def unruly(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that no rule holds, to a file with the drafts d (3 versions) and e (1 version)."""
    with connect(path, domains=["drafts"]) as store:
        store.migrate()
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        for versions in (3, 1):
            made = make_draft(store, user_id="ada", versions=versions).draft
            assert made.current_version_id is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for name in RULES:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


@pytest.mark.parametrize(
    ("statement", "finding", "table"),
    [
        ("DELETE FROM version WHERE version_number = 2", "DL-C241", "version"),
        ("UPDATE version SET version_number = 7 WHERE version_number = 3", "DL-C241", "version"),
        (
            "UPDATE draft SET current_version_id = (SELECT id FROM version WHERE version_number = 3)",
            "DL-C242",
            "draft",
        ),
        (
            "UPDATE version SET parent_version_id = (SELECT id FROM version WHERE version_number = 3)"
            " WHERE version_number = 2",
            "DL-C243",
            "version",
        ),
        (
            "UPDATE version SET parent_version_id = (SELECT id FROM version WHERE version_number = 2)"
            " WHERE draft_id <> (SELECT draft_id FROM version WHERE version_number = 2)",
            "DL-C243",
            "version",
        ),
    ],
)
def test_what_no_rule_kept_out_is_found(
    unruly: sqlite3.Connection, path: Path, statement: str, finding: str, table: str
) -> None:
    unruly.execute(statement)

    found = [one for one in check_database(path) if one.id == finding]
    assert [(one.severity, one.table) for one in found] == [("error", table)]
    assert found[0].count == len(found[0].rows) >= 1
