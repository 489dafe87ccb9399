from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sqlite3
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseCorrupt, DatabaseUnavailable
from datalayer.schema.backup import BackupResult, backup
from datalayer.schema.backup_postgres import address_for_programs
from datalayer.schema.check import check
from datalayer.testing._postgres_binaries import find_binaries
from datalayer.testing.postgres import PostgresServer

ODD = 'a\ttab, \\ and "quotes"\nand é; \\.'


@pytest.fixture
def filled(migrated_engine: Engine) -> Engine:
    engine = migrated_engine
    engine.write('CREATE TABLE "odd name" (id INTEGER PRIMARY KEY, "select" TEXT)')
    mark = engine.dialect.placeholder
    for number in range(20):
        engine.write(
            f'INSERT INTO "odd name" (id, "select") VALUES ({mark}, {mark})', (number, f"{number} {ODD}")
        )
    return engine


def no_pg_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def test_a_backup_is_verified_whole_and_private(
    filled: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pg_dump(monkeypatch)
    target = tmp_path / "copies" / "one.bak"
    target.parent.mkdir()

    result = backup(filled, target)

    assert result.path == target
    assert result.rows["odd name"] == 20
    assert (result.rows["migrations"],) == filled.fetch_one("SELECT count(*) FROM migrations")
    assert (result.size_bytes, result.sha256) == (
        target.stat().st_size,
        hashlib.sha256(target.read_bytes()).hexdigest(),
    )
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in target.parent.iterdir()) == ["one.bak", "one.bak.json"]


