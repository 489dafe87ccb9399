"""What a migration does to the file and the connection around it, whatever the change is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from support.live_schema import differing, plain_connect
from support.oracle import whole
from support.rebuild_case import Case, judge, make
from support.rebuild_cases import all_cases
from support.rebuilding import run_migrate
from support.sampling import some

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, DataLayerError, MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import Target, target_of

BEFORE = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, NULL);"
REBUILT = "CREATE TABLE t (a TEXT, id INTEGER PRIMARY KEY);"
REFUSED = "CREATE TABLE t (a TEXT NOT NULL, id INTEGER PRIMARY KEY);"
CASES = all_cases()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(Case("", BEFORE, ""), tmp_path / "app.db")
    return tmp_path / "app.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Engine]:
    engine = open_engine(path)
    yield engine
    engine.close()


def target(path: Path, script: str) -> Target:
    file = path.with_name("desired.sql")
    file.write_text(script, encoding="utf-8")
    return target_of(schema_file=file)


def test_a_file_that_is_only_read_is_refused_and_stays(path: Path) -> None:
    before = whole(str(path))
    reader = open_engine(path, Options(read_only=True))

    with pytest.raises(DataLayerError):
        migrate(reader, target(path, REBUILT), consent=Consent(skip_backup=True))

    reader.close()
    assert differing(before, whole(str(path))) == []


def test_inside_a_transaction_it_is_refused(opened: Engine, path: Path) -> None:
    goal = target(path, REBUILT)

    with opened.transaction(), pytest.raises(MigrationRefused, match="inside a transaction"):
        migrate(opened, goal, consent=Consent(skip_backup=True))

    assert whole(str(path))["rows of t"]


def test_a_writer_that_does_not_go_away_is_waited_for_until_the_timeout(path: Path) -> None:
    holder = plain_connect(str(path))
    holder.execute("BEGIN IMMEDIATE")
    other = open_engine(path, Options(busy_timeout_s=0.05))

    with pytest.raises(DatabaseBusy):
        migrate(other, target(path, REBUILT), consent=Consent(skip_backup=True), lock_timeout_s=0.2)

    holder.execute("ROLLBACK")
    assert not migrate(other, target(path, REBUILT), consent=Consent(skip_backup=True)).nothing_to_do
    other.close()
    holder.close()


@pytest.mark.parametrize("script", [REBUILT, REFUSED])
def test_the_connection_is_afterwards_what_it_was(opened: Engine, path: Path, script: str) -> None:
    settings = ("foreign_keys", "legacy_alter_table", "writable_schema", "temp_store", "recursive_triggers")
    before = [opened.fetch_one(f"PRAGMA {name}") for name in settings]

    try:
        migrate(opened, target(path, script), consent=Consent(skip_backup=True))
    except MigrationRefused:
        assert script == REFUSED

    assert [opened.fetch_one(f"PRAGMA {name}") for name in settings] == before
    assert not opened.in_transaction
    opened.write("INSERT INTO t (a) VALUES ('after')")
    assert opened.fetch_one("SELECT max(id) FROM t") == (3,)


def test_another_connection_sees_the_new_schema_at_once(opened: Engine, path: Path) -> None:
    other = plain_connect(str(path))
    assert other.execute("SELECT * FROM t").fetchall() == [(1, "x"), (2, None)]

    migrate(opened, target(path, REBUILT), consent=Consent(skip_backup=True))

    assert other.execute("SELECT * FROM t").fetchall() == [("x", 1), (None, 2)]
    other.close()


def test_a_reader_in_the_middle_keeps_its_view(opened: Engine, path: Path) -> None:
    reader = plain_connect(str(path))
    reader.execute("BEGIN")
    assert reader.execute("SELECT * FROM t").fetchall() == [(1, "x"), (2, None)]

    migrate(opened, target(path, REBUILT), consent=Consent(skip_backup=True))

    assert reader.execute("SELECT * FROM t").fetchall() == [(1, "x"), (2, None)]
    reader.execute("COMMIT")
    assert reader.execute("SELECT * FROM t").fetchall() == [("x", 1), (None, 2)]
    reader.close()


def test_what_drops_rows_is_backed_up_first(opened: Engine, path: Path) -> None:
    goal = target(path, "CREATE TABLE t (id INTEGER PRIMARY KEY);")

    result = migrate(opened, goal, consent=Consent(drop_columns=frozenset({"t.a"})))

    assert result.backup is not None
    copy = plain_connect(str(result.backup))
    assert copy.execute("SELECT * FROM t").fetchall() == [(1, "x"), (2, None)]
    copy.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in some(CASES.items(), 5)])
def test_a_plan_changes_nothing_and_says_what_comes(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "case.db"
    make(case, path)
    before = whole(str(path))

    planned = run_migrate(path, case.after, **case.flags(), plan=True)

    assert differing(before, whole(str(path))) == []
    assert planned.code == (0 if case.refused is None else 5), planned.said
    if case.refused is None:
        assert planned.nothing_to_do == (not planned.steps)
        done = run_migrate(path, case.after, **case.flags())
        assert done.nothing_to_do == planned.nothing_to_do


@pytest.mark.slow
@pytest.mark.parametrize("name", some(CASES, 25))
def test_the_newest_sqlite_finds_the_file_as_right_as_the_oldest(name: str, tmp_path: Path) -> None:
    assert judge(CASES[name], tmp_path, connect=apsw.Connection) == []
