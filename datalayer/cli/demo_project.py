"""What the demo works on: the files of a folder, and what its jobs compute of them.

Worker processes import this, and nothing else of the command.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.domains.jobs import JobContext

__all__ = ["ANALYSE", "HANDLERS", "INDEX", "Survey", "analyse_file", "handlers", "index_project", "survey"]

ANALYSE = "demo.analyse_file"
INDEX = "demo.index_project"
HANDLERS = "datalayer.cli.demo_project:handlers"

IGNORED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".tox", ".venv", "__pycache__", "build", "dist", "node_modules", "venv"}
)
LARGEST_BYTES = 1024 * 1024
_WORD = re.compile(r"[^\W\d]\w*")
_TOP = 10


@dataclass(frozen=True, slots=True)
class Survey:
    """A folder's files as paths relative to it: texts to work on, and all others with the reason."""

    included: tuple[str, ...]
    excluded: dict[str, str]


def survey(folder: Path) -> Survey:
    """Look through a folder; links are not followed."""
    included: list[str] = []
    excluded: dict[str, str] = {}
    for path, is_ignored in _files(folder, folder):
        name = path.relative_to(folder).as_posix()
        reason = "in an ignored folder" if is_ignored else _why_excluded(path)
        if reason is None:
            included.append(name)
        else:
            excluded[name] = reason
    return Survey(tuple(sorted(included)), excluded)


def _files(folder: Path, root: Path) -> Iterator[tuple[Path, bool]]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        is_ignored = bool(IGNORED_FOLDERS & {*Path(place).relative_to(root).parts})
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path, is_ignored


def _why_excluded(path: Path) -> str | None:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            return "too large"
        data = path.read_bytes()
        path.name.encode()
    except OSError:
        return "cannot be read"
    except UnicodeEncodeError:
        return "its name is no text"
    if b"\0" in data:
        return "binary"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return None


def analyse_file(path: Path) -> dict[str, Any]:
    """Give a text file's sha256, its numbers of bytes, lines and words, and its most frequent words."""
    data = path.read_bytes()
    text = data.decode(errors="replace")
    words = Counter(_WORD.findall(text))
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "lines": text.count("\n") + (not text.endswith("\n") and text != ""),
        "words": words.total(),
        "top": words.most_common(_TOP),
    }


def index_project(folder: Path, names: list[str]) -> dict[str, dict[str, list[int]]]:
    """Give for each word of a project, in order, the files that it is in with the numbers of its lines."""
    index: dict[str, dict[str, list[int]]] = {}
    for name in names:
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            for word in sorted(set(_WORD.findall(line))):
                index.setdefault(word, {}).setdefault(name, []).append(number)
    return dict(sorted(index.items()))


def _analyse(context: JobContext) -> dict[str, Any]:
    job = context.job
    return analyse_file(Path(job.project_directory or ".", job.prompt))


def _index(context: JobContext) -> dict[str, dict[str, list[int]]]:
    job = context.job
    return index_project(Path(job.project_directory or "."), json.loads(job.prompt))


# what the worker processes do, by type of job
handlers = {ANALYSE: _analyse, INDEX: _index}
