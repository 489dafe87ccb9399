"""`er` draws a live schema on both engines, changes nothing and answers in JSON."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.commands import Run


@pytest.mark.parametrize("notation", ["mermaid", "svg", "dot"])
def test_er_draws_the_packages_schema_on_either_engine(run: Run, database: str, notation: str) -> None:
    answer = run("er", "--format", notation, "--database", database)

    assert (answer.code, answer.err) == (0, "")
    assert "background_jobs" in answer.out
    assert "included_files" in answer.out
    if notation == "svg":
        ElementTree.fromstring(answer.out)


def test_er_without_a_word_is_mermaid(run: Run, database: str) -> None:
    answer = run("er", "--database", database)

    assert answer.out.startswith("erDiagram\n")
    assert '    sessions ||--o{ included_files : "session_id"' in answer.out.splitlines()


def test_er_tells_tables_and_references_as_json(run: Run, database: str) -> None:
    told = run("er", "--format", "dot", "--database", database, "--json").json

    assert (told["ok"], told["format"]) == (True, "dot")
    assert told["text"].startswith("digraph schema {")
    assert {"sessions", "background_jobs"} <= {one["name"] for one in told["tables"]}
    assert {"table", "columns", "parent", "is_optional"} <= set(told["references"][0])


def test_er_writes_nothing_to_the_file(run: Run, migrated: Path) -> None:
    before = migrated.read_bytes()
    run("er", "--format", "svg", "--database", migrated)

    assert migrated.read_bytes() == before


def test_er_of_a_database_without_tables_is_an_empty_diagram(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    assert run("er", "--database", path).out == "erDiagram\n"
    assert run("er", "--database", path, "--format", "dot").code == 0


def test_er_of_what_is_not_there_or_unknown_is_an_error(run: Run, tmp_path: Path, migrated: Path) -> None:
    assert run("er", "--database", tmp_path / "none.db").code == 3
    assert run("er", "--format", "png", "--database", migrated).code == 2
    nothing = tmp_path / "text.db"
    nothing.write_text("no database at all, but a text that is long enough to be looked at" * 20)
    assert run("er", "--database", nothing).code == 4
