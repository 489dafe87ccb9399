"""What a check and a refused start leave behind: nothing, in whatever state the files are."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from support.processes import worker

from datalayer.errors import DatabaseCorrupt
from datalayer.schema.check import Finding, check_file
from datalayer.schema.check.guard import Policy, damage_before_opening
from datalayer.store import connect

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

Make = Callable[[Path], Path]


def files_of(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def ids(findings: Sequence[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def look(path: Path, *, quick: bool = False) -> list[Finding]:
    return check_file(path, quick=quick, with_schema=False)


def in_wal_mode(folder: Path) -> Path:
    path = folder / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        connection.execute("INSERT INTO t (a) VALUES ('first')")
    return path


def with_log(folder: Path) -> Path:
    """A database whose writer was killed: the log holds three commits, the shared memory is there."""
    origin = folder.with_name(f"{folder.name}-origin")
    origin.mkdir()
    path = in_wal_mode(origin)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for number in range(3):
            connection.execute("INSERT INTO t (a) VALUES (?)", (f"late {number}",))
        for file in origin.iterdir():
            shutil.copy(file, folder / file.name)
    return folder / path.name


def without_shared_memory(folder: Path) -> Path:
    path = with_log(folder)
    (folder / "app.db-shm").unlink()
    return path


def with_damaged_log(folder: Path) -> Path:
    path = without_shared_memory(folder)
    with (folder / "app.db-wal").open("r+b") as file:
        file.seek(5)
        file.write(b"\xff\xff")
    return path


def in_rollback_mode(folder: Path) -> Path:
    path = folder / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        connection.executemany("INSERT INTO t (a) VALUES (?)", [("x" * 500,)] * 500)
    return path


def with_hot_journal(folder: Path) -> Path:
    origin = folder.with_name(f"{folder.name}-origin")
    origin.mkdir()
    path = in_rollback_mode(origin)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET a = replace(a, 'x', 'y')")
        for file in origin.iterdir():
            shutil.copy(file, folder / file.name)
    return folder / path.name


STATES: dict[str, tuple[Make, list[str]]] = {
    "in WAL mode, closed": (in_wal_mode, []),
    "with a log": (with_log, []),
    "with a log, no shared memory": (without_shared_memory, []),
    "with a damaged log": (with_damaged_log, ["DL-C082"]),
    "in rollback mode": (in_rollback_mode, []),
    "with a hot journal": (with_hot_journal, ["DL-C080"]),
}


@pytest.mark.parametrize("state", STATES)
def test_checking_leaves_every_file_as_it_was(state: str, tmp_path: Path) -> None:
    make, expected = STATES[state]
    folder = tmp_path / "files"
    folder.mkdir()
    path = make(folder)
    before = files_of(folder)

    full, quick = look(path), look(path, quick=True)

    # what accounts for every page has names of its own for it
    told = [id_ for id_ in ids(full) if not id_.startswith("DL-C1")]
    assert (told, ids(quick)) == (expected, expected)
    assert files_of(folder) == before


def test_checking_beside_a_writer_of_another_process_changes_no_byte(tmp_path: Path) -> None:
    path = in_wal_mode(tmp_path)
    sql = "INSERT INTO t (a) VALUES ('in the middle')"
    with worker("support.lock_holding", "write_on", str(path), sql) as writer:
        assert writer.line() == "holding"
        before = files_of(tmp_path)

        assert look(path) == []

        assert files_of(tmp_path) == before
        assert {"app.db-shm", "app.db-wal"} <= before.keys()


def test_a_file_that_is_locked_names_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datalayer.schema.check.checking.BUSY_TIMEOUT_S", 0.05)
    path = in_rollback_mode(tmp_path)
    with worker("support.lock_holding", "write_on", str(path), "DELETE FROM t", "EXCLUSIVE") as writer:
        assert writer.line() == "holding"

        [finding] = look(path)

        assert (finding.id, finding.severity) == ("DL-C076", "error")
        assert f"process {writer.process.pid}" in finding.message


def test_checking_an_open_file_keeps_the_locks_of_this_process(tmp_path: Path) -> None:
    path = in_rollback_mode(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert look(path) == []

        with worker("support.lock_holding", "write_on", str(path), "DELETE FROM t") as other:
            # a lock that was dropped would let it in
            assert other.line() == ""


def test_commits_in_a_damaged_log_survive_a_refused_start(tmp_path: Path) -> None:
    path = with_damaged_log(make_folder(tmp_path))
    before = files_of(path.parent)

    with pytest.raises(DatabaseCorrupt, match="damaged") as caught:
        connect(path)

    assert files_of(path.parent) == before
    assert f"datalayer repair --database {path}" in (caught.value.hint or "")


def test_a_damaged_file_can_be_opened_read_only(tmp_path: Path) -> None:
    path = with_damaged_log(make_folder(tmp_path))
    log = path.with_name("app.db-wal").read_bytes()

    with connect(path, on_corruption="read-only") as store:
        assert store.engine.fetch_one("SELECT count(*) FROM t") == (1,)
        assert store.engine.read_only

    assert path.with_name("app.db-wal").read_bytes() == log


def test_a_damaged_file_can_be_repaired_and_opened(tmp_path: Path) -> None:
    path = with_damaged_log(make_folder(tmp_path))

    with connect(path, on_corruption="repair") as store:
        rows = store.engine.fetch_all("SELECT a FROM t ORDER BY id")

    assert [row[0] for row in rows] == ["first", "late 0", "late 1", "late 2"]


@pytest.mark.parametrize("answer", ["raise", "read-only", None])
def test_a_function_decides_about_a_damaged_file(tmp_path: Path, answer: Policy | None) -> None:
    path = with_damaged_log(make_folder(tmp_path))
    asked: list[tuple[Path, list[str]]] = []

    def decide(damaged: Path, findings: Sequence[Finding]) -> Policy | None:
        asked.append((damaged, ids(findings)))
        return answer

    if answer == "raise":
        with pytest.raises(DatabaseCorrupt):
            connect(path, on_corruption=decide)
    else:
        connect(path, on_corruption=decide).close()
    assert asked == [(path, ["DL-C082"])]


def test_a_sound_file_in_any_state_opens_without_a_word(tmp_path: Path) -> None:
    for number, (make, expected) in enumerate(STATES.values()):
        if "DL-C082" not in expected:
            folder = tmp_path / str(number)
            folder.mkdir()
            assert damage_before_opening(make(folder)) == []


def test_a_transaction_of_another_process_is_no_damage(tmp_path: Path) -> None:
    path, sql = in_rollback_mode(tmp_path), "INSERT INTO t (a) VALUES (1)"
    # its journal gets its magic when it is on the disk, before the first page of the database is written
    with worker("support.lock_holding", "write_on", str(path), sql, "IMMEDIATE", "FULL") as writer:
        assert writer.line() == "holding"

        assert damage_before_opening(path) == []


def make_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder
