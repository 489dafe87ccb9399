"""docs/reference/ says what the code says, and what is public is shown at work."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.documents import read_blocks
from support.scripts import load_script
from support.source_tree import ROOT

import datalayer
from datalayer.cli.main import COMMANDS
from datalayer.domains.providers import DeviceFlow, ProviderTokens
from datalayer.domains.sessions import Session
from datalayer.repository.secrets import Secrets
from datalayer.schema.check import check
from datalayer.schema.migrator import migrate
from datalayer.store import Store

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
# shown by what is built on them, or asked for by the repository and not by an app
NOT_SHOWN = {
    "Repository.explain": "turns an error into a better one for repositories of one's own",
    "Repository.sibling": "for repositories of one's own",
    "Repository.filled_in": "what add() and upsert() call",
    "Repository.stamp": "what add() calls",
    "Jobs.stamp": "what add() calls",
    "StatementLog.record": "what the engine calls",
    "Store.close": "stands at the end of most pages",
}
# examples of docstrings that are no fragments to be run here
NOT_RUN = {
    "PostgresServer": "tests/testing starts servers; here is `...` for the tests themselves",
    "Watch": "watches for a minute",
    "Worker": "works until it is stopped",
    "run_processes": "needs an app, and the main module of a script",
}
# whose methods are all shown, each in an example that is run
SHOWN_WHOLE = ("Store", "Repository", "StatementLog", "Sessions", "Jobs", "JobContext", "KeyValues")


GENERATOR = load_script("docs/generate.py")
EXAMPLES: list[tuple[str, str]] = GENERATOR.examples()


def shown_code() -> str:
    """What the pages and the docstrings show: pages are run by test_docs_run, docstrings below."""
    pages = [ROOT / "README.md", *(path for path in DOCS.rglob("*.md") if REFERENCE not in path.parents)]
    blocks = [block for page in pages for block in read_blocks(page)]
    run = [block.text for block in blocks if block.language == "python" and block.not_run is None]
    return "\n".join([*run, *(code for name, code in EXAMPLES)])


def documented() -> Iterator[tuple[str, Any]]:
    for part in GENERATOR.PARTS:
        for name in part.names:
            yield name, getattr(importlib.import_module(part.module), name)


@pytest.mark.parametrize("name", ["commands.md", "python.md", "errors.md"])
def test_reference_is_what_the_generator_makes(name: str) -> None:
    made = GENERATOR.pages()[name]

    assert (REFERENCE / name).read_text(encoding="utf-8") == made, "run: python docs/generate.py"


def test_reference_has_no_other_pages() -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(GENERATOR.pages())


def test_generator_runs_as_a_script_from_anywhere(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(DOCS / "generate.py"), "made"], cwd=tmp_path, check=True)

    assert {path.name for path in (tmp_path / "made").iterdir()} == set(GENERATOR.pages())


def test_every_public_name_has_an_entry() -> None:
    entries = {name for name, _ in documented()}
    errors = set(datalayer.errors.__all__)

    assert sorted(set(datalayer._HOME) - entries - errors) == []


def test_every_command_has_an_entry() -> None:
    headings = re.findall(r"^## (.+)$", (REFERENCE / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert headings == list(COMMANDS)


def test_every_error_has_its_code_and_what_to_do() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = {cells[2].strip(" `"): cells for line in page.splitlines() if (cells := line.split("|"))[1:]}

    for name in datalayer.errors.__all__:
        assert rows[name][1].strip() == getattr(datalayer, name).code
        assert rows[name][5].strip()


def test_every_public_name_is_shown_at_work() -> None:
    code = shown_code()
    names = set(datalayer._HOME) - set(datalayer.errors.__all__)

    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("name", SHOWN_WHOLE)
def test_every_method_is_shown_at_work(name: str) -> None:
    code = shown_code()
    cls = dict(documented())[name]
    members = [member for member, _ in GENERATOR.public_members(cls) if f"{name}.{member}" not in NOT_SHOWN]

    assert [member for member in members if not re.search(rf"\.{member}\b", code)] == []


def test_what_is_not_shown_or_run_is_there() -> None:
    members = {
        f"{name}.{member}"
        for name, value in documented()
        if inspect.isclass(value)
        for member, _ in GENERATOR.public_members(value)
    }

    assert NOT_SHOWN.keys() - members == set()
    assert NOT_RUN.keys() - {name for name, _ in EXAMPLES} == set()


@pytest.mark.parametrize(
    ("name", "code"),
    [pytest.param(*example, id=example[0]) for example in EXAMPLES if example[0] not in NOT_RUN],
)
def test_example_of_a_docstring_runs(name: str, code: str) -> None:
    with datalayer.connect(":memory:", keys=datalayer.KeyRing({"a": bytes(32)})) as store:
        store.migrate()
        exec(compile(code, name, "exec"), names_that_fragments_use(store))


def names_that_fragments_use(store: Store) -> dict[str, Any]:
    session = store.sessions.add(name="Login", project_directory="/app")
    user = store.accounts.sign_up(display_name="Ada")
    for _ in range(21):
        store.jobs.enqueue("greet", session_id=session.id)
    return {
        "DeviceFlow": DeviceFlow,
        "KeyRing": datalayer.KeyRing,
        "ProviderTokens": ProviderTokens,
        "Secrets": Secrets,
        "Session": Session,
        "check": check,
        "document": "7",
        "engine": store.engine,
        "kv": store.kv,
        "migrate": migrate,
        "os": os,
        "session": session,
        "store": store,
        "text": "one",
        "texts": ["one", "two"],
        "user": user,
        "user_id": user.id,
    }
