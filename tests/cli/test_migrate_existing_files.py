"""`datalayer migrate` on files that exist: plans, renames, drops, refusals, as a program and as JSON."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of another program, in rollback-journal mode."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE person (id INTEGER PRIMARY KEY, nme TEXT, note TEXT);"
            "INSERT INTO person VALUES (1, 'Ann', 'x'), (2, 'Ben', NULL);"
        )
    return path


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "wanted.sql"
    path.write_text(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER CHECK (age >= 0));"
        "CREATE UNIQUE INDEX people_name ON people (name);"
    )
    return path


FLAGS = ("--rename", "person=people", "--rename", "person.nme=name", "--drop", "person.note")


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_an_existing_file_is_brought_to_a_schema(run: Run, old: Path, schema: Path) -> None:
    done = run("migrate", "--schema", schema, "--database", old, *FLAGS, "--json")
    again = run("migrate", "--schema", schema, "--database", old, *FLAGS)

    answer = json.loads(done.out)
    assert (done.code, answer["nothing_to_do"], answer["created"]) == (0, False, ["index people_name"])
    assert [(step["name"], step["cost"]) for step in answer["steps"]] == [
        ("people", "rebuild"),
        ("people_name", "scan"),
    ]
    assert rows(old, "SELECT * FROM people") == [(1, "Ann", None), (2, "Ben", None)]
    assert rows(old, "PRAGMA journal_mode") == [("delete",)]
    assert rows(Path(answer["backup"]), "SELECT * FROM person") == [(1, "Ann", "x"), (2, "Ben", None)]
    assert (again.code, "nothing to do" in again.out) == (0, True)


def test_a_plan_shows_cost_and_risk_and_the_command_that_does_it(run: Run, old: Path, schema: Path) -> None:
    before = old.read_bytes()

    planned = run("migrate", "--schema", schema, "--database", old, *FLAGS, "--plan", "--json")
    shown = run("migrate", "--schema", schema, "--database", old, *FLAGS, "--plan")

    answer = json.loads(planned.out)
    step = answer["steps"][0]
    assert (planned.code, shown.code) == (1, 1)
    assert (step["cost"], step["rows"], step["bytes"]) == ("rebuild", 2, 4096)
    assert "1 values of note go" in step["risk"]
    assert "--rename person=people --rename person.nme=name --drop person.note" in answer["next"]
    assert "rebuild" in shown.out
    assert old.read_bytes() == before


def test_a_refusal_names_the_rows_and_changes_nothing(run: Run, old: Path, schema: Path) -> None:
    before = rows(old, "SELECT sql FROM sqlite_schema")

    refused = run("migrate", "--schema", schema, "--database", old, *FLAGS[:4], "--json")
    told = run("migrate", "--schema", schema, "--database", old, *FLAGS[:4])

    answer = json.loads(refused.out)
    assert (refused.code, answer["error"]["code"]) == (5, "DL-E402")
    assert [(one["table"], one["object"], one["rows"]) for one in answer["findings"]] == [
        ("person", "note", [{"id": 1, "note": "x"}])
    ]
    assert "--drop table.column" in told.err
    assert len(told.err.splitlines()) == 3
    assert rows(old, "SELECT sql FROM sqlite_schema") == before


def test_everything_may_go_with_one_word(run: Run, old: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.sql").write_text("CREATE TABLE other (a);")

    done = run(
        "migrate", "--schema", tmp_path / "empty.sql", "--database", old, "--allow-data-loss", "--no-backup"
    )

    assert done.code == 0
    assert rows(old, "SELECT name FROM sqlite_schema") == [("other",)]
    assert list(tmp_path.glob("backups/*")) == []


def test_sql_that_sqlite_refuses_is_named_with_its_line(run: Run, old: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.sql").write_text("CREATE TABLE a (b);\nCREATE TABLE a (c);\n")

    refused = run("migrate", "--schema", tmp_path / "bad.sql", "--database", old)

    assert refused.code == 5
    assert "line 2" in refused.err


@pytest.mark.parametrize(
    "words",
    [
        ("--schema", "a.sql", "--dir", "b"),
        ("--schema", "a.sql", "--to", "0001"),
    ],
)
def test_flags_that_contradict_each_other_are_a_mistake_of_usage(
    run: Run, old: Path, words: tuple[str, ...]
) -> None:
    assert run("migrate", "--database", old, *words).code == 2


def test_a_rename_that_cannot_be_read_is_told(run: Run, old: Path, schema: Path) -> None:
    refused = run("migrate", "--schema", schema, "--database", old, "--rename", "person")

    assert refused.code == 2
    assert "table.old=new" in refused.err
