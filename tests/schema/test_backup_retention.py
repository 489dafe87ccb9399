from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.processes import worker

from datalayer.engine.address import Address
from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseUnavailable, DataLayerError
from datalayer.schema.backup import BackupResult, backup
from datalayer.schema.backup_file import partial, remove_leftovers
from datalayer.schema.backup_manifest import Origin, manifest_path, read_manifest
from datalayer.schema.backups import list_backups, verify
from datalayer.schema.retention import Keep, choose_kept, prune


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(tmp_path / "app.db")
    opened.write("CREATE TABLE item (body TEXT)")
    opened.write("INSERT INTO item VALUES ('one'), ('two')")
    yield opened
    opened.close()


def origin_of(engine: Engine) -> Origin:
    return Origin.of(engine.address)


# -- what a backup says of itself --------------------------------------------------------------


def test_the_manifest_says_what_the_backup_is_of(engine: Engine) -> None:
    done = backup(engine, compress=True)

    found = read_manifest(done.path)

    assert found is not None
    assert (found.source, found.kind, found.compression) == ("app.db", "sqlite", "gzip")
    assert (found.sha256, found.size_bytes, found.rows) == (done.sha256, done.size_bytes, {"item": 2})
    assert found.engine == f"SQLite {sqlite3.sqlite_version}"
    assert done.path.name.endswith("Z-empty.db.gz")
    assert str(engine.path) not in done.manifest.read_text()


def test_a_password_does_not_get_into_the_origin() -> None:
    origin = Origin.of(Address.parse("postgresql://me:hunter2@db.example:6000/shop?password=hunter3"), "s")

    assert origin.source == "db.example:6000/shop/s"
    assert "hunter" not in repr(origin)


def test_a_throttled_backup_takes_its_time(engine: Engine, tmp_path: Path) -> None:
    engine.write("INSERT INTO item SELECT hex(randomblob(1000000))")
    started = monotonic()

    backup(engine, tmp_path / "slow.db", throttle_mb_s=10)

    assert monotonic() - started > 0.12


def test_a_file_that_has_the_name_of_the_manifest_is_never_overwritten(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "copy.db.json").write_text("{}")

    with pytest.raises(DatabaseUnavailable, match="there is a file of that name"):
        backup(engine, tmp_path / "copy.db")

    assert not (tmp_path / "copy.db").exists()
    assert (tmp_path / "copy.db.json").read_text() == "{}"


def test_a_manifest_that_outlived_its_backup_gives_way(engine: Engine, tmp_path: Path) -> None:
    backup(engine, tmp_path / "copy.db").path.unlink()

    again = backup(engine, tmp_path / "copy.db")

    assert again.manifest.exists()


# -- what killed ones leave --------------------------------------------------------------------


def hold_partial(path: str) -> str:
    with partial(Path(path)) as temporary:
        Path(f"{temporary}-journal").write_text("half")
        print(temporary.name, flush=True)
        signal.pause()
    return "done"


def test_the_next_backup_removes_what_a_killed_one_left(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / ".hidden.partial").write_text("of somebody else")
    with worker("schema.test_backup_retention", "hold_partial", str(folder / "x.db")) as writer:
        name = writer.line()
        assert remove_leftovers(folder) == []
        assert (folder / name).exists()
        writer.kill()

    done = backup(engine)

    assert sorted(one.name for one in folder.iterdir()) == [
        ".hidden.partial",
        done.path.name,
        done.manifest.name,
    ]


# -- the list ----------------------------------------------------------------------------------


def test_backups_are_listed_newest_first_and_only_those_of_the_database(
    engine: Engine, tmp_path: Path
) -> None:
    first, second = backup(engine), backup(engine, compress=True)
    other = open_engine(tmp_path / "app2.db")
    backup(other)
    other.close()
    (tmp_path / "backups" / "notes.txt").write_text("hello")
    manifest_path(first.path).unlink()

    found = list_backups(origin_of(engine))

    assert [entry.path for entry in found] == [second.path, first.path]
    assert [entry.rows for entry in found] == [2, None]
    assert [entry.is_verified for entry in found] == [True, None]
    assert [verify(entry).is_verified for entry in found] == [True, True]


