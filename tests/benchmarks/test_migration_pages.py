"""The page that compares migrators shows the saved results; tools are asked what they have words for."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.source_tree import ROOT

sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the installed package

from benchmarks.harness import Row, Table, read_reports
from benchmarks.peers.migrators import TOOLS, CannotExpress, changes_of, read_wish
from benchmarks.peers.migrators.wish import done_around

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "migration-peers.md"


@pytest.mark.parametrize("name", ["migrators", "rebuild"])
def test_page_shows_the_saved_results(name: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    reports, facts = read_reports(RESULTS / f"{name}.json")

    assert [table.title for report in reports for table in report.tables if table.render() not in page] == []
    assert facts["scale"] == 1.0
    assert f"Python {facts['python']}, SQLite {facts['sqlite']}" in page.replace("\n", " ")


def test_saved_results_name_every_tool_and_none_was_left_out() -> None:
    document = json.loads((RESULTS / "migrators.json").read_text(encoding="utf-8"))
    (outcomes, _) = document["reports"][0]["tables"]

    assert [row["name"] for row in outcomes["rows"]] == ["datalayer", *TOOLS]
    assert [note for note in outcomes["notes"] if "left out" in note] == []


def test_every_case_has_one_outcome_for_every_tool() -> None:
    reports, _ = read_reports(RESULTS / "migrators.json")
    outcomes, causes = reports[0].tables
    silent = {row.name: row.cells["silent damage"] for row in outcomes.rows}

    assert len({sum(value or 0 for value in row.cells.values()) for row in outcomes.rows}) == 1
    assert {row.name: sum(value or 0 for value in row.cells.values()) for row in causes.rows} == silent


def test_numbers_of_things_have_no_decimals() -> None:
    table = Table("Cases", ["passed", "seconds"], [Row("one", {"passed": 1234, "seconds": 1.5})])

    assert table.render().splitlines()[-1].split() == ["one", "1,234", "1.50"]


def make(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def test_wish_says_in_words_what_differs(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT, b INTEGER DEFAULT 1, c);")
    script = (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, n TEXT NOT NULL, b TEXT DEFAULT 2, d REAL CHECK (d > 0));"
    )

    (wish,) = read_wish(path, script, {"p.a": "n"}).tables

    assert dict(wish.renames) == {"a": "n"}
    assert dict(wish.not_null) == {"a": True}
    assert [(name, column.type) for name, column in wish.types.items()] == [("b", "TEXT")]
    assert dict(wish.defaults) == {"b": "2"}
    assert ([c.name for c in wish.added], [c.name for c in wish.dropped]) == (["d"], ["c"])
    assert [check.expression for check in wish.new_checks] == ["d > 0"]
    assert wish.beyond == ()


def test_reference_follows_its_parent_without_being_asked(tmp_path: Path) -> None:
    before = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (r REFERENCES p (id));"
    after = "CREATE TABLE q (id INTEGER PRIMARY KEY); CREATE TABLE c (r REFERENCES q (id));"

    wish = read_wish(make(tmp_path / "a.db", before), after, {"p": "q"})

    assert [(one.table, one.new_name) for one in wish.tables] == [("p", "q")]


def test_what_no_word_is_for_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE p (a TEXT PRIMARY KEY, b TEXT);")
    script = "CREATE TABLE p (a TEXT PRIMARY KEY, b TEXT COLLATE NOCASE) WITHOUT ROWID;"

    (wish,) = read_wish(path, script, {}).tables

    assert set(wish.beyond) == {"WITHOUT ROWID", "the collation of b"}


def test_nothing_is_wished_where_only_the_layout_differs(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "CREATE TABLE p (a TEXT, b TEXT); CREATE INDEX i ON p (a);")

    assert read_wish(path, 'create table "p" (a TEXT , b TEXT); create index i on p (a)', {}).is_empty


def test_views_on_views_go_and_come_back_together(tmp_path: Path) -> None:
    before = "CREATE TABLE p (a); CREATE VIEW v AS SELECT a FROM p; CREATE VIEW w AS SELECT a FROM v;"
    after = "CREATE TABLE p (b); CREATE VIEW v AS SELECT b AS a FROM p; CREATE VIEW w AS SELECT a FROM v;"
    path = make(tmp_path / "a.db", before)
    wish = read_wish(path, after, {"p.a": "b"})

    with closing(sqlite3.connect(path)) as connection:
        around = done_around(connection, wish)
        next(around)
        views_before = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
        connection.execute("ALTER TABLE p RENAME COLUMN a TO b")
        next(around)
        views_after = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()

    assert views_before == []
    assert views_after == [("v",), ("w",)]


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_renames_a_column_where_it_is_installed(tool: str, tmp_path: Path) -> None:
    changes, left_out = changes_of({tool: TOOLS[tool]})
    path = make(
        tmp_path / "a.db", "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO p VALUES (1, 'x');"
    )
    script = "CREATE TABLE p (id INTEGER PRIMARY KEY, b TEXT);"

    for change in changes.values():
        change(path, read_wish(path, script, {"p.a": "b"}))

    wanted = "b" if changes else "a"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT id, {wanted} FROM p").fetchall() == [(1, "x")]
    assert len(changes) + len(left_out) == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_is_not_asked_what_it_has_no_words_for(tool: str, tmp_path: Path) -> None:
    changes, _ = changes_of({tool: TOOLS[tool]})
    path = make(tmp_path / "a.db", "CREATE TABLE p (a TEXT PRIMARY KEY);")
    before = path.read_bytes()
    wish = read_wish(path, "CREATE TABLE p (a TEXT PRIMARY KEY) WITHOUT ROWID;", {})

    for change in changes.values():
        with pytest.raises(CannotExpress, match="WITHOUT ROWID"):
            change(path, wish)

    assert path.read_bytes() == before
