"""A disk that is full, or gives errors, at any write of a migration: the old state stays, everywhere."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.apsw_engine import ApswEngine, open_apsw
from support.commands import program
from support.faulty_disk import Fault, FaultyDisk
from support.live_schema import differing, dump, rows
from support.oracle import whole
from support.sampling import some
from support.source_tree import ROOT

from datalayer.engine.connection import Options
from datalayer.errors import DatabaseUnavailable, DataLayerError
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import MigrationResult, migrate
from datalayer.schema.target import Target, target_of

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

BEFORE = """
CREATE TABLE author (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE post (id INTEGER PRIMARY KEY, author INTEGER REFERENCES author ON DELETE CASCADE,
    title TEXT, body TEXT, score TEXT);
CREATE TABLE label (post INTEGER REFERENCES post ON DELETE CASCADE, word TEXT) ;
CREATE TABLE log (what TEXT);
CREATE INDEX post_title ON post (title);
CREATE INDEX post_long ON post (length(body)) WHERE score IS NOT NULL;
CREATE VIEW posts AS SELECT p.id, a.name, p.title FROM post AS p JOIN author AS a ON a.id = p.author;
CREATE VIRTUAL TABLE found USING fts5 (title, body, content='post', content_rowid='id');
CREATE VIRTUAL TABLE notes USING fts5 (note);
CREATE TRIGGER post_added AFTER INSERT ON post BEGIN
    INSERT INTO found (rowid, title, body) VALUES (new.id, new.title, new.body);
    INSERT INTO log VALUES ('added ' || new.id);
END;
CREATE TRIGGER post_gone AFTER DELETE ON post BEGIN
    INSERT INTO found (found, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
    INSERT INTO log VALUES ('gone ' || old.id);
END;
"""
AFTER = """
CREATE TABLE writer (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT '', since INTEGER);
CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT '', text TEXT COLLATE NOCASE,
    writer INTEGER REFERENCES writer ON DELETE RESTRICT, score TEXT CHECK (score <> 'bad'));
CREATE TABLE label (post INTEGER REFERENCES post ON DELETE CASCADE, word TEXT, PRIMARY KEY (post, word))
    WITHOUT ROWID;
CREATE TABLE log (what TEXT);
CREATE INDEX post_title ON post (title, writer DESC);
CREATE INDEX post_long ON post (length(text)) WHERE score IS NOT NULL;
CREATE UNIQUE INDEX writer_name ON writer (name, id);
CREATE VIEW posts AS SELECT p.id, a.name, p.title FROM post AS p JOIN writer AS a ON a.id = p.writer;
CREATE VIRTUAL TABLE found USING fts5 (title, text, content='post', content_rowid='id');
CREATE VIRTUAL TABLE notes USING fts5 (note);
CREATE TRIGGER post_added AFTER INSERT ON post BEGIN
    INSERT INTO found (rowid, title, text) VALUES (new.id, new.title, new.text);
    INSERT INTO log VALUES ('added ' || new.id);
END;
CREATE TRIGGER post_gone AFTER DELETE ON post BEGIN
    INSERT INTO found (found, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
    INSERT INTO log VALUES ('gone ' || old.id);
END;
"""
CONSENT = Consent({"author": "writer", "post.body": "text", "post.author": "writer"}, skip_backup=True)
SETTINGS = ("foreign_keys", "legacy_alter_table", "writable_schema", "temp_store", "cache_size", "query_only")
JOURNALS = ["wal", "delete"]


def _make(path: Path, journal: str, posts: int, *, page_size: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}; PRAGMA synchronous = OFF").fetchall()
    connection.execute(f"PRAGMA journal_mode = {journal}; BEGIN; {BEFORE}").fetchall()
    connection.execute("INSERT INTO author (name) VALUES ('a'), ('b'), (NULL), ('d')")
    connection.execute("DELETE FROM author WHERE id = 4")
    texts = (
        (n + 1, n % 3 + 1, None if n % 7 == 3 else f"title {n}", f"word{n} " * 30, n % 2 or None)
        for n in range(posts)
    )
    connection.executemany("INSERT INTO post VALUES (?, ?, ?, ?, ?)", texts)
    connection.execute("INSERT INTO label SELECT id, 'l' || id % 5 FROM post WHERE id % 4 = 0")
    connection.execute("INSERT INTO notes VALUES ('one two'), ('three'); COMMIT; ANALYZE")
    connection.close()


@contextmanager
def _opened(path: Path, disk: FaultyDisk) -> Iterator[ApswEngine]:
    engine = open_apsw(path, Options(keeps_journal_mode=True, busy_timeout_s=0.2), vfs=disk.name)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[FaultyDisk]:
    with FaultyDisk(f"faulty {request.node.name}") as one:
        yield one


@pytest.fixture
def target(tmp_path: Path) -> Target:
    file = tmp_path / "desired.sql"
    file.write_text(AFTER, encoding="utf-8")
    return target_of(schema_file=file)


def _run(engine: ApswEngine, target: Target) -> MigrationResult:
    return migrate(engine, target, consent=CONSENT, lock_timeout_s=0.2)


class _Sweep:
    """One small database, migrated again and again with a fault at another place."""

    def __init__(self, folder: Path, disk: FaultyDisk, target: Target) -> None:
        self.path, self.disk, self.target = folder / "app.db", disk, target
        self.master = folder / "master.db"

    def make(self, journal: str, posts: int, *, page_size: int = 512) -> None:
        _make(self.master, journal, posts, page_size=page_size)
        self.old = whole(str(self.master), connect=apsw.Connection)
        self.begin_anew()
        with _opened(self.path, self.disk) as engine:
            self.settings = _settings(engine)
            _run(engine, self.target)
        self.new = whole(str(self.path), connect=apsw.Connection)

    def begin_anew(self) -> None:
        for end in ("-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        shutil.copyfile(self.master, self.path)

    def count(self, fault: Fault) -> int:
        """Give the number of calls of one kind in a migration that nothing disturbs."""
        self.begin_anew()
        with _opened(self.path, self.disk) as engine:
            self.disk.watch(fault)
            _run(engine, self.target)
            self.disk.heal()
        return self.disk.count

    def fail_at(self, fault: Fault, place: int, *, is_once: bool = False) -> None:
        """Migrate with the fault at one place, look at everything, and migrate once more without."""
        self.begin_anew()
        with _opened(self.path, self.disk) as engine:
            self.disk.watch(fault, place, is_once=is_once)
            error = self.try_it(engine)
            self.disk.heal()
            assert self.disk.failures, (fault, place)
            # what is read after the commit may be read again
            assert error is not None or is_once or fault == "read", (fault, place)
            expected = self.new if error is None else self.old
            connection: Any = engine.connection()
            assert differing(expected, dump(connection)) == [], (fault, place)
            assert _settings(engine) == self.settings, (fault, place)
            assert not engine.in_transaction
            assert differing(expected, whole(str(self.path), connect=apsw.Connection)) == []
            assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
            again = _run(engine, self.target)
            assert again.nothing_to_do == (error is None)
            assert differing(self.new, dump(connection)) == [], (fault, place)

    def try_it(self, engine: ApswEngine) -> DataLayerError | None:
        try:
            _run(engine, self.target)
        except DataLayerError as exc:
            assert isinstance(exc, DatabaseUnavailable), repr(exc)
            words = "the disk is full" if self.disk.fault == "full" else "the disk gave an error"
            assert words in str(exc), repr(exc)
            return exc
        return None


def _settings(engine: ApswEngine) -> list[object]:
    return [engine.fetch_one(f"PRAGMA {name}") for name in SETTINGS]


@pytest.fixture
def sweep(tmp_path: Path, disk: FaultyDisk, target: Target) -> _Sweep:
    return _Sweep(tmp_path, disk, target)


@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("fault", ["full", "write", "sync", "read"])
def test_a_fault_at_some_calls_leaves_the_old_state(sweep: _Sweep, journal: str, fault: Fault) -> None:
    sweep.make(journal, 10)

    calls = sweep.count(fault)
    for place in range(0, calls, max(1, calls // 5)):
        sweep.fail_at(fault, place)


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_commit_that_a_full_disk_refuses_leaves_the_connection_in_use(
    sweep: _Sweep, journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    sweep.make(journal, 10)
    sweep.begin_anew()
    with _opened(sweep.path, sweep.disk) as engine:
        connection = engine.connection()

        with pytest.raises(DatabaseUnavailable, match="the disk is full"), engine.transaction():
            engine.write("INSERT INTO log VALUES (?)", ("x" * 10_000,))
            sweep.disk.watch("full", 0)
        sweep.disk.heal()

        assert engine.connection() is connection
        assert caplog.records == []
        assert engine.fetch_one("SELECT count(*) FROM log WHERE what LIKE 'x%'") == (0,)
        engine.write("INSERT INTO log VALUES ('y')")


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("fault", ["full", "write", "sync", "read"])
@pytest.mark.parametrize("is_once", [False, True], ids=["for good", "once"])
def test_a_fault_at_any_call_leaves_the_old_state(
    sweep: _Sweep, journal: str, fault: Fault, is_once: bool
) -> None:
    sweep.make(journal, 10, page_size=1024)

    # the two of `is_once` take turns, so that together they are at two calls of three
    for place in some(range(int(is_once), sweep.count(fault)), 3):
        sweep.fail_at(fault, place, is_once=is_once)


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("fault", ["full", "write"])
def test_a_fault_while_pages_leave_the_cache_leaves_the_old_state(
    sweep: _Sweep, journal: str, fault: Fault
) -> None:
    # the cache of a migration holds 31 of such pages, so that every stage of it writes
    sweep.make(journal, 300, page_size=65536)

    for place in some(range(sweep.count(fault)), 5):
        sweep.fail_at(fault, place)


class _Statements:
    """Statements that are counted, of which one fails for a full disk."""

    def __init__(self, bad: int | None) -> None:
        self.bad = bad
        self.told: list[str] = []

    def __call__(self, sql: str) -> None:
        if re.match(
            r"PRAGMA (foreign_keys|legacy_alter_table|temp_store|query_only|writable_schema)\b|ROLLBACK", sql
        ):
            # these touch no disk
            return
        self.told.append(sql)
        if len(self.told) - 1 == self.bad:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error


@pytest.mark.slow
def test_whichever_statement_meets_a_full_disk_the_old_state_stays(sweep: _Sweep) -> None:
    sweep.make("wal", 10)
    place, is_over = 0, False

    while not is_over:
        sweep.begin_anew()
        with _opened(sweep.path, sweep.disk) as engine:
            sweep.disk.fault = "full"
            engine.connection().before_statement = statements = _Statements(place)
            error = sweep.try_it(engine)
            engine.connection().before_statement = None
            sweep.disk.heal()
            last = statements.told[-1]
            expected = sweep.new if error is None else sweep.old
            assert differing(expected, dump(engine.connection())) == [], last
            assert _settings(engine) == sweep.settings, last
            assert _run(engine, sweep.target).nothing_to_do == (error is None), last
        is_over = error is None and place >= len(statements.told)
        place += 1

    assert place > 100


FOLDER = {
    "0001_first.sql": "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT); INSERT INTO a (t) VALUES ('x');",
    "0002_second.sql": "CREATE TABLE b (a INTEGER REFERENCES a); INSERT INTO b SELECT id FROM a;",
    "0003_third.sql": "ALTER TABLE a ADD COLUMN n INTEGER; UPDATE a SET n = 3; CREATE INDEX a_n ON a (n);",
}


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
@pytest.mark.parametrize("kind", ["a schema file", "numbered files"])
def test_a_fresh_database_is_made_whole_or_not_at_all(
    tmp_path: Path, disk: FaultyDisk, journal: str, kind: str
) -> None:
    for name, text in FOLDER.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "whole.sql").write_text(AFTER, encoding="utf-8")
    numbered = kind == "numbered files"
    target = target_of(folder=tmp_path) if numbered else target_of(schema_file=tmp_path / "whole.sql")
    places, made = 0, False

    while not made:
        path = tmp_path / f"app-{places}.db"
        connection = apsw.Connection(str(path))
        connection.execute(f"PRAGMA journal_mode = {journal}; PRAGMA user_version = 7").fetchall()
        connection.close()
        empty = whole(str(path), connect=apsw.Connection)
        with _opened(path, disk) as engine:
            disk.watch("full", places)
            try:
                migrate(engine, target, consent=Consent(skip_backup=True))
                made = True
            except DatabaseUnavailable as exc:
                assert "the disk is full" in str(exc)
                assert differing(empty, whole(str(path), connect=apsw.Connection)) == []
            disk.heal()
            assert engine.fetch_one("PRAGMA foreign_keys") == (1,)
            assert migrate(engine, target, consent=Consent(skip_backup=True)).nothing_to_do == made
        places += 1

    assert places > 5


@pytest.mark.slow
@pytest.mark.parametrize("journal", JOURNALS)
def test_the_command_ends_with_3_where_the_file_cannot_grow(tmp_path: Path, journal: str) -> None:
    path, schema = tmp_path / "app.db", tmp_path / "desired.sql"
    _make(path, journal, 2_000, page_size=4096)
    before = path.read_bytes()
    schema.write_text(AFTER, encoding="utf-8")
    most = len(before) // 4 if journal == "wal" else len(before)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    words = ["migrate", "--database", path, "--schema", schema, "--no-backup"]
    words += [f"--rename={old}={new}" for old, new in CONSENT.renames.items()]

    ended = subprocess.run(program(words, limited), cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 3, ended.stderr
    assert "cannot be used" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3
    assert path.read_bytes() == before
    assert subprocess.run(program(words), cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_without_room_for_the_backup_nothing_is_dropped_and_no_part_of_it_stays(tmp_path: Path) -> None:
    path, schema = tmp_path / "app.db", tmp_path / "desired.sql"
    _make(path, "wal", 2_000, page_size=4096)
    before = path.read_bytes()
    lacking = BEFORE.replace(", name TEXT", "").replace("a.name", "a.id AS name")
    schema.write_text(lacking, encoding="utf-8")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2)"
    words = ["migrate", "--database", path, "--schema", schema, "--drop", "author.name"]

    ended = subprocess.run(program(words, limited), cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 3, ended.stderr
    assert "backup" in ended.stderr
    assert path.read_bytes() == before
    assert list((tmp_path / "backups").iterdir()) == []
    assert subprocess.run(program(words), cwd=ROOT, capture_output=True, check=False).returncode == 0
