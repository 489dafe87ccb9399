"""Every command helps, answers in JSON, and tells what was probably meant; none of it loads a driver."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.commands import Run
from support.source_tree import ROOT

from datalayer.cli.dispatch import command_of
from datalayer.cli.main import COMMANDS

# `backups` is a command itself
GROUPS = sorted({name.split()[0] for name in COMMANDS if " " in name} - {*COMMANDS})


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help_and_common_options(run: Run, name: str) -> None:
    answer = run(*name.split(), "--help")

    assert answer.code == 0
    assert COMMANDS[name][1] in answer.out
    for option in ("--database", "--json", "--debug"):
        assert option in answer.out
    assert command_of(name).run is not None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(run: Run, name: str) -> None:
    told = run(*name.split(), "--help").out.partition("options:")[2]

    # an option without a text stands alone on its line, and none follows
    bare = re.findall(r"^  (-\S.*\S)\n(?!   )", told, re.MULTILINE)
    assert [line for line in bare if "  " not in line] == []


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    answer = run("--help")

    assert answer.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in answer.out] == []
    assert "130 interrupted" in answer.out


@pytest.mark.parametrize("group", GROUPS)
def test_group_alone_names_its_commands(run: Run, group: str) -> None:
    answer = run(group)
    helped = run(group, "--help")

    assert (answer.code, helped.code) == (2, 0)
    for name in COMMANDS:
        if name.startswith(f"{group} "):
            assert f"`{name}`" in answer.err
            assert name in helped.out


def test_version_is_told_as_text_and_as_json(run: Run) -> None:
    assert run("--version").out.startswith("datalayer ")
    assert run("--version", "--json").json["version"] in run("--version").out


@pytest.mark.parametrize(
    ("words", "what", "near"),
    [
        (["migrat"], "there is no command `migrat`", "did you mean `migrate` or"),
        (["jobs", "lst"], "there is no command `jobs lst`", "`jobs list`"),
        (["job"], "there is no command `job`", "`jobs`"),
        (["config", "--jsn"], "`config` has no option --jsn", "did you mean `--json`?"),
        (["config", "app.db"], "`config` does not know what to do with 'app.db'", "--database"),
        (["config", "--datab", "x"], "`config` has no option --datab", "did you mean `--database`?"),
        (["config", "--database"], "argument --database: expected one argument", "usage:"),
        (["migrate", "--lock-timeout", "soon"], "'soon' is not a number of seconds", "usage:"),
        ([], "no command was given", ""),
        (["--versoin"], "there is no option --versoin", ""),
    ],
)
def test_mistake_is_told_with_what_was_probably_meant(
    run: Run, words: list[str], what: str, near: str
) -> None:
    answer = run(*words)
    told = run(*words, "--json")

    assert (answer.code, told.code) == (2, 2)
    assert answer.out == ""
    first, *others = answer.err.splitlines()
    assert first.startswith("error DL-E601: ")
    assert what in first
    assert near in " ".join(others)
    assert len(others) <= 2
    assert told.json["ok"] is False
    assert told.error["code"] == "DL-E601"
    assert set(told.json) == {"ok", "command", "database", "findings", "next", "error"}


def test_database_may_stand_before_or_after_the_command(run: Run) -> None:
    before = run("--database", "one.db", "config", "--json").json
    after = run("config", "--database=one.db", "--json").json

    assert before["database"] == after["database"]
    assert before["database"].endswith("/one.db")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["jobs", "--help"],
        ["migrate", "--help"],
        ["demo", "--help"],
        ["migrat"],
        ["jobs", "list", "--lmit"],
    ],
)
def test_help_and_mistakes_load_no_driver_and_no_drawing(words: list[str]) -> None:
    script = (
        "import sys\nfrom datalayer.cli.main import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'peewee', 'playhouse', 'psycopg', 'rich', 'sqlite3'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_help_of_the_program_loads_no_other_module_of_it() -> None:
    script = (
        "import sys\nfrom datalayer.cli.main import main\nmain(['--help'])\n"
        "print([name for name in sys.modules if name.startswith('datalayer.') or name == 'argparse'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "['datalayer.cli', 'datalayer.cli.main']"
