"""`migrations squash` and `migrations verify` at the command line."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import Run

from datalayer.engine.opening import open_engine
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.run import run as apply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "steps"
    root.mkdir()
    (root / "0001_note.sql").write_text("CREATE TABLE note (id INTEGER PRIMARY KEY);\n")
    (root / "0002_text.sql").write_text("ALTER TABLE note ADD COLUMN text TEXT;\n")
    return root


def test_squash_writes_the_file_once(run: Run, folder: Path) -> None:
    first = run("migrations", "squash", "--dir", folder, "--json")
    second = run("migrations", "squash", "--dir", folder, "--json")

    assert (first.code, first.json["changed"], first.json["objects"]) == (0, True, 1)
    assert (second.code, second.json["changed"]) == (0, False)
    text = (folder / "consolidated_migrations.sql").read_text()
    assert text.endswith("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);\n")
    assert [path.name for path in sorted(folder.iterdir())][-1] == "consolidated_migrations.sql"


def test_squash_check_shows_what_is_out_of_date_and_writes_nothing(run: Run, folder: Path) -> None:
    run("migrations", "squash", "--dir", folder)
    (folder / "0003_more.sql").write_text("CREATE TABLE more (a TEXT);\n")
    before = (folder / "consolidated_migrations.sql").read_text()

    answer = run("migrations", "squash", "--dir", folder, "--check")
    told = run("migrations", "squash", "--dir", folder, "--check", "--json").json

    assert answer.code == 1
    assert "+CREATE TABLE more (a TEXT);" in answer.out
    assert (told["ok"], told["findings"][0]["id"]) == (False, "V003")
    assert (folder / "consolidated_migrations.sql").read_text() == before


@pytest.mark.slow
def test_squash_check_of_the_package_s_own_files_is_clean(run: Run) -> None:
    assert run("migrations", "squash", "--check").code == 0


def test_squash_writes_elsewhere(run: Run, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "schema.sql"

    assert run("migrations", "squash", "--dir", folder, "--output", target).code == 0
    assert "CREATE TABLE note" in target.read_text()
    assert not (folder / "consolidated_migrations.sql").exists()


def test_squash_writes_through_a_link_and_into_a_pipe(run: Run, folder: Path, tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "schema.sql", tmp_path / "link.sql", tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    target.write_text("old")
    link.symlink_to(target)

    assert run("migrations", "squash", "--dir", folder, "--output", link).code == 0
    assert run("migrations", "squash", "--dir", folder, "--output", pipe).code == 0
    assert b"CREATE TABLE note" in os.read(reader, 10_000)
    os.close(reader)
    assert link.is_symlink()
    assert "CREATE TABLE note" in target.read_text()
    assert pipe.is_fifo()


def test_squash_refuses_what_it_cannot_prove(run: Run, folder: Path) -> None:
    (folder / "0003_now.sql").write_text("INSERT INTO note (text) VALUES (datetime('now'));\n")

    answer = run("migrations", "squash", "--dir", folder)

    assert answer.code == 5
    assert "differ from run to run: column text" in answer.err
    assert not (folder / "consolidated_migrations.sql").exists()


def test_python_migrations_are_squashed_with_a_store(run: Run, folder: Path) -> None:
    (folder / "0003_fill.py").write_text(
        "def up(store):\n    store.engine.write(\"INSERT INTO note (text) VALUES ('hello')\")\n"
    )

    assert run("migrations", "squash", "--dir", folder).code == 0
    assert "(1, 'hello');" in (folder / "consolidated_migrations.sql").read_text()


def test_verify_finds_drift_and_the_sql_that_closes_it(run: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    (folder / "0003_index.sql").write_text("CREATE INDEX note_text ON note (text, id);\n")
    with closing(open_engine(path)) as engine:
        apply(engine, Folder(folder), backup=False)
    assert run("migrations", "verify", "--dir", folder, "--database", path).code == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX note_text")

    answer = run("migrations", "verify", "--dir", folder, "--database", path)
    told = run("migrations", "verify", "--dir", folder, "--database", path, "--json").json

    assert answer.code == 1
    assert "CREATE INDEX note_text ON note (text, id);" in answer.out
    assert told["closing"] == ["CREATE INDEX note_text ON note (text, id)"]
    assert [one["id"] for one in told["findings"]] == ["V001"]


def test_verify_without_a_database_looks_at_the_folder(run: Run, folder: Path) -> None:
    (folder / "consolidated_migrations.sql").write_text("CREATE TABLE note (id INTEGER PRIMARY KEY);\n")

    answer = run("migrations", "verify", "--dir", folder, "--json")

    assert (answer.code, answer.json["findings"][0]["id"]) == (1, "V002")


def test_verify_of_a_missing_database_is_unavailable(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("migrations", "verify", "--dir", folder, "--database", tmp_path / "no.db").code == 3
