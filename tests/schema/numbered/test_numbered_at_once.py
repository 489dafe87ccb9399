from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
from support.migration_folder import folder_of, table_names
from support.processes import run_together, worker
from support.waiting import wait_until

from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.run import run

_MANY_ROWS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)"
    " INSERT INTO a SELECT i FROM n;"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_database"))
    return str(tmp_path / "app.db")


@pytest.mark.slow
def test_of_three_migrators_at_once_one_applies_and_the_others_find_nothing_to_do(
    target: str, tmp_path: Path
) -> None:
    steps = ["CREATE TABLE a (x integer);", _MANY_ROWS, "CREATE INDEX a_x ON a (x);"]
    if target.startswith("postgresql"):
        steps[2] = "CREATE INDEX CONCURRENTLY a_x ON a (x);"
    folder = folder_of(tmp_path / "m", *steps)

    answers = run_together("support.migration_folder", "run_in_process", [(target, str(tmp_path / "m"))] * 3)

    names = [file.name for file in folder.files()]
    assert sorted(answers, key=len) == [[], [], names]
    engine = open_engine(target)
    assert engine.fetch_all("SELECT count(*) FROM a") == [(60_000,)]
    assert history.applied_names(engine) == tuple(names)
    assert [row.state for row in journal.read(engine)] == ["applied"] * 3
    engine.close()


def test_a_writer_that_stays_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    writer = open_engine(tmp_path / "app.db")
    engine = open_engine(tmp_path / "app.db", Options(busy_timeout_s=0.05))
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)")

    with writer.transaction(), pytest.raises(DatabaseBusy):
        run(engine, folder, lock_timeout_s=0.2)

    assert engine.fetch_one("PRAGMA foreign_keys") == (1,)
    assert run(engine, folder).applied == ("0001_step",)
    writer.close()
    engine.close()


def test_the_time_for_the_lock_may_be_shorter_than_that_of_other_writers(tmp_path: Path) -> None:
    writer = open_engine(tmp_path / "app.db")
    engine = open_engine(tmp_path / "app.db", Options(busy_timeout_s=30.0))
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)")
    started = monotonic()

    with writer.transaction(), pytest.raises(DatabaseBusy):
        run(engine, folder, lock_timeout_s=0.1)

    assert monotonic() - started < 10
    assert engine.fetch_one("PRAGMA busy_timeout") == (30_000,)
    writer.close()
    engine.close()


def test_the_lock_of_a_program_that_knows_no_gate_is_waited_for_no_longer_either(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db", Options(busy_timeout_s=30.0))
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)")
    started = monotonic()

    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            run(engine, folder, lock_timeout_s=0.1)

    assert monotonic() - started < 10
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("kib", [0, 200, 2_000, 6_000])
def test_a_run_that_is_killed_leaves_the_old_database(tmp_path: Path, kib: int) -> None:
    path, wal = tmp_path / "app.db", tmp_path / "app.db-wal"
    engine = open_engine(path)
    run(engine, folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"))
    engine.close()
    first = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"
    # the cache of the connection is small, so that the log grows long before COMMIT
    steps = [_MANY_ROWS.replace("60000", "600000") for _ in range(4)]
    folder = folder_of(tmp_path / "m", first, "ALTER TABLE a ADD COLUMN y", *_wider(steps))

    with worker("support.migration_folder", "run_in_process", str(path), str(tmp_path / "m")) as one:
        assert wait_until(lambda: wal.exists() and wal.stat().st_size >= kib * 1024)
        one.kill()

    engine = open_engine(path)
    assert engine.fetch_all("SELECT * FROM a") == [(1,)]
    assert engine.fetch_all("PRAGMA integrity_check") == [("ok",)]
    assert history.applied_names(engine) == ("0001_step",)
    done = run(engine, folder, to="0002_step", backup=False)
    assert done.applied == ("0002_step",)
    engine.close()


def _wider(steps: list[str]) -> list[str]:
    return [step.replace("SELECT i FROM", "SELECT i, i FROM") for step in steps]


def test_a_reader_sees_the_old_database_until_the_whole_run_is_kept(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    seen: list[list[str]] = []

    def look(*_: int) -> None:
        with sqlite3.connect(tmp_path / "app.db") as reader:
            seen.append([str(row[0]) for row in reader.execute("SELECT name FROM sqlite_schema")])
        reader.close()

    run(engine, folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)"), progress=look)

    assert seen == [[], []]
    assert {"a", "b"} <= {*table_names(engine)}
    engine.close()
