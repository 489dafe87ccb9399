"""How answers look: on a terminal, in a pipe, in another encoding; and where settings come from."""

from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.commands import Answer, Run, program
from support.source_tree import ROOT

from datalayer import connect
from datalayer.cli.output import bytes_text, readable

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

ESCAPE = "\x1b["


@pytest.fixture
def keys(migrated: Path) -> Path:
    with connect(migrated) as store:
        store.kv.set_many({"clé": "été", "long": "x" * 200})
    return migrated


def on_terminal(
    words: list[object], environment: Mapping[str, str] | None = None, answer: bytes = b""
) -> Answer:
    """Run a command whose input, output and error are a terminal; what it says comes in `out`."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **(environment or {})}
    with subprocess.Popen(
        program(words), cwd=ROOT, env=variables, stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        os.write(ours, answer)
        told = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                part = os.read(ours, 65_536)
            except OSError:
                # Linux says so when the last one closed the other end
                break
            if not part:
                break
            told += part
        code = child.wait(30)
    os.close(ours)
    return Answer(code, told.decode().replace("\r\n", "\n"), "")


# -- colour ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"FORCE_COLOR": "0"}, False),
    ],
)
def test_colour_on_a_terminal(keys: Path, environment: dict[str, str], is_coloured: bool) -> None:
    answer = on_terminal(["kv", "list", "--database", keys], environment)

    assert answer.code == 0
    assert "clé" in answer.out
    assert (ESCAPE in answer.out) == is_coloured


@pytest.mark.parametrize(
    ("environment", "is_coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "0"}, False)]
)
def test_colour_in_a_pipe(
    run: Run, monkeypatch: pytest.MonkeyPatch, keys: Path, environment: dict[str, str], is_coloured: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert (ESCAPE in run("kv", "list", "--database", keys).out) == is_coloured
    assert (ESCAPE in run("kv", "lst").err) == is_coloured
    assert ESCAPE not in run("kv", "list", "--json", "--database", keys).out


def test_table_in_a_pipe_is_plain_columns(run: Run, keys: Path) -> None:
    lines = run("kv", "list", "--database", keys).out.splitlines()

    assert lines[0].split() == ["key", "value", "updated", "expires"]
    assert lines[1].startswith('clé   "été"  ')
    assert "…" in lines[2]


@pytest.mark.slow
def test_long_work_shows_a_bar_with_its_rate_on_a_terminal_only(run_process: Run, tmp_path: Path) -> None:
    for number in range(250):  # more than half a second's work on any machine
        (tmp_path / f"{number}.txt").write_text("word " * 2_000)
    words = ["demo", "--project", tmp_path, "--workers", "1"]

    shown, piped = on_terminal(words), run_process(*words, folder=ROOT)

    assert (shown.code, piped.code) == (0, 0)
    assert "/251" in shown.out
    assert "/s" in shown.out
    assert "━" not in piped.out + piped.err


# -- encodings and pipes ---------------------------------------------------------------------------


BARE_LOCALE = {"LC_ALL": "C", "LANG": "C"}


@pytest.mark.parametrize(
    "environment",
    [
        BARE_LOCALE,
        {"PYTHONIOENCODING": "ascii"},
        {**BARE_LOCALE, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_encoding_that_lacks_characters_is_no_error(
    run_process: Run, keys: Path, environment: dict[str, str]
) -> None:
    listed = run_process("kv", "list", "--database", keys, environment=environment)
    told = run_process("kv", "list", "--json", "--database", keys, environment=environment)

    assert (listed.code, listed.err) == (0, "")
    assert "cl" in listed.out
    assert told.json["entries"][0]["value"] == "été"


def test_argument_beyond_ascii_is_understood_in_a_bare_locale(run_process: Run, keys: Path) -> None:
    answer = run_process("kv", "get", "clé", "--json", "--database", keys, environment=BARE_LOCALE)

    assert answer.json["value"] == "été"


def test_reader_that_leaves_early_is_no_error(keys: Path) -> None:
    with connect(keys) as store:
        store.kv.set_many({f"key {number}": "x" * 100 for number in range(5_000)})
    words = ["kv", "list", "--limit", "5000", "--database", keys]

    with subprocess.Popen(program(words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(10)
        child.stdout.close()
        assert child.stderr is not None
        told = child.stderr.read()

    assert told == b""
    assert child.returncode == 0


def test_output_that_cannot_be_written_is_an_error(keys: Path) -> None:
    read_only = os.open(keys, os.O_RDONLY)
    with os.fdopen(read_only) as full:
        done = subprocess.run(
            program(["kv", "list", "--database", keys]),
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert done.returncode == 5
    assert done.stderr.startswith(b"error DL-E604: cannot write to standard output\n")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed_are_no_error(keys: Path, closed: str) -> None:
    command = " ".join([*map(shlex.quote, program(["kv", "list", "--database", keys])), closed])

    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


# -- questions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, 0), (b"n\n", 2, 1), (b"\n", 2, 1)])
def test_who_sits_at_a_terminal_is_asked(migrated: Path, answer: bytes, code: int, left: int) -> None:
    with connect(migrated) as store:
        job = store.jobs.enqueue("x")
        store.jobs.cancel(job.id)

    told = on_terminal(["jobs", "prune", "--older-than", "0", "--database", migrated], answer=answer)

    assert told.code == code, told.out
    assert "[y/N]" in told.out
    with connect(migrated) as store:
        assert store.jobs.count() == left


def test_nobody_is_asked_with_json(migrated: Path) -> None:
    with connect(migrated) as store:
        store.jobs.cancel(store.jobs.enqueue("x").id)

    told = on_terminal(["jobs", "prune", "--older-than", "0", "--json", "--database", migrated])

    assert told.code == 2
    assert "[y/N]" not in told.out


# -- settings --------------------------------------------------------------------------------------


def settings_of(answer: Answer) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["value"], one["source"]) for one in answer.json["settings"]}


def test_config_tells_each_place_in_its_order(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: list[tuple[str, str]] = []
    found.append(settings_of(run("config", "--json"))["database"])
    project = tmp_path / "home" / "pyproject.toml"
    project.write_text('[tool.datalayer]\ndatabase = "project.db"\n')
    found.append(settings_of(run("config", "--json"))["database"])
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:sesame-4711@host/app")
    found.append(settings_of(run("config", "--json"))["database"])
    monkeypatch.setenv("DATALAYER_DATABASE", str(tmp_path / "own.db"))
    found.append(settings_of(run("config", "--json"))["database"])
    found.append(settings_of(run("config", "--json", "--database", tmp_path / "given.db"))["database"])

    assert found[0][1] == "the platform's data folder"
    assert found[1:] == [
        (str(project.with_name("project.db")), f"[tool.datalayer] in {project}"),
        ("postgresql://app:***@host/app", "environment DATABASE_URL"),
        (str(tmp_path / "own.db"), "environment DATALAYER_DATABASE"),
        (str(tmp_path / "given.db"), "--database"),
    ]


def test_broken_project_file_is_a_mistake_of_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "pyproject.toml").write_text("[tool.datalayer\n")

    answer = run("kv", "list")

    assert (answer.code, answer.err[:15]) == (2, "error DL-E601: ")
    assert run("kv", "list", "--database", tmp_path / "missing.db").code == 3


def test_config_says_why_there_is_colour_or_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = settings_of(run("config", "--json"))["colour"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = settings_of(run("config", "--json"))["colour"]
    monkeypatch.setenv("NO_COLOR", "1")
    refused = settings_of(run("config", "--json"))["colour"]

    assert plain == ("no", "whether output is a terminal")
    assert forced == ("yes", "environment FORCE_COLOR")
    assert refused == ("no", "environment NO_COLOR")


def test_only_the_platform_folder_is_made(run: Run, tmp_path: Path) -> None:
    looked = run("kv", "list")
    assert looked.code == 3
    assert "datalayer migrate" in looked.err
    assert not (tmp_path / "home" / "data").exists()

    made = run("migrate", "--json")

    assert made.code == 0
    assert Path(made.json["database"]).is_file()
    assert run("kv", "list").code == 0


# -- pieces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**50, "1024.0 TiB"),
        (None, "?"),
    ],
)
def test_sizes_for_people(size: int | None, text: str) -> None:
    assert bytes_text(size) == text


def test_what_steers_a_terminal_is_shown_as_an_escape() -> None:
    assert readable("a\x1b[31m\x07\x9b b\nc") == "a\\x1b[31m\\x07\\x9b b\nc"
    assert readable("a\nb\tc", in_cell=True) == "a\\nb\\tc"


def test_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "datalayer", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("datalayer ")
