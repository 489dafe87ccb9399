"""Killed at every step, and out of room at any: what is there is the original or the repaired database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.damaged import DAMAGES, damage, digests, expectation, make, problems, rows, spoil_a_page
from support.processes import worker

from datalayer.schema.repair.repairing import repair

STATE = "SELECT (SELECT count(*) FROM owners), (SELECT group_concat(what) FROM log)"


def prepare_logical(path: Path) -> None:
    make(path, wal=True)
    DAMAGES["check"](path)
    damage(path, "DROP INDEX notes_owner_title")


def prepare_salvage(path: Path) -> None:
    make(path, notes=200)
    spoil_a_page(path, wal=True)


def prepare_journal(path: Path) -> None:
    """Damage a page and leave a hot journal: SQLite rolls a transaction back when it opens the file."""
    make(path, notes=200)
    whole = path.with_name("whole.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE owners SET email = hex(randomblob(400))")
        for ending in ("", "-journal"):
            shutil.copyfile(f"{path}{ending}", f"{whole}{ending}")
    for ending in ("", "-journal"):
        Path(f"{whole}{ending}").replace(f"{path}{ending}")
    spoil_a_page(path)


def as_read(path: Path) -> object:
    """Give what a reader finds who opens the files as they lie: rows, or that the file is damaged."""
    copy = path.with_name("reader")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for ending in ("", "-wal", "-journal"):
        if Path(f"{path}{ending}").exists():
            shutil.copyfile(f"{path}{ending}", copy / f"app.db{ending}")
    try:
        found = (rows(copy / "app.db", STATE), problems(copy / "app.db") == [])
    except sqlite3.DatabaseError as exc:
        found = ("unreadable", exc.sqlite_errorname)
    shutil.rmtree(copy)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "last"), [(prepare_logical, 0), (prepare_salvage, 25), (prepare_journal, 25)]
)
def test_killed_at_any_step_leaves_the_original_or_the_repaired_database(
    tmp_path: Path, prepare: Callable[[Path], None], last: int
) -> None:
    template = tmp_path / "template"
    template.mkdir()
    prepare(template / "app.db")
    original = as_read(template / "app.db")

    with worker("support.cut_short", "killed", "repair", str(template), str(tmp_path), last) as one:
        numbers = one.result()

    repaired = as_read(tmp_path / "counted" / "app.db")
    assert original != repaired
    seen: set[str] = set()
    for number in numbers:
        folder = tmp_path / f"killed{number}"
        path = folder / "app.db"
        found = as_read(path)
        assert found in (original, repaired), f"killed before step {number}"
        seen.add("original" if found == original else "repaired")
        report = repair(path, expectation(folder), yes=True)
        assert report.left == () and as_read(path) == repaired, f"after being killed before step {number}"
        assert not [one.name for one in folder.iterdir() if one.name.startswith(".")]
    assert seen == {"original", "repaired"}


@pytest.mark.slow
def test_an_undo_killed_at_any_step_leaves_the_repaired_or_the_original_database(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    prepare_salvage(template / "app.db")
    original, bytes_before = as_read(template / "app.db"), digests(template / "app.db")
    repair(template / "app.db", expectation(template), yes=True)
    repaired = as_read(template / "app.db")

    with worker("support.cut_short", "killed", "undo", str(template), str(tmp_path), 60) as one:
        numbers = one.result()

    assert digests(tmp_path / "counted" / "app.db") == bytes_before
    found = [as_read(tmp_path / f"killed{number}" / "app.db") for number in numbers]
    assert all(one in (original, repaired) for one in found)
    assert original in found and repaired in found


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [prepare_logical, prepare_salvage])
def test_where_the_disk_is_full_the_original_stays(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(tmp_path / "app.db")
    path = tmp_path / "app.db"
    original, size = as_read(path), path.stat().st_size
    names = sorted(one.name for one in tmp_path.iterdir())

    for limit in (size // 2, size - 4096, size):
        with worker("support.cut_short", "limited_repair", str(path), limit) as one:
            error = one.result()
        if not error:
            assert as_read(path) != original
            break
        assert error == "DatabaseUnavailable"
        assert as_read(path) == original
        assert [one.name for one in tmp_path.iterdir() if one.name not in (*names, "wanted.sql")] == []
