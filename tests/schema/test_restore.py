"""A SQLite file given back what a backup holds, whatever happens on the way."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import resource
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.processes import worker

from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable, MigrationRefused
from datalayer.schema.backup import backup
from datalayer.schema.backup_manifest import manifest_path
from datalayer.schema.restore import present_rows, restore

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

Content = dict[str, list[tuple[object, ...]]]


def content_of(path: Path) -> Content:
    """Give the schema and all rows with their rowids."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found: Content = {
            "sqlite_schema": connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
            ).fetchall()
        }
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            found[name] = connection.execute(f'SELECT rowid, * FROM "{name}" ORDER BY rowid').fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def make_file(path: Path, rows: int = 50, *, page_size: int = 4096, mode: str = "WAL") -> Path:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, body TEXT)")
        connection.execute("CREATE INDEX item_body ON item (body)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO item (body) VALUES (?)", [(f"{n} {'x' * 300}",) for n in range(rows)]
        )
        connection.execute("COMMIT")
    return path


def back_up(path: Path, target: Path | None = None, *, compress: bool = False) -> Path:
    engine = open_engine(path)
    try:
        return backup(engine, target, compress=compress).path
    finally:
        engine.close()


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# -- what comes back ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_restore_gives_the_backed_up_content_and_keeps_what_it_replaces(
    tmp_path: Path, mode: str, compress: bool
) -> None:
    path = make_file(tmp_path / "app.db", mode=mode)
    copy = back_up(path, compress=compress)
    change(path, f"PRAGMA journal_mode = {mode}")
    before = content_of(path)
    change(path, "DELETE FROM item WHERE id > 3", "CREATE TABLE other (a)", "INSERT INTO other VALUES (1)")
    changed = content_of(path)

    first = restore(path, copy)

    assert content_of(path) == before
    assert first.rows == {"item": 50}
    assert first.replaced is not None
    assert content_of(first.replaced) == changed
    again = restore(path, copy)
    assert content_of(path) == before
    restore(path, first.replaced)
    assert content_of(path) == changed
    assert again.replaced is not None
    assert content_of(again.replaced) == before
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode.lower(),)