def test_an_existing_file_is_never_overwritten(filled: Engine, tmp_path: Path) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("precious")

    with pytest.raises(DatabaseUnavailable, match="there is a file of that name"):
        backup(filled, target)

    assert target.read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(filled: Engine, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot write the backup"):
        backup(filled, tmp_path / "nowhere" / "copy.db")


def test_a_database_in_memory_needs_a_place() -> None:
    engine = open_engine(":memory:")

    with pytest.raises(DatabaseUnavailable, match="no place is given"):
        backup(engine)
    engine.close()


def test_progress_is_told_up_to_the_end(filled: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    backup(filled, tmp_path / "copy", progress=lambda done, total: told.append((done, total)))

    assert told[-1][0] == told[-1][1] > 0


# -- SQLite ------------------------------------------------------------------------------------------------


@pytest.fixture
def file_engine(migrated_file: Path) -> Iterator[Engine]:
    opened = open_engine(migrated_file.rename(migrated_file.with_name("app.v1.db")))
    yield opened
    opened.close()


def test_the_default_name_tells_database_time_and_migration(file_engine: Engine) -> None:
    first, second = backup(file_engine), backup(file_engine)

    assert file_engine.path is not None
    assert first.path.parent == file_engine.path.parent / "backups"
    assert first.path.name.startswith("app.v1-20")
    newest = file_engine.fetch_one("SELECT max(name) FROM migrations")
    assert newest is not None
    assert first.path.name.endswith(f"Z-{newest[0]}.db")
    assert first.path < second.path
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700


def test_a_backup_of_sqlite_is_a_database_of_one_file(file_engine: Engine, tmp_path: Path) -> None:
    result = backup(file_engine, tmp_path / "copy.db")

    assert result.kind == "sqlite"
    connection = sqlite3.connect(result.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    copy = open_engine(result.path)
    assert check(copy) == []
    copy.close()


def test_a_backup_beside_a_busy_writer_is_of_one_moment(file_engine: Engine, tmp_path: Path) -> None:
    file_engine.write("CREATE TABLE pair (a INTEGER, b INTEGER, filler TEXT)")
    with file_engine.transaction():
        for number in range(3000):
            file_engine.write("INSERT INTO pair VALUES (?, ?, ?)", (number, number, "x" * 1000))
    is_over = threading.Event()
    rounds: list[int] = []

    def write() -> None:
        engine = open_engine(str(file_engine.path))
        while not is_over.is_set():
            with engine.transaction():
                engine.write("UPDATE pair SET a = a + 1")
                engine.write("UPDATE pair SET b = b + 1")
            rounds.append(1)
        engine.close()

    writer = threading.Thread(target=write)
    writer.start()
    results: list[BackupResult] = []
    while len(rounds) < 3 or len(results) < 3:
        results.append(backup(file_engine, tmp_path / f"copy{len(results)}.db"))
    is_over.set()
    writer.join()

    for result in results:
        connection = sqlite3.connect(result.path)
        assert connection.execute("SELECT count(*), sum(a <> b) FROM pair").fetchone() == (3000, 0)
        connection.close()


def test_a_full_disk_leaves_no_half_file(file_engine: Engine, tmp_path: Path) -> None:
    file_engine.write("CREATE TABLE big AS SELECT randomblob(4000000) AS data")
    folder = tmp_path / "small"
    folder.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(DatabaseUnavailable):
            backup(file_engine, folder / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal_before)

    assert list(folder.iterdir()) == []


def test_a_damaged_database_gives_no_backup(file_engine: Engine, tmp_path: Path) -> None:
    assert file_engine.path is not None
    for number in range(300):
        file_engine.write(
            "INSERT INTO key_value_store (key, value) VALUES (?, ?)", (f"k{number}", f'"{"v" * 200}"')
        )
    [(root,)] = file_engine.fetch_all("SELECT rootpage FROM sqlite_schema WHERE name = 'key_value_store'")
    file_engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file_engine.path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 8)
        file.write(b"\xff" * 30)
    folder = tmp_path / "copies"
    folder.mkdir()

    with pytest.raises(DatabaseCorrupt):
        backup(file_engine, folder / "copy.db")

    assert list(folder.iterdir()) == []


# -- PostgreSQL --------------------------------------------------------------------------------------------


@pytest.fixture
def server_engine(migrated_postgres: str) -> Iterator[Engine]:
    opened = open_engine(migrated_postgres)
    opened.execute("CREATE SEQUENCE counter START 5")
    opened.execute(
        "CREATE TABLE serial_table (id integer PRIMARY KEY DEFAULT nextval('counter'), t text, "
        "g integer GENERATED ALWAYS AS (id * 2) STORED)"
    )
    opened.execute("INSERT INTO serial_table (t) VALUES (%s), (NULL)", (ODD,))
    opened.execute("CREATE VIEW seen AS SELECT t FROM serial_table")
    yield opened
    opened.close()


def test_an_archive_holds_all_that_is_needed_to_make_the_database_again(
    server_engine: Engine, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pg_dump(monkeypatch)
    result = backup(server_engine, tmp_path / "copy.zip")
    url = postgres.create_database()

    with zipfile.ZipFile(result.path) as archive, psycopg.connect(url, autocommit=True) as connection:
        manifest = json.loads(archive.read("manifest.json"))
        connection.execute("CREATE SCHEMA IF NOT EXISTS public")
        connection.execute("SET search_path TO public")
        for statement in manifest["before_rows"]:
            connection.execute(statement)
        for table in manifest["tables"]:
            columns = ", ".join(f'"{column}"' for column in table["columns"])
            with connection.cursor().copy(f'COPY "{table["name"]}" ({columns}) FROM STDIN'.encode()) as copy:
                copy.write(archive.read(table["file"]))
        for statement in manifest["after_rows"]:
            connection.execute(statement)

    again = open_engine(url)
    assert result.kind == "archive"
    assert [finding for finding in check(again) if finding.severity != "info"] == []
    assert again.fetch_all("SELECT t, g FROM serial_table ORDER BY id") == [(ODD, 10), (None, 12)]
    again.execute("INSERT INTO serial_table (t) VALUES ('next')")
    assert again.fetch_all("SELECT max(id) FROM serial_table") == [(7,)]
    assert again.fetch_all("SELECT count(*) FROM seen") == [(3,)]
    again.close()
    postgres.drop_database(url)


def test_pg_dump_is_used_where_it_is_as_new_as_the_server(
    server_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = find_binaries()
    if not (Path(programs.folder) / "pg_dump").exists():
        pytest.fail("the tests' PostgreSQL has no pg_dump")
    monkeypatch.setenv("PATH", str(programs.folder), prepend=os.pathsep)

    result = backup(server_engine, tmp_path / "copy.dump")

    assert result.kind == "pg_dump"
    assert result.rows["serial_table"] == 2
    assert result.path.read_bytes()[:5] == b"PGDMP"


def test_programs_that_are_older_than_the_driver_are_told_only_what_they_know(postgres_database: str) -> None:
    """pg_dump 15 ends at the word sslcertmode, which libpq 16 and later add by themselves."""
    joined = "&" if "?" in postgres_database else "?"
    engine = open_engine(f"{postgres_database}{joined}connect_timeout=7")

    words = dict(part.split("=", 1) for part in address_for_programs(engine).split() if "=" in part)

    engine.close()
    assert "sslcertmode" not in words and "password" not in words
    assert words["connect_timeout"] == "7"


def test_a_schema_that_an_archive_cannot_hold_asks_for_pg_dump(
    server_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pg_dump(monkeypatch)
    server_engine.execute("CREATE TYPE mood AS ENUM ('good')")

    with pytest.raises(DatabaseUnavailable, match="it has the type mood"):
        backup(server_engine, tmp_path / "copy.zip")

    assert list(tmp_path.iterdir()) == []
