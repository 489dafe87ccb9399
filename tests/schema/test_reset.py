from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import worker

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable, MigrationRefused
from datalayer.schema.migrator import migrate
from datalayer.schema.reset import reset
from datalayer.schema.restore import restore
from datalayer.schema.snapshot import read
from datalayer.schema.target import Target, target_of
from datalayer.testing._postgres_binaries import find_binaries

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE child (item_id INTEGER NOT NULL REFERENCES item (id));
CREATE INDEX child_item ON child (item_id);
CREATE VIEW shown AS SELECT body FROM item;
CREATE TRIGGER no_empty BEFORE INSERT ON item WHEN NEW.body = ''
BEGIN SELECT RAISE(ABORT, 'a body must not be empty'); END;
INSERT INTO item (id, body) VALUES (1, 'brought by the schema');
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", "/nonexistent")
    is_server = request.param == "postgresql"
    opened = open_engine(request.getfixturevalue("postgres_database") if is_server else tmp_path / "app.db")
    yield opened
    opened.close()


def target_for(tmp_path: Path, *more: str) -> Target:
    path = tmp_path / "schema.sql"
    path.write_text("\n".join((SCHEMA, *more)))
    return target_of(schema_file=path)


def count(engine: Engine, table: str) -> int:
    row = engine.fetch_one(f'SELECT count(*) FROM "{table}"')
    assert row is not None
    return int(row[0])


def target_name(engine: Engine) -> str:
    return engine.address.secret_url or str(engine.path)


def test_a_reset_leaves_the_schema_and_keeps_what_was_in_it(engine: Engine, tmp_path: Path) -> None:
    target = target_for(tmp_path)
    migrate(engine, target)
    engine.write("INSERT INTO item (body) VALUES ('mine'), ('too')")
    engine.write("INSERT INTO child (item_id) VALUES (2)")
    engine.write("CREATE TABLE foreign_table (a BIGINT)")
    engine.write("INSERT INTO foreign_table VALUES (1)")

    done = reset(engine, target)

    assert set(done.dropped) == {"item", "child"}
    assert done.kept == ("foreign_table",)
    assert engine.fetch_all("SELECT id, body FROM item") == [(1, "brought by the schema")]
    assert (count(engine, "child"), count(engine, "foreign_table"), count(engine, "shown")) == (0, 1, 1)
    engine.write("INSERT INTO item (body) VALUES ('next')")
    assert engine.fetch_all("SELECT max(id) FROM item") == [(2,)]
    assert migrate(engine, target_for(tmp_path, "CREATE TABLE foreign_table (a BIGINT);")).nothing_to_do
    assert done.backup is not None
    restore(target_name(engine), done.backup)
    assert (count(engine, "item"), count(engine, "child")) == (3, 1)


def test_a_reset_of_everything_leaves_nothing_of_others(engine: Engine, tmp_path: Path) -> None:
    target = target_for(tmp_path)
    engine.write("CREATE TABLE foreign_table (a BIGINT)")
    engine.write("CREATE VIEW foreign_view AS SELECT a FROM foreign_table")

    done = reset(engine, target, everything=True)

    assert (done.dropped, done.kept) == (("foreign_table",), ())
    assert migrate(engine, target).nothing_to_do