@given(
    statements=st.lists(
        st.sampled_from(
            [
                "DELETE FROM item WHERE id % 3 = 0",
                "INSERT INTO item (body) SELECT hex(randomblob(2000)) FROM item LIMIT 30",
                "UPDATE item SET body = NULL WHERE id % 2",
                "DROP INDEX IF EXISTS item_body",
                "DROP TABLE IF EXISTS item",
                "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, body TEXT)",
                "CREATE TABLE IF NOT EXISTS extra (a, b UNIQUE)",
                "PRAGMA user_version = 7",
                "VACUUM",
                "PRAGMA auto_vacuum = FULL",
            ]
        ),
        max_size=6,
    ),
    rows=st.integers(0, 300),
)
def test_whatever_changes_a_restore_takes_it_back(
    tmp_path_factory: pytest.TempPathFactory, statements: list[str], rows: int
) -> None:
    path = make_file(tmp_path_factory.mktemp("any") / "app.db", rows)
    before, copy = content_of(path), back_up(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute(statement)
    changed = content_of(path)

    kept = restore(path, copy).replaced

    assert content_of(path) == before
    assert (content_of(kept) if kept else {"sqlite_schema": []}) == changed


@pytest.mark.parametrize("source_pages", [512, 65536])
def test_pages_of_another_size_are_restored_too(tmp_path: Path, source_pages: int) -> None:
    copy = back_up(make_file(tmp_path / "small.db", page_size=source_pages))
    path = make_file(tmp_path / "app.db", 400)
    wanted = content_of(copy)

    restore(path, copy)

    assert content_of(path) == wanted
    assert present_rows(path) == 50


def test_a_backup_of_an_empty_database_empties_it(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    open_engine(empty).close()
    copy = back_up(empty)
    path = make_file(tmp_path / "app.db")

    done = restore(path, copy)

    assert content_of(path) == {"sqlite_schema": []}
    assert present_rows(path) == 0
    assert done.replaced is not None
    assert present_rows(done.replaced) == 50


def test_a_missing_database_is_made_and_a_log_that_lay_there_is_not_its_own(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    wanted, copy = content_of(path), back_up(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("UPDATE item SET body = 'from the log'")
    log = Path(f"{path}-wal").read_bytes()
    holder.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)

    done = restore(path, copy)

    assert content_of(path) == wanted
    assert done.replaced is not None
    assert (done.replaced / "app.db-wal").read_bytes() == log


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE item (a TEXT COLLATE odd); CREATE INDEX item_a ON item (a)",
        "CREATE TABLE item (a CHECK (odd(a)))",
        "CREATE TABLE item (a); CREATE INDEX item_a ON item (odd(a))",
    ],
    ids=["collation", "check", "index"],
)
def test_what_only_the_app_can_compare_is_copied_all_the_same(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "app.db"

    def rows() -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT a FROM item NOT INDEXED ORDER BY rowid").fetchall()

    with contextlib.closing(sqlite3.connect(path)) as app:
        app.create_collation("odd", lambda one, other: (one < other) - (one > other))
        app.create_function("odd", 1, len, deterministic=True)
        app.executescript(sql)
        app.executemany("INSERT INTO item VALUES (?)", [("x",), ("y",), ("z",)])
        app.commit()
        copy = back_up(path)
        app.execute("DELETE FROM item WHERE rowid > 1")
        app.commit()

    restore(path, copy)

    assert rows() == [("x",), ("y",), ("z",)]


def test_rows_that_break_a_rule_are_backed_up_as_they_are(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    change(
        path,
        "CREATE TABLE ruled (a NOT NULL, b CHECK (b > 0))",
        "INSERT INTO ruled VALUES (1, 1)",
    )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE ruled SET b = -1")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE ruled (a, b)' WHERE name = 'ruled'")
    change(path, "UPDATE ruled SET a = NULL")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE ruled (a NOT NULL, b CHECK (b > 0))'"
            " WHERE name = 'ruled'"
        )
    copy = back_up(path)
    change(path, "DELETE FROM ruled")

    restore(path, copy)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM ruled").fetchall() == [(None, -1)]


def test_a_link_stays_and_what_it_leads_to_is_restored(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = make_file(tmp_path / "real" / "app.db")
    link = tmp_path / "link.db"
    link.symlink_to(path)
    wanted, copy = content_of(path), back_up(link)
    assert copy.parent == tmp_path / "real" / "backups"
    overwrite_header(path)

    restore(link, copy)

    assert link.is_symlink()
    assert content_of(path) == wanted


def test_broken_references_of_a_backup_are_counted(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    change(path, "CREATE TABLE child (item_id REFERENCES item (id))", "INSERT INTO child VALUES (999)")
    copy = back_up(path)

    assert restore(path, copy).broken_references == 1


# -- others at the file ------------------------------------------------------------------------


def test_connections_that_are_open_see_the_old_content_and_then_the_new(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db", 100)
    copy = back_up(path)
    idle, reader = sqlite3.connect(path), sqlite3.connect(path, isolation_level=None)
    idle.execute("DELETE FROM item WHERE id > 10")
    idle.commit()
    reader.execute("BEGIN")
    count = "SELECT count(*) FROM item"
    assert reader.execute(count).fetchone() == (10,)

    restore(path, copy)

    assert reader.execute(count).fetchone() == (10,)
    reader.execute("COMMIT")
    assert reader.execute(count).fetchone() == (100,)
    assert idle.execute(count).fetchone() == (100,)
    idle.execute("INSERT INTO item (body) VALUES ('goes on')")
    idle.commit()
    assert reader.execute(count).fetchone() == (101,)
    for one in (idle, reader):
        one.close()


def test_a_writer_in_the_middle_of_its_work_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    copy = back_up(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM item")

    with pytest.raises(DatabaseBusy):
        restore(path, copy, lock_timeout_s=0.1)

    writer.execute("ROLLBACK")
    writer.close()
    assert present_rows(path) == 50


def test_no_commit_of_a_busy_writer_is_lost_between_backup_and_restore(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db", 300)
    change(path, "CREATE TABLE seen (number INTEGER)")
    copy = back_up(path)

    with worker("support.killed_restore", "append_rows", str(path)) as writer:
        for _ in range(5):
            writer.line()
        done = restore(path, copy)
        last = 0
        for _ in range(5):
            last = int(writer.line())
    assert done.replaced is not None
    numbers: set[int] = set()
    for one in (done.replaced, path):
        with contextlib.closing(sqlite3.connect(one)) as connection:
            numbers |= {number for (number,) in connection.execute("SELECT number FROM seen")}

    assert set(range(1, last + 1)) <= numbers


# -- damage ------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    path.write_bytes(data)


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database here")


@pytest.mark.parametrize("harm", [damage, overwrite_header])
def test_a_damaged_database_is_replaced_and_its_bytes_are_kept(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = make_file(tmp_path / "app.db", 300)
    wanted, copy = content_of(path), back_up(path)
    log = b"a log that nobody can read"
    harm(path)
    Path(f"{path}-wal").write_bytes(log)
    path.chmod(0o640)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    done = restore(path, copy)

    assert content_of(path) == wanted
    assert path.stat().st_mode & 0o777 == 0o640
    assert done.replaced_is_damaged
    assert done.replaced is not None
    assert hashlib.sha256((done.replaced / "app.db").read_bytes()).hexdigest() == digest
    assert (done.replaced / "app.db-wal").read_bytes() == log


def test_a_log_that_nobody_can_read_is_kept_beside_a_sound_file(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    wanted, copy = content_of(path), back_up(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("UPDATE item SET body = 'in the log'")
    log = b"\0" * 4 + Path(f"{path}-wal").read_bytes()[4:]
    writer.close()
    Path(f"{path}-wal").write_bytes(log)

    done = restore(path, copy)

    assert content_of(path) == wanted
    assert done.replaced is not None
    assert (done.replaced / "app.db-wal").read_bytes() == log


def test_a_restore_that_cannot_be_finished_leaves_the_journal_mode(tmp_path: Path) -> None:
    copy = back_up(make_file(tmp_path / "small.db", page_size=512))
    path = make_file(tmp_path / "app.db")
    (tmp_path / "backups" / "x").touch()
    (tmp_path / "backups").rename(tmp_path / "other")
    (tmp_path / "backups").write_text("a file stands in the way")

    with pytest.raises(DatabaseUnavailable):
        restore(path, tmp_path / "other" / copy.name)

    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_damaged_database_that_somebody_has_open_is_left_alone(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db", 300)
    copy = back_up(path)

    with worker("support.killed_restore", "hold_open", str(path)) as holder:
        assert holder.line() == "open"
        overwrite_header(path)
        bytes_before = path.read_bytes()
        with pytest.raises(DatabaseBusy, match="nothing was changed"):
            restore(path, copy)
        assert path.read_bytes() == bytes_before


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-600])


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("harm", [flip_a_byte, cut, overwrite_header])
@pytest.mark.parametrize("has_manifest", [True, False], ids=["manifest", "bare"])
def test_a_backup_that_does_not_verify_changes_nothing(
    tmp_path: Path, compress: bool, harm: Callable[[Path], None], has_manifest: bool
) -> None:
    path = make_file(tmp_path / "app.db", 300)
    copy = back_up(path, compress=compress)
    harm(copy)
    if not has_manifest:
        manifest_path(copy).unlink()
        if harm is flip_a_byte and not compress:
            # within a value nothing but the digest can tell
            damage(copy)
    before = content_of(path)

    with pytest.raises(DatabaseCorrupt):
        restore(path, copy)

    assert content_of(path) == before
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    text, archive = tmp_path / "text.txt", tmp_path / "copy.dump"
    text.write_text("hello")
    archive.write_bytes(b"PGDMP and so on")

    with pytest.raises(DatabaseCorrupt, match="is not a backup"):
        restore(path, text)
    with pytest.raises(MigrationRefused, match="of PostgreSQL"):
        restore(path, archive)
    with pytest.raises(DatabaseUnavailable, match="the database itself"):
        restore(path, path)
    with pytest.raises(DatabaseUnavailable, match="cannot read"):
        restore(path, tmp_path / "nothing.db")


def test_a_zip_bomb_of_a_name_only_is_no_reason_to_unpack(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    packed = tmp_path / "note.gz"
    packed.write_bytes(gzip.compress(b"not a database"))

    with pytest.raises(DatabaseCorrupt):
        restore(path, packed)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_full_disk_leaves_the_old_content(tmp_path: Path, compress: bool) -> None:
    path = make_file(tmp_path / "app.db", 5000)
    copy = back_up(path, compress=compress)
    change(path, "DELETE FROM item WHERE id > 5", "VACUUM")
    before = content_of(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        with pytest.raises(DatabaseUnavailable):
            restore(path, copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal_before)

    assert content_of(path) == before


def test_nothing_is_restored_where_the_present_state_cannot_be_kept(tmp_path: Path) -> None:
    path = make_file(tmp_path / "app.db")
    copy = back_up(path, tmp_path / "copy.db")
    change(path, "DELETE FROM item")
    (tmp_path / "backups").write_text("a file stands in the way")

    with pytest.raises(DatabaseUnavailable):
        restore(path, copy)

    assert present_rows(path) == 0


# -- kill -9 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_restore_killed_at_any_step_leaves_old_or_new(tmp_path: Path, mode: str) -> None:
    template = make_file(tmp_path / "template.db", 20_000, mode=mode)
    copy = back_up(template, tmp_path / "copy.db")
    new = content_of(copy)
    path = make_file(tmp_path / "app.db", 10, mode=mode)
    old = content_of(path)
    told: list[str] = []

    for step in range(5):
        with worker("support.killed_restore", "restore_killed_in_step", str(path), str(copy), step) as one:
            told.append(one.line())
        found = content_of(path)
        assert found in ([new] if told[-1] else [old, new])
        if found == new:
            path.unlink()
            make_file(path, 10, mode=mode)

    assert told[0] == ""
    restore(path, copy)
    assert content_of(path) == new


def test_a_swap_killed_at_any_moment_leaves_the_old_bytes_or_the_new_file(tmp_path: Path) -> None:
    copy = back_up(make_file(tmp_path / "good.db", 300), tmp_path / "copy.db")
    new = content_of(copy)
    log = b"what was in the log"
    outcomes: set[str] = set()
    number = 0
    is_done = False

    while not is_done:
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        path = make_file(folder / "app.db", 300)
        overwrite_header(path)
        Path(f"{path}-wal").write_bytes(log)
        old = path.read_bytes()
        with worker(
            "support.killed_restore", "restore_killed_in_system", str(path), str(copy), number
        ) as one:
            is_done = bool(one.line())
        kept = {one.name: one.read_bytes() for one in folder.rglob("*-before-restore-*/app.db*")}
        if path.read_bytes() == old and Path(f"{path}-wal").read_bytes() == log:
            outcomes.add("old")
        else:
            outcomes.add("new")
            assert content_of(path) == new
            are_kept = (kept["app.db"] == old, kept["app.db-wal"] == log)
            assert are_kept == (True, True)
        restore(path, copy)
        assert content_of(path) == new
        assert [*folder.glob(".*partial*")] == []
        # until the bytes are kept nothing is touched
        number += 1 if kept else 6

    assert outcomes == {"old", "new"}


def test_a_backup_of_sqlite_does_not_go_into_postgresql(postgres_database: str, tmp_path: Path) -> None:
    copy = back_up(make_file(tmp_path / "app.db"))

    with pytest.raises(MigrationRefused, match="of SQLite"):
        restore(postgres_database, copy)
