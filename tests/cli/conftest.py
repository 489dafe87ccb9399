"""Running the program: in this process where that is enough, as a process of its own where it matters."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.commands import Answer, Run, program
from support.source_tree import ROOT

from datalayer.cli.main import main

_NAMES_A_DATABASE = ("DATALAYER_DATABASE", "DATABASE_URL", "PGPASSWORD")
_NAMES_KEYS = ("DATALAYER_KEYS", "DATALAYER_KEYS_FILE", "DATALAYER_KEYRING")
_STEERS_OUTPUT = ("NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONIOENCODING", "COLUMNS")


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of who runs the tests names a database, a colour or a home."""
    for name in (*_NAMES_A_DATABASE, *_NAMES_KEYS, *_STEERS_OUTPUT):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.chdir(home)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run_here(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        told = capsys.readouterr()
        return Answer(code, told.out, told.err)

    return run_here


@pytest.fixture
def migrated(_sqlite_template: Path, tmp_path: Path) -> Path:
    """A SQLite file at the current schema."""
    return Path(shutil.copy(_sqlite_template, tmp_path / "migrated.db"))


@pytest.fixture
def run_process() -> Run:
    """Run a command as a process of its own; `environment` is added, `before` is Python run in it first."""

    def run_there(
        *words: object,
        environment: Mapping[str, str] | None = None,
        before: str = "",
        folder: Path | None = None,
    ) -> Answer:
        done = subprocess.run(
            program(words, before),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run_there
