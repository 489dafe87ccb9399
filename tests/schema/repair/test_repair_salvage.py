"""Damaged pages: salvaged into a new file that takes the old one's place."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.damaged import DAMAGES, digests, expectation, make, problems, rows, spoil_a_page
from support.processes import worker

from datalayer.errors import DatabaseBusy, DatabaseCorrupt
from datalayer.schema.repair.repairing import plan_repair, repair, undo
from datalayer.schema.repair.swap import write_log


@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_damaged_pages_are_salvaged_into_a_sound_file(tmp_path: Path, wal: bool) -> None:
    path = make(tmp_path / "app.db", wal=wal, notes=400)
    spoil_a_page(path, wal=wal)
    path.chmod(0o640)
    before = digests(path)

    plan = plan_repair(path, expectation(tmp_path))
    assert digests(path) == before
    report = repair(path, expectation(tmp_path), yes=True)

    assert (plan.way, report.plan.way) == ("salvage", "salvage")
    assert problems(path) == [] and report.left == ()
    assert rows(path, "SELECT count(*) FROM owners") == [(30,)]
    assert path.stat().st_mode & 0o777 == 0o640
    if wal:
        assert rows(path, "SELECT what FROM log") == [("only in the log",)]
        assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    again = repair(path, expectation(tmp_path))
    assert again.nothing_to_do
    undo(path)
    assert digests(path) == before


def test_output_of_a_salvage_leaves_the_original_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db", notes=400)
    spoil_a_page(path, wal=True)
    before, output = digests(path), tmp_path / "repaired.db"

    repair(path, expectation(tmp_path), output=output)

    assert digests(path) == before
    assert problems(output) == []
    assert sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith("app.db")) == [
        "repaired.db",
        "wanted.sql",
    ]


def test_a_log_that_holds_the_whole_database_hides_whatever_the_main_file_is(tmp_path: Path) -> None:
    new = make(tmp_path / "new.db")
    for number, content in enumerate((os.urandom(30_000), b"SQLite format 3\0" + bytes(5000), bytes(10))):
        path = tmp_path / f"old{number}.db"
        path.write_bytes(content)

        write_log(new, path.with_name(f"{path.name}-wal"))

        assert rows(path, "SELECT count(*) FROM notes") == [(60,)]
        assert problems(path) == []


def test_an_interrupted_transaction_is_rolled_back(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE notes SET title = hex(randomblob(900))")
        for ending in ("", "-journal"):
            shutil.copyfile(f"{path}{ending}", tmp_path / f"cut.db{ending}")
    cut = tmp_path / "cut.db"
    before = digests(cut)

    report = repair(cut, expectation(tmp_path))

    assert [step.action for step in report.plan.steps] == ["recover-log"]
    assert rows(cut, "SELECT title FROM notes WHERE id = 1") == [("note 1",)]
    assert repair(cut, expectation(tmp_path)).nothing_to_do
    undo(cut)
    assert digests(cut) == before


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_beside_an_open_connection_a_file_is_cured_in_place(tmp_path: Path, wal: bool) -> None:
    path = make(tmp_path / "app.db", wal=wal)
    DAMAGES["double-key"](path)

    with worker("support.cut_short", "keep_open", str(path)) as other:
        assert other.line() == "open"
        report = repair(path, expectation(tmp_path), yes=True)
        other.begin()

        assert (report.plan.way, report.left) == ("in-place", ())
        assert other.result() == 28


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])
def test_a_file_that_another_program_has_open_is_not_exchanged(tmp_path: Path, wal: bool) -> None:
    path, wanted = make(tmp_path / "app.db", wal=wal), expectation(tmp_path)
    spoil_a_page(path)

    with worker("support.cut_short", "keep_open", str(path)) as other:
        assert other.line() == "open"
        with pytest.raises(DatabaseBusy, match=f"process {other.process.pid}"):
            repair(path, wanted, yes=True)
        other.begin()
        assert other.result() == 30

    assert repair(path, wanted, yes=True).plan.way == "salvage"


def test_a_file_that_holds_nothing_is_refused_and_left(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_bytes(b"no database at all, only words " * 400)
    (tmp_path / "empty.db").touch()
    before = digests(tmp_path / "app.db")

    for name in ("app.db", "empty.db"):
        with pytest.raises(DatabaseCorrupt):
            repair(tmp_path / name, yes=True)

    assert digests(tmp_path / "app.db") == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["app.db", "empty.db"]


def test_where_another_connection_writes_nothing_is_begun(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    spoil_a_page(path)
    before = digests(path)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            repair(path, yes=True)

    assert digests(path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["app.db"]
