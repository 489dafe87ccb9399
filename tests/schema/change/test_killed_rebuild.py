"""A migration that is killed at any moment leaves the file entirely old or entirely new."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from time import monotonic

import pytest
from support.app_history import VERSIONS, fill
from support.apsw_engine import open_apsw
from support.faulty_disk import FaultyDisk
from support.large_rebuild import AFTER, digest, make, migrate_file, recover, soundness
from support.live_schema import differing, plain_connect
from support.oracle import whole
from support.processes import Worker, worker
from support.sampling import some

from datalayer.engine.connection import Options
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import migrate
from datalayer.schema.target import Target, target_of

JOURNALS = ["wal", "delete"]
_MODULE, _WORK = "support.large_rebuild", "migrate_file"
_BY_ROWS = some([0.2, 0.4, 0.6, 0.8, 1.0], 3)  # of the rows copied and indexed
_BY_TIME = some([0.02, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 0.95, 0.98, 1.03], 3)  # of an undisturbed run


class _Killed:
    """A large file in its old and its new form, and what becomes of a copy when the process is killed."""

    def __init__(self, folder: Path, journal: str) -> None:
        self.master, self.path = folder / "master.db", folder / "app.db"
        self.schema = folder / "desired.sql"
        self.schema.write_text(AFTER, encoding="utf-8")
        make(self.master, journal)
        self.old = digest(self.master)
        self.restore()
        started = monotonic()
        assert not migrate_file(str(self.path), str(self.schema))
        self.seconds = monotonic() - started
        self.new = digest(self.path)
        self.outcomes: list[str] = []
        self.restore()

    def restore(self) -> None:
        shutil.copyfile(self.master, self.path)

    def kill(self, when: Callable[[Worker], None]) -> None:
        """Migrate in another process, kill it, and look at what is there; what is old is used again.

        Every byte as before is old and sound; what is not costs a look at everything.
        """
        with worker(_MODULE, _WORK, str(self.path), str(self.schema)) as child:
            when(child)
            child.kill()
        recover(self.path)
        if filecmp.cmp(self.path, self.master, shallow=False):
            self.outcomes.append("old")
            return
        self.outcomes.append({self.old: "old", self.new: "new"}.get(digest(self.path), "a mixture"))
        assert soundness(self.path) == [("ok",)]
        self.restore()


def _after_share(share: float) -> Callable[[Worker], None]:
    def wait(child: Worker) -> None:
        while (line := child.line()).count(" ") == 1:
            done, total = map(int, line.split())
            if done >= share * total:
                return

    return wait


def _after_seconds(seconds: float) -> Callable[[Worker], None]:
    def wait(child: Worker) -> None:
        try:
            child.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return

    return wait


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
def test_kill_9_of_a_large_rebuild_leaves_old_or_new(tmp_path: Path, journal: str) -> None:
    killed = _Killed(tmp_path, journal)

    for when in chain(
        map(_after_share, _BY_ROWS), (_after_seconds(share * killed.seconds) for share in _BY_TIME)
    ):
        killed.kill(when)

    assert set(killed.outcomes) <= {"old", "new"}
    assert killed.outcomes.count("old") >= 5
    # after all that the next run migrates the file as if nothing had been
    assert not migrate_file(str(killed.path), str(killed.schema))
    assert digest(killed.path) == killed.new
    assert soundness(killed.path) == [("ok",)]
    assert sorted(path.name for path in tmp_path.glob("app.db*")) == ["app.db", "app.db-gate"]


SMALL_BEFORE = """
CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT, amount INTEGER, old TEXT);
CREATE TABLE entry (id INTEGER PRIMARY KEY, item INTEGER REFERENCES item ON DELETE CASCADE, what TEXT);
CREATE INDEX item_code ON item (code);
CREATE INDEX item_amount ON item (amount, id DESC);
CREATE VIEW items AS SELECT i.code, e.what FROM item AS i JOIN entry AS e ON e.item = i.id;
CREATE VIRTUAL TABLE codes USING fts5 (code, content='item', content_rowid='id');
CREATE TRIGGER item_added AFTER INSERT ON item BEGIN
    INSERT INTO codes (rowid, code) VALUES (new.id, new.code);
