"""Run what a document shows: its ```python blocks and the `$ datalayer ...` lines of its ```console blocks.

A document is one story: its blocks run in order, in one temporary folder and (Python) one namespace, so that
a later block may use what an earlier one made. A line `<!-- not run: reason -->` before a block leaves it
out. A console line may end in `# exit 3`; otherwise it must exit with 0.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]*)")
_NOT_RUN = re.compile(r"<!--\s*not run\s*:\s*(?P<reason>.*?)\s*-->")
_EXIT = re.compile(r"\s#\s*exit\s+(?P<code>\d+)\s*$")
_RUN = ("python", "console")
_TIMEOUT_S = 120

# runs in the temporary folder; blocks come by standard input, so that the folder holds only what they make
_PLAYER = """
import json, linecache, sys, traceback
sys.path.insert(0, sys.argv.pop())
from support.command_forks import start
del sys.path[0]
run = start()
space = {"__name__": "__main__"}
for block in json.load(sys.stdin):
    if block["language"] == "python":
        source, name = "\\n" * block["line"] + block["text"], block["document"]
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        try:
            exec(compile(source, name, "exec"), space)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        continue
    for number, command, code in block["commands"]:
        sys.stdout.flush()
        ended = run(command)
        if ended != code:
            sys.exit(f"{block['document']}:{number}: $ {command}\\nexit code {ended}, not {code}")
"""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its fence, `not_run` the reason when it is left out."""

    document: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def commands(self) -> list[tuple[int, str, int]]:
        """Line, command and expected exit code of every `$ datalayer ...`; a backslash continues a line."""
        found: list[tuple[int, str, int]] = []
        text = re.sub(r"\s*\\\n *>? *", " ", self.text)
        for number, line in enumerate(text.splitlines(), self.line + 1):
            command = line.strip().removeprefix("$ ")
            if line.strip().startswith("$ ") and re.match(r"(?:\w+=\S+ +)*datalayer\b", command):
                code = _EXIT.search(command)
                found.append((number, _EXIT.sub("", command).rstrip(), int(code["code"]) if code else 0))
        return found


def read_blocks(document: Path) -> list[Block]:
    """Read the fenced blocks of a Markdown file."""
    blocks: list[Block] = []
    lines = document.read_text(encoding="utf-8").splitlines()
    reason: str | None = None
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence:
            end = _end_of_block(lines, at, fence)
            text = "\n".join(line.removeprefix(fence["indent"]) for line in lines[at + 1 : end])
            blocks.append(Block(document.name, at + 1, fence["language"].lower(), text + "\n", reason))
            reason, at = None, end
        elif lines[at].strip():
            not_run = _NOT_RUN.search(lines[at])
            reason = not_run["reason"] if not_run else None
        at += 1
    return blocks


def run_blocks(blocks: list[Block], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the blocks in a fresh folder, away from the databases and settings of who runs the tests."""
    work, home, programs = (folder / name for name in ("work", "home", "bin"))
    for place in (work, home, programs):
        place.mkdir(parents=True)
    _write_command(programs / "datalayer")
    story = [
        {**asdict(block), "commands": block.commands}
        for block in blocks
        if block.language in _RUN and block.not_run is None
    ]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _PLAYER, str(Path(__file__).parents[1])],
        input=json.dumps(story),
        cwd=work,
        env=_environment(home, programs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def _end_of_block(lines: list[str], start: int, fence: re.Match[str]) -> int:
    for at in range(start + 1, len(lines)):
        if lines[at].strip().startswith(fence["fence"]) and set(lines[at].strip()) == {fence["fence"][0]}:
            return at
    raise ValueError(f"the block that begins at line {start + 1} has no end")


def _write_command(path: Path) -> None:
    # that of this interpreter, whether or not its folder is on PATH
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m datalayer "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def _environment(home: Path, programs: Path) -> dict[str, str]:
    ours = ("DATALAYER_", "DATABASE_URL", "XDG_", "PG", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(programs), kept.get("PATH", os.defpath)])
    root = Path(__file__).parents[2]
    return {**kept, "HOME": str(home), "PATH": path, "PYTHONPATH": str(root), "NO_COLOR": "1"}
