from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.commands import Run
from support.migration_folder import folder_of, make_drizzle_folder, make_folder

from datalayer.engine.opening import open_engine
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.run import run as apply


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    open_engine(path).close()
    return path


def _apply(database: Path, folder: Folder, *, to: str | None = None) -> None:
    engine = open_engine(database)
    apply(engine, folder, to=to, backup=False)
    engine.close()


def test_list_shows_a_line_a_file_with_time_cost_and_checksum(
    run: Run, database: Path, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)")
    _apply(database, folder)

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", database)

    assert answer.code == 0
    first = folder.files()[0].checksum_raw[:8]
    pattern = rf"\[x\] 0001_step  \d{{4}}-\d\d-\d\d \d\d:\d\d  \d+ ms  sha256:{first}"
    assert re.fullmatch(pattern, answer.out.splitlines()[0])
    assert len(answer.out.splitlines()) == 2


def test_list_marks_what_is_pending_and_says_what_to_run(run: Run, database: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)")
    _apply(database, folder, to="0001_step")

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", database)

    second = folder.files()[1].checksum_raw[:8]
    assert answer.code == 1
    assert answer.out.splitlines()[1] == f"[ ] 0002_step  sha256:{second}"
    assert answer.out.splitlines()[2].startswith(f"next: datalayer migrate --dir {tmp_path / 'm'}")


def test_list_marks_files_that_were_changed_and_those_that_are_gone(
    run: Run, database: Path, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)")
    _apply(database, folder)
    make_folder(tmp_path / "m", {"0001_step.sql": "CREATE TABLE a (y)"})
    (tmp_path / "m" / "0002_step.sql").unlink()

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", database)

    lines = answer.out.splitlines()
    assert answer.code == 1
    assert lines[0].startswith("[!] 0001_step")
    assert "changed, now sha256:" in lines[0]
    assert lines[1].startswith("[?] 0002_step")
    assert lines[1].endswith("its file is gone")
    assert [line[:4] for line in lines[2:]] == ["J001", "J004"]


def test_list_gives_everything_as_json(run: Run, database: Path, tmp_path: Path) -> None:
    folder = make_drizzle_folder(
        tmp_path / "m", {"0000_a": "CREATE TABLE a (x)", "0001_b": "CREATE TABLE IF NOT EXISTS a (x)"}
    )
    _apply(database, folder, to="0000_a")

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", database, "--json")

    document = answer.json
    applied, pending = document["migrations"]
    assert (answer.code, document["ok"], document["layout"]) == (1, False, "drizzle")
    assert document["counts"] == {"applied": 1, "pending": 1, "changed": 0, "stopped": 0, "missing": 0}
    assert (applied["name"], applied["state"], applied["when"]) == ("0000_a", "applied", 1)
    assert applied["journal"]["statements_done"] == 1
    assert applied["journal"]["checksum_raw"] == folder.files()[0].checksum_raw
    assert (pending["state"], pending["journal"], pending["applied_at"]) == ("pending", None, None)
    assert [one["id"] for one in document["findings"]] == ["pending"]


def test_list_shows_names_that_old_code_left_without_journal(
    run: Run, database: Path, tmp_path: Path
) -> None:
    engine = open_engine(database)
    engine.execute("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
    engine.write("INSERT INTO migrations (name, applied_at) VALUES ('0001_step', '2024-05-06 07:08:09')")
    engine.write("INSERT INTO migrations (name, applied_at) VALUES ('0002_step', 'yesterday')")
    engine.close()
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)")

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", database)

    sums = [file.checksum_raw[:8] for file in folder.files()]
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"[x] 0001_step  2024-05-06 07:08  sha256:{sums[0]}",
        f"[x] 0002_step  sha256:{sums[1]}",
    ]


def test_list_without_folder_is_about_the_packages_own(run: Run, migrated: Path) -> None:
    answer = run("migrations", "list", "--database", migrated)

    assert answer.code == 0
    assert answer.out.startswith("[x] 0001_foundation  ")


