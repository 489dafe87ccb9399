"""`migrations rehearse` at the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.commands import Run

from datalayer import connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "steps"
    root.mkdir()
    return root


@pytest.fixture
def founded(tmp_path: Path) -> Path:
    """A SQLite file with what is always there: six tables, to be filled for each file that is rehearsed."""
    with connect(tmp_path / "founded.db", domains=[]) as store:
        store.migrate()
    return tmp_path / "founded.db"


def test_losses_are_told_statement_by_statement_and_nothing_is_written(
    run: Run, founded: Path, folder: Path
) -> None:
    (folder / "0002_drop.sql").write_text("-- away\nDROP TABLE sessions;\n")
    before = hashlib.sha256(founded.read_bytes()).hexdigest()

    answer = run("migrations", "rehearse", "--dir", folder, "--as-tool", "plain", "--database", founded)
    told = run(
        "migrations", "rehearse", "--dir", folder, "--as-tool", "plain", "--database", founded, "--json"
    ).json

    assert answer.code == 1
    assert "rows: sessions 3 -> none, included_files 3 -> 0" in answer.out
    assert "error D002" in answer.out
    assert told["statements"][0]["rows"]["sessions"] == {"before": 3, "after": None}
    assert (told["ok"], told["tool"], told["counts"]["error"] > 0) == (False, "plain", True)
    assert set(told["findings"][0]) == {"id", "severity", "file", "line", "message", "fix"}
    assert told["filled"]["background_jobs"] == 3
    assert hashlib.sha256(founded.read_bytes()).hexdigest() == before


def test_a_harmless_file_is_clean(run: Run, founded: Path, folder: Path) -> None:
    (folder / "0002_note.sql").write_text("ALTER TABLE sessions ADD COLUMN note TEXT;\n")

    answer = run("migrations", "rehearse", "--dir", folder, "--database", founded)

    assert answer.code in (0, 1)
    assert "column sessions.note made" in answer.out
    assert "1 file rehearsed as datalayer" in answer.out


def test_python_files_get_a_store_of_the_copy(run: Run, founded: Path, folder: Path) -> None:
    (folder / "0002_fill.py").write_text(
        "def up(store):\n    store.kv.set('greeting', 'hello')\n    store.data_dir.mkdir(exist_ok=True)\n"
    )

    answer = run("migrations", "rehearse", "--dir", folder, "--rows", "real", "--database", founded, "--json")

    assert answer.json["statements"][0]["rows"] == {"key_value_store": {"before": 0, "after": 1}}


def test_nothing_pending_is_fine(run: Run, migrated: Path) -> None:
    answer = run("migrations", "rehearse", "--database", migrated)

    assert answer.code == 0
    assert "nothing is pending" in answer.out


def test_an_unknown_tool_is_a_mistake_of_usage(run: Run, migrated: Path) -> None:
    answer = run("migrations", "rehearse", "--as-tool", "dbmat", "--database", migrated)

    assert answer.code == 2
    assert "there is no tool 'dbmat'" in answer.err
