"""The package with one safeguard taken out, and what a few cases of rebuilds then say.

A mutant is a copy of the package in a folder of its own, changed by one replacement of text, and run in a
process of its own: `python -m support.mutants FOLDER NAME...` judges cases there and prints those that fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import datalayer
from support.rebuild_case import judge
from support.rebuild_cases import all_cases
from support.source_tree import ROOT


@dataclass(frozen=True, slots=True)
class Mutation:
    """A safeguard to take out.

    `anchor` is the text in `file` (of datalayer/schema/change) that is the safeguard, `instead` what stands
    there without it; at least one of `cases` must fail then.
    """

    safeguard: str
    file: str
    anchor: str
    instead: str
    cases: tuple[str, ...]


def failing_cases(mutation: Mutation | None, names: Iterable[str], folder: Path) -> list[str]:
    """Judge cases against a copy of the package, mutated or not; give the names of those that fail."""
    copy = folder / "datalayer"
    if not copy.exists():
        shutil.copytree(ROOT / "datalayer", copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copy / "schema" / "change" / mutation.file if mutation is not None else None
    original = changed.read_text(encoding="utf-8") if changed is not None else ""
    if changed is not None and mutation is not None:
        found = original.count(mutation.anchor)
        if found != 1:
            raise AssertionError(f"{mutation.file} has {found} times {mutation.anchor!r}")
        changed.write_text(original.replace(mutation.anchor, mutation.instead), encoding="utf-8")
    try:
        return _run(folder, names)
    finally:
        if changed is not None:
            changed.write_text(original, encoding="utf-8")


def _run(folder: Path, names: Iterable[str]) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT / "tests"))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "support.mutants", str(folder), *names],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()


def _main(folder: Path, names: list[str]) -> None:
    if not Path(datalayer.__file__).is_relative_to(folder):
        raise SystemExit(f"the package of {datalayer.__file__} is not the copy in {folder}")
    cases = all_cases()
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            if judge(cases[name], Path(place)):
                print(name)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
