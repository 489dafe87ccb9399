"""Files that are missing, empty, foreign, encrypted, not to be written; and companions that do not belong."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.schema.check import Finding, check_file
from datalayer.schema.check.surroundings import file_system_of

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow


def make_database(path: Path, *, mode: str = "DELETE", page_size: int = 4096) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        connection.executemany("INSERT INTO t (a) VALUES (?)", [("some text",)] * 300)
    return path


def log_of(path: Path, folder: Path, *, page_size: int = 4096) -> bytes:
    """The log of another database, with commits in it."""
    other = make_database(folder / "other.db", mode="WAL", page_size=page_size)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("INSERT INTO t (a) VALUES ('theirs')")
        connection.execute("INSERT INTO t (a) VALUES ('theirs')")
        return (folder / "other.db-wal").read_bytes()


def look(path: Path) -> list[Finding]:
    return check_file(path, with_schema=False)


def told(path: Path) -> list[tuple[str, str]]:
    """Give what was found, but for the names of what accounts for every page."""
    return [(found.id, found.severity) for found in look(path) if not found.id.startswith("DL-C1")]


def test_a_missing_file_is_a_finding_that_names_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "app.db-wal").write_bytes(b"x")

    [finding] = look(tmp_path / "app.db")

    assert (finding.id, finding.severity) == ("DL-C070", "error")
    assert "app.db-wal" in finding.message


def test_files_that_are_no_database_are_told_apart(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.db" for name in ("empty", "letter", "encrypted", "header")}
    files["empty"].touch()
    files["letter"].write_text("Dear reader, this is no database. " * 200)
    files["encrypted"].write_bytes(random.Random(1).randbytes(8192))
    data = make_database(files["header"]).read_bytes()
    files["header"].write_bytes(b"\0" * 16 + data[16:])

    found = {name: told(path) for name, path in files.items()}

    assert found == {
        "empty": [("DL-C071", "error")],
        "letter": [("DL-C072", "error")],
        "encrypted": [("DL-C073", "error")],
        "header": [("DL-C084", "error")],
    }
    assert told(tmp_path) == [("DL-C074", "error")]


def test_a_file_and_a_folder_that_may_not_be_written_are_warnings(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db")
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        found = told(path)
    finally:
        tmp_path.chmod(0o755)

    assert found == [("DL-C075", "warning"), ("DL-C077", "warning")]


def test_a_disk_that_is_almost_full_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datalayer.schema.check.surroundings.LEAST_FREE_BYTES", 1 << 60)

    assert told(make_database(tmp_path / "app.db")) == [("DL-C078", "warning")]


def test_the_file_system_is_the_one_of_the_longest_mount_point() -> None:
    mounts = (
        "/dev/sda1 / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\n"
        "//nas/a /home/me/my\\040share cifs rw 0 0\ntmpfs /home/me/local tmpfs rw 0 0\n"
    )

    places = ["/var/a.db", "/home/you/a.db", "/home/me/my share/a.db", "/home/me/local/a.db"]
    assert [file_system_of(Path(place), mounts) for place in places] == ["ext4", "nfs4", "cifs", "tmpfs"]


def test_a_log_beside_a_database_that_has_none_is_not_replayed(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db")
    (tmp_path / "app.db-wal").write_bytes(log_of(path, tmp_path))
    before = path.read_bytes()

    finding = look(path)[0]

    assert (finding.id, finding.severity, finding.object) == ("DL-C079", "error", "-wal")
    assert path.read_bytes() == before


def test_a_log_with_other_pages_is_a_stranger(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db", mode="WAL")
    (tmp_path / "app.db-wal").write_bytes(log_of(path, tmp_path, page_size=1024))

    assert ("DL-C079", "error") in told(path)


def test_a_log_beside_an_empty_file_is_told_before_sqlite_deletes_it(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    path.touch()
    log = log_of(path, tmp_path)
    (tmp_path / "app.db-wal").write_bytes(log)

    assert told(path) == [("DL-C071", "error"), ("DL-C079", "error")]
    assert (tmp_path / "app.db-wal").read_bytes() == log


@pytest.mark.parametrize("frame", [0, 1])
def test_a_frame_that_was_changed_is_found_where_others_follow(tmp_path: Path, frame: int) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    path = make_database(folder / "app.db", mode="WAL")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(4):
            connection.execute("INSERT INTO t (a) VALUES ('x')")
        for file in folder.iterdir():
            shutil.copy(file, tmp_path / file.name)
    log = tmp_path / "app.db-wal"
    data = bytearray(log.read_bytes())
    # the first frame's page is checked by its sum, the later ones' headers by their salts
    place = 32 + frame * (24 + 4096) + (24 + 100 if frame == 0 else 9)
    data[place] ^= 0xFF
    log.write_bytes(data)

    assert told(tmp_path / "app.db") == [("DL-C082", "error")]


def test_a_journal_without_its_header_is_damaged_and_one_of_zeros_is_not(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db")
    journal = tmp_path / "app.db-journal"
    journal.write_bytes(b"\0" * 4096)
    assert told(path) == [("DL-C079", "info")]

    journal.write_bytes(b"something else" * 100)
    assert told(path) == [("DL-C083", "error")]


def test_a_file_that_was_cut_short_is_told_from_its_header(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db")
    os.truncate(path, path.stat().st_size - 4096)

    assert told(path)[0] == ("DL-C084", "error")
