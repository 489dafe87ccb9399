"""What a type checker tells an app that uses the package: rows are its own models, not Any."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.source_tree import ROOT

APP = """
import datalayer
import peewee
from datalayer import JSONField, Model, Repository, Store


class Note(Model):
    title = peewee.TextField()
    tags = JSONField(null=True)


class Notes(Repository[Note]):
    def titled(self, title: str) -> list[Note]:
        return self.find(title=title)


def use(store: Store) -> str:
    notes = store.repository(Notes)
    reveal_type(notes)
    reveal_type(store.repository(Note).get(1))
    note = notes.add(title="a")
    reveal_type(note.title)
    reveal_type(notes.page().items)
    reveal_type(store.jobs.claim("worker"))
    reveal_type(store.kv.increment("count"))
    try:
        notes.delete(note)
    except datalayer.NotFound as exc:
        return exc.what
    return note.title
"""


@pytest.mark.slow
def test_an_app_is_checked_strictly_and_sees_its_own_types(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)

    answer = subprocess.run(
        # an editable install is found through a hook that mypy does not run, hence MYPYPATH
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "--cache-dir",
            tmp_path,
            "app.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.findall(r'Revealed type is "(.*)"', answer.stdout) == [
        "app.Notes",
        "app.Note",
        "str",
        "tuple[app.Note, ...]",
        "datalayer.domains.jobs.model.Job | None",
        "int",
    ], answer.stdout + answer.stderr
    assert answer.returncode == 0, answer.stdout
