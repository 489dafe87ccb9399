"""What goes wrong with a database, as a user meets it: three lines, a code, an exit code, no password."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import Answer, Run, program
from support.source_tree import ROOT
from support.waiting import wait_until

from datalayer.testing.postgres import PostgresServer

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

SECRET = "sesame-4711"
# gives up root's rights; first everything is used once, since Python may stand where nobody else may look
AS_NOBODY = """
import contextlib, io, os
from datalayer.cli.main import main as warm
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for words in (["migrate"], ["kv", "list"], ["kv", "set", "a", "1"]):
        warm([*words, "--database", ":memory:"])
        warm([*words, "--database", "/missing/app.db"])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
HOLD_LOCK = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def lock_held(path: Path) -> Iterator[int]:
    """Run a process that holds the write lock; give its pid."""
    script = path.with_name("import_job.py")
    script.write_text(HOLD_LOCK)
    command = [sys.executable, str(script), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid
        child.communicate()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can come to, which pytest's own is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def is_told(answer: Answer, code: int, error: str) -> bool:
    """Whether an error is told as it must be: exit code, stable code, three lines, standard output empty."""
    lines = answer.err.splitlines()
    assert answer.code == code, answer
    assert 1 <= len(lines) <= 3, answer.err
    assert lines[0].startswith(f"error {error}: "), answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err
    return True


def test_missing_folder(run: Run, run_process: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "app.db"

    for start, words in ((run_process, ["migrate"]), (run, ["kv", "list"]), (run, ["migrate", "--plan"])):
        answer = start(*words, "--database", path)
        assert is_told(answer, 3, "DL-E302")
        assert f"the folder {path.parent} does not exist" in answer.err

    assert not path.parent.exists()


def test_missing_file_is_not_made_by_looking(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "app.db"

    for words in (["kv", "list"], ["check-db"], ["stats"], ["backup"], ["kv", "set", "a", "1"]):
        assert is_told(run(*words, "--database", path), 3, "DL-E302")

    assert list(tmp_path.glob("app*")) == []


def test_file_that_is_no_database(run: Run, run_process: Run, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, this is no database. " * 100)
    before = path.read_bytes()

    for start, command in ((run_process, "check-db"), (run, "stats"), (run, "migrate"), (run, "backup")):
        answer = start(command, "--database", path)
        assert is_told(answer, 4, "DL-E303")
        assert str(path) in answer.err

    assert path.read_bytes() == before


def test_locked_database_tells_who_holds_it(run_process: Run, migrated: Path) -> None:
    with lock_held(migrated) as pid:
        answer = run_process("kv", "set", "a", "1", "--lock-timeout", "0.1", "--database", migrated)
        told = run_process("kv", "set", "a", "1", "--lock-timeout", "0.1", "--json", "--database", migrated)

    assert is_told(answer, 3, "DL-E301")
    assert f"process {pid}" in answer.err
    assert told.error["code"] == "DL-E301"
    if Path("/proc/self").exists():
        assert "import_job.py" in answer.err


def test_locked_database_can_be_looked_at(run_process: Run, migrated: Path) -> None:
    with lock_held(migrated):
        assert run_process("kv", "list", "--database", migrated).code == 0


def test_folder_without_permission(run_process: Run, open_folder: Path) -> None:
    path = open_folder / "app.db"
    open_folder.chmod(0o555)

    answer = run_process("migrate", "--database", path, before=AS_NOBODY)

    assert is_told(answer, 3, "DL-E302")
    assert str(path) in answer.err


def test_file_without_permission(run_process: Run, open_folder: Path, migrated: Path) -> None:
    path = open_folder / "app.db"
    path.write_bytes(migrated.read_bytes())
    path.chmod(0)

    assert is_told(run_process("kv", "list", "--database", path, before=AS_NOBODY), 3, "DL-E302")


def test_read_only_file(run_process: Run, open_folder: Path, migrated: Path) -> None:
    path = open_folder / "app.db"
    path.write_bytes(migrated.read_bytes())
    path.chmod(0o444)
    open_folder.chmod(0o777)

    answer = run_process("kv", "set", "a", "1", "--database", path, before=AS_NOBODY)
    looked = run_process("kv", "list", "--database", path, before=AS_NOBODY)

    assert is_told(answer, 3, "DL-E302")
    assert "read-only" in answer.err
    assert looked.code == 0


def test_server_that_refuses(run_process: Run) -> None:
    answer = run_process("kv", "list", "--database", f"postgresql://app:{SECRET}@127.0.0.1:1/app")

    assert is_told(answer, 3, "DL-E302")
    assert "postgresql://app:***@127.0.0.1:1/app" in answer.err


def test_wrong_password(run_process: Run, postgres: PostgresServer) -> None:
    answer = run_process("kv", "list", "--database", postgres.tcp_url(password=SECRET))

    assert is_told(answer, 3, "DL-E302")
    assert "password" in answer.err
    assert SECRET not in answer.err


def test_missing_database_on_the_server(run_process: Run, postgres: PostgresServer) -> None:
    assert is_told(run_process("migrate", "--database", postgres.url("nowhere")), 3, "DL-E302")


@pytest.mark.parametrize(
    "words", [["kv", "get", "colr"], ["sessions", "show", "nosuch"], ["jobs", "show", "nosuch"]]
)
def test_unknown_name(run: Run, run_process: Run, migrated: Path, words: list[str]) -> None:
    run("kv", "set", "color", "1", "--database", migrated)

    answer = run_process(*words, "--database", migrated)

    assert is_told(answer, 1, "DL-E201")
    if words[0] == "kv":
        assert "did you mean `color`?" in answer.err


def test_mistyped_command(run_process: Run) -> None:
    answer = run_process("migarte")

    assert is_told(answer, 2, "DL-E601")
    assert "`migrate`" in answer.err


def test_unknown_kind_of_database(run: Run) -> None:
    assert is_told(run("kv", "list", "--database", f"mysql://app:{SECRET}@host/app"), 2, "DL-E601")


def test_database_without_the_tables(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bare.db"
    sqlite3.connect(path).close()

    answer = run("kv", "list", "--database", path)

    assert is_told(answer, 1, "DL-E401")
    assert "datalayer migrate" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["kv", "list"],
        ["kv", "list", "--debug"],
        ["migrate", "--debug", "--json"],
        ["backup", "--debug"],
        ["config"],
        ["config", "--json"],
        ["check-db", "{url}"],
        ["{url}"],
        ["kv", "list", "--databse={url}"],
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{SECRET}@127.0.0.1:1/app",
        f"postgresql://127.0.0.1:1/app?user=app&password={SECRET}",
        f"postgres://app:{SECRET}@[bad/app",
        f"postgresql://app:{SECRET}@127.0.0.1:port/app",
        f"mysql://app:{SECRET}@127.0.0.1/app",
    ],
)
def test_password_is_never_told(run: Run, words: list[str], url: str) -> None:
    answer = run(*(word.format(url=url) for word in words), "--database", url)

    assert SECRET not in answer.out + answer.err
    assert answer.code in (0, 2, 3)


def test_password_in_the_environment_is_never_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{SECRET}@127.0.0.1:1/app")

    answer = run("kv", "list", "--debug", "--json")

    assert (answer.code, answer.json["database"]) == (3, "postgresql://app:***@127.0.0.1:1/app")
    assert SECRET not in answer.out + answer.err


def test_password_that_is_a_common_word_leaves_hints_readable(run: Run) -> None:
    answer = run("kv", "list", "--database", "postgresql://app:datalayer@127.0.0.1:1/app")
    mistake = run("kv", "lst", "--database", "postgresql://app:datalayer@127.0.0.1:1/app")

    assert ":datalayer@" not in answer.err + mistake.err
    assert "run `datalayer kv --help`" in mistake.err


def test_debug_adds_the_traceback(run: Run, tmp_path: Path) -> None:
    answer = run("kv", "list", "--debug", "--database", tmp_path / "missing.db")

    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-3].startswith("error DL-E302: ")


def test_error_in_json_has_the_same_shape_as_an_answer(run: Run, tmp_path: Path) -> None:
    told = run("kv", "list", "--json", "--database", tmp_path / "missing.db").json

    assert set(told) == {"ok", "command", "database", "findings", "next", "error"}
    assert set(told["error"]) == {"code", "what", "why", "hint"}
    assert (told["ok"], told["command"], told["database"]) == (False, "kv list", str(tmp_path / "missing.db"))


def test_control_characters_in_names_do_not_reach_the_terminal(run: Run, migrated: Path) -> None:
    run("kv", "set", "bell\x07\x1b[2J", '"v\x07"', "--text", "--database", migrated)

    answer = run("kv", "list", "--database", migrated)

    assert "\x07" not in answer.out
    assert "\x1b" not in answer.out
    assert "bell\\x07\\x1b[2J" in answer.out


def test_interrupt_ends_with_130_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.close()
    sensitive = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"

    with lock_held(path):
        with subprocess.Popen(
            program(["migrate", "--database", path], sensitive),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            env={**os.environ, "DATALAYER_DATABASE": ""},
            text=True,
        ) as child:
            # made by who comes to write
            assert wait_until(path.with_name("app.db-gate").exists)
            child.send_signal(signal.SIGINT)
            _, told = child.communicate(timeout=30)

    assert child.returncode == 130
    assert told.startswith("error DL-E603: interrupted")
    assert len(told.splitlines()) <= 3
    conn = sqlite3.connect(path)
    found = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    conn.close()
    assert found == (0,)
