"""SQLite: settings that are really in force, connections of threads, upkeep of the WAL, and faults."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from datalayer.engine.address import Address
from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.engine.sqlite import SqliteEngine
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable, DataLayerError


def pragma(engine: Engine, name: str) -> object:
    row = engine.fetch_one(f"PRAGMA {name}")
    return row[0] if row else None


def test_every_setting_is_in_force_on_the_connections_of_all_threads(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db", Options(synchronous="FULL", cache_kib=4096))
    found: dict[str, object] = {}

    def look() -> None:
        for name in (
            "journal_mode",
            "foreign_keys",
            "synchronous",
            "cell_size_check",
            "temp_store",
            "cache_size",
        ):
            found[name] = pragma(engine, name)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 2,
        "cell_size_check": 1,
        "temp_store": 2,
        "cache_size": -4096,
    }
    engine.close()


def test_a_setting_that_does_not_take_is_an_error(tmp_path: Path, caplog: object) -> None:
    class WithoutWal(SqliteEngine):
        def _pragmas(self) -> list[tuple[str, str, object]]:
            return [("jurnal_mode", "WAL", "wal")]

    with pytest.raises(DatabaseUnavailable, match="did not take the setting jurnal_mode"):
        WithoutWal(Address.parse(tmp_path / "app.db"), Options())


def test_an_unknown_synchronous_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataLayerError, match="synchronous cannot be 'NORMLA'"):
        open_engine(tmp_path / "app.db", Options(synchronous="NORMLA"))


def test_json_checks_work_in_the_schema_whatever_the_version(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    engine.execute("CREATE TABLE doc (value TEXT CHECK (json_valid(value)))")
    engine.close()

    engine = open_engine(tmp_path / "app.db")
    engine.write("INSERT INTO doc VALUES ('{}')")
    assert engine.fetch_one("SELECT value FROM doc") == ("{}",)
    engine.close()


def test_threads_share_a_database_in_memory() -> None:
    engine = open_engine(":memory:")
    engine.execute("CREATE TABLE item (id INTEGER)")

    def work() -> None:
        for number in range(50):
            engine.write("INSERT INTO item VALUES (?)", (number,))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert engine.fetch_one("SELECT COUNT(*) FROM item") == (200,)
    engine.close()


def test_two_databases_in_memory_are_strangers() -> None:
    one, other = open_engine(":memory:"), open_engine(":memory:")
    one.execute("CREATE TABLE item (id INTEGER)")

    assert other.fetch_all("SELECT name FROM sqlite_schema") == []
    one.close()
    other.close()


def open_files(path: Path) -> int:
    """Count this process's descriptors of a database."""
    folder = Path("/proc/self/fd")
    return sum(1 for link in folder.iterdir() if link.is_symlink() and path == link.readlink())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors as Linux lists them")
def test_connections_of_ended_threads_and_of_a_closed_engine_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    engine = open_engine(path)
    for _ in range(20):
        thread = threading.Thread(target=engine.fetch_one, args=("SELECT 1",))
        thread.start()
        thread.join()
    assert open_files(path) <= 3
    engine.close()

    assert open_files(path) == 0
    assert not path.with_name("app.db-wal").exists()


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    engine.close()

    with pytest.raises(DatabaseUnavailable, match="is closed"):
        engine.execute("SELECT 1")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"folder .*nowhere does not exist"):
        open_engine(tmp_path / "nowhere" / "app.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_file_is_not_made_when_only_looking(tmp_path: Path) -> None:
    for options in (Options(create=False), Options(read_only=True)):
        with pytest.raises(DatabaseUnavailable, match="no such file"):
            open_engine(tmp_path / "app.db", options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not pages\n" * 100)

    with pytest.raises(DatabaseCorrupt, match="is not a database") as raised:
        open_engine(path)
    assert isinstance(raised.value.__cause__, sqlite3.DatabaseError)
    assert path.read_text().startswith("these are notes")


def test_a_read_only_store_reads_and_refuses_to_write(tmp_path: Path) -> None:
    writer = open_engine(tmp_path / "app.db")
    writer.execute("CREATE TABLE item (id INTEGER)")
    reader = open_engine(tmp_path / "app.db", Options(read_only=True))

    assert reader.fetch_all("SELECT * FROM item") == []
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        reader.write("INSERT INTO item VALUES (1)")
    reader.close()
    writer.close()


def test_a_long_read_transaction_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_engine(tmp_path / "app.db", Options(long_read_s=0.0))

    with caplog.at_level(logging.WARNING, "datalayer"), engine.transaction(read=True):
        engine.fetch_one("SELECT COUNT(*) FROM sqlite_schema")

    assert "a read transaction on" in caplog.text
    engine.close()


def test_a_wal_that_a_reader_keeps_growing_is_warned_of_and_emptied_when_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = SqliteEngine(Address.parse(tmp_path / "app.db"), Options(wal_warn_bytes=100_000))
    engine.execute("CREATE TABLE item (body BLOB)")
    reader = open_engine(tmp_path / "app.db")
    with reader.transaction(read=True):
        reader.fetch_one("SELECT COUNT(*) FROM item")
        with engine.transaction():
            engine.execute("INSERT INTO item VALUES (zeroblob(500000))")
        with caplog.at_level(logging.WARNING, "datalayer"):
            emptied = engine.tend_wal()
    assert not emptied
    assert "a reader keeps it from being reset" in caplog.text

    assert engine.tend_wal()
    assert engine.wal_bytes == 0
    engine.close()
    reader.close()


def test_a_full_disk_is_unavailable_and_undoes_the_block(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    engine.execute("CREATE TABLE item (body BLOB)")
    engine.execute("PRAGMA max_page_count = 20")

    with pytest.raises(DatabaseUnavailable, match="disk is full"), engine.transaction():
        for _ in range(100):
            engine.execute("INSERT INTO item VALUES (zeroblob(4000))")

    assert engine.fetch_one("SELECT COUNT(*) FROM item") == (0,)
    engine.close()


def test_many_processes_may_make_the_file_at_the_same_time(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            open_engine(tmp_path / "app.db").close()
        except BaseException as exc:
            errors.append(exc)

    for _ in range(8):
        threads.append(threading.Thread(target=open_it))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_connections_of_its_own(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue("postgres_database") if kind == "postgresql" else tmp_path / "app.db"
    engine = open_engine(target)
    engine.execute("CREATE TABLE item (id INTEGER, who TEXT)")
    insert = engine.dialect.sql("INSERT INTO item VALUES (?, ?)")
    children: list[int] = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for number in range(25):
                    engine.write(insert, (number, "child"))
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    for number in range(25):
        engine.write(insert, (number, "parent"))
        assert engine.fetch_one("SELECT 41 + 1") == (42,)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0, 0]
    assert engine.fetch_all("SELECT who, COUNT(*) FROM item GROUP BY who ORDER BY who") == [
        ("child", 100),
        ("parent", 25),
    ]
    engine.close()
