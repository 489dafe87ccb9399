"""`migrations validate`: what it prints, what it answers in JSON, and its exit codes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run
from support.rule_cases import write_files

from datalayer.engine.opening import open_engine
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.run import run as apply

BAD = {
    "0001_a.sql": "CREATE TABLE a (id INTEGER PRIMARY KEY);\n",
    "0001_b.sql": "CREATE TABLE b (id INTEGER);\n",
}
WARNED = {"0001_a.sql": BAD["0001_a.sql"], "0003_b.sql": BAD["0001_b.sql"]}


@pytest.mark.slow
def test_package_has_nothing_to_tell_and_no_database_is_made(run: Run) -> None:
    answer = run("migrations", "validate")

    assert (answer.code, answer.err) == (0, "")
    assert "nothing found" in answer.out
    assert not (Path.home() / "data").exists()


def test_finding_is_told_with_file_line_and_fix(run: Run, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", BAD)

    answer = run("migrations", "validate", "--dir", folder)

    first, fix, last = answer.out.splitlines()
    assert answer.code == 1
    assert first.startswith(f"{folder}/0001_b.sql:1: error J006 ")
    assert fix.strip().startswith("fix: give the newer one")
    assert last.endswith("2 files, 1 error")


def test_json_has_the_findings_whole(run: Run, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", BAD)

    answer = run("migrations", "validate", "--dir", folder, "--json")

    (finding,) = answer.json["findings"]
    assert set(finding) == {"id", "severity", "file", "line", "message", "fix"}
    assert (finding["id"], finding["severity"], finding["line"]) == ("J006", "error", 1)
    assert (answer.json["ok"], answer.json["counts"]["error"], answer.json["files"]) == (False, 1, 2)


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--strict"], 1)])
def test_warnings_alone_are_fine_unless_strict(run: Run, tmp_path: Path, words: list[str], code: int) -> None:
    folder = write_files(tmp_path / "m", WARNED)

    answer = run("migrations", "validate", "--dir", folder, *words)

    assert answer.code == code
    assert "warning J007" in answer.out


def test_folder_of_the_settings_is_looked_at_with_the_code_around_it(run: Run) -> None:
    text = '[tool.datalayer]\nmigrations = "db"\n'
    drop = {"0002_drop.sql": "ALTER TABLE a DROP COLUMN name;\n"}
    write_files(Path.cwd(), {"pyproject.toml": text, "app.py": "QUERY = 'SELECT name FROM a'\n"})
    write_files(Path.cwd() / "db", {"0001_a.sql": "CREATE TABLE a (id INTEGER, name TEXT);\n", **drop})

    answer = run("migrations", "validate")

    assert answer.code == 0
    assert "0002_drop.sql:1: warning R001 a.name goes, and app.py:1 still names it" in answer.out


def test_target_d1_refuses_what_d1_refuses(run: Run, tmp_path: Path) -> None:
    files = {"0001_a.sql": "CREATE TABLE a (id INTEGER PRIMARY KEY);\nPRAGMA user_version = 1;\n"}
    folder = write_files(tmp_path / "m", files)

    assert run("migrations", "validate", "--dir", folder).code == 0
    assert "D005" in run("migrations", "validate", "--dir", folder, "--target", "d1").out


def test_dialect_overrides_the_guess(run: Run, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);\n"}
    )

    assert run("migrations", "validate", "--dir", folder).code == 0
    assert "D005" in run("migrations", "validate", "--dir", folder, "--dialect", "postgresql").out


def test_journal_of_a_database_is_read_where_one_is_given(run: Run, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"0001_a.sql": BAD["0001_a.sql"]})
    with closing(open_engine(tmp_path / "app.db")) as engine:
        apply(engine, Folder(folder), backup=False)
    words = ["migrations", "validate", "--dir", folder, "--database", tmp_path / "app.db", "--json"]

    sound = run(*words)
    write_files(folder, {"0001_a.sql": BAD["0001_b.sql"]})
    changed = run(*words)

    assert (sound.code, sound.json["findings"]) == (0, [])
    assert [one["id"] for one in changed.json["findings"]] == ["J001"]


def test_server_is_asked_for_names_within_queries(run: Run, tmp_path: Path, postgres_database: str) -> None:
    text = "CREATE TABLE notes (id bigserial, body text);\nCREATE VIEW bodies AS SELECT boddy FROM notes;\n"
    folder = write_files(tmp_path / "m", {"0001_notes.sql": text})

    alone = run("migrations", "validate", "--dir", folder)
    asked = run("migrations", "validate", "--dir", folder, "--database", postgres_database)

    assert (alone.code, asked.code) == (0, 1)
    assert "0001_notes.sql:2: error X001" in asked.out


def test_missing_folder_is_refused(run: Run, tmp_path: Path) -> None:
    answer = run("migrations", "validate", "--dir", tmp_path / "nowhere")

    assert answer.code == 5
    assert "cannot read the migrations folder" in answer.err


def test_unknown_dialect_is_a_mistake_of_usage(run: Run) -> None:
    answer = run("migrations", "validate", "--dialect", "sqlit")

    assert answer.code == 2
    assert "`sqlite`" in answer.err


def test_rules_are_listed(run: Run) -> None:
    answer = run("migrations", "validate", "--rules")

    assert answer.code == 0
    assert answer.out.startswith("J001  error")
    assert len(answer.out.splitlines()) == 52
