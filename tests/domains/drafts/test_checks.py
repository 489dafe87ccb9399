"""What check-db finds of drafts where the rules of the database are gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.domains.drafts import CHECKS
from datalayer.schema.repair.repairing import repair
from datalayer.store import check_database, connect
from datalayer.testing.strategies.drafts import make_draft

RULES = [
    "draft_current_own_insert",
    "draft_current_own_update",
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
    yield from unruly_connection(path)


def unruly_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that no rule holds, to a file with drafts of 3 versions and of 1.

    The rules are there again afterwards.
    """
    with connect(path, domains=["drafts"]) as store:
        store.migrate()
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
        for versions in (3, 1):
            made = make_draft(store, user_id="ada", versions=versions).draft
            assert made.current_version_id is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        marks = ", ".join("?" * len(RULES))
        texts = connection.execute(f"SELECT sql FROM sqlite_schema WHERE name IN ({marks})", RULES).fetchall()
        for name in RULES:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for (text,) in texts:
            connection.execute(text)


BROKEN = [
    ("DELETE FROM version WHERE version_number = 2", "DL-C241"),
    ("UPDATE version SET version_number = 7 WHERE version_number = 3", "DL-C241"),
    (
        "UPDATE draft SET current_version_id = (SELECT id FROM version WHERE version_number = 3)",
        "DL-C242",
    ),
    (
        "UPDATE version SET parent_version_id = (SELECT id FROM version WHERE version_number = 3)"
        " WHERE version_number = 2",
        "DL-C243",
    ),
    (
        "UPDATE version SET parent_version_id = (SELECT id FROM version WHERE version_number = 2)"
        " WHERE draft_id <> (SELECT draft_id FROM version WHERE version_number = 2)",
        "DL-C243",
    ),
    ("UPDATE draft SET current_version_id = NULL", "DL-C244"),
]


def test_what_no_rule_kept_out_is_found(unruly: sqlite3.Connection) -> None:
    for statement, finding in BROKEN:
        assert [unruly.execute(rule.sql).fetchall() for rule in CHECKS.values()] == [[]] * len(CHECKS)
        unruly.execute("BEGIN")
        unruly.execute(statement)
        assert unruly.execute(CHECKS[finding].sql).fetchall() != [], statement
        unruly.execute("ROLLBACK")


def test_findings_are_told_with_their_table(unruly: sqlite3.Connection, path: Path) -> None:
    unruly.execute(BROKEN[0][0])

    found = [one for one in check_database(path) if one.id == "DL-C241"]
    assert [(one.severity, one.table, one.count) for one in found] == [("error", "version", 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "current", "parents"), [(2, 3, [None, None]), (3, None, [None, 1])])
def test_a_repair_keeps_the_draft_whose_version_was_lost(
    path: Path, lost: int, current: int | None, parents: list[int | None]
) -> None:
    for connection in unruly_connection(path):
        connection.execute("DELETE FROM version WHERE version_number = ?", (lost,))
    repair(path, yes=True)

    with connect(path, domains=["drafts"]) as store:
        draft = store.drafts.page_for_user("ada").items[1].id
        found = store.drafts.get_current(draft, user_id="ada")
        assert (found.current and found.current.version_number, found.version_count) == (current, 2)
        versions = store.drafts.versions.find(draft_id=draft, order_by="version_number")
        number_of = {one.id: one.version_number for one in versions}
        assert [number_of.get(one.parent_version_id or "") for one in versions] == parents
        assert (
            store.drafts.add_version(draft, "on", user_id="ada").version_number == max(number_of.values()) + 1
        )