@pytest.mark.parametrize("migrated_engine", ["sqlite", "postgresql"], indirect=True)
def test_the_package_itself_is_reset_with_its_migrations_recorded(
    migrated_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", "/nonexistent")
    engine = migrated_engine
    names = engine.fetch_all("SELECT name FROM migrations")
    engine.write("INSERT INTO key_value_store (key, value) VALUES ('a', '1')")

    reset(engine)

    assert count(engine, "key_value_store") == 0
    assert engine.fetch_all("SELECT name FROM migrations") == names
    assert migrate(engine).nothing_to_do


def test_an_empty_database_gets_the_schema_and_no_backup(engine: Engine, tmp_path: Path) -> None:
    done = reset(engine, target_for(tmp_path))

    assert (done.backup, done.dropped) == (None, ())
    assert count(engine, "item") == 1


def test_what_leans_on_a_table_is_a_reason_to_refuse(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(find_binaries().folder))
    with contextlib.closing(open_engine(postgres_database)) as engine:
        target = target_for(tmp_path)
        migrate(engine, target)
        engine.execute("CREATE VIEW leaning AS SELECT body FROM item")

        with pytest.raises(MigrationRefused, match="nothing was changed") as caught:
            reset(engine, target)

        assert "leaning" in (caught.value.why or "")
        assert count(engine, "leaning") == 1


# -- SQLite ------------------------------------------------------------------------------------


@pytest.fixture
def file_engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(tmp_path / "app.db")
    migrate(opened, target_of(domains=[]))
    opened.write(
        "INSERT INTO key_value_store (key, value)"
        " SELECT 'k' || value, '1' FROM json_each('[1,2,3,4,5,6,7,8,9]')"
    )
    yield opened
    opened.close()


def test_a_writer_is_waited_for_and_then_a_reason_to_stop(file_engine: Engine) -> None:
    other = sqlite3.connect(str(file_engine.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = open_engine(str(file_engine.path), Options(busy_timeout_s=0.1))

    with pytest.raises(DatabaseBusy):
        reset(impatient, lock_timeout_s=0.3)

    other.close()
    impatient.close()
    assert count(file_engine, "key_value_store") == 9


def test_a_reset_waits_for_a_writer_longer_than_others_do(file_engine: Engine) -> None:
    other = sqlite3.connect(str(file_engine.path), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    patient = open_engine(str(file_engine.path), Options(busy_timeout_s=0.05))
    end = threading.Timer(0.4, lambda: other.execute("COMMIT"))
    end.start()

    done = reset(patient, lock_timeout_s=20)

    end.join()
    other.close()
    patient.close()
    assert "key_value_store" in done.dropped or done.backup is not None
    assert count(file_engine, "key_value_store") == 0


def test_what_cannot_be_backed_up_is_not_emptied(file_engine: Engine) -> None:
    assert file_engine.path is not None
    (file_engine.path.parent / "backups").write_text("a file stands in the way")

    with pytest.raises(DatabaseUnavailable):
        reset(file_engine)

    assert count(file_engine, "key_value_store") == 9
    memory = open_engine(":memory:")
    memory.write("CREATE TABLE item (a)")
    with pytest.raises(DatabaseUnavailable, match="in memory"):
        reset(memory)
    assert count(memory, "item") == 0
    memory.close()


def test_a_damaged_database_is_not_emptied(file_engine: Engine) -> None:
    assert file_engine.path is not None
    [(root,)] = file_engine.fetch_all("SELECT rootpage FROM sqlite_schema WHERE name = 'key_value_store'")
    file_engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file_engine.path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 8)
        file.write(b"\xff" * 30)
    digest = file_engine.path.read_bytes()

    with pytest.raises(DatabaseCorrupt):
        reset(file_engine)

    assert file_engine.path.read_bytes() == digest


def test_connections_that_are_open_go_on_with_the_empty_database(file_engine: Engine) -> None:
    with contextlib.closing(sqlite3.connect(str(file_engine.path))) as other:
        assert other.execute("SELECT count(*) FROM key_value_store").fetchone() == (9,)

        reset(file_engine)

        assert other.execute("SELECT count(*) FROM key_value_store").fetchone() == (0,)


@pytest.mark.slow
def test_a_reset_killed_at_any_statement_leaves_old_or_new(file_engine: Engine, tmp_path: Path) -> None:
    before = read(file_engine.connection())
    killed = 0
    is_done = False

    for number in range(0, 400, 9):
        with worker("support.killed_restore", "reset_killed", str(file_engine.path), number) as one:
            is_done = bool(one.line())
        rows = count(file_engine, "key_value_store")
        assert read(file_engine.connection()) == before
        assert rows in ((0,) if is_done else (0, 9))
        assert file_engine.fetch_one("PRAGMA integrity_check") == ("ok",)
        killed += not is_done
        if is_done:
            break

    assert is_done
    assert killed > 2
