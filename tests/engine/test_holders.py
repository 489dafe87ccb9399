"""Who holds the lock is asked of the kernel, with real processes that hold it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datalayer.engine.holders import find_holders

HOLD = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    conn.execute(statement).fetchone()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(path: Path, *statements: str) -> Iterator[int]:
    """Run a process that executes the statements and stays; give its pid."""
    script = path.with_name("holder_script.py")
    script.write_text(HOLD)
    with subprocess.Popen(
        [sys.executable, str(script), str(path), *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid
        child.communicate()


def make(path: Path, mode: str) -> None:
    conn = sqlite3.connect(path)
    conn.execute(f"PRAGMA journal_mode = {mode}")
    conn.execute("CREATE TABLE t (a)")
    conn.execute("INSERT INTO t VALUES (1)")
    conn.commit()
    conn.close()


@pytest.mark.parametrize(
    ("mode", "begin"),
    [("WAL", "BEGIN IMMEDIATE"), ("DELETE", "BEGIN IMMEDIATE"), ("DELETE", "BEGIN EXCLUSIVE")],
)
def test_process_that_writes_is_named_with_its_program(tmp_path: Path, mode: str, begin: str) -> None:
    path = tmp_path / "app.db"
    make(path, mode)

    with holding(path, begin) as pid:
        holders = find_holders(path)

    assert [(holder.pid, holder.lock) for holder in holders] == [(pid, "writing")]
    if Path("/proc/self").exists():
        assert str(holders[0]).endswith("holder_script.py), writing")


def test_reader_is_named_where_it_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make(path, "DELETE")

    with holding(path, "BEGIN", "SELECT * FROM t") as pid:
        holders = find_holders(path)

    assert [(holder.pid, holder.lock) for holder in holders] == [(pid, "reading")]


def test_reader_of_a_wal_database_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make(path, "WAL")

    with holding(path, "BEGIN", "SELECT * FROM t"):
        assert find_holders(path) == ()


def test_nobody_is_named_where_nobody_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make(path, "WAL")

    assert find_holders(path) == ()
    assert find_holders(tmp_path / "missing.db") == ()


def test_locks_of_this_process_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make(path, "WAL")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("BEGIN IMMEDIATE")

    assert find_holders(path) == ()

    # the lock still stands: another process cannot take it
    try_it = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    done = subprocess.run([sys.executable, "-c", try_it], capture_output=True, text=True, check=False)
    conn.close()
    assert "database is locked" in done.stderr


def test_arguments_of_the_program_are_not_told(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make(path, "WAL")

    with holding(path, "BEGIN IMMEDIATE", "SELECT 'secret-word'"):
        told = str(find_holders(path)[0])

    assert "secret-word" not in told
    assert os.fspath(path) not in told
