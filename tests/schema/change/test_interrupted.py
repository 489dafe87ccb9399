"""A migration that is interrupted, or finds others at the file: old or new, told in plain words."""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from time import monotonic

import pytest
from support.commands import program
from support.large_rebuild import recover, soundness
from support.live_schema import differing, plain_connect
from support.oracle import whole
from support.processes import run_together, worker
from support.source_tree import ROOT
from support.waiting import wait_until

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import Target, target_of

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

JOURNALS = ["wal", "delete"]
_LOCKS = "support.lock_holding"
BEFORE = """
CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT);
CREATE TABLE part (item INTEGER REFERENCES item ON DELETE CASCADE, n INTEGER);
CREATE INDEX item_a ON item (a);
"""
AFTER = BEFORE.replace("id INTEGER PRIMARY KEY, a TEXT", "a TEXT, id INTEGER PRIMARY KEY")
ASKED = "SELECT * FROM item ORDER BY id LIMIT 1"


def _make(path: Path, journal: str, script: str, *, rows: int) -> None:
    connection = plain_connect(str(path))
    connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
    connection.executescript(f"BEGIN; {script}")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO item SELECT i, 'text of number ' || i FROM n",
        (rows,),
    )
    connection.execute("INSERT INTO part SELECT id, id FROM item LIMIT 100")
    connection.execute("COMMIT")
    connection.close()


@pytest.fixture(params=JOURNALS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    _make(tmp_path / "app.db", request.param, BEFORE, rows=500)
    return tmp_path / "app.db"


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "desired.sql"
    file.write_text(AFTER, encoding="utf-8")
    return file


@pytest.fixture
def target(schema: Path) -> Target:
    return target_of(schema_file=schema)


@pytest.fixture
def opened(path: Path) -> Iterator[Engine]:
    engine = open_engine(path, Options(keeps_journal_mode=True, busy_timeout_s=0.05))
    yield engine
    engine.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_what_the_progress_raises_ends_it_with_the_old_state(
    opened: Engine, path: Path, target: Target, kind: type[BaseException]
) -> None:
    before = whole(str(path))
    settings = [opened.fetch_one(f"PRAGMA {name}") for name in ("foreign_keys", "temp_store", "cache_size")]

    def stop(_: int, __: int) -> None:
        raise kind

    with pytest.raises(kind):
        migrate(opened, target, consent=Consent(skip_backup=True), progress=stop)

    assert differing(before, whole(str(path))) == []
    assert [
        opened.fetch_one(f"PRAGMA {name}") for name in ("foreign_keys", "temp_store", "cache_size")
    ] == settings
    assert not migrate(opened, target, consent=Consent(skip_backup=True)).nothing_to_do
    assert opened.fetch_one(ASKED) == ("text of number 1", 1)


# one INSERT copies a table without rowids, and one CREATE INDEX sorts all of it
LONG_BEFORE = BEFORE.replace("a TEXT);", "a TEXT) WITHOUT ROWID;")
LONG_AFTER = LONG_BEFORE.replace("id INTEGER PRIMARY KEY, a TEXT", "a TEXT, id INTEGER PRIMARY KEY")


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
def test_ctrl_c_in_a_long_statement_ends_at_once_with_130_and_the_old_state(
    tmp_path: Path, journal: str
) -> None:
    path, copy, schema = tmp_path / "app.db", tmp_path / "copy.db", tmp_path / "desired.sql"
    _make(path, journal, LONG_BEFORE, rows=1_500_000)
    shutil.copyfile(path, copy)
    schema.write_text(LONG_AFTER, encoding="utf-8")
    sensitive = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"

    with subprocess.Popen(
        program(["migrate", "--database", path, "--schema", schema], sensitive),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env={**os.environ, "DATALAYER_DATABASE": ""},
        text=True,
    ) as child:
        # pages that leave the cache show that the copy has begun
        assert wait_until(lambda: _has_begun(path, journal), timeout_s=120)
        started = monotonic()
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=60)
        seconds = monotonic() - started

    assert child.returncode == 130
    assert "interrupted" in told
    assert "Traceback" not in told
    assert seconds < 5
    recover(path)
    assert filecmp.cmp(path, copy, shallow=False)


def _has_begun(path: Path, journal: str) -> bool:
    # the pages of the dropped index are used again, so that the file itself need not grow
    log = path.with_name("app.db-wal" if journal == "wal" else "app.db-journal")
    return log.exists() and log.stat().st_size > 0