def test_a_changed_backup_is_found_by_reading_it(engine: Engine) -> None:
    done = backup(engine)
    data = bytearray(done.path.read_bytes())
    data[-5] ^= 1
    done.path.write_bytes(data)
    [entry] = list_backups(origin_of(engine))
    assert entry.is_verified

    found = verify(entry)

    assert found.is_verified is False
    assert found.problem == "its sha256 is not the one in its manifest"
    done.path.write_bytes(data[:-100])
    [entry] = list_backups(origin_of(engine))
    assert entry.is_verified is False


def test_databases_of_one_name_keep_apart_in_a_folder_they_share(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    origins: list[Origin] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with contextlib.closing(open_engine(tmp_path / name / "app.db")) as engine:
            backup(engine, shared / f"{name}.db")
            origins.append(origin_of(engine))

    prune(origins[0], Keep(last=1), shared)

    assert [[entry.path.name for entry in list_backups(one, shared)] for one in origins] == [
        ["a.db"],
        ["b.db"],
    ]


def test_a_database_that_moved_with_its_backups_still_knows_them(engine: Engine, tmp_path: Path) -> None:
    done = backup(engine)
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "backups", tmp_path / "moved")

    found = list_backups(Origin.of(Address.parse(str(tmp_path / "moved" / "app.db"))))

    assert [entry.path.name for entry in found] == [done.path.name]


# -- what stays --------------------------------------------------------------------------------


@given(
    ages=st.lists(st.integers(0, 60 * 24 * 90), max_size=40),
    last=st.integers(0, 5),
    daily=st.integers(0, 5),
    weekly=st.integers(0, 5),
)
def test_each_rule_keeps_the_newest_of_as_many_periods_as_it_says(
    ages: list[int], last: int, daily: int, weekly: int
) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    times = sorted((now - timedelta(minutes=age) for age in ages), reverse=True)
    backups = [(Path(str(number)), moment) for number, moment in enumerate(times)]

    kept = choose_kept(backups, Keep(last=last, daily=daily, weekly=weekly))

    days = sorted({moment.date() for moment in times}, reverse=True)[:daily]
    newest_of_days = [next(path for path, moment in backups if moment.date() == day) for day in days]
    assert [path for path, rules in kept.items() if "last" in rules] == [path for path, _ in backups[:last]]
    assert {path for path, rules in kept.items() if "daily" in rules} == {*newest_of_days}
    assert sum("weekly" in rules for rules in kept.values()) == min(
        weekly, len({moment.isocalendar()[:2] for moment in times})
    )


def several(engine: Engine, count: int) -> list[BackupResult]:
    return [backup(engine) for _ in range(count)]


def test_what_no_rule_keeps_goes_with_its_manifest(engine: Engine, tmp_path: Path) -> None:
    made = several(engine, 4)
    precious = tmp_path / "backups" / "app-20260101T000000000000Z-mine.db"
    precious.write_text("no database at all")

    trial = prune(origin_of(engine), Keep(last=2), dry_run=True)
    assert trial.to_remove == (made[1].path, made[0].path)
    assert (trial.removed, made[0].path.exists()) == ((), True)
    done = prune(origin_of(engine), Keep(last=2))

    assert done.removed == trial.to_remove
    assert done.freed_bytes == made[0].size_bytes + made[1].size_bytes
    left = {one for two in made[2:] for one in (two.path, two.manifest)}
    assert {*(tmp_path / "backups").iterdir()} == {precious, *left}


def test_the_newest_sound_backup_never_goes(engine: Engine) -> None:
    made = several(engine, 4)
    for one in made[2:]:
        data = bytearray(one.path.read_bytes())
        data[-5] ^= 1
        one.path.write_bytes(data)

    done = prune(origin_of(engine), Keep(last=1))

    assert done.removed == (made[2].path, made[0].path)
    assert done.kept == {made[3].path: ("last",), made[1].path: ("newest sound one",)}


def test_nothing_goes_where_no_backup_is_sound(engine: Engine) -> None:
    for one in several(engine, 3):
        os.truncate(one.path, 100)

    assert prune(origin_of(engine), Keep(last=1)).removed == ()


def test_a_manifest_whose_backup_is_gone_is_removed(engine: Engine) -> None:
    made = several(engine, 2)
    made[0].path.unlink()

    prune(origin_of(engine), Keep(last=5))

    assert not made[0].manifest.exists()
    assert made[1].manifest.exists()


def test_to_keep_nothing_is_refused(engine: Engine) -> None:
    several(engine, 1)

    with pytest.raises(DataLayerError, match="no rule"):
        prune(origin_of(engine), Keep())
