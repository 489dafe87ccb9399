"""What README.md and docs/ show is run, and the README keeps its shape."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.documents import Block, read_blocks, run_blocks
from support.source_tree import ROOT

README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]
MOST_BADGES = 3
LATEST_FIRST_CODE_LINE = 25


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_what_the_document_shows_runs(document: Path, tmp_path: Path) -> None:
    done = run_blocks(read_blocks(document), tmp_path)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_block_that_is_not_run_says_why(document: Path) -> None:
    assert [block.line for block in read_blocks(document) if block.not_run == ""] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_stand_in_console_blocks(document: Path) -> None:
    # in a block of another kind they would never be run
    hidden = [
        block.line
        for block in read_blocks(document)
        if block.language in {"", "bash", "sh", "shell", "text"} and block.not_run is None
        if re.search(r"^\s*(?:\$ )?datalayer ", block.text, re.MULTILINE)
    ]

    assert hidden == []


def test_readme_shows_code_early_and_few_badges() -> None:
    first = next(block.line for block in read_blocks(README) if block.language == "python")

    assert first <= LATEST_FIRST_CODE_LINE
    assert README.read_text(encoding="utf-8").count("[![") <= MOST_BADGES


def blocks_of(tmp_path: Path, text: str) -> list[Block]:
    document = tmp_path / "sample.md"
    document.write_text(text)
    return read_blocks(document)


def test_blocks_share_a_folder_and_a_namespace(tmp_path: Path) -> None:
    text = """
```python
from pathlib import Path
Path("made").write_text("x")
```
- in a list:
  ```python
  assert Path("made").read_text() == "x"
  assert not Path("pyproject.toml").exists()
  ```
"""
    done = run_blocks(blocks_of(tmp_path, text), tmp_path / "run")

    assert done.returncode == 0, done.stdout
    assert [path.name for path in (tmp_path / "run" / "work").iterdir()] == ["made"]


def test_failing_python_is_told_with_its_line(tmp_path: Path) -> None:
    done = run_blocks(blocks_of(tmp_path, "text\n\n```python\na = 1\nassert a == 2\n```\n"), tmp_path / "run")

    assert done.returncode != 0
    assert 'File "sample.md", line 5' in done.stdout
    assert "assert a == 2" in done.stdout


def test_warning_fails_the_document(tmp_path: Path) -> None:
    text = "```python\nimport warnings\nwarnings.warn('old')\n```\n"

    assert run_blocks(blocks_of(tmp_path, text), tmp_path / "run").returncode != 0


def test_failing_command_is_told_with_its_line(tmp_path: Path) -> None:
    text = "```console\n$ pip install datalayer\n$ datalayer no-such-command\n```\n"
    done = run_blocks(blocks_of(tmp_path, text), tmp_path / "run")

    assert done.returncode != 0
    assert "sample.md:3: $ datalayer no-such-command" in done.stdout


def test_commands_are_read_with_their_exit_codes() -> None:
    text = (
        "$ datalayer check-db a.db  # exit 1\nfound: 3\n$ A=1 datalayer config\n$ ls\n$ datalayer \\\n> stats"
    )
    block = Block("a.md", 10, "console", text, None)

    assert [(command, code) for _, command, code in block.commands] == [
        ("datalayer check-db a.db", 1),
        ("A=1 datalayer config", 0),
        ("datalayer stats", 0),
    ]


def test_block_marked_as_not_run_is_left_out(tmp_path: Path) -> None:
    text = "<!-- not run: needs a server -->\n\n```python\nassert False\n```\n```python\nassert False\n```\n"
    first, second = blocks_of(tmp_path, text)

    assert (first.not_run, second.not_run) == ("needs a server", None)
    assert run_blocks([first], tmp_path / "one").returncode == 0
    assert run_blocks([second], tmp_path / "two").returncode != 0
