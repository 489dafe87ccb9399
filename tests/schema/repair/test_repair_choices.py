"""What becomes of rows, one kind of damage after the other: kept, changed, moved, and how that is told."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.damaged import DAMAGES, damage, digests, expectation, make, problems, rows

from datalayer.errors import DatabaseUnavailable, MigrationRefused, NotFound
from datalayer.schema.check.rule import read_rules
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.repairing import plan_repair, repair, undo
from datalayer.schema.target import target_of

LOST = 'SELECT "table", row_id, reason, width, c0, c1, c2, c3 FROM lost_and_found ORDER BY id'


def test_a_row_that_leaves_its_table_is_in_lost_and_found_with_every_value(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET stars = 9 WHERE id = 7")

    report = repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT count(*) FROM notes WHERE id = 7") == [(0,)]
    reason = "the rule notes_stars is broken"
    assert rows(path, LOST)[:1] == [("notes", 7, reason, 6, 7, 8, 20, "note 7")]
    assert [str(step) for step in report.plan.steps][:1] == [
        "the rule notes_stars is broken: 1 rows move to lost_and_found"
    ]
    outcome = report.plan.tables["notes"]
    assert (outcome.kept, outcome.moved, outcome.changed) == (59, 1, 0)


def test_what_hangs_on_a_row_that_leaves_goes_with_it(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET owner_id = 777 WHERE id = 11")

    repair(path, expectation(tmp_path), yes=True)

    assert [row[0] for row in rows(path, LOST)] == ["notes", "tags"]
    assert rows(path, "SELECT count(*) FROM tags WHERE note_id = 11") == [(0,)]


def test_a_reference_that_says_set_null_keeps_its_row_and_lost_and_found_its_value(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET editor_id = 777 WHERE id = 12")

    report = repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT editor_id FROM notes WHERE id = 12") == [(None,)]
    assert [row[6] for row in rows(path, LOST)] == [777]
    assert report.plan.tables["notes"].changed == 1


def test_a_null_takes_the_default_of_its_column(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    DAMAGES["null-with-default"](path)

    repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT DISTINCT title FROM notes WHERE id IN (3, 4)") == [("untitled",)]


def test_a_text_that_does_not_decode_is_kept_as_its_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    DAMAGES["utf-8"](path)

    repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT c3 FROM lost_and_found WHERE width = 6") == [(b"A\xffB",)]


def test_a_text_of_a_database_in_utf_16_stays_a_text(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    damage(path, "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT, b INTEGER CHECK (b > 0))")
    damage(path, "INSERT INTO t VALUES ('señor', -1)")

    repair(path, yes=True)

    assert rows(path, "SELECT c0, c1 FROM lost_and_found") == [("señor", -1)]


def test_of_rows_with_the_same_key_the_first_one_stays(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", notes=0)
    DAMAGES["double-key"](path)

    repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT id FROM owners WHERE name = 'owner 1'") == [(1,)]
    assert rows(path, "SELECT row_id FROM lost_and_found WHERE width = 3") == [(2,), (3,)]


def test_values_of_another_storage_class_are_stored_as_their_column_does(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    DAMAGES["storage-class"](path)

    report = repair(path, expectation(tmp_path))

    assert rows(path, "SELECT title FROM notes WHERE id = 9") == [("12",)]
    assert not report.plan.is_lossy


def test_triggers_do_not_fire_for_a_cure(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET stars = 9 WHERE id = 7")

    repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT count(*) FROM log") == [(0,)]
    assert rows(path, "SELECT name FROM sqlite_schema WHERE type = 'trigger'") == [("notes_gone",)]


def test_where_many_rows_would_go_placeholders_are_made_for_what_they_refer_to(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", notes=300)
    damage(path, "DELETE FROM owners WHERE id BETWEEN 10 AND 19")

    report = repair(path, expectation(tmp_path), yes=True)

    assert problems(path) == [] and report.left == ()
    assert rows(path, "SELECT count(*) FROM notes") == [(300,)]
    gone = "SELECT name, email FROM owners WHERE id BETWEEN 10 AND 19"
    assert rows(path, gone) == [(f"lost {number}", None) for number in range(10, 20)]
    outcome = report.plan.tables["owners"]
    assert (outcome.kept, outcome.made) == (20, 10)
    [step] = [step for step in report.plan.steps if step.action == "placeholder"]
    assert "10 placeholders are made, else 100 of 300 rows of notes would have to move" in step.choice
    assert "a backup may still have the rows of owners" in step.choice


def test_lost_and_found_names_each_placeholder_so_that_it_can_be_deleted(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", notes=300)
    damage(path, "DELETE FROM owners WHERE id BETWEEN 10 AND 19")

    repair(path, expectation(tmp_path), yes=True)

    named = "SELECT row_id FROM lost_and_found WHERE \"table\" = 'owners'"
    reason = "reason = 'placeholder for a lost row'"
    assert rows(path, f"{named} AND {reason}") == [(number,) for number in range(10, 20)]
    damage(path, f"DELETE FROM owners WHERE id IN ({named} AND {reason})")
    assert rows(path, "SELECT count(*) FROM owners") == [(20,)]


def test_of_rows_that_refer_to_gone_ones_few_move(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", notes=300)
    damage(path, "DELETE FROM owners WHERE id = 10")

    report = repair(path, expectation(tmp_path), yes=True)

    outcome = report.plan.tables["notes"]
    assert (outcome.kept, outcome.moved, report.plan.tables["owners"].made) == (290, 10, 0)
    assert rows(path, "SELECT count(*) FROM owners WHERE id = 10") == [(0,)]


def test_rows_that_refer_to_a_table_that_does_not_exist_are_left_to_people(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    script = "CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES p);"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.executemany("INSERT INTO c (p_id) VALUES (?)", ((number,) for number in range(100)))
        connection.commit()

    report = repair(path, yes=True)

    assert [(one.id, one.count, one.repair) for one in report.left] == [("DL-C010", 100, "manual")]
    assert rows(path, "SELECT count(*) FROM c") == [(100,)]


def test_an_app_table_called_lost_and_found_is_left_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "CREATE TABLE lost_and_found (thing TEXT)", "UPDATE notes SET stars = 9 WHERE id = 7")

    repair(path, expectation(tmp_path), yes=True)

    assert rows(path, "SELECT count(*) FROM lost_and_found") == [(0,)]
    assert rows(path, "SELECT row_id FROM lost_and_found_2 WHERE width = 6") == [(7,)]


def test_a_lossy_plan_needs_the_word_and_changes_nothing_without_it(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET stars = 9 WHERE id = 7")
    before, names = digests(path), sorted(one.name for one in tmp_path.iterdir())

    with pytest.raises(MigrationRefused) as refused:
        repair(path)

    assert [step["table"] for step in refused.value.findings] == ["notes", "tags"]
    assert digests(path) == before
    assert sorted(one.name for one in tmp_path.iterdir()) == names


def test_without_a_schema_what_the_file_says_of_itself_counts(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "UPDATE notes SET stars = 9 WHERE id = 7", "DROP VIEW titles")

    report = repair(path, yes=True)

    assert [step.action for step in report.plan.steps] == ["move", "move"]
    assert rows(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'titles'") == [(0,)]


def test_rows_that_a_rule_names_move_and_rules_that_name_none_are_left(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    file = tmp_path / "rules.json"
    rules = {
        "no-five": {"sql": "SELECT id, title FROM notes WHERE stars = 5"},
        "few": {"sql": "SELECT count(*) FROM owners HAVING count(*) > 5", "severity": "warning"},
    }
    file.write_text(json.dumps(rules), encoding="utf-8")
    wanted = Expectation(expectation(tmp_path).target, read_rules(file))

    report = repair(path, wanted, yes=True)

    assert rows(path, "SELECT count(*) FROM notes WHERE stars = 5") == [(0,)]
    assert [(one.id, one.severity) for one in report.left] == [("few", "warning")]
    assert repair(path, wanted).plan.steps == ()


def test_output_leaves_the_original_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", wal=True)
    DAMAGES["check"](path)
    before, output = digests(path), tmp_path / "repaired.db"

    report = repair(path, expectation(tmp_path), output=output)

    assert digests(path) == before
    assert (report.output, report.evidence) == (output, None)
    assert problems(output) == [] and rows(output, "SELECT count(*) FROM lost_and_found") == [(2,)]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.db", "repaired.db", "wanted.sql"]
    with pytest.raises(DatabaseUnavailable, match="a file of that name"):
        repair(path, output=output)


def test_undo_keeps_what_it_replaces_and_knows_when_there_is_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    with pytest.raises(NotFound):
        undo(path)
    damage(path, "DROP INDEX notes_owner_title")
    damaged = digests(path)
    repair(path, expectation(tmp_path))
    damage(path, "INSERT INTO owners VALUES (99, 'new', 'new')")
    later = digests(path)

    done = undo(path)

    assert digests(path) == damaged
    assert done.kept is not None and digests(done.kept / "app.db") == later


def test_what_was_done_is_written_beside_the_original_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "DROP INDEX notes_owner_title")

    report = repair(path, expectation(tmp_path))

    assert report.evidence is not None
    assert json.loads((report.evidence / "report.json").read_text(encoding="utf-8")) == report.as_object()


def test_a_plan_says_what_the_repair_then_does(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    damage(path, "DROP INDEX notes_owner_title", "DELETE FROM owners WHERE id = 5")

    plan = plan_repair(path, expectation(tmp_path))

    report = repair(path, expectation(tmp_path), yes=True)
    assert report.plan == plan


def test_the_schema_of_an_older_database_is_left_to_migrations(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE a (id INTEGER PRIMARY KEY);", encoding="utf-8")
    (folder / "0002_second.sql").write_text("CREATE TABLE b (id INTEGER PRIMARY KEY);", encoding="utf-8")
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE a (id INTEGER PRIMARY KEY);"
            "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT);"
            "INSERT INTO migrations (name) VALUES ('0001_first');"
        )

    report = repair(path, Expectation(target_of(folder=folder)))

    assert report.nothing_to_do
    assert [(one.id, one.object) for one in report.left] == [("DL-C030", "0002_second")]