END;
"""
SMALL_AFTER = (
    SMALL_BEFORE.replace("code TEXT, amount INTEGER, old TEXT", "amount INTEGER NOT NULL, code TEXT")
    .replace("item INTEGER REFERENCES item ON", "thing INTEGER REFERENCES thing ON")
    .replace("TABLE item", "TABLE thing")
    .replace("ON item", "ON thing")
    .replace("item AS i", "thing AS i")
    .replace("e.item", "e.thing")
    .replace("content='item'", "content='thing'")
)


def _images(folder: Path, path: Path, target: Target, consent: Consent, *, every: int = 1) -> list[Path]:
    """Migrate a file, and give for each write a copy of what a process killed before it would leave."""
    images: list[Path] = []
    writes = count()

    def take() -> None:
        if next(writes) % every:
            return
        place = folder / f"killed {len(images)}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        images.append(place / path.name)
        # the shared memory of a WAL is made anew by who comes next
        for end in ("", "-wal", "-journal"):
            source = path.with_name(path.name + end)
            if source.exists():
                shutil.copyfile(source, images[-1].with_name(source.name))

    with FaultyDisk(f"watched {path}") as disk:
        engine = open_apsw(path, Options(keeps_journal_mode=True), vfs=disk.name)
        disk.on_write = take
        migrate(engine, target, consent=replace(consent, skip_backup=True))
        disk.on_write = None
        engine.close()
    return images


@pytest.mark.parametrize("journal", JOURNALS)
def test_what_a_kill_before_any_write_leaves_is_old_or_new(tmp_path: Path, journal: str) -> None:
    path, target = tmp_path / "app.db", tmp_path / "desired.sql"
    target.write_text(SMALL_AFTER, encoding="utf-8")
    connection = plain_connect(str(path))
    connection.execute("PRAGMA page_size = 512")
    connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
    connection.executescript(SMALL_BEFORE)
    connection.executemany(
        "INSERT INTO item (code, amount, old) VALUES (?, ?, NULL)", [(f"code {n}", n % 5) for n in range(120)]
    )
    connection.execute("INSERT INTO entry (item, what) SELECT id, 'x' FROM item WHERE id % 3 = 0")
    connection.close()
    old = whole(str(path))

    consent = Consent({"item": "thing", "entry.item": "thing"}, frozenset({"item.old"}))
    images = _images(tmp_path, path, target_of(schema_file=target), consent)
    new = whole(str(path))
    states = [whole(str(image)) for image in images]

    assert len(images) > 50
    assert [differing(old, state) for state in states if state not in (old, new)] == []
    assert all(soundness(image) == [("ok",)] for image in images)
    first_new = states.index(new) if new in states else len(states)
    assert all(state == old for state in states[:first_new])
    assert all(state == new for state in states[first_new:])


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
def test_each_step_of_a_long_history_can_be_killed(tmp_path: Path, journal: str) -> None:
    path, target = tmp_path / "app.db", tmp_path / "desired.sql"
    with closing(plain_connect(str(path))) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
        connection.executescript(VERSIONS[0].script)
    seen = 0

    for number, version in enumerate(VERSIONS[1:]):
        with closing(plain_connect(str(path))) as connection:
            fill(connection, number)
        old = whole(str(path))
        target.write_text(version.script, encoding="utf-8")
        consent = Consent(version.renames, frozenset(version.drop_columns), frozenset(version.drop_tables))
        images = _images(tmp_path, path, target_of(schema_file=target), consent, every=3)
        new = whole(str(path))
        for image in images:
            state = whole(str(image))
            assert state in (old, new), (version.why, differing(old, state))
        seen += len(images)

    assert seen > 300