def _opened_late(path: Path) -> Engine:
    return open_engine(path, Options(keeps_journal_mode=True, busy_timeout_s=0.05))


def test_a_reader_in_another_process_keeps_its_snapshot_of_a_file_with_a_log(
    tmp_path: Path, target: Target
) -> None:
    path = tmp_path / "app.db"
    _make(path, "wal", BEFORE, rows=500)
    engine = _opened_late(path)

    with worker(_LOCKS, "read_on", str(path), ASKED) as reader:
        assert reader.line() == "holding"
        done = migrate(engine, target, consent=Consent(skip_backup=True))
        reader.begin()
        seen = reader.result()

    assert not done.nothing_to_do
    assert seen == [[[1, "text of number 1"]], [[1, "text of number 1"]]]
    assert engine.fetch_one(ASKED) == ("text of number 1", 1)
    engine.close()


def test_without_a_log_a_reader_is_waited_for_until_the_timeout(tmp_path: Path, target: Target) -> None:
    path = tmp_path / "app.db"
    _make(path, "delete", BEFORE, rows=500)
    before = whole(str(path))
    engine = _opened_late(path)

    with worker(_LOCKS, "read_on", str(path), ASKED) as reader:
        assert reader.line() == "holding"
        with pytest.raises(DatabaseBusy):
            migrate(engine, target, consent=Consent(skip_backup=True), lock_timeout_s=0.3)
        reader.begin()
        assert reader.result() == [[[1, "text of number 1"]], [[1, "text of number 1"]]]

    assert differing(before, whole(str(path))) == []
    assert engine.fetch_one("PRAGMA foreign_keys") == (1,)
    assert not migrate(engine, target, consent=Consent(skip_backup=True)).nothing_to_do
    engine.close()


def test_a_writer_in_another_process_is_waited_for_until_the_timeout(
    opened: Engine, path: Path, target: Target
) -> None:
    before = whole(str(path))

    with worker(_LOCKS, "write_on", str(path), "UPDATE item SET a = 'other' WHERE id = 1") as writer:
        assert writer.line() == "holding"
        started = monotonic()
        with pytest.raises(DatabaseBusy, match="is locked"):
            migrate(opened, target, consent=Consent(skip_backup=True), lock_timeout_s=0.4)
        waited = monotonic() - started

    assert 0.4 <= waited < 5
    assert differing(before, whole(str(path))) == []
    assert opened.fetch_one("PRAGMA foreign_keys") == (1,)


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_what_a_writer_commits_while_it_is_waited_for_is_migrated_too(
    opened: Engine, path: Path, target: Target, lock: str
) -> None:
    with worker(_LOCKS, "write_on", str(path), "UPDATE item SET a = 'other' WHERE id = 1", lock) as writer:
        assert writer.line() == "holding"
        # longer than a statement waits, much shorter than the migration does
        release = Timer(0.3, writer.begin)
        release.start()
        done = migrate(opened, target, consent=Consent(skip_backup=True), lock_timeout_s=30)
        writer.result()
        release.join()

    assert not done.nothing_to_do
    assert opened.fetch_one(ASKED) == ("other", 1)


@pytest.mark.slow
def test_of_many_migrators_at_once_one_does_it_and_the_others_find_nothing_to_do(
    path: Path, schema: Path
) -> None:
    idle = run_together(_LOCKS, "migrate_too", [(str(path), str(schema))] * 5)

    assert sorted(idle) == [False, True, True, True, True]
    assert soundness(path) == [("ok",)]


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_the_command_waits_for_a_writer_as_long_as_it_is_told_to(path: Path, schema: Path, lock: str) -> None:
    words = ["migrate", "--database", path, "--schema", schema, "--lock-timeout", "60"]

    with worker(_LOCKS, "write_on", str(path), "UPDATE item SET a = 'other' WHERE id = 1", lock) as writer:
        assert writer.line() == "holding"
        # longer than the command's connection waits by itself
        release = Timer(2.5, writer.begin)
        release.start()
        ended = subprocess.run(program(words), cwd=ROOT, capture_output=True, text=True, check=False)
        writer.result()
        release.join()

    assert ended.returncode == 0, ended.stderr
    recover(path)
    assert whole(str(path))["rows of item"][0][1] == ("text", b"other")
