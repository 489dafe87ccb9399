"""`datalayer migrations adopt`: a dry run by default, a word to write, an exit code for each answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run

from datalayer.engine.opening import open_engine

Make = Callable[..., Path]
USERS = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
JOURNAL = ("CREATE TABLE schema_migrations (version varchar(128) primary key)",)
APPLIED = (*JOURNAL, "INSERT INTO schema_migrations VALUES ('0001')")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "my migrations"
    root.mkdir()
    (root / "0001_users.sql").write_text(f"{USERS};\n", encoding="utf-8")
    (root / "0002_age.sql").write_text("ALTER TABLE users ADD COLUMN age INTEGER;\n", encoding="utf-8")
    return root


def test_the_folder_may_be_named_in_the_project_as_for_the_other_commands(
    run: Run, folder: Path, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.datalayer]\nmigrations = "my migrations"\n')
    monkeypatch.chdir(tmp_path)

    answer = run("migrations", "adopt", "--json", "--database", make(USERS, *APPLIED))

    assert [each["name"] for each in answer.json["files"]] == ["0001_users", "0002_age"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a SQLite file by some statements."""

    def make_file(*statements: str) -> Path:
        path = tmp_path / "app.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            for sql in statements:
                connection.execute(sql)
        return path

    return make_file


def test_a_dry_run_shows_each_file_and_exits_1(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, *APPLIED)

    answer = run("migrations", "adopt", "--dir", folder, "--database", path)

    lines = answer.out.splitlines()
    assert answer.code == 1
    assert lines[0].split() == ["tool", "journal", "entries"]
    assert lines[1].split() == ["dbmate", "schema_migrations", "1"]
    assert lines[3].split() == ["0001_users", "applied", "dbmate", "schema_migrations", "number"]
    assert lines[4].split() == ["0002_age", "pending"]
    assert lines[5] == f"{path}: 1 to take over, 1 pending; nothing was changed"
    assert lines[6] == f"next: datalayer migrations adopt --dir '{folder}' --yes --database {path}"


def test_a_dry_run_writes_nothing(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, *APPLIED)
    before = path.read_bytes()

    run("migrations", "adopt", "--dir", folder, "--database", path)

    assert path.read_bytes() == before


def test_the_word_writes_and_the_next_call_has_nothing_to_do(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, *APPLIED)

    done = run("migrations", "adopt", "--dir", folder, "--yes", "--database", path)
    again = run("migrations", "adopt", "--dir", folder, "--database", path)

    assert (done.code, again.code) == (0, 0)
    assert "1 taken over, 1 pending" in done.out
    assert "nothing to take over, 1 pending" in again.out
    assert f"next: datalayer migrate --dir '{folder}'" in done.out


def test_json_tells_journals_files_and_what_is_pending(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, *APPLIED)

    told = run("migrations", "adopt", "--dir", folder, "--database", path, "--json").json

    assert told["ok"] is False
    assert told["journals"] == [{"tool": "dbmate", "table": "schema_migrations", "entries": 1}]
    assert told["files"][0] == {
        "name": "0001_users",
        "state": "applied",
        "origin": "dbmate schema_migrations",
        "by": "number",
        "applied_at": None,
    }
    assert (told["to_adopt"], told["adopted"], told["pending"]) == (["0001_users"], [], ["0002_age"])
    assert (told["shape_matches"], told["extra"], told["findings"]) == (True, [], [])


def test_a_dirty_version_is_refused_with_5(run: Run, make: Make, folder: Path) -> None:
    path = make(
        USERS,
        "CREATE TABLE schema_migrations (version uint64, dirty bool)",
        "INSERT INTO schema_migrations VALUES (1, 1)",
    )

    answer = run("migrations", "adopt", "--dir", folder, "--yes", "--database", path, "--json")

    assert answer.code == 5
    assert "dirty" in answer.error["why"]
    assert answer.json["findings"][0]["id"] == "A005"


def test_a_schema_that_no_file_leads_to_is_refused_with_5(run: Run, make: Make, folder: Path) -> None:
    path = make("CREATE TABLE users (id TEXT)")

    answer = run("migrations", "adopt", "--dir", folder, "--database", path)

    assert answer.code == 5
    assert "nearest is 0001_users" in answer.err


def test_what_an_old_program_made_is_taken_over_by_its_shape(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, "CREATE TABLE mine (x)")

    answer = run("migrations", "adopt", "--dir", folder, "--yes", "--database", path)

    assert answer.code == 0
    assert "besides, made by no file: mine" in answer.out


def test_a_finding_stands_in_a_line_of_its_own(run: Run, make: Make, folder: Path) -> None:
    path = make(USERS, *APPLIED, "INSERT INTO schema_migrations VALUES ('0009')")

    answer = run("migrations", "adopt", "--dir", folder, "--database", path)

    assert "error J004 0009: dbmate schema_migrations calls 0009 applied" in answer.out


def test_the_packages_own_database_has_nothing_to_take_over(run: Run, migrated: Path) -> None:
    run("migrations", "adopt", "--yes", "--database", migrated)

    answer = run("migrations", "adopt", "--database", migrated, "--json")

    assert (answer.code, answer.json["nothing_to_do"], answer.json["pending"]) == (0, True, [])


def test_a_missing_database_is_an_error_and_is_not_made(run: Run, tmp_path: Path, folder: Path) -> None:
    answer = run("migrations", "adopt", "--dir", folder, "--yes", "--database", tmp_path / "none.db")

    assert answer.code == 3
    assert not (tmp_path / "none.db").exists()


def test_a_missing_folder_is_refused(run: Run, make: Make, tmp_path: Path) -> None:
    answer = run("migrations", "adopt", "--dir", tmp_path / "none", "--database", make(USERS))

    assert answer.code == 5
    assert "cannot read the migrations folder" in answer.err


def test_postgresql_is_taken_over_in_the_same_way(run: Run, postgres_database: str, folder: Path) -> None:
    with closing(open_engine(postgres_database)) as engine:
        for sql in (USERS, *APPLIED):
            engine.write(sql)

    planned = run("migrations", "adopt", "--dir", folder, "--database", postgres_database, "--json")
    done = run("migrations", "adopt", "--dir", folder, "--yes", "--database", postgres_database, "--json")

    assert (planned.code, done.code) == (1, 0)
    assert done.json["adopted"] == ["0001_users"]
    assert (planned.json["shape_matches"], done.json["shape_matches"]) == (True, True)
