"""repair as a user runs it: what it prints, its exit codes, its JSON."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run
from support.damaged import DAMAGES, SCHEMA, damage, digests, make, rows, spoil_a_page


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "app.db")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "wanted.sql"
    file.write_text(SCHEMA, encoding="utf-8")
    return file


def test_a_sound_database_has_nothing_to_repair(run: Run, migrated: Path) -> None:
    before = digests(migrated)

    answer = run("repair", "--json", "--database", migrated)

    assert (answer.code, answer.json["nothing_to_do"], answer.json["findings"]) == (0, True, [])
    assert digests(migrated) == before
    assert run("repair", "--database", migrated).out == f"{migrated}: nothing to repair\n"


def test_a_dry_run_tells_and_the_repair_does(run: Run, path: Path, schema: Path) -> None:
    damage(path, "DROP INDEX notes_owner_title")
    before = digests(path)

    planned = run("repair", "--dry-run", "--json", "--schema", schema, "--database", path)

    assert planned.code == 1
    [step] = planned.json["steps"]
    assert (step["action"], step["object"], step["lossy"]) == ("schema", "notes_owner_title", False)
    assert planned.json["next"] == f"datalayer repair --schema {schema} --database {path}"
    assert digests(path) == before
    done = run("repair", "--json", "--schema", schema, "--database", path)
    assert (done.code, done.json["steps"], done.json["ok"]) == (0, planned.json["steps"], True)
    assert Path(done.json["evidence"]).is_dir()
    assert run("repair", "--schema", schema, "--database", path).code == 0


def test_what_moves_rows_needs_the_word(run: Run, path: Path, schema: Path) -> None:
    DAMAGES["check"](path)
    before = digests(path)

    refused = run("repair", "--schema", schema, "--database", path)

    assert refused.code == 2 and "--yes" in refused.err
    assert digests(path) == before
    done = run("repair", "--yes", "--schema", schema, "--database", path)
    assert done.code == 0
    assert "the rule notes_stars is broken" in done.out and "1 rows move to lost_and_found" in done.out
    assert "datalayer repair --undo" in done.out


def test_placeholders_are_planned_counted_and_asked_for(run: Run, tmp_path: Path, schema: Path) -> None:
    path = make(tmp_path / "many.db", notes=300)
    damage(path, "DELETE FROM owners WHERE id BETWEEN 10 AND 19")
    words = ("repair", "--schema", schema, "--database", path)

    planned, told, refused = run(*words, "--dry-run", "--json"), run(*words, "--dry-run"), run(*words)

    [step] = [step for step in planned.json["steps"] if step["action"] == "placeholder"]
    assert (step["table"], step["count"], step["lossy"]) == ("owners", 10, True)
    assert "100 of 300 rows of notes would have to move" in step["choice"]
    assert planned.json["tables"]["owners"]["made"] == 10
    assert "placeholders" in told.out and "a backup may still have the rows of owners" in told.out
    assert refused.code == 2 and "10 placeholders are made for lost rows" in refused.err
    done = run(*words, "--yes", "--json")
    assert (done.code, done.json["tables"]["owners"]["made"]) == (0, 10)
    assert rows(path, "SELECT count(*) FROM notes") == [(300,)]
    assert run(*words).code == 0


def test_check_db_repairs_too(run: Run, path: Path, schema: Path) -> None:
    DAMAGES["check"](path)
    words = ("check-db", "--schema", schema, "--database", path)

    checked, refused, done, again = (
        run(*words),
        run(*words, "--repair"),
        run(*words, "--repair", "--yes"),
        run(*words),
    )

    assert (checked.code, refused.code, done.code, again.code) == (1, 2, 0, 0)
    assert run(*words, "--yes").code == 2


def test_undo_gives_the_bytes_back(run: Run, path: Path, schema: Path) -> None:
    nothing = run("repair", "--undo", "--database", path)
    assert nothing.code == 1 and "nothing to go back to" in nothing.err
    DAMAGES["check"](path)
    before = digests(path)
    run("repair", "--yes", "--schema", schema, "--database", path)

    undone = run("repair", "--undo", "--json", "--database", path)

    assert undone.code == 0 and digests(path) == before
    assert Path(undone.json["kept"]).is_dir()


def test_a_copy_of_the_original_that_was_changed_is_not_put_back(run: Run, path: Path) -> None:
    DAMAGES["check"](path)
    kept = run("repair", "--yes", "--no-schema", "--json", "--database", path).json["evidence"]
    before = digests(path)
    with (Path(kept) / "app.db").open("rb+") as file:
        file.write(b"x")

    answer = run("repair", "--undo", "--database", path)

    assert answer.code == 4 and "sha256" in answer.err
    assert digests(path) == before


def test_damaged_pages_are_salvaged(run: Run, path: Path, schema: Path) -> None:
    spoil_a_page(path)

    planned = run("repair", "--dry-run", "--schema", schema, "--database", path)
    done = run("repair", "--yes", "--json", "--schema", schema, "--database", path)

    assert planned.code == 1 and "salvage" in planned.out
    assert (done.code, done.json["way"]) == (0, "salvage")
    assert done.json["tables"]["owners"]["kept"] == 30
    assert run("repair", "--schema", schema, "--database", path).code == 0


def test_output_needs_no_word_and_leaves_the_original(run: Run, path: Path, schema: Path) -> None:
    DAMAGES["check"](path)
    before, output = digests(path), path.with_name("repaired.db")

    answer = run("repair", "--output", output, "--schema", schema, "--database", path)

    assert answer.code == 0 and str(output) in answer.out
    assert digests(path) == before
    assert rows(output, "SELECT count(*) FROM notes WHERE stars > 5") == [(0,)]
    assert run("repair", "--output", output, "--database", path).code == 3


def test_an_app_brings_its_own_rules(run: Run, path: Path, schema: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    rule = {"sql": "SELECT id FROM notes WHERE title = 'note 7'", "message": "{count} notes are seven"}
    file.write_text(json.dumps({"no-seven": rule}), encoding="utf-8")

    words = ("repair", "--rules", file, "--schema", schema, "--json", "--database", path)
    refused, done, again = run(*words), run(*words, "--yes"), run(*words)

    assert (refused.code, done.code, again.code) == (2, 0, 0)
    assert done.json["steps"][0]["reason"] == "1 notes are seven"
    assert rows(path, "SELECT count(*) FROM notes WHERE title = 'note 7'") == [(0,)]


def test_what_is_left_to_people_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES gone);")
        connection.execute("INSERT INTO c (p_id) VALUES (1)")
        connection.commit()

    answer = run("repair", "--no-schema", "--json", "--database", path)

    assert answer.code == 1
    assert [one["id"] for one in answer.json["findings"]] == ["DL-C010"]


def test_files_that_cannot_be_repaired_are_told_by_their_exit_code(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, only words\n" * 400, encoding="utf-8")

    assert run("repair", "--yes", "--database", tmp_path / "text.db").code == 4
    assert run("repair", "--database", tmp_path / "missing.db").code == 3
    assert run("repair", "--database", ":memory:").code == 2
    assert run("repair", "--undo", "--dry-run", "--database", tmp_path / "text.db").code == 2
    assert run("repair", "--schema", "a", "--no-schema", "--database", tmp_path / "text.db").code == 2


def test_while_another_program_writes_nothing_is_begun(run: Run, path: Path) -> None:
    DAMAGES["check"](path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        answer = run("repair", "--yes", "--no-schema", "--database", path)

    assert answer.code == 3 and "in use" in answer.err