def test_list_takes_the_folder_of_the_project(
    run: Run, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    folder_of(project / "db" / "steps", "CREATE TABLE a (x)")
    (project / "pyproject.toml").write_text('[tool.datalayer]\nmigrations = "db/steps"\n', encoding="utf-8")
    monkeypatch.chdir(project / "db")

    answer = run("migrations", "list", "--database", database, "--json")

    assert answer.json["folder"] == str(project / "db" / "steps")
    (project / "pyproject.toml").write_text("[tool.datalayer]\nmigrations = 3\n", encoding="utf-8")
    assert run("migrations", "list", "--database", database).code == 2


def test_list_of_a_missing_database_or_folder_says_so(run: Run, database: Path, tmp_path: Path) -> None:
    assert run("migrations", "list", "--database", tmp_path / "none.db").code == 3
    answer = run("migrations", "list", "--database", database, "--dir", tmp_path / "none")
    assert answer.code == 5
    assert "cannot read the migrations folder" in answer.err


def test_list_reads_postgresql(run: Run, postgres_database: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x integer); INSERT INTO a VALUES (0)")
    engine = open_engine(postgres_database)
    apply(engine, folder)
    text = "VACUUM a; SELECT 1 / x FROM a"
    folder_of(tmp_path / "m", "CREATE TABLE a (x integer); INSERT INTO a VALUES (0)", text)
    with pytest.raises(Exception, match="division by zero"):
        apply(engine, folder, backup=False)
    engine.close()

    answer = run("migrations", "list", "--dir", tmp_path / "m", "--database", postgres_database)

    lines = answer.out.splitlines()
    assert answer.code == 1
    assert lines[0].startswith("[x] 0001_step  20")
    assert lines[1].startswith("[~] 0002_step")
    assert lines[1].endswith("1 of 2 statements applied")


# -- new -----------------------------------------------------------------------------------------


def test_new_makes_the_first_file_and_its_folder(run: Run, tmp_path: Path) -> None:
    answer = run("migrations", "new", "add_notes", "--dir", tmp_path / "m")

    path = tmp_path / "m" / "0001_add_notes.sql"
    assert (answer.code, answer.out.strip()) == (0, str(path))
    assert path.read_text(encoding="utf-8").startswith("-- Add notes\n")
    assert [file.name for file in Folder(tmp_path / "m").files()] == ["0001_add_notes"]
    assert Folder(tmp_path / "m").files()[0].statements() == []


@pytest.mark.parametrize(
    ("there", "made"),
    [
        (["0009_a.sql"], "0010_b.sql"),
        (["9_a.sql"], "10_b.sql"),
        (["001-a.py"], "002-b.sql"),
        (["99_a.sql"], "100_b.sql"),
        (["000001_a.up.sql", "000001_a.down.sql"], "000002_b.up.sql"),
        (["0001_a.sql", "0007_x.down.sql"], "0008_b.sql"),
        (["notes.sql", "consolidated_migrations.sql"], "0001_b.sql"),
        (["99990102030405_a.sql"], "99990102030406_b.sql"),
    ],
)
def test_new_numbers_as_the_folder_does(run: Run, tmp_path: Path, there: list[str], made: str) -> None:
    make_folder(tmp_path / "m", dict.fromkeys(there, ""))

    answer = run("migrations", "new", "b", "--dir", tmp_path / "m", "--json")

    assert Path(answer.json["path"]).name == made
    assert Folder(tmp_path / "m").files()[-1].source.name == made


def test_new_numbers_by_time_where_the_folder_does(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "m", {"20240102030405_a.sql": ""})

    name = Path(run("migrations", "new", "b", "--dir", tmp_path / "m").out.strip()).name

    assert re.fullmatch(r"20[2-9]\d{11}_b\.sql", name)
    assert name > "20250101000000"


def test_new_makes_a_python_file_that_can_be_applied(run: Run, database: Path, tmp_path: Path) -> None:
    run("migrations", "new", "fill-notes", "--python", "--dir", tmp_path / "m")
    engine = open_engine(database)

    done = apply(engine, Folder(tmp_path / "m"), store_of=lambda engine: engine)

    assert done.applied == ("0001_fill-notes",)
    engine.close()


@pytest.mark.parametrize("name", ["Add Notes", "../x", "a__b", "_a", "é", "a.sql", "", "a" * 101])
def test_new_refuses_a_name_that_is_no_slug(run: Run, tmp_path: Path, name: str) -> None:
    answer = run("migrations", "new", name, "--dir", tmp_path / "m")

    assert answer.code == 2
    assert not (tmp_path / "m").exists()


def test_new_suggests_a_better_name(run: Run, tmp_path: Path) -> None:
    assert "try add_notes_2" in run("migrations", "new", "Add notes (2)", "--dir", tmp_path / "m").err


def test_new_tells_of_a_file_of_the_same_name(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "m", {"0001_a.sql": ""})

    answer = run("migrations", "new", "a", "--dir", tmp_path / "m", "--json")

    assert answer.code == 0
    assert [one["id"] for one in answer.json["findings"]] == ["J008"]


def test_new_leaves_a_drizzle_folder_to_drizzle(run: Run, tmp_path: Path) -> None:
    make_drizzle_folder(tmp_path / "m", {"0000_a": ""})

    answer = run("migrations", "new", "b", "--dir", tmp_path / "m")

    assert answer.code == 5
    assert "drizzle-kit generate --custom --name=b" in answer.err
    assert sorted(entry.name for entry in (tmp_path / "m").iterdir()) == ["0000_a.sql", "meta"]


def test_new_without_a_folder_of_the_apps_own_is_refused(run: Run) -> None:
    answer = run("migrations", "new", "b")

    assert answer.code == 2
    assert "--dir" in answer.err


def test_new_says_so_where_the_folder_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("", encoding="utf-8")

    assert run("migrations", "new", "b", "--dir", tmp_path / "m").code == 5
